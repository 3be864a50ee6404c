/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making a record. The daemon is asked for what the plan rests on (MX, addresses, TLSA) and from
 * there upwards: for every signature seen the keys of its zone and the DS records above them, and
 * for what is not signed the DS records of every name above, which prove that it need not be.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/evidence/evidence.h"
#include "client/lib/client.h"
#include "client/lib/clock.h"
#include "client/lib/memory.h"
#include "proto/base_domain.h"
#include "proto/names.h"
#include "proto/rrtype.h"

#define RRSIG_SIGNER_AT 18u

struct resolverd_evidence {
	uint8_t *record;
	size_t record_bytes;
	struct resolverd_seal *seal; /* NULL: not sealed yet */
};

struct collector {
	struct resolverd_client *client;
	const struct resolverd_plan *plan;
	struct resolverd_records *results[EVIDENCE_RECORDS_MAX]; /* in the order they were asked */
	size_t result_count;
	int64_t deadline_ms; /* monotonic; negative: none */
	int error;           /* of the daemon: nothing more is asked */
};

static int left_ms(int64_t deadline_ms)
{
	int64_t left = deadline_ms - clock_mono_ms();
	return deadline_ms < 0 ? -1 : left > 0 ? (int)left : 0;
}

/* ---- asking ---- */

static void follow(struct collector *collector, const struct resolverd_records *records);

/* The answer, from before or new; NULL: there is none. */
static const struct resolverd_records *ask(
    struct collector *collector, const char *name, unsigned type)
{
	for (size_t i = 0; i < collector->result_count; i++)
		if (collector->results[i]->type == type &&
		    strcmp(collector->results[i]->name, name) == 0)
			return collector->results[i];
	if (collector->error != 0 || collector->result_count == EVIDENCE_RECORDS_MAX)
		return NULL;
	struct resolverd_records *records = NULL;
	int r = resolverd_records(
	    collector->client, name, type, left_ms(collector->deadline_ms), &records);
	if (r != 0) {
		if (r != RESOLVERD_ERROR_ARGUMENT)
			collector->error = r;
		return NULL;
	}
	collector->results[collector->result_count++] = records;
	follow(collector, records);
	return records;
}

static size_t wire_name_bytes(const uint8_t *wire, size_t room)
{
	size_t at = 0;
	while (at < room && wire[at] != 0)
		at += 1u + wire[at];
	return at < room ? at + 1 : 0;
}

static void follow_signers(struct collector *collector, const struct resolverd_rrset *rrset)
{
	char signer[NAME_TEXT_MAX];
	for (size_t i = 0; i < rrset->rrsig_count; i++) {
		const struct resolverd_rdata *rrsig = &rrset->rrsig[i];
		if (rrsig->count <= RRSIG_SIGNER_AT)
			continue;
		const uint8_t *name = rrsig->bytes + RRSIG_SIGNER_AT;
		size_t bytes = wire_name_bytes(name, rrsig->count - RRSIG_SIGNER_AT);
		if (bytes == 0 || name_from_wire(name, bytes, signer) != NAME_OK)
			continue;
		ask(collector, signer, TYPE_DNSKEY);
		if (strcmp(signer, ".") != 0)
			ask(collector, signer, TYPE_DS);
	}
}

static void follow_rrsets(
    struct collector *collector, const struct resolverd_rrset *rrsets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		follow_signers(collector, &rrsets[i]);
}

/* Down from the top until a delegation turns out to be unsigned. */
static void follow_down_to(struct collector *collector, const char *name)
{
	const char *parent = name_parent(name);
	if (parent == NULL)
		return;
	follow_down_to(collector, parent);
	const struct resolverd_records *above =
	    strcmp(parent, ".") != 0 ? ask(collector, parent, TYPE_DS) : NULL;
	if (above == NULL || above->status == RESOLVERD_SECURE)
		ask(collector, name, TYPE_DS);
}

static void follow(struct collector *collector, const struct resolverd_records *records)
{
	follow_rrsets(collector, records->chain, records->chain_count);
	follow_rrsets(collector, records->answer, records->answer_count);
	follow_rrsets(collector, records->authority, records->authority_count);
	if (records->status != RESOLVERD_INSECURE || records->type == TYPE_DS)
		return;
	follow_down_to(collector, records->name);
	for (size_t i = 0; i < records->chain_count; i++) {
		char target[NAME_TEXT_MAX];
		const struct resolverd_rrset *alias = &records->chain[i];
		if (alias->type == TYPE_CNAME && alias->rdata_count == 1 &&
		    name_from_wire(alias->rdata[0].bytes, alias->rdata[0].count, target) == NAME_OK)
			follow_down_to(collector, target);
	}
}

/* ---- what the plan rests on ---- */

/* The name after aliases; false: it is malformed. */
static bool final_name(const struct resolverd_records *records, char ret_name[NAME_TEXT_MAX])
{
	memcpy(ret_name, records->name, strlen(records->name) + 1);
	for (size_t i = 0; i < records->chain_count; i++) {
		const struct resolverd_rrset *alias = &records->chain[i];
		if (alias->type == TYPE_CNAME &&
		    (alias->rdata_count != 1 || name_from_wire(alias->rdata[0].bytes,
						    alias->rdata[0].count, ret_name) != NAME_OK))
			return false;
	}
	return true;
}

static void ask_tlsa(struct collector *collector, unsigned port, const char *base)
{
	char owner[NAME_TEXT_MAX];
	if (name_tlsa_owner(port, base, owner) == NAME_OK)
		ask(collector, owner, TYPE_TLSA);
}

static bool is_secure(const struct resolverd_records *records)
{
	return records != NULL && records->status == RESOLVERD_SECURE;
}

static void ask_host(struct collector *collector, const struct resolverd_host *host)
{
	char expanded[NAME_TEXT_MAX], canonical[NAME_TEXT_MAX];
	if (host->address_count == 1 && strcmp(host->addresses[0].text, host->name) == 0)
		return; /* the next hop is an address */
	if (name_canonical(host->name, canonical) != NAME_OK)
		return;
	const struct resolverd_records *a = ask(collector, host->name, TYPE_A);
	const struct resolverd_records *aaaa = ask(collector, host->name, TYPE_AAAA);
	const struct resolverd_records *secure = is_secure(a) ? a : is_secure(aaaa) ? aaaa : NULL;
	if (host->tlsa_status == RESOLVERD_TLSA_NOT_QUERIED)
		return;
	bool followed = secure != NULL && final_name(secure, expanded);
	struct base_domains bases = base_domains_of(canonical, followed ? expanded : NULL);
	for (size_t i = 0; i < bases.count; i++) {
		ask_tlsa(collector, host->port, bases.names[i]);
		if (host->tlsa_base != NULL && strcmp(host->tlsa_base, bases.names[i]) == 0)
			return;
	}
}

static bool was_tried(const struct resolverd_evidence_about *about, const char *host)
{
	for (size_t i = 0; i < about->attempt_count; i++)
		if (strcmp(about->attempts[i].host, host) == 0)
			return true;
	return about->attempt_count == 0;
}

static void ask_all(struct collector *collector, const struct resolverd_evidence_about *about)
{
	const struct resolverd_plan *plan = collector->plan;
	if (plan->has_mx)
		ask(collector, plan->next_hop, TYPE_MX);
	for (size_t i = 0; i < plan->host_count; i++)
		if (was_tried(about, plan->hosts[i].name))
			ask_host(collector, &plan->hosts[i]);
}

/* ---- the record ---- */

static ProtobufCBinaryData bytes_of(const uint8_t *bytes, size_t count)
{
	return (ProtobufCBinaryData){count, (uint8_t *)(uintptr_t)bytes};
}

static char *text_of(const char *text)
{
	return text != NULL ? (char *)(uintptr_t)text : (char *)(uintptr_t)protobuf_c_empty_string;
}

static Resolverd__V1__SignedAnswer *answer_of(
    struct resolverd_memory *arena, const struct resolverd_signed *from)
{
	Resolverd__V1__SignedAnswer *answer = memory_alloc(arena, 1, sizeof *answer);
	if (answer == NULL)
		return NULL;
	resolverd__v1__signed_answer__init(answer);
	answer->answer = bytes_of(from->message, from->message_bytes);
	answer->signature = bytes_of(from->signature, from->signature_bytes);
	answer->key_id = bytes_of(from->key_id, from->key_id_bytes);
	return answer;
}

static void add_delegation(struct resolverd_memory *arena, Resolverd__Evidence__V1__Record *record,
    const struct resolverd_signed *from)
{
	for (size_t i = 0; i < record->n_delegations; i++) {
		const ProtobufCBinaryData *have = &record->delegations[i]->delegation;
		if (have->len == from->message_bytes &&
		    memcmp(have->data, from->message, have->len) == 0)
			return;
	}
	Resolverd__V1__SignedDelegation *one = memory_alloc(arena, 1, sizeof *one);
	if (one == NULL || record->n_delegations == EVIDENCE_DELEGATIONS_MAX)
		return;
	resolverd__v1__signed_delegation__init(one);
	one->delegation = bytes_of(from->message, from->message_bytes);
	one->signature = bytes_of(from->signature, from->signature_bytes);
	one->key_id = bytes_of(from->key_id, from->key_id_bytes);
	record->delegations[record->n_delegations++] = one;
}

static void put_answers(struct resolverd_memory *arena, const struct collector *collector,
    Resolverd__Evidence__V1__Record *record)
{
	const struct resolverd_plan *plan = collector->plan;
	record->answers = memory_alloc(arena, plan->answer_count, sizeof *record->answers);
	record->records = memory_alloc(arena, collector->result_count, sizeof *record->records);
	record->delegations =
	    memory_alloc(arena, EVIDENCE_DELEGATIONS_MAX, sizeof *record->delegations);
	if (memory_failed(arena))
		return;
	for (size_t i = 0; i < plan->answer_count; i++)
		record->answers[record->n_answers++] = answer_of(arena, &plan->answers[i]);
	for (size_t i = 0; i < plan->key_id_count; i++)
		add_delegation(arena, record, &plan->delegations[i]);
	for (size_t i = 0; i < collector->result_count; i++) {
		record->records[record->n_records++] =
		    answer_of(arena, &collector->results[i]->signed_answer);
		add_delegation(arena, record, &collector->results[i]->delegation);
	}
}

static Resolverd__Evidence__V1__Attempt *attempt_of(
    struct resolverd_memory *arena, const struct resolverd_attempt *from)
{
	Resolverd__Evidence__V1__Attempt *attempt = memory_alloc(arena, 1, sizeof *attempt);
	ProtobufCBinaryData *chain = memory_alloc(arena, from->chain_count, sizeof *chain);
	if (attempt == NULL || chain == NULL)
		return NULL;
	resolverd__evidence__v1__attempt__init(attempt);
	for (size_t i = 0; i < from->chain_count; i++)
		chain[i] = bytes_of(from->chain[i], from->chain_bytes[i]);
	attempt->host = text_of(from->host);
	if (from->address != NULL)
		attempt->address = bytes_of(from->address->ip, from->address->ip_bytes);
	attempt->verdict_at = from->verdict_at_ms;
	attempt->tls_version = text_of(from->tls_version);
	attempt->tls_suite = text_of(from->tls_suite);
	attempt->chain = chain;
	attempt->n_chain = from->chain_count;
	attempt->verdict = (Resolverd__Evidence__V1__Verdict)from->verdict;
	attempt->reason = text_of(from->reason);
	return attempt;
}

static int pack_record(struct resolverd_memory *arena, struct collector *collector,
    const struct resolverd_evidence_about *about, struct resolverd_evidence *evidence)
{
	Resolverd__Evidence__V1__Record record;
	resolverd__evidence__v1__record__init(&record);
	record.next_hop = text_of(collector->plan->next_hop);
	record.port = collector->plan->port;
	record.recipient_domain = text_of(about->recipient_domain);
	record.program = text_of(about->program);
	record.made_at = collector->client->now_ms();
	put_answers(arena, collector, &record);
	record.attempts = memory_alloc(arena, about->attempt_count, sizeof *record.attempts);
	for (size_t i = 0; record.attempts != NULL && i < about->attempt_count; i++)
		record.attempts[record.n_attempts++] = attempt_of(arena, &about->attempts[i]);
	if (memory_failed(arena))
		return RESOLVERD_ERROR_MEMORY;
	evidence->record_bytes = resolverd__evidence__v1__record__get_packed_size(&record);
	if (evidence->record_bytes > RESOLVERD_EVIDENCE_MAX_BYTES / 2)
		return client_fail(collector->client, RESOLVERD_ERROR_ARGUMENT,
		    "the record would be larger than evidence may be");
	evidence->record = malloc(evidence->record_bytes);
	if (evidence->record == NULL)
		return RESOLVERD_ERROR_MEMORY;
	resolverd__evidence__v1__record__pack(&record, evidence->record);
	return 0;
}

static int check_about(
    struct resolverd_client *client, const struct resolverd_evidence_about *about)
{
	if (about->attempt_count > RESOLVERD_EVIDENCE_ATTEMPTS_MAX)
		return client_fail(client, RESOLVERD_ERROR_ARGUMENT, "more than 16 attempts");
	for (size_t i = 0; i < about->attempt_count; i++)
		if (about->attempts[i].chain_count > RESOLVERD_EVIDENCE_CHAIN_MAX)
			return client_fail(client, RESOLVERD_ERROR_ARGUMENT,
			    "%s: a chain of more than 32 certificates", about->attempts[i].host);
	return 0;
}

int resolverd_evidence_collect(struct resolverd_client *client, const struct resolverd_plan *plan,
    const struct resolverd_evidence_about *about, struct resolverd_evidence **ret_evidence)
{
	int r = check_about(client, about);
	if (r != 0)
		return r;
	r = RESOLVERD_ERROR_MEMORY;
	struct resolverd_memory *arena = memory_new();
	struct resolverd_evidence *evidence = calloc(1, sizeof *evidence);
	struct collector *collector = calloc(1, sizeof *collector);
	if (arena == NULL || evidence == NULL || collector == NULL)
		goto end;
	collector->client = client;
	collector->plan = plan;
	collector->deadline_ms = about->timeout_ms < 0 ? -1 : clock_mono_ms() + about->timeout_ms;
	ask_all(collector, about);
	r = collector->error;
	if (r == 0)
		r = pack_record(arena, collector, about, evidence);
	for (size_t i = 0; i < collector->result_count; i++)
		resolverd_records_free(collector->results[i]);
	if (r == 0) {
		*ret_evidence = evidence;
		evidence = NULL;
	}
end:
	free(collector);
	resolverd_evidence_free(evidence);
	memory_free(arena);
	return r;
}

/* ---- sealing and writing ---- */

int resolverd_evidence_seal(
    struct resolverd_client *client, struct resolverd_evidence *evidence, int timeout_ms)
{
	uint8_t hash[SEAL_HASH_BYTES];
	struct resolverd_seal *seal;
	crypto_generichash(hash, sizeof hash, evidence->record, evidence->record_bytes, NULL, 0);
	int r = resolverd_seal(client, hash, timeout_ms, &seal);
	if (r != 0)
		return r;
	resolverd_seal_free(evidence->seal);
	evidence->seal = seal;
	return 0;
}

static uint8_t *format(const struct resolverd_evidence *evidence, size_t *ret_count)
{
	Resolverd__V1__SignedSeal *seal =
	    resolverd__v1__signed_seal__unpack(NULL, evidence->seal->count, evidence->seal->bytes);
	uint8_t *bytes = seal == NULL ? NULL
				      : evidence_format(evidence->record, evidence->record_bytes,
					    seal, ret_count);
	resolverd__v1__signed_seal__free_unpacked(seal, NULL);
	return bytes;
}

static bool write_all(int fd, const uint8_t *bytes, size_t count)
{
	while (count > 0) {
		ssize_t n = write(fd, bytes, count);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes += n;
		count -= (size_t)n;
	}
	return fsync(fd) == 0;
}

/* The new name, too, is to be on the disk. Where a folder cannot be synced nothing more can be
 * done.
 */
static void sync_folder(const char *path)
{
	char *copy = strdup(path);
	int fd = copy != NULL ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	free(copy);
}

/* Under another name first: whoever reads the path sees a whole file. */
static bool write_file(const char *path, const uint8_t *bytes, size_t count)
{
	char *other;
	if (asprintf(&other, "%s.XXXXXX", path) < 0)
		return false;
	int fd = mkostemp(other, O_CLOEXEC);
	bool good = fd >= 0 && write_all(fd, bytes, count) && rename(other, path) == 0;
	int error = errno;
	if (good)
		sync_folder(path);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 && !good)
		unlink(other);
	free(other);
	errno = error;
	return good;
}

int resolverd_evidence_write(const struct resolverd_evidence *evidence, const char *path,
    char error[RESOLVERD_EVIDENCE_ERROR_MAX])
{
	size_t count;
	if (evidence->seal == NULL) {
		snprintf(error, RESOLVERD_EVIDENCE_ERROR_MAX, "the record is not sealed");
		return RESOLVERD_ERROR_ARGUMENT;
	}
	uint8_t *bytes = format(evidence, &count);
	if (bytes == NULL) {
		snprintf(error, RESOLVERD_EVIDENCE_ERROR_MAX, "out of memory");
		return RESOLVERD_ERROR_MEMORY;
	}
	bool good = write_file(path, bytes, count);
	if (!good)
		snprintf(error, RESOLVERD_EVIDENCE_ERROR_MAX, "cannot write %s: %s", path,
		    strerror(errno));
	free(bytes);
	return good ? 0 : RESOLVERD_ERROR_ARGUMENT;
}

void resolverd_evidence_free(struct resolverd_evidence *evidence)
{
	if (evidence == NULL)
		return;
	resolverd_seal_free(evidence->seal);
	free(evidence->record);
	free(evidence);
}
