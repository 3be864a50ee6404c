/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/cache.h"

#include <stdlib.h>
#include <string.h>

#define ALLOCATOR_BYTES 16u /* of each block, as glibc's malloc spends */

struct cache_entry {
	struct table_node node;
	struct cache_entry *newer, *older;
	struct answer *answer;
	bool visited;
	uint8_t key[];
};

struct answer *answer_new(size_t blob_bytes, size_t hosts_bytes, size_t trace_bytes)
{
	if (blob_bytes >= 1u << 24 || hosts_bytes > UINT16_MAX || trace_bytes > UINT32_MAX)
		return NULL;
	struct answer *answer = malloc(sizeof *answer + blob_bytes + hosts_bytes + trace_bytes);
	if (answer == NULL)
		return NULL;
	*answer = (struct answer){.refs = 1,
	    .blob_bytes = (uint32_t)blob_bytes & 0xffffffu,
	    .hosts_bytes = (uint16_t)hosts_bytes,
	    .trace_bytes = (uint32_t)trace_bytes};
	return answer;
}

struct answer *answer_ref(struct answer *answer)
{
	answer->refs++;
	return answer;
}

void answer_unref(struct answer *answer)
{
	if (answer != NULL && --answer->refs == 0)
		free(answer);
}

static size_t entry_bytes(const struct cache_entry *entry)
{
	return sizeof *entry + entry->node.key_bytes + sizeof *entry->answer +
	       entry->answer->blob_bytes + entry->answer->hosts_bytes + 2 * ALLOCATOR_BYTES +
	       2 * sizeof(void *); /* its share of the buckets */
}

int cache_init(struct cache *cache, size_t max_bytes)
{
	*cache = (struct cache){.max_bytes = max_bytes};
	return table_init(&cache->table);
}

static void entry_drop(struct cache *cache, struct cache_entry *entry)
{
	if (cache->hand == entry)
		cache->hand = entry->newer;
	if (cache->swept == entry)
		cache->swept = entry->newer;
	if (entry->newer != NULL)
		entry->newer->older = entry->older;
	else
		cache->newest = entry->older;
	if (entry->older != NULL)
		entry->older->newer = entry->newer;
	else
		cache->oldest = entry->newer;
	cache->used_bytes -= entry_bytes(entry);
	table_remove(&cache->table, &entry->node);
	answer_unref(entry->answer);
	free(entry);
}

void cache_clear(struct cache *cache)
{
	while (cache->newest != NULL)
		entry_drop(cache, cache->newest);
}

void cache_fini(struct cache *cache)
{
	cache_clear(cache);
	table_fini(&cache->table);
}

static struct cache_entry *find(struct cache *cache, const struct question_key *key)
{
	/* node is the first member */
	return (struct cache_entry *)table_find(&cache->table, key->bytes, key->count);
}

static struct cache_entry *find_live(
    struct cache *cache, const struct question_key *key, int64_t now_ms)
{
	struct cache_entry *entry = find(cache, key);
	return entry == NULL || now_ms >= entry->answer->expires_at_ms ? NULL : entry;
}

struct answer *cache_get(struct cache *cache, const struct question_key *key, int64_t now_ms)
{
	struct cache_entry *entry = find_live(cache, key, now_ms);
	if (entry == NULL)
		return NULL;
	entry->visited = true;
	return entry->answer;
}

struct answer *cache_peek(struct cache *cache, const struct question_key *key, int64_t now_ms)
{
	struct cache_entry *entry = find_live(cache, key, now_ms);
	return entry == NULL ? NULL : entry->answer;
}

/* SIEVE: the hand walks from the oldest to the newest, spares what was visited once more. */
static void evict_one(struct cache *cache, const struct cache_entry *spare)
{
	struct cache_entry *entry = cache->hand != NULL ? cache->hand : cache->oldest;
	while (entry->visited || entry == spare) {
		if (entry != spare)
			entry->visited = false;
		entry = entry->newer != NULL ? entry->newer : cache->oldest;
	}
	cache->hand = entry->newer;
	cache->evicted++;
	entry_drop(cache, entry);
}

void cache_put(struct cache *cache, const struct question_key *key, struct answer *answer)
{
	/* One answer never pushes out a large part of the others. */
	if (!answer->cacheable ||
	    (size_t)answer->blob_bytes + answer->hosts_bytes > cache->max_bytes / 8)
		return;
	struct cache_entry *entry = find(cache, key);
	if (entry != NULL) {
		cache->used_bytes -= entry_bytes(entry);
		answer_unref(entry->answer);
		entry->answer = answer_ref(answer);
		cache->used_bytes += entry_bytes(entry);
	} else {
		entry = malloc(sizeof *entry + key->count);
		if (entry == NULL)
			return; /* not kept: the next client asks again */
		*entry = (struct cache_entry){.answer = answer_ref(answer), .older = cache->newest};
		memcpy(entry->key, key->bytes, key->count);
		entry->node.key = entry->key;
		entry->node.key_bytes = (uint32_t)key->count;
		if (cache->newest != NULL)
			cache->newest->newer = entry;
		else
			cache->oldest = entry;
		cache->newest = entry;
		table_insert(&cache->table, &entry->node);
		cache->used_bytes += entry_bytes(entry);
	}
	while (cache->used_bytes > cache->max_bytes && cache->oldest != cache->newest)
		evict_one(cache, entry); /* room is made among the others */
}

void cache_sweep(struct cache *cache, unsigned count, int64_t now_ms)
{
	struct cache_entry *entry = cache->swept != NULL ? cache->swept : cache->oldest;
	while (entry != NULL && count-- > 0) {
		struct cache_entry *newer = entry->newer;
		if (now_ms >= entry->answer->expires_at_ms)
			entry_drop(cache, entry);
		entry = newer;
	}
	cache->swept = entry;
}
