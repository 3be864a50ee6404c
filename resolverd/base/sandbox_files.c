/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Landlock, by system call: glibc has no wrappers, and the headers of Debian 12 are older than what
 * newer kernels can restrict. So the newest rights are spelt out here and cut to what the kernel
 * knows.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "resolverd/base/sandbox_internal.h"

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RIGHT_REFER (UINT64_C(1) << 13)     /* ABI 2 */
#define RIGHT_TRUNCATE (UINT64_C(1) << 14)  /* ABI 3 */
#define RIGHT_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */
#define WRITE_RIGHTS                                                                               \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                           \
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |                        \
	    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                            \
	    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                          \
	    LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | RIGHT_REFER |            \
	    RIGHT_TRUNCATE)
#define FILE_RIGHTS                                                                                \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE |           \
	    LANDLOCK_ACCESS_FS_EXECUTE)
#define RIGHT_BIND_TCP UINT64_C(1) /* ABI 4 */
#define RIGHT_CONNECT_TCP UINT64_C(2)
#define RULE_NET_PORT 2
#define SCOPE_ABSTRACT UINT64_C(1) /* ABI 6: abstract Unix sockets of others */
#define SCOPE_SIGNAL UINT64_C(2)   /* ABI 6: signals to others */

struct restrictions { /* as the kernel lays it out */
	uint64_t files, net, scopes;
};

static const struct restrictions by_role[SANDBOX_ROLES] = {
    [SANDBOX_SUPERVISOR] = {WRITE_RIGHTS | LANDLOCK_ACCESS_FS_EXECUTE, 0, SCOPE_SIGNAL},
    [SANDBOX_SERVER] = {READ_RIGHTS | WRITE_RIGHTS | LANDLOCK_ACCESS_FS_EXECUTE | RIGHT_IOCTL_DEV,
	RIGHT_BIND_TCP | RIGHT_CONNECT_TCP, SCOPE_ABSTRACT | SCOPE_SIGNAL},
    [SANDBOX_WORKER] = {READ_RIGHTS | WRITE_RIGHTS | LANDLOCK_ACCESS_FS_EXECUTE | RIGHT_IOCTL_DEV,
	RIGHT_CONNECT_TCP, SCOPE_ABSTRACT | SCOPE_SIGNAL},
    [SANDBOX_ANCHOR] = {READ_RIGHTS | WRITE_RIGHTS | LANDLOCK_ACCESS_FS_EXECUTE | RIGHT_IOCTL_DEV,
	RIGHT_CONNECT_TCP, SCOPE_ABSTRACT | SCOPE_SIGNAL},
    [SANDBOX_FLEET] = {READ_RIGHTS | WRITE_RIGHTS | LANDLOCK_ACCESS_FS_EXECUTE | RIGHT_IOCTL_DEV,
	RIGHT_CONNECT_TCP, SCOPE_ABSTRACT | SCOPE_SIGNAL},
    [SANDBOX_TRIAL] = {READ_RIGHTS | WRITE_RIGHTS | LANDLOCK_ACCESS_FS_EXECUTE | RIGHT_IOCTL_DEV,
	RIGHT_CONNECT_TCP, SCOPE_ABSTRACT | SCOPE_SIGNAL},
};

static struct restrictions known_to(long abi, struct restrictions wanted)
{
	if (abi < 2)
		wanted.files &= ~RIGHT_REFER;
	if (abi < 3)
		wanted.files &= ~RIGHT_TRUNCATE;
	if (abi < 5)
		wanted.files &= ~RIGHT_IOCTL_DEV;
	if (abi < 4)
		wanted.net = 0;
	if (abi < 6)
		wanted.scopes = 0;
	return wanted;
}

/* Takes fd. */
static int allow(int ruleset, int fd, uint64_t rights)
{
	struct stat status;
	if (fd < 0)
		return errno == ENOENT || errno == EACCES || errno == ENOTDIR ? 0 : -errno;
	int r = fstat(fd, &status) == 0 ? 0 : -errno;
	struct landlock_path_beneath_attr rule = {
	    .allowed_access = S_ISDIR(status.st_mode) ? rights : rights & FILE_RIGHTS,
	    .parent_fd = fd};
	if (r == 0 && rule.allowed_access != 0 &&
	    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
		r = -errno;
	close(fd);
	return r;
}

/* The program's interpreter: the kernel opens it to execute, as it does the program. */
static int find_interpreter(struct dl_phdr_info *info, size_t bytes, void *arg)
{
	const char **ret_path = arg;
	(void)bytes;
	for (unsigned i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_INTERP)
			*ret_path = (const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
	return 1; /* the first is the program itself */
}

static int allow_this_program(int ruleset)
{
	const char *interpreter = NULL;
	dl_iterate_phdr(find_interpreter, &interpreter);
	int r =
	    allow(ruleset, open("/proc/self/exe", O_PATH | O_CLOEXEC), LANDLOCK_ACCESS_FS_EXECUTE);
	if (r == 0 && interpreter != NULL)
		r = allow(
		    ruleset, open(interpreter, O_PATH | O_CLOEXEC), LANDLOCK_ACCESS_FS_EXECUTE);
	return r;
}

static int allow_ports(int ruleset, const struct sandbox_ports *ports)
{
	struct { /* as the kernel lays it out */
		uint64_t allowed_access, port;
	} rule = {RIGHT_CONNECT_TCP, 0};
	for (; rule.port < PORTS; rule.port++)
		if (ports->has[rule.port] &&
		    syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) != 0)
			return -errno;
	return 0;
}

static int restrict_to(int ruleset, const struct sandbox *sandbox,
    const struct restrictions *restrictions, const struct sandbox_ports *ports)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < sandbox->path_count; i++)
		r = allow(ruleset, open(sandbox->paths[i].path, O_PATH | O_CLOEXEC),
		    (sandbox->paths[i].writable ? READ_RIGHTS | WRITE_RIGHTS : READ_RIGHTS) &
			restrictions->files);
	if (r == 0 && sandbox->role == SANDBOX_SUPERVISOR)
		r = allow_this_program(ruleset);
	if (r == 0 && restrictions->net == RIGHT_CONNECT_TCP)
		r = allow_ports(ruleset, ports);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		r = -errno;
	return r;
}

int sandbox_restrict_files(const struct sandbox *sandbox, const struct sandbox_ports *ports)
{
	if (SANDBOX_INSTRUMENTED)
		return 0;
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1)
		return -errno;
	struct restrictions restrictions = known_to(abi, by_role[sandbox->role]);
	/* An older kernel takes the longer structure when the rest of it is zero. */
	long ruleset = syscall(SYS_landlock_create_ruleset, &restrictions, sizeof restrictions, 0);
	if (ruleset < 0)
		return -errno;
	int r = restrict_to((int)ruleset, sandbox, &restrictions, ports);
	close((int)ruleset);
	return r;
}
