/* SPDX-License-Identifier: BSD-3-Clause */
/* The zone sections of the configuration, given to libunbound before its first lookup. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <unbound.h>

#include "resolverd/base/config.h"

/* A zone whose insecure-until is over is validated again. On failure returns a negative errno and
 * writes a line to error. */
[[gnu::warn_unused_result]] int zones_apply(struct ub_ctx *resolver, const struct config *config,
    int64_t now_ms, char *error, size_t error_bytes);
