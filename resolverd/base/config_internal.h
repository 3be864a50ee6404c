/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the configuration share: config.c has the keys and libconfuse's side,
 * config_value.c what a value may be, config_take.c the way into struct config.
 */
#pragma once
#include <confuse.h>

#include "resolverd/base/config.h"

#define CONFIG_SOCKET "/run/resolverd/resolverd.sock"
#define CONFIG_CONTROL_SOCKET "/run/resolverd/control.sock"

enum value_kind {
	TEXT,
	SOCKET_PATH,
	DURATION, /* "5m" */
	SIZE,     /* "64M" */
	COUNT,
	MODE,
	STORE_ADDRESS,
	STORE_PREFIX,
	SWITCH, /* yes or no */
	SANDBOX,
	INSECURE_MX,
	PREFETCH_RULE,
	REQUIREMENT,
	TIME, /* "2026-12-31", "2026-12-31T18:00:00Z" */
};

struct key { /* one row is all that a key needs */
	const char *section, *name, *initial;
	enum value_kind kind;
	long low, high; /* COUNT; DURATION in milliseconds */
	bool fixed;     /* a reload does not change it */
};

/* What is wrong with the value, or NULL. */
const char *value_problem(const struct key *key, const char *value);
/* Milliseconds since the epoch; negative on bad input. */
int64_t value_time_ms(const char *text);
/* REQUIREMENT_UNSPECIFIED on bad input. */
Resolverd__V1__Requirement value_requirement(const char *text);
/* "192.0.2.1", "2001:db8::1@5353": NULL, or what is wrong. */
const char *value_server_problem(const char *text);
/* RDATA of a DS or DNSKEY record with its type in front: NULL, or what is wrong. */
const char *value_trust_anchor_problem(const char *text);

/* Of an option that is passed on to libunbound, where the library itself would crash or never end
 * on a bad value: NULL, or what is wrong. All else it refuses by itself. */
const char *value_unbound_problem(const char *name, const char *value);

/* The checked tree into an empty config. On failure some of it is filled; config_fini frees it. */
[[gnu::warn_unused_result]] int config_take(
    cfg_t *cfg, const char *file, struct config *config, char *error, size_t error_bytes);

extern const char *const unbound_allowed[]; /* NULL-terminated */
