/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One client: its requests in, its responses out, in whatever order they get ready. What the cache
 * holds is answered at once; the rest waits as a pending request for the pool's answers, until all
 * are there or its deadline.
 */
#pragma once
#include "resolverd/server/server.h"

/* Takes fd, on failure too. */
void session_open(struct server *server, int fd);
void session_close(struct session *session);
/* Drops clients that have not read for long. */
void sessions_tick(struct server *server, int64_t now_mono_ms);
