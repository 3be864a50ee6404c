/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fleet: members made of the real cache, wheel, prefetch and flight, around one modelled store or
 * without one, with a clock that is told the time. Members and store do what
 * resolverd/server/fleet.c and sharing.c do, step by step, but for signatures. Workers remember
 * nothing: each lookup asks the upstream. Now and then an answer changes, and who finds that
 * publishes it. Nothing fails here; sim.h is for that. Names, hosts and TTLs are trace.h's. The
 * process ends when memory is short.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "resolverd/server/breaker.h"
#include "resolverd/server/cache.h"
#include "resolverd/server/flight.h"
#include "resolverd/server/prefetch.h"
#include "tests/sim/trace.h"

#define FLEET_SIM_ROUND_TRIP_MS 1 /* to the store */
#define FLEET_SIM_WAIT_MAX_MS 8192u
#define FLEET_SIM_LIFE_MAX_MS INT64_C(4000000000) /* what the times in struct stored can tell */

struct fleet_member {
	struct cache cache;
	struct flight flight;
	struct prefetch prefetch;
	struct breaker waits;              /* as in struct fleet */
	uint64_t questions, lookups_asked; /* of its clients; of them looked up by itself */
};

/* Of one question. Times are the simulation's; what is before now has ended. */
struct stored {
	struct answer *answer; /* a reference; NULL: none */
	uint32_t until_ms, leased_until_ms, asked_until_ms;
	uint32_t asked;
};

struct fleet_sim_counts {
	uint64_t plans, plans_unwaited; /* unwaited: route and hosts were in the member's cache */
	uint64_t questions, refused;    /* refused: too many jobs */
	uint64_t lookups_route, lookups_host,
	    lookups_refresh; /* refresh: of both, nobody waiting */
	uint64_t gets, found, leases, leases_taken, sets, counted, published; /* commands */
	uint64_t notices, notice_gets; /* delivered to members; GETs of who had the answer */
	uint64_t wait_ms;
	uint32_t waits[FLEET_SIM_WAIT_MAX_MS]; /* plans by how long they waited, in ms */
};

struct fleet_sim_keys {
	uint64_t facts, leases, counts;
};

struct visit;
STAILQ_HEAD(visits, visit);

struct fleet_sim {
	struct fleet_member *members;
	uint32_t member_count, question_count;
	struct stored *stored; /* by question; NULL: there is no store */
	int64_t now_ms;
	uint64_t ticks;
	uint64_t random;
	struct visits *slots;           /* what is due in each of the next milliseconds */
	uint64_t plans_open, jobs_open; /* that have not ended */
	uint64_t served_wrong;          /* past their end, or to another question; must stay 0 */
	struct fleet_sim_counts counts; /* the user may set them to zero */
};

void fleet_sim_init(
    struct fleet_sim *sim, uint32_t members, bool has_store, uint32_t questions, uint64_t seed);
void fleet_sim_fini(struct fleet_sim *sim); /* once the plans have ended */

/* A client of that member wants a mail's plan: the route, then the hosts. */
void fleet_sim_ask(struct fleet_sim *sim, uint32_t member, const struct trace_mail *mail);
/* Time passes, with all that is due in it. */
void fleet_sim_advance(struct fleet_sim *sim, int64_t to_ms);
/* Time passes until all plans have ended. False: one never does. */
[[gnu::warn_unused_result]] bool fleet_sim_finish_plans(struct fleet_sim *sim);
/* The member starts again, and has nothing. */
void fleet_sim_empty(struct fleet_sim *sim, uint32_t member);
/* Frees what has ended in the store, and counts the rest. */
struct fleet_sim_keys fleet_sim_sweep(struct fleet_sim *sim);
