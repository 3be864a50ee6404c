/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/openssl/path.h"

#include <openssl/x509v3.h>

/* OpenSSL's security level 2 and its strength: RSA from 2048 bits on, no SHA-1, no MD5. Fixed, and
 * not the machine's: the same chain gets the same verdict everywhere, and years later. */
enum { SECURITY_LEVEL = 2, SECURITY_BITS = 112 };

static void set_rules(X509_STORE_CTX *context, time_t now)
{
	X509_VERIFY_PARAM *rules = X509_STORE_CTX_get0_param(context);
	/* The anchor may be any certificate, self-signed or not (RFC 7671 section 5.2). */
	X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_time(rules, now);
	X509_VERIFY_PARAM_set_depth(rules, PATH_DEPTH_MAX);
	X509_VERIFY_PARAM_set_auth_level(rules, SECURITY_LEVEL);
}

/* OpenSSL finds no issuer for a certificate with an extension it cannot read; one that needs none,
 * since a bare key signed it, it lets pass, and what such an extension forbids is not seen. */
static bool is_readable(const STACK_OF(X509) * chain)
{
	for (int i = 0; i < sk_X509_num(chain); i++)
		if ((X509_get_extension_flags(sk_X509_value(chain, i)) & EXFLAG_INVALID) != 0)
			return false;
	return true;
}

int path_verify(X509 *leaf, STACK_OF(X509) * others, X509 *anchor, time_t now, unsigned *ret_depth)
{
	int error = X509_V_ERR_OUT_OF_MEM;
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	STACK_OF(X509) *anchors = sk_X509_new_null();
	if (context == NULL || anchors == NULL || sk_X509_push(anchors, anchor) == 0 ||
	    X509_STORE_CTX_init(context, NULL, leaf, others) != 1 ||
	    X509_STORE_CTX_set_default(context, "ssl_server") != 1)
		goto out;
	X509_STORE_CTX_set0_trusted_stack(context, anchors);
	set_rules(context, now);
	if (X509_verify_cert(context) == 1) {
		error = is_readable(X509_STORE_CTX_get0_chain(context))
			    ? X509_V_OK
			    : X509_V_ERR_INVALID_EXTENSION;
		*ret_depth = (unsigned)sk_X509_num(X509_STORE_CTX_get0_chain(context)) - 1;
	} else {
		error = X509_STORE_CTX_get_error(context);
		error = error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error;
	}
out:
	X509_STORE_CTX_free(context);
	sk_X509_free(anchors);
	return error;
}

static bool is_on_path(X509 *const *path, size_t count, const X509 *certificate)
{
	for (size_t i = 0; i < count; i++)
		if (path[i] == certificate)
			return true;
	return false;
}

static X509 *issuer_of(
    const STACK_OF(X509) * others, X509 *certificate, X509 *const *path, size_t count)
{
	for (int i = 0; i < sk_X509_num(others); i++) {
		X509 *candidate = sk_X509_value(others, i);
		if (!is_on_path(path, count, candidate) &&
		    X509_check_issued(candidate, certificate) == X509_V_OK)
			return candidate;
	}
	return NULL;
}

size_t path_climb(X509 *leaf, const STACK_OF(X509) * others, X509 *ret_path[PATH_CERTIFICATES_MAX])
{
	size_t count = 0;
	for (X509 *next = leaf; next != NULL && count < PATH_CERTIFICATES_MAX;
	     next = issuer_of(others, ret_path[count - 1], ret_path, count))
		ret_path[count++] = next;
	return count;
}

bool path_signed_by(X509 *certificate, EVP_PKEY *key)
{
	int signature_bits;
	return EVP_PKEY_get_security_bits(key) >= SECURITY_BITS &&
	       X509_get_signature_info(certificate, NULL, NULL, &signature_bits, NULL) == 1 &&
	       signature_bits >= SECURITY_BITS && X509_verify(certificate, key) == 1;
}
