/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each role is asked for what it must not do. A row runs in a process of its own, which enters the
 * sandbox as the role does and then tries. What the rows do lies beside, for all roles alike.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "resolverd/base/sandbox_internal.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* A state folder like the daemon's: folder/key, folder/own/file. */
static struct place {
	char folder[64], key[80], own[80], file[96], moved[96];
	int pair[2];  /* open before */
	pid_t victim; /* nobody's child */
} place;

static int result(int r)
{
	return r < 0 ? errno : 0;
}

/* ---- what is tried: 0 or errno ---- */

static int read_a_system_file(void)
{
	return result(open("/etc/passwd", O_RDONLY));
}

static int read_the_key(void)
{
	return result(open(place.key, O_RDONLY));
}

static int write_the_key(void)
{
	return result(open(place.key, O_WRONLY));
}

static int read_our_file(void)
{
	return result(open(place.file, O_RDONLY));
}

static int write_in_our_folder(void)
{
	int fd = open(place.moved, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) != 0 || close(fd) != 0)
		return errno;
	if (rename(place.moved, place.file) != 0)
		return errno;
	return result(unlink(place.file));
}

static int move_into_the_folder_above(void)
{
	return result(rename(place.file, place.key));
}

static int make_a_link_to_the_key(void)
{
	return result(
	    syscall(SYS_linkat, AT_FDCWD, place.key, AT_FDCWD, place.moved, 0) == 0 ? 0 : -1);
}

static int open_udp(void)
{
	return result(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

static int open_tcp6(void)
{
	int r = result(socket(AF_INET6, SOCK_STREAM, 0));
	return r == EAFNOSUPPORT ? 0 : r;
}

static int open_raw(void)
{
	return result(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int open_netlink(void)
{
	return result(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int open_unix(void)
{
	return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int make_a_socket_pair(void)
{
	int pair[2];
	return result(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

static int listen_on_tcp(void)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
		return errno;
	return result(listen(fd, 1));
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	    .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return errno;
	return errno == ECONNREFUSED ? 0 : errno;
}

static int connect_to_dns(void)
{
	return connect_to(53);
}

static int connect_to_the_configured_port(void)
{
	return connect_to(5353);
}

static int connect_to_smtp(void)
{
	return connect_to(25);
}

static int open_ping(void)
{
	return result(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
}

static int open_packet(void)
{
	return result(socket(AF_PACKET, SOCK_DGRAM, 0));
}

static int use_the_socket_it_has(void)
{
	char byte = 0;
	if (send(place.pair[0], "x", 1, MSG_NOSIGNAL) != 1)
		return errno;
	return recv(place.pair[1], &byte, 1, 0) == 1 && byte == 'x' ? 0 : errno;
}

static int run_a_shell(void)
{
	char *const arguments[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"exit 0"}, NULL};
	return result(execv("/bin/sh", arguments));
}

static int trace(void)
{
	return result(ptrace(PTRACE_ATTACH, place.victim, NULL, NULL) == 0 ? 0 : -1);
}

static int read_memory_of_another(void)
{
	return result(
	    syscall(SYS_process_vm_readv, place.victim, NULL, 0, NULL, 0, 0) == 0 ? 0 : -1);
}

static int have_a_child(void)
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(7);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0 : ECHILD;
}

static int kill_a_child(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	if (pid < 0 || kill(pid, SIGKILL) != 0)
		return errno;
	return waitpid(pid, NULL, 0) == pid ? 0 : errno;
}

static int signal_by_a_descriptor(void)
{
	return result(fcntl(place.pair[0], F_SETOWN, place.victim));
}

static int get_signals_of_a_descriptor(void)
{
	return result(fcntl(place.pair[0], F_SETFL, O_NONBLOCK | O_ASYNC));
}

static int keep_from_blocking(void)
{
	int flags = fcntl(place.pair[0], F_GETFL);
	return result(flags < 0 ? -1 : fcntl(place.pair[0], F_SETFL, flags | O_NONBLOCK));
}

static void *do_nothing(void *arg)
{
	return arg;
}

static int start_a_thread(void)
{
	pthread_t thread;
	return pthread_create(&thread, NULL, do_nothing, NULL);
}

static int kill_another(void)
{
	return result(kill(place.victim, SIGKILL));
}

static int stop_another(void)
{
	return result(kill(place.victim, SIGSTOP));
}

static int run_what_it_wrote(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return page == MAP_FAILED ? 0 : result(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int map_code(void)
{
	void *page = mmap(
	    NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return page == MAP_FAILED ? errno : 0;
}

static int use_memory(void)
{
	for (size_t bytes = 1000; bytes < 100000000; bytes *= 10) {
		char *block = malloc(bytes), *larger;
		if (block == NULL || (larger = realloc(block, bytes * 2)) == NULL)
			return ENOMEM;
		memset(larger, 1, bytes * 2);
		free(larger);
	}
	return 0;
}

static int become_another_user(void)
{
	return result(syscall(SYS_setuid, 65534) == 0 ? 0 : -1);
}

static int mount_something(void)
{
	return result(syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, NULL) == 0 ? 0 : -1);
}

static int leave_its_namespace(void)
{
	return result(syscall(SYS_unshare, 0x10000000) == 0 ? 0 : -1);
}

static int begin_io_uring(void)
{
	return result(syscall(SYS_io_uring_setup, 1, NULL) >= 0 ? 0 : -1);
}

static int raise_a_limit(void)
{
	struct rlimit limit = {64, 64};
	return result(setrlimit(RLIMIT_NOFILE, &limit));
}

static int ask_something_unknown(void)
{
	return result(syscall(SYS_mincore, NULL, 0, NULL) == 0 ? 0 : -1);
}

static int give_a_file_away(void)
{
	return result(chown(place.file, 65534, 65534));
}

static int abort_itself(void)
{
	abort();
}

/* ---- the rows ---- */

enum { KILLED = -SIGSYS, ABORTED = -SIGABRT };
#define SUPERVISOR (1u << SANDBOX_SUPERVISOR)
#define SERVER (1u << SANDBOX_SERVER)
#define WORKER (1u << SANDBOX_WORKER)
#define ANCHOR (1u << SANDBOX_ANCHOR)
#define TRIAL (1u << SANDBOX_TRIAL)
#define FLEET (1u << SANDBOX_FLEET)
#define ALL (SUPERVISOR | SERVER | WORKER | ANCHOR | TRIAL | FLEET)

static const struct row {
	const char *name;
	int (*attempt)(void);
	unsigned roles;
	int want;      /* 0, an errno, or KILLED */
	bool landlock; /* needs it */
} rows[] = {
    {"reads_a_system_file", read_a_system_file, SUPERVISOR, 0, false},
    {"reads_no_system_file", read_a_system_file, SERVER | ANCHOR | TRIAL | FLEET, EACCES, true},
    {"reads_no_file_at_all", read_a_system_file, WORKER, EPERM, false},
    {"reads_no_file_of_its_own", read_our_file, WORKER, EPERM, false},
    {"cannot_read_the_key", read_the_key, SERVER | ANCHOR | TRIAL | FLEET, EACCES, true},
    {"cannot_write_the_key", write_the_key, SERVER | ANCHOR | TRIAL | FLEET, EACCES, true},
    {"cannot_replace_the_key", move_into_the_folder_above, SERVER | ANCHOR | TRIAL | FLEET, EACCES,
	true},
    {"cannot_link_the_key", make_a_link_to_the_key, SERVER | ANCHOR | TRIAL | FLEET, EPERM, false},
    {"writes_in_its_folder", write_in_our_folder, SUPERVISOR | SERVER | ANCHOR | TRIAL | FLEET, 0,
	false},
    {"writes_nowhere", write_in_our_folder, WORKER, EPERM, false},
    {"opens_udp", open_udp, WORKER | ANCHOR | TRIAL | FLEET, 0, false},
    {"opens_no_udp", open_udp, SERVER, EPERM, false},
    {"opens_tcp6", open_tcp6, WORKER | ANCHOR | TRIAL | FLEET, 0, false},
    {"opens_no_tcp6", open_tcp6, SERVER, EPERM, false},
    {"opens_no_raw_socket", open_raw, ALL, EPERM, false},
    {"opens_no_ping", open_ping, ALL, EPERM, false},
    {"opens_no_packet_socket", open_packet, ALL, EPERM, false},
    {"connects_to_dns", connect_to_dns, WORKER | ANCHOR | TRIAL | FLEET, 0, false},
    {"connects_to_a_port_of_the_configuration", connect_to_the_configured_port,
	WORKER | ANCHOR | TRIAL | FLEET, 0, false},
    {"connects_to_nothing_else", connect_to_smtp, WORKER | ANCHOR | TRIAL | FLEET, EACCES, true},
    {"opens_no_netlink", open_netlink, ALL & ~FLEET, EPERM, false},
    {"asks_the_kernel_for_its_addresses", open_netlink, FLEET, 0, false},
    {"opens_a_unix_socket", open_unix, FLEET, 0, false},
    {"opens_no_unix_socket", open_unix, SERVER | WORKER | ANCHOR | TRIAL, EPERM, false},
    {"makes_no_socket_pair", make_a_socket_pair, SERVER | WORKER | ANCHOR | TRIAL, EPERM, false},
    {"does_not_listen", listen_on_tcp, SERVER | WORKER | ANCHOR | TRIAL | FLEET, EPERM, false},
    {"uses_the_socket_it_has", use_the_socket_it_has, ALL, 0, false},
    {"runs_no_program", run_a_shell, SERVER | WORKER | ANCHOR | TRIAL | FLEET, KILLED, false},
    {"runs_no_other_program", run_a_shell, SUPERVISOR, EACCES, true},
    {"does_not_trace", trace, ALL, KILLED, false},
    {"reads_no_memory_of_others", read_memory_of_another, ALL, KILLED, false},
    {"has_a_child", have_a_child, SUPERVISOR | SERVER, 0, false},
    {"has_no_child", have_a_child, WORKER | ANCHOR | TRIAL | FLEET, EPERM, false},
    {"kills_its_child", kill_a_child, SUPERVISOR, 0, false},
    {"has_no_threads", start_a_thread, ALL, EPERM, false},
    {"kills_nobody_else", kill_another, SUPERVISOR, EPERM, true},
    {"kills_nobody", kill_another, SERVER | WORKER | ANCHOR | TRIAL | FLEET, EPERM, false},
    {"stops_nobody", stop_another, SERVER | WORKER | ANCHOR | TRIAL | FLEET, EPERM, false},
    {"has_the_kernel_signal_nobody", signal_by_a_descriptor,
	SERVER | WORKER | ANCHOR | TRIAL | FLEET, EPERM, false},
    {"gets_no_signals_of_descriptors", get_signals_of_a_descriptor,
	SERVER | WORKER | ANCHOR | TRIAL | FLEET, EPERM, false},
    {"keeps_a_descriptor_from_blocking", keep_from_blocking, ALL, 0, false},
    {"runs_nothing_it_wrote", run_what_it_wrote, SERVER | WORKER | ANCHOR | TRIAL | FLEET, EPERM,
	false},
    {"maps_no_code", map_code, SERVER | WORKER | ANCHOR | TRIAL | FLEET, EPERM, false},
    {"uses_memory", use_memory, ALL, 0, false},
    {"becomes_nobody_else", become_another_user, ALL, KILLED, false},
    {"mounts_nothing", mount_something, ALL, KILLED, false},
    {"stays_in_its_namespace", leave_its_namespace, ALL, KILLED, false},
    {"begins_no_io_uring", begin_io_uring, ALL, KILLED, false},
    {"sets_no_limit", raise_a_limit, SERVER | WORKER | ANCHOR | TRIAL | FLEET, EPERM, false},
    {"is_refused_what_is_unknown", ask_something_unknown, ALL, EPERM, false},
    {"gives_no_file_away", give_a_file_away, ALL, EPERM, false},
    {"aborts_as_ever", abort_itself, ALL, ABORTED, false},
};

static const char *const role_names[SANDBOX_ROLES] = {
    [SANDBOX_SUPERVISOR] = "supervisor",
    [SANDBOX_SERVER] = "server",
    [SANDBOX_WORKER] = "worker",
    [SANDBOX_ANCHOR] = "anchor",
    [SANDBOX_TRIAL] = "trial",
    [SANDBOX_FLEET] = "fleet",
};

struct one { /* a row for one role */
	const struct row *row;
	enum sandbox_role role;
};

/* In the child. */
static void try_it(const struct one *one)
{
	static char server[] = "192.0.2.53@5353", store[] = "redis://192.0.2.1";
	static struct config config; /* the roles', at the least */
	const struct sandbox_path own = {
	    one->role == SANDBOX_SUPERVISOR ? place.folder : place.own, true};
	const struct sandbox sandbox = {one->role, &own, one->role != SANDBOX_WORKER};
	config.resolver.forward = (char *[]){server, NULL};
	config.fleet.redis = store;
	_exit(sandbox_enter(&sandbox, &config) == 0 ? one->row->attempt() : 255);
}

static void a_role_does_what_it_may_and_no_more(void **state)
{
	const struct one *one = *state;
	int status;
	if (SANDBOX_INSTRUMENTED)
		skip(); /* such a build needs much of it itself */
	if (one->row->landlock && syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 6)
		skip();
	pid_t pid = fork();
	if (pid == 0)
		try_it(one);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	int got = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	if (got != one->row->want)
		fail_msg("%s: got %d (%s), want %d", role_names[one->role], got,
		    got > 0   ? strerror(got)
		    : got < 0 ? strsignal(-got)
			      : "done",
		    one->row->want);
}

/* ---- kernels and containers without this or that ---- */

static const struct lack {
	const char *name, *call; /* fails there */
	bool matters;
} lacks[] = {
    {"nothing_lacks", "mincore", false},
    {"landlock_lacks", "landlock_create_ruleset", true},
    {"capabilities_cannot_be_dropped", "capset", true},
    {"no_filter_can_be_set", "seccomp", true},
};

/* In the child. */
static void enter_without(const char *call, enum sandbox_wish wish)
{
	static struct config config;
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r =
	    seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), seccomp_syscall_resolve_name(call), 0);
	if (strcmp(call, "seccomp") == 0) /* or the old way */
		r |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
		    SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP));
	if (r != 0 || seccomp_load(filter) != 0)
		_exit(255);
	config.server.sandbox = wish;
	if (freopen("/dev/null", "w", stderr) == NULL)
		_exit(255);
	_exit(sandbox_enter(&(struct sandbox){.role = SANDBOX_SERVER}, &config) == 0 ? 0 : 1);
}

static int end_without(const char *call, enum sandbox_wish wish)
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		enter_without(call, wish);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void what_lacks_matters_where_it_is_required(void **state)
{
	const struct lack *lack = *state;
	if (SANDBOX_INSTRUMENTED || syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 1)
		skip();
	assert_int_equal(end_without(lack->call, SANDBOX_AUTO), 0);
	assert_int_equal(end_without(lack->call, SANDBOX_OFF), 0);
	assert_int_equal(end_without(lack->call, SANDBOX_REQUIRED), lack->matters ? 1 : 0);
}

/* ---- the place ---- */

static void write_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && write(fd, "secret", 6) == 6);
	close(fd);
}

static int make_place(void **state)
{
	(void)state;
	strcpy(place.folder, "/tmp/resolverd-sandbox-XXXXXX");
	assert_non_null(mkdtemp(place.folder));
	snprintf(place.key, sizeof place.key, "%s/key", place.folder);
	snprintf(place.own, sizeof place.own, "%s/own", place.folder);
	snprintf(place.file, sizeof place.file, "%s/file", place.own);
	snprintf(place.moved, sizeof place.moved, "%s/moved", place.own);
	assert_int_equal(mkdir(place.own, 0700), 0);
	write_file(place.key);
	write_file(place.file);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, place.pair), 0);
	place.victim = fork();
	if (place.victim == 0)
		for (;;)
			pause();
	return place.victim > 0 ? 0 : -1;
}

static int clear_place(void **state)
{
	(void)state;
	kill(place.victim, SIGKILL);
	waitpid(place.victim, NULL, 0);
	(void)unlink(place.moved);
	(void)unlink(place.file);
	(void)unlink(place.key);
	(void)rmdir(place.own);
	return rmdir(place.folder);
}

static int make_file(void **state)
{
	(void)state;
	write_file(place.file);
	return 0;
}

int main(void)
{
	static struct one ones[COUNT(rows) * SANDBOX_ROLES];
	static struct CMUnitTest tests[COUNT(ones) + COUNT(lacks)];
	static char names[COUNT(ones)][80];
	size_t count = 0;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (unsigned role = 0; role < SANDBOX_ROLES; role++) {
			if ((rows[i].roles & 1u << role) == 0)
				continue;
			ones[count] = (struct one){&rows[i], (enum sandbox_role)role};
			snprintf(names[count], sizeof names[count], "the_%s_%s", role_names[role],
			    rows[i].name);
			tests[count] = (struct CMUnitTest){names[count],
			    a_role_does_what_it_may_and_no_more, make_file, NULL, &ones[count]};
			count++;
		}
	}
	for (size_t i = 0; i < COUNT(lacks); i++)
		tests[count++] =
		    (struct CMUnitTest){lacks[i].name, what_lacks_matters_where_it_is_required,
			NULL, NULL, (void *)(uintptr_t)&lacks[i]};
	return _cmocka_run_group_tests("sandbox", tests, count, make_place, clear_place);
}
