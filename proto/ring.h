/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose facts a member of a fleet takes (docs/FLEET.md, "Trust"): long-term keys of members, fleet
 * root keys that vouch for more of them, and keys that are out, whoever vouches for them. A key
 * ring is a text file; resolverctl keys writes it, the daemon reads it. Pure; time is a parameter;
 * needs sodium_init() before.
 *
 *     # one key a line, base64 of its 32 bytes; a resolverd.pub is a key ring already
 *     4jX…=                 a member
 *     root 9Qz…=            whom it signed a membership for is a member, too
 *     revoked 0123456789abcdef    the id of a key: out
 */
#pragma once
#include "fleet.pb-c.h"
#include "proto/signing.h"

#define RING_ERROR_MAX 200u
#define RING_KEYS_MAX 100000u
#define FACTS_MEMBER_MAX 256u
#define SIGNING_CONTEXT_FACTS "resolverd facts v1"
#define SIGNING_CONTEXT_MEMBERSHIP "resolverd membership v1"

struct ring_key {
	uint8_t id[KEY_ID_BYTES];
	uint8_t key[crypto_sign_PUBLICKEYBYTES]; /* of revoked: zeros */
};

struct ring_list { /* ascending by id, each once */
	struct ring_key *keys;
	size_t count, room;
};

/* All zero is empty: nobody is trusted. */
struct ring {
	struct ring_list members, roots, revoked;
};

/* Returns 0, -EINVAL or -ENOMEM after writing what is wrong, and in which line, to error. */
[[gnu::warn_unused_result]] int ring_parse(
    const char *text, size_t count, struct ring *ret_ring, char error[RING_ERROR_MAX]);
void ring_fini(struct ring *ring);

/* Whether the ring takes this long-term key as a member's, now, for facts of that name. membership
 * may be NULL. */
bool ring_has(const struct ring *ring, const uint8_t key[crypto_sign_PUBLICKEYBYTES],
    const char *member, const Resolverd__Fleet__SignedMembership *membership, uint64_t now_ms);

/* NULL when membership is good for that key under one of the ring's roots; else what is wrong. */
const char *ring_check_membership(const struct ring *ring,
    const Resolverd__Fleet__SignedMembership *membership, const uint8_t key_id[KEY_ID_BYTES],
    uint64_t now_ms, char ret_member[FACTS_MEMBER_MAX],
    uint8_t ret_key[crypto_sign_PUBLICKEYBYTES]);

bool ring_is_revoked(const struct ring *ring, const uint8_t key_id[KEY_ID_BYTES]);
/* Whether facts that this long-term key vouched for, and that were good by the ring of before,
 * still are by the one after: it is in that, or some root vouched for it, of which none is gone
 * since. */
bool ring_still_takes(
    const struct ring *before, const struct ring *after, const uint8_t key_id[KEY_ID_BYTES]);

/* A membership as text: base64 of a SignedMembership, in any number of lines, comments as in a key
 * ring. NULL: it is none, or no memory. Its caller's to free with free_unpacked. */
Resolverd__Fleet__SignedMembership *membership_parse(const char *text, size_t count);

/* What a good value says. */
struct shared_facts {
	Resolverd__Fleet__SharedFacts *facts; /* its caller's to free with free_unpacked */
	uint8_t long_term_id[KEY_ID_BYTES];   /* of the key that vouches for it */
};

/* Opens a value of the store: a delegation by a key of the ring and in time, a signature by the
 * delegated key, the delegation's member, this very question and view. NULL when it is good, else
 * what is wrong with it. Lives and ages are the caller's to judge. */
const char *ring_open_facts(const struct ring *ring, const uint8_t *value, size_t count,
    const Resolverd__V1__Question *question, const uint8_t *view, size_t view_bytes,
    uint64_t now_ms, struct shared_facts *ret_facts);
