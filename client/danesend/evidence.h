/* SPDX-License-Identifier: BSD-3-Clause */
/* The attempts at the hosts of one plan, while that plan lives. Zero is empty. */
#pragma once
#include "client/smtp/attempt.h"

#define EVIDENCE_ATTEMPTS_MAX 16u

struct evidence_log {
	struct smtp_attempt *attempts[EVIDENCE_ATTEMPTS_MAX]; /* the last ones */
	size_t count;
};

/* 0 or -ENOMEM. */
[[nodiscard]] int evidence_add(struct evidence_log *log, const struct smtp_options *options,
    const struct smtp_session *session, uint64_t begun_at_ms);
void evidence_clear(struct evidence_log *log);

/* Collects, has it sealed, writes the file. 0, or an error with its text. Blocks. */
[[nodiscard]] int evidence_keep(const struct evidence_log *log, struct resolverd_client *client,
    const struct resolverd_plan *plan, const char *recipient_domain, const char *path,
    char ret_error[RESOLVERD_EVIDENCE_ERROR_MAX]);
