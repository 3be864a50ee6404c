/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signed answers by question, within a bound of memory. Answers are immutable and counted: whoever
 * keeps one holds a reference. Eviction is SIEVE (NSDI 2024): a hit only sets a bit, and a flood of
 * one-off names passes through without pushing out what is in use. When an entry is refreshed and
 * when it ends is prefetch.c's to say. Pure: time is a parameter.
 */
#pragma once
#include <stdint.h>
#include <string.h>

#include "proto/names.h"
#include "resolverd/server/table.h"
#include "resolverd/server/wheel.h"

struct answer {
	uint32_t refs;
	uint32_t blob_bytes : 21; /* field 3 of a Response: tag, length, SignedAnswer */
	uint32_t host_count : 5;  /* routes: hosts to look up */
	uint32_t cacheable : 1;
	uint32_t failed : 1;  /* it says that there is no trustworthy answer */
	uint32_t bogus : 1;   /* ... since validation failed */
	uint32_t stale : 1;   /* served past its end (RFC 8767) */
	uint32_t foreign : 1; /* another member of the fleet found it */
	uint16_t generation;  /* of key and local policy (signer.h); 0: a snapshot brought it */
	uint32_t trace_bytes; /* of a job with a trace: an Explained with its lookups */
	int64_t expires_at_ms;
	uint8_t data[]; /* blob, then a struct host_place for each host, then trace */
};

/* Where a host's name stands in the blob. */
struct host_place {
	uint32_t at : 21;
	uint32_t bytes : 11;
};

/* One reference; NULL: no memory. The blob is the caller's to fill, then answer_set_host. */
struct answer *answer_new(size_t blob_bytes, unsigned host_count, size_t trace_bytes);
struct answer *answer_ref(struct answer *answer);
void answer_unref(struct answer *answer); /* NULL is fine */
/* False when the name is not in the blob. */
[[gnu::warn_unused_result]] bool answer_set_host(
    struct answer *route, unsigned i, const char *name);
/* Borrowed; without a final zero. */
static inline const char *answer_host(const struct answer *route, unsigned i, size_t *ret_bytes)
{
	struct host_place place;
	memcpy(&place, route->data + route->blob_bytes + i * sizeof place, sizeof place);
	*ret_bytes = place.bytes;
	return (const char *)route->data + place.at;
}
void answer_host_name(const struct answer *route, unsigned i, char ret_name[NAME_TEXT_MAX]);
/* For what comes from outside: each stands in the blob, and a name has that many bytes. */
bool answer_hosts_are_good(const struct answer *route);
bool answer_has_hosts_of(const struct answer *route, const struct answer *other);
/* In data. */
static inline size_t answer_trace_at(const struct answer *answer)
{
	return answer->blob_bytes + answer->host_count * sizeof(struct host_place);
}

/* What an entry's timer is for. */
enum entry_state {
	ENTRY_FRESH,   /* its refresh, if it is in use by then */
	ENTRY_UNUSED,  /* its end; the next hit refreshes it */
	ENTRY_RUNNING, /* its end; a refresh is under way */
	ENTRY_RETRY,   /* another refresh */
	ENTRY_AT_END,  /* its end, and then a refresh: one before brings nothing newer */
	ENTRY_ENDS,    /* its end */
};

struct cache_entry {
	struct table_node node; /* the first member */
	struct cache_entry *newer, *older;
	struct wheel_node timer;
	struct answer *answer;
	uint32_t kept_until_s;  /* refreshed until then whether it is asked for or not */
	uint32_t span_s;        /* how long without a hit it still counts as in use */
	uint32_t last_hit_s;    /* 0: never */
	uint32_t often_since_s; /* no two requests since then were further apart than entry_gap_s */
	uint16_t port;          /* routes: of the hosts asked for with it last */
	uint8_t hits;           /* since the last timer; stays at its highest */
	uint8_t demand;         /* hits, halved with each refresh */
	uint8_t worker;         /* that found the answer */
	uint8_t hash_slots;     /* routes: hosts whose name hashes stand behind the key */
	uint8_t state;          /* enum entry_state */
	uint8_t tries;          /* refreshes that failed, one after the other */
	bool visited;
	bool is_bogus; /* what was found last did not validate: the answer is not served stale */
	uint8_t key[];
};

struct cache {
	struct table table;
	struct cache_entry *newest, *oldest, *hand;
	size_t used_bytes, max_bytes, kept_bytes;
	size_t over_bytes; /* what cache_fit has made up for */
	uint64_t evicted;
};

[[gnu::warn_unused_result]] int cache_init(struct cache *cache, size_t max_bytes);
void cache_fini(struct cache *cache);
void cache_clear(struct cache *cache);

/* The entry, live or not; borrowed until the next call that changes the cache. NULL: none. */
struct cache_entry *cache_find(struct cache *cache, const struct question_key *key);
bool entry_is_live(const struct cache_entry *entry, int64_t now_ms);
/* Routes: of the name of host number i, as the table's. */
uint32_t entry_host_hash(const struct cache *cache, const struct cache_entry *entry, unsigned i);
/* The longest between two requests of what is asked for once in a life, with some to spare. */
static inline uint32_t entry_gap_s(const struct cache_entry *entry)
{
	return entry->span_s + entry->span_s / 8 + 1;
}
/* Somebody asks for it. */
static inline void entry_note_request(struct cache_entry *entry, uint32_t at_s)
{
	if (at_s > entry->last_hit_s + entry_gap_s(entry))
		entry->often_since_s = at_s;
	entry->last_hit_s = at_s;
}
/* ... and gets it. */
static inline void entry_hit(struct cache_entry *entry, int64_t now_ms)
{
	entry_note_request(entry, (uint32_t)(now_ms / 1000));
	entry->visited = true;
	entry->hits += entry->hits < UINT8_MAX;
}

/* Takes a reference of its own; replaces what is there. Returns the entry, or NULL: not kept, since
 * it is not cacheable, or too large, or memory is short. What is evicted to make room is gone with
 * its timer. */
struct cache_entry *cache_put(
    struct cache *cache, const struct question_key *key, struct answer *answer);
void cache_drop(struct cache *cache, struct cache_entry *entry);
/* The process has memory_bytes of the system and is to have budget_bytes at most: sets max_bytes,
 * never below half of the budget, and evicts what is beyond. An allocator rarely gives back what is
 * freed: what was evicted is room for others, and memory_bytes stays. So each byte beyond the
 * budget is made up for once, or the cache would shrink with each call. */
void cache_fit(struct cache *cache, size_t memory_bytes, size_t budget_bytes);
/* Kept entries are not evicted while they are less than half of all. */
void cache_keep_until(struct cache *cache, struct cache_entry *entry, uint32_t until_s);
