/* SPDX-License-Identifier: BSD-3-Clause */
/* The fleet helper: started where fleet.redis is set, started again when it ends. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "resolverd/base/log.h"
#include "resolverd/base/store.h"
#include "resolverd/supervisor/state.h"

#define PAUSE_S 1

void fleet_helper_start(struct supervisor *supervisor)
{
	struct fleet_helper *helper = &supervisor->fleet_helper;
	int pair[2];
	if (supervisor->start->config->fleet.redis[0] == '\0' || supervisor->stopping ||
	    helper->pid != 0 || supervisor->channel < 0)
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		log_error("start-failed", "cannot make a socket pair: %s", strerror(errno));
		evtimer_add(&helper->again, &(struct timeval){.tv_sec = PAUSE_S});
		return;
	}
	const struct spawn_fd fds[] = {
	    {pair[1], ROLE_FD_CHANNEL}, {supervisor->config_fd, ROLE_FD_CONFIG}};
	helper->pid = start_role(supervisor, FLEET_ROLE, fds, 2);
	close(pair[1]);
	struct link_message message = {.type = LINK_STORE, .pid = helper->pid};
	if (helper->pid < 0 || link_send(supervisor->channel, &message, pair[0]) != 0) {
		log_error("start-failed", "cannot start the fleet helper: %s", strerror(errno));
		if (helper->pid > 0)
			kill(helper->pid, SIGKILL); /* its end starts the next try */
		else
			evtimer_add(&helper->again, &(struct timeval){.tv_sec = PAUSE_S});
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
	supervisor->fleet_helper.pid = 0;
	if (supervisor->stopping)
		return;
	if (WIFSIGNALED(status))
		log_error("role-died", "the fleet helper was ended by signal %d; started again",
		    WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		log_error("role-died", "the fleet helper ended with status %d; started again",
		    WEXITSTATUS(status));
	evtimer_add(&supervisor->fleet_helper.again, &(struct timeval){.tv_sec = PAUSE_S});
}

void fleet_helper_init(struct supervisor *supervisor)
{
	evtimer_assign(&supervisor->fleet_helper.again, supervisor->base, on_again, supervisor);
}
