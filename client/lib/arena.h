/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one block of memory behind a result: everything an answer unpacks to and every array of its
 * public form is allocated here and freed at once. Allocation fails with NULL, and from then on
 * always, so that a builder may check once at its end with arena_failed.
 */
#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

struct resolverd_memory;

[[nodiscard]] struct resolverd_memory *arena_new(void);
void arena_free(struct resolverd_memory *arena); /* NULL is fine */

/* Zeroed, aligned for anything. */
[[nodiscard]] void *arena_alloc(struct resolverd_memory *arena, size_t count, size_t size);
[[nodiscard]] char *arena_string(struct resolverd_memory *arena, const char *text);
[[nodiscard, gnu::format(printf, 2, 3)]] char *arena_printf(
    struct resolverd_memory *arena, const char *format, ...);
bool arena_failed(const struct resolverd_memory *arena);

/* For protobuf-c: messages unpacked with it live in the arena and need no free. */
ProtobufCAllocator *arena_protobuf(struct resolverd_memory *arena);
