/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One route and its host answers to a plan. What is allowed at each host comes from the combination
 * table alone (proto/combine.h); here the answers are matched to the route's hosts and the names
 * and times are filled in. A host without a verified answer is unreachable, never left out.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "client/lib/text.h"
#include "client/lib/view.h"
#include "proto/combine.h"

struct builder {
	const struct verifier *verifier;
	const struct asked *asked;
	const Resolverd__V1__Route *route;
	struct verified route_answer;
	struct verified *hosts; /* verified host answers, in the order they came */
	size_t host_count;
	uint32_t not_understood; /* of any answer */
	struct resolverd_plan *plan;
};

/* ---- verifying ---- */

static bool is_of_route(const Resolverd__V1__Route *route, const char *name)
{
	for (size_t i = 0; i < route->n_mx && i < ROUTE_HOSTS_MAX; i++)
		if (strcmp(route->mx[i]->name, name) == 0)
			return true;
	return false;
}

static int verify_host(struct builder *builder, const Resolverd__V1__SignedAnswer *signed_answer)
{
	struct question question = {
	    .kind = RESOLVERD__V1__KIND__HOST, .port = builder->asked->port};
	struct verified *host = &builder->hosts[builder->host_count];
	int r = verify_answer(builder->verifier, signed_answer, &question, host);
	if (r != 0)
		return r;
	const char *name = host->answer->question->name;
	if (!is_of_route(builder->route, name)) {
		snprintf(builder->verifier->detail, DETAIL_MAX,
		    "the response holds an answer about %.200s, which is no MX host of %.200s",
		    name, builder->asked->hop.text);
		return RESOLVERD_ERROR_VERIFY;
	}
	builder->host_count++;
	if (builder->not_understood == 0)
		builder->not_understood = host->not_understood;
	return 0;
}

static int verify_all(struct builder *builder, const Resolverd__V1__Response *response)
{
	const struct verifier *verifier = builder->verifier;
	if (response->n_answers == 0) {
		snprintf(verifier->detail, DETAIL_MAX, "the response holds no answer");
		return RESOLVERD_ERROR_VERIFY;
	}
	struct question question = {
	    .kind = RESOLVERD__V1__KIND__ROUTE, .name = builder->asked->hop.text};
	int r = verify_answer(verifier, response->answers[0], &question, &builder->route_answer);
	if (r != 0)
		return r;
	builder->route = builder->route_answer.answer->route;
	builder->not_understood = builder->route_answer.not_understood;
	builder->hosts = memory_alloc(verifier->arena, response->n_answers, sizeof *builder->hosts);
	if (builder->hosts == NULL)
		return RESOLVERD_ERROR_MEMORY;
	for (size_t i = 1; i < response->n_answers; i++)
		if ((r = verify_host(builder, response->answers[i])) != 0)
			return r;
	return 0;
}

/* ---- one host ---- */

static void add_name(struct resolverd_host *host, const char **names, const char *name)
{
	if (name == NULL || name[0] == '\0')
		return;
	for (size_t i = 0; i < host->reference_name_count; i++)
		if (strcmp(names[i], name) == 0)
			return;
	names[host->reference_name_count++] = name;
}

/* RFC 7672 section 3.2.2. */
static void fill_reference_names(
    const struct builder *builder, struct resolverd_host *host, enum reference_names allowed)
{
	const char **names = memory_alloc(builder->verifier->arena, 3, sizeof *names);
	if (names == NULL)
		return;
	host->reference_names = names;
	if (allowed == NAMES_NONE || host->policy != RESOLVERD_DANE)
		return;
	add_name(host, names, host->tlsa_base);
	if (allowed != NAMES_BASE_AND_NEXT_HOP)
		return;
	add_name(host, names, memory_string(builder->verifier->arena, builder->asked->hop.name));
	if (builder->plan->has_mx)
		add_name(host, names, builder->plan->expanded);
}

static const struct verified *answer_of(const struct builder *builder, const char *name)
{
	for (size_t i = 0; i < builder->host_count; i++)
		if (strcmp(builder->hosts[i].answer->question->name, name) == 0)
			return &builder->hosts[i];
	return NULL;
}

static void fill_literal(const struct builder *builder, struct resolverd_host *host)
{
	const struct next_hop *hop = &builder->asked->hop;
	struct resolverd_address *address =
	    memory_alloc(builder->verifier->arena, 1, sizeof *address);
	if (address == NULL)
		return;
	memcpy(address->ip, hop->ip, hop->ip_bytes);
	address->ip_bytes = hop->ip_bytes;
	address->status = RESOLVERD_INSECURE;
	inet_ntop(
	    hop->ip_bytes == 4 ? AF_INET : AF_INET6, hop->ip, address->text, sizeof address->text);
	host->name = memory_string(builder->verifier->arena, hop->name);
	host->address_status = RESOLVERD_INSECURE;
	host->addresses = address;
	host->address_count = 1;
}

struct verdict {
	int policy, reason;
};

/* What is known of the i-th host, and what its answer says if it was securely selected. */
static struct verdict fill_host(
    const struct builder *builder, size_t i, struct resolverd_host *host)
{
	const Resolverd__V1__MxHost *mx = builder->route->mx[i];
	struct verdict verdict = {
	    RESOLVERD_UNREACHABLE, RESOLVERD__V1__HOST_REASON__ANSWER_MISSING};
	const struct verified *answer = i < ROUTE_HOSTS_MAX ? answer_of(builder, mx->name) : NULL;
	*host = (struct resolverd_host){.name = mx->name,
	    .port = builder->asked->port,
	    .address_status = RESOLVERD_ERROR,
	    .tlsa_status = RESOLVERD_TLSA_NOT_QUERIED};
	if (builder->asked->hop.kind == NEXT_HOP_ADDRESS) {
		fill_literal(builder, host);
		verdict = (struct verdict){
		    RESOLVERD_OPPORTUNISTIC, RESOLVERD__V1__HOST_REASON__ADDRESS_LITERAL};
	} else if (i >= ROUTE_HOSTS_MAX) {
		verdict.reason = RESOLVERD__V1__HOST_REASON__MX_TOO_MANY;
	} else if (answer != NULL && answer->not_understood == 0) {
		view_host(builder->verifier->arena, answer, builder->verifier->now_ms, host);
		verdict =
		    (struct verdict){answer->answer->host->policy, answer->answer->host->reason};
	}
	host->preference = mx->preference;
	/* Says dane, but holds nothing to match: not an answer one can act on. */
	if (verdict.policy == RESOLVERD_DANE && (host->tlsa_count == 0 || host->tlsa_base == NULL))
		verdict = (struct verdict){RESOLVERD_UNREACHABLE, 0};
	return verdict;
}

/* ---- the whole ---- */

static const struct resolverd_host *first_reachable(const struct resolverd_plan *plan)
{
	for (size_t i = 0; i < plan->host_count; i++)
		if (plan->hosts[i].policy != RESOLVERD_UNREACHABLE)
			return &plan->hosts[i];
	return NULL;
}

static const char *reason_of_hosts(
    struct resolverd_memory *arena, const struct resolverd_plan *plan)
{
	const struct resolverd_host *host = first_reachable(plan);
	size_t usable = 0;
	for (size_t i = 0; i < plan->host_count; i++)
		usable += plan->hosts[i].policy != RESOLVERD_UNREACHABLE;
	if (plan->outcome == RESOLVERD_NO_HOST)
		return "no MX host has an address";
	if (host != NULL)
		return memory_printf(arena, "%zu of %zu host%s may be used, first %s: %s", usable,
		    plan->host_count, plan->host_count == 1 ? "" : "s", host->name,
		    host->reason_text);
	if (plan->host_count == 0)
		return "the route names no host";
	return memory_printf(
	    arena, "no host may be used; %s: %s", plan->hosts[0].name, plan->hosts[0].reason_text);
}

/* A failure has its own story; what else a route decides, the table of reasons tells. */
static const char *reason_of_route(struct resolverd_memory *arena, const struct builder *builder)
{
	const Resolverd__V1__Route *route = builder->route;
	bool failed = builder->plan->outcome == RESOLVERD_DELAY;
	return failed && route->reason[0] != '\0'
		   ? text_clean(arena, route->reason)
		   : route_reason(route->kind, route->mx_status)->sentence;
}

/* The table's rows of every host, then what they add up to. */
static int fill_hosts(struct builder *builder)
{
	struct resolverd_memory *arena = builder->verifier->arena;
	const Resolverd__V1__Route *route = builder->route;
	struct resolverd_plan *plan = builder->plan;
	struct resolverd_host *hosts = memory_alloc(arena, route->n_mx, sizeof *hosts);
	struct combined_host *combined = memory_alloc(arena, route->n_mx, sizeof *combined);
	if (hosts == NULL || combined == NULL)
		return RESOLVERD_ERROR_MEMORY;
	for (size_t i = 0; i < route->n_mx; i++) {
		struct verdict verdict = fill_host(builder, i, &hosts[i]);
		combined[i] = combine_host(route->mx_status, route->requirement,
		    route->insecure_mx_policy, verdict.policy, verdict.reason);
		view_host_policy(&hosts[i], combined[i].policy, combined[i].reason);
		hosts[i].would_refuse = combined[i].would_refuse;
		fill_reference_names(builder, &hosts[i], combined[i].names);
	}
	struct combined_plan whole = combine_plan(route->requirement, combined, route->n_mx);
	plan->hosts = hosts;
	plan->host_count = route->n_mx;
	plan->outcome = (enum resolverd_outcome)whole.outcome;
	plan->would_refuse = whole.would_refuse;
	plan->reason = reason_of_hosts(arena, plan);
	return 0;
}

/* An answer says that it cannot be used without knowing a field unknown to this version: use none
 * of the hosts, whatever the rest seems to say. */
static int fill_not_understood(struct builder *builder)
{
	struct resolverd_memory *arena = builder->verifier->arena;
	struct resolverd_plan *plan = builder->plan;
	struct resolverd_host *hosts = memory_alloc(arena, builder->route->n_mx, sizeof *hosts);
	if (hosts == NULL)
		return RESOLVERD_ERROR_MEMORY;
	for (size_t i = 0; i < builder->route->n_mx; i++) {
		hosts[i] = (struct resolverd_host){.name = builder->route->mx[i]->name,
		    .port = plan->port,
		    .preference = builder->route->mx[i]->preference,
		    .address_status = RESOLVERD_ERROR,
		    .tlsa_status = RESOLVERD_TLSA_NOT_QUERIED};
		view_host_policy(
		    &hosts[i], RESOLVERD_UNREACHABLE, RESOLVERD__V1__HOST_REASON__ANSWER_MISSING);
	}
	plan->hosts = hosts;
	plan->host_count = builder->route->n_mx;
	plan->outcome = RESOLVERD_DELAY;
	plan->reason = memory_printf(arena,
	    "an answer needs field %u to be understood, which needs a newer client",
	    builder->not_understood);
	return 0;
}

/* What the plan rests on, as it came; filled while the plan is made. */
struct kept {
	const char **key_ids;
	struct resolverd_signed *answers, *delegations;
};

static void use_answer(
    struct resolverd_plan *plan, const struct kept *kept, const struct verified *verified)
{
	const Resolverd__V1__Answer *answer = verified->answer;
	if (answer->validated_at < plan->validated_at_ms)
		plan->validated_at_ms = answer->validated_at;
	if (answer->expires_at < plan->expires_at_ms)
		plan->expires_at_ms = answer->expires_at;
	plan->stale |= answer->stale_since != 0;
	plan->cacheable = plan->cacheable && answer->cacheable;
	kept->answers[plan->answer_count++] = verified->signed_answer;
	for (size_t i = 0; i < plan->key_id_count; i++)
		if (strcmp(kept->key_ids[i], verified->key_id) == 0)
			return;
	kept->delegations[plan->key_id_count] = verify_keep_delegation(plan->memory, verified->key);
	kept->key_ids[plan->key_id_count++] = verified->key_id;
}

static void add_zone(struct resolverd_plan *plan, struct resolverd_insecure_zone *zones,
    const struct resolverd_insecure_zone *zone)
{
	for (size_t i = 0; i < plan->insecure_zone_count; i++)
		if (strcmp(zones[i].zone, zone->zone) == 0)
			return;
	zones[plan->insecure_zone_count++] = *zone;
}

/* Of every answer used, each zone once. */
static void fill_zones(struct builder *builder)
{
	struct resolverd_memory *arena = builder->verifier->arena;
	size_t count = builder->route_answer.answer->n_insecure_zones;
	for (size_t i = 0; i < builder->host_count; i++)
		count += builder->hosts[i].answer->n_insecure_zones;
	struct resolverd_insecure_zone *all = memory_alloc(arena, count, sizeof *all);
	for (size_t i = 0; all != NULL && i <= builder->host_count; i++) {
		const struct verified *from =
		    i == 0 ? &builder->route_answer : &builder->hosts[i - 1];
		const struct resolverd_insecure_zone *zones = NULL;
		size_t zone_count = 0;
		view_zones(arena, from->answer->insecure_zones, from->answer->n_insecure_zones,
		    &zones, &zone_count);
		for (size_t j = 0; j < zone_count; j++)
			add_zone(builder->plan, all, &zones[j]);
	}
	builder->plan->insecure_zones = all;
}

static const char *clean_or_null(struct resolverd_memory *arena, const char *text)
{
	return text[0] != '\0' ? text_clean(arena, text) : NULL;
}

static int fill_plan(struct builder *builder)
{
	const Resolverd__V1__Route *route = builder->route;
	const struct next_hop *hop = &builder->asked->hop;
	struct resolverd_memory *arena = builder->verifier->arena;
	size_t count = 1 + builder->host_count;
	struct kept kept = {.key_ids = memory_alloc(arena, count, sizeof *kept.key_ids),
	    .answers = memory_alloc(arena, count, sizeof *kept.answers),
	    .delegations = memory_alloc(arena, count, sizeof *kept.delegations)};
	struct resolverd_plan *plan = memory_alloc(arena, 1, sizeof *plan);
	if (memory_failed(arena))
		return RESOLVERD_ERROR_MEMORY;
	builder->plan = plan;
	*plan = (struct resolverd_plan){.next_hop = memory_string(arena, hop->text),
	    .port = builder->asked->port,
	    .outcome = (enum resolverd_outcome)combine_route(route->kind, route->mx_status),
	    .requirement = requirement_of(route->requirement),
	    .requirement_source = clean_or_null(arena, route->requirement_source),
	    .requirement_reason = clean_or_null(arena, route->requirement_reason),
	    .requirement_until_ms = route->requirement_until,
	    .has_mx = hop->kind == NEXT_HOP_DOMAIN,
	    .mx_status = status_of(route->mx_status),
	    .mx_implicit = route->kind == RESOLVERD__V1__ROUTE_KIND__IMPLICIT_MX,
	    .expanded =
		route->expanded[0] != '\0' ? route->expanded : memory_string(arena, hop->name),
	    .key_ids = kept.key_ids,
	    .answers = kept.answers,
	    .delegations = kept.delegations,
	    .validated_at_ms = UINT64_MAX,
	    .expires_at_ms = UINT64_MAX,
	    .attested = builder->verifier->attested,
	    .cacheable = true,
	    .origin = view_origin(arena, builder->route_answer.answer),
	    .memory = arena};
	use_answer(plan, &kept, &builder->route_answer);
	for (size_t i = 0; i < builder->host_count; i++)
		use_answer(plan, &kept, &builder->hosts[i]);
	plan->expires_in_s = life_left_s(plan->expires_at_ms, builder->verifier->now_ms);
	fill_zones(builder);
	if (builder->not_understood != 0)
		return fill_not_understood(builder);
	if ((int)plan->outcome == 0)
		return fill_hosts(builder);
	plan->reason = reason_of_route(arena, builder);
	return 0;
}

int view_plan(const struct verifier *verifier, const struct asked *asked,
    const Resolverd__V1__Response *response, struct resolverd_plan **ret_plan)
{
	struct builder builder = {.verifier = verifier, .asked = asked};
	int r = verify_all(&builder, response);
	if (r == 0)
		r = fill_plan(&builder);
	if (r != 0)
		return r;
	if (memory_failed(verifier->arena))
		return RESOLVERD_ERROR_MEMORY;
	*ret_plan = builder.plan;
	return 0;
}
