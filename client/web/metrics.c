/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's counters in the OpenMetrics text format, with names and units by Prometheus'
 * convention. Labels take words of ours, and names of the configuration: nothing that grows with
 * what is asked, and no destination.
 */
#include <string.h>

#include "client/web/web.h"

#define PREFIX "resolverd_"
#define POLICIES 5
#define TLSA_STATUSES 7
#define STATUSES 5

static void family(
    struct evbuffer *out, const char *name, const char *type, const char *unit, const char *help)
{
	evbuffer_add_printf(out, "# TYPE " PREFIX "%s %s\n", name, type);
	if (unit != NULL)
		evbuffer_add_printf(out, "# UNIT " PREFIX "%s %s\n", name, unit);
	evbuffer_add_printf(out, "# HELP " PREFIX "%s %s\n", name, help);
}

/* A label's value: \, " and newlines are escaped; the text is UTF-8 without control characters. */
static void label(struct evbuffer *out, const char *value)
{
	for (; *value != '\0'; value++) {
		if (*value == '\\' || *value == '"')
			evbuffer_add(out, "\\", 1);
		if (*value == '\n')
			evbuffer_add(out, "\\n", 2);
		else
			evbuffer_add(out, value, 1);
	}
}

static void counter(struct evbuffer *out, const char *name, const char *help, uint64_t value)
{
	family(out, name, "counter", NULL, help);
	evbuffer_add_printf(out, PREFIX "%s_total %llu\n", name, (unsigned long long)value);
}

static void gauge(
    struct evbuffer *out, const char *name, const char *unit, const char *help, uint64_t value)
{
	family(out, name, "gauge", unit, help);
	evbuffer_add_printf(out, PREFIX "%s %llu\n", name, (unsigned long long)value);
}

/* Of a time in milliseconds; nothing when it is 0: never. */
static void gauge_time(struct evbuffer *out, const char *name, const char *help, uint64_t at_ms)
{
	if (at_ms == 0)
		return;
	family(out, name, "gauge", "seconds", help);
	evbuffer_add_printf(out, PREFIX "%s %llu.%03u\n", name, (unsigned long long)at_ms / 1000,
	    (unsigned)(at_ms % 1000));
}

struct part {
	const char *value;
	uint64_t count;
};

static void parts(struct evbuffer *out, const char *name, const char *type, const char *help,
    const char *label_name, const struct part *list, size_t count)
{
	family(out, name, type, NULL, help);
	for (size_t i = 0; i < count; i++)
		evbuffer_add_printf(out, PREFIX "%s%s{%s=\"%s\"} %llu\n", name,
		    strcmp(type, "counter") == 0 ? "_total" : "", label_name, list[i].value,
		    (unsigned long long)list[i].count);
}
#define PARTS(out, name, type, help, label, ...)                                                   \
	parts(out, name, type, help, label, (const struct part[]){__VA_ARGS__},                    \
	    sizeof((const struct part[]){__VA_ARGS__}) / sizeof(struct part))

static void counts(struct evbuffer *out, const char *name, const char *help, const char *label_name,
    const uint64_t *list, int count, const char *(*text_of)(int number))
{
	family(out, name, "counter", NULL, help);
	for (int i = 0; i < count; i++)
		if (i > 0 || list[i] > 0)
			evbuffer_add_printf(out, PREFIX "%s_total{%s=\"%s\"} %llu\n", name,
			    label_name, i > 0 ? text_of(i) : "unknown",
			    (unsigned long long)list[i]);
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

static void histogram(struct evbuffer *out, const char *name, const char *help,
    const struct resolverd_histogram *from)
{
	uint64_t all = 0;
	family(out, name, "histogram", "seconds", help);
	for (size_t i = 0; i < from->bound_count; i++) {
		all += from->counts[i];
		evbuffer_add_printf(out, PREFIX "%s_bucket{le=\"%u.%03u\"} %llu\n", name,
		    from->bounds_ms[i] / 1000, from->bounds_ms[i] % 1000, (unsigned long long)all);
	}
	all += from->counts[from->bound_count];
	evbuffer_add_printf(out,
	    PREFIX "%s_bucket{le=\"+Inf\"} %llu\n" PREFIX "%s_sum %llu.%03u\n" PREFIX
		   "%s_count %llu\n",
	    name, (unsigned long long)all, name, (unsigned long long)from->sum_ms / 1000,
	    (unsigned)(from->sum_ms % 1000), name, (unsigned long long)all);
}

static void write_found(struct evbuffer *out, const struct resolverd_metrics *metrics)
{
	counts(out, "routes_found", "Routes looked up, by DNSSEC status of the MX records.",
	    "status", metrics->routes_by_status, STATUSES, status_of);
	counts(out, "hosts_found", "Mail hosts looked up, by the policy for a secure MX.", "policy",
	    metrics->hosts_by_policy, POLICIES, policy_of);
	counts(out, "hosts_found_tlsa", "Mail hosts looked up, by status of their TLSA records.",
	    "status", metrics->hosts_by_tlsa, TLSA_STATUSES, tlsa_of);
	counts(out, "records_found", "Record sets looked up by themselves, by DNSSEC status.",
	    "status", metrics->records_by_status, STATUSES, status_of);
	histogram(out, "lookup_duration_seconds", "Time that a worker took for a lookup.",
	    &metrics->job_time);
	histogram(out, "request_wait_seconds",
	    "Time that clients waited for what was not in the cache.", &metrics->wait_time);
}

static void write_checks(struct evbuffer *out, const struct resolverd_daemon_status *status)
{
	family(out, "check_good", "gauge", NULL,
	    "Whether a continuous check of the daemon is good: workers, root, clock, trust-anchor, "
	    "canaries.");
	for (size_t i = 0; i < status->check_count; i++) {
		evbuffer_add_printf(out, PREFIX "check_good{check=\"");
		label(out, status->checks[i].name);
		evbuffer_add_printf(out, "\"} %u\n", status->checks[i].good);
	}
}

/* The delegation of the key in use ends last. */
static uint64_t delegated_until_ms(const struct resolverd_daemon_status *status)
{
	uint64_t until_ms = 0;
	for (size_t i = 0; i < status->delegation_count; i++)
		if (status->delegations[i].not_after_ms > until_ms)
			until_ms = status->delegations[i].not_after_ms;
	return until_ms;
}

static void write_policy(struct evbuffer *out, const struct resolverd_daemon_status *status)
{
	uint64_t lapsed = 0, ends_ms = 0;
	for (size_t i = 0; i < status->override_count; i++) {
		const struct resolverd_override *one = &status->overrides[i];
		lapsed += one->lapsed;
		if (!one->lapsed && one->until_ms != 0 && (ends_ms == 0 || one->until_ms < ends_ms))
			ends_ms = one->until_ms;
	}
	for (size_t i = 0; i < status->insecure_zone_count; i++)
		if (ends_ms == 0 || status->insecure_zones[i].until_ms < ends_ms)
			ends_ms = status->insecure_zones[i].until_ms;
	PARTS(out, "overrides", "gauge", "Overrides of the configuration.", "state",
	    {"in-force", status->override_count - lapsed}, {"lapsed", lapsed});
	gauge(out, "insecure_zones", NULL,
	    "Zones that the configuration has not validated (RFC 7646).",
	    status->insecure_zone_count);
	gauge_time(out, "policy_ends_seconds",
	    "When the next override or zone declared insecure ends, Unix time.", ends_ms);
}

static void write_counters(struct evbuffer *out, const struct resolverd_daemon_status *status)
{
	counter(out, "requests", "Requests of clients.", status->requests);
	PARTS(out, "answers", "counter", "Answers served, by where they came from.", "source",
	    {"cache", status->hits}, {"lookup", status->misses});
	counter(out, "stale_answers",
	    "Answers signed again past their end, since their lookup failed (RFC 8767).",
	    status->stale_served);
	PARTS(out, "signatures", "counter", "Signatures made.", "of",
	    {"answer", status->answers_signed}, {"attestation", status->attestations_signed});
	counter(out, "attested_responses", "Responses with an attestation.", status->attested);
	counter(out, "refreshes", "Answers looked up again before anybody had to wait.",
	    status->refreshes);
	PARTS(out, "refresh_results", "counter",
	    "What refreshes brought; nothing-newer: an answer that lasts no longer.", "result",
	    {"renewed", status->refreshes_renewed}, {"nothing-newer", status->refreshes_futile},
	    {"failed", status->refreshes_failed});
	counter(out, "ran_out", "Answers that ended since nobody wanted them.", status->ran_out);
	counter(out, "evicted", "Answers dropped to make room.", status->evicted);
	PARTS(out, "refused", "counter",
	    "Refused: requests at a limit, lookups of names that keep failing, connections.",
	    "reason", {"busy", status->refused_busy}, {"failing-name", status->refused_failing},
	    {"client", status->refused_clients});
	PARTS(out, "jobs", "counter", "Lookups by workers.", "result", {"done", status->jobs_done},
	    {"run-again", status->jobs_rerun}, {"quarantined", status->jobs_quarantined});
	counter(out, "worker_restarts", "Workers that ended unplanned.", status->worker_restarts);
	counter(out, "clock_steps", "Steps of the clock seen.", status->clock_steps);
}

static void write_gauges(struct evbuffer *out, const struct resolverd_daemon_status *status)
{
	uint32_t running = status->metrics != NULL ? status->metrics->jobs_running : 0;
	PARTS(out, "jobs_open", "gauge", "Lookups asked for and not done.", "state",
	    {"running", running}, {"queued", status->jobs > running ? status->jobs - running : 0});
	PARTS(out, "workers", "gauge", "Worker processes.", "state", {"up", status->workers},
	    {"wanted", status->workers_wanted});
	gauge(out, "clients", NULL, "Connections of clients.", status->clients);
	gauge(out, "watches", NULL, "Watches of clients.", status->watches);
	gauge(out, "cache_entries", NULL, "Answers in the cache.", status->cache_entries);
	gauge(out, "cache_bytes", "bytes", "Size of the cache.", status->cache_bytes);
	gauge(out, "cache_max_bytes", "bytes", "What the cache may grow to.",
	    status->cache_max_bytes);
	gauge(out, "server_memory_bytes", "bytes", "Memory of the server process.",
	    status->memory_bytes);
	gauge(
	    out, "kept_domains", NULL, "Next hops of prefetch.domains-file.", status->kept_domains);
}

static void write_times(struct evbuffer *out, const struct resolverd_daemon_status *status)
{
	gauge_time(out, "start_time_seconds", "When the daemon started, Unix time.",
	    status->started_at_ms);
	gauge_time(out, "config_loaded_time_seconds",
	    "When its configuration was last loaded, Unix time.", status->config_loaded_at_ms);
	gauge_time(out, "trust_anchor_checked_time_seconds",
	    "When the root's keys were last checked (RFC 5011), Unix time.",
	    status->trust_anchor_checked_at_ms);
	gauge_time(out, "delegation_ends_seconds",
	    "When the delegation of the online key in use ends, Unix time.",
	    delegated_until_ms(status));
}

static void write_fleet(struct evbuffer *out, const struct resolverd_fleet *fleet)
{
	gauge(out, "fleet_connected", NULL, "Whether the fleet's store is there.",
	    fleet->connected && !fleet->left_out);
	PARTS(out, "fleet_keys", "gauge", "Keys of the key ring.", "kind",
	    {"member", fleet->member_keys}, {"root", fleet->root_keys},
	    {"revoked", fleet->revoked_keys});
	gauge_time(out, "fleet_membership_ends_seconds",
	    "When the membership of the long-term key ends, Unix time.", fleet->membership_ends_ms);
	PARTS(out, "fleet_lookups", "counter",
	    "Lookups, by what came of looking into the fleet's store.", "result",
	    {"found", fleet->found}, {"looked-up-for-all", fleet->leased},
	    {"waited-for-another", fleet->waited}, {"left-out", fleet->passed_by});
	counter(out, "fleet_shared", "Facts put into the fleet's store.", fleet->shared);
	counter(out, "fleet_refused",
	    "Values of the store that were forged, foreign, too old or malformed.", fleet->refused);
	counter(
	    out, "fleet_failed", "Requests that the store did not answer in time.", fleet->failed);
	PARTS(out, "fleet_notices", "counter", "Changes told by other members.", "result",
	    {"heeded", fleet->notices}, {"dropped", fleet->notices_dropped});
}

void metrics_write(struct evbuffer *out, const struct resolverd_daemon_status *status)
{
	gauge(out, "up", NULL, "Whether the daemon answers.", status != NULL);
	if (status != NULL) {
		family(out, "build", "info", NULL, "The daemon.");
		evbuffer_add_printf(out, PREFIX "build_info{version=\"");
		label(out, status->version);
		evbuffer_add_printf(out, "\",member=\"");
		label(out, status->member);
		evbuffer_add_printf(out, "\"} 1\n");
		gauge(out, "ready", NULL, "Whether all of its checks are good.", status->ready);
		write_checks(out, status);
		write_counters(out, status);
		write_gauges(out, status);
		write_times(out, status);
		write_policy(out, status);
		if (status->metrics != NULL)
			write_found(out, status->metrics);
		if (status->fleet != NULL)
			write_fleet(out, status->fleet);
	}
	evbuffer_add_printf(out, "# EOF\n");
}
