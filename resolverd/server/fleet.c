/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/fleet.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/frame.h"
#include "proto/names.h"
#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"
#include "resolverd/base/store.h"
#include "resolverd/server/cache.h"

#define KEY_MAX 1400u
#define LEASE_MS 3000u     /* longer than nearly every lookup */
#define UNSHARED_MS 10000u /* so long nobody waits for what was not to be shared */
#define POLLS 3u
#define FUTURE_MAX_MS 5000 /* the clocks of two members differ by so much */
#define LIFE_MIN_MS 1000   /* what ends sooner is no gain */
#define WANTED_COUNT                                                                               \
	4u /* requests with no gap of a life between them: as BUSY_HITS of prefetch.c */
#define RING_FILE_MAX (16u << 20)
#define SILENT_OPENINGS 4u /* of the breaker: longer than a living helper is silent */

/* How long after it saw another's lease a job looks again, in milliseconds: a client waits, or not.
 * Half of each is random. */
static const int poll_asked_ms[POLLS] = {20, 40, 80}, poll_refresh_ms[POLLS] = {100, 300, 600};

enum step { GETTING, LEASING, WAITING, COUNTING };

struct fleet_lookup {
	struct table_node node; /* the first member */
	uint8_t id[sizeof(uint64_t)];
	struct fleet *fleet;
	struct flight_job *job; /* NULL: it is counted only, and key says what */
	struct question_key key;
	struct event timer;
	enum step step;
	unsigned polls;      /* begun */
	bool unhurried;      /* it waits as long as one that no client waits for */
	int64_t begun_at_ms; /* mono */
	int64_t asked_at_ms; /* mono; the request under way */
	int64_t left_ms;     /* of fleet.timeout, for all its replies */
};

/* ---- the view ---- */

static void add_text(crypto_generichash_state *state, const char *text)
{
	crypto_generichash_update(state, (const uint8_t *)text, strlen(text) + 1);
}

static void add_list(crypto_generichash_state *state, char *const *list)
{
	for (; *list != NULL; list++)
		add_text(state, *list);
	add_text(state, "");
}

/* Of the configuration that facts rest on: members with another one find other facts. */
static void set_view(struct fleet *fleet)
{
	const struct config *config = fleet->config;
	crypto_generichash_state state;
	crypto_generichash_init(&state, NULL, 0, sizeof fleet->view);
	add_text(&state, "resolverd view v1");
	add_text(&state, config->resolver.trust_anchor_file);
	add_text(&state, config->resolver.root_hints);
	add_list(&state, config->resolver.forward);
	crypto_generichash_update(&state, config->resolver.digests, config->resolver.digest_count);
	for (size_t i = 0; i < config->zone_count; i++) {
		add_text(&state, config->zones[i].name);
		add_list(&state, config->zones[i].forward);
		add_list(&state, config->zones[i].stub);
		add_list(&state, config->zones[i].trust_anchor);
	}
	crypto_generichash_final(&state, fleet->view, sizeof fleet->view);
}

/* ---- keys of the store ---- */

/* prefix, view, kind, number, name: rd:1:0123456789abcdef:h25:mx.example.org */
static void make_key(const struct fleet *fleet, const Resolverd__V1__Question *question,
    const char *suffix, char ret_key[KEY_MAX])
{
	char view[2 * sizeof(uint64_t) + 1];
	sodium_bin2hex(view, sizeof view, fleet->view, sizeof(uint64_t));
	char kind = question->kind == RESOLVERD__V1__KIND__ROUTE  ? 'r'
		    : question->kind == RESOLVERD__V1__KIND__HOST ? 'h'
								  : 't';
	snprintf(ret_key, KEY_MAX, "%s%s:%c%u:%s%s", fleet->config->fleet.key_prefix, view, kind,
	    question->kind == RESOLVERD__V1__KIND__HOST ? question->port : question->type,
	    question->name, suffix);
}

/* ---- requests ---- */

static bool send_request(struct fleet *fleet, const Resolverd__Fleet__StoreRequest *request)
{
	size_t bytes = resolverd__fleet__store_request__get_packed_size(request);
	uint8_t *out = conn_reserve(&fleet->conn, FRAME_HEADER_BYTES + bytes);
	if (out == NULL)
		return false;
	frame_put_header(out, bytes);
	resolverd__fleet__store_request__pack(request, out + FRAME_HEADER_BYTES);
	conn_commit(&fleet->conn, FRAME_HEADER_BYTES + bytes);
	return true;
}

static void set_timer(struct fleet_lookup *lookup, int64_t ms)
{
	const struct timeval after = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
	evtimer_add(&lookup->timer, &after);
}

/* False: there is no time left for it, or no memory. */
static bool ask(struct fleet_lookup *lookup, enum step step)
{
	struct fleet *fleet = lookup->fleet;
	char key[KEY_MAX];
	Resolverd__Fleet__StoreRequest request = RESOLVERD__FLEET__STORE_REQUEST__INIT;
	Resolverd__Fleet__StoreGet get = RESOLVERD__FLEET__STORE_GET__INIT;
	Resolverd__Fleet__StoreLease lease = RESOLVERD__FLEET__STORE_LEASE__INIT;
	if (lookup->left_ms <= 0)
		return false;
	make_key(fleet, &lookup->job->question, step == LEASING ? ":lease" : "", key);
	memcpy(&request.id, lookup->id, sizeof request.id);
	if (step == GETTING) {
		get.key = key;
		request.body_case = RESOLVERD__FLEET__STORE_REQUEST__BODY_GET;
		request.get = &get;
	} else {
		lease.key = key;
		lease.life_ms = LEASE_MS;
		request.body_case = RESOLVERD__FLEET__STORE_REQUEST__BODY_LEASE;
		request.lease = &lease;
	}
	lookup->step = step;
	lookup->asked_at_ms = clock_mono_ms();
	set_timer(lookup, lookup->left_ms);
	return send_request(fleet, &request);
}

/* ---- a lookup ends ---- */

static struct flight_job *lookup_end(struct fleet_lookup *lookup)
{
	struct flight_job *job = lookup->job;
	if (job != NULL)
		job->look = NULL;
	table_remove(&lookup->fleet->lookups, &lookup->node);
	event_del(&lookup->timer);
	free(lookup);
	return job;
}

/* Only somebody's word that there is something new made us look. */
static bool is_idle_look(const struct flight_job *job)
{
	return job->from_notice && job->refresh && LIST_EMPTY(&job->waiters);
}

/* The breaker has opened. A helper that lives says within some seconds that the store is silent. */
static void watch_helper(struct fleet *fleet)
{
	if (fleet->breaker.openings >= SILENT_OPENINGS && !fleet->heard && fleet->up) {
		log_error("fleet-helper", "the fleet helper says nothing: replaced");
		fleet->stuck(fleet->arg);
		fleet->breaker = (struct breaker){.opened_count = fleet->breaker.opened_count};
	}
	if (fleet->breaker.openings <= 1 || fleet->breaker.openings >= SILENT_OPENINGS)
		fleet->heard = false;
}

static void note(struct fleet *fleet, bool good)
{
	uint64_t random, opened_count = fleet->breaker.opened_count;
	bool was_open = breaker_is_open(&fleet->breaker);
	randombytes_buf(&random, sizeof random);
	breaker_note(&fleet->breaker, good, clock_mono_ms(), random);
	fleet->counts.failed += !good;
	if (was_open != breaker_is_open(&fleet->breaker))
		log_warning("fleet-store", "fleet: the store %s",
		    good ? "answers again" : "does not answer in time; lookups go on without it");
	if (fleet->breaker.opened_count != opened_count)
		watch_helper(fleet);
}

/* Each lookup that begins is noted once: what a slow store does at its second reply counts, too. */
static void note_end(struct fleet_lookup *lookup, bool good, bool found)
{
	uint64_t random;
	note(lookup->fleet, good);
	randombytes_buf(&random, sizeof random);
	if (lookup->polls > 0)
		breaker_note(&lookup->fleet->waits, found, clock_mono_ms(), random);
}

static void pass(struct fleet_lookup *lookup, bool good)
{
	struct fleet *fleet = lookup->fleet;
	if (lookup->job != NULL) {
		note_end(lookup, good, false);
		lookup->job->store_ms = (uint32_t)(clock_mono_ms() - lookup->begun_at_ms);
	}
	struct flight_job *job = lookup_end(lookup);
	if (job == NULL)
		return;
	if (is_idle_look(job))
		fleet->found(fleet->arg, job, NULL);
	else
		fleet->pass(fleet->arg, job);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct fleet_lookup *lookup = arg;
	(void)fd, (void)what;
	if (lookup->step != WAITING || !lookup->fleet->up || !ask(lookup, GETTING))
		pass(lookup, false);
}

/* ---- what the fleet wants ---- */

static struct fleet_lookup *lookup_new(struct fleet *fleet, struct flight_job *job)
{
	struct fleet_lookup *lookup =
	    fleet->lookups.count < FLEET_LOOKUPS_MAX ? calloc(1, sizeof *lookup) : NULL;
	if (lookup == NULL)
		return NULL;
	uint64_t id = ++fleet->next_id;
	memcpy(lookup->id, &id, sizeof lookup->id);
	lookup->fleet = fleet;
	lookup->job = job;
	lookup->begun_at_ms = clock_mono_ms();
	lookup->left_ms = fleet->config->fleet.timeout_ms;
	lookup->node.key = lookup->id;
	lookup->node.key_bytes = sizeof lookup->id;
	evtimer_assign(&lookup->timer, fleet->base, on_timer, lookup);
	table_insert(&fleet->lookups, &lookup->node);
	if (job != NULL)
		job->look = lookup;
	return lookup;
}

/* A client waited for this. The count lives for as long as the answer does: it is of requests with
 * no longer gap. */
static void count_request(struct fleet *fleet, const struct flight_job *job, int64_t life_ms)
{
	char key[KEY_MAX];
	Resolverd__Fleet__StoreRequest request = RESOLVERD__FLEET__STORE_REQUEST__INIT;
	Resolverd__Fleet__StoreCount count = RESOLVERD__FLEET__STORE_COUNT__INIT;
	struct fleet_lookup *lookup = NULL;
	if (!job->refresh && !LIST_EMPTY(&job->waiters) && life_ms >= LIFE_MIN_MS)
		lookup = lookup_new(fleet, NULL);
	if (lookup == NULL)
		return;
	lookup->step = COUNTING;
	lookup->key.count = job->node.key_bytes;
	memcpy(lookup->key.bytes, job->key, job->node.key_bytes);
	make_key(fleet, &job->question, ":asked", key);
	count.key = key;
	count.life_ms = (uint64_t)life_ms;
	memcpy(&request.id, lookup->id, sizeof request.id);
	request.body_case = RESOLVERD__FLEET__STORE_REQUEST__BODY_COUNT;
	request.count = &count;
	set_timer(lookup, lookup->left_ms);
	if (!send_request(fleet, &request))
		lookup_end(lookup);
}

static void take_count(struct fleet_lookup *lookup, const Resolverd__Fleet__StoreReply *reply)
{
	if (reply->count >= WANTED_COUNT)
		lookup->fleet->wanted(lookup->fleet->arg, &lookup->key);
	lookup_end(lookup);
}

/* ---- what the store holds ---- */

static uint64_t validated_at(const struct answer *answer)
{
	Resolverd__V1__Answer *envelope = answer_envelope(answer);
	uint64_t at = envelope != NULL ? envelope->validated_at : UINT64_MAX;
	resolverd__v1__answer__free_unpacked(envelope, NULL);
	return at;
}

/* Whether these facts are better than what we have: what somebody says has changed need not last
 * longer, but must be newer. */
static bool is_of_use(const struct fleet *fleet, const struct flight_job *job,
    const Resolverd__Fleet__SharedFacts *facts, const struct answer *answer, int64_t now_ms)
{
	const struct answer *have = fleet->have(fleet->arg, job);
	if ((int64_t)facts->validated_at < now_ms - fleet->config->fleet.max_age_ms ||
	    (int64_t)facts->validated_at < fleet->forgotten_at_ms + FUTURE_MAX_MS ||
	    answer->expires_at_ms < now_ms + LIFE_MIN_MS)
		return false;
	if (have == NULL || have->failed || have->stale)
		return true;
	if (job->from_notice)
		return facts->validated_at > validated_at(have);
	return answer->expires_at_ms >= have->expires_at_ms + LIFE_MIN_MS &&
	       facts->validated_at >= validated_at(have);
}

/* A new answer, or NULL: the value is of no use. */
static struct answer *adopt(struct fleet *fleet, const struct flight_job *job,
    const ProtobufCBinaryData *value, int64_t now_ms)
{
	struct shared_facts shared;
	const char *problem = ring_open_facts(&fleet->ring, value->data, value->len, &job->question,
	    fleet->view, sizeof fleet->view, (uint64_t)now_ms, &shared);
	if (problem == NULL && (int64_t)shared.facts->validated_at > now_ms + FUTURE_MAX_MS) {
		problem = "it is of the future (are the clocks right?)";
		resolverd__fleet__shared_facts__free_unpacked(shared.facts, NULL);
	}
	if (problem != NULL) {
		fleet->counts.refused++;
		snprintf(fleet->refused_why, sizeof fleet->refused_why, "%s", problem);
		return NULL;
	}
	struct answer *answer =
	    signer_adopt(fleet->signer, shared.facts, shared.long_term_id, now_ms);
	if (answer != NULL && !is_of_use(fleet, job, shared.facts, answer, now_ms)) {
		answer_unref(answer);
		answer = NULL;
	}
	resolverd__fleet__shared_facts__free_unpacked(shared.facts, NULL);
	return answer;
}

/* ---- replies ---- */

static void set_poll_timer(struct fleet_lookup *lookup)
{
	const int *polls = lookup->job->refresh ? poll_refresh_ms : poll_asked_ms;
	int ms = polls[lookup->polls - 1];
	lookup->unhurried = lookup->job->refresh;
	set_timer(lookup, ms / 2 + (int)randombytes_uniform((uint32_t)ms));
}

/* Where waiting brought nothing some times in a row it is left for a while. */
static void wait_for_another(struct fleet_lookup *lookup)
{
	struct fleet *fleet = lookup->fleet;
	if (lookup->polls == POLLS ||
	    (lookup->polls == 0 && !breaker_allows(&fleet->waits, clock_mono_ms()))) {
		pass(lookup, true);
		return;
	}
	fleet->counts.waited += lookup->polls == 0;
	lookup->polls++;
	lookup->step = WAITING;
	set_poll_timer(lookup);
}

void fleet_hurry(struct fleet_lookup *lookup)
{
	if (lookup != NULL && lookup->step == WAITING && lookup->unhurried && !lookup->job->refresh)
		set_poll_timer(lookup);
}

static void take_value(struct fleet_lookup *lookup, const Resolverd__Fleet__StoreReply *reply)
{
	struct fleet *fleet = lookup->fleet;
	bool is_there = reply->result == RESOLVERD__FLEET__STORE_RESULT__DONE;
	bool is_unshared = is_there && reply->value.len == 0;
	struct answer *answer = is_there && !is_unshared
				    ? adopt(fleet, lookup->job, &reply->value, clock_wall_ms())
				    : NULL;
	if (answer != NULL) {
		note_end(lookup, true, true);
		fleet->counts.found++;
		count_request(
		    fleet, lookup->job, answer->expires_at_ms - (int64_t)validated_at(answer));
		fleet->found(fleet->arg, lookup_end(lookup), answer);
	} else if (is_unshared || is_idle_look(lookup->job)) {
		pass(lookup, true);
	} else if (lookup->polls > 0) {
		wait_for_another(lookup);
	} else if (!ask(lookup, LEASING)) {
		pass(lookup, false);
	}
}

static void take_lease(struct fleet_lookup *lookup, const Resolverd__Fleet__StoreReply *reply)
{
	if (reply->result == RESOLVERD__FLEET__STORE_RESULT__DONE) {
		lookup->fleet->counts.leased++;
		lookup->job->leased = true;
		pass(lookup, true);
	} else {
		wait_for_another(lookup);
	}
}

static void take_reply(struct fleet *fleet, const Resolverd__Fleet__StoreReply *reply)
{
	struct fleet_lookup *lookup = (struct fleet_lookup *)table_find(
	    &fleet->lookups, (const uint8_t *)&reply->id, sizeof reply->id);
	if (lookup == NULL || lookup->step == WAITING)
		return; /* too late */
	event_del(&lookup->timer);
	if (lookup->step == COUNTING) { /* may be forbidden to us: no failure of the store */
		take_count(lookup, reply);
		return;
	}
	lookup->left_ms -= clock_mono_ms() - lookup->asked_at_ms;
	if (reply->result != RESOLVERD__FLEET__STORE_RESULT__DONE &&
	    reply->result != RESOLVERD__FLEET__STORE_RESULT__NOTHING)
		pass(lookup, false);
	else if (lookup->step == GETTING)
		take_value(lookup, reply);
	else
		take_lease(lookup, reply);
}

/* So many a second: whoever can publish must not have us look things up all the time. */
static bool may_take_notice(struct fleet *fleet)
{
	int64_t now_s = clock_mono_ms() / 1000;
	if (fleet->notices_at_s != now_s)
		fleet->notices_left = FLEET_NOTICES_PER_S;
	fleet->notices_at_s = now_s;
	bool may = fleet->notices_left > 0;
	fleet->notices_left -= may;
	return may;
}

static void take_notice(struct fleet *fleet, const ProtobufCBinaryData *bytes)
{
	Resolverd__Fleet__Notice *notice =
	    may_take_notice(fleet) ? resolverd__fleet__notice__unpack(NULL, bytes->len, bytes->data)
				   : NULL;
	bool good = notice != NULL && notice->question != NULL &&
		    strlen(notice->question->name) < NEXT_HOP_TEXT_MAX &&
		    notice->question->port <= UINT16_MAX && notice->question->type <= UINT16_MAX;
	fleet->counts.notices += good;
	fleet->counts.notices_dropped += !good;
	if (good)
		fleet->changed(fleet->arg, notice->question);
	resolverd__fleet__notice__free_unpacked(notice, NULL);
}

static void take_state(struct fleet *fleet, const Resolverd__Fleet__StoreState *state)
{
	if (state->connected != fleet->connected || fleet->detail[0] == '\0') {
		if (state->connected)
			log_notice("fleet-connected", "fleet: connected to %s", state->detail);
		else
			log_warning("fleet-store", "fleet: no store: %s; lookups go on without it",
			    state->detail);
	}
	fleet->connected = state->connected;
	snprintf(fleet->detail, sizeof fleet->detail, "%s", state->detail);
}

static int on_frame(struct conn *conn, const uint8_t *body, size_t body_bytes)
{
	struct fleet *fleet = conn->owner;
	Resolverd__Fleet__StoreReply *reply =
	    resolverd__fleet__store_reply__unpack(NULL, body_bytes, body);
	fleet->heard = true;
	if (reply == NULL) {
		log_error("fleet-helper", "the fleet helper sent something malformed: replaced");
		fleet->stuck(fleet->arg);
		return -EBADMSG;
	}
	if (reply->state != NULL)
		take_state(fleet, reply->state);
	if (reply->id == 0 && reply->notice.len > 0)
		take_notice(fleet, &reply->notice);
	if (reply->id != 0)
		take_reply(fleet, reply);
	resolverd__fleet__store_reply__free_unpacked(reply, NULL);
	return 0;
}

static void on_malformed(struct conn *conn, const char *what)
{
	struct fleet *fleet = conn->owner;
	log_error("fleet-helper", "the fleet helper sent %s: replaced", what);
	fleet->stuck(fleet->arg);
}

struct collected {
	struct fleet_lookup **lookups;
	size_t count;
};

static void collect(struct table_node *node, void *arg)
{
	struct collected *collected = arg;
	collected->lookups[collected->count++] = (struct fleet_lookup *)node;
}

/* All that are at the store, each to be ended by its caller; without memory for the list they end
 * by their timers. */
static struct collected collect_lookups(struct fleet *fleet)
{
	struct collected collected = {0};
	size_t count = fleet->lookups.count;
	collected.lookups = count > 0 ? calloc(count, sizeof(struct fleet_lookup *)) : NULL;
	if (collected.lookups != NULL)
		table_visit(&fleet->lookups, collect, &collected);
	return collected;
}

static void on_close(struct conn *conn)
{
	struct fleet *fleet = conn->owner;
	conn_fini(conn);
	fleet->up = fleet->connected = false;
	snprintf(fleet->detail, sizeof fleet->detail, "the helper is gone");
	struct collected collected = collect_lookups(fleet);
	for (size_t i = 0; i < collected.count; i++)
		pass(collected.lookups[i], false);
	free(collected.lookups);
}

static const struct conn_handler helper_handler = {
    .on_frame = on_frame, .on_malformed = on_malformed, .on_close = on_close};

/* ---- the stage ---- */

int fleet_init(struct fleet *fleet, struct event_base *base, struct conn_buffers *buffers,
    struct signer *signer, const struct config *config)
{
	*fleet =
	    (struct fleet){.base = base, .buffers = buffers, .signer = signer, .config = config};
	set_view(fleet);
	return table_init(&fleet->lookups);
}

void fleet_fini(struct fleet *fleet)
{
	struct collected collected = collect_lookups(fleet);
	for (size_t i = 0; i < collected.count; i++)
		free(lookup_end(collected.lookups[i]));
	free(collected.lookups);
	if (fleet->up)
		conn_fini(&fleet->conn);
	table_fini(&fleet->lookups);
	ring_fini(&fleet->ring);
	ring_fini(&fleet->ring_before);
	resolverd__fleet__signed_membership__free_unpacked(fleet->membership, NULL);
}

void fleet_set_config(struct fleet *fleet, const struct config *config)
{
	fleet->config = config;
	set_view(fleet);
}

void fleet_helper_up(struct fleet *fleet, int fd)
{
	if (fleet->up) /* its successor was faster than the end of its socket */
		on_close(&fleet->conn);
	if (conn_init(&fleet->conn, fleet->base, fleet->buffers, fd, STORE_FRAME_MAX_BYTES,
		SIZE_MAX, &helper_handler, fleet) != 0) {
		log_error("internal-link", "cannot watch the socket of the fleet helper");
		close(fd); /* it ends, and is started again */
		return;
	}
	fleet->up = fleet->heard = true;
}

static bool begin_look(struct fleet *fleet, struct flight_job *job)
{
	struct fleet_lookup *lookup = fleet->connected ? lookup_new(fleet, job) : NULL;
	if (lookup == NULL)
		return false;
	if (breaker_allows(&fleet->breaker, clock_mono_ms())) {
		job->at_store = ask(lookup, GETTING);
		if (job->at_store)
			return true;
		note(fleet, false);
	}
	lookup_end(lookup);
	return false;
}

bool fleet_take(struct fleet *fleet, struct flight_job *job)
{
	if (job->trace || job->at_store)
		return false;
	if (begin_look(fleet, job)) {
		fleet->counts.asked++;
		return true;
	}
	fleet->counts.passed_by += fleet->connected;
	if (!is_idle_look(job))
		return false;
	fleet->found(fleet->arg, job, NULL); /* a word that can't be checked costs no lookup */
	return true;
}

/* ---- what we find ---- */

static uint8_t *pack_notice(
    const struct fleet *fleet, const Resolverd__V1__Question *question, int64_t now_ms, size_t *ret)
{
	Resolverd__Fleet__Notice notice = RESOLVERD__FLEET__NOTICE__INIT;
	notice.question = (Resolverd__V1__Question *)(uintptr_t)question;
	notice.validated_at = (uint64_t)now_ms;
	notice.member = fleet->config->signing.member;
	*ret = resolverd__fleet__notice__get_packed_size(&notice);
	uint8_t *bytes = malloc(*ret);
	if (bytes != NULL)
		resolverd__fleet__notice__pack(&notice, bytes);
	return bytes;
}

static bool send_put(
    struct fleet *fleet, const Resolverd__V1__Question *question, Resolverd__Fleet__StorePut *put)
{
	char key[KEY_MAX];
	Resolverd__Fleet__StoreRequest request = RESOLVERD__FLEET__STORE_REQUEST__INIT;
	make_key(fleet, question, "", key);
	put->key = key;
	request.body_case = RESOLVERD__FLEET__STORE_REQUEST__BODY_PUT;
	request.put = put;
	return send_request(fleet, &request);
}

static bool can_put(const struct fleet *fleet)
{
	return fleet->connected && !breaker_is_open(&fleet->breaker);
}

static bool put_value(struct fleet *fleet, const Resolverd__V1__Question *question,
    const struct shared_value *value, bool changes, int64_t now_ms)
{
	Resolverd__Fleet__StorePut put = RESOLVERD__FLEET__STORE_PUT__INIT;
	int64_t life_ms = value->ends_at_ms - now_ms;
	if (life_ms > fleet->config->fleet.max_age_ms)
		life_ms = fleet->config->fleet.max_age_ms;
	put.value = (ProtobufCBinaryData){.len = value->count, .data = value->bytes};
	put.life_ms = (uint64_t)life_ms;
	if (changes)
		put.notice.data = pack_notice(fleet, question, now_ms, &put.notice.len);
	if (put.notice.data == NULL)
		put.notice.len = 0;
	bool good = life_ms >= LIFE_MIN_MS && value->count <= STORE_VALUE_MAX_BYTES &&
		    send_put(fleet, question, &put);
	fleet->counts.shared += good;
	free(put.notice.data);
	return good;
}

static bool share(struct fleet *fleet, const struct flight_job *job,
    const Resolverd__Worker__Facts *facts, bool changes, int64_t now_ms)
{
	struct shared_value value;
	if (signer_share(fleet->signer, facts, fleet->view, sizeof fleet->view, fleet->membership,
		now_ms, &value) != 0)
		return false;
	bool good = put_value(fleet, &job->question, &value, changes, now_ms);
	count_request(fleet, job, value.ends_at_ms - now_ms);
	free(value.bytes);
	return good;
}

void fleet_share_anew(struct fleet *fleet, const Resolverd__V1__Question *question,
    const struct answer *answer, int64_t now_ms)
{
	struct shared_value value;
	if (!can_put(fleet) || signer_share_answer(fleet->signer, answer, fleet->view,
				   sizeof fleet->view, fleet->membership, &value) != 0)
		return;
	(void)put_value(fleet, question, &value, true, now_ms);
	free(value.bytes);
}

/* Those who wait for us, and we ourselves the next time, need not. */
static void share_nothing(struct fleet *fleet, const struct flight_job *job)
{
	Resolverd__Fleet__StorePut put = RESOLVERD__FLEET__STORE_PUT__INIT;
	put.life_ms = UNSHARED_MS;
	put.only_new = true; /* a value that is there is better */
	(void)send_put(fleet, &job->question, &put);
}

void fleet_share(struct fleet *fleet, const struct flight_job *job,
    const Resolverd__Worker__Facts *facts, bool changes, int64_t now_ms)
{
	if (can_put(fleet) && (facts == NULL || !share(fleet, job, facts, changes, now_ms)) &&
	    job->leased)
		share_nothing(fleet, job);
}

/* ---- whom we trust ---- */

/* The whole of a file that the supervisor opened; NULL: it can't be read. Closes fd. */
static char *read_file(int fd, size_t *ret_count)
{
	struct stat status;
	char *text = NULL;
	if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	    status.st_size <= (off_t)RING_FILE_MAX)
		text = calloc(1, (size_t)status.st_size + 1);
	ssize_t count = text != NULL ? pread(fd, text, (size_t)status.st_size, 0) : -1;
	if (count < 0) {
		free(text);
		text = NULL;
	}
	*ret_count = count > 0 ? (size_t)count : 0;
	if (fd >= 0)
		close(fd);
	return text;
}

void fleet_take_ring(struct fleet *fleet, int fd)
{
	char error[RING_ERROR_MAX] = " it can't be read";
	size_t count;
	struct ring ring = {0};
	char *text = read_file(fd, &count);
	if (fd >= 0 && (text == NULL || ring_parse(text, count, &ring, error) != 0))
		log_error("fleet-keys",
		    "fleet.trusted-keys %s:%s; until it is mended nobody is trusted",
		    fleet->config->fleet.trusted_keys, error);
	free(text);
	ring_fini(&fleet->ring_before);
	fleet->ring_before = fleet->ring;
	fleet->ring = ring;
}

void fleet_take_membership(struct fleet *fleet, int fd)
{
	size_t count;
	char *text = read_file(fd, &count);
	resolverd__fleet__signed_membership__free_unpacked(fleet->membership, NULL);
	fleet->membership = text != NULL ? membership_parse(text, count) : NULL;
	if (fd >= 0 && fleet->membership == NULL)
		log_error("fleet-keys",
		    "fleet.membership-file %s is no membership: make it with resolverctl "
		    "keys sign",
		    fleet->config->fleet.membership_file);
	free(text);
}

bool fleet_trusts(const struct fleet *fleet, const struct answer *answer)
{
	Resolverd__V1__Answer *envelope = answer_envelope(answer);
	bool good =
	    envelope != NULL && envelope->origin_key_id.len == KEY_ID_BYTES &&
	    ring_still_takes(&fleet->ring_before, &fleet->ring, envelope->origin_key_id.data);
	resolverd__v1__answer__free_unpacked(envelope, NULL);
	return good;
}

void fleet_forget(struct fleet *fleet, int64_t now_ms)
{
	fleet->forgotten_at_ms = now_ms;
}

static uint64_t membership_ends_ms(const Resolverd__Fleet__SignedMembership *message)
{
	Resolverd__Fleet__Membership *membership =
	    message != NULL ? resolverd__fleet__membership__unpack(
				  NULL, message->membership.len, message->membership.data)
			    : NULL;
	uint64_t ends_ms = membership != NULL ? membership->not_after : 0;
	resolverd__fleet__membership__free_unpacked(membership, NULL);
	return ends_ms;
}

void fleet_tell_status(const struct fleet *fleet, Resolverd__V1__FleetStatus *message)
{
	const struct fleet_counts *counts = &fleet->counts;
	resolverd__v1__fleet_status__init(message);
	message->connected = fleet->up && fleet->connected;
	message->detail = (char *)(uintptr_t)fleet->detail;
	message->left_out = breaker_is_open(&fleet->breaker);
	message->member_keys = (uint32_t)fleet->ring.members.count;
	message->root_keys = (uint32_t)fleet->ring.roots.count;
	message->revoked_keys = (uint32_t)fleet->ring.revoked.count;
	message->membership_ends_at = membership_ends_ms(fleet->membership);
	message->asked = counts->asked;
	message->found = counts->found;
	message->refused = counts->refused;
	message->refused_why = (char *)(uintptr_t)fleet->refused_why;
	message->leased = counts->leased;
	message->waited = counts->waited;
	message->shared = counts->shared;
	message->failed = counts->failed;
	message->passed_by = counts->passed_by;
	message->notices = counts->notices;
	message->notices_dropped = counts->notices_dropped;
}
