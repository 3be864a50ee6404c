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
};

/* Makes the online key. Returns 0 or a negative errno. */
[[gnu::warn_unused_result]] int signer_init(struct signer *signer, const struct config *config);
void signer_fini(struct signer *signer);

/* Copies. Returns 0, or -EBADMSG for one that is not for our key. */
[[gnu::warn_unused_result]] int signer_set_delegation(
    struct signer *signer, const uint8_t *bytes, size_t count);

/* facts were checked against the job's question by the caller; their question is what is signed.
 * Returns a new reference, NULL when memory is short or the facts do not fit their kind. */
struct answer *signer_answer(
    struct signer *signer, Resolverd__Worker__Facts *facts, int64_t now_ms);

/* A signed answer that says there is none: status error, reason in words, kept for failure-ttl when
 * cacheable. */
struct answer *signer_failure(struct signer *signer, Resolverd__V1__Question *question,
    const char *reason, bool cacheable, int64_t now_ms);
