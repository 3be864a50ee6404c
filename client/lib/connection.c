/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/lib/client.h"
#include "proto/frame.h"

#define RECEIVE_BYTES 16384u
#define RECEIVES_MAX 16u /* in a step: then the caller has its turn, whose timeout this is */

/* How a step of the connection went. */
enum progress {
	GOES_ON,
	NOTHING_NOW, /* would block */
	LOST,        /* by the daemon's doing; worth one more try */
	ENDED,       /* by ours: requests have failed already */
	NO_MEMORY,
};

int resolverd_client_fd(const struct resolverd_client *client)
{
	return client->fd;
}

short resolverd_client_events(const struct resolverd_client *client)
{
	return client->fd < 0 ? 0
			      : (short)(POLLIN | (buffer_count(&client->out) > 0 ? POLLOUT : 0));
}

void connection_close(struct resolverd_client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	client->keyring = (struct keyring){0};
	client->status_in_flight = 0;
	buffer_fini(&client->in);
	buffer_fini(&client->out);
}

static enum progress give_up(struct resolverd_client *client, int error, const char *detail)
{
	char copy[DETAIL_MAX];
	snprintf(copy, sizeof copy, "%s", detail);
	connection_close(client);
	request_fail_all(client, error, copy);
	return ENDED;
}

static enum progress cannot_connect(struct resolverd_client *client, int error_number)
{
	char detail[DETAIL_MAX];
	snprintf(detail, sizeof detail, "cannot connect to %s: %s", client->address.sun_path,
	    strerror(error_number));
	return give_up(client, RESOLVERD_ERROR_NO_DAEMON, detail);
}

/* The keys are read for every connection: a restarted daemon may have come with new ones. */
static enum progress connect_now(struct resolverd_client *client)
{
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (client->fd < 0)
		return cannot_connect(client, errno);
	if (connect(client->fd, (const struct sockaddr *)&client->address,
		sizeof client->address) != 0) {
		if (errno != EAGAIN)
			return cannot_connect(client, errno);
		connection_close(client);
		return NOTHING_NOW;
	}
	client->goodbye[0] = '\0';
	client->connections++;
	char detail[DETAIL_MAX];
	int r = trusted_keys_load(client->public_key_file, &client->trusted, detail);
	if (r != 0)
		return give_up(client, r, detail);
	if (request_send_all(client) != 0)
		return NO_MEMORY;
	return GOES_ON;
}

static enum progress send_some(struct resolverd_client *client)
{
	while (buffer_count(&client->out) > 0) {
		ssize_t n = send(client->fd, client->out.bytes + client->out.start,
		    buffer_count(&client->out), MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		/* A lost connection may still hold answers: receiving finds out. */
		if (n < 0)
			return NOTHING_NOW;
		buffer_consume(&client->out, (size_t)n);
	}
	return GOES_ON;
}

static enum progress handle_frames(struct resolverd_client *client)
{
	struct frame frame;
	for (;;) {
		const uint8_t *bytes = client->in.bytes + client->in.start;
		int r = RESOLVERD_ERROR_PROTOCOL;
		switch (frame_parse(
		    bytes, buffer_count(&client->in), FRAME_MAX_RESPONSE_BYTES, &frame)) {
		case FRAME_NEED_MORE:
			return GOES_ON;
		case FRAME_EMPTY:
			return give_up(client, r, "the daemon sent an empty frame");
		case FRAME_TOO_LONG:
			return give_up(client, r, "the daemon sent a frame of more than 1 MiB");
		case FRAME_COMPLETE:
			break;
		}
		r = request_receive(client, frame.body, frame.body_bytes);
		if (r == RESOLVERD_ERROR_MEMORY)
			return NO_MEMORY;
		if (r != 0)
			return give_up(client, r, "the daemon sent a malformed response");
		buffer_consume(&client->in, frame.whole_bytes);
	}
}

static enum progress receive_some(struct resolverd_client *client)
{
	for (unsigned i = 0; i < RECEIVES_MAX; i++) {
		if (!buffer_reserve(&client->in, RECEIVE_BYTES))
			return NO_MEMORY;
		ssize_t n = recv(client->fd, client->in.bytes + client->in.end,
		    client->in.room - client->in.end, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return NOTHING_NOW;
		if (n <= 0)
			return LOST;
		client->in.end += (size_t)n;
		enum progress progress = handle_frames(client);
		if (progress != GOES_ON)
			return progress;
	}
	return NOTHING_NOW;
}

/* Ends, because each request survives one lost connection only. */
int connection_update(struct resolverd_client *client)
{
	enum progress progress;
	do {
		progress = GOES_ON;
		if (client->fd < 0)
			progress = client->open.first == NULL ? NOTHING_NOW : connect_now(client);
		if (progress == GOES_ON) {
			send_some(client);
			progress = receive_some(client);
			/* What arrived may have asked for more to be sent. */
			if (progress == NOTHING_NOW)
				send_some(client);
		}
		if (progress == LOST) {
			connection_close(client);
			request_lost_connection(client);
		}
	} while (progress == LOST && client->open.first != NULL);
	if (progress != NO_MEMORY)
		return 0;
	give_up(client, RESOLVERD_ERROR_MEMORY, resolverd_strerror(RESOLVERD_ERROR_MEMORY));
	return client_fail(
	    client, RESOLVERD_ERROR_MEMORY, "%s", resolverd_strerror(RESOLVERD_ERROR_MEMORY));
}
