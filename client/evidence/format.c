/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading and writing a file: strictly, so that one content has one form, and within bounds. */
#include <stdlib.h>
#include <string.h>

#include "client/evidence/evidence.h"

#define V1(name) resolverd__evidence__v1__##name
#define UNPACK_FACTOR 16u
#define UNPACK_LEAST (64u << 10)
#define UNPACK_MOST (32u << 20)

/* ---- memory ---- */

static void *bounded_alloc(void *data, size_t size)
{
	size_t *left = data;
	if (size > *left)
		return NULL;
	*left -= size;
	return malloc(size);
}

static void bounded_free(void *data, void *memory)
{
	(void)data;
	free(memory);
}

/* Two octets of a message can ask for a hundred of memory. */
void *evidence_unpack(
    const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t count)
{
	size_t left = count < UNPACK_MOST / UNPACK_FACTOR ? UNPACK_LEAST + UNPACK_FACTOR * count
							  : UNPACK_MOST;
	ProtobufCAllocator bounded = {
	    .alloc = bounded_alloc, .free = bounded_free, .allocator_data = &left};
	return protobuf_c_message_unpack(descriptor, &bounded, count, bytes);
}

/* ---- strictness ---- */

static bool is_known(const ProtobufCMessage *message);

static bool is_field_known(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const char *at = (const char *)message + field->offset;
	if (field->type != PROTOBUF_C_TYPE_MESSAGE)
		return true;
	if (field->label != PROTOBUF_C_LABEL_REPEATED) {
		const ProtobufCMessage *inner;
		memcpy(&inner, at, sizeof inner);
		return inner == NULL || is_known(inner);
	}
	size_t count;
	ProtobufCMessage *const *inner;
	memcpy(&count, (const char *)message + field->quantifier_offset, sizeof count);
	memcpy(&inner, at, sizeof inner);
	for (size_t i = 0; i < count; i++)
		if (!is_known(inner[i]))
			return false;
	return true;
}

/* No unknown field, here or in what it holds. None of these messages has a oneof. */
static bool is_known(const ProtobufCMessage *message)
{
	if (message->n_unknown_fields != 0)
		return false;
	for (unsigned i = 0; i < message->descriptor->n_fields; i++)
		if (!is_field_known(message, &message->descriptor->fields[i]))
			return false;
	return true;
}

/* One message has one form: as protobuf-c writes it. */
static bool is_canonical(const ProtobufCMessage *message, const uint8_t *bytes, size_t count)
{
	if (!is_known(message) || protobuf_c_message_get_packed_size(message) != count)
		return false;
	uint8_t *again = malloc(count > 0 ? count : 1);
	if (again == NULL)
		return false;
	protobuf_c_message_pack(message, again);
	bool same = memcmp(again, bytes, count) == 0;
	free(again);
	return same;
}

/* ---- reading ---- */

static const char *check_limits(const Resolverd__Evidence__V1__Record *record)
{
	if (record->n_attempts > RESOLVERD_EVIDENCE_ATTEMPTS_MAX)
		return "it tells of more than 16 attempts";
	if (record->n_records > EVIDENCE_RECORDS_MAX)
		return "it holds more than 256 records answers";
	if (record->n_answers > EVIDENCE_ANSWERS_MAX)
		return "it holds more than 17 answers of the plan";
	if (record->n_delegations > EVIDENCE_DELEGATIONS_MAX)
		return "it holds more than 16 delegations";
	for (size_t i = 0; i < record->n_attempts; i++) {
		const Resolverd__Evidence__V1__Attempt *attempt = record->attempts[i];
		if (attempt->n_chain > RESOLVERD_EVIDENCE_CHAIN_MAX)
			return "a chain has more than 32 certificates";
		if (attempt->address.len != 0 && attempt->address.len != 4 &&
		    attempt->address.len != 16)
			return "an address has neither 4 nor 16 octets";
	}
	return NULL;
}

static const char *parse(const uint8_t *bytes, size_t count, struct evidence_file *file)
{
	if (count > RESOLVERD_EVIDENCE_MAX_BYTES)
		return "it is larger than 4 MiB";
	if (count < EVIDENCE_MAGIC_BYTES ||
	    memcmp(bytes, EVIDENCE_MAGIC, EVIDENCE_MAGIC_BYTES) != 0)
		return "it does not begin with RESOLVERD-EVIDENCE-1";
	bytes += EVIDENCE_MAGIC_BYTES;
	count -= EVIDENCE_MAGIC_BYTES;
	file->outer = evidence_unpack(&V1(evidence__descriptor), bytes, count);
	if (file->outer == NULL || !is_canonical(&file->outer->base, bytes, count))
		return "it is damaged: the envelope is malformed";
	if (file->outer->seal == NULL || file->outer->seal->delegation == NULL)
		return "it has no seal";
	const ProtobufCBinaryData *record = &file->outer->record;
	file->record = evidence_unpack(&V1(record__descriptor), record->data, record->len);
	if (file->record == NULL || !is_canonical(&file->record->base, record->data, record->len))
		return "it is damaged: the record is malformed";
	crypto_generichash(file->hash, sizeof file->hash, record->data, record->len, NULL, 0);
	return check_limits(file->record);
}

const char *evidence_parse(const uint8_t *bytes, size_t count, struct evidence_file *ret_file)
{
	struct evidence_file file = {0};
	const char *problem = parse(bytes, count, &file);
	if (problem != NULL)
		evidence_file_fini(&file);
	else
		*ret_file = file;
	return problem;
}

void evidence_file_fini(struct evidence_file *file)
{
	V1(record__free_unpacked)(file->record, NULL);
	V1(evidence__free_unpacked)(file->outer, NULL);
	*file = (struct evidence_file){0};
}

/* ---- writing ---- */

uint8_t *evidence_format(const uint8_t *record, size_t record_bytes,
    const Resolverd__V1__SignedSeal *seal, size_t *ret_count)
{
	Resolverd__Evidence__V1__Evidence outer;
	V1(evidence__init)(&outer);
	outer.record = (ProtobufCBinaryData){record_bytes, (uint8_t *)(uintptr_t)record};
	outer.seal = (Resolverd__V1__SignedSeal *)(uintptr_t)seal;
	size_t count = EVIDENCE_MAGIC_BYTES + V1(evidence__get_packed_size)(&outer);
	uint8_t *bytes = count <= RESOLVERD_EVIDENCE_MAX_BYTES ? malloc(count) : NULL;
	if (bytes == NULL)
		return NULL;
	memcpy(bytes, EVIDENCE_MAGIC, EVIDENCE_MAGIC_BYTES);
	V1(evidence__pack)(&outer, bytes + EVIDENCE_MAGIC_BYTES);
	*ret_count = count;
	return bytes;
}
