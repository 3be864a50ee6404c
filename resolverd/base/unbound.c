/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/base/unbound.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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
    /* The absence of a name must not hide a zone below it that the operator gave servers for
     * (CVE-2026-44687). */
    {"harden-below-nxdomain:", "no"},
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

int unbound_set(
    struct ub_ctx *ctx, const char *name, const char *value, char *error, size_t error_bytes)
{
	int r = ub_ctx_set_option(ctx, name, value);
	if (r == 0)
		return 0;
	snprintf(error, error_bytes, "libunbound refuses %s %s (%s)", name, value, ub_strerror(r));
	return -EINVAL;
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
	return unbound_set(
	    ctx, "do-not-query-localhost:", wanted ? "no" : "yes", error, error_bytes);
}

int unbound_apply(struct ub_ctx *ctx, const struct config *config, char *error, size_t error_bytes)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof fixed_options / sizeof *fixed_options; i++)
		r = unbound_set(
		    ctx, fixed_options[i].name, fixed_options[i].value, error, error_bytes);
	if (r == 0)
		r = guard_loopback(ctx, config, error, error_bytes);
	for (size_t i = 0; r == 0 && i < config->unbound_count; i++) {
		char name[64];
		snprintf(name, sizeof name, "%s:", config->unbound[i].name);
		r = unbound_set(ctx, name, config->unbound[i].value, error, error_bytes);
	}
	return r;
}
