/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules of libc (resolv/res_query.c there), but for two: a search ends with the first failure,
 * where libc goes on to the next name, so that what an attacker makes fail would be answered by
 * another; and the file that HOSTALIASES names is not looked at. */
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "client/dns/query.h"
#include "client/shim/shim.h"

#define QUERY_MAX (DNS_HEADER_BYTES + NAME_WIRE_MAX + 4u)

int shim_fail(res_state state, int h_error)
{
	state->res_h_errno = h_error;
	h_errno = h_error;
	return -1;
}

static int h_error_of(const uint8_t *answer)
{
	switch (answer[3] & 15) {
	case DNS_NOERROR:
		return (answer[6] << 8 | answer[7]) > 0 ? NETDB_SUCCESS : NO_DATA;
	case DNS_NXDOMAIN:
		return HOST_NOT_FOUND;
	case DNS_SERVFAIL:
		return TRY_AGAIN;
	default:
		return NO_RECOVERY;
	}
}

int shim_query(res_state state, const char *name, int class, int type, uint8_t *answer, int room)
{
	uint8_t query[QUERY_MAX];
	int query_bytes =
	    res_nmkquery(state, ns_o_query, name, class, type, NULL, 0, NULL, query, sizeof query);
	if (query_bytes <= 0)
		return shim_fail(state, NO_RECOVERY);
	int bytes = shim_answer(state, state->options, query, (size_t)query_bytes, answer, room);
	if (bytes < (int)DNS_HEADER_BYTES)
		return shim_fail(state, TRY_AGAIN);
	int h_error = h_error_of(answer);
	return h_error == NETDB_SUCCESS ? bytes : shim_fail(state, h_error);
}

int shim_querydomain(res_state state, const char *name, const char *domain, int class, int type,
    uint8_t *answer, int room)
{
	char whole[NS_MAXDNAME];
	if (domain == NULL)
		return name[0] == '\0' || strlen(name) >= NS_MAXDNAME
			   ? shim_fail(state, NO_RECOVERY)
			   : shim_query(state, name, class, type, answer, room);
	int length = snprintf(whole, sizeof whole, "%s.%s", name, domain);
	if (length < 0 || length >= (int)sizeof whole)
		return shim_fail(state, NO_RECOVERY);
	return shim_query(state, whole, class, type, answer, room);
}

/* ---- the search list ---- */

struct search {
	res_state state;
	const char *name;
	int class, type;
	uint8_t *answer;
	int room;
	bool found_no_data, asked_root; /* asked_root: the name itself, as one of the list */
	int count;                      /* of domains of the list that were tried */
};

static int ask_below(struct search *search, const char *domain)
{
	return shim_querydomain(search->state, search->name, domain, search->class, search->type,
	    search->answer, search->room);
}

static bool is_absent(int h_error)
{
	return h_error == HOST_NOT_FOUND || h_error == NO_DATA;
}

/* The octets of an answer; -1: none of the list has one, or asking failed. */
static int try_list(struct search *search)
{
	bool only_first = !(search->state->options & RES_DNSRCH);
	char *const *domain = search->state->dnsrch;
	for (int i = 0; i < MAXDNSRCH && domain[i] != NULL && !(only_first && i > 0); i++) {
		const char *below = domain[i][0] == '.' ? domain[i] + 1 : domain[i];
		search->count++;
		search->asked_root = search->asked_root || below[0] == '\0';
		int bytes = ask_below(search, below);
		if (bytes > 0 || !is_absent(search->state->res_h_errno))
			return bytes;
		if (search->state->res_h_errno == NO_DATA)
			search->found_no_data = true;
	}
	return -1;
}

static unsigned dots_in(const char *name)
{
	unsigned dots = 0;
	for (; *name != '\0'; name++)
		dots += *name == '.';
	return dots;
}

static bool wants_list(const struct search *search, unsigned dots)
{
	return search->state->options & (dots == 0 ? RES_DEFNAMES : RES_DNSRCH);
}

/* The name itself comes first with enough dots, or else last. */
static int search_list(struct search *search, unsigned dots)
{
	bool asked_first = dots >= search->state->ndots;
	int h_error = -1;
	if (asked_first) {
		int bytes = ask_below(search, NULL);
		h_error = search->state->res_h_errno;
		if (bytes > 0 || !is_absent(h_error))
			return bytes;
	}
	if (wants_list(search, dots)) {
		int bytes = try_list(search);
		if (bytes > 0 || (search->count > 0 && !is_absent(search->state->res_h_errno)))
			return bytes;
	}
	bool may_be_last =
	    dots > 0 || search->count == 0 || !(search->state->options & RES_NOTLDQUERY);
	if (may_be_last && !asked_first && !search->asked_root) {
		int bytes = ask_below(search, NULL);
		if (bytes > 0 || !is_absent(search->state->res_h_errno))
			return bytes;
	}
	if (h_error != -1)
		return shim_fail(search->state, h_error);
	return search->found_no_data ? shim_fail(search->state, NO_DATA) : -1;
}

int shim_search(res_state state, const char *name, int class, int type, uint8_t *answer, int room)
{
	struct search search = {.state = state,
	    .name = name,
	    .class = class,
	    .type = type,
	    .answer = answer,
	    .room = room};
	unsigned dots = dots_in(name);
	size_t length = strlen(name);
	shim_fail(state, HOST_NOT_FOUND); /* if nothing is asked */
	if (length > 0 && name[length - 1] == '.')
		return ask_below(&search, NULL);
	return search_list(&search, dots);
}
