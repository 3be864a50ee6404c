/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of resolverctl keys that work on files. Each gets its own word as argv[0], and returns
 * the exit status. */
#pragma once

struct ctl;

int keys_make(struct ctl *ctl, int argc, char **argv);
int keys_sign(struct ctl *ctl, int argc, char **argv);
int keys_list(struct ctl *ctl, int argc, char **argv);
int keys_revoke(struct ctl *ctl, int argc, char **argv);
