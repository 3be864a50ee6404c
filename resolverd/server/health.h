/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Does DANE work here, and can it be trusted? Collects what workers, supervisor and clock say, and
 * makes of it the checks that status tells and readiness rests on. Pure; time is a parameter.
 */
#pragma once
#include "resolverd/base/config.h"
#include "resolverd/base/role.h"
#include "resolverd/server/pool.h"

#define HEALTH_CHECKS_MAX (4u + CONFIG_CANARIES_MAX)

struct health_canary {
	Resolverd__V1__Status seen; /* unspecified: nothing yet */
	char reason[200];
};

struct health {
	struct health_canary canaries[CONFIG_CANARIES_MAX]; /* as in the configuration */
	struct link_anchor anchor;
	int64_t started_at_ms;
	int64_t step_ms; /* the clock's last step; 0: none */
	uint64_t step_count;
	char clock_problem[300]; /* why the clock can't be right; "": nothing against it */
};

struct health_check {
	bool good;
	char name[300];
	char detail[400];
};

void health_take_canaries(
    struct health *health, const struct config *config, const Resolverd__Worker__SelfCheck *check);
/* Canaries are looked at anew: their names may be others. */
void health_forget_canaries(struct health *health);
/* Compares the wall clock with times that can't be in the future. */
void health_look_at_clock(struct health *health, int64_t now_ms);

/* Fills checks; returns how many. */
size_t health_list(const struct health *health, const struct config *config,
    const struct pool *pool, int64_t now_ms, struct health_check checks[HEALTH_CHECKS_MAX]);
/* All are good. Else ret_reason, of reason_bytes, names the first that is not. */
bool health_is_ready(
    const struct health_check *checks, size_t count, char *ret_reason, size_t reason_bytes);
