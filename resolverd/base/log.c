/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Process-wide by nature, as stderr is: set once by log_open before anything logs. */
static struct {
	char role[32];
	bool with_priority;
} log_state;

void log_open(const char *role)
{
	snprintf(log_state.role, sizeof log_state.role, "%s", role);
	log_state.with_priority = getenv("JOURNAL_STREAM") != NULL;
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[1024];
	int n = log_state.with_priority ? snprintf(line, sizeof line, "<%d>", level) : 0;
	n += snprintf(line + n, sizeof line - (size_t)n, "resolverd %s: ", log_state.role);
	va_list args;
	va_start(args, format);
	vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
	va_end(args);
	size_t length = strlen(line);
	for (size_t i = 0; i < length;
	     i++) /* names come from foreign data: one line stays one line */
		if ((unsigned char)line[i] < ' ')
			line[i] = ' ';
	line[length] = '\n';
	if (write(STDERR_FILENO, line, length + 1) < 0)
		return; /* nowhere left to say it */
}
