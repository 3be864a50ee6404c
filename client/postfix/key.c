/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/postfix/key.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define IPV6_PREFIX "ipv6:" /* RFC 5321 section 4.1.3, as Postfix writes it */

static bool take_port(const char *text, unsigned *ret_port)
{
	if (text[0] >= '0' && text[0] <= '9') {
		char *end;
		unsigned long port = strtoul(text, &end, 10);
		*ret_port = (unsigned)port;
		return *end == '\0' && port > 0 && port <= UINT16_MAX;
	}
	const struct servent *service = text[0] != '\0' ? getservbyname(text, "tcp") : NULL;
	if (service == NULL)
		return false;
	*ret_port = ntohs((uint16_t)service->s_port);
	return true;
}

/* "[ipv6:X]" becomes "[X]". */
static void drop_ipv6_prefix(char *next_hop)
{
	const size_t prefix = strlen(IPV6_PREFIX);
	if (strncasecmp(next_hop + 1, IPV6_PREFIX, prefix) == 0)
		memmove(next_hop + 1, next_hop + 1 + prefix, strlen(next_hop + 1 + prefix) + 1);
}

static bool take_next_hop(struct map_key *key)
{
	char *text = key->next_hop, *end;
	if (text[0] == '[') {
		end = strchr(text, ']');
		if (end == NULL || end == text + 1)
			return false;
		end++;
	} else {
		end = text + strcspn(text, ":");
		if (end == text)
			return false;
	}
	if (*end == ':' && !take_port(end + 1, &key->port))
		return false;
	if (*end != ':' && *end != '\0')
		return false;
	*end = '\0';
	if (text[0] == '[')
		drop_ipv6_prefix(text);
	return true;
}

enum key_kind key_parse(const char *request, size_t bytes, struct map_key *ret_key)
{
	const size_t map = strlen(POLICY_MAP);
	if (bytes < map + 1 || memcmp(request, POLICY_MAP " ", map + 1) != 0)
		return KEY_OTHER_MAP;
	request += map + 1;
	bytes -= map + 1;
	struct map_key key = {.port = 0};
	if (bytes == 0 || bytes >= sizeof key.next_hop)
		return KEY_BAD;
	for (size_t i = 0; i < bytes; i++)
		if ((unsigned char)request[i] <= ' ' || request[i] == '\177')
			return KEY_BAD;
	if (request[0] == '.')
		return bytes > 1 ? KEY_PARENT : KEY_BAD;
	memcpy(key.next_hop, request, bytes);
	if (!take_next_hop(&key))
		return KEY_BAD;
	*ret_key = key;
	return KEY_NEXT_HOP;
}
