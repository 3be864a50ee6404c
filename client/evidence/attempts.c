/* SPDX-License-Identifier: BSD-3-Clause */
/* What the record says happened at each host, held against the plan and the TLSA records proven. */
#include <string.h>

#include "client/evidence/check.h"
#include "client/openssl/resolverd-openssl.h"

typedef Resolverd__Evidence__V1__Attempt Attempt;

static enum resolverd_verdict verdict_of(const Attempt *attempt)
{
	return (enum resolverd_verdict)attempt->verdict;
}

static const struct resolverd_host *host_of(const struct checker *checker, const char *name)
{
	for (size_t i = 0; i < checker->plan->host_count; i++)
		if (strcmp(checker->plan->hosts[i].name, name) == 0)
			return &checker->plan->hosts[i];
	return NULL;
}

/* ---- the certificates ---- */

/* 0: nothing to match, or not possible (then a line says so). */
static enum resolverd_match match(
    struct checker *checker, const struct resolverd_host *host, const Attempt *attempt)
{
	const struct resolverd_tlsa *tlsa;
	struct resolverd_match_result result = {0};
	const uint8_t *chain[RESOLVERD_EVIDENCE_CHAIN_MAX];
	size_t chain_bytes[RESOLVERD_EVIDENCE_CHAIN_MAX];
	if (host->policy != RESOLVERD_DANE || attempt->n_chain == 0)
		return 0;
	size_t tlsa_count = facts_tlsa(checker, host, &tlsa);
	if (tlsa_count == 0) {
		checker_add(checker, "match", host->name, RESOLVERD_CHECK_FAILED,
		    "no TLSA records are proven that the certificate could match");
		return 0;
	}
	for (size_t i = 0; i < attempt->n_chain; i++) {
		chain[i] = attempt->chain[i].data;
		chain_bytes[i] = attempt->chain[i].len;
	}
	int r = resolverd_match_der(chain, chain_bytes, attempt->n_chain, tlsa, tlsa_count,
	    host->reference_names, host->reference_name_count, (time_t)(attempt->verdict_at / 1000),
	    &result);
	if (r != 0) {
		checker_add(checker, "match", host->name, RESOLVERD_CHECK_FAILED,
		    "the certificates cannot be read: %s", result.reason);
		return 0;
	}
	bool claims = verdict_of(attempt) == RESOLVERD_AUTHENTICATED ||
		      verdict_of(attempt) == RESOLVERD_HOST_AUTHENTICATED;
	bool borne_out = claims == (result.verdict == RESOLVERD_MATCH);
	checker_add(checker, "match", host->name,
	    borne_out ? RESOLVERD_CHECK_PASSED : RESOLVERD_CHECK_FAILED, "%s%s",
	    borne_out ? ""
	    : claims  ? "the record says that the certificate matched: "
		      : "the record says that the certificate did not match: ",
	    result.reason);
	if (borne_out)
		checker_proves(checker,
		    "the certificates in the record, said to be those of %s, %s", host->name,
		    claims ? "match its TLSA records" : "match none of its TLSA records");
	return result.verdict;
}

/* ---- the verdict ---- */

/* TLS without a match: by the policy, or because no TLSA record turned out usable (RFC 7672 section
 * 2.2), which is not enough where DANE is mandatory (section 6). */
static bool may_go_unauthenticated(const struct resolverd_plan *plan,
    const struct resolverd_host *host, enum resolverd_match matched)
{
	if (host->policy != RESOLVERD_DANE)
		return host->policy != RESOLVERD_UNREACHABLE;
	return plan->requirement == RESOLVERD_AUDIT ||
	       (matched == RESOLVERD_UNUSABLE && plan->requirement != RESOLVERD_MANDATORY);
}

static const char *check_verdict(const struct resolverd_plan *plan,
    const struct resolverd_host *host, const Attempt *attempt, enum resolverd_match matched)
{
	bool tls = attempt->tls_version[0] != '\0';
	bool secure = !plan->has_mx || plan->mx_status == RESOLVERD_SECURE;
	switch (verdict_of(attempt)) {
	case RESOLVERD_AUTHENTICATED:
	case RESOLVERD_HOST_AUTHENTICATED:
		if (!tls || matched != RESOLVERD_MATCH)
			return "nothing in the record authenticates the host";
		return secure == (verdict_of(attempt) == RESOLVERD_AUTHENTICATED)
			   ? NULL
			   : "the status of the MX records allows another verdict only";
	case RESOLVERD_ENCRYPTED:
		if (!tls)
			return "there was no TLS";
		return may_go_unauthenticated(plan, host, matched)
			   ? NULL
			   : "the policy of the host does not allow it";
	case RESOLVERD_CLEARTEXT:
		if (tls)
			return "there was TLS";
		return host->policy == RESOLVERD_OPPORTUNISTIC
			   ? NULL
			   : "the policy of the host does not allow it";
	case RESOLVERD_REFUSED:
		return host->policy == RESOLVERD_OPPORTUNISTIC ? "nothing was to be refused" : NULL;
	case RESOLVERD_UNAVAILABLE:
		return NULL;
	default:
		return "the verdict is none that this program knows";
	}
}

static bool has_address(const struct resolverd_host *host, const ProtobufCBinaryData *address)
{
	for (size_t i = 0; i < host->address_count; i++)
		if (host->addresses[i].ip_bytes == address->len &&
		    memcmp(host->addresses[i].ip, address->data, address->len) == 0)
			return true;
	return false;
}

/* Where there was a connection, it was to an address of the host. */
static const char *check_address(const struct resolverd_host *host, const Attempt *attempt)
{
	enum resolverd_verdict verdict = verdict_of(attempt);
	bool none = verdict == RESOLVERD_REFUSED || verdict == RESOLVERD_UNAVAILABLE;
	if (attempt->address.len == 0)
		return none ? NULL : "there was no connection";
	return has_address(host, &attempt->address)
		   ? NULL
		   : "the address connected to is none of the host";
}

static void check_attempt(struct checker *checker, const Attempt *attempt)
{
	const struct resolverd_plan *plan = checker->plan;
	const struct resolverd_host *host = host_of(checker, attempt->host);
	const char *word = resolverd_verdict_text(verdict_of(attempt));
	if (host == NULL) {
		checker_add(checker, "verdict", attempt->host, RESOLVERD_CHECK_FAILED,
		    "the plan has no such host");
		return;
	}
	facts_check_host(checker, host);
	enum resolverd_match matched = match(checker, host, attempt);
	const char *problem = check_verdict(plan, host, attempt, matched);
	if (problem == NULL)
		problem = check_address(host, attempt);
	if (problem == NULL && (attempt->verdict_at < plan->validated_at_ms ||
				   attempt->verdict_at >= plan->expires_at_ms))
		problem = "the plan was not in time then";
	checker_add(checker, "verdict", host->name,
	    problem == NULL ? RESOLVERD_CHECK_PASSED : RESOLVERD_CHECK_FAILED,
	    "%s under policy %s%s%s%s", word, resolverd_policy_text(host->policy),
	    attempt->tls_version[0] != '\0' ? ", " : "", attempt->tls_version,
	    problem == NULL
		? ""
		: checker_text(checker, memory_printf(checker->arena, ": %s", problem)));
}

void attempts_check(struct checker *checker)
{
	const Resolverd__Evidence__V1__Record *record = checker->file.record;
	for (size_t i = 0; i < record->n_attempts; i++)
		check_attempt(checker, record->attempts[i]);
	for (size_t i = 0; record->n_attempts == 0 && i < checker->plan->host_count; i++)
		facts_check_host(checker, &checker->plan->hosts[i]);
}
