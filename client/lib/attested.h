/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether a response was made just now, for the very request it answers (docs/PROTOCOL.md,
 * "Attestation"). Pure; time is a parameter.
 */
#pragma once
#include "client/lib/verify.h"
#include "proto/attestation.h"

/* The leaf of these two messages, as they went over the socket. False: the response is malformed,
 * or holds more answers than can be attested. */
[[nodiscard]] bool attested_leaf(const uint8_t nonce[ATTESTATION_NONCE_BYTES],
    const uint8_t *request, size_t request_bytes, const uint8_t *response, size_t response_bytes,
    uint8_t ret_leaf[ATTESTATION_HASH_BYTES]);

/* attestation may be NULL: that is none. 0, VERIFY_UNKNOWN_KEY, VERIFY_EXPIRED when it is too old,
 * or RESOLVERD_ERROR_VERIFY. */
[[nodiscard]] int attested_check(const struct verifier *verifier,
    const Resolverd__V1__Attestation *attestation, const uint8_t leaf[ATTESTATION_HASH_BYTES]);
