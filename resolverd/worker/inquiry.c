/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/worker/inquiry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define V1(name) RESOLVERD__V1__##name
#define ARENA_LIMIT_BYTES (8u * 1024u * 1024u)

int inquiry_init(struct inquiry *inquiry, const Resolverd__V1__Question *question,
    const struct inquiry_policy *policy, inquiry_ask *ask, void *ask_arg)
{
	memset(inquiry, 0, sizeof *inquiry);
	inquiry->policy = policy;
	inquiry->ask = ask;
	inquiry->ask_arg = ask_arg;
	arena_init(&inquiry->arena, ARENA_LIMIT_BYTES);
	resolverd__v1__question__init(&inquiry->question);
	inquiry->question.kind = question->kind;
	inquiry->question.port = question->port;
	inquiry->question.type = question->type;
	inquiry->question.name = arena_string(&inquiry->arena, question->name);
	resolverd__worker__facts__init(&inquiry->facts);
	inquiry->facts.question = &inquiry->question;
	inquiry->facts.life_ms = UINT64_MAX;
	int r = inquiry->question.name != NULL ? 0 : -ENOMEM;
	Resolverd__Worker__Facts *facts = &inquiry->facts;
	switch (r == 0 ? (int)question->kind : -1) {
	case V1(KIND__ROUTE):
		facts->data_case = RESOLVERD__WORKER__FACTS__DATA_ROUTE;
		facts->route = arena_alloc(&inquiry->arena, sizeof *facts->route);
		if (facts->route != NULL)
			resolverd__v1__route__init(facts->route);
		break;
	case V1(KIND__HOST):
		facts->data_case = RESOLVERD__WORKER__FACTS__DATA_HOST;
		facts->host = arena_alloc(&inquiry->arena, sizeof *facts->host);
		if (facts->host != NULL)
			resolverd__v1__host__init(facts->host);
		break;
	case V1(KIND__RECORDS):
		facts->data_case = RESOLVERD__WORKER__FACTS__DATA_RECORDS;
		facts->records = arena_alloc(&inquiry->arena, sizeof *facts->records);
		if (facts->records != NULL)
			resolverd__v1__records__init(facts->records);
		break;
	default:
		r = r != 0 ? r : -EINVAL;
	}
	if (r == 0 && facts->route == NULL)
		r = -ENOMEM;
	if (r != 0)
		inquiry_fini(inquiry);
	return r;
}

void inquiry_fini(struct inquiry *inquiry)
{
	arena_fini(&inquiry->arena);
}

/* Once each; without memory the job fails elsewhere soon enough. */
static void touch(struct inquiry *inquiry, const char *name)
{
	Resolverd__Worker__Facts *facts = &inquiry->facts;
	const struct inquiry_policy *policy = inquiry->policy;
	for (size_t i = 0; i < policy->insecure_zone_count; i++) {
		const struct config_zone *zone = &policy->insecure_zones[i];
		bool known = !name_is_within(name, zone->name);
		for (size_t j = 0; j < facts->n_insecure_zones && !known; j++)
			known = strcmp(facts->insecure_zones[j]->zone, zone->name) == 0;
		Resolverd__V1__InsecureZone *touched =
		    known ? NULL : arena_alloc(&inquiry->arena, sizeof *touched);
		if (touched == NULL)
			continue;
		if (facts->insecure_zones == NULL)
			facts->insecure_zones = arena_alloc(&inquiry->arena,
			    policy->insecure_zone_count * sizeof *facts->insecure_zones);
		if (facts->insecure_zones == NULL)
			return;
		resolverd__v1__insecure_zone__init(touched);
		touched->zone = zone->name;
		touched->until = (uint64_t)zone->insecure_until_ms;
		facts->insecure_zones[facts->n_insecure_zones++] = touched;
	}
}

void inquiry_lookup(struct inquiry *inquiry, unsigned slot, const char *name, int type)
{
	touch(inquiry, name);
	inquiry->ask(inquiry->ask_arg, slot, name, type);
}

void inquiry_use(struct inquiry *inquiry, const struct reply *reply)
{
	Resolverd__Worker__Facts *facts = &inquiry->facts;
	if (reply_is_failed(reply)) {
		facts->failed = true;
		return;
	}
	if (reply->ttl_s != UINT32_MAX && reply->ttl_s * UINT64_C(1000) < facts->life_ms)
		facts->life_ms = reply->ttl_s * UINT64_C(1000);
	if (reply->rrsig_expires_at_ms != 0 &&
	    (facts->rrsig_expires_at == 0 ||
		(uint64_t)reply->rrsig_expires_at_ms < facts->rrsig_expires_at))
		facts->rrsig_expires_at = (uint64_t)reply->rrsig_expires_at_ms;
}

char *inquiry_reason(struct inquiry *inquiry, const char *what, const char *detail)
{
	char text[600];
	snprintf(text, sizeof text, detail != NULL && detail[0] != '\0' ? "%s: %.500s" : "%s", what,
	    detail);
	for (char *c = text; *c != '\0'; c++) /* why_bogus quotes names from the wire */
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			*c = '?';
	char *copy = arena_string(&inquiry->arena, text);
	static char none[] = "";
	return copy != NULL ? copy : none;
}

bool inquiry_begin(struct inquiry *inquiry)
{
	switch (inquiry->question.kind) {
	case V1(KIND__ROUTE):
		return route_begin(inquiry);
	case V1(KIND__HOST):
		return host_begin(inquiry);
	default:
		return records_begin(inquiry);
	}
}

bool inquiry_reply(struct inquiry *inquiry, unsigned slot, const struct reply *reply)
{
	inquiry->replies[slot] = *reply;
	inquiry->replied[slot] = true;
	for (size_t i = 0; i < reply->chain_count; i++)
		touch(inquiry, reply->chain[i]->owner);
	if (reply->final_name != NULL)
		touch(inquiry, reply->final_name);
	switch (inquiry->question.kind) {
	case V1(KIND__ROUTE):
		return route_reply(inquiry, slot);
	case V1(KIND__HOST):
		return host_reply(inquiry, slot);
	default:
		return records_reply(inquiry, slot);
	}
}

bool inquiry_hurry(struct inquiry *inquiry)
{
	return inquiry->question.kind == V1(KIND__HOST) && host_hurry(inquiry);
}

void inquiry_give_up(struct inquiry *inquiry, Resolverd__V1__Status status, const char *reason)
{
	inquiry->facts.failed = true;
	switch (inquiry->question.kind) {
	case V1(KIND__ROUTE):
		inquiry->facts.route->kind = V1(ROUTE_KIND__FAILED);
		inquiry->facts.route->mx_status = status;
		inquiry->facts.route->expanded = inquiry->question.name;
		inquiry->facts.route->reason = inquiry_reason(inquiry, reason, NULL);
		break;
	case V1(KIND__HOST):
		host_give_up(inquiry, status, reason);
		break;
	default:
		inquiry->facts.records->status = status;
		inquiry->facts.records->rcode = 2;
		inquiry->facts.records->reason = inquiry_reason(inquiry, reason, NULL);
	}
}
