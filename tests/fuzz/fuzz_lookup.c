/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DNS messages as a worker gets them from libunbound. An input is an octet of choices, the name
 * asked for (length and wire form), its type, and the message. Whatever is in it, the result is an
 * answer or a failure with a reason, its names are canonical, its bytes within the arena, and how
 * long it may be used follows from what was used.
 */
#include "proto/names.h"
#include "resolverd/worker/reply.h"
#include "resolverd/worker/resolver.h"
#include "tests/fuzz/fuzz.h"

#define NOW_MS INT64_C(1790000000000)
#define ARENA_BYTES (8u << 20)
#define TYPE_ANY 255

static void check_name(const char *name)
{
	char canonical[NAME_TEXT_MAX];
	must(name_canonical(name, canonical) == NAME_OK && strcmp(name, canonical) == 0);
}

/* Touches every octet, so that a sanitizer sees those that are not there. */
static unsigned sum_of(const uint8_t *bytes, size_t count)
{
	unsigned sum = 0;
	while (count-- > 0)
		sum += *bytes++;
	return sum;
}

static void check_sets(Resolverd__V1__Rrset *const *sets, size_t count, const struct reply *reply)
{
	static volatile unsigned sink;
	for (size_t i = 0; i < count; i++) {
		check_name(sets[i]->owner);
		must(sets[i]->n_rdata > 0 && !(sets[i]->ttl_s & 0x80000000u));
		must(reply->ttl_s <= sets[i]->ttl_s);
		for (size_t j = 0; j < sets[i]->n_rdata; j++)
			sink += sum_of(sets[i]->rdata[j].data, sets[i]->rdata[j].len);
		for (size_t j = 0; j < sets[i]->n_rrsig; j++)
			sink += sum_of(sets[i]->rrsig[j].data, sets[i]->rrsig[j].len);
	}
}

static void check_answer(const struct reply *reply, int type)
{
	check_name(reply->final_name);
	must(reply->reason[0] == '\0' && (reply->rcode == 0 || reply->rcode == 3));
	must(reply->answer_count <= 1 && (reply->answer_count == 1) == (reply->rr_count > 0));
	must(!reply->aliased || reply->chain_count > 0);
	for (size_t i = 0; i < reply->rr_count; i++)
		must((type != 1 || reply->rrs[i].rdata_bytes == 4) &&
		     (type != 28 || reply->rrs[i].rdata_bytes == 16));
	if (reply->answer_count == 1)
		must(reply->answer[0]->type == (uint32_t)type &&
		     strcmp(reply->answer[0]->owner, reply->final_name) == 0 &&
		     reply->answer[0]->n_rdata == reply->rr_count);
	check_sets(reply->chain, reply->chain_count, reply);
	check_sets(reply->answer, reply->answer_count, reply);
	check_sets(reply->authority, reply->authority_count, reply);
	must(reply->rrsig_expires_at_ms == 0 ||
	     (reply->status == RESOLVERD__V1__STATUS__SECURE &&
		 reply->rrsig_expires_at_ms > NOW_MS - NOW_MS % 1000));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct input input = {data, data + bytes};
	struct arena arena;
	struct reply reply;
	char name[NAME_TEXT_MAX];
	size_t wire_bytes;
	unsigned choices = take_octet(&input);
	const uint8_t *wire = take_bytes(&input, &wire_bytes);
	if (name_from_wire(wire, wire_bytes, name) != NAME_OK)
		memcpy(name, "a.org", sizeof "a.org");
	int type = (int)take_number(&input);
	Resolverd__V1__Status status = resolver_status((int)(choices >> 2 & 1), input.at,
	    (int)input_left(&input), (int)(choices % 4 < 3 ? choices % 4 : 2));
	arena_init(&arena, ARENA_BYTES);
	reply_parse(
	    &reply, &arena, name, type, input.at, input_left(&input), status, "why", NOW_MS);
	must(arena.used_bytes <= ARENA_BYTES);
	must(reply.status != RESOLVERD__V1__STATUS__STATUS_UNSPECIFIED);
	must(reply.status == status || reply.status == RESOLVERD__V1__STATUS__ERROR);
	if (reply_is_failed(&reply))
		must(reply.reason[0] != '\0' && reply.rr_count == 0 && reply.chain_count == 0 &&
		     reply.rcode != 0);
	else if (type != TYPE_ANY)
		check_answer(&reply, type);
	arena_fini(&arena);
	return 0;
}
