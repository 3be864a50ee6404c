/* SPDX-License-Identifier: BSD-3-Clause */
#include "proto/tlsa_set.h"

enum { DER_SEQUENCE = 0x30, DER_BIT_STRING = 0x03 };

/* One DER element with this tag at *at; steps over it, or into it. */
static bool der_take(const uint8_t **at, const uint8_t *end, uint8_t tag, bool into)
{
	const uint8_t *p = *at;
	if (end - p < 2 || p[0] != tag)
		return false;
	size_t length = p[1];
	p += 2;
	if (length >= 0x80) {
		size_t octets = length & 0x7f;
		if (octets == 0 || octets > 4 || (size_t)(end - p) < octets)
			return false;
		for (length = 0; octets > 0; octets--)
			length = length << 8 | *p++;
	}
	if (length == 0 || length > (size_t)(end - p))
		return false;
	*at = into ? p : p + length;
	return !into || p + length == end;
}

/* The outline of a certificate (RFC 5280 section 4.1) or of a SubjectPublicKeyInfo: what does not
 * even have that is undecodable, hence unusable. */
static bool is_full_data(const uint8_t *der, size_t bytes, uint8_t selector)
{
	const uint8_t *at = der, *end = der + bytes;
	return der_take(&at, end, DER_SEQUENCE, true) && der_take(&at, end, DER_SEQUENCE, false) &&
	       (selector == TLSA_SPKI || der_take(&at, end, DER_SEQUENCE, false)) &&
	       der_take(&at, end, DER_BIT_STRING, false) && at == end;
}

/* Position in the preference order; digest_count when the type is not listed. */
static size_t rank(uint8_t matching_type, const uint8_t *digests, size_t digest_count)
{
	size_t i = 0;
	while (i < digest_count && digests[i] != matching_type)
		i++;
	return i;
}

static bool is_usable(const struct tlsa_record *record, const uint8_t *digests, size_t digest_count)
{
	if ((record->usage != TLSA_DANE_TA && record->usage != TLSA_DANE_EE) ||
	    record->selector > TLSA_SPKI || record->data_bytes == 0)
		return false;
	switch (record->matching_type) {
	case TLSA_FULL:
		return is_full_data(record->data, record->data_bytes, record->selector);
	case TLSA_SHA256:
		return record->data_bytes == 32 &&
		       rank(TLSA_SHA256, digests, digest_count) < digest_count;
	case TLSA_SHA512:
		return record->data_bytes == 64 &&
		       rank(TLSA_SHA512, digests, digest_count) < digest_count;
	default:
		return false;
	}
}

size_t tlsa_pick(
    struct tlsa_record *records, size_t count, const uint8_t *digests, size_t digest_count)
{
	/* Best digest seen, per (usage, selector) (RFC 7671 section 9). */
	size_t best[TLSA_DANE_EE + 1][TLSA_SPKI + 1] = {{0}}, left = 0;
	for (size_t usage = 0; usage <= TLSA_DANE_EE; usage++)
		best[usage][TLSA_CERT] = best[usage][TLSA_SPKI] = digest_count;
	for (size_t i = 0; i < count; i++) {
		struct tlsa_record *record = &records[i];
		record->usable = record->usable && is_usable(record, digests, digest_count);
		if (!record->usable || record->matching_type == TLSA_FULL)
			continue;
		size_t *slot = &best[record->usage][record->selector];
		size_t its = rank(record->matching_type, digests, digest_count);
		*slot = its < *slot ? its : *slot;
	}
	for (size_t i = 0; i < count; i++) {
		struct tlsa_record *record = &records[i];
		if (record->usable && record->matching_type != TLSA_FULL)
			record->usable = rank(record->matching_type, digests, digest_count) ==
					 best[record->usage][record->selector];
		left += record->usable;
	}
	return left;
}
