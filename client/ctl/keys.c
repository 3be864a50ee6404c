/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resolverctl keys: whom this client trusts, and who vouches for the keys that the daemon signs
 * with: before and after each step of a key's replacement (docs/OPERATIONS.md, "Keys").
 */
#include <stdio.h>
#include <string.h>

#include "client/ctl/ctl.h"
#include "client/ctl/keys_fleet.h"
#include "client/lib/keys.h"

struct keys {
	struct trusted_keys trusted;
	char ids[TRUSTED_KEYS_MAX][KEY_ID_HEX_CHARS];
	const struct resolverd_daemon_status *status;
};

static void name_keys(struct keys *keys)
{
	uint8_t id[KEY_ID_BYTES];
	for (size_t i = 0; i < keys->trusted.count; i++) {
		key_id_of(keys->trusted.keys[i], id);
		sodium_bin2hex(keys->ids[i], sizeof keys->ids[i], id, sizeof id);
	}
}

static bool is_in_file(const struct keys *keys, const char *id)
{
	for (size_t i = 0; i < keys->trusted.count; i++)
		if (strcmp(keys->ids[i], id) == 0)
			return true;
	return false;
}

/* The last end of what this long-term key vouches for; 0: for nothing. */
static uint64_t vouches_until(const struct keys *keys, const char *id)
{
	uint64_t until_ms = 0;
	for (size_t i = 0; i < keys->status->delegation_count; i++) {
		const struct resolverd_delegation *one = &keys->status->delegations[i];
		if (strcmp(one->signed_by, id) == 0 && one->not_after_ms > until_ms)
			until_ms = one->not_after_ms;
	}
	return until_ms;
}

static bool any_holds(const struct keys *keys)
{
	for (size_t i = 0; i < keys->status->delegation_count; i++)
		if (keys->status->delegations[i].trusted)
			return true;
	return false;
}

static void print_json(const struct keys *keys)
{
	json_t *trusted = json_array(), *delegations = json_array();
	char text[sodium_base64_ENCODED_LEN(
	    crypto_sign_PUBLICKEYBYTES, sodium_base64_VARIANT_ORIGINAL)];
	for (size_t i = 0; i < keys->trusted.count; i++) {
		sodium_bin2base64(text, sizeof text, keys->trusted.keys[i],
		    crypto_sign_PUBLICKEYBYTES, sodium_base64_VARIANT_ORIGINAL);
		json_array_append_new(trusted,
		    json_pack("{s:s, s:s, s:o}", "key_id", keys->ids[i], "public_key", text,
			"vouches_until", output_ms(vouches_until(keys, keys->ids[i]))));
	}
	for (size_t i = 0; i < keys->status->delegation_count; i++) {
		const struct resolverd_delegation *one = &keys->status->delegations[i];
		json_array_append_new(delegations,
		    json_pack("{s:s, s:s, s:s, s:I, s:I, s:b, s:b}", "key_id", one->key_id,
			"signed_by", one->signed_by, "member", one->member, "not_before",
			(json_int_t)one->not_before_ms, "not_after", (json_int_t)one->not_after_ms,
			"in_file", is_in_file(keys, one->signed_by), "holds", one->trusted));
	}
	output_json(json_pack("{s:s, s:o, s:o}", "member", keys->status->member, "trusted", trusted,
	    "delegations", delegations));
}

static void print_text(const struct ctl *ctl, const struct keys *keys, const char *path)
{
	printf(
	    "%s, %zu %s:\n", path, keys->trusted.count, keys->trusted.count == 1 ? "key" : "keys");
	for (size_t i = 0; i < keys->trusted.count; i++) {
		uint64_t until_ms = vouches_until(keys, keys->ids[i]);
		printf("  %s  ", keys->ids[i]);
		if (until_ms == 0)
			printf("%snot of this daemon, or not in use there yet%s\n",
			    colour_on(ctl, WARN), colour_off(ctl));
		else
			printf("vouches for it until %s\n", output_when(until_ms));
	}
	printf("resolverd, member %s, signs with:\n", keys->status->member);
	for (size_t i = 0; i < keys->status->delegation_count; i++) {
		const struct resolverd_delegation *one = &keys->status->delegations[i];
		bool known = is_in_file(keys, one->signed_by);
		printf("  %s  by %s, %s to %s: %s%s%s\n", one->key_id, one->signed_by,
		    output_time(one->not_before_ms), output_when(one->not_after_ms),
		    colour_on(ctl, one->trusted ? GOOD
				   : known      ? BAD
						: DIM),
		    one->trusted ? "holds"
		    : known      ? "DOES NOT HOLD (is the clock right?)"
				 : "by a key that is not in this file",
		    colour_off(ctl));
	}
}

int keys_command(struct ctl *ctl, int argc, char **argv)
{
	static const struct {
		const char *word;
		int (*run)(struct ctl *ctl, int argc, char **argv);
	} parts[] = {
	    {"make", keys_make}, {"sign", keys_sign}, {"list", keys_list}, {"revoke", keys_revoke}};
	static struct keys keys; /* large */
	char detail[DETAIL_MAX];
	struct resolverd_daemon_status *status;
	for (size_t i = 0; argc > 1 && i < sizeof parts / sizeof *parts; i++)
		if (strcmp(argv[1], parts[i].word) == 0)
			return parts[i].run(ctl, argc - 1, argv + 1);
	if (argc != 1)
		return ctl_usage(
		    ctl, "keys takes nothing, or one of make, sign, list or revoke first");
	const char *path = ctl->options.public_key_file;
	if (path == NULL)
		path = secure_getenv("RESOLVERD_PUBLIC_KEY");
	if (path == NULL || path[0] == '\0')
		path = RESOLVERD_DEFAULT_PUBLIC_KEY;
	int error = trusted_keys_load(path, &keys.trusted, detail);
	if (error != 0)
		return ctl_report(ctl, detail, EXIT_NOT_VERIFIED);
	name_keys(&keys);
	int r = ctl_open(ctl);
	if (r != 0)
		return r;
	error = resolverd_status(ctl->client, ctl->timeout_ms, &status);
	if (error != 0)
		return ctl_fail(ctl, error);
	keys.status = status;
	if (ctl->json)
		print_json(&keys);
	else
		print_text(ctl, &keys, path);
	r = any_holds(&keys) ? 0 : EXIT_NOT_VERIFIED;
	resolverd_daemon_status_free(status);
	return r;
}
