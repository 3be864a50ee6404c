/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A framed, buffered, non-blocking connection on a libevent loop: sessions of clients and the links
 * to workers alike. What comes in with one read is handled where it was read and answered with one
 * write, in buffers that all connections of a loop share; only what is left over is kept, so that
 * an idle connection is small and a busy one allocates nothing.
 */
#pragma once
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;
struct frame;

/* Of one loop. */
struct conn_buffers {
	uint8_t *in, *out;
};
/* Returns 0 or -ENOMEM. */
[[gnu::warn_unused_result]] int conn_buffers_init(struct conn_buffers *buffers);
void conn_buffers_fini(struct conn_buffers *buffers);

/* What connections of one owner keep in memory together. Above half of it each is done with its
 * output before it is read on; one that would go above it closes. All zero but max_bytes. */
struct conn_quota {
	size_t used_bytes, max_bytes;
	uint32_t refused_count;
};

struct conn_handler {
	/* May be NULL. Some whole frames that came together, before they come one by one: returns
	 * how many of the first are done with. Bodies are borrowed until the return. */
	size_t (*on_frames)(struct conn *conn, const struct frame *frames, size_t count);
	/* One whole frame; body is borrowed until the return. Non-zero closes the connection (after
	 * what was written before is flushed as far as the socket takes it). */
	int (*on_frame)(struct conn *conn, const uint8_t *body, size_t body_bytes);
	/* The peer sent something that is no frame; may still write. The connection closes then. */
	void (*on_malformed)(struct conn *conn, const char *what);
	/* Called exactly once, last; the owner frees what embeds the conn. Never called from within
	 * conn_write. */
	void (*on_close)(struct conn *conn);
	/* Output went below its limit again; may be NULL. */
	void (*on_drained)(struct conn *conn);
};

struct conn {
	const struct conn_handler *handler;
	void *owner;
	struct conn_buffers *buffers;
	struct conn_quota *quota; /* NULL: none; the owner's to set before anything is read */
	int fd;
	size_t max_frame_bytes;
	size_t max_out_bytes; /* above it reading pauses; not a hard limit for conn_write */
	uint8_t *in, *out;    /* what was left over; NULL: nothing */
	size_t in_size, in_used, out_size, out_used, out_sent;
	size_t gathered; /* bytes in buffers->out, while it is this one's turn */
	size_t promised; /* bytes of output that wait elsewhere; conn_promise */
	bool reading, closing, dead, in_callback;
	bool turn_is_over; /* whole frames may wait in `in`: until then nothing more is read */
	int64_t write_stalled_since_ms; /* mono; 0: not stalled */
	struct event read_event, write_event;
};

/* Takes fd, borrows buffers. Returns 0 or -errno; then fd is the caller's still. */
[[gnu::warn_unused_result]] int conn_init(struct conn *conn, struct event_base *base,
    struct conn_buffers *buffers, int fd, size_t max_frame_bytes, size_t max_out_bytes,
    const struct conn_handler *handler, void *owner);

/* Room for bytes at the end of the output; fill it, then conn_commit what was filled. NULL: no
 * memory, the connection will close. */
uint8_t *conn_reserve(struct conn *conn, size_t bytes);
void conn_commit(struct conn *conn, size_t bytes);

/* Output will come that is not written yet: it counts as unsent until it is promised no more. */
void conn_promise(struct conn *conn, size_t bytes);
void conn_promise_kept(struct conn *conn, size_t bytes);

/* For on_frame, after much work: the frames behind this one wait until others had their turn. */
void conn_yield(struct conn *conn);

/* So much is unsent that no more frames are taken. */
bool conn_is_full(const struct conn *conn);

/* Closes soon: on_close comes from the loop, not from here. */
void conn_close(struct conn *conn);

/* For the owner's on_close or teardown: releases events, buffers and fd. */
void conn_fini(struct conn *conn);
