/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One DNS lookup's result as the verdict logic wants it: parsed, decompressed, with its DNSSEC
 * status, the alias chain followed, and how long it may be used. Pure: a function from bytes.
 * Everything points into the arena given.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/names.h"
#include "resolverd.pb-c.h"
#include "resolverd/base/arena.h"

struct reply_rr {
	const uint8_t *rdata; /* names decompressed */
	size_t rdata_bytes;
};

struct reply {
	Resolverd__V1__Status status; /* never unspecified */
	int rcode;                    /* 0 or 3 unless status is ERROR */
	const char *reason;           /* why status is BOGUS or ERROR, else "" */
	bool aliased;
	const char *final_name;     /* canonical; after the chain */
	const struct reply_rr *rrs; /* of the type asked, at final_name */
	size_t rr_count;
	uint32_t ttl_s;              /* shortest of all RRsets used; UINT32_MAX: none */
	int64_t rrsig_expires_at_ms; /* earliest of the signatures used; 0: none (not secure) */
	/* For records answers: the sections, RRsets in order of appearance. */
	Resolverd__V1__Rrset **chain, **answer, **authority;
	size_t chain_count, answer_count, authority_count;
};

/* No packet: the lookup failed. reason is copied; may be NULL. */
void reply_failed(struct reply *reply, struct arena *arena, Resolverd__V1__Status status, int rcode,
    const char *reason);

/* packet is the full DNS message that answers (name, type); status what validation said of it.
 * A packet that does not parse, or whose chain loops or forks, becomes status ERROR. */
void reply_parse(struct reply *reply, struct arena *arena, const char *name, int type,
    const uint8_t *packet, size_t packet_bytes, Resolverd__V1__Status status, const char *why_bogus,
    int64_t now_ms);

static inline bool reply_is_failed(const struct reply *reply)
{
	return reply->status != RESOLVERD__V1__STATUS__SECURE &&
	       reply->status != RESOLVERD__V1__STATUS__INSECURE;
}
