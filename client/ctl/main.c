/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resolverctl: ask resolverd and show what it says. Exit status and --json: docs/JSON.md.
 * Diagnostics go to stderr; with --json also to stdout as {"error": ..., "exit": ...}.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/ctl/commands.h"
#include "client/ctl/ctl.h"

#define MAX_TIMEOUT_S 86400.0

int ctl_report(const struct ctl *ctl, const char *text, int status)
{
	fprintf(stderr, "resolverctl: %s\n", text);
	if (ctl->json)
		output_json(json_pack("{s:s, s:i}", "error", text, "exit", status));
	return status;
}

int ctl_usage(struct ctl *ctl, const char *format, ...)
{
	char text[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	return ctl_report(ctl, text, EXIT_WRONG_USAGE);
}

int ctl_fail(struct ctl *ctl, int error)
{
	return ctl_fail_advised(ctl, error, "");
}

int ctl_fail_advised(struct ctl *ctl, int error, const char *advice)
{
	const char *detail = ctl->client != NULL ? resolverd_last_error(ctl->client) : "";
	char text[1024];
	snprintf(text, sizeof text, "%s%s%s%s%s", resolverd_strerror(error),
	    detail[0] != '\0' ? ": " : "", detail, advice[0] != '\0' ? "; " : "", advice);
	switch (error) {
	case RESOLVERD_ERROR_ARGUMENT:
		return ctl_report(ctl, text, EXIT_WRONG_USAGE);
	case RESOLVERD_ERROR_PUBLIC_KEY:
	case RESOLVERD_ERROR_VERIFY:
	case RESOLVERD_ERROR_PROTOCOL:
		return ctl_report(ctl, text, EXIT_NOT_VERIFIED);
	default:
		return ctl_report(ctl, text, EXIT_NOT_NOW);
	}
}

int ctl_open(struct ctl *ctl)
{
	int r = resolverd_client_new(&ctl->options, &ctl->client);
	if (r == RESOLVERD_ERROR_ARGUMENT)
		return ctl_usage(ctl, "the socket path is too long");
	return r == 0 ? 0 : ctl_fail(ctl, r);
}

/* As the daemon chooses it (server.control-socket): beside another socket than the default. */
static const char *control_path(struct ctl *ctl)
{
	const char *path = ctl->control_socket_path, *socket = ctl->options.socket_path;
	if (path == NULL)
		path = secure_getenv("RESOLVERD_CONTROL_SOCKET");
	if (path != NULL && path[0] != '\0')
		return path;
	if (socket == NULL)
		socket = secure_getenv("RESOLVERD_SOCKET");
	if (socket == NULL || socket[0] == '\0' || strcmp(socket, RESOLVERD_DEFAULT_SOCKET) == 0)
		return RESOLVERD_DEFAULT_CONTROL_SOCKET;
	snprintf(ctl->beside, sizeof ctl->beside, "%s.control", socket);
	return ctl->beside;
}

const char *ctl_control_socket(struct ctl *ctl)
{
	return ctl->control_socket_path = control_path(ctl);
}

int ctl_open_control(struct ctl *ctl)
{
	ctl->options.socket_path = ctl_control_socket(ctl);
	return ctl_open(ctl);
}

const char *ctl_control_advice(const struct ctl *ctl, int error)
{
	if (error != RESOLVERD_ERROR_NO_DAEMON || access(ctl->control_socket_path, W_OK) == 0)
		return "";
	return errno == EACCES
		   ? "the control socket needs root, or a member of its group"
		   : "does resolverd run, and is that its server.control-socket? Else see "
		     "--control-socket";
}

int ctl_port(struct ctl *ctl, const char *text, unsigned *ret_port)
{
	char *end;
	long port = strtol(text, &end, 10);
	if (*end != '\0' || end == text || port < 1 || port > 65535)
		return ctl_usage(ctl, "\"%s\" is not a port number", text);
	*ret_port = (unsigned)port;
	return 0;
}

int ctl_operand_and_port(
    struct ctl *ctl, int argc, char **argv, const char **ret_operand, unsigned *ret_port)
{
	static const struct option options[] = {{"port", required_argument, NULL, 'p'}, {0}};
	int c, r = 0;
	optind = 0;
	opterr = 0;
	*ret_port = 25;
	while (r == 0 && (c = getopt_long(argc, argv, ":p:", options, NULL)) != -1) {
		if (c != 'p')
			return ctl_usage(ctl, "%s: wrong option (see --help)", argv[0]);
		r = ctl_port(ctl, optarg, ret_port);
	}
	if (r == 0 && argc - optind != 1)
		return ctl_usage(ctl, "%s wants exactly one name", argv[0]);
	*ret_operand = argv[optind];
	return r;
}

static int parse_timeout(struct ctl *ctl, const char *text)
{
	char *end;
	double seconds = strtod(text, &end);
	if (end == text || *end != '\0' || !(seconds > 0) || seconds > MAX_TIMEOUT_S)
		return ctl_usage(ctl, "\"%s\" is not a number of seconds", text);
	ctl->timeout_ms = seconds < 0.001 ? 1 : (int)(seconds * 1000);
	return 0;
}

enum {
	OPTION_SOCKET = 1,
	OPTION_CONTROL_SOCKET,
	OPTION_PUBLIC_KEY,
	OPTION_ATTEST,
	OPTION_TIMEOUT,
	OPTION_JSON,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option long_options[] = {
    {"socket", required_argument, NULL, OPTION_SOCKET},
    {"control-socket", required_argument, NULL, OPTION_CONTROL_SOCKET},
    {"public-key", required_argument, NULL, OPTION_PUBLIC_KEY},
    {"attest", no_argument, NULL, OPTION_ATTEST},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};

/* -1: go on with the command at optind; else the exit status. */
static int parse_options(struct ctl *ctl, int argc, char **argv)
{
	int c, r = 0;
	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, "+", long_options, NULL)) != -1) {
		switch (c) {
		case OPTION_SOCKET:
			ctl->options.socket_path = optarg;
			break;
		case OPTION_CONTROL_SOCKET:
			ctl->control_socket_path = optarg;
			break;
		case OPTION_PUBLIC_KEY:
			ctl->options.public_key_file = optarg;
			break;
		case OPTION_ATTEST:
			ctl->options.attest = true;
			break;
		case OPTION_TIMEOUT:
			r = parse_timeout(ctl, optarg);
			break;
		case OPTION_JSON:
			ctl->json = true;
			break;
		case OPTION_HELP:
			commands_print_help();
			return 0;
		case OPTION_VERSION:
			printf("resolverctl %s\n", resolverd_version());
			return 0;
		default:
			return ctl_usage(ctl, "wrong option (see --help)");
		}
	}
	return r != 0 ? r : -1;
}

/* --json and --help may also stand behind the command. Removes them there. */
static int take_common(struct ctl *ctl, int argc, char **argv, bool *ret_help)
{
	int kept = 0;
	for (int i = 0; i < argc; i++) {
		if (i > 0 && strcmp(argv[i], "--json") == 0)
			ctl->json = true;
		else if (i > 0 && strcmp(argv[i], "--help") == 0)
			*ret_help = true;
		else
			argv[kept++] = argv[i];
	}
	argv[kept] = NULL;
	return kept;
}

int main(int argc, char **argv)
{
	struct ctl ctl = {.timeout_ms = DEFAULT_TIMEOUT_MS};
	const char *no_colour = getenv("NO_COLOR");
	ctl.colour = isatty(STDOUT_FILENO) && (no_colour == NULL || no_colour[0] == '\0');
	int r = parse_options(&ctl, argc, argv);
	if (r >= 0)
		return r;
	if (optind == argc)
		return ctl_usage(&ctl, "no command (see --help)");
	bool help = false;
	argv += optind;
	argc = take_common(&ctl, argc - optind, argv, &help);
	const struct command *command = argc > 0 ? command_find(argv[0]) : NULL;
	if (argc == 0)
		return ctl_usage(&ctl, "no command (see --help)");
	if (command == NULL)
		return ctl_usage(&ctl, "unknown command \"%s\" (see --help)", argv[0]);
	if (help) {
		command_print_help(command);
		return 0;
	}
	r = command->run(&ctl, argc, argv);
	resolverd_client_free(ctl.client);
	if (fflush(stdout) != 0 || ferror(stdout))
		return ctl_report(&(struct ctl){0}, "cannot write the output", EXIT_NOT_NOW);
	return r;
}
