/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/table.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 256u
#define MOVE_AT_ONCE 8u
#define CACHE_LINE 64u
#define FETCH_LINES 3u /* of what a node is in: the key is behind it */

int table_init(struct table *table)
{
	*table = (struct table){.mask = FIRST_BUCKETS - 1};
	randombytes_buf(table->hash_key, sizeof table->hash_key);
	table->buckets = calloc(FIRST_BUCKETS, sizeof *table->buckets);
	return table->buckets != NULL ? 0 : -ENOMEM;
}

void table_fini(struct table *table)
{
	free(table->buckets);
	free(table->old_buckets);
	*table = (struct table){0};
}

#define NUMBERS_BYTES 3u /* of a key: kind and number, in front of the name */

uint32_t table_name_hash(const struct table *table, const char *name, size_t name_bytes)
{
	uint8_t hash[crypto_shorthash_BYTES];
	uint32_t value;
	crypto_shorthash(hash, (const uint8_t *)name, name_bytes, table->hash_key);
	memcpy(&value, hash, sizeof value);
	return value;
}

static uint32_t hash_of(const struct table *table, const uint8_t *key, size_t key_bytes)
{
	uint8_t numbers[NUMBERS_BYTES] = {0};
	size_t before = key_bytes < NUMBERS_BYTES ? key_bytes : NUMBERS_BYTES;
	memcpy(numbers, key, before);
	return table_hash(table_name_hash(table, (const char *)key + before, key_bytes - before),
	    numbers[0], (uint16_t)(numbers[1] << 8 | numbers[2]));
}

static void move_some(struct table *table)
{
	if (table->old_buckets == NULL)
		return;
	for (unsigned n = 0; n < MOVE_AT_ONCE && table->moved <= table->old_mask;
	     n++, table->moved++) {
		struct table_node *node = table->old_buckets[table->moved], *next;
		for (; node != NULL; node = next) {
			next = node->next;
			struct table_node **to = &table->buckets[node->hash & table->mask];
			node->next = *to;
			*to = node;
		}
		table->old_buckets[table->moved] = NULL;
	}
	if (table->moved > table->old_mask) {
		free(table->old_buckets);
		table->old_buckets = NULL;
	}
}

/* Without memory for more buckets the chains get longer; nothing fails. */
static void grow(struct table *table)
{
	if (table->old_buckets != NULL || table->count <= table->mask ||
	    table->mask >= UINT32_MAX / 2)
		return;
	struct table_node **larger = calloc(((size_t)table->mask + 1) * 2, sizeof *larger);
	if (larger == NULL)
		return;
	table->old_buckets = table->buckets;
	table->old_mask = table->mask;
	table->moved = 0;
	table->buckets = larger;
	table->mask = table->mask * 2 + 1;
}

/* While growing, a node is in its old bucket until that one has moved. */
static struct table_node **bucket_of(struct table *table, uint32_t hash)
{
	if (table->old_buckets != NULL && (hash & table->old_mask) >= table->moved)
		return &table->old_buckets[hash & table->old_mask];
	return &table->buckets[hash & table->mask];
}

void table_fetch_bucket(const struct table *table, uint32_t hash)
{
	__builtin_prefetch(&table->buckets[hash & table->mask]);
}

/* NULL is fine. */
static void fetch(const struct table_node *node)
{
	for (unsigned line = 0; line < FETCH_LINES; line++)
		__builtin_prefetch((const void *)((uintptr_t)node + line * CACHE_LINE));
}

void table_fetch_node(struct table *table, uint32_t hash)
{
	fetch(*bucket_of(table, hash));
}

void table_fetch_next(struct table *table, uint32_t hash)
{
	const struct table_node *node = *bucket_of(table, hash);
	if (node != NULL && node->hash != hash)
		fetch(node->next);
}

struct table_node *table_find_question(struct table *table, uint32_t hash, int kind,
    uint16_t number, const char *name, size_t name_bytes)
{
	const uint8_t numbers[NUMBERS_BYTES] = {
	    (uint8_t)kind, (uint8_t)(number >> 8), (uint8_t)number};
	for (struct table_node *node = *bucket_of(table, hash); node != NULL; node = node->next)
		if (node->hash == hash && node->key_bytes == NUMBERS_BYTES + name_bytes &&
		    memcmp(node->key, numbers, NUMBERS_BYTES) == 0 &&
		    memcmp(node->key + NUMBERS_BYTES, name, name_bytes) == 0)
			return node;
	return NULL;
}

struct table_node *table_find(struct table *table, const uint8_t *key, size_t key_bytes)
{
	uint32_t hash = hash_of(table, key, key_bytes);
	for (struct table_node *node = *bucket_of(table, hash); node != NULL; node = node->next)
		if (node->hash == hash && node->key_bytes == key_bytes &&
		    memcmp(node->key, key, key_bytes) == 0)
			return node;
	return NULL;
}

void table_insert(struct table *table, struct table_node *node)
{
	move_some(table);
	node->hash = hash_of(table, node->key, node->key_bytes);
	struct table_node **bucket = bucket_of(table, node->hash);
	node->next = *bucket;
	*bucket = node;
	table->count++;
	grow(table);
}

void table_remove(struct table *table, struct table_node *node)
{
	struct table_node **at = bucket_of(table, node->hash);
	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	table->count--;
	move_some(table);
}

static void visit_buckets(struct table_node **buckets, size_t count,
    void (*visit)(struct table_node *node, void *arg), void *arg)
{
	for (size_t i = 0; i < count; i++)
		for (struct table_node *node = buckets[i]; node != NULL; node = node->next)
			visit(node, arg);
}

void table_visit(
    const struct table *table, void (*visit)(struct table_node *node, void *arg), void *arg)
{
	visit_buckets(table->buckets, (size_t)table->mask + 1, visit, arg);
	if (table->old_buckets != NULL)
		visit_buckets(table->old_buckets, (size_t)table->old_mask + 1, visit, arg);
}

/* The cursor counts in bits that are reversed: a bucket's number begins with that of the bucket it
 * was split from, so what was visited before the table grew is not visited again, and nothing is
 * left out. */
static uint32_t reversed(uint32_t bits)
{
	bits = (bits >> 16) | (bits << 16);
	bits = (bits & 0xff00ff00u) >> 8 | (bits & 0x00ff00ffu) << 8;
	bits = (bits & 0xf0f0f0f0u) >> 4 | (bits & 0x0f0f0f0fu) << 4;
	bits = (bits & 0xccccccccu) >> 2 | (bits & 0x33333333u) << 2;
	return (bits & 0xaaaaaaaau) >> 1 | (bits & 0x55555555u) << 1;
}

static uint32_t next_cursor(uint32_t cursor, uint32_t mask)
{
	return reversed(reversed(cursor | ~mask) + 1);
}

static void visit_bucket(
    struct table_node *node, void (*visit)(struct table_node *node, void *arg), void *arg)
{
	for (struct table_node *next; node != NULL; node = next) {
		next = node->next;
		visit(node, arg);
	}
}

uint32_t table_scan(const struct table *table, uint32_t cursor,
    void (*visit)(struct table_node *node, void *arg), void *arg)
{
	if (table->old_buckets == NULL) {
		visit_bucket(table->buckets[cursor & table->mask], visit, arg);
		return next_cursor(cursor, table->mask);
	}
	/* The old bucket, and all that it is split into. */
	visit_bucket(table->old_buckets[cursor & table->old_mask], visit, arg);
	do {
		visit_bucket(table->buckets[cursor & table->mask], visit, arg);
		cursor = next_cursor(cursor, table->mask);
	} while ((cursor & (table->mask ^ table->old_mask)) != 0);
	return cursor;
}

void question_key_make(struct question_key *key, int kind, uint16_t number, const char *name)
{
	size_t length = strlen(name);
	if (length > QUESTION_KEY_MAX - 3)
		length = QUESTION_KEY_MAX - 3; /* canonical names are shorter */
	key->bytes[0] = (uint8_t)kind;
	key->bytes[1] = (uint8_t)(number >> 8);
	key->bytes[2] = (uint8_t)number;
	memcpy(key->bytes + 3, name, length);
	key->count = 3 + length;
}

void question_key_of(struct question_key *key, const Resolverd__V1__Question *question)
{
	uint32_t number =
	    question->kind == RESOLVERD__V1__KIND__RECORDS ? question->type : question->port;
	question_key_make(key, question->kind, (uint16_t)number, question->name);
}

void question_of_key(uint8_t *bytes, Resolverd__V1__Question *question)
{
	uint16_t number = (uint16_t)(bytes[1] << 8 | bytes[2]);
	question->kind = (Resolverd__V1__Kind)(bytes[0] & ~QUESTION_KEY_TRACED);
	question->port = question->kind == RESOLVERD__V1__KIND__HOST ? number : 0;
	question->type = question->kind == RESOLVERD__V1__KIND__RECORDS ? number : 0;
	question->name = (char *)bytes + 3;
}
