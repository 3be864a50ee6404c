/* SPDX-License-Identifier: BSD-3-Clause */
#include "proto/combine.h"

#define V1(name) RESOLVERD__V1__##name

static struct combined_host unreachable(Resolverd__V1__HostReason reason)
{
	return (struct combined_host){.policy = V1(POLICY__UNREACHABLE), .reason = reason};
}

static bool is_tlsa_reason(int reason)
{
	return reason == V1(HOST_REASON__TLSA_FAILED) || reason == V1(HOST_REASON__TLSA_TOO_MANY);
}

/* The rows of requirement normal. Secure TLSA is what gives DANE and TLS_NO_AUTH, so those are the
 * policies that the insecure-MX policy concerns (RFC 7672 section 2.2.1). */
static struct combined_host combine_normal(
    int mx_status, int insecure_mx_policy, int policy, int reason)
{
	bool mx_secure = mx_status == V1(STATUS__SECURE);
	if (!mx_secure && mx_status != V1(STATUS__INSECURE))
		return unreachable(V1(HOST_REASON__ADDRESS_FAILED));
	struct combined_host host = {
	    .policy = (Resolverd__V1__Policy)policy, .reason = (Resolverd__V1__HostReason)reason};
	switch (policy) {
	case V1(POLICY__OPPORTUNISTIC):
		return host;
	case V1(POLICY__DANE):
	case V1(POLICY__TLS_NO_AUTH):
		if (!mx_secure &&
		    insecure_mx_policy == V1(INSECURE_MX_POLICY__INSECURE_MX_OPPORTUNISTIC)) {
			host.policy = V1(POLICY__OPPORTUNISTIC);
			host.reason = V1(HOST_REASON__INSECURE_MX_IGNORED);
			return host;
		}
		if (!mx_secure && insecure_mx_policy != V1(INSECURE_MX_POLICY__INSECURE_MX_DANE))
			return unreachable(V1(HOST_REASON__INSECURE_MX_REFUSED));
		if (policy == V1(POLICY__DANE))
			host.names = mx_secure ? NAMES_BASE_AND_NEXT_HOP : NAMES_BASE;
		return host;
	case V1(POLICY__UNREACHABLE):
		return unreachable((Resolverd__V1__HostReason)reason);
	default: /* unknown: its reason is not to be relied on either, it might loosen what follows
		  */
		return unreachable(V1(HOST_REASON__HOST_REASON_UNSPECIFIED));
	}
}

struct combined_host combine_host(
    int mx_status, int requirement, int insecure_mx_policy, int policy, int reason)
{
	struct combined_host host = combine_normal(mx_status, insecure_mx_policy, policy, reason);
	bool mx_usable = mx_status == V1(STATUS__SECURE) || mx_status == V1(STATUS__INSECURE);
	/* Unreachable by the TLSA step or by policy alone: the addresses themselves are good. */
	bool address_good =
	    mx_usable && (host.policy != V1(POLICY__UNREACHABLE) || policy == V1(POLICY__DANE) ||
			     policy == V1(POLICY__TLS_NO_AUTH) ||
			     (policy == V1(POLICY__UNREACHABLE) && is_tlsa_reason(reason)));
	switch (requirement) {
	case V1(REQUIREMENT__NORMAL):
		return host;
	case V1(REQUIREMENT__AUDIT):
		if (host.policy == V1(POLICY__UNREACHABLE) && address_good)
			return (struct combined_host){.policy = V1(POLICY__OPPORTUNISTIC),
			    .reason = V1(HOST_REASON__AUDIT_ONLY),
			    .would_refuse = true};
		return host;
	case V1(REQUIREMENT__OFF):
		if (!address_good || host.policy == V1(POLICY__OPPORTUNISTIC))
			return host;
		return (struct combined_host){.policy = V1(POLICY__OPPORTUNISTIC),
		    .reason = V1(HOST_REASON__REQUIREMENT_OFF)};
	default: /* mandatory, and whatever this version does not know */
		if (host.policy == V1(POLICY__UNREACHABLE))
			return host;
		if (host.policy != V1(POLICY__DANE) || mx_status != V1(STATUS__SECURE))
			return unreachable(V1(HOST_REASON__MANDATORY_NOT_DANE));
		return host;
	}
}

enum outcome combine_route(int kind, int mx_status)
{
	if (mx_status != V1(STATUS__SECURE) && mx_status != V1(STATUS__INSECURE))
		return OUTCOME_DELAY;
	switch (kind) {
	case V1(ROUTE_KIND__NULL_MX):
		return OUTCOME_NO_MAIL;
	case V1(ROUTE_KIND__NO_SUCH_DOMAIN):
		return OUTCOME_NO_SUCH_DOMAIN;
	case V1(ROUTE_KIND__MX):
	case V1(ROUTE_KIND__IMPLICIT_MX):
	case V1(ROUTE_KIND__NO_MX_STEP):
		return (enum outcome)0;
	default:
		return OUTCOME_DELAY;
	}
}

struct combined_plan combine_plan(int requirement, const struct combined_host *hosts, size_t count)
{
	bool any = false, any_unless_audit = false, all_without_address = count > 0;
	for (size_t i = 0; i < count; i++) {
		bool reachable = hosts[i].policy != V1(POLICY__UNREACHABLE);
		any |= reachable;
		any_unless_audit |= reachable && !hosts[i].would_refuse;
		all_without_address &= hosts[i].reason == V1(HOST_REASON__NO_ADDRESS);
	}
	if (any)
		return (struct combined_plan){.outcome = OUTCOME_DELIVER,
		    .would_refuse = requirement == V1(REQUIREMENT__AUDIT) && !any_unless_audit};
	return (struct combined_plan){
	    .outcome = all_without_address ? OUTCOME_NO_HOST : OUTCOME_DELAY};
}

/* ---- words ---- */

#define WORD(table, value)                                                                         \
	((value) > 0 && (size_t)(value) < sizeof(table) / sizeof *(table) ? (table)[value]         \
									  : (table)[0])

const char *outcome_text(enum outcome outcome)
{
	static const char *const words[] = {
	    "delay", "deliver", "delay", "no-mail", "no-such-domain", "no-host"};
	return WORD(words, (int)outcome);
}

const char *policy_text(int policy)
{
	static const char *const words[] = {
	    "unreachable", "dane", "tls-no-auth", "opportunistic", "unreachable"};
	return WORD(words, policy);
}

const char *status_text(int status)
{
	static const char *const words[] = {"error", "secure", "insecure", "bogus", "error"};
	return WORD(words, status);
}

const char *tlsa_status_text(int status)
{
	static const char *const words[] = {
	    "error", "secure", "insecure", "bogus", "error", "absent", "not-queried"};
	return WORD(words, status);
}

const char *requirement_text(int requirement)
{
	static const char *const words[] = {"mandatory", "normal", "mandatory", "audit", "off"};
	return WORD(words, requirement);
}
