/* SPDX-License-Identifier: BSD-3-Clause */
/* Which override holds for a next hop at a time, and what it does to a route. */
#include <stdio.h>
#include <string.h>

#include "resolverd/server/policy.h"
#include "tests/unit/test.h"

#define END_MS INT64_C(1798761600000) /* 2027-01-01 */

static const char text[] =
    "override \"example.org\" { requirement = mandatory  reason = \"own\" }\n"
    "override \".example.org\" { requirement = audit  reason = \"below\"  until = 2027-01-01 }\n"
    "override \".deep.example.org\" { requirement = off }\n"
    "override \"lapses.deep.example.org\" { requirement = normal  until = 2027-01-01 }\n"
    "override \"[mx.example.org]\" { requirement = off  reason = \"host\" }\n"
    "override \"[192.0.2.1]\" { requirement = mandatory }\n"
    "override \".com\" { requirement = audit }\n";

static int setup(void **state)
{
	static struct config config;
	char error[700];
	struct config_source source = {.file = "test.conf", .text = text};
	if (config_parse(&source, error, sizeof error, &config) != 0)
		fail_msg("%s", error);
	*state = &config;
	return 0;
}

static int teardown(void **state)
{
	config_fini(*state);
	return 0;
}

static void m01_m02_the_closest_override_in_force_is_found(void **state)
{
	static const struct {
		const char *next_hop;
		int64_t now_ms;
		const char *want; /* NULL: none */
	} rows[] = {
	    {"example.org", 0, "example.org"},
	    {"a.example.org", 0, ".example.org"},
	    {"a.b.example.org", 0, ".example.org"},
	    {"a.deep.example.org", 0, ".deep.example.org"},
	    {"deep.example.org", 0, ".example.org"},
	    {"lapses.deep.example.org", 0, "lapses.deep.example.org"},
	    {"lapses.deep.example.org", END_MS - 1, "lapses.deep.example.org"},
	    {"lapses.deep.example.org", END_MS, ".deep.example.org"},
	    {"a.example.org", END_MS - 1, ".example.org"},
	    {"a.example.org", END_MS, NULL},
	    {"notexample.org", 0, NULL},
	    {"a\\.example.org", 0, NULL}, /* one label: the dot in it ends none */
	    {"a\\\\.example.org", 0, ".example.org"},
	    {"[mx.example.org]", 0, "[mx.example.org]"},
	    {"[a.example.org]", 0, NULL}, /* a host is chosen by the administrator already */
	    {"[192.0.2.1]", 0, "[192.0.2.1]"},
	    {"[192.0.2.2]", 0, NULL},
	    {"x.com", 0, ".com"},
	    {"com", 0, NULL},
	    {"org", 0, NULL},
	    {".", 0, NULL},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct config_override *found =
		    policy_find(*state, rows[i].next_hop, rows[i].now_ms);
		const char *got = found != NULL ? found->next_hop : NULL;
		if ((got == NULL) != (rows[i].want == NULL) ||
		    (got != NULL && strcmp(got, rows[i].want) != 0))
			fail_msg("%s at %lld: %s, want %s", rows[i].next_hop,
			    (long long)rows[i].now_ms, got != NULL ? got : "none",
			    rows[i].want != NULL ? rows[i].want : "none");
	}
}

static void m01_the_route_says_who_set_its_requirement_and_until_when(void **state)
{
	Resolverd__V1__Route route = RESOLVERD__V1__ROUTE__INIT;
	uint64_t expires_at = END_MS + 1000;
	policy_apply(*state, "a.example.org", END_MS - 5, &route, &expires_at);
	assert_int_equal(route.requirement, V1(REQUIREMENT__AUDIT));
	assert_string_equal(route.requirement_source, ".example.org");
	assert_string_equal(route.requirement_reason, "below");
	assert_int_equal(route.requirement_until, END_MS);
	assert_int_equal(expires_at, END_MS); /* the answer ends with the override */
	policy_apply(*state, "example.org", END_MS - 5, &route, &expires_at);
	assert_int_equal(route.requirement, V1(REQUIREMENT__MANDATORY));
	assert_int_equal(route.requirement_until, 0);
	assert_int_equal(expires_at, END_MS);
}

static void without_an_override_the_requirement_is_normal_and_nothing_is_left(void **state)
{
	Resolverd__V1__Route route = RESOLVERD__V1__ROUTE__INIT;
	uint64_t expires_at = 77;
	policy_apply(*state, "[mx.example.org]", 0, &route, &expires_at);
	policy_apply(*state, "example.net", 0, &route, &expires_at);
	assert_int_equal(route.requirement, V1(REQUIREMENT__NORMAL));
	assert_int_equal(route.insecure_mx_policy, V1(INSECURE_MX_POLICY__INSECURE_MX_DANE));
	assert_string_equal(route.requirement_source, "");
	assert_string_equal(route.requirement_reason, "");
	assert_int_equal(route.requirement_until, 0);
	assert_int_equal(expires_at, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(m01_m02_the_closest_override_in_force_is_found),
	    cmocka_unit_test(m01_the_route_says_who_set_its_requirement_and_until_when),
	    cmocka_unit_test(without_an_override_the_requirement_is_normal_and_nothing_is_left),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
