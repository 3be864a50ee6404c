/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/anchor/probe.h"

#include <arpa/nameser.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <unbound-event.h>
#include <unbound.h>

#define TYPE_DNSKEY 48

struct probe {
	struct event_base *base;
	bool answered;
	enum probe_result result;
	char *why;
	size_t why_bytes;
};

static bool set(struct probe *probe, struct ub_ctx *ctx, const char *name, const char *value)
{
	int r = ub_ctx_set_option(ctx, name, value);
	if (r == 0)
		return true;
	probe->result = PROBE_REFUSED;
	snprintf(probe->why, probe->why_bytes, "libunbound refuses %s %s (%s)", name, value,
	    ub_strerror(r));
	return false;
}

/* The root is looked up as the workers do; what matters to other names only is left out. */
static bool set_all(struct probe *probe, struct ub_ctx *ctx, const struct config *config,
    const char *file, const char *hold_down)
{
	const struct {
		const char *name, *value;
	} fixed[] = {{"module-config:", "validator iterator"}, {"use-syslog:", "no"},
	    {"val-sig-skew-min:", "0"}, {"val-sig-skew-max:", "0"},
	    {"harden-algo-downgrade:", "no"}, {"add-holddown:", hold_down}};
	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
		if (!set(probe, ctx, fixed[i].name, fixed[i].value))
			return false;
	for (size_t i = 0; i < config->unbound_count; i++) {
		char name[64];
		snprintf(name, sizeof name, "%s:", config->unbound[i].name);
		if (!set(probe, ctx, name, config->unbound[i].value))
			return false;
	}
	if (config->resolver.forward[0] == NULL &&
	    !set(probe, ctx, "root-hints:", config->resolver.root_hints))
		return false;
	int r = ub_ctx_add_ta_autr(ctx, file);
	for (char **forward = config->resolver.forward; r == 0 && *forward != NULL; forward++)
		r = ub_ctx_set_fwd(ctx, *forward);
	if (r == 0)
		return true;
	probe->result = PROBE_REFUSED;
	snprintf(probe->why, probe->why_bytes, "libunbound refuses resolver.forward (%s)",
	    ub_strerror(r));
	return false;
}

static void on_root_keys(
    void *arg, int rcode, void *packet, int packet_bytes, int sec, char *why, int was_ratelimited)
{
	struct probe *probe = arg;
	bool has_answer = rcode == ns_r_noerror && packet != NULL && packet_bytes > 0;
	(void)was_ratelimited;
	probe->answered = true;
	probe->result = has_answer && sec == 2 ? PROBE_SECURE : PROBE_FAILED;
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
	    .base = event_base_new(), .result = PROBE_FAILED, .why = why, .why_bytes = why_bytes};
	struct ub_ctx *ctx = probe.base != NULL ? ub_ctx_create_event(probe.base) : NULL;
	snprintf(why, why_bytes, "out of memory");
	if (ctx != NULL && set_all(&probe, ctx, config, file, hold_down))
		look_up(&probe, ctx, config->resolver.deadline_ms);
	ub_ctx_delete(ctx);
	if (probe.base != NULL)
		event_base_free(probe.base);
	return probe.result;
}
