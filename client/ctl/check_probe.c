/* SPDX-License-Identifier: BSD-3-Clause */
/* Every address of every host at once: sessions without a mail, polled together. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/ctl/check.h"
#include "client/lib/clock.h"

#define PROGRESS_EVERY_MS 250
#define PROGRESS_AFTER_MS 500

static int begin(struct probe *probe)
{
	probe->begun_at_ms = clock_wall_ms();
	int r = smtp_session_new(&probe->options, clock_mono_ms(), &probe->session);
	probe->running = r == 0;
	return r;
}

static void finish(struct probe *probe)
{
	probe->running = false;
	probe->took_ms = clock_mono_ms() - probe->started_ms;
	probe->verdict = smtp_verdict(&probe->options, probe->session);
	/* Authenticated, and then it would not talk. */
	if (smtp_session_failure(probe->session) != SMTP_OK &&
	    smtp_verdict_delivers(probe->verdict))
		probe->verdict = RESOLVERD_UNAVAILABLE;
}

static int step(struct check *check, struct probe *probe)
{
	if (smtp_session_step(probe->session, clock_mono_ms()))
		return 0;
	if (!smtp_may_retry_in_clear(&probe->options, probe->session) ||
	    clock_mono_ms() >= check->probe_deadline_ms) {
		finish(probe);
		return 0;
	}
	smtp_session_free(probe->session);
	probe->session = NULL;
	probe->options.in_clear = true;
	return begin(probe);
}

static void show_progress(const struct check *check, int64_t begun_ms)
{
	int64_t now_ms = clock_mono_ms();
	const struct probe *first = NULL;
	size_t running = 0;
	for (size_t i = 0; i < check->probe_count; i++) {
		if (!check->probes[i].running)
			continue;
		running++;
		if (first == NULL)
			first = &check->probes[i];
	}
	if (first == NULL || now_ms - begun_ms < PROGRESS_AFTER_MS)
		return;
	fprintf(stderr, "\r\033[K%zu of %zu done, waiting for %s[%s]: %s, %lld s",
	    check->probe_count - running, check->probe_count, first->options.host->name,
	    first->options.address->text, smtp_session_step_name(first->session),
	    (long long)(now_ms - begun_ms) / 1000);
}

/* Waits until a session can go on; false: none is left. */
static bool wait_for_any(const struct check *check, struct pollfd *fds, bool wake_for_progress)
{
	int64_t until_ms = INT64_MAX;
	nfds_t count = 0;
	for (size_t i = 0; i < check->probe_count; i++) {
		const struct probe *probe = &check->probes[i];
		if (!probe->running)
			continue;
		fds[count++] = (struct pollfd){.fd = smtp_session_fd(probe->session),
		    .events = smtp_session_events(probe->session)};
		if (smtp_session_deadline_ms(probe->session) < until_ms)
			until_ms = smtp_session_deadline_ms(probe->session);
	}
	if (count == 0)
		return false;
	int64_t left_ms = until_ms - clock_mono_ms();
	if (wake_for_progress && left_ms > PROGRESS_EVERY_MS)
		left_ms = PROGRESS_EVERY_MS;
	poll(fds, count, left_ms > 0 ? (int)left_ms : 0);
	return true;
}

static int run(struct check *check, struct pollfd *fds)
{
	bool shows_progress = isatty(STDERR_FILENO);
	int64_t begun_ms = clock_mono_ms();
	int r = 0;
	do {
		for (size_t i = 0; i < check->probe_count && r == 0; i++)
			if (check->probes[i].running)
				r = step(check, &check->probes[i]);
		if (shows_progress)
			show_progress(check, begun_ms);
	} while (r == 0 && wait_for_any(check, fds, shows_progress));
	if (shows_progress)
		fputs("\r\033[K", stderr);
	return r;
}

int check_probe_all(struct check *check)
{
	struct pollfd *fds = calloc(check->probe_count + 1, sizeof *fds);
	int r = fds != NULL ? 0 : -ENOMEM;
	for (size_t i = 0; i < check->probe_count && r == 0; i++) {
		check->probes[i].started_ms = clock_mono_ms();
		r = begin(&check->probes[i]);
	}
	if (r == 0)
		r = run(check, fds);
	free(fds);
	return r;
}
