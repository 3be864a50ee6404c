/* SPDX-License-Identifier: BSD-3-Clause */
/* resolverctl status. */
#include <stdio.h>

#include "client/ctl/ctl.h"

/* The numbers of a status, in the order they are shown. */
/* clang-format off */
#define COUNTERS(X) \
	X(workers) X(workers_wanted) X(worker_restarts) X(clients) X(cache_entries) X(cache_bytes) \
	X(cache_max_bytes) X(hits) X(misses) X(jobs) X(jobs_done) X(jobs_rerun) X(jobs_quarantined) \
	X(answers_signed) X(requests)
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

static void print_json(const struct resolverd_daemon_status *status)
{
	json_t *object = json_pack("{s:o, s:s, s:s, s:b, s:s, s:I, s:I}", "delegations",
	    delegations_of(status), "version", status->version, "member", status->member, "ready",
	    status->ready, "not_ready_reason", status->not_ready_reason, "started_at",
	    (json_int_t)status->started_at_ms, "now", (json_int_t)status->now_ms);
#define ADD(name) json_object_set_new(object, #name, json_integer((json_int_t)status->name));
	COUNTERS(ADD)
#undef ADD
	output_json(object);
}

static void print_text(const struct ctl *ctl, const struct resolverd_daemon_status *status)
{
	printf("%sresolverd %s%s, member %s: %s%s%s%s%s\n", colour_on(ctl, PLAIN), status->version,
	    colour_off(ctl), status->member, colour_on(ctl, status->ready ? GOOD : BAD),
	    status->ready ? "ready" : "not ready", colour_off(ctl), status->ready ? "" : ": ",
	    status->ready ? "" : status->not_ready_reason);
	printf("  %-18s %s\n", "started_at", output_time(status->started_at_ms));
#define PRINT(name) printf("  %-18s %llu\n", #name, (unsigned long long)status->name);
	COUNTERS(PRINT)
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
	if (argc != 1)
		return ctl_usage(ctl, "%s takes no arguments", argv[0]);
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
	resolverd_daemon_status_free(status);
	return 0;
}
