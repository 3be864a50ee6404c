/* SPDX-License-Identifier: BSD-3-Clause */
/* Does it really use us? By what smtp(8)'s own user gets, and by what runs. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/ctl/doctor_postfix.h"

#define LINE_MAX_BYTES 4096u
/* An address literal: answered without a lookup, for DANE never applies. */
#define PROBE_KEY "[192.0.2.1]"

/* ---- the shim ---- */

static int ask_daemon(const void *argument, char *ret_text)
{
	const struct postfix *postfix = argument;
	const struct resolverd_options options = {
	    .socket_path = postfix->socket, .public_key_file = postfix->public_key};
	struct resolverd_client *client;
	struct resolverd_host *host;
	int r = resolverd_client_new(&options, &client);
	if (r != 0) {
		snprintf(ret_text, DOCTOR_TEXT_MAX, "%s", resolverd_strerror(r));
		return -EIO;
	}
	/* One whole answer, so that the key is read and the signature verified, too. */
	r = resolverd_host(client, "192.0.2.1", 25, DOCTOR_RUN_MS / 2, &host);
	if (r == 0)
		resolverd_host_free(host);
	snprintf(ret_text, DOCTOR_TEXT_MAX, "%s%s%s", r == 0 ? "" : resolverd_strerror(r),
	    r == 0 ? "" : ": ", r == 0 ? "" : resolverd_last_error(client));
	resolverd_client_free(client);
	return r == 0 ? 0 : -EIO;
}

static bool report_file(struct doctor *doctor, const struct postfix *postfix)
{
	struct stat status;
	if (stat(postfix->shim, &status) != 0) {
		doctor_report(doctor, DOCTOR_FAIL, "postfix-shim", postfix->shim,
		    "%s: import_environment names it, and Postfix runs without", strerror(errno));
		doctor_advise(doctor, "name the installed libresolverd-shim.so in LD_PRELOAD of "
				      "import_environment; postfix stop; postfix start");
		return false;
	}
	if ((status.st_mode & (S_IWOTH | S_IWGRP)) != 0) {
		doctor_report(doctor, DOCTOR_FAIL, "postfix-shim", postfix->shim,
		    "others may write what is loaded into Postfix");
		doctor_advise(doctor, "chmod 0755 %s", postfix->shim);
		return false;
	}
	return true;
}

void postfix_check_shim(struct doctor *doctor, const struct postfix *postfix)
{
	char text[DOCTOR_TEXT_MAX] = "";
	const char *chroot_directory = postfix->in_chroot ? postfix->queue_directory : NULL;
	const char *where = postfix->in_chroot ? " in the chroot" : "";
	if (!report_file(doctor, postfix))
		return;
	int r = doctor_as_user(postfix->owner, chroot_directory, ask_daemon, postfix, text);
	if (r == 0) {
		doctor_report(doctor, DOCTOR_OK, "postfix-shim", postfix->shim,
		    "user %s gets verified answers from %s%s", postfix->owner, postfix->socket,
		    where);
	} else if (r == -EPERM && geteuid() != 0) {
		doctor_report(doctor, DOCTOR_SKIP, "postfix-shim", postfix->shim,
		    "whether user %s gets answers%s can't be seen: run as root", postfix->owner,
		    where);
	} else {
		doctor_report(doctor, DOCTOR_FAIL, "postfix-shim", postfix->shim,
		    "user %s gets no answer%s, so all mail is deferred: %s", postfix->owner, where,
		    text);
		if (postfix->in_chroot)
			doctor_advise(doctor,
			    "systemctl enable --now var-spool-postfix-run-resolverd.mount && "
			    "adduser %s resolverd; or postconf -F smtp/unix/chroot=n && postfix "
			    "reload",
			    postfix->owner);
		else
			doctor_advise(doctor,
			    "adduser %s resolverd (or server.socket-group, server.allow-users); "
			    "postfix stop; postfix start",
			    postfix->owner);
	}
}

/* ---- processes ---- */

struct processes {
	unsigned count, loaded, unseen;
};

/* 1, 0, or -1: it can't be seen. */
static int has_shim(const char *pid)
{
	char path[64], line[LINE_MAX_BYTES];
	int found = 0;
	snprintf(path, sizeof path, "/proc/%.20s/maps", pid);
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return -1;
	bool any = false;
	while (found == 0 && fgets(line, sizeof line, file) != NULL) {
		any = true;
		found = strstr(line, "libresolverd-shim") != NULL;
	}
	fclose(file);
	return any ? found : -1;
}

static long parent_of(const char *pid)
{
	char path[64], line[LINE_MAX_BYTES];
	snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
	FILE *file = fopen(path, "re");
	size_t n = file != NULL ? fread(line, 1, sizeof line - 1, file) : 0;
	if (file != NULL)
		fclose(file);
	line[n] = '\0';
	/* "123 (name) S 1 …": a name may hold anything. */
	const char *end = strrchr(line, ')');
	return end != NULL && strlen(end) > 4 ? strtol(end + 4, NULL, 10) : -1;
}

/* Of the running master; 0: none, -1: it can't be seen. */
static long master_of(const struct postfix *postfix)
{
	char path[2 * POSTFIX_TEXT_MAX], text[64];
	snprintf(path, sizeof path, "%s/pid/master.pid", postfix->queue_directory);
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return errno == ENOENT ? 0 : -1;
	long pid = fgets(text, sizeof text, file) != NULL ? strtol(text, NULL, 10) : 0;
	fclose(file);
	snprintf(path, sizeof path, "/proc/%ld/comm", pid);
	file = fopen(path, "re"); /* the file outlives the process */
	bool runs =
	    file != NULL && fgets(text, sizeof text, file) != NULL && strcmp(text, "master\n") == 0;
	if (file != NULL)
		fclose(file);
	return runs ? pid : 0;
}

static void count_children(long master, struct processes *processes)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;
	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
		    parent_of(entry->d_name) != master)
			continue;
		int r = has_shim(entry->d_name);
		processes->count++;
		processes->loaded += r == 1;
		processes->unseen += r < 0;
	}
	if (directory != NULL)
		closedir(directory);
}

static void report_loaded(
    struct doctor *doctor, const struct postfix *postfix, const struct processes *processes)
{
	unsigned seen = processes->count - processes->unseen;
	const char *check = "postfix-running";
	if (seen == 0) {
		doctor_report(doctor, DOCTOR_SKIP, check, NULL,
		    "whether its %u processes have the shim can't be seen: run as root",
		    processes->count);
	} else if (postfix->has_shim && processes->loaded < seen) {
		doctor_report(doctor, DOCTOR_FAIL, check, NULL,
		    "the shim is configured, but %u of %u processes of Postfix run without it",
		    seen - processes->loaded, seen);
		doctor_advise(doctor, "postfix stop; postfix start (a reload is not enough: the "
				      "environment is that of the start)");
	} else if (!postfix->has_shim && processes->loaded > 0) {
		doctor_report(doctor, DOCTOR_WARN, check, NULL,
		    "%u of %u processes of Postfix have the shim, and import_environment does not "
		    "name it: after the next start they have not",
		    processes->loaded, seen);
		doctor_advise(doctor,
		    "LD_PRELOAD in import_environment "
		    "(docs/integrations/shim.md), or postfix stop; postfix start");
	} else {
		doctor_report(doctor, DOCTOR_OK, check, NULL,
		    postfix->has_shim
			? "%u processes of Postfix, all with the shim"
			: "%u processes of Postfix, none with the shim, as configured",
		    seen);
	}
}

void postfix_check_processes(struct doctor *doctor, const struct postfix *postfix)
{
	struct processes processes = {0};
	long master = master_of(postfix);
	if (master > 0)
		count_children(master, &processes);
	if (master > 0 && processes.count > 0)
		report_loaded(doctor, postfix, &processes);
	else
		doctor_report(doctor, DOCTOR_SKIP, "postfix-running", NULL, "%s",
		    master < 0 ? "whether it runs can't be seen: run as root" : "it does not run");
}

/* ---- the policy map ---- */

struct map_question {
	const struct doctor_socketmap *map;
	const char *key;
};

static int ask_map(const void *argument, char *ret_text)
{
	const struct map_question *question = argument;
	return doctor_ask_socketmap(
	    question->map, question->key, DOCTOR_RUN_MS / 2, ret_text, DOCTOR_TEXT_MAX);
}

static void report_map_failure(
    struct doctor *doctor, const struct postfix *postfix, int r, const char *text)
{
	doctor_report(doctor, DOCTOR_FAIL, "postfix-map", postfix->map.where,
	    "no answer for user %s, so all mail is deferred: %s", postfix->owner, text);
	if (r == -EACCES)
		doctor_advise(doctor,
		    "let %s in: SocketGroup=postfix of resolverd-postfix.socket, or --socket-group "
		    "postfix",
		    postfix->owner);
	else
		doctor_advise(doctor, "systemctl enable --now resolverd-postfix.socket; or "
				      "postconf -X smtp_tls_policy_maps && postfix reload");
}

static void report_reply(
    struct doctor *doctor, const struct map_question *question, const char *text)
{
	bool bad = strncmp(text, "OK ", 3) != 0 && strncmp(text, "NOTFOUND ", 9) != 0;
	doctor_report(doctor, bad ? DOCTOR_FAIL : DOCTOR_OK, "postfix-map", question->map->where,
	    "says \"%s\" of %s", text, question->key);
	if (!bad)
		return;
	if (strncmp(text, "PERM", 4) == 0)
		doctor_advise(doctor, "the table is named \"policy\": smtp_tls_policy_maps = "
				      "socketmap:…:policy");
	else
		doctor_advise(doctor, "mail waits until that is mended: journalctl -u "
				      "resolverd-postfix, and the checks above");
}

void postfix_check_map(struct doctor *doctor, const struct postfix *postfix)
{
	char text[DOCTOR_TEXT_MAX] = "";
	const char *keys[] = {PROBE_KEY, doctor->domain};
	for (size_t i = 0; i < 2 && keys[i] != NULL; i++) {
		const struct map_question question = {&postfix->map, keys[i]};
		int r = geteuid() == 0
			    ? doctor_as_user(postfix->owner, NULL, ask_map, &question, text)
			    : ask_map(&question, text);
		if (r == 0) {
			report_reply(doctor, &question, text);
		} else if (r == -EACCES && geteuid() != 0) {
			doctor_report(doctor, DOCTOR_SKIP, "postfix-map", postfix->map.where,
			    "not for you: run as root to ask as user %s", postfix->owner);
			return;
		} else {
			report_map_failure(doctor, postfix, r, text);
			return;
		}
	}
}
