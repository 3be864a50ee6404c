/* SPDX-License-Identifier: BSD-3-Clause */
/* A TLS connection to a host of a plan: what to offer, and whether it will do (RFC 7672 sections
 * 2.2, 3 and 8). */
#include <stdio.h>
#include <string.h>

#include "client/openssl/resolverd-openssl.h"

/* None without a certificate or without encryption (RFC 7672 section 8.2, case L05). */
#define SUITES "DEFAULT:!aNULL:!eNULL:!PSK:!SRP"
#define OPTIONS (SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION)
#define SNI_CHARACTERS_MAX 255u

/* What the handshake itself insists on. The default, 2 at Debian, would end it over a group of 1536
 * bits, and an opportunistic sender could then only go on in clear; the matcher judges
 * certificates. OpenSSL 3 needs 0 for TLS 1.0 and 1.1. */
enum { SECURITY_LEVEL = 1, SECURITY_LEVEL_LEGACY = 0 };

SSL_CTX *resolverd_tls_context_new(bool legacy)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	if (context == NULL)
		return NULL;
	SSL_CTX_set_options(context, OPTIONS);
	SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_security_level(context, legacy ? SECURITY_LEVEL_LEGACY : SECURITY_LEVEL);
	if (SSL_CTX_set_min_proto_version(context, legacy ? TLS1_VERSION : TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(context, SUITES) != 1) {
		SSL_CTX_free(context);
		return NULL;
	}
	return context;
}

static bool needs_tls(const struct resolverd_host *host)
{
	return host->policy == RESOLVERD_DANE || host->policy == RESOLVERD_TLS_NO_AUTH;
}

/* Never an address (RFC 6066 section 3): next hops like [192.0.2.1] go without. */
static bool is_address(const struct resolverd_host *host)
{
	return host->address_count == 1 && strcmp(host->addresses[0].text, host->name) == 0;
}

/* The TLSA base domain where the policy rests on one (RFC 7672 section 8.1), else courtesy. */
static int set_sni(SSL *ssl, const struct resolverd_host *host)
{
	const char *name = needs_tls(host) ? host->sni : host->name;
	bool sendable = name != NULL && name[0] != '\0' && strlen(name) <= SNI_CHARACTERS_MAX &&
			!is_address(host);
	if (!sendable)
		return needs_tls(host) ? RESOLVERD_ERROR_ARGUMENT : 0;
	return SSL_set_tlsext_host_name(ssl, (char *)(uintptr_t)name) == 1 ? 0
									   : RESOLVERD_ERROR_MEMORY;
}

static int set_versions(SSL *ssl, const struct resolverd_host *host)
{
	long lowest = SSL_get_min_proto_version(ssl);
	bool legacy = lowest != 0 && lowest < TLS1_2_VERSION && host->policy != RESOLVERD_DANE;
	SSL_set_security_level(ssl, legacy ? SECURITY_LEVEL_LEGACY : SECURITY_LEVEL);
	if (legacy || lowest >= TLS1_2_VERSION)
		return 0;
	return SSL_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 ? 0 : RESOLVERD_ERROR_MEMORY;
}

int resolverd_tls_prepare(
    SSL *ssl, const struct resolverd_plan *plan, const struct resolverd_host *host)
{
	(void)plan; /* all a handshake depends on is in the host */
	if (!needs_tls(host) && host->policy != RESOLVERD_OPPORTUNISTIC)
		return RESOLVERD_ERROR_ARGUMENT;
	SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
	SSL_set_options(ssl, OPTIONS);
	if (SSL_set_cipher_list(ssl, SUITES) != 1)
		return RESOLVERD_ERROR_MEMORY;
	int r = set_versions(ssl, host);
	return r == 0 ? set_sni(ssl, host) : r;
}

/* ---- verdict ---- */

static bool has_expired(
    const struct resolverd_plan *plan, const struct resolverd_host *host, time_t now)
{
	uint64_t expires_at_ms = plan != NULL ? plan->expires_at_ms : host->expires_at_ms;
	return now < 0 || (expires_at_ms != 0 && (uint64_t)now >= expires_at_ms / 1000);
}

static int match_leaf_alone(SSL *ssl, const struct resolverd_host *host, time_t now,
    struct resolverd_match_result *ret_match)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	int r = RESOLVERD_ERROR_MEMORY;
	if (chain != NULL && sk_X509_push(chain, SSL_get0_peer_certificate(ssl)) != 0)
		r = resolverd_match_chain(chain, host->tlsa, host->tlsa_count,
		    host->reference_names, host->reference_name_count, now, ret_match);
	sk_X509_free(chain);
	return r;
}

/* A session that was written out and read back has kept the leaf and lost the rest: enough for
 * DANE-EE(3), no match where DANE-TA(2) needs what is lost. */
static int match_peer(SSL *ssl, const struct resolverd_host *host, time_t now,
    struct resolverd_match_result *ret_match)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	if (SSL_get0_peer_certificate(ssl) == NULL) {
		*ret_match = (struct resolverd_match_result){
		    .verdict = RESOLVERD_NO_MATCH, .failure_type = "certificate-not-trusted"};
		snprintf(
		    ret_match->reason, sizeof ret_match->reason, "the peer showed no certificate");
		return 0;
	}
	if (chain == NULL || sk_X509_num(chain) == 0)
		return match_leaf_alone(ssl, host, now, ret_match);
	return resolverd_match_chain(chain, host->tlsa, host->tlsa_count, host->reference_names,
	    host->reference_name_count, now, ret_match);
}

static bool is_securely_selected(const struct resolverd_plan *plan)
{
	return plan != NULL && (!plan->has_mx || plan->mx_status == RESOLVERD_SECURE);
}

static void decide_dane(const struct resolverd_plan *plan, bool resumed_without_chain,
    struct resolverd_tls_verdict *verdict)
{
	enum resolverd_requirement requirement =
	    plan != NULL ? plan->requirement : RESOLVERD_NORMAL;
	/* Nothing usable, as X.509 proper shows only here: as tls-no-auth (RFC 7672 section 2.2),
	 * which is not enough where DANE is mandatory (section 6). */
	bool no_auth_will_do = requirement == RESOLVERD_NORMAL || requirement == RESOLVERD_AUDIT;
	bool good = verdict->match.verdict == RESOLVERD_MATCH ||
		    (verdict->match.verdict == RESOLVERD_UNUSABLE && no_auth_will_do);
	verdict->authenticated = verdict->match.verdict == RESOLVERD_MATCH;
	verdict->for_domain = verdict->authenticated && is_securely_selected(plan);
	verdict->would_refuse = !good && requirement == RESOLVERD_AUDIT;
	verdict->may_deliver = good || verdict->would_refuse;
	snprintf(verdict->reason, sizeof verdict->reason, "%.200s%s", verdict->match.reason,
	    verdict->would_refuse            ? " (let through by audit)"
	    : resumed_without_chain && !good ? " (resumed session: connect without it)"
					     : "");
}

static void say(struct resolverd_tls_verdict *verdict, const char *reason)
{
	snprintf(verdict->reason, sizeof verdict->reason, "%s", reason);
}

int resolverd_tls_verdict(SSL *ssl, const struct resolverd_plan *plan,
    const struct resolverd_host *host, time_t now, struct resolverd_tls_verdict *ret_verdict)
{
	struct resolverd_tls_verdict verdict = {.match.failure_type = ""};
	int r = 0;
	*ret_verdict = verdict;
	if (!SSL_is_init_finished(ssl))
		return RESOLVERD_ERROR_ARGUMENT;
	if (has_expired(plan, host, now)) {
		say(&verdict, "the plan has expired: ask for a new one");
	} else if (host->policy == RESOLVERD_DANE) {
		r = match_peer(ssl, host, now, &verdict.match);
		decide_dane(plan, SSL_session_reused(ssl) == 1, &verdict);
	} else if (host->policy == RESOLVERD_TLS_NO_AUTH ||
		   host->policy == RESOLVERD_OPPORTUNISTIC) {
		verdict.may_deliver = true;
		verdict.would_refuse = host->would_refuse;
		say(&verdict, "encrypted, not authenticated: the policy asks for no more");
	} else {
		say(&verdict, "the host is unreachable by policy");
	}
	if (r == 0)
		*ret_verdict = verdict;
	return r;
}
