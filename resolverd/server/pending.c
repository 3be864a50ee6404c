/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/pending.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/base/clock.h"

#define V1(name) RESOLVERD__V1__##name
#define PENDING_MAX 4096u /* requests of one session that wait; then it is not read */
#define PLAN_SLOTS 17u    /* a route and 16 hosts */

/* One answer that a pending request waits for or has. */
struct slot {
	struct job_waiter waiter;
	struct pending *pending;
	struct answer *answer; /* a reference */
	struct answer *cached; /* explain: what others are served, a reference or NULL */
	Resolverd__V1__Question question;
};

struct pending {
	LIST_ENTRY(pending) link;
	struct session *session;
	struct event deadline;
	uint64_t id;
	unsigned slot_count, missing;
	bool is_plan, explain, renewed;
	uint16_t port;
	struct answer *named_by; /* the route that the hosts' names are in; NULL: no hosts yet */
	char name[NEXT_HOP_TEXT_MAX]; /* of slot 0 */
	struct slot slots[];
};

static void pending_free(struct pending *pending)
{
	struct session *session = pending->session;
	for (unsigned i = 0; i < pending->slot_count; i++) {
		pool_forget(&pending->slots[i].waiter);
		answer_unref(pending->slots[i].answer);
		answer_unref(pending->slots[i].cached);
	}
	answer_unref(pending->named_by);
	event_del(&pending->deadline);
	LIST_REMOVE(pending, link);
	session->pending_count--;
	free(pending);
	conn_pause(&session->conn, false);
}

void pending_drop_all(struct session *session)
{
	struct pending *pending;
	while ((pending = LIST_FIRST(&session->pending)) != NULL)
		pending_free(pending);
}

static void fail_pending(struct pending *pending, Resolverd__V1__ErrorCode code, const char *text)
{
	session_send_error(pending->session, pending->id, code, text);
	pending_free(pending);
}

/* With the pool's error. */
static void fail_with(struct pending *pending, int error)
{
	if (error == -EBUSY)
		fail_pending(
		    pending, V1(ERROR_CODE__BUSY), "too many lookups are waiting; ask again later");
	else
		fail_pending(pending, V1(ERROR_CODE__INTERNAL), "out of memory");
}

/* Or rests on facts that no longer count. */
static bool has_expired(const struct slot *slot, int64_t now_ms)
{
	const struct signer *signer = &slot->pending->session->server->signer;
	return slot->answer != NULL &&
	       (now_ms >= slot->answer->expires_at_ms || !signer_counts(signer, slot->answer));
}

/* A slot without a live answer gets one that says so, signed, for this time only. */
static bool complete(struct pending *pending, struct slot *slot, int64_t now_ms)
{
	bool expired = has_expired(slot, now_ms);
	if (slot->answer != NULL && !expired)
		return true;
	pool_forget(&slot->waiter);
	answer_unref(slot->answer);
	slot->answer = signer_failure(&pending->session->server->signer, &slot->question,
	    expired ? "the answer expired while the others were looked up; ask again"
		    : "no answer within the deadline of the request",
	    false, now_ms);
	return slot->answer != NULL;
}

static void send_explained(struct pending *pending, unsigned count)
{
	struct explained explained[PLAN_SLOTS];
	for (unsigned i = 0; i < count; i++)
		explained[i] =
		    (struct explained){pending->slots[i].answer, pending->slots[i].cached};
	explain_send(pending->session, pending->id, explained, count);
}

static const char *host_names(const struct answer *route)
{
	return (const char *)route->data + route->blob_bytes;
}

static void slot_empty(struct slot *slot)
{
	pool_forget(&slot->waiter);
	answer_unref(slot->answer);
	answer_unref(slot->cached);
	slot->answer = slot->cached = NULL;
}

/* A route that was asked for again may name other hosts. */
static void drop_hosts_of_another_route(struct pending *pending)
{
	const struct answer *before = pending->named_by, *route = pending->slots[0].answer;
	if (before == NULL || route == NULL ||
	    (route->hosts_bytes == before->hosts_bytes &&
		memcmp(host_names(route), host_names(before), before->hosts_bytes) == 0))
		return;
	while (pending->slot_count > 1)
		slot_empty(&pending->slots[--pending->slot_count]);
	answer_unref(pending->named_by);
	pending->named_by = NULL;
}

/* A reload may have come since the route was there. */
static void take_policy_of_now(struct pending *pending, int64_t now_ms)
{
	struct signer *signer = &pending->session->server->signer;
	struct slot *route = &pending->slots[0];
	if (!pending->is_plan || route->answer == NULL || has_expired(route, now_ms) ||
	    signer_is_current(signer, route->answer))
		return;
	struct answer *before = route->answer;
	route->answer = signer_derive(signer, before, now_ms); /* NULL: then there is none */
	answer_unref(before);
}

/* What is ready goes out. A route that is not has no hosts to tell. */
static void respond(struct pending *pending)
{
	int64_t now_ms = clock_wall_ms();
	drop_hosts_of_another_route(pending);
	take_policy_of_now(pending, now_ms);
	struct answer *answers[PLAN_SLOTS], *route = pending->slots[0].answer;
	unsigned count = 0;
	do {
		if (!complete(pending, &pending->slots[count], now_ms)) {
			fail_pending(pending, V1(ERROR_CODE__INTERNAL), "out of memory");
			return;
		}
		answers[count] = pending->slots[count].answer;
		count++;
	} while (count < pending->slot_count && answers[0] == route);
	if (pending->explain)
		send_explained(pending, count);
	else
		session_send_answers(pending->session, pending->id, answers, count);
	pending_free(pending);
}

/* The live answer, borrowed, with the local policy of now; NULL when there is none. */
static struct answer *look_up(
    struct server *server, int kind, const struct question_key *key, int64_t now_ms)
{
	struct answer *answer = cache_get(&server->cache, key, now_ms);
	if (answer == NULL || kind != V1(KIND__ROUTE) || signer_is_current(&server->signer, answer))
		return answer;
	struct answer *derived = signer_derive(&server->signer, answer, now_ms);
	if (derived == NULL)
		return NULL;
	cache_put(&server->cache, key, derived);
	answer_unref(derived);
	return cache_get(&server->cache, key, now_ms);
}

/* What look_up would give, as a reference, and without a trace of it in the cache. */
static struct answer *served_now(
    struct server *server, int kind, const struct question_key *key, int64_t now_ms)
{
	struct answer *answer = cache_peek(&server->cache, key, now_ms);
	if (answer == NULL)
		return NULL;
	if (kind != V1(KIND__ROUTE) || signer_is_current(&server->signer, answer))
		return answer_ref(answer);
	return signer_derive(&server->signer, answer, now_ms);
}

static void on_answer(struct job_waiter *waiter, void *arg);

/* Cache, else pool. Returns 0 or the pool's error. */
static int slot_fill(
    struct pending *pending, struct slot *slot, int kind, const char *name, uint16_t number)
{
	struct server *server = pending->session->server;
	struct question_key key;
	slot->pending = pending;
	slot->waiter.on_answer = on_answer;
	resolverd__v1__question__init(&slot->question);
	slot->question.kind = (Resolverd__V1__Kind)kind;
	slot->question.name = (char *)(uintptr_t)name;
	slot->question.port = kind == V1(KIND__HOST) ? number : 0;
	slot->question.type = kind == V1(KIND__RECORDS) ? number : 0;
	question_key_make(&key, kind, number, name);
	int64_t now_ms = clock_wall_ms();
	if (pending->explain) {
		slot->cached = served_now(server, kind, &key, now_ms);
	} else {
		struct answer *answer = look_up(server, kind, &key, now_ms);
		if (answer != NULL) {
			server->hits++;
			slot->answer = answer_ref(answer);
			return 0;
		}
		server->misses++;
	}
	pending->missing++;
	return pool_ask(&server->pool, &key, &slot->question, pending->explain, &slot->waiter);
}

/* The route is there: its hosts, all at once. */
static int fill_hosts(struct pending *pending)
{
	struct answer *route = pending->slots[0].answer;
	const char *name = host_names(route);
	int r = 0;
	pending->named_by = answer_ref(route);
	for (unsigned i = 0; r == 0 && i < route->host_count; i++, name += strlen(name) + 1)
		r = slot_fill(pending, &pending->slots[pending->slot_count++], V1(KIND__HOST), name,
		    pending->port);
	return r;
}

/* What expired while the others were looked up is asked for once more, while there is time. */
static int renew_expired(struct pending *pending)
{
	int64_t now_ms = clock_wall_ms();
	int r = 0;
	pending->renewed = true;
	for (unsigned i = 0; r == 0 && i < pending->slot_count; i++) {
		struct slot *slot = &pending->slots[i];
		if (!has_expired(slot, now_ms))
			continue;
		slot_empty(slot);
		r = slot_fill(pending, slot, i == 0 ? V1(KIND__ROUTE) : V1(KIND__HOST),
		    slot->question.name, i == 0 ? 0 : pending->port);
	}
	return r;
}

/* A plan with nothing missing: what is its next step? */
static int plan_step(struct pending *pending)
{
	int r = 0;
	drop_hosts_of_another_route(pending);
	if (pending->named_by == NULL)
		r = fill_hosts(pending);
	if (r != 0 || pending->missing > 0 || pending->renewed)
		return r;
	r = renew_expired(pending);
	return r == 0 && pending->missing == 0 ? plan_step(pending) : r;
}

static void advance(struct pending *pending)
{
	int r = pending->is_plan && pending->missing == 0 ? plan_step(pending) : 0;
	if (r != 0)
		fail_with(pending, r);
	else if (pending->missing == 0)
		respond(pending);
}

static void on_answer(struct job_waiter *waiter, void *arg)
{
	struct slot *slot = (struct slot *)waiter; /* its first member */
	struct pending *pending = slot->pending;
	if (arg == NULL) {
		fail_pending(pending, V1(ERROR_CODE__INTERNAL), "out of memory");
		return;
	}
	slot->answer = answer_ref(arg);
	pending->missing--;
	advance(pending);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	respond(arg);
}

static int pending_new(struct session *session, uint64_t id, const char *name, unsigned slots,
    uint32_t deadline_ms, struct pending **ret_pending)
{
	struct pending *pending = calloc(1, sizeof *pending + slots * sizeof pending->slots[0]);
	if (pending == NULL)
		return -ENOMEM;
	uint32_t most_ms = session->server->config->resolver.deadline_ms;
	uint32_t ms = deadline_ms == 0 || deadline_ms > most_ms ? most_ms : deadline_ms;
	pending->session = session;
	pending->id = id;
	pending->slot_count = 1;
	snprintf(pending->name, sizeof pending->name, "%s", name);
	evtimer_assign(&pending->deadline, session->server->base, on_deadline, pending);
	struct timeval after = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
	evtimer_add(&pending->deadline, &after);
	LIST_INSERT_HEAD(&session->pending, pending, link);
	if (++session->pending_count >= PENDING_MAX)
		conn_pause(&session->conn, true);
	*ret_pending = pending;
	return 0;
}

/* All in cache: one response, nothing kept. */
static bool answer_from_cache(struct session *session, uint64_t id, const struct question *question)
{
	struct server *server = session->server;
	struct answer *answers[PLAN_SLOTS];
	struct question_key key;
	int64_t now_ms = clock_wall_ms();
	question_key_make(&key, question->kind, question->number, question->name);
	answers[0] = look_up(server, question->kind, &key, now_ms);
	if (answers[0] == NULL)
		return false;
	unsigned count = 1;
	const char *name = host_names(answers[0]);
	for (; count <= answers[0]->host_count; count++, name += strlen(name) + 1) {
		question_key_make(&key, V1(KIND__HOST), question->port, name);
		answers[count] = cache_get(&server->cache, &key, now_ms);
		if (answers[count] == NULL)
			return false;
	}
	server->hits += count;
	session_send_answers(session, id, answers, count);
	return true;
}

void pending_start(struct session *session, uint64_t id, const struct question *question)
{
	struct pending *pending;
	bool is_plan = question->kind == V1(KIND__ROUTE);
	if (!question->explain && answer_from_cache(session, id, question))
		return;
	if (pending_new(session, id, question->name, is_plan ? PLAN_SLOTS : 1,
		question->deadline_ms, &pending) != 0) {
		session_send_error(session, id, V1(ERROR_CODE__INTERNAL), "out of memory");
		return;
	}
	pending->is_plan = is_plan;
	pending->explain = question->explain;
	pending->port = question->port;
	int r =
	    slot_fill(pending, &pending->slots[0], question->kind, pending->name, question->number);
	if (r != 0)
		fail_with(pending, r);
	else
		advance(pending);
}
