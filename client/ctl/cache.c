/* SPDX-License-Identifier: BSD-3-Clause */
/* resolverctl dump, flush, reload: what administers the daemon, on its control socket. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "client/ctl/ctl.h"
#include "proto/rrtype.h"

#define DUMP_AT_ONCE 200

static int fail(struct ctl *ctl, int error)
{
	return ctl_fail_advised(ctl, error, ctl_control_advice(ctl, error));
}

/* ---- dump ---- */

static const char *kind_text(enum resolverd_kind kind)
{
	return kind == RESOLVERD_ROUTE ? "route" : kind == RESOLVERD_HOST ? "host" : "records";
}

static void print_json(const struct resolverd_dumped *entry)
{
	json_t *answer = entry->plan != NULL   ? plan_json(entry->plan)
			 : entry->host != NULL ? output_host(entry->host)
					       : lookup_json(entry->records);
	output_json(json_pack("{s:s, s:s, s:o, s:o, s:b, s:i, s:o, s:o, s:s, s:I, s:i, s:b, s:o}",
	    "kind", kind_text(entry->kind), "name", entry->name, "port",
	    entry->port != 0 ? json_integer(entry->port) : json_null(), "type",
	    entry->kind == RESOLVERD_RECORDS ? json_integer(entry->type) : json_null(), "in_use",
	    entry->in_use, "demand", (int)entry->demand, "last_requested_at",
	    output_ms(entry->last_requested_at_ms), "kept_until", output_ms(entry->kept_until_ms),
	    "state", entry->state, "next_at", (json_int_t)entry->next_at_ms, "failed_refreshes",
	    (int)entry->failed_refreshes, "last_was_bogus", entry->last_was_bogus, "answer",
	    answer));
}

static void describe(
    const struct resolverd_dumped *entry, char *ret_what, size_t room, uint64_t *ret_expires_in_s)
{
	if (entry->plan != NULL) {
		snprintf(ret_what, room, "%s", resolverd_outcome_text(entry->plan->outcome));
		if (entry->plan->outcome == RESOLVERD_DELIVER && entry->plan->host_count > 0)
			snprintf(ret_what, room, "deliver, %s%s",
			    resolverd_policy_text(entry->plan->hosts[0].policy),
			    entry->plan->stale ? ", STALE" : "");
		*ret_expires_in_s = entry->plan->expires_in_s;
	} else if (entry->host != NULL) {
		snprintf(ret_what, room, "%s", resolverd_policy_text(entry->host->policy));
		*ret_expires_in_s = entry->host->expires_in_s;
	} else {
		snprintf(ret_what, room, "%s%s", resolverd_status_text(entry->records->status),
		    entry->records->stale ? ", STALE" : "");
		*ret_expires_in_s = entry->records->expires_in_s;
	}
}

static void print_text(const struct ctl *ctl, const struct resolverd_dumped *entry)
{
	char what[64], number[RRTYPE_TEXT_MAX + 8] = "";
	uint64_t expires_in_s;
	describe(entry, what, sizeof what, &expires_in_s);
	if (entry->kind == RESOLVERD_RECORDS)
		rrtype_text((uint16_t)entry->type, number);
	else if (entry->port != 0)
		snprintf(number, sizeof number, "%u", entry->port);
	bool bad = entry->failed_refreshes > 0 || entry->last_was_bogus;
	printf("%-7s %-40s %-6s %-24s %6llu s  demand %3u  %s%s%s", kind_text(entry->kind),
	    entry->name, number, what, (unsigned long long)expires_in_s, entry->demand,
	    colour_on(ctl, bad             ? BAD
			   : entry->in_use ? GOOD
					   : DIM),
	    entry->in_use ? "in use" : "not in use", colour_off(ctl));
	if (entry->failed_refreshes > 0)
		printf(", %u refreshes failed or brought nothing newer", entry->failed_refreshes);
	if (entry->last_was_bogus)
		printf(", bogus when last looked up");
	putchar('\n');
}

static int take_kind(struct ctl *ctl, const char *text, enum resolverd_kind *ret_kind)
{
	for (int kind = RESOLVERD_ROUTE; kind <= RESOLVERD_RECORDS; kind++)
		if (strcmp(text, kind_text((enum resolverd_kind)kind)) == 0) {
			*ret_kind = (enum resolverd_kind)kind;
			return 0;
		}
	return ctl_usage(ctl, "--kind is route, host or records");
}

int dump_command(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {{"in-use", no_argument, NULL, 'u'},
	    {"trouble", no_argument, NULL, 't'}, {"kind", required_argument, NULL, 'k'}, {0}};
	struct resolverd_dump_options wanted = {.limit = DUMP_AT_ONCE};
	struct resolverd_dump *dump;
	uint64_t cursor = 0;
	int c, r = 0;
	optind = 0;
	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c == 'u')
			wanted.in_use = true;
		else if (c == 't')
			wanted.trouble = true;
		else if (c == 'k')
			r = take_kind(ctl, optarg, &wanted.kind);
		else
			r = ctl_usage(ctl, "%s: wrong option (see --help)", argv[0]);
	}
	if (r == 0 && optind != argc)
		r = ctl_usage(ctl, "%s takes options only", argv[0]);
	if (r == 0)
		r = ctl_open_control(ctl);
	while (r == 0) {
		int error = resolverd_dump(ctl->client, &wanted, cursor, ctl->timeout_ms, &dump);
		if (error != 0)
			return fail(ctl, error);
		for (size_t i = 0; i < dump->count; i++)
			if (ctl->json)
				print_json(&dump->entries[i]);
			else
				print_text(ctl, &dump->entries[i]);
		cursor = dump->next;
		resolverd_dump_free(dump);
		if (cursor == 0 || ferror(stdout))
			break;
	}
	return r;
}

/* ---- flush ---- */

static int flush_all(struct ctl *ctl)
{
	uint64_t dropped;
	int error = resolverd_flush(ctl->client, ctl->timeout_ms, &dropped);
	if (error != 0)
		return fail(ctl, error);
	if (ctl->json)
		output_json(json_pack("{s:I}", "dropped", (json_int_t)dropped));
	else
		printf(
		    "%llu answers dropped, the workers are replaced; what was in use is looked up "
		    "again\n",
		    (unsigned long long)dropped);
	return 0;
}

static json_t *differences_json(const struct resolverd_explanation *explanation)
{
	json_t *array = json_array();
	for (size_t i = 0; i < explanation->difference_count; i++) {
		const struct resolverd_difference *one = &explanation->differences[i];
		json_array_append_new(
		    array, json_pack("{s:s, s:s, s:s, s:s}", "name", one->name, "what", one->what,
			       "before", one->cached, "after", one->fresh));
	}
	return array;
}

static void print_renewed(const struct ctl *ctl, const struct resolverd_explanation *explanation)
{
	const struct resolverd_plan *plan = explanation->fresh;
	printf("%s: looked up anew: %s\n", plan->next_hop, resolverd_outcome_text(plan->outcome));
	for (size_t i = 0; i < explanation->step_count; i++) {
		const struct resolverd_step *step = &explanation->steps[i];
		printf("  %-7s %-40s %s%s\n", step->kind == RESOLVERD_STEP_ROUTE ? "route" : "host",
		    step->name, step->reason,
		    step->cached_expires_at_ms == 0 ? " (was not cached)" : "");
	}
	for (size_t i = 0; i < explanation->difference_count; i++) {
		const struct resolverd_difference *one = &explanation->differences[i];
		printf("  %schanged%s %s: %s: %s -> %s\n", colour_on(ctl, WARN), colour_off(ctl),
		    one->name, one->what, one->cached, one->fresh);
	}
	if (explanation->difference_count == 0)
		puts("  nothing else than before");
}

int flush_command(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
	    {"all", no_argument, NULL, 'a'}, {"port", required_argument, NULL, 'p'}, {0}};
	struct resolverd_explanation *explanation;
	unsigned port = 25;
	bool all = false;
	int c, r = 0;
	optind = 0;
	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c == 'a')
			all = true;
		else if (c == 'p')
			r = ctl_port(ctl, optarg, &port);
		else
			r = ctl_usage(ctl, "%s: wrong option (see --help)", argv[0]);
	}
	if (r == 0 && argc - optind != !all)
		r = ctl_usage(ctl, "%s wants one next hop, or --all", argv[0]);
	const char *next_hop = argv[optind];
	if (r == 0)
		r = ctl_open_control(ctl);
	if (r != 0)
		return r;
	if (all)
		return flush_all(ctl);
	int error = resolverd_renew(ctl->client, next_hop, port, ctl->timeout_ms, &explanation);
	if (error != 0)
		return fail(ctl, error);
	if (ctl->json)
		output_json(json_pack("{s:o, s:o}", "changes", differences_json(explanation),
		    "plan", plan_json(explanation->fresh)));
	else
		print_renewed(ctl, explanation);
	r = plan_exit(explanation->fresh->outcome);
	resolverd_explanation_free(explanation);
	return r;
}

/* ---- reload ---- */

int reload_command(struct ctl *ctl, int argc, char **argv)
{
	char text[RESOLVERD_RELOAD_TEXT_MAX];
	bool in_force;
	if (argc != 1)
		return ctl_usage(ctl, "%s takes nothing", argv[0]);
	int r = ctl_open_control(ctl);
	if (r != 0)
		return r;
	int error = resolverd_reload(ctl->client, ctl->timeout_ms, &in_force, text);
	if (error != 0)
		return fail(ctl, error);
	if (ctl->json)
		output_json(json_pack("{s:b, s:s}", "in_force", in_force, "text", text));
	else if (in_force)
		printf("%s\n", text);
	else
		fprintf(stderr, "resolverctl: %s\n", text);
	return in_force ? 0 : EXIT_TO_BE_MENDED;
}
