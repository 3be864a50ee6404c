/* SPDX-License-Identifier: BSD-3-Clause */
/* Where to listen: Unix sockets, and TCP on loopback. */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/serve/listening.h"
#include "client/serve/serve.h"

#define BACKLOG 256
#define UNIX "unix:"
#define INET "inet:"

static int add(struct sockets *sockets, const struct listening *one)
{
	if (sockets->count == SOCKETS_MAX) {
		serve_log(SERVE_ERROR, "more than %u sockets to listen on", SOCKETS_MAX);
		return EXIT_WRONG_USAGE;
	}
	sockets->list[sockets->count++] = *one;
	return 0;
}

void sockets_fini(struct sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (sockets->list[i].path != NULL)
			unlink(sockets->list[i].path);
		close(sockets->list[i].fd);
	}
	sockets->count = 0;
}

static int cannot_listen(const char *where, const char *why)
{
	serve_log(SERVE_ERROR, "cannot listen on %s: %s", where, why);
	return EXIT_TROUBLE;
}

/* ---- --listen ---- */

static int listen_inet(struct sockets *sockets, const char *text)
{
	union serve_address address;
	const int on = 1;
	if (!serve_take_address(text + strlen(INET), 0, &address)) {
		serve_log(SERVE_ERROR, "--listen: \"%s\" is no inet:ADDRESS:PORT", text);
		return EXIT_WRONG_USAGE;
	}
	if (!serve_is_loopback(&address)) {
		serve_log(SERVE_ERROR,
		    "--listen: %s is not on this host's loopback; nobody else is served", text);
		return EXIT_WRONG_USAGE;
	}
	struct listening one = {
	    .fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
	snprintf(one.name, sizeof one.name, "%s", text);
	if (one.fd < 0)
		return cannot_listen(text, strerror(errno));
	(void)setsockopt(one.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	int r = EXIT_TROUBLE;
	if (bind(one.fd, &address.any, serve_address_bytes(&address)) != 0 ||
	    listen(one.fd, BACKLOG) != 0)
		cannot_listen(text, strerror(errno));
	else
		r = add(sockets, &one);
	if (r != 0)
		close(one.fd);
	return r;
}

/* Someone answers there: it is not ours to replace. */
static bool is_in_use(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool in_use =
	    fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
			   errno == EAGAIN);
	if (fd >= 0)
		close(fd);
	return in_use;
}

/* Removes what a run before left. */
static bool make_way(const struct sockaddr_un *address)
{
	struct stat stat;
	if (lstat(address->sun_path, &stat) != 0)
		return errno == ENOENT;
	if (!S_ISSOCK(stat.st_mode) || is_in_use(address)) {
		errno = EADDRINUSE;
		return false;
	}
	return unlink(address->sun_path) == 0;
}

static bool take_group(const char *name, gid_t *ret_group)
{
	*ret_group = (gid_t)-1;
	if (name == NULL)
		return true;
	const struct group *group = getgrnam(name);
	if (group != NULL)
		*ret_group = group->gr_gid;
	return group != NULL;
}

/* The socket is there with its final rights from the first moment on: others can't connect before.
 */
static bool bind_unix(int fd, const struct sockaddr_un *address, mode_t mode, gid_t group)
{
	mode_t before = umask(0777);
	int r = bind(fd, (const struct sockaddr *)address, sizeof *address);
	umask(before);
	return r == 0 && (group == (gid_t)-1 || chown(address->sun_path, (uid_t)-1, group) == 0) &&
	       chmod(address->sun_path, mode) == 0 && listen(fd, BACKLOG) == 0;
}

static int listen_unix(
    struct sockets *sockets, const char *text, mode_t mode, const char *group_name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = text + strlen(UNIX);
	gid_t group;
	if (*path == '\0' || strlen(path) >= sizeof address.sun_path) {
		serve_log(SERVE_ERROR, "--listen: \"%s\" is no unix:PATH of at most %zu octets",
		    text, sizeof address.sun_path - 1);
		return EXIT_WRONG_USAGE;
	}
	if (!take_group(group_name, &group)) {
		serve_log(SERVE_ERROR, "--socket-group: there is no group \"%s\"", group_name);
		return EXIT_WRONG_USAGE;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (!make_way(&address))
		return cannot_listen(text, strerror(errno));
	struct listening one = {
	    .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
	    .path = path,
	    .is_unix = true};
	snprintf(one.name, sizeof one.name, "%s", text);
	if (one.fd < 0)
		return cannot_listen(text, strerror(errno));
	int r = EXIT_TROUBLE;
	if (!bind_unix(one.fd, &address, mode, group))
		cannot_listen(text, strerror(errno));
	else
		r = add(sockets, &one);
	if (r != 0)
		close(one.fd);
	return r;
}

int sockets_listen(struct sockets *sockets, const char *text, mode_t mode, const char *group)
{
	if (strncmp(text, INET, strlen(INET)) == 0)
		return listen_inet(sockets, text);
	if (strncmp(text, UNIX, strlen(UNIX)) == 0)
		return listen_unix(sockets, text, mode, group);
	serve_log(SERVE_ERROR, "--listen: \"%s\" is neither unix:PATH nor inet:ADDRESS:PORT", text);
	return EXIT_WRONG_USAGE;
}

/* ---- socket activation ---- */

static int inherit(struct sockets *sockets, int fd)
{
	int type, listens = 0;
	union serve_address address = {0};
	socklen_t bytes = sizeof address;
	struct listening one = {.fd = fd};
	if (!serve_socket_option(fd, SO_TYPE, &type) || getsockname(fd, &address.any, &bytes) != 0)
		return serve_refuse_inherited(fd, "is no socket");
	if (type != SOCK_STREAM || !serve_socket_option(fd, SO_ACCEPTCONN, &listens) || !listens)
		return serve_refuse_inherited(
		    fd, "does not listen; set ListenStream and Accept=no");
	if (address.any.sa_family == AF_UNIX) {
		one.is_unix = true;
		snprintf(one.name, sizeof one.name, UNIX "(descriptor %d)", fd);
	} else {
		char text[SERVE_ADDRESS_TEXT];
		if (!serve_is_loopback(&address))
			return serve_refuse_inherited(
			    fd, "is not bound to this host's loopback; nobody else is served");
		serve_address_text(&address, text);
		snprintf(one.name, sizeof one.name, INET "%s", text);
	}
	if (!serve_prepare(fd))
		return serve_refuse_inherited(fd, strerror(errno));
	return add(sockets, &one);
}

int sockets_inherit(struct sockets *sockets)
{
	int r = 0;
	unsigned count = serve_inherited();
	for (unsigned i = 0; r == 0 && i < count; i++)
		r = inherit(sockets, SERVE_FIRST_FD + (int)i);
	return r;
}

int sockets_take_mode(const char *text, mode_t *ret_mode)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);
	if (text[0] < '0' || text[0] > '7' || *end != '\0' || mode > 0777) {
		serve_log(SERVE_ERROR, "--socket-mode: \"%s\" is no octal mode", text);
		return EXIT_WRONG_USAGE;
	}
	*ret_mode = (mode_t)mode;
	return 0;
}
