/* SPDX-License-Identifier: BSD-3-Clause */
/* The client library against a daemon that tells the truth, and against ones that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/fake_daemon.h"

/* A good world that each test changes a little: one next hop with one dane host. */
struct scene {
	struct fake_daemon daemon;
	struct resolverd_memory *memory;
	struct resolverd_client *client;
	struct signer long_term, online, answers; /* answers: who signs them */
	Resolverd__V1__Delegation *delegation;
	Resolverd__V1__Answer *route, *host;
	bool without_host, without_route;
};

static uint64_t stopped_clock(void)
{
	return NOW_MS;
}

static void scene_init(struct scene *scene)
{
	*scene = (struct scene){.memory = memory_new(),
	    .long_term = signer_of(1),
	    .online = signer_of(2),
	    .answers = signer_of(2)};
	fake_start(&scene->daemon);
	fake_trust(&scene->daemon, &scene->long_term);
	scene->delegation = new_delegation(scene->memory, &scene->online);
	scene->route = new_route(scene->memory, "example.org");
	add_mx(scene->memory, scene->route, "mx.example.org");
	scene->host = new_host(scene->memory, "mx.example.org");
	scene->host->expires_at = NOW_MS + 200999;
	scene->host->validated_at = NOW_MS - 5000;
	struct resolverd_options options = {
	    .socket_path = scene->daemon.socket_path, .public_key_file = scene->daemon.key_file};
	assert_int_equal(resolverd_client_new(&options, &scene->client), 0);
	client_set_clock(scene->client, stopped_clock);
}

static Resolverd__V1__Response *status_of_scene(struct scene *scene)
{
	Resolverd__V1__Response *response = NEW(scene->memory, Response, response);
	response->status = NEW(scene->memory, StatusResponse, status_response);
	response->status->delegations = memory_alloc(scene->memory, 1, sizeof(void *));
	response->status->delegations[response->status->n_delegations++] =
	    sign_delegation(scene->memory, &scene->long_term, scene->delegation);
	return response;
}

/* Signs what the test made of the scene. */
static void scene_sign(struct scene *scene)
{
	Resolverd__V1__Response *response = NEW(scene->memory, Response, response);
	response->answers = memory_alloc(scene->memory, 2, sizeof(void *));
	if (!scene->without_route)
		response->answers[response->n_answers++] =
		    sign_answer(scene->memory, &scene->answers, scene->route);
	if (!scene->without_host)
		response->answers[response->n_answers++] =
		    sign_answer(scene->memory, &scene->answers, scene->host);
	scene->daemon.status = status_of_scene(scene);
	scene->daemon.answer = response;
}

static void scene_fini(struct scene *scene)
{
	resolverd_client_free(scene->client);
	fake_stop(&scene->daemon);
	memory_free(scene->memory);
}

static void run(struct scene *scene, uint64_t id)
{
	for (int i = 0; i < 20000 && request_find(scene->client, id)->state != REQUEST_FINISHED;
	     i++) {
		assert_int_equal(resolverd_update(scene->client), 0);
		fake_step(&scene->daemon);
	}
}

static int ask_plan(struct scene *scene, const char *next_hop, struct resolverd_plan **ret_plan)
{
	uint64_t id;
	assert_int_equal(resolverd_submit_plan(scene->client, next_hop, 25, 0, &id), 0);
	run(scene, id);
	return resolverd_take_plan(scene->client, id, ret_plan);
}

/* ---- the truth ---- */

static void check_good_plan(const struct resolverd_plan *plan)
{
	assert_string_equal(plan->next_hop, "example.org");
	assert_int_equal(plan->outcome, RESOLVERD_DELIVER);
	assert_int_equal(plan->host_count, 1);
	assert_int_equal(plan->hosts[0].policy, RESOLVERD_DANE);
	assert_string_equal(plan->hosts[0].addresses[0].text, "192.0.2.1");
	assert_string_equal(plan->hosts[0].sni, "mx.example.org");
	assert_int_equal(plan->hosts[0].tlsa_count, 1);
	assert_string_equal(plan->hosts[0].reference_names[1], "example.org");
	assert_int_equal(plan->expires_in_s, 200); /* the shorter of the two, rounded down */
	assert_int_equal(plan->validated_at_ms, NOW_MS - 5000);
	assert_int_equal(plan->key_id_count, 1);
}

static void a_good_answer_makes_a_plan(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_plan *plan;
	scene_init(&scene);
	scene_sign(&scene);
	assert_int_equal(ask_plan(&scene, "Example.ORG.", &plan), 0);
	resolverd_client_free(scene.client); /* results outlive the client */
	scene.client = NULL;
	check_good_plan(plan);
	resolverd_plan_free(plan);
	scene_fini(&scene);
}

static void a_good_answer_makes_a_plan_byte_by_byte(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_plan *plan;
	scene_init(&scene);
	scene_sign(&scene);
	scene.daemon.out_at_once = 1;
	assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
	check_good_plan(plan);
	resolverd_plan_free(plan);
	scene_fini(&scene);
}

static void an_answer_may_come_before_its_key(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_plan *plan;
	scene_init(&scene);
	scene_sign(&scene);
	scene.daemon.answers_first = true;
	assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
	assert_int_equal(scene.daemon.statuses, 1);
	resolverd_plan_free(plan);
	scene_fini(&scene);
}

static void host_answers_are_verified_alike(void **state)
{
	(void)state;
	for (int wrong = 0; wrong < 2; wrong++) {
		struct scene scene;
		struct resolverd_host *host;
		uint64_t id;
		scene_init(&scene);
		scene.without_route = true;
		scene_sign(&scene);
		const char *name = wrong ? "mx2.example.org" : "MX.example.org";
		assert_int_equal(resolverd_submit_host(scene.client, name, 0, 0, &id), 0);
		run(&scene, id);
		int r = resolverd_take_host(scene.client, id, &host);
		assert_int_equal(r, wrong ? RESOLVERD_ERROR_VERIFY : 0);
		if (!wrong) {
			assert_int_equal(host->policy, RESOLVERD_DANE);
			assert_int_equal(host->reference_name_count, 1);
			resolverd_host_free(host);
		}
		scene_fini(&scene);
	}
}

static void finished_requests_are_named_once_each(void **state)
{
	(void)state;
	struct scene scene;
	uint64_t ids[3], id;
	scene_init(&scene);
	scene_sign(&scene);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
		    resolverd_submit_plan(scene.client, "example.org", 25, 0, &ids[i]), 0);
	assert_false(resolverd_next_finished(scene.client, &id));
	run(&scene, ids[2]);
	for (int i = 0; i < 3; i++) {
		assert_true(resolverd_next_finished(scene.client, &id));
		assert_int_equal(id, ids[i]);
		if (i == 1)
			resolverd_release(scene.client, id);
	}
	assert_false(resolverd_next_finished(scene.client, &id));
	struct resolverd_plan *plan;
	assert_int_equal(
	    resolverd_take_plan(scene.client, ids[1], &plan), RESOLVERD_ERROR_UNKNOWN_ID);
	scene_fini(&scene);
}

/* ---- lies ---- */

static void wrong_signer(struct scene *scene)
{
	scene->answers = signer_of(9);
}

static void wrong_long_term_key(struct scene *scene)
{
	scene->long_term = signer_of(9);
}

static void expired_route(struct scene *scene)
{
	scene->route->expires_at = NOW_MS;
}

static void expired_host(struct scene *scene)
{
	scene->host->expires_at = NOW_MS;
}

static void expired_delegation(struct scene *scene)
{
	scene->delegation->not_after = NOW_MS;
}

static void early_delegation(struct scene *scene)
{
	scene->delegation->not_before = NOW_MS + 1;
}

static void delegation_without_scope(struct scene *scene)
{
	scene->delegation->scope = RESOLVERD__V1__SCOPE__SCOPE_UNSPECIFIED;
}

static void other_next_hop(struct scene *scene)
{
	scene->route->question->name = memory_string(scene->memory, "example.com");
}

static void other_kind(struct scene *scene)
{
	scene->route->question->kind = RESOLVERD__V1__KIND__HOST;
}

static void other_port(struct scene *scene)
{
	scene->host->question->port = 26;
}

static void stray_type(struct scene *scene)
{
	scene->route->question->type = 15;
}

static void other_host(struct scene *scene)
{
	scene->host->question->name = memory_string(scene->memory, "mx.example.com");
}

static void other_data(struct scene *scene)
{
	scene->host->data_case = RESOLVERD__V1__ANSWER__DATA_ROUTE;
	scene->host->route = scene->route->route;
}

static void other_member(struct scene *scene)
{
	scene->host->member = memory_string(scene->memory, "m2");
}

static void no_question(struct scene *scene)
{
	scene->route->question = NULL;
}

static void no_route(struct scene *scene)
{
	scene->without_route = true;
}

static void no_answers(struct scene *scene)
{
	scene->without_route = scene->without_host = true;
}

static void no_host(struct scene *scene)
{
	scene->without_host = true;
}

static void critical(struct scene *scene, Resolverd__V1__Answer *answer, uint32_t number)
{
	answer->critical = memory_alloc(scene->memory, 1, sizeof *answer->critical);
	answer->critical[answer->n_critical++] = number;
}

static void critical_route(struct scene *scene)
{
	critical(scene, scene->route, 709);
}

static void critical_host(struct scene *scene)
{
	critical(scene, scene->host, 0);
}

static void dane_without_tlsa(struct scene *scene)
{
	scene->host->host->n_tlsa = 0;
}

static void bogus_mx(struct scene *scene)
{
	scene->route->route->mx_status = RESOLVERD__V1__STATUS__BOGUS;
}

static const struct {
	void (*change)(struct scene *scene);
	int error;
	const char *detail; /* part of it, or of the plan's reason */
} lies[] = {
    {wrong_signer, RESOLVERD_ERROR_VERIFY, "no valid delegation"},
    {wrong_long_term_key, RESOLVERD_ERROR_VERIFY, "no key of the public key file signed it"},
    {expired_route, RESOLVERD_ERROR_VERIFY, "expired"},
    {expired_host, RESOLVERD_ERROR_VERIFY, "expired"},
    {expired_delegation, RESOLVERD_ERROR_VERIFY, "expired"},
    {early_delegation, RESOLVERD_ERROR_VERIFY, "not valid yet"},
    {delegation_without_scope, RESOLVERD_ERROR_VERIFY, "scope"},
    {other_next_hop, RESOLVERD_ERROR_VERIFY, "not asked"},
    {other_kind, RESOLVERD_ERROR_VERIFY, "not asked"},
    {other_port, RESOLVERD_ERROR_VERIFY, "not asked"},
    {stray_type, RESOLVERD_ERROR_VERIFY, "not asked"},
    {other_host, RESOLVERD_ERROR_VERIFY, "no MX host of"},
    {other_data, RESOLVERD_ERROR_VERIFY, "another kind"},
    {other_member, RESOLVERD_ERROR_VERIFY, "member"},
    {no_question, RESOLVERD_ERROR_VERIFY, "not asked"},
    {no_route, RESOLVERD_ERROR_VERIFY, "not asked"},
    {no_answers, RESOLVERD_ERROR_VERIFY, "no answer"},
    {no_host, 0, "no verified answer"},
    {critical_route, 0, "field 709"},
    {critical_host, 0, "newer client"},
    {dane_without_tlsa, 0, "no host may be used"},
    {bogus_mx, 0, "fails DNSSEC validation"},
};

static void no_lie_delivers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		struct scene scene;
		struct resolverd_plan *plan = NULL;
		scene_init(&scene);
		lies[i].change(&scene);
		scene_sign(&scene);
		int r = ask_plan(&scene, "example.org", &plan);
		const char *text = plan != NULL ? plan->reason : resolverd_last_error(scene.client);
		if (r != lies[i].error || strstr(text, lies[i].detail) == NULL)
			fail_msg("lie %zu: %d, %s", i, r, text);
		if (plan != NULL) {
			assert_int_equal(plan->outcome, RESOLVERD_DELAY);
			for (size_t j = 0; j < plan->host_count; j++)
				assert_int_equal(plan->hosts[j].policy, RESOLVERD_UNREACHABLE);
		}
		resolverd_plan_free(plan);
		scene_fini(&scene);
	}
}

static void flip_a_bit(struct fake_daemon *daemon, uint8_t *frame, size_t *count)
{
	frame[daemon->spoil_at / 8 % *count] ^= (uint8_t)(1u << daemon->spoil_at % 8);
}

static void no_single_flipped_bit_delivers(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene);
	scene_sign(&scene);
	scene.daemon.answer->id = 1;
	size_t count =
	    FRAME_HEADER_BYTES + resolverd__v1__response__get_packed_size(scene.daemon.answer);
	scene.daemon.close_after = true;
	scene.daemon.spoil = flip_a_bit;
	for (scene.daemon.spoil_at = 0; scene.daemon.spoil_at < 8 * count;
	     scene.daemon.spoil_at++) {
		struct resolverd_plan *plan = NULL;
		int r = ask_plan(&scene, "example.org", &plan);
		if (r == 0 ? plan->outcome == RESOLVERD_DELIVER : plan != NULL)
			fail_msg("bit %zu of byte %zu", scene.daemon.spoil_at % 8,
			    scene.daemon.spoil_at / 8);
		assert_int_not_equal(r, RESOLVERD_ERROR_PENDING);
		resolverd_plan_free(plan);
	}
	scene_fini(&scene);
}

/* ---- a rotated key ---- */

static void rotate(struct fake_daemon *daemon, uint8_t *frame, size_t *count)
{
	(void)frame;
	(void)count;
	if (daemon->spoil_at != 0)
		daemon->status = (Resolverd__V1__Response *)daemon->spoil_at;
}

static void an_unknown_key_is_looked_up_once(void **state)
{
	(void)state;
	for (int known = 0; known < 2; known++) {
		struct scene scene;
		struct resolverd_plan *plan = NULL;
		scene_init(&scene);
		scene_sign(&scene);
		scene.answers = signer_of(5);
		Resolverd__V1__Response *old_status = scene.daemon.status;
		scene.delegation = new_delegation(scene.memory, &scene.answers);
		scene_sign(&scene);
		scene.daemon.spoil_at = known ? (uintptr_t)scene.daemon.status : 0;
		scene.daemon.status = old_status;
		scene.daemon.spoil = rotate;
		int r = ask_plan(&scene, "example.org", &plan);
		assert_int_equal(r, known ? 0 : RESOLVERD_ERROR_VERIFY);
		assert_int_equal(scene.daemon.statuses, 2);
		resolverd_plan_free(plan);
		scene_fini(&scene);
	}
}

/* ---- trouble on the line ---- */

static void cut_in_half(struct fake_daemon *daemon, uint8_t *frame, size_t *count)
{
	(void)frame;
	daemon->close_after = daemon->connections <= daemon->spoil_at;
	if (daemon->close_after)
		*count /= 2;
}

static void a_lost_connection_is_made_again_once(void **state)
{
	(void)state;
	for (size_t losses = 1; losses <= 2; losses++) {
		struct scene scene;
		struct resolverd_plan *plan = NULL;
		scene_init(&scene);
		scene_sign(&scene);
		scene.daemon.spoil = cut_in_half;
		scene.daemon.spoil_at = losses;
		int r = ask_plan(&scene, "example.org", &plan);
		assert_int_equal(r, losses == 1 ? 0 : RESOLVERD_ERROR_NO_DAEMON);
		assert_int_equal(scene.daemon.connections, 2);
		resolverd_plan_free(plan);
		scene_fini(&scene);
	}
}

static void oversize(struct fake_daemon *daemon, uint8_t *frame, size_t *count)
{
	(void)count;
	frame_put_header(frame, daemon->spoil_at);
}

static void impossible_frames_end_the_connection(void **state)
{
	(void)state;
	static const size_t lengths[] = {0, FRAME_MAX_RESPONSE_BYTES + 1, 0xffffffff};
	for (size_t i = 0; i < 3; i++) {
		struct scene scene;
		struct resolverd_plan *plan = NULL;
		scene_init(&scene);
		scene_sign(&scene);
		scene.daemon.spoil = oversize;
		scene.daemon.spoil_at = lengths[i];
		assert_int_equal(ask_plan(&scene, "example.org", &plan), RESOLVERD_ERROR_PROTOCOL);
		assert_int_equal(resolverd_client_fd(scene.client), -1);
		scene_fini(&scene);
	}
}

static void errors_of_the_daemon_reach_the_caller(void **state)
{
	(void)state;
	for (int busy = 0; busy < 2; busy++) {
		struct scene scene;
		struct resolverd_plan *plan;
		scene_init(&scene);
		scene_sign(&scene);
		scene.daemon.answer = NEW(scene.memory, Response, response);
		scene.daemon.answer->error = NEW(scene.memory, Error, error);
		scene.daemon.answer->error->code =
		    busy ? RESOLVERD__V1__ERROR_CODE__BUSY : RESOLVERD__V1__ERROR_CODE__INTERNAL;
		scene.daemon.answer->error->text = memory_string(scene.memory, "out of teapots");
		assert_int_equal(ask_plan(&scene, "example.org", &plan),
		    busy ? RESOLVERD_ERROR_BUSY : RESOLVERD_ERROR_REFUSED);
		assert_non_null(strstr(resolverd_last_error(scene.client), "out of teapots"));
		scene_fini(&scene);
	}
}

static void a_synchronous_call_times_out(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_plan *plan;
	scene_init(&scene);
	assert_int_equal(
	    resolverd_plan(scene.client, "example.org", 25, 5, &plan), RESOLVERD_ERROR_TIMEOUT);
	scene_fini(&scene);
}

static void without_a_daemon_requests_fail_at_once(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_plan *plan;
	scene_init(&scene);
	unlink(scene.daemon.socket_path);
	assert_int_equal(
	    resolverd_plan(scene.client, "example.org", 25, -1, &plan), RESOLVERD_ERROR_NO_DAEMON);
	assert_non_null(strstr(resolverd_last_error(scene.client), scene.daemon.socket_path));
	scene_fini(&scene);
}

static void a_bad_key_file_is_named_with_its_line(void **state)
{
	(void)state;
	static const struct {
		const char *text, *detail;
	} rows[] = {
	    {"# nothing\n\n", "key:2: the file holds no key"},
	    {"\nAAAA\n", "key:2: a key has 32 bytes"},
	    {"# a\n!!!\n", "key:2: not base64"},
	    {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
		"key:1: not base64, or too long"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct scene scene;
		struct resolverd_plan *plan;
		scene_init(&scene);
		scene_sign(&scene);
		fake_write_keys(&scene.daemon, rows[i].text);
		assert_int_equal(
		    ask_plan(&scene, "example.org", &plan), RESOLVERD_ERROR_PUBLIC_KEY);
		assert_non_null(strstr(resolverd_last_error(scene.client), rows[i].detail));
		scene_fini(&scene);
	}
}

static void what_cannot_be_asked_is_refused_before_it_is_sent(void **state)
{
	(void)state;
	struct scene scene;
	uint64_t id;
	scene_init(&scene);
	assert_int_equal(
	    resolverd_submit_plan(scene.client, "192.0.2.1", 25, 0, &id), RESOLVERD_ERROR_ARGUMENT);
	assert_int_equal(
	    resolverd_submit_plan(scene.client, "a..b", 25, 0, &id), RESOLVERD_ERROR_ARGUMENT);
	assert_int_equal(
	    resolverd_submit_plan(scene.client, "a.b", 65536, 0, &id), RESOLVERD_ERROR_ARGUMENT);
	assert_int_equal(
	    resolverd_submit_records(scene.client, "a.b", 0, 0, &id), RESOLVERD_ERROR_ARGUMENT);
	assert_int_equal(resolverd_update(scene.client), 0);
	assert_int_equal(resolverd_client_fd(scene.client), -1);
	scene_fini(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_good_answer_makes_a_plan),
	    cmocka_unit_test(a_good_answer_makes_a_plan_byte_by_byte),
	    cmocka_unit_test(an_answer_may_come_before_its_key),
	    cmocka_unit_test(host_answers_are_verified_alike),
	    cmocka_unit_test(finished_requests_are_named_once_each),
	    cmocka_unit_test(no_lie_delivers),
	    cmocka_unit_test(no_single_flipped_bit_delivers),
	    cmocka_unit_test(an_unknown_key_is_looked_up_once),
	    cmocka_unit_test(a_lost_connection_is_made_again_once),
	    cmocka_unit_test(impossible_frames_end_the_connection),
	    cmocka_unit_test(errors_of_the_daemon_reach_the_caller),
	    cmocka_unit_test(a_synchronous_call_times_out),
	    cmocka_unit_test(without_a_daemon_requests_fail_at_once),
	    cmocka_unit_test(a_bad_key_file_is_named_with_its_line),
	    cmocka_unit_test(what_cannot_be_asked_is_refused_before_it_is_sent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
