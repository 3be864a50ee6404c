/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names whose lookups fail, so that one costs the upstream a bounded number of jobs a minute,
 * whatever questions of it clients ask: a failed answer is kept for failure-ttl, but only for its
 * own type and port. A fixed table: under a flood of failing names the oldest is forgotten. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define FAILURES_PER_MINUTE 10u

struct failures {
	struct failures_name *names;
	uint8_t hash_key[16];
	uint64_t refused; /* counted by failures_hold */
};

/* Returns 0 or -ENOMEM. */
[[gnu::warn_unused_result]] int failures_init(struct failures *failures);
void failures_fini(struct failures *failures);
void failures_note(struct failures *failures, const char *name, int64_t now_ms);
/* For how many milliseconds the name is not to be looked up; 0: it may be now. */
int64_t failures_hold_ms(struct failures *failures, const char *name, int64_t now_ms);
