/* SPDX-License-Identifier: BSD-3-Clause */
/* What the probe reads and writes. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "client/postfix/probe.h"

#define DNS_PORT 53u
#define HEADER_BYTES 12u
#define QUESTION_BYTES 5u /* of the root: one octet of name, type, class */
#define QR 0x80u          /* of the third octet of a message */
#define OPCODE 0x78u
#define TC 0x02u
#define AD 0x20u /* of the fourth */
#define RCODE 0x0fu

/* ---- resolv.conf(5) ---- */

static size_t take_line(const char *line, union serve_address *ret_server, bool *ret_has_bad)
{
	static const char word[] = "nameserver";
	char name[64];
	size_t start = strlen(word), length;
	if (strncmp(line, word, start) != 0 || (line[start] != ' ' && line[start] != '\t'))
		return 0;
	start += strspn(line + start, " \t");
	length = strcspn(line + start, " \t\r\n;#");
	if (length == 0)
		return 0;
	snprintf(name, sizeof name, "%.*s", length < sizeof name ? (int)length : 0, line + start);
	/* libc takes no ports here. */
	if ((strchr(name, ':') == NULL || strchr(name, ':') != strrchr(name, ':')) &&
	    name[0] != '[' && serve_take_address(name, DNS_PORT, ret_server))
		return 1;
	*ret_has_bad = true;
	return 0;
}

size_t probe_servers(
    const char *text, union serve_address ret_servers[PROBE_SERVERS_MAX], bool *ret_has_bad)
{
	size_t count = 0;
	*ret_has_bad = false;
	while (count < PROBE_SERVERS_MAX) {
		count += take_line(text, &ret_servers[count], ret_has_bad);
		text = strchr(text, '\n');
		if (text == NULL)
			break;
		text++;
	}
	if (count == 0 && !*ret_has_bad && serve_take_address("127.0.0.1", DNS_PORT, ret_servers))
		count = 1;
	return count;
}

/* ---- DNS (RFC 1035, RFC 6840 section 5.7) ---- */

void probe_query(uint16_t id, uint8_t ret_query[PROBE_QUERY_BYTES])
{
	const uint8_t query[PROBE_QUERY_BYTES] = {(uint8_t)(id >> 8), (uint8_t)id, 0x01 /* RD */,
	    AD, 0, 1, 0, 0, 0, 0, 0, 1,                          /* one question, one additional */
	    0, 0, 2, 0, 1,                                       /* . NS IN */
	    0, 0, 41, 0x04, 0xd0, 0, 0, 0x80 /* DO */, 0, 0, 0}; /* OPT, 1232 octets */
	memcpy(ret_query, query, sizeof query);
}

enum probe_reply probe_read(const uint8_t *packet, size_t bytes,
    const uint8_t query[PROBE_QUERY_BYTES], const char **ret_complaint)
{
	if (bytes < HEADER_BYTES || memcmp(packet, query, 2) != 0 || !(packet[2] & QR) ||
	    packet[2] & OPCODE)
		return PROBE_FOREIGN;
	unsigned rcode = packet[3] & RCODE;
	bool has_question =
	    packet[4] == 0 && packet[5] == 1 && bytes >= HEADER_BYTES + QUESTION_BYTES &&
	    memcmp(packet + HEADER_BYTES, query + HEADER_BYTES, QUESTION_BYTES) == 0;
	if (rcode != 0)
		*ret_complaint = rcode == 2 ? "answers SERVFAIL" : "answers with an error";
	else if (!has_question)
		return PROBE_FOREIGN;
	else if (!(packet[3] & AD))
		*ret_complaint = "does not set the AD bit for the root's NS records";
	else if (packet[6] == 0 && packet[7] == 0 && !(packet[2] & TC))
		*ret_complaint = "has no NS records of the root";
	else
		return PROBE_VALIDATED;
	return PROBE_REFUSED;
}
