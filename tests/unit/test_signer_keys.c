/* SPDX-License-Identifier: BSD-3-Clause */
/* The online key: who vouches for it, when the next one takes its place, what that does to answers.
 */
#include <errno.h>
#include <string.h>

#include "resolverd/server/signer.h"
#include "tests/unit/test.h"

#define NOW INT64_C(1800000000000)
#define LIFE_MS INT64_C(86400000)
#define HALF_MS (LIFE_MS / 2)
#define MARGIN_MS (LIFE_MS / 4)
#define NAME(text) ((char *)(uintptr_t)(text))

static struct config config = {
    .signing = {.member = NAME("mx1")},
    .cache = {.max_ttl_ms = 10 * LIFE_MS, .failure_ttl_ms = 15000},
};

static int setup(void **state)
{
	static struct signer signer;
	assert_int_equal(signer_init(&signer, &config), 0);
	*state = &signer;
	return 0;
}

static int teardown(void **state)
{
	signer_fini(*state);
	return 0;
}

/* ---- what the supervisor sends ---- */

struct vouching {
	const uint8_t *key;
	size_t key_bytes;
	int64_t not_before, not_after;
	unsigned long_term_keys;
};

static size_t pack(const struct vouching *vouching, uint8_t out[512])
{
	uint8_t inner_bytes[200], id[KEY_ID_BYTES] = {0};
	Resolverd__V1__Delegation inner = RESOLVERD__V1__DELEGATION__INIT;
	Resolverd__V1__SignedDelegation outer = RESOLVERD__V1__SIGNED_DELEGATION__INIT;
	Resolverd__V1__SignedDelegation *list[] = {&outer};
	Resolverd__V1__StatusResponse message = RESOLVERD__V1__STATUS_RESPONSE__INIT;
	inner.online_key =
	    (ProtobufCBinaryData){vouching->key_bytes, (uint8_t *)(uintptr_t)vouching->key};
	inner.not_before = (uint64_t)vouching->not_before;
	inner.not_after = (uint64_t)vouching->not_after;
	size_t inner_count = resolverd__v1__delegation__pack(&inner, inner_bytes);
	message.delegations = list;
	message.n_delegations = 1;
	outer.delegation = (ProtobufCBinaryData){inner_count, inner_bytes};
	outer.key_id = (ProtobufCBinaryData){sizeof id, id};
	size_t count = 0;
	for (unsigned i = 0; i < vouching->long_term_keys; i++) {
		id[0] = (uint8_t)(i + 1);
		count += resolverd__v1__status_response__pack(&message, out + count);
	}
	return count;
}

static int take(struct signer *signer, const struct vouching *vouching, int64_t now_ms)
{
	uint8_t bytes[512];
	size_t count = pack(vouching, bytes);
	return signer_take_delegations(signer, bytes, count, now_ms);
}

/* As the supervisor does for the key it is asked about. */
static void delegate(struct signer *signer, unsigned long_term_keys, int64_t now_ms)
{
	const struct vouching vouching = {.key = signer_key_to_delegate(signer),
	    .key_bytes = crypto_sign_PUBLICKEYBYTES,
	    .not_before = now_ms - 60000,
	    .not_after = now_ms + LIFE_MS,
	    .long_term_keys = long_term_keys};
	assert_non_null(vouching.key);
	assert_int_equal(take(signer, &vouching, now_ms), 0);
}

static struct answer *answer_of(struct signer *signer, int kind)
{
	Resolverd__V1__Question question = RESOLVERD__V1__QUESTION__INIT;
	question.kind = (Resolverd__V1__Kind)kind;
	question.name = NAME("example.org");
	struct answer *answer = signer_failure(signer, &question, "of a test", true, NOW);
	assert_non_null(answer);
	return answer;
}

static bool is_signed_by(const struct answer *answer, const uint8_t key[KEY_ID_BYTES])
{
	Resolverd__V1__SignedAnswer *outer = answer_unpack(answer);
	bool is_it = memcmp(outer->key_id.data, key, KEY_ID_BYTES) == 0;
	resolverd__v1__signed_answer__free_unpacked(outer, NULL);
	return is_it;
}

static size_t delegation_count(const struct signer *signer)
{
	Resolverd__V1__StatusResponse *message = signer_delegations(signer);
	assert_non_null(message);
	size_t count = message->n_delegations;
	resolverd__v1__status_response__free_unpacked(message, NULL);
	return count;
}

/* ---- tests ---- */

static void only_delegations_for_our_key_are_taken(void **state)
{
	struct signer *signer = *state;
	const uint8_t other[crypto_sign_PUBLICKEYBYTES] = {1};
	struct vouching vouching = {
	    signer->public_key, sizeof other, NOW - 60000, NOW + 1234, .long_term_keys = 1};
	assert_true(signer_wants_delegations(signer, NOW));
	assert_int_equal(take(signer, &vouching, NOW), 0);
	assert_int_equal(signer->delegations.not_after_ms, NOW + 1234);
	assert_int_equal(delegation_count(signer), 1);
	/* what is refused leaves what is there */
	vouching.key = other;
	assert_int_equal(take(signer, &vouching, NOW), -EBADMSG);
	vouching.key = signer->public_key;
	vouching.key_bytes = sizeof other - 1;
	assert_int_equal(take(signer, &vouching, NOW), -EBADMSG);
	vouching.long_term_keys = 0;
	assert_int_equal(take(signer, &vouching, NOW), -EBADMSG);
	assert_int_equal(
	    signer_take_delegations(signer, (const uint8_t *)"\xff\xff\xff", 3, NOW), -EBADMSG);
	assert_int_equal(signer->delegations.not_after_ms, NOW + 1234);
	/* and newer ones replace it */
	vouching = (struct vouching){signer->public_key, sizeof other, NOW, NOW + 9999, 2};
	assert_int_equal(take(signer, &vouching, NOW), 0);
	assert_int_equal(signer->delegations.not_after_ms, NOW + 9999);
	assert_int_equal(delegation_count(signer), 2);
}

static void each_start_has_a_key_of_its_own(void **state)
{
	const struct signer *signer = *state;
	struct signer another;
	uint8_t id[KEY_ID_BYTES];
	assert_int_equal(signer_init(&another, &config), 0);
	assert_memory_not_equal(another.public_key, signer->public_key, sizeof another.public_key);
	key_id_of(another.public_key, id);
	assert_memory_equal(another.key_id, id, sizeof id);
	signer_fini(&another);
	signer_fini(&another); /* fine twice */
}

static void the_next_key_is_wanted_at_half_of_the_life(void **state)
{
	struct signer *signer = *state;
	delegate(signer, 1, NOW);
	assert_false(signer_wants_delegations(signer, NOW + HALF_MS - 1));
	assert_true(signer_wants_delegations(signer, NOW + HALF_MS));
	assert_true(signer_wants_delegations(signer, NOW - 60001)); /* the clock was set back */
	delegate(signer, 1, NOW + HALF_MS);
	assert_false(signer_wants_delegations(signer, NOW + HALF_MS));
}

static void the_next_key_signs_only_when_it_is_delegated_to(void **state)
{
	struct signer *signer = *state;
	uint8_t first[KEY_ID_BYTES];
	delegate(signer, 1, NOW);
	memcpy(first, signer->key_id, sizeof first);
	const uint8_t *next = signer_key_to_delegate(signer);
	assert_ptr_equal(next, signer_key_to_delegate(signer)); /* asked twice: the same key */
	assert_memory_not_equal(next, signer->public_key, crypto_sign_PUBLICKEYBYTES);
	struct answer *before = answer_of(signer, V1(KIND__HOST));
	assert_true(is_signed_by(before, first));
	delegate(signer, 1, NOW + HALF_MS);
	assert_memory_not_equal(first, signer->key_id, sizeof first);
	assert_null(signer->next_key);
	struct answer *after = answer_of(signer, V1(KIND__HOST));
	assert_true(is_signed_by(after, signer->key_id));
	answer_unref(before);
	answer_unref(after);
}

static void what_a_key_signed_is_served_until_some_time_before_its_end(void **state)
{
	struct signer *signer = *state;
	delegate(signer, 1, NOW);
	struct answer *host = answer_of(signer, V1(KIND__HOST)),
		      *route = answer_of(signer, V1(KIND__ROUTE));
	delegate(signer, 1, NOW + HALF_MS);
	struct answer *newer = answer_of(signer, V1(KIND__ROUTE));
	signer_advance(signer, NOW + LIFE_MS - MARGIN_MS - 1);
	assert_true(signer_is_current(signer, host));
	assert_true(signer_is_current_route(signer, route));
	assert_int_equal(delegation_count(signer), 2);
	signer_advance(signer, NOW + LIFE_MS - MARGIN_MS);
	assert_false(signer_is_current(signer, host));
	assert_false(signer_is_current_route(signer, route));
	assert_true(signer_is_current_route(signer, newer));
	assert_true(signer_counts(signer, host));      /* its facts do */
	assert_int_equal(delegation_count(signer), 2); /* for what clients have already */
	signer_advance(signer, NOW + LIFE_MS);
	assert_int_equal(delegation_count(signer), 1);
	struct answer *again = signer_derive(signer, host, NOW + LIFE_MS);
	assert_true(signer_is_current(signer, again));
	assert_true(is_signed_by(again, signer->key_id));
	assert_int_equal(again->expires_at_ms, host->expires_at_ms);
	answer_unref(host);
	answer_unref(route);
	answer_unref(newer);
	answer_unref(again);
}

static void a_snapshots_answers_are_by_no_key_of_ours(void **state)
{
	struct answer *answer = answer_new(8, 0, 0);
	assert_false(signer_is_current(*state, answer));
	assert_false(signer_is_current_route(*state, answer));
	assert_true(signer_counts(*state, answer));
	answer_unref(answer);
}

static void a_new_policy_leaves_hosts_as_they_are(void **state)
{
	struct signer *signer = *state;
	delegate(signer, 1, NOW);
	struct answer *host = answer_of(signer, V1(KIND__HOST)),
		      *route = answer_of(signer, V1(KIND__ROUTE));
	signer_set_config(signer, &config);
	assert_true(signer_is_current(signer, host));
	assert_false(signer_is_current_route(signer, route));
	answer_unref(host);
	answer_unref(route);
}

static void other_long_term_keys_sign_for_a_new_key_and_all_is_signed_anew(void **state)
{
	struct signer *signer = *state;
	uint8_t first[KEY_ID_BYTES];
	delegate(signer, 1, NOW);
	memcpy(first, signer->key_id, sizeof first);
	struct answer *host = answer_of(signer, V1(KIND__HOST));
	signer_renew(signer);
	assert_true(signer_wants_delegations(signer, NOW));
	assert_true(signer_is_current(signer, host)); /* until they are there */
	delegate(signer, 2, NOW);
	assert_memory_not_equal(first, signer->key_id, sizeof first);
	assert_false(signer_is_current(signer, host));
	assert_false(signer_wants_delegations(signer, NOW));
	assert_int_equal(delegation_count(signer), 3); /* clients hold answers of before */
	answer_unref(host);
}

/* The present key's: what is asked for at the start is answered after they changed. */
static void other_long_term_keys_before_the_first_delegation(void **state)
{
	struct signer *signer = *state;
	signer_renew(signer);
	delegate(signer, 2, NOW);
	struct answer *host = answer_of(signer, V1(KIND__HOST));
	delegate(signer, 2, NOW);
	assert_true(signer_is_current(signer, host));
	answer_unref(host);
}

static void more_keys_than_are_kept_take_what_the_oldest_signed(void **state)
{
	struct signer *signer = *state;
	delegate(signer, 1, NOW);
	struct answer *answers[RETIRED_KEYS_MAX + 2];
	for (size_t i = 0; i < COUNT(answers); i++) {
		answers[i] = answer_of(signer, V1(KIND__HOST));
		delegate(signer, 1, NOW + 1 + (int64_t)i);
	}
	assert_int_equal(delegation_count(signer), RETIRED_KEYS_MAX + 1);
	for (size_t i = 0; i < COUNT(answers); i++) {
		assert_int_equal(signer_is_current(signer, answers[i]), i >= 2);
		answer_unref(answers[i]);
	}
}

static void a_clock_set_back_puts_keys_away_that_are_not_vouched_for_yet(void **state)
{
	struct signer *signer = *state;
	delegate(signer, 1, NOW);
	struct answer *host = answer_of(signer, V1(KIND__HOST));
	signer_forget_facts(signer);
	signer_renew(signer);
	delegate(signer, 1, NOW - 7200000);
	signer_advance(signer, NOW - 7200000);
	assert_int_equal(delegation_count(signer), 1);
	assert_false(signer_is_current(signer, host));
	assert_false(signer_counts(signer, host));
	answer_unref(host);
}

static void generations_may_wrap_between_forgettings(void **state)
{
	struct signer *signer = *state;
	delegate(signer, 1, NOW);
	for (unsigned round = 0; round < 3; round++) {
		while (!signer_is_worn(signer))
			signer_set_config(signer, &config);
		signer_forget_facts(signer);
		struct answer *route = answer_of(signer, V1(KIND__ROUTE));
		assert_true(signer_is_current_route(signer, route));
		assert_true(signer_is_current(signer, route));
		assert_true(signer_counts(signer, route));
		delegate(signer, 1, NOW + 1 + round);
		signer_advance(signer, NOW + LIFE_MS - MARGIN_MS + 1 + round);
		assert_false(signer_is_current(signer, route));
		answer_unref(route);
	}
}

/* ---- seals ---- */

static void a_seal_names_hash_time_and_member_and_brings_its_delegations(void **state)
{
	struct signer *signer = *state;
	uint8_t hash[SEAL_HASH_BYTES];
	memset(hash, 0xab, sizeof hash);
	assert_null(signer_seal(signer, hash, NOW)); /* nobody vouches for the key yet */
	for (unsigned keys = 1; keys <= 2; keys++) {
		delegate(signer, keys, NOW);
		Resolverd__V1__SignedSeal *outer = signer_seal(signer, hash, NOW);
		assert_non_null(outer);
		assert_true(signing_verify(SIGNING_CONTEXT_SEAL, outer->seal.data, outer->seal.len,
		    outer->signature.data, outer->signature.len, signer->public_key));
		assert_false(
		    signing_verify(SIGNING_CONTEXT_ANSWER, outer->seal.data, outer->seal.len,
			outer->signature.data, outer->signature.len, signer->public_key));
		assert_memory_equal(outer->key_id.data, signer->key_id, KEY_ID_BYTES);
		assert_non_null(outer->delegation);
		assert_int_equal(outer->n_other_delegations, keys - 1); /* of this key alone */
		assert_int_equal(outer->delegation->key_id.data[0], 1);
		Resolverd__V1__Seal *seal =
		    resolverd__v1__seal__unpack(NULL, outer->seal.len, outer->seal.data);
		assert_int_equal(seal->hash.len, sizeof hash);
		assert_memory_equal(seal->hash.data, hash, sizeof hash);
		assert_int_equal(seal->sealed_at, NOW);
		assert_string_equal(seal->member, "mx1");
		resolverd__v1__seal__free_unpacked(seal, NULL);
		resolverd__v1__signed_seal__free_unpacked(outer, NULL);
	}
}

#define KEYS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    KEYS_TEST(only_delegations_for_our_key_are_taken),
	    KEYS_TEST(each_start_has_a_key_of_its_own),
	    KEYS_TEST(the_next_key_is_wanted_at_half_of_the_life),
	    KEYS_TEST(the_next_key_signs_only_when_it_is_delegated_to),
	    KEYS_TEST(what_a_key_signed_is_served_until_some_time_before_its_end),
	    KEYS_TEST(a_snapshots_answers_are_by_no_key_of_ours),
	    KEYS_TEST(a_new_policy_leaves_hosts_as_they_are),
	    KEYS_TEST(other_long_term_keys_sign_for_a_new_key_and_all_is_signed_anew),
	    KEYS_TEST(other_long_term_keys_before_the_first_delegation),
	    KEYS_TEST(more_keys_than_are_kept_take_what_the_oldest_signed),
	    KEYS_TEST(a_clock_set_back_puts_keys_away_that_are_not_vouched_for_yet),
	    KEYS_TEST(generations_may_wrap_between_forgettings),
	    KEYS_TEST(a_seal_names_hash_time_and_member_and_brings_its_delegations),
	};
	return sodium_init() < 0 ? 1
				 : cmocka_run_group_tests_name("signer_keys", tests, NULL, NULL);
}
