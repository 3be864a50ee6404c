/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/frame.h"
#include "proto/names.h"
#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"
#include "resolverd/server/hot.h"
#include "resolverd/server/pending.h"

#define V1(name) RESOLVERD__V1__##name
#define OUT_MAX_BYTES (256u * 1024u) /* unread output; then it is not read */
#define NOT_READING_MAX_MS 30000
#define REFUSAL_MAX_BYTES 200u
#define BUSY_RETRY_MS 1000u
#define KEEP_MAX_S (366u * 86400u)
#define HOLD_DOWN_DEFAULT_MS 1000u

/* ---- responses ---- */

void session_send(struct session *session, const Resolverd__V1__Response *response)
{
	size_t bytes = resolverd__v1__response__get_packed_size(response);
	uint8_t *out = conn_reserve(&session->conn, FRAME_HEADER_BYTES + bytes);
	if (out == NULL)
		return;
	frame_put_header(out, bytes);
	resolverd__v1__response__pack(response, out + FRAME_HEADER_BYTES);
	conn_commit(&session->conn, FRAME_HEADER_BYTES + bytes);
}

void session_send_error(
    struct session *session, uint64_t id, Resolverd__V1__ErrorCode code, const char *text)
{
	Resolverd__V1__Error error = RESOLVERD__V1__ERROR__INIT;
	Resolverd__V1__Response response = RESOLVERD__V1__RESPONSE__INIT;
	error.code = code;
	error.text = (char *)(uintptr_t)text;
	error.retry_after_ms = code == V1(ERROR_CODE__BUSY) ? BUSY_RETRY_MS : 0;
	response.id = id;
	response.error = &error;
	session_send(session, &response);
}

#define ATTESTATION_FIELD_TAG (7u << 3 | 2u) /* of a Response */

void session_send_answers(struct session *session, uint64_t id, struct answer *const *answers,
    unsigned count, const Resolverd__V1__Attestation *attestation)
{
	uint8_t head[16], tail[16];
	size_t head_bytes = 0, tail_bytes = 0, attestation_bytes = 0;
	if (id != 0) {
		head[head_bytes++] = 1u << 3;
		head_bytes += varint_put(head + head_bytes, id);
	}
	if (attestation != NULL) {
		attestation_bytes = resolverd__v1__attestation__get_packed_size(attestation);
		tail[tail_bytes++] = ATTESTATION_FIELD_TAG;
		tail_bytes += varint_put(tail + tail_bytes, attestation_bytes);
	}
	size_t bytes = head_bytes + tail_bytes + attestation_bytes;
	for (unsigned i = 0; i < count; i++)
		bytes += answers[i]->blob_bytes;
	if (bytes > FRAME_MAX_RESPONSE_BYTES) {
		session_send_error(session, id, V1(ERROR_CODE__INTERNAL),
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
	if (attestation != NULL) {
		memcpy(out, tail, tail_bytes);
		resolverd__v1__attestation__pack(attestation, out + tail_bytes);
	}
	conn_commit(&session->conn, FRAME_HEADER_BYTES + bytes);
}

/* ---- requests ---- */

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
	question->explain = request->body_case == RESOLVERD__V1__REQUEST__BODY_EXPLAIN;
	question->warm = request->body_case == RESOLVERD__V1__REQUEST__BODY_WARM;
	question->watch = request->body_case == RESOLVERD__V1__REQUEST__BODY_WATCH;
	if (question->watch) {
		name = request->watch->next_hop;
		port = request->watch->port;
		question->hold_down_ms = request->watch->hold_down_ms;
	} else if (question->warm) {
		name = request->warm->next_hop;
		port = request->warm->port;
		question->deadline_ms = request->warm->deadline_ms;
		question->keep_s =
		    request->warm->keep_s < KEEP_MAX_S ? request->warm->keep_s : KEEP_MAX_S;
	} else if (question->explain) {
		name = request->explain->next_hop;
		port = request->explain->port;
		question->replace = request->explain->replace;
		question->deadline_ms = request->explain->deadline_ms;
	} else if (request->body_case == RESOLVERD__V1__REQUEST__BODY_PLAN) {
		name = request->plan->next_hop;
		port = request->plan->port;
		question->deadline_ms = request->plan->deadline_ms;
	}
	if (name != NULL) {
		struct next_hop hop;
		r = next_hop_parse(name, &hop);
		if (r != NAME_OK)
			return bad_request(text, text_bytes, "next_hop", name, name_error_text(r));
		question->kind = V1(KIND__ROUTE);
		memcpy(question->name, hop.text, sizeof hop.text);
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

static void seal_send(struct session *session, const Resolverd__V1__Request *request)
{
	const ProtobufCBinaryData *hash = &request->seal->hash;
	Resolverd__V1__Response response = RESOLVERD__V1__RESPONSE__INIT;
	if (hash->len != SEAL_HASH_BYTES) {
		session_send_error(session, request->id, V1(ERROR_CODE__BAD_REQUEST),
		    "seal wants the hash of a record: 32 bytes of BLAKE2b-256");
		return;
	}
	if (session->server->health.clock_problem[0] != '\0') {
		session_send_error(session, request->id, V1(ERROR_CODE__INTERNAL),
		    session->server->health.clock_problem);
		return;
	}
	response.id = request->id;
	response.seal = signer_seal(&session->server->signer, hash->data, clock_wall_ms());
	if (response.seal == NULL)
		session_send_error(session, request->id, V1(ERROR_CODE__INTERNAL),
		    "no seal at the moment: no delegation yet, or out of memory");
	else
		session_send(session, &response);
	conn_yield(&session->conn); /* a signature for each */
	resolverd__v1__signed_seal__free_unpacked(response.seal, NULL);
}

/* ---- watches ---- */

void session_look(void *arg, struct watch *watch)
{
	(void)arg;
	pending_watch(watch->owner, watch);
}

bool session_tell(void *arg, struct watch *watch, struct answer *const *answers, unsigned count)
{
	struct session *session = watch->owner;
	(void)arg;
	if (conn_is_full(&session->conn))
		return false;
	session_send_answers(session, watch->id, answers, count, NULL);
	return true;
}

static struct watch *find_watch(const struct session *session, uint64_t id)
{
	struct watch *watch;
	LIST_FOREACH(watch, &session->watches, of_owner)
	if (watch->id == id)
		break;
	return watch;
}

static void refuse_watch(struct session *session, uint64_t id, uint32_t most, const char *whose)
{
	char text[120];
	snprintf(
	    text, sizeof text, "%s watches %u next hops already, which is the most", whose, most);
	session_send_error(session, id, V1(ERROR_CODE__BAD_REQUEST), text);
}

static void start_watch(struct session *session, uint64_t id, const struct question *question)
{
	struct watches *watches = &session->server->watches;
	struct watch *watch = find_watch(session, id);
	int64_t now_ms = clock_wall_ms();
	if (watch != NULL && strcmp(watch->next_hop, question->name) == 0 &&
	    watch->port == question->port) {
		watch_repeat(watches, watch, now_ms);
	} else if (watch != NULL) {
		session_send_error(session, id, V1(ERROR_CODE__BAD_REQUEST),
		    "id: a watch of another next hop has it");
	} else if (session->watch_count >= WATCHES_PER_CLIENT_MAX) {
		refuse_watch(session, id, WATCHES_PER_CLIENT_MAX, "this session");
	} else if (session->user->watches >= WATCHES_PER_USER_MAX) {
		refuse_watch(session, id, WATCHES_PER_USER_MAX, "this user");
	} else if (watch_new(watches, session, id, question->name, question->port,
		       question->hold_down_ms != 0 ? question->hold_down_ms : HOLD_DOWN_DEFAULT_MS,
		       &watch) != 0) {
		session_send_error(session, id, V1(ERROR_CODE__INTERNAL), "out of memory");
	} else {
		LIST_INSERT_HEAD(&session->watches, watch, of_owner);
		session->watch_count++;
		session->user->watches++;
		watch_repeat(watches, watch, now_ms);
	}
}

static void end_watches(struct session *session)
{
	struct watch *watch;
	session->user->watches -= session->watch_count;
	while ((watch = LIST_FIRST(&session->watches)) != NULL) {
		LIST_REMOVE(watch, of_owner);
		watch_free(&session->server->watches, watch);
	}
}

/* ---- dispatch ---- */

static bool is_for_control(const Resolverd__V1__Request *request)
{
	return request->body_case == RESOLVERD__V1__REQUEST__BODY_EXPLAIN ||
	       request->body_case == RESOLVERD__V1__REQUEST__BODY_WARM ||
	       request->body_case == RESOLVERD__V1__REQUEST__BODY_DUMP ||
	       request->body_case == RESOLVERD__V1__REQUEST__BODY_FLUSH ||
	       request->body_case == RESOLVERD__V1__REQUEST__BODY_RELOAD;
}

static void dispatch(
    struct session *session, const Resolverd__V1__Request *request, struct question *question)
{
	char text[400];
	session->server->requests++;
	if (is_for_control(request) && !session->is_control) {
		session_send_error(session, request->id, V1(ERROR_CODE__BAD_REQUEST),
		    "explain, warm, dump, flush and reload are asked on the control socket, "
		    "server.control-socket");
		return;
	}
	switch (request->body_case) {
	case RESOLVERD__V1__REQUEST__BODY_DUMP:
		administer_dump(session, request);
		return;
	case RESOLVERD__V1__REQUEST__BODY_FLUSH:
		administer_flush(session, request->id);
		return;
	case RESOLVERD__V1__REQUEST__BODY_RELOAD:
		administer_reload(session, request->id);
		return;
	case RESOLVERD__V1__REQUEST__BODY_EXPLAIN:
	case RESOLVERD__V1__REQUEST__BODY_WARM:
	case RESOLVERD__V1__REQUEST__BODY_PLAN:
	case RESOLVERD__V1__REQUEST__BODY_HOST:
	case RESOLVERD__V1__REQUEST__BODY_RECORDS:
	case RESOLVERD__V1__REQUEST__BODY_WATCH:
		if (read_request(request, question, text, sizeof text) != 0)
			session_send_error(session, request->id, V1(ERROR_CODE__BAD_REQUEST), text);
		else if (question->watch)
			start_watch(session, request->id, question);
		else
			pending_start(session, request->id, question);
		return;
	case RESOLVERD__V1__REQUEST__BODY_STATUS:
		status_send(session, request->id);
		return;
	case RESOLVERD__V1__REQUEST__BODY_SEAL:
		seal_send(session, request);
		return;
	default:
		session_send_error(session, request->id, V1(ERROR_CODE__UNSUPPORTED),
		    "this version knows the requests plan, host, records, status, explain, seal, "
		    "warm, watch, dump, flush and reload");
	}
}

/* Returns what is wrong with it, or NULL. */
static const char *read_wish(const Resolverd__V1__Request *request, const uint8_t *body,
    size_t body_bytes, struct attest_wish *wish)
{
	bool is_answered = request->body_case == RESOLVERD__V1__REQUEST__BODY_PLAN ||
			   request->body_case == RESOLVERD__V1__REQUEST__BODY_HOST ||
			   request->body_case == RESOLVERD__V1__REQUEST__BODY_RECORDS;
	wish->wanted = request->nonce.len != 0;
	if (!wish->wanted)
		return NULL;
	if (request->nonce.len != ATTESTATION_NONCE_BYTES)
		return "a nonce has 32 bytes";
	if (!is_answered)
		return "only plan, host and records are attested; send no nonce";
	memcpy(wish->nonce, request->nonce.data, sizeof wish->nonce);
	attestation_hash(body, body_bytes, wish->request_hash);
	return NULL;
}

static int on_frame(struct conn *conn, const uint8_t *body, size_t body_bytes)
{
	struct session *session = conn->owner;
	Resolverd__V1__Request *request = resolverd__v1__request__unpack(NULL, body_bytes, body);
	if (request == NULL) {
		session_send_error(
		    session, 0, V1(ERROR_CODE__MALFORMED), "the frame holds no Request");
		return -EBADMSG;
	}
	struct question question = {0};
	const char *problem = read_wish(request, body, body_bytes, &question.wish);
	if (problem != NULL)
		session_send_error(session, request->id, V1(ERROR_CODE__BAD_REQUEST), problem);
	else
		dispatch(session, request, &question);
	resolverd__v1__request__free_unpacked(request, NULL);
	return 0;
}

static size_t on_frames(struct conn *conn, const struct frame *frames, size_t count)
{
	struct session *session = conn->owner;
	if (session->server->config->server.log_plans)
		return 0; /* on_frame has them logged */
	return hot_serve(session, frames, count);
}

static void on_malformed(struct conn *conn, const char *what)
{
	char text[200];
	snprintf(
	    text, sizeof text, "%s; a request is 1 to %u bytes", what, FRAME_MAX_REQUEST_BYTES);
	session_send_error(conn->owner, 0, V1(ERROR_CODE__MALFORMED), text);
}

/* ---- sessions ---- */

void session_close(struct session *session)
{
	struct server *server = session->server;
	pending_drop_all(session);
	attest_forget(&server->attest, session);
	administer_forget(server, session);
	end_watches(session);
	conn_fini(&session->conn);
	LIST_REMOVE(session, link);
	peers_leave(&server->peers, session->user);
	server->session_count--;
	free(session);
	server_resume_accepting(server);
}

static void on_close(struct conn *conn)
{
	session_close(conn->owner);
}

static const struct conn_handler client_handler = {.on_frames = on_frames,
    .on_frame = on_frame,
    .on_malformed = on_malformed,
    .on_close = on_close};

/* Before there is a session; as far as the socket takes it. */
static void send_refusal(int fd, Resolverd__V1__ErrorCode code, const char *text)
{
	uint8_t frame[FRAME_HEADER_BYTES + REFUSAL_MAX_BYTES];
	Resolverd__V1__Error error = RESOLVERD__V1__ERROR__INIT;
	Resolverd__V1__Response response = RESOLVERD__V1__RESPONSE__INIT;
	error.code = code;
	error.text = (char *)(uintptr_t)text;
	response.error = &error;
	size_t bytes = resolverd__v1__response__get_packed_size(&response);
	if (bytes > REFUSAL_MAX_BYTES)
		return;
	frame_put_header(frame, bytes);
	resolverd__v1__response__pack(&response, frame + FRAME_HEADER_BYTES);
	(void)send(fd, frame, FRAME_HEADER_BYTES + bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static const char not_welcome[] =
    "this user may not ask: see server.allow-users and server.allow-groups";

/* Takes fd only with 0. */
static int admit(struct server *server, int fd, bool is_control, struct session *session)
{
	int r = peers_join(&server->peers, fd, is_control, &session->user);
	if (r == -EACCES || r == -EPERM)
		send_refusal(fd, V1(ERROR_CODE__FORBIDDEN), not_welcome);
	if (r == -EUSERS)
		send_refusal(fd, V1(ERROR_CODE__BUSY),
		    "this user has as many connections as server.max-clients-per-user allows");
	if (r == 0 && conn_init(&session->conn, server->base, &server->buffers, fd,
			  FRAME_MAX_REQUEST_BYTES, OUT_MAX_BYTES, &client_handler, session) != 0) {
		peers_leave(&server->peers, session->user);
		r = -ENOMEM;
	}
	if (r == 0)
		session->conn.quota = &session->user->held;
	return r;
}

void session_open(struct server *server, int fd, bool is_control)
{
	struct session *session = calloc(1, sizeof *session);
	if (session == NULL || admit(server, fd, is_control, session) != 0) {
		free(session);
		close(fd);
		return;
	}
	session->server = server;
	session->is_control = is_control;
	LIST_INIT(&session->pending);
	LIST_INIT(&session->watches);
	LIST_INSERT_HEAD(&server->sessions, session, link);
	server->session_count++;
}

void session_dismiss(struct session *session)
{
	session->server->peers.refused_count++;
	session_send_error(session, 0, V1(ERROR_CODE__FORBIDDEN), not_welcome);
	conn_close(&session->conn);
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
