/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Questions on their way through the daemon: asked over one connection, any number at a time, each
 * answered to whoever waits for it, at the latest when its time is up. While the daemon can't be
 * reached every question is SERVFAIL at once, and it is looked for again after a pause that grows.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "client/lib/clock.h"
#include "client/stub/stub.h"

#define BUCKETS 1024u
#define LOOKUPS_MAX 4096u
#define GRACE_MS 500 /* for the daemon's word that it found nothing in time */
#define RECONNECT_PAUSE_MS 10
#define DOWN_PAUSE_MIN_MS 20
#define DOWN_PAUSE_MAX_MS 1000
#define QUIET_MS 60000

struct lookup {
	uint64_t id;      /* of the client library; 0: none yet */
	unsigned nth;     /* of the types of a query for ANY */
	int64_t until_ms; /* monotonic */
	struct dns_query query;
	struct stub_asker asker;
	TAILQ_ENTRY(lookup) link; /* the oldest first */
	LIST_ENTRY(lookup) bucket_link;
};

struct lookups {
	struct stub *stub;
	struct event_base *base;
	struct resolverd_client *client;
	struct event *ready, *timer;
	unsigned timeout_ms;
	TAILQ_HEAD(, lookup) open;
	LIST_HEAD(, lookup) buckets[BUCKETS];
	size_t count;
	bool is_updating, has_new;
	int64_t down_until_ms, down_pause_ms; /* 0: the daemon is there, as far as we know */
	int64_t quiet_until_ms;               /* about answers that can't be used */
};

/* ---- answering ---- */

static void send_error(struct lookups *lookups, const struct dns_query *query,
    const struct stub_asker *asker, int error, const char *detail)
{
	struct dns_error told = dns_error_of_client(error, detail);
	stub_answer(
	    lookups->stub, asker, dns_message_error(query, &told, stub_message(lookups->stub)));
}

/* The asker is told, or has gone. */
static void settle(struct lookups *lookups, struct lookup *lookup)
{
	struct stub_asker asker = lookup->asker;
	TAILQ_REMOVE(&lookups->open, lookup, link);
	LIST_REMOVE(lookup, bucket_link);
	lookups->count--;
	free(lookup);
	if (asker.transport == DNS_STREAM)
		stream_settled(asker.stream);
}

static void fail(struct lookups *lookups, struct lookup *lookup, int error, const char *detail)
{
	send_error(lookups, &lookup->query, &lookup->asker, error, detail);
	settle(lookups, lookup);
}

/* ---- asking ---- */

static struct lookup *find(struct lookups *lookups, uint64_t id)
{
	struct lookup *lookup;
	LIST_FOREACH(lookup, &lookups->buckets[id % BUCKETS], bucket_link)
	if (lookup->id == id)
		return lookup;
	return NULL;
}

/* For the first time, or for the next type. Returns 0, or an enum resolverd_error and nothing is
 * changed. */
static int ask(struct lookups *lookups, struct lookup *lookup)
{
	char name[NAME_TEXT_MAX];
	if (name_from_wire(lookup->query.name, lookup->query.name_bytes, name) != NAME_OK)
		return RESOLVERD_ERROR_ARGUMENT;
	int64_t left_ms = lookup->until_ms - GRACE_MS - clock_mono_ms();
	uint64_t id;
	int r = resolverd_submit_records(lookups->client, name,
	    dns_message_type(&lookup->query, lookup->nth), left_ms > 1 ? (unsigned)left_ms : 1,
	    &id);
	if (r != 0)
		return r;
	if (lookup->id != 0)
		LIST_REMOVE(lookup, bucket_link);
	lookup->id = id;
	LIST_INSERT_HEAD(&lookups->buckets[id % BUCKETS], lookup, bucket_link);
	lookups->has_new = true;
	return 0;
}

bool lookups_start(
    struct lookups *lookups, const struct dns_query *query, const struct stub_asker *asker)
{
	int64_t now_ms = clock_mono_ms();
	if (now_ms < lookups->down_until_ms) {
		send_error(lookups, query, asker, RESOLVERD_ERROR_NO_DAEMON, "");
		return false;
	}
	struct lookup *lookup = NULL;
	int r = RESOLVERD_ERROR_BUSY;
	if (lookups->count < LOOKUPS_MAX) {
		lookup = calloc(1, sizeof *lookup);
		r = RESOLVERD_ERROR_MEMORY;
	}
	if (lookup != NULL) {
		lookup->until_ms = now_ms + lookups->timeout_ms + GRACE_MS;
		lookup->query = *query;
		lookup->asker = *asker;
		r = ask(lookups, lookup);
	}
	if (r != 0) {
		free(lookup);
		send_error(lookups, query, asker, r, "");
		return false;
	}
	TAILQ_INSERT_TAIL(&lookups->open, lookup, link);
	lookups->count++;
	return true;
}

/* ---- what the daemon says ---- */

static bool is_unreachable(int error)
{
	return error == RESOLVERD_ERROR_NO_DAEMON || error == RESOLVERD_ERROR_PUBLIC_KEY;
}

static void note_down(struct lookups *lookups, int error, const char *detail)
{
	int64_t now_ms = clock_mono_ms();
	if (lookups->down_pause_ms == 0)
		stub_log(STUB_WARNING, "%s: %s; all questions are SERVFAIL until it is there",
		    resolverd_strerror(error), detail);
	if (now_ms < lookups->down_until_ms)
		return; /* of several that failed at once */
	lookups->down_pause_ms =
	    lookups->down_pause_ms == 0 ? DOWN_PAUSE_MIN_MS : 2 * lookups->down_pause_ms;
	if (lookups->down_pause_ms > DOWN_PAUSE_MAX_MS)
		lookups->down_pause_ms = DOWN_PAUSE_MAX_MS;
	lookups->down_until_ms = now_ms + lookups->down_pause_ms;
}

static void note_up(struct lookups *lookups)
{
	if (lookups->down_pause_ms > 0)
		stub_log(STUB_NOTICE, "the daemon answers again");
	lookups->down_pause_ms = lookups->down_until_ms = 0;
}

/* An attack, a mistake of the operator, or a bug: worth a line, but not one for each question. */
static void note_unusable(struct lookups *lookups, int error, const char *detail)
{
	int64_t now_ms = clock_mono_ms();
	if (now_ms < lookups->quiet_until_ms)
		return;
	lookups->quiet_until_ms = now_ms + QUIET_MS;
	stub_log(STUB_WARNING, "%s: %s", resolverd_strerror(error), detail);
}

static void take_records(
    struct lookups *lookups, struct lookup *lookup, const struct resolverd_records *records)
{
	if (dns_message_goes_on(&lookup->query, lookup->nth, records)) {
		lookup->nth++;
		int r = ask(lookups, lookup);
		if (r != 0)
			fail(lookups, lookup, r, "");
		return;
	}
	size_t bytes = dns_message_answer(&lookup->query, records, clock_wall_ms(),
	    lookup->asker.transport, stub_message(lookups->stub));
	stub_answer(lookups->stub, &lookup->asker, bytes);
	settle(lookups, lookup);
}

static void take_finished(struct lookups *lookups, uint64_t id)
{
	struct lookup *lookup = find(lookups, id);
	struct resolverd_records *records = NULL;
	int r = resolverd_take_records(lookups->client, id, &records);
	if (r == 0)
		note_up(lookups);
	else if (is_unreachable(r))
		note_down(lookups, r, resolverd_last_error(lookups->client));
	else if (r == RESOLVERD_ERROR_VERIFY || r == RESOLVERD_ERROR_PROTOCOL)
		note_unusable(lookups, r, resolverd_last_error(lookups->client));
	if (lookup == NULL) {
		resolverd_records_free(records);
		return;
	}
	if (r == 0)
		take_records(lookups, lookup, records);
	else
		fail(lookups, lookup, r, resolverd_last_error(lookups->client));
	resolverd_records_free(records);
}

static void end_overdue(struct lookups *lookups)
{
	int64_t now_ms = clock_mono_ms();
	struct lookup *lookup;
	while ((lookup = TAILQ_FIRST(&lookups->open)) != NULL && lookup->until_ms <= now_ms) {
		resolverd_release(lookups->client, lookup->id);
		fail(lookups, lookup, RESOLVERD_ERROR_TIMEOUT, "");
	}
}

/* ---- the loop ---- */

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	lookups_update(arg);
}

/* For the next event of the daemon's connection. Over a reconnect its descriptor may be the same
 * number and still be another socket, so that the old event must be gone by then. */
static void wait_for_more(struct lookups *lookups)
{
	int fd = resolverd_client_fd(lookups->client);
	const struct lookup *oldest = TAILQ_FIRST(&lookups->open);
	if (fd >= 0) {
		short events = resolverd_client_events(lookups->client);
		event_assign(lookups->ready, lookups->base, fd,
		    (short)(EV_READ | (events & POLLOUT ? EV_WRITE : 0)), on_ready, lookups);
		event_add(lookups->ready, NULL);
	}
	if (oldest == NULL) {
		event_del(lookups->timer);
		return;
	}
	int64_t pause_ms = oldest->until_ms - clock_mono_ms();
	if (fd < 0 && pause_ms > RECONNECT_PAUSE_MS)
		pause_ms = RECONNECT_PAUSE_MS;
	if (pause_ms < 0)
		pause_ms = 0;
	const struct timeval pause = {pause_ms / 1000, pause_ms % 1000 * 1000};
	event_add(lookups->timer, &pause);
}

void lookups_update(struct lookups *lookups)
{
	uint64_t id;
	if (lookups->is_updating)
		return; /* by an answer that made room for another query: the loop below goes on */
	lookups->is_updating = true;
	event_del(lookups->ready);
	do {
		lookups->has_new = false;
		(void)resolverd_update(lookups->client);
		while (resolverd_next_finished(lookups->client, &id))
			take_finished(lookups, id);
		end_overdue(lookups);
	} while (lookups->has_new);
	wait_for_more(lookups);
	lookups->is_updating = false;
}

int lookups_new(struct stub *stub, struct event_base *base, const struct stub_options *options,
    struct lookups **ret_lookups)
{
	struct lookups *lookups = calloc(1, sizeof *lookups);
	if (lookups == NULL)
		goto no_memory;
	lookups->stub = stub;
	lookups->base = base;
	lookups->timeout_ms = options->timeout_ms;
	TAILQ_INIT(&lookups->open);
	int r = resolverd_client_new(&options->daemon, &lookups->client);
	if (r == RESOLVERD_ERROR_ARGUMENT) {
		stub_log(STUB_ERROR, "the socket path is too long");
		lookups_free(lookups);
		return EXIT_WRONG_USAGE;
	}
	lookups->ready = event_new(base, -1, 0, on_ready, lookups);
	lookups->timer = evtimer_new(base, on_ready, lookups);
	if (r == 0 && lookups->ready != NULL && lookups->timer != NULL) {
		*ret_lookups = lookups;
		return 0;
	}
no_memory:
	stub_log(STUB_ERROR, "out of memory");
	lookups_free(lookups);
	return EXIT_TROUBLE;
}

void lookups_free(struct lookups *lookups)
{
	if (lookups == NULL)
		return;
	struct lookup *lookup;
	while ((lookup = TAILQ_FIRST(&lookups->open)) != NULL) {
		TAILQ_REMOVE(&lookups->open, lookup, link);
		free(lookup);
	}
	if (lookups->ready != NULL)
		event_free(lookups->ready);
	if (lookups->timer != NULL)
		event_free(lookups->timer);
	resolverd_client_free(lookups->client);
	free(lookups);
}
