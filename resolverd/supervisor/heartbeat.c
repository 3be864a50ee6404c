/* SPDX-License-Identifier: BSD-3-Clause */
/* Is the server's loop alive? And what the service manager is told of it. */
#include <signal.h>
#include <string.h>

#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"
#include "resolverd/supervisor/state.h"

#define BEAT_MS 5000
#define SERVER_STUCK_MS 30000 /* no second of its work takes longer than milliseconds */

static void beat_again(struct supervisor *supervisor)
{
	int64_t ms = BEAT_MS;
	if (supervisor->manager.watchdog_ms > 0 && supervisor->manager.watchdog_ms / 4 < ms)
		ms = supervisor->manager.watchdog_ms / 4;
	struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	evtimer_add(&supervisor->heartbeat.timer, &after);
}

static void ask(struct supervisor *supervisor)
{
	struct link_message message = {.type = LINK_PING};
	supervisor->heartbeat.asked = link_send(supervisor->channel, &message, -1) == 0;
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *supervisor = arg;
	struct heartbeat *heartbeat = &supervisor->heartbeat;
	int64_t silent_ms = clock_mono_ms() - heartbeat->alive_at_ms;
	(void)fd, (void)what;
	beat_again(supervisor);
	if (supervisor->stopping)
		return;
	/* When it can't even be started again, the manager's watchdog is what is left. */
	if (silent_ms < SERVER_STUCK_MS)
		manager_tell(&supervisor->manager, "WATCHDOG=1");
	if (supervisor->channel < 0)
		return;
	if (heartbeat->asked && silent_ms >= SERVER_STUCK_MS) {
		log_error("server-stuck", "the server has not answered for %lld s: killed",
		    (long long)silent_ms / 1000);
		kill(supervisor->children[SERVER].pid, SIGKILL);
	} else if (!heartbeat->asked) {
		ask(supervisor);
	}
}

void heartbeat_server_started(struct supervisor *supervisor)
{
	supervisor->heartbeat.alive_at_ms = clock_mono_ms();
	supervisor->heartbeat.asked = false;
}

void heartbeat_take(struct supervisor *supervisor, const struct link_message *message)
{
	struct heartbeat *heartbeat = &supervisor->heartbeat;
	heartbeat->alive_at_ms = clock_mono_ms();
	heartbeat->asked = false;
	if (message->type != LINK_READY || heartbeat->ready)
		return;
	heartbeat->ready = true;
	manager_tell(&supervisor->manager, "READY=1\nSTATUS=Serving clients");
}

void heartbeat_init(struct supervisor *supervisor)
{
	evtimer_assign(&supervisor->heartbeat.timer, supervisor->base, on_beat, supervisor);
	heartbeat_server_started(supervisor);
	beat_again(supervisor);
}
