/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The usable set (RFC 7672 section 3.1) and digest agility (RFC 7671 section 9). A record is
 * written as usage, selector, matching type and the octets of its data; for matching type 0 the
 * data is instead the name of a DER outline.
 */
#include <arpa/nameser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/worker/tlsa.h"
#include "tests/unit/test.h"

/* ---- outlines of what Full(0) holds (RFC 5280 section 4.1) ---- */

static const uint8_t certificate[] = {0x30, 10, 0x30, 1, 0xaa, 0x30, 1, 0xbb, 0x03, 2, 0, 0xcc};
static const uint8_t spki[] = {0x30, 7, 0x30, 1, 0xbb, 0x03, 2, 0, 0xcc};
static const uint8_t long_form[] = {0x30, 0x81, 7, 0x30, 1, 0xbb, 0x03, 2, 0, 0xcc};
static const uint8_t trailing[] = {0x30, 7, 0x30, 1, 0xbb, 0x03, 2, 0, 0xcc, 0};
static const uint8_t inner_trailing[] = {0x30, 8, 0x30, 1, 0xbb, 0x03, 2, 0, 0xcc, 0};
static const uint8_t overlong[] = {0x30, 7, 0x30, 0x7f, 0xbb, 0x03, 2, 0, 0xcc};
static const uint8_t huge_length[] = {0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30, 1, 0xbb};
static const uint8_t length_of_lengths[] = {0x30, 0xff, 0x30, 1, 0xbb, 0x03, 2, 0, 0xcc};
static const uint8_t indefinite[] = {0x30, 0x80, 0x30, 1, 0xbb, 0x03, 2, 0, 0xcc, 0, 0};
static const uint8_t wrong_tag[] = {0x31, 7, 0x30, 1, 0xbb, 0x03, 2, 0, 0xcc};
static const uint8_t no_key[] = {0x30, 3, 0x30, 1, 0xbb};
static const uint8_t one_octet[] = {0x30};

static const struct outline {
	const char *name;
	const uint8_t *der;
	size_t bytes;
} outlines[] = {
    {"certificate", certificate, sizeof certificate},
    {"spki", spki, sizeof spki},
    {"long-form", long_form, sizeof long_form},
    {"trailing", trailing, sizeof trailing},
    {"inner-trailing", inner_trailing, sizeof inner_trailing},
    {"overlong", overlong, sizeof overlong},
    {"huge-length", huge_length, sizeof huge_length},
    {"length-of-lengths", length_of_lengths, sizeof length_of_lengths},
    {"indefinite", indefinite, sizeof indefinite},
    {"wrong-tag", wrong_tag, sizeof wrong_tag},
    {"no-key", no_key, sizeof no_key},
    {"one-octet", one_octet, sizeof one_octet},
};

/* ---- rows ---- */

static const struct row {
	const char *name;
	const char *records,
	    *want; /* want: "usage selector matching, ..." in order of the records */
	uint8_t digests[2];
	size_t digest_count;
} rows[] = {
#define BOTH {2, 1}, 2
    {"h04_usages_2_and_3_and_both_selectors_are_usable", "2 0 1 32; 2 1 1 32; 3 0 1 32; 3 1 1 32",
	"2 0 1, 2 1 1, 3 0 1, 3 1 1", BOTH},
    {"h19_sha256_is_usable", "3 1 1 32; 2 0 1 32", "3 1 1, 2 0 1", BOTH},
    {"h14_pkix_usages_are_unusable", "0 0 1 32; 1 1 1 32", "", BOTH},
    {"h15_usage_1_drops_out_beside_usage_3", "1 1 1 32; 3 1 1 32", "3 1 1", BOTH},
    {"h16_usage_4_and_above_is_unusable", "4 1 1 32; 255 1 1 32", "", BOTH},
    {"h16_selector_2_and_above_is_unusable", "3 2 1 32; 2 255 1 32", "", BOTH},
    {"h16_matching_type_3_and_above_is_unusable", "3 1 3 32; 3 1 3 64; 3 1 255 32", "", BOTH},
    {"h17_sha256_of_31_or_33_octets_is_unusable", "3 1 1 31; 3 1 1 33", "", BOTH},
    {"h17_sha512_of_63_or_65_octets_is_unusable", "3 1 2 63; 3 1 2 65", "", BOTH},
    {"h17_digests_of_each_others_length_are_unusable", "3 1 1 64; 3 1 2 32", "", BOTH},
    {"h17_empty_data_is_unusable", "3 1 1 0; 3 1 2 0; 3 1 0 0", "", BOTH},
    {"h17_undecodable_full_data_is_unusable",
	"3 1 0 trailing; 3 1 0 inner-trailing; 3 1 0 overlong; 3 1 0 huge-length; "
	"3 1 0 length-of-lengths; 3 1 0 indefinite; 3 1 0 wrong-tag; 3 1 0 no-key; 3 1 0 "
	"one-octet; "
	"3 1 0 32",
	"", BOTH},
    {"h17_full_data_must_fit_its_selector", "3 0 0 spki; 3 1 0 certificate", "", BOTH},
    {"h04_full_certificate_and_key_are_usable", "3 0 0 certificate; 2 1 0 spki; 3 1 0 long-form",
	"3 0 0, 2 1 0, 3 1 0", BOTH},
    {"j01_the_best_digest_alone_stays", "3 1 1 32; 3 1 2 64", "3 1 2", BOTH},
    {"j01_order_in_the_rrset_does_not_matter", "3 1 2 64; 3 1 1 32", "3 1 2", BOTH},
    {"j01_all_records_of_the_best_digest_stay", "3 1 2 64; 3 1 1 32; 3 1 2 64", "3 1 2, 3 1 2",
	BOTH},
    {"j02_full_is_always_kept", "3 1 0 spki; 3 1 1 32; 3 1 2 64", "3 1 0, 3 1 2", BOTH},
    {"j03_agility_comes_after_discarding", "3 1 2 63; 3 1 1 32", "3 1 1", BOTH},
    {"j04_groups_are_per_usage_and_selector", "3 1 2 64; 3 0 1 32", "3 1 2, 3 0 1", BOTH},
    {"j04_usages_are_groups_of_their_own", "2 1 2 64; 3 1 1 32", "2 1 2, 3 1 1", BOTH},
    {"j05_the_administrators_order_counts", "3 1 1 32; 3 1 2 64", "3 1 1", {1, 2}, 2},
    {"j05_a_dropped_digest_is_unusable", "3 1 2 64", "", {1}, 1},
    {"j05_a_dropped_digest_beats_nothing", "3 1 2 64; 3 1 1 32", "3 1 1", {1}, 1},
    {"j05_full_stays_with_no_digests_at_all", "3 1 0 spki; 3 1 1 32", "3 1 0", {0}, 0},
    {"empty_set_has_nothing_usable", "", "", BOTH},
};

static size_t rdata_write(uint8_t *out, const char *text)
{
	unsigned usage, selector, matching, octets;
	char data[40];
	assert_int_equal(sscanf(text, "%u %u %u %39s", &usage, &selector, &matching, data), 4);
	out[0] = (uint8_t)usage;
	out[1] = (uint8_t)selector;
	out[2] = (uint8_t)matching;
	for (size_t i = 0; i < COUNT(outlines); i++) {
		if (strcmp(outlines[i].name, data) == 0) {
			memcpy(out + 3, outlines[i].der, outlines[i].bytes);
			return 3 + outlines[i].bytes;
		}
	}
	assert_int_equal(sscanf(data, "%u", &octets), 1);
	memset(out + 3, 0xda, octets);
	return 3 + octets;
}

/* Exactly its size, so that the sanitizer sees a read past the end. */
static uint8_t *heap_copy(const uint8_t *bytes, size_t count)
{
	uint8_t *copy = malloc(count > 0 ? count : 1);
	assert_non_null(copy);
	memcpy(copy, bytes, count);
	return copy;
}

static void rrs_free(const struct reply_rr *rrs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free((void *)(uintptr_t)rrs[i].rdata);
}

static size_t rrs_read(const char *text, struct reply_rr *rrs)
{
	char copy[400];
	size_t count = 0;
	assert_true(strlen(text) < sizeof copy);
	strcpy(copy, text);
	for (char *rest, *at = strtok_r(copy, ";", &rest); at != NULL;
	     at = strtok_r(NULL, ";", &rest), count++) {
		uint8_t rdata[100];
		rrs[count].rdata_bytes = rdata_write(rdata, at);
		rrs[count].rdata = heap_copy(rdata, rrs[count].rdata_bytes);
	}
	return count;
}

static void row_holds(void **state)
{
	const struct row *row = *state;
	struct arena arena;
	struct reply_rr rrs[20];
	Resolverd__V1__Host host = RESOLVERD__V1__HOST__INIT;
	char got[400] = "";
	arena_init(&arena, 1 << 20);
	size_t count = rrs_read(row->records, rrs);
	assert_int_equal(
	    tlsa_usable_set(&arena, rrs, count, row->digests, row->digest_count, &host), 0);
	for (size_t i = 0; i < host.n_tlsa; i++)
		sprintf(got + strlen(got), "%s%u %u %u", i > 0 ? ", " : "", host.tlsa[i]->usage,
		    host.tlsa[i]->selector, host.tlsa[i]->matching_type);
	assert_string_equal(got, row->want);
	rrs_free(rrs, count);
	arena_fini(&arena);
}

static void rdata_shorter_than_its_three_octets_is_unusable(void **state)
{
	static const uint8_t rdata[] = {3, 1, 1, 0};
	struct arena arena;
	(void)state;
	for (size_t bytes = 0; bytes <= 4; bytes++) {
		Resolverd__V1__Host host = RESOLVERD__V1__HOST__INIT;
		arena_init(&arena, 1 << 20);
		struct reply_rr rr = {heap_copy(rdata, bytes), bytes};
		assert_int_equal(
		    tlsa_usable_set(&arena, &rr, 1, (const uint8_t[]){2, 1}, 2, &host), 0);
		assert_int_equal(host.n_tlsa, 0);
		rrs_free(&rr, 1);
		arena_fini(&arena);
	}
}

static void the_association_data_is_what_follows_the_three_octets(void **state)
{
	uint8_t rdata[3 + 32] = {3, 1, 1};
	struct arena arena;
	Resolverd__V1__Host host = RESOLVERD__V1__HOST__INIT;
	(void)state;
	for (unsigned i = 0; i < 32; i++)
		rdata[3 + i] = (uint8_t)i;
	arena_init(&arena, 1 << 20);
	struct reply_rr rr = {rdata, sizeof rdata};
	assert_int_equal(tlsa_usable_set(&arena, &rr, 1, (const uint8_t[]){2, 1}, 2, &host), 0);
	assert_int_equal(host.n_tlsa, 1);
	assert_int_equal(host.tlsa[0]->data.len, 32);
	assert_memory_equal(host.tlsa[0]->data.data, rdata + 3, 32);
	arena_fini(&arena);
}

/* Every prefix of good data is undecodable: none may be usable, none may be read past. */
static void h17_every_truncation_of_full_data_is_unusable(void **state)
{
	struct arena arena;
	(void)state;
	for (size_t cut = 0; cut < sizeof spki; cut++) {
		uint8_t rdata[3 + sizeof spki] = {3, 1, 0};
		Resolverd__V1__Host host = RESOLVERD__V1__HOST__INIT;
		memcpy(rdata + 3, spki, cut);
		arena_init(&arena, 1 << 20);
		struct reply_rr rr = {heap_copy(rdata, 3 + cut), 3 + cut};
		assert_int_equal(
		    tlsa_usable_set(&arena, &rr, 1, (const uint8_t[]){2, 1}, 2, &host), 0);
		assert_int_equal(host.n_tlsa, 0);
		rrs_free(&rr, 1);
		arena_fini(&arena);
	}
}

static void no_memory_is_an_error_not_an_empty_set(void **state)
{
	uint8_t rdata[3 + 32] = {3, 1, 1};
	struct arena arena;
	Resolverd__V1__Host host = RESOLVERD__V1__HOST__INIT;
	(void)state;
	struct reply_rr rr = {rdata, sizeof rdata};
	for (size_t limit = 0; limit < 40; limit += 8) {
		arena_init(&arena, limit);
		assert_true(tlsa_usable_set(&arena, &rr, 1, (const uint8_t[]){2, 1}, 2, &host) < 0);
		arena_fini(&arena);
	}
}

static void h16_only_2_and_3_with_1_and_2_of_all_octets_are_usable(void **state)
{
	/* Every usage, selector and matching type with data of every length that could be right. */
	struct arena arena;
	(void)state;
	for (unsigned usage = 0; usage < 256; usage++) {
		for (unsigned matching = 0; matching < 256; matching++) {
			uint8_t rdata[3 + 64] = {(uint8_t)usage, 1, (uint8_t)matching};
			Resolverd__V1__Host host = RESOLVERD__V1__HOST__INIT;
			arena_init(&arena, 1 << 20);
			struct reply_rr rr = {rdata, matching == 1 ? 35 : 67};
			bool wanted =
			    (usage == 2 || usage == 3) && (matching == 1 || matching == 2);
			assert_int_equal(
			    tlsa_usable_set(&arena, &rr, 1, (const uint8_t[]){2, 1}, 2, &host), 0);
			assert_int_equal(host.n_tlsa, wanted);
			arena_fini(&arena);
		}
	}
}

int main(void)
{
	static struct test_list list;
	ADD_TEST(&list, rdata_shorter_than_its_three_octets_is_unusable);
	ADD_TEST(&list, the_association_data_is_what_follows_the_three_octets);
	ADD_TEST(&list, h17_every_truncation_of_full_data_is_unusable);
	ADD_TEST(&list, no_memory_is_an_error_not_an_empty_set);
	ADD_TEST(&list, h16_only_2_and_3_with_1_and_2_of_all_octets_are_usable);
	ADD_ROWS(&list, rows, row_holds);
	return test_run("tlsa", &list, NULL, NULL);
}
