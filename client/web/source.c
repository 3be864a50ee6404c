/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>

#include "client/lib/clock.h"
#include "client/web/web.h"

#define ANSWER_LIFE_MS 1000 /* however many ask for it */

struct source {
	const struct web_options *options;
	struct resolverd_client *client;
	struct resolverd_daemon_status *status; /* NULL: error */
	char error[600];
	int64_t asked_at_ms; /* mono; 0: never */
};

struct source *source_new(const struct web_options *options)
{
	struct source *source = calloc(1, sizeof *source);
	if (source == NULL)
		return NULL;
	source->options = options;
	if (resolverd_client_new(&options->daemon, &source->client) != 0) {
		free(source);
		return NULL;
	}
	return source;
}

void source_free(struct source *source)
{
	if (source == NULL)
		return;
	resolverd_daemon_status_free(source->status);
	resolverd_client_free(source->client);
	free(source);
}

const struct resolverd_daemon_status *source_status(struct source *source, const char **ret_error)
{
	int64_t now_ms = clock_mono_ms();
	if (source->asked_at_ms == 0 || now_ms - source->asked_at_ms >= ANSWER_LIFE_MS) {
		resolverd_daemon_status_free(source->status);
		source->status = NULL;
		web_reserve(true);
		int error = resolverd_status(
		    source->client, (int)source->options->timeout_ms, &source->status);
		web_reserve(false);
		if (error != 0) {
			const char *detail = resolverd_last_error(source->client);
			source->status = NULL;
			snprintf(source->error, sizeof source->error, "%s%s%s",
			    resolverd_strerror(error), detail[0] != '\0' ? ": " : "", detail);
		}
		source->asked_at_ms = clock_mono_ms();
	}
	*ret_error = source->error;
	return source->status;
}
