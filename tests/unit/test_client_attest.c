/* SPDX-License-Identifier: BSD-3-Clause */
/* A client that wants its answers attested gets those that are, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/scene.h"

#define LEAVES 3u

/* What is attested, and how; each lie changes something of it. */
struct attesting {
	struct resolverd_memory *memory;
	struct signer signer;
	uint64_t at_ms;
	uint32_t index, shown_index, leaf_count;
	size_t path_count;
	bool nothing, another_nonce, another_request, without_last, repeated;
	uint8_t nonces[8][ATTESTATION_NONCE_BYTES]; /* seen */
	size_t nonce_count;
	uint64_t better_from; /* that nonce on, the time is right */
	Resolverd__V1__Attestation *first;
};

static void leaf_of(const struct attesting *attesting, const struct frame *request,
    const Resolverd__V1__Request *message, const Resolverd__V1__Response *response,
    uint8_t ret_leaf[ATTESTATION_HASH_BYTES])
{
	struct attestation_leaf leaf;
	uint8_t request_hash[ATTESTATION_HASH_BYTES], nonce[ATTESTATION_NONCE_BYTES];
	size_t count = response->n_answers - attesting->without_last;
	attestation_hash(
	    request->body, request->body_bytes - attesting->another_request, request_hash);
	memcpy(nonce, message->nonce.data, sizeof nonce);
	nonce[0] ^= attesting->another_nonce;
	attestation_leaf_begin(&leaf, nonce, request_hash, (uint8_t)count);
	for (size_t i = 0; i < count; i++) {
		ProtobufCBinaryData answer = pack(attesting->memory, &response->answers[i]->base);
		attestation_leaf_add(&leaf, answer.data, answer.len);
	}
	attestation_leaf_end(&leaf, ret_leaf);
}

static Resolverd__V1__Attestation *attestation_of(
    const struct attesting *attesting, const uint8_t leaf[ATTESTATION_HASH_BYTES])
{
	struct resolverd_memory *memory = attesting->memory;
	uint8_t(*nodes)[ATTESTATION_HASH_BYTES] =
	    memory_alloc(memory, attestation_tree_nodes(LEAVES), sizeof *nodes);
	const uint8_t *path[ATTESTATION_PATH_MAX];
	Resolverd__V1__Attestation *attestation = NEW(memory, Attestation, attestation);
	memcpy(nodes[attesting->index], leaf, sizeof nodes[0]);
	attestation_tree_make(nodes, LEAVES);
	attestation->n_path = attestation_tree_path(nodes, LEAVES, attesting->index, path);
	attestation->path = memory_alloc(memory, attestation->n_path, sizeof *attestation->path);
	for (size_t i = 0; i < attestation->n_path; i++)
		attestation->path[i] =
		    (ProtobufCBinaryData){ATTESTATION_HASH_BYTES, (uint8_t *)(uintptr_t)path[i]};
	ProtobufCBinaryData message = {
	    ATTESTATION_SIGNED_BYTES, memory_alloc(memory, 1, ATTESTATION_SIGNED_BYTES)};
	attestation->attested_at =
	    attesting->nonce_count >= attesting->better_from ? NOW_MS : attesting->at_ms;
	attestation_message(nodes[attestation_tree_nodes(LEAVES) - 1], attestation->attested_at,
	    LEAVES, message.data);
	sign_bytes(memory, &attesting->signer, SIGNING_CONTEXT_ATTESTATION, message,
	    &attestation->signature, &attestation->key_id);
	attestation->index = attesting->shown_index;
	attestation->leaf_count = attesting->leaf_count;
	attestation->n_path -= attesting->path_count;
	return attestation;
}

static void attest(struct fake_daemon *daemon, const struct frame *request,
    const Resolverd__V1__Request *message, Resolverd__V1__Response *response)
{
	struct attesting *attesting = daemon->attest_with;
	uint8_t leaf[ATTESTATION_HASH_BYTES];
	assert_int_equal(message->nonce.len, ATTESTATION_NONCE_BYTES);
	memcpy(attesting->nonces[attesting->nonce_count++ % 8], message->nonce.data,
	    ATTESTATION_NONCE_BYTES);
	leaf_of(attesting, request, message, response, leaf);
	response->attestation = attestation_of(attesting, leaf);
	if (attesting->first == NULL)
		attesting->first = response->attestation;
	if (attesting->repeated)
		response->attestation = attesting->first;
	if (attesting->nothing)
		response->attestation = NULL;
}

static void begin(struct scene *scene, struct attesting *attesting)
{
	scene_init(scene);
	scene->options.attest = true;
	scene_connect(scene);
	*attesting = (struct attesting){.memory = scene->memory,
	    .signer = signer_of(2),
	    .at_ms = NOW_MS,
	    .index = 1,
	    .shown_index = 1,
	    .leaf_count = LEAVES,
	    .better_from = UINT64_MAX};
	scene->daemon.attest = attest;
	scene->daemon.attest_with = attesting;
}

static void attested_answers_are_taken(void **state)
{
	(void)state;
	for (uint32_t index = 0; index < LEAVES; index++) {
		struct scene scene;
		struct attesting attesting;
		struct resolverd_plan *plan;
		begin(&scene, &attesting);
		attesting.index = attesting.shown_index = index;
		scene_sign(&scene);
		assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
		assert_true(plan->attested);
		assert_true(plan->hosts[0].attested);
		assert_int_equal(plan->outcome, RESOLVERD_DELIVER);
		resolverd_plan_free(plan);
		scene_fini(&scene);
	}
}

static void without_the_option_nothing_is_attested(void **state)
{
	(void)state;
	struct scene scene;
	struct attesting attesting;
	struct resolverd_plan *plan;
	begin(&scene, &attesting);
	scene.options.attest = false;
	scene_connect(&scene);
	scene_sign(&scene);
	assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
	assert_false(plan->attested);
	assert_int_equal(attesting.nonce_count, 0);
	resolverd_plan_free(plan);
	scene_fini(&scene);
}

static void each_request_has_a_nonce_of_its_own(void **state)
{
	(void)state;
	struct scene scene;
	struct attesting attesting;
	struct resolverd_plan *plan;
	begin(&scene, &attesting);
	scene_sign(&scene);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
		resolverd_plan_free(plan);
	}
	assert_int_equal(attesting.nonce_count, 8);
	for (int i = 0; i < 8; i++)
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(
			    attesting.nonces[i], attesting.nonces[j], ATTESTATION_NONCE_BYTES);
	scene_fini(&scene);
}

/* ---- lies ---- */

static void no_attestation(struct attesting *attesting)
{
	attesting->nothing = true;
}

static void another_nonce(struct attesting *attesting)
{
	attesting->another_nonce = true;
}

static void another_request(struct attesting *attesting)
{
	attesting->another_request = true;
}

static void an_answer_less(struct attesting *attesting)
{
	attesting->without_last = true;
}

static void too_old(struct attesting *attesting)
{
	attesting->at_ms = NOW_MS - ATTESTATION_SKEW_MS - 1;
}

static void too_new(struct attesting *attesting)
{
	attesting->at_ms = NOW_MS + ATTESTATION_SKEW_MS + 1;
}

static void another_index(struct attesting *attesting)
{
	attesting->shown_index = 0;
}

static void index_out_of_range(struct attesting *attesting)
{
	attesting->shown_index = LEAVES;
}

static void another_leaf_count(struct attesting *attesting)
{
	attesting->leaf_count = LEAVES + 1;
}

static void path_too_short(struct attesting *attesting)
{
	attesting->path_count = 1;
}

static void another_signer(struct attesting *attesting)
{
	attesting->signer = signer_of(9);
}

static void the_long_term_key(struct attesting *attesting)
{
	attesting->signer = signer_of(1);
}

static const struct {
	void (*change)(struct attesting *attesting);
	const char *detail;
	size_t asked;
} lies[] = {
    {no_attestation, "no attestation came with it", 1},
    {another_nonce, "signature", 1},
    {another_request, "signature", 1},
    {an_answer_less, "signature", 1},
    {too_old, "5 s ago", 2},
    {too_new, "not come yet", 1},
    {another_index, "signature", 1},
    {index_out_of_range, "path", 1},
    {another_leaf_count, "signature", 1},
    {path_too_short, "path", 1},
    {another_signer, "no valid delegation", 1},
    {the_long_term_key, "no valid delegation", 1},
};

static void what_is_not_attested_is_not_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		struct scene scene;
		struct attesting attesting;
		struct resolverd_plan *plan = NULL;
		begin(&scene, &attesting);
		lies[i].change(&attesting);
		scene_sign(&scene);
		int r = ask_plan(&scene, "example.org", &plan);
		const char *detail = resolverd_last_error(scene.client);
		if (r != RESOLVERD_ERROR_VERIFY || plan != NULL ||
		    strstr(detail, lies[i].detail) == NULL ||
		    scene.daemon.answered != lies[i].asked)
			fail_msg("lie %zu: %d, %s, asked %zu times", i, r, detail,
			    scene.daemon.answered);
		scene_fini(&scene);
	}
}

/* A response of a moment ago, for another nonce: nothing of it is of use. */
static void a_recorded_response_is_refused(void **state)
{
	(void)state;
	struct scene scene;
	struct attesting attesting;
	struct resolverd_plan *plan;
	begin(&scene, &attesting);
	attesting.repeated = true;
	scene_sign(&scene);
	assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
	resolverd_plan_free(plan);
	assert_int_equal(ask_plan(&scene, "example.org", &plan), RESOLVERD_ERROR_VERIFY);
	scene_fini(&scene);
}

static void one_that_is_late_is_asked_for_again_with_another_nonce(void **state)
{
	(void)state;
	struct scene scene;
	struct attesting attesting;
	struct resolverd_plan *plan;
	begin(&scene, &attesting);
	too_old(&attesting);
	attesting.better_from = 2;
	scene_sign(&scene);
	assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
	assert_int_equal(attesting.nonce_count, 2);
	assert_memory_not_equal(attesting.nonces[0], attesting.nonces[1], ATTESTATION_NONCE_BYTES);
	resolverd_plan_free(plan);
	scene_fini(&scene);
}

static void hosts_are_attested_alike(void **state)
{
	(void)state;
	for (int good = 0; good < 2; good++) {
		struct scene scene;
		struct attesting attesting;
		struct resolverd_host *host;
		uint64_t id;
		begin(&scene, &attesting);
		attesting.nothing = !good;
		scene.without_route = true;
		scene_sign(&scene);
		assert_int_equal(
		    resolverd_submit_host(scene.client, "mx.example.org", 0, 0, &id), 0);
		run(&scene, id);
		assert_int_equal(resolverd_take_host(scene.client, id, &host),
		    good ? 0 : RESOLVERD_ERROR_VERIFY);
		if (good) {
			assert_true(host->attested);
			resolverd_host_free(host);
		}
		scene_fini(&scene);
	}
}

static void what_cannot_be_attested_is_refused_before_it_is_sent(void **state)
{
	(void)state;
	struct scene scene;
	struct attesting attesting;
	struct resolverd_daemon_status *status;
	uint64_t id;
	begin(&scene, &attesting);
	scene_sign(&scene);
	assert_int_equal(resolverd_submit_explain(scene.client, "example.org", 25, 0, &id),
	    RESOLVERD_ERROR_ARGUMENT);
	/* A status holds no answers. */
	assert_int_equal(resolverd_submit_status(scene.client, &id), 0);
	run(&scene, id);
	assert_int_equal(resolverd_take_status(scene.client, id, &status), 0);
	resolverd_daemon_status_free(status);
	scene_fini(&scene);
}

static void cut_the_first_in_half(struct fake_daemon *daemon, uint8_t *frame, size_t *count)
{
	(void)frame;
	daemon->close_after = daemon->connections == 1;
	if (daemon->close_after)
		*count /= 2;
}

static void over_a_new_connection_it_has_another_nonce(void **state)
{
	(void)state;
	struct scene scene;
	struct attesting attesting;
	struct resolverd_plan *plan;
	begin(&scene, &attesting);
	scene.daemon.spoil = cut_the_first_in_half;
	scene_sign(&scene);
	assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
	assert_int_equal(scene.daemon.connections, 2);
	assert_int_equal(attesting.nonce_count, 2);
	assert_memory_not_equal(attesting.nonces[0], attesting.nonces[1], ATTESTATION_NONCE_BYTES);
	resolverd_plan_free(plan);
	scene_fini(&scene);
}

static void flip_a_bit(struct fake_daemon *daemon, uint8_t *frame, size_t *count)
{
	frame[daemon->spoil_at / 8 % *count] ^= (uint8_t)(1u << daemon->spoil_at % 8);
}

static void no_single_flipped_bit_is_taken(void **state)
{
	(void)state;
	struct scene scene;
	struct attesting attesting;
	struct resolverd_plan *plan = NULL;
	begin(&scene, &attesting);
	scene_sign(&scene);
	assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
	resolverd_plan_free(plan);
	size_t count =
	    FRAME_HEADER_BYTES + resolverd__v1__response__get_packed_size(scene.daemon.answer);
	scene.daemon.close_after = true;
	scene.daemon.spoil = flip_a_bit;
	for (scene.daemon.spoil_at = 0; scene.daemon.spoil_at < 8 * count;
	     scene.daemon.spoil_at += 3) {
		plan = NULL;
		if (ask_plan(&scene, "example.org", &plan) == 0)
			fail_msg("bit %zu of byte %zu", scene.daemon.spoil_at % 8,
			    scene.daemon.spoil_at / 8);
	}
	scene_fini(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(attested_answers_are_taken),
	    cmocka_unit_test(without_the_option_nothing_is_attested),
	    cmocka_unit_test(each_request_has_a_nonce_of_its_own),
	    cmocka_unit_test(what_is_not_attested_is_not_taken),
	    cmocka_unit_test(a_recorded_response_is_refused),
	    cmocka_unit_test(one_that_is_late_is_asked_for_again_with_another_nonce),
	    cmocka_unit_test(hosts_are_attested_alike),
	    cmocka_unit_test(what_cannot_be_attested_is_refused_before_it_is_sent),
	    cmocka_unit_test(over_a_new_connection_it_has_another_nonce),
	    cmocka_unit_test(no_single_flipped_bit_is_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
