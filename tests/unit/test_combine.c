/* SPDX-License-Identifier: BSD-3-Clause */
/* Every row of tests/vectors/plan.json against the combination table and the plan builder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#include "client/lib/view.h"
#include "proto/combine.h"
#include "tests/unit/answers.h"

#define VECTORS "tests/vectors/plan.json"
#define GENERATOR "/usr/bin/python3 tests/vectors/make_plan.py"

static json_t *vectors;

static int load(void **state)
{
	(void)state;
	json_error_t error;
	vectors = json_load_file(VECTORS, JSON_REJECT_DUPLICATES, &error);
	if (vectors == NULL)
		fprintf(stderr, VECTORS ":%d: %s\n", error.line, error.text);
	return vectors == NULL || sodium_init() < 0;
}

static int unload(void **state)
{
	(void)state;
	json_decref(vectors);
	return 0;
}

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
	assert_int_equal(i, 6 * 6 * 5 * 21);
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

static void every_whole_plan_comes_out_as_the_vectors_say(void **state)
{
	(void)state;
	static struct keyring keyring = {.count = 1};
	struct signer signer = signer_of(7);
	memcpy(keyring.keys[0].key, signer.public_key, sizeof signer.public_key);
	key_id_of(signer.public_key, keyring.keys[0].id);
	strcpy(keyring.keys[0].member, "m1");
	keyring.keys[0].not_after_ms = UINT64_MAX;
	size_t i;
	json_t *row;
	json_array_foreach(json_object_get(vectors, "plans"), i, row)
	{
		char detail[DETAIL_MAX] = "";
		struct resolverd_memory *arena = memory_new();
		struct verifier verifier = {&keyring, NOW_MS, arena, detail};
		struct asked asked = {.port = 25};
		struct resolverd_plan *plan;
		print_message("         %s\n", text_of(row, "name"));
		assert_int_equal(next_hop_parse(text_of(row, "next_hop"), &asked.hop), NAME_OK);
		int r = view_plan(&verifier, &asked, response_of(arena, &signer, row), &plan);
		assert_string_equal(detail, "");
		assert_int_equal(r, 0);
		check_plan(row, plan);
		resolverd_plan_free(plan);
	}
	assert_true(i > 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vectors_are_those_of_the_generator),
	    cmocka_unit_test(every_host_row_combines_as_the_vectors_say),
	    cmocka_unit_test(every_route_row_decides_as_the_vectors_say),
	    cmocka_unit_test(values_never_seen_fail_closed),
	    cmocka_unit_test(every_whole_plan_comes_out_as_the_vectors_say),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
