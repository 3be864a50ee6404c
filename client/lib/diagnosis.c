/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/lib/diagnosis.h"

#include <stdarg.h>
#include <stdio.h>

#include "client/lib/text.h"
#include "proto/combine.h"

#define V1(name) RESOLVERD__V1__##name

void diagnosis_note(struct diagnosis *diagnosis, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	if (diagnosis->step->note_count == diagnosis->note_room)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	char *copy = memory_string(diagnosis->arena, text);
	if (copy != NULL)
		diagnosis->notes[diagnosis->step->note_count++] = copy;
}

static void take_words(struct resolverd_step *step, const struct reason *reason)
{
	step->reason = reason->word;
	step->reason_text = reason->sentence;
	step->clause = reason->clause;
	step->party = (enum resolverd_party)reason->party;
	step->remedy = reason->remedy;
}

const char *diagnosis_type_text(struct resolverd_memory *arena, unsigned type)
{
	char text[RRTYPE_TEXT_MAX];
	rrtype_text(type, text);
	return memory_string(arena, text);
}

static bool begin(struct diagnosis *diagnosis, struct resolverd_memory *arena,
    const Resolverd__V1__Answer *answer, struct resolverd_step *step)
{
	*diagnosis = (struct diagnosis){.arena = arena, .answer = answer, .step = step};
	diagnosis->note_room = 8;
	for (size_t i = 0; i < step->lookup_count; i++) {
		diagnosis->note_room += 1;
		for (size_t j = 0; j < step->lookups[i].records.answer_count; j++)
			diagnosis->note_room += step->lookups[i].records.answer[j].rdata_count;
	}
	diagnosis->notes = memory_alloc(arena, diagnosis->note_room, sizeof *diagnosis->notes);
	step->notes = diagnosis->notes;
	return diagnosis->notes != NULL;
}

void diagnose_route(struct resolverd_memory *arena, const Resolverd__V1__Answer *answer,
    struct resolverd_step *step)
{
	struct diagnosis diagnosis;
	const Resolverd__V1__Route *route = answer->route;
	take_words(step, route_reason(route->kind, route->mx_status));
	if (!begin(&diagnosis, arena, answer, step))
		return;
	if (combine_route(route->kind, route->mx_status) == OUTCOME_DELAY)
		diagnosis_of_failure(&diagnosis, false, text_clean(arena, route->reason));
	else if (step->party == RESOLVERD_THEM)
		diagnosis_of_insecure(&diagnosis, false, ": unsigned MX records may be forged");
}

/* Lookups that failed and were not needed. */
static void note_spare_failures(struct diagnosis *diagnosis)
{
	const struct resolverd_step *step = diagnosis->step;
	for (size_t i = 0; i < step->lookup_count; i++)
		if (lookup_has_failed(&step->lookups[i]))
			diagnosis_note(diagnosis,
			    "the %s lookup failed, but the verdict does not need it",
			    diagnosis_type_text(diagnosis->arena, step->lookups[i].records.type));
}

/* What holds at the host in itself; step has the words of that reason. */
static void explain_host(struct diagnosis *diagnosis)
{
	const Resolverd__V1__Host *host = diagnosis->answer->host;
	const char *says = text_clean(diagnosis->arena, host->reason_text);
	switch (host->reason) {
	case V1(HOST_REASON__ADDRESS_FAILED):
	case V1(HOST_REASON__NOT_READY):
		diagnosis_of_failure(diagnosis, false, says);
		return;
	case V1(HOST_REASON__TLSA_FAILED):
		diagnosis_of_failure(diagnosis, true, says);
		return;
	case V1(HOST_REASON__ADDRESS_NOT_SECURE):
		diagnosis_of_insecure(diagnosis, false, ", then publish TLSA records");
		break;
	case V1(HOST_REASON__TLSA_NOT_SECURE):
		diagnosis_of_insecure(diagnosis, true, "");
		break;
	case V1(HOST_REASON__TLSA_USABLE):
	case V1(HOST_REASON__TLSA_ALL_UNUSABLE):
		diagnosis_of_tlsa_set(diagnosis);
		diagnosis_of_target(diagnosis);
		break;
	case V1(HOST_REASON__TLSA_DENIED):
		diagnosis_of_target(diagnosis);
		break;
	default:
		break;
	}
	note_spare_failures(diagnosis);
}

/* Local policy decided: say so, and what would be without it. */
static void explain_policy(struct diagnosis *diagnosis, const struct reason *decided)
{
	struct resolverd_step *step = diagnosis->step;
	diagnosis_note(diagnosis, "without local policy: %s, %s",
	    resolverd_policy_text(step->before->policy), step->reason_text);
	if (step->party == RESOLVERD_THEM)
		diagnosis_note(diagnosis, "what the other side can do: %s", step->remedy);
	take_words(step, decided);
}

void diagnose_host(struct resolverd_memory *arena, const Resolverd__V1__Answer *answer,
    struct resolverd_step *step)
{
	struct diagnosis diagnosis;
	const struct reason *decided = host_reason_of_word(step->host->reason);
	take_words(step, decided);
	if (answer == NULL || !begin(&diagnosis, arena, answer, step))
		return;
	const struct reason *itself = host_reason_of_word(step->before->reason);
	take_words(step, itself);
	explain_host(&diagnosis);
	if (decided != itself)
		explain_policy(&diagnosis, decided);
}
