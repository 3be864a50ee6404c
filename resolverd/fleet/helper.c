/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/fleet/helper.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "fleet.pb-c.h"
#include "proto/frame.h"
#include "resolverd/base/conn.h"
#include "resolverd/base/file.h"
#include "resolverd/base/log.h"
#include "resolverd/base/role.h"
#include "resolverd/base/sandbox.h"
#include "resolverd/base/store.h"
#include "resolverd/fleet/redis.h"

#define FLEET(name) RESOLVERD__FLEET__##name
#define IN_FLIGHT_MAX 8192u
#define MEMORY_MAX_BYTES (192u << 20) /* a store may send a value of any size */
#define CREDENTIALS_MAX_BYTES 1024u
#define INSTANCE_BYTES 8u /* in front of a notice: whose it is */
#define TOKEN_TEXT_MAX (2 * INSTANCE_BYTES + 24)

struct helper {
	const struct config *config;
	struct event_base *base;
	struct conn_buffers buffers;
	struct conn server;
	struct redis_settings settings;
	struct redis *redis;
	char channel[STORE_PREFIX_MAX + 16];
	uint8_t instance[INSTANCE_BYTES];
	uint64_t leases;
	unsigned in_flight;
	bool refuses; /* the store: what is put; said once */
};

enum kind { READ, LEASE, PUT, OTHER };

struct asked { /* of the store */
	struct helper *helper;
	uint64_t id; /* 0: nobody waits */
	enum kind kind;
};

/* ---- to the server ---- */

static void send_reply(struct helper *helper, const Resolverd__Fleet__StoreReply *reply)
{
	size_t bytes = resolverd__fleet__store_reply__get_packed_size(reply);
	uint8_t *out = conn_reserve(&helper->server, FRAME_HEADER_BYTES + bytes);
	if (out == NULL)
		return;
	frame_put_header(out, bytes);
	resolverd__fleet__store_reply__pack(reply, out + FRAME_HEADER_BYTES);
	conn_commit(&helper->server, FRAME_HEADER_BYTES + bytes);
}

static void answer(struct helper *helper, uint64_t id, Resolverd__Fleet__StoreResult result,
    const char *value, size_t count)
{
	Resolverd__Fleet__StoreReply reply = FLEET(STORE_REPLY__INIT);
	if (id == 0)
		return;
	reply.id = id;
	reply.result = result;
	reply.value = (ProtobufCBinaryData){.len = count, .data = (uint8_t *)(uintptr_t)value};
	send_reply(helper, &reply);
}

static void answer_count(struct helper *helper, uint64_t id, long long count)
{
	Resolverd__Fleet__StoreReply reply = FLEET(STORE_REPLY__INIT);
	if (id == 0)
		return;
	reply.id = id;
	reply.result = count > 0 ? FLEET(STORE_RESULT__DONE) : FLEET(STORE_RESULT__NOTHING);
	reply.count = count > 0 ? (uint64_t)count : 0;
	send_reply(helper, &reply);
}

static void on_state(void *arg, bool ready, const char *detail)
{
	Resolverd__Fleet__StoreReply reply = FLEET(STORE_REPLY__INIT);
	Resolverd__Fleet__StoreState state = FLEET(STORE_STATE__INIT);
	state.connected = ready;
	state.detail = (char *)(uintptr_t)detail;
	reply.state = &state;
	send_reply(arg, &reply);
}

static void on_notice(void *arg, const uint8_t *bytes, size_t count)
{
	struct helper *helper = arg;
	Resolverd__Fleet__StoreReply reply = FLEET(STORE_REPLY__INIT);
	if (count <= INSTANCE_BYTES || count > FRAME_MAX_REQUEST_BYTES ||
	    memcmp(bytes, helper->instance, INSTANCE_BYTES) == 0)
		return;
	reply.notice = (ProtobufCBinaryData){
	    .len = count - INSTANCE_BYTES, .data = (uint8_t *)(uintptr_t)bytes + INSTANCE_BYTES};
	send_reply(helper, &reply);
}

/* ---- to the store ---- */

static bool begins_with(const redisReply *reply, const char *word)
{
	return strncmp(reply->str, word, strlen(word)) == 0;
}

static Resolverd__Fleet__StoreResult result_of(const redisReply *reply, enum kind kind)
{
	switch (reply->type) {
	case REDIS_REPLY_STRING:
	case REDIS_REPLY_STATUS:
		return FLEET(STORE_RESULT__DONE);
	case REDIS_REPLY_NIL:
		return FLEET(STORE_RESULT__NOTHING);
	case REDIS_REPLY_ERROR:
		/* A store that is full, read only or not ours to write gives nobody a lease: each
		 * looks up by itself. */
		if (kind == LEASE)
			return FLEET(STORE_RESULT__DONE);
		return begins_with(reply, "WRONGTYPE") ? FLEET(STORE_RESULT__NOTHING)
						       : FLEET(STORE_RESULT__UNAVAILABLE);
	default:
		return FLEET(STORE_RESULT__NOTHING);
	}
}

/* Where nothing can be put the fleet is of no use, though nothing fails. */
static void watch_writes(struct helper *helper, const redisReply *reply)
{
	bool refuses = reply->type == REDIS_REPLY_ERROR;
	if (refuses && !helper->refuses)
		log_warning("fleet-store", "fleet: the store takes nothing: %.150s", reply->str);
	else if (!refuses && helper->refuses)
		log_notice("fleet-store", "fleet: the store takes values again");
	helper->refuses = refuses;
}

static void on_reply(redisAsyncContext *context, void *data, void *arg)
{
	struct asked *asked = arg;
	struct helper *helper = asked->helper;
	const redisReply *reply = data;
	(void)context;
	helper->in_flight--;
	if (reply != NULL && (asked->kind == LEASE || asked->kind == PUT))
		watch_writes(helper, reply);
	if (reply == NULL) {
		answer(helper, asked->id, FLEET(STORE_RESULT__UNAVAILABLE), NULL, 0);
	} else if (reply->type == REDIS_REPLY_INTEGER) {
		answer_count(helper, asked->id, reply->integer);
	} else if (asked->kind == READ && reply->type == REDIS_REPLY_STRING) {
		bool fits = (size_t)reply->len <= STORE_VALUE_MAX_BYTES;
		answer(helper, asked->id,
		    fits ? FLEET(STORE_RESULT__DONE) : FLEET(STORE_RESULT__NOTHING), reply->str,
		    fits ? (size_t)reply->len : 0);
	} else {
		answer(helper, asked->id, result_of(reply, asked->kind), NULL, 0);
	}
	/* What was the master is a replica now. */
	if (reply != NULL && reply->type == REDIS_REPLY_ERROR && begins_with(reply, "READONLY") &&
	    helper->settings.address.kind == STORE_SENTINEL)
		redis_leave(helper->redis, "it has become a replica");
	free(asked);
}

/* Words of any bytes. */
static void command(struct helper *helper, uint64_t id, enum kind kind, int count,
    const char *const *words, const size_t *lengths)
{
	redisAsyncContext *commands = redis_commands(helper->redis);
	struct asked *asked =
	    commands != NULL && helper->in_flight < IN_FLIGHT_MAX ? calloc(1, sizeof *asked) : NULL;
	if (asked == NULL) {
		answer(helper, id, FLEET(STORE_RESULT__UNAVAILABLE), NULL, 0);
		return;
	}
	*asked = (struct asked){.helper = helper, .id = id, .kind = kind};
	helper->in_flight++;
	if (redisAsyncCommandArgv(commands, on_reply, asked, count, (const char **)(uintptr_t)words,
		lengths) == REDIS_OK)
		return;
	helper->in_flight--;
	free(asked);
	answer(helper, id, FLEET(STORE_RESULT__UNAVAILABLE), NULL, 0);
}

static void get(struct helper *helper, uint64_t id, const char *key)
{
	const char *const words[] = {"GET", key};
	const size_t lengths[] = {3, strlen(key)};
	command(helper, id, READ, 2, words, lengths);
}

/* With a life; only_new: unless it is there. */
static void set(struct helper *helper, uint64_t id, enum kind kind, const char *key,
    const char *value, size_t value_bytes, uint64_t life_ms, bool only_new)
{
	char life[24];
	int n = snprintf(life, sizeof life, "%llu", (unsigned long long)life_ms);
	const char *const words[] = {"SET", key, value, "PX", life, "NX"};
	const size_t lengths[] = {3, strlen(key), value_bytes, 2, (size_t)n, 2};
	if (life_ms > 0)
		command(helper, id, kind, only_new ? 6 : 5, words, lengths);
	else
		answer(helper, id, FLEET(STORE_RESULT__NOTHING), NULL, 0);
}

/* It runs out by itself: a holder that is done has put what it found. */
static void lease(struct helper *helper, uint64_t id, const Resolverd__Fleet__StoreLease *lease)
{
	char token[TOKEN_TEXT_MAX], instance[2 * INSTANCE_BYTES + 1];
	sodium_bin2hex(instance, sizeof instance, helper->instance, INSTANCE_BYTES);
	snprintf(token, sizeof token, "%s.%llu", instance, (unsigned long long)++helper->leases);
	set(helper, id, LEASE, lease->key, token, strlen(token), lease->life_ms, true);
}

static void count_up(struct helper *helper, uint64_t id, const char *key, uint64_t life_ms)
{
	char life[24];
	int n = snprintf(life, sizeof life, "%llu", (unsigned long long)life_ms);
	const char *const count[] = {"INCR", key}, *const expire[] = {"PEXPIRE", key, life};
	const size_t lengths[] = {4, strlen(key)}, expire_lengths[] = {7, strlen(key), (size_t)n};
	command(helper, id, OTHER, 2, count, lengths);
	command(helper, 0, OTHER, 3, expire, expire_lengths);
}

static void publish(struct helper *helper, const ProtobufCBinaryData *notice)
{
	uint8_t message[FRAME_MAX_REQUEST_BYTES];
	if (notice->len == 0 || notice->len > sizeof message - INSTANCE_BYTES)
		return;
	memcpy(message, helper->instance, INSTANCE_BYTES);
	memcpy(message + INSTANCE_BYTES, notice->data, notice->len);
	const char *const words[] = {"PUBLISH", helper->channel, (const char *)message};
	const size_t lengths[] = {7, strlen(helper->channel), INSTANCE_BYTES + notice->len};
	command(helper, 0, OTHER, 3, words, lengths);
}

/* ---- from the server ---- */

static int on_frame(struct conn *conn, const uint8_t *body, size_t body_bytes)
{
	struct helper *helper = conn->owner;
	Resolverd__Fleet__StoreRequest *request =
	    resolverd__fleet__store_request__unpack(NULL, body_bytes, body);
	int r = request != NULL ? 0 : -EBADMSG;
	switch (r == 0 ? request->body_case : FLEET(STORE_REQUEST__BODY__NOT_SET)) {
	case FLEET(STORE_REQUEST__BODY_GET):
		get(helper, request->id, request->get->key);
		break;
	case FLEET(STORE_REQUEST__BODY_LEASE):
		lease(helper, request->id, request->lease);
		break;
	case FLEET(STORE_REQUEST__BODY_PUT):
		set(helper, request->id, PUT, request->put->key,
		    (const char *)request->put->value.data, request->put->value.len,
		    request->put->life_ms, request->put->only_new);
		publish(helper, &request->put->notice);
		break;
	case FLEET(STORE_REQUEST__BODY_COUNT):
		count_up(helper, request->id, request->count->key, request->count->life_ms);
		break;
	default:
		r = -EBADMSG;
	}
	resolverd__fleet__store_request__free_unpacked(request, NULL);
	if (r != 0)
		log_fatal("internal-link", "the server sent what is no request to the store");
	return r;
}

static void on_malformed(struct conn *conn, const char *what)
{
	(void)conn;
	log_fatal("internal-link", "the server sent %s", what);
}

static void on_close(struct conn *conn)
{
	struct helper *helper = conn->owner;
	event_base_loopbreak(helper->base);
}

static const struct conn_handler server_handler = {
    .on_frame = on_frame, .on_malformed = on_malformed, .on_close = on_close};

/* ---- start ---- */

/* "PASSWORD", or "USER" and "PASSWORD" on two lines. */
static int take_credentials(struct helper *helper)
{
	const char *path = helper->config->fleet.credentials_file;
	struct redis_settings *settings = &helper->settings;
	char *text;
	if (path[0] == '\0')
		return 0;
	int r = file_read(path, CREDENTIALS_MAX_BYTES, &text);
	if (r != 0) {
		log_fatal("fleet-keys", "fleet.credentials-file %s: %s", path, strerror(-r));
		return r;
	}
	char *save, *first = strtok_r(text, "\r\n", &save), *second = strtok_r(NULL, "\r\n", &save);
	const char *password = second != NULL ? second : first;
	bool good = first != NULL && strlen(password) < sizeof settings->password &&
		    (second == NULL || strlen(first) < sizeof settings->user);
	if (good) {
		snprintf(settings->password, sizeof settings->password, "%s", password);
		snprintf(settings->user, sizeof settings->user, "%s", second != NULL ? first : "");
	} else {
		log_fatal("fleet-keys",
		    "fleet.credentials-file %s: one line, the password, or two, user and password",
		    path);
	}
	sodium_memzero(text, strlen(text));
	free(text);
	return good ? 0 : -EINVAL;
}

/* A name of the store's is looked up by libc, as often as it is connected to. */
static int confine(const struct config *config)
{
	static const struct sandbox_path names[] = {{"/etc/resolv.conf", false},
	    {"/etc/hosts", false}, {"/etc/nsswitch.conf", false}, {"/etc/host.conf", false},
	    {"/etc/gai.conf", false}, {"/etc/services", false}, {"/run/systemd/resolve", false}};
	return sandbox_enter(
	    &(struct sandbox){SANDBOX_FLEET, names, sizeof names / sizeof *names}, config);
}

int helper_main(const struct config *config)
{
	struct helper *helper = calloc(1, sizeof *helper);
	log_open(FLEET_ROLE);
	if (helper == NULL || (helper->base = event_base_new()) == NULL) {
		log_fatal("no-memory", "out of memory");
		return EX_OSERR;
	}
	const struct redis_handler handler = {
	    .on_state = on_state, .on_notice = on_notice, .arg = helper};
	helper->config = config;
	randombytes_buf(helper->instance, sizeof helper->instance);
	snprintf(helper->channel, sizeof helper->channel, "%snotice", config->fleet.key_prefix);
	helper->settings.channel = helper->channel;
	helper->settings.database = config->fleet.database;
	if (store_parse(config->fleet.redis, &helper->settings.address) != NULL ||
	    take_credentials(helper) != 0)
		return EX_CONFIG;
	sandbox_limit_memory(MEMORY_MAX_BYTES);
	if (conn_buffers_init(&helper->buffers) != 0 ||
	    conn_init(&helper->server, helper->base, &helper->buffers, ROLE_FD_CHANNEL,
		STORE_FRAME_MAX_BYTES, SIZE_MAX, &server_handler, helper) != 0) {
		log_fatal("internal-link", "cannot watch the server's socket");
		return EX_OSERR;
	}
	if (confine(config) != 0)
		return EX_OSERR;
	helper->redis = redis_new(helper->base, &helper->settings, &handler);
	if (helper->redis == NULL) {
		log_fatal("no-memory", "out of memory");
		return EX_OSERR;
	}
	event_base_dispatch(helper->base);
	_exit(0); /* what is in flight ends with the process */
}
