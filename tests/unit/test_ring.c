/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose facts a member of a fleet takes: key rings, memberships, and values that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <sodium.h>

#include "proto/ring.h"

#define NOW UINT64_C(1800000000000)
#define DAY_MS UINT64_C(86400000)
#define FLEET(name) RESOLVERD__FLEET__##name

struct key {
	uint8_t public[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
	uint8_t id[KEY_ID_BYTES];
	char text[64], hex[2 * KEY_ID_BYTES + 1];
};

struct scene {
	struct key root, other_root, member, stranger, online;
	struct ring ring;
	uint8_t view[16];
};

static void make_key(struct key *key)
{
	crypto_sign_keypair(key->public, key->secret);
	key_id_of(key->public, key->id);
	sodium_bin2base64(key->text, sizeof key->text, key->public, sizeof key->public,
	    sodium_base64_VARIANT_ORIGINAL);
	sodium_bin2hex(key->hex, sizeof key->hex, key->id, sizeof key->id);
}

static int setup(void **state)
{
	static struct scene scene;
	scene = (struct scene){0};
	if (sodium_init() < 0)
		return -1;
	make_key(&scene.root);
	make_key(&scene.other_root);
	make_key(&scene.member);
	make_key(&scene.stranger);
	make_key(&scene.online);
	randombytes_buf(scene.view, sizeof scene.view);
	*state = &scene;
	return 0;
}

static int teardown(void **state)
{
	struct scene *scene = *state;
	ring_fini(&scene->ring);
	return 0;
}

__attribute__((format(printf, 2, 3))) static void take_ring(
    struct scene *scene, const char *format, ...)
{
	char text[2000], error[RING_ERROR_MAX] = "";
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	ring_fini(&scene->ring);
	scene->ring = (struct ring){0};
	int r = ring_parse(text, strlen(text), &scene->ring, error);
	if (r != 0)
		fail_msg("%s", error);
}

/* ---- key rings ---- */

static void a_key_ring_lists_members_roots_and_revoked_keys(void **state)
{
	struct scene *scene = *state;
	take_ring(scene, "# ours\n\n  %s  # the first\nroot %s\r\nrevoked %s\n%s",
	    scene->member.text, scene->root.text, scene->stranger.hex, scene->member.text);
	assert_int_equal(scene->ring.members.count, 1); /* each once */
	assert_int_equal(scene->ring.roots.count, 1);
	assert_int_equal(scene->ring.revoked.count, 1);
	assert_true(ring_has(&scene->ring, scene->member.public, "a", NULL, NOW));
	assert_false(ring_has(&scene->ring, scene->root.public, "a", NULL, NOW));
	assert_false(ring_has(&scene->ring, scene->stranger.public, "a", NULL, NOW));
}

static void an_empty_ring_trusts_nobody(void **state)
{
	struct scene *scene = *state;
	take_ring(scene, "%s", "");
	assert_false(ring_has(&scene->ring, scene->member.public, "a", NULL, NOW));
}

static void what_is_wrong_in_a_ring_is_said_with_its_line(void **state)
{
	static const char *const bad[][2] = {
	    {"\n\nhello", "3: "},
	    {"root", "1: "},
	    {"revoked 0123", "1: "},
	    {"revoked 0123456789abcdeg", "1: "},
	    {"leader AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "1: "},
	    {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", "1: "}, /* 31 bytes */
	    {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "1: "}, /* 33 */
	    {"a b c", "1: "},
	};
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct ring ring;
		char error[RING_ERROR_MAX] = "";
		assert_int_equal(ring_parse(bad[i][0], strlen(bad[i][0]), &ring, error), -EINVAL);
		assert_non_null(strstr(error, bad[i][1]));
	}
}

static void a_revoked_key_is_out_whoever_lists_it(void **state)
{
	struct scene *scene = *state;
	take_ring(scene, "%s\nrevoked %s\n", scene->member.text, scene->member.hex);
	assert_false(ring_has(&scene->ring, scene->member.public, "a", NULL, NOW));
}

/* Of lines: m the member; a, b roots; M, B: that is revoked. */
static void parse_form(const struct scene *scene, const char *form, struct ring *ret_ring)
{
	char text[600] = "", error[RING_ERROR_MAX];
	for (; *form != '\0'; form++) {
		size_t at = strlen(text);
		bool revoked = *form == 'M' || *form == 'B';
		snprintf(text + at, sizeof text - at, "%s%s\n",
		    revoked        ? "revoked "
		    : *form == 'm' ? ""
				   : "root ",
		    *form == 'm'   ? scene->member.text
		    : *form == 'a' ? scene->root.text
		    : *form == 'b' ? scene->other_root.text
		    : *form == 'M' ? scene->member.hex
				   : scene->other_root.hex);
	}
	assert_int_equal(ring_parse(text, strlen(text), ret_ring, error), 0);
}

static void answers_of_before_stay_while_their_key_is_trusted(void **state)
{
	static const struct {
		const char *before, *after;
		bool stay; /* what the member found */
	} rows[] = {
	    {"m", "m", true},
	    {"m", "", false},
	    {"", "m", true},
	    {"", "", false},
	    {"a", "a", true}, /* by a membership */
	    {"a", "ab", true},
	    {"ab", "a", false}, /* which of them signed it? */
	    {"ab", "abB", false},
	    {"a", "", false},
	    {"", "a", false}, /* who knows what was before? */
	    {"a", "aM", false},
	    {"ma", "ma", true},
	    {"ma", "a", false}, /* it was listed, and is taken out */
	    {"ma", "m", true},
	};
	struct scene *scene = *state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct ring before, after;
		parse_form(scene, rows[i].before, &before);
		parse_form(scene, rows[i].after, &after);
		if (ring_still_takes(&before, &after, scene->member.id) != rows[i].stay)
			fail_msg("'%s' to '%s'", rows[i].before, rows[i].after);
		ring_fini(&before);
		ring_fini(&after);
	}
}

/* ---- values ---- */

struct value {
	/* What is told, and what is wrong with it. */
	const struct key *long_term, *root;
	Resolverd__V1__Question question;
	const char *member, *delegated_member, *membership_member;
	uint64_t delegation_from, delegation_to, membership_from, membership_to;
	Resolverd__V1__Scope scope;
	uint64_t validated_at, expires_at, rrsig_expires_at;
	uint32_t critical;
	bool as_host, flip_facts, flip_signature, other_online_key, swap_membership;
};

static struct value good_value(const struct scene *scene)
{
	struct value value = {.long_term = &scene->member,
	    .member = "mx1",
	    .delegated_member = "mx1",
	    .membership_member = "mx1",
	    .delegation_from = NOW - DAY_MS,
	    .delegation_to = NOW + DAY_MS,
	    .membership_from = NOW - DAY_MS,
	    .membership_to = NOW + DAY_MS,
	    .validated_at = NOW,
	    .expires_at = NOW + 60000,
	    .scope = RESOLVERD__V1__SCOPE__ANSWERS};
	resolverd__v1__question__init(&value.question);
	value.question.kind = RESOLVERD__V1__KIND__RECORDS;
	value.question.type = 15;
	value.question.name = (char *)(uintptr_t) "example.org";
	return value;
}

static ProtobufCBinaryData borrow(const void *bytes, size_t count)
{
	return (ProtobufCBinaryData){.len = count, .data = (uint8_t *)(uintptr_t)bytes};
}

static size_t make_value(const struct scene *scene, const struct value *told, uint8_t packed[4096])
{
	static uint8_t facts_bytes[1024], delegation_bytes[512], membership_bytes[512];
	static uint8_t facts_signature[64], delegation_signature[64], membership_signature[64];
	Resolverd__V1__Records records = RESOLVERD__V1__RECORDS__INIT;
	Resolverd__V1__Host host = RESOLVERD__V1__HOST__INIT;
	Resolverd__Fleet__SharedFacts facts = RESOLVERD__FLEET__SHARED_FACTS__INIT;
	uint32_t critical = told->critical;
	facts.question = (Resolverd__V1__Question *)(uintptr_t)&told->question;
	facts.member = (char *)(uintptr_t)told->member;
	facts.validated_at = told->validated_at;
	facts.expires_at = told->expires_at;
	facts.rrsig_expires_at = told->rrsig_expires_at;
	facts.view = borrow(scene->view, sizeof scene->view);
	facts.critical = &critical;
	facts.n_critical = critical != 0;
	records.status = RESOLVERD__V1__STATUS__SECURE;
	facts.data_case =
	    told->as_host ? FLEET(SHARED_FACTS__DATA_HOST) : FLEET(SHARED_FACTS__DATA_RECORDS);
	if (told->as_host)
		facts.host = &host;
	else
		facts.records = &records;
	size_t facts_count = resolverd__fleet__shared_facts__pack(&facts, facts_bytes);
	signing_sign(
	    SIGNING_CONTEXT_FACTS, facts_bytes, facts_count, scene->online.secret, facts_signature);
	facts_bytes[facts_count - 1] ^= told->flip_facts;
	facts_signature[0] ^= told->flip_signature;

	Resolverd__V1__Delegation delegation = RESOLVERD__V1__DELEGATION__INIT;
	const struct key *online = told->other_online_key ? &scene->stranger : &scene->online;
	delegation.online_key = borrow(online->public, sizeof online->public);
	delegation.member = (char *)(uintptr_t)told->delegated_member;
	delegation.not_before = told->delegation_from;
	delegation.not_after = told->delegation_to;
	delegation.scope = told->scope;
	size_t delegation_count = resolverd__v1__delegation__pack(&delegation, delegation_bytes);
	signing_sign(SIGNING_CONTEXT_DELEGATION, delegation_bytes, delegation_count,
	    told->long_term->secret, delegation_signature);

	Resolverd__V1__SignedDelegation signed_delegation = RESOLVERD__V1__SIGNED_DELEGATION__INIT;
	signed_delegation.delegation = borrow(delegation_bytes, delegation_count);
	signed_delegation.signature = borrow(delegation_signature, 64);
	signed_delegation.key_id = borrow(told->long_term->id, KEY_ID_BYTES);
	Resolverd__V1__SignedDelegation *delegations[] = {&signed_delegation};

	Resolverd__Fleet__Membership membership = RESOLVERD__FLEET__MEMBERSHIP__INIT;
	const struct key *joined = told->swap_membership ? &scene->stranger : told->long_term;
	Resolverd__Fleet__SignedMembership signed_membership =
	    RESOLVERD__FLEET__SIGNED_MEMBERSHIP__INIT;
	membership.long_term_key = borrow(joined->public, sizeof joined->public);
	membership.member = (char *)(uintptr_t)told->membership_member;
	membership.not_before = told->membership_from;
	membership.not_after = told->membership_to;
	size_t membership_count = resolverd__fleet__membership__pack(&membership, membership_bytes);
	if (told->root != NULL)
		signing_sign(SIGNING_CONTEXT_MEMBERSHIP, membership_bytes, membership_count,
		    told->root->secret, membership_signature);
	signed_membership.membership = borrow(membership_bytes, membership_count);
	signed_membership.signature = borrow(membership_signature, 64);
	if (told->root != NULL)
		signed_membership.key_id = borrow(told->root->id, KEY_ID_BYTES);

	Resolverd__Fleet__SignedFacts outer = RESOLVERD__FLEET__SIGNED_FACTS__INIT;
	outer.facts = borrow(facts_bytes, facts_count);
	outer.signature = borrow(facts_signature, 64);
	outer.key_id = borrow(scene->online.id, KEY_ID_BYTES);
	outer.delegations = delegations;
	outer.n_delegations = 1;
	outer.membership = told->root != NULL ? &signed_membership : NULL;
	assert_true(resolverd__fleet__signed_facts__get_packed_size(&outer) <= 4096);
	return resolverd__fleet__signed_facts__pack(&outer, packed);
}

/* NULL: it was opened. */
static const char *open_value(const struct scene *scene, const struct value *told)
{
	uint8_t packed[4096];
	size_t count = make_value(scene, told, packed);
	struct value asked = good_value(scene);
	struct shared_facts opened;
	const char *problem = ring_open_facts(&scene->ring, packed, count, &asked.question,
	    scene->view, sizeof scene->view, NOW, &opened);
	if (problem == NULL) {
		assert_string_equal(opened.facts->member, told->member);
		assert_memory_equal(opened.long_term_id, told->long_term->id, KEY_ID_BYTES);
		resolverd__fleet__shared_facts__free_unpacked(opened.facts, NULL);
	}
	return problem;
}

#define ASSERT_PROBLEM(scene, value, words)                                                        \
	do {                                                                                       \
		const char *problem = open_value(scene, value);                                    \
		assert_non_null(problem);                                                          \
		if (strstr(problem, words) == NULL)                                                \
			fail_msg("\"%s\" does not say \"%s\"", problem, words);                    \
	} while (false)

static void facts_of_a_listed_member_are_taken(void **state)
{
	struct scene *scene = *state;
	struct value value = good_value(scene);
	take_ring(scene, "%s\n", scene->member.text);
	assert_null(open_value(scene, &value));
	take_ring(scene, "%s\n", scene->stranger.text);
	ASSERT_PROBLEM(scene, &value, "no key that the key ring trusts");
}

static void a_root_vouches_for_members_that_nobody_lists(void **state)
{
	struct scene *scene = *state;
	struct value value = good_value(scene);
	take_ring(scene, "root %s\n", scene->root.text);
	ASSERT_PROBLEM(scene, &value, "no key"); /* no membership */
	value.root = &scene->root;
	assert_null(open_value(scene, &value));
	value.membership_member = ""; /* any name */
	assert_null(open_value(scene, &value));
	value.membership_member = "mx2";
	ASSERT_PROBLEM(scene, &value, "no key");
	value = good_value(scene);
	value.root = &scene->other_root;
	ASSERT_PROBLEM(scene, &value, "no key");
	value.root = &scene->root;
	value.swap_membership = true;
	ASSERT_PROBLEM(scene, &value, "no key");
	value.swap_membership = false;
	value.membership_to = NOW;
	ASSERT_PROBLEM(scene, &value, "no key");
	value.membership_to = NOW + DAY_MS;
	value.membership_from = NOW + 1;
	ASSERT_PROBLEM(scene, &value, "no key");
	value.membership_from = NOW;
	assert_null(open_value(scene, &value));
	take_ring(scene, "root %s\nrevoked %s\n", scene->root.text, scene->member.hex);
	ASSERT_PROBLEM(scene, &value, "no key");
	take_ring(scene, "root %s\nrevoked %s\n", scene->root.text, scene->root.hex);
	ASSERT_PROBLEM(scene, &value, "no key");
	take_ring(scene, "%s\n", scene->root.text); /* a member's place is no root's */
	ASSERT_PROBLEM(scene, &value, "no key");
}

static void what_is_not_as_it_was_signed_is_refused(void **state)
{
	struct scene *scene = *state;
	struct value value = good_value(scene);
	take_ring(scene, "%s\n", scene->member.text);
	value.flip_facts = true;
	ASSERT_PROBLEM(scene, &value, "signature");
	value = good_value(scene);
	value.flip_signature = true;
	ASSERT_PROBLEM(scene, &value, "signature");
	value = good_value(scene);
	value.other_online_key = true;
	ASSERT_PROBLEM(scene, &value, "signature");
	value = good_value(scene);
	value.member = "mx2"; /* the delegation is for mx1 */
	ASSERT_PROBLEM(scene, &value, "another member");
}

static void delegations_count_in_their_time_and_for_answers_only(void **state)
{
	struct scene *scene = *state;
	struct value value = good_value(scene);
	take_ring(scene, "%s\n", scene->member.text);
	value.delegation_to = NOW;
	ASSERT_PROBLEM(scene, &value, "not valid now");
	value.delegation_to = NOW + 1;
	assert_null(open_value(scene, &value));
	value.delegation_from = NOW + 1;
	ASSERT_PROBLEM(scene, &value, "not valid now");
	value.delegation_from = NOW;
	assert_null(open_value(scene, &value));
	value.scope = RESOLVERD__V1__SCOPE__SCOPE_UNSPECIFIED;
	ASSERT_PROBLEM(scene, &value, "does not cover answers");
}

static void only_this_very_question_counts(void **state)
{
	struct scene *scene = *state;
	struct value value = good_value(scene);
	take_ring(scene, "%s\n", scene->member.text);
	value.question.name = (char *)(uintptr_t) "example.com";
	ASSERT_PROBLEM(scene, &value, "another question");
	value = good_value(scene);
	value.question.type = 16;
	ASSERT_PROBLEM(scene, &value, "another question");
	value = good_value(scene);
	value.question.port = 25;
	ASSERT_PROBLEM(scene, &value, "another question");
	value = good_value(scene);
	value.question.kind = RESOLVERD__V1__KIND__ROUTE;
	ASSERT_PROBLEM(scene, &value, "another question");
	value = good_value(scene);
	value.as_host = true;
	ASSERT_PROBLEM(scene, &value, "another kind");
}

static void times_beyond_all_reckoning_are_refused(void **state)
{
	struct scene *scene = *state;
	take_ring(scene, "%s\n", scene->member.text);
	for (unsigned i = 0; i < 3; i++) {
		struct value value = good_value(scene);
		uint64_t *times[] = {
		    &value.validated_at, &value.expires_at, &value.rrsig_expires_at};
		*times[i] = UINT64_C(1) << 63 | NOW; /* negative as a signed one */
		ASSERT_PROBLEM(scene, &value, "its times");
	}
}

static void another_view_and_fields_unknown_but_critical_are_refused(void **state)
{
	struct scene *scene = *state;
	struct value value = good_value(scene);
	take_ring(scene, "%s\n", scene->member.text);
	value.critical = 10;
	assert_null(open_value(scene, &value));
	value.critical = 11;
	ASSERT_PROBLEM(scene, &value, "has to know");
	uint8_t packed[4096];
	value.critical = 0;
	size_t count = make_value(scene, &value, packed);
	struct shared_facts opened;
	scene->view[3] ^= 1;
	const char *problem = ring_open_facts(&scene->ring, packed, count, &value.question,
	    scene->view, sizeof scene->view, NOW, &opened);
	assert_non_null(problem);
	assert_non_null(strstr(problem, "another view"));
}

static void what_is_cut_short_is_refused_at_every_length(void **state)
{
	struct scene *scene = *state;
	struct value value = good_value(scene);
	uint8_t packed[4096];
	struct shared_facts opened;
	take_ring(scene, "root %s\n", scene->root.text);
	value.root = &scene->root;
	size_t count = make_value(scene, &value, packed);
	for (size_t i = 0; i < count; i++) {
		uint8_t *cut = malloc(i + 1);
		assert_non_null(cut);
		memcpy(cut, packed, i);
		assert_non_null(ring_open_facts(&scene->ring, cut, i, &value.question, scene->view,
		    sizeof scene->view, NOW, &opened));
		free(cut);
	}
}

static void one_flipped_bit_anywhere_is_refused_or_changes_nothing(void **state)
{
	struct scene *scene = *state;
	struct value value = good_value(scene);
	uint8_t packed[4096];
	struct shared_facts opened;
	take_ring(scene, "%s\n", scene->member.text);
	size_t count = make_value(scene, &value, packed), taken = 0;
	for (size_t i = 0; i < 8 * count; i++) {
		packed[i / 8] ^= (uint8_t)(1u << i % 8);
		if (ring_open_facts(&scene->ring, packed, count, &value.question, scene->view,
			sizeof scene->view, NOW, &opened) == NULL) {
			assert_int_equal(opened.facts->expires_at, NOW + 60000);
			assert_int_equal(
			    opened.facts->records->status, RESOLVERD__V1__STATUS__SECURE);
			resolverd__fleet__shared_facts__free_unpacked(opened.facts, NULL);
			taken++;
		}
		packed[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	/* The outer key id says nothing that is relied on. */
	assert_in_range(taken, 64, 8 * (KEY_ID_BYTES + 3));
}

/* ---- memberships as text ---- */

static void a_membership_is_text_that_may_be_folded(void **state)
{
	Resolverd__Fleet__SignedMembership *membership;
	(void)state;
	/* field 3, four bytes */
	static const char folded[] = "# of mx1\n GgQB\n  AgME\n";
	membership = membership_parse(folded, strlen(folded));
	assert_non_null(membership);
	assert_int_equal(membership->key_id.len, 4);
	resolverd__fleet__signed_membership__free_unpacked(membership, NULL);
	assert_null(membership_parse("", 0));
	assert_null(membership_parse("# nothing\n", 10));
	assert_null(membership_parse("!!!!", 4));
	char *longest = malloc(5000);
	assert_non_null(longest);
	memset(longest, 'A', 5000);
	assert_null(membership_parse(longest, 5000));
	free(longest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    TEST(a_key_ring_lists_members_roots_and_revoked_keys),
	    TEST(an_empty_ring_trusts_nobody),
	    TEST(what_is_wrong_in_a_ring_is_said_with_its_line),
	    TEST(a_revoked_key_is_out_whoever_lists_it),
	    TEST(answers_of_before_stay_while_their_key_is_trusted),
	    TEST(facts_of_a_listed_member_are_taken),
	    TEST(a_root_vouches_for_members_that_nobody_lists),
	    TEST(what_is_not_as_it_was_signed_is_refused),
	    TEST(delegations_count_in_their_time_and_for_answers_only),
	    TEST(only_this_very_question_counts),
	    TEST(another_view_and_fields_unknown_but_critical_are_refused),
	    TEST(times_beyond_all_reckoning_are_refused),
	    TEST(what_is_cut_short_is_refused_at_every_length),
	    TEST(one_flipped_bit_anywhere_is_refused_or_changes_nothing),
	    TEST(a_membership_is_text_that_may_be_folded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
