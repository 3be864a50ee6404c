/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A circuit breaker before something that is never needed: when it failed some times in a row it is
 * left alone, for longer each time and never for as long as others (jitter), and then tried with
 * one request. Pure: time is a parameter.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define BREAKER_FAILURES 3u /* in a row */
#define BREAKER_FIRST_MS 1000
#define BREAKER_LONGEST_MS 30000

/* All zero: closed, everything may pass. */
struct breaker {
	unsigned failures;     /* in a row */
	unsigned openings;     /* in a row, without a success between */
	int64_t open_until_ms; /* mono; 0: closed */
	bool trying;           /* the one request after an opening is under way */
	uint64_t opened_count;
};

/* Whether a request may be made now; each that is made is noted when it has ended. */
[[gnu::warn_unused_result]] bool breaker_allows(struct breaker *breaker, int64_t now_ms);
void breaker_note(struct breaker *breaker, bool good, int64_t now_ms, uint64_t random);
static inline bool breaker_is_open(const struct breaker *breaker)
{
	return breaker->open_until_ms != 0;
}
