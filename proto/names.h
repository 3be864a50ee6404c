/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Domain names and next hops in the one canonical form of the protocol: lower-case presentation
 * format, no trailing dot ("." for the root), bytes outside [a-z0-9_-*] as \DDD, '.' and '\' in a
 * label as \. and \\ (RFC 1035 section 5.1). Only ASCII comes in: U-labels are the client's matter.
 * All buffers are the caller's.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_WIRE_MAX 255u
/* 255 octets of wire format, each at most four characters of text, and the final zero. */
#define NAME_TEXT_MAX 1024u
#define NEXT_HOP_TEXT_MAX (NAME_TEXT_MAX + 2u)

enum name_error {
	NAME_OK = 0,
	NAME_IS_EMPTY = -1,
	NAME_TOO_LONG = -2,    /* over 255 octets */
	NAME_LABEL_EMPTY = -3, /* "a..b" or a leading dot */
	NAME_LABEL_TOO_LONG = -4,
	NAME_BAD_ESCAPE = -5,
	NAME_BAD_CHARACTER = -6, /* control character, blank, or not ASCII */
	NAME_BAD_BRACKETS = -7,
	NAME_IS_ADDRESS = -8, /* an IP address where a domain is wanted */
	NAME_BAD_ADDRESS = -9,
	NAME_HAS_COLON = -10,
};

/* What is wrong, as the end of a sentence. */
const char *name_error_text(int error);

/* Canonicalizes text; a trailing dot is allowed. */
[[gnu::warn_unused_result]] int name_canonical(const char *text, char ret_name[NAME_TEXT_MAX]);

/* Uncompressed wire format, final zero octet included, to canonical text; needs wire_bytes to be
 * exactly one name. */
[[gnu::warn_unused_result]] int name_from_wire(
    const uint8_t *wire, size_t wire_bytes, char ret_name[NAME_TEXT_MAX]);

[[gnu::warn_unused_result]] int name_to_wire(
    const char *text, uint8_t ret_wire[NAME_WIRE_MAX], size_t *ret_wire_bytes);

/* "_port._tcp.base" (RFC 7672 section 2.2.3); NAME_TOO_LONG when that is over 255 octets. */
[[gnu::warn_unused_result]] int name_tlsa_owner(
    unsigned port, const char *base, char ret_name[NAME_TEXT_MAX]);

/* name without its first label; NULL for the root. Both are canonical; points into name. */
const char *name_parent(const char *name);
/* Labels of a canonical name; the root has none. */
unsigned name_labels(const char *name);
/* name without its first labels, so that count are left; NULL: it has fewer. */
const char *name_last_labels(const char *name, unsigned count);
/* Whether canonical name is zone or below it. */
bool name_is_within(const char *name, const char *zone);

enum next_hop_kind {
	NEXT_HOP_DOMAIN,  /* example.org: MX step */
	NEXT_HOP_HOST,    /* [mx.example.org] */
	NEXT_HOP_ADDRESS, /* [192.0.2.1], [2001:db8::1], [IPv6:2001:db8::1] (RFC 5321 section 4.1.3)
			   */
};

struct next_hop {
	enum next_hop_kind kind;
	char text[NEXT_HOP_TEXT_MAX]; /* canonical, with brackets where they belong */
	char name[NAME_TEXT_MAX];     /* domain or host without brackets; an address as text */
	uint8_t ip[16];
	size_t ip_bytes; /* 0, 4 or 16 */
};

[[gnu::warn_unused_result]] int next_hop_parse(const char *text, struct next_hop *ret_next_hop);
