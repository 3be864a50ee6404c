/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory for a secret key: pages of its own between two that can't be touched, locked where the
 * limits allow it, left out of core dumps, and all zero in a forked child.
 */
#pragma once
#include <stddef.h>

/* Zeroed. NULL: no memory. */
void *secret_new(size_t bytes);
/* Nobody can read it until it is shown again: for one that is rarely used. */
void secret_hide(void *secret, size_t bytes);
void secret_show(void *secret, size_t bytes);
/* Wipes first. NULL is fine. */
void secret_free(void *secret, size_t bytes);
