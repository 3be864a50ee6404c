/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a peer showed against a TLSA set (RFC 6698 section 2.1, RFC 7671 sections 4, 5 and 9, RFC
 * 7672 section 3). X.509 is OpenSSL's, DANE is ours: its own engine also wants names under
 * DANE-EE(3), refuses weak leaf keys there, and tries one path only. docs/DELIVERY.md lists where
 * and why the results differ.
 */
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/openssl/certificate.h"
#include "client/openssl/names.h"
#include "client/openssl/path.h"
#include "client/openssl/resolverd-openssl.h"

#define CHAIN_MAX 32
/* Paths built and bare keys tried, at most: a peer can't keep us busy. */
#define TRIES_MAX 32

/* Best digest first (RFC 7671 section 9). */
static const uint8_t digests[] = {TLSA_SHA512, TLSA_SHA256};

/* How near to a match: of several failures the nearest is told. */
enum nearness { NOT_TRUSTED, EXPIRED, WRONG_NAME, GAVE_UP };

struct record {
	X509 *certificate; /* Cert(0) Full(0) */
	X509_PUBKEY *key;  /* SPKI(1) Full(0) */
};

struct matcher {
	struct certificate chain[CHAIN_MAX];
	size_t chain_count;
	STACK_OF(X509) * others; /* the chain without the leaf; borrows */
	struct tlsa_record *records;
	struct record *decoded; /* what Full(0) records hold */
	size_t record_count;
	const char *const *names;
	size_t name_count;
	time_t now;
	unsigned tries;
	enum nearness nearest;
	struct resolverd_match_result result;
};

[[gnu::format(printf, 2, 3)]] static void say(
    struct resolverd_match_result *result, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(result->reason, sizeof result->reason, format, arguments);
	va_end(arguments);
}

/* ---- the TLSA set ---- */

static bool is_all_of(const uint8_t *end, const struct tlsa_record *record)
{
	return end == record->data + record->data_bytes;
}

/* What Full(0) holds must be what it says, else the record is unusable (RFC 7671 section 4.1). */
static bool decode(const struct tlsa_record *record, struct record *decoded)
{
	const uint8_t *at = record->data;
	if (record->matching_type != TLSA_FULL || record->selector > TLSA_SPKI)
		return true;
	if (record->data_bytes == 0 || record->data_bytes > UINT16_MAX)
		return false;
	if (record->selector == TLSA_CERT) {
		decoded->certificate = d2i_X509(NULL, &at, (long)record->data_bytes);
		return decoded->certificate != NULL && is_all_of(at, record);
	}
	decoded->key = d2i_X509_PUBKEY(NULL, &at, (long)record->data_bytes);
	return decoded->key != NULL && is_all_of(at, record);
}

static int take_records(struct matcher *matcher, const struct resolverd_tlsa *tlsa, size_t count)
{
	size_t room = count > 0 ? count : 1;
	matcher->records = calloc(room, sizeof *matcher->records);
	matcher->decoded = calloc(room, sizeof *matcher->decoded);
	if (matcher->records == NULL || matcher->decoded == NULL)
		return RESOLVERD_ERROR_MEMORY;
	matcher->record_count = count;
	for (size_t i = 0; i < count; i++) {
		matcher->records[i] = (struct tlsa_record){.usage = tlsa[i].usage,
		    .selector = tlsa[i].selector,
		    .matching_type = tlsa[i].matching_type,
		    .data = tlsa[i].data,
		    .data_bytes = tlsa[i].data_bytes};
		matcher->records[i].usable = decode(&matcher->records[i], &matcher->decoded[i]);
	}
	return 0;
}

/* ---- the chain ---- */

static int take_chain(struct matcher *matcher, const STACK_OF(X509) * chain)
{
	int count = sk_X509_num(chain);
	if (count <= 0)
		return RESOLVERD_ERROR_ARGUMENT;
	matcher->others = sk_X509_new_null();
	if (matcher->others == NULL)
		return RESOLVERD_ERROR_MEMORY;
	for (int i = 0; i < count && i < CHAIN_MAX; i++) {
		struct certificate *certificate = &matcher->chain[matcher->chain_count];
		int r = certificate_init(certificate, sk_X509_value(chain, i));
		if (r != 0)
			return r;
		matcher->chain_count++;
		if (i > 0 && sk_X509_push(matcher->others, certificate->x509) == 0)
			return RESOLVERD_ERROR_MEMORY;
	}
	return 0;
}

static void matcher_fini(struct matcher *matcher)
{
	for (size_t i = 0; i < matcher->chain_count; i++)
		certificate_fini(&matcher->chain[i]);
	for (size_t i = 0; i < matcher->record_count; i++) {
		X509_free(matcher->decoded[i].certificate);
		X509_PUBKEY_free(matcher->decoded[i].key);
	}
	sk_X509_free(matcher->others);
	free(matcher->records);
	free(matcher->decoded);
}

/* ---- DANE-EE(3) ---- */

static void matched(struct matcher *matcher, size_t record, unsigned depth)
{
	matcher->result.verdict = RESOLVERD_MATCH;
	matcher->result.record = record;
	matcher->result.depth = depth;
	matcher->result.failure_type = "";
}

/* The leaf itself, whatever its names, dates, issuer or strength (RFC 7671 section 5.1). */
static bool match_leaf(struct matcher *matcher)
{
	for (size_t i = 0; i < matcher->record_count; i++) {
		const struct tlsa_record *record = &matcher->records[i];
		if (!record->usable || record->usage != TLSA_DANE_EE ||
		    !certificate_matches(&matcher->chain[0], record))
			continue;
		matched(matcher, i, 0);
		say(&matcher->result, "the certificate matches %u %u %u", record->usage,
		    record->selector, record->matching_type);
		return true;
	}
	return false;
}

/* ---- DANE-TA(2) ---- */

[[gnu::format(printf, 4, 5)]] static void missed(struct matcher *matcher, enum nearness nearness,
    const char *failure_type, const char *format, ...)
{
	if (matcher->result.failure_type != NULL && nearness <= matcher->nearest)
		return;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(matcher->result.reason, sizeof matcher->result.reason, format, arguments);
	va_end(arguments);
	matcher->nearest = nearness;
	matcher->result.failure_type = failure_type;
}

static void missed_path(struct matcher *matcher, int error)
{
	bool dates = error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID;
	missed(matcher, dates ? EXPIRED : NOT_TRUSTED,
	    dates ? "certificate-expired" : "certificate-not-trusted",
	    "the chain does not hold up to the trust anchor: %s",
	    X509_verify_cert_error_string(error));
}

static bool may_try(struct matcher *matcher)
{
	if (matcher->tries++ < TRIES_MAX)
		return true;
	missed(matcher, GAVE_UP, "validation-failure",
	    "too many trust anchors to try: gave up after %d", TRIES_MAX);
	return false;
}

/* The path holds; now the names (RFC 7672 section 3.2). */
static bool match_names(struct matcher *matcher, size_t record, unsigned depth)
{
	struct resolverd_match_result *result = &matcher->result;
	const struct tlsa_record *its = &matcher->records[record];
	const char *name = names_find(matcher->chain[0].x509, matcher->names, matcher->name_count);
	if (name == NULL) {
		missed(matcher, WRONG_NAME, "certificate-host-mismatch",
		    "the certificate is for none of the reference names%s%.100s%s",
		    matcher->name_count > 0 ? " (first: " : "",
		    matcher->name_count > 0 ? matcher->names[0] : "",
		    matcher->name_count > 0 ? ")" : "");
		return false;
	}
	matched(matcher, record, depth);
	result->name_checked = true;
	snprintf(result->matched_name, sizeof result->matched_name, "%s", name);
	say(result,
	    "the trust anchor at depth %u matches %u %u %u, and the certificate is for %.100s",
	    depth, its->usage, its->selector, its->matching_type, name);
	return true;
}

/* 0 with the anchor's depth, 1: this path does not hold, or RESOLVERD_ERROR_MEMORY. */
static int try_path(struct matcher *matcher, X509 *anchor, unsigned *ret_depth)
{
	int error =
	    path_verify(matcher->chain[0].x509, matcher->others, anchor, matcher->now, ret_depth);
	if (error == X509_V_ERR_OUT_OF_MEM)
		return RESOLVERD_ERROR_MEMORY;
	if (error != X509_V_OK)
		missed_path(matcher, error);
	return error != X509_V_OK;
}

/* A certificate as the anchor. One equal to the leaf is none: usage 2 is about issuers. */
static int match_anchor(struct matcher *matcher, size_t record, X509 *anchor)
{
	unsigned depth;
	if (!may_try(matcher))
		return 0;
	int r = try_path(matcher, anchor, &depth);
	if (r == 0)
		match_names(matcher, record, depth);
	return r < 0 ? r : 0;
}

/* A bare key that no certificate shown has (RFC 7671 section 5.2.3): what it signed is the anchor
 * for what is below. */
static int match_key(struct matcher *matcher, size_t record)
{
	X509 *path[PATH_CERTIFICATES_MAX];
	EVP_PKEY *key = X509_PUBKEY_get0(matcher->decoded[record].key);
	size_t count = path_climb(matcher->chain[0].x509, matcher->others, path);
	for (size_t i = 0; key != NULL && i < count; i++) {
		unsigned depth;
		if (!may_try(matcher))
			return 0;
		if (!path_signed_by(path[i], key))
			continue;
		int r = try_path(matcher, path[i], &depth);
		if (r < 0 || (r == 0 && match_names(matcher, record, depth + 1)))
			return r;
	}
	return 0;
}

static int match_ta_record(struct matcher *matcher, size_t record)
{
	const struct tlsa_record *its = &matcher->records[record];
	X509 *own = matcher->decoded[record].certificate;
	bool shown = certificate_matches(&matcher->chain[0], its);
	for (size_t i = 1; i < matcher->chain_count; i++) {
		if (!certificate_matches(&matcher->chain[i], its) ||
		    certificate_equals(&matcher->chain[i], &matcher->chain[0]))
			continue;
		shown = true;
		int r = match_anchor(matcher, record, matcher->chain[i].x509);
		if (r != 0 || matcher->result.verdict == RESOLVERD_MATCH)
			return r;
	}
	if (shown)
		return 0;
	if (own != NULL)
		return match_anchor(matcher, record, own);
	return matcher->decoded[record].key != NULL ? match_key(matcher, record) : 0;
}

static int match_trust_anchors(struct matcher *matcher)
{
	for (size_t i = 0; i < matcher->record_count; i++) {
		if (!matcher->records[i].usable || matcher->records[i].usage != TLSA_DANE_TA)
			continue;
		int r = match_ta_record(matcher, i);
		if (r != 0 || matcher->result.verdict == RESOLVERD_MATCH)
			return r;
	}
	return 0;
}

/* ---- all of it ---- */

static int run(struct matcher *matcher)
{
	size_t usable = tlsa_pick(matcher->records, matcher->record_count, digests, sizeof digests);
	if (usable == 0) {
		matcher->result.verdict = RESOLVERD_UNUSABLE;
		matcher->result.failure_type = "tlsa-invalid";
		say(&matcher->result, "none of the %zu TLSA records is usable",
		    matcher->record_count);
		return 0;
	}
	matcher->result.verdict = RESOLVERD_NO_MATCH;
	if (match_leaf(matcher))
		return 0;
	int r = match_trust_anchors(matcher);
	if (r == 0)
		missed(matcher, NOT_TRUSTED, "certificate-not-trusted",
		    "none of the %zu usable TLSA records matches what the peer showed", usable);
	return r;
}

int resolverd_match_chain(const STACK_OF(X509) * chain, const struct resolverd_tlsa *tlsa,
    size_t tlsa_count, const char *const *names, size_t name_count, time_t now,
    struct resolverd_match_result *ret_result)
{
	struct matcher *matcher = calloc(1, sizeof *matcher);
	if (matcher == NULL)
		return RESOLVERD_ERROR_MEMORY;
	matcher->names = names;
	matcher->name_count = name_count;
	matcher->now = now;
	ERR_set_mark();
	int r = take_chain(matcher, chain);
	r = r == 0 ? take_records(matcher, tlsa, tlsa_count) : r;
	r = r == 0 ? run(matcher) : r;
	ERR_pop_to_mark();
	if (r == 0)
		*ret_result = matcher->result;
	matcher_fini(matcher);
	free(matcher);
	return r;
}

/* ---- DER ---- */

/* NULL unless the octets are exactly one certificate, in the encoding it is compared by. */
static X509 *read_der(const uint8_t *der, size_t bytes)
{
	const uint8_t *at = der;
	unsigned char *again = NULL;
	if (bytes > INT32_MAX)
		return NULL;
	X509 *certificate = d2i_X509(NULL, &at, (long)bytes);
	int again_bytes = certificate != NULL ? i2d_X509(certificate, &again) : -1;
	if (again_bytes < 0 || (size_t)again_bytes != bytes || memcmp(again, der, bytes) != 0) {
		X509_free(certificate);
		certificate = NULL;
	}
	OPENSSL_free(again);
	return certificate;
}

static int read_chain(STACK_OF(X509) * chain, const uint8_t *const *ders, const size_t *bytes,
    size_t count, struct resolverd_match_result *ret_result)
{
	for (size_t i = 0; i < count && i < CHAIN_MAX; i++) {
		X509 *certificate = read_der(ders[i], bytes[i]);
		if (certificate == NULL) {
			say(ret_result,
			    "certificate %zu of the chain is no X.509 certificate in DER", i);
			return RESOLVERD_ERROR_ARGUMENT;
		}
		if (sk_X509_push(chain, certificate) == 0) {
			X509_free(certificate);
			return RESOLVERD_ERROR_MEMORY;
		}
	}
	return 0;
}

int resolverd_match_der(const uint8_t *const *chain, const size_t *chain_bytes, size_t chain_count,
    const struct resolverd_tlsa *tlsa, size_t tlsa_count, const char *const *names,
    size_t name_count, time_t now, struct resolverd_match_result *ret_result)
{
	STACK_OF(X509) *certificates = sk_X509_new_null();
	if (certificates == NULL)
		return RESOLVERD_ERROR_MEMORY;
	ERR_set_mark();
	int r = read_chain(certificates, chain, chain_bytes, chain_count, ret_result);
	ERR_pop_to_mark();
	r = r == 0 ? resolverd_match_chain(
			 certificates, tlsa, tlsa_count, names, name_count, now, ret_result)
		   : r;
	sk_X509_pop_free(certificates, X509_free);
	return r;
}
