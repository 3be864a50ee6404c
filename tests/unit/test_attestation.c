/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attestations: trees of 1 to 1,000 leaves against the same tree told from above (RFC 6962 section
 * 2.1, whose splitting gives the same tree as promoting odd nodes), and
 * tests/vectors/attestation.json, which holds whole responses, good and forged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "client/lib/attested.h"
#include "tests/unit/answers.h"

#define VECTORS "tests/vectors/attestation.json"
#define GENERATOR "/usr/bin/python3 tests/vectors/make_attestation.py"
#define LEAVES_MAX 1000u

typedef uint8_t hash_bytes[ATTESTATION_HASH_BYTES];

static json_t *vectors;
static hash_bytes nodes[3 * LEAVES_MAX];

/* ---- the tree from above ---- */

static void hash(const uint8_t *bytes, size_t count, uint8_t *ret_hash)
{
	crypto_generichash(ret_hash, 32, bytes, count, NULL, 0);
}

static void some_leaf(size_t number, uint8_t *ret_leaf)
{
	const uint8_t bytes[4] = {0, 0, (uint8_t)(number >> 8), (uint8_t)number};
	hash(bytes, sizeof bytes, ret_leaf);
}

/* How many of the leaves are on the left. */
static size_t split(size_t count)
{
	size_t left = 1;
	while (left * 2 < count)
		left *= 2;
	return left;
}

static void root_from_above(size_t first, size_t count, uint8_t *ret_root)
{
	uint8_t node[65] = {1};
	if (count == 1) {
		some_leaf(first, ret_root);
		return;
	}
	size_t left = split(count);
	root_from_above(first, left, node + 1);
	root_from_above(first + left, count - left, node + 33);
	hash(node, sizeof node, ret_root);
}

static size_t path_from_above(size_t first, size_t count, size_t index, hash_bytes *ret_path)
{
	if (count == 1)
		return 0;
	size_t left = split(count), length;
	if (index < left) {
		length = path_from_above(first, left, index, ret_path);
		root_from_above(first + left, count - left, ret_path[length]);
	} else {
		length = path_from_above(first + left, count - left, index - left, ret_path);
		root_from_above(first, left, ret_path[length]);
	}
	return length + 1;
}

static const uint8_t *make_tree(size_t count)
{
	for (size_t i = 0; i < count; i++)
		some_leaf(i, nodes[i]);
	attestation_tree_make(nodes, count);
	return nodes[attestation_tree_nodes(count) - 1];
}

static void trees_of_1_to_1000_leaves_have_their_root(void **state)
{
	(void)state;
	for (size_t count = 1; count <= LEAVES_MAX; count++) {
		hash_bytes root;
		root_from_above(0, count, root);
		assert_memory_equal(make_tree(count), root, sizeof root);
	}
}

static void every_leaf_of_1000_trees_folds_to_the_root(void **state)
{
	(void)state;
	for (size_t count = 1; count <= LEAVES_MAX; count++) {
		const uint8_t *root = make_tree(count);
		for (size_t i = 0; i < count; i++) {
			const uint8_t *path[ATTESTATION_PATH_MAX];
			hash_bytes folded;
			size_t length = attestation_tree_path(nodes, count, i, path);
			assert_true(
			    attestation_tree_fold(nodes[i], count, i, path, length, folded));
			assert_memory_equal(folded, root, sizeof folded);
		}
	}
}

static void paths_are_those_from_above(void **state)
{
	(void)state;
	static const size_t counts[] = {1, 2, 3, 5, 8, 17, 100, 513, 1000};
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		make_tree(counts[i]);
		for (size_t j = 0; j < counts[i]; j += 1 + counts[i] / 40) {
			const uint8_t *path[ATTESTATION_PATH_MAX];
			hash_bytes wanted[ATTESTATION_PATH_MAX];
			size_t length = attestation_tree_path(nodes, counts[i], j, path);
			assert_int_equal(length, path_from_above(0, counts[i], j, wanted));
			for (size_t k = 0; k < length; k++)
				assert_memory_equal(path[k], wanted[k], sizeof wanted[k]);
		}
	}
}

/* ---- forgeries of a path ---- */

static bool folds_to(const uint8_t *root, const uint8_t *leaf, size_t count, size_t index,
    const uint8_t *const *path, size_t length)
{
	hash_bytes folded;
	return attestation_tree_fold(leaf, count, index, path, length, folded) &&
	       memcmp(folded, root, sizeof folded) == 0;
}

static void forge_nodes(const uint8_t *root, size_t count, size_t index)
{
	const uint8_t *path[ATTESTATION_PATH_MAX + 1];
	hash_bytes other;
	size_t length = attestation_tree_path(nodes, count, index, path);
	for (size_t i = 0; i < length; i++) {
		const uint8_t *good = path[i];
		memcpy(other, good, sizeof other);
		other[index % sizeof other] ^= 1;
		path[i] = other;
		assert_false(folds_to(root, nodes[index], count, index, path, length));
		path[i] = good;
	}
	memcpy(other, nodes[index], sizeof other);
	other[31] ^= 0x80;
	assert_false(folds_to(root, other, count, index, path, length));
	for (size_t wrong = 0; wrong < ATTESTATION_PATH_MAX; wrong++) {
		if (wrong > length)
			path[wrong - 1] = root;
		assert_true(
		    folds_to(root, nodes[index], count, index, path, wrong) == (wrong == length));
	}
}

static void forge_places(const uint8_t *root, size_t count, size_t index)
{
	const uint8_t *path[ATTESTATION_PATH_MAX];
	size_t length = attestation_tree_path(nodes, count, index, path);
	for (size_t other = 0; other < count + 3; other++)
		assert_true(
		    folds_to(root, nodes[index], count, other, path, length) == (other == index));
	assert_false(folds_to(root, nodes[index], 0, index, path, length));
	assert_false(folds_to(root, nodes[index], count, SIZE_MAX, path, length));
	assert_false(folds_to(root, nodes[index], ATTESTATION_LEAVES_MAX + 1, index, path, length));
}

/* Another leaf_count of the same shape folds to the same root: that is why it is signed. */
static void no_other_path_or_place_folds_to_the_root(void **state)
{
	(void)state;
	for (size_t count = 1; count <= 70; count++) {
		const uint8_t *root = make_tree(count);
		for (size_t i = 0; i < count; i++) {
			forge_nodes(root, count, i);
			forge_places(root, count, i);
		}
	}
}

static void the_largest_tree_fits_its_path(void **state)
{
	(void)state;
	hash_bytes *large =
	    calloc(attestation_tree_nodes(ATTESTATION_LEAVES_MAX), sizeof(hash_bytes));
	assert_non_null(large);
	attestation_tree_make(large, ATTESTATION_LEAVES_MAX);
	const uint8_t *path[ATTESTATION_PATH_MAX];
	const uint8_t *root = large[attestation_tree_nodes(ATTESTATION_LEAVES_MAX) - 1];
	assert_int_equal(attestation_tree_path(large, ATTESTATION_LEAVES_MAX, 65535, path),
	    ATTESTATION_PATH_MAX);
	assert_true(folds_to(
	    root, large[65535], ATTESTATION_LEAVES_MAX, 65535, path, ATTESTATION_PATH_MAX));
	free(large);
}

/* ---- vectors ---- */

struct bytes {
	uint8_t data[4096];
	size_t count;
};

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	assert_non_null(text);
	return text;
}

static void bytes_of(const char *hex, struct bytes *ret_bytes)
{
	assert_int_equal(sodium_hex2bin(ret_bytes->data, sizeof ret_bytes->data, hex, strlen(hex),
			     NULL, &ret_bytes->count, NULL),
	    0);
}

static void assert_hex(const uint8_t *bytes, size_t count, const char *wanted)
{
	char hex[512];
	sodium_bin2hex(hex, sizeof hex, bytes, count);
	assert_string_equal(hex, wanted);
}

static void vectors_are_those_of_the_generator(void **state)
{
	(void)state;
	FILE *wanted = popen(GENERATOR, "re"), *found = fopen(VECTORS, "re");
	assert_non_null(wanted);
	assert_non_null(found);
	int want, got;
	do {
		want = getc(wanted);
		got = getc(found);
		assert_int_equal(want, got);
	} while (want != EOF);
	fclose(found);
	assert_int_equal(pclose(wanted), 0);
}

static void the_leaf_of_the_vectors(void **state)
{
	(void)state;
	const json_t *row = json_object_get(vectors, "leaf"), *hex;
	struct attestation_leaf leaf;
	struct bytes nonce, request, answer;
	hash_bytes request_hash, got;
	size_t i;
	bytes_of(text_of(row, "nonce"), &nonce);
	bytes_of(text_of(row, "request"), &request);
	attestation_hash(request.data, request.count, request_hash);
	attestation_leaf_begin(&leaf, nonce.data, request_hash,
	    (uint8_t)json_array_size(json_object_get(row, "answers")));
	json_array_foreach(json_object_get(row, "answers"), i, hex)
	{
		bytes_of(json_string_value(hex), &answer);
		attestation_leaf_add(&leaf, answer.data, answer.count);
	}
	attestation_leaf_end(&leaf, got);
	assert_hex(got, sizeof got, text_of(row, "leaf"));
}

static void the_trees_of_the_vectors(void **state)
{
	(void)state;
	const json_t *tree, *nodes_of_path;
	const char *index;
	size_t i;
	json_array_foreach(json_object_get(vectors, "trees"), i, tree)
	{
		size_t count = (size_t)json_integer_value(json_object_get(tree, "leaves"));
		assert_hex(make_tree(count), 32, text_of(tree, "root"));
		json_object_foreach(json_object_get(tree, "paths"), index, nodes_of_path)
		{
			const uint8_t *path[ATTESTATION_PATH_MAX];
			size_t length = attestation_tree_path(
			    nodes, count, (size_t)strtoul(index, NULL, 10), path);
			assert_int_equal(length, json_array_size(nodes_of_path));
			for (size_t j = 0; j < length; j++)
				assert_hex(path[j], 32,
				    json_string_value(json_array_get(nodes_of_path, j)));
		}
	}
}

static void the_signed_bytes_of_the_vectors(void **state)
{
	(void)state;
	const json_t *row = json_object_get(vectors, "signed");
	const struct signer signer = signer_of(2);
	size_t count = (size_t)json_integer_value(json_object_get(row, "leaves"));
	uint8_t message[ATTESTATION_SIGNED_BYTES], signature[crypto_sign_BYTES];
	attestation_message(make_tree(count),
	    (uint64_t)json_integer_value(json_object_get(row, "attested_at")), (uint32_t)count,
	    message);
	assert_hex(message, sizeof message, text_of(row, "message"));
	signing_sign(
	    SIGNING_CONTEXT_ATTESTATION, message, sizeof message, signer.secret_key, signature);
	assert_hex(signature, sizeof signature, text_of(row, "signature"));
}

/* As a client does it: 0 only when the response is attested for that request. */
static int check_response(const json_t *row, struct remembered *remembered)
{
	struct bytes nonce, request, response_bytes;
	struct keyring keyring = {.count = 1};
	struct signer online = signer_of(2);
	char detail[DETAIL_MAX] = "";
	hash_bytes leaf;
	memcpy(keyring.keys[0].key, online.public_key, sizeof keyring.keys[0].key);
	key_id_of(online.public_key, keyring.keys[0].id);
	keyring.keys[0].not_after_ms = UINT64_MAX;
	bytes_of(text_of(row, "nonce"), &nonce);
	bytes_of(text_of(row, "request"), &request);
	bytes_of(text_of(row, "response"), &response_bytes);
	struct verifier verifier = {.keyring = &keyring,
	    .remembered = remembered,
	    .now_ms = (uint64_t)json_integer_value(json_object_get(row, "now")),
	    .detail = detail};
	Resolverd__V1__Response *response =
	    resolverd__v1__response__unpack(NULL, response_bytes.count, response_bytes.data);
	assert_non_null(response);
	assert_true(attested_leaf(nonce.data, request.data, request.count, response_bytes.data,
	    response_bytes.count, leaf));
	int r = attested_check(&verifier, response->attestation, leaf);
	resolverd__v1__response__free_unpacked(response, NULL);
	assert_true(r == 0 || r == VERIFY_UNKNOWN_KEY || detail[0] != '\0');
	return r;
}

/* The second time with what was verified before in mind: it must change nothing. */
static void responses_of_the_vectors_are_told_apart(void **state)
{
	(void)state;
	struct remembered remembered = {0};
	const json_t *row;
	size_t i, good = 0;
	for (int turn = 0; turn < 2; turn++) {
		json_array_foreach(json_object_get(vectors, "responses"), i, row)
		{
			bool want = json_is_true(json_object_get(row, "good"));
			good += want;
			if ((check_response(row, turn > 0 ? &remembered : NULL) == 0) != want ||
			    (check_response(row, turn > 0 ? &remembered : NULL) == 0) != want)
				fail_msg("response \"%s\" is taken for %s", text_of(row, "name"),
				    want ? "bad" : "good");
		}
	}
	remembered_forget(&remembered);
	assert_true(good > 2 && i > 40);
}

/* What is no message, or whose answers are more than one byte can count, has no leaf. */
static void malformed_responses_have_no_leaf(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t count;
		bool good;
	} rows[] = {
	    {"", 0, true},
	    {"\x08\x07\x1a\x00", 4, true},
	    {"\x1a\x01", 2, false}, /* ends within an answer */
	    {"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, false},
	    {"\x1a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12, false},
	    {"\x08", 1, false},     /* a tag and nothing else */
	    {"\x80", 1, false},     /* not even that */
	    {"\x1b\x1c", 2, false}, /* a group */
	    {"\x49"
	     "12345678"
	     "\x55"
	     "1234",
		14, true},
	    {"\x49"
	     "1234567",
		8, false},
	};
	static const uint8_t nonce[ATTESTATION_NONCE_BYTES];
	uint8_t many[512];
	hash_bytes leaf;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_true(attested_leaf(nonce, NULL, 0, (const uint8_t *)rows[i].bytes,
				rows[i].count, leaf) == rows[i].good);
	for (size_t i = 0; i < sizeof many; i += 2)
		memcpy(many + i, "\x1a", 2);
	assert_true(attested_leaf(nonce, NULL, 0, many, 510, leaf));
	assert_false(attested_leaf(nonce, NULL, 0, many, 512, leaf));
}

static int load(void **state)
{
	(void)state;
	vectors = json_load_file(VECTORS, 0, NULL);
	return vectors == NULL || sodium_init() < 0;
}

static int unload(void **state)
{
	(void)state;
	json_decref(vectors);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(trees_of_1_to_1000_leaves_have_their_root),
	    cmocka_unit_test(every_leaf_of_1000_trees_folds_to_the_root),
	    cmocka_unit_test(paths_are_those_from_above),
	    cmocka_unit_test(no_other_path_or_place_folds_to_the_root),
	    cmocka_unit_test(the_largest_tree_fits_its_path),
	    cmocka_unit_test(vectors_are_those_of_the_generator),
	    cmocka_unit_test(the_leaf_of_the_vectors),
	    cmocka_unit_test(the_trees_of_the_vectors),
	    cmocka_unit_test(the_signed_bytes_of_the_vectors),
	    cmocka_unit_test(responses_of_the_vectors_are_told_apart),
	    cmocka_unit_test(malformed_responses_have_no_leaf),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
