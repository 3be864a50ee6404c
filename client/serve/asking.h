/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Questions on their way through the daemon: asked over one connection on libevent, any number at a
 * time, each of them done at the latest when its time is up. While the daemon can't be reached
 * every question fails at once, and it is looked for again after a pause that grows.
 */
#pragma once
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "client/resolverd.h"

/* One question. Part of what the program keeps about it, who owns it before asking_start and again
 * from done on. */
struct ask {
	uint64_t id;      /* of the client library */
	int64_t until_ms; /* monotonic */
	TAILQ_ENTRY(ask) link;
	LIST_ENTRY(ask) bucket_link;
};

/* What a program asks, in terms of client/resolverd.h. */
struct asking_kind {
	/* Says "…; all questions are SERVFAIL until it is there". */
	const char *while_down;
	int (*submit)(struct resolverd_client *client, struct ask *ask, unsigned deadline_ms,
	    uint64_t *ret_id);
	/* As the library's resolverd_take_ function, and free function, for it. */
	int (*take)(struct resolverd_client *client, uint64_t id, void **ret_result);
	void (*free)(void *result);
	/* It has its result, which is borrowed, or an error of enum resolverd_error and then NULL.
	 * May start others, and this one again by asking_again. */
	void (*done)(
	    void *context, struct ask *ask, int error, const char *detail, const void *result);
	/* The program ends, and nobody will hear of it. */
	void (*forget)(struct ask *ask);
};

struct asking;
/* Returns 0, or an exit status, having said why. kind and context are borrowed. */
[[nodiscard]] int asking_new(struct event_base *base, const struct resolverd_options *daemon,
    unsigned timeout_ms, const struct asking_kind *kind, void *context, struct asking **ret_asking);
void asking_free(struct asking *asking);
/* Returns 0, or an enum resolverd_error, and it is not asked. Nothing is sent before asking_update.
 */
[[nodiscard]] int asking_start(struct asking *asking, struct ask *ask);
/* The same with the time that is left of it; only from within its done. */
[[nodiscard]] int asking_again(struct asking *asking, struct ask *ask);
/* Sends what was started to the daemon, and has done what is there. */
void asking_update(struct asking *asking);
