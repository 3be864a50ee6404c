/* SPDX-License-Identifier: BSD-3-Clause */
#include "proto/names.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const error_texts[] = {
    [0] = "it is fine",
    [-NAME_IS_EMPTY] = "it is empty",
    [-NAME_TOO_LONG] = "it is longer than 255 octets",
    [-NAME_LABEL_EMPTY] = "it has an empty label",
    [-NAME_LABEL_TOO_LONG] = "it has a label longer than 63 octets",
    [-NAME_BAD_ESCAPE] = "it has a bad \\ escape",
    [-NAME_BAD_CHARACTER] = "it has a blank, a control character or a non-ASCII byte",
    [-NAME_BAD_BRACKETS] = "its brackets do not match",
    [-NAME_IS_ADDRESS] = "it is an IP address; write it in brackets, as [192.0.2.1]",
    [-NAME_BAD_ADDRESS] = "what stands in brackets is neither an IP address nor a host name",
    [-NAME_HAS_COLON] = "it has a colon; the port is given apart, an IPv6 address in brackets",
};

const char *name_error_text(int error)
{
	if (error > 0 || -error >= (int)(sizeof error_texts / sizeof *error_texts))
		return "it is not a domain name";
	return error_texts[-error];
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

/* One character of a label, escapes resolved. Advances *at. */
static int next_octet(const char **at, uint8_t *ret_octet, bool *ret_escaped)
{
	const char *p = *at;
	*ret_escaped = *p == '\\';
	if (*ret_escaped) {
		p++;
		if (p[0] >= '0' && p[0] <= '9') {
			for (int i = 1; i < 3; i++)
				if (p[i] < '0' || p[i] > '9')
					return NAME_BAD_ESCAPE;
			int value = (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
			if (value > 255)
				return NAME_BAD_ESCAPE;
			*ret_octet = (uint8_t)value;
			*at = p + 3;
			return NAME_OK;
		}
	}
	if ((uint8_t)*p <= ' ' || (uint8_t)*p >= 0x7f)
		return *ret_escaped ? NAME_BAD_ESCAPE : NAME_BAD_CHARACTER;
	*ret_octet = (uint8_t)*p;
	*at = p + 1;
	return NAME_OK;
}

int name_to_wire(const char *text, uint8_t ret_wire[NAME_WIRE_MAX], size_t *ret_wire_bytes)
{
	if (*text == '\0')
		return NAME_IS_EMPTY;
	size_t used = 0;
	const char *p = strcmp(text, ".") == 0 ? "" : text;
	while (*p != '\0') {
		size_t length_at = used++;
		while (*p != '\0' && *p != '.') {
			uint8_t octet;
			bool escaped;
			int r = next_octet(&p, &octet, &escaped);
			if (r != NAME_OK)
				return r;
			if (used - length_at > 63)
				return NAME_LABEL_TOO_LONG;
			if (used >= NAME_WIRE_MAX - 1)
				return NAME_TOO_LONG;
			ret_wire[used++] = lower(octet);
		}
		if (used - length_at == 1)
			return NAME_LABEL_EMPTY;
		ret_wire[length_at] = (uint8_t)(used - length_at - 1);
		if (*p == '.')
			p++;
		if (*p != '\0' && used >= NAME_WIRE_MAX - 1)
			return NAME_TOO_LONG;
	}
	ret_wire[used++] = 0;
	*ret_wire_bytes = used;
	return NAME_OK;
}

static bool is_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '*';
}

int name_from_wire(const uint8_t *wire, size_t wire_bytes, char ret_name[NAME_TEXT_MAX])
{
	if (wire_bytes == 0 || wire_bytes > NAME_WIRE_MAX)
		return NAME_TOO_LONG;
	char *out = ret_name;
	size_t at = 0;
	while (wire[at] != 0) {
		size_t label_bytes = wire[at++];
		if (label_bytes > 63)
			return NAME_LABEL_TOO_LONG;
		if (at + label_bytes >= wire_bytes)
			return NAME_TOO_LONG;
		if (out != ret_name)
			*out++ = '.';
		for (size_t end = at + label_bytes; at < end; at++) {
			uint8_t c = lower(wire[at]);
			if (is_plain(c)) {
				*out++ = (char)c;
			} else if (c == '.' || c == '\\') {
				*out++ = '\\';
				*out++ = (char)c;
			} else {
				out += snprintf(out, 5, "\\%03u", c);
			}
		}
	}
	if (at + 1 != wire_bytes)
		return NAME_TOO_LONG;
	if (out == ret_name)
		*out++ = '.';
	*out = '\0';
	return NAME_OK;
}

int name_canonical(const char *text, char ret_name[NAME_TEXT_MAX])
{
	uint8_t wire[NAME_WIRE_MAX];
	size_t wire_bytes;
	int r = name_to_wire(text, wire, &wire_bytes);
	return r != NAME_OK ? r : name_from_wire(wire, wire_bytes, ret_name);
}

int name_tlsa_owner(unsigned port, const char *base, char ret_name[NAME_TEXT_MAX])
{
	char text[NAME_TEXT_MAX + 16];
	int n =
	    snprintf(text, sizeof text, "_%u._tcp.%s", port, strcmp(base, ".") == 0 ? "" : base);
	if (n < 0 || (size_t)n >= sizeof text)
		return NAME_TOO_LONG;
	return name_canonical(text, ret_name);
}

const char *name_parent(const char *name)
{
	if (strcmp(name, ".") == 0)
		return NULL;
	for (; *name != '\0' && *name != '.'; name++)
		if (*name == '\\' && name[1] != '\0')
			name++;
	return *name == '.' ? name + 1 : ".";
}

unsigned name_labels(const char *name)
{
	unsigned count = 0;
	while ((name = name_parent(name)) != NULL)
		count++;
	return count;
}

const char *name_last_labels(const char *name, unsigned count)
{
	unsigned have = name_labels(name);
	if (have < count)
		return NULL;
	for (; have > count; have--)
		name = name_parent(name);
	return name;
}

bool name_is_within(const char *name, const char *zone)
{
	for (; name != NULL; name = name_parent(name))
		if (strcmp(name, zone) == 0)
			return true;
	return false;
}

static int parse_address(const char *text, struct next_hop *hop)
{
	int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	if (family == AF_INET6 && strncasecmp(text, "ipv6:", 5) == 0)
		text += 5;
	if (inet_pton(family, text, hop->ip) != 1)
		return NAME_BAD_ADDRESS;
	hop->ip_bytes = family == AF_INET6 ? 16 : 4;
	hop->kind = NEXT_HOP_ADDRESS;
	inet_ntop(family, hop->ip, hop->name, sizeof hop->name);
	return NAME_OK;
}

static bool is_address(int family, const char *text)
{
	uint8_t ip[16];
	return inet_pton(family, text, ip) == 1;
}

/* No host name ends so (RFC 1123 section 2.1): meant is an address, and it is no good one. */
static bool ends_in_a_number(const char *name)
{
	const char *last = strrchr(name, '.');
	last = last != NULL ? last + 1 : name;
	return last[0] != '\0' && strspn(last, "0123456789") == strlen(last);
}

static int parse_domain(const char *text, struct next_hop *hop)
{
	if (strchr(text, ':') != NULL)
		return is_address(AF_INET6, text) ? NAME_IS_ADDRESS : NAME_HAS_COLON;
	int r = name_canonical(text, hop->name);
	if (r == NAME_OK && is_address(AF_INET, hop->name))
		r = NAME_IS_ADDRESS;
	if (r == NAME_OK)
		memcpy(hop->text, hop->name, strlen(hop->name) + 1);
	return r;
}

static int parse_bracketed(const char *inner, struct next_hop *hop)
{
	int r;
	if (strchr(inner, ':') != NULL || is_address(AF_INET, inner)) {
		r = parse_address(inner, hop);
	} else {
		hop->kind = NEXT_HOP_HOST;
		r = name_canonical(inner, hop->name);
		if (r == NAME_OK && ends_in_a_number(hop->name))
			r = NAME_BAD_ADDRESS;
	}
	if (r == NAME_OK)
		snprintf(hop->text, sizeof hop->text, "[%s]", hop->name);
	return r;
}

int next_hop_parse(const char *text, struct next_hop *ret_next_hop)
{
	*ret_next_hop = (struct next_hop){.kind = NEXT_HOP_DOMAIN};
	size_t length = strlen(text);
	if (text[0] != '[')
		return parse_domain(text, ret_next_hop);
	if (length < 3 || text[length - 1] != ']' || length - 2 >= NAME_TEXT_MAX)
		return NAME_BAD_BRACKETS;
	char inner[NAME_TEXT_MAX];
	memcpy(inner, text + 1, length - 2);
	inner[length - 2] = '\0';
	if (strpbrk(inner, "[]") != NULL)
		return NAME_BAD_BRACKETS;
	return parse_bracketed(inner, ret_next_hop);
}
