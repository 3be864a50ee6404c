/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DNS messages out of what resolverd says: for programs that know DNS only. Pure: time is a
 * parameter, the octets go where the caller says. What every answer keeps to:
 *
 *  - Bogus data and failures are SERVFAIL, with the reason as an Extended DNS Error, whatever the
 *    query's CD bit says: what does not validate is not told.
 *  - AD is set just for secure data, and only where the query has AD or DO (RFC 6840 section 5.8).
 *  - A TTL is the time until the daemon's answer expires, or the RRset's own when that is shorter.
 */
#pragma once
#include "client/dns/query.h"
#include "client/resolverd.h"

enum dns_transport {
	DNS_DATAGRAM, /* cut at what the asker takes, with TC */
	DNS_STREAM,   /* up to DNS_MESSAGE_MAX; SERVFAIL when it is longer */
};

/* The answer to a good query: records are those of its name, and of its type or, for ANY, of one of
 * dns_any_type. Returns how many octets it has. */
size_t dns_message_answer(const struct dns_query *query, const struct resolverd_records *records,
    uint64_t now_ms, enum dns_transport transport, uint8_t ret_message[DNS_MESSAGE_MAX]);

/* Which type to ask the daemon for; of a query for ANY the nth, from 0. */
unsigned dns_message_type(const struct dns_query *query, unsigned nth);
/* Of a query for ANY: there is nothing of this type, and another one is left to be asked for. */
bool dns_message_goes_on(
    const struct dns_query *query, unsigned nth, const struct resolverd_records *records);

/* An answer without data. At most DNS_DATAGRAM_MIN octets; a longer text is cut. */
size_t dns_message_error(const struct dns_query *query, const struct dns_error *error,
    uint8_t ret_message[DNS_DATAGRAM_MIN]);

/* What to tell when the client library has no records but this enum resolverd_error. detail is
 * borrowed. */
struct dns_error dns_error_of_client(int error, const char *detail);
