/* SPDX-License-Identifier: BSD-3-Clause */
/* The snapshot: what is written is read, and nothing else is; a death at any instant leaves one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "resolverd/base/clock.h"
#include "resolverd/server/saver.h"

#define NOW_MS INT64_C(1790000000000)
#define FAR_MS (NOW_MS + 3600000)
#define ENTRIES 200u
#define KILLS 300u

static const uint8_t key[SNAPSHOT_KEY_BYTES] = "a key", other_key[SNAPSHOT_KEY_BYTES] = "another";
static const uint8_t hash[32] = "this configuration";

struct scene {
	struct cache cache;
	struct flight flight;
	struct prefetch prefetch;
};

static struct scene *scene_new(void)
{
	static const struct prefetch_settings settings = {.workers = 2, .failure_ttl_ms = 15000};
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

/* Field 3 of a Response, of that length. */
static void put_frame(struct answer *answer, size_t length)
{
	answer->data[0] = 0x1a;
	answer->data[1] = (uint8_t)(length | 0x80);
	answer->data[2] = (uint8_t)(length >> 7);
}

static struct cache_entry *put(
    struct scene *scene, unsigned number, unsigned hosts, int64_t expires_at_ms)
{
	struct question_key question;
	char name[64];
	snprintf(name, sizeof name, "n%u.example.org", number);
	question_key_make(&question, RESOLVERD__V1__KIND__ROUTE, 0, name);
	struct answer *answer = answer_new(100 + number, hosts, 0);
	assert_non_null(answer);
	answer->cacheable = true;
	answer->expires_at_ms = expires_at_ms;
	memset(answer->data, (int)number, answer->blob_bytes);
	put_frame(answer, answer->blob_bytes - 3u);
	memcpy(answer->data + 3 + number, "mx.example", 10);
	for (unsigned i = 0; i < hosts; i++)
		assert_true(answer_set_host(answer, i, "mx.example"));
	struct cache_entry *entry = cache_put(&scene->cache, &question, answer);
	answer_unref(answer);
	assert_non_null(entry);
	return entry;
}

static int file_new(void)
{
	int fd = memfd_create("snapshot", MFD_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static int written(const struct scene *scene, const uint8_t with_key[SNAPSHOT_KEY_BYTES])
{
	struct snapshot_stamp stamp = {.written_at_ms = NOW_MS};
	int fd = file_new();
	memcpy(stamp.worker_hash, hash, sizeof hash);
	assert_int_equal(snapshot_write(fd, &scene->cache, &stamp, with_key), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static int read_back(int fd, struct scene *scene, int64_t now_ms, struct snapshot_counts *counts)
{
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return snapshot_read(fd, &scene->prefetch, hash, key, now_ms, counts);
}

static void fill(struct scene *scene)
{
	for (unsigned i = 0; i < ENTRIES; i++) {
		struct cache_entry *entry = put(scene, i, i % 4, FAR_MS + i);
		entry->demand = (uint8_t)i;
		entry->port = (uint16_t)(25 + i % 2);
		entry->span_s = 3600 + i;
		entry->last_hit_s = 1000 + i;
		entry->often_since_s = i;
		entry->is_bogus = i % 3 == 0;
	}
}

static void m06_all_that_counts_comes_back(void **state)
{
	struct scene *from = scene_new(), *to = scene_new();
	struct snapshot_counts counts;
	(void)state;
	fill(from);
	put(from, 1000, 0, FAR_MS)->answer->failed = true;
	put(from, 1001, 0, FAR_MS)->answer->stale = true;
	cache_keep_until(&from->cache, put(from, 1002, 2, FAR_MS), PREFETCH_FOREVER);
	int fd = written(from, key);
	assert_int_equal(read_back(fd, to, NOW_MS + 1000, &counts), 0);
	assert_int_equal(counts.restored, ENTRIES + 1); /* what failed or is stale is not kept */
	assert_int_equal(to->cache.table.count, ENTRIES + 1);
	for (const struct cache_entry *a = to->cache.newest; a != NULL; a = a->older) {
		const struct cache_entry *b = (const struct cache_entry *)table_find(
		    &from->cache.table, a->key, a->node.key_bytes);
		assert_non_null(b);
		assert_true(a->answer->generation == 0 && a->answer->cacheable);
		assert_int_equal(a->answer->expires_at_ms, b->answer->expires_at_ms);
		assert_int_equal(a->answer->host_count, b->answer->host_count);
		assert_int_equal(a->answer->blob_bytes, b->answer->blob_bytes);
		assert_memory_equal(a->answer->data, b->answer->data, answer_trace_at(a->answer));
		assert_int_equal(a->demand, b->demand);
		assert_int_equal(a->port, b->port);
		assert_int_equal(a->span_s, b->span_s);
		/* Or what was asked for once would be looked up again, for once. */
		assert_int_equal(a->last_hit_s, b->last_hit_s);
		assert_int_equal(a->often_since_s, b->often_since_s);
		assert_int_equal(a->is_bogus, b->is_bogus); /* M06: so it is never served stale */
		assert_int_equal(a->kept_until_s, b->kept_until_s);
		assert_non_null(a->timer.link);
	}
	close(fd);
	scene_free(from);
	scene_free(to);
}

static void m08_what_has_ended_is_not_restored_and_what_was_in_use_is_looked_up(void **state)
{
	struct scene *from = scene_new(), *to = scene_new();
	struct snapshot_counts counts;
	(void)state;
	put(from, 1, 1, NOW_MS + 1000);
	put(from, 2, 1, NOW_MS + 1000)->demand = 3;
	put(from, 3, 1, NOW_MS + 1000)->hits = 1;
	cache_keep_until(&from->cache, put(from, 4, 1, NOW_MS + 1000), PREFETCH_FOREVER);
	put(from, 5, 1, NOW_MS + 1001);
	int fd = written(from, key);
	assert_int_equal(read_back(fd, to, NOW_MS + 1000, &counts), 0);
	assert_int_equal(counts.restored, 1);
	assert_int_equal(counts.wanted, 3);
	assert_int_equal(counts.left, 1);
	assert_int_equal(to->flight.jobs.count, 3);
	close(fd);
	scene_free(from);
	scene_free(to);
}

static void m08_every_changed_byte_is_found(void **state)
{
	struct scene *from = scene_new(), *to = scene_new();
	struct snapshot_counts counts;
	(void)state;
	put(from, 1, 2, FAR_MS);
	put(from, 2, 0, NOW_MS)->demand = 1;
	int fd = written(from, key);
	off_t size = lseek(fd, 0, SEEK_END);
	for (off_t at = 0; at < size; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			uint8_t byte;
			assert_int_equal(pread(fd, &byte, 1, at), 1);
			byte ^= (uint8_t)(1u << bit);
			assert_int_equal(pwrite(fd, &byte, 1, at), 1);
			assert_true(read_back(fd, to, NOW_MS + 1, &counts) < 0);
			assert_int_equal(to->cache.table.count, 0);
			assert_int_equal(to->flight.jobs.count, 0);
			byte ^= (uint8_t)(1u << bit);
			assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		}
	}
	assert_int_equal(read_back(fd, to, NOW_MS + 1, &counts), 0);
	close(fd);
	scene_free(from);
	scene_free(to);
}

static void m08_every_torn_file_is_refused(void **state)
{
	struct scene *from = scene_new(), *to = scene_new();
	struct snapshot_counts counts;
	(void)state;
	put(from, 1, 2, FAR_MS);
	put(from, 2, 0, FAR_MS);
	int fd = written(from, key);
	off_t size = lseek(fd, 0, SEEK_END);
	assert_int_equal(pwrite(fd, "", 1, size), 1); /* longer is as bad */
	assert_int_equal(read_back(fd, to, NOW_MS, &counts), -EBADMSG);
	while (size-- > 0) {
		assert_int_equal(ftruncate(fd, size), 0);
		assert_int_equal(read_back(fd, to, NOW_MS, &counts), -EBADMSG);
		assert_int_equal(to->cache.table.count, 0);
	}
	close(fd);
	scene_free(from);
	scene_free(to);
}

static void m08_what_is_of_others_is_refused(void **state)
{
	struct scene *from = scene_new(), *to = scene_new();
	struct snapshot_counts counts;
	static const uint8_t other_hash[32] = "another configuration";
	(void)state;
	fill(from);
	int fd = written(from, other_key);
	assert_int_equal(read_back(fd, to, NOW_MS, &counts), -EBADMSG);
	close(fd);
	fd = written(from, key);
	assert_int_equal(
	    snapshot_read(fd, &to->prefetch, other_hash, key, NOW_MS, &counts), -ESTALE);
	assert_int_equal(read_back(fd, to, NOW_MS - 1, &counts), -ERANGE); /* from the future */
	assert_int_equal(to->cache.table.count, 0);
	assert_int_equal(read_back(fd, to, NOW_MS, &counts), 0);
	close(fd);
	scene_free(from);
	scene_free(to);
}

static void an_answer_longer_than_its_bytes_is_none(void **state)
{
	struct scene *from = scene_new(), *to = scene_new();
	struct snapshot_counts counts;
	(void)state;
	struct answer *answer = put(from, 1, 0, FAR_MS)->answer;
	for (int by = -1; by <= 1; by++) {
		put_frame(answer, answer->blob_bytes - 3u + (size_t)by);
		int fd = written(from, key);
		assert_int_equal(read_back(fd, to, NOW_MS, &counts), by == 0 ? 0 : -EBADMSG);
		close(fd);
		scene_free(to);
		to = scene_new();
	}
	memset(answer->data, 0xff, answer->blob_bytes); /* a length without end */
	int fd = written(from, key);
	assert_int_equal(read_back(fd, to, NOW_MS, &counts), -EBADMSG);
	close(fd);
	scene_free(from);
	scene_free(to);
}

static void no_life_is_longer_than_max_ttl_can_be(void **state)
{
	static const int64_t ends[] = {-1, NOW_MS + 604800001, INT64_MAX};
	struct snapshot_counts counts;
	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		struct scene *from = scene_new(), *to = scene_new();
		put(from, 1, 0, FAR_MS)->answer->expires_at_ms = ends[i];
		int fd = written(from, key);
		assert_int_equal(read_back(fd, to, NOW_MS, &counts), -EBADMSG);
		close(fd);
		scene_free(from);
		scene_free(to);
	}
}

static void more_than_a_chunk_comes_back(void **state)
{
	struct scene *from = scene_new(), *to = scene_new();
	struct snapshot_counts counts;
	(void)state;
	for (unsigned i = 0; i < 3000; i++)
		put(from, i, 0, FAR_MS);
	int fd = written(from, key);
	assert_true(lseek(fd, 0, SEEK_END) > 2 << 20);
	assert_int_equal(read_back(fd, to, NOW_MS, &counts), 0);
	assert_int_equal(counts.restored, 3000);
	close(fd);
	scene_free(from);
	scene_free(to);
}

static void a_full_disk_is_an_error(void **state)
{
	struct scene *from = scene_new();
	struct snapshot_stamp stamp = {.written_at_ms = NOW_MS};
	int fd = open("/dev/full", O_WRONLY);
	(void)state;
	if (fd < 0)
		skip();
	fill(from);
	assert_int_equal(snapshot_write(fd, &from->cache, &stamp, key), -ENOSPC);
	close(fd);
	scene_free(from);
}

/* ---- death ---- */

static void write_for_ever(const char *directory, struct scene *scene)
{
	static char worker_text[] = "the same";
	static struct config config;
	struct event_base *base = event_base_new();
	config.worker_text = worker_text;
	config.cache.snapshot_interval_ms = 1000;
	for (;;) {
		struct saver saver;
		if (saver_init(&saver, base, &scene->prefetch, &config) != 0)
			_exit(1);
		saver.dir_fd = open(directory, O_RDONLY | O_DIRECTORY);
		saver_set_keys(&saver, key, SNAPSHOT_KEY_BYTES);
		saver_fini(&saver); /* writes */
	}
}

static unsigned entries_restored(const char *directory, const uint8_t *keys, size_t key_count)
{
	static char worker_text[] = "the same";
	static struct config config;
	struct event_base *base = event_base_new();
	struct scene *scene = scene_new();
	struct saver saver;
	config.worker_text = worker_text;
	assert_int_equal(saver_init(&saver, base, &scene->prefetch, &config), 0);
	saver_set_keys(&saver, keys, key_count * SNAPSHOT_KEY_BYTES);
	saver_open(&saver, open(directory, O_RDONLY | O_DIRECTORY));
	unsigned count = (unsigned)scene->cache.table.count;
	saver_fini(&saver); /* the interval is 0: writes nothing */
	scene_free(scene);
	event_base_free(base);
	return count;
}

static void a_death_at_any_instant_leaves_a_whole_file(void **state)
{
	char directory[] = "/tmp/resolverd-snapshot-XXXXXX", path[64];
	unsigned cut_short = 0;
	(void)state;
	assert_non_null(mkdtemp(directory));
	struct scene *scene = scene_new();
	for (unsigned i = 0; i < ENTRIES; i++)
		put(scene, i, i % 4, clock_wall_ms() + 86400000);
	/* More of them on a machine with much else to do, until one came in the middle. */
	for (unsigned kill_count = 0;
	     kill_count < KILLS || (cut_short == 0 && kill_count < 20 * KILLS); kill_count++) {
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0)
			write_for_ever(directory, scene);
		snprintf(path, sizeof path, "%s/snapshot", directory);
		for (unsigned n = 0; n < 2000 && access(path, F_OK) != 0; n++)
			usleep(5000); /* the first one */
		usleep(500 + randombytes_uniform(4000));
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		snprintf(path, sizeof path, "%s/snapshot.new", directory);
		cut_short += access(path, F_OK) == 0;
		assert_int_equal(entries_restored(directory, key, 1), ENTRIES);
	}
	assert_true(cut_short > 0); /* or no death came in the middle */
	unlink(path);
	snprintf(path, sizeof path, "%s/snapshot", directory);
	unlink(path);
	rmdir(directory);
	scene_free(scene);
}

/* ---- keys that change ---- */

static void m08_the_other_key_opens_the_file_and_no_third_one(void **state)
{
	char directory[] = "/tmp/resolverd-snapshot-XXXXXX", path[64];
	static char worker_text[] = "the same";
	static struct config config;
	uint8_t keys[2][SNAPSHOT_KEY_BYTES] = {{1}, {2}};
	struct event_base *base = event_base_new();
	struct scene *scene = scene_new();
	struct saver saver;
	(void)state;
	assert_non_null(mkdtemp(directory));
	config.worker_text = worker_text;
	config.cache.snapshot_interval_ms = 1000;
	for (unsigned i = 0; i < ENTRIES; i++)
		put(scene, i, i % 4, clock_wall_ms() + 86400000);
	assert_int_equal(saver_init(&saver, base, &scene->prefetch, &config), 0);
	saver_set_keys(&saver, key, SNAPSHOT_KEY_BYTES);
	saver.dir_fd = open(directory, O_RDONLY | O_DIRECTORY);
	saver_fini(&saver);
	assert_int_equal(entries_restored(directory, keys[0], 2), 0);
	memcpy(keys[1], key, SNAPSHOT_KEY_BYTES);
	assert_int_equal(entries_restored(directory, keys[0], 2), ENTRIES);
	assert_int_equal(entries_restored(directory, keys[1], 1), ENTRIES);
	assert_int_equal(entries_restored(directory, keys[0], 1), 0);
	snprintf(path, sizeof path, "%s/snapshot", directory);
	unlink(path);
	rmdir(directory);
	scene_free(scene);
	event_base_free(base);
}

/* ---- facts that no longer count ---- */

/* Until the file is there, or a child that would write it. */
static void run_until(struct saver *saver, const char *path, bool is_child_wanted)
{
	for (unsigned i = 0; i < 5000; i++) {
		if (is_child_wanted ? saver->child > 0 : access(path, F_OK) == 0)
			return;
		event_base_loop(saver->timer.ev_base, EVLOOP_ONCE);
	}
	fail();
}

static void m08_what_no_longer_counts_is_not_brought_back(void **state)
{
	char directory[] = "/tmp/resolverd-snapshot-XXXXXX", path[64];
	static char worker_text[] = "the same";
	static struct config config;
	struct saver saver;
	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/snapshot", directory);
	config.worker_text = worker_text;
	config.cache.snapshot_interval_ms = 5;
	for (unsigned turn = 0; turn < 20; turn++) {
		struct event_base *base = event_base_new();
		struct scene *scene = scene_new();
		fill(scene);
		assert_int_equal(saver_init(&saver, base, &scene->prefetch, &config), 0);
		saver_set_keys(&saver, key, SNAPSHOT_KEY_BYTES);
		saver_open(&saver, open(directory, O_RDONLY | O_DIRECTORY));
		run_until(&saver, path, false);
		/* Now, or while the next one is written, or when it is and nobody has looked. */
		if (turn % 3 > 0)
			run_until(&saver, path, true);
		if (turn % 3 > 1)
			usleep(20000);
		event_del(&saver.timer);
		saver_forget(&saver);
		assert_true(access(path, F_OK) != 0);
		while (saver.child > 0)
			event_base_loop(base, EVLOOP_ONCE);
		assert_true(access(path, F_OK) != 0);
		config.cache.snapshot_interval_ms = 0;
		saver_fini(&saver);
		config.cache.snapshot_interval_ms = 5;
		scene_free(scene);
		event_base_free(base);
	}
	assert_int_equal(rmdir(directory), 0); /* nothing else is left, either */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(m06_all_that_counts_comes_back),
	    cmocka_unit_test(m08_what_has_ended_is_not_restored_and_what_was_in_use_is_looked_up),
	    cmocka_unit_test(m08_every_changed_byte_is_found),
	    cmocka_unit_test(m08_every_torn_file_is_refused),
	    cmocka_unit_test(m08_what_is_of_others_is_refused),
	    cmocka_unit_test(an_answer_longer_than_its_bytes_is_none),
	    cmocka_unit_test(no_life_is_longer_than_max_ttl_can_be),
	    cmocka_unit_test(more_than_a_chunk_comes_back),
	    cmocka_unit_test(a_full_disk_is_an_error),
	    cmocka_unit_test(a_death_at_any_instant_leaves_a_whole_file),
	    cmocka_unit_test(m08_the_other_key_opens_the_file_and_no_third_one),
	    cmocka_unit_test(m08_what_no_longer_counts_is_not_brought_back),
	};
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
