/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two connections to one Redis: one for commands, one that is told of notices. Opened, and opened
 * again after pauses that grow and differ by chance; by way of sentinels where they are named.
 */
#pragma once
#include <event2/event.h>
#include <hiredis/async.h>
#include <stdbool.h>
#include <stdint.h>

#include "resolverd/base/store.h"

#define REDIS_DETAIL_MAX 200u

struct redis_settings {
	struct store_address address;
	char user[64], password[256]; /* "": none */
	unsigned database;
	const char *channel; /* of notices */
};

struct redis;
struct redis_handler {
	/* ready: commands may be given. detail: to what, or why not. */
	void (*on_state)(void *arg, bool ready, const char *detail);
	void (*on_notice)(void *arg, const uint8_t *bytes, size_t count);
	void *arg;
};

/* Borrows settings and handler. NULL: no memory. */
struct redis *redis_new(struct event_base *base, const struct redis_settings *settings,
    const struct redis_handler *handler);
/* The connection for commands; NULL: it is not ready. */
redisAsyncContext *redis_commands(const struct redis *redis);
/* It can't be written any more, or is silent: another is looked for. */
void redis_leave(struct redis *redis, const char *why);
