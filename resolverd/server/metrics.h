/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was found since the start and how long it took, counted for the operator's monitoring. Only
 * what was looked up is counted here: answers out of the cache cost nothing but the counter that
 * struct server has for them. Pure.
 */
#pragma once
#include <stdint.h>

#include "resolverd.pb-c.h"
#include "worker.pb-c.h"

#define HISTOGRAM_BOUNDS 14u
#define METRICS_POLICIES (RESOLVERD__V1__POLICY__UNREACHABLE + 1u)
#define METRICS_TLSA_STATUSES (RESOLVERD__V1__TLSA_STATUS__TLSA_NOT_QUERIED + 1u)
#define METRICS_STATUSES (RESOLVERD__V1__STATUS__ERROR + 1u)

struct histogram {
	uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* the last: what took longer */
	uint64_t sum_ms;
};

struct metrics { /* each by the number of its enum; at 0 what has none that is known */
	uint64_t hosts_by_policy[METRICS_POLICIES];
	uint64_t hosts_by_tlsa[METRICS_TLSA_STATUSES];
	uint64_t routes_by_status[METRICS_STATUSES];
	uint64_t records_by_status[METRICS_STATUSES];
	struct histogram job_time, wait_time;
};

void histogram_note(struct histogram *histogram, int64_t took_ms);
void metrics_note_facts(
    struct metrics *metrics, const Resolverd__Worker__Facts *facts, int64_t took_ms);
/* A job without facts: nothing trustworthy was found. */
void metrics_note_failure(struct metrics *metrics, int kind);
/* Fills message and the two it points to; they borrow from metrics. */
void metrics_tell(struct metrics *metrics, Resolverd__V1__Metrics *message,
    Resolverd__V1__Histogram *job_time, Resolverd__V1__Histogram *wait_time);
