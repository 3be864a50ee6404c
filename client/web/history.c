/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "client/web/page.h"

#define WIDTH 240 /* of a chart, in its own units */
#define HEIGHT 60

struct sample {                   /* of the time since the sample before */
	double requests;          /* a second */
	double hit_rate;          /* 0 to 1; below 0: nobody asked */
	double waited_ms;         /* 95 % of those who waited no longer; below 0: nobody waited */
	double refreshed, failed; /* a minute */
	double cache;             /* 0 to 1 */
};

struct counts {
	uint64_t at_ms, started_at_ms, requests, hits, misses, renewed, failed;
	uint64_t waited[64];
	size_t bound_count;
	uint32_t bounds_ms[64];
};

struct history {
	struct sample samples[HISTORY_SAMPLES]; /* a ring */
	size_t first, count;
	struct counts before;
	bool has_before;
};

struct history *history_new(void)
{
	return calloc(1, sizeof(struct history));
}

void history_free(struct history *history)
{
	free(history);
}

static struct counts counts_of(const struct resolverd_daemon_status *status)
{
	struct counts counts = {.at_ms = status->now_ms,
	    .started_at_ms = status->started_at_ms,
	    .requests = status->requests,
	    .hits = status->hits,
	    .misses = status->misses,
	    .renewed = status->refreshes_renewed,
	    .failed = status->refreshes_failed};
	const struct resolverd_histogram *waited =
	    status->metrics != NULL ? &status->metrics->wait_time : NULL;
	if (waited == NULL || waited->bound_count >= sizeof counts.waited / sizeof *counts.waited)
		return counts;
	counts.bound_count = waited->bound_count;
	memcpy(counts.bounds_ms, waited->bounds_ms, waited->bound_count * sizeof(uint32_t));
	memcpy(counts.waited, waited->counts, (waited->bound_count + 1) * sizeof(uint64_t));
	return counts;
}

static double waited_ms(const struct counts *before, const struct counts *now)
{
	uint64_t all = 0, seen = 0;
	if (now->bound_count == 0 || before->bound_count != now->bound_count)
		return -1;
	for (size_t i = 0; i <= now->bound_count; i++)
		all += now->waited[i] - before->waited[i];
	for (size_t i = 0; all > 0 && i < now->bound_count; i++) {
		seen += now->waited[i] - before->waited[i];
		if ((double)seen >= 0.95 * (double)all)
			return now->bounds_ms[i];
	}
	return all > 0 ? 2.0 * now->bounds_ms[now->bound_count - 1] : -1;
}

void history_note(struct history *history, const struct resolverd_daemon_status *status)
{
	struct counts now = counts_of(status), before = history->before;
	bool follows = history->has_before && before.started_at_ms == now.started_at_ms &&
		       now.at_ms > before.at_ms && now.requests >= before.requests;
	history->before = now;
	history->has_before = true;
	if (!follows)
		return;
	double seconds = (double)(now.at_ms - before.at_ms) / 1000;
	uint64_t hits = now.hits - before.hits, misses = now.misses - before.misses;
	struct sample sample = {.requests = (double)(now.requests - before.requests) / seconds,
	    .hit_rate = hits + misses > 0 ? (double)hits / (double)(hits + misses) : -1,
	    .waited_ms = waited_ms(&before, &now),
	    .refreshed = (double)(now.renewed - before.renewed) * 60 / seconds,
	    .failed = (double)(now.failed - before.failed) * 60 / seconds,
	    .cache = status->cache_max_bytes > 0
			 ? (double)status->cache_bytes / (double)status->cache_max_bytes
			 : 0};
	if (history->count == HISTORY_SAMPLES)
		history->first = (history->first + 1) % HISTORY_SAMPLES;
	else
		history->count++;
	history->samples[(history->first + history->count - 1) % HISTORY_SAMPLES] = sample;
}

/* ---- charts ---- */

struct chart {
	const char *title, *unit;
	double scale; /* of the figure shown */
	int digits;
	double most;   /* the top of the chart; 0: the highest value */
	size_t offset; /* in struct sample */
};

static double value_of(const struct history *history, const struct chart *chart, size_t i)
{
	const struct sample *sample = &history->samples[(history->first + i) % HISTORY_SAMPLES];
	double value;
	memcpy(&value, (const uint8_t *)sample + chart->offset, sizeof value);
	return value;
}

/* Breaks where there is no value. */
static void write_line(
    const struct history *history, const struct chart *chart, double most, struct evbuffer *out)
{
	bool open = false;
	for (size_t i = 0; i < history->count; i++) {
		double value = value_of(history, chart, i);
		if (value < 0) {
			evbuffer_add_printf(out, "%s", open ? "\"/>" : "");
			open = false;
			continue;
		}
		double y = HEIGHT - (most > 0 ? value / most : 0) * (HEIGHT - 4) - 2;
		evbuffer_add_printf(out, "%s%.1f,%.1f",
		    open ? " " : "<polyline class=\"line\" points=\"",
		    (double)(i + HISTORY_SAMPLES - history->count) * WIDTH / (HISTORY_SAMPLES - 1),
		    y);
		open = true;
	}
	evbuffer_add_printf(out, "%s", open ? "\"/>" : "");
}

static void write_chart(
    const struct history *history, const struct chart *chart, struct evbuffer *out)
{
	double most = chart->most, last = -1, highest = -1;
	for (size_t i = 0; i < history->count; i++) {
		double value = value_of(history, chart, i);
		last = value >= 0 ? value : last;
		highest = value > highest ? value : highest;
	}
	if (most <= 0)
		most = highest;
	evbuffer_add_printf(out, "<div class=\"card\"><h3>%s</h3>", chart->title);
	if (last < 0) {
		evbuffer_add_printf(out, "<p class=\"dim\">nothing yet</p></div>\n");
		return;
	}
	evbuffer_add_printf(out,
	    "<p><span class=\"figure\">%.*f</span> %s <span class=\"dim\">highest %.*f</span></p>"
	    "<svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" role=\"img\" "
	    "aria-label=\"%s in the last two hours: now %.*f, highest %.*f %s\">"
	    "<line class=\"base\" x1=\"0\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>",
	    chart->digits, last * chart->scale, chart->unit, chart->digits, highest * chart->scale,
	    WIDTH, HEIGHT, chart->title, chart->digits, last * chart->scale, chart->digits,
	    highest * chart->scale, chart->unit, HEIGHT - 1, WIDTH, HEIGHT - 1);
	write_line(history, chart, most, out);
	evbuffer_add_printf(out, "</svg></div>\n");
}

void history_write(const struct history *history, struct evbuffer *out)
{
	static const struct chart charts[] = {
	    {"Requests", "a second", 1, 1, 0, offsetof(struct sample, requests)},
	    {"From the cache", "%", 100, 1, 1, offsetof(struct sample, hit_rate)},
	    {"Clients waited, 95 %", "ms", 1, 0, 0, offsetof(struct sample, waited_ms)},
	    {"Refreshed ahead", "a minute", 1, 0, 0, offsetof(struct sample, refreshed)},
	    {"Refreshes that failed", "a minute", 1, 0, 0, offsetof(struct sample, failed)},
	    {"Cache filled", "%", 100, 1, 1, offsetof(struct sample, cache)},
	};
	evbuffer_add_printf(out, "<section aria-labelledby=\"charts\">\n<h2 id=\"charts\">The last "
				 "two hours</h2>\n<div class=\"grid\">\n");
	for (size_t i = 0; i < sizeof charts / sizeof *charts; i++)
		write_chart(history, &charts[i], out);
	evbuffer_add_printf(out, "</div>\n</section>\n");
}
