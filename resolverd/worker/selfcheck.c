/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/worker/selfcheck.h"

#include <arpa/nameser.h>
#include <event2/event.h>
#include <stdio.h>
#include <unbound-event.h>

#include "proto/rrtype.h"
#include "resolverd/worker/resolver.h"

#define AGAIN_GOOD_S 30
#define AGAIN_BAD_S 2

static void report(struct selfcheck *check)
{
	Resolverd__Worker__SelfCheck message = RESOLVERD__WORKER__SELF_CHECK__INIT;
	message.root_status = check->root_status;
	message.reason = check->reason;
	message.canaries = check->messages;
	message.n_canaries = check->config->resolver.canary_count;
	check->report(check->arg, &message);
}

/* ---- canaries ---- */

static void on_canary(
    void *arg, int rcode, void *packet, int packet_bytes, int sec, char *why, int was_ratelimited)
{
	struct selfcheck_canary *canary = arg;
	(void)was_ratelimited;
	canary->asking = false;
	canary->message.seen = resolver_status(rcode, packet, packet_bytes, sec);
	bool failed = canary->message.seen == RESOLVERD__V1__STATUS__ERROR;
	snprintf(canary->reason, sizeof canary->reason, "%s",
	    why != NULL ? why
	    : failed    ? "the name servers failed or could not be reached"
			: "");
	report(canary->check);
}

/* A status other than the expected one may be old: the servers' answer is in libunbound's cache as
 * long as its TTL says. */
static void ask_canaries(struct selfcheck *check)
{
	for (size_t i = 0; i < check->config->resolver.canary_count; i++) {
		struct selfcheck_canary *canary = &check->canaries[i];
		if (canary->asking)
			continue;
		canary->asking = ub_resolve_event(check->resolver, canary->message.name, ns_t_a,
				     ns_c_in, canary, on_canary, NULL) == 0;
	}
}

/* ---- the root ---- */

static void root_seen(struct selfcheck *check, Resolverd__V1__Status status, const char *why)
{
	bool forwards = check->config->resolver.forward[0] != NULL;
	check->root_status = status;
	check->root_secure = status == RESOLVERD__V1__STATUS__SECURE;
	check->reason[0] = '\0';
	if (!check->root_secure)
		snprintf(check->reason, sizeof check->reason,
		    "the root key set does not validate: %.250s%s", why,
		    forwards ? "; does resolver.forward name a resolver that strips DNSSEC data?"
			     : "");
	report(check);
	if (check->root_secure)
		ask_canaries(check);
	event_add(&check->timer,
	    &(struct timeval){.tv_sec = check->root_secure ? AGAIN_GOOD_S : AGAIN_BAD_S});
}

static void on_root_keys(
    void *arg, int rcode, void *packet, int packet_bytes, int sec, char *why, int was_ratelimited)
{
	(void)was_ratelimited;
	Resolverd__V1__Status status = resolver_status(rcode, packet, packet_bytes, sec);
	bool unsigned_data = status == RESOLVERD__V1__STATUS__INSECURE;
	root_seen(arg, status,
	    why != NULL     ? why
	    : unsigned_data ? "the answer is not signed, or no trust anchor is usable"
			    : "no root server could be reached, or the path strips DNSSEC");
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct selfcheck *check = arg;
	char why[200];
	(void)fd, (void)what;
	int r =
	    ub_resolve_event(check->resolver, ".", TYPE_DNSKEY, ns_c_in, check, on_root_keys, NULL);
	if (r == 0 && !check->has_started) {
		check->has_started = true;
		check->started(check->arg);
	}
	if (r == 0)
		return;
	snprintf(why, sizeof why, "libunbound does not start with this configuration: %s",
	    ub_strerror(r));
	root_seen(check, RESOLVERD__V1__STATUS__ERROR, why);
}

void selfcheck_start(struct selfcheck *check, struct event_base *base, struct ub_ctx *resolver,
    const struct config *config,
    void (*report_to)(void *arg, const Resolverd__Worker__SelfCheck *check),
    void (*started)(void *arg), void *arg)
{
	*check = (struct selfcheck){.resolver = resolver,
	    .config = config,
	    .report = report_to,
	    .started = started,
	    .arg = arg};
	for (size_t i = 0; i < config->resolver.canary_count; i++) {
		struct selfcheck_canary *canary = &check->canaries[i];
		canary->check = check;
		resolverd__worker__canary__init(&canary->message);
		canary->message.name = config->resolver.canaries[i].name;
		canary->message.reason = canary->reason;
		check->messages[i] = &canary->message;
	}
	evtimer_assign(&check->timer, base, on_timer, check);
	on_timer(-1, 0, check);
}
