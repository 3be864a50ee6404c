/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the servers for programs of this host share (resolverd-stub, resolverd-postfix): how they
 * log, read their options, name addresses on loopback, and get sockets from the service manager.
 * How they ask the daemon is asking.h.
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {                         /* sysexits(3) */
	EXIT_WRONG_USAGE = 64, /* EX_USAGE */
	EXIT_TROUBLE = 71,     /* EX_OSERR: no socket, no memory */
	EXIT_BAD_SOCKET = 78,  /* EX_CONFIG: a socket of the service manager that can't be served */
};

enum serve_level { SERVE_ERROR = 3, SERVE_WARNING = 4, SERVE_NOTICE = 5 };

/* One line on stderr: <N> under systemd, the program's name, the text. */
[[gnu::format(printf, 2, 3)]] void serve_log(enum serve_level level, const char *format, ...);

/* ---- options: 0 or EXIT_WRONG_USAGE, having said why ---- */

[[nodiscard]] int serve_take_seconds(const char *text, unsigned *ret_ms);
[[nodiscard]] int serve_take_count(const char *text, unsigned most, unsigned *ret_count);

/* ---- addresses ---- */

union serve_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

#define SERVE_ADDRESS_TEXT 64

/* "127.0.0.1", "127.0.0.1:5353", "::1" or "[::1]:5353". false: it is none of them, or names no
 * port and default_port is 0. */
bool serve_take_address(const char *text, uint16_t default_port, union serve_address *ret_address);
bool serve_is_loopback(const union serve_address *address);
socklen_t serve_address_bytes(const union serve_address *address);
/* As "127.0.0.1:53", "[::1]:53". */
void serve_address_text(const union serve_address *address, char ret_text[SERVE_ADDRESS_TEXT]);

/* ---- sockets ---- */

#define SERVE_FIRST_FD 3

/* How many descriptors, from SERVE_FIRST_FD on, the service manager handed over
 * (sd_listen_fds(3)). Says so once: the environment is cleared. */
unsigned serve_inherited(void);
/* Logs that a descriptor of these is not fit; returns EXIT_BAD_SOCKET. */
int serve_refuse_inherited(int fd, const char *why);
bool serve_socket_option(int fd, int option, int *ret_value);
/* Close-on-exec and non-blocking. */
bool serve_prepare(int fd);
