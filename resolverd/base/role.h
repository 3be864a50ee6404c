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
	ROLE_FD_CONFIG = 4,  /* memfd: the text of the configuration file */
	ROLE_FD_LISTEN = 5,  /* server only */
	ROLE_FD_CONTROL = 6, /* server only: listens on the control socket */
};

enum link_type {
	/* supervisor to server */
	LINK_WORKER = 1, /* a new worker: index, pid; its socket comes with SCM_RIGHTS */
	LINK_DELEGATION, /* bytes: a serialized StatusResponse with a key's delegations */
	LINK_CONFIG,     /* a new configuration, checked; its text comes as a memfd */
	LINK_SNAPSHOT, /* bytes: the snapshot's keys, the one in use first; its directory, opened */
	LINK_DOMAINS,  /* prefetch.domains-file, opened */
	LINK_RENEW,    /* all workers: index 1 at once, 0 one by one */
	LINK_ANCHOR,   /* bytes: struct link_anchor */
	LINK_PING,     /* is answered with LINK_PONG from the loop */
	LINK_ACCESS,   /* bytes: struct access_list */
	LINK_KEYS,     /* other long-term keys; bytes: the snapshot's keys */
	LINK_RELOADED, /* index: whether it took; bytes: text for who asked */
	LINK_RING,     /* fleet.trusted-keys, opened; without a descriptor: none */
	LINK_STORE,    /* the fleet helper's socket, and its pid */
	LINK_MEMBERSHIP, /* fleet.membership-file, the same way */
	/* server to supervisor */
	LINK_DELEGATE,       /* bytes: an online public key */
	LINK_WORKER_STUCK,   /* index, pid: kill and replace it */
	LINK_WORKER_RETIRED, /* index, pid: as planned; replace it */
	LINK_STORE_STUCK,    /* pid: kill and replace the fleet helper */
	LINK_READY,          /* clients are accepted */
	LINK_PONG,
	LINK_RELOAD, /* as SIGHUP; is answered with LINK_RELOADED */
	LINK_TRACER, /* one worker more, behind the others, until it is retired */
};

/* What the supervisor knows of the root's trust anchor and of times that can't be in the future. */
struct link_anchor {
	int64_t checked_at_ms;  /* wall; last RFC 5011 check that succeeded; 0: none */
	int64_t newest_file_ms; /* wall; of anchor and state files */
	uint32_t key_tag_count;
	uint16_t key_tags[16];
};

struct link_message {
	uint32_t type; /* enum link_type */
	uint32_t index;
	int32_t pid;
	uint32_t bytes_count;
	uint8_t bytes[512];
};

/* In cache/ of server.state-directory, which the server gets opened. */
#define SNAPSHOT_FILE "snapshot"
#define SNAPSHOT_NEW_FILE "snapshot.new"

/* fd -1: none. Returns 0 or -errno. */
[[gnu::warn_unused_result]] int link_send(int link, const struct link_message *message, int fd);
/* Returns 1 with a message, 0 at the end of the link, -EAGAIN, or another -errno. *ret_fd is -1 or
 * the caller's. */
[[gnu::warn_unused_result]] int link_receive(
    int link, struct link_message *ret_message, int *ret_fd);

/* Ends this process when its parent dies, even if it died already. */
void role_die_with_parent(pid_t parent);
/* Reads the whole of a configuration's memfd and closes it; NULL on failure. The caller frees. */
char *role_read_config(int fd);
