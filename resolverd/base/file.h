/* SPDX-License-Identifier: BSD-3-Clause */
/* Small text files, read and written whole. */
#pragma once
#include <stddef.h>
#include <sys/types.h>

/* Returns 0 and a string the caller frees, or -errno; -EFBIG beyond max_bytes, -EINVAL when there
 * is a zero byte inside. */
[[gnu::warn_unused_result]] int file_read(const char *path, size_t max_bytes, char **ret_text);

/* Whole or not at all, whenever this process ends: a temporary file beside it (PATH.new), synced,
 * then renamed. Returns 0 or -errno. */
[[gnu::warn_unused_result]] int file_replace(const char *path, mode_t mode, const char *text);
