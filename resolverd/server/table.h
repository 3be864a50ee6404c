/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An intrusive hash table keyed by byte strings: two numbers and a name, as the questions of
 * answers and jobs are. The hash is keyed (SipHash), so peers cannot choose collisions; that of a
 * name stands for it with any numbers. It grows a few buckets at a time: no operation pauses for
 * the whole table. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "resolverd.pb-c.h"

struct table_node { /* embedded in what is stored; key is borrowed from it */
	struct table_node *next;
	const uint8_t *key;
	uint32_t key_bytes, hash;
};

struct table {
	struct table_node **buckets, **old_buckets;
	uint32_t mask, old_mask, moved; /* old buckets below moved are empty */
	size_t count;
	uint8_t hash_key[16];
};

/* Returns 0 or -ENOMEM. */
[[gnu::warn_unused_result]] int table_init(struct table *table);
void table_fini(struct table *table); /* frees the buckets, not what is in them */
struct table_node *table_find(struct table *table, const uint8_t *key, size_t key_bytes);
/* ---- the same in steps, for many at once: each touches what the one before it asked memory for */
uint32_t table_name_hash(const struct table *table, const char *name, size_t name_bytes);
/* Of the key that question_key_make makes of these. */
static inline uint32_t table_hash(uint32_t name_hash, int kind, uint16_t number)
{
	return name_hash ^ ((uint32_t)kind << 16 | number) * 0x9e3779b1u;
}
void table_fetch_bucket(const struct table *table, uint32_t hash);
void table_fetch_node(struct table *table, uint32_t hash);
void table_fetch_next(struct table *table, uint32_t hash); /* where that is another one */
struct table_node *table_find_question(struct table *table, uint32_t hash, int kind,
    uint16_t number, const char *name, size_t name_bytes);
/* The key must not be in the table yet; node->key and key_bytes are set by the caller. */
void table_insert(struct table *table, struct table_node *node);
void table_remove(struct table *table, struct table_node *node);
/* All of them, in no order; visit changes nothing of the table. */
void table_visit(
    const struct table *table, void (*visit)(struct table_node *node, void *arg), void *arg);

/* The nodes of some buckets, then the cursor to go on with; it begins with 0, and 0 is the end.
 * What is in the table from the first call to the last is visited, maybe twice, however much it
 * grows meanwhile. visit changes nothing of the table. */
uint32_t table_scan(const struct table *table, uint32_t cursor,
    void (*visit)(struct table_node *node, void *arg), void *arg);

/* ---- the keys of answers and jobs ---- */

#define QUESTION_KEY_MAX (3u + 1026u)
#define QUESTION_KEY_TRACED 0x80u /* beside the kind: of a job with a trace */
struct question_key {
	size_t count;
	uint8_t bytes[QUESTION_KEY_MAX];
};
/* number: port of a HOST, type of RECORDS, else 0. name is canonical. */
void question_key_make(struct question_key *key, int kind, uint16_t number, const char *name);
void question_key_of(struct question_key *key, const Resolverd__V1__Question *question);
/* The other way; bytes are a key's with a final zero, which question's name then points into. */
void question_of_key(uint8_t *bytes, Resolverd__V1__Question *question);
