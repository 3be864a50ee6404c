/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/lib/buffer.h"

#include <stdlib.h>
#include <string.h>

bool buffer_reserve(struct buffer *buffer, size_t count)
{
	if (buffer->room - buffer->end >= count)
		return true;
	size_t used = buffer_count(buffer);
	if (buffer->start > 0) {
		memmove(buffer->bytes, buffer->bytes + buffer->start, used);
		buffer->start = 0;
		buffer->end = used;
	}
	if (buffer->room - buffer->end >= count)
		return true;
	size_t room = used + count > 2 * buffer->room ? used + count : 2 * buffer->room;
	uint8_t *bytes = realloc(buffer->bytes, room);
	if (bytes == NULL)
		return false;
	buffer->bytes = bytes;
	buffer->room = room;
	return true;
}

bool buffer_append(struct buffer *buffer, const uint8_t *bytes, size_t count)
{
	if (!buffer_reserve(buffer, count))
		return false;
	memcpy(buffer->bytes + buffer->end, bytes, count);
	buffer->end += count;
	return true;
}

void buffer_consume(struct buffer *buffer, size_t count)
{
	buffer->start += count;
	if (buffer->start == buffer->end)
		buffer->start = buffer->end = 0;
}

void buffer_fini(struct buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct buffer){0};
}
