/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the DNS side of the stub: a query as a client might send it, and the answer made of
 * records that are as wild as the rest of the input. An input is two octets of length, that many of
 * the query, one octet of choices, then RRsets: section, type, lengths of owner and data, and
 * these.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/dns/message.h"

#define RRSETS_MAX 16
#define NOW_MS UINT64_C(1790000000000)

struct reader {
	const uint8_t *at, *end;
};

static uint8_t take_octet(struct reader *reader)
{
	return reader->at < reader->end ? *reader->at++ : 0;
}

static const uint8_t *take(struct reader *reader, size_t *bytes)
{
	const uint8_t *taken = reader->at;
	if (*bytes > (size_t)(reader->end - taken))
		*bytes = (size_t)(reader->end - taken);
	reader->at += *bytes;
	return taken;
}

struct rrsets {
	struct resolverd_rrset sets[3][RRSETS_MAX];
	struct resolverd_rdata rdata[3][RRSETS_MAX];
	char owners[3][RRSETS_MAX][NAME_TEXT_MAX];
	size_t counts[3];
};

/* The client library passes on canonical names only. */
static void take_owner(struct reader *reader, char ret_owner[NAME_TEXT_MAX])
{
	size_t bytes = take_octet(reader);
	const uint8_t *wire = take(reader, &bytes);
	if (bytes == 0 || name_from_wire(wire, bytes, ret_owner) != NAME_OK)
		memcpy(ret_owner, "a.org", sizeof "a.org");
}

static void take_rrset(struct reader *reader, struct rrsets *rrsets)
{
	unsigned section = take_octet(reader) % 3;
	size_t nth = rrsets->counts[section];
	if (nth == RRSETS_MAX) {
		reader->at = reader->end;
		return;
	}
	struct resolverd_rrset *set = &rrsets->sets[section][nth];
	struct resolverd_rdata *rdata = &rrsets->rdata[section][nth];
	set->type = take_octet(reader);
	set->ttl_s = UINT32_MAX >> (set->type & 31);
	take_owner(reader, rrsets->owners[section][nth]);
	set->owner = rrsets->owners[section][nth];
	rdata->count = take_octet(reader) * (size_t)(1 + take_octet(reader));
	rdata->bytes = take(reader, &rdata->count);
	set->rdata = set->rrsig = rdata;
	set->rdata_count = set->rrsig_count = 1;
	rrsets->counts[section]++;
}

/* Well formed, to the query, and no longer than allowed: our own parser reads it as a query once it
 * claims to be one. */
static void check(const struct dns_query *query, uint8_t *message, size_t count, size_t room)
{
	struct dns_query read;
	struct dns_error error;
	assert(count >= DNS_HEADER_BYTES && count <= room);
	assert(message[2] & 0x80 && message[3] & 0x80);
	assert(dns_query_parse(message, count, &read, &error) == DNS_QUERY_NONE);
	unsigned answers = (unsigned)message[6] << 8 | message[7];
	message[2] &= 0x87; /* a standard query */
	message[2] &= 0x7f;
	if (answers > 0 || query->name_bytes == 0)
		return;
	if (dns_query_parse(message, count, &read, &error) == DNS_QUERY_FAULTY &&
	    error.rcode == DNS_FORMERR)
		assert(error.extended == DNS_EDE_NOT_SUPPORTED); /* its type, not its form */
	assert(read.id == query->id && read.name_bytes == query->name_bytes);
	assert(memcmp(read.name, query->name, query->name_bytes) == 0);
	assert(read.has_edns == query->has_edns && read.dnssec_ok == query->dnssec_ok);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct rrsets rrsets;
	static uint8_t message[DNS_MESSAGE_MAX];
	struct reader reader = {data, data + bytes};
	size_t packet_bytes = (size_t)take_octet(&reader) << 8;
	packet_bytes |= take_octet(&reader);
	const uint8_t *packet = take(&reader, &packet_bytes);
	struct dns_query query;
	struct dns_error error;
	enum dns_verdict verdict = dns_query_parse(packet, packet_bytes, &query, &error);
	if (verdict == DNS_QUERY_FAULTY) {
		size_t count = dns_message_error(&query, &error, message);
		check(&query, message, count, DNS_DATAGRAM_MIN);
	}
	if (verdict != DNS_QUERY_GOOD)
		return 0;
	uint8_t choices = take_octet(&reader);
	rrsets.counts[0] = rrsets.counts[1] = rrsets.counts[2] = 0;
	while (reader.at < reader.end)
		take_rrset(&reader, &rrsets);
	struct resolverd_records records = {.status = choices & 7,
	    .rcode = choices >> 3 & 3,
	    .chain = rrsets.sets[0],
	    .chain_count = rrsets.counts[0],
	    .answer = rrsets.sets[1],
	    .answer_count = rrsets.counts[1],
	    .authority = rrsets.sets[2],
	    .authority_count = rrsets.counts[2],
	    .reason = "why",
	    .expires_at_ms = NOW_MS + (uint64_t)choices * 1000,
	    .stale = choices & 64};
	bool is_stream = choices & 128;
	size_t count = dns_message_answer(
	    &query, &records, NOW_MS, is_stream ? DNS_STREAM : DNS_DATAGRAM, message);
	check(
	    &query, message, count, is_stream ? DNS_MESSAGE_MAX : dns_query_datagram_room(&query));
	return 0;
}
