/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One client: its requests in, its responses out, in whatever order they get ready. What the cache
 * holds is answered at once; the rest waits as a pending request (pending.h). On the control socket
 * a client may also administer.
 */
#pragma once
#include "resolverd/server/server.h"

struct pending;

struct session {
	LIST_ENTRY(session) link;
	struct server *server;
	struct conn conn;
	bool is_control;
	struct user *user;
	uint32_t waiting; /* lookups in flight that its requests wait for */
	LIST_HEAD(, pending) pending;
	struct watch_list watches;
	uint32_t watch_count;
};

/* Takes fd, on failure too. */
void session_open(struct server *server, int fd, bool is_control);
void session_close(struct session *session);
/* It may not be here any more: it is told so, and ends soon. */
void session_dismiss(struct session *session);
/* For the server's watches: their plans, and what they have to tell. */
void session_look(void *arg, struct watch *watch);
bool session_tell(void *arg, struct watch *watch, struct answer *const *answers, unsigned count);
/* Drops clients that have not read for long. */
void sessions_tick(struct server *server, int64_t now_mono_ms);

/* ---- for pending.c, status.c, explain.c ---- */
void session_send(struct session *session, const Resolverd__V1__Response *response);
void session_send_error(
    struct session *session, uint64_t id, Resolverd__V1__ErrorCode code, const char *text);
/* The bytes of the answers as they were signed, behind the id (Response fields 1 and 3), and the
 * attestation, if there is one. */
void session_send_answers(struct session *session, uint64_t id, struct answer *const *answers,
    unsigned count, const Resolverd__V1__Attestation *attestation);

void status_send(struct session *session, uint64_t id);

struct explained {                     /* answers are borrowed */
	struct answer *fresh, *cached; /* cached may be NULL */
};
void explain_send(
    struct session *session, uint64_t id, const struct explained *explained, unsigned count);
