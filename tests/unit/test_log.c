/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines of the log: whatever the texts hold, one line stays one line and says what was meant; and
 * of one event not too many. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "proto/logline.h"
#include "resolverd/base/log.h"
#include "tests/unit/test.h"

static const struct logline plain = {.priority = 4,
    .program = "resolverd",
    .role = "server",
    .event = "test",
    .message = "it is so"};

static size_t text_of(const struct logline *line, const struct logline_field *fields, size_t count,
    char text[LOGLINE_MAX + 1])
{
	size_t bytes = logline_write(line, fields, count, text);
	assert_in_range(bytes, 1, LOGLINE_MAX);
	text[bytes] = '\0';
	assert_ptr_equal(strchr(text, '\n'), text + bytes - 1);
	return bytes;
}

static void text_is_a_sentence_and_fields(void **state)
{
	char text[LOGLINE_MAX + 1];
	const struct logline_field fields[] = {{"name", "example.org"},
	    {"before", "2 hosts, secure"}, {"quote", "a \"b\" \\"}, {"empty", ""},
	    {"equals", "a=b"}};
	struct logline line = plain;
	(void)state;
	text_of(&line, fields, 5, text);
	assert_string_equal(text,
	    "resolverd server: it is so event=test name=example.org before=\"2 hosts, secure\" "
	    "quote=\"a \\\"b\\\" \\\\\" empty=\"\" equals=\"a=b\"\n");
	line.with_priority = true;
	line.role = NULL;
	line.event = NULL;
	text_of(&line, NULL, 0, text);
	assert_string_equal(text, "<4>resolverd: it is so\n");
}

static void what_is_foreign_adds_no_line_and_no_field(void **state)
{
	char text[LOGLINE_MAX + 1];
	const struct logline_field fields[] = {{"name", "a\nresolverd: fake event=x\x1b[31m"}};
	struct logline line = plain;
	(void)state;
	line.message = "a\r\n\x7f\x01";
	text_of(&line, fields, 1, text);
	assert_string_equal(text, "resolverd server: a     event=test name=\"a resolverd: fake "
				  "event=x [31m\"\n");
	line.message = "b\x9b"
		       "2J\xc2\x9b"
		       "2J\xc3\xa4\xff"; /* C1 controls, as octets and as UTF-8 */
	text_of(&line, fields, 0, text);
	assert_string_equal(text, "resolverd server: b?2J 2J\xc3\xa4? event=test\n");
}

static json_t *json_of(const struct logline *line, const struct logline_field *fields, size_t count)
{
	char text[LOGLINE_MAX + 1];
	json_error_t error;
	text_of(line, fields, count, text);
	json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (object == NULL)
		fail_msg("%s: %s", error.text, text);
	return object;
}

static void json_is_an_object_with_all_of_it(void **state)
{
	const struct logline_field fields[] = {{"name", "b\303\274cher.example"}};
	struct logline line = plain;
	(void)state;
	line.as_json = true;
	json_t *object = json_of(&line, fields, 1);
	static const char *const expected[][2] = {{"level", "warning"}, {"program", "resolverd"},
	    {"role", "server"}, {"event", "test"}, {"message", "it is so"},
	    {"name", "b\303\274cher.example"}};
	for (size_t i = 0; i < COUNT(expected); i++)
		assert_string_equal(
		    json_string_value(json_object_get(object, expected[i][0])), expected[i][1]);
	const char *at = json_string_value(json_object_get(object, "time"));
	assert_int_equal(strlen(at), strlen("2026-11-27T03:10:00.123Z"));
	json_decref(object);
}

/* Every octet, and what is not UTF-8. */
static void json_stays_json_whatever_is_in_it(void **state)
{
	static const char *const bad[] = {"\xff", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80",
	    "\xf4\x90\x80\x80", "\xf0\x80\x80\x80", "\xc3", "\xe2\x82", "\xf0\x9f\x98",
	    "a\"b\\c\n\t\x01"};
	struct logline line = plain;
	char all[256];
	(void)state;
	line.as_json = true;
	for (unsigned c = 1; c < 256; c++)
		all[c - 1] = (char)c;
	all[255] = '\0';
	line.message = all;
	json_decref(json_of(&line, NULL, 0));
	for (size_t i = 0; i < COUNT(bad); i++) {
		const struct logline_field fields[] = {{"name", bad[i]}};
		line.message = bad[i];
		json_decref(json_of(&line, fields, 1));
	}
}

static void what_is_too_long_is_cut_and_well_formed(void **state)
{
	static char long_text[3 * LOGLINE_MAX];
	static const char fill[] = {'x', '"', '\x01', '\xff'};
	struct logline line = plain;
	char text[LOGLINE_MAX + 1];
	(void)state;
	for (size_t i = 0; i < sizeof fill; i++) {
		memset(long_text, fill[i], sizeof long_text - 1);
		const struct logline_field fields[] = {{"one", long_text}, {"two", long_text}};
		line.as_json = true;
		line.message = "short";
		json_t *object = json_of(&line, fields, 2);
		assert_non_null(json_object_get(object, "one"));
		json_decref(object);
		line.message = long_text;
		json_decref(json_of(&line, fields, 2));
		line.as_json = false;
		text_of(&line, fields, 2, text);
	}
}

static void a_flood_of_one_event_is_bounded_and_counted(void **state)
{
	int64_t now_ms = 1000000;
	uint64_t left_out = 0;
	unsigned said = 0;
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		said += log_admit("flood", now_ms, &left_out);
	assert_int_equal(said, LOG_BURST);
	assert_int_equal(left_out, 0);
	assert_int_equal(log_admit("another", now_ms, &left_out), 1); /* others are not held up */
	now_ms += 60000 / LOG_PER_MIN;
	assert_int_equal(log_admit("flood", now_ms, &left_out), 1);
	assert_int_equal(left_out, 1000 - LOG_BURST);
	assert_int_equal(log_admit("flood", now_ms, &left_out), 0);
	now_ms += 3600000;
	for (said = 0; log_admit("flood", now_ms, &left_out) == 1; said++)
		;
	assert_int_equal(said, LOG_BURST); /* not more for having been silent */
}

static void more_events_than_places_share_one(void **state)
{
	static char names[300][16];
	uint64_t left_out;
	unsigned said = 0;
	(void)state;
	for (unsigned i = 0; i < COUNT(names); i++) {
		snprintf(names[i], sizeof names[i], "e%u", i);
		said += log_admit(names[i], 5000000, &left_out);
	}
	assert_in_range(said, 90, 96 + LOG_BURST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_is_a_sentence_and_fields),
	    cmocka_unit_test(what_is_foreign_adds_no_line_and_no_field),
	    cmocka_unit_test(json_is_an_object_with_all_of_it),
	    cmocka_unit_test(json_stays_json_whatever_is_in_it),
	    cmocka_unit_test(what_is_too_long_is_cut_and_well_formed),
	    cmocka_unit_test(a_flood_of_one_event_is_bounded_and_counted),
	    cmocka_unit_test(more_events_than_places_share_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
