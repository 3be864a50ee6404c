/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The service manager's side: sockets that it hands over (sd_listen_fds(3)) and what it is told
 * (sd_notify(3)). Both are a datagram and some variables, so that libsystemd is not needed. Without
 * a manager all of this does nothing.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MANAGER_FDS_MAX 8u

struct manager {
	char notify_socket[108]; /* "": nobody to tell; a leading '@' is the abstract namespace's */
	int64_t watchdog_ms;     /* tell it twice in this time; 0: it does not ask */
	unsigned fd_count;
	int fds[MANAGER_FDS_MAX];   /* -1: taken */
	bool kept[MANAGER_FDS_MAX]; /* by manager_keep, for us: no unit says whose they are */
};

/* Takes everything out of the environment, so that the roles do not have it. */
void manager_init(struct manager *manager);
/* Tells it; what it can't be told is lost. state: "READY=1" or several lines. */
void manager_tell(const struct manager *manager, const char *state);
#define MANAGER_CLIENTS "clients"
#define MANAGER_CONTROL "control"
/* Has it keep fd for the next start, by one of these names. Returns whether it was asked to. */
bool manager_keep(const struct manager *manager, const char *name, int fd);
/* The socket that listens on path, if it was handed over: the caller's; else -1. */
int manager_take_socket(struct manager *manager, const char *path, bool *ret_kept);
/* Closes what nobody took, and says so. */
void manager_close_rest(struct manager *manager);
