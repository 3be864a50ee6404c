/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The online key and the envelope. What a worker found becomes an answer here: question, kind,
 * times, member and local policy are written by us, then signed once. The key lives in a page of
 * its own that is locked, left out of core dumps and wiped in a forked child.
 *
 * The key is replaced when half of its delegation's life is over: the next one is made, delegated
 * to, and only then used. What the one before has signed is served until its own delegation has a
 * quarter of its life left, and is signed anew when it is asked for later on.
 */
#pragma once
#include "fleet.pb-c.h"
#include "proto/signing.h"
#include "resolverd/base/config.h"
#include "resolverd/server/cache.h"
#include "worker.pb-c.h"

/* Of one online key: what each long-term key signed for it. */
struct delegations {
	uint8_t *bytes; /* a serialized StatusResponse with these alone; NULL: none */
	size_t count;
	int64_t not_before_ms, not_after_ms;
	int64_t resign_at_ms; /* before the end: from then on what the key signed is not served */
};

/* A key of before: its secret is gone, what it signed is there. */
struct retired_key {
	struct delegations delegations;
	uint16_t next_generation; /* the first that it has not signed */
};

#define RETIRED_KEYS_MAX 4u

struct signer {
	const struct config *config;
	struct online_key *key;
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
	uint8_t key_id[KEY_ID_BYTES];
	struct delegations delegations; /* none until the supervisor sent them */
	int64_t renew_at_ms;            /* the next key is due */
	struct online_key *next_key;    /* waits for its delegations; NULL: none does */
	uint8_t next_public_key[crypto_sign_PUBLICKEYBYTES];
	struct retired_key retired[RETIRED_KEYS_MAX]; /* the newest first */
	size_t retired_count;
	bool sign_all_anew; /* with the next delegations: others vouch for us from then on */
	uint64_t signed_count;
	/* Counts changes of configuration and key; each answer has the one it was signed in. What
	 * is of an earlier one than these: */
	uint16_t generation;
	uint16_t facts_generation;  /* rests on facts that no longer count */
	uint16_t policy_generation; /* has another local policy, if it is a route */
	uint16_t key_generation;    /* is by a key that is not vouched for much longer */
	uint16_t own_generation;    /* is by another key than the present one */
};

#define SIGNER_FIRST_GENERATION 1u /* 0 is what a snapshot brought: by a key of before */

/* Makes the online key. Returns 0 or a negative errno. */
[[gnu::warn_unused_result]] int signer_init(struct signer *signer, const struct config *config);
void signer_fini(struct signer *signer);

/* The supervisor is to be asked for delegations. */
static inline bool signer_wants_delegations(const struct signer *signer, int64_t now_ms)
{
	return signer->delegations.bytes == NULL || now_ms >= signer->renew_at_ms ||
	       now_ms < signer->delegations.not_before_ms;
}
/* To which public key: the next one, which is made if need be, or the first. NULL: no memory. */
const uint8_t *signer_key_to_delegate(struct signer *signer);
/* A serialized StatusResponse with delegations; copies. Those for the next key make it the present
 * one. Returns 0, or -EBADMSG for what is for no key of ours. */
[[gnu::warn_unused_result]] int signer_take_delegations(
    struct signer *signer, const uint8_t *bytes, size_t count, int64_t now_ms);
/* Those there are do not do: other long-term keys vouch for us, or the clock was stepped. The next
 * ones are wanted now, and what was signed until they are there is signed anew then. */
void signer_renew(struct signer *signer);
/* Puts keys away whose delegations end; to be called a few times a second. */
void signer_advance(struct signer *signer, int64_t now_ms);
/* All of them, the present key's first; freed by its caller. NULL: no memory. */
Resolverd__V1__StatusResponse *signer_delegations(const struct signer *signer);

/* A new configuration, which must outlive its use here: answers of before get its local policy by
 * signer_derive. */
void signer_set_config(struct signer *signer, const struct config *config);

/* What was found until now no longer counts: other zones, another clock. */
void signer_forget_facts(struct signer *signer);
/* So many changes since the facts were forgotten last that the generations would soon wrap. */
static inline bool signer_is_worn(const struct signer *signer)
{
	return (uint16_t)(signer->generation - signer->facts_generation) > INT16_MAX - 2;
}
static inline bool signer_counts(const struct signer *signer, const struct answer *answer)
{
	return (int16_t)(answer->generation - signer->facts_generation) >= 0;
}

/* facts were checked against the job's question by the caller; their question is what is signed.
 * Returns a new reference, NULL when memory is short or the facts do not fit their kind. */
struct answer *signer_answer(
    struct signer *signer, Resolverd__Worker__Facts *facts, int64_t now_ms);

/* Facts of another member of the fleet, checked by fleet.c, as an answer of ours. Returns as
 * signer_answer. */
struct answer *signer_adopt(struct signer *signer, const Resolverd__Fleet__SharedFacts *facts,
    const uint8_t long_term_id[KEY_ID_BYTES], int64_t now_ms);
/* The other way: what a worker found, for other members. Returns 0, -ENOMEM, or -ENOMSG: it is not
 * for others, since it failed, is to be used once or local configuration is in it, or nobody
 * vouches for us yet. */
struct shared_value {
	uint8_t *bytes; /* a SignedFacts; its caller's to free */
	size_t count;
	int64_t ends_at_ms; /* of facts or delegation, whichever ends first */
};
[[gnu::warn_unused_result]] int signer_share(const struct signer *signer,
    const Resolverd__Worker__Facts *facts, const uint8_t *view, size_t view_bytes,
    Resolverd__Fleet__SignedMembership *membership, int64_t now_ms, struct shared_value *ret_value);
/* The same with an answer that was found here, without what local policy made of it. */
[[gnu::warn_unused_result]] int signer_share_answer(const struct signer *signer,
    const struct answer *answer, const uint8_t *view, size_t view_bytes,
    Resolverd__Fleet__SignedMembership *membership, struct shared_value *ret_value);

/* The answer again, with the local policy and the key of now. Its facts and times stay, but for a
 * new end by policy. Returns a new reference; NULL when memory is short, or it is no answer. */
struct answer *signer_derive(struct signer *signer, const struct answer *answer, int64_t now_ms);
/* Whether the answer may be served as it is. Only routes have local policy in them. */
static inline bool signer_is_current(const struct signer *signer, const struct answer *answer)
{
	return (int16_t)(answer->generation - signer->key_generation) >= 0;
}
static inline bool signer_is_current_route(const struct signer *signer, const struct answer *route)
{
	return (int16_t)(route->generation - signer->policy_generation) >= 0;
}

/* An answer that has ended once more, marked as stale, for failure-ttl: until stale_ms past its end
 * at the latest, and no signature it rests on has expired. NULL when that is over, or memory is
 * short. */
struct answer *signer_extend(
    struct signer *signer, const struct answer *answer, int64_t stale_ms, int64_t now_ms);

/* With the online key. */
void signer_sign(const struct signer *signer, const char *context, const uint8_t *bytes,
    size_t count, uint8_t ret_signature[crypto_sign_BYTES]);

/* The SignedAnswer's bytes; borrowed. */
const uint8_t *answer_signed(const struct answer *answer, size_t *ret_bytes);
/* What is in an answer, as a message; freed by its caller. NULL: no memory. */
Resolverd__V1__SignedAnswer *answer_unpack(const struct answer *answer);
/* The same, without what it is signed with. */
Resolverd__V1__Answer *answer_envelope(const struct answer *answer);

/* A signed answer that says there is none: status error, reason in words, kept for failure-ttl when
 * cacheable. */
struct answer *signer_failure(struct signer *signer, Resolverd__V1__Question *question,
    const char *reason, bool cacheable, int64_t now_ms);

/* Our word, with its delegations, that what this is the hash of existed at now_ms. Freed by its
 * caller with free_unpacked. NULL: no memory, or no delegation yet. */
Resolverd__V1__SignedSeal *signer_seal(
    const struct signer *signer, const uint8_t hash[SEAL_HASH_BYTES], int64_t now_ms);
