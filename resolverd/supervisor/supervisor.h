/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The supervisor role: opens what must be opened, holds the long-term key, starts the other roles
 * and starts them again when they die. It has no client, no DNS and no parser of foreign data.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "resolverd/base/access.h"
#include "resolverd/base/config.h"

struct supervisor_start {
	struct config *config; /* a reload replaces its contents */
	const char *config_file;
	bool config_optional; /* the file need not exist */
	const char *config_text;
	const char *const *set;    /* NULL-terminated */
	struct access_list access; /* of config */
};

/* Runs until SIGTERM or SIGINT. Returns a sysexits code. */
int supervisor_main(const struct supervisor_start *start);
