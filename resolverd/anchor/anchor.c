/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/anchor/anchor.h"

#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resolverd/anchor/probe.h"
#include "resolverd/anchor/tracked.h"
#include "resolverd/base/anchor.h"
#include "resolverd/base/file.h"
#include "resolverd/base/log.h"
#include "resolverd/base/sandbox.h"

struct anchor {
	const struct config *config;
	char *folder, *state_path, *anchor_path, *work_path;
	char *configured; /* text of resolver.trust-anchor-file */
	char origin[ANCHOR_ORIGIN_BYTES];
	bool configured_is_new; /* the state on disk began with other contents */
	struct tracked tracked;
};

/* ---- files ---- */

/* What a run that was ended midway left: libunbound's temporary files have names of their own. */
static void remove_leftovers(const struct anchor *anchor)
{
	const char *name = strrchr(anchor->state_path, '/') + 1;
	size_t name_bytes = strlen(name);
	DIR *directory = opendir(anchor->folder);
	struct dirent *entry;
	if (directory == NULL)
		return; /* the next step says why */
	while ((entry = readdir(directory)) != NULL)
		if (strncmp(entry->d_name, name, name_bytes) == 0 &&
		    entry->d_name[name_bytes] == '.')
			(void)unlinkat(dirfd(directory), entry->d_name, 0);
	closedir(directory);
}

static int read_configured(struct anchor *anchor)
{
	const char *path = anchor->config->resolver.trust_anchor_file;
	int r = file_read(path, ANCHOR_FILE_MAX_BYTES, &anchor->configured);
	if (r == -ENOMEM)
		return ANCHOR_FAILED;
	if (r != 0) {
		log_error("trust-anchor-unreadable",
		    "cannot read the trust anchor %s: %s; install dns-root-data or set "
		    "resolver.trust-anchor-file",
		    path, strerror(-r));
		return ANCHOR_BAD_CONFIG;
	}
	anchor_origin(anchor->configured, anchor->origin);
	return 0;
}

static int no_state(const char *path, int error)
{
	log_warning("trust-anchor-not-tracked",
	    "cannot write %s: %s; the root keys are not tracked (RFC 5011) and a rollover "
	    "needs a new resolver.trust-anchor-file; give resolverd write permission to "
	    "server.state-directory",
	    path, strerror(error));
	return ANCHOR_NO_STATE;
}

/* ---- where tracking starts from ---- */

/* The state, if it is whole and began with the configured keys as they are now; else these. */
static const char *choose_start(struct anchor *anchor, char **ret_state)
{
	const char *configured_path = anchor->config->resolver.trust_anchor_file;
	int r = file_read(anchor->state_path, ANCHOR_FILE_MAX_BYTES, ret_state);
	if (r == -ENOENT) {
		log_notice("trust-anchor-tracked", "tracking of the root keys begins with %s",
		    configured_path);
		return anchor->configured;
	}
	char *origin = r == 0 ? strstr(*ret_state, ANCHOR_ORIGIN_MARK) : NULL;
	if (r == 0)
		r = tracked_parse(*ret_state, &anchor->tracked);
	if (r != 0 || origin == NULL || anchor->tracked.all_revoked) {
		log_warning("trust-anchor-state-damaged",
		    "%s is damaged; tracking of the root keys begins anew with %s",
		    anchor->state_path, configured_path);
		return anchor->configured;
	}
	if (strcmp(origin, anchor->origin) != 0) {
		log_notice("trust-anchor-tracked",
		    "%s was changed: tracking of the root keys begins anew with it",
		    configured_path);
		anchor->configured_is_new = true;
		return anchor->configured;
	}
	return *ret_state;
}

/* ---- one check ---- */

static int say_failed(const struct anchor *anchor, enum probe_result result, const char *why)
{
	const char *path = anchor->config->resolver.trust_anchor_file;
	if (result == PROBE_REFUSED) {
		log_error("trust-anchor-unreadable",
		    "cannot check the root keys with %s: %s; it must hold DNSKEY or DS "
		    "records of the root and nothing else",
		    path, why);
		return ANCHOR_BAD_CONFIG;
	}
	if (anchor->tracked.all_revoked)
		log_error("trust-anchor-revoked",
		    "the root has revoked every key that is trusted here; put its present "
		    "keys into %s: install the current dns-root-data",
		    path);
	else
		log_error("trust-anchor-unchecked",
		    "the root keys could not be checked: %s; if the DNS path is good, %s is "
		    "out of date: install the current dns-root-data",
		    why, path);
	return ANCHOR_FAILED;
}

/* Moves the states of start on by one look at the root; anchor->tracked is the outcome. */
static int check(struct anchor *anchor, const char *start, const char *hold_down)
{
	char why[400], *text;
	int r = file_replace(anchor->work_path, 0600, start);
	if (r != 0)
		return no_state(anchor->work_path, -r);
	enum probe_result result =
	    probe_root(anchor->config, anchor->work_path, hold_down, why, sizeof why);
	tracked_fini(&anchor->tracked);
	r = file_read(anchor->work_path, ANCHOR_FILE_MAX_BYTES, &text);
	if (r == 0) {
		r = tracked_parse(text, &anchor->tracked);
		free(text);
	}
	if (result != PROBE_SECURE)
		return say_failed(anchor, result, why);
	if (r != 0) {
		log_error("trust-anchor-unchecked", "cannot read what libunbound wrote to %s: %s",
		    anchor->work_path, strerror(-r));
		return ANCHOR_FAILED;
	}
	return 0;
}

/* libunbound trusts a pending key at the end of its hold-down even where it saw no key set since.
 * RFC 5011 section 2.4.1 wants one that was validated by the keys trusted before and still has the
 * key: that is the first check; whatever it leaves pending may have its hold-down end in the
 * second. */
static int check_twice(struct anchor *anchor, const char *start)
{
	int code = check(anchor, start, PROBE_HOLD_DOWN_NEVER_ENDS);
	if (code != 0 || !tracked_has_pending(&anchor->tracked))
		return code;
	char *text;
	int r = file_read(anchor->work_path, ANCHOR_FILE_MAX_BYTES, &text);
	if (r != 0)
		return no_state(anchor->work_path, -r);
	code = check(anchor, text, PROBE_HOLD_DOWN_30_DAYS);
	free(text);
	return code;
}

/* ---- what follows from it ---- */

static int keep_state(const struct anchor *anchor)
{
	char *text, *marked = NULL;
	int r = file_read(anchor->work_path, ANCHOR_FILE_MAX_BYTES, &text);
	if (r != 0)
		return r;
	if (asprintf(&marked, "%s%s", text, anchor->origin) < 0)
		r = -ENOMEM;
	else
		r = file_replace(anchor->state_path, 0600, marked);
	free(marked);
	free(text);
	return r;
}

/* Whether a key counted until now, in the file of before or, without one, in the configured one,
 * that counts no more. */
static bool loses_key(const struct anchor *anchor, const char *before, const char *anchors)
{
	if (before == NULL)
		return tracked_has_revoked(&anchor->tracked);
	while (*before != '\0') {
		size_t bytes = strcspn(before, "\n") + 1;
		char *line = strndup(before, bytes);
		bool stays = line != NULL && strstr(anchors, line) != NULL;
		free(line);
		if (!stays)
			return true;
		before += before[bytes - 1] == '\0' ? bytes - 1 : bytes;
	}
	return false;
}

static int keep_anchors(const struct anchor *anchor)
{
	char *before = NULL, trusted[200], pending[200];
	char *anchors = tracked_anchors(&anchor->tracked);
	if (anchors == NULL) {
		log_error("trust-anchor-unchecked",
		    "the root has no key that could be trusted: nothing is changed");
		return ANCHOR_FAILED;
	}
	bool changed = file_read(anchor->anchor_path, ANCHOR_FILE_MAX_BYTES, &before) != 0 ||
		       strcmp(before, anchors) != 0;
	bool lost = changed && loses_key(anchor, before, anchors);
	int r = keep_state(anchor);
	if (r == 0 && changed)
		r = file_replace(anchor->anchor_path, 0644, anchors);
	free(before);
	free(anchors);
	if (r != 0)
		return no_state(anchor->anchor_path, -r);
	tracked_tags(&anchor->tracked, true, trusted, sizeof trusted);
	tracked_tags(&anchor->tracked, false, pending, sizeof pending);
	log_line(changed ? LOG_LEVEL_NOTICE : LOG_LEVEL_INFO, "trust-anchor-checked", NULL, 0,
	    "root keys trusted: %s; new ones, not trusted before their 30 days: %s", trusted,
	    pending);
	if (lost)
		return ANCHOR_LOST;
	return changed ? ANCHOR_CHANGED : ANCHOR_UNCHANGED;
}

/* Keys that came from the configured file before must not outlive its change: whoever took one out
 * meant it. Without our files the workers read the configured one. */
static int forget(const struct anchor *anchor)
{
	log_warning("trust-anchor-dropped", "the keys tracked before %s was changed are dropped",
	    anchor->config->resolver.trust_anchor_file);
	(void)unlink(anchor->anchor_path);
	(void)unlink(anchor->state_path);
	return ANCHOR_LOST;
}

static int track(struct anchor *anchor)
{
	char *state = NULL;
	int code = read_configured(anchor);
	if (code != 0)
		return code;
	code = check_twice(anchor, choose_start(anchor, &state));
	free(state);
	if (code == 0)
		return keep_anchors(anchor);
	return code == ANCHOR_FAILED && anchor->configured_is_new ? forget(anchor) : code;
}

static int make_paths(struct anchor *anchor)
{
	const char *state = anchor->config->server.state_directory;
	return asprintf(&anchor->folder, "%s/" ANCHOR_FOLDER, state) < 0 ||
		       asprintf(&anchor->state_path, "%s/" ANCHOR_STATE_FILE, state) < 0 ||
		       asprintf(&anchor->anchor_path, "%s/" ANCHOR_FILE, state) < 0 ||
		       asprintf(&anchor->work_path, "%s.work", anchor->state_path) < 0
		   ? -ENOMEM
		   : 0;
}

/* Its folder and two files to read: not the long-term key, which lies in the folder above. */
static int confine(const struct anchor *anchor)
{
	const struct config *config = anchor->config;
	const struct sandbox_path paths[] = {{anchor->folder, true},
	    {config->resolver.trust_anchor_file, false}, {config->resolver.root_hints, false},
	    {"/etc/localtime", false}};
	(void)mkdir(anchor->folder, 0700);
	return sandbox_enter(
	    &(struct sandbox){SANDBOX_ANCHOR, paths, sizeof paths / sizeof *paths}, config);
}

int anchor_main(const struct config *config)
{
	struct anchor anchor = {.config = config};
	log_open(ANCHOR_ROLE);
	int code = ANCHOR_FAILED;
	if (make_paths(&anchor) == 0 && confine(&anchor) == 0) {
		remove_leftovers(&anchor);
		code = track(&anchor);
		remove_leftovers(&anchor);
	}
	tracked_fini(&anchor.tracked);
	free(anchor.configured);
	free(anchor.folder);
	free(anchor.state_path);
	free(anchor.anchor_path);
	free(anchor.work_path);
	return code;
}
