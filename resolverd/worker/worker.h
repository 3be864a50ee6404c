/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker role: jobs in over the socket to the server, facts out. It holds no key, opens no file
 * after start, and ends when its socket ends.
 */
#pragma once
#include "resolverd/base/config.h"

int worker_main(const struct config *config, unsigned index);
