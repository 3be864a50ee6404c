/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In what a cached answer and the fresh one about the same question differ, as text for people.
 * Pure. Lists are compared as sets: their order says nothing.
 */
#pragma once
#include "client/lib/view.h"

/* How many differences one pair can have at most. */
#define DIFFERENCES_OF_ROUTE 5u
#define DIFFERENCES_OF_HOST 7u
#define DIFFERENCES_OF_PLAN 1u
/* And two whole plans. */
#define DIFFERENCES_OF_PLANS(host_count)                                                           \
	(DIFFERENCES_OF_PLAN + DIFFERENCES_OF_ROUTE + (host_count)*DIFFERENCES_OF_HOST)

struct differences {
	struct resolverd_memory *arena;
	struct resolverd_difference *list; /* with room for all that is compared */
	size_t count;
};

void difference_route(struct differences *differences, const Resolverd__V1__Answer *cached,
    const Resolverd__V1__Answer *fresh);
/* Both as view_host_alone makes them. */
void difference_host(struct differences *differences, const struct resolverd_host *cached,
    const struct resolverd_host *fresh);
void difference_plan(struct differences *differences, const struct resolverd_plan *cached,
    const struct resolverd_plan *fresh);
/* Of the plans as a sender has them, their hosts after local policy. A host that is new differs in
 * policy alone, from "none". */
void difference_plans(struct differences *differences, const struct resolverd_plan *before,
    const struct resolverd_plan *after);
