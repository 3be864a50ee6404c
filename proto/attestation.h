/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tree of an attestation (docs/PROTOCOL.md, "Attestation"): BLAKE2b-256 throughout,
 *
 *     leaf = H(0x00, nonce, H(request), n, H(answer 1), ..., H(answer n))
 *     node = H(0x01, left, right)
 *
 * where n is one byte, and request and answers are the bytes that went over the socket. A node
 * without a neighbour is promoted as it is. Needs sodium_init() before.
 */
#pragma once
#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ATTESTATION_HASH_BYTES 32u
#define ATTESTATION_NONCE_BYTES 32u
#define ATTESTATION_LEAVES_MAX 65536u
#define ATTESTATION_PATH_MAX 16u
#define ATTESTATION_SKEW_MS 5000 /* between the signer's clock and the client's */
#define ATTESTATION_SIGNED_BYTES (ATTESTATION_HASH_BYTES + 8u + 4u)
#define SIGNING_CONTEXT_ATTESTATION "resolverd attestation v1"

void attestation_hash(const uint8_t *bytes, size_t count, uint8_t ret_hash[ATTESTATION_HASH_BYTES]);

/* A leaf, answer by answer. */
struct attestation_leaf {
	crypto_generichash_state state;
};
void attestation_leaf_begin(struct attestation_leaf *leaf,
    const uint8_t nonce[ATTESTATION_NONCE_BYTES],
    const uint8_t request_hash[ATTESTATION_HASH_BYTES], uint8_t answer_count);
void attestation_leaf_add(struct attestation_leaf *leaf, const uint8_t *answer, size_t count);
void attestation_leaf_add_hash(
    struct attestation_leaf *leaf, const uint8_t answer_hash[ATTESTATION_HASH_BYTES]);
void attestation_leaf_end(struct attestation_leaf *leaf, uint8_t ret_hash[ATTESTATION_HASH_BYTES]);

/* How many hashes the tree over so many leaves has, leaves included. */
size_t attestation_tree_nodes(size_t leaf_count);
/* nodes begins with the leaves and has room for the whole tree, which is filled level by level; the
 * root is the last. leaf_count is 1 to ATTESTATION_LEAVES_MAX. */
void attestation_tree_make(uint8_t (*nodes)[ATTESTATION_HASH_BYTES], size_t leaf_count);
/* The neighbours on the way from leaf number index to the root, as pointers into nodes. Returns how
 * many. */
size_t attestation_tree_path(uint8_t (*nodes)[ATTESTATION_HASH_BYTES], size_t leaf_count,
    size_t index, const uint8_t *ret_path[ATTESTATION_PATH_MAX]);
/* The root that a leaf has with this path. False when the path's length does not fit. */
[[gnu::warn_unused_result]] bool attestation_tree_fold(const uint8_t leaf[ATTESTATION_HASH_BYTES],
    size_t leaf_count, size_t index, const uint8_t *const *path, size_t path_count,
    uint8_t ret_root[ATTESTATION_HASH_BYTES]);

/* What is signed: root, time in milliseconds (8 bytes) and number of leaves (4), big-endian. */
void attestation_message(const uint8_t root[ATTESTATION_HASH_BYTES], uint64_t attested_at_ms,
    uint32_t leaf_count, uint8_t ret_message[ATTESTATION_SIGNED_BYTES]);
