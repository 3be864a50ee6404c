/* SPDX-License-Identifier: BSD-3-Clause */
/* Single flight: one job for each question, who is told of it, and in what order jobs are handed
 * out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "resolverd/server/flight.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define ROUTE RESOLVERD__V1__KIND__ROUTE
#define HOST RESOLVERD__V1__KIND__HOST
#define RECORDS RESOLVERD__V1__KIND__RECORDS

struct asker {
	struct job_waiter waiter; /* the first member */
	unsigned answers;
	void *answer;
	struct flight *flight;   /* asks again from within */
	struct asker *forgotten; /* forgets this one from within */
};

static void on_answer(struct job_waiter *waiter, void *answer);

static struct question_key key_of(int kind, uint16_t number, const char *name)
{
	struct question_key key;
	question_key_make(&key, kind, number, name);
	return key;
}

static struct flight_job *ask_as(
    struct flight *flight, struct asker *asker, const char *name, enum flight_class class)
{
	struct question_key key = key_of(ROUTE, 0, name);
	struct flight_job *job;
	asker->waiter.on_answer = on_answer;
	assert_int_equal(flight_ask(flight, &key, 0, class, &asker->waiter, &job), 0);
	return job;
}

static struct flight_job *ask(struct flight *flight, struct asker *asker, const char *name)
{
	return ask_as(flight, asker, name, FLIGHT_ASKED);
}

static struct flight_job *refresh(struct flight *flight, const char *name, unsigned urgency)
{
	struct question_key key = key_of(ROUTE, 0, name);
	struct flight_job *job;
	assert_int_equal(flight_refresh(flight, &key, urgency, 1, &job), 0);
	return job;
}

static void on_answer(struct job_waiter *waiter, void *answer)
{
	struct asker *asker = (struct asker *)waiter;
	assert_false(waiter->waiting);
	asker->answers++;
	asker->answer = answer;
	if (asker->forgotten != NULL)
		flight_forget(&asker->forgotten->waiter);
	if (asker->flight != NULL && asker->answers == 1)
		ask(asker->flight, asker, "again");
}

static int setup(void **state)
{
	struct flight *flight = calloc(1, sizeof *flight);
	assert_non_null(flight);
	*state = flight;
	return flight_init(flight);
}

static int teardown(void **state)
{
	flight_fini(*state);
	free(*state);
	return 0;
}

static void take_is(struct flight *flight, const char *name)
{
	struct flight_job *job = flight_take(flight);
	assert_non_null(job);
	assert_string_equal(job->question.name, name);
	flight_end(flight, job, NULL);
}

/* ---- one job for each question ---- */

static void equal_questions_are_one_job_whose_answer_all_get(void **state)
{
	struct flight *flight = *state;
	struct asker askers[3] = {0};
	struct flight_job *job = ask(flight, &askers[0], "a.example");
	assert_ptr_equal(ask(flight, &askers[1], "a.example"), job);
	assert_ptr_equal(flight_take(flight), job);
	assert_ptr_equal(ask(flight, &askers[2], "a.example"), job); /* while it runs */
	assert_null(flight_take(flight));
	assert_int_equal(flight->jobs.count, 1);
	flight_end(flight, job, &askers);
	for (size_t i = 0; i < COUNT(askers); i++) {
		assert_int_equal(askers[i].answers, 1);
		assert_ptr_equal(askers[i].answer, &askers);
	}
	assert_int_equal(flight->jobs.count, 0);
}

static void kind_type_port_and_name_make_jobs_of_their_own(void **state)
{
	struct flight *flight = *state;
	const struct question_key keys[] = {key_of(ROUTE, 0, "a"), key_of(HOST, 25, "a"),
	    key_of(HOST, 26, "a"), key_of(RECORDS, 25, "a"), key_of(ROUTE, 0, "b")};
	struct flight_job *job, *jobs[COUNT(keys)];
	for (size_t i = 0; i < COUNT(keys); i++)
		assert_int_equal(flight_refresh(flight, &keys[i], 0, 1, &jobs[i]), 0);
	assert_int_equal(flight->jobs.count, COUNT(keys));
	assert_int_equal(jobs[1]->question.kind, HOST);
	assert_int_equal(jobs[1]->question.port, 25);
	assert_int_equal(jobs[3]->question.type, 25);
	for (size_t i = 0; i < COUNT(keys); i++) {
		assert_int_equal(flight_refresh(flight, &keys[i], 0, 1, &job), 0);
		assert_ptr_equal(job, jobs[i]);
	}
}

static void a_trace_shares_nothing(void **state)
{
	struct flight *flight = *state;
	struct asker plain = {0}, traced = {0};
	struct flight_job *job = ask(flight, &plain, "a.example");
	struct flight_job *trace = ask_as(flight, &traced, "a.example", FLIGHT_TRACED);
	assert_ptr_not_equal(job, trace);
	assert_true(trace->trace);
	assert_int_equal(trace->question.kind, ROUTE);
	assert_ptr_equal(flight_take(flight), job);
	assert_null(flight_take(flight)); /* for the tracer only */
	assert_ptr_equal(flight_take_trace(flight), trace);
	flight_end(flight, job, state);
	assert_int_equal(traced.answers, 0);
	flight_end(flight, trace, state);
	assert_int_equal(traced.answers, 1);
}

/* ---- who waits ---- */

static void who_no_longer_waits_is_not_told_and_the_job_goes_on(void **state)
{
	struct flight *flight = *state;
	struct asker askers[2] = {0};
	struct flight_job *job = ask(flight, &askers[0], "a.example");
	flight_forget(&askers[0].waiter);
	flight_forget(&askers[0].waiter); /* fine twice */
	assert_ptr_equal(flight_take(flight), job);
	assert_ptr_equal(ask(flight, &askers[1], "a.example"), job); /* the next one joins */
	flight_end(flight, job, NULL);
	assert_int_equal(askers[0].answers, 0);
	assert_int_equal(askers[1].answers, 1);
}

static void one_told_may_ask_again_or_end_another_from_within(void **state)
{
	struct flight *flight = *state;
	struct asker first = {0}, second = {.flight = flight, .forgotten = &first};
	struct flight_job *job = ask(flight, &first, "again");
	ask(flight, &second, "again"); /* told first */
	flight_take(flight);
	flight_end(flight, job, NULL);
	assert_int_equal(first.answers, 0);
	assert_int_equal(second.answers, 1);
	assert_true(second.waiter.waiting); /* for a new job of the same question */
	take_is(flight, "again");
	assert_int_equal(second.answers, 2);
}

/* ---- in what order ---- */

static void the_asked_go_first_in_their_order_then_the_most_wanted(void **state)
{
	struct flight *flight = *state;
	struct asker askers[2] = {0};
	refresh(flight, "little", 0);
	refresh(flight, "much", 5);
	refresh(flight, "beyond the last", FLIGHT_URGENCIES + 3);
	refresh(flight, "as much, later", 5);
	ask(flight, &askers[0], "first");
	ask(flight, &askers[1], "second");
	static const char *const order[] = {
	    "first", "second", "beyond the last", "much", "as much, later", "little"};
	for (size_t i = 0; i < COUNT(order); i++)
		take_is(flight, order[i]);
	assert_null(flight_take(flight));
}

static void a_refresh_that_is_asked_for_goes_with_the_asked(void **state)
{
	struct flight *flight = *state;
	struct asker asker = {0}, warm = {0};
	struct flight_job *job = refresh(flight, "wanted", 0);
	refresh(flight, "other", 7);
	ask_as(flight, &warm, "other", FLIGHT_BACKGROUND); /* that alone does not */
	assert_ptr_equal(ask(flight, &asker, "wanted"), job);
	assert_false(job->refresh);
	assert_int_equal(job->avoid, 1); /* another worker still */
	take_is(flight, "wanted");
	take_is(flight, "other");
	assert_int_equal(asker.answers + warm.answers, 2);
	assert_int_equal(flight->refreshes_running, 0);
}

static void a_background_question_waits_with_the_refreshes(void **state)
{
	struct flight *flight = *state;
	struct asker warm = {0}, asker = {0};
	struct flight_job *job = ask_as(flight, &warm, "warm", FLIGHT_BACKGROUND);
	assert_true(job->refresh);
	refresh(flight, "in use", 3);
	ask(flight, &asker, "asked");
	take_is(flight, "asked");
	take_is(flight, "in use");
	take_is(flight, "warm");
	assert_int_equal(warm.answers, 1);
}

static void a_job_put_back_keeps_its_waiters_and_its_turn(void **state)
{
	struct flight *flight = *state;
	struct asker askers[2] = {0};
	ask(flight, &askers[0], "a");
	ask(flight, &askers[1], "b");
	refresh(flight, "r", 7);
	struct flight_job *job = flight_take(flight);
	flight_put_back(flight, job, false);
	assert_ptr_equal(flight_take(flight), job);
	flight_put_back(flight, job, true); /* after those that wait already */
	take_is(flight, "b");
	take_is(flight, "a");
	assert_int_equal(askers[0].answers, 1);
	job = flight_take(flight);
	assert_int_equal(flight->refreshes_running, 1);
	flight_put_back(flight, job, true);
	assert_int_equal(flight->refreshes_running, 0);
	take_is(flight, "r");
}

/* ---- bounds ---- */

static void only_so_many_refreshes_run_at_once_and_the_asked_pass_by(void **state)
{
	struct flight *flight = *state;
	struct asker asker = {0};
	flight->refreshes_running_max = 2;
	for (unsigned i = 0; i < 4; i++) {
		char name[8];
		snprintf(name, sizeof name, "r%u", i);
		refresh(flight, name, 1);
	}
	struct flight_job *first = flight_take(flight), *second = flight_take(flight);
	assert_non_null(second);
	assert_null(flight_take(flight));
	ask(flight, &asker, "asked");
	take_is(flight, "asked");
	flight_end(flight, first, NULL);
	take_is(flight, "r2");
	flight_end(flight, second, NULL);
	take_is(flight, "r3");
}

/* What nobody waits for leaves room for what somebody does. */
static void beyond_the_limit_new_work_is_busy_and_old_jobs_are_still_joined(void **state)
{
	struct flight *flight = *state;
	static struct asker askers[FLIGHT_JOBS_MAX], late;
	struct question_key key;
	struct flight_job *job;
	char name[32];
	for (unsigned i = 0; i < FLIGHT_UNASKED_MAX; i++) {
		snprintf(name, sizeof name, "r%u", i);
		refresh(flight, name, i);
	}
	key = key_of(ROUTE, 0, "one more");
	late.waiter.on_answer = on_answer;
	assert_int_equal(flight_refresh(flight, &key, 7, 1, &job), -EBUSY);
	assert_int_equal(
	    flight_ask(flight, &key, 0, FLIGHT_BACKGROUND, &late.waiter, &job), -EBUSY);
	for (unsigned i = 0; i < FLIGHT_JOBS_MAX - FLIGHT_UNASKED_MAX; i++) {
		snprintf(name, sizeof name, "a%u", i);
		ask(flight, &askers[i], name);
	}
	assert_int_equal(flight_ask(flight, &key, 0, FLIGHT_ASKED, &late.waiter, &job), -EBUSY);
	assert_false(late.waiter.waiting);
	ask(flight, &late, "a7");
	take_is(flight, "a0");
	struct asker room = {0};
	ask(flight, &room, "one more");
	flight_forget(&room.waiter);
	for (unsigned i = 0; i < COUNT(askers); i++)
		flight_forget(&askers[i].waiter);
	flight_forget(&late.waiter);
}

/* All ports and types of one name, by whomever: a failing one costs no more at once. */
static void b13_jobs_of_one_name_are_bounded_whatever_is_asked_of_it(void **state)
{
	struct flight *flight = *state;
	struct question_key key;
	struct flight_job *job = NULL, *first = NULL;
	for (unsigned i = 0; i < FLIGHT_PER_NAME_MAX; i++) {
		key = key_of(i % 2 == 0 ? HOST : RECORDS, (uint16_t)(i + 1), "failing.example");
		assert_int_equal(flight_refresh(flight, &key, 7, 1, &job), 0);
		first = first != NULL ? first : job;
	}
	key = key_of(RECORDS, 9999, "failing.example");
	struct asker asker = {.waiter.on_answer = on_answer};
	assert_int_equal(flight_refresh(flight, &key, 0, 1, &job), -EBUSY);
	for (int class = FLIGHT_ASKED; class <= FLIGHT_TRACED; class ++)
		assert_int_equal(
		    flight_ask(flight, &key, 0, (enum flight_class) class, &asker.waiter, &job),
		    -EBUSY);
	refresh(flight, "another.example", 0); /* has room of its own */
	assert_ptr_equal(flight_take(flight), first);
	assert_int_equal(flight_refresh(flight, &key, 0, 1, &job), -EBUSY); /* running ones count */
	flight_end(flight, first, NULL);
	assert_int_equal(flight_refresh(flight, &key, 0, 1, &job), 0);
}

static void what_is_dropped_leaves_the_limits_as_they_were(void **state)
{
	struct flight *flight = *state;
	struct question_key key;
	struct flight_job *job;
	for (unsigned turn = 0; turn < 3; turn++) {
		for (unsigned i = 0; i < FLIGHT_PER_NAME_MAX; i++) {
			key = key_of(HOST, (uint16_t)(i + 1), "many.example");
			assert_int_equal(flight_refresh(flight, &key, i % 9, 1, &job), 0);
		}
		flight_clear(flight);
		assert_int_equal(flight->jobs.count, 0);
		assert_null(flight_take(flight));
	}
}

static void what_somebody_waits_for_is_not_dropped(void **state)
{
	struct flight *flight = *state;
	struct asker askers[3] = {0};
	ask(flight, &askers[0], "asked.example");
	ask_as(flight, &askers[1], "background.example", FLIGHT_BACKGROUND);
	ask_as(flight, &askers[2], "traced.example", FLIGHT_TRACED);
	refresh(flight, "refresh.example", 0);
	flight_clear(flight);
	assert_int_equal(flight->jobs.count, 3);
	take_is(flight, "asked.example");
	take_is(flight, "background.example");
	assert_null(flight_take(flight));
	flight_end(flight, flight_take_trace(flight), NULL);
	for (size_t i = 0; i < COUNT(askers); i++)
		assert_int_equal(askers[i].answers, 1);
}

#define FLIGHT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    FLIGHT_TEST(equal_questions_are_one_job_whose_answer_all_get),
	    FLIGHT_TEST(kind_type_port_and_name_make_jobs_of_their_own),
	    FLIGHT_TEST(a_trace_shares_nothing),
	    FLIGHT_TEST(who_no_longer_waits_is_not_told_and_the_job_goes_on),
	    FLIGHT_TEST(one_told_may_ask_again_or_end_another_from_within),
	    FLIGHT_TEST(the_asked_go_first_in_their_order_then_the_most_wanted),
	    FLIGHT_TEST(a_refresh_that_is_asked_for_goes_with_the_asked),
	    FLIGHT_TEST(a_background_question_waits_with_the_refreshes),
	    FLIGHT_TEST(a_job_put_back_keeps_its_waiters_and_its_turn),
	    FLIGHT_TEST(only_so_many_refreshes_run_at_once_and_the_asked_pass_by),
	    FLIGHT_TEST(beyond_the_limit_new_work_is_busy_and_old_jobs_are_still_joined),
	    FLIGHT_TEST(b13_jobs_of_one_name_are_bounded_whatever_is_asked_of_it),
	    FLIGHT_TEST(what_is_dropped_leaves_the_limits_as_they_were),
	    FLIGHT_TEST(what_somebody_waits_for_is_not_dropped),
	};
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests_name("flight", tests, NULL, NULL);
}
