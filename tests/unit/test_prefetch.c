/* SPDX-License-Identifier: BSD-3-Clause */
/* Prefetch (prefetch.c) where a script of tests/sim does not reach: answers that have ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/server/prefetch.h"
#include "tests/unit/test.h"

#define NOW_MS INT64_C(1790000000000)
#define FAR_MS (NOW_MS + 3600000)
#define LATE_MAX_MS 200

struct scene {
	struct cache cache;
	struct flight flight;
	struct prefetch prefetch;
};

static struct scene *scene_new(void)
{
	static const struct prefetch_settings settings = {
	    .rule = PREFETCH_AHEAD, .workers = 2, .failure_ttl_ms = 15000};
	struct scene *scene = calloc(1, sizeof *scene);
	assert_non_null(scene);
	assert_int_equal(cache_init(&scene->cache, 64u << 20), 0);
	assert_int_equal(flight_init(&scene->flight), 0);
	prefetch_init(&scene->prefetch, &scene->cache, &scene->flight, &settings, 1, NOW_MS);
	return scene;
}

static void scene_free(struct scene *scene)
{
	cache_fini(&scene->cache);
	flight_fini(&scene->flight);
	free(scene);
}

static struct question_key key_of(int kind, const char *name)
{
	struct question_key key;
	question_key_make(&key, kind, kind == V1(KIND__HOST) ? 25 : 0, name);
	return key;
}

/* A route names one host. */
static struct answer *answer_make(int kind, int64_t expires_at_ms)
{
	static const char host[] = "mx.example";
	bool is_route = kind == V1(KIND__ROUTE);
	struct answer *answer = answer_new(100, is_route, 0);
	assert_non_null(answer);
	answer->cacheable = true;
	answer->expires_at_ms = expires_at_ms;
	memset(answer->data, 0, answer->blob_bytes);
	memcpy(answer->data, host, sizeof host);
	if (is_route)
		assert_true(answer_set_host(answer, 0, host));
	return answer;
}

/* The job for it is run and brings this answer. */
static struct cache_entry *find(
    struct scene *scene, int kind, const char *name, int64_t expires_at_ms, int64_t now_ms)
{
	struct question_key key = key_of(kind, name);
	struct answer *answer = answer_make(kind, expires_at_ms);
	struct flight_job *job;
	assert_int_equal(flight_refresh(&scene->flight, &key, 0, FLIGHT_NO_WORKER, &job), 0);
	job = flight_take(&scene->flight);
	assert_non_null(job);
	answer_unref(prefetch_take(&scene->prefetch, job, answer, 0, now_ms));
	flight_end(&scene->flight, job, answer);
	answer_unref(answer);
	return cache_find(&scene->cache, &key);
}

/* Its RRSIG may have expired while the job was run. */
static void m05_what_ended_on_the_way_is_no_trouble(void **state)
{
	(void)state;
	for (int64_t late_ms = 0; late_ms < LATE_MAX_MS; late_ms++) {
		struct scene *scene = scene_new();
		const struct cache_entry *entry =
		    find(scene, V1(KIND__ROUTE), "example", NOW_MS - late_ms, NOW_MS);
		struct question_key key = key_of(V1(KIND__ROUTE), "example");
		assert_true(entry == NULL || entry->timer.link != NULL);
		assert_null(prefetch_look_up(&scene->prefetch, &key, 25, NOW_MS));
		scene_free(scene);
	}
}

static void m05_what_ended_long_before_is_not_in_use_for_ever(void **state)
{
	struct scene *scene = scene_new();
	(void)state;
	const struct cache_entry *entry =
	    find(scene, V1(KIND__ROUTE), "example", NOW_MS - 60000, NOW_MS);
	assert_true(entry == NULL || entry->span_s <= 1);
	scene_free(scene);
}

static void m05_host_that_ended_is_kept_with_its_route(void **state)
{
	(void)state;
	for (int64_t late_ms = 0; late_ms < LATE_MAX_MS; late_ms++) {
		struct scene *scene = scene_new();
		struct question_key key = key_of(V1(KIND__ROUTE), "example");
		struct cache_entry *host =
		    find(scene, V1(KIND__HOST), "mx.example", NOW_MS + 10000, NOW_MS);
		assert_non_null(host);
		assert_non_null(find(scene, V1(KIND__ROUTE), "example", FAR_MS, NOW_MS));
		host->state = ENTRY_ENDS;
		assert_int_equal(prefetch_keep(&scene->prefetch, &key, 25, PREFETCH_FOREVER,
				     NOW_MS + 10000 + late_ms),
		    0);
		assert_int_equal(host->kept_until_s, PREFETCH_FOREVER);
		assert_int_equal(scene->flight.jobs.count, 1); /* it is looked up */
		scene_free(scene);
	}
}

static void what_is_taken_off_the_list_while_it_is_looked_up_is_not_kept(void **state)
{
	struct scene *scene = scene_new();
	uint32_t soon_s = (uint32_t)(NOW_MS / 1000) + 10;
	char name[32];
	(void)state;
	for (unsigned i = 0; i < 1000;
	     i++) { /* so many that the table is in the middle of growing */
		snprintf(name, sizeof name, "n%u.example", i);
		struct question_key key = key_of(V1(KIND__ROUTE), name);
		assert_int_equal(
		    prefetch_keep(&scene->prefetch, &key, 25, PREFETCH_FOREVER, NOW_MS), 0);
	}
	prefetch_end_forever(&scene->prefetch, soon_s);
	for (unsigned i = 0; i < 1000; i++) {
		struct flight_job *job = flight_take(&scene->flight);
		struct answer *answer = answer_make(V1(KIND__ROUTE), FAR_MS);
		answer_unref(prefetch_take(&scene->prefetch, job, answer, 0, NOW_MS));
		flight_end(&scene->flight, job, answer);
		answer_unref(answer);
	}
	assert_int_equal(scene->cache.table.count, 1000);
	for (const struct cache_entry *entry = scene->cache.newest; entry != NULL;
	     entry = entry->older)
		assert_int_equal(entry->kept_until_s, soon_s);
	scene_free(scene);
}

static void an_answer_that_cannot_be_replaced_is_not_served_on(void **state)
{
	struct scene *scene = scene_new();
	struct question_key key = key_of(V1(KIND__ROUTE), "example");
	struct cache_entry *entry = find(scene, V1(KIND__ROUTE), "example", FAR_MS, NOW_MS);
	struct answer *derived = answer_make(V1(KIND__ROUTE), FAR_MS);
	(void)state;
	assert_true(prefetch_replace(&scene->prefetch, entry, derived, NOW_MS));
	assert_ptr_equal(entry->answer, derived);
	scene->cache.max_bytes = 512; /* of which an answer may have an eighth */
	struct answer *too_large = answer_make(V1(KIND__ROUTE), FAR_MS);
	assert_false(prefetch_replace(&scene->prefetch, entry, too_large, NOW_MS));
	assert_null(cache_find(&scene->cache, &key));
	answer_unref(too_large);
	answer_unref(derived);
	scene_free(scene);
}

/* The machine slept, all that was in use has ended, and there is room for few jobs. */
static void what_has_ended_tries_less_and_less_often_while_there_is_no_room(void **state)
{
	struct scene *scene = scene_new();
	struct question_key key = key_of(V1(KIND__ROUTE), "example");
	struct flight_job *job;
	char name[32];
	unsigned tries = 0;
	(void)state;
	struct cache_entry *entry = find(scene, V1(KIND__ROUTE), "example", NOW_MS + 60000, NOW_MS);
	entry->hits = UINT8_MAX;
	entry->last_hit_s = (uint32_t)(NOW_MS / 1000) + 50;
	for (unsigned i = 0; i < FLIGHT_UNASKED_MAX; i++) {
		snprintf(name, sizeof name, "n%u.example", i);
		struct question_key other = key_of(V1(KIND__ROUTE), name);
		assert_int_equal(flight_refresh(&scene->flight, &other, 0, 0, &job), 0);
	}
	int64_t at_ms = 0, woken_ms = NOW_MS + 3600000;
	for (int64_t now_ms = woken_ms; now_ms < woken_ms + 600000; now_ms += 125) {
		prefetch_advance(&scene->prefetch, now_ms);
		assert_ptr_equal(cache_find(&scene->cache, &key), entry);
		tries += entry->timer.at_ms != at_ms;
		at_ms = entry->timer.at_ms;
	}
	assert_in_range(tries, 5, 30);
	scene_free(scene);
}

int main(void)
{
	struct test_list list = {0};
	ADD_TEST(&list, m05_what_ended_on_the_way_is_no_trouble);
	ADD_TEST(&list, m05_what_ended_long_before_is_not_in_use_for_ever);
	ADD_TEST(&list, m05_host_that_ended_is_kept_with_its_route);
	ADD_TEST(&list, what_is_taken_off_the_list_while_it_is_looked_up_is_not_kept);
	ADD_TEST(&list, an_answer_that_cannot_be_replaced_is_not_served_on);
	ADD_TEST(&list, what_has_ended_tries_less_and_less_often_while_there_is_no_room);
	return test_run("prefetch", &list, NULL, NULL);
}
