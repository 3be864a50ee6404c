/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the fleet's store is: what fleet.redis may say. */
#include <string.h>

#include "resolverd/base/store.h"
#include "tests/unit/test.h"

static struct store_address good(const char *text)
{
	struct store_address address;
	const char *problem = store_parse(text, &address);
	if (problem != NULL)
		fail_msg("%s: %s", text, problem);
	return address;
}

static void nothing_is_no_store(void **state)
{
	(void)state;
	assert_int_equal(good("").kind, STORE_NONE);
}

static void a_path(void **state)
{
	struct store_address address = good("unix:/run/redis.sock");
	(void)state;
	assert_int_equal(address.kind, STORE_UNIX);
	assert_string_equal(address.path, "/run/redis.sock");
}

static void assert_server(const char *text, const char *host, uint16_t port)
{
	struct store_address address = good(text);
	assert_int_equal(address.kind, STORE_TCP);
	assert_int_equal(address.server_count, 1);
	assert_string_equal(address.servers[0].host, host);
	assert_int_equal(address.servers[0].port, port);
}

static void a_host_and_its_port(void **state)
{
	(void)state;
	assert_server("redis://store.example", "store.example", 6379);
	assert_server("redis://store.example:1", "store.example", 1);
	assert_server("redis://192.0.2.1:65535", "192.0.2.1", 65535);
	assert_server("redis://[2001:db8::1]", "2001:db8::1", 6379);
	assert_server("redis://[2001:db8::1]:7000", "2001:db8::1", 7000);
}

static void sentinels_and_their_master(void **state)
{
	struct store_address address =
	    good("sentinel://a.example,192.0.2.2:7,[2001:db8::3]:8/mail");
	(void)state;
	assert_int_equal(address.kind, STORE_SENTINEL);
	assert_string_equal(address.master, "mail");
	assert_int_equal(address.server_count, 3);
	assert_string_equal(address.servers[0].host, "a.example");
	assert_int_equal(address.servers[0].port, 26379);
	assert_string_equal(address.servers[1].host, "192.0.2.2");
	assert_int_equal(address.servers[1].port, 7);
	assert_string_equal(address.servers[2].host, "2001:db8::3");
	assert_int_equal(address.servers[2].port, 8);
}

static void what_is_no_address(void **state)
{
	static const char *const bad[] = {"/run/redis.sock", "unix:", "unix:redis.sock",
	    "redis:", "redis://", "redis://:6379", "redis://host:", "redis://host:0",
	    "redis://host:65536", "redis://host:6379/0", "redis://user@host", "redis://host:63 79",
	    "redis://[::1", "redis://[]", "redis://[::1]6379", "redis://a,b", "redis://::1",
	    "rediss://host", "sentinel://", "sentinel://a", "sentinel://a/", "sentinel:///m",
	    "sentinel://a,/m", "sentinel://,a/m", "sentinel://a:x/m", "sentinel://a/m/n",
	    "sentinel://a,b,c,d,e,f,g,h,i/m"};
	struct store_address address;
	char text[400];
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (store_parse(bad[i], &address) == NULL)
			fail_msg("%s is taken", bad[i]);
	memset(text, 'x', sizeof text);
	memcpy(text, "unix:/", 6);
	text[sizeof text - 1] = '\0';
	assert_non_null(store_parse(text, &address));
	memcpy(text, "redis://", 8);
	assert_non_null(store_parse(text, &address));
	memcpy(text, "sentinel://a/", 13);
	assert_non_null(store_parse(text, &address));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_no_store),
	    cmocka_unit_test(a_path),
	    cmocka_unit_test(a_host_and_its_port),
	    cmocka_unit_test(sentinels_and_their_master),
	    cmocka_unit_test(what_is_no_address),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
