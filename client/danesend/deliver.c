/* SPDX-License-Identifier: BSD-3-Clause */
/* One next hop after the other: its plan, its hosts in order, their addresses in order. */
#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/danesend/danesend.h"
#include "client/lib/clock.h"
#include "client/smtp/evidence.h"

#define PROGRAM "danesend " RESOLVERD_VERSION
#define PLAN_TIMEOUT_MS 30000
#define EVIDENCE_TIMEOUT_MS 60000
#define PLANS_MAX 8u /* for one next hop: each is asked for when the one before has expired */

/* An address of a host that had its chance. */
struct tried {
	char host[256];
	char address[46];
};

/* Recipients of one next hop, and how far their delivery has come. */
struct group {
	struct run *run;
	struct resolverd_client *client;
	SSL_CTX *tls;
	const char *next_hop;
	unsigned number; /* of the group, from 1 */
	struct smtp_evidence evidence;
	struct recipient **recipients;
	struct smtp_mail mail;
	struct tried *tried;
	size_t tried_count;
	/* The plans of all groups, asked for at once, in their order; NULL: not so. */
	struct resolverd_planned *planned;
	struct resolverd_batch *batch;
};

static bool has_open(const struct group *group)
{
	for (size_t i = 0; i < group->mail.recipient_count; i++)
		if (group->recipients[i]->smtp.fate == SMTP_OPEN)
			return true;
	return false;
}

/* Tells all that are open why. */
static void note_open(
    struct group *group, enum smtp_failure failure, const char *status, const char *reason)
{
	char text[sizeof group->recipients[0]->smtp.reason];
	snprintf(text, sizeof text, "%s: %.700s", group->next_hop, reason);
	for (size_t i = 0; i < group->mail.recipient_count; i++)
		if (group->recipients[i]->smtp.fate == SMTP_OPEN)
			smtp_recipient_note(&group->recipients[i]->smtp, failure, status, "", text);
}

/* ---- one session ---- */

static void remember_host(
    struct last_host *last, const struct smtp_options *options, const struct smtp_tls_info *tls)
{
	*last = (struct last_host){.policy = options->host->policy, .has_tls = tls != NULL};
	snprintf(last->name, sizeof last->name, "%s", options->host->name);
	snprintf(last->address, sizeof last->address, "%s", options->address->text);
	if (tls == NULL)
		return;
	snprintf(last->tls_version, sizeof last->tls_version, "%s", tls->version);
	snprintf(last->tls_cipher, sizeof last->tls_cipher, "%s", tls->cipher);
	last->authenticated = tls->verdict.authenticated;
	last->for_domain = tls->verdict.for_domain;
	last->would_refuse = tls->verdict.would_refuse;
	snprintf(last->verdict_reason, sizeof last->verdict_reason, "%s", tls->verdict.reason);
}

/* Everything there is to know about an attempt is at hand here: plan, host and address in the
 * options, the peer's chain, suite and verdict in the session. */
static int attempt_finished(struct group *group, const struct smtp_options *options,
    const struct smtp_session *session, uint64_t begun_at_ms, const bool *was_open)
{
	for (size_t i = 0; i < group->mail.recipient_count; i++)
		if (was_open[i])
			remember_host(
			    &group->recipients[i]->host, options, smtp_session_tls(session));
	if (group->run->evidence_file == NULL)
		return 0;
	return smtp_evidence_add(&group->evidence, options, session, begun_at_ms);
}

static void drive(struct smtp_session *session)
{
	while (smtp_session_step(session, clock_mono_ms())) {
		int64_t left_ms = smtp_session_deadline_ms(session) - clock_mono_ms();
		struct pollfd fd = {
		    .fd = smtp_session_fd(session), .events = smtp_session_events(session)};
		poll(&fd, 1, left_ms < 0 ? 0 : (int)left_ms);
	}
}

/* What is to be done next, beside the fates of the recipients. */
struct sequel {
	bool again_in_clear;
	bool again_for_others; /* some were delivered to, others were too many at once */
	bool plan_expired;     /* the address had no chance */
};

/* Each such session delivers to somebody, so they come to an end. */
static bool leaves_others(const struct group *group, const bool *was_open)
{
	bool some_delivered = false, too_many = false;
	for (size_t i = 0; i < group->mail.recipient_count; i++) {
		const struct smtp_recipient *recipient = &group->recipients[i]->smtp;
		some_delivered |= was_open[i] && recipient->fate == SMTP_DELIVERED;
		too_many |= recipient->fate == SMTP_OPEN &&
			    strcmp(recipient->status, SMTP_STATUS_TOO_MANY) == 0;
	}
	return some_delivered && too_many;
}

static int run_session(
    struct group *group, const struct smtp_options *options, struct sequel *ret_sequel)
{
	struct smtp_session *session;
	bool *was_open = calloc(group->mail.recipient_count, sizeof *was_open);
	if (was_open == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < group->mail.recipient_count; i++)
		was_open[i] = group->recipients[i]->smtp.fate == SMTP_OPEN;
	uint64_t begun_at_ms = clock_wall_ms();
	int r = smtp_session_new(options, clock_mono_ms(), &session);
	if (r == 0) {
		drive(session);
		ret_sequel->again_in_clear = smtp_may_retry_in_clear(options, session);
		ret_sequel->plan_expired = smtp_session_failure(session) == SMTP_PLAN_EXPIRED;
		ret_sequel->again_for_others = leaves_others(group, was_open);
		r = attempt_finished(group, options, session, begun_at_ms, was_open);
		smtp_session_free(session);
	}
	free(was_open);
	return r;
}

/* ---- hosts ---- */

static enum smtp_tls tls_of(const struct run *run)
{
	if (run->requiretls) /* TLS-Required: No is then ignored (RFC 8689 section 4.1) */
		return SMTP_TLS_REQUIRETLS;
	return run->message.tls_not_required ? SMTP_TLS_ANY : SMTP_TLS_BY_POLICY;
}

static bool is_current(const struct resolverd_plan *plan)
{
	return clock_wall_ms() < plan->expires_at_ms;
}

static bool is_time_left(const struct run *run)
{
	return clock_mono_ms() < run->deadline_ms;
}

static int try_address(struct group *group, const struct resolverd_plan *plan,
    const struct resolverd_host *host, const struct resolverd_address *address,
    bool *ret_plan_expired)
{
	struct sequel sequel = {0};
	struct smtp_options options = {
	    .helo = group->run->helo,
	    .plan = plan,
	    .host = host,
	    .address = address,
	    .tls = tls_of(group->run),
	    .tls_context = group->tls,
	    .mail = &group->mail,
	    .step_limit_ms = group->run->step_limit_ms,
	    .deadline_ms = group->run->deadline_ms,
	};
	int r = run_session(group, &options, &sequel);
	if (r == 0 && sequel.again_in_clear && has_open(group) && is_time_left(group->run)) {
		options.in_clear = true;
		r = run_session(group, &options, &sequel);
	}
	while (r == 0 && sequel.again_for_others && is_current(plan) && is_time_left(group->run))
		r = run_session(group, &options, &sequel);
	*ret_plan_expired = sequel.plan_expired;
	return r;
}

static bool was_tried(const struct group *group, const struct resolverd_host *host,
    const struct resolverd_address *address)
{
	for (size_t i = 0; i < group->tried_count; i++)
		if (strcmp(group->tried[i].host, host->name) == 0 &&
		    strcmp(group->tried[i].address, address->text) == 0)
			return true;
	return false;
}

static int remember_tried(
    struct group *group, const struct resolverd_host *host, const struct resolverd_address *address)
{
	struct tried *more =
	    reallocarray(group->tried, group->tried_count + 1, sizeof *group->tried);
	if (more == NULL)
		return -ENOMEM;
	group->tried = more;
	struct tried *tried = &more[group->tried_count++];
	snprintf(tried->host, sizeof tried->host, "%s", host->name);
	snprintf(tried->address, sizeof tried->address, "%s", address->text);
	return 0;
}

/* Whether this host is to be connected to at all; says why not. */
static bool is_worth_trying(struct group *group, const struct resolverd_host *host)
{
	char reason[700];
	if (host->policy == RESOLVERD_UNREACHABLE) {
		snprintf(reason, sizeof reason, "%.200s: %.400s", host->name, host->reason_text);
		note_open(group, SMTP_CONNECT, "4.4.3", reason);
		return false;
	}
	if (group->run->requiretls && host->policy != RESOLVERD_DANE) {
		snprintf(reason, sizeof reason,
		    "%.200s: nothing in the DNS authenticates it, which REQUIRETLS demands",
		    host->name);
		note_open(group, SMTP_NO_REQUIRETLS, "5.7.30", reason);
		return false;
	}
	return true;
}

/* Sets ret_expired when the plan went out of date before all was tried. */
static int try_host(struct group *group, const struct resolverd_plan *plan,
    const struct resolverd_host *host, bool *ret_expired)
{
	int r = 0;
	if (!is_worth_trying(group, host))
		return 0;
	for (size_t i = 0; i < host->address_count && r == 0 && has_open(group); i++) {
		const struct resolverd_address *address = &host->addresses[i];
		if (was_tried(group, host, address))
			continue;
		*ret_expired = !is_current(plan);
		if (*ret_expired || !is_time_left(group->run))
			break;
		r = try_address(group, plan, host, address, ret_expired);
		if (*ret_expired)
			break;
		if (r == 0)
			r = remember_tried(group, host, address);
	}
	return r;
}

/* The hosts in the order of the plan, those of one preference in random order (RFC 5321
 * section 5.1). */
static void shuffle(const struct resolverd_plan *plan, const struct resolverd_host **ret_hosts)
{
	for (size_t i = 0; i < plan->host_count; i++)
		ret_hosts[i] = &plan->hosts[i];
	for (size_t begin = 0, end; begin < plan->host_count; begin = end) {
		for (end = begin + 1; end < plan->host_count; end++)
			if (ret_hosts[end]->preference != ret_hosts[begin]->preference)
				break;
		for (size_t left = end - begin; left > 1; left--) {
			size_t pick = begin + randombytes_uniform((uint32_t)left);
			const struct resolverd_host *last = ret_hosts[begin + left - 1];
			ret_hosts[begin + left - 1] = ret_hosts[pick];
			ret_hosts[pick] = last;
		}
	}
}

static int try_hosts(struct group *group, const struct resolverd_plan *plan, bool *ret_expired)
{
	const struct resolverd_host **hosts = calloc(plan->host_count, sizeof(void *));
	if (hosts == NULL)
		return -ENOMEM;
	shuffle(plan, hosts);
	int r = 0;
	for (size_t i = 0; i < plan->host_count && r == 0 && has_open(group) && !*ret_expired; i++)
		r = try_host(group, plan, hosts[i], ret_expired);
	free(hosts);
	return r;
}

/* ---- plans ---- */

static void fail_all(struct group *group, const char *status, const char *reason, bool no_such_host)
{
	note_open(group, SMTP_REFUSED, status, reason);
	for (size_t i = 0; i < group->mail.recipient_count; i++) {
		struct recipient *recipient = group->recipients[i];
		if (recipient->smtp.fate == SMTP_OPEN && recipient->smtp.status[0] == '5') {
			recipient->smtp.fate = SMTP_FAILED;
			recipient->no_such_host = no_such_host;
		}
	}
}

static int follow(struct group *group, const struct resolverd_plan *plan, bool *ret_expired)
{
	switch (plan->outcome) {
	case RESOLVERD_DELIVER:
		return try_hosts(group, plan, ret_expired);
	case RESOLVERD_NO_MAIL: /* RFC 7505 section 3 */
		fail_all(group, "5.1.10", plan->reason, false);
		return 0;
	case RESOLVERD_NO_SUCH_DOMAIN:
		fail_all(group, "5.1.2", plan->reason, true);
		return 0;
	case RESOLVERD_NO_HOST:
		fail_all(group, "5.4.4", plan->reason, true);
		return 0;
	case RESOLVERD_DELAY:
		break;
	}
	note_open(group, SMTP_CONNECT, "4.4.3", plan->reason);
	return 0;
}

/* What is left for one, of the whole time and of a step's. */
static int plan_timeout_ms(const struct run *run)
{
	int64_t timeout_ms = run->deadline_ms - clock_mono_ms();
	if (timeout_ms > PLAN_TIMEOUT_MS)
		timeout_ms = PLAN_TIMEOUT_MS;
	if (run->step_limit_ms != 0 && run->step_limit_ms < timeout_ms)
		timeout_ms = run->step_limit_ms;
	return timeout_ms > 0 ? (int)timeout_ms : 0;
}

/* The plan that was asked for with those of the other groups, once; false: there is none that is
 * still of use. */
static bool take_planned(struct group *group, int timeout_ms, int *ret_error,
    const char **ret_detail, struct resolverd_plan **ret_plan)
{
	if (group->batch == NULL)
		return false;
	struct resolverd_planned *planned = &group->planned[group->number - 1];
	if (planned->done && planned->plan == NULL)
		return false; /* taken */
	*ret_error = resolverd_batch_wait(group->batch, group->number - 1, timeout_ms);
	if (*ret_error != 0) {
		*ret_detail = resolverd_last_error(group->client);
		return true;
	}
	struct resolverd_plan *plan = planned->plan;
	planned->plan = NULL;
	*ret_error = planned->error;
	*ret_detail = planned->detail;
	if (plan != NULL && !is_current(plan)) {
		resolverd_plan_free(plan);
		return false;
	}
	*ret_plan = plan;
	return true;
}

static int ask(struct group *group, struct resolverd_plan **ret_plan)
{
	const struct run *run = group->run;
	int timeout_ms = plan_timeout_ms(run), r;
	const char *detail;
	if (!take_planned(group, timeout_ms, &r, &detail, ret_plan)) {
		r = resolverd_plan(group->client, group->next_hop, run->port, timeout_ms, ret_plan);
		detail = resolverd_last_error(group->client);
	}
	if (r == 0)
		return 0;
	char reason[700];
	snprintf(reason, sizeof reason, "%s%s%.500s", resolverd_strerror(r),
	    detail[0] != '\0' ? ": " : "", detail);
	note_open(group, SMTP_LOCAL, "4.3.0", reason);
	if (r == RESOLVERD_ERROR_VERIFY || r == RESOLVERD_ERROR_PUBLIC_KEY ||
	    r == RESOLVERD_ERROR_PROTOCOL)
		group->run->not_verified = true;
	return r;
}

/* Where every host failed for good, the mail has failed for good. */
static void close_group(struct group *group)
{
	for (size_t i = 0; i < group->mail.recipient_count; i++) {
		struct smtp_recipient *recipient = &group->recipients[i]->smtp;
		if (recipient->fate == SMTP_OPEN && recipient->status[0] == '5')
			recipient->fate = SMTP_FAILED;
	}
}

/* ---- evidence ---- */

/* The domain the recipients share, else the next hop. */
static const char *recipient_domain(const struct group *group)
{
	const char *first = group->recipients[0]->address.next_hop;
	for (size_t i = 1; i < group->mail.recipient_count; i++)
		if (strcmp(group->recipients[i]->address.next_hop, first) != 0)
			return group->next_hop;
	return first;
}

/* FILE, FILE.2, FILE.3, ... The caller frees it. */
static char *evidence_path(const struct group *group)
{
	char *path = NULL;
	int length = group->number == 1
			 ? asprintf(&path, "%s", group->run->evidence_file)
			 : asprintf(&path, "%s.%u", group->run->evidence_file, group->number);
	return length >= 0 ? path : NULL;
}

static void note_evidence(struct group *group, const char *path)
{
	for (size_t i = 0; i < group->mail.recipient_count; i++) {
		free(group->recipients[i]->evidence);
		group->recipients[i]->evidence = strdup(path);
	}
}

/* That there is none must not hide what became of the mail: it is said on stderr alone. */
static void keep_evidence(struct group *group, const struct resolverd_plan *plan)
{
	struct resolverd_evidence_about about = {.program = PROGRAM,
	    .recipient_domain = recipient_domain(group),
	    .timeout_ms = EVIDENCE_TIMEOUT_MS};
	char error[RESOLVERD_EVIDENCE_ERROR_MAX] = "out of memory";
	if (group->run->evidence_file == NULL)
		return;
	char *path = evidence_path(group);
	int r = path == NULL
		    ? -ENOMEM
		    : smtp_evidence_keep(&group->evidence, group->client, plan, about, path, error);
	if (r == 0)
		note_evidence(group, path);
	else if (error[0] != '\0')
		fprintf(stderr, "danesend: no evidence for %s: %s\n", group->next_hop, error);
	else
		fprintf(stderr, "danesend: no evidence for %s: %s: %s\n", group->next_hop,
		    resolverd_strerror(r), resolverd_last_error(group->client));
	smtp_evidence_clear(&group->evidence);
	free(path);
}

/* Not all was tried: whoever is open is delayed, whatever the hosts said that were. */
static void note_unfinished(
    struct group *group, enum smtp_failure failure, const char *status, const char *reason)
{
	for (size_t i = 0; i < group->mail.recipient_count; i++) {
		struct smtp_recipient *recipient = &group->recipients[i]->smtp;
		if (recipient->fate == SMTP_OPEN && recipient->status[0] != '4')
			smtp_recipient_note(recipient, failure, status, "", reason);
	}
}

static void deliver_group(struct group *group)
{
	bool expired = true;
	int r = 0;
	for (unsigned i = 0;
	     i < PLANS_MAX && r == 0 && expired && has_open(group) && is_time_left(group->run);
	     i++) {
		struct resolverd_plan *plan;
		expired = false;
		if (ask(group, &plan) != 0)
			break;
		r = follow(group, plan, &expired);
		keep_evidence(group, plan);
		resolverd_plan_free(plan);
	}
	if (r != 0)
		note_unfinished(group, SMTP_LOCAL, "4.3.0", strerror(-r));
	else if (!is_time_left(group->run))
		note_unfinished(group, SMTP_TIMEOUT, "4.4.2", "the time for all of it is up");
	else if (expired)
		note_unfinished(group, SMTP_PLAN_EXPIRED, "4.4.3",
		    "the plans expire before the hosts have answered");
	close_group(group);
}

/* ---- groups ---- */

/* Those whose address needs SMTPUTF8 go apart: a host without it still gets the others. */
static int compare(const struct recipient *a, const struct recipient *b)
{
	int order = strcmp(a->next_hop, b->next_hop);
	return order != 0 ? order : a->address.utf8 - b->address.utf8;
}

static int by_group(const void *left, const void *right)
{
	const struct recipient *a = *(struct recipient *const *)left;
	const struct recipient *b = *(struct recipient *const *)right;
	int order = compare(a, b);
	return order != 0 ? order : (a > b) - (a < b); /* else as they were given */
}

/* Has the plans of all groups looked up at once; without memory they are asked for in turn. */
static void ask_for_all(struct group *group, struct recipient **recipients, size_t count)
{
	size_t group_count = 0;
	struct resolverd_planned *planned = calloc(count, sizeof *planned);
	for (size_t i = 0; planned != NULL && i < count; i++)
		if (i == 0 || compare(recipients[i], recipients[i - 1]) != 0)
			planned[group_count++] = (struct resolverd_planned){
			    .next_hop = recipients[i]->next_hop, .port = group->run->port};
	group->planned = planned;
	if (group_count > 1 &&
	    resolverd_batch_new(group->client, planned, group_count, 0,
		(unsigned)plan_timeout_ms(group->run) / 10 * 9, &group->batch) != 0)
		group->batch = NULL;
}

static void forget_all(struct group *group, size_t count)
{
	resolverd_batch_free(group->batch);
	for (size_t i = 0; group->planned != NULL && i < count; i++)
		resolverd_plan_free(group->planned[i].plan);
	free(group->planned);
}

static void deliver_sorted(struct group *group, struct recipient **recipients,
    struct smtp_recipient **smtp_recipients, size_t count)
{
	const struct run *run = group->run;
	for (size_t begin = 0, end; begin < count; begin = end) {
		for (end = begin; end < count; end++) {
			if (compare(recipients[end], recipients[begin]) != 0)
				break;
			smtp_recipients[end] = &recipients[end]->smtp;
		}
		group->next_hop = recipients[begin]->next_hop;
		group->recipients = recipients + begin;
		group->number++;
		group->tried_count = 0; /* the memory is used again */
		group->mail = (struct smtp_mail){
		    .from = run->from.text,
		    .recipients = smtp_recipients + begin,
		    .recipient_count = end - begin,
		    .fd = run->message.fd,
		    .bytes = run->message.bytes,
		    .eight_bit = run->message.eight_bit,
		    .utf8_name = run->from.utf8 || recipients[begin]->address.utf8,
		    .utf8_header = run->message.utf8_header,
		};
		deliver_group(group);
	}
}

int deliver(struct run *run)
{
	size_t count = run->recipient_count;
	struct group *group = calloc(1, sizeof *group);
	struct recipient **recipients = calloc(count, sizeof(void *));
	struct smtp_recipient **smtp_recipients = calloc(count, sizeof(void *));
	int r = -ENOMEM;
	if (group == NULL || recipients == NULL || smtp_recipients == NULL)
		goto out;
	group->run = run;
	group->tls = resolverd_tls_context_new(true);
	if (group->tls == NULL)
		goto out;
	if (resolverd_client_new(&run->daemon, &group->client) == RESOLVERD_ERROR_ARGUMENT)
		r = -EINVAL;
	if (group->client == NULL)
		goto out;
	for (size_t i = 0; i < count; i++)
		recipients[i] = &run->recipients[i];
	qsort(recipients, count, sizeof(void *), by_group);
	r = 0;
	ask_for_all(group, recipients, count);
	deliver_sorted(group, recipients, smtp_recipients, count);
out:
	if (group != NULL) {
		forget_all(group, count);
		resolverd_client_free(group->client);
		SSL_CTX_free(group->tls);
		free(group->tried);
	}
	free(smtp_recipients);
	free(recipients);
	free(group);
	return r;
}
