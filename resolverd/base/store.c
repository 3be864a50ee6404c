/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/base/store.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define UNIX "unix:"
#define TCP "redis://"
#define SENTINEL "sentinel://"
#define REDIS_PORT 6379u
#define SENTINEL_PORT 26379u

static const char bad[] =
    "is none of unix:/PATH, redis://HOST:PORT and sentinel://HOST:PORT,.../MASTER";

/* count bytes: "host", "host:port", "[v6]" or "[v6]:port". */
static bool take_server(
    const char *text, size_t count, uint16_t default_port, struct store_server *ret_server)
{
	const char *end = text + count, *host = text, *host_end = end, *port = NULL;
	if (count > 0 && text[0] == '[') {
		host++;
		host_end = memchr(text, ']', count);
		if (host_end == NULL)
			return false;
		port = host_end + 1 < end ? host_end + 1 : NULL;
	} else if ((port = memchr(text, ':', count)) != NULL) {
		host_end = port;
	}
	size_t bytes = (size_t)(host_end - host);
	if (bytes == 0 || bytes >= sizeof ret_server->host || strcspn(host, " /@,") < bytes ||
	    (port != NULL && *port != ':'))
		return false;
	memcpy(ret_server->host, host, bytes);
	ret_server->host[bytes] = '\0';
	ret_server->port = default_port;
	if (port == NULL)
		return true;
	char *number_end;
	unsigned long number = strtoul(port + 1, &number_end, 10);
	if (port[1] < '0' || port[1] > '9' || number_end != end || number == 0 || number > 65535)
		return false;
	ret_server->port = (uint16_t)number;
	return true;
}

static const char *take_sentinels(const char *text, struct store_address *address)
{
	const char *slash = strchr(text, '/');
	if (slash == NULL || slash[1] == '\0' || strchr(slash + 1, '/') != NULL ||
	    strlen(slash + 1) >= sizeof address->master)
		return "names no master: sentinel://HOST:PORT,.../MASTER";
	strcpy(address->master, slash + 1);
	for (const char *at = text; at <= slash; at++) {
		size_t count = strcspn(at, ",/");
		if (address->server_count == STORE_SERVERS_MAX)
			return "names more than 8 sentinels";
		if (!take_server(
			at, count, SENTINEL_PORT, &address->servers[address->server_count]))
			return bad;
		address->server_count++;
		at += count;
	}
	return NULL;
}

const char *store_parse(const char *text, struct store_address *ret_address)
{
	struct store_address address = {0};
	const char *problem = NULL;
	if (text[0] == '\0') {
		address.kind = STORE_NONE;
	} else if (strncmp(text, UNIX, strlen(UNIX)) == 0) {
		const char *path = text + strlen(UNIX);
		address.kind = STORE_UNIX;
		if (path[0] != '/' || strlen(path) >= sizeof address.path)
			problem = "wants an absolute path of at most 107 octets: unix:/PATH";
		else
			strcpy(address.path, path);
	} else if (strncmp(text, TCP, strlen(TCP)) == 0) {
		const char *server = text + strlen(TCP);
		address.kind = STORE_TCP;
		address.server_count = 1;
		if (!take_server(server, strlen(server), REDIS_PORT, &address.servers[0]))
			problem = bad;
	} else if (strncmp(text, SENTINEL, strlen(SENTINEL)) == 0) {
		address.kind = STORE_SENTINEL;
		problem = take_sentinels(text + strlen(SENTINEL), &address);
	} else {
		problem = bad;
	}
	if (problem == NULL)
		*ret_address = address;
	return problem;
}
