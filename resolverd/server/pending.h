/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests for answers. What is not in the cache is asked of the pool; the request is pending until
 * all of it is there, or its deadline: then what is ready goes out.
 */
#pragma once
#include "proto/names.h"
#include "resolverd/server/session.h"

struct question { /* of a request, canonical */
	int kind;
	uint16_t number;
	uint32_t deadline_ms;
	char name[NEXT_HOP_TEXT_MAX];
	uint16_t port; /* of a plan */
	struct attest_wish wish;
	bool explain;    /* look everything up again and tell how */
	bool replace;    /* explain: what is found is cached */
	bool warm;       /* after what others wait for */
	uint32_t keep_s; /* warm: kept fresh for so long */
	bool watch;
	uint32_t hold_down_ms; /* watch: 0: the default */
};

void pending_start(struct session *session, uint64_t id, const struct question *question);
/* The plan of a watch, which gets it by watch_take. */
void pending_watch(struct session *session, struct watch *watch);
/* What a client would be served now, as a reference, and without a trace of it in the cache; NULL:
 * nothing. */
struct answer *pending_served_now(
    struct server *server, const struct question_key *key, int64_t now_ms);
/* The session ends. */
void pending_drop_all(struct session *session);
