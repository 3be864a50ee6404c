/* SPDX-License-Identifier: BSD-3-Clause */
/* Names whose lookups fail are held back: when, for how long, and what others notice of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <sodium.h>

#include "resolverd/server/failures.h"

#define NOW INT64_C(1800000000000)
#define MINUTE_MS 60000

static int setup(void **state)
{
	static struct failures failures;
	*state = &failures;
	return failures_init(&failures);
}

static int teardown(void **state)
{
	failures_fini(*state);
	failures_fini(*state); /* fine twice */
	return 0;
}

static void note(struct failures *failures, const char *name, unsigned count, int64_t now_ms)
{
	while (count-- > 0)
		failures_note(failures, name, now_ms);
}

static void b13_a_name_may_fail_so_often_a_minute_then_it_is_held_till_its_end(void **state)
{
	struct failures *failures = *state;
	note(failures, "a.example", FAILURES_PER_MINUTE - 1, NOW);
	assert_int_equal(failures_hold_ms(failures, "a.example", NOW), 0);
	assert_int_equal(failures->refused, 0);
	note(failures, "a.example", 1, NOW + 20000);
	assert_int_equal(failures_hold_ms(failures, "a.example", NOW + 20000), MINUTE_MS - 20000);
	assert_int_equal(failures_hold_ms(failures, "a.example", NOW + MINUTE_MS - 1), 1);
	assert_int_equal(failures->refused, 2);
	assert_int_equal(failures_hold_ms(failures, "a.example", NOW + MINUTE_MS), 0);
	note(failures, "a.example", 1, NOW + MINUTE_MS); /* a new minute, counted from one */
	assert_int_equal(failures_hold_ms(failures, "a.example", NOW + MINUTE_MS), 0);
}

static void other_names_are_not_held(void **state)
{
	struct failures *failures = *state;
	note(failures, "a.example", 100, NOW);
	assert_int_equal(failures_hold_ms(failures, "b.example", NOW), 0);
	assert_int_equal(failures_hold_ms(failures, "a.exampl", NOW), 0);
	assert_int_equal(failures_hold_ms(failures, "", NOW), 0);
}

/* Whatever the rate of questions: what is let through in an hour. */
static void b13_an_hour_of_questions_costs_a_bounded_number_of_failures(void **state)
{
	struct failures *failures = *state;
	unsigned failed = 0;
	for (int64_t now_ms = NOW; now_ms < NOW + 60 * MINUTE_MS; now_ms += 37)
		if (failures_hold_ms(failures, "a.example", now_ms) == 0) {
			failures_note(failures, "a.example", now_ms);
			failed++;
		}
	assert_in_range(failed, 59 * FAILURES_PER_MINUTE, 61 * FAILURES_PER_MINUTE);
}

static void m07_a_clock_set_back_or_far_ahead_holds_nothing(void **state)
{
	struct failures *failures = *state;
	note(failures, "a.example", 100, NOW);
	assert_int_equal(failures_hold_ms(failures, "a.example", NOW - 1), 0);
	assert_int_equal(failures_hold_ms(failures, "a.example", NOW - 2 * 3600000), 0);
	assert_int_equal(failures_hold_ms(failures, "a.example", NOW + INT64_C(315360000000)), 0);
	note(failures, "a.example", FAILURES_PER_MINUTE, NOW - 2 * 3600000); /* counts from there */
	assert_int_equal(failures_hold_ms(failures, "a.example", NOW - 2 * 3600000), MINUTE_MS);
}

static void under_a_flood_the_oldest_are_forgotten_and_the_latest_held(void **state)
{
	struct failures *failures = *state;
	char name[32];
	unsigned held = 0;
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(name, sizeof name, "n%u.example", i);
		note(failures, name, FAILURES_PER_MINUTE, NOW + i / 10);
		assert_true(failures_hold_ms(failures, name, NOW + i / 10) > 0);
	}
	for (unsigned i = 100000 - 1000; i < 100000; i++) {
		snprintf(name, sizeof name, "n%u.example", i);
		held += failures_hold_ms(failures, name, NOW + 10000) > 0;
	}
	assert_true(held > 950);
}

#define FAILURES_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    FAILURES_TEST(b13_a_name_may_fail_so_often_a_minute_then_it_is_held_till_its_end),
	    FAILURES_TEST(other_names_are_not_held),
	    FAILURES_TEST(b13_an_hour_of_questions_costs_a_bounded_number_of_failures),
	    FAILURES_TEST(m07_a_clock_set_back_or_far_ahead_holds_nothing),
	    FAILURES_TEST(under_a_flood_the_oldest_are_forgotten_and_the_latest_held),
	};
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests_name("failures", tests, NULL, NULL);
}
