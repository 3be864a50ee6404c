/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a client calls itself in EHLO and HELO (RFC 5321 section 4.1.1.1). It says what it knows: no
 * DNS is asked for the name, and an address is not guessed.
 */
#pragma once
#include "proto/names.h"

/* The name of this system, where it is one to greet with, else "localhost". */
void smtp_default_helo(char ret_helo[NAME_TEXT_MAX]);
