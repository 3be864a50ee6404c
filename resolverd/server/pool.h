/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The workers as the server sees them. They run the jobs of the flight; a refresh by another worker
 * than the one whose answer it replaces. A job whose worker died runs again, alone on a worker,
 * since it may be what killed it; at its second death it is answered as failed, which the cache
 * then keeps for failure-ttl: quarantine.
 */
#pragma once
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "resolverd/base/conn.h"
#include "resolverd/server/flight.h"
#include "worker.pb-c.h"

#define POOL_WORKERS_MAX 64u
#define POOL_PLACES (POOL_WORKERS_MAX + 1u) /* the tracer stands behind the workers wanted */
#define POOL_PER_WORKER_MAX 4096u           /* handed to one worker at once */
#define POOL_STUCK_GRACE_MS 5000 /* past a job's deadline before its worker counts as stuck */
#define POOL_SILENT_MS                                                                             \
	600000 /* the same of one that says nothing at all: no look at the root takes so long */

struct pool_worker {
	struct pool *pool;
	struct conn conn;
	bool up, alone;          /* alone: it runs a suspect */
	bool outdated, retiring; /* to be replaced; retiring: takes no new jobs, ends when idle */
	bool root_known, root_secure;
	uint32_t index;
	int32_t pid;
	int64_t heard_at_ms; /* mono */
	uint32_t in_flight_count;
	struct flight_jobs in_flight; /* oldest first */
};

struct pool {
	struct event_base *base;
	uint32_t workers_wanted, deadline_ms;
	struct pool_worker workers[POOL_PLACES];
	struct conn_buffers *buffers;
	struct flight *flight;
	struct event hand_out; /* the flight has something new */
	struct flight_jobs suspects;
	int64_t tracer_busy_at_ms; /* mono; the tracer is started when wanted, gone when idle */
	uint64_t done_count, rerun_count, quarantined_count, worker_deaths;
	char not_secure_reason[400];
	const char *hold_reason; /* borrowed; while it is set and not empty no job is handed out */
	/* Facts arrived for this job, its own question already checked: returns the answer for the
	 * waiters, a reference that the pool hands back through release. */
	void *(*on_facts)(void *arg, const struct flight_job *job, Resolverd__Worker__Facts *facts,
	    unsigned worker);
	void *(*on_failure)(void *arg, const struct flight_job *job, const char *reason);
	void (*on_self_check)(void *arg, const Resolverd__Worker__SelfCheck *check);
	void (*release)(void *arg, void *answer);
	/* End this process: it is stuck, or (retired) replaced as planned. */
	void (*on_gone)(void *arg, uint32_t index, int32_t pid, bool retired);
	void (*on_tracer_wanted)(void *arg);
	/* May be NULL. Before a job goes to a worker: true, it was taken, until pool_end or
	 * pool_put_back. */
	bool (*on_take)(void *arg, struct flight_job *job);
	void *arg;
};

/* Borrows buffers and flight, and is told of its work. Returns 0 or -ENOMEM. */
[[gnu::warn_unused_result]] int pool_init(struct pool *pool, struct event_base *base,
    struct conn_buffers *buffers, struct flight *flight, uint32_t workers, uint32_t deadline_ms);
void pool_fini(struct pool *pool); /* before the flight */

/* Takes fd: the socket of a new worker in this place. */
void pool_worker_up(struct pool *pool, uint32_t index, int32_t pid, int fd);

/* Of a job that on_take took: it has its answer, as from on_facts; or a worker is to find it. */
void pool_end(struct pool *pool, struct flight_job *job, void *answer);
void pool_put_back(struct pool *pool, struct flight_job *job);

/* Replaces every worker: one by one, each when the one before it has proven to validate; or all at
 * once, when nothing they say counts any more. Their jobs are done or run again. */
void pool_renew(struct pool *pool, bool at_once);

/* Once a second: finds workers that are stuck, goes on with a renewal. */
void pool_tick(struct pool *pool, int64_t now_mono_ms);

/* A worker is up, the root key set validates, nothing holds. Else *ret_reason says why not. */
bool pool_is_ready(const struct pool *pool, const char **ret_reason);
uint32_t pool_workers_up(const struct pool *pool);
uint32_t pool_jobs_running(const struct pool *pool); /* that a worker has */
