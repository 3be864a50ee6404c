/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A non-blocking connection, in clear or under TLS, with one buffer each way. Embedded by value in
 * a session. A program that uses it ignores SIGPIPE: OpenSSL writes without MSG_NOSIGNAL.
 */
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_IN_BYTES 4096u
#define STREAM_OUT_BYTES 16384u

enum stream_result {
	STREAM_OK,    /* something was done */
	STREAM_WAIT,  /* poll for stream_events first */
	STREAM_ENDED, /* the peer closed, reset or aborted: stream->error says how */
};

struct stream {
	int fd;
	SSL *ssl; /* NULL: in clear */
	bool tls_wants_write;
	unsigned tls_reads_left; /* in the current call */
	bool tls_broke;          /* ended by TLS itself: an alert, a broken record */
	uint8_t in[STREAM_IN_BYTES];
	size_t in_start, in_end;
	uint8_t out[STREAM_OUT_BYTES];
	size_t out_start, out_end;
	char error[160];
};

void stream_init(struct stream *stream);
void stream_fini(struct stream *stream);

/* Begins to connect; STREAM_WAIT, or STREAM_ENDED. ip: 4 or 16 octets in network order. */
enum stream_result stream_connect(
    struct stream *stream, const uint8_t *ip, size_t ip_bytes, uint16_t port);
/* After the descriptor got writable. */
enum stream_result stream_connected(struct stream *stream);

/* Takes ssl, prepared and not yet connected. Then call stream_handshake until it is not
 * STREAM_WAIT. */
void stream_start_tls(struct stream *stream, SSL *ssl);
enum stream_result stream_handshake(struct stream *stream);

short stream_events(const struct stream *stream);

size_t stream_room(const struct stream *stream);
/* Whole or not at all: false when there is no room. */
bool stream_queue(struct stream *stream, const void *bytes, size_t count);
/* STREAM_OK: all that was queued is with the kernel. */
enum stream_result stream_flush(struct stream *stream);

size_t stream_unread(const struct stream *stream);
/* More into the empty input buffer. */
enum stream_result stream_receive(struct stream *stream);
