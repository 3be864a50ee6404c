/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Does the DNS, proven from the root down, say what the signed answers say? A secure status must be
 * borne out by signatures, an insecure one by the proof of an unsigned delegation; a failure can be
 * proven by nothing.
 */
#include <string.h>

#include "client/evidence/check.h"
#include "proto/base_domain.h"
#include "proto/combine.h"
#include "proto/rrtype.h"

/* What status needs and the proof gives. True: go on and compare the data. */
static bool compare_status(struct checker *checker, const char *name, const char *about,
    enum resolverd_status status, const struct dnssec_answer *answer)
{
	const char *what = resolverd_status_text(status);
	if (status == RESOLVERD_SECURE && answer->proof == PROVEN_SECURE)
		return true;
	if (status == RESOLVERD_INSECURE && answer->proof == PROVEN_INSECURE)
		checker_add(checker, name, about, RESOLVERD_CHECK_PASSED,
		    "insecure: nothing is signed at or below %s, by a signed proof",
		    answer->insecure_at);
	else if (status == RESOLVERD_SECURE)
		checker_add(checker, name, about, RESOLVERD_CHECK_FAILED,
		    "the signed answer says secure; but %s",
		    answer->proof == UNPROVEN ? answer->why : "it is provably unsigned");
	else if (status == RESOLVERD_INSECURE && answer->proof == PROVEN_SECURE &&
		 !checker->insecure_by_configuration)
		checker_add(checker, name, about, RESOLVERD_CHECK_FAILED,
		    "the signed answer says insecure; but the records are signed up to the root");
	else
		checker_add(checker, name, about, RESOLVERD_CHECK_NOT_PROVEN,
		    "%s: by the daemon's word alone", what);
	return false;
}

/* ---- the route ---- */

/* False: the record is malformed, or a null MX, which beside others means nothing (RFC 7505). */
static bool parse_mx(
    const struct dnssec_rdata *rdata, unsigned *ret_preference, char ret_name[NAME_TEXT_MAX])
{
	if (rdata->count < 3 ||
	    name_from_wire(rdata->bytes + 2, rdata->count - 2, ret_name) != NAME_OK)
		return false;
	*ret_preference = (unsigned)(rdata->bytes[0] << 8 | rdata->bytes[1]);
	return strcmp(ret_name, ".") != 0;
}

static bool is_in_records(const struct dnssec_answer *answer, const struct resolverd_host *host)
{
	char name[NAME_TEXT_MAX];
	unsigned preference;
	for (size_t i = 0; i < answer->rdata_count; i++)
		if (parse_mx(&answer->rdata[i], &preference, name) &&
		    preference == host->preference && strcmp(name, host->name) == 0)
			return true;
	return false;
}

static bool is_in_plan(const struct resolverd_plan *plan, const struct dnssec_rdata *rdata)
{
	char name[NAME_TEXT_MAX];
	unsigned preference;
	if (!parse_mx(rdata, &preference, name))
		return true;
	for (size_t i = 0; i < plan->host_count; i++)
		if (strcmp(plan->hosts[i].name, name) == 0)
			return true;
	return false;
}

static const char *compare_mx_hosts(
    const struct resolverd_plan *plan, const struct dnssec_answer *answer)
{
	if (plan->mx_implicit)
		return answer->exists ? "the plan has no MX record, and the DNS has some" : NULL;
	if (!answer->exists)
		return "the plan has MX records, and the DNS provably none";
	if (plan->outcome == RESOLVERD_NO_MAIL)
		return answer->rdata_count == 1 && answer->rdata[0].count == 3
			   ? NULL
			   : "the plan says null MX, the DNS does not";
	for (size_t i = 0; i < plan->host_count; i++)
		if (!is_in_records(answer, &plan->hosts[i]))
			return "the plan has a host that is not in the MX records";
	for (size_t i = 0; i < answer->rdata_count && plan->host_count < ROUTE_HOSTS_LISTED_MAX;
	     i++)
		if (!is_in_plan(plan, &answer->rdata[i]))
			return "the plan lacks a host of the MX records";
	return NULL;
}

static const char *compare_route(
    const struct resolverd_plan *plan, const struct dnssec_answer *answer)
{
	if (strcmp(plan->expanded, answer->final_name) != 0)
		return "the plan expands the domain to another name than the aliases do";
	if (plan->outcome == RESOLVERD_NO_SUCH_DOMAIN)
		return answer->no_such_name ? NULL : "the DNS does not deny that the domain exists";
	return compare_mx_hosts(plan, answer);
}

/* Without MX records the next hop is its own host, whatever vouches for their absence. */
static bool has_foreign_host(const struct resolverd_plan *plan, const struct next_hop *hop)
{
	for (size_t i = 0; (!plan->has_mx || plan->mx_implicit) && i < plan->host_count; i++)
		if (strcmp(plan->hosts[i].name, hop->name) != 0)
			return true;
	return false;
}

void facts_check_route(struct checker *checker)
{
	const struct resolverd_plan *plan = checker->plan;
	if (has_foreign_host(plan, &checker->hop)) {
		checker_add(checker, "mx", NULL, RESOLVERD_CHECK_FAILED,
		    "the plan has another host than the next hop, and no MX records");
		return;
	}
	if (!plan->has_mx)
		return;
	struct dnssec_answer answer = dnssec_lookup(checker->dnssec, checker->hop.name, TYPE_MX);
	if (!compare_status(checker, "mx", NULL, plan->mx_status, &answer))
		return;
	const char *problem = compare_route(plan, &answer);
	if (problem != NULL) {
		checker_add(checker, "mx", NULL, RESOLVERD_CHECK_FAILED, "%s", problem);
		return;
	}
	checker_add(checker, "mx", NULL, RESOLVERD_CHECK_PASSED, "%s %s, signed up to the root%s%s",
	    answer.exists ? "the MX records of" : "no MX records at", checker->hop.name,
	    answer.aliased ? ", by way of aliases at " : "",
	    answer.aliased ? answer.final_name : "");
	checker_proves(checker, "the DNS gave %s %s", checker->hop.name,
	    answer.exists ? "these MX hosts" : "no MX hosts");
}

/* ---- addresses ---- */

static bool is_among(const struct dnssec_answer *answer, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < answer->rdata_count; i++)
		if (answer->rdata[i].count == count &&
		    memcmp(answer->rdata[i].bytes, bytes, count) == 0)
			return true;
	return false;
}

static void check_addresses(struct checker *checker, const struct resolverd_host *host,
    const struct dnssec_answer *a, const struct dnssec_answer *aaaa)
{
	const struct dnssec_answer *best = a->proof == PROVEN_SECURE && a->exists ? a : aaaa;
	if (best->proof != PROVEN_SECURE || !best->exists)
		best = a->proof == PROVEN_INSECURE || aaaa->proof != PROVEN_INSECURE ? a : aaaa;
	if (!compare_status(checker, "address", host->name, host->address_status, best))
		return;
	for (size_t i = 0; i < host->address_count; i++) {
		const struct resolverd_address *address = &host->addresses[i];
		if (address->status == RESOLVERD_SECURE &&
		    !is_among(address->ip_bytes == 4 ? a : aaaa, address->ip, address->ip_bytes)) {
			checker_add(checker, "address", host->name, RESOLVERD_CHECK_FAILED,
			    "%s is not among the addresses that are signed", address->text);
			return;
		}
	}
	checker_add(checker, "address", host->name, RESOLVERD_CHECK_PASSED, "%s",
	    best->exists ? "signed up to the root" : "provably none");
}

/* ---- TLSA ---- */

static struct dnssec_answer lookup_tlsa(
    struct checker *checker, const struct resolverd_host *host, const char *base)
{
	char owner[NAME_TEXT_MAX];
	if (name_tlsa_owner(host->port, base, owner) != NAME_OK)
		return (struct dnssec_answer){.why = "the name of the TLSA records is too long"};
	const char *kept = memory_string(checker->arena, owner);
	return kept != NULL ? dnssec_lookup(checker->dnssec, kept, TYPE_TLSA)
			    : (struct dnssec_answer){.why = "out of memory"};
}

static bool parse_tlsa(const struct dnssec_rdata *rdata, struct resolverd_tlsa *ret_tlsa)
{
	if (rdata->count < 3)
		return false;
	*ret_tlsa = (struct resolverd_tlsa){.usage = rdata->bytes[0],
	    .selector = rdata->bytes[1],
	    .matching_type = rdata->bytes[2],
	    .data = rdata->bytes + 3,
	    .data_bytes = rdata->count - 3};
	return true;
}

static bool holds(const struct dnssec_answer *answer, const struct resolverd_tlsa *tlsa)
{
	struct resolverd_tlsa one;
	for (size_t i = 0; i < answer->rdata_count; i++)
		if (parse_tlsa(&answer->rdata[i], &one) && one.usage == tlsa->usage &&
		    one.selector == tlsa->selector && one.matching_type == tlsa->matching_type &&
		    one.data_bytes == tlsa->data_bytes &&
		    memcmp(one.data, tlsa->data, tlsa->data_bytes) == 0)
			return true;
	return false;
}

size_t facts_tlsa(struct checker *checker, const struct resolverd_host *host,
    const struct resolverd_tlsa **ret_tlsa)
{
	if (host->tlsa_base == NULL)
		return 0;
	struct dnssec_answer answer = lookup_tlsa(checker, host, host->tlsa_base);
	struct resolverd_tlsa *tlsa = memory_alloc(checker->arena, host->tlsa_count, sizeof *tlsa);
	size_t count = 0;
	if (answer.proof != PROVEN_SECURE || !answer.exists || tlsa == NULL)
		return 0;
	for (size_t i = 0; i < host->tlsa_count; i++)
		if (holds(&answer, &host->tlsa[i]))
			tlsa[count++] = host->tlsa[i];
	*ret_tlsa = tlsa;
	return count;
}

static bool is_without_tlsa(const struct dnssec_answer *answer)
{
	return answer->proof == PROVEN_INSECURE ||
	       (answer->proof == PROVEN_SECURE && !answer->exists);
}

/* The base domain is one of the candidates, and there is provably nothing at those before it. */
static const char *check_base(
    struct checker *checker, const struct resolverd_host *host, const struct base_domains *bases)
{
	if (host->tlsa_base == NULL)
		return "there is no base domain";
	for (size_t i = 0; i < bases->count; i++) {
		if (strcmp(host->tlsa_base, bases->names[i]) == 0)
			return NULL;
		struct dnssec_answer before = lookup_tlsa(checker, host, bases->names[i]);
		if (!is_without_tlsa(&before))
			return "that there are no TLSA records where the aliases lead is not "
			       "proven";
	}
	return "the base domain is neither the host nor what it is an alias of";
}

static void check_present(struct checker *checker, const struct resolverd_host *host,
    const struct base_domains *bases, const struct dnssec_answer *answer)
{
	const char *problem = check_base(checker, host, bases);
	if (problem == NULL && !answer->exists)
		problem = "the DNS provably has no TLSA records there";
	for (size_t i = 0; problem == NULL && i < host->tlsa_count; i++)
		if (!holds(answer, &host->tlsa[i]))
			problem = "the plan has a TLSA record that the DNS has not";
	if (problem != NULL)
		checker_add(checker, "tlsa", host->name, RESOLVERD_CHECK_FAILED, "%s", problem);
	else
		checker_add(checker, "tlsa", host->name, RESOLVERD_CHECK_PASSED,
		    "%zu record%s at %s, signed up to the root", answer->rdata_count,
		    answer->rdata_count == 1 ? "" : "s", host->tlsa_owner);
	if (problem == NULL)
		checker_proves(checker,
		    "the DNS demanded of %s a certificate that matches these "
		    "TLSA records",
		    host->name);
}

static void check_absent(struct checker *checker, const struct resolverd_host *host,
    const struct base_domains *bases, const struct dnssec_answer *first)
{
	bool absent = !first->exists;
	for (size_t i = 1; absent && i < bases->count; i++) {
		struct dnssec_answer other = lookup_tlsa(checker, host, bases->names[i]);
		absent = is_without_tlsa(&other);
	}
	checker_add(checker, "tlsa", host->name,
	    absent ? RESOLVERD_CHECK_PASSED : RESOLVERD_CHECK_FAILED, "%s",
	    absent ? "provably none: DANE does not apply to this host"
		   : "the plan says there are none, and that is not proven");
	if (absent)
		checker_proves(checker, "the DNS had no TLSA records for %s", host->name);
}

/* expanded: as for base_domains_of. */
static void check_tlsa(
    struct checker *checker, const struct resolverd_host *host, const char *expanded)
{
	static const enum resolverd_status plain[] = {[RESOLVERD_TLSA_SECURE] = RESOLVERD_SECURE,
	    [RESOLVERD_TLSA_INSECURE] = RESOLVERD_INSECURE,
	    [RESOLVERD_TLSA_BOGUS] = RESOLVERD_BOGUS,
	    [RESOLVERD_TLSA_ERROR] = RESOLVERD_ERROR,
	    [RESOLVERD_TLSA_ABSENT] = RESOLVERD_SECURE};
	bool present = host->tlsa_status == RESOLVERD_TLSA_SECURE;
	if (host->tlsa_status == RESOLVERD_TLSA_NOT_QUERIED)
		return;
	struct base_domains bases = base_domains_of(host->name, expanded);
	struct dnssec_answer answer = lookup_tlsa(
	    checker, host, present && host->tlsa_base != NULL ? host->tlsa_base : bases.names[0]);
	/* Of two candidates one that is insecure makes the whole so. */
	for (size_t i = 1; i < bases.count && host->tlsa_status == RESOLVERD_TLSA_INSECURE &&
			   answer.proof != PROVEN_INSECURE;
	     i++)
		answer = lookup_tlsa(checker, host, bases.names[i]);
	if (!compare_status(checker, "tlsa", host->name, plain[host->tlsa_status], &answer))
		return;
	if (present)
		check_present(checker, host, &bases, &answer);
	else
		check_absent(checker, host, &bases, &answer);
}

void facts_check_host(struct checker *checker, const struct resolverd_host *host)
{
	if (checker->hop.kind == NEXT_HOP_ADDRESS)
		return;
	struct dnssec_answer a = dnssec_lookup(checker->dnssec, host->name, TYPE_A);
	struct dnssec_answer aaaa = dnssec_lookup(checker->dnssec, host->name, TYPE_AAAA);
	check_addresses(checker, host, &a, &aaaa);
	const char *expanded = a.proof != UNPROVEN ? a.final_name : aaaa.final_name;
	check_tlsa(checker, host, host->address_status == RESOLVERD_SECURE ? expanded : NULL);
}
