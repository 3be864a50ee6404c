/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bump allocation for what lives exactly as long as one job or one message. Memory comes zeroed;
 * arena_fini releases all of it at once. Allocation fails with NULL when memory or the arena's
 * limit is used up.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t used_bytes, limit_bytes;
};

void arena_init(struct arena *arena, size_t limit_bytes);
void arena_fini(struct arena *arena);
void *arena_alloc(struct arena *arena, size_t bytes);
void *arena_copy(struct arena *arena, const void *from, size_t bytes);
char *arena_string(struct arena *arena, const char *text);
