/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/base/role.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDS_MAX 8u /* of a message that breaks the rules; those beyond the kernel drops */

union fd_control {
	struct cmsghdr header;
	uint8_t bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

int link_send(int link, const struct link_message *message, int fd)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)message, .iov_len = sizeof *message};
	union fd_control control = {0};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	if (fd >= 0) {
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(sizeof fd);
		struct cmsghdr *item = CMSG_FIRSTHDR(&header);
		item->cmsg_level = SOL_SOCKET;
		item->cmsg_type = SCM_RIGHTS;
		item->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(item), &fd, sizeof fd);
	}
	ssize_t n;
	do {
		n = sendmsg(link, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* One descriptor at most is meant. Of more none is kept. */
static bool take_fd(struct msghdr *header, int *ret_fd)
{
	bool is_whole = (header->msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0;
	for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item != NULL;
	     item = CMSG_NXTHDR(header, item)) {
		if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + CMSG_LEN(sizeof(int)) <= item->cmsg_len;
		     at += sizeof(int)) {
			int fd;
			memcpy(&fd, CMSG_DATA(item) + at, sizeof fd);
			is_whole = is_whole && *ret_fd < 0;
			if (*ret_fd >= 0)
				close(fd);
			else
				*ret_fd = fd;
		}
	}
	return is_whole;
}

int link_receive(int link, struct link_message *ret_message, int *ret_fd)
{
	struct iovec part = {.iov_base = ret_message, .iov_len = sizeof *ret_message};
	union fd_control control = {0};
	struct msghdr header = {.msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof control};
	*ret_fd = -1;
	ssize_t n = recvmsg(link, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : -errno;
	if (n == 0)
		return 0;
	if (!take_fd(&header, ret_fd) || (size_t)n != sizeof *ret_message ||
	    ret_message->bytes_count > sizeof ret_message->bytes) {
		if (*ret_fd >= 0)
			close(*ret_fd);
		*ret_fd = -1;
		return -EBADMSG;
	}
	return 1;
}

void role_die_with_parent(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
}

char *role_read_config(int fd)
{
	struct stat status;
	char *text = fstat(fd, &status) == 0 ? calloc(1, (size_t)status.st_size + 1) : NULL;
	if (text != NULL && pread(fd, text, (size_t)status.st_size, 0) != status.st_size) {
		free(text);
		text = NULL;
	}
	close(fd);
	return text;
}
