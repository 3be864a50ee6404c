/* SPDX-License-Identifier: BSD-3-Clause */
/* Data that is not signed: where that begins, and whether it is our own doing. */
#include "client/lib/diagnosis.h"
#include "client/lib/text.h"
#include "proto/reasons.h"

#define SIGNER_AT 18u /* of the signer's name in RRSIG RDATA (RFC 4034 section 3.1) */

/* A CNAME made from a signed DNAME has no signature of its own (RFC 6672 section 5.3.1). */
static bool is_signed(const struct resolverd_records *records, const struct resolverd_rrset *rrset)
{
	if (rrset->rrsig_count > 0)
		return true;
	for (size_t i = 0; i < records->chain_count; i++)
		if (rrset->type == TYPE_CNAME && records->chain[i].type == TYPE_DNAME &&
		    records->chain[i].rrsig_count > 0 &&
		    name_is_within(rrset->owner, records->chain[i].owner))
			return true;
	return false;
}

/* Where the data stops being signed, on the way through the aliases; NULL: nowhere. */
static const char *first_unsigned(const struct resolverd_records *records)
{
	for (size_t i = 0; i < records->chain_count; i++)
		if (records->chain[i].type == TYPE_CNAME && !is_signed(records, &records->chain[i]))
			return records->chain[i].owner;
	for (size_t i = 0; i < records->answer_count; i++)
		if (!is_signed(records, &records->answer[i]))
			return records->answer[i].owner;
	return NULL;
}

/* The zone whose key made the signature. */
static const char *signer_of(struct resolverd_memory *arena, const struct resolverd_rdata *rrsig)
{
	size_t end = SIGNER_AT;
	while (end < rrsig->count && rrsig->bytes[end] != 0)
		end += rrsig->bytes[end] + 1u;
	char name[NAME_TEXT_MAX];
	if (end >= rrsig->count ||
	    name_from_wire(rrsig->bytes + SIGNER_AT, end + 1 - SIGNER_AT, name) != NAME_OK)
		return "the zone";
	return memory_string(arena, name);
}

static bool denies_with_signed_nsec3(const struct resolverd_records *records)
{
	for (size_t i = 0; i < records->authority_count; i++)
		if (records->authority[i].type == TYPE_NSEC3 &&
		    records->authority[i].rrsig_count > 0)
			return true;
	return false;
}

static const struct resolverd_lookup *insecure_lookup(const struct resolverd_step *step, bool tlsa)
{
	const struct resolverd_lookup *found = NULL;
	for (size_t i = 0; i < step->lookup_count; i++) {
		const struct resolverd_lookup *lookup = &step->lookups[i];
		if (lookup->records.status == RESOLVERD_INSECURE && lookup_is(lookup, tlsa) &&
		    (found == NULL ||
			(lookup->records.answer_count > 0 && found->records.answer_count == 0)))
			found = lookup;
	}
	return found;
}

/* Our own configuration may be what makes it insecure. */
static bool blame_insecure_zone(struct diagnosis *diagnosis)
{
	const Resolverd__V1__Answer *answer = diagnosis->answer;
	if (answer == NULL || answer->n_insecure_zones == 0)
		return false;
	diagnosis->step->party = RESOLVERD_US;
	diagnosis->step->remedy = memory_printf(diagnosis->arena,
	    "the configuration declares the zone %s insecure (insecure-until): take that away "
	    "once the zone validates (RFC 7646)",
	    text_clean(diagnosis->arena, answer->insecure_zones[0]->zone));
	return true;
}

void diagnosis_of_insecure(struct diagnosis *diagnosis, bool tlsa, const char *tail)
{
	struct resolverd_memory *arena = diagnosis->arena;
	struct resolverd_step *step = diagnosis->step;
	const struct resolverd_lookup *lookup = insecure_lookup(step, tlsa);
	if (blame_insecure_zone(diagnosis) || lookup == NULL)
		return;
	const struct resolverd_records *records = &lookup->records;
	const char *name = first_unsigned(records);
	if (name != NULL) {
		step->remedy =
		    memory_printf(arena, "sign the zone of %s with DNSSEC%s", name, tail);
		if (records->chain_count > 0)
			diagnosis_note(diagnosis,
			    "on the way from %s the data is not signed from %s on", records->name,
			    name);
	} else if (records->answer_count > 0 && records->chain_count == 0) {
		step->remedy = memory_printf(arena,
		    "have a DS record of %s published at its parent, of an algorithm that "
		    "validators know: the zone is signed, but no chain of trust leads to it",
		    signer_of(arena, &records->answer[0].rrsig[0]));
	} else if (records->answer_count == 0 && tlsa) {
		step->remedy = host_reason(RESOLVERD__V1__HOST_REASON__TLSA_DENIED)->remedy;
		diagnosis_note(diagnosis,
		    "there are no TLSA records at %s; that there are none is not proved%s",
		    records->name, denies_with_signed_nsec3(records) ? " (NSEC3 opt-out)" : "");
	}
}

void diagnosis_of_target(struct diagnosis *diagnosis)
{
	const struct resolverd_lookup *lookup = insecure_lookup(diagnosis->step, false);
	if (diagnosis->step->before->address_status != RESOLVERD_INSECURE || lookup == NULL)
		return;
	const char *name = first_unsigned(&lookup->records);
	diagnosis_note(diagnosis,
	    "%s is a signed alias, but what it leads to is not secure%s%s%s: only TLSA records at "
	    "the host's own name count (RFC 7672 section 2.2.2)",
	    lookup->records.name, name != NULL ? " from " : "", name != NULL ? name : "",
	    name != NULL ? " on" : "");
}
