/* SPDX-License-Identifier: BSD-3-Clause */
/* Which TLSA records a sender may use (RFC 7672 section 3.1, RFC 7671 sections 4 and 9). Pure. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "resolverd.pb-c.h"
#include "resolverd/base/arena.h"
#include "resolverd/worker/reply.h"

#define TLSA_MAX 32u

/* Fills host->tlsa with what is left of rrs after dropping unusable records and then applying
 * digest agility. digests lists matching types, best first; one not listed is unusable
 * (Full(0) is no digest and always stays). Returns 0 or -ENOMEM. */
[[gnu::warn_unused_result]] int tlsa_usable_set(struct arena *arena, const struct reply_rr *rrs,
    size_t count, const uint8_t *digests, size_t digest_count, Resolverd__V1__Host *host);
