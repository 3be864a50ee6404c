/* SPDX-License-Identifier: BSD-3-Clause */
/* When the anchor role runs, and what follows from how it ends (base/anchor.h). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "resolverd/base/anchor.h"
#include "resolverd/base/file.h"
#include "resolverd/base/log.h"
#include "resolverd/base/role.h"
#include "resolverd/supervisor/state.h"

#define ANCHOR_CHECK_S (6 * 3600)
#define ANCHOR_RETRY_S 300

static int64_t file_time_ms(int directory, const char *path)
{
	struct stat status;
	return fstatat(directory, path, &status, 0) == 0 ? (int64_t)status.st_mtim.tv_sec * 1000
							 : 0;
}

static char *read_ours(const char *state_directory, const char *name)
{
	char path[PATH_MAX], *text;
	int n = snprintf(path, sizeof path, "%s/%s", state_directory, name);
	return n > 0 && (size_t)n < sizeof path &&
		       file_read(path, ANCHOR_FILE_MAX_BYTES, &text) == 0
		   ? text
		   : NULL;
}

/* The tags of the keys that are trusted now, as the anchor role wrote them behind each. */
static void read_tags(const char *state_directory, struct link_anchor *anchor)
{
	static const char mark[] = "; keytag ";
	char *text = read_ours(state_directory, ANCHOR_FILE);
	if (text == NULL)
		return;
	const size_t most = sizeof anchor->key_tags / sizeof *anchor->key_tags;
	for (const char *at = strstr(text, mark); at != NULL && anchor->key_tag_count < most;
	     at = strstr(at + 1, mark))
		anchor->key_tags[anchor->key_tag_count++] =
		    (uint16_t)strtoul(at + sizeof mark - 1, NULL, 10);
	free(text);
}

void anchor_tell(struct supervisor *supervisor)
{
	const struct config *config = supervisor->start->config;
	char path[PATH_MAX];
	struct link_message message = {.type = LINK_ANCHOR};
	struct link_anchor anchor = {
	    .checked_at_ms = file_time_ms(supervisor->state_fd, ANCHOR_STATE_FILE)};
	const int64_t files[] = {anchor.checked_at_ms,
	    file_time_ms(supervisor->state_fd, ANCHOR_FILE),
	    file_time_ms(AT_FDCWD, config->resolver.trust_anchor_file),
	    file_time_ms(AT_FDCWD, longterm_file(config, config->server.state_directory, path))};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (files[i] > anchor.newest_file_ms)
			anchor.newest_file_ms = files[i];
	read_tags(config->server.state_directory, &anchor);
	message.bytes_count = sizeof anchor;
	memcpy(message.bytes, &anchor, sizeof anchor);
	if (supervisor->channel >= 0 && link_send(supervisor->channel, &message, -1) != 0)
		log_error("internal-link", "cannot tell the server about the trust anchor");
}

static bool has_anchor_file(const struct supervisor *supervisor)
{
	return faccessat(supervisor->state_fd, ANCHOR_FILE, R_OK, 0) == 0;
}

void anchor_start(struct supervisor *supervisor)
{
	struct anchor_check *check = &supervisor->anchor;
	const struct spawn_fd fds[] = {{supervisor->config_fd, ROLE_FD_CONFIG}};
	check->wanted = check->pid != 0; /* it may have read what has changed since */
	if (supervisor->stopping || check->pid != 0)
		return;
	check->replaces_file = has_anchor_file(supervisor);
	check->pid = start_role(supervisor, ANCHOR_ROLE, fds, 1);
	if (check->pid < 0) {
		check->pid = 0;
		log_fatal("start-failed", "cannot start the check of the trust anchor: %s",
		    strerror(errno));
	}
	evtimer_add(&check->again, &(struct timeval){.tv_sec = ANCHOR_CHECK_S});
}

bool anchor_is_foreign(const struct supervisor *supervisor)
{
	const struct config *config = supervisor->start->config;
	char line[ANCHOR_ORIGIN_BYTES], *configured;
	char *state = read_ours(config->server.state_directory, ANCHOR_STATE_FILE);
	int r = file_read(config->resolver.trust_anchor_file, ANCHOR_FILE_MAX_BYTES, &configured);
	bool is_foreign = false;
	if (r == 0 && state != NULL) {
		anchor_origin(configured, line);
		is_foreign = strstr(state, line) == NULL;
	}
	if (r == 0)
		free(configured);
	free(state);
	return is_foreign;
}

static void on_anchor_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	anchor_start(arg);
}

/* No worker goes on with a key that was withdrawn, and what was found by it counts no more, in a
 * snapshot either. */
static void forget_found(struct supervisor *supervisor)
{
	log_warning("trust-anchor-changed",
	    "the root's trust anchor lost a key: the workers are replaced, all answers dropped");
	if (supervisor->channel >= 0) {
		renew_workers(supervisor, true);
		return;
	}
	(void)unlinkat(supervisor->snapshot_fd, SNAPSHOT_FILE, 0);
	(void)unlinkat(supervisor->snapshot_fd, SNAPSHOT_NEW_FILE, 0);
}

/* The role said itself what went wrong. */
void anchor_ended(struct supervisor *supervisor, int status)
{
	struct anchor_check *check = &supervisor->anchor;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : ANCHOR_FAILED;
	check->pid = 0;
	if (supervisor->stopping)
		return;
	if (code != ANCHOR_UNCHANGED && code != ANCHOR_CHANGED && code != ANCHOR_LOST)
		evtimer_add(&check->again, &(struct timeval){.tv_sec = ANCHOR_RETRY_S});
	anchor_tell(supervisor);
	if (code == ANCHOR_LOST)
		forget_found(supervisor);
	/* The first file says what the configured one said, which the workers started with. */
	else if (code == ANCHOR_CHANGED && check->replaces_file) {
		log_notice("trust-anchor-changed",
		    "the root's trust anchor has a key more: the workers are replaced");
		renew_workers(supervisor, false);
	}
	/* Without the file there is something to track anew; else the configured keys do not work.
	 */
	if (!has_anchor_file(supervisor))
		evtimer_add(&check->again, &(struct timeval){.tv_sec = ANCHOR_RETRY_S});
	if (supervisor->channel < 0 && check->comes_first) {
		start_server(supervisor);
		if (code == ANCHOR_LOST) /* nor does what a fleet's store has of it */
			renew_workers(supervisor, true);
	}
	check->comes_first = false;
	if (check->wanted)
		anchor_start(supervisor);
}

void anchor_init(struct supervisor *supervisor)
{
	evtimer_assign(&supervisor->anchor.again, supervisor->base, on_anchor_again, supervisor);
}
