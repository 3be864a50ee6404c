/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one block of memory behind a result: everything an answer unpacks to and every array of its
 * public form is allocated here and freed at once. Allocation fails with NULL, and from then on
 * always, so that a builder may check once at its end with memory_failed.
 */
#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

struct resolverd_memory;

[[nodiscard]] struct resolverd_memory *memory_new(void);
void memory_free(struct resolverd_memory *arena); /* NULL is fine */

/* Zeroed, aligned for anything. */
[[nodiscard]] void *memory_alloc(struct resolverd_memory *arena, size_t count, size_t size);
[[nodiscard]] char *memory_string(struct resolverd_memory *arena, const char *text);
[[nodiscard, gnu::format(printf, 2, 3)]] char *memory_printf(
    struct resolverd_memory *arena, const char *format, ...);
bool memory_failed(const struct resolverd_memory *arena);

/* For protobuf-c: messages unpacked with it live in the arena and need no free. */
ProtobufCAllocator *memory_protobuf(struct resolverd_memory *arena);
