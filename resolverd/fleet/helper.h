/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fleet helper: a role that speaks with the store (Redis, Valkey), for the server, which asks
 * it over a socketpair as it asks a worker (proto/fleet.proto). It has no key and judges nothing:
 * what the store says goes on to the server as it is, within bounds of size. A store that is silent
 * or says what is no Redis is left and looked for again.
 */
#pragma once
#include "resolverd/base/config.h"

int helper_main(const struct config *config);
