/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signatures that were verified before: who mails one provider all day verifies its host answers
 * once. Kept is the BLAKE2b-256 of context, public key, signature and signed bytes, all of them, so
 * nothing else is ever taken for verified; that the key is still delegated and the answer has not
 * expired is checked each time all the same. Bounded: what was not used for longest makes room.
 * Zero remembers nothing yet. Pure; time is a parameter.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/signing.h"

#define REMEMBERED_HASH_BYTES 32u
#define REMEMBERED_SETS 256u
#define REMEMBERED_WAYS 8u /* of a set */
#define REMEMBERED_MAX (REMEMBERED_SETS * REMEMBERED_WAYS)

struct remembered_one {
	uint8_t hash[REMEMBERED_HASH_BYTES];
	uint64_t expires_at_ms; /* 0: free */
	uint64_t used;          /* when, counted in uses */
};

struct remembered {
	struct remembered_one *ones; /* NULL: none yet */
	uint64_t uses;
};

struct remembered_signature {
	const char *context;
	const uint8_t *key; /* public */
	const uint8_t *bytes;
	size_t count;
	const uint8_t *signature;
	size_t signature_bytes;
	uint8_t hash[REMEMBERED_HASH_BYTES]; /* made by remembered_verify */
};

/* Whether the signature is good: remembered, or verified now. NULL remembers nothing. */
[[nodiscard]] bool remembered_verify(
    struct remembered *remembered, struct remembered_signature *signature, uint64_t now_ms);
/* It was good, and what it signs matters until then. */
void remembered_add(struct remembered *remembered, const struct remembered_signature *signature,
    uint64_t now_ms, uint64_t expires_at_ms);
/* All of it. */
void remembered_forget(struct remembered *remembered);
