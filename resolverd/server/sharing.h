/* SPDX-License-Identifier: BSD-3-Clause */
/* What the fleet stage (fleet.h) means to the server: its cache, its jobs, its answers. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "resolverd/server/flight.h"
#include "worker.pb-c.h"

struct answer;
struct server;

/* Returns 0 or -ENOMEM. */
[[gnu::warn_unused_result]] int sharing_init(struct server *server);
/* The pool's on_take. */
bool sharing_take(void *server, struct flight_job *job);
/* A worker found this, it became that answer, which is not in the cache yet; NULL: it failed. */
void sharing_note(struct server *server, const struct flight_job *job,
    const Resolverd__Worker__Facts *facts, const struct answer *answer, int64_t now_ms);
/* The key ring has changed, or a snapshot came: answers of others that it does not trust are out,
 * those in use looked up again. */
void sharing_drop_untrusted(struct server *server);
