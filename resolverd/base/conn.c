/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/base/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/frame.h"
#include "resolverd/base/clock.h"

#define READ_BYTES 65536u
#define GATHER_BYTES (256u << 10)
#define BATCH_FRAMES 64u
#define TURN_FRAMES 16u                /* that come one by one; then others have their turn */
#define OUT_HARD_MAX_BYTES (64u << 20) /* answers to one who does not read them */

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);

int conn_buffers_init(struct conn_buffers *buffers)
{
	*buffers = (struct conn_buffers){malloc(READ_BYTES), malloc(GATHER_BYTES)};
	if (buffers->in != NULL && buffers->out != NULL)
		return 0;
	conn_buffers_fini(buffers);
	return -ENOMEM;
}

void conn_buffers_fini(struct conn_buffers *buffers)
{
	free(buffers->in);
	free(buffers->out);
	*buffers = (struct conn_buffers){0};
}

int conn_init(struct conn *conn, struct event_base *base, struct conn_buffers *buffers, int fd,
    size_t max_frame_bytes, size_t max_out_bytes, const struct conn_handler *handler, void *owner)
{
	*conn = (struct conn){.handler = handler,
	    .owner = owner,
	    .buffers = buffers,
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

/* ---- memory ---- */

/* Unsent output, wherever it stands. */
static size_t unsent(const struct conn *conn)
{
	return conn->gathered + conn->out_used - conn->out_sent;
}

bool conn_is_full(const struct conn *conn)
{
	size_t bytes = unsent(conn) + conn->promised;
	return bytes >= conn->max_out_bytes ||
	       (bytes > 0 && conn->quota != NULL &&
		   conn->quota->used_bytes > conn->quota->max_bytes / 2);
}

/* A buffer of this connection gets another size. */
static bool change_quota(struct conn *conn, size_t before, size_t after)
{
	struct conn_quota *quota = conn->quota;
	if (quota == NULL)
		return true;
	if (after > before && quota->used_bytes + (after - before) > quota->max_bytes) {
		quota->refused_count++;
		return false;
	}
	quota->used_bytes = quota->used_bytes - before + after;
	return true;
}

/* NULL: no memory, or more than the quota; then it stays as it was. */
static uint8_t *resize(struct conn *conn, uint8_t *buffer, size_t before, size_t after)
{
	if (!change_quota(conn, before, after))
		return NULL;
	uint8_t *changed = realloc(buffer, after);
	if (changed == NULL)
		(void)change_quota(conn, after, before);
	return changed;
}

static void release_in(struct conn *conn)
{
	(void)change_quota(conn, conn->in_size, 0);
	free(conn->in);
	conn->in = NULL;
	conn->in_size = conn->in_used = 0;
}

static void release_out(struct conn *conn)
{
	(void)change_quota(conn, conn->out_size, 0);
	free(conn->out);
	conn->out = NULL;
	conn->out_size = conn->out_used = conn->out_sent = 0;
}

void conn_fini(struct conn *conn)
{
	if (conn->fd < 0)
		return;
	event_del(&conn->read_event);
	event_del(&conn->write_event);
	close(conn->fd);
	release_in(conn);
	release_out(conn);
	conn->fd = -1;
}

/* ---- output ---- */

void conn_promise(struct conn *conn, size_t bytes)
{
	conn->promised += bytes;
}

void conn_promise_kept(struct conn *conn, size_t bytes)
{
	conn->promised -= bytes;
}

/* Room behind what was left over. */
static uint8_t *reserve_own(struct conn *conn, size_t bytes)
{
	if (conn->out_sent > 0) {
		memmove(conn->out, conn->out + conn->out_sent, conn->out_used - conn->out_sent);
		conn->out_used -= conn->out_sent;
		conn->out_sent = 0;
	}
	if (conn->out_size - conn->out_used < bytes) {
		size_t size = conn->out_size > 0 ? conn->out_size : 2048;
		while (size - conn->out_used < bytes)
			size *= 2;
		uint8_t *larger = resize(conn, conn->out, conn->out_size, size);
		if (larger == NULL) {
			conn_close(conn);
			return NULL;
		}
		conn->out = larger;
		conn->out_size = size;
	}
	return conn->out + conn->out_used;
}

static size_t send_some(struct conn *conn, const uint8_t *bytes, size_t count)
{
	size_t sent = 0;
	while (sent < count && !conn->dead) {
		ssize_t n = send(conn->fd, bytes + sent, count - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0)
			sent += (size_t)n;
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			break;
		else if (errno != EINTR)
			conn->dead = true;
	}
	if (sent > 0)
		conn->write_stalled_since_ms = 0;
	return sent;
}

/* What was gathered goes out; what the socket does not take is kept. */
static void send_gathered(struct conn *conn)
{
	size_t count = conn->gathered;
	const uint8_t *from = conn->buffers->out;
	conn->gathered = 0;
	size_t sent = send_some(conn, from, count);
	if (sent == count || conn->dead)
		return;
	uint8_t *to = reserve_own(conn, count - sent);
	if (to != NULL) {
		memcpy(to, from + sent, count - sent);
		conn->out_used += count - sent;
	}
}

uint8_t *conn_reserve(struct conn *conn, size_t bytes)
{
	if (unsent(conn) + bytes > OUT_HARD_MAX_BYTES) {
		conn_close(conn);
		return NULL;
	}
	if (conn->gathered > 0 && conn->gathered + bytes > GATHER_BYTES)
		send_gathered(conn);
	if (conn->in_callback && conn->out == NULL && bytes <= GATHER_BYTES)
		return conn->buffers->out + conn->gathered;
	return reserve_own(conn, bytes);
}

static void watch_reading(struct conn *conn)
{
	bool wanted = !conn->closing && !conn_is_full(conn);
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
	if (conn->gathered > 0)
		send_gathered(conn);
	if (conn->out != NULL)
		conn->out_sent +=
		    send_some(conn, conn->out + conn->out_sent, conn->out_used - conn->out_sent);
	if (conn->out_sent == conn->out_used) {
		release_out(conn);
	} else if (!conn->dead) {
		if (conn->write_stalled_since_ms == 0)
			conn->write_stalled_since_ms = clock_mono_ms();
		event_add(&conn->write_event, NULL);
	}
	watch_reading(conn);
}

void conn_commit(struct conn *conn, size_t bytes)
{
	if (conn->in_callback && conn->out == NULL)
		conn->gathered += bytes;
	else
		conn->out_used += bytes;
	if (!conn->in_callback) /* else process flushes once for all frames of its read */
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

static void process(struct conn *conn, const uint8_t *bytes, size_t count);

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	(void)fd, (void)what;
	bool was_full = conn_is_full(conn);
	flush(conn);
	if (was_full && conn->reading && conn->handler->on_drained != NULL)
		conn->handler->on_drained(conn);
	if (conn->reading && conn->in_used > 0)
		process(
		    conn, conn->in, conn->in_used); /* frames that waited while output was full */
	else if (conn->dead || conn->closing)
		finish(conn);
}

/* ---- input ---- */

static const char *malformed_text(enum frame_result result)
{
	return result == FRAME_EMPTY ? "a frame of length zero" : "a frame longer than the limit";
}

/* The whole frames at the start of bytes, BATCH_FRAMES at most. */
static size_t split(const struct conn *conn, const uint8_t *bytes, size_t count,
    struct frame frames[BATCH_FRAMES], enum frame_result *ret_last)
{
	size_t n = 0, at = 0;
	*ret_last = FRAME_COMPLETE;
	while (n < BATCH_FRAMES) {
		*ret_last = frame_parse(bytes + at, count - at, conn->max_frame_bytes, &frames[n]);
		if (*ret_last != FRAME_COMPLETE)
			break;
		at += frames[n++].whole_bytes;
	}
	return n;
}

static bool may_go_on(const struct conn *conn)
{
	return !conn->closing && !conn->dead && !conn->turn_is_over && !conn_is_full(conn);
}

void conn_yield(struct conn *conn)
{
	conn->turn_is_over = true;
}

/* Hands out frames until the bytes, the turn or the output limit ends it. Returns how many bytes
 * are done. */
static size_t hand_out(struct conn *conn, const uint8_t *bytes, size_t count)
{
	struct frame frames[BATCH_FRAMES];
	enum frame_result last = FRAME_COMPLETE;
	size_t at = 0;
	unsigned one_by_one = 0;
	while (last == FRAME_COMPLETE && may_go_on(conn)) {
		size_t n = split(conn, bytes + at, count - at, frames, &last), i = 0;
		while (i < n && may_go_on(conn)) {
			size_t done = 0;
			if (conn->handler->on_frames != NULL)
				done = conn->handler->on_frames(conn, frames + i, n - i);
			for (; done > 0; done--)
				at += frames[i++].whole_bytes;
			if (i == n || !may_go_on(conn))
				break;
			at += frames[i].whole_bytes;
			if (conn->handler->on_frame(conn, frames[i].body, frames[i].body_bytes) !=
			    0)
				conn->closing = true;
			i++;
			if (++one_by_one == TURN_FRAMES)
				conn_yield(conn);
		}
		if (i < n)
			return at;
	}
	if (last != FRAME_COMPLETE && last != FRAME_NEED_MORE && may_go_on(conn)) {
		conn->handler->on_malformed(conn, malformed_text(last));
		conn->closing = true;
	}
	return at;
}

/* Of what was read into the shared buffer this is left over. */
static void keep_rest(struct conn *conn, const uint8_t *bytes, size_t count)
{
	struct frame frame = {0};
	if (count == 0 || conn->closing || conn->dead)
		return;
	size_t size = count;
	if (frame_parse(bytes, count, conn->max_frame_bytes, &frame) == FRAME_NEED_MORE &&
	    frame.whole_bytes > size)
		size = frame.whole_bytes;
	conn->in = resize(conn, NULL, 0, size);
	if (conn->in == NULL) {
		conn->dead = true;
		return;
	}
	memcpy(conn->in, bytes, count);
	conn->in_size = size;
	conn->in_used = count;
}

/* bytes: conn->in, or the shared buffer while that holds nothing. */
static void process(struct conn *conn, const uint8_t *bytes, size_t count)
{
	bool is_own = conn->in_used > 0;
	conn->in_callback = true;
	conn->turn_is_over = false;
	size_t done = hand_out(conn, bytes, count);
	conn->turn_is_over |= conn_is_full(conn);
	if (conn->gathered > 0)
		send_gathered(conn);
	conn->in_callback = false;
	if (!is_own) {
		keep_rest(conn, bytes + done, count - done);
	} else if (done == count) {
		release_in(conn);
	} else {
		memmove(conn->in, conn->in + done, count - done);
		conn->in_used = count - done;
	}
	conn->turn_is_over &= conn->in_used > 0;
	if (conn->turn_is_over) /* go on as soon as it is our turn, and the output is out */
		event_active(&conn->write_event, EV_WRITE, 0);
	finish(conn);
}

/* For the rest of a frame of which some is there. */
static bool make_room(struct conn *conn)
{
	struct frame frame = {0};
	size_t wanted = conn->in_used + READ_BYTES;
	if (frame_parse(conn->in, conn->in_used, conn->max_frame_bytes, &frame) ==
		FRAME_NEED_MORE &&
	    frame.whole_bytes > 0)
		wanted = frame.whole_bytes > conn->in_used ? frame.whole_bytes : conn->in_used + 1;
	if (conn->in_used < conn->in_size && conn->in_size >= wanted)
		return true;
	uint8_t *larger = resize(conn, conn->in, conn->in_size, wanted);
	if (larger == NULL)
		return false;
	conn->in = larger;
	conn->in_size = wanted;
	return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	bool is_own = conn->in_used > 0;
	(void)what;
	if (conn->turn_is_over)
		return;
	if (is_own && !make_room(conn)) {
		conn->dead = true;
		finish(conn);
		return;
	}
	ssize_t n =
	    is_own ? recv(fd, conn->in + conn->in_used, conn->in_size - conn->in_used, MSG_DONTWAIT)
		   : recv(fd, conn->buffers->in, READ_BYTES, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0) {
		conn->dead = true;
		finish(conn);
		return;
	}
	if (is_own)
		conn->in_used += (size_t)n;
	process(conn, is_own ? conn->in : conn->buffers->in, is_own ? conn->in_used : (size_t)n);
}
