/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What follows from which DNS answers: the MX step (route.c) and one host (host.c), then both
 * together through the combination table. The DNS is a text, one lookup a line:
 *
 *   owner[>name after aliases[^owner of a DNAME among these]] TYPE status[:ttl[:signature's end in
 * ms]] [rdata; rdata ...]
 *
 * A lookup that the text does not have fails the test, and so does one that is made in another
 * order than the row says. TLSA rdata is usage, selector, matching type and the octets of data.
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/combine.h"
#include "resolverd/worker/inquiry.h"

#define V1(name) RESOLVERD__V1__##name
#define COUNT(table) (sizeof(table) / sizeof *(table))

static const struct word {
	const char *text;
	int value, rcode;
} types[] = {{"A", ns_t_a, 0}, {"AAAA", ns_t_aaaa, 0}, {"MX", ns_t_mx, 0}, {"TLSA", 52, 0},
    {"CNAME", ns_t_cname, 0}, {"DNAME", 39, 0}},
  statuses[] = {{"secure", V1(STATUS__SECURE), 0}, {"insecure", V1(STATUS__INSECURE), 0},
      {"nx-secure", V1(STATUS__SECURE), ns_r_nxdomain},
      {"nx-insecure", V1(STATUS__INSECURE), ns_r_nxdomain}, {"bogus", V1(STATUS__BOGUS), 2},
      {"error", V1(STATUS__ERROR), 2}};

static const struct word *word_find(const struct word *words, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(words[i].text, text) == 0)
			return &words[i];
	fail_msg("no such word: %s", text);
	return NULL;
}

static const char *type_text(int type)
{
	for (size_t i = 0; i < COUNT(types); i++)
		if (types[i].value == type)
			return types[i].text;
	return "?";
}

/* ---- a DNS made of text ---- */

struct dns {
	struct inquiry inquiry;
	const char *zone;
	char asked[2048]; /* "owner TYPE, owner TYPE" */
	struct {
		unsigned slot;
		char line[4096];
	} queue[INQUIRY_SLOTS];
	size_t queued;
};

static size_t name_wire(uint8_t *out, const char *name)
{
	size_t bytes;
	assert_int_equal(name_to_wire(name, out, &bytes), NAME_OK);
	return bytes;
}

static size_t rdata_write(uint8_t *out, int type, const char *text)
{
	unsigned number, selector, matching, octets;
	char name[400];
	switch (type) {
	case ns_t_a:
		assert_int_equal(inet_pton(AF_INET, text, out), 1);
		return 4;
	case ns_t_aaaa:
		assert_int_equal(inet_pton(AF_INET6, text, out), 1);
		return 16;
	case ns_t_mx:
		assert_int_equal(sscanf(text, "%u %399s", &number, name), 2);
		out[0] = (uint8_t)(number >> 8);
		out[1] = (uint8_t)number;
		if (strcmp(name, "garbage") == 0)
			return (size_t)sprintf((char *)out + 2, "\x05"
								"ab");
		return 2 + name_wire(out + 2, name);
	case 52:
		assert_int_equal(
		    sscanf(text, "%u %u %u %u", &number, &selector, &matching, &octets), 4);
		out[0] = (uint8_t)number;
		out[1] = (uint8_t)selector;
		out[2] = (uint8_t)matching;
		memset(out + 3, 0xda, octets);
		return 3 + octets;
	default:
		return name_wire(out, text);
	}
}

static Resolverd__V1__Rrset **chain_of(struct arena *arena, const char *dname)
{
	Resolverd__V1__Rrset **chain = arena_alloc(arena, sizeof *chain);
	chain[0] = arena_alloc(arena, sizeof *chain[0]);
	resolverd__v1__rrset__init(chain[0]);
	chain[0]->owner = arena_string(arena, dname);
	chain[0]->type = 39;
	return chain;
}

static struct reply reply_of(struct arena *arena, const char *line)
{
	char owner[300], type_word[10], status_word[50], rdata[3000] = "";
	struct reply reply = {.reason = "", .ttl_s = UINT32_MAX};
	assert_true(
	    sscanf(line, "%299s %9s %49s %2999[^\n]", owner, type_word, status_word, rdata) >= 3);
	int type = word_find(types, COUNT(types), type_word)->value;
	char *final = strchr(owner, '>'), *dname = strchr(owner, '^'),
	     *ttl = strchr(status_word, ':');
	if (ttl != NULL) {
		char *end;
		*ttl = '\0';
		reply.ttl_s = (uint32_t)strtoul(ttl + 1, &end, 10);
		if (*end == ':')
			reply.rrsig_expires_at_ms = strtoll(end + 1, NULL, 10);
	}
	const struct word *status = word_find(statuses, COUNT(statuses), status_word);
	if (status->rcode == ns_r_servfail) {
		reply_failed(
		    &reply, arena, (Resolverd__V1__Status)status->value, status->rcode, "why");
		return reply;
	}
	reply.status = (Resolverd__V1__Status)status->value;
	reply.rcode = status->rcode;
	if (dname != NULL) {
		*dname = '\0';
		reply.chain = chain_of(arena, dname + 1);
		reply.chain_count = 1;
	}
	reply.aliased = final != NULL;
	reply.final_name = arena_string(arena, final != NULL ? final + 1 : owner);
	struct reply_rr *rrs = arena_alloc(arena, 80 * sizeof *rrs);
	for (char *rest, *at = strtok_r(rdata, ";", &rest); at != NULL;
	     at = strtok_r(NULL, ";", &rest)) {
		uint8_t *bytes = arena_alloc(arena, 512);
		while (*at == ' ')
			at++;
		rrs[reply.rr_count++] = (struct reply_rr){bytes, rdata_write(bytes, type, at)};
	}
	reply.rrs = rrs;
	return reply;
}

/* The line of the zone for this lookup, without what follows. */
static void zone_find(const struct dns *dns, const char *name, int type, char *ret, size_t bytes)
{
	for (const char *line = dns->zone; line != NULL && *line != '\0';) {
		const char *end = strchr(line, '\n');
		size_t length = end != NULL ? (size_t)(end - line) : strlen(line);
		char owner[300], type_word[10];
		assert_true(length < bytes);
		memcpy(ret, line, length);
		ret[length] = '\0';
		assert_int_equal(sscanf(ret, "%299s %9s", owner, type_word), 2);
		owner[strcspn(owner, ">")] = '\0';
		if (strcmp(owner, name) == 0 &&
		    word_find(types, COUNT(types), type_word)->value == type)
			return;
		line = end != NULL ? end + 1 : NULL;
	}
	fail_msg("asked for %s %s, which must not or need not be asked", name, type_text(type));
}

static void on_ask(void *arg, unsigned slot, const char *name, int type)
{
	struct dns *dns = arg;
	size_t used = strlen(dns->asked);
	snprintf(dns->asked + used, sizeof dns->asked - used, "%s%s %s", used > 0 ? ", " : "", name,
	    type_text(type));
	assert_true(dns->queued < INQUIRY_SLOTS);
	dns->queue[dns->queued].slot = slot;
	zone_find(dns, name, type, dns->queue[dns->queued].line, sizeof dns->queue[0].line);
	dns->queued++;
}

static const uint8_t both_digests[] = {2, 1};
static const struct inquiry_policy default_policy = {.digests = both_digests, .digest_count = 2};

static void dns_ask_with(struct dns *dns, const struct inquiry_policy *policy, const char *zone,
    int kind, const char *name, unsigned port)
{
	Resolverd__V1__Question question = RESOLVERD__V1__QUESTION__INIT;
	question.kind = (Resolverd__V1__Kind)kind;
	question.name = (char *)(uintptr_t)name;
	question.port = port;
	memset(dns, 0, sizeof *dns);
	dns->zone = zone;
	assert_int_equal(inquiry_init(&dns->inquiry, &question, policy, on_ask, dns), 0);
	bool complete = inquiry_begin(&dns->inquiry);
	while (dns->queued > 0) {
		assert_false(complete);
		/* Last asked, first answered: no order of replies may matter. */
		dns->queued--;
		struct reply reply = reply_of(&dns->inquiry.arena, dns->queue[dns->queued].line);
		complete = inquiry_reply(&dns->inquiry, dns->queue[dns->queued].slot, &reply);
	}
	assert_true(complete);
}

static void dns_ask(struct dns *dns, const char *zone, int kind, const char *name, unsigned port)
{
	dns_ask_with(dns, &default_policy, zone, kind, name, port);
}

/* ---- one host ---- */

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

/* ---- the MX step ---- */

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

static void inquiry_start(struct dns *dns, const char *zone, int kind, const char *name)
{
	Resolverd__V1__Question question = RESOLVERD__V1__QUESTION__INIT;
	question.kind = (Resolverd__V1__Kind)kind;
	question.name = (char *)(uintptr_t)name;
	question.port = 25;
	question.type = 16;
	memset(dns, 0, sizeof *dns);
	dns->zone = zone;
	assert_int_equal(inquiry_init(&dns->inquiry, &question, &default_policy, on_ask, dns), 0);
	if (kind != V1(KIND__RECORDS))
		assert_false(inquiry_begin(&dns->inquiry));
}

static void b07_host_given_up_at_the_tlsa_step_is_unreachable(void **state)
{
	struct dns dns;
	(void)state;
	inquiry_start(&dns, SECURE_HOST AT_MX " TLSA error", V1(KIND__HOST), MX);
	for (unsigned slot = 0; slot < 2; slot++) {
		struct reply reply = reply_of(&dns.inquiry.arena, dns.queue[slot].line);
		dns.queued--;
		assert_false(inquiry_reply(&dns.inquiry, slot, &reply));
	}
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
	inquiry_start(&dns, SECURE_HOST, V1(KIND__HOST), MX);
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
		inquiry_start(&dns,
		    MX " A secure 192.0.2.1\n" MX " AAAA secure 2001:db8::1\n" AT_MX
		       " TLSA secure 3 1 1 32",
		    V1(KIND__HOST), MX);
		assert_false(inquiry_hurry(&dns.inquiry)); /* no family has answered yet */
		struct reply first = reply_of(&dns.inquiry.arena, dns.queue[prompt].line);
		struct reply late = reply_of(&dns.inquiry.arena, dns.queue[1 - prompt].line);
		assert_false(inquiry_reply(&dns.inquiry, prompt, &first));
		assert_string_equal(dns.asked, BOTH);
		dns.queued = 0;
		assert_false(inquiry_hurry(&dns.inquiry));
		assert_string_equal(dns.asked, BOTH ", " AT_MX " TLSA");
		assert_false(inquiry_reply(&dns.inquiry, 1 - prompt, &late));
		struct reply tlsa = reply_of(&dns.inquiry.arena, dns.queue[0].line);
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
		inquiry_start(&dns, zones[i], V1(KIND__HOST), MX);
		struct reply reply = reply_of(&dns.inquiry.arena, dns.queue[0].line);
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
	inquiry_start(&dns, INSECURE_ALIAS MX " CNAME error", V1(KIND__HOST), MX);
	for (unsigned slot = 0; slot < 2; slot++) {
		struct reply reply = reply_of(&dns.inquiry.arena, dns.queue[slot].line);
		dns.queued--;
		assert_false(inquiry_reply(&dns.inquiry, slot, &reply));
	}
	inquiry_give_up(&dns.inquiry, V1(STATUS__ERROR), "late");
	const Resolverd__V1__Host *host = dns.inquiry.facts.host;
	assert_int_equal(host->policy, V1(POLICY__UNREACHABLE));
	assert_int_equal(host->reason, V1(HOST_REASON__NOT_READY));
	assert_int_equal(host->address_status, V1(STATUS__INSECURE));
	assert_int_equal(host->n_addresses, 1);
	inquiry_fini(&dns.inquiry);
}

static void b01_route_given_up_is_failed(void **state)
{
	struct dns dns;
	(void)state;
	inquiry_start(&dns, D " MX error", V1(KIND__ROUTE), D);
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
	inquiry_start(&dns, "", V1(KIND__RECORDS), D);
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

/* ---- main ---- */

static struct CMUnitTest tests[128];
static size_t test_count;

static void add(const char *name, CMUnitTestFunction function, const void *row)
{
	assert_true(test_count < COUNT(tests));
	tests[test_count++] = (struct CMUnitTest){
	    .name = name, .test_func = function, .initial_state = (void *)(uintptr_t)row};
}

#define ADD_ROWS(rows, function)                                                                   \
	for (size_t i = 0; i < COUNT(rows); i++)                                                   \
	add((rows)[i].name, function, &(rows)[i])
#define ADD_TEST(function) add(#function, function, NULL)

int main(void)
{
	ADD_ROWS(host_rows, host_row_holds);
	ADD_ROWS(life_rows, life_row_holds);
	ADD_ROWS(route_rows, route_row_holds);
	ADD_ROWS(plan_rows, plan_row_holds);
	ADD_TEST(f16_each_address_keeps_the_status_of_its_family);
	ADD_TEST(d10_tlsa_records_over_the_limit_are_unreachable_not_cut);
	ADD_TEST(g06_j05_digest_the_administrator_dropped_leaves_tls_mandatory);
	ADD_TEST(addresses_over_the_limit_are_cut);
	ADD_TEST(e02_mx_over_the_limit_are_the_least_preferred);
	ADD_TEST(base_too_long_for_a_tlsa_owner_is_skipped);
	ADD_TEST(b07_host_given_up_at_the_tlsa_step_is_unreachable);
	ADD_TEST(host_given_up_at_the_address_step_is_not_ready);
	ADD_TEST(f14_a_family_that_does_not_answer_in_time_is_not_waited_for);
	ADD_TEST(f04_a_family_without_addresses_waits_for_the_other);
	ADD_TEST(b04_host_given_up_at_the_alias_step_keeps_what_it_knows);
	ADD_TEST(b01_route_given_up_is_failed);
	ADD_TEST(records_given_up_are_an_error);
	ADD_TEST(unknown_kind_is_refused);
	return _cmocka_run_group_tests("verdict", tests, test_count, NULL, NULL);
}
