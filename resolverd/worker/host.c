/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One MX host: address step, TLSA base domain candidates, TLSA step (RFC 7672
 * sections 2.2.2, 2.2.3). The address step always comes first: where it is insecure no TLSA query
 * is made at all.
 */
#include <arpa/nameser.h>
#include <string.h>

#include "proto/rrtype.h"
#include "resolverd/worker/inquiry.h"
#include "resolverd/worker/tlsa.h"

#define V1(name) RESOLVERD__V1__##name

enum { SLOT_A, SLOT_AAAA, SLOT_NEXT }; /* one at a time in SLOT_NEXT */
static const size_t address_bytes[] = {[SLOT_A] = 4, [SLOT_AAAA] = 16};

bool host_begin(struct inquiry *inquiry)
{
	inquiry->host.step = HOST_ADDRESSES;
	inquiry->facts.host->tlsa_status = V1(TLSA_STATUS__TLSA_NOT_QUERIED);
	inquiry_lookup(inquiry, SLOT_A, inquiry->question.name, ns_t_a);
	inquiry_lookup(inquiry, SLOT_AAAA, inquiry->question.name, ns_t_aaaa);
	return false;
}

static bool conclude(struct inquiry *inquiry, Resolverd__V1__Policy policy,
    Resolverd__V1__HostReason reason, const char *text)
{
	Resolverd__V1__Host *host = inquiry->facts.host;
	host->policy = policy;
	host->reason = reason;
	host->reason_text = inquiry_reason(inquiry, text, NULL);
	return true;
}

static bool fail(
    struct inquiry *inquiry, Resolverd__V1__HostReason reason, const char *what, const char *detail)
{
	inquiry->facts.failed = true;
	conclude(inquiry, V1(POLICY__UNREACHABLE), reason, "");
	inquiry->facts.host->reason_text = inquiry_reason(inquiry, what, detail);
	return true;
}

void host_give_up(struct inquiry *inquiry, Resolverd__V1__Status status, const char *reason)
{
	Resolverd__V1__Host *host = inquiry->facts.host;
	bool tlsa_step = inquiry->host.step == HOST_TLSA;
	if (tlsa_step)
		host->tlsa_status = V1(TLSA_STATUS__TLSA_ERROR);
	else if (inquiry->host.step == HOST_ADDRESSES)
		host->address_status = status;
	host->n_tlsa = 0;
	fail(inquiry, tlsa_step ? V1(HOST_REASON__TLSA_FAILED) : V1(HOST_REASON__NOT_READY), reason,
	    NULL);
}

/* ---- TLSA step ---- */

static bool next_candidate(struct inquiry *inquiry)
{
	Resolverd__V1__Host *host = inquiry->facts.host;
	while (inquiry->host.base_at < inquiry->host.bases.count) {
		const char *base = inquiry->host.bases.names[inquiry->host.base_at];
		char owner[NAME_TEXT_MAX];
		if (name_tlsa_owner(inquiry->question.port, base, owner) != NAME_OK) {
			inquiry->host.base_at++; /* over 255 octets: no such name can exist */
			continue;
		}
		host->tlsa_owner = arena_string(&inquiry->arena, owner);
		if (host->tlsa_owner == NULL)
			return fail(inquiry, V1(HOST_REASON__TLSA_FAILED), "out of memory", NULL);
		inquiry_lookup(inquiry, SLOT_NEXT, host->tlsa_owner, TYPE_TLSA);
		return false;
	}
	if (inquiry->host.any_tlsa_insecure) {
		host->tlsa_status = V1(TLSA_STATUS__TLSA_INSECURE);
		return conclude(
		    inquiry, V1(POLICY__OPPORTUNISTIC), V1(HOST_REASON__TLSA_NOT_SECURE), "");
	}
	host->tlsa_status = V1(TLSA_STATUS__TLSA_ABSENT);
	return conclude(inquiry, V1(POLICY__OPPORTUNISTIC), V1(HOST_REASON__TLSA_DENIED), "");
}

/* expanded NULL: the original name is the only candidate. */
static bool begin_tlsa(struct inquiry *inquiry, const char *expanded)
{
	inquiry->host.step = HOST_TLSA;
	inquiry->host.bases = base_domains_of(inquiry->question.name, expanded);
	return next_candidate(inquiry);
}

/* The first secure RRset decides, usable or not (RFC 7672 section 2.2.3). */
static bool decide_by_tlsa(struct inquiry *inquiry, const struct reply *reply)
{
	Resolverd__V1__Host *host = inquiry->facts.host;
	host->tlsa_status = V1(TLSA_STATUS__TLSA_SECURE);
	host->tlsa_base =
	    arena_string(&inquiry->arena, inquiry->host.bases.names[inquiry->host.base_at]);
	if (reply->rr_count > TLSA_MAX)
		return conclude(inquiry, V1(POLICY__UNREACHABLE), V1(HOST_REASON__TLSA_TOO_MANY),
		    "more TLSA records than the 32 we take");
	if (host->tlsa_base == NULL ||
	    tlsa_usable_set(&inquiry->arena, reply->rrs, reply->rr_count, inquiry->policy->digests,
		inquiry->policy->digest_count, host) != 0)
		return fail(inquiry, V1(HOST_REASON__TLSA_FAILED), "out of memory", NULL);
	if (host->n_tlsa == 0)
		return conclude(
		    inquiry, V1(POLICY__TLS_NO_AUTH), V1(HOST_REASON__TLSA_ALL_UNUSABLE), "");
	return conclude(inquiry, V1(POLICY__DANE), V1(HOST_REASON__TLSA_USABLE), "");
}

static bool tlsa_replied(struct inquiry *inquiry)
{
	const struct reply *reply = &inquiry->replies[SLOT_NEXT];
	Resolverd__V1__Host *host = inquiry->facts.host;
	inquiry_use(inquiry, reply);
	if (reply_is_failed(reply)) {
		host->tlsa_status = reply->status == V1(STATUS__BOGUS)
					? V1(TLSA_STATUS__TLSA_BOGUS)
					: V1(TLSA_STATUS__TLSA_ERROR);
		return fail(
		    inquiry, V1(HOST_REASON__TLSA_FAILED), "the TLSA lookup failed", reply->reason);
	}
	if (reply->status == V1(STATUS__SECURE) && reply->rr_count > 0)
		return decide_by_tlsa(inquiry, reply);
	inquiry->host.any_tlsa_insecure |= reply->status == V1(STATUS__INSECURE);
	inquiry->host.base_at++;
	return next_candidate(inquiry);
}

/* ---- address step ---- */

static bool add_addresses(struct inquiry *inquiry, unsigned slot)
{
	const struct reply *reply = &inquiry->replies[slot];
	Resolverd__V1__Host *host = inquiry->facts.host;
	for (size_t i = 0; i < reply->rr_count && host->n_addresses < HOST_ADDRESSES_MAX; i++) {
		if (reply->rrs[i].rdata_bytes != address_bytes[slot])
			continue;
		Resolverd__V1__Address *address = arena_alloc(&inquiry->arena, sizeof *address);
		if (address == NULL)
			return false;
		resolverd__v1__address__init(address);
		address->ip.data = (uint8_t *)(uintptr_t)reply->rrs[i].rdata;
		address->ip.len = reply->rrs[i].rdata_bytes;
		address->status = reply->status;
		host->addresses[host->n_addresses++] = address;
	}
	return true;
}

/* Which family speaks for the host: with addresses before without, secure before insecure; -1 when
 * a failed lookup leaves it open whether there are addresses at all. */
static int speaking_family(const struct reply replies[INQUIRY_SLOTS])
{
	int best = -1;
	bool any_failed = false;
	for (int slot = SLOT_A; slot <= SLOT_AAAA; slot++) {
		const struct reply *reply = &replies[slot];
		if (reply_is_failed(reply)) {
			any_failed = true;
			continue;
		}
		if (best < 0 || (reply->rr_count > 0 && replies[best].rr_count == 0) ||
		    ((reply->rr_count > 0) == (replies[best].rr_count > 0) &&
			reply->status == V1(STATUS__SECURE) &&
			replies[best].status != V1(STATUS__SECURE)))
			best = slot;
	}
	return any_failed && (best < 0 || replies[best].rr_count == 0) ? -1 : best;
}

static bool address_lookup_failed(struct inquiry *inquiry)
{
	const struct reply *a = &inquiry->replies[SLOT_A], *aaaa = &inquiry->replies[SLOT_AAAA];
	const struct reply *why = reply_is_failed(a) ? a : aaaa;
	if (reply_is_failed(aaaa) && aaaa->status == V1(STATUS__BOGUS))
		why = aaaa;
	inquiry->facts.host->address_status = why->status;
	return fail(
	    inquiry, V1(HOST_REASON__ADDRESS_FAILED), "the address lookup failed", why->reason);
}

/* The DNAME that the host's own alias was made of, or NULL. */
static const char *dname_of_alias(const struct inquiry *inquiry)
{
	for (int slot = SLOT_A; slot <= SLOT_AAAA; slot++) {
		const struct reply *reply = &inquiry->replies[slot];
		for (size_t i = 0; i < reply->chain_count; i++)
			if (reply->chain[i]->type == TYPE_DNAME &&
			    name_is_within(inquiry->question.name, reply->chain[i]->owner))
				return reply->chain[i]->owner;
	}
	return NULL;
}

/* Insecure as a whole; the alias itself may still be secure. Ask for it alone. An alias made of a
 * DNAME is as secure as that, and libunbound fails a CNAME query below one that leads to unsigned
 * data (1.17.1: "DS got DNAME answer"). */
static bool begin_alias(struct inquiry *inquiry)
{
	const char *dname = dname_of_alias(inquiry);
	inquiry->host.step = HOST_ALIAS;
	if (dname != NULL)
		inquiry_lookup(inquiry, SLOT_NEXT, dname, TYPE_DNAME);
	else
		inquiry_lookup(inquiry, SLOT_NEXT, inquiry->question.name, ns_t_cname);
	return false;
}

static bool addresses_replied(struct inquiry *inquiry)
{
	if (!inquiry->replied[SLOT_A] || !inquiry->replied[SLOT_AAAA])
		return false;
	Resolverd__V1__Host *host = inquiry->facts.host;
	inquiry_use(inquiry, &inquiry->replies[SLOT_A]);
	inquiry_use(inquiry, &inquiry->replies[SLOT_AAAA]);
	int speaker = speaking_family(inquiry->replies);
	if (speaker < 0)
		return address_lookup_failed(inquiry);
	const struct reply *reply = &inquiry->replies[speaker];
	host->address_status = reply->status;
	if (reply->rr_count == 0)
		return conclude(inquiry, V1(POLICY__UNREACHABLE), V1(HOST_REASON__NO_ADDRESS), "");
	host->addresses =
	    arena_alloc(&inquiry->arena, HOST_ADDRESSES_MAX * sizeof *host->addresses);
	if (host->addresses == NULL || !add_addresses(inquiry, SLOT_A) ||
	    !add_addresses(inquiry, SLOT_AAAA))
		return fail(inquiry, V1(HOST_REASON__ADDRESS_FAILED), "out of memory", NULL);
	if (reply->status == V1(STATUS__SECURE))
		return begin_tlsa(inquiry, reply->final_name);
	if (!inquiry->replies[SLOT_A].aliased && !inquiry->replies[SLOT_AAAA].aliased)
		return conclude(
		    inquiry, V1(POLICY__OPPORTUNISTIC), V1(HOST_REASON__ADDRESS_NOT_SECURE), "");
	return begin_alias(inquiry);
}

static bool alias_replied(struct inquiry *inquiry)
{
	const struct reply *reply = &inquiry->replies[SLOT_NEXT];
	inquiry_use(inquiry, reply);
	if (reply_is_failed(reply))
		return fail(inquiry, V1(HOST_REASON__ADDRESS_FAILED), "the alias lookup failed",
		    reply->reason);
	if (reply->status == V1(STATUS__INSECURE))
		return conclude(
		    inquiry, V1(POLICY__OPPORTUNISTIC), V1(HOST_REASON__ADDRESS_NOT_SECURE), "");
	/* Secure zone: the original name is the only candidate (RFC 7672 section 2.2.2). */
	return begin_tlsa(inquiry, NULL);
}

bool host_reply(struct inquiry *inquiry, unsigned slot)
{
	if (slot != SLOT_NEXT && inquiry->host.step != HOST_ADDRESSES)
		return false; /* of a family that was not waited for */
	switch (inquiry->host.step) {
	case HOST_ADDRESSES:
		return addresses_replied(inquiry);
	case HOST_ALIAS:
		return alias_replied(inquiry);
	default:
		return tlsa_replied(inquiry);
	}
}

/* A family that has addresses does not wait longer for the other: many servers never answer AAAA.
 */
bool host_hurry(struct inquiry *inquiry)
{
	bool has_a = inquiry->replied[SLOT_A], has_aaaa = inquiry->replied[SLOT_AAAA];
	if (inquiry->host.step != HOST_ADDRESSES || has_a == has_aaaa)
		return false;
	const struct reply *reply = &inquiry->replies[has_a ? SLOT_A : SLOT_AAAA];
	if (reply_is_failed(reply) || reply->rr_count == 0)
		return false;
	struct reply missing;
	reply_failed(&missing, &inquiry->arena, V1(STATUS__ERROR), ns_r_servfail,
	    "the name servers gave no answer in time");
	return inquiry_reply(inquiry, has_a ? SLOT_AAAA : SLOT_A, &missing);
}
