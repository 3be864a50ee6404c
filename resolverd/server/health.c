/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/health.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/combine.h"

#define DAY_MS (INT64_C(86400) * 1000)
/* RFC 5011 trusts a new key after 30 days and lets a revoked one go after as many. A daemon that
 * could not look for a third of that is told so while there is time to mend it. */
#define ANCHOR_UNCHECKED_MAX_MS (10 * DAY_MS)
#define CLOCK_TOLERANCE_MS 2000 /* file systems round */

void health_take_canaries(
    struct health *health, const struct config *config, const Resolverd__Worker__SelfCheck *check)
{
	for (size_t i = 0; i < config->resolver.canary_count; i++) {
		const struct config_canary *wanted = &config->resolver.canaries[i];
		for (size_t j = 0; j < check->n_canaries; j++) {
			const Resolverd__Worker__Canary *canary = check->canaries[j];
			if (strcmp(canary->name, wanted->name) != 0 || canary->seen == 0)
				continue;
			health->canaries[i].seen = canary->seen;
			snprintf(health->canaries[i].reason, sizeof health->canaries[i].reason,
			    "%s", canary->reason);
		}
	}
}

void health_forget_canaries(struct health *health)
{
	memset(health->canaries, 0, sizeof health->canaries);
}

void health_look_at_clock(struct health *health, int64_t now_ms)
{
	const int64_t build_ms = RESOLVERD_BUILD_TIME_S * INT64_C(1000);
	const char *what = NULL;
	if (now_ms < build_ms)
		what = "this program was built";
	else if (now_ms + CLOCK_TOLERANCE_MS < health->anchor.newest_file_ms)
		what = "a key file of ours was written";
	health->clock_problem[0] = '\0';
	if (what != NULL)
		snprintf(health->clock_problem, sizeof health->clock_problem,
		    "the clock is wrong: %s later than it says now; nothing validates until it is "
		    "set (NTP)",
		    what);
}

[[gnu::format(printf, 4, 5)]] static void add(
    struct health_check *check, const char *name, bool good, const char *format, ...)
{
	va_list args;
	check->good = good;
	snprintf(check->name, sizeof check->name, "%s", name);
	va_start(args, format);
	vsnprintf(check->detail, sizeof check->detail, format, args);
	va_end(args);
}

static void check_clock(const struct health *health, struct health_check *check)
{
	if (health->clock_problem[0] != '\0')
		add(check, "clock", false, "%s", health->clock_problem);
	else if (health->step_count == 0)
		add(check, "clock", true, "no step seen");
	else
		add(check, "clock", true, "stepped %llu times, last by %.1f s",
		    (unsigned long long)health->step_count, (double)health->step_ms / 1000);
}

static void check_anchor(const struct health *health, int64_t now_ms, struct health_check *check)
{
	int64_t checked_ms = health->anchor.checked_at_ms;
	int64_t since_ms = now_ms - (checked_ms != 0 ? checked_ms : health->started_at_ms);
	bool good = since_ms <= ANCHOR_UNCHECKED_MAX_MS;
	const char *advice = good ? "" : "; a key rollover would be missed: see the log";
	if (checked_ms != 0)
		add(check, "trust-anchor", good, "root keys checked %.1f days ago (RFC 5011)%s",
		    (double)since_ms / (double)DAY_MS, advice);
	else
		add(check, "trust-anchor", good, "root keys not checked yet (RFC 5011)%s", advice);
}

static void check_canary(
    const struct health *health, const struct config *config, size_t i, struct health_check *check)
{
	const struct config_canary *wanted = &config->resolver.canaries[i];
	const struct health_canary *canary = &health->canaries[i];
	char name[300];
	snprintf(name, sizeof name, "canary %.280s", wanted->name);
	if (canary->seen == 0)
		add(check, name, false, "not looked up yet");
	else if (canary->seen == wanted->expected)
		add(check, name, true, "%s, as it should be", status_text(wanted->expected));
	else
		add(check, name, false, "is %s and should be %s%s%s: %s", status_text(canary->seen),
		    status_text(wanted->expected), canary->reason[0] != '\0' ? ": " : "",
		    canary->reason,
		    wanted->expected == RESOLVERD__V1__STATUS__BOGUS
			? "validation does not work, or that name was mended"
			: "the path to the DNS is broken, or that name is");
}

size_t health_list(const struct health *health, const struct config *config,
    const struct pool *pool, int64_t now_ms, struct health_check checks[HEALTH_CHECKS_MAX])
{
	const char *reason = "";
	uint32_t up = pool_workers_up(pool);
	size_t count = 0;
	add(&checks[count++], "workers", up > 0, "%u of %u are up", up, pool->workers_wanted);
	check_clock(health, &checks[count++]);
	bool root = pool_is_ready(pool, &reason);
	add(&checks[count++], "root", root, "%s", root ? "the root key set validates" : reason);
	check_anchor(health, now_ms, &checks[count++]);
	for (size_t i = 0; i < config->resolver.canary_count; i++)
		check_canary(health, config, i, &checks[count++]);
	return count;
}

bool health_is_ready(
    const struct health_check *checks, size_t count, char *ret_reason, size_t reason_bytes)
{
	ret_reason[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		if (checks[i].good)
			continue;
		snprintf(ret_reason, reason_bytes, "%s: %s", checks[i].name, checks[i].detail);
		return false;
	}
	return true;
}
