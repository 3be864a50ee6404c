/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/smtp/session.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/smtp/session_internal.h"

#define SECOND 1000
#define MINUTE (60 * SECOND)
#define COMMAND_MAX 1024u
#define FILLS_MAX 32u /* of the output, a quarter of a mebibyte, in one step: now_ms gets old */
#define TALK_OUT_OF_TURN "the server said something it was not asked for"

static void on_quit(struct smtp_session *session);

/* Times of RFC 5321 section 4.5.3.2 where it has one. */
static const struct {
	const char *name;
	int64_t limit_ms;
	void (*on_reply)(struct smtp_session *session);
} steps[] = {
    [STEP_CONNECT] = {"connect", 30 * SECOND, NULL},
    [STEP_GREETING] = {"greeting", 5 * MINUTE, opening_on_greeting},
    [STEP_EHLO] = {"EHLO", 5 * MINUTE, opening_on_ehlo},
    [STEP_HELO] = {"HELO", 5 * MINUTE, opening_on_helo},
    [STEP_STARTTLS] = {"STARTTLS", 5 * MINUTE, opening_on_starttls},
    [STEP_HANDSHAKE] = {"handshake", 2 * MINUTE, NULL},
    [STEP_MAIL] = {"MAIL", 5 * MINUTE, transfer_on_mail},
    [STEP_RCPT] = {"RCPT", 5 * MINUTE, transfer_on_rcpt},
    [STEP_DATA] = {"DATA", 2 * MINUTE, transfer_on_data},
    [STEP_BODY] = {"message", 3 * MINUTE, transfer_on_early_reply},
    [STEP_END_OF_DATA] = {"end of message", 10 * MINUTE, transfer_on_end_of_data},
    [STEP_QUIT] = {"QUIT", 2 * SECOND, on_quit}, /* nothing hangs on it any more */
    [STEP_DONE] = {"end", 0, NULL},
};

/* ---- steps ---- */

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

void session_quit(struct smtp_session *session)
{
	session->ended_at = session->step;
	session->replies_due++;
	session_enter(session, STEP_QUIT);
	if (!stream_queue(&session->stream, "QUIT\r\n", 6))
		session_enter(session, STEP_DONE);
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
		session_lost(session);
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
		session_lost(session);
	}
	return result != STREAM_WAIT;
}

static bool handshake_step(struct smtp_session *session)
{
	enum stream_result result = stream_handshake(&session->stream);
	if (result == STREAM_OK)
		opening_on_handshake(session);
	else if (result == STREAM_ENDED)
		session_lost(session);
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
		session_timed_out(session);
	return session->step != STEP_DONE;
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
	const struct resolverd_address *address = options->address;
	if (stream_connect(&session->stream, address->ip, address->ip_bytes,
		(uint16_t)options->host->port) == STREAM_ENDED)
		session_lost(session);
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

const struct smtp_tls_info *smtp_session_tls(const struct smtp_session *session)
{
	return session->has_tls_info ? &session->tls : NULL;
}
