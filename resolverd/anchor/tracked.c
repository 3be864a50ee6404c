/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/anchor/tracked.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES_MAX 4096u
#define FLAG_REVOKE 0x80u

static const char anchors_head[] =
    "; The root keys that resolverd trusts at present (RFC 5011).\n"
    "; Written by resolverd: it replaces this file when the keys change.\n";

static bool read_number(const char *word, unsigned long max, unsigned long *ret_number)
{
	char *end;
	if (word == NULL || *word < '0' || *word > '9')
		return false;
	errno = 0;
	*ret_number = strtoul(word, &end, 10);
	return errno == 0 && *end == '\0' && *ret_number <= max;
}

/* RFC 4034 appendix B, over the RDATA. */
static uint16_t tag_of(const struct tracked_key *key, const uint8_t *bytes, size_t count)
{
	uint32_t sum = key->flags + ((uint32_t)key->protocol << 8) + key->algorithm;
	for (size_t i = 0; i < count; i++)
		sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
	return (uint16_t)(sum + (sum >> 16));
}

/* ". TTL IN DNSKEY FLAGS PROTOCOL ALGORITHM KEY", cut up in place; whether it is one. */
static bool parse_record(char *record, struct tracked_key *key)
{
	char *words[9] = {NULL}, *rest = NULL;
	size_t count = 0;
	for (char *word = strtok_r(record, " \t", &rest); word != NULL && count < 9;
	     word = strtok_r(NULL, " \t", &rest))
		words[count++] = word;
	unsigned long ttl, flags, protocol, algorithm;
	if (count != 8 || strcmp(words[0], ".") != 0 || !read_number(words[1], UINT32_MAX, &ttl) ||
	    strcmp(words[2], "IN") != 0 || strcmp(words[3], "DNSKEY") != 0 ||
	    !read_number(words[4], UINT16_MAX, &flags) ||
	    !read_number(words[5], UINT8_MAX, &protocol) ||
	    !read_number(words[6], UINT8_MAX, &algorithm))
		return false;
	uint8_t bytes[KEY_BYTES_MAX];
	size_t bytes_count;
	if (sodium_base642bin(bytes, sizeof bytes, words[7], strlen(words[7]), NULL, &bytes_count,
		NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    bytes_count == 0)
		return false;
	key->flags = (uint16_t)flags;
	key->protocol = (uint8_t)protocol;
	key->algorithm = (uint8_t)algorithm;
	key->base64 = words[7];
	key->tag = tag_of(key, bytes, bytes_count);
	return true;
}

static bool parse_state(const char *comment, enum tracked_state *ret_state)
{
	static const char mark[] = ";;state=";
	const char *at = strstr(comment, mark);
	if (at == NULL || at[sizeof mark - 1] < '0' || at[sizeof mark - 1] > '0' + TRACKED_REMOVED)
		return false;
	*ret_state = (enum tracked_state)(at[sizeof mark - 1] - '0');
	return true;
}

static bool parse_key(char *line, char *comment, struct tracked *tracked)
{
	struct tracked_key *key = &tracked->keys[tracked->count];
	if (comment == NULL || tracked->count == TRACKED_KEYS_MAX ||
	    !parse_state(comment, &key->state))
		return false;
	*comment = '\0';
	if (!parse_record(line, key))
		return false;
	tracked->count++;
	return true;
}

static int parse_lines(struct tracked *tracked)
{
	bool is_of_root = false;
	char *next = tracked->text;
	while (*next != '\0') {
		char *line = next, *end = strchr(line, '\n');
		if (end == NULL)
			return -EINVAL; /* cut off */
		*end = '\0';
		next = end + 1;
		char *comment = strchr(line, ';');
		if (strcmp(line, ";;REVOKED") == 0)
			tracked->all_revoked = true;
		else if (strcmp(line, ";;id: . 1") == 0)
			is_of_root = true;
		else if (comment != line && *line != '\0' && !parse_key(line, comment, tracked))
			return -EINVAL;
	}
	return is_of_root ? 0 : -EINVAL;
}

int tracked_parse(const char *text, struct tracked *ret_tracked)
{
	struct tracked tracked = {.text = strdup(text)};
	int r = tracked.text != NULL ? parse_lines(&tracked) : -ENOMEM;
	if (r != 0)
		tracked_fini(&tracked);
	else
		*ret_tracked = tracked;
	return r;
}

void tracked_fini(struct tracked *tracked)
{
	free(tracked->text);
	*tracked = (struct tracked){0};
}

bool tracked_is_trusted(const struct tracked_key *key)
{
	return (key->state == TRACKED_VALID || key->state == TRACKED_MISSING) &&
	       (key->flags & FLAG_REVOKE) == 0;
}

bool tracked_has_pending(const struct tracked *tracked)
{
	for (unsigned i = 0; i < tracked->count; i++)
		if (tracked->keys[i].state == TRACKED_PENDING)
			return true;
	return false;
}

bool tracked_has_revoked(const struct tracked *tracked)
{
	for (unsigned i = 0; i < tracked->count; i++)
		if (tracked->keys[i].state >= TRACKED_REVOKED)
			return true;
	return false;
}

/* By tag, then by key: libunbound's own order turns around with each run. */
static int compare(const void *a, const void *b)
{
	const struct tracked_key *x = a, *y = b;
	return x->tag != y->tag ? (x->tag > y->tag) - (x->tag < y->tag)
				: strcmp(x->base64, y->base64);
}

static unsigned sorted(const struct tracked *tracked, bool trusted, struct tracked_key *out)
{
	unsigned count = 0;
	for (unsigned i = 0; i < tracked->count; i++)
		if (trusted ? tracked_is_trusted(&tracked->keys[i])
			    : tracked->keys[i].state == TRACKED_PENDING)
			out[count++] = tracked->keys[i];
	qsort(out, count, sizeof *out, compare);
	return count;
}

char *tracked_anchors(const struct tracked *tracked)
{
	struct tracked_key keys[TRACKED_KEYS_MAX];
	unsigned count = tracked->all_revoked ? 0 : sorted(tracked, true, keys);
	char *text = NULL;
	size_t bytes;
	FILE *out = count > 0 ? open_memstream(&text, &bytes) : NULL;
	if (out == NULL)
		return NULL;
	fputs(anchors_head, out);
	for (unsigned i = 0; i < count; i++)
		fprintf(out, ". IN DNSKEY %u %u %u %s ; keytag %u\n", keys[i].flags,
		    keys[i].protocol, keys[i].algorithm, keys[i].base64, keys[i].tag);
	bool failed = ferror(out) != 0;
	if (fclose(out) != 0 || failed) {
		free(text);
		return NULL;
	}
	return text;
}

void tracked_tags(const struct tracked *tracked, bool trusted, char *out, size_t out_bytes)
{
	struct tracked_key keys[TRACKED_KEYS_MAX];
	unsigned count = sorted(tracked, trusted, keys);
	size_t used = 0;
	snprintf(out, out_bytes, "none");
	for (unsigned i = 0; i < count && used < out_bytes; i++)
		used += (size_t)snprintf(
		    out + used, out_bytes - used, "%s%u", i > 0 ? " " : "", keys[i].tag);
}
