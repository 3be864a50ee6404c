/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/supervisor/listen.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS                                                                                \
	2000 /* a server whose supervisor was killed ends by itself, but not at once               \
	      */
#define LOOK_EVERY_MS 50

static bool somebody_listens(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return true; /* can't tell: leave it alone */
	int r = connect(fd, (const struct sockaddr *)address, sizeof *address);
	bool refused = r != 0 && (errno == ECONNREFUSED || errno == ENOENT);
	close(fd);
	return !refused;
}

static bool somebody_goes_on_listening(const struct sockaddr_un *address)
{
	for (unsigned waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += LOOK_EVERY_MS) {
		if (!somebody_listens(address))
			return false;
		usleep(LOOK_EVERY_MS * 1000);
	}
	return true;
}

static int bind_socket(int fd, const struct sockaddr_un *address, char *error, size_t error_bytes)
{
	struct stat status;
	if (lstat(address->sun_path, &status) == 0) {
		if (!S_ISSOCK(status.st_mode)) {
			snprintf(error, error_bytes,
			    "%s exists and is no socket; remove it or set server.socket",
			    address->sun_path);
			return -EEXIST;
		}
		if (somebody_goes_on_listening(address)) {
			snprintf(error, error_bytes,
			    "another daemon listens on %s; stop it or set server.socket",
			    address->sun_path);
			return -EADDRINUSE;
		}
		(void)unlink(address->sun_path);
	}
	mode_t old = umask(0177);
	int r = bind(fd, (const struct sockaddr *)address, sizeof *address) == 0 ? 0 : -errno;
	umask(old);
	if (r != 0)
		snprintf(error, error_bytes,
		    "cannot make the socket %s: %s; its directory must exist and be "
		    "writable",
		    address->sun_path, strerror(-r));
	return r;
}

/* In between nobody gets in who is not to. */
int listen_set_access(
    const char *path, mode_t mode, const char *group, char *error, size_t error_bytes)
{
	const struct group *entry = group != NULL ? getgrnam(group) : NULL;
	struct stat status;
	if (group != NULL && entry == NULL) {
		snprintf(error, error_bytes, "server.socket-group: there is no group '%s'", group);
		return -EINVAL;
	}
	gid_t gid = entry != NULL ? entry->gr_gid : getegid();
	if (lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode)) {
		snprintf(error, error_bytes, "%s is no socket any more", path);
		return -ENOENT;
	}
	if (status.st_gid != gid && (chmod(path, 0600) != 0 || chown(path, (uid_t)-1, gid) != 0)) {
		int r = -errno;
		snprintf(error, error_bytes, "cannot give %s to group %s: %s", path,
		    group != NULL ? group : "of its own", strerror(-r));
		return r;
	}
	if (chmod(path, mode) != 0) {
		int r = -errno;
		snprintf(error, error_bytes, "cannot set the mode of %s: %s", path, strerror(-r));
		return r;
	}
	return 0;
}

int listen_unix(
    const char *path, mode_t mode, const char *group, char *error, size_t error_bytes, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path) {
		snprintf(
		    error, error_bytes, "the socket path %s is too long (107 bytes at most)", path);
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		snprintf(error, error_bytes, "cannot make a socket: %s", strerror(errno));
		return -errno;
	}
	int r = bind_socket(fd, &address, error, error_bytes);
	if (r == 0) {
		r = listen_set_access(path, mode, group, error, error_bytes);
		if (r == 0 && listen(fd, 4096) != 0) {
			snprintf(
			    error, error_bytes, "cannot listen on %s: %s", path, strerror(errno));
			r = -errno;
		}
		if (r != 0)
			(void)unlink(path);
	}
	if (r != 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}
