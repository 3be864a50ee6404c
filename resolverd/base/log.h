/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One line per event, on stderr. Severity says whose fault it is: warning (a peer), error (the
 * operator), fatal (the environment), panic (our bug). Under systemd lines carry its <N> prefix.
 */
#pragma once

enum log_level {
	LOG_LEVEL_FATAL = 2,
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6
};

/* role is a literal: "supervisor", "server", "worker 1". */
void log_open(const char *role);
[[gnu::format(printf, 2, 3)]] void log_line(enum log_level level, const char *format, ...);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_fatal(...) log_line(LOG_LEVEL_FATAL, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
