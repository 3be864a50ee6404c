/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The combination table (docs/PROTOCOL.md): what one route and one host answer make of a host, and
 * what all hosts make of the plan. Pure; every client implements exactly this, and
 * tests/vectors/plan.json holds it as data. Values unknown to this version, or 0, fail closed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "proto/reasons.h"
#include "resolverd.pb-c.h"

/* Of a route: how many MX hosts are looked at, and how many are named. */
#define ROUTE_HOSTS_MAX 16u
#define ROUTE_HOSTS_LISTED_MAX 64u

enum outcome {
	OUTCOME_DELIVER = 1,
	OUTCOME_DELAY,
	OUTCOME_NO_MAIL,
	OUTCOME_NO_SUCH_DOMAIN,
	OUTCOME_NO_HOST,
};

/* What a sender may use to check names under usage DANE-TA(2) (RFC 7672 section 3.2.2). */
enum reference_names {
	NAMES_NONE,              /* no name is ever checked: policy is not dane */
	NAMES_BASE,              /* the TLSA base domain only (insecure MX) */
	NAMES_BASE_AND_NEXT_HOP, /* and the next hop, and its expansion */
};

struct combined_host {
	Resolverd__V1__Policy policy; /* to obey; never POLICY_UNSPECIFIED */
	Resolverd__V1__HostReason reason;
	enum reference_names names;
	bool would_refuse; /* audit only: were it not for audit, this host would be UNREACHABLE */
};

/* kind, mx_status, requirement and insecure_mx_policy are the route's, policy and reason the
 * host's. For an address next hop policy is OPPORTUNISTIC, reason ADDRESS_LITERAL. */
struct combined_host combine_host(
    int mx_status, int requirement, int insecure_mx_policy, int policy, int reason);

/* The outcome when the route alone decides it, else 0. */
enum outcome combine_route(int kind, int mx_status);

struct combined_plan {
	enum outcome outcome;
	bool would_refuse; /* audit only: the outcome would be delay */
};

/* hosts may be empty: then the outcome is delay. Call only when combine_route gave 0. */
struct combined_plan combine_plan(int requirement, const struct combined_host *hosts, size_t count);

const char *outcome_text(enum outcome outcome);
const char *policy_text(int policy); /* "dane", "tls-no-auth", ... */
const char *status_text(int status); /* "secure", ...; unknown: "error" */
const char *tlsa_status_text(int status);
const char *requirement_text(int requirement);
