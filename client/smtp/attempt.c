/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/smtp/attempt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum resolverd_verdict smtp_verdict(
    const struct smtp_options *options, const struct smtp_session *session)
{
	const struct smtp_tls_info *tls = smtp_session_tls(session);
	enum smtp_failure failure = smtp_session_failure(session);
	if (tls != NULL && tls->verdict.authenticated)
		return tls->verdict.for_domain ? RESOLVERD_AUTHENTICATED
					       : RESOLVERD_HOST_AUTHENTICATED;
	if (tls != NULL && failure != SMTP_NOT_AUTHENTICATED && failure != SMTP_PLAN_EXPIRED)
		return RESOLVERD_ENCRYPTED;
	switch (failure) {
	case SMTP_OK:
		return RESOLVERD_CLEARTEXT;
	case SMTP_NO_STARTTLS:
	case SMTP_STARTTLS_REFUSED:
	case SMTP_INJECTED:
	case SMTP_HANDSHAKE:
	case SMTP_NOT_AUTHENTICATED:
		return smtp_needs_tls(options) ? RESOLVERD_REFUSED : RESOLVERD_UNAVAILABLE;
	default:
		return RESOLVERD_UNAVAILABLE;
	}
}

bool smtp_verdict_delivers(enum resolverd_verdict verdict)
{
	return verdict == RESOLVERD_AUTHENTICATED || verdict == RESOLVERD_HOST_AUTHENTICATED ||
	       verdict == RESOLVERD_ENCRYPTED || verdict == RESOLVERD_CLEARTEXT;
}

static int take_chain(struct smtp_attempt *attempt, SSL *ssl)
{
	const STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	size_t *count = &attempt->about.chain_count;
	for (int i = 0; i < sk_X509_num(chain) && *count < RESOLVERD_EVIDENCE_CHAIN_MAX; i++) {
		int bytes = i2d_X509(sk_X509_value(chain, i), &attempt->chain[*count]);
		if (bytes <= 0)
			return -ENOMEM;
		attempt->chain_bytes[(*count)++] = (size_t)bytes;
	}
	return 0;
}

int smtp_attempt_init(struct smtp_attempt *attempt, const struct smtp_options *options,
    const struct smtp_session *session, uint64_t begun_at_ms)
{
	const struct smtp_tls_info *tls = smtp_session_tls(session);
	memset(attempt, 0, sizeof *attempt);
	const char *reason = smtp_session_reason(session);
	if (reason[0] == '\0' && tls != NULL)
		reason = tls->verdict.reason;
	snprintf(attempt->reason, sizeof attempt->reason, "%s", reason);
	attempt->about = (struct resolverd_attempt){
	    .host = options->host->name,
	    .address = options->address,
	    .verdict_at_ms = begun_at_ms,
	    .chain = (const uint8_t *const *)attempt->chain,
	    .chain_bytes = attempt->chain_bytes,
	    .verdict = smtp_verdict(options, session),
	    .reason = attempt->reason,
	};
	if (tls == NULL)
		return 0;
	uint64_t at_ms = (uint64_t)tls->at * 1000; /* rounded down, so maybe before it began */
	if (at_ms > begun_at_ms)
		attempt->about.verdict_at_ms = at_ms;
	attempt->about.tls_version = tls->version;
	attempt->about.tls_suite = tls->cipher;
	int r = take_chain(attempt, tls->ssl);
	if (r != 0)
		smtp_attempt_fini(attempt);
	return r;
}

void smtp_attempt_fini(struct smtp_attempt *attempt)
{
	for (size_t i = 0; i < RESOLVERD_EVIDENCE_CHAIN_MAX; i++)
		OPENSSL_free(attempt->chain[i]);
	memset(attempt, 0, sizeof *attempt);
}
