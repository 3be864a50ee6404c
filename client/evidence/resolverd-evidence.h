/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libresolverd-evidence: keep a delivery so that it can be checked years later, offline.
 *
 *	struct resolverd_attempt attempt = {.host = "mx.example.org", ...};
 *	struct resolverd_evidence *evidence;
 *	if (resolverd_evidence_collect(client, plan, &about, &evidence) == 0 &&
 *	    resolverd_evidence_seal(client, evidence, 5000) == 0)
 *		resolverd_evidence_write(evidence, "mail.evidence", error);
 *	resolverd_evidence_free(evidence);
 *
 * Collecting asks the daemon for the DNS records behind the plan and for every key and DS up to the
 * root; sealing has it sign hash and time of all that. Verifying needs the file, the long-term
 * public key and the root's keys of that time, nothing else. docs/EVIDENCE.md says what a file
 * proves and what it does not. Functions return 0 or a negative enum resolverd_error.
 */
#pragma once
#include "client/resolverd.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RESOLVERD_EVIDENCE_MAX_BYTES (4u << 20)
#define RESOLVERD_EVIDENCE_ATTEMPTS_MAX 16u
#define RESOLVERD_EVIDENCE_CHAIN_MAX 32u /* certificates of one attempt */
#define RESOLVERD_EVIDENCE_ERROR_MAX 512

enum resolverd_verdict { /* numbers as in proto/evidence.proto, words as in docs/JSON.md */
	RESOLVERD_AUTHENTICATED = 1,
	RESOLVERD_HOST_AUTHENTICATED = 2,
	RESOLVERD_ENCRYPTED = 3,
	RESOLVERD_CLEARTEXT = 4,
	RESOLVERD_REFUSED = 5,
	RESOLVERD_UNAVAILABLE = 6
};

/* "authenticated", ...; static, "unknown" for what it does not know. */
RESOLVERD_API const char *resolverd_verdict_text(enum resolverd_verdict verdict);

/* ---- making ---- */

/* What happened at one host of the plan. All is borrowed for the call. */
struct resolverd_attempt {
	const char *host;                        /* as the plan names it */
	const struct resolverd_address *address; /* NULL: no connection */
	uint64_t verdict_at_ms;
	const char *tls_version, *tls_suite; /* as OpenSSL names them; NULL: no TLS */
	const uint8_t *const *chain;         /* DER, leaf first */
	const size_t *chain_bytes;
	size_t chain_count; /* at most RESOLVERD_EVIDENCE_CHAIN_MAX */
	enum resolverd_verdict verdict;
	const char *reason; /* for people; may be NULL */
};

struct resolverd_evidence_about {
	const char *program;          /* "danesend 0.1.0" */
	const char *recipient_domain; /* NULL: no mail was sent */
	const struct resolverd_attempt *attempts;
	size_t attempt_count; /* at most RESOLVERD_EVIDENCE_ATTEMPTS_MAX */
	int timeout_ms;       /* for all questions to the daemon together; negative: no limit */
};

struct resolverd_evidence;

/* Asks the daemon for what is behind the plan and makes the record. What the daemon cannot find is
 * left out: verifying then says that it is not proven. Blocks up to timeout_ms. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_evidence_collect(struct resolverd_client *client,
    const struct resolverd_plan *plan, const struct resolverd_evidence_about *about,
    struct resolverd_evidence **ret_evidence);

/* Has the daemon sign hash and time of the record. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_evidence_seal(
    struct resolverd_client *client, struct resolverd_evidence *evidence, int timeout_ms);

/* Writes the file: whole and on disk, or not at all. Fails with ARGUMENT when the record is not
 * sealed or the file cannot be written; error then says why. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_evidence_write(
    const struct resolverd_evidence *evidence, const char *path,
    char error[RESOLVERD_EVIDENCE_ERROR_MAX]);

RESOLVERD_API void resolverd_evidence_free(struct resolverd_evidence *evidence);

/* ---- verifying ---- */

enum resolverd_check_result {
	RESOLVERD_CHECK_PASSED = 1,
	RESOLVERD_CHECK_FAILED = 2,    /* the file claims what its own content does not bear out */
	RESOLVERD_CHECK_NOT_PROVEN = 3 /* rests on the daemon's word alone */
};

struct resolverd_evidence_check {
	const char *name;  /* "seal", "answers", "times", "mx", "address", "tlsa", "match", ... */
	const char *about; /* the host, or NULL */
	enum resolverd_check_result result;
	const char *text; /* a sentence for people */
};

struct resolverd_evidence_report {
	bool good; /* no check failed */
	const char *next_hop;
	unsigned port;
	const char *recipient_domain; /* NULL: none */
	const char *program;
	uint64_t made_at_ms, sealed_at_ms;
	const char *member, *key_id; /* of the seal; NULL when it is not good */
	const struct resolverd_evidence_check *checks;
	size_t check_count;
	const char *const *proves; /* sentences: what follows from the checks that passed */
	size_t proves_count;
	const char *const *limits; /* sentences: what does not */
	size_t limits_count;
	struct resolverd_memory *memory; /* of the library */
};

struct resolverd_evidence_trust {
	const char *public_key_file;   /* long-term keys; NULL: as resolverd_options has it */
	const char *trust_anchor_file; /* DS or DNSKEY records of the root, those of the time of
					  the seal; NULL: /usr/share/dns/root.key */
	uint64_t now_ms;               /* 0: the clock's */
};

/* Checks a file, offline. 0: it was checked, see report->good. ARGUMENT: it cannot be read, is no
 * evidence, or is damaged. PUBLIC_KEY: a key file cannot be used. error says why. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_evidence_verify(const char *path,
    const struct resolverd_evidence_trust *trust, struct resolverd_evidence_report **ret_report,
    char error[RESOLVERD_EVIDENCE_ERROR_MAX]);
/* The same for a file's content. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_evidence_verify_bytes(const uint8_t *bytes,
    size_t count, const struct resolverd_evidence_trust *trust,
    struct resolverd_evidence_report **ret_report, char error[RESOLVERD_EVIDENCE_ERROR_MAX]);

RESOLVERD_API void resolverd_evidence_report_free(struct resolverd_evidence_report *report);

#ifdef __cplusplus
}
#endif
