/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that knows nothing of resolverd: calls the resolver of libc, for tests of the shim.
 *
 *	resolver-calls COMMAND...       one after the other:
 *	ask CALL NAME TYPE [...]        one call; a line with what it returned, as JSON
 *	option NAME VALUE...            for the calls that follow: class, room, domain, ndots,
 *search, flags raw HEX                         res_send of these octets threads COUNT ROUNDS NAME
 *TYPE  so many threads that ask so often; how many answers were alike rounds COUNT CALL NAME TYPE
 *what COUNT calls, after some, left behind fork                            a child does what
 *follows; then so do we close-all                       closes all descriptors but 0 to 2, and puts
 *files in their place check-files                     whether anything was written to those enter
 *FOLDER UID                chroot, and become this user
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOM_MAX 65536
#define FILES_FROM 3
#define FILES_TO 40

#ifdef __x86_64__
#define OLD "GLIBC_2.2.5"
#else
#define OLD "GLIBC_2.17"
#endif
/* As programs linked with a libc before 2.34 have them. */
int old_query(const char *, int, int, unsigned char *, int);
int old_search(const char *, int, int, unsigned char *, int);
int old_send(const unsigned char *, int, unsigned char *, int);
int old_nquery(res_state, const char *, int, int, unsigned char *, int);
int old_nsearch(res_state, const char *, int, int, unsigned char *, int);
int old_nsend(res_state, const unsigned char *, int, unsigned char *, int);
__asm__(".symver old_query,__res_query@" OLD);
__asm__(".symver old_search,__res_search@" OLD);
__asm__(".symver old_send,__res_send@" OLD);
__asm__(".symver old_nquery,__res_nquery@" OLD);
__asm__(".symver old_nsearch,__res_nsearch@" OLD);
__asm__(".symver old_nsend,__res_nsend@" OLD);

struct options {
	int class, room;
	const char *domain;
	struct __res_state state;
};

typedef int call_function(
    struct options *options, const char *name, int type, unsigned char *answer);

static int make(struct options *options, const char *name, int type, unsigned char query[512])
{
	return res_nmkquery(
	    &options->state, ns_o_query, name, options->class, type, NULL, 0, NULL, query, 512);
}

static int call_query(struct options *options, const char *name, int type, unsigned char *answer)
{
	return res_query(name, options->class, type, answer, options->room);
}
static int call_search(struct options *options, const char *name, int type, unsigned char *answer)
{
	return res_search(name, options->class, type, answer, options->room);
}
static int call_querydomain(
    struct options *options, const char *name, int type, unsigned char *answer)
{
	return res_querydomain(name, options->domain, options->class, type, answer, options->room);
}
static int call_send(struct options *options, const char *name, int type, unsigned char *answer)
{
	unsigned char query[512];
	return res_send(query, make(options, name, type, query), answer, options->room);
}
static int call_nquery(struct options *options, const char *name, int type, unsigned char *answer)
{
	return res_nquery(&options->state, name, options->class, type, answer, options->room);
}
static int call_nsearch(struct options *options, const char *name, int type, unsigned char *answer)
{
	return res_nsearch(&options->state, name, options->class, type, answer, options->room);
}
static int call_nquerydomain(
    struct options *options, const char *name, int type, unsigned char *answer)
{
	return res_nquerydomain(
	    &options->state, name, options->domain, options->class, type, answer, options->room);
}
static int call_nsend(struct options *options, const char *name, int type, unsigned char *answer)
{
	unsigned char query[512];
	return res_nsend(
	    &options->state, query, make(options, name, type, query), answer, options->room);
}
static int call_old_query(
    struct options *options, const char *name, int type, unsigned char *answer)
{
	return old_query(name, options->class, type, answer, options->room);
}
static int call_old_search(
    struct options *options, const char *name, int type, unsigned char *answer)
{
	return old_search(name, options->class, type, answer, options->room);
}
static int call_old_send(struct options *options, const char *name, int type, unsigned char *answer)
{
	unsigned char query[512];
	return old_send(query, make(options, name, type, query), answer, options->room);
}
static int call_old_nquery(
    struct options *options, const char *name, int type, unsigned char *answer)
{
	return old_nquery(&options->state, name, options->class, type, answer, options->room);
}
static int call_old_nsearch(
    struct options *options, const char *name, int type, unsigned char *answer)
{
	return old_nsearch(&options->state, name, options->class, type, answer, options->room);
}
static int call_old_nsend(
    struct options *options, const char *name, int type, unsigned char *answer)
{
	unsigned char query[512];
	return old_nsend(
	    &options->state, query, make(options, name, type, query), answer, options->room);
}

static const struct call {
	const char *name;
	call_function *function;
} calls[] = {
    {"res_query", call_query},
    {"res_search", call_search},
    {"res_querydomain", call_querydomain},
    {"res_send", call_send},
    {"res_nquery", call_nquery},
    {"res_nsearch", call_nsearch},
    {"res_nquerydomain", call_nquerydomain},
    {"res_nsend", call_nsend},
    {"__res_query", call_old_query},
    {"__res_search", call_old_search},
    {"__res_send", call_old_send},
    {"__res_nquery", call_old_nquery},
    {"__res_nsearch", call_old_nsearch},
    {"__res_nsend", call_old_nsend},
};

static call_function *call_named(const char *name)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (strcmp(calls[i].name, name) == 0)
			return calls[i].function;
	errx(2, "no such call: %s", name);
}

static void report(int returned, int error, int state_error, const unsigned char *answer, int room)
{
	int count = returned < 0 || returned > room ? room : returned;
	printf("{\"returned\": %d, \"h_errno\": %d, \"res_h_errno\": %d, \"answer\": \"", returned,
	    error, state_error);
	for (int i = 0; i < count; i++)
		printf("%02x", answer[i]);
	printf("\"}\n");
	fflush(stdout);
}

static void ask(struct options *options, const char *call, const char *name, int type)
{
	unsigned char answer[ROOM_MAX] = {0};
	h_errno = -99;
	options->state.res_h_errno = -99;
	int returned = call_named(call)(options, name, type, answer);
	report(returned, h_errno, options->state.res_h_errno, answer,
	    returned < 0 && options->room > 2048 ? 2048 : options->room);
}

static void raw(struct options *options, const char *hex)
{
	unsigned char query[1024], answer[ROOM_MAX] = {0};
	int count = 0;
	for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2)
		query[count++] =
		    (unsigned char)strtoul((const char[]){hex[0], hex[1], 0}, NULL, 16);
	h_errno = -99;
	int returned = res_send(query, count, answer, options->room);
	report(returned, h_errno, -99, answer, returned < 0 ? 0 : options->room);
}

/* ---- threads ---- */

struct asking {
	const char *name;
	int type, rounds, alike;
};

static void *ask_often(void *arg)
{
	struct asking *asking = arg;
	static const char *const kinds[] = {"res_query", "res_nquery", "res_search", "res_send"};
	struct options options = {.class = ns_c_in, .room = 4096, .domain = NULL};
	res_ninit(&options.state);
	for (int i = 0; i < asking->rounds; i++) {
		unsigned char answer[4096];
		int returned =
		    call_named(kinds[i % 4])(&options, asking->name, asking->type, answer);
		asking->alike += returned > 12 && answer[3] == 0xa0 && answer[7] == 1;
	}
	res_nclose(&options.state);
	return NULL;
}

static void threads(int count, int rounds, const char *name, int type)
{
	pthread_t *ids = calloc((size_t)count, sizeof *ids);
	struct asking *asking = calloc((size_t)count, sizeof *asking);
	int alike = 0;
	for (int i = 0; i < count; i++) {
		asking[i] = (struct asking){name, type, rounds, 0};
		if (pthread_create(&ids[i], NULL, ask_often, &asking[i]) != 0)
			errx(1, "pthread_create");
	}
	for (int i = 0; i < count; i++) {
		pthread_join(ids[i], NULL);
		alike += asking[i].alike;
	}
	free(ids);
	free(asking);
	printf("{\"alike\": %d}\n", alike);
	fflush(stdout);
}

/* ---- what is left behind ---- */

static int open_descriptors(void)
{
	int count = 0;
	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void rounds(struct options *options, int count, const char *call, const char *name, int type)
{
	unsigned char answer[4096];
	options->room = sizeof answer;
	for (int i = 0; i < 10; i++)
		call_named(call)(options, name, type, answer);
	int descriptors = open_descriptors();
	size_t bytes = mallinfo2().uordblks;
	for (int i = 0; i < count; i++)
		call_named(call)(options, name, type, answer);
	printf("{\"descriptors\": %d, \"bytes\": %ld}\n", open_descriptors() - descriptors,
	    (long)(mallinfo2().uordblks - bytes));
	fflush(stdout);
}

/* Each descriptor becomes one of an empty file. */
static void close_all(void)
{
	for (int fd = FILES_FROM; fd < 1024; fd++)
		close(fd);
	for (int fd = FILES_FROM; fd < FILES_TO; fd++) {
		char path[] = "/tmp/resolver-calls-XXXXXX";
		if (mkstemp(path) != fd)
			errx(1, "descriptor %d was not free", fd);
		unlink(path);
	}
}

static void check_files(void)
{
	bool untouched = true;
	for (int fd = FILES_FROM; fd < FILES_TO; fd++) {
		struct stat file;
		untouched = untouched && fstat(fd, &file) == 0 && S_ISREG(file.st_mode) &&
			    file.st_size == 0 && lseek(fd, 0, SEEK_CUR) == 0;
	}
	printf("{\"untouched\": %s}\n", untouched ? "true" : "false");
	fflush(stdout);
}

static void enter(const char *folder, int user)
{
	if (chroot(folder) != 0 || chdir("/") != 0)
		err(1, "%s", folder);
	if (setgid((gid_t)user) != 0 || setuid((uid_t)user) != 0)
		err(1, "user %d", user);
}

/* ---- commands ---- */

static void set(struct options *options, const char *name, char *value)
{
	struct __res_state *states[] = {&options->state, &_res};
	if (strcmp(name, "class") == 0)
		options->class = atoi(value);
	else if (strcmp(name, "room") == 0)
		options->room = atoi(value);
	else if (strcmp(name, "domain") == 0)
		options->domain = value;
	else
		for (size_t i = 0; i < 2; i++) {
			if (strcmp(name, "flags") == 0)
				states[i]->options |= strtoul(value, NULL, 0);
			else if (strcmp(name, "no-flags") == 0)
				states[i]->options &= ~strtoul(value, NULL, 0);
			else if (strcmp(name, "ndots") == 0)
				states[i]->ndots = (unsigned)atoi(value) & 15;
			else if (strcmp(name, "timeout") == 0)
				states[i]->retrans = atoi(value), states[i]->retry = 1;
			else
				errx(2, "no such option: %s", name);
		}
}

/* How many arguments it took. */
static int command(struct options *options, char **argument)
{
	const char *name = argument[0];
	if (strcmp(name, "ask") == 0)
		return ask(options, argument[1], argument[2], atoi(argument[3])), 4;
	if (strcmp(name, "option") == 0)
		return set(options, argument[1], argument[2]), 3;
	if (strcmp(name, "raw") == 0)
		return raw(options, argument[1]), 2;
	if (strcmp(name, "threads") == 0)
		return threads(
			   atoi(argument[1]), atoi(argument[2]), argument[3], atoi(argument[4])),
		       5;
	if (strcmp(name, "rounds") == 0)
		return rounds(
			   options, atoi(argument[1]), argument[2], argument[3], atoi(argument[4])),
		       5;
	if (strcmp(name, "close-all") == 0)
		return close_all(), 1;
	if (strcmp(name, "check-files") == 0)
		return check_files(), 1;
	if (strcmp(name, "enter") == 0)
		return enter(argument[1], atoi(argument[2])), 3;
	if (strcmp(name, "fork") == 0) {
		pid_t child = fork();
		int status = 0;
		if (child > 0 && (waitpid(child, &status, 0) != child || status != 0))
			errx(1, "the child ended with %d", status);
		return 1;
	}
	errx(2, "no such command: %s", name);
}

int main(int argc, char **argv)
{
	struct options options = {.class = ns_c_in, .room = ROOM_MAX, .domain = NULL};
	if (res_init() != 0 || res_ninit(&options.state) != 0)
		errx(1, "res_init");
	for (int i = 1; i < argc;)
		i += command(&options, argv + i);
	res_nclose(&options.state);
	return 0;
}
