/* SPDX-License-Identifier: BSD-3-Clause */
/* MAIL, RCPT, DATA and the message: the part of a session that hands something over. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/smtp/session_internal.h"

#define BLOCK_BYTES 8000u /* every octet of it may need a dot in front: that fits twice */
_Static_assert(2 * BLOCK_BYTES + 3 <= STREAM_OUT_BYTES, "a block, stuffed, and the end of data");

/* Whether the host can take this mail at all; fails the session where not. */
static bool host_can(struct smtp_session *session)
{
	const struct smtp_mail *mail = session->options.mail;
	const struct smtp_capabilities *offered = &session->capabilities;
	if (session->options.tls == SMTP_TLS_REQUIRETLS && !offered->requiretls)
		session_fail(session, SMTP_NO_REQUIRETLS,
		    "the server does not offer REQUIRETLS, which this mail demands");
	else if (offered->size_max != 0 && mail->bytes > offered->size_max)
		session_fail(session, SMTP_TOO_BIG,
		    "the mail has %" PRIu64 " octets, the server takes %" PRIu64, mail->bytes,
		    offered->size_max);
	else if (mail->utf8_name && !offered->smtputf8)
		session_fail(session, SMTP_NO_UTF8_NAME,
		    "the server does not offer SMTPUTF8, which an address of this mail needs");
	else if (mail->utf8_header && !offered->smtputf8)
		session_fail(session, SMTP_NO_UTF8_HEADER,
		    "the server does not offer SMTPUTF8, which the header of this mail needs");
	else if (mail->eight_bit && !offered->eight_bit_mime)
		session_fail(session, SMTP_NO_8BITMIME,
		    "the server does not offer 8BITMIME, and the mail has 8-bit text");
	else
		return true;
	return false;
}

static struct smtp_recipient *next_open(const struct smtp_mail *mail, size_t *cursor)
{
	while (*cursor < mail->recipient_count) {
		struct smtp_recipient *recipient = mail->recipients[(*cursor)++];
		if (recipient->fate == SMTP_OPEN)
			return recipient;
	}
	return NULL;
}

/* As many RCPT as may be on their way at once: all that fit with PIPELINING (RFC 2920), else one.
 * DATA waits for the answers: whether it makes sense is known only then. */
static void send_rcpts(struct smtp_session *session)
{
	const struct smtp_mail *mail = session->options.mail;
	struct smtp_recipient *recipient;
	while ((session->replies_due == 0 || session->capabilities.pipelining) &&
	       stream_room(&session->stream) >= STREAM_OUT_BYTES / 4 &&
	       (recipient = next_open(mail, &session->to_send)) != NULL) {
		enum step step = session->step; /* MAIL, as long as its answer is due */
		session_say(session, step, "RCPT TO:<%s>", recipient->address);
		if (session->step != step)
			return;
	}
	if (session->replies_due == 0 && session->taken > 0)
		session_say(session, STEP_DATA, "DATA");
	else if (session->replies_due == 0)
		session_quit(session);
}

void transfer_begin(struct smtp_session *session)
{
	const struct smtp_mail *mail = session->options.mail;
	const struct smtp_capabilities *offered = &session->capabilities;
	if (session_is_too_late(session, time(NULL)))
		return;
	if (mail == NULL) {
		session_quit(session);
		return;
	}
	if (!host_can(session))
		return;
	char size[40] = "";
	if (offered->size)
		snprintf(size, sizeof size, " SIZE=%" PRIu64, mail->bytes);
	session_say(session, STEP_MAIL, "MAIL FROM:<%s>%s%s%s%s", mail->from, size,
	    mail->eight_bit && offered->eight_bit_mime ? " BODY=8BITMIME" : "",
	    mail->utf8_name || mail->utf8_header ? " SMTPUTF8" : "",
	    session->options.tls == SMTP_TLS_REQUIRETLS ? " REQUIRETLS" : "");
	if (session->step == STEP_MAIL && offered->pipelining)
		send_rcpts(session);
}

/* What the last reply says about one recipient. */
static void settle(struct smtp_session *session, struct smtp_recipient *recipient)
{
	char status[SMTP_STATUS_MAX];
	session_reply_status(session, status);
	session_set_reason(session, NULL);
	switch (session->reply.code / 100) {
	case 2:
		recipient->fate = SMTP_DELIVERED;
		session_note(session, recipient, SMTP_OK, status);
		break;
	case 5:
		recipient->fate = SMTP_FAILED;
		session_note(session, recipient, SMTP_REFUSED, status);
		break;
	default:
		recipient->fate = SMTP_OPEN;
		if (status[0] != '4') /* a 354 that nobody asked for */
			snprintf(status, sizeof status, "4.5.0");
		session_note(session, recipient, SMTP_REFUSED, status);
		break;
	}
}

/* What the last reply says about all recipients the server had taken. */
static void settle_taken(struct smtp_session *session)
{
	const struct smtp_mail *mail = session->options.mail;
	for (size_t i = 0; i < mail->recipient_count; i++)
		if (mail->recipients[i]->fate == SMTP_TAKEN)
			settle(session, mail->recipients[i]);
}

/* A refused MAIL refuses the mail: for good (5yz), or at this host now. RCPTs that are on their way
 * will be answered, too, and these answers say nothing. */
static void mail_refused(struct smtp_session *session)
{
	const struct smtp_mail *mail = session->options.mail;
	for (size_t i = 0; i < mail->recipient_count; i++)
		if (mail->recipients[i]->fate == SMTP_OPEN)
			settle(session, mail->recipients[i]);
	session->failure = SMTP_REFUSED;
	session_quit(session);
}

void transfer_on_mail(struct smtp_session *session)
{
	if (session->reply.code / 100 != 2) {
		mail_refused(session);
		return;
	}
	session_enter(session, STEP_RCPT);
	send_rcpts(session);
}

/* Whether the server has enough recipients for one transaction; 552 is what RFC 821 had for it (RFC
 * 5321 section 4.5.3.1.10). */
static bool is_one_too_many(const struct smtp_session *session)
{
	char status[SMTP_STATUS_MAX];
	return (session->reply.code == 452 || session->reply.code == 552) && session->taken > 0 &&
	       (!smtp_reply_status(&session->reply, status) || strcmp(status + 1, ".5.3") == 0);
}

void transfer_on_rcpt(struct smtp_session *session)
{
	struct smtp_recipient *recipient = next_open(session->options.mail, &session->to_answer);
	if (session->reply.code / 100 == 2) {
		recipient->fate = SMTP_TAKEN;
		session->taken++;
	} else if (is_one_too_many(session)) {
		session_set_reason(session, NULL);
		session_note(session, recipient, SMTP_REFUSED, SMTP_STATUS_TOO_MANY);
	} else {
		settle(session, recipient);
	}
	session_enter(session, STEP_RCPT);
	send_rcpts(session);
}

void transfer_on_data(struct smtp_session *session)
{
	if (session->reply.code / 100 >= 4) {
		settle_taken(session);
		session->failure = SMTP_REFUSED;
		session_quit(session);
		return;
	}
	if (session->reply.code != 354) { /* nothing was handed over, so nothing is delivered */
		session_fail(session, SMTP_PROTOCOL, "the server answered with code %03u",
		    session->reply.code);
		return;
	}
	session->at_line_start = true;
	session_enter(session, STEP_BODY);
}

/* The server did not wait for the end. A refusal counts; then the connection is of no use. */
void transfer_on_early_reply(struct smtp_session *session)
{
	if (session->reply.code / 100 < 4) {
		session_fail(
		    session, SMTP_PROTOCOL, "the server answered before the message ended");
		return;
	}
	settle_taken(session);
	session->failure = SMTP_REFUSED;
	session->ended_at = session->step;
	session_enter(session, STEP_DONE);
}

void transfer_on_end_of_data(struct smtp_session *session)
{
	if (session->reply.code / 100 == 3) { /* one too many of DATA, maybe */
		session_fail(session, SMTP_PROTOCOL, "the server answered with code %03u",
		    session->reply.code);
		return;
	}
	settle_taken(session);
	if (session->reply.code / 100 != 2)
		session->failure = SMTP_REFUSED;
	session_quit(session);
}

/* RFC 5321 section 4.5.2: a dot in front of each line that begins with one. Returns the octets
 * written. */
static size_t stuff(
    struct smtp_session *session, const uint8_t *bytes, size_t count, uint8_t *ret_stuffed)
{
	size_t length = 0;
	for (size_t i = 0; i < count; i++) {
		if (session->at_line_start && bytes[i] == '.')
			ret_stuffed[length++] = '.';
		ret_stuffed[length++] = bytes[i];
		session->at_line_start = bytes[i] == '\n';
	}
	return length;
}

void transfer_fill(struct smtp_session *session)
{
	const struct smtp_mail *mail = session->options.mail;
	uint8_t block[BLOCK_BYTES], stuffed[2 * BLOCK_BYTES];
	if (session->body_sent == mail->bytes) {
		session->dot_sent = true;
		session->replies_due = 1;
		(void)stream_queue(&session->stream, ".\r\n", 3); /* the buffer is empty */
		session_enter(session, STEP_END_OF_DATA);
		return;
	}
	ssize_t count = pread(mail->fd, block, sizeof block, (off_t)session->body_sent);
	if (count <= 0) {
		session_fail(session, SMTP_LOCAL, "cannot read the message: %s",
		    count == 0 ? "it got shorter" : strerror(errno));
		return;
	}
	session->body_sent += (uint64_t)count;
	(void)stream_queue(
	    &session->stream, stuffed, stuff(session, block, (size_t)count, stuffed));
	session_enter(session, STEP_BODY);
}
