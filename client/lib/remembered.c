/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/lib/remembered.h"

#include <stdlib.h>
#include <string.h>

static void hash_signature(struct remembered_signature *signature)
{
	crypto_generichash_state state;
	crypto_generichash_init(&state, NULL, 0, REMEMBERED_HASH_BYTES);
	crypto_generichash_update(
	    &state, (const uint8_t *)signature->context, strlen(signature->context) + 1);
	crypto_generichash_update(&state, signature->key, crypto_sign_PUBLICKEYBYTES);
	crypto_generichash_update(&state, signature->signature, crypto_sign_BYTES);
	crypto_generichash_update(&state, signature->bytes, signature->count);
	crypto_generichash_final(&state, signature->hash, REMEMBERED_HASH_BYTES);
}

/* A hash is as good as random: its first byte chooses. */
static struct remembered_one *set_of(const struct remembered *remembered, const uint8_t *hash)
{
	return &remembered->ones[hash[0] % REMEMBERED_SETS * REMEMBERED_WAYS];
}

static struct remembered_one *find(
    const struct remembered *remembered, const uint8_t *hash, uint64_t now_ms)
{
	struct remembered_one *set = set_of(remembered, hash);
	for (size_t i = 0; i < REMEMBERED_WAYS; i++)
		if (now_ms < set[i].expires_at_ms &&
		    memcmp(set[i].hash, hash, REMEMBERED_HASH_BYTES) == 0)
			return &set[i];
	return NULL;
}

bool remembered_verify(
    struct remembered *remembered, struct remembered_signature *signature, uint64_t now_ms)
{
	if (signature->signature_bytes != crypto_sign_BYTES)
		return false;
	if (remembered != NULL) {
		hash_signature(signature);
		struct remembered_one *one =
		    remembered->ones != NULL ? find(remembered, signature->hash, now_ms) : NULL;
		if (one != NULL) {
			one->used = ++remembered->uses;
			return true;
		}
	}
	return signing_verify(signature->context, signature->bytes, signature->count,
	    signature->signature, signature->signature_bytes, signature->key);
}

void remembered_add(struct remembered *remembered, const struct remembered_signature *signature,
    uint64_t now_ms, uint64_t expires_at_ms)
{
	if (remembered == NULL || now_ms >= expires_at_ms)
		return;
	if (remembered->ones == NULL)
		remembered->ones = calloc(REMEMBERED_MAX, sizeof *remembered->ones);
	if (remembered->ones == NULL || find(remembered, signature->hash, now_ms) != NULL)
		return;
	struct remembered_one *set = set_of(remembered, signature->hash), *oldest = set;
	for (size_t i = 0; i < REMEMBERED_WAYS; i++) {
		if (now_ms >= set[i].expires_at_ms)
			set[i] = (struct remembered_one){0};
		if (set[i].used < oldest->used)
			oldest = &set[i];
	}
	*oldest =
	    (struct remembered_one){.expires_at_ms = expires_at_ms, .used = ++remembered->uses};
	memcpy(oldest->hash, signature->hash, REMEMBERED_HASH_BYTES);
}

void remembered_forget(struct remembered *remembered)
{
	free(remembered->ones);
	*remembered = (struct remembered){0};
}
