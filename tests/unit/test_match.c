/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A chain against a TLSA set: sections H, I and J of the conformance cases. Each row also goes
 * through OpenSSL's own DANE engine, as does a random corpus; where the two differ, the row says
 * why, and docs/DELIVERY.md too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "client/openssl/resolverd-openssl.h"
#include "tests/unit/certs.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define WORDS_MAX 48

/* ---- certificates ---- */

#define CA "critical,CA:TRUE"
#define MX "DNS:mx.example.com"

static const struct recipe recipes[] = {
    {.name = "root", .basic = CA},
    {.name = "int", .issuer = "root", .basic = CA},
    {.name = "sub", .issuer = "int", .basic = CA},
    {.name = "leaf", .issuer = "int", .alternative = MX},
    {.name = "deep-leaf", .issuer = "sub", .alternative = MX},
    {.name = "root-leaf", .issuer = "root", .alternative = MX},
    {.name = "other", .basic = CA},
    {.name = "other-leaf", .issuer = "other", .alternative = MX},
    {.name = "self", .alternative = MX},
    {.name = "self-ca", .alternative = MX, .basic = CA},
    /* dates */
    {.name = "old-leaf", .issuer = "int", .alternative = MX, .from_day = -9, .to_day = -1},
    {.name = "early-leaf", .issuer = "int", .alternative = MX, .from_day = 1, .to_day = 9},
    {.name = "old-int", .issuer = "root", .basic = CA, .from_day = -9, .to_day = -1},
    {.name = "old-int-leaf", .issuer = "old-int", .alternative = MX},
    {.name = "old-root", .basic = CA, .from_day = -9, .to_day = -1},
    {.name = "old-root-leaf", .issuer = "old-root", .alternative = MX},
    {.name = "old-root-int", .issuer = "old-root", .basic = CA},
    {.name = "old-root-int-leaf", .issuer = "old-root-int", .alternative = MX},
    /* forged: issued by another that calls itself "int" */
    {.name = "impostor", .common_name = "int", .basic = CA},
    {.name = "forged-leaf", .issuer = "impostor", .alternative = MX},
    {.name = "broken-leaf", .issuer = "int", .alternative = MX, .bad_signature = true},
    /* a second certificate for the key of int, by another root */
    {.name = "cross-int", .issuer = "other", .common_name = "int", .key = "=int", .basic = CA},
    {.name = "cross-net",
	.issuer = "other",
	.common_name = "int",
	.key = "=int",
	.basic = CA,
	.constraints = "permitted;DNS:example.net"},
    /* what a trust anchor may do */
    {.name = "short", .issuer = "root", .basic = CA ",pathlen:0"},
    {.name = "short-leaf", .issuer = "short", .alternative = MX},
    {.name = "short-sub", .issuer = "short", .basic = CA},
    {.name = "short-sub-leaf", .issuer = "short-sub", .alternative = MX},
    {.name = "com", .issuer = "root", .basic = CA, .constraints = "permitted;DNS:example.com"},
    {.name = "com-leaf", .issuer = "com", .alternative = MX},
    {.name = "net", .issuer = "root", .basic = CA, .constraints = "permitted;DNS:example.net"},
    {.name = "net-leaf", .issuer = "net", .alternative = MX},
    {.name = "no-com", .issuer = "root", .basic = CA, .constraints = "excluded;DNS:example.com"},
    {.name = "no-com-leaf", .issuer = "no-com", .alternative = MX},
    {.name = "no-ca", .issuer = "root"},
    {.name = "no-ca-leaf", .issuer = "no-ca", .alternative = MX},
    {.name = "false-ca", .issuer = "root", .basic = "critical,CA:FALSE"},
    {.name = "false-ca-leaf", .issuer = "false-ca", .alternative = MX},
    {.name = "no-sign", .issuer = "root", .basic = CA, .usage = "critical,cRLSign"},
    {.name = "no-sign-leaf", .issuer = "no-sign", .alternative = MX},
    {.name = "v1", .version_1 = true},
    {.name = "v1-leaf", .issuer = "v1", .alternative = MX},
    {.name = "mail-leaf", .issuer = "int", .alternative = MX, .extended = "emailProtection"},
    {.name = "server-leaf", .issuer = "int", .alternative = MX, .extended = "serverAuth"},
    /* strength */
    {.name = "weak-leaf", .issuer = "int", .alternative = MX, .key = "RSA-1024"},
    {.name = "weak-ca", .basic = CA, .key = "RSA-1024"},
    {.name = "weak-ca-leaf", .issuer = "weak-ca", .alternative = MX},
    {.name = "sha1-int", .issuer = "root", .basic = CA, .digest = "SHA1"},
    {.name = "sha1-int-leaf", .issuer = "sha1-int", .alternative = MX},
    {.name = "sha1-leaf", .issuer = "int", .alternative = MX, .digest = "SHA1"},
    {.name = "rsa-ca", .basic = CA, .key = "RSA-2048"},
    {.name = "md5-leaf", .issuer = "rsa-ca", .alternative = MX, .digest = "MD5"},
    {.name = "ed448", .basic = CA, .key = "ED448"},
    {.name = "ed448-leaf", .issuer = "ed448", .alternative = MX, .key = "ED448"},
    {.name = "unknown-leaf", .issuer = "int", .alternative = MX, .unknown_key = true},
    /* names */
    {.name = "wild-leaf", .issuer = "int", .alternative = "DNS:*.example.com"},
    {.name = "prefix-leaf", .issuer = "int", .alternative = "DNS:smtp*.example.com"},
    {.name = "suffix-leaf", .issuer = "int", .alternative = "DNS:*smtp.example.com"},
    {.name = "inner-leaf", .issuer = "int", .alternative = "DNS:a.*.example.com"},
    {.name = "two-stars-leaf", .issuer = "int", .alternative = "DNS:*.*.example.com"},
    {.name = "all-leaf", .issuer = "int", .alternative = "DNS:*"},
    {.name = "tld-leaf", .issuer = "int", .alternative = "DNS:*.com"},
    {.name = "cn-leaf", .issuer = "int", .common_name = "mx.example.com"},
    {.name = "cn-wild-leaf", .issuer = "int", .common_name = "*.example.com"},
    {.name = "cn-nul-leaf", .issuer = "int", .common_name = "mx.example.com^.evil.net"},
    {.name = "cn-san-leaf",
	.issuer = "int",
	.common_name = "mx.example.com",
	.alternative = "DNS:www.example.com"},
    {.name = "cn-mail-leaf",
	.issuer = "int",
	.common_name = "mx.example.com",
	.alternative = "email:a@example.com"},
    {.name = "garbled-leaf",
	.issuer = "root",
	.common_name = "mx.example.com",
	.alternative = "DNS:www.example.net",
	.garbled = true},
    {.name = "garbled-usage-leaf",
	.issuer = "root",
	.common_name = "mx.example.com",
	.usage = "digitalSignature",
	.garbled = true},
    {.name = "nul-leaf", .issuer = "int", .alternative = "DNS:mx.example.com^.evil.net"},
    {.name = "ip-leaf", .issuer = "int", .alternative = "IP:192.0.2.1"},
    {.name = "upper-leaf", .issuer = "int", .alternative = "DNS:MX.Example.COM"},
    {.name = "dot-leaf", .issuer = "int", .alternative = "DNS:mx.example.com."},
    {.name = "idn-leaf", .issuer = "int", .alternative = "DNS:xn--mx-xka.example.com"},
    {.name = "two-leaf", .issuer = "int", .alternative = "DNS:a.example.net,DNS:mx.example.com"},
    /* a tower: t12 stands on eleven others */
    {.name = "t1", .issuer = "root", .basic = CA},
    {.name = "t2", .issuer = "t1", .basic = CA},
    {.name = "t3", .issuer = "t2", .basic = CA},
    {.name = "t4", .issuer = "t3", .basic = CA},
    {.name = "t5", .issuer = "t4", .basic = CA},
    {.name = "t6", .issuer = "t5", .basic = CA},
    {.name = "t7", .issuer = "t6", .basic = CA},
    {.name = "t8", .issuer = "t7", .basic = CA},
    {.name = "t9", .issuer = "t8", .basic = CA},
    {.name = "t10", .issuer = "t9", .basic = CA},
    {.name = "t9-leaf", .issuer = "t9", .alternative = MX},
    {.name = "t10-leaf", .issuer = "t10", .alternative = MX},
};
#define TOWER_9 "t9 t8 t7 t6 t5 t4 t3 t2 t1"

static struct identity identities[COUNT(recipes)];
static SSL_CTX *oracle; /* OpenSSL with its own DANE engine */

static size_t index_of(const char *name)
{
	for (size_t i = 0; i < COUNT(recipes); i++)
		if (strcmp(recipes[i].name, name) == 0)
			return i;
	fail_msg("no certificate is called %s", name);
	return 0;
}

static int make_identities(void **state)
{
	(void)state;
	oracle = SSL_CTX_new(TLS_client_method());
	assert_int_equal(SSL_CTX_dane_enable(oracle), 1);
	for (size_t i = 0; i < COUNT(recipes); i++) {
		const struct recipe *recipe = &recipes[i];
		EVP_PKEY *key = recipe->key != NULL && recipe->key[0] == '='
				    ? identities[index_of(recipe->key + 1)].key
				    : NULL;
		identities[i] = certs_make(recipe,
		    recipe->issuer != NULL ? &identities[index_of(recipe->issuer)] : NULL, key);
	}
	return 0;
}

static int free_identities(void **state)
{
	(void)state;
	SSL_CTX_free(oracle);
	for (size_t i = 0; i < COUNT(recipes); i++)
		identity_free(&identities[i]);
	return 0;
}

/* ---- rows ---- */

/* A record: usage, selector, matching type, and whose certificate it is about; "NAME/31": only so
 * many octets of it; "NAME!": its last octet is wrong; "#32": that many octets of nothing. */
static const struct row {
	const char *name;
	const char *chain;
	const char *tlsa;
	const char *names; /* NULL: mx.example.com */
	enum resolverd_match want;
	size_t record;
	unsigned depth;
	const char *failure_type;
	const char *openssl; /* why its own engine says otherwise; NULL: it agrees */
} rows[] = {
#define MATCHES(record, depth) RESOLVERD_MATCH, record, depth, ""
#define UNTRUSTED RESOLVERD_NO_MATCH, 0, 0, "certificate-not-trusted"
#define OUT_OF_DATE RESOLVERD_NO_MATCH, 0, 0, "certificate-expired"
#define NAMELESS RESOLVERD_NO_MATCH, 0, 0, "certificate-host-mismatch"
#define NOTHING_USABLE RESOLVERD_UNUSABLE, 0, 0, "tlsa-invalid"
#define WEAK_KEY "it refuses a weak leaf key before it looks at DANE"
#define ONE_PATH "it follows one path, to the first anchor, only"
#define ANCHOR_DATES "it looks at an anchor's dates only when it is self-signed"
#define UNREADABLE "it overlooks an extension it cannot read in what a bare key signed"
#define OWN_KEY "it takes a leaf that a bare key signed, though it is the leaf's own"
    /* usage 3 */
    {"h01_i03_usage_3_checks_no_name", "leaf int", "3 1 1 leaf", "other.example.net", MATCHES(0, 0),
	NULL},
    {"h02_usage_3_takes_an_expired_leaf", "old-leaf int", "3 1 1 old-leaf", NULL, MATCHES(0, 0),
	NULL},
    {"h02_usage_3_takes_a_leaf_not_yet_valid", "early-leaf", "3 0 1 early-leaf", NULL,
	MATCHES(0, 0), NULL},
    {"h03_usage_3_takes_a_self_signed_leaf", "self", "3 1 1 self", NULL, MATCHES(0, 0), NULL},
    {"h03_usage_3_takes_an_incomplete_chain", "leaf", "3 1 1 leaf", NULL, MATCHES(0, 0), NULL},
    {"h03_usage_3_takes_a_foreign_chain", "leaf other root", "3 1 1 leaf", NULL, MATCHES(0, 0),
	NULL},
    {"h03_usage_3_takes_a_broken_signature", "broken-leaf int", "3 0 1 broken-leaf", NULL,
	MATCHES(0, 0), NULL},
    {"h03_usage_3_takes_a_leaf_for_mail_only", "mail-leaf int", "3 1 1 mail-leaf", NULL,
	MATCHES(0, 0), NULL},
    {"h03_usage_3_takes_a_weak_key", "weak-leaf int", "3 1 1 weak-leaf", NULL, MATCHES(0, 0),
	WEAK_KEY},
    {"h03_usage_3_takes_a_weak_signature", "sha1-leaf int", "3 1 1 sha1-leaf", NULL, MATCHES(0, 0),
	NULL},
    {"h03_usage_3_takes_a_key_of_an_unknown_algorithm", "unknown-leaf", "3 1 1 unknown-leaf", NULL,
	MATCHES(0, 0), WEAK_KEY},
    {"h03_usage_3_takes_a_certificate_of_an_unknown_algorithm", "unknown-leaf",
	"3 0 0 unknown-leaf", NULL, MATCHES(0, 0), WEAK_KEY},
    {"h03_usage_3_takes_ed448", "ed448-leaf", "3 1 1 ed448-leaf", NULL, MATCHES(0, 0), NULL},
    {"h04_cert_full", "leaf int", "3 0 0 leaf", NULL, MATCHES(0, 0), NULL},
    {"h04_h19_cert_sha256", "leaf int", "3 0 1 leaf", NULL, MATCHES(0, 0), NULL},
    {"h04_cert_sha512", "leaf int", "3 0 2 leaf", NULL, MATCHES(0, 0), NULL},
    {"h04_key_full", "leaf int", "3 1 0 leaf", NULL, MATCHES(0, 0), NULL},
    {"h04_h19_key_sha256", "leaf int", "3 1 1 leaf", NULL, MATCHES(0, 0), NULL},
    {"h04_key_sha512", "leaf int", "3 1 2 leaf", NULL, MATCHES(0, 0), NULL},
    {"h04_one_wrong_octet_is_no_match", "leaf int", "3 1 1 leaf!; 3 0 1 leaf!", NULL, UNTRUSTED,
	NULL},
    {"h05_usage_3_is_not_about_an_intermediate", "leaf int root", "3 1 1 int; 3 0 1 int; 3 0 0 int",
	NULL, UNTRUSTED, NULL},
    {"h05_usage_3_is_not_about_the_root", "leaf int root", "3 1 1 root; 3 0 1 root", NULL,
	UNTRUSTED, NULL},
    {"i01_d02_a_good_chain_of_another_is_no_match", "root-leaf root", "3 1 1 leaf", NULL, UNTRUSTED,
	NULL},
    /* usage 2: where the anchor is */
    {"h06_ta_in_the_chain", "leaf int root", "2 0 1 root", NULL, MATCHES(0, 2), NULL},
    {"h06_ta_key_in_the_chain", "leaf int root", "2 1 1 root", NULL, MATCHES(0, 2), NULL},
    {"h06_ta_sha512", "leaf int root", "2 0 2 root", NULL, MATCHES(0, 2), NULL},
    {"h06_ta_full_in_the_chain", "leaf int root", "2 0 0 root", NULL, MATCHES(0, 2), NULL},
    {"h06_ta_full_key_in_the_chain", "leaf int root", "2 1 0 root", NULL, MATCHES(0, 2), NULL},
    {"h06_chain_out_of_order", "leaf root int", "2 0 1 root", NULL, MATCHES(0, 2), NULL},
    {"h06_chain_with_strangers", "leaf other int old-int root", "2 0 1 root", NULL, MATCHES(0, 2),
	NULL},
    {"h07_ta_is_an_intermediate", "leaf int", "2 0 1 int", NULL, MATCHES(0, 1), NULL},
    {"h07_ta_is_an_intermediate_by_key", "leaf int root", "2 1 1 int", NULL, MATCHES(0, 1), NULL},
    {"h07_ta_in_the_middle", "deep-leaf sub int root", "2 0 1 int", NULL, MATCHES(0, 2), NULL},
    {"h08_ta_absent", "leaf int", "2 0 1 root", NULL, UNTRUSTED, NULL},
    {"h08_ta_key_absent", "leaf int", "2 1 1 root", NULL, UNTRUSTED, NULL},
    {"h09_ta_in_the_dns_only", "leaf int", "2 0 0 root", NULL, MATCHES(0, 2), NULL},
    {"h09_ta_in_the_dns_only_and_it_is_an_intermediate", "leaf", "2 0 0 int", NULL, MATCHES(0, 1),
	NULL},
    {"h09_ta_in_the_dns_did_not_issue", "leaf int", "2 0 0 other", NULL, UNTRUSTED, NULL},
    {"h09_ta_in_the_dns_still_checks_names", "leaf int", "2 0 0 root", "mx.example.net", NAMELESS,
	NULL},
    {"h10_bare_key_signed_the_top", "leaf int", "2 1 0 root", NULL, MATCHES(0, 2), NULL},
    {"h10_bare_key_signed_the_leaf", "root-leaf", "2 1 0 root", NULL, MATCHES(0, 1), NULL},
    {"h10_bare_key_signed_nothing", "leaf int", "2 1 0 other", NULL, UNTRUSTED, NULL},
    {"h10_bare_key_still_checks_names", "leaf int", "2 1 0 root", "mx.example.net", NAMELESS, NULL},
    {"h10_bare_key_still_checks_dates", "old-leaf int", "2 1 0 root", NULL, OUT_OF_DATE, NULL},
    {"h10_bare_key_is_found_below_the_top", "leaf int cross-int other", "2 1 0 root", NULL,
	MATCHES(0, 2), NULL},
    {"h10_bare_key_too_weak", "weak-ca-leaf", "2 1 0 weak-ca", NULL, UNTRUSTED,
	"it doesn't ask how strong a bare key is"},
    {"h10_bare_key_signed_by_md5", "md5-leaf", "2 1 0 rsa-ca", NULL, UNTRUSTED,
	"it doesn't ask how a bare key signed"},
    {"h10_bare_key_of_an_unknown_algorithm", "leaf int", "2 1 0 unknown-leaf", NULL, UNTRUSTED,
	"it takes a key it can't decode for a fault of the caller"},
    {"h10_eight_bare_keys_are_not_too_many", "leaf int root",
	"2 1 0 other; 2 1 0 other; 2 1 0 other; 2 1 0 other; 2 1 0 other; 2 1 0 other; 2 1 0 "
	"other; "
	"2 1 0 other; 2 0 1 root",
	NULL, MATCHES(8, 2), NULL},
    /* usage 2: what is no anchor */
    {"h11_ta_shown_did_not_issue", "other-leaf root", "2 0 1 root", NULL, UNTRUSTED, NULL},
    {"h11_ta_shown_beside_a_complete_chain", "other-leaf other root", "2 0 1 root", NULL, UNTRUSTED,
	NULL},
    {"h11_ta_shown_beside_a_self_signed_leaf", "self root", "2 0 1 root", NULL, UNTRUSTED, NULL},
    {"h11_ta_only_has_the_issuers_name", "forged-leaf int", "2 0 1 int", NULL, UNTRUSTED, NULL},
    {"h11_ta_issued_it_says_a_broken_signature", "broken-leaf int", "2 0 1 int", NULL, UNTRUSTED,
	NULL},
    {"h11_usage_2_is_not_about_a_self_signed_leaf", "self", "2 0 1 self; 2 1 1 self; 2 0 0 self",
	NULL, UNTRUSTED, NULL},
    {"h11_usage_2_is_not_about_a_ca_as_leaf", "self-ca", "2 0 1 self-ca; 2 0 0 self-ca", NULL,
	UNTRUSTED, NULL},
    {"h11_usage_2_is_not_about_the_key_of_a_self_signed_leaf", "self-ca", "2 1 0 self-ca", NULL,
	UNTRUSTED, OWN_KEY},
    {"h11_a_second_copy_of_the_leaf_is_no_anchor", "self-ca self-ca",
	"2 0 1 self-ca; 2 1 0 self-ca", NULL, UNTRUSTED, OWN_KEY},
    {"h11_usage_2_is_not_about_the_leaf", "leaf int root", "2 0 1 leaf; 2 1 1 leaf; 2 1 0 leaf",
	NULL, UNTRUSTED, NULL},
    {"h12_path_length_kept", "short-leaf short root", "2 0 1 short", NULL, MATCHES(0, 1), NULL},
    {"h12_path_length_of_the_ta_exceeded", "short-sub-leaf short-sub short", "2 0 1 short", NULL,
	UNTRUSTED, NULL},
    {"h12_path_length_below_the_ta_exceeded", "short-sub-leaf short-sub short root", "2 0 1 root",
	NULL, UNTRUSTED, NULL},
    {"h12_path_length_of_a_ta_in_the_dns_exceeded", "short-sub-leaf short-sub", "2 0 0 short", NULL,
	UNTRUSTED, NULL},
    {"h12_name_constraints_kept", "com-leaf com", "2 0 1 com", NULL, MATCHES(0, 1), NULL},
    {"h12_name_constraints_of_the_ta_broken", "net-leaf net", "2 0 1 net", NULL, UNTRUSTED, NULL},
    {"h12_excluded_by_the_ta", "no-com-leaf no-com", "2 0 1 no-com", NULL, UNTRUSTED, NULL},
    {"h12_name_constraints_below_the_ta_broken", "net-leaf net root", "2 0 1 root", NULL, UNTRUSTED,
	NULL},
    {"h12_ta_is_no_ca", "no-ca-leaf no-ca", "2 0 1 no-ca", NULL, UNTRUSTED, NULL},
    {"h12_ta_says_it_is_no_ca", "false-ca-leaf false-ca", "2 0 1 false-ca", NULL, UNTRUSTED, NULL},
    {"h12_an_intermediate_is_no_ca", "no-ca-leaf no-ca root", "2 0 1 root", NULL, UNTRUSTED, NULL},
    {"h12_ta_may_not_sign", "no-sign-leaf no-sign", "2 0 1 no-sign", NULL, UNTRUSTED, NULL},
    {"h12_ta_of_version_1", "v1-leaf v1", "2 0 1 v1", NULL, MATCHES(0, 1), NULL},
    {"h12_leaf_for_servers", "server-leaf int", "2 0 1 int", NULL, MATCHES(0, 1), NULL},
    {"h12_leaf_for_mail_only", "mail-leaf int", "2 0 1 int", NULL, UNTRUSTED, NULL},
    {"h13_leaf_expired", "old-leaf int", "2 0 1 int", NULL, OUT_OF_DATE, NULL},
    {"h13_leaf_not_yet_valid", "early-leaf int", "2 0 1 int", NULL, OUT_OF_DATE, NULL},
    {"h13_intermediate_expired", "old-int-leaf old-int root", "2 0 1 root", NULL, OUT_OF_DATE,
	NULL},
    {"h13_ta_expired", "old-root-leaf old-root", "2 0 1 old-root", NULL, OUT_OF_DATE, NULL},
    {"h13_ta_expired_that_is_an_intermediate", "old-int-leaf old-int root", "2 0 1 old-int", NULL,
	OUT_OF_DATE, ANCHOR_DATES},
    {"h13_ta_in_the_dns_expired", "old-root-leaf", "2 0 0 old-root", NULL, OUT_OF_DATE, NULL},
    {"h13_a_bare_key_has_no_dates", "old-root-leaf", "2 1 0 old-root", NULL, MATCHES(0, 1), NULL},
    {"h13_expired_above_the_ta_is_nobodys_business", "old-root-int-leaf old-root-int old-root",
	"2 0 1 old-root-int", NULL, MATCHES(0, 1), NULL},
    /* strength, by OpenSSL's security level 2 */
    {"h12_weak_leaf_key", "weak-leaf int", "2 0 1 int", NULL, UNTRUSTED, NULL},
    {"h12_weak_ta_key", "weak-ca-leaf weak-ca", "2 0 1 weak-ca", NULL, UNTRUSTED, NULL},
    {"h12_sha1_below_the_ta", "sha1-int-leaf sha1-int root", "2 0 1 root", NULL, UNTRUSTED, NULL},
    {"h12_sha1_on_the_ta_itself", "sha1-int-leaf sha1-int root", "2 0 1 sha1-int", NULL,
	MATCHES(0, 1), NULL},
    {"h12_md5_on_the_leaf", "md5-leaf rsa-ca", "2 0 1 rsa-ca", NULL, UNTRUSTED, NULL},
    {"h12_ed448", "ed448-leaf ed448", "2 0 1 ed448", NULL, MATCHES(0, 1), NULL},
    {"h12_unknown_leaf_key", "unknown-leaf int", "2 0 1 int", NULL, UNTRUSTED, NULL},
    {"h06_nine_intermediates", "t9-leaf " TOWER_9 " root", "2 0 1 root", NULL, MATCHES(0, 10),
	NULL},
    {"h06_ten_intermediates_are_too_many", "t10-leaf t10 " TOWER_9 " root", "2 0 1 root", NULL,
	UNTRUSTED, NULL},
    {"h06_bare_key_above_nine_intermediates", "t9-leaf " TOWER_9, "2 1 0 root", NULL,
	MATCHES(0, 10), NULL},
    {"h06_only_32_certificates_count",
	"leaf other other other other other other other other other other other other other other "
	"other other other other other other other other other other other other other other other "
	"other other int",
	"2 0 1 int", NULL, UNTRUSTED, "it takes as many as come"},
    /* several records */
    {"h14_usages_0_and_1_are_unusable", "leaf int root", "0 0 1 root; 1 1 1 leaf", NULL,
	NOTHING_USABLE, NULL},
    {"h15_usage_3_decides_beside_usage_1", "leaf int", "1 1 1 other; 3 1 1 leaf", NULL,
	MATCHES(1, 0), NULL},
    {"h15_usage_1_does_not_help_usage_3", "leaf int", "1 1 1 leaf; 3 1 1 other", NULL, UNTRUSTED,
	NULL},
    {"h16_unknown_usage", "leaf int", "4 1 1 leaf; 255 1 1 leaf", NULL, NOTHING_USABLE, NULL},
    {"h16_unknown_selector", "leaf int", "3 2 1 leaf; 3 255 0 leaf", NULL, NOTHING_USABLE, NULL},
    {"h16_unknown_matching_type", "leaf int", "3 1 3 leaf; 3 0 255 leaf", NULL, NOTHING_USABLE,
	NULL},
    {"h17_wrong_lengths", "leaf int", "3 1 1 leaf/31; 3 1 2 leaf/63; 3 1 1 leaf/0", NULL,
	NOTHING_USABLE, NULL},
    {"h17_full_that_is_no_certificate", "leaf int", "2 0 0 #40; 3 0 0 leaf/40; 3 1 0 #0", NULL,
	NOTHING_USABLE, NULL},
    {"h17_full_that_has_the_outline_only", "leaf int", "2 0 0 @cert; 3 1 0 @spki", NULL,
	NOTHING_USABLE, NULL},
    {"h17_full_of_the_other_selector", "leaf int", "3 0 0 %leaf", NULL, NOTHING_USABLE, NULL},
    {"d05_an_empty_set", "leaf int", "", NULL, NOTHING_USABLE, NULL},
    {"h18_ee_mismatch_and_ta_match", "leaf int root", "3 1 1 other; 2 0 1 root", NULL,
	MATCHES(1, 2), NULL},
    {"h18_ta_mismatch_and_ee_match", "leaf int", "2 0 1 other; 3 1 1 leaf", NULL, MATCHES(1, 0),
	NULL},
    {"h18_ta_match_after_a_ta_mismatch", "leaf int root", "2 0 1 other; 2 0 1 root", NULL,
	MATCHES(1, 2), NULL},
    {"h18_a_ta_that_fails_does_not_hide_one_that_holds", "leaf cross-net int",
	"2 0 1 cross-net; 2 0 1 int", NULL, MATCHES(1, 1), ONE_PATH},
    {"h18_ta_fails_and_ee_matches", "net-leaf net", "2 0 1 net; 3 1 1 net-leaf", NULL,
	MATCHES(1, 0), NULL},
    {"h13_key_of_an_expired_ta_shown", "old-int-leaf old-int", "2 1 0 old-int", NULL, OUT_OF_DATE,
	ANCHOR_DATES},
    {"j01_the_better_digest_alone_counts", "leaf int", "3 1 1 leaf; 3 1 2 other", NULL, UNTRUSTED,
	NULL},
    {"j01_for_trust_anchors_too", "leaf int root", "2 0 1 root; 2 0 2 other", NULL, UNTRUSTED,
	NULL},
    {"j02_full_is_always_kept", "leaf int", "3 1 0 leaf; 3 1 2 other", NULL, MATCHES(0, 0), NULL},
    {"j02_and_so_is_the_digest_beside_it", "leaf int", "3 1 0 other; 3 1 2 leaf", NULL,
	MATCHES(1, 0), NULL},
    {"j03_agility_comes_after_discarding", "leaf int", "3 1 2 other/63; 3 1 1 leaf", NULL,
	MATCHES(1, 0), NULL},
    {"j04_groups_are_per_usage_and_selector", "leaf int root",
	"3 1 2 other; 2 1 2 other; 2 0 2 other; 3 0 1 leaf", NULL, MATCHES(3, 0), NULL},
    /* names */
    {"i04_base_domain", "leaf int", "2 0 1 int", "mx.example.com", MATCHES(0, 1), NULL},
    {"i05_next_hop", "leaf int", "2 0 1 int", "mx1.example.net mx.example.com", MATCHES(0, 1),
	NULL},
    {"i06_third_name", "leaf int", "2 0 1 int", "a.example b.example mx.example.com", MATCHES(0, 1),
	NULL},
    {"i04_any_dns_id_will_do", "two-leaf int", "2 0 1 int", NULL, MATCHES(0, 1), NULL},
    {"i07_no_other_name", "leaf int", "2 0 1 int", "example.com", NAMELESS, NULL},
    {"i04_no_names_at_all", "leaf int", "2 0 1 int", "", NAMELESS,
	"it takes no names for nothing to check"},
    {"i04_a_leading_dot_is_no_wildcard", "leaf int", "2 0 1 int", ".example.com", NAMELESS,
	"it takes a leading dot for anything below"},
    {"i10_cn_does_not_count_beside_a_dns_id", "cn-san-leaf int", "2 0 1 int", NULL, NAMELESS, NULL},
    {"i11_cn_counts_without_any_dns_id", "cn-leaf int", "2 0 1 int", NULL, MATCHES(0, 1), NULL},
    {"i11_cn_counts_beside_other_alternative_names", "cn-mail-leaf int", "2 0 1 int", NULL,
	MATCHES(0, 1), NULL},
    {"i10_cn_does_not_count_beside_names_nobody_can_read", "garbled-leaf root", "2 0 1 root", NULL,
	UNTRUSTED, NULL},
    {"i10_nor_under_a_bare_key", "garbled-leaf", "2 1 0 root", NULL, UNTRUSTED, UNREADABLE},
    {"h12_an_extension_nobody_can_read", "garbled-usage-leaf root", "2 0 1 root", NULL, UNTRUSTED,
	NULL},
    {"h12_an_extension_nobody_can_read_under_a_bare_key", "garbled-usage-leaf", "2 1 0 root", NULL,
	UNTRUSTED, UNREADABLE},
    {"h03_usage_3_takes_an_extension_nobody_can_read", "garbled-leaf", "3 1 1 garbled-leaf", NULL,
	MATCHES(0, 0), NULL},
    {"i12_wildcard", "wild-leaf int", "2 0 1 int", NULL, MATCHES(0, 1), NULL},
    {"i12_wildcard_in_the_cn", "cn-wild-leaf int", "2 0 1 int", NULL, MATCHES(0, 1), NULL},
    {"i12_wildcard_needs_a_label", "wild-leaf int", "2 0 1 int", "example.com", NAMELESS, NULL},
    {"i13_wildcard_with_a_prefix", "prefix-leaf int", "2 0 1 int", "smtp1.example.com", NAMELESS,
	NULL},
    {"i13_wildcard_with_a_suffix", "suffix-leaf int", "2 0 1 int", "1smtp.example.com", NAMELESS,
	NULL},
    {"i13_wildcard_in_the_second_label", "inner-leaf int", "2 0 1 int", "a.b.example.com", NAMELESS,
	NULL},
    {"i13_two_wildcards", "two-stars-leaf int", "2 0 1 int", "a.b.example.com", NAMELESS, NULL},
    {"i13_wildcard_alone", "all-leaf int", "2 0 1 int", "localhost", NAMELESS, NULL},
    {"i13_wildcard_of_a_tld", "tld-leaf int", "2 0 1 int", "example.com", NAMELESS, NULL},
    {"i14_wildcard_is_one_label", "wild-leaf int", "2 0 1 int", "a.b.example.com", NAMELESS, NULL},
    {"i15_upper_case_in_the_certificate", "upper-leaf int", "2 0 1 int", NULL, MATCHES(0, 1), NULL},
    {"i15_upper_case_in_the_name", "leaf int", "2 0 1 int", "MX.EXAMPLE.COM", MATCHES(0, 1), NULL},
    {"i15_trailing_dot_in_the_certificate", "dot-leaf int", "2 0 1 int", NULL, MATCHES(0, 1),
	"it compares a trailing dot"},
    {"i15_trailing_dot_in_the_name", "leaf int", "2 0 1 int", "mx.example.com.", MATCHES(0, 1),
	"it compares a trailing dot"},
    {"i15_a_labels", "idn-leaf int", "2 0 1 int", "XN--MX-XKA.example.com", MATCHES(0, 1), NULL},
    {"i16_nul_in_a_dns_id", "nul-leaf int", "2 0 1 int", NULL, NAMELESS, NULL},
    {"i16_nul_in_the_cn", "cn-nul-leaf int", "2 0 1 int", NULL, NAMELESS, NULL},
    {"i16_ip_address", "ip-leaf int", "2 0 1 int", "192.0.2.1", NAMELESS, NULL},
};

/* ---- reading rows ---- */

struct words {
	char text[1024];
	const char *at[WORDS_MAX];
	size_t count;
};

static struct words *split(struct words *words, const char *text, const char *separator)
{
	words->count = 0;
	assert_true(strlen(text) < sizeof words->text);
	strcpy(words->text, text);
	for (char *rest, *at = strtok_r(words->text, separator, &rest); at != NULL;
	     at = strtok_r(NULL, separator, &rest)) {
		assert_true(words->count < WORDS_MAX);
		words->at[words->count++] = at;
	}
	return words;
}

static STACK_OF(X509) * chain_of(const char *text)
{
	struct words words;
	STACK_OF(X509) *chain = sk_X509_new_null();
	split(&words, text, " ");
	for (size_t i = 0; i < words.count; i++)
		sk_X509_push(chain, identities[index_of(words.at[i])].cert);
	return chain;
}

struct set {
	struct resolverd_tlsa tlsa[WORDS_MAX];
	uint8_t *data[WORDS_MAX];
	size_t count;
};

/* What the outline check alone would let through (proto/tlsa_set.c). */
static const uint8_t outline_cert[] = {0x30, 10, 0x30, 1, 0xaa, 0x30, 1, 0xbb, 0x03, 2, 0, 0xcc};
static const uint8_t outline_spki[] = {0x30, 7, 0x30, 1, 0xbb, 0x03, 2, 0, 0xcc};

static uint8_t *association(X509 *cert, unsigned selector, unsigned matching, size_t *ret_bytes)
{
	uint8_t *der = NULL, *digest = malloc(EVP_MAX_MD_SIZE);
	int bytes = selector == 1 ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der)
				  : i2d_X509(cert, &der);
	assert_true(bytes > 0);
	unsigned digest_bytes = 0;
	if (matching == 0) {
		free(digest);
		digest = malloc((size_t)bytes);
		memcpy(digest, der, (size_t)bytes);
		digest_bytes = (unsigned)bytes;
	} else {
		EVP_Digest(der, (size_t)bytes, digest, &digest_bytes,
		    matching == 2 ? EVP_sha512() : EVP_sha256(), NULL);
	}
	OPENSSL_free(der);
	*ret_bytes = digest_bytes;
	return digest;
}

static uint8_t *heap_copy(const uint8_t *bytes, size_t count)
{
	uint8_t *copy = malloc(count > 0 ? count : 1);
	memcpy(copy, bytes, count);
	return copy;
}

static void set_add(struct set *set, unsigned usage, unsigned selector, unsigned matching,
    uint8_t *data, size_t bytes)
{
	set->data[set->count] = data;
	set->tlsa[set->count++] = (struct resolverd_tlsa){.usage = (uint8_t)usage,
	    .selector = (uint8_t)selector,
	    .matching_type = (uint8_t)matching,
	    .data = data,
	    .data_bytes = bytes};
}

static void set_read(struct set *set, const char *record)
{
	unsigned usage, selector, matching;
	char about[64];
	size_t bytes, cut = SIZE_MAX;
	uint8_t *data;
	assert_int_equal(sscanf(record, "%u %u %u %63s", &usage, &selector, &matching, about), 4);
	char *mark = strpbrk(about, "/!");
	char kind = mark != NULL ? *mark : '\0';
	if (kind == '/')
		cut = strtoul(mark + 1, NULL, 10);
	if (mark != NULL)
		*mark = '\0';
	if (about[0] == '#') {
		bytes = strtoul(about + 1, NULL, 10);
		data = calloc(1, bytes + 1);
	} else if (about[0] == '@') {
		bool cert = strcmp(about, "@cert") == 0;
		bytes = cert ? sizeof outline_cert : sizeof outline_spki;
		data = heap_copy(cert ? outline_cert : outline_spki, bytes);
	} else {
		bool other = about[0] == '%';
		data = association(identities[index_of(about + other)].cert,
		    other ? 1 - selector : selector, matching, &bytes);
	}
	if (kind == '!')
		data[bytes - 1] ^= 1;
	set_add(set, usage, selector, matching, data, cut < bytes ? cut : bytes);
}

static void set_free(struct set *set)
{
	for (size_t i = 0; i < set->count; i++)
		free(set->data[i]);
}

static struct set set_of(const char *text)
{
	struct words words;
	struct set set = {0};
	split(&words, text, ";");
	for (size_t i = 0; i < words.count; i++)
		set_read(&set, words.at[i]);
	return set;
}

/* ---- OpenSSL's own engine ---- */

static enum resolverd_match openssl_match(
    STACK_OF(X509) * chain, const struct set *set, const struct words *names)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	bool usable = false;
	SSL *ssl = SSL_new(oracle);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	SSL_dane_enable(ssl, names->count > 0 ? names->at[0] : NULL);
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	for (size_t i = 1; i < names->count; i++)
		SSL_add1_host(ssl, names->at[i]);
	for (size_t i = 0; i < set->count; i++)
		if (set->tlsa[i].usage >= 2)
			usable |= SSL_dane_tlsa_add(ssl, set->tlsa[i].usage, set->tlsa[i].selector,
				      set->tlsa[i].matching_type, set->data[i],
				      set->tlsa[i].data_bytes) > 0;
	assert_int_equal(X509_STORE_CTX_init(context, store, sk_X509_value(chain, 0), chain), 1);
	X509_STORE_CTX_set0_dane(context, SSL_get0_dane(ssl));
	X509_STORE_CTX_set_default(context, "ssl_server");
	X509_VERIFY_PARAM *rules = X509_STORE_CTX_get0_param(context);
	X509_VERIFY_PARAM_set1(rules, SSL_get0_param(ssl));
	X509_VERIFY_PARAM_set_auth_level(rules, 2);
	X509_VERIFY_PARAM_set_depth(rules, 9);
	X509_VERIFY_PARAM_set_time(rules, CERTS_NOW);
	bool matches = X509_verify_cert(context) == 1;
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	SSL_free(ssl);
	return !usable ? RESOLVERD_UNUSABLE : matches ? RESOLVERD_MATCH : RESOLVERD_NO_MATCH;
}

/* ---- running rows ---- */

static void row_holds(void **state)
{
	const struct row *row = *state;
	struct resolverd_match_result got;
	struct words names;
	STACK_OF(X509) *chain = chain_of(row->chain);
	struct set set = set_of(row->tlsa);
	split(&names, row->names != NULL ? row->names : "mx.example.com", " ");
	assert_int_equal(resolverd_match_chain(
			     chain, set.tlsa, set.count, names.at, names.count, CERTS_NOW, &got),
	    RESOLVERD_OK);
	if (got.verdict != row->want)
		print_error("%s\n", got.reason);
	assert_int_equal(got.verdict, row->want);
	assert_string_equal(got.failure_type, row->failure_type);
	assert_true(got.reason[0] != '\0');
	assert_int_equal(got.record, row->record);
	assert_int_equal(got.depth, row->depth);
	bool by_name = row->want == RESOLVERD_MATCH && set.tlsa[row->record].usage == 2;
	assert_int_equal(got.name_checked, by_name);
	assert_string_equal(got.matched_name, by_name ? names.at[names.count - 1] : "");
	bool agrees = openssl_match(chain, &set, &names) == row->want;
	if (agrees != (row->openssl == NULL))
		print_error("OpenSSL %s\n", agrees ? "agrees after all" : "says otherwise");
	assert_int_equal(agrees, row->openssl == NULL);
	set_free(&set);
	sk_X509_free(chain);
}

/* ---- a random corpus ---- */

static unsigned draw(uint64_t *seed, unsigned below)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(*seed >> 33) % below;
}

static const char *recipe_drawn(uint64_t *seed)
{
	return recipes[draw(seed, COUNT(recipes))].name;
}

/* A leaf, mostly below what issued it, among strangers. */
static void draw_chain(uint64_t *seed, char text[512])
{
	const char *next = recipe_drawn(seed);
	text[0] = '\0';
	for (unsigned i = 0; i < 5 && next != NULL; i++) {
		sprintf(text + strlen(text), "%s ", next);
		if (draw(seed, 6) == 0)
			sprintf(text + strlen(text), "%s ", recipe_drawn(seed));
		next = draw(seed, 8) == 0 ? NULL : recipes[index_of(next)].issuer;
	}
}

/* Records about what is in the chain, above it, or neither. */
static void draw_set(uint64_t *seed, const char *chain, char text[512])
{
	struct words words;
	split(&words, chain, " ");
	text[0] = '\0';
	for (unsigned i = 0, count = 1 + draw(seed, 3); i < count; i++) {
		const char *about = words.at[draw(seed, (unsigned)words.count)];
		if (draw(seed, 3) == 0 && recipes[index_of(about)].issuer != NULL)
			about = recipes[index_of(about)].issuer;
		if (draw(seed, 8) == 0)
			about = recipe_drawn(seed);
		sprintf(text + strlen(text), "%s%u %u %u %s", i > 0 ? ";" : "", 2 + draw(seed, 2),
		    draw(seed, 2), draw(seed, 3), about);
	}
}

static bool has_kind(const struct set *set, unsigned usage, unsigned selector, unsigned matching)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->tlsa[i].usage == usage && set->tlsa[i].selector == selector &&
		    set->tlsa[i].matching_type == matching)
			return true;
	return false;
}

/* The differences that rows name; any other fails the test. */
static bool is_justified(STACK_OF(X509) * chain, const struct set *set,
    const struct resolverd_match_result *ours, enum resolverd_match theirs)
{
	EVP_PKEY *key = X509_get0_pubkey(sk_X509_value(chain, 0));
	bool weak = key == NULL || EVP_PKEY_get_security_bits(key) < 112;
	bool bare_key = has_kind(set, 2, 1, 0);
	if (sk_X509_value(chain, 0) == identities[index_of("dot-leaf")].cert)
		return true; /* a trailing dot */
	if (ours->verdict == RESOLVERD_MATCH && set->tlsa[ours->record].usage == 3)
		return weak; /* WEAK_KEY */
	if (ours->verdict == RESOLVERD_MATCH)
		return set->count > 1 || bare_key; /* ONE_PATH, and paths above a bare key */
	if (strcmp(ours->failure_type, "certificate-expired") == 0)
		return theirs == RESOLVERD_MATCH;     /* ANCHOR_DATES */
	return bare_key && theirs == RESOLVERD_MATCH; /* OWN_KEY, weak keys */
}

static void openssl_agrees_on_a_random_corpus(void **state)
{
	static const char *const bases[] = {"mx.example.com", "mx.example.net", "a.b.example.com"};
	uint64_t seed = 20250711;
	unsigned matches = 0, differences = 0;
	(void)state;
	for (unsigned i = 0; i < 6000; i++) {
		char chain_text[512], set_text[512];
		struct resolverd_match_result ours;
		struct words names;
		draw_chain(&seed, chain_text);
		draw_set(&seed, chain_text, set_text);
		split(&names, draw(&seed, 8) == 0 ? bases[1 + draw(&seed, 2)] : bases[0], " ");
		STACK_OF(X509) *chain = chain_of(chain_text);
		struct set set = set_of(set_text);
		assert_int_equal(resolverd_match_chain(chain, set.tlsa, set.count, names.at,
				     names.count, CERTS_NOW, &ours),
		    RESOLVERD_OK);
		enum resolverd_match theirs = openssl_match(chain, &set, &names);
		matches += ours.verdict == RESOLVERD_MATCH;
		differences += theirs != ours.verdict;
		if (theirs != ours.verdict && !is_justified(chain, &set, &ours, theirs))
			fail_msg("chain %s, records %s, name %s: ours %d (%s), OpenSSL %d",
			    chain_text, set_text, names.at[0], ours.verdict, ours.reason, theirs);
		set_free(&set);
		sk_X509_free(chain);
	}
	assert_true(matches > 1000 && matches < 5000);
	assert_true(differences < 300);
}

/* ---- DER, and misuse ---- */

struct der {
	uint8_t *bytes;
	size_t count;
};

static struct der der_of(const char *name)
{
	struct der der;
	der.bytes = association(identities[index_of(name)].cert, 0, 0, &der.count);
	return der;
}

static int match_one_der(
    const uint8_t *bytes, size_t count, struct resolverd_match_result *ret_result)
{
	struct set set = set_of("3 0 1 leaf");
	int r = resolverd_match_der(
	    &bytes, &count, 1, set.tlsa, set.count, NULL, 0, CERTS_NOW, ret_result);
	set_free(&set);
	return r;
}

static void der_is_matched_as_it_was_sent(void **state)
{
	struct der leaf = der_of("leaf"), issuer = der_of("int");
	struct set set = set_of("2 0 1 int");
	const uint8_t *chain[] = {leaf.bytes, issuer.bytes};
	size_t counts[] = {leaf.count, issuer.count};
	const char *names[] = {"mx.example.com"};
	struct resolverd_match_result got;
	(void)state;
	assert_int_equal(match_one_der(leaf.bytes, leaf.count, &got), RESOLVERD_OK);
	assert_int_equal(got.verdict, RESOLVERD_MATCH);
	assert_int_equal(
	    resolverd_match_der(chain, counts, 2, set.tlsa, set.count, names, 1, CERTS_NOW, &got),
	    RESOLVERD_OK);
	assert_int_equal(got.verdict, RESOLVERD_MATCH);
	assert_int_equal(got.depth, 1);
	set_free(&set);
	free(leaf.bytes);
	free(issuer.bytes);
}

static void der_with_an_octet_more_or_less_is_refused(void **state)
{
	struct der leaf = der_of("leaf");
	struct resolverd_match_result got;
	uint8_t *longer = calloc(1, leaf.count + 1);
	(void)state;
	memcpy(longer, leaf.bytes, leaf.count);
	assert_int_equal(match_one_der(longer, leaf.count + 1, &got), RESOLVERD_ERROR_ARGUMENT);
	for (size_t cut = 0; cut < leaf.count; cut += 7) {
		uint8_t *shorter = heap_copy(leaf.bytes, cut);
		got.reason[0] = '\0';
		assert_int_equal(match_one_der(shorter, cut, &got), RESOLVERD_ERROR_ARGUMENT);
		assert_non_null(strstr(got.reason, "certificate 0 "));
		free(shorter);
	}
	free(longer);
	free(leaf.bytes);
}

/* The outer length in five octets instead of three: BER, not DER, and another digest. */
static void ber_is_refused(void **state)
{
	struct der leaf = der_of("leaf");
	uint8_t *ber = malloc(leaf.count + 2);
	struct resolverd_match_result got;
	(void)state;
	assert_int_equal(leaf.bytes[1], 0x82);
	memcpy(ber, (const uint8_t[]){0x30, 0x84, 0, 0, leaf.bytes[2], leaf.bytes[3]}, 6);
	memcpy(ber + 6, leaf.bytes + 4, leaf.count - 4);
	assert_int_equal(match_one_der(ber, leaf.count + 2, &got), RESOLVERD_ERROR_ARGUMENT);
	free(ber);
	free(leaf.bytes);
}

/* No octet of a certificate is without meaning: change one, and neither usage matches. */
static void every_changed_octet_is_found(void **state)
{
	struct der leaf = der_of("leaf"), issuer = der_of("int");
	struct set set = set_of("3 0 1 leaf; 2 0 1 int");
	const uint8_t *chain[] = {leaf.bytes, issuer.bytes};
	size_t counts[] = {leaf.count, issuer.count};
	const char *names[] = {"mx.example.com"};
	unsigned parsed = 0;
	(void)state;
	for (size_t i = 0; i < 8 * leaf.count; i++) {
		struct resolverd_match_result got;
		leaf.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		int r = resolverd_match_der(
		    chain, counts, 2, set.tlsa, set.count, names, 1, CERTS_NOW, &got);
		leaf.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_true(r == RESOLVERD_OK || r == RESOLVERD_ERROR_ARGUMENT);
		assert_true(r != RESOLVERD_OK || got.verdict == RESOLVERD_NO_MATCH);
		parsed += r == RESOLVERD_OK;
	}
	assert_true(parsed > leaf.count);
	set_free(&set);
	free(leaf.bytes);
	free(issuer.bytes);
}

static void an_empty_chain_is_an_argument_error(void **state)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct set set = set_of("3 1 1 leaf");
	struct resolverd_match_result got;
	(void)state;
	assert_int_equal(
	    resolverd_match_chain(chain, set.tlsa, set.count, NULL, 0, CERTS_NOW, &got),
	    RESOLVERD_ERROR_ARGUMENT);
	assert_int_equal(resolverd_match_chain(NULL, set.tlsa, set.count, NULL, 0, CERTS_NOW, &got),
	    RESOLVERD_ERROR_ARGUMENT);
	assert_int_equal(
	    resolverd_match_der(NULL, NULL, 0, set.tlsa, set.count, NULL, 0, CERTS_NOW, &got),
	    RESOLVERD_ERROR_ARGUMENT);
	set_free(&set);
	sk_X509_free(chain);
}

static void openssl_error_queue_is_left_as_it_was(void **state)
{
	STACK_OF(X509) *chain = chain_of("broken-leaf int");
	struct set set = set_of("2 0 1 int; 2 0 0 #40; 2 1 0 root");
	struct resolverd_match_result got;
	(void)state;
	ERR_clear_error();
	ERR_raise(ERR_LIB_USER, 7);
	assert_int_equal(
	    resolverd_match_chain(chain, set.tlsa, set.count, NULL, 0, CERTS_NOW, &got), 0);
	assert_int_equal(ERR_GET_REASON(ERR_get_error()), 7);
	assert_int_equal(ERR_get_error(), 0);
	set_free(&set);
	sk_X509_free(chain);
}

/* Thirty anchors that each lead nowhere, for thirty records: it ends, and says so. */
static void a_peer_cannot_keep_the_matcher_busy(void **state)
{
	STACK_OF(X509) *chain = chain_of("old-leaf int");
	struct set set = {0};
	struct resolverd_match_result got;
	size_t bytes;
	(void)state;
	for (unsigned i = 0; i < 29; i++)
		sk_X509_push(chain, identities[index_of("int")].cert);
	for (unsigned i = 0; i < 30; i++) {
		uint8_t *data = association(identities[index_of("int")].cert, 0, 1, &bytes);
		set_add(&set, 2, 0, 1, data, bytes);
	}
	assert_int_equal(
	    resolverd_match_chain(chain, set.tlsa, set.count, NULL, 0, CERTS_NOW, &got), 0);
	assert_int_equal(got.verdict, RESOLVERD_NO_MATCH);
	assert_string_equal(got.failure_type, "validation-failure");
	set_free(&set);
	sk_X509_free(chain);
}

/* ---- the rows as data, for matchers in other languages (tests/vectors/match.json) ---- */

static void print_certificate(size_t i)
{
	struct der der = der_of(recipes[i].name);
	uint8_t *base64 = malloc(der.count / 3 * 4 + 5);
	EVP_EncodeBlock(base64, der.bytes, (int)der.count);
	printf("%s\"%s\":\"%s\"", i > 0 ? ",\n" : "", recipes[i].name, (char *)base64);
	free(base64);
	free(der.bytes);
}

static void print_words(const char *key, const char *text)
{
	struct words words;
	split(&words, text, " ");
	printf(",\"%s\":[", key);
	for (size_t i = 0; i < words.count; i++)
		printf("%s\"%s\"", i > 0 ? "," : "", words.at[i]);
	printf("]");
}

static void print_set(const char *text)
{
	struct set set = set_of(text);
	printf(",\"tlsa\":[");
	for (size_t i = 0; i < set.count; i++) {
		const struct resolverd_tlsa *tlsa = &set.tlsa[i];
		printf("%s[%u,%u,%u,\"", i > 0 ? "," : "", tlsa->usage, tlsa->selector,
		    tlsa->matching_type);
		for (size_t j = 0; j < tlsa->data_bytes; j++)
			printf("%02x", tlsa->data[j]);
		printf("\"]");
	}
	printf("]");
	set_free(&set);
}

static void print_row(const struct row *row, bool first)
{
	static const char *const verdicts[] = {"", "match", "no-match", "unusable"};
	printf("%s{\"name\":\"%s\"", first ? "" : ",\n", row->name);
	print_words("chain", row->chain);
	print_set(row->tlsa);
	print_words("names", row->names != NULL ? row->names : "mx.example.com");
	printf(",\"want\":\"%s\",\"record\":%zu,\"depth\":%u,\"failure_type\":\"%s\"}",
	    verdicts[row->want], row->record, row->depth, row->failure_type);
}

static int print_vectors(void)
{
	make_identities(NULL);
	printf("{\n\"now\":%d,\n\"certificates\":{\n", CERTS_NOW);
	for (size_t i = 0; i < COUNT(recipes); i++)
		print_certificate(i);
	printf("\n},\n\"rows\":[\n");
	for (size_t i = 0; i < COUNT(rows); i++)
		print_row(&rows[i], i == 0);
	printf("\n]\n}\n");
	return free_identities(NULL);
}

#define TEST(name)                                                                                 \
	{                                                                                          \
#name, name, NULL, NULL, NULL                                                      \
	}

static struct CMUnitTest tests[COUNT(rows) + 8] = {
    TEST(der_is_matched_as_it_was_sent),
    TEST(der_with_an_octet_more_or_less_is_refused),
    TEST(ber_is_refused),
    TEST(every_changed_octet_is_found),
    TEST(an_empty_chain_is_an_argument_error),
    TEST(openssl_error_queue_is_left_as_it_was),
    TEST(a_peer_cannot_keep_the_matcher_busy),
    TEST(openssl_agrees_on_a_random_corpus),
};

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--vectors") == 0)
		return print_vectors();
	size_t count = COUNT(tests) - COUNT(rows);
	for (size_t i = 0; i < COUNT(rows); i++)
		tests[count++] = (struct CMUnitTest){
		    rows[i].name, row_holds, NULL, NULL, (void *)(uintptr_t)&rows[i]};
	return _cmocka_run_group_tests("match", tests, count, make_identities, free_identities);
}
