/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/supervisor/longterm.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resolverd.pb-c.h"
#include "resolverd/base/file.h"
#include "resolverd/base/secret.h"

#define CREDENTIALS "CREDENTIALS_DIRECTORY"      /* systemd.exec(5) */
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

/* Of the service manager, which lets nobody else into that folder. */
static bool is_credential(const char *path)
{
	const char *folder = getenv(CREDENTIALS);
	size_t bytes = folder != NULL ? strlen(folder) : 0;
	return bytes > 0 && strncmp(path, folder, bytes) == 0 && path[bytes] == '/';
}

/* Of a credential the group's rights are the mask of the ACL that makes us its reader. */
static bool others_may_read(const char *path, mode_t mode)
{
	return (mode & (is_credential(path) ? 037 : 077)) != 0;
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
	} else if (others_may_read(path, status.st_mode)) {
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

/* ---- the keys ---- */

const char *longterm_file(
    const struct config *config, const char *state_directory, char path[PATH_MAX])
{
	const char *credentials = getenv(CREDENTIALS);
	if (config->signing.key_file[0] != '\0')
		return config->signing.key_file;
	if (credentials != NULL) {
		snprintf(path, PATH_MAX, "%s/resolverd.signing-key", credentials);
		if (access(path, F_OK) == 0)
			return path;
	}
	snprintf(path, PATH_MAX, "%s/signing.key", state_directory);
	return path;
}

static int open_key(
    struct longterm_key *key, const char *path, bool may_make, char *error, size_t error_bytes)
{
	uint8_t *seed = secret_new(crypto_sign_SEEDBYTES);
	*key = (struct longterm_key){.secret = secret_new(crypto_sign_SECRETKEYBYTES)};
	int r = -ENOMEM;
	if (seed == NULL || key->secret == NULL) {
		snprintf(error, error_bytes, "no memory for the signing key");
	} else {
		r = read_seed(path, seed, error, error_bytes);
		if (r == -ENOENT && may_make)
			r = make_seed(path, seed, error, error_bytes);
		else if (r == -ENOENT)
			snprintf(error, error_bytes,
			    "%s, the signing key, is gone; restore it, or name another file that "
			    "has it",
			    path);
	}
	if (r == 0) {
		crypto_sign_seed_keypair(key->public_key, key->secret, seed);
		hide(key);
	}
	secret_free(seed, crypto_sign_SEEDBYTES);
	return r;
}

static bool is_same(const struct longterm_key *a, const struct longterm_key *b)
{
	return memcmp(a->public_key, b->public_key, sizeof a->public_key) == 0;
}

int longterm_open(struct longterm *longterm, const struct config *config,
    const char *state_directory, bool may_make_first, char *error, size_t error_bytes)
{
	char path[PATH_MAX];
	const char *first = longterm_file(config, state_directory, path),
		   *second = config->signing.second_key_file;
	*longterm = (struct longterm){.count = 1};
	int r = open_key(&longterm->keys[0], first, may_make_first, error, error_bytes);
	if (r == 0 && second != NULL && second[0] != '\0') {
		longterm->count++;
		r = open_key(&longterm->keys[1], second, true, error, error_bytes);
		if (r == 0 && is_same(&longterm->keys[0], &longterm->keys[1])) {
			snprintf(error, error_bytes,
			    "%s holds the same key as %s; name a file with the next or the "
			    "previous one as signing.second-key-file, or none",
			    second, first);
			r = -EINVAL;
		}
	}
	if (r != 0)
		longterm_fini(longterm);
	return r;
}

void longterm_fini(struct longterm *longterm)
{
	for (size_t i = 0; i < longterm->count; i++)
		secret_free(longterm->keys[i].secret, crypto_sign_SECRETKEYBYTES);
	*longterm = (struct longterm){0};
}

int longterm_publish(
    const struct longterm *longterm, const char *path, char *error, size_t error_bytes)
{
	char text[LONGTERM_KEYS_MAX * (KEY_BASE64_CHARS + 1)] = "";
	for (size_t i = 0; i < longterm->count; i++) {
		char line[KEY_BASE64_CHARS];
		const struct longterm_key *key = &longterm->keys[i];
		sodium_bin2base64(line, sizeof line, key->public_key, sizeof key->public_key,
		    sodium_base64_VARIANT_ORIGINAL);
		strcat(strcat(text, line), "\n");
	}
	int r = file_replace(path, 0644, text);
	return r == 0 ? 0
		      : say(error, error_bytes, "cannot publish the public key", path, -r,
			    "make its directory writable, or set signing.public-key-file");
}

bool longterm_equal(const struct longterm *a, const struct longterm *b)
{
	bool equal = a->count == b->count;
	for (size_t i = 0; equal && i < a->count; i++)
		equal = is_same(&a->keys[i], &b->keys[i]);
	return equal;
}

/* ---- what they are for ---- */

size_t longterm_derive(struct longterm *longterm, const char *use,
    uint8_t ret_keys[LONGTERM_KEYS_MAX * crypto_generichash_KEYBYTES])
{
	for (size_t i = 0; i < longterm->count; i++) {
		struct longterm_key *key = &longterm->keys[i];
		show(key); /* the secret key begins with its seed */
		crypto_generichash(ret_keys + i * crypto_generichash_KEYBYTES,
		    crypto_generichash_KEYBYTES, (const uint8_t *)use, strlen(use), key->secret,
		    crypto_sign_SEEDBYTES);
		hide(key);
	}
	return longterm->count * crypto_generichash_KEYBYTES;
}

static void sign_delegation(
    struct longterm_key *key, uint8_t *signature, uint8_t *key_id, ProtobufCBinaryData inner)
{
	show(key);
	signing_sign(SIGNING_CONTEXT_DELEGATION, inner.data, inner.len, key->secret, signature);
	hide(key);
	key_id_of(key->public_key, key_id);
}

size_t longterm_delegate(struct longterm *longterm, const char *member, int64_t life_ms,
    const uint8_t online_key[crypto_sign_PUBLICKEYBYTES], int64_t now_ms, uint8_t *out,
    size_t out_bytes)
{
	uint8_t packed[512], online[crypto_sign_PUBLICKEYBYTES];
	memcpy(online, online_key, sizeof online);
	Resolverd__V1__Delegation inner = RESOLVERD__V1__DELEGATION__INIT;
	inner.online_key = (ProtobufCBinaryData){.len = sizeof online, .data = online};
	inner.member = (char *)(uintptr_t)member;
	inner.not_before = (uint64_t)(now_ms - DELEGATION_EARLY_MS);
	inner.not_after = (uint64_t)(now_ms + life_ms);
	inner.scope = RESOLVERD__V1__SCOPE__ANSWERS;
	size_t inner_bytes = resolverd__v1__delegation__get_packed_size(&inner);
	if (inner_bytes > sizeof packed)
		return 0;
	resolverd__v1__delegation__pack(&inner, packed);
	const ProtobufCBinaryData bytes = {.len = inner_bytes, .data = packed};
	uint8_t signatures[LONGTERM_KEYS_MAX][crypto_sign_BYTES];
	uint8_t key_ids[LONGTERM_KEYS_MAX][KEY_ID_BYTES];
	Resolverd__V1__SignedDelegation outers[LONGTERM_KEYS_MAX], *list[LONGTERM_KEYS_MAX];
	Resolverd__V1__StatusResponse message = RESOLVERD__V1__STATUS_RESPONSE__INIT;
	message.delegations = list;
	for (size_t i = 0; i < longterm->count; i++) {
		sign_delegation(&longterm->keys[i], signatures[i], key_ids[i], bytes);
		resolverd__v1__signed_delegation__init(&outers[i]);
		outers[i].delegation = bytes;
		outers[i].signature = (ProtobufCBinaryData){sizeof signatures[i], signatures[i]};
		outers[i].key_id = (ProtobufCBinaryData){sizeof key_ids[i], key_ids[i]};
		list[message.n_delegations++] = &outers[i];
	}
	size_t count = resolverd__v1__status_response__get_packed_size(&message);
	return count <= out_bytes ? resolverd__v1__status_response__pack(&message, out) : 0;
}
