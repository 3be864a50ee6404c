/* SPDX-License-Identifier: BSD-3-Clause */
/* Where to listen. On loopback only: answers are as safe as the way to who asked. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/stub/stub.h"

#define DEFAULT_PORT 53u
#define BACKLOG 256
#define FIRST_INHERITED_FD 3
#define RECEIVE_BUFFER_BYTES (1 << 20) /* for bursts; the system may allow less */

bool stub_is_loopback(const union stub_address *address)
{
	if (address->any.sa_family == AF_INET)
		return ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	const struct in6_addr *v6 = &address->v6.sin6_addr;
	return address->any.sa_family == AF_INET6 &&
	       (IN6_IS_ADDR_LOOPBACK(v6) ||
		   (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == IN_LOOPBACKNET));
}

static socklen_t address_bytes(const union stub_address *address)
{
	return address->any.sa_family == AF_INET ? sizeof address->v4 : sizeof address->v6;
}

static void set_name(struct stub_socket *one, const char *kind, const union stub_address *address)
{
	char text[INET6_ADDRSTRLEN] = "?";
	if (address->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &address->v4.sin_addr, text, sizeof text);
		snprintf(one->name, sizeof one->name, "%s %s:%u", kind, text,
		    ntohs(address->v4.sin_port));
	} else {
		inet_ntop(AF_INET6, &address->v6.sin6_addr, text, sizeof text);
		snprintf(one->name, sizeof one->name, "%s [%s]:%u", kind, text,
		    ntohs(address->v6.sin6_port));
	}
}

static int add(struct stub_sockets *sockets, const struct stub_socket *one)
{
	if (sockets->count == STUB_SOCKETS_MAX) {
		stub_log(STUB_ERROR, "more than %u sockets to listen on", STUB_SOCKETS_MAX);
		return EXIT_WRONG_USAGE;
	}
	sockets->list[sockets->count++] = *one;
	return 0;
}

void stub_sockets_fini(struct stub_sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++)
		close(sockets->list[i].fd);
	sockets->count = 0;
}

/* ---- --listen ---- */

static bool take_port(const char *text, uint16_t *ret_port)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);
	*ret_port = htons((uint16_t)port);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && port > 0 && port <= UINT16_MAX;
}

static bool take_v4(const char *text, const char *port, union stub_address *ret_address)
{
	*ret_address =
	    (union stub_address){.v4 = {.sin_family = AF_INET, .sin_port = htons(DEFAULT_PORT)}};
	return inet_pton(AF_INET, text, &ret_address->v4.sin_addr) == 1 &&
	       (port == NULL || take_port(port, &ret_address->v4.sin_port));
}

static bool take_v6(const char *text, const char *port, union stub_address *ret_address)
{
	*ret_address =
	    (union stub_address){.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(DEFAULT_PORT)}};
	return inet_pton(AF_INET6, text, &ret_address->v6.sin6_addr) == 1 &&
	       (port == NULL || take_port(port, &ret_address->v6.sin6_port));
}

static bool take_address(const char *text, union stub_address *ret_address)
{
	char copy[80];
	if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
		return false;
	if (take_v6(copy, NULL, ret_address))
		return true;
	char *end = copy[0] == '[' ? strchr(copy, ']') : NULL;
	if (end != NULL && (end[1] == ':' || end[1] == '\0')) {
		const char *port = end[1] == ':' ? end + 2 : NULL;
		*end = '\0';
		return take_v6(copy + 1, port, ret_address);
	}
	char *colon = strchr(copy, ':');
	if (colon != NULL)
		*colon++ = '\0';
	return take_v4(copy, colon, ret_address);
}

/* Returns a descriptor or -errno. */
static int open_socket(const union stub_address *address, bool is_stream)
{
	const int on = 1, buffer = RECEIVE_BUFFER_BYTES;
	int fd = socket(address->any.sa_family,
	    (is_stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (is_stream)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	else
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
	if (bind(fd, &address->any, address_bytes(address)) == 0 &&
	    (!is_stream || listen(fd, BACKLOG) == 0))
		return fd;
	int r = -errno;
	close(fd);
	return r;
}

/* Returns 0 or -errno, or an exit status. */
static int listen_at(struct stub_sockets *sockets, const union stub_address *address)
{
	for (int is_stream = 0; is_stream <= 1; is_stream++) {
		struct stub_socket one = {.is_stream = is_stream};
		set_name(&one, is_stream ? "tcp" : "udp", address);
		one.fd = open_socket(address, is_stream);
		if (one.fd < 0)
			return one.fd;
		int r = add(sockets, &one);
		if (r != 0) {
			close(one.fd);
			return r;
		}
	}
	return 0;
}

static int cannot_listen(const char *where, int error)
{
	const char *advice =
	    error == -EACCES ? "; ports below 1024 need socket activation or CAP_NET_BIND_SERVICE"
	    : error == -EADDRINUSE ? "; another server has that port"
				   : "";
	stub_log(STUB_ERROR, "cannot listen on %s: %s%s", where, strerror(-error), advice);
	return EXIT_TROUBLE;
}

int stub_listen(struct stub_sockets *sockets, const char *text)
{
	union stub_address address;
	if (!take_address(text, &address)) {
		stub_log(STUB_ERROR,
		    "--listen: \"%s\" is no ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT", text);
		return EXIT_WRONG_USAGE;
	}
	if (!stub_is_loopback(&address)) {
		stub_log(STUB_ERROR,
		    "--listen: %s is not on this host's loopback; nobody else is served", text);
		return EXIT_WRONG_USAGE;
	}
	int r = listen_at(sockets, &address);
	return r < 0 ? cannot_listen(text, r) : r;
}

int stub_listen_default(struct stub_sockets *sockets)
{
	union stub_address address;
	int r = stub_listen(sockets, "127.0.0.1");
	if (r != 0)
		return r;
	take_v6("::1", NULL, &address);
	r = listen_at(sockets, &address);
	if (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT)
		return 0; /* a host without IPv6 */
	return r < 0 ? cannot_listen("::1", r) : r;
}

/* ---- socket activation ---- */

static int refuse_inherited(int fd, const char *why)
{
	stub_log(STUB_ERROR, "descriptor %d that was handed over %s", fd, why);
	return EXIT_BAD_SOCKET;
}

static bool option_of(int fd, int option, int *ret_value)
{
	socklen_t bytes = sizeof *ret_value;
	return getsockopt(fd, SOL_SOCKET, option, ret_value, &bytes) == 0;
}

static int inherit(struct stub_sockets *sockets, int fd)
{
	int type, listens = 0;
	union stub_address address = {0};
	socklen_t bytes = sizeof address;
	if (!option_of(fd, SO_TYPE, &type) || getsockname(fd, &address.any, &bytes) != 0)
		return refuse_inherited(fd, "is no socket");
	if ((type != SOCK_STREAM && type != SOCK_DGRAM) ||
	    (address.any.sa_family != AF_INET && address.any.sa_family != AF_INET6))
		return refuse_inherited(fd, "is neither UDP nor TCP");
	if (type == SOCK_STREAM && (!option_of(fd, SO_ACCEPTCONN, &listens) || !listens))
		return refuse_inherited(fd, "is a TCP connection; set Accept=no");
	if (!stub_is_loopback(&address))
		return refuse_inherited(
		    fd, "is not bound to this host's loopback; nobody else is served");
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0)
		return refuse_inherited(fd, strerror(errno));
	struct stub_socket one = {.fd = fd, .is_stream = type == SOCK_STREAM};
	set_name(&one, one.is_stream ? "tcp" : "udp", &address);
	return add(sockets, &one);
}

int stub_inherit(struct stub_sockets *sockets)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	int count = fds != NULL ? atoi(fds) : 0, r = 0;
	if (pid != NULL && atol(pid) == getpid())
		for (int i = 0; r == 0 && i < count; i++)
			r = inherit(sockets, FIRST_INHERITED_FD + i);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return r;
}
