/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A certificate as TLSA records see it: its octets and those of its SubjectPublicKeyInfo, and their
 * digests. The key itself is never decoded, so an algorithm unknown to OpenSSL matches as well as
 * any other. Borrows the X509.
 */
#pragma once
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/tlsa_set.h"

struct certificate {
	X509 *x509;
	struct certificate_part {
		uint8_t *der;
		size_t der_bytes;
		uint8_t sha256[32];
		uint8_t sha512[64];
	} part[2]; /* by selector */
};

/* 0 or RESOLVERD_ERROR_MEMORY. */
[[nodiscard]] int certificate_init(struct certificate *certificate, X509 *x509);
void certificate_fini(struct certificate *certificate);

/* Octet for octet (RFC 6698 section 2.1.3). */
bool certificate_matches(const struct certificate *certificate, const struct tlsa_record *record);
bool certificate_equals(const struct certificate *one, const struct certificate *other);
