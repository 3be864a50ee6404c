/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by session.c (steps and driving), failure.c, opening.c (up to the verdict) and transfer.c
 * (the mail). */
#pragma once
#include "client/smtp/session.h"
#include "client/smtp/stream.h"

enum step { /* in the order of a session */
	STEP_CONNECT,
	STEP_GREETING,
	STEP_EHLO,
	STEP_HELO,
	STEP_STARTTLS,
	STEP_HANDSHAKE,
	STEP_MAIL,
	STEP_RCPT,
	STEP_DATA,
	STEP_BODY,
	STEP_END_OF_DATA,
	STEP_QUIT,
	STEP_DONE,
};

struct smtp_session {
	struct smtp_options options;
	struct stream stream;
	enum step step;
	enum step ended_at;
	int64_t now_ms; /* of the current call */
	int64_t deadline_ms;
	struct smtp_reply reply;
	bool reply_complete;
	struct smtp_capabilities capabilities;
	unsigned replies_due; /* commands sent and not answered */
	bool has_tls_info;
	struct smtp_tls_info tls;
	enum smtp_failure failure;
	bool reason_is_reply; /* the last one */
	char reason[768];

	/* the mail */
	size_t to_send, to_answer; /* recipients: next RCPT, next answer */
	size_t taken;
	uint64_t body_sent;
	unsigned fills_left; /* in the current call */
	bool at_line_start;
	bool dot_sent; /* or about to be: from here on a loss is in doubt */
};

void session_enter(struct smtp_session *session, enum step step);

/* Queues one command line (without CRLF), whose reply is then due at this step. Fails the session
 * when the server has already said something it was not asked for. */
[[gnu::format(printf, 3, 4)]] void session_say(
    struct smtp_session *session, enum step step, const char *format, ...);

/* Ends it with a failure, told to every recipient that is still open; says QUIT where the
 * connection is still worth it. Between the final dot and its reply any failure is SMTP_IN_DOUBT.
 */
[[gnu::format(printf, 3, 4)]] void session_fail(
    struct smtp_session *session, enum smtp_failure failure, const char *format, ...);
/* The same with the last reply as the reason. */
void session_fail_by_reply(struct smtp_session *session, enum smtp_failure failure);
/* The last reply refuses the session, or makes no sense at this step. */
void session_refused(struct smtp_session *session);
/* The connection ended; the time of the step, or all of it, is up. */
void session_lost(struct smtp_session *session);
void session_timed_out(struct smtp_session *session);
/* Ends it in good order. */
void session_quit(struct smtp_session *session);

/* status for the last reply: its own, or one made of its class. */
void session_reply_status(const struct smtp_session *session, char ret_status[SMTP_STATUS_MAX]);
/* smtp_recipient_note with the session's reason, and the last reply where that is the reason. */
void session_note(const struct smtp_session *session, struct smtp_recipient *recipient,
    enum smtp_failure failure, const char *status);
/* Whether the plan, or a host asked alone, is out of date by now; if so, fails the session. */
bool session_is_too_late(struct smtp_session *session, time_t now);
/* With text NULL the last reply is the reason. */
void session_set_reason(struct smtp_session *session, const char *text);

/* ---- opening.c ---- */

void opening_on_greeting(struct smtp_session *session);
void opening_on_ehlo(struct smtp_session *session);
void opening_on_helo(struct smtp_session *session);
void opening_on_starttls(struct smtp_session *session);
void opening_on_handshake(struct smtp_session *session);

/* ---- transfer.c ---- */

/* The host may be given the mail, or, without one, QUIT. */
void transfer_begin(struct smtp_session *session);
void transfer_on_mail(struct smtp_session *session);
void transfer_on_rcpt(struct smtp_session *session);
void transfer_on_data(struct smtp_session *session);
void transfer_on_early_reply(struct smtp_session *session);
void transfer_on_end_of_data(struct smtp_session *session);
/* More of the message into the empty output buffer. */
void transfer_fill(struct smtp_session *session);
