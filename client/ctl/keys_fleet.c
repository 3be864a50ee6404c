/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resolverctl keys make, sign, list and revoke: the keys of a fleet as files (docs/FLEET.md,
 * "Keys"). They need no daemon. What a file holds: proto/ring.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/ctl/ctl.h"
#include "client/ctl/keys_fleet.h"
#include "client/lib/keys.h"
#include "client/lib/text.h"
#include "proto/ring.h"

#define FILE_MAX_BYTES (8u << 20) /* RING_KEYS_MAX lines, with comments */
#define DAY_MS (INT64_C(86400) * 1000)
#define DAYS 90
#define DAYS_MAX 3660
#define EARLY_MS (INT64_C(60) * 1000) /* for members whose clock is a little behind */
#define LINE_CHARS 76u

#define BASE64(bytes) sodium_base64_ENCODED_LEN(bytes, sodium_base64_VARIANT_ORIGINAL)

struct id_text {
	char text[KEY_ID_HEX_CHARS];
};

static struct id_text id_text(const uint8_t id[KEY_ID_BYTES])
{
	struct id_text result;
	sodium_bin2hex(result.text, sizeof result.text, id, KEY_ID_BYTES);
	return result;
}

static struct id_text id_of(const uint8_t key[crypto_sign_PUBLICKEYBYTES])
{
	uint8_t id[KEY_ID_BYTES];
	key_id_of(key, id);
	return id_text(id);
}

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- files ---- */

[[gnu::format(printf, 3, 4)]] static int report(
    const struct ctl *ctl, int status, const char *format, ...)
{
	char text[DETAIL_MAX + PATH_MAX];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	return ctl_report(ctl, text, status);
}

/* A text the caller frees; NULL: why not is said, *ret_status is the exit status. */
static char *read_text(const struct ctl *ctl, const char *path, int *ret_status)
{
	char *text = malloc(FILE_MAX_BYTES + 1);
	FILE *file = text != NULL ? fopen(path, "re") : NULL;
	size_t count = file != NULL ? fread(text, 1, FILE_MAX_BYTES + 1, file) : 0;
	bool good = false;
	if (file == NULL || ferror(file))
		*ret_status =
		    report(ctl, EXIT_NO_INPUT, "cannot read %s: %s", path, strerror(errno));
	else if (count > FILE_MAX_BYTES || memchr(text, '\0', count) != NULL)
		*ret_status = report(ctl, EXIT_BAD_DATA, "%s is no file of keys", path);
	else
		good = true;
	if (good)
		text[count] = '\0';
	if (file != NULL)
		fclose(file);
	if (good)
		return text;
	free(text);
	return NULL;
}

static bool write_text(int fd, const char *text)
{
	size_t count = strlen(text);
	while (count > 0) {
		ssize_t n = write(fd, text, count);
		if (n < 0 && errno != EINTR)
			return false;
		text += n > 0 ? n : 0;
		count -= n > 0 ? (size_t)n : 0;
	}
	return fsync(fd) == 0;
}

/* Nothing is overwritten: a key that is gone can't be had back. */
static int write_new(const struct ctl *ctl, const char *path, mode_t mode, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	bool written = fd >= 0 && write_text(fd, text);
	int error = errno;
	if (fd >= 0)
		close(fd);
	if (written)
		return 0;
	if (fd >= 0)
		(void)unlink(path);
	return report(ctl, EXIT_CANNOT_WRITE, "cannot make %s: %s%s", path, strerror(error),
	    error == EEXIST ? "; move it away, or name another" : "");
}

/* Whole or not at all; owner, group, mode and links to it stay. */
static int replace(const struct ctl *ctl, const char *link, const char *text)
{
	char path[PATH_MAX], other[PATH_MAX];
	struct stat status;
	if (realpath(link, path) == NULL)
		return report(ctl, EXIT_CANNOT_WRITE, "cannot find %s: %s", link, strerror(errno));
	int n = snprintf(other, sizeof other, "%s.XXXXXX", path), fd = -1;
	if (n < 0 || (size_t)n >= sizeof other) {
		errno = ENAMETOOLONG;
	} else if (stat(path, &status) == 0) {
		fd = mkstemp(other);
	}
	bool replaced = fd >= 0 && fchown(fd, status.st_uid, status.st_gid) == 0 &&
			fchmod(fd, status.st_mode & 07777) == 0 && write_text(fd, text) &&
			rename(other, path) == 0;
	int error = errno;
	if (fd >= 0)
		close(fd);
	if (replaced)
		return 0;
	if (fd >= 0)
		(void)unlink(other);
	return report(ctl, EXIT_CANNOT_WRITE, "cannot write %s: %s", path, strerror(error));
}

/* ---- make ---- */

int keys_make(struct ctl *ctl, int argc, char **argv)
{
	uint8_t key[crypto_sign_PUBLICKEYBYTES];
	char base64[KEY_BASE64_CHARS], public_text[200], public_path[PATH_MAX];
	struct {
		uint8_t seed[crypto_sign_SEEDBYTES], secret[crypto_sign_SECRETKEYBYTES];
		char text[BASE64(crypto_sign_SEEDBYTES) + 1];
	} own;
	if (argc != 2)
		return ctl_usage(ctl, "keys make wants the name of a file that is not there yet");
	int n = snprintf(public_path, sizeof public_path, "%s.pub", argv[1]);
	if (n < 0 || (size_t)n >= sizeof public_path)
		return ctl_usage(ctl, "the name of the file is too long");
	(void)sodium_mlock(&own, sizeof own);
	randombytes_buf(own.seed, sizeof own.seed);
	crypto_sign_seed_keypair(key, own.secret, own.seed);
	sodium_bin2base64(own.text, sizeof own.text - 1, own.seed, sizeof own.seed,
	    sodium_base64_VARIANT_ORIGINAL);
	strcat(own.text, "\n");
	sodium_bin2base64(base64, sizeof base64, key, sizeof key, sodium_base64_VARIANT_ORIGINAL);
	snprintf(public_text, sizeof public_text, "# key %s\n%s\n", id_of(key).text, base64);
	int r = write_new(ctl, argv[1], 0600, own.text);
	(void)sodium_munlock(&own, sizeof own); /* wipes it */
	if (r == 0 && (r = write_new(ctl, public_path, 0644, public_text)) != 0)
		(void)unlink(argv[1]);
	if (r != 0)
		return r;
	if (ctl->json)
		output_json(json_pack("{s:s, s:s, s:s, s:s}", "key_id", id_of(key).text,
		    "public_key", base64, "key_file", argv[1], "public_key_file", public_path));
	else
		printf("key %s: %s, to be kept secret, and %s\n", id_of(key).text, argv[1],
		    public_path);
	return 0;
}

/* ---- sign ---- */

struct signing {
	const char *root_file, *member, *output;
	unsigned days;
	uint64_t not_before_ms, not_after_ms;
	uint8_t key[crypto_sign_PUBLICKEYBYTES];
	uint8_t root_key[crypto_sign_PUBLICKEYBYTES], root_secret[crypto_sign_SECRETKEYBYTES];
};

static int read_root(const struct ctl *ctl, struct signing *signing)
{
	uint8_t seed[crypto_sign_SEEDBYTES];
	struct stat status;
	size_t count = 0;
	int r = 0;
	char *text = read_text(ctl, signing->root_file, &r);
	if (text == NULL)
		return r;
	if (stat(signing->root_file, &status) == 0 && (status.st_mode & 077) != 0)
		r = report(ctl, EXIT_BAD_DATA,
		    "%s may be read by others (mode %04o); do chmod 600 %s, and make a new key if "
		    "others could",
		    signing->root_file, (unsigned)status.st_mode & 07777, signing->root_file);
	else if (sodium_base642bin(seed, sizeof seed, text, strlen(text), " \r\n", &count, NULL,
		     sodium_base64_VARIANT_ORIGINAL) != 0 ||
		 count != sizeof seed)
		r = report(ctl, EXIT_BAD_DATA,
		    "%s holds no signing key; the one that keys make wrote, without .pub, is "
		    "wanted",
		    signing->root_file);
	else
		crypto_sign_seed_keypair(signing->root_key, signing->root_secret, seed);
	sodium_memzero(seed, sizeof seed);
	sodium_memzero(text, strlen(text));
	free(text);
	return r;
}

/* One key: a membership is one key's. */
static int read_member(const struct ctl *ctl, const char *path, struct signing *signing)
{
	struct trusted_keys keys;
	char detail[DETAIL_MAX];
	if (trusted_keys_load(path, &keys, detail) != 0)
		return ctl_report(ctl, detail, EXIT_BAD_DATA);
	if (keys.count != 1)
		return report(ctl, EXIT_BAD_DATA,
		    "%s has %zu keys, a membership is for one: put that one into a file of its own",
		    path, keys.count);
	memcpy(signing->key, keys.keys[0], sizeof signing->key);
	return 0;
}

/* The bytes of a SignedMembership, the caller's to free; NULL: no memory. */
static uint8_t *sign_membership(const struct signing *signing, size_t *ret_bytes)
{
	Resolverd__Fleet__Membership membership;
	Resolverd__Fleet__SignedMembership message;
	uint8_t signature[crypto_sign_BYTES], root_id[KEY_ID_BYTES];
	resolverd__fleet__membership__init(&membership);
	resolverd__fleet__signed_membership__init(&message);
	membership.long_term_key =
	    (ProtobufCBinaryData){sizeof signing->key, (uint8_t *)(uintptr_t)signing->key};
	membership.member = (char *)(uintptr_t)signing->member;
	membership.not_before = signing->not_before_ms;
	membership.not_after = signing->not_after_ms;
	size_t inner_bytes = resolverd__fleet__membership__get_packed_size(&membership);
	uint8_t *inner = malloc(inner_bytes), *out = NULL;
	if (inner == NULL)
		return NULL;
	resolverd__fleet__membership__pack(&membership, inner);
	signing_sign(
	    SIGNING_CONTEXT_MEMBERSHIP, inner, inner_bytes, signing->root_secret, signature);
	key_id_of(signing->root_key, root_id);
	message.membership = (ProtobufCBinaryData){inner_bytes, inner};
	message.signature = (ProtobufCBinaryData){sizeof signature, signature};
	message.key_id = (ProtobufCBinaryData){sizeof root_id, root_id};
	*ret_bytes = resolverd__fleet__signed_membership__get_packed_size(&message);
	out = malloc(*ret_bytes);
	if (out != NULL)
		resolverd__fleet__signed_membership__pack(&message, out);
	free(inner);
	return out;
}

/* What says so in a membership file, for people. */
static char *membership_text(const struct signing *signing, const char *base64)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	if (out == NULL)
		return NULL;
	fprintf(out, "# key %s is member %s, says root key %s\n", id_of(signing->key).text,
	    signing->member[0] != '\0' ? signing->member : "(of any name)",
	    id_of(signing->root_key).text);
	fprintf(out, "# from %s", output_time(signing->not_before_ms));
	fprintf(out, " to %s\n", output_time(signing->not_after_ms));
	for (size_t at = 0; base64[at] != '\0'; at += strnlen(base64 + at, LINE_CHARS))
		fprintf(out, "%.*s\n", (int)LINE_CHARS, base64 + at);
	return fclose(out) == 0 ? text : NULL;
}

static int put_membership(struct ctl *ctl, const struct signing *signing)
{
	size_t bytes;
	uint8_t *message = sign_membership(signing, &bytes);
	char *base64 = message != NULL ? malloc(BASE64(bytes)) : NULL, *text = NULL;
	int r = 0;
	if (base64 != NULL) {
		sodium_bin2base64(
		    base64, BASE64(bytes), message, bytes, sodium_base64_VARIANT_ORIGINAL);
		text = membership_text(signing, base64);
	}
	if (text == NULL)
		r = ctl_report(ctl, "out of memory", EXIT_NOT_NOW);
	else if (signing->output != NULL)
		r = write_new(ctl, signing->output, 0644, text);
	if (r == 0 && ctl->json)
		output_json(json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}", "key_id",
		    id_of(signing->key).text, "signed_by", id_of(signing->root_key).text, "member",
		    signing->member, "not_before", (json_int_t)signing->not_before_ms, "not_after",
		    (json_int_t)signing->not_after_ms, "membership", base64));
	else if (r == 0 && signing->output == NULL)
		fputs(text, stdout);
	free(text);
	free(base64);
	free(message);
	return r;
}

static int sign_options(struct ctl *ctl, int argc, char **argv, struct signing *signing)
{
	static const struct option options[] = {{"root", required_argument, NULL, 'r'},
	    {"member", required_argument, NULL, 'm'}, {"days", required_argument, NULL, 'd'},
	    {"output", required_argument, NULL, 'o'}, {0}};
	char *end = NULL, member[FACTS_MEMBER_MAX];
	unsigned long days;
	int c;
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":r:m:d:o:", options, NULL)) != -1) {
		if (c == 'r')
			signing->root_file = optarg;
		else if (c == 'm')
			signing->member = optarg;
		else if (c == 'o')
			signing->output = optarg;
		else if (c != 'd')
			return ctl_usage(ctl, "keys sign: wrong option (see --help)");
		else if ((days = strtoul(optarg, &end, 10)) < 1 || *end != '\0' || days > DAYS_MAX)
			return ctl_usage(ctl, "--days wants a number from 1 to %u, not \"%s\"",
			    DAYS_MAX, optarg);
		else
			signing->days = (unsigned)days;
	}
	if (signing->root_file[0] == '\0' || argc - optind != 1)
		return ctl_usage(ctl, "keys sign wants --root FILE and a file with a public key");
	if (strlen(signing->member) >= FACTS_MEMBER_MAX)
		return ctl_usage(
		    ctl, "--member is too long (%u bytes at most)", FACTS_MEMBER_MAX - 1);
	strcpy(member, signing->member);
	text_mend(member);
	if (strcmp(member, signing->member) != 0)
		return ctl_usage(ctl, "--member has what is no printable text");
	return 0;
}

int keys_sign(struct ctl *ctl, int argc, char **argv)
{
	struct signing signing = {.root_file = "", .member = "", .days = DAYS};
	int r = sign_options(ctl, argc, argv, &signing);
	if (r != 0)
		return r;
	signing.not_before_ms = now_ms() - EARLY_MS;
	signing.not_after_ms = now_ms() + signing.days * DAY_MS;
	r = read_member(ctl, argv[optind], &signing);
	if (r == 0)
		r = read_root(ctl, &signing);
	if (r == 0)
		r = put_membership(ctl, &signing);
	sodium_memzero(signing.root_secret, sizeof signing.root_secret);
	return r;
}

/* ---- list ---- */

struct listing {
	struct ctl *ctl;
	struct ring ring; /* of the files read until now */
	bool any_ring, any_bad;
	json_t *all;
};

static void show_keys(
    struct listing *listing, const char *path, const char *kind, const struct ring_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		struct id_text id = id_text(list->keys[i].id);
		if (listing->ctl->json)
			json_array_append_new(
			    listing->all, json_pack("{s:s, s:s, s:s}", "file", path, "kind", kind,
					      "key_id", id.text));
		else
			printf("%s: %s %s\n", path, kind, id.text);
	}
}

/* problem: NULL: none, or nobody said by whom to judge it. */
static void show_membership(struct listing *listing, const char *path,
    const Resolverd__Fleet__SignedMembership *message,
    const Resolverd__Fleet__Membership *membership, const uint8_t key_id[KEY_ID_BYTES],
    const char *problem)
{
	struct id_text root = {"?"};
	if (message->key_id.len == KEY_ID_BYTES)
		root = id_text(message->key_id.data);
	if (listing->ctl->json) {
		json_array_append_new(listing->all,
		    json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:s?}", "file", path,
			"kind", "membership", "key_id", id_text(key_id).text, "signed_by",
			root.text, "member", membership->member, "not_before",
			(json_int_t)membership->not_before, "not_after",
			(json_int_t)membership->not_after, "holds",
			listing->any_ring ? json_boolean(problem == NULL) : json_null(), "reason",
			problem));
		return;
	}
	printf("%s: membership of key %s as %s, by root %s, to %s", path, id_text(key_id).text,
	    membership->member[0] != '\0' ? membership->member : "(any name)", root.text,
	    output_when(membership->not_after));
	if (!listing->any_ring)
		putchar('\n');
	else
		printf(": %s%s%s%s%s\n", colour_on(listing->ctl, problem == NULL ? GOOD : BAD),
		    problem == NULL ? "holds" : "DOES NOT HOLD", problem == NULL ? "" : ", ",
		    problem == NULL ? "" : problem, colour_off(listing->ctl));
}

/* Whether it is one. */
static bool list_membership(struct listing *listing, const char *path, const char *text)
{
	uint8_t key_id[KEY_ID_BYTES] = {0}, key[crypto_sign_PUBLICKEYBYTES];
	char member[FACTS_MEMBER_MAX];
	Resolverd__Fleet__SignedMembership *message = membership_parse(text, strlen(text));
	Resolverd__Fleet__Membership *membership =
	    message != NULL ? resolverd__fleet__membership__unpack(
				  NULL, message->membership.len, message->membership.data)
			    : NULL;
	if (membership != NULL && membership->long_term_key.len == crypto_sign_PUBLICKEYBYTES) {
		key_id_of(membership->long_term_key.data, key_id);
		text_mend(membership->member); /* it is for a terminal, and anybody's */
		const char *problem = listing->any_ring
					  ? ring_check_membership(&listing->ring, message, key_id,
						now_ms(), member, key)
					  : NULL;
		listing->any_bad = listing->any_bad || problem != NULL;
		show_membership(listing, path, message, membership, key_id, problem);
	}
	bool is_one = membership != NULL;
	resolverd__fleet__membership__free_unpacked(membership, NULL);
	resolverd__fleet__signed_membership__free_unpacked(message, NULL);
	return is_one;
}

static int list_file(struct listing *listing, const char *path)
{
	char error[RING_ERROR_MAX];
	struct ring ring;
	int r = 0;
	char *text = read_text(listing->ctl, path, &r);
	if (text == NULL)
		return r;
	if (ring_parse(text, strlen(text), &ring, error) == 0) {
		show_keys(listing, path, "member", &ring.members);
		show_keys(listing, path, "root", &ring.roots);
		show_keys(listing, path, "revoked", &ring.revoked);
		ring_fini(&listing->ring);
		listing->ring = ring;
		listing->any_ring = true;
	} else if (!list_membership(listing, path, text)) {
		r = report(listing->ctl, EXIT_BAD_DATA,
		    "%s is neither a membership nor a key ring: line %s", path, error);
	}
	free(text);
	return r;
}

int keys_list(struct ctl *ctl, int argc, char **argv)
{
	struct listing listing = {.ctl = ctl};
	int r = 0;
	if (argc < 2)
		return ctl_usage(
		    ctl, "keys list wants a key ring, and memberships to be judged by it");
	listing.all = json_array();
	for (int i = 1; r == 0 && i < argc; i++)
		r = list_file(&listing, argv[i]);
	if (r == 0 && ctl->json)
		output_json(json_pack("{s:O}", "keys", listing.all));
	json_decref(listing.all);
	ring_fini(&listing.ring);
	return r == 0 && listing.any_bad ? EXIT_NOT_VERIFIED : r;
}

/* ---- revoke ---- */

/* An id as it is, or of the keys in a file: lines for the ring. */
static int append_who(const struct ctl *ctl, const char *who, const struct ring *ring, FILE *out)
{
	struct trusted_keys keys;
	char detail[DETAIL_MAX];
	uint8_t ids[TRUSTED_KEYS_MAX][KEY_ID_BYTES];
	size_t count = 1, bytes;
	const char *end;
	if (sodium_hex2bin(ids[0], sizeof ids[0], who, strlen(who), NULL, &bytes, &end) != 0 ||
	    *end != '\0' || bytes != sizeof ids[0]) {
		if (trusted_keys_load(who, &keys, detail) != 0)
			return report(ctl, EXIT_BAD_DATA,
			    "\"%s\" is neither the id of a key, 16 hexadecimal digits, nor a file "
			    "with "
			    "public keys: %s",
			    who, detail);
		count = keys.count;
		for (size_t i = 0; i < count; i++)
			key_id_of(keys.keys[i], ids[i]);
	}
	for (size_t i = 0; i < count; i++) {
		bool is_out = ring_is_revoked(ring, ids[i]);
		if (!is_out)
			fprintf(
			    out, "revoked %s # %s\n", id_text(ids[i]).text, output_time(now_ms()));
		if (!ctl->json)
			printf("%s %s\n", id_text(ids[i]).text,
			    is_out ? "is revoked already" : "is revoked");
	}
	return 0;
}

int keys_revoke(struct ctl *ctl, int argc, char **argv)
{
	char error[RING_ERROR_MAX], *lines = NULL;
	struct ring ring;
	size_t bytes;
	if (argc < 3)
		return ctl_usage(ctl,
		    "keys revoke wants a key ring, and the ids of keys or files with their public "
		    "keys");
	int r = 0;
	char *text = read_text(ctl, argv[1], &r);
	if (text == NULL)
		return r;
	if (ring_parse(text, strlen(text), &ring, error) != 0) {
		free(text);
		return report(ctl, EXIT_BAD_DATA, "%s:%s", argv[1], error);
	}
	FILE *out = open_memstream(&lines, &bytes);
	if (out == NULL)
		r = ctl_report(ctl, "out of memory", EXIT_NOT_NOW);
	else
		fputs(text, out);
	if (out != NULL && text[0] != '\0' && text[strlen(text) - 1] != '\n')
		fputc('\n', out);
	for (int i = 2; r == 0 && i < argc; i++)
		r = append_who(ctl, argv[i], &ring, out);
	if (out != NULL && fclose(out) != 0 && r == 0)
		r = ctl_report(ctl, "out of memory", EXIT_NOT_NOW);
	bool changes = r == 0 && strcmp(lines, text) != 0;
	if (changes)
		r = replace(ctl, argv[1], lines);
	if (r == 0 && ctl->json)
		output_json(json_pack("{s:s, s:b}", "file", argv[1], "changed", changes));
	else if (r == 0 && changes)
		printf(
		    "%s is written; have every member read it again: systemctl reload resolverd\n",
		    argv[1]);
	free(lines);
	free(text);
	ring_fini(&ring);
	return r;
}
