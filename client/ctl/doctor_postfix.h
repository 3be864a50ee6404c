/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
#include "client/ctl/doctor.h"

#define POSTFIX_TEXT_MAX 512u

/* An installation of Postfix, as postconf(1) tells it. */
struct postfix {
	char version[32], owner[64];
	char queue_directory[POSTFIX_TEXT_MAX];
	char level[32], dns[32], insecure_mx[32], compatibility_level[16];
	char maps[POSTFIX_TEXT_MAX];
	bool does_dane; /* by smtp_tls_security_level */
	bool in_chroot; /* smtp(8) */
	bool has_shim;  /* import_environment brings it */
	char shim[POSTFIX_TEXT_MAX];
	/* What the shim asks, as smtp(8) sees it. */
	char socket[POSTFIX_TEXT_MAX], public_key[POSTFIX_TEXT_MAX];
	bool has_map; /* a socketmap among smtp_tls_policy_maps */
	struct doctor_socketmap map;
};

/* ---- doctor_postfix_running.c ---- */

/* The file, and what smtp(8)'s user gets of the daemon through it. */
void postfix_check_shim(struct doctor *doctor, const struct postfix *postfix);
/* What runs now: the environment is that of Postfix's start. */
void postfix_check_processes(struct doctor *doctor, const struct postfix *postfix);
/* resolverd-postfix, as smtp(8)'s user asks it. */
void postfix_check_map(struct doctor *doctor, const struct postfix *postfix);
