/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a unit test begins with: cmocka, with the headers it wants before it, and a list of tests
 * that functions and the rows of tables are added to.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define V1(name) RESOLVERD__V1__##name
#define COUNT(table) (sizeof(table) / sizeof *(table))

struct test_list {
	struct CMUnitTest tests[256];
	size_t count;
};

/* name is borrowed; the function finds row in *state. */
static inline void test_add(
    struct test_list *list, const char *name, CMUnitTestFunction function, const void *row)
{
	assert_true(list->count < COUNT(list->tests));
	list->tests[list->count++] = (struct CMUnitTest){
	    .name = name, .test_func = function, .initial_state = (void *)(uintptr_t)row};
}

#define ADD_TEST(list, function) test_add(list, #function, function, NULL)
/* One test for each row, by the name that is in it. */
#define ADD_ROWS(list, rows, function)                                                             \
	for (size_t nth = 0; nth < COUNT(rows); nth++)                                             \
	test_add(list, (rows)[nth].name, function, &(rows)[nth])

/* setup and teardown of the whole list may be NULL. Returns how many failed. */
static inline int test_run(const char *group, const struct test_list *list, CMFixtureFunction setup,
    CMFixtureFunction teardown)
{
	return _cmocka_run_group_tests(group, list->tests, list->count, setup, teardown);
}
