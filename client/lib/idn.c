/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/lib/idn.h"

#include <idn2.h>
#include <stdio.h>
#include <string.h>

static bool is_ascii(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

/* Octets of the character at p; 0 when it is none (RFC 3629 section 4). */
static size_t utf8_octets(const uint8_t *p)
{
	size_t octets = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	for (size_t i = 1; i < octets; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
	bool no_character = (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf4 && p[1] >= 0x90);
	return overlong || no_character || p[0] > 0xf4 ? 0 : octets;
}

/* The name goes into messages and JSON: UTF-8 without control characters, whatever it was. */
static int refuse(const char *text, const char *why, char ret_detail[DETAIL_MAX])
{
	char shown[200];
	size_t used = 0;
	for (const uint8_t *p = (const uint8_t *)text; *p != 0 && used < sizeof shown - 4;) {
		size_t octets = utf8_octets(p);
		if (octets == 0 || *p < ' ' || *p == 0x7f)
			shown[used++] = '?';
		else
			used += (size_t)snprintf(shown + used, 5, "%.*s", (int)octets, p);
		p += octets > 0 ? octets : 1;
	}
	shown[used] = '\0';
	snprintf(ret_detail, DETAIL_MAX, "cannot ask for \"%s\": %s", shown, why);
	return RESOLVERD_ERROR_ARGUMENT;
}

/* The first count characters of text, as A-labels. */
static int to_ascii(
    const char *text, size_t count, char ret_ascii[NAME_TEXT_MAX], char ret_detail[DETAIL_MAX])
{
	if (count >= NAME_TEXT_MAX)
		return refuse(text, name_error_text(NAME_TOO_LONG), ret_detail);
	char copy[NAME_TEXT_MAX];
	memcpy(copy, text, count);
	copy[count] = '\0';
	if (is_ascii(copy)) {
		memcpy(ret_ascii, copy, count + 1);
		return 0;
	}
	if (strchr(copy, '\\') != NULL) /* IDNA would take the backslash for a letter */
		return refuse(text, "it has both \\ escapes and non-ASCII letters", ret_detail);
	uint8_t *ascii = NULL;
	int r =
	    idn2_lookup_u8((const uint8_t *)copy, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (r == IDN2_MALLOC)
		return RESOLVERD_ERROR_MEMORY;
	if (r != IDN2_OK)
		return refuse(text, idn2_strerror(r), ret_detail);
	size_t length = strlen((char *)ascii);
	if (length < NAME_TEXT_MAX)
		memcpy(ret_ascii, ascii, length + 1);
	idn2_free(ascii);
	return length < NAME_TEXT_MAX ? 0
				      : refuse(text, name_error_text(NAME_TOO_LONG), ret_detail);
}

int idn_name(const char *text, char ret_name[NAME_TEXT_MAX], char ret_detail[DETAIL_MAX])
{
	char ascii[NAME_TEXT_MAX];
	int r = to_ascii(text, strlen(text), ascii, ret_detail);
	if (r != 0)
		return r;
	r = name_canonical(ascii, ret_name);
	return r == NAME_OK ? 0 : refuse(text, name_error_text(r), ret_detail);
}

int idn_next_hop(const char *text, struct next_hop *ret_hop, char ret_detail[DETAIL_MAX])
{
	size_t length = strlen(text);
	bool bracketed = length > 2 && text[0] == '[' && text[length - 1] == ']';
	char ascii[NAME_TEXT_MAX], whole[NEXT_HOP_TEXT_MAX];
	int r = bracketed ? to_ascii(text + 1, length - 2, ascii, ret_detail)
			  : to_ascii(text, length, ascii, ret_detail);
	if (r != 0)
		return r;
	snprintf(whole, sizeof whole, bracketed ? "[%s]" : "%s", ascii);
	r = next_hop_parse(whole, ret_hop);
	return r == NAME_OK ? 0 : refuse(text, name_error_text(r), ret_detail);
}
