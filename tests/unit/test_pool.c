/* SPDX-License-Identifier: BSD-3-Clause */
/* The pool with workers played by the test: the other ends of their sockets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/frame.h"
#include "resolverd/base/clock.h"
#include "resolverd/server/pool.h"
#include "tests/unit/test.h"

#define DEADLINE_MS 1000u
#define WORKERS 2u
#define TRACER WORKERS /* its place */
#define PLACES (WORKERS + 1u)

struct asker {
	struct job_waiter waiter;
	unsigned answers;
	char reason[200]; /* "facts", or why there are none */
};

struct scene {
	struct event_base *base;
	struct conn_buffers buffers;
	struct flight flight;
	struct pool pool;
	int peer[PLACES]; /* -1: not there */
	unsigned stuck_count, retired_count, tracers_wanted;
	char answer[200];
};

/* ---- the server's side ---- */

static void on_answer(struct job_waiter *waiter, void *answer)
{
	struct asker *asker = (struct asker *)waiter; /* its first member */
	asker->answers++;
	snprintf(asker->reason, sizeof asker->reason, "%s", (const char *)answer);
}

static void *on_facts(
    void *arg, const struct flight_job *job, Resolverd__Worker__Facts *facts, unsigned worker)
{
	struct scene *scene = arg;
	(void)facts, (void)worker;
	return strcpy(scene->answer, job->trace ? "traced facts" : "facts");
}

static void on_self_check(void *arg, const Resolverd__Worker__SelfCheck *check)
{
	(void)arg, (void)check;
}

static void on_tracer_wanted(void *arg)
{
	struct scene *scene = arg;
	scene->tracers_wanted++;
}

static void *on_failure(void *arg, const struct flight_job *job, const char *reason)
{
	struct scene *scene = arg;
	snprintf(scene->answer, sizeof scene->answer, "%s: %s", job->question.name, reason);
	return scene->answer;
}

static void release(void *arg, void *answer)
{
	(void)arg, (void)answer;
}

static void on_gone(void *arg, uint32_t index, int32_t pid, bool retired)
{
	struct scene *scene = arg;
	(void)index, (void)pid;
	if (retired)
		scene->retired_count++;
	else
		scene->stuck_count++;
}

static void turn(struct scene *scene)
{
	for (unsigned i = 0; i < 8; i++)
		event_base_loop(scene->base, EVLOOP_NONBLOCK);
}

static int setup(void **state)
{
	struct scene *scene = calloc(1, sizeof *scene);
	assert_non_null(scene);
	scene->base = event_base_new();
	assert_int_equal(flight_init(&scene->flight), 0);
	assert_int_equal(conn_buffers_init(&scene->buffers), 0);
	assert_int_equal(pool_init(&scene->pool, scene->base, &scene->buffers, &scene->flight,
			     WORKERS, DEADLINE_MS),
	    0);
	scene->pool.on_facts = on_facts;
	scene->pool.on_failure = on_failure;
	scene->pool.release = release;
	scene->pool.on_gone = on_gone;
	scene->pool.on_self_check = on_self_check;
	scene->pool.on_tracer_wanted = on_tracer_wanted;
	scene->pool.arg = scene;
	for (unsigned i = 0; i < PLACES; i++)
		scene->peer[i] = -1;
	*state = scene;
	return 0;
}

static void kill_worker(struct scene *scene, unsigned index)
{
	close(scene->peer[index]);
	scene->peer[index] = -1;
	turn(scene);
}

static int teardown(void **state)
{
	struct scene *scene = *state;
	for (unsigned i = 0; i < PLACES; i++)
		if (scene->peer[i] >= 0)
			close(scene->peer[i]);
	pool_fini(&scene->pool);
	flight_fini(&scene->flight);
	conn_buffers_fini(&scene->buffers);
	event_base_free(scene->base);
	free(scene);
	return 0;
}

static void ask_for(struct scene *scene, struct asker *asker, const char *name, bool trace)
{
	struct question_key key;
	struct flight_job *job;
	question_key_make(&key, V1(KIND__RECORDS), 15, name);
	asker->waiter.on_answer = on_answer;
	assert_int_equal(flight_ask(&scene->flight, &key, 0, trace ? FLIGHT_TRACED : FLIGHT_ASKED,
			     &asker->waiter, &job),
	    0);
	turn(scene);
}

static void ask(struct scene *scene, struct asker *asker, const char *name)
{
	ask_for(scene, asker, name, false);
}

/* ---- the workers' side ---- */

static void worker_up(struct scene *scene, unsigned index)
{
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	pool_worker_up(&scene->pool, index, (int32_t)(1000 + index), pair[0]);
	scene->peer[index] = pair[1];
	turn(scene);
}

static void send_facts(struct scene *scene, unsigned index, const Resolverd__Worker__Facts *facts)
{
	uint8_t frame[1024];
	size_t bytes = resolverd__worker__facts__pack(facts, frame + FRAME_HEADER_BYTES);
	frame_put_header(frame, bytes);
	bytes += FRAME_HEADER_BYTES;
	assert_int_equal(send(scene->peer[index], frame, bytes, MSG_NOSIGNAL), (ssize_t)bytes);
	turn(scene);
}

static void say_root(struct scene *scene, unsigned index, int status)
{
	Resolverd__Worker__SelfCheck check = RESOLVERD__WORKER__SELF_CHECK__INIT;
	Resolverd__Worker__Facts facts = RESOLVERD__WORKER__FACTS__INIT;
	check.root_status = (Resolverd__V1__Status)status;
	check.reason = (char *)(uintptr_t) "the root key set does not validate";
	facts.data_case = RESOLVERD__WORKER__FACTS__DATA_SELF_CHECK;
	facts.self_check = &check;
	send_facts(scene, index, &facts);
}

static void good_worker_up(struct scene *scene, unsigned index)
{
	worker_up(scene, index);
	say_root(scene, index, V1(STATUS__SECURE));
}

/* The next job that the worker was given; NULL: none. The caller frees it. */
static Resolverd__Worker__Job *job_given(struct scene *scene, unsigned index)
{
	uint8_t frame[1024];
	struct frame parsed;
	ssize_t got = recv(scene->peer[index], frame, FRAME_HEADER_BYTES, MSG_PEEK | MSG_DONTWAIT);
	if (got < (ssize_t)FRAME_HEADER_BYTES)
		return NULL;
	assert_int_equal(frame_parse(frame, (size_t)got, sizeof frame, &parsed), FRAME_NEED_MORE);
	got = recv(scene->peer[index], frame, parsed.whole_bytes, MSG_WAITALL);
	assert_int_equal(got, (ssize_t)parsed.whole_bytes);
	return resolverd__worker__job__unpack(
	    NULL, (size_t)got - FRAME_HEADER_BYTES, frame + FRAME_HEADER_BYTES);
}

static bool has_job(struct scene *scene, unsigned index)
{
	Resolverd__Worker__Job *job = job_given(scene, index);
	resolverd__worker__job__free_unpacked(job, NULL);
	return job != NULL;
}

static void answer_job(struct scene *scene, unsigned index, const Resolverd__Worker__Job *job)
{
	Resolverd__V1__Records records = RESOLVERD__V1__RECORDS__INIT;
	Resolverd__Worker__Facts facts = RESOLVERD__WORKER__FACTS__INIT;
	facts.id = job->id;
	facts.question = job->question;
	facts.data_case = RESOLVERD__WORKER__FACTS__DATA_RECORDS;
	facts.records = &records;
	send_facts(scene, index, &facts);
}

/* ---- only where validation works ---- */

static void a03_no_job_goes_to_a_worker_whose_root_is_not_secure(void **state)
{
	static const int not_secure[] = {V1(STATUS__STATUS_UNSPECIFIED), V1(STATUS__INSECURE),
	    V1(STATUS__BOGUS), V1(STATUS__ERROR), 99};
	struct scene *scene = *state;
	struct asker asker = {0};
	const char *reason = "";
	worker_up(scene, 0);
	ask(scene, &asker, "example.org");
	assert_false(has_job(scene, 0)); /* nothing is known yet */
	assert_false(pool_is_ready(&scene->pool, &reason));
	for (size_t i = 0; i < COUNT(not_secure); i++) {
		say_root(scene, 0, not_secure[i]);
		assert_false(has_job(scene, 0));
		assert_false(pool_is_ready(&scene->pool, &reason));
		assert_string_equal(reason, "the root key set does not validate");
	}
	say_root(scene, 0, V1(STATUS__SECURE));
	assert_true(has_job(scene, 0));
	assert_true(pool_is_ready(&scene->pool, &reason));
	flight_forget(&asker.waiter);
}

static void a03_worker_whose_root_is_secure_no_more_gets_no_more_jobs(void **state)
{
	struct scene *scene = *state;
	struct asker askers[3] = {0};
	good_worker_up(scene, 0);
	good_worker_up(scene, 1);
	say_root(scene, 0, V1(STATUS__BOGUS));
	ask(scene, &askers[0], "a.example");
	ask(scene, &askers[1], "b.example");
	ask(scene, &askers[2], "c.example");
	assert_false(has_job(scene, 0));
	for (size_t i = 0; i < COUNT(askers); i++) {
		assert_true(has_job(scene, 1));
		flight_forget(&askers[i].waiter);
	}
}

/* ---- facts ---- */

static void equal_questions_are_one_job_and_all_get_its_answer(void **state)
{
	struct scene *scene = *state;
	struct asker askers[3] = {0}, other = {0};
	good_worker_up(scene, 0);
	for (size_t i = 0; i < COUNT(askers); i++)
		ask(scene, &askers[i], "example.org");
	ask(scene, &other, "example.com");
	Resolverd__Worker__Job *job = job_given(scene, 0);
	assert_string_equal(job->question->name, "example.org");
	flight_forget(&askers[1].waiter);
	answer_job(scene, 0, job);
	assert_string_equal(askers[0].reason, "facts");
	assert_int_equal(askers[1].answers, 0);
	assert_string_equal(askers[2].reason, "facts");
	assert_int_equal(other.answers, 0);
	resolverd__worker__job__free_unpacked(job, NULL);
	assert_true(has_job(scene, 0));  /* the other */
	assert_false(has_job(scene, 0)); /* and that was all */
	flight_forget(&other.waiter);
}

/* A worker that answers what nobody asked it may answer anything: it is not believed again. */
static void a08_facts_that_do_not_fit_the_job_reach_nobody(void **state)
{
	for (unsigned change = 0; change < 5; change++) {
		setup(state);
		struct scene *scene = *state;
		struct asker asker = {0};
		good_worker_up(scene, 0);
		ask(scene, &asker, "example.org");
		Resolverd__Worker__Job *job = job_given(scene, 0);
		switch (change) {
		case 0:
			job->id++;
			break;
		case 1:
			job->question->kind = V1(KIND__ROUTE);
			break;
		case 2:
			job->question->type++;
			break;
		case 3:
			job->question->port++;
			break;
		default:
			job->question->name[0] = 'f';
		}
		answer_job(scene, 0, job);
		assert_int_equal(asker.answers, 0);
		assert_int_equal(pool_workers_up(&scene->pool), 0);
		assert_int_equal(scene->stuck_count, 1);
		resolverd__worker__job__free_unpacked(job, NULL);
		flight_forget(&asker.waiter);
		if (change < 4) /* the last is torn down by the group */
			teardown(state);
	}
}

/* ---- workers that die ---- */

static void a08_job_whose_workers_died_twice_is_a_lookup_error(void **state)
{
	struct scene *scene = *state;
	struct asker asker = {0};
	for (unsigned death = 0; death < 2; death++) {
		assert_int_equal(asker.answers, 0);
		good_worker_up(scene, 0);
		if (death == 0)
			ask(scene, &asker, "deadly.example");
		assert_true(has_job(scene, 0));
		kill_worker(scene, 0);
	}
	assert_int_equal(asker.answers, 1);
	assert_non_null(strstr(asker.reason, "deadly.example: quarantined"));
	assert_int_equal(scene->pool.quarantined_count, 1);
	good_worker_up(scene, 0);
	assert_false(has_job(scene, 0));
}

static void suspects_run_alone_one_at_a_time_while_the_rest_goes_on(void **state)
{
	struct scene *scene = *state;
	struct asker suspects[3] = {0}, other = {0};
	good_worker_up(scene, 0);
	for (size_t i = 0; i < COUNT(suspects); i++)
		ask(scene, &suspects[i], i == 0 ? "a.example" : i == 1 ? "b.example" : "c.example");
	kill_worker(scene, 0);
	good_worker_up(scene, 0);
	good_worker_up(scene, 1);
	ask(scene, &other, "d.example");
	unsigned ward = scene->pool.workers[0].alone ? 0 : 1;
	Resolverd__Worker__Job *job = job_given(scene, 1 - ward);
	assert_string_equal(job->question->name, "d.example");
	resolverd__worker__job__free_unpacked(job, NULL);
	for (size_t i = 0; i < COUNT(suspects); i++) {
		job = job_given(scene, ward);
		assert_non_null(job);
		assert_false(has_job(scene, ward)); /* one at a time */
		answer_job(scene, ward, job);
		resolverd__worker__job__free_unpacked(job, NULL);
	}
	for (size_t i = 0; i < COUNT(suspects); i++)
		assert_string_equal(suspects[i].reason, "facts");
	assert_int_equal(scene->pool.quarantined_count, 0);
	assert_false(scene->pool.workers[ward].alone);
	flight_forget(&other.waiter);
}

static bool spend_time(void *arg, struct flight_job *job)
{
	(void)arg;
	job->store_ms = job->question.name[0] == 's' ? DEADLINE_MS / 5 : 10 * DEADLINE_MS;
	return false;
}

/* Its word is to come before the request ends. */
static void what_the_store_took_is_not_the_workers(void **state)
{
	struct scene *scene = *state;
	struct asker some = {0}, all = {0};
	scene->pool.on_take = spend_time;
	good_worker_up(scene, 0);
	ask(scene, &some, "some.org");
	ask(scene, &all, "all.org");
	Resolverd__Worker__Job *first = job_given(scene, 0), *second = job_given(scene, 0);
	assert_int_equal(first->deadline_ms, DEADLINE_MS * 7 / 10);
	assert_int_equal(second->deadline_ms, DEADLINE_MS * 9 / 20); /* some is left */
	resolverd__worker__job__free_unpacked(first, NULL);
	resolverd__worker__job__free_unpacked(second, NULL);
}

static void worker_that_answers_nothing_past_its_deadline_is_replaced(void **state)
{
	struct scene *scene = *state;
	struct asker asker = {0};
	good_worker_up(scene, 0);
	ask(scene, &asker, "slow.example");
	int64_t given_at_ms = clock_mono_ms();
	pool_tick(&scene->pool, given_at_ms + DEADLINE_MS + POOL_STUCK_GRACE_MS - 100);
	turn(scene);
	assert_int_equal(pool_workers_up(&scene->pool), 1);
	pool_tick(&scene->pool, given_at_ms + DEADLINE_MS + POOL_STUCK_GRACE_MS + 100);
	turn(scene);
	assert_int_equal(pool_workers_up(&scene->pool), 0);
	assert_int_equal(scene->stuck_count, 1);
	assert_int_equal(asker.answers, 0); /* it runs again */
	flight_forget(&asker.waiter);
}

static void worker_that_is_silent_is_replaced_though_it_has_no_job(void **state)
{
	struct scene *scene = *state;
	worker_up(scene, 0); /* it never gets as far as the root */
	good_worker_up(scene, 1);
	int64_t now_ms = clock_mono_ms(),
		most_ms = POOL_SILENT_MS + DEADLINE_MS + POOL_STUCK_GRACE_MS;
	scene->pool.workers[1].heard_at_ms = now_ms - most_ms - 1000;
	say_root(scene, 1, V1(STATUS__SECURE)); /* again */
	scene->pool.workers[0].heard_at_ms = now_ms - most_ms + 5000;
	pool_tick(&scene->pool, now_ms);
	turn(scene);
	assert_int_equal(scene->stuck_count, 0);
	scene->pool.workers[0].heard_at_ms = now_ms - most_ms - 1000;
	pool_tick(&scene->pool, now_ms);
	turn(scene);
	assert_int_equal(scene->stuck_count, 1);
	assert_int_equal(pool_workers_up(&scene->pool), 1);
}

#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- renewal ---- */

static bool is_up(const struct scene *scene, unsigned index)
{
	return scene->pool.workers[index].up;
}

static void workers_are_renewed_one_by_one_each_once_the_last_validates(void **state)
{
	struct scene *scene = *state;
	good_worker_up(scene, 0);
	good_worker_up(scene, 1);
	pool_renew(&scene->pool, false);
	turn(scene);
	assert_false(is_up(scene, 0));
	assert_true(is_up(scene, 1));
	worker_up(scene, 0);
	assert_true(is_up(scene, 1)); /* nothing is known of the new one */
	say_root(scene, 0, V1(STATUS__BOGUS));
	pool_tick(&scene->pool, clock_mono_ms());
	turn(scene);
	assert_true(is_up(scene, 1)); /* it does not work: the old one serves on */
	say_root(scene, 0, V1(STATUS__SECURE));
	turn(scene);
	assert_false(is_up(scene, 1));
	good_worker_up(scene, 1);
	turn(scene);
	assert_true(is_up(scene, 0) && is_up(scene, 1));
	assert_int_equal(scene->retired_count, 2);
	assert_int_equal(scene->pool.worker_deaths, 0);
}

static void a_worker_that_does_not_validate_is_renewed_at_once(void **state)
{
	struct scene *scene = *state;
	good_worker_up(scene, 0);
	good_worker_up(scene, 1);
	say_root(scene, 0, V1(STATUS__BOGUS));
	say_root(scene, 1, V1(STATUS__BOGUS));
	pool_renew(&scene->pool, false);
	turn(scene);
	assert_false(
	    is_up(scene, 0) || is_up(scene, 1)); /* else a mended path would wait for ever */
}

static void a_retiring_worker_ends_its_jobs_and_gets_no_new_ones(void **state)
{
	struct scene *scene = *state;
	struct asker askers[2] = {0};
	good_worker_up(scene, 0);
	ask(scene, &askers[0], "a.example");
	Resolverd__Worker__Job *job = job_given(scene, 0);
	pool_renew(&scene->pool, false);
	pool_tick(&scene->pool, clock_mono_ms());
	turn(scene);
	assert_true(is_up(scene, 0)); /* place 1 is empty: who validates stays */
	good_worker_up(scene, 1);
	turn(scene);
	ask(scene, &askers[1], "b.example");
	assert_false(has_job(scene, 0));
	assert_true(has_job(scene, 1));
	assert_true(is_up(scene, 0));
	answer_job(scene, 0, job);
	assert_string_equal(askers[0].reason, "facts");
	turn(scene);
	assert_false(is_up(scene, 0));
	resolverd__worker__job__free_unpacked(job, NULL);
	flight_forget(&askers[1].waiter);
}

static void m07_renewed_at_once_nothing_found_before_counts_and_no_job_is_lost(void **state)
{
	struct scene *scene = *state;
	struct asker asker = {0};
	good_worker_up(scene, 0);
	ask(scene, &asker, "a.example");
	assert_true(has_job(scene, 0));
	pool_renew(&scene->pool, true);
	turn(scene);
	assert_false(is_up(scene, 0));
	assert_int_equal(asker.answers, 0);
	good_worker_up(scene, 0);
	Resolverd__Worker__Job *job = job_given(scene, 0);
	assert_non_null(job);
	answer_job(scene, 0, job);
	assert_string_equal(asker.reason, "facts");
	assert_int_equal(scene->pool.rerun_count, 0); /* it killed nobody */
	resolverd__worker__job__free_unpacked(job, NULL);
}

static void m07_while_the_clock_is_wrong_jobs_wait(void **state)
{
	struct scene *scene = *state;
	struct asker asker = {0};
	char problem[] = "the clock is wrong";
	scene->pool.hold_reason = problem;
	good_worker_up(scene, 0);
	ask(scene, &asker, "a.example");
	assert_false(has_job(scene, 0));
	problem[0] = '\0';
	pool_tick(&scene->pool, clock_mono_ms());
	turn(scene);
	assert_true(has_job(scene, 0));
	scene->pool.hold_reason = NULL;
	flight_forget(&asker.waiter);
}

/* ---- traces ---- */

static void a_trace_runs_in_a_worker_of_its_own_that_ends_with_it(void **state)
{
	struct scene *scene = *state;
	struct asker plain = {0}, traced = {0};
	good_worker_up(scene, 0);
	ask(scene, &plain, "a.example");
	ask_for(scene, &traced, "a.example", true);
	assert_true(has_job(scene, 0));
	assert_false(has_job(scene, 0));
	assert_int_equal(scene->tracers_wanted, 1);
	worker_up(scene, TRACER);
	say_root(scene, TRACER, V1(STATUS__BOGUS)); /* that may be what one wants explained */
	Resolverd__Worker__Job *job = job_given(scene, TRACER);
	assert_non_null(job);
	assert_true(job->trace);
	answer_job(scene, TRACER, job);
	assert_string_equal(traced.reason, "traced facts");
	assert_int_equal(plain.answers, 0);
	turn(scene);
	assert_false(is_up(scene, TRACER));
	assert_int_equal(pool_workers_up(&scene->pool), 1);
	ask_for(scene, &traced, "a.example", true);
	assert_int_equal(scene->tracers_wanted, 2);
	resolverd__worker__job__free_unpacked(job, NULL);
	flight_forget(&plain.waiter);
	flight_forget(&traced.waiter);
}

static void a_trace_whose_worker_dies_fails_and_runs_nowhere_else(void **state)
{
	struct scene *scene = *state;
	struct asker traced = {0};
	good_worker_up(scene, 0);
	ask_for(scene, &traced, "a.example", true);
	good_worker_up(scene, TRACER);
	assert_true(has_job(scene, TRACER));
	kill_worker(scene, TRACER);
	assert_int_equal(traced.answers, 1);
	assert_non_null(strstr(traced.reason, "died"));
	assert_false(has_job(scene, 0));
	assert_int_equal(scene->pool.rerun_count, 0);
}

static void the_tracer_takes_no_other_jobs(void **state)
{
	struct scene *scene = *state;
	struct asker plain = {0}, traced = {0};
	const char *reason;
	ask_for(scene, &traced, "a.example", true);
	good_worker_up(scene, TRACER);
	ask(scene, &plain, "b.example");
	assert_true(has_job(scene, TRACER));
	assert_false(has_job(scene, TRACER));
	assert_false(pool_is_ready(&scene->pool, &reason));
	flight_forget(&plain.waiter);
	flight_forget(&traced.waiter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    POOL_TEST(workers_are_renewed_one_by_one_each_once_the_last_validates),
	    POOL_TEST(a_worker_that_does_not_validate_is_renewed_at_once),
	    POOL_TEST(a_retiring_worker_ends_its_jobs_and_gets_no_new_ones),
	    POOL_TEST(m07_renewed_at_once_nothing_found_before_counts_and_no_job_is_lost),
	    POOL_TEST(m07_while_the_clock_is_wrong_jobs_wait),
	    POOL_TEST(a_trace_runs_in_a_worker_of_its_own_that_ends_with_it),
	    POOL_TEST(the_tracer_takes_no_other_jobs),
	    POOL_TEST(a_trace_whose_worker_dies_fails_and_runs_nowhere_else),
	    POOL_TEST(a03_no_job_goes_to_a_worker_whose_root_is_not_secure),
	    POOL_TEST(a03_worker_whose_root_is_secure_no_more_gets_no_more_jobs),
	    POOL_TEST(equal_questions_are_one_job_and_all_get_its_answer),
	    cmocka_unit_test_teardown(a08_facts_that_do_not_fit_the_job_reach_nobody, teardown),
	    POOL_TEST(a08_job_whose_workers_died_twice_is_a_lookup_error),
	    POOL_TEST(suspects_run_alone_one_at_a_time_while_the_rest_goes_on),
	    POOL_TEST(what_the_store_took_is_not_the_workers),
	    POOL_TEST(worker_that_answers_nothing_past_its_deadline_is_replaced),
	    POOL_TEST(worker_that_is_silent_is_replaced_though_it_has_no_job),
	};
	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
