/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the log tells of answers: that the verdict about a destination in use has changed, once,
 * with before and after; and, where the operator wants it (server.log-plans), every plan that a
 * client is given.
 */
#pragma once
#include <stdbool.h>

#include "resolverd/server/cache.h"

struct session;

#define JOURNAL_VERDICT_MAX 160u
/* "dane", "unreachable: tlsa-failed", "2 hosts, secure", "failed: bogus". Returns how bad it is, 0
 * is best, -1: it can't be read. */
int journal_verdict(const struct answer *answer, char ret_text[JOURNAL_VERDICT_MAX]);

/* Clients are given after from now on, in place of before; key is of both. Says so if a sender
 * would do something else. */
void journal_change(
    const struct question_key *key, const struct answer *before, const struct answer *after);

/* The answers of one plan: the route, then its hosts. */
void journal_plan(const struct session *session, struct answer *const *answers, unsigned count);
