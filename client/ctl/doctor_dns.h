/* SPDX-License-Identifier: BSD-3-Clause */
/* One DNS question to one server, as a resolver asks it. */
#pragma once
#include <ldns/ldns.h>

#include "client/serve/serve.h"

struct doctor_question {
	const char *name; /* canonical, "." for the root */
	unsigned type;
	unsigned room;  /* octets over UDP, by EDNS; DO is set always */
	bool recursion; /* RD and AD */
	bool tcp;
	int patience_ms; /* of a try; over UDP there are two */
};

/* 0 and a whole reply to the question, which the caller frees; *ret_bytes is its size. -ETIMEDOUT:
 * none came; -EPROTO: what came is no DNS message; others: -errno of the network. */
[[nodiscard]] int doctor_ask(const union serve_address *server,
    const struct doctor_question *question, ldns_pkt **ret_reply, size_t *ret_bytes);
