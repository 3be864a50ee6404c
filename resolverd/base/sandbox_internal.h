/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of the sandbox: sandbox.c enters, sandbox_calls.c is seccomp, sandbox_files.c Landlock.
 */
#pragma once
#include "resolverd/base/sandbox.h"

#define PORTS 65536u

struct sandbox_ports {
	bool has[PORTS];
};

/* Sanitizers and coverage open files, trace the process and start programs, at the end above all.
 * Builds for tests (MODE=asan, MODE=cov) are made with -DSANDBOX_INSTRUMENTED=1: they have longer
 * lists and neither Landlock nor a ban on tracing, and say so. */
#ifndef SANDBOX_INSTRUMENTED
#define SANDBOX_INSTRUMENTED 0
#endif

/* Both return 0 or -errno; needs no-new-privs. ports: where roles with sockets may connect. */
[[gnu::warn_unused_result]] int sandbox_restrict_files(
    const struct sandbox *sandbox, const struct sandbox_ports *ports);
[[gnu::warn_unused_result]] int sandbox_restrict_calls(enum sandbox_role role);
