/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/supervisor/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "resolverd/base/role.h"

/* In the child: these descriptors and the standard ones. First out of each other's way, then home.
 */
static void arrange_fds(const struct spawn_fd *fds, size_t count)
{
	int moved[SPAWN_FDS_MAX];
	for (size_t i = 0; i < count; i++)
		moved[i] = fcntl(fds[i].from, F_DUPFD, 64);
	for (size_t i = 0; i < count; i++)
		if (moved[i] < 0 || dup2(moved[i], fds[i].to) < 0)
			_exit(EX_OSERR);
	close_range((unsigned)fds[count - 1].to + 1, ~0u, 0);
}

pid_t spawn_role(const struct spawn *spawn)
{
	size_t set_count = 0, n = 0;
	while (spawn->set != NULL && spawn->set[set_count] != NULL)
		set_count++;
	const char **arguments = calloc(2 * set_count + 6, sizeof *arguments);
	pid_t parent = getpid(), pid = arguments != NULL ? fork() : -1;
	if (pid != 0) {
		free(arguments);
		return pid;
	}
	role_die_with_parent(parent);
	arguments[n++] = "resolverd";
	arguments[n++] = "--role";
	arguments[n++] = spawn->role;
	arguments[n++] = "--config";
	arguments[n++] = spawn->config_file != NULL ? spawn->config_file : "";
	for (size_t i = 0; i < set_count; i++) {
		arguments[n++] = "--set";
		arguments[n++] = spawn->set[i];
	}
	arrange_fds(spawn->fds, spawn->fd_count);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv("/proc/self/exe", (char *const *)(uintptr_t)arguments);
	_exit(EX_OSERR);
}
