/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names as people write them to the canonical names of the protocol: U-labels become A-labels
 * (IDNA2008, UTS #46 non-transitional), then proto/names.h takes over. Return 0,
 * RESOLVERD_ERROR_ARGUMENT with ret_detail, or RESOLVERD_ERROR_MEMORY.
 */
#pragma once
#include "client/lib/keys.h"
#include "proto/names.h"

[[nodiscard]] int idn_name(
    const char *text, char ret_name[NAME_TEXT_MAX], char ret_detail[DETAIL_MAX]);
[[nodiscard]] int idn_next_hop(
    const char *text, struct next_hop *ret_hop, char ret_detail[DETAIL_MAX]);
