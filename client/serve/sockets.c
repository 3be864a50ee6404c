/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/serve/serve.h"

unsigned serve_inherited(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	int count = fds != NULL ? atoi(fds) : 0;
	bool for_us = pid != NULL && atol(pid) == getpid() && count > 0;
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return for_us ? (unsigned)count : 0;
}

int serve_refuse_inherited(int fd, const char *why)
{
	serve_log(SERVE_ERROR, "descriptor %d that was handed over %s", fd, why);
	return EXIT_BAD_SOCKET;
}

bool serve_socket_option(int fd, int option, int *ret_value)
{
	socklen_t bytes = sizeof *ret_value;
	return getsockopt(fd, SOL_SOCKET, option, ret_value, &bytes) == 0;
}

bool serve_prepare(int fd)
{
	return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
	       fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0;
}
