/* SPDX-License-Identifier: BSD-3-Clause */
/* Evidence of a delivery: what was seen at each host of one plan, sealed by the daemon. */
#include "client/danesend/evidence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM "danesend " RESOLVERD_VERSION
#define TIMEOUT_MS 30000

int evidence_add(struct evidence_log *log, const struct smtp_options *options,
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
		smtp_attempt_fini(attempt);
		free(attempt);
		return 0;
	}
	if (log->count == EVIDENCE_ATTEMPTS_MAX) { /* the last one matters most */
		smtp_attempt_fini(log->attempts[0]);
		free(log->attempts[0]);
		memmove(log->attempts, log->attempts + 1, --log->count * sizeof *log->attempts);
	}
	log->attempts[log->count++] = attempt;
	return 0;
}

void evidence_clear(struct evidence_log *log)
{
	for (size_t i = 0; i < log->count; i++) {
		smtp_attempt_fini(log->attempts[i]);
		free(log->attempts[i]);
	}
	log->count = 0;
}

int evidence_keep(const struct evidence_log *log, struct resolverd_client *client,
    const struct resolverd_plan *plan, const char *recipient_domain, const char *path,
    char ret_error[RESOLVERD_EVIDENCE_ERROR_MAX])
{
	struct resolverd_attempt attempts[EVIDENCE_ATTEMPTS_MAX];
	struct resolverd_evidence *evidence = NULL;
	for (size_t i = 0; i < log->count; i++)
		attempts[i] = log->attempts[i]->about;
	struct resolverd_evidence_about about = {.program = PROGRAM,
	    .recipient_domain = recipient_domain,
	    .attempts = attempts,
	    .attempt_count = log->count,
	    .timeout_ms = TIMEOUT_MS};
	int r = resolverd_evidence_collect(client, plan, &about, &evidence);
	if (r == 0)
		r = resolverd_evidence_seal(client, evidence, TIMEOUT_MS);
	if (r != 0)
		snprintf(ret_error, RESOLVERD_EVIDENCE_ERROR_MAX, "%s: %.300s",
		    resolverd_strerror(r), resolverd_last_error(client));
	else
		r = resolverd_evidence_write(evidence, path, ret_error);
	resolverd_evidence_free(evidence);
	return r;
}
