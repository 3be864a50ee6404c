/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a role gives up before it meets foreign data (docs/OPERATIONS.md has the table): new
 * privileges, capabilities, core dumps, system calls that are not on its list (seccomp), files and
 * TCP ports that are not its own (Landlock). It can't be undone, and children inherit it: the
 * supervisor's confinement is that of all roles, and each role adds its own.
 *
 * Where the kernel lacks one of these the rest still holds, and the supervisor says so once; with
 * server.sandbox = required it does not start.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "resolverd/base/config.h"

enum sandbox_role {
	SANDBOX_SUPERVISOR, /* starts programs, but this one only; writes where it is told */
	SANDBOX_SERVER,     /* no sockets but those it has; files only where it is told */
	SANDBOX_WORKER,     /* sockets to the Internet; no files */
	SANDBOX_ANCHOR,     /* sockets to the Internet; files only where it is told */
	SANDBOX_FLEET,      /* sockets to the store; reads what names are looked up by */
	SANDBOX_TRIAL,      /* of a configuration: as the anchor, and files in memory */
	SANDBOX_ROLES
};

/* A file, or a folder with all that is and will be below it. One that is not there is left out. */
struct sandbox_path {
	const char *path;
	bool writable; /* else it may only be read */
};

struct sandbox {
	enum sandbox_role role;
	/* For the supervisor where it may write; it reads all that its user may. */
	const struct sandbox_path *paths;
	size_t path_count;
};

/* Enters for good, as config wishes. Everything must be open that the paths don't cover. Returns 0,
 * or -errno when what is required is not to be had; that was logged. */
[[gnu::warn_unused_result]] int sandbox_enter(
    const struct sandbox *sandbox, const struct config *config);

/* No core dump of this process, and nobody of its user may trace it or read its memory. Before a
 * key is there, and whatever server.sandbox says. */
void sandbox_forbid_dumps(void);

/* As many descriptors as the limits allow: a server has a client on each, libunbound a port. */
void sandbox_raise_limits(void);
/* Of a role that reads what it can't trust; not under AddressSanitizer, which wants far more. */
void sandbox_limit_memory(size_t bytes);
