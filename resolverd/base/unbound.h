/* SPDX-License-Identifier: BSD-3-Clause */
/* How libunbound is set wherever this program asks the DNS (docs/RESOLVER.md says why). */
#pragma once
#include <stddef.h>
#include <unbound.h>

#include "resolverd/base/config.h"

/* Our settings, then those of the unbound section. On failure writes a line to error and returns
 * -EINVAL. */
[[gnu::warn_unused_result]] int unbound_apply(
    struct ub_ctx *ctx, const struct config *config, char *error, size_t error_bytes);

/* One option; its name ends in a colon. Fails as above. */
[[gnu::warn_unused_result]] int unbound_set(
    struct ub_ctx *ctx, const char *name, const char *value, char *error, size_t error_bytes);
