/* SPDX-License-Identifier: BSD-3-Clause */
/* What DNS clients ask (client/dns/query.c): which packets are queries, and what is wrong with
 * them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/dns/query.h"
#include "tests/unit/test.h"

#define QUESTION "076578616d706c65 036f7267 00"
#define OPT_4096 "00 0029 1000 00000000 0000"

static const struct row {
	const char *name;
	const char *packet; /* hex, blanks between */
	enum dns_verdict verdict;
	unsigned rcode; /* of a faulty one */
	bool has_extended;
} rows[] = {
    {"empty_is_no_query", "", DNS_QUERY_NONE, 0, false},
    {"half_a_header_is_no_query", "1234 0100 0001 0000 0000 00", DNS_QUERY_NONE, 0, false},
    {"a_response_is_no_query", "1234 8100 0001 0000 0000 0000" QUESTION "0001 0001", DNS_QUERY_NONE,
	0, false},
    {"a_malformed_response_is_no_query", "1234 8100 0001 0000 0000 0000", DNS_QUERY_NONE, 0, false},
    {"a_response_of_another_opcode_is_no_query", "1234 a100 0000 0000 0000 0000", DNS_QUERY_NONE, 0,
	false},
    {"plain", "1234 0100 0001 0000 0000 0000" QUESTION "0001 0001", DNS_QUERY_GOOD, 0, false},
    {"root", "1234 0100 0001 0000 0000 0000 00 0002 0001", DNS_QUERY_GOOD, 0, false},
    {"edns", "1234 0100 0001 0000 0000 0001" QUESTION "0001 0001" OPT_4096, DNS_QUERY_GOOD, 0,
	false},
    {"edns_with_a_cookie",
	"1234 0100 0001 0000 0000 0001" QUESTION "0001 0001 00 0029 0200 00000000 000c"
	"000a 0008 0011223344556677",
	DNS_QUERY_GOOD, 0, false},
    {"another_record_behind_the_question",
	"1234 0100 0001 0000 0000 0002" QUESTION
	"0001 0001 c00c 0001 0001 00000000 0004 7f000001" OPT_4096,
	DNS_QUERY_GOOD, 0, false},
    {"any", "1234 0100 0001 0000 0000 0000" QUESTION "00ff 0001", DNS_QUERY_GOOD, 0, false},
    {"unknown_type", "1234 0100 0001 0000 0000 0000" QUESTION "fde8 0001", DNS_QUERY_GOOD, 0,
	false},
    {"no_question", "1234 0100 0000 0000 0000 0000", DNS_QUERY_FAULTY, DNS_FORMERR, false},
    {"two_questions", "1234 0100 0002 0000 0000 0000" QUESTION "0001 0001" QUESTION "001c 0001",
	DNS_QUERY_FAULTY, DNS_FORMERR, false},
    {"an_answer_in_a_query",
	"1234 0100 0001 0001 0000 0000" QUESTION "0001 0001 c00c 0001 0001 00000000 0004 7f000001",
	DNS_QUERY_FAULTY, DNS_FORMERR, false},
    {"question_cut_in_its_name", "1234 0100 0001 0000 0000 0000 0765", DNS_QUERY_FAULTY,
	DNS_FORMERR, false},
    {"question_cut_in_its_class", "1234 0100 0001 0000 0000 0000" QUESTION "0001 00",
	DNS_QUERY_FAULTY, DNS_FORMERR, false},
    {"compressed_question", "1234 0100 0001 0000 0000 0000 c00c 0001 0001", DNS_QUERY_FAULTY,
	DNS_FORMERR, false},
    {"label_of_an_unknown_kind", "1234 0100 0001 0000 0000 0000 41 61 00 0001 0001",
	DNS_QUERY_FAULTY, DNS_FORMERR, false},
    {"octets_behind_the_end", "1234 0100 0001 0000 0000 0000" QUESTION "0001 0001 00",
	DNS_QUERY_FAULTY, DNS_FORMERR, false},
    {"more_records_told_than_there_are",
	"1234 0100 0001 0000 0000 0002" QUESTION "0001 0001" OPT_4096, DNS_QUERY_FAULTY,
	DNS_FORMERR, false},
    {"edns_twice", "1234 0100 0001 0000 0000 0002" QUESTION "0001 0001" OPT_4096 OPT_4096,
	DNS_QUERY_FAULTY, DNS_FORMERR, false},
    {"edns_not_at_the_root",
	"1234 0100 0001 0000 0000 0001" QUESTION "0001 0001 c00c 0029 1000 00000000 0000",
	DNS_QUERY_FAULTY, DNS_FORMERR, false},
    {"edns_option_longer_than_all",
	"1234 0100 0001 0000 0000 0001" QUESTION "0001 0001 00 0029 1000 00000000 0004 000a 0001",
	DNS_QUERY_FAULTY, DNS_FORMERR, false},
    {"edns_longer_than_the_packet",
	"1234 0100 0001 0000 0000 0001" QUESTION "0001 0001 00 0029 1000 00000000 0004 000a",
	DNS_QUERY_FAULTY, DNS_FORMERR, false},
    {"edns_where_it_means_nothing",
	"1234 0100 0001 0000 0001 0001" QUESTION "0001 0001" OPT_4096 OPT_4096, DNS_QUERY_GOOD, 0,
	false},
    {"edns_of_a_later_version",
	"1234 0100 0001 0000 0000 0001" QUESTION "0001 0001 00 0029 1000 00010000 0001 ff",
	DNS_QUERY_FAULTY, DNS_BADVERS, false},
    {"notify", "1234 2100 0001 0000 0000 0000" QUESTION "0006 0001", DNS_QUERY_FAULTY, DNS_NOTIMP,
	false},
    {"update", "1234 2800 0001 0000 0000 0000" QUESTION "0006 0001", DNS_QUERY_FAULTY, DNS_NOTIMP,
	false},
    {"class_chaos", "1234 0100 0001 0000 0000 0000" QUESTION "0010 0003", DNS_QUERY_FAULTY,
	DNS_REFUSED, true},
    {"class_any", "1234 0100 0001 0000 0000 0000" QUESTION "0001 00ff", DNS_QUERY_FAULTY,
	DNS_REFUSED, true},
    {"axfr", "1234 0100 0001 0000 0000 0000" QUESTION "00fc 0001", DNS_QUERY_FAULTY, DNS_REFUSED,
	true},
    {"rrsig", "1234 0100 0001 0000 0000 0000" QUESTION "002e 0001", DNS_QUERY_FAULTY, DNS_REFUSED,
	true},
    {"not_recursive", "1234 0000 0001 0000 0000 0000" QUESTION "0001 0001", DNS_QUERY_FAULTY,
	DNS_REFUSED, true},
    {"type_0", "1234 0100 0001 0000 0000 0000" QUESTION "0000 0001", DNS_QUERY_FAULTY, DNS_FORMERR,
	true},
    {"type_opt", "1234 0100 0001 0000 0000 0000" QUESTION "0029 0001", DNS_QUERY_FAULTY,
	DNS_FORMERR, true},
    {"type_tsig", "1234 0100 0001 0000 0000 0000" QUESTION "00fa 0001", DNS_QUERY_FAULTY,
	DNS_FORMERR, true},
    {"type_65535", "1234 0100 0001 0000 0000 0000" QUESTION "ffff 0001", DNS_QUERY_FAULTY,
	DNS_FORMERR, true},
};

static size_t from_hex(const char *hex, uint8_t *ret_bytes)
{
	size_t count = 0;
	for (; *hex != '\0'; hex++) {
		unsigned value;
		if (*hex == ' ')
			continue;
		assert_int_equal(sscanf(hex++, "%2x", &value), 1);
		ret_bytes[count++] = (uint8_t)value;
	}
	return count;
}

static enum dns_verdict parse(
    const char *hex, struct dns_query *ret_query, struct dns_error *ret_error)
{
	uint8_t room[512];
	size_t count = from_hex(hex, room);
	uint8_t *packet = malloc(count); /* so that a reader beyond its end is seen */
	if (count > 0)
		memcpy(packet, room, count);
	enum dns_verdict verdict = dns_query_parse(packet, count, ret_query, ret_error);
	free(packet);
	return verdict;
}

static void verdict(void **state)
{
	const struct row *row = *state;
	struct dns_query query;
	struct dns_error error;
	assert_int_equal(parse(row->packet, &query, &error), row->verdict);
	if (row->verdict == DNS_QUERY_FAULTY) {
		assert_int_equal(error.rcode, row->rcode);
		assert_int_equal(error.extended != DNS_EDE_NONE, row->has_extended);
	}
	if (row->verdict != DNS_QUERY_NONE)
		assert_int_equal(query.id, 0x1234);
}

static void every_cut_of_a_query_is_malformed(void **state)
{
	(void)state;
	static const char hex[] = "1234 0100 0001 0000 0000 0001" QUESTION "0001 0001" OPT_4096;
	uint8_t packet[512];
	size_t count = from_hex(hex, packet);
	struct dns_query query;
	struct dns_error error;
	for (size_t cut = DNS_HEADER_BYTES; cut < count; cut++) {
		assert_int_equal(dns_query_parse(packet, cut, &query, &error), DNS_QUERY_FAULTY);
		assert_int_equal(error.rcode, DNS_FORMERR);
	}
}

static void what_a_query_says(void **state)
{
	(void)state;
	struct dns_query query;
	struct dns_error error;
	assert_int_equal(parse("beef 0130 0001 0000 0000 0001 0345784d 00 0034 0001"
			       "00 0029 0700 00008000 0000",
			     &query, &error),
	    DNS_QUERY_GOOD);
	assert_int_equal(query.id, 0xbeef);
	assert_true(query.recursion_desired && query.authentic_data && query.checking_disabled);
	assert_int_equal(query.name_bytes, 5);
	assert_memory_equal(query.name, "\3ExM", 5);
	assert_int_equal(query.type, 52);
	assert_true(query.has_edns && query.dnssec_ok);
	assert_int_equal(query.datagram_bytes, 0x700);
}

static void room_in_a_datagram(void **state)
{
	(void)state;
	static const struct {
		const char *edns;
		size_t room;
	} sizes[] = {{"0000 00000000", 512}, {"01ff 00000000", 512}, {"0200 00000000", 512},
	    {"0400 00000000", 1024}, {"04d0 00000000", 1232}, {"1000 00000000", 1232},
	    {"ffff 00000000", 1232}};
	struct dns_query query;
	struct dns_error error;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		char hex[200];
		snprintf(hex, sizeof hex,
		    "1234 0100 0001 0000 0000 0001 00 0002 0001 00 0029 %s 0000", sizes[i].edns);
		assert_int_equal(parse(hex, &query, &error), DNS_QUERY_GOOD);
		assert_int_equal(dns_query_datagram_room(&query), sizes[i].room);
	}
	assert_int_equal(
	    parse("1234 0100 0001 0000 0000 0000 00 0002 0001", &query, &error), DNS_QUERY_GOOD);
	assert_int_equal(dns_query_datagram_room(&query), 512);
}

static void longest_name(void **state)
{
	(void)state;
	uint8_t packet[DNS_HEADER_BYTES + 300] = {0x12, 0x34, 1, 0, 0, 1};
	for (unsigned last = 61; last <= 62; last++) { /* 255 and 256 octets of name */
		size_t at = DNS_HEADER_BYTES;
		for (unsigned i = 0; i < 4; i++) {
			packet[at] = (uint8_t)(i < 3 ? 63 : last);
			memset(packet + at + 1, 'a', packet[at]);
			at += 1u + packet[at];
		}
		memcpy(packet + at, "\0\0\1\0\1", 5);
		struct dns_query query;
		struct dns_error error;
		assert_int_equal(dns_query_parse(packet, at + 5, &query, &error),
		    last == 61 ? DNS_QUERY_GOOD : DNS_QUERY_FAULTY);
	}
}

int main(void)
{
	static struct test_list list;
	ADD_ROWS(&list, rows, verdict);
	ADD_TEST(&list, every_cut_of_a_query_is_malformed);
	ADD_TEST(&list, what_a_query_says);
	ADD_TEST(&list, room_in_a_datagram);
	ADD_TEST(&list, longest_name);
	return test_run("dns_query", &list, NULL, NULL);
}
