/* SPDX-License-Identifier: BSD-3-Clause */
/* The clocks of the clients: what answers carry, and what deadlines are counted by. */
#pragma once
#include <stdint.h>
#include <time.h>

static inline int64_t clock_ms(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Unix epoch. */
static inline uint64_t clock_wall_ms(void)
{
	int64_t now_ms = clock_ms(CLOCK_REALTIME);
	return now_ms > 0 ? (uint64_t)now_ms : 0;
}

/* Goes on while the machine is suspended: the first minus this changes when the clock is stepped.
 */
static inline uint64_t clock_boot_ms(void)
{
	return (uint64_t)clock_ms(CLOCK_BOOTTIME);
}

static inline int64_t clock_mono_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}
