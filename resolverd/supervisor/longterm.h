/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The long-term key: made on first start (0600), kept in guarded memory, its public half published
 * for clients, and its one use: signing delegations to online keys.
 */
#pragma once
#include "proto/signing.h"
#include "resolverd/base/config.h"

struct longterm_key {
	uint8_t *secret; /* base/secret.h; readable only while signing */
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
};

/* Loads key-file or makes it; writes public-key-file. On failure returns a negative errno and
 * writes what, where and what to do to error. */
[[gnu::warn_unused_result]] int longterm_open(
    struct longterm_key *key, const struct config *config, char *error, size_t error_bytes);
void longterm_fini(struct longterm_key *key);

/* A key of its own for another use, which tells nothing of the long-term key. */
void longterm_derive(
    struct longterm_key *key, const char *use, uint8_t ret_key[crypto_generichash_KEYBYTES]);

/* A serialized SignedDelegation to online_key, valid for a day from a little before now. Returns
 * its size, or 0 when it does not fit. */
size_t longterm_delegate(struct longterm_key *key, const char *member,
    const uint8_t online_key[crypto_sign_PUBLICKEYBYTES], int64_t now_ms, uint8_t *out,
    size_t out_bytes);
