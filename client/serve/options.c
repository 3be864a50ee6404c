/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "client/serve/serve.h"

#define MAX_SECONDS 300.0

int serve_take_seconds(const char *text, unsigned *ret_ms)
{
	char *end;
	double seconds = strtod(text, &end);
	if (end == text || *end != '\0' || !(seconds > 0) || seconds > MAX_SECONDS) {
		serve_log(
		    SERVE_ERROR, "\"%s\" is no number of seconds up to %.0f", text, MAX_SECONDS);
		return EXIT_WRONG_USAGE;
	}
	*ret_ms = seconds < 0.001 ? 1 : (unsigned)(seconds * 1000);
	return 0;
}

int serve_take_count(const char *text, unsigned most, unsigned *ret_count)
{
	char *end;
	unsigned long count = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || count == 0 || count > most) {
		serve_log(SERVE_ERROR, "\"%s\" is no number from 1 to %u", text, most);
		return EXIT_WRONG_USAGE;
	}
	*ret_count = (unsigned)count;
	return 0;
}
