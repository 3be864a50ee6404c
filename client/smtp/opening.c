/* SPDX-License-Identifier: BSD-3-Clause */
/* Greeting, EHLO, STARTTLS, handshake, verdict: the part of a session that finds out who is there.
 */
#include <time.h>

#include "client/smtp/session_internal.h"

static void say_hello(struct smtp_session *session)
{
	session_say(session, STEP_EHLO, "EHLO %s", session->options.helo);
}

void opening_on_greeting(struct smtp_session *session)
{
	if (session->reply.code == 220)
		say_hello(session);
	else
		session_refused(session);
}

void opening_on_ehlo(struct smtp_session *session)
{
	bool in_clear = session->stream.ssl == NULL;
	if (session->reply.code != 250) {
		bool knows_no_ehlo =
		    session->reply.code >= 500 && in_clear && !smtp_needs_tls(&session->options);
		if (knows_no_ehlo)
			session_say(session, STEP_HELO, "HELO %s", session->options.helo);
		else
			session_refused(session);
		return;
	}
	/* In place of all that was offered before TLS, which may be forged (RFC 3207 section 4.2).
	 */
	smtp_reply_capabilities(&session->reply, &session->capabilities);
	if (!in_clear || (session->options.in_clear && !smtp_needs_tls(&session->options)))
		transfer_begin(session);
	else if (session->capabilities.starttls)
		session_say(session, STEP_STARTTLS, "STARTTLS");
	else if (smtp_needs_tls(&session->options))
		session_fail(session, SMTP_NO_STARTTLS,
		    "the server does not offer STARTTLS, and the mail must not go without");
	else
		transfer_begin(session);
}

void opening_on_helo(struct smtp_session *session)
{
	if (session->reply.code == 250)
		transfer_begin(session);
	else
		session_refused(session);
}

static void start_handshake(struct smtp_session *session)
{
	const struct smtp_options *options = &session->options;
	SSL *ssl = SSL_new(options->tls_context);
	int r = ssl == NULL ? RESOLVERD_ERROR_MEMORY
			    : resolverd_tls_prepare(ssl, options->plan, options->host);
	if (r != 0) {
		SSL_free(ssl);
		session_fail(session, SMTP_LOCAL, "cannot set up TLS: %s", resolverd_strerror(r));
		return;
	}
	stream_start_tls(&session->stream, ssl);
	session_enter(session, STEP_HANDSHAKE);
}

void opening_on_starttls(struct smtp_session *session)
{
	if (session->reply.code == 220) {
		/* Nothing may follow in clear. What comes in after this look is read as TLS, and
		 * fails. */
		if (stream_unread(&session->stream) > 0)
			session_fail(session, SMTP_INJECTED,
			    "clear text behind the reply to STARTTLS: an attack on the connection");
		else
			start_handshake(session);
	} else if (smtp_needs_tls(&session->options)) {
		session_fail_by_reply(session, SMTP_STARTTLS_REFUSED);
	} else {
		transfer_begin(session);
	}
}

/* Who the server is does not matter to a mail that says so; else the verdict decides. */
static bool verdict_allows(const struct smtp_session *session)
{
	const struct resolverd_tls_verdict *verdict = &session->tls.verdict;
	switch (session->options.tls) {
	case SMTP_TLS_ANY:
		return true;
	case SMTP_TLS_REQUIRETLS:
		return verdict->may_deliver && verdict->authenticated && verdict->for_domain;
	default:
		return verdict->may_deliver;
	}
}

void opening_on_handshake(struct smtp_session *session)
{
	const struct smtp_options *options = &session->options;
	struct smtp_tls_info *tls = &session->tls;
	*tls = (struct smtp_tls_info){.ssl = session->stream.ssl, .at = time(NULL)};
	tls->version = SSL_get_version(tls->ssl);
	tls->cipher = SSL_get_cipher_name(tls->ssl);
	int r =
	    resolverd_tls_verdict(tls->ssl, options->plan, options->host, tls->at, &tls->verdict);
	if (r != 0) {
		session_fail(session, SMTP_LOCAL, "no verdict: %s", resolverd_strerror(r));
		return;
	}
	session->has_tls_info = true;
	if (session_is_too_late(session, tls->at))
		return;
	if (verdict_allows(session))
		say_hello(session);
	else
		session_fail(session, SMTP_NOT_AUTHENTICATED, "%s", tls->verdict.reason);
}
