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

struct saver {
	struct prefetch *prefetch;
	const struct config *config;
	int dir_fd;            /* -1: nothing is kept */
	uint8_t *key;          /* base/secret.h */
	pid_t child;           /* 0: none */
	bool child_is_void;    /* it writes what no longer counts */
	bool has_failed;       /* said already */
	int64_t written_at_ms; /* wall; of the file there is; 0: none */
	struct event timer, ended;
};

/* Borrows all; the configuration's contents may be replaced. Returns 0 or -ENOMEM. */
[[gnu::warn_unused_result]] int saver_init(struct saver *saver, struct event_base *base,
    struct prefetch *prefetch, const struct config *config);
/* dir_fd: where the file is, taken; key: copied. Reads the file, if there is one. */
void saver_open(struct saver *saver, int dir_fd, const uint8_t key[SNAPSHOT_KEY_BYTES]);
/* What was found until now no longer counts: nor does the file, so that no restart brings it back.
 */
void saver_forget(struct saver *saver);
/* Writes once more, here and now. */
void saver_fini(struct saver *saver);
