/* SPDX-License-Identifier: BSD-3-Clause */
/* Canonical names, next hops, TLSA owners (proto/names.h), IDN, and the frame parser. */
#include <stdio.h>
#include <string.h>

#include "client/lib/idn.h"
#include "proto/base_domain.h"
#include "proto/frame.h"
#include "tests/unit/test.h"

#define A49 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A61 A49 "aaaaaaaaaaaa"
#define A62 A61 "a"
#define A63 A61 "aa"
#define THREE_A63 A63 "." A63 "." A63 "."

static const struct {
	const char *text;
	int error;
	const char *canonical;
} name_rows[] = {
    {"example.org", 0, "example.org"},
    {"EXAMPLE.Org.", 0, "example.org"},
    {".", 0, "."},
    {"org", 0, "org"},
    {"_25._tcp.mx-1.example.org", 0, "_25._tcp.mx-1.example.org"},
    {"*.example.org", 0, "*.example.org"},
    {"a\\.b.example", 0, "a\\.b.example"},
    {"a\\\\b.example", 0, "a\\\\b.example"},
    {"a\\046b.example", 0, "a\\.b.example"},
    {"a\\065.example", 0, "aa.example"},
    {"\\X\\y.example", 0, "xy.example"},
    {"EX\\065MPLE\\.ORG", 0, "example\\.org"},
    {"\\049\\050.example", 0, "12.example"},
    {"a\\[b\\].example", 0, "a\\091b\\093.example"},
    {"\\000.example", 0, "\\000.example"},
    {"\\255.example", 0, "\\255.example"},
    {"a@b.example", 0, "a\\064b.example"},
    {"a\\@b.example", 0, "a\\064b.example"},
    {"xn--bcher-kva.example", 0, "xn--bcher-kva.example"},
    {A63 ".example", 0, A63 ".example"},
    {A63 ".example.", 0, A63 ".example"},
    {"\\097" A62 ".example", 0, A63 ".example"},
    {"\\097" A63 ".example", NAME_LABEL_TOO_LONG, NULL},
    {THREE_A63 A61, 0, THREE_A63 A61},
    {THREE_A63 A62, NAME_TOO_LONG, NULL},
    {THREE_A63 A61 ".", 0, THREE_A63 A61},
    {THREE_A63 A62 ".", NAME_TOO_LONG, NULL},
    {THREE_A63 A63, NAME_TOO_LONG, NULL},
    {A63 "a.example", NAME_LABEL_TOO_LONG, NULL},
    {"", NAME_IS_EMPTY, NULL},
    {"..", NAME_LABEL_EMPTY, NULL},
    {".example", NAME_LABEL_EMPTY, NULL},
    {"a..example", NAME_LABEL_EMPTY, NULL},
    {"example..", NAME_LABEL_EMPTY, NULL},
    {"a\\", NAME_BAD_ESCAPE, NULL},
    {"a\\25", NAME_BAD_ESCAPE, NULL},
    {"a\\256.example", NAME_BAD_ESCAPE, NULL},
    {"a\\2x5.example", NAME_BAD_ESCAPE, NULL},
    {"a\\ b", NAME_BAD_ESCAPE, NULL},
    {"a b.example", NAME_BAD_CHARACTER, NULL},
    {"a\tb.example", NAME_BAD_CHARACTER, NULL},
    {"example.org\n", NAME_BAD_CHARACTER, NULL},
    {"\177.example", NAME_BAD_CHARACTER, NULL},
    {"b\303\274cher.example", NAME_BAD_CHARACTER, NULL},
};

static void i15_names_have_one_canonical_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(name_rows); i++) {
		char name[NAME_TEXT_MAX] = "", again[NAME_TEXT_MAX];
		int r = name_canonical(name_rows[i].text, name);
		if (r != name_rows[i].error)
			fail_msg("\"%s\": %s", name_rows[i].text, name_error_text(r));
		if (r != NAME_OK)
			continue;
		assert_string_equal(name, name_rows[i].canonical);
		assert_int_equal(name_canonical(name, again), NAME_OK);
		assert_string_equal(again, name);
	}
}

static void wire_names_come_back_as_they_went(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(name_rows); i++) {
		uint8_t wire[NAME_WIRE_MAX];
		size_t wire_bytes;
		char name[NAME_TEXT_MAX];
		if (name_to_wire(name_rows[i].text, wire, &wire_bytes) != NAME_OK)
			continue;
		assert_true(wire_bytes <= NAME_WIRE_MAX && wire[wire_bytes - 1] == 0);
		assert_int_equal(name_from_wire(wire, wire_bytes, name), NAME_OK);
		assert_string_equal(name, name_rows[i].canonical);
	}
}

static void wire_names_that_are_not_exactly_one_name_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *wire;
		size_t count;
	} rows[] = {{"", 0}, {"\1a", 2}, {"\1a\0\0", 4}, {"\5ab\0", 4}, {"\300\14", 2},
	    {"\1a\300\0", 4}, {"\100a\0", 3}};
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t wire[8];
		char name[NAME_TEXT_MAX];
		memcpy(wire, rows[i].wire, rows[i].count);
		assert_int_not_equal(name_from_wire(wire, rows[i].count, name), NAME_OK);
	}
}

static void the_longest_name_fits_its_text_buffer(void **state)
{
	(void)state;
	uint8_t wire[NAME_WIRE_MAX];
	char name[NAME_TEXT_MAX];
	memset(wire, 0xff, sizeof wire);
	wire[0] = wire[64] = wire[128] = 63;
	wire[192] = 61;
	wire[254] = 0;
	assert_int_equal(name_from_wire(wire, sizeof wire, name), NAME_OK);
	assert_int_equal(strlen(name), 4 * 250 + 3);
}

static const struct {
	const char *text;
	int error;
	enum next_hop_kind kind;
	const char *canonical, *name;
} hop_rows[] = {
    {"Example.ORG.", 0, NEXT_HOP_DOMAIN, "example.org", "example.org"},
    {"[MX.example.org]", 0, NEXT_HOP_HOST, "[mx.example.org]", "mx.example.org"},
    {"[192.0.2.1]", 0, NEXT_HOP_ADDRESS, "[192.0.2.1]", "192.0.2.1"},
    {"[2001:DB8::1]", 0, NEXT_HOP_ADDRESS, "[2001:db8::1]", "2001:db8::1"},
    {"[IPv6:2001:db8:0:0::1]", 0, NEXT_HOP_ADDRESS, "[2001:db8::1]", "2001:db8::1"},
    {"[ipv6:::1]", 0, NEXT_HOP_ADDRESS, "[::1]", "::1"},
    {"[::ffff:192.0.2.1]", 0, NEXT_HOP_ADDRESS, "[::ffff:192.0.2.1]", "::ffff:192.0.2.1"},
    {"192.0.2.1", NAME_IS_ADDRESS, 0, NULL, NULL},
    {"192.0.2.1.", NAME_IS_ADDRESS, 0, NULL, NULL},
    {"\\049\\0572.0.2.1", NAME_IS_ADDRESS, 0, NULL, NULL},
    {"2001:db8::1", NAME_IS_ADDRESS, 0, NULL, NULL},
    {"::ffff:192.0.2.1", NAME_IS_ADDRESS, 0, NULL, NULL},
    {"IPv6:2001:db8::1", NAME_HAS_COLON, 0, NULL, NULL},
    {"example.org:25", NAME_HAS_COLON, 0, NULL, NULL},
    {"[2001:db8::g]", NAME_BAD_ADDRESS, 0, NULL, NULL},
    {"[2001:db8::1%eth0]", NAME_BAD_ADDRESS, 0, NULL, NULL},
    {"[IPv6:192.0.2.1]", NAME_BAD_ADDRESS, 0, NULL, NULL},
    {"[192.0.2.1.]", NAME_BAD_ADDRESS, 0, NULL, NULL},
    {"[\\049\\0572.0.2.1]", NAME_BAD_ADDRESS, 0, NULL, NULL},
    {"[192.0.2.256]", NAME_BAD_ADDRESS, 0, NULL, NULL},
    {"[192.0.2.01]", NAME_BAD_ADDRESS, 0, NULL, NULL},
    {"[1.2.3]", NAME_BAD_ADDRESS, 0, NULL, NULL},
    {"[127.1]", NAME_BAD_ADDRESS, 0, NULL, NULL},
    /* Not addresses: names that the DNS denies, as it does those of MX hosts (D13). */
    {"1.2.3", 0, NEXT_HOP_DOMAIN, "1.2.3", "1.2.3"},
    {"127.1", 0, NEXT_HOP_DOMAIN, "127.1", "127.1"},
    {"0x7f.1", 0, NEXT_HOP_DOMAIN, "0x7f.1", "0x7f.1"},
    {"192\\.0\\.2\\.1", 0, NEXT_HOP_DOMAIN, "192\\.0\\.2\\.1", "192\\.0\\.2\\.1"},
    {"[1.example]", 0, NEXT_HOP_HOST, "[1.example]", "1.example"},
    {"[.]", 0, NEXT_HOP_HOST, "[.]", "."},
    {"[[192.0.2.1]]", NAME_BAD_BRACKETS, 0, NULL, NULL},
    {"[mx.example]]", NAME_BAD_BRACKETS, 0, NULL, NULL},
    {"[mx].example", NAME_BAD_BRACKETS, 0, NULL, NULL},
    {"[ 192.0.2.1]", NAME_BAD_CHARACTER, 0, NULL, NULL},
    {"[]", NAME_BAD_BRACKETS, 0, NULL, NULL},
    {"[", NAME_BAD_BRACKETS, 0, NULL, NULL},
    {"[mx.example.org", NAME_BAD_BRACKETS, 0, NULL, NULL},
    {"[a..b]", NAME_LABEL_EMPTY, 0, NULL, NULL},
    {"", NAME_IS_EMPTY, 0, NULL, NULL},
};

static void d12_f01_next_hops_are_domains_hosts_or_bracketed_addresses(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(hop_rows); i++) {
		struct next_hop hop, again;
		int r = next_hop_parse(hop_rows[i].text, &hop);
		if (r != hop_rows[i].error)
			fail_msg("\"%s\": %d, %s", hop_rows[i].text, r, name_error_text(r));
		if (r != NAME_OK)
			continue;
		assert_int_equal(hop.kind, hop_rows[i].kind);
		assert_string_equal(hop.text, hop_rows[i].canonical);
		assert_string_equal(hop.name, hop_rows[i].name);
		assert_int_equal(hop.ip_bytes != 0, hop.kind == NEXT_HOP_ADDRESS);
		assert_int_equal(next_hop_parse(hop.text, &again), NAME_OK);
		assert_memory_equal(&again, &hop, sizeof hop);
	}
}

static void g01_g02_tlsa_owners_carry_the_port(void **state)
{
	static const struct {
		uint16_t port;
		const char *base, *owner; /* NULL: too long */
	} rows[] = {
	    {25, "mx.example.org", "_25._tcp.mx.example.org"},
	    {2525, "mx.example.org", "_2525._tcp.mx.example.org"},
	    {25, THREE_A63 A63, NULL},
	    {65535, THREE_A63 A49, "_65535._tcp." THREE_A63 A49}, /* 255 octets */
	    {65535, THREE_A63 A49 "a", NULL},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char owner[NAME_TEXT_MAX];
		int r = name_tlsa_owner(rows[i].port, rows[i].base, owner);
		assert_int_equal(r, rows[i].owner != NULL ? NAME_OK : NAME_TOO_LONG);
		if (r == NAME_OK)
			assert_string_equal(owner, rows[i].owner);
	}
}

/* ---- IDN: what comes from people, in UTF-8 ---- */

#define U20                                                                                        \
	"\303\274\303\274\303\274\303\274\303\274\303\274\303\274\303\274\303\274\303\274"         \
	"\303\274\303\274\303\274\303\274\303\274\303\274\303\274\303\274\303\274\303\274"
#define X20 "xn--tdaaaaaaaaaaaaaaaaaaaa" /* 26 octets */
#define NINE(label)                                                                                \
	label "." label "." label "." label "." label "." label "." label "." label "." label

static const struct {
	const char *text, *canonical; /* NULL: refused */
} idn_rows[] = {
    {"b\303\274cher.example", "xn--bcher-kva.example"},
    {"BU\314\210CHER.example", "xn--bcher-kva.example"}, /* not NFC, upper case */
    {"B\303\234CHER.EXAMPLE.", "xn--bcher-kva.example"},
    {"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
    {"fa\303\237.example", "xn--fa-hia.example"}, /* non-transitional: not fass */
    {"[mx.b\303\274cher.example]", "[mx.xn--bcher-kva.example]"},
    {"_25._tcp.b\303\274cher.example", "_25._tcp.xn--bcher-kva.example"},
    {"Example.ORG", "example.org"},
    /* full stops of other scripts */
    {"b\303\274cher\343\200\202example", "xn--bcher-kva.example"},
    {"b\303\274cher\357\274\216example\357\275\241", "xn--bcher-kva.example"},
    {"example\343\200\202org", "example.org"},
    /* joiners have their place (RFC 5892 appendix A) */
    {"\340\244\225\340\245\215\342\200\215\340\244\267.example", "xn--11b2ezcw70k.example"},
    {"a\342\200\215b.example", NULL},
    {"\342\200\214.example", NULL},
    /* directions do not mix within a label (RFC 5893); scripts as such may */
    {"\327\2201.example", "xn--1-zhc.example"},
    {"1\327\220.example", NULL},
    {"ab\327\220.example", NULL},
    {"\320\261\303\274.example", "xn--tda55n.example"},
    /* no letters (RFC 5892), no mark without its base, hyphens where none may be */
    {"\342\231\245.example", NULL},
    {"\342\230\225.example", NULL},
    {"\314\210u.example", NULL},
    {"-\303\274.example", NULL},
    {"\303\274-.example", NULL},
    {"ab--\303\274.example", NULL},
    /* empty once mapped */
    {"\302\255.example", NULL},
    {"\303\274..example", NULL},
    /* not UTF-8 */
    {"\374.example", NULL},
    {"\303.example", NULL},
    {"\300\256.example", NULL},
    /* too long only as A-labels */
    {NINE(U20) ".aaaaaaaaaa", NINE(X20) ".aaaaaaaaaa"}, /* 255 octets */
    {NINE(U20) ".aaaaaaaaaaa", NULL},
    {U20 U20 U20 ".example", NULL},
    /* letters beside escapes: which of the two comes first would be a guess */
    {"a\\.\303\274.example", NULL},
    {"\303\274\\252.example", NULL},
    {"\\195\\188.example", "\\195\\188.example"},
    /* digits of other scripts become digits, and then they are an address */
    {"\357\274\221\357\274\222\357\274\227.0.0.1", NULL},
    {"\342\221\240.\342\221\241.\342\221\242.\342\221\243", NULL},
    {"192\343\200\2020.2.1", NULL},
    {"[\357\274\221\357\274\222\357\274\227.0.0.1]", "[127.0.0.1]"},
};

static void labels_are_counted_from_the_root(void **state)
{
	(void)state;
	assert_int_equal(name_labels("."), 0);
	assert_int_equal(name_labels("org"), 1);
	assert_int_equal(name_labels("a\\.b.example.org"), 3);
	assert_string_equal(name_last_labels("a\\.b.example.org", 2), "example.org");
	assert_string_equal(name_last_labels("org", 1), "org");
	assert_string_equal(name_last_labels("org", 0), ".");
	assert_null(name_last_labels("org", 2));
}

static void f09_f10_f11_the_expanded_name_comes_before_the_original(void **state)
{
	(void)state;
	struct base_domains bases = base_domains_of("mx.example.com", "host.example.net");
	assert_int_equal(bases.count, 2);
	assert_string_equal(bases.names[0], "host.example.net");
	assert_string_equal(bases.names[1], "mx.example.com");
	static const char *const alone[] = {NULL, "mx.example.com"};
	for (size_t i = 0; i < COUNT(alone); i++) {
		bases = base_domains_of("mx.example.com", alone[i]);
		assert_int_equal(bases.count, 1);
		assert_string_equal(bases.names[0], "mx.example.com");
	}
}

static void i15_internationalized_names_become_a_labels(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(idn_rows); i++) {
		struct next_hop hop;
		char detail[DETAIL_MAX] = "", name[NAME_TEXT_MAX];
		const char *text = idn_rows[i].text, *canonical = idn_rows[i].canonical;
		int r = idn_next_hop(text, &hop, detail);
		if (r != (canonical != NULL ? 0 : RESOLVERD_ERROR_ARGUMENT))
			fail_msg("\"%s\": %d, %s", text, r, detail);
		if (canonical == NULL) {
			assert_true(detail[0] != '\0');
			continue;
		}
		assert_string_equal(detail, "");
		assert_string_equal(hop.text, canonical);
		if (text[0] != '[') {
			assert_int_equal(idn_name(text, name, detail), 0);
			assert_string_equal(name, canonical);
		}
	}
}

/* Messages go to terminals and into JSON, whatever was asked for. */
static void what_is_refused_is_shown_as_utf8_without_control_characters(void **state)
{
	static const struct {
		const char *text, *shown;
	} rows[] = {
	    {"b\374cher", "b?cher"},
	    {"a\033[31mb.\303\274.\200", "a?[31mb.\303\274.?"},
	    {"\303\274 \340\244\225 \360\237\230\200", "\303\274 \340\244\225 \360\237\230\200"},
	    {"\300\256 \340\200\257 \360\200\200\257", "?? ??? ????"}, /* overlong */
	    {"\355\240\200 \364\220\200\200 \377", "??? ???? ?"},      /* no characters */
	    {"\303", "?"},
	    {"\341\210", "??"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct next_hop hop;
		char detail[DETAIL_MAX], want[DETAIL_MAX];
		assert_int_equal(
		    idn_next_hop(rows[i].text, &hop, detail), RESOLVERD_ERROR_ARGUMENT);
		snprintf(want, sizeof want, "cannot ask for \"%s\": ", rows[i].shown);
		assert_memory_equal(detail, want, strlen(want));
	}
	/* cut at the end of a character */
	char text[2000] = "", detail[DETAIL_MAX];
	struct next_hop hop;
	for (unsigned i = 0; i < 500; i++)
		strcat(text, "\340\244\225");
	assert_int_equal(idn_next_hop(text, &hop, detail), RESOLVERD_ERROR_ARGUMENT);
	assert_memory_equal(strstr(detail, "\": ") - 3, "\340\244\225", 3);
}

/* ---- frames ---- */

static void frames_need_more_at_every_split(void **state)
{
	(void)state;
	static const uint8_t bytes[] = {0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 1, 'd'};
	struct frame frame;
	for (size_t count = 0; count < 7; count++) {
		assert_int_equal(frame_parse(bytes, count, 3, &frame), FRAME_NEED_MORE);
		assert_int_equal(frame.whole_bytes, count < 4 ? 0 : 7);
	}
	for (size_t count = 7; count <= sizeof bytes; count++) {
		assert_int_equal(frame_parse(bytes, count, 3, &frame), FRAME_COMPLETE);
		assert_ptr_equal(frame.body, bytes + 4);
		assert_int_equal(frame.body_bytes, 3);
		assert_int_equal(frame.whole_bytes, 7);
	}
}

static void frames_of_length_zero_are_malformed(void **state)
{
	(void)state;
	static const uint8_t bytes[4] = {0};
	struct frame frame;
	assert_int_equal(frame_parse(bytes, 3, 10, &frame), FRAME_NEED_MORE);
	assert_int_equal(frame_parse(bytes, 4, 10, &frame), FRAME_EMPTY);
}

static void frames_are_too_long_as_soon_as_their_header_says_so(void **state)
{
	(void)state;
	static const size_t limits[] = {
	    1, 255, FRAME_MAX_REQUEST_BYTES, FRAME_MAX_RESPONSE_BYTES, 0xfffffffe};
	for (size_t i = 0; i < COUNT(limits); i++) {
		uint8_t header[FRAME_HEADER_BYTES];
		struct frame frame;
		frame_put_header(header, limits[i]);
		assert_int_equal(frame_parse(header, 4, limits[i], &frame), FRAME_NEED_MORE);
		assert_int_equal(frame.whole_bytes, limits[i] + 4);
		frame_put_header(header, limits[i] + 1);
		assert_int_equal(frame_parse(header, 4, limits[i], &frame), FRAME_TOO_LONG);
	}
}

static void varints_are_those_of_protobuf(void **state)
{
	(void)state;
	uint8_t out[10];
	assert_int_equal(varint_put(out, 0), 1);
	assert_int_equal(varint_put(out, 127), 1);
	assert_int_equal(varint_put(out, 300), 2);
	assert_memory_equal(out, "\254\2", 2);
	assert_int_equal(varint_put(out, UINT64_MAX), 10);
	assert_int_equal(out[9], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(i15_names_have_one_canonical_form),
	    cmocka_unit_test(wire_names_come_back_as_they_went),
	    cmocka_unit_test(wire_names_that_are_not_exactly_one_name_are_refused),
	    cmocka_unit_test(the_longest_name_fits_its_text_buffer),
	    cmocka_unit_test(d12_f01_next_hops_are_domains_hosts_or_bracketed_addresses),
	    cmocka_unit_test(g01_g02_tlsa_owners_carry_the_port),
	    cmocka_unit_test(labels_are_counted_from_the_root),
	    cmocka_unit_test(f09_f10_f11_the_expanded_name_comes_before_the_original),
	    cmocka_unit_test(i15_internationalized_names_become_a_labels),
	    cmocka_unit_test(what_is_refused_is_shown_as_utf8_without_control_characters),
	    cmocka_unit_test(frames_need_more_at_every_split),
	    cmocka_unit_test(frames_of_length_zero_are_malformed),
	    cmocka_unit_test(frames_are_too_long_as_soon_as_their_header_says_so),
	    cmocka_unit_test(varints_are_those_of_protobuf),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
