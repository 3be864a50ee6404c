/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/base/access.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool find_user(const char *name, uint32_t *ret_id)
{
	const struct passwd *entry = getpwnam(name);
	if (entry != NULL)
		*ret_id = entry->pw_uid;
	return entry != NULL;
}

static bool find_group(const char *name, uint32_t *ret_id)
{
	const struct group *entry = getgrnam(name);
	if (entry != NULL)
		*ret_id = entry->gr_gid;
	return entry != NULL;
}

/* (uint32_t)-1 stands for nobody known. */
static bool read_number(const char *text, uint32_t *ret_id)
{
	char *end;
	errno = 0;
	unsigned long number = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number >= UINT32_MAX)
		return false;
	*ret_id = (uint32_t)number;
	return true;
}

static int add(struct access_list *list, uint32_t *count, char *const *names, const char *kind,
    bool (*find)(const char *name, uint32_t *ret_id), char *error, size_t error_bytes)
{
	for (; *names != NULL; names++) {
		size_t used = list->user_count + list->group_count;
		if (used == ACCESS_IDS_MAX) {
			snprintf(error, error_bytes,
			    "server.allow-users and server.allow-groups name more than %u; use a "
			    "group",
			    ACCESS_IDS_MAX);
			return -EINVAL;
		}
		if (!read_number(*names, &list->ids[used]) && !find(*names, &list->ids[used])) {
			snprintf(error, error_bytes,
			    "server.allow-%ss: there is no %s '%.100s'; make it, or remove it from "
			    "the list",
			    kind, kind, *names);
			return -EINVAL;
		}
		++*count;
	}
	return 0;
}

int access_resolve(
    const struct config *config, struct access_list *ret_list, char *error, size_t error_bytes)
{
	struct access_list list = {0};
	int r = add(&list, &list.user_count, config->server.allow_users, "user", find_user, error,
	    error_bytes);
	if (r == 0)
		r = add(&list, &list.group_count, config->server.allow_groups, "group", find_group,
		    error, error_bytes);
	if (r == 0)
		*ret_list = list;
	return r;
}

static bool has(const uint32_t *ids, uint32_t count, uint32_t id)
{
	for (uint32_t i = 0; i < count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

bool access_allows(
    const struct access_list *list, uid_t user, const gid_t *groups, size_t group_count)
{
	if (list->user_count + list->group_count == 0 || user == 0 ||
	    has(list->ids, list->user_count, user))
		return true;
	for (size_t i = 0; i < group_count; i++)
		if (has(list->ids + list->user_count, list->group_count, groups[i]))
			return true;
	return false;
}
