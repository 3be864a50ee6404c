/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/base/domains.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (256u << 20)

/* The next line that says something, as a string; NULL: none. at moves behind it. */
static char *next_line(
    const char **at, char line[NEXT_HOP_TEXT_MAX], unsigned *number, bool *ret_fits)
{
	while (**at != '\0') {
		size_t bytes = strcspn(*at, "\n"), start = strspn(*at, " \t\r");
		const char *text = *at;
		*at += bytes + (text[bytes] == '\n');
		++*number;
		size_t end = strcspn(text, "#\n");
		while (end > start && strchr(" \t\r", text[end - 1]) != NULL)
			end--;
		if (start >= end)
			continue;
		*ret_fits = end - start < NEXT_HOP_TEXT_MAX;
		snprintf(line, NEXT_HOP_TEXT_MAX, "%.*s", (int)(end - start), text + start);
		return line;
	}
	return NULL;
}

static int read_whole(int fd, char **ret_text)
{
	struct stat about;
	if (fstat(fd, &about) != 0)
		return -errno;
	if (!S_ISREG(about.st_mode))
		return -EBADF;
	if (about.st_size > FILE_MAX_BYTES)
		return -EFBIG;
	size_t size = (size_t)about.st_size, used = 0;
	char *text = malloc(size + 1);
	ssize_t n = text != NULL ? 1 : 0;
	while (n > 0 && used < size && (n = pread(fd, text + used, size - used, (off_t)used)) > 0)
		used += (size_t)n;
	int r = text == NULL                       ? -ENOMEM
		: n < 0                            ? -errno
		: memchr(text, '\0', used) != NULL ? -EINVAL
						   : 0;
	if (r != 0) {
		free(text);
		return r;
	}
	text[used] = '\0';
	*ret_text = text;
	return 0;
}

int domains_read(
    int fd, const char *path, struct domains *ret_domains, char *error, size_t error_bytes)
{
	struct domains domains = {0};
	char line[NEXT_HOP_TEXT_MAX];
	struct next_hop hop;
	unsigned number = 0;
	bool fits;
	*ret_domains = domains;
	int r = read_whole(fd, &domains.text);
	close(fd);
	if (r != 0) {
		snprintf(error, error_bytes, "prefetch.domains-file %s: %s", path,
		    r == -EINVAL  ? "it is binary"
		    : r == -EBADF ? "it is no regular file"
				  : strerror(-r));
		return r;
	}
	domains.next = domains.text;
	while (next_line(&domains.next, line, &number, &fits) != NULL) {
		r = fits ? next_hop_parse(line, &hop) : NAME_TOO_LONG;
		if (r != NAME_OK) {
			snprintf(error, error_bytes, "%s:%u: '%.100s': %s", path, number, line,
			    name_error_text(r));
			free(domains.text);
			return -EINVAL;
		}
		domains.count++;
	}
	domains.next = domains.text;
	*ret_domains = domains;
	return 0;
}

int domains_check(const char *path, char *error, size_t error_bytes)
{
	struct domains domains;
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	if (path == NULL)
		return 0;
	if (fd < 0) {
		snprintf(error, error_bytes, "prefetch.domains-file %s: %s", path, strerror(errno));
		return -EINVAL;
	}
	int r = domains_read(fd, path, &domains, error, error_bytes);
	domains_fini(&domains);
	return r;
}

void domains_fini(struct domains *domains)
{
	free(domains->text);
	*domains = (struct domains){0};
}

bool domains_next(struct domains *domains, struct next_hop *ret_hop)
{
	char line[NEXT_HOP_TEXT_MAX];
	unsigned number = 0;
	bool fits;
	return domains->text != NULL && next_line(&domains->next, line, &number, &fits) != NULL &&
	       next_hop_parse(line, ret_hop) == NAME_OK; /* as it was when it was read */
}

void domains_rewind(struct domains *domains)
{
	domains->next = domains->text;
}
