/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The long-term keys: the one of key-file, made on first start (0600), and while it is replaced the
 * one of second-key-file. They are kept in guarded memory, their public halves published for
 * clients, and their one use is signing delegations to online keys: each signs each.
 */
#pragma once
#include <limits.h>

#include "proto/signing.h"
#include "resolverd/base/config.h"

#define LONGTERM_KEYS_MAX 2u

struct longterm_key {
	uint8_t *secret; /* base/secret.h; readable only while signing */
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
};

struct longterm {
	struct longterm_key keys[LONGTERM_KEYS_MAX]; /* that of key-file first */
	size_t count;
};

/* Where the first one is: key-file; else the service manager's credential resolverd.signing-key, if
 * it gave one; else in the state directory. path: room for the latter two. */
const char *longterm_file(
    const struct config *config, const char *state_directory, char path[PATH_MAX]);

/* Loads the keys; makes a second one that is not there, and the first if may_make_first.
 * state_directory: where the first is by default. On failure returns a negative errno and writes
 * what, where and what to do to error. */
[[gnu::warn_unused_result]] int longterm_open(struct longterm *longterm,
    const struct config *config, const char *state_directory, bool may_make_first, char *error,
    size_t error_bytes);
void longterm_fini(struct longterm *longterm);

/* Writes the public keys for clients to read. Fails as longterm_open. */
[[gnu::warn_unused_result]] int longterm_publish(
    const struct longterm *longterm, const char *path, char *error, size_t error_bytes);

/* The same keys in the same order. */
bool longterm_equal(const struct longterm *a, const struct longterm *b);

/* Keys of their own for another use, one of each long-term key, which tell nothing of it. Returns
 * their bytes. */
size_t longterm_derive(struct longterm *longterm, const char *use,
    uint8_t ret_keys[LONGTERM_KEYS_MAX * crypto_generichash_KEYBYTES]);

/* Delegations to online_key by each key, as a serialized StatusResponse with nothing else; valid
 * for life_ms, and since a little before now. Returns its size, or 0 when it does not fit. */
size_t longterm_delegate(struct longterm *longterm, const char *member, int64_t life_ms,
    const uint8_t online_key[crypto_sign_PUBLICKEYBYTES], int64_t now_ms, uint8_t *out,
    size_t out_bytes);
