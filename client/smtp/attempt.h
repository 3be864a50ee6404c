/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a session saw, as evidence of it is kept (client/evidence/resolverd-evidence.h). A copy that
 * outlives the session, but not the plan, whose host and address it names.
 */
#pragma once
#include "client/evidence/resolverd-evidence.h"
#include "client/smtp/session.h"

struct smtp_attempt {
	struct resolverd_attempt about; /* points into the rest */
	uint8_t *chain[RESOLVERD_EVIDENCE_CHAIN_MAX];
	size_t chain_bytes[RESOLVERD_EVIDENCE_CHAIN_MAX];
	char reason[768];
};

/* What the connection of a finished session was good for. A host that is authenticated and then
 * refuses the mail is authenticated all the same: the verdict is about who it is. */
enum resolverd_verdict smtp_verdict(
    const struct smtp_options *options, const struct smtp_session *session);

/* Whether a mail goes over such a connection. */
bool smtp_verdict_delivers(enum resolverd_verdict verdict);

/* begun_at_ms: when the connection was begun, Unix epoch. That is the time of the verdict, too,
 * where there was no TLS. 0 or -ENOMEM. Not to be moved afterwards. */
[[nodiscard]] int smtp_attempt_init(struct smtp_attempt *attempt,
    const struct smtp_options *options, const struct smtp_session *session, uint64_t begun_at_ms);
void smtp_attempt_fini(struct smtp_attempt *attempt);
