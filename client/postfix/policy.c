/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/postfix/policy.h"

#include <string.h>

/* Words of proto/reasons.c. */
#define NO_ADDRESS "no-address"
#define INSECURE_MX_REFUSED "insecure-mx-refused"
#define INSECURE_MX_IGNORED "insecure-mx-ignored"

/* What there is among the hosts of a plan. */
struct hosts {
	bool dane, no_auth, opportunistic;
	bool unreachable; /* though it may have an address, so that Postfix may try it */
	bool refused;     /* for an insecure MX */
	bool ignored;     /* opportunistic for an insecure MX, whatever its TLSA records */
};

static bool has_reason(const struct resolverd_host *host, const char *word)
{
	return strcmp(host->reason, word) == 0;
}

static struct hosts look_at(const struct resolverd_plan *plan)
{
	struct hosts hosts = {.dane = false};
	for (size_t i = 0; i < plan->host_count; i++) {
		const struct resolverd_host *host = &plan->hosts[i];
		switch (host->policy) {
		case RESOLVERD_DANE:
			hosts.dane = true;
			break;
		case RESOLVERD_TLS_NO_AUTH:
			hosts.no_auth = true;
			break;
		case RESOLVERD_OPPORTUNISTIC:
			hosts.opportunistic = true;
			hosts.ignored |= has_reason(host, INSECURE_MX_IGNORED);
			break;
		default:
			hosts.unreachable |= !has_reason(host, NO_ADDRESS);
			hosts.refused |= has_reason(host, INSECURE_MX_REFUSED);
			break;
		}
	}
	return hosts;
}

static struct postfix_policy level_of_hosts(const struct hosts *hosts, bool mx_secure)
{
	bool only_dane = hosts->dane && !hosts->no_auth && !hosts->opportunistic;
	if (only_dane && mx_secure)
		return (struct postfix_policy){
		    .level = POSTFIX_DANE_ONLY, .needs_validation = true};
	if (hosts->unreachable || hosts->dane || (hosts->no_auth && hosts->opportunistic))
		return (struct postfix_policy){.level = POSTFIX_DANE, .needs_validation = true};
	if (hosts->no_auth)
		return (struct postfix_policy){.level = POSTFIX_ENCRYPT};
	return (struct postfix_policy){.level = hosts->ignored ? POSTFIX_MAY : POSTFIX_NOTHING};
}

struct postfix_policy postfix_policy_of(const struct resolverd_plan *plan)
{
	if (plan->outcome != RESOLVERD_DELIVER)
		return (struct postfix_policy){.level = POSTFIX_DELAY, .reason = plan->reason};
	struct hosts hosts = look_at(plan);
	bool mx_secure = !plan->has_mx || plan->mx_status == RESOLVERD_SECURE;
	switch (plan->requirement) {
	case RESOLVERD_NORMAL:
		break;
	case RESOLVERD_OFF:
	case RESOLVERD_AUDIT:
		return (struct postfix_policy){
		    .level = POSTFIX_MAY, .needs_validation = hosts.unreachable};
	default: /* mandatory, and what this version does not know */
		return (struct postfix_policy){
		    .level = POSTFIX_DANE_ONLY, .needs_validation = true};
	}
	if (hosts.refused)
		return (struct postfix_policy){.level = POSTFIX_DELAY,
		    .reason = "a host behind an insecure MX is refused (insecure-mx-policy), and "
			      "Postfix can't be told so of one host"};
	return level_of_hosts(&hosts, mx_secure);
}

const char *postfix_level_text(enum postfix_level level)
{
	static const char *const words[] = {[POSTFIX_DANE_ONLY] = "dane-only",
	    [POSTFIX_DANE] = "dane",
	    [POSTFIX_ENCRYPT] = "encrypt",
	    [POSTFIX_MAY] = "may",
	    [POSTFIX_NOTHING] = NULL};
	return level > 0 && (size_t)level < sizeof words / sizeof *words ? words[level] : NULL;
}
