/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The floor: same socket, same framing, same bytes. Answers every request frame with one recorded
 * response body, the request's id in front (both start with field 1). One thread, epoll, one read
 * and one write per wakeup and connection, so nothing that keeps the protocol can be much faster.
 *
 *     bench-null_server SOCKET RESPONSE_FILE        ends with SIGTERM
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/frame.h"

#define IN_BYTES 65536u
#define OUT_BYTES (4u << 20)

struct peer {
	int fd;
	size_t in_used;
	uint8_t in[IN_BYTES];
};

static uint8_t rest[FRAME_MAX_RESPONSE_BYTES]; /* the recorded response behind its id */
static size_t rest_bytes;
static uint8_t out[OUT_BYTES];

static size_t id_bytes_of(const uint8_t *body, size_t bytes)
{
	size_t n = 1;
	if (bytes == 0 || body[0] != 0x08)
		return 0;
	while (n < bytes && (body[n++] & 0x80) != 0)
		;
	return n;
}

static int write_all(int fd, size_t bytes)
{
	for (size_t at = 0; at < bytes;) {
		ssize_t n = write(fd, out + at, bytes - at);
		if (n < 0)
			return -1;
		at += (size_t)n;
	}
	return 0;
}

static int serve(struct peer *peer)
{
	ssize_t n = read(peer->fd, peer->in + peer->in_used, IN_BYTES - peer->in_used);
	if (n <= 0)
		return -1;
	peer->in_used += (size_t)n;
	size_t at = 0, used = 0;
	struct frame frame;
	while (frame_parse(peer->in + at, peer->in_used - at, FRAME_MAX_REQUEST_BYTES, &frame) ==
	       FRAME_COMPLETE) {
		size_t id_bytes = id_bytes_of(frame.body, frame.body_bytes);
		if (used + FRAME_HEADER_BYTES + id_bytes + rest_bytes > OUT_BYTES) {
			if (write_all(peer->fd, used) != 0)
				return -1;
			used = 0;
		}
		frame_put_header(out + used, id_bytes + rest_bytes);
		memcpy(out + used + FRAME_HEADER_BYTES, frame.body, id_bytes);
		memcpy(out + used + FRAME_HEADER_BYTES + id_bytes, rest, rest_bytes);
		used += FRAME_HEADER_BYTES + id_bytes + rest_bytes;
		at += frame.whole_bytes;
	}
	memmove(peer->in, peer->in + at, peer->in_used - at);
	peer->in_used -= at;
	return write_all(peer->fd, used);
}

static void load_response(const char *path)
{
	FILE *file = fopen(path, "rb");
	static uint8_t body[FRAME_MAX_RESPONSE_BYTES];
	size_t bytes = file != NULL ? fread(body, 1, sizeof body, file) : 0;
	if (bytes == 0) {
		fprintf(stderr, "null_server: cannot read %s\n", path);
		exit(1);
	}
	fclose(file);
	size_t id_bytes = id_bytes_of(body, bytes);
	rest_bytes = bytes - id_bytes;
	memcpy(rest, body + id_bytes, rest_bytes);
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (argc != 3 || strlen(argv[1]) >= sizeof address.sun_path)
		return 64;
	load_response(argv[2]);
	signal(SIGPIPE, SIG_IGN);
	strcpy(address.sun_path, argv[1]);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), poll = epoll_create1(0);
	if (listener < 0 || poll < 0 ||
	    bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
	    listen(listener, 1024) != 0) {
		perror("null_server");
		return 71;
	}
	struct epoll_event event = {.events = EPOLLIN}, events[64];
	epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int count = epoll_wait(poll, events, 64, -1);
		for (int i = 0; i < count; i++) {
			struct peer *peer = events[i].data.ptr;
			if (peer == NULL) {
				peer = calloc(1, sizeof *peer);
				if (peer == NULL || (peer->fd = accept(listener, NULL, NULL)) < 0) {
					perror("null_server");
					return 71;
				}
				event = (struct epoll_event){.events = EPOLLIN, .data.ptr = peer};
				epoll_ctl(poll, EPOLL_CTL_ADD, peer->fd, &event);
			} else if (serve(peer) != 0) {
				close(peer->fd);
				free(peer);
			}
		}
	}
}
