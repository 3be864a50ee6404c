/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checking a file, offline. First who signed what and when, then, with what is signed, what the DNS
 * and the certificates bear out. Every check reports; a later one that cannot be made because an
 * earlier one failed is left out, and the report is not good.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "client/evidence/check.h"
#include "client/lib/clock.h"
#include "client/lib/text.h"

#define V1(name) RESOLVERD__V1__##name
#define DEFAULT_TRUST_ANCHOR "/usr/share/dns/root.key"
#define CLOCKS_APART_MS 5000u        /* of the program and the daemon, on one host */
#define SEALED_WITHIN_MS 3600000u    /* after the record was made */
#define ATTEMPTS_WITHIN_MS 86400000u /* before the record was made */

/* ---- the report ---- */

const char *checker_text(struct checker *checker, const char *text)
{
	const char *copy = memory_string(checker->arena, text);
	return copy != NULL ? text_clean(checker->arena, copy) : "";
}

void checker_add(struct checker *checker, const char *name, const char *about,
    enum resolverd_check_result result, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if (result == RESOLVERD_CHECK_FAILED)
		checker->report->good = false;
	if (checker->report->check_count == CHECKS_MAX)
		return;
	checker->checks[checker->report->check_count++] =
	    (struct resolverd_evidence_check){.name = name,
		.about = about != NULL ? checker_text(checker, about) : NULL,
		.result = result,
		.text = checker_text(checker, text)};
}

void checker_proves(struct checker *checker, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if (checker->report->proves_count < SENTENCES_MAX)
		checker->proves[checker->report->proves_count++] = checker_text(checker, text);
}

static const char *date_of(struct checker *checker, uint64_t ms)
{
	char text[40] = "an impossible time";
	time_t seconds = (time_t)(ms / 1000);
	struct tm utc;
	if (ms / 1000 < UINT64_C(253402300800) && gmtime_r(&seconds, &utc) != NULL)
		strftime(text, sizeof text, "%F %T UTC", &utc);
	return checker_text(checker, text);
}

/* ---- seal and times ---- */

/* When the plan was used first: at the first verdict, or, with none, when its last answer came. */
static uint64_t used_at(const Resolverd__Evidence__V1__Record *record)
{
	uint64_t latest = 0;
	if (record->n_attempts > 0)
		return record->attempts[0]->verdict_at;
	for (size_t i = 0; i < record->n_answers; i++) {
		const ProtobufCBinaryData *bytes = &record->answers[i]->answer;
		Resolverd__V1__Answer *answer =
		    evidence_unpack(&resolverd__v1__answer__descriptor, bytes->data, bytes->len);
		if (answer != NULL && answer->validated_at > latest)
			latest = answer->validated_at;
		resolverd__v1__answer__free_unpacked(answer, NULL);
	}
	return latest;
}

static bool check_seal(struct checker *checker)
{
	struct sealed sealed;
	const char *problem =
	    verify_seal(&checker->trusted, checker->file.outer->seal, checker->file.hash, &sealed);
	if (problem != NULL) {
		checker_add(checker, "seal", NULL, RESOLVERD_CHECK_FAILED,
		    "the seal does not hold: %s", problem);
		return false;
	}
	char *id = memory_alloc(checker->arena, KEY_ID_HEX_CHARS, 1);
	if (id == NULL)
		return false;
	sodium_bin2hex(id, KEY_ID_HEX_CHARS, sealed.key.id, KEY_ID_BYTES);
	checker->report->key_id = id;
	checker->report->member = checker_text(checker, sealed.key.member);
	checker->report->sealed_at_ms = sealed.at_ms;
	checker_add(checker, "seal", NULL, RESOLVERD_CHECK_PASSED, "sealed %s by member %s, key %s",
	    date_of(checker, sealed.at_ms), sealed.key.member, id);
	checker_proves(checker,
	    "this record existed, octet for octet, on %s, says the holder of the long-term key",
	    date_of(checker, sealed.at_ms));
	return true;
}

static const char *check_attempt_times(
    const Resolverd__Evidence__V1__Record *record, uint64_t used_at_ms)
{
	if (record->n_attempts == 0 && (used_at_ms > record->made_at + CLOCKS_APART_MS ||
					   record->made_at > used_at_ms + ATTEMPTS_WITHIN_MS))
		return "the plan was made after the record, or a day before";
	for (size_t i = 0; i < record->n_attempts; i++)
		if (record->attempts[i]->verdict_at > record->made_at ||
		    record->made_at - record->attempts[i]->verdict_at > ATTEMPTS_WITHIN_MS)
			return "a verdict was given after the record was made, or a day before";
	return NULL;
}

static void check_times(struct checker *checker, uint64_t now_ms)
{
	const Resolverd__Evidence__V1__Record *record = checker->file.record;
	uint64_t sealed_at = checker->report->sealed_at_ms;
	const char *problem = check_attempt_times(record, checker->used_at_ms);
	if (problem == NULL && record->made_at > sealed_at + CLOCKS_APART_MS)
		problem = "the record was made after it was sealed";
	if (problem == NULL && sealed_at > record->made_at + SEALED_WITHIN_MS)
		problem = "the record was sealed more than an hour after it was made";
	if (problem == NULL && sealed_at > now_ms + CLOCKS_APART_MS)
		problem = "it was sealed in the future: is this clock right?";
	if (problem != NULL)
		checker_add(checker, "times", NULL, RESOLVERD_CHECK_FAILED, "%s", problem);
	else
		checker_add(checker, "times", NULL, RESOLVERD_CHECK_PASSED, "made %s, then sealed",
		    date_of(checker, record->made_at));
}

/* ---- the signed answers ---- */

/* The keys that these delegations allowed at a time. */
static struct keyring *keys_at(struct checker *checker, uint64_t at_ms)
{
	const Resolverd__Evidence__V1__Record *record = checker->file.record;
	Resolverd__V1__StatusResponse status;
	resolverd__v1__status_response__init(&status);
	status.delegations = record->delegations;
	status.n_delegations = record->n_delegations;
	struct keyring *keyring = memory_alloc(checker->arena, 1, sizeof *keyring);
	if (keyring != NULL)
		keyring_set(keyring, &checker->trusted, &status, at_ms);
	return keyring;
}

/* ... or when the record was made: facts found at that time may be signed by a later key, since the
 * daemon signs what it has found anew when its key has changed, or when it was started again. */
static struct keyring *keys_since(struct checker *checker, uint64_t at_ms)
{
	struct keyring *keyring = keys_at(checker, at_ms),
		       *later = keys_at(checker, checker->file.record->made_at);
	if (keyring == NULL || later == NULL)
		return NULL;
	for (size_t i = 0; i < later->count && keyring->count < KEYRING_MAX; i++)
		if (later->keys[i].not_before_ms > at_ms) {
			keyring->keys[keyring->count] = later->keys[i];
			keyring->keys[keyring->count++].not_before_ms = at_ms;
		}
	return keyring;
}

static void note_insecure_zones(struct checker *checker)
{
	const Resolverd__Evidence__V1__Record *record = checker->file.record;
	for (size_t i = 0; i < record->n_answers; i++) {
		const ProtobufCBinaryData *bytes = &record->answers[i]->answer;
		Resolverd__V1__Answer *answer =
		    evidence_unpack(&resolverd__v1__answer__descriptor, bytes->data, bytes->len);
		checker->insecure_by_configuration |=
		    answer != NULL && answer->n_insecure_zones > 0;
		resolverd__v1__answer__free_unpacked(answer, NULL);
	}
}

/* The plan again, by the same code and rules that made it. */
static bool check_answers(struct checker *checker)
{
	const Resolverd__Evidence__V1__Record *record = checker->file.record;
	char detail[DETAIL_MAX] = "a key that no delegation in the record covers signed it";
	Resolverd__V1__Response response;
	resolverd__v1__response__init(&response);
	response.answers = record->answers;
	response.n_answers = record->n_answers;
	struct asked asked = {.hop = checker->hop, .port = record->port};
	bool has_verdict = record->n_attempts > 0; /* given when the answers were there */
	struct verifier verifier = {.keyring = has_verdict
						   ? keys_at(checker, checker->used_at_ms)
						   : keys_since(checker, checker->used_at_ms),
	    .now_ms = checker->used_at_ms,
	    .arena = checker->arena,
	    .detail = detail};
	int r = verifier.keyring == NULL ? RESOLVERD_ERROR_MEMORY
					 : view_plan(&verifier, &asked, &response, &checker->plan);
	if (r != 0) {
		checker_add(checker, "answers", NULL, RESOLVERD_CHECK_FAILED,
		    "the signed answers do not verify: %s",
		    r == RESOLVERD_ERROR_MEMORY ? resolverd_strerror(r) : detail);
		return false;
	}
	note_insecure_zones(checker);
	checker_add(checker, "answers", NULL, RESOLVERD_CHECK_PASSED,
	    "%zu signed answers; they make the plan: %s, %s", record->n_answers,
	    resolverd_outcome_text(checker->plan->outcome), checker->plan->reason);
	checker_proves(checker,
	    "on %s resolverd told its clients to %s mail for %s, requirement %s",
	    date_of(checker, checker->used_at_ms),
	    checker->plan->outcome == RESOLVERD_DELIVER ? "deliver" : "not to deliver",
	    checker->hop.text, resolverd_requirement_text(checker->plan->requirement));
	return true;
}

static void add_rrsets(struct checker *checker, Resolverd__V1__Rrset *const *rrsets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		dnssec_add(checker->dnssec, rrsets[i]);
}

/* False: it does not verify as of when it was made. */
static bool take_records(struct checker *checker, const Resolverd__V1__SignedAnswer *from)
{
	char detail[DETAIL_MAX];
	Resolverd__V1__Answer *unsafe = evidence_unpack(
	    &resolverd__v1__answer__descriptor, from->answer.data, from->answer.len);
	if (unsafe == NULL)
		return false;
	struct question question = {.kind = V1(KIND__RECORDS),
	    .type = unsafe->question != NULL ? unsafe->question->type : 0};
	struct verifier verifier = {.keyring = keys_since(checker, unsafe->validated_at),
	    .now_ms = unsafe->validated_at,
	    .arena = checker->arena,
	    .detail = detail};
	resolverd__v1__answer__free_unpacked(unsafe, NULL);
	struct verified verified;
	if (verifier.keyring == NULL || verify_answer(&verifier, from, &question, &verified) != 0 ||
	    verified.not_understood != 0)
		return false;
	const Resolverd__V1__Records *records = verified.answer->records;
	add_rrsets(checker, records->chain, records->n_chain);
	add_rrsets(checker, records->answer, records->n_answer);
	add_rrsets(checker, records->authority, records->n_authority);
	return true;
}

static void check_records(struct checker *checker)
{
	const Resolverd__Evidence__V1__Record *record = checker->file.record;
	size_t good = 0;
	for (size_t i = 0; i < record->n_records; i++)
		good += take_records(checker, record->records[i]);
	checker_add(checker, "records", NULL,
	    good == record->n_records ? RESOLVERD_CHECK_PASSED : RESOLVERD_CHECK_FAILED,
	    "%zu of %zu signed records answers verify", good, record->n_records);
}

/* ---- the whole ---- */

static void set_limits(struct checker *checker)
{
	static const char *const limits[] = {
	    "that what the record tells is true: which certificates came over the connection, that "
	    "the host held their key, and what was delivered is the word of the program that made "
	    "it",
	    "anything against whoever holds the long-term key: with it any record can be sealed "
	    "for "
	    "any time",
	    "anything against whoever held a key of the DNS from the root down to these names, or "
	    "has broken one since",
	    "that the trust anchor and public key given to this check are the right ones of that "
	    "time",
	};
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
		checker->limits[checker->report->limits_count++] = limits[i];
}

static int load_trust(struct checker *checker, const struct resolverd_evidence_trust *trust,
    time_t at, char error[RESOLVERD_EVIDENCE_ERROR_MAX])
{
	const char *from_environment = secure_getenv("RESOLVERD_PUBLIC_KEY");
	const char *path = trust->public_key_file;
	if (path == NULL)
		path = from_environment != NULL && from_environment[0] != '\0'
			   ? from_environment
			   : RESOLVERD_DEFAULT_PUBLIC_KEY;
	int r = trusted_keys_load(path, &checker->trusted, error);
	if (r != 0)
		return r;
	checker->dnssec = dnssec_new(at);
	if (checker->dnssec == NULL)
		return RESOLVERD_ERROR_MEMORY;
	return dnssec_load_anchors(checker->dnssec,
		   trust->trust_anchor_file != NULL ? trust->trust_anchor_file
						    : DEFAULT_TRUST_ANCHOR,
		   error)
		   ? 0
		   : RESOLVERD_ERROR_PUBLIC_KEY;
}

static void check_all(struct checker *checker, uint64_t now_ms)
{
	set_limits(checker);
	if (!check_seal(checker))
		return;
	check_times(checker, now_ms);
	check_records(checker);
	if (!check_answers(checker))
		return;
	facts_check_route(checker);
	attempts_check(checker);
}

/* When the seal says; whether it may be believed is checked later. */
static time_t seal_time(const Resolverd__V1__SignedSeal *from)
{
	Resolverd__V1__Seal *seal =
	    evidence_unpack(&resolverd__v1__seal__descriptor, from->seal.data, from->seal.len);
	time_t at = seal != NULL ? (time_t)(seal->sealed_at / 1000) : 0;
	resolverd__v1__seal__free_unpacked(seal, NULL);
	return at;
}

static bool make_report(struct checker *checker)
{
	const Resolverd__Evidence__V1__Record *record = checker->file.record;
	struct resolverd_evidence_report *report = memory_alloc(checker->arena, 1, sizeof *report);
	checker->checks = memory_alloc(checker->arena, CHECKS_MAX, sizeof *checker->checks);
	checker->proves = memory_alloc(checker->arena, SENTENCES_MAX, sizeof *checker->proves);
	checker->limits = memory_alloc(checker->arena, SENTENCES_MAX, sizeof *checker->limits);
	if (memory_failed(checker->arena))
		return false;
	checker->report = report;
	*report = (struct resolverd_evidence_report){.good = true,
	    .next_hop = checker->hop.text[0] != '\0'
			    ? memory_string(checker->arena, checker->hop.text)
			    : "",
	    .port = record->port,
	    .recipient_domain = record->recipient_domain[0] != '\0'
				    ? checker_text(checker, record->recipient_domain)
				    : NULL,
	    .program = checker_text(checker, record->program),
	    .made_at_ms = record->made_at,
	    .checks = checker->checks,
	    .proves = checker->proves,
	    .limits = checker->limits,
	    .memory = checker->arena};
	checker->used_at_ms = used_at(record);
	return true;
}

static int verify(struct checker *checker, const uint8_t *bytes, size_t count,
    const struct resolverd_evidence_trust *trust, char error[RESOLVERD_EVIDENCE_ERROR_MAX])
{
	const char *problem = evidence_parse(bytes, count, &checker->file);
	if (problem == NULL &&
	    (next_hop_parse(checker->file.record->next_hop, &checker->hop) != NAME_OK ||
		strcmp(checker->hop.text, checker->file.record->next_hop) != 0))
		problem = "its next hop is none";
	if (problem != NULL) {
		snprintf(error, RESOLVERD_EVIDENCE_ERROR_MAX, "this is no evidence: %s", problem);
		return RESOLVERD_ERROR_ARGUMENT;
	}
	int r = load_trust(checker, trust, seal_time(checker->file.outer->seal), error);
	if (r != 0)
		return r;
	if (!make_report(checker))
		return RESOLVERD_ERROR_MEMORY;
	check_all(checker, trust->now_ms != 0 ? trust->now_ms : clock_wall_ms());
	return memory_failed(checker->arena) ? RESOLVERD_ERROR_MEMORY : 0;
}

int resolverd_evidence_verify_bytes(const uint8_t *bytes, size_t count,
    const struct resolverd_evidence_trust *trust, struct resolverd_evidence_report **ret_report,
    char error[RESOLVERD_EVIDENCE_ERROR_MAX])
{
	error[0] = '\0';
	struct checker *checker = sodium_init() < 0 ? NULL : calloc(1, sizeof *checker);
	if (checker == NULL)
		return RESOLVERD_ERROR_MEMORY;
	int r = RESOLVERD_ERROR_MEMORY;
	checker->arena = memory_new();
	if (checker->arena != NULL)
		r = verify(checker, bytes, count, trust, error);
	if (r == 0)
		*ret_report = checker->report;
	else
		memory_free(checker->arena);
	if (r == RESOLVERD_ERROR_MEMORY)
		snprintf(error, RESOLVERD_EVIDENCE_ERROR_MAX, "out of memory");
	dnssec_free(checker->dnssec);
	evidence_file_fini(&checker->file);
	free(checker);
	return r;
}

/* ---- files ---- */

static int read_file(const char *path, uint8_t **ret_bytes, size_t *ret_count,
    char error[RESOLVERD_EVIDENCE_ERROR_MAX])
{
	int r = RESOLVERD_ERROR_ARGUMENT;
	FILE *file = fopen(path, "re");
	uint8_t *bytes = malloc(RESOLVERD_EVIDENCE_MAX_BYTES + 1);
	if (bytes == NULL) {
		r = RESOLVERD_ERROR_MEMORY;
		goto end;
	}
	size_t count = file != NULL ? fread(bytes, 1, RESOLVERD_EVIDENCE_MAX_BYTES + 1, file) : 0;
	if (file == NULL || ferror(file)) {
		snprintf(error, RESOLVERD_EVIDENCE_ERROR_MAX, "cannot read %s: %s", path,
		    strerror(errno));
		goto end;
	}
	*ret_bytes = bytes;
	*ret_count = count;
	bytes = NULL;
	r = 0;
end:
	free(bytes);
	if (file != NULL)
		fclose(file);
	return r;
}

int resolverd_evidence_verify(const char *path, const struct resolverd_evidence_trust *trust,
    struct resolverd_evidence_report **ret_report, char error[RESOLVERD_EVIDENCE_ERROR_MAX])
{
	uint8_t *bytes;
	size_t count;
	int r = read_file(path, &bytes, &count, error);
	if (r != 0)
		return r;
	r = resolverd_evidence_verify_bytes(bytes, count, trust, ret_report, error);
	free(bytes);
	return r;
}

void resolverd_evidence_report_free(struct resolverd_evidence_report *report)
{
	if (report != NULL)
		memory_free(report->memory);
}

const char *resolverd_verdict_text(enum resolverd_verdict verdict)
{
	static const char *const words[] = {[RESOLVERD_AUTHENTICATED] = "authenticated",
	    [RESOLVERD_HOST_AUTHENTICATED] = "host-authenticated",
	    [RESOLVERD_ENCRYPTED] = "encrypted",
	    [RESOLVERD_CLEARTEXT] = "cleartext",
	    [RESOLVERD_REFUSED] = "refused",
	    [RESOLVERD_UNAVAILABLE] = "unavailable"};
	unsigned i = (unsigned)verdict;
	return i < sizeof words / sizeof *words && words[i] != NULL ? words[i] : "unknown";
}
