/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/attest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/base/clock.h"
#include "resolverd/server/session.h"

#define ROUND_MAX 4096u /* leaves; then the round ends at once */

struct attested {
	TAILQ_ENTRY(attested) link;
	struct session *session; /* NULL: it has ended */
	uint64_t id;
	size_t bytes; /* about what the response will have */
	unsigned count;
	struct answer *answers[];
};

static void end_round(struct attest *attest);

static void on_round(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	end_round(arg);
}

int attest_init(struct attest *attest, struct event_base *base, struct signer *signer)
{
	*attest = (struct attest){.signer = signer};
	TAILQ_INIT(&attest->waiting);
	return evtimer_assign(&attest->round, base, on_round, attest) == 0 ? 0 : -ENOMEM;
}

static void attested_free(struct attested *attested)
{
	for (unsigned i = 0; i < attested->count; i++)
		answer_unref(attested->answers[i]);
	free(attested);
}

static void clear(struct attest *attest)
{
	struct attested *attested;
	while ((attested = TAILQ_FIRST(&attest->waiting)) != NULL) {
		TAILQ_REMOVE(&attest->waiting, attested, link);
		attested_free(attested);
	}
	attest->count = 0;
}

void attest_fini(struct attest *attest)
{
	clear(attest);
	event_del(&attest->round);
	free(attest->nodes);
	for (unsigned i = 0; attest->hashes != NULL && i < ATTESTED_HASHES; i++)
		answer_unref(attest->hashes[i].answer);
	free(attest->hashes);
}

/* Answers never change. */
static const uint8_t *hash_of(
    struct attest *attest, struct answer *answer, uint8_t scratch[ATTESTATION_HASH_BYTES])
{
	size_t bytes;
	const uint8_t *signed_answer = answer_signed(answer, &bytes);
	if (attest->hashes == NULL)
		attest->hashes = calloc(ATTESTED_HASHES, sizeof *attest->hashes);
	if (attest->hashes == NULL || bytes > ATTESTED_HASH_OF_MAX) {
		attestation_hash(signed_answer, bytes, scratch);
		return scratch;
	}
	uint64_t mixed = (uint64_t)(uintptr_t)answer * 0x9e3779b97f4a7c15u;
	struct attested_hash *known = &attest->hashes[mixed >> 32 & (ATTESTED_HASHES - 1)];
	if (known->answer != answer) {
		answer_unref(known->answer);
		known->answer = answer_ref(answer);
		attestation_hash(signed_answer, bytes, known->hash);
	}
	return known->hash;
}

/* Room for the tree over one leaf more. */
static bool make_room(struct attest *attest)
{
	size_t wanted = attestation_tree_nodes(attest->count + 1);
	if (wanted <= attest->nodes_size)
		return true;
	void *larger = realloc(attest->nodes, 2 * wanted * sizeof *attest->nodes);
	if (larger == NULL)
		return false;
	attest->nodes = larger;
	attest->nodes_size = 2 * wanted;
	return true;
}

int attest_add(struct attest *attest, struct session *session, uint64_t id,
    const struct attest_wish *wish, struct answer *const *answers, unsigned count)
{
	struct attested *attested =
	    make_room(attest) ? malloc(sizeof *attested + count * sizeof attested->answers[0])
			      : NULL;
	struct attestation_leaf leaf;
	if (attested == NULL)
		return -ENOMEM;
	attested->session = session;
	attested->id = id;
	attested->bytes = 0;
	attested->count = count;
	attestation_leaf_begin(&leaf, wish->nonce, wish->request_hash, (uint8_t)count);
	for (unsigned i = 0; i < count; i++) {
		uint8_t scratch[ATTESTATION_HASH_BYTES];
		attested->answers[i] = answer_ref(answers[i]);
		attested->bytes += answers[i]->blob_bytes;
		attestation_leaf_add_hash(&leaf, hash_of(attest, answers[i], scratch));
	}
	attestation_leaf_end(&leaf, attest->nodes[attest->count]);
	conn_promise(&session->conn, attested->bytes);
	TAILQ_INSERT_TAIL(&attest->waiting, attested, link);
	const struct timeval now = {0}; /* after what the loop finds readable next */
	if (++attest->count == 1 && evtimer_add(&attest->round, &now) != 0)
		end_round(attest);
	if (attest->count == ROUND_MAX)
		end_round(attest);
	return 0;
}

void attest_forget(struct attest *attest, const struct session *session)
{
	struct attested *attested;
	TAILQ_FOREACH(attested, &attest->waiting, link)
	if (attested->session == session)
		attested->session = NULL; /* its leaf stays */
}

/* With its own place in the tree. */
static void send_one(struct attest *attest, const struct attested *attested, size_t index,
    const Resolverd__V1__Attestation *common)
{
	const uint8_t *path[ATTESTATION_PATH_MAX];
	ProtobufCBinaryData hashes[ATTESTATION_PATH_MAX];
	Resolverd__V1__Attestation attestation = *common;
	attestation.index = (uint32_t)index;
	attestation.path = hashes;
	attestation.n_path =
	    attestation_tree_path(attest->nodes, attestation.leaf_count, index, path);
	for (size_t i = 0; i < attestation.n_path; i++)
		hashes[i] =
		    (ProtobufCBinaryData){ATTESTATION_HASH_BYTES, (uint8_t *)(uintptr_t)path[i]};
	conn_promise_kept(&attested->session->conn, attested->bytes);
	session_send_answers(
	    attested->session, attested->id, attested->answers, attested->count, &attestation);
}

static void end_round(struct attest *attest)
{
	Resolverd__V1__Attestation attestation = RESOLVERD__V1__ATTESTATION__INIT;
	struct attested *attested;
	uint8_t signature[crypto_sign_BYTES], message[ATTESTATION_SIGNED_BYTES];
	if (attest->count == 0)
		return;
	uint32_t count = (uint32_t)attest->count;
	attestation_tree_make(attest->nodes, count);
	attestation.leaf_count = count;
	attestation.attested_at = (uint64_t)clock_wall_ms();
	attestation_message(attest->nodes[attestation_tree_nodes(count) - 1],
	    attestation.attested_at, count, message);
	signer_sign(
	    attest->signer, SIGNING_CONTEXT_ATTESTATION, message, sizeof message, signature);
	attestation.signature = (ProtobufCBinaryData){sizeof signature, signature};
	attestation.key_id = (ProtobufCBinaryData){KEY_ID_BYTES, attest->signer->key_id};
	attest->attested_count += count;
	attest->signature_count++;
	size_t index = 0;
	TAILQ_FOREACH(attested, &attest->waiting, link)
	{
		if (attested->session != NULL)
			send_one(attest, attested, index, &attestation);
		index++;
	}
	clear(attest);
}
