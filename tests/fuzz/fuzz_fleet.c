/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What comes from a fleet's store, and from an operator. The first octet of an input says what the
 * rest is: a value as it is; facts, which a member signs here, since its signature stops all that
 * is changed; frames of the helper, with a lookup under way; a key ring; a membership. What nobody
 * of the ring signed is never taken. What a member signed becomes an answer with its origin, our
 * policy and an end, or nothing.
 */
#include <event2/event.h>
#include <sys/socket.h>

#include "resolverd/base/clock.h"
#include "resolverd/server/fleet.h"
#include "tests/fuzz/fuzz.h"

#define LIFE_MS INT64_C(86400000)
#define NAME(text) ((char *)(uintptr_t)(text))

enum form { VALUE, FACTS, FRAMES, RING, MEMBERSHIP };

static char *no_list[] = {NULL};
static struct config config = {
    .signing = {.member = NAME("us")},
    .cache = {.max_ttl_ms = LIFE_MS, .failure_ttl_ms = 15000},
    .resolver = {.trust_anchor_file = NAME("/root.key"),
	.root_hints = NAME(""),
	.forward = no_list},
    .fleet = {.key_prefix = NAME("rd:1:"),
	.trusted_keys = NAME("/ring"),
	.membership_file = NAME(""),
	.max_age_ms = 3600000,
	.timeout_ms = 1000},
};
static struct signer signer;
static uint8_t long_term[crypto_sign_PUBLICKEYBYTES], long_term_secret[crypto_sign_SECRETKEYBYTES];
static uint8_t online[crypto_sign_PUBLICKEYBYTES], online_secret[crypto_sign_SECRETKEYBYTES];
static char ring_text[64];

static void init(void)
{
	static const uint8_t seeds[2][crypto_sign_SEEDBYTES] = {"long-term", "online"};
	must(sodium_init() >= 0 && signer_init(&signer, &config) == 0);
	crypto_sign_seed_keypair(long_term, long_term_secret, seeds[0]);
	crypto_sign_seed_keypair(online, online_secret, seeds[1]);
	sodium_bin2base64(ring_text, sizeof ring_text, long_term, sizeof long_term,
	    sodium_base64_VARIANT_ORIGINAL);
}

static void parse(const char *text, size_t count, struct ring *ret_ring)
{
	char error[RING_ERROR_MAX];
	must(ring_parse(text, count, ret_ring, error) == 0);
}

/* ---- values ---- */

/* The value of these facts by the member of the ring, for its caller to free. */
static uint8_t *signed_value(const uint8_t *facts, size_t facts_bytes, size_t *ret_count)
{
	uint8_t inner[200], by_long_term[crypto_sign_BYTES], by_online[crypto_sign_BYTES];
	uint8_t id[KEY_ID_BYTES];
	Resolverd__V1__Delegation delegation = RESOLVERD__V1__DELEGATION__INIT;
	Resolverd__V1__SignedDelegation outer = RESOLVERD__V1__SIGNED_DELEGATION__INIT;
	Resolverd__V1__SignedDelegation *list[] = {&outer};
	Resolverd__Fleet__SignedFacts message = RESOLVERD__FLEET__SIGNED_FACTS__INIT;
	delegation.online_key = (ProtobufCBinaryData){sizeof online, online};
	delegation.member = NAME("them");
	delegation.not_after = UINT64_MAX;
	delegation.scope = RESOLVERD__V1__SCOPE__ANSWERS;
	size_t count = resolverd__v1__delegation__pack(&delegation, inner);
	signing_sign(SIGNING_CONTEXT_DELEGATION, inner, count, long_term_secret, by_long_term);
	signing_sign(SIGNING_CONTEXT_FACTS, facts, facts_bytes, online_secret, by_online);
	key_id_of(long_term, id);
	outer.delegation = (ProtobufCBinaryData){count, inner};
	outer.signature = (ProtobufCBinaryData){sizeof by_long_term, by_long_term};
	outer.key_id = (ProtobufCBinaryData){sizeof id, id};
	message.facts = (ProtobufCBinaryData){facts_bytes, (uint8_t *)(uintptr_t)facts};
	message.signature = (ProtobufCBinaryData){sizeof by_online, by_online};
	message.delegations = list;
	message.n_delegations = 1;
	*ret_count = resolverd__fleet__signed_facts__get_packed_size(&message);
	uint8_t *value = malloc(*ret_count);
	must(value != NULL);
	resolverd__fleet__signed_facts__pack(&message, value);
	return value;
}

static void check_answer(const struct answer *answer, const Resolverd__Fleet__SharedFacts *facts)
{
	uint8_t id[KEY_ID_BYTES];
	Resolverd__V1__Answer *envelope = answer_envelope(answer);
	key_id_of(long_term, id);
	must(envelope != NULL && answer->foreign && strcmp(envelope->member, "us") == 0);
	must(strcmp(envelope->origin, "them") == 0);
	must(envelope->origin_key_id.len == sizeof id &&
	     memcmp(envelope->origin_key_id.data, id, sizeof id) == 0);
	must(envelope->question->kind == facts->question->kind &&
	     strcmp(envelope->question->name, facts->question->name) == 0);
	must(envelope->expires_at <= facts->expires_at);
	must(facts->rrsig_expires_at == 0 || envelope->expires_at <= facts->rrsig_expires_at);
	if (envelope->data_case == RESOLVERD__V1__ANSWER__DATA_ROUTE)
		must(envelope->route->requirement != RESOLVERD__V1__REQUIREMENT__AUDIT);
	resolverd__v1__answer__free_unpacked(envelope, NULL);
}

/* Asked is what the facts say that they answer, so that more than the question is looked at. */
static void open_value(
    const uint8_t *value, size_t count, const Resolverd__Fleet__SharedFacts *facts, bool is_signed)
{
	struct ring ring;
	struct shared_facts opened;
	Resolverd__V1__Question other = RESOLVERD__V1__QUESTION__INIT;
	const Resolverd__V1__Question *question =
	    facts != NULL && facts->question != NULL ? facts->question : &other;
	static const uint8_t view[FLEET_VIEW_BYTES];
	parse(ring_text, strlen(ring_text), &ring);
	uint64_t now_ms = (uint64_t)clock_wall_ms();
	if (ring_open_facts(&ring, value, count, question, view, sizeof view, now_ms, &opened) ==
	    NULL) {
		must(is_signed && opened.facts->question->kind == question->kind);
		struct answer *answer =
		    signer_adopt(&signer, opened.facts, opened.long_term_id, (int64_t)now_ms);
		if (answer != NULL)
			check_answer(answer, opened.facts);
		answer_unref(answer);
		resolverd__fleet__shared_facts__free_unpacked(opened.facts, NULL);
	}
	ring_fini(&ring);
}

static void open_facts(const uint8_t *data, size_t count)
{
	size_t value_bytes;
	uint8_t *value = signed_value(data, count, &value_bytes);
	Resolverd__Fleet__SharedFacts *facts =
	    resolverd__fleet__shared_facts__unpack(NULL, count, data);
	open_value(value, value_bytes, facts, true);
	resolverd__fleet__shared_facts__free_unpacked(facts, NULL);
	free(value);
}

/* ---- the helper ---- */

struct ends {
	struct flight *flight;
	unsigned count;
};

static const struct answer *have(void *arg, const struct flight_job *job)
{
	(void)arg, (void)job;
	return NULL;
}

static void found(void *arg, struct flight_job *job, struct answer *answer)
{
	struct ends *ends = arg;
	ends->count++;
	flight_end(ends->flight, job, answer);
	answer_unref(answer);
}

static void pass(void *arg, struct flight_job *job)
{
	found(arg, job, NULL);
}

static void wanted(void *arg, const struct question_key *key)
{
	(void)arg, (void)key;
}

static void changed(void *arg, const Resolverd__V1__Question *question)
{
	(void)arg;
	must(question->name != NULL && strlen(question->name) < NEXT_HOP_TEXT_MAX);
}

static void stuck(void *arg)
{
	(void)arg;
}

static void say(struct event_base *base, int fd, const uint8_t *bytes, size_t count)
{
	(void)!send(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
	for (unsigned i = 0; i < 4; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void hear_helper(const uint8_t *data, size_t count)
{
	static const uint8_t connected[] = {0, 0, 0, 4, 0x2a, 2, 8, 1};
	struct conn_buffers buffers;
	struct flight flight;
	struct fleet fleet;
	struct ends ends = {.flight = &flight};
	struct question_key key;
	struct flight_job *job;
	int pair[2];
	struct event_base *base = event_base_new();
	must(base != NULL && conn_buffers_init(&buffers) == 0 && flight_init(&flight) == 0);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	must(fleet_init(&fleet, base, &buffers, &signer, &config) == 0);
	fleet.have = have;
	fleet.found = found;
	fleet.pass = pass;
	fleet.wanted = wanted;
	fleet.changed = changed;
	fleet.stuck = stuck;
	fleet.arg = &ends;
	fleet_helper_up(&fleet, pair[0]);
	say(base, pair[1], connected, sizeof connected);
	must(fleet.connected);
	question_key_make(&key, RESOLVERD__V1__KIND__ROUTE, 0, "example.org");
	must(flight_refresh(&flight, &key, 0, FLIGHT_NO_WORKER, &job) == 0);
	must(flight_take(&flight) == job && fleet_take(&fleet, job));
	say(base, pair[1], data, count);
	close(pair[1]);
	say(base, -1, NULL, 0);
	must(ends.count == 1 && fleet.lookups.count == 0 && flight.jobs.count == 0);
	fleet_fini(&fleet);
	flight_fini(&flight);
	conn_buffers_fini(&buffers);
	event_base_free(base);
}

/* ---- files ---- */

static void check_list(const struct ring_list *list)
{
	for (size_t i = 1; i < list->count; i++)
		must(memcmp(list->keys[i - 1].id, list->keys[i].id, KEY_ID_BYTES) < 0);
}

static void read_ring(const uint8_t *data, size_t count)
{
	struct ring ring;
	char error[RING_ERROR_MAX] = "";
	if (ring_parse((const char *)data, count, &ring, error) != 0) {
		must(error[0] != '\0');
		return;
	}
	check_list(&ring.members);
	check_list(&ring.roots);
	check_list(&ring.revoked);
	for (size_t i = 0; i < ring.revoked.count; i++)
		must(!ring_still_takes(&ring, &ring, ring.revoked.keys[i].id));
	for (size_t i = 0; i < ring.members.count; i++)
		must(ring_is_revoked(&ring, ring.members.keys[i].id) ||
		     ring_still_takes(&ring, &ring, ring.members.keys[i].id));
	ring_fini(&ring);
}

static void read_membership(const uint8_t *data, size_t count)
{
	struct ring ring;
	char member[FACTS_MEMBER_MAX], text[80];
	uint8_t id[KEY_ID_BYTES], key[crypto_sign_PUBLICKEYBYTES];
	Resolverd__Fleet__SignedMembership *membership =
	    membership_parse((const char *)data, count);
	int n = snprintf(text, sizeof text, "root %s", ring_text);
	parse(text, (size_t)n, &ring);
	key_id_of(online, id);
	if (membership != NULL) /* the root has signed none */
		must(ring_check_membership(
			 &ring, membership, id, (uint64_t)clock_wall_ms(), member, key) != NULL);
	resolverd__fleet__signed_membership__free_unpacked(membership, NULL);
	ring_fini(&ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct input input = {data, data + bytes};
	enum form form = (enum form)(take_octet(&input) % (MEMBERSHIP + 1));
	size_t count = input_left(&input);
	if (signer.key == NULL)
		init();
	if (form == VALUE)
		open_value(input.at, count, NULL, false);
	else if (form == FACTS)
		open_facts(input.at, count);
	else if (form == FRAMES)
		hear_helper(input.at, count);
	else if (form == RING)
		read_ring(input.at, count);
	else
		read_membership(input.at, count);
	return 0;
}
