/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the parser of SMTP replies: whatever a server says, however it arrives, the result is the
 * same, bounded, and printable. The first octet of an input is the size of the pieces it comes in.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "client/smtp/reply.h"

static enum smtp_parse parse(
    struct smtp_reply *reply, const uint8_t *bytes, size_t count, size_t piece, size_t *ret_total)
{
	enum smtp_parse result = SMTP_PARSE_MORE;
	size_t total = 0;
	smtp_reply_start(reply);
	while (total < count && result == SMTP_PARSE_MORE) {
		size_t given = count - total < piece ? count - total : piece, consumed;
		result = smtp_reply_feed(reply, bytes + total, given, &consumed);
		assert(consumed > 0 && consumed <= given);
		assert(consumed == given || result != SMTP_PARSE_MORE);
		total += consumed;
	}
	*ret_total = total;
	return result;
}

static void check(const struct smtp_reply *reply, enum smtp_parse result, size_t total)
{
	assert(reply->text_bytes <= SMTP_REPLY_TEXT_MAX && reply->text_bytes <= total);
	assert(strlen(reply->text) == reply->text_bytes);
	assert(reply->lines <= SMTP_REPLY_LINES_MAX);
	assert((reply->complaint != NULL) == (result == SMTP_PARSE_MALFORMED));
	for (size_t i = 0; i < reply->text_bytes; i++)
		assert(reply->text[i] == '\n' || (reply->text[i] >= ' ' && reply->text[i] <= '~'));
	if (result != SMTP_PARSE_COMPLETE)
		return;
	assert(reply->code >= 200 && reply->code <= 559 && reply->lines > 0);
	char status[SMTP_STATUS_MAX];
	if (smtp_reply_status(reply, status))
		assert(strlen(status) >= 5 && (unsigned)(status[0] - '0') == reply->code / 100);
	struct smtp_capabilities capabilities;
	smtp_reply_capabilities(reply, &capabilities);
	assert(capabilities.size || capabilities.size_max == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct smtp_reply whole, pieces;
	size_t total, total_in_pieces;
	if (bytes == 0)
		return 0;
	enum smtp_parse result = parse(&whole, data + 1, bytes - 1, bytes, &total);
	check(&whole, result, total);
	assert(parse(&pieces, data + 1, bytes - 1, data[0] % 16 + 1U, &total_in_pieces) == result);
	assert(total == total_in_pieces && whole.code == pieces.code &&
	       whole.lines == pieces.lines && strcmp(whole.text, pieces.text) == 0);
	return 0;
}
