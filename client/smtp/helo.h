/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
#include "proto/names.h"

/* The name of this system, where it is one to greet with, else "localhost". */
void smtp_default_helo(char ret_helo[NAME_TEXT_MAX]);
