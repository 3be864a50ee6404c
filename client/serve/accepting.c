/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/serve/accepting.h"
#include "client/serve/serve.h"

#define AT_ONCE 32u
#define PAUSE_MS 500 /* out of descriptors or memory */

struct accepting {
	void (*take)(void *context, int fd);
	void *context;
	struct event *readable, *pause;
};

static void on_connection(evutil_socket_t listening, short what, void *arg)
{
	struct accepting *accepting = arg;
	(void)what;
	for (unsigned i = 0; i < AT_ONCE; i++) {
		union serve_address peer = {0};
		socklen_t bytes = sizeof peer;
		int fd = accept4(listening, &peer.any, &bytes, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0 && (peer.any.sa_family == AF_UNIX || serve_is_loopback(&peer))) {
			accepting->take(accepting->context, fd);
		} else if (fd >= 0) {
			close(fd);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			   errno == ENOMEM) {
			const struct timeval pause = {.tv_usec = PAUSE_MS * 1000};
			event_del(accepting->readable);
			event_add(accepting->pause, &pause);
			return;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		}
	}
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	struct accepting *accepting = arg;
	(void)fd;
	(void)what;
	event_add(accepting->readable, NULL);
}

struct accepting *accepting_new(
    struct event_base *base, int listening, void (*take)(void *context, int fd), void *context)
{
	struct accepting *accepting = calloc(1, sizeof *accepting);
	if (accepting == NULL)
		return NULL;
	accepting->take = take;
	accepting->context = context;
	accepting->readable =
	    event_new(base, listening, EV_READ | EV_PERSIST, on_connection, accepting);
	accepting->pause = evtimer_new(base, on_pause_over, accepting);
	if (accepting->readable != NULL && accepting->pause != NULL &&
	    event_add(accepting->readable, NULL) == 0)
		return accepting;
	accepting_free(accepting);
	return NULL;
}

void accepting_free(struct accepting *accepting)
{
	if (accepting == NULL)
		return;
	if (accepting->readable != NULL)
		event_free(accepting->readable);
	if (accepting->pause != NULL)
		event_free(accepting->pause);
	free(accepting);
}
