/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/lib/difference.h"

#include <stdlib.h>
#include <string.h>

#include "proto/combine.h"

static void compare(struct differences *differences, const char *name, const char *what,
    const char *cached, const char *fresh)
{
	if (cached == NULL || fresh == NULL || strcmp(cached, fresh) == 0)
		return;
	differences->list[differences->count++] = (struct resolverd_difference){
	    .name = name, .what = what, .cached = cached, .fresh = fresh};
}

static int by_text(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;
	return strcmp(*x, *y);
}

/* "a, b, c", sorted; NULL: no memory. */
static const char *joined(struct resolverd_memory *arena, const char **texts, size_t count)
{
	if (texts == NULL || memory_failed(arena))
		return NULL;
	if (count == 0)
		return "none";
	size_t bytes = 1;
	for (size_t i = 0; i < count; i++)
		bytes += strlen(texts[i]) + 2;
	char *all = memory_alloc(arena, 1, bytes), *end = all;
	if (all == NULL)
		return NULL;
	qsort(texts, count, sizeof *texts, by_text);
	for (size_t i = 0; i < count; i++)
		end = stpcpy(stpcpy(end, i > 0 ? ", " : ""), texts[i]);
	return all;
}

/* ---- routes ---- */

static const char *mx_text(struct resolverd_memory *arena, const Resolverd__V1__Route *route)
{
	const char **texts = memory_alloc(arena, route->n_mx, sizeof *texts);
	for (size_t i = 0; texts != NULL && i < route->n_mx; i++)
		texts[i] =
		    memory_printf(arena, "%u %s", route->mx[i]->preference, route->mx[i]->name);
	return joined(arena, texts, route->n_mx);
}

void difference_route(struct differences *differences, const Resolverd__V1__Answer *cached,
    const Resolverd__V1__Answer *fresh)
{
	const char *name = fresh->question->name;
	const Resolverd__V1__Route *old = cached->route, *new = fresh->route;
	compare(differences, name, "mx_status", status_text(old->mx_status),
	    status_text(new->mx_status));
	compare(differences, name, "reason", route_reason(old->kind, old->mx_status)->word,
	    route_reason(new->kind, new->mx_status)->word);
	compare(differences, name, "expanded", old->expanded, new->expanded);
	compare(differences, name, "mx", mx_text(differences->arena, old),
	    mx_text(differences->arena, new));
	compare(differences, name, "requirement", requirement_text(old->requirement),
	    requirement_text(new->requirement));
}

/* ---- hosts ---- */

static const char *addresses_text(struct resolverd_memory *arena, const struct resolverd_host *host)
{
	const char **texts = memory_alloc(arena, host->address_count, sizeof *texts);
	for (size_t i = 0; texts != NULL && i < host->address_count; i++)
		texts[i] = memory_printf(arena, "%s %s", host->addresses[i].text,
		    resolverd_status_text(host->addresses[i].status));
	return joined(arena, texts, host->address_count);
}

static const char *tlsa_text(struct resolverd_memory *arena, const struct resolverd_host *host)
{
	const char **texts = memory_alloc(arena, host->tlsa_count, sizeof *texts);
	for (size_t i = 0; texts != NULL && i < host->tlsa_count; i++) {
		const struct resolverd_tlsa *tlsa = &host->tlsa[i];
		char *hex = memory_alloc(arena, 2 * tlsa->data_bytes + 1, 1);
		if (hex == NULL)
			return NULL;
		sodium_bin2hex(hex, 2 * tlsa->data_bytes + 1, tlsa->data, tlsa->data_bytes);
		texts[i] = memory_printf(
		    arena, "%u %u %u %s", tlsa->usage, tlsa->selector, tlsa->matching_type, hex);
	}
	return joined(arena, texts, host->tlsa_count);
}

void difference_host(struct differences *differences, const struct resolverd_host *cached,
    const struct resolverd_host *fresh)
{
	const char *name = fresh->name;
	struct resolverd_memory *arena = differences->arena;
	compare(differences, name, "policy", resolverd_policy_text(cached->policy),
	    resolverd_policy_text(fresh->policy));
	compare(differences, name, "reason", cached->reason, fresh->reason);
	compare(differences, name, "address_status", resolverd_status_text(cached->address_status),
	    resolverd_status_text(fresh->address_status));
	compare(differences, name, "addresses", addresses_text(arena, cached),
	    addresses_text(arena, fresh));
	compare(differences, name, "tlsa_status", resolverd_tlsa_status_text(cached->tlsa_status),
	    resolverd_tlsa_status_text(fresh->tlsa_status));
	compare(differences, name, "tlsa_base",
	    cached->tlsa_base != NULL ? cached->tlsa_base : "none",
	    fresh->tlsa_base != NULL ? fresh->tlsa_base : "none");
	compare(differences, name, "tlsa", tlsa_text(arena, cached), tlsa_text(arena, fresh));
}

void difference_plan(struct differences *differences, const struct resolverd_plan *cached,
    const struct resolverd_plan *fresh)
{
	compare(differences, fresh->next_hop, "outcome", resolverd_outcome_text(cached->outcome),
	    resolverd_outcome_text(fresh->outcome));
}

/* ---- whole plans ---- */

static const char *hosts_text(struct resolverd_memory *arena, const struct resolverd_plan *plan)
{
	const char **texts = memory_alloc(arena, plan->host_count, sizeof *texts);
	for (size_t i = 0; texts != NULL && i < plan->host_count; i++)
		texts[i] =
		    memory_printf(arena, "%u %s", plan->hosts[i].preference, plan->hosts[i].name);
	return joined(arena, texts, plan->host_count);
}

static const struct resolverd_host *host_of(const struct resolverd_plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->host_count; i++)
		if (strcmp(plan->hosts[i].name, name) == 0)
			return &plan->hosts[i];
	return NULL;
}

void difference_plans(struct differences *differences, const struct resolverd_plan *before,
    const struct resolverd_plan *after)
{
	const char *name = after->next_hop;
	struct resolverd_memory *arena = differences->arena;
	difference_plan(differences, before, after);
	compare(differences, name, "mx_status", resolverd_status_text(before->mx_status),
	    resolverd_status_text(after->mx_status));
	compare(differences, name, "expanded", before->expanded, after->expanded);
	compare(differences, name, "mx", hosts_text(arena, before), hosts_text(arena, after));
	compare(differences, name, "requirement", resolverd_requirement_text(before->requirement),
	    resolverd_requirement_text(after->requirement));
	for (size_t i = 0; i < after->host_count; i++) {
		const struct resolverd_host *host = &after->hosts[i];
		const struct resolverd_host *old = host_of(before, host->name);
		if (old != NULL)
			difference_host(differences, old, host);
		else
			compare(differences, host->name, "policy", "none",
			    resolverd_policy_text(host->policy));
	}
}
