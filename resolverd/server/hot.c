/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/hot.h"

#include <string.h>

#include "resolverd/base/clock.h"

#define V1(name) RESOLVERD__V1__##name
#define HOT_MAX 64u
#define HOSTS_MAX 16u
#define CACHE_LINE 64u
#define FETCH_LINES 6u /* of an answer; the processor's own prefetch takes over then */

/* Field numbers and wire types of the protocol: Request; PlanRequest. */
#define TAG_ID 0x08
#define TAG_NONCE 0x12
#define TAG_PLAN 0x1a
#define TAG_NEXT_HOP 0x0a
#define TAG_PORT 0x10
#define TAG_DEADLINE 0x18

struct hot {
	uint64_t id;
	const uint8_t *nonce; /* borrows from the frame; NULL: none */
	const char *name;     /* borrows from the frame; not terminated */
	size_t name_bytes;
	uint32_t hash;
	uint16_t port;
	unsigned host_count;
	struct cache_entry *route, *hosts[HOSTS_MAX];
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
	hot->nonce = NULL;
	if (take_tag(&at, end, TAG_ID) && !take_varint(&at, end, &hot->id))
		return false;
	if (take_tag(&at, end, TAG_NONCE)) {
		if (!take_varint(&at, end, &length) || length != ATTESTATION_NONCE_BYTES ||
		    length > (uint64_t)(end - at))
			return false;
		hot->nonce = at;
		at += length;
	}
	return take_tag(&at, end, TAG_PLAN) && take_varint(&at, end, &length) &&
	       length == (uint64_t)(end - at) && read_plan(at, end, hot);
}

/* ---- looking up: each step touches what the one before it asked memory for ---- */

static void fetch(const struct answer *answer)
{
	for (unsigned line = 0; line < FETCH_LINES; line++)
		__builtin_prefetch((const uint8_t *)answer + line * CACHE_LINE);
}

/* A name that is a key is canonical: names that are not are just not found here. */
static bool find_route(struct server *server, struct hot *hot)
{
	hot->route = (struct cache_entry *)table_find_question(
	    &server->cache.table, hot->hash, V1(KIND__ROUTE), 0, hot->name, hot->name_bytes);
	if (hot->route == NULL || hot->route->state == ENTRY_UNUSED)
		return false;
	fetch(hot->route->answer);
	return true;
}

static bool read_route(struct server *server, struct hot *hot, int64_t now_ms)
{
	const struct answer *route = hot->route->answer;
	if (!entry_is_live(hot->route, now_ms) || !signer_is_current_route(&server->signer, route))
		return false;
	hot->host_count = route->host_count;
	for (unsigned i = 0; i < hot->host_count; i++) {
		hot->host_hashes[i] = table_hash(
		    entry_host_hash(&server->cache, hot->route, i), V1(KIND__HOST), hot->port);
		table_fetch_bucket(&server->cache.table, hot->host_hashes[i]);
	}
	return true;
}

static bool find_hosts(struct server *server, struct hot *hot)
{
	for (unsigned i = 0; i < hot->host_count; i++) {
		size_t bytes;
		const char *name = answer_host(hot->route->answer, i, &bytes);
		struct cache_entry *host =
		    (struct cache_entry *)table_find_question(&server->cache.table,
			hot->host_hashes[i], V1(KIND__HOST), hot->port, name, bytes);
		if (host == NULL || host->state == ENTRY_UNUSED)
			return false;
		hot->hosts[i] = host;
		fetch(host->answer);
	}
	return true;
}

static bool respond(struct session *session, const struct hot *hot, const struct frame *frame,
    struct answer *const *answers)
{
	struct attest_wish wish = {.wanted = true};
	if (hot->nonce == NULL) {
		session_send_answers(session, hot->id, answers, 1 + hot->host_count, NULL);
		return true;
	}
	memcpy(wish.nonce, hot->nonce, sizeof wish.nonce);
	attestation_hash(frame->body, frame->body_bytes, wish.request_hash);
	return attest_add(&session->server->attest, session, hot->id, &wish, answers,
		   1 + hot->host_count) == 0;
}

static bool answer_one(
    struct session *session, struct hot *hot, const struct frame *frame, int64_t now_ms)
{
	struct server *server = session->server;
	struct answer *answers[1 + HOSTS_MAX];
	answers[0] = hot->route->answer;
	for (unsigned i = 0; i < hot->host_count; i++) {
		answers[1 + i] = hot->hosts[i]->answer;
		if (!entry_is_live(hot->hosts[i], now_ms) ||
		    !signer_is_current(&server->signer, answers[1 + i]))
			return false;
	}
	if (!respond(session, hot, frame, answers))
		return false;
	entry_hit(hot->route, now_ms);
	hot->route->port = hot->port;
	for (unsigned i = 0; i < hot->host_count; i++)
		entry_hit(hot->hosts[i], now_ms);
	server->requests++;
	server->hits += 1 + hot->host_count;
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
	for (size_t i = 0; i < count; i++)
		table_fetch_next(table, hots[i].hash);
	for (size_t i = 0; i < count; i++)
		if (!find_route(server, &hots[i]))
			count = i;
	for (size_t i = 0; i < count; i++)
		if (!read_route(server, &hots[i], now_ms))
			count = i;
	for (size_t i = 0; i < count; i++)
		for (unsigned host = 0; host < hots[i].host_count; host++)
			table_fetch_node(table, hots[i].host_hashes[host]);
	for (size_t i = 0; i < count; i++)
		if (!find_hosts(server, &hots[i]))
			count = i;
	while (done < count && !conn_is_full(&session->conn) &&
	       answer_one(session, &hots[done], &frames[done], now_ms))
		done++;
	return done;
}
