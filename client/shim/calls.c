/* SPDX-License-Identifier: BSD-3-Clause */
/* What libc exports by these names, in its two forms: of the calling thread's state, and of a given
 * one. They have no version here, so each version of them that a program was linked with finds
 * them. The names with underscores are of programs linked with a libc before 2.34. */
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>

#include "client/shim/shim.h"

#define EXPORTED __attribute__((visibility("default")))
#define OLD_NAME(name, of) extern EXPORTED __typeof(of)(name) __attribute__((alias(#of), copy(of)))

static bool is_ready(res_state state)
{
	if (state->options & RES_INIT || res_ninit(state) == 0)
		return true;
	shim_fail(state, NETDB_INTERNAL);
	return false;
}

static int send_in(
    res_state state, const unsigned char *query, int query_bytes, unsigned char *answer, int room)
{
	if (query_bytes < 0) {
		errno = EINVAL;
		return -1;
	}
	return is_ready(state) ? shim_answer(state, 0, query, (size_t)query_bytes, answer, room)
			       : -1;
}

EXPORTED int res_nsend(
    res_state state, const unsigned char *query, int query_bytes, unsigned char *answer, int room)
{
	return send_in(state, query, query_bytes, answer, room);
}

EXPORTED int res_send(const unsigned char *query, int query_bytes, unsigned char *answer, int room)
{
	return send_in(&_res, query, query_bytes, answer, room);
}

EXPORTED int res_nquery(
    res_state state, const char *name, int class, int type, unsigned char *answer, int room)
{
	return is_ready(state) ? shim_query(state, name, class, type, answer, room) : -1;
}

EXPORTED int res_query(const char *name, int class, int type, unsigned char *answer, int room)
{
	return is_ready(&_res) ? shim_query(&_res, name, class, type, answer, room) : -1;
}

EXPORTED int res_nsearch(
    res_state state, const char *name, int class, int type, unsigned char *answer, int room)
{
	return is_ready(state) ? shim_search(state, name, class, type, answer, room) : -1;
}

EXPORTED int res_search(const char *name, int class, int type, unsigned char *answer, int room)
{
	return is_ready(&_res) ? shim_search(&_res, name, class, type, answer, room) : -1;
}

EXPORTED int res_nquerydomain(res_state state, const char *name, const char *domain, int class,
    int type, unsigned char *answer, int room)
{
	return is_ready(state) ? shim_querydomain(state, name, domain, class, type, answer, room)
			       : -1;
}

EXPORTED int res_querydomain(
    const char *name, const char *domain, int class, int type, unsigned char *answer, int room)
{
	return is_ready(&_res) ? shim_querydomain(&_res, name, domain, class, type, answer, room)
			       : -1;
}

OLD_NAME(__res_nsend, res_nsend);
OLD_NAME(__res_send, res_send);
OLD_NAME(__res_nquery, res_nquery);
OLD_NAME(__res_query, res_query);
OLD_NAME(__res_nsearch, res_nsearch);
OLD_NAME(__res_search, res_search);
OLD_NAME(__res_nquerydomain, res_nquerydomain);
OLD_NAME(__res_querydomain, res_querydomain);
