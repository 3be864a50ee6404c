/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of one verification. verify.c checks who signed what and when, facts.c what the DNS
 * proves of it, attempts.c what happened at the hosts. Each adds lines to the report.
 */
#pragma once
#include "client/evidence/dnssec.h"
#include "client/evidence/evidence.h"
#include "client/lib/view.h"

#define CHECKS_MAX 128u
#define SENTENCES_MAX 32u

struct checker {
	struct resolverd_memory *arena;
	struct evidence_file file;
	struct trusted_keys trusted;
	struct dnssec *dnssec;
	struct next_hop hop;
	uint64_t used_at_ms;            /* when the plan was used first */
	struct resolverd_plan *plan;    /* made again from the signed answers; NULL: not possible */
	bool insecure_by_configuration; /* an answer says so (RFC 7646) */
	struct resolverd_evidence_report *report;
	struct resolverd_evidence_check *checks;
	const char **proves, **limits;
};

/* Texts are copied and cleaned (client/lib/text.h): they may come from the file. */
[[gnu::format(printf, 5, 6)]] void checker_add(struct checker *checker, const char *name,
    const char *about, enum resolverd_check_result result, const char *format, ...);
[[gnu::format(printf, 2, 3)]] void checker_proves(struct checker *checker, const char *format, ...);
const char *checker_text(struct checker *checker, const char *text);

/* The facts of the plan's route. */
void facts_check_route(struct checker *checker);
/* The facts of one host. */
void facts_check_host(struct checker *checker, const struct resolverd_host *host);
/* Those of the host's TLSA records that the DNS proves, in the arena; 0: none. The plan has the
 * ones that the operator's digests leave. */
size_t facts_tlsa(struct checker *checker, const struct resolverd_host *host,
    const struct resolverd_tlsa **ret_tlsa);

void attempts_check(struct checker *checker);
