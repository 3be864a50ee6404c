/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/postfix/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define TRIES 3u
#define TRY_MS 1500
#define BAD_INTERVAL_MS 2000u /* at most, while it does not validate */
#define FILE_MAX_BYTES 16384u
#define PACKET_MAX 4096u

struct probe {
	struct event_base *base;
	const struct probe_options *options;
	void (*first)(void *context); /* NULL: has been called */
	void *context;
	struct event *next_round,
	    *reply; /* reply: of the server that is asked, or its time is up */
	union serve_address servers[PROBE_SERVERS_MAX];
	size_t server_count, server; /* how many, and which is asked */
	unsigned tries;
	int fd;
	uint8_t query[PROBE_QUERY_BYTES];
	bool is_good, was_told;
	char complaint[256];
};

static struct timeval time_of(unsigned ms)
{
	return (struct timeval){ms / 1000, (int)(ms % 1000) * 1000};
}

static const char *name_of(const struct probe *probe)
{
	if (probe->options->vouched)
		return "its operator vouches for it";
	return probe->options->file != NULL ? probe->options->file : "--postfix-resolver";
}

/* ---- the end of a round ---- */

static void close_socket(struct probe *probe)
{
	event_del(probe->reply);
	if (probe->fd >= 0)
		close(probe->fd);
	probe->fd = -1;
}

/* complaint is set when it is not good. */
static void end_round(struct probe *probe, bool is_good)
{
	close_socket(probe);
	if (is_good && !(probe->was_told && probe->is_good))
		serve_log(SERVE_NOTICE, "Postfix's resolver validates (%s)", name_of(probe));
	else if (!is_good && !(probe->was_told && !probe->is_good))
		serve_log(SERVE_WARNING,
		    "Postfix's resolver does not validate: %s; destinations with DANE are TEMP",
		    probe->complaint);
	probe->is_good = is_good;
	probe->was_told = true;
	unsigned pause_ms = probe->options->interval_ms;
	if (!is_good && pause_ms > BAD_INTERVAL_MS)
		pause_ms = BAD_INTERVAL_MS;
	const struct timeval pause = time_of(pause_ms);
	event_add(probe->next_round, &pause);
	if (probe->first != NULL) {
		void (*first)(void *) = probe->first;
		probe->first = NULL;
		first(probe->context);
	}
}

[[gnu::format(printf, 2, 3)]] static void complain(struct probe *probe, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(probe->complaint, sizeof probe->complaint, format, arguments);
	va_end(arguments);
	end_round(probe, false);
}

static void complain_of_server(struct probe *probe, const char *what)
{
	char name[SERVE_ADDRESS_TEXT];
	serve_address_text(&probe->servers[probe->server], name);
	complain(probe, "name server %s of %s %s", name, name_of(probe), what);
}

/* ---- one server after the other ---- */

static void on_reply(evutil_socket_t fd, short what, void *arg);

static void send_query(struct probe *probe)
{
	const struct timeval patience = time_of(TRY_MS);
	uint16_t id = 0;
	event_del(probe->reply);
	if (getrandom(&id, sizeof id, 0) < 0)
		id = 1; /* a connected socket is a secret of its own */
	probe_query(id, probe->query);
	probe->tries++;
	/* What can't be sent is asked again when its time is up. */
	(void)send(probe->fd, probe->query, sizeof probe->query, MSG_DONTWAIT | MSG_NOSIGNAL);
	event_assign(probe->reply, probe->base, probe->fd, EV_READ | EV_PERSIST, on_reply, probe);
	event_add(probe->reply, &patience);
}

static void ask_server(struct probe *probe)
{
	if (probe->server == probe->server_count) {
		end_round(probe, true);
		return;
	}
	const union serve_address *address = &probe->servers[probe->server];
	probe->tries = 0;
	probe->fd = socket(address->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe->fd < 0 || connect(probe->fd, &address->any, serve_address_bytes(address)) != 0)
		complain_of_server(probe, strerror(errno));
	else
		send_query(probe);
}

static void on_reply(evutil_socket_t fd, short what, void *arg)
{
	struct probe *probe = arg;
	uint8_t packet[PACKET_MAX];
	const char *complaint = NULL;
	if (what & EV_TIMEOUT) {
		if (probe->tries < TRIES)
			send_query(probe);
		else
			complain_of_server(probe, "does not answer");
		return;
	}
	ssize_t n = recv(fd, packet, sizeof packet, MSG_DONTWAIT);
	if (n < 0)
		return; /* ICMP says that nobody listens: perhaps not yet */
	switch (probe_read(packet, (size_t)n, probe->query, &complaint)) {
	case PROBE_FOREIGN:
		return;
	case PROBE_REFUSED:
		complain_of_server(probe, complaint);
		return;
	case PROBE_VALIDATED:
		close_socket(probe);
		probe->server++;
		ask_server(probe);
	}
}

/* ---- a round ---- */

static void read_file(struct probe *probe)
{
	char text[FILE_MAX_BYTES];
	bool has_bad;
	int fd = open(probe->options->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	int error = errno;
	if (fd >= 0)
		close(fd);
	if (n < 0) {
		complain(probe, "cannot read %s: %s", probe->options->file, strerror(error));
		return;
	}
	text[n] = '\0';
	probe->server_count = probe_servers(text, probe->servers, &has_bad);
	if (has_bad)
		complain(probe, "a name server of %s is no address", probe->options->file);
	else
		ask_server(probe);
}

static void on_round(evutil_socket_t fd, short what, void *arg)
{
	struct probe *probe = arg;
	(void)fd;
	(void)what;
	probe->server = 0;
	if (probe->options->vouched) {
		probe->server_count = 0;
		ask_server(probe);
	} else if (probe->options->file != NULL) {
		read_file(probe);
	} else {
		probe->servers[0] = probe->options->server;
		probe->server_count = 1;
		ask_server(probe);
	}
}

struct probe *probe_new(struct event_base *base, const struct probe_options *options,
    void (*first)(void *context), void *context)
{
	struct probe *probe = calloc(1, sizeof *probe);
	if (probe == NULL)
		return NULL;
	probe->base = base;
	probe->options = options;
	probe->first = first;
	probe->context = context;
	probe->fd = -1;
	probe->next_round = evtimer_new(base, on_round, probe);
	probe->reply = event_new(base, -1, 0, on_reply, probe);
	if (probe->next_round == NULL || probe->reply == NULL) {
		probe_free(probe);
		return NULL;
	}
	event_active(probe->next_round, EV_TIMEOUT, 0);
	return probe;
}

void probe_free(struct probe *probe)
{
	if (probe == NULL)
		return;
	if (probe->reply != NULL) {
		close_socket(probe);
		event_free(probe->reply);
	}
	if (probe->next_round != NULL)
		event_free(probe->next_round);
	free(probe);
}

bool probe_is_good(const struct probe *probe)
{
	return probe->is_good;
}

const char *probe_complaint(const struct probe *probe)
{
	return probe->complaint;
}
