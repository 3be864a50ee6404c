/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/lib/text.h"

#include <stdint.h>

static bool follows(uint8_t c, uint8_t from, uint8_t to)
{
	return c >= from && c <= to;
}

/* Octets of the printable character that begins here (RFC 3629 section 4); 0: there is none. */
static size_t character(const uint8_t *s)
{
	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7f ? 1 : 0;
	size_t count = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	uint8_t from = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
	uint8_t to = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
	if (s[0] == 0xc2) /* U+0080 to U+009F are control characters too */
		from = 0xa0;
	if (s[0] < 0xc2 || s[0] > 0xf4 || !follows(s[1], from, to))
		return 0;
	for (size_t i = 2; i < count; i++)
		if (!follows(s[i], 0x80, 0xbf))
			return 0;
	return count;
}

void text_mend(char *text)
{
	for (size_t i = 0, count; text[i] != '\0'; i += count) {
		count = character((const uint8_t *)text + i);
		if (count > 0)
			continue;
		text[i] = '?';
		count = 1;
	}
}

const char *text_clean(struct resolverd_memory *arena, const char *text)
{
	char *clean = NULL;
	for (size_t i = 0, count; text[i] != '\0'; i += count) {
		count = character((const uint8_t *)text + i);
		if (count > 0)
			continue;
		if (clean == NULL && (clean = memory_string(arena, text)) == NULL)
			return "";
		clean[i] = '?';
		count = 1;
	}
	return clean != NULL ? clean : text;
}
