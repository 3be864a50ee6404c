/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Certificates made at run time, for tests of what judges them. A recipe names what is special;
 * the rest is a good version 3 certificate, valid from a day before to a year after the tests' own
 * clock, which stands at CERTS_NOW, years from any real one.
 */
#pragma once
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "tests/unit/test.h"

#define CERTS_NOW 1500000000
#define CERTS_DAY 86400

struct identity {
	X509 *cert;
	EVP_PKEY *key;
};

/* Zero and NULL are good defaults. Extensions are written as in openssl.cnf. */
struct recipe {
	const char *name;        /* for tests to find it by */
	const char *issuer;      /* a recipe before this one; NULL: self-signed */
	const char *common_name; /* subject; NULL: name; "": an empty subject */
	const char *key;   /* "P-256" (default), "RSA-1024", "RSA-2048", "ED448", or "=NAME": the
			      key of that recipe */
	const char *basic; /* basicConstraints */
	const char *alternative; /* subjectAltName; "\0" is written as ^ in a DNS name */
	const char *constraints; /* nameConstraints */
	const char *usage;       /* keyUsage */
	const char *extended;    /* extendedKeyUsage */
	const char *digest;      /* default SHA256 */
	int from_day, to_day;    /* 0, 0: -1 to 365 */
	bool version_1;
	bool bad_signature;
	bool unknown_key; /* of an algorithm that nobody knows */
	bool garbled;     /* subjectAltName and keyUsage are no DER of theirs */
};

static inline EVP_PKEY *certs_key(const char *kind)
{
	EVP_PKEY *key = kind == NULL || strcmp(kind, "P-256") == 0 ? EVP_EC_gen("P-256")
			: strcmp(kind, "ED448") == 0
			    ? EVP_PKEY_Q_keygen(NULL, NULL, "ED448")
			    : EVP_RSA_gen((unsigned)atoi(strchr(kind, '-') + 1));
	assert_non_null(key);
	return key;
}

static inline void certs_extend(
    X509 *cert, X509V3_CTX *context, int nid, const char *value, bool with_nul, bool garbled)
{
	if (value == NULL)
		return;
	X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, context, nid, value);
	assert_non_null(extension);
	ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(extension);
	for (int i = 0; with_nul && i < data->length; i++)
		data->data[i] = data->data[i] == '^' ? '\0' : data->data[i];
	if (garbled)
		data->data[0] ^= 1;
	assert_int_equal(X509_add_ext(cert, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static inline void certs_subject(X509 *cert, const char *common_name)
{
	X509_NAME *subject = X509_NAME_new();
	unsigned char text[128];
	size_t count = strlen(common_name);
	assert_true(count < sizeof text);
	for (size_t i = 0; i < count; i++)
		text[i] = common_name[i] == '^' ? '\0' : (unsigned char)common_name[i];
	if (count > 0)
		assert_int_equal(X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
				     text, (int)count, -1, 0),
		    1);
	assert_int_equal(X509_set_subject_name(cert, subject), 1);
	X509_NAME_free(subject);
}

static inline void certs_sign(X509 *cert, EVP_PKEY *key, const struct recipe *recipe)
{
	bool edwards = EVP_PKEY_is_a(key, "ED448") || EVP_PKEY_is_a(key, "ED25519");
	const char *digest = recipe->digest != NULL ? recipe->digest : "SHA256";
	assert_true(X509_sign(cert, key, edwards ? NULL : EVP_get_digestbyname(digest)) > 0);
	if (recipe->bad_signature) {
		const ASN1_BIT_STRING *signature;
		X509_get0_signature(&signature, NULL, cert);
		signature->data[signature->length - 1] ^= 1;
	}
}

/* The same certificate with id-ecPublicKey turned into an OID that nobody has. */
static inline void certs_make_key_unknown(X509 **cert)
{
	static const uint8_t known[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
	uint8_t *der = NULL;
	int bytes = i2d_X509(*cert, &der);
	assert_true(bytes > 0);
	uint8_t *oid = memmem(der, (size_t)bytes, known, sizeof known);
	assert_non_null(oid);
	oid[sizeof known - 1] = 0x7f;
	const uint8_t *at = der;
	X509_free(*cert);
	*cert = d2i_X509(NULL, &at, bytes);
	assert_non_null(*cert);
	OPENSSL_free(der);
}

/* key: NULL makes one. issuer: NULL: self-signed. */
static inline struct identity certs_make(
    const struct recipe *recipe, const struct identity *issuer, EVP_PKEY *key)
{
	static long serial;
	struct identity made = {X509_new(), key};
	if (key != NULL)
		EVP_PKEY_up_ref(key);
	else
		made.key = certs_key(recipe->key);
	bool dated = recipe->from_day != 0 || recipe->to_day != 0;
	X509_set_version(made.cert, recipe->version_1 ? X509_VERSION_1 : X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(made.cert), ++serial);
	certs_subject(made.cert, recipe->common_name != NULL ? recipe->common_name : recipe->name);
	X509_set_issuer_name(
	    made.cert, X509_get_subject_name(issuer != NULL ? issuer->cert : made.cert));
	ASN1_TIME_set(X509_getm_notBefore(made.cert),
	    CERTS_NOW + (dated ? recipe->from_day : -1) * CERTS_DAY);
	ASN1_TIME_set(
	    X509_getm_notAfter(made.cert), CERTS_NOW + (dated ? recipe->to_day : 365) * CERTS_DAY);
	X509_set_pubkey(made.cert, made.key);
	X509V3_CTX context;
	X509V3_set_ctx(
	    &context, issuer != NULL ? issuer->cert : made.cert, made.cert, NULL, NULL, 0);
	certs_extend(made.cert, &context, NID_basic_constraints, recipe->basic, false, false);
	certs_extend(
	    made.cert, &context, NID_subject_alt_name, recipe->alternative, true, recipe->garbled);
	certs_extend(made.cert, &context, NID_name_constraints, recipe->constraints, false, false);
	certs_extend(made.cert, &context, NID_key_usage, recipe->usage, false, recipe->garbled);
	certs_extend(made.cert, &context, NID_ext_key_usage, recipe->extended, false, false);
	certs_sign(made.cert, issuer != NULL ? issuer->key : made.key, recipe);
	if (recipe->unknown_key) {
		certs_make_key_unknown(&made.cert);
		certs_sign(made.cert, issuer->key, recipe);
	}
	return made;
}

static inline void identity_free(struct identity *identity)
{
	X509_free(identity->cert);
	EVP_PKEY_free(identity->key);
	*identity = (struct identity){0};
}
