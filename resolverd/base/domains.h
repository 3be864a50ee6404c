/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file of next hops, one a line: what prefetch.domains-file names. Empty lines and what stands
 * behind # do not count.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "proto/names.h"

struct domains {
	char *text; /* NULL: empty */
	const char *next;
	size_t count;
};

/* Takes fd. path: for messages. Reads and checks the whole file. Returns 0, or -errno after writing
 * to error what, where and what to do; *ret_domains is empty then. */
[[gnu::warn_unused_result]] int domains_read(
    int fd, const char *path, struct domains *ret_domains, char *error, size_t error_bytes);
/* Whether it can be read at all. path NULL: fine. */
[[gnu::warn_unused_result]] int domains_check(const char *path, char *error, size_t error_bytes);
void domains_fini(struct domains *domains);
/* The next one, canonical; false after the last. */
bool domains_next(struct domains *domains, struct next_hop *ret_hop);
/* From the first one again. */
void domains_rewind(struct domains *domains);
