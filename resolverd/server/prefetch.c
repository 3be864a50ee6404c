/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/prefetch.h"

#include <errno.h>
#include <string.h>

/* A refresh begins at 88 to 92 % of a life: late, since each one costs what was left; but a second
 * before the end at the least, which for a short life is up to a quarter of it. */
#define LEAD_PERCENT 8
#define JITTER_PERCENT 4
#define LEAD_MIN_MS 1000
#define LEAD_MAX_PERCENT 25
/* In use is what is asked for at least once in a life, for a life by now, or so many times in this
 * one. Two requests at a whim are no use yet: to refresh for those would cost the upstream a fifth
 * more (docs/PREFETCH.md). */
#define BUSY_HITS 4u
#define ROUNDING_MAX_S 3u /* of times kept in seconds, and of jobs that take some */
#define LATE_MAX_S 5u     /* before the end it is too late to wait for the next request */
#define RETRY_MS 1000     /* doubled with each failure */
#define RETRY_DOUBLINGS_MAX 6u
#define FUTILE_MAX 3u        /* then it waits for the end, and after that as often once more */
#define WHOLE_SECOND_MS 1000 /* a worker tells what is left of its copy in whole seconds */
#define HOLD_MS 30000        /* an entry whose refresh is late waits for it */
#define RESTART_MAX 25000u   /* looked up again when everything is forgotten */

void prefetch_init(struct prefetch *prefetch, struct cache *cache, struct flight *flight,
    const struct prefetch_settings *settings, uint64_t seed, int64_t now_ms)
{
	memset(prefetch, 0, sizeof *prefetch);
	prefetch->cache = cache;
	prefetch->flight = flight;
	prefetch->settings = *settings;
	prefetch->random = seed | 1;
	wheel_init(&prefetch->wheel, now_ms);
}

/* xorshift64: jitter needs no better. Below bound, which is positive. */
static int64_t random_below(struct prefetch *prefetch, int64_t bound)
{
	prefetch->random ^= prefetch->random << 13;
	prefetch->random ^= prefetch->random >> 7;
	prefetch->random ^= prefetch->random << 17;
	return (int64_t)(prefetch->random % (uint64_t)bound);
}

static uint32_t seconds(int64_t ms)
{
	return (uint32_t)(ms / 1000);
}

/* None when it has ended, as one may while its job is run: its signatures expired. */
static int64_t life_left_ms(const struct answer *answer, int64_t now_ms)
{
	return answer->expires_at_ms > now_ms ? answer->expires_at_ms - now_ms : 0;
}

static void entry_key(const struct cache_entry *entry, struct question_key *ret_key)
{
	ret_key->count = entry->node.key_bytes;
	memcpy(ret_key->bytes, entry->key, entry->node.key_bytes);
}

static bool is_route(const struct cache_entry *entry)
{
	return entry->key[0] == RESOLVERD__V1__KIND__ROUTE;
}

static void set(
    struct prefetch *prefetch, struct cache_entry *entry, enum entry_state state, int64_t at_ms)
{
	entry->state = (uint8_t)state;
	wheel_set(&prefetch->wheel, &entry->timer, at_ms);
}

/* ---- who is in use ---- */

static bool is_kept(const struct cache_entry *entry, int64_t now_ms)
{
	return entry->kept_until_s > seconds(now_ms);
}

/* Of a life of seconds little, else two questions at a whim would fill it; a second at the least,
 * by which a time in whole seconds may be wrong. */
static uint32_t slack_s(const struct cache_entry *entry, uint32_t most_s)
{
	uint32_t slack = 1 + entry->span_s / 16;
	return slack < most_s ? slack : most_s;
}

static bool is_often_asked(const struct cache_entry *entry)
{
	return entry->last_hit_s + slack_s(entry, ROUNDING_MAX_S) >=
	       entry->often_since_s + entry->span_s;
}

static bool is_wanted(const struct cache_entry *entry)
{
	return is_often_asked(entry) || entry->hits + entry->demand >= BUSY_HITS;
}

static bool is_in_use(const struct cache_entry *entry, int64_t now_ms)
{
	uint32_t end_s = seconds(entry->answer->expires_at_ms);
	return is_kept(entry, now_ms) ||
	       (is_wanted(entry) &&
		   entry->last_hit_s + entry->span_s + slack_s(entry, LATE_MAX_S) >= end_s);
}

/* Takes the hits since the last time into account. */
static void count_hits(struct prefetch *prefetch, struct cache_entry *entry, int64_t now_ms)
{
	unsigned demand = entry->demand / 2u + entry->hits;
	entry->demand = (uint8_t)(demand < UINT8_MAX ? demand : UINT8_MAX);
	entry->hits = 0;
	if (entry->kept_until_s != 0 && !is_kept(entry, now_ms))
		cache_keep_until(prefetch->cache, entry, 0);
}

static unsigned urgency(const struct cache_entry *entry)
{
	unsigned demand = entry->demand + 1u;
	return (unsigned)(8 * (int)sizeof demand - 1 - __builtin_clz(demand));
}

/* ---- refreshes ---- */

static int64_t retry_ms(struct prefetch *prefetch, const struct cache_entry *entry)
{
	int64_t ms = RETRY_MS;
	ms <<= entry->tries < RETRY_DOUBLINGS_MAX ? entry->tries : RETRY_DOUBLINGS_MAX;
	return ms / 2 + random_below(prefetch, ms);
}

static void start(struct prefetch *prefetch, struct cache_entry *entry, int64_t now_ms)
{
	struct question_key key;
	struct flight_job *job;
	entry_key(entry, &key);
	if (flight_refresh(prefetch->flight, &key, urgency(entry), entry->worker, &job) != 0) {
		set(prefetch, entry, ENTRY_RETRY, now_ms + retry_ms(prefetch, entry));
		/* The live ones come first, and often: after a long sleep the others are many. */
		if (!entry_is_live(entry, now_ms))
			entry->tries += entry->tries < UINT8_MAX;
		return;
	}
	if (job->keep_until_s < entry->kept_until_s)
		job->keep_until_s = entry->kept_until_s;
	if (job->port == 0)
		job->port = entry->port;
	prefetch->started++;
	int64_t end_ms = entry->answer->expires_at_ms;
	set(prefetch, entry, ENTRY_RUNNING, end_ms > now_ms ? end_ms : now_ms + HOLD_MS);
}

/* When is it looked at next? */
static void arm(struct prefetch *prefetch, struct cache_entry *entry, int64_t now_ms)
{
	const struct answer *answer = entry->answer;
	const struct prefetch_settings *settings = &prefetch->settings;
	int64_t end_ms = answer->expires_at_ms, life_ms = life_left_ms(answer, now_ms);
	bool kept = is_kept(entry, now_ms);
	if (answer->failed || answer->stale) {
		set(prefetch, entry, kept ? ENTRY_RETRY : ENTRY_ENDS,
		    kept ? end_ms + retry_ms(prefetch, entry) : end_ms);
		return;
	}
	if (settings->rule == PREFETCH_ON_HIT) {
		set(prefetch, entry, ENTRY_FRESH, now_ms + life_ms * 9 / 10);
		return;
	}
	int64_t lead_ms = life_ms * LEAD_PERCENT / 100, most_ms = life_ms * LEAD_MAX_PERCENT / 100;
	if (lead_ms < LEAD_MIN_MS)
		lead_ms = most_ms < LEAD_MIN_MS ? most_ms : LEAD_MIN_MS;
	int64_t due_ms =
	    end_ms - lead_ms - random_below(prefetch, life_ms * JITTER_PERCENT / 100 + 1);
	if (due_ms < now_ms + settings->min_ttl_ms)
		due_ms = now_ms + settings->min_ttl_ms;
	if (settings->rule == PREFETCH_OFF || due_ms >= end_ms)
		set(prefetch, entry, kept ? ENTRY_AT_END : ENTRY_ENDS,
		    due_ms > end_ms ? due_ms : end_ms);
	else
		set(prefetch, entry, ENTRY_FRESH, due_ms);
}

/* How long it is remembered, ended: as one that may still be asked for once in a life, and as what
 * may be served stale. */
static int64_t forget_at_ms(const struct prefetch *prefetch, const struct cache_entry *entry)
{
	int64_t asked_ms = (int64_t)(entry->last_hit_s + entry_gap_s(entry)) * 1000;
	int64_t stale_ms = entry->answer->expires_at_ms + prefetch->settings.stale_ms;
	if (entry->answer->failed)
		return 0;
	return prefetch->settings.rule == PREFETCH_AHEAD && asked_ms > stale_ms ? asked_ms
										: stale_ms;
}

/* Its answer has ended. */
static void end(struct prefetch *prefetch, struct cache_entry *entry, int64_t now_ms)
{
	const struct answer *answer = entry->answer;
	int64_t forget_ms = forget_at_ms(prefetch, entry);
	if (is_kept(entry, now_ms) && entry->state != ENTRY_RUNNING)
		start(prefetch, entry, now_ms);
	else if (entry->state == ENTRY_RUNNING && now_ms < answer->expires_at_ms + HOLD_MS)
		set(prefetch, entry, ENTRY_RUNNING, answer->expires_at_ms + HOLD_MS);
	else if (now_ms < forget_ms)
		set(prefetch, entry, ENTRY_ENDS, forget_ms);
	else {
		prefetch->ran_out += entry->state != ENTRY_RUNNING;
		cache_drop(prefetch->cache, entry);
	}
}

static void on_timer(struct prefetch *prefetch, struct cache_entry *entry, int64_t now_ms)
{
	bool in_use = is_in_use(entry, now_ms);
	bool is_live = entry_is_live(entry, now_ms);
	count_hits(prefetch, entry, now_ms);
	switch ((enum entry_state)entry->state) {
	case ENTRY_FRESH:
		if (!is_live && in_use && prefetch->settings.rule == PREFETCH_AHEAD)
			start(prefetch, entry, now_ms); /* we slept */
		else if (!is_live)
			end(prefetch, entry, now_ms);
		else if (!in_use || prefetch->settings.rule == PREFETCH_ON_HIT)
			set(prefetch, entry, ENTRY_UNUSED, entry->answer->expires_at_ms);
		else if (prefetch->settings.workers < 2)
			set(prefetch, entry, ENTRY_AT_END, entry->answer->expires_at_ms);
		else
			start(prefetch, entry, now_ms);
		return;
	case ENTRY_RETRY:
	case ENTRY_AT_END:
		if (in_use)
			start(prefetch, entry, now_ms);
		else
			end(prefetch, entry, now_ms);
		return;
	case ENTRY_UNUSED:
	case ENTRY_RUNNING:
	case ENTRY_ENDS:
		end(prefetch, entry, now_ms);
	}
}

void prefetch_advance(struct prefetch *prefetch, int64_t now_ms)
{
	struct wheel_node *node;
	while ((node = wheel_fire(&prefetch->wheel, now_ms)) != NULL)
		on_timer(prefetch,
		    (struct cache_entry *)((uint8_t *)node - offsetof(struct cache_entry, timer)),
		    now_ms);
}

/* ---- clients ---- */

struct cache_entry *prefetch_look_up(
    struct prefetch *prefetch, const struct question_key *key, uint16_t port, int64_t now_ms)
{
	struct cache_entry *entry = cache_find(prefetch->cache, key);
	if (entry == NULL || !entry_is_live(entry, now_ms))
		return NULL;
	entry_hit(entry, now_ms);
	if (port != 0)
		entry->port = port;
	if (entry->state == ENTRY_UNUSED &&
	    (prefetch->settings.rule == PREFETCH_ON_HIT || is_in_use(entry, now_ms)))
		start(prefetch, entry, now_ms);
	return entry;
}

void prefetch_want(struct prefetch *prefetch, const struct question_key *key, int64_t now_ms)
{
	struct cache_entry *entry = cache_find(prefetch->cache, key);
	if (entry == NULL || !entry_is_live(entry, now_ms))
		return;
	if (entry->demand < BUSY_HITS)
		entry->demand = BUSY_HITS;
	if (entry->state == ENTRY_UNUSED && prefetch->settings.rule == PREFETCH_AHEAD &&
	    is_in_use(entry, now_ms))
		start(prefetch, entry, now_ms);
}

/* A refreshed route may name other hosts: whoever asks for it finds them, too. */
static void follow_hosts(struct prefetch *prefetch, const struct cache_entry *route, int64_t now_ms)
{
	struct question_key key;
	struct flight_job *job;
	char name[NAME_TEXT_MAX];
	if (route->port == 0)
		return;
	for (unsigned i = 0; i < route->answer->host_count; i++) {
		answer_host_name(route->answer, i, name);
		question_key_make(&key, RESOLVERD__V1__KIND__HOST, route->port, name);
		struct cache_entry *host = cache_find(prefetch->cache, &key);
		if (host != NULL && host->kept_until_s < route->kept_until_s) {
			cache_keep_until(prefetch->cache, host, route->kept_until_s);
			if (host->state == ENTRY_ENDS || host->state == ENTRY_UNUSED)
				arm(prefetch, host, now_ms);
		}
		if (host != NULL && entry_is_live(host, now_ms))
			continue;
		/* busy: whoever asks for the plan waits for it */
		if (flight_refresh(
			prefetch->flight, &key, urgency(route), FLIGHT_NO_WORKER, &job) == 0 &&
		    job->keep_until_s < route->kept_until_s)
			job->keep_until_s = route->kept_until_s;
	}
}

/* NULL: there is no room for it. The entry has no timer yet. */
static struct cache_entry *store(struct prefetch *prefetch, const struct question_key *key,
    struct answer *answer, uint8_t worker, int64_t now_ms)
{
	struct cache_entry *entry = cache_put(prefetch->cache, key, answer);
	if (entry == NULL)
		return NULL;
	uint32_t life_s = seconds(life_left_ms(answer, now_ms) + 999);
	entry->worker = worker;
	entry->tries = answer->failed ? (uint8_t)(entry->tries + (entry->tries < UINT8_MAX)) : 0;
	entry->span_s = entry->span_s / 4 * 3 > life_s ? entry->span_s / 4 * 3 : life_s;
	entry->is_bogus = answer->bogus;
	return entry;
}

static void put(struct prefetch *prefetch, const struct flight_job *job, struct answer *answer,
    uint8_t worker, int64_t now_ms)
{
	struct question_key key;
	key.count = job->node.key_bytes;
	memcpy(key.bytes, job->key, key.count);
	struct cache_entry *entry = store(prefetch, &key, answer, worker, now_ms);
	if (entry == NULL)
		return;
	if (!job->refresh)
		entry_note_request(entry, seconds(now_ms) - 1);
	if (job->port != 0)
		entry->port = job->port;
	if (job->keep_until_s > entry->kept_until_s)
		cache_keep_until(prefetch->cache, entry, job->keep_until_s);
	arm(prefetch, entry, now_ms);
	if (is_route(entry) && (job->refresh || entry->kept_until_s != 0))
		follow_hosts(prefetch, entry, now_ms);
}

/* The refresh failed, or brought what ends no later than what we have. The other worker's copy has
 * then an end of its own, after which it fetches again; in its last second a copy has a TTL of 0.
 */
static void mend(struct prefetch *prefetch, struct cache_entry *entry, const struct answer *answer,
    int64_t now_ms)
{
	int64_t end_ms = entry->answer->expires_at_ms, next_ms;
	bool is_live = now_ms < end_ms;
	entry->tries += entry->tries < UINT8_MAX;
	if (answer->failed)
		next_ms = now_ms + retry_ms(prefetch, entry);
	else if (entry->tries > (is_live ? FUTILE_MAX : 2 * FUTILE_MAX))
		next_ms = INT64_MAX;
	else if (answer->cacheable)
		next_ms = answer->expires_at_ms;
	else
		next_ms = now_ms + WHOLE_SECOND_MS;
	if (next_ms <= now_ms)
		next_ms = now_ms + 1;
	if (is_live && next_ms >= end_ms)
		set(prefetch, entry, ENTRY_AT_END, end_ms);
	else if (next_ms == INT64_MAX)
		set(prefetch, entry, ENTRY_ENDS, now_ms);
	else
		set(prefetch, entry, ENTRY_RETRY, next_ms);
}

/* By less than a second is not: that may be how a copy's life was rounded. */
static bool lasts_longer(const struct answer *answer, const struct answer *than)
{
	return answer->cacheable && answer->expires_at_ms >= than->expires_at_ms + WHOLE_SECOND_MS;
}

struct answer *prefetch_take(struct prefetch *prefetch, const struct flight_job *job,
    struct answer *answer, uint8_t worker, int64_t now_ms)
{
	struct cache_entry *entry = (struct cache_entry *)table_find(
	    &prefetch->cache->table, job->key, job->node.key_bytes);
	bool has_live = entry != NULL && entry_is_live(entry, now_ms) && !entry->answer->failed &&
			!entry->answer->stale;
	bool was_told =
	    job->from_notice && answer->foreign; /* it is newer, and says another thing */
	bool is_newer = !has_live || was_told || lasts_longer(answer, entry->answer);
	if (job->refresh) {
		prefetch->failed += answer->failed;
		prefetch->renewed += !answer->failed && is_newer;
		prefetch->futile += !answer->failed && !is_newer;
	}
	if (entry != NULL && answer->bogus)
		entry->is_bogus = true;
	if (has_live && (answer->failed || !is_newer)) {
		mend(prefetch, entry, answer, now_ms);
		return answer_ref(entry->answer);
	}
	if (entry != NULL && !answer->cacheable)
		mend(prefetch, entry, answer, now_ms);
	else
		put(prefetch, job, answer, worker, now_ms);
	return answer_ref(answer);
}

bool prefetch_replace(
    struct prefetch *prefetch, struct cache_entry *entry, struct answer *answer, int64_t now_ms)
{
	struct question_key key;
	entry_key(entry, &key);
	if (cache_put(prefetch->cache, &key, answer) != entry) {
		cache_drop(prefetch->cache, entry);
		return false;
	}
	if (entry->state != ENTRY_RUNNING)
		arm(prefetch, entry, now_ms);
	return true;
}

void prefetch_renew(struct prefetch *prefetch, const struct question_key *key,
    struct answer *answer, int64_t now_ms)
{
	struct cache_entry *entry = store(prefetch, key, answer, FLIGHT_NO_WORKER, now_ms);
	if (entry == NULL)
		return;
	arm(prefetch, entry, now_ms);
	if (is_route(entry))
		follow_hosts(prefetch, entry, now_ms);
}

bool prefetch_is_in_use(
    const struct prefetch *prefetch, const struct cache_entry *entry, int64_t now_ms)
{
	return is_kept(entry, now_ms) ||
	       (prefetch->settings.rule == PREFETCH_AHEAD && is_in_use(entry, now_ms));
}

int prefetch_keep(struct prefetch *prefetch, const struct question_key *key, uint16_t port,
    uint32_t until_s, int64_t now_ms)
{
	struct cache_entry *entry = cache_find(prefetch->cache, key);
	struct flight_job *job;
	if (entry != NULL) {
		if (port != 0)
			entry->port = port;
		if (until_s > entry->kept_until_s)
			cache_keep_until(prefetch->cache, entry, until_s);
		if (is_route(entry))
			follow_hosts(prefetch, entry, now_ms);
		bool is_live = entry_is_live(entry, now_ms);
		if (is_live && (entry->state == ENTRY_ENDS || entry->state == ENTRY_UNUSED))
			arm(prefetch, entry, now_ms);
		if (is_live)
			return 0;
	}
	int r = flight_refresh(prefetch->flight, key, 0, FLIGHT_NO_WORKER, &job);
	if (r != 0)
		return r;
	if (job->keep_until_s < until_s)
		job->keep_until_s = until_s;
	if (port != 0)
		job->port = port;
	return 0;
}

static void end_forever_of_job(struct table_node *node, void *arg)
{
	struct flight_job *job = (struct flight_job *)node; /* its first member */
	if (job->keep_until_s == PREFETCH_FOREVER)
		job->keep_until_s = *(const uint32_t *)arg;
}

void prefetch_end_forever(struct prefetch *prefetch, uint32_t until_s)
{
	for (struct cache_entry *entry = prefetch->cache->newest; entry != NULL;
	     entry = entry->older)
		if (entry->kept_until_s == PREFETCH_FOREVER)
			cache_keep_until(prefetch->cache, entry, until_s);
	table_visit(&prefetch->flight->jobs, end_forever_of_job, &until_s);
}

struct answer *prefetch_stale(
    struct prefetch *prefetch, const struct question_key *key, int64_t now_ms)
{
	struct cache_entry *entry = cache_find(prefetch->cache, key);
	if (entry == NULL || prefetch->settings.stale_ms == 0 || entry->is_bogus ||
	    entry->answer->failed || entry_is_live(entry, now_ms))
		return NULL;
	return entry->answer;
}

/* False: too much is to be looked up already. */
static bool look_up_again(
    struct prefetch *prefetch, const struct cache_entry *entry, int64_t now_ms)
{
	struct question_key key;
	struct flight_job *job;
	entry_key(entry, &key);
	if (flight_refresh(prefetch->flight, &key, urgency(entry), FLIGHT_NO_WORKER, &job) != 0)
		return false;
	job->keep_until_s = entry->kept_until_s;
	if (job->keep_until_s < seconds(now_ms) + 2 * entry->span_s)
		job->keep_until_s = seconds(now_ms) + 2 * entry->span_s;
	job->port = entry->port;
	return true;
}

void prefetch_drop(struct prefetch *prefetch, struct cache_entry *entry, int64_t now_ms)
{
	if (is_kept(entry, now_ms) || is_wanted(entry))
		(void)look_up_again(prefetch, entry, now_ms); /* else whoever asks for it waits */
	cache_drop(prefetch->cache, entry);
}

void prefetch_forget_all(struct prefetch *prefetch, int64_t now_ms)
{
	unsigned count = 0;
	for (struct cache_entry *entry = prefetch->cache->newest;
	     entry != NULL && count < RESTART_MAX; entry = entry->older) {
		if (!is_kept(entry, now_ms) && !is_wanted(entry))
			continue;
		if (!look_up_again(prefetch, entry, now_ms))
			break;
		count++;
	}
	cache_clear(prefetch->cache);
	wheel_init(&prefetch->wheel, now_ms);
}

/* ---- a snapshot that was read ---- */

enum prefetch_restored prefetch_restore(struct prefetch *prefetch, const struct question_key *key,
    struct answer *answer, const struct prefetch_memory *memory, int64_t now_ms)
{
	struct cache_entry asked = {.kept_until_s = memory->kept_until_s,
	    .span_s = memory->span_s,
	    .last_hit_s = memory->last_hit_s,
	    .demand = memory->demand};
	struct flight_job *job;
	if (now_ms < answer->expires_at_ms) {
		struct cache_entry *entry = cache_put(prefetch->cache, key, answer);
		if (entry == NULL)
			return PREFETCH_LEFT;
		entry->span_s = memory->span_s;
		entry->last_hit_s = memory->last_hit_s;
		entry->often_since_s = memory->often_since_s;
		entry->is_bogus = memory->is_bogus;
		entry->port = memory->port;
		entry->demand = memory->demand;
		entry->worker = FLIGHT_NO_WORKER;
		entry->visited = memory->demand > 0;
		if (memory->kept_until_s != 0)
			cache_keep_until(prefetch->cache, entry, memory->kept_until_s);
		arm(prefetch, entry, now_ms);
		return PREFETCH_RESTORED;
	}
	/* In use when it was written: time has passed since, but not for those who asked. */
	if (memory->demand == 0 && !is_kept(&asked, now_ms))
		return PREFETCH_LEFT;
	if (prefetch->flight->jobs.count >= RESTART_MAX ||
	    flight_refresh(prefetch->flight, key, urgency(&asked), FLIGHT_NO_WORKER, &job) != 0)
		return PREFETCH_LEFT;
	job->keep_until_s = memory->kept_until_s;
	job->port = memory->port;
	return PREFETCH_WANTED;
}

void prefetch_discard(struct prefetch *prefetch, int64_t now_ms)
{
	cache_clear(prefetch->cache);
	flight_clear(prefetch->flight);
	wheel_init(&prefetch->wheel, now_ms);
}
