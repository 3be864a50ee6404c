/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Does validation work on this path? Asks, again and again, for the root key set and for the canary
 * names of the configuration, and reports what it saw: the root's status as soon as it is known,
 * each canary's when its lookup ends.
 */
#pragma once
#include <event2/event_struct.h>
#include <unbound.h>

#include "resolverd/base/config.h"
#include "worker.pb-c.h"

struct selfcheck;

struct selfcheck_canary {
	struct selfcheck *check;
	Resolverd__Worker__Canary message;
	char reason[200];
	bool asking;
};

struct selfcheck {
	struct ub_ctx *resolver;
	const struct config *config;
	struct event timer;
	bool root_secure; /* until it is, nothing may count as insecure */
	Resolverd__V1__Status root_status;
	char reason[400];
	struct selfcheck_canary canaries[CONFIG_CANARIES_MAX];
	Resolverd__Worker__Canary *messages[CONFIG_CANARIES_MAX];
	void (*report)(void *arg, const Resolverd__Worker__SelfCheck *check);
	void (*started)(void *arg);
	bool has_started;
	void *arg;
};

/* The first check begins at once. started is called when libunbound has taken its first lookup, and
 * so has read all its files; before any answer was looked at. */
void selfcheck_start(struct selfcheck *check, struct event_base *base, struct ub_ctx *resolver,
    const struct config *config,
    void (*report)(void *arg, const Resolverd__Worker__SelfCheck *check),
    void (*started)(void *arg), void *arg);
