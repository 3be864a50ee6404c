/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/cache.h"

#include <stdlib.h>
#include <string.h>

#define ALLOCATOR_BYTES 16u /* of each block, as glibc's malloc spends */

_Static_assert(NAME_TEXT_MAX < 1u << 11, "a host_place has its length");

struct answer *answer_new(size_t blob_bytes, unsigned host_count, size_t trace_bytes)
{
	size_t hosts_bytes = host_count * sizeof(struct host_place);
	if (blob_bytes >= 1u << 21 || host_count >= 1u << 5 || trace_bytes > UINT32_MAX)
		return NULL;
	struct answer *answer = malloc(sizeof *answer + blob_bytes + hosts_bytes + trace_bytes);
	if (answer == NULL)
		return NULL;
	*answer = (struct answer){.refs = 1,
	    .blob_bytes = (uint32_t)blob_bytes & 0x1fffffu,
	    .host_count = host_count & 0x1fu,
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

bool answer_set_host(struct answer *route, unsigned i, const char *name)
{
	size_t bytes = strlen(name);
	const uint8_t *found = memmem(route->data, route->blob_bytes, name, bytes);
	if (found == NULL || bytes >= NAME_TEXT_MAX)
		return false;
	struct host_place place = {
	    .at = (uint32_t)(found - route->data) & 0x1fffffu, .bytes = (uint32_t)bytes & 0x7ffu};
	memcpy(route->data + route->blob_bytes + i * sizeof place, &place, sizeof place);
	return true;
}

void answer_host_name(const struct answer *route, unsigned i, char ret_name[NAME_TEXT_MAX])
{
	size_t bytes;
	const char *name = answer_host(route, i, &bytes);
	memcpy(ret_name, name, bytes);
	ret_name[bytes] = '\0';
}

bool answer_hosts_are_good(const struct answer *route)
{
	for (unsigned i = 0; i < route->host_count; i++) {
		size_t bytes;
		const uint8_t *name = (const uint8_t *)answer_host(route, i, &bytes);
		if ((const uint8_t *)name > route->data + route->blob_bytes ||
		    bytes >= NAME_TEXT_MAX ||
		    bytes > route->blob_bytes - (size_t)(name - route->data) ||
		    memchr(name, 0, bytes) != NULL)
			return false;
	}
	return true;
}

bool answer_has_hosts_of(const struct answer *route, const struct answer *other)
{
	bool same = route->host_count == other->host_count;
	for (unsigned i = 0; same && i < route->host_count; i++) {
		size_t bytes, other_bytes;
		const char *name = answer_host(route, i, &bytes),
			   *other_name = answer_host(other, i, &other_bytes);
		same = bytes == other_bytes && memcmp(name, other_name, bytes) == 0;
	}
	return same;
}

static size_t entry_bytes(const struct cache_entry *entry)
{
	return sizeof *entry + entry->node.key_bytes + entry->hash_slots * sizeof(uint32_t) +
	       sizeof *entry->answer + answer_trace_at(entry->answer) + 2 * ALLOCATOR_BYTES +
	       2 * sizeof(void *); /* its share of the buckets */
}

static void count_in(struct cache *cache, const struct cache_entry *entry)
{
	size_t bytes = entry_bytes(entry);
	cache->used_bytes += bytes;
	cache->kept_bytes += entry->kept_until_s != 0 ? bytes : 0;
}

static void count_out(struct cache *cache, const struct cache_entry *entry)
{
	size_t bytes = entry_bytes(entry);
	cache->used_bytes -= bytes;
	cache->kept_bytes -= entry->kept_until_s != 0 ? bytes : 0;
}

int cache_init(struct cache *cache, size_t max_bytes)
{
	*cache = (struct cache){.max_bytes = max_bytes};
	return table_init(&cache->table);
}

void cache_drop(struct cache *cache, struct cache_entry *entry)
{
	if (cache->hand == entry)
		cache->hand = entry->newer;
	if (entry->newer != NULL)
		entry->newer->older = entry->older;
	else
		cache->newest = entry->older;
	if (entry->older != NULL)
		entry->older->newer = entry->newer;
	else
		cache->oldest = entry->newer;
	count_out(cache, entry);
	wheel_unset(&entry->timer);
	table_remove(&cache->table, &entry->node);
	answer_unref(entry->answer);
	free(entry);
}

void cache_clear(struct cache *cache)
{
	while (cache->newest != NULL)
		cache_drop(cache, cache->newest);
}

void cache_fini(struct cache *cache)
{
	cache_clear(cache);
	table_fini(&cache->table);
}

struct cache_entry *cache_find(struct cache *cache, const struct question_key *key)
{
	return (struct cache_entry *)table_find(&cache->table, key->bytes, key->count);
}

bool entry_is_live(const struct cache_entry *entry, int64_t now_ms)
{
	return now_ms < entry->answer->expires_at_ms;
}

/* SIEVE: the hand walks from the oldest to the newest, spares what was visited once more. */
static void evict_one(struct cache *cache, const struct cache_entry *spare)
{
	struct cache_entry *entry = cache->hand != NULL ? cache->hand : cache->oldest;
	bool spare_kept = cache->kept_bytes < cache->used_bytes / 2;
	while (entry->visited || entry == spare || (spare_kept && entry->kept_until_s != 0)) {
		if (entry != spare)
			entry->visited = false;
		entry = entry->newer != NULL ? entry->newer : cache->oldest;
	}
	cache->hand = entry->newer;
	cache->evicted++;
	cache_drop(cache, entry);
}

static void make_room(struct cache *cache, const struct cache_entry *spare)
{
	while (cache->used_bytes > cache->max_bytes && cache->oldest != cache->newest)
		evict_one(cache, spare);
}

static size_t less(size_t a, size_t b)
{
	return a > b ? a - b : 0;
}

void cache_fit(struct cache *cache, size_t memory_bytes, size_t budget_bytes)
{
	size_t over_bytes = less(memory_bytes, budget_bytes), most = cache->max_bytes;
	if (over_bytes == 0) {
		most = cache->used_bytes + less(budget_bytes, memory_bytes);
		cache->over_bytes = 0;
	} else if (over_bytes > cache->over_bytes) {
		most = cache->used_bytes < most ? cache->used_bytes : most;
		most = less(most, over_bytes - cache->over_bytes);
		cache->over_bytes = over_bytes;
	}
	most = most < budget_bytes ? most : budget_bytes;
	cache->max_bytes = most > budget_bytes / 2 ? most : budget_bytes / 2;
	make_room(cache, NULL);
}

uint32_t entry_host_hash(const struct cache *cache, const struct cache_entry *entry, unsigned i)
{
	uint32_t hash;
	if (i >= entry->hash_slots) {
		size_t bytes;
		const char *name = answer_host(entry->answer, i, &bytes);
		return table_name_hash(&cache->table, name, bytes);
	}
	memcpy(&hash, entry->key + entry->node.key_bytes + i * sizeof hash, sizeof hash);
	return hash;
}

static void set_host_hashes(struct cache *cache, struct cache_entry *entry)
{
	for (unsigned i = 0; i < entry->hash_slots && i < entry->answer->host_count; i++) {
		size_t bytes;
		const char *name = answer_host(entry->answer, i, &bytes);
		uint32_t hash = table_name_hash(&cache->table, name, bytes);
		memcpy(entry->key + entry->node.key_bytes + i * sizeof hash, &hash, sizeof hash);
	}
}

static struct cache_entry *entry_new(
    struct cache *cache, const struct question_key *key, struct answer *answer)
{
	uint8_t slots = answer->host_count;
	struct cache_entry *entry = malloc(sizeof *entry + key->count + slots * sizeof(uint32_t));
	if (entry == NULL)
		return NULL; /* not kept: the next client asks again */
	*entry = (struct cache_entry){
	    .answer = answer_ref(answer), .older = cache->newest, .hash_slots = slots};
	memcpy(entry->key, key->bytes, key->count);
	entry->node.key = entry->key;
	entry->node.key_bytes = (uint32_t)key->count;
	if (cache->newest != NULL)
		cache->newest->newer = entry;
	else
		cache->oldest = entry;
	cache->newest = entry;
	table_insert(&cache->table, &entry->node);
	count_in(cache, entry);
	return entry;
}

struct cache_entry *cache_put(
    struct cache *cache, const struct question_key *key, struct answer *answer)
{
	/* One answer never pushes out a large part of the others. */
	if (!answer->cacheable || answer_trace_at(answer) > cache->max_bytes / 8)
		return NULL;
	struct cache_entry *entry = cache_find(cache, key);
	if (entry != NULL) {
		count_out(cache, entry);
		answer_unref(entry->answer);
		entry->answer = answer_ref(answer);
		count_in(cache, entry);
	} else {
		entry = entry_new(cache, key, answer);
	}
	if (entry != NULL) {
		set_host_hashes(cache, entry);
		make_room(cache, entry); /* among the others */
	}
	return entry;
}

void cache_keep_until(struct cache *cache, struct cache_entry *entry, uint32_t until_s)
{
	count_out(cache, entry);
	entry->kept_until_s = until_s;
	count_in(cache, entry);
}
