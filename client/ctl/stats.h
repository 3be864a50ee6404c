/* SPDX-License-Identifier: BSD-3-Clause */
/* The counters of a daemon, as resolverctl stats and top show them. */
#pragma once
#include "client/ctl/ctl.h"

/* The control socket where it may be opened, since it tells more, else the clients' one, which is
 * said on stderr. 0 or an exit status. */
int stats_open(struct ctl *ctl);
/* The value of --interval, in milliseconds: 0 or an exit status. */
int stats_take_interval(struct ctl *ctl, const char *text, int64_t *ret_ms);

struct stats_line {
	const char *name;
	char text[256];
};
#define STATS_LINES_MAX 24u
/* From before until now; before NULL: since the daemon's start. Returns how many lines. */
size_t stats_lines(const struct resolverd_daemon_status *before,
    const struct resolverd_daemon_status *now, struct stats_line ret_lines[STATS_LINES_MAX]);
/* Before and now are of the same run of the daemon. */
bool stats_follow(
    const struct resolverd_daemon_status *before, const struct resolverd_daemon_status *now);
