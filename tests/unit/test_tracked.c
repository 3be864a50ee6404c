/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which of the root keys that libunbound tracks are trusted (RFC 5011), and that nothing is read
 * into a file which is not whole. A row gives the lines below libunbound's header.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/anchor/tracked.h"
#include "tests/unit/test.h"

#define HEAD                                                                                       \
	"; autotrust trust anchor file\n;;id: . 1\n;;last_queried: 1795623584 ;;Wed Nov 25 2026\n"
#define KEY(flags, base64, state) KEY_OF(flags, "13", base64, state)
#define KEY_OF(flags, algorithm, base64, state)                                                    \
	".\t3600\tIN\tDNSKEY\t" flags " 3 " algorithm " " base64                                   \
	" ;{id = 1 (ksk), size = 256b} ;;state=" state                                             \
	" [ ? ] ;;count=0 ;;lastchange=1795623584 ;;Wed Nov 25 16:19:44 2026\n"
#define A "AAEC" /* tag 1551 with flags 257 */
#define B "AAED"

/* The root's own. */
#define KSK_2017                                                                                   \
	"AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq7HrxRixHlFlExOLAJr5emLv"  \
	"N7SWXgnLh4+B5xQlNVz8Og8kvArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwV"  \
	"N8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7pr+eoZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxu"  \
	"OLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8subX2Nn6UwNR1AkUTV74bU="
#define KSK_2024                                                                                   \
	"AwEAAa96jeuknZlaeSrvyAJj6ZHv28hhOKkx3rLGXVaC6rXTsDc449/cidltpkyGwCJNnOAlFNKF2jBosZBU5ee"  \
	"HspaQWOmOElZsjICMQMC3aeHbGiShvZsx4wMYSjH8e7Vrhbu6irwCzVBApESjbUdpWWmEnhathWu1jo+siFUiRA"  \
	"Axm9qyJNg/wOZqqzL/dL/q8PkcRU5oUKEpUge71M3ej2/7CPqpdVwuMoTvoB+ZOT4YeGyxMvHmbrxlFzGOHOijt"  \
	"zN+u1TQNatX2XBuzZNQ1K+s2CXkPIZo7s6JgZyvaBevYtxPvYLw4z9mR7K2vaF18UYH9Z9GNUUeayffKC73PYc="

static const struct row {
	const char *name, *file;
	int want;                      /* of tracked_parse */
	const char *trusted, *pending; /* tags */
} rows[] = {
    {"rfc5011_valid_and_missing_keys_are_trusted", HEAD KEY("257", A, "2") KEY("257", B, "3"), 0,
	"1551 1807", "none"},
    {"rfc5011_a_pending_key_is_not_trusted", HEAD KEY("257", A, "2") KEY("257", B, "1"), 0, "1551",
	"1807"},
    {"rfc5011_a_revoked_key_is_not_trusted", HEAD KEY("385", A, "4") KEY("257", B, "2"), 0, "1807",
	"none"},
    {"rfc5011_start_and_removed_keys_are_not_trusted", HEAD KEY("257", A, "0") KEY("257", B, "5"),
	0, "none", "none"},
    {"a_key_with_the_revoke_bit_is_not_trusted_whatever_its_state", HEAD KEY("385", A, "2"), 0,
	"none", "none"},
    {"both_root_keys_of_the_2026_rollover",
	HEAD KEY_OF("257", "8", KSK_2024, "2") KEY_OF("257", "8", KSK_2017, "2"), 0, NULL, "none"},
    {"no_key_at_all", HEAD, 0, "none", "none"},
    {"a_file_without_states_is_not_libunbounds", ". IN DNSKEY 257 3 13 " A "\n", -EINVAL, NULL,
	NULL},
    {"no_header", KEY("257", A, "2"), -EINVAL, NULL, NULL},
    {"another_zone", "; autotrust trust anchor file\n;;id: org. 1\n", -EINVAL, NULL, NULL},
    {"empty", "", -EINVAL, NULL, NULL},
    {"cut_off_in_a_line", HEAD ".\t3600\tIN\tDNSKEY\t257 3 13 " A " ;;state=2", -EINVAL, NULL,
	NULL},
    {"a_key_without_state", HEAD ".\t3600\tIN\tDNSKEY\t257 3 13 " A " ;{id = 1}\n", -EINVAL, NULL,
	NULL},
    {"a_state_that_is_none", HEAD KEY("257", A, "6"), -EINVAL, NULL, NULL},
    {"no_base64", HEAD KEY("257", "!", "2"), -EINVAL, NULL, NULL},
    {"a_blank_in_the_key", HEAD KEY("257", "AA EC", "2"), -EINVAL, NULL, NULL},
    {"flags_too_large", HEAD KEY("65536", A, "2"), -EINVAL, NULL, NULL},
    {"another_owner", HEAD "org.\t1\tIN\tDNSKEY\t257 3 13 " A " ;;state=2\n", -EINVAL, NULL, NULL},
    {"another_type", HEAD ".\t1\tIN\tDS\t257 3 13 " A " ;;state=2\n", -EINVAL, NULL, NULL},
};

static void row_holds(void **state)
{
	const struct row *row = *state;
	struct tracked tracked;
	char tags[200];
	assert_int_equal(tracked_parse(row->file, &tracked), row->want);
	if (row->want != 0)
		return;
	tracked_tags(&tracked, true, tags, sizeof tags);
	assert_string_equal(tags, row->trusted != NULL ? row->trusted : "20326 38696");
	tracked_tags(&tracked, false, tags, sizeof tags);
	assert_string_equal(tags, row->pending);
	assert_int_equal(tracked_has_pending(&tracked), strcmp(row->pending, "none") != 0);
	tracked_fini(&tracked);
}

static char *anchors_of(const char *file)
{
	struct tracked tracked;
	assert_int_equal(tracked_parse(file, &tracked), 0);
	char *anchors = tracked_anchors(&tracked);
	tracked_fini(&tracked);
	return anchors;
}

static void the_anchor_file_lists_trusted_keys_alone(void **state)
{
	(void)state;
	char *anchors = anchors_of(HEAD KEY("257", B, "2") KEY("257", "AAEE", "1")
		KEY("385", "AAEF", "4") KEY("257", A, "3"));
	assert_non_null(anchors);
	const char *first = strchr(anchors, '.');
	while (first != NULL && strncmp(first, "\n. IN", 5) != 0)
		first = strchr(first + 1, '\n');
	assert_string_equal(first, "\n. IN DNSKEY 257 3 13 " A " ; keytag 1551\n"
				   ". IN DNSKEY 257 3 13 " B " ; keytag 1807\n");
	free(anchors);
}

static void order_ttl_and_times_make_no_other_anchor_file(void **state)
{
	(void)state;
	char *one = anchors_of(HEAD KEY("257", A, "2") KEY("257", B, "2"));
	char *other = anchors_of(";;id: . 1\n;;last_queried: 1 ;;x\n" KEY(
	    "257", B, "3") ".\t60\tIN\t"
			   "DNSKEY\t257 3 13 " A " ;;state=2 ;;lastchange=9\n");
	assert_string_equal(one, other);
	free(one);
	free(other);
}

static void without_a_trusted_key_there_is_no_anchor_file(void **state)
{
	(void)state;
	assert_null(anchors_of(HEAD KEY("257", A, "1")));
	assert_null(anchors_of(";;REVOKED\n" HEAD KEY("257", A, "2")));
}

static void more_keys_than_fit_are_refused(void **state)
{
	(void)state;
	char file[8192] = HEAD;
	struct tracked tracked;
	for (unsigned i = 0; i < TRACKED_KEYS_MAX; i++)
		strcat(file, KEY("257", A, "2"));
	assert_int_equal(tracked_parse(file, &tracked), 0);
	tracked_fini(&tracked);
	strcat(file, KEY("257", A, "2"));
	assert_int_equal(tracked_parse(file, &tracked), -EINVAL);
}

static void a_file_cut_off_anywhere_in_a_line_is_refused(void **state)
{
	(void)state;
	static const char file[] = HEAD KEY("257", A, "2");
	struct tracked tracked;
	for (size_t bytes = 0; bytes < sizeof file - 1; bytes++) {
		char *part = strndup(file, bytes);
		int want = bytes > 0 && part[bytes - 1] == '\n' && strstr(part, "id:") != NULL
			       ? 0
			       : -EINVAL;
		assert_int_equal(tracked_parse(part, &tracked), want);
		if (want == 0)
			tracked_fini(&tracked);
		free(part);
	}
}

int main(void)
{
	static struct test_list list;
	ADD_TEST(&list, the_anchor_file_lists_trusted_keys_alone);
	ADD_TEST(&list, order_ttl_and_times_make_no_other_anchor_file);
	ADD_TEST(&list, without_a_trusted_key_there_is_no_anchor_file);
	ADD_TEST(&list, more_keys_than_fit_are_refused);
	ADD_TEST(&list, a_file_cut_off_anywhere_in_a_line_is_refused);
	ADD_ROWS(&list, rows, row_holds);
	return test_run("tracked", &list, NULL, NULL);
}
