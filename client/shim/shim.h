/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libresolverd-shim.so answers the resolver calls of libc out of the daemon, for programs that are
 * started with it in LD_PRELOAD (docs/integrations/shim.md):
 *
 *	calls.c     what is exported, in libc's names
 *	search.c    res_nquery, res_nquerydomain, res_nsearch: libc's rules around single questions
 *	answer.c    a DNS query in, a DNS answer out
 *
 * It lives in foreign processes, so it keeps nothing between two calls: no connection, no
 * descriptor, no lock, no thread. Hence any thread may call at any time, a fork shares nothing, and
 * whatever a program does to its descriptors meets none of ours. What a call needs it opens, and
 * has closed when it returns.
 *
 * What it keeps to, whatever happens: data of class IN comes from the daemon or not at all; AD is
 * set just for what the daemon signed as secure; where there is no trustworthy answer, the daemon
 * being away included, the answer is SERVFAIL and h_errno TRY_AGAIN.
 */
#pragma once
#include <resolv.h>
#include <stddef.h>
#include <stdint.h>

/* Answers a query message, as res_nsend: the octets of the whole answer, of which answer got what
 * has room, with TC when that is not all; or -1 and errno. options: RES_USE_EDNS0 and
 * RES_USE_DNSSEC, when the query is to be understood as if it had them. state says how long to
 * wait. Blocks for no longer than that. */
int shim_answer(res_state state, unsigned long options, const uint8_t *query, size_t query_bytes,
    uint8_t *answer, int room);

/* As the functions of libc without "shim_": the octets of an answer with data, or -1 and h_errno,
 * with what was answered in answer, if anything was. state is initialized. */
int shim_query(res_state state, const char *name, int class, int type, uint8_t *answer, int room);
int shim_querydomain(res_state state, const char *name, const char *domain, int class, int type,
    uint8_t *answer, int room);
int shim_search(res_state state, const char *name, int class, int type, uint8_t *answer, int room);

/* Both places where programs look for it. Returns -1. */
int shim_fail(res_state state, int h_error);
