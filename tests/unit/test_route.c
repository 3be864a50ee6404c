/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What follows from the answers of the MX step (worker/route.c), and with those about its hosts,
 * through the combination table. The lookups of the MX step must be those the row says.
 */
#include "proto/combine.h"
#include "tests/unit/text_dns.h"

#define D "example.org"

static const struct route_row {
	const char *name, *next_hop, *zone, *asked;
	int kind, mx_status;
	const char *expanded, *hosts; /* "10 a, 20 b" */
} route_rows[] = {
    {"e02_mx_come_sorted_by_preference", D, D " MX secure 20 b." D "; 10 a." D "; 300 c." D,
	D " MX", V1(ROUTE_KIND__MX), V1(STATUS__SECURE), D, "10 a." D ", 20 b." D ", 300 c." D},
    {"e02_equal_preferences_have_one_order", D, D " MX secure 10 b." D "; 10 a." D, D " MX",
	V1(ROUTE_KIND__MX), V1(STATUS__SECURE), D, "10 a." D ", 10 b." D},
    {"e05_both_names_of_an_aliased_next_hop_are_kept", D, D ">mail.example.com MX secure 5 a." D,
	D " MX", V1(ROUTE_KIND__MX), V1(STATUS__SECURE), "mail.example.com", "5 a." D},
    {"e07_insecure_mx_is_marked_insecure", D, D " MX insecure 5 a." D, D " MX", V1(ROUTE_KIND__MX),
	V1(STATUS__INSECURE), D, "5 a." D},
    {"b01_mx_error_fails_the_route", D, D " MX error", D " MX", V1(ROUTE_KIND__FAILED),
	V1(STATUS__ERROR), D, ""},
    {"b02_bogus_mx_fails_the_route_as_bogus", D, D " MX bogus", D " MX", V1(ROUTE_KIND__FAILED),
	V1(STATUS__BOGUS), D, ""},
    {"f01_relay_host_in_brackets_has_no_mx_step_and_counts_as_secure", "[relay.example.org]", "",
	"", V1(ROUTE_KIND__NO_MX_STEP), V1(STATUS__SECURE), "[relay.example.org]",
	"0 relay.example.org"},
    {"d12_address_in_brackets_asks_nothing", "[192.0.2.1]", "", "", V1(ROUTE_KIND__NO_MX_STEP),
	V1(STATUS__SECURE), "[192.0.2.1]", "0 192.0.2.1"},
    {"f02_no_mx_makes_the_domain_its_own_host", D, D " MX secure", D " MX",
	V1(ROUTE_KIND__IMPLICIT_MX), V1(STATUS__SECURE), D, "0 " D},
    {"f02_i08_implicit_mx_of_an_alias_is_the_original_name", D, D ">mail.example.com MX secure",
	D " MX", V1(ROUTE_KIND__IMPLICIT_MX), V1(STATUS__SECURE), "mail.example.com", "0 " D},
    {"a06_nxdomain_is_no_such_domain", D, D " MX nx-secure", D " MX",
	V1(ROUTE_KIND__NO_SUCH_DOMAIN), V1(STATUS__SECURE), D, ""},
    {"n01_null_mx_alone_has_no_hosts", D, D " MX secure 0 .", D " MX", V1(ROUTE_KIND__NULL_MX),
	V1(STATUS__SECURE), D, ""},
    {"d13_address_as_mx_target_is_the_name_that_it_is", D, D " MX secure 10 192.0.2.1; 20 a." D,
	D " MX", V1(ROUTE_KIND__MX), V1(STATUS__SECURE), D, "10 192.0.2.1, 20 a." D},
    {"a05_secure_nodata_of_mx_is_no_error", D, D " MX secure", D " MX", V1(ROUTE_KIND__IMPLICIT_MX),
	V1(STATUS__SECURE), D, "0 " D},
    {"a07_insecure_nodata_of_mx_is_no_error", D, D " MX insecure", D " MX",
	V1(ROUTE_KIND__IMPLICIT_MX), V1(STATUS__INSECURE), D, "0 " D},
    {"a07_insecure_nxdomain_is_no_error", D, D " MX nx-insecure", D " MX",
	V1(ROUTE_KIND__NO_SUCH_DOMAIN), V1(STATUS__INSECURE), D, ""},
    {"e05_nxdomain_behind_an_alias_is_no_such_domain", D, D ">gone.example.com MX nx-secure",
	D " MX", V1(ROUTE_KIND__NO_SUCH_DOMAIN), V1(STATUS__SECURE), "gone.example.com", ""},
    {"e10_host_keeps_the_name_of_the_mx_record", D, D " MX insecure 10 alias.example.net", D " MX",
	V1(ROUTE_KIND__MX), V1(STATUS__INSECURE), D, "10 alias.example.net"},
    {"malformed_mx_is_an_error_not_a_null_mx", D, D " MX secure 10 garbage", D " MX",
	V1(ROUTE_KIND__FAILED), V1(STATUS__ERROR), D, ""},
    {"n02_null_mx_beside_real_ones_is_skipped", D, D " MX secure 0 .; 20 b." D "; 10 a." D, D " MX",
	V1(ROUTE_KIND__MX), V1(STATUS__SECURE), D, "10 a." D ", 20 b." D},
};

static void hosts_text(const Resolverd__V1__Route *route, char *out, size_t bytes)
{
	out[0] = '\0';
	for (size_t i = 0; i < route->n_mx; i++) {
		size_t used = strlen(out);
		snprintf(out + used, bytes - used, "%s%u %s", i > 0 ? ", " : "",
		    route->mx[i]->preference, route->mx[i]->name);
	}
}

static void route_row_holds(void **state)
{
	const struct route_row *row = *state;
	struct dns dns;
	char hosts[1024];
	dns_ask(&dns, row->zone, V1(KIND__ROUTE), row->next_hop, 0);
	const Resolverd__V1__Route *route = dns.inquiry.facts.route;
	hosts_text(route, hosts, sizeof hosts);
	assert_string_equal(dns.asked, row->asked);
	assert_int_equal(route->kind, row->kind);
	assert_int_equal(route->mx_status, row->mx_status);
	assert_string_equal(route->expanded, row->expanded);
	assert_string_equal(hosts, row->hosts);
	assert_int_equal(dns.inquiry.facts.failed, row->kind == V1(ROUTE_KIND__FAILED));
	inquiry_fini(&dns.inquiry);
}

static void e02_mx_over_the_limit_are_the_least_preferred(void **state)
{
	char zone[4096] = D " MX secure ";
	struct dns dns;
	(void)state;
	for (unsigned i = 0; i < 70; i++)
		sprintf(zone + strlen(zone), "%s%u h%u." D, i > 0 ? "; " : "", 70 - i, 70 - i);
	dns_ask(&dns, zone, V1(KIND__ROUTE), D, 0);
	const Resolverd__V1__Route *route = dns.inquiry.facts.route;
	assert_int_equal(route->n_mx, 64);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(route->mx[i]->preference, i + 1);
	inquiry_fini(&dns.inquiry);
}

/* ---- both together ---- */

static const struct plan_row {
	const char *name, *zone;
	enum outcome outcome;
	const char *policies; /* of the hosts in order */
} plan_rows[] = {
    {"b03_address_error_makes_only_that_host_unreachable",
	D " MX secure 10 a.x; 20 b.x\na.x A error\na.x AAAA error\n"
	  "b.x A secure 192.0.2.1\nb.x AAAA secure\n_25._tcp.b.x TLSA secure 3 1 1 32",
	OUTCOME_DELIVER, "unreachable dane"},
    {"b04_address_error_of_the_only_host_is_delay",
	D " MX secure 10 a.x\na.x A error\na.x AAAA error", OUTCOME_DELAY, "unreachable"},
    {"b10_d10_e14_tlsa_error_makes_only_that_host_unreachable",
	D " MX secure 10 a.x; 20 b.x\na.x A secure 192.0.2.1\na.x AAAA secure\n_25._tcp.a.x TLSA "
	  "error\nb.x A secure 192.0.2.2\nb.x AAAA secure\n_25._tcp.b.x TLSA secure 3 1 1 32",
	OUTCOME_DELIVER, "unreachable dane"},
    {"b11_d10_every_host_unreachable_is_delay",
	D " MX secure 10 a.x; 20 b.x\na.x A error\na.x AAAA error\n"
	  "b.x A secure 192.0.2.2\nb.x AAAA secure\n_25._tcp.b.x TLSA bogus",
	OUTCOME_DELAY, "unreachable unreachable"},
    {"e01_e12_e13_each_host_has_its_own_verdict",
	D " MX secure 10 a.x; 20 b.x\na.x A secure 192.0.2.1\na.x AAAA secure\n"
	  "_25._tcp.a.x TLSA secure 3 1 1 32\nb.x A secure 192.0.2.2\nb.x AAAA secure\n"
	  "_25._tcp.b.x TLSA secure",
	OUTCOME_DELIVER, "dane opportunistic"},
    {"e03_host_without_tlsa_stays_first",
	D " MX secure 20 b.x; 10 a.x\na.x A insecure 192.0.2.1\na.x AAAA insecure\n"
	  "b.x A secure 192.0.2.2\nb.x AAAA secure\n_25._tcp.b.x TLSA secure 3 1 1 32",
	OUTCOME_DELIVER, "opportunistic dane"},
    {"f04_no_address_at_any_host_is_no_host",
	D " MX secure 10 a.x; 20 b.x\na.x A secure\na.x AAAA secure\n"
	  "b.x A nx-insecure\nb.x AAAA nx-insecure",
	OUTCOME_NO_HOST, "unreachable unreachable"},
    {"b04_f04_no_address_here_and_an_error_there_is_delay",
	D " MX secure 10 a.x; 20 b.x\na.x A secure\na.x AAAA secure\nb.x A error\nb.x AAAA secure",
	OUTCOME_DELAY, "unreachable unreachable"},
    {"d13_address_as_mx_target_is_never_asked_for_tlsa",
	D " MX secure 10 192.0.2.1\n192.0.2.1 A nx-secure\n192.0.2.1 AAAA nx-secure",
	OUTCOME_NO_HOST, "unreachable"},
    {"n02_hosts_beside_a_null_mx_are_used",
	D " MX secure 0 .; 10 a.x\na.x A insecure 192.0.2.1\na.x AAAA insecure", OUTCOME_DELIVER,
	"opportunistic"},
    {"f02_domain_without_mx_is_its_own_host",
	D " MX secure\n" D " A secure 192.0.2.1\n" D " AAAA secure\n_25._tcp." D
	  " TLSA secure 3 1 1 32",
	OUTCOME_DELIVER, "dane"},
    {"f02_f04_domain_without_mx_and_address_is_no_host",
	D " MX secure\n" D " A secure\n" D " AAAA secure", OUTCOME_NO_HOST, "unreachable"},
    {"n01_null_mx_is_no_mail_and_asks_for_no_host", D " MX secure 0 .", OUTCOME_NO_MAIL, ""},
    {"b01_mx_error_is_delay", D " MX error", OUTCOME_DELAY, ""},
    {"b02_bogus_mx_is_delay", D " MX bogus", OUTCOME_DELAY, ""},
    {"a06_nxdomain_is_no_such_domain", D " MX nx-secure", OUTCOME_NO_SUCH_DOMAIN, ""},
};

static struct combined_host combined(
    const struct plan_row *row, const Resolverd__V1__Route *route, const char *name)
{
	struct dns dns;
	dns_ask(&dns, row->zone, V1(KIND__HOST), name, 25);
	const Resolverd__V1__Host *host = dns.inquiry.facts.host;
	struct combined_host result = combine_host((int)route->mx_status, V1(REQUIREMENT__NORMAL),
	    V1(INSECURE_MX_POLICY__INSECURE_MX_DANE), (int)host->policy, (int)host->reason);
	inquiry_fini(&dns.inquiry);
	return result;
}

static void plan_row_holds(void **state)
{
	const struct plan_row *row = *state;
	struct dns dns;
	struct combined_host hosts[4];
	char policies[200] = "";
	dns_ask(&dns, row->zone, V1(KIND__ROUTE), D, 0);
	const Resolverd__V1__Route *route = dns.inquiry.facts.route;
	enum outcome outcome = combine_route((int)route->kind, (int)route->mx_status);
	for (size_t i = 0; outcome == 0 && i < route->n_mx; i++) {
		hosts[i] = combined(row, route, route->mx[i]->name);
		if (i > 0)
			strcat(policies, " ");
		strcat(policies, policy_text((int)hosts[i].policy));
	}
	if (outcome == 0)
		outcome = combine_plan(V1(REQUIREMENT__NORMAL), hosts, route->n_mx).outcome;
	assert_string_equal(outcome_text(outcome), outcome_text(row->outcome));
	assert_string_equal(policies, row->policies);
	inquiry_fini(&dns.inquiry);
}

/* ---- at the deadline ---- */

static void b01_route_given_up_is_failed(void **state)
{
	struct dns dns;
	(void)state;
	dns_init(&dns, &default_policy, D " MX error", V1(KIND__ROUTE), D, 0);
	assert_false(inquiry_begin(&dns.inquiry));
	inquiry_give_up(&dns.inquiry, V1(STATUS__ERROR), "late");
	assert_int_equal(dns.inquiry.facts.route->kind, V1(ROUTE_KIND__FAILED));
	assert_int_equal(dns.inquiry.facts.route->mx_status, V1(STATUS__ERROR));
	assert_string_equal(dns.inquiry.facts.route->expanded, D);
	assert_true(dns.inquiry.facts.failed);
	inquiry_fini(&dns.inquiry);
}

static void records_given_up_are_an_error(void **state)
{
	struct dns dns;
	(void)state;
	dns_init(&dns, &default_policy, "", V1(KIND__RECORDS), D, 0);
	inquiry_give_up(&dns.inquiry, V1(STATUS__ERROR), "late");
	assert_int_equal(dns.inquiry.facts.records->status, V1(STATUS__ERROR));
	assert_true(dns.inquiry.facts.failed);
	inquiry_fini(&dns.inquiry);
}

static void unknown_kind_is_refused(void **state)
{
	struct inquiry inquiry;
	Resolverd__V1__Question question = RESOLVERD__V1__QUESTION__INIT;
	(void)state;
	question.name = (char *)(uintptr_t)D;
	question.kind = (Resolverd__V1__Kind)99;
	assert_true(inquiry_init(&inquiry, &question, &default_policy, on_ask, NULL) < 0);
}

int main(void)
{
	static struct test_list list;
	ADD_ROWS(&list, route_rows, route_row_holds);
	ADD_ROWS(&list, plan_rows, plan_row_holds);
	ADD_TEST(&list, e02_mx_over_the_limit_are_the_least_preferred);
	ADD_TEST(&list, b01_route_given_up_is_failed);
	ADD_TEST(&list, records_given_up_are_an_error);
	ADD_TEST(&list, unknown_kind_is_refused);
	return test_run("route", &list, NULL, NULL);
}
