/* SPDX-License-Identifier: BSD-3-Clause */
/* One question to resolverd-postfix, as Postfix asks it (socketmap_table(5)). */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/ctl/doctor.h"
#include "client/lib/clock.h"
#include "client/postfix/netstring.h"
#include "client/serve/serve.h"

#define REPLY_MAX 1024u

/* "inet:127.0.0.1:8460:policy" or "unix:resolverd/policy:policy", behind "socketmap:". */
bool doctor_find_socketmap(
    const char *tables, const char *queue_directory, struct doctor_socketmap *ret_map)
{
	static const char word[] = "socketmap:";
	const char *at = strstr(tables, word);
	if (at == NULL)
		return false;
	at += strlen(word);
	ret_map->inet = strncmp(at, "inet:", 5) == 0;
	if (!ret_map->inet && strncmp(at, "unix:", 5) != 0)
		return false;
	at += 5;
	size_t length = strcspn(at, " \t,}");
	const char *colon = memrchr(at, ':', length);
	if (colon == NULL)
		return false;
	bool is_relative = !ret_map->inet && at[0] != '/';
	int n = snprintf(ret_map->where, sizeof ret_map->where, "%s%s%.*s",
	    is_relative ? queue_directory : "", is_relative ? "/" : "", (int)(colon - at), at);
	int m = snprintf(
	    ret_map->name, sizeof ret_map->name, "%.*s", (int)(at + length - colon - 1), colon + 1);
	return n > 0 && (size_t)n < sizeof ret_map->where && m > 0 &&
	       (size_t)m < sizeof ret_map->name;
}

/* A descriptor, or -errno. */
static int open_map(const struct doctor_socketmap *map)
{
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	union serve_address remote;
	const struct sockaddr *address = (const struct sockaddr *)&local;
	socklen_t bytes = sizeof local;
	if (map->inet) {
		if (!serve_take_address(map->where, 0, &remote))
			return -EINVAL;
		address = &remote.any;
		bytes = serve_address_bytes(&remote);
	} else if (strlen(map->where) < sizeof local.sun_path) {
		memcpy(local.sun_path, map->where, strlen(map->where) + 1);
	} else {
		return -ENAMETOOLONG;
	}
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, address, bytes) != 0) {
		int error = errno;
		close(fd);
		return -error;
	}
	return fd >= 0 ? fd : -errno;
}

static int converse(int fd, const char *request, int timeout_ms, char *ret_text, size_t text_bytes)
{
	char reply[REPLY_MAX];
	const char *text;
	size_t count = 0, length, consumed;
	const int64_t until_ms = clock_mono_ms() + timeout_ms;
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return -errno;
	while (count < sizeof reply) {
		struct pollfd pollfd = {.fd = fd, .events = POLLIN};
		int64_t left_ms = until_ms - clock_mono_ms();
		if (left_ms <= 0 || poll(&pollfd, 1, (int)left_ms) <= 0)
			return -ETIMEDOUT;
		ssize_t n = recv(fd, reply + count, sizeof reply - count, 0);
		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		count += (size_t)n;
		switch (netstring_parse(reply, count, sizeof reply, &text, &length, &consumed)) {
		case NETSTRING_WHOLE:
			snprintf(ret_text, text_bytes, "%.*s", (int)length, text);
			return 0;
		case NETSTRING_MALFORMED:
			return -EPROTO;
		case NETSTRING_MORE:
			break;
		}
	}
	return -EPROTO;
}

int doctor_ask_socketmap(const struct doctor_socketmap *map, const char *key, int timeout_ms,
    char *ret_text, size_t text_bytes)
{
	char text[400], request[420];
	snprintf(text, sizeof text, "%s %.300s", map->name, key);
	snprintf(request, sizeof request, "%zu:%s,", strlen(text), text);
	int fd = open_map(map);
	int r = fd < 0 ? fd : converse(fd, request, timeout_ms, ret_text, text_bytes);
	if (fd >= 0)
		close(fd);
	if (r != 0)
		snprintf(ret_text, text_bytes, "%s", strerror(-r));
	return r;
}
