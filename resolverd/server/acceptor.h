/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lets clients in, on both sockets: some at a time, so that a flood of them does not keep the loop;
 * no more than there are descriptors for, with enough left for workers; none while there are none.
 */
#pragma once
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

struct config;
struct server;

struct acceptor {
	struct server *server;
	struct event clients, control;
	bool lets_clients_in, lets_control_in; /* false: those who come wait in the backlog */
	uint32_t room;                         /* clients that the limit of descriptors allows */
	int64_t said_at_ms;                    /* mono; that some have to wait */
};

/* After the limit of descriptors was raised. Clients are not let in before acceptor_let_in. */
[[gnu::warn_unused_result]] int acceptor_init(
    struct acceptor *acceptor, struct server *server, struct event_base *base);
void acceptor_fini(struct acceptor *acceptor);

/* Brings server.max-clients down to what there is room for. */
void acceptor_fit(const struct acceptor *acceptor, struct config *config);

/* Goes on after a pause; clients: whether they may come in. To be called when a session has ended,
 * and every second. */
void acceptor_let_in(struct acceptor *acceptor, bool clients);
