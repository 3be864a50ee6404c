/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TLS adapter against a real OpenSSL server, in memory: section L of the conformance cases, and
 * what policy, requirement, MX status and match make of a connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "client/openssl/resolverd-openssl.h"
#include "tests/unit/certs.h"

#define NAME "mx.example.com"

/* ---- certificates and what the DNS says of them ---- */

enum { ROOT, LEAF, OTHER, FAULTY, IDENTITIES };
static const struct recipe recipes[IDENTITIES] = {
    [ROOT] = {.name = "root", .basic = "critical,CA:TRUE"},
    [LEAF] = {.name = "leaf", .issuer = "root", .alternative = "DNS:" NAME},
    [OTHER] = {.name = "other", .alternative = "DNS:" NAME},
    [FAULTY] =
	{.name = "faulty", .key = "RSA-1024", .digest = "SHA1", .from_day = -9, .to_day = -1},
};
static struct identity identities[IDENTITIES];
static uint8_t digests[IDENTITIES][32]; /* of the whole certificate */

static int make_identities(void **state)
{
	(void)state;
	for (size_t i = 0; i < IDENTITIES; i++) {
		identities[i] = certs_make(
		    &recipes[i], recipes[i].issuer != NULL ? &identities[ROOT] : NULL, NULL);
		assert_int_equal(
		    X509_digest(identities[i].cert, EVP_sha256(), digests[i], NULL), 1);
	}
	return 0;
}

static int free_identities(void **state)
{
	(void)state;
	for (size_t i = 0; i < IDENTITIES; i++)
		identity_free(&identities[i]);
	return 0;
}

/* A plan for one host under dane, its MX secure; tests change what they are about. */
struct scene {
	struct resolverd_tlsa tlsa;
	const char *names[2];
	struct resolverd_address address;
	struct resolverd_host host;
	struct resolverd_plan plan;
};

static struct scene *scene_init(struct scene *scene, uint8_t usage, size_t about)
{
	*scene = (struct scene){
	    .tlsa = {.usage = usage, .matching_type = 1, .data = digests[about], .data_bytes = 32},
	    .names = {NAME, "example.com"},
	    .host = {.name = "host.example.com",
		.policy = RESOLVERD_DANE,
		.tlsa = &scene->tlsa,
		.tlsa_count = 1,
		.tlsa_base = NAME,
		.sni = NAME,
		.reference_names = scene->names,
		.reference_name_count = 2,
		.expires_at_ms = (CERTS_NOW + 60) * 1000ull},
	    .plan = {.next_hop = "example.com",
		.has_mx = true,
		.mx_status = RESOLVERD_SECURE,
		.requirement = RESOLVERD_NORMAL,
		.hosts = &scene->host,
		.host_count = 1,
		.expires_at_ms = (CERTS_NOW + 60) * 1000ull}};
	return scene;
}

/* ---- a server and a client in memory ---- */

struct peers {
	SSL_CTX *server_context, *client_context;
	SSL *server, *client;
};

static void peers_connect(struct peers *peers)
{
	BIO *one, *other;
	peers->server = SSL_new(peers->server_context);
	peers->client = SSL_new(peers->client_context);
	assert_int_equal(BIO_new_bio_pair(&one, 0, &other, 0), 1);
	SSL_set_bio(peers->server, one, one);
	SSL_set_bio(peers->client, other, other);
	SSL_set_accept_state(peers->server);
	SSL_set_connect_state(peers->client);
}

static struct peers *peers_init(struct peers *peers, size_t who, int version)
{
	peers->server_context = SSL_CTX_new(TLS_server_method());
	peers->client_context = resolverd_tls_context_new(false);
	assert_non_null(peers->client_context);
	SSL_CTX_set_security_level(peers->server_context, 0);
	SSL_CTX_set_session_id_context(peers->server_context, (const uint8_t *)"t", 1);
	SSL_CTX_set_min_proto_version(peers->server_context, version);
	SSL_CTX_set_max_proto_version(peers->server_context, version);
	SSL_CTX_use_certificate(peers->server_context, identities[who].cert);
	SSL_CTX_use_PrivateKey(peers->server_context, identities[who].key);
	if (recipes[who].issuer != NULL)
		SSL_CTX_add1_chain_cert(peers->server_context, identities[ROOT].cert);
	peers_connect(peers);
	return peers;
}

static void peers_hang_up(struct peers *peers)
{
	SSL_set_shutdown(peers->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_set_shutdown(peers->server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(peers->client);
	SSL_free(peers->server);
}

static void peers_fini(struct peers *peers)
{
	peers_hang_up(peers);
	SSL_CTX_free(peers->client_context);
	SSL_CTX_free(peers->server_context);
}

static bool wants_more(SSL *ssl, int r)
{
	return r != 1 && SSL_get_error(ssl, r) == SSL_ERROR_WANT_READ;
}

static bool handshake(struct peers *peers)
{
	int client, server, turns = 0;
	do {
		client = SSL_do_handshake(peers->client);
		server = SSL_do_handshake(peers->server);
	} while ((wants_more(peers->client, client) || wants_more(peers->server, server)) &&
		 ++turns < 10);
	char nothing;
	if (client == 1) /* under TLS 1.3 tickets come behind the handshake */
		(void)SSL_read(peers->client, &nothing, 1);
	return client == 1 && server == 1;
}

static bool prepare_and_connect(struct peers *peers, const struct scene *scene)
{
	assert_int_equal(resolverd_tls_prepare(peers->client, &scene->plan, &scene->host), 0);
	return handshake(peers);
}

static struct resolverd_tls_verdict verdict_of(struct peers *peers, const struct scene *scene)
{
	struct resolverd_tls_verdict verdict;
	assert_int_equal(
	    resolverd_tls_verdict(peers->client, &scene->plan, &scene->host, CERTS_NOW, &verdict),
	    0);
	assert_true(verdict.reason[0] != '\0');
	return verdict;
}

/* ---- the handshake ---- */

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void h06_authenticated_by_a_trust_anchor(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct peers peers;
		struct scene scene;
		peers_init(&peers, LEAF, versions[i]);
		assert_true(prepare_and_connect(&peers, scene_init(&scene, 2, ROOT)));
		assert_int_equal(SSL_version(peers.client), versions[i]);
		struct resolverd_tls_verdict verdict = verdict_of(&peers, &scene);
		assert_true(verdict.may_deliver && verdict.authenticated && verdict.for_domain);
		assert_false(verdict.would_refuse);
		assert_int_equal(verdict.match.verdict, RESOLVERD_MATCH);
		assert_int_equal(verdict.match.depth, 1);
		assert_string_equal(verdict.match.matched_name, NAME);
		peers_fini(&peers);
	}
}

static void i02_d02_a_mismatch_gets_no_mail(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct peers peers;
		struct scene scene;
		peers_init(&peers, OTHER, versions[i]);
		assert_true(prepare_and_connect(&peers, scene_init(&scene, 2, ROOT)));
		struct resolverd_tls_verdict verdict = verdict_of(&peers, &scene);
		assert_false(verdict.may_deliver || verdict.authenticated || verdict.for_domain);
		assert_string_equal(verdict.match.failure_type, "certificate-not-trusted");
		peers_fini(&peers);
	}
}

/* What the server sees of the name. */
static void assert_sni(const struct scene *scene, const char *want)
{
	struct peers peers;
	peers_init(&peers, LEAF, TLS1_3_VERSION);
	assert_true(prepare_and_connect(&peers, scene));
	const char *seen = SSL_get_servername(peers.server, TLSEXT_NAMETYPE_host_name);
	if (want == NULL)
		assert_null(seen);
	else
		assert_string_equal(seen != NULL ? seen : "(none)", want);
	peers_fini(&peers);
}

static void l01_l02_l03_sni_is_the_base_domain(void **state)
{
	struct scene scene;
	(void)state;
	scene_init(&scene, 2, ROOT);
	scene.host.tlsa_owner = "_25._tcp.elsewhere.example.net";
	assert_sni(&scene, NAME);
	scene.host.policy = RESOLVERD_TLS_NO_AUTH;
	assert_sni(&scene, NAME);
}

static void l01_sni_is_the_host_where_dane_does_not_apply(void **state)
{
	struct scene scene;
	(void)state;
	scene_init(&scene, 2, ROOT);
	scene.host.policy = RESOLVERD_OPPORTUNISTIC;
	scene.host.sni = NULL;
	assert_sni(&scene, "host.example.com");
}

static void l01_no_address_in_sni(void **state)
{
	struct scene scene;
	(void)state;
	scene_init(&scene, 2, ROOT);
	scene.host.policy = RESOLVERD_OPPORTUNISTIC;
	scene.host.name = "192.0.2.1";
	scene.host.address_count = 1;
	scene.host.addresses = &scene.address;
	strcpy(scene.address.text, "192.0.2.1");
	assert_sni(&scene, NULL);
}

static void l01_no_base_domain_no_dane(void **state)
{
	struct peers peers;
	struct scene scene;
	(void)state;
	peers_init(&peers, LEAF, TLS1_3_VERSION);
	scene_init(&scene, 2, ROOT)->host.sni = NULL;
	assert_int_equal(resolverd_tls_prepare(peers.client, &scene.plan, &scene.host),
	    RESOLVERD_ERROR_ARGUMENT);
	peers_fini(&peers);
}

static bool offers_anonymous(SSL *ssl)
{
	STACK_OF(SSL_CIPHER) *suites = SSL_get1_supported_ciphers(ssl);
	bool any = false;
	assert_true(sk_SSL_CIPHER_num(suites) > 10);
	for (int i = 0; i < sk_SSL_CIPHER_num(suites); i++) {
		const SSL_CIPHER *suite = sk_SSL_CIPHER_value(suites, i);
		any |= SSL_CIPHER_get_auth_nid(suite) == NID_auth_null ||
		       SSL_CIPHER_get_cipher_nid(suite) == NID_undef;
	}
	sk_SSL_CIPHER_free(suites);
	return any;
}

static int unknown_name(SSL *ssl, int *alert, void *answer)
{
	(void)ssl;
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	return *(const int *)answer;
}

/* The server knows no such name, says so or not, and goes on with the chain it shows everybody. */
static void l04_a_fallback_chain_that_matches_is_accepted(void **state)
{
	static int answers[] = {SSL_TLSEXT_ERR_NOACK, SSL_TLSEXT_ERR_ALERT_WARNING};
	(void)state;
	for (size_t i = 0; i < COUNT(versions) * COUNT(answers); i++) {
		struct peers peers;
		struct scene scene;
		peers_init(&peers, OTHER, versions[i % COUNT(versions)]);
		SSL_CTX_set_tlsext_servername_callback(peers.server_context, unknown_name);
		SSL_CTX_set_tlsext_servername_arg(
		    peers.server_context, &answers[i / COUNT(versions)]);
		assert_true(prepare_and_connect(&peers, scene_init(&scene, 3, OTHER)));
		assert_true(verdict_of(&peers, &scene).authenticated);
		assert_false(verdict_of(&peers, scene_init(&scene, 3, LEAF)).may_deliver);
		peers_fini(&peers);
	}
}

/* Even with a context of the caller's that offers them. */
static void l05_no_anonymous_suites(void **state)
{
	struct peers peers;
	struct scene scene;
	(void)state;
	peers_init(&peers, LEAF, TLS1_2_VERSION);
	peers_hang_up(&peers);
	SSL_CTX_set_cipher_list(peers.server_context, "aNULL:@SECLEVEL=0");
	SSL_CTX_set_cipher_list(peers.client_context, "ALL:COMPLEMENTOFALL:@SECLEVEL=0");
	peers_connect(&peers);
	assert_true(offers_anonymous(peers.client));
	assert_false(prepare_and_connect(&peers, scene_init(&scene, 2, ROOT)));
	assert_false(offers_anonymous(peers.client));
	peers_fini(&peers);
}

/* At the security level of old versions nothing but the list keeps them out. */
static void l05_no_anonymous_suites_with_old_versions(void **state)
{
	struct peers peers;
	struct scene scene;
	(void)state;
	peers_init(&peers, LEAF, TLS1_2_VERSION);
	peers_hang_up(&peers);
	SSL_CTX_set_min_proto_version(peers.client_context, TLS1_VERSION);
	SSL_CTX_set_cipher_list(peers.client_context, "ALL:COMPLEMENTOFALL:@SECLEVEL=0");
	peers_connect(&peers);
	assert_true(offers_anonymous(peers.client));
	scene_init(&scene, 2, ROOT)->host.policy = RESOLVERD_OPPORTUNISTIC;
	assert_true(prepare_and_connect(&peers, &scene));
	assert_false(offers_anonymous(peers.client));
	peers_fini(&peers);
}

static bool connects(int version, bool legacy, enum resolverd_policy policy)
{
	struct peers peers;
	struct scene scene;
	peers_init(&peers, LEAF, version);
	peers_hang_up(&peers);
	SSL_CTX_free(peers.client_context);
	peers.client_context = resolverd_tls_context_new(legacy);
	peers_connect(&peers);
	scene_init(&scene, 2, ROOT)->host.policy = policy;
	bool connected = prepare_and_connect(&peers, &scene);
	peers_fini(&peers);
	return connected;
}

static void l06_versions(void **state)
{
	static const enum resolverd_policy loose[] = {
	    RESOLVERD_TLS_NO_AUTH, RESOLVERD_OPPORTUNISTIC};
	static const int old[] = {TLS1_VERSION, TLS1_1_VERSION};
	(void)state;
	for (size_t v = 0; v < COUNT(old); v++) {
		assert_false(connects(old[v], true, RESOLVERD_DANE));
		for (size_t p = 0; p < COUNT(loose); p++) {
			assert_true(connects(old[v], true, loose[p]));
			assert_false(connects(old[v], false, loose[p]));
		}
	}
	for (size_t v = 0; v < COUNT(versions); v++) {
		assert_true(connects(versions[v], true, RESOLVERD_DANE));
		assert_true(connects(versions[v], true, RESOLVERD_OPPORTUNISTIC));
	}
}

static void h02_the_handshake_never_fails_for_the_certificate(void **state)
{
	static const enum resolverd_policy policies[] = {
	    RESOLVERD_DANE, RESOLVERD_TLS_NO_AUTH, RESOLVERD_OPPORTUNISTIC};
	(void)state;
	for (size_t p = 0; p < COUNT(policies); p++) {
		for (size_t v = 0; v < COUNT(versions); v++) {
			struct peers peers;
			struct scene scene;
			peers_init(&peers, FAULTY, versions[v]);
			scene_init(&scene, 3, FAULTY)->host.policy = policies[p];
			assert_true(prepare_and_connect(&peers, &scene));
			assert_true(verdict_of(&peers, &scene).may_deliver);
			peers_fini(&peers);
		}
	}
}

static EVP_PKEY *weak_group(void)
{
	EVP_PKEY *made = NULL;
	EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
	assert_int_equal(EVP_PKEY_keygen_init(maker), 1);
	assert_int_equal(EVP_PKEY_CTX_set_group_name(maker, "modp_1536"), 1);
	assert_int_equal(EVP_PKEY_keygen(maker, &made), 1);
	EVP_PKEY_CTX_free(maker);
	return made;
}

/* Nor with a context of the caller's that verifies and is strict, nor for a weak group. */
static void h02_the_handshake_is_not_the_judge(void **state)
{
	struct peers peers;
	struct scene scene;
	(void)state;
	peers_init(&peers, FAULTY, TLS1_2_VERSION);
	peers_hang_up(&peers);
	SSL_CTX_free(peers.client_context);
	peers.client_context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_verify(peers.client_context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_security_level(peers.client_context, 2);
	SSL_CTX_set_cipher_list(peers.server_context, "DHE:@SECLEVEL=0");
	SSL_CTX_set0_tmp_dh_pkey(peers.server_context, weak_group());
	peers_connect(&peers);
	assert_true(prepare_and_connect(&peers, scene_init(&scene, 3, FAULTY)));
	assert_true(verdict_of(&peers, &scene).authenticated);
	peers_fini(&peers);
}

/* A pre-shared key of the caller's instead of a certificate. */
static int no_certificate_client(SSL *ssl, const EVP_MD *digest, const unsigned char **id,
    size_t *id_bytes, SSL_SESSION **session)
{
	static const uint8_t key[32] = {1}, suite[] = {0x13, 0x01};
	(void)digest;
	*session = SSL_SESSION_new();
	SSL_SESSION_set1_master_key(*session, key, sizeof key);
	SSL_SESSION_set_cipher(*session, SSL_CIPHER_find(ssl, suite));
	SSL_SESSION_set_protocol_version(*session, TLS1_3_VERSION);
	*id = (const unsigned char *)"id";
	*id_bytes = 2;
	return 1;
}

static int no_certificate_server(
    SSL *ssl, const unsigned char *id, size_t id_bytes, SSL_SESSION **session)
{
	const unsigned char *its_id;
	size_t its_bytes;
	(void)id;
	(void)id_bytes;
	return no_certificate_client(ssl, NULL, &its_id, &its_bytes, session);
}

static void l07_a_peer_without_a_certificate_gets_no_mail(void **state)
{
	struct peers peers;
	struct scene scene;
	(void)state;
	peers_init(&peers, LEAF, TLS1_3_VERSION);
	SSL_set_ciphersuites(peers.server, "TLS_AES_128_GCM_SHA256");
	SSL_set_psk_use_session_callback(peers.client, no_certificate_client);
	SSL_set_psk_find_session_callback(peers.server, no_certificate_server);
	assert_true(prepare_and_connect(&peers, scene_init(&scene, 3, LEAF)));
	assert_null(SSL_get0_peer_certificate(peers.client));
	struct resolverd_tls_verdict verdict = verdict_of(&peers, &scene);
	assert_false(verdict.may_deliver || verdict.authenticated);
	peers_fini(&peers);
}

/* ---- the verdict ---- */

#define NO_PLAN ((enum resolverd_requirement)0)
#define NO_MX ((enum resolverd_status)0)
enum records { GOOD, WRONG, UNUSABLE };

static const struct row {
	const char *name;
	enum resolverd_policy policy;
	enum resolverd_requirement requirement;
	enum resolverd_status mx_status;
	enum records records;
	bool may_deliver, authenticated, for_domain, would_refuse;
} rows[] = {
    {"dane_match", RESOLVERD_DANE, RESOLVERD_NORMAL, RESOLVERD_SECURE, GOOD, true, true, true,
	false},
    {"k01_mandatory_match", RESOLVERD_DANE, RESOLVERD_MANDATORY, RESOLVERD_SECURE, GOOD, true, true,
	true, false},
    {"f01_match_without_an_mx_step", RESOLVERD_DANE, RESOLVERD_NORMAL, NO_MX, GOOD, true, true,
	true, false},
    {"e11_insecure_mx_is_for_the_host_only", RESOLVERD_DANE, RESOLVERD_NORMAL, RESOLVERD_INSECURE,
	GOOD, true, true, false, false},
    {"e11_an_unknown_mx_status_is_for_the_host_only", RESOLVERD_DANE, RESOLVERD_NORMAL,
	(enum resolverd_status)9, GOOD, true, true, false, false},
    {"host_alone_is_for_the_host_only", RESOLVERD_DANE, NO_PLAN, NO_MX, GOOD, true, true, false,
	false},
    {"m03_mismatch", RESOLVERD_DANE, RESOLVERD_NORMAL, RESOLVERD_SECURE, WRONG, false, false, false,
	false},
    {"e08_mismatch_with_an_insecure_mx", RESOLVERD_DANE, RESOLVERD_NORMAL, RESOLVERD_INSECURE,
	WRONG, false, false, false, false},
    {"d11_mandatory_mismatch", RESOLVERD_DANE, RESOLVERD_MANDATORY, RESOLVERD_SECURE, WRONG, false,
	false, false, false},
    {"host_alone_mismatch", RESOLVERD_DANE, NO_PLAN, NO_MX, WRONG, false, false, false, false},
    {"m02_audit_match", RESOLVERD_DANE, RESOLVERD_AUDIT, RESOLVERD_SECURE, GOOD, true, true, true,
	false},
    {"m02_audit_mismatch", RESOLVERD_DANE, RESOLVERD_AUDIT, RESOLVERD_SECURE, WRONG, true, false,
	false, true},
    {"d05_nothing_usable", RESOLVERD_DANE, RESOLVERD_NORMAL, RESOLVERD_SECURE, UNUSABLE, true,
	false, false, false},
    {"k02_mandatory_and_nothing_usable", RESOLVERD_DANE, RESOLVERD_MANDATORY, RESOLVERD_SECURE,
	UNUSABLE, false, false, false, false},
    {"m02_audit_and_nothing_usable", RESOLVERD_DANE, RESOLVERD_AUDIT, RESOLVERD_SECURE, UNUSABLE,
	true, false, false, false},
    {"an_unknown_requirement_is_strict", RESOLVERD_DANE, (enum resolverd_requirement)9,
	RESOLVERD_SECURE, UNUSABLE, false, false, false, false},
    {"d05_tls_no_auth", RESOLVERD_TLS_NO_AUTH, RESOLVERD_NORMAL, RESOLVERD_SECURE, WRONG, true,
	false, false, false},
    {"d07_opportunistic", RESOLVERD_OPPORTUNISTIC, RESOLVERD_NORMAL, RESOLVERD_SECURE, WRONG, true,
	false, false, false},
    {"g09_opportunistic_is_never_authenticated", RESOLVERD_OPPORTUNISTIC, RESOLVERD_NORMAL,
	RESOLVERD_SECURE, GOOD, true, false, false, false},
    {"m04_unreachable", RESOLVERD_UNREACHABLE, RESOLVERD_NORMAL, RESOLVERD_SECURE, GOOD, false,
	false, false, false},
    {"an_unknown_policy_is_unreachable", (enum resolverd_policy)0, RESOLVERD_NORMAL,
	RESOLVERD_SECURE, GOOD, false, false, false, false},
};

static void row_holds(void **state)
{
	const struct row *row = *state;
	struct peers peers;
	struct scene scene;
	peers_init(&peers, LEAF, TLS1_3_VERSION);
	scene_init(&scene, 3, row->records == WRONG ? OTHER : LEAF);
	assert_true(prepare_and_connect(&peers, &scene));
	if (row->records == UNUSABLE)
		scene.tlsa.data_bytes = 31;
	scene.host.policy = row->policy;
	scene.plan.requirement = row->requirement;
	scene.plan.has_mx = row->mx_status != NO_MX;
	scene.plan.mx_status = row->mx_status;
	struct resolverd_tls_verdict verdict;
	assert_int_equal(
	    resolverd_tls_verdict(peers.client, row->requirement == NO_PLAN ? NULL : &scene.plan,
		&scene.host, CERTS_NOW, &verdict),
	    0);
	assert_int_equal(verdict.may_deliver, row->may_deliver);
	assert_int_equal(verdict.authenticated, row->authenticated);
	assert_int_equal(verdict.for_domain, row->for_domain);
	assert_int_equal(verdict.would_refuse, row->would_refuse);
	assert_true(verdict.reason[0] != '\0');
	peers_fini(&peers);
}

static void m02_audit_of_a_host_that_is_let_through(void **state)
{
	struct peers peers;
	struct scene scene;
	(void)state;
	peers_init(&peers, LEAF, TLS1_3_VERSION);
	scene_init(&scene, 3, LEAF)->host.policy = RESOLVERD_OPPORTUNISTIC;
	scene.plan.requirement = RESOLVERD_AUDIT;
	scene.host.would_refuse = true;
	assert_true(prepare_and_connect(&peers, &scene));
	struct resolverd_tls_verdict verdict = verdict_of(&peers, &scene);
	assert_true(verdict.may_deliver && verdict.would_refuse);
	peers_fini(&peers);
}

static void m04_unreachable_is_not_prepared(void **state)
{
	struct peers peers;
	struct scene scene;
	(void)state;
	peers_init(&peers, LEAF, TLS1_3_VERSION);
	scene_init(&scene, 3, LEAF)->host.policy = RESOLVERD_UNREACHABLE;
	assert_int_equal(resolverd_tls_prepare(peers.client, &scene.plan, &scene.host),
	    RESOLVERD_ERROR_ARGUMENT);
	scene.host.policy = (enum resolverd_policy)0;
	assert_int_equal(resolverd_tls_prepare(peers.client, &scene.plan, &scene.host),
	    RESOLVERD_ERROR_ARGUMENT);
	peers_fini(&peers);
}

static void m05_an_expired_plan_gets_no_mail(void **state)
{
	static const enum resolverd_policy policies[] = {
	    RESOLVERD_DANE, RESOLVERD_TLS_NO_AUTH, RESOLVERD_OPPORTUNISTIC};
	struct peers peers;
	struct scene scene;
	struct resolverd_tls_verdict verdict;
	(void)state;
	peers_init(&peers, LEAF, TLS1_3_VERSION);
	assert_true(prepare_and_connect(&peers, scene_init(&scene, 3, LEAF)));
	for (size_t i = 0; i < COUNT(policies); i++) {
		scene.host.policy = policies[i];
		for (time_t after = 59; after <= 60; after++) {
			assert_int_equal(resolverd_tls_verdict(peers.client, &scene.plan,
					     &scene.host, CERTS_NOW + after, &verdict),
			    0);
			assert_int_equal(verdict.may_deliver, after < 60);
		}
		assert_int_equal(resolverd_tls_verdict(
				     peers.client, NULL, &scene.host, CERTS_NOW + 60, &verdict),
		    0);
		assert_false(verdict.may_deliver || verdict.authenticated);
	}
	peers_fini(&peers);
}

static void no_verdict_before_the_handshake(void **state)
{
	struct peers peers;
	struct scene scene;
	struct resolverd_tls_verdict verdict = {.may_deliver = true};
	(void)state;
	peers_init(&peers, LEAF, TLS1_3_VERSION);
	scene_init(&scene, 3, LEAF)->host.policy = RESOLVERD_OPPORTUNISTIC;
	assert_int_equal(
	    resolverd_tls_verdict(peers.client, &scene.plan, &scene.host, CERTS_NOW, &verdict),
	    RESOLVERD_ERROR_ARGUMENT);
	assert_false(verdict.may_deliver);
	peers_fini(&peers);
}

/* ---- resumption and reuse ---- */

/* The session as the application keeps it: in memory, or written out and read back. */
static SSL_SESSION *session_of(SSL *client, bool written)
{
	SSL_SESSION *session = SSL_get1_session(client);
	assert_true(SSL_SESSION_is_resumable(session));
	if (!written)
		return session;
	uint8_t *der = NULL;
	int bytes = i2d_SSL_SESSION(session, &der);
	const uint8_t *at = der;
	SSL_SESSION_free(session);
	session = d2i_SSL_SESSION(NULL, &at, bytes);
	assert_non_null(session);
	OPENSSL_free(der);
	return session;
}

/* A first connection is good; then another with its session, and with these records. */
static struct resolverd_tls_verdict resume(
    int version, uint8_t usage, size_t first, bool written, size_t second)
{
	struct peers peers;
	struct scene scene;
	peers_init(&peers, LEAF, version);
	assert_true(prepare_and_connect(&peers, scene_init(&scene, usage, first)));
	assert_true(verdict_of(&peers, &scene).authenticated);
	SSL_SESSION *session = session_of(peers.client, written);
	peers_hang_up(&peers);
	peers_connect(&peers);
	assert_int_equal(SSL_set_session(peers.client, session), 1);
	assert_true(prepare_and_connect(&peers, scene_init(&scene, usage, second)));
	assert_int_equal(SSL_session_reused(peers.client), 1);
	struct resolverd_tls_verdict verdict = verdict_of(&peers, &scene);
	SSL_SESSION_free(session);
	peers_fini(&peers);
	return verdict;
}

static void l08_a_resumed_session_is_matched_again(void **state)
{
	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		for (int written = 0; written <= 1; written++) {
			assert_true(resume(versions[v], 3, LEAF, written, LEAF).authenticated);
			assert_false(resume(versions[v], 3, LEAF, written, OTHER).may_deliver);
		}
		assert_true(resume(versions[v], 2, ROOT, false, ROOT).authenticated);
		assert_false(resume(versions[v], 2, ROOT, false, OTHER).may_deliver);
	}
}

static void l08_a_session_that_lost_its_chain_is_refused_under_usage_2(void **state)
{
	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct resolverd_tls_verdict verdict = resume(versions[v], 2, ROOT, true, ROOT);
		assert_false(verdict.may_deliver || verdict.authenticated);
		assert_non_null(strstr(verdict.reason, "resumed session"));
	}
}

/* Another domain with the same MX host: what its own plan says decides. */
static void l09_a_second_domain_over_the_same_connection(void **state)
{
	struct peers peers;
	struct scene first, second;
	(void)state;
	peers_init(&peers, LEAF, TLS1_3_VERSION);
	assert_true(prepare_and_connect(&peers, scene_init(&first, 2, ROOT)));
	assert_true(verdict_of(&peers, &first).for_domain);
	scene_init(&second, 2, ROOT)->plan.mx_status = RESOLVERD_INSECURE;
	second.host.reference_name_count = 1;
	struct resolverd_tls_verdict verdict = verdict_of(&peers, &second);
	assert_true(verdict.may_deliver && verdict.authenticated);
	assert_false(verdict.for_domain);
	second.names[0] = "mx.example.net";
	verdict = verdict_of(&peers, &second);
	assert_false(verdict.may_deliver);
	assert_string_equal(verdict.match.failure_type, "certificate-host-mismatch");
	peers_fini(&peers);
}

int main(void)
{
	static struct test_list list;
	ADD_TEST(&list, h06_authenticated_by_a_trust_anchor);
	ADD_TEST(&list, i02_d02_a_mismatch_gets_no_mail);
	ADD_TEST(&list, l01_l02_l03_sni_is_the_base_domain);
	ADD_TEST(&list, l01_sni_is_the_host_where_dane_does_not_apply);
	ADD_TEST(&list, l01_no_address_in_sni);
	ADD_TEST(&list, l01_no_base_domain_no_dane);
	ADD_TEST(&list, l04_a_fallback_chain_that_matches_is_accepted);
	ADD_TEST(&list, l05_no_anonymous_suites);
	ADD_TEST(&list, l05_no_anonymous_suites_with_old_versions);
	ADD_TEST(&list, l06_versions);
	ADD_TEST(&list, h02_the_handshake_never_fails_for_the_certificate);
	ADD_TEST(&list, h02_the_handshake_is_not_the_judge);
	ADD_TEST(&list, l07_a_peer_without_a_certificate_gets_no_mail);
	ADD_TEST(&list, m02_audit_of_a_host_that_is_let_through);
	ADD_TEST(&list, m04_unreachable_is_not_prepared);
	ADD_TEST(&list, m05_an_expired_plan_gets_no_mail);
	ADD_TEST(&list, no_verdict_before_the_handshake);
	ADD_TEST(&list, l08_a_resumed_session_is_matched_again);
	ADD_TEST(&list, l08_a_session_that_lost_its_chain_is_refused_under_usage_2);
	ADD_TEST(&list, l09_a_second_domain_over_the_same_connection);
	ADD_ROWS(&list, rows, row_holds);
	return test_run("tls", &list, make_identities, free_identities);
}
