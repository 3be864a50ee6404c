/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resolverctl check: a plan tried out at every address of its hosts, all at once, and what a sender
 * would make of that. check.c asks and decides, check_probe.c connects, check_warnings.c looks
 * ahead, check_report.c prints. Everything is made for one plan and freed with it.
 */
#pragma once
#include "client/ctl/ctl.h"
#include "client/smtp/attempt.h"
#include "proto/names.h"

#define CHECK_WARNINGS_MAX 8u

/* One address of one host. */
struct probe {
	struct smtp_options options;
	struct smtp_session *session; /* kept for its chain until the report is out */
	bool running;
	uint64_t begun_at_ms; /* Unix epoch */
	int64_t started_ms, took_ms;
	enum resolverd_verdict verdict;
};

struct warning {
	const char *word; /* as in docs/JSON.md */
	char text[256];
};

struct host_check {
	const struct resolverd_host *host;
	bool left_out;        /* by --host */
	struct probe *probes; /* by address; none where no connection is to be made */
	size_t probe_count;
	const struct probe *decisive; /* the first a mail would go over, else one that tells why
					 not; NULL: no connection */
	enum resolverd_verdict verdict;
	const char *reason;
	struct warning warnings[CHECK_WARNINGS_MAX];
	size_t warning_count;
};

struct check {
	struct ctl *ctl;
	const char *next_hop;
	unsigned port;
	const char *only_host;     /* NULL: all */
	const char *evidence_file; /* NULL: none */
	enum smtp_tls tls;
	char helo[NAME_TEXT_MAX];
	int64_t deadline_ms;       /* monotonic, of everything */
	int64_t probe_deadline_ms; /* of the connections */
	SSL_CTX *tls_context;

	struct resolverd_plan *plan;
	struct host_check *hosts; /* in the order of the plan */
	struct probe *probes;     /* of all hosts */
	size_t probe_count;
	const struct host_check *decisive; /* as above; NULL: no host */
	enum resolverd_verdict verdict;    /* 0: the plan leaves nothing to try */
};

/* For questions to the daemon. */
int check_left_ms(const struct check *check);
/* Of the decisive connection; NULL: none, or without TLS. */
const struct smtp_tls_info *check_tls(const struct host_check *host);

/* ---- check_probe.c ---- */

/* Runs every probe to its end, or up to the deadline. 0 or -ENOMEM. */
[[nodiscard]] int check_probe_all(struct check *check);

/* ---- check_warnings.c ---- */

/* What will break soon at a host. Asks the daemon for signatures. */
void check_warn(struct check *check, struct host_check *host);

/* ---- check_evidence.c ---- */

/* 0 or an exit status. */
int check_keep_evidence(struct check *check);

/* ---- check_report.c ---- */

void check_print_json(const struct check *check);
void check_print_text(const struct check *check);
