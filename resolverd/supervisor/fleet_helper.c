/* SPDX-License-Identifier: BSD-3-Clause */
/* The fleet helper: started where fleet.redis is set, started again when it ends. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"
#include "resolverd/base/store.h"
#include "resolverd/supervisor/state.h"

#define PAUSE_MS 1000
#define PAUSE_LONGEST_MS 30000
#define QUICK_END_MS 10000

/* Twice as long after each that did not live long: something may end them at once, the store too.
 */
static void start_later(struct fleet_helper *helper)
{
	int64_t ms = PAUSE_MS;
	for (unsigned i = 1; i < helper->quick_ends && ms < PAUSE_LONGEST_MS; i++)
		ms *= 2;
	if (ms > PAUSE_LONGEST_MS)
		ms = PAUSE_LONGEST_MS;
	const struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	evtimer_add(&helper->again, &after);
}

void fleet_helper_start(struct supervisor *supervisor)
{
	struct fleet_helper *helper = &supervisor->fleet_helper;
	int pair[2];
	if (supervisor->start->config->fleet.redis[0] == '\0' || supervisor->stopping ||
	    helper->pid != 0 || supervisor->channel < 0)
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		log_error("start-failed", "cannot make a socket pair: %s", strerror(errno));
		start_later(helper);
		return;
	}
	const struct spawn_fd fds[] = {
	    {pair[1], ROLE_FD_CHANNEL}, {supervisor->config_fd, ROLE_FD_CONFIG}};
	helper->started_at_ms = clock_mono_ms();
	helper->pid = start_role(supervisor, FLEET_ROLE, fds, 2);
	close(pair[1]);
	struct link_message message = {.type = LINK_STORE, .pid = helper->pid};
	if (helper->pid < 0 || link_send(supervisor->channel, &message, pair[0]) != 0) {
		log_error("start-failed", "cannot start the fleet helper: %s", strerror(errno));
		if (helper->pid > 0)
			kill(helper->pid, SIGKILL); /* its end starts the next try */
		else
			start_later(helper);
		helper->pid = helper->pid > 0 ? helper->pid : 0;
	}
	close(pair[0]);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	fleet_helper_start(arg);
}

/* The daemon does without it. */
void fleet_helper_ended(struct supervisor *supervisor, int status)
{
	struct fleet_helper *helper = &supervisor->fleet_helper;
	bool quick = clock_mono_ms() - helper->started_at_ms < QUICK_END_MS;
	helper->quick_ends = quick ? helper->quick_ends + 1 : 0;
	helper->pid = 0;
	if (supervisor->stopping)
		return;
	if (WIFSIGNALED(status))
		log_error("role-died", "the fleet helper was ended by signal %d; started again",
		    WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		log_error("role-died", "the fleet helper ended with status %d; started again",
		    WEXITSTATUS(status));
	start_later(helper);
}

void fleet_helper_stuck(struct supervisor *supervisor, pid_t pid)
{
	if (pid > 0 && supervisor->fleet_helper.pid == pid)
		kill(pid, SIGKILL);
}

void fleet_helper_init(struct supervisor *supervisor)
{
	evtimer_assign(&supervisor->fleet_helper.again, supervisor->base, on_again, supervisor);
}
