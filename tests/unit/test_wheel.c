/* SPDX-License-Identifier: BSD-3-Clause */
/* The timing wheel against a list of times: never early, at most a tick late, each exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "resolverd/server/wheel.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define NOW INT64_C(1800000000000)
#define DAY_MS INT64_C(86400000)
#define TICK WHEEL_TICK_MS

struct timer {
	struct wheel_node node; /* the first member */
	bool is_set;
	unsigned fired;
};

static struct timer *fire(struct wheel *wheel, int64_t now_ms)
{
	return (struct timer *)wheel_fire(wheel, now_ms);
}

static int64_t random_below(int64_t bound)
{
	static uint64_t state = 88172645463325252u;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (int64_t)(state % (uint64_t)bound);
}

/* ---- one timer, each level of the wheel and its edges ---- */

static void m05_each_fires_within_a_tick_of_its_time_and_never_before(void **state)
{
	static const int64_t after_ms[] = {1, TICK - 1, TICK, TICK + 1, 63 * TICK, 64 * TICK,
	    64 * TICK + 1, 65 * TICK, 4095 * TICK, 4096 * TICK, 4097 * TICK, 262143 * TICK,
	    262144 * TICK, 262145 * TICK};
	(void)state;
	for (int64_t start = NOW; start < NOW + 70 * TICK; start += TICK / 2 + 1) {
		for (size_t i = 0; i < COUNT(after_ms); i++) {
			struct wheel wheel;
			struct timer timer = {0};
			wheel_init(&wheel, start);
			wheel_set(&wheel, &timer.node, start + after_ms[i]);
			assert_null(fire(&wheel, start + after_ms[i] - 1));
			assert_ptr_equal(fire(&wheel, start + after_ms[i] + TICK), &timer);
			assert_null(fire(&wheel, start + after_ms[i] + TICK));
			assert_null(timer.node.link);
		}
	}
}

/* Only where a slot of the last level comes does anything move, so the ticks between are left out.
 */
static void what_lies_beyond_the_last_level_waits_there(void **state)
{
	struct wheel wheel;
	struct timer timer = {0};
	int64_t at_ms = NOW + 1000 * DAY_MS, span = INT64_C(1) << 24;
	(void)state;
	wheel_init(&wheel, NOW);
	wheel_set(&wheel, &timer.node, at_ms);
	for (int64_t next = (wheel.tick / span + 1) * span; next * TICK < at_ms; next += span) {
		wheel.tick = next - 1;
		assert_null(fire(&wheel, next * TICK));
	}
	assert_null(fire(&wheel, at_ms - 1));
	assert_ptr_equal(fire(&wheel, at_ms + TICK), &timer);
}

static void a_time_that_has_passed_fires_at_the_next_tick(void **state)
{
	static const int64_t times_ms[] = {0, NOW - DAY_MS, NOW - 1, NOW};
	(void)state;
	for (size_t i = 0; i < COUNT(times_ms); i++) {
		struct wheel wheel;
		struct timer timer = {0};
		wheel_init(&wheel, NOW);
		wheel_set(&wheel, &timer.node, times_ms[i]);
		assert_null(fire(&wheel, NOW));
		assert_ptr_equal(fire(&wheel, NOW + TICK), &timer);
	}
}

/* ---- moved and unset ---- */

static void a_timer_that_is_moved_fires_at_its_new_time_only(void **state)
{
	static const int64_t from_ms[] = {TICK, 100 * TICK, 5000 * TICK, 300000 * TICK};
	(void)state;
	for (size_t i = 0; i < COUNT(from_ms); i++) {
		for (size_t j = 0; j < COUNT(from_ms); j++) {
			struct wheel wheel;
			struct timer timer = {0};
			wheel_init(&wheel, NOW);
			wheel_set(&wheel, &timer.node, NOW + from_ms[i]);
			wheel_set(&wheel, &timer.node, NOW + from_ms[j]);
			assert_null(fire(&wheel, NOW + from_ms[j] - 1));
			assert_ptr_equal(fire(&wheel, NOW + from_ms[j] + TICK), &timer);
			assert_null(fire(&wheel, NOW + 400000 * TICK));
		}
	}
}

static void a_timer_that_is_unset_never_fires(void **state)
{
	struct wheel wheel;
	struct timer timers[3] = {0};
	(void)state;
	wheel_init(&wheel, NOW);
	for (size_t i = 0; i < COUNT(timers); i++)
		wheel_set(&wheel, &timers[i].node, NOW + 10 * TICK); /* in one slot */
	wheel_unset(&timers[1].node);
	wheel_unset(&timers[1].node); /* fine twice */
	unsigned fired = 0;
	for (struct timer *timer; (timer = fire(&wheel, NOW + 20 * TICK)) != NULL; fired++)
		assert_ptr_not_equal(timer, &timers[1]);
	assert_int_equal(fired, 2);
}

/* The next that is due may go, or move, while one is handled: its answer was evicted. */
static void the_next_one_due_may_be_unset_or_moved_meanwhile(void **state)
{
	struct wheel wheel;
	struct timer timers[3] = {0};
	(void)state;
	wheel_init(&wheel, NOW);
	for (size_t i = 0; i < COUNT(timers); i++)
		wheel_set(&wheel, &timers[i].node, NOW + TICK);
	struct timer *first = fire(&wheel, NOW + TICK);
	struct timer *others[2];
	size_t n = 0;
	for (size_t i = 0; i < COUNT(timers); i++)
		if (&timers[i] != first)
			others[n++] = &timers[i];
	wheel_unset(&others[0]->node);
	wheel_set(&wheel, &others[1]->node, NOW + 5 * TICK);
	assert_null(fire(&wheel, NOW + 4 * TICK));
	assert_ptr_equal(fire(&wheel, NOW + 5 * TICK), others[1]);
}

/* Each that fires is set again: a long pause ends, it does not loop. */
static void one_set_again_while_time_is_caught_up_fires_at_each_of_its_times(void **state)
{
	struct wheel wheel;
	struct timer timer = {0};
	unsigned fired = 0;
	(void)state;
	wheel_init(&wheel, NOW);
	wheel_set(&wheel, &timer.node, NOW);
	while (fire(&wheel, NOW + 1000 * TICK) != NULL && fired++ < 5000)
		wheel_set(&wheel, &timer.node, NOW); /* always past */
	assert_int_equal(fired, 1000);
}

static void m07_a_clock_that_goes_back_a_little_fires_nothing(void **state)
{
	struct wheel wheel;
	struct timer timer = {0};
	(void)state;
	wheel_init(&wheel, NOW);
	wheel_set(&wheel, &timer.node, NOW + 10 * TICK);
	assert_null(fire(&wheel, NOW + 5 * TICK));
	assert_null(fire(&wheel, NOW - 1000));
	assert_ptr_equal(fire(&wheel, NOW + 10 * TICK + TICK), &timer);
}

/* ---- many, at random ---- */

#define MANY 3000u

static int64_t random_life_ms(void)
{
	static const int64_t most_ms[] = {200, 5000, 300000, 2 * DAY_MS};
	return random_below(most_ms[random_below(COUNT(most_ms))]);
}

static void move_some(struct wheel *wheel, struct timer *timers, int64_t now_ms)
{
	for (unsigned i = 0; i < 30; i++) {
		struct timer *timer = &timers[random_below(MANY)];
		timer->is_set = random_below(4) > 0;
		if (timer->is_set)
			wheel_set(wheel, &timer->node, now_ms + random_life_ms());
		else
			wheel_unset(&timer->node);
	}
}

static void m05_thousands_at_random_are_each_in_time(void **state)
{
	struct wheel wheel;
	struct timer *timers = calloc(MANY, sizeof *timers), *timer;
	(void)state;
	assert_non_null(timers);
	wheel_init(&wheel, NOW);
	int64_t now_ms = NOW, before_ms = NOW;
	for (unsigned round = 0; round < 20000; round++) {
		move_some(&wheel, timers, now_ms);
		before_ms = now_ms;
		now_ms += random_below(10) == 0 ? random_below(60000) : random_below(300);
		while ((timer = fire(&wheel, now_ms)) != NULL) {
			assert_true(timer->is_set);
			assert_true(timer->node.at_ms <= now_ms);
			/* not left over from the round before */
			assert_true(timer->node.at_ms > before_ms - 2 * TICK);
			timer->is_set = false;
			timer->fired++;
		}
	}
	now_ms += 3 * DAY_MS;
	while ((timer = fire(&wheel, now_ms)) != NULL)
		timer->is_set = false;
	for (unsigned i = 0; i < MANY; i++) {
		assert_false(timers[i].is_set);
		assert_true(timers[i].fired > 0);
	}
	free(timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(m05_each_fires_within_a_tick_of_its_time_and_never_before),
	    cmocka_unit_test(what_lies_beyond_the_last_level_waits_there),
	    cmocka_unit_test(a_time_that_has_passed_fires_at_the_next_tick),
	    cmocka_unit_test(a_timer_that_is_moved_fires_at_its_new_time_only),
	    cmocka_unit_test(a_timer_that_is_unset_never_fires),
	    cmocka_unit_test(the_next_one_due_may_be_unset_or_moved_meanwhile),
	    cmocka_unit_test(one_set_again_while_time_is_caught_up_fires_at_each_of_its_times),
	    cmocka_unit_test(m07_a_clock_that_goes_back_a_little_fires_nothing),
	    cmocka_unit_test(m05_thousands_at_random_are_each_in_time),
	};
	return cmocka_run_group_tests_name("wheel", tests, NULL, NULL);
}
