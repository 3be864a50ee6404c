/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The jobs of one worker: how many run at once in all and per zone, in what order the others wait,
 * and when each is given up. A job that was answered at its deadline keeps its place until
 * libunbound is done with its lookups, since those cannot be called back.
 */
#pragma once
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "resolverd/worker/inquiry.h"
#include "resolverd/worker/trace.h"

#define ZONE_BUCKETS 4096u

struct job;
TAILQ_HEAD(job_list, job);

struct job_limits {
	uint32_t running_max, per_zone_max;
};

struct jobs {
	struct event_base *base;
	struct job_limits limits;
	struct inquiry_policy policy;
	uint32_t running;
	struct job_list waiting; /* for a place among all */
	/* Zones share a bucket by keyed hash: a collision costs waiting, nothing else. */
	struct {
		uint32_t running;
		struct job_list waiting;
	} zones[ZONE_BUCKETS];
	uint8_t hash_key[16];
	void (*lookup)(void *arg, struct job *job, unsigned slot, const char *name, int type);
	void (*done)(void *arg, struct job *job); /* inquiry.facts is complete; borrow */
	void *arg;
	struct job_list replied;   /* with lookups to hand in */
	struct job_list postponed; /* with lookups to make again in the next second */
	struct event again;
	bool draining;
};

struct job {
	TAILQ_ENTRY(job) link;         /* in waiting */
	TAILQ_ENTRY(job) replied_link; /* in jobs->replied */
	struct jobs *jobs;
	uint64_t id;
	struct inquiry inquiry;
	uint32_t bucket;
	int64_t started_at_ms; /* mono, when it began to run */
	struct event deadline; /* first at half of its time, to hurry */
	uint32_t left_ms;      /* of its time, after that; 0: hurried */
	enum { JOB_WAITS_ZONE, JOB_WAITS, JOB_RUNS } state;
	bool answered, is_replied;
	unsigned outstanding;
	TAILQ_ENTRY(job) postponed_link; /* in jobs->postponed */
	bool is_postponed, postponed[INQUIRY_SLOTS], repeated[INQUIRY_SLOTS];
	unsigned asking; /* the slot whose lookup is being made, plus 1 */
	const char *asked_name[INQUIRY_SLOTS];
	int asked_type[INQUIRY_SLOTS];
	struct reply pending[INQUIRY_SLOTS];
	bool has_pending[INQUIRY_SLOTS];
	struct trace *trace; /* in the arena; NULL: not wanted */
};

void jobs_init(struct jobs *jobs, struct event_base *base, const struct job_limits *limits);
/* Takes a job in; done comes from here or later. Returns 0 or a negative errno. */
[[gnu::warn_unused_result]] int jobs_add(struct jobs *jobs, const Resolverd__Worker__Job *message);
/* One lookup ended. packet NULL: it failed with status. */
void job_lookup_done(struct job *job, unsigned slot, const uint8_t *packet, size_t packet_bytes,
    Resolverd__V1__Status status, int rcode, const char *why, int64_t now_ms);

/* What the per-zone limit counts by: the last two labels, three under names like co.uk. */
const char *job_zone_of(const char *name);
