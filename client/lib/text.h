/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text that the daemon says to people. Some of it is not signed, some quotes names from the wire or
 * what an operator typed: what comes back is valid UTF-8 without control characters, so that it may
 * go to a terminal and into JSON as it is.
 */
#pragma once
#include "client/lib/memory.h"

/* The text itself when it is clean, else a copy with '?' for each octet that is not. Never NULL
 * (but memory_failed may be true then). */
const char *text_clean(struct resolverd_memory *arena, const char *text);

/* The same in place: for what was cut to a length, maybe in the middle of a character. */
void text_mend(char *text);
