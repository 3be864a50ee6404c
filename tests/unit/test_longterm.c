/* SPDX-License-Identifier: BSD-3-Clause */
/* The long-term keys: made, read, refused, published, and what they sign. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resolverd.pb-c.h"
#include "resolverd/base/file.h"
#include "resolverd/supervisor/longterm.h"
#include "tests/unit/test.h"

#define NOW INT64_C(1800000000000)
#define LIFE_MS 3600000
#define MEMBER_CHARS 120 /* the longest that a configuration takes */
#define LINK_BYTES 512u  /* what a message between the roles holds */

struct place {
	char directory[64], first[96], second[96], public_key[96];
	struct config config;
	struct longterm keys;
	char error[700];
};

static int setup(void **state)
{
	static struct place place;
	place = (struct place){.directory = "/tmp/resolverd-longterm-XXXXXX"};
	assert_non_null(mkdtemp(place.directory));
	snprintf(place.first, sizeof place.first, "%s/signing.key", place.directory);
	snprintf(place.second, sizeof place.second, "%s/next.key", place.directory);
	snprintf(place.public_key, sizeof place.public_key, "%s/pub", place.directory);
	place.config.signing.key_file = place.config.signing.second_key_file =
	    (char *)(uintptr_t) "";
	*state = &place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;
	longterm_fini(&place->keys);
	unlink(place->first);
	unlink(place->second);
	unlink(place->public_key);
	assert_int_equal(rmdir(place->directory), 0); /* nothing else is left */
	return 0;
}

/* Open keys are closed before. */
static int open_keys(struct place *place, bool may_make_first)
{
	longterm_fini(&place->keys);
	return longterm_open(&place->keys, &place->config, place->directory, may_make_first,
	    place->error, sizeof place->error);
}

static void write_text(const char *path, mode_t mode, const char *text)
{
	assert_int_equal(file_replace(path, mode, text), 0);
}

static void the_first_key_is_made_once_and_stays(void **state)
{
	struct place *place = *state;
	struct stat status;
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
	assert_int_equal(open_keys(place, true), 0);
	assert_int_equal(place->keys.count, 1);
	assert_int_equal(stat(place->first, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	memcpy(public_key, place->keys.keys[0].public_key, sizeof public_key);
	assert_int_equal(open_keys(place, false), 0);
	assert_memory_equal(public_key, place->keys.keys[0].public_key, sizeof public_key);
}

static void a_reload_makes_the_second_key_but_never_the_first(void **state)
{
	struct place *place = *state;
	place->config.signing.second_key_file = place->second;
	assert_int_equal(open_keys(place, false), -ENOENT);
	assert_non_null(strstr(place->error, place->first));
	assert_non_null(strstr(place->error, "restore it"));
	assert_int_not_equal(access(place->second, F_OK), 0);
	assert_int_equal(open_keys(place, true), 0);
	assert_int_equal(unlink(place->second), 0);
	assert_int_equal(open_keys(place, false), 0);
	assert_int_equal(place->keys.count, 2);
}

/* As systemd mounts it from version 254 on: root's, with an ACL for us that shows as the group's.
 */
static void a_credential_goes_before_the_state_and_needs_no_mode_of_ours(void **state)
{
	struct place *place = *state;
	char credential[128];
	uint8_t own[crypto_sign_PUBLICKEYBYTES];
	assert_int_equal(open_keys(place, true), 0);
	memcpy(own, place->keys.keys[0].public_key, sizeof own);
	snprintf(credential, sizeof credential, "%s/resolverd.signing-key", place->directory);
	write_text(credential, 0440, "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n");
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", place->directory, 1), 0);
	assert_int_equal(open_keys(place, false), 0);
	assert_memory_not_equal(own, place->keys.keys[0].public_key, sizeof own);
	assert_int_equal(chmod(credential, 0444), 0);
	assert_int_equal(open_keys(place, false), -EPERM);
	assert_int_equal(unlink(credential), 0);
	assert_int_equal(open_keys(place, false), 0);
	assert_memory_equal(own, place->keys.keys[0].public_key, sizeof own);
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

static const struct bad_row {
	const char *name, *text, *words;
	mode_t mode;
	int error;
} bad_rows[] = {
    {"a_second_key_of_garbage_is_refused", "garbage\n", "holds no signing key", 0600, -EINVAL},
    {"an_empty_second_key_is_refused", "", "holds no signing key", 0600, -EINVAL},
    {"a_second_key_that_others_may_read_is_refused",
	"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n", "chmod 600", 0640, -EPERM},
};

static void bad_row_is_refused(void **state)
{
	const struct bad_row *row = *state;
	void *place_state;
	setup(&place_state);
	struct place *place = place_state;
	assert_int_equal(open_keys(place, true), 0);
	place->config.signing.second_key_file = place->second;
	write_text(place->second, row->mode, row->text);
	assert_int_equal(open_keys(place, false), row->error);
	assert_non_null(strstr(place->error, row->words));
	assert_non_null(strstr(place->error, place->second));
	assert_int_equal(place->keys.count, 0);
	teardown(&place_state);
}

static void one_key_is_not_two(void **state)
{
	struct place *place = *state;
	char *text;
	assert_int_equal(open_keys(place, true), 0);
	assert_int_equal(file_read(place->first, 100, &text), 0);
	write_text(place->second, 0600, text);
	free(text);
	place->config.signing.second_key_file = place->second;
	assert_int_equal(open_keys(place, false), -EINVAL);
	assert_non_null(strstr(place->error, "the same key"));
}

static void both_public_keys_are_published_a_line_each(void **state)
{
	struct place *place = *state;
	char *text, want[200] = "";
	place->config.signing.second_key_file = place->second;
	assert_int_equal(open_keys(place, true), 0);
	assert_int_equal(
	    longterm_publish(&place->keys, place->public_key, place->error, sizeof place->error),
	    0);
	for (size_t i = 0; i < 2; i++) {
		sodium_bin2base64(want + strlen(want), KEY_BASE64_CHARS,
		    place->keys.keys[i].public_key, crypto_sign_PUBLICKEYBYTES,
		    sodium_base64_VARIANT_ORIGINAL);
		strcat(want, "\n");
	}
	assert_int_equal(file_read(place->public_key, sizeof want, &text), 0);
	assert_string_equal(text, want);
	free(text);
	assert_true(longterm_publish(
			&place->keys, "/nowhere/at/all", place->error, sizeof place->error) < 0);
	assert_non_null(strstr(place->error, "public-key-file"));
}

/* The longest member, and the message still has room. */
static void each_key_signs_the_delegation(void **state)
{
	struct place *place = *state;
	uint8_t bytes[LINK_BYTES], online[crypto_sign_PUBLICKEYBYTES] = {7}, id[KEY_ID_BYTES];
	char member[MEMBER_CHARS + 1] = "";
	memset(member, 'm', MEMBER_CHARS);
	place->config.signing.second_key_file = place->second;
	assert_int_equal(open_keys(place, true), 0);
	size_t count =
	    longterm_delegate(&place->keys, member, LIFE_MS, online, NOW, bytes, sizeof bytes);
	assert_int_not_equal(count, 0);
	Resolverd__V1__StatusResponse *message =
	    resolverd__v1__status_response__unpack(NULL, count, bytes);
	assert_int_equal(message->n_delegations, 2);
	for (size_t i = 0; i < 2; i++) {
		const Resolverd__V1__SignedDelegation *outer = message->delegations[i];
		const struct longterm_key *key = &place->keys.keys[i];
		key_id_of(key->public_key, id);
		assert_memory_equal(outer->key_id.data, id, sizeof id);
		assert_true(signing_verify(SIGNING_CONTEXT_DELEGATION, outer->delegation.data,
		    outer->delegation.len, outer->signature.data, outer->signature.len,
		    key->public_key));
		Resolverd__V1__Delegation *inner = resolverd__v1__delegation__unpack(
		    NULL, outer->delegation.len, outer->delegation.data);
		assert_memory_equal(inner->online_key.data, online, sizeof online);
		assert_string_equal(inner->member, member);
		assert_int_equal(inner->not_before, NOW - 60000);
		assert_int_equal(inner->not_after, NOW + LIFE_MS);
		assert_int_equal(inner->scope, V1(SCOPE__ANSWERS));
		resolverd__v1__delegation__free_unpacked(inner, NULL);
	}
	resolverd__v1__status_response__free_unpacked(message, NULL);
	assert_int_equal(
	    longterm_delegate(&place->keys, member, LIFE_MS, online, NOW, bytes, count - 1), 0);
}

static void after_a_swap_the_derived_keys_are_swapped(void **state)
{
	struct place *place = *state;
	uint8_t before[2 * 32], after[2 * 32];
	struct longterm others = {0};
	char error[700];
	place->config.signing.second_key_file = place->second;
	assert_int_equal(open_keys(place, true), 0);
	assert_int_equal(longterm_derive(&place->keys, "a use", before), sizeof before);
	assert_memory_not_equal(before, before + 32, 32);
	place->config.signing.key_file = place->second;
	place->config.signing.second_key_file = place->first;
	assert_int_equal(
	    longterm_open(&others, &place->config, place->directory, false, error, sizeof error),
	    0);
	assert_false(longterm_equal(&place->keys, &others));
	assert_int_equal(longterm_derive(&others, "a use", after), sizeof after);
	assert_memory_equal(before, after + 32, 32);
	assert_memory_equal(before + 32, after, 32);
	longterm_fini(&others);
	longterm_fini(&others); /* fine twice */
}

#define PLACE_TEST(name)                                                                           \
	{                                                                                          \
#name, name, setup, teardown, NULL                                                 \
	}

int main(void)
{
	struct test_list list = {0};
	const struct CMUnitTest tests[] = {
	    PLACE_TEST(the_first_key_is_made_once_and_stays),
	    PLACE_TEST(a_reload_makes_the_second_key_but_never_the_first),
	    PLACE_TEST(a_credential_goes_before_the_state_and_needs_no_mode_of_ours),
	    PLACE_TEST(one_key_is_not_two),
	    PLACE_TEST(both_public_keys_are_published_a_line_each),
	    PLACE_TEST(each_key_signs_the_delegation),
	    PLACE_TEST(after_a_swap_the_derived_keys_are_swapped),
	};
	for (size_t i = 0; i < COUNT(tests); i++)
		list.tests[list.count++] = tests[i];
	ADD_ROWS(&list, bad_rows, bad_row_is_refused);
	return sodium_init() < 0 ? 1 : test_run("longterm", &list, NULL, NULL);
}
