/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/lib/keys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static char *trim(char *line)
{
	line += strspn(line, " \t");
	size_t length = strlen(line);
	while (length > 0 && strchr(" \t\r\n", line[length - 1]) != NULL)
		line[--length] = '\0';
	return line;
}

/* NULL, or what is wrong with the line. */
static const char *add_line(struct trusted_keys *keys, const char *text)
{
	if (text[0] == '\0' || text[0] == '#')
		return NULL;
	if (keys->count == TRUSTED_KEYS_MAX)
		return "more than 16 keys";
	size_t key_bytes;
	const char *end;
	if (sodium_base642bin(keys->keys[keys->count], sizeof keys->keys[0], text, strlen(text),
		NULL, &key_bytes, &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    *end != '\0')
		return "not base64, or too long for a key";
	if (key_bytes != sizeof keys->keys[0])
		return "a key has 32 bytes, written as 44 characters of base64";
	keys->count++;
	return NULL;
}

int trusted_keys_load(const char *path, struct trusted_keys *ret_keys, char ret_detail[DETAIL_MAX])
{
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		snprintf(ret_detail, DETAIL_MAX, "cannot read the public key file %s: %s", path,
		    strerror(errno));
		return RESOLVERD_ERROR_PUBLIC_KEY;
	}
	struct trusted_keys keys = {0};
	const char *problem = NULL;
	unsigned number = 0;
	char line[256];
	while (problem == NULL && fgets(line, sizeof line, file) != NULL) {
		number++;
		bool whole = strchr(line, '\n') != NULL || feof(file);
		problem = whole ? add_line(&keys, trim(line)) : "the line is too long";
	}
	int read_errno = ferror(file) ? errno : 0;
	fclose(file);
	if (read_errno != 0)
		snprintf(ret_detail, DETAIL_MAX, "cannot read the public key file %s: %s", path,
		    strerror(read_errno));
	else if (problem != NULL)
		snprintf(ret_detail, DETAIL_MAX, "%s:%u: %s", path, number, problem);
	else if (keys.count == 0)
		snprintf(ret_detail, DETAIL_MAX, "%s:%u: the file holds no key", path, number);
	else
		*ret_keys = keys;
	return read_errno != 0 || problem != NULL || keys.count == 0 ? RESOLVERD_ERROR_PUBLIC_KEY
								     : 0;
}

static bool is_signed(
    const struct trusted_keys *trusted, const Resolverd__V1__SignedDelegation *delegation)
{
	for (size_t i = 0; i < trusted->count; i++) {
		uint8_t id[KEY_ID_BYTES];
		key_id_of(trusted->keys[i], id);
		if (delegation->key_id.len == KEY_ID_BYTES &&
		    memcmp(delegation->key_id.data, id, KEY_ID_BYTES) == 0 &&
		    signing_verify(SIGNING_CONTEXT_DELEGATION, delegation->delegation.data,
			delegation->delegation.len, delegation->signature.data,
			delegation->signature.len, trusted->keys[i]))
			return true;
	}
	return false;
}

/* Of one that is good: its parts have the sizes they must have. */
static void keep_delegation(
    struct online_key *key, const Resolverd__V1__SignedDelegation *signed_delegation)
{
	key->delegation_bytes = signed_delegation->delegation.len;
	memcpy(key->delegation, signed_delegation->delegation.data, key->delegation_bytes);
	memcpy(key->signature, signed_delegation->signature.data, sizeof key->signature);
	memcpy(key->signed_by, signed_delegation->key_id.data, sizeof key->signed_by);
}

const char *delegation_check(const struct trusted_keys *trusted,
    const Resolverd__V1__SignedDelegation *signed_delegation, uint64_t now_ms,
    struct online_key *ret_key)
{
	*ret_key = (struct online_key){0};
	const ProtobufCBinaryData *bytes = &signed_delegation->delegation;
	Resolverd__V1__Delegation *delegation =
	    bytes->len <= DELEGATION_MAX_BYTES
		? resolverd__v1__delegation__unpack(NULL, bytes->len, bytes->data)
		: NULL;
	if (delegation == NULL)
		return "it is malformed";
	const char *problem = NULL;
	if (delegation->online_key.len != sizeof ret_key->key) {
		problem = "its online key does not have 32 bytes";
	} else {
		memcpy(ret_key->key, delegation->online_key.data, sizeof ret_key->key);
		key_id_of(ret_key->key, ret_key->id);
	}
	if (strlen(delegation->member) >= sizeof ret_key->member)
		problem = "its member name is too long";
	else
		memcpy(ret_key->member, delegation->member, strlen(delegation->member) + 1);
	ret_key->not_before_ms = delegation->not_before;
	ret_key->not_after_ms = delegation->not_after;
	if (problem != NULL)
		;
	else if (!is_signed(trusted, signed_delegation))
		problem = "no key of the public key file signed it";
	else if (delegation->scope != RESOLVERD__V1__SCOPE__ANSWERS)
		problem = "its scope does not cover answers";
	else if (now_ms < delegation->not_before)
		problem = "it is not valid yet (is the clock right?)";
	else if (now_ms >= delegation->not_after)
		problem = "it has expired";
	resolverd__v1__delegation__free_unpacked(delegation, NULL);
	if (problem == NULL)
		keep_delegation(ret_key, signed_delegation);
	return problem;
}

void keyring_set(struct keyring *keyring, const struct trusted_keys *trusted,
    const Resolverd__V1__StatusResponse *status, uint64_t now_ms)
{
	*keyring = (struct keyring){.why_empty = "the daemon has none"};
	for (size_t i = 0; i < status->n_delegations && keyring->count < KEYRING_MAX; i++) {
		const char *problem = delegation_check(
		    trusted, status->delegations[i], now_ms, &keyring->keys[keyring->count]);
		if (problem == NULL)
			keyring->count++;
		else
			keyring->why_empty = problem;
	}
}

void keyring_hash(const struct keyring *keyring, uint8_t ret_hash[KEYRING_HASH_BYTES])
{
	crypto_generichash_state state;
	crypto_generichash_init(&state, NULL, 0, KEYRING_HASH_BYTES);
	for (size_t i = 0; i < keyring->count; i++) {
		const struct online_key *key = &keyring->keys[i];
		crypto_generichash_update(&state, key->key, sizeof key->key);
		crypto_generichash_update(&state, key->signed_by, sizeof key->signed_by);
	}
	crypto_generichash_final(&state, ret_hash, KEYRING_HASH_BYTES);
}

const struct online_key *keyring_find(
    const struct keyring *keyring, const uint8_t *id, size_t id_bytes, uint64_t now_ms)
{
	for (size_t i = 0; i < keyring->count; i++) {
		const struct online_key *key = &keyring->keys[i];
		if (id_bytes == KEY_ID_BYTES && memcmp(key->id, id, KEY_ID_BYTES) == 0 &&
		    key->not_before_ms <= now_ms && now_ms < key->not_after_ms)
			return key;
	}
	return NULL;
}
