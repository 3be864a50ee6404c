/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/openssl/certificate.h"

#include <string.h>

#include "client/resolverd.h"

static bool part_init(struct certificate_part *part, int der_bytes)
{
	if (der_bytes <= 0)
		return false;
	part->der_bytes = (size_t)der_bytes;
	return EVP_Digest(part->der, part->der_bytes, part->sha256, NULL, EVP_sha256(), NULL) ==
		   1 &&
	       EVP_Digest(part->der, part->der_bytes, part->sha512, NULL, EVP_sha512(), NULL) == 1;
}

int certificate_init(struct certificate *certificate, X509 *x509)
{
	*certificate = (struct certificate){.x509 = x509};
	struct certificate_part *cert = &certificate->part[TLSA_CERT];
	struct certificate_part *spki = &certificate->part[TLSA_SPKI];
	if (part_init(cert, i2d_X509(x509, &cert->der)) &&
	    part_init(spki, i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &spki->der)))
		return 0;
	certificate_fini(certificate);
	return RESOLVERD_ERROR_MEMORY;
}

void certificate_fini(struct certificate *certificate)
{
	OPENSSL_free(certificate->part[TLSA_CERT].der);
	OPENSSL_free(certificate->part[TLSA_SPKI].der);
	*certificate = (struct certificate){0};
}

static bool equal(const uint8_t *one, size_t one_bytes, const uint8_t *other, size_t other_bytes)
{
	return one_bytes == other_bytes && memcmp(one, other, one_bytes) == 0;
}

bool certificate_matches(const struct certificate *certificate, const struct tlsa_record *record)
{
	const struct certificate_part *part = &certificate->part[record->selector];
	switch (record->matching_type) {
	case TLSA_FULL:
		return equal(part->der, part->der_bytes, record->data, record->data_bytes);
	case TLSA_SHA256:
		return equal(part->sha256, sizeof part->sha256, record->data, record->data_bytes);
	case TLSA_SHA512:
		return equal(part->sha512, sizeof part->sha512, record->data, record->data_bytes);
	default:
		return false;
	}
}

bool certificate_equals(const struct certificate *one, const struct certificate *other)
{
	const struct certificate_part *a = &one->part[TLSA_CERT], *b = &other->part[TLSA_CERT];
	return equal(a->der, a->der_bytes, b->der, b->der_bytes);
}
