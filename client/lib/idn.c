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

static int refuse(const char *text, const char *why, char ret_detail[DETAIL_MAX])
{
	snprintf(ret_detail, DETAIL_MAX, "cannot ask for \"%.200s\": %s", text, why);
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
