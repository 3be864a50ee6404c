/* SPDX-License-Identifier: BSD-3-Clause */
/* resolverctl stats: what was asked, found and served, since the start or in an interval. */
#include "client/ctl/stats.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/clock.h"

#define INTERVAL_MIN_S 0.1
#define INTERVAL_MAX_S 86400.0
#define POLICIES 5
#define TLSA_STATUSES 7
#define STATUSES 5

/* ---- asking ---- */

int stats_open(struct ctl *ctl)
{
	const struct resolverd_options ordinary = ctl->options;
	struct resolverd_daemon_status *status;
	int r = ctl_open_control(ctl);
	if (r != 0)
		return r;
	int error = resolverd_status(ctl->client, ctl->timeout_ms, &status);
	if (error == 0)
		resolverd_daemon_status_free(status);
	if (error != RESOLVERD_ERROR_NO_DAEMON)
		return error == 0 ? 0 : ctl_fail(ctl, error);
	fprintf(stderr,
	    "resolverctl: %s: %s; without it there is less to tell (see --control-socket)\n",
	    ctl->control_socket_path, resolverd_last_error(ctl->client));
	resolverd_client_free(ctl->client);
	ctl->client = NULL;
	ctl->options = ordinary;
	return ctl_open(ctl);
}

int stats_take_interval(struct ctl *ctl, const char *text, int64_t *ret_ms)
{
	char *end;
	double seconds = strtod(text, &end);
	if (end == text || *end != '\0' || !(seconds >= INTERVAL_MIN_S) || seconds > INTERVAL_MAX_S)
		return ctl_usage(ctl, "--interval is 0.1 to 86400 seconds");
	*ret_ms = (int64_t)(seconds * 1000);
	return 0;
}

bool stats_follow(
    const struct resolverd_daemon_status *before, const struct resolverd_daemon_status *now)
{
	return before->started_at_ms == now->started_at_ms && now->requests >= before->requests &&
	       (before->metrics != NULL) == (now->metrics != NULL);
}

/* ---- for people ---- */

struct stats {
	const struct resolverd_daemon_status *before, *now;
	double seconds; /* between the two */
	struct stats_line *lines;
	size_t count;
};

#define CHANGE(stats, field)                                                                       \
	((stats)->now->field - ((stats)->before != NULL ? (stats)->before->field : 0))

[[gnu::format(printf, 3, 4)]] static void add(
    struct stats *stats, const char *name, const char *format, ...)
{
	struct stats_line *line = &stats->lines[stats->count];
	size_t used = 0;
	if (stats->count > 0 && strcmp(stats->lines[stats->count - 1].name, name) == 0) {
		line--;
		used = strlen(line->text);
	} else if (stats->count == STATS_LINES_MAX) {
		return;
	} else {
		stats->count++;
	}
	line->name = name;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line->text + used, sizeof line->text - used, format, arguments);
	va_end(arguments);
}

static double percent(uint64_t part, uint64_t all)
{
	return all == 0 ? 0 : 100.0 * (double)part / (double)all;
}

static unsigned long long number(uint64_t value)
{
	return value;
}

static void add_counts(struct stats *stats, const char *name, const uint64_t *now,
    const uint64_t *before, int count, const char *(*text_of)(int number))
{
	add(stats, name, "%s", "");
	for (int i = 1; i < count; i++)
		add(stats, name, "%s%s %llu", i > 1 ? ", " : "", text_of(i),
		    number(now[i] - (before != NULL ? before[i] : 0)));
}

static const char *policy_of(int number)
{
	return resolverd_policy_text((enum resolverd_policy)number);
}
static const char *tlsa_of(int number)
{
	return resolverd_tlsa_status_text((enum resolverd_tlsa_status)number);
}
static const char *status_of(int number)
{
	return resolverd_status_text((enum resolverd_status)number);
}

static uint64_t count_of(
    const struct resolverd_histogram *now, const struct resolverd_histogram *before, size_t i)
{
	bool comparable = before != NULL && i <= before->bound_count;
	return now->counts[i] - (comparable ? before->counts[i] : 0);
}

/* "20 ms" or "more than 60000 ms": the end of the bucket that the quantile lies in. */
static void quantile(const struct resolverd_histogram *now,
    const struct resolverd_histogram *before, uint64_t all, double part, char ret_text[48])
{
	uint64_t seen = 0;
	size_t i = 0;
	for (; i < now->bound_count; i++) {
		seen += count_of(now, before, i);
		if ((double)seen >= part * (double)all)
			break;
	}
	if (i < now->bound_count)
		snprintf(ret_text, 48, "%u ms", now->bounds_ms[i]);
	else
		snprintf(ret_text, 48, "more than %u ms",
		    now->bound_count > 0 ? now->bounds_ms[now->bound_count - 1] : 0);
}

static void add_times(struct stats *stats, const char *name, const struct resolverd_histogram *now,
    const struct resolverd_histogram *before)
{
	uint64_t all = 0;
	char half[48], most[48], nearly_all[48];
	for (size_t i = 0; i <= now->bound_count; i++)
		all += count_of(now, before, i);
	if (all == 0) {
		add(stats, name, "none");
		return;
	}
	quantile(now, before, all, 0.5, half);
	quantile(now, before, all, 0.95, most);
	quantile(now, before, all, 0.99, nearly_all);
	add(stats, name, "half of %llu within %s, 95 %% within %s, 99 %% within %s; mean %.0f ms",
	    number(all), half, most, nearly_all,
	    (double)(now->sum_ms - (before != NULL ? before->sum_ms : 0)) / (double)all);
}

static void add_metrics(struct stats *stats)
{
	const struct resolverd_metrics *now = stats->now->metrics,
				       *before =
					   stats->before != NULL ? stats->before->metrics : NULL;
	if (now == NULL)
		return;
#define BEFORE(field) (before != NULL ? before->field : NULL)
	add_counts(stats, "routes found", now->routes_by_status, BEFORE(routes_by_status), STATUSES,
	    status_of);
	add_counts(stats, "hosts found", now->hosts_by_policy, BEFORE(hosts_by_policy), POLICIES,
	    policy_of);
	add_counts(
	    stats, "their TLSA", now->hosts_by_tlsa, BEFORE(hosts_by_tlsa), TLSA_STATUSES, tlsa_of);
	add_counts(stats, "records found", now->records_by_status, BEFORE(records_by_status),
	    STATUSES, status_of);
	add_times(stats, "lookups took", &now->job_time, before != NULL ? &before->job_time : NULL);
	add_times(
	    stats, "clients waited", &now->wait_time, before != NULL ? &before->wait_time : NULL);
#undef BEFORE
}

static void add_fleet(struct stats *stats)
{
	static const struct resolverd_fleet none;
	const struct resolverd_fleet *now = stats->now->fleet,
				     *before = stats->before != NULL ? stats->before->fleet : NULL;
	if (now == NULL)
		return;
	if (before == NULL)
		before = &none;
	add(stats, "fleet", "%s%s%s; %u member keys, %u root keys, %u revoked",
	    now->connected ? "connected to " : "NOT CONNECTED: ", now->detail,
	    now->left_out ? ", left out since it fails" : "", now->member_keys, now->root_keys,
	    now->revoked_keys);
	if (now->membership_ends_ms > 0)
		add(stats, "membership", "until %s", output_time(now->membership_ends_ms));
	add(stats, "found there", "%llu of %llu; looked up for all %llu, waited for another %llu",
	    number(now->found - before->found), number(now->asked - before->asked),
	    number(now->leased - before->leased), number(now->waited - before->waited));
	add(stats, "found there", "; put there %llu, changes told %llu",
	    number(now->shared - before->shared), number(now->notices - before->notices));
	if (now->refused > before->refused)
		add(stats, "found there", "; refused %llu, the last one: %s",
		    number(now->refused - before->refused), now->refused_why);
	if (now->failed > before->failed || now->passed_by > before->passed_by)
		add(stats, "found there", "; no answer %llu, left out %llu",
		    number(now->failed - before->failed),
		    number(now->passed_by - before->passed_by));
}

size_t stats_lines(const struct resolverd_daemon_status *before,
    const struct resolverd_daemon_status *now, struct stats_line ret_lines[STATS_LINES_MAX])
{
	struct stats stats = {.before = before, .now = now, .lines = ret_lines};
	struct stats *s = &stats;
	uint64_t from_ms = before != NULL ? before->now_ms : now->started_at_ms;
	stats.seconds = now->now_ms > from_ms ? (double)(now->now_ms - from_ms) / 1000 : 0.001;
	uint64_t hits = CHANGE(s, hits), misses = CHANGE(s, misses), requests = CHANGE(s, requests);
	add(s, "requests", "%llu, %.1f a second", number(requests),
	    (double)requests / stats.seconds);
	add(s, "answers", "%llu from the cache (%.1f %%), %llu looked up", number(hits),
	    percent(hits, hits + misses), number(misses));
	if (CHANGE(s, stale_served) > 0)
		add(s, "answers", ", %llu stale", number(CHANGE(s, stale_served)));
	add(s, "signed", "%llu answers; attestations %llu, for %llu responses",
	    number(CHANGE(s, answers_signed)), number(CHANGE(s, attestations_signed)),
	    number(CHANGE(s, attested)));
	add_metrics(s);
	add(s, "refreshes", "%llu: %llu renewed, %llu brought nothing longer, %llu failed; ",
	    number(CHANGE(s, refreshes)), number(CHANGE(s, refreshes_renewed)),
	    number(CHANGE(s, refreshes_futile)), number(CHANGE(s, refreshes_failed)));
	add(s, "refreshes", "%llu answers ran out, not wanted", number(CHANGE(s, ran_out)));
	add(s, "refused", "busy %llu, failing names %llu, clients %llu",
	    number(CHANGE(s, refused_busy)), number(CHANGE(s, refused_failing)),
	    number(CHANGE(s, refused_clients)));
	add(s, "jobs", "%u now", now->jobs);
	if (now->metrics != NULL)
		add(s, "jobs", ", of them %u running", now->metrics->jobs_running);
	add(s, "jobs", "; %llu done, %llu run again, %llu quarantined",
	    number(CHANGE(s, jobs_done)), number(CHANGE(s, jobs_rerun)),
	    number(CHANGE(s, jobs_quarantined)));
	add(s, "workers", "%u of %u; %llu restarts", now->workers, now->workers_wanted,
	    number(CHANGE(s, worker_restarts)));
	add(s, "cache", "%llu entries, %.1f of %.1f MB (%.0f %%); %llu evicted",
	    number(now->cache_entries), (double)now->cache_bytes / 1e6,
	    (double)now->cache_max_bytes / 1e6, percent(now->cache_bytes, now->cache_max_bytes),
	    number(CHANGE(s, evicted)));
	add(s, "clients", "%u, %u watches", now->clients, now->watches);
	add_fleet(s);
	return stats.count;
}

static void print_text(const struct ctl *ctl, const struct resolverd_daemon_status *before,
    const struct resolverd_daemon_status *now)
{
	struct stats_line lines[STATS_LINES_MAX];
	char span[32];
	size_t count = stats_lines(before, now, lines);
	output_span(
	    (now->now_ms - (before != NULL ? before->now_ms : now->started_at_ms)) / 1000, span);
	printf("%sresolverd %s%s, member %s, %s %s:\n", colour_on(ctl, PLAIN), now->version,
	    colour_off(ctl), now->member, before != NULL ? "in the last" : "since its start, in",
	    span);
	for (size_t i = 0; i < count; i++)
		printf("  %-15s %s\n", lines[i].name, lines[i].text);
}

/* ---- JSON ---- */

static json_t *counts_json(
    const uint64_t *now, const uint64_t *before, int count, const char *(*text_of)(int number))
{
	json_t *object = json_object();
	for (int i = 1; i < count; i++)
		json_object_set_new(object, text_of(i),
		    json_integer((json_int_t)(now[i] - (before != NULL ? before[i] : 0))));
	return object;
}

static json_t *histogram_json(
    const struct resolverd_histogram *now, const struct resolverd_histogram *before)
{
	json_t *bounds = json_array(), *counts = json_array();
	for (size_t i = 0; i < now->bound_count; i++)
		json_array_append_new(bounds, json_integer(now->bounds_ms[i]));
	for (size_t i = 0; i <= now->bound_count; i++)
		json_array_append_new(counts, json_integer((json_int_t)count_of(now, before, i)));
	return json_pack("{s:o, s:o, s:I}", "bounds_ms", bounds, "counts", counts, "sum_ms",
	    (json_int_t)(now->sum_ms - (before != NULL ? before->sum_ms : 0)));
}

static json_t *metrics_json(
    const struct resolverd_metrics *now, const struct resolverd_metrics *before)
{
	if (now == NULL)
		return json_null();
#define BEFORE(field) (before != NULL ? before->field : NULL)
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "routes_by_status",
	    counts_json(now->routes_by_status, BEFORE(routes_by_status), STATUSES, status_of),
	    "hosts_by_policy",
	    counts_json(now->hosts_by_policy, BEFORE(hosts_by_policy), POLICIES, policy_of),
	    "hosts_by_tlsa",
	    counts_json(now->hosts_by_tlsa, BEFORE(hosts_by_tlsa), TLSA_STATUSES, tlsa_of),
	    "records_by_status",
	    counts_json(now->records_by_status, BEFORE(records_by_status), STATUSES, status_of),
	    "job_time", histogram_json(&now->job_time, before != NULL ? &before->job_time : NULL),
	    "wait_time",
	    histogram_json(&now->wait_time, before != NULL ? &before->wait_time : NULL),
	    "jobs_running", (json_int_t)now->jobs_running);
#undef BEFORE
}

static json_t *fleet_json(const struct resolverd_fleet *now, const struct resolverd_fleet *before)
{
	if (now == NULL)
		return json_null();
	json_t *fleet = json_pack("{s:b, s:s, s:b, s:I, s:I, s:I, s:o}", "connected",
	    now->connected, "detail", now->detail, "left_out", now->left_out, "member_keys",
	    (json_int_t)now->member_keys, "root_keys", (json_int_t)now->root_keys, "revoked_keys",
	    (json_int_t)now->revoked_keys, "membership_ends_at",
	    now->membership_ends_ms > 0 ? json_integer((json_int_t)now->membership_ends_ms)
					: json_null());
/* clang-format off */
#define COUNTER(name) json_object_set_new(fleet, #name, \
	json_integer((json_int_t)(now->name - (before != NULL ? before->name : 0))));
	COUNTER(asked) COUNTER(found) COUNTER(refused) COUNTER(leased) COUNTER(waited) COUNTER(shared)
	COUNTER(failed) COUNTER(passed_by) COUNTER(notices) COUNTER(notices_dropped)
#undef COUNTER
	    /* clang-format on */
	    json_object_set_new(fleet, "refused_why", json_string(now->refused_why));
	return fleet;
}

static void print_json(
    const struct resolverd_daemon_status *before, const struct resolverd_daemon_status *now)
{
	json_t *counters = json_object(), *gauges = json_object();
/* clang-format off */
#define COUNTER(name) json_object_set_new(counters, #name, \
	json_integer((json_int_t)(now->name - (before != NULL ? before->name : 0))));
#define GAUGE(name) json_object_set_new(gauges, #name, json_integer((json_int_t)now->name));
	COUNTER(requests) COUNTER(hits) COUNTER(misses) COUNTER(stale_served)
	COUNTER(answers_signed) COUNTER(attested) COUNTER(attestations_signed)
	COUNTER(refreshes) COUNTER(refreshes_renewed) COUNTER(refreshes_futile)
	COUNTER(refreshes_failed) COUNTER(ran_out) COUNTER(evicted)
	COUNTER(refused_busy) COUNTER(refused_failing) COUNTER(refused_clients)
	COUNTER(jobs_done) COUNTER(jobs_rerun) COUNTER(jobs_quarantined)
	COUNTER(worker_restarts) COUNTER(clock_steps)
	GAUGE(jobs) GAUGE(workers) GAUGE(workers_wanted) GAUGE(clients) GAUGE(watches)
	GAUGE(cache_entries) GAUGE(cache_bytes) GAUGE(cache_max_bytes) GAUGE(memory_bytes)
	GAUGE(kept_domains)
#undef COUNTER
#undef GAUGE
	    /* clang-format on */
	    output_json(json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o}", "member", now->member,
		"from", (json_int_t)(before != NULL ? before->now_ms : now->started_at_ms), "to",
		(json_int_t)now->now_ms, "counters", counters, "gauges", gauges, "metrics",
		metrics_json(now->metrics, before != NULL ? before->metrics : NULL), "fleet",
		fleet_json(now->fleet, before != NULL ? before->fleet : NULL)));
}

/* ---- the command ---- */

static int tell(struct ctl *ctl, const struct resolverd_daemon_status *before,
    const struct resolverd_daemon_status *now)
{
	if (ctl->json)
		print_json(before, now);
	else
		print_text(ctl, before, now);
	return fflush(stdout) == 0 ? 0 : EXIT_NOT_NOW; /* main says so */
}

int stats_command(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {{"interval", required_argument, NULL, 'i'}, {0}};
	struct resolverd_daemon_status *before = NULL, *now;
	int64_t interval_ms = 0;
	int c, r = 0;
	optind = 0;
	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, ":", options, NULL)) != -1)
		r = c == 'i' ? stats_take_interval(ctl, optarg, &interval_ms)
			     : ctl_usage(ctl, "%s: wrong option (see --help)", argv[0]);
	if (r == 0 && optind != argc)
		r = ctl_usage(ctl, "%s takes options only", argv[0]);
	if (r == 0)
		r = stats_open(ctl);
	while (r == 0) {
		int error = resolverd_status(ctl->client, ctl->timeout_ms, &now);
		if (error != 0) {
			r = ctl_fail(ctl, error);
			break;
		}
		bool follows = before != NULL && stats_follow(before, now);
		if (interval_ms == 0 || before != NULL)
			r = tell(ctl, follows ? before : NULL, now);
		resolverd_daemon_status_free(before);
		before = now;
		if (interval_ms == 0)
			break;
		poll(NULL, 0, (int)interval_ms);
	}
	resolverd_daemon_status_free(before);
	return r;
}
