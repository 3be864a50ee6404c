/* SPDX-License-Identifier: BSD-3-Clause */
/* Queries over UDP. */
#include <stdlib.h>
#include <sys/socket.h>

#include "client/stub/stub.h"

#define PACKET_MAX 4096u /* a longer one is no query of anybody */
#define AT_ONCE 64u      /* then others have their turn */

struct datagrams {
	struct stub *stub;
	struct event *events[STUB_SOCKETS_MAX];
	size_t count;
};

void datagram_send(const struct stub_asker *asker, const uint8_t *message, size_t bytes)
{
	/* What has no room is lost, as datagrams are. */
	(void)sendto(asker->fd, message, bytes, MSG_DONTWAIT | MSG_NOSIGNAL, &asker->peer.any,
	    asker->peer_bytes);
}

static void on_datagrams(evutil_socket_t fd, short what, void *arg)
{
	struct datagrams *datagrams = arg;
	uint8_t packet[PACKET_MAX];
	(void)what;
	for (unsigned i = 0; i < AT_ONCE; i++) {
		struct stub_asker asker = {
		    .transport = DNS_DATAGRAM, .fd = fd, .peer_bytes = sizeof asker.peer};
		ssize_t n = recvfrom(fd, packet, sizeof packet, MSG_DONTWAIT | MSG_TRUNC,
		    &asker.peer.any, &asker.peer_bytes);
		if (n < 0)
			break;
		if ((size_t)n <= sizeof packet && serve_is_loopback(&asker.peer))
			stub_take(datagrams->stub, packet, (size_t)n, &asker);
	}
	stub_taken(datagrams->stub);
}

struct datagrams *datagrams_new(
    struct stub *stub, struct event_base *base, const struct stub_sockets *sockets)
{
	struct datagrams *datagrams = calloc(1, sizeof *datagrams);
	if (datagrams == NULL)
		return NULL;
	datagrams->stub = stub;
	for (size_t i = 0; i < sockets->count; i++) {
		if (sockets->list[i].is_stream)
			continue;
		struct event **event = &datagrams->events[datagrams->count];
		*event = event_new(
		    base, sockets->list[i].fd, EV_READ | EV_PERSIST, on_datagrams, datagrams);
		datagrams->count += *event != NULL;
		if (*event == NULL || event_add(*event, NULL) != 0) {
			datagrams_free(datagrams);
			return NULL;
		}
	}
	return datagrams;
}

void datagrams_free(struct datagrams *datagrams)
{
	if (datagrams == NULL)
		return;
	for (size_t i = 0; i < datagrams->count; i++)
		event_free(datagrams->events[i]);
	free(datagrams);
}
