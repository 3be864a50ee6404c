/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server role: one thread, one loop. Sessions of clients, the cache, the online key, the pool
 * of workers. It parses no DNS, opens no socket and no file.
 */
#pragma once
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "resolverd/base/config.h"
#include "resolverd/base/domains.h"
#include "resolverd/server/acceptor.h"
#include "resolverd/server/administer.h"
#include "resolverd/server/attest.h"
#include "resolverd/server/failures.h"
#include "resolverd/server/fleet.h"
#include "resolverd/server/health.h"
#include "resolverd/server/metrics.h"
#include "resolverd/server/peers.h"
#include "resolverd/server/pool.h"
#include "resolverd/server/prefetch.h"
#include "resolverd/server/saver.h"
#include "resolverd/server/signer.h"
#include "resolverd/server/watch.h"

struct session;
LIST_HEAD(sessions, session);

#define WATCHES_PER_CLIENT_MAX 1000u
#define WATCHES_PER_USER_MAX 10000u

struct server {
	struct config *config; /* a reload replaces its contents */
	const struct config_source *source;
	struct event_base *base;
	struct conn_buffers buffers;
	struct acceptor acceptor;
	struct cache cache;
	struct flight flight;
	struct prefetch prefetch;
	struct saver saver;
	struct failures failures;
	struct watches watches;
	struct domains domains; /* of prefetch.domains-file */
	struct signer signer;
	struct attest attest;
	struct pool pool;
	struct fleet fleet;
	struct sessions sessions;
	struct peers peers;
	uint32_t session_count;
	bool ready, readiness_said, readiness_told; /* said to the log, told the supervisor */
	struct health health;
	struct metrics metrics;
	struct reloads reloads;
	int64_t config_loaded_at_ms;
	int64_t lapses_said_at_ms; /* wall */
	int64_t delegate_asked_at_ms;
	int64_t wall_minus_boot_ms; /* changes when the clock is stepped */
	uint64_t hits, misses, requests;
	uint64_t refused_busy, stale_served;
	uint64_t memory_bytes; /* of this process, measured */
	struct event supervisor, tick, refresh, terminate;
};

/* source: where config came from, to read a reloaded text alike. */
int server_main(struct config *config, const struct config_source *source);

/* ---- for session.c, pending.c, administer.c, sharing.c ---- */
/* Of the cache, of its file, and what requests wait with; what was in use is looked up again. */
void server_forget_all(struct server *server);
void server_resume_accepting(struct server *server);
/* The job found answer: into the cache with it, and to who watches it. Takes a reference, returns
 * the one that waiters are to be given. NULL stays NULL. */
struct answer *server_keep(struct server *server, const struct flight_job *job,
    struct answer *answer, uint8_t worker, int64_t now_ms);
/* An answer that says why there is none, or what has ended where that may be served: a new
 * reference, NULL without memory. */
struct answer *server_failure(struct server *server, Resolverd__V1__Question *question,
    const char *reason, bool cacheable, int64_t now_ms);
