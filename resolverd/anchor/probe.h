/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One lookup of the root's key set through libunbound, which validates it by the keys of an
 * autotrust file and then moves the states in that file on (RFC 5011 section 2). libunbound
 * rewrites the file beside itself (FILE.PID-…, then renamed), also when validation fails; and it
 * ends the process when it can't write. So hand it a copy.
 */
#pragma once
#include <stddef.h>

#include "resolverd/base/config.h"

enum probe_result {
	PROBE_SECURE,
	PROBE_REFUSED, /* libunbound doesn't start with this file or configuration */
	PROBE_SILENT,  /* no answer: nothing is known of the keys */
	PROBE_FAILED,  /* an answer that these keys do not sign, or no usable key among them */
};

/* hold_down: of new keys. On anything but PROBE_SECURE writes what went wrong to why. Blocks for at
 * most resolver.deadline. */
[[gnu::warn_unused_result]] enum probe_result probe_root(const struct config *config,
    const char *file, const char *hold_down, char *why, size_t why_bytes);

#define PROBE_HOLD_DOWN_NEVER_ENDS "2147483647"
#define PROBE_HOLD_DOWN_30_DAYS "2592000"
