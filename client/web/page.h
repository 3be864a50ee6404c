/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The page: HTML made here and whole, so that it needs no script; all that comes from outside
 * passes through html_text. Its style is page/style.css, built in.
 */
#pragma once
#include "client/web/web.h"

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

/* One destination: its plan, and why; with explain looked up again, each lookup shown. Returns an
 * HTTP status. */
int destination_write(
    const struct web_options *options, const char *next_hop, bool explain, struct evbuffer *out);

/* ---- page.c ---- */

struct page;
struct page *page_new(
    struct event_base *base, const struct web_options *options, struct source *source);
void page_free(struct page *page);
void page_write(struct page *page, struct evbuffer *out);
