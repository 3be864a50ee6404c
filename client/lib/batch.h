/* SPDX-License-Identifier: BSD-3-Clause */
/* Many plans over one client, a window of them in flight. */
#pragma once
#include "client/lib/client.h"

struct in_flight {
	uint64_t id;
	size_t item;
};

struct resolverd_batch {
	struct resolverd_client *client;
	struct resolverd_planned *items; /* the caller's */
	size_t count, next, left;
	unsigned deadline_ms; /* of what is asked from now on */
	size_t window_most, window, flying_count, again_count;
	struct in_flight *flying; /* window_most of them */
	size_t *again;            /* items the daemon was too busy for; window_most */
};

/* What is not done gets this error. */
void batch_fail(struct resolverd_batch *batch, int error, const char *detail);
