/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cache as a file, so that a restart is not a cold start: signed answers, who wanted them how
 * much, what is kept. A header and chunks of records, each with a keyed BLAKE2b tag over all up to
 * its end, which is checked before it is looked into; the key is of this installation, so that no
 * file of another place or hand is taken. Answers that were read are signed anew when they are
 * first asked for.
 */
#pragma once
#include <sodium.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "resolverd/server/prefetch.h"

#define SNAPSHOT_KEY_BYTES crypto_generichash_KEYBYTES

struct snapshot_stamp {
	int64_t written_at_ms; /* wall */
	/* Of all that workers act on: facts found under another configuration do not count. */
	uint8_t worker_hash[32];
	const atomic_bool *is_void; /* may be NULL; once true, none of it counts any more */
};

/* Writes what is worth it. Returns 0 or -errno, -ECANCELED when it is void; the file is whole only
 * then. */
[[gnu::warn_unused_result]] int snapshot_write(int fd, const struct cache *cache,
    const struct snapshot_stamp *stamp, const uint8_t key[SNAPSHOT_KEY_BYTES]);

struct snapshot_counts {
	uint32_t restored; /* live answers */
	uint32_t wanted;   /* that ended meanwhile, in use: looked up first */
	uint32_t left;     /* that ended, and nobody wants them */
};

/* Fills the cache, which is empty, with what is still good, and queues refreshes of what was in use
 * and has ended. Returns 0, or -errno; then the cache is empty again: -EBADMSG: torn, changed or of
 * another installation; -EPROTONOSUPPORT: another version of the format; -ESTALE: found under
 * another configuration; -ERANGE: it is from the future. */
[[gnu::warn_unused_result]] int snapshot_read(int fd, struct prefetch *prefetch,
    const uint8_t worker_hash[32], const uint8_t key[SNAPSHOT_KEY_BYTES], int64_t now_ms,
    struct snapshot_counts *ret_counts);
