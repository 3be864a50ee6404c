/* SPDX-License-Identifier: BSD-3-Clause */
/* resolverctl completion: scripts for shells, out of the table of commands. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "client/ctl/commands.h"
#include "client/ctl/ctl.h"

static bool is_file(const char *argument)
{
	return argument != NULL &&
	       (strstr(argument, "FILE") != NULL || strstr(argument, "PATH") != NULL);
}

static bool is_words(const char *operands)
{
	return strchr(operands, '|') != NULL;
}

/* "a|b|c" or "[a|b|c FILE]" with spaces between. */
static void print_words(const char *words)
{
	words += *words == '[';
	for (; *words != '\0' && *words != ' ' && *words != ']'; words++)
		putchar(*words == '|' ? ' ' : *words);
}

/* Each option once, whatever commands have it. */
static bool is_first(const struct command_option *option, size_t command)
{
	for (size_t i = 0; i < command; i++)
		for (const struct command_option *other = commands[i].options;
		     other != NULL && other->name != NULL; other++)
			if (strcmp(other->name, option->name) == 0)
				return false;
	for (const struct command_option *other = common_options; other->name != NULL; other++)
		if (other != option && strcmp(other->name, option->name) == 0)
			return false;
	return true;
}

/* ---- bash ---- */

static void bash_names(const struct command_option *options)
{
	for (; options != NULL && options->name != NULL; options++)
		printf(" --%s", options->name);
}

/* Patterns of a case: the options with an argument that is a file, or something else. */
static bool bash_patterns(const struct command_option *options, size_t command, bool file, bool any)
{
	for (; options != NULL && options->name != NULL; options++) {
		if (options->argument == NULL || is_file(options->argument) != file ||
		    !is_first(options, command))
			continue;
		printf("%s--%s", any ? " | " : "\t", options->name);
		any = true;
	}
	return any;
}

static void bash_case(bool file, const char *action)
{
	bool any = bash_patterns(common_options, 0, file, false);
	for (size_t i = 0; i < command_count; i++)
		any = bash_patterns(commands[i].options, i, file, any);
	printf(") %s ;;\n", action);
}

static void print_bash(void)
{
	fputs("# bash completion for resolverctl, made by: resolverctl completion bash\n"
	      "_resolverctl()\n"
	      "{\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
	      "\tlocal command= words= files= i\n"
	      "\tCOMPREPLY=()\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tcase ${COMP_WORDS[i]} in\n\t",
	    stdout);
	bool any = bash_patterns(common_options, 0, true, false);
	(void)bash_patterns(common_options, 0, false, any);
	fputs(") ((i++)) ;;\n"
	      "\t\t-*) ;;\n"
	      "\t\t*) command=${COMP_WORDS[i]}; break ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tcase $before in\n",
	    stdout);
	bash_case(true, "files=yes");
	bash_case(false, "return");
	fputs("\t*)\n"
	      "\t\tcase $command in\n"
	      "\t\t'') words='",
	    stdout);
	for (size_t i = 0; i < command_count; i++)
		printf("%s%s", i > 0 ? " " : "", commands[i].name);
	bash_names(common_options);
	puts("' ;;");
	for (size_t i = 0; i < command_count; i++) {
		const struct command *command = &commands[i];
		printf("\t\t%s) words='", command->name);
		if (is_words(command->operands))
			print_words(command->operands);
		bash_names(command->options);
		printf(" --json --help'%s ;;\n", is_file(command->operands) ? "; files=yes" : "");
	}
	fputs("\t\tesac ;;\n"
	      "\tesac\n"
	      "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
	      "\tif [[ $files && $word != -* ]]; then\n"
	      "\t\tcompopt -o filenames 2>/dev/null\n"
	      "\t\tmapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- \"$word\")\n"
	      "\tfi\n"
	      "}\n"
	      "complete -F _resolverctl resolverctl\n",
	    stdout);
}

/* ---- zsh ---- */

/* Within single quotes, in a place where [ ] and : mean something. */
static void zsh_text(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			fputs("'\\''", stdout);
		else if (strchr("[]:\\", *text) != NULL)
			printf("\\%c", *text);
		else
			putchar(*text);
	}
}

static void zsh_options(const struct command_option *options)
{
	for (; options != NULL && options->name != NULL; options++) {
		printf(" \\\n\t\t'*--%s[", options->name);
		zsh_text(options->help);
		putchar(']');
		if (options->argument != NULL)
			printf(":%s:%s", options->argument,
			    is_file(options->argument) ? "_files" : " ");
		putchar('\'');
	}
}

static void zsh_operands(const struct command *command)
{
	if (is_words(command->operands)) {
		fputs(" \\\n\t\t'1:word:(", stdout);
		print_words(command->operands);
		fputs(")'", stdout);
	}
	if (is_file(command->operands)) {
		fputs(" \\\n\t\t'*:file:_files'", stdout);
	} else if (command->operands[0] != '\0' && !is_words(command->operands)) {
		printf(" \\\n\t\t'*:%s: '", command->operands);
	}
}

static void print_zsh(void)
{
	fputs("#compdef resolverctl\n"
	      "# made by: resolverctl completion zsh\n"
	      "local context state line\n"
	      "typeset -A opt_args\n"
	      "_arguments -C",
	    stdout);
	zsh_options(common_options);
	fputs(" \\\n\t\t'1: :->command' '*:: :->arguments'\n"
	      "case $state in\n"
	      "command)\n"
	      "\tlocal -a commands=(",
	    stdout);
	for (size_t i = 0; i < command_count; i++) {
		printf("\n\t\t'%s:", commands[i].name);
		zsh_text(commands[i].summary);
		putchar('\'');
	}
	fputs(")\n"
	      "\t_describe command commands ;;\n"
	      "arguments)\n"
	      "\tcase $words[1] in\n",
	    stdout);
	for (size_t i = 0; i < command_count; i++) {
		printf("\t%s) _arguments '--json[print JSON]' '--help[of this command]'",
		    commands[i].name);
		zsh_options(commands[i].options);
		zsh_operands(&commands[i]);
		puts(" ;;");
	}
	puts("\tesac ;;\nesac");
}

/* ---- fish ---- */

static void fish_text(const char *text)
{
	putchar('\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('\'');
}

static void fish_options(const struct command_option *options, const char *condition)
{
	for (; options != NULL && options->name != NULL; options++) {
		printf("complete -c resolverctl -n \"%s\" -l %s", condition, options->name);
		if (options->argument != NULL)
			printf(" -r%s", is_file(options->argument) ? "F" : "f");
		fputs(" -d ", stdout);
		fish_text(options->help);
		putchar('\n');
	}
}

static void print_fish(void)
{
	char condition[96];
	puts("# fish completion for resolverctl, made by: resolverctl completion fish\n"
	     "complete -c resolverctl -f");
	for (size_t i = 0; i < command_count; i++) {
		printf(
		    "complete -c resolverctl -n __fish_use_subcommand -a %s -d ", commands[i].name);
		fish_text(commands[i].summary);
		putchar('\n');
	}
	fish_options(common_options, "__fish_use_subcommand");
	for (size_t i = 0; i < command_count; i++) {
		const struct command *command = &commands[i];
		snprintf(
		    condition, sizeof condition, "__fish_seen_subcommand_from %s", command->name);
		fish_options(command->options, condition);
		printf("complete -c resolverctl -n \"%s\" -l json -d 'print JSON'\n", condition);
		if (is_file(command->operands))
			printf("complete -c resolverctl -n \"%s\" -F\n", condition);
		if (is_words(command->operands)) {
			printf("complete -c resolverctl -n \"%s\" -a '", condition);
			print_words(command->operands);
			puts("'");
		}
	}
}

int completion_command(struct ctl *ctl, int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "bash") == 0)
		print_bash();
	else if (argc == 2 && strcmp(argv[1], "zsh") == 0)
		print_zsh();
	else if (argc == 2 && strcmp(argv[1], "fish") == 0)
		print_fish();
	else
		return ctl_usage(ctl, "%s wants bash, zsh or fish", argv[0]);
	return 0;
}
