/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/smtp/reply.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CODE_DIGITS 3u

void smtp_reply_start(struct smtp_reply *reply)
{
	reply->code = 0;
	reply->text_bytes = 0;
	reply->text[0] = '\0';
	reply->lines = 0;
	reply->complaint = NULL;
	memset(&reply->line, 0, sizeof reply->line);
}

static enum smtp_parse malformed(struct smtp_reply *reply, const char *complaint)
{
	reply->complaint = complaint;
	return SMTP_PARSE_MALFORMED;
}

static enum smtp_parse append(struct smtp_reply *reply, char c)
{
	if (reply->text_bytes == SMTP_REPLY_TEXT_MAX)
		return malformed(reply, "a reply of more than 16384 octets");
	reply->text[reply->text_bytes++] = c;
	reply->text[reply->text_bytes] = '\0';
	return SMTP_PARSE_MORE;
}

static enum smtp_parse end_line(struct smtp_reply *reply)
{
	if (reply->line.column < CODE_DIGITS)
		return malformed(reply, "a line that does not begin with a reply code");
	bool is_last = reply->line.is_last || reply->line.column == CODE_DIGITS;
	memset(&reply->line, 0, sizeof reply->line);
	reply->lines++;
	if (is_last)
		return SMTP_PARSE_COMPLETE;
	if (reply->lines == SMTP_REPLY_LINES_MAX)
		return malformed(reply, "a reply of more than 128 lines");
	return append(reply, '\n');
}

/* One of the three digits: 2 to 5, 0 to 5, any (RFC 5321 section 4.2). */
static enum smtp_parse code_digit(struct smtp_reply *reply, uint8_t c)
{
	static const char *const digits[CODE_DIGITS] = {"2345", "012345", "0123456789"};
	if (c == '\0' || strchr(digits[reply->line.column], c) == NULL)
		return malformed(reply, "a line that does not begin with a reply code");
	reply->line.code = reply->line.code * 10 + (c - '0');
	if (++reply->line.column < CODE_DIGITS)
		return SMTP_PARSE_MORE;
	if (reply->lines > 0 && reply->line.code != reply->code)
		return malformed(reply, "a reply whose lines have different codes");
	reply->code = reply->line.code;
	return SMTP_PARSE_MORE;
}

static enum smtp_parse character(struct smtp_reply *reply, uint8_t c)
{
	if (reply->line.column < CODE_DIGITS)
		return code_digit(reply, c);
	if (reply->line.column++ == CODE_DIGITS) {
		reply->line.is_last = c == ' ';
		return c == ' ' || c == '-'
			   ? SMTP_PARSE_MORE
			   : malformed(reply, "a reply code without a blank or a hyphen behind it");
	}
	return append(reply, c == '\t' ? ' ' : c >= ' ' && c <= '~' ? (char)c : '?');
}

static enum smtp_parse octet(struct smtp_reply *reply, uint8_t c)
{
	if (++reply->line.bytes > SMTP_REPLY_LINE_MAX)
		return malformed(reply, "a line of more than 2048 octets");
	if (c == '\n')
		return end_line(reply);
	bool was_cr = reply->line.after_cr;
	reply->line.after_cr = c == '\r';
	enum smtp_parse parse = was_cr ? character(reply, '\r') : SMTP_PARSE_MORE;
	return parse != SMTP_PARSE_MORE || c == '\r' ? parse : character(reply, c);
}

enum smtp_parse smtp_reply_feed(
    struct smtp_reply *reply, const uint8_t *bytes, size_t count, size_t *ret_consumed)
{
	enum smtp_parse parse = SMTP_PARSE_MORE;
	size_t i = 0;
	while (i < count && parse == SMTP_PARSE_MORE)
		parse = octet(reply, bytes[i++]);
	*ret_consumed = i;
	return parse;
}

static size_t digits(const char *text, size_t at_most)
{
	size_t n = strspn(text, "0123456789");
	return n <= at_most ? n : 0;
}

bool smtp_reply_status(const struct smtp_reply *reply, char ret_status[SMTP_STATUS_MAX])
{
	const char *text = reply->text;
	if (text[0] != (char)('0' + reply->code / 100) || text[1] != '.')
		return false;
	size_t subject = digits(text + 2, 3);
	if (subject == 0 || text[2 + subject] != '.')
		return false;
	size_t detail = digits(text + 3 + subject, 3);
	size_t length = 3 + subject + detail;
	if (detail == 0 || strchr(" \n", text[length]) == NULL) /* the final zero counts, too */
		return false;
	memcpy(ret_status, text, length);
	ret_status[length] = '\0';
	return true;
}

static void take_size(struct smtp_capabilities *capabilities, const char *parameter)
{
	capabilities->size = true;
	if (digits(parameter, 20) > 0)
		capabilities->size_max = strtoull(parameter, NULL, 10);
}

static void take_keyword(struct smtp_capabilities *capabilities, const char *keyword, size_t length)
{
	const struct {
		const char *keyword;
		bool *offered;
	} known[] = {
	    {"STARTTLS", &capabilities->starttls},
	    {"PIPELINING", &capabilities->pipelining},
	    {"8BITMIME", &capabilities->eight_bit_mime},
	    {"SMTPUTF8", &capabilities->smtputf8},
	    {"REQUIRETLS", &capabilities->requiretls},
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strlen(known[i].keyword) == length &&
		    strncasecmp(keyword, known[i].keyword, length) == 0)
			*known[i].offered = true;
	if (length == 4 && strncasecmp(keyword, "SIZE", 4) == 0)
		take_size(capabilities, keyword[4] == ' ' ? keyword + 5 : "");
}

void smtp_reply_capabilities(
    const struct smtp_reply *reply, struct smtp_capabilities *ret_capabilities)
{
	*ret_capabilities = (struct smtp_capabilities){0};
	const char *line = strchr(reply->text, '\n'); /* the first names the server */
	while (line != NULL) {
		line++;
		take_keyword(ret_capabilities, line, strcspn(line, " \n"));
		line = strchr(line, '\n');
	}
}
