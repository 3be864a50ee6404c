/* SPDX-License-Identifier: BSD-3-Clause */
/* The client library: what it makes of good answers, of trouble on the line and of its caller. */
#include <stdio.h>

#include "tests/unit/scene.h"

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
	for (size_t i = 0; i < COUNT(rows); i++) {
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

static void an_answer_that_expired_on_its_way_is_asked_for_once_more(void **state)
{
	struct scene scene;
	struct resolverd_plan *plan;
	(void)state;
	scene_init(&scene);
	uint64_t good_until = scene.host->expires_at;
	scene.host->expires_at = NOW_MS;
	scene_sign(&scene);
	Resolverd__V1__Response *expired = scene.daemon.answer;
	scene.host->expires_at = good_until;
	scene_sign(&scene);
	scene.daemon.later = scene.daemon.answer;
	scene.daemon.answer = expired;
	assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
	assert_int_equal(plan->outcome, RESOLVERD_DELIVER);
	assert_int_equal(scene.daemon.answered, 2);
	resolverd_plan_free(plan);
	scene.daemon.later = expired; /* always: then it is no accident, and nothing is used */
	assert_int_equal(ask_plan(&scene, "example.org", &plan), RESOLVERD_ERROR_VERIFY);
	assert_int_equal(scene.daemon.answered, 4);
	scene_fini(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_answer_that_expired_on_its_way_is_asked_for_once_more),
	    cmocka_unit_test(a_good_answer_makes_a_plan),
	    cmocka_unit_test(a_good_answer_makes_a_plan_byte_by_byte),
	    cmocka_unit_test(an_answer_may_come_before_its_key),
	    cmocka_unit_test(host_answers_are_verified_alike),
	    cmocka_unit_test(finished_requests_are_named_once_each),
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
