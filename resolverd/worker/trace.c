/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/worker/trace.h"

void trace_asked(struct trace *trace, struct inquiry *inquiry, unsigned slot, const char *name,
    int type, uint32_t now_ms)
{
	Resolverd__V1__Lookup *lookup = arena_alloc(&inquiry->arena, sizeof *lookup);
	trace->open[slot] = NULL;
	if (lookup == NULL || trace->count == TRACE_LOOKUPS_MAX)
		return;
	resolverd__v1__lookup__init(lookup);
	lookup->name = arena_string(&inquiry->arena, name);
	lookup->type = (uint32_t)type;
	lookup->asked_after_ms = now_ms;
	lookup->unanswered = true;
	if (lookup->name == NULL)
		return;
	trace->open[slot] = lookup;
	trace->lookups[trace->count++] = lookup;
}

void trace_replied(struct trace *trace, struct inquiry *inquiry, unsigned slot,
    const struct reply *reply, uint32_t now_ms)
{
	Resolverd__V1__Lookup *lookup = trace->open[slot];
	if (lookup == NULL)
		return;
	trace->open[slot] = NULL;
	lookup->unanswered = false;
	lookup->took_ms = now_ms - lookup->asked_after_ms;
	lookup->ttl_s = reply->ttl_s == UINT32_MAX ? 0 : reply->ttl_s;
	lookup->rrsig_expires_at = (uint64_t)reply->rrsig_expires_at_ms;
	lookup->records = arena_alloc(&inquiry->arena, sizeof *lookup->records);
	if (lookup->records == NULL)
		return;
	resolverd__v1__records__init(lookup->records);
	records_fill(inquiry, lookup->records, reply);
}

void trace_finish(struct trace *trace, struct inquiry *inquiry, uint32_t now_ms)
{
	for (unsigned slot = 0; slot < INQUIRY_SLOTS; slot++)
		if (trace->open[slot] != NULL)
			trace->open[slot]->took_ms = now_ms - trace->open[slot]->asked_after_ms;
	inquiry->facts.lookups = trace->lookups;
	inquiry->facts.n_lookups = trace->count;
}
