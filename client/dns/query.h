/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a DNS client asks, as far as it can be answered out of resolverd's records: a question of
 * class IN, with or without EDNS (RFC 1035 section 4, RFC 6891). Pure: a function from octets.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/names.h"

#define DNS_HEADER_BYTES 12u
#define DNS_MESSAGE_MAX 65535u
/* A datagram that no network need fragment; to a client that takes more we send no more. */
#define DNS_DATAGRAM_MAX 1232u
#define DNS_DATAGRAM_MIN 512u /* RFC 1035 section 4.2.1 */

#define DNS_TYPE_ANY 255u

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_BADVERS = 16, /* RFC 6891 section 6.1.3 */
};

/* RFC 8914 section 4. */
enum dns_extended_error {
	DNS_EDE_OTHER = 0,
	DNS_EDE_STALE_ANSWER = 3,
	DNS_EDE_BOGUS = 6,
	DNS_EDE_NOT_READY = 14,
	DNS_EDE_NOT_SUPPORTED = 21,
	DNS_EDE_NO_REACHABLE_AUTHORITY = 22,
	DNS_EDE_NETWORK_ERROR = 23,
	DNS_EDE_NONE = 65536, /* nothing to add */
};

/* Why a query is answered without data. */
struct dns_error {
	enum dns_rcode rcode;
	enum dns_extended_error extended;
	const char *text; /* for people, may be empty; borrowed */
};

struct dns_query {
	uint16_t id;
	uint8_t opcode;
	bool recursion_desired, authentic_data, checking_disabled;
	uint8_t name[NAME_WIRE_MAX]; /* in the asker's letters */
	size_t name_bytes;           /* 0: no question was read */
	uint16_t type, class;
	bool has_edns, dnssec_ok;
	uint8_t edns_version;
	uint16_t datagram_bytes; /* what the asker takes over UDP, from DNS_DATAGRAM_MIN */
};

enum dns_verdict {
	DNS_QUERY_GOOD,   /* to be looked up */
	DNS_QUERY_FAULTY, /* to be answered with the error */
	DNS_QUERY_NONE,   /* no query at all: to be left unanswered, else two servers might talk for
			     ever */
};

/* ret_error is written for a faulty one only, ret_query unless there is none. */
enum dns_verdict dns_query_parse(const uint8_t *packet, size_t packet_bytes,
    struct dns_query *ret_query, struct dns_error *ret_error);

/* The most octets of an answer over UDP. */
size_t dns_query_datagram_room(const struct dns_query *query);

/* A query for ANY gets one RRset of those there are (RFC 8482 section 4.1): the first found of
 * these types. nth from 0; 0 behind the last. */
unsigned dns_any_type(unsigned nth);
