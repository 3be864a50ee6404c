/* SPDX-License-Identifier: BSD-3-Clause */
/* Where to listen. On loopback only: answers are as safe as the way to who asked. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/stub/stub.h"

#define DEFAULT_PORT 53u
#define BACKLOG 256
#define RECEIVE_BUFFER_BYTES (1 << 20) /* for bursts; the system may allow less */

static void set_name(struct stub_socket *one, const char *kind, const union serve_address *address)
{
	char text[SERVE_ADDRESS_TEXT];
	serve_address_text(address, text);
	snprintf(one->name, sizeof one->name, "%s %s", kind, text);
}

static int add(struct stub_sockets *sockets, const struct stub_socket *one)
{
	if (sockets->count == STUB_SOCKETS_MAX) {
		serve_log(SERVE_ERROR, "more than %u sockets to listen on", STUB_SOCKETS_MAX);
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

/* Returns a descriptor or -errno. */
static int open_socket(const union serve_address *address, bool is_stream)
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
	if (bind(fd, &address->any, serve_address_bytes(address)) == 0 &&
	    (!is_stream || listen(fd, BACKLOG) == 0))
		return fd;
	int r = -errno;
	close(fd);
	return r;
}

/* Returns 0 or -errno, or an exit status. */
static int listen_at(struct stub_sockets *sockets, const union serve_address *address)
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
	serve_log(SERVE_ERROR, "cannot listen on %s: %s%s", where, strerror(-error), advice);
	return EXIT_TROUBLE;
}

int stub_listen(struct stub_sockets *sockets, const char *text)
{
	union serve_address address;
	if (!serve_take_address(text, DEFAULT_PORT, &address)) {
		serve_log(SERVE_ERROR,
		    "--listen: \"%s\" is no ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT", text);
		return EXIT_WRONG_USAGE;
	}
	if (!serve_is_loopback(&address)) {
		serve_log(SERVE_ERROR,
		    "--listen: %s is not on this host's loopback; nobody else is served", text);
		return EXIT_WRONG_USAGE;
	}
	int r = listen_at(sockets, &address);
	return r < 0 ? cannot_listen(text, r) : r;
}

int stub_listen_default(struct stub_sockets *sockets)
{
	union serve_address address;
	int r = stub_listen(sockets, "127.0.0.1");
	if (r != 0)
		return r;
	(void)serve_take_address("::1", DEFAULT_PORT, &address);
	r = listen_at(sockets, &address);
	if (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT)
		return 0; /* a host without IPv6 */
	return r < 0 ? cannot_listen("::1", r) : r;
}

/* ---- socket activation ---- */

static int inherit(struct stub_sockets *sockets, int fd)
{
	int type, listens = 0;
	union serve_address address = {0};
	socklen_t bytes = sizeof address;
	if (!serve_socket_option(fd, SO_TYPE, &type) || getsockname(fd, &address.any, &bytes) != 0)
		return serve_refuse_inherited(fd, "is no socket");
	if ((type != SOCK_STREAM && type != SOCK_DGRAM) ||
	    (address.any.sa_family != AF_INET && address.any.sa_family != AF_INET6))
		return serve_refuse_inherited(fd, "is neither UDP nor TCP");
	if (type == SOCK_STREAM && (!serve_socket_option(fd, SO_ACCEPTCONN, &listens) || !listens))
		return serve_refuse_inherited(fd, "is a TCP connection; set Accept=no");
	if (!serve_is_loopback(&address))
		return serve_refuse_inherited(
		    fd, "is not bound to this host's loopback; nobody else is served");
	if (!serve_prepare(fd))
		return serve_refuse_inherited(fd, strerror(errno));
	struct stub_socket one = {.fd = fd, .is_stream = type == SOCK_STREAM};
	set_name(&one, one.is_stream ? "tcp" : "udp", &address);
	return add(sockets, &one);
}

int stub_inherit(struct stub_sockets *sockets)
{
	int r = 0;
	unsigned count = serve_inherited();
	for (unsigned i = 0; r == 0 && i < count; i++)
		r = inherit(sockets, SERVE_FIRST_FD + (int)i);
	return r;
}
