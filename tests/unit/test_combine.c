/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The combination table: every row of tests/vectors/plan.json, and the rules that must hold over
 * all of its combinations, each by its case. Then whole plans, through signatures and the plan
 * builder.
 */
#include <stdio.h>

#include <jansson.h>

#include "client/lib/view.h"
#include "proto/combine.h"
#include "tests/unit/answers.h"
#include "tests/unit/test.h"

#define VECTORS "tests/vectors/plan.json"
#define GENERATOR "/usr/bin/python3 tests/vectors/make_plan.py"

static json_t *vectors;

static const char *names_word(enum reference_names names)
{
	static const char *const words[] = {[NAMES_NONE] = "none",
	    [NAMES_BASE] = "base",
	    [NAMES_BASE_AND_NEXT_HOP] = "base-and-next-hop"};
	return words[names];
}

static void vectors_are_those_of_the_generator(void **state)
{
	(void)state;
	FILE *wanted = popen(GENERATOR, "re"), *found = fopen(VECTORS, "re");
	assert_non_null(wanted);
	assert_non_null(found);
	int want, got;
	do {
		want = getc(wanted);
		got = getc(found);
		assert_int_equal(want, got);
	} while (want != EOF);
	fclose(found);
	assert_int_equal(pclose(wanted), 0);
}

static void every_host_row_combines_as_the_vectors_say(void **state)
{
	(void)state;
	size_t i;
	json_t *row;
	json_array_foreach(json_object_get(vectors, "hosts"), i, row)
	{
		int mx, requirement, insecure_mx, policy, reason, want_policy, want_reason,
		    would_refuse;
		const char *names;
		assert_int_equal(
		    json_unpack(row, "[iiiiiiisb!]", &mx, &requirement, &insecure_mx, &policy,
			&reason, &want_policy, &want_reason, &names, &would_refuse),
		    0);
		struct combined_host host =
		    combine_host(mx, requirement, insecure_mx, policy, reason);
		if ((int)host.policy != want_policy || (int)host.reason != want_reason ||
		    strcmp(names_word(host.names), names) != 0 || host.would_refuse != would_refuse)
			fail_msg("%d %d %d %d %d: got %d %d %s %d", mx, requirement, insecure_mx,
			    policy, reason, host.policy, host.reason, names_word(host.names),
			    host.would_refuse);
	}
	assert_int_equal(i, 6 * 6 * 5 * 6 * 20);
}

static void every_route_row_decides_as_the_vectors_say(void **state)
{
	(void)state;
	size_t i;
	json_t *row;
	json_array_foreach(json_object_get(vectors, "routes"), i, row)
	{
		int kind, mx;
		json_t *want;
		assert_int_equal(json_unpack(row, "[iio!]", &kind, &mx, &want), 0);
		enum outcome outcome = combine_route(kind, mx);
		if (json_is_null(want))
			assert_int_equal(outcome, 0);
		else
			assert_string_equal(outcome_text(outcome), json_string_value(want));
	}
	assert_int_equal(i, 8 * 6);
}

/* ---- rules over the table ---- */

#define LATER 99
enum { DANE = 1, TLS_NO_AUTH, OPPORTUNISTIC, UNREACHABLE };
enum { MX_DANE = 1, MX_OPPORTUNISTIC, MX_UNREACHABLE };
enum { NORMAL = 1, MANDATORY, AUDIT, OFF };
enum { SECURE = 1, INSECURE, BOGUS, ERROR };

/* What a rule is about: some values of a column, or with nothing said all of them. */
struct some {
	uint8_t count, values[6];
};
#define SOME(...)                                                                                  \
	{                                                                                          \
		sizeof((uint8_t[]){__VA_ARGS__}),                                                  \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

static bool is_one_of(const struct some *some, int value)
{
	for (size_t i = 0; i < some->count; i++)
		if (some->values[i] == value)
			return true;
	return some->count == 0;
}

/* Its rows have this policy, names and mark, and some have been found. */
static const struct rule {
	const char *name;
	struct some mx, requirement, insecure_mx, policy, reason;
	int want_policy;
	struct some want_names;
	bool would_refuse;
} rules[] = {
    {"a08_b01_b02_without_a_trustworthy_mx_no_host_is_used", SOME(BOGUS, ERROR, 0, LATER), {0}, {0},
	{0}, {0}, UNREACHABLE, SOME(NAMES_NONE), false},
    {"d01_i04_i05_dane_behind_a_secure_mx_checks_base_and_next_hop", SOME(SECURE), SOME(NORMAL),
	{0}, SOME(DANE), {0}, DANE, SOME(NAMES_BASE_AND_NEXT_HOP), false},
    {"d02_d03_d04_m03_dane_stays_dane_unless_local_policy_loosens_it", SOME(SECURE),
	SOME(NORMAL, MANDATORY, AUDIT, 0, LATER), {0}, SOME(DANE), {0}, DANE,
	SOME(NAMES_BASE_AND_NEXT_HOP), false},
    {"d05_d06_unusable_tlsa_stays_tls_without_authentication", SOME(SECURE), SOME(NORMAL, AUDIT),
	{0}, SOME(TLS_NO_AUTH), {0}, TLS_NO_AUTH, SOME(NAMES_NONE), false},
    {"d07_d08_d09_without_dane_nothing_is_demanded", SOME(SECURE, INSECURE),
	SOME(NORMAL, AUDIT, OFF), {0}, SOME(OPPORTUNISTIC), {0}, OPPORTUNISTIC, SOME(NAMES_NONE),
	false},
    {"b06_b12_m04_an_unreachable_host_stays_unreachable", {0}, SOME(NORMAL, MANDATORY, 0, LATER),
	{0}, SOME(UNREACHABLE), {0}, UNREACHABLE, SOME(NAMES_NONE), false},
    {"b03_b04_no_requirement_makes_a_host_of_failed_addresses_reachable", {0}, {0}, {0},
	SOME(UNREACHABLE),
	SOME(V1(HOST_REASON__ADDRESS_FAILED), V1(HOST_REASON__NO_ADDRESS),
	    V1(HOST_REASON__NOT_READY), V1(HOST_REASON__ANSWER_MISSING), 0, LATER),
	UNREACHABLE, SOME(NAMES_NONE), false},
    {"e07_insecure_mx_alone_demands_nothing", SOME(INSECURE), SOME(NORMAL), {0},
	SOME(OPPORTUNISTIC), {0}, OPPORTUNISTIC, SOME(NAMES_NONE), false},
    {"e08_e11_i07_insecure_mx_checks_the_host_and_never_the_next_hop", SOME(INSECURE), SOME(NORMAL),
	SOME(MX_DANE), SOME(DANE), {0}, DANE, SOME(NAMES_BASE), false},
    {"e08_policy_opportunistic_ignores_tlsa_behind_an_insecure_mx", SOME(INSECURE), SOME(NORMAL),
	SOME(MX_OPPORTUNISTIC), SOME(DANE, TLS_NO_AUTH), {0}, OPPORTUNISTIC, SOME(NAMES_NONE),
	false},
    {"e08_policy_unreachable_refuses_tlsa_behind_an_insecure_mx", SOME(INSECURE), SOME(NORMAL),
	SOME(MX_UNREACHABLE, 0, LATER), SOME(DANE, TLS_NO_AUTH), {0}, UNREACHABLE, SOME(NAMES_NONE),
	false},
    {"d05_e08_unusable_tlsa_behind_an_insecure_mx_is_tls_without_authentication", SOME(INSECURE),
	SOME(NORMAL), SOME(MX_DANE), SOME(TLS_NO_AUTH), {0}, TLS_NO_AUTH, SOME(NAMES_NONE), false},
    {"k01_mandatory_without_tlsa_is_unreachable", {0}, SOME(MANDATORY, 0, LATER), {0},
	SOME(OPPORTUNISTIC), {0}, UNREACHABLE, SOME(NAMES_NONE), false},
    {"k02_mandatory_with_unusable_tlsa_is_unreachable", {0}, SOME(MANDATORY, 0, LATER), {0},
	SOME(TLS_NO_AUTH), {0}, UNREACHABLE, SOME(NAMES_NONE), false},
    {"e06_k03_mandatory_behind_an_insecure_mx_is_unreachable", SOME(INSECURE),
	SOME(MANDATORY, 0, LATER), {0}, {0}, {0}, UNREACHABLE, SOME(NAMES_NONE), false},
    {"d11_mandatory_takes_dane_behind_a_secure_mx", SOME(SECURE), SOME(MANDATORY), {0}, SOME(DANE),
	{0}, DANE, SOME(NAMES_BASE_AND_NEXT_HOP), false},
    {"m01_off_makes_opportunistic_of_what_tlsa_decides", SOME(SECURE, INSECURE), SOME(OFF), {0},
	SOME(DANE, TLS_NO_AUTH, OPPORTUNISTIC), {0}, OPPORTUNISTIC, SOME(NAMES_NONE), false},
    {"m01_off_forgives_a_failed_tlsa_lookup", SOME(SECURE, INSECURE), SOME(OFF), {0},
	SOME(UNREACHABLE), SOME(V1(HOST_REASON__TLSA_FAILED), V1(HOST_REASON__TLSA_TOO_MANY)),
	OPPORTUNISTIC, SOME(NAMES_NONE), false},
    {"m02_audit_delivers_what_a_tlsa_lookup_would_stop_and_marks_it", SOME(SECURE, INSECURE),
	SOME(AUDIT), {0}, SOME(UNREACHABLE),
	SOME(V1(HOST_REASON__TLSA_FAILED), V1(HOST_REASON__TLSA_TOO_MANY)), OPPORTUNISTIC,
	SOME(NAMES_NONE), true},
    {"m02_audit_delivers_what_the_insecure_mx_policy_would_stop_and_marks_it", SOME(INSECURE),
	SOME(AUDIT), SOME(MX_UNREACHABLE, 0, LATER), SOME(DANE, TLS_NO_AUTH), {0}, OPPORTUNISTIC,
	SOME(NAMES_NONE), true},
    {"an_unknown_policy_is_unreachable_under_every_requirement", {0}, {0}, {0}, SOME(0, LATER), {0},
	UNREACHABLE, SOME(NAMES_NONE), false},
};

static void rule_holds(void **state)
{
	const struct rule *rule = *state;
	size_t i, found = 0;
	json_t *row;
	json_array_foreach(json_object_get(vectors, "hosts"), i, row)
	{
		int mx, requirement, insecure_mx, policy, reason;
		json_unpack(row, "[iiiii]", &mx, &requirement, &insecure_mx, &policy, &reason);
		if (!is_one_of(&rule->mx, mx) || !is_one_of(&rule->requirement, requirement) ||
		    !is_one_of(&rule->insecure_mx, insecure_mx) ||
		    !is_one_of(&rule->policy, policy) || !is_one_of(&rule->reason, reason))
			continue;
		found++;
		struct combined_host host =
		    combine_host(mx, requirement, insecure_mx, policy, reason);
		if ((int)host.policy != rule->want_policy ||
		    !is_one_of(&rule->want_names, (int)host.names) ||
		    host.would_refuse != rule->would_refuse)
			fail_msg("%d %d %d %d %d: got %s, names %s, would refuse %d", mx,
			    requirement, insecure_mx, policy, reason, policy_text(host.policy),
			    names_word(host.names), host.would_refuse);
	}
	assert_true(found > 0);
}

static void values_never_seen_fail_closed(void **state)
{
	(void)state;
	for (int value = -3; value < 300; value++) {
		bool known = value >= 1 && value <= 4;
		struct combined_host host = combine_host(value, 1, 1, 1, 1);
		assert_true(
		    host.policy == RESOLVERD__V1__POLICY__UNREACHABLE || value == 1 || value == 2);
		host = combine_host(1, value, 1, 3, 3);
		assert_true(
		    host.policy == RESOLVERD__V1__POLICY__UNREACHABLE || (known && value != 2));
		host = combine_host(2, 1, value, 1, 1);
		assert_true(
		    host.policy == RESOLVERD__V1__POLICY__UNREACHABLE || value == 1 || value == 2);
		for (int requirement = 0; requirement <= 5; requirement++) {
			host = combine_host(1, requirement, 1, value, 9);
			assert_true(known || host.policy == RESOLVERD__V1__POLICY__UNREACHABLE);
			assert_false(
			    !known && host.reason == RESOLVERD__V1__HOST_REASON__NO_ADDRESS);
		}
	}
}

/* ---- whole plans, through signatures and the plan builder ---- */

static const char *text_of(json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static int number_of(json_t *object, const char *key)
{
	return (int)json_integer_value(json_object_get(object, key));
}

static Resolverd__V1__Answer *route_of(struct resolverd_memory *arena, json_t *plan)
{
	size_t i;
	json_t *name;
	Resolverd__V1__Answer *answer = new_route(arena, text_of(plan, "next_hop"));
	answer->route->kind = (Resolverd__V1__RouteKind)number_of(plan, "kind");
	answer->route->mx_status = (Resolverd__V1__Status)number_of(plan, "mx_status");
	answer->route->expanded = memory_string(arena, text_of(plan, "expanded"));
	answer->route->requirement = (Resolverd__V1__Requirement)number_of(plan, "requirement");
	answer->route->insecure_mx_policy =
	    (Resolverd__V1__InsecureMxPolicy)number_of(plan, "insecure_mx_policy");
	json_array_foreach(json_object_get(plan, "mx"), i, name)
	    add_mx(arena, answer, json_string_value(name));
	return answer;
}

static Resolverd__V1__Answer *host_of(struct resolverd_memory *arena, json_t *host)
{
	Resolverd__V1__Answer *answer = new_host(arena, text_of(host, "name"));
	answer->host->policy = (Resolverd__V1__Policy)number_of(host, "policy");
	answer->host->reason = (Resolverd__V1__HostReason)number_of(host, "reason");
	answer->host->tlsa_base = memory_string(arena, text_of(host, "base"));
	return answer;
}

static Resolverd__V1__Response *response_of(
    struct resolverd_memory *arena, const struct signer *signer, json_t *plan)
{
	size_t i;
	json_t *host;
	Resolverd__V1__Response *response = NEW(arena, Response, response);
	response->answers = memory_alloc(arena, 64, sizeof *response->answers);
	response->answers[response->n_answers++] =
	    sign_answer(arena, signer, route_of(arena, plan));
	json_array_foreach(json_object_get(plan, "hosts"), i, host)
	    response->answers[response->n_answers++] =
	    sign_answer(arena, signer, host_of(arena, host));
	return response;
}

static void check_plan(json_t *row, const struct resolverd_plan *plan)
{
	size_t i, j;
	json_t *want = json_object_get(row, "want"), *host, *name;
	assert_string_equal(resolverd_outcome_text(plan->outcome), text_of(want, "outcome"));
	assert_int_equal(plan->would_refuse, json_is_true(json_object_get(want, "would_refuse")));
	assert_int_equal(plan->host_count, json_array_size(json_object_get(want, "hosts")));
	json_array_foreach(json_object_get(want, "hosts"), i, host)
	{
		const struct resolverd_host *got = &plan->hosts[i];
		assert_int_equal(got->policy, number_of(host, "policy"));
		assert_string_equal(got->reason, host_reason_text(number_of(host, "reason")));
		assert_int_equal(
		    got->would_refuse, json_is_true(json_object_get(host, "would_refuse")));
		assert_int_equal(
		    got->reference_name_count, json_array_size(json_object_get(host, "names")));
		json_array_foreach(json_object_get(host, "names"), j, name)
		    assert_string_equal(got->reference_names[j], json_string_value(name));
	}
}

static void plan_comes_out_as_the_vectors_say(void **state)
{
	static struct keyring keyring = {.count = 1};
	json_t *row = *state;
	struct signer signer = signer_of(7);
	memcpy(keyring.keys[0].key, signer.public_key, sizeof signer.public_key);
	key_id_of(signer.public_key, keyring.keys[0].id);
	strcpy(keyring.keys[0].member, "m1");
	keyring.keys[0].not_after_ms = UINT64_MAX;
	char detail[DETAIL_MAX] = "";
	struct resolverd_memory *arena = memory_new();
	struct verifier verifier = {&keyring, NOW_MS, arena, detail};
	struct asked asked = {.port = 25};
	struct resolverd_plan *plan;
	assert_int_equal(next_hop_parse(text_of(row, "next_hop"), &asked.hop), NAME_OK);
	int r = view_plan(&verifier, &asked, response_of(arena, &signer, row), &plan);
	assert_string_equal(detail, "");
	assert_int_equal(r, 0);
	check_plan(row, plan);
	resolverd_plan_free(plan);
}

/* ---- main ---- */

static json_t *vectors_load(void)
{
	json_error_t error;
	json_t *loaded = json_load_file(VECTORS, JSON_REJECT_DUPLICATES, &error);
	if (loaded == NULL)
		fprintf(stderr, VECTORS ":%d: %s\n", error.line, error.text);
	return loaded;
}

int main(void)
{
	static struct test_list list;
	size_t i;
	json_t *plan;
	vectors = vectors_load();
	if (vectors == NULL || sodium_init() < 0)
		return 1;
	ADD_TEST(&list, vectors_are_those_of_the_generator);
	ADD_TEST(&list, every_host_row_combines_as_the_vectors_say);
	ADD_TEST(&list, every_route_row_decides_as_the_vectors_say);
	ADD_TEST(&list, values_never_seen_fail_closed);
	ADD_ROWS(&list, rules, rule_holds);
	json_array_foreach(json_object_get(vectors, "plans"), i, plan)
	    test_add(&list, text_of(plan, "name"), plan_comes_out_as_the_vectors_say, plan);
	int r = test_run("combine", &list, NULL, NULL);
	json_decref(vectors);
	return r;
}
