/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "resolverd/base/access.h"
#include "tests/unit/test.h"

#define LIST(...)                                                                                  \
	(char *[])                                                                                 \
	{                                                                                          \
		__VA_ARGS__ __VA_OPT__(, ) NULL                                                    \
	}

/* ---- names and numbers ---- */

static const struct lists {
	const char *name;
	char **users, **groups;
	const char *error; /* NULL: taken */
	struct access_list want;
} lists[] = {
    {"nobody_named", LIST(), LIST(), NULL, {0}},
    {"a_user_by_name", LIST("daemon"), LIST(), NULL, {1, 0, {1}}},
    {"a_user_by_number", LIST("12345"), LIST(), NULL, {1, 0, {12345}}},
    {"users_come_before_groups", LIST("0", "7"), LIST("daemon", "9"), NULL, {2, 2, {0, 7, 1, 9}}},
    {"the_largest_number", LIST("4294967294"), LIST(), NULL, {1, 0, {4294967294}}},
    {"no_such_user", LIST("daemon", "no-such"), LIST(), "there is no user 'no-such'", {0}},
    {"no_such_group", LIST(), LIST("no-such"), "there is no group 'no-such'", {0}},
    {"a_number_that_means_none", LIST("4294967295"), LIST(), "there is no user", {0}},
    {"a_number_too_large", LIST("4294967296"), LIST(), "there is no user", {0}},
    {"a_negative_number", LIST("-1"), LIST(), "there is no user", {0}},
    {"a_number_and_more", LIST("1000x"), LIST(), "there is no user", {0}},
    {"an_empty_name", LIST(""), LIST(), "there is no user ''", {0}},
};

static void names_become_numbers(void **state)
{
	const struct lists *row = *state;
	struct config config = {.server = {.allow_users = row->users, .allow_groups = row->groups}};
	struct access_list got = {0};
	char error[300] = "";
	int r = access_resolve(&config, &got, error, sizeof error);
	assert_int_equal(r == 0, row->error == NULL);
	if (row->error != NULL)
		assert_non_null(strstr(error, row->error));
	assert_memory_equal(&got, &row->want, sizeof got);
}

static void more_than_fit_are_refused(void **state)
{
	char *users[ACCESS_IDS_MAX + 1] = {NULL}, *groups[] = {(char[]){"1"}, NULL}, error[300];
	struct config config = {.server = {.allow_users = users, .allow_groups = groups + 1}};
	struct access_list got;
	(void)state;
	for (unsigned i = 0; i < ACCESS_IDS_MAX; i++)
		users[i] = groups[0];
	assert_int_equal(access_resolve(&config, &got, error, sizeof error), 0);
	assert_int_equal(got.user_count, ACCESS_IDS_MAX);
	config.server.allow_groups = groups;
	assert_int_not_equal(access_resolve(&config, &got, error, sizeof error), 0);
	assert_non_null(strstr(error, "more than 120"));
}

/* ---- who may ask ---- */

static const struct peer {
	const char *name;
	struct access_list list;
	uid_t user;
	gid_t groups[2];
	bool want;
} peers[] = {
    {"without_rules_everyone_may", {0}, 1000, {1000, 4}, true},
    {"a_user_that_is_named_may", {1, 0, {1000}}, 1000, {7, 8}, true},
    {"another_may_not", {1, 0, {1000}}, 1001, {7, 8}, false},
    {"one_of_a_group_may", {0, 1, {8}}, 1001, {7, 8}, true},
    {"one_of_other_groups_may_not", {0, 1, {9}}, 1001, {7, 8}, false},
    {"a_group_number_names_no_user", {0, 1, {1001}}, 1001, {7, 8}, false},
    {"a_user_number_names_no_group", {1, 0, {8}}, 1001, {7, 8}, false},
    {"a_user_or_a_group_is_enough", {1, 1, {1, 7}}, 1001, {7, 8}, true},
    {"root_may", {1, 1, {1000, 1000}}, 0, {0, 0}, true},
    {"the_group_of_root_is_one_of_many", {1, 0, {1000}}, 5, {0, 0}, false},
};

static void the_rules_say_who_may_ask(void **state)
{
	const struct peer *row = *state;
	assert_int_equal(access_allows(&row->list, row->user, row->groups, 2), row->want);
}

int main(void)
{
	struct test_list list = {0};
	ADD_ROWS(&list, lists, names_become_numbers);
	ADD_TEST(&list, more_than_fit_are_refused);
	ADD_ROWS(&list, peers, the_rules_say_who_may_ask);
	return test_run("access", &list, NULL, NULL);
}
