/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/worker/job.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/base/clock.h"

#define AGAIN_AFTER_MS 3 /* into the next second */

static void on_again(evutil_socket_t fd, short what, void *arg);

void jobs_init(struct jobs *jobs, struct event_base *base, const struct job_limits *limits)
{
	memset(jobs, 0, sizeof *jobs);
	jobs->base = base;
	jobs->limits = *limits;
	TAILQ_INIT(&jobs->waiting);
	TAILQ_INIT(&jobs->replied);
	TAILQ_INIT(&jobs->postponed);
	evtimer_assign(&jobs->again, base, on_again, jobs);
	for (unsigned i = 0; i < ZONE_BUCKETS; i++)
		TAILQ_INIT(&jobs->zones[i].waiting);
	randombytes_buf(jobs->hash_key, sizeof jobs->hash_key);
}

const char *job_zone_of(const char *name)
{
	const char *starts[4] = {name, name, name, name}; /* of the last, last but one, ... label */
	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '\\' && p[1] != '\0') {
			p++;
		} else if (*p == '.' && p[1] != '\0') {
			starts[3] = starts[2];
			starts[2] = starts[1];
			starts[1] = starts[0];
			starts[0] = p + 1;
		}
	}
	bool country = strlen(starts[0]) == 2;
	bool short_second = starts[0] > starts[1] && starts[0] - starts[1] - 1 <= 3;
	return country && short_second ? starts[2] : starts[1];
}

static uint32_t bucket_of(struct jobs *jobs, const char *name)
{
	uint8_t hash[crypto_shorthash_BYTES];
	uint32_t value;
	const char *zone = job_zone_of(name[0] == '[' ? name + 1 : name);
	crypto_shorthash(hash, (const uint8_t *)zone, strlen(zone), jobs->hash_key);
	memcpy(&value, hash, sizeof value);
	return value % ZONE_BUCKETS;
}

static void job_free(struct job *job)
{
	event_del(&job->deadline);
	inquiry_fini(&job->inquiry);
	free(job);
}

static void schedule(struct jobs *jobs);
static void drain(struct jobs *jobs);
static void release_if_over(struct job *job);

static uint32_t since_start_ms(const struct job *job)
{
	return job->state == JOB_RUNS ? (uint32_t)(clock_mono_ms() - job->started_at_ms) : 0;
}

static void answer(struct job *job)
{
	if (job->answered)
		return;
	job->answered = true;
	event_del(&job->deadline);
	if (job->trace != NULL)
		trace_finish(job->trace, &job->inquiry, since_start_ms(job));
	job->jobs->done(job->jobs->arg, job);
}

/* Gives the place back once the answer is out and libunbound holds nothing of ours. */
static void release_if_over(struct job *job)
{
	struct jobs *jobs = job->jobs;
	if (!job->answered || job->outstanding > 0 || job->is_replied)
		return;
	jobs->running--;
	jobs->zones[job->bucket].running--;
	struct job *next = TAILQ_FIRST(&jobs->zones[job->bucket].waiting);
	if (next != NULL) {
		TAILQ_REMOVE(&jobs->zones[job->bucket].waiting, next, link);
		next->state = JOB_WAITS;
		TAILQ_INSERT_HEAD(&jobs->waiting, next, link);
	}
	job_free(job);
}

static void ask(void *arg, unsigned slot, const char *name, int type)
{
	struct job *job = arg;
	job->asked_type[slot] = type;
	job->asked_name[slot] = arena_string(&job->inquiry.arena, name);
	job->outstanding++;
	if (job->trace != NULL)
		trace_asked(job->trace, &job->inquiry, slot, name, type, since_start_ms(job));
	if (job->asked_name[slot] == NULL) {
		job->asked_name[slot] = ".";
		job_lookup_done(
		    job, slot, NULL, 0, RESOLVERD__V1__STATUS__ERROR, 2, "out of memory", 0);
		return;
	}
	job->asking = slot + 1;
	job->jobs->lookup(job->jobs->arg, job, slot, job->asked_name[slot], type);
	job->asking = 0;
}

/* ---- what is in its last second ---- */

/* libunbound's cache counts whole seconds: what ends in this one it still gives, with a TTL of 0,
 * and at once. It would be good for nothing but this answer; in the next second it is fetched. */
static bool ends_now(const struct job *job, unsigned slot)
{
	const struct reply *reply = &job->pending[slot];
	return job->asking == slot + 1 && !job->repeated[slot] && reply->ttl_s == 0 &&
	       !reply_is_failed(reply);
}

static void postpone(struct job *job, unsigned slot, int64_t now_ms)
{
	struct jobs *jobs = job->jobs;
	job->postponed[slot] = job->repeated[slot] = true;
	if (!job->is_postponed)
		TAILQ_INSERT_TAIL(&jobs->postponed, job, postponed_link);
	job->is_postponed = true;
	if (!evtimer_pending(&jobs->again, NULL)) {
		struct timeval after = {
		    .tv_usec = (999 - now_ms % 1000) * 1000 + AGAIN_AFTER_MS * 1000};
		event_add(&jobs->again, &after);
	}
}

static void make_again(struct job *job)
{
	for (unsigned slot = 0; slot < INQUIRY_SLOTS; slot++) {
		if (!job->postponed[slot])
			continue;
		job->postponed[slot] = false;
		if (job->answered) /* at its deadline */
			job->outstanding--;
		else
			job->jobs->lookup(job->jobs->arg, job, slot, job->asked_name[slot],
			    job->asked_type[slot]);
	}
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct jobs *jobs = arg;
	struct job_list list = TAILQ_HEAD_INITIALIZER(list);
	struct job *job;
	(void)fd, (void)what;
	TAILQ_CONCAT(&list, &jobs->postponed, postponed_link);
	jobs->draining = true;
	while ((job = TAILQ_FIRST(&list)) != NULL) {
		TAILQ_REMOVE(&list, job, postponed_link);
		job->is_postponed = false;
		make_again(job);
		release_if_over(job);
	}
	jobs->draining = false;
	schedule(jobs);
	drain(jobs);
}

/* Replies that come at once wait until the inquiry has returned. */
static void go_on(struct job *job, bool (*step)(struct inquiry *inquiry))
{
	struct jobs *jobs = job->jobs;
	bool was_draining = jobs->draining;
	jobs->draining = true;
	bool complete = step(&job->inquiry);
	jobs->draining = was_draining;
	if (complete) {
		answer(job);
		release_if_over(job);
	}
}

static void run(struct job *job)
{
	struct jobs *jobs = job->jobs;
	job->state = JOB_RUNS;
	job->started_at_ms = clock_mono_ms();
	jobs->running++;
	jobs->zones[job->bucket].running++;
	go_on(job, inquiry_begin);
}

static void schedule(struct jobs *jobs)
{
	struct job *job;
	while (jobs->running < jobs->limits.running_max &&
	       (job = TAILQ_FIRST(&jobs->waiting)) != NULL) {
		TAILQ_REMOVE(&jobs->waiting, job, link);
		if (jobs->zones[job->bucket].running >= jobs->limits.per_zone_max) {
			job->state = JOB_WAITS_ZONE;
			TAILQ_INSERT_TAIL(&jobs->zones[job->bucket].waiting, job, link);
			continue;
		}
		run(job);
	}
}

static void wake_after(struct job *job, uint32_t ms)
{
	event_add(
	    &job->deadline, &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000});
}

static void at_half_time(struct job *job)
{
	struct jobs *jobs = job->jobs;
	wake_after(job, job->left_ms);
	job->left_ms = 0;
	if (job->state == JOB_RUNS)
		go_on(job, inquiry_hurry);
	schedule(jobs);
	drain(jobs);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct job *job = arg;
	struct jobs *jobs = job->jobs;
	(void)fd, (void)what;
	if (job->left_ms > 0) {
		at_half_time(job);
		return;
	}
	bool waits = job->state != JOB_RUNS;
	inquiry_give_up(&job->inquiry, RESOLVERD__V1__STATUS__ERROR,
	    waits ? "too much to do: no lookup was started within the deadline"
		  : "the name servers gave no answer within the deadline");
	answer(job);
	if (!waits) {
		release_if_over(job);
	} else {
		if (job->state == JOB_WAITS)
			TAILQ_REMOVE(&jobs->waiting, job, link);
		else
			TAILQ_REMOVE(&jobs->zones[job->bucket].waiting, job, link);
		job_free(job);
	}
	schedule(jobs);
	drain(jobs);
}

int jobs_add(struct jobs *jobs, const Resolverd__Worker__Job *message)
{
	struct job *job = calloc(1, sizeof *job);
	if (job == NULL)
		return -ENOMEM;
	job->jobs = jobs;
	job->id = message->id;
	int r = inquiry_init(&job->inquiry, message->question, &jobs->policy, ask, job);
	if (r != 0) {
		free(job);
		return r;
	}
	if (message->trace)
		job->trace = arena_alloc(&job->inquiry.arena, sizeof *job->trace);
	job->bucket = bucket_of(jobs, job->inquiry.question.name);
	job->state = JOB_WAITS;
	evtimer_assign(&job->deadline, jobs->base, on_deadline, job);
	job->left_ms = message->deadline_ms - message->deadline_ms / 2;
	wake_after(job, message->deadline_ms / 2);
	TAILQ_INSERT_TAIL(&jobs->waiting, job, link);
	schedule(jobs);
	drain(jobs);
	return 0;
}

static void hand_in(struct job *job)
{
	for (unsigned slot = 0; slot < INQUIRY_SLOTS; slot++) {
		if (!job->has_pending[slot])
			continue;
		job->has_pending[slot] = false;
		job->outstanding--;
		if (!job->answered && inquiry_reply(&job->inquiry, slot, &job->pending[slot]))
			answer(job);
	}
}

static void drain(struct jobs *jobs)
{
	struct job *job;
	if (jobs->draining)
		return;
	jobs->draining = true;
	while ((job = TAILQ_FIRST(&jobs->replied)) != NULL) {
		TAILQ_REMOVE(&jobs->replied, job, replied_link);
		job->is_replied = false;
		hand_in(job);
		release_if_over(job);
		schedule(jobs);
	}
	jobs->draining = false;
}

void job_lookup_done(struct job *job, unsigned slot, const uint8_t *packet, size_t packet_bytes,
    Resolverd__V1__Status status, int rcode, const char *why, int64_t now_ms)
{
	struct jobs *jobs = job->jobs;
	if (packet == NULL)
		reply_failed(&job->pending[slot], &job->inquiry.arena, status, rcode, why);
	else
		reply_parse(&job->pending[slot], &job->inquiry.arena, job->asked_name[slot],
		    job->asked_type[slot], packet, packet_bytes, status, why, now_ms);
	if (ends_now(job, slot)) {
		postpone(job, slot, now_ms);
		return;
	}
	job->has_pending[slot] = true;
	if (job->trace != NULL && !job->answered)
		trace_replied(
		    job->trace, &job->inquiry, slot, &job->pending[slot], since_start_ms(job));
	if (!job->is_replied) {
		job->is_replied = true;
		TAILQ_INSERT_TAIL(&jobs->replied, job, replied_link);
	}
	drain(jobs);
}
