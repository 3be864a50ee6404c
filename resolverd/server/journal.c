/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/journal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/combine.h"
#include "proto/reasons.h"
#include "resolverd/base/log.h"
#include "resolverd/server/session.h"
#include "resolverd/server/signer.h"
#include "resolverd/server/verdict.h"

#define V1(name) RESOLVERD__V1__##name
#define HOSTS_TEXT_MAX 1500u

/* ---- what an answer says, in words ---- */

static int route_verdict(const Resolverd__V1__Route *route, char text[JOURNAL_VERDICT_MAX])
{
	const char *status = status_text((int)route->mx_status);
	switch (route->kind) {
	case V1(ROUTE_KIND__MX):
	case V1(ROUTE_KIND__IMPLICIT_MX):
	case V1(ROUTE_KIND__NO_MX_STEP):
		snprintf(text, JOURNAL_VERDICT_MAX, "%zu %s, %s", route->n_mx,
		    route->n_mx == 1 ? "host" : "hosts", status);
		return route->mx_status == V1(STATUS__SECURE) ? 0 : 1;
	case V1(ROUTE_KIND__NULL_MX):
		snprintf(text, JOURNAL_VERDICT_MAX, "takes no mail, %s", status);
		return 2;
	case V1(ROUTE_KIND__NO_SUCH_DOMAIN):
		snprintf(text, JOURNAL_VERDICT_MAX, "no such domain, %s", status);
		return 2;
	default:
		snprintf(text, JOURNAL_VERDICT_MAX, "failed: %s", status);
		return 3;
	}
}

static int host_verdict(const Resolverd__V1__Host *host, char text[JOURNAL_VERDICT_MAX])
{
	const char *policy = policy_text((int)host->policy);
	if (host->policy == V1(POLICY__DANE))
		snprintf(text, JOURNAL_VERDICT_MAX, "%s, %zu TLSA", policy, host->n_tlsa);
	else
		snprintf(text, JOURNAL_VERDICT_MAX, "%s: %s", policy,
		    host_reason_text((int)host->reason));
	switch (host->policy) {
	case V1(POLICY__DANE):
		return 0;
	case V1(POLICY__TLS_NO_AUTH):
		return 1;
	case V1(POLICY__OPPORTUNISTIC):
		return 2;
	default:
		return 3;
	}
}

static int envelope_verdict(const Resolverd__V1__Answer *envelope, char text[JOURNAL_VERDICT_MAX])
{
	int rank;
	switch (envelope->data_case) {
	case V1(ANSWER__DATA_ROUTE):
		return route_verdict(envelope->route, text);
	case V1(ANSWER__DATA_HOST):
		return host_verdict(envelope->host, text);
	case V1(ANSWER__DATA_RECORDS):
		rank = envelope->records->status == V1(STATUS__SECURE)     ? 0
		       : envelope->records->status == V1(STATUS__INSECURE) ? 1
									   : 3;
		snprintf(
		    text, JOURNAL_VERDICT_MAX, "%s", status_text((int)envelope->records->status));
		return rank;
	default:
		return -1;
	}
}

int journal_verdict(const struct answer *answer, char ret_text[JOURNAL_VERDICT_MAX])
{
	Resolverd__V1__Answer *envelope = answer_envelope(answer);
	int rank = envelope != NULL ? envelope_verdict(envelope, ret_text) : -1;
	if (rank >= 0 && answer->stale)
		snprintf(
		    ret_text + strlen(ret_text), JOURNAL_VERDICT_MAX - strlen(ret_text), ", stale");
	resolverd__v1__answer__free_unpacked(envelope, NULL);
	return rank;
}

/* ---- changes ---- */

void journal_change(
    const struct question_key *key, const struct answer *before, const struct answer *after)
{
	uint8_t digests[2][VERDICT_BYTES], bytes[QUESTION_KEY_MAX + 1];
	char texts[2][JOURNAL_VERDICT_MAX], number[8];
	Resolverd__V1__Question question = V1(QUESTION__INIT);
	if (verdict_of(before, digests[0]) != 0 || verdict_of(after, digests[1]) != 0 ||
	    memcmp(digests[0], digests[1], sizeof digests[0]) == 0)
		return;
	int was = journal_verdict(before, texts[0]), is = journal_verdict(after, texts[1]);
	memcpy(bytes, key->bytes, key->count);
	bytes[key->count] = '\0';
	question_of_key(bytes, &question);
	snprintf(number, sizeof number, "%u",
	    question.kind == V1(KIND__RECORDS) ? question.type : question.port);
	const char *kind = question.kind == V1(KIND__ROUTE)  ? "route"
			   : question.kind == V1(KIND__HOST) ? "host"
							     : "records";
	const struct log_field fields[] = {{"kind", kind}, {"name", question.name},
	    {question.kind == V1(KIND__RECORDS) ? "type" : "port", number}, {"before", texts[0]},
	    {"after", texts[1]}};
	if (was < 0 || is < 0)
		return;
	log_line(is > was ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE, "verdict-changed", fields,
	    sizeof fields / sizeof *fields, "%s %s: %s, before: %s", kind, question.name, texts[1],
	    texts[0]);
}

/* ---- plans ---- */

static void add_host(char text[HOSTS_TEXT_MAX], const struct answer *answer)
{
	Resolverd__V1__Answer *envelope = answer_envelope(answer);
	size_t used = strlen(text);
	if (envelope != NULL && envelope->data_case == V1(ANSWER__DATA_HOST))
		snprintf(text + used, HOSTS_TEXT_MAX - used, "%s%s=%s", used > 0 ? " " : "",
		    envelope->question->name, policy_text((int)envelope->host->policy));
	resolverd__v1__answer__free_unpacked(envelope, NULL);
}

void journal_plan(const struct session *session, struct answer *const *answers, unsigned count)
{
	char verdict[JOURNAL_VERDICT_MAX], hosts[HOSTS_TEXT_MAX] = "", uid[16], pid[16], at[24],
					   end[24];
	char key_id[2 * KEY_ID_BYTES + 1];
	struct ucred peer = {0};
	socklen_t bytes = sizeof peer;
	Resolverd__V1__Answer *route = answer_envelope(answers[0]);
	if (route == NULL || route->data_case != V1(ANSWER__DATA_ROUTE)) {
		resolverd__v1__answer__free_unpacked(route, NULL);
		return;
	}
	(void)getsockopt(session->conn.fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes);
	snprintf(uid, sizeof uid, "%u", (unsigned)session->user->uid);
	snprintf(pid, sizeof pid, "%d", (int)peer.pid);
	snprintf(at, sizeof at, "%llu", (unsigned long long)route->validated_at);
	snprintf(end, sizeof end, "%llu", (unsigned long long)route->expires_at);
	sodium_bin2hex(key_id, sizeof key_id, session->server->signer.key_id, KEY_ID_BYTES);
	(void)route_verdict(route->route, verdict);
	for (unsigned i = 1; i < count; i++)
		add_host(hosts, answers[i]);
	const struct log_field fields[] = {{"uid", uid}, {"pid", pid},
	    {"next_hop", route->question->name}, {"route", verdict},
	    {"requirement", requirement_text((int)route->route->requirement)}, {"hosts", hosts},
	    {"validated_at", at}, {"expires_at", end}, {"key_id", key_id}};
	log_always(LOG_LEVEL_INFO, "plan", fields, sizeof fields / sizeof *fields,
	    "plan for %s: %s", route->question->name, verdict);
	resolverd__v1__answer__free_unpacked(route, NULL);
}
