/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records answers to DNS messages (client/dns/message.c). Records are text, RRsets separated by
 * "; ": section, owner, TTL, type, rdata; "signed" before the owner adds a signature. What comes
 * out is read by glibc's parser and told in the same form.
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/dns/message.h"
#include "proto/rrtype.h"
#include "tests/unit/test.h"

#define NOW_MS 1790000000000u
#define SIGNATURE_BYTES 96u
#define RRSETS_MAX 8
#define RDATA_MAX 128

/* ---- records out of text ---- */

struct made {
	struct resolverd_records records;
	struct resolverd_rrset sets[3][RRSETS_MAX];
	struct resolverd_rdata rdata[RRSETS_MAX * 3][RDATA_MAX];
	size_t set_count;
	char text[RRSETS_MAX * 3][64];
	uint8_t octets[200000], signature[SIGNATURE_BYTES];
	size_t octet_count;
};

static struct made made;

static size_t put_name(uint8_t *out, const char *name)
{
	size_t bytes;
	assert_int_equal(name_to_wire(name, out, &bytes), NAME_OK);
	return bytes;
}

static size_t put_rdata(uint8_t *out, unsigned type, const char *text)
{
	char first[256], second[256];
	unsigned number;
	switch (type) {
	case TYPE_A:
		assert_int_equal(inet_pton(AF_INET, text, out), 1);
		return 4;
	case TYPE_NS:
	case TYPE_CNAME:
	case TYPE_DNAME:
	case TYPE_PTR:
		return put_name(out, text);
	case TYPE_MX:
		assert_int_equal(sscanf(text, "%u %255s", &number, first), 2);
		out[0] = (uint8_t)(number >> 8);
		out[1] = (uint8_t)number;
		return 2 + put_name(out + 2, first);
	case TYPE_SOA: {
		assert_int_equal(sscanf(text, "%255s %255s", first, second), 2);
		size_t used = put_name(out, first);
		used += put_name(out + used, second);
		memset(out + used, 0, 20);
		return used + 20;
	}
	default: /* so many octets */
		number = (unsigned)atoi(text);
		memset(out, 'x', number);
		return number;
	}
}

static const struct resolverd_rdata *one_rdata(unsigned type, const char *text)
{
	static struct resolverd_rdata rdata;
	uint8_t *at = made.octets + made.octet_count;
	rdata = (struct resolverd_rdata){at, put_rdata(at, type, text)};
	made.octet_count += rdata.count;
	assert_true(made.octet_count < sizeof made.octets);
	return &rdata;
}

static void add_rrset(char *line)
{
	static const struct {
		const char *word;
		size_t nth;
	} sections[] = {{"chain", 0}, {"answer", 1}, {"authority", 2}};
	size_t *counts[] = {
	    &made.records.chain_count, &made.records.answer_count, &made.records.authority_count};
	char *word = strsep(&line, " "), *owner;
	size_t nth = 0;
	while (strcmp(sections[nth].word, word) != 0)
		assert_true(++nth < COUNT(sections));
	struct resolverd_rrset *set = &made.sets[nth][(*counts[nth])++];
	struct resolverd_rdata *rdata = made.rdata[made.set_count];
	owner = strsep(&line, " ");
	*set = (struct resolverd_rrset){.rdata = rdata};
	if (strcmp(owner, "signed") == 0) {
		static const struct resolverd_rdata signature = {made.signature, SIGNATURE_BYTES};
		set->rrsig = &signature;
		set->rrsig_count = 1;
		owner = strsep(&line, " ");
	}
	snprintf(made.text[made.set_count], sizeof *made.text, "%s", owner);
	set->owner = made.text[made.set_count++];
	set->ttl_s = (uint32_t)atoi(strsep(&line, " "));
	set->type = (uint16_t)rrtype_number(strsep(&line, " "));
	for (char *data; (data = strsep(&line, ",")) != NULL;)
		rdata[set->rdata_count++] = *one_rdata(set->type, data + strspn(data, " "));
}

static struct resolverd_records *records_of(const char *text, enum resolverd_status status)
{
	memset(&made, 0, sizeof made);
	made.records = (struct resolverd_records){.status = status,
	    .chain = made.sets[0],
	    .answer = made.sets[1],
	    .authority = made.sets[2],
	    .reason = "",
	    .expires_at_ms = NOW_MS + 300500};
	char copy[2048], *rest = copy;
	snprintf(copy, sizeof copy, "%s", text);
	for (char *line; (line = strsep(&rest, ";")) != NULL;)
		if (*line != '\0')
			add_rrset(line + strspn(line, " "));
	return &made.records;
}

/* ---- messages to text ---- */

static void tell_data(FILE *out, const ns_msg *message, const ns_rr *rr)
{
	char name[NS_MAXDNAME];
	const uint8_t *at = ns_rr_rdata(*rr);
	unsigned type = ns_rr_type(*rr);
	switch (type) {
	case TYPE_A:
		fprintf(out, "%s", inet_ntop(AF_INET, at, name, sizeof name));
		return;
	case TYPE_MX:
		fprintf(out, "%u ", (unsigned)(at[0] << 8 | at[1]));
		at += 2;
		/* fallthrough */
	case TYPE_NS:
	case TYPE_CNAME:
	case TYPE_DNAME:
	case TYPE_PTR:
	case TYPE_SOA:
		for (unsigned i = 0; i < (type == TYPE_SOA ? 2 : 1); i++) {
			int n = ns_name_uncompress(
			    ns_msg_base(*message), ns_msg_end(*message), at, name, sizeof name);
			assert_true(n > 0);
			at += n;
			fprintf(out, "%s%s", i > 0 ? " " : "", name[0] != '\0' ? name : ".");
		}
		assert_int_equal(
		    at + (type == TYPE_SOA ? 20 : 0) - ns_rr_rdata(*rr), ns_rr_rdlen(*rr));
		return;
	default:
		fprintf(out, "%u", ns_rr_rdlen(*rr));
	}
}

static void tell_edns(FILE *out, const ns_rr *rr)
{
	fprintf(out, "edns %u %08x", (unsigned)ns_rr_class(*rr), ns_rr_ttl(*rr));
	const uint8_t *at = ns_rr_rdata(*rr), *end = at + ns_rr_rdlen(*rr);
	while (at < end) {
		unsigned code = ns_get16(at), bytes = ns_get16(at + 2);
		assert_int_equal(code, 15);
		fprintf(out, " ede %u %.*s", ns_get16(at + 4), (int)bytes - 2, at + 6);
		at += 4 + bytes;
	}
}

static void tell_section(FILE *out, ns_msg *message, ns_sect section, const char *word)
{
	for (int i = 0; i < ns_msg_count(*message, section); i++) {
		ns_rr rr;
		char type[RRTYPE_TEXT_MAX];
		assert_int_equal(ns_parserr(message, section, i, &rr), 0);
		fputs("; ", out);
		if (section == ns_s_ar) {
			tell_edns(out, &rr);
			continue;
		}
		assert_int_equal(ns_rr_class(rr), ns_c_in);
		rrtype_text(ns_rr_type(rr), type);
		fprintf(out, "%s %s %u %s ", word, ns_rr_name(rr), ns_rr_ttl(rr), type);
		tell_data(out, message, &rr);
	}
}

/* "rcode flags; section owner TTL TYPE data; ..." */
static const char *tell(const uint8_t *bytes, size_t count)
{
	static const struct {
		ns_flag flag;
		const char *word;
	} flags[] = {{ns_f_aa, " aa"}, {ns_f_tc, " tc"}, {ns_f_rd, " rd"}, {ns_f_ra, " ra"},
	    {ns_f_z, " z"}, {ns_f_ad, " ad"}, {ns_f_cd, " cd"}};
	static char text[4096];
	FILE *out = fmemopen(text, sizeof text, "w");
	ns_msg message;
	assert_int_equal(ns_initparse(bytes, (int)count, &message), 0);
	assert_int_equal(ns_msg_getflag(message, ns_f_qr), 1);
	fprintf(out, "%d", ns_msg_getflag(message, ns_f_rcode));
	for (size_t i = 0; i < COUNT(flags); i++)
		if (ns_msg_getflag(message, flags[i].flag))
			fputs(flags[i].word, out);
	tell_section(out, &message, ns_s_an, "answer");
	tell_section(out, &message, ns_s_ns, "authority");
	tell_section(out, &message, ns_s_ar, "");
	fclose(out);
	return text;
}

/* ---- what is asked ---- */

/* "name TYPE [rd] [ad] [cd] [edns] [do] [bytes of a datagram]" */
static struct dns_query query_of(const char *text)
{
	struct dns_query query = {
	    .id = 0x1234, .class = 1, .recursion_desired = true, .datagram_bytes = 512};
	char copy[512], *rest = copy;
	snprintf(copy, sizeof copy, "%s", text);
	query.name_bytes = put_name(query.name, strsep(&rest, " "));
	char *type = strsep(&rest, " ");
	query.type = (uint16_t)(strcmp(type, "ANY") == 0 ? DNS_TYPE_ANY : rrtype_number(type));
	for (char *word; (word = strsep(&rest, " ")) != NULL;) {
		query.authentic_data |= strcmp(word, "ad") == 0;
		query.checking_disabled |= strcmp(word, "cd") == 0;
		query.dnssec_ok |= strcmp(word, "do") == 0;
		query.has_edns |= strcmp(word, "edns") == 0;
		if (word[0] >= '0' && word[0] <= '9')
			query.datagram_bytes = (uint16_t)atoi(word);
	}
	return query;
}

/* ---- tests ---- */

#define SECURE RESOLVERD_SECURE
#define INSECURE RESOLVERD_INSECURE
#define BOGUS RESOLVERD_BOGUS
#define FAILED RESOLVERD_ERROR

static const struct row {
	const char *name;
	const char *query;
	enum resolverd_status status;
	unsigned rcode;
	const char *records;
	const char *want;
} rows[] = {
    {"ad_for_secure_data_of_a_query_with_ad", "a.org A ad", SECURE, 0,
	"answer signed a.org 60 A 192.0.2.1", "0 rd ra ad; answer a.org 60 A 192.0.2.1"},
    {"no_ad_for_who_does_not_know_it", "a.org A", SECURE, 0, "answer signed a.org 60 A 192.0.2.1",
	"0 rd ra; answer a.org 60 A 192.0.2.1"},
    {"ad_and_signatures_for_do", "a.org A edns do", SECURE, 0,
	"answer signed a.org 60 A 192.0.2.1,192.0.2.2",
	"0 rd ra ad; answer a.org 60 A 192.0.2.1; answer a.org 60 A 192.0.2.2; "
	"answer a.org 60 RRSIG 96; edns 1232 00008000"},
    {"no_ad_for_insecure_data", "a.org A ad edns do", INSECURE, 0, "answer a.org 60 A 192.0.2.1",
	"0 rd ra; answer a.org 60 A 192.0.2.1; edns 1232 00008000"},
    {"cd_does_not_take_ad_away", "a.org A ad cd", SECURE, 0, "answer a.org 60 A 192.0.2.1",
	"0 rd ra ad cd; answer a.org 60 A 192.0.2.1"},
    {"bogus_is_servfail", "a.org A ad edns", BOGUS, 2, "", "2 rd ra; edns 1232 00000000 ede 6 why"},
    {"bogus_is_servfail_even_with_cd", "a.org A cd edns", BOGUS, 2, "answer a.org 60 A 192.0.2.1",
	"2 rd ra cd; edns 1232 00000000 ede 6 why"},
    {"bogus_without_edns", "a.org A", BOGUS, 2, "", "2 rd ra"},
    {"failure_is_servfail", "a.org A edns do", FAILED, 2, "",
	"2 rd ra; edns 1232 00008000 ede 22 why"},
    {"refused_upstream_is_servfail", "a.org A edns", FAILED, 5, "",
	"2 rd ra; edns 1232 00000000 ede 22 why"},
    {"malformed_upstream_is_servfail", "a.org A edns", FAILED, 1, "",
	"2 rd ra; edns 1232 00000000 ede 23 why"},
    {"unknown_status_is_servfail", "a.org A ad edns", 0, 0, "answer a.org 60 A 192.0.2.1",
	"2 rd ra; edns 1232 00000000 ede 22 why"},
    {"unknown_rcode_is_servfail", "a.org A ad edns", SECURE, 5, "answer a.org 60 A 192.0.2.1",
	"2 rd ra; edns 1232 00000000 ede 22 why"},
    {"ttl_is_what_is_left_of_the_answer", "a.org A", INSECURE, 0, "answer a.org 3600 A 192.0.2.1",
	"0 rd ra; answer a.org 300 A 192.0.2.1"},
    {"no_data_with_its_soa", "a.org TLSA ad", SECURE, 0,
	"authority signed org 60 SOA ns.org root.org; authority signed a.org 60 NSEC 20",
	"0 rd ra ad; authority org 60 SOA ns.org root.org"},
    {"no_data_with_its_proofs_for_do", "a.org TLSA edns do", SECURE, 0,
	"authority signed org 60 SOA ns.org root.org; authority signed a.org 60 NSEC 20",
	"0 rd ra ad; authority org 60 SOA ns.org root.org; authority org 60 RRSIG 96; "
	"authority a.org 60 NSEC 20; authority a.org 60 RRSIG 96; edns 1232 00008000"},
    {"no_such_name", "b.org A ad", SECURE, 3, "authority org 60 SOA ns.org root.org",
	"3 rd ra ad; authority org 60 SOA ns.org root.org"},
    {"wildcard_with_its_proof_for_do", "a.org A edns do", SECURE, 0,
	"answer a.org 60 A 192.0.2.1; authority signed x.org 60 NSEC3 30",
	"0 rd ra ad; answer a.org 60 A 192.0.2.1; authority x.org 60 NSEC3 30; "
	"authority x.org 60 RRSIG 96; edns 1232 00008000"},
    {"wildcard_without_do", "a.org A ad", SECURE, 0,
	"answer a.org 60 A 192.0.2.1; authority signed x.org 60 NSEC3 30",
	"0 rd ra ad; answer a.org 60 A 192.0.2.1"},
    {"nsec_that_was_asked_for", "a.org NSEC ad", SECURE, 0, "answer a.org 60 NSEC 20",
	"0 rd ra ad; answer a.org 60 NSEC 20"},
    {"aliases_in_order", "a.org A", INSECURE, 0,
	"chain a.org 60 CNAME b.org; chain b.org 50 CNAME c.b.org; answer c.b.org 60 A 192.0.2.1",
	"0 rd ra; answer a.org 60 CNAME b.org; answer b.org 50 CNAME c.b.org; "
	"answer c.b.org 60 A 192.0.2.1"},
    {"aliases_that_end_nowhere", "a.org A", INSECURE, 3,
	"chain a.org 60 CNAME b.org; authority org 60 SOA ns.org root.org",
	"3 rd ra; answer a.org 60 CNAME b.org; authority org 60 SOA ns.org root.org"},
    {"dname_before_what_comes_of_it", "x.a.org A edns do", SECURE, 0,
	"chain w.org 60 CNAME x.a.org; chain x.a.org 60 CNAME x.b.org; "
	"chain signed a.org 60 DNAME b.org; answer x.b.org 60 A 192.0.2.1",
	"0 rd ra ad; answer w.org 60 CNAME x.a.org; answer a.org 60 DNAME b.org; "
	"answer a.org 60 RRSIG 96; answer x.a.org 60 CNAME x.b.org; answer x.b.org 60 A 192.0.2.1; "
	"edns 1232 00008000"},
    {"dname_that_was_asked_for_stands_once", "a.org DNAME", INSECURE, 0,
	"chain a.org 60 DNAME b.org; answer a.org 60 DNAME b.org",
	"0 rd ra; answer a.org 60 DNAME b.org"},
    {"cname_that_was_asked_for_below_a_dname", "x.a.org CNAME", INSECURE, 0,
	"chain a.org 60 DNAME b.org; answer x.a.org 60 CNAME x.b.org",
	"0 rd ra; answer a.org 60 DNAME b.org; answer x.a.org 60 CNAME x.b.org"},
    {"any_gets_one_rrset", "a.org ANY ad", SECURE, 0, "answer signed a.org 60 MX 10 mx.a.org",
	"0 rd ra ad; answer a.org 60 MX 10 mx.a.org"},
    {"any_that_finds_none_of_ours_proves_nothing", "a.org ANY ad", SECURE, 0, "", "0 rd ra"},
    {"any_of_no_name", "a.org ANY ad", SECURE, 3, "", "3 rd ra ad"},
    {"names_in_data", "a.org MX", INSECURE, 0,
	"answer a.org 60 MX 10 mx.a.org,20 .,30 mx.b.org,40 a.org",
	"0 rd ra; answer a.org 60 MX 10 mx.a.org; answer a.org 60 MX 20 .; "
	"answer a.org 60 MX 30 mx.b.org; answer a.org 60 MX 40 a.org"},
    {"root", ". NS", INSECURE, 0, "answer . 60 NS a.root-servers.net,b.root-servers.net",
	"0 rd ra; answer . 60 NS a.root-servers.net; answer . 60 NS b.root-servers.net"},
    {"empty_data", "a.org TYPE65280", INSECURE, 0, "answer a.org 60 TYPE65280 0",
	"0 rd ra; answer a.org 60 TYPE65280 0"},
    {"too_long_for_who_has_no_edns", "a.org TXT ad", SECURE, 0, "answer a.org 60 TXT 600",
	"0 tc rd ra"},
    {"as_long_as_edns_allows", "a.org TXT ad edns 1232", SECURE, 0, "answer a.org 60 TXT 600",
	"0 rd ra ad; answer a.org 60 TXT 600; edns 1232 00000000"},
    {"longer_than_we_send", "a.org TXT edns 4096", SECURE, 0, "answer a.org 60 TXT 1300",
	"0 tc rd ra; edns 1232 00000000"},
    {"too_long_by_its_proofs", "a.org A edns do 512", SECURE, 0,
	"answer signed a.org 60 A 192.0.2.1; authority x.org 60 NSEC3 400",
	"0 tc rd ra; edns 1232 00008000"},
};

static uint8_t message[DNS_MESSAGE_MAX];

static void answer(void **state)
{
	const struct row *row = *state;
	struct dns_query query = query_of(row->query);
	struct resolverd_records *records = records_of(row->records, row->status);
	records->rcode = row->rcode;
	records->reason = "why";
	size_t count = dns_message_answer(&query, records, NOW_MS, DNS_DATAGRAM, message);
	assert_true(count <= dns_query_datagram_room(&query));
	assert_int_equal(ns_get16(message), 0x1234);
	assert_string_equal(tell(message, count), row->want);
}

static void every_room_is_kept(void **state)
{
	(void)state;
	for (unsigned bytes = 512; bytes < 1300; bytes++) {
		char text[64];
		snprintf(text, sizeof text, "a.org TXT edns do %u", bytes);
		struct dns_query query = query_of(text);
		records_of("answer signed a.org 60 TXT 400,200", SECURE);
		size_t count =
		    dns_message_answer(&query, &made.records, NOW_MS, DNS_DATAGRAM, message);
		assert_true(count <= bytes);
		bool is_whole = strstr(tell(message, count), " tc") == NULL;
		/* header and question, three records, EDNS */
		assert_int_equal(is_whole, bytes >= 23 + 3 * 12 + 400 + 200 + SIGNATURE_BYTES + 11);
	}
}

static void names_are_compressed(void **state)
{
	(void)state;
	struct dns_query query = query_of("www.example.org MX");
	query.name[1] = 'W'; /* in the asker's letters */
	records_of("answer www.example.org 60 MX 10 mx.example.org", INSECURE);
	size_t count = dns_message_answer(&query, &made.records, NOW_MS, DNS_DATAGRAM, message);
	assert_int_equal(count, 12 + 17 + 4 + 2 + 10 + 2 + 3 + 2);
	assert_memory_equal(message + 12, "\3Www\7example\3org", 17);
	assert_string_equal(
	    tell(message, count), "0 rd ra; answer Www.example.org 60 MX 10 mx.example.org");
	/* What types are not of RFC 1035 stays as it is. */
	query = query_of("a.example.org DNAME");
	records_of("answer a.example.org 60 DNAME b.example.org", INSECURE);
	count = dns_message_answer(&query, &made.records, NOW_MS, DNS_DATAGRAM, message);
	assert_int_equal(count, 12 + 15 + 4 + 2 + 10 + 15);
}

static void data_that_is_no_name(void **state)
{
	(void)state;
	static const struct resolverd_rdata bad[] = {
	    {(const uint8_t *)"\3ab", 3}, {(const uint8_t *)"\xc0\x0c", 2}, {NULL, 0}};
	struct dns_query query = query_of("a.org CNAME");
	for (size_t i = 0; i < COUNT(bad); i++) {
		records_of("answer a.org 60 CNAME b.org", INSECURE);
		made.rdata[0][0] = bad[i];
		size_t count =
		    dns_message_answer(&query, &made.records, NOW_MS, DNS_DATAGRAM, message);
		assert_int_equal(count, 12 + 7 + 4 + 2 + 10 + bad[i].count);
	}
}

static void much_over_a_stream(void **state)
{
	(void)state;
	struct dns_query query = query_of("a.org TXT edns");
	records_of("answer a.org 60 TXT 20000,20000,20000", INSECURE);
	size_t count = dns_message_answer(&query, &made.records, NOW_MS, DNS_STREAM, message);
	assert_string_equal(tell(message, count),
	    "0 rd ra; answer a.org 60 TXT 20000; answer a.org 60 TXT 20000; "
	    "answer a.org 60 TXT 20000; edns 1232 00000000");
	records_of("answer a.org 60 TXT 20000,20000,20000,20000", INSECURE);
	count = dns_message_answer(&query, &made.records, NOW_MS, DNS_STREAM, message);
	assert_string_equal(tell(message, count),
	    "2 rd ra; edns 1232 00000000 ede 0 the answer is too large for DNS");
}

static void many_names(void **state)
{
	(void)state;
	static struct resolverd_rdata rdata[3000];
	static uint8_t names[3000][16];
	struct resolverd_rrset set = {
	    .owner = "org", .type = TYPE_NS, .ttl_s = 1, .rdata = rdata, .rdata_count = 3000};
	struct resolverd_records records = {
	    .status = INSECURE, .answer = &set, .answer_count = 1, .reason = ""};
	for (size_t i = 0; i < COUNT(rdata); i++) {
		char name[16];
		snprintf(name, sizeof name, "n%zu.org", i);
		rdata[i] = (struct resolverd_rdata){names[i], put_name(names[i], name)};
	}
	struct dns_query query = query_of("org NS");
	size_t count = dns_message_answer(&query, &records, NOW_MS, DNS_STREAM, message);
	ns_msg parsed;
	ns_rr rr;
	assert_int_equal(ns_initparse(message, (int)count, &parsed), 0);
	assert_int_equal(ns_msg_count(parsed, ns_s_an), 3000);
	for (int i = 0; i < 3000; i++) {
		char name[NS_MAXDNAME], want[16];
		assert_int_equal(ns_parserr(&parsed, ns_s_an, i, &rr), 0);
		assert_true(ns_name_uncompress(
				message, message + count, ns_rr_rdata(rr), name, sizeof name) > 0);
		snprintf(want, sizeof want, "n%d.org", i);
		assert_string_equal(name, want);
	}
}

static void ttl_of_an_expired_answer(void **state)
{
	(void)state;
	struct dns_query query = query_of("a.org A");
	records_of("answer a.org 60 A 192.0.2.1", INSECURE);
	size_t count = dns_message_answer(
	    &query, &made.records, made.records.expires_at_ms + 1, DNS_DATAGRAM, message);
	assert_string_equal(tell(message, count), "0 rd ra; answer a.org 0 A 192.0.2.1");
}

static void stale_answers_say_so(void **state)
{
	(void)state;
	struct dns_query query = query_of("a.org A edns");
	records_of("answer a.org 60 A 192.0.2.1", INSECURE)->stale = true;
	size_t count = dns_message_answer(&query, &made.records, NOW_MS, DNS_DATAGRAM, message);
	assert_string_equal(tell(message, count),
	    "0 rd ra; answer a.org 60 A 192.0.2.1; edns 1232 00000000 ede 3 ");
}

static void errors(void **state)
{
	(void)state;
	static const struct {
		struct dns_error error;
		const char *query;
		const char *want;
	} cases[] = {
	    {{DNS_REFUSED, DNS_EDE_NOT_SUPPORTED, "no"}, "a.org A edns cd",
		"5 rd ra cd; edns 1232 00000000 ede 21 no"},
	    {{DNS_REFUSED, DNS_EDE_NOT_SUPPORTED, "no"}, "a.org A ad", "5 rd ra"},
	    {{DNS_BADVERS, DNS_EDE_NONE, ""}, "a.org A edns", "0 rd ra; edns 1232 01000000"},
	    {{DNS_FORMERR, DNS_EDE_NONE, ""}, "a.org A", "1 rd ra"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct dns_query query = query_of(cases[i].query);
		size_t count = dns_message_error(&query, &cases[i].error, message);
		assert_string_equal(tell(message, count), cases[i].want);
	}
	struct dns_query notify = {.id = 0x1234, .opcode = 4};
	size_t count =
	    dns_message_error(&notify, &(struct dns_error){DNS_NOTIMP, DNS_EDE_NONE, ""}, message);
	assert_int_equal(count, 12);
	assert_memory_equal(message, "\x12\x34\xa0\x84\0\0\0\0\0\0\0\0", 12);
}

static void long_reasons_are_cut(void **state)
{
	(void)state;
	struct dns_query query = query_of("a.org A edns");
	char reason[400], want[400];
	memset(reason, 'x', sizeof reason);
	memcpy(reason + 159, "\xe2\x82\xac", 3); /* the euro sign does not fit */
	reason[399] = '\0';
	/* The longest name there is. */
	query.name_bytes = 0;
	for (unsigned i = 0; i < 4; i++) {
		uint8_t length = i < 3 ? 63 : 61;
		query.name[query.name_bytes] = length;
		memset(query.name + query.name_bytes + 1, 'a', length);
		query.name_bytes += 1u + length;
	}
	query.name[query.name_bytes++] = 0;
	struct dns_error error = dns_error_of_client(RESOLVERD_ERROR_NO_DAEMON, reason);
	size_t count = dns_message_error(&query, &error, message);
	assert_true(count <= DNS_DATAGRAM_MIN);
	snprintf(want, sizeof want, "2 rd ra; edns 1232 00000000 ede 14 %.159s", reason);
	assert_string_equal(tell(message, count), want);
}

static void errors_of_the_client(void **state)
{
	(void)state;
	static const struct {
		int error;
		enum dns_extended_error want;
	} cases[] = {{RESOLVERD_ERROR_NO_DAEMON, DNS_EDE_NOT_READY},
	    {RESOLVERD_ERROR_PUBLIC_KEY, DNS_EDE_NOT_READY},
	    {RESOLVERD_ERROR_BUSY, DNS_EDE_NOT_READY},
	    {RESOLVERD_ERROR_TIMEOUT, DNS_EDE_NO_REACHABLE_AUTHORITY},
	    {RESOLVERD_ERROR_VERIFY, DNS_EDE_OTHER}, {RESOLVERD_ERROR_PROTOCOL, DNS_EDE_OTHER},
	    {RESOLVERD_ERROR_MEMORY, DNS_EDE_OTHER}};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct dns_error error = dns_error_of_client(cases[i].error, "");
		assert_int_equal(error.rcode, DNS_SERVFAIL);
		assert_int_equal(error.extended, cases[i].want);
		assert_string_equal(error.text, resolverd_strerror(cases[i].error));
	}
}

int main(void)
{
	static struct test_list list;
	ADD_ROWS(&list, rows, answer);
	ADD_TEST(&list, every_room_is_kept);
	ADD_TEST(&list, names_are_compressed);
	ADD_TEST(&list, data_that_is_no_name);
	ADD_TEST(&list, much_over_a_stream);
	ADD_TEST(&list, many_names);
	ADD_TEST(&list, ttl_of_an_expired_answer);
	ADD_TEST(&list, stale_answers_say_so);
	ADD_TEST(&list, errors);
	ADD_TEST(&list, long_reasons_are_cut);
	ADD_TEST(&list, errors_of_the_client);
	return test_run("dns_message", &list, NULL, NULL);
}
