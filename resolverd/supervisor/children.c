/* SPDX-License-Identifier: BSD-3-Clause */
/* The server and the workers: started, started again when they die, replaced as planned. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"
#include "resolverd/base/role.h"
#include "resolverd/supervisor/state.h"

#define QUICK_DEATH_MS 1000
#define SNAPSHOT_USE "resolverd snapshot v1"
/* A bad configuration shows by then; later it is a passing trouble. */
#define FIRST_START_MS 10000

static void restart_later(struct child *child)
{
	bool quick = !child->retired && clock_mono_ms() - child->started_at_ms < QUICK_DEATH_MS;
	struct timeval after = {.tv_sec = quick ? 1 : 0};
	evtimer_add(&child->restart, &after);
}

static void start_worker(struct supervisor *supervisor, struct child *child)
{
	int pair[2];
	char role[32];
	child->started_at_ms = clock_mono_ms();
	child->retired = false;
	if (supervisor->channel < 0)
		return; /* the server's start starts the workers */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		log_fatal("start-failed", "cannot make a socket pair: %s", strerror(errno));
		restart_later(child);
		return;
	}
	const struct spawn_fd fds[] = {
	    {pair[1], ROLE_FD_CHANNEL}, {supervisor->config_fd, ROLE_FD_CONFIG}};
	snprintf(role, sizeof role, "worker:%u", child->place - 1);
	child->pid = start_role(supervisor, role, fds, 2);
	close(pair[1]);
	struct link_message message = {
	    .type = LINK_WORKER, .index = child->place - 1, .pid = child->pid};
	if (child->pid < 0 || link_send(supervisor->channel, &message, pair[0]) != 0) {
		log_fatal("start-failed", "cannot start worker %u: %s", child->place - 1,
		    strerror(errno));
		if (child->pid > 0)
			kill(child->pid, SIGKILL); /* its end starts the next try */
		else
			restart_later(child);
		child->pid = child->pid > 0 ? child->pid : 0;
	}
	close(pair[0]);
}

static void on_from_server(evutil_socket_t fd, short what, void *arg);

void server_tell(struct supervisor *supervisor, const struct link_message *message, int fd)
{
	int r = supervisor->channel >= 0 ? link_send(supervisor->channel, message, fd) : 0;
	if (r == 0)
		return;
	log_error(
	    "internal-link", "cannot reach the server: %s; it is started again", strerror(-r));
	kill(supervisor->children[SERVER].pid, SIGKILL);
}

/* First of all: before any worker brings something new. */
static void snapshot_tell(struct supervisor *supervisor)
{
	struct link_message message = {.type = LINK_SNAPSHOT};
	if (supervisor->snapshot_fd < 0)
		return;
	message.bytes_count =
	    (uint32_t)longterm_derive(&supervisor->longterm, SNAPSHOT_USE, message.bytes);
	if (link_send(supervisor->channel, &message, supervisor->snapshot_fd) != 0)
		log_error("internal-link",
		    "cannot hand the snapshot to the server: the cache begins empty");
	sodium_memzero(&message, sizeof message);
}

void keys_tell(struct supervisor *supervisor)
{
	struct link_message message = {.type = LINK_KEYS};
	message.bytes_count =
	    (uint32_t)longterm_derive(&supervisor->longterm, SNAPSHOT_USE, message.bytes);
	server_tell(supervisor, &message, -1);
	sodium_memzero(&message, sizeof message);
}

void start_server(struct supervisor *supervisor)
{
	struct child *child = &supervisor->children[SERVER];
	int pair[2];
	child->started_at_ms = clock_mono_ms();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		log_fatal("start-failed", "cannot make a socket pair: %s", strerror(errno));
		restart_later(child);
		return;
	}
	const struct spawn_fd fds[] = {{pair[1], ROLE_FD_CHANNEL},
	    {supervisor->config_fd, ROLE_FD_CONFIG}, {supervisor->listen_fd, ROLE_FD_LISTEN},
	    {supervisor->control_fd, ROLE_FD_CONTROL}};
	child->pid = start_role(supervisor, "server", fds, 4);
	close(pair[1]);
	if (child->pid < 0) {
		log_fatal("start-failed", "cannot start the server: %s", strerror(errno));
		child->pid = 0;
		close(pair[0]);
		restart_later(child);
		return;
	}
	supervisor->channel = pair[0];
	heartbeat_server_started(supervisor);
	event_assign(&supervisor->from_server, supervisor->base, pair[0], EV_READ | EV_PERSIST,
	    on_from_server, supervisor);
	event_add(&supervisor->from_server, NULL);
	fleet_tell(supervisor); /* whom a snapshot's answers may come from, before it */
	snapshot_tell(supervisor);
	anchor_tell(supervisor);
	domains_tell(supervisor);
	access_tell(supervisor);
	for (unsigned i = SERVER + 1; i < supervisor->child_count - 1; i++)
		if (supervisor->children[i].pid == 0)
			start_worker(supervisor, &supervisor->children[i]);
	fleet_helper_start(supervisor);
}

static void on_restart(evutil_socket_t fd, short what, void *arg)
{
	struct child *child = arg;
	(void)fd, (void)what;
	if (child->supervisor->stopping || child->pid != 0)
		return;
	if (child->place == SERVER)
		start_server(child->supervisor);
	else
		start_worker(child->supervisor, child);
}

/* ---- what the server asks for ---- */

static void delegate(struct supervisor *supervisor, const struct link_message *request)
{
	const struct config *config = supervisor->start->config;
	struct link_message answer = {.type = LINK_DELEGATION};
	if (request->bytes_count != crypto_sign_PUBLICKEYBYTES)
		return;
	answer.bytes_count = (uint32_t)longterm_delegate(&supervisor->longterm,
	    config->signing.member, config->signing.delegation_life_ms, request->bytes,
	    clock_wall_ms(), answer.bytes, sizeof answer.bytes);
	if (answer.bytes_count == 0 || link_send(supervisor->channel, &answer, -1) != 0)
		log_fatal("internal-link", "cannot delegate to the server's online key");
}

static void end_worker(struct supervisor *supervisor, const struct link_message *message)
{
	struct child *child = message->index + 1 < supervisor->child_count
				  ? &supervisor->children[message->index + 1]
				  : NULL;
	if (child == NULL || message->pid <= 0 || child->pid != message->pid)
		return;
	child->retired = message->type == LINK_WORKER_RETIRED;
	kill(child->pid, SIGKILL);
}

static void on_from_server(evutil_socket_t link, short what, void *arg)
{
	struct supervisor *supervisor = arg;
	struct link_message message;
	int fd, r;
	(void)what;
	while ((r = link_receive(link, &message, &fd)) == 1) {
		if (fd >= 0)
			close(fd);
		heartbeat_take(supervisor, &message);
		if (message.type == LINK_DELEGATE)
			delegate(supervisor, &message);
		if (message.type == LINK_RELOAD)
			reload_asked(supervisor);
		struct child *tracer = &supervisor->children[supervisor->child_count - 1];
		if (message.type == LINK_TRACER && tracer->pid == 0)
			start_worker(supervisor, tracer);
		else if (message.type == LINK_TRACER)
			tracer->wanted = true;
		if (message.type == LINK_WORKER_STUCK || message.type == LINK_WORKER_RETIRED)
			end_worker(supervisor, &message);
		if (message.type == LINK_STORE_STUCK)
			fleet_helper_stuck(supervisor, message.pid);
	}
	if (r != -EAGAIN)
		event_del(&supervisor->from_server); /* SIGCHLD does the rest */
}

void renew_workers(struct supervisor *supervisor, bool at_once)
{
	struct link_message message = {.type = LINK_RENEW, .index = at_once};
	server_tell(supervisor, &message, -1);
}

/* ---- ends ---- */

void child_ended(struct supervisor *supervisor, struct child *child, int status)
{
	const char *name = child->place == SERVER ? "the server" : "a worker";
	child->pid = 0;
	if (child->place == SERVER && supervisor->channel >= 0) {
		event_del(&supervisor->from_server);
		close(supervisor->channel);
		supervisor->channel = -1;
	}
	if (supervisor->stopping)
		return;
	/* The new server knows nothing of its predecessor's workers, stuck ones among them. */
	for (unsigned i = SERVER + 1; child->place == SERVER && i < supervisor->child_count; i++)
		if (supervisor->children[i].pid > 0)
			kill(supervisor->children[i].pid, SIGKILL);
	if (child->place == SERVER && supervisor->fleet_helper.pid > 0)
		kill(supervisor->fleet_helper.pid, SIGKILL);
	if (child->place == supervisor->child_count - 1) {
		if (child->wanted)
			start_worker(supervisor, child);
		child->wanted = false;
		return; /* the tracer: when it is wanted again */
	}
	bool starting = clock_mono_ms() - supervisor->started_at_ms < FIRST_START_MS;
	if (starting && WIFEXITED(status) && WEXITSTATUS(status) == EX_CONFIG) {
		stop(supervisor, EX_CONFIG); /* it said why; trying again would not help */
		return;
	}
	if (child->retired)
		log_info("role-replaced", "%s ended as planned; started again", name);
	else if (WIFSIGNALED(status))
		log_error("role-died", "%s was ended by signal %d; started again", name,
		    WTERMSIG(status));
	else if (child->place == SERVER || WEXITSTATUS(status) != 0)
		log_error("role-died", "%s ended with status %d; started again", name,
		    WEXITSTATUS(status));
	restart_later(child);
}

void children_init(struct supervisor *supervisor)
{
	supervisor->child_count = supervisor->start->config->resolver.workers + 2;
	for (unsigned i = 0; i < supervisor->child_count; i++) {
		struct child *child = &supervisor->children[i];
		child->supervisor = supervisor;
		child->place = i;
		evtimer_assign(&child->restart, supervisor->base, on_restart, child);
	}
}
