/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/policy.h"

#include <stdlib.h>
#include <string.h>

#include "proto/names.h"

static int by_next_hop(const void *key, const void *element)
{
	return strcmp(key, ((const struct config_override *)element)->next_hop);
}

static const struct config_override *find_exact(
    const struct config *config, const char *next_hop, int64_t now_ms)
{
	const struct config_override *found =
	    config->override_count == 0
		? NULL
		: bsearch(next_hop, config->overrides, config->override_count,
		      sizeof *config->overrides, by_next_hop);
	return found == NULL || config_override_has_lapsed(found, now_ms) ? NULL : found;
}

const struct config_override *policy_find(
    const struct config *config, const char *next_hop, int64_t now_ms)
{
	const struct config_override *found = find_exact(config, next_hop, now_ms);
	if (next_hop[0] == '[' || config->override_count == 0)
		return found;
	const char *parent = name_parent(next_hop);
	for (; found == NULL && parent != NULL && strcmp(parent, ".") != 0;
	     parent = name_parent(parent))
		found = find_exact(config, parent - 1, now_ms); /* with its dot */
	return found;
}

void policy_clear(Resolverd__V1__Route *route)
{
	static char none[] = "";
	route->insecure_mx_policy = (Resolverd__V1__InsecureMxPolicy)0;
	route->requirement = (Resolverd__V1__Requirement)0;
	route->requirement_source = route->requirement_reason = none;
	route->requirement_until = 0;
}

void policy_apply(const struct config *config, const char *next_hop, int64_t now_ms,
    Resolverd__V1__Route *route, uint64_t *expires_at_ms)
{
	const struct config_override *override = policy_find(config, next_hop, now_ms);
	policy_clear(route);
	route->insecure_mx_policy = config->resolver.insecure_mx_policy;
	route->requirement = RESOLVERD__V1__REQUIREMENT__NORMAL;
	if (override == NULL)
		return;
	route->requirement = override->requirement;
	route->requirement_source = override->next_hop;
	route->requirement_reason = override->reason;
	route->requirement_until = (uint64_t) override->until_ms;
	if (override->until_ms != 0 && (uint64_t) override->until_ms < *expires_at_ms)
		*expires_at_ms = (uint64_t) override->until_ms;
}
