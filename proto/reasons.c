/* SPDX-License-Identifier: BSD-3-Clause */
#include "proto/reasons.h"

#include <stddef.h>
#include <string.h>

#include "resolverd.pb-c.h"

#define V1(name) RESOLVERD__V1__##name
#define HOST(name) V1(HOST_REASON__##name)

/* A row: word, sentence, clause (which the sentence ends with), who mends what. */
#define ROW(word, sentence, clause, party, remedy)                                                 \
	{                                                                                          \
		word, sentence " (" clause ")", clause, PARTY_##party, remedy                      \
	}

#define NOTHING "nothing: this is how it should be"
#define PUBLISH_TLSA "publish a TLSA record 3 1 1 with the SHA-256 digest of the host's public key"
#define SIGN_MX_ZONE                                                                               \
	"sign the zone of the domain with DNSSEC: unsigned MX records may be forged, so that "     \
	"a host can be authenticated, but not that it is the domain's"
#define TAKES_NO_MAIL "nothing: the domain says itself that it takes no mail"
#define CHECK_SPELLING "see whether the domain of the recipient is written right"

/* clang-format off */
static const struct reason host_reasons[] = {
	[HOST(HOST_REASON_UNSPECIFIED)] = ROW("unknown",
	    "the reason is not known to this version", "docs/PROTOCOL.md, Extending",
	    US, "bring this client to the version of the daemon"),
	[HOST(TLSA_USABLE)] = ROW("tlsa-usable",
	    "secure TLSA records: the certificate must match", "RFC 7672 section 2.2",
	    NOBODY, NOTHING),
	[HOST(TLSA_ALL_UNUSABLE)] = ROW("tlsa-all-unusable",
	    "secure TLSA records, none usable: TLS without authentication", "RFC 7672 section 2.2",
	    THEM, PUBLISH_TLSA " in place of those nobody can use"),
	[HOST(TLSA_DENIED)] = ROW("tlsa-denied",
	    "securely no TLSA records: DANE does not apply", "RFC 7672 section 2.2",
	    THEM, PUBLISH_TLSA),
	[HOST(TLSA_NOT_SECURE)] = ROW("tlsa-not-secure",
	    "DNSSEC does not secure the TLSA answer: DANE does not apply", "RFC 7672 section 2.2",
	    THEM, "sign the zone of the TLSA records with DNSSEC"),
	[HOST(ADDRESS_NOT_SECURE)] = ROW("address-not-secure",
	    "DNSSEC does not secure the host's addresses: DANE does not apply", "RFC 7672 section 2.2.2",
	    THEM, "sign the zone of the host with DNSSEC, then publish TLSA records"),
	[HOST(ADDRESS_LITERAL)] = ROW("address-literal",
	    "an IP address: DANE does not apply", "RFC 7672 section 2.2",
	    US, "route to [host.name] in place of the address if the host is to be authenticated"),
	[HOST(NO_ADDRESS)] = ROW("no-address",
	    "the host has no address", "RFC 7672 section 2.2.2",
	    THEM, "give the host an address, or take it out of the MX records"),
	[HOST(ADDRESS_FAILED)] = ROW("address-failed",
	    "the address lookup failed", "RFC 7672 section 2.1.2",
	    THEM, "make the name servers answer for the host's addresses"),
	[HOST(TLSA_FAILED)] = ROW("tlsa-failed",
	    "the TLSA lookup failed: the host must not be used", "RFC 7672 section 2.1.2",
	    THEM, "make the name servers answer TLSA queries"),
	[HOST(TLSA_TOO_MANY)] = ROW("tlsa-too-many",
	    "more than 32 TLSA records", "docs/PROTOCOL.md, Limits",
	    THEM, "publish fewer TLSA records: one for the present key, one for the next"),
	[HOST(MX_TOO_MANY)] = ROW("mx-too-many",
	    "beyond the first 16 MX hosts", "docs/PROTOCOL.md, Limits",
	    THEM, "publish at most 16 MX records"),
	[HOST(NOT_READY)] = ROW("not-ready",
	    "no answer within the deadline", "RFC 7672 section 2.1.2",
	    THEM, "make the name servers of the host answer sooner"),
	[HOST(MANDATORY_NOT_DANE)] = ROW("mandatory-not-dane",
	    "local policy demands DANE, which this host does not offer", "RFC 7672 section 6",
	    US, "ask the domain to offer DANE, or relax the override of this next hop"),
	[HOST(INSECURE_MX_REFUSED)] = ROW("insecure-mx-refused",
	    "local policy refuses TLSA hosts behind an unsigned MX", "RFC 7672 section 2.2.1",
	    THEM, SIGN_MX_ZONE),
	[HOST(INSECURE_MX_IGNORED)] = ROW("insecure-mx-ignored",
	    "local policy ignores TLSA behind an unsigned MX", "RFC 7672 section 2.2.1",
	    THEM, SIGN_MX_ZONE),
	[HOST(REQUIREMENT_OFF)] = ROW("requirement-off",
	    "local policy switched DANE off for this next hop", "RFC 7672 section 9.1",
	    US, "take the override of this next hop away to have DANE applied"),
	[HOST(AUDIT_ONLY)] = ROW("audit-only",
	    "would be refused; local policy is audit only", "RFC 7672 section 9.1",
	    US, "see that what would be refused is mended before this next hop is enforced"),
	[HOST(ANSWER_MISSING)] = ROW("answer-missing",
	    "no verified answer for this host", "docs/PROTOCOL.md, What a client checks",
	    US, "ask again; if it stays, compare the versions of daemon and client"),
};

enum { ROUTE_SECURE, ROUTE_INSECURE };

static const struct reason route_reasons[][2] = {
	[V1(ROUTE_KIND__MX)] = {
	    ROW("mx-secure", "DNSSEC secures the MX records", "RFC 7672 section 2.2.1",
		NOBODY, NOTHING),
	    ROW("mx-not-secure", "DNSSEC does not secure the MX records", "RFC 7672 section 2.2.1",
		THEM, SIGN_MX_ZONE)},
	[V1(ROUTE_KIND__IMPLICIT_MX)] = {
	    ROW("implicit-mx", "securely no MX records: the domain is its own host",
		"RFC 5321 section 5.1", NOBODY, NOTHING),
	    ROW("implicit-mx-not-secure", "no MX records, says an unsigned answer: the domain is its own host",
		"RFC 5321 section 5.1", THEM, SIGN_MX_ZONE)},
	[V1(ROUTE_KIND__NULL_MX)] = {
	    ROW("null-mx", "the domain takes no mail: null MX", "RFC 7505 section 3",
		NOBODY, TAKES_NO_MAIL),
	    ROW("null-mx-not-secure", "the domain takes no mail, says an unsigned null MX",
		"RFC 7505 section 3", NOBODY, TAKES_NO_MAIL)},
	[V1(ROUTE_KIND__NO_SUCH_DOMAIN)] = {
	    ROW("no-such-domain", "the domain does not exist", "RFC 5321 section 5.1",
		US, CHECK_SPELLING),
	    ROW("no-such-domain-not-secure", "the domain does not exist, says an unsigned answer",
		"RFC 5321 section 5.1", US, CHECK_SPELLING)},
	[V1(ROUTE_KIND__NO_MX_STEP)] = {
	    ROW("no-mx-step", "the next hop names the host itself", "RFC 7672 section 2.2.2",
		NOBODY, NOTHING),
	    ROW("no-mx-step", "the next hop names the host itself", "RFC 7672 section 2.2.2",
		NOBODY, NOTHING)},
};
/* clang-format on */

static const struct reason route_bogus = ROW("mx-bogus", "the MX answer fails DNSSEC validation",
    "RFC 7672 section 2.1.2", THEM, "mend the DNSSEC signatures of the domain");
static const struct reason route_failed = ROW("mx-failed", "the MX lookup failed",
    "RFC 7672 section 2.1.2", THEM, "make the name servers of the domain answer MX queries");

#define COUNT(table) (sizeof(table) / sizeof *(table))

const struct reason *host_reason(int reason)
{
	return &host_reasons[reason > 0 && (size_t)reason < COUNT(host_reasons) ? reason : 0];
}

const struct reason *host_reason_of_word(const char *word)
{
	for (size_t i = 0; i < COUNT(host_reasons); i++)
		if (strcmp(host_reasons[i].word, word) == 0)
			return &host_reasons[i];
	return &host_reasons[0];
}

const char *host_reason_text(int reason)
{
	return host_reason(reason)->word;
}

const struct reason *route_reason(int kind, int mx_status)
{
	if (mx_status == V1(STATUS__BOGUS))
		return &route_bogus;
	if ((mx_status != V1(STATUS__SECURE) && mx_status != V1(STATUS__INSECURE)) || kind <= 0 ||
	    (size_t)kind >= COUNT(route_reasons) || route_reasons[kind][0].word == NULL)
		return &route_failed;
	return &route_reasons[kind]
			     [mx_status == V1(STATUS__SECURE) ? ROUTE_SECURE : ROUTE_INSECURE];
}

const char *party_text(int party)
{
	return party == PARTY_THEM ? "them" : party == PARTY_US ? "us" : "nobody";
}
