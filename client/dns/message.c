/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/dns/message.h"

#include <string.h>

#include "client/dns/writer.h"
#include "proto/rrtype.h"

#define CLASS_IN 1u
#define TYPE_OPT 41u
#define OPTION_EXTENDED_ERROR 15u
#define EXTENDED_TEXT_MAX 160u /* beside a longest name within DNS_DATAGRAM_MIN */
#define TTL_MAX 0x7fffffffu    /* RFC 2181 section 8 */

#define FLAGS_RESPONSE 0x8080u /* QR, RA */
#define FLAG_TRUNCATED 0x0200u
#define FLAG_RECURSION_DESIRED 0x0100u
#define FLAG_AUTHENTIC_DATA 0x0020u
#define FLAG_CHECKING_DISABLED 0x0010u
#define EDNS_FLAG_DNSSEC_OK 0x8000u

#define FLAGS_AT 2u
#define ANSWER_COUNT_AT 6u
#define AUTHORITY_COUNT_AT 8u
#define ADDITIONAL_COUNT_AT 10u

/* ---- what goes around the data ---- */

static unsigned flags_of(const struct dns_query *query, enum dns_rcode rcode)
{
	return FLAGS_RESPONSE | (unsigned)query->opcode << 11 |
	       (query->recursion_desired ? FLAG_RECURSION_DESIRED : 0) |
	       (query->checking_disabled ? FLAG_CHECKING_DISABLED : 0) | (rcode & 15);
}

/* Header without records, and question. */
static void put_head(struct dns_writer *writer, const struct dns_query *query, unsigned flags)
{
	dns_writer_u16(writer, query->id);
	dns_writer_u16(writer, flags);
	dns_writer_u16(writer, query->name_bytes > 0);
	for (unsigned i = 0; i < 3; i++)
		dns_writer_u16(writer, 0);
	if (query->name_bytes == 0)
		return;
	dns_writer_name(writer, query->name);
	dns_writer_u16(writer, query->type);
	dns_writer_u16(writer, query->class);
}

/* Text is UTF-8: no character is cut in two. */
static size_t extended_text_bytes(const char *text)
{
	size_t whole = 0;
	for (size_t at = 0; at < EXTENDED_TEXT_MAX && text[at] != '\0';) {
		at++;
		if (((uint8_t)text[at] & 0xc0) != 0x80)
			whole = at;
	}
	return whole;
}

static size_t edns_bytes(const struct dns_query *query, const struct dns_error *error)
{
	if (!query->has_edns)
		return 0;
	return 11 + (error->extended == DNS_EDE_NONE ? 0 : 6 + extended_text_bytes(error->text));
}

static void put_edns(
    struct dns_writer *writer, const struct dns_query *query, const struct dns_error *error)
{
	if (!query->has_edns)
		return;
	size_t text_bytes = extended_text_bytes(error->text);
	bool has_extended = error->extended != DNS_EDE_NONE;
	dns_writer_u8(writer, 0);
	dns_writer_u16(writer, TYPE_OPT);
	dns_writer_u16(writer, DNS_DATAGRAM_MAX);
	dns_writer_u8(writer, (unsigned)error->rcode >> 4);
	dns_writer_u8(writer, 0); /* version */
	dns_writer_u16(writer, query->dnssec_ok ? EDNS_FLAG_DNSSEC_OK : 0);
	dns_writer_u16(writer, has_extended ? (unsigned)(6 + text_bytes) : 0);
	if (has_extended) {
		dns_writer_u16(writer, OPTION_EXTENDED_ERROR);
		dns_writer_u16(writer, (unsigned)(2 + text_bytes));
		dns_writer_u16(writer, error->extended);
		dns_writer_bytes(writer, error->text, text_bytes);
	}
	dns_writer_set_u16(writer, ADDITIONAL_COUNT_AT, 1);
}

size_t dns_message_error(const struct dns_query *query, const struct dns_error *error,
    uint8_t ret_message[DNS_DATAGRAM_MIN])
{
	struct dns_writer writer = {.out = ret_message, .room = DNS_DATAGRAM_MIN};
	put_head(&writer, query, flags_of(query, error->rcode));
	put_edns(&writer, query, error);
	return writer.used;
}

/* ---- records ---- */

struct section {
	struct dns_writer *writer;
	const struct dns_query *query;
	uint32_t left_s; /* until the answer expires */
	unsigned count;  /* of records */
};

static void put_record(struct section *section, const struct resolverd_rrset *rrset,
    const uint8_t *owner, unsigned type, const struct resolverd_rdata *rdata)
{
	struct dns_writer *writer = section->writer;
	uint32_t ttl_s = rrset->ttl_s < section->left_s ? rrset->ttl_s : section->left_s;
	dns_writer_name(writer, owner);
	dns_writer_u16(writer, type);
	dns_writer_u16(writer, CLASS_IN);
	dns_writer_u16(writer, ttl_s >> 16);
	dns_writer_u16(writer, ttl_s & 0xffff);
	size_t length_at = writer->used;
	dns_writer_u16(writer, 0);
	dns_writer_rdata(writer, type, rdata->bytes, rdata->count);
	dns_writer_set_u16(writer, length_at, (unsigned)(writer->used - length_at - 2));
	section->count++;
}

static void put_rrset(struct section *section, const struct resolverd_rrset *rrset)
{
	uint8_t owner[NAME_WIRE_MAX];
	size_t owner_bytes;
	if (name_to_wire(rrset->owner, owner, &owner_bytes) != NAME_OK) {
		section->writer->failed = true; /* the daemon's names are canonical */
		return;
	}
	for (size_t i = 0; i < rrset->rdata_count; i++)
		put_record(section, rrset, owner, rrset->type, &rrset->rdata[i]);
	for (size_t i = 0; section->query->dnssec_ok && i < rrset->rrsig_count; i++)
		put_record(section, rrset, owner, TYPE_RRSIG, &rrset->rrsig[i]);
}

static bool is_in(
    const struct resolverd_rrset *rrset, const struct resolverd_rrset *sets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (sets[i].type == rrset->type && strcmp(sets[i].owner, rrset->owner) == 0)
			return true;
	return false;
}

/* The first alias of the chain that comes of this DNAME; chain_count: none does. */
static size_t made_of(
    const struct resolverd_rrset *dname, const struct resolverd_rrset *chain, size_t count)
{
	size_t i = 0;
	while (i < count &&
	       (chain[i].type != TYPE_CNAME || !name_is_within(chain[i].owner, dname->owner)))
		i++;
	return i;
}

/* The aliases in order, each DNAME before what comes of it, as the servers told them. */
static void put_chain(struct section *section, const struct resolverd_records *records)
{
	const struct resolverd_rrset *chain = records->chain;
	size_t count = records->chain_count;
	for (size_t i = 0; i <= count; i++) {
		for (size_t j = 0; j < count; j++)
			if (chain[j].type == TYPE_DNAME && made_of(&chain[j], chain, count) == i &&
			    !is_in(&chain[j], records->answer, records->answer_count))
				put_rrset(section, &chain[j]);
		if (i < count && chain[i].type == TYPE_CNAME)
			put_rrset(section, &chain[i]);
	}
}

static void put_answer(struct section *section, const struct resolverd_records *records)
{
	put_chain(section, records);
	for (size_t i = 0; i < records->answer_count; i++)
		put_rrset(section, &records->answer[i]);
}

/* The SOA of a negative answer is for all, the proofs for those who can check them. */
static void put_authority(struct section *section, const struct resolverd_records *records)
{
	for (size_t i = 0; i < records->authority_count; i++)
		if (records->authority[i].type == TYPE_SOA || section->query->dnssec_ok)
			put_rrset(section, &records->authority[i]);
}

static bool put_records(struct dns_writer *writer, const struct dns_query *query,
    const struct resolverd_records *records, uint64_t now_ms)
{
	uint64_t left_s =
	    records->expires_at_ms > now_ms ? (records->expires_at_ms - now_ms) / 1000 : 0;
	struct section section = {writer, query, left_s < TTL_MAX ? (uint32_t)left_s : TTL_MAX, 0};
	put_answer(&section, records);
	dns_writer_set_u16(writer, ANSWER_COUNT_AT, section.count);
	section.count = 0;
	put_authority(&section, records);
	dns_writer_set_u16(writer, AUTHORITY_COUNT_AT, section.count);
	return !writer->failed;
}

/* ---- the whole ---- */

static struct dns_error failure_of(const struct resolverd_records *records)
{
	struct dns_error error = {DNS_SERVFAIL, DNS_EDE_NO_REACHABLE_AUTHORITY, records->reason};
	if (records->status == RESOLVERD_BOGUS)
		error.extended = DNS_EDE_BOGUS;
	else if (records->rcode == DNS_FORMERR)
		error.extended = DNS_EDE_NETWORK_ERROR;
	return error;
}

static bool has_data(const struct resolverd_records *records)
{
	return (records->status == RESOLVERD_SECURE || records->status == RESOLVERD_INSECURE) &&
	       (records->rcode == DNS_NOERROR || records->rcode == DNS_NXDOMAIN);
}

unsigned dns_message_type(const struct dns_query *query, unsigned nth)
{
	return query->type == DNS_TYPE_ANY ? dns_any_type(nth) : query->type;
}

bool dns_message_goes_on(
    const struct dns_query *query, unsigned nth, const struct resolverd_records *records)
{
	return query->type == DNS_TYPE_ANY && has_data(records) && records->rcode == DNS_NOERROR &&
	       records->answer_count == 0 && dns_any_type(nth + 1) != 0;
}

size_t dns_message_answer(const struct dns_query *query, const struct resolverd_records *records,
    uint64_t now_ms, enum dns_transport transport, uint8_t ret_message[DNS_MESSAGE_MAX])
{
	if (!has_data(records)) {
		struct dns_error error = failure_of(records);
		return dns_message_error(query, &error, ret_message);
	}
	struct dns_error note = {(enum dns_rcode)records->rcode,
	    records->stale ? DNS_EDE_STALE_ANSWER : DNS_EDE_NONE, ""};
	size_t room = transport == DNS_STREAM ? DNS_MESSAGE_MAX : dns_query_datagram_room(query);
	struct dns_writer writer = {.out = ret_message, .room = room - edns_bytes(query, &note)};
	unsigned flags = flags_of(query, note.rcode);
	bool tells_secure = query->authentic_data || query->dnssec_ok;
	/* Of ANY a few types were asked for: that there are no others is not known. */
	bool says_nothing = query->type == DNS_TYPE_ANY && records->answer_count == 0 &&
			    records->rcode == DNS_NOERROR;
	bool is_authentic = records->status == RESOLVERD_SECURE && tells_secure && !says_nothing;
	put_head(&writer, query, flags | (is_authentic ? FLAG_AUTHENTIC_DATA : 0));
	if (!put_records(&writer, query, records, now_ms)) {
		if (transport == DNS_STREAM) {
			struct dns_error error = {
			    DNS_SERVFAIL, DNS_EDE_OTHER, "the answer is too large for DNS"};
			return dns_message_error(query, &error, ret_message);
		}
		writer = (struct dns_writer){.out = ret_message, .room = room};
		put_head(&writer, query, flags | FLAG_TRUNCATED);
	}
	writer.room = room;
	put_edns(&writer, query, &note);
	return writer.used;
}

struct dns_error dns_error_of_client(int error, const char *detail)
{
	struct dns_error result = {DNS_SERVFAIL, DNS_EDE_OTHER, detail};
	if (error == RESOLVERD_ERROR_NO_DAEMON || error == RESOLVERD_ERROR_PUBLIC_KEY ||
	    error == RESOLVERD_ERROR_BUSY)
		result.extended = DNS_EDE_NOT_READY;
	else if (error == RESOLVERD_ERROR_TIMEOUT)
		result.extended = DNS_EDE_NO_REACHABLE_AUTHORITY;
	if (detail[0] == '\0')
		result.text = resolverd_strerror(error);
	return result;
}
