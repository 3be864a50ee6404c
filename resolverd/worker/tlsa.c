/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/worker/tlsa.h"

#include <errno.h>
#include <stdbool.h>

enum { USAGE_DANE_TA = 2, USAGE_DANE_EE = 3, MATCH_FULL = 0, MATCH_SHA256 = 1, MATCH_SHA512 = 2 };

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
	       (selector == 1 || der_take(&at, end, DER_SEQUENCE, false)) &&
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

static bool is_usable(const struct reply_rr *rr, const uint8_t *digests, size_t digest_count)
{
	if (rr->rdata_bytes < 4)
		return false;
	uint8_t usage = rr->rdata[0], selector = rr->rdata[1], matching_type = rr->rdata[2];
	size_t data_bytes = rr->rdata_bytes - 3;
	if ((usage != USAGE_DANE_TA && usage != USAGE_DANE_EE) || selector > 1)
		return false;
	switch (matching_type) {
	case MATCH_FULL:
		return is_full_data(rr->rdata + 3, data_bytes, selector);
	case MATCH_SHA256:
		return data_bytes == 32 && rank(MATCH_SHA256, digests, digest_count) < digest_count;
	case MATCH_SHA512:
		return data_bytes == 64 && rank(MATCH_SHA512, digests, digest_count) < digest_count;
	default:
		return false;
	}
}

int tlsa_usable_set(struct arena *arena, const struct reply_rr *rrs, size_t count,
    const uint8_t *digests, size_t digest_count, Resolverd__V1__Host *host)
{
	/* Best digest seen, per (usage, selector) (RFC 7671 section 9). */
	size_t best[4][2] = {{0}};
	for (size_t u = 0; u < 4; u++)
		best[u][0] = best[u][1] = digest_count;
	for (size_t i = 0; i < count; i++) {
		if (!is_usable(&rrs[i], digests, digest_count) || rrs[i].rdata[2] == MATCH_FULL)
			continue;
		size_t *slot = &best[rrs[i].rdata[0]][rrs[i].rdata[1]];
		size_t r = rank(rrs[i].rdata[2], digests, digest_count);
		*slot = r < *slot ? r : *slot;
	}
	host->n_tlsa = 0;
	host->tlsa = arena_alloc(arena, (count > 0 ? count : 1) * sizeof *host->tlsa);
	if (host->tlsa == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const uint8_t *rdata = rrs[i].rdata;
		if (!is_usable(&rrs[i], digests, digest_count))
			continue;
		if (rdata[2] != MATCH_FULL &&
		    rank(rdata[2], digests, digest_count) != best[rdata[0]][rdata[1]])
			continue;
		Resolverd__V1__Tlsa *tlsa = arena_alloc(arena, sizeof *tlsa);
		if (tlsa == NULL)
			return -ENOMEM;
		resolverd__v1__tlsa__init(tlsa);
		tlsa->usage = rdata[0];
		tlsa->selector = rdata[1];
		tlsa->matching_type = rdata[2];
		tlsa->data.data = (uint8_t *)(uintptr_t)(rdata + 3);
		tlsa->data.len = rrs[i].rdata_bytes - 3;
		host->tlsa[host->n_tlsa++] = tlsa;
	}
	return 0;
}
