/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The plans that are all in the cache, as nearly all are: the requests that came with one read are
 * looked up together, step by step, so that memory is waited for once and not for each. No
 * allocation, no protobuf message, no signature (but for those who ask for an attestation). What is
 * anything else is left to session.c.
 */
#pragma once
#include "proto/frame.h"
#include "resolverd/server/session.h"

/* Answers the first of these frames, as far as they are hot; returns how many. */
size_t hot_serve(struct session *session, const struct frame *frames, size_t count);
