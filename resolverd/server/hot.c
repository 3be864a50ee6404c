/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/hot.h"

#include <string.h>

#include "resolverd/base/clock.h"

#define V1(name) RESOLVERD__V1__##name
#define HOT_MAX 64u
#define HOSTS_MAX 16u
#define CACHE_LINE 64u
#define FETCH_LINES 8u /* of an answer; the processor's own prefetch takes over then */

/* Field numbers and wire types of the protocol: Request.id, Request.plan; PlanRequest. */
#define TAG_ID 0x08
#define TAG_PLAN 0x1a
#define TAG_NEXT_HOP 0x0a
#define TAG_PORT 0x10
#define TAG_DEADLINE 0x18

struct hot {
	uint64_t id;
	const char *name; /* borrows from the frame; not terminated */
	size_t name_bytes;
	uint32_t hash;
	uint16_t port;
	struct cache_entry *route;
	uint32_t host_hashes[HOSTS_MAX];
};

/* ---- reading: this very form of the message, and nothing else ---- */

static bool take_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret_value)
{
	uint64_t value = 0;
	for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
		uint8_t byte = *(*at)++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

static bool take_tag(const uint8_t **at, const uint8_t *end, uint8_t tag)
{
	if (*at == end || **at != tag)
		return false;
	(*at)++;
	return true;
}

/* Its fields in their order, each once; the last two may be left out. */
static bool read_plan(const uint8_t *at, const uint8_t *end, struct hot *hot)
{
	uint64_t length, port = 0, deadline_ms;
	if (!take_tag(&at, end, TAG_NEXT_HOP) || !take_varint(&at, end, &length) ||
	    length > (uint64_t)(end - at))
		return false;
	hot->name = (const char *)at;
	hot->name_bytes = (size_t)length;
	at += length;
	if (take_tag(&at, end, TAG_PORT) && !take_varint(&at, end, &port))
		return false;
	if (take_tag(&at, end, TAG_DEADLINE) && !take_varint(&at, end, &deadline_ms))
		return false;
	if (port > UINT16_MAX)
		return false;
	hot->port = port != 0 ? (uint16_t)port : 25;
	return at == end;
}

static bool read_request(const struct frame *frame, struct hot *hot)
{
	const uint8_t *at = frame->body, *end = at + frame->body_bytes;
	uint64_t length;
	hot->id = 0;
	if (take_tag(&at, end, TAG_ID) && !take_varint(&at, end, &hot->id))
		return false;
	return take_tag(&at, end, TAG_PLAN) && take_varint(&at, end, &length) &&
	       length == (uint64_t)(end - at) && read_plan(at, end, hot);
}

/* ---- looking up ---- */

/* A name that is a key is canonical: names that are not are just not found here. */
static bool find_route(struct server *server, struct hot *hot, int64_t now_ms)
{
	struct cache_entry *entry = (struct cache_entry *)table_find_question(
	    &server->cache.table, hot->hash, V1(KIND__ROUTE), 0, hot->name, hot->name_bytes);
	if (entry == NULL || !entry_is_live(entry, now_ms) || entry->state == ENTRY_UNUSED ||
	    entry->answer->foreign || !signer_is_current(&server->signer, entry->answer))
		return false;
	hot->route = entry;
	return true;
}

static void fetch(const struct answer *answer)
{
	for (unsigned line = 0; line < FETCH_LINES; line++)
		__builtin_prefetch((const uint8_t *)answer + line * CACHE_LINE);
}

static void fetch_hosts(struct server *server, struct hot *hot)
{
	const struct answer *route = hot->route->answer;
	const char *name = answer_host_names(route);
	for (unsigned i = 0; i < route->host_count; i++) {
		size_t length = strlen(name);
		hot->host_hashes[i] =
		    table_hash(entry_host_hash(&server->cache, hot->route, i, name, length),
			V1(KIND__HOST), hot->port);
		table_fetch_bucket(&server->cache.table, hot->host_hashes[i]);
		name += length + 1;
	}
}

static bool answer_one(struct session *session, struct hot *hot, int64_t now_ms)
{
	struct server *server = session->server;
	struct answer *answers[1 + HOSTS_MAX];
	struct cache_entry *hosts[HOSTS_MAX];
	answers[0] = hot->route->answer;
	unsigned count = answers[0]->host_count;
	const char *name = answer_host_names(answers[0]);
	for (unsigned i = 0; i < count; i++) {
		size_t length = strlen(name);
		hosts[i] = (struct cache_entry *)table_find_question(&server->cache.table,
		    hot->host_hashes[i], V1(KIND__HOST), hot->port, name, length);
		if (hosts[i] == NULL || !entry_is_live(hosts[i], now_ms) ||
		    hosts[i]->state == ENTRY_UNUSED || hosts[i]->answer->foreign)
			return false;
		answers[1 + i] = hosts[i]->answer;
		name += length + 1;
	}
	entry_hit(hot->route, now_ms);
	hot->route->port = hot->port;
	for (unsigned i = 0; i < count; i++)
		entry_hit(hosts[i], now_ms);
	server->requests++;
	server->hits += 1 + count;
	session_send_answers(session, hot->id, answers, 1 + count, NULL);
	return true;
}

size_t hot_serve(struct session *session, const struct frame *frames, size_t frame_count)
{
	struct server *server = session->server;
	struct table *table = &server->cache.table;
	struct hot hots[HOT_MAX];
	int64_t now_ms = clock_wall_ms();
	size_t count = 0, done = 0;
	for (; count < HOT_MAX && count < frame_count; count++) {
		struct hot *hot = &hots[count];
		if (!read_request(&frames[count], hot))
			break;
		hot->hash = table_hash(
		    table_name_hash(table, hot->name, hot->name_bytes), V1(KIND__ROUTE), 0);
		table_fetch_bucket(table, hot->hash);
	}
	for (size_t i = 0; i < count; i++)
		table_fetch_node(table, hots[i].hash);
	for (size_t i = 0; i < count; i++) {
		if (!find_route(server, &hots[i], now_ms))
			count = i;
		else
			fetch(hots[i].route->answer);
	}
	for (size_t i = 0; i < count; i++)
		fetch_hosts(server, &hots[i]);
	while (done < count && !conn_is_full(&session->conn) &&
	       answer_one(session, &hots[done], now_ms))
		done++;
	return done;
}
