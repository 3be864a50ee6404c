/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the supervisor and the anchor role agree on (docs/ARCHITECTURE.md, "Trust anchor").
 *
 * The role checks once and ends. ANCHOR_FILE, where it exists, stands for
 * resolver.trust-anchor-file: the root keys that RFC 5011 trusts at present, as DNSKEY records,
 * replaced whole or not at all. ANCHOR_STATE_FILE is the role's own; its time of modification is
 * that of the last check that succeeded.
 */
#pragma once
#include <sysexits.h>

#define ANCHOR_ROLE "anchor"
/* In server.state-directory: a folder of their own, since the role may write beside them. */
#define ANCHOR_FOLDER "anchor"
#define ANCHOR_FILE ANCHOR_FOLDER "/trust-anchor.key"
#define ANCHOR_STATE_FILE ANCHOR_FOLDER "/root.key.5011"

/* Any other code (a signal, libunbound's own exit) means what ANCHOR_FAILED means. */
enum anchor_exit {
	ANCHOR_UNCHANGED = EX_OK,       /* checked: ANCHOR_FILE is right as it is */
	ANCHOR_CHANGED = 10,            /* ANCHOR_FILE came, changed or went: renew the workers */
	ANCHOR_NO_STATE = EX_CANTCREAT, /* the state directory can't be written: not tracked */
	ANCHOR_FAILED = EX_TEMPFAIL,    /* no validated root key set now; nothing was touched */
	ANCHOR_BAD_CONFIG = EX_CONFIG,  /* resolver.trust-anchor-file or another key is no good */
};
