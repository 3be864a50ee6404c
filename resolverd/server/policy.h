/* SPDX-License-Identifier: BSD-3-Clause */
/* Local policy: what the operator's overrides say about a next hop. Pure. */
#pragma once
#include <stdint.h>

#include "resolverd/base/config.h"

/* The override in force for a canonical next hop: its own, else the closest one of the form
 * ".example.org"; NULL when there is none. One that has lapsed counts as absent. */
const struct config_override *policy_find(
    const struct config *config, const char *next_hop, int64_t now_ms);

/* Sets the route's local fields; brings *expires_at_ms forward to when the override lapses. */
void policy_apply(const struct config *config, const char *next_hop, int64_t now_ms,
    Resolverd__V1__Route *route, uint64_t *expires_at_ms);
/* As a worker tells it. */
void policy_clear(Resolverd__V1__Route *route);
