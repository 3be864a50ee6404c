/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "client/web/page.h"

struct page {
	const struct web_options *options;
	struct source *source;
	struct history *history;
	struct destinations *destinations;
	struct event *sample;
};

static void on_sample(evutil_socket_t fd, short what, void *arg)
{
	struct page *page = arg;
	const char *error;
	(void)fd, (void)what;
	const struct resolverd_daemon_status *status = source_status(page->source, &error);
	if (status != NULL)
		history_note(page->history, status);
}

struct page *page_new(
    struct event_base *base, const struct web_options *options, struct source *source)
{
	const struct timeval every = {
	    .tv_sec = HISTORY_EVERY_MS / 1000, .tv_usec = HISTORY_EVERY_MS % 1000 * 1000};
	struct page *page = calloc(1, sizeof *page);
	if (page == NULL)
		return NULL;
	page->options = options;
	page->source = source;
	page->history = history_new();
	page->destinations = destinations_new(options);
	page->sample = event_new(base, -1, EV_PERSIST, on_sample, page);
	if (page->history == NULL || page->destinations == NULL || page->sample == NULL ||
	    event_add(page->sample, &every) != 0) {
		page_free(page);
		return NULL;
	}
	return page;
}

void page_free(struct page *page)
{
	if (page == NULL)
		return;
	if (page->sample != NULL)
		event_free(page->sample);
	history_free(page->history);
	destinations_free(page->destinations);
	free(page);
}

static void write_state(struct evbuffer *out, const struct resolverd_daemon_status *status)
{
	evbuffer_add_printf(out, "<p class=\"state %s\"><strong>%s</strong>",
	    status->ready ? "good" : "bad", status->ready ? "Validation works." : "Not ready: ");
	if (!status->ready)
		html_text(out, status->not_ready_reason);
	evbuffer_add_printf(out, "</p>\n<table><caption>Its continuous checks</caption><tbody>\n");
	for (size_t i = 0; i < status->check_count; i++) {
		const struct resolverd_check *check = &status->checks[i];
		evbuffer_add_printf(out, "<tr><th scope=\"row\">");
		html_text(out, check->name);
		evbuffer_add_printf(out, "</th><td class=\"%s\">%s</td><td>",
		    check->good ? "good" : "bad", check->good ? "good" : "not good");
		html_text(out, check->detail);
		evbuffer_add_printf(out, "</td></tr>\n");
	}
	evbuffer_add_printf(out, "</tbody></table>\n");
}

static void write_policy(struct evbuffer *out, const struct resolverd_daemon_status *status)
{
	if (status->override_count + status->insecure_zone_count == 0)
		return;
	evbuffer_add_printf(out, "<section aria-labelledby=\"policy\">\n<h2 id=\"policy\">Local "
				 "policy</h2>\n<ul>\n");
	for (size_t i = 0; i < status->override_count && i < 50; i++) {
		const struct resolverd_override *one = &status->overrides[i];
		evbuffer_add_printf(out, "<li>");
		html_text(out, one->next_hop);
		evbuffer_add_printf(out, ": %s%s ", resolverd_requirement_text(one->requirement),
		    one->lapsed ? ", lapsed" : "");
		html_text(out, one->reason);
		if (one->until_ms > status->now_ms) {
			evbuffer_add_printf(out, ", for another ");
			html_span(out, (one->until_ms - status->now_ms) / 1000);
		}
		evbuffer_add_printf(out, "</li>\n");
	}
	for (size_t i = 0; i < status->insecure_zone_count; i++) {
		evbuffer_add_printf(out, "<li class=\"warn\">");
		html_text(out, status->insecure_zones[i].zone);
		evbuffer_add_printf(out, " is not validated (insecure-until)</li>\n");
	}
	evbuffer_add_printf(out, "</ul>\n</section>\n");
}

static void write_footer(struct evbuffer *out, const struct web_options *options)
{
	char text[64];
	time_t now = time(NULL);
	struct tm utc;
	strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&now, &utc));
	evbuffer_add_printf(out,
	    "<footer><p>As of %s. <a href=\"/\">Load again</a>. Programs read <a "
	    "href=\"/metrics\">metrics</a>, <a href=\"/livez\">livez</a> and <a "
	    "href=\"/readyz\">readyz</a>.</p>\n<p>%s</p></footer>\n",
	    text,
	    options->show_destinations
		? "Destinations are those in the daemon's cache, for as long as they live there; "
		  "this program keeps what it shows for a minute. --no-destinations leaves them "
		  "out."
		: "Destinations are left out (--no-destinations).");
}

void page_write(struct page *page, struct evbuffer *out)
{
	const char *error;
	char title[300] = "resolverd";
	const struct resolverd_daemon_status *status = source_status(page->source, &error);
	if (status != NULL)
		snprintf(
		    title, sizeof title, "resolverd %s on %s", status->version, status->member);
	html_begin(out, title);
	evbuffer_add_printf(out, "<header><h1>");
	html_text(out, title);
	evbuffer_add_printf(out, "</h1></header>\n<main id=\"main\">\n");
	if (status == NULL) {
		evbuffer_add_printf(
		    out, "<p class=\"state bad\"><strong>The daemon does not answer.</strong> ");
		html_text(out, error);
		evbuffer_add_printf(out, "</p>\n");
	} else {
		write_state(out, status);
		if (page->options->show_destinations)
			destinations_write(page->destinations, out);
		history_write(page->history, out);
		write_policy(out, status);
	}
	evbuffer_add_printf(out, "</main>\n");
	write_footer(out, page->options);
	html_end(out);
}
