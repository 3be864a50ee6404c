/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/base/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/frame.h"
#include "resolverd/base/clock.h"

#define READ_BYTES 16384u
#define OUT_HARD_MAX_BYTES (64u << 20) /* answers to one who does not read them */

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);

int conn_init(struct conn *conn, struct event_base *base, int fd, size_t max_frame_bytes,
    size_t max_out_bytes, const struct conn_handler *handler, void *owner)
{
	*conn = (struct conn){.handler = handler,
	    .owner = owner,
	    .fd = fd,
	    .max_frame_bytes = max_frame_bytes,
	    .max_out_bytes = max_out_bytes};
	evutil_make_socket_nonblocking(fd);
	event_assign(&conn->read_event, base, fd, EV_READ | EV_PERSIST, on_readable, conn);
	event_assign(&conn->write_event, base, fd, EV_WRITE, on_writable, conn);
	if (event_add(&conn->read_event, NULL) != 0)
		return -ENOMEM;
	conn->reading = true;
	return 0;
}

void conn_fini(struct conn *conn)
{
	if (conn->fd < 0)
		return;
	event_del(&conn->read_event);
	event_del(&conn->write_event);
	close(conn->fd);
	free(conn->in);
	free(conn->out);
	conn->in = conn->out = NULL;
	conn->fd = -1;
}

/* ---- output ---- */

uint8_t *conn_reserve(struct conn *conn, size_t bytes)
{
	if (conn->out_sent > 0 && conn->out_sent == conn->out_used)
		conn->out_sent = conn->out_used = 0;
	if (conn->out_used - conn->out_sent + bytes > OUT_HARD_MAX_BYTES) {
		conn_close(conn);
		return NULL;
	}
	if (conn->out_size - conn->out_used < bytes) {
		if (conn->out_sent > 0) {
			memmove(
			    conn->out, conn->out + conn->out_sent, conn->out_used - conn->out_sent);
			conn->out_used -= conn->out_sent;
			conn->out_sent = 0;
		}
		size_t size = conn->out_size > 0 ? conn->out_size : 2048;
		while (size - conn->out_used < bytes)
			size *= 2;
		uint8_t *larger = size != conn->out_size ? realloc(conn->out, size) : conn->out;
		if (larger == NULL) {
			conn_close(conn);
			return NULL;
		}
		conn->out = larger;
		conn->out_size = size;
	}
	return conn->out + conn->out_used;
}

static void watch_reading(struct conn *conn)
{
	bool wanted = !conn->closing && conn->out_used - conn->out_sent < conn->max_out_bytes;
	if (wanted == conn->reading)
		return;
	conn->reading = wanted;
	if (wanted)
		event_add(&conn->read_event, NULL);
	else
		event_del(&conn->read_event);
}

/* Sends what the socket takes. The rest waits for the write event. */
static void flush(struct conn *conn)
{
	while (conn->out_sent < conn->out_used && !conn->dead) {
		ssize_t n = send(conn->fd, conn->out + conn->out_sent,
		    conn->out_used - conn->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			conn->out_sent += (size_t)n;
			conn->write_stalled_since_ms = 0;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			break;
		} else if (errno != EINTR) {
			conn->dead = true;
		}
	}
	if (conn->out_sent == conn->out_used) {
		free(conn->out);
		conn->out = NULL;
		conn->out_size = conn->out_used = conn->out_sent = 0;
	} else if (!conn->dead) {
		if (conn->write_stalled_since_ms == 0)
			conn->write_stalled_since_ms = clock_mono_ms();
		event_add(&conn->write_event, NULL);
	}
	watch_reading(conn);
}

void conn_commit(struct conn *conn, size_t bytes)
{
	conn->out_used += bytes;
	if (!conn->in_callback) /* else on_readable flushes once for all frames of its read */
		event_active(&conn->write_event, EV_WRITE, 0);
}

void conn_close(struct conn *conn)
{
	conn->closing = true;
	event_active(&conn->write_event, EV_WRITE, 0);
}

static void finish(struct conn *conn)
{
	flush(conn);
	if (conn->dead || conn->closing) {
		event_del(&conn->read_event);
		event_del(&conn->write_event);
		conn->handler->on_close(conn); /* conn may be gone now */
	}
}

static void process(struct conn *conn);

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	(void)fd, (void)what;
	bool was_full = conn->out_used - conn->out_sent >= conn->max_out_bytes;
	flush(conn);
	if (was_full && conn->reading && conn->handler->on_drained != NULL)
		conn->handler->on_drained(conn);
	if (conn->reading && conn->in_used > 0)
		process(conn); /* frames that waited while output was full */
	else if (conn->dead || conn->closing)
		finish(conn);
}

/* ---- input ---- */

static const char *malformed_text(enum frame_result result)
{
	return result == FRAME_EMPTY ? "a frame of length zero" : "a frame longer than the limit";
}

/* Hands out whole frames until the buffer or the output limit ends it. */
static void process(struct conn *conn)
{
	size_t at = 0;
	conn->in_callback = true;
	while (!conn->closing && !conn->dead &&
	       conn->out_used - conn->out_sent < conn->max_out_bytes) {
		struct frame frame;
		enum frame_result result =
		    frame_parse(conn->in + at, conn->in_used - at, conn->max_frame_bytes, &frame);
		if (result == FRAME_NEED_MORE)
			break;
		if (result != FRAME_COMPLETE) {
			conn->handler->on_malformed(conn, malformed_text(result));
			conn->closing = true;
			break;
		}
		at += frame.whole_bytes;
		if (conn->handler->on_frame(conn, frame.body, frame.body_bytes) != 0)
			conn->closing = true;
	}
	conn->in_callback = false;
	bool full = conn->out_used - conn->out_sent >= conn->max_out_bytes;
	if (at > 0) {
		memmove(conn->in, conn->in + at, conn->in_used - at);
		conn->in_used -= at;
	}
	if (conn->in_used == 0) {
		free(conn->in);
		conn->in = NULL;
		conn->in_size = 0;
	}
	if (full && conn->in_used > 0) /* frames wait: go on as soon as the output is out */
		event_active(&conn->write_event, EV_WRITE, 0);
	finish(conn);
}

static bool make_room(struct conn *conn)
{
	struct frame frame = {0};
	size_t wanted = READ_BYTES;
	if (frame_parse(conn->in, conn->in_used, conn->max_frame_bytes, &frame) ==
		FRAME_NEED_MORE &&
	    frame.whole_bytes > wanted)
		wanted = frame.whole_bytes;
	if (conn->in_size >= wanted && conn->in_used < conn->in_size)
		return true;
	if (conn->in_used >= wanted)
		wanted = conn->in_used + READ_BYTES;
	uint8_t *larger = realloc(conn->in, wanted);
	if (larger == NULL)
		return false;
	conn->in = larger;
	conn->in_size = wanted;
	return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	(void)what;
	if (!make_room(conn)) {
		conn->dead = true;
		finish(conn);
		return;
	}
	ssize_t n = recv(fd, conn->in + conn->in_used, conn->in_size - conn->in_used, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0) {
		conn->dead = true;
		finish(conn);
		return;
	}
	conn->in_used += (size_t)n;
	process(conn);
}
