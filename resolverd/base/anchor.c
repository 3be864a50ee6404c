/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/base/anchor.h"

#include <stdio.h>
#include <string.h>

void anchor_origin(const char *configured, char ret_line[ANCHOR_ORIGIN_BYTES])
{
	uint8_t hash[crypto_generichash_BYTES];
	char hex[2 * sizeof hash + 1];
	crypto_generichash(
	    hash, sizeof hash, (const uint8_t *)configured, strlen(configured), NULL, 0);
	snprintf(ret_line, ANCHOR_ORIGIN_BYTES, ANCHOR_ORIGIN_MARK "%s\n",
	    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash));
}
