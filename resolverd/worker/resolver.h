/* SPDX-License-Identifier: BSD-3-Clause */
/* The libunbound context of a worker and the settings we give it (docs/ARCHITECTURE.md says why).
 */
#pragma once
#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>
#include <unbound-event.h>
#include <unbound.h>

#include "resolverd.pb-c.h"
#include "resolverd/base/config.h"

/* Reads root hints and trust anchor files, here and only here; now_ms decides which zones are
 * validated. On failure writes a line to error and returns a negative errno. */
[[gnu::warn_unused_result]] int resolver_new(struct event_base *base, const struct config *config,
    int64_t now_ms, char *error, size_t error_bytes, struct ub_ctx **ret_ctx);

/* As many jobs may run at once in a worker: what is in flight takes memory, too. */
uint32_t resolver_jobs_max(const struct config *config);

/* What libunbound's callback says of an answer: sec is 2 secure, 1 bogus, 0 insecure. */
Resolverd__V1__Status resolver_status_of(int sec);
/* The same where nothing reads the packet any more: without an answer in it, ERROR. A failure that
 * libunbound remembers comes without an rcode, as a message with that code. */
Resolverd__V1__Status resolver_status(int rcode, const uint8_t *packet, int packet_bytes, int sec);
