/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"
#include "resolverd/base/sandbox.h"
#include "resolverd/supervisor/listen.h"
#include "resolverd/supervisor/state.h"

#define STOP_PATIENCE_S 5
#define CONTROL_MODE 0600

pid_t start_role(
    struct supervisor *supervisor, const char *role, const struct spawn_fd *fds, size_t fd_count)
{
	return spawn_role(&(struct spawn){.role = role,
	    .config_file = supervisor->start->config_file,
	    .set = (const char *const *)supervisor->role_set,
	    .fds = fds,
	    .fd_count = fd_count});
}

/* ---- ends ---- */

static void signal_all(struct supervisor *supervisor, int number)
{
	for (unsigned i = 0; i < supervisor->child_count; i++)
		if (supervisor->children[i].pid > 0)
			kill(supervisor->children[i].pid, number);
	if (supervisor->anchor.pid > 0)
		kill(supervisor->anchor.pid, number);
	if (supervisor->fleet_helper.pid > 0)
		kill(supervisor->fleet_helper.pid, number);
}

static void end_if_idle(struct supervisor *supervisor)
{
	unsigned running = 0;
	for (unsigned i = 0; i < supervisor->child_count; i++)
		running += supervisor->children[i].pid > 0;
	running += supervisor->anchor.pid > 0;
	running += supervisor->fleet_helper.pid > 0;
	if (supervisor->stopping && running == 0)
		event_base_loopbreak(supervisor->base);
}

void stop(struct supervisor *supervisor, int exit_code)
{
	if (supervisor->stopping)
		return;
	supervisor->stopping = true;
	manager_tell(&supervisor->manager, "STOPPING=1");
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
	log_error("role-killed", "a role did not stop within %d s: killed", STOP_PATIENCE_S);
	signal_all(supervisor, SIGKILL);
}

static void on_sigchld(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *supervisor = arg;
	int status;
	pid_t pid;
	(void)fd, (void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == supervisor->anchor.pid)
			anchor_ended(supervisor, status);
		if (pid == supervisor->fleet_helper.pid)
			fleet_helper_ended(supervisor, status);
		for (unsigned i = 0; i < supervisor->child_count; i++)
			if (supervisor->children[i].pid == pid)
				child_ended(supervisor, &supervisor->children[i], status);
	}
	end_if_idle(supervisor);
}

static void on_hangup(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	reload(arg);
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
	(void)mkdirat(supervisor->state_fd, "cache", 0700);
	supervisor->snapshot_fd =
	    openat(supervisor->state_fd, "cache", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (supervisor->snapshot_fd < 0)
		log_warning("snapshot-unavailable",
		    "cannot open %s/cache: %s; the cache does not outlast a restart", path,
		    strerror(errno));
	return 0;
}

/* What a unit made is as the unit says; what we made and the manager kept, as the configuration
 * does now. Leaves -1 in *ret_fd where there is none, or its file is gone. */
static int take_socket(struct supervisor *supervisor, const char *path, mode_t mode,
    const char *group, char *error, size_t error_bytes, int *ret_fd)
{
	bool kept = false;
	*ret_fd = manager_take_socket(&supervisor->manager, path, &kept);
	int r = *ret_fd >= 0 && kept ? listen_set_access(path, mode, group, error, error_bytes) : 0;
	if (r != -ENOENT)
		return r;
	close(*ret_fd);
	*ret_fd = -1;
	return 0;
}

/* What is not handed over is made, both or none of the files. */
static int open_sockets(struct supervisor *supervisor, char *error, size_t error_bytes)
{
	const struct config *config = supervisor->start->config;
	int r = take_socket(supervisor, config->server.socket, config->server.socket_mode,
	    config->server.socket_group, error, error_bytes, &supervisor->listen_fd);
	if (r == 0)
		r = take_socket(supervisor, config->server.control_socket, CONTROL_MODE, NULL,
		    error, error_bytes, &supervisor->control_fd);
	bool is_handed = supervisor->listen_fd >= 0,
	     control_is_handed = supervisor->control_fd >= 0;
	manager_close_rest(&supervisor->manager);
	if (r == 0 && !is_handed)
		r = listen_unix(config->server.socket, config->server.socket_mode,
		    config->server.socket_group, error, error_bytes, &supervisor->listen_fd);
	if (r == 0 && !control_is_handed)
		r = listen_unix(config->server.control_socket, CONTROL_MODE, NULL, error,
		    error_bytes, &supervisor->control_fd);
	if (r != 0 && !is_handed && supervisor->listen_fd >= 0)
		(void)unlink(config->server.socket);
	supervisor->sockets_stay =
	    is_handed ||
	    (r == 0 && manager_keep(&supervisor->manager, MANAGER_CLIENTS, supervisor->listen_fd));
	if (r == 0 && !control_is_handed)
		(void)manager_keep(&supervisor->manager, MANAGER_CONTROL, supervisor->control_fd);
	return r;
}

static void remove_sockets(const struct supervisor *supervisor)
{
	if (supervisor->sockets_stay)
		return;
	(void)unlink(supervisor->start->config->server.socket);
	(void)unlink(supervisor->start->config->server.control_socket);
}

static int open_all(struct supervisor *supervisor, char *error, size_t error_bytes)
{
	const struct config *config = supervisor->start->config;
	int r = open_state(supervisor, error, error_bytes);
	if (r == 0)
		r = open_sockets(supervisor, error, error_bytes);
	if (r != 0)
		return r;
	r = longterm_open(&supervisor->longterm, config, config->server.state_directory, true,
	    error, error_bytes);
	if (r == 0)
		r = longterm_publish(
		    &supervisor->longterm, config->signing.public_key_file, error, error_bytes);
	supervisor->config_fd = hold_config(supervisor->start->config_text);
	if (r == 0 && supervisor->config_fd < 0) {
		snprintf(error, error_bytes, "cannot hold the configuration in memory: %s",
		    strerror(-supervisor->config_fd));
		r = supervisor->config_fd;
	}
	if (r != 0)
		remove_sockets(supervisor);
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
	event_assign(
	    &supervisor->on_hup, base, SIGHUP, EV_SIGNAL | EV_PERSIST, on_hangup, supervisor);
	evtimer_assign(&supervisor->patience, base, on_patience, supervisor);
	event_add(&supervisor->on_child, NULL);
	event_add(&supervisor->on_term, NULL);
	event_add(&supervisor->on_int, NULL);
	event_add(&supervisor->on_hup, NULL);
	heartbeat_init(supervisor);
	children_init(supervisor);
	anchor_init(supervisor);
	fleet_helper_init(supervisor);
	reload_init(supervisor);
}

/* It starts this program only, and writes beside its sockets, its keys and in its state. */
static int confine(const struct config *config)
{
	const char *const files[] = {config->server.socket, config->server.control_socket,
	    config->signing.public_key_file, config->signing.key_file,
	    config->signing.second_key_file};
	enum { COUNT = sizeof files / sizeof *files };
	char folders[COUNT][PATH_MAX];
	struct sandbox_path paths[COUNT + 1] = {{config->server.state_directory, true}};
	size_t count = 1;
	for (size_t i = 0; i < COUNT; i++) {
		snprintf(folders[i], sizeof folders[i], "%s", files[i]);
		if (files[i][0] != '\0')
			paths[count++] = (struct sandbox_path){dirname(folders[i]), true};
	}
	return sandbox_enter(&(struct sandbox){SANDBOX_SUPERVISOR, paths, count}, config);
}

/* Roles that start after a reload read its text: pinned, what it can't change stays as it is. */
static int pin_fixed(struct supervisor *supervisor)
{
	const struct config *config = supervisor->start->config;
	const char *const *set = supervisor->start->set;
	size_t count = 2, n = 0;
	for (const char *c = config->fixed_text; *c != '\0'; c++)
		count += *c == '\n';
	for (size_t i = 0; set != NULL && set[i] != NULL; i++)
		count++;
	supervisor->role_set = calloc(count, sizeof *supervisor->role_set);
	if (supervisor->role_set == NULL)
		return -ENOMEM;
	for (size_t i = 0; set != NULL && set[i] != NULL; i++)
		supervisor->role_set[n++] = strdup(set[i]);
	for (const char *line = config->fixed_text; *line != '\0';) {
		size_t bytes = strcspn(line, "\n");
		if (bytes > 0 && line[bytes - 1] != '=')
			supervisor->role_set[n++] = strndup(line, bytes);
		line += bytes + 1;
	}
	/* By default the host's name, which may change. */
	if (asprintf(&supervisor->role_set[n], "signing.member=%s", config->signing.member) < 0)
		return -ENOMEM;
	return 0;
}

static void unpin_fixed(struct supervisor *supervisor)
{
	for (char **set = supervisor->role_set; set != NULL && *set != NULL; set++)
		free(*set);
	free(supervisor->role_set);
}

static void run(struct supervisor *supervisor)
{
	log_info("listening", "listening on %s", supervisor->start->config->server.socket);
	/* Neither workers nor a snapshot may count on a key that was taken out meanwhile. */
	supervisor->anchor.comes_first = anchor_is_foreign(supervisor);
	if (supervisor->anchor.comes_first)
		anchor_start(supervisor);
	if (supervisor->anchor.pid == 0)
		start_server(supervisor);
	watch_zones(supervisor);
	if (!supervisor->anchor.comes_first)
		anchor_start(supervisor);
	event_base_dispatch(supervisor->base);
}

int supervisor_main(const struct supervisor_start *start)
{
	struct supervisor supervisor = {.start = start,
	    .state_fd = -1,
	    .config_fd = -1,
	    .listen_fd = -1,
	    .control_fd = -1,
	    .channel = -1,
	    .access = start->access,
	    .started_at_ms = clock_mono_ms(),
	    .exit_code = EX_OK};
	char error[700];
	log_open("supervisor");
	manager_init(&supervisor.manager);
	snprintf(error, sizeof error, "out of memory");
	if (pin_fixed(&supervisor) != 0 || open_all(&supervisor, error, sizeof error) != 0) {
		log_fatal("socket-unavailable", "%s", error);
		unpin_fixed(&supervisor);
		return EX_OSERR;
	}
	supervisor.base = event_base_new();
	if (supervisor.base == NULL) {
		log_fatal("no-memory", "out of memory");
		return EX_OSERR;
	}
	watch(&supervisor);
	if (confine(start->config) == 0)
		run(&supervisor);
	else
		supervisor.exit_code = EX_OSERR;
	remove_sockets(&supervisor);
	unpin_fixed(&supervisor);
	longterm_fini(&supervisor.longterm);
	event_base_free(supervisor.base);
	close(supervisor.listen_fd);
	close(supervisor.control_fd);
	close(supervisor.config_fd);
	close(supervisor.state_fd);
	return supervisor.exit_code;
}
