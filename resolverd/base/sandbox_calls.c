/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lists of system calls, by role. What is on none of them fails with EPERM and is logged by the
 * kernel's audit: a newer libc that asks for something new must not become an outage of mail. What
 * nothing of ours and no library would ever ask for ends the process at once, as does a call of
 * another architecture's table: whoever asks is not us any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "resolverd/base/sandbox_internal.h"

#define LIST(...)                                                                                  \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

enum group {
	PLAIN = 1 << 0,  /* memory, time, what is open already */
	ACCEPT = 1 << 1, /* clients */
	DNS = 1 << 2,    /* sockets to the Internet, and no listening */
	FILES = 1 << 3,  /* Landlock says which */
	FORK = 1 << 4,
	START = 1 << 5, /* to start roles; these still need what a program needs to begin */
	MEMFD = 1 << 6,
	LOCAL = 1 << 7, /* connect to Unix sockets, and ask the kernel for its addresses */
	ALL_GROUPS = (1 << 7) - 1,
};

static const unsigned groups_of[SANDBOX_ROLES] = {
    [SANDBOX_SUPERVISOR] = ALL_GROUPS,
    [SANDBOX_SERVER] = PLAIN | ACCEPT | FILES | FORK,
    [SANDBOX_WORKER] = PLAIN | DNS,
    [SANDBOX_ANCHOR] = PLAIN | DNS | FILES,
    [SANDBOX_FLEET] = PLAIN | DNS | FILES | LOCAL,
    [SANDBOX_TRIAL] = PLAIN | DNS | FILES | MEMFD,
};

static const struct {
	unsigned group;
	const char *const *calls;
} lists[] = {
    {PLAIN,
	LIST("read", "write", "readv", "writev", "pread64", "lseek", "_llseek", "close", "fstat",
	    "fstat64", "newfstatat", "fstatat64", "brk", "munmap", "mremap", "madvise", "mlock",
	    "munlock", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn", "sigaltstack",
	    "clock_gettime", "clock_gettime64", "clock_getres", "clock_nanosleep",
	    "clock_nanosleep_time64", "nanosleep", "gettimeofday", "time", "getrandom", "getpid",
	    "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "futex", "futex_time64",
	    "set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "epoll_create1",
	    "epoll_create", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll",
	    "ppoll", "ppoll_time64", "select", "pselect6", "pselect6_time64", "pipe", "pipe2",
	    "eventfd2", "getrusage", "getrlimit", "ugetrlimit", "sysinfo", "uname", "exit",
	    "exit_group", "restart_syscall", "recvfrom", "recvmsg", "recv", "sendto", "sendmsg",
	    "send", "shutdown", "getsockopt", "getsockname", "getpeername")},
    {ACCEPT, LIST("accept4", "accept")},
    {DNS, LIST("bind", "connect", "setsockopt", "recvmmsg", "sendmmsg")},
    {FILES, LIST("openat", "open", "access", "faccessat", "faccessat2", "unlink", "unlinkat",
		"rename", "renameat", "renameat2", "fsync", "fdatasync", "fchmod", "ftruncate",
		"pwrite64", "fallocate", "getdents64", "flock")},
    {FORK, LIST("fork", "wait4", "waitid", "waitpid", "close_range")},
    {MEMFD, LIST("memfd_create")},
    {START,
	LIST("fcntl", "fcntl64", "vfork", "execve", "kill", "tgkill", "prctl", "prlimit64",
	    "setrlimit", "seccomp", "capget", "capset", "landlock_create_ruleset",
	    "landlock_add_rule", "landlock_restrict_self", "arch_prctl", "set_tid_address",
	    "set_tls", "mmap", "mmap2", "mprotect", "dup", "dup2", "dup3", "umask", "mkdir",
	    "mkdirat", "chmod", "fchmodat", "chown", "fchown", "fchownat", "stat", "stat64",
	    "lstat", "lstat64", "statx", "statfs", "fstatfs", "readlink", "readlinkat", "getcwd",
	    "listen", "socketpair", "ioctl", "getgroups", "getpgrp", "getpgid", "rt_sigtimedwait",
	    "rt_sigpending", "signalfd4", "timerfd_create", "timerfd_settime", "getcpu",
	    "riscv_flush_icache", "cacheflush", "sched_setaffinity", "membarrier")},
};

static const char *const never[] = {"ptrace", "process_vm_readv", "process_vm_writev",
    "pidfd_getfd", "process_madvise", "kexec_load", "kexec_file_load", "init_module",
    "finit_module", "delete_module", "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key",
    "request_key", "mount", "umount", "umount2", "pivot_root", "chroot", "setns", "unshare",
    "open_by_handle_at", "io_uring_setup", "io_uring_enter", "io_uring_register", "swapon",
    "swapoff", "reboot", "acct", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime",
    "iopl", "ioperm", "setuid", "setgid", "setresuid", "setresgid", "setreuid", "setregid",
    "setgroups", "setfsuid", "setfsgid", "modify_ldt", "move_pages", "quotactl", "lookup_dcookie",
    NULL};
static const char *const never_but_to_start[] = {"execve", "execveat", NULL};
/* What sanitizers and coverage do, from start to end. */
static const char *const for_instruments[] = {"openat", "open", "readlink", "readlinkat", "access",
    "ptrace", "fork", "vfork", "execve", "wait4", "prctl", "mmap", "mmap2", "mprotect", "clone",
    "getdents", "getdents64", "mkdir", "ftruncate", "tgkill", "kill", "prlimit64", "ioctl", "dup2",
    "process_vm_readv", "unlink", "pipe", "setrlimit", "stat", "lstat", "arch_prctl", "dup", NULL};

/* ---- rules ---- */

struct filter {
	scmp_filter_ctx ctx;
	int error; /* the first */
};

/* A name that this architecture does not have is left out. */
static void rule(struct filter *filter, uint32_t action, const char *name, unsigned count,
    const struct scmp_arg_cmp *arguments)
{
	int number = seccomp_syscall_resolve_name(name);
	if (filter->error != 0 || number == __NR_SCMP_ERROR)
		return;
	int r = seccomp_rule_add_array(filter->ctx, action, number, count, arguments);
	if (r != 0 && r != -EACCES) /* EACCES: what the default does anyway */
		filter->error = r;
}

static void rules(struct filter *filter, uint32_t action, const char *const *names)
{
	for (; *names != NULL; names++)
		rule(filter, action, *names, 0, NULL);
}

static void allow_if(struct filter *filter, const char *name, struct scmp_arg_cmp argument)
{
	rule(filter, SCMP_ACT_ALLOW, name, 1, &argument);
}

/* Nothing that was written is ever run. */
static void allow_data_pages(struct filter *filter)
{
	static const char *const names[] = {"mmap", "mmap2", "mprotect"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		allow_if(filter, names[i], SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

static void allow_ioctls(struct filter *filter)
{
	static const unsigned long requests[] = {FIONBIO, FIOCLEX, FIONREAD, TCGETS};
	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
		allow_if(filter, "ioctl", SCMP_A1(SCMP_CMP_EQ, requests[i]));
}

static void allow_sockets(struct filter *filter, int family)
{
	static const struct {
		int type, protocol;
	} kinds[] = {{SOCK_STREAM, 0}, {SOCK_DGRAM, 0}, {SOCK_STREAM, IPPROTO_TCP},
	    {SOCK_DGRAM, IPPROTO_UDP}};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const struct scmp_arg_cmp arguments[] = {SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family),
		    SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, (scmp_datum_t)kinds[i].type),
		    SCMP_A2(SCMP_CMP_EQ, (scmp_datum_t)kinds[i].protocol)};
		rule(filter, SCMP_ACT_ALLOW, "socket", 3, arguments);
	}
}

/* A process of its own: no thread, no namespace. */
static void allow_fork(struct filter *filter)
{
	allow_if(filter, "clone",
	    SCMP_A0(SCMP_CMP_MASKED_EQ,
		CLONE_VM | CLONE_THREAD | CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID |
		    CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
		0));
}

/* Not those by which the kernel sends signals in our name (F_SETOWN, F_SETSIG, O_ASYNC). */
static void allow_fcntls(struct filter *filter)
{
	static const char *const names[] = {"fcntl", "fcntl64"};
	static const int commands[] = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		for (size_t c = 0; c < sizeof commands / sizeof *commands; c++)
			allow_if(filter, names[i], SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[c]));
		rule(filter, SCMP_ACT_ALLOW, names[i], 2,
		    (const struct scmp_arg_cmp[]){
			SCMP_A1(SCMP_CMP_EQ, F_SETFL), SCMP_A2(SCMP_CMP_MASKED_EQ, O_ASYNC, 0)});
	}
}

static void allow_plain(struct filter *filter)
{
	allow_fcntls(filter);
	allow_data_pages(filter);
	allow_ioctls(filter);
	/* abort() and raise(); to ask for a limit, not to set one. */
	allow_if(filter, "tgkill", SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	allow_if(filter, "prlimit64", SCMP_A2(SCMP_CMP_EQ, 0));
}

static void fill(struct filter *filter, enum sandbox_role role)
{
	unsigned groups = groups_of[role];
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		if ((groups & lists[i].group) != 0)
			rules(filter, SCMP_ACT_ALLOW, lists[i].calls);
	if (!(groups & START))
		allow_plain(filter);
	if (groups & DNS) {
		allow_sockets(filter, AF_INET);
		allow_sockets(filter, AF_INET6);
	}
	if (groups & (START | LOCAL))
		allow_sockets(filter, AF_UNIX);
	if (groups & LOCAL) /* getaddrinfo(3) */
		rule(filter, SCMP_ACT_ALLOW, "socket", 2,
		    (const struct scmp_arg_cmp[]){SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
			SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_RAW)});
	if (groups & FORK)
		allow_fork(filter);
	/* libc takes the old way then. */
	rule(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);
	if (SANDBOX_INSTRUMENTED) {
		rules(filter, SCMP_ACT_ALLOW, for_instruments);
		return;
	}
	rules(filter, SCMP_ACT_KILL_PROCESS, never);
	if (!(groups & START))
		rules(filter, SCMP_ACT_KILL_PROCESS, never_but_to_start);
}

int sandbox_restrict_calls(enum sandbox_role role)
{
	struct filter filter = {.ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM))};
	if (filter.ctx == NULL)
		return -ENOMEM;
	int r = seccomp_attr_set(filter.ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	/* These two an old kernel or library may lack. */
	(void)seccomp_attr_set(filter.ctx, SCMP_FLTATR_CTL_LOG, 1);
	(void)seccomp_attr_set(filter.ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	fill(&filter, role);
	if (r == 0)
		r = filter.error;
	if (r == 0)
		r = seccomp_load(filter.ctx);
	seccomp_release(filter.ctx);
	return r;
}
