/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/smtp/helo.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/idn.h"

void smtp_default_helo(char ret_helo[NAME_TEXT_MAX])
{
	char name[HOST_NAME_MAX + 1] = "", detail[DETAIL_MAX];
	gethostname(name, sizeof name - 1);
	if (idn_name(name, ret_helo, detail) != 0 ||
	    ret_helo[strspn(ret_helo, "abcdefghijklmnopqrstuvwxyz0123456789-.")] != '\0')
		snprintf(ret_helo, NAME_TEXT_MAX, "localhost");
}
