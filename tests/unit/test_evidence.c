/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Evidence files of tests/vectors/evidence, made once in the signed world of the tests: they verify
 * for good, and nothing in them can be changed. What a file with a good seal may lie about is found
 * by resealing it with a key of the test, which is trusted here beside the real one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/evidence/evidence.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define FOLDER "tests/vectors/evidence/"
#define YEAR_MS (UINT64_C(365) * 86400 * 1000)
#define LATER (UINT64_C(2050 - 1970) * YEAR_MS)
#define EV(name) RESOLVERD__EVIDENCE__V1__##name

typedef Resolverd__Evidence__V1__Record Record;

struct bytes {
	uint8_t *at;
	size_t count;
};

static struct {
	uint8_t long_term[crypto_sign_SECRETKEYBYTES], long_term_public[crypto_sign_PUBLICKEYBYTES];
	uint8_t online[crypto_sign_SECRETKEYBYTES], online_public[crypto_sign_PUBLICKEYBYTES];
	char key_file[64]; /* the vectors' key and the test's */
} keys;

/* ---- files ---- */

static struct bytes load(const char *name)
{
	char path[128];
	snprintf(path, sizeof path, FOLDER "%s.evidence", name);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	struct bytes bytes = {.at = malloc(65536)};
	bytes.count = fread(bytes.at, 1, 65536, file);
	assert_in_range(bytes.count, 1000, 65535);
	fclose(file);
	return bytes;
}

static int verify(struct bytes bytes, const char *key_file, uint64_t now_ms,
    struct resolverd_evidence_report **ret_report)
{
	struct resolverd_evidence_trust trust = {
	    .public_key_file = key_file, .trust_anchor_file = FOLDER "root.key", .now_ms = now_ms};
	char error[RESOLVERD_EVIDENCE_ERROR_MAX];
	return resolverd_evidence_verify_bytes(bytes.at, bytes.count, &trust, ret_report, error);
}

/* Of the first check with this name; 0: there is none. */
static int result_of(const struct resolverd_evidence_report *report, const char *name)
{
	for (size_t i = 0; i < report->check_count; i++)
		if (strcmp(report->checks[i].name, name) == 0)
			return report->checks[i].result;
	return 0;
}

static void all_passed(const struct resolverd_evidence_report *report)
{
	for (size_t i = 0; i < report->check_count; i++)
		if (report->checks[i].result != RESOLVERD_CHECK_PASSED)
			fail_msg("%s: %s", report->checks[i].name, report->checks[i].text);
	assert_true(report->good);
}

/* ---- as they are ---- */

static const char *const names[] = {"dane-ee", "insecure-mx", "plain-nsec3", "wildcard-tlsa"};

static void files_of_the_past_verify_for_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		struct bytes bytes = load(names[i]);
		struct resolverd_evidence_report *report;
		assert_int_equal(verify(bytes, FOLDER "resolverd.pub", LATER, &report), 0);
		all_passed(report);
		assert_true(report->check_count >= 7);
		assert_true(report->proves_count >= 4);
		assert_string_equal(report->member, "member-under-test");
		resolverd_evidence_report_free(report);
		free(bytes.at);
	}
}

static void no_octet_can_be_changed(void **state)
{
	(void)state;
	struct bytes bytes = load("dane-ee");
	for (size_t at = 0; at < bytes.count; at++) {
		const uint8_t changes[] = {(uint8_t)(1u << at % 8), 0xff};
		for (size_t i = 0; i < COUNT(changes); i++) {
			struct resolverd_evidence_report *report;
			bytes.at[at] ^= changes[i];
			if (verify(bytes, FOLDER "resolverd.pub", LATER, &report) == 0) {
				if (report->good)
					fail_msg("octet %zu ^ %02x", at, changes[i]);
				resolverd_evidence_report_free(report);
			}
			bytes.at[at] ^= changes[i];
		}
	}
	free(bytes.at);
}

static void nothing_may_be_cut_off_or_added(void **state)
{
	(void)state;
	struct bytes bytes = load("dane-ee");
	struct evidence_file file;
	for (size_t count = 0; count < bytes.count; count++)
		assert_non_null(evidence_parse(bytes.at, count, &file));
	for (unsigned octet = 0; octet < 256; octet++) {
		bytes.at[bytes.count] = (uint8_t)octet;
		assert_non_null(evidence_parse(bytes.at, bytes.count + 1, &file));
	}
	/* an unknown field, well formed */
	memcpy(bytes.at + bytes.count, "\x78\x01", 2);
	assert_non_null(evidence_parse(bytes.at, bytes.count + 2, &file));
	free(bytes.at);
}

/* ---- too much ---- */

/* The length of a field, as protobuf has it. */
static size_t put_varint(uint8_t *at, size_t value)
{
	size_t count = 0;
	for (; value >= 0x80; value >>= 7)
		at[count++] = (uint8_t)(value | 0x80);
	at[count++] = (uint8_t)value;
	return count;
}

/* A file that is an empty seal, but for one field of the envelope with so many empty fields in it.
 */
static struct bytes file_of_empty_fields(bool in_seal, uint8_t inner, size_t inner_count)
{
	static const uint8_t seal[] = {0x12, 0x02, 0x22, 0x00}, big_seal = 0x12, record = 0x0a;
	struct bytes bytes = {malloc(EVIDENCE_MAGIC_BYTES + 16 + 2 * inner_count), 0};
	memcpy(bytes.at, EVIDENCE_MAGIC, EVIDENCE_MAGIC_BYTES);
	bytes.count = EVIDENCE_MAGIC_BYTES;
	bytes.at[bytes.count++] = in_seal ? big_seal : record;
	bytes.count += put_varint(bytes.at + bytes.count, 2 * inner_count);
	for (size_t i = 0; i < inner_count; i++) {
		bytes.at[bytes.count++] = inner;
		bytes.at[bytes.count++] = 0;
	}
	if (!in_seal) {
		memcpy(bytes.at + bytes.count, seal, sizeof seal);
		bytes.count += sizeof seal;
	}
	return bytes;
}

static void a_small_file_cannot_take_much_memory(void **state)
{
	(void)state;
	/* the record: answers, records, delegations, attempts, unknown ones; the seal: unknown */
	static const struct {
		uint8_t inner;
		bool in_seal;
	} fields[] = {{0x32, false}, {0x3a, false}, {0x42, false}, {0x4a, false}, {0x7a, false},
	    {0x7a, true}};
	for (size_t i = 0; i < COUNT(fields); i++) {
		struct bytes bytes =
		    file_of_empty_fields(fields[i].in_seal, fields[i].inner, (2u << 20) - 32);
		struct evidence_file file;
		assert_true(bytes.count <= RESOLVERD_EVIDENCE_MAX_BYTES);
		pid_t child = fork();
		if (child == 0) {
			struct rusage before, after;
			getrusage(RUSAGE_SELF, &before);
			bool refused = evidence_parse(bytes.at, bytes.count, &file) != NULL;
			getrusage(RUSAGE_SELF, &after);
			_exit(!refused || after.ru_maxrss - before.ru_maxrss > 100000 /* KiB */);
		}
		int status = -1;
		assert_true(waitpid(child, &status, 0) == child);
		if (status != 0)
			fail_msg("field %zu", i);
		free(bytes.at);
	}
}

/* ---- resealed ---- */

static struct bytes pack_delegation(uint64_t not_before, uint64_t not_after)
{
	Resolverd__V1__Delegation delegation = RESOLVERD__V1__DELEGATION__INIT;
	delegation.online_key =
	    (ProtobufCBinaryData){sizeof keys.online_public, keys.online_public};
	delegation.member = (char *)(uintptr_t) "test";
	delegation.not_before = not_before;
	delegation.not_after = not_after;
	delegation.scope = RESOLVERD__V1__SCOPE__ANSWERS;
	struct bytes bytes = {malloc(512), 0};
	bytes.count = resolverd__v1__delegation__pack(&delegation, bytes.at);
	return bytes;
}

struct sealing {
	uint64_t at, not_before, not_after; /* of the seal, of the delegation */
	const char *member;
	bool other_record;
};

static struct bytes seal(const uint8_t *record, size_t count, const struct sealing *sealing)
{
	uint8_t hash[SEAL_HASH_BYTES], seal_bytes[128], ids[2][KEY_ID_BYTES];
	uint8_t signatures[2][crypto_sign_BYTES];
	Resolverd__V1__Seal inner = RESOLVERD__V1__SEAL__INIT;
	Resolverd__V1__SignedSeal outer = RESOLVERD__V1__SIGNED_SEAL__INIT;
	Resolverd__V1__SignedDelegation by = RESOLVERD__V1__SIGNED_DELEGATION__INIT;
	crypto_generichash(hash, sizeof hash, record, count - sealing->other_record, NULL, 0);
	inner.hash = (ProtobufCBinaryData){sizeof hash, hash};
	inner.sealed_at = sealing->at;
	inner.member = (char *)(uintptr_t)sealing->member;
	outer.seal =
	    (ProtobufCBinaryData){resolverd__v1__seal__pack(&inner, seal_bytes), seal_bytes};
	struct bytes delegation = pack_delegation(sealing->not_before, sealing->not_after);
	signing_sign(SIGNING_CONTEXT_SEAL, seal_bytes, outer.seal.len, keys.online, signatures[0]);
	signing_sign(SIGNING_CONTEXT_DELEGATION, delegation.at, delegation.count, keys.long_term,
	    signatures[1]);
	key_id_of(keys.online_public, ids[0]);
	key_id_of(keys.long_term_public, ids[1]);
	by.delegation = (ProtobufCBinaryData){delegation.count, delegation.at};
	by.signature = (ProtobufCBinaryData){crypto_sign_BYTES, signatures[1]};
	by.key_id = (ProtobufCBinaryData){KEY_ID_BYTES, ids[1]};
	outer.signature = (ProtobufCBinaryData){crypto_sign_BYTES, signatures[0]};
	outer.key_id = (ProtobufCBinaryData){KEY_ID_BYTES, ids[0]};
	outer.delegation = &by;
	struct bytes file;
	file.at = evidence_format(record, count, &outer, &file.count);
	assert_non_null(file.at);
	free(delegation.at);
	return file;
}

/* A vector with its record changed and a seal of the test's, made a second after the record. */
static struct bytes reseal(const char *name, void (*change)(Record *), struct sealing sealing)
{
	struct bytes bytes = load(name);
	struct evidence_file file;
	assert_null(evidence_parse(bytes.at, bytes.count, &file));
	uint64_t made_at = file.record->made_at;
	if (change != NULL)
		change(file.record);
	sealing.at += made_at + 1000;
	sealing.not_before += made_at;
	sealing.not_after = sealing.not_after != 0 ? made_at + sealing.not_after : UINT64_MAX;
	if (sealing.member == NULL)
		sealing.member = "test";
	size_t count = resolverd__evidence__v1__record__get_packed_size(file.record);
	uint8_t *record = malloc(count);
	resolverd__evidence__v1__record__pack(file.record, record);
	struct bytes sealed = seal(record, count, &sealing);
	free(record);
	free(bytes.at);
	evidence_file_fini(&file);
	return sealed;
}

static struct resolverd_evidence_report *report_on(struct bytes bytes)
{
	struct resolverd_evidence_report *report = NULL;
	assert_int_equal(verify(bytes, keys.key_file, LATER, &report), 0);
	free(bytes.at);
	return report;
}

/* Each delegation is checked for each answer. */
static void more_parts_than_a_delivery_has_are_refused(void **state)
{
	(void)state;
	Resolverd__V1__SignedDelegation one = RESOLVERD__V1__SIGNED_DELEGATION__INIT;
	Resolverd__V1__SignedAnswer answer = RESOLVERD__V1__SIGNED_ANSWER__INIT;
	Resolverd__V1__SignedDelegation *delegations[] = {[0 ... EVIDENCE_DELEGATIONS_MAX] = &one};
	Resolverd__V1__SignedAnswer *answers[] = {[0 ... EVIDENCE_ANSWERS_MAX] = &answer};
	for (unsigned i = 0; i < 3; i++) {
		Record record = RESOLVERD__EVIDENCE__V1__RECORD__INIT;
		struct evidence_file file;
		uint8_t packed[512];
		record.delegations = delegations;
		record.n_delegations = COUNT(delegations) - (i != 1);
		record.answers = answers;
		record.n_answers = COUNT(answers) - (i != 2);
		size_t count = resolverd__evidence__v1__record__pack(&record, packed);
		struct bytes bytes = seal(packed, count, &(struct sealing){.member = "test"});
		const char *problem = evidence_parse(bytes.at, bytes.count, &file);
		assert_true((problem != NULL) == (i == 1 || i == 2));
		if (problem == NULL)
			evidence_file_fini(&file);
		free(bytes.at);
	}
}

static void another_trusted_key_may_seal(void **state)
{
	(void)state;
	struct resolverd_evidence_report *report =
	    report_on(reseal("dane-ee", NULL, (struct sealing){0}));
	all_passed(report);
	assert_string_equal(report->member, "test");
	resolverd_evidence_report_free(report);
}

static const struct seal_row {
	const char *name;
	struct sealing sealing; /* times from when the record was made */
	const char *failed;
} seal_rows[] = {
    {"sealed before its delegation", {.not_before = 2000}, "seal"},
    {"sealed when its delegation had ended", {.not_after = 1000}, "seal"},
    {"sealed by another member than delegated", {.member = "other"}, "seal"},
    {"sealed is another record", {.other_record = true}, "seal"},
    {"sealed an hour late", {.at = 3600000}, "times"},
    {"sealed before it was made", {.at = UINT64_MAX - 10000}, "times"},
    {"sealed when the signatures of the DNS had expired", {.at = YEAR_MS}, "mx"},
    {"sealed when they did not hold yet", {.at = UINT64_MAX - YEAR_MS}, "mx"},
};

static void a_seal_that_does_not_hold_is_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(seal_rows); i++) {
		struct sealing sealing = seal_rows[i].sealing;
		bool back = sealing.at > LATER;
		sealing.not_before += back ? UINT64_MAX - 2 * YEAR_MS : 0;
		struct resolverd_evidence_report *report =
		    report_on(reseal("dane-ee", NULL, sealing));
		if (report->good ||
		    result_of(report, seal_rows[i].failed) != RESOLVERD_CHECK_FAILED)
			fail_msg("%s", seal_rows[i].name);
		resolverd_evidence_report_free(report);
	}
}

/* ---- lies ---- */

static void set_text(char **field, const char *text)
{
	if (*field != protobuf_c_empty_string)
		free(*field);
	*field = strdup(text);
}

static void put_bytes(ProtobufCBinaryData *field, const uint8_t *bytes, size_t count)
{
	free(field->data);
	field->data = malloc(count);
	field->len = count;
	assert_non_null(field->data);
	memcpy(field->data, bytes, count);
}

static void another_host(Record *record)
{
	set_text(&record->attempts[0]->host, "mx.plain.net");
}

static void another_domain(Record *record)
{
	set_text(&record->next_hop, "plain.net");
}

static void another_port(Record *record)
{
	record->port = 26;
}

static void another_address(Record *record)
{
	record->attempts[0]->address.data[3] ^= 1;
}

static void no_address(Record *record)
{
	record->attempts[0]->address.len = 0;
}

static void a_changed_certificate(Record *record)
{
	ProtobufCBinaryData *leaf = &record->attempts[0]->chain[0];
	leaf->data[leaf->len - 1] ^= 1; /* of its signature: 3 1 1 looks at the key alone */
	ProtobufCBinaryData *other = &record->attempts[0]->chain[1];
	ProtobufCBinaryData swapped = *leaf;
	*leaf = *other;
	*other = swapped;
}

static void a_certificate_of_garbage(Record *record)
{
	memset(record->attempts[0]->chain[0].data, 0x30, record->attempts[0]->chain[0].len);
}

static void no_tls(Record *record)
{
	set_text(&record->attempts[0]->tls_version, "");
}

static void claims_cleartext(Record *record)
{
	record->attempts[0]->verdict = EV(VERDICT__CLEARTEXT);
	no_tls(record);
}

static void claims_an_unknown_verdict(Record *record)
{
	record->attempts[0]->verdict = (Resolverd__Evidence__V1__Verdict)99;
}

static void claims_only_the_host(Record *record)
{
	record->attempts[0]->verdict = EV(VERDICT__HOST_AUTHENTICATED);
}

static void claims_the_domain(Record *record)
{
	record->attempts[0]->verdict = EV(VERDICT__AUTHENTICATED);
}

static void a_verdict_after_the_plan_expired(Record *record)
{
	record->attempts[0]->verdict_at += 3600000;
	record->made_at += 3600000;
}

static void a_verdict_before_the_plan(Record *record)
{
	record->attempts[0]->verdict_at -= 3600000;
}

static void a_verdict_after_the_record(Record *record)
{
	record->attempts[0]->verdict_at = record->made_at + 1;
}

static void a_changed_answer(Record *record)
{
	record->answers[1]->answer.data[record->answers[1]->answer.len - 1] ^= 1;
}

static void a_changed_record_of_the_dns(Record *record)
{
	record->records[0]->answer.data[record->records[0]->answer.len / 2] ^= 1;
}

static void no_delegation(Record *record)
{
	for (size_t i = 0; i < record->n_delegations; i++)
		resolverd__v1__signed_delegation__free_unpacked(record->delegations[i], NULL);
	record->n_delegations = 0;
}

static void no_records(Record *record)
{
	for (size_t i = 0; i < record->n_records; i++)
		resolverd__v1__signed_answer__free_unpacked(record->records[i], NULL);
	record->n_records = 0;
}

static const struct lie_row {
	void (*change)(Record *);
	const char *vector, *failed;
} lie_rows[] = {
    {another_host, "dane-ee", "verdict"},
    {another_domain, "dane-ee", "answers"},
    {another_port, "dane-ee", "answers"},
    {another_address, "dane-ee", "verdict"},
    {no_address, "dane-ee", "verdict"},
    {no_address, "plain-nsec3", "verdict"},
    {a_changed_certificate, "dane-ee", "match"},
    {a_certificate_of_garbage, "dane-ee", "match"},
    {no_tls, "dane-ee", "verdict"},
    {claims_cleartext, "dane-ee", "verdict"},
    {claims_an_unknown_verdict, "dane-ee", "verdict"},
    {claims_only_the_host, "dane-ee", "verdict"},
    {claims_the_domain, "insecure-mx", "verdict"},
    {claims_the_domain, "plain-nsec3", "verdict"},
    {a_verdict_after_the_plan_expired, "dane-ee", "answers"},
    {a_verdict_before_the_plan, "dane-ee", "answers"},
    {a_verdict_after_the_record, "dane-ee", "times"},
    {a_changed_answer, "dane-ee", "answers"},
    {a_changed_record_of_the_dns, "dane-ee", "records"},
    {no_delegation, "dane-ee", "answers"},
    {no_records, "dane-ee", "mx"},
    {no_records, "dane-ee", "tlsa"},
    {no_records, "plain-nsec3", "tlsa"},
};

static void a_sealed_lie_is_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(lie_rows); i++) {
		const struct lie_row *row = &lie_rows[i];
		struct resolverd_evidence_report *report =
		    report_on(reseal(row->vector, row->change, (struct sealing){0}));
		assert_int_equal(result_of(report, "seal"), RESOLVERD_CHECK_PASSED);
		if (report->good || result_of(report, row->failed) != RESOLVERD_CHECK_FAILED)
			fail_msg("row %zu: %s of %s did not fail", i, row->failed, row->vector);
		resolverd_evidence_report_free(report);
	}
}

/* ---- a daemon that lies ---- */

static ProtobufCBinaryData copy_of(const void *bytes, size_t count)
{
	ProtobufCBinaryData copy = {count, malloc(count)};
	memcpy(copy.data, bytes, count);
	return copy;
}

static Resolverd__V1__SignedAnswer *sign_answer(const Resolverd__V1__Answer *answer)
{
	uint8_t bytes[512], signature[crypto_sign_BYTES], id[KEY_ID_BYTES];
	Resolverd__V1__SignedAnswer *made = malloc(sizeof *made);
	resolverd__v1__signed_answer__init(made);
	size_t count = resolverd__v1__answer__pack(answer, bytes);
	signing_sign(SIGNING_CONTEXT_ANSWER, bytes, count, keys.online, signature);
	key_id_of(keys.online_public, id);
	made->answer = copy_of(bytes, count);
	made->signature = copy_of(signature, sizeof signature);
	made->key_id = copy_of(id, sizeof id);
	return made;
}

static Resolverd__V1__SignedDelegation *sign_delegation(void)
{
	uint8_t signature[crypto_sign_BYTES], id[KEY_ID_BYTES];
	Resolverd__V1__SignedDelegation *made = malloc(sizeof *made);
	resolverd__v1__signed_delegation__init(made);
	struct bytes bytes = pack_delegation(0, UINT64_MAX);
	signing_sign(SIGNING_CONTEXT_DELEGATION, bytes.at, bytes.count, keys.long_term, signature);
	key_id_of(keys.long_term_public, id);
	made->delegation = (ProtobufCBinaryData){bytes.count, bytes.at};
	made->signature = copy_of(signature, sizeof signature);
	made->key_id = copy_of(id, sizeof id);
	return made;
}

/* Of the vector its records of the DNS stay, and of the plan a route that the test signed: no MX
 * records, this host. */
static void put_route(Record *record, const char *next_hop, const char *host)
{
	Resolverd__V1__Question question = RESOLVERD__V1__QUESTION__INIT;
	Resolverd__V1__Answer answer = RESOLVERD__V1__ANSWER__INIT;
	Resolverd__V1__Route route = RESOLVERD__V1__ROUTE__INIT;
	Resolverd__V1__MxHost mx = RESOLVERD__V1__MX_HOST__INIT, *list[] = {&mx};
	mx.name = (char *)(uintptr_t)host;
	route.kind = next_hop[0] == '[' ? RESOLVERD__V1__ROUTE_KIND__NO_MX_STEP
					: RESOLVERD__V1__ROUTE_KIND__IMPLICIT_MX;
	route.mx_status = RESOLVERD__V1__STATUS__SECURE;
	route.requirement = RESOLVERD__V1__REQUIREMENT__NORMAL;
	route.mx = list;
	route.n_mx = 1;
	question.kind = RESOLVERD__V1__KIND__ROUTE;
	question.name = (char *)(uintptr_t)next_hop;
	answer.question = &question;
	answer.member = (char *)(uintptr_t) "test";
	answer.validated_at = record->made_at;
	answer.expires_at = record->made_at + 1000;
	answer.data_case = RESOLVERD__V1__ANSWER__DATA_ROUTE;
	answer.route = &route;
	set_text(&record->next_hop, next_hop);
	while (record->n_answers > 0)
		resolverd__v1__signed_answer__free_unpacked(
		    record->answers[--record->n_answers], NULL);
	while (record->n_attempts > 0)
		resolverd__evidence__v1__attempt__free_unpacked(
		    record->attempts[--record->n_attempts], NULL);
	record->answers[record->n_answers++] = sign_answer(&answer);
	record->delegations =
	    realloc(record->delegations, (record->n_delegations + 1) * sizeof(void *));
	record->delegations[record->n_delegations++] = sign_delegation();
}

static void its_own_host(Record *record)
{
	put_route(record, "mx.plain-nsec3.com", "mx.plain-nsec3.com");
}

static void a_plan_after_the_record(Record *record)
{
	its_own_host(record);
	record->made_at -= 6000;
}

static void a_plan_of_another_day(Record *record)
{
	its_own_host(record);
	record->made_at += 86400001;
}

static void a_record_made_when_the_plan_was_over(Record *record)
{
	its_own_host(record);
	record->made_at += 2000;
}

static void a_foreign_host(Record *record)
{
	put_route(record, "mx.plain-nsec3.com", "evil.example");
}

static void the_host_in_brackets(Record *record)
{
	put_route(record, "[mx.plain-nsec3.com]", "mx.plain-nsec3.com");
}

static void another_than_in_brackets(Record *record)
{
	put_route(record, "[mx.plain-nsec3.com]", "evil.example");
}

static void without_mx_records_the_next_hop_is_its_own_host(void **state)
{
	(void)state;
	static const struct {
		void (*change)(Record *);
		int want;
	} routes[] = {{its_own_host, RESOLVERD_CHECK_PASSED}, {the_host_in_brackets, 0},
	    {a_foreign_host, RESOLVERD_CHECK_FAILED},
	    {another_than_in_brackets, RESOLVERD_CHECK_FAILED}};
	for (size_t i = 0; i < COUNT(routes); i++) {
		struct resolverd_evidence_report *report =
		    report_on(reseal("plain-nsec3", routes[i].change, (struct sealing){0}));
		assert_int_equal(result_of(report, "answers"), RESOLVERD_CHECK_PASSED);
		assert_int_equal(result_of(report, "mx"), routes[i].want);
		resolverd_evidence_report_free(report);
	}
}

static void a_plan_alone_has_its_time_from_its_answers(void **state)
{
	(void)state;
	static const struct {
		void (*change)(Record *);
		int want;
		uint64_t at;
	} times[] = {{a_record_made_when_the_plan_was_over, RESOLVERD_CHECK_PASSED, 2000},
	    {a_plan_after_the_record, RESOLVERD_CHECK_FAILED, 0},
	    {a_plan_of_another_day, RESOLVERD_CHECK_FAILED, 86402000}};
	for (size_t i = 0; i < COUNT(times); i++) {
		struct resolverd_evidence_report *report = report_on(
		    reseal("plain-nsec3", times[i].change, (struct sealing){.at = times[i].at}));
		assert_int_equal(result_of(report, "answers"), RESOLVERD_CHECK_PASSED);
		assert_int_equal(result_of(report, "times"), times[i].want);
		resolverd_evidence_report_free(report);
	}
}

/* ---- keys that changed ---- */

/* The key that signed the answers, vouched for from and until so long after the record was made;
 * before it, by wrapping. */
static void delegate(Record *record, uint64_t from_ms, uint64_t until_ms)
{
	static uint8_t bytes[512], signature[crypto_sign_BYTES], id[KEY_ID_BYTES];
	Resolverd__V1__SignedDelegation *outer = record->delegations[0];
	Resolverd__V1__Delegation *inner =
	    resolverd__v1__delegation__unpack(NULL, outer->delegation.len, outer->delegation.data);
	assert_int_equal(record->n_delegations, 1);
	inner->not_before = record->made_at + from_ms;
	inner->not_after = record->made_at + until_ms;
	size_t count = resolverd__v1__delegation__pack(inner, bytes);
	signing_sign(SIGNING_CONTEXT_DELEGATION, bytes, count, keys.long_term, signature);
	key_id_of(keys.long_term_public, id);
	put_bytes(&outer->delegation, bytes, count);
	put_bytes(&outer->signature, signature, sizeof signature);
	put_bytes(&outer->key_id, id, sizeof id);
	resolverd__v1__delegation__free_unpacked(inner, NULL);
}

static void delegated_all_the_time(Record *record)
{
	delegate(record, -YEAR_MS, YEAR_MS);
}

static void delegated_when_the_record_was_made(Record *record)
{
	delegate(record, 0, 1);
}

static void delegated_after_it_was_made(Record *record)
{
	delegate(record, 1, YEAR_MS);
}

static void delegated_before_the_facts_were_found(Record *record)
{
	delegate(record, -2 * YEAR_MS, -YEAR_MS);
}

static void delegated_then_and_nothing_tried(Record *record)
{
	delegate(record, 0, 1);
	for (size_t i = 0; i < record->n_attempts; i++)
		resolverd__evidence__v1__attempt__free_unpacked(record->attempts[i], NULL);
	record->n_attempts = 0;
}

/* What was found before is signed anew by the key of the day, but none of another day. A plan was
 * there before the verdict. */
static void answers_are_by_a_key_of_their_time_or_the_records(void **state)
{
	(void)state;
	static const struct {
		void (*change)(Record *);
		bool records, answers;
	} rows[] = {{delegated_all_the_time, true, true},
	    {delegated_when_the_record_was_made, true, false},
	    {delegated_then_and_nothing_tried, true, true},
	    {delegated_after_it_was_made, false, false},
	    {delegated_before_the_facts_were_found, false, false}};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct resolverd_evidence_report *report =
		    report_on(reseal("dane-ee", rows[i].change, (struct sealing){0}));
		assert_int_equal(result_of(report, "records"),
		    rows[i].records ? RESOLVERD_CHECK_PASSED : RESOLVERD_CHECK_FAILED);
		assert_int_equal(result_of(report, "answers"),
		    rows[i].answers ? RESOLVERD_CHECK_PASSED : RESOLVERD_CHECK_FAILED);
		resolverd_evidence_report_free(report);
	}
}

/* ---- */

static void write_escapes(Record *record)
{
	set_text(&record->program, "\x1b[2Jevil\n\xff");
	set_text(&record->recipient_domain, "m\xc3\xbcnchen\t\xc2\x9b");
}

static void text_of_a_file_cannot_steer_a_terminal(void **state)
{
	(void)state;
	struct resolverd_evidence_report *report =
	    report_on(reseal("dane-ee", write_escapes, (struct sealing){0}));
	assert_string_equal(report->program, "?[2Jevil??");
	assert_string_equal(report->recipient_domain, "m\xc3\xbcnchen???");
	resolverd_evidence_report_free(report);
}

/* ---- */

static int setup(void **state)
{
	(void)state;
	if (sodium_init() < 0)
		return -1;
	crypto_sign_keypair(keys.long_term_public, keys.long_term);
	crypto_sign_keypair(keys.online_public, keys.online);
	char text[KEY_BASE64_CHARS], line[256];
	sodium_bin2base64(text, sizeof text, keys.long_term_public, sizeof keys.long_term_public,
	    sodium_base64_VARIANT_ORIGINAL);
	strcpy(keys.key_file, "/tmp/resolverd-test-XXXXXX");
	int fd = mkstemp(keys.key_file);
	FILE *to = fdopen(fd, "w"), *from = fopen(FOLDER "resolverd.pub", "re");
	if (to == NULL || from == NULL)
		return -1;
	while (fgets(line, sizeof line, from) != NULL)
		fputs(line, to);
	fprintf(to, "%s\n", text);
	fclose(from);
	return fclose(to);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(keys.key_file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_of_the_past_verify_for_good),
	    cmocka_unit_test(no_octet_can_be_changed),
	    cmocka_unit_test(nothing_may_be_cut_off_or_added),
	    cmocka_unit_test(a_small_file_cannot_take_much_memory),
	    cmocka_unit_test(more_parts_than_a_delivery_has_are_refused),
	    cmocka_unit_test(another_trusted_key_may_seal),
	    cmocka_unit_test(a_seal_that_does_not_hold_is_found),
	    cmocka_unit_test(a_sealed_lie_is_found),
	    cmocka_unit_test(without_mx_records_the_next_hop_is_its_own_host),
	    cmocka_unit_test(a_plan_alone_has_its_time_from_its_answers),
	    cmocka_unit_test(answers_are_by_a_key_of_their_time_or_the_records),
	    cmocka_unit_test(text_of_a_file_cannot_steer_a_terminal),
	};
	return cmocka_run_group_tests_name("evidence", tests, setup, teardown);
}
