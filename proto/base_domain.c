/* SPDX-License-Identifier: BSD-3-Clause */
#include "proto/base_domain.h"

#include <string.h>

struct base_domains base_domains_of(const char *host, const char *expanded)
{
	if (expanded == NULL || strcmp(expanded, host) == 0)
		return (struct base_domains){.names = {host}, .count = 1};
	return (struct base_domains){.names = {expanded, host}, .count = 2};
}
