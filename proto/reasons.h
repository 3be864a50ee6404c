/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why a route or a host has its verdict, in words: one table, so that every program says the same
 * about a verdict, cites the same clause and sends the same people to mend it. Static storage.
 */
#pragma once

/* Who can change a verdict for the better. */
enum party {
	PARTY_NOBODY = 1, /* nothing is wrong */
	PARTY_THEM,       /* the operator of the domain or of its mail host */
	PARTY_US,         /* the operator of this daemon */
};

struct reason {
	const char *word;     /* for programs: "tlsa-usable" */
	const char *sentence; /* for people, the clause included */
	const char *clause;   /* what decided: "RFC 7672 section 2.2" */
	enum party party;
	const char *remedy; /* what the party may do, as an imperative; never empty */
};

/* Never NULL; what this version does not know is the row of 0. */
const struct reason *host_reason(int reason);
const struct reason *host_reason_of_word(const char *word);
const char *host_reason_text(int reason); /* its word */

/* Of the route itself, whatever its hosts say. Never NULL; unknown kinds read as FAILED, unknown
 * statuses as ERROR. */
const struct reason *route_reason(int kind, int mx_status);

const char *party_text(int party); /* "nobody", "them", "us" */
