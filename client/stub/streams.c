/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queries over TCP (RFC 7766): any number in one connection, answered as they become ready. A
 * connection ends when nothing whole came for some time and no answer is owed; when it is not read
 * from; and, the longest idle first, when there is no room for a new one.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/serve/accepting.h"
#include "client/stub/stub.h"

#define LENGTH_BYTES 2u
#define PACKET_MAX 4096u /* as for datagrams */
#define IN_MAX (4 * (LENGTH_BYTES + PACKET_MAX))
#define OUT_MAX_BYTES (256u * 1024u) /* unread answers; then no more queries are read */
#define OWED_MAX 256u                /* answers of one connection; as above */

struct stream {
	struct streams *streams;
	struct bufferevent *connection; /* NULL: it has ended, answers are owed still */
	unsigned owed;
	bool has_ended_asking;
	struct event *idle;
	TAILQ_ENTRY(stream) link; /* the longest idle first */
};

struct streams {
	struct stub *stub;
	struct event_base *base;
	unsigned max, count;
	struct timeval idle;
	TAILQ_HEAD(, stream) open, ended;
	struct accepting *listeners[STUB_SOCKETS_MAX];
	size_t listener_count;
};

/* ---- the end of one ---- */

static void release(struct stream *stream)
{
	TAILQ_REMOVE(&stream->streams->ended, stream, link);
	free(stream);
}

static void end(struct stream *stream)
{
	struct streams *streams = stream->streams;
	bufferevent_free(stream->connection); /* and the descriptor */
	stream->connection = NULL;
	event_free(stream->idle);
	TAILQ_REMOVE(&streams->open, stream, link);
	TAILQ_INSERT_TAIL(&streams->ended, stream, link);
	streams->count--;
	if (stream->owed == 0)
		release(stream);
}

static size_t unread_bytes(const struct stream *stream)
{
	return evbuffer_get_length(bufferevent_get_output(stream->connection));
}

static void touch(struct stream *stream)
{
	TAILQ_REMOVE(&stream->streams->open, stream, link);
	TAILQ_INSERT_TAIL(&stream->streams->open, stream, link);
	event_add(stream->idle, &stream->streams->idle);
}

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct stream *stream = arg;
	(void)fd;
	(void)what;
	if (stream->owed > 0 && unread_bytes(stream) == 0)
		event_add(stream->idle, &stream->streams->idle);
	else
		end(stream);
}

/* ---- queries ---- */

enum taken { TOOK_ONE, NO_MORE, NO_MESSAGE };

static enum taken take_one(struct stream *stream)
{
	struct evbuffer *in = bufferevent_get_input(stream->connection);
	uint8_t length[LENGTH_BYTES], packet[PACKET_MAX];
	if (evbuffer_copyout(in, length, sizeof length) < (ssize_t)sizeof length)
		return NO_MORE;
	size_t bytes = (size_t)length[0] << 8 | length[1];
	if (bytes > sizeof packet)
		return NO_MESSAGE;
	if (evbuffer_get_length(in) < LENGTH_BYTES + bytes)
		return NO_MORE;
	evbuffer_drain(in, LENGTH_BYTES);
	evbuffer_remove(in, packet, bytes);
	struct stub_asker asker = {.transport = DNS_STREAM, .stream = stream};
	touch(stream);
	stream->owed += stub_take(stream->streams->stub, packet, bytes, &asker);
	return TOOK_ONE;
}

static bool is_full(const struct stream *stream)
{
	return stream->owed >= OWED_MAX || unread_bytes(stream) >= OUT_MAX_BYTES;
}

/* Takes what came, up to the limits. The stream may have ended afterwards. */
static void take_all(struct stream *stream)
{
	enum taken taken = TOOK_ONE;
	while (taken == TOOK_ONE && !is_full(stream))
		taken = take_one(stream);
	bool has_all = stream->has_ended_asking && stream->owed == 0 && unread_bytes(stream) == 0;
	if (taken == NO_MESSAGE || has_all)
		end(stream);
	else if (is_full(stream) || stream->has_ended_asking)
		bufferevent_disable(stream->connection, EV_READ);
	else
		bufferevent_enable(stream->connection, EV_READ);
}

static void on_readable(struct bufferevent *connection, void *arg)
{
	struct stream *stream = arg;
	struct stub *stub = stream->streams->stub;
	(void)connection;
	take_all(stream);
	stub_taken(stub);
}

/* All answers so far have been read. */
static void on_drained(struct bufferevent *connection, void *arg)
{
	struct stream *stream = arg;
	struct stub *stub = stream->streams->stub;
	(void)connection;
	touch(stream);
	take_all(stream);
	stub_taken(stub);
}

static void on_end(struct bufferevent *connection, short what, void *arg)
{
	struct stream *stream = arg;
	struct stub *stub = stream->streams->stub;
	(void)connection;
	if (!(what & BEV_EVENT_EOF)) {
		end(stream);
		return;
	}
	stream->has_ended_asking = true; /* and may wait for answers */
	take_all(stream);
	stub_taken(stub);
}

void stream_send(struct stream *stream, const uint8_t *message, size_t bytes)
{
	if (stream->connection == NULL)
		return;
	struct evbuffer *out = bufferevent_get_output(stream->connection);
	uint8_t length[LENGTH_BYTES] = {(uint8_t)(bytes >> 8), (uint8_t)bytes};
	if (evbuffer_expand(out, sizeof length + bytes) != 0)
		return; /* out of memory: this one goes without */
	evbuffer_add(out, length, sizeof length);
	evbuffer_add(out, message, bytes);
	touch(stream); /* else one that becomes idle in this moment ends before it is written */
}

void stream_settled(struct stream *stream)
{
	stream->owed--;
	if (stream->connection != NULL)
		take_all(stream);
	else if (stream->owed == 0)
		release(stream);
}

/* ---- the beginning of one ---- */

static bool make_room(struct streams *streams)
{
	struct stream *stream;
	if (streams->count < streams->max)
		return true;
	TAILQ_FOREACH(stream, &streams->open, link)
	{
		if (stream->owed > 0)
			continue;
		end(stream);
		return true;
	}
	return false;
}

/* Takes fd. */
static void begin(void *context, int fd)
{
	struct streams *streams = context;
	const int on = 1;
	struct stream *stream = make_room(streams) ? calloc(1, sizeof *stream) : NULL;
	if (stream == NULL) {
		close(fd);
		return;
	}
	stream->streams = streams;
	stream->idle = evtimer_new(streams->base, on_idle, stream);
	stream->connection = bufferevent_socket_new(streams->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (stream->idle == NULL || stream->connection == NULL) {
		if (stream->connection != NULL)
			bufferevent_free(stream->connection);
		else
			close(fd);
		if (stream->idle != NULL)
			event_free(stream->idle);
		free(stream);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	bufferevent_setcb(stream->connection, on_readable, on_drained, on_end, stream);
	bufferevent_setwatermark(stream->connection, EV_READ, 0, IN_MAX);
	TAILQ_INSERT_TAIL(&streams->open, stream, link);
	streams->count++;
	event_add(stream->idle, &streams->idle);
	bufferevent_enable(stream->connection, EV_READ | EV_WRITE);
}

struct streams *streams_new(struct stub *stub, struct event_base *base,
    const struct stub_sockets *sockets, const struct stub_options *options)
{
	struct streams *streams = calloc(1, sizeof *streams);
	if (streams == NULL)
		return NULL;
	streams->stub = stub;
	streams->base = base;
	streams->max = options->streams_max;
	streams->idle =
	    (struct timeval){options->stream_idle_ms / 1000, options->stream_idle_ms % 1000 * 1000};
	TAILQ_INIT(&streams->open);
	TAILQ_INIT(&streams->ended);
	for (size_t i = 0; i < sockets->count; i++) {
		if (!sockets->list[i].is_stream)
			continue;
		struct accepting *listener =
		    accepting_new(base, sockets->list[i].fd, begin, streams);
		if (listener == NULL) {
			streams_free(streams);
			return NULL;
		}
		streams->listeners[streams->listener_count++] = listener;
	}
	return streams;
}

void streams_free(struct streams *streams)
{
	if (streams == NULL)
		return;
	while (!TAILQ_EMPTY(&streams->open))
		end(TAILQ_FIRST(&streams->open));
	while (!TAILQ_EMPTY(&streams->ended))
		release(TAILQ_FIRST(&streams->ended));
	for (size_t i = 0; i < streams->listener_count; i++)
		accepting_free(streams->listeners[i]);
	free(streams);
}
