/* SPDX-License-Identifier: BSD-3-Clause */
/* What will break soon at a host, though it may work now. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/ctl/check.h"

#define DAY_S 86400
#define CERTIFICATE_DAYS 14
#define SIGNATURE_LEFT_S DAY_S
#define RRTYPE_TLSA 52u
#define RRSIG_EXPIRATION_AT 8u /* RFC 4034 section 3.1 */

[[gnu::format(printf, 3, 4)]] static void warn(
    struct host_check *host, const char *word, const char *format, ...)
{
	if (host->warning_count == CHECK_WARNINGS_MAX)
		return;
	struct warning *warning = &host->warnings[host->warning_count++];
	warning->word = word;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(warning->text, sizeof warning->text, format, arguments);
	va_end(arguments);
}

/* ---- certificates ---- */

static void warn_of_dates(struct host_check *host, const STACK_OF(X509) * chain)
{
	const char *ignored = host->verdict == RESOLVERD_AUTHENTICATED ||
				      host->verdict == RESOLVERD_HOST_AUTHENTICATED
				  ? " (usage 3 does not mind, usage 2 does)"
				  : "";
	for (int i = 0; i < sk_X509_num(chain); i++) {
		int days = 0, seconds = 0;
		if (ASN1_TIME_diff(
			&days, &seconds, NULL, X509_get0_notAfter(sk_X509_value(chain, i))) != 1)
			continue;
		if (days < 0 || seconds < 0)
			warn(host, "certificate-expired",
			    "certificate %d of the chain has expired%s", i, ignored);
		else if (days < CERTIFICATE_DAYS)
			warn(host, "certificate-expires",
			    "certificate %d of the chain expires in %d days%s", i, days, ignored);
	}
}

/* ---- the TLSA set ---- */

/* What each record would do alone. */
struct alone {
	size_t matching; /* records */
	bool same_depth; /* of all that match */
	bool wants_anchor, has_anchor;
	bool sha512_only;
};

static void look_at(const struct resolverd_host *host, const STACK_OF(X509) * chain, time_t now,
    struct alone *ret_alone)
{
	unsigned depth = 0;
	*ret_alone = (struct alone){.same_depth = true, .sha512_only = true};
	for (size_t i = 0; i < host->tlsa_count; i++) {
		const struct resolverd_tlsa *tlsa = &host->tlsa[i];
		struct resolverd_match_result result;
		ret_alone->sha512_only &= tlsa->matching_type == 2;
		ret_alone->wants_anchor |= tlsa->usage == 2;
		if (resolverd_match_chain(chain, tlsa, 1, host->reference_names,
			host->reference_name_count, now, &result) != 0)
			continue;
		bool matches = result.verdict == RESOLVERD_MATCH;
		bool not_there = matches
				     ? result.depth >= (unsigned)sk_X509_num(chain)
				     : strcmp(result.failure_type, "certificate-not-trusted") == 0;
		ret_alone->has_anchor |= tlsa->usage == 2 && !not_there;
		if (!matches)
			continue;
		ret_alone->same_depth &= ret_alone->matching == 0 || result.depth == depth;
		depth = result.depth;
		ret_alone->matching++;
	}
}

static void warn_of_set(struct host_check *host, const STACK_OF(X509) * chain)
{
	const struct resolverd_host *of = host->host;
	struct alone alone;
	look_at(of, chain, time(NULL), &alone);
	if (of->tlsa_count == 1)
		warn(host, "tlsa-no-spare",
		    "only one usable TLSA record: publish the next key's before the key changes");
	else if (alone.matching == of->tlsa_count && alone.same_depth)
		warn(host, "tlsa-no-spare",
		    "all %zu TLSA records are of one key: publish the next key's before it changes",
		    of->tlsa_count);
	if (alone.sha512_only)
		warn(host, "tlsa-sha512-only",
		    "SHA2-512 alone, which clients need not support: add SHA2-256 (RFC 6698 "
		    "section 6)");
	if (alone.wants_anchor && !alone.has_anchor)
		warn(host, "ta-not-in-chain",
		    "the trust anchor that usage 2 names is not in the chain the server sends "
		    "(RFC 7671 section 5.2)");
}

/* ---- signatures ---- */

static time_t expiration(const struct resolverd_rdata *rrsig)
{
	const uint8_t *at = rrsig->bytes + RRSIG_EXPIRATION_AT;
	if (rrsig->count < RRSIG_EXPIRATION_AT + 4)
		return 0;
	return (time_t)((uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]);
}

/* The latest of each RRset's signatures counts. */
static void warn_of_signatures(
    struct host_check *host, const struct resolverd_rrset *rrsets, size_t count)
{
	time_t now = time(NULL);
	for (size_t i = 0; i < count; i++) {
		time_t latest = 0;
		for (size_t j = 0; j < rrsets[i].rrsig_count; j++)
			if (expiration(&rrsets[i].rrsig[j]) > latest)
				latest = expiration(&rrsets[i].rrsig[j]);
		if (latest != 0 && latest - now < SIGNATURE_LEFT_S)
			warn(host, "signature-expires",
			    "the signature of %.150s expires in %lld min", rrsets[i].owner,
			    (long long)(latest - now) / 60);
	}
}

static void ask_for_signatures(struct check *check, struct host_check *host)
{
	struct resolverd_records *records;
	if (resolverd_records(check->ctl->client, host->host->tlsa_owner, RRTYPE_TLSA,
		check_left_ms(check), &records) != 0)
		return;
	warn_of_signatures(host, records->chain, records->chain_count);
	warn_of_signatures(host, records->answer, records->answer_count);
	resolverd_records_free(records);
}

/* ---- the host ---- */

static void warn_of_addresses(struct host_check *host)
{
	for (size_t i = 0; i < host->probe_count; i++) {
		const struct probe *probe = &host->probes[i];
		if (probe->verdict != host->verdict)
			warn(host, "addresses-differ", "%s: %s, while %s is %s",
			    probe->options.address->text, resolverd_verdict_text(probe->verdict),
			    host->decisive->options.address->text,
			    resolverd_verdict_text(host->verdict));
	}
}

void check_warn(struct check *check, struct host_check *host)
{
	bool by_dane = host->host->policy == RESOLVERD_DANE;
	const struct smtp_tls_info *tls = check_tls(host);
	const STACK_OF(X509) *chain = tls != NULL ? SSL_get_peer_cert_chain(tls->ssl) : NULL;
	if (host->probe_count == 0)
		return;
	if (chain != NULL && by_dane)
		warn_of_set(host, chain);
	if (by_dane)
		ask_for_signatures(check, host);
	/* Those that may be many come last: a host has room for eight. */
	if (chain != NULL)
		warn_of_dates(host, chain);
	warn_of_addresses(host);
}
