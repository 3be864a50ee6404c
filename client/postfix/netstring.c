/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/postfix/netstring.h"

enum netstring_parse netstring_parse(const char *bytes, size_t count, size_t max,
    const char **ret_text, size_t *ret_text_bytes, size_t *ret_consumed)
{
	size_t length = 0, at = 0;
	for (; at < count && bytes[at] >= '0' && bytes[at] <= '9'; at++) {
		if (at > 0 && length == 0)
			return NETSTRING_MALFORMED; /* a leading zero */
		length = 10 * length + (size_t)(bytes[at] - '0');
		if (length > max)
			return NETSTRING_MALFORMED;
	}
	if (at == count)
		return NETSTRING_MORE;
	if (at == 0 || bytes[at] != ':')
		return NETSTRING_MALFORMED;
	at++;
	if (count - at < length + 1)
		return NETSTRING_MORE;
	if (bytes[at + length] != ',')
		return NETSTRING_MALFORMED;
	*ret_text = bytes + at;
	*ret_text_bytes = length;
	*ret_consumed = at + length + 1;
	return NETSTRING_WHOLE;
}
