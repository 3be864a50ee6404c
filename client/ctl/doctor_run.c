/* SPDX-License-Identifier: BSD-3-Clause */
/* Other people's programs, run with care; and our own code as another user. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/ctl/doctor.h"
#include "client/lib/clock.h"

/* ---- is it safe to run? ---- */

/* Only root or we could have put it there. In a folder that everybody may write, with the sticky
 * bit, a folder of ours stays ours; a program that lies right in such a one is not run. */
static bool is_ours(const char *path, bool is_folder_of_program)
{
	struct stat status;
	if (lstat(path, &status) != 0 || (status.st_uid != 0 && status.st_uid != geteuid()))
		return false;
	bool is_open = (status.st_mode & S_IWOTH) != 0 ||
		       ((status.st_mode & S_IWGRP) != 0 && status.st_gid != 0);
	bool is_sticky = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
	return !is_open || (is_sticky && !is_folder_of_program);
}

/* ret_real: what stands there now, whose place was looked at. */
static int look_at(const char *path, char ret_real[PATH_MAX], char *ret_text)
{
	char real[PATH_MAX];
	if (path[0] != '/') {
		snprintf(ret_text, DOCTOR_TEXT_MAX, "\"%s\" is no absolute path", path);
		return -EACCES;
	}
	if (realpath(path, real) == NULL || access(real, X_OK) != 0) {
		int error = errno;
		snprintf(ret_text, DOCTOR_TEXT_MAX, "%s", strerror(error));
		return error == ENOENT || error == ENOTDIR ? -ENOENT : -error;
	}
	memcpy(ret_real, real, strlen(real) + 1);
	bool good = is_ours(real, false);
	for (unsigned depth = 0; good && strlen(real) > 1; depth++) {
		char *slash = strrchr(real, '/');
		slash[slash == real ? 1 : 0] = '\0';
		good = is_ours(real, depth == 0);
	}
	if (!good)
		snprintf(ret_text, DOCTOR_TEXT_MAX,
		    "not run: others than root could have put it there (%s)", real);
	return good ? 0 : -EACCES;
}

/* ---- a child and what it says ---- */

struct child {
	pid_t pid;
	int fd; /* it writes there */
	int64_t until_ms;
};

/* All it writes until it closes the pipe; -ETIME, -EFBIG, -errno. */
static int collect(const struct child *child, char *ret_bytes, size_t room, size_t *ret_count)
{
	size_t count = 0;
	for (;;) {
		struct pollfd pollfd = {.fd = child->fd, .events = POLLIN};
		int64_t left_ms = child->until_ms - clock_mono_ms();
		int r = left_ms > 0 ? poll(&pollfd, 1, (int)left_ms) : 0;
		if (r == 0)
			return -ETIME;
		ssize_t n = r < 0 ? -1 : read(child->fd, ret_bytes + count, room - count);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0) {
			*ret_count = count;
			return 0;
		}
		count += n > 0 ? (size_t)n : 0;
		if (count == room)
			return -EFBIG;
	}
}

/* Its exit status; -EIO: ended by a signal. It is killed when it was not done. */
static int reap(const struct child *child, bool is_done)
{
	int status = 0;
	if (!is_done)
		kill(child->pid, SIGKILL);
	/* What closed its output may go on, but not for long. */
	while (is_done && waitpid(child->pid, &status, WNOHANG) == 0) {
		if (clock_mono_ms() >= child->until_ms) {
			kill(child->pid, SIGKILL);
			break;
		}
		poll(NULL, 0, 5);
	}
	if (waitpid(child->pid, &status, 0) < 0 && errno != ECHILD)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

/* 0 in the child too, where *ret_child's pid is 0. */
static int start(struct child *ret_child)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	fflush(NULL);
	ret_child->until_ms = clock_mono_ms() + DOCTOR_RUN_MS;
	ret_child->pid = fork();
	int r = ret_child->pid < 0 ? -errno : 0;
	ret_child->fd = ends[ret_child->pid == 0];
	close(ends[ret_child->pid != 0]);
	if (r != 0)
		close(ret_child->fd);
	return r;
}

[[gnu::noreturn]] static void become(const char *path, const char *const *arguments, int output)
{
	static const char *const environment[] = {
	    "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/", NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
	    dup2(null, STDERR_FILENO) >= 0 && chdir("/") == 0)
		execve(path, (char *const *)(uintptr_t)arguments,
		    (char *const *)(uintptr_t)environment);
	_exit(127);
}

int doctor_run(const char *const *arguments, char **ret_output, char *ret_text)
{
	struct child child = {.pid = -1};
	size_t count = 0;
	char path[PATH_MAX];
	int r = look_at(arguments[0], path, ret_text);
	if (r != 0)
		return r;
	char *output = malloc(DOCTOR_OUTPUT_MAX + 1);
	r = output == NULL ? -ENOMEM : start(&child);
	if (r == 0 && child.pid == 0)
		become(path, arguments, child.fd);
	if (r == 0) {
		r = collect(&child, output, DOCTOR_OUTPUT_MAX, &count);
		close(child.fd);
		int status = reap(&child, r == 0);
		if (r == 0 && status != 0)
			r = -EIO;
		snprintf(ret_text, DOCTOR_TEXT_MAX, "%s %s: %s", arguments[0],
		    arguments[1] != NULL ? arguments[1] : "",
		    r == -EIO     ? "failed"
		    : r == -ETIME ? "took too long"
				  : strerror(-r));
	} else {
		snprintf(ret_text, DOCTOR_TEXT_MAX, "%s: %s", arguments[0], strerror(-r));
	}
	if (r != 0) {
		free(output);
		return r;
	}
	output[count] = '\0';
	ret_text[0] = '\0';
	*ret_output = output;
	return 0;
}

/* ---- as another user ---- */

[[gnu::noreturn]] static void act_as(const struct passwd *user, const char *chroot_directory,
    const struct child *child, int (*act)(const void *, char *), const void *argument)
{
	char text[DOCTOR_TEXT_MAX] = "cannot become that user";
	int r = initgroups(user->pw_name, user->pw_gid) != 0 ||
			(chroot_directory != NULL &&
			    (chroot(chroot_directory) != 0 || chdir("/") != 0)) ||
			setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0
		    ? -EPERM
		    : act(argument, text);
	ssize_t n = write(child->fd, text, strlen(text));
	_exit(r == 0 && n >= 0 ? 0 : -r > 0 && -r < 120 ? -r : EIO);
}

int doctor_as_user(const char *user, const char *chroot_directory,
    int (*act)(const void *argument, char *ret_text), const void *argument, char *ret_text)
{
	const struct passwd *found = getpwnam(user);
	struct child child = {.pid = -1};
	size_t count = 0;
	if (geteuid() != 0 || found == NULL) {
		snprintf(ret_text, DOCTOR_TEXT_MAX, "%s",
		    found == NULL ? "there is no such user" : "run as root to see");
		return -EPERM;
	}
	int r = start(&child);
	if (r == 0 && child.pid == 0)
		act_as(found, chroot_directory, &child, act, argument);
	if (r == 0) {
		r = collect(&child, ret_text, DOCTOR_TEXT_MAX, &count);
		close(child.fd);
		int status = reap(&child, r == 0);
		if (r == 0)
			r = status < 0 ? status : -status;
	}
	ret_text[r == -ETIME || r == -EFBIG ? 0 : count] = '\0';
	return r;
}
