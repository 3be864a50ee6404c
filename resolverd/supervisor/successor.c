/* SPDX-License-Identifier: BSD-3-Clause */
/* A restart in place, for a new version of the program: the process and its sockets stay. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "resolverd/base/log.h"
#include "resolverd/supervisor/state.h"

#define FIRST_FD 3 /* of those that are handed over */
#define ABOVE_FD 16

/* Its own --check-config says what is wrong. */
static bool is_fit(struct supervisor *supervisor)
{
	size_t count = 0;
	int status = -1;
	while (supervisor->start->argv[count] != NULL)
		count++;
	char **argv = calloc(count + 2, sizeof *argv);
	pid_t pid = argv != NULL ? fork() : -1;
	if (pid == 0) {
		memcpy(argv, supervisor->start->argv, count * sizeof *argv);
		argv[count] = (char *)(uintptr_t) "--check-config";
		execv(supervisor->program, argv);
		log_error("cannot run %s: %s", supervisor->program, strerror(errno));
		_exit(EX_OSERR);
	}
	free(argv);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void successor_prepare(struct supervisor *supervisor)
{
	if (supervisor->stopping)
		return;
	if (!is_fit(supervisor)) {
		log_error("restart: %s would not start; this one goes on", supervisor->program);
		return;
	}
	log_notice("restart: %s takes over", supervisor->program);
	supervisor->become_successor = supervisor->sockets_stay = true;
	stop(supervisor, EX_OSERR);
}

void successor_become(struct supervisor *supervisor)
{
	int fds[] = {supervisor->listen_fd, supervisor->control_fd};
	for (size_t i = 0; i < 2; i++) {
		int above = fcntl(fds[i], F_DUPFD_CLOEXEC, ABOVE_FD);
		close(fds[i]);
		fds[i] = above;
	}
	supervisor->listen_fd = supervisor->control_fd = -1;
	for (int i = 0; i < 2; i++)
		if (fds[i] < 0 || dup2(fds[i], FIRST_FD + i) < 0) /* which is not closed by exec */
			goto failed;
	if (manager_pass_on(&supervisor->manager, 2) != 0)
		goto failed;
	execv(supervisor->program, supervisor->start->argv);
failed:
	log_fatal("restart: cannot run %s: %s", supervisor->program, strerror(errno));
}
