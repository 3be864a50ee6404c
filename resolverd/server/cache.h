/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signed answers by question, within a bound of memory. Answers are immutable and counted: whoever
 * keeps one holds a reference. Eviction is SIEVE (NSDI 2024): a hit only sets a bit, and a flood of
 * one-off names passes through without pushing out what is in use. Pure: time is a parameter.
 */
#pragma once
#include <stdint.h>

#include "resolverd/server/table.h"

struct answer {
	uint32_t refs;
	uint32_t blob_bytes : 24; /* field 3 of a Response: tag, length, SignedAnswer */
	uint32_t host_count : 7;
	uint32_t cacheable : 1;
	uint16_t hosts_bytes;       /* routes: host names to look up, each with its final zero */
	uint16_t policy_generation; /* routes: of the local policy in it (signer.h) */
	uint32_t trace_bytes;       /* of a job with a trace: an Explained with its lookups */
	int64_t expires_at_ms;
	uint8_t data[]; /* blob, then hosts, then trace */
};

/* One reference; NULL: no memory. */
struct answer *answer_new(size_t blob_bytes, size_t hosts_bytes, size_t trace_bytes);
struct answer *answer_ref(struct answer *answer);
void answer_unref(struct answer *answer); /* NULL is fine */

struct cache_entry;

struct cache {
	struct table table;
	struct cache_entry *newest, *oldest, *hand, *swept;
	size_t used_bytes, max_bytes;
	uint64_t evicted;
};

[[gnu::warn_unused_result]] int cache_init(struct cache *cache, size_t max_bytes);
void cache_fini(struct cache *cache);
void cache_clear(struct cache *cache);

/* The live answer, borrowed until the next call that changes the cache; NULL when there is none. */
struct answer *cache_get(struct cache *cache, const struct question_key *key, int64_t now_ms);
/* The same, and leaves no trace: it counts as no use. */
struct answer *cache_peek(struct cache *cache, const struct question_key *key, int64_t now_ms);
/* Takes a reference of its own; replaces what is there. Does nothing for one not cacheable. */
void cache_put(struct cache *cache, const struct question_key *key, struct answer *answer);
/* Drops up to count expired entries, oldest first, walking on from the last call. */
void cache_sweep(struct cache *cache, unsigned count, int64_t now_ms);
