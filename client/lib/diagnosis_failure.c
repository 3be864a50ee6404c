/* SPDX-License-Identifier: BSD-3-Clause */
/* Lookups that failed: what is broken, and who mends it. */
#include <string.h>
#include <time.h>

#include "client/lib/diagnosis.h"

#define RRSIG_TIMES_END 16u /* of RRSIG RDATA (RFC 4034 section 3.1) */

#define MEND_ANCHOR                                                                                \
	"mend this host's path to the DNS, or its trust anchor: resolverctl status says more"

/* What the resolver says of a failure, and what that means. The first row that fits counts. */
static const struct failure {
	const char *sign; /* part of what it says */
	unsigned type;    /* of the lookup, 0: any */
	bool bogus;       /* only of bogus data */
	enum resolverd_party party;
	const char *before, *after; /* the remedy, around what is broken */
} failures[] = {
    {"root key set", 0, false, RESOLVERD_US, MEND_ANCHOR, NULL},
    {"for trust anchor", 0, true, RESOLVERD_US, MEND_ANCHOR, NULL},
    {"out of memory", 0, false, RESOLVERD_US, "give resolverd more memory", NULL},
    {"too much to do", 0, false, RESOLVERD_US,
	"ask again later; if it stays, give resolverd more workers (resolver.workers)", NULL},
    {"quarantined", 0, false, RESOLVERD_US,
	"report this name to the makers of resolverd: its workers die of it", NULL},
    {"expired while", 0, false, RESOLVERD_US, "ask again: an answer expired on the way", NULL},
    {"signature expired", 0, true, RESOLVERD_THEM, "renew the signatures of ",
	": they have expired"},
    {"before inception", 0, true, RESOLVERD_THEM, "sign ",
	" anew, or set the clock of its signer right: its signatures lie in the future (or the "
	"clock of this host is late)"},
    {"DS hash mismatches", 0, true, RESOLVERD_THEM, "publish the right DS record of ",
	" at its parent: those there match none of its keys"},
    {"no keys have a DS", 0, true, RESOLVERD_THEM, "publish the right DS record of ",
	" at its parent: those there match none of its keys"},
    {"keytag", 0, true, RESOLVERD_THEM, "publish the right DS record of ",
	" at its parent: those there match none of its keys"},
    {"no DNSKEY", 0, true, RESOLVERD_THEM, "publish the keys (DNSKEY) of ",
	": its parent has a DS record for a key that is not there"},
    {"no signatures", 0, true, RESOLVERD_THEM, "send the signatures and the proofs of absence of ",
	": RRSIG or NSEC records are missing, never made or cut out on the way"},
    {"signature missing", 0, true, RESOLVERD_THEM, "send the signatures of ",
	": RRSIG records are missing, never made or cut out on the way"},
    {"no DNSSEC records", 0, true, RESOLVERD_THEM, "send the proofs of absence at ",
	": NSEC or NSEC3 records are missing, never made or cut out on the way"},
    {"proof failed", 0, true, RESOLVERD_THEM, "send the proofs of absence of ",
	": the NSEC or NSEC3 records do not prove what the answer says"},
    {"failed to prove", 0, true, RESOLVERD_THEM, "send the proofs of absence of ",
	": the NSEC or NSEC3 records do not prove what the answer says"},
    {"verification failed", 0, true, RESOLVERD_THEM, "sign ",
	" anew: a signature there is not made by the zone's key"},
    {"crypto failed", 0, true, RESOLVERD_THEM, "sign ",
	" anew: a signature there is not made by the zone's key"},
    {"unknown keys", 0, true, RESOLVERD_THEM, "sign ",
	" anew: a signature there is not made by the zone's key"},
    {"", 0, true, RESOLVERD_THEM, "mend the DNSSEC of ", ""},
    {"every signature has expired", 0, false, RESOLVERD_THEM, "renew the signatures of ",
	": they have expired"},
    {"two CNAME", 0, false, RESOLVERD_THEM, "leave one CNAME record at ",
	": two at one name contradict each other (RFC 2181 section 10.1)"},
    {"CNAME chain", 0, false, RESOLVERD_THEM, "shorten the chain of aliases that begins at ",
	": it is too long or leads in a circle"},
    {"malformed", 0, false, RESOLVERD_THEM, "make the name servers send well-formed answers for ",
	""},
    {"", TYPE_TLSA, false, RESOLVERD_THEM, "make the name servers answer for ",
	", be it that there is no such record: their software or a firewall breaks on TLSA "
	"queries, and until they answer the host must not be used (RFC 7672 section 2.1.2)"},
    {"no answer", 0, false, RESOLVERD_THEM, "make the name servers answer in time for ",
	": none of them did"},
    {"", 0, false, RESOLVERD_THEM, "make the name servers answer for ",
	": they fail, refuse, send something malformed or cannot be reached"},
};

static const struct failure *failure_of(const char *says, unsigned type, bool bogus)
{
	const struct failure *row = failures;
	while (strstr(says, row->sign) == NULL || (row->type != 0 && row->type != type) ||
	       (row->bogus && !bogus))
		row++; /* the last row fits all */
	return row;
}

/* The zone that the resolver names as the broken one; NULL: it names none. */
static const char *zone_named(struct resolverd_memory *arena, const char *says)
{
	static const char *const marks[] = {" for key ", "key for validation ", " for DS "};
	const char *at = NULL;
	for (size_t i = 0; i < sizeof marks / sizeof *marks && at == NULL; i++)
		if ((at = strstr(says, marks[i])) != NULL)
			at += strlen(marks[i]);
	if (at == NULL)
		return NULL;
	int length = (int)strcspn(at, " ");
	if (length > 1 && at[length - 1] == '.')
		length--;
	return memory_printf(arena, "%.*s", length, at);
}

/* The failed lookup that decided: bogus before error, as the daemon chooses. */
static const struct resolverd_lookup *failed_lookup(const struct resolverd_step *step, bool tlsa)
{
	const struct resolverd_lookup *found = NULL;
	for (size_t i = 0; i < step->lookup_count; i++) {
		const struct resolverd_lookup *lookup = &step->lookups[i];
		if (lookup_has_failed(lookup) && lookup_is(lookup, tlsa) &&
		    (found == NULL || (lookup->records.status == RESOLVERD_BOGUS &&
					  found->records.status != RESOLVERD_BOGUS)))
			found = lookup;
	}
	return found;
}

static uint32_t read_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Bogus data rarely comes along; when it does, its signatures tell their own times. */
static void note_signature_times(struct diagnosis *diagnosis, const struct resolverd_lookup *lookup)
{
	const struct resolverd_records *records = &lookup->records;
	for (size_t i = 0; i < records->answer_count; i++)
		for (size_t j = 0; j < records->answer[i].rrsig_count; j++) {
			const struct resolverd_rdata *rrsig = &records->answer[i].rrsig[j];
			char from[32], to[32];
			struct tm utc;
			if (rrsig->count < RRSIG_TIMES_END)
				continue;
			time_t expires = read_u32(rrsig->bytes + 8),
			       begins = read_u32(rrsig->bytes + 12);
			strftime(from, sizeof from, "%F %T", gmtime_r(&begins, &utc));
			strftime(to, sizeof to, "%F %T", gmtime_r(&expires, &utc));
			diagnosis_note(diagnosis, "a signature of %s %s is valid from %s to %s UTC",
			    records->answer[i].owner,
			    diagnosis_type_text(diagnosis->arena, records->answer[i].type), from,
			    to);
		}
}

void diagnosis_of_failure(struct diagnosis *diagnosis, bool tlsa, const char *says)
{
	const struct resolverd_lookup *lookup = failed_lookup(diagnosis->step, tlsa);
	struct resolverd_step *step = diagnosis->step;
	struct resolverd_memory *arena = diagnosis->arena;
	bool bogus = lookup != NULL && lookup->records.status == RESOLVERD_BOGUS;
	unsigned type = lookup != NULL ? lookup->records.type : 0;
	if (lookup != NULL && lookup->records.reason[0] != '\0')
		says = lookup->records.reason;
	const struct failure *failure = failure_of(says, type, bogus);
	const char *broken = bogus ? zone_named(arena, says) : NULL;
	if (broken == NULL && lookup != NULL)
		broken = memory_printf(
		    arena, "%s %s", lookup->records.name, diagnosis_type_text(arena, type));
	if (broken == NULL)
		broken = step->name;
	step->party = failure->party;
	step->remedy = failure->after == NULL ? failure->before
					      : memory_printf(arena, "%s%s%s", failure->before,
						    broken, failure->after);
	if (lookup == NULL)
		return;
	note_signature_times(diagnosis, lookup);
	if (bogus)
		diagnosis_note(diagnosis, "to see it: dig +dnssec +cd %s %s", lookup->records.name,
		    diagnosis_type_text(arena, type));
}
