/* SPDX-License-Identifier: BSD-3-Clause */
#include "proto/frame.h"

enum frame_result frame_parse(
    const uint8_t *bytes, size_t count, size_t max_body_bytes, struct frame *ret_frame)
{
	ret_frame->whole_bytes = 0;
	if (count < FRAME_HEADER_BYTES)
		return FRAME_NEED_MORE;
	size_t body_bytes = (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 |
			    (size_t)bytes[2] << 8 | (size_t)bytes[3];
	if (body_bytes == 0)
		return FRAME_EMPTY;
	if (body_bytes > max_body_bytes)
		return FRAME_TOO_LONG;
	ret_frame->whole_bytes = FRAME_HEADER_BYTES + body_bytes;
	if (count < ret_frame->whole_bytes)
		return FRAME_NEED_MORE;
	ret_frame->body = bytes + FRAME_HEADER_BYTES;
	ret_frame->body_bytes = body_bytes;
	return FRAME_COMPLETE;
}

void frame_put_header(uint8_t header[FRAME_HEADER_BYTES], size_t body_bytes)
{
	header[0] = (uint8_t)(body_bytes >> 24);
	header[1] = (uint8_t)(body_bytes >> 16);
	header[2] = (uint8_t)(body_bytes >> 8);
	header[3] = (uint8_t)body_bytes;
}

size_t varint_put(uint8_t *out, uint64_t value)
{
	size_t n = 0;
	while (value >= 0x80) {
		out[n++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	out[n++] = (uint8_t)value;
	return n;
}
