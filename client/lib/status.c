/* SPDX-License-Identifier: BSD-3-Clause */
/* What the daemon says about itself. */
#include <string.h>

#include "client/lib/text.h"
#include "client/lib/view.h"

static void view_delegation(const struct verifier *verifier, const struct trusted_keys *trusted,
    const Resolverd__V1__SignedDelegation *from, struct resolverd_delegation *delegation)
{
	struct online_key key;
	delegation->trusted = delegation_check(trusted, from, verifier->now_ms, &key) == NULL;
	const char *member = memory_string(verifier->arena, key.member);
	delegation->member = member != NULL ? text_clean(verifier->arena, member) : "";
	delegation->not_before_ms = key.not_before_ms;
	delegation->not_after_ms = key.not_after_ms;
	char *id = memory_alloc(verifier->arena, KEY_ID_HEX_CHARS, 1);
	char *signed_by = memory_alloc(verifier->arena, KEY_ID_HEX_CHARS, 1);
	if (id == NULL || signed_by == NULL)
		return;
	sodium_bin2hex(id, KEY_ID_HEX_CHARS, key.id, KEY_ID_BYTES);
	if (from->key_id.len == KEY_ID_BYTES)
		sodium_bin2hex(signed_by, KEY_ID_HEX_CHARS, from->key_id.data, KEY_ID_BYTES);
	delegation->key_id = id;
	delegation->signed_by = signed_by;
}

static void view_checks(struct resolverd_memory *arena, const Resolverd__V1__StatusResponse *from,
    struct resolverd_daemon_status *status)
{
	struct resolverd_check *checks = memory_alloc(arena, from->n_checks, sizeof *checks);
	for (size_t i = 0; checks != NULL && i < from->n_checks; i++)
		checks[i] = (struct resolverd_check){text_clean(arena, from->checks[i]->name),
		    from->checks[i]->good, text_clean(arena, from->checks[i]->detail)};
	status->checks = checks;
	status->check_count = from->n_checks;
}

static void view_overrides(struct resolverd_memory *arena,
    const Resolverd__V1__StatusResponse *from, struct resolverd_daemon_status *status)
{
	struct resolverd_override *overrides =
	    memory_alloc(arena, from->n_overrides, sizeof *overrides);
	for (size_t i = 0; overrides != NULL && i < from->n_overrides; i++) {
		const Resolverd__V1__Override *one = from->overrides[i];
		overrides[i] =
		    (struct resolverd_override){.next_hop = text_clean(arena, one->next_hop),
			.requirement = requirement_of(one->requirement),
			.reason = text_clean(arena, one->reason),
			.until_ms = one->until,
			.lapsed = one->lapsed};
	}
	status->overrides = overrides;
	status->override_count = from->n_overrides;
}

static void view_counts(const uint64_t *from, size_t from_count, uint64_t *counts, size_t count)
{
	for (size_t i = 0; i < from_count; i++)
		counts[i < count ? i : 0] += from[i];
}

static void view_histogram(struct resolverd_memory *arena, const Resolverd__V1__Histogram *from,
    struct resolverd_histogram *histogram)
{
	static const uint64_t none[1]; /* of what took longer than no bound */
	*histogram = (struct resolverd_histogram){.counts = none};
	if (from == NULL || from->n_bounds_ms == 0 || from->n_counts != from->n_bounds_ms + 1)
		return;
	uint32_t *bounds_ms = memory_alloc(arena, from->n_bounds_ms, sizeof *bounds_ms);
	uint64_t *counts = memory_alloc(arena, from->n_counts, sizeof *counts);
	if (bounds_ms == NULL || counts == NULL)
		return;
	memcpy(bounds_ms, from->bounds_ms, from->n_bounds_ms * sizeof *bounds_ms);
	memcpy(counts, from->counts, from->n_counts * sizeof *counts);
	*histogram =
	    (struct resolverd_histogram){bounds_ms, counts, from->n_bounds_ms, from->sum_ms};
}

#define COUNTS(from, name, to)                                                                     \
	view_counts(                                                                               \
	    (from)->name, (from)->n_##name, (to)->name, sizeof(to)->name / sizeof *(to)->name)

static const struct resolverd_metrics *view_metrics(
    struct resolverd_memory *arena, const Resolverd__V1__Metrics *from)
{
	struct resolverd_metrics *metrics =
	    from != NULL ? memory_alloc(arena, 1, sizeof *metrics) : NULL;
	if (metrics == NULL)
		return NULL;
	COUNTS(from, hosts_by_policy, metrics);
	COUNTS(from, hosts_by_tlsa, metrics);
	COUNTS(from, routes_by_status, metrics);
	COUNTS(from, records_by_status, metrics);
	view_histogram(arena, from->job_time, &metrics->job_time);
	view_histogram(arena, from->wait_time, &metrics->wait_time);
	metrics->jobs_running = from->jobs_running;
	return metrics;
}

static const struct resolverd_fleet *view_fleet(
    struct resolverd_memory *arena, const Resolverd__V1__FleetStatus *from)
{
	struct resolverd_fleet *fleet = from != NULL ? memory_alloc(arena, 1, sizeof *fleet) : NULL;
	if (fleet == NULL)
		return NULL;
	*fleet = (struct resolverd_fleet){.connected = from->connected,
	    .left_out = from->left_out,
	    .detail = text_clean(arena, from->detail),
	    .member_keys = from->member_keys,
	    .root_keys = from->root_keys,
	    .revoked_keys = from->revoked_keys,
	    .membership_ends_ms = from->membership_ends_at,
	    .asked = from->asked,
	    .found = from->found,
	    .refused = from->refused,
	    .refused_why = text_clean(arena, from->refused_why),
	    .leased = from->leased,
	    .waited = from->waited,
	    .shared = from->shared,
	    .failed = from->failed,
	    .passed_by = from->passed_by,
	    .notices = from->notices,
	    .notices_dropped = from->notices_dropped};
	return fleet;
}

int view_status(const struct verifier *verifier, const struct trusted_keys *trusted,
    const Resolverd__V1__StatusResponse *from, struct resolverd_daemon_status **ret_status)
{
	struct resolverd_memory *arena = verifier->arena;
	struct resolverd_daemon_status *status = memory_alloc(arena, 1, sizeof *status);
	struct resolverd_delegation *delegations =
	    memory_alloc(arena, from->n_delegations, sizeof *delegations);
	if (status == NULL || delegations == NULL)
		return RESOLVERD_ERROR_MEMORY;
	for (size_t i = 0; i < from->n_delegations; i++)
		view_delegation(verifier, trusted, from->delegations[i], &delegations[i]);
	*status = (struct resolverd_daemon_status){.delegations = delegations,
	    .delegation_count = from->n_delegations,
	    .version = text_clean(arena, from->version),
	    .member = text_clean(arena, from->member),
	    .ready = from->ready,
	    .not_ready_reason = text_clean(arena, from->not_ready_reason),
	    .started_at_ms = from->started_at,
	    .now_ms = from->now,
	    .workers = from->workers,
	    .workers_wanted = from->workers_wanted,
	    .worker_restarts = from->worker_restarts,
	    .clients = from->clients,
	    .cache_entries = from->cache_entries,
	    .cache_bytes = from->cache_bytes,
	    .cache_max_bytes = from->cache_max_bytes,
	    .hits = from->hits,
	    .misses = from->misses,
	    .jobs = from->jobs,
	    .jobs_done = from->jobs_done,
	    .jobs_rerun = from->jobs_rerun,
	    .jobs_quarantined = from->jobs_quarantined,
	    .answers_signed = from->answers_signed,
	    .requests = from->requests,
	    .trust_anchor_key_tags = from->trust_anchor_key_tags,
	    .trust_anchor_key_tag_count = from->n_trust_anchor_key_tags,
	    .trust_anchor_checked_at_ms = from->trust_anchor_checked_at,
	    .clock_steps = from->clock_steps,
	    .config_loaded_at_ms = from->config_loaded_at,
	    .refreshes = from->refreshes,
	    .refreshes_renewed = from->refreshes_renewed,
	    .refreshes_futile = from->refreshes_futile,
	    .refreshes_failed = from->refreshes_failed,
	    .ran_out = from->ran_out,
	    .evicted = from->evicted,
	    .refused_busy = from->refused_busy,
	    .refused_failing = from->refused_failing,
	    .stale_served = from->stale_served,
	    .memory_bytes = from->memory_bytes,
	    .kept_domains = from->kept_domains,
	    .watches = from->watches,
	    .attested = from->attested,
	    .attestations_signed = from->attestations_signed,
	    .refused_clients = from->refused_clients,
	    .metrics = view_metrics(arena, from->metrics),
	    .fleet = view_fleet(arena, from->fleet),
	    .memory = arena};
	view_checks(arena, from, status);
	view_overrides(arena, from, status);
	view_zones(arena, from->insecure_zones, from->n_insecure_zones, &status->insecure_zones,
	    &status->insecure_zone_count);
	*ret_status = status;
	return memory_failed(arena) ? RESOLVERD_ERROR_MEMORY : 0;
}
