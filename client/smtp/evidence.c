/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/smtp/evidence.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/clock.h"

static void forget(struct smtp_attempt *attempt)
{
	smtp_attempt_fini(attempt);
	free(attempt);
}

int smtp_evidence_add(struct smtp_evidence *evidence, const struct smtp_options *options,
    const struct smtp_session *session, uint64_t begun_at_ms)
{
	struct smtp_attempt *attempt = calloc(1, sizeof *attempt);
	if (attempt == NULL)
		return -ENOMEM;
	int r = smtp_attempt_init(attempt, options, session, begun_at_ms);
	if (r != 0) {
		free(attempt);
		return r;
	}
	/* A verdict that came too late is none, and the next plan is tried instead. */
	if (attempt->about.verdict_at_ms / 1000 >= options->plan->expires_at_ms / 1000) {
		forget(attempt);
		return 0;
	}
	if (evidence->count == RESOLVERD_EVIDENCE_ATTEMPTS_MAX) { /* the last one matters most */
		forget(evidence->attempts[0]);
		memmove(evidence->attempts, evidence->attempts + 1,
		    --evidence->count * sizeof *evidence->attempts);
	}
	evidence->attempts[evidence->count++] = attempt;
	return 0;
}

void smtp_evidence_clear(struct smtp_evidence *evidence)
{
	for (size_t i = 0; i < evidence->count; i++)
		forget(evidence->attempts[i]);
	evidence->count = 0;
}

int smtp_evidence_keep(const struct smtp_evidence *evidence, struct resolverd_client *client,
    const struct resolverd_plan *plan, struct resolverd_evidence_about about, const char *path,
    char ret_error[RESOLVERD_EVIDENCE_ERROR_MAX])
{
	struct resolverd_attempt attempts[RESOLVERD_EVIDENCE_ATTEMPTS_MAX];
	struct resolverd_evidence *record = NULL;
	int64_t deadline_ms = clock_mono_ms() + about.timeout_ms;
	for (size_t i = 0; i < evidence->count; i++)
		attempts[i] = evidence->attempts[i]->about;
	about.attempts = attempts;
	about.attempt_count = evidence->count;
	ret_error[0] = '\0';
	int r = resolverd_evidence_collect(client, plan, &about, &record);
	int64_t left_ms = deadline_ms - clock_mono_ms();
	if (r == 0)
		r = resolverd_evidence_seal(client, record, left_ms > 0 ? (int)left_ms : 0);
	if (r == 0)
		r = resolverd_evidence_write(record, path, ret_error);
	resolverd_evidence_free(record);
	return r;
}
