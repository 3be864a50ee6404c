/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/supervisor/supervisor.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"
#include "resolverd/base/role.h"
#include "resolverd/supervisor/listen.h"
#include "resolverd/supervisor/longterm.h"

#define CHILDREN_MAX 65u /* the server and 64 workers */
#define SERVER 0u        /* its place; worker n stands at n + 1 */
#define QUICK_DEATH_MS 1000
#define FIRST_START_MS                                                                             \
	10000 /* a bad configuration shows by then; later it is a passing trouble                  \
	       */
#define STOP_PATIENCE_S 5

struct supervisor;

struct child {
	struct supervisor *supervisor;
	unsigned place;
	pid_t pid; /* 0: not running */
	int64_t started_at_ms;
	struct event restart;
};

struct supervisor {
	const struct supervisor_start *start;
	struct event_base *base;
	struct longterm_key key;
	int state_fd, config_fd, listen_fd, channel; /* channel: to the server; -1: none */
	unsigned child_count;
	struct child children[CHILDREN_MAX];
	struct event on_child, on_term, on_int, from_server, patience;
	bool stopping;
	int64_t started_at_ms;
	int exit_code;
};

/* ---- starting a role ---- */

struct fd_map {
	int from, to;
};

/* In the child: these descriptors and the standard ones, nothing else. */
static void arrange_fds(struct fd_map *map, size_t count)
{
	for (size_t i = 0; i < count; i++)
		map[i].from = fcntl(map[i].from, F_DUPFD, 64);
	for (size_t i = 0; i < count; i++)
		if (map[i].from < 0 || dup2(map[i].from, map[i].to) < 0)
			_exit(EX_OSERR);
	close_range((unsigned)map[count - 1].to + 1, ~0u, 0);
}

static pid_t spawn(
    struct supervisor *supervisor, const char *role, struct fd_map *map, size_t count)
{
	const char *const *set = supervisor->start->set;
	size_t set_count = 0;
	while (set != NULL && set[set_count] != NULL)
		set_count++;
	const char **arguments = calloc(2 * set_count + 6, sizeof *arguments);
	pid_t parent = getpid(), pid = arguments != NULL ? fork() : -1;
	if (pid != 0) {
		free(arguments);
		return pid;
	}
	role_die_with_parent(parent);
	size_t n = 0;
	arguments[n++] = "resolverd";
	arguments[n++] = "--role";
	arguments[n++] = role;
	arguments[n++] = "--config";
	arguments[n++] =
	    supervisor->start->config_file != NULL ? supervisor->start->config_file : "";
	for (size_t i = 0; i < set_count; i++) {
		arguments[n++] = "--set";
		arguments[n++] = set[i];
	}
	arrange_fds(map, count);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv("/proc/self/exe", (char *const *)(uintptr_t)arguments);
	_exit(EX_OSERR);
}

static void restart_later(struct child *child)
{
	bool quick = clock_mono_ms() - child->started_at_ms < QUICK_DEATH_MS;
	struct timeval after = {.tv_sec = quick ? 1 : 0};
	evtimer_add(&child->restart, &after);
}

static void start_worker(struct supervisor *supervisor, struct child *child)
{
	int pair[2];
	char role[32];
	child->started_at_ms = clock_mono_ms();
	if (supervisor->channel < 0)
		return; /* the server's start starts the workers */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		log_fatal("cannot make a socket pair: %s", strerror(errno));
		restart_later(child);
		return;
	}
	struct fd_map map[] = {{pair[1], ROLE_FD_CHANNEL}, {supervisor->config_fd, ROLE_FD_CONFIG}};
	snprintf(role, sizeof role, "worker:%u", child->place - 1);
	child->pid = spawn(supervisor, role, map, 2);
	close(pair[1]);
	struct link_message message = {
	    .type = LINK_WORKER, .index = child->place - 1, .pid = child->pid};
	if (child->pid < 0 || link_send(supervisor->channel, &message, pair[0]) != 0) {
		log_fatal("cannot start worker %u: %s", child->place - 1, strerror(errno));
		if (child->pid > 0)
			kill(child->pid, SIGKILL); /* its end starts the next try */
		else
			restart_later(child);
		child->pid = child->pid > 0 ? child->pid : 0;
	}
	close(pair[0]);
}

static void on_from_server(evutil_socket_t fd, short what, void *arg);

static void start_server(struct supervisor *supervisor)
{
	struct child *child = &supervisor->children[SERVER];
	int pair[2];
	child->started_at_ms = clock_mono_ms();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		log_fatal("cannot make a socket pair: %s", strerror(errno));
		restart_later(child);
		return;
	}
	struct fd_map map[] = {{pair[1], ROLE_FD_CHANNEL}, {supervisor->config_fd, ROLE_FD_CONFIG},
	    {supervisor->listen_fd, ROLE_FD_LISTEN}};
	child->pid = spawn(supervisor, "server", map, 3);
	close(pair[1]);
	if (child->pid < 0) {
		log_fatal("cannot start the server: %s", strerror(errno));
		child->pid = 0;
		close(pair[0]);
		restart_later(child);
		return;
	}
	supervisor->channel = pair[0];
	event_assign(&supervisor->from_server, supervisor->base, pair[0], EV_READ | EV_PERSIST,
	    on_from_server, supervisor);
	event_add(&supervisor->from_server, NULL);
	for (unsigned i = SERVER + 1; i < supervisor->child_count; i++)
		if (supervisor->children[i].pid == 0)
			start_worker(supervisor, &supervisor->children[i]);
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
	struct link_message answer = {.type = LINK_DELEGATION};
	if (request->bytes_count != crypto_sign_PUBLICKEYBYTES)
		return;
	answer.bytes_count =
	    (uint32_t)longterm_delegate(&supervisor->key, supervisor->start->config->signing.member,
		request->bytes, clock_wall_ms(), answer.bytes, sizeof answer.bytes);
	if (answer.bytes_count == 0 || link_send(supervisor->channel, &answer, -1) != 0)
		log_fatal("cannot delegate to the server's online key");
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
		if (message.type == LINK_DELEGATE)
			delegate(supervisor, &message);
		if (message.type == LINK_WORKER_STUCK &&
		    message.index + 1 < supervisor->child_count &&
		    supervisor->children[message.index + 1].pid == message.pid && message.pid > 0)
			kill(message.pid, SIGKILL);
	}
	if (r != -EAGAIN)
		event_del(&supervisor->from_server); /* SIGCHLD does the rest */
}

/* ---- ends ---- */

static void signal_all(struct supervisor *supervisor, int number)
{
	for (unsigned i = 0; i < supervisor->child_count; i++)
		if (supervisor->children[i].pid > 0)
			kill(supervisor->children[i].pid, number);
}

static void end_if_idle(struct supervisor *supervisor)
{
	unsigned running = 0;
	for (unsigned i = 0; i < supervisor->child_count; i++)
		running += supervisor->children[i].pid > 0;
	if (supervisor->stopping && running == 0)
		event_base_loopbreak(supervisor->base);
}

static void stop(struct supervisor *supervisor, int exit_code)
{
	if (supervisor->stopping)
		return;
	supervisor->stopping = true;
	supervisor->exit_code = exit_code;
	signal_all(supervisor, SIGTERM);
	struct timeval after = {.tv_sec = STOP_PATIENCE_S};
	evtimer_add(&supervisor->patience, &after);
	end_if_idle(supervisor);
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *supervisor = arg;
	(void)fd, (void)what;
	log_error("a role did not stop within %d s: killed", STOP_PATIENCE_S);
	signal_all(supervisor, SIGKILL);
}

static void child_ended(struct supervisor *supervisor, struct child *child, int status)
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
	bool starting = clock_mono_ms() - supervisor->started_at_ms < FIRST_START_MS;
	if (starting && WIFEXITED(status) && WEXITSTATUS(status) == EX_CONFIG) {
		stop(supervisor, EX_CONFIG); /* it said why; trying again would not help */
		return;
	}
	if (WIFSIGNALED(status))
		log_error("%s was ended by signal %d; started again", name, WTERMSIG(status));
	else if (child->place == SERVER || WEXITSTATUS(status) != 0)
		log_error("%s ended with status %d; started again", name, WEXITSTATUS(status));
	restart_later(child);
}

static void on_sigchld(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *supervisor = arg;
	int status;
	pid_t pid;
	(void)fd, (void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned i = 0; i < supervisor->child_count; i++)
			if (supervisor->children[i].pid == pid)
				child_ended(supervisor, &supervisor->children[i], status);
	end_if_idle(supervisor);
}

static void on_stop_signal(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	stop(arg, EX_OK);
}

/* ---- start ---- */

static int open_state(struct supervisor *supervisor, char *error, size_t error_bytes)
{
	const char *path = supervisor->start->config->server.state_directory;
	(void)mkdir(path, 0700);
	supervisor->state_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (supervisor->state_fd < 0) {
		snprintf(error, error_bytes,
		    "cannot open the state directory %s: %s; make it, owned by the "
		    "user resolverd runs as, or set server.state-directory",
		    path, strerror(errno));
		return -errno;
	}
	if (flock(supervisor->state_fd, LOCK_EX | LOCK_NB) != 0) {
		snprintf(error, error_bytes, "another resolverd uses the state directory %s", path);
		return -EBUSY;
	}
	return 0;
}

static int open_config(struct supervisor *supervisor)
{
	const char *text = supervisor->start->config_text;
	size_t length = strlen(text);
	supervisor->config_fd = memfd_create("resolverd.conf", MFD_CLOEXEC);
	if (supervisor->config_fd < 0 ||
	    write(supervisor->config_fd, text, length) != (ssize_t)length)
		return -errno;
	return 0;
}

static int open_all(struct supervisor *supervisor, char *error, size_t error_bytes)
{
	const struct config *config = supervisor->start->config;
	int r = open_state(supervisor, error, error_bytes);
	if (r == 0)
		r = listen_unix(config->server.socket, config->server.socket_mode,
		    config->server.socket_group, error, error_bytes, &supervisor->listen_fd);
	if (r == 0) {
		r = longterm_open(&supervisor->key, config, error, error_bytes);
		if (r == 0 && open_config(supervisor) != 0) {
			snprintf(error, error_bytes, "out of memory");
			r = -ENOMEM;
		}
		if (r != 0)
			(void)unlink(config->server.socket);
	}
	return r;
}

static void watch(struct supervisor *supervisor)
{
	struct event_base *base = supervisor->base;
	event_assign(
	    &supervisor->on_child, base, SIGCHLD, EV_SIGNAL | EV_PERSIST, on_sigchld, supervisor);
	event_assign(&supervisor->on_term, base, SIGTERM, EV_SIGNAL | EV_PERSIST, on_stop_signal,
	    supervisor);
	event_assign(
	    &supervisor->on_int, base, SIGINT, EV_SIGNAL | EV_PERSIST, on_stop_signal, supervisor);
	evtimer_assign(&supervisor->patience, base, on_patience, supervisor);
	event_add(&supervisor->on_child, NULL);
	event_add(&supervisor->on_term, NULL);
	event_add(&supervisor->on_int, NULL);
	supervisor->child_count = supervisor->start->config->resolver.workers + 1;
	for (unsigned i = 0; i < supervisor->child_count; i++) {
		struct child *child = &supervisor->children[i];
		child->supervisor = supervisor;
		child->place = i;
		evtimer_assign(&child->restart, base, on_restart, child);
	}
}

int supervisor_main(const struct supervisor_start *start)
{
	struct supervisor supervisor = {.start = start,
	    .state_fd = -1,
	    .config_fd = -1,
	    .listen_fd = -1,
	    .channel = -1,
	    .started_at_ms = clock_mono_ms(),
	    .exit_code = EX_OK};
	char error[700];
	log_open("supervisor");
	if (open_all(&supervisor, error, sizeof error) != 0) {
		log_fatal("%s", error);
		return EX_OSERR;
	}
	supervisor.base = event_base_new();
	if (supervisor.base == NULL) {
		log_fatal("out of memory");
		return EX_OSERR;
	}
	watch(&supervisor);
	log_info("listening on %s", start->config->server.socket);
	start_server(&supervisor);
	event_base_dispatch(supervisor.base);
	(void)unlink(start->config->server.socket);
	longterm_fini(&supervisor.key);
	event_base_free(supervisor.base);
	close(supervisor.listen_fd);
	close(supervisor.config_fd);
	close(supervisor.state_fd);
	return supervisor.exit_code;
}
