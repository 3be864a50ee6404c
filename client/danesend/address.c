/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/danesend/address.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "client/lib/idn.h"

static int refuse(const char *text, const char *why, char ret_detail[ADDRESS_DETAIL_MAX])
{
	char shown[120];
	size_t i = 0;
	for (; text[i] != '\0' && i < sizeof shown - 1; i++)
		shown[i] = text[i];
	shown[i] = '\0';
	for (i = 0; shown[i] != '\0'; i++)
		if ((unsigned char)shown[i] < ' ' || shown[i] == 0x7f)
			shown[i] = '?';
	snprintf(ret_detail, ADDRESS_DETAIL_MAX, "\"%s\" is no mail address: %s", shown, why);
	return -1;
}

/* Octets of the UTF-8 character at text (RFC 3629); 0: it is none. */
static size_t utf8_character(const unsigned char *text)
{
	static const struct {
		unsigned char first, last, second_from, second_to;
		size_t octets;
	} forms[] = {
	    {0xc2, 0xdf, 0x80, 0xbf, 2},
	    {0xe0, 0xe0, 0xa0, 0xbf, 3},
	    {0xe1, 0xec, 0x80, 0xbf, 3},
	    {0xed, 0xed, 0x80, 0x9f, 3},
	    {0xee, 0xef, 0x80, 0xbf, 3},
	    {0xf0, 0xf0, 0x90, 0xbf, 4},
	    {0xf1, 0xf3, 0x80, 0xbf, 4},
	    {0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		if (text[0] < forms[i].first || text[0] > forms[i].last)
			continue;
		bool fits = text[1] >= forms[i].second_from && text[1] <= forms[i].second_to;
		for (size_t k = 2; fits && k < forms[i].octets; k++)
			fits = text[k] >= 0x80 && text[k] <= 0xbf;
		return fits ? forms[i].octets : 0;
	}
	return 0;
}

static bool is_atom_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~.", c) != NULL);
}

/* What is wrong with a local part; NULL: nothing. */
static const char *check_local(const char *local, size_t length, bool *ret_utf8)
{
	bool quoted = length >= 2 && local[0] == '"' && local[length - 1] == '"';
	size_t end = quoted ? length - 1 : length;
	if (length == 0 || length > ADDRESS_LOCAL_MAX)
		return "the part before the @ has no or more than 64 octets";
	for (size_t i = quoted ? 1 : 0; i < end;) {
		unsigned char c = (unsigned char)local[i];
		size_t octets = 1;
		if (c >= 0x80) {
			octets = utf8_character((const unsigned char *)local + i);
			if (octets == 0)
				return "it is not UTF-8";
			*ret_utf8 = true;
		} else if (quoted) {
			if (c == '\\')
				c = ++i < end ? (unsigned char)local[i] : 0;
			else if (c == '"')
				return "a quote in the middle";
			if (c < ' ' || c > '~')
				return "a character that must not stand in a quoted string";
		} else if (!is_atom_character((char)c)) {
			return "a character that must not stand before the @ outside quotes";
		}
		i += octets;
	}
	return NULL;
}

static const char *check_domain(
    const char *domain, struct next_hop *ret_hop, char ret_detail[DETAIL_MAX])
{
	if (idn_next_hop(domain, ret_hop, ret_detail) != 0)
		return ret_detail;
	if (ret_hop->kind == NEXT_HOP_ADDRESS)
		return NULL;
	if (ret_hop->kind == NEXT_HOP_HOST)
		return "a host in brackets behind the @";
	size_t plain = strspn(ret_hop->name, "abcdefghijklmnopqrstuvwxyz0123456789-_.");
	return ret_hop->name[plain] == '\0' && strcmp(ret_hop->name, ".") != 0
		   ? NULL
		   : "a character that must not stand in a mail domain";
}

int address_parse(const char *text, bool null_allowed, struct mail_address *ret_address,
    char ret_detail[ADDRESS_DETAIL_MAX])
{
	*ret_address = (struct mail_address){0};
	if (null_allowed && (text[0] == '\0' || strcmp(text, "<>") == 0))
		return 0;
	const char *at = strrchr(text, '@');
	if (at == NULL)
		return refuse(text, "no @ in it", ret_detail);
	const char *wrong = check_local(text, (size_t)(at - text), &ret_address->utf8);
	if (wrong != NULL)
		return refuse(text, wrong, ret_detail);
	struct next_hop hop;
	char detail[DETAIL_MAX] = "";
	wrong = check_domain(at + 1, &hop, detail);
	if (wrong != NULL)
		return refuse(text, wrong, ret_detail);
	/* A literal stays as it was written, but for the tag that RFC 5321 section 4.1.3 wants. */
	bool literal = hop.kind == NEXT_HOP_ADDRESS;
	bool lacks_tag =
	    literal && strchr(at, ':') != NULL && strncasecmp(at + 1, "[IPv6:", 6) != 0;
	snprintf(ret_address->text, sizeof ret_address->text, "%.*s@%s%s", (int)(at - text), text,
	    lacks_tag ? "[IPv6:" : "",
	    lacks_tag ? at + 2
	    : literal ? at + 1
		      : hop.name);
	snprintf(ret_address->next_hop, sizeof ret_address->next_hop, "%s", hop.text);
	return 0;
}
