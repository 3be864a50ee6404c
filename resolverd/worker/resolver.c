/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/worker/resolver.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "resolverd/base/anchor.h"
#include "resolverd/worker/zones.h"

struct option {
	const char *name, *value;
};

/* docs/RESOLVER.md says what each does in the world, measured. Tests read this table to run the
 * real unbound with it, so a row is {"name:", "value"} and both are literals. */
static const struct option fixed_options[] = {
    /* What holds for validation. */
    {"module-config:", "validator iterator"},
    {"val-sig-skew-min:", "0"}, /* signatures hold in their time; the library allows a day more */
    {"val-sig-skew-max:", "0"},
    {"val-nsec3-keysize-iterations:", "1024 150 2048 150 4096 150"}, /* beyond: insecure */
    {"harden-dnssec-stripped:", "yes"},
    {"harden-algo-downgrade:", "no"}, /* RFC 6840 section 5.11: one good algorithm is enough */
    {"harden-glue:", "yes"},
    {"harden-below-nxdomain:", "yes"},
    {"harden-referral-path:", "no"},
    /* Synthesised wildcards all hash alike (1.17.1): each costs more than the one before. And what
     * was denied to others must not hide a name that was never asked for. */
    {"aggressive-nsec:", "no"},
    {"root-key-sentinel:", "no"},       /* it makes failures of names that are fine */
    {"minimal-responses:", "no"},       /* the proof of a wildcard is in the authority section */
    {"unwanted-reply-threshold:", "0"}, /* the library aborts when it is reached (CVE-2026-44621) */

    /* What others learn. */
    {"qname-minimisation:", "yes"},
    {"qname-minimisation-strict:", "no"},
    {"use-caps-for-id:", "no"},
    {"target-fetch-policy:", "0 0 0 0 0"}, /* no address of a name server before it is needed */
    {"trust-anchor-signaling:", "yes"},    /* the root learns which keys it may retire (RFC 8145) */
    {"do-not-query-address:", "0.0.0.0/8"}, /* the kernel takes these to this very host */
    {"do-not-query-address:", "::"},
    {"do-not-query-address:", "::ffff:0.0.0.0/96"},

    /* How long what was found counts. */
    {"cache-min-ttl:", "0"},
    {"serve-expired:", "no"},
    {"serve-original-ttl:", "no"},
    {"val-bogus-ttl:", "1"},        /* failures live in the server's cache, for failure-ttl */
    {"infra-keep-probing:", "yes"}, /* else silent servers may stay unasked for 15 minutes */
    {"infra-cache-max-rtt:", "20000"},

    /* How much at a time: with the library's 16 ports 200 dead names delay a live one by seconds.
     */
    {"outgoing-range:", "4096"},
    {"num-queries-per-thread:", "4096"},
    {"outgoing-num-tcp:", "256"},
    {"edns-buffer-size:", "1232"},
    {"use-syslog:", "no"},
};

static int set(
    struct ub_ctx *ctx, const char *name, const char *value, char *error, size_t error_bytes)
{
	int r = ub_ctx_set_option(ctx, name, value);
	if (r == 0)
		return 0;
	snprintf(error, error_bytes, "libunbound refuses %s %s (%s)", name, value, ub_strerror(r));
	return -EINVAL;
}

/* Half of max-memory goes to the workers, of that two parts in three to RRsets. */
static int set_caches(
    struct ub_ctx *ctx, const struct config *config, char *error, size_t error_bytes)
{
	uint64_t share = config->cache.max_memory_bytes / 2 / config->resolver.workers;
	const struct {
		const char *name;
		uint64_t bytes;
	} caches[] = {{"rrset-cache-size:", share / 2}, {"msg-cache-size:", share / 4},
	    {"key-cache-size:", share / 8}, {"neg-cache-size:", share / 8}};
	char value[32];
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof caches / sizeof *caches; i++) {
		snprintf(value, sizeof value, "%llu", (unsigned long long)caches[i].bytes);
		r = set(ctx, caches[i].name, value, error, error_bytes);
	}
	if (r == 0) {
		snprintf(value, sizeof value, "%lld",
		    (long long)((config->cache.max_ttl_ms + 999) / 1000));
		r = set(ctx, "cache-max-ttl:", value, error, error_bytes);
	}
	return r;
}

static int add_files(
    struct ub_ctx *ctx, const struct config *config, char *error, size_t error_bytes)
{
	char tracked[PATH_MAX];
	const char *anchors = config->resolver.trust_anchor_file,
		   *hints = config->resolver.root_hints;
	/* What RFC 5011 made of it, where that is known. */
	int n =
	    snprintf(tracked, sizeof tracked, "%s/" ANCHOR_FILE, config->server.state_directory);
	if (n > 0 && (size_t)n < sizeof tracked && access(tracked, R_OK) == 0)
		anchors = tracked;
	bool forwards = config->resolver.forward[0] != NULL;
	if (access(anchors, R_OK) != 0) {
		snprintf(error, error_bytes,
		    "cannot read the trust anchor %s: %s; install dns-root-data or set "
		    "resolver.trust-anchor-file",
		    anchors, strerror(errno));
		return -ENOENT;
	}
	if (!forwards && access(hints, R_OK) != 0) {
		snprintf(error, error_bytes,
		    "cannot read the root hints %s: %s; install dns-root-data or set "
		    "resolver.root-hints",
		    hints, strerror(errno));
		return -ENOENT;
	}
	int r = ub_ctx_add_ta_file(ctx, anchors);
	if (r == 0 && !forwards)
		return set(ctx, "root-hints:", hints, error, error_bytes);
	for (char **forward = config->resolver.forward; r == 0 && *forward != NULL; forward++)
		r = ub_ctx_set_fwd(ctx, *forward);
	if (r != 0)
		snprintf(error, error_bytes,
		    "libunbound refuses the trust anchor or a forward address: %s", ub_strerror(r));
	return r == 0 ? 0 : -EINVAL;
}

static bool names_loopback(char **servers)
{
	for (; *servers != NULL; servers++)
		if (strncmp(*servers, "127.", 4) == 0 || strncmp(*servers, "::1", 3) == 0)
			return true;
	return false;
}

/* The library would ask this host's own services if a delegation says so. Only the operator may. */
static int guard_loopback(
    struct ub_ctx *ctx, const struct config *config, char *error, size_t error_bytes)
{
	bool wanted = names_loopback(config->resolver.forward);
	for (size_t i = 0; i < config->zone_count; i++)
		wanted |= names_loopback(config->zones[i].forward) ||
			  names_loopback(config->zones[i].stub);
	return set(ctx, "do-not-query-localhost:", wanted ? "no" : "yes", error, error_bytes);
}

int resolver_new(struct event_base *base, const struct config *config, int64_t now_ms, char *error,
    size_t error_bytes, struct ub_ctx **ret_ctx)
{
	struct ub_ctx *ctx = ub_ctx_create_event(base);
	if (ctx == NULL) {
		snprintf(error, error_bytes, "out of memory");
		return -ENOMEM;
	}
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof fixed_options / sizeof *fixed_options; i++)
		r = set(ctx, fixed_options[i].name, fixed_options[i].value, error, error_bytes);
	if (r == 0)
		r = set_caches(ctx, config, error, error_bytes);
	if (r == 0)
		r = guard_loopback(ctx, config, error, error_bytes);
	if (r == 0)
		r = add_files(ctx, config, error, error_bytes);
	if (r == 0)
		r = zones_apply(ctx, config, now_ms, error, error_bytes);
	for (size_t i = 0; r == 0 && i < config->unbound_count; i++) {
		char name[64];
		snprintf(name, sizeof name, "%s:", config->unbound[i].name);
		r = set(ctx, name, config->unbound[i].value, error, error_bytes);
	}
	if (r != 0) {
		ub_ctx_delete(ctx);
		return r;
	}
	*ret_ctx = ctx;
	return 0;
}
