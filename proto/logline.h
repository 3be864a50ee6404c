/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One line of a log, as all programs write it: text with a sentence, event=NAME and key=value, or a
 * JSON object. Whatever the texts hold, one line stays one line, and valid UTF-8 in JSON. Pure but
 * for the time it tells, and for logline_wants_json.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define LOGLINE_MAX 4096u /* PIPE_BUF: written whole or not at all */

struct logline_field {
	const char *key, *value;
};

struct logline {
	int priority; /* of syslog, 2 to 6 */
	bool with_priority, as_json;
	const char *program, *role; /* role NULL: none */
	const char *event;          /* NULL: none is told */
	const char *message;
};

/* RESOLVERD_LOG_FORMAT=json in the environment. */
bool logline_wants_json(void);
/* With the newline; cut where it is longer. Returns how many bytes. */
size_t logline_write(const struct logline *line, const struct logline_field *fields,
    size_t field_count, char ret_line[LOGLINE_MAX]);
