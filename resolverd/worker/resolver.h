/* SPDX-License-Identifier: BSD-3-Clause */
/* The libunbound context of a worker and the settings we give it (docs/ARCHITECTURE.md says why).
 */
#pragma once
#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>
#include <unbound-event.h>
#include <unbound.h>

#include "resolverd/base/config.h"

/* Reads root hints and trust anchor files, here and only here; now_ms decides which zones are
 * validated. On failure writes a line to error and returns a negative errno. */
[[gnu::warn_unused_result]] int resolver_new(struct event_base *base, const struct config *config,
    int64_t now_ms, char *error, size_t error_bytes, struct ub_ctx **ret_ctx);
