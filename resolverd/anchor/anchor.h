/* SPDX-License-Identifier: BSD-3-Clause */
/* The anchor role: checks the root's keys once (RFC 5011) and ends. */
#pragma once
#include "resolverd/base/config.h"

/* Returns the role's exit code, an enum anchor_exit. */
int anchor_main(const struct config *config);
