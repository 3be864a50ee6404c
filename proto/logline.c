/* SPDX-License-Identifier: BSD-3-Clause */
#include "proto/logline.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool logline_wants_json(void)
{
	const char *format = getenv("RESOLVERD_LOG_FORMAT");
	return format != NULL && strcmp(format, "json") == 0;
}

struct out {
	char *bytes;
	size_t used, room; /* room: what is left out beyond it */
};

static void put(struct out *out, const char *bytes, size_t count)
{
	if (out->used + count > out->room)
		return;
	memcpy(out->bytes + out->used, bytes, count);
	out->used += count;
}

static void put_text(struct out *out, const char *text)
{
	put(out, text, strlen(text));
}

/* ---- text ---- */

/* How many octets a well-formed UTF-8 character has here (RFC 3629), 0: none. */
static size_t character(const uint8_t *s)
{
	size_t count = s[0] < 0x80                   ? 1
		       : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		       : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
		       : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
						     : 0;
	for (size_t i = 1; i < count; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	bool is_long = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
	bool is_none = (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf4 && s[1] >= 0x90);
	return is_long || is_none ? 0 : count;
}

/* Names come from foreign data: what would control a terminal, C1 included, becomes a blank, what
 * is no UTF-8 a question mark. Returns how many octets of text that was. */
static size_t put_clean_character(struct out *out, const char *text)
{
	const uint8_t *s = (const uint8_t *)text;
	size_t count = character(s);
	bool is_control = s[0] < ' ' || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
	if (count == 0)
		put(out, "?", 1);
	else
		put(out, is_control ? " " : text, is_control ? 1 : count);
	return count > 0 ? count : 1;
}

static void put_clean(struct out *out, const char *text)
{
	while (*text != '\0')
		text += put_clean_character(out, text);
}

static bool is_plain(const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '"' || *c == '\\' || *c == '=')
			return false;
	return *text != '\0';
}

static void put_value(struct out *out, const char *text)
{
	if (is_plain(text)) {
		put_text(out, text);
		return;
	}
	put(out, "\"", 1);
	while (*text != '\0') {
		if (*text == '"' || *text == '\\')
			put(out, "\\", 1);
		text += put_clean_character(out, text);
	}
	put(out, "\"", 1);
}

static void write_text(const struct logline *line, const struct logline_field *fields,
    size_t field_count, struct out *out)
{
	put_text(out, line->program);
	if (line->role != NULL) {
		put(out, " ", 1);
		put_text(out, line->role);
	}
	put(out, ": ", 2);
	put_clean(out, line->message);
	if (line->event != NULL) {
		put_text(out, " event=");
		put_text(out, line->event);
	}
	for (size_t i = 0; i < field_count; i++) {
		put(out, " ", 1);
		put_text(out, fields[i].key);
		put(out, "=", 1);
		put_value(out, fields[i].value);
	}
}

/* ---- JSON (RFC 8259) ---- */

#define ENDS_BYTES 64u /* what closes strings and object has room in any case */

static void put_string(struct out *out, const char *text)
{
	const uint8_t *s = (const uint8_t *)text;
	put(out, "\"", 1);
	while (*s != '\0' && out->used + ENDS_BYTES < out->room) {
		char escaped[8];
		size_t count = character(s);
		if (*s == '"' || *s == '\\')
			snprintf(escaped, sizeof escaped, "\\%c", *s);
		else if (*s < ' ' || *s == 0x7f)
			snprintf(escaped, sizeof escaped, "\\u%04x", *s);
		else
			escaped[0] = '\0';
		if (escaped[0] != '\0')
			put_text(out, escaped);
		else if (count == 0)
			put_text(out, "\\ufffd");
		else
			put(out, (const char *)s, count);
		s += count > 0 ? count : 1;
	}
	put(out, "\"", 1);
}

static void put_member(struct out *out, const char *key, const char *value)
{
	if (out->bytes[out->used - 1] != '{')
		put(out, ",", 1);
	put_string(out, key);
	put(out, ":", 1);
	put_string(out, value);
}

static const char *level_of(int priority)
{
	static const char *const levels[] = {"fatal", "error", "warning", "notice", "info"};
	return priority >= 2 && priority <= 6 ? levels[priority - 2] : "info";
}

static void write_json(const struct logline *line, const struct logline_field *fields,
    size_t field_count, struct out *out)
{
	char at[40], second[24];
	struct timespec now;
	struct tm utc;
	clock_gettime(CLOCK_REALTIME, &now);
	strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &utc));
	snprintf(at, sizeof at, "%s.%03ldZ", second, now.tv_nsec / 1000000);
	put(out, "{", 1);
	put_member(out, "time", at);
	put_member(out, "level", level_of(line->priority));
	put_member(out, "program", line->program);
	if (line->role != NULL)
		put_member(out, "role", line->role);
	if (line->event != NULL)
		put_member(out, "event", line->event);
	put_member(out, "message", line->message);
	for (size_t i = 0; i < field_count; i++)
		if (out->used + strlen(fields[i].key) + 2 * ENDS_BYTES < out->room)
			put_member(out, fields[i].key, fields[i].value);
	put(out, "}", 1);
}

size_t logline_write(const struct logline *line, const struct logline_field *fields,
    size_t field_count, char ret_line[LOGLINE_MAX])
{
	struct out out = {.bytes = ret_line, .room = LOGLINE_MAX - 2};
	if (line->with_priority) {
		char priority[8];
		snprintf(priority, sizeof priority, "<%d>", line->priority);
		put_text(&out, priority);
	}
	if (line->as_json)
		write_json(line, fields, field_count, &out);
	else
		write_text(line, fields, field_count, &out);
	ret_line[out.used++] = '\n';
	return out.used;
}
