/* SPDX-License-Identifier: BSD-3-Clause */
/* What holds for the memory of a key, seen as the kernel sees it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "resolverd/base/sandbox_internal.h"
#include "resolverd/base/secret.h"

#define BYTES 64

/* The flags of the mapping it lies in (proc(5), smaps): "rd wr mr …". */
static void flags_of(const void *address, char flags[static 200])
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	char line[400];
	bool inside = false;
	assert_non_null(maps);
	flags[0] = '\0';
	while (fgets(line, sizeof line, maps) != NULL && flags[0] == '\0') {
		uintptr_t from, to;
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from <= (uintptr_t)address && (uintptr_t)address < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			snprintf(flags, 200, "%.190s ", line + 8);
	}
	fclose(maps);
}

static bool has(const void *address, const char *flag)
{
	char flags[200], wanted[8];
	flags_of(address, flags);
	snprintf(wanted, sizeof wanted, " %s ", flag);
	return strstr(flags, wanted) != NULL;
}

static void it_is_locked_and_in_no_dump_and_no_child(void **state)
{
	(void)state;
	uint8_t *secret = secret_new(BYTES);
	assert_non_null(secret);
	/* AddressSanitizer makes mlock do nothing. */
	assert_true(SANDBOX_INSTRUMENTED || has(secret, "lo"));
	assert_true(has(secret, "dd"));
	assert_true(has(secret, "wf"));
	memset(secret, 0xaa, BYTES);
	pid_t pid = fork();
	if (pid == 0) {
		for (size_t i = 0; i < BYTES; i++)
			if (secret[i] != 0)
				_exit(1);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(secret[BYTES - 1], 0xaa);
	secret_free(secret, BYTES);
}

static int end_of_reading(const uint8_t *address)
{
	pid_t pid = fork();
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		_exit(*(const volatile uint8_t *)address);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static void what_stands_beside_it_and_it_when_hidden_cannot_be_read(void **state)
{
	(void)state;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *secret = secret_new(BYTES);
	assert_non_null(secret);
	assert_int_equal(end_of_reading(secret), 0);
	assert_int_equal(end_of_reading(secret - 1), SIGSEGV);
	assert_int_equal(end_of_reading(secret + page), SIGSEGV);
	secret_hide(secret, BYTES);
	assert_int_equal(end_of_reading(secret), SIGSEGV);
	secret_show(secret, BYTES);
	assert_int_equal(end_of_reading(secret), 0);
	secret_hide(secret, BYTES);
	secret_free(secret, BYTES);
	secret_free(NULL, BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_is_locked_and_in_no_dump_and_no_child),
	    cmocka_unit_test(what_stands_beside_it_and_it_when_hidden_cannot_be_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
