/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an answer says about how to deliver, as a digest: two answers to one question have the same
 * one when a sender would do the same with both. Times, signatures, texts for people, the order of
 * records and the addresses themselves are not in it: address sets turn all the time. Pure.
 */
#pragma once
#include <stdint.h>

#include "resolverd/server/cache.h"

#define VERDICT_BYTES 16u

/* Returns 0 or -ENOMEM. */
[[gnu::warn_unused_result]] int verdict_of(
    const struct answer *answer, uint8_t ret_verdict[VERDICT_BYTES]);
/* Of several: the order counts. */
void verdict_of_all(
    const uint8_t (*verdicts)[VERDICT_BYTES], unsigned count, uint8_t ret_verdict[VERDICT_BYTES]);
