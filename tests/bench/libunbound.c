/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bare libunbound asked what plans need: for each domain MX, then A, AAAA and TLSA of its first
 * host, at once. As many processes as resolverd has workers, each with a context made as a worker
 * makes its own and driven by events; the list is dealt out among them. No facts are made of the
 * answers, nothing is cached but by libunbound, nothing is signed or told to anybody.
 *
 *     bench-libunbound [--processes N] [--in-flight M] [--mx-only] [--set section.key=value]...
 * FILE
 *
 * FILE: domains, one a line. --in-flight: domains of each process at once. --mx-only: the hosts are
 * not asked for. --set: as resolverd's.
 * The time runs from when all have validated the root's keys. Prints one JSON object. Exit 1 when a
 * lookup is anything but secure.
 */
#include <arpa/nameser.h>
#include <event2/event.h>
#include <getopt.h>
#include <resolv.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unbound-event.h>
#include <unbound.h>
#include <unistd.h>

#include "resolverd/base/clock.h"
#include "resolverd/base/config.h"
#include "resolverd/worker/resolver.h"

#define PROCESSES_MAX 16u
#define SETS_MAX 64u
#define TYPE_TLSA 52
#define UB_SECURE 2

struct asker {
	struct event_base *base;
	struct ub_ctx *resolver;
	FILE *names;
	unsigned index, processes, line;
	uint32_t in_flight, done;
	bool mx_only, failed;
};

struct plan { /* of one domain */
	struct asker *asker;
	unsigned missing;
	char name[NS_MAXDNAME];
};

static void die(const char *what)
{
	fprintf(stderr, "libunbound: %s\n", what);
	exit(1);
}

static void plan_begin(struct asker *asker);

static void plan_step_done(struct plan *plan)
{
	struct asker *asker = plan->asker;
	if (--plan->missing > 0)
		return;
	free(plan);
	asker->done++;
	asker->in_flight--;
	plan_begin(asker);
	if (asker->in_flight == 0)
		event_base_loopbreak(asker->base);
}

static void ask(struct plan *plan, const char *name, int type, ub_event_callback_type on_reply)
{
	plan->missing++;
	if (ub_resolve_event(plan->asker->resolver, name, type, ns_c_in, plan, on_reply, NULL) != 0)
		die("ub_resolve_event refuses");
}

static void check(struct plan *plan, int rcode, const void *packet, int sec)
{
	if (rcode == ns_r_noerror && packet != NULL && sec == UB_SECURE)
		return;
	fprintf(stderr, "libunbound: '%s': rcode %d, security %d\n", plan->name, rcode, sec);
	plan->asker->failed = true;
}

static void on_host_reply(
    void *arg, int rcode, void *packet, int packet_bytes, int sec, char *why, int was_ratelimited)
{
	(void)packet_bytes, (void)why, (void)was_ratelimited;
	check(arg, rcode, packet, sec);
	plan_step_done(arg);
}

/* The exchange of the first MX record; false when there is none. */
static bool first_host(const uint8_t *packet, int packet_bytes, char host[NS_MAXDNAME])
{
	ns_msg message;
	ns_rr record;
	if (packet == NULL || ns_initparse(packet, packet_bytes, &message) != 0)
		return false;
	for (int i = 0; i < ns_msg_count(message, ns_s_an); i++)
		if (ns_parserr(&message, ns_s_an, i, &record) == 0 && ns_rr_type(record) == ns_t_mx)
			return dn_expand(packet, packet + packet_bytes,
				   ns_rr_rdata(record) + NS_INT16SZ, host, NS_MAXDNAME) > 0;
	return false;
}

static void on_mx(
    void *arg, int rcode, void *packet, int packet_bytes, int sec, char *why, int was_ratelimited)
{
	struct plan *plan = arg;
	char host[NS_MAXDNAME], owner[NS_MAXDNAME + 16];
	(void)why, (void)was_ratelimited;
	check(plan, rcode, packet, sec);
	if (!first_host(packet, packet_bytes, host)) {
		plan->asker->failed = true;
	} else if (!plan->asker->mx_only) {
		snprintf(owner, sizeof owner, "_25._tcp.%s", host);
		ask(plan, host, ns_t_a, on_host_reply);
		ask(plan, host, ns_t_aaaa, on_host_reply);
		ask(plan, owner, TYPE_TLSA, on_host_reply);
	}
	plan_step_done(plan);
}

/* The next one of the list that is for this process, if any. */
static void plan_begin(struct asker *asker)
{
	char line[NS_MAXDNAME];
	while (fgets(line, sizeof line, asker->names) != NULL) {
		if (asker->line++ % asker->processes != asker->index)
			continue;
		struct plan *plan = calloc(1, sizeof *plan);
		if (plan == NULL)
			die("out of memory");
		line[strcspn(line, "\n")] = '\0';
		plan->asker = asker;
		snprintf(plan->name, sizeof plan->name, "%s", line);
		asker->in_flight++;
		ask(plan, plan->name, ns_t_mx, on_mx);
		return;
	}
}

static void on_root(
    void *arg, int rcode, void *packet, int packet_bytes, int sec, char *why, int was_ratelimited)
{
	struct asker *asker = arg;
	(void)rcode, (void)packet, (void)packet_bytes, (void)why, (void)was_ratelimited;
	if (sec != UB_SECURE)
		die("the root's keys do not validate");
	event_base_loopbreak(asker->base);
}

/* One process; never returns. ready: a byte goes there; go: at its end the work begins. */
static void run(const struct config *config, struct asker asker, const char *path,
    uint32_t in_flight_max, int ready, int go)
{
	char error[300], byte = 0;
	asker.base = event_base_new();
	asker.names = fopen(path, "r");
	if (asker.base == NULL || asker.names == NULL)
		die("cannot start or read the list");
	if (resolver_new(
		asker.base, config, clock_wall_ms(), error, sizeof error, &asker.resolver) != 0)
		die(error);
	if (ub_resolve_event(asker.resolver, ".", ns_t_dnskey, ns_c_in, &asker, on_root, NULL) != 0)
		die("ub_resolve_event refuses");
	event_base_dispatch(asker.base);
	if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 0)
		die("the parent is gone");
	while (asker.in_flight < in_flight_max) {
		uint32_t before = asker.in_flight + asker.done;
		plan_begin(&asker);
		if (asker.in_flight + asker.done == before)
			break;
	}
	if (asker.in_flight > 0)
		event_base_dispatch(asker.base);
	_exit(asker.failed);
}

static uint32_t count_lines(const char *path)
{
	FILE *file = fopen(path, "r");
	uint32_t count = 0;
	if (file == NULL)
		die("cannot read the list");
	for (int c; (c = getc(file)) != EOF;)
		count += c == '\n';
	fclose(file);
	return count;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"processes", 1, NULL, 'p'},
	    {"in-flight", 1, NULL, 'f'}, {"mx-only", 0, NULL, 'm'}, {"set", 1, NULL, 's'}, {0}};
	const char *sets[SETS_MAX + 1] = {NULL};
	unsigned processes = 2, set_count = 0;
	uint32_t in_flight = 256;
	bool mx_only = false;
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (option == 'p')
			processes = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'f')
			in_flight = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'm')
			mx_only = true;
		else if (option == 's' && set_count < SETS_MAX)
			sets[set_count++] = optarg;
		else
			return 64;
	}
	if (optind != argc - 1 || processes - 1 >= PROCESSES_MAX || in_flight == 0)
		return 64;
	const char *path = argv[optind];
	struct config config;
	char error[300], byte;
	if (config_parse(&(struct config_source){.text = "", .set = sets}, error, sizeof error,
		&config) != 0)
		die(error);
	config.resolver.workers = processes; /* each has its share of max-memory */

	int ready[2], go[2];
	if (pipe(ready) != 0 || pipe(go) != 0)
		die("no pipe");
	for (unsigned i = 0; i < processes; i++) {
		pid_t pid = fork();
		if (pid < 0)
			die("no process");
		if (pid == 0) {
			close(go[1]);
			run(&config,
			    (struct asker){.index = i, .processes = processes, .mx_only = mx_only},
			    path, in_flight, ready[1], go[0]);
		}
	}
	close(ready[1]);
	for (unsigned i = 0; i < processes; i++)
		if (read(ready[0], &byte, 1) != 1)
			die("a process ended early");
	int64_t begin_ms = clock_mono_ms();
	close(go[1]);
	bool good = true;
	for (int status; wait(&status) > 0;)
		good &= WIFEXITED(status) && WEXITSTATUS(status) == 0;
	double seconds = (double)(clock_mono_ms() - begin_ms) / 1000;
	uint32_t count = count_lines(path);
	printf("{\"domains\":%u,\"seconds\":%.3f,\"per_s\":%.1f}\n", count, seconds,
	    (double)count / seconds);
	return good ? 0 : 1;
}
