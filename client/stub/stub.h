/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of resolverd-stub share. One process, one libevent loop, no state but what is in
 * flight:
 *
 *	datagrams.c, streams.c    who asks, and how they are answered
 *	lookups.c                 questions on their way through the daemon
 *	sockets.c                 where to listen: --listen, or what systemd hands over
 */
#pragma once
#include <event2/event.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/dns/message.h"
#include "client/resolverd.h"
#include "client/serve/serve.h"

#define STUB_SOCKETS_MAX 16u

struct stub_options {
	struct resolverd_options daemon;
	unsigned timeout_ms;     /* of a question */
	unsigned stream_idle_ms; /* a TCP connection may be idle for so long */
	unsigned streams_max;
};

/* Who waits for an answer: a datagram's sender, or a stream, which stays until it is told. */
struct stub_asker {
	enum dns_transport transport;
	int fd;
	union serve_address peer;
	socklen_t peer_bytes;
	struct stream *stream;
};

struct stub;

/* Takes one message of an asker: answers, starts a lookup that will, or leaves it. Returns whether
 * the asker is owed an answer that comes later. */
bool stub_take(
    struct stub *stub, const uint8_t *packet, size_t packet_bytes, const struct stub_asker *asker);
/* To be called when all that came together is taken. */
void stub_taken(struct stub *stub);
/* Where answers are written, of DNS_MESSAGE_MAX octets, before stub_answer sends so many of them.
 */
uint8_t *stub_message(struct stub *stub);
void stub_answer(struct stub *stub, const struct stub_asker *asker, size_t bytes);

/* ---- sockets.c ---- */

struct stub_socket {
	int fd;
	bool is_stream;
	char name[80]; /* "udp [::1]:53" */
};

struct stub_sockets {
	struct stub_socket list[STUB_SOCKETS_MAX];
	size_t count;
};

/* Adds UDP and TCP at "127.0.0.1", "127.0.0.1:5353", "::1" or "[::1]:5353". Returns 0 or an exit
 * status, having said why. */
[[nodiscard]] int stub_listen(struct stub_sockets *sockets, const char *text);
/* Adds what the service manager listens on for us (sd_listen_fds(3)). As stub_listen. */
[[nodiscard]] int stub_inherit(struct stub_sockets *sockets);
/* 127.0.0.1 and, if this host has it, ::1. As stub_listen. */
[[nodiscard]] int stub_listen_default(struct stub_sockets *sockets);
void stub_sockets_fini(struct stub_sockets *sockets);

/* ---- datagrams.c ---- */

struct datagrams;
/* Serves what is a datagram socket of these; borrows them. NULL: out of memory. */
struct datagrams *datagrams_new(
    struct stub *stub, struct event_base *base, const struct stub_sockets *sockets);
void datagrams_free(struct datagrams *datagrams);
void datagram_send(const struct stub_asker *asker, const uint8_t *message, size_t bytes);

/* ---- streams.c ---- */

struct streams;
struct streams *streams_new(struct stub *stub, struct event_base *base,
    const struct stub_sockets *sockets, const struct stub_options *options);
/* After the lookups: they may owe an answer to a stream. */
void streams_free(struct streams *streams);
void stream_send(struct stream *stream, const uint8_t *message, size_t bytes);
/* The answer that was owed has been sent, or never will be. May end the stream. */
void stream_settled(struct stream *stream);

/* ---- lookups.c ---- */

struct lookups;
/* Returns 0, or an exit status, having said why. */
[[nodiscard]] int lookups_new(struct stub *stub, struct event_base *base,
    const struct stub_options *options, struct lookups **ret_lookups);
void lookups_free(struct lookups *lookups);
/* Has a good query answered, later or at once; copies both. Returns whether it is later. */
bool lookups_start(
    struct lookups *lookups, const struct dns_query *query, const struct stub_asker *asker);
/* Sends what was started to the daemon, and answers what is there. */
void lookups_update(struct lookups *lookups);
