/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections of Postfix: one request at a time is answered in each, in order, whatever is
 * pipelined. One ends when nothing came for some time; when it is not read from; at the first frame
 * that is none; and, the longest idle first, when there is no room for a new one.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/clock.h"
#include "client/postfix/key.h"
#include "client/postfix/netstring.h"
#include "client/postfix/policy.h"
#include "client/postfix/postfix.h"
#include "client/serve/accepting.h"
#include "client/serve/asking.h"

#define FRAME_MAX (KEY_MAX + 8u) /* a netstring of at most KEY_MAX octets */
#define IN_MAX (16u * FRAME_MAX)
#define OUT_MAX_BYTES 65536u /* unread replies; then no more requests are read */
#define REPLY_MAX 1024u      /* Postfix takes 100000 */
#define QUIET_MS 60000

struct session {
	struct ask ask; /* first: the one is found by the other */
	struct sessions *sessions;
	struct bufferevent *connection; /* NULL: it has ended, and its answer is on its way */
	struct event *idle;
	struct map_key key; /* of what is asked for */
	bool is_asking, has_ended_asking;
	TAILQ_ENTRY(session) link; /* the longest idle first */
};

struct sessions {
	const struct postfix_options *options;
	struct event_base *base;
	struct asking *asking;
	const struct probe *probe;
	const struct sockets *sockets;
	struct accepting *accepting[SOCKETS_MAX];
	struct timeval idle;
	unsigned count;
	TAILQ_HEAD(, session) open;
	int64_t quiet_until_ms; /* about frames that are none */
};

static void take_all(struct session *session);

static struct session *session_of(struct ask *ask)
{
	return (struct session *)ask;
}

/* ---- the end of one ---- */

static void end(struct session *session)
{
	struct sessions *sessions = session->sessions;
	bufferevent_free(session->connection); /* and the descriptor */
	session->connection = NULL;
	event_free(session->idle);
	TAILQ_REMOVE(&sessions->open, session, link);
	sessions->count--;
	if (!session->is_asking)
		free(session);
}

static size_t unread_bytes(const struct session *session)
{
	return evbuffer_get_length(bufferevent_get_output(session->connection));
}

static void touch(struct session *session)
{
	TAILQ_REMOVE(&session->sessions->open, session, link);
	TAILQ_INSERT_TAIL(&session->sessions->open, session, link);
	event_add(session->idle, &session->sessions->idle);
}

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct session *session = arg;
	(void)fd;
	(void)what;
	if (session->is_asking)
		event_add(session->idle, &session->sessions->idle);
	else
		end(session);
}

/* ---- replies ---- */

[[gnu::format(printf, 2, 3)]] static void reply(struct session *session, const char *format, ...)
{
	char text[REPLY_MAX];
	va_list arguments;
	if (session->connection == NULL)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	size_t length = strlen(text);
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < ' ')
			text[i] = ' ';
	evbuffer_add_printf(bufferevent_get_output(session->connection), "%zu:%s,", length, text);
	touch(session);
}

static void reply_policy(struct session *session, const struct resolverd_plan *plan)
{
	const struct sessions *sessions = session->sessions;
	struct postfix_policy policy = postfix_policy_of(plan);
	if (policy.level == POSTFIX_DELAY)
		reply(session, "TEMP %s: %s", plan->next_hop, policy.reason);
	else if (policy.needs_validation && !probe_is_good(sessions->probe))
		reply(session,
		    "TEMP %s needs DANE, and Postfix's own resolver does not validate: %s",
		    plan->next_hop, probe_complaint(sessions->probe));
	else if (policy.level == POSTFIX_NOTHING)
		reply(session, "NOTFOUND ");
	else
		reply(session, "OK %s%s", postfix_level_text(policy.level),
		    policy.level == POSTFIX_ENCRYPT && sessions->options->send_servername
			? " servername=hostname"
			: "");
}

static void reply_error(struct session *session, int error, const char *detail)
{
	const char *word = error == RESOLVERD_ERROR_TIMEOUT    ? "TIMEOUT"
			   : error == RESOLVERD_ERROR_ARGUMENT ? "PERM"
							       : "TEMP";
	reply(session, "%s %s%s%s", word, resolverd_strerror(error), *detail != '\0' ? ": " : "",
	    detail);
}

/* ---- asking ---- */

static int submit(
    struct resolverd_client *client, struct ask *ask, unsigned deadline_ms, uint64_t *ret_id)
{
	const struct map_key *key = &session_of(ask)->key;
	return resolverd_submit_plan(client, key->next_hop, key->port, deadline_ms, ret_id);
}

static int take_plan(struct resolverd_client *client, uint64_t id, void **ret_result)
{
	return resolverd_take_plan(client, id, (struct resolverd_plan **)ret_result);
}

static void free_plan(void *result)
{
	resolverd_plan_free(result);
}

static void done(void *context, struct ask *ask, int error, const char *detail, const void *result)
{
	struct session *session = session_of(ask);
	(void)context;
	session->is_asking = false;
	if (session->connection == NULL) {
		free(session);
		return;
	}
	if (error == 0)
		reply_policy(session, result);
	else
		reply_error(session, error, detail);
	take_all(session);
}

static void forget(struct ask *ask)
{
	struct session *session = session_of(ask);
	session->is_asking = false;
	if (session->connection == NULL)
		free(session);
}

static const struct asking_kind plan_kind = {
    .while_down = "every lookup is TEMP",
    .submit = submit,
    .take = take_plan,
    .free = free_plan,
    .done = done,
    .forget = forget,
};

/* ---- requests ---- */

static void note_malformed(struct sessions *sessions)
{
	int64_t now_ms = clock_mono_ms();
	if (now_ms < sessions->quiet_until_ms)
		return;
	sessions->quiet_until_ms = now_ms + QUIET_MS;
	serve_log(SERVE_WARNING,
	    "a client sent what is no socketmap request (a netstring of at "
	    "most %u octets); the connection was ended",
	    KEY_MAX);
}

static void handle(struct session *session, const char *request, size_t bytes)
{
	switch (key_parse(request, bytes, &session->key)) {
	case KEY_OTHER_MAP:
		reply(session, "PERM the only map here is \"" POLICY_MAP "\"");
		return;
	case KEY_BAD:
		reply(session, "PERM this is no next-hop destination");
		return;
	case KEY_PARENT: /* what its children have is said for each of them */
		reply(session, "NOTFOUND ");
		return;
	case KEY_NEXT_HOP:
		break;
	}
	int r = asking_start(session->sessions->asking, &session->ask);
	if (r == 0)
		session->is_asking = true;
	else
		reply_error(session, r, "");
}

/* Returns what there was. */
static enum netstring_parse take_one(struct session *session)
{
	struct evbuffer *in = bufferevent_get_input(session->connection);
	char frame[FRAME_MAX];
	const char *request;
	size_t request_bytes, consumed;
	ssize_t count = evbuffer_copyout(in, frame, sizeof frame);
	enum netstring_parse parse = netstring_parse(
	    frame, count > 0 ? (size_t)count : 0, KEY_MAX, &request, &request_bytes, &consumed);
	if (parse == NETSTRING_WHOLE) {
		evbuffer_drain(in, consumed);
		touch(session);
		handle(session, request, request_bytes);
	}
	return parse;
}

static bool is_full(const struct session *session)
{
	return session->is_asking || unread_bytes(session) >= OUT_MAX_BYTES;
}

/* Takes what came, up to the first that must be waited for. The session may have ended afterwards.
 */
static void take_all(struct session *session)
{
	enum netstring_parse parse = NETSTRING_WHOLE;
	while (parse == NETSTRING_WHOLE && !is_full(session))
		parse = take_one(session);
	if (parse == NETSTRING_MALFORMED) { /* those before it still get their replies */
		struct evbuffer *in = bufferevent_get_input(session->connection);
		note_malformed(session->sessions);
		evbuffer_drain(in, evbuffer_get_length(in));
		session->has_ended_asking = true;
	}
	bool has_all =
	    session->has_ended_asking && !session->is_asking && unread_bytes(session) == 0;
	if (has_all) {
		end(session);
	} else if (is_full(session) || session->has_ended_asking) {
		bufferevent_disable(session->connection, EV_READ);
	} else {
		bufferevent_enable(session->connection, EV_READ);
	}
}

static void on_readable(struct bufferevent *connection, void *arg)
{
	struct session *session = arg;
	struct asking *asking = session->sessions->asking;
	(void)connection;
	take_all(session);
	asking_update(asking);
}

static void on_end(struct bufferevent *connection, short what, void *arg)
{
	struct session *session = arg;
	(void)connection;
	if (!(what & BEV_EVENT_EOF)) {
		end(session);
		return;
	}
	session->has_ended_asking = true; /* and may wait for an answer */
	on_readable(connection, session);
}

/* ---- the beginning of one ---- */

static bool make_room(struct sessions *sessions)
{
	struct session *session;
	if (sessions->count < sessions->options->clients_max)
		return true;
	TAILQ_FOREACH(session, &sessions->open, link)
	{
		if (session->is_asking)
			continue;
		end(session);
		return true;
	}
	return false;
}

/* Takes fd. */
static void begin(void *context, int fd)
{
	struct sessions *sessions = context;
	struct session *session = make_room(sessions) ? calloc(1, sizeof *session) : NULL;
	if (session == NULL) {
		close(fd);
		return;
	}
	session->sessions = sessions;
	session->idle = evtimer_new(sessions->base, on_idle, session);
	session->connection = bufferevent_socket_new(sessions->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (session->idle == NULL || session->connection == NULL) {
		if (session->connection != NULL)
			bufferevent_free(session->connection);
		else
			close(fd);
		if (session->idle != NULL)
			event_free(session->idle);
		free(session);
		return;
	}
	/* on_readable is also for when all replies have been read: there may be room again. */
	bufferevent_setcb(session->connection, on_readable, on_readable, on_end, session);
	bufferevent_setwatermark(session->connection, EV_READ, 0, IN_MAX);
	TAILQ_INSERT_TAIL(&sessions->open, session, link);
	sessions->count++;
	event_add(session->idle, &sessions->idle);
	bufferevent_enable(session->connection, EV_READ | EV_WRITE);
}

int sessions_new(struct event_base *base, const struct postfix_options *options,
    const struct sockets *sockets, struct sessions **ret_sessions)
{
	struct sessions *sessions = calloc(1, sizeof *sessions);
	if (sessions == NULL) {
		serve_log(SERVE_ERROR, "out of memory");
		return EXIT_TROUBLE;
	}
	sessions->options = options;
	sessions->base = base;
	sessions->sockets = sockets;
	sessions->idle =
	    (struct timeval){options->idle_ms / 1000, (int)(options->idle_ms % 1000) * 1000};
	TAILQ_INIT(&sessions->open);
	int r = asking_new(
	    base, &options->daemon, options->timeout_ms, &plan_kind, sessions, &sessions->asking);
	if (r != 0) {
		free(sessions);
		return r;
	}
	*ret_sessions = sessions;
	return 0;
}

bool sessions_open(struct sessions *sessions, const struct probe *probe)
{
	sessions->probe = probe;
	for (size_t i = 0; i < sessions->sockets->count; i++) {
		sessions->accepting[i] =
		    accepting_new(sessions->base, sessions->sockets->list[i].fd, begin, sessions);
		if (sessions->accepting[i] == NULL)
			return false;
	}
	return true;
}

void sessions_free(struct sessions *sessions)
{
	if (sessions == NULL)
		return;
	for (size_t i = 0; i < SOCKETS_MAX; i++)
		accepting_free(sessions->accepting[i]);
	asking_free(sessions->asking);
	while (!TAILQ_EMPTY(&sessions->open))
		end(TAILQ_FIRST(&sessions->open));
	free(sessions);
}
