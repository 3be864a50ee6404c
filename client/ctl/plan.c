/* SPDX-License-Identifier: BSD-3-Clause */
/* resolverctl plan and host. */
#include <stdio.h>

#include "client/ctl/ctl.h"

int plan_exit(enum resolverd_outcome outcome)
{
	switch (outcome) {
	case RESOLVERD_DELIVER:
		return 0;
	case RESOLVERD_NO_MAIL:
		return EXIT_TAKES_NO_MAIL;
	case RESOLVERD_NO_SUCH_DOMAIN:
	case RESOLVERD_NO_HOST:
		return EXIT_NO_MAIL_HERE;
	case RESOLVERD_DELAY:
		break;
	}
	return EXIT_NOT_NOW;
}

json_t *plan_json(const struct resolverd_plan *plan)
{
	json_t *hosts = json_array();
	for (size_t i = 0; i < plan->host_count; i++)
		json_array_append_new(hosts, output_host(&plan->hosts[i]));
	json_t *mx = json_null();
	if (plan->has_mx)
		mx = json_pack("{s:s, s:b, s:s}", "status", resolverd_status_text(plan->mx_status),
		    "implicit", plan->mx_implicit, "expanded", plan->expanded);
	json_t *would_refuse =
	    plan->requirement == RESOLVERD_AUDIT ? json_boolean(plan->would_refuse) : json_null();
	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:o, s:b, s:o, s:o, s:o, s:I, s:I, s:s?, s:s?, "
			 "s:o, s:o, s:s?}",
	    "next_hop", plan->next_hop, "port", (int)plan->port, "outcome",
	    resolverd_outcome_text(plan->outcome), "reason", plan->reason, "requirement",
	    resolverd_requirement_text(plan->requirement), "would_refuse", would_refuse, "stale",
	    plan->stale, "mx", mx, "hosts", hosts, "signatures",
	    output_signatures(plan->key_ids, plan->key_id_count, plan->attested), "validated_at",
	    (json_int_t)plan->validated_at_ms, "expires_in", (json_int_t)plan->expires_in_s,
	    "requirement_source", plan->requirement_source, "requirement_reason",
	    plan->requirement_reason, "requirement_until", output_ms(plan->requirement_until_ms),
	    "insecure_zones", output_zones(plan->insecure_zones, plan->insecure_zone_count),
	    "origin", plan->origin);
}

static const char *what_happens(enum resolverd_outcome outcome)
{
	switch (outcome) {
	case RESOLVERD_DELIVER:
		return "mail can be delivered";
	case RESOLVERD_DELAY:
		return "mail is kept and tried again later";
	case RESOLVERD_NO_MAIL:
	case RESOLVERD_NO_SUCH_DOMAIN:
	case RESOLVERD_NO_HOST:
		break;
	}
	return "mail is returned to its sender";
}

/* What of the mail would be authenticated, at a glance. */
static void print_dane(const struct ctl *ctl, const struct resolverd_plan *plan)
{
	size_t usable = 0, dane = 0;
	for (size_t i = 0; i < plan->host_count; i++) {
		usable += plan->hosts[i].policy != RESOLVERD_UNREACHABLE;
		dane += plan->hosts[i].policy == RESOLVERD_DANE;
	}
	bool proved = !plan->has_mx || plan->mx_status == RESOLVERD_SECURE;
	if (usable == 0)
		return;
	printf("  DANE %s%s%s: %zu of %zu usable host%s authenticated%s\n",
	    colour_on(ctl, dane == usable && proved ? GOOD : WARN),
	    dane == 0       ? "no"
	    : dane < usable ? "in part"
	    : proved        ? "yes"
			    : "of the hosts alone",
	    colour_off(ctl), dane, usable, usable == 1 ? " is" : "s are",
	    dane > 0 && !proved ? "; that they are the domain's, unsigned MX cannot prove" : "");
}

static void print_override(const struct ctl *ctl, const struct resolverd_plan *plan)
{
	if (plan->requirement_source == NULL)
		return;
	printf(
	    "  %srequired by the override \"%s\"", colour_on(ctl, WARN), plan->requirement_source);
	if (plan->requirement_until_ms != 0)
		printf(" until %s", output_when(plan->requirement_until_ms));
	if (plan->requirement_reason != NULL)
		printf(": %s", plan->requirement_reason);
	printf("%s\n", colour_off(ctl));
}

void plan_print_head(const struct ctl *ctl, const struct resolverd_plan *plan)
{
	enum colour colour = plan->outcome == RESOLVERD_DELIVER ? GOOD
			     : plan->outcome == RESOLVERD_DELAY ? WARN
								: BAD;
	printf("%s%s%s port %u: %s%s%s, %s\n", colour_on(ctl, PLAIN), plan->next_hop,
	    colour_off(ctl), plan->port, colour_on(ctl, colour),
	    resolverd_outcome_text(plan->outcome), colour_off(ctl), what_happens(plan->outcome));
	printf("  %s\n", plan->reason);
	if (plan->has_mx)
		printf("  MX %s%s, requirement %s", resolverd_status_text(plan->mx_status),
		    plan->mx_implicit ? " (none: the domain is its own host)" : "",
		    resolverd_requirement_text(plan->requirement));
	else
		printf(
		    "  no MX step, requirement %s", resolverd_requirement_text(plan->requirement));
	printf(", valid for %llu s%s%s%s\n", (unsigned long long)plan->expires_in_s,
	    plan->attested ? ", attested" : "", plan->origin != NULL ? ", found by " : "",
	    plan->origin != NULL ? plan->origin : "");
	if (plan->would_refuse)
		printf("  %saudit: mail would be delayed if the policy were enforced%s\n",
		    colour_on(ctl, WARN), colour_off(ctl));
	print_dane(ctl, plan);
	print_override(ctl, plan);
	output_zones_text(ctl, plan->insecure_zones, plan->insecure_zone_count);
}

static void print_plan_text(const struct ctl *ctl, const struct resolverd_plan *plan)
{
	plan_print_head(ctl, plan);
	if (plan->host_count > 0)
		printf("\n");
	for (size_t i = 0; i < plan->host_count; i++)
		output_host_text(ctl, &plan->hosts[i], plan->has_mx && !plan->mx_implicit);
}

int plan_command(struct ctl *ctl, int argc, char **argv)
{
	const char *next_hop;
	unsigned port;
	struct resolverd_plan *plan;
	int r = ctl_operand_and_port(ctl, argc, argv, &next_hop, &port);
	if (r == 0)
		r = ctl_open(ctl);
	if (r != 0)
		return r;
	r = resolverd_plan(ctl->client, next_hop, port, ctl->timeout_ms, &plan);
	if (r != 0)
		return ctl_fail(ctl, r);
	if (ctl->json)
		output_json(plan_json(plan));
	else
		print_plan_text(ctl, plan);
	r = plan_exit(plan->outcome);
	resolverd_plan_free(plan);
	return r;
}

static bool has_failed(const struct resolverd_host *host)
{
	return host->address_status == RESOLVERD_BOGUS || host->address_status == RESOLVERD_ERROR ||
	       host->tlsa_status == RESOLVERD_TLSA_BOGUS ||
	       host->tlsa_status == RESOLVERD_TLSA_ERROR;
}

static void print_host_json(const struct resolverd_host *host)
{
	json_t *object = output_host(host);
	json_object_set_new(object, "preference", json_null());
	json_object_set_new(object, "port", json_integer(host->port));
	json_object_set_new(
	    object, "signatures", output_signatures(&host->key_id, 1, host->attested));
	json_object_set_new(
	    object, "validated_at", json_integer((json_int_t)host->validated_at_ms));
	json_object_set_new(object, "insecure_zones",
	    output_zones(host->insecure_zones, host->insecure_zone_count));
	output_json(object);
}

static void print_host_text(const struct ctl *ctl, const struct resolverd_host *host)
{
	output_host_text(ctl, host, false);
	output_zones_text(ctl, host->insecure_zones, host->insecure_zone_count);
}

int host_command(struct ctl *ctl, int argc, char **argv)
{
	const char *name;
	unsigned port;
	struct resolverd_host *host;
	int r = ctl_operand_and_port(ctl, argc, argv, &name, &port);
	if (r == 0)
		r = ctl_open(ctl);
	if (r != 0)
		return r;
	r = resolverd_host(ctl->client, name, port, ctl->timeout_ms, &host);
	if (r != 0)
		return ctl_fail(ctl, r);
	if (ctl->json)
		print_host_json(host);
	else
		print_host_text(ctl, host);
	r = has_failed(host) ? EXIT_NOT_NOW : 0;
	resolverd_host_free(host);
	return r;
}
