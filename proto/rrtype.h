/* SPDX-License-Identifier: BSD-3-Clause */
/* DNS record types: those this code acts on, and the names that people know more of them by. */
#pragma once

#define RRTYPE_TEXT_MAX 16u

enum rrtype {
	TYPE_A = 1,
	TYPE_NS = 2,
	TYPE_CNAME = 5,
	TYPE_SOA = 6,
	TYPE_PTR = 12,
	TYPE_MX = 15,
	TYPE_AAAA = 28,
	TYPE_DNAME = 39,
	TYPE_DS = 43,
	TYPE_RRSIG = 46,
	TYPE_NSEC = 47,
	TYPE_DNSKEY = 48,
	TYPE_NSEC3 = 50,
	TYPE_TLSA = 52,
};

/* TYPE number of a mnemonic or TYPE123; 0: neither. */
unsigned rrtype_number(const char *text);
/* "MX", or "TYPE123". */
void rrtype_text(unsigned type, char ret_text[RRTYPE_TEXT_MAX]);
