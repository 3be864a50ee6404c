/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Postfix map: its frames and keys; what a plan is in Postfix's words, by the combination table
 * (tests/vectors/plan.json) against a model of what Postfix does at each level; and the probe of
 * Postfix's resolver.
 */
#include <string.h>

#include <jansson.h>

#include "client/postfix/key.h"
#include "client/postfix/netstring.h"
#include "client/postfix/policy.h"
#include "client/postfix/probe.h"
#include "proto/combine.h"
#include "tests/unit/test.h"

#define VECTORS "tests/vectors/plan.json"
#define MAX 20

/* ---- netstrings ---- */

struct netstring_row {
	const char *name, *bytes;
	enum netstring_parse want;
	const char *text;
	size_t consumed;
};

static const struct netstring_row netstrings[] = {
    {"netstring: whole", "5:hello,", NETSTRING_WHOLE, "hello", 8},
    {"netstring: empty", "0:,", NETSTRING_WHOLE, "", 3},
    {"netstring: more behind it", "2:ab,3:cd", NETSTRING_WHOLE, "ab", 5},
    {"netstring: any octets", "3:,:1,", NETSTRING_WHOLE, ",:1", 6},
    {"netstring: as long as may be", "20:12345678901234567890,", NETSTRING_WHOLE,
	"12345678901234567890", 24},
    {"netstring: nothing yet", "", NETSTRING_MORE, NULL, 0},
    {"netstring: half a length", "1", NETSTRING_MORE, NULL, 0},
    {"netstring: no text yet", "5:", NETSTRING_MORE, NULL, 0},
    {"netstring: no comma yet", "5:hello", NETSTRING_MORE, NULL, 0},
    {"netstring: longer than may be", "21:", NETSTRING_MALFORMED, NULL, 0},
    {"netstring: length beyond all bounds", "99999999999999999999999", NETSTRING_MALFORMED, NULL,
	0},
    {"netstring: leading zero", "05:hello,", NETSTRING_MALFORMED, NULL, 0},
    {"netstring: two zeros", "00:,", NETSTRING_MALFORMED, NULL, 0},
    {"netstring: no length", ":hello,", NETSTRING_MALFORMED, NULL, 0},
    {"netstring: sign", "+5:hello,", NETSTRING_MALFORMED, NULL, 0},
    {"netstring: space", "5 :hello,", NETSTRING_MALFORMED, NULL, 0},
    {"netstring: no colon", "5hello,", NETSTRING_MALFORMED, NULL, 0},
    {"netstring: no comma", "5:helloo", NETSTRING_MALFORMED, NULL, 0},
    {"netstring: HTTP", "GET / HTTP/1.1", NETSTRING_MALFORMED, NULL, 0},
};

static void netstring_is_parsed(void **state)
{
	const struct netstring_row *row = *state;
	const char *text = NULL;
	size_t bytes = 0, consumed = 0;
	assert_int_equal(
	    netstring_parse(row->bytes, strlen(row->bytes), MAX, &text, &bytes, &consumed),
	    row->want);
	assert_int_equal(consumed, row->consumed);
	if (row->text != NULL) {
		assert_int_equal(bytes, strlen(row->text));
		assert_memory_equal(text, row->text, bytes);
	}
}

/* ---- keys ---- */

struct key_row {
	const char *name, *request;
	enum key_kind want;
	const char *next_hop;
	unsigned port;
};

static const struct key_row keys[] = {
    {"key: domain", "policy example.org", KEY_NEXT_HOP, "example.org", 0},
    {"key: domain with a port", "policy example.org:587", KEY_NEXT_HOP, "example.org", 587},
    {"key: domain with a port's name", "policy example.org:smtp", KEY_NEXT_HOP, "example.org", 25},
    {"key: host", "policy [mx.example.org]", KEY_NEXT_HOP, "[mx.example.org]", 0},
    {"key: host with a port", "policy [mx.example.org]:10025", KEY_NEXT_HOP, "[mx.example.org]",
	10025},
    {"key: host with a port's name", "policy [mx.example.org]:submission", KEY_NEXT_HOP,
	"[mx.example.org]", 587},
    {"key: IPv4", "policy [192.0.2.1]", KEY_NEXT_HOP, "[192.0.2.1]", 0},
    {"key: IPv4 with a port", "policy [192.0.2.1]:25", KEY_NEXT_HOP, "[192.0.2.1]", 25},
    {"key: IPv6", "policy [ipv6:2001:db8::1]", KEY_NEXT_HOP, "[2001:db8::1]", 0},
    {"key: IPv6 with a port", "policy [IPv6:2001:db8::1]:26", KEY_NEXT_HOP, "[2001:db8::1]", 26},
    {"key: IPv6 without its prefix", "policy [2001:db8::1]", KEY_NEXT_HOP, "[2001:db8::1]", 0},
    {"key: not ASCII", "policy b\303\274cher.example", KEY_NEXT_HOP, "b\303\274cher.example", 0},
    {"key: parent", "policy .example.org", KEY_PARENT, NULL, 0},
    {"key: parent, top", "policy .org", KEY_PARENT, NULL, 0},
    {"key: other map", "other example.org", KEY_OTHER_MAP, NULL, 0},
    {"key: map of another case", "Policy example.org", KEY_OTHER_MAP, NULL, 0},
    {"key: map's beginning", "pol example.org", KEY_OTHER_MAP, NULL, 0},
    {"key: map only", "policy", KEY_OTHER_MAP, NULL, 0},
    {"key: nothing", "", KEY_OTHER_MAP, NULL, 0},
    {"key: no key", "policy ", KEY_BAD, NULL, 0},
    {"key: two spaces", "policy  example.org", KEY_BAD, NULL, 0},
    {"key: space within", "policy example.org x", KEY_BAD, NULL, 0},
    {"key: control character", "policy example.org\n", KEY_BAD, NULL, 0},
    {"key: a dot alone", "policy .", KEY_BAD, NULL, 0},
    {"key: empty brackets", "policy []", KEY_BAD, NULL, 0},
    {"key: open bracket", "policy [mx.example.org", KEY_BAD, NULL, 0},
    {"key: something after the bracket", "policy [mx.example.org]x", KEY_BAD, NULL, 0},
    {"key: no port after the colon", "policy example.org:", KEY_BAD, NULL, 0},
    {"key: port 0", "policy example.org:0", KEY_BAD, NULL, 0},
    {"key: port 65536", "policy example.org:65536", KEY_BAD, NULL, 0},
    {"key: port of no service", "policy example.org:no-such-service", KEY_BAD, NULL, 0},
    {"key: port with a tail", "policy example.org:25x", KEY_BAD, NULL, 0},
    {"key: port alone", "policy :25", KEY_BAD, NULL, 0},
    {"key: Unix-domain destination", "policy unix:/run/lmtp", KEY_BAD, NULL, 0},
};

static void key_is_parsed(void **state)
{
	const struct key_row *row = *state;
	struct map_key key = {.port = 99999};
	assert_int_equal(key_parse(row->request, strlen(row->request), &key), row->want);
	if (row->want == KEY_NEXT_HOP) {
		assert_string_equal(key.next_hop, row->next_hop);
		assert_int_equal(key.port, row->port);
	}
}

static void key_with_a_zero_octet_is_bad(void **state)
{
	struct map_key key;
	(void)state;
	assert_int_equal(key_parse("policy a\0b", 10, &key), KEY_BAD);
}

static void key_is_bounded(void **state)
{
	struct map_key key;
	char request[KEY_MAX + 8] = "policy ";
	(void)state;
	memset(request + 7, 'a', sizeof request - 7);
	assert_int_equal(key_parse(request, KEY_MAX + 6, &key), KEY_NEXT_HOP);
	assert_int_equal(strlen(key.next_hop), KEY_MAX - 1);
	assert_int_equal(key_parse(request, KEY_MAX + 7, &key), KEY_BAD);
}

/* ---- policies ---- */

#define HOSTS_MAX 64
#define DELIVER .outcome = RESOLVERD_DELIVER, .requirement = RESOLVERD_NORMAL
#define SECURE_MX .has_mx = true, .mx_status = RESOLVERD_SECURE
#define INSECURE_MX .has_mx = true, .mx_status = RESOLVERD_INSECURE

static const struct resolverd_host
    dane = {.policy = RESOLVERD_DANE, .reason = "tlsa-usable"},
    no_auth = {.policy = RESOLVERD_TLS_NO_AUTH, .reason = "tlsa-all-unusable"},
    plain = {.policy = RESOLVERD_OPPORTUNISTIC, .reason = "tlsa-denied"},
    ignored = {.policy = RESOLVERD_OPPORTUNISTIC, .reason = "insecure-mx-ignored"},
    failed = {.policy = RESOLVERD_UNREACHABLE, .reason = "tlsa-failed"},
    refused = {.policy = RESOLVERD_UNREACHABLE, .reason = "insecure-mx-refused"},
    gone = {.policy = RESOLVERD_UNREACHABLE, .reason = "no-address"};

struct policy_row {
	const char *name;
	struct resolverd_plan plan;
	const struct resolverd_host *hosts[4];
	enum postfix_level want;
	bool needs_validation;
};

static const struct policy_row policies[] = {
    {"D01: every host has DANE", {DELIVER, SECURE_MX}, {&dane, &dane}, POSTFIX_DANE_ONLY, true},
    {"F01: a host in brackets with DANE", {DELIVER}, {&dane}, POSTFIX_DANE_ONLY, true},
    {"F04: DANE, and a host without address", {DELIVER, SECURE_MX}, {&dane, &gone},
	POSTFIX_DANE_ONLY, true},
    {"B10: DANE, and a host whose TLSA lookup fails", {DELIVER, SECURE_MX}, {&failed, &dane},
	POSTFIX_DANE_ONLY, true},
    {"E13: DANE and a host without", {DELIVER, SECURE_MX}, {&dane, &plain}, POSTFIX_DANE, true},
    {"E13: DANE and a host with unusable TLSA", {DELIVER, SECURE_MX}, {&dane, &no_auth},
	POSTFIX_DANE, true},
    {"E13: unusable TLSA and none", {DELIVER, SECURE_MX}, {&no_auth, &plain}, POSTFIX_DANE, true},
    {"B10: no TLSA, and a host whose TLSA lookup fails", {DELIVER, SECURE_MX}, {&plain, &failed},
	POSTFIX_DANE, true},
    {"B10: unusable TLSA, and a host whose TLSA lookup fails", {DELIVER, SECURE_MX},
	{&no_auth, &failed}, POSTFIX_DANE, true},
    {"D05: unusable TLSA", {DELIVER, SECURE_MX}, {&no_auth}, POSTFIX_ENCRYPT, false},
    {"D05: unusable TLSA, insecure MX", {DELIVER, INSECURE_MX}, {&no_auth}, POSTFIX_ENCRYPT, false},
    {"D08: no TLSA", {DELIVER, SECURE_MX}, {&plain, &plain}, POSTFIX_NOTHING, false},
    {"D12: an address literal", {DELIVER}, {&plain}, POSTFIX_NOTHING, false},
    {"D08, F04: no TLSA, and a host without address", {DELIVER, SECURE_MX}, {&plain, &gone},
	POSTFIX_NOTHING, false},
    {"E08: DANE behind an insecure MX", {DELIVER, INSECURE_MX}, {&dane}, POSTFIX_DANE, true},
    {"E07: insecure MX, TLSA ignored", {DELIVER, INSECURE_MX}, {&ignored, &plain}, POSTFIX_MAY,
	false},
    {"E07: insecure MX, TLSA ignored, and one that fails", {DELIVER, INSECURE_MX},
	{&ignored, &failed}, POSTFIX_DANE, true},
    {"E07: insecure MX, one host refused", {DELIVER, INSECURE_MX}, {&refused, &plain},
	POSTFIX_DELAY, false},
    {"K01: mandatory",
	{.outcome = RESOLVERD_DELIVER, .requirement = RESOLVERD_MANDATORY, SECURE_MX},
	{&dane, &failed}, POSTFIX_DANE_ONLY, true},
    {"K01: a requirement this version does not know",
	{.outcome = RESOLVERD_DELIVER, .requirement = 99, SECURE_MX}, {&plain}, POSTFIX_DANE_ONLY,
	true},
    {"M01: off", {.outcome = RESOLVERD_DELIVER, .requirement = RESOLVERD_OFF, SECURE_MX}, {&plain},
	POSTFIX_MAY, false},
    {"M01: off, but a host is unreachable",
	{.outcome = RESOLVERD_DELIVER, .requirement = RESOLVERD_OFF, SECURE_MX}, {&plain, &failed},
	POSTFIX_MAY, true},
    {"M02: audit", {.outcome = RESOLVERD_DELIVER, .requirement = RESOLVERD_AUDIT, SECURE_MX},
	{&dane}, POSTFIX_MAY, false},
    {"B01: delay", {.outcome = RESOLVERD_DELAY, .requirement = RESOLVERD_NORMAL}, {NULL},
	POSTFIX_DELAY, false},
    {"N01: null MX", {.outcome = RESOLVERD_NO_MAIL, .requirement = RESOLVERD_OFF}, {NULL},
	POSTFIX_DELAY, false},
    {"A06: no such domain", {.outcome = RESOLVERD_NO_SUCH_DOMAIN, .requirement = RESOLVERD_NORMAL},
	{NULL}, POSTFIX_DELAY, false},
    {"F04: no host", {.outcome = RESOLVERD_NO_HOST, .requirement = RESOLVERD_NORMAL}, {&gone},
	POSTFIX_DELAY, false},
    {"an outcome this version does not know", {.outcome = 0, .requirement = RESOLVERD_NORMAL},
	{&plain}, POSTFIX_DELAY, false},
};

static void policy_is_of_the_plan(void **state)
{
	const struct policy_row *row = *state;
	struct resolverd_host hosts[4];
	struct resolverd_plan plan = row->plan;
	plan.reason = "why";
	plan.hosts = hosts;
	while (plan.host_count < 4 && row->hosts[plan.host_count] != NULL) {
		hosts[plan.host_count] = *row->hosts[plan.host_count];
		plan.host_count++;
	}
	struct postfix_policy policy = postfix_policy_of(&plan);
	assert_int_equal(policy.level, row->want);
	assert_int_equal(policy.needs_validation, row->needs_validation);
	if (policy.level == POSTFIX_DELAY)
		assert_non_null(policy.reason);
}

/* What Postfix makes of a host at a level when its own resolver validates, as strictly as this:
 * delay 0, DANE 1, TLS 2, anything 3. The host is told by what the daemon found, before local
 * policy (postconf(5), smtp_tls_security_level; smtp_tls_dane_insecure_mx_policy = dane). */
static int strictness_of_postfix(enum postfix_level level, int mx_status, int policy, int reason)
{
	bool skipped =
	    policy == V1(POLICY__UNREACHABLE); /* it finds no address, or no TLSA answer */
	bool fails_at_tlsa = skipped && (reason == V1(HOST_REASON__TLSA_FAILED) ||
					    reason == V1(HOST_REASON__TLSA_TOO_MANY));
	bool mx_secure = mx_status == V1(STATUS__SECURE);
	switch (level) {
	case POSTFIX_DANE_ONLY:
		return policy == V1(POLICY__DANE) && mx_secure ? 1 : 0;
	case POSTFIX_DANE:
		if (skipped)
			return 0;
		return policy == V1(POLICY__DANE) ? 1 : policy == V1(POLICY__TLS_NO_AUTH) ? 2 : 3;
	case POSTFIX_ENCRYPT:
		return skipped && !fails_at_tlsa ? 0 : 2;
	case POSTFIX_MAY:
	case POSTFIX_NOTHING:
		return skipped && !fails_at_tlsa ? 0 : 3;
	default:
		return 0;
	}
}

static int strictness_of_plan(const struct resolverd_plan *plan, size_t i)
{
	static const int of_policy[] = {0, 1, 2, 3, 0};
	return plan->outcome != RESOLVERD_DELIVER ? 0 : of_policy[plan->hosts[i].policy];
}

static int int_of(const json_t *object, const char *key)
{
	return (int)json_integer_value(json_object_get(object, key));
}

static const json_t *answer_of(const json_t *plan, const char *name)
{
	size_t i;
	json_t *host;
	json_array_foreach(json_object_get(plan, "hosts"), i,
	    host) if (strcmp(json_string_value(json_object_get(host, "name")), name) ==
		      0) return host;
	return NULL;
}

/* With a row of two hosts made of the table of hosts, too: see below. */
static void check_against_the_model(const char *name, const struct resolverd_plan *plan,
    const int *policies_found, const int *reasons)
{
	struct postfix_policy policy = postfix_policy_of(plan);
	bool audited = plan->requirement == RESOLVERD_AUDIT; /* enforced by nobody */
	for (size_t i = 0; i < plan->host_count; i++) {
		int want = strictness_of_plan(plan, i),
		    got = strictness_of_postfix(
			policy.level, (int)plan->mx_status, policies_found[i], reasons[i]);
		if (got > want && !audited)
			fail_msg("%s: host %zu: level %d is weaker than the plan", name, i,
			    policy.level);
	}
	if (policy.level == POSTFIX_NOTHING || policy.level == POSTFIX_MAY)
		for (size_t i = 0; i < plan->host_count; i++)
			assert_true(audited || plan->hosts[i].policy == RESOLVERD_OPPORTUNISTIC ||
				    plan->hosts[i].policy == RESOLVERD_UNREACHABLE);
	if (policy.level == POSTFIX_NOTHING)
		assert_true(plan->outcome == RESOLVERD_DELIVER);
	if (policy.level == POSTFIX_DANE || policy.level == POSTFIX_DANE_ONLY)
		assert_true(policy.needs_validation);
}

static enum resolverd_outcome outcome_of(const char *word)
{
	for (int outcome = RESOLVERD_DELIVER; outcome <= RESOLVERD_NO_HOST; outcome++)
		if (strcmp(outcome_text((enum outcome)outcome), word) == 0)
			return (enum resolverd_outcome)outcome;
	return (enum resolverd_outcome)0;
}

static void no_plan_of_the_vectors_becomes_weaker(void **state)
{
	const json_t *vectors = *state;
	size_t nth, i;
	json_t *row, *want;
	json_array_foreach(json_object_get(vectors, "plans"), nth, row)
	{
		struct resolverd_host hosts[HOSTS_MAX] = {0};
		int found[HOSTS_MAX], reasons[HOSTS_MAX];
		const json_t *wanted = json_object_get(row, "want"),
			     *names = json_object_get(row, "mx");
		struct resolverd_plan plan = {
		    .outcome = outcome_of(json_string_value(json_object_get(wanted, "outcome"))),
		    .requirement = (enum resolverd_requirement)int_of(row, "requirement"),
		    .mx_status = (enum resolverd_status)int_of(row, "mx_status"),
		    .has_mx = true,
		    .reason = "",
		    .hosts = hosts,
		};
		json_array_foreach(json_object_get(wanted, "hosts"), i, want)
		{
			assert_true(i < HOSTS_MAX);
			const json_t *answer =
			    answer_of(row, json_string_value(json_array_get(names, i)));
			hosts[i].policy = (enum resolverd_policy)int_of(want, "policy");
			hosts[i].reason = host_reason_text(int_of(want, "reason"));
			found[i] =
			    answer != NULL ? int_of(answer, "policy") : int_of(want, "policy");
			reasons[i] =
			    answer != NULL ? int_of(answer, "reason") : int_of(want, "reason");
			plan.host_count++;
		}
		check_against_the_model(
		    json_string_value(json_object_get(row, "name")), &plan, found, reasons);
	}
	assert_true(nth > 50);
}

/* Every row of the host table, alone and beside each kind of host that needs no local policy. */
static void no_host_of_the_vectors_becomes_weaker(void **state)
{
	const json_t *vectors = *state;
	static const int others[][2] = {{0, 0}, {V1(POLICY__DANE), V1(HOST_REASON__TLSA_USABLE)},
	    {V1(POLICY__TLS_NO_AUTH), V1(HOST_REASON__TLSA_ALL_UNUSABLE)},
	    {V1(POLICY__OPPORTUNISTIC), V1(HOST_REASON__TLSA_DENIED)},
	    {V1(POLICY__UNREACHABLE), V1(HOST_REASON__TLSA_FAILED)}};
	size_t nth;
	json_t *row;
	json_array_foreach(json_object_get(vectors, "hosts"), nth, row)
	{
		int mx, requirement, insecure_mx, policy, reason, want_policy, want_reason;
		assert_int_equal(json_unpack(row, "[iiiiiii]", &mx, &requirement, &insecure_mx,
				     &policy, &reason, &want_policy, &want_reason),
		    0);
		if (policy < V1(POLICY__DANE) || policy > V1(POLICY__UNREACHABLE))
			continue; /* nothing a daemon of this version says */
		for (size_t i = 0; i < COUNT(others); i++) {
			struct combined_host two[2] = {
			    combine_host(mx, requirement, insecure_mx, policy, reason),
			    combine_host(mx, requirement, insecure_mx, others[i][0], others[i][1])};
			size_t count = i == 0 ? 1 : 2;
			struct resolverd_host hosts[2];
			for (size_t j = 0; j < count; j++)
				hosts[j] = (struct resolverd_host){
				    .policy = (enum resolverd_policy)two[j].policy,
				    .reason = host_reason_text((int)two[j].reason)};
			struct resolverd_plan plan = {
			    .outcome = (enum resolverd_outcome)combine_plan(requirement, two, count)
					   .outcome,
			    .requirement = (enum resolverd_requirement)requirement,
			    .mx_status = (enum resolverd_status)mx,
			    .has_mx = true,
			    .reason = "",
			    .hosts = hosts,
			    .host_count = count};
			const int found[2] = {policy, others[i][0]},
				  reasons[2] = {reason, others[i][1]};
			check_against_the_model("a row", &plan, found, reasons);
		}
	}
	assert_true(nth > 10000);
}

/* ---- the probe ---- */

struct servers_row {
	const char *name, *text;
	size_t count;
	const char *servers[PROBE_SERVERS_MAX];
	bool has_bad;
};

static const struct servers_row servers[] = {
    {"resolv.conf: one", "nameserver 127.0.0.1\n", 1, {"127.0.0.1:53"}, false},
    {"resolv.conf: among others",
	"# nameserver 192.0.2.9\nsearch example\nnameserver\t::1\noptions "
	"trust-ad\nnameserver 192.0.2.1 # x",
	2, {"[::1]:53", "192.0.2.1:53"}, false},
    {"resolv.conf: libc takes three",
	"nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver "
	"127.0.0.3\nnameserver 127.0.0.4\n",
	3, {"127.0.0.1:53", "127.0.0.2:53", "127.0.0.3:53"}, false},
    {"resolv.conf: none is this host", "search example\n", 1, {"127.0.0.1:53"}, false},
    {"resolv.conf: empty", "", 1, {"127.0.0.1:53"}, false},
    {"resolv.conf: a word that only begins so", "nameservers 192.0.2.1\n", 1, {"127.0.0.1:53"},
	false},
    {"resolv.conf: a name", "nameserver ns.example.org\n", 0, {NULL}, true},
    {"resolv.conf: a port", "nameserver 127.0.0.1:5353\n", 0, {NULL}, true},
    {"resolv.conf: a scope", "nameserver 127.0.0.1\nnameserver fe80::1%eth0\n", 1, {"127.0.0.1:53"},
	true},
};

static void resolv_conf_is_read(void **state)
{
	const struct servers_row *row = *state;
	union serve_address found[PROBE_SERVERS_MAX];
	char text[SERVE_ADDRESS_TEXT];
	bool has_bad;
	assert_int_equal(probe_servers(row->text, found, &has_bad), row->count);
	assert_int_equal(has_bad, row->has_bad);
	for (size_t i = 0; i < row->count; i++) {
		serve_address_text(&found[i], text);
		assert_string_equal(text, row->servers[i]);
	}
}

/* A reply to the query 0x1234: its third and fourth octet, count of answers, and what is wrong with
 * the rest. */
struct reply_row {
	const char *name;
	uint8_t flags[2], answers;
	enum { RIGHT, OTHER_ID, OTHER_QUESTION, SHORT } rest;
	enum probe_reply want;
};

static const struct reply_row replies[] = {
    {"probe: AD", {0x81, 0xa0}, 13, RIGHT, PROBE_VALIDATED},
    {"probe: AD, truncated", {0x83, 0xa0}, 0, RIGHT, PROBE_VALIDATED},
    {"probe: no AD", {0x81, 0x80}, 13, RIGHT, PROBE_REFUSED},
    {"probe: AD, no records", {0x81, 0xa0}, 0, RIGHT, PROBE_REFUSED},
    {"probe: SERVFAIL", {0x81, 0x82}, 0, RIGHT, PROBE_REFUSED},
    {"probe: SERVFAIL with AD", {0x81, 0xa2}, 13, RIGHT, PROBE_REFUSED},
    {"probe: REFUSED", {0x81, 0x85}, 0, RIGHT, PROBE_REFUSED},
    {"probe: no reply", {0x01, 0xa0}, 13, RIGHT, PROBE_FOREIGN},
    {"probe: other opcode", {0xa9, 0xa0}, 13, RIGHT, PROBE_FOREIGN},
    {"probe: other id", {0x81, 0xa0}, 13, OTHER_ID, PROBE_FOREIGN},
    {"probe: other question", {0x81, 0xa0}, 13, OTHER_QUESTION, PROBE_FOREIGN},
    {"probe: short", {0x81, 0xa0}, 13, SHORT, PROBE_FOREIGN},
};

static void reply_is_read(void **state)
{
	const struct reply_row *row = *state;
	uint8_t query[PROBE_QUERY_BYTES], packet[17];
	const char *complaint = NULL;
	probe_query(0x1234, query);
	memcpy(packet, query, sizeof packet);
	packet[1] ^= row->rest == OTHER_ID;
	packet[2] = row->flags[0];
	packet[3] = row->flags[1];
	packet[7] = row->answers;
	packet[14] ^= row->rest == OTHER_QUESTION;
	size_t bytes = row->rest == SHORT ? 16 : sizeof packet;
	assert_int_equal(probe_read(packet, bytes, query, &complaint), row->want);
	assert_int_equal(complaint != NULL, row->want == PROBE_REFUSED);
	for (bytes = 0; bytes < 12; bytes++)
		assert_int_equal(probe_read(packet, bytes, query, &complaint), PROBE_FOREIGN);
}

int main(void)
{
	struct test_list list = {.count = 0};
	json_t *vectors = json_load_file(VECTORS, 0, NULL);
	ADD_ROWS(&list, netstrings, netstring_is_parsed);
	ADD_ROWS(&list, keys, key_is_parsed);
	ADD_TEST(&list, key_with_a_zero_octet_is_bad);
	ADD_TEST(&list, key_is_bounded);
	ADD_ROWS(&list, policies, policy_is_of_the_plan);
	test_add(&list, "no_plan_of_the_vectors_becomes_weaker",
	    no_plan_of_the_vectors_becomes_weaker, vectors);
	test_add(&list, "no_host_of_the_vectors_becomes_weaker",
	    no_host_of_the_vectors_becomes_weaker, vectors);
	ADD_ROWS(&list, servers, resolv_conf_is_read);
	ADD_ROWS(&list, replies, reply_is_read);
	int failures = vectors == NULL || test_run("postfix_map", &list, NULL, NULL);
	json_decref(vectors);
	return failures;
}
