/* SPDX-License-Identifier: BSD-3-Clause */
/* resolverctl status. */
#include <stdio.h>
#include <string.h>

#include "client/ctl/ctl.h"

/* The numbers of a status, in the order they are shown. */
/* clang-format off */
#define COUNTERS(X) \
	X(workers) X(workers_wanted) X(worker_restarts) X(clients) X(cache_entries) X(cache_bytes) \
	X(cache_max_bytes) X(hits) X(misses) X(jobs) X(jobs_done) X(jobs_rerun) X(jobs_quarantined) \
	X(answers_signed) X(requests) X(refreshes) X(refreshes_renewed) X(refreshes_futile) \
	X(refreshes_failed) X(ran_out) X(evicted) X(refused_busy) X(refused_failing) X(stale_served) \
	X(memory_bytes) X(kept_domains) X(watches) X(attested) \
	X(attestations_signed) X(refused_clients)
/* clang-format on */

static json_t *delegations_of(const struct resolverd_daemon_status *status)
{
	json_t *array = json_array();
	for (size_t i = 0; i < status->delegation_count; i++) {
		const struct resolverd_delegation *one = &status->delegations[i];
		json_array_append_new(
		    array, json_pack("{s:s, s:s, s:s, s:I, s:I, s:b}", "key_id", one->key_id,
			       "signed_by", one->signed_by, "member", one->member, "not_before",
			       (json_int_t)one->not_before_ms, "not_after",
			       (json_int_t)one->not_after_ms, "trusted", one->trusted));
	}
	return array;
}

static json_t *checks_of(const struct resolverd_daemon_status *status)
{
	json_t *array = json_array();
	for (size_t i = 0; i < status->check_count; i++)
		json_array_append_new(
		    array, json_pack("{s:s, s:b, s:s}", "name", status->checks[i].name, "good",
			       status->checks[i].good, "detail", status->checks[i].detail));
	return array;
}

static json_t *overrides_of(const struct resolverd_daemon_status *status)
{
	json_t *array = json_array();
	for (size_t i = 0; i < status->override_count; i++) {
		const struct resolverd_override *one = &status->overrides[i];
		json_array_append_new(array,
		    json_pack("{s:s, s:s, s:s, s:o, s:b}", "next_hop", one->next_hop, "requirement",
			resolverd_requirement_text(one->requirement), "reason", one->reason,
			"until", output_ms(one->until_ms), "lapsed", one->lapsed));
	}
	return array;
}

static json_t *key_tags_of(const struct resolverd_daemon_status *status)
{
	json_t *array = json_array();
	for (size_t i = 0; i < status->trust_anchor_key_tag_count; i++)
		json_array_append_new(array, json_integer(status->trust_anchor_key_tags[i]));
	return array;
}

static void print_json(const struct resolverd_daemon_status *status)
{
	json_t *object = json_pack("{s:o, s:s, s:s, s:b, s:s, s:I, s:I}", "delegations",
	    delegations_of(status), "version", status->version, "member", status->member, "ready",
	    status->ready, "not_ready_reason", status->not_ready_reason, "started_at",
	    (json_int_t)status->started_at_ms, "now", (json_int_t)status->now_ms);
#define ADD(name) json_object_set_new(object, #name, json_integer((json_int_t)status->name));
	COUNTERS(ADD)
#undef ADD
	json_object_set_new(object, "checks", checks_of(status));
	json_object_set_new(object, "overrides", overrides_of(status));
	json_object_set_new(object, "insecure_zones",
	    output_zones(status->insecure_zones, status->insecure_zone_count));
	json_object_set_new(object, "trust_anchor_key_tags", key_tags_of(status));
	json_object_set_new(
	    object, "trust_anchor_checked_at", output_ms(status->trust_anchor_checked_at_ms));
	json_object_set_new(object, "clock_steps", json_integer((json_int_t)status->clock_steps));
	json_object_set_new(object, "config_loaded_at", output_ms(status->config_loaded_at_ms));
	output_json(object);
}

static void print_checks(const struct ctl *ctl, const struct resolverd_daemon_status *status)
{
	for (size_t i = 0; i < status->check_count; i++) {
		const struct resolverd_check *check = &status->checks[i];
		printf("  %s%-4s%s %-24s %s\n", colour_on(ctl, check->good ? GOOD : BAD),
		    check->good ? "good" : "BAD", colour_off(ctl), check->name, check->detail);
	}
}

static void print_trust_anchor(const struct resolverd_daemon_status *status)
{
	if (status->trust_anchor_key_tag_count == 0)
		return;
	printf("  %-18s root keys", "trust anchor");
	for (size_t i = 0; i < status->trust_anchor_key_tag_count; i++)
		printf("%s %u", i > 0 ? "," : "", status->trust_anchor_key_tags[i]);
	if (status->trust_anchor_checked_at_ms != 0)
		printf(", checked %s\n", output_when(status->trust_anchor_checked_at_ms));
	else
		printf(", never checked (RFC 5011)\n");
}

static void print_policy(const struct ctl *ctl, const struct resolverd_daemon_status *status)
{
	for (size_t i = 0; i < status->override_count; i++) {
		const struct resolverd_override *one = &status->overrides[i];
		printf("  %-18s %s: %s", "override", one->next_hop,
		    resolverd_requirement_text(one->requirement));
		if (one->lapsed)
			printf(" %sLAPSED%s", colour_on(ctl, WARN), colour_off(ctl));
		if (one->until_ms != 0)
			printf(" %s %s", one->lapsed ? "at" : "until", output_when(one->until_ms));
		printf("%s%s\n", one->reason[0] != '\0' ? ": " : "", one->reason);
	}
	output_zones_text(ctl, status->insecure_zones, status->insecure_zone_count);
}

static void print_text(const struct ctl *ctl, const struct resolverd_daemon_status *status)
{
	printf("%sresolverd %s%s, member %s: %s%s%s%s%s\n", colour_on(ctl, PLAIN), status->version,
	    colour_off(ctl), status->member, colour_on(ctl, status->ready ? GOOD : BAD),
	    status->ready ? "ready" : "not ready", colour_off(ctl), status->ready ? "" : ": ",
	    status->ready ? "" : status->not_ready_reason);
	print_checks(ctl, status);
	print_trust_anchor(status);
	print_policy(ctl, status);
	printf("  %-18s %s\n", "started_at", output_when(status->started_at_ms));
	if (status->config_loaded_at_ms != 0)
		printf(
		    "  %-18s %s\n", "config_loaded_at", output_when(status->config_loaded_at_ms));
#define PRINT(name) printf("  %-18s %llu\n", #name, (unsigned long long)status->name);
	COUNTERS(PRINT)
	PRINT(clock_steps)
#undef PRINT
	for (size_t i = 0; i < status->delegation_count; i++) {
		const struct resolverd_delegation *one = &status->delegations[i];
		printf("  %-18s %s by %s, %s to %s%s\n", "delegation", one->key_id, one->signed_by,
		    output_time(one->not_before_ms), output_time(one->not_after_ms),
		    one->trusted ? "" : ", NOT TRUSTED");
	}
}

int status_command(struct ctl *ctl, int argc, char **argv)
{
	bool must_be_ready = argc == 2 && strcmp(argv[1], "--ready") == 0;
	if (argc != 1 && !must_be_ready)
		return ctl_usage(ctl, "%s takes --ready and nothing else", argv[0]);
	int r = ctl_open(ctl);
	if (r != 0)
		return r;
	struct resolverd_daemon_status *status;
	r = resolverd_status(ctl->client, ctl->timeout_ms, &status);
	if (r != 0)
		return ctl_fail(ctl, r);
	if (ctl->json)
		print_json(status);
	else
		print_text(ctl, status);
	r = must_be_ready && !status->ready ? EXIT_NOT_NOW : 0;
	resolverd_daemon_status_free(status);
	return r;
}
