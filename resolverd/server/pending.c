/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/pending.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/base/clock.h"
#include "resolverd/server/journal.h"

#define V1(name) RESOLVERD__V1__##name
#define PLAN_SLOTS 17u /* a route and 16 hosts */

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
	int64_t began_at_ms; /* mono */
	uint64_t id;
	unsigned slot_count, missing;
	bool is_plan, explain, replace, warm, renewed;
	uint32_t keep_until_s; /* warm, watch: of what is found */
	struct watch *watch;   /* gets the plan in the client's place; or NULL */
	uint16_t port;
	struct attest_wish wish;
	struct answer *named_by;      /* the route that names the hosts; NULL: no hosts yet */
	char *host_names;             /* each with its final zero; the slots borrow them */
	char name[NEXT_HOP_TEXT_MAX]; /* of slot 0 */
	struct slot slots[];
};

/* ---- lookups in flight, limited for each client and each user ---- */

static bool may_wait(const struct session *session)
{
	const struct config *config = session->server->config;
	return session->waiting < config->server.max_jobs_per_client &&
	       session->user->waiting < config->server.max_jobs_per_user;
}

static void count_waiting(struct session *session, int change)
{
	session->waiting += (uint32_t)change;
	session->user->waiting += (uint32_t)change;
}

static void stop_waiting(struct slot *slot)
{
	if (!slot->waiter.waiting)
		return;
	count_waiting(slot->pending->session, -1);
	flight_forget(&slot->waiter);
}

/* ---- a pending request ---- */

static void pending_free(struct pending *pending)
{
	for (unsigned i = 0; i < pending->slot_count; i++) {
		stop_waiting(&pending->slots[i]);
		answer_unref(pending->slots[i].answer);
		answer_unref(pending->slots[i].cached);
	}
	answer_unref(pending->named_by);
	free(pending->host_names);
	event_del(&pending->deadline);
	LIST_REMOVE(pending, link);
	free(pending);
}

void pending_drop_all(struct session *session)
{
	struct pending *pending;
	while ((pending = LIST_FIRST(&session->pending)) != NULL)
		pending_free(pending);
}

static void fail_pending(struct pending *pending, Resolverd__V1__ErrorCode code, const char *text)
{
	if (pending->watch != NULL)
		watch_take(
		    &pending->session->server->watches, pending->watch, NULL, 0, clock_wall_ms());
	else
		session_send_error(pending->session, pending->id, code, text);
	pending_free(pending);
}

/* With the pool's error. */
static void fail_with(struct pending *pending, int error)
{
	if (error != -EBUSY) {
		fail_pending(pending, V1(ERROR_CODE__INTERNAL), "out of memory");
		return;
	}
	pending->session->server->refused_busy += pending->watch == NULL;
	fail_pending(
	    pending, V1(ERROR_CODE__BUSY), "too many lookups are waiting; ask again later");
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
	stop_waiting(slot);
	answer_unref(slot->answer);
	slot->answer = server_failure(pending->session->server, &slot->question,
	    expired ? "the answer expired while the others were looked up; ask again"
		    : "no answer within the deadline of the request",
	    false, now_ms);
	return slot->answer != NULL;
}

static void send_explained(struct pending *pending, unsigned count)
{
	struct explained explained[PLAN_SLOTS];
	int64_t now_ms = clock_wall_ms();
	for (unsigned i = 0; pending->replace && i < count; i++)
		administer_replace(pending->session->server, pending->slots[i].answer,
		    &pending->slots[i].question, now_ms);
	for (unsigned i = 0; i < count; i++)
		explained[i] =
		    (struct explained){pending->slots[i].answer, pending->slots[i].cached};
	explain_send(pending->session, pending->id, explained, count);
}

static void slot_empty(struct slot *slot)
{
	stop_waiting(slot);
	answer_unref(slot->answer);
	answer_unref(slot->cached);
	slot->answer = slot->cached = NULL;
}

/* A route that was asked for again may name other hosts. */
static void drop_hosts_of_another_route(struct pending *pending)
{
	const struct answer *before = pending->named_by, *route = pending->slots[0].answer;
	if (before == NULL || route == NULL || answer_has_hosts_of(route, before))
		return;
	while (pending->slot_count > 1)
		slot_empty(&pending->slots[--pending->slot_count]);
	answer_unref(pending->named_by);
	free(pending->host_names);
	pending->named_by = NULL;
	pending->host_names = NULL;
}

/* By a key of now, a route with the local policy of now. */
static bool is_current(const struct signer *signer, int kind, const struct answer *answer)
{
	return kind == V1(KIND__ROUTE) ? signer_is_current_route(signer, answer)
				       : signer_is_current(signer, answer);
}

/* A reload or another key may have come since the answers were there. */
static void sign_as_of_now(struct pending *pending, int64_t now_ms)
{
	struct signer *signer = &pending->session->server->signer;
	for (unsigned i = 0; i < pending->slot_count; i++) {
		struct slot *slot = &pending->slots[i];
		struct answer *before = slot->answer;
		if (before == NULL || has_expired(slot, now_ms) ||
		    is_current(signer, (int)slot->question.kind, before))
			continue;
		slot->answer = signer_derive(signer, before, now_ms); /* NULL: there is none then */
		answer_unref(before);
	}
}

static void send_answers(struct session *session, uint64_t id, const struct attest_wish *wish,
    struct answer *const *answers, unsigned count)
{
	if (session->server->config->server.log_plans)
		journal_plan(session, answers, count);
	if (!wish->wanted)
		session_send_answers(session, id, answers, count, NULL);
	else if (attest_add(&session->server->attest, session, id, wish, answers, count) != 0)
		session_send_error(session, id, V1(ERROR_CODE__INTERNAL), "out of memory");
}

/* What is ready goes out. A route that is not has no hosts to tell. */
static void respond(struct pending *pending)
{
	int64_t now_ms = clock_wall_ms();
	drop_hosts_of_another_route(pending);
	sign_as_of_now(pending, now_ms);
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
	if (pending->watch != NULL)
		watch_take(
		    &pending->session->server->watches, pending->watch, answers, count, now_ms);
	else if (pending->explain)
		send_explained(pending, count);
	else
		send_answers(pending->session, pending->id, &pending->wish, answers, count);
	if (pending->watch == NULL && !pending->explain && !pending->warm)
		histogram_note(&pending->session->server->metrics.wait_time,
		    clock_mono_ms() - pending->began_at_ms);
	pending_free(pending);
}

/* The live answer, borrowed, with the local policy of now; NULL when there is none. port: of the
 * hosts wanted with a route. */
static struct answer *look_up(
    struct server *server, const struct question_key *key, uint16_t port, int64_t now_ms)
{
	struct cache_entry *entry = prefetch_look_up(&server->prefetch, key, port, now_ms);
	if (entry == NULL || is_current(&server->signer, entry->key[0], entry->answer))
		return entry != NULL ? entry->answer : NULL;
	struct answer *derived = signer_derive(&server->signer, entry->answer, now_ms);
	if (derived == NULL)
		return NULL;
	bool is_kept = prefetch_replace(&server->prefetch, entry, derived, now_ms);
	answer_unref(derived);
	return is_kept && entry_is_live(entry, now_ms) ? entry->answer : NULL;
}

struct answer *pending_served_now(
    struct server *server, const struct question_key *key, int64_t now_ms)
{
	const struct cache_entry *entry = cache_find(&server->cache, key);
	if (entry == NULL || !entry_is_live(entry, now_ms))
		return NULL;
	if (is_current(&server->signer, entry->key[0], entry->answer))
		return answer_ref(entry->answer);
	return signer_derive(&server->signer, entry->answer, now_ms);
}

/* What keeps failing is not looked up for a while. */
static struct answer *held_back(struct server *server, struct slot *slot, int64_t now_ms)
{
	char text[120];
	int64_t hold_ms = failures_hold_ms(&server->failures, slot->question.name, now_ms);
	if (hold_ms == 0)
		return NULL;
	snprintf(text, sizeof text,
	    "lookups of this name keep failing: it is not looked up for another %lld s",
	    (long long)hold_ms / 1000 + 1);
	return server_failure(server, &slot->question, text, false, now_ms);
}

static void on_answer(struct job_waiter *waiter, void *arg);

/* Not in the cache: joins a job or starts one. Returns 0, -EBUSY or -ENOMEM. */
static int slot_wait(
    struct pending *pending, struct slot *slot, const struct question_key *key, int64_t now_ms)
{
	struct server *server = pending->session->server;
	struct flight_job *job;
	enum flight_class class = pending->explain ? FLIGHT_TRACED
				  : pending->warm  ? FLIGHT_BACKGROUND
						   : FLIGHT_ASKED;
	if (!pending->explain && (slot->answer = held_back(server, slot, now_ms)) != NULL)
		return 0;
	if (!may_wait(pending->session))
		return -EBUSY;
	int r = flight_ask(&server->flight, key,
	    key->bytes[0] == V1(KIND__ROUTE) ? pending->port : 0, class, &slot->waiter, &job);
	if (r != 0)
		return r;
	fleet_hurry(job->look);
	if (job->keep_until_s < pending->keep_until_s)
		job->keep_until_s = pending->keep_until_s;
	count_waiting(pending->session, 1);
	pending->missing++;
	return 0;
}

/* Cache, else a job. Returns 0, -EBUSY or -ENOMEM. */
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
		slot->cached = pending_served_now(server, &key, now_ms);
	} else {
		struct answer *answer =
		    look_up(server, &key, kind == V1(KIND__ROUTE) ? pending->port : 0, now_ms);
		if (answer != NULL) {
			server->hits++;
			slot->answer = answer_ref(answer);
			if (pending->keep_until_s == 0)
				return 0;
			return prefetch_keep(
			    &server->prefetch, &key, pending->port, pending->keep_until_s, now_ms);
		}
		server->misses++;
	}
	return slot_wait(pending, slot, &key, now_ms);
}

/* NULL: no memory. */
static char *host_names_of(const struct answer *route)
{
	size_t bytes, all = 1;
	for (unsigned i = 0; i < route->host_count; i++) {
		answer_host(route, i, &bytes);
		all += bytes + 1;
	}
	char *names = calloc(1, all), *at = names;
	for (unsigned i = 0; names != NULL && i < route->host_count; i++) {
		const char *name = answer_host(route, i, &bytes);
		memcpy(at, name, bytes);
		at += bytes + 1;
	}
	return names;
}

/* The route is there: its hosts, all at once. */
static int fill_hosts(struct pending *pending)
{
	struct answer *route = pending->slots[0].answer;
	const char *name = pending->host_names = host_names_of(route);
	int r = name != NULL ? 0 : -ENOMEM;
	if (r != 0)
		return r;
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
		count_waiting(pending->session, -1);
		fail_pending(pending, V1(ERROR_CODE__INTERNAL), "out of memory");
		return;
	}
	slot->answer = answer_ref(arg);
	count_waiting(pending->session, -1); /* the flight no longer has it */
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
	pending->began_at_ms = clock_mono_ms();
	pending->id = id;
	pending->slot_count = 1;
	snprintf(pending->name, sizeof pending->name, "%s", name);
	evtimer_assign(&pending->deadline, session->server->base, on_deadline, pending);
	struct timeval after = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
	evtimer_add(&pending->deadline, &after);
	LIST_INSERT_HEAD(&session->pending, pending, link);
	*ret_pending = pending;
	return 0;
}

/* All in cache: one response, nothing kept. */
static bool answer_from_cache(struct session *session, uint64_t id, const struct question *question)
{
	struct server *server = session->server;
	struct answer *answers[PLAN_SLOTS];
	struct question_key key;
	char name[NAME_TEXT_MAX];
	int64_t now_ms = clock_wall_ms();
	question_key_make(&key, question->kind, question->number, question->name);
	answers[0] = look_up(server, &key, question->port, now_ms);
	if (answers[0] == NULL)
		return false;
	unsigned count = 1;
	for (; count <= answers[0]->host_count; count++) {
		answer_host_name(answers[0], count - 1, name);
		question_key_make(&key, V1(KIND__HOST), question->port, name);
		const struct cache_entry *host =
		    prefetch_look_up(&server->prefetch, &key, 0, now_ms);
		if (host == NULL || !signer_is_current(&server->signer, host->answer))
			return false; /* to sign it may evict the others */
		answers[count] = host->answer;
	}
	server->hits += count;
	send_answers(session, id, &question->wish, answers, count);
	return true;
}

static void start(struct pending *pending, int kind, uint16_t number)
{
	int r = slot_fill(pending, &pending->slots[0], kind, pending->name, number);
	if (r != 0)
		fail_with(pending, r);
	else
		advance(pending);
}

void pending_start(struct session *session, uint64_t id, const struct question *question)
{
	struct pending *pending;
	bool is_plan = question->kind == V1(KIND__ROUTE);
	if (!question->explain && !question->warm && answer_from_cache(session, id, question))
		return;
	if (pending_new(session, id, question->name, is_plan ? PLAN_SLOTS : 1,
		question->deadline_ms, &pending) != 0) {
		session_send_error(session, id, V1(ERROR_CODE__INTERNAL), "out of memory");
		return;
	}
	pending->is_plan = is_plan;
	pending->explain = question->explain;
	pending->replace = question->replace;
	pending->warm = question->warm;
	pending->wish = question->wish;
	if (question->keep_s != 0)
		pending->keep_until_s = (uint32_t)(clock_wall_ms() / 1000) + question->keep_s;
	pending->port = question->port;
	start(pending, question->kind, question->number);
}

void pending_watch(struct session *session, struct watch *watch)
{
	struct pending *pending;
	if (pending_new(session, watch->id, watch->next_hop, PLAN_SLOTS, 0, &pending) != 0) {
		watch_take(&session->server->watches, watch, NULL, 0, clock_wall_ms());
		return;
	}
	pending->is_plan = true;
	pending->watch = watch;
	pending->keep_until_s = (uint32_t)(clock_wall_ms() / 1000) + WATCH_KEEP_S;
	pending->port = watch->port;
	start(pending, V1(KIND__ROUTE), 0);
}
