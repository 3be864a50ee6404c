/* SPDX-License-Identifier: BSD-3-Clause */
/* What readiness is made of: each check alone turns it red, and says what it saw. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/server/health.h"
#include "tests/unit/test.h"

#define DAY_MS (INT64_C(86400) * 1000)
#define NOW (INT64_C(4000000000) * 1000) /* later than any build */
#define NAME(text) ((char *)(uintptr_t)(text))

struct scene {
	struct config config;
	struct config_canary canaries[2];
	struct pool pool;
	struct health health;
};

static int setup(void **state)
{
	struct scene *scene = calloc(1, sizeof *scene);
	assert_non_null(scene);
	assert_int_equal(pool_init(&scene->pool, NULL, 2, 1000), 0);
	scene->pool.workers[0].up = scene->pool.workers[0].root_secure = true;
	scene->pool.workers[0].root_known = true;
	scene->canaries[0] = (struct config_canary){NAME("good.example"), V1(STATUS__SECURE)};
	scene->canaries[1] = (struct config_canary){NAME("bad.example"), V1(STATUS__BOGUS)};
	scene->config.resolver.canaries = scene->canaries;
	scene->config.resolver.canary_count = 2;
	scene->health.started_at_ms = NOW - 1000;
	scene->health.anchor.checked_at_ms = NOW - DAY_MS;
	scene->health.canaries[0].seen = V1(STATUS__SECURE);
	scene->health.canaries[1].seen = V1(STATUS__BOGUS);
	*state = scene;
	return 0;
}

static int teardown(void **state)
{
	struct scene *scene = *state;
	for (unsigned i = 0; i < POOL_WORKERS_MAX; i++)
		scene->pool.workers[i].up = false; /* no connection was made */
	pool_fini(&scene->pool);
	free(scene);
	return 0;
}

static bool is_ready(const struct scene *scene, char reason[800])
{
	struct health_check checks[HEALTH_CHECKS_MAX];
	size_t count = health_list(&scene->health, &scene->config, &scene->pool, NOW, checks);
	return health_is_ready(checks, count, reason, 800);
}

static void assert_red(const struct scene *scene, const char *name, const char *word)
{
	char reason[800];
	assert_false(is_ready(scene, reason));
	if (strncmp(reason, name, strlen(name)) != 0 || strstr(reason, word) == NULL)
		fail_msg("'%s' should be about %s and say '%s'", reason, name, word);
}

static void all_good_is_ready(void **state)
{
	char reason[800];
	assert_true(is_ready(*state, reason));
	assert_string_equal(reason, "");
}

static void no_worker_is_red(void **state)
{
	struct scene *scene = *state;
	scene->pool.workers[0].up = false;
	assert_red(scene, "workers", "0 of 2");
}

static void a03_a_root_that_does_not_validate_is_red(void **state)
{
	struct scene *scene = *state;
	scene->pool.workers[0].root_secure = false;
	strcpy(scene->pool.not_secure_reason, "because of the path");
	assert_red(scene, "root", "because of the path");
}

static void a_canary_of_another_status_is_red(void **state)
{
	struct scene *scene = *state;
	scene->health.canaries[1].seen = V1(STATUS__INSECURE);
	assert_red(scene, "canary bad.example", "is insecure and should be bogus");
	scene->health.canaries[1].seen = 0;
	assert_red(scene, "canary bad.example", "not looked up yet");
}

static void canaries_are_taken_by_name(void **state)
{
	struct scene *scene = *state;
	Resolverd__Worker__Canary canary = RESOLVERD__WORKER__CANARY__INIT, *list[] = {&canary};
	Resolverd__Worker__SelfCheck check = RESOLVERD__WORKER__SELF_CHECK__INIT;
	check.canaries = list;
	check.n_canaries = 1;
	canary.name = NAME("bad.example");
	canary.seen = V1(STATUS__ERROR);
	canary.reason = NAME("no answer");
	health_take_canaries(&scene->health, &scene->config, &check);
	assert_red(scene, "canary bad.example", "no answer");
	canary.seen = 0; /* still looking: what was seen before stays */
	health_take_canaries(&scene->health, &scene->config, &check);
	assert_red(scene, "canary bad.example", "is error");
	canary.name = NAME("unknown.example");
	canary.seen = V1(STATUS__BOGUS);
	health_take_canaries(&scene->health, &scene->config, &check);
	assert_red(scene, "canary bad.example", "is error");
}

static void m07_a_clock_before_build_or_file_time_is_red_and_holds_all_jobs(void **state)
{
	struct scene *scene = *state;
	scene->pool.hold_reason = scene->health.clock_problem;
	health_look_at_clock(&scene->health, NOW);
	assert_string_equal(scene->health.clock_problem, "");
	health_look_at_clock(&scene->health, 1000);
	assert_red(scene, "clock", "built");
	scene->health.anchor.newest_file_ms = NOW + 60000;
	health_look_at_clock(&scene->health, NOW);
	assert_red(scene, "clock", "file");
	const char *reason;
	assert_false(pool_is_ready(&scene->pool, &reason));
	assert_non_null(strstr(reason, "clock is wrong"));
	scene->health.anchor.newest_file_ms = NOW + 1000; /* file systems round */
	health_look_at_clock(&scene->health, NOW);
	assert_true(pool_is_ready(&scene->pool, &reason));
}

static void root_keys_unchecked_for_long_are_red(void **state)
{
	struct scene *scene = *state;
	scene->health.anchor.checked_at_ms = NOW - 11 * DAY_MS;
	assert_red(scene, "trust-anchor", "11.0 days");
	scene->health.anchor.checked_at_ms = 0; /* never: counted from the start */
	char reason[800];
	assert_true(is_ready(scene, reason));
	scene->health.started_at_ms = NOW - 11 * DAY_MS;
	assert_red(scene, "trust-anchor", "not checked yet");
}

int main(void)
{
#define HEALTH_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    HEALTH_TEST(all_good_is_ready),
	    HEALTH_TEST(no_worker_is_red),
	    HEALTH_TEST(a03_a_root_that_does_not_validate_is_red),
	    HEALTH_TEST(a_canary_of_another_status_is_red),
	    HEALTH_TEST(canaries_are_taken_by_name),
	    HEALTH_TEST(m07_a_clock_before_build_or_file_time_is_red_and_holds_all_jobs),
	    HEALTH_TEST(root_keys_unchecked_for_long_are_red),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
