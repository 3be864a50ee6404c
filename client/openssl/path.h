/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Certification paths under DANE-TA(2): from the leaf to one certificate that the DNS vouches for,
 * by RFC 5280 and nothing else; no CA store, no other root. Pure but for OpenSSL.
 */
#pragma once
#include <openssl/x509_vfy.h>
#include <stdbool.h>
#include <time.h>

/* Certificates between leaf and anchor at most. */
#define PATH_DEPTH_MAX 9
/* Leaf and anchor counted. */
#define PATH_CERTIFICATES_MAX (PATH_DEPTH_MAX + 2)

/* X509_V_OK with the anchor's depth when a path leads from leaf, through some of others, to anchor;
 * else the X509_V_ERR_... of why not. Dates (the anchor's too), signatures, basicConstraints,
 * pathLen, key usages, name constraints and strength are checked; reference names are not. */
[[nodiscard]] int path_verify(
    X509 *leaf, STACK_OF(X509) * others, X509 *anchor, time_t now, unsigned *ret_depth);

/* The certificates from leaf up as far as names and key identifiers lead: how many. */
size_t path_climb(X509 *leaf, const STACK_OF(X509) * others, X509 *ret_path[PATH_CERTIFICATES_MAX]);

/* Whether key, not weak itself, signed the certificate by no weak means. */
bool path_signed_by(X509 *certificate, EVP_PKEY *key);
