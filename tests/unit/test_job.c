/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Jobs of a worker in a real event loop: the lookups are kept in a list and end when the test says,
 * or at once, from within the asking. Deadlines are some milliseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/worker/job.h"
#include "tests/unit/test.h"

#define LONG_MS 60000u
#define SHORT_MS 20u
#define LOOKUPS_MAX 256u

struct lookup {
	struct job *job;
	unsigned slot;
	char name[100];
};

struct world {
	struct jobs jobs;
	struct event_base *base;
	struct lookup open[LOOKUPS_MAX]; /* in the order asked */
	size_t open_count, asked_count;
	bool at_once;               /* lookups end within the asking */
	bool trace;                 /* asked of the jobs */
	char traced[400];           /* of the last answer: "name TYPE reason, ..." */
	uint64_t done[LOOKUPS_MAX]; /* ids, in the order answered */
	size_t done_count, failed_count;
	char reason[200]; /* of the last answer */
};

static void end(struct world *world, size_t at)
{
	struct lookup lookup = world->open[at];
	world->open_count--;
	memmove(
	    &world->open[at], &world->open[at + 1], (world->open_count - at) * sizeof *world->open);
	job_lookup_done(lookup.job, lookup.slot, NULL, 0, V1(STATUS__ERROR), 2, "failed", 0);
}

static void on_lookup(void *arg, struct job *job, unsigned slot, const char *name, int type)
{
	struct world *world = arg;
	(void)type;
	world->asked_count++;
	if (world->at_once) {
		job_lookup_done(job, slot, NULL, 0, V1(STATUS__ERROR), 2, "failed", 0);
		return;
	}
	assert_true(world->open_count < LOOKUPS_MAX);
	struct lookup *lookup = &world->open[world->open_count++];
	lookup->job = job;
	lookup->slot = slot;
	snprintf(lookup->name, sizeof lookup->name, "%s", name);
}

static void on_done(void *arg, struct job *job)
{
	struct world *world = arg;
	const Resolverd__Worker__Facts *facts = &job->inquiry.facts;
	assert_true(world->done_count < LOOKUPS_MAX);
	world->done[world->done_count++] = job->id;
	world->failed_count += facts->failed;
	const char *reason =
	    facts->data_case == RESOLVERD__WORKER__FACTS__DATA_HOST    ? facts->host->reason_text
	    : facts->data_case == RESOLVERD__WORKER__FACTS__DATA_ROUTE ? facts->route->reason
								       : facts->records->reason;
	snprintf(world->reason, sizeof world->reason, "%s", reason);
	world->traced[0] = '\0';
	for (size_t i = 0, at = 0; i < facts->n_lookups; i++)
		at += (size_t)snprintf(world->traced + at, sizeof world->traced - at, "%s%s %u %s",
		    i > 0 ? ", " : "", facts->lookups[i]->name, facts->lookups[i]->type,
		    facts->lookups[i]->unanswered ? "open" : facts->lookups[i]->records->reason);
}

static struct world *world_new(uint32_t running_max, uint32_t per_zone_max)
{
	struct world *world = calloc(1, sizeof *world);
	assert_non_null(world);
	world->base = event_base_new();
	assert_non_null(world->base);
	jobs_init(&world->jobs, world->base, &(struct job_limits){running_max, per_zone_max});
	/* the same buckets in each run: zones that share one would wait for each other */
	memset(world->jobs.hash_key, 7, sizeof world->jobs.hash_key);
	world->jobs.lookup = on_lookup;
	world->jobs.done = on_done;
	world->jobs.arg = world;
	return world;
}

/* Nothing may be left behind: a place, a lookup, a job that waits. */
static void world_free(struct world *world)
{
	while (world->open_count > 0)
		end(world, 0);
	assert_int_equal(world->jobs.running, 0);
	assert_true(TAILQ_EMPTY(&world->jobs.waiting));
	assert_true(TAILQ_EMPTY(&world->jobs.replied));
	for (unsigned i = 0; i < ZONE_BUCKETS; i++) {
		assert_int_equal(world->jobs.zones[i].running, 0);
		assert_true(TAILQ_EMPTY(&world->jobs.zones[i].waiting));
	}
	event_base_free(world->base);
	free(world);
}

static void add(struct world *world, int kind, uint64_t id, const char *name, uint32_t deadline_ms)
{
	Resolverd__V1__Question question = RESOLVERD__V1__QUESTION__INIT;
	question.kind = (Resolverd__V1__Kind)kind;
	question.name = (char *)(uintptr_t)name;
	question.port = kind == V1(KIND__HOST) ? 25 : 0;
	question.type = kind == V1(KIND__RECORDS) ? 16 : 0;
	Resolverd__Worker__Job message = RESOLVERD__WORKER__JOB__INIT;
	message.id = id;
	message.question = &question;
	message.deadline_ms = deadline_ms;
	message.trace = world->trace;
	assert_int_equal(jobs_add(&world->jobs, &message), 0);
}

static void add_records(struct world *world, uint64_t id, const char *name, uint32_t deadline_ms)
{
	add(world, V1(KIND__RECORDS), id, name, deadline_ms);
}

/* Runs the loop until so many are answered; the timers of the jobs end it. */
static void run_until_done(struct world *world, size_t count)
{
	while (world->done_count < count)
		assert_int_equal(event_base_loop(world->base, EVLOOP_ONCE), 0);
}

/* ---- limits ---- */

static void no_more_run_than_the_limit_and_the_rest_in_order(void **state)
{
	struct world *world = world_new(3, 100);
	char name[20];
	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof name, "d%u.example", i);
		add_records(world, i, name, LONG_MS);
	}
	for (size_t ended = 0; ended < 10; ended++) {
		assert_int_equal(world->open_count, 10 - ended < 3 ? 10 - ended : 3);
		end(world, 0);
		assert_int_equal(world->done[ended], ended);
	}
	assert_int_equal(world->done_count, 10);
	world_free(world);
}

static void a_slow_zone_does_not_hold_up_others(void **state)
{
	struct world *world = world_new(10, 2);
	char name[40];
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "d%u.slow.example", i);
		add_records(world, i, name, LONG_MS);
	}
	assert_int_equal(world->open_count, 2);
	add_records(world, 100, "a.quick.example.org", LONG_MS);
	assert_int_equal(world->open_count, 3);
	end(world, 2);
	assert_int_equal(world->done[0], 100);
	/* and each that ends lets the next of its zone in, in order */
	for (uint64_t i = 0; i < 20; i++) {
		end(world, 0);
		assert_int_equal(world->done[1 + i], i);
		assert_int_equal(world->open_count, 19 - i < 2 ? 19 - i : 2);
	}
	world_free(world);
}

static void route_and_host_share_the_limit_of_their_zone(void **state)
{
	struct world *world = world_new(10, 1);
	(void)state;
	add(world, V1(KIND__ROUTE), 1, "slow.example", LONG_MS);
	add(world, V1(KIND__HOST), 2, "mx.slow.example", LONG_MS);
	assert_int_equal(world->open_count, 1);
	end(world, 0);
	assert_int_equal(world->open_count, 2); /* A and AAAA */
	world_free(world);
}

/* ---- deadlines ---- */

static void b07_job_without_answer_fails_at_its_deadline(void **state)
{
	struct world *world = world_new(10, 10);
	(void)state;
	add_records(world, 1, "dead.example", SHORT_MS);
	run_until_done(world, 1);
	assert_int_equal(world->failed_count, 1);
	assert_non_null(strstr(world->reason, "gave no answer within the deadline"));
	world_free(world);
}

static void job_that_never_ran_says_so_at_its_deadline(void **state)
{
	struct world *world = world_new(1, 10);
	(void)state;
	add_records(world, 1, "one.example", LONG_MS);
	add_records(world, 2, "two.example", SHORT_MS);
	run_until_done(world, 1);
	assert_int_equal(world->done[0], 2);
	assert_non_null(strstr(world->reason, "no lookup was started"));
	assert_int_equal(world->asked_count, 1);
	world_free(world);
}

static void job_that_waits_for_its_zone_fails_at_its_deadline(void **state)
{
	struct world *world = world_new(10, 1);
	(void)state;
	add_records(world, 1, "a.slow.example", LONG_MS);
	add_records(world, 2, "b.slow.example", SHORT_MS);
	add_records(world, 3, "c.slow.example", LONG_MS);
	run_until_done(world, 1);
	assert_int_equal(world->done[0], 2);
	end(world, 0); /* the one that is gone must not be run */
	assert_int_equal(world->open_count, 1);
	assert_string_equal(world->open[0].name, "c.slow.example");
	world_free(world);
}

static void answered_job_keeps_its_place_until_its_lookups_end(void **state)
{
	struct world *world = world_new(1, 10);
	(void)state;
	add(world, V1(KIND__HOST), 1, "mx.dead.example", SHORT_MS);
	add_records(world, 2, "next.example", LONG_MS);
	run_until_done(world, 1);
	assert_int_equal(world->done[0], 1);
	assert_int_equal(world->jobs.running, 1);
	assert_int_equal(world->open_count, 2);
	end(world, 0);
	assert_int_equal(world->asked_count, 2);
	end(world, 0);
	assert_int_equal(world->asked_count, 3); /* now the next one runs */
	assert_int_equal(world->done_count, 1);  /* and the late replies answered nothing again */
	world_free(world);
}

static void job_answered_in_time_has_no_deadline_any_more(void **state)
{
	struct world *world = world_new(10, 10);
	(void)state;
	add_records(world, 1, "quick.example", SHORT_MS);
	end(world, 0);
	assert_int_equal(world->done_count, 1);
	add_records(world, 2, "other.example", 2 * SHORT_MS);
	run_until_done(world, 2);
	assert_int_equal(world->done[1], 2);
	assert_int_equal(world->done_count, 2);
	world_free(world);
}

static void many_deadlines_at_once_answer_each_job_once(void **state)
{
	struct world *world = world_new(7, 3);
	char name[40];
	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		snprintf(name, sizeof name, "d%u.zone%u.example", i, i % 4);
		add_records(world, i, name, SHORT_MS + i % 3);
	}
	run_until_done(world, 60);
	bool seen[60] = {false};
	for (unsigned i = 0; i < 60; i++) {
		assert_false(seen[world->done[i]]);
		seen[world->done[i]] = true;
	}
	world_free(world);
}

/* The answer to the A lookup of mx.example: 192.0.2.1, TTL 300. */
static const uint8_t address_packet[] = "\0\1\x81\x80\0\1\0\1\0\0\0\0"
					"\2mx\7example\0\0\1\0\1"
					"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xc0\0\2\1";

static void end_with_address(struct world *world)
{
	struct lookup lookup = world->open[0];
	assert_int_equal(lookup.slot, 0);
	world->open[0] = world->open[--world->open_count];
	job_lookup_done(lookup.job, lookup.slot, address_packet, sizeof address_packet - 1,
	    V1(STATUS__SECURE), 0, NULL, 0);
}

static void f14_host_goes_on_with_one_family_at_half_of_its_time(void **state)
{
	(void)state;
	for (int at_once = 0; at_once < 2; at_once++) {
		struct world *world = world_new(1, 1);
		add(world, V1(KIND__HOST), 1, "mx.example", 4 * SHORT_MS);
		end_with_address(world);
		assert_int_equal(world->open_count, 1);
		world->at_once = at_once == 1; /* then the TLSA lookup ends within the asking */
		while (world->asked_count < 3)
			assert_int_equal(event_base_loop(world->base, EVLOOP_ONCE), 0);
		if (at_once == 0)
			end(world, 1);
		assert_int_equal(world->done_count, 1);
		assert_non_null(strstr(world->reason, "the TLSA lookup failed"));
		assert_int_equal(world->jobs.running, 1); /* AAAA is still out */
		end(world, 0);
		assert_int_equal(world->done_count, 1);
		world_free(world);
	}
}

/* ---- lookups that end within the asking ---- */

static void immediate_callback_answers_from_within_add(void **state)
{
	struct world *world = world_new(10, 10);
	(void)state;
	world->at_once = true;
	add(world, V1(KIND__HOST), 1, "mx.example", LONG_MS);
	assert_int_equal(world->asked_count, 2);
	assert_int_equal(world->done_count, 1);
	assert_int_equal(world->failed_count, 1);
	world_free(world);
}

static void immediate_callbacks_empty_a_long_queue(void **state)
{
	struct world *world = world_new(2, 1);
	char name[40];
	(void)state;
	add_records(world, 200, "a.slow.example", LONG_MS);
	add_records(world, 201, "b.other.example", LONG_MS);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "d%u.slow.example", i);
		add_records(world, i, name, LONG_MS);
	}
	assert_int_equal(world->done_count, 0);
	world->at_once = true;
	end(world, 0);
	assert_int_equal(world->done_count, 101);
	world_free(world);
}

static void question_without_lookups_is_answered_at_once(void **state)
{
	struct world *world = world_new(1, 1);
	(void)state;
	add(world, V1(KIND__ROUTE), 1, "[192.0.2.1]", LONG_MS);
	add(world, V1(KIND__ROUTE), 2, "[mx.example]", LONG_MS);
	assert_int_equal(world->done_count, 2);
	assert_int_equal(world->asked_count, 0);
	assert_int_equal(world->failed_count, 0);
	world_free(world);
}

static void question_of_unknown_kind_is_refused(void **state)
{
	struct world *world = world_new(1, 1);
	Resolverd__V1__Question question = RESOLVERD__V1__QUESTION__INIT;
	(void)state;
	question.name = (char *)(uintptr_t) "example";
	Resolverd__Worker__Job message = RESOLVERD__WORKER__JOB__INIT;
	message.question = &question;
	message.deadline_ms = LONG_MS;
	assert_true(jobs_add(&world->jobs, &message) < 0);
	world_free(world);
}

static void malformed_packet_fails_the_job(void **state)
{
	static const uint8_t garbage[20] = {1, 2, 3};
	struct world *world = world_new(1, 1);
	(void)state;
	add_records(world, 1, "a.example", LONG_MS);
	struct lookup lookup = world->open[--world->open_count];
	job_lookup_done(
	    lookup.job, lookup.slot, garbage, sizeof garbage, V1(STATUS__SECURE), 0, NULL, 0);
	assert_int_equal(world->failed_count, 1);
	world_free(world);
}

/* ---- zones ---- */

static void zone_of_a_name(void **state)
{
	static const char *const rows[][2] = {{"example.org", "example.org"},
	    {"mx.example.org", "example.org"}, {"_25._tcp.mx.example.org", "example.org"},
	    {"org", "org"}, {".", "."}, {"", ""}, {"a.b.co.uk", "b.co.uk"}, {"b.co.uk", "b.co.uk"},
	    {"co.uk", "co.uk"}, {"a.b.example.uk", "example.uk"}, {"a\\.b.org", "a\\.b.org"},
	    {"x.a\\.b.org", "a\\.b.org"}, {"a\\", "a\\"}};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_string_equal(job_zone_of(rows[i][0]), rows[i][1]);
}

/* ---- traces ---- */

static void a_trace_tells_each_lookup_in_order(void **state)
{
	struct world *world = world_new(10, 10);
	(void)state;
	world->trace = true;
	add(world, V1(KIND__HOST), 1, "mx.example", LONG_MS);
	end(world, 1);
	end(world, 0);
	assert_string_equal(world->traced, "mx.example 1 failed, mx.example 28 failed");
	world_free(world);
}

static void a_trace_tells_what_was_open_at_the_deadline(void **state)
{
	struct world *world = world_new(10, 10);
	(void)state;
	world->trace = true;
	add(world, V1(KIND__HOST), 1, "mx.example", SHORT_MS);
	end(world, 0);
	run_until_done(world, 1);
	assert_string_equal(world->traced, "mx.example 1 failed, mx.example 28 open");
	world_free(world); /* the late reply finds nothing to write to */
}

static void a_job_that_never_ran_has_an_empty_trace(void **state)
{
	struct world *world = world_new(1, 1);
	(void)state;
	world->trace = true;
	add_records(world, 1, "a.example", LONG_MS);
	add_records(world, 2, "b.example", SHORT_MS);
	run_until_done(world, 1);
	assert_int_equal(world->done[0], 2);
	assert_string_equal(world->traced, "");
	world_free(world);
}

static void nobody_asked_for_a_trace_none_is_made(void **state)
{
	struct world *world = world_new(10, 10);
	(void)state;
	add_records(world, 1, "a.example", LONG_MS);
	end(world, 0);
	assert_string_equal(world->traced, "");
	world_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_more_run_than_the_limit_and_the_rest_in_order),
	    cmocka_unit_test(a_slow_zone_does_not_hold_up_others),
	    cmocka_unit_test(route_and_host_share_the_limit_of_their_zone),
	    cmocka_unit_test(b07_job_without_answer_fails_at_its_deadline),
	    cmocka_unit_test(job_that_never_ran_says_so_at_its_deadline),
	    cmocka_unit_test(job_that_waits_for_its_zone_fails_at_its_deadline),
	    cmocka_unit_test(answered_job_keeps_its_place_until_its_lookups_end),
	    cmocka_unit_test(job_answered_in_time_has_no_deadline_any_more),
	    cmocka_unit_test(many_deadlines_at_once_answer_each_job_once),
	    cmocka_unit_test(f14_host_goes_on_with_one_family_at_half_of_its_time),
	    cmocka_unit_test(immediate_callback_answers_from_within_add),
	    cmocka_unit_test(immediate_callbacks_empty_a_long_queue),
	    cmocka_unit_test(question_without_lookups_is_answered_at_once),
	    cmocka_unit_test(question_of_unknown_kind_is_refused),
	    cmocka_unit_test(malformed_packet_fails_the_job),
	    cmocka_unit_test(zone_of_a_name),
	    cmocka_unit_test(a_trace_tells_each_lookup_in_order),
	    cmocka_unit_test(a_trace_tells_what_was_open_at_the_deadline),
	    cmocka_unit_test(a_job_that_never_ran_has_an_empty_trace),
	    cmocka_unit_test(nobody_asked_for_a_trace_none_is_made),
	};
	return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
