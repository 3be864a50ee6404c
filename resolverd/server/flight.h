/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The jobs by question: one for each, however many wait for it (single flight). What a client waits
 * for is handed out first, in the order it was asked; refreshes follow, the most wanted first.
 * Pure; which worker runs what is pool.c's.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "resolverd.pb-c.h"
#include "resolverd/server/table.h"

#define FLIGHT_JOBS_MAX 50000u /* in flight and waiting; more is refused as busy */
#define FLIGHT_UNASKED_MAX (FLIGHT_JOBS_MAX / 2u) /* ... beyond, only what a client waits for */
#define FLIGHT_PER_NAME_MAX 64u /* of all its types and ports: nobody has use for more at once */
#define FLIGHT_NAME_BUCKETS 16384u
#define FLIGHT_URGENCIES 8u /* of refreshes: the binary logarithm of their demand */
#define FLIGHT_NO_WORKER 255u

struct job_waiter; /* flight.h's user embeds it */
LIST_HEAD(job_waiters, job_waiter);
struct job_waiter {
	LIST_ENTRY(job_waiter) link;
	bool waiting;
	void (*on_answer)(
	    struct job_waiter *waiter, void *answer); /* answer borrowed; NULL: none */
};

enum flight_class {
	FLIGHT_ASKED,
	FLIGHT_BACKGROUND, /* with the refreshes, unless it is asked for, too */
	FLIGHT_TRACED,
};

struct fleet_lookup;
struct flight_job;
TAILQ_HEAD(flight_jobs, flight_job);

struct flight_job {
	struct table_node node;
	TAILQ_ENTRY(flight_job) link; /* in a queue of flight, or in a list of its holder's */
	struct flight_jobs *queue;    /* of flight; NULL: taken */
	struct job_waiters waiters;
	uint64_t id;
	int64_t given_at_ms; /* mono, to its worker */
	unsigned deaths;     /* of workers with it in flight */
	uint16_t bucket;     /* of its name */
	bool trace;
	bool refresh;      /* started without anybody waiting */
	bool at_store;     /* the fleet's store was or is asked for it */
	bool leased;       /* ... and let no other member look it up meanwhile */
	bool from_notice;  /* since another member told of something new */
	uint8_t avoid;     /* the worker whose answer it is to replace, or FLIGHT_NO_WORKER */
	uint16_t port;     /* routes: of the hosts wanted with it, or 0 */
	uint32_t store_ms; /* that the store took, of the time there is for the request */
	struct fleet_lookup *look;        /* of the fleet, while it is there; else NULL */
	uint32_t keep_until_s;            /* its answer is kept until then; 0: as any other */
	Resolverd__V1__Question question; /* name points into key */
	uint8_t key[];                    /* and a final zero */
};

struct flight {
	struct table jobs;
	uint8_t hash_key[16];
	/* Jobs by name. Names share a bucket by keyed hash, far fewer than a name may have jobs. */
	uint16_t names[FLIGHT_NAME_BUCKETS];
	struct flight_jobs asked, traces, refreshes[FLIGHT_URGENCIES];
	size_t refreshes_running, refreshes_running_max; /* handed out, with nobody waiting */
	uint64_t next_id;
	void (*on_work)(void *arg); /* something was queued; called within; may be NULL */
	void *arg;
};

/* Returns 0 or -ENOMEM. */
[[gnu::warn_unused_result]] int flight_init(struct flight *flight);
/* Frees the jobs in its queues; those taken are their holder's. */
void flight_fini(struct flight *flight);
/* Drops what is queued and nobody waits for. */
void flight_clear(struct flight *flight);

/* Joins the job for this question, or queues one; a refresh that is asked for goes with what is.
 * One with trace shares nothing with those without. port: as in struct flight_job. on_answer never
 * comes from within. Returns 0, or -EBUSY when there are too many jobs, or -ENOMEM. */
[[gnu::warn_unused_result]] int flight_ask(struct flight *flight, const struct question_key *key,
    uint16_t port, enum flight_class class, struct job_waiter *waiter, struct flight_job **ret_job);
/* Queues a refresh unless a job for it is there. Returns as flight_ask. */
[[gnu::warn_unused_result]] int flight_refresh(struct flight *flight,
    const struct question_key *key, unsigned urgency, uint8_t avoid, struct flight_job **ret_job);
/* The waiter no longer wants it; the job goes on. Fine for one that does not wait. */
void flight_forget(struct job_waiter *waiter);

/* The next job to hand out, taken off its queue; NULL: none, or no more refreshes for now. */
struct flight_job *flight_take(struct flight *flight);
struct flight_job *flight_take_trace(struct flight *flight);
/* Back to the head of its queue, or (later) to the end. */
void flight_put_back(struct flight *flight, struct flight_job *job, bool later);
/* A taken job is over: tells its waiters, who may ask again from within, and frees it. */
void flight_end(struct flight *flight, struct flight_job *job, void *answer);
