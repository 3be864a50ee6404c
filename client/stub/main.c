/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resolverd-stub: a DNS server on loopback that tells what resolverd found, for programs that know
 * resolv.conf and the AD bit only. What it answers, options, exit status:
 * docs/integrations/stub.md.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/stub/stub.h"

#define DEFAULT_TIMEOUT_MS 10000
#define DEFAULT_STREAM_IDLE_MS 10000
#define DEFAULT_STREAMS 256
#define STREAMS_MAX 100000

static const char help[] =
    "Usage: resolverd-stub [OPTION]...\n\n"
    "Answers DNS queries from this host out of what resolverd validated. Bogus data and\n"
    "failures are SERVFAIL, the AD bit is set for secure data only.\n\n"
    "  --listen ADDRESS[:PORT]  on loopback, UDP and TCP; may be given often; without it, and\n"
    "                           without sockets of the service manager, 127.0.0.1 and [::1]\n"
    "  --socket PATH            socket of the daemon (" RESOLVERD_DEFAULT_SOCKET ")\n"
    "  --public-key FILE        keys to trust (" RESOLVERD_DEFAULT_PUBLIC_KEY ")\n"
    "  --timeout SECONDS        SERVFAIL for what is not found by then (10)\n"
    "  --tcp-idle SECONDS       end a TCP connection that asks nothing for so long (10)\n"
    "  --tcp-clients N          TCP connections at a time (256)\n"
    "  --help, --version\n\n"
    "RESOLVERD_SOCKET and RESOLVERD_PUBLIC_KEY change the defaults.\n\n"
    "Exit status: 0 ended by a signal, 64 usage, 71 trouble of this system (no socket),\n"
    "78 a socket of the service manager that is not on loopback.\n";

struct arguments {
	struct stub_options options;
	struct stub_sockets sockets;
};

struct stub {
	struct event_base *base;
	struct event *signals[2];
	struct lookups *lookups;
	struct datagrams *datagrams;
	struct streams *streams;
	uint8_t message[DNS_MESSAGE_MAX];
};

/* ---- arguments: 0, or an exit status ---- */

enum {
	OPTION_LISTEN = 1,
	OPTION_SOCKET,
	OPTION_PUBLIC_KEY,
	OPTION_TIMEOUT,
	OPTION_TCP_IDLE,
	OPTION_TCP_CLIENTS,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option options[] = {
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"socket", required_argument, NULL, OPTION_SOCKET},
    {"public-key", required_argument, NULL, OPTION_PUBLIC_KEY},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"tcp-idle", required_argument, NULL, OPTION_TCP_IDLE},
    {"tcp-clients", required_argument, NULL, OPTION_TCP_CLIENTS},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};

static int take_option(struct arguments *arguments, int option, const char *value)
{
	struct stub_options *taken = &arguments->options;
	switch (option) {
	case OPTION_LISTEN:
		return stub_listen(&arguments->sockets, value);
	case OPTION_SOCKET:
		taken->daemon.socket_path = value;
		return 0;
	case OPTION_PUBLIC_KEY:
		taken->daemon.public_key_file = value;
		return 0;
	case OPTION_TIMEOUT:
		return serve_take_seconds(value, &taken->timeout_ms);
	case OPTION_TCP_IDLE:
		return serve_take_seconds(value, &taken->stream_idle_ms);
	case OPTION_TCP_CLIENTS:
		return serve_take_count(value, STREAMS_MAX, &taken->streams_max);
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
			return printf("resolverd-stub %s\n", resolverd_version()) < 0;
		r = take_option(arguments, c, optarg);
	}
	if (r != 0)
		return r;
	if (optind < argc) {
		serve_log(SERVE_ERROR, "\"%s\": there are options only (see --help)", argv[optind]);
		return EXIT_WRONG_USAGE;
	}
	return -1;
}

/* ---- one message ---- */

uint8_t *stub_message(struct stub *stub)
{
	return stub->message;
}

bool stub_take(
    struct stub *stub, const uint8_t *packet, size_t packet_bytes, const struct stub_asker *asker)
{
	struct dns_query query;
	struct dns_error error;
	switch (dns_query_parse(packet, packet_bytes, &query, &error)) {
	case DNS_QUERY_GOOD:
		return lookups_start(stub->lookups, &query, asker);
	case DNS_QUERY_FAULTY:
		stub_answer(stub, asker, dns_message_error(&query, &error, stub_message(stub)));
		return false;
	case DNS_QUERY_NONE:
		break;
	}
	return false;
}

void stub_taken(struct stub *stub)
{
	lookups_update(stub->lookups);
}

void stub_answer(struct stub *stub, const struct stub_asker *asker, size_t bytes)
{
	if (asker->transport == DNS_STREAM)
		stream_send(asker->stream, stub->message, bytes);
	else
		datagram_send(asker, stub->message, bytes);
}

/* ---- the run ---- */

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct stub *stub = arg;
	(void)number;
	(void)what;
	event_base_loopbreak(stub->base);
}

static bool catch_signals(struct stub *stub)
{
	static const int numbers[] = {SIGTERM, SIGINT};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		stub->signals[i] = evsignal_new(stub->base, numbers[i], on_signal, stub);
		if (stub->signals[i] == NULL || event_add(stub->signals[i], NULL) != 0)
			return false;
	}
	return true;
}

static int begin(struct stub *stub, const struct arguments *arguments)
{
	const struct stub_sockets *sockets = &arguments->sockets;
	stub->base = event_base_new();
	if (stub->base == NULL)
		goto trouble;
	int r = lookups_new(stub, stub->base, &arguments->options, &stub->lookups);
	if (r != 0)
		return r;
	stub->datagrams = datagrams_new(stub, stub->base, sockets);
	stub->streams = streams_new(stub, stub->base, sockets, &arguments->options);
	if (stub->datagrams != NULL && stub->streams != NULL && catch_signals(stub))
		return 0;
trouble:
	serve_log(SERVE_ERROR, "cannot begin: %s", strerror(errno != 0 ? errno : ENOMEM));
	return EXIT_TROUBLE;
}

static void stub_free(struct stub *stub)
{
	lookups_free(stub->lookups);
	datagrams_free(stub->datagrams);
	streams_free(stub->streams);
	for (size_t i = 0; i < sizeof stub->signals / sizeof *stub->signals; i++)
		if (stub->signals[i] != NULL)
			event_free(stub->signals[i]);
	if (stub->base != NULL)
		event_base_free(stub->base);
	free(stub);
}

static int serve(const struct arguments *arguments)
{
	struct stub *stub = calloc(1, sizeof *stub);
	if (stub == NULL) {
		serve_log(SERVE_ERROR, "out of memory");
		return EXIT_TROUBLE;
	}
	int r = begin(stub, arguments);
	for (size_t i = 0; r == 0 && i < arguments->sockets.count; i++)
		serve_log(SERVE_NOTICE, "listening on %s", arguments->sockets.list[i].name);
	if (r == 0 && event_base_dispatch(stub->base) < 0) {
		serve_log(SERVE_ERROR, "cannot wait for events: %s", strerror(errno));
		r = EXIT_TROUBLE;
	}
	stub_free(stub);
	return r;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {.options = {.timeout_ms = DEFAULT_TIMEOUT_MS,
					  .stream_idle_ms = DEFAULT_STREAM_IDLE_MS,
					  .streams_max = DEFAULT_STREAMS}};
	signal(SIGPIPE, SIG_IGN);
	int r = stub_inherit(&arguments.sockets);
	if (r == 0)
		r = parse_arguments(&arguments, argc, argv);
	if (r < 0)
		r = arguments.sockets.count > 0 ? 0 : stub_listen_default(&arguments.sockets);
	else if (r == 0)
		return 0; /* --help, --version */
	if (r == 0)
		r = serve(&arguments);
	stub_sockets_fini(&arguments.sockets);
	return r;
}
