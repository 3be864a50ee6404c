/* SPDX-License-Identifier: BSD-3-Clause */
/* resolverctl check: what a sender would get at the hosts of a plan. Delivers nothing. */
#include "client/ctl/check.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/clock.h"
#include "client/lib/idn.h"
#include "client/smtp/helo.h"

int check_left_ms(const struct check *check)
{
	int64_t left = check->deadline_ms - clock_mono_ms();
	return left > 0 ? (int)left : 0;
}

const struct smtp_tls_info *check_tls(const struct host_check *host)
{
	return host->decisive != NULL ? smtp_session_tls(host->decisive->session) : NULL;
}

/* ---- arguments ---- */

static int take_host(struct ctl *ctl, const char *text, char ret_name[NAME_TEXT_MAX])
{
	char detail[DETAIL_MAX];
	if (idn_name(text, ret_name, detail) != 0)
		return ctl_usage(ctl, "--host: %s", detail);
	return 0;
}

static int parse_arguments(
    struct check *check, int argc, char **argv, char ret_host_name[NAME_TEXT_MAX])
{
	static const struct option options[] = {{"port", required_argument, NULL, 'p'},
	    {"host", required_argument, NULL, 'H'}, {"insecure-ok", no_argument, NULL, 'i'},
	    {"evidence", required_argument, NULL, 'e'}, {0}};
	struct ctl *ctl = check->ctl;
	int c, r = 0;
	optind = 0;
	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			r = ctl_port(ctl, optarg, &check->port);
			break;
		case 'H':
			check->only_host = ret_host_name;
			r = take_host(ctl, optarg, ret_host_name);
			break;
		case 'i':
			check->tls = SMTP_TLS_ANY;
			break;
		case 'e':
			check->evidence_file = optarg;
			break;
		default:
			return ctl_usage(ctl, "%s: wrong option (see --help)", argv[0]);
		}
	}
	if (r != 0)
		return r;
	if (argc - optind != 1)
		return ctl_usage(ctl, "%s wants exactly one name", argv[0]);
	if (check->evidence_file != NULL && check->tls == SMTP_TLS_ANY)
		return ctl_usage(ctl, "--evidence is of what the policy allows: it does not go "
				      "with --insecure-ok");
	check->next_hop = argv[optind];
	return 0;
}

/* ---- one plan ---- */

static bool is_chosen(const struct check *check, const struct resolverd_host *host)
{
	return check->only_host == NULL || strcmp(check->only_host, host->name) == 0;
}

static bool is_to_be_tried(const struct check *check, const struct resolverd_host *host)
{
	return check->plan->outcome == RESOLVERD_DELIVER && is_chosen(check, host) &&
	       host->policy != RESOLVERD_UNREACHABLE; /* case M04 */
}

static void lay_out_host(struct check *check, struct host_check *host)
{
	host->left_out = !is_chosen(check, host->host);
	host->probes = check->probes + check->probe_count;
	for (size_t i = 0; is_to_be_tried(check, host->host) && i < host->host->address_count; i++)
		host->probes[host->probe_count++].options = (struct smtp_options){
		    .helo = check->helo,
		    .plan = check->plan,
		    .host = host->host,
		    .address = &host->host->addresses[i],
		    .tls = check->tls,
		    .tls_context = check->tls_context,
		    .deadline_ms = check->probe_deadline_ms,
		};
	check->probe_count += host->probe_count;
}

static int lay_out(struct check *check)
{
	const struct resolverd_plan *plan = check->plan;
	size_t addresses = 0;
	for (size_t i = 0; i < plan->host_count; i++)
		addresses += plan->hosts[i].address_count;
	check->probe_count = 0;
	check->hosts = calloc(plan->host_count + 1, sizeof *check->hosts);
	check->probes = calloc(addresses + 1, sizeof *check->probes);
	if (check->hosts == NULL || check->probes == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < plan->host_count; i++) {
		check->hosts[i].host = &plan->hosts[i];
		lay_out_host(check, &check->hosts[i]);
	}
	return 0;
}

static void forget_plan(struct check *check)
{
	for (size_t i = 0; check->probes != NULL && i < check->probe_count; i++)
		smtp_session_free(check->probes[i].session);
	free(check->probes);
	free(check->hosts);
	resolverd_plan_free(check->plan);
	check->probes = NULL;
	check->hosts = NULL;
	check->plan = NULL;
}

/* ---- what a sender would get ---- */

/* Of the two, which tells more: delivery, then a refusal, then silence. */
static int rank(enum resolverd_verdict verdict)
{
	return smtp_verdict_delivers(verdict) ? 2 : verdict == RESOLVERD_REFUSED;
}

static const char *probe_reason(const struct probe *probe)
{
	const char *reason = smtp_session_reason(probe->session);
	const struct smtp_tls_info *tls = smtp_session_tls(probe->session);
	if (reason[0] != '\0')
		return reason;
	if (tls != NULL)
		return tls->verdict.reason;
	return "no TLS, and the policy does not ask for it";
}

static void decide_host(struct host_check *host)
{
	if (host->probe_count == 0) {
		bool no_address = strcmp(host->host->reason, "no-address") == 0;
		host->verdict = no_address ? RESOLVERD_UNAVAILABLE : RESOLVERD_REFUSED;
		host->reason = host->host->reason_text;
		return;
	}
	host->decisive = &host->probes[0];
	for (size_t i = 1; i < host->probe_count; i++)
		if (rank(host->probes[i].verdict) > rank(host->decisive->verdict))
			host->decisive = &host->probes[i];
	host->verdict = host->decisive->verdict;
	host->reason = probe_reason(host->decisive);
}

static void decide(struct check *check)
{
	const struct resolverd_plan *plan = check->plan;
	check->decisive = NULL;
	check->verdict = plan->outcome == RESOLVERD_DELIVER || plan->outcome == RESOLVERD_DELAY
			     ? RESOLVERD_REFUSED
			     : 0;
	for (size_t i = 0; i < plan->host_count; i++) {
		struct host_check *host = &check->hosts[i];
		if (host->left_out)
			continue;
		decide_host(host);
		if (check->decisive == NULL || rank(host->verdict) > rank(check->decisive->verdict))
			check->decisive = host;
	}
	if (check->verdict != 0 && check->decisive != NULL)
		check->verdict = check->decisive->verdict;
}

/* ---- the run ---- */

static bool has_expired_on_the_way(const struct check *check)
{
	for (size_t i = 0; i < check->probe_count; i++)
		if (smtp_session_failure(check->probes[i].session) == SMTP_PLAN_EXPIRED)
			return true;
	return false;
}

static int try_plan(struct check *check)
{
	struct ctl *ctl = check->ctl;
	int r = resolverd_plan(
	    ctl->client, check->next_hop, check->port, check_left_ms(check), &check->plan);
	if (r != 0)
		return ctl_fail(ctl, r);
	if (lay_out(check) != 0 || check_probe_all(check) != 0)
		return ctl_report(ctl, "out of memory", EXIT_NOT_NOW);
	return 0;
}

static int try_it(struct check *check)
{
	int r = try_plan(check);
	if (r == 0 && has_expired_on_the_way(check) && clock_mono_ms() < check->probe_deadline_ms) {
		forget_plan(check);
		r = try_plan(check);
	}
	if (r != 0)
		return r;
	bool is_known = check->only_host == NULL;
	for (size_t i = 0; i < check->plan->host_count; i++)
		is_known |= is_chosen(check, &check->plan->hosts[i]);
	if (!is_known)
		return ctl_usage(check->ctl, "%s is none of the hosts that %s names",
		    check->only_host, check->plan->next_hop);
	decide(check);
	for (size_t i = 0; i < check->plan->host_count; i++)
		check_warn(check, &check->hosts[i]);
	return 0;
}

static int exit_status(const struct check *check)
{
	if (check->plan->outcome != RESOLVERD_DELIVER)
		return plan_exit(check->plan->outcome);
	return smtp_verdict_delivers(check->verdict) ? 0 : EXIT_NOT_NOW;
}

static int run(struct check *check)
{
	struct ctl *ctl = check->ctl;
	int r = try_it(check);
	if (r == 0 && check->evidence_file != NULL)
		r = check_keep_evidence(check);
	if (r != 0)
		return r;
	if (ctl->json)
		check_print_json(check);
	else
		check_print_text(check);
	return exit_status(check);
}

int check_command(struct ctl *ctl, int argc, char **argv)
{
	struct check check = {.ctl = ctl, .port = 25, .tls = SMTP_TLS_BY_POLICY};
	char host_name[NAME_TEXT_MAX];
	int r = parse_arguments(&check, argc, argv, host_name);
	if (r == 0)
		r = ctl_open(ctl);
	if (r != 0)
		return r;
	signal(SIGPIPE, SIG_IGN);
	int64_t now_ms = clock_mono_ms();
	check.deadline_ms = now_ms + ctl->timeout_ms;
	/* What comes after the connections, a few questions to the daemon, has its share. */
	check.probe_deadline_ms = now_ms + ctl->timeout_ms / 4 * 3;
	smtp_default_helo(check.helo);
	check.tls_context = resolverd_tls_context_new(true);
	r = check.tls_context != NULL ? run(&check)
				      : ctl_report(ctl, "out of memory", EXIT_NOT_NOW);
	forget_plan(&check);
	SSL_CTX_free(check.tls_context);
	return r;
}
