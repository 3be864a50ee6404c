/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/lib/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SEAL_MAX_BYTES 512u

/* Numbers an answer may list as critical that this version understands. None exists yet. */
static bool is_understood(uint32_t number)
{
	(void)number;
	return false;
}

[[gnu::format(printf, 2, 3)]] static int refuse(
    const struct verifier *verifier, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(verifier->detail, DETAIL_MAX, format, arguments);
	va_end(arguments);
	return RESOLVERD_ERROR_VERIFY;
}

static bool data_matches(const Resolverd__V1__Answer *answer)
{
	switch (answer->question->kind) {
	case RESOLVERD__V1__KIND__ROUTE:
		return answer->data_case == RESOLVERD__V1__ANSWER__DATA_ROUTE &&
		       answer->route != NULL;
	case RESOLVERD__V1__KIND__HOST:
		return answer->data_case == RESOLVERD__V1__ANSWER__DATA_HOST &&
		       answer->host != NULL;
	case RESOLVERD__V1__KIND__RECORDS:
		return answer->data_case == RESOLVERD__V1__ANSWER__DATA_RECORDS &&
		       answer->records != NULL;
	default:
		return false;
	}
}

/* What a kind does not use must be unset, so that no two questions look alike. */
static bool question_matches(const Resolverd__V1__Question *got, const struct question *want)
{
	unsigned port = want->kind == RESOLVERD__V1__KIND__HOST ? want->port : 0;
	unsigned type = want->kind == RESOLVERD__V1__KIND__RECORDS ? want->type : 0;
	return got->kind == want->kind && got->port == port && got->type == type &&
	       (want->name == NULL || strcmp(got->name, want->name) == 0);
}

static int check_content(const struct verifier *verifier, const Resolverd__V1__Answer *answer,
    const struct online_key *key, const struct question *question)
{
	if (strcmp(answer->member, key->member) != 0)
		return refuse(verifier,
		    "the answer names member \"%.60s\", its key belongs to \"%.60s\"",
		    answer->member, key->member);
	if (answer->question == NULL || !question_matches(answer->question, question))
		return refuse(verifier, "the answer is about %.200s, which was not asked",
		    answer->question != NULL ? answer->question->name : "nothing");
	if (!data_matches(answer))
		return refuse(verifier, "the answer about %.200s holds data of another kind",
		    answer->question->name);
	if (verifier->now_ms < answer->expires_at)
		return 0;
	(void)refuse(verifier, "the answer about %.200s has expired (is the clock right?)",
	    answer->question->name);
	return VERIFY_EXPIRED;
}

/* One of them by a trusted key is enough. */
static const char *check_delegations(const struct trusted_keys *trusted,
    const Resolverd__V1__SignedSeal *from, uint64_t sealed_at_ms, struct sealed *ret_sealed)
{
	const char *problem =
	    delegation_check(trusted, from->delegation, sealed_at_ms, &ret_sealed->key);
	ret_sealed->delegation = from->delegation;
	for (size_t i = 0; problem != NULL && i < from->n_other_delegations; i++) {
		struct online_key key;
		if (delegation_check(trusted, from->other_delegations[i], sealed_at_ms, &key) !=
		    NULL)
			continue;
		*ret_sealed = (struct sealed){.delegation = from->other_delegations[i], .key = key};
		problem = NULL;
	}
	return problem;
}

static const char *check_seal(const struct trusted_keys *trusted,
    const Resolverd__V1__SignedSeal *from, const Resolverd__V1__Seal *seal,
    const uint8_t hash[SEAL_HASH_BYTES], struct sealed *ret_sealed)
{
	const char *problem = check_delegations(trusted, from, seal->sealed_at, ret_sealed);
	const struct online_key *key = &ret_sealed->key;
	if (problem != NULL)
		return problem;
	if (from->key_id.len != KEY_ID_BYTES ||
	    memcmp(from->key_id.data, key->id, KEY_ID_BYTES) != 0)
		return "its delegation is for another key";
	if (!signing_verify(SIGNING_CONTEXT_SEAL, from->seal.data, from->seal.len,
		from->signature.data, from->signature.len, key->key))
		return "its signature is wrong";
	if (strcmp(seal->member, key->member) != 0)
		return "it names another member than its delegation";
	if (seal->hash.len != SEAL_HASH_BYTES ||
	    memcmp(seal->hash.data, hash, SEAL_HASH_BYTES) != 0)
		return "it is about another record";
	return NULL;
}

const char *verify_seal(const struct trusted_keys *trusted, const Resolverd__V1__SignedSeal *from,
    const uint8_t hash[SEAL_HASH_BYTES], struct sealed *ret_sealed)
{
	if (from->delegation == NULL)
		return "it brings no delegation";
	Resolverd__V1__Seal *seal =
	    from->seal.len <= SEAL_MAX_BYTES
		? resolverd__v1__seal__unpack(NULL, from->seal.len, from->seal.data)
		: NULL;
	if (seal == NULL)
		return "it is malformed";
	const char *problem = check_seal(trusted, from, seal, hash, ret_sealed);
	ret_sealed->at_ms = seal->sealed_at;
	resolverd__v1__seal__free_unpacked(seal, NULL);
	return problem;
}

struct resolverd_signed verify_keep_delegation(
    struct resolverd_memory *arena, const struct online_key *key)
{
	struct online_key *copy = memory_alloc(arena, 1, sizeof *copy);
	if (copy == NULL)
		return (struct resolverd_signed){0};
	*copy = *key;
	return (struct resolverd_signed){.message = copy->delegation,
	    .message_bytes = copy->delegation_bytes,
	    .signature = copy->signature,
	    .signature_bytes = sizeof copy->signature,
	    .key_id = copy->signed_by,
	    .key_id_bytes = sizeof copy->signed_by};
}

int verify_answer(const struct verifier *verifier, const Resolverd__V1__SignedAnswer *signed_answer,
    const struct question *question, struct verified *ret_verified)
{
	const ProtobufCBinaryData *bytes = &signed_answer->answer;
	const struct online_key *key = keyring_find(verifier->keyring, signed_answer->key_id.data,
	    signed_answer->key_id.len, verifier->now_ms);
	if (key == NULL)
		return VERIFY_UNKNOWN_KEY;
	struct remembered_signature signature = {.context = SIGNING_CONTEXT_ANSWER,
	    .key = key->key,
	    .bytes = bytes->data,
	    .count = bytes->len,
	    .signature = signed_answer->signature.data,
	    .signature_bytes = signed_answer->signature.len};
	if (!remembered_verify(verifier->remembered, &signature, verifier->now_ms))
		return refuse(verifier, "the signature of an answer is wrong");
	const Resolverd__V1__Answer *answer = resolverd__v1__answer__unpack(
	    memory_protobuf(verifier->arena), bytes->len, bytes->data);
	if (answer == NULL && memory_failed(verifier->arena))
		return RESOLVERD_ERROR_MEMORY;
	if (answer == NULL)
		return refuse(verifier, "a signed answer is malformed");
	int r = check_content(verifier, answer, key, question);
	if (r != 0)
		return r;
	remembered_add(verifier->remembered, &signature, verifier->now_ms, answer->expires_at);
	char *id = memory_alloc(verifier->arena, KEY_ID_HEX_CHARS, 1);
	if (id == NULL)
		return RESOLVERD_ERROR_MEMORY;
	sodium_bin2hex(id, KEY_ID_HEX_CHARS, key->id, KEY_ID_BYTES);
	*ret_verified = (struct verified){.answer = answer,
	    .key_id = id,
	    .attested = verifier->attested,
	    .key = key,
	    .signed_answer = {.message = bytes->data,
		.message_bytes = bytes->len,
		.signature = signed_answer->signature.data,
		.signature_bytes = signed_answer->signature.len,
		.key_id = signed_answer->key_id.data,
		.key_id_bytes = signed_answer->key_id.len}};
	for (size_t i = 0; i < answer->n_critical; i++)
		if (!is_understood(answer->critical[i]))
			ret_verified->not_understood =
			    answer->critical[i] != 0 ? answer->critical[i] : UINT32_MAX;
	return 0;
}
