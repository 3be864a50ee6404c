/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The checks between a SignedAnswer and a caller (docs/PROTOCOL.md, "What a client checks"): known
 * key, signature, member, kind, question, expiry, critical. Pure; time is a parameter.
 */
#pragma once
#include "client/lib/keys.h"
#include "client/lib/memory.h"
#include "client/lib/remembered.h"

/* Not an error to the caller yet: ask for the status once more, then try again. */
#define VERIFY_UNKNOWN_KEY 1
/* Nor this: good when it was sent, over when it was checked. Ask for it once more. */
#define VERIFY_EXPIRED 2

struct verifier {
	const struct keyring *keyring;
	uint64_t now_ms;
	struct resolverd_memory *arena;
	char *detail;                  /* DETAIL_MAX bytes: what is wrong, for people */
	bool attested;                 /* the response that the answers came with */
	struct remembered *remembered; /* NULL: every signature is verified */
};

struct verified {
	const Resolverd__V1__Answer *answer;
	const char *key_id; /* hex */
	bool attested;      /* as the verifier says */
	struct resolverd_signed signed_answer;
	const struct online_key *key; /* in the keyring, for as long as that does not change */
	uint32_t not_understood;      /* a critical number unknown to this version, 0: none */
};

/* What the answer must be about. name NULL: any; the caller then compares. */
struct question {
	Resolverd__V1__Kind kind;
	const char *name;
	unsigned port, type;
};

struct sealed {
	uint64_t at_ms;
	Resolverd__V1__SignedDelegation *delegation; /* that is good; borrowed from the seal */
	struct online_key key;
};

/* Checks a seal with the delegations it brings, of which one must have been in time when it was
 * made. NULL, or what is wrong with it. */
const char *verify_seal(const struct trusted_keys *trusted, const Resolverd__V1__SignedSeal *from,
    const uint8_t hash[SEAL_HASH_BYTES], struct sealed *ret_sealed);

/* A copy in the arena of what vouches for a key; empty when memory is short. */
struct resolverd_signed verify_keep_delegation(
    struct resolverd_memory *arena, const struct online_key *key);

/* 0, VERIFY_UNKNOWN_KEY, VERIFY_EXPIRED, RESOLVERD_ERROR_VERIFY or _MEMORY. The answer lives in the
 * arena. */
[[nodiscard]] int verify_answer(const struct verifier *verifier,
    const Resolverd__V1__SignedAnswer *signed_answer, const struct question *question,
    struct verified *ret_verified);
