/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/dns/query.h"

#include <string.h>

#include "proto/rrtype.h"

#define CLASS_IN 1u
#define TYPE_OPT 41u
#define LABEL_MAX 63u
#define RR_FIXED_BYTES 10u /* type, class, TTL, length of the data */

#define FLAG_RESPONSE 0x8000u
#define FLAG_RECURSION_DESIRED 0x0100u
#define FLAG_AUTHENTIC_DATA 0x0020u
#define FLAG_CHECKING_DISABLED 0x0010u
#define EDNS_FLAG_DNSSEC_OK 0x8000u

struct reader {
	const uint8_t *at, *end;
};

static size_t left(const struct reader *reader)
{
	return (size_t)(reader->end - reader->at);
}

static uint16_t take_u16(struct reader *reader)
{
	uint16_t value = (uint16_t)(reader->at[0] << 8 | reader->at[1]);
	reader->at += 2;
	return value;
}

/* A question's name has nothing before it that it could point to. */
static bool take_question(struct reader *reader, struct dns_query *query)
{
	size_t bytes = 0;
	while (bytes < left(reader) && bytes < NAME_WIRE_MAX && reader->at[bytes] != 0) {
		if (reader->at[bytes] > LABEL_MAX)
			return false;
		bytes += 1u + reader->at[bytes];
	}
	bytes++;
	if (bytes > NAME_WIRE_MAX || left(reader) < bytes + 4)
		return false;
	memcpy(query->name, reader->at, bytes);
	query->name_bytes = bytes;
	reader->at += bytes;
	query->type = take_u16(reader);
	query->class = take_u16(reader);
	return true;
}

static bool skip_name(struct reader *reader)
{
	while (left(reader) > 0) {
		uint8_t length = *reader->at++;
		if (length == 0)
			return true;
		if (length > LABEL_MAX) { /* a pointer, which ends it */
			reader->at += left(reader) > 0;
			return length >= 0xc0;
		}
		if (length > left(reader))
			return false;
		reader->at += length;
	}
	return false;
}

static bool options_are_whole(struct reader options)
{
	while (left(&options) >= 4) {
		options.at += 2;
		size_t bytes = take_u16(&options);
		if (bytes > left(&options))
			return false;
		options.at += bytes;
	}
	return left(&options) == 0;
}

/* Owner, class and TTL of the pseudo-record mean something else (RFC 6891 section 6.1). */
static bool take_edns(struct reader *reader, struct dns_query *query, bool is_at_root)
{
	if (query->has_edns || !is_at_root)
		return false;
	query->has_edns = true;
	query->datagram_bytes = take_u16(reader);
	if (query->datagram_bytes < DNS_DATAGRAM_MIN)
		query->datagram_bytes = DNS_DATAGRAM_MIN;
	reader->at++; /* the upper part of an answer's code */
	query->edns_version = *reader->at++;
	query->dnssec_ok = take_u16(reader) & EDNS_FLAG_DNSSEC_OK;
	size_t bytes = take_u16(reader);
	struct reader options = {reader->at, reader->at + bytes};
	if (bytes > left(reader))
		return false;
	reader->at += bytes;
	/* Of another version nothing more is known. */
	return query->edns_version != 0 || options_are_whole(options);
}

/* Of the records behind the question only EDNS means something here, and in the last section only.
 */
static bool take_record(struct reader *reader, struct dns_query *query, bool is_additional)
{
	bool is_at_root = left(reader) > 0 && *reader->at == 0;
	if (!skip_name(reader) || left(reader) < RR_FIXED_BYTES)
		return false;
	if (take_u16(reader) == TYPE_OPT && is_additional)
		return take_edns(reader, query, is_at_root);
	reader->at += 6;
	size_t bytes = take_u16(reader);
	if (bytes > left(reader))
		return false;
	reader->at += bytes;
	return true;
}

static enum dns_verdict fault(struct dns_error *ret_error, enum dns_rcode rcode, const char *text)
{
	*ret_error =
	    (struct dns_error){rcode, text[0] != '\0' ? DNS_EDE_NOT_SUPPORTED : DNS_EDE_NONE, text};
	return DNS_QUERY_FAULTY;
}

/* Those no zone can hold (RFC 6895 section 3.1). */
static bool is_meta_type(unsigned type)
{
	return type == 0 || type == TYPE_OPT || (type >= 128 && type < DNS_TYPE_ANY) ||
	       type == UINT16_MAX;
}

static bool is_transfer(unsigned type)
{
	return type == 251 || type == 252; /* IXFR, AXFR */
}

static enum dns_verdict judge(const struct dns_query *query, struct dns_error *ret_error)
{
	if (query->edns_version != 0)
		return fault(ret_error, DNS_BADVERS, "");
	if (query->class != CLASS_IN)
		return fault(ret_error, DNS_REFUSED, "only class IN is served");
	if (is_transfer(query->type))
		return fault(ret_error, DNS_REFUSED, "no zone is transferred");
	if (is_meta_type(query->type))
		return fault(ret_error, DNS_FORMERR, "no data can be of this type");
	if (query->type == TYPE_RRSIG) /* of no use without what they cover (RFC 8482 section 7) */
		return fault(ret_error, DNS_REFUSED, "signatures come with what they cover only");
	if (!query->recursion_desired)
		return fault(ret_error, DNS_REFUSED, "only recursive queries are answered");
	return DNS_QUERY_GOOD;
}

enum dns_verdict dns_query_parse(const uint8_t *packet, size_t packet_bytes,
    struct dns_query *ret_query, struct dns_error *ret_error)
{
	if (packet_bytes < DNS_HEADER_BYTES)
		return DNS_QUERY_NONE;
	struct reader reader = {packet, packet + packet_bytes};
	struct dns_query query = {.id = take_u16(&reader), .datagram_bytes = DNS_DATAGRAM_MIN};
	unsigned flags = take_u16(&reader), counts[4];
	if (flags & FLAG_RESPONSE)
		return DNS_QUERY_NONE;
	for (size_t i = 0; i < 4; i++)
		counts[i] = take_u16(&reader);
	query.opcode = flags >> 11 & 15;
	query.recursion_desired = flags & FLAG_RECURSION_DESIRED;
	query.authentic_data = flags & FLAG_AUTHENTIC_DATA;
	query.checking_disabled = flags & FLAG_CHECKING_DISABLED;
	*ret_query = query;
	if (query.opcode != 0) /* not to be read by the rules of a query */
		return fault(ret_error, DNS_NOTIMP, "");
	if (counts[0] != 1 || counts[1] != 0) /* RFC 9619 */
		return fault(ret_error, DNS_FORMERR, "");
	if (!take_question(&reader, &query))
		return fault(ret_error, DNS_FORMERR, "");
	unsigned records = counts[2] + counts[3];
	while (records > 0 && take_record(&reader, &query, records <= counts[3]))
		records--;
	*ret_query = query;
	if (records > 0 || left(&reader) > 0)
		return fault(ret_error, DNS_FORMERR, "");
	return judge(&query, ret_error);
}

size_t dns_query_datagram_room(const struct dns_query *query)
{
	return query->datagram_bytes < DNS_DATAGRAM_MAX ? query->datagram_bytes : DNS_DATAGRAM_MAX;
}

unsigned dns_any_type(unsigned nth)
{
	/* An alias has nothing beside it. What follows is what mail programs look for. */
	static const unsigned types[] = {TYPE_CNAME, TYPE_MX, TYPE_A, TYPE_AAAA, TYPE_NS};
	return nth < sizeof types / sizeof *types ? types[nth] : 0;
}
