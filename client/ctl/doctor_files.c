/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets and key files: whose they are, who may use them, and whether they do what they are for.
 */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/ctl/doctor.h"
#include "client/lib/keys.h"

#define OWNER_TEXT_MAX 160u

/* "root:resolverd 0660" */
static void owner_text(const struct stat *status, char ret_text[OWNER_TEXT_MAX])
{
	const struct passwd *user = getpwuid(status->st_uid);
	const struct group *group = getgrgid(status->st_gid);
	char numbers[2][16];
	snprintf(numbers[0], sizeof numbers[0], "%u", (unsigned)status->st_uid);
	snprintf(numbers[1], sizeof numbers[1], "%u", (unsigned)status->st_gid);
	snprintf(ret_text, OWNER_TEXT_MAX, "%.64s:%.64s %04o",
	    user != NULL ? user->pw_name : numbers[0], group != NULL ? group->gr_name : numbers[1],
	    (unsigned)status->st_mode & 07777);
}

static void group_text(gid_t id, char ret_text[64])
{
	const struct group *group = getgrgid(id);
	if (group != NULL)
		snprintf(ret_text, 64, "%s", group->gr_name);
	else
		snprintf(ret_text, 64, "%u", (unsigned)id);
}

/* Who may write the folder can put another file there. */
static bool is_in_open_folder(const char *path)
{
	char folder[PATH_MAX];
	struct stat status;
	const char *slash = strrchr(path, '/');
	snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path) : 1,
	    slash != NULL ? path : ".");
	return stat(folder[0] != '\0' ? folder : "/", &status) == 0 &&
	       (status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0;
}

/* 0 or -errno. */
static int try_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r =
	    fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return r == -EAGAIN ? 0 : r; /* it is there, and has many waiting */
}

static void advise_no_socket(struct doctor *doctor, const char *check, const char *option)
{
	if (strcmp(check, "socket") == 0)
		doctor_advise(doctor,
		    "systemctl enable --now resolverd (without systemd: start resolverd); or name "
		    "the path of server.socket by %s",
		    option);
	else
		doctor_advise(doctor, "name the path of server.control-socket by %s", option);
}

static void report_refusal(struct doctor *doctor, const char *check, const char *path,
    const struct stat *status, int error)
{
	char owner[OWNER_TEXT_MAX], group[64];
	owner_text(status, owner);
	group_text(status->st_gid, group);
	const struct passwd *me = getpwuid(geteuid()); /* after those, which use its place */
	doctor_report(
	    doctor, DOCTOR_FAIL, check, path, "%s; you can't connect: %s", owner, strerror(-error));
	if (error == -ECONNREFUSED)
		doctor_advise(doctor,
		    "nobody listens there: systemctl restart resolverd.socket resolverd, then "
		    "journalctl -u resolverd");
	else if (error == -EACCES && (status->st_mode & S_IWGRP) != 0 && status->st_gid != 0)
		doctor_advise(doctor, "as root: adduser %s %s; then log in again",
		    me != NULL ? me->pw_name : "USER", group);
	else if (error == -EACCES)
		doctor_advise(doctor,
		    "let a group in: SocketGroup= and SocketMode=0660 of resolverd.socket "
		    "(without it server.socket-group and server.socket-mode)");
	else
		doctor_advise(doctor, "see that %s is the socket of resolverd", path);
}

void doctor_check_socket(struct doctor *doctor)
{
	const char *path = doctor->socket;
	struct stat status;
	char owner[OWNER_TEXT_MAX];
	if (stat(path, &status) != 0) {
		int error = errno;
		doctor_report(doctor, DOCTOR_FAIL, "socket", path, "%s", strerror(error));
		if (error == EACCES)
			doctor_advise(doctor, "a folder above it is closed to you: chmod o+x it");
		else
			advise_no_socket(doctor, "socket", "--socket");
		return;
	}
	owner_text(&status, owner);
	int r = S_ISSOCK(status.st_mode) ? try_connect(path) : -ENOTSOCK;
	if (r != 0) {
		report_refusal(doctor, "socket", path, &status, r);
	} else if (is_in_open_folder(path)) {
		doctor_report(doctor, DOCTOR_FAIL, "socket", path,
		    "%s, but everybody may write its folder and put another one there", owner);
		doctor_advise(doctor, "chmod o-w the folder of %s", path);
	} else {
		doctor_report(doctor, DOCTOR_OK, "socket", path, "%s, you may connect", owner);
	}
}

/* Its group may write it, and is that of the clients. */
static bool is_for_clients(const struct doctor *doctor, const struct stat *control)
{
	struct stat clients;
	return (control->st_mode & S_IWGRP) != 0 && control->st_gid != 0 &&
	       stat(doctor->socket, &clients) == 0 && clients.st_gid == control->st_gid &&
	       (clients.st_mode & S_IWGRP) != 0;
}

void doctor_check_control_socket(struct doctor *doctor)
{
	const char *path = doctor->control_socket;
	struct stat status;
	char owner[OWNER_TEXT_MAX];
	if (stat(path, &status) != 0) {
		doctor_report(doctor, DOCTOR_WARN, "control-socket", path,
		    "%s; explain and warm ask there", strerror(errno));
		advise_no_socket(doctor, "control-socket", "--control-socket");
		return;
	}
	owner_text(&status, owner);
	int r = S_ISSOCK(status.st_mode) ? try_connect(path) : -ENOTSOCK;
	if ((status.st_mode & S_IWOTH) != 0) {
		doctor_report(doctor, DOCTOR_FAIL, "control-socket", path,
		    "%s: every user may administer resolverd", owner);
		doctor_advise(doctor,
		    "chmod 0660 %s, and SocketGroup=resolverd-control and SocketMode=0660 of "
		    "resolverd-control.socket",
		    path);
	} else if (is_for_clients(doctor, &status)) {
		doctor_report(doctor, DOCTOR_WARN, "control-socket", path,
		    "%s: whoever the group of the clients' socket lets ask may administer, too",
		    owner);
		doctor_advise(doctor,
		    "another group: SocketGroup=resolverd-control of resolverd-control.socket");
	} else if (r == 0) {
		doctor_report(
		    doctor, DOCTOR_OK, "control-socket", path, "%s, you may connect", owner);
	} else if (r == -EACCES) {
		doctor_report(doctor, DOCTOR_SKIP, "control-socket", path,
		    "%s, not for you: run as root to see more", owner);
	} else {
		report_refusal(doctor, "control-socket", path, &status, r);
	}
}

/* ---- keys ---- */

/* Root's, our own, or the daemon's, whose state the folder is. */
static bool is_good_owner(const struct doctor *doctor, uid_t uid)
{
	struct stat state;
	return uid == 0 || uid == geteuid() ||
	       (stat(doctor->state_directory, &state) == 0 && state.st_uid == uid);
}

/* Of the file and its folder; else somebody else decides what stands in it. */
static bool has_good_owner(const struct doctor *doctor, const char *path, const struct stat *status)
{
	struct stat folder;
	char text[PATH_MAX];
	const char *slash = strrchr(path, '/');
	snprintf(text, sizeof text, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
	    slash != NULL ? path : ".");
	return is_good_owner(doctor, status->st_uid) && stat(text, &folder) == 0 &&
	       is_good_owner(doctor, folder.st_uid);
}

static bool report_owner(
    struct doctor *doctor, const char *check, const char *path, const struct stat *status)
{
	char owner[OWNER_TEXT_MAX];
	if (has_good_owner(doctor, path, status))
		return false;
	owner_text(status, owner);
	doctor_report(doctor, DOCTOR_FAIL, check, path,
	    "%s: it, or its folder, is neither root's nor the daemon's, and so somebody else's to "
	    "replace",
	    owner);
	doctor_advise(
	    doctor, "chown root or resolverd, as the daemon runs, %s and its folder", path);
	return true;
}

void doctor_check_public_key(struct doctor *doctor)
{
	const char *path = doctor->public_key;
	struct stat status;
	struct trusted_keys keys;
	char detail[DETAIL_MAX], owner[OWNER_TEXT_MAX];
	if (stat(path, &status) != 0 || trusted_keys_load(path, &keys, detail) != 0) {
		int error = stat(path, &status) != 0 ? errno : 0;
		doctor_report(doctor, DOCTOR_FAIL, "public-key", path, "%s",
		    error != 0 ? strerror(error) : detail);
		doctor_advise(doctor,
		    "the daemon writes it at its start: compare with signing.public-key-file, or "
		    "name it by --public-key");
		return;
	}
	owner_text(&status, owner);
	if ((status.st_mode & (S_IWOTH | S_IWGRP)) != 0 || is_in_open_folder(path)) {
		doctor_report(doctor, DOCTOR_FAIL, "public-key", path,
		    "%s: others may write it, and so say whom clients trust", owner);
		doctor_advise(doctor, "chmod 0644 %s; and its folder 0755", path);
		return;
	}
	if (report_owner(doctor, "public-key", path, &status))
		return;
	doctor_report(doctor, DOCTOR_OK, "public-key", path, "%s, %zu %s", owner, keys.count,
	    keys.count == 1 ? "key" : "keys");
}

void doctor_check_signing_key(struct doctor *doctor)
{
	char path[PATH_MAX], owner[OWNER_TEXT_MAX];
	struct stat status;
	snprintf(path, sizeof path, "%s/signing.key", doctor->state_directory);
	if (stat(path, &status) != 0) {
		doctor_report(doctor, DOCTOR_SKIP, "signing-key", path, "%s",
		    errno == ENOENT ? "not there: signing.key-file or a credential names another, "
				      "or --state-directory is wrong"
				    : "you can't see it: run as root");
		return;
	}
	owner_text(&status, owner);
	if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
		doctor_report(doctor, DOCTOR_FAIL, "signing-key", path,
		    "%s: others than its owner have rights to the key that vouches for all "
		    "answers",
		    owner);
		doctor_advise(doctor,
		    "chmod 0600 %s; if others may have read it replace it (docs/OPERATIONS.md, "
		    "Keys)",
		    path);
		return;
	}
	if (report_owner(doctor, "signing-key", path, &status))
		return;
	doctor_report(doctor, DOCTOR_OK, "signing-key", path, "%s", owner);
}
