/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/failures.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SETS 2048u
#define WAYS 4u
#define MINUTE_MS 60000

struct failures_name {
	uint64_t hash;
	int64_t since_ms; /* of the minute that is counted; 0: free */
	uint32_t count;
};

int failures_init(struct failures *failures)
{
	*failures = (struct failures){.names = calloc(SETS * WAYS, sizeof *failures->names)};
	randombytes_buf(failures->hash_key, sizeof failures->hash_key);
	return failures->names != NULL ? 0 : -ENOMEM;
}

void failures_fini(struct failures *failures)
{
	free(failures->names);
	failures->names = NULL;
}

/* The name's place, or the one it would take: the oldest of its set. */
static struct failures_name *place_of(
    struct failures *failures, const char *name, uint64_t *ret_hash)
{
	uint8_t bytes[crypto_shorthash_BYTES];
	crypto_shorthash(bytes, (const uint8_t *)name, strlen(name), failures->hash_key);
	memcpy(ret_hash, bytes, sizeof *ret_hash);
	struct failures_name *set = failures->names + *ret_hash % SETS * WAYS, *oldest = set;
	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].hash == *ret_hash)
			return &set[i];
		if (set[i].since_ms < oldest->since_ms)
			oldest = &set[i];
	}
	return oldest;
}

/* A clock that was set back begins anew. */
static bool counts(const struct failures_name *name, uint64_t hash, int64_t now_ms)
{
	return name->hash == hash && now_ms >= name->since_ms &&
	       now_ms < name->since_ms + MINUTE_MS;
}

void failures_note(struct failures *failures, const char *name, int64_t now_ms)
{
	uint64_t hash;
	struct failures_name *place = place_of(failures, name, &hash);
	if (!counts(place, hash, now_ms))
		*place = (struct failures_name){.hash = hash, .since_ms = now_ms};
	place->count++;
}

int64_t failures_hold_ms(struct failures *failures, const char *name, int64_t now_ms)
{
	uint64_t hash;
	const struct failures_name *place = place_of(failures, name, &hash);
	if (!counts(place, hash, now_ms) || place->count < FAILURES_PER_MINUTE)
		return 0;
	failures->refused++;
	return place->since_ms + MINUTE_MS - now_ms;
}
