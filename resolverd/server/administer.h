/* SPDX-License-Identifier: BSD-3-Clause */
/* What is asked on the control socket alone: to see the cache, to empty it, to reload. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "resolverd.pb-c.h"

struct answer;
struct server;
struct session;

#define RELOADS_WAITING_MAX 8u

/* Who asked for a reload, until the supervisor says how it went. */
struct reloads {
	struct reload_asker {
		struct session *session;
		uint64_t id;
	} askers[RELOADS_WAITING_MAX];
	unsigned count;
};

void administer_dump(struct session *session, const Resolverd__V1__Request *request);
void administer_flush(struct session *session, uint64_t id);
void administer_reload(struct session *session, uint64_t id);
/* The session ends. */
void administer_forget(struct server *server, const struct session *session);
/* The supervisor's word to whoever asked for a reload. */
void administer_reloaded(struct server *server, bool in_force, const uint8_t *text, uint32_t count);

/* A traced answer takes the place of what is cached, and what it was found by that of cached
 * records. Failures change nothing. */
void administer_replace(struct server *server, const struct answer *fresh,
    const Resolverd__V1__Question *question, int64_t now_ms);
