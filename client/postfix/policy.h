/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a plan is in Postfix's words (postconf(5), smtp_tls_policy_maps). Pure.
 *
 * Postfix has one level for a next hop, and finds hosts, addresses and TLSA records by itself. Its
 * level "dane" judges each host by what it finds, "dane-only" uses no host without usable TLSA,
 * "encrypt", "may" and the default do not look at TLSA records at all. So a level is chosen with
 * which no host gets less than the plan wants for it, given that Postfix's own resolver validates;
 * whether the level rests on that is told.
 */
#pragma once
#include <stdbool.h>

#include "client/resolverd.h"

enum postfix_level {
	POSTFIX_DELAY =
	    1, /* TEMP: no level says what the plan says, or there is nothing to send to */
	POSTFIX_DANE_ONLY,
	POSTFIX_DANE,
	POSTFIX_ENCRYPT,
	POSTFIX_MAY,     /* this daemon's operator wants no DANE here */
	POSTFIX_NOTHING, /* NOTFOUND: DANE provably does not apply; main.cf decides */
};

struct postfix_policy {
	enum postfix_level level;
	bool needs_validation; /* by Postfix's own resolver: else it must be DELAY */
	const char *reason;    /* of DELAY, for people; lives as long as the plan */
};

struct postfix_policy postfix_policy_of(const struct resolverd_plan *plan);
/* "dane-only", "dane", "encrypt", "may"; NULL for those that are no level of Postfix. */
const char *postfix_level_text(enum postfix_level level);
