/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker role: jobs in over the socket to the server, facts out. It holds no key, opens no file
 * after start, and ends when its socket ends.
 */
#pragma once
#include "resolverd/base/config.h"

int worker_main(const struct config *config, unsigned index);

/* Would a worker start with this? libunbound takes it, and asks nobody. Returns 0, or a negative
 * errno with a line in error: -ENOENT when a file is missing. */
[[gnu::warn_unused_result]] int worker_check(
    const struct config *config, char *error, size_t error_bytes);
