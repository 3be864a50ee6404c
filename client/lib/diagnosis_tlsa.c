/* SPDX-License-Identifier: BSD-3-Clause */
/* A secure TLSA RRset: which records were not used, and why. */
#include <string.h>

#include "client/lib/diagnosis.h"

#define SHOWN_OCTETS 8u

static const char *why_meaningless(const struct resolverd_rdata *tlsa)
{
	if (tlsa->count < 4)
		return "it holds no data";
	if (tlsa->bytes[0] < 2)
		return "usages 0 and 1 are not for SMTP (RFC 7672 section 3.1.3)";
	if (tlsa->bytes[0] > 3)
		return "its usage is unknown (RFC 6698 section 2.1.1)";
	if (tlsa->bytes[1] > 1)
		return "its selector is unknown (RFC 6698 section 2.1.2)";
	if (tlsa->bytes[2] > 2)
		return "its matching type is unknown (RFC 6698 section 2.1.3)";
	if (tlsa->bytes[2] == 0)
		return "it is neither a certificate nor a public key in DER";
	if (tlsa->count - 3 != (tlsa->bytes[2] == 1 ? 32 : 64))
		return tlsa->bytes[2] == 1 ? "a SHA-256 digest has 32 octets"
					   : "a SHA-512 digest has 64 octets";
	return NULL;
}

static bool is_kept(const struct resolverd_host *host, const struct resolverd_rdata *tlsa)
{
	for (size_t i = 0; i < host->tlsa_count; i++) {
		const struct resolverd_tlsa *kept = &host->tlsa[i];
		if (tlsa->count >= 3 && kept->usage == tlsa->bytes[0] &&
		    kept->selector == tlsa->bytes[1] && kept->matching_type == tlsa->bytes[2] &&
		    kept->data_bytes == tlsa->count - 3 &&
		    memcmp(kept->data, tlsa->bytes + 3, kept->data_bytes) == 0)
			return true;
	}
	return false;
}

/* The daemon decided what to keep; this only tells people why the rest was dropped. */
static const char *why_dropped(
    const struct resolverd_host *host, const struct resolverd_rdata *tlsa)
{
	const char *why = why_meaningless(tlsa);
	for (size_t i = 0; why == NULL && i < host->tlsa_count; i++)
		if (host->tlsa[i].usage == tlsa->bytes[0] &&
		    host->tlsa[i].selector == tlsa->bytes[1] && host->tlsa[i].matching_type != 0)
			why = "the stronger digest beside it counts alone (RFC 7671 section 9)";
	return why != NULL ? why : "its digest is switched off here (resolver.digests)";
}

static void note_dropped(struct diagnosis *diagnosis, const struct resolverd_rdata *tlsa)
{
	char hex[2 * SHOWN_OCTETS + 1] = "";
	size_t octets = tlsa->count > 3 ? tlsa->count - 3 : 0;
	if (tlsa->count < 3) {
		diagnosis_note(diagnosis, "a TLSA record is not used: it is malformed");
		return;
	}
	if (is_kept(diagnosis->step->before, tlsa))
		return;
	sodium_bin2hex(
	    hex, sizeof hex, tlsa->bytes + 3, octets < SHOWN_OCTETS ? octets : SHOWN_OCTETS);
	diagnosis_note(diagnosis, "TLSA %u %u %u %s%s is not used: %s", tlsa->bytes[0],
	    tlsa->bytes[1], tlsa->bytes[2], octets > 0 ? hex : "(empty)",
	    octets > SHOWN_OCTETS ? "..." : "", why_dropped(diagnosis->step->before, tlsa));
}

void diagnosis_of_tlsa_set(struct diagnosis *diagnosis)
{
	const struct resolverd_step *step = diagnosis->step;
	const char *asked_before = NULL;
	for (size_t i = 0; i < step->lookup_count; i++) {
		const struct resolverd_records *records = &step->lookups[i].records;
		if (records->type != TYPE_TLSA)
			continue;
		if (step->before->tlsa_owner == NULL ||
		    strcmp(records->name, step->before->tlsa_owner) != 0) {
			asked_before = records->name;
			continue;
		}
		for (size_t j = 0; j < records->answer_count; j++)
			for (size_t k = 0; k < records->answer[j].rdata_count; k++)
				note_dropped(diagnosis, &records->answer[j].rdata[k]);
	}
	if (asked_before != NULL)
		diagnosis_note(diagnosis,
		    "there are no secure TLSA records at %s, so those at the host's own name "
		    "count (RFC 7672 section 2.2.3)",
		    asked_before);
}
