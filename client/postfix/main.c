/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resolverd-postfix: tells Postfix what level of TLS a destination needs, over the socketmap
 * protocol, out of resolverd's plans. What it answers, options, exit status:
 * docs/integrations/postfix.md.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/postfix/postfix.h"

#define DEFAULT_TIMEOUT_MS 10000
#define DEFAULT_IDLE_MS 120000 /* Postfix itself ends what is idle for 10 s or 100 s old */
#define DEFAULT_CLIENTS 1000
#define CLIENTS_MAX 100000
#define DEFAULT_INTERVAL_MS 30000
#define DEFAULT_RESOLV_CONF "/etc/resolv.conf"
#define DEFAULT_SOCKET_MODE 0660
#define DNS_PORT 53

static const char help[] =
    "Usage: resolverd-postfix --listen WHERE [OPTION]...\n\n"
    "Tells Postfix which destinations need DANE: smtp_tls_policy_maps = socketmap:WHERE:policy\n\n"
    "  --listen unix:PATH       or inet:ADDRESS:PORT on loopback; may be given often; needless\n"
    "                           with sockets of the service manager\n"
    "  --socket-mode MODE       of the Unix sockets, octal (0660); give it before --listen\n"
    "  --socket-group GROUP     of the Unix sockets; give it before --listen\n"
    "  --postfix-resolver WHAT  what Postfix's own lookups go through, and what is probed: a\n"
    "                           FILE like /etc/resolv.conf (this one is the default), or an\n"
    "                           ADDRESS[:PORT]; \"vouched\": nothing is probed, you know that it\n"
    "                           validates\n"
    "  --probe-interval SECONDS (30)\n"
    "  --postfix-version X.Y    use what this version understands: servername from 3.4 on\n"
    "  --socket PATH            socket of the daemon (" RESOLVERD_DEFAULT_SOCKET ")\n"
    "  --public-key FILE        keys to trust (" RESOLVERD_DEFAULT_PUBLIC_KEY ")\n"
    "  --timeout SECONDS        TIMEOUT for what is not found by then (10)\n"
    "  --idle SECONDS           end a connection that asks nothing for so long (120)\n"
    "  --clients N              connections at a time (1000)\n"
    "  --help, --version\n\n"
    "RESOLVERD_SOCKET and RESOLVERD_PUBLIC_KEY change the defaults.\n\n"
    "Exit status: 0 ended by a signal, 64 usage, 71 trouble of this system (no socket),\n"
    "78 a socket of the service manager that can't be served.\n";

struct arguments {
	struct postfix_options options;
	struct sockets sockets;
};

struct program {
	struct event_base *base;
	struct event *signals[2];
	struct sessions *sessions;
	struct probe *probe;
	const struct arguments *arguments;
	int status;
};

/* ---- arguments: 0, or an exit status ---- */

enum {
	OPTION_LISTEN = 1,
	OPTION_SOCKET_MODE,
	OPTION_SOCKET_GROUP,
	OPTION_POSTFIX_RESOLVER,
	OPTION_PROBE_INTERVAL,
	OPTION_POSTFIX_VERSION,
	OPTION_SOCKET,
	OPTION_PUBLIC_KEY,
	OPTION_TIMEOUT,
	OPTION_IDLE,
	OPTION_CLIENTS,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option options[] = {
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"socket-mode", required_argument, NULL, OPTION_SOCKET_MODE},
    {"socket-group", required_argument, NULL, OPTION_SOCKET_GROUP},
    {"postfix-resolver", required_argument, NULL, OPTION_POSTFIX_RESOLVER},
    {"probe-interval", required_argument, NULL, OPTION_PROBE_INTERVAL},
    {"postfix-version", required_argument, NULL, OPTION_POSTFIX_VERSION},
    {"socket", required_argument, NULL, OPTION_SOCKET},
    {"public-key", required_argument, NULL, OPTION_PUBLIC_KEY},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"idle", required_argument, NULL, OPTION_IDLE},
    {"clients", required_argument, NULL, OPTION_CLIENTS},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};

static int take_resolver(const char *text, struct probe_options *probe)
{
	probe->vouched = strcmp(text, "vouched") == 0;
	probe->file = text[0] == '/' ? text : NULL;
	if (probe->vouched || probe->file != NULL ||
	    serve_take_address(text, DNS_PORT, &probe->server))
		return 0;
	serve_log(SERVE_ERROR,
	    "--postfix-resolver: \"%s\" is neither a /FILE, an ADDRESS[:PORT] nor \"vouched\"",
	    text);
	return EXIT_WRONG_USAGE;
}

static int take_postfix_version(const char *text, bool *ret_send_servername)
{
	unsigned long major, minor = 0;
	char *end;
	major = strtoul(text, &end, 10);
	if (*end == '.')
		minor = strtoul(end + 1, &end, 10);
	if (text[0] < '1' || text[0] > '9' || (*end != '\0' && *end != '.' && *end != '-')) {
		serve_log(SERVE_ERROR, "--postfix-version: \"%s\" is no version", text);
		return EXIT_WRONG_USAGE;
	}
	*ret_send_servername = major > 3 || (major == 3 && minor >= 4);
	return 0;
}

static int take_option(struct arguments *arguments, int option, const char *value)
{
	struct postfix_options *taken = &arguments->options;
	switch (option) {
	case OPTION_LISTEN:
		return sockets_listen(
		    &arguments->sockets, value, taken->socket_mode, taken->socket_group);
	case OPTION_SOCKET_MODE:
		return sockets_take_mode(value, &taken->socket_mode);
	case OPTION_SOCKET_GROUP:
		taken->socket_group = value;
		return 0;
	case OPTION_POSTFIX_RESOLVER:
		return take_resolver(value, &taken->probe);
	case OPTION_PROBE_INTERVAL:
		return serve_take_seconds(value, &taken->probe.interval_ms);
	case OPTION_POSTFIX_VERSION:
		return take_postfix_version(value, &taken->send_servername);
	case OPTION_SOCKET:
		taken->daemon.socket_path = value;
		return 0;
	case OPTION_PUBLIC_KEY:
		taken->daemon.public_key_file = value;
		return 0;
	case OPTION_TIMEOUT:
		return serve_take_seconds(value, &taken->timeout_ms);
	case OPTION_IDLE:
		return serve_take_seconds(value, &taken->idle_ms);
	case OPTION_CLIENTS:
		return serve_take_count(value, CLIENTS_MAX, &taken->clients_max);
	default:
		serve_log(SERVE_ERROR, "wrong option (see --help)");
		return EXIT_WRONG_USAGE;
	}
}

/* -1: go on; else an exit status. */
static int parse_arguments(struct arguments *arguments, int argc, char **argv)
{
	int c, r = 0;
	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == OPTION_HELP)
			return fputs(help, stdout) < 0;
		if (c == OPTION_VERSION)
			return printf("resolverd-postfix %s\n", resolverd_version()) < 0;
		r = take_option(arguments, c, optarg);
	}
	if (r != 0)
		return r;
	if (optind < argc) {
		serve_log(SERVE_ERROR, "\"%s\": there are options only (see --help)", argv[optind]);
		return EXIT_WRONG_USAGE;
	}
	if (arguments->sockets.count == 0) {
		serve_log(SERVE_ERROR, "nowhere to listen: give --listen (see --help)");
		return EXIT_WRONG_USAGE;
	}
	return -1;
}

/* ---- the run ---- */

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct program *program = arg;
	(void)number;
	(void)what;
	event_base_loopbreak(program->base);
}

static bool catch_signals(struct program *program)
{
	static const int numbers[] = {SIGTERM, SIGINT};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		program->signals[i] = evsignal_new(program->base, numbers[i], on_signal, program);
		if (program->signals[i] == NULL || event_add(program->signals[i], NULL) != 0)
			return false;
	}
	return true;
}

static void on_first_probe(void *context)
{
	struct program *program = context;
	const struct sockets *sockets = &program->arguments->sockets;
	if (!sessions_open(program->sessions, program->probe)) {
		serve_log(SERVE_ERROR, "out of memory");
		program->status = EXIT_TROUBLE;
		event_base_loopbreak(program->base);
		return;
	}
	for (size_t i = 0; i < sockets->count; i++)
		serve_log(SERVE_NOTICE, "listening on %s", sockets->list[i].name);
}

static int begin(struct program *program)
{
	const struct arguments *arguments = program->arguments;
	program->base = event_base_new();
	if (program->base == NULL)
		goto trouble;
	int r = sessions_new(
	    program->base, &arguments->options, &arguments->sockets, &program->sessions);
	if (r != 0)
		return r;
	program->probe =
	    probe_new(program->base, &arguments->options.probe, on_first_probe, program);
	if (program->probe != NULL && catch_signals(program))
		return 0;
trouble:
	serve_log(SERVE_ERROR, "cannot begin: %s", strerror(errno != 0 ? errno : ENOMEM));
	return EXIT_TROUBLE;
}

static int serve(const struct arguments *arguments)
{
	struct program program = {.arguments = arguments};
	program.status = begin(&program);
	if (program.status == 0 && event_base_dispatch(program.base) < 0) {
		serve_log(SERVE_ERROR, "cannot wait for events: %s", strerror(errno));
		program.status = EXIT_TROUBLE;
	}
	sessions_free(program.sessions);
	probe_free(program.probe);
	for (size_t i = 0; i < sizeof program.signals / sizeof *program.signals; i++)
		if (program.signals[i] != NULL)
			event_free(program.signals[i]);
	if (program.base != NULL)
		event_base_free(program.base);
	return program.status;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {
	    .options = {.timeout_ms = DEFAULT_TIMEOUT_MS,
		.idle_ms = DEFAULT_IDLE_MS,
		.clients_max = DEFAULT_CLIENTS,
		.socket_mode = DEFAULT_SOCKET_MODE,
		.probe = {.file = DEFAULT_RESOLV_CONF, .interval_ms = DEFAULT_INTERVAL_MS}}};
	signal(SIGPIPE, SIG_IGN);
	int r = sockets_inherit(&arguments.sockets);
	if (r == 0)
		r = parse_arguments(&arguments, argc, argv);
	if (r < 0)
		r = serve(&arguments);
	sockets_fini(&arguments.sockets);
	return r;
}
