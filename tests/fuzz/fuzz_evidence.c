/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Evidence from anybody. The input is a file: it is verified as it is; and, since a seal stops all
 * that is changed, its records are also handed to the DNSSEC checks whatever their signatures, with
 * a question for every name in them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/evidence/dnssec.h"
#include "client/evidence/evidence.h"
#include "proto/names.h"

#define FOLDER "tests/vectors/evidence/"
#define AT 1795627950 /* when the corpus was sealed */
#define QUESTIONS_MAX 64u

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return sodium_init() < 0;
}

static void verify(const uint8_t *bytes, size_t count)
{
	const struct resolverd_evidence_trust trust = {
	    .public_key_file = FOLDER "resolverd.pub", .trust_anchor_file = FOLDER "root.key"};
	struct resolverd_evidence_report *report;
	char error[RESOLVERD_EVIDENCE_ERROR_MAX];
	if (resolverd_evidence_verify_bytes(bytes, count, &trust, &report, error) == 0)
		resolverd_evidence_report_free(report);
}

static void add(struct dnssec *dnssec, const Resolverd__V1__Records *records)
{
	for (size_t i = 0; i < records->n_chain; i++)
		dnssec_add(dnssec, records->chain[i]);
	for (size_t i = 0; i < records->n_answer; i++)
		dnssec_add(dnssec, records->answer[i]);
	for (size_t i = 0; i < records->n_authority; i++)
		dnssec_add(dnssec, records->authority[i]);
}

/* The answer, if it is a records answer at all. */
static Resolverd__V1__Answer *open_answer(const Resolverd__V1__SignedAnswer *from)
{
	Resolverd__V1__Answer *answer =
	    resolverd__v1__answer__unpack(NULL, from->answer.len, from->answer.data);
	if (answer != NULL && answer->question != NULL && answer->records != NULL &&
	    answer->data_case == RESOLVERD__V1__ANSWER__DATA_RECORDS)
		return answer;
	resolverd__v1__answer__free_unpacked(answer, NULL);
	return NULL;
}

static void ask(struct dnssec *dnssec, const Resolverd__V1__Question *question)
{
	char name[NAME_TEXT_MAX];
	if (name_canonical(question->name, name) == NAME_OK)
		(void)dnssec_lookup(dnssec, name, question->type);
}

static void check_records(const Resolverd__Evidence__V1__Record *record)
{
	char detail[DNSSEC_DETAIL_MAX];
	struct dnssec *dnssec = dnssec_new(AT);
	if (dnssec == NULL || !dnssec_load_anchors(dnssec, FOLDER "root.key", detail))
		abort();
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < record->n_records && i < QUESTIONS_MAX; i++) {
			Resolverd__V1__Answer *answer = open_answer(record->records[i]);
			if (answer != NULL && pass == 0)
				add(dnssec, answer->records);
			else if (answer != NULL)
				ask(dnssec, answer->question);
			resolverd__v1__answer__free_unpacked(answer, NULL);
		}
	dnssec_free(dnssec);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	verify(bytes, count);
	Resolverd__Evidence__V1__Evidence *outer =
	    count < EVIDENCE_MAGIC_BYTES
		? NULL
		: resolverd__evidence__v1__evidence__unpack(
		      NULL, count - EVIDENCE_MAGIC_BYTES, bytes + EVIDENCE_MAGIC_BYTES);
	Resolverd__Evidence__V1__Record *record =
	    outer == NULL ? NULL
			  : resolverd__evidence__v1__record__unpack(
				NULL, outer->record.len, outer->record.data);
	if (record != NULL)
		check_records(record);
	resolverd__evidence__v1__record__free_unpacked(record, NULL);
	resolverd__evidence__v1__evidence__free_unpacked(outer, NULL);
	return 0;
}
