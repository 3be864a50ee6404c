/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/anchor/probe.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <unbound-event.h>
#include <unbound.h>

#include "proto/rrtype.h"
#include "resolverd/base/unbound.h"

struct probe {
	struct event_base *base;
	bool answered;
	enum probe_result result;
	char *why;
	size_t why_bytes;
};

static int set_all(struct ub_ctx *ctx, const struct config *config, const char *file,
    const char *hold_down, char *error, size_t error_bytes)
{
	int r = unbound_apply(ctx, config, error, error_bytes);
	if (r == 0)
		r = unbound_set(ctx, "add-holddown:", hold_down, error, error_bytes);
	if (r == 0 && config->resolver.forward[0] == NULL)
		r = unbound_set(
		    ctx, "root-hints:", config->resolver.root_hints, error, error_bytes);
	if (r != 0)
		return r;
	r = ub_ctx_add_ta_autr(ctx, file);
	for (char **forward = config->resolver.forward; r == 0 && *forward != NULL; forward++)
		r = ub_ctx_set_fwd(ctx, *forward);
	if (r != 0)
		snprintf(
		    error, error_bytes, "libunbound refuses resolver.forward (%s)", ub_strerror(r));
	return r == 0 ? 0 : -EINVAL;
}

static void on_root_keys(
    void *arg, int rcode, void *packet, int packet_bytes, int sec, char *why, int was_ratelimited)
{
	struct probe *probe = arg;
	bool has_answer = rcode == ns_r_noerror && packet != NULL && packet_bytes > 0;
	(void)was_ratelimited;
	probe->answered = true;
	probe->result = has_answer && sec == 2   ? PROBE_SECURE
			: has_answer || sec == 1 ? PROBE_FAILED
						 : PROBE_SILENT;
	snprintf(probe->why, probe->why_bytes, "%s",
	    why != NULL  ? why
	    : has_answer ? "there is no usable key to check them by"
			 : "no root server could be reached");
	event_base_loopbreak(probe->base);
}

static void look_up(struct probe *probe, struct ub_ctx *ctx, uint32_t deadline_ms)
{
	int r = ub_resolve_event(ctx, ".", TYPE_DNSKEY, ns_c_in, probe, on_root_keys, NULL);
	if (r != 0) {
		probe->result = PROBE_REFUSED;
		snprintf(probe->why, probe->why_bytes, "libunbound does not start with it (%s)",
		    ub_strerror(r));
		return;
	}
	if (!probe->answered) {
		const struct timeval deadline = {
		    .tv_sec = deadline_ms / 1000, .tv_usec = deadline_ms % 1000 * 1000};
		event_base_loopexit(probe->base, &deadline);
		event_base_dispatch(probe->base);
	}
	if (!probe->answered)
		snprintf(probe->why, probe->why_bytes, "no answer from the root within %u ms",
		    deadline_ms);
}

enum probe_result probe_root(const struct config *config, const char *file, const char *hold_down,
    char *why, size_t why_bytes)
{
	struct probe probe = {
	    .base = event_base_new(), .result = PROBE_SILENT, .why = why, .why_bytes = why_bytes};
	struct ub_ctx *ctx = probe.base != NULL ? ub_ctx_create_event(probe.base) : NULL;
	snprintf(why, why_bytes, "out of memory");
	if (ctx != NULL && set_all(ctx, config, file, hold_down, why, why_bytes) != 0)
		probe.result = PROBE_REFUSED;
	else if (ctx != NULL)
		look_up(&probe, ctx, config->resolver.deadline_ms);
	ub_ctx_delete(ctx);
	if (probe.base != NULL)
		event_base_free(probe.base);
	return probe.result;
}
