/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/server.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "proto/combine.h"
#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"
#include "resolverd/base/role.h"
#include "resolverd/base/sandbox.h"
#include "resolverd/server/journal.h"
#include "resolverd/server/session.h"
#include "resolverd/server/sharing.h"

#define CALLBACKS_AT_ONCE 64
#define FRAGMENTED_SHARE 6u /* this part of its memory is lost between answers */
#define DELEGATE_RETRY_MS 5000
#define CLOCK_STEP_MS 2000
#define REFRESH_EVERY_MS 125
#define DOMAINS_GRACE_S 10u
#define DOMAINS_PER_S 1000u /* each has its turn within this rate, also on a slow machine */
#define DOMAINS_AT_ONCE 500u
#define DOMAINS_JOBS_MAX 2000u
#define DOMAINS_PORT 25u
#define OVERRIDE_WARN_MS (INT64_C(86400) * 1000)
#define OVERRIDES_SAID_MAX 100u

static void tell_supervisor(enum link_type type)
{
	struct link_message message = {.type = type};
	if (link_send(ROLE_FD_CHANNEL, &message, -1) != 0)
		log_error("internal-link", "cannot tell the supervisor how we are");
}

/* ---- clients ---- */

void server_resume_accepting(struct server *server)
{
	bool clients = server->peers.access_known && server->signer.delegations.bytes != NULL;
	acceptor_let_in(&server->acceptor, clients);
	if (!server->acceptor.lets_clients_in || server->readiness_told)
		return;
	server->readiness_told = true;
	tell_supervisor(LINK_READY);
}

/* ---- workers' facts become answers ---- */

/* The old answer in place of a failed one, where it may still be served; else that one. Takes and
 * returns a reference. */
static struct answer *or_stale(struct server *server, const Resolverd__V1__Question *question,
    struct answer *failed, int64_t now_ms)
{
	struct question_key key;
	question_key_of(&key, question);
	struct answer *old = failed->bogus ? NULL : prefetch_stale(&server->prefetch, &key, now_ms);
	struct answer *extended = old == NULL ? NULL
					      : signer_extend(&server->signer, old,
						    server->config->cache.stale_ms, now_ms);
	if (extended == NULL)
		return failed;
	server->stale_served++;
	answer_unref(failed);
	return extended;
}

struct answer *server_failure(struct server *server, Resolverd__V1__Question *question,
    const char *reason, bool cacheable, int64_t now_ms)
{
	struct answer *answer =
	    signer_failure(&server->signer, question, reason, cacheable, now_ms);
	return answer != NULL ? or_stale(server, question, answer, now_ms) : NULL;
}

/* What those who use it were told, a reference; NULL: nobody uses it. */
static struct answer *in_use_before(
    struct server *server, const struct question_key *key, int64_t now_ms)
{
	const struct cache_entry *entry = cache_find(&server->cache, key);
	return entry != NULL && prefetch_is_in_use(&server->prefetch, entry, now_ms)
		   ? answer_ref(entry->answer)
		   : NULL;
}

struct answer *server_keep(struct server *server, const struct flight_job *job,
    struct answer *answer, uint8_t worker, int64_t now_ms)
{
	if (answer == NULL || job->trace) /* explain changes nothing */
		return answer;
	struct question_key key;
	question_key_of(&key, &job->question);
	struct answer *before = in_use_before(server, &key, now_ms);
	struct answer *given = prefetch_take(&server->prefetch, job, answer, worker, now_ms);
	answer_unref(answer);
	if (before != NULL && before != given)
		journal_change(&key, before, given);
	answer_unref(before);
	watches_note(&server->watches, &key, given, now_ms);
	return given;
}

static void *on_failure(void *arg, const struct flight_job *job, const char *reason)
{
	struct server *server = arg;
	int64_t now_ms = clock_wall_ms();
	Resolverd__V1__Question question = job->question;
	failures_note(&server->failures, question.name, now_ms);
	sharing_note(server, job, NULL, NULL, now_ms);
	if (!job->trace)
		metrics_note_failure(&server->metrics, (int)question.kind);
	struct answer *answer = server_failure(server, &question, reason, true, now_ms);
	return server_keep(server, job, answer, FLIGHT_NO_WORKER, now_ms);
}

static void *on_facts(
    void *arg, const struct flight_job *job, Resolverd__Worker__Facts *facts, unsigned worker)
{
	struct server *server = arg;
	int64_t now_ms = clock_wall_ms();
	struct answer *answer = signer_answer(&server->signer, facts, now_ms);
	if (answer == NULL) {
		log_error("worker-misbehaves", "'%s': the facts do not fit the question",
		    facts->question->name);
		return on_failure(arg, job, "internal error: the facts do not fit the question");
	}
	if (!job->trace)
		metrics_note_facts(&server->metrics, facts, clock_mono_ms() - job->given_at_ms);
	if (answer->failed && !job->trace) {
		failures_note(&server->failures, job->question.name, now_ms);
		answer = or_stale(server, facts->question, answer, now_ms);
	}
	sharing_note(server, job, facts, answer, now_ms);
	return server_keep(server, job, answer, (uint8_t)worker, now_ms);
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

static void ask_delegations(struct server *server)
{
	struct link_message message = {
	    .type = LINK_DELEGATE, .bytes_count = crypto_sign_PUBLICKEYBYTES};
	const uint8_t *public_key = signer_key_to_delegate(&server->signer);
	server->delegate_asked_at_ms = clock_mono_ms();
	if (public_key == NULL) {
		log_error("no-memory", "no memory for the next online key; it is tried again");
		return;
	}
	memcpy(message.bytes, public_key, crypto_sign_PUBLICKEYBYTES);
	if (link_send(ROLE_FD_CHANNEL, &message, -1) != 0)
		log_error("internal-link", "cannot ask the supervisor for a delegation");
}

/* In its time; at once when the supervisor says that others vouch for us now. */
static void rotate_keys(struct server *server, int64_t now_ms)
{
	signer_advance(&server->signer, now_ms);
	if (signer_wants_delegations(&server->signer, now_ms) &&
	    clock_mono_ms() - server->delegate_asked_at_ms > DELEGATE_RETRY_MS)
		ask_delegations(server);
}

static void on_gone(void *arg, uint32_t index, int32_t pid, bool retired)
{
	struct link_message message = {
	    .type = retired ? LINK_WORKER_RETIRED : LINK_WORKER_STUCK, .index = index, .pid = pid};
	(void)arg;
	if (link_send(ROLE_FD_CHANNEL, &message, -1) != 0)
		log_error("internal-link", "cannot tell the supervisor about worker %u", index);
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
			log_warning("override-lapsed",
			    "override '%s' (%s: %s) has lapsed: the normal policy holds",
			    override->next_hop, word, override->reason);
		else if (before_ms < warn_ms && now_ms >= warn_ms && now_ms < until_ms)
			log_warning("override-lapses",
			    "override '%s' (%s: %s) lapses in %lld minutes", override->next_hop,
			    word, override->reason, (long long)((until_ms - now_ms) / 60000));
	}
}

static void say_configuration(struct server *server)
{
	const struct config *config = server->config;
	int64_t now_ms = clock_wall_ms();
	server->config_loaded_at_ms = now_ms;
	for (size_t i = 0; i < config->override_count && i < OVERRIDES_SAID_MAX; i++)
		log_notice("override", "override '%s': %s%s%s", config->overrides[i].next_hop,
		    requirement_text((int)config->overrides[i].requirement),
		    config->overrides[i].reason[0] != '\0' ? ", " : "",
		    config->overrides[i].reason);
	for (size_t i = 0; i < config->zone_count; i++)
		if (config_zone_is_insecure(&config->zones[i], now_ms))
			log_warning("zone-insecure",
			    "zone '%s' is not validated (insecure-until of its section)",
			    config->zones[i].name);
	server->lapses_said_at_ms = 0; /* of an override that ended before, too */
	say_overrides(server, now_ms);
}

void server_forget_all(struct server *server)
{
	saver_forget(&server->saver);
	prefetch_forget_all(&server->prefetch, clock_wall_ms());
	signer_forget_facts(&server->signer);
	fleet_forget(&server->fleet, clock_wall_ms());
	watches_note_all(&server->watches, clock_wall_ms());
	domains_rewind(&server->domains);
}

static struct prefetch_settings prefetch_settings(const struct config *config)
{
	return (struct prefetch_settings){.rule = config->prefetch.rule,
	    .workers = config->resolver.workers,
	    .min_ttl_ms = config->cache.min_ttl_ms,
	    .failure_ttl_ms = config->cache.failure_ttl_ms,
	    .stale_ms = config->cache.stale_ms};
}

/* ---- prefetch.domains-file ---- */

/* What is no longer in it ends its being kept soon; what is gets its turn before. A file that can't
 * be read changes nothing: it was checked, so it has changed since. */
static void take_domains(struct server *server, int fd)
{
	char error[400];
	struct domains next;
	if (domains_read(fd, server->config->prefetch.domains_file, &next, error, sizeof error) !=
	    0) {
		log_error("domains-unreadable", "%s; the domains of before stay", error);
		return;
	}
	uint32_t soon_s = (uint32_t)(clock_wall_ms() / 1000) + DOMAINS_GRACE_S +
			  (uint32_t)(next.count / DOMAINS_PER_S);
	domains_fini(&server->domains);
	server->domains = next;
	prefetch_end_forever(&server->prefetch, soon_s);
}

static void keep_domains(struct server *server, int64_t now_ms)
{
	struct question_key key;
	struct next_hop hop;
	for (unsigned i = 0; i < DOMAINS_AT_ONCE && server->flight.jobs.count < DOMAINS_JOBS_MAX &&
			     domains_next(&server->domains, &hop);
	     i++) {
		question_key_make(&key, RESOLVERD__V1__KIND__ROUTE, 0, hop.text);
		if (prefetch_keep(
			&server->prefetch, &key, DOMAINS_PORT, PREFETCH_FOREVER, now_ms) != 0)
			return; /* it comes again with the next reload; the clients' come first */
	}
}

/* A new key with its delegations, or new ones for the one there is. */
static void take_delegations(struct server *server, const struct link_message *message)
{
	char id[2 * KEY_ID_BYTES + 1];
	int64_t now_ms = clock_wall_ms();
	int r =
	    signer_take_delegations(&server->signer, message->bytes, message->bytes_count, now_ms);
	if (r != 0) {
		log_error("internal-link", "cannot take the supervisor's delegation: %s",
		    r == -EBADMSG ? "it is for no key of ours" : strerror(-r));
		return;
	}
	server->delegate_asked_at_ms = clock_mono_ms() - DELEGATE_RETRY_MS;
	sodium_bin2hex(id, sizeof id, server->signer.key_id, KEY_ID_BYTES);
	log_info("online-key",
	    "answers are signed by the online key %s, which the long-term key vouches for "
	    "for %lld s",
	    id, (long long)(server->signer.delegations.not_after_ms - now_ms) / 1000);
	if (signer_is_worn(&server->signer))
		server_forget_all(server);
	server_resume_accepting(server);
}

/* Other long-term keys. */
static void take_keys(struct server *server, const struct link_message *message)
{
	saver_set_keys(&server->saver, message->bytes, message->bytes_count);
	signer_renew(&server->signer);
	ask_delegations(server);
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
		log_error("internal-link",
		    "reload: the new configuration can't be read; the old one stays");
		free(config_text);
		return;
	}
	free(config_text);
	config_keep_fixed(&next, server->config, text, sizeof text);
	acceptor_fit(&server->acceptor, &next);
	bool for_workers = strcmp(next.worker_text, server->config->worker_text) != 0;
	if (for_workers || signer_is_worn(&server->signer))
		server_forget_all(server);
	if (for_workers) {
		/* What they are finding is found in another way than from now on. */
		pool_renew(&server->pool, true);
		health_forget_canaries(&server->health);
	}
	config_fini(server->config);
	*server->config = next;
	server->pool.deadline_ms = next.resolver.deadline_ms;
	peers_take_config(&server->peers);
	server->prefetch.settings = prefetch_settings(server->config);
	signer_set_config(&server->signer, server->config);
	fleet_set_config(&server->fleet, server->config);
	watches_note_all(&server->watches, clock_wall_ms());
	say_configuration(server);
	server_resume_accepting(server);
}

/* Those whom the new rules do not let in end, too. */
static void take_access(struct server *server, const struct link_message *message)
{
	struct access_list access;
	struct session *session;
	memcpy(&access, message->bytes, sizeof access);
	peers_take_access(&server->peers, &access);
	LIST_FOREACH(session, &server->sessions, link)
	if (!session->is_control && !peers_are_welcome(&server->peers, session->conn.fd))
		session_dismiss(session);
	server_resume_accepting(server);
}

static void on_tracer_wanted(void *arg)
{
	(void)arg;
	tell_supervisor(LINK_TRACER);
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
	if (message->type == LINK_SNAPSHOT && fd >= 0) {
		saver_set_keys(&server->saver, message->bytes, message->bytes_count);
		saver_open(&server->saver, fd);
		sharing_drop_untrusted(server);
		return;
	}
	if (message->type == LINK_DOMAINS && fd >= 0) {
		take_domains(server, fd);
		return;
	}
	if (message->type == LINK_STORE && fd >= 0) {
		server->peers.helper_pid = message->pid;
		fleet_helper_up(&server->fleet, fd);
		return;
	}
	if (message->type == LINK_RING) {
		fleet_take_ring(&server->fleet, fd);
		sharing_drop_untrusted(server);
		return;
	}
	if (message->type == LINK_MEMBERSHIP) {
		fleet_take_membership(&server->fleet, fd);
		return;
	}
	if (message->type == LINK_PING)
		tell_supervisor(LINK_PONG);
	if (message->type == LINK_RENEW && message->index != 0)
		server_forget_all(server); /* of all that was found until now nothing counts */
	if (message->type == LINK_RENEW)
		pool_renew(&server->pool, message->index != 0);
	if (message->type == LINK_ACCESS && message->bytes_count == sizeof server->peers.access)
		take_access(server, message);
	if (message->type == LINK_ANCHOR && message->bytes_count == sizeof server->health.anchor)
		memcpy(&server->health.anchor, message->bytes, sizeof server->health.anchor);
	if (message->type == LINK_DELEGATION)
		take_delegations(server, message);
	if (message->type == LINK_KEYS)
		take_keys(server, message);
	if (message->type == LINK_RELOADED)
		administer_reloaded(
		    server, message->index != 0, message->bytes, message->bytes_count);
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
	sodium_memzero(&message, sizeof message); /* the snapshot's key came so */
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
		log_notice("ready", "ready: the root key set validates, %u workers are up",
		    pool_workers_up(&server->pool));
	else if (server->ready || now_ms - server->health.started_at_ms > 3000)
		log_error("not-ready", "not ready: %s", reason);
	else
		return; /* just started: give the first lookup its time */
	server->readiness_said = true;
	server->ready = ready;
}

/* Lives are told in wall time: after a step they mean something else. */
static void watch_clock(struct server *server, int64_t wall_minus_boot_ms)
{
	int64_t step_ms = wall_minus_boot_ms - server->wall_minus_boot_ms;
	if (step_ms > CLOCK_STEP_MS || step_ms < -CLOCK_STEP_MS) {
		log_error("clock-stepped",
		    "the clock was stepped by %lld ms: all cached answers are dropped, the "
		    "workers replaced",
		    (long long)step_ms);
		server->health.step_ms = step_ms;
		server->health.step_count++;
		server_forget_all(server);
		pool_renew(&server->pool, true); /* libunbound's caches count in wall time, too */
		signer_renew(&server->signer);
		ask_delegations(server);
	}
	server->wall_minus_boot_ms = wall_minus_boot_ms;
}

/* The bound holds for what the allocator has of the system. That is more than what is in use: what
 * lies between is used again by the next answers, but for a part. What is in use is more than what
 * the cache counts: requests that wait, buffers, the allocator's own. */
static void watch_memory(struct server *server)
{
	struct mallinfo2 info = mallinfo2();
	server->memory_bytes = info.arena + info.hblkhd;
	uint64_t budget = server->config->cache.max_memory_bytes / 2;
	cache_fit(&server->cache, server->memory_bytes, budget - budget / FRAGMENTED_SHARE);
}

static void on_refresh(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	int64_t now_ms = clock_wall_ms();
	(void)fd, (void)what;
	watch_clock(server, now_ms - clock_boot_ms());
	rotate_keys(server, now_ms);
	prefetch_advance(&server->prefetch, now_ms);
	watches_advance(&server->watches, now_ms);
	keep_domains(server, now_ms);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	(void)fd, (void)what;
	int64_t mono_ms = clock_mono_ms(), wall_ms = clock_wall_ms();
	health_look_at_clock(&server->health, wall_ms);
	pool_tick(&server->pool, mono_ms);
	sessions_tick(server, mono_ms);
	peers_tick(&server->peers);
	watch_memory(server);
	server_resume_accepting(server);
	say_readiness(server, wall_ms);
	say_overrides(server, wall_ms);
}

static void on_terminate(evutil_socket_t signal_number, short what, void *arg)
{
	struct server *server = arg;
	(void)signal_number, (void)what;
	event_base_loopbreak(server->base);
}

/* ---- start and end ---- */

/* What makes itself ready again, as a client does that has more to be answered, must not keep the
 * loop from looking who else is ready. */
static struct event_base *new_loop(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;
	if (config != NULL &&
	    event_config_set_max_dispatch_interval(config, NULL, CALLBACKS_AT_ONCE, 0) == 0)
		base = event_base_new_with_config(config);
	if (config != NULL)
		event_config_free(config);
	return base;
}

static int server_start(struct server *server)
{
	const struct config *config = server->config;
	if (signer_init(&server->signer, config) != 0 ||
	    cache_init(&server->cache, config->cache.max_memory_bytes / 2) != 0 ||
	    failures_init(&server->failures) != 0 || flight_init(&server->flight) != 0 ||
	    watches_init(&server->watches, clock_wall_ms()) != 0 ||
	    conn_buffers_init(&server->buffers) != 0 ||
	    pool_init(&server->pool, server->base, &server->buffers, &server->flight,
		config->resolver.workers, config->resolver.deadline_ms) != 0)
		return -ENOMEM;
	if (attest_init(&server->attest, server->base, &server->signer) != 0)
		return -ENOMEM;
	int r = acceptor_init(&server->acceptor, server, server->base);
	if (r != 0)
		return r;
	acceptor_fit(&server->acceptor, server->config);
	struct prefetch_settings settings = prefetch_settings(config);
	uint64_t seed;
	randombytes_buf(&seed, sizeof seed);
	prefetch_init(
	    &server->prefetch, &server->cache, &server->flight, &settings, seed, clock_wall_ms());
	if (sharing_init(server) != 0)
		return -ENOMEM;
	if (saver_init(&server->saver, server->base, &server->prefetch, config) != 0)
		return -ENOMEM;
	server->watches.look = session_look;
	server->watches.tell = session_tell;
	server->pool.on_facts = on_facts;
	server->pool.on_failure = on_failure;
	server->pool.release = release;
	server->pool.on_gone = on_gone;
	server->pool.on_self_check = on_self_check;
	server->pool.on_tracer_wanted = on_tracer_wanted;
	server->pool.on_take = sharing_take;
	server->pool.hold_reason = server->health.clock_problem;
	server->pool.arg = server;
	evutil_make_socket_nonblocking(ROLE_FD_CHANNEL);
	event_assign(&server->supervisor, server->base, ROLE_FD_CHANNEL, EV_READ | EV_PERSIST,
	    on_supervisor, server);
	event_assign(&server->tick, server->base, -1, EV_PERSIST, on_tick, server);
	event_assign(&server->refresh, server->base, -1, EV_PERSIST, on_refresh, server);
	event_assign(&server->terminate, server->base, SIGTERM, EV_SIGNAL | EV_PERSIST,
	    on_terminate, server);
	struct timeval second = {.tv_sec = 1}, often = {.tv_usec = REFRESH_EVERY_MS * 1000};
	if (event_add(&server->supervisor, NULL) != 0 || event_add(&server->tick, &second) != 0 ||
	    event_add(&server->refresh, &often) != 0 || event_add(&server->terminate, NULL) != 0)
		return -ENOMEM;
	health_look_at_clock(&server->health, clock_wall_ms());
	say_configuration(server);
	ask_delegations(server);
	return 0;
}

/* Before the first client. What is open stays so; of files only the snapshot's folder is left. */
static int confine(const struct config *config)
{
	char folder[PATH_MAX];
	const struct sandbox_path own = {folder, true};
	int n = snprintf(folder, sizeof folder, "%s/cache", config->server.state_directory);
	return sandbox_enter(
	    &(struct sandbox){SANDBOX_SERVER, &own, n < (int)sizeof folder}, config);
}

int server_main(struct config *config, const struct config_source *source)
{
	struct server server = {.config = config, .source = source};
	server.health.started_at_ms = clock_wall_ms();
	server.wall_minus_boot_ms = server.health.started_at_ms - clock_boot_ms();
	log_open("server");
	LIST_INIT(&server.sessions);
	peers_init(&server.peers, config);
	signal(SIGINT, SIG_IGN); /* the supervisor's to handle */
	sandbox_raise_limits();
	server.base = new_loop();
	int r = server.base != NULL ? server_start(&server) : -ENOMEM;
	if (r != 0) {
		log_fatal("start-failed", "cannot start: %s", strerror(-r));
		return EX_OSERR;
	}
	if (confine(config) != 0)
		return EX_OSERR;
	event_base_dispatch(server.base);
	while (!LIST_EMPTY(&server.sessions))
		session_close(LIST_FIRST(&server.sessions));
	acceptor_fini(&server.acceptor);
	saver_fini(&server.saver);
	pool_fini(&server.pool);
	fleet_fini(&server.fleet);
	flight_fini(&server.flight);
	cache_fini(&server.cache);
	failures_fini(&server.failures);
	attest_fini(&server.attest);
	conn_buffers_fini(&server.buffers);
	watches_fini(&server.watches);
	domains_fini(&server.domains);
	signer_fini(&server.signer);
	event_base_free(server.base);
	return EX_OK;
}
