/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The users behind the clients, as the kernel names them (SO_PEERCRED): who may connect, and what
 * the clients of one user may hold together. On the control socket its mode decides, and our own
 * helper, which talks to a store that nobody has to trust, is no peer there.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "resolverd/base/access.h"
#include "resolverd/base/conn.h"

struct user {
	LIST_ENTRY(user) link;
	uid_t uid;
	uint32_t sessions;
	uint32_t waiting; /* lookups in flight that their requests wait for */
	uint32_t watches;
	struct conn_quota held; /* bytes of requests half read and responses not taken */
};

struct peers {
	LIST_HEAD(, user) users;
	const struct config *config; /* its contents may be replaced; then peers_take_config */
	struct access_list access;
	bool access_known;      /* the supervisor has told; nobody is let in before */
	uint64_t refused_count; /* clients that were not let in, or ended for what they held */
	pid_t helper_pid;       /* of our own user, and yet no administrator; 0: none */
	int64_t said_at_ms;     /* mono; of the last refusal that was logged */
	uint32_t unsaid;        /* since then */
};

void peers_init(struct peers *peers, const struct config *config);
void peers_take_access(struct peers *peers, const struct access_list *access);
void peers_take_config(struct peers *peers);

/* Whether the rules let it in; they may have changed since it came. */
bool peers_are_welcome(const struct peers *peers, int fd);
/* One client more of whoever is at the other end, until peers_leave. Returns 0, -EACCES, -EUSERS
 * when the user has as many as it may, -EPERM for the helper on the control socket, or -ENOMEM.
 * What is refused is logged and counted. */
[[gnu::warn_unused_result]] int peers_join(
    struct peers *peers, int fd, bool is_control, struct user **ret_user);
/* Every second. */
void peers_tick(struct peers *peers);
void peers_leave(struct peers *peers, struct user *user);
