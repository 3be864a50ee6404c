/* SPDX-License-Identifier: BSD-3-Clause */
#include "proto/attestation.h"

#include <string.h>

#define LEAF 0x00
#define NODE 0x01

void attestation_hash(const uint8_t *bytes, size_t count, uint8_t ret_hash[ATTESTATION_HASH_BYTES])
{
	crypto_generichash(ret_hash, ATTESTATION_HASH_BYTES, bytes, count, NULL, 0);
}

void attestation_leaf_begin(struct attestation_leaf *leaf,
    const uint8_t nonce[ATTESTATION_NONCE_BYTES],
    const uint8_t request_hash[ATTESTATION_HASH_BYTES], uint8_t answer_count)
{
	uint8_t head[1 + ATTESTATION_NONCE_BYTES + ATTESTATION_HASH_BYTES + 1] = {LEAF};
	memcpy(head + 1, nonce, ATTESTATION_NONCE_BYTES);
	memcpy(head + 1 + ATTESTATION_NONCE_BYTES, request_hash, ATTESTATION_HASH_BYTES);
	head[sizeof head - 1] = answer_count;
	crypto_generichash_init(&leaf->state, NULL, 0, ATTESTATION_HASH_BYTES);
	crypto_generichash_update(&leaf->state, head, sizeof head);
}

void attestation_leaf_add(struct attestation_leaf *leaf, const uint8_t *answer, size_t count)
{
	uint8_t hash[ATTESTATION_HASH_BYTES];
	attestation_hash(answer, count, hash);
	attestation_leaf_add_hash(leaf, hash);
}

void attestation_leaf_add_hash(
    struct attestation_leaf *leaf, const uint8_t answer_hash[ATTESTATION_HASH_BYTES])
{
	crypto_generichash_update(&leaf->state, answer_hash, ATTESTATION_HASH_BYTES);
}

void attestation_leaf_end(struct attestation_leaf *leaf, uint8_t ret_hash[ATTESTATION_HASH_BYTES])
{
	crypto_generichash_final(&leaf->state, ret_hash, ATTESTATION_HASH_BYTES);
}

static void hash_node(const uint8_t left[ATTESTATION_HASH_BYTES],
    const uint8_t right[ATTESTATION_HASH_BYTES], uint8_t ret_hash[ATTESTATION_HASH_BYTES])
{
	uint8_t node[1 + 2 * ATTESTATION_HASH_BYTES] = {NODE};
	memcpy(node + 1, left, ATTESTATION_HASH_BYTES);
	memcpy(node + 1 + ATTESTATION_HASH_BYTES, right, ATTESTATION_HASH_BYTES);
	attestation_hash(node, sizeof node, ret_hash);
}

size_t attestation_tree_nodes(size_t leaf_count)
{
	size_t nodes = leaf_count;
	while (leaf_count > 1) {
		leaf_count = (leaf_count + 1) / 2;
		nodes += leaf_count;
	}
	return nodes;
}

void attestation_tree_make(uint8_t (*nodes)[ATTESTATION_HASH_BYTES], size_t leaf_count)
{
	for (size_t width = leaf_count; width > 1; width = (width + 1) / 2) {
		uint8_t(*above)[ATTESTATION_HASH_BYTES] = nodes + width;
		for (size_t i = 0; i < width; i += 2) {
			if (i + 1 < width)
				hash_node(nodes[i], nodes[i + 1], above[i / 2]);
			else
				memcpy(above[i / 2], nodes[i], ATTESTATION_HASH_BYTES);
		}
		nodes = above;
	}
}

size_t attestation_tree_path(uint8_t (*nodes)[ATTESTATION_HASH_BYTES], size_t leaf_count,
    size_t index, const uint8_t *ret_path[ATTESTATION_PATH_MAX])
{
	size_t count = 0;
	for (size_t width = leaf_count; width > 1; width = (width + 1) / 2) {
		if ((index ^ 1) < width)
			ret_path[count++] = nodes[index ^ 1];
		nodes += width;
		index /= 2;
	}
	return count;
}

bool attestation_tree_fold(const uint8_t leaf[ATTESTATION_HASH_BYTES], size_t leaf_count,
    size_t index, const uint8_t *const *path, size_t path_count,
    uint8_t ret_root[ATTESTATION_HASH_BYTES])
{
	uint8_t hash[ATTESTATION_HASH_BYTES];
	size_t used = 0;
	if (leaf_count == 0 || leaf_count > ATTESTATION_LEAVES_MAX || index >= leaf_count)
		return false;
	memcpy(hash, leaf, sizeof hash);
	for (size_t width = leaf_count; width > 1; width = (width + 1) / 2) {
		if ((index ^ 1) < width) {
			if (used == path_count)
				return false;
			if (index % 2 == 0)
				hash_node(hash, path[used++], hash);
			else
				hash_node(path[used++], hash, hash);
		}
		index /= 2;
	}
	memcpy(ret_root, hash, sizeof hash);
	return used == path_count;
}

static void put_big_endian(uint8_t *out, uint64_t value, unsigned bytes)
{
	while (bytes-- > 0) {
		out[bytes] = (uint8_t)value;
		value >>= 8;
	}
}

void attestation_message(const uint8_t root[ATTESTATION_HASH_BYTES], uint64_t attested_at_ms,
    uint32_t leaf_count, uint8_t ret_message[ATTESTATION_SIGNED_BYTES])
{
	memcpy(ret_message, root, ATTESTATION_HASH_BYTES);
	put_big_endian(ret_message + ATTESTATION_HASH_BYTES, attested_at_ms, 8);
	put_big_endian(ret_message + ATTESTATION_HASH_BYTES + 8, leaf_count, 4);
}
