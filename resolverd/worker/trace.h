/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a job looked up, for "explain": one Lookup of the protocol for each question asked, in
 * order. Pure; times are milliseconds since the job began, all memory is in the inquiry's arena.
 */
#pragma once
#include "resolverd/worker/inquiry.h"

#define TRACE_LOOKUPS_MAX 16u /* more than any job makes */

struct trace {
	Resolverd__V1__Lookup *lookups[TRACE_LOOKUPS_MAX];
	size_t count;
	Resolverd__V1__Lookup *open[INQUIRY_SLOTS]; /* asked, not replied */
};

void trace_asked(struct trace *trace, struct inquiry *inquiry, unsigned slot, const char *name,
    int type, uint32_t now_ms);
void trace_replied(struct trace *trace, struct inquiry *inquiry, unsigned slot,
    const struct reply *reply, uint32_t now_ms);
/* Puts what there is into the facts; what is still open counts as unanswered. */
void trace_finish(struct trace *trace, struct inquiry *inquiry, uint32_t now_ms);
