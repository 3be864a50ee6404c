/* SPDX-License-Identifier: BSD-3-Clause */
/* The MX step (RFC 5321 section 5.1, RFC 7672 section 2.2.1, RFC 7505). */
#include <arpa/nameser.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/worker/inquiry.h"

#define V1(name) RESOLVERD__V1__##name

static bool add_host(struct inquiry *inquiry, uint32_t preference, const char *name)
{
	Resolverd__V1__Route *route = inquiry->facts.route;
	Resolverd__V1__MxHost *mx = arena_alloc(&inquiry->arena, sizeof *mx);
	if (mx == NULL)
		return false;
	resolverd__v1__mx_host__init(mx);
	mx->preference = preference;
	mx->name = arena_string(&inquiry->arena, name);
	if (mx->name == NULL)
		return false;
	route->mx[route->n_mx++] = mx;
	return true;
}

static bool out_of_memory(struct inquiry *inquiry)
{
	inquiry->facts.route->n_mx = 0;
	inquiry_give_up(inquiry, V1(STATUS__ERROR), "out of memory");
	return true;
}

/* The next hop in brackets: no MX step, and the administrator's choice counts as secure
 * (RFC 7672 section 2.2.2). */
static bool route_without_mx(struct inquiry *inquiry, const struct next_hop *hop)
{
	Resolverd__V1__Route *route = inquiry->facts.route;
	route->kind = V1(ROUTE_KIND__NO_MX_STEP);
	route->mx_status = V1(STATUS__SECURE);
	route->expanded = inquiry->question.name;
	return add_host(inquiry, 0, hop->name) || out_of_memory(inquiry);
}

bool route_begin(struct inquiry *inquiry)
{
	struct next_hop hop;
	Resolverd__V1__Route *route = inquiry->facts.route;
	route->mx =
	    arena_alloc(&inquiry->arena, ROUTE_HOSTS_LISTED_MAX * sizeof(Resolverd__V1__MxHost *));
	if (route->mx == NULL)
		return out_of_memory(inquiry);
	if (next_hop_parse(inquiry->question.name, &hop) != NAME_OK) {
		inquiry_give_up(inquiry, V1(STATUS__ERROR), "not a next hop");
		return true;
	}
	if (hop.kind != NEXT_HOP_DOMAIN)
		return route_without_mx(inquiry, &hop);
	inquiry_lookup(inquiry, 0, hop.name, ns_t_mx);
	return false;
}

struct mx {
	uint16_t preference;
	char name[NAME_TEXT_MAX];
};

static int by_preference(const void *a, const void *b)
{
	const struct mx *x = a, *y = b;
	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	return strcmp(x->name, y->name); /* equal preferences: the client may shuffle them */
}

/* Entries whose target is the root are no hosts: alone they are a null MX (RFC 7505 section 3). */
static size_t read_mx(const struct reply *reply, struct mx *list, bool *ret_null_mx)
{
	size_t count = 0;
	*ret_null_mx = false;
	for (size_t i = 0; i < reply->rr_count; i++) {
		const struct reply_rr *rr = &reply->rrs[i];
		struct mx *mx = &list[count];
		if (rr->rdata_bytes < 3 ||
		    name_from_wire(rr->rdata + 2, rr->rdata_bytes - 2, mx->name) != NAME_OK)
			continue;
		if (strcmp(mx->name, ".") == 0) {
			*ret_null_mx = true;
			continue;
		}
		mx->preference = (uint16_t)(rr->rdata[0] << 8 | rr->rdata[1]);
		count++;
	}
	qsort(list, count, sizeof *list, by_preference);
	return count;
}

static bool route_with_mx(struct inquiry *inquiry, const struct reply *reply)
{
	Resolverd__V1__Route *route = inquiry->facts.route;
	struct mx *list = arena_alloc(&inquiry->arena, reply->rr_count * sizeof *list);
	if (list == NULL)
		return out_of_memory(inquiry);
	bool null_mx;
	size_t count = read_mx(reply, list, &null_mx);
	if (count == 0 && !null_mx) {
		inquiry_give_up(inquiry, V1(STATUS__ERROR), "the MX records are malformed");
		return true;
	}
	route->kind = count > 0 ? V1(ROUTE_KIND__MX) : V1(ROUTE_KIND__NULL_MX);
	for (size_t i = 0; i < count && route->n_mx < ROUTE_HOSTS_LISTED_MAX; i++)
		if (!add_host(inquiry, list[i].preference, list[i].name))
			return out_of_memory(inquiry);
	if (count == 0)
		route->reason =
		    inquiry_reason(inquiry, "null MX: the domain takes no mail (RFC 7505)", NULL);
	return true;
}

bool route_reply(struct inquiry *inquiry, unsigned slot)
{
	const struct reply *reply = &inquiry->replies[slot];
	Resolverd__V1__Route *route = inquiry->facts.route;
	inquiry_use(inquiry, reply);
	if (reply_is_failed(reply)) {
		inquiry_give_up(inquiry, reply->status, "");
		route->reason =
		    inquiry_reason(inquiry, "the MX lookup failed (RFC 7672 2.1.2)", reply->reason);
		return true;
	}
	route->mx_status = reply->status;
	route->expanded = arena_string(&inquiry->arena, reply->final_name);
	if (route->expanded == NULL)
		return out_of_memory(inquiry);
	if (reply->rr_count > 0)
		return route_with_mx(inquiry, reply);
	if (reply->rcode == ns_r_nxdomain) {
		route->kind = V1(ROUTE_KIND__NO_SUCH_DOMAIN);
		route->reason =
		    inquiry_reason(inquiry, "the domain does not exist (NXDOMAIN)", NULL);
		return true;
	}
	route->kind = V1(ROUTE_KIND__IMPLICIT_MX);
	return add_host(inquiry, 0, inquiry->question.name) || out_of_memory(inquiry);
}
