/* SPDX-License-Identifier: BSD-3-Clause */
#include "proto/signing.h"

#include <stdlib.h>
#include <string.h>

void key_id_of(const uint8_t public_key[crypto_sign_PUBLICKEYBYTES], uint8_t ret_id[KEY_ID_BYTES])
{
	uint8_t hash[32];
	crypto_generichash(hash, sizeof hash, public_key, crypto_sign_PUBLICKEYBYTES, NULL, 0);
	memcpy(ret_id, hash, KEY_ID_BYTES);
}

/* Ed25519 hashes its input twice, so libsodium wants it in one piece: context, zero, bytes. */
static uint8_t *message_make(const char *context, const uint8_t *bytes, size_t count,
    uint8_t *local, size_t local_bytes, size_t *ret_count)
{
	size_t context_bytes = strlen(context) + 1;
	*ret_count = context_bytes + count;
	uint8_t *message = *ret_count <= local_bytes ? local : malloc(*ret_count);
	if (message == NULL)
		return NULL;
	memcpy(message, context, context_bytes);
	if (count > 0)
		memcpy(message + context_bytes, bytes, count);
	return message;
}

void signing_sign(const char *context, const uint8_t *bytes, size_t count,
    const uint8_t secret_key[crypto_sign_SECRETKEYBYTES], uint8_t ret_signature[crypto_sign_BYTES])
{
	uint8_t local[4096];
	size_t message_bytes;
	uint8_t *message = message_make(context, bytes, count, local, sizeof local, &message_bytes);
	if (message == NULL) { /* no memory: a signature that fits nothing, so the client refuses */
		memset(ret_signature, 0, crypto_sign_BYTES);
		return;
	}
	crypto_sign_detached(ret_signature, NULL, message, message_bytes, secret_key);
	if (message != local)
		free(message);
}

bool signing_verify(const char *context, const uint8_t *bytes, size_t count,
    const uint8_t *signature, size_t signature_bytes,
    const uint8_t public_key[crypto_sign_PUBLICKEYBYTES])
{
	if (signature_bytes != crypto_sign_BYTES)
		return false;
	uint8_t local[4096];
	size_t message_bytes;
	uint8_t *message = message_make(context, bytes, count, local, sizeof local, &message_bytes);
	if (message == NULL)
		return false;
	bool good = crypto_sign_verify_detached(signature, message, message_bytes, public_key) == 0;
	if (message != local)
		free(message);
	return good;
}
