/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/supervisor/longterm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resolverd.pb-c.h"
#include "resolverd/base/file.h"
#include "resolverd/base/secret.h"

#define DELEGATION_LIFE_MS (INT64_C(86400) * 1000)
#define DELEGATION_EARLY_MS (INT64_C(60) * 1000) /* for clients whose clock is a little behind */

static int say(char *error, size_t error_bytes, const char *what, const char *path, int number,
    const char *advice)
{
	snprintf(error, error_bytes, "%s %s: %s; %s", what, path, strerror(number), advice);
	return -number;
}

static void show(struct longterm_key *key)
{
	secret_show(key->secret, crypto_sign_SECRETKEYBYTES);
}

static void hide(struct longterm_key *key)
{
	secret_hide(key->secret, crypto_sign_SECRETKEYBYTES);
}

static int read_seed(const char *path, uint8_t *seed, char *error, size_t error_bytes)
{
	static const char advice[] = "resolverd needs to read its own key there";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT
			   ? -ENOENT
			   : say(error, error_bytes, "cannot read the key", path, errno, advice);
	struct stat status;
	char text[256] = {0};
	ssize_t n = fstat(fd, &status) == 0 ? read(fd, text, sizeof text - 1) : -1;
	close(fd);
	size_t seed_bytes = 0;
	int r = 0;
	if (n < 0) {
		r = say(error, error_bytes, "cannot read the key", path, errno, advice);
	} else if ((status.st_mode & 077) != 0) {
		snprintf(error, error_bytes,
		    "%s may be read by others (mode %04o); do chmod 600 %s", path,
		    (unsigned)status.st_mode & 07777, path);
		r = -EPERM;
	} else if (sodium_base642bin(seed, crypto_sign_SEEDBYTES, text, (size_t)n, " \r\n",
		       &seed_bytes, NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
		   seed_bytes != crypto_sign_SEEDBYTES) {
		snprintf(error, error_bytes,
		    "%s holds no signing key (one line of base64, 32 bytes); restore it, or remove "
		    "it to "
		    "start with a new key that clients then must learn",
		    path);
		r = -EINVAL;
	}
	sodium_memzero(text, sizeof text);
	return r;
}

static int make_seed(const char *path, uint8_t *seed, char *error, size_t error_bytes)
{
	char text[sodium_base64_ENCODED_LEN(crypto_sign_SEEDBYTES, sodium_base64_VARIANT_ORIGINAL) +
		  1];
	randombytes_buf(seed, crypto_sign_SEEDBYTES);
	sodium_bin2base64(
	    text, sizeof text - 1, seed, crypto_sign_SEEDBYTES, sodium_base64_VARIANT_ORIGINAL);
	strcat(text, "\n");
	int r = file_replace(path, 0600, text);
	sodium_memzero(text, sizeof text);
	return r == 0 ? 0
		      : say(error, error_bytes, "cannot make the signing key", path, -r,
			    "give resolverd write permission to server.state-directory");
}

static int publish(
    const struct longterm_key *key, const char *path, char *error, size_t error_bytes)
{
	char text[KEY_BASE64_CHARS + 1];
	sodium_bin2base64(text, KEY_BASE64_CHARS, key->public_key, sizeof key->public_key,
	    sodium_base64_VARIANT_ORIGINAL);
	strcat(text, "\n");
	int r = file_replace(path, 0644, text);
	return r == 0 ? 0
		      : say(error, error_bytes, "cannot publish the public key", path, -r,
			    "make its directory writable, or set signing.public-key-file");
}

int longterm_open(
    struct longterm_key *key, const struct config *config, char *error, size_t error_bytes)
{
	uint8_t *seed = secret_new(crypto_sign_SEEDBYTES);
	*key = (struct longterm_key){.secret = secret_new(crypto_sign_SECRETKEYBYTES)};
	int r = -ENOMEM;
	if (seed == NULL || key->secret == NULL) {
		snprintf(error, error_bytes, "no memory for the signing key");
	} else {
		r = read_seed(config->signing.key_file, seed, error, error_bytes);
		if (r == -ENOENT)
			r = make_seed(config->signing.key_file, seed, error, error_bytes);
	}
	if (r == 0) {
		crypto_sign_seed_keypair(key->public_key, key->secret, seed);
		hide(key);
		r = publish(key, config->signing.public_key_file, error, error_bytes);
	}
	secret_free(seed, crypto_sign_SEEDBYTES);
	if (r != 0)
		longterm_fini(key);
	return r;
}

void longterm_fini(struct longterm_key *key)
{
	secret_free(key->secret, crypto_sign_SECRETKEYBYTES);
	key->secret = NULL;
}

void longterm_derive(
    struct longterm_key *key, const char *use, uint8_t ret_key[crypto_generichash_KEYBYTES])
{
	show(key);
	crypto_generichash(ret_key, crypto_generichash_KEYBYTES, (const uint8_t *)use, strlen(use),
	    key->secret, crypto_sign_SEEDBYTES); /* the secret key begins with its seed */
	hide(key);
}

size_t longterm_delegate(struct longterm_key *key, const char *member,
    const uint8_t online_key[crypto_sign_PUBLICKEYBYTES], int64_t now_ms, uint8_t *out,
    size_t out_bytes)
{
	uint8_t packed[512], signature[crypto_sign_BYTES], key_id[KEY_ID_BYTES], online[32];
	memcpy(online, online_key, sizeof online);
	Resolverd__V1__Delegation inner = RESOLVERD__V1__DELEGATION__INIT;
	inner.online_key = (ProtobufCBinaryData){.len = sizeof online, .data = online};
	inner.member = (char *)(uintptr_t)member;
	inner.not_before = (uint64_t)(now_ms - DELEGATION_EARLY_MS);
	inner.not_after = (uint64_t)(now_ms + DELEGATION_LIFE_MS);
	inner.scope = RESOLVERD__V1__SCOPE__ANSWERS;
	size_t inner_bytes = resolverd__v1__delegation__get_packed_size(&inner);
	if (inner_bytes > sizeof packed)
		return 0;
	resolverd__v1__delegation__pack(&inner, packed);
	show(key);
	signing_sign(SIGNING_CONTEXT_DELEGATION, packed, inner_bytes, key->secret, signature);
	hide(key);
	key_id_of(key->public_key, key_id);
	Resolverd__V1__SignedDelegation outer = RESOLVERD__V1__SIGNED_DELEGATION__INIT;
	outer.delegation = (ProtobufCBinaryData){.len = inner_bytes, .data = packed};
	outer.signature = (ProtobufCBinaryData){.len = sizeof signature, .data = signature};
	outer.key_id = (ProtobufCBinaryData){.len = sizeof key_id, .data = key_id};
	size_t bytes = resolverd__v1__signed_delegation__get_packed_size(&outer);
	if (bytes > out_bytes)
		return 0;
	return resolverd__v1__signed_delegation__pack(&outer, out);
}
