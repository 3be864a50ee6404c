/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/base/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "resolverd/base/log.h"
#include "resolverd/base/sandbox_internal.h"
#include "resolverd/base/store.h"

static void limit(int resource, rlim_t most)
{
	struct rlimit now;
	if (getrlimit((__rlimit_resource_t)resource, &now) != 0 || now.rlim_max < most)
		return;
	now.rlim_cur = now.rlim_max = most;
	(void)setrlimit((__rlimit_resource_t)resource, &now);
}

void sandbox_raise_limits(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return;
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

void sandbox_limit_memory(size_t bytes)
{
#ifdef __SANITIZE_ADDRESS__
	(void)bytes;
#else
	const struct rlimit memory = {bytes, bytes};
	(void)setrlimit(RLIMIT_DATA, &memory);
#endif
}

/* A service manager that took them may forbid capset, too. */
static bool has_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct now[_LINUX_CAPABILITY_U32S_3] = {0};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
	return syscall(SYS_capget, &header, now) != 0 || memcmp(now, none, sizeof now) != 0;
}

/* Root's too. The bounding set is out of reach for others, who have no use for it either. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
	for (unsigned long capability = 0; capability < 64; capability++)
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
			break;
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return !has_capabilities() || syscall(SYS_capset, &header, none) == 0 ? 0 : -errno;
}

void sandbox_forbid_dumps(void)
{
	limit(RLIMIT_CORE, 0);
	if (!SANDBOX_INSTRUMENTED)
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* 53, 853, and those that the configuration's servers have: "ADDRESS@PORT". */
static void add_ports(struct sandbox_ports *ports, char *const *servers)
{
	for (; servers != NULL && *servers != NULL; servers++) {
		const char *at = strchr(*servers, '@');
		unsigned long port = at != NULL ? strtoul(at + 1, NULL, 10) : 0;
		if (port < PORTS)
			ports->has[port] = true;
	}
}

/* Of the store, and of DNS over TCP for its name. The masters of sentinels are anywhere. */
static void add_store_ports(struct sandbox_ports *ports, const struct config *config)
{
	struct store_address address;
	if (store_parse(config->fleet.redis, &address) != NULL)
		return;
	for (size_t i = 0; i < address.server_count; i++)
		ports->has[address.servers[i].port] = true;
	for (size_t port = 1; address.kind == STORE_SENTINEL && port < PORTS; port++)
		ports->has[port] = true;
}

static struct sandbox_ports *dns_ports(const struct config *config)
{
	struct sandbox_ports *ports = calloc(1, sizeof *ports);
	if (ports == NULL)
		return NULL;
	ports->has[53] = ports->has[853] = true;
	add_ports(ports, config->resolver.forward);
	for (size_t i = 0; i < config->zone_count; i++) {
		add_ports(ports, config->zones[i].forward);
		add_ports(ports, config->zones[i].stub);
	}
	ports->has[0] = false;
	return ports;
}

struct lacks { /* 0 or -errno each */
	int privileges, calls, files;
};

static void lacks_text(const struct lacks *lacks, char *text, size_t bytes)
{
	const struct {
		const char *name;
		int error;
	} parts[] = {{"no-new-privs and empty capabilities", lacks->privileges},
	    {"seccomp", lacks->calls}, {"Landlock", lacks->files}};
	size_t used = 0;
	text[0] = '\0';
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (parts[i].error != 0 && used < bytes)
			used += (size_t)snprintf(text + used, bytes - used, "%s%s (%s)",
			    used > 0 ? ", " : "", parts[i].name, strerror(-parts[i].error));
}

/* The supervisor speaks for all: what it lacks its roles lack, too. */
static int judge(const struct lacks *lacks, enum sandbox_role role, enum sandbox_wish wish)
{
	char text[300];
	lacks_text(lacks, text, sizeof text);
	if (role == SANDBOX_SUPERVISOR && SANDBOX_INSTRUMENTED)
		log_warning("sandbox-partial", "a build for tests: its sandbox keeps nobody out");
	if (text[0] == '\0')
		return 0;
	if (wish == SANDBOX_REQUIRED) {
		log_fatal("sandbox-missing",
		    "server.sandbox = required, and this kernel or container does without "
		    "%s; mend that, or say auto",
		    text);
		return -ENOTSUP;
	}
	if (role == SANDBOX_SUPERVISOR)
		log_warning("sandbox-partial",
		    "the roles are less confined than they could be: this kernel or "
		    "container does without %s",
		    text);
	return 0;
}

int sandbox_enter(const struct sandbox *sandbox, const struct config *config)
{
	enum sandbox_wish wish = config->server.sandbox;
	if (wish == SANDBOX_OFF) {
		if (sandbox->role == SANDBOX_SUPERVISOR)
			log_warning(
			    "sandbox-off", "server.sandbox = off: the roles are not confined");
		return 0;
	}
	struct lacks lacks = {
	    .privileges = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : -errno};
	struct sandbox_ports *ports = dns_ports(config);
	if (ports != NULL && sandbox->role == SANDBOX_FLEET)
		add_store_ports(ports, config);
	if (sandbox->role == SANDBOX_WORKER)
		limit(RLIMIT_NPROC, 0);
	if (lacks.privileges == 0)
		lacks.privileges = drop_capabilities();
	lacks.files = ports != NULL ? sandbox_restrict_files(sandbox, ports) : -ENOMEM;
	free(ports);
	/* The last: what came before is not on the lists. */
	lacks.calls = sandbox_restrict_calls(sandbox->role);
	return judge(&lacks, sandbox->role, wish);
}
