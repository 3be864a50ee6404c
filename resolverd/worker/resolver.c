/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/worker/resolver.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "resolverd/base/anchor.h"
#include "resolverd/base/unbound.h"
#include "resolverd/worker/zones.h"

/* Of a worker's part of max-memory. What libunbound counts of its caches is some 15 % less than
 * what they take, and hosts it has met and waiting jobs want room, too. */
#define CACHES_SHARE(bytes) ((bytes) / 16 * 9)
#define LOOKUPS_SHARE(bytes) ((bytes) / 5)
#define JOB_BYTES 14000u /* of libunbound and ours, while it is in flight */
#define JOBS_MIN 64u
#define JOBS_MAX 1536u /* two lookups each fit libunbound's num-queries-per-thread */

/* Half of max-memory is for the workers. */
static uint64_t share_bytes(const struct config *config)
{
	return config->cache.max_memory_bytes / 2 / config->resolver.workers;
}

uint32_t resolver_jobs_max(const struct config *config)
{
	uint64_t count = LOOKUPS_SHARE(share_bytes(config)) / JOB_BYTES;
	return count < JOBS_MIN ? JOBS_MIN : count > JOBS_MAX ? JOBS_MAX : (uint32_t)count;
}

/* Half of the caches is for RRsets. */
static int set_caches(
    struct ub_ctx *ctx, const struct config *config, char *error, size_t error_bytes)
{
	uint64_t bytes = CACHES_SHARE(share_bytes(config));
	const struct {
		const char *name;
		uint64_t bytes;
	} caches[] = {{"rrset-cache-size:", bytes / 2}, {"msg-cache-size:", bytes / 4},
	    {"key-cache-size:", bytes / 8}, {"neg-cache-size:", bytes / 8}};
	char value[32];
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof caches / sizeof *caches; i++) {
		snprintf(value, sizeof value, "%llu", (unsigned long long)caches[i].bytes);
		r = unbound_set(ctx, caches[i].name, value, error, error_bytes);
	}
	if (r == 0) {
		snprintf(value, sizeof value, "%lld",
		    (long long)((config->cache.max_ttl_ms + 999) / 1000));
		r = unbound_set(ctx, "cache-max-ttl:", value, error, error_bytes);
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
		return unbound_set(ctx, "root-hints:", hints, error, error_bytes);
	for (char **forward = config->resolver.forward; r == 0 && *forward != NULL; forward++)
		r = ub_ctx_set_fwd(ctx, *forward);
	if (r != 0)
		snprintf(error, error_bytes,
		    "libunbound refuses the trust anchor or a forward address: %s", ub_strerror(r));
	return r == 0 ? 0 : -EINVAL;
}

int resolver_new(struct event_base *base, const struct config *config, int64_t now_ms, char *error,
    size_t error_bytes, struct ub_ctx **ret_ctx)
{
	struct ub_ctx *ctx = ub_ctx_create_event(base);
	if (ctx == NULL) {
		snprintf(error, error_bytes, "out of memory");
		return -ENOMEM;
	}
	int r = set_caches(ctx, config, error, error_bytes);
	if (r == 0)
		r = unbound_apply(ctx, config, error, error_bytes);
	if (r == 0)
		r = add_files(ctx, config, error, error_bytes);
	if (r == 0)
		r = zones_apply(ctx, config, now_ms, error, error_bytes);
	if (r != 0) {
		ub_ctx_delete(ctx);
		return r;
	}
	*ret_ctx = ctx;
	return 0;
}

Resolverd__V1__Status resolver_status_of(int sec)
{
	return sec == 2   ? RESOLVERD__V1__STATUS__SECURE
	       : sec == 1 ? RESOLVERD__V1__STATUS__BOGUS
			  : RESOLVERD__V1__STATUS__INSECURE;
}

Resolverd__V1__Status resolver_status(int rcode, const uint8_t *packet, int packet_bytes, int sec)
{
	bool answered = rcode == ns_r_noerror && packet != NULL && packet_bytes >= NS_HFIXEDSZ &&
			((packet[3] & 15) == ns_r_noerror || (packet[3] & 15) == ns_r_nxdomain);
	return answered || sec == 1 ? resolver_status_of(sec) : RESOLVERD__V1__STATUS__ERROR;
}
