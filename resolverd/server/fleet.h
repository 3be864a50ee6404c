/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the flight and the workers: a job looks into the fleet's store first (docs/FLEET.md).
 * Facts there that a trusted member signed and that last longer than what we have end the job. Else
 * it takes the lease of its question and goes to a worker, whose facts are put into the store;
 * while another member has the lease it looks again, a few times, and then goes to a worker all the
 * same. What is not to be shared is said with an empty value, so that nobody waits for it. What
 * clients wait for is counted in the store, so that members know what the fleet wants
 * often. The store is never needed: each step has its bound, and a breaker leaves out what fails.
 * What the store says is foreign: checked here, and at worst of no use. The helper process that
 * speaks with it is at the other end of a socketpair.
 */
#pragma once
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proto/ring.h"
#include "resolverd/base/config.h"
#include "resolverd/base/conn.h"
#include "resolverd/server/breaker.h"
#include "resolverd/server/flight.h"
#include "resolverd/server/signer.h"

#define FLEET_VIEW_BYTES 16u
#define FLEET_LOOKUPS_MAX 4096u /* at the store at once; more go to the workers at once */
#define FLEET_NOTICES_PER_S 1000u

struct fleet_lookup;

struct fleet_counts {
	uint64_t asked; /* jobs that looked into the store */
	uint64_t found; /* ... and ended with what was there */
	uint64_t
	    refused; /* values that were forged, foreign, malformed, too old or of another view */
	uint64_t leased;    /* jobs that had the lease */
	uint64_t waited;    /* jobs that waited for another member's answer */
	uint64_t shared;    /* values put into the store */
	uint64_t failed;    /* requests that the store did not answer, or not in time */
	uint64_t passed_by; /* jobs that did not look, since the breaker was open or too many did */
	uint64_t notices, notices_dropped;
};

struct fleet {
	struct event_base *base;
	struct conn_buffers *buffers;
	const struct config *config;
	struct signer *signer;
	struct conn conn;
	bool up;                       /* the helper is there */
	bool connected;                /* it is with the store */
	bool heard;                    /* it has said something since the breaker opened first */
	char detail[200];              /* to what, or why not; for people */
	struct breaker breaker, waits; /* for the store; for another member's answer */
	struct ring ring, ring_before; /* before: its last change */
	Resolverd__Fleet__SignedMembership *membership; /* of our long-term key; NULL: none */
	int64_t forgotten_at_ms; /* wall; what was found before does not count; 0: never */
	uint8_t view[FLEET_VIEW_BYTES];
	struct table lookups; /* by id */
	uint64_t next_id;
	int64_t notices_at_s;
	uint32_t notices_left;
	struct fleet_counts counts;
	char refused_why[160]; /* the last one; for people */
	/* What we have for this question, borrowed; NULL: nothing live. */
	const struct answer *(*have)(void *arg, const struct flight_job *job);
	/* The job has its answer, which is taken over; or (NULL) it was a look at what a notice
	 * told, and nobody wants it. */
	void (*found)(void *arg, struct flight_job *job, struct answer *answer);
	void (*pass)(void *arg, struct flight_job *job); /* to a worker */
	/* The members' clients ask for this often enough for it to be refreshed, though ours alone
	 * may not. */
	void (*wanted)(void *arg, const struct question_key *key);
	/* Another member found something else for this question. */
	void (*changed)(void *arg, const Resolverd__V1__Question *question);
	void (*stuck)(void *arg); /* the helper is to be ended: it is silent, or talks nonsense */
	void *arg;
};

/* Borrows all it is given. Returns 0 or -ENOMEM. Without a helper everything passes. */
[[gnu::warn_unused_result]] int fleet_init(struct fleet *fleet, struct event_base *base,
    struct conn_buffers *buffers, struct signer *signer, const struct config *config);
void fleet_fini(struct fleet *fleet); /* before the flight: jobs at the store are freed */
/* After a reload. */
void fleet_set_config(struct fleet *fleet, const struct config *config);

/* Takes fd: the socket of a new helper. */
void fleet_helper_up(struct fleet *fleet, int fd);
/* Reads the key ring, and closes fd; a bad one, or fd -1, trusts nobody. What others found is then
 * to be looked through with fleet_trusts. */
void fleet_take_ring(struct fleet *fleet, int fd);
/* The same with the membership of our long-term key; fd -1: there is none. */
void fleet_take_membership(struct fleet *fleet, int fd);
/* What was found until now no longer counts, here or in the store: another trust anchor, another
 * clock, a flush. */
void fleet_forget(struct fleet *fleet, int64_t now_ms);
/* Whether an answer of ours may still rest on what that member found. */
bool fleet_trusts(const struct fleet *fleet, const struct answer *answer);

/* Fills message, which borrows from fleet. */
void fleet_tell_status(const struct fleet *fleet, Resolverd__V1__FleetStatus *message);

/* False: it is the pool's, now. Else the stage has it, and ends by found or pass. */
[[gnu::warn_unused_result]] bool fleet_take(struct fleet *fleet, struct flight_job *job);

/* A client waits for it now; lookup may be NULL. */
void fleet_hurry(struct fleet_lookup *lookup);

/* A worker found this, or (NULL) nothing; changes: it says something else than what we had. */
void fleet_share(struct fleet *fleet, const struct flight_job *job,
    const Resolverd__Worker__Facts *facts, bool changes, int64_t now_ms);
/* This was looked up with empty caches, since somebody wanted it so: all are told. */
void fleet_share_anew(struct fleet *fleet, const Resolverd__V1__Question *question,
    const struct answer *answer, int64_t now_ms);
