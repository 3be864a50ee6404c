/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/smtp/session.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/lib/text.h"
#include "client/smtp/session_internal.h"

#define SECOND 1000
#define MINUTE (60 * SECOND)
#define COMMAND_MAX 1024u
#define FILLS_MAX 32u /* of the output, a quarter of a mebibyte, in one step: now_ms gets old */
#define TALK_OUT_OF_TURN "the server said something it was not asked for"

static void on_greeting(struct smtp_session *session);
static void on_ehlo(struct smtp_session *session);
static void on_helo(struct smtp_session *session);
static void on_starttls(struct smtp_session *session);
static void on_quit(struct smtp_session *session);

/* Times of RFC 5321 section 4.5.3.2 where it has one. */
static const struct {
	const char *name;
	int64_t limit_ms;
	void (*on_reply)(struct smtp_session *session);
} steps[] = {
    [STEP_CONNECT] = {"connect", 30 * SECOND, NULL},
    [STEP_GREETING] = {"greeting", 5 * MINUTE, on_greeting},
    [STEP_EHLO] = {"EHLO", 5 * MINUTE, on_ehlo},
    [STEP_HELO] = {"HELO", 5 * MINUTE, on_helo},
    [STEP_STARTTLS] = {"STARTTLS", 5 * MINUTE, on_starttls},
    [STEP_HANDSHAKE] = {"handshake", 2 * MINUTE, NULL},
    [STEP_MAIL] = {"MAIL", 5 * MINUTE, transfer_on_mail},
    [STEP_RCPT] = {"RCPT", 5 * MINUTE, transfer_on_rcpt},
    [STEP_DATA] = {"DATA", 2 * MINUTE, transfer_on_data},
    [STEP_BODY] = {"message", 3 * MINUTE, transfer_on_early_reply},
    [STEP_END_OF_DATA] = {"end of message", 10 * MINUTE, transfer_on_end_of_data},
    [STEP_QUIT] = {"QUIT", 2 * SECOND, on_quit}, /* nothing hangs on it any more */
    [STEP_DONE] = {"end", 0, NULL},
};

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

const char *smtp_failure_status(enum smtp_failure failure)
{
	return failures[failure].status;
}

/* ---- steps, failures ---- */

void session_enter(struct smtp_session *session, enum step step)
{
	int64_t limit_ms = steps[step].limit_ms;
	if (session->options.step_limit_ms != 0 && limit_ms > session->options.step_limit_ms)
		limit_ms = session->options.step_limit_ms;
	session->step = step;
	session->deadline_ms = session->now_ms + limit_ms;
	if (session->options.deadline_ms != 0 &&
	    session->deadline_ms > session->options.deadline_ms)
		session->deadline_ms = session->options.deadline_ms;
}

/* Whether the server keeps silent where nothing is due from it. */
static bool is_in_turn(const struct smtp_session *session)
{
	return session->replies_due > 0 || stream_unread(&session->stream) == 0;
}

void session_say(struct smtp_session *session, enum step step, const char *format, ...)
{
	char line[COMMAND_MAX];
	if (!is_in_turn(session)) {
		session_fail(session, SMTP_PROTOCOL, TALK_OUT_OF_TURN);
		return;
	}
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(line, sizeof line - 2, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= sizeof line - 2) {
		session_fail(session, SMTP_LOCAL, "a command of %d octets is too long", length);
		return;
	}
	line[length] = '\r';
	line[length + 1] = '\n';
	if (!stream_queue(&session->stream, line, (size_t)length + 2)) {
		session_fail(session, SMTP_LOCAL, "no room for a command");
		return;
	}
	session->replies_due++;
	session_enter(session, step);
}

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
	    options->host->name, options->address->text, steps[session->step].name,
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

void session_quit(struct smtp_session *session)
{
	session->ended_at = session->step;
	session->replies_due++;
	session_enter(session, STEP_QUIT);
	if (!stream_queue(&session->stream, "QUIT\r\n", 6))
		session_enter(session, STEP_DONE);
}

/* The connection ended. */
static void lost(struct smtp_session *session)
{
	const char *error = session->stream.error;
	if (session->step == STEP_CONNECT)
		session_fail(session, SMTP_CONNECT, "%s", error);
	else if (session->step == STEP_HANDSHAKE)
		session_fail(session, SMTP_HANDSHAKE, "%s", error);
	else
		session_fail(session, SMTP_LOST, "%s", error);
}

static void timed_out(struct smtp_session *session)
{
	if (session->step == STEP_HANDSHAKE)
		session_fail(session, SMTP_HANDSHAKE, "not done in time");
	else if (session->step == STEP_CONNECT)
		session_fail(session, SMTP_CONNECT, "no connection in time");
	else
		session_fail(session, SMTP_TIMEOUT, "no answer in time");
}

/* ---- up to the verdict ---- */

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

static void say_hello(struct smtp_session *session)
{
	session_say(session, STEP_EHLO, "EHLO %s", session->options.helo);
}

static void on_greeting(struct smtp_session *session)
{
	if (session->reply.code == 220)
		say_hello(session);
	else
		session_refused(session);
}

static void on_ehlo(struct smtp_session *session)
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

static void on_helo(struct smtp_session *session)
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

static void on_starttls(struct smtp_session *session)
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
		fail_with(session, SMTP_STARTTLS_REFUSED, status_of(session, SMTP_STARTTLS_REFUSED),
		    NULL);
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

static void on_handshake(struct smtp_session *session)
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

/* Answers to RCPTs that came after a refused MAIL are still to come first. */
static void on_quit(struct smtp_session *session)
{
	if (session->replies_due == 0)
		session_enter(session, STEP_DONE);
}

/* ---- driving ---- */

static void handle_reply(struct smtp_session *session)
{
	session->reply_complete = true;
	if (session->step == STEP_BODY) { /* early, and never asked for */
		steps[session->step].on_reply(session);
		return;
	}
	if (session->replies_due == 0) {
		session_fail(session, SMTP_PROTOCOL, TALK_OUT_OF_TURN);
		return;
	}
	session->replies_due--;
	if (session->reply.code == 421 && session->step != STEP_QUIT)
		session_refused(session);
	else
		steps[session->step].on_reply(session);
}

/* Reads of the input what belongs to one reply. */
static void parse(struct smtp_session *session)
{
	struct stream *stream = &session->stream;
	size_t consumed;
	if (session->reply_complete)
		smtp_reply_start(&session->reply);
	session->reply_complete = false;
	enum smtp_parse result = smtp_reply_feed(
	    &session->reply, stream->in + stream->in_start, stream_unread(stream), &consumed);
	stream->in_start += consumed;
	if (result == SMTP_PARSE_MALFORMED)
		session_fail(
		    session, SMTP_PROTOCOL, "the server sent %s", session->reply.complaint);
	else if (result == SMTP_PARSE_COMPLETE)
		handle_reply(session);
}

/* Whether anything was done. */
static bool talk(struct smtp_session *session)
{
	struct stream *stream = &session->stream;
	enum stream_result sent = stream_flush(stream);
	enum stream_result received = STREAM_OK;
	if (stream_unread(stream) == 0)
		received = stream_receive(stream);
	if (received == STREAM_OK) {
		parse(session); /* even if sending failed: the server may have said why */
		return true;
	}
	if (received == STREAM_ENDED || sent == STREAM_ENDED) {
		lost(session);
		return true;
	}
	if (sent == STREAM_OK && session->step == STEP_BODY) {
		transfer_fill(session);
		return --session->fills_left > 0; /* else what was filled in makes it writable */
	}
	return false;
}

static bool connect_step(struct smtp_session *session)
{
	enum stream_result result = stream_connected(&session->stream);
	if (result == STREAM_OK) {
		session->replies_due = 1;
		session_enter(session, STEP_GREETING);
	} else if (result == STREAM_ENDED) {
		lost(session);
	}
	return result != STREAM_WAIT;
}

static bool handshake_step(struct smtp_session *session)
{
	enum stream_result result = stream_handshake(&session->stream);
	if (result == STREAM_OK)
		on_handshake(session);
	else if (result == STREAM_ENDED)
		lost(session);
	return result != STREAM_WAIT;
}

bool smtp_session_step(struct smtp_session *session, int64_t now_ms)
{
	session->now_ms = now_ms;
	session->fills_left = FILLS_MAX;
	bool goes_on = true;
	while (goes_on && session->step != STEP_DONE) {
		switch (session->step) {
		case STEP_CONNECT:
			goes_on = connect_step(session);
			break;
		case STEP_HANDSHAKE:
			goes_on = handshake_step(session);
			break;
		default:
			goes_on = talk(session);
			break;
		}
	}
	if (session->step != STEP_DONE && now_ms >= session->deadline_ms)
		timed_out(session);
	return session->step != STEP_DONE;
}

static socklen_t socket_address(
    const struct smtp_options *options, struct sockaddr_storage *ret_address)
{
	const struct resolverd_address *address = options->address;
	uint16_t port = htons((uint16_t)options->host->port);
	*ret_address = (struct sockaddr_storage){0};
	if (address->ip_bytes == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret_address;
		in->sin_family = AF_INET;
		in->sin_port = port;
		memcpy(&in->sin_addr, address->ip, 4);
		return sizeof *in;
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_address;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = port;
	memcpy(&in6->sin6_addr, address->ip, 16);
	return sizeof *in6;
}

int smtp_session_new(
    const struct smtp_options *options, int64_t now_ms, struct smtp_session **ret_session)
{
	if (options->host->policy == RESOLVERD_UNREACHABLE)
		return -EINVAL;
	struct smtp_session *session = calloc(1, sizeof *session);
	if (session == NULL)
		return -ENOMEM;
	session->options = *options;
	session->now_ms = now_ms;
	stream_init(&session->stream);
	smtp_reply_start(&session->reply);
	session_enter(session, STEP_CONNECT);
	struct sockaddr_storage address;
	socklen_t bytes = socket_address(options, &address);
	if (stream_connect(&session->stream, (const struct sockaddr *)&address, bytes) ==
	    STREAM_ENDED)
		lost(session);
	*ret_session = session;
	return 0;
}

void smtp_session_free(struct smtp_session *session)
{
	if (session == NULL)
		return;
	stream_fini(&session->stream);
	free(session);
}

int smtp_session_fd(const struct smtp_session *session)
{
	return session->stream.fd;
}

short smtp_session_events(const struct smtp_session *session)
{
	return session->step == STEP_CONNECT ? POLLOUT : stream_events(&session->stream);
}

int64_t smtp_session_deadline_ms(const struct smtp_session *session)
{
	return session->deadline_ms;
}

enum smtp_failure smtp_session_failure(const struct smtp_session *session)
{
	return session->failure;
}

const char *smtp_session_reason(const struct smtp_session *session)
{
	return session->reason;
}

const char *smtp_session_step_name(const struct smtp_session *session)
{
	bool is_over = session->step == STEP_DONE || session->step == STEP_QUIT;
	return steps[is_over ? session->ended_at : session->step].name;
}

const struct smtp_reply *smtp_session_reply(const struct smtp_session *session)
{
	return &session->reply;
}

const struct smtp_capabilities *smtp_session_capabilities(const struct smtp_session *session)
{
	return &session->capabilities;
}

const struct smtp_tls_info *smtp_session_tls(const struct smtp_session *session)
{
	return session->has_tls_info ? &session->tls : NULL;
}
