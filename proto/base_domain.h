/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the TLSA records of a host may be (RFC 7672 sections 2.2.2 and 2.2.3). Pure. */
#pragma once
#include <stddef.h>

struct base_domains {
	const char *names[2]; /* in the order they are asked for; borrowed */
	size_t count;
};

/* expanded: where the host's aliases lead, when all of that is secure; else NULL, and only the
 * host's own name counts. Both are canonical. */
struct base_domains base_domains_of(const char *host, const char *expanded);
