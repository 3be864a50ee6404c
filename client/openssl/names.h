/* SPDX-License-Identifier: BSD-3-Clause */
/* Reference names against a certificate (RFC 7672 section 3.2). Pure but for OpenSSL. */
#pragma once
#include <openssl/x509.h>
#include <stddef.h>

/* The first of names that the certificate is for; NULL: none. */
const char *names_find(X509 *leaf, const char *const *names, size_t count);
