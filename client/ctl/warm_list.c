/* SPDX-License-Identifier: BSD-3-Clause */
/* The next hops of a file, one a line, as prefetch.domains-file has them: empty lines and what
 * stands behind # do not count. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/warm.h"

#define READ_BYTES 65536u
#define BLANKS " \t\r"

static int read_all(FILE *file, char **ret_bytes, size_t *ret_count)
{
	char *bytes = NULL;
	size_t count = 0, room = 0, n = 1;
	while (n > 0) {
		if (room - count < READ_BYTES) {
			char *larger = realloc(bytes, room = 2 * room + 2 * READ_BYTES);
			if (larger == NULL) {
				free(bytes);
				return -ENOMEM;
			}
			bytes = larger;
		}
		n = fread(bytes + count, 1, room - count - 1, file);
		count += n;
	}
	if (ferror(file)) {
		free(bytes);
		return errno != 0 ? -errno : -EIO;
	}
	bytes[count] = '\0';
	*ret_bytes = bytes;
	*ret_count = count;
	return 0;
}

/* 0 or -ENOMEM. */
static int add(struct warm_list *list, size_t *room, char *text, unsigned line)
{
	if (list->count == *room) {
		size_t more = *room > 0 ? 2 * *room : 1024;
		struct warm_name *larger = realloc(list->names, more * sizeof *larger);
		if (larger == NULL)
			return -ENOMEM;
		list->names = larger;
		*room = more;
	}
	list->names[list->count++] = (struct warm_name){.text = text, .line = line};
	return 0;
}

static int split(struct warm_list *list)
{
	size_t room = 0;
	unsigned line = 0;
	int r = 0;
	for (char *text = list->bytes, *next; r == 0 && text != NULL; text = next) {
		next = strchr(text, '\n');
		if (next != NULL)
			*next++ = '\0';
		line++;
		text[strcspn(text, "#")] = '\0';
		text += strspn(text, BLANKS);
		size_t count = strlen(text);
		while (count > 0 && strchr(BLANKS, text[count - 1]) != NULL)
			text[--count] = '\0';
		if (count > 0)
			r = add(list, &room, text, line);
	}
	return r;
}

int warm_list_read(const char *path, struct warm_list *ret_list)
{
	struct warm_list list = {0};
	size_t count = 0;
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return -errno;
	int r = read_all(file, &list.bytes, &count);
	fclose(file);
	if (r == 0 && list.bytes != NULL && memchr(list.bytes, '\0', count) != NULL)
		r = -EINVAL;
	if (r == 0) {
		crypto_generichash(
		    list.hash, sizeof list.hash, (const uint8_t *)list.bytes, count, NULL, 0);
		r = split(&list);
	}
	if (r != 0) {
		warm_list_free(&list);
		return r;
	}
	*ret_list = list;
	return 0;
}

void warm_list_free(struct warm_list *list)
{
	free(list->names);
	free(list->bytes);
	*list = (struct warm_list){0};
}

int warm_failures_add(struct warm_failures *failures, size_t index, const char *reason)
{
	if (failures->count == failures->room) {
		size_t more = failures->room > 0 ? 2 * failures->room : 64;
		struct warm_failure *larger = realloc(failures->list, more * sizeof *larger);
		if (larger == NULL)
			return -ENOMEM;
		failures->list = larger;
		failures->room = more;
	}
	char *copy = strdup(reason);
	if (copy == NULL)
		return -ENOMEM;
	failures->list[failures->count++] = (struct warm_failure){index, copy};
	return 0;
}

void warm_failures_free(struct warm_failures *failures)
{
	for (size_t i = 0; i < failures->count; i++)
		free(failures->list[i].reason);
	free(failures->list);
	*failures = (struct warm_failures){0};
}
