/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hierarchical timing wheel (Varghese and Lauck): one timer for each cached answer, set, moved
 * and ended in constant time. It keeps time in ticks of 64 ms and never fires early. Nodes are
 * embedded in what they are for. Pure: time is a parameter.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define WHEEL_TICK_MS 64
#define WHEEL_LEVELS 5u /* of 64 slots each: 2.2 years; what is later waits on the last level */
#define WHEEL_SLOTS 64u

struct wheel_node {
	struct wheel_node *next, **link; /* link: what points here; NULL: not set */
	int64_t at_ms;
};

struct wheel {
	struct wheel_node *slots[WHEEL_LEVELS][WHEEL_SLOTS];
	struct wheel_node *due; /* being fired */
	int64_t tick;           /* the last one that was fired */
};

void wheel_init(struct wheel *wheel, int64_t now_ms);
/* Sets the node's time, or moves it; one that has passed fires at the next tick. */
void wheel_set(struct wheel *wheel, struct wheel_node *node, int64_t at_ms);
/* Fine for one that is not set. */
void wheel_unset(struct wheel_node *node);
/* Takes off and returns one node whose time has come; NULL when there is none. Call until then. */
struct wheel_node *wheel_fire(struct wheel *wheel, int64_t now_ms);
