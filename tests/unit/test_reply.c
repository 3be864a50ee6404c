/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DNS messages to replies. A section is a text, one record a line: owner, TTL, type, rdata. Names
 * are compressed wherever they may be. RRSIG rdata is the type covered, the original TTL and the
 * expiration in seconds from now.
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/worker/reply.h"
#include "tests/unit/test.h"

#define NOW_S INT64_C(1800000000)
#define NO_TTL UINT32_MAX

static const struct {
	const char *text;
	int type;
} types[] = {{"A", 1}, {"NS", 2}, {"CNAME", 5}, {"SOA", 6}, {"MX", 15}, {"TXT", 16}, {"AAAA", 28},
    {"DNAME", 39}, {"RRSIG", 46}, {"NSEC", 47}, {"NSEC3", 50}, {"TLSA", 52}};

static int type_of(const char *text)
{
	for (size_t i = 0; i < COUNT(types); i++)
		if (strcmp(types[i].text, text) == 0)
			return types[i].type;
	fail_msg("no such type: %s", text);
	return 0;
}

/* ---- a message made of text ---- */

struct packet {
	uint8_t bytes[65536];
	size_t count;
	const unsigned char *names[64], **last_name;
	uint32_t now_s;
};

static void put(struct packet *packet, uint32_t value, unsigned octets)
{
	assert_true(packet->count + octets <= sizeof packet->bytes);
	while (octets-- > 0)
		packet->bytes[packet->count++] = (uint8_t)(value >> octets * 8);
}

static void put_name(struct packet *packet, const char *name, bool compressed)
{
	int n = ns_name_compress(name, packet->bytes + packet->count,
	    sizeof packet->bytes - packet->count, compressed ? packet->names : NULL,
	    compressed ? packet->last_name : NULL);
	assert_true(n > 0);
	packet->count += (size_t)n;
}

static void put_rdata(struct packet *packet, int type, const char *text)
{
	char name[300] = "";
	unsigned number = 0, ttl_s = 0;
	long long expires_in_s = 0;
	switch (type) {
	case ns_t_a:
		assert_int_equal(inet_pton(AF_INET, text, packet->bytes + packet->count), 1);
		packet->count += 4;
		return;
	case ns_t_mx:
		assert_int_equal(sscanf(text, "%u %299s", &number, name), 2);
		put(packet, number, 2);
		put_name(packet, name, true);
		return;
	case ns_t_soa: /* the minimum */
		put_name(packet, "ns.example", true);
		put_name(packet, "admin.example", true);
		for (unsigned i = 0; i < 4; i++)
			put(packet, 7, 4);
		put(packet, (uint32_t)strtoul(text, NULL, 10), 4);
		return;
	case 46:
		assert_int_equal(sscanf(text, "%299s %u %lld", name, &ttl_s, &expires_in_s), 3);
		put(packet, (uint32_t)type_of(name), 2);
		put(packet, 13 << 8 | 2, 2);
		put(packet, ttl_s, 4);
		put(packet, packet->now_s + (uint32_t)expires_in_s, 4);
		put(packet, packet->now_s - 1000, 4);
		put(packet, 4711, 2);
		put_name(packet, "example", false);
		put(packet, 0xabcdef, 3);
		return;
	case 47:
		put_name(packet, text, false);
		put(packet, 0x000140, 3);
		return;
	case 16:
	case 50:
	case 52:
		put(packet, 0x03010102, 4);
		return;
	default: /* one name */
		put_name(packet, text, true);
	}
}

static unsigned put_section(struct packet *packet, const char *text)
{
	unsigned count = 0;
	for (const char *line = text; line != NULL && *line != '\0'; count++) {
		char owner[300], type_word[20], rdata[300];
		unsigned long ttl_s;
		assert_int_equal(
		    sscanf(line, "%299s %lu %19s %299[^\n]", owner, &ttl_s, type_word, rdata), 4);
		int type = type_of(type_word);
		put_name(packet, owner, true);
		put(packet, (uint32_t)type, 2);
		put(packet, ns_c_in, 2);
		put(packet, (uint32_t)ttl_s, 4);
		size_t length_at = packet->count;
		put(packet, 0, 2);
		put_rdata(packet, type, rdata);
		size_t length = packet->count - length_at - 2;
		packet->bytes[length_at] = (uint8_t)(length >> 8);
		packet->bytes[length_at + 1] = (uint8_t)length;
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	return count;
}

static void packet_make(struct packet *packet, int64_t now_s, const char *name, int type, int flags,
    const char *answer, const char *authority)
{
	packet->count = 0;
	packet->now_s = (uint32_t)now_s;
	packet->names[0] = packet->bytes;
	packet->names[1] = NULL;
	packet->last_name = packet->names + COUNT(packet->names);
	put(packet, 0x1234, 2);
	put(packet, 0x8180u | (unsigned)flags, 2);
	put(packet, 1, 2);
	put(packet, 0, 4);
	put(packet, 0, 2);
	put_name(packet, name, true);
	put(packet, (uint32_t)type, 2);
	put(packet, ns_c_in, 2);
	unsigned answers = put_section(packet, answer);
	unsigned authorities = put_section(packet, authority);
	packet->bytes[6] = (uint8_t)(answers >> 8);
	packet->bytes[7] = (uint8_t)answers;
	packet->bytes[9] = (uint8_t)authorities;
}

static void parse(struct reply *reply, struct arena *arena, const struct packet *packet,
    const char *name, int type, Resolverd__V1__Status status, int64_t now_s)
{
	/* Exactly its size, so that the sanitizer sees a read past the end. */
	uint8_t *bytes = malloc(packet->count > 0 ? packet->count : 1);
	assert_non_null(bytes);
	memcpy(bytes, packet->bytes, packet->count);
	memset(reply, 0xff, sizeof *reply);
	reply_parse(
	    reply, arena, name, type, bytes, packet->count, status, "because", now_s * 1000 + 500);
	free(bytes);
}

/* ---- rows ---- */

#define SEC V1(STATUS__SECURE)
#define INS V1(STATUS__INSECURE)
#define ERR V1(STATUS__ERROR)
#define SOA "example 900 SOA 900"

static const struct row {
	const char *name, *type, *answer, *authority;
	int given, want; /* status */
	const char *final;
	size_t rrs;
	uint32_t ttl_s;
	int64_t rrsig_in_s; /* from now; 0: none */
	int rcode;
} rows[] = {
    {"plain_answer", "A", "www.example 300 A 192.0.2.1\nwww.example 300 A 192.0.2.2", "", SEC, SEC,
	"www.example", 2, 300, 0, 0},
    {"owner_names_compare_without_case", "A", "WWW.Example 300 A 192.0.2.1", "", SEC, SEC,
	"www.example", 1, 300, 0, 0},
    {"records_of_other_names_and_types_are_not_taken", "A",
	"other.example 5 A 192.0.2.1\nwww.example 5 MX 10 mx.example\nwww.example 300 A 192.0.2.2",
	"", SEC, SEC, "www.example", 1, 300, 0, 0},
    {"m05_negative_answer_without_soa_is_not_kept", "A", "", "", INS, INS, "www.example", 0, 0, 0,
	0},
    {"a05_secure_nodata_is_no_error", "A", "", SOA, SEC, SEC, "www.example", 0, 900, 0, 0},
    {"a06_secure_nxdomain_is_no_error", "A", "", SOA, SEC, SEC, "www.example", 0, 900, 0, 3},
    {"a07_insecure_nodata_is_no_error", "A", "", SOA, INS, INS, "www.example", 0, 900, 0, 0},
    {"a07_insecure_nxdomain_is_no_error", "A", "", SOA, INS, INS, "www.example", 0, 900, 0, 3},
    {"a08_formerr_is_an_error", "A", "", "", INS, ERR, NULL, 0, NO_TTL, 0, 1},
    {"a08_servfail_is_an_error", "A", "", "", SEC, ERR, NULL, 0, NO_TTL, 0, 2},
    {"a08_notimp_is_an_error", "A", "", "", INS, ERR, NULL, 0, NO_TTL, 0, 4},
    {"a08_b09_refused_is_an_error", "A", "", "", INS, ERR, NULL, 0, NO_TTL, 0, 5},
    {"a08_unknown_rcode_is_an_error_even_with_data", "A", "www.example 300 A 192.0.2.1", "", SEC,
	ERR, NULL, 0, NO_TTL, 0, 9},
    {"a08_bogus_yields_no_data", "A", "www.example 300 A 192.0.2.1", "", V1(STATUS__BOGUS),
	V1(STATUS__BOGUS), NULL, 0, NO_TTL, 0, 0},
    {"a02_unspecified_status_is_a_failure", "A", "www.example 300 A 192.0.2.1", "",
	V1(STATUS__STATUS_UNSPECIFIED), V1(STATUS__STATUS_UNSPECIFIED), NULL, 0, NO_TTL, 0, 0},

    /* chains */
    {"e05_chain_is_followed", "A", "www.example 60 CNAME b.example\nb.example 300 A 192.0.2.1", "",
	SEC, SEC, "b.example", 1, 60, 0, 0},
    {"order_of_the_chain_in_the_packet_does_not_matter", "A",
	"c.example 300 A 192.0.2.1\nb.example 50 CNAME c.example\nwww.example 60 CNAME b.example",
	"", SEC, SEC, "c.example", 1, 50, 0, 0},
    {"chain_to_nodata_ends_at_the_target", "A", "www.example 60 CNAME b.example", SOA, SEC, SEC,
	"b.example", 0, 60, 0, 0},
    {"c05_e09_chain_with_an_insecure_hop_is_insecure_as_a_whole", "MX",
	"www.example 60 CNAME b.example\nwww.example 60 RRSIG CNAME 60 500\n"
	"b.example 300 MX 10 mx.example\nb.example 300 RRSIG MX 300 400",
	"", INS, INS, "b.example", 1, 60, 0, 0},
    {"c04_loop_of_two_is_an_error", "A",
	"www.example 60 CNAME b.example\nb.example 60 CNAME www.example", SOA, SEC, ERR, NULL, 0,
	NO_TTL, 0, 0},
    {"c04_loop_to_itself_is_an_error", "A", "www.example 60 CNAME www.example", SOA, SEC, ERR, NULL,
	0, NO_TTL, 0, 0},
    {"c07_two_cnames_at_one_owner_are_an_error", "A",
	"www.example 60 CNAME b.example\nwww.example 60 CNAME c.example\n"
	"b.example 60 A 192.0.2.1\nc.example 60 A 192.0.2.2",
	"", SEC, ERR, NULL, 0, NO_TTL, 0, 0},
    {"c07_two_cnames_further_down_are_an_error", "A",
	"www.example 60 CNAME b.example\nb.example 60 CNAME c.example\nb.example 60 CNAME "
	"d.example",
	"", SEC, ERR, NULL, 0, NO_TTL, 0, 0},
    {"c01_dname_counts_in_the_life_of_what_it_made", "A",
	"example 20 DNAME target.test\nwww.example 60 CNAME www.target.test\n"
	"www.target.test 300 A 192.0.2.1",
	"", SEC, SEC, "www.target.test", 1, 20, 0, 0},
    {"c06_question_for_the_cname_itself_is_not_followed", "CNAME",
	"www.example 60 CNAME b.example\nb.example 5 A 192.0.2.1", "", SEC, SEC, "www.example", 1,
	60, 0, 0},

    /* TTL */
    {"m05_shortest_ttl_of_one_rrset", "A",
	"www.example 300 A 192.0.2.1\nwww.example 30 A 192.0.2.2", "", SEC, SEC, "www.example", 2,
	30, 0, 0},
    {"m05_shortest_ttl_over_the_chain", "A",
	"www.example 600 CNAME b.example\nb.example 10 CNAME c.example\nc.example 300 A 192.0.2.1",
	"", SEC, SEC, "c.example", 1, 10, 0, 0},
    {"m05_nsec_of_a_wildcard_bounds_the_life", "A", "www.example 300 A 192.0.2.1",
	"a.example 40 NSEC z.example", SEC, SEC, "www.example", 1, 40, 0, 0},
    {"m05_nsec3_of_a_wildcard_bounds_the_life", "A", "www.example 300 A 192.0.2.1",
	"hash.example 45 NSEC3 x", SEC, SEC, "www.example", 1, 45, 0, 0},
    {"unused_authority_does_not_bound_the_life", "A", "www.example 300 A 192.0.2.1",
	"example 1 NS ns.example", SEC, SEC, "www.example", 1, 300, 0, 0},
    {"soa_beside_an_answer_does_not_bound_its_life", "A", "www.example 300 A 192.0.2.1",
	"example 7 SOA 3", SEC, SEC, "www.example", 1, 300, 0, 0},
    {"negative_ttl_is_the_soa_minimum", "A", "", "example 900 SOA 60", SEC, SEC, "www.example", 0,
	60, 0, 0},
    {"negative_ttl_is_the_soa_ttl_when_shorter", "A", "", "example 30 SOA 600", SEC, SEC,
	"www.example", 0, 30, 0, 3},
    {"ttl_with_the_high_bit_is_0", "A", "www.example 2147483649 A 192.0.2.1", "", SEC, SEC,
	"www.example", 1, 0, 0, 0},
    {"ttl_with_the_high_bit_is_0_beside_others_of_its_rrset", "A",
	"www.example 300 A 192.0.2.1\nwww.example 2147483649 A 192.0.2.2", "", SEC, SEC,
	"www.example", 2, 0, 0, 0},
    {"ttl_of_31_bits_is_itself", "A", "www.example 2147483647 A 192.0.2.1", "", SEC, SEC,
	"www.example", 1, 2147483647, 0, 0},
    {"soa_minimum_with_the_high_bit_is_0", "A", "", "example 900 SOA 4294967295", SEC, SEC,
	"www.example", 0, 0, 0, 0},

    /* signatures */
    {"m05_m07_secure_data_whose_signatures_all_ended_is_an_error", "A",
	"www.example 300 A 192.0.2.1\nwww.example 300 RRSIG A 300 -5", "", SEC, ERR, NULL, 0,
	NO_TTL, 0, 0},
    {"m05_rrsig_expiry_of_the_answer", "A",
	"www.example 300 A 192.0.2.1\nwww.example 300 RRSIG A 300 5000", "", SEC, SEC,
	"www.example", 1, 300, 5000, 0},
    {"m05_earliest_expiry_over_the_chain", "A",
	"www.example 300 CNAME b.example\nwww.example 300 RRSIG CNAME 300 4000\n"
	"b.example 300 A 192.0.2.1\nb.example 300 RRSIG A 300 5000",
	"", SEC, SEC, "b.example", 1, 300, 4000, 0},
    {"signature_may_stand_before_what_it_covers", "A",
	"www.example 300 RRSIG A 300 5000\nwww.example 300 A 192.0.2.1", "", SEC, SEC,
	"www.example", 1, 300, 5000, 0},
    {"m05_expiry_of_the_denial", "A", "",
	"example 900 SOA 900\nexample 900 RRSIG SOA 900 3000\nwww.example 900 NSEC z.example\n"
	"www.example 900 RRSIG NSEC 900 2000",
	SEC, SEC, "www.example", 0, 900, 2000, 0},
    {"insecure_data_has_no_expiry", "A",
	"www.example 300 A 192.0.2.1\nwww.example 300 RRSIG A 300 5000", "", INS, INS,
	"www.example", 1, 300, 0, 0},
    {"m05_expired_sibling_says_nothing", "A",
	"www.example 300 A 192.0.2.1\nwww.example 300 RRSIG A 300 -1\n"
	"www.example 300 RRSIG A 300 5000",
	"", SEC, SEC, "www.example", 1, 300, 5000, 0},
    {"earlier_of_two_live_siblings_counts", "A",
	"www.example 300 A 192.0.2.1\nwww.example 300 RRSIG A 300 6000\n"
	"www.example 300 RRSIG A 300 5000",
	"", SEC, SEC, "www.example", 1, 300, 5000, 0},
    {"signature_of_another_type_says_nothing", "A",
	"www.example 300 A 192.0.2.1\nwww.example 300 RRSIG MX 300 50\n"
	"www.example 300 RRSIG A 300 5000",
	"", SEC, SEC, "www.example", 1, 300, 5000, 0},
    {"m05_original_ttl_bounds_a_longer_one", "A",
	"www.example 300 A 192.0.2.1\nwww.example 300 RRSIG A 120 5000", "", SEC, SEC,
	"www.example", 1, 120, 5000, 0},
    {"original_ttl_of_an_unproven_signature_says_nothing", "A",
	"www.example 300 A 192.0.2.1\nwww.example 300 RRSIG A 120 5000", "", INS, INS,
	"www.example", 1, 300, 0, 0},
};

static struct packet packet;

static void row_holds(void **state)
{
	const struct row *row = *state;
	struct arena arena;
	struct reply reply;
	arena_init(&arena, 1 << 20);
	packet_make(&packet, NOW_S, "www.example", type_of(row->type), row->rcode, row->answer,
	    row->authority);
	parse(&reply, &arena, &packet, "www.example", type_of(row->type),
	    (Resolverd__V1__Status)row->given, NOW_S);
	assert_int_equal(reply.status, row->want);
	assert_int_equal(reply.rr_count, row->rrs);
	assert_int_equal(reply.ttl_s, row->ttl_s);
	assert_int_equal(
	    reply.rrsig_expires_at_ms, row->rrsig_in_s != 0 ? (NOW_S + row->rrsig_in_s) * 1000 : 0);
	if (row->final != NULL) {
		assert_string_equal(reply.final_name, row->final);
		assert_int_equal(reply.aliased, strcmp(row->final, "www.example") != 0);
		assert_int_equal(reply.rcode, row->rcode);
		assert_string_equal(reply.reason, "");
	} else if (row->given != V1(STATUS__STATUS_UNSPECIFIED)) {
		assert_true(reply.reason[0] != '\0');
	}
	arena_fini(&arena);
}

/* ---- chains at their limit ---- */

static void chain_parse(struct reply *reply, struct arena *arena, unsigned hops)
{
	char answer[4096];
	size_t used = (size_t)snprintf(answer, sizeof answer, "www.example 60 CNAME h1.example\n");
	for (unsigned i = 1; i < hops; i++)
		used += (size_t)snprintf(answer + used, sizeof answer - used,
		    "h%u.example 60 CNAME h%u.example\n", i, i + 1);
	snprintf(answer + used, sizeof answer - used, "h%u.example 60 A 192.0.2.1", hops);
	packet_make(&packet, NOW_S, "www.example", ns_t_a, 0, answer, "");
	parse(reply, arena, &packet, "www.example", ns_t_a, SEC, NOW_S);
}

static void c04_chain_over_the_limit_is_an_error_not_nodata(void **state)
{
	struct arena arena;
	struct reply reply;
	(void)state;
	arena_init(&arena, 1 << 20);
	chain_parse(&reply, &arena, 16);
	assert_int_equal(reply.status, SEC);
	assert_string_equal(reply.final_name, "h16.example");
	assert_int_equal(reply.chain_count, 16);
	chain_parse(&reply, &arena, 17);
	assert_int_equal(reply.status, ERR);
	arena_fini(&arena);
}

/* ---- serial arithmetic (RFC 4034 section 3.1.5) ---- */

static const struct serial_row {
	const char *name;
	int64_t now_s, expires_in_s, want_in_s;
} serial_rows[] = {
    {"expiry_past_the_wrap_of_2106_is_in_the_future", 4294967000, 1000, 1000},
    {"now_past_the_wrap_is_fine", INT64_C(4294967296) + 100, 1000, 1000},
    {"expiry_before_the_wrap_is_in_the_past_after_it", INT64_C(4294967296) + 100, -200, 0},
    {"expiry_now_is_expired", NOW_S, 0, 0},
    {"expiry_in_a_second_is_not", NOW_S, 1, 1},
};

static void serial_row_holds(void **state)
{
	const struct serial_row *row = *state;
	struct arena arena;
	struct reply reply;
	char answer[200];
	arena_init(&arena, 1 << 20);
	snprintf(answer, sizeof answer,
	    "www.example 300 A 192.0.2.1\nwww.example 300 RRSIG A 300 %lld",
	    (long long)row->expires_in_s);
	packet_make(&packet, row->now_s, "www.example", ns_t_a, 0, answer, "");
	parse(&reply, &arena, &packet, "www.example", ns_t_a, SEC, row->now_s);
	assert_int_equal(reply.rrsig_expires_at_ms,
	    row->want_in_s != 0 ? (row->now_s + row->want_in_s) * 1000 : 0);
	arena_fini(&arena);
}

/* ---- malformed ---- */

static const char rich_answer[] = "www.example 60 CNAME b.example\n"
				  "www.example 60 RRSIG CNAME 60 5000\n"
				  "b.example 300 MX 10 mx1.b.example\n"
				  "b.example 300 MX 20 mx2.b.example\n"
				  "b.example 300 RRSIG MX 300 5000";
static const char rich_authority[] = "example 900 SOA 300\n"
				     "b.example 300 NSEC c.example\n"
				     "b.example 300 RRSIG NSEC 300 5000";

static void packet_make_rich(void)
{
	packet_make(&packet, NOW_S, "www.example", ns_t_mx, 0, rich_answer, rich_authority);
}

static void assert_no_data(const struct reply *reply)
{
	assert_int_equal(reply->status, ERR);
	assert_int_equal(reply->rr_count, 0);
	assert_int_equal(reply->answer_count, 0);
	assert_int_equal(reply->ttl_s, UINT32_MAX);
	assert_true(reply->reason[0] != '\0');
}

static void a08_every_truncation_is_an_error(void **state)
{
	(void)state;
	packet_make_rich();
	size_t whole = packet.count;
	for (size_t cut = 0; cut <= whole; cut++) {
		struct arena arena;
		struct reply reply;
		arena_init(&arena, 1 << 20);
		packet.count = cut;
		parse(&reply, &arena, &packet, "www.example", ns_t_mx, SEC, NOW_S);
		if (cut < whole)
			assert_no_data(&reply);
		else
			assert_int_equal(reply.rr_count, 2);
		arena_fini(&arena);
	}
}

static void a08_trailing_octets_are_an_error(void **state)
{
	struct arena arena;
	struct reply reply;
	(void)state;
	arena_init(&arena, 1 << 20);
	packet_make_rich();
	packet.bytes[packet.count++] = 0;
	parse(&reply, &arena, &packet, "www.example", ns_t_mx, SEC, NOW_S);
	assert_no_data(&reply);
	arena_fini(&arena);
}

/* Whatever one octet becomes: no crash, a status of its own, strings and counts that fit. */
static void a08_every_changed_octet_is_survived(void **state)
{
	static const uint8_t values[] = {0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff};
	(void)state;
	packet_make_rich();
	for (size_t at = 0; at < packet.count; at++) {
		uint8_t saved = packet.bytes[at];
		for (size_t v = 0; v < COUNT(values); v++) {
			struct arena arena;
			struct reply reply;
			arena_init(&arena, 1 << 20);
			packet.bytes[at] = values[v];
			parse(&reply, &arena, &packet, "www.example", ns_t_mx, SEC, NOW_S);
			if (reply_is_failed(&reply))
				assert_no_data(&reply);
			else
				assert_non_null(reply.final_name);
			for (size_t i = 0; i < reply.rr_count; i++)
				assert_true(reply.rrs[i].rdata_bytes >= 3);
			arena_fini(&arena);
		}
		packet.bytes[at] = saved;
	}
}

static void b09_truncation_bit_is_an_error(void **state)
{
	struct arena arena;
	struct reply reply;
	(void)state;
	arena_init(&arena, 1 << 20);
	packet_make(
	    &packet, NOW_S, "www.example", ns_t_a, 0x0200, "www.example 300 A 192.0.2.1", "");
	parse(&reply, &arena, &packet, "www.example", ns_t_a, SEC, NOW_S);
	assert_no_data(&reply);
	arena_fini(&arena);
}

/* One bad record spoils the answer: the rest might be half of an RRset. */
static void a08_record_whose_owner_leads_nowhere_is_an_error(void **state)
{
	struct arena arena;
	struct reply reply;
	(void)state;
	arena_init(&arena, 1 << 20);
	packet_make(&packet, NOW_S, "www.example", ns_t_a, 0,
	    "www.example 300 A 192.0.2.1\nwww.example 300 A 192.0.2.2", "");
	memset(packet.bytes + packet.count - 16, 0xff, 2); /* the last owner: a pointer */
	parse(&reply, &arena, &packet, "www.example", ns_t_a, SEC, NOW_S);
	assert_no_data(&reply);
	arena_fini(&arena);
}

static void records_of_another_class_are_not_taken(void **state)
{
	struct arena arena;
	struct reply reply;
	(void)state;
	arena_init(&arena, 1 << 20);
	packet_make(&packet, NOW_S, "www.example", ns_t_a, 0, "www.example 300 A 192.0.2.1", "");
	packet.bytes[packet.count - 11] = 3; /* CHAOS */
	parse(&reply, &arena, &packet, "www.example", ns_t_a, SEC, NOW_S);
	assert_int_equal(reply.rr_count, 0);
	arena_fini(&arena);
}

static void more_memory_than_the_arena_has_is_an_error(void **state)
{
	(void)state;
	packet_make_rich();
	for (size_t limit = 64; limit < 2048; limit += 64) {
		struct arena arena;
		struct reply reply;
		arena_init(&arena, limit);
		parse(&reply, &arena, &packet, "www.example", ns_t_mx, SEC, NOW_S);
		assert_int_equal(reply.status, ERR);
		assert_int_equal(reply.rr_count, 0);
		assert_non_null(reply.reason);
		arena_fini(&arena);
	}
}

/* ---- what comes out ---- */

static void names_in_rdata_are_decompressed(void **state)
{
	static const uint8_t want[] = {
	    0, 10, 3, 'm', 'x', '1', 1, 'b', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0};
	struct arena arena;
	struct reply reply;
	(void)state;
	arena_init(&arena, 1 << 20);
	packet_make_rich();
	parse(&reply, &arena, &packet, "www.example", ns_t_mx, SEC, NOW_S);
	assert_int_equal(reply.rrs[0].rdata_bytes, sizeof want);
	assert_memory_equal(reply.rrs[0].rdata, want, sizeof want);
	arena_fini(&arena);
}

static void records_come_with_chain_signatures_and_proofs(void **state)
{
	struct arena arena;
	struct reply reply;
	(void)state;
	arena_init(&arena, 1 << 20);
	packet_make_rich();
	parse(&reply, &arena, &packet, "www.example", ns_t_mx, SEC, NOW_S);
	assert_int_equal(reply.chain_count, 1);
	assert_string_equal(reply.chain[0]->owner, "www.example");
	assert_int_equal(reply.chain[0]->n_rrsig, 1);
	assert_int_equal(reply.answer_count, 1);
	assert_string_equal(reply.answer[0]->owner, "b.example");
	assert_int_equal(reply.answer[0]->n_rdata, 2);
	assert_int_equal(reply.answer[0]->n_rrsig, 1);
	assert_int_equal(reply.authority_count, 1); /* NSEC; a SOA proves nothing here */
	assert_int_equal(reply.authority[0]->type, 47);
	assert_int_equal(reply.authority[0]->n_rrsig, 1);
	arena_fini(&arena);
}

static void all_of_many_records_are_kept_in_order(void **state)
{
	static char answer[200 * 40];
	struct arena arena;
	struct reply reply;
	size_t used = 0;
	(void)state;
	for (unsigned i = 0; i < 200; i++)
		used += (size_t)snprintf(
		    answer + used, sizeof answer - used, "www.example 300 A 192.0.2.%u\n", i);
	arena_init(&arena, 1 << 20);
	packet_make(&packet, NOW_S, "www.example", ns_t_a, 0, answer, "");
	parse(&reply, &arena, &packet, "www.example", ns_t_a, SEC, NOW_S);
	assert_int_equal(reply.rr_count, 200);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(reply.rrs[i].rdata[3], i);
	arena_fini(&arena);
}

static void a08_why_bogus_is_kept(void **state)
{
	struct arena arena;
	struct reply reply;
	(void)state;
	arena_init(&arena, 1 << 20);
	packet_make_rich();
	parse(&reply, &arena, &packet, "www.example", ns_t_mx, V1(STATUS__BOGUS), NOW_S);
	assert_string_equal(reply.reason, "because");
	assert_true(reply_is_failed(&reply));
	reply_failed(&reply, &arena, ERR, 2, NULL);
	assert_string_equal(reply.reason, "");
	assert_true(reply_is_failed(&reply));
	arena_fini(&arena);
}

/* ---- main ---- */

int main(void)
{
	static struct test_list list;
	ADD_ROWS(&list, rows, row_holds);
	ADD_ROWS(&list, serial_rows, serial_row_holds);
	ADD_TEST(&list, c04_chain_over_the_limit_is_an_error_not_nodata);
	ADD_TEST(&list, a08_every_truncation_is_an_error);
	ADD_TEST(&list, a08_trailing_octets_are_an_error);
	ADD_TEST(&list, a08_every_changed_octet_is_survived);
	ADD_TEST(&list, b09_truncation_bit_is_an_error);
	ADD_TEST(&list, a08_record_whose_owner_leads_nowhere_is_an_error);
	ADD_TEST(&list, records_of_another_class_are_not_taken);
	ADD_TEST(&list, more_memory_than_the_arena_has_is_an_error);
	ADD_TEST(&list, names_in_rdata_are_decompressed);
	ADD_TEST(&list, records_come_with_chain_signatures_and_proofs);
	ADD_TEST(&list, all_of_many_records_are_kept_in_order);
	ADD_TEST(&list, a08_why_bogus_is_kept);
	return test_run("reply", &list, NULL, NULL);
}
