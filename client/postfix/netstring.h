/* SPDX-License-Identifier: BSD-3-Clause */
/* Netstrings (cr.yp.to/proto/netstrings.txt): the frames of the socketmap protocol. Pure. */
#pragma once
#include <stddef.h>

enum netstring_parse { NETSTRING_WHOLE, NETSTRING_MORE, NETSTRING_MALFORMED };

/* One from the front of what has come. WHOLE: *ret_text points to its octets within bytes, and
 * *ret_consumed is how many the frame took. More than max octets of text are malformed. */
enum netstring_parse netstring_parse(const char *bytes, size_t count, size_t max,
    const char **ret_text, size_t *ret_text_bytes, size_t *ret_consumed);
