/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The workers as the server sees them, and the jobs: one for each question however many ask (single
 * flight). A job whose worker died runs again, alone on a worker, since it may be what killed it;
 * at its second death it is answered as failed, which the cache then keeps for failure-ttl:
 * quarantine.
 */
#pragma once
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "resolverd/base/conn.h"
#include "resolverd/server/table.h"
#include "worker.pb-c.h"

#define POOL_WORKERS_MAX 64u
#define POOL_PLACES (POOL_WORKERS_MAX + 1u) /* the tracer stands behind the workers wanted */
#define POOL_JOBS_MAX 50000u                /* in flight and waiting; more is refused as busy */
#define POOL_PER_WORKER_MAX 4096u           /* handed to one worker at once */
#define POOL_STUCK_GRACE_MS 5000 /* past a job's deadline before its worker counts as stuck */

struct job_waiter; /* pool.h's user embeds it */
LIST_HEAD(job_waiters, job_waiter);
struct job_waiter {
	LIST_ENTRY(job_waiter) link;
	bool waiting;
	void (*on_answer)(
	    struct job_waiter *waiter, void *answer); /* answer borrowed; NULL: none */
};

struct pool_job;
TAILQ_HEAD(pool_jobs, pool_job);

struct pool_worker {
	struct pool *pool;
	struct conn conn;
	bool up, alone;          /* alone: it runs a suspect */
	bool outdated, retiring; /* to be replaced; retiring: takes no new jobs, ends when idle */
	bool root_known, root_secure;
	uint32_t index;
	int32_t pid;
	uint32_t in_flight_count;
	struct pool_jobs in_flight; /* oldest first */
};

struct pool {
	struct event_base *base;
	uint32_t workers_wanted, deadline_ms;
	struct pool_worker workers[POOL_PLACES];
	struct table jobs;
	struct pool_jobs waiting, suspects;
	struct pool_jobs traces;   /* for the tracer: started when it is wanted, gone when idle */
	int64_t tracer_busy_at_ms; /* mono */
	uint64_t next_id;
	uint64_t done_count, rerun_count, quarantined_count, worker_deaths;
	char not_secure_reason[400];
	const char *hold_reason; /* borrowed; while it is set and not empty no job is handed out */
	/* Facts arrived for this question (already checked); returns the answer for the waiters, a
	 * reference that the pool hands back through release. */
	void *(*on_facts)(void *arg, Resolverd__Worker__Facts *facts, bool traced);
	void (*on_self_check)(void *arg, const Resolverd__Worker__SelfCheck *check);
	void *(*on_failure)(
	    void *arg, Resolverd__V1__Question *question, const char *reason, bool traced);
	void (*release)(void *arg, void *answer);
	/* End this process: it is stuck, or (retired) replaced as planned. */
	void (*on_gone)(void *arg, uint32_t index, int32_t pid, bool retired);
	void (*on_tracer_wanted)(void *arg);
	void *arg;
};

[[gnu::warn_unused_result]] int pool_init(
    struct pool *pool, struct event_base *base, uint32_t workers, uint32_t deadline_ms);
void pool_fini(struct pool *pool);

/* Takes fd: the socket of a new worker in this place. */
void pool_worker_up(struct pool *pool, uint32_t index, int32_t pid, int fd);

/* Joins the job for this question, or starts it. One with trace shares nothing with those without:
 * it runs in a worker of its own that begins with empty caches, so that what it tells is new.
 * on_answer never comes from within. Returns 0, or -EBUSY when too many jobs are waiting, or
 * -ENOMEM. */
[[gnu::warn_unused_result]] int pool_ask(struct pool *pool, const struct question_key *key,
    const Resolverd__V1__Question *question, bool trace, struct job_waiter *waiter);
/* The waiter no longer wants it; the job goes on. Fine for one that does not wait. */
void pool_forget(struct job_waiter *waiter);

/* Replaces every worker: one by one, each when the one before it has proven to validate; or all at
 * once, when nothing they say counts any more. Their jobs are done or run again. */
void pool_renew(struct pool *pool, bool at_once);

/* Once a second: finds workers that are stuck, goes on with a renewal. */
void pool_tick(struct pool *pool, int64_t now_mono_ms);

/* A worker is up, the root key set validates, nothing holds. Else *ret_reason says why not. */
bool pool_is_ready(const struct pool *pool, const char **ret_reason);
uint32_t pool_workers_up(const struct pool *pool);
