/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/acceptor.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"
#include "resolverd/base/role.h"
#include "resolverd/server/server.h"
#include "resolverd/server/session.h"

#define AT_ONCE 64u                   /* then the loop's other work has its turn */
#define OWN_FILES (POOL_PLACES + 35u) /* a worker in each place; files, sockets, the loop's own */
#define SAY_EVERY_MS 60000

static bool has_room(const struct server *server)
{
	return server->session_count < server->config->server.max_clients;
}

static bool may_say(struct acceptor *acceptor)
{
	int64_t now_ms = clock_mono_ms();
	if (acceptor->said_at_ms != 0 && now_ms - acceptor->said_at_ms < SAY_EVERY_MS)
		return false;
	acceptor->said_at_ms = now_ms;
	return true;
}

static void pause_clients(struct acceptor *acceptor)
{
	event_del(&acceptor->clients);
	acceptor->lets_clients_in = false;
}

/* Of descriptors or memory: until a session ends, or the next second. */
static void pause_for_lack(struct acceptor *acceptor, int error)
{
	if (may_say(acceptor))
		log_warning("accepting-pauses", "cannot accept a client: %s; accepting pauses",
		    strerror(error));
	pause_clients(acceptor);
	event_del(&acceptor->control);
	acceptor->lets_control_in = false;
}

/* Returns 0, or -errno when there is none to let in. */
static int let_one_in(struct acceptor *acceptor, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED ? 0 : -errno;
	session_open(acceptor->server, fd, listener == ROLE_FD_CONTROL);
	return 0;
}

static void on_waiting(evutil_socket_t listener, short what, void *arg)
{
	struct acceptor *acceptor = arg;
	const struct server *server = acceptor->server;
	bool is_control = listener == ROLE_FD_CONTROL;
	int r = 0;
	(void)what;
	for (unsigned i = 0; r == 0 && i < AT_ONCE && (is_control || has_room(server)); i++)
		r = let_one_in(acceptor, listener);
	if (r != 0 && r != -EAGAIN) {
		pause_for_lack(acceptor, -r);
	} else if (!is_control && !has_room(server)) {
		if (may_say(acceptor))
			log_warning("clients-at-limit",
			    "%u clients are connected, the limit server.max-clients: new "
			    "ones wait",
			    server->session_count);
		pause_clients(acceptor);
	}
}

int acceptor_init(struct acceptor *acceptor, struct server *server, struct event_base *base)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return -errno;
	*acceptor = (struct acceptor){.server = server, .room = UINT32_MAX};
	if (files.rlim_cur < 2 * OWN_FILES)
		acceptor->room = (uint32_t)files.rlim_cur / 2;
	else if (files.rlim_cur < UINT32_MAX)
		acceptor->room = (uint32_t)files.rlim_cur - OWN_FILES;
	evutil_make_socket_nonblocking(ROLE_FD_LISTEN);
	evutil_make_socket_nonblocking(ROLE_FD_CONTROL);
	event_assign(
	    &acceptor->clients, base, ROLE_FD_LISTEN, EV_READ | EV_PERSIST, on_waiting, acceptor);
	event_assign(
	    &acceptor->control, base, ROLE_FD_CONTROL, EV_READ | EV_PERSIST, on_waiting, acceptor);
	acceptor_let_in(acceptor, false);
	return acceptor->lets_control_in ? 0 : -ENOMEM;
}

void acceptor_fini(struct acceptor *acceptor)
{
	event_del(&acceptor->clients);
	event_del(&acceptor->control);
}

void acceptor_fit(const struct acceptor *acceptor, struct config *config)
{
	uint32_t room = acceptor->room, for_one_user = room - room / 10;
	if (config->server.max_clients <= room)
		return;
	log_warning("files-limit",
	    "server.max-clients is %u, but the limit of open files has room for %u only: "
	    "raise it (LimitNOFILE= of the unit)",
	    config->server.max_clients, room);
	config->server.max_clients = room;
	if (config->server.max_clients_per_user > for_one_user)
		config->server.max_clients_per_user = for_one_user;
}

void acceptor_let_in(struct acceptor *acceptor, bool clients)
{
	if (!acceptor->lets_control_in)
		acceptor->lets_control_in = event_add(&acceptor->control, NULL) == 0;
	if (clients && !acceptor->lets_clients_in && has_room(acceptor->server))
		acceptor->lets_clients_in = event_add(&acceptor->clients, NULL) == 0;
}
