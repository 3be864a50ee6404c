/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/serve/serve.h"
#include "proto/logline.h"

#define MESSAGE_MAX 900u

void serve_log(enum serve_level level, const char *format, ...)
{
	char message[MESSAGE_MAX], line[LOGLINE_MAX];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	const struct logline all = {.priority = (int)level,
	    .with_priority = secure_getenv("JOURNAL_STREAM") != NULL,
	    .as_json = logline_wants_json(),
	    .program = program_invocation_short_name,
	    .message = message};
	size_t count = logline_write(&all, NULL, 0, line);
	if (write(STDERR_FILENO, line, count) < 0)
		return; /* nowhere left to say it */
}
