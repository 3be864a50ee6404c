/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/lib/attested.h"

#include <stdio.h>
#include <string.h>

#define ANSWERS_FIELD 3u /* of a Response */
#define ANSWERS_MAX 255u /* their number is one byte of the leaf */

enum wire_type { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct bytes {
	const uint8_t *at, *end;
};

static bool take_varint(struct bytes *bytes, uint64_t *ret_value)
{
	uint64_t value = 0;
	for (unsigned shift = 0; bytes->at < bytes->end && shift < 64; shift += 7) {
		uint8_t byte = *bytes->at++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

/* The next field of a message; its content, if it has wire type BYTES. */
static bool take_field(struct bytes *message, uint64_t *ret_tag, struct bytes *ret_content)
{
	uint64_t length = 0;
	if (!take_varint(message, ret_tag))
		return false;
	switch (*ret_tag & 7) {
	case VARINT:
		return take_varint(message, &length);
	case BYTES:
		if (!take_varint(message, &length))
			return false;
		break;
	case FIXED64:
		length = 8;
		break;
	case FIXED32:
		length = 4;
		break;
	default:
		return false;
	}
	if (length > (uint64_t)(message->end - message->at))
		return false;
	*ret_content = (struct bytes){message->at, message->at + length};
	message->at += length;
	return true;
}

/* The next answer in a response; false: no more, or malformed, which leaves something of it. */
static bool take_answer(struct bytes *response, struct bytes *ret_answer)
{
	uint64_t tag;
	while (response->at < response->end) {
		struct bytes before = *response;
		if (!take_field(response, &tag, ret_answer)) {
			*response = before;
			return false;
		}
		if (tag == (ANSWERS_FIELD << 3 | BYTES))
			return true;
	}
	return false;
}

bool attested_leaf(const uint8_t nonce[ATTESTATION_NONCE_BYTES], const uint8_t *request,
    size_t request_bytes, const uint8_t *response, size_t response_bytes,
    uint8_t ret_leaf[ATTESTATION_HASH_BYTES])
{
	struct bytes rest = {response, response + response_bytes}, answer;
	struct attestation_leaf leaf;
	uint8_t request_hash[ATTESTATION_HASH_BYTES];
	size_t count = 0;
	while (take_answer(&rest, &answer))
		count++;
	if (rest.at != rest.end || count > ANSWERS_MAX)
		return false;
	attestation_hash(request, request_bytes, request_hash);
	attestation_leaf_begin(&leaf, nonce, request_hash, (uint8_t)count);
	rest = (struct bytes){response, response + response_bytes};
	while (take_answer(&rest, &answer))
		attestation_leaf_add(&leaf, answer.at, (size_t)(answer.end - answer.at));
	attestation_leaf_end(&leaf, ret_leaf);
	return true;
}

static int refuse(const struct verifier *verifier, const char *problem)
{
	snprintf(verifier->detail, DETAIL_MAX, "the response is not attested: %s", problem);
	return RESOLVERD_ERROR_VERIFY;
}

static bool root_of(const Resolverd__V1__Attestation *attestation,
    const uint8_t leaf[ATTESTATION_HASH_BYTES], uint8_t ret_root[ATTESTATION_HASH_BYTES])
{
	const uint8_t *path[ATTESTATION_PATH_MAX];
	if (attestation->n_path > ATTESTATION_PATH_MAX)
		return false;
	for (size_t i = 0; i < attestation->n_path; i++) {
		if (attestation->path[i].len != ATTESTATION_HASH_BYTES)
			return false;
		path[i] = attestation->path[i].data;
	}
	return attestation_tree_fold(
	    leaf, attestation->leaf_count, attestation->index, path, attestation->n_path, ret_root);
}

int attested_check(const struct verifier *verifier, const Resolverd__V1__Attestation *attestation,
    const uint8_t leaf[ATTESTATION_HASH_BYTES])
{
	uint8_t root[ATTESTATION_HASH_BYTES], message[ATTESTATION_SIGNED_BYTES];
	if (attestation == NULL)
		return refuse(verifier, "no attestation came with it");
	const struct online_key *key = keyring_find(
	    verifier->keyring, attestation->key_id.data, attestation->key_id.len, verifier->now_ms);
	if (key == NULL)
		return VERIFY_UNKNOWN_KEY;
	if (!root_of(attestation, leaf, root))
		return refuse(verifier, "its path does not fit its tree");
	uint64_t at_ms = attestation->attested_at, now_ms = verifier->now_ms;
	attestation_message(root, at_ms, attestation->leaf_count, message);
	struct remembered_signature signature = {.context = SIGNING_CONTEXT_ATTESTATION,
	    .key = key->key,
	    .bytes = message,
	    .count = sizeof message,
	    .signature = attestation->signature.data,
	    .signature_bytes = attestation->signature.len};
	if (!remembered_verify(verifier->remembered, &signature, now_ms))
		return refuse(verifier, "its signature is wrong, or not for this very response");
	if (at_ms > now_ms && at_ms - now_ms > ATTESTATION_SKEW_MS)
		return refuse(verifier, "its time has not come yet (is the clock right?)");
	if (now_ms > at_ms && now_ms - at_ms > ATTESTATION_SKEW_MS) {
		(void)refuse(verifier, "it was made more than 5 s ago (is the clock right?)");
		return VERIFY_EXPIRED;
	}
	remembered_add(verifier->remembered, &signature, now_ms, at_ms + ATTESTATION_SKEW_MS + 1);
	return 0;
}
