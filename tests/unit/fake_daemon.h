/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A daemon in the test's own thread: it listens on a real socket, but works only when stepped, so
 * that every interleaving is the test's choice and nothing sleeps. It answers status requests with
 * `status` and all others with `answer`, after `spoil` had its way with the bytes.
 */
#pragma once
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/lib/buffer.h"
#include "client/lib/client.h"
#include "proto/frame.h"
#include "tests/unit/answers.h"
#include "tests/unit/test.h"

struct fake_daemon {
	char directory[64], socket_path[96], key_file[96];
	int listener, fd;
	struct buffer in, out;
	Resolverd__V1__Response *status, *answer;
	Resolverd__V1__Response *later; /* from the second answer on; NULL: the same */
	bool answers_first; /* holds back status responses until something else was answered */
	bool close_after;   /* closes the connection when an answer is out */
	size_t out_at_once; /* bytes a step, 0: all */
	size_t connections, statuses, answered;
	uint64_t held_status;
	/* May change the frame, its length or the daemon. */
	void (*spoil)(struct fake_daemon *daemon, uint8_t *frame, size_t *count);
	size_t spoil_at; /* for spoil */
};

static inline void fake_write_keys(struct fake_daemon *daemon, const char *text)
{
	FILE *file = fopen(daemon->key_file, "we");
	fputs(text, file);
	fclose(file);
}

static inline void fake_trust(struct fake_daemon *daemon, const struct signer *signer)
{
	char base64[KEY_BASE64_CHARS], text[128];
	sodium_bin2base64(base64, sizeof base64, signer->public_key, sizeof signer->public_key,
	    sodium_base64_VARIANT_ORIGINAL);
	snprintf(text, sizeof text, "# the long-term key\n\n%s\n", base64);
	fake_write_keys(daemon, text);
}

static inline void fake_start(struct fake_daemon *daemon)
{
	*daemon = (struct fake_daemon){.directory = "/tmp/resolverd-test-XXXXXX", .fd = -1};
	if (mkdtemp(daemon->directory) == NULL)
		abort();
	snprintf(daemon->socket_path, sizeof daemon->socket_path, "%s/socket", daemon->directory);
	snprintf(daemon->key_file, sizeof daemon->key_file, "%s/key", daemon->directory);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strcpy(address.sun_path, daemon->socket_path);
	daemon->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(daemon->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
	    listen(daemon->listener, 8) != 0)
		abort();
}

static inline void fake_hang_up(struct fake_daemon *daemon)
{
	if (daemon->fd >= 0)
		close(daemon->fd);
	daemon->fd = -1;
	daemon->held_status = 0;
	buffer_fini(&daemon->in);
	buffer_fini(&daemon->out);
}

static inline void fake_stop(struct fake_daemon *daemon)
{
	fake_hang_up(daemon);
	close(daemon->listener);
	unlink(daemon->socket_path);
	unlink(daemon->key_file);
	rmdir(daemon->directory);
}

static inline void fake_reply(
    struct fake_daemon *daemon, Resolverd__V1__Response *response, uint64_t id, bool may_spoil)
{
	response->id = id;
	size_t body_bytes = resolverd__v1__response__get_packed_size(response);
	size_t count = FRAME_HEADER_BYTES + body_bytes;
	uint8_t *frame = malloc(count + 16);
	frame_put_header(frame, body_bytes);
	resolverd__v1__response__pack(response, frame + FRAME_HEADER_BYTES);
	if (may_spoil && daemon->spoil != NULL)
		daemon->spoil(daemon, frame, &count);
	if (!buffer_append(&daemon->out, frame, count))
		abort();
	free(frame);
}

static inline void fake_handle(struct fake_daemon *daemon, const Resolverd__V1__Request *request)
{
	if (request->body_case == RESOLVERD__V1__REQUEST__BODY_STATUS) {
		daemon->statuses++;
		if (daemon->answers_first && daemon->answered == 0)
			daemon->held_status = request->id;
		else
			fake_reply(daemon, daemon->status, request->id, false);
		return;
	}
	daemon->answered++;
	fake_reply(daemon,
	    daemon->answered > 1 && daemon->later != NULL ? daemon->later : daemon->answer,
	    request->id, true);
	if (daemon->held_status != 0)
		fake_reply(daemon, daemon->status, daemon->held_status, false);
	daemon->held_status = 0;
}

static inline void fake_read(struct fake_daemon *daemon)
{
	struct frame frame;
	if (!buffer_reserve(&daemon->in, 65536))
		abort();
	ssize_t n = recv(daemon->fd, daemon->in.bytes + daemon->in.end, 65536, MSG_DONTWAIT);
	if (n == 0)
		fake_hang_up(daemon);
	if (n <= 0)
		return;
	daemon->in.end += (size_t)n;
	while (frame_parse(daemon->in.bytes + daemon->in.start, buffer_count(&daemon->in),
		   FRAME_MAX_REQUEST_BYTES, &frame) == FRAME_COMPLETE) {
		Resolverd__V1__Request *request =
		    resolverd__v1__request__unpack(NULL, frame.body_bytes, frame.body);
		if (request == NULL)
			abort();
		fake_handle(daemon, request);
		resolverd__v1__request__free_unpacked(request, NULL);
		buffer_consume(&daemon->in, frame.whole_bytes);
	}
}

static inline void fake_step(struct fake_daemon *daemon)
{
	if (daemon->fd < 0) {
		daemon->fd = accept4(daemon->listener, NULL, NULL, SOCK_CLOEXEC);
		if (daemon->fd < 0)
			return;
		daemon->connections++;
	}
	fake_read(daemon);
	size_t count = buffer_count(&daemon->out);
	if (count == 0 || daemon->fd < 0)
		return;
	if (daemon->out_at_once != 0 && count > daemon->out_at_once)
		count = daemon->out_at_once;
	ssize_t n = send(daemon->fd, daemon->out.bytes + daemon->out.start, count, MSG_NOSIGNAL);
	if (n > 0)
		buffer_consume(&daemon->out, (size_t)n);
	if (daemon->close_after && daemon->answered > 0 && buffer_count(&daemon->out) == 0) {
		daemon->answered = 0;
		fake_hang_up(daemon);
	}
}
