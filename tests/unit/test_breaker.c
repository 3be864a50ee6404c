/* SPDX-License-Identifier: BSD-3-Clause */
/* When a store that fails is left alone, for how long, and when it is tried again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "resolverd/server/breaker.h"

#define NOW INT64_C(5000000)

static void let_fail(struct breaker *breaker, unsigned count, int64_t now_ms, uint64_t random)
{
	while (count-- > 0) {
		assert_true(breaker_allows(breaker, now_ms));
		breaker_note(breaker, false, now_ms, random);
	}
}

static void a_failure_between_successes_opens_nothing(void **state)
{
	struct breaker breaker = {0};
	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		let_fail(&breaker, BREAKER_FAILURES - 1, NOW, 0);
		assert_true(breaker_allows(&breaker, NOW));
		breaker_note(&breaker, true, NOW, 0);
	}
	assert_false(breaker_is_open(&breaker));
	assert_int_equal(breaker.opened_count, 0);
}

static void failures_in_a_row_open_it_for_a_second_or_so(void **state)
{
	struct breaker shortest = {0}, longest = {0};
	(void)state;
	let_fail(&shortest, BREAKER_FAILURES, NOW, 0);
	let_fail(&longest, BREAKER_FAILURES, NOW, 500);
	assert_false(breaker_allows(&shortest, NOW));
	assert_false(breaker_allows(&shortest, NOW + 749));
	assert_true(breaker_allows(&shortest, NOW + 750));
	assert_false(breaker_allows(&longest, NOW + 1249));
	assert_true(breaker_allows(&longest, NOW + 1250));
}

static void one_request_tries_it_and_the_others_wait_for_what_it_finds(void **state)
{
	struct breaker breaker = {0};
	(void)state;
	let_fail(&breaker, BREAKER_FAILURES, NOW, 0);
	assert_true(breaker_allows(&breaker, NOW + 2000));
	assert_false(breaker_allows(&breaker, NOW + 2000));
	assert_false(breaker_allows(&breaker, NOW + 99999));
	breaker_note(&breaker, true, NOW + 2010, 0);
	assert_false(breaker_is_open(&breaker));
	let_fail(&breaker, BREAKER_FAILURES - 1, NOW + 2020, 0); /* counted from none */
	assert_true(breaker_allows(&breaker, NOW + 2020));
}

static void each_trial_that_fails_doubles_the_time_up_to_a_bound(void **state)
{
	struct breaker breaker = {0};
	int64_t now_ms = NOW, ms = BREAKER_FIRST_MS;
	(void)state;
	let_fail(&breaker, BREAKER_FAILURES, now_ms, 0);
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(breaker.open_until_ms - now_ms, ms * 3 / 4);
		now_ms = breaker.open_until_ms;
		let_fail(&breaker, 1, now_ms, 0);
		ms = ms * 2 < BREAKER_LONGEST_MS ? ms * 2 : BREAKER_LONGEST_MS;
	}
	assert_int_equal(breaker.opened_count, 41);
	now_ms = breaker.open_until_ms;
	assert_true(breaker_allows(&breaker, now_ms));
	breaker_note(&breaker, true, now_ms, 0);
	let_fail(&breaker, BREAKER_FAILURES, now_ms, 0); /* it begins with the shortest again */
	assert_int_equal(breaker.open_until_ms - now_ms, BREAKER_FIRST_MS * 3 / 4);
}

static void what_was_asked_before_it_opened_tells_nothing_any_more(void **state)
{
	struct breaker breaker = {0};
	(void)state;
	assert_true(breaker_allows(&breaker, NOW)); /* comes back late */
	let_fail(&breaker, BREAKER_FAILURES, NOW, 0);
	int64_t until_ms = breaker.open_until_ms;
	breaker_note(&breaker, false, NOW + 10, 0);
	assert_int_equal(breaker.open_until_ms, until_ms);
	breaker_note(&breaker, true, NOW + 10, 0);
	assert_true(breaker_is_open(&breaker));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_failure_between_successes_opens_nothing),
	    cmocka_unit_test(failures_in_a_row_open_it_for_a_second_or_so),
	    cmocka_unit_test(one_request_tries_it_and_the_others_wait_for_what_it_finds),
	    cmocka_unit_test(each_trial_that_fails_doubles_the_time_up_to_a_bound),
	    cmocka_unit_test(what_was_asked_before_it_opened_tells_nothing_any_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
