/* SPDX-License-Identifier: BSD-3-Clause */
/* The hash table (table.c) and the cache of answers over it (cache.c). Time is a number. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/server/cache.h"
#include "tests/unit/test.h"

#define BOUND_BYTES (64u << 10)
#define BLOB_BYTES 200u
#define FAR INT64_C(1000000)

static struct question_key key_of(const char *prefix, unsigned number)
{
	struct question_key key;
	char name[64];
	snprintf(name, sizeof name, "%s%u", prefix, number);
	question_key_make(&key, 2, 25, name);
	return key;
}

/* Its number is in its first octets, so that a test sees which answer it got. */
static struct answer *answer_make(unsigned number, size_t blob_bytes, int64_t expires_at_ms)
{
	struct answer *answer = answer_new(blob_bytes, 0, 0);
	assert_non_null(answer);
	answer->cacheable = true;
	answer->expires_at_ms = expires_at_ms;
	memset(answer->data, 0, blob_bytes);
	memcpy(answer->data, &number, sizeof number);
	return answer;
}

/* ---- scanning the table ---- */

#define SCANNED 3000u

struct scanned {
	struct table_node node; /* the first member */
	uint8_t key[8];
	unsigned visits;
};

static void count_visit(struct table_node *node, void *arg)
{
	(*(unsigned *)arg)++;
	((struct scanned *)node)->visits++;
}

static void insert_some(struct table *table, struct scanned *nodes, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		memcpy(nodes[i].key + 3, &i, sizeof i);
		nodes[i].node.key = nodes[i].key;
		nodes[i].node.key_bytes = sizeof nodes[i].key;
		table_insert(table, &nodes[i].node);
	}
}

/* Some are there all the time; others come, and with them the table grows, or go. */
static void scan_while_it_changes(unsigned come_each_step, unsigned gone)
{
	struct scanned *nodes = calloc(SCANNED, sizeof *nodes);
	struct table table;
	uint32_t cursor = 0;
	unsigned visits = 0, steps = 0, there = SCANNED / 10, come = there;
	assert_non_null(nodes);
	assert_int_equal(table_init(&table), 0);
	insert_some(&table, nodes, 0, there);
	do {
		cursor = table_scan(&table, cursor, count_visit, &visits);
		unsigned to = come + come_each_step < SCANNED ? come + come_each_step : SCANNED;
		insert_some(&table, nodes, come, to);
		come = to;
		if (steps < gone)
			table_remove(&table, &nodes[steps].node);
		assert_in_range(++steps, 1, 2 * SCANNED);
	} while (cursor != 0);
	for (unsigned i = gone; i < there; i++)
		assert_in_range(nodes[i].visits, 1, 2);
	assert_in_range(visits, there - gone, 2 * SCANNED);
	table_fini(&table);
	free(nodes);
}

static void a_scan_visits_what_is_there_all_the_time(void **state)
{
	(void)state;
	scan_while_it_changes(0, 0);
	scan_while_it_changes(1, 0);
	scan_while_it_changes(7, 0);
	scan_while_it_changes(100, 0);
	scan_while_it_changes(1000, 0);
	scan_while_it_changes(7, 100);
}

static void any_cursor_ends(void **state)
{
	struct scanned *nodes = calloc(SCANNED, sizeof *nodes);
	struct table table;
	(void)state;
	assert_non_null(nodes);
	assert_int_equal(table_init(&table), 0);
	insert_some(&table, nodes, 0, 600); /* it is growing */
	static const uint32_t cursors[] = {1, 255, 256, 0x80000000u, UINT32_MAX};
	for (unsigned i = 0; i < COUNT(cursors); i++) {
		uint32_t cursor = cursors[i];
		unsigned visits = 0, steps = 0;
		do {
			cursor = table_scan(&table, cursor, count_visit, &visits);
			assert_in_range(++steps, 1, 2000);
		} while (cursor != 0);
	}
	table_fini(&table);
	free(nodes);
}

/* ---- the hosts of a route ---- */

static struct answer *route_make(const char *blob, const char *first, const char *second)
{
	struct answer *route = answer_new(strlen(blob), 2, 0);
	assert_non_null(route);
	memcpy(route->data, blob, strlen(blob));
	assert_true(answer_set_host(route, 0, first));
	assert_true(answer_set_host(route, 1, second));
	return route;
}

static void names_of_hosts_are_found_in_the_blob(void **state)
{
	char name[NAME_TEXT_MAX];
	struct answer *route =
	    route_make("..mx1.example..mx2.example", "mx1.example", "mx2.example");
	(void)state;
	answer_host_name(route, 1, name);
	assert_string_equal(name, "mx2.example");
	assert_false(answer_set_host(route, 0, "mx3.example"));
	answer_host_name(route, 0, name);
	assert_string_equal(name, "mx1.example");
	answer_unref(route);
}

static void routes_have_the_same_hosts_in_the_same_order(void **state)
{
	struct answer *route = route_make("a.example b.example", "a.example", "b.example"),
		      *elsewhere = route_make("b.example a.example", "a.example", "b.example"),
		      *swapped = route_make("a.example b.example", "b.example", "a.example"),
		      *shorter = route_make("a.example b.example", "a.example", "b.exampl");
	(void)state;
	assert_true(answer_has_hosts_of(route, elsewhere));
	assert_false(answer_has_hosts_of(route, swapped));
	assert_false(answer_has_hosts_of(route, shorter));
	shorter->host_count = 1;
	assert_false(answer_has_hosts_of(route, shorter));
	answer_unref(route);
	answer_unref(elsewhere);
	answer_unref(swapped);
	answer_unref(shorter);
}

/* As a snapshot may hold them. */
static void places_outside_the_blob_are_no_hosts(void **state)
{
	static const struct {
		struct host_place place;
		bool good;
	} rows[] = {{{0, 5}, true}, {{20, 4}, true}, {{24, 0}, true}, {{20, 5}, false},
	    {{25, 0}, false}, {{0x1fffff, 1}, false}, {{0, NAME_TEXT_MAX}, false},
	    {{0, 7}, false} /* a zero in it */};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct answer *route = route_make("a.exam.pl.e b.example...", "a.", "b.");
		route->data[6] = 0;
		memcpy(route->data + route->blob_bytes + sizeof rows[i].place, &rows[i].place,
		    sizeof rows[i].place);
		assert_int_equal(answer_hosts_are_good(route), rows[i].good);
		answer_unref(route);
	}
}

static void put_sized(struct cache *cache, const char *prefix, unsigned number, size_t blob_bytes,
    int64_t expires_at_ms)
{
	struct question_key key = key_of(prefix, number);
	struct answer *answer = answer_make(number, blob_bytes, expires_at_ms);
	cache_put(cache, &key, answer);
	answer_unref(answer);
}

static void put(struct cache *cache, const char *prefix, unsigned number)
{
	put_sized(cache, prefix, number, BLOB_BYTES, FAR);
}

/* As a client is served. */
static struct answer *get(struct cache *cache, const struct question_key *key, int64_t now_ms)
{
	struct cache_entry *entry = cache_find(cache, key);
	if (entry == NULL || !entry_is_live(entry, now_ms))
		return NULL;
	entry_hit(entry, now_ms);
	return entry->answer;
}

static bool has(struct cache *cache, const char *prefix, unsigned number, int64_t now_ms)
{
	struct question_key key = key_of(prefix, number);
	const struct answer *answer = get(cache, &key, now_ms);
	unsigned got;
	if (answer == NULL)
		return false;
	memcpy(&got, answer->data, sizeof got);
	assert_int_equal(got, number);
	return true;
}

static int setup(void **state)
{
	struct cache *cache = malloc(sizeof *cache);
	assert_non_null(cache);
	assert_int_equal(cache_init(cache, BOUND_BYTES), 0);
	*state = cache;
	return 0;
}

static int teardown(void **state)
{
	struct cache *cache = *state;
	cache_fini(cache);
	assert_int_equal(cache->used_bytes, 0); /* each octet counted in was counted out */
	free(cache);
	return 0;
}

/* ---- the cache ---- */

static void b14_m05_m06_answer_is_expired_at_its_very_millisecond(void **state)
{
	put_sized(*state, "a", 1, BLOB_BYTES, 1000);
	assert_true(has(*state, "a", 1, 0));
	assert_true(has(*state, "a", 1, 999));
	assert_false(has(*state, "a", 1, 1000));
	assert_false(has(*state, "a", 1, 1001));
}

static void m05_uncacheable_answer_is_not_kept(void **state)
{
	struct cache *cache = *state;
	struct question_key key = key_of("a", 1);
	struct answer *answer = answer_make(1, BLOB_BYTES, FAR);
	answer->cacheable = false;
	cache_put(cache, &key, answer);
	assert_null(get(cache, &key, 0));
	assert_int_equal(answer->refs, 1);
	assert_int_equal(cache->table.count, 0);
	answer_unref(answer);
}

static void uncacheable_answer_leaves_what_is_there(void **state)
{
	struct question_key key = key_of("a", 7);
	struct answer *answer = answer_make(8, BLOB_BYTES, FAR);
	put(*state, "a", 7);
	answer->cacheable = false;
	cache_put(*state, &key, answer);
	assert_true(has(*state, "a", 7, 0));
	answer_unref(answer);
}

static void newer_answer_replaces_and_the_bytes_follow(void **state)
{
	struct cache *cache = *state;
	struct question_key key = key_of("a", 1);
	struct answer *old = answer_make(1, BLOB_BYTES, FAR), *new = answer_make(2, 1000, FAR);
	cache_put(cache, &key, old);
	size_t before = cache->used_bytes;
	assert_int_equal(old->refs, 2);
	cache_put(cache, &key, new);
	assert_int_equal(old->refs, 1);
	assert_ptr_equal(get(cache, &key, 0), new);
	assert_int_equal(cache->used_bytes, before + 1000 - BLOB_BYTES);
	assert_int_equal(cache->table.count, 1);
	answer_unref(old);
	answer_unref(new);
}

static void answer_outlives_its_eviction_while_held(void **state)
{
	struct cache *cache = *state;
	struct question_key key = key_of("held", 5);
	put(cache, "held", 5);
	struct answer *held = answer_ref(get(cache, &key, 0));
	for (unsigned i = 0; i < 2000; i++)
		put(cache, "flood", i);
	unsigned number;
	memcpy(&number, held->data, sizeof number);
	assert_int_equal(number, 5);
	answer_unref(held);
}

static void memory_stays_within_the_bound(void **state)
{
	struct cache *cache = *state;
	for (unsigned i = 0; i < 5000; i++) {
		put_sized(cache, "n", i % 700, 4 + i * 37 % 3000, FAR);
		assert_true(cache->used_bytes <= BOUND_BYTES);
	}
	assert_true(cache->used_bytes > BOUND_BYTES - 2 * 3500); /* and is made use of */
	assert_true(cache->evicted > 0);
}

static void sieve_keeps_what_is_in_use_through_a_flood(void **state)
{
	for (unsigned i = 0; i < 20; i++)
		put(*state, "used", i);
	for (unsigned i = 0; i < 20000; i++) {
		if (i % 50 == 0)
			for (unsigned n = 0; n < 20; n++)
				assert_true(has(*state, "used", n, 0));
		put(*state, "flood", i);
	}
	for (unsigned n = 0; n < 20; n++)
		assert_true(has(*state, "used", n, 0));
}

/* All was in use once: the hand spares each entry a single time, then the old ones go. */
static void sieve_spares_once_for_each_use(void **state)
{
	struct cache *cache = *state;
	unsigned count = 0;
	while (cache->evicted == 0 && cache->used_bytes < BOUND_BYTES - 2 * BLOB_BYTES)
		put(cache, "used", count++);
	for (unsigned i = 0; i < count; i++)
		assert_true(has(cache, "used", i, 0));
	for (unsigned i = 0; i < 2 * count; i++)
		put(cache, "flood", i);
	for (unsigned i = 0; i < count; i++)
		assert_false(has(cache, "used", i, 0));
}

/* Who only looks (explain) does not keep an entry. */
static void a_find_counts_as_no_use(void **state)
{
	struct cache *cache = *state;
	struct question_key key = key_of("used", 0);
	put(cache, "used", 0);
	for (unsigned i = 0; cache->evicted == 0; i++) {
		assert_non_null(cache_find(cache, &key));
		put(cache, "flood", i);
	}
	assert_null(cache_find(cache, &key));
}

static struct cache_entry *entry_of(struct cache *cache, const char *prefix, unsigned number)
{
	struct question_key key = key_of(prefix, number);
	return cache_find(cache, &key);
}

static void what_is_kept_outlasts_a_flood(void **state)
{
	struct cache *cache = *state;
	for (unsigned i = 0; i < 50; i++) {
		put(cache, "kept", i);
		cache_keep_until(cache, entry_of(cache, "kept", i), 1);
	}
	for (unsigned i = 0; i < 20000; i++)
		put(cache, "flood", i);
	for (unsigned i = 0; i < 50; i++)
		assert_non_null(entry_of(cache, "kept", i));
}

/* More is kept than there is room: the bound holds nevertheless. */
static void keeping_everything_does_not_break_the_bound(void **state)
{
	struct cache *cache = *state;
	for (unsigned i = 0; i < 3000; i++) {
		put(cache, "kept", i);
		cache_keep_until(cache, entry_of(cache, "kept", i), 1);
		assert_true(cache->used_bytes <= BOUND_BYTES);
		assert_true(cache->kept_bytes <= cache->used_bytes);
	}
	cache_clear(cache);
	assert_int_equal(cache->kept_bytes, 0);
}

static void a_smaller_bound_holds_at_once(void **state)
{
	struct cache *cache = *state;
	for (unsigned i = 0; i < 1000; i++)
		put(cache, "n", i);
	cache_fit(cache, BOUND_BYTES, BOUND_BYTES / 4);
	assert_true(cache->used_bytes <= BOUND_BYTES / 4);
	assert_true(cache->table.count > 0);
}

/* Requests had a part of the memory for a moment; freed, it stays the process's. */
static void memory_beyond_the_bound_is_made_up_for_once(void **state)
{
	struct cache *cache = *state;
	const size_t over = BOUND_BYTES / 8;
	for (unsigned i = 0; i < 1000; i++)
		put(cache, "n", i);
	for (unsigned i = 0; i < 100; i++) {
		cache_fit(cache, BOUND_BYTES + over, BOUND_BYTES);
		put(cache, "more", i);
		assert_in_range(cache->used_bytes, BOUND_BYTES * 3 / 4, BOUND_BYTES - over);
	}
	/* More of it is made up for, too; never more than half of all. */
	cache_fit(cache, BOUND_BYTES + over + 4096, BOUND_BYTES);
	assert_in_range(cache->max_bytes, BOUND_BYTES / 2, BOUND_BYTES - over - 4096);
	cache_fit(cache, 3 * BOUND_BYTES, BOUND_BYTES);
	assert_int_equal(cache->max_bytes, BOUND_BYTES / 2);
	/* It went back to the system. */
	cache_fit(cache, cache->used_bytes + 1000, BOUND_BYTES);
	assert_int_equal(cache->max_bytes, BOUND_BYTES - 1000);
	cache_fit(cache, cache->used_bytes - 1000, BOUND_BYTES); /* used is an estimate */
	assert_int_equal(cache->max_bytes, BOUND_BYTES);
}

/* Everything is in use and a large answer needs several places: never its own. */
static void the_entry_just_put_is_never_the_one_evicted(void **state)
{
	struct cache *cache = *state;
	unsigned count = 0;
	while (cache->evicted == 0)
		put(cache, "used", count++);
	for (unsigned i = 0; i < count; i++)
		(void)has(cache, "used", i, 0);
	for (unsigned i = 0; i < 50; i++) {
		put_sized(cache, "large", i, BOUND_BYTES / 8 - 64, FAR);
		assert_true(has(cache, "large", i, 0));
	}
}

static void expired_lookup_is_no_use(void **state)
{
	struct cache *cache = *state;
	unsigned kept = 0;
	/* Expired entries that are asked for must not gain the second life of what is in use. */
	for (unsigned i = 0; i < 20; i++)
		put_sized(cache, "dead", i, BLOB_BYTES, 10);
	for (unsigned i = 0; i < 20; i++)
		assert_false(has(cache, "dead", i, 10));
	for (unsigned i = 0; cache->evicted < 20; i++)
		put(cache, "flood", i);
	for (unsigned i = 0; i < 20; i++)
		kept += has(cache, "dead", i, 9);
	assert_int_equal(kept, 0);
}

static void answer_larger_than_the_bound_does_not_stay(void **state)
{
	struct cache *cache = *state;
	put_sized(cache, "big", 1, 2 * BOUND_BYTES, FAR);
	assert_false(has(cache, "big", 1, 0));
	assert_true(cache->used_bytes <= BOUND_BYTES);
	put(cache, "a", 1); /* and all goes on */
	assert_true(has(cache, "a", 1, 0));
}

/* Every order of puts, uses and drops leaves the lists whole. */
static void lists_stay_whole_through_drops(void **state)
{
	struct cache *cache = *state;
	for (unsigned i = 0; i < 3000; i++) {
		put_sized(cache, "n", i, 10 + i * 31 % 900, FAR);
		if (i % 5 == 0)
			has(cache, "n", i / 2, i);
		struct cache_entry *entry = entry_of(cache, "n", i * 7 % (i + 1));
		if (i % 3 == 0 && entry != NULL)
			cache_drop(cache, entry);
	}
	while (cache->oldest != NULL)
		cache_drop(cache, cache->oldest);
	assert_int_equal(cache->table.count, 0);
	assert_int_equal(cache->used_bytes, 0);
	assert_null(cache->newest);
}

/* ---- keys ---- */

static void kind_number_and_name_make_different_keys(void **state)
{
	static const struct {
		int kind;
		uint16_t number;
		const char *name;
	} rows[] = {{1, 25, "a"}, {2, 25, "a"}, {2, 26, "a"}, {2, 25 << 8, "a"}, {2, 25, "b"},
	    {2, 25, "aa"}, {2, 25, ""}};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t j = 0; j < COUNT(rows); j++) {
			struct question_key a, b;
			question_key_make(&a, rows[i].kind, rows[i].number, rows[i].name);
			question_key_make(&b, rows[j].kind, rows[j].number, rows[j].name);
			bool same = a.count == b.count && memcmp(a.bytes, b.bytes, a.count) == 0;
			assert_int_equal(same, i == j);
		}
	}
}

/* ---- the table ---- */

#define MANY 100000u

struct item {
	struct table_node node; /* first: a node found is its item */
	uint32_t number;
};

static struct item *items_make(void)
{
	struct item *items = calloc(MANY, sizeof *items);
	assert_non_null(items);
	for (uint32_t i = 0; i < MANY; i++) {
		items[i].number = i;
		items[i].node.key = (const uint8_t *)&items[i].number;
		items[i].node.key_bytes = sizeof items[i].number;
	}
	return items;
}

static struct item *item_find(struct table *table, uint32_t number)
{
	return (struct item *)table_find(table, (const uint8_t *)&number, sizeof number);
}

static void table_grows_and_finds_all_of_100000(void **state)
{
	struct table table;
	struct item *items = items_make();
	(void)state;
	assert_int_equal(table_init(&table), 0);
	uint32_t first_mask = table.mask;
	for (uint32_t i = 0; i < MANY; i++) {
		table_insert(&table, &items[i].node);
		/* also while it grows: what just came, the first, one in between */
		assert_ptr_equal(item_find(&table, i), &items[i]);
		assert_ptr_equal(item_find(&table, 0), &items[0]);
		assert_ptr_equal(item_find(&table, i / 2), &items[i / 2]);
		assert_null(item_find(&table, i + 1));
	}
	assert_true(table.mask > first_mask);
	assert_true(table.mask >= MANY / 2);
	assert_int_equal(table.count, MANY);
	for (uint32_t i = 0; i < MANY; i++)
		assert_ptr_equal(item_find(&table, i), &items[i]);
	table_fini(&table);
	free(items);
}

static void table_removes_while_it_grows(void **state)
{
	struct table table;
	struct item *items = items_make();
	(void)state;
	assert_int_equal(table_init(&table), 0);
	for (uint32_t i = 0; i < MANY; i++) {
		table_insert(&table, &items[i].node);
		if (i % 3 == 2)
			table_remove(&table, &items[i - 1].node);
	}
	for (uint32_t i = 0; i < MANY; i++) {
		bool removed = i % 3 == 1 && i + 1 < MANY;
		assert_ptr_equal(item_find(&table, i), removed ? NULL : &items[i]);
	}
	for (uint32_t i = 0; i < MANY; i++)
		if (item_find(&table, i) != NULL)
			table_remove(&table, &items[i].node);
	assert_int_equal(table.count, 0);
	table_fini(&table);
	free(items);
}

static void a_key_is_no_prefix_of_another(void **state)
{
	struct table table;
	struct table_node node = {.key = (const uint8_t *)"abc", .key_bytes = 3};
	(void)state;
	assert_int_equal(table_init(&table), 0);
	table_insert(&table, &node);
	assert_ptr_equal(table_find(&table, (const uint8_t *)"abcd", 3), &node);
	assert_null(table_find(&table, (const uint8_t *)"abcd", 4));
	assert_null(table_find(&table, (const uint8_t *)"abcd", 2));
	table_fini(&table);
}

static void null_answer_is_released_without_harm(void **state)
{
	(void)state;
	answer_unref(NULL);
}

#define CACHE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CACHE_TEST(b14_m05_m06_answer_is_expired_at_its_very_millisecond),
	    CACHE_TEST(m05_uncacheable_answer_is_not_kept),
	    CACHE_TEST(uncacheable_answer_leaves_what_is_there),
	    CACHE_TEST(newer_answer_replaces_and_the_bytes_follow),
	    CACHE_TEST(answer_outlives_its_eviction_while_held),
	    CACHE_TEST(memory_stays_within_the_bound),
	    CACHE_TEST(sieve_keeps_what_is_in_use_through_a_flood),
	    CACHE_TEST(sieve_spares_once_for_each_use),
	    CACHE_TEST(a_find_counts_as_no_use),
	    CACHE_TEST(what_is_kept_outlasts_a_flood),
	    CACHE_TEST(keeping_everything_does_not_break_the_bound),
	    CACHE_TEST(a_smaller_bound_holds_at_once),
	    CACHE_TEST(memory_beyond_the_bound_is_made_up_for_once),
	    CACHE_TEST(the_entry_just_put_is_never_the_one_evicted),
	    CACHE_TEST(expired_lookup_is_no_use),
	    CACHE_TEST(answer_larger_than_the_bound_does_not_stay),
	    CACHE_TEST(lists_stay_whole_through_drops),
	    cmocka_unit_test(kind_number_and_name_make_different_keys),
	    cmocka_unit_test(table_grows_and_finds_all_of_100000),
	    cmocka_unit_test(table_removes_while_it_grows),
	    cmocka_unit_test(a_key_is_no_prefix_of_another),
	    cmocka_unit_test(null_answer_is_released_without_harm),
	    cmocka_unit_test(a_scan_visits_what_is_there_all_the_time),
	    cmocka_unit_test(any_cursor_ends),
	    cmocka_unit_test(names_of_hosts_are_found_in_the_blob),
	    cmocka_unit_test(routes_have_the_same_hosts_in_the_same_order),
	    cmocka_unit_test(places_outside_the_blob_are_no_hosts),
	};
	return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
