/* SPDX-License-Identifier: BSD-3-Clause */
/* resolverctl watch: plans, and what changes in them, until it is ended. */
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/ctl/ctl.h"
#include "client/lib/clock.h"
#include "client/lib/difference.h"

#define RECONNECT_PAUSE_MS 10
#define DAEMON_GONE_PAUSE_MS 1000
#define HEX_SHOWN 8 /* digits of a TLSA record's data */

struct watched {
	const char *next_hop;        /* as it was asked */
	uint64_t id;                 /* 0: the daemon cannot be reached, to be asked again */
	struct resolverd_plan *plan; /* told last; NULL: none yet */
};

struct watching {
	struct ctl *ctl;
	unsigned port;
	struct watched *list;
	size_t count, first_missing; /* without their first plan */
	size_t gone;                 /* those with id 0 */
	bool said_gone;
};

/* ---- JSON ---- */

static void print_json(const struct resolverd_plan *plan, const struct differences *differences)
{
	json_t *changes = differences != NULL ? json_array() : json_null();
	for (size_t i = 0; differences != NULL && i < differences->count; i++) {
		const struct resolverd_difference *one = &differences->list[i];
		json_array_append_new(
		    changes, json_pack("{s:s, s:s, s:s, s:s}", "name", one->name, "what", one->what,
				 "before", one->cached, "after", one->fresh));
	}
	output_json(json_pack("{s:o, s:s, s:i, s:o, s:o}", "at", output_ms(clock_wall_ms()),
	    "next_hop", plan->next_hop, "port", (int)plan->port, "changes", changes, "plan",
	    plan_json(plan)));
}

/* ---- text ---- */

static bool is_set(const struct resolverd_difference *difference)
{
	return strcmp(difference->what, "mx") == 0 || strcmp(difference->what, "tlsa") == 0 ||
	       strcmp(difference->what, "addresses") == 0;
}

/* One member of "a, b, c"; NULL at the end. */
static const char *next_member(const char *at, size_t *ret_bytes)
{
	if (at == NULL || *at == '\0' || strcmp(at, "none") == 0)
		return NULL;
	*ret_bytes = strcspn(at, ",");
	return at;
}

static const char *behind(const char *member, size_t bytes)
{
	return member[bytes] == ',' ? member + bytes + 2 : NULL;
}

static bool has_member(const char *set, const char *member, size_t bytes)
{
	size_t other_bytes;
	for (const char *other = set; (other = next_member(other, &other_bytes)) != NULL;
	     other = behind(other, other_bytes))
		if (other_bytes == bytes && memcmp(other, member, bytes) == 0)
			return true;
	return false;
}

/* A TLSA record's data is cut: nobody reads it. */
static void print_member(const char *member, size_t bytes)
{
	const char *last = member + bytes;
	while (last > member && last[-1] != ' ')
		last--;
	bool is_long = member + bytes - last > 2 * HEX_SHOWN && strchr(last, '.') == NULL;
	printf(" %.*s%s", is_long ? (int)(last - member) + HEX_SHOWN : (int)bytes, member,
	    is_long ? "..." : "");
}

/* Those of set that are not in the other one. */
static bool print_members(const char *word, const char *set, const char *other, bool comma)
{
	bool any = false;
	size_t bytes;
	for (const char *member = set; (member = next_member(member, &bytes)) != NULL;
	     member = behind(member, bytes)) {
		if (has_member(other, member, bytes))
			continue;
		printf("%s%s", any || comma ? "," : "", any ? "" : word);
		print_member(member, bytes);
		any = true;
	}
	return any;
}

static void print_difference(const struct resolverd_difference *difference, bool says_name)
{
	if (says_name)
		printf(" %s", difference->name);
	printf(" %s", difference->what);
	if (!is_set(difference)) {
		printf(" %s, was %s", difference->fresh, difference->cached);
		return;
	}
	bool any = print_members(" added", difference->fresh, difference->cached, false);
	print_members(" gone", difference->cached, difference->fresh, any);
}

static void print_plan(const struct ctl *ctl, const struct resolverd_plan *plan)
{
	printf(" %s%s%s", colour_on(ctl, plan->outcome == RESOLVERD_DELIVER ? GOOD : WARN),
	    resolverd_outcome_text(plan->outcome), colour_off(ctl));
	for (size_t i = 0; i < plan->host_count; i++)
		printf("%s %s %s%s%s", i > 0 ? "," : ":", plan->hosts[i].name,
		    colour_on(ctl, colour_of_policy(plan->hosts[i].policy)),
		    resolverd_policy_text(plan->hosts[i].policy), colour_off(ctl));
}

static void print_text(
    const struct ctl *ctl, const struct resolverd_plan *plan, const struct differences *differences)
{
	printf("%s%s%s %s:", colour_on(ctl, DIM), output_time(clock_wall_ms()), colour_off(ctl),
	    plan->next_hop);
	if (differences == NULL)
		print_plan(ctl, plan);
	const char *name = plan->next_hop;
	for (size_t i = 0; differences != NULL && i < differences->count; i++) {
		const struct resolverd_difference *one = &differences->list[i];
		if (i > 0)
			putchar(';');
		print_difference(one, strcmp(name, one->name) != 0);
		name = one->name;
	}
	putchar('\n');
}

/* ---- what comes ---- */

/* Takes the plan. Says nothing of one that says the same as that before: so it is after a lost
 * connection. */
static int take_plan(
    struct watching *watching, struct watched *watched, struct resolverd_plan *plan)
{
	const struct ctl *ctl = watching->ctl;
	struct resolverd_memory *arena = memory_new();
	struct differences differences = {.arena = arena};
	bool is_first = watched->plan == NULL;
	if (arena == NULL)
		goto no_memory;
	if (!is_first) {
		differences.list = memory_alloc(
		    arena, DIFFERENCES_OF_PLANS(plan->host_count), sizeof *differences.list);
		if (differences.list != NULL)
			difference_plans(&differences, watched->plan, plan);
		if (memory_failed(arena))
			goto no_memory;
	}
	if (is_first || differences.count > 0)
		(ctl->json ? print_json(plan, is_first ? NULL : &differences)
			   : print_text(ctl, plan, is_first ? NULL : &differences));
	watching->first_missing -= is_first;
	watching->said_gone = false;
	resolverd_plan_free(watched->plan);
	watched->plan = plan;
	memory_free(arena);
	return 0;
no_memory:
	memory_free(arena);
	resolverd_plan_free(plan);
	return ctl_report(ctl, "out of memory", EXIT_NOT_NOW);
}

static int submit(const struct watching *watching, struct watched *watched)
{
	int r = resolverd_submit_watch(
	    watching->ctl->client, watched->next_hop, watching->port, 0, &watched->id);
	return r == 0 ? 0 : ctl_fail(watching->ctl, r);
}

/* A daemon that was there is waited for. */
static int take_error(struct watching *watching, struct watched *watched, int error)
{
	if (error != RESOLVERD_ERROR_NO_DAEMON || watched->plan == NULL)
		return ctl_fail(watching->ctl, error);
	if (!watching->said_gone) {
		fprintf(stderr, "resolverctl: %s; trying on\n",
		    resolverd_last_error(watching->ctl->client));
		watching->said_gone = true;
	}
	watched->id = 0;
	watching->gone++;
	return 0;
}

static int ask_again(struct watching *watching)
{
	int r = 0;
	poll(NULL, 0, DAEMON_GONE_PAUSE_MS);
	for (size_t i = 0; r == 0 && i < watching->count; i++)
		if (watching->list[i].id == 0)
			r = submit(watching, &watching->list[i]);
	watching->gone = 0;
	return r;
}

static int take_all(struct watching *watching)
{
	struct resolverd_client *client = watching->ctl->client;
	uint64_t id;
	int r = 0;
	while (r == 0 && resolverd_next_finished(client, &id)) {
		struct watched *watched = watching->list;
		while (watched->id != id)
			watched++;
		struct resolverd_plan *plan;
		int error = resolverd_take_plan(client, id, &plan);
		r = error == 0 ? take_plan(watching, watched, plan)
			       : take_error(watching, watched, error);
	}
	if (fflush(stdout) != 0)
		return EXIT_NOT_NOW; /* main says so */
	return r;
}

static int wait_for_more(const struct watching *watching, int64_t left_ms)
{
	struct pollfd fd = {.fd = resolverd_client_fd(watching->ctl->client),
	    .events = resolverd_client_events(watching->ctl->client)};
	bool is_complete = watching->first_missing == 0;
	if (!is_complete && left_ms <= 0)
		return ctl_report(watching->ctl, "no answer from the daemon in time", EXIT_NOT_NOW);
	poll(&fd, 1, fd.fd < 0 ? RECONNECT_PAUSE_MS : is_complete ? -1 : (int)left_ms);
	return 0;
}

static int watch_all(struct watching *watching)
{
	struct ctl *ctl = watching->ctl;
	int64_t deadline_ms = clock_mono_ms() + ctl->timeout_ms;
	int r = 0;
	for (size_t i = 0; r == 0 && i < watching->count; i++)
		r = submit(watching, &watching->list[i]);
	while (r == 0) {
		(void)resolverd_update(ctl->client);
		r = take_all(watching);
		if (r == 0 && watching->gone > 0)
			r = ask_again(watching);
		else if (r == 0)
			r = wait_for_more(watching, deadline_ms - clock_mono_ms());
	}
	return r;
}

int watch_command(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {{"port", required_argument, NULL, 'p'}, {0}};
	struct watching watching = {.ctl = ctl, .port = 25};
	int c, r = 0;
	optind = 0;
	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, ":", options, NULL)) != -1)
		r = c == 'p' ? ctl_port(ctl, optarg, &watching.port)
			     : ctl_usage(ctl, "%s: wrong option (see --help)", argv[0]);
	if (r == 0 && optind >= argc)
		r = ctl_usage(ctl, "%s wants at least one name", argv[0]);
	if (r == 0)
		r = ctl_open(ctl);
	if (r != 0 || optind >= argc)
		return r;
	watching.count = watching.first_missing = (size_t)(argc - optind);
	watching.list = calloc(watching.count, sizeof *watching.list);
	if (watching.list == NULL)
		return ctl_report(ctl, "out of memory", EXIT_NOT_NOW);
	for (size_t i = 0; i < watching.count; i++)
		watching.list[i].next_hop = argv[optind + (int)i];
	r = watch_all(&watching);
	for (size_t i = 0; i < watching.count; i++)
		resolverd_plan_free(watching.list[i].plan);
	free(watching.list);
	return r;
}
