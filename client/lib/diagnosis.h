/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the lookups of a job tell beyond its verdict: which of them decided, what exactly is broken
 * there, and who can mend it. The words of a verdict are those of proto/reasons.h; here they are
 * made precise. Pure; for people only, nothing of it is signed.
 */
#pragma once
#include "client/lib/view.h"
#include "proto/rrtype.h"

/* Fill reason, clause, party, remedy and notes of a step whose other fields are there. answer is
 * the fresh one; for hosts it may be NULL, then step->before is NULL too. */
void diagnose_route(struct resolverd_memory *arena, const Resolverd__V1__Answer *answer,
    struct resolverd_step *step);
void diagnose_host(struct resolverd_memory *arena, const Resolverd__V1__Answer *answer,
    struct resolverd_step *step);

/* ---- for diagnosis_*.c ---- */

struct diagnosis {
	struct resolverd_memory *arena;
	const Resolverd__V1__Answer *answer;
	struct resolverd_step *step;
	const char **notes;
	size_t note_room;
};

[[gnu::format(printf, 2, 3)]] void diagnosis_note(
    struct diagnosis *diagnosis, const char *format, ...);
const char *diagnosis_type_text(struct resolverd_memory *arena, unsigned type);

static inline bool lookup_has_failed(const struct resolverd_lookup *lookup)
{
	return lookup->records.status != RESOLVERD_SECURE &&
	       lookup->records.status != RESOLVERD_INSECURE;
}

/* Of the two kinds of lookups a host's job makes: is it of this one? */
static inline bool lookup_is(const struct resolverd_lookup *lookup, bool tlsa)
{
	return (lookup->records.type == TYPE_TLSA) == tlsa;
}

/* The TLSA lookup that failed, or one of the others; says: what the answer itself tells of it. */
void diagnosis_of_failure(struct diagnosis *diagnosis, bool tlsa, const char *says);
/* The TLSA answer is insecure, or that of another lookup; tail ends the remedy. */
void diagnosis_of_insecure(struct diagnosis *diagnosis, bool tlsa, const char *tail);
/* The addresses are insecure and TLSA was asked all the same: a secure alias leads to them. */
void diagnosis_of_target(struct diagnosis *diagnosis);
/* A secure TLSA RRset was found: what was not used of it, and where it was. */
void diagnosis_of_tlsa_set(struct diagnosis *diagnosis);
