/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which records of a TLSA RRset a sender may use (RFC 7672 section 3.1, RFC 7671 sections 4 and
 * 9). The worker picks before a plan is made, the matcher again before a certificate is judged.
 * Pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TLSA_DANE_TA = 2, TLSA_DANE_EE = 3 };
enum { TLSA_CERT = 0, TLSA_SPKI = 1 };
enum { TLSA_FULL = 0, TLSA_SHA256 = 1, TLSA_SHA512 = 2 };

struct tlsa_record { /* RFC 6698 section 2.1 */
	uint8_t usage;
	uint8_t selector;
	uint8_t matching_type;
	bool usable;
	const uint8_t *data; /* borrowed */
	size_t data_bytes;
};

/* Clears usable where a record may not be used: first what is unusable in itself, then the weaker
 * digests of each (usage, selector). A record that comes in with usable false stays out and counts
 * for nothing. digests lists matching types, best first; one not listed is unusable (Full(0) is no
 * digest and always stays). Returns how many are left. */
size_t tlsa_pick(
    struct tlsa_record *records, size_t count, const uint8_t *digests, size_t digest_count);
