/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/base/arena.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 4096u
#define ALIGN 16u

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	_Alignas(ALIGN) uint8_t bytes[];
};

void arena_init(struct arena *arena, size_t limit_bytes)
{
	*arena = (struct arena){.limit_bytes = limit_bytes};
}

void arena_fini(struct arena *arena)
{
	for (struct arena_block *block = arena->blocks, *next; block != NULL; block = next) {
		next = block->next;
		free(block);
	}
	arena->blocks = NULL;
	arena->used_bytes = 0;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
	if (bytes > arena->limit_bytes - arena->used_bytes)
		return NULL;
	size_t wanted = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	struct arena_block *block = arena->blocks;
	if (block == NULL || block->size - block->used < wanted) {
		size_t size = wanted > BLOCK_BYTES ? wanted : BLOCK_BYTES;
		block = calloc(1, sizeof *block + size);
		if (block == NULL)
			return NULL;
		block->size = size;
		block->next = arena->blocks;
		arena->blocks = block;
	}
	void *at = block->bytes + block->used;
	block->used += wanted;
	arena->used_bytes += bytes;
	return at;
}

void *arena_copy(struct arena *arena, const void *from, size_t bytes)
{
	void *to = arena_alloc(arena, bytes > 0 ? bytes : 1);
	if (to != NULL && bytes > 0)
		memcpy(to, from, bytes);
	return to;
}

char *arena_string(struct arena *arena, const char *text)
{
	return arena_copy(arena, text, strlen(text) + 1);
}
