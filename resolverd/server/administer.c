/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/administer.h"

#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"
#include "resolverd/base/role.h"
#include "resolverd/server/pending.h"
#include "resolverd/server/session.h"

#define V1(name) RESOLVERD__V1__##name
#define DUMP_DEFAULT 100u
#define DUMP_MAX 256u           /* entries; one may be signed anew for it */
#define DUMP_BUCKETS_MAX 20000u /* looked into for one response: some milliseconds */
#define DUMP_BYTES_MAX (FRAME_MAX_RESPONSE_BYTES / 2u)

/* ---- dump ---- */

struct dumping {
	struct server *server;
	const Resolverd__V1__DumpRequest *request;
	int64_t now_ms;
	struct cache_entry *found[2 * DUMP_MAX]; /* in this step of the scan: borrowed */
	size_t found_count;
	Resolverd__V1__DumpEntry **entries; /* of the response */
	size_t count, room, bytes;
	bool failed; /* no memory */
};

static bool is_troubled(const struct cache_entry *entry)
{
	return entry->answer->failed || entry->answer->bogus || entry->answer->stale ||
	       entry->is_bogus || entry->tries > 0;
}

static struct cache_entry *host_of(
    struct server *server, const struct cache_entry *route, unsigned i, int64_t now_ms)
{
	char name[NAME_TEXT_MAX];
	struct question_key key;
	answer_host_name(route->answer, i, name);
	question_key_make(&key, V1(KIND__HOST), route->port, name);
	struct cache_entry *host = cache_find(&server->cache, &key);
	return host != NULL && entry_is_live(host, now_ms) ? host : NULL;
}

static bool is_troubled_route(struct dumping *dumping, const struct cache_entry *entry)
{
	if (entry->key[0] != V1(KIND__ROUTE))
		return false;
	if (is_troubled(entry))
		return true;
	for (unsigned i = 0; entry->port != 0 && i < entry->answer->host_count; i++) {
		const struct cache_entry *host =
		    host_of(dumping->server, entry, i, dumping->now_ms);
		if (host != NULL && is_troubled(host))
			return true;
	}
	return false;
}

static void visit(struct table_node *node, void *arg)
{
	struct dumping *dumping = arg;
	struct cache_entry *entry = (struct cache_entry *)node; /* its first member */
	const Resolverd__V1__DumpRequest *request = dumping->request;
	bool wanted =
	    entry_is_live(entry, dumping->now_ms) &&
	    (request->kind == V1(KIND__KIND_UNSPECIFIED) || (int)request->kind == entry->key[0]) &&
	    (!request->in_use ||
		prefetch_is_in_use(&dumping->server->prefetch, entry, dumping->now_ms)) &&
	    (!request->trouble || is_troubled_route(dumping, entry));
	if (wanted && dumping->found_count < sizeof dumping->found / sizeof *dumping->found)
		dumping->found[dumping->found_count++] = entry;
}

static Resolverd__V1__SignedAnswer *signed_answer_of(
    struct dumping *dumping, const struct cache_entry *entry)
{
	struct question_key key = {.count = entry->node.key_bytes};
	memcpy(key.bytes, entry->key, key.count);
	struct answer *answer = pending_served_now(dumping->server, &key, dumping->now_ms);
	Resolverd__V1__SignedAnswer *message = answer != NULL ? answer_unpack(answer) : NULL;
	answer_unref(answer);
	return message;
}

static Resolverd__V1__RefreshState state_of(const struct cache_entry *entry)
{
	switch ((enum entry_state)entry->state) {
	case ENTRY_FRESH:
		return V1(REFRESH_STATE__REFRESH_DUE);
	case ENTRY_UNUSED:
		return V1(REFRESH_STATE__REFRESH_ON_HIT);
	case ENTRY_RUNNING:
		return V1(REFRESH_STATE__REFRESH_RUNNING);
	case ENTRY_RETRY:
		return V1(REFRESH_STATE__REFRESH_RETRY);
	case ENTRY_AT_END:
		return V1(REFRESH_STATE__REFRESH_AT_END);
	case ENTRY_ENDS:
		break;
	}
	return V1(REFRESH_STATE__REFRESH_NONE);
}

static bool add_hosts(
    struct dumping *dumping, const struct cache_entry *route, Resolverd__V1__DumpEntry *message)
{
	message->hosts = calloc(route->answer->host_count + 1u, sizeof *message->hosts);
	if (message->hosts == NULL)
		return false;
	for (unsigned i = 0; route->port != 0 && i < route->answer->host_count; i++) {
		const struct cache_entry *host =
		    host_of(dumping->server, route, i, dumping->now_ms);
		Resolverd__V1__SignedAnswer *answer =
		    host != NULL ? signed_answer_of(dumping, host) : NULL;
		if (answer != NULL)
			message->hosts[message->n_hosts++] = answer;
	}
	return true;
}

/* NULL: no memory. */
static Resolverd__V1__DumpEntry *entry_new(struct dumping *dumping, const struct cache_entry *entry)
{
	Resolverd__V1__DumpEntry *message = malloc(sizeof *message);
	if (message == NULL)
		return NULL;
	resolverd__v1__dump_entry__init(message);
	message->answer = signed_answer_of(dumping, entry);
	message->port = entry->port;
	message->in_use = prefetch_is_in_use(&dumping->server->prefetch, entry, dumping->now_ms);
	message->demand = (uint32_t)entry->hits + entry->demand / 2u;
	message->last_requested_at = (uint64_t)entry->last_hit_s * 1000;
	message->kept_until = (uint64_t)entry->kept_until_s * 1000;
	message->state = state_of(entry);
	message->next_at = (uint64_t)entry->timer.at_ms;
	message->failed_refreshes = entry->tries;
	message->last_was_bogus = entry->is_bogus;
	if (message->answer == NULL ||
	    (entry->key[0] == V1(KIND__ROUTE) && !add_hosts(dumping, entry, message))) {
		resolverd__v1__dump_entry__free_unpacked(message, NULL);
		return NULL;
	}
	return message;
}

/* To sign one anew may evict others: after that nothing found before is looked at. */
static void take_found(struct dumping *dumping)
{
	uint64_t evicted = dumping->server->cache.evicted;
	for (size_t i = 0; i < dumping->found_count && !dumping->failed; i++) {
		if (dumping->server->cache.evicted != evicted)
			break;
		Resolverd__V1__DumpEntry *message = entry_new(dumping, dumping->found[i]);
		dumping->failed = message == NULL || dumping->count == dumping->room;
		if (dumping->failed) {
			resolverd__v1__dump_entry__free_unpacked(message, NULL);
			break;
		}
		dumping->bytes += resolverd__v1__dump_entry__get_packed_size(message);
		dumping->entries[dumping->count++] = message;
	}
	dumping->found_count = 0;
}

void administer_dump(struct session *session, const Resolverd__V1__Request *request)
{
	const Resolverd__V1__DumpRequest *dump = request->dump;
	struct dumping dumping = {.server = session->server,
	    .request = dump,
	    .now_ms = clock_wall_ms(),
	    .room = 3 * DUMP_MAX};
	Resolverd__V1__Response response = RESOLVERD__V1__RESPONSE__INIT;
	Resolverd__V1__DumpResponse body = RESOLVERD__V1__DUMP_RESPONSE__INIT;
	size_t limit = dump->limit == 0         ? DUMP_DEFAULT
		       : dump->limit < DUMP_MAX ? dump->limit
						: DUMP_MAX;
	uint32_t cursor = (uint32_t)dump->cursor;
	dumping.entries = calloc(dumping.room, sizeof(*dumping.entries));
	if (dumping.entries == NULL) {
		session_send_error(session, request->id, V1(ERROR_CODE__INTERNAL), "out of memory");
		return;
	}
	for (unsigned i = 0; !dumping.failed && dumping.count < limit &&
			     dumping.bytes < DUMP_BYTES_MAX && i < DUMP_BUCKETS_MAX;
	     i++) {
		cursor = table_scan(&session->server->cache.table, cursor, visit, &dumping);
		take_found(&dumping);
		if (cursor == 0)
			break;
	}
	body.entries = dumping.entries;
	body.n_entries = dumping.count;
	body.next = cursor;
	response.id = request->id;
	response.dump = &body;
	if (dumping.failed)
		session_send_error(session, request->id, V1(ERROR_CODE__INTERNAL), "out of memory");
	else if (resolverd__v1__response__get_packed_size(&response) > FRAME_MAX_RESPONSE_BYTES)
		session_send_error(session, request->id, V1(ERROR_CODE__INTERNAL),
		    "the answers are larger than a response may be; ask for fewer at once");
	else
		session_send(session, &response);
	conn_yield(&session->conn);
	for (size_t i = 0; i < dumping.count; i++)
		resolverd__v1__dump_entry__free_unpacked(dumping.entries[i], NULL);
	free(dumping.entries);
}

/* ---- flush ---- */

void administer_flush(struct session *session, uint64_t id)
{
	struct server *server = session->server;
	Resolverd__V1__Response response = RESOLVERD__V1__RESPONSE__INIT;
	Resolverd__V1__FlushResponse body = RESOLVERD__V1__FLUSH_RESPONSE__INIT;
	body.dropped = server->cache.table.count;
	log_notice("flushed", "flush: %zu answers are dropped, the workers replaced",
	    server->cache.table.count);
	server_forget_all(server);
	pool_renew(&server->pool, true);
	response.id = id;
	response.flush = &body;
	session_send(session, &response);
}

/* Records that are cached by themselves, as one of the lookups of a traced job found them. */
static void replace_records(
    struct server *server, const Resolverd__V1__Lookup *lookup, int64_t now_ms)
{
	struct question_key key;
	Resolverd__V1__Question question = RESOLVERD__V1__QUESTION__INIT;
	Resolverd__Worker__Facts facts = RESOLVERD__WORKER__FACTS__INIT;
	if (lookup->unanswered || lookup->records == NULL || lookup->ttl_s == 0 ||
	    lookup->type > UINT16_MAX ||
	    (lookup->records->status != V1(STATUS__SECURE) &&
		lookup->records->status != V1(STATUS__INSECURE)))
		return;
	question.kind = V1(KIND__RECORDS);
	question.name = lookup->name;
	question.type = lookup->type;
	question_key_of(&key, &question);
	if (cache_find(&server->cache, &key) == NULL)
		return;
	facts.question = &question;
	facts.data_case = RESOLVERD__WORKER__FACTS__DATA_RECORDS;
	facts.records = lookup->records;
	facts.life_ms = (uint64_t)lookup->ttl_s * 1000;
	facts.rrsig_expires_at = lookup->rrsig_expires_at;
	struct answer *answer = signer_answer(&server->signer, &facts, now_ms);
	if (answer != NULL)
		prefetch_renew(&server->prefetch, &key, answer, now_ms);
	answer_unref(answer);
}

void administer_replace(struct server *server, const struct answer *fresh,
    const Resolverd__V1__Question *question, int64_t now_ms)
{
	struct question_key key;
	question_key_of(&key, question);
	if (fresh->failed || !fresh->cacheable || now_ms >= fresh->expires_at_ms)
		return;
	struct answer *answer =
	    signer_derive(&server->signer, fresh, now_ms); /* without its trace */
	if (answer != NULL) {
		prefetch_renew(&server->prefetch, &key, answer, now_ms);
		fleet_share_anew(&server->fleet, question, answer, now_ms);
		watches_note(&server->watches, &key, answer, now_ms);
	}
	answer_unref(answer);
	Resolverd__V1__Explained *trace = resolverd__v1__explained__unpack(
	    NULL, fresh->trace_bytes, fresh->data + answer_trace_at(fresh));
	for (size_t i = 0; trace != NULL && i < trace->n_lookups; i++)
		replace_records(server, trace->lookups[i], now_ms);
	resolverd__v1__explained__free_unpacked(trace, NULL);
}

/* ---- reload ---- */

void administer_reload(struct session *session, uint64_t id)
{
	struct reloads *reloads = &session->server->reloads;
	struct link_message message = {.type = LINK_RELOAD};
	if (reloads->count == RELOADS_WAITING_MAX)
		session_send_error(
		    session, id, V1(ERROR_CODE__BUSY), "other reloads are under way");
	else if (link_send(ROLE_FD_CHANNEL, &message, -1) != 0)
		session_send_error(
		    session, id, V1(ERROR_CODE__INTERNAL), "the supervisor cannot be reached");
	else
		reloads->askers[reloads->count++] = (struct reload_asker){session, id};
}

void administer_forget(struct server *server, const struct session *session)
{
	for (unsigned i = 0; i < server->reloads.count; i++)
		if (server->reloads.askers[i].session == session)
			server->reloads.askers[i].session = NULL; /* its word comes all the same */
}

void administer_reloaded(struct server *server, bool in_force, const uint8_t *text, uint32_t count)
{
	char words[sizeof((struct link_message *)0)->bytes + 1] = "";
	struct reloads *reloads = &server->reloads;
	Resolverd__V1__Response response = RESOLVERD__V1__RESPONSE__INIT;
	Resolverd__V1__ReloadResponse body = RESOLVERD__V1__RELOAD_RESPONSE__INIT;
	if (reloads->count == 0)
		return;
	struct reload_asker asker = reloads->askers[0];
	memmove(
	    &reloads->askers[0], &reloads->askers[1], --reloads->count * sizeof reloads->askers[0]);
	if (asker.session == NULL)
		return;
	for (uint32_t i = 0; i < count; i++) /* protobuf strings are UTF-8 */
		words[i] = text[i] >= ' ' && text[i] < 0x7f ? (char)text[i] : '?';
	body.in_force = in_force;
	body.text = words;
	response.id = asker.id;
	response.reload = &body;
	session_send(asker.session, &response);
}
