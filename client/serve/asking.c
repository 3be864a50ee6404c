/* SPDX-License-Identifier: BSD-3-Clause */
#include <poll.h>
#include <stdlib.h>

#include "client/lib/clock.h"
#include "client/serve/asking.h"
#include "client/serve/serve.h"

#define BUCKETS 1024u
#define ASKS_MAX 4096u
#define TURN_MS 200  /* that each has, before it must make way when there are too many */
#define GRACE_MS 500 /* for the daemon's word that it found nothing in time */
#define RECONNECT_PAUSE_MS 10
#define DOWN_PAUSE_MIN_MS 20
#define DOWN_PAUSE_MAX_MS 1000
#define QUIET_MS 60000

TAILQ_HEAD(ask_list, ask);

struct asking {
	const struct asking_kind *kind;
	void *context;
	struct event_base *base;
	struct resolverd_client *client;
	struct event *ready, *timer;
	unsigned timeout_ms;
	struct ask_list open; /* the oldest first */
	LIST_HEAD(, ask) buckets[BUCKETS];
	size_t count;
	bool is_updating, has_new;
	int64_t down_until_ms, down_pause_ms; /* 0: the daemon is there, as far as we know */
	int64_t quiet_until_ms;               /* about answers that can't be used */
};

/* ---- asking ---- */

static struct ask *find(struct asking *asking, uint64_t id)
{
	struct ask *ask;
	LIST_FOREACH(ask, &asking->buckets[id % BUCKETS], bucket_link)
	if (ask->id == id)
		return ask;
	return NULL;
}

static int submit(struct asking *asking, struct ask *ask)
{
	int64_t left_ms = ask->until_ms - GRACE_MS - clock_mono_ms();
	int r = asking->kind->submit(
	    asking->client, ask, left_ms > 1 ? (unsigned)left_ms : 1, &ask->id);
	if (r != 0)
		return r;
	struct ask *before = TAILQ_LAST(&asking->open, ask_list);
	while (before != NULL && before->until_ms > ask->until_ms)
		before = TAILQ_PREV(before, ask_list, link);
	if (before != NULL)
		TAILQ_INSERT_AFTER(&asking->open, before, ask, link);
	else
		TAILQ_INSERT_HEAD(&asking->open, ask, link);
	LIST_INSERT_HEAD(&asking->buckets[ask->id % BUCKETS], ask, bucket_link);
	asking->count++;
	asking->has_new = true;
	return 0;
}

static void unlink_ask(struct asking *asking, struct ask *ask)
{
	TAILQ_REMOVE(&asking->open, ask, link);
	LIST_REMOVE(ask, bucket_link);
	asking->count--;
}

static void done(
    struct asking *asking, struct ask *ask, int error, const char *detail, const void *result)
{
	unlink_ask(asking, ask);
	asking->kind->done(asking->context, ask, error, detail, result);
}

/* So that whoever asks for what is not found in time keeps nobody from what is known. */
static bool makes_way(struct asking *asking, int64_t now_ms)
{
	struct ask *oldest = TAILQ_FIRST(&asking->open);
	if (oldest->until_ms - GRACE_MS - asking->timeout_ms > now_ms - TURN_MS)
		return false;
	resolverd_release(asking->client, oldest->id);
	done(asking, oldest, RESOLVERD_ERROR_BUSY, "", NULL);
	return asking->count < ASKS_MAX;
}

int asking_start(struct asking *asking, struct ask *ask)
{
	int64_t now_ms = clock_mono_ms();
	if (now_ms < asking->down_until_ms)
		return RESOLVERD_ERROR_NO_DAEMON;
	if (asking->count >= ASKS_MAX && !makes_way(asking, now_ms))
		return RESOLVERD_ERROR_BUSY;
	ask->until_ms = now_ms + asking->timeout_ms + GRACE_MS;
	return submit(asking, ask);
}

int asking_again(struct asking *asking, struct ask *ask)
{
	return submit(asking, ask);
}

/* ---- what the daemon says ---- */

static bool is_unreachable(int error)
{
	return error == RESOLVERD_ERROR_NO_DAEMON || error == RESOLVERD_ERROR_PUBLIC_KEY;
}

static void note_down(struct asking *asking, int error, const char *detail)
{
	int64_t now_ms = clock_mono_ms();
	if (asking->down_pause_ms == 0)
		serve_log(SERVE_WARNING, "%s: %s; %s until it is there", resolverd_strerror(error),
		    detail, asking->kind->while_down);
	if (now_ms < asking->down_until_ms)
		return; /* of several that failed at once */
	asking->down_pause_ms =
	    asking->down_pause_ms == 0 ? DOWN_PAUSE_MIN_MS : 2 * asking->down_pause_ms;
	if (asking->down_pause_ms > DOWN_PAUSE_MAX_MS)
		asking->down_pause_ms = DOWN_PAUSE_MAX_MS;
	asking->down_until_ms = now_ms + asking->down_pause_ms;
}

static void note_up(struct asking *asking)
{
	if (asking->down_pause_ms > 0)
		serve_log(SERVE_NOTICE, "the daemon answers again");
	asking->down_pause_ms = asking->down_until_ms = 0;
}

/* An attack, a mistake of the operator, or a bug: worth a line, but not one for each question. */
static void note_unusable(struct asking *asking, int error, const char *detail)
{
	int64_t now_ms = clock_mono_ms();
	if (now_ms < asking->quiet_until_ms)
		return;
	asking->quiet_until_ms = now_ms + QUIET_MS;
	serve_log(SERVE_WARNING, "%s: %s", resolverd_strerror(error), detail);
}

static void take_finished(struct asking *asking, uint64_t id)
{
	struct ask *ask = find(asking, id);
	void *result = NULL;
	int r = asking->kind->take(asking->client, id, &result);
	const char *detail = r == 0 ? "" : resolverd_last_error(asking->client);
	if (r == 0)
		note_up(asking);
	else if (is_unreachable(r))
		note_down(asking, r, detail);
	else if (r == RESOLVERD_ERROR_VERIFY || r == RESOLVERD_ERROR_PROTOCOL)
		note_unusable(asking, r, detail);
	if (ask != NULL)
		done(asking, ask, r, detail, result);
	asking->kind->free(result);
}

static void end_overdue(struct asking *asking)
{
	int64_t now_ms = clock_mono_ms();
	struct ask *ask;
	while ((ask = TAILQ_FIRST(&asking->open)) != NULL && ask->until_ms <= now_ms) {
		resolverd_release(asking->client, ask->id);
		done(asking, ask, RESOLVERD_ERROR_TIMEOUT, "", NULL);
	}
}

/* ---- the loop ---- */

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	asking_update(arg);
}

/* For the next event of the daemon's connection. Over a reconnect its descriptor may be the same
 * number and still be another socket, so that the old event must be gone by then. */
static void wait_for_more(struct asking *asking)
{
	int fd = resolverd_client_fd(asking->client);
	const struct ask *oldest = TAILQ_FIRST(&asking->open);
	if (fd >= 0) {
		short events = resolverd_client_events(asking->client);
		event_assign(asking->ready, asking->base, fd,
		    (short)(EV_READ | (events & POLLOUT ? EV_WRITE : 0)), on_ready, asking);
		event_add(asking->ready, NULL);
	}
	if (oldest == NULL) {
		event_del(asking->timer);
		return;
	}
	int64_t pause_ms = oldest->until_ms - clock_mono_ms();
	if (fd < 0 && pause_ms > RECONNECT_PAUSE_MS)
		pause_ms = RECONNECT_PAUSE_MS;
	if (pause_ms < 0)
		pause_ms = 0;
	const struct timeval pause = {pause_ms / 1000, pause_ms % 1000 * 1000};
	event_add(asking->timer, &pause);
}

void asking_update(struct asking *asking)
{
	uint64_t id;
	if (asking->is_updating)
		return; /* by what was done, and made room for more: the loop below goes on */
	asking->is_updating = true;
	event_del(asking->ready);
	do {
		asking->has_new = false;
		(void)resolverd_update(asking->client);
		while (resolverd_next_finished(asking->client, &id))
			take_finished(asking, id);
		end_overdue(asking);
	} while (asking->has_new);
	wait_for_more(asking);
	asking->is_updating = false;
}

int asking_new(struct event_base *base, const struct resolverd_options *daemon, unsigned timeout_ms,
    const struct asking_kind *kind, void *context, struct asking **ret_asking)
{
	struct asking *asking = calloc(1, sizeof *asking);
	if (asking == NULL)
		goto no_memory;
	asking->kind = kind;
	asking->context = context;
	asking->base = base;
	asking->timeout_ms = timeout_ms;
	TAILQ_INIT(&asking->open);
	int r = resolverd_client_new(daemon, &asking->client);
	if (r == RESOLVERD_ERROR_ARGUMENT) {
		serve_log(SERVE_ERROR, "the socket path is too long");
		asking_free(asking);
		return EXIT_WRONG_USAGE;
	}
	asking->ready = event_new(base, -1, 0, on_ready, asking);
	asking->timer = evtimer_new(base, on_ready, asking);
	if (r == 0 && asking->ready != NULL && asking->timer != NULL) {
		*ret_asking = asking;
		return 0;
	}
no_memory:
	serve_log(SERVE_ERROR, "out of memory");
	asking_free(asking);
	return EXIT_TROUBLE;
}

void asking_free(struct asking *asking)
{
	if (asking == NULL)
		return;
	struct ask *ask;
	while ((ask = TAILQ_FIRST(&asking->open)) != NULL) {
		unlink_ask(asking, ask);
		asking->kind->forget(ask);
	}
	if (asking->ready != NULL)
		event_free(asking->ready);
	if (asking->timer != NULL)
		event_free(asking->timer);
	resolverd_client_free(asking->client);
	free(asking);
}
