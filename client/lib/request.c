/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client/lib/client.h"
#include "proto/frame.h"

#define BODY(name) RESOLVERD__V1__REQUEST__BODY_##name

/* ---- keeping ---- */

static void list_remove(struct request_list *list, struct request *request)
{
	*(request->previous != NULL ? &request->previous->next : &list->first) = request->next;
	*(request->next != NULL ? &request->next->previous : &list->last) = request->previous;
	request->previous = request->next = NULL;
}

static void list_append(struct request_list *list, struct request *request)
{
	request->previous = list->last;
	request->next = NULL;
	*(list->last != NULL ? &list->last->next : &list->first) = request;
	list->last = request;
}

static struct request **bucket_of(struct resolverd_client *client, uint64_t id)
{
	return &client->buckets[id % REQUEST_BUCKETS];
}

/* A new one, as the next id. */
static void keep(struct resolverd_client *client, struct request *request)
{
	request->id = client->next_id++;
	request->bucket_next = *bucket_of(client, request->id);
	*bucket_of(client, request->id) = request;
	list_append(&client->open, request);
}

struct request *request_find(const struct resolverd_client *client, uint64_t id)
{
	struct request *request = client->buckets[id % REQUEST_BUCKETS];
	while (request != NULL && request->id != id)
		request = request->bucket_next;
	return request;
}

void request_forget(struct resolverd_client *client, struct request *request)
{
	struct request **link = bucket_of(client, request->id);
	while (*link != request)
		link = &(*link)->bucket_next;
	*link = request->bucket_next;
	if (client->first_unreported == request)
		client->first_unreported = request->next;
	list_remove(
	    request->state == REQUEST_FINISHED ? &client->finished : &client->open, request);
	memory_free(request->arena);
	free(request->frame);
	free(request);
}

static void drop_response(struct request *request)
{
	memory_free(request->arena);
	request->arena = NULL;
	request->response = NULL;
}

/* ---- sending ---- */

static bool encode(struct request *request, Resolverd__V1__Request *message, bool attest)
{
	uint8_t nonce[ATTESTATION_NONCE_BYTES] = {0}; /* of each sending: queue */
	message->id = request->id;
	if (attest) {
		Resolverd__V1__Request head;
		resolverd__v1__request__init(&head);
		head.id = request->id;
		request->nonce_at = FRAME_HEADER_BYTES + 2 + /* its tag and length */
				    resolverd__v1__request__get_packed_size(&head);
		message->nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
	}
	size_t body_bytes = resolverd__v1__request__get_packed_size(message);
	if (body_bytes > FRAME_MAX_REQUEST_BYTES)
		return false;
	request->frame_bytes = FRAME_HEADER_BYTES + body_bytes;
	request->frame = malloc(request->frame_bytes);
	if (request->frame == NULL)
		return false;
	frame_put_header(request->frame, body_bytes);
	resolverd__v1__request__pack(message, request->frame + FRAME_HEADER_BYTES);
	return true;
}

/* The frame at the end of the output. */
static bool queue(struct resolverd_client *client, struct request *request)
{
	if (request->nonce_at != 0)
		randombytes_buf(request->frame + request->nonce_at, ATTESTATION_NONCE_BYTES);
	return buffer_append(&client->out, request->frame, request->frame_bytes);
}

bool request_can_be_attested(Resolverd__V1__Request__BodyCase kind)
{
	return kind == BODY(PLAN) || kind == BODY(HOST) || kind == BODY(RECORDS);
}

int request_submit(struct resolverd_client *client, Resolverd__V1__Request *message,
    const struct asked *asked, bool internal, struct request **ret_request)
{
	struct request *request = calloc(1, sizeof *request);
	if (request == NULL)
		return RESOLVERD_ERROR_MEMORY;
	request->id = client->next_id;
	request->sent_over = client->connections;
	request->kind = message->body_case;
	request->internal = internal;
	if (asked != NULL)
		request->asked = *asked;
	/* Not connected: request_send_all sends it. */
	if (!encode(
		request, message, client->attest && request_can_be_attested(message->body_case)) ||
	    (client->fd >= 0 && !queue(client, request))) {
		free(request->frame);
		free(request);
		return RESOLVERD_ERROR_MEMORY;
	}
	if (client->fd >= 0 && request->kind == BODY(STATUS))
		client->status_in_flight++;
	keep(client, request);
	*ret_request = request;
	return 0;
}

static int submit_own_status(struct resolverd_client *client)
{
	Resolverd__V1__StatusRequest status;
	resolverd__v1__status_request__init(&status);
	Resolverd__V1__Request message;
	resolverd__v1__request__init(&message);
	message.body_case = BODY(STATUS);
	message.status = &status;
	struct request *request;
	return request_submit(client, &message, NULL, true, &request);
}

int request_send_all(struct resolverd_client *client)
{
	struct request *last = client->open.last;
	int r = submit_own_status(client);
	for (struct request *request = client->open.first; r == 0 && last != NULL;
	     request = request->next) {
		if (!queue(client, request))
			r = RESOLVERD_ERROR_MEMORY;
		client->status_in_flight += request->kind == BODY(STATUS);
		request->sent_over = client->connections;
		if (request == last)
			break;
	}
	return r;
}

/* ---- finishing ---- */

static void finish(struct resolverd_client *client, struct request *request)
{
	list_remove(&client->open, request);
	request->state = REQUEST_FINISHED;
	request->response = NULL;
	list_append(&client->finished, request);
	if (client->first_unreported == NULL)
		client->first_unreported = request;
	if (request->internal)
		request_forget(client, request);
}

/* Takes a finished request back among the open ones. */
static void reopen(struct resolverd_client *client, struct request *request)
{
	if (client->first_unreported == request)
		client->first_unreported = request->next;
	list_remove(&client->finished, request);
	request->state = REQUEST_SENT;
	list_append(&client->open, request);
}

int request_watch_on(struct resolverd_client *client, struct request *request)
{
	reopen(client, request);
	request->result = NULL;
	/* Meanwhile over another connection: that one does not know of it. Without any:
	 * request_send_all sends it. */
	if (client->fd < 0 || request->sent_over == client->connections)
		return 0;
	request->sent_over = client->connections;
	return buffer_append(&client->out, request->frame, request->frame_bytes)
		   ? 0
		   : RESOLVERD_ERROR_MEMORY;
}

void request_fail(
    struct resolverd_client *client, struct request *request, int error, const char *detail)
{
	drop_response(request);
	request->error = error;
	snprintf(request->detail, sizeof request->detail, "%s", detail);
	finish(client, request);
}

void request_fail_all(struct resolverd_client *client, int error, const char *detail)
{
	while (client->open.first != NULL)
		request_fail(client, client->open.first, error, detail);
}

void request_lost_connection(struct resolverd_client *client)
{
	for (struct request *request = client->open.first, *next; request != NULL; request = next) {
		next = request->next;
		drop_response(request);
		request->state = REQUEST_SENT;
		request->held_before = false;
		if (request->resubmitted || request->internal)
			request_fail(client, request, RESOLVERD_ERROR_NO_DAEMON,
			    client->goodbye[0] != '\0' ? client->goodbye
						       : "the daemon closed the connection twice");
		else
			request->resubmitted = true;
	}
}

/* What the file holds changes with the daemon's long-term keys. While it can't be read what it held
 * counts. */
static void read_trusted_keys(struct resolverd_client *client)
{
	char detail[DETAIL_MAX];
	(void)!trusted_keys_load(client->public_key_file, &client->trusted, detail);
}

static int view(struct resolverd_client *client, struct request *request)
{
	struct verifier verifier = {.keyring = &client->keyring,
	    .remembered = &client->remembered,
	    .now_ms = client->now_ms(),
	    .arena = request->arena,
	    .detail = request->detail};
	const Resolverd__V1__Response *response = request->response;
	int r = request->nonce_at == 0
		    ? 0
		    : attested_check(&verifier, response->attestation, request->leaf);
	if (r != 0)
		return r;
	verifier.attested = request->nonce_at != 0;
	switch (request->kind) {
	case BODY(PLAN):
	case BODY(WARM):
	case BODY(WATCH): {
		struct resolverd_plan *plan = NULL;
		r = view_plan(&verifier, &request->asked, response, &plan);
		request->result = plan;
		return r;
	}
	case BODY(HOST): {
		struct resolverd_host *host = NULL;
		r = view_host_response(&verifier, &request->asked, response, &host);
		request->result = host;
		return r;
	}
	case BODY(RECORDS): {
		struct resolverd_records *records = NULL;
		r = view_records(&verifier, &request->asked, response, &records);
		request->result = records;
		return r;
	}
	case BODY(EXPLAIN): {
		struct resolverd_explanation *explanation = NULL;
		r = view_explanation(&verifier, &request->asked, response, &explanation);
		request->result = explanation;
		return r;
	}
	case BODY(DUMP): {
		struct resolverd_dump *dump = NULL;
		r = view_dump(&verifier, response->dump, &dump);
		request->result = dump;
		return r;
	}
	case BODY(FLUSH):
	case BODY(RELOAD): {
		struct control_done *done = NULL;
		r = view_done(&verifier, response, &done);
		request->result = done;
		return r;
	}
	case BODY(SEAL): {
		struct resolverd_seal *seal = NULL;
		read_trusted_keys(client); /* no status comes before it */
		r = view_seal(&verifier, &client->trusted, &request->asked, response->seal, &seal);
		request->result = seal;
		return r;
	}
	default: {
		struct resolverd_daemon_status *status = NULL;
		r = view_status(&verifier, &client->trusted, response->status, &status);
		request->result = status;
		return r;
	}
	}
}

/* ---- plans that are live still ---- */

#define CLOCK_STEP_MS 2000

/* Ends are told in wall time: after a step of the clock they mean something else. */
static void watch_clock(struct resolverd_client *client)
{
	int64_t before_ms = client->wall_minus_boot_ms;
	client->wall_minus_boot_ms = (int64_t)(client->now_ms() - client->boot_ms());
	int64_t step_ms = client->wall_minus_boot_ms - before_ms;
	if (step_ms > CLOCK_STEP_MS || step_ms < -CLOCK_STEP_MS)
		plan_cache_forget(&client->plans);
}

/* The daemon has not gone, with its keys, since the connection was last looked at. */
static bool is_connected(const struct resolverd_client *client)
{
	char byte;
	ssize_t n = client->fd >= 0 ? recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) : 0;
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

static bool view_cached(
    struct resolverd_client *client, struct request *request, const struct cached_plan *cached)
{
	Resolverd__V1__Response *response = NULL;
	request->arena = memory_new();
	if (request->arena != NULL)
		response = resolverd__v1__response__unpack(
		    memory_protobuf(request->arena), cached->body_bytes, cached->body);
	request->response = response;
	return response != NULL && view(client, request) == 0;
}

struct request *request_from_cache(struct resolverd_client *client, const struct asked *asked)
{
	watch_clock(client);
	if (client->attest || !is_connected(client))
		return NULL;
	struct cached_plan *cached =
	    plan_cache_find(&client->plans, asked->hop.text, asked->port, client->now_ms());
	struct request *request = cached != NULL ? calloc(1, sizeof *request) : NULL;
	if (request == NULL)
		return NULL;
	request->kind = BODY(PLAN);
	request->asked = *asked;
	if (!view_cached(client, request, cached)) {
		plan_cache_drop(cached);
		memory_free(request->arena);
		free(request);
		return NULL;
	}
	keep(client, request);
	finish(client, request);
	return request;
}

static void cache_plan(struct resolverd_client *client, const struct request *request,
    const uint8_t *body, size_t body_bytes)
{
	if (request->state != REQUEST_FINISHED || request->error != 0)
		return;
	const struct resolverd_plan *plan = request->result;
	if (plan->cacheable)
		plan_cache_store(&client->plans, request->asked.hop.text, request->asked.port, body,
		    body_bytes, client->now_ms(), plan->expires_at_ms);
}

/* ---- deciding ---- */

static const char *why_unknown_key(const struct resolverd_client *client, char detail[DETAIL_MAX])
{
	if (client->keyring.count > 0 || client->keyring.why_empty == NULL)
		snprintf(detail, DETAIL_MAX,
		    "an answer is signed by a key that no valid delegation covers");
	else
		snprintf(detail, DETAIL_MAX, "no usable delegation (keys of %s): %s",
		    client->public_key_file, client->keyring.why_empty);
	return detail;
}

static int ask_again(struct resolverd_client *client, struct request *request)
{
	request->asked_again = true;
	request->state = REQUEST_SENT;
	drop_response(request);
	return queue(client, request) ? 0 : RESOLVERD_ERROR_MEMORY;
}

/* Tries to make a result of the response; holds it when its key may still become known. */
static int settle(struct resolverd_client *client, struct request *request)
{
	char detail[DETAIL_MAX];
	int r = view(client, request);
	if (r == VERIFY_UNKNOWN_KEY && (!request->held_before || client->status_in_flight > 0)) {
		request->state = REQUEST_HELD;
		request->held_before = true;
		return client->status_in_flight > 0 ? 0 : submit_own_status(client);
	}
	if (r == VERIFY_EXPIRED && !request->asked_again)
		return ask_again(client, request);
	if (r == VERIFY_UNKNOWN_KEY) {
		request_fail(
		    client, request, RESOLVERD_ERROR_VERIFY, why_unknown_key(client, detail));
	} else if (r != 0) {
		snprintf(detail, sizeof detail, "%s", request->detail);
		request_fail(client, request, r == VERIFY_EXPIRED ? RESOLVERD_ERROR_VERIFY : r,
		    r == RESOLVERD_ERROR_MEMORY ? resolverd_strerror(r) : detail);
	} else {
		request->resubmitted = request->asked_again = request->held_before = false;
		finish(client, request);
	}
	return 0;
}

static int settle_held(struct resolverd_client *client)
{
	int r = 0;
	for (struct request *request = client->open.first, *next; r == 0 && request != NULL;
	     request = next) {
		next = request->next;
		if (request->state == REQUEST_HELD)
			r = settle(client, request);
	}
	return r;
}

/* ---- receiving ---- */

static void receive_error(
    struct resolverd_client *client, struct request *request, const Resolverd__V1__Error *error)
{
	char detail[DETAIL_MAX];
	snprintf(detail, sizeof detail, "the daemon says: %.300s",
	    error->text[0] != '\0' ? error->text : "an error without text");
	if (request == NULL) {
		memcpy(client->goodbye, detail, sizeof detail);
		return;
	}
	request->retry_after_ms = error->retry_after_ms;
	request_fail(client, request,
	    error->code == RESOLVERD__V1__ERROR_CODE__BUSY ? RESOLVERD_ERROR_BUSY
							   : RESOLVERD_ERROR_REFUSED,
	    detail);
}

/* What rests on other keys is forgotten. */
static void take_keys(struct resolverd_client *client, const Resolverd__V1__StatusResponse *status)
{
	uint8_t keys[KEYRING_HASH_BYTES];
	read_trusted_keys(client);
	keyring_set(&client->keyring, &client->trusted, status, client->now_ms());
	keyring_hash(&client->keyring, keys);
	if (memcmp(client->keys, keys, sizeof keys) != 0) {
		remembered_forget(&client->remembered);
		plan_cache_forget(&client->plans);
	}
	memcpy(client->keys, keys, sizeof keys);
}

/* Of a status request, ours or the caller's: the keys first, then whatever waited for them. */
static int receive_status(struct resolverd_client *client, struct request *request)
{
	const Resolverd__V1__StatusResponse *status = request->response->status;
	if (status == NULL) {
		request_fail(client, request, RESOLVERD_ERROR_PROTOCOL,
		    "the daemon answered a status request with something else");
	} else {
		take_keys(client, status);
		int r = settle(client, request);
		if (r != 0)
			return r;
	}
	return settle_held(client);
}

/* A watch is told again and again: the newest plan counts, whether the one before was taken,
 * waits to be, or waits for its key. */
static void make_way(struct resolverd_client *client, struct request *request)
{
	if (request->kind != BODY(WATCH) || request->error != 0 || request->state == REQUEST_SENT)
		return;
	if (request->state == REQUEST_FINISHED)
		reopen(client, request);
	request->state = REQUEST_SENT;
	drop_response(request);
}

int request_receive(struct resolverd_client *client, const uint8_t *body, size_t body_bytes)
{
	struct resolverd_memory *arena = memory_new();
	if (arena == NULL)
		return RESOLVERD_ERROR_MEMORY;
	Resolverd__V1__Response *response =
	    resolverd__v1__response__unpack(memory_protobuf(arena), body_bytes, body);
	int r = response != NULL       ? 0
		: memory_failed(arena) ? RESOLVERD_ERROR_MEMORY
				       : RESOLVERD_ERROR_PROTOCOL;
	if (r == 0 && response->id >= client->next_id)
		r = RESOLVERD_ERROR_PROTOCOL;
	struct request *request = r == 0 ? request_find(client, response->id) : NULL;
	bool is_status = request != NULL && request->kind == BODY(STATUS);
	if (request != NULL)
		make_way(client, request);
	/* Of a released request, or said twice: not ours to judge. */
	if (r != 0 || (request == NULL && response->error == NULL) ||
	    (request != NULL && request->state != REQUEST_SENT)) {
		memory_free(arena);
		return r;
	}
	if (is_status && client->status_in_flight > 0)
		client->status_in_flight--;
	if (request == NULL || response->error != NULL) {
		receive_error(client, request, response->error);
		memory_free(arena);
		return is_status ? settle_held(client) : 0;
	}
	request->arena = arena;
	request->response = response;
	if (request->nonce_at != 0 &&
	    !attested_leaf(request->frame + request->nonce_at, request->frame + FRAME_HEADER_BYTES,
		request->frame_bytes - FRAME_HEADER_BYTES, body, body_bytes, request->leaf)) {
		request_fail(client, request, RESOLVERD_ERROR_VERIFY,
		    "the response is not attested: its answers cannot be told apart");
		return 0;
	}
	if (is_status)
		return receive_status(client, request);
	r = settle(client, request);
	if (r == 0 && request->kind == BODY(PLAN) && !client->attest)
		cache_plan(client, request, body, body_bytes);
	return r;
}
