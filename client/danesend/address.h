/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mail address of the command line (RFC 5321 section 4.1.2, RFC 6531): checked, so that nothing
 * in it can end a command or begin another, its domain as A-labels, and where its mail goes.
 */
#pragma once
#include <stdbool.h>

#include "proto/names.h"

#define ADDRESS_LOCAL_MAX 64u
#define ADDRESS_DETAIL_MAX 320u

struct mail_address {
	char text[ADDRESS_LOCAL_MAX + NAME_TEXT_MAX + 4]; /* as in MAIL and RCPT; empty: null */
	char next_hop[NEXT_HOP_TEXT_MAX];                 /* empty for the null address */
	bool utf8;                                        /* the local part needs SMTPUTF8 */
};

/* 0, or -1 with ret_detail, one sentence. Takes the null reverse-path, "" or "<>", where allowed.
 */
[[nodiscard]] int address_parse(const char *text, bool null_allowed,
    struct mail_address *ret_address, char ret_detail[ADDRESS_DETAIL_MAX]);
