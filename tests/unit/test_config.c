/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration file and --set. A row that is refused names all words its message must have. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/base/config.h"
#include "tests/unit/test.h"

#define A10 "aaaaaaaaaa"
#define A100 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10

static int parse(const char *text, const char *const *set, char error[500], struct config *config)
{
	struct config_source source = {.file = "test.conf", .text = text, .set = set};
	memset(error, 0, 500);
	return config_parse(&source, error, 500, config);
}

static void parse_good(const char *text, const char *const *set, struct config *config)
{
	char error[500];
	if (parse(text, set, error, config) != 0)
		fail_msg("refused: %s", error);
}

/* ---- memory ---- */

extern char __executable_start, etext;
static int copies_left = -1; /* until strdup fails once; negative: never */

/* In the library's place, for everything in this program. */
char *strdup(const char *text)
{
	const char *caller = __builtin_return_address(0);
	size_t bytes = strlen(text) + 1;
	if (caller >= &__executable_start && caller < &etext && copies_left >= 0 &&
	    copies_left-- == 0)
		return NULL;
	char *copy = malloc(bytes);
	return copy != NULL ? memcpy(copy, text, bytes) : NULL;
}

/* An allow-users of which a name is lost would let everybody in. */
static void a_configuration_is_whole_or_none(void **state)
{
	static const char text[] =
	    "server {\n allow-users = {1, 2}\n allow-groups = {3}\n socket-group = root\n}\n"
	    "resolver {\n forward = {192.0.2.1}\n canary-secure = {a.org}\n}\n"
	    "unbound {\n do-ip6 = no\n}\nprefetch {\n domains-file = /a\n}\n"
	    "zone \"a.org\" {\n stub = {192.0.2.1}\n}\n"
	    "override \"b.org\" {\n requirement = off\n reason = none\n}\n";
	struct config config;
	char error[500];
	int copies = 0;
	(void)state;
	for (;; copies++) {
		copies_left = copies;
		int r = parse(text, NULL, error, &config);
		bool failed = copies_left < 0;
		copies_left = -1;
		if (!failed)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_non_null(strstr(error, "out of memory"));
		assert_true(copies < 100);
	}
	assert_true(copies > 15);
	config_fini(&config);
}

/* ---- defaults ---- */

static void assert_defaults(const struct config *config)
{
	assert_int_equal(config->server.sandbox, SANDBOX_AUTO);
	assert_int_equal(config->server.max_clients_per_user, 9000);
	assert_int_equal(config->server.max_buffered_per_user_bytes, 64 << 20);
	assert_null(config->server.allow_users[0]);
	assert_null(config->server.allow_groups[0]);
	assert_string_equal(config->server.socket, "/run/resolverd/resolverd.sock");
	assert_string_equal(config->server.control_socket, "/run/resolverd/control.sock");
	assert_int_equal(config->server.socket_mode, 0660);
	assert_null(config->server.socket_group);
	assert_int_equal(config->server.max_clients, 10000);
	assert_int_equal(config->server.max_jobs_per_client, 4096);
	assert_int_equal(config->server.max_jobs_per_user, 16384);
	assert_string_equal(config->signing.key_file, ""); /* in the state directory */
	assert_string_equal(config->signing.second_key_file, "");
	assert_int_equal(config->signing.delegation_life_ms, 86400000);
	assert_true(config->signing.member[0] != '\0'); /* the host's name */
	assert_int_equal(config->cache.max_memory_bytes, 256 << 20);
	assert_int_equal(config->cache.min_ttl_ms, 0);
	assert_int_equal(config->cache.max_ttl_ms, 86400000);
	assert_int_equal(config->cache.failure_ttl_ms, 15000);
	assert_int_equal(config->cache.stale_ms, 0); /* m06: only where the operator says so */
	assert_int_equal(config->prefetch.rule, PREFETCH_AHEAD);
	assert_null(config->prefetch.domains_file);
	assert_in_range(config->resolver.workers, 2, 4);
	assert_null(config->resolver.forward[0]);
	assert_int_equal(config->resolver.deadline_ms, 10000);
	assert_int_equal(config->resolver.insecure_mx_policy,
	    RESOLVERD__V1__INSECURE_MX_POLICY__INSECURE_MX_DANE);
	assert_int_equal(config->resolver.digest_count, 2);
	assert_int_equal(config->resolver.digests[0], 2);
	assert_int_equal(config->resolver.digests[1], 1);
	assert_int_equal(config->unbound_count, 0);
}

static void nothing_configured_gives_the_defaults(void **state)
{
	static const char *const texts[] = {
	    "", "\n", "# nothing\n", "server {\n}\n", "resolver { }\n"};
	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct config config;
		parse_good(texts[i], NULL, &config);
		assert_defaults(&config);
		config_fini(&config);
	}
	struct config config;
	char error[500];
	struct config_source source = {.file = NULL, .text = ""};
	assert_int_equal(config_parse(&source, error, sizeof error, &config), 0);
	assert_defaults(&config);
	config_fini(&config);
}

/* Tests run in the top folder. */
static void the_example_file_shows_the_defaults(void **state)
{
	char error[500];
	struct config config;
	(void)state;
	char *text = config_read_file("docs/examples/resolverd.conf", false, error, sizeof error);
	assert_non_null(text);
	parse_good(text, NULL, &config);
	assert_defaults(&config);
	assert_int_equal(config.override_count + config.zone_count, 0);
	config_fini(&config);
	free(text);
}

/* ---- what is taken ---- */

static void every_key_is_taken(void **state)
{
	struct config config;
	(void)state;
	parse_good(
	    "server {\n socket = /a/s\n control-socket = /a/c\n socket-mode = 0600\n"
	    " socket-group = mail\n state-directory = /a/state\n max-clients = 7\n"
	    " max-jobs-per-client = 8\n max-jobs-per-user = 9\n sandbox = required\n"
	    " max-clients-per-user = 3\n max-buffered-per-user = 5M\n"
	    " allow-users = {postfix, 1000}\n allow-groups = {mail}\n}\n"
	    "signing {\n public-key-file = /a/pub\n member = mx1\n key-file = /a/key\n"
	    " second-key-file = /a/next\n}\n"
	    "cache {\n max-memory = 64M\n min-ttl = 5s\n max-ttl = 2h\n failure-ttl = 250ms\n"
	    " stale = 1d\n}\n"
	    "prefetch {\n rule = on-hit\n domains-file = /a/domains\n}\n"
	    "resolver {\n workers = 3\n root-hints = /a/hints\n trust-anchor-file = /a/key\n"
	    " deadline = 5s\n insecure-mx-policy = unreachable\n"
	    " forward = {192.0.2.1, \"192.0.2.2@5353\"}\n digests = {sha256}\n}\n"
	    "unbound {\n do-ip6 = no\n verbosity = 2\n}\n",
	    NULL, &config);
	assert_string_equal(config.server.socket, "/a/s");
	assert_string_equal(config.server.control_socket, "/a/c");
	assert_int_equal(config.server.socket_mode, 0600);
	assert_string_equal(config.server.socket_group, "mail");
	assert_int_equal(config.server.max_clients, 7);
	assert_int_equal(config.server.max_jobs_per_client, 8);
	assert_int_equal(config.server.max_jobs_per_user, 9);
	assert_int_equal(config.server.sandbox, SANDBOX_REQUIRED);
	assert_int_equal(config.server.max_clients_per_user, 3);
	assert_int_equal(config.server.max_buffered_per_user_bytes, 5 << 20);
	assert_string_equal(config.server.allow_users[0], "postfix");
	assert_string_equal(config.server.allow_users[1], "1000");
	assert_null(config.server.allow_users[2]);
	assert_string_equal(config.server.allow_groups[0], "mail");
	assert_int_equal(config.cache.stale_ms, 86400000);
	assert_int_equal(config.prefetch.rule, PREFETCH_ON_HIT);
	assert_string_equal(config.prefetch.domains_file, "/a/domains");
	assert_string_equal(config.signing.key_file, "/a/key");
	assert_string_equal(config.signing.second_key_file, "/a/next");
	assert_string_equal(config.signing.public_key_file, "/a/pub");
	assert_string_equal(config.signing.member, "mx1");
	assert_int_equal(config.cache.max_memory_bytes, 64 << 20);
	assert_int_equal(config.cache.min_ttl_ms, 5000);
	assert_int_equal(config.cache.max_ttl_ms, 7200000);
	assert_int_equal(config.cache.failure_ttl_ms, 250);
	assert_int_equal(config.resolver.workers, 3);
	assert_string_equal(config.resolver.root_hints, "/a/hints");
	assert_string_equal(config.resolver.trust_anchor_file, "/a/key");
	assert_int_equal(config.resolver.deadline_ms, 5000);
	assert_int_equal(config.resolver.insecure_mx_policy,
	    RESOLVERD__V1__INSECURE_MX_POLICY__INSECURE_MX_UNREACHABLE);
	assert_string_equal(config.resolver.forward[0], "192.0.2.1");
	assert_string_equal(config.resolver.forward[1], "192.0.2.2@5353");
	assert_null(config.resolver.forward[2]);
	assert_int_equal(config.resolver.digest_count, 1);
	assert_int_equal(config.resolver.digests[0], 1);
	assert_int_equal(config.unbound_count, 2);
	assert_string_equal(config.unbound[0].name, "do-ip6");
	assert_string_equal(config.unbound[0].value, "no");
	config_fini(&config);
}

static void set_goes_over_the_file(void **state)
{
	static const char *const set[] = {"resolver.deadline=3s", "server.socket=/b/s",
	    "resolver.forward=192.0.2.1,192.0.2.2@53,2001:db8::1", "resolver.digests=sha256,sha512",
	    "unbound.do-ip4=no", "signing.member=a=b", NULL};
	struct config config;
	(void)state;
	parse_good("resolver {\n deadline = 5s\n forward = {198.51.100.1}\n workers = 4\n}\n", set,
	    &config);
	assert_int_equal(config.resolver.deadline_ms, 3000);
	assert_int_equal(config.resolver.workers, 4);
	assert_string_equal(config.server.socket, "/b/s");
	assert_string_equal(config.resolver.forward[0], "192.0.2.1");
	assert_string_equal(config.resolver.forward[2], "2001:db8::1");
	assert_null(config.resolver.forward[3]);
	assert_int_equal(config.resolver.digests[0], 1);
	assert_int_equal(config.resolver.digests[1], 2);
	assert_string_equal(config.signing.member, "a=b");
	assert_string_equal(config.unbound[0].value, "no");
	config_fini(&config);
}

static void socket_path_of_107_bytes_is_taken(void **state)
{
	struct config config;
	(void)state;
	parse_good("server { socket = /" A100 "aaaaaa\n}\n", NULL, &config);
	assert_int_equal(strlen(config.server.socket), 107);
	config_fini(&config);
}

static void titled_sections_are_taken(void **state)
{
	struct config config;
	(void)state;
	parse_good(
	    "resolver {\n canary-secure = {A.org, b.org}\n canary-bogus = {c.org}\n}\n"
	    "override \"b.org\" {\n requirement = off\n reason = \"x y\"\n until = 2027-01-01\n}\n"
	    "override \".A.org\" {\n requirement = audit\n}\n"
	    "zone \"Corp.Example.\" {\n forward = {192.0.2.1, \"2001:db8::1@5353\"}\n"
	    " insecure-until = \"2027-01-01T00:00:01Z\"\n}\n"
	    "zone \"b.org\" {\n stub = {192.0.2.2}\n"
	    " trust-anchor = {\"DNSKEY 257 3 13 AAAAAAAAAAAAAAAAAAAAAA==\"}\n}\n",
	    NULL, &config);
	assert_int_equal(config.resolver.canary_count, 3);
	assert_string_equal(config.resolver.canaries[0].name, "a.org");
	assert_int_equal(config.resolver.canaries[2].expected, RESOLVERD__V1__STATUS__BOGUS);
	assert_int_equal(config.override_count, 2); /* sorted */
	assert_string_equal(config.overrides[0].next_hop, ".a.org");
	assert_int_equal(config.overrides[0].until_ms, 0);
	assert_string_equal(config.overrides[1].reason, "x y");
	assert_int_equal(config.overrides[1].until_ms, INT64_C(1798761600000));
	assert_int_equal(config.zone_count, 2);
	assert_string_equal(config.zones[0].name, "corp.example");
	assert_string_equal(config.zones[0].forward[1], "2001:db8::1@5353");
	assert_null(config.zones[0].forward[2]);
	assert_int_equal(config.zones[0].insecure_until_ms, INT64_C(1798761601000));
	assert_string_equal(config.zones[1].stub[0], "192.0.2.2");
	assert_int_equal(config.zones[1].insecure_until_ms, 0);
	config_fini(&config);
}

static void a_reload_keeps_what_it_cannot_change_and_names_it(void **state)
{
	struct config current, next;
	char changed[300];
	(void)state;
	parse_good("server {\n socket = /a\n}\nsigning {\n member = m1\n}\n", NULL, &current);
	parse_good("server {\n socket = /b\n max-clients = 5\n}\ncache {\n max-memory = 2M\n}\n"
		   "signing {\n member = m1\n}\n",
	    NULL, &next);
	config_keep_fixed(&next, &current, changed, sizeof changed);
	assert_string_equal(changed, "server.socket, cache.max-memory");
	assert_string_equal(next.server.socket, "/a");
	assert_string_equal(next.server.control_socket, "/a.control");
	assert_int_equal(next.cache.max_memory_bytes, 256 << 20);
	assert_int_equal(next.server.max_clients, 5);
	config_fini(&current);
	config_fini(&next);
}

static void only_what_workers_act_on_is_their_text(void **state)
{
	static const struct {
		const char *text;
		bool same;
	} rows[] = {{"", true}, {"server {\n max-clients = 5\n}\n", true},
	    {"override \"a.org\" {\n requirement = off\n}\n", true},
	    {"cache {\n failure-ttl = 3s\n stale = 1h\n min-ttl = 9s\n}\n", true},
	    {"prefetch {\n rule = off\n domains-file = /a\n}\n", true},
	    {"cache {\n max-ttl = 1h\n}\n", false},
	    {"resolver {\n forward = {192.0.2.1}\n}\n", false},
	    {"unbound {\n do-ip6 = no\n}\n", false},
	    {"zone \"a.org\" {\n insecure-until = 2030-01-01\n}\n", false}};
	struct config plain;
	(void)state;
	parse_good("", NULL, &plain);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct config config;
		parse_good(rows[i].text, NULL, &config);
		assert_int_equal(strcmp(config.worker_text, plain.worker_text) == 0, rows[i].same);
		config_fini(&config);
	}
	config_fini(&plain);
}

/* ---- what is refused ---- */

static const struct row {
	const char *name, *text, *set;
	const char *words[4];
} rows[] = {
    {"unknown_key_names_file_and_line", "server {\n\n sokcet = /a\n}\n", NULL,
	{"test.conf:3", "sokcet"}},
    {"unknown_section_names_file_and_line", "cache {\n}\nnosuch {\n}\n", NULL,
	{"test.conf:3", "nosuch"}},
    {"bad_value_names_file_line_key_and_value", "resolver {\n workers = 2\n deadline = soon\n}\n",
	NULL, {"test.conf:3", "resolver.deadline", "soon", "duration"}},
    {"unclosed_section", "server {\n socket = /a\n", NULL, {"test.conf"}},
    {"socket_path_of_108_bytes", "server {\n socket = /" A100 "aaaaaaa\n}\n", NULL,
	{"test.conf:2", "server.socket", "too long"}},
    {"control_socket_path_of_108_bytes", "server {\n control-socket = /" A100 "aaaaaaa\n}\n", NULL,
	{"server.control-socket", "too long"}},
    {"relative_socket_path", "server {\n socket = run/s\n}\n", NULL, {"absolute path"}},
    {"empty_socket_path", "server {\n socket = \"\"\n}\n", NULL, {"server.socket"}},
    {"control_character_in_a_path", "signing {\n key-file = \"/a\\tb\"\n}\n", NULL,
	{"signing.key-file", "control character"}},
    {"a_line_end_in_what_is_quoted", "server {\n socket = \"${HOME}/\\x41\\n\"\n}\n", NULL,
	{"server.socket"}},
    {"sandbox_of_no_kind", "server {\n sandbox = yes\n}\n", NULL,
	{"server.sandbox", "auto, required or off"}},
    {"too_little_for_a_response", "server {\n max-buffered-per-user = 3M\n}\n", NULL,
	{"server.max-buffered-per-user", "4M"}},
    {"mode_not_octal", "server {\n socket-mode = 0688\n}\n", NULL, {"socket-mode", "octal"}},
    {"mode_over_777", "server {\n socket-mode = 1777\n}\n", NULL, {"socket-mode", "octal"}},
    {"count_of_0_clients", "server {\n max-clients = 0\n}\n", NULL, {"max-clients", "range"}},
    {"count_with_a_unit", "server {\n max-clients = 7k\n}\n", NULL, {"max-clients", "number"}},
    {"count_over_the_range", "resolver {\n workers = 65\n}\n", NULL, {"workers", "range"}},
    {"negative_count", "resolver {\n workers = -1\n}\n", NULL, {"workers", "range"}},
    {"count_over_64_bits", "resolver {\n workers = 99999999999999999999\n}\n", NULL,
	{"workers", "range"}},
    {"duration_below_the_range", "cache {\n failure-ttl = 99ms\n}\n", NULL,
	{"failure-ttl", "range"}},
    {"duration_above_the_range", "cache {\n max-ttl = 8d\n}\n", NULL, {"max-ttl", "range"}},
    {"negative_duration", "cache {\n min-ttl = -1s\n}\n", NULL, {"min-ttl", "duration"}},
    {"size_below_1m", "cache {\n max-memory = 1000k\n}\n", NULL, {"max-memory", "1M"}},
    {"size_without_number", "cache {\n max-memory = M\n}\n", NULL, {"max-memory", "size"}},
    {"m06_stale_above_the_range", "cache {\n stale = 8d\n}\n", NULL, {"cache.stale", "range"}},
    {"m06_stale_that_is_no_duration", "cache {\n stale = yes\n}\n", NULL,
	{"test.conf:2", "cache.stale", "duration"}},
    {"prefetch_rule_unknown", "prefetch {\n rule = sometimes\n}\n", NULL,
	{"test.conf:2", "prefetch.rule", "sometimes", "ahead"}},
    {"no_jobs_for_a_client", "server {\n max-jobs-per-client = 0\n}\n", NULL,
	{"max-jobs-per-client", "range"}},
    {"no_jobs_for_a_user", "server {\n max-jobs-per-user = 0\n}\n", NULL,
	{"max-jobs-per-user", "range"}},
    {"insecure_mx_policy_unknown", "resolver {\n insecure-mx-policy = Dane\n}\n", NULL,
	{"insecure-mx-policy", "dane, opportunistic or unreachable"}},
    {"j05_digest_unknown", "resolver {\n digests = {md5}\n}\n", NULL, {"resolver.digests", "md5"}},
    {"j05_digest_twice", "resolver {\n digests = {sha256, sha256}\n}\n", NULL,
	{"resolver.digests", "each once"}},
    {"canary_that_is_no_name", "resolver {\n canary-bogus = {a..b}\n}\n", NULL,
	{"canary-bogus", "a..b", "empty label"}},
    {"forward_that_is_no_address", "resolver {\n forward = {dns.example}\n}\n", NULL,
	{"resolver.forward", "dns.example", "IP address"}},
    {"forward_with_port_0", "resolver {\n forward = {\"192.0.2.1@0\"}\n}\n", NULL,
	{"resolver.forward", "port"}},
    {"override_without_requirement", "\noverride \"a.org\" {\n}\n", NULL,
	{"test.conf:3", "override \"a.org\"", "requirement"}},
    {"override_with_unknown_requirement", "override \"a.org\" {\n requirement = on\n}\n", NULL,
	{"test.conf:2", "a.org", "\"on\"", "normal, mandatory, audit or off"}},
    {"override_of_an_address", "override \"192.0.2.1\" {\n requirement = off\n}\n", NULL,
	{"override \"192.0.2.1\"", "brackets"}},
    {"override_of_no_name", "override \"a..b\" {\n requirement = off\n}\n", NULL,
	{"override \"a..b\"", "empty label"}},
    {"override_without_title", "override {\n requirement = off\n}\n", NULL, {"title"}},
    {"override_twice",
	"override \"a.org\" {\n requirement = off\n}\noverride \"a.org\" {\n"
	" requirement = off\n}\n",
	NULL, {"a.org", "duplicate"}},
    {"override_twice_in_other_letters",
	"override \"a.org\" {\n requirement = off\n}\noverride \"A.Org.\" {\n"
	" requirement = off\n}\n",
	NULL, {"override \"a.org\"", "twice"}},
    {"until_that_is_no_day", "override \"a.org\" {\n requirement = off\n until = 2027-02-30\n}\n",
	NULL, {"test.conf:3", "until", "2027-02-30", "no date"}},
    {"until_with_a_time_zone",
	"override \"a.org\" {\n requirement = off\n until = \"2027-02-03T10:00+01:00\"\n}\n", NULL,
	{"test.conf:3", "no date"}},
    {"zone_that_sets_nothing", "zone \"a.org\" {\n}\n", NULL, {"zone \"a.org\"", "nothing"}},
    {"zone_of_the_root", "zone \".\" {\n forward = {192.0.2.1}\n}\n", NULL,
	{"zone \".\"", "resolver.forward"}},
    {"zone_with_forward_and_stub",
	"zone \"a.org\" {\n forward = {192.0.2.1}\n stub = {192.0.2.2}\n}\n", NULL,
	{"a.org", "forward", "stub", "keep one"}},
    {"zone_with_anchor_and_without_validation",
	"zone \"a.org\" {\n trust-anchor = {\"DS 1 13 2 "
	"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}\n"
	" insecure-until = 2030-01-01\n}\n",
	NULL, {"a.org", "trust-anchor", "insecure-until"}},
    {"zone_with_a_bad_server", "zone \"a.org\" {\n stub = {ns.a.org}\n}\n", NULL,
	{"a.org", "stub", "ns.a.org"}},
    {"zone_with_a_bad_anchor", "zone \"a.org\" {\n trust-anchor = {\"DS x\"}\n}\n", NULL,
	{"a.org", "trust-anchor", "DS x"}},
    {"zone_with_an_anchor_that_libunbound_would_ignore",
	"zone \"a.org\" {\n trust-anchor = {\"DS 12345 16 2 "
	"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}\n}\n",
	NULL, {"a.org", "trust-anchor", "algorithm"}},
    {"zone_with_a_digest_of_another_length",
	"zone \"a.org\" {\n trust-anchor = {\"DS 12345 13 2 "
	"00112233445566778899aabbccddeeff00112233\"}\n"
	"}\n",
	NULL, {"a.org", "trust-anchor", "DS 12345"}},
    {"unbound_stub_zone_points_to_ours", "unbound {\n stub-zone = x\n}\n", NULL,
	{"unbound.stub-zone", "zone section"}},
    {"j05_no_digest", "resolver {\n digests = {}\n}\n", NULL, {"resolver.digests", "empty"}},
    {"j05_three_digests", "resolver {\n digests = {sha512, sha256, sha512}\n}\n", NULL,
	{"resolver.digests", "each once"}},

    {"unbound_trust_anchor_points_to_ours", "unbound {\n trust-anchor = x\n}\n", NULL,
	{"test.conf:2", "unbound.trust-anchor", "resolver.trust-anchor-file"}},
    {"unbound_auto_trust_anchor_points_to_ours", "unbound {\n auto-trust-anchor-file = x\n}\n",
	NULL, {"resolver.trust-anchor-file"}},
    {"unbound_interface_is_no_name", "unbound {\n outgoing-interface = eth0\n}\n", NULL,
	{"unbound.outgoing-interface", "'eth0'", "no address"}},
    {"unbound_interface_is_something", "unbound {\n outgoing-interface = \"\"\n}\n", NULL,
	{"unbound.outgoing-interface", "no address"}},
    {"unbound_interface_has_no_prefix_of_ipv4",
	"unbound {\n outgoing-interface = 192.0.2.0/24\n}\n", NULL,
	{"unbound.outgoing-interface", "IPv6 prefix"}},
    {"unbound_interface_prefix_in_bounds",
	"unbound {\n outgoing-interface = \"2001:db8::/129\"\n}\n", NULL,
	{"unbound.outgoing-interface", "IPv6 prefix"}},
    {"unbound_range_is_positive", "unbound {\n outgoing-range = -1\n}\n", NULL,
	{"unbound.outgoing-range", "from 1 to 65535"}},
    {"unbound_num_tcp_is_not_negative", "unbound {\n outgoing-num-tcp = -1\n}\n", NULL,
	{"unbound.outgoing-num-tcp", "from 0 to 65535"}},
    {"unbound_queries_in_bounds", "unbound {\n num-queries-per-thread = 65536\n}\n", NULL,
	{"unbound.num-queries-per-thread", "from 1 to 65535"}},
    {"unbound_root_hints_points_to_ours", "unbound {\n root-hints = x\n}\n", NULL,
	{"unbound.root-hints", "resolver.root-hints"}},
    {"unbound_forward_zone_points_to_ours", "unbound {\n forward-zone = x\n}\n", NULL,
	{"unbound.forward-zone", "resolver.forward"}},
    {"unbound_domain_insecure_is_refused", "unbound {\n domain-insecure = x\n}\n", NULL,
	{"unbound.domain-insecure", "not passed on"}},
    {"unbound_permissive_mode_is_refused", "unbound {\n val-permissive-mode = yes\n}\n", NULL,
	{"validation is always on"}},
    {"unbound_module_config_is_refused", "unbound {\n module-config = iterator\n}\n", NULL,
	{"validation is always on"}},
    {"unbound_date_override_is_refused", "unbound {\n val-override-date = -1\n}\n", NULL,
	{"unbound.val-override-date"}},
    {"unbound_max_ttl_points_to_ours", "unbound {\n cache-max-ttl = 9\n}\n", NULL,
	{"cache.max-ttl"}},
    {"m06_unbound_serve_expired_is_refused", "unbound {\n serve-expired = yes\n}\n", NULL,
	{"serve-expired", "cache.stale"}},
    {"unbound_unknown_is_refused", "unbound {\n nosuch = 1\n}\n", NULL, {"test.conf:2", "nosuch"}},

    {"set_without_equals", "", "resolver.deadline", {"--set", "section.key=value"}},
    {"set_without_section", "", "deadline=3s", {"--set", "section.key=value"}},
    {"set_with_the_dot_in_the_value", "", "deadline=3.5", {"--set", "section.key=value"}},
    {"set_of_an_unknown_section", "", "nosuch.deadline=3s", {"--set", "nosuch.deadline"}},
    {"set_of_an_unknown_key", "", "resolver.nosuch=3s", {"--set", "resolver.nosuch"}},
    {"set_of_a_bad_value", "", "resolver.deadline=soon",
	{"--set", "resolver.deadline", "duration"}},
    {"set_of_a_refused_unbound_key", "unbound {\n}\n", "unbound.trust-anchor=x",
	{"--set", "resolver.trust-anchor-file"}},
    {"set_of_a_bad_digest", "", "resolver.digests=sha512,sha1", {"resolver.digests", "sha1"}},
    {"set_over_512_bytes", "", "signing.member=" A100 A100 A100 A100 A100 A100, {"--set"}},
};

static void row_is_refused(void **state)
{
	const struct row *row = *state;
	const char *const set[] = {row->set, NULL};
	struct config config, untouched;
	char error[500];
	memset(&config, 0xa5, sizeof config);
	untouched = config;
	assert_int_equal(parse(row->text, set, error, &config), -22);
	for (size_t i = 0; i < COUNT(row->words) && row->words[i] != NULL; i++)
		if (strstr(error, row->words[i]) == NULL)
			fail_msg("'%s' does not say '%s'", error, row->words[i]);
	assert_null(strchr(error, '\n'));
	assert_memory_equal(&config, &untouched, sizeof config); /* results only on success */
}

static void the_first_error_is_the_one_told(void **state)
{
	struct config config;
	char error[500];
	(void)state;
	assert_true(parse("cache {\n max-ttl = x\n}\nresolver {\n workers = y\n}\n", NULL, error,
			&config) < 0);
	assert_non_null(strstr(error, "test.conf:2"));
	assert_null(strstr(error, "workers"));
}

static void a_short_error_buffer_is_not_overrun(void **state)
{
	struct config config;
	char error[24];
	(void)state;
	memset(error, 'z', sizeof error);
	struct config_source source = {.file = "test.conf", .text = "server {\n socket = a\n}\n"};
	assert_true(config_parse(&source, error, 10, &config) < 0);
	assert_int_equal(strlen(error), 9);
	assert_int_equal(error[10], 'z');
}

/* ---- units ---- */

static void durations_and_sizes(void **state)
{
	static const struct {
		const char *text;
		int64_t duration_ms, size_bytes;
	} units[] = {{"0", 0, 0}, {"90", 90000, 90}, {"90s", 90000, -1}, {"5m", 300000, -1},
	    {"2h", 7200000, -1}, {"1d", 86400000, -1}, {"250ms", 250, -1}, {"64M", -1, 64 << 20},
	    {"1G", -1, 1 << 30}, {"3k", -1, 3072}, {"3K", -1, 3072}, {"", -1, -1}, {"s", -1, -1},
	    {"-1", -1, -1}, {"1.5h", -1, -1}, {"1 s", -1, -1}, {"1x", -1, -1}, {"0x10", -1, -1},
	    {"9223372036854775807", -1, -1}, {"99999999999999999999", -1, -1},
	    {"9223372036854775807d", -1, -1}, {"9223372036854775807G", -1, -1}};
	(void)state;
	for (size_t i = 0; i < COUNT(units); i++) {
		if (config_duration_ms(units[i].text) != units[i].duration_ms ||
		    config_size_bytes(units[i].text) != units[i].size_bytes)
			fail_msg("'%s' is %lld ms, %lld bytes", units[i].text,
			    (long long)config_duration_ms(units[i].text),
			    (long long)config_size_bytes(units[i].text));
	}
}

static void addresses_to_ask_from_are_taken(void **state)
{
	static const char *const good[] = {"192.0.2.1", "::1", "2001:db8::1", "2001:db8::/64"};
	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		char text[100];
		struct config config;
		snprintf(text, sizeof text,
		    "unbound {\n outgoing-interface = \"%s\"\n outgoing-num-tcp = 0\n}\n", good[i]);
		parse_good(text, NULL, &config);
		config_fini(&config);
	}
}

/* ---- main ---- */

int main(void)
{
	static struct test_list list;
	ADD_ROWS(&list, rows, row_is_refused);
	ADD_TEST(&list, nothing_configured_gives_the_defaults);
	ADD_TEST(&list, the_example_file_shows_the_defaults);
	ADD_TEST(&list, every_key_is_taken);
	ADD_TEST(&list, set_goes_over_the_file);
	ADD_TEST(&list, socket_path_of_107_bytes_is_taken);
	ADD_TEST(&list, the_first_error_is_the_one_told);
	ADD_TEST(&list, a_short_error_buffer_is_not_overrun);
	ADD_TEST(&list, durations_and_sizes);
	ADD_TEST(&list, titled_sections_are_taken);
	ADD_TEST(&list, a_reload_keeps_what_it_cannot_change_and_names_it);
	ADD_TEST(&list, only_what_workers_act_on_is_their_text);
	ADD_TEST(&list, a_configuration_is_whole_or_none);
	ADD_TEST(&list, addresses_to_ask_from_are_taken);
	return test_run("config", &list, NULL, NULL);
}
