/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A framed, buffered, non-blocking connection on a libevent loop: sessions of clients and the links
 * to workers alike. Buffers exist only while they hold something, so an idle connection is small.
 * Frames handled in one read are answered with one write.
 */
#pragma once
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;

struct conn_handler {
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
	int fd;
	size_t max_frame_bytes;
	size_t max_out_bytes; /* above it reading pauses; not a hard limit for conn_write */
	uint8_t *in, *out;
	size_t in_size, in_used, out_size, out_used, out_sent;
	bool reading, closing, dead, in_callback;
	int64_t write_stalled_since_ms; /* mono; 0: not stalled */
	struct event read_event, write_event;
};

/* Takes fd. Returns 0 or -errno; then fd is the caller's still. */
[[gnu::warn_unused_result]] int conn_init(struct conn *conn, struct event_base *base, int fd,
    size_t max_frame_bytes, size_t max_out_bytes, const struct conn_handler *handler, void *owner);

/* Room for bytes at the end of the output; fill it, then conn_commit what was filled. NULL: no
 * memory, the connection will close. */
uint8_t *conn_reserve(struct conn *conn, size_t bytes);
void conn_commit(struct conn *conn, size_t bytes);

/* Closes soon: on_close comes from the loop, not from here. */
void conn_close(struct conn *conn);

/* For the owner's on_close or teardown: releases events, buffers and fd. */
void conn_fini(struct conn *conn);
