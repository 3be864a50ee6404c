/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whom the client believes. trusted_keys: the long-term public keys of the key file. keyring: the
 * online keys those vouch for, taken from the delegations of a StatusResponse
 * (docs/PROTOCOL.md, "Delegations"). Both are plain values: zero is empty, no destructor. Pure but
 * for reading the key file; time is a parameter.
 */
#pragma once
#include "client/resolverd.h"
#include "proto/signing.h"
#include "resolverd.pb-c.h"

#define TRUSTED_KEYS_MAX 16u
#define KEYRING_MAX 16u
#define MEMBER_MAX 256u
#define KEY_ID_HEX_CHARS (2 * KEY_ID_BYTES + 1)
#define DETAIL_MAX 512u
#define DELEGATION_MAX_BYTES 512u

struct trusted_keys {
	uint8_t keys[TRUSTED_KEYS_MAX][crypto_sign_PUBLICKEYBYTES];
	size_t count;
};

struct online_key {
	uint8_t key[crypto_sign_PUBLICKEYBYTES];
	uint8_t id[KEY_ID_BYTES];
	char member[MEMBER_MAX];
	uint64_t not_before_ms, not_after_ms;
	/* As it came, to be kept with what the key signed. */
	uint8_t delegation[DELEGATION_MAX_BYTES], signature[crypto_sign_BYTES];
	uint8_t signed_by[KEY_ID_BYTES];
	size_t delegation_bytes;
};

struct keyring {
	struct online_key keys[KEYRING_MAX];
	size_t count;
	const char *why_empty; /* of the delegations seen last, static; NULL before the first */
};

/* One base64 key a line; blank lines and those that begin with '#' are skipped. On failure returns
 * RESOLVERD_ERROR_PUBLIC_KEY and names file and line in ret_detail. */
[[nodiscard]] int trusted_keys_load(
    const char *path, struct trusted_keys *ret_keys, char ret_detail[DETAIL_MAX]);

/* Checks one delegation; NULL when it is good, else what is wrong with it. Fills ret_key as far as
 * it got, even for a bad one (the memory must not be used then). */
const char *delegation_check(const struct trusted_keys *trusted,
    const Resolverd__V1__SignedDelegation *signed_delegation, uint64_t now_ms,
    struct online_key *ret_key);

/* Replaces the keyring by what these delegations allow now. */
void keyring_set(struct keyring *keyring, const struct trusted_keys *trusted,
    const Resolverd__V1__StatusResponse *status, uint64_t now_ms);

#define KEYRING_HASH_BYTES 32u
/* Of which keys it is, and by whom they are vouched for; not of how long. */
void keyring_hash(const struct keyring *keyring, uint8_t ret_hash[KEYRING_HASH_BYTES]);

/* The key with this id whose delegation is in time; NULL when there is none. */
const struct online_key *keyring_find(
    const struct keyring *keyring, const uint8_t *id, size_t id_bytes, uint64_t now_ms);
