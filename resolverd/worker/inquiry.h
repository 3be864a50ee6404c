/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One job's reasoning: which lookups to make, and what facts follow from their replies. Pure: it
 * asks through a function pointer and is handed replies; it knows no sockets and no clock.
 *
 *   inquiry_init, then inquiry_begin; for each lookup asked, inquiry_reply once, until it returns
 *   true: then ->facts is complete. inquiry_hurry, at half of the time, goes on without a reply
 * that is not needed; it may be handed in later all the same. inquiry_give_up completes the facts
 * at the deadline; replies that come later must not be handed in. Everything is in ->arena.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "proto/base_domain.h"
#include "proto/combine.h"
#include "proto/names.h"
#include "resolverd/base/config.h"
#include "resolverd/worker/reply.h"
#include "worker.pb-c.h"

#define INQUIRY_SLOTS 3u /* lookups outstanding at once */
#define HOST_ADDRESSES_MAX 16u

struct inquiry;

struct inquiry_policy {
	const uint8_t *digests; /* TLSA matching types, best first */
	size_t digest_count;
	const struct config_zone *insecure_zones; /* whose validation is off now */
	size_t insecure_zone_count;
};

typedef void inquiry_ask(void *arg, unsigned slot, const char *name, int type);

enum host_step { HOST_ADDRESSES, HOST_ALIAS, HOST_TLSA };

struct inquiry {
	struct arena arena;
	const struct inquiry_policy *policy;
	inquiry_ask *ask;
	void *ask_arg;
	Resolverd__V1__Question question; /* strings in the arena */
	Resolverd__Worker__Facts facts;
	struct reply replies[INQUIRY_SLOTS];
	bool replied[INQUIRY_SLOTS];
	struct { /* HOST only */
		enum host_step step;
		struct base_domains bases;
		size_t base_at; /* still to try */
		bool any_tlsa_insecure;
	} host;
};

/* Copies the question. Returns 0, -ENOMEM, or -EINVAL when it asks for nothing we know. */
[[gnu::warn_unused_result]] int inquiry_init(struct inquiry *inquiry,
    const Resolverd__V1__Question *question, const struct inquiry_policy *policy, inquiry_ask *ask,
    void *ask_arg);
void inquiry_fini(struct inquiry *inquiry);

/* May call ask. Returns true when the facts need no lookup at all. */
bool inquiry_begin(struct inquiry *inquiry);
/* Takes *reply by value; what it points to must be in inquiry->arena. */
bool inquiry_reply(struct inquiry *inquiry, unsigned slot, const struct reply *reply);
/* Returns true when that completes the facts. */
bool inquiry_hurry(struct inquiry *inquiry);
void inquiry_give_up(struct inquiry *inquiry, Resolverd__V1__Status status, const char *reason);

/* ---- for route.c, host.c, records.c ---- */
bool route_begin(struct inquiry *inquiry);
bool route_reply(struct inquiry *inquiry, unsigned slot);
bool host_begin(struct inquiry *inquiry);
bool host_reply(struct inquiry *inquiry, unsigned slot);
bool host_hurry(struct inquiry *inquiry);
void host_give_up(struct inquiry *inquiry, Resolverd__V1__Status status, const char *reason);
bool records_begin(struct inquiry *inquiry);
bool records_reply(struct inquiry *inquiry, unsigned slot);

/* A reply as the protocol tells it. */
void records_fill(
    struct inquiry *inquiry, Resolverd__V1__Records *records, const struct reply *reply);
/* Asks through ->ask, and notes the insecure zones that name lies in. */
void inquiry_lookup(struct inquiry *inquiry, unsigned slot, const char *name, int type);
/* This reply's data is part of the facts: their life ends with the shortest of all. */
void inquiry_use(struct inquiry *inquiry, const struct reply *reply);
/* A sentence with its detail, in the arena; never NULL. */
char *inquiry_reason(struct inquiry *inquiry, const char *what, const char *detail);
