/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_read(const char *path, size_t max_bytes, char **ret_text)
{
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return -errno;
	char *text = calloc(1, max_bytes + 2);
	size_t n = text != NULL ? fread(text, 1, max_bytes + 1, file) : 0;
	int r = text == NULL                    ? -ENOMEM
		: ferror(file)                  ? -EIO
		: n > max_bytes                 ? -EFBIG
		: memchr(text, '\0', n) != NULL ? -EINVAL
						: 0;
	fclose(file);
	if (r != 0)
		free(text);
	else
		*ret_text = text;
	return r;
}

int file_replace(const char *path, mode_t mode, const char *text)
{
	char temporary[PATH_MAX];
	if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
		return -ENAMETOOLONG;
	(void)unlink(temporary);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	size_t length = strlen(text);
	ssize_t n = write(fd, text, length);
	int r = n != (ssize_t)length ? (n < 0 ? -errno : -ENOSPC) : 0;
	if (r == 0 && (fchmod(fd, mode) != 0 || fsync(fd) != 0))
		r = -errno;
	close(fd);
	if (r == 0 && rename(temporary, path) != 0)
		r = -errno;
	if (r != 0)
		(void)unlink(temporary);
	return r;
}
