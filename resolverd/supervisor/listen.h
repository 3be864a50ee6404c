/* SPDX-License-Identifier: BSD-3-Clause */
/* The Unix socket that clients connect to. */
#pragma once
#include <stddef.h>
#include <sys/types.h>

/* Binds and listens; replaces a socket file nobody listens on, refuses one that is in use. group
 * may be NULL. On failure returns a negative errno and says what to do in error. */
[[gnu::warn_unused_result]] int listen_unix(
    const char *path, mode_t mode, const char *group, char *error, size_t error_bytes, int *ret_fd);

/* Whose the socket's file is, which is there already. group NULL: our own. -ENOENT: it is not
 * there.
 */
[[gnu::warn_unused_result]] int listen_set_access(
    const char *path, mode_t mode, const char *group, char *error, size_t error_bytes);
