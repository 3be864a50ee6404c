/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/worker/zones.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Names are canonical, so they hold neither quotes nor blanks; addresses and anchors are checked.
 */
static void write_servers(
    FILE *out, const char *clause, const struct config_zone *zone, char **list)
{
	if (list[0] == NULL)
		return;
	fprintf(out, "%s-zone:\n name: \"%s\"\n", clause, zone->name);
	for (; *list != NULL; list++)
		fprintf(out, " %s-addr: %s\n", clause, *list);
}

static void write_zone(FILE *out, const struct config_zone *zone, int64_t now_ms)
{
	fprintf(out, "server:\n");
	if (config_zone_is_insecure(zone, now_ms))
		fprintf(out, " domain-insecure: \"%s\"\n", zone->name);
	/* libunbound answers some names by itself (RFC 6303, RFC 6761): not where we are told who
	 * has them. */
	if (zone->forward[0] != NULL || zone->stub[0] != NULL)
		fprintf(out, " local-zone: \"%s\" transparent\n", zone->name);
	for (char **anchor = zone->trust_anchor; *anchor != NULL; anchor++)
		fprintf(out, " trust-anchor: \"%s. %s\"\n", zone->name, *anchor);
	write_servers(out, "forward", zone, zone->forward);
	write_servers(out, "stub", zone, zone->stub);
}

/* libunbound takes forward-zone and stub-zone from a file only (1.17.1). */
int zones_apply(struct ub_ctx *resolver, const struct config *config, int64_t now_ms, char *error,
    size_t error_bytes)
{
	char path[40];
	if (config->zone_count == 0)
		return 0;
	int fd = memfd_create("zones", MFD_CLOEXEC);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (file == NULL) {
		int r = -errno;
		snprintf(error, error_bytes, "cannot hold the zones: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return r;
	}
	for (size_t i = 0; i < config->zone_count; i++)
		write_zone(file, &config->zones[i], now_ms);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int r = fflush(file) == 0 ? ub_ctx_config(resolver, path) : UB_NOMEM;
	fclose(file);
	if (r == 0)
		return 0;
	snprintf(error, error_bytes, "libunbound refuses the zone sections: %s", ub_strerror(r));
	return -EINVAL;
}
