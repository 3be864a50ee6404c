/* SPDX-License-Identifier: BSD-3-Clause */
/* How far it is: a bar on a terminal, else a line now and then. */
#include <stdio.h>

#include "client/ctl/warm.h"

#define BAR_CHARACTERS 30
#define SHOW_EVERY_MS 200
#define SAY_EVERY_MS 10000
#define RATE_EVERY_MS 1000
#define RATE_WEIGHT 0.2 /* of the last second */

static void take_rate(struct warm_progress *progress, size_t finished, int64_t now_ms)
{
	int64_t passed_ms = now_ms - progress->rated_at_ms;
	if (progress->rated_at_ms != 0 && passed_ms < RATE_EVERY_MS)
		return;
	if (progress->rated_at_ms != 0) {
		double now = 1000.0 * (double)(finished - progress->rated_at) / (double)passed_ms;
		progress->rate = progress->rate > 0
				     ? progress->rate + RATE_WEIGHT * (now - progress->rate)
				     : now;
	}
	progress->rated_at_ms = now_ms;
	progress->rated_at = finished;
}

static void print(
    const struct warm_progress *progress, size_t finished, size_t total, size_t failed)
{
	char left[32] = "?";
	if (progress->rate > 0)
		output_span((uint64_t)((double)(total - finished) / progress->rate) + 1, left);
	fprintf(stderr, "%zu of %zu (%zu %%), %.0f/s, %s left, %zu failed", finished, total,
	    total > 0 ? 100 * finished / total : 100, progress->rate, left, failed);
}

static void print_bar(size_t finished, size_t total)
{
	int filled = total > 0 ? (int)(BAR_CHARACTERS * finished / total) : BAR_CHARACTERS;
	fputs("\r\033[K[", stderr);
	for (int i = 0; i < BAR_CHARACTERS; i++)
		fputc(i < filled ? '#' : '.', stderr);
	fputs("] ", stderr);
}

void warm_progress_show(
    struct warm_progress *progress, size_t finished, size_t total, size_t failed, int64_t now_ms)
{
	take_rate(progress, finished, now_ms);
	if (progress->shown_at_ms == 0)
		progress->shown_at_ms = now_ms;
	if (now_ms - progress->shown_at_ms < (progress->is_terminal ? SHOW_EVERY_MS : SAY_EVERY_MS))
		return;
	progress->shown_at_ms = now_ms;
	if (progress->is_terminal)
		print_bar(finished, total);
	print(progress, finished, total, failed);
	if (!progress->is_terminal)
		fputc('\n', stderr);
}

void warm_progress_clear(const struct warm_progress *progress)
{
	if (progress->is_terminal)
		fputs("\r\033[K", stderr);
}
