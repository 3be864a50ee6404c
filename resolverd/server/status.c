/* SPDX-License-Identifier: BSD-3-Clause */
/* The response to a status request. Only its delegations are signed. */
#include <stdlib.h>

#include "resolverd/base/clock.h"
#include "resolverd/server/health.h"
#include "resolverd/server/policy.h"
#include "resolverd/server/session.h"

#define LISTED_MAX 256u /* overrides told; a status is for people */

struct lists { /* what the message's arrays point to */
	struct health_check health[HEALTH_CHECKS_MAX];
	Resolverd__V1__Check checks[HEALTH_CHECKS_MAX], *check_list[HEALTH_CHECKS_MAX];
	Resolverd__V1__Override overrides[LISTED_MAX], *override_list[LISTED_MAX];
	Resolverd__V1__InsecureZone zones[LISTED_MAX], *zone_list[LISTED_MAX];
	uint32_t key_tags[16];
	Resolverd__V1__Metrics metrics;
	Resolverd__V1__Histogram job_time, wait_time;
	Resolverd__V1__FleetStatus fleet;
};

static void add_checks(const struct server *server, int64_t now_ms, struct lists *lists,
    Resolverd__V1__StatusResponse *status)
{
	status->n_checks =
	    health_list(&server->health, server->config, &server->pool, now_ms, lists->health);
	status->checks = lists->check_list;
	for (size_t i = 0; i < status->n_checks; i++) {
		resolverd__v1__check__init(&lists->checks[i]);
		lists->checks[i].name = lists->health[i].name;
		lists->checks[i].good = lists->health[i].good;
		lists->checks[i].detail = lists->health[i].detail;
		lists->check_list[i] = &lists->checks[i];
	}
}

static void add_policy(const struct server *server, int64_t now_ms, struct lists *lists,
    Resolverd__V1__StatusResponse *status)
{
	const struct config *config = server->config;
	status->overrides = lists->override_list;
	for (size_t i = 0; i < config->override_count && i < LISTED_MAX; i++) {
		const struct config_override *from = &config->overrides[i];
		Resolverd__V1__Override *override = &lists->overrides[i];
		resolverd__v1__override__init(override);
		override->next_hop = from->next_hop;
		override->requirement = from->requirement;
		override->reason = from->reason;
		override->until = (uint64_t)from->until_ms;
		override->lapsed = config_override_has_lapsed(from, now_ms);
		status->overrides[status->n_overrides++] = override;
	}
	status->insecure_zones = lists->zone_list;
	for (size_t i = 0; i < config->zone_count && status->n_insecure_zones < LISTED_MAX; i++) {
		if (!config_zone_is_insecure(&config->zones[i], now_ms))
			continue;
		Resolverd__V1__InsecureZone *zone = &lists->zones[status->n_insecure_zones];
		resolverd__v1__insecure_zone__init(zone);
		zone->zone = config->zones[i].name;
		zone->until = (uint64_t)config->zones[i].insecure_until_ms;
		status->insecure_zones[status->n_insecure_zones++] = zone;
	}
}

static void add_anchor(
    const struct health *health, struct lists *lists, Resolverd__V1__StatusResponse *status)
{
	status->trust_anchor_checked_at = (uint64_t)health->anchor.checked_at_ms;
	status->trust_anchor_key_tags = lists->key_tags;
	for (uint32_t i = 0; i < health->anchor.key_tag_count && i < 16; i++)
		lists->key_tags[status->n_trust_anchor_key_tags++] = health->anchor.key_tags[i];
}

static void add_metrics(
    struct server *server, struct lists *lists, Resolverd__V1__StatusResponse *status)
{
	resolverd__v1__metrics__init(&lists->metrics);
	metrics_tell(&server->metrics, &lists->metrics, &lists->job_time, &lists->wait_time);
	lists->metrics.jobs_running = pool_jobs_running(&server->pool);
	status->metrics = &lists->metrics;
	if (server->config->fleet.redis[0] == '\0')
		return;
	fleet_tell_status(&server->fleet, &lists->fleet);
	status->fleet = &lists->fleet;
}

void status_send(struct session *session, uint64_t id)
{
	struct server *server = session->server;
	Resolverd__V1__StatusResponse status = RESOLVERD__V1__STATUS_RESPONSE__INIT;
	Resolverd__V1__Response response = RESOLVERD__V1__RESPONSE__INIT;
	int64_t now_ms = clock_wall_ms();
	signer_advance(&server->signer, now_ms); /* none that has ended is told */
	Resolverd__V1__StatusResponse *signed_part = signer_delegations(&server->signer);
	char reason[800];
	struct lists *lists = calloc(1, sizeof *lists);
	if (lists == NULL || signed_part == NULL) {
		session_send_error(
		    session, id, RESOLVERD__V1__ERROR_CODE__INTERNAL, "out of memory");
		free(lists);
		resolverd__v1__status_response__free_unpacked(signed_part, NULL);
		return;
	}
	add_checks(server, now_ms, lists, &status);
	status.ready = health_is_ready(lists->health, status.n_checks, reason, sizeof reason);
	status.not_ready_reason = reason;
	add_policy(server, now_ms, lists, &status);
	add_anchor(&server->health, lists, &status);
	if (session->is_control)
		add_metrics(server, lists, &status);
	status.clock_steps = server->health.step_count;
	status.config_loaded_at = (uint64_t)server->config_loaded_at_ms;
	status.delegations = signed_part->delegations;
	status.n_delegations = signed_part->n_delegations;
	status.version = (char *)(uintptr_t)RESOLVERD_VERSION;
	status.member = server->config->signing.member;
	status.started_at = (uint64_t)server->health.started_at_ms;
	status.now = (uint64_t)now_ms;
	status.workers = pool_workers_up(&server->pool);
	status.workers_wanted = server->pool.workers_wanted;
	status.worker_restarts = server->pool.worker_deaths;
	status.clients = server->session_count;
	status.cache_entries = server->cache.table.count;
	status.cache_bytes = server->cache.used_bytes;
	status.cache_max_bytes = server->cache.max_bytes;
	status.hits = server->hits;
	status.misses = server->misses;
	status.jobs = (uint32_t)server->flight.jobs.count;
	status.jobs_done = server->pool.done_count;
	status.jobs_rerun = server->pool.rerun_count;
	status.jobs_quarantined = server->pool.quarantined_count;
	status.answers_signed = server->signer.signed_count;
	status.requests = server->requests;
	status.attested = server->attest.attested_count;
	status.attestations_signed = server->attest.signature_count;
	status.refreshes = server->prefetch.started;
	status.refreshes_renewed = server->prefetch.renewed;
	status.refreshes_futile = server->prefetch.futile;
	status.refreshes_failed = server->prefetch.failed;
	status.ran_out = server->prefetch.ran_out;
	status.evicted = server->cache.evicted;
	status.refused_busy = server->refused_busy;
	status.refused_failing = server->failures.refused;
	status.stale_served = server->stale_served;
	status.memory_bytes = server->memory_bytes;
	status.kept_domains = server->domains.count;
	status.refused_clients = server->peers.refused_count;
	status.watches = server->watches.count;
	response.id = id;
	response.status = &status;
	session_send(session, &response);
	free(lists);
	resolverd__v1__status_response__free_unpacked(signed_part, NULL);
}
