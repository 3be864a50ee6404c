/* SPDX-License-Identifier: BSD-3-Clause */
/* resolverctl explain: how a plan comes about, lookup by lookup, and who can mend what. */
#include <stdio.h>
#include <string.h>

#include "client/ctl/ctl.h"
#include "proto/rrtype.h"

/* ---- JSON ---- */

static json_t *one_lookup_json(const struct resolverd_lookup *lookup)
{
	const struct resolverd_records *records = &lookup->records;
	char type[16];
	rrtype_text(records->type, type);
	return json_pack("{s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:s, s:I, s:o, s:I, s:I, s:b}",
	    "name", records->name, "type", type, "status", resolverd_status_text(records->status),
	    "rcode", (int)records->rcode, "chain",
	    lookup_rrsets_json(records->chain, records->chain_count), "answer",
	    lookup_rrsets_json(records->answer, records->answer_count), "authority",
	    lookup_rrsets_json(records->authority, records->authority_count), "reason",
	    records->reason, "ttl", (json_int_t)lookup->ttl_s, "rrsig_expires_at",
	    output_ms(lookup->rrsig_expires_at_ms), "asked_after_ms",
	    (json_int_t)lookup->asked_after_ms, "took_ms", (json_int_t)lookup->took_ms,
	    "unanswered", lookup->unanswered);
}

static const char *policy_or_null(const struct resolverd_host *host)
{
	return host != NULL ? resolverd_policy_text(host->policy) : NULL;
}

static json_t *step_json(
    const struct resolverd_explanation *explanation, const struct resolverd_step *step)
{
	const struct resolverd_plan *fresh = explanation->fresh;
	bool decides = step->kind == RESOLVERD_STEP_ROUTE && fresh->host_count == 0;
	json_t *lookups = json_array();
	for (size_t i = 0; i < step->lookup_count; i++)
		json_array_append_new(lookups, one_lookup_json(&step->lookups[i]));
	return json_pack(
	    "{s:s, s:s, s:s?, s:s?, s:s, s:s, s:s, s:s, s:s, s:o, s:s?, s:s?, s:o, s:o}", "kind",
	    step->kind == RESOLVERD_STEP_ROUTE ? "route" : "host", "name", step->name, "outcome",
	    decides ? resolverd_outcome_text(fresh->outcome) : NULL, "policy",
	    policy_or_null(step->host), "reason", step->reason, "reason_text", step->reason_text,
	    "clause", step->clause, "party", resolverd_party_text(step->party), "remedy",
	    step->remedy, "notes", output_strings(step->notes, step->note_count), "policy_before",
	    policy_or_null(step->before), "reason_before",
	    step->before != NULL ? step->before->reason : NULL, "cached_expires_at",
	    output_ms(step->cached_expires_at_ms), "lookups", lookups);
}

static void print_json(const struct resolverd_explanation *explanation)
{
	json_t *differences = json_array(), *steps = json_array();
	for (size_t i = 0; i < explanation->difference_count; i++) {
		const struct resolverd_difference *one = &explanation->differences[i];
		json_array_append_new(
		    differences, json_pack("{s:s, s:s, s:s, s:s}", "name", one->name, "what",
				     one->what, "cached", one->cached, "fresh", one->fresh));
	}
	for (size_t i = 0; i < explanation->step_count; i++)
		json_array_append_new(steps, step_json(explanation, &explanation->steps[i]));
	output_json(json_pack("{s:s, s:i, s:o, s:o, s:o, s:o}", "next_hop",
	    explanation->fresh->next_hop, "port", (int)explanation->fresh->port, "fresh",
	    plan_json(explanation->fresh), "cached",
	    explanation->cached != NULL ? plan_json(explanation->cached) : json_null(),
	    "differences", differences, "steps", steps));
}

/* ---- text ---- */

#define DETAIL_INDENT "                    "

static int name_width(const struct resolverd_step *step)
{
	size_t width = strlen("name");
	for (size_t i = 0; i < step->lookup_count; i++)
		if (strlen(step->lookups[i].records.name) > width)
			width = strlen(step->lookups[i].records.name);
	return (int)width;
}

static bool lookup_has_no_data(const struct resolverd_records *records)
{
	return (records->status == RESOLVERD_SECURE || records->status == RESOLVERD_INSECURE) &&
	       records->rcode == 0 && records->answer_count == 0;
}

static void print_lookup(const struct ctl *ctl, const struct resolverd_lookup *lookup, int width)
{
	const struct resolverd_records *records = &lookup->records;
	const char *until =
	    lookup->rrsig_expires_at_ms != 0 ? output_when(lookup->rrsig_expires_at_ms) : "-";
	char type[16];
	rrtype_text(records->type, type);
	const char *rcode = lookup->unanswered            ? "none"
			    : lookup_has_no_data(records) ? "NODATA"
							  : lookup_rcode_text(records->rcode);
	printf("  %5u ms %6u ms  %-*s  %-5s  %s%-8s%s  %-8s  %6u  %s\n", lookup->asked_after_ms,
	    lookup->took_ms, width, records->name, type,
	    colour_on(ctl, colour_of_status(records->status)),
	    resolverd_status_text(records->status), colour_off(ctl), rcode, lookup->ttl_s, until);
	if (records->reason[0] != '\0')
		printf(DETAIL_INDENT "%swhy: %s%s\n", colour_on(ctl, BAD), records->reason,
		    colour_off(ctl));
	lookup_print_rrsets(records->chain, records->chain_count, DETAIL_INDENT);
	lookup_print_rrsets(records->answer, records->answer_count, DETAIL_INDENT);
}

static void print_lookups(const struct ctl *ctl, const struct resolverd_step *step)
{
	int width = name_width(step);
	if (step->lookup_count == 0) {
		printf("  no lookups\n");
		return;
	}
	printf("  %s%8s %9s  %-*s  %-5s  %-8s  %-8s  %6s  %s%s\n", colour_on(ctl, DIM), "asked",
	    "took", width, "name", "type", "status", "rcode", "ttl", "signed until",
	    colour_off(ctl));
	for (size_t i = 0; i < step->lookup_count; i++)
		print_lookup(ctl, &step->lookups[i], width);
}

static const char *mender_text(enum resolverd_party party)
{
	switch (party) {
	case RESOLVERD_THEM:
		return "by the other side's operator: ";
	case RESOLVERD_US:
		return "by the operator of this daemon: ";
	case RESOLVERD_NOBODY:
		break;
	}
	return "";
}

static void print_verdict(const struct ctl *ctl, const struct resolverd_step *step)
{
	enum colour colour = step->host != NULL ? colour_of_policy(step->host->policy) : PLAIN;
	printf("  verdict  %s%s%s%s%s\n", colour_on(ctl, colour),
	    step->host != NULL ? resolverd_policy_text(step->host->policy) : "", colour_off(ctl),
	    step->host != NULL ? " because: " : "", step->reason_text);
	for (size_t i = 0; i < step->note_count; i++)
		printf("  note     %s\n", step->notes[i]);
	printf("  to mend  %s%s\n", mender_text(step->party), step->remedy);
}

static void print_step(const struct ctl *ctl, const struct resolverd_step *step, unsigned port)
{
	if (step->kind == RESOLVERD_STEP_ROUTE)
		printf("\n%sroute %s%s\n", colour_on(ctl, PLAIN), step->name, colour_off(ctl));
	else
		printf("\n%shost %s port %u%s\n", colour_on(ctl, PLAIN), step->name, port,
		    colour_off(ctl));
	print_lookups(ctl, step);
	print_verdict(ctl, step);
}

static void print_cached(const struct ctl *ctl, const struct resolverd_explanation *explanation)
{
	size_t cached = 0;
	for (size_t i = 0; i < explanation->step_count; i++)
		cached += explanation->steps[i].cached_expires_at_ms != 0;
	bool same = explanation->difference_count == 0;
	printf("\n%scached:%s ", colour_on(ctl, PLAIN), colour_off(ctl));
	if (cached == 0)
		printf("nothing\n");
	else if (explanation->cached == NULL)
		printf("%zu of these %zu answers, not a whole plan; %s\n", cached,
		    explanation->step_count, same ? "no difference" : "it differs:");
	else
		printf("%s, valid for %llu s%s\n", same ? "the same" : "another plan",
		    (unsigned long long)explanation->cached->expires_in_s, same ? "" : ":");
	for (size_t i = 0; i < explanation->difference_count; i++) {
		const struct resolverd_difference *one = &explanation->differences[i];
		printf("  %s %s\n    cached  %s\n    now     %s\n", one->name, one->what,
		    one->cached, one->fresh);
	}
}

static void print_text(const struct ctl *ctl, const struct resolverd_explanation *explanation)
{
	plan_print_head(ctl, explanation->fresh);
	for (size_t i = 0; i < explanation->step_count; i++)
		print_step(ctl, &explanation->steps[i], explanation->fresh->port);
	print_cached(ctl, explanation);
}

/* ---- command ---- */

int explain_command(struct ctl *ctl, int argc, char **argv)
{
	const char *next_hop;
	unsigned port;
	struct resolverd_explanation *explanation;
	int r = ctl_operand_and_port(ctl, argc, argv, &next_hop, &port);
	if (r == 0)
		r = ctl_open_control(ctl);
	if (r != 0)
		return r;
	r = resolverd_explain(ctl->client, next_hop, port, ctl->timeout_ms, &explanation);
	if (r != 0)
		return ctl_fail_advised(ctl, r, ctl_control_advice(ctl, r));
	if (ctl->json)
		print_json(explanation);
	else
		print_text(ctl, explanation);
	r = plan_exit(explanation->fresh->outcome);
	resolverd_explanation_free(explanation);
	return r;
}
