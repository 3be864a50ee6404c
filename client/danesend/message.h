/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The message on standard input, brought into the one form that goes over the wire, in an unlinked
 * file below TMPDIR: memory stays small however long it is, and it can be read again for each host.
 *
 * Lines end either all with LF or all with CRLF. Anything between (a bare CR, a bare LF among
 * CRLFs) is an error and not repaired: two programs that read it differently are what SMTP
 * smuggling lives on.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define MESSAGE_LINE_MAX 998u /* RFC 5322 section 2.1.1, without the line end */

struct message {
	int fd;         /* lines end with CRLF, dots not stuffed; -1: none */
	uint64_t bytes; /* what SIZE speaks of */
	bool eight_bit;
	bool utf8_header;
	bool tls_not_required; /* "TLS-Required: No" (RFC 8689 section 5) */
	char complaint[200];
};

/* 0, or with a complaint: -EBADMSG (what it contains), -EFBIG (over max_bytes), or another -errno,
 * of this system. The program ignores SIGXFSZ. */
[[nodiscard]] int message_read(int in_fd, uint64_t max_bytes, struct message *ret_message);
void message_fini(struct message *message);
