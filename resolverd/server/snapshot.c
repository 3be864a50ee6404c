/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC "resolverd snapshot\n"
#define VERSION 4u
#define LIFE_MAX_MS 604800000  /* the longest that cache.max-ttl may be */
#define CHUNK_BYTES (1u << 20) /* a record is smaller: an answer has to fit a response */
#define TAG_BYTES 32u

/* All integers of the file are little-endian, and so is every machine that this is built for; a
 * file does not leave its machine. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

struct header {
	char magic[sizeof MAGIC - 1];
	uint8_t zero;
	uint32_t version;
	int64_t written_at_ms;
	uint8_t worker_hash[32];
};

struct record { /* then key, blob, struct host_place */
	int64_t expires_at_ms;
	uint32_t kept_until_s, span_s, last_hit_s, often_since_s;
	uint32_t blob_bytes;
	uint16_t key_bytes, port;
	uint8_t host_count, demand;
	uint8_t is_bogus, is_foreign, zeros[4];
};

static size_t record_answer_bytes(const struct record *record)
{
	return record->blob_bytes + record->host_count * sizeof(struct host_place);
}

/* ---- writing ---- */

struct writer {
	crypto_generichash_state state;
	uint8_t *chunk;
	const atomic_bool *is_void;
	uint32_t used; /* of the chunk */
	int fd;
};

static int write_all(int fd, const void *bytes, size_t count)
{
	const uint8_t *at = bytes;
	while (count > 0) {
		ssize_t n = write(fd, at, count);
		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? n : 0;
		count -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int put(struct writer *writer, const void *bytes, size_t count)
{
	crypto_generichash_update(&writer->state, bytes, count);
	return write_all(writer->fd, bytes, count);
}

static void tag_so_far(const crypto_generichash_state *state, uint8_t ret_tag[TAG_BYTES])
{
	crypto_generichash_state copy = *state;
	crypto_generichash_final(&copy, ret_tag, TAG_BYTES);
}

/* A chunk of no bytes is the end. */
static int put_chunk(struct writer *writer)
{
	uint8_t tag[TAG_BYTES];
	if (writer->is_void != NULL && atomic_load(writer->is_void))
		return -ECANCELED;
	int r = put(writer, &writer->used, sizeof writer->used);
	if (r == 0)
		r = put(writer, writer->chunk, writer->used);
	writer->used = 0;
	tag_so_far(&writer->state, tag);
	return r == 0 ? write_all(writer->fd, tag, sizeof tag) : r;
}

static void append(struct writer *writer, const void *bytes, size_t count)
{
	memcpy(writer->chunk + writer->used, bytes, count);
	writer->used += (uint32_t)count;
}

static int put_entry(struct writer *writer, const struct cache_entry *entry)
{
	const struct answer *answer = entry->answer;
	struct record record = {.expires_at_ms = answer->expires_at_ms,
	    .kept_until_s = entry->kept_until_s,
	    .span_s = entry->span_s,
	    .last_hit_s = entry->last_hit_s,
	    .often_since_s = entry->often_since_s,
	    .blob_bytes = answer->blob_bytes,
	    .key_bytes = (uint16_t)entry->node.key_bytes,
	    .port = entry->port,
	    .host_count = answer->host_count,
	    .demand = entry->demand > entry->hits ? entry->demand : entry->hits,
	    .is_bogus = entry->is_bogus,
	    .is_foreign = answer->foreign};
	size_t answer_bytes = record_answer_bytes(&record);
	size_t bytes = sizeof record + record.key_bytes + answer_bytes;
	int r = writer->used + bytes > CHUNK_BYTES ? put_chunk(writer) : 0;
	if (r != 0 || bytes > CHUNK_BYTES)
		return r;
	append(writer, &record, sizeof record);
	append(writer, entry->key, record.key_bytes);
	append(writer, answer->data, answer_bytes);
	return 0;
}

int snapshot_write(int fd, const struct cache *cache, const struct snapshot_stamp *stamp,
    const uint8_t key[SNAPSHOT_KEY_BYTES])
{
	struct writer writer = {.fd = fd, .chunk = malloc(CHUNK_BYTES), .is_void = stamp->is_void};
	struct header header = {
	    .magic = MAGIC, .version = VERSION, .written_at_ms = stamp->written_at_ms};
	if (writer.chunk == NULL)
		return -ENOMEM;
	memcpy(header.worker_hash, stamp->worker_hash, sizeof header.worker_hash);
	crypto_generichash_init(&writer.state, key, SNAPSHOT_KEY_BYTES, TAG_BYTES);
	int r = put(&writer, &header, sizeof header);
	for (const struct cache_entry *entry = cache->oldest; r == 0 && entry != NULL;
	     entry = entry->newer)
		if (!entry->answer->failed && !entry->answer->stale)
			r = put_entry(&writer, entry);
	if (r == 0 && writer.used > 0)
		r = put_chunk(&writer);
	if (r == 0)
		r = put_chunk(&writer);
	free(writer.chunk);
	return r;
}

/* ---- reading ---- */

static int read_all(int fd, void *bytes, size_t count)
{
	uint8_t *at = bytes;
	while (count > 0) {
		ssize_t n = read(fd, at, count);
		if (n == 0)
			return -EBADMSG; /* torn */
		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? n : 0;
		count -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Field 3 of a Response, in which everything up to the end is the SignedAnswer (answer_signed). */
static bool is_one_field(const uint8_t *blob, size_t bytes)
{
	size_t at = 1, length = 0;
	for (unsigned shift = 0; at < bytes && shift <= 21; shift += 7) {
		length |= (size_t)(blob[at] & 0x7f) << shift;
		if (!(blob[at++] & 0x80))
			return blob[0] == (3 << 3 | 2) && length == bytes - at;
	}
	return false;
}

static bool take_record(struct prefetch *prefetch, const struct record *record,
    const uint8_t *bytes, int64_t now_ms, struct snapshot_counts *counts)
{
	struct question_key key = {.count = record->key_bytes};
	const uint8_t *blob = bytes + record->key_bytes;
	if (record->key_bytes < 4 || record->key_bytes > sizeof key.bytes ||
	    record->blob_bytes < 8 || record->host_count > 16 || record->expires_at_ms < 0 ||
	    record->expires_at_ms > now_ms + LIFE_MAX_MS || !is_one_field(blob, record->blob_bytes))
		return false;
	memcpy(key.bytes, bytes, record->key_bytes);
	struct answer *answer = answer_new(record->blob_bytes, record->host_count, 0);
	if (answer == NULL)
		return false;
	answer->cacheable = true;
	answer->foreign = record->is_foreign != 0;
	answer->expires_at_ms = record->expires_at_ms;
	memcpy(answer->data, blob, record_answer_bytes(record));
	if (!answer_hosts_are_good(answer)) {
		answer_unref(answer);
		return false;
	}
	const struct prefetch_memory memory = {.kept_until_s = record->kept_until_s,
	    .span_s = record->span_s,
	    .last_hit_s = record->last_hit_s,
	    .often_since_s = record->often_since_s,
	    .port = record->port,
	    .demand = record->demand,
	    .is_bogus = record->is_bogus != 0};
	switch (prefetch_restore(prefetch, &key, answer, &memory, now_ms)) {
	case PREFETCH_RESTORED:
		counts->restored++;
		break;
	case PREFETCH_WANTED:
		counts->wanted++;
		break;
	case PREFETCH_LEFT:
		counts->left++;
	}
	answer_unref(answer);
	return true;
}

static bool take_chunk(struct prefetch *prefetch, const uint8_t *chunk, uint32_t count,
    int64_t now_ms, struct snapshot_counts *counts)
{
	struct record record;
	for (size_t at = 0, bytes; at < count; at += bytes) {
		if (count - at < sizeof record)
			return false;
		memcpy(&record, chunk + at, sizeof record);
		bytes = sizeof record + record.key_bytes + record_answer_bytes(&record);
		if (bytes > count - at ||
		    !take_record(prefetch, &record, chunk + at + sizeof record, now_ms, counts))
			return false;
	}
	return true;
}

static int read_header(
    int fd, crypto_generichash_state *state, const uint8_t worker_hash[32], int64_t now_ms)
{
	struct header header;
	int r = read_all(fd, &header, sizeof header);
	if (r != 0)
		return r;
	crypto_generichash_update(state, (const uint8_t *)&header, sizeof header);
	if (memcmp(header.magic, MAGIC, sizeof header.magic) != 0 || header.zero != 0)
		return -EBADMSG;
	if (header.version != VERSION)
		return -EPROTONOSUPPORT;
	if (memcmp(header.worker_hash, worker_hash, sizeof header.worker_hash) != 0)
		return -ESTALE;
	return header.written_at_ms > now_ms ? -ERANGE : 0;
}

/* The next one, whole and ours; none of its bytes is used before. */
static int read_chunk(int fd, crypto_generichash_state *state, uint8_t *chunk, uint32_t *ret_bytes)
{
	uint8_t tag[TAG_BYTES], found[TAG_BYTES];
	int r = read_all(fd, ret_bytes, sizeof *ret_bytes);
	if (r == 0)
		r = *ret_bytes <= CHUNK_BYTES ? read_all(fd, chunk, *ret_bytes) : -EBADMSG;
	if (r == 0)
		r = read_all(fd, found, sizeof found);
	if (r != 0)
		return r;
	crypto_generichash_update(state, (const uint8_t *)ret_bytes, sizeof *ret_bytes);
	crypto_generichash_update(state, chunk, *ret_bytes);
	tag_so_far(state, tag);
	return sodium_memcmp(tag, found, sizeof tag) == 0 ? 0 : -EBADMSG;
}

static int read_chunks(int fd, crypto_generichash_state *state, struct prefetch *prefetch,
    int64_t now_ms, struct snapshot_counts *counts)
{
	uint8_t *chunk = malloc(CHUNK_BYTES), more;
	uint32_t bytes;
	int r = chunk != NULL ? 0 : -ENOMEM;
	while (r == 0 && (r = read_chunk(fd, state, chunk, &bytes)) == 0 && bytes > 0)
		if (!take_chunk(prefetch, chunk, bytes, now_ms, counts))
			r = -EBADMSG;
	free(chunk);
	if (r == 0 && read(fd, &more, 1) != 0)
		r = -EBADMSG;
	return r;
}

int snapshot_read(int fd, struct prefetch *prefetch, const uint8_t worker_hash[32],
    const uint8_t key[SNAPSHOT_KEY_BYTES], int64_t now_ms, struct snapshot_counts *ret_counts)
{
	crypto_generichash_state state;
	struct snapshot_counts counts = {0};
	crypto_generichash_init(&state, key, SNAPSHOT_KEY_BYTES, TAG_BYTES);
	int r = read_header(fd, &state, worker_hash, now_ms);
	if (r == 0)
		r = read_chunks(fd, &state, prefetch, now_ms, &counts);
	/* Nobody was answered out of it meanwhile. */
	if (r == 0)
		*ret_counts = counts;
	else
		prefetch_discard(prefetch, now_ms);
	return r;
}
