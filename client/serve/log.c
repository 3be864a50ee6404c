/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/serve/serve.h"

#define LINE_MAX_BYTES 1024

void serve_log(enum serve_level level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	int n = secure_getenv("JOURNAL_STREAM") != NULL ? snprintf(line, sizeof line, "<%d>", level)
							: 0;
	n += snprintf(line + n, sizeof line - (size_t)n, "%.64s: ", program_invocation_short_name);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line + n, sizeof line - (size_t)n - 1, format, arguments);
	va_end(arguments);
	size_t length = strlen(line);
	for (size_t i = 0; i < length; i++) /* one line stays one line */
		if ((unsigned char)line[i] < ' ')
			line[i] = ' ';
	line[length] = '\n';
	if (write(STDERR_FILENO, line, length + 1) < 0)
		return; /* nowhere left to say it */
}
