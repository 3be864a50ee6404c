/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When the snapshot is read and written: read once, when the supervisor has sent the key; written
 * by a forked child at intervals, so that nobody waits, and by the server itself at its end. The
 * new file takes the place of the old one when it is whole and on the disk.
 */
#pragma once
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/types.h>

#include "resolverd/base/config.h"
#include "resolverd/server/snapshot.h"

#define SAVER_KEYS_MAX 2u

/* In guarded memory (base/secret.h). */
struct saver_keys {
	size_t count;
	/* Files are written with the first and read with any: long-term keys change. */
	uint8_t key[SAVER_KEYS_MAX][SNAPSHOT_KEY_BYTES];
};

struct saver {
	struct prefetch *prefetch;
	const struct config *config;
	int dir_fd; /* -1: nothing is kept */
	struct saver_keys *keys;
	pid_t child;                /* 0: none */
	atomic_bool *child_is_void; /* shared with it: it writes what no longer counts, and ends */
	bool has_failed;            /* said already */
	int64_t written_at_ms;      /* wall; of the file there is; 0: none */
	struct event timer, ended;
};

/* Borrows all; the configuration's contents may be replaced. Returns 0 or -ENOMEM. */
[[gnu::warn_unused_result]] int saver_init(struct saver *saver, struct event_base *base,
    struct prefetch *prefetch, const struct config *config);
/* One after the other; copied. */
void saver_set_keys(struct saver *saver, const uint8_t *keys, size_t bytes);
/* dir_fd: where the file is, taken. Reads the file, if there is one. */
void saver_open(struct saver *saver, int dir_fd);
/* What was found until now no longer counts: nor does the file, so that no restart brings it back.
 */
void saver_forget(struct saver *saver);
/* Writes once more, here and now. */
void saver_fini(struct saver *saver);
