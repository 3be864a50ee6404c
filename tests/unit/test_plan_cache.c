/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans kept in the process: as good as asked for, or asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/scene.h"

static uint64_t now_ms, boot_ms;

static uint64_t moving_clock(void)
{
	return now_ms;
}

static uint64_t boot_clock(void)
{
	return boot_ms;
}

static void begin(struct scene *scene, unsigned plan_cache, bool attest)
{
	scene_init(scene);
	now_ms = NOW_MS;
	scene->options.plan_cache = plan_cache;
	scene->options.attest = attest;
	scene_connect(scene);
	client_set_clock(scene->client, moving_clock);
	scene_sign(scene);
}

/* How often the daemon is asked for it. */
static size_t asks(struct scene *scene, const char *next_hop, unsigned port, int want)
{
	struct resolverd_plan *plan = NULL;
	size_t before = scene->daemon.answered;
	uint64_t id;
	assert_int_equal(resolverd_submit_plan(scene->client, next_hop, port, 0, &id), 0);
	run(scene, id);
	int r = resolverd_take_plan(scene->client, id, &plan);
	assert_int_equal(r, want);
	if (r == 0) {
		assert_string_equal(plan->next_hop, "example.org");
		assert_int_equal(plan->outcome, RESOLVERD_DELIVER);
		assert_int_equal(plan->expires_in_s, (plan->expires_at_ms - now_ms) / 1000);
		assert_true(now_ms < plan->expires_at_ms);
	}
	resolverd_plan_free(plan);
	return scene->daemon.answered - before;
}

static void it_is_off_by_default(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene, 0, false);
	for (int i = 0; i < 3; i++)
		assert_int_equal(asks(&scene, "example.org", 25, 0), 1);
	scene_fini(&scene);
}

static void a_live_plan_is_asked_for_once(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene, 100, false);
	assert_int_equal(asks(&scene, "example.org", 25, 0), 1);
	for (int i = 0; i < 50; i++) {
		now_ms += 1000;
		assert_int_equal(asks(&scene, "Example.ORG.", 0, 0), 0);
	}
	scene_fini(&scene);
}

static void m05_a_plan_that_expired_is_never_returned(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene, 100, false);
	asks(&scene, "example.org", 25, 0);
	now_ms = scene.host->expires_at - 1; /* the shorter of its two answers */
	assert_int_equal(asks(&scene, "example.org", 25, 0), 0);
	now_ms = scene.host->expires_at;
	scene.host->expires_at += 60000;
	scene_sign(&scene);
	assert_int_equal(asks(&scene, "example.org", 25, 0), 1);
	now_ms = scene.host->expires_at;
	assert_int_equal(asks(&scene, "example.org", 25, RESOLVERD_ERROR_VERIFY), 2);
	scene_fini(&scene);
}

/* What it was kept with has ended, and is no answer of the time that the clock shows now. */
static void m07_a_step_of_the_clock_ends_it(void **state)
{
	(void)state;
	static const int64_t steps_ms[] = {-3000000, -100000, 10000};
	for (size_t i = 0; i < sizeof steps_ms / sizeof *steps_ms; i++) {
		struct scene scene;
		begin(&scene, 100, false);
		client_set_boot_clock(scene.client, boot_clock);
		boot_ms = 1000000;
		asks(&scene, "example.org", 25, 0);
		boot_ms += 1000;
		now_ms += 2500; /* no step yet, as when the clock is disciplined */
		assert_int_equal(asks(&scene, "example.org", 25, 0), 0);
		boot_ms += 3000000;
		now_ms += 3000000 + (uint64_t)steps_ms[i];
		scene.route->expires_at = scene.host->expires_at = now_ms + 60000;
		scene_sign(&scene);
		assert_int_equal(asks(&scene, "example.org", 25, 0), 1);
		boot_ms += 1000;
		now_ms += 1000;
		assert_int_equal(asks(&scene, "example.org", 25, 0), 0);
		scene_fini(&scene);
	}
}

static void m05_what_is_to_be_used_once_is_not_kept(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene, 100, false);
	scene.host->cacheable = false;
	scene_sign(&scene);
	for (int i = 0; i < 3; i++)
		assert_int_equal(asks(&scene, "example.org", 25, 0), 1);
	scene_fini(&scene);
}

static void another_port_is_another_plan(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene, 100, false);
	asks(&scene, "example.org", 25, 0);
	/* The host's answer is for port 25: this is refused, not taken from the cache. */
	assert_int_equal(asks(&scene, "example.org", 26, RESOLVERD_ERROR_VERIFY), 1);
	assert_int_equal(asks(&scene, "example.org", 25, 0), 0);
	scene_fini(&scene);
}

static void it_is_not_used_with_attestation(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene, 100, true);
	for (int i = 0; i < 3; i++)
		assert_int_equal(asks(&scene, "example.org", 25, RESOLVERD_ERROR_VERIFY), 1);
	scene_fini(&scene);
}

static void learn_keys(struct scene *scene)
{
	uint64_t id;
	assert_int_equal(resolverd_submit_status(scene->client, &id), 0);
	run(scene, id);
	resolverd_release(scene->client, id);
}

static void a_change_of_keys_ends_it(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene, 100, false);
	asks(&scene, "example.org", 25, 0);
	scene.online = scene.answers = signer_of(7);
	scene.delegation = new_delegation(scene.memory, &scene.online);
	scene_sign(&scene);
	learn_keys(&scene);
	assert_int_equal(asks(&scene, "example.org", 25, 0), 1);
	assert_int_equal(asks(&scene, "example.org", 25, 0), 0);
	scene_fini(&scene);
}

/* With the old key still delegated beside the new one. */
static void another_key_beside_ends_it_too(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene, 100, false);
	asks(&scene, "example.org", 25, 0);
	Resolverd__V1__StatusResponse *status = scene.daemon.status->status;
	struct signer other = signer_of(7);
	status->delegations = memory_alloc(scene.memory, 2, sizeof *status->delegations);
	status->delegations[0] = sign_delegation(
	    scene.memory, &scene.long_term, new_delegation(scene.memory, &scene.online));
	status->delegations[1] =
	    sign_delegation(scene.memory, &scene.long_term, new_delegation(scene.memory, &other));
	status->n_delegations = 2;
	learn_keys(&scene);
	assert_int_equal(asks(&scene, "example.org", 25, 0), 1);
	scene_fini(&scene);
}

static void a_delegation_that_ended_ends_it(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene, 100, false);
	scene.delegation->not_after = NOW_MS + 10000;
	scene_sign(&scene);
	asks(&scene, "example.org", 25, 0);
	now_ms = NOW_MS + 10000;
	assert_int_equal(asks(&scene, "example.org", 25, RESOLVERD_ERROR_VERIFY), 1);
	scene_fini(&scene);
}

/* The daemon went since the socket was last looked at: perhaps it comes back with other keys. */
static void a_lost_connection_is_seen_before_it_is_used(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene, 100, false);
	asks(&scene, "example.org", 25, 0);
	fake_hang_up(&scene.daemon);
	scene.online = scene.answers = signer_of(7);
	scene.delegation = new_delegation(scene.memory, &scene.online);
	scene_sign(&scene);
	assert_int_equal(asks(&scene, "example.org", 25, 0), 1);
	assert_int_equal(scene.daemon.connections, 2);
	scene_fini(&scene);
}

static void without_a_daemon_there_is_no_plan(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_plan *plan;
	begin(&scene, 100, false);
	asks(&scene, "example.org", 25, 0);
	fake_hang_up(&scene.daemon);
	unlink(scene.daemon.socket_path);
	assert_int_equal(
	    resolverd_plan(scene.client, "example.org", 25, -1, &plan), RESOLVERD_ERROR_NO_DAEMON);
	scene_fini(&scene);
}

static void it_is_named_as_finished_and_can_be_released(void **state)
{
	(void)state;
	struct scene scene;
	uint64_t ids[2], id;
	begin(&scene, 100, false);
	asks(&scene, "example.org", 25, 0);
	while (resolverd_next_finished(scene.client, &id))
		;
	for (int i = 0; i < 2; i++)
		assert_int_equal(
		    resolverd_submit_plan(scene.client, "example.org", 25, 0, &ids[i]), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(resolverd_next_finished(scene.client, &id));
		assert_int_equal(id, ids[i]);
	}
	assert_false(resolverd_next_finished(scene.client, &id));
	resolverd_release(scene.client, ids[0]);
	scene_fini(&scene); /* with the other still there */
}

/* A batch whose plans are all kept is done without a word to the daemon. */
static void a_batch_is_answered_from_it(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_planned items[200];
	begin(&scene, 100, false);
	asks(&scene, "example.org", 25, 0);
	size_t before = scene.daemon.answered;
	for (size_t i = 0; i < 200; i++)
		items[i] = (struct resolverd_planned){.next_hop = "example.org"};
	assert_int_equal(resolverd_plans(scene.client, items, 200, 5, 0), 0);
	for (size_t i = 0; i < 200; i++) {
		assert_non_null(items[i].plan);
		resolverd_plan_free(items[i].plan);
	}
	assert_int_equal(scene.daemon.answered, before);
	scene_fini(&scene);
}

/* ---- the cache by itself ---- */

static void it_is_bounded(void **state)
{
	(void)state;
	static const size_t bounds[] = {1, 2, 7, 8, 9, 100, 1000};
	for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
		struct plan_cache cache;
		char name[32];
		size_t kept = 0;
		assert_int_equal(plan_cache_init(&cache, bounds[i]), 0);
		for (unsigned j = 0; j < 5000; j++) {
			snprintf(name, sizeof name, "d%u.example.org", j);
			plan_cache_store(&cache, name, 25, (const uint8_t *)name, strlen(name),
			    NOW_MS, NOW_MS + 1);
			const struct cached_plan *found = plan_cache_find(&cache, name, 25, NOW_MS);
			assert_non_null(found);
			assert_memory_equal(found->body, name, strlen(name));
		}
		for (unsigned j = 0; j < 5000; j++) {
			snprintf(name, sizeof name, "d%u.example.org", j);
			kept += plan_cache_find(&cache, name, 25, NOW_MS) != NULL;
			assert_null(plan_cache_find(&cache, name, 26, NOW_MS));
		}
		assert_in_range(kept, bounds[i] * 8 / 10, bounds[i]);
		for (unsigned j = 0; j < 5000; j++) {
			snprintf(name, sizeof name, "d%u.example.org", j);
			assert_null(plan_cache_find(&cache, name, 25, NOW_MS + 1));
		}
		plan_cache_fini(&cache);
	}
}

static void what_is_used_stays(void **state)
{
	(void)state;
	struct plan_cache cache;
	char name[32];
	assert_int_equal(plan_cache_init(&cache, 64), 0);
	plan_cache_store(&cache, "used.org", 25, (const uint8_t *)"x", 1, NOW_MS, NOW_MS + 1);
	for (unsigned j = 0; j < 5000; j++) {
		snprintf(name, sizeof name, "d%u.example.org", j);
		plan_cache_store(&cache, name, 25, (const uint8_t *)"y", 1, NOW_MS, NOW_MS + 1);
		assert_non_null(plan_cache_find(&cache, "used.org", 25, NOW_MS));
	}
	plan_cache_fini(&cache);
}

static void large_responses_are_not_kept(void **state)
{
	(void)state;
	struct plan_cache cache;
	static uint8_t body[PLAN_CACHE_BODY_MAX_BYTES + 1];
	assert_int_equal(plan_cache_init(&cache, 8), 0);
	plan_cache_store(&cache, "a.org", 25, body, sizeof body, NOW_MS, NOW_MS + 1);
	assert_null(plan_cache_find(&cache, "a.org", 25, NOW_MS));
	plan_cache_store(&cache, "a.org", 25, body, sizeof body - 1, NOW_MS, NOW_MS + 1);
	assert_non_null(plan_cache_find(&cache, "a.org", 25, NOW_MS));
	plan_cache_fini(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_is_off_by_default),
	    cmocka_unit_test(a_live_plan_is_asked_for_once),
	    cmocka_unit_test(m05_a_plan_that_expired_is_never_returned),
	    cmocka_unit_test(m07_a_step_of_the_clock_ends_it),
	    cmocka_unit_test(m05_what_is_to_be_used_once_is_not_kept),
	    cmocka_unit_test(another_port_is_another_plan),
	    cmocka_unit_test(it_is_not_used_with_attestation),
	    cmocka_unit_test(a_change_of_keys_ends_it),
	    cmocka_unit_test(another_key_beside_ends_it_too),
	    cmocka_unit_test(a_delegation_that_ended_ends_it),
	    cmocka_unit_test(a_lost_connection_is_seen_before_it_is_used),
	    cmocka_unit_test(without_a_daemon_there_is_no_plan),
	    cmocka_unit_test(it_is_named_as_finished_and_can_be_released),
	    cmocka_unit_test(a_batch_is_answered_from_it),
	    cmocka_unit_test(it_is_bounded),
	    cmocka_unit_test(what_is_used_stays),
	    cmocka_unit_test(large_responses_are_not_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
