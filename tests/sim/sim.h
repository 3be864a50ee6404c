/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server made of the real cache, wheel, prefetch, flight and failures, with a clock that is told
 * the time and workers that look nothing up. Each worker has a cache as libunbound has: whole
 * seconds, an answer from it has what is left of its TTL, and only when that is over the
 * upstream is asked; what ends in this second is waited out. Answers are made as signer.c would,
 * without a signature; jobs are handed out as pool.c does. What the upstream says, and when, is the
 * user's.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "resolverd/server/cache.h"
#include "resolverd/server/failures.h"
#include "resolverd/server/flight.h"
#include "resolverd/server/prefetch.h"

#define SIM_WORKERS_MAX 8u
#define SIM_NO_COPY 0u

/* Of an upstream that was really asked. */
struct sim_reply {
	bool failed, bogus;
	uint32_t ttl_s;
	int64_t latency_ms;
};

/* What is in the answer to a question. hosts: of a route, their names, each with its final zero. */
struct sim_content {
	const char *hosts;
	uint16_t hosts_bytes;
	uint8_t host_count;
	size_t blob_bytes;
};

struct sim_world {
	/* The question's number, below sim->questions. */
	uint32_t (*number_of)(void *arg, const char *name);
	void (*ask)(void *arg, uint32_t number, unsigned worker, struct sim_reply *ret_reply);
	void (*describe)(void *arg, uint32_t number, struct sim_content *ret_content);
	void *arg;
};

struct sim_worker {
	bool up;
	unsigned in_flight;
	uint32_t *copies; /* by question: the second in which it ends, or SIM_NO_COPY */
};

/* A job that a worker has. */
struct sim_run {
	int64_t done_at_ms; /* mono */
	struct flight_job *job;
	uint32_t number;
	uint8_t worker;
	bool from_copy;
	struct sim_reply reply;
};

struct sim {
	struct cache cache;
	struct flight flight;
	struct prefetch prefetch;
	struct failures failures;
	struct sim_world world;
	struct sim_worker workers[SIM_WORKERS_MAX];
	uint32_t questions;
	int64_t mono_ms, wall_ms, next_tick_ms; /* the tick's: mono */
	struct sim_run *runs;                   /* a heap, the first to be done on top */
	size_t run_count, run_room;
	size_t may_give; /* jobs that may still be handed out; SIZE_MAX: as they come */
	uint64_t upstream_queries, stale_served;
};

enum sim_outcome {
	SIM_SERVED,
	SIM_FAILED, /* a failed answer, live in the cache */
	SIM_STALE,
	SIM_WAITS,
	SIM_HELD_BACK, /* it failed too often (failures.h) */
	SIM_BUSY,
};

/* workers of settings are all up. The process ends when memory is short: a simulation is of no use
 * then. */
void sim_init(struct sim *sim, const struct sim_world *world, uint32_t questions,
    const struct prefetch_settings *settings, size_t max_bytes, uint64_t seed);
void sim_fini(struct sim *sim);

/* A client asks. waiter is used, until its on_answer, when it waits. *ret_answer: what it got,
 * borrowed as from prefetch_look_up, else NULL. */
enum sim_outcome sim_ask(struct sim *sim, const struct question_key *key, uint16_t port,
    struct job_waiter *waiter, const struct answer **ret_answer);
/* Time passes, with all that is due in it. */
void sim_advance(struct sim *sim, int64_t to_mono_ms);
/* As after a suspension: time has passed and nothing ran meanwhile. */
void sim_suspend(struct sim *sim, int64_t ms);
/* The wall clock is set: what the server does then. */
void sim_step_clock(struct sim *sim, int64_t ms);
/* Hands out what may be. */
void sim_hand_out(struct sim *sim);
