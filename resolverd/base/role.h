/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the supervisor starts a role and how the two speak: fixed descriptors, and fixed-size
 * messages on a SOCK_SEQPACKET pair, so that the supervisor parses nothing of variable length.
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>

#include "proto/signing.h"

enum role_fd {
	ROLE_FD_CHANNEL =
	    3, /* server: to the supervisor (SEQPACKET); worker: to the server (STREAM) */
	ROLE_FD_CONFIG = 4, /* memfd: the text of the configuration file */
	ROLE_FD_LISTEN = 5, /* server only */
};

enum link_type {
	/* supervisor to server */
	LINK_WORKER = 1, /* a new worker: index, pid; its socket comes with SCM_RIGHTS */
	LINK_DELEGATION, /* bytes: a serialized SignedDelegation */
	/* server to supervisor */
	LINK_DELEGATE,     /* bytes: the online public key */
	LINK_WORKER_STUCK, /* index, pid: kill and replace it */
};

struct link_message {
	uint32_t type; /* enum link_type */
	uint32_t index;
	int32_t pid;
	uint32_t bytes_count;
	uint8_t bytes[512];
};

/* fd -1: none. Returns 0 or -errno. */
[[gnu::warn_unused_result]] int link_send(int link, const struct link_message *message, int fd);
/* Returns 1 with a message, 0 at the end of the link, -EAGAIN, or another -errno. *ret_fd is -1 or
 * the caller's. */
[[gnu::warn_unused_result]] int link_receive(
    int link, struct link_message *ret_message, int *ret_fd);

/* Ends this process when its parent dies, even if it died already. */
void role_die_with_parent(pid_t parent);
/* Reads the whole of the config memfd; NULL on failure. The caller frees. */
char *role_read_config(void);
