/* SPDX-License-Identifier: BSD-3-Clause */
/* prefetch.domains-file: what a line may be, and what is said of one that may not. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "resolverd/base/domains.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A1000 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50

static int file_of(const char *text, size_t bytes)
{
	int fd = memfd_create("domains", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, bytes), bytes);
	return fd;
}

static const struct row {
	const char *name, *text, *want[4];
} rows[] = {
    {"nothing", "", {NULL}},
    {"only_comments_and_empty_lines", "\n# a\n   \n\t# b\n\r\n", {NULL}},
    {"a_line_each", "a.example\nb.example\n", {"a.example", "b.example"}},
    {"no_newline_at_the_end", "a.example\nb.example", {"a.example", "b.example"}},
    {"spaces_around_and_a_comment_behind", "  a.example \t# why\r\n\tb.example\r\n",
	{"a.example", "b.example"}},
    {"names_become_canonical", "A.Example.\n", {"a.example"}},
    {"d12_next_hops_in_brackets", "[MX.example.org]\n[192.0.2.1]\n",
	{"[mx.example.org]", "[192.0.2.1]"}},
    {"the_same_twice", "a.example\na.example\n", {"a.example", "a.example"}},
};

static void row_is_read(void **state)
{
	const struct row *row = *state;
	struct domains domains;
	struct next_hop hop;
	char error[400];
	assert_int_equal(domains_read(file_of(row->text, strlen(row->text)), "file", &domains,
			     error, sizeof error),
	    0);
	for (unsigned round = 0; round < 2; round++) {
		size_t n = 0;
		for (; domains_next(&domains, &hop); n++) {
			assert_true(n < COUNT(row->want) && row->want[n] != NULL);
			assert_string_equal(hop.text, row->want[n]);
		}
		assert_true(n == COUNT(row->want) || row->want[n] == NULL);
		assert_int_equal(domains.count, n);
		assert_false(domains_next(&domains, &hop)); /* stays at its end */
		domains_rewind(&domains);
	}
	domains_fini(&domains);
	domains_fini(&domains); /* fine twice, and on one that is empty */
	assert_false(domains_next(&domains, &hop));
}

static const struct bad_row {
	const char *name, *text;
	size_t bytes; /* 0: of a string */
	const char *words[3];
} bad_rows[] = {
    {"an_empty_label", "a.example\n\n# c\na..b\n", 0, {"file:4:", "'a..b'", "empty label"}},
    {"two_words", "a.example b.example\n", 0, {"file:1:", "a.example b.example"}},
    {"longer_than_any_name", "a.example\n" A1000 A50 "\n", 0, {"file:2:", "'aaaa", "long"}},
    {"a_bare_address", "192.0.2.1\n", 0, {"file:1:", "192.0.2.1"}},
    {"binary", "a.example\0b\n", 12, {"file", "binary"}},
};

static void row_is_refused_with_its_line(void **state)
{
	const struct bad_row *row = *state;
	size_t bytes = row->bytes != 0 ? row->bytes : strlen(row->text);
	struct domains domains;
	struct next_hop hop;
	char error[400];
	memset(&domains, 0xa5, sizeof domains);
	assert_int_equal(
	    domains_read(file_of(row->text, bytes), "file", &domains, error, sizeof error),
	    -EINVAL);
	for (size_t i = 0; i < COUNT(row->words) && row->words[i] != NULL; i++)
		if (strstr(error, row->words[i]) == NULL)
			fail_msg("'%s' does not say '%s'", error, row->words[i]);
	assert_null(strchr(error, '\n'));
	assert_int_equal(domains.count, 0);
	assert_false(domains_next(&domains, &hop));
	domains_fini(&domains);
}

static void what_cannot_be_read_is_said(void **state)
{
	static const char *const no_files[] = {"/proc/self", "/dev/zero"};
	struct domains domains;
	char error[400] = "";
	(void)state;
	assert_int_equal(domains_check(NULL, error, sizeof error), 0);
	assert_int_equal(domains_check("/nonexistent/domains", error, sizeof error), -EINVAL);
	assert_non_null(strstr(error, "prefetch.domains-file /nonexistent/domains"));
	assert_non_null(strstr(error, strerror(ENOENT)));
	for (size_t i = 0; i < COUNT(no_files); i++) {
		assert_true(domains_check(no_files[i], error, sizeof error) < 0);
		assert_non_null(strstr(error, no_files[i]));
		assert_non_null(strstr(error, "no regular file"));
	}
	int fd = memfd_create("large", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)5 << 30), 0);
	assert_int_equal(domains_read(fd, "large", &domains, error, sizeof error), -EFBIG);
	assert_true(fcntl(fd, F_GETFD) < 0); /* taken */
}

/* What --check-config says is right is what the server reads. */
static void check_and_read_agree(void **state)
{
	char path[] = "/tmp/test-domains-XXXXXX", error[400];
	int fd = mkstemp(path);
	(void)state;
	assert_int_equal(write(fd, "a.example\nb..example\n", 21), 21);
	assert_int_equal(domains_check(path, error, sizeof error), -EINVAL);
	assert_non_null(strstr(error, ":2:"));
	assert_int_equal(pwrite(fd, "a.example\nbb.example\n", 21, 0), 21);
	assert_int_equal(domains_check(path, error, sizeof error), 0);
	close(fd);
	unlink(path);
}

static void a_million_lines_are_read_in_one_go(void **state)
{
	size_t bytes = 0;
	char *text = NULL, error[400];
	FILE *file = open_memstream(&text, &bytes);
	struct domains domains;
	struct next_hop hop;
	(void)state;
	for (unsigned i = 0; i < 1000000; i++)
		fprintf(file, "d%07u.example\n", i);
	fclose(file);
	assert_int_equal(
	    domains_read(file_of(text, bytes), "file", &domains, error, sizeof error), 0);
	assert_int_equal(domains.count, 1000000);
	assert_true(domains_next(&domains, &hop));
	assert_string_equal(hop.text, "d0000000.example");
	domains_fini(&domains);
	free(text);
}

#define FIXED_TESTS 3u

int main(void)
{
	struct CMUnitTest tests[FIXED_TESTS + COUNT(rows) + COUNT(bad_rows)] = {
	    cmocka_unit_test(what_cannot_be_read_is_said),
	    cmocka_unit_test(check_and_read_agree),
	    cmocka_unit_test(a_million_lines_are_read_in_one_go),
	};
	struct CMUnitTest *next = tests + FIXED_TESTS;
	for (size_t i = 0; i < COUNT(rows); i++)
		*next++ = (struct CMUnitTest){.name = rows[i].name,
		    .test_func = row_is_read,
		    .initial_state = (void *)(uintptr_t)&rows[i]};
	for (size_t i = 0; i < COUNT(bad_rows); i++)
		*next++ = (struct CMUnitTest){.name = bad_rows[i].name,
		    .test_func = row_is_refused_with_its_line,
		    .initial_state = (void *)(uintptr_t)&bad_rows[i]};
	return cmocka_run_group_tests_name("domains", tests, NULL, NULL);
}
