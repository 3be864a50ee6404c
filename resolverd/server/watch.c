/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ANSWERS_MAX 17u     /* of a plan: a route and 16 hosts */
#define LOOK_EVERY_MS 60000 /* well within WATCH_KEEP_S */
#define LOOK_PAUSE_MS 5000  /* between looks that nothing was noted for */
#define END_GRACE_MS 1000   /* what is kept fresh is noted before */
#define RETRY_MS 1000       /* no plan, or an owner that does not read */
#define LOOKS_AT_ONCE 500u  /* then the loop's other work has its turn */

/* An answer that somebody watches. */
struct watched {
	struct table_node node; /* the first member */
	LIST_HEAD(, watch_link) links;
	uint8_t key[];
};

struct watch_link {
	LIST_ENTRY(watch_link) of_watched;
	struct watched *watched;
	struct watch *watch;
	uint8_t verdict[VERDICT_BYTES]; /* of that answer when the watch last looked */
};

int watches_init(struct watches *watches, int64_t now_ms)
{
	memset(watches, 0, sizeof *watches);
	LIST_INIT(&watches->all);
	wheel_init(&watches->wheel, now_ms);
	return table_init(&watches->keys);
}

void watches_fini(struct watches *watches)
{
	table_fini(&watches->keys);
}

/* ---- the answers a watch rests on ---- */

static struct watched *watched_find(struct watches *watches, const struct question_key *key)
{
	return (struct watched *)table_find(&watches->keys, key->bytes, key->count);
}

/* Found or made; NULL: no memory. */
static struct watched *watched_get(struct watches *watches, const struct question_key *key)
{
	struct watched *watched = watched_find(watches, key);
	if (watched != NULL)
		return watched;
	watched = calloc(1, sizeof *watched + key->count);
	if (watched == NULL)
		return NULL;
	memcpy(watched->key, key->bytes, key->count);
	watched->node.key = watched->key;
	watched->node.key_bytes = (uint32_t)key->count;
	LIST_INIT(&watched->links);
	table_insert(&watches->keys, &watched->node);
	return watched;
}

static void unlink_all(struct watches *watches, struct watch_link *links, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct watched *watched = links[i].watched;
		LIST_REMOVE(&links[i], of_watched);
		if (!LIST_EMPTY(&watched->links))
			continue;
		table_remove(&watches->keys, &watched->node);
		free(watched);
	}
	free(links);
}

/* Of the route, then of its hosts. */
static void key_at(
    const struct watch *watch, const struct answer *route, unsigned i, struct question_key *ret_key)
{
	char host[NAME_TEXT_MAX];
	if (i == 0) {
		question_key_make(ret_key, RESOLVERD__V1__KIND__ROUTE, 0, watch->next_hop);
		return;
	}
	answer_host_name(route, i - 1, host);
	question_key_make(ret_key, RESOLVERD__V1__KIND__HOST, watch->port, host);
}

static bool is_linked_so(
    struct watches *watches, const struct watch *watch, const struct answer *route, unsigned count)
{
	struct question_key key;
	if (watch->link_count != count)
		return false;
	for (unsigned i = 0; i < count; i++) {
		key_at(watch, route, i, &key);
		if (watched_find(watches, &key) != watch->links[i].watched)
			return false;
	}
	return true;
}

/* The new ones first, so that those in both stay. Returns 0 or -ENOMEM. */
static int relink(
    struct watches *watches, struct watch *watch, const struct answer *route, unsigned count)
{
	struct watch_link *links = calloc(count, sizeof *links);
	struct question_key key;
	if (links == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		key_at(watch, route, i, &key);
		struct watched *watched = watched_get(watches, &key);
		if (watched == NULL) {
			unlink_all(watches, links, i);
			return -ENOMEM;
		}
		links[i].watched = watched;
		links[i].watch = watch;
		LIST_INSERT_HEAD(&watched->links, &links[i], of_watched);
	}
	unlink_all(watches, watch->links, watch->link_count);
	watch->links = links;
	watch->link_count = count;
	return 0;
}

/* ---- when to look ---- */

static void look(struct watches *watches, struct watch *watch)
{
	wheel_unset(&watch->timer);
	watch->looking = true;
	watch->noted = false;
	watches->look(watches->arg, watch);
}

static void look_at(struct watches *watches, struct watch *watch, int64_t at_ms)
{
	if (watch->timer.link == NULL || watch->timer.at_ms > at_ms)
		wheel_set(&watches->wheel, &watch->timer, at_ms);
}

/* As soon as it may be told. */
static int64_t may_tell_at(const struct watch *watch, int64_t now_ms)
{
	int64_t at_ms = watch->said_at_ms + watch->hold_down_ms;
	return watch->has_said && at_ms > now_ms ? at_ms : now_ms;
}

static void note(struct watches *watches, struct watch *watch, int64_t now_ms)
{
	if (watch->looking)
		watch->noted = true;
	else
		look_at(watches, watch, may_tell_at(watch, now_ms));
}

/* What is kept in the cache is noted when it changes; this is for what is not. A failure is tried
 * again by whoever keeps it, with pauses that grow: a look would cut them short. */
static int64_t next_look(struct answer *const *answers, unsigned count, int64_t now_ms)
{
	int64_t at_ms = now_ms + LOOK_EVERY_MS;
	for (unsigned i = 0; i < count; i++) {
		int64_t end_ms = answers[i]->expires_at_ms + END_GRACE_MS;
		if (!answers[i]->failed && !answers[i]->stale && end_ms < at_ms)
			at_ms = end_ms;
	}
	return at_ms > now_ms + LOOK_PAUSE_MS ? at_ms : now_ms + LOOK_PAUSE_MS;
}

/* ---- watches ---- */

int watch_new(struct watches *watches, void *owner, uint64_t id, const char *next_hop,
    uint16_t port, int64_t hold_down_ms, struct watch **ret_watch)
{
	size_t name_bytes = strlen(next_hop) + 1;
	struct watch *watch = calloc(1, sizeof *watch + name_bytes);
	if (watch == NULL)
		return -ENOMEM;
	watch->owner = owner;
	watch->id = id;
	watch->port = port;
	watch->hold_down_ms = hold_down_ms;
	memcpy(watch->next_hop, next_hop, name_bytes);
	LIST_INSERT_HEAD(&watches->all, watch, link);
	watches->count++;
	*ret_watch = watch;
	return 0;
}

void watch_repeat(struct watches *watches, struct watch *watch, int64_t now_ms)
{
	watch->has_said = false;
	if (watch->looking)
		note(watches, watch, now_ms);
	else
		look(watches, watch);
}

void watch_free(struct watches *watches, struct watch *watch)
{
	wheel_unset(&watch->timer);
	unlink_all(watches, watch->links, watch->link_count);
	LIST_REMOVE(watch, link);
	watches->count--;
	free(watch);
}

/* ---- what was found ---- */

/* Says it unless it was said last. False: it has to wait. */
static bool say(struct watches *watches, struct watch *watch, struct answer *const *answers,
    unsigned count, const uint8_t verdict[VERDICT_BYTES], int64_t now_ms)
{
	if (watch->has_said && memcmp(watch->said, verdict, VERDICT_BYTES) == 0)
		return true;
	if (may_tell_at(watch, now_ms) > now_ms ||
	    !watches->tell(watches->arg, watch, answers, count))
		return false;
	memcpy(watch->said, verdict, VERDICT_BYTES);
	watch->has_said = true;
	watch->said_at_ms = now_ms;
	return true;
}

/* Returns 0 or -ENOMEM. */
static int take(struct watches *watches, struct watch *watch, struct answer *const *answers,
    unsigned count, int64_t now_ms)
{
	uint8_t verdicts[ANSWERS_MAX][VERDICT_BYTES], whole[VERDICT_BYTES];
	for (unsigned i = 0; i < count; i++)
		if (verdict_of(answers[i], verdicts[i]) != 0)
			return -ENOMEM;
	if (!is_linked_so(watches, watch, answers[0], count) &&
	    relink(watches, watch, answers[0], count) != 0)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++)
		memcpy(watch->links[i].verdict, verdicts[i], VERDICT_BYTES);
	verdict_of_all((const uint8_t(*)[VERDICT_BYTES])verdicts, count, whole);
	look_at(watches, watch, next_look(answers, count, now_ms));
	if (!say(watches, watch, answers, count, whole, now_ms)) {
		int64_t at_ms = may_tell_at(watch, now_ms);
		look_at(watches, watch, at_ms > now_ms ? at_ms : now_ms + RETRY_MS);
	}
	return 0;
}

void watch_take(struct watches *watches, struct watch *watch, struct answer *const *answers,
    unsigned count, int64_t now_ms)
{
	watch->looking = false;
	if (count == 0 || count > ANSWERS_MAX || take(watches, watch, answers, count, now_ms) != 0)
		look_at(watches, watch, now_ms + RETRY_MS);
	if (watch->noted)
		note(watches, watch, now_ms);
}

void watches_note(struct watches *watches, const struct question_key *key,
    const struct answer *answer, int64_t now_ms)
{
	struct watched *watched = watches->keys.count > 0 ? watched_find(watches, key) : NULL;
	uint8_t verdict[VERDICT_BYTES];
	struct watch_link *link;
	if (watched == NULL)
		return;
	bool is_known = verdict_of(answer, verdict) == 0;
	LIST_FOREACH(link, &watched->links, of_watched)
	if (!is_known || memcmp(link->verdict, verdict, VERDICT_BYTES) != 0)
		note(watches, link->watch, now_ms);
}

void watches_note_all(struct watches *watches, int64_t now_ms)
{
	struct watch *watch;
	LIST_FOREACH(watch, &watches->all, link)
	wheel_unset(&watch->timer);
	wheel_init(&watches->wheel, now_ms);
	LIST_FOREACH(watch, &watches->all, link)
	{
		if (watch->said_at_ms > now_ms)
			watch->said_at_ms = now_ms;
		note(watches, watch, now_ms);
	}
}

void watches_advance(struct watches *watches, int64_t now_ms)
{
	struct wheel_node *node;
	for (unsigned i = 0;
	     i < LOOKS_AT_ONCE && (node = wheel_fire(&watches->wheel, now_ms)) != NULL; i++)
		look(watches, (struct watch *)((uint8_t *)node - offsetof(struct watch, timer)));
}
