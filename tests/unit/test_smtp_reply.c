/* SPDX-License-Identifier: BSD-3-Clause */
/* SMTP replies as servers send them, and as they must not (client/smtp/reply.h). */
#include <stdlib.h>
#include <string.h>

#include "client/smtp/reply.h"
#include "tests/unit/test.h"

static enum smtp_parse feed(struct smtp_reply *reply, const char *bytes, size_t *ret_consumed)
{
	smtp_reply_start(reply);
	return smtp_reply_feed(reply, (const uint8_t *)bytes, strlen(bytes), ret_consumed);
}

static const struct {
	const char *input;
	enum smtp_parse result;
	unsigned code;
	const char *text; /* of a malformed reply: the complaint */
} rows[] = {
    {"220 mx.example.org ESMTP\r\n", SMTP_PARSE_COMPLETE, 220, "mx.example.org ESMTP"},
    {"250\r\n", SMTP_PARSE_COMPLETE, 250, ""},
    {"250 \r\n", SMTP_PARSE_COMPLETE, 250, ""},
    {"250 ok\n", SMTP_PARSE_COMPLETE, 250, "ok"},
    {"250-a\r\n250-b\r\n250 c\r\n", SMTP_PARSE_COMPLETE, 250, "a\nb\nc"},
    {"250-a\r\n250\r\n", SMTP_PARSE_COMPLETE, 250, "a\n"},
    {"250-\r\n250 \r\n", SMTP_PARSE_COMPLETE, 250, "\n"},
    {"559 tab\there\r\n", SMTP_PARSE_COMPLETE, 559, "tab here"},
    {"250 bell\a, \xc3\xbc, bare \r CR\r\n", SMTP_PARSE_COMPLETE, 250, "bell?, ??, bare ? CR"},
    {"250 two\r\r\n", SMTP_PARSE_COMPLETE, 250, "two?"},
    {"", SMTP_PARSE_MORE, 0, ""},
    {"25", SMTP_PARSE_MORE, 0, ""},
    {"250 ok", SMTP_PARSE_MORE, 250, "ok"},
    {"250-ok\r\n", SMTP_PARSE_MORE, 250, "ok\n"},
    {"\r\n", SMTP_PARSE_MALFORMED, 0, "a line that does not begin with a reply code"},
    {"25\r\n", SMTP_PARSE_MALFORMED, 0, "a line that does not begin with a reply code"},
    {"SSH-2.0-x\r\n", SMTP_PARSE_MALFORMED, 0, "a line that does not begin with a reply code"},
    {"150 no\r\n", SMTP_PARSE_MALFORMED, 0, "a line that does not begin with a reply code"},
    {"260 no\r\n", SMTP_PARSE_MALFORMED, 0, "a line that does not begin with a reply code"},
    {"2500 no\r\n", SMTP_PARSE_MALFORMED, 0, "a reply code without a blank or a hyphen behind it"},
    {"250-a\r\n251 b\r\n", SMTP_PARSE_MALFORMED, 0, "a reply whose lines have different codes"},
    {"250-a\r\nb\r\n", SMTP_PARSE_MALFORMED, 0, "a line that does not begin with a reply code"},
};

static void replies(void **state)
{
	(void)state;
	static struct smtp_reply reply;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t consumed;
		assert_int_equal(feed(&reply, rows[i].input, &consumed), rows[i].result);
		if (rows[i].result == SMTP_PARSE_MALFORMED) {
			assert_string_equal(reply.complaint, rows[i].text);
			continue;
		}
		assert_int_equal(consumed, strlen(rows[i].input));
		assert_int_equal(reply.code, rows[i].code);
		assert_string_equal(reply.text, rows[i].text);
	}
}

/* However the bytes arrive, the reply is the same. */
static void a_byte_at_a_time(void **state)
{
	(void)state;
	static struct smtp_reply reply;
	for (size_t i = 0; i < COUNT(rows); i++) {
		enum smtp_parse result = SMTP_PARSE_MORE;
		smtp_reply_start(&reply);
		for (const char *c = rows[i].input; *c != '\0' && result == SMTP_PARSE_MORE; c++) {
			size_t consumed;
			result = smtp_reply_feed(&reply, (const uint8_t *)c, 1, &consumed);
			assert_int_equal(consumed, 1);
		}
		assert_int_equal(result, rows[i].result);
		if (result != SMTP_PARSE_MALFORMED)
			assert_string_equal(reply.text, rows[i].text);
	}
}

/* What follows a reply is left alone: after STARTTLS it would be an attack. */
static void stops_at_the_end(void **state)
{
	(void)state;
	static struct smtp_reply reply;
	size_t consumed;
	assert_int_equal(
	    feed(&reply, "220 go\r\n250 injected\r\n", &consumed), SMTP_PARSE_COMPLETE);
	assert_int_equal(consumed, 8);
}

/* Feeds `line` until the parser has had enough; the octets it took. */
static size_t feed_for_ever(struct smtp_reply *reply, const char *first, const char *line)
{
	size_t consumed, total;
	enum smtp_parse result = feed(reply, first, &total);
	while (result == SMTP_PARSE_MORE) {
		result = smtp_reply_feed(reply, (const uint8_t *)line, strlen(line), &consumed);
		total += consumed;
		assert_true(total < 1000000);
	}
	assert_int_equal(result, SMTP_PARSE_MALFORMED);
	return total;
}

static void everything_is_bounded(void **state)
{
	(void)state;
	static struct smtp_reply reply;
	assert_int_equal(feed_for_ever(&reply, "220 ", "x"), SMTP_REPLY_LINE_MAX + 1);
	assert_string_equal(reply.complaint, "a line of more than 2048 octets");
	feed_for_ever(&reply, "", "250-\r\n");
	assert_string_equal(reply.complaint, "a reply of more than 128 lines");
	char line[1024];
	memset(line, 'x', sizeof line);
	memcpy(line, "250-", 4);
	memcpy(line + sizeof line - 3, "\r\n", 3);
	feed_for_ever(&reply, "", line);
	assert_string_equal(reply.complaint, "a reply of more than 16384 octets");
	assert_int_equal(strlen(reply.text), SMTP_REPLY_TEXT_MAX);
}

static void enhanced_status(void **state)
{
	(void)state;
	static const struct {
		const char *input;
		const char *status; /* NULL: none */
	} status_rows[] = {
	    {"250 2.1.5 ok\r\n", "2.1.5"},
	    {"550 5.7.1\r\n", "5.7.1"},
	    {"550-5.123.456 a\r\n550 b\r\n", "5.123.456"},
	    {"550-5.1.1\r\n550 5.1.1 b\r\n", "5.1.1"},
	    {"550 4.1.1 class differs\r\n", NULL},
	    {"550 5.1 short\r\n", NULL},
	    {"550 5.1.1x glued\r\n", NULL},
	    {"550 5.1234.1 long\r\n", NULL},
	    {"550 5.1.1234 long\r\n", NULL},
	    {"550 5..1 empty\r\n", NULL},
	    {"550 no\r\n", NULL},
	    {"550\r\n", NULL},
	};
	static struct smtp_reply reply;
	for (size_t i = 0; i < COUNT(status_rows); i++) {
		size_t consumed;
		char status[SMTP_STATUS_MAX] = "";
		assert_int_equal(
		    feed(&reply, status_rows[i].input, &consumed), SMTP_PARSE_COMPLETE);
		bool found = smtp_reply_status(&reply, status);
		assert_int_equal(found, status_rows[i].status != NULL);
		assert_string_equal(status, found ? status_rows[i].status : "");
	}
}

static void capabilities(void **state)
{
	(void)state;
	static struct smtp_reply reply;
	struct smtp_capabilities offered;
	size_t consumed;
	(void)feed(&reply,
	    "250-STARTTLS is no offer in the first line\r\n250-Pipelining\r\n250-SIZE 10240000\r\n"
	    "250-8BITMIME\r\n250-XSTARTTLS\r\n250 SMTPUTF8\r\n",
	    &consumed);
	smtp_reply_capabilities(&reply, &offered);
	assert_false(offered.starttls);
	assert_true(
	    offered.pipelining && offered.eight_bit_mime && offered.smtputf8 && offered.size);
	assert_false(offered.requiretls);
	assert_int_equal(offered.size_max, 10240000);

	(void)feed(&reply,
	    "250-mx\r\n250-starttls x\r\n250-REQUIRETLS\r\n250-SIZE\r\n250 PIPELININGS\r\n",
	    &consumed);
	smtp_reply_capabilities(&reply, &offered);
	assert_true(offered.starttls && offered.requiretls && offered.size);
	assert_false(offered.pipelining || offered.eight_bit_mime || offered.smtputf8);
	assert_int_equal(offered.size_max, 0);

	(void)feed(&reply, "250 mx\r\n", &consumed);
	smtp_reply_capabilities(&reply, &offered);
	assert_false(offered.starttls || offered.size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(replies),
	    cmocka_unit_test(a_byte_at_a_time),
	    cmocka_unit_test(stops_at_the_end),
	    cmocka_unit_test(everything_is_bounded),
	    cmocka_unit_test(enhanced_status),
	    cmocka_unit_test(capabilities),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
