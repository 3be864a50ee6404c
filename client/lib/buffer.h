/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes on their way to or from the socket. Zero is empty; buffer_fini makes it so again. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
	uint8_t *bytes;
	size_t start, end, room; /* content is [start, end) */
};

/* Makes space for count bytes at the end; false: no memory. */
[[nodiscard]] bool buffer_reserve(struct buffer *buffer, size_t count);
[[nodiscard]] bool buffer_append(struct buffer *buffer, const uint8_t *bytes, size_t count);
void buffer_consume(struct buffer *buffer, size_t count);
void buffer_fini(struct buffer *buffer);

static inline size_t buffer_count(const struct buffer *buffer)
{
	return buffer->end - buffer->start;
}
