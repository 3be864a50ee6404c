/* SPDX-License-Identifier: BSD-3-Clause */
/* Starting a role: this binary again, with fixed descriptors and nothing else of ours. */
#pragma once
#include <stddef.h>
#include <sys/types.h>

struct spawn_fd {
	int from, to; /* to: enum role_fd */
};

struct spawn {
	const char *role;
	const char *config_file;    /* for messages of the role; may be NULL */
	const char *const *set;     /* NULL-terminated; may be NULL */
	const struct spawn_fd *fds; /* ascending by to; at most SPAWN_FDS_MAX */
	size_t fd_count;
};

#define SPAWN_FDS_MAX 4u

/* The child dies with this process. Returns its pid, or -1. */
pid_t spawn_role(const struct spawn *spawn);
