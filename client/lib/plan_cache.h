/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Responses that made plans which are still live, as they came: options.plan_cache. One that is
 * found is unpacked and checked again as if it had just arrived (keys, question, expiry), so what
 * is kept here decides nothing. Bounded: what was not used for longest makes room. Zero keeps
 * nothing. Pure; time is a parameter.
 */
#pragma once
#include <sodium.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_CACHE_BODY_MAX_BYTES 65536u /* larger ones are not kept */

struct cached_plan {
	uint8_t *body; /* a Response; the next hop behind it. NULL: free */
	size_t body_bytes;
	unsigned port;
	uint64_t hash; /* of next hop and port */
	uint64_t expires_at_ms;
	uint64_t used; /* when, counted in uses */
};

struct plan_cache {
	struct cached_plan *plans;
	size_t sets, ways; /* of a set */
	uint64_t uses;
	uint8_t key[crypto_shorthash_KEYBYTES];
};

/* For so many plans at most; 0: none. 0 or -ENOMEM. */
[[nodiscard]] int plan_cache_init(struct plan_cache *cache, size_t most);
void plan_cache_fini(struct plan_cache *cache);

/* NULL: none that is live. Borrowed until the next call. */
struct cached_plan *plan_cache_find(
    struct plan_cache *cache, const char *next_hop, unsigned port, uint64_t now_ms);
/* Copies. When memory is short it is just not kept. */
void plan_cache_store(struct plan_cache *cache, const char *next_hop, unsigned port,
    const uint8_t *body, size_t body_bytes, uint64_t now_ms, uint64_t expires_at_ms);
void plan_cache_drop(struct cached_plan *plan);
/* All of them. */
void plan_cache_forget(struct plan_cache *cache);
