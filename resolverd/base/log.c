/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/logline.h"
#include "resolverd/base/clock.h"

#define EVENTS_MAX 96u
#define MESSAGE_MAX 900u

struct bucket {
	const char *event;
	int64_t at_ms; /* mono; of the last refill */
	double tokens;
	uint64_t left_out;
};

/* Process-wide by nature, as stderr is: set once by log_open before anything logs. */
static struct {
	char role[32];
	bool with_priority, as_json;
	struct bucket buckets[EVENTS_MAX];
	uint64_t lost; /* lines that stderr did not take */
} log_state;

void log_open(const char *role)
{
	snprintf(log_state.role, sizeof log_state.role, "%s", role);
	log_state.with_priority = getenv("JOURNAL_STREAM") != NULL;
	log_state.as_json = logline_wants_json();
}

/* With more events than there are places the last place is theirs together. */
static struct bucket *bucket_of(const char *event)
{
	size_t i = 0;
	while (i < EVENTS_MAX - 1 && log_state.buckets[i].event != NULL &&
	       strcmp(log_state.buckets[i].event, event) != 0)
		i++;
	struct bucket *bucket = &log_state.buckets[i];
	if (bucket->event == NULL)
		*bucket = (struct bucket){.event = event, .tokens = LOG_BURST};
	return bucket;
}

unsigned log_admit(const char *event, int64_t now_ms, uint64_t *ret_left_out)
{
	struct bucket *bucket = bucket_of(event);
	if (bucket->at_ms != 0 && now_ms > bucket->at_ms)
		bucket->tokens += (double)(now_ms - bucket->at_ms) * LOG_PER_MIN / 60000;
	if (bucket->tokens > LOG_BURST)
		bucket->tokens = LOG_BURST;
	bucket->at_ms = now_ms;
	if (bucket->tokens < 1) {
		bucket->left_out++;
		return 0;
	}
	bucket->tokens -= 1;
	*ret_left_out = bucket->left_out;
	bucket->left_out = 0;
	return 1;
}

/* Whether stderr takes a line at once. */
static bool write_now(const char *line, size_t count)
{
	struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
	return poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) != 0 &&
	       write(STDERR_FILENO, line, count) == (ssize_t)count;
}

static bool say(enum log_level level, const char *event, const struct log_field *fields,
    size_t field_count, const char *message)
{
	char line[LOGLINE_MAX];
	const struct logline all = {.priority = (int)level,
	    .with_priority = log_state.with_priority,
	    .as_json = log_state.as_json,
	    .program = "resolverd",
	    .role = log_state.role,
	    .event = event,
	    .message = message};
	_Static_assert(
	    sizeof(struct log_field) == sizeof(struct logline_field), "they are the same");
	size_t count = logline_write(&all, (const struct logline_field *)fields, field_count, line);
	return write_now(line, count);
}

static bool say_number(const char *event, const char *of, uint64_t number, const char *message)
{
	char text[24];
	snprintf(text, sizeof text, "%llu", (unsigned long long)number);
	const struct log_field fields[] = {{"lines", text}, {"of", of}};
	return say(LOG_LEVEL_WARNING, event, fields, of != NULL ? 2 : 1, message);
}

static void say_formatted(enum log_level level, const char *event, const struct log_field *fields,
    size_t field_count, const char *format, va_list arguments)
{
	char message[MESSAGE_MAX];
	vsnprintf(message, sizeof message, format, arguments);
	if (log_state.lost > 0 && say_number("lines-lost", NULL, log_state.lost,
				      "lines were lost, since stderr did not take them"))
		log_state.lost = 0;
	log_state.lost += !say(level, event, fields, field_count, message);
}

void log_line(enum log_level level, const char *event, const struct log_field *fields,
    size_t field_count, const char *format, ...)
{
	uint64_t left_out = 0;
	va_list arguments;
	if (level != LOG_LEVEL_FATAL && log_admit(event, clock_mono_ms(), &left_out) == 0)
		return;
	if (left_out > 0)
		(void)say_number("lines-left-out", event, left_out,
		    "lines of one event came too often and were left out");
	va_start(arguments, format);
	say_formatted(level, event, fields, field_count, format, arguments);
	va_end(arguments);
}

void log_always(enum log_level level, const char *event, const struct log_field *fields,
    size_t field_count, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	say_formatted(level, event, fields, field_count, format, arguments);
	va_end(arguments);
}
