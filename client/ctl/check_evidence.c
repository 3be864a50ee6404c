/* SPDX-License-Identifier: BSD-3-Clause */
/* Evidence of a check: the hosts a sender would try, up to the one that would take the mail. */
#include "client/ctl/check.h"
#include "client/smtp/evidence.h"

#define PROGRAM "resolverctl check " RESOLVERD_VERSION

static int take(struct smtp_evidence *evidence, const struct check *check)
{
	for (size_t i = 0; i < check->plan->host_count; i++) {
		const struct host_check *host = &check->hosts[i];
		const struct probe *probe = host->decisive;
		if (probe == NULL)
			continue;
		int r = smtp_evidence_add(
		    evidence, &probe->options, probe->session, probe->begun_at_ms);
		if (r != 0)
			return r;
		if (host == check->decisive)
			break;
	}
	return 0;
}

int check_keep_evidence(struct check *check)
{
	struct ctl *ctl = check->ctl;
	struct smtp_evidence evidence = {0};
	struct resolverd_evidence_about about = {
	    .program = PROGRAM, .timeout_ms = check_left_ms(check)};
	char error[RESOLVERD_EVIDENCE_ERROR_MAX];
	int r;
	if (take(&evidence, check) != 0) {
		r = ctl_report(ctl, "out of memory", EXIT_NOT_NOW);
	} else {
		r = smtp_evidence_keep(
		    &evidence, ctl->client, check->plan, about, check->evidence_file, error);
		if (r != 0 && error[0] != '\0')
			r = ctl_report(ctl, error, EXIT_NOT_NOW);
		else if (r != 0)
			r = ctl_fail_advised(ctl, r, "there is no evidence");
	}
	smtp_evidence_clear(&evidence);
	return r;
}
