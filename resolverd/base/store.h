/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the fleet's store is: what fleet.redis says. Pure. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define FLEET_ROLE "fleet" /* of the process that speaks with it */
#define STORE_SERVERS_MAX 8u
#define STORE_HOST_MAX 254u
#define STORE_PATH_MAX 108u
#define STORE_MASTER_MAX 64u
#define STORE_PREFIX_MAX 64u
#define STORE_VALUE_MAX_BYTES (256u << 10) /* larger ones are neither put nor read */
#define STORE_FRAME_MAX_BYTES (512u << 10) /* between server and helper */

enum store_kind { STORE_NONE, STORE_UNIX, STORE_TCP, STORE_SENTINEL };

struct store_server {
	char host[STORE_HOST_MAX]; /* a name or an address, without brackets */
	uint16_t port;
};

struct store_address {
	enum store_kind kind;
	char path[STORE_PATH_MAX];                      /* UNIX */
	struct store_server servers[STORE_SERVERS_MAX]; /* TCP: one; SENTINEL: those to ask */
	size_t server_count;
	char master[STORE_MASTER_MAX]; /* SENTINEL: the name of what they watch */
};

/* "", "unix:/PATH", "redis://HOST[:PORT]", "sentinel://HOST[:PORT],.../MASTER". NULL, or what is
 * wrong with it. */
const char *store_parse(const char *text, struct store_address *ret_address);
