/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of danesend share: one run, its recipients, and what became of each. */
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/danesend/address.h"
#include "client/danesend/message.h"
#include "client/resolverd.h"
#include "client/smtp/session.h"

enum {                          /* sysexits(3) */
	EXIT_WRONG_USAGE = 64,  /* EX_USAGE */
	EXIT_BAD_MESSAGE = 65,  /* EX_DATAERR */
	EXIT_NO_SUCH_HOST = 68, /* EX_NOHOST: no-such-domain, no-host */
	EXIT_REFUSED = 69,      /* EX_UNAVAILABLE: somebody will never get it */
	EXIT_TROUBLE = 71,      /* EX_OSERR */
	EXIT_DELAYED = 75,      /* EX_TEMPFAIL: somebody has not got it yet */
	EXIT_NOT_VERIFIED = 76, /* EX_PROTOCOL: an answer of the daemon that does not verify */
};

/* The host a recipient's mail was last offered to. */
struct last_host {
	char name[256]; /* empty: there was none */
	char address[46];
	enum resolverd_policy policy;
	bool has_tls;
	char tls_version[16];
	char tls_cipher[64];
	bool authenticated, for_domain, would_refuse;
	char verdict_reason[RESOLVERD_REASON_MAX];
};

struct recipient {
	struct smtp_recipient
	    smtp; /* after the run: DELIVERED, FAILED, OPEN (delayed), SUSPENDED */
	struct mail_address address;
	const char *next_hop;
	char *evidence;    /* the file, of the run; NULL: none was written */
	bool no_such_host; /* failed by the DNS: no such domain, or no host */
	struct last_host host;
};

struct run {
	struct resolverd_options daemon;
	const char *evidence_file; /* NULL: none */
	const char *next_hop;      /* for all; NULL: the domain of each recipient */
	unsigned port;
	bool requiretls;
	unsigned step_limit_ms; /* 0: RFC 5321's */
	int64_t deadline_ms;    /* monotonic, of everything but evidence */
	char helo[NAME_TEXT_MAX];
	struct mail_address from;
	struct recipient *recipients;
	size_t recipient_count;
	struct message message;
	bool not_verified; /* an answer of the daemon did not verify */
};

/* Delivers to every recipient: afterwards each has its fate. Else nothing was tried: -ENOMEM, or
 * -EINVAL, the path of the daemon's socket is too long. */
[[nodiscard]] int deliver(struct run *run);

/* ---- output.c ---- */

void output_lines(const struct run *run);
/* One JSON object a line; 0 or -ENOMEM. */
[[nodiscard]] int output_json(const struct run *run);
