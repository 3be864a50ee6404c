/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/lib/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 8192u

struct block {
	struct block *next;
	size_t used, room;
	max_align_t bytes[];
};

struct resolverd_memory {
	struct block *blocks; /* newest first */
	ProtobufCAllocator protobuf;
	bool failed;
};

static void *take(struct resolverd_memory *arena, size_t size)
{
	if (arena->failed || size > SIZE_MAX / 2)
		goto fail;
	size = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	struct block *block = arena->blocks;
	if (block == NULL || block->room - block->used < size) {
		size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
		block = malloc(sizeof *block + room);
		if (block == NULL)
			goto fail;
		*block = (struct block){.next = arena->blocks, .room = room};
		arena->blocks = block;
	}
	void *memory = (char *)block->bytes + block->used;
	block->used += size;
	return memory;
fail:
	arena->failed = true;
	return NULL;
}

static void *protobuf_alloc(void *arena, size_t size)
{
	return take(arena, size);
}

static void protobuf_free(void *arena, void *memory)
{
	(void)arena;
	(void)memory;
}

struct resolverd_memory *memory_new(void)
{
	struct resolverd_memory *arena = calloc(1, sizeof *arena);
	if (arena != NULL)
		arena->protobuf = (ProtobufCAllocator){
		    .alloc = protobuf_alloc, .free = protobuf_free, .allocator_data = arena};
	return arena;
}

void memory_free(struct resolverd_memory *arena)
{
	if (arena == NULL)
		return;
	for (struct block *block = arena->blocks, *next; block != NULL; block = next) {
		next = block->next;
		free(block);
	}
	free(arena);
}

void *memory_alloc(struct resolverd_memory *arena, size_t count, size_t size)
{
	if (size != 0 && count > SIZE_MAX / size) {
		arena->failed = true;
		return NULL;
	}
	void *memory = take(arena, count * size);
	return memory == NULL ? NULL : memset(memory, 0, count * size);
}

char *memory_string(struct resolverd_memory *arena, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = take(arena, size);
	return copy == NULL ? NULL : memcpy(copy, text, size);
}

char *memory_printf(struct resolverd_memory *arena, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	char *text = length < 0 ? NULL : take(arena, (size_t)length + 1);
	if (text == NULL)
		return NULL;
	va_start(arguments, format);
	vsnprintf(text, (size_t)length + 1, format, arguments);
	va_end(arguments);
	return text;
}

bool memory_failed(const struct resolverd_memory *arena)
{
	return arena->failed;
}

ProtobufCAllocator *memory_protobuf(struct resolverd_memory *arena)
{
	return &arena->protobuf;
}
