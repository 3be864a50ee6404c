/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "proto/combine.h"
#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"
#include "resolverd/base/role.h"
#include "resolverd/server/session.h"

#define SWEEP_PER_TICK 4096u
#define DELEGATE_RETRY_MS 5000
#define CLOCK_STEP_MS 2000
#define OVERRIDE_WARN_MS (INT64_C(86400) * 1000)
#define OVERRIDES_SAID_MAX 100u

/* ---- clients ---- */

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
    int address_bytes, void *arg)
{
	struct server *server = arg;
	(void)address, (void)address_bytes;
	session_open(server, fd, listener == server->control_listener);
	if (listener == server->listener && server->accepting &&
	    server->session_count >= server->config->server.max_clients) {
		log_warning("%u clients are connected, the limit server.max-clients: new ones wait",
		    server->session_count);
		server->accepting = false;
		evconnlistener_disable(server->listener);
	}
}

/* Out of descriptors: accept pauses until a session closes, or the next tick. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	struct server *server = arg;
	log_warning("cannot accept a client: %s; accepting pauses", strerror(errno));
	server->accepting = false;
	evconnlistener_disable(listener);
}

void server_resume_accepting(struct server *server)
{
	if (server->listener == NULL || server->accepting || server->signer.delegation == NULL ||
	    server->session_count >= server->config->server.max_clients)
		return;
	server->accepting = true;
	evconnlistener_enable(server->listener);
}

/* ---- workers' facts become answers ---- */

static void keep(
    struct server *server, const Resolverd__V1__Question *question, struct answer *answer)
{
	struct question_key key;
	uint32_t number =
	    question->kind == RESOLVERD__V1__KIND__RECORDS ? question->type : question->port;
	question_key_make(&key, question->kind, (uint16_t)number, question->name);
	if (answer != NULL)
		cache_put(&server->cache, &key, answer);
}

static void *on_failure(
    void *arg, Resolverd__V1__Question *question, const char *reason, bool traced)
{
	struct server *server = arg;
	struct answer *answer =
	    signer_failure(&server->signer, question, reason, true, clock_wall_ms());
	if (!traced)
		keep(server, question, answer);
	return answer;
}

static void *on_facts(void *arg, Resolverd__Worker__Facts *facts, bool traced)
{
	struct server *server = arg;
	struct answer *answer = signer_answer(&server->signer, facts, clock_wall_ms());
	if (answer == NULL) {
		log_error("'%s': the facts do not fit the question", facts->question->name);
		return on_failure(arg, facts->question,
		    "internal error: the facts do not fit the question", traced);
	}
	if (!traced) /* explain changes nothing */
		keep(server, facts->question, answer);
	return answer;
}

static void on_self_check(void *arg, const Resolverd__Worker__SelfCheck *check)
{
	struct server *server = arg;
	health_take_canaries(&server->health, server->config, check);
}

static void release(void *arg, void *answer)
{
	(void)arg;
	answer_unref(answer);
}

/* ---- the supervisor ---- */

static void ask_delegation(struct server *server)
{
	struct link_message message = {
	    .type = LINK_DELEGATE, .bytes_count = sizeof server->signer.public_key};
	memcpy(message.bytes, server->signer.public_key, sizeof server->signer.public_key);
	server->delegate_asked_at_ms = clock_mono_ms();
	if (link_send(ROLE_FD_CHANNEL, &message, -1) != 0)
		log_error("cannot ask the supervisor for a delegation");
}

static void on_gone(void *arg, uint32_t index, int32_t pid, bool retired)
{
	struct link_message message = {
	    .type = retired ? LINK_WORKER_RETIRED : LINK_WORKER_STUCK, .index = index, .pid = pid};
	(void)arg;
	if (link_send(ROLE_FD_CHANNEL, &message, -1) != 0)
		log_error("cannot tell the supervisor about worker %u", index);
}

/* How an override is doing: said when it is loaded, a day before its end, and then. */
static void say_overrides(struct server *server, int64_t now_ms)
{
	const struct config *config = server->config;
	int64_t before_ms = server->lapses_said_at_ms;
	server->lapses_said_at_ms = now_ms;
	for (size_t i = 0; i < config->override_count; i++) {
		const struct config_override *override = &config->overrides[i];
		int64_t until_ms = override->until_ms, warn_ms = until_ms - OVERRIDE_WARN_MS;
		const char *word = requirement_text((int) override->requirement);
		if (until_ms == 0)
			continue;
		if (before_ms < until_ms && config_override_has_lapsed(override, now_ms))
			log_warning("override '%s' (%s: %s) has lapsed: the normal policy holds",
			    override->next_hop, word, override->reason);
		else if (before_ms < warn_ms && now_ms >= warn_ms && now_ms < until_ms)
			log_warning("override '%s' (%s: %s) lapses in %lld minutes",
			    override->next_hop, word, override->reason,
			    (long long)((until_ms - now_ms) / 60000));
	}
}

static void say_configuration(struct server *server)
{
	const struct config *config = server->config;
	int64_t now_ms = clock_wall_ms();
	server->config_loaded_at_ms = now_ms;
	for (size_t i = 0; i < config->override_count && i < OVERRIDES_SAID_MAX; i++)
		log_notice("override '%s': %s%s%s", config->overrides[i].next_hop,
		    requirement_text((int)config->overrides[i].requirement),
		    config->overrides[i].reason[0] != '\0' ? ", " : "",
		    config->overrides[i].reason);
	for (size_t i = 0; i < config->zone_count; i++)
		if (config_zone_is_insecure(&config->zones[i], now_ms))
			log_warning("zone '%s' is not validated (insecure-until of its section)",
			    config->zones[i].name);
	server->lapses_said_at_ms = 0; /* of an override that ended before, too */
	say_overrides(server, now_ms);
}

/* Of the cache, and what requests wait with. */
static void forget_all(struct server *server)
{
	cache_clear(&server->cache);
	signer_forget_facts(&server->signer);
}

/* The supervisor checked it; the text is parsed here again since a struct can't be sent. */
static void reload(struct server *server, int fd)
{
	struct config next;
	char text[700];
	struct config_source source = *server->source;
	char *config_text = role_read_config(fd);
	source.text = config_text;
	if (config_text == NULL || config_parse(&source, text, sizeof text, &next) != 0) {
		log_error("reload: the new configuration can't be read; the old one stays");
		free(config_text);
		return;
	}
	free(config_text);
	config_keep_fixed(&next, server->config, text, sizeof text);
	bool for_workers = strcmp(next.worker_text, server->config->worker_text) != 0;
	if (for_workers || signer_is_worn(&server->signer))
		forget_all(server);
	if (for_workers) {
		/* What they are finding is found in another way than from now on. */
		pool_renew(&server->pool, true);
		health_forget_canaries(&server->health);
	}
	config_fini(server->config);
	*server->config = next;
	server->pool.deadline_ms = next.resolver.deadline_ms;
	signer_set_config(&server->signer, server->config);
	say_configuration(server);
	server_resume_accepting(server);
}

static void on_tracer_wanted(void *arg)
{
	struct link_message message = {.type = LINK_TRACER};
	(void)arg;
	if (link_send(ROLE_FD_CHANNEL, &message, -1) != 0)
		log_error("cannot ask the supervisor for a worker that explains");
}

static void take_message(struct server *server, const struct link_message *message, int fd)
{
	if (message->type == LINK_WORKER && fd >= 0 && message->index < POOL_PLACES) {
		pool_worker_up(&server->pool, message->index, message->pid, fd);
		return;
	}
	if (message->type == LINK_CONFIG && fd >= 0) {
		reload(server, fd);
		return;
	}
	if (message->type == LINK_RENEW && message->index != 0)
		forget_all(server); /* of all that was found until now nothing counts */
	if (message->type == LINK_RENEW)
		pool_renew(&server->pool, message->index != 0);
	if (message->type == LINK_ANCHOR && message->bytes_count == sizeof server->health.anchor)
		memcpy(&server->health.anchor, message->bytes, sizeof server->health.anchor);
	if (message->type == LINK_DELEGATION) {
		if (signer_set_delegation(&server->signer, message->bytes, message->bytes_count) !=
		    0)
			log_error("the supervisor sent a delegation that is not for our key");
		server_resume_accepting(server);
	}
	if (fd >= 0)
		close(fd);
}

static void on_supervisor(evutil_socket_t link, short what, void *arg)
{
	struct server *server = arg;
	struct link_message message;
	int fd, r;
	(void)what;
	while ((r = link_receive(link, &message, &fd)) == 1)
		take_message(server, &message, fd);
	if (r != -EAGAIN)
		event_base_loopbreak(server->base); /* the supervisor is gone: so are we */
}

/* ---- every second ---- */

static void say_readiness(struct server *server, int64_t now_ms)
{
	struct health_check checks[HEALTH_CHECKS_MAX];
	char reason[800];
	size_t count = health_list(&server->health, server->config, &server->pool, now_ms, checks);
	bool ready = health_is_ready(checks, count, reason, sizeof reason);
	if (server->readiness_said && ready == server->ready)
		return;
	if (ready)
		log_notice("ready: the root key set validates, %u workers are up",
		    pool_workers_up(&server->pool));
	else if (server->ready || now_ms - server->health.started_at_ms > 3000)
		log_error("not ready: %s", reason);
	else
		return; /* just started: give the first lookup its time */
	server->readiness_said = true;
	server->ready = ready;
}

/* Lives are told in wall time: after a step they mean something else. */
static void watch_clock(struct server *server, int64_t wall_minus_mono_ms)
{
	int64_t step_ms = wall_minus_mono_ms - server->wall_minus_mono_ms;
	if (step_ms > CLOCK_STEP_MS || step_ms < -CLOCK_STEP_MS) {
		log_error("the clock was stepped by %lld ms: all cached answers are dropped, the "
			  "workers replaced",
		    (long long)step_ms);
		server->health.step_ms = step_ms;
		server->health.step_count++;
		forget_all(server);
		pool_renew(&server->pool, true); /* libunbound's caches count in wall time, too */
		ask_delegation(server);
	}
	server->wall_minus_mono_ms = wall_minus_mono_ms;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	(void)fd, (void)what;
	int64_t mono_ms = clock_mono_ms(), wall_ms = clock_wall_ms();
	watch_clock(server, wall_ms - mono_ms);
	health_look_at_clock(&server->health, wall_ms);
	pool_tick(&server->pool, mono_ms);
	sessions_tick(server, mono_ms);
	cache_sweep(&server->cache, SWEEP_PER_TICK, wall_ms);
	server_resume_accepting(server);
	say_readiness(server, wall_ms);
	say_overrides(server, wall_ms);
	/* A new delegation once half of the life of this one is gone. */
	int64_t left_ms = server->signer.delegation_not_after_ms - wall_ms;
	if ((server->signer.delegation == NULL || left_ms < 12 * 3600 * INT64_C(1000)) &&
	    mono_ms - server->delegate_asked_at_ms > DELEGATE_RETRY_MS)
		ask_delegation(server);
}

static void on_terminate(evutil_socket_t signal_number, short what, void *arg)
{
	struct server *server = arg;
	(void)signal_number, (void)what;
	event_base_loopbreak(server->base);
}

/* ---- start and end ---- */

static int server_start(struct server *server)
{
	const struct config *config = server->config;
	if (signer_init(&server->signer, config) != 0 ||
	    cache_init(&server->cache, config->cache.max_memory_bytes / 2) != 0 ||
	    pool_init(&server->pool, server->base, config->resolver.workers,
		config->resolver.deadline_ms) != 0)
		return -ENOMEM;
	server->pool.on_facts = on_facts;
	server->pool.on_failure = on_failure;
	server->pool.release = release;
	server->pool.on_gone = on_gone;
	server->pool.on_self_check = on_self_check;
	server->pool.on_tracer_wanted = on_tracer_wanted;
	server->pool.hold_reason = server->health.clock_problem;
	server->pool.arg = server;
	server->listener = evconnlistener_new(server->base, on_accept, server,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_DISABLED | LEV_OPT_CLOSE_ON_EXEC, 0, ROLE_FD_LISTEN);
	server->control_listener = evconnlistener_new(server->base, on_accept, server,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, ROLE_FD_CONTROL);
	if (server->listener == NULL || server->control_listener == NULL)
		return -errno;
	evconnlistener_set_error_cb(server->listener, on_accept_error);
	evutil_make_socket_nonblocking(ROLE_FD_CHANNEL);
	event_assign(&server->supervisor, server->base, ROLE_FD_CHANNEL, EV_READ | EV_PERSIST,
	    on_supervisor, server);
	event_assign(&server->tick, server->base, -1, EV_PERSIST, on_tick, server);
	event_assign(&server->terminate, server->base, SIGTERM, EV_SIGNAL | EV_PERSIST,
	    on_terminate, server);
	struct timeval second = {.tv_sec = 1};
	if (event_add(&server->supervisor, NULL) != 0 || event_add(&server->tick, &second) != 0 ||
	    event_add(&server->terminate, NULL) != 0)
		return -ENOMEM;
	health_look_at_clock(&server->health, clock_wall_ms());
	say_configuration(server);
	ask_delegation(server);
	return 0;
}

int server_main(struct config *config, const struct config_source *source)
{
	struct server server = {.config = config, .source = source};
	server.health.started_at_ms = clock_wall_ms();
	server.wall_minus_mono_ms = server.health.started_at_ms - clock_mono_ms();
	log_open("server");
	LIST_INIT(&server.sessions);
	signal(SIGINT, SIG_IGN); /* the supervisor's to handle */
	server.base = event_base_new();
	int r = server.base != NULL ? server_start(&server) : -ENOMEM;
	if (r != 0) {
		log_fatal("cannot start: %s", strerror(-r));
		return EX_OSERR;
	}
	event_base_dispatch(server.base);
	while (!LIST_EMPTY(&server.sessions))
		session_close(LIST_FIRST(&server.sessions));
	evconnlistener_free(server.listener);
	evconnlistener_free(server.control_listener);
	pool_fini(&server.pool);
	cache_fini(&server.cache);
	signer_fini(&server.signer);
	event_base_free(server.base);
	return EX_OK;
}
