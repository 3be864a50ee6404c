/* SPDX-License-Identifier: BSD-3-Clause */
/* A new configuration: as a whole, or not at all. And what changes in it by itself, in time. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"
#include "resolverd/base/role.h"
#include "resolverd/supervisor/state.h"

/* For the roles to read. Returns the descriptor or -errno. */
int hold_config(const char *text)
{
	size_t length = strlen(text);
	int fd = memfd_create("resolverd.conf", MFD_CLOEXEC), r = fd >= 0 ? 0 : -errno;
	if (r == 0 && write(fd, text, length) != (ssize_t)length)
		r = errno != 0 ? -errno : -EIO;
	if (r != 0 && fd >= 0)
		close(fd);
	return r == 0 ? fd : r;
}

#define TRIAL_MAX_MS 5000 /* the service manager's watchdog waits longer */
#define TRIAL_LOOK_MS 2
#define ZONE_LOOK_MS 60000 /* not asleep longer: the clock may be set meanwhile, either way */

static void on_zone_lapses(evutil_socket_t fd, short what, void *arg);

/* Validation comes back at a zone's insecure-until: with new workers. */
void watch_zones(struct supervisor *supervisor)
{
	const struct config *config = supervisor->start->config;
	int64_t now_ms = clock_wall_ms(), sleep_ms = ZONE_LOOK_MS;
	bool any = false;
	for (size_t i = 0; i < config->zone_count; i++) {
		int64_t until_ms = config->zones[i].insecure_until_ms;
		any |= until_ms != 0;
		if (until_ms > now_ms && until_ms - now_ms < sleep_ms)
			sleep_ms = until_ms - now_ms;
	}
	supervisor->zones_seen_at_ms = now_ms;
	evtimer_del(&supervisor->zone_lapses);
	if (!any)
		return;
	struct timeval after = {.tv_sec = sleep_ms / 1000, .tv_usec = sleep_ms % 1000 * 1000};
	evtimer_add(&supervisor->zone_lapses, &after);
}

static void on_zone_lapses(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *supervisor = arg;
	const struct config *config = supervisor->start->config;
	int64_t now_ms = clock_wall_ms();
	bool lapsed = false;
	(void)fd, (void)what;
	for (size_t i = 0; i < config->zone_count; i++)
		lapsed |= config->zones[i].insecure_until_ms > supervisor->zones_seen_at_ms &&
			  config->zones[i].insecure_until_ms <= now_ms;
	if (lapsed) {
		log_notice("zone-validated",
		    "a zone's insecure-until has passed: it is validated from now on");
		renew_workers(supervisor, true);
	}
	watch_zones(supervisor);
}

void domains_tell(struct supervisor *supervisor)
{
	const char *path = supervisor->start->config->prefetch.domains_file;
	struct link_message message = {.type = LINK_DOMAINS};
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : hold_config("");
	if (fd < 0)
		log_error(
		    "domains-unreadable", "prefetch.domains-file %s: %s", path, strerror(errno));
	else
		server_tell(supervisor, &message, fd);
	if (fd >= 0)
		close(fd);
}

/* What a file of the fleet section holds is the server's to read. "": there is none. */
static void file_tell(
    struct supervisor *supervisor, const char *key, const char *path, enum link_type type)
{
	struct link_message message = {.type = type};
	int fd = path[0] != '\0' ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	if (fd < 0 && path[0] != '\0')
		log_error("fleet-keys", "fleet.%s %s: %s; until it can be read %s", key, path,
		    strerror(errno),
		    type == LINK_RING ? "nobody of the fleet is trusted"
				      : "others may not take what is found here");
	server_tell(supervisor, &message, fd);
	if (fd >= 0)
		close(fd);
}

void fleet_tell(struct supervisor *supervisor)
{
	const struct config *config = supervisor->start->config;
	file_tell(supervisor, "trusted-keys", config->fleet.trusted_keys, LINK_RING);
	file_tell(supervisor, "membership-file", config->fleet.membership_file, LINK_MEMBERSHIP);
}

void access_tell(struct supervisor *supervisor)
{
	struct link_message message = {
	    .type = LINK_ACCESS, .bytes_count = sizeof supervisor->access};
	_Static_assert(sizeof supervisor->access <= sizeof message.bytes, "it has to fit");
	memcpy(message.bytes, &supervisor->access, sizeof supervisor->access);
	server_tell(supervisor, &message, -1);
}

/* All or nothing: what is wrong changes nothing. */
static int parse_again(struct supervisor *supervisor, struct config *next,
    struct access_list *ret_access, int *ret_config_fd, char *error, size_t error_bytes)
{
	const struct supervisor_start *start = supervisor->start;
	char *text =
	    config_read_file(start->config_file, start->config_optional, error, error_bytes);
	struct config_source source = {.file = start->config_file, .text = text, .set = start->set};
	if (text == NULL)
		return -EINVAL;
	int r = config_parse(&source, error, error_bytes, next);
	if (r == 0) {
		r = access_resolve(next, ret_access, error, error_bytes);
		if (r != 0)
			config_fini(next);
	}
	int fd = r == 0 ? hold_config(text) : r;
	free(text);
	if (r == 0 && fd < 0) {
		snprintf(error, error_bytes, "cannot hold the configuration in memory: %s",
		    strerror(-fd));
		config_fini(next);
	}
	if (fd < 0)
		return fd;
	*ret_config_fd = fd;
	return 0;
}

/* A worker is made of it on trial, since libunbound alone knows what it takes. It says itself what
 * is wrong; this waits for it, some milliseconds. */
static bool works(struct supervisor *supervisor, int config_fd)
{
	const struct spawn_fd fds[] = {{config_fd, ROLE_FD_CONFIG}};
	int status = -1;
	pid_t pid = start_role(supervisor, "check", fds, 1), ended = 0;
	int64_t until_ms = clock_mono_ms() + TRIAL_MAX_MS;
	while (
	    pid > 0 && (ended = waitpid(pid, &status, WNOHANG)) == 0 && clock_mono_ms() < until_ms)
		(void)poll(NULL, 0, TRIAL_LOOK_MS);
	if (pid > 0 && ended == 0) {
		log_error("reload-trial-stuck", "reload: the trial did not end within %d s: killed",
		    TRIAL_MAX_MS / 1000);
		kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		return false;
	}
	return pid > 0 && ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* As the files are now. What changes is published; nothing can fail after this. */
static int read_keys(struct supervisor *supervisor, const struct config *next,
    struct longterm *ret_longterm, char *error, size_t error_bytes)
{
	const struct config *current =
	    supervisor->start->config; /* what a reload does not change */
	int r = longterm_open(
	    ret_longterm, next, current->server.state_directory, false, error, error_bytes);
	if (r != 0 || longterm_equal(ret_longterm, &supervisor->longterm))
		return r;
	r = longterm_publish(ret_longterm, current->signing.public_key_file, error, error_bytes);
	if (r != 0)
		longterm_fini(ret_longterm);
	return r;
}

static void take_keys(struct supervisor *supervisor, struct longterm *next)
{
	char ids[LONGTERM_KEYS_MAX][2 * KEY_ID_BYTES + 1] = {0};
	bool changed = !longterm_equal(next, &supervisor->longterm);
	longterm_fini(&supervisor->longterm);
	supervisor->longterm = *next;
	if (!changed)
		return;
	for (size_t i = 0; i < next->count; i++) {
		uint8_t id[KEY_ID_BYTES];
		key_id_of(next->keys[i].public_key, id);
		sodium_bin2hex(ids[i], sizeof ids[i], id, sizeof id);
	}
	log_notice("long-term-key",
	    "reload: the long-term key is %s%s%s; clients need its public key from %s", ids[0],
	    next->count > 1 ? ", the second one " : "", ids[1],
	    supervisor->start->config->signing.public_key_file);
	keys_tell(supervisor);
}

static void tell_manager(struct supervisor *supervisor)
{
	char state[80];
	snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)clock_mono_ms() * 1000);
	manager_tell(&supervisor->manager, state);
}

#define RELOAD_TEXT_MAX (PATH_MAX + 400u)

/* Whether it took; text: what is in force, or what is wrong. */
static bool take_over(struct supervisor *supervisor, char text[RELOAD_TEXT_MAX])
{
	struct config *current = supervisor->start->config, next;
	struct access_list access;
	struct longterm longterm;
	int config_fd;
	if (parse_again(supervisor, &next, &access, &config_fd, text, RELOAD_TEXT_MAX) != 0)
		return false;
	if (!works(supervisor, config_fd)) {
		snprintf(text, RELOAD_TEXT_MAX,
		    "no worker can start with it, as the line of the log before this one says");
		config_fini(&next);
		close(config_fd);
		return false;
	}
	if (read_keys(supervisor, &next, &longterm, text, RELOAD_TEXT_MAX) != 0) {
		config_fini(&next);
		close(config_fd);
		return false;
	}
	config_keep_fixed(&next, current, text, RELOAD_TEXT_MAX);
	if (text[0] != '\0')
		log_warning("reload-needs-restart",
		    "reload: %s: changed, but in force only after a restart", text);
	bool for_workers = strcmp(next.worker_text, current->worker_text) != 0;
	config_fini(current);
	*current = next;
	close(supervisor->config_fd);
	supervisor->config_fd = config_fd;
	supervisor->access = access;
	struct link_message message = {.type = LINK_CONFIG};
	server_tell(supervisor, &message, config_fd);
	take_keys(supervisor, &longterm);
	domains_tell(supervisor);
	access_tell(supervisor);
	fleet_tell(supervisor);
	watch_zones(supervisor);
	anchor_start(supervisor);
	char waiting[PATH_MAX];
	snprintf(waiting, sizeof waiting, "%s", text);
	snprintf(text, RELOAD_TEXT_MAX, "%s is in force%s%s%s", supervisor->start->config_file,
	    for_workers ? "; the workers are replaced" : "",
	    waiting[0] != '\0' ? "; after a restart only: " : "", waiting);
	return true;
}

/* Whether it took. */
static bool reload_with(struct supervisor *supervisor, char text[RELOAD_TEXT_MAX])
{
	tell_manager(supervisor);
	bool taken = take_over(supervisor, text);
	if (taken)
		log_notice("reload", "reload: %s", text);
	else
		log_error("reload-refused", "reload: %s; the configuration in force stays", text);
	manager_tell(&supervisor->manager,
	    taken ? "READY=1\nSTATUS=Serving clients"
		  : "READY=1\nSTATUS=Serving clients; the last reload failed, see the log");
	return taken;
}

void reload(struct supervisor *supervisor)
{
	char text[RELOAD_TEXT_MAX];
	if (!supervisor->stopping)
		(void)reload_with(supervisor, text);
}

void reload_asked(struct supervisor *supervisor)
{
	char text[RELOAD_TEXT_MAX] = "resolverd is stopping";
	struct link_message message = {.type = LINK_RELOADED};
	message.index = !supervisor->stopping && reload_with(supervisor, text);
	message.bytes_count = (uint32_t)snprintf((char *)message.bytes, sizeof message.bytes,
	    "%s%s", text, message.index != 0 ? "" : "; the configuration in force stays");
	if (message.bytes_count >= sizeof message.bytes)
		message.bytes_count = sizeof message.bytes - 1;
	if (supervisor->channel >= 0 && link_send(supervisor->channel, &message, -1) != 0)
		log_error("internal-link", "cannot tell the server how the reload went");
}

void reload_init(struct supervisor *supervisor)
{
	evtimer_assign(&supervisor->zone_lapses, supervisor->base, on_zone_lapses, supervisor);
}
