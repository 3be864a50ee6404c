/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The snapshot. The first octet of an input says what the rest is: a whole file; what stands
 * between header and end, without the tags; or the same with tags that are not its own. They are
 * made here, since they stop all that is changed: what is taken must nevertheless be whole, come
 * back the same when it is written and read again, and be signed anew or be found to be no answer.
 */
#include "resolverd/server/signer.h"
#include "resolverd/server/snapshot.h"
#include "tests/fuzz/fuzz.h"

#define NOW_MS INT64_C(1790000000000)
#define TAG_BYTES 32u
#define END_BYTES 4u
#define DERIVED_MAX 4u

enum { WHOLE_FILE = 1, OTHER_TAG = 2 };

static const uint8_t key[SNAPSHOT_KEY_BYTES] = "a key";
static const struct snapshot_stamp stamp = {
    .written_at_ms = NOW_MS, .worker_hash = "this configuration"};

struct scene {
	struct cache cache;
	struct flight flight;
	struct prefetch prefetch;
};

static void scene_init(struct scene *scene)
{
	static const struct prefetch_settings settings = {.workers = 2, .failure_ttl_ms = 15000};
	must(cache_init(&scene->cache, 16u << 20) == 0);
	must(flight_init(&scene->flight) == 0);
	prefetch_init(&scene->prefetch, &scene->cache, &scene->flight, &settings, 1, NOW_MS);
}

static void scene_fini(struct scene *scene)
{
	cache_fini(&scene->cache);
	flight_fini(&scene->flight);
}

static int written(const struct cache *cache)
{
	int fd = file_of("", 0);
	must(snapshot_write(fd, cache, &stamp, key) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

/* Each chunk followed by its tag, as far as there are chunks. */
static void put_tagged(
    int fd, crypto_generichash_state *state, const uint8_t *bytes, size_t count, unsigned choices)
{
	uint32_t chunk = 1;
	while (chunk > 0 && count >= sizeof chunk) {
		uint8_t tag[TAG_BYTES];
		memcpy(&chunk, bytes, sizeof chunk);
		if (chunk > count - sizeof chunk)
			break;
		size_t whole = sizeof chunk + chunk;
		crypto_generichash_update(state, bytes, whole);
		crypto_generichash_state copy = *state;
		crypto_generichash_final(&copy, tag, sizeof tag);
		tag[0] ^= choices & OTHER_TAG ? 1 : 0;
		must(write(fd, bytes, whole) == (ssize_t)whole);
		must(write(fd, tag, sizeof tag) == sizeof tag);
		bytes += whole;
		count -= whole;
	}
	must(write(fd, bytes, count) == (ssize_t)count);
}

static int file_made_of(const uint8_t *bytes, size_t count, unsigned choices)
{
	struct scene empty;
	uint8_t file[512];
	crypto_generichash_state state;
	scene_init(&empty);
	int fd = written(&empty.cache);
	ssize_t header_bytes = pread(fd, file, sizeof file, 0) - (ssize_t)(END_BYTES + TAG_BYTES);
	scene_fini(&empty);
	close(fd);
	must(header_bytes > 0);
	fd = file_of(file, choices & WHOLE_FILE ? 0 : (size_t)header_bytes);
	crypto_generichash_init(&state, key, sizeof key, TAG_BYTES);
	must(lseek(fd, 0, SEEK_END) >= 0);
	if (choices & WHOLE_FILE) {
		must(write(fd, bytes, count) == (ssize_t)count);
	} else {
		crypto_generichash_update(&state, file, (size_t)header_bytes);
		put_tagged(fd, &state, bytes, count, choices);
	}
	must(lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

/* As when it is first asked for. */
static void derive(struct cache *cache)
{
	static struct config config = {.signing.member = ""};
	static struct signer signer;
	unsigned count = 0;
	if (signer.key == NULL)
		must(signer_init(&signer, &config) == 0);
	for (struct cache_entry *entry = cache->newest; entry != NULL && count < DERIVED_MAX;
	     entry = entry->older, count++) {
		struct answer *derived = signer_derive(&signer, entry->answer, NOW_MS);
		must(derived == NULL || (derived->generation != 0 && derived->blob_bytes > 0));
		answer_unref(derived);
	}
}

static void check_entry(const struct cache_entry *a, struct cache *other)
{
	const struct cache_entry *b =
	    (const struct cache_entry *)table_find(&other->table, a->key, a->node.key_bytes);
	must(b != NULL && a->answer->generation == 0 &&
	     b->answer->blob_bytes == a->answer->blob_bytes);
	must(a->answer->expires_at_ms > NOW_MS && a->timer.link != NULL);
	must(a->answer->host_count == b->answer->host_count);
	must(memcmp(a->answer->data, b->answer->data, answer_trace_at(a->answer)) == 0);
	must(a->kept_until_s == b->kept_until_s && a->span_s == b->span_s && a->port == b->port &&
	     a->last_hit_s == b->last_hit_s && a->demand == b->demand &&
	     a->is_bogus == b->is_bogus && a->often_since_s == b->often_since_s);
}

static void check(struct scene *scene)
{
	struct snapshot_counts counts;
	struct scene again;
	int fd = written(&scene->cache);
	scene_init(&again);
	must(snapshot_read(fd, &again.prefetch, stamp.worker_hash, key, NOW_MS, &counts) == 0);
	must(counts.restored == scene->cache.table.count);
	must(again.cache.table.count == scene->cache.table.count);
	for (struct cache_entry *entry = scene->cache.newest; entry != NULL; entry = entry->older)
		check_entry(entry, &again.cache);
	scene_fini(&again);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct input input = {data, data + bytes};
	struct snapshot_counts counts;
	struct scene scene;
	unsigned choices = take_octet(&input);
	int fd = file_made_of(input.at, input_left(&input), choices);
	scene_init(&scene);
	int r = snapshot_read(fd, &scene.prefetch, stamp.worker_hash, key, NOW_MS, &counts);
	close(fd);
	must(r == 0 || (scene.cache.table.count == 0 && scene.flight.jobs.count == 0));
	must(r != 0 || !(choices & OTHER_TAG));
	must(r != 0 || scene.cache.table.count <= counts.restored);
	if (r == 0) {
		check(&scene);
		derive(&scene.cache);
		prefetch_advance(&scene.prefetch, NOW_MS + INT64_C(86400000));
	}
	scene_fini(&scene);
	return 0;
}
