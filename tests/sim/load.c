/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Days of a mail system's questions (trace.h) against a simulated server (sim.h) with one rule of
 * prefetch, or against one that knows the future; prints what came of it as JSON. Definitions:
 * docs/PREFETCH.md.
 */
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/sim/sim.h"
#include "tests/sim/trace.h"

#define DAYS 3u
#define WARM_UP_MS TRACE_DAY_MS
#define END_MS (DAYS * (uint32_t)TRACE_DAY_MS)
#define OUTAGE_START_MS (WARM_UP_MS + TRACE_DAY_MS / 2)
#define OUTAGE_MS 600000
#define OUTAGE_END_MS (OUTAGE_START_MS + OUTAGE_MS)
#define TIMEOUT_MS 9000 /* a job in an outage */
#define WORKERS 4u
#define MEMORY ((size_t)2 << 30) /* so that no rule is hindered by the bound */
#define PORT 25u
#define IN_USE_LIVES 2u
#define BUCKETS 24u /* of names, by the binary logarithm of how often they are asked in a TTL */
#define BUCKET_OF_ONE 12

struct load_name {
	uint32_t ttl_ms;
	uint32_t asked_at_ms;    /* last; 0: never */
	uint32_t often_since_ms; /* no gap between two requests since then was longer than a TTL */
	uint32_t ideal_end_ms;
	uint32_t outage_end_ms; /* of the answer that was live when the outage began; 0: none */
	uint32_t asked, missed, fetched; /* after the warm-up */
	bool in_use_missed;
};

struct load_waiter {
	struct job_waiter waiter;
	struct load_waiter *next_free;
	struct load *load;
};

struct load {
	struct sim sim;
	bool is_ideal, has_outage;
	struct load_name *names;
	uint32_t name_count;
	uint64_t random;
	struct load_waiter *free_waiters;
	char hosts[TRACE_PROVIDER_HOSTS * TRACE_NAME_BYTES];
	/* After the warm-up. */
	uint64_t mails, asked, missed, in_use_asked, in_use_missed, fetched, fetched_one_off;
	uint64_t refused, failed;
	/* Of the outage. */
	uint64_t outage_asked, outage_missed, outage_fetched, before_fetched;
	uint64_t outliving, outliving_lost, outliving_asked, outliving_missed;
};

static void *pages(size_t bytes)
{
	void *memory =
	    mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		perror("load");
		exit(1);
	}
	return memory;
}

static uint32_t now_ms(const struct load *load)
{
	return (uint32_t)load->sim.mono_ms;
}

/* ---- the upstream ---- */

static uint32_t number_of(void *arg, const char *name)
{
	(void)arg;
	return trace_number(name);
}

static bool is_out(const struct load *load, uint32_t at_ms)
{
	return load->has_outage && at_ms >= OUTAGE_START_MS && at_ms < OUTAGE_END_MS;
}

static void count_fetch(struct load *load, struct load_name *name, uint32_t at_ms)
{
	if (at_ms < WARM_UP_MS)
		return;
	load->fetched++;
	load->outage_fetched += at_ms >= OUTAGE_START_MS && at_ms < OUTAGE_END_MS;
	load->before_fetched += at_ms >= OUTAGE_START_MS - OUTAGE_MS && at_ms < OUTAGE_START_MS;
	name->fetched++;
}

static void ask_upstream(void *arg, uint32_t number, unsigned worker, struct sim_reply *ret_reply)
{
	struct load *load = arg;
	struct load_name *name = &load->names[number];
	(void)worker;
	count_fetch(load, name, now_ms(load));
	*ret_reply = (struct sim_reply){.failed = is_out(load, now_ms(load)),
	    .ttl_s = trace_ttl_s(number),
	    .latency_ms =
		is_out(load, now_ms(load)) ? TIMEOUT_MS : trace_latency_ms(&load->random)};
}

/* Sizes as the signed answers of such names have: a route some 300 octets, a host up to 1,000. */
static void describe(void *arg, uint32_t number, struct sim_content *ret_content)
{
	struct load *load = arg;
	uint32_t hosts[TRACE_PROVIDER_HOSTS];
	uint64_t state = number;
	uint64_t random = trace_random(&state);
	*ret_content = (struct sim_content){.blob_bytes = 400 + random % 600};
	if (!trace_is_route(number))
		return;
	unsigned count = trace_hosts(number, hosts);
	size_t bytes = 0;
	for (unsigned i = 0; i < count; i++) {
		trace_name(hosts[i], load->hosts + bytes);
		bytes += strlen(load->hosts + bytes) + 1;
	}
	*ret_content =
	    (struct sim_content){load->hosts, (uint16_t)bytes, (uint8_t)count, 250 + random % 120};
}

/* ---- clients ---- */

static void on_answer(struct job_waiter *waiter, void *arg)
{
	struct load_waiter *done = (struct load_waiter *)waiter;
	struct load *load = done->load;
	const struct answer *answer = arg;
	load->failed += answer == NULL || answer->failed;
	done->next_free = load->free_waiters;
	load->free_waiters = done;
}

static struct load_waiter *waiter_new(struct load *load)
{
	struct load_waiter *waiter = load->free_waiters;
	if (waiter == NULL) { /* in pages of their own: not what is measured */
		size_t count = 4096;
		waiter = pages(count * sizeof *waiter);
		for (size_t i = 0; i < count; i++)
			waiter[i] = (struct load_waiter){
			    {.on_answer = on_answer}, i + 1 < count ? &waiter[i + 1] : NULL, load};
	}
	load->free_waiters = waiter->next_free;
	return waiter;
}

/* In use: since at least two TTLs no two requests were further apart than one. */
static bool note_in_use(struct load_name *name, uint32_t at_ms)
{
	if (name->asked_at_ms == 0 || at_ms - name->asked_at_ms > name->ttl_ms)
		name->often_since_ms = at_ms;
	name->asked_at_ms = at_ms != 0 ? at_ms : 1;
	return at_ms - name->often_since_ms >= IN_USE_LIVES * name->ttl_ms;
}

/* The one that knows the future: at the end of a life it refreshes if somebody asks in the next. */
static bool ask_ideal(struct load *load, struct load_name *name, uint32_t at_ms)
{
	uint32_t end_ms = name->ideal_end_ms;
	if (end_ms != 0 && at_ms < end_ms)
		return true;
	bool hit = end_ms != 0 && at_ms < end_ms + name->ttl_ms;
	count_fetch(load, name, hit ? end_ms : at_ms);
	name->ideal_end_ms = (hit ? end_ms : at_ms) + name->ttl_ms;
	return hit;
}

static bool ask_sim(struct load *load, uint32_t number)
{
	char text[TRACE_NAME_BYTES];
	struct question_key key;
	const struct answer *answer;
	bool route = trace_is_route(number);
	trace_name(number, text);
	question_key_make(&key, route ? RESOLVERD__V1__KIND__ROUTE : RESOLVERD__V1__KIND__HOST,
	    route ? 0 : PORT, text);
	struct load_waiter *waiter = waiter_new(load);
	enum sim_outcome outcome =
	    sim_ask(&load->sim, &key, route ? PORT : 0, &waiter->waiter, &answer);
	load->refused += outcome == SIM_BUSY || outcome == SIM_HELD_BACK;
	if (outcome != SIM_WAITS) {
		waiter->next_free = load->free_waiters;
		load->free_waiters = waiter;
	}
	return outcome == SIM_SERVED;
}

static void ask(struct load *load, uint32_t number, uint32_t at_ms)
{
	struct load_name *name = &load->names[number];
	bool in_use = note_in_use(name, at_ms);
	bool hit = load->is_ideal ? ask_ideal(load, name, at_ms) : ask_sim(load, number);
	if (is_out(load, at_ms)) {
		load->outage_asked++;
		load->outage_missed += !hit;
		load->outliving_asked += at_ms < name->outage_end_ms;
		load->outliving_missed += at_ms < name->outage_end_ms && !hit;
	}
	if (at_ms < WARM_UP_MS)
		return;
	load->asked++;
	load->missed += !hit;
	load->in_use_asked += in_use;
	load->in_use_missed += in_use && !hit;
	name->asked++;
	name->missed += !hit;
}

/* ---- the outage: nothing that lasts is lost ---- */

static void note_outage_start(struct load *load)
{
	int64_t offset_ms = load->sim.wall_ms - load->sim.mono_ms;
	for (const struct cache_entry *entry = load->sim.cache.newest; entry != NULL;
	     entry = entry->older) {
		int64_t end_ms = entry->answer->expires_at_ms - offset_ms;
		char text[TRACE_NAME_BYTES];
		snprintf(text, sizeof text, "%.*s", (int)(entry->node.key_bytes - 3),
		    (const char *)entry->key + 3);
		if (entry->answer->failed || end_ms <= OUTAGE_START_MS)
			continue;
		load->names[trace_number(text)].outage_end_ms = (uint32_t)end_ms;
		load->outliving += end_ms > OUTAGE_END_MS;
	}
}

static void note_outage_end(struct load *load)
{
	struct question_key key;
	char text[TRACE_NAME_BYTES];
	for (uint32_t i = 0; i < load->name_count; i++) {
		bool route = trace_is_route(i);
		if (load->names[i].outage_end_ms <= OUTAGE_END_MS)
			continue;
		trace_name(i, text);
		question_key_make(&key,
		    route ? RESOLVERD__V1__KIND__ROUTE : RESOLVERD__V1__KIND__HOST,
		    route ? 0 : PORT, text);
		const struct cache_entry *entry = cache_find(&load->sim.cache, &key);
		load->outliving_lost += entry == NULL || entry->answer->failed ||
					!entry_is_live(entry, load->sim.wall_ms);
	}
}

/* ---- the run ---- */

static void run(struct load *load)
{
	struct trace trace;
	struct trace_mail mail;
	trace_init(&trace, TRACE_MAILS_PER_S, TRACE_DAY_SWING, 0);
	bool started = false, ended = false;
	for (trace_next(&trace, &mail); mail.at_ms < END_MS; trace_next(&trace, &mail)) {
		if (load->has_outage && !started && mail.at_ms >= OUTAGE_START_MS) {
			sim_advance(&load->sim, OUTAGE_START_MS);
			note_outage_start(load);
			started = true;
		}
		if (load->has_outage && !ended && mail.at_ms >= OUTAGE_END_MS) {
			sim_advance(&load->sim, OUTAGE_END_MS);
			note_outage_end(load);
			ended = true;
		}
		if (!load->is_ideal)
			sim_advance(&load->sim, mail.at_ms);
		load->mails += mail.at_ms >= WARM_UP_MS;
		ask(load, mail.route, mail.at_ms);
		for (unsigned i = 0; i < mail.host_count; i++)
			ask(load, mail.hosts[i], mail.at_ms);
		if (load->has_outage && mail.at_ms > OUTAGE_END_MS + OUTAGE_MS)
			break;
	}
	for (uint32_t i = 0; i < load->name_count; i++)
		load->fetched_one_off += load->names[i].asked == 1 ? load->names[i].fetched : 0;
}

static void print_buckets(const struct load *load)
{
	struct {
		uint64_t asked, missed, fetched;
	} buckets[BUCKETS] = {0};
	double measured_ms = (double)END_MS - WARM_UP_MS;
	for (uint32_t i = 0; i < load->name_count; i++) {
		const struct load_name *name = &load->names[i];
		if (name->asked == 0 && name->fetched == 0)
			continue;
		double in_ttl = (name->asked == 0 ? 0.5 : name->asked) * name->ttl_ms / measured_ms;
		int at = BUCKET_OF_ONE + (int)floor(log2(in_ttl));
		at = at < 0 ? 0 : at >= (int)BUCKETS ? (int)BUCKETS - 1 : at;
		buckets[at].asked += name->asked;
		buckets[at].missed += name->missed;
		buckets[at].fetched += name->fetched;
	}
	printf(",\n \"buckets\": [");
	for (unsigned i = 0; i < BUCKETS; i++)
		printf("%s[%d, %llu, %llu, %llu]", i > 0 ? ", " : "", (int)i - BUCKET_OF_ONE,
		    (unsigned long long)buckets[i].asked, (unsigned long long)buckets[i].missed,
		    (unsigned long long)buckets[i].fetched);
	printf("]");
}

static void print_count(const char *name, uint64_t value)
{
	printf(",\n \"%s\": %llu", name, (unsigned long long)value);
}

static void print_memory(const struct load *load)
{
	struct mallinfo2 info = mallinfo2();
	uint64_t held = info.arena + info.hblkhd, used = load->sim.cache.used_bytes;
	print_count("entries", load->sim.cache.table.count);
	print_count("memory_held_bytes", held);
	print_count("memory_used_bytes", used);
	printf(",\n \"memory_held_vs_used\": %.4f", (double)held / (double)used);
}

static void print(const struct load *load, const char *rule)
{
	printf("{\"rule\": \"%s\"", rule);
	print_count("client_queries", load->asked);
	print_count("mails", load->mails);
	print_count("visible_misses", load->missed);
	print_count("in_use_queries", load->in_use_asked);
	print_count("visible_misses_in_use", load->in_use_missed);
	print_count("upstream_queries", load->fetched);
	print_count("upstream_queries_one_off", load->fetched_one_off);
	printf(",\n \"hit_ratio\": %.6f", 1 - (double)load->missed / (double)load->asked);
	printf(
	    ",\n \"upstream_per_client_query\": %.6f", (double)load->fetched / (double)load->asked);
	if (!load->is_ideal) {
		const struct prefetch *prefetch = &load->sim.prefetch;
		print_count("refreshes_started", prefetch->started);
		print_count("refreshes_futile", prefetch->futile);
		print_count("evicted", load->sim.cache.evicted);
		print_count("refused", load->refused);
		print_memory(load);
	}
	if (load->has_outage) {
		print_count("outage_answers_outliving_it", load->outliving);
		print_count("outage_answers_lost", load->outliving_lost);
		print_count("outage_queries_for_live_answers", load->outliving_asked);
		print_count("outage_queries_for_live_answers_missed", load->outliving_missed);
		print_count("outage_client_queries", load->outage_asked);
		printf(",\n \"outage_hit_ratio\": %.6f",
		    1 - (double)load->outage_missed / (double)load->outage_asked);
		printf(",\n \"outage_upstream_vs_before\": %.4f",
		    (double)load->outage_fetched / (double)load->before_fetched);
	}
	print_buckets(load);
	printf("}\n");
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"ahead", "on-hit", "off", "ideal", "outage"};
	static const enum prefetch_rule rules[] = {
	    PREFETCH_AHEAD, PREFETCH_ON_HIT, PREFETCH_OFF, PREFETCH_OFF, PREFETCH_AHEAD};
	unsigned which = 0;
	while (which < 5 && (argc != 2 || strcmp(argv[1], names[which]) != 0))
		which++;
	if (which == 5) {
		fprintf(stderr, "usage: load ahead|on-hit|off|ideal|outage\n");
		return 64;
	}
	static struct load load;
	load.is_ideal = strcmp(names[which], "ideal") == 0;
	load.has_outage = strcmp(names[which], "outage") == 0;
	load.random = 1;
	load.name_count = trace_questions((double)END_MS / 1000 * TRACE_MAILS_PER_S);
	load.names = pages(load.name_count * sizeof *load.names);
	for (uint32_t i = 0; i < load.name_count; i++)
		load.names[i].ttl_ms = trace_ttl_s(i) * 1000;
	struct prefetch_settings settings = {
	    .rule = rules[which], .workers = WORKERS, .failure_ttl_ms = 15000};
	struct sim_world world = {number_of, ask_upstream, describe, &load};
	if (!load.is_ideal)
		sim_init(&load.sim, &world, load.name_count, &settings, MEMORY, 1);
	run(&load);
	print(&load, names[which]);
	if (!load.is_ideal)
		sim_fini(&load.sim);
	return 0;
}
