/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Octets of a DNS message, one behind the other, names compressed where old software expects it
 * (RFC 1035 section 4.1.4, RFC 3597 section 4). What has no room is dropped, and all behind it;
 * `failed` tells so.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_WRITER_NAMES_MAX 64u /* that later ones may point to; beyond they are written out */

/* Zero-initialize it but for out and room; nothing to free. */
struct dns_writer {
	uint8_t *out;
	size_t room, used;
	bool failed;
	struct dns_written_name {
		uint32_t hash; /* of the labels from here to the root */
		uint16_t at;
	} names[DNS_WRITER_NAMES_MAX];
	size_t name_count;
};

void dns_writer_u8(struct dns_writer *writer, unsigned value);
void dns_writer_u16(struct dns_writer *writer, unsigned value);
void dns_writer_bytes(struct dns_writer *writer, const void *bytes, size_t count);
/* name is in wire format, not compressed, and right: at most 255 octets that end with the root. */
void dns_writer_name(struct dns_writer *writer, const uint8_t *name);
/* Names in it are compressed where the type is one of RFC 1035's. Data that is not laid out as its
 * type wants is written as it is. */
void dns_writer_rdata(
    struct dns_writer *writer, unsigned type, const uint8_t *rdata, size_t rdata_bytes);
/* Over what was written before, unless it was not. */
void dns_writer_set_u16(struct dns_writer *writer, size_t at, unsigned value);
