/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/flight.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define REFRESHES_RUNNING_MAX 1024u

int flight_init(struct flight *flight)
{
	memset(flight, 0, sizeof *flight);
	flight->refreshes_running_max = REFRESHES_RUNNING_MAX;
	randombytes_buf(flight->hash_key, sizeof flight->hash_key);
	TAILQ_INIT(&flight->asked);
	TAILQ_INIT(&flight->traces);
	for (unsigned i = 0; i < FLIGHT_URGENCIES; i++)
		TAILQ_INIT(&flight->refreshes[i]);
	return table_init(&flight->jobs);
}

static void drop_queue(struct flight *flight, struct flight_jobs *queue, bool waited_for)
{
	struct flight_job *job, *next;
	for (job = TAILQ_FIRST(queue); job != NULL; job = next) {
		next = TAILQ_NEXT(job, link);
		if (!waited_for && !LIST_EMPTY(&job->waiters))
			continue;
		TAILQ_REMOVE(queue, job, link);
		flight->names[job->bucket]--;
		table_remove(&flight->jobs, &job->node);
		free(job);
	}
}

static void drop_queues(struct flight *flight, bool waited_for)
{
	drop_queue(flight, &flight->asked, waited_for);
	drop_queue(flight, &flight->traces, waited_for);
	for (unsigned i = 0; i < FLIGHT_URGENCIES; i++)
		drop_queue(flight, &flight->refreshes[i], waited_for);
}

void flight_clear(struct flight *flight)
{
	drop_queues(flight, false);
}

void flight_fini(struct flight *flight)
{
	drop_queues(flight, true);
	table_fini(&flight->jobs);
}

static void enqueue(struct flight *flight, struct flight_job *job, struct flight_jobs *queue)
{
	job->queue = queue;
	TAILQ_INSERT_TAIL(queue, job, link);
	if (flight->on_work != NULL)
		flight->on_work(flight->arg);
}

static void dequeue(struct flight_job *job)
{
	TAILQ_REMOVE(job->queue, job, link);
	job->queue = NULL;
}

#define KEY_NAME_AT 3u /* behind kind and number */
static uint16_t bucket_of(const struct flight *flight, const struct question_key *key)
{
	uint8_t hash[crypto_shorthash_BYTES];
	uint16_t value;
	crypto_shorthash(
	    hash, key->bytes + KEY_NAME_AT, key->count - KEY_NAME_AT, flight->hash_key);
	memcpy(&value, hash, sizeof value);
	return value % FLIGHT_NAME_BUCKETS;
}

static struct flight_job *job_new(
    struct flight *flight, const struct question_key *key, uint16_t bucket)
{
	struct flight_job *job = calloc(1, sizeof *job + key->count + 1);
	if (job == NULL)
		return NULL;
	memcpy(job->key, key->bytes, key->count);
	job->node.key = job->key;
	job->node.key_bytes = (uint32_t)key->count;
	job->id = ++flight->next_id;
	job->trace = (key->bytes[0] & QUESTION_KEY_TRACED) != 0;
	job->avoid = FLIGHT_NO_WORKER;
	job->bucket = bucket;
	flight->names[bucket]++;
	resolverd__v1__question__init(&job->question);
	question_of_key(job->key, &job->question);
	LIST_INIT(&job->waiters);
	table_insert(&flight->jobs, &job->node);
	return job;
}

static struct flight_job *job_find(struct flight *flight, const struct question_key *key)
{
	/* node is the first member */
	return (struct flight_job *)table_find(&flight->jobs, key->bytes, key->count);
}

/* The one there is, or a new one that is in no queue yet. Returns 0, -EBUSY or -ENOMEM. */
static int find_or_make(struct flight *flight, const struct question_key *key, size_t jobs_max,
    bool *ret_is_new, struct flight_job **ret_job)
{
	struct flight_job *job = job_find(flight, key);
	*ret_is_new = job == NULL;
	if (job == NULL) {
		uint16_t bucket = bucket_of(flight, key);
		if (flight->jobs.count >= jobs_max || flight->names[bucket] >= FLIGHT_PER_NAME_MAX)
			return -EBUSY;
		job = job_new(flight, key, bucket);
	}
	if (job == NULL)
		return -ENOMEM;
	*ret_job = job;
	return 0;
}

int flight_refresh(struct flight *flight, const struct question_key *key, unsigned urgency,
    uint8_t avoid, struct flight_job **ret_job)
{
	bool is_new;
	int r = find_or_make(flight, key, FLIGHT_UNASKED_MAX, &is_new, ret_job);
	if (r == 0 && !is_new)
		(*ret_job)->from_notice = false; /* it is more than that */
	if (r != 0 || !is_new)
		return r;
	(*ret_job)->refresh = true;
	(*ret_job)->avoid = avoid;
	enqueue(flight, *ret_job,
	    &flight->refreshes[urgency < FLIGHT_URGENCIES ? urgency : FLIGHT_URGENCIES - 1]);
	return 0;
}

int flight_ask(struct flight *flight, const struct question_key *plain_key, uint16_t port,
    enum flight_class class, struct job_waiter *waiter, struct flight_job **ret_job)
{
	struct question_key traced_key;
	const struct question_key *key = plain_key;
	if (class == FLIGHT_TRACED) {
		traced_key = *plain_key;
		traced_key.bytes[0] |= QUESTION_KEY_TRACED;
		key = &traced_key;
	}
	bool is_new;
	struct flight_job *job;
	int r = find_or_make(flight, key,
	    class == FLIGHT_BACKGROUND ? FLIGHT_UNASKED_MAX : FLIGHT_JOBS_MAX, &is_new, &job);
	if (r != 0)
		return r;
	if (is_new && class == FLIGHT_BACKGROUND) {
		job->refresh = true;
		enqueue(flight, job, &flight->refreshes[0]);
	} else if (is_new) {
		enqueue(flight, job, class == FLIGHT_TRACED ? &flight->traces : &flight->asked);
	} else if (class == FLIGHT_ASKED && job->refresh) {
		job->refresh = false;
		if (job->queue == NULL) {
			flight->refreshes_running--;
		} else {
			dequeue(job);
			enqueue(flight, job, &flight->asked);
		}
	}
	if (port != 0)
		job->port = port;
	LIST_INSERT_HEAD(&job->waiters, waiter, link);
	waiter->waiting = true;
	*ret_job = job;
	return 0;
}

void flight_forget(struct job_waiter *waiter)
{
	if (waiter->waiting)
		LIST_REMOVE(waiter, link);
	waiter->waiting = false;
}

struct flight_job *flight_take_trace(struct flight *flight)
{
	struct flight_job *job = TAILQ_FIRST(&flight->traces);
	if (job != NULL)
		dequeue(job);
	return job;
}

struct flight_job *flight_take(struct flight *flight)
{
	struct flight_job *job = TAILQ_FIRST(&flight->asked);
	bool may_refresh = flight->refreshes_running < flight->refreshes_running_max;
	for (unsigned i = FLIGHT_URGENCIES; job == NULL && may_refresh && i-- > 0;)
		job = TAILQ_FIRST(&flight->refreshes[i]);
	if (job != NULL) {
		dequeue(job);
		flight->refreshes_running += job->refresh;
	}
	return job;
}

void flight_put_back(struct flight *flight, struct flight_job *job, bool later)
{
	struct flight_jobs *queue = job->trace     ? &flight->traces
				    : job->refresh ? &flight->refreshes[0]
						   : &flight->asked;
	flight->refreshes_running -= job->refresh;
	job->queue = queue;
	if (later)
		TAILQ_INSERT_TAIL(queue, job, link);
	else
		TAILQ_INSERT_HEAD(queue, job, link);
}

void flight_end(struct flight *flight, struct flight_job *job, void *answer)
{
	struct job_waiter *waiter;
	flight->refreshes_running -= job->refresh;
	flight->names[job->bucket]--;
	table_remove(&flight->jobs, &job->node);
	while ((waiter = LIST_FIRST(&job->waiters)) != NULL) {
		flight_forget(waiter);
		waiter->on_answer(waiter, answer);
	}
	free(job);
}
