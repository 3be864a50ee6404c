/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The floor below the floor: one connection, read, write, nothing else. Every request has the
 * length of the first; the responses stand ready in a row and get the ids of the requests (three
 * bytes behind each header and tag), nothing is parsed, copied or waited for by other means. It
 * says what the null server costs by itself.
 *
 *     bench-raw_server SOCKET RESPONSE_FILE        one client after the other; ends with SIGTERM
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/frame.h"

#define BATCH_MAX 256u
#define ID_AT (FRAME_HEADER_BYTES + 1u)
#define ID_BYTES 3u

static uint8_t in[BATCH_MAX * FRAME_MAX_REQUEST_BYTES];
static uint8_t *responses;
static size_t response_bytes; /* header included */

static int load_response(const char *path)
{
	static uint8_t body[FRAME_MAX_RESPONSE_BYTES];
	FILE *file = fopen(path, "rb");
	size_t bytes = file != NULL ? fread(body, 1, sizeof body, file) : 0;
	response_bytes = FRAME_HEADER_BYTES + bytes;
	responses = malloc(BATCH_MAX * response_bytes);
	if (bytes <= ID_BYTES || responses == NULL)
		return -1;
	fclose(file);
	for (size_t i = 0; i < BATCH_MAX; i++) {
		frame_put_header(responses + i * response_bytes, bytes);
		memcpy(responses + i * response_bytes + FRAME_HEADER_BYTES, body, bytes);
	}
	return 0;
}

static void serve(int fd)
{
	size_t used = 0;
	for (ssize_t n; (n = read(fd, in + used, sizeof in - used)) > 0;) {
		used += (size_t)n;
		size_t request_bytes =
		    FRAME_HEADER_BYTES + ((size_t)in[2] << 8 | in[3]); /* of the first */
		size_t count = used / request_bytes;
		if (count > BATCH_MAX)
			return;
		for (size_t i = 0; i < count; i++)
			memcpy(responses + i * response_bytes + ID_AT,
			    in + i * request_bytes + ID_AT, ID_BYTES);
		for (size_t at = 0; at < count * response_bytes;) {
			n = write(fd, responses + at, count * response_bytes - at);
			if (n < 0)
				return;
			at += (size_t)n;
		}
		used -= count * request_bytes;
		memmove(in, in + count * request_bytes, used);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (argc != 3 || strlen(argv[1]) >= sizeof address.sun_path)
		return 64;
	signal(SIGPIPE, SIG_IGN);
	strcpy(address.sun_path, argv[1]);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (load_response(argv[2]) != 0 || listener < 0 ||
	    bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
	    listen(listener, 16) != 0) {
		perror("raw_server");
		return 71;
	}
	for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd))
		serve(fd);
	return 71;
}
