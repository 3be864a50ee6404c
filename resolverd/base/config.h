/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration file (libconfuse syntax), checked as a whole. Every error names file, line and
 * key. Every role parses the same text: the supervisor reads the file once and hands the text on.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "resolverd.pb-c.h"

struct config_option { /* of the unbound section: libunbound's own name and value */
	const char *name;
	char *value;
};

#define CONFIG_CANARIES_MAX 16u

struct config_canary { /* a name whose status is known beforehand */
	char *name;
	Resolverd__V1__Status expected;
};

struct config_zone { /* how one zone and what is below it is resolved */
	char *name;
	char **forward, **stub;    /* "ADDRESS" or "ADDRESS@PORT"; NULL-terminated, maybe empty */
	char **trust_anchor;       /* "DS ..." or "DNSKEY ..." */
	int64_t insecure_until_ms; /* validation is off until then (RFC 7646); 0: never off */
};

struct config_override { /* local policy for next hops */
	char *next_hop;  /* canonical; ".example.org": every name below example.org */
	Resolverd__V1__Requirement requirement;
	char *reason;
	int64_t until_ms; /* 0: no end */
};

enum prefetch_rule {
	PREFETCH_AHEAD,
	PREFETCH_ON_HIT, /* on a hit in the last tenth of its life, as unbound does */
	PREFETCH_OFF,    /* only what is kept, at its end */
};

enum sandbox_wish {
	SANDBOX_AUTO, /* as far as the kernel goes */
	SANDBOX_REQUIRED,
	SANDBOX_OFF,
};

struct config {
	struct {
		char *socket, *control_socket, *state_directory;
		mode_t socket_mode;
		char *socket_group; /* NULL: leave as created */
		uint32_t max_clients, max_jobs_per_client, max_jobs_per_user, max_clients_per_user;
		uint64_t max_buffered_per_user_bytes;
		char **allow_users, **allow_groups; /* NULL-terminated; both empty: everyone */
		bool log_plans; /* a line for each plan that a client is given */
		enum sandbox_wish sandbox;
	} server;
	struct {
		char *key_file;        /* "": STATE/signing.key */
		char *second_key_file; /* "": none */
		char *public_key_file, *member;
		int64_t delegation_life_ms;
	} signing;
	struct {
		uint64_t max_memory_bytes;
		int64_t min_ttl_ms, max_ttl_ms, failure_ttl_ms, stale_ms;
		int64_t snapshot_interval_ms; /* 0: no snapshot */
	} cache;
	struct {
		enum prefetch_rule rule;
		char *domains_file; /* NULL: none */
	} prefetch;
	struct {
		uint32_t workers;
		char *root_hints, *trust_anchor_file;
		char **forward; /* NULL-terminated; empty: iterate from the root */
		uint32_t deadline_ms;
		Resolverd__V1__InsecureMxPolicy insecure_mx_policy;
		uint8_t digests[2];
		size_t digest_count;
		struct config_canary *canaries;
		size_t canary_count;
	} resolver;
	struct {
		char *redis;            /* store.h; "": no fleet */
		char *credentials_file; /* "": none */
		char *key_prefix;
		uint32_t database;
		char *trusted_keys, *membership_file; /* "": none */
		int64_t max_age_ms;
		uint32_t timeout_ms;
	} fleet;
	struct config_option *unbound;
	size_t unbound_count;
	struct config_zone *zones;
	size_t zone_count;
	struct config_override *overrides; /* ascending by next_hop */
	size_t override_count;
	/* For a reload: the keys that it can't change, a line each, and all that workers act on. */
	char *fixed_text, *worker_text;
};

static inline bool config_zone_is_insecure(const struct config_zone *zone, int64_t now_ms)
{
	return zone->insecure_until_ms > now_ms;
}

static inline bool config_override_has_lapsed(
    const struct config_override *override, int64_t now_ms)
{
	return override->until_ms != 0 && now_ms >= override->until_ms;
}

struct config_source {
	const char *file;       /* for messages; NULL: no file, defaults only */
	const char *text;       /* contents of the file, or "" */
	const char *const *set; /* section.key=value, NULL-terminated; may be NULL */
};

/* Returns 0, or -EINVAL or -ENOMEM after writing one line of what, where and what to do to error.
 */
[[gnu::warn_unused_result]] int config_parse(
    const struct config_source *source, char *error, size_t error_bytes, struct config *ret_config);
void config_fini(struct config *config);

/* The whole of a configuration file; the caller frees it. With optional a file that is not there is
 * an empty one. NULL after writing to error. */
[[gnu::warn_unused_result]] char *config_read_file(
    const char *path, bool optional, char *error, size_t error_bytes);

/* For a reload: next gets what a reload can't change from current. Writes the names of keys that
 * differ in that to changed, "" when there are none. */
void config_keep_fixed(
    struct config *next, struct config *current, char *changed, size_t changed_bytes);

/* "90", "90s", "5m", "2h", "1d", "250ms"; "64M", "1G". Negative on bad input. */
int64_t config_duration_ms(const char *text);
int64_t config_size_bytes(const char *text);
