/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/serve/serve.h"

bool serve_is_loopback(const union serve_address *address)
{
	if (address->any.sa_family == AF_INET)
		return ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	const struct in6_addr *v6 = &address->v6.sin6_addr;
	return address->any.sa_family == AF_INET6 &&
	       (IN6_IS_ADDR_LOOPBACK(v6) ||
		   (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == IN_LOOPBACKNET));
}

socklen_t serve_address_bytes(const union serve_address *address)
{
	return address->any.sa_family == AF_INET ? sizeof address->v4 : sizeof address->v6;
}

void serve_address_text(const union serve_address *address, char ret_text[SERVE_ADDRESS_TEXT])
{
	char ip[INET6_ADDRSTRLEN] = "?";
	if (address->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &address->v4.sin_addr, ip, sizeof ip);
		snprintf(ret_text, SERVE_ADDRESS_TEXT, "%s:%u", ip, ntohs(address->v4.sin_port));
	} else {
		inet_ntop(AF_INET6, &address->v6.sin6_addr, ip, sizeof ip);
		snprintf(ret_text, SERVE_ADDRESS_TEXT, "[%s]:%u", ip, ntohs(address->v6.sin6_port));
	}
}

/* NULL text: the default. */
static bool take_port(const char *text, uint16_t default_port, in_port_t *ret_port)
{
	if (text == NULL) {
		*ret_port = htons(default_port);
		return default_port != 0;
	}
	char *end;
	unsigned long port = strtoul(text, &end, 10);
	*ret_port = htons((uint16_t)port);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && port > 0 && port <= UINT16_MAX;
}

static bool take_v4(
    const char *text, const char *port, uint16_t default_port, union serve_address *ret_address)
{
	*ret_address = (union serve_address){.v4 = {.sin_family = AF_INET}};
	return inet_pton(AF_INET, text, &ret_address->v4.sin_addr) == 1 &&
	       take_port(port, default_port, &ret_address->v4.sin_port);
}

static bool take_v6(
    const char *text, const char *port, uint16_t default_port, union serve_address *ret_address)
{
	*ret_address = (union serve_address){.v6 = {.sin6_family = AF_INET6}};
	return inet_pton(AF_INET6, text, &ret_address->v6.sin6_addr) == 1 &&
	       take_port(port, default_port, &ret_address->v6.sin6_port);
}

bool serve_take_address(const char *text, uint16_t default_port, union serve_address *ret_address)
{
	char copy[80];
	if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
		return false;
	if (take_v6(copy, NULL, default_port, ret_address))
		return true;
	char *end = copy[0] == '[' ? strchr(copy, ']') : NULL;
	if (end != NULL && (end[1] == ':' || end[1] == '\0')) {
		const char *port = end[1] == ':' ? end + 2 : NULL;
		*end = '\0';
		return take_v6(copy + 1, port, default_port, ret_address);
	}
	char *colon = strchr(copy, ':');
	if (colon != NULL)
		*colon++ = '\0';
	return take_v4(copy, colon, default_port, ret_address);
}
