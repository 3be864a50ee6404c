/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SMTP replies (RFC 5321 section 4.2), read as they arrive, and what an EHLO reply offers.
 * Pure: no descriptor, no allocation, no clock. Everything a server may send is bounded here, so
 * that an endless line or an endless reply ends as malformed, not as memory or time.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SMTP_REPLY_LINE_MAX 2048u /* octets; RFC 5321 section 4.5.3.1.5 says 512 */
#define SMTP_REPLY_LINES_MAX 128u
#define SMTP_REPLY_TEXT_MAX 16384u
#define SMTP_STATUS_MAX 12u /* "5.123.123" and the final zero, with room */

enum smtp_parse {
	SMTP_PARSE_MORE,
	SMTP_PARSE_COMPLETE,
	SMTP_PARSE_MALFORMED, /* for good: close the connection */
};

struct smtp_reply {
	unsigned code; /* 200 to 559 */
	/* The lines without their codes, joined by '\n'; printable ASCII, anything else is '?'. */
	char text[SMTP_REPLY_TEXT_MAX + 1];
	size_t text_bytes;
	size_t lines;
	const char *complaint; /* after MALFORMED: what is wrong, static */
	struct {               /* of the line being read */
		size_t bytes;
		size_t column;
		unsigned code;
		bool is_last;
		bool after_cr;
	} line;
};

void smtp_reply_start(struct smtp_reply *reply);

/* Reads on up to the end of the reply; ret_consumed says how far. Lines end with CRLF; a lone LF is
 * taken, too. After COMPLETE, start again before the next one. */
[[nodiscard]] enum smtp_parse smtp_reply_feed(
    struct smtp_reply *reply, const uint8_t *bytes, size_t count, size_t *ret_consumed);

/* The enhanced status code (RFC 2034) that begins the text; false when there is none, or one of
 * another class than the code's. */
bool smtp_reply_status(const struct smtp_reply *reply, char ret_status[SMTP_STATUS_MAX]);

struct smtp_capabilities { /* RFC 5321 section 4.1.1.1 and the registry of extensions */
	bool starttls;
	bool pipelining;
	bool eight_bit_mime;
	bool smtputf8;
	bool requiretls;
	bool size;
	uint64_t size_max; /* 0: not told */
};

/* What a 250 reply to EHLO offers. */
void smtp_reply_capabilities(
    const struct smtp_reply *reply, struct smtp_capabilities *ret_capabilities);
