/* SPDX-License-Identifier: BSD-3-Clause */
/* Evidence of a check: the hosts a sender would try, up to the one that would take the mail. */
#include <stdio.h>
#include <stdlib.h>

#include "client/ctl/check.h"
#include "client/lib/clock.h"

#define PROGRAM "resolverctl check " RESOLVERD_VERSION
#define ATTEMPTS_MAX 16u

static int left_ms(const struct check *check)
{
	int64_t left = check->deadline_ms - clock_mono_ms();
	return left > 1 ? (int)left : 1;
}

static int keep(struct check *check, const struct resolverd_attempt *attempts, size_t count)
{
	struct ctl *ctl = check->ctl;
	struct resolverd_evidence *evidence = NULL;
	char error[RESOLVERD_EVIDENCE_ERROR_MAX];
	struct resolverd_evidence_about about = {.program = PROGRAM,
	    .attempts = attempts,
	    .attempt_count = count,
	    .timeout_ms = left_ms(check)};
	int r = resolverd_evidence_collect(ctl->client, check->plan, &about, &evidence);
	if (r == 0)
		r = resolverd_evidence_seal(ctl->client, evidence, left_ms(check));
	if (r != 0)
		r = ctl_fail_advised(ctl, r, "there is no evidence");
	else if (resolverd_evidence_write(evidence, check->evidence_file, error) != 0)
		r = ctl_report(ctl, error, EXIT_NOT_NOW);
	resolverd_evidence_free(evidence);
	return r;
}

static int take(struct smtp_attempt *attempts, const struct check *check, size_t *ret_count)
{
	for (size_t i = 0; i < check->plan->host_count && *ret_count < ATTEMPTS_MAX; i++) {
		const struct host_check *host = &check->hosts[i];
		if (host->decisive == NULL)
			continue;
		int r = smtp_attempt_init(&attempts[*ret_count], &host->decisive->options,
		    host->decisive->session, host->decisive->begun_at_ms);
		if (r != 0)
			return r;
		(*ret_count)++;
		if (host == check->decisive)
			break;
	}
	return 0;
}

int check_keep_evidence(struct check *check)
{
	struct smtp_attempt *attempts = calloc(ATTEMPTS_MAX, sizeof *attempts);
	struct resolverd_attempt about[ATTEMPTS_MAX];
	size_t count = 0;
	int r;
	if (attempts == NULL || take(attempts, check, &count) != 0) {
		r = ctl_report(check->ctl, "out of memory", EXIT_NOT_NOW);
		goto out;
	}
	for (size_t i = 0; i < count; i++)
		about[i] = attempts[i].about;
	r = keep(check, about, count);
out:
	for (size_t i = 0; i < count; i++)
		smtp_attempt_fini(&attempts[i]);
	free(attempts);
	return r;
}
