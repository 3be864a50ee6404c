/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/supervisor/manager.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "resolverd/base/log.h"

#define FIRST_FD 3

/* A number of the environment, or 0. Takes it out. */
static int64_t take_number(const char *name)
{
	const char *text = getenv(name);
	char *end;
	errno = 0;
	int64_t value = text != NULL ? strtoll(text, &end, 10) : 0;
	if (text != NULL && (*text == '\0' || *end != '\0' || errno != 0 || value < 0))
		value = 0;
	unsetenv(name);
	return value;
}

/* Those meant for another process are not ours. */
static bool take_is_mine(const char *name)
{
	bool given = getenv(name) != NULL;
	return take_number(name) == getpid() || !given;
}

/* Of the names, with colons between them, that come with the descriptors. */
static bool is_kept_name(const char *names, int number)
{
	static const char *const kept[] = {MANAGER_CLIENTS, MANAGER_CONTROL};
	for (; names != NULL && number > 0; number--)
		names = strchr(names, ':') != NULL ? strchr(names, ':') + 1 : NULL;
	for (size_t i = 0; names != NULL && i < sizeof kept / sizeof *kept; i++)
		if (strcspn(names, ":") == strlen(kept[i]) &&
		    strncmp(names, kept[i], strlen(kept[i])) == 0)
			return true;
	return false;
}

void manager_init(struct manager *manager)
{
	*manager = (struct manager){0};
	const char *path = getenv("NOTIFY_SOCKET");
	if (path != NULL && (path[0] == '/' || path[0] == '@') &&
	    strlen(path) < sizeof manager->notify_socket)
		strcpy(manager->notify_socket, path);
	unsetenv("NOTIFY_SOCKET");
	bool listen_is_mine = getenv("LISTEN_PID") != NULL && take_is_mine("LISTEN_PID");
	int64_t count = take_number("LISTEN_FDS");
	const char *names = getenv("LISTEN_FDNAMES");
	for (int i = 0; listen_is_mine && i < count; i++) {
		int fd = FIRST_FD + i;
		if (i >= (int)MANAGER_FDS_MAX)
			close(fd);
		else if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) {
			manager->kept[manager->fd_count] = is_kept_name(names, i);
			manager->fds[manager->fd_count++] = fd;
		}
	}
	unsetenv("LISTEN_FDNAMES");
	bool watchdog_is_mine = take_is_mine("WATCHDOG_PID");
	int64_t watchdog_us = take_number("WATCHDOG_USEC");
	manager->watchdog_ms = watchdog_is_mine ? watchdog_us / 1000 : 0;
}

/* ---- notify ---- */

static int notify_open(const struct manager *manager, struct sockaddr_un *address, socklen_t *bytes)
{
	size_t length = strlen(manager->notify_socket);
	if (length == 0)
		return -1;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, manager->notify_socket, length);
	if (address->sun_path[0] == '@')
		address->sun_path[0] = '\0';
	else
		length++;
	*bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static bool send_with(const struct manager *manager, const char *state, int fd)
{
	struct sockaddr_un address;
	socklen_t address_bytes;
	int out = notify_open(manager, &address, &address_bytes);
	if (out < 0)
		return false;
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = (void *)(uintptr_t)state, .iov_len = strlen(state)};
	struct msghdr message = {
	    .msg_name = &address, .msg_namelen = address_bytes, .msg_iov = &part, .msg_iovlen = 1};
	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
		struct cmsghdr *item = CMSG_FIRSTHDR(&message);
		item->cmsg_level = SOL_SOCKET;
		item->cmsg_type = SCM_RIGHTS;
		item->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(item), &fd, sizeof fd);
	}
	bool sent = sendmsg(out, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
	close(out);
	return sent;
}

void manager_tell(const struct manager *manager, const char *state)
{
	(void)send_with(manager, state, -1);
}

bool manager_keep(const struct manager *manager, const char *name, int fd)
{
	char state[80];
	snprintf(state, sizeof state, "FDSTORE=1\nFDNAME=%s", name);
	return send_with(manager, state, fd);
}

/* ---- sockets ---- */

static bool listens_on(int fd, const char *path)
{
	struct sockaddr_un address = {0};
	socklen_t bytes = sizeof address - 1, int_bytes = sizeof(int);
	int listening = 0, type = 0;
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &int_bytes) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &int_bytes) == 0 && listening != 0 &&
	       type == SOCK_STREAM && getsockname(fd, (struct sockaddr *)&address, &bytes) == 0 &&
	       address.sun_family == AF_UNIX && strcmp(address.sun_path, path) == 0;
}

int manager_take_socket(struct manager *manager, const char *path, bool *ret_kept)
{
	for (unsigned i = 0; i < manager->fd_count; i++) {
		int fd = manager->fds[i];
		if (fd < 0 || !listens_on(fd, path) || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
			continue;
		manager->fds[i] = -1;
		*ret_kept = manager->kept[i];
		return fd;
	}
	return -1;
}

void manager_close_rest(struct manager *manager)
{
	for (unsigned i = 0; i < manager->fd_count; i++) {
		if (manager->fds[i] < 0)
			continue;
		log_warning("socket-not-ours",
		    "descriptor %d was handed over and listens neither on server.socket nor on "
		    "server.control-socket: closed",
		    manager->fds[i]);
		close(manager->fds[i]);
		manager->fds[i] = -1;
	}
}
