/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RDATA to presentation format. Each type is a row of field letters; a reader that runs over the
 * end, or bytes left behind it, make the whole fall back to RFC 3597's \# form.
 */
#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/ctl.h"
#include "proto/names.h"
#include "proto/rrtype.h"

/* 1, 2, 4: integers of so many octets; n: name; a, A: addresses; s: string, for CAA its tag; S:
 * strings to the end; x: rest in hex; b: rest in base64; c: CAA value, a string without a length;
 * h, e: octets after their number, in hex, in base32hex; m: type bitmaps (RFC 4034 section 4.1.2).
 */
static const struct {
	const char *mnemonic, *fields;
} layouts[] = {
    {"A", "a"},
    {"NS", "n"},
    {"CNAME", "n"},
    {"SOA", "nn44444"},
    {"PTR", "n"},
    {"HINFO", "ss"},
    {"MX", "2n"},
    {"TXT", "S"},
    {"RP", "nn"},
    {"AFSDB", "2n"},
    {"AAAA", "A"},
    {"SRV", "222n"},
    {"NAPTR", "22sssn"},
    {"KX", "2n"},
    {"CERT", "221b"},
    {"DNAME", "n"},
    {"DS", "211x"},
    {"SSHFP", "11x"},
    {"NSEC", "nm"},
    {"DNSKEY", "211b"},
    {"NSEC3", "112hem"},
    {"NSEC3PARAM", "112h"},
    {"TLSA", "111x"},
    {"SMIMEA", "111x"},
    {"CDS", "211x"},
    {"CDNSKEY", "211b"},
    {"OPENPGPKEY", "b"},
    {"SPF", "S"},
    {"URI", "22c"},
    {"CAA", "1sc"},
};

#define LAYOUT_COUNT (sizeof layouts / sizeof *layouts)

struct reader {
	const uint8_t *at, *end;
	FILE *out;
};

static bool put_integer(struct reader *reader, size_t octets)
{
	if ((size_t)(reader->end - reader->at) < octets)
		return false;
	unsigned long value = 0;
	while (octets-- > 0)
		value = value << 8 | *reader->at++;
	fprintf(reader->out, "%lu", value);
	return true;
}

static bool put_name(struct reader *reader)
{
	const uint8_t *end = reader->at;
	while (end < reader->end && *end != 0)
		end += (size_t)*end + 1;
	char text[NAME_TEXT_MAX];
	if (end >= reader->end ||
	    name_from_wire(reader->at, (size_t)(end + 1 - reader->at), text) != NAME_OK)
		return false;
	reader->at = end + 1;
	fprintf(reader->out, "%s%s", text, strcmp(text, ".") == 0 ? "" : ".");
	return true;
}

static bool put_address(struct reader *reader, int family, size_t octets)
{
	char text[INET6_ADDRSTRLEN];
	if ((size_t)(reader->end - reader->at) < octets ||
	    inet_ntop(family, reader->at, text, sizeof text) == NULL)
		return false;
	reader->at += octets;
	fputs(text, reader->out);
	return true;
}

static void put_quoted(struct reader *reader, size_t octets)
{
	putc('"', reader->out);
	for (; octets > 0; octets--, reader->at++) {
		uint8_t c = *reader->at;
		if (c < ' ' || c >= 0x7f)
			fprintf(reader->out, "\\%03u", c);
		else
			fprintf(reader->out, "%s%c", c == '"' || c == '\\' ? "\\" : "", c);
	}
	putc('"', reader->out);
}

static bool put_string(struct reader *reader)
{
	if (reader->at == reader->end || (size_t)(reader->end - reader->at) <= *reader->at)
		return false;
	size_t octets = *reader->at++;
	put_quoted(reader, octets);
	return true;
}

static bool put_strings(struct reader *reader)
{
	bool good = put_string(reader);
	while (good && reader->at < reader->end) {
		putc(' ', reader->out);
		good = put_string(reader);
	}
	return good;
}

static bool put_hex(struct reader *reader)
{
	for (; reader->at < reader->end; reader->at++)
		fprintf(reader->out, "%02x", *reader->at);
	return true;
}

static bool put_base64(struct reader *reader)
{
	size_t count = (size_t)(reader->end - reader->at);
	size_t room = sodium_base64_encoded_len(count, sodium_base64_VARIANT_ORIGINAL);
	char *text = malloc(room);
	if (text == NULL)
		return false;
	fputs(sodium_bin2base64(text, room, reader->at, count, sodium_base64_VARIANT_ORIGINAL),
	    reader->out);
	free(text);
	reader->at = reader->end;
	return true;
}

/* "-" for none (RFC 5155 section 3.3). */
static bool put_counted_hex(struct reader *reader)
{
	if (reader->at == reader->end || (size_t)(reader->end - reader->at) <= *reader->at)
		return false;
	size_t octets = *reader->at++;
	if (octets == 0)
		putc('-', reader->out);
	for (; octets > 0; octets--)
		fprintf(reader->out, "%02x", *reader->at++);
	return true;
}

/* RFC 4648 section 7, without padding (RFC 5155 section 3.3). */
static bool put_counted_base32(struct reader *reader)
{
	if (reader->at == reader->end || (size_t)(reader->end - reader->at) <= *reader->at)
		return false;
	unsigned value = 0, bits = 0;
	for (size_t octets = *reader->at++; octets > 0; octets--) {
		value = value << 8 | *reader->at++;
		for (bits += 8; bits >= 5; bits -= 5)
			putc("0123456789abcdefghijklmnopqrstuv"[value >> (bits - 5) & 31],
			    reader -> out);
	}
	if (bits > 0)
		putc("0123456789abcdefghijklmnopqrstuv"[value << (5 - bits) & 31], reader -> out);
	return true;
}

static bool put_bitmaps(struct reader *reader)
{
	const char *space = "";
	while (reader->end - reader->at > 2) {
		unsigned window = reader->at[0], octets = reader->at[1];
		reader->at += 2;
		if (octets == 0 || octets > 32 || (size_t)(reader->end - reader->at) < octets)
			return false;
		for (unsigned bit = 0; bit < 8 * octets; bit++) {
			char type[RRTYPE_TEXT_MAX];
			if ((reader->at[bit / 8] & (0x80u >> bit % 8)) == 0)
				continue;
			rrtype_text(window << 8 | bit, type);
			fprintf(reader->out, "%s%s", space, type);
			space = " ";
		}
		reader->at += octets;
	}
	return true;
}

static bool put_tag(struct reader *reader)
{
	if (reader->at == reader->end || (size_t)(reader->end - reader->at) <= *reader->at)
		return false;
	for (size_t octets = *reader->at++; octets > 0; octets--, reader->at++) {
		bool plain = (*reader->at >= '0' && *reader->at <= '9') ||
			     ((*reader->at | 0x20) >= 'a' && (*reader->at | 0x20) <= 'z');
		if (!plain)
			return false;
		putc(*reader->at, reader->out);
	}
	return true;
}

static bool put_field(struct reader *reader, char field, unsigned type)
{
	switch (field) {
	case '1':
	case '2':
	case '4':
		return put_integer(reader, (size_t)(field - '0'));
	case 'n':
		return put_name(reader);
	case 'a':
		return put_address(reader, AF_INET, 4);
	case 'A':
		return put_address(reader, AF_INET6, 16);
	case 's':
		return type == 257 ? put_tag(reader) : put_string(reader);
	case 'S':
		return put_strings(reader);
	case 'x':
		return put_hex(reader);
	case 'h':
		return put_counted_hex(reader);
	case 'e':
		return put_counted_base32(reader);
	case 'm':
		return put_bitmaps(reader);
	case 'b':
		return put_base64(reader);
	default:
		put_quoted(reader, (size_t)(reader->end - reader->at));
		return true;
	}
}

/* NULL: only the \# form. */
static const char *fields_of(unsigned type)
{
	char mnemonic[RRTYPE_TEXT_MAX];
	rrtype_text(type, mnemonic);
	for (size_t i = 0; i < LAYOUT_COUNT; i++)
		if (strcmp(layouts[i].mnemonic, mnemonic) == 0)
			return layouts[i].fields;
	return NULL;
}

static bool put_known(struct reader *reader, unsigned type)
{
	const char *fields = fields_of(type);
	if (fields == NULL)
		return false;
	for (const char *field = fields; *field != '\0'; field++) {
		if (field != fields)
			putc(' ', reader->out);
		if (!put_field(reader, *field, type))
			return false;
	}
	return reader->at == reader->end;
}

char *rdata_text(unsigned type, const uint8_t *bytes, size_t count)
{
	char *text = NULL;
	size_t length;
	struct reader reader = {bytes, bytes + count, open_memstream(&text, &length)};
	if (reader.out == NULL)
		return NULL;
	if (!put_known(&reader, type)) {
		rewind(reader.out);
		reader.at = bytes;
		fprintf(reader.out, "\\# %zu%s", count, count > 0 ? " " : "");
		put_hex(&reader);
		putc('\0', reader.out);
	}
	fclose(reader.out);
	return text;
}
