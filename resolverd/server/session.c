/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/frame.h"
#include "proto/names.h"
#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"

#define V1(name) RESOLVERD__V1__##name
#define PENDING_MAX 4096u            /* requests of one session that wait; then it is not read */
#define OUT_MAX_BYTES (256u * 1024u) /* unread output; then it is not read */
#define NOT_READING_MAX_MS 30000
#define BUSY_RETRY_MS 1000u
#define PLAN_SLOTS 17u /* a route and 16 hosts */

struct session {
	LIST_ENTRY(session) link;
	struct server *server;
	struct conn conn;
	LIST_HEAD(, pending) pending;
	uint32_t pending_count;
};

/* One answer that a pending request waits for or has. */
struct slot {
	struct job_waiter waiter;
	struct pending *pending;
	struct answer *answer; /* a reference */
	Resolverd__V1__Question question;
};

struct pending {
	LIST_ENTRY(pending) link;
	struct session *session;
	struct event deadline;
	uint64_t id;
	unsigned slot_count, missing;
	bool is_plan;
	uint16_t port;
	char name[NEXT_HOP_TEXT_MAX]; /* of slot 0; hosts' names are in the route's answer */
	struct slot slots[];
};

/* ---- responses ---- */

static void send_response(struct session *session, const Resolverd__V1__Response *response)
{
	size_t bytes = resolverd__v1__response__get_packed_size(response);
	uint8_t *out = conn_reserve(&session->conn, FRAME_HEADER_BYTES + bytes);
	if (out == NULL)
		return;
	frame_put_header(out, bytes);
	resolverd__v1__response__pack(response, out + FRAME_HEADER_BYTES);
	conn_commit(&session->conn, FRAME_HEADER_BYTES + bytes);
}

static void send_error(
    struct session *session, uint64_t id, Resolverd__V1__ErrorCode code, const char *text)
{
	Resolverd__V1__Error error = RESOLVERD__V1__ERROR__INIT;
	Resolverd__V1__Response response = RESOLVERD__V1__RESPONSE__INIT;
	error.code = code;
	error.text = (char *)(uintptr_t)text;
	error.retry_after_ms = code == V1(ERROR_CODE__BUSY) ? BUSY_RETRY_MS : 0;
	response.id = id;
	response.error = &error;
	send_response(session, &response);
}

/* The bytes of the answers as they were signed, behind the id (Response fields 1 and 3). */
static void send_answers(
    struct session *session, uint64_t id, struct answer *const *answers, unsigned count)
{
	uint8_t head[16];
	size_t head_bytes = 0;
	if (id != 0) {
		head[head_bytes++] = 1u << 3;
		head_bytes += varint_put(head + head_bytes, id);
	}
	size_t bytes = head_bytes;
	for (unsigned i = 0; i < count; i++)
		bytes += answers[i]->blob_bytes;
	if (bytes > FRAME_MAX_RESPONSE_BYTES) {
		send_error(session, id, V1(ERROR_CODE__INTERNAL),
		    "the answers are larger than a response may be; ask for the hosts one by one");
		return;
	}
	uint8_t *out = conn_reserve(&session->conn, FRAME_HEADER_BYTES + bytes);
	if (out == NULL)
		return;
	frame_put_header(out, bytes);
	out += FRAME_HEADER_BYTES;
	memcpy(out, head, head_bytes);
	out += head_bytes;
	for (unsigned i = 0; i < count; i++) {
		memcpy(out, answers[i]->data, answers[i]->blob_bytes);
		out += answers[i]->blob_bytes;
	}
	conn_commit(&session->conn, FRAME_HEADER_BYTES + bytes);
}

static void send_status(struct session *session, uint64_t id)
{
	struct server *server = session->server;
	Resolverd__V1__StatusResponse status = RESOLVERD__V1__STATUS_RESPONSE__INIT;
	Resolverd__V1__Response response = RESOLVERD__V1__RESPONSE__INIT;
	Resolverd__V1__SignedDelegation *delegation = resolverd__v1__signed_delegation__unpack(
	    NULL, server->signer.delegation_bytes, server->signer.delegation);
	const char *reason = "";
	status.ready = pool_is_ready(&server->pool, &reason);
	status.not_ready_reason = (char *)(uintptr_t)reason;
	status.delegations = &delegation;
	status.n_delegations = delegation != NULL;
	status.version = (char *)(uintptr_t)RESOLVERD_VERSION;
	status.member = server->config->signing.member;
	status.started_at = (uint64_t)server->started_at_ms;
	status.now = (uint64_t)clock_wall_ms();
	status.workers = pool_workers_up(&server->pool);
	status.workers_wanted = server->pool.workers_wanted;
	status.worker_restarts = server->pool.worker_deaths;
	status.clients = server->session_count;
	status.cache_entries = server->cache.table.count;
	status.cache_bytes = server->cache.used_bytes;
	status.cache_max_bytes = server->cache.max_bytes;
	status.hits = server->hits;
	status.misses = server->misses;
	status.jobs = (uint32_t)server->pool.jobs.count;
	status.jobs_done = server->pool.done_count;
	status.jobs_rerun = server->pool.rerun_count;
	status.jobs_quarantined = server->pool.quarantined_count;
	status.answers_signed = server->signer.signed_count;
	status.requests = server->requests;
	response.id = id;
	response.status = &status;
	send_response(session, &response);
	resolverd__v1__signed_delegation__free_unpacked(delegation, NULL);
}

/* ---- pending requests ---- */

static void pending_free(struct pending *pending)
{
	struct session *session = pending->session;
	for (unsigned i = 0; i < pending->slot_count; i++) {
		pool_forget(&pending->slots[i].waiter);
		answer_unref(pending->slots[i].answer);
	}
	event_del(&pending->deadline);
	LIST_REMOVE(pending, link);
	session->pending_count--;
	free(pending);
	conn_pause(&session->conn, false);
}

static void fail_pending(struct pending *pending, Resolverd__V1__ErrorCode code, const char *text)
{
	send_error(pending->session, pending->id, code, text);
	pending_free(pending);
}

/* A slot without a live answer gets one that says so, signed, for this time only. */
static bool complete(struct pending *pending, struct slot *slot, int64_t now_ms)
{
	bool expired = slot->answer != NULL && now_ms >= slot->answer->expires_at_ms;
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

/* What is ready goes out. A route that is not has no hosts to tell. */
static void respond(struct pending *pending)
{
	struct answer *answers[PLAN_SLOTS], *route = pending->slots[0].answer;
	int64_t now_ms = clock_wall_ms();
	unsigned count = 0;
	do {
		if (!complete(pending, &pending->slots[count], now_ms)) {
			fail_pending(pending, V1(ERROR_CODE__INTERNAL), "out of memory");
			return;
		}
		answers[count] = pending->slots[count].answer;
		count++;
	} while (count < pending->slot_count && answers[0] == route);
	send_answers(pending->session, pending->id, answers, count);
	pending_free(pending);
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
	struct answer *answer = cache_get(&server->cache, &key, clock_wall_ms());
	if (answer != NULL) {
		server->hits++;
		slot->answer = answer_ref(answer);
		return 0;
	}
	server->misses++;
	pending->missing++;
	return pool_ask(&server->pool, &key, &slot->question, &slot->waiter);
}

/* The route is there: its hosts, all at once. */
static int fill_hosts(struct pending *pending)
{
	struct answer *route = pending->slots[0].answer;
	const char *name = (const char *)route->data + route->blob_bytes;
	int r = 0;
	for (unsigned i = 0; r == 0 && i < route->host_count; i++, name += strlen(name) + 1)
		r = slot_fill(pending, &pending->slots[pending->slot_count++], V1(KIND__HOST), name,
		    pending->port);
	return r;
}

static void advance(struct pending *pending)
{
	int r = 0;
	if (pending->missing == 0 && pending->is_plan && pending->slot_count == 1)
		r = fill_hosts(pending);
	if (r == -EBUSY)
		fail_pending(
		    pending, V1(ERROR_CODE__BUSY), "too many lookups are waiting; ask again later");
	else if (r != 0)
		fail_pending(pending, V1(ERROR_CODE__INTERNAL), "out of memory");
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

/* ---- requests ---- */

struct question { /* of a request, canonical */
	int kind;
	uint16_t number;
	uint32_t deadline_ms;
	char name[NEXT_HOP_TEXT_MAX];
	uint16_t port; /* of a plan */
};

/* All in cache: one response, nothing kept. */
static bool answer_from_cache(struct session *session, uint64_t id, const struct question *question)
{
	struct server *server = session->server;
	struct answer *answers[PLAN_SLOTS];
	struct question_key key;
	int64_t now_ms = clock_wall_ms();
	question_key_make(&key, question->kind, question->number, question->name);
	answers[0] = cache_get(&server->cache, &key, now_ms);
	if (answers[0] == NULL)
		return false;
	unsigned count = 1;
	const char *name = (const char *)answers[0]->data + answers[0]->blob_bytes;
	for (; count <= answers[0]->host_count; count++, name += strlen(name) + 1) {
		question_key_make(&key, V1(KIND__HOST), question->port, name);
		answers[count] = cache_get(&server->cache, &key, now_ms);
		if (answers[count] == NULL)
			return false;
	}
	server->hits += count;
	send_answers(session, id, answers, count);
	return true;
}

static void start(struct session *session, uint64_t id, const struct question *question)
{
	struct pending *pending;
	bool is_plan = question->kind == V1(KIND__ROUTE);
	if (answer_from_cache(session, id, question))
		return;
	if (pending_new(session, id, question->name, is_plan ? PLAN_SLOTS : 1,
		question->deadline_ms, &pending) != 0) {
		send_error(session, id, V1(ERROR_CODE__INTERNAL), "out of memory");
		return;
	}
	pending->is_plan = is_plan;
	pending->port = question->port;
	int r =
	    slot_fill(pending, &pending->slots[0], question->kind, pending->name, question->number);
	if (r == -EBUSY)
		fail_pending(
		    pending, V1(ERROR_CODE__BUSY), "too many lookups are waiting; ask again later");
	else if (r != 0)
		fail_pending(pending, V1(ERROR_CODE__INTERNAL), "out of memory");
	else
		advance(pending);
}

static int bad_request(
    char *text, size_t bytes, const char *field, const char *value, const char *problem)
{
	snprintf(text, bytes, "%s '%.200s': %s", field, value, problem);
	for (char *c = text; *c != '\0';
	     c++) /* protobuf strings are UTF-8; the text must stay so */
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			*c = '?';
	return -EINVAL;
}

/* QTYPEs and meta types are no data (RFC 6895 section 3.1). */
static bool is_data_type(uint32_t type)
{
	return type != 0 && type != 41 && (type < 128 || type > 255) && type < 65535;
}

static int read_request(
    const Resolverd__V1__Request *request, struct question *question, char *text, size_t text_bytes)
{
	uint32_t port = 0;
	const char *name = NULL;
	int r = 0;
	if (request->body_case == RESOLVERD__V1__REQUEST__BODY_PLAN) {
		struct next_hop hop;
		name = request->plan->next_hop;
		r = next_hop_parse(name, &hop);
		if (r != NAME_OK)
			return bad_request(text, text_bytes, "next_hop", name, name_error_text(r));
		question->kind = V1(KIND__ROUTE);
		question->deadline_ms = request->plan->deadline_ms;
		memcpy(question->name, hop.text, sizeof hop.text);
		port = request->plan->port;
	} else if (request->body_case == RESOLVERD__V1__REQUEST__BODY_HOST) {
		name = request->host->name;
		r = name_canonical(name, question->name);
		question->kind = V1(KIND__HOST);
		question->deadline_ms = request->host->deadline_ms;
		port = request->host->port;
	} else {
		name = request->records->name;
		r = name_canonical(name, question->name);
		question->kind = V1(KIND__RECORDS);
		question->deadline_ms = request->records->deadline_ms;
		if (!is_data_type(request->records->type))
			return bad_request(
			    text, text_bytes, "type", "", "it is 0, a meta type or too large");
		question->number = (uint16_t)request->records->type;
	}
	if (r != NAME_OK)
		return bad_request(text, text_bytes, "name", name, name_error_text(r));
	if (port > 65535)
		return bad_request(text, text_bytes, "port", "", "it is larger than 65535");
	question->port = port != 0 ? (uint16_t)port : 25;
	if (question->kind == V1(KIND__HOST))
		question->number = question->port;
	return 0;
}

static void dispatch(struct session *session, const Resolverd__V1__Request *request)
{
	struct question question = {0};
	char text[400];
	session->server->requests++;
	switch (request->body_case) {
	case RESOLVERD__V1__REQUEST__BODY_PLAN:
	case RESOLVERD__V1__REQUEST__BODY_HOST:
	case RESOLVERD__V1__REQUEST__BODY_RECORDS:
		if (request->nonce.len != 0)
			send_error(session, request->id, V1(ERROR_CODE__UNSUPPORTED),
			    "this version makes no attestations; send no nonce");
		else if (read_request(request, &question, text, sizeof text) != 0)
			send_error(session, request->id, V1(ERROR_CODE__BAD_REQUEST), text);
		else
			start(session, request->id, &question);
		return;
	case RESOLVERD__V1__REQUEST__BODY_STATUS:
		send_status(session, request->id);
		return;
	default:
		send_error(session, request->id, V1(ERROR_CODE__UNSUPPORTED),
		    "this version knows the requests plan, host, records and status");
	}
}

static int on_frame(struct conn *conn, const uint8_t *body, size_t body_bytes)
{
	struct session *session = conn->owner;
	Resolverd__V1__Request *request = resolverd__v1__request__unpack(NULL, body_bytes, body);
	if (request == NULL) {
		send_error(session, 0, V1(ERROR_CODE__MALFORMED), "the frame holds no Request");
		return -EBADMSG;
	}
	dispatch(session, request);
	resolverd__v1__request__free_unpacked(request, NULL);
	return 0;
}

static void on_malformed(struct conn *conn, const char *what)
{
	char text[200];
	snprintf(
	    text, sizeof text, "%s; a request is 1 to %u bytes", what, FRAME_MAX_REQUEST_BYTES);
	send_error(conn->owner, 0, V1(ERROR_CODE__MALFORMED), text);
}

/* ---- sessions ---- */

void session_close(struct session *session)
{
	struct server *server = session->server;
	struct pending *pending;
	while ((pending = LIST_FIRST(&session->pending)) != NULL)
		pending_free(pending);
	conn_fini(&session->conn);
	LIST_REMOVE(session, link);
	server->session_count--;
	free(session);
	server_resume_accepting(server);
}

static void on_close(struct conn *conn)
{
	session_close(conn->owner);
}

static const struct conn_handler client_handler = {
    .on_frame = on_frame, .on_malformed = on_malformed, .on_close = on_close};

void session_open(struct server *server, int fd)
{
	struct session *session = calloc(1, sizeof *session);
	if (session == NULL || conn_init(&session->conn, server->base, fd, FRAME_MAX_REQUEST_BYTES,
				   OUT_MAX_BYTES, &client_handler, session) != 0) {
		free(session);
		close(fd);
		return;
	}
	session->server = server;
	LIST_INIT(&session->pending);
	LIST_INSERT_HEAD(&server->sessions, session, link);
	server->session_count++;
}

void sessions_tick(struct server *server, int64_t now_mono_ms)
{
	struct session *session, *next;
	for (session = LIST_FIRST(&server->sessions); session != NULL; session = next) {
		next = LIST_NEXT(session, link);
		if (session->conn.write_stalled_since_ms != 0 &&
		    now_mono_ms - session->conn.write_stalled_since_ms > NOT_READING_MAX_MS)
			session_close(session);
	}
}
