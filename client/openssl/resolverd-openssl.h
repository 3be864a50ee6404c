/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libresolverd-openssl: the last step of DANE with OpenSSL 3. A plan of libresolverd says what a
 * host must show; this library sets a TLS connection up for it and says whether it did.
 *
 *	SSL *ssl = SSL_new(ctx);
 *	resolverd_tls_prepare(ssl, plan, host);       after STARTTLS was accepted
 *	SSL_set_fd(ssl, fd);
 *	SSL_connect(ssl);
 *	resolverd_tls_verdict(ssl, plan, host, time(NULL), &verdict);
 *	if (!verdict.may_deliver) ... next host; when none is left, keep the mail and try later
 *
 * Nothing here asks the DNS, reads a CA store or knows about SMTP. Functions return 0 or a negative
 * enum resolverd_error of resolverd.h. Thread-safe as OpenSSL is: one SSL in one thread at a time.
 */
#pragma once
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "client/resolverd.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- matching (RFC 6698, RFC 7671, RFC 7672 section 3) ---- */

enum resolverd_match {
	RESOLVERD_MATCH = 1,    /* a usable TLSA record authenticates the chain */
	RESOLVERD_NO_MATCH = 2, /* there are usable records, and none does */
	RESOLVERD_UNUSABLE = 3  /* no record is usable: there is nothing to authenticate by */
};

#define RESOLVERD_REASON_MAX 256

struct resolverd_match_result {
	enum resolverd_match verdict;
	/* MATCH only: the record of the set given, and where in the chain it matched: 0 is the
	 * leaf. A trust anchor that stands in the DNS alone (2 0 0, 2 1 0) is one above the chain.
	 */
	size_t record;
	unsigned depth;
	bool name_checked;                 /* usage 2: a reference name matched */
	char matched_name[256];            /* that name; empty otherwise */
	char reason[RESOLVERD_REASON_MAX]; /* for people: why */
	/* RFC 8460 section 4.3: "certificate-expired", "certificate-host-mismatch",
	 * "certificate-not-trusted", "tlsa-invalid", "validation-failure"; static, "" for MATCH. */
	const char *failure_type;
};

/* What the peer showed against the TLSA set: usable records are picked and digest agility is
 * applied here again, so that raw RRsets may be given, too. chain: as sent, leaf first, at most 32
 * used. names: reference names for usage 2; the first is the TLSA base domain. now: seconds since
 * the epoch. Fails with ARGUMENT (empty chain) or MEMORY. Does not block; at most 32 paths are
 * tried. docs/DELIVERY.md says how a chain is matched. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_match_chain(const STACK_OF(X509) * chain,
    const struct resolverd_tlsa *tlsa, size_t tlsa_count, const char *const *names,
    size_t name_count, time_t now, struct resolverd_match_result *ret_result);

/* The same with DER certificates, as any TLS library hands them out. Also fails with ARGUMENT when
 * a certificate does not parse; ret_result->reason then says which. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_match_der(const uint8_t *const *chain,
    const size_t *chain_bytes, size_t chain_count, const struct resolverd_tlsa *tlsa,
    size_t tlsa_count, const char *const *names, size_t name_count, time_t now,
    struct resolverd_match_result *ret_result);

/* ---- a TLS connection ---- */

/* A context fit for DANE clients: TLS 1.2 and 1.3 (TLS 1.0 and 1.1 where legacy is true and the
 * host is not held to DANE), no anonymous suites, no compression, no renegotiation by the peer, no
 * CA store. NULL: no memory. The caller frees it with SSL_CTX_free. */
RESOLVERD_API SSL_CTX *resolverd_tls_context_new(bool legacy);

/* Before SSL_connect: SNI, versions and suites for this host's policy (RFC 7672 section 8.1, cases
 * L01 to L07). Under any policy the handshake itself never fails for the certificate's sake: the
 * verdict is taken afterwards. plan may be NULL for a host asked alone. Fails with ARGUMENT when
 * policy is unreachable or the SNI it needs is missing, or MEMORY. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_tls_prepare(
    SSL *ssl, const struct resolverd_plan *plan, const struct resolverd_host *host);

struct resolverd_tls_verdict {
	/* The mail may go over this connection. False under policy dane without a match, for an
	 * unreachable host, and once the plan has expired. Under dane with nothing usable, as only
	 * X.509 may show: true, as for tls-no-auth, unless DANE is mandatory. */
	bool may_deliver;
	bool authenticated; /* policy dane and the chain matched */
	/* authenticated, by a securely found MX, hence for the domain; false with an insecure MX:
	 * only the host is (RFC 7672 section 2.2.1). */
	bool for_domain;
	bool would_refuse; /* requirement audit: let through, though not authenticated */
	struct resolverd_match_result match; /* verdict 0 where nothing was to match */
	char reason[RESOLVERD_REASON_MAX];
};

/* After the handshake; again for every resumed session, since what was matched then may not match
 * now (case L08): a session that has lost the chain is refused under dane where usage 2 would need
 * it; and for every further domain, with its own plan (case L09). now: seconds since the epoch.
 * When the plan has expired by then, ask for a new one and call again. Fails with ARGUMENT while
 * the handshake is not finished, or MEMORY; *ret_verdict then forbids everything. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_tls_verdict(SSL *ssl, const struct resolverd_plan *plan,
    const struct resolverd_host *host, time_t now, struct resolverd_tls_verdict *ret_verdict);

#ifdef __cplusplus
}
#endif
