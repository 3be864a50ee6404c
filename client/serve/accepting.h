/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Takes connections from a listening socket, TCP or Unix: from this host only, in bursts that leave
 * others their turn, and with a pause when there are no descriptors or no memory left.
 */
#pragma once
#include <event2/event.h>

struct accepting;
/* take is given each connection, close-on-exec and non-blocking, and owns it. listening and context
 * are borrowed. NULL: out of memory. */
struct accepting *accepting_new(
    struct event_base *base, int listening, void (*take)(void *context, int fd), void *context);
void accepting_free(struct accepting *accepting);
