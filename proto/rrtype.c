/* SPDX-License-Identifier: BSD-3-Clause */
#include "proto/rrtype.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
	unsigned type;
	const char *mnemonic;
} types[] = {
    {TYPE_A, "A"},
    {TYPE_NS, "NS"},
    {TYPE_CNAME, "CNAME"},
    {TYPE_SOA, "SOA"},
    {TYPE_PTR, "PTR"},
    {13, "HINFO"},
    {TYPE_MX, "MX"},
    {16, "TXT"},
    {17, "RP"},
    {18, "AFSDB"},
    {TYPE_AAAA, "AAAA"},
    {29, "LOC"},
    {33, "SRV"},
    {35, "NAPTR"},
    {36, "KX"},
    {37, "CERT"},
    {TYPE_DNAME, "DNAME"},
    {TYPE_DS, "DS"},
    {44, "SSHFP"},
    {45, "IPSECKEY"},
    {TYPE_RRSIG, "RRSIG"},
    {TYPE_NSEC, "NSEC"},
    {TYPE_DNSKEY, "DNSKEY"},
    {TYPE_NSEC3, "NSEC3"},
    {51, "NSEC3PARAM"},
    {TYPE_TLSA, "TLSA"},
    {53, "SMIMEA"},
    {59, "CDS"},
    {60, "CDNSKEY"},
    {61, "OPENPGPKEY"},
    {64, "SVCB"},
    {65, "HTTPS"},
    {99, "SPF"},
    {256, "URI"},
    {257, "CAA"},
};

#define TYPE_COUNT (sizeof types / sizeof *types)

unsigned rrtype_number(const char *text)
{
	for (size_t i = 0; i < TYPE_COUNT; i++)
		if (strcasecmp(text, types[i].mnemonic) == 0)
			return types[i].type;
	if (strncasecmp(text, "TYPE", 4) != 0 || text[4] < '0' || text[4] > '9')
		return 0;
	char *end;
	unsigned long number = strtoul(text + 4, &end, 10);
	return *end == '\0' && number <= UINT16_MAX ? (unsigned)number : 0;
}

void rrtype_text(unsigned type, char ret_text[RRTYPE_TEXT_MAX])
{
	for (size_t i = 0; i < TYPE_COUNT; i++)
		if (types[i].type == type) {
			snprintf(ret_text, RRTYPE_TEXT_MAX, "%s", types[i].mnemonic);
			return;
		}
	snprintf(ret_text, RRTYPE_TEXT_MAX, "TYPE%u", type);
}
