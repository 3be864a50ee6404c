/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/lib/plan_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WAYS_MAX 8u

int plan_cache_init(struct plan_cache *cache, size_t most)
{
	*cache = (struct plan_cache){.ways = most < WAYS_MAX ? most : WAYS_MAX};
	if (most == 0)
		return 0;
	cache->sets = most / cache->ways;
	cache->plans = calloc(cache->sets * cache->ways, sizeof *cache->plans);
	randombytes_buf(cache->key, sizeof cache->key);
	return cache->plans != NULL ? 0 : -ENOMEM;
}

void plan_cache_drop(struct cached_plan *plan)
{
	free(plan->body);
	*plan = (struct cached_plan){0};
}

void plan_cache_forget(struct plan_cache *cache)
{
	for (size_t i = 0; cache->plans != NULL && i < cache->sets * cache->ways; i++)
		plan_cache_drop(&cache->plans[i]);
}

void plan_cache_fini(struct plan_cache *cache)
{
	plan_cache_forget(cache);
	free(cache->plans);
	*cache = (struct plan_cache){0};
}

static uint64_t hash_of(const struct plan_cache *cache, const char *next_hop, unsigned port)
{
	uint8_t bytes[crypto_shorthash_BYTES];
	uint64_t hash;
	crypto_shorthash(bytes, (const uint8_t *)next_hop, strlen(next_hop), cache->key);
	memcpy(&hash, bytes, sizeof hash);
	return hash ^ port;
}

static struct cached_plan *set_of(const struct plan_cache *cache, uint64_t hash)
{
	return &cache->plans[hash % cache->sets * cache->ways];
}

static struct cached_plan *find_in(
    const struct plan_cache *cache, uint64_t hash, const char *next_hop, unsigned port)
{
	struct cached_plan *set = set_of(cache, hash);
	for (size_t i = 0; i < cache->ways; i++)
		if (set[i].body != NULL && set[i].hash == hash && set[i].port == port &&
		    strcmp((const char *)set[i].body + set[i].body_bytes, next_hop) == 0)
			return &set[i];
	return NULL;
}

struct cached_plan *plan_cache_find(
    struct plan_cache *cache, const char *next_hop, unsigned port, uint64_t now_ms)
{
	if (cache->plans == NULL)
		return NULL;
	struct cached_plan *plan = find_in(cache, hash_of(cache, next_hop, port), next_hop, port);
	if (plan == NULL)
		return NULL;
	if (now_ms >= plan->expires_at_ms) {
		plan_cache_drop(plan);
		return NULL;
	}
	plan->used = ++cache->uses;
	return plan;
}

/* The one with this name, else a free or expired one, else the one not used for longest. */
static struct cached_plan *place_for(const struct plan_cache *cache, uint64_t hash,
    const char *next_hop, unsigned port, uint64_t now_ms)
{
	struct cached_plan *set = set_of(cache, hash), *oldest = set;
	struct cached_plan *same = find_in(cache, hash, next_hop, port);
	if (same != NULL)
		return same;
	for (size_t i = 0; i < cache->ways; i++) {
		if (now_ms >= set[i].expires_at_ms)
			return &set[i];
		if (set[i].used < oldest->used)
			oldest = &set[i];
	}
	return oldest;
}

void plan_cache_store(struct plan_cache *cache, const char *next_hop, unsigned port,
    const uint8_t *body, size_t body_bytes, uint64_t now_ms, uint64_t expires_at_ms)
{
	if (cache->plans == NULL || body_bytes > PLAN_CACHE_BODY_MAX_BYTES ||
	    now_ms >= expires_at_ms)
		return;
	uint64_t hash = hash_of(cache, next_hop, port);
	struct cached_plan *plan = place_for(cache, hash, next_hop, port, now_ms);
	size_t name_bytes = strlen(next_hop) + 1;
	plan_cache_drop(plan);
	plan->body = malloc(body_bytes + name_bytes);
	if (plan->body == NULL)
		return;
	memcpy(plan->body, body, body_bytes);
	memcpy(plan->body + body_bytes, next_hop, name_bytes);
	plan->body_bytes = body_bytes;
	plan->port = port;
	plan->hash = hash;
	plan->expires_at_ms = expires_at_ms;
	plan->used = ++cache->uses;
}
