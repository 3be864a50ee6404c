/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeps the cache fresh. An answer in use is looked up again before it ends, by another worker than
 * the one that found it, since that one would only repeat what it remembers, with a TTL that has
 * become shorter. A refresh counts only if it lasts longer; one that fails leaves the live answer
 * as it is, until its end and no longer. Who is in use: what was asked for since the last refresh,
 * and what somebody keeps (domains-file, warm, watch). Pure: time is a parameter, jobs go to the
 * flight.
 */
#pragma once
#include "resolverd/base/config.h"
#include "resolverd/server/cache.h"
#include "resolverd/server/flight.h"

#define PREFETCH_FOREVER UINT32_MAX /* as kept_until_s */

struct prefetch_settings {
	enum prefetch_rule rule;
	unsigned workers;   /* with one there is no other to ask */
	int64_t min_ttl_ms; /* at the least between two refreshes of an entry */
	int64_t failure_ttl_ms;
	int64_t stale_ms; /* how long past its end an answer may be served (RFC 8767); 0: never */
};

struct prefetch {
	struct cache *cache;
	struct flight *flight;
	struct wheel wheel;
	struct prefetch_settings settings;
	uint64_t random;
	uint64_t started, renewed, futile, failed; /* futile: brought nothing that lasts longer */
	uint64_t ran_out; /* entries that ended since nobody wanted them any more */
};

/* Borrows cache and flight, and must stay where it is. seed: of the jitter. */
void prefetch_init(struct prefetch *prefetch, struct cache *cache, struct flight *flight,
    const struct prefetch_settings *settings, uint64_t seed, int64_t now_ms);
/* Empties the cache, none of it counts any more; looks up again what was in use. The clock may have
 * been stepped. */
void prefetch_forget_all(struct prefetch *prefetch, int64_t now_ms);

/* A client asks: the live entry, borrowed until the cache changes, or NULL. port: with a route, of
 * the hosts that are wanted with it, else 0. */
struct cache_entry *prefetch_look_up(
    struct prefetch *prefetch, const struct question_key *key, uint16_t port, int64_t now_ms);

/* The job brought answer, found by that worker. Returns what its waiters are to be given, a new
 * reference: it, or the live one that it does not replace. */
struct answer *prefetch_take(struct prefetch *prefetch, const struct flight_job *job,
    struct answer *answer, uint8_t worker, int64_t now_ms);

/* The same facts under another local policy. False: there is no room for it, so the entry is gone
 * with the policy of before. */
[[gnu::warn_unused_result]] bool prefetch_replace(
    struct prefetch *prefetch, struct cache_entry *entry, struct answer *answer, int64_t now_ms);

/* An answer that was looked up with empty caches takes the place of what is there, also where that
 * would last longer. */
void prefetch_renew(struct prefetch *prefetch, const struct question_key *key,
    struct answer *answer, int64_t now_ms);

/* Looked up again before it ends. */
bool prefetch_is_in_use(
    const struct prefetch *prefetch, const struct cache_entry *entry, int64_t now_ms);

/* Others ask for it, too, and together often: in use, for this life. */
void prefetch_want(struct prefetch *prefetch, const struct question_key *key, int64_t now_ms);

/* Keeps key fresh until then, from now on: looks it up unless a live answer is there. A route's
 * hosts on that port are kept with it. Returns 0, -EBUSY or -ENOMEM. */
[[gnu::warn_unused_result]] int prefetch_keep(struct prefetch *prefetch,
    const struct question_key *key, uint16_t port, uint32_t until_s, int64_t now_ms);

/* What was kept for ever is kept until then, also what is being looked up. */
void prefetch_end_forever(struct prefetch *prefetch, uint32_t until_s);

/* The answer no longer counts: the entry is gone; what was in use is looked up again. */
void prefetch_drop(struct prefetch *prefetch, struct cache_entry *entry, int64_t now_ms);

/* What has ended and may be served nevertheless, borrowed; NULL: nothing. Its signatures are for
 * the caller to look at. */
struct answer *prefetch_stale(
    struct prefetch *prefetch, const struct question_key *key, int64_t now_ms);

/* Runs what is due; jobs go to the flight. */
void prefetch_advance(struct prefetch *prefetch, int64_t now_ms);

/* ---- a snapshot that was read ---- */

struct prefetch_memory { /* of an entry, as in struct cache_entry */
	uint32_t kept_until_s, span_s, last_hit_s, often_since_s;
	uint16_t port;
	uint8_t demand;
	bool is_bogus;
};
enum prefetch_restored {
	PREFETCH_RESTORED, /* live: it is in the cache again */
	PREFETCH_WANTED,   /* ended, and in use: it is looked up */
	PREFETCH_LEFT,     /* ended */
};
enum prefetch_restored prefetch_restore(struct prefetch *prefetch, const struct question_key *key,
    struct answer *answer, const struct prefetch_memory *memory, int64_t now_ms);
/* Takes it all back: the cache is empty, and nothing is queued. Only before any other use. */
void prefetch_discard(struct prefetch *prefetch, int64_t now_ms);
