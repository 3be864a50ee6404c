/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/peers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"

#define SAY_EVERY_MS 60000
#define USUAL_GROUPS 64u

void peers_init(struct peers *peers, const struct config *config)
{
	*peers = (struct peers){.config = config};
	LIST_INIT(&peers->users);
}

void peers_take_access(struct peers *peers, const struct access_list *access)
{
	peers->access = *access;
	peers->access_known = true;
}

void peers_take_config(struct peers *peers)
{
	struct user *user;
	LIST_FOREACH(user, &peers->users, link)
	user->held.max_bytes = (size_t)peers->config->server.max_buffered_per_user_bytes;
}

/* ---- who it is ---- */

static struct ucred peer_of(int fd)
{
	struct ucred peer = {.uid = (uid_t)-1, .gid = (gid_t)-1};
	socklen_t bytes = sizeof peer;
	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes);
	return peer;
}

/* Besides the one it runs as. */
static bool is_in_another_group(const struct access_list *access, int fd)
{
	gid_t usual[USUAL_GROUPS], *groups = usual;
	socklen_t bytes = sizeof usual;
	int r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes);
	if (r != 0 && errno == ERANGE && (groups = malloc(bytes)) != NULL)
		r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes);
	bool allowed = r == 0 && groups != NULL &&
		       access_allows(access, (uid_t)-1, groups, bytes / sizeof *groups);
	if (groups != usual)
		free(groups);
	return allowed;
}

bool peers_are_welcome(const struct peers *peers, int fd)
{
	struct ucred peer = peer_of(fd);
	return peers->access_known && (access_allows(&peers->access, peer.uid, &peer.gid, 1) ||
					  is_in_another_group(&peers->access, fd));
}

/* ---- in and out ---- */

static const char *reason(int error)
{
	return error == -EPERM    ? "it is the fleet helper, on the control socket"
	       : error == -EACCES ? "neither server.allow-users nor server.allow-groups names it"
	       : error == -EUSERS ? "it has as many as server.max-clients-per-user allows"
				  : "its clients hold more than server.max-buffered-per-user";
}

static int refuse(struct peers *peers, uid_t uid, int error)
{
	int64_t now_ms = clock_mono_ms();
	peers->refused_count++;
	if (peers->said_at_ms != 0 && now_ms - peers->said_at_ms < SAY_EVERY_MS) {
		peers->unsaid++;
		return error;
	}
	log_warning("client-refused",
	    "a client of user %u is refused: %s (%u more refused since this was last said)",
	    (unsigned)uid, reason(error), peers->unsaid);
	peers->said_at_ms = now_ms;
	peers->unsaid = 0;
	return error;
}

static struct user *find(const struct peers *peers, uid_t uid)
{
	struct user *user;
	LIST_FOREACH(user, &peers->users, link)
	if (user->uid == uid)
		break;
	return user;
}

int peers_join(struct peers *peers, int fd, bool is_control, struct user **ret_user)
{
	struct ucred peer = peer_of(fd);
	uid_t uid = peer.uid;
	struct user *user = find(peers, uid);
	if (is_control && peers->helper_pid > 0 && peer.pid == peers->helper_pid)
		return refuse(peers, uid, -EPERM);
	if (!is_control && !peers_are_welcome(peers, fd))
		return refuse(peers, uid, -EACCES);
	if (!is_control && user != NULL &&
	    user->sessions >= peers->config->server.max_clients_per_user)
		return refuse(peers, uid, -EUSERS);
	if (user == NULL) {
		user = calloc(1, sizeof *user);
		if (user == NULL)
			return -ENOMEM;
		user->uid = uid;
		user->held.max_bytes = (size_t)peers->config->server.max_buffered_per_user_bytes;
		LIST_INSERT_HEAD(&peers->users, user, link);
	}
	user->sessions++;
	*ret_user = user;
	return 0;
}

/* Those that were ended for what they held. */
static void note_refused(struct peers *peers, struct user *user)
{
	for (; user->held.refused_count > 0; user->held.refused_count--)
		(void)refuse(peers, user->uid, -ENOBUFS);
}

void peers_tick(struct peers *peers)
{
	struct user *user;
	LIST_FOREACH(user, &peers->users, link)
	note_refused(peers, user);
}

void peers_leave(struct peers *peers, struct user *user)
{
	if (user == NULL || --user->sessions > 0)
		return;
	note_refused(peers, user);
	LIST_REMOVE(user, link);
	free(user);
}
