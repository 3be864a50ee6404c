/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who may use the clients' socket: server.allow-users and server.allow-groups, as numbers. The
 * supervisor finds the numbers, since that takes files; the server compares.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "resolverd/base/config.h"

#define ACCESS_IDS_MAX 120u

/* All zero: everyone who can open the socket. Fits a struct link_message. */
struct access_list {
	uint32_t user_count, group_count;
	uint32_t ids[ACCESS_IDS_MAX]; /* of users, then of groups */
};

/* Names by the system's databases; numbers as they are. Returns 0, or -EINVAL after writing to
 * error which is unknown, or that there are too many. */
[[gnu::warn_unused_result]] int access_resolve(
    const struct config *config, struct access_list *ret_list, char *error, size_t error_bytes);

/* groups: all that the peer is in. Root always may. */
bool access_allows(
    const struct access_list *list, uid_t user, const gid_t *groups, size_t group_count);
