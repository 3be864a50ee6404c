/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Framing of both protocols: a 4-byte big-endian length, then that many bytes.
 * The parser is incremental and copies nothing: it looks at bytes the caller holds and says
 * whether a whole frame stands at their start.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FRAME_HEADER_BYTES 4u
#define FRAME_MAX_REQUEST_BYTES 4096u
#define FRAME_MAX_RESPONSE_BYTES (1024u * 1024u)

enum frame_result {
	FRAME_COMPLETE,
	FRAME_NEED_MORE,
	FRAME_EMPTY,    /* length 0: no message of ours is empty */
	FRAME_TOO_LONG, /* length above the limit of this direction */
};

struct frame {
	const uint8_t *body; /* borrows from the bytes given to frame_parse */
	size_t body_bytes;
	size_t whole_bytes; /* header and body: how far to advance */
};

/* On FRAME_COMPLETE fills ret_frame. On FRAME_NEED_MORE, once the header is there, only
 * ret_frame->whole_bytes is set (else 0), so that the caller can make room. */
enum frame_result frame_parse(
    const uint8_t *bytes, size_t count, size_t max_body_bytes, struct frame *ret_frame);

void frame_put_header(uint8_t header[FRAME_HEADER_BYTES], size_t body_bytes);

/* protobuf varint; writes at most 10 bytes, returns how many. */
size_t varint_put(uint8_t *out, uint64_t value);
