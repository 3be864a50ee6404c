/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A DNS made of text, for tests of what follows from its answers, one lookup a line:
 *
 *   owner[>name after aliases[^owner of a DNAME among these]] TYPE status[:ttl[:signature's end in
 * ms]] [rdata; rdata ...]
 *
 * A lookup that the text does not have fails the test. What is asked stands in order in ->asked.
 * TLSA rdata is usage, selector, matching type and the octets of data.
 */
#pragma once
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/names.h"
#include "resolverd/worker/inquiry.h"
#include "tests/unit/test.h"

#define TYPE_DNAME 39
#define TYPE_TLSA 52

static const struct word {
	const char *text;
	int value, rcode;
} types[] = {{"A", ns_t_a, 0}, {"AAAA", ns_t_aaaa, 0}, {"MX", ns_t_mx, 0}, {"TLSA", TYPE_TLSA, 0},
    {"CNAME", ns_t_cname, 0}, {"DNAME", TYPE_DNAME, 0}},
  statuses[] = {{"secure", V1(STATUS__SECURE), 0}, {"insecure", V1(STATUS__INSECURE), 0},
      {"nx-secure", V1(STATUS__SECURE), ns_r_nxdomain},
      {"nx-insecure", V1(STATUS__INSECURE), ns_r_nxdomain}, {"bogus", V1(STATUS__BOGUS), 2},
      {"error", V1(STATUS__ERROR), 2}};

static inline const struct word *word_find(const struct word *words, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(words[i].text, text) == 0)
			return &words[i];
	fail_msg("no such word: %s", text);
	return NULL;
}

static inline const char *type_text(int type)
{
	for (size_t i = 0; i < COUNT(types); i++)
		if (types[i].value == type)
			return types[i].text;
	return "?";
}

struct dns {
	struct inquiry inquiry;
	const char *zone;
	char asked[2048]; /* "owner TYPE, owner TYPE" */
	struct {
		unsigned slot;
		char line[4096];
	} queue[INQUIRY_SLOTS];
	size_t queued;
};

static inline size_t name_wire(uint8_t *out, const char *name)
{
	size_t bytes;
	assert_int_equal(name_to_wire(name, out, &bytes), NAME_OK);
	return bytes;
}

static inline size_t rdata_write(uint8_t *out, int type, const char *text)
{
	unsigned number, selector, matching, octets;
	char name[400];
	switch (type) {
	case ns_t_a:
		assert_int_equal(inet_pton(AF_INET, text, out), 1);
		return 4;
	case ns_t_aaaa:
		assert_int_equal(inet_pton(AF_INET6, text, out), 1);
		return 16;
	case ns_t_mx:
		assert_int_equal(sscanf(text, "%u %399s", &number, name), 2);
		out[0] = (uint8_t)(number >> 8);
		out[1] = (uint8_t)number;
		if (strcmp(name, "garbage") == 0)
			return (size_t)sprintf((char *)out + 2, "\x05"
								"ab");
		return 2 + name_wire(out + 2, name);
	case TYPE_TLSA:
		assert_int_equal(
		    sscanf(text, "%u %u %u %u", &number, &selector, &matching, &octets), 4);
		out[0] = (uint8_t)number;
		out[1] = (uint8_t)selector;
		out[2] = (uint8_t)matching;
		memset(out + 3, 0xda, octets);
		return 3 + octets;
	default:
		return name_wire(out, text);
	}
}

static inline Resolverd__V1__Rrset **chain_of(struct arena *arena, const char *dname)
{
	Resolverd__V1__Rrset **chain = arena_alloc(arena, sizeof *chain);
	chain[0] = arena_alloc(arena, sizeof *chain[0]);
	resolverd__v1__rrset__init(chain[0]);
	chain[0]->owner = arena_string(arena, dname);
	chain[0]->type = TYPE_DNAME;
	return chain;
}

static inline struct reply reply_of(struct arena *arena, const char *line)
{
	char owner[300], type_word[10], status_word[50], rdata[3000] = "";
	struct reply reply = {.reason = "", .ttl_s = UINT32_MAX};
	assert_true(
	    sscanf(line, "%299s %9s %49s %2999[^\n]", owner, type_word, status_word, rdata) >= 3);
	int type = word_find(types, COUNT(types), type_word)->value;
	char *final = strchr(owner, '>'), *dname = strchr(owner, '^'),
	     *ttl = strchr(status_word, ':');
	if (ttl != NULL) {
		char *end;
		*ttl = '\0';
		reply.ttl_s = (uint32_t)strtoul(ttl + 1, &end, 10);
		if (*end == ':')
			reply.rrsig_expires_at_ms = strtoll(end + 1, NULL, 10);
	}
	const struct word *status = word_find(statuses, COUNT(statuses), status_word);
	if (status->rcode == ns_r_servfail) {
		reply_failed(
		    &reply, arena, (Resolverd__V1__Status)status->value, status->rcode, "why");
		return reply;
	}
	reply.status = (Resolverd__V1__Status)status->value;
	reply.rcode = status->rcode;
	if (dname != NULL) {
		*dname = '\0';
		reply.chain = chain_of(arena, dname + 1);
		reply.chain_count = 1;
	}
	reply.aliased = final != NULL;
	reply.final_name = arena_string(arena, final != NULL ? final + 1 : owner);
	struct reply_rr *rrs = arena_alloc(arena, 80 * sizeof *rrs);
	for (char *rest, *at = strtok_r(rdata, ";", &rest); at != NULL;
	     at = strtok_r(NULL, ";", &rest)) {
		uint8_t *bytes = arena_alloc(arena, 512);
		while (*at == ' ')
			at++;
		rrs[reply.rr_count++] = (struct reply_rr){bytes, rdata_write(bytes, type, at)};
	}
	reply.rrs = rrs;
	return reply;
}

/* The line of the zone for this lookup, without what follows. */
static inline void zone_find(
    const struct dns *dns, const char *name, int type, char *ret, size_t bytes)
{
	for (const char *line = dns->zone; line != NULL && *line != '\0';) {
		const char *end = strchr(line, '\n');
		size_t length = end != NULL ? (size_t)(end - line) : strlen(line);
		char owner[300], type_word[10];
		assert_true(length < bytes);
		memcpy(ret, line, length);
		ret[length] = '\0';
		assert_int_equal(sscanf(ret, "%299s %9s", owner, type_word), 2);
		owner[strcspn(owner, ">")] = '\0';
		if (strcmp(owner, name) == 0 &&
		    word_find(types, COUNT(types), type_word)->value == type)
			return;
		line = end != NULL ? end + 1 : NULL;
	}
	fail_msg("asked for %s %s, which must not or need not be asked", name, type_text(type));
}

static inline void on_ask(void *arg, unsigned slot, const char *name, int type)
{
	struct dns *dns = arg;
	size_t used = strlen(dns->asked);
	snprintf(dns->asked + used, sizeof dns->asked - used, "%s%s %s", used > 0 ? ", " : "", name,
	    type_text(type));
	assert_true(dns->queued < INQUIRY_SLOTS);
	dns->queue[dns->queued].slot = slot;
	zone_find(dns, name, type, dns->queue[dns->queued].line, sizeof dns->queue[0].line);
	dns->queued++;
}

static const uint8_t both_digests[] = {2, 1};
static const struct inquiry_policy default_policy = {.digests = both_digests, .digest_count = 2};

/* The inquiry is made, and nothing asked yet; port is that of a host. */
static inline void dns_init(struct dns *dns, const struct inquiry_policy *policy, const char *zone,
    int kind, const char *name, unsigned port)
{
	Resolverd__V1__Question question = RESOLVERD__V1__QUESTION__INIT;
	question.kind = (Resolverd__V1__Kind)kind;
	question.name = (char *)(uintptr_t)name;
	question.port = port;
	question.type = kind == V1(KIND__RECORDS) ? ns_t_txt : 0;
	memset(dns, 0, sizeof *dns);
	dns->zone = zone;
	assert_int_equal(inquiry_init(&dns->inquiry, &question, policy, on_ask, dns), 0);
}

/* The answer of what was asked as number `at` of those that wait, in the inquiry's arena. */
static inline struct reply dns_reply(struct dns *dns, size_t at)
{
	return reply_of(&dns->inquiry.arena, dns->queue[at].line);
}

/* Asks, and answers all that is asked: ->inquiry.facts is complete. */
static inline void dns_ask_with(struct dns *dns, const struct inquiry_policy *policy,
    const char *zone, int kind, const char *name, unsigned port)
{
	dns_init(dns, policy, zone, kind, name, port);
	bool complete = inquiry_begin(&dns->inquiry);
	while (dns->queued > 0) {
		assert_false(complete);
		/* Last asked, first answered: no order of replies may matter. */
		dns->queued--;
		struct reply reply = dns_reply(dns, dns->queued);
		complete = inquiry_reply(&dns->inquiry, dns->queue[dns->queued].slot, &reply);
	}
	assert_true(complete);
}

static inline void dns_ask(
    struct dns *dns, const char *zone, int kind, const char *name, unsigned port)
{
	dns_ask_with(dns, &default_policy, zone, kind, name, port);
}
