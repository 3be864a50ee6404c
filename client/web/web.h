/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resolverd-web: metrics, health and a page to look at, over HTTP, for this host. It is a client of
 * the daemon's control socket; main.c starts it, http.c serves, source.c asks the daemon, the
 * others write what is served.
 */
#pragma once
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/resolverd.h"
#include "client/serve/listening.h"
#include "client/serve/serve.h"

#define WEB_HOSTS_MAX 16u

struct web_options {
	struct resolverd_options daemon;
	unsigned timeout_ms; /* of a question to the daemon */
	const char
	    *hosts[WEB_HOSTS_MAX]; /* names that a Host header may have, besides loopback's */
	size_t host_count;
	bool show_destinations; /* on the page */
};

/* Descriptors that connections from outside can't have, for the one to the daemon. */
#define WEB_FILES_RESERVED 8u
void web_reserve(bool lift);

/* ---- source.c: what the daemon says, asked once a second at most ---- */

struct source;
/* NULL: no memory. options are borrowed. */
struct source *source_new(const struct web_options *options);
void source_free(struct source *source);
/* Borrowed until the next call; NULL: the daemon told nothing, and *ret_error says why. */
const struct resolverd_daemon_status *source_status(struct source *source, const char **ret_error);

/* ---- metrics.c ---- */

#define METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"
/* OpenMetrics 1.0. status NULL: the daemon does not answer, which is a metric, too. */
void metrics_write(struct evbuffer *out, const struct resolverd_daemon_status *status);

/* ---- http.c ---- */

#define HTML_TYPE "text/html; charset=utf-8"

struct evhttp_request;
/* body may be NULL. */
void http_reply(struct evhttp_request *request, int code, const char *type, struct evbuffer *body);
void http_reply_text(struct evhttp_request *request, int code, const char *text);

struct http;
/* Returns 0 or an exit status, having said why. Borrows all. */
[[nodiscard]] int http_new(struct event_base *base, const struct web_options *options,
    const struct sockets *sockets, struct source *source, struct http **ret_http);
void http_free(struct http *http);
