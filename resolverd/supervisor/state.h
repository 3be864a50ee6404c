/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The supervisor's one state, for its parts only: supervisor.c opens, watches and stops, children.c
 * starts server and workers again, anchor_check.c runs the anchor role, reload.c swaps the
 * configuration.
 */
#pragma once
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "resolverd/base/role.h"
#include "resolverd/supervisor/longterm.h"
#include "resolverd/supervisor/manager.h"
#include "resolverd/supervisor/spawn.h"
#include "resolverd/supervisor/supervisor.h"

#define CHILDREN_MAX 66u /* the server, 64 workers, the tracer */
#define SERVER 0u        /* its place; worker n stands at n + 1 */

struct supervisor;

struct child {
	struct supervisor *supervisor;
	unsigned place;
	pid_t pid;    /* 0: not running */
	bool retired; /* its end is planned */
	bool wanted;  /* the tracer: asked for while its predecessor was ending */
	int64_t started_at_ms;
	struct event restart;
};

/* The anchor role: runs, ends, runs again hours later. */
struct anchor_check {
	pid_t pid;          /* 0: not running */
	bool replaces_file; /* ANCHOR_FILE was there when it started */
	bool wanted;        /* once more, as soon as this one has ended */
	bool comes_first;   /* the server starts when it has ended */
	struct event again;
};

struct fleet_helper {
	pid_t pid;             /* 0: not running */
	int64_t started_at_ms; /* mono */
	unsigned quick_ends;   /* in a row */
	struct event again;
};

/* Whether the server's loop runs. */
struct heartbeat {
	int64_t alive_at_ms; /* mono; its start, or its last pong */
	bool asked;          /* a pong is due */
	bool ready;          /* it accepts clients; said to the manager */
	struct event timer;
};

struct supervisor {
	const struct supervisor_start *start;
	struct manager manager;
	struct heartbeat heartbeat;
	struct event_base *base;
	struct longterm longterm;
	int state_fd, snapshot_fd, config_fd, listen_fd, control_fd;
	int channel;     /* to the server; -1: none */
	char **role_set; /* --set of the roles: ours, and the keys that a reload does not change */
	unsigned child_count; /* the last place is the tracer's, whom the server asks for */
	struct child children[CHILDREN_MAX];
	struct anchor_check anchor;
	struct fleet_helper fleet_helper;
	bool sockets_stay;         /* the files: the manager listens on */
	struct access_list access; /* as the configuration in force says */
	struct event on_child, on_term, on_int, on_hup, from_server, patience, zone_lapses;
	int64_t
	    zones_seen_at_ms; /* wall; when it was looked whether an insecure-until has passed */
	bool stopping;
	int64_t started_at_ms;
	int exit_code;
};

/* ---- supervisor.c ---- */
pid_t start_role(
    struct supervisor *supervisor, const char *role, const struct spawn_fd *fds, size_t fd_count);
void stop(struct supervisor *supervisor, int exit_code);

/* ---- children.c ---- */
void children_init(struct supervisor *supervisor);
void start_server(struct supervisor *supervisor);
/* What it must know, fd -1: without a descriptor. A server that can't be told is started again, and
 * told all. */
void server_tell(struct supervisor *supervisor, const struct link_message *message, int fd);
/* The long-term keys have changed: the server has new delegations made. */
void keys_tell(struct supervisor *supervisor);
void child_ended(struct supervisor *supervisor, struct child *child, int status);
/* One by one, or at once: then nothing of what they are finding counts. */
void renew_workers(struct supervisor *supervisor, bool at_once);

/* ---- heartbeat.c ---- */
void heartbeat_init(struct supervisor *supervisor);
void heartbeat_server_started(struct supervisor *supervisor);
void heartbeat_take(struct supervisor *supervisor, const struct link_message *message);

/* ---- anchor_check.c ---- */
void anchor_init(struct supervisor *supervisor);
/* Unless it runs already. */
void anchor_start(struct supervisor *supervisor);
void anchor_ended(struct supervisor *supervisor, int status);
/* The configured file has changed since its keys were tracked: while we were down, at the start. */
bool anchor_is_foreign(const struct supervisor *supervisor);
/* Tells the server what is known of it. */
void anchor_tell(struct supervisor *supervisor);

/* ---- fleet_helper.c ---- */
void fleet_helper_init(struct supervisor *supervisor);
/* Unless it runs already, or there is no fleet. */
void fleet_helper_start(struct supervisor *supervisor);
void fleet_helper_ended(struct supervisor *supervisor, int status);
/* The server says so of this one. */
void fleet_helper_stuck(struct supervisor *supervisor, pid_t pid);

/* ---- reload.c ---- */
/* The text as a memfd for the roles to read: the descriptor or -errno. */
int hold_config(const char *text);
void reload_init(struct supervisor *supervisor);
void reload(struct supervisor *supervisor);
/* The same for the server, which is told how it went. */
void reload_asked(struct supervisor *supervisor);
/* Hands prefetch.domains-file to the server, opened; an empty one when there is none any more. */
void domains_tell(struct supervisor *supervisor);
/* Tells the server who may ask. */
void access_tell(struct supervisor *supervisor);
/* Hands it the fleet's key ring and our membership, opened. */
void fleet_tell(struct supervisor *supervisor);
/* Sets the timer for the next zone that is to be validated again. */
void watch_zones(struct supervisor *supervisor);
