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
#include <sodium.h>
#include <sysexits.h>

#define ANCHOR_ROLE "anchor"
/* In server.state-directory: a folder of their own, since the role may write beside them. */
#define ANCHOR_FOLDER "anchor"
#define ANCHOR_FILE ANCHOR_FOLDER "/trust-anchor.key"
#define ANCHOR_STATE_FILE ANCHOR_FOLDER "/root.key.5011"

#define ANCHOR_FILE_MAX_BYTES (1u << 20) /* of the configured one, too */

/* The last line of the state file: which contents of resolver.trust-anchor-file it began with. It
 * is a comment to libunbound, and a file that was cut off lacks it. */
#define ANCHOR_ORIGIN_MARK "; began with BLAKE2b-256 "
#define ANCHOR_ORIGIN_BYTES (sizeof ANCHOR_ORIGIN_MARK + 2 * crypto_generichash_BYTES + 1)

/* That line, with its end, for a configured file of this text. */
void anchor_origin(const char *configured, char ret_line[ANCHOR_ORIGIN_BYTES]);

/* Any other code (a signal, libunbound's own exit) means what ANCHOR_FAILED means. */
enum anchor_exit {
	ANCHOR_UNCHANGED = EX_OK,       /* checked: ANCHOR_FILE is right as it is */
	ANCHOR_CHANGED = 10,            /* ANCHOR_FILE came or got a key more: renew the workers */
	ANCHOR_LOST = 11,               /* a key counts no more, nor does what was found by it */
	ANCHOR_NO_STATE = EX_CANTCREAT, /* the state directory can't be written: not tracked */
	ANCHOR_FAILED = EX_TEMPFAIL,    /* no validated root key set now; nothing was touched */
	ANCHOR_BAD_CONFIG = EX_CONFIG,  /* resolver.trust-anchor-file or another key is no good */
};
