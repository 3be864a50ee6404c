/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The root keys as libunbound tracks them by RFC 5011: its autotrust file, read strictly, and the
 * anchor file that follows from it. Only keys in the states VALID and MISSING are trusted. The
 * autotrust file itself is no anchor file: without their states, in comments, its pending and
 * revoked keys would read like the others.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACKED_KEYS_MAX 32u

/* RFC 5011 section 4.2, with the numbers that libunbound writes. */
enum tracked_state {
	TRACKED_START = 0,
	TRACKED_PENDING = 1,
	TRACKED_VALID = 2,
	TRACKED_MISSING = 3,
	TRACKED_REVOKED = 4,
	TRACKED_REMOVED = 5,
};

struct tracked_key {
	uint16_t flags, tag;
	uint8_t protocol, algorithm;
	enum tracked_state state;
	const char *base64; /* in tracked.text */
};

struct tracked {
	struct tracked_key keys[TRACKED_KEYS_MAX];
	unsigned count;
	bool all_revoked; /* libunbound gave the root up: it has no trust anchor any more */
	char *text;
};

/* Returns 0, -ENOMEM, or -EINVAL for anything but a whole file that libunbound wrote for the root.
 */
[[gnu::warn_unused_result]] int tracked_parse(const char *text, struct tracked *ret_tracked);
void tracked_fini(struct tracked *tracked);

bool tracked_is_trusted(const struct tracked_key *key);
bool tracked_has_pending(const struct tracked *tracked);
bool tracked_has_revoked(const struct tracked *tracked); /* or removed since */
/* The text of the anchor file, the same for the same trusted keys; NULL: out of memory, or no key
 * is trusted. The caller frees. */
char *tracked_anchors(const struct tracked *tracked);
/* "20326 38696" of the trusted, or of the pending keys; "none". */
void tracked_tags(const struct tracked *tracked, bool trusted, char *out, size_t out_bytes);
