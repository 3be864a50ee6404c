/* SPDX-License-Identifier: BSD-3-Clause */
/* What danesend takes as a message and as an address (client/danesend/). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/danesend/address.h"
#include "client/danesend/message.h"
#include "tests/unit/test.h"

#define NO_LIMIT UINT64_MAX

static int read_text(const char *text, size_t count, uint64_t max_bytes, struct message *message)
{
	int fd = memfd_create("message", 0);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, count), count);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	int r = message_read(fd, max_bytes, message);
	close(fd);
	return r;
}

static void messages(void **state)
{
	(void)state;
	static const struct {
		const char *input;
		const char *output; /* NULL: refused */
		const char *complaint;
	} rows[] = {
	    {"", "", ""},
	    {"a", "a\r\n", ""},
	    {"a\nb\n", "a\r\nb\r\n", ""},
	    {"a\r\nb\r\n", "a\r\nb\r\n", ""},
	    {"a\r\nb", "a\r\nb\r\n", ""},
	    {"\n\n", "\r\n\r\n", ""},
	    {".\n..\n", ".\r\n..\r\n", ""},
	    {"a\r\nb\n", NULL, "line 2 of the message: a bare LF, where other lines end with CRLF"},
	    {"a\nb\r\n", NULL, "line 2 of the message: a CRLF, where other lines end with LF"},
	    {"a\rb\n", NULL, "line 1 of the message: a bare CR"},
	    {"a\r\r\n", NULL, "line 1 of the message: a bare CR"},
	    {"a\n\r", NULL, "line 2 of the message: a bare CR"},
	    {"\r", NULL, "line 1 of the message: a bare CR"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct message message;
		char got[64] = "";
		int r = read_text(rows[i].input, strlen(rows[i].input), NO_LIMIT, &message);
		assert_int_equal(r, rows[i].output != NULL ? 0 : -EBADMSG);
		assert_string_equal(message.complaint, rows[i].complaint);
		if (r == 0) {
			assert_int_equal(message.bytes, strlen(rows[i].output));
			assert_true(pread(message.fd, got, sizeof got - 1, 0) >= 0);
			assert_string_equal(got, rows[i].output);
		}
		message_fini(&message);
	}
}

static void what_a_message_needs(void **state)
{
	(void)state;
	static const struct {
		const char *input;
		bool eight_bit, utf8_header, tls_not_required;
	} rows[] = {
	    {"Subject: a\n\nb\n", false, false, false},
	    {"Subject: a\n\n\xc3\xbc\n", true, false, false},
	    {"Subject: \xc3\xbc\n\nb\n", true, true, false},
	    {"TLS-Required: No\n\n", false, false, true},
	    {"tls-required:no", false, false, true},
	    {"A: b\r\nTLS-REQUIRED:\t NO \t\r\n\r\n", false, false, true},
	    {"TLS-Required: Not\n\n", false, false, false},
	    {"TLS-Required: Yes\n\n", false, false, false},
	    {"TLS-Required:\n\n", false, false, false},
	    {"X-TLS-Required: No\n\n", false, false, false},
	    {" TLS-Required: No\n\n", false, false, false},
	    {"\nTLS-Required: No\n", false, false, false},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct message message;
		assert_int_equal(
		    read_text(rows[i].input, strlen(rows[i].input), NO_LIMIT, &message), 0);
		assert_int_equal(message.eight_bit, rows[i].eight_bit);
		assert_int_equal(message.utf8_header, rows[i].utf8_header);
		assert_int_equal(message.tls_not_required, rows[i].tls_not_required);
		message_fini(&message);
	}
}

static void message_limits(void **state)
{
	(void)state;
	struct message message;
	char line[1000];
	memset(line, 'x', sizeof line);
	line[998] = '\n';
	assert_int_equal(read_text(line, 999, NO_LIMIT, &message), 0);
	message_fini(&message);
	line[998] = 'x';
	assert_int_equal(read_text(line, 999, NO_LIMIT, &message), -EBADMSG);
	message_fini(&message);
	assert_int_equal(read_text("\0", 1, NO_LIMIT, &message), -EBADMSG);
	message_fini(&message);
	assert_int_equal(read_text("abc\n", 4, 5, &message), 0);
	message_fini(&message);
	assert_int_equal(read_text("abc\n", 4, 4, &message), -EFBIG);
	assert_string_equal(
	    message.complaint, "the message has more than 4 octets (see --max-size)");
	message_fini(&message);
}

static void no_room_for_the_message(void **state)
{
	(void)state;
	struct message message;
	setenv("TMPDIR", "/nonexistent", 1);
	assert_int_equal(read_text("a\n", 2, NO_LIMIT, &message), -ENOENT);
	assert_string_equal(
	    message.complaint, "cannot make a file in TMPDIR: No such file or directory");
	message_fini(&message);
	unsetenv("TMPDIR");
}

static void addresses(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *address; /* NULL: refused */
		const char *next_hop;
		bool utf8;
	} rows[] = {
	    {"a@example.org", "a@example.org", "example.org", false},
	    {"A.b+c@EXAMPLE.org.", "A.b+c@example.org", "example.org", false},
	    {"\"a b\"@example.org", "\"a b\"@example.org", "example.org", false},
	    {"\"a@b\"@example.org", "\"a@b\"@example.org", "example.org", false},
	    {"\"a\\\"b\"@example.org", "\"a\\\"b\"@example.org", "example.org", false},
	    {"\"a>\"@example.org", "\"a>\"@example.org", "example.org", false},
	    {"a@b\xc3\xbc"
	     "cher.example",
		"a@xn--bcher-kva.example", "xn--bcher-kva.example", false},
	    {"b\xc3\xbc@example.org", "b\xc3\xbc@example.org", "example.org", true},
	    {"a@[192.0.2.1]", "a@[192.0.2.1]", "[192.0.2.1]", false},
	    {"a@[2001:DB8::1]", "a@[IPv6:2001:DB8::1]", "[2001:db8::1]", false},
	    {"a@[IPv6:2001:DB8::1]", "a@[IPv6:2001:DB8::1]", "[2001:db8::1]", false},
	    {"", NULL, NULL, false},
	    {"<>", NULL, NULL, false},
	    {"example.org", NULL, NULL, false},
	    {"@example.org", NULL, NULL, false},
	    {"a@", NULL, NULL, false},
	    {"a@.", NULL, NULL, false},
	    {"a b@example.org", NULL, NULL, false},
	    {"a>@example.org", NULL, NULL, false},
	    {"<a@example.org>", NULL, NULL, false},
	    {"a\r\nDATA@example.org", NULL, NULL, false},
	    {"\"a\r\n\"@example.org", NULL, NULL, false},
	    {"\"a\"b\"@example.org", NULL, NULL, false},
	    {"\"a\\\"@example.org", NULL, NULL, false},
	    {"\"@example.org", NULL, NULL, false},
	    {"a@b@example.org", NULL, NULL, false},
	    {"a@exa mple.org", NULL, NULL, false},
	    {"a@example.org>", NULL, NULL, false},
	    {"a@example.org\r\nRSET", NULL, NULL, false},
	    {"a@b\\046c.example", NULL, NULL, false},
	    {"a@*.example.org", NULL, NULL, false},
	    {"a@[mx.example.org]", NULL, NULL, false},
	    {"a@192.0.2.1", NULL, NULL, false},
	    {"\xff@example.org", NULL, NULL, false},
	    {"\xc3@example.org", NULL, NULL, false},
	    {"\xed\xa0\x80@example.org", NULL, NULL, false},
	    {"\xc0\x8d\xc0\x8a@example.org", NULL, NULL, false}, /* CR LF, overlong */
	    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@example.org", NULL,
		NULL, false},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct mail_address address;
		char detail[ADDRESS_DETAIL_MAX] = "";
		int r = address_parse(rows[i].text, false, &address, detail);
		if (rows[i].address == NULL) {
			assert_int_equal(r, -1);
			assert_non_null(strstr(detail, "is no mail address"));
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(address.text, rows[i].address);
		assert_string_equal(address.next_hop, rows[i].next_hop);
		assert_int_equal(address.utf8, rows[i].utf8);
	}
}

static void the_null_address(void **state)
{
	(void)state;
	struct mail_address address;
	char detail[ADDRESS_DETAIL_MAX];
	assert_int_equal(address_parse("", true, &address, detail), 0);
	assert_string_equal(address.text, "");
	assert_int_equal(address_parse("<>", true, &address, detail), 0);
	assert_string_equal(address.text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(messages),
	    cmocka_unit_test(what_a_message_needs),
	    cmocka_unit_test(message_limits),
	    cmocka_unit_test(no_room_for_the_message),
	    cmocka_unit_test(addresses),
	    cmocka_unit_test(the_null_address),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
