/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The signatures of the protocol: Ed25519 over a context string, a zero byte, and exactly the bytes
 * signed (docs/PROTOCOL.md, "Signatures"). Needs sodium_init() before.
 */
#pragma once
#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_ID_BYTES 8u
#define KEY_BASE64_CHARS 45u /* 44 characters and the final zero */

#define SIGNING_CONTEXT_ANSWER "resolverd answer v1"
#define SIGNING_CONTEXT_DELEGATION "resolverd delegation v1"
#define SIGNING_CONTEXT_SEAL "resolverd evidence v1"
#define SEAL_HASH_BYTES 32u /* BLAKE2b-256 */

/* First 8 bytes of BLAKE2b-256 of a public key. */
void key_id_of(const uint8_t public_key[crypto_sign_PUBLICKEYBYTES], uint8_t ret_id[KEY_ID_BYTES]);

void signing_sign(const char *context, const uint8_t *bytes, size_t count,
    const uint8_t secret_key[crypto_sign_SECRETKEYBYTES], uint8_t ret_signature[crypto_sign_BYTES]);

[[gnu::warn_unused_result]] bool signing_verify(const char *context, const uint8_t *bytes,
    size_t count, const uint8_t *signature, size_t signature_bytes,
    const uint8_t public_key[crypto_sign_PUBLICKEYBYTES]);
