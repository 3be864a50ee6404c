/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server role: one thread, one loop. Sessions of clients, the cache, the online key, the pool
 * of workers. It parses no DNS, opens no socket and no file.
 */
#pragma once
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/listener.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "resolverd/base/config.h"
#include "resolverd/server/cache.h"
#include "resolverd/server/health.h"
#include "resolverd/server/pool.h"
#include "resolverd/server/signer.h"

struct session;
LIST_HEAD(sessions, session);

struct server {
	struct config *config; /* a reload replaces its contents */
	const struct config_source *source;
	struct event_base *base;
	struct evconnlistener *listener, *control_listener;
	struct cache cache;
	struct signer signer;
	struct pool pool;
	struct sessions sessions;
	uint32_t session_count;
	bool accepting, ready, readiness_said;
	struct health health;
	int64_t config_loaded_at_ms;
	int64_t lapses_said_at_ms; /* wall */
	int64_t delegate_asked_at_ms;
	int64_t wall_minus_mono_ms; /* changes when the clock is stepped */
	uint64_t hits, misses, requests;
	struct event supervisor, tick, terminate;
};

/* source: where config came from, to read a reloaded text alike. */
int server_main(struct config *config, const struct config_source *source);

/* ---- for session.c ---- */
void server_resume_accepting(struct server *server);
