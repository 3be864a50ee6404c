/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Responses to requests with a nonce: they wait for the end of the loop's round, then one signature
 * over the tree of them all attests that these answers were current at that time
 * (proto/attestation.h).
 */
#pragma once
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proto/attestation.h"
#include "resolverd/server/signer.h"

struct session;
struct attested;
TAILQ_HEAD(attested_list, attested);

/* The hash of an answer that was attested before; the reference keeps it from being another. */
struct attested_hash {
	struct answer *answer;
	uint8_t hash[ATTESTATION_HASH_BYTES];
};

#define ATTESTED_HASHES 1024u
#define ATTESTED_HASH_OF_MAX 2048u /* bytes of an answer: so little memory can be held */

struct attest {
	struct signer *signer;
	struct attested_hash *hashes; /* by address; NULL until one is asked for */
	struct attested_list waiting;
	size_t count;
	uint8_t (*nodes)[ATTESTATION_HASH_BYTES];
	size_t nodes_size;
	struct event round;
	uint64_t attested_count, signature_count;
};

/* What a request asks to be attested; not wanted: nothing. */
struct attest_wish {
	bool wanted;
	uint8_t nonce[ATTESTATION_NONCE_BYTES], request_hash[ATTESTATION_HASH_BYTES];
};

/* Returns 0 or -ENOMEM. */
[[gnu::warn_unused_result]] int attest_init(
    struct attest *attest, struct event_base *base, struct signer *signer);
void attest_fini(struct attest *attest);

/* Takes references of the answers. Returns 0, or -ENOMEM. */
[[gnu::warn_unused_result]] int attest_add(struct attest *attest, struct session *session,
    uint64_t id, const struct attest_wish *wish, struct answer *const *answers, unsigned count);
/* The session ends. */
void attest_forget(struct attest *attest, const struct session *session);
