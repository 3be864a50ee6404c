/* SPDX-License-Identifier: BSD-3-Clause */
/* How a session fails: what that is called, what it means for the recipients, what may follow. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/lib/text.h"
#include "client/smtp/session_internal.h"

static const struct {
	const char *text;
	const char *status;
	bool says_quit;
} failures[] = {
    [SMTP_OK] = {"ok", "2.0.0", true},
    [SMTP_CONNECT] = {"no-connection", "4.4.1", false},
    [SMTP_TIMEOUT] = {"timeout", "4.4.2", false},
    [SMTP_LOST] = {"connection-lost", "4.4.2", false},
    [SMTP_PROTOCOL] = {"protocol-error", "4.5.0", false},
    [SMTP_REFUSED] = {"refused", "4.0.0", true},
    [SMTP_NO_STARTTLS] = {"no-starttls", "4.7.4", true},
    [SMTP_STARTTLS_REFUSED] = {"starttls-refused", "4.7.4", true},
    [SMTP_INJECTED] = {"injected-text", "4.7.5", false},
    [SMTP_HANDSHAKE] = {"handshake-failed", "4.7.5", false},
    [SMTP_NOT_AUTHENTICATED] = {"not-authenticated", "4.7.5", true},
    [SMTP_PLAN_EXPIRED] = {"plan-expired", "4.4.3", true},
    [SMTP_NO_REQUIRETLS] = {"no-requiretls", "5.7.30", true},
    [SMTP_TOO_BIG] = {"too-big", "5.3.4", true},
    [SMTP_NO_8BITMIME] = {"no-8bitmime", "5.6.3", true},
    [SMTP_NO_UTF8_NAME] = {"no-smtputf8-address", "5.6.7", true},
    [SMTP_NO_UTF8_HEADER] = {"no-smtputf8-header", "5.6.9", true},
    [SMTP_IN_DOUBT] = {"in-doubt", "4.4.2", false},
    [SMTP_LOCAL] = {"local-trouble", "4.3.0", false},
};

const char *smtp_failure_text(enum smtp_failure failure)
{
	return failures[failure].text;
}

/* ---- what is told ---- */

/* "250 2.1.5 ok": the last reply on one line, as much of it as there is room for. */
static void reply_line(const struct smtp_session *session, char *ret_line, size_t room)
{
	const struct smtp_reply *reply = &session->reply;
	size_t length = reply->text_bytes < room - 5 ? reply->text_bytes : room - 5;
	snprintf(ret_line, 5, "%03u ", reply->code % 1000);
	for (size_t i = 0; i < length; i++)
		ret_line[4 + i] = reply->text[i] == '\n' ? ' ' : reply->text[i];
	ret_line[4 + length] = '\0';
}

void session_reply_status(const struct smtp_session *session, char ret_status[SMTP_STATUS_MAX])
{
	if (!smtp_reply_status(&session->reply, ret_status))
		snprintf(ret_status, SMTP_STATUS_MAX, "%u.0.0", session->reply.code / 100 % 10);
}

void session_set_reason(struct smtp_session *session, const char *text)
{
	const struct smtp_options *options = &session->options;
	char line[480];
	session->reason_is_reply = text == NULL;
	if (text == NULL)
		reply_line(session, line, sizeof line);
	snprintf(session->reason, sizeof session->reason, "%.200s[%s]: %s: %.480s",
	    options->host->name, options->address->text, smtp_session_step_name(session),
	    text == NULL ? line : text);
}

void smtp_recipient_note(struct smtp_recipient *recipient, enum smtp_failure failure,
    const char *status, const char *reply, const char *reason)
{
	if (recipient->fate == SMTP_OPEN && recipient->status[0] == '4' && status[0] == '5')
		return;
	recipient->failure = failure;
	snprintf(recipient->status, sizeof recipient->status, "%s", status);
	snprintf(recipient->reply, sizeof recipient->reply, "%s", reply);
	snprintf(recipient->reason, sizeof recipient->reason, "%s", reason);
	text_mend(recipient->reason);
}

void session_note(const struct smtp_session *session, struct smtp_recipient *recipient,
    enum smtp_failure failure, const char *status)
{
	char reply[sizeof recipient->reply] = "";
	if (session->reason_is_reply)
		reply_line(session, reply, sizeof reply);
	smtp_recipient_note(recipient, failure, status, reply, session->reason);
}

static void tell_recipients(struct smtp_session *session, const char *status)
{
	const struct smtp_mail *mail = session->options.mail;
	for (size_t i = 0; mail != NULL && i < mail->recipient_count; i++) {
		struct smtp_recipient *recipient = mail->recipients[i];
		if (recipient->fate != SMTP_OPEN && recipient->fate != SMTP_TAKEN)
			continue;
		bool in_doubt = session->failure == SMTP_IN_DOUBT && recipient->fate == SMTP_TAKEN;
		/* A recipient refused for now, while others were taken, has its own reason. */
		if (session->failure == SMTP_IN_DOUBT && !in_doubt)
			continue;
		recipient->fate = in_doubt ? SMTP_SUSPENDED : SMTP_OPEN;
		session_note(session, recipient, session->failure, status);
	}
}

/* ---- the end of a session ---- */

static void fail_with(
    struct smtp_session *session, enum smtp_failure failure, const char *status, const char *text)
{
	if (session->step == STEP_QUIT || session->step == STEP_DONE) {
		session_enter(session, STEP_DONE);
		return;
	}
	session->failure = failure;
	session->ended_at = session->step;
	session_set_reason(session, text);
	tell_recipients(session, status);
	if (failures[failure].says_quit)
		session_quit(session);
	else
		session_enter(session, STEP_DONE);
}

bool smtp_needs_tls(const struct smtp_options *options)
{
	bool by_policy = options->host->policy != RESOLVERD_OPPORTUNISTIC;
	return options->tls == SMTP_TLS_REQUIRETLS ||
	       (options->tls == SMTP_TLS_BY_POLICY && by_policy);
}

bool smtp_may_retry_in_clear(const struct smtp_options *options, const struct smtp_session *session)
{
	bool broke_later = session->failure == SMTP_LOST && session->stream.tls_broke &&
			   session->ended_at < STEP_BODY;
	return (session->failure == SMTP_HANDSHAKE || broke_later) && !options->in_clear &&
	       !smtp_needs_tls(options);
}

/* What a failure is called when the sender asked for REQUIRETLS: any lack of it is final (RFC 8689
 * section 4.2.1). */
static const char *status_of(const struct smtp_session *session, enum smtp_failure failure)
{
	bool lacks_tls = failure == SMTP_NO_STARTTLS || failure == SMTP_STARTTLS_REFUSED ||
			 failure == SMTP_INJECTED || failure == SMTP_HANDSHAKE ||
			 failure == SMTP_NOT_AUTHENTICATED;
	if (lacks_tls && session->options.tls == SMTP_TLS_REQUIRETLS)
		failure = SMTP_NO_REQUIRETLS;
	return failures[failure].status;
}

void session_fail(struct smtp_session *session, enum smtp_failure failure, const char *format, ...)
{
	char text[512], in_doubt[600];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	snprintf(in_doubt, sizeof in_doubt, "in-doubt: %s; the mail may have been delivered", text);
	if (session->dot_sent)
		failure = SMTP_IN_DOUBT;
	fail_with(session, failure, status_of(session, failure),
	    failure == SMTP_IN_DOUBT ? in_doubt : text);
}

void session_fail_by_reply(struct smtp_session *session, enum smtp_failure failure)
{
	fail_with(session, failure, status_of(session, failure), NULL);
}

/* What a server says in clear where TLS is required may be anybody's words. */
static bool is_trusted(const struct smtp_session *session)
{
	return session->stream.ssl != NULL || !smtp_needs_tls(&session->options);
}

void session_refused(struct smtp_session *session)
{
	char status[SMTP_STATUS_MAX] = "4.0.0";
	if (is_trusted(session))
		session_reply_status(session, status);
	if (session->reply.code < 400)
		session_fail(session, SMTP_PROTOCOL, "the server answered with code %03u",
		    session->reply.code);
	else
		fail_with(session, SMTP_REFUSED, status, NULL);
}

/* The connection ended. */
void session_lost(struct smtp_session *session)
{
	const char *error = session->stream.error;
	if (session->step == STEP_CONNECT)
		session_fail(session, SMTP_CONNECT, "%s", error);
	else if (session->step == STEP_HANDSHAKE)
		session_fail(session, SMTP_HANDSHAKE, "%s", error);
	else
		session_fail(session, SMTP_LOST, "%s", error);
}

void session_timed_out(struct smtp_session *session)
{
	if (session->step == STEP_HANDSHAKE)
		session_fail(session, SMTP_HANDSHAKE, "not done in time");
	else if (session->step == STEP_CONNECT)
		session_fail(session, SMTP_CONNECT, "no connection in time");
	else
		session_fail(session, SMTP_TIMEOUT, "no answer in time");
}

bool session_is_too_late(struct smtp_session *session, time_t now)
{
	const struct smtp_options *options = &session->options;
	uint64_t expires_at_ms =
	    options->plan != NULL ? options->plan->expires_at_ms : options->host->expires_at_ms;
	if (expires_at_ms == 0 || (now >= 0 && (uint64_t)now < expires_at_ms / 1000))
		return false;
	session_fail(session, SMTP_PLAN_EXPIRED, "the plan has expired on the way");
	return true;
}
