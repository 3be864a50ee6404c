/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands of resolverctl and their options, as one table: the help texts and the completions
 * for shells are made of it.
 */
#pragma once
#include <stddef.h>

struct ctl;

struct command_option {
	const char *name;
	const char
	    *argument; /* "FILE" and "PATH" are completed as file names; NULL: it takes none */
	const char *help;
};

struct command {
	const char *name;
	const char *operands; /* as in a usage line; with "FILE": as above; a|b: these words, up to
				 a blank */
	const char *summary;
	const struct command_option *options; /* ended by one without a name; NULL: none */
	const char *details;                  /* lines; NULL: nothing more to say */
	int (*run)(struct ctl *ctl, int argc, char **argv);
};

extern const struct command commands[];
extern const size_t command_count;
/* Before the command; --json and --help also behind it. Ended as above. */
extern const struct command_option common_options[];

/* NULL: there is none of that name. */
const struct command *command_find(const char *name);
void commands_print_help(void);
void command_print_help(const struct command *command);
