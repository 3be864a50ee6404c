/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One line per event, on stderr: a sentence, then event=NAME and fields as key=value; or, with
 * RESOLVERD_LOG_FORMAT=json in the environment, a JSON object. Severity says whose fault it is:
 * warning (a peer), error (the operator), fatal (the environment). Under systemd lines carry its
 * <N> prefix. docs/OPERATIONS.md, "Logs", lists the events.
 *
 * Nothing here waits: a line that stderr does not take at once is left out, and so is what comes
 * too often of one event; how many that were is said when lines go out again.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_FATAL = 2,
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6
};

#define LOG_BURST 30u   /* lines of one event in a row, but for fatal ones */
#define LOG_PER_MIN 30u /* and then so many a minute */

struct log_field { /* the value is any text; it is quoted where need be */
	const char *key, *value;
};

/* role is a literal: "supervisor", "server", "worker 1". */
void log_open(const char *role);
/* event: a literal, in lower case with hyphens. */
[[gnu::format(printf, 5, 6)]] void log_line(enum log_level level, const char *event,
    const struct log_field *fields, size_t field_count, const char *format, ...);

/* The same without a bound on how often: for what the operator asked to have logged. */
[[gnu::format(printf, 5, 6)]] void log_always(enum log_level level, const char *event,
    const struct log_field *fields, size_t field_count, const char *format, ...);

#define log_error(event, ...) log_line(LOG_LEVEL_ERROR, event, NULL, 0, __VA_ARGS__)
#define log_fatal(event, ...) log_line(LOG_LEVEL_FATAL, event, NULL, 0, __VA_ARGS__)
#define log_warning(event, ...) log_line(LOG_LEVEL_WARNING, event, NULL, 0, __VA_ARGS__)
#define log_notice(event, ...) log_line(LOG_LEVEL_NOTICE, event, NULL, 0, __VA_ARGS__)
#define log_info(event, ...) log_line(LOG_LEVEL_INFO, event, NULL, 0, __VA_ARGS__)

/* ---- for its test ---- */

/* How many lines of this event may go out now, 0 or 1; *ret_left_out: of those before that could
 * not, told once. */
unsigned log_admit(const char *event, int64_t now_mono_ms, uint64_t *ret_left_out);
