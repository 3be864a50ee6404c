/* SPDX-License-Identifier: BSD-3-Clause */
/* Where to listen for connections: Unix sockets, and TCP on loopback. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SOCKETS_MAX 16u

struct listening {
	int fd;
	char name[128];   /* "unix:/run/x.sock", "inet:127.0.0.1:8460" */
	const char *path; /* of a Unix socket that we made, and remove; borrowed */
	bool is_unix;
};

struct sockets {
	struct listening list[SOCKETS_MAX];
	size_t count;
};

/* Adds "unix:PATH" or "inet:ADDRESS:PORT". mode and group (NULL: as created) are of Unix sockets.
 * Returns 0 or an exit status, having said why. */
[[nodiscard]] int sockets_listen(
    struct sockets *sockets, const char *text, mode_t mode, const char *group);
/* Adds what the service manager listens on for us (sd_listen_fds(3)). As above. */
[[nodiscard]] int sockets_inherit(struct sockets *sockets);
void sockets_fini(struct sockets *sockets);
/* The value of --socket-mode: 0 or an exit status, having said why. */
[[nodiscard]] int sockets_take_mode(const char *text, mode_t *ret_mode);
