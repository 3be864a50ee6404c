/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The change feed: who watches which next hop, and when one is told that its verdict changed. A
 * watch looks at its plan at once, when an answer that it rests on says something new, when one of
 * them ends, and now and then; it tells what it finds unless it said so before, at most once in its
 * hold-down, the last state in any case. The answers watched are found by question, so that an
 * answer nobody watches costs one look into a table, and one that says what it said before costs no
 * look at any plan. Pure: time is a parameter (wall, milliseconds), plans come from look.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "resolverd/server/table.h"
#include "resolverd/server/verdict.h"
#include "resolverd/server/wheel.h"

#define WATCH_KEEP_S 150u /* for so long from each look on the answers are kept fresh */

struct watch_link;

struct watch {
	LIST_ENTRY(watch) of_owner; /* in a list of its owner's */
	LIST_ENTRY(watch) link;
	void *owner;
	uint64_t id;
	int64_t hold_down_ms, said_at_ms;
	struct wheel_node timer;  /* its next look */
	struct watch_link *links; /* the answers it rests on */
	unsigned link_count;
	uint16_t port;
	bool looking; /* its plan is being made */
	bool noted;   /* meanwhile something changed */
	bool has_said;
	uint8_t said[VERDICT_BYTES]; /* of the plan told last */
	char next_hop[];
};
LIST_HEAD(watch_list, watch);

struct watches {
	struct table keys; /* of the answers watched */
	struct wheel wheel;
	struct watch_list all;
	uint32_t count;
	/* Make its plan: watch_take follows, from within or later. */
	void (*look)(void *arg, struct watch *watch);
	/* Tell its owner; false: not now, the owner does not read. */
	bool (*tell)(void *arg, struct watch *watch, struct answer *const *answers, unsigned count);
	void *arg;
};

/* Returns 0 or -ENOMEM. */
[[gnu::warn_unused_result]] int watches_init(struct watches *watches, int64_t now_ms);
void watches_fini(struct watches *watches); /* when no watch is left */

/* next_hop is canonical and copied. Returns 0 or -ENOMEM. */
[[gnu::warn_unused_result]] int watch_new(struct watches *watches, void *owner, uint64_t id,
    const char *next_hop, uint16_t port, int64_t hold_down_ms, struct watch **ret_watch);
void watch_free(struct watches *watches, struct watch *watch);
/* Looks now, from within, and tells the plan whether it changed or not. */
void watch_repeat(struct watches *watches, struct watch *watch, int64_t now_ms);

/* The plan that look was asked for: a route, then its hosts, as clients are served them. count 0:
 * none could be made now. */
void watch_take(struct watches *watches, struct watch *watch, struct answer *const *answers,
    unsigned count, int64_t now_ms);

/* This answer was found. */
void watches_note(struct watches *watches, const struct question_key *key,
    const struct answer *answer, int64_t now_ms);
/* Anything may have changed, the clock too: all look again. */
void watches_note_all(struct watches *watches, int64_t now_ms);

/* Looks that are due. */
void watches_advance(struct watches *watches, int64_t now_ms);
