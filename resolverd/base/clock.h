/* SPDX-License-Identifier: BSD-3-Clause */
/* Wall clock: milliseconds since the epoch, what answers carry. */
#pragma once
#include <stdint.h>
#include <time.h>

static inline int64_t clock_wall_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Monotonic, for deadlines and rates. */
static inline int64_t clock_mono_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* As monotonic, and goes on while the machine is suspended: wall time minus this changes when the
 * clock is stepped, and only then. */
static inline int64_t clock_boot_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
