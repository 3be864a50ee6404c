/* SPDX-License-Identifier: BSD-3-Clause */
/* The client library: watches, which finish again and again; warm, and what it means to be busy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/scene.h"

static uint64_t watch(struct scene *scene)
{
	uint64_t id;
	assert_int_equal(resolverd_submit_watch(scene->client, "example.org", 25, 0, &id), 0);
	run(scene, id);
	return id;
}

static void step(struct scene *scene)
{
	for (int i = 0; i < 50; i++) {
		assert_int_equal(resolverd_update(scene->client), 0);
		fake_step(&scene->daemon);
	}
}

/* The daemon tells the plan once more, now with this policy at its host. */
static void change(struct scene *scene, uint64_t id, int policy)
{
	scene->host->host->policy = (Resolverd__V1__Policy)policy;
	scene_sign(scene);
	fake_reply(&scene->daemon, scene->daemon.answer, id, false);
}

static void expect_next(struct scene *scene, uint64_t id, enum resolverd_policy policy)
{
	uint64_t finished;
	struct resolverd_plan *plan;
	assert_true(resolverd_next_finished(scene->client, &finished));
	assert_int_equal(finished, id);
	assert_int_equal(resolverd_take_plan(scene->client, id, &plan), 0);
	assert_int_equal(plan->hosts[0].policy, policy);
	resolverd_plan_free(plan);
	assert_false(resolverd_next_finished(scene->client, &finished));
	assert_int_equal(resolverd_take_plan(scene->client, id, &plan), RESOLVERD_ERROR_PENDING);
}

static void a_watch_finishes_with_every_plan(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene);
	scene_sign(&scene);
	uint64_t id = watch(&scene);
	expect_next(&scene, id, RESOLVERD_DANE);
	for (unsigned i = 0; i < 3; i++) {
		change(&scene, id, RESOLVERD_TLS_NO_AUTH);
		step(&scene);
		expect_next(&scene, id, RESOLVERD_TLS_NO_AUTH);
	}
	assert_int_equal(scene.daemon.connections, 1);
	assert_int_equal(scene.daemon.answered, 1); /* one request for all */
	scene_fini(&scene);
}

static void of_plans_not_taken_the_last_counts(void **state)
{
	(void)state;
	struct scene scene;
	uint64_t id, other;
	scene_init(&scene);
	scene_sign(&scene);
	id = watch(&scene);
	other = watch(&scene);
	assert_true(resolverd_next_finished(scene.client, &(uint64_t){0})); /* named, not taken */
	change(&scene, id, RESOLVERD_TLS_NO_AUTH);
	step(&scene);
	change(&scene, id, RESOLVERD_OPPORTUNISTIC);
	step(&scene);
	uint64_t finished;
	struct resolverd_plan *plan;
	assert_true(resolverd_next_finished(scene.client, &finished));
	assert_int_equal(finished, other);
	assert_int_equal(resolverd_take_plan(scene.client, other, &plan), 0);
	resolverd_plan_free(plan);
	expect_next(&scene, id, RESOLVERD_OPPORTUNISTIC);
	scene_fini(&scene);
}

static void a_plan_that_does_not_verify_ends_the_watch(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_plan *plan;
	scene_init(&scene);
	scene_sign(&scene);
	uint64_t id = watch(&scene);
	expect_next(&scene, id, RESOLVERD_DANE);
	scene.answers = signer_of(3);
	change(&scene, id, RESOLVERD_OPPORTUNISTIC);
	step(&scene);
	assert_int_equal(resolverd_take_plan(scene.client, id, &plan), RESOLVERD_ERROR_VERIFY);
	assert_int_equal(resolverd_take_plan(scene.client, id, &plan), RESOLVERD_ERROR_UNKNOWN_ID);
	scene_fini(&scene);
}

/* before: whether the plan told before is taken before the connection is lost. */
static void lose_connection(bool before)
{
	struct scene scene;
	struct resolverd_plan *plan;
	scene_init(&scene);
	scene_sign(&scene);
	uint64_t id = watch(&scene);
	for (unsigned i = 1; i <= 4; i++) {
		if (before)
			assert_int_equal(resolverd_take_plan(scene.client, id, &plan), 0);
		fake_hang_up(&scene.daemon);
		step(&scene);
		if (!before)
			assert_int_equal(resolverd_take_plan(scene.client, id, &plan), 0);
		resolverd_plan_free(plan);
		step(&scene);
		assert_int_equal(scene.daemon.connections, 1 + i);
		assert_int_equal(scene.daemon.answered, 1 + i); /* asked for anew */
	}
	expect_next(&scene, id, RESOLVERD_DANE);
	change(&scene, id, RESOLVERD_OPPORTUNISTIC);
	step(&scene);
	expect_next(&scene, id, RESOLVERD_OPPORTUNISTIC);
	scene_fini(&scene);
}

static void a_watch_outlives_lost_connections(void **state)
{
	(void)state;
	lose_connection(true);
	lose_connection(false);
}

/* While its plan waits to be taken, another request makes a new connection. */
static void a_watch_is_told_to_a_connection_made_meanwhile(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_plan *plan;
	scene_init(&scene);
	scene_sign(&scene);
	uint64_t id = watch(&scene);
	fake_hang_up(&scene.daemon);
	assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
	resolverd_plan_free(plan);
	assert_int_equal(scene.daemon.answered, 2);
	assert_int_equal(resolverd_take_plan(scene.client, id, &plan), 0);
	resolverd_plan_free(plan);
	step(&scene);
	assert_int_equal(scene.daemon.connections, 2);
	assert_int_equal(scene.daemon.answered, 3);
	assert_int_equal(resolverd_take_plan(scene.client, id, &plan), 0);
	resolverd_plan_free(plan);
	scene_fini(&scene);
}

static void a_released_watch_is_over(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene);
	scene_sign(&scene);
	uint64_t id = watch(&scene), finished;
	resolverd_release(scene.client, id);
	change(&scene, id, RESOLVERD_OPPORTUNISTIC);
	step(&scene);
	assert_false(resolverd_next_finished(scene.client, &finished));
	scene_fini(&scene);
}

static void a_watch_waits_for_the_key_of_a_newer_plan(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_plan *plan;
	scene_init(&scene);
	scene_sign(&scene);
	uint64_t id = watch(&scene);
	expect_next(&scene, id, RESOLVERD_DANE);
	scene.answers = scene.online = signer_of(4);
	scene.delegation = new_delegation(scene.memory, &scene.online);
	change(&scene, id, RESOLVERD_OPPORTUNISTIC);
	change(&scene, id, RESOLVERD_TLS_NO_AUTH);
	step(&scene);
	assert_int_equal(scene.daemon.statuses, 2);
	assert_int_equal(resolverd_take_plan(scene.client, id, &plan), 0);
	assert_int_equal(plan->hosts[0].policy, RESOLVERD_TLS_NO_AUTH);
	resolverd_plan_free(plan);
	scene_fini(&scene);
}

/* ---- warm, busy, stale ---- */

static void warm_gives_a_plan(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_plan *plan;
	uint64_t id;
	scene_init(&scene);
	scene_sign(&scene);
	assert_int_equal(resolverd_submit_warm(scene.client, "example.org", 25, 0, 3600, &id), 0);
	run(&scene, id);
	assert_int_equal(resolverd_take_plan(scene.client, id, &plan), 0);
	assert_int_equal(plan->outcome, RESOLVERD_DELIVER);
	resolverd_plan_free(plan);
	assert_int_equal(resolverd_take_plan(scene.client, id, &plan), RESOLVERD_ERROR_UNKNOWN_ID);
	scene_fini(&scene);
}

static void busy_says_when_to_ask_again(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_plan *plan;
	scene_init(&scene);
	scene_sign(&scene);
	Resolverd__V1__Response *response = NEW(scene.memory, Response, response);
	response->error = NEW(scene.memory, Error, error);
	response->error->code = RESOLVERD__V1__ERROR_CODE__BUSY;
	response->error->text = memory_string(scene.memory, "too much");
	response->error->retry_after_ms = 700;
	scene.daemon.answer = response;
	assert_int_equal(ask_plan(&scene, "example.org", &plan), RESOLVERD_ERROR_BUSY);
	assert_int_equal(resolverd_retry_after_ms(scene.client), 700);
	assert_int_equal(resolverd_take_plan(scene.client, 99, &plan), RESOLVERD_ERROR_UNKNOWN_ID);
	assert_int_equal(resolverd_retry_after_ms(scene.client), 0);
	scene_fini(&scene);
}

static void a_plan_is_stale_when_an_answer_of_it_is(void **state)
{
	(void)state;
	for (int stale = 0; stale < 3; stale++) {
		struct scene scene;
		struct resolverd_plan *plan;
		scene_init(&scene);
		scene.route->stale_since = stale == 1 ? NOW_MS - 1000 : 0;
		scene.host->stale_since = stale == 2 ? NOW_MS - 1000 : 0;
		scene_sign(&scene);
		assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
		assert_int_equal(plan->stale, stale != 0);
		resolverd_plan_free(plan);
		scene_fini(&scene);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_watch_finishes_with_every_plan),
	    cmocka_unit_test(of_plans_not_taken_the_last_counts),
	    cmocka_unit_test(a_plan_that_does_not_verify_ends_the_watch),
	    cmocka_unit_test(a_watch_outlives_lost_connections),
	    cmocka_unit_test(a_watch_is_told_to_a_connection_made_meanwhile),
	    cmocka_unit_test(a_released_watch_is_over),
	    cmocka_unit_test(a_watch_waits_for_the_key_of_a_newer_plan),
	    cmocka_unit_test(warm_gives_a_plan),
	    cmocka_unit_test(busy_says_when_to_ask_again),
	    cmocka_unit_test(a_plan_is_stale_when_an_answer_of_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
