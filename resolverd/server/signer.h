/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The online key and the envelope. What a worker found becomes an answer here: question, kind,
 * times, member and local policy are written by us, then signed once. The key lives in a page of
 * its own that is locked, left out of core dumps and wiped in a forked child.
 */
#pragma once
#include "proto/signing.h"
#include "resolverd/base/config.h"
#include "resolverd/server/cache.h"
#include "worker.pb-c.h"

struct signer {
	const struct config *config;
	struct online_key *key;
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
	uint8_t key_id[KEY_ID_BYTES];
	uint8_t *delegation; /* serialized SignedDelegation; NULL until the supervisor sent one */
	size_t delegation_bytes;
	int64_t delegation_not_after_ms;
	uint64_t signed_count;
	uint16_t policy_generation; /* changes with the configuration */
	uint16_t
	    facts_generation; /* answers of an earlier one rest on facts that no longer count */
};

/* Makes the online key. Returns 0 or a negative errno. */
[[gnu::warn_unused_result]] int signer_init(struct signer *signer, const struct config *config);
void signer_fini(struct signer *signer);

/* Copies. Returns 0, or -EBADMSG for one that is not for our key. */
[[gnu::warn_unused_result]] int signer_set_delegation(
    struct signer *signer, const uint8_t *bytes, size_t count);

/* A new configuration, which must outlive its use here: answers of before get its local policy by
 * signer_derive. */
void signer_set_config(struct signer *signer, const struct config *config);

/* What was found until now no longer counts: other zones, another clock. */
void signer_forget_facts(struct signer *signer);
/* So many reloads since the facts were forgotten last that the generations would soon wrap. */
static inline bool signer_is_worn(const struct signer *signer)
{
	return (uint16_t)(signer->policy_generation - signer->facts_generation) > INT16_MAX - 2;
}
static inline bool signer_counts(const struct signer *signer, const struct answer *answer)
{
	return (int16_t)(answer->policy_generation - signer->facts_generation) >= 0;
}

/* facts were checked against the job's question by the caller; their question is what is signed.
 * Returns a new reference, NULL when memory is short or the facts do not fit their kind. */
struct answer *signer_answer(
    struct signer *signer, Resolverd__Worker__Facts *facts, int64_t now_ms);

/* The answer again, with the local policy and the key of now. Its facts and times stay, but for a
 * new end by policy. Returns a new reference; NULL when memory is short, or it is no answer. */
struct answer *signer_derive(struct signer *signer, const struct answer *answer, int64_t now_ms);
/* Only routes have local policy in them. */
static inline bool signer_is_current(const struct signer *signer, const struct answer *answer)
{
	return answer->policy_generation == signer->policy_generation;
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

/* Our word, with its delegation, that what this is the hash of existed at now_ms. Freed by its
 * caller with free_unpacked. NULL: no memory, or no delegation yet. */
Resolverd__V1__SignedSeal *signer_seal(
    const struct signer *signer, const uint8_t hash[SEAL_HASH_BYTES], int64_t now_ms);
