/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/fleet/redis.h"

#include <event2/event_struct.h>
#include <hiredis/adapters/libevent.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/base/clock.h"

#define PAUSE_FIRST_MS 100
#define PAUSE_MOST_MS 10000
#define PATIENCE_MS 3000 /* for a connection that is being made, and for a ping */
#define PING_EVERY_MS 1000
#define SOUND_AFTER_MS 10000 /* what was there for so long may be tried at once when it ends */

enum stage { AWAY, ASKING_SENTINEL, CONNECTING, READY };

struct redis {
	struct event_base *base;
	const struct redis_settings *settings;
	const struct redis_handler *handler;
	enum stage stage;
	redisAsyncContext *commands, *notices, *sentinel;
	struct store_server master; /* that a sentinel named */
	unsigned next_sentinel, failures;
	int64_t since_ms;    /* mono; of the stage, or of the ping that is not answered yet */
	int64_t ready_at_ms; /* mono */
	bool pinged, has_role, subscribed;
	struct event again, tick;
	char detail[REDIS_DETAIL_MAX];
};

static void begin(struct redis *redis);

/* ---- leaving ---- */

static void set_timer(struct event *timer, int64_t ms)
{
	const struct timeval after = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
	evtimer_add(timer, &after);
}

/* Its callbacks come from within, with no reply. */
static void drop(redisAsyncContext **context)
{
	redisAsyncContext *old = *context;
	*context = NULL;
	if (old != NULL)
		redisAsyncFree(old);
}

static void leave(struct redis *redis, const char *why)
{
	bool was_ready = redis->stage == READY;
	if (redis->stage == AWAY)
		return;
	redis->stage = AWAY;
	snprintf(redis->detail, sizeof redis->detail, "%s", why);
	drop(&redis->commands);
	drop(&redis->notices);
	drop(&redis->sentinel);
	int64_t pause_ms = PAUSE_FIRST_MS;
	for (unsigned i = 0; i < redis->failures && pause_ms < PAUSE_MOST_MS; i++)
		pause_ms *= 2;
	if (pause_ms > PAUSE_MOST_MS)
		pause_ms = PAUSE_MOST_MS;
	redis->failures += redis->failures < 16;
	set_timer(&redis->again, pause_ms / 2 + randombytes_uniform((uint32_t)pause_ms));
	if (was_ready || redis->failures == 1)
		redis->handler->on_state(redis->handler->arg, false, redis->detail);
}

void redis_leave(struct redis *redis, const char *why)
{
	leave(redis, why);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	begin(arg);
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
	struct redis *redis = context->data;
	char why[REDIS_DETAIL_MAX];
	if (context != redis->commands && context != redis->notices && context != redis->sentinel)
		return; /* we let go of it */
	snprintf(why, sizeof why, "%s",
	    status != REDIS_OK ? context->errstr : "the connection was closed");
	if (context == redis->commands) /* hiredis frees it itself */
		redis->commands = NULL;
	else if (context == redis->notices)
		redis->notices = NULL;
	else
		redis->sentinel = NULL;
	leave(redis, why);
}

static void on_connect(const redisAsyncContext *context, int status)
{
	struct redis *redis = context->data;
	if (status != REDIS_OK)
		on_disconnect(context, status);
	(void)redis;
}

/* ---- one connection ---- */

static redisAsyncContext *open_one(struct redis *redis, const struct store_server *server)
{
	redisAsyncContext *context = server != NULL
					 ? redisAsyncConnect(server->host, server->port)
					 : redisAsyncConnectUnix(redis->settings->address.path);
	if (context == NULL)
		return NULL;
	context->data = redis;
	if (context->err != 0 || redisLibeventAttach(context, redis->base) != REDIS_OK) {
		snprintf(redis->detail, sizeof redis->detail, "%s", context->errstr);
		redisAsyncFree(context);
		return NULL;
	}
	redisAsyncSetConnectCallback(context, on_connect);
	redisAsyncSetDisconnectCallback(context, on_disconnect);
	return context;
}

static bool is_error(const redisReply *reply)
{
	return reply == NULL || reply->type == REDIS_REPLY_ERROR;
}

/* Of SELECT: an error ends it all. */
static void on_greeting(redisAsyncContext *context, void *data, void *arg)
{
	struct redis *redis = arg;
	const redisReply *reply = data;
	if (reply == NULL || (context != redis->commands && context != redis->notices))
		return; /* on_disconnect says it */
	if (is_error(reply))
		leave(redis, reply->str);
}

/* An error may quote the command: of what it says only the first word is told. */
static void on_auth(redisAsyncContext *context, void *data, void *arg)
{
	struct redis *redis = arg;
	const redisReply *reply = data;
	char why[REDIS_DETAIL_MAX];
	if (reply == NULL || !is_error(reply) ||
	    (context != redis->commands && context != redis->notices))
		return;
	snprintf(why, sizeof why, "it refuses the credentials: %.*s", (int)strcspn(reply->str, " "),
	    reply->str);
	leave(redis, why);
}

static void greet(struct redis *redis, redisAsyncContext *context)
{
	const struct redis_settings *settings = redis->settings;
	if (settings->password[0] != '\0' && settings->user[0] != '\0')
		redisAsyncCommand(
		    context, on_auth, redis, "AUTH %s %s", settings->user, settings->password);
	else if (settings->password[0] != '\0')
		redisAsyncCommand(context, on_auth, redis, "AUTH %s", settings->password);
	if (settings->database != 0)
		redisAsyncCommand(context, on_greeting, redis, "SELECT %u", settings->database);
}

/* ---- the two ---- */

/* Once both connections are good. */
static void become_ready(struct redis *redis)
{
	char where[REDIS_DETAIL_MAX];
	const struct store_address *address = &redis->settings->address;
	const struct store_server *server =
	    address->kind == STORE_SENTINEL ? &redis->master : &address->servers[0];
	if (redis->stage != CONNECTING || !redis->has_role || !redis->subscribed)
		return;
	redis->stage = READY;
	redis->ready_at_ms = clock_mono_ms();
	redis->pinged = false;
	if (address->kind == STORE_UNIX)
		snprintf(where, sizeof where, "unix:%s", address->path);
	else
		snprintf(where, sizeof where, "%.150s port %u", server->host, server->port);
	redis->handler->on_state(redis->handler->arg, true, where);
}

static void on_notice(redisAsyncContext *context, void *data, void *arg)
{
	struct redis *redis = arg;
	const redisReply *reply = data;
	if (reply == NULL || context != redis->notices)
		return;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 ||
	    reply->element[0]->type != REDIS_REPLY_STRING) {
		leave(redis, is_error(reply) ? reply->str : "it says what is no notice");
		return;
	}
	const redisReply *kind = reply->element[0], *what = reply->element[2];
	if (strcmp(kind->str, "message") == 0 && what->type == REDIS_REPLY_STRING)
		redis->handler->on_notice(
		    redis->handler->arg, (const uint8_t *)what->str, (size_t)what->len);
	redis->subscribed |= strcmp(kind->str, "subscribe") == 0;
	become_ready(redis);
}

/* The last word of the greeting of commands: ["master", ...]. What is a replica can't be written.
 */
static void on_role(redisAsyncContext *context, void *data, void *arg)
{
	struct redis *redis = arg;
	const redisReply *reply = data;
	if (reply == NULL || context != redis->commands)
		return;
	bool says = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
		    reply->element[0]->type == REDIS_REPLY_STRING;
	if (!says)
		leave(redis, is_error(reply) ? reply->str : "it is no Redis");
	else if (redis->settings->address.kind == STORE_SENTINEL &&
		 strcmp(reply->element[0]->str, "master") != 0)
		leave(redis, "the master that the sentinels name is none any more");
	redis->has_role = says;
	become_ready(redis);
}

static void open_both(struct redis *redis, const struct store_server *server)
{
	redis->stage = CONNECTING;
	redis->has_role = redis->subscribed = false;
	redis->since_ms = clock_mono_ms();
	redis->commands = open_one(redis, server);
	redis->notices = redis->commands != NULL ? open_one(redis, server) : NULL;
	if (redis->notices == NULL) {
		char why[REDIS_DETAIL_MAX];
		snprintf(why, sizeof why, "%s", redis->detail);
		leave(redis, why);
		return;
	}
	greet(redis, redis->commands);
	redisAsyncCommand(redis->commands, on_role, redis, "ROLE");
	greet(redis, redis->notices);
	redisAsyncCommand(
	    redis->notices, on_notice, redis, "SUBSCRIBE %s", redis->settings->channel);
}

/* ---- sentinels ---- */

static void on_master(redisAsyncContext *context, void *data, void *arg)
{
	struct redis *redis = arg;
	const redisReply *reply = data;
	if (reply == NULL || context != redis->sentinel)
		return;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_STRING ||
	    reply->element[1]->type != REDIS_REPLY_STRING ||
	    strlen(reply->element[0]->str) >= sizeof redis->master.host) {
		leave(redis, is_error(reply) ? reply->str : "the sentinel knows no such master");
		return;
	}
	snprintf(redis->master.host, sizeof redis->master.host, "%s", reply->element[0]->str);
	redis->master.port = (uint16_t)strtoul(reply->element[1]->str, NULL, 10);
	drop(&redis->sentinel);
	open_both(redis, &redis->master);
}

static void ask_sentinel(struct redis *redis)
{
	const struct store_address *address = &redis->settings->address;
	const struct store_server *server =
	    &address->servers[redis->next_sentinel++ % address->server_count];
	redis->stage = ASKING_SENTINEL;
	redis->since_ms = clock_mono_ms();
	redis->sentinel = open_one(redis, server);
	if (redis->sentinel == NULL) {
		char why[REDIS_DETAIL_MAX];
		snprintf(why, sizeof why, "%s", redis->detail);
		leave(redis, why);
		return;
	}
	redisAsyncCommand(redis->sentinel, on_master, redis, "SENTINEL get-master-addr-by-name %s",
	    address->master);
}

static void begin(struct redis *redis)
{
	switch (redis->settings->address.kind) {
	case STORE_SENTINEL:
		ask_sentinel(redis);
		break;
	case STORE_TCP:
		open_both(redis, &redis->settings->address.servers[0]);
		break;
	default:
		open_both(redis, NULL);
	}
}

/* ---- does it live? ---- */

static void on_pong(redisAsyncContext *context, void *data, void *arg)
{
	struct redis *redis = arg;
	if (data != NULL && context == redis->commands)
		redis->pinged = false;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct redis *redis = arg;
	int64_t now_ms = clock_mono_ms();
	(void)fd, (void)what;
	if (redis->stage == AWAY)
		return;
	if ((redis->stage != READY || redis->pinged) && now_ms - redis->since_ms > PATIENCE_MS) {
		leave(redis, "no answer in time");
		return;
	}
	if (redis->stage == READY && now_ms - redis->ready_at_ms > SOUND_AFTER_MS)
		redis->failures = 0;
	if (redis->stage == READY && !redis->pinged) {
		redis->pinged = true;
		redis->since_ms = now_ms;
		redisAsyncCommand(redis->commands, on_pong, redis, "PING");
	}
}

struct redis *redis_new(struct event_base *base, const struct redis_settings *settings,
    const struct redis_handler *handler)
{
	const struct timeval every = {
	    .tv_sec = PING_EVERY_MS / 1000, .tv_usec = PING_EVERY_MS % 1000 * 1000};
	struct redis *redis = calloc(1, sizeof *redis);
	if (redis == NULL)
		return NULL;
	redis->base = base;
	redis->settings = settings;
	redis->handler = handler;
	evtimer_assign(&redis->again, base, on_again, redis);
	event_assign(&redis->tick, base, -1, EV_PERSIST, on_tick, redis);
	if (event_add(&redis->tick, &every) != 0) {
		free(redis);
		return NULL;
	}
	set_timer(&redis->again, 0);
	return redis;
}

redisAsyncContext *redis_commands(const struct redis *redis)
{
	return redis->stage == READY ? redis->commands : NULL;
}
