/* SPDX-License-Identifier: BSD-3-Clause */
/* resolverd-web. What it serves, options, exit status: docs/MONITORING.md. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "client/web/web.h"

#define DEFAULT_TIMEOUT_MS 2000
#define DEFAULT_SOCKET_MODE 0660
#define FILES_MAX 256 /* connections, and a few: bounds what a local program can hold open */

static const char help[] =
    "Usage: resolverd-web --listen WHERE [OPTION]...\n\n"
    "Metrics, health and a page about resolverd, over HTTP and for this host.\n\n"
    "  --listen unix:PATH     or inet:ADDRESS:PORT on loopback; may be given often; needless\n"
    "                         with sockets of the service manager\n"
    "  --socket-mode MODE     of the Unix sockets, octal (0660); give it before --listen\n"
    "  --socket-group GROUP   of the Unix sockets; give it before --listen\n"
    "  --host NAME            one more name that may stand in the Host header on loopback, for\n"
    "                         a proxy before it; may be given often\n"
    "  --no-destinations      tell nothing of the domains that mail goes to\n"
    "  --control-socket PATH  of the daemon (" RESOLVERD_DEFAULT_CONTROL_SOCKET ")\n"
    "  --public-key FILE      keys to trust (" RESOLVERD_DEFAULT_PUBLIC_KEY ")\n"
    "  --timeout SECONDS      for a word of the daemon (2)\n"
    "  --help, --version\n\n"
    "RESOLVERD_CONTROL_SOCKET and RESOLVERD_PUBLIC_KEY change the defaults.\n\n"
    "Exit status: 0 ended by a signal, 64 usage, 71 trouble of this system (no socket),\n"
    "78 a socket of the service manager that can't be served.\n";

struct arguments {
	struct web_options options;
	struct sockets sockets;
	mode_t socket_mode;
	const char *socket_group;
};

enum {
	OPTION_LISTEN = 1,
	OPTION_SOCKET_MODE,
	OPTION_SOCKET_GROUP,
	OPTION_HOST,
	OPTION_NO_DESTINATIONS,
	OPTION_CONTROL_SOCKET,
	OPTION_PUBLIC_KEY,
	OPTION_TIMEOUT,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option options[] = {
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"socket-mode", required_argument, NULL, OPTION_SOCKET_MODE},
    {"socket-group", required_argument, NULL, OPTION_SOCKET_GROUP},
    {"host", required_argument, NULL, OPTION_HOST},
    {"no-destinations", no_argument, NULL, OPTION_NO_DESTINATIONS},
    {"control-socket", required_argument, NULL, OPTION_CONTROL_SOCKET},
    {"public-key", required_argument, NULL, OPTION_PUBLIC_KEY},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};

static int take_host(struct web_options *taken, const char *name)
{
	if (taken->host_count == WEB_HOSTS_MAX) {
		serve_log(SERVE_ERROR, "at most %u times --host", WEB_HOSTS_MAX);
		return EXIT_WRONG_USAGE;
	}
	taken->hosts[taken->host_count++] = name;
	return 0;
}

/* 0, or an exit status. */
static int take_option(struct arguments *arguments, int option, const char *value)
{
	struct web_options *taken = &arguments->options;
	switch (option) {
	case OPTION_LISTEN:
		return sockets_listen(
		    &arguments->sockets, value, arguments->socket_mode, arguments->socket_group);
	case OPTION_SOCKET_MODE:
		return sockets_take_mode(value, &arguments->socket_mode);
	case OPTION_SOCKET_GROUP:
		arguments->socket_group = value;
		return 0;
	case OPTION_HOST:
		return take_host(taken, value);
	case OPTION_NO_DESTINATIONS:
		taken->show_destinations = false;
		return 0;
	case OPTION_CONTROL_SOCKET:
		taken->daemon.socket_path = value;
		return 0;
	case OPTION_PUBLIC_KEY:
		taken->daemon.public_key_file = value;
		return 0;
	case OPTION_TIMEOUT:
		return serve_take_seconds(value, &taken->timeout_ms);
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
			return printf("resolverd-web %s\n", resolverd_version()) < 0;
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

void web_reserve(bool lift)
{
	const rlim_t most = FILES_MAX + WEB_FILES_RESERVED;
	const struct rlimit files = {lift ? most : FILES_MAX, most};
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	(void)number, (void)what;
	event_base_loopbreak(arg);
}

static int serve(const struct arguments *arguments)
{
	struct event_base *base = event_base_new();
	struct event *signals[2] = {0};
	struct source *source = source_new(&arguments->options);
	struct http *http = NULL;
	int status = EXIT_TROUBLE;
	if (base != NULL) {
		signals[0] = evsignal_new(base, SIGTERM, on_signal, base);
		signals[1] = evsignal_new(base, SIGINT, on_signal, base);
	}
	if (source == NULL || signals[0] == NULL || signals[1] == NULL ||
	    event_add(signals[0], NULL) != 0 || event_add(signals[1], NULL) != 0)
		serve_log(SERVE_ERROR, "cannot begin: %s", strerror(errno != 0 ? errno : ENOMEM));
	else
		status = http_new(base, &arguments->options, &arguments->sockets, source, &http);
	if (status == 0) {
		for (size_t i = 0; i < arguments->sockets.count; i++)
			serve_log(SERVE_NOTICE, "listening on %s", arguments->sockets.list[i].name);
		if (event_base_dispatch(base) < 0)
			status = EXIT_TROUBLE;
	}
	http_free(http);
	source_free(source);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		if (signals[i] != NULL)
			event_free(signals[i]);
	if (base != NULL)
		event_base_free(base);
	return status;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {
	    .options = {.timeout_ms = DEFAULT_TIMEOUT_MS,
		.show_destinations = true,
		.daemon = {.socket_path = getenv("RESOLVERD_CONTROL_SOCKET")}},
	    .socket_mode = DEFAULT_SOCKET_MODE};
	const char **control = &arguments.options.daemon.socket_path;
	if (*control == NULL || (*control)[0] == '\0')
		*control = RESOLVERD_DEFAULT_CONTROL_SOCKET;
	signal(SIGPIPE, SIG_IGN);
	web_reserve(false);
	int r = sockets_inherit(&arguments.sockets);
	if (r == 0)
		r = parse_arguments(&arguments, argc, argv);
	if (r < 0)
		r = serve(&arguments);
	sockets_fini(&arguments.sockets);
	return r;
}
