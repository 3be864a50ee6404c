/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/wheel.h"

#include <stddef.h>
#include <string.h>

#define SLOT_BITS 6u
#define SLOT_MASK (WHEEL_SLOTS - 1)

void wheel_init(struct wheel *wheel, int64_t now_ms)
{
	memset(wheel, 0, sizeof *wheel);
	wheel->tick = now_ms / WHEEL_TICK_MS;
}

static void push(struct wheel_node **list, struct wheel_node *node)
{
	node->next = *list;
	node->link = list;
	if (*list != NULL)
		(*list)->link = &node->next;
	*list = node;
}

void wheel_unset(struct wheel_node *node)
{
	if (node->link == NULL)
		return;
	*node->link = node->next;
	if (node->next != NULL)
		node->next->link = node->link;
	node->link = NULL;
}

/* The level is the first whose span from now on holds the tick. */
static void place(struct wheel *wheel, struct wheel_node *node)
{
	int64_t tick = (node->at_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS; /* never early */
	int64_t last = wheel->tick + (INT64_C(1) << (SLOT_BITS * WHEEL_LEVELS)) - 1;
	if (tick <= wheel->tick)
		tick = wheel->tick + 1;
	if (tick > last)
		tick = last;
	unsigned level = 0;
	while ((tick - wheel->tick) >> (SLOT_BITS * (level + 1)) != 0)
		level++;
	push(&wheel->slots[level][tick >> (SLOT_BITS * level) & SLOT_MASK], node);
}

void wheel_set(struct wheel *wheel, struct wheel_node *node, int64_t at_ms)
{
	wheel_unset(node);
	node->at_ms = at_ms;
	place(wheel, node);
}

/* A slot of a higher level has come: its nodes go to where their time can be told apart. */
static void cascade(struct wheel *wheel, unsigned level)
{
	struct wheel_node **slot =
	    &wheel->slots[level][wheel->tick >> (SLOT_BITS * level) & SLOT_MASK];
	struct wheel_node *node = *slot, *next;
	*slot = NULL;
	for (; node != NULL; node = next) {
		next = node->next;
		if (node->at_ms <= wheel->tick * WHEEL_TICK_MS)
			push(&wheel->due, node);
		else
			place(wheel, node);
	}
}

static void step(struct wheel *wheel)
{
	wheel->tick++;
	for (unsigned level = WHEEL_LEVELS - 1; level > 0; level--)
		if ((wheel->tick & ((INT64_C(1) << (SLOT_BITS * level)) - 1)) == 0)
			cascade(wheel, level);
	cascade(wheel, 0);
}

struct wheel_node *wheel_fire(struct wheel *wheel, int64_t now_ms)
{
	while (wheel->due == NULL && wheel->tick < now_ms / WHEEL_TICK_MS)
		step(wheel);
	struct wheel_node *node = wheel->due;
	if (node != NULL)
		wheel_unset(node);
	return node;
}
