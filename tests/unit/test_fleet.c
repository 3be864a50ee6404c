/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fleet stage between flight and workers: what it asks the store, what it takes from it, and
 * how it goes on without. The other end of the socketpair is the helper; a second signer is the
 * other member.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/frame.h"
#include "resolverd/base/clock.h"
#include "resolverd/base/store.h"
#include "resolverd/server/fleet.h"
#include "tests/unit/test.h"

#define LIFE_MS INT64_C(86400000)
#define TIMEOUT_MS 60
#define NAME(text) ((char *)(uintptr_t)(text))
#define DONE RESOLVERD__FLEET__STORE_RESULT__DONE
#define NOTHING RESOLVERD__FLEET__STORE_RESULT__NOTHING
#define UNAVAILABLE RESOLVERD__FLEET__STORE_RESULT__UNAVAILABLE

static char *no_list[] = {NULL};

struct member {
	struct config config;
	struct signer signer;
	uint8_t long_term[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
};

struct scene {
	struct event_base *base;
	struct conn_buffers buffers;
	struct flight flight;
	struct fleet fleet;
	struct member us, them;
	int helper;
	struct flight_job *passed; /* the last one */
	struct answer *answer;     /* the last one found */
	struct answer *have;
	unsigned pass_count, found_count, idle_count, changed_count, wanted_count, stuck_count;
	char changed_name[100];
	struct job_waiter waiter;
};

/* ---- two members ---- */

static void member_init(struct member *member, const char *name)
{
	member->config = (struct config){
	    .signing = {.member = NAME(name)},
	    .cache = {.max_ttl_ms = LIFE_MS, .failure_ttl_ms = 15000},
	    .resolver = {.trust_anchor_file = NAME("/root.key"),
		.root_hints = NAME(""),
		.forward = no_list,
		.digests = {2, 1},
		.digest_count = 2},
	    .fleet = {.redis = NAME("unix:/store"),
		.key_prefix = NAME("rd:1:"),
		.trusted_keys = NAME("/ring"),
		.membership_file = NAME(""),
		.max_age_ms = 3600000,
		.timeout_ms = TIMEOUT_MS},
	};
	crypto_sign_keypair(member->long_term, member->secret);
	assert_int_equal(signer_init(&member->signer, &member->config), 0);
	int64_t now_ms = clock_wall_ms();
	uint8_t inner_bytes[200], signature[crypto_sign_BYTES], id[KEY_ID_BYTES], bytes[512];
	Resolverd__V1__Delegation inner = RESOLVERD__V1__DELEGATION__INIT;
	Resolverd__V1__SignedDelegation outer = RESOLVERD__V1__SIGNED_DELEGATION__INIT;
	Resolverd__V1__SignedDelegation *list[] = {&outer};
	Resolverd__V1__StatusResponse message = RESOLVERD__V1__STATUS_RESPONSE__INIT;
	inner.online_key = (ProtobufCBinaryData){crypto_sign_PUBLICKEYBYTES,
	    (uint8_t *)(uintptr_t)signer_key_to_delegate(&member->signer)};
	inner.member = NAME(name);
	inner.not_before = (uint64_t)(now_ms - 60000);
	inner.not_after = (uint64_t)(now_ms + LIFE_MS);
	inner.scope = RESOLVERD__V1__SCOPE__ANSWERS;
	size_t count = resolverd__v1__delegation__pack(&inner, inner_bytes);
	signing_sign(SIGNING_CONTEXT_DELEGATION, inner_bytes, count, member->secret, signature);
	key_id_of(member->long_term, id);
	outer.delegation = (ProtobufCBinaryData){count, inner_bytes};
	outer.signature = (ProtobufCBinaryData){sizeof signature, signature};
	outer.key_id = (ProtobufCBinaryData){sizeof id, id};
	message.delegations = list;
	message.n_delegations = 1;
	count = resolverd__v1__status_response__pack(&message, bytes);
	assert_int_equal(signer_take_delegations(&member->signer, bytes, count, now_ms), 0);
}

/* ---- the server ---- */

static const struct answer *have(void *arg, const struct flight_job *job)
{
	struct scene *scene = arg;
	(void)job;
	return scene->have;
}

static void found(void *arg, struct flight_job *job, struct answer *answer)
{
	struct scene *scene = arg;
	scene->found_count += answer != NULL;
	scene->idle_count += answer == NULL;
	answer_unref(scene->answer);
	scene->answer = answer;
	flight_end(&scene->flight, job, answer);
}

static void pass(void *arg, struct flight_job *job)
{
	struct scene *scene = arg;
	scene->pass_count++;
	scene->passed = job;
}

static void changed(void *arg, const Resolverd__V1__Question *question)
{
	struct scene *scene = arg;
	scene->changed_count++;
	snprintf(scene->changed_name, sizeof scene->changed_name, "%s", question->name);
}

static void wanted(void *arg, const struct question_key *key)
{
	struct scene *scene = arg;
	struct question_key expected;
	question_key_make(&expected, RESOLVERD__V1__KIND__RECORDS, 15, "example.org");
	assert_int_equal(key->count, expected.count);
	assert_memory_equal(key->bytes, expected.bytes, expected.count);
	scene->wanted_count++;
}

static void stuck(void *arg)
{
	struct scene *scene = arg;
	scene->stuck_count++;
}

static void on_answer(struct job_waiter *waiter, void *answer)
{
	(void)waiter, (void)answer;
}

static void turn(struct scene *scene)
{
	for (unsigned i = 0; i < 8; i++)
		event_base_loop(scene->base, EVLOOP_NONBLOCK);
}

/* ---- the helper ---- */

static void helper_says(struct scene *scene, const Resolverd__Fleet__StoreReply *reply)
{
	uint8_t frame[8192];
	size_t count = resolverd__fleet__store_reply__get_packed_size(reply);
	assert_true(count + FRAME_HEADER_BYTES <= sizeof frame);
	frame_put_header(frame, count);
	resolverd__fleet__store_reply__pack(reply, frame + FRAME_HEADER_BYTES);
	assert_int_equal(
	    write(scene->helper, frame, count + FRAME_HEADER_BYTES), count + FRAME_HEADER_BYTES);
	turn(scene);
}

static void say_connected(struct scene *scene, bool connected)
{
	Resolverd__Fleet__StoreReply reply = RESOLVERD__FLEET__STORE_REPLY__INIT;
	Resolverd__Fleet__StoreState state = RESOLVERD__FLEET__STORE_STATE__INIT;
	state.connected = connected;
	state.detail = NAME(connected ? "unix:/store" : "refused");
	reply.state = &state;
	helper_says(scene, &reply);
}

/* The next request; NULL: none. Freed by its caller. */
static Resolverd__Fleet__StoreRequest *next_request(struct scene *scene)
{
	uint8_t header[FRAME_HEADER_BYTES], body[8192];
	turn(scene);
	if (recv(scene->helper, header, sizeof header, MSG_DONTWAIT) != sizeof header)
		return NULL;
	size_t count = (size_t)header[2] << 8 | header[3];
	assert_int_equal(recv(scene->helper, body, count, MSG_WAITALL), count);
	Resolverd__Fleet__StoreRequest *request =
	    resolverd__fleet__store_request__unpack(NULL, count, body);
	assert_non_null(request);
	return request;
}

static void reply_with(
    struct scene *scene, uint64_t id, int result, const uint8_t *value, size_t count)
{
	Resolverd__Fleet__StoreReply reply = RESOLVERD__FLEET__STORE_REPLY__INIT;
	reply.id = id;
	reply.result = (Resolverd__Fleet__StoreResult)result;
	reply.value = (ProtobufCBinaryData){count, (uint8_t *)(uintptr_t)value};
	helper_says(scene, &reply);
}

/* Expects a request of that body for a key that ends so; returns its id. */
static uint64_t expect(struct scene *scene, int body, const char *key_end)
{
	Resolverd__Fleet__StoreRequest *request = next_request(scene);
	assert_non_null(request);
	assert_int_equal(request->body_case, body);
	const char *key =
	    body == RESOLVERD__FLEET__STORE_REQUEST__BODY_GET     ? request->get->key
	    : body == RESOLVERD__FLEET__STORE_REQUEST__BODY_LEASE ? request->lease->key
	    : body == RESOLVERD__FLEET__STORE_REQUEST__BODY_COUNT ? request->count->key
								  : request->put->key;
	assert_memory_equal(key, "rd:1:", 5);
	assert_true(strlen(key) > strlen(key_end));
	assert_string_equal(key + strlen(key) - strlen(key_end), key_end);
	uint64_t id = request->id;
	resolverd__fleet__store_request__free_unpacked(request, NULL);
	return id;
}
#define EXPECT_GET(scene)                                                                          \
	expect(scene, RESOLVERD__FLEET__STORE_REQUEST__BODY_GET, ":t15:example.org")
#define EXPECT_LEASE(scene)                                                                        \
	expect(scene, RESOLVERD__FLEET__STORE_REQUEST__BODY_LEASE, ":t15:example.org:lease")

#define EXPECT_COUNT(scene)                                                                        \
	expect(scene, RESOLVERD__FLEET__STORE_REQUEST__BODY_COUNT, ":t15:example.org:asked")

static void expect_silence(struct scene *scene)
{
	assert_null(next_request(scene));
}

/* The loop runs until something passed or was found, or a request goes out; bounded. */
static void wait_for(struct scene *scene, const unsigned *count)
{
	unsigned before = *count;
	for (unsigned i = 0; i < 2000 && *count == before; i++) {
		turn(scene);
		usleep(1000);
	}
	assert_int_equal(*count, before + 1);
}

static uint64_t wait_for_get(struct scene *scene)
{
	char byte;
	for (unsigned i = 0; i < 2000; i++) {
		turn(scene);
		if (recv(scene->helper, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1)
			return EXPECT_GET(scene);
		usleep(1000);
	}
	fail_msg("it does not look again");
	return 0;
}

/* ---- set-up ---- */

static void take_ring(struct scene *scene, const char *text)
{
	int fd = memfd_create("ring", 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	fleet_take_ring(&scene->fleet, fd);
}

static void trust(struct scene *scene, const struct member *member)
{
	char text[64];
	sodium_bin2base64(text, sizeof text, member->long_term, sizeof member->long_term,
	    sodium_base64_VARIANT_ORIGINAL);
	take_ring(scene, text);
}

static void helper_up(struct scene *scene)
{
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	fleet_helper_up(&scene->fleet, pair[0]);
	scene->helper = pair[1];
	say_connected(scene, true);
}

static int setup(void **state)
{
	struct scene *scene = calloc(1, sizeof *scene);
	assert_non_null(scene);
	assert_true(sodium_init() >= 0);
	scene->base = event_base_new();
	member_init(&scene->us, "us");
	member_init(&scene->them, "them");
	assert_int_equal(conn_buffers_init(&scene->buffers), 0);
	assert_int_equal(flight_init(&scene->flight), 0);
	assert_int_equal(fleet_init(&scene->fleet, scene->base, &scene->buffers, &scene->us.signer,
			     &scene->us.config),
	    0);
	scene->fleet.have = have;
	scene->fleet.found = found;
	scene->fleet.pass = pass;
	scene->fleet.changed = changed;
	scene->fleet.wanted = wanted;
	scene->fleet.stuck = stuck;
	scene->fleet.arg = scene;
	scene->waiter.on_answer = on_answer;
	trust(scene, &scene->them);
	helper_up(scene);
	*state = scene;
	return 0;
}

static int teardown(void **state)
{
	struct scene *scene = *state;
	fleet_fini(&scene->fleet);
	free(scene->passed);
	flight_fini(&scene->flight);
	conn_buffers_fini(&scene->buffers);
	signer_fini(&scene->us.signer);
	signer_fini(&scene->them.signer);
	answer_unref(scene->answer);
	answer_unref(scene->have);
	close(scene->helper);
	event_base_free(scene->base);
	free(scene);
	return 0;
}

/* ---- jobs and facts ---- */

static struct flight_job *job_of(struct scene *scene, bool refresh)
{
	struct question_key key;
	struct flight_job *job;
	question_key_make(&key, RESOLVERD__V1__KIND__RECORDS, 15, "example.org");
	if (refresh)
		assert_int_equal(
		    flight_refresh(&scene->flight, &key, 0, FLIGHT_NO_WORKER, &job), 0);
	else
		assert_int_equal(
		    flight_ask(&scene->flight, &key, 0, FLIGHT_ASKED, &scene->waiter, &job), 0);
	assert_ptr_equal(flight_take(&scene->flight), job);
	return job;
}

static void let_take(struct scene *scene, bool refresh)
{
	assert_true(fleet_take(&scene->fleet, job_of(scene, refresh)));
}

struct told {
	int64_t life_ms;
	const char *name;
	bool failed, touches_insecure_zone;
};

static const struct told good = {.life_ms = 600000, .name = "example.org"};

static Resolverd__Worker__Facts facts_of(
    const struct told *told, Resolverd__V1__Question *question, Resolverd__V1__Records *records)
{
	static Resolverd__V1__InsecureZone zone, *zones[] = {&zone};
	Resolverd__Worker__Facts facts = RESOLVERD__WORKER__FACTS__INIT;
	resolverd__v1__question__init(question);
	resolverd__v1__records__init(records);
	resolverd__v1__insecure_zone__init(&zone);
	zone.until = UINT64_MAX / 2;
	question->kind = RESOLVERD__V1__KIND__RECORDS;
	question->type = 15;
	question->name = NAME(told->name);
	records->status = RESOLVERD__V1__STATUS__SECURE;
	facts.question = question;
	facts.data_case = RESOLVERD__WORKER__FACTS__DATA_RECORDS;
	facts.records = records;
	facts.life_ms = (uint64_t)told->life_ms;
	facts.failed = told->failed;
	facts.insecure_zones = zones;
	facts.n_insecure_zones = told->touches_insecure_zone;
	return facts;
}

/* As a member puts it into the store at that time. */
static struct shared_value value_of(
    const struct scene *scene, struct member *member, const struct told *told, int64_t at_ms)
{
	Resolverd__V1__Question question;
	Resolverd__V1__Records records;
	struct shared_value value;
	Resolverd__Worker__Facts facts = facts_of(told, &question, &records);
	assert_int_equal(signer_share(&member->signer, &facts, scene->fleet.view,
			     sizeof scene->fleet.view, NULL, at_ms, &value),
	    0);
	return value;
}

static void reply_found(struct scene *scene, uint64_t id, struct member *member,
    const struct told *told, int64_t age_ms)
{
	struct shared_value value = value_of(scene, member, told, clock_wall_ms() - age_ms);
	reply_with(scene, id, DONE, value.bytes, value.count);
	free(value.bytes);
}

static struct answer *answer_living(struct scene *scene, int64_t life_ms)
{
	Resolverd__V1__Question question;
	Resolverd__V1__Records records;
	const struct told told = {.life_ms = life_ms, .name = "example.org"};
	Resolverd__Worker__Facts facts = facts_of(&told, &question, &records);
	struct answer *answer = signer_answer(&scene->us.signer, &facts, clock_wall_ms());
	assert_non_null(answer);
	return answer;
}

/* ---- what the store has ---- */

static void what_a_trusted_member_found_is_the_answer_with_its_origin(void **state)
{
	struct scene *scene = *state;
	int64_t now_ms = clock_wall_ms();
	let_take(scene, false);
	reply_found(scene, EXPECT_GET(scene), &scene->them, &good, 5000);
	assert_int_equal(scene->found_count, 1);
	EXPECT_COUNT(scene);
	expect_silence(scene);
	assert_true(scene->answer->foreign);
	Resolverd__V1__Answer *envelope = answer_envelope(scene->answer);
	uint8_t id[KEY_ID_BYTES];
	key_id_of(scene->them.long_term, id);
	assert_string_equal(envelope->member, "us");
	assert_string_equal(envelope->origin, "them");
	assert_memory_equal(envelope->origin_key_id.data, id, sizeof id);
	assert_int_equal(envelope->records->status, RESOLVERD__V1__STATUS__SECURE);
	assert_in_range(envelope->validated_at, now_ms - 5000, now_ms - 4000);
	assert_int_equal(envelope->expires_at, envelope->validated_at + 600000);
	assert_true(envelope->cacheable);
	resolverd__v1__answer__free_unpacked(envelope, NULL);
	assert_true(fleet_trusts(&scene->fleet, scene->answer));
	take_ring(scene, "");
	assert_false(fleet_trusts(&scene->fleet, scene->answer));
}

/* The value is of no use: the job goes on as if there were none. */
static void expect_useless(
    struct scene *scene, struct member *member, const struct told *told, int64_t age_ms)
{
	unsigned before = scene->pass_count;
	let_take(scene, false);
	reply_found(scene, EXPECT_GET(scene), member, told, age_ms);
	reply_with(scene, EXPECT_LEASE(scene), DONE, NULL, 0);
	assert_int_equal(scene->pass_count, before + 1);
	assert_int_equal(scene->found_count, 0);
	flight_end(&scene->flight, scene->passed, NULL);
	scene->passed = NULL;
}

static void nobody_elses_word_is_taken(void **state)
{
	struct scene *scene = *state;
	expect_useless(scene, &scene->us, &good, 0); /* not even our own: the ring decides */
	assert_int_equal(scene->fleet.counts.refused, 1);
	assert_non_null(strstr(scene->fleet.refused_why, "no key"));
}

static void another_questions_facts_are_not_taken(void **state)
{
	struct scene *scene = *state;
	expect_useless(
	    scene, &scene->them, &(struct told){.life_ms = 600000, .name = "example.net"}, 0);
	assert_int_equal(scene->fleet.counts.refused, 1);
}

static void what_is_old_ended_or_of_the_future_is_not_taken(void **state)
{
	struct scene *scene = *state;
	const struct told long_lived = {.life_ms = LIFE_MS, .name = "example.org"};
	expect_useless(scene, &scene->them, &long_lived, 3601000);
	expect_useless(scene, &scene->them, &good, 599500); /* ends within a second */
	expect_useless(scene, &scene->them, &good, 700000);
	assert_int_equal(scene->fleet.counts.refused, 0);
	expect_useless(scene, &scene->them, &good, -6000);
	assert_int_equal(scene->fleet.counts.refused, 1);
}

static void it_must_last_longer_than_what_we_have(void **state)
{
	struct scene *scene = *state;
	scene->have = answer_living(scene, 600000);
	expect_useless(scene, &scene->them, &good, 60000);
	let_take(scene, false);
	/* Later, and longer. */
	reply_found(scene, EXPECT_GET(scene), &scene->them,
	    &(struct told){.life_ms = 700000, .name = "example.org"}, -1000);
	assert_int_equal(scene->found_count, 1);
}

static void it_must_be_no_older_than_what_we_have(void **state)
{
	struct scene *scene = *state;
	scene->have = answer_living(scene, 1); /* it has ended: somebody lowered the TTL */
	expect_useless(scene, &scene->them, &good, 60000);
}

static void what_was_found_before_all_was_forgotten_is_not_taken(void **state)
{
	struct scene *scene = *state;
	int64_t now_ms = clock_wall_ms();
	fleet_forget(&scene->fleet, now_ms - 20000);
	expect_useless(scene, &scene->them, &good, 21000);
	expect_useless(scene, &scene->them, &good, 16000); /* their clock may be ahead */
	let_take(scene, false);
	reply_found(scene, EXPECT_GET(scene), &scene->them, &good, 14000);
	assert_int_equal(scene->found_count, 1);
	fleet_forget(&scene->fleet, now_ms - 60000); /* the clock was set back */
	let_take(scene, false);
	EXPECT_COUNT(scene);
	reply_found(scene, EXPECT_GET(scene), &scene->them, &good, 50000);
	assert_int_equal(scene->found_count, 2);
}

static void who_is_taken_out_of_the_ring_is_out_though_a_root_is_in_it(void **state)
{
	struct scene *scene = *state;
	char text[200], member[64];
	let_take(scene, false);
	reply_found(scene, EXPECT_GET(scene), &scene->them, &good, 5000);
	sodium_bin2base64(member, sizeof member, scene->them.long_term,
	    sizeof scene->them.long_term, sodium_base64_VARIANT_ORIGINAL);
	snprintf(
	    text, sizeof text, "%s\nroot 3+aUFqeVcLBHGFIoxNZVFsx1wyTtu3RUzHFlLqyB7Hc=\n", member);
	for (unsigned i = 0; i < 2; i++) {
		take_ring(scene, text);
		assert_true(fleet_trusts(&scene->fleet, scene->answer));
	}
	take_ring(scene, strchr(text, '\n'));
	assert_false(fleet_trusts(&scene->fleet, scene->answer));
}

/* ---- what the fleet wants ---- */

static void reply_counted(struct scene *scene, uint64_t id, int result, uint64_t count)
{
	Resolverd__Fleet__StoreReply reply = RESOLVERD__FLEET__STORE_REPLY__INIT;
	reply.id = id;
	reply.result = (Resolverd__Fleet__StoreResult)result;
	reply.count = count;
	helper_says(scene, &reply);
}

static uint64_t found_and_counted(struct scene *scene)
{
	let_take(scene, false);
	reply_found(scene, EXPECT_GET(scene), &scene->them, &good, 5000);
	Resolverd__Fleet__StoreRequest *request = next_request(scene);
	assert_non_null(request);
	assert_int_equal(request->body_case, RESOLVERD__FLEET__STORE_REQUEST__BODY_COUNT);
	assert_in_range(request->count->life_ms, 599000, 600000); /* the whole life */
	uint64_t id = request->id;
	resolverd__fleet__store_request__free_unpacked(request, NULL);
	return id;
}

static void what_all_together_ask_for_often_is_wanted(void **state)
{
	struct scene *scene = *state;
	reply_counted(scene, found_and_counted(scene), DONE, 3);
	assert_int_equal(scene->wanted_count, 0);
	reply_counted(scene, found_and_counted(scene), DONE, 4);
	assert_int_equal(scene->wanted_count, 1);
	reply_counted(scene, found_and_counted(scene), DONE, UINT64_MAX);
	assert_int_equal(scene->wanted_count, 2);
	assert_int_equal(scene->fleet.lookups.count, 0);
}

static void a_count_that_fails_costs_nothing(void **state)
{
	struct scene *scene = *state;
	for (unsigned i = 0; i < 10; i++) /* as where the store's user may not INCR */
		reply_counted(scene, found_and_counted(scene), UNAVAILABLE, 0);
	assert_int_equal(scene->wanted_count, 0);
	assert_false(breaker_is_open(&scene->fleet.breaker));
	found_and_counted(scene);
	close(scene->helper); /* with one open */
	turn(scene);
	assert_int_equal(scene->fleet.lookups.count, 0);
	helper_up(scene);
	found_and_counted(scene); /* is freed at the end */
}

static void a_refresh_is_no_request(void **state)
{
	struct scene *scene = *state;
	let_take(scene, true);
	reply_found(scene, EXPECT_GET(scene), &scene->them, &good, 5000);
	assert_int_equal(scene->found_count, 1);
	expect_silence(scene);
}

static void what_is_looked_up_for_a_client_is_counted(void **state)
{
	struct scene *scene = *state;
	Resolverd__V1__Question question;
	Resolverd__V1__Records records;
	Resolverd__Worker__Facts facts = facts_of(&good, &question, &records);
	struct flight_job *job = job_of(scene, false);
	fleet_share(&scene->fleet, job, &facts, false, clock_wall_ms());
	flight_end(&scene->flight, job, NULL);
	expect(scene, RESOLVERD__FLEET__STORE_REQUEST__BODY_PUT, ":t15:example.org");
	reply_counted(scene, EXPECT_COUNT(scene), DONE, 4);
	assert_int_equal(scene->wanted_count, 1);
}

/* ---- the lease ---- */

static void with_the_lease_a_worker_looks_it_up(void **state)
{
	struct scene *scene = *state;
	let_take(scene, false);
	reply_with(scene, EXPECT_GET(scene), NOTHING, NULL, 0);
	assert_int_equal(scene->pass_count, 0);
	reply_with(scene, EXPECT_LEASE(scene), DONE, NULL, 0);
	assert_int_equal(scene->pass_count, 1);
	assert_false(fleet_take(&scene->fleet, scene->passed)); /* once is enough */
	assert_int_equal(scene->fleet.counts.leased, 1);
}

static void while_another_has_the_lease_it_looks_again(void **state)
{
	struct scene *scene = *state;
	let_take(scene, false);
	reply_with(scene, EXPECT_GET(scene), NOTHING, NULL, 0);
	reply_with(scene, EXPECT_LEASE(scene), NOTHING, NULL, 0);
	reply_with(scene, wait_for_get(scene), NOTHING, NULL, 0);
	reply_found(scene, wait_for_get(scene), &scene->them, &good, 0);
	assert_int_equal(scene->found_count, 1);
	assert_int_equal(scene->pass_count, 0);
	assert_int_equal(scene->fleet.counts.waited, 1);
}

static void it_does_not_wait_for_ever(void **state)
{
	struct scene *scene = *state;
	let_take(scene, false);
	reply_with(scene, EXPECT_GET(scene), NOTHING, NULL, 0);
	reply_with(scene, EXPECT_LEASE(scene), NOTHING, NULL, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(scene->pass_count, 0);
		reply_with(scene, wait_for_get(scene), NOTHING, NULL, 0);
	}
	assert_int_equal(scene->pass_count, 1);
	expect_silence(scene);
}

static void wait_in_vain(struct scene *scene)
{
	let_take(scene, false);
	reply_with(scene, EXPECT_GET(scene), NOTHING, NULL, 0);
	reply_with(scene, EXPECT_LEASE(scene), NOTHING, NULL, 0);
	for (unsigned i = 0; i < 3; i++)
		reply_with(scene, wait_for_get(scene), NOTHING, NULL, 0);
	flight_end(&scene->flight, scene->passed, NULL);
}

static void where_it_waits_in_vain_it_waits_no_more_for_a_while(void **state)
{
	struct scene *scene = *state;
	for (unsigned i = 0; i < BREAKER_FAILURES; i++)
		wait_in_vain(scene);
	assert_int_equal(scene->pass_count, 3);
	let_take(scene, false);
	reply_with(scene, EXPECT_GET(scene), NOTHING, NULL, 0);
	reply_with(scene, EXPECT_LEASE(scene), NOTHING, NULL, 0);
	assert_int_equal(scene->pass_count, 4);
	flight_end(&scene->flight, scene->passed, NULL);
	assert_false(breaker_is_open(&scene->fleet.breaker)); /* what is there is read */
	let_take(scene, false);
	reply_found(scene, EXPECT_GET(scene), &scene->them, &good, 0);
	assert_int_equal(scene->found_count, 1);
	EXPECT_COUNT(scene);
	scene->fleet.waits.open_until_ms = 1; /* over */
	let_take(scene, false);
	reply_with(scene, EXPECT_GET(scene), NOTHING, NULL, 0);
	reply_with(scene, EXPECT_LEASE(scene), NOTHING, NULL, 0);
	reply_found(scene, wait_for_get(scene), &scene->them, &good, 0);
	assert_false(breaker_is_open(&scene->fleet.waits));
	scene->passed = NULL;
}

static void one_that_waits_without_haste_is_hurried_when_a_client_joins(void **state)
{
	struct scene *scene = *state;
	struct question_key key;
	struct flight_job *joined;
	let_take(scene, true);
	reply_with(scene, EXPECT_GET(scene), NOTHING, NULL, 0);
	reply_with(scene, EXPECT_LEASE(scene), NOTHING, NULL, 0);
	for (unsigned i = 0; i < 2; i++)
		reply_with(scene, wait_for_get(scene), NOTHING, NULL, 0);
	/* 300 to 900 ms are ahead of it. */
	question_key_make(&key, RESOLVERD__V1__KIND__RECORDS, 15, "example.org");
	assert_int_equal(
	    flight_ask(&scene->flight, &key, 0, FLIGHT_ASKED, &scene->waiter, &joined), 0);
	fleet_hurry(NULL);
	int64_t before_ms = clock_mono_ms();
	char byte;
	while (recv(scene->helper, &byte, 1, MSG_DONTWAIT | MSG_PEEK) != 1) {
		fleet_hurry(joined->look); /* each that joins, and it is not put off by them */
		turn(scene);
		usleep(1000);
		assert_in_range(clock_mono_ms() - before_ms, 0, 250);
	}
	reply_found(scene, EXPECT_GET(scene), &scene->them, &good, 0);
	assert_int_equal(scene->found_count, 1);
}

static void a_background_job_that_joins_does_not_hurry_it(void **state)
{
	struct scene *scene = *state;
	struct question_key key;
	struct flight_job *joined;
	let_take(scene, true);
	reply_with(scene, EXPECT_GET(scene), NOTHING, NULL, 0);
	reply_with(scene, EXPECT_LEASE(scene), NOTHING, NULL, 0);
	question_key_make(&key, RESOLVERD__V1__KIND__RECORDS, 15, "example.org");
	assert_int_equal(
	    flight_ask(&scene->flight, &key, 0, FLIGHT_BACKGROUND, &scene->waiter, &joined), 0);
	for (unsigned i = 0; i < 200; i++) { /* the first poll comes after 150 ms at the latest */
		fleet_hurry(joined->look);
		turn(scene);
		usleep(1000);
	}
	EXPECT_GET(scene);
}

/* ---- what is not to be shared ---- */

static struct flight_job *lease(struct scene *scene)
{
	let_take(scene, false);
	reply_with(scene, EXPECT_GET(scene), NOTHING, NULL, 0);
	reply_with(scene, EXPECT_LEASE(scene), DONE, NULL, 0);
	struct flight_job *job = scene->passed;
	scene->passed = NULL;
	return job;
}

/* facts NULL: it failed. */
static void expect_nothing_shared(
    struct scene *scene, struct flight_job *job, const Resolverd__Worker__Facts *facts)
{
	fleet_share(&scene->fleet, job, facts, false, clock_wall_ms());
	flight_end(&scene->flight, job, NULL);
	Resolverd__Fleet__StoreRequest *request = next_request(scene);
	assert_non_null(request);
	assert_int_equal(request->body_case, RESOLVERD__FLEET__STORE_REQUEST__BODY_PUT);
	assert_int_equal(request->put->value.len, 0);
	assert_true(request->put->only_new);
	assert_in_range(request->put->life_ms, 3000, 30000);
	resolverd__fleet__store_request__free_unpacked(request, NULL);
	assert_int_equal(scene->fleet.counts.shared, 0);
}

static void nobody_waits_for_what_is_not_shared(void **state)
{
	struct scene *scene = *state;
	Resolverd__V1__Question question;
	Resolverd__V1__Records records;
	const struct told once = {.life_ms = 0, .name = "example.org"};
	Resolverd__Worker__Facts facts = facts_of(&once, &question, &records);
	expect_nothing_shared(scene, lease(scene), &facts);
	let_take(scene, false); /* the next client, and other members */
	reply_with(scene, EXPECT_GET(scene), DONE, NULL, 0);
	assert_int_equal(scene->pass_count, 2);
	expect_silence(scene); /* no lease */
	assert_int_equal(scene->fleet.counts.refused, 0);
	fleet_share(&scene->fleet, scene->passed, &facts, false, clock_wall_ms());
	expect_silence(scene); /* it is said already */
}

static void nor_for_what_failed(void **state)
{
	struct scene *scene = *state;
	expect_nothing_shared(scene, lease(scene), NULL);
}

static void nor_for_what_is_too_large(void **state)
{
	struct scene *scene = *state;
	Resolverd__V1__Question question;
	Resolverd__V1__Records records;
	ProtobufCBinaryData rdata = {STORE_VALUE_MAX_BYTES, calloc(1, STORE_VALUE_MAX_BYTES)};
	assert_non_null(rdata.data);
	Resolverd__Worker__Facts facts = facts_of(&good, &question, &records);
	Resolverd__V1__Rrset rrset = RESOLVERD__V1__RRSET__INIT, *rrsets[] = {&rrset};
	rrset.rdata = &rdata;
	rrset.n_rdata = 1;
	records.answer = rrsets;
	records.n_answer = 1;
	struct flight_job *job = lease(scene);
	job->refresh = true; /* not counted */
	scene->flight.refreshes_running++;
	expect_nothing_shared(scene, job, &facts);
	free(rdata.data);
}

/* ---- without the store ---- */

static void what_can_not_answer_is_passed_by_at_once(void **state)
{
	struct scene *scene = *state;
	let_take(scene, false);
	reply_with(scene, EXPECT_GET(scene), UNAVAILABLE, NULL, 0);
	assert_int_equal(scene->pass_count, 1);
	flight_end(&scene->flight, scene->passed, NULL);
	let_take(scene, false);
	reply_with(scene, EXPECT_GET(scene), NOTHING, NULL, 0);
	reply_with(scene, EXPECT_LEASE(scene), UNAVAILABLE, NULL, 0);
	assert_int_equal(scene->pass_count, 2);
	flight_end(&scene->flight, scene->passed, NULL);
	let_take(scene, false);
	reply_with(scene, EXPECT_GET(scene), 99, NULL, 0); /* unknown: read as unavailable */
	assert_int_equal(scene->pass_count, 3);
}

static void a_silent_store_costs_its_bound_and_then_nothing(void **state)
{
	struct scene *scene = *state;
	for (unsigned i = 0; i < BREAKER_FAILURES; i++) {
		let_take(scene, false);
		uint64_t id = EXPECT_GET(scene);
		wait_for(scene, &scene->pass_count);
		reply_found(scene, id, &scene->them, &good, 0); /* too late: changes nothing */
		assert_int_equal(scene->found_count, 0);
		flight_end(&scene->flight, scene->passed, NULL);
		scene->passed = NULL;
	}
	assert_true(breaker_is_open(&scene->fleet.breaker));
	struct flight_job *job = job_of(scene, false);
	assert_false(fleet_take(&scene->fleet, job));
	expect_silence(scene);
	assert_int_equal(scene->fleet.counts.passed_by, 1);
	free(job);
}

static void one_that_answers_the_first_question_only_is_left_out_too(void **state)
{
	struct scene *scene = *state;
	for (unsigned i = 0; i < BREAKER_FAILURES; i++) {
		let_take(scene, false);
		reply_with(scene, EXPECT_GET(scene), NOTHING, NULL, 0);
		EXPECT_LEASE(scene);
		wait_for(scene, &scene->pass_count);
		assert_in_range(scene->passed->store_ms, TIMEOUT_MS - 2, 5000);
		flight_end(&scene->flight, scene->passed, NULL);
		scene->passed = NULL;
	}
	assert_true(breaker_is_open(&scene->fleet.breaker));
}

static void its_replies_share_one_time(void **state)
{
	struct scene *scene = *state;
	let_take(scene, false);
	uint64_t id = EXPECT_GET(scene);
	usleep((TIMEOUT_MS - 5) * 1000);
	int64_t before_ms = clock_mono_ms();
	Resolverd__Fleet__StoreReply reply = RESOLVERD__FLEET__STORE_REPLY__INIT;
	reply.id = id;
	reply.result = NOTHING;
	helper_says(scene, &reply);
	if (scene->pass_count == 0) /* else it was too late already */
		wait_for(scene, &scene->pass_count);
	assert_in_range(clock_mono_ms() - before_ms, 0, TIMEOUT_MS - 10);
}

static void a_silent_helper_is_replaced(void **state)
{
	struct scene *scene = *state;
	for (unsigned i = 0; i < 16 && scene->stuck_count == 0; i++) {
		let_take(scene, false);
		uint64_t id = EXPECT_GET(scene);
		wait_for(scene, &scene->pass_count);
		flight_end(&scene->flight, scene->passed, NULL);
		scene->passed = NULL;
		if (i < 6) /* the store is slow, the helper lives */
			reply_with(scene, id, NOTHING, NULL, 0);
		if (i == 6)
			scene->fleet.breaker = (struct breaker){0};
		else if (breaker_is_open(&scene->fleet.breaker))
			scene->fleet.breaker.open_until_ms = 1; /* its time is over */
		assert_true(i >= 12 || scene->stuck_count == 0);
	}
	assert_int_equal(scene->stuck_count, 1);
}

static void without_a_connection_or_a_helper_nothing_is_asked(void **state)
{
	struct scene *scene = *state;
	say_connected(scene, false);
	struct flight_job *job = job_of(scene, false);
	assert_false(fleet_take(&scene->fleet, job));
	say_connected(scene, true);
	assert_true(fleet_take(&scene->fleet, job));
	EXPECT_GET(scene);
	close(scene->helper); /* dies with it in flight */
	turn(scene);
	assert_int_equal(scene->pass_count, 1);
	assert_ptr_equal(scene->passed, job);
	job->at_store = false;
	assert_false(fleet_take(&scene->fleet, job));
	helper_up(scene);
	assert_true(fleet_take(&scene->fleet, job));
	scene->passed = NULL;
	EXPECT_GET(scene);
}

static void nonsense_from_the_helper_ends_it(void **state)
{
	struct scene *scene = *state;
	let_take(scene, false);
	EXPECT_GET(scene);
	assert_int_equal(write(scene->helper, "\0\0\0\1\xff", 5), 5);
	turn(scene);
	assert_int_equal(scene->pass_count, 1);
	assert_false(scene->fleet.up);
	assert_int_equal(scene->stuck_count, 1);
}

static void a_traced_job_does_not_look_there(void **state)
{
	struct scene *scene = *state;
	struct flight_job *job = job_of(scene, false);
	job->trace = true;
	assert_false(fleet_take(&scene->fleet, job));
	job->trace = false;
	free(job);
}

/* ---- what we find ---- */

static Resolverd__Fleet__StoreRequest *share(
    struct scene *scene, const struct told *told, bool changes)
{
	Resolverd__V1__Question question;
	Resolverd__V1__Records records;
	Resolverd__Worker__Facts facts = facts_of(told, &question, &records);
	struct flight_job *job = job_of(scene, true);
	fleet_share(&scene->fleet, job, &facts, changes, clock_wall_ms());
	flight_end(&scene->flight, job, NULL);
	return next_request(scene);
}

static void what_a_worker_found_is_put_for_the_others(void **state)
{
	struct scene *scene = *state;
	struct shared_facts opened;
	Resolverd__V1__Question question;
	Resolverd__V1__Records records;
	facts_of(&good, &question, &records);
	Resolverd__Fleet__StoreRequest *request = share(scene, &good, false);
	assert_non_null(request);
	assert_int_equal(request->body_case, RESOLVERD__FLEET__STORE_REQUEST__BODY_PUT);
	assert_int_equal(request->id, 0);
	assert_int_equal(request->put->notice.len, 0);
	assert_in_range(request->put->life_ms, 599000, 600000);
	trust(scene, &scene->us);
	assert_null(ring_open_facts(&scene->fleet.ring, request->put->value.data,
	    request->put->value.len, &question, scene->fleet.view, sizeof scene->fleet.view,
	    (uint64_t)clock_wall_ms(), &opened));
	assert_string_equal(opened.facts->member, "us");
	resolverd__fleet__shared_facts__free_unpacked(opened.facts, NULL);
	resolverd__fleet__store_request__free_unpacked(request, NULL);
}

static void it_stays_no_longer_than_others_take_it(void **state)
{
	struct scene *scene = *state;
	Resolverd__Fleet__StoreRequest *request =
	    share(scene, &(struct told){.life_ms = LIFE_MS, .name = "example.org"}, false);
	assert_int_equal(request->put->life_ms, 3600000);
	resolverd__fleet__store_request__free_unpacked(request, NULL);
}

static void a_change_is_published(void **state)
{
	struct scene *scene = *state;
	Resolverd__Fleet__StoreRequest *request = share(scene, &good, true);
	Resolverd__Fleet__Notice *notice = resolverd__fleet__notice__unpack(
	    NULL, request->put->notice.len, request->put->notice.data);
	assert_non_null(notice);
	assert_string_equal(notice->question->name, "example.org");
	assert_string_equal(notice->member, "us");
	resolverd__fleet__notice__free_unpacked(notice, NULL);
	resolverd__fleet__store_request__free_unpacked(request, NULL);
}

static void what_is_our_own_trouble_or_policy_is_not_shared(void **state)
{
	struct scene *scene = *state;
	struct told told = good;
	told.failed = true;
	assert_null(share(scene, &told, false));
	told = good;
	told.touches_insecure_zone = true;
	assert_null(share(scene, &told, false));
	told = good;
	told.life_ms = 0; /* to be used once */
	assert_null(share(scene, &told, false));
	say_connected(scene, false);
	assert_null(share(scene, &good, false));
	assert_int_equal(scene->fleet.counts.shared, 0);
}

/* ---- notices ---- */

static void say_notice(struct scene *scene, const char *name)
{
	uint8_t bytes[1200];
	Resolverd__V1__Question question = RESOLVERD__V1__QUESTION__INIT;
	Resolverd__Fleet__Notice notice = RESOLVERD__FLEET__NOTICE__INIT;
	Resolverd__Fleet__StoreReply reply = RESOLVERD__FLEET__STORE_REPLY__INIT;
	question.kind = RESOLVERD__V1__KIND__RECORDS;
	question.type = 15;
	question.name = NAME(name);
	notice.question = &question;
	notice.member = NAME("them");
	reply.notice.len = resolverd__fleet__notice__pack(&notice, bytes);
	reply.notice.data = bytes;
	helper_says(scene, &reply);
}

static void a_notice_makes_the_server_look(void **state)
{
	struct scene *scene = *state;
	say_notice(scene, "example.org");
	assert_int_equal(scene->changed_count, 1);
	assert_string_equal(scene->changed_name, "example.org");
}

static void a_look_that_finds_nothing_new_ends_there(void **state)
{
	struct scene *scene = *state;
	struct flight_job *job = job_of(scene, true);
	job->from_notice = true;
	scene->have = answer_living(scene, 600000);
	assert_true(fleet_take(&scene->fleet, job));
	reply_with(scene, EXPECT_GET(scene), NOTHING, NULL, 0);
	expect_silence(scene); /* no lease */
	assert_int_equal(scene->idle_count, 1);
	assert_int_equal(scene->pass_count, 0);
	assert_int_equal(scene->flight.jobs.count, 0);
}

static void a_word_that_can_not_be_checked_costs_no_lookup(void **state)
{
	struct scene *scene = *state;
	struct flight_job *job = job_of(scene, true);
	say_connected(scene, false);
	job->from_notice = true;
	assert_true(fleet_take(&scene->fleet, job));
	assert_int_equal(scene->idle_count, 1);
	assert_int_equal(scene->flight.jobs.count, 0);
}

static void what_was_told_is_taken_when_it_is_newer_though_it_ends_sooner(void **state)
{
	struct scene *scene = *state;
	const struct told sooner = {.life_ms = 60000, .name = "example.org"};
	scene->have = answer_living(scene, 600000);
	for (int older = 1; older >= 0; older--) {
		struct flight_job *job = job_of(scene, true);
		job->from_notice = true;
		assert_true(fleet_take(&scene->fleet, job));
		reply_found(scene, EXPECT_GET(scene), &scene->them, &sooner, older ? 5000 : -1000);
		assert_int_equal(scene->idle_count, 1); /* the older one */
		assert_int_equal(scene->found_count, !older);
	}
}

static void one_that_a_client_joins_goes_on(void **state)
{
	struct scene *scene = *state;
	struct flight_job *job = job_of(scene, true), *joined;
	struct question_key key;
	job->from_notice = true;
	assert_true(fleet_take(&scene->fleet, job));
	uint64_t id = EXPECT_GET(scene);
	question_key_make(&key, RESOLVERD__V1__KIND__RECORDS, 15, "example.org");
	assert_int_equal(
	    flight_ask(&scene->flight, &key, 0, FLIGHT_ASKED, &scene->waiter, &joined), 0);
	assert_ptr_equal(joined, job);
	reply_with(scene, id, NOTHING, NULL, 0);
	reply_with(scene, EXPECT_LEASE(scene), DONE, NULL, 0);
	assert_int_equal(scene->pass_count, 1);
}

static void a_flood_of_notices_is_bounded(void **state)
{
	struct scene *scene = *state;
	for (unsigned i = 0; i < 3 * FLEET_NOTICES_PER_S; i++)
		say_notice(scene, "example.org");
	assert_in_range(scene->changed_count, 1, 3 * FLEET_NOTICES_PER_S - 1);
	assert_int_equal(
	    scene->changed_count + scene->fleet.counts.notices_dropped, 3 * FLEET_NOTICES_PER_S);
}

/* ---- views ---- */

static void members_with_other_zones_do_not_meet(void **state)
{
	struct scene *scene = *state;
	char *stub[] = {NAME("192.0.2.53"), NULL};
	struct config_zone zone = {.name = NAME("corp.example"),
	    .forward = no_list,
	    .stub = stub,
	    .trust_anchor = no_list};
	uint8_t before[FLEET_VIEW_BYTES];
	memcpy(before, scene->fleet.view, sizeof before);
	fleet_set_config(&scene->fleet, &scene->us.config);
	assert_memory_equal(before, scene->fleet.view, sizeof before);
	scene->us.config.zones = &zone;
	scene->us.config.zone_count = 1;
	fleet_set_config(&scene->fleet, &scene->us.config);
	assert_memory_not_equal(before, scene->fleet.view, sizeof before);
	scene->us.config.zone_count = 0;
	scene->us.config.resolver.digest_count = 1;
	fleet_set_config(&scene->fleet, &scene->us.config);
	assert_memory_not_equal(before, scene->fleet.view, sizeof before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    TEST(what_a_trusted_member_found_is_the_answer_with_its_origin),
	    TEST(nobody_elses_word_is_taken),
	    TEST(another_questions_facts_are_not_taken),
	    TEST(what_is_old_ended_or_of_the_future_is_not_taken),
	    TEST(it_must_last_longer_than_what_we_have),
	    TEST(it_must_be_no_older_than_what_we_have),
	    TEST(what_was_found_before_all_was_forgotten_is_not_taken),
	    TEST(who_is_taken_out_of_the_ring_is_out_though_a_root_is_in_it),
	    TEST(what_all_together_ask_for_often_is_wanted),
	    TEST(a_count_that_fails_costs_nothing),
	    TEST(a_refresh_is_no_request),
	    TEST(what_is_looked_up_for_a_client_is_counted),
	    TEST(with_the_lease_a_worker_looks_it_up),
	    TEST(while_another_has_the_lease_it_looks_again),
	    TEST(it_does_not_wait_for_ever),
	    TEST(where_it_waits_in_vain_it_waits_no_more_for_a_while),
	    TEST(one_that_waits_without_haste_is_hurried_when_a_client_joins),
	    TEST(a_background_job_that_joins_does_not_hurry_it),
	    TEST(nobody_waits_for_what_is_not_shared),
	    TEST(nor_for_what_failed),
	    TEST(nor_for_what_is_too_large),
	    TEST(what_can_not_answer_is_passed_by_at_once),
	    TEST(a_silent_store_costs_its_bound_and_then_nothing),
	    TEST(one_that_answers_the_first_question_only_is_left_out_too),
	    TEST(its_replies_share_one_time),
	    TEST(a_silent_helper_is_replaced),
	    TEST(without_a_connection_or_a_helper_nothing_is_asked),
	    TEST(nonsense_from_the_helper_ends_it),
	    TEST(a_traced_job_does_not_look_there),
	    TEST(what_a_worker_found_is_put_for_the_others),
	    TEST(it_stays_no_longer_than_others_take_it),
	    TEST(a_change_is_published),
	    TEST(what_is_our_own_trouble_or_policy_is_not_shared),
	    TEST(a_notice_makes_the_server_look),
	    TEST(a_look_that_finds_nothing_new_ends_there),
	    TEST(a_word_that_can_not_be_checked_costs_no_lookup),
	    TEST(what_was_told_is_taken_when_it_is_newer_though_it_ends_sooner),
	    TEST(one_that_a_client_joins_goes_on),
	    TEST(a_flood_of_notices_is_bounded),
	    TEST(members_with_other_zones_do_not_meet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
