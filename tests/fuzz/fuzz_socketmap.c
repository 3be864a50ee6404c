/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes what resolverd-postfix reads: the requests of its clients, as they are and in pieces; and,
 * of the same octets, a resolv.conf and a reply to the probe.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/postfix/key.h"
#include "client/postfix/netstring.h"
#include "client/postfix/probe.h"

static void check_key(const char *request, size_t bytes)
{
	struct map_key key = {.port = 99999};
	if (key_parse(request, bytes, &key) != KEY_NEXT_HOP)
		return;
	size_t length = strlen(key.next_hop);
	assert(length > 0 && length < bytes && key.port <= 65535);
	assert(key.next_hop[0] != '.');
	for (size_t i = 0; i < length; i++)
		assert((unsigned char)key.next_hop[i] > ' ');
	assert(key.next_hop[0] == '[' ? key.next_hop[length - 1] == ']'
				      : strchr(key.next_hop, ':') == NULL);
}

/* All frames of a connection, each as soon as it is whole. */
static void check_frames(const char *bytes, size_t count)
{
	size_t at = 0, text_bytes, consumed;
	const char *text;
	while (at < count) {
		enum netstring_parse parse = NETSTRING_MORE;
		size_t have = 0;
		while (parse == NETSTRING_MORE && have < count - at) {
			have++;
			parse = netstring_parse(
			    bytes + at, have, KEY_MAX, &text, &text_bytes, &consumed);
		}
		if (parse != NETSTRING_WHOLE)
			return;
		assert(consumed == have && text_bytes <= KEY_MAX && text_bytes < consumed);
		assert(text > bytes + at && text + text_bytes == bytes + at + consumed - 1);
		check_key(text, text_bytes);
		const char *again;
		size_t again_bytes, again_consumed;
		assert(netstring_parse(bytes + at, count - at, KEY_MAX, &again, &again_bytes,
			   &again_consumed) == NETSTRING_WHOLE);
		assert(again == text && again_bytes == text_bytes && again_consumed == consumed);
		at += consumed;
	}
}

static void check_probe(const uint8_t *data, size_t bytes)
{
	uint8_t query[PROBE_QUERY_BYTES];
	const char *complaint = NULL;
	probe_query(bytes >= 2 ? (uint16_t)(data[0] << 8 | data[1]) : 0, query);
	enum probe_reply reply = probe_read(data, bytes, query, &complaint);
	assert((reply == PROBE_REFUSED) == (complaint != NULL));
	assert(reply != PROBE_VALIDATED || (data[3] & 0x2f) == 0x20);
	union serve_address servers[PROBE_SERVERS_MAX];
	bool has_bad;
	char *text = malloc(bytes + 1);
	assert(text != NULL);
	memcpy(text, data, bytes);
	text[bytes] = '\0';
	size_t count = probe_servers(text, servers, &has_bad);
	assert(count <= PROBE_SERVERS_MAX && (count > 0 || has_bad));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	check_key((const char *)data, bytes);
	check_frames((const char *)data, bytes);
	check_probe(data, bytes);
	return 0;
}
