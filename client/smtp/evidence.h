/* SPDX-License-Identifier: BSD-3-Clause */
/* The attempts at the hosts of one plan, kept while that plan lives, and the evidence of them. Zero
 * is empty. */
#pragma once
#include "client/smtp/attempt.h"

struct smtp_evidence {
	struct smtp_attempt *attempts[RESOLVERD_EVIDENCE_ATTEMPTS_MAX]; /* the last ones */
	size_t count;
};

/* 0 or -ENOMEM. */
[[nodiscard]] int smtp_evidence_add(struct smtp_evidence *evidence,
    const struct smtp_options *options, const struct smtp_session *session, uint64_t begun_at_ms);
void smtp_evidence_clear(struct smtp_evidence *evidence);

/* Collects, has it sealed, writes the file. about: who asks; the attempts are filled in. 0, or an
 * error: ret_error then says why, or is empty where resolverd_last_error(client) does. Blocks up to
 * about->timeout_ms. */
[[nodiscard]] int smtp_evidence_keep(const struct smtp_evidence *evidence,
    struct resolverd_client *client, const struct resolverd_plan *plan,
    struct resolverd_evidence_about about, const char *path,
    char ret_error[RESOLVERD_EVIDENCE_ERROR_MAX]);
