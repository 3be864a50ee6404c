/* SPDX-License-Identifier: BSD-3-Clause */
#include "proto/ring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- lists ---- */

static int by_id(const void *a, const void *b)
{
	return memcmp(
	    ((const struct ring_key *)a)->id, ((const struct ring_key *)b)->id, KEY_ID_BYTES);
}

static const struct ring_key *find(const struct ring_list *list, const uint8_t id[KEY_ID_BYTES])
{
	struct ring_key key;
	if (list->count == 0)
		return NULL;
	memcpy(key.id, id, sizeof key.id);
	return bsearch(&key, list->keys, list->count, sizeof *list->keys, by_id);
}

static int add(struct ring_list *list, const struct ring_key *key)
{
	if (list->count == list->room) {
		size_t room = list->room > 0 ? 2 * list->room : 16;
		struct ring_key *larger = realloc(list->keys, room * sizeof *larger);
		if (larger == NULL)
			return -ENOMEM;
		list->keys = larger;
		list->room = room;
	}
	list->keys[list->count++] = *key;
	return 0;
}

static void sort(struct ring_list *list)
{
	size_t kept = 0;
	if (list->count == 0)
		return;
	qsort(list->keys, list->count, sizeof *list->keys, by_id);
	for (size_t i = 1; i < list->count; i++)
		if (by_id(&list->keys[i], &list->keys[kept]) != 0)
			list->keys[++kept] = list->keys[i];
	list->count = kept + 1;
}

/* ---- the file ---- */

struct words {
	const char *word, *key; /* word: of no bytes when there is none */
	size_t word_bytes, key_bytes;
};

/* False when there are more words than two. */
static bool split(const char *line, size_t count, struct words *ret_words)
{
	const char *found[2];
	size_t bytes[2], n = 0, at = 0;
	for (;;) {
		while (at < count && strchr(" \t\r", line[at]) != NULL && line[at] != '\0')
			at++;
		if (at == count || line[at] == '#')
			break;
		if (n == 2)
			return false;
		found[n] = line + at;
		while (at < count && (line[at] == '\0' || strchr(" \t\r", line[at]) == NULL))
			at++;
		bytes[n] = (size_t)(line + at - found[n]);
		n++;
	}
	*ret_words = (struct words){0};
	if (n > 0)
		*ret_words = (struct words){.key = found[n - 1],
		    .key_bytes = bytes[n - 1],
		    .word = n == 2 ? found[0] : "",
		    .word_bytes = n == 2 ? bytes[0] : 0};
	return true;
}

static bool is_word(const struct words *words, const char *word)
{
	return words->word_bytes == strlen(word) &&
	       memcmp(words->word, word, words->word_bytes) == 0;
}

static const char *read_key(const struct words *words, struct ring_key *ret_key)
{
	size_t bytes;
	const char *end;
	if (sodium_base642bin(ret_key->key, sizeof ret_key->key, words->key, words->key_bytes, NULL,
		&bytes, &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    end != words->key + words->key_bytes || bytes != sizeof ret_key->key)
		return "a key has 32 bytes, written as 44 characters of base64";
	key_id_of(ret_key->key, ret_key->id);
	return NULL;
}

static const char *read_id(const struct words *words, struct ring_key *ret_key)
{
	size_t bytes;
	const char *end;
	memset(ret_key, 0, sizeof *ret_key);
	if (sodium_hex2bin(ret_key->id, sizeof ret_key->id, words->key, words->key_bytes, NULL,
		&bytes, &end) != 0 ||
	    end != words->key + words->key_bytes || bytes != sizeof ret_key->id)
		return "revoked wants the id of a key: 16 hexadecimal digits";
	return NULL;
}

static const char *take_line(struct ring *ring, const char *line, size_t count)
{
	struct words words;
	struct ring_key key;
	struct ring_list *list = &ring->members;
	const char *problem;
	if (!split(line, count, &words))
		return "more than two words; a comment begins with '#'";
	if (words.key == NULL)
		return NULL;
	if (is_word(&words, "revoked")) {
		list = &ring->revoked;
		problem = read_id(&words, &key);
	} else {
		if (is_word(&words, "root"))
			list = &ring->roots;
		else if (words.word_bytes != 0 && !is_word(&words, "member"))
			return "a line is a key, 'root' and a key, or 'revoked' and the id of one";
		problem = read_key(&words, &key);
	}
	if (problem == NULL && list->count == RING_KEYS_MAX)
		problem = "more keys than a ring may have";
	if (problem == NULL && add(list, &key) != 0)
		problem = "out of memory";
	return problem;
}

int ring_parse(const char *text, size_t count, struct ring *ret_ring, char error[RING_ERROR_MAX])
{
	struct ring ring = {0};
	const char *problem = NULL;
	unsigned number = 0;
	for (size_t at = 0; problem == NULL && at < count; number++) {
		const char *end = memchr(text + at, '\n', count - at);
		size_t bytes = end != NULL ? (size_t)(end - text) - at : count - at;
		problem = take_line(&ring, text + at, bytes);
		at += bytes + 1;
	}
	if (problem != NULL) {
		snprintf(error, RING_ERROR_MAX, "%u: %s", number, problem);
		ring_fini(&ring);
		return -EINVAL;
	}
	sort(&ring.members);
	sort(&ring.roots);
	sort(&ring.revoked);
	*ret_ring = ring;
	return 0;
}

void ring_fini(struct ring *ring)
{
	free(ring->members.keys);
	free(ring->roots.keys);
	free(ring->revoked.keys);
	*ring = (struct ring){0};
}

/* ---- who is a member ---- */

static bool is_id(const ProtobufCBinaryData *bytes)
{
	return bytes->len == KEY_ID_BYTES;
}

/* In the ring and not revoked; NULL: neither. */
static const struct ring_key *trusted(
    const struct ring *ring, const struct ring_list *list, const uint8_t id[KEY_ID_BYTES])
{
	return find(&ring->revoked, id) == NULL ? find(list, id) : NULL;
}

static const char *judge_membership(const Resolverd__Fleet__Membership *membership,
    const uint8_t key_id[KEY_ID_BYTES], uint64_t now_ms)
{
	uint8_t id[KEY_ID_BYTES];
	if (membership->long_term_key.len != crypto_sign_PUBLICKEYBYTES)
		return "its key does not have 32 bytes";
	key_id_of(membership->long_term_key.data, id);
	if (memcmp(id, key_id, sizeof id) != 0)
		return "it is another key's";
	if (strlen(membership->member) >= FACTS_MEMBER_MAX)
		return "its member name is too long";
	if (now_ms < membership->not_before)
		return "it is not valid yet (is the clock right?)";
	return now_ms < membership->not_after ? NULL : "it has expired";
}

const char *ring_check_membership(const struct ring *ring,
    const Resolverd__Fleet__SignedMembership *message, const uint8_t key_id[KEY_ID_BYTES],
    uint64_t now_ms, char ret_member[FACTS_MEMBER_MAX], uint8_t ret_key[crypto_sign_PUBLICKEYBYTES])
{
	const struct ring_key *root =
	    is_id(&message->key_id) ? trusted(ring, &ring->roots, message->key_id.data) : NULL;
	if (root == NULL)
		return "no root key of the key ring signed it";
	if (!signing_verify(SIGNING_CONTEXT_MEMBERSHIP, message->membership.data,
		message->membership.len, message->signature.data, message->signature.len,
		root->key))
		return "its signature is not the root key's";
	if (find(&ring->revoked, key_id) != NULL)
		return "its key is revoked";
	Resolverd__Fleet__Membership *membership = resolverd__fleet__membership__unpack(
	    NULL, message->membership.len, message->membership.data);
	if (membership == NULL)
		return "it is malformed";
	const char *problem = judge_membership(membership, key_id, now_ms);
	if (problem == NULL) {
		memcpy(ret_member, membership->member, strlen(membership->member) + 1);
		memcpy(ret_key, membership->long_term_key.data, crypto_sign_PUBLICKEYBYTES);
	}
	resolverd__fleet__membership__free_unpacked(membership, NULL);
	return problem;
}

/* The long-term key with this id, if the ring takes it as that member's. */
static bool find_member(const struct ring *ring, const uint8_t key_id[KEY_ID_BYTES],
    const char *member, const Resolverd__Fleet__SignedMembership *membership, uint64_t now_ms,
    uint8_t ret_key[crypto_sign_PUBLICKEYBYTES])
{
	char name[FACTS_MEMBER_MAX];
	const struct ring_key *listed = trusted(ring, &ring->members, key_id);
	if (listed != NULL)
		memcpy(ret_key, listed->key, crypto_sign_PUBLICKEYBYTES);
	return listed != NULL ||
	       (membership != NULL &&
		   ring_check_membership(ring, membership, key_id, now_ms, name, ret_key) == NULL &&
		   (name[0] == '\0' || strcmp(name, member) == 0));
}

bool ring_has(const struct ring *ring, const uint8_t key[crypto_sign_PUBLICKEYBYTES],
    const char *member, const Resolverd__Fleet__SignedMembership *membership, uint64_t now_ms)
{
	uint8_t id[KEY_ID_BYTES], found[crypto_sign_PUBLICKEYBYTES];
	key_id_of(key, id);
	return find_member(ring, id, member, membership, now_ms, found) &&
	       memcmp(found, key, sizeof found) == 0;
}

bool ring_is_revoked(const struct ring *ring, const uint8_t key_id[KEY_ID_BYTES])
{
	return find(&ring->revoked, key_id) != NULL;
}

/* A root of before is no longer one, or revoked; or there was none. */
static bool has_lost_a_root(const struct ring *before, const struct ring *after)
{
	for (size_t i = 0; i < before->roots.count; i++)
		if (trusted(after, &after->roots, before->roots.keys[i].id) == NULL)
			return true;
	return before->roots.count == 0;
}

bool ring_still_takes(
    const struct ring *before, const struct ring *after, const uint8_t key_id[KEY_ID_BYTES])
{
	if (find(&after->revoked, key_id) != NULL)
		return false;
	return find(&after->members, key_id) != NULL ||
	       (find(&before->members, key_id) == NULL && !has_lost_a_root(before, after));
}

#define MEMBERSHIP_MAX_BYTES 1024u

Resolverd__Fleet__SignedMembership *membership_parse(const char *text, size_t count)
{
	char line[2 * MEMBERSHIP_MAX_BYTES];
	uint8_t bytes[MEMBERSHIP_MAX_BYTES];
	size_t used = 0, n;
	bool comment = false;
	for (size_t i = 0; i < count; i++) {
		comment = text[i] == '#' || (comment && text[i] != '\n');
		if (comment || strchr(" \t\r\n", text[i]) != NULL)
			continue;
		if (used == sizeof line)
			return NULL;
		line[used++] = text[i];
	}
	if (used == 0 || sodium_base642bin(bytes, sizeof bytes, line, used, NULL, &n, NULL,
			     sodium_base64_VARIANT_ORIGINAL) != 0)
		return NULL;
	return resolverd__fleet__signed_membership__unpack(NULL, n, bytes);
}

/* ---- facts ---- */

#define DELEGATION_MAX_BYTES 512u
#define TIME_MAX (UINT64_MAX / 4)

struct origin {
	uint8_t online_key[crypto_sign_PUBLICKEYBYTES];
	char member[FACTS_MEMBER_MAX];
};

static const char *check_delegation(const struct ring *ring,
    const Resolverd__V1__SignedDelegation *message,
    const Resolverd__Fleet__SignedMembership *membership, uint64_t now_ms,
    struct origin *ret_origin)
{
	uint8_t key[crypto_sign_PUBLICKEYBYTES];
	if (!is_id(&message->key_id) || message->delegation.len > DELEGATION_MAX_BYTES)
		return "its delegation is malformed";
	Resolverd__V1__Delegation *delegation = resolverd__v1__delegation__unpack(
	    NULL, message->delegation.len, message->delegation.data);
	const char *problem = NULL;
	if (delegation == NULL || delegation->online_key.len != sizeof ret_origin->online_key ||
	    strlen(delegation->member) >= sizeof ret_origin->member)
		problem = "its delegation is malformed";
	else if (!find_member(
		     ring, message->key_id.data, delegation->member, membership, now_ms, key))
		problem = "no key that the key ring trusts vouches for it";
	else if (!signing_verify(SIGNING_CONTEXT_DELEGATION, message->delegation.data,
		     message->delegation.len, message->signature.data, message->signature.len, key))
		problem = "its delegation is forged";
	else if (delegation->scope != RESOLVERD__V1__SCOPE__ANSWERS)
		problem = "its delegation does not cover answers";
	else if (now_ms < delegation->not_before || now_ms >= delegation->not_after)
		problem = "its delegation is not valid now";
	if (problem == NULL) {
		memcpy(ret_origin->online_key, delegation->online_key.data,
		    sizeof ret_origin->online_key);
		memcpy(ret_origin->member, delegation->member, strlen(delegation->member) + 1);
	}
	resolverd__v1__delegation__free_unpacked(delegation, NULL);
	return problem;
}

/* By one of its delegations at the least. */
static const char *find_origin(const struct ring *ring,
    const Resolverd__Fleet__SignedFacts *message, uint64_t now_ms, struct origin *ret_origin,
    uint8_t ret_long_term_id[KEY_ID_BYTES])
{
	const char *problem = "it has no delegation";
	for (size_t i = 0; i < message->n_delegations && i < 4; i++) {
		problem = check_delegation(
		    ring, message->delegations[i], message->membership, now_ms, ret_origin);
		if (problem != NULL)
			continue;
		memcpy(ret_long_term_id, message->delegations[i]->key_id.data, KEY_ID_BYTES);
		return NULL;
	}
	return problem;
}

static bool is_same_question(const Resolverd__V1__Question *a, const Resolverd__V1__Question *b)
{
	return a != NULL && a->kind == b->kind && a->port == b->port && a->type == b->type &&
	       strcmp(a->name, b->name) == 0;
}

/* critical: no field but those of this version. */
static bool is_understood(const Resolverd__Fleet__SharedFacts *facts)
{
	for (size_t i = 0; i < facts->n_critical; i++)
		if (facts->critical[i] == 0 || facts->critical[i] > 10)
			return false;
	return true;
}

/* Milliseconds that can be reckoned with. */
static bool has_times(const Resolverd__Fleet__SharedFacts *facts)
{
	return facts->validated_at <= TIME_MAX && facts->expires_at <= TIME_MAX &&
	       facts->rrsig_expires_at <= TIME_MAX;
}

static bool has_data_of_its_kind(const Resolverd__Fleet__SharedFacts *facts)
{
	switch (facts->question->kind) {
	case RESOLVERD__V1__KIND__ROUTE:
		return facts->data_case == RESOLVERD__FLEET__SHARED_FACTS__DATA_ROUTE;
	case RESOLVERD__V1__KIND__HOST:
		return facts->data_case == RESOLVERD__FLEET__SHARED_FACTS__DATA_HOST;
	case RESOLVERD__V1__KIND__RECORDS:
		return facts->data_case == RESOLVERD__FLEET__SHARED_FACTS__DATA_RECORDS;
	default:
		return false;
	}
}

static const char *judge_facts(const Resolverd__Fleet__SharedFacts *facts,
    const struct origin *origin, const Resolverd__V1__Question *question, const uint8_t *view,
    size_t view_bytes)
{
	if (!is_same_question(facts->question, question))
		return "it answers another question";
	if (strcmp(facts->member, origin->member) != 0)
		return "it is another member's";
	if (facts->view.len != view_bytes || memcmp(facts->view.data, view, view_bytes) != 0)
		return "it is of another view of the DNS";
	if (!has_times(facts))
		return "its times are none";
	if (!is_understood(facts))
		return "it has a field that this version has to know and does not";
	return has_data_of_its_kind(facts) ? NULL : "its data is of another kind";
}

const char *ring_open_facts(const struct ring *ring, const uint8_t *value, size_t count,
    const Resolverd__V1__Question *question, const uint8_t *view, size_t view_bytes,
    uint64_t now_ms, struct shared_facts *ret_facts)
{
	struct origin origin;
	struct shared_facts opened = {0};
	Resolverd__Fleet__SignedFacts *message =
	    resolverd__fleet__signed_facts__unpack(NULL, count, value);
	const char *problem =
	    message == NULL ? "it is malformed"
			    : find_origin(ring, message, now_ms, &origin, opened.long_term_id);
	if (problem == NULL &&
	    !signing_verify(SIGNING_CONTEXT_FACTS, message->facts.data, message->facts.len,
		message->signature.data, message->signature.len, origin.online_key))
		problem = "its signature is not its member's";
	if (problem == NULL) {
		opened.facts = resolverd__fleet__shared_facts__unpack(
		    NULL, message->facts.len, message->facts.data);
		problem = opened.facts == NULL
			      ? "it is malformed"
			      : judge_facts(opened.facts, &origin, question, view, view_bytes);
	}
	if (problem == NULL)
		*ret_facts = opened;
	else
		resolverd__fleet__shared_facts__free_unpacked(opened.facts, NULL);
	resolverd__fleet__signed_facts__free_unpacked(message, NULL);
	return problem;
}
