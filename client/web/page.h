/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The page: HTML made here and whole, so that it needs no script; all that comes from outside
 * passes through html_text. Its style is page/style.css, built in.
 */
#pragma once
#include "client/web/web.h"

#define SMTP_PORT 25u

/* ---- html.c ---- */

/* With & < > " ' escaped: as text or within a quoted attribute. */
void html_text(struct evbuffer *out, const char *text);
/* As a value in a query, percent-encoded. */
void html_query(struct evbuffer *out, const char *text);
void html_begin(struct evbuffer *out, const char *title);
void html_end(struct evbuffer *out);
/* "3 h", "12 min", "40 s". */
void html_span(struct evbuffer *out, uint64_t seconds);
/* Who must act, for people. */
const char *html_party(int party);

/* ---- history.c: samples of what the daemon counts, the last two hours ---- */

#define HISTORY_SAMPLES 240u
#define HISTORY_EVERY_MS 30000

struct history;
struct history *history_new(void); /* NULL: no memory */
void history_free(struct history *history);
void history_note(struct history *history, const struct resolverd_daemon_status *status);
/* Small charts, each with its last figure. */
void history_write(const struct history *history, struct evbuffer *out);

/* ---- destinations.c: what is in the cache, walked through once a minute at most ---- */

struct destinations;
struct destinations *destinations_new(const struct web_options *options); /* NULL: no memory */
void destinations_free(struct destinations *destinations);
void destinations_write(struct destinations *destinations, struct evbuffer *out);

/* ---- destination.c ---- */

struct destination_answer { /* what was found: one of the two, or an error of enum resolverd_error
			     */
	int error;
	const char *detail; /* of the error */
	const struct resolverd_plan *plan;
	const struct resolverd_explanation *explanation;
};

/* One destination: its plan, and why; or, explained, each lookup. Returns an HTTP status. */
int destination_write(const char *next_hop, unsigned port, bool explain,
    const struct destination_answer *found, struct evbuffer *out);

/* ---- questions.c ---- */

struct questions;
/* NULL: no memory. Borrows all. */
struct questions *questions_new(struct event_base *base, const struct web_options *options);
void questions_free(struct questions *questions); /* before the server whose requests wait */
/* Answers the request with that page, sooner or later. */
void questions_ask(struct questions *questions, struct evhttp_request *request,
    const char *next_hop, unsigned port, bool explain);

/* ---- page.c ---- */

struct page;
struct page *page_new(
    struct event_base *base, const struct web_options *options, struct source *source);
void page_free(struct page *page);
void page_write(struct page *page, struct evbuffer *out);
