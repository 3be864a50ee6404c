/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of resolverd-postfix share. One process, one libevent loop, no state but what is
 * in flight:
 *
 *	netstring, key, policy    pure: frames, what is asked, what a plan is in Postfix's words
 *	probe, probe_dns          whether Postfix's own resolver validates
 *	sessions.c                who asks, how the daemon is asked, and what is replied
 *	listen.c                  where to listen: --listen, or what systemd hands over
 */
#pragma once
#include <event2/event.h>
#include <stdbool.h>
#include <sys/types.h>

#include "client/postfix/probe.h"
#include "client/resolverd.h"
#include "client/serve/listening.h"
#include "client/serve/serve.h"

struct postfix_options {
	struct resolverd_options daemon;
	struct probe_options probe;
	unsigned timeout_ms; /* of a lookup */
	unsigned idle_ms;    /* a connection may be idle for so long */
	unsigned clients_max;
	bool send_servername;     /* Postfix 3.4 and later: attribute servername */
	mode_t socket_mode;       /* of Unix sockets we make */
	const char *socket_group; /* NULL: as the file system gives it */
};

/* ---- sessions.c ---- */

struct sessions;
/* Returns 0 or an exit status, having said why. Nothing is accepted before sessions_open. Borrows
 * the others. */
[[nodiscard]] int sessions_new(struct event_base *base, const struct postfix_options *options,
    const struct sockets *sockets, struct sessions **ret_sessions);
/* Once: now it is known whether this resolver validates. probe is borrowed. false: out of memory.
 */
[[nodiscard]] bool sessions_open(struct sessions *sessions, const struct probe *probe);
void sessions_free(struct sessions *sessions);
