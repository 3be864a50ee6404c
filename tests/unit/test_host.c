/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What follows for one host from which DNS answers (worker/host.c), and for how long. The lookups
 * must be made in the order the row says.
 */
#include "proto/combine.h"
#include "tests/unit/text_dns.h"

#define MX "mx.example.org"
#define REAL "real.example.net"
#define BOTH MX " A, " MX " AAAA"
#define AT_MX "_25._tcp." MX
#define AT_REAL "_25._tcp." REAL
#define SECURE_HOST MX " A secure 192.0.2.1\n" MX " AAAA secure\n"
#define SECURE_ALIAS MX ">" REAL " A secure 192.0.2.1\n" MX ">" REAL " AAAA secure\n"
#define INSECURE_ALIAS MX ">" REAL " A insecure 192.0.2.1\n" MX ">" REAL " AAAA insecure\n"

/* All of example.org is example.net. */
#define DNAME_ALIAS                                                                                \
	MX ">mx.example.net^example.org A insecure 192.0.2.1\n" MX                                 \
	   ">mx.example.net^example.org AAAA insecure\n"

static const struct host_row {
	const char *name, *zone, *asked;
	int policy, reason, tlsa_status, address_status;
	const char *base;
	size_t tlsa_count;
	bool failed;
	unsigned port;
} host_rows[] = {
    {"b05_d01_secure_host_is_asked_for_tlsa_and_usable_tlsa_is_dane",
	SECURE_HOST AT_MX " TLSA secure 3 1 1 32", BOTH ", " AT_MX " TLSA", V1(POLICY__DANE),
	V1(HOST_REASON__TLSA_USABLE), V1(TLSA_STATUS__TLSA_SECURE), V1(STATUS__SECURE), MX, 1,
	false, 25},
    {"d05_g06_only_unusable_tlsa_is_tls_no_auth",
	SECURE_HOST AT_MX " TLSA secure 3 1 9 32; 3 1 1 31", BOTH ", " AT_MX " TLSA",
	V1(POLICY__TLS_NO_AUTH), V1(HOST_REASON__TLSA_ALL_UNUSABLE), V1(TLSA_STATUS__TLSA_SECURE),
	V1(STATUS__SECURE), MX, 0, false, 25},
    {"d07_insecure_tlsa_is_opportunistic", SECURE_HOST AT_MX " TLSA insecure 3 1 1 32",
	BOTH ", " AT_MX " TLSA", V1(POLICY__OPPORTUNISTIC), V1(HOST_REASON__TLSA_NOT_SECURE),
	V1(TLSA_STATUS__TLSA_INSECURE), V1(STATUS__SECURE), "", 0, false, 25},
    {"a05_d08_secure_nodata_is_opportunistic", SECURE_HOST AT_MX " TLSA secure",
	BOTH ", " AT_MX " TLSA", V1(POLICY__OPPORTUNISTIC), V1(HOST_REASON__TLSA_DENIED),
	V1(TLSA_STATUS__TLSA_ABSENT), V1(STATUS__SECURE), "", 0, false, 25},
    {"a06_d08_secure_nxdomain_is_opportunistic", SECURE_HOST AT_MX " TLSA nx-secure",
	BOTH ", " AT_MX " TLSA", V1(POLICY__OPPORTUNISTIC), V1(HOST_REASON__TLSA_DENIED),
	V1(TLSA_STATUS__TLSA_ABSENT), V1(STATUS__SECURE), "", 0, false, 25},
    {"b06_b07_b09_d10_tlsa_lookup_error_is_unreachable", SECURE_HOST AT_MX " TLSA error",
	BOTH ", " AT_MX " TLSA", V1(POLICY__UNREACHABLE), V1(HOST_REASON__TLSA_FAILED),
	V1(TLSA_STATUS__TLSA_ERROR), V1(STATUS__SECURE), "", 0, true, 25},
    {"b08_bogus_tlsa_is_unreachable", SECURE_HOST AT_MX " TLSA bogus", BOTH ", " AT_MX " TLSA",
	V1(POLICY__UNREACHABLE), V1(HOST_REASON__TLSA_FAILED), V1(TLSA_STATUS__TLSA_BOGUS),
	V1(STATUS__SECURE), "", 0, true, 25},
    {"b04_both_address_lookups_fail_is_unreachable", MX " A error\n" MX " AAAA error", BOTH,
	V1(POLICY__UNREACHABLE), V1(HOST_REASON__ADDRESS_FAILED), V1(TLSA_STATUS__TLSA_NOT_QUERIED),
	V1(STATUS__ERROR), "", 0, true, 25},
    {"b04_bogus_is_named_before_error", MX " A error\n" MX " AAAA bogus", BOTH,
	V1(POLICY__UNREACHABLE), V1(HOST_REASON__ADDRESS_FAILED), V1(TLSA_STATUS__TLSA_NOT_QUERIED),
	V1(STATUS__BOGUS), "", 0, true, 25},
    {"f04_error_and_nodata_leave_it_open_whether_there_is_an_address",
	MX " A secure\n" MX " AAAA error", BOTH, V1(POLICY__UNREACHABLE),
	V1(HOST_REASON__ADDRESS_FAILED), V1(TLSA_STATUS__TLSA_NOT_QUERIED), V1(STATUS__ERROR), "",
	0, true, 25},
    {"f04_no_address_is_unreachable_without_tlsa_query", MX " A secure\n" MX " AAAA secure", BOTH,
	V1(POLICY__UNREACHABLE), V1(HOST_REASON__NO_ADDRESS), V1(TLSA_STATUS__TLSA_NOT_QUERIED),
	V1(STATUS__SECURE), "", 0, false, 25},
    {"a07_insecure_nxdomain_of_the_host_is_no_error", MX " A nx-insecure\n" MX " AAAA nx-insecure",
	BOTH, V1(POLICY__UNREACHABLE), V1(HOST_REASON__NO_ADDRESS),
	V1(TLSA_STATUS__TLSA_NOT_QUERIED), V1(STATUS__INSECURE), "", 0, false, 25},
    {"a09_f05_f06_insecure_host_gets_no_tlsa_query",
	MX " A insecure 192.0.2.1\n" MX " AAAA insecure", BOTH, V1(POLICY__OPPORTUNISTIC),
	V1(HOST_REASON__ADDRESS_NOT_SECURE), V1(TLSA_STATUS__TLSA_NOT_QUERIED),
	V1(STATUS__INSECURE), "", 0, false, 25},
    {"f08_insecure_alias_gets_no_tlsa_query", INSECURE_ALIAS MX " CNAME insecure " REAL,
	BOTH ", " MX " CNAME", V1(POLICY__OPPORTUNISTIC), V1(HOST_REASON__ADDRESS_NOT_SECURE),
	V1(TLSA_STATUS__TLSA_NOT_QUERIED), V1(STATUS__INSECURE), "", 0, false, 25},
    {"c06_f09_secure_alias_to_insecure_asks_at_the_original_name_only",
	INSECURE_ALIAS MX " CNAME secure " REAL "\n" AT_MX " TLSA secure 3 1 1 32",
	BOTH ", " MX " CNAME, " AT_MX " TLSA", V1(POLICY__DANE), V1(HOST_REASON__TLSA_USABLE),
	V1(TLSA_STATUS__TLSA_SECURE), V1(STATUS__INSECURE), MX, 1, false, 25},
    {"c01_f09_alias_made_of_a_dname_is_as_secure_as_that",
	DNAME_ALIAS "example.org DNAME secure example.net\n" AT_MX " TLSA secure 3 1 1 32",
	BOTH ", example.org DNAME, " AT_MX " TLSA", V1(POLICY__DANE), V1(HOST_REASON__TLSA_USABLE),
	V1(TLSA_STATUS__TLSA_SECURE), V1(STATUS__INSECURE), MX, 1, false, 25},
    {"c01_f08_alias_made_of_an_insecure_dname_gets_no_tlsa_query",
	DNAME_ALIAS "example.org DNAME insecure example.net", BOTH ", example.org DNAME",
	V1(POLICY__OPPORTUNISTIC), V1(HOST_REASON__ADDRESS_NOT_SECURE),
	V1(TLSA_STATUS__TLSA_NOT_QUERIED), V1(STATUS__INSECURE), "", 0, false, 25},
    {"c01_f09_a_dname_further_on_says_nothing_of_the_first_alias",
	MX ">" REAL "^b-example.org A insecure 192.0.2.1\n" MX " AAAA insecure\n" MX
	   " CNAME insecure " REAL,
	BOTH ", " MX " CNAME", V1(POLICY__OPPORTUNISTIC), V1(HOST_REASON__ADDRESS_NOT_SECURE),
	V1(TLSA_STATUS__TLSA_NOT_QUERIED), V1(STATUS__INSECURE), "", 0, false, 25},
    {"c03_error_of_the_alias_lookup_is_unreachable", INSECURE_ALIAS MX " CNAME error",
	BOTH ", " MX " CNAME", V1(POLICY__UNREACHABLE), V1(HOST_REASON__ADDRESS_FAILED),
	V1(TLSA_STATUS__TLSA_NOT_QUERIED), V1(STATUS__INSECURE), "", 0, true, 25},
    {"f10_secure_alias_has_its_base_at_the_expanded_name",
	SECURE_ALIAS AT_REAL " TLSA secure 3 1 1 32", BOTH ", " AT_REAL " TLSA", V1(POLICY__DANE),
	V1(HOST_REASON__TLSA_USABLE), V1(TLSA_STATUS__TLSA_SECURE), V1(STATUS__SECURE), REAL, 1,
	false, 25},
    {"f11_none_at_the_expanded_name_tries_the_original",
	SECURE_ALIAS AT_REAL " TLSA secure\n" AT_MX " TLSA secure 2 0 1 32",
	BOTH ", " AT_REAL " TLSA, " AT_MX " TLSA", V1(POLICY__DANE), V1(HOST_REASON__TLSA_USABLE),
	V1(TLSA_STATUS__TLSA_SECURE), V1(STATUS__SECURE), MX, 1, false, 25},
    {"f12_none_at_either_is_opportunistic",
	SECURE_ALIAS AT_REAL " TLSA secure\n" AT_MX " TLSA nx-secure",
	BOTH ", " AT_REAL " TLSA, " AT_MX " TLSA", V1(POLICY__OPPORTUNISTIC),
	V1(HOST_REASON__TLSA_DENIED), V1(TLSA_STATUS__TLSA_ABSENT), V1(STATUS__SECURE), "", 0,
	false, 25},
    {"f13_error_at_the_expanded_name_is_not_papered_over_by_the_original",
	SECURE_ALIAS AT_REAL " TLSA error\n" AT_MX " TLSA secure 3 1 1 32",
	BOTH ", " AT_REAL " TLSA", V1(POLICY__UNREACHABLE), V1(HOST_REASON__TLSA_FAILED),
	V1(TLSA_STATUS__TLSA_ERROR), V1(STATUS__SECURE), "", 0, true, 25},
    {"f13_error_at_the_original_name_is_unreachable",
	SECURE_ALIAS AT_REAL " TLSA secure\n" AT_MX " TLSA bogus",
	BOTH ", " AT_REAL " TLSA, " AT_MX " TLSA", V1(POLICY__UNREACHABLE),
	V1(HOST_REASON__TLSA_FAILED), V1(TLSA_STATUS__TLSA_BOGUS), V1(STATUS__SECURE), "", 0, true,
	25},
    {"f14_the_family_that_validated_goes_on_when_aaaa_fails",
	MX " A secure 192.0.2.1\n" MX " AAAA bogus\n" AT_MX " TLSA secure 3 1 1 32",
	BOTH ", " AT_MX " TLSA", V1(POLICY__DANE), V1(HOST_REASON__TLSA_USABLE),
	V1(TLSA_STATUS__TLSA_SECURE), V1(STATUS__SECURE), MX, 1, true, 25},
    {"f14_the_family_that_validated_goes_on_when_a_fails",
	MX " A error\n" MX " AAAA secure 2001:db8::1\n" AT_MX " TLSA secure 3 1 1 32",
	BOTH ", " AT_MX " TLSA", V1(POLICY__DANE), V1(HOST_REASON__TLSA_USABLE),
	V1(TLSA_STATUS__TLSA_SECURE), V1(STATUS__SECURE), MX, 1, true, 25},
    {"f15_tlsa_at_a_middle_name_of_the_chain_is_never_asked",
	SECURE_ALIAS "_25._tcp.middle.example TLSA secure 3 1 1 32\n" AT_REAL " TLSA secure\n" AT_MX
		     " TLSA secure",
	BOTH ", " AT_REAL " TLSA, " AT_MX " TLSA", V1(POLICY__OPPORTUNISTIC),
	V1(HOST_REASON__TLSA_DENIED), V1(TLSA_STATUS__TLSA_ABSENT), V1(STATUS__SECURE), "", 0,
	false, 25},
    {"f16_secure_family_speaks_for_the_host_beside_an_insecure_one",
	MX " A insecure 192.0.2.1\n" MX " AAAA secure 2001:db8::1\n" AT_MX " TLSA secure 3 1 1 32",
	BOTH ", " AT_MX " TLSA", V1(POLICY__DANE), V1(HOST_REASON__TLSA_USABLE),
	V1(TLSA_STATUS__TLSA_SECURE), V1(STATUS__SECURE), MX, 1, false, 25},
    {"f16_addresses_speak_before_a_secure_denial", MX " A insecure 192.0.2.1\n" MX " AAAA secure",
	BOTH, V1(POLICY__OPPORTUNISTIC), V1(HOST_REASON__ADDRESS_NOT_SECURE),
	V1(TLSA_STATUS__TLSA_NOT_QUERIED), V1(STATUS__INSECURE), "", 0, false, 25},
    {"f16_addresses_of_the_other_family_speak_before_a_secure_denial",
	MX " A secure\n" MX " AAAA insecure 2001:db8::1", BOTH, V1(POLICY__OPPORTUNISTIC),
	V1(HOST_REASON__ADDRESS_NOT_SECURE), V1(TLSA_STATUS__TLSA_NOT_QUERIED),
	V1(STATUS__INSECURE), "", 0, false, 25},
    {"g02_the_port_is_in_the_owner_name", SECURE_HOST "_2525._tcp." MX " TLSA secure 3 1 1 32",
	BOTH ", _2525._tcp." MX " TLSA", V1(POLICY__DANE), V1(HOST_REASON__TLSA_USABLE),
	V1(TLSA_STATUS__TLSA_SECURE), V1(STATUS__SECURE), MX, 1, false, 2525},
    {"g03_alias_of_the_tlsa_owner_leaves_the_base_domain",
	SECURE_HOST AT_MX ">tlsa.example.com TLSA secure 3 1 1 32", BOTH ", " AT_MX " TLSA",
	V1(POLICY__DANE), V1(HOST_REASON__TLSA_USABLE), V1(TLSA_STATUS__TLSA_SECURE),
	V1(STATUS__SECURE), MX, 1, false, 25},
    {"g04_insecure_tlsa_alias_is_no_tlsa_and_the_next_candidate_is_tried",
	SECURE_ALIAS AT_REAL ">tlsa.example.com TLSA insecure 3 1 1 32\n" AT_MX
			     " TLSA secure 3 1 1 32",
	BOTH ", " AT_REAL " TLSA, " AT_MX " TLSA", V1(POLICY__DANE), V1(HOST_REASON__TLSA_USABLE),
	V1(TLSA_STATUS__TLSA_SECURE), V1(STATUS__SECURE), MX, 1, false, 25},
    {"g04_insecure_first_candidate_and_denied_second_is_opportunistic",
	SECURE_ALIAS AT_REAL " TLSA insecure 3 1 1 32\n" AT_MX " TLSA secure",
	BOTH ", " AT_REAL " TLSA, " AT_MX " TLSA", V1(POLICY__OPPORTUNISTIC),
	V1(HOST_REASON__TLSA_NOT_SECURE), V1(TLSA_STATUS__TLSA_INSECURE), V1(STATUS__SECURE), "", 0,
	false, 25},
    {"g05_first_secure_rrset_wins_even_with_nothing_usable",
	SECURE_ALIAS AT_REAL " TLSA secure 0 0 1 32\n" AT_MX " TLSA secure 3 1 1 32",
	BOTH ", " AT_REAL " TLSA", V1(POLICY__TLS_NO_AUTH), V1(HOST_REASON__TLSA_ALL_UNUSABLE),
	V1(TLSA_STATUS__TLSA_SECURE), V1(STATUS__SECURE), REAL, 0, false, 25},
    {"h14_pkix_usages_only_is_tls_no_auth", SECURE_HOST AT_MX " TLSA secure 0 0 1 32; 1 1 1 32",
	BOTH ", " AT_MX " TLSA", V1(POLICY__TLS_NO_AUTH), V1(HOST_REASON__TLSA_ALL_UNUSABLE),
	V1(TLSA_STATUS__TLSA_SECURE), V1(STATUS__SECURE), MX, 0, false, 25},
    {"h15_usage_1_beside_usage_3_leaves_usage_3",
	SECURE_HOST AT_MX " TLSA secure 1 1 1 32; 3 1 1 32", BOTH ", " AT_MX " TLSA",
	V1(POLICY__DANE), V1(HOST_REASON__TLSA_USABLE), V1(TLSA_STATUS__TLSA_SECURE),
	V1(STATUS__SECURE), MX, 1, false, 25},
    {"f03_f07_addresses_of_both_families_come_first",
	MX " A secure\n" MX " AAAA secure 2001:db8::1\n" AT_MX " TLSA secure 3 1 1 32",
	BOTH ", " AT_MX " TLSA", V1(POLICY__DANE), V1(HOST_REASON__TLSA_USABLE),
	V1(TLSA_STATUS__TLSA_SECURE), V1(STATUS__SECURE), MX, 1, false, 25},
    {"g01_the_owner_of_port_25_is_25_tcp", SECURE_HOST "_25._tcp." MX " TLSA secure 2 0 1 32",
	BOTH ", _25._tcp." MX " TLSA", V1(POLICY__DANE), V1(HOST_REASON__TLSA_USABLE),
	V1(TLSA_STATUS__TLSA_SECURE), V1(STATUS__SECURE), MX, 1, false, 25},
    {"g09_insecure_tlsa_is_never_given_to_anyone",
	SECURE_HOST AT_MX " TLSA insecure 3 1 1 32; 2 0 1 32", BOTH ", " AT_MX " TLSA",
	V1(POLICY__OPPORTUNISTIC), V1(HOST_REASON__TLSA_NOT_SECURE), V1(TLSA_STATUS__TLSA_INSECURE),
	V1(STATUS__SECURE), "", 0, false, 25},
    {"a07_insecure_denial_of_tlsa_is_opportunistic", SECURE_HOST AT_MX " TLSA nx-insecure",
	BOTH ", " AT_MX " TLSA", V1(POLICY__OPPORTUNISTIC), V1(HOST_REASON__TLSA_NOT_SECURE),
	V1(TLSA_STATUS__TLSA_INSECURE), V1(STATUS__SECURE), "", 0, false, 25},
};

static void host_row_holds(void **state)
{
	const struct host_row *row = *state;
	struct dns dns;
	dns_ask(&dns, row->zone, V1(KIND__HOST), MX, row->port);
	const Resolverd__V1__Host *host = dns.inquiry.facts.host;
	assert_string_equal(dns.asked, row->asked);
	assert_string_equal(policy_text((int)host->policy), policy_text(row->policy));
	assert_string_equal(host_reason_text((int)host->reason), host_reason_text(row->reason));
	assert_string_equal(
	    tlsa_status_text((int)host->tlsa_status), tlsa_status_text(row->tlsa_status));
	assert_string_equal(
	    status_text((int)host->address_status), status_text(row->address_status));
	if (host->policy != V1(POLICY__UNREACHABLE))
		assert_string_equal(host->tlsa_base, row->base);
	assert_int_equal(host->n_tlsa, row->tlsa_count);
	assert_int_equal(dns.inquiry.facts.failed, row->failed);
	inquiry_fini(&dns.inquiry);
}

static void f16_each_address_keeps_the_status_of_its_family(void **state)
{
	struct dns dns;
	(void)state;
	dns_ask(&dns,
	    MX " A insecure 192.0.2.1; 192.0.2.2\n" MX " AAAA secure 2001:db8::1\n" AT_MX
	       " TLSA secure",
	    V1(KIND__HOST), MX, 25);
	const Resolverd__V1__Host *host = dns.inquiry.facts.host;
	assert_int_equal(host->n_addresses, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(host->addresses[i]->status,
		    host->addresses[i]->ip.len == 4 ? V1(STATUS__INSECURE) : V1(STATUS__SECURE));
	inquiry_fini(&dns.inquiry);
}

/* 33 records, each usable: over the limit the host is not used, never with part of the set. */
static void d10_tlsa_records_over_the_limit_are_unreachable_not_cut(void **state)
{
	(void)state;
	for (unsigned count = 32; count <= 33; count++) {
		char zone[4096] = SECURE_HOST AT_MX " TLSA secure ";
		for (unsigned i = 0; i < count; i++)
			strcat(zone, i > 0 ? ";3 1 1 32" : "3 1 1 32");
		struct dns dns;
		dns_ask(&dns, zone, V1(KIND__HOST), MX, 25);
		const Resolverd__V1__Host *host = dns.inquiry.facts.host;
		assert_int_equal(
		    host->policy, count == 32 ? V1(POLICY__DANE) : V1(POLICY__UNREACHABLE));
		assert_int_equal(host->n_tlsa, count == 32 ? 32 : 0);
		inquiry_fini(&dns.inquiry);
	}
}

static void g06_j05_digest_the_administrator_dropped_leaves_tls_mandatory(void **state)
{
	static const uint8_t sha512[] = {2};
	static const struct inquiry_policy policy = {.digests = sha512, .digest_count = 1};
	struct dns dns;
	(void)state;
	dns_ask_with(
	    &dns, &policy, SECURE_HOST AT_MX " TLSA secure 3 1 1 32", V1(KIND__HOST), MX, 25);
	assert_int_equal(dns.inquiry.facts.host->policy, V1(POLICY__TLS_NO_AUTH));
	assert_int_equal(dns.inquiry.facts.host->n_tlsa, 0);
	inquiry_fini(&dns.inquiry);
}

static void addresses_over_the_limit_are_cut(void **state)
{
	char zone[4096] = MX " AAAA insecure 2001:db8::1\n" MX " A insecure 192.0.2.0";
	struct dns dns;
	(void)state;
	for (unsigned i = 1; i < 17; i++)
		sprintf(zone + strlen(zone), "; 192.0.2.%u", i);
	dns_ask(&dns, zone, V1(KIND__HOST), MX, 25);
	assert_int_equal(dns.inquiry.facts.host->n_addresses, 16);
	inquiry_fini(&dns.inquiry);
}

/* A base so long that _25._tcp in front of it is over 255 octets cannot have TLSA records. */
static void base_too_long_for_a_tlsa_owner_is_skipped(void **state)
{
	char name[300] = "", zone[2048];
	struct dns dns;
	(void)state;
	for (unsigned i = 0; i < 124; i++)
		strcat(name, i > 0 ? ".a" : "a");
	snprintf(zone, sizeof zone, "%s A secure 192.0.2.1\n%s AAAA secure\n", name, name);
	dns_ask(&dns, zone, V1(KIND__HOST), name, 25);
	assert_int_equal(dns.inquiry.facts.host->policy, V1(POLICY__OPPORTUNISTIC));
	assert_null(strstr(dns.asked, "TLSA"));
	inquiry_fini(&dns.inquiry);
}

/* ---- how long the facts hold ---- */

static const struct life_row {
	const char *name, *zone;
	uint64_t life_ms, rrsig_expires_at;
	bool failed;
} life_rows[] = {
    {"m05_life_is_the_shortest_ttl_of_all_lookups",
	MX " A secure:300:9000 192.0.2.1\n" MX " AAAA secure:60:7000\n" AT_MX
	   " TLSA secure:3600:8000 3 1 1 32",
	60000, 7000, false},
    {"m05_tlsa_ttl_and_signature_count",
	MX " A secure:300:9000 192.0.2.1\n" MX " AAAA secure:600:7000\n" AT_MX
	   " TLSA secure:30:6000 3 1 1 32",
	30000, 6000, false},
    {"m05_denied_candidate_bounds_the_life_too",
	MX ">" REAL " A secure:300 192.0.2.1\n" MX ">" REAL " AAAA secure:300\n" AT_REAL
	   " TLSA secure:20\n" AT_MX " TLSA secure:300 3 1 1 32",
	20000, 0, false},
    {"m05_alias_lookup_bounds_the_life_too",
	MX ">" REAL " A insecure:300 192.0.2.1\n" MX ">" REAL " AAAA insecure:300\n" MX
	   " CNAME insecure:10 " REAL,
	10000, 0, false},
    {"ttl_0_means_use_once", MX " A insecure:0 192.0.2.1\n" MX " AAAA insecure:300\n", 0, 0, false},
    {"b13_failure_is_marked_and_keeps_no_negative_ttl",
	MX " A secure:300 192.0.2.1\n" MX " AAAA secure:300\n" AT_MX " TLSA error", 300000, 0,
	true},
    {"f14_half_failed_addresses_are_kept_for_failure_ttl_only",
	MX " A insecure:300 192.0.2.1\n" MX " AAAA error\n", 300000, 0, true},
};

static void life_row_holds(void **state)
{
	const struct life_row *row = *state;
	struct dns dns;
	dns_ask(&dns, row->zone, V1(KIND__HOST), MX, 25);
	assert_int_equal(dns.inquiry.facts.life_ms, row->life_ms);
	assert_int_equal(dns.inquiry.facts.rrsig_expires_at, row->rrsig_expires_at);
	assert_int_equal(dns.inquiry.facts.failed, row->failed);
	inquiry_fini(&dns.inquiry);
}

/* ---- at the deadline ---- */

static void host_begins(struct dns *dns, const char *zone)
{
	dns_init(dns, &default_policy, zone, V1(KIND__HOST), MX, 25);
	assert_false(inquiry_begin(&dns->inquiry));
}

/* Both families, in the order asked; what is asked then is the first that waits. */
static void addresses_come(struct dns *dns)
{
	for (unsigned slot = 0; slot < 2; slot++) {
		struct reply reply = dns_reply(dns, slot);
		dns->queued--;
		assert_false(inquiry_reply(&dns->inquiry, slot, &reply));
	}
}

static void b07_host_given_up_at_the_tlsa_step_is_unreachable(void **state)
{
	struct dns dns;
	(void)state;
	host_begins(&dns, SECURE_HOST AT_MX " TLSA error");
	addresses_come(&dns);
	inquiry_give_up(&dns.inquiry, V1(STATUS__ERROR), "no answer in time");
	const Resolverd__V1__Host *host = dns.inquiry.facts.host;
	assert_int_equal(host->policy, V1(POLICY__UNREACHABLE));
	assert_int_equal(host->reason, V1(HOST_REASON__TLSA_FAILED));
	assert_int_equal(host->tlsa_status, V1(TLSA_STATUS__TLSA_ERROR));
	assert_true(dns.inquiry.facts.failed);
	assert_string_equal(host->reason_text, "no answer in time");
	inquiry_fini(&dns.inquiry);
}

static void host_given_up_at_the_address_step_is_not_ready(void **state)
{
	struct dns dns;
	(void)state;
	host_begins(&dns, SECURE_HOST);
	inquiry_give_up(&dns.inquiry, V1(STATUS__ERROR), "late");
	assert_int_equal(dns.inquiry.facts.host->policy, V1(POLICY__UNREACHABLE));
	assert_int_equal(dns.inquiry.facts.host->reason, V1(HOST_REASON__NOT_READY));
	assert_int_equal(dns.inquiry.facts.host->address_status, V1(STATUS__ERROR));
	assert_true(dns.inquiry.facts.failed);
	inquiry_fini(&dns.inquiry);
}

static void f14_a_family_that_does_not_answer_in_time_is_not_waited_for(void **state)
{
	(void)state;
	for (unsigned prompt = 0; prompt < 2; prompt++) {
		struct dns dns;
		host_begins(&dns, MX " A secure 192.0.2.1\n" MX " AAAA secure 2001:db8::1\n" AT_MX
				     " TLSA secure 3 1 1 32");
		assert_false(inquiry_hurry(&dns.inquiry)); /* no family has answered yet */
		struct reply first = dns_reply(&dns, prompt);
		struct reply late = dns_reply(&dns, 1 - prompt);
		assert_false(inquiry_reply(&dns.inquiry, prompt, &first));
		assert_string_equal(dns.asked, BOTH);
		dns.queued = 0;
		assert_false(inquiry_hurry(&dns.inquiry));
		assert_string_equal(dns.asked, BOTH ", " AT_MX " TLSA");
		assert_false(inquiry_reply(&dns.inquiry, 1 - prompt, &late));
		struct reply tlsa = dns_reply(&dns, 0);
		assert_true(inquiry_reply(&dns.inquiry, dns.queue[0].slot, &tlsa));
		const Resolverd__V1__Host *host = dns.inquiry.facts.host;
		assert_int_equal(host->policy, V1(POLICY__DANE));
		assert_int_equal(host->n_addresses, 1);
		assert_int_equal(host->addresses[0]->ip.len, prompt == 0 ? 4 : 16);
		assert_true(dns.inquiry.facts.failed); /* and kept as briefly as a failure */
		inquiry_fini(&dns.inquiry);
	}
}

static void f04_a_family_without_addresses_waits_for_the_other(void **state)
{
	static const char *const zones[] = {
	    MX " A secure\n" MX " AAAA secure", MX " A error\n" MX " AAAA secure"};
	(void)state;
	for (size_t i = 0; i < COUNT(zones); i++) {
		struct dns dns;
		host_begins(&dns, zones[i]);
		struct reply reply = dns_reply(&dns, 0);
		assert_false(inquiry_reply(&dns.inquiry, 0, &reply));
		assert_false(inquiry_hurry(&dns.inquiry));
		assert_string_equal(dns.asked, BOTH);
		inquiry_fini(&dns.inquiry);
	}
}

static void b04_host_given_up_at_the_alias_step_keeps_what_it_knows(void **state)
{
	struct dns dns;
	(void)state;
	host_begins(&dns, INSECURE_ALIAS MX " CNAME error");
	addresses_come(&dns);
	inquiry_give_up(&dns.inquiry, V1(STATUS__ERROR), "late");
	const Resolverd__V1__Host *host = dns.inquiry.facts.host;
	assert_int_equal(host->policy, V1(POLICY__UNREACHABLE));
	assert_int_equal(host->reason, V1(HOST_REASON__NOT_READY));
	assert_int_equal(host->address_status, V1(STATUS__INSECURE));
	assert_int_equal(host->n_addresses, 1);
	inquiry_fini(&dns.inquiry);
}

int main(void)
{
	static struct test_list list;
	ADD_ROWS(&list, host_rows, host_row_holds);
	ADD_ROWS(&list, life_rows, life_row_holds);
	ADD_TEST(&list, f16_each_address_keeps_the_status_of_its_family);
	ADD_TEST(&list, d10_tlsa_records_over_the_limit_are_unreachable_not_cut);
	ADD_TEST(&list, g06_j05_digest_the_administrator_dropped_leaves_tls_mandatory);
	ADD_TEST(&list, addresses_over_the_limit_are_cut);
	ADD_TEST(&list, base_too_long_for_a_tlsa_owner_is_skipped);
	ADD_TEST(&list, b07_host_given_up_at_the_tlsa_step_is_unreachable);
	ADD_TEST(&list, host_given_up_at_the_address_step_is_not_ready);
	ADD_TEST(&list, f14_a_family_that_does_not_answer_in_time_is_not_waited_for);
	ADD_TEST(&list, f04_a_family_without_addresses_waits_for_the_other);
	ADD_TEST(&list, b04_host_given_up_at_the_alias_step_keeps_what_it_knows);
	return test_run("host", &list, NULL, NULL);
}
