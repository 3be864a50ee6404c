/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Postfix: how main.cf and master.cf want DANE done, by which of the three ways resolverd comes in
 * (docs/integrations/postfix.md: the stub, the shim, the policy map), and whether that way works
 * for the user and in the chroot of smtp(8).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/doctor_postfix.h"

/* ---- what is configured ---- */

static char *ask_postconf(
    struct doctor *doctor, const char *const *more, char *ret_text, int *ret_r)
{
	const char *arguments[24] = {doctor->postconf};
	size_t count = 1;
	char *output = NULL;
	if (doctor->postfix_config != NULL) {
		arguments[count++] = "-c";
		arguments[count++] = doctor->postfix_config;
	}
	for (size_t i = 0; more[i] != NULL && count < 23; i++)
		arguments[count++] = more[i];
	*ret_r = doctor_run(arguments, &output, ret_text);
	return output;
}

/* "name = value" lines; the value belongs to the output. */
static const char *value_of(char *output, const char *name)
{
	size_t length = strlen(name);
	for (char *line = output; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, length) == 0 && strncmp(line + length, " =", 2) == 0)
			return line + length + 2 + (line[length + 2] == ' ');
	}
	return "";
}

static void take_value(char *output, const char *name, char *ret_value, size_t room)
{
	const char *value = value_of(output, name);
	snprintf(ret_value, room, "%.*s", (int)strcspn(value, "\n"), value);
}

/* The value of NAME=VALUE or { NAME = VALUE } in import_environment. */
static bool imported(const char *environment, const char *name, char *ret_value, size_t room)
{
	size_t length = strlen(name);
	for (const char *at = strstr(environment, name); at != NULL; at = strstr(at + 1, name)) {
		const char *value = at + length + strspn(at + length, " \t");
		bool begins = at == environment || strchr(" \t,{", at[-1]) != NULL;
		if (!begins || *value != '=')
			continue;
		value += 1 + strspn(value + 1, " \t");
		snprintf(ret_value, room, "%.*s", (int)strcspn(value, " \t,}"), value);
		return true;
	}
	return false;
}

/* The part of a list with ':' that is the shim. */
static bool take_shim(const char *preload, char ret_shim[POSTFIX_TEXT_MAX])
{
	const char *found = strstr(preload, "libresolverd-shim");
	if (found == NULL)
		return false;
	const char *begin = found;
	while (begin > preload && begin[-1] != ':')
		begin--;
	snprintf(ret_shim, POSTFIX_TEXT_MAX, "%.*s", (int)strcspn(begin, ":"), begin);
	return true;
}

static void take_environment(const struct doctor *doctor, char *output, struct postfix *postfix)
{
	char preload[POSTFIX_TEXT_MAX], environment[2 * POSTFIX_TEXT_MAX];
	take_value(output, "import_environment", environment, sizeof environment);
	postfix->has_shim = imported(environment, "LD_PRELOAD", preload, sizeof preload) &&
			    take_shim(preload, postfix->shim);
	if (!imported(environment, "RESOLVERD_SOCKET", postfix->socket, sizeof postfix->socket))
		snprintf(postfix->socket, sizeof postfix->socket, "%s", doctor->socket);
	if (!imported(environment, "RESOLVERD_PUBLIC_KEY", postfix->public_key,
		sizeof postfix->public_key))
		snprintf(postfix->public_key, sizeof postfix->public_key, "%s", doctor->public_key);
}

/* "smtp unix - - y - - smtp": the fifth column. "-" is "n" from compatibility level 1 on; a Postfix
 * that knows of no levels is older. */
static bool take_chroot(const char *line, const char *compatibility_level)
{
	char copy[512], *save, *word;
	snprintf(copy, sizeof copy, "%.*s", (int)strcspn(line, "\n"), line);
	word = strtok_r(copy, " \t", &save);
	for (unsigned i = 0; word != NULL && i < 4; i++)
		word = strtok_r(NULL, " \t", &save);
	return word != NULL && (strcmp(word, "y") == 0 ||
				   (strcmp(word, "-") == 0 && atoi(compatibility_level) < 1));
}

/* false: reported. */
static bool read_configuration(struct doctor *doctor, struct postfix *postfix)
{
	static const char *const names[] = {"-x", "mail_version", "queue_directory", "mail_owner",
	    "smtp_tls_security_level", "smtp_dns_support_level", "smtp_tls_policy_maps",
	    "smtp_tls_dane_insecure_mx_policy", "import_environment", "compatibility_level", NULL};
	static const char *const master[] = {"-M", "smtp/unix", NULL};
	char text[DOCTOR_TEXT_MAX];
	int r;
	char *output = ask_postconf(doctor, names, text, &r);
	if (r != 0) {
		enum doctor_result result = r == -ENOENT ? DOCTOR_SKIP : DOCTOR_WARN;
		doctor_report(doctor, result, "postfix", doctor->postconf, "%s",
		    r == -ENOENT ? "not found" : text);
		if (result == DOCTOR_WARN)
			doctor_advise(doctor, "postconf says more itself; another one is named by "
					      "--postconf PATH");
		return false;
	}
#define TAKE(name, field) take_value(output, name, postfix->field, sizeof postfix->field)
	TAKE("mail_version", version);
	TAKE("compatibility_level", compatibility_level);
	TAKE("queue_directory", queue_directory);
	TAKE("mail_owner", owner);
	TAKE("smtp_tls_security_level", level);
	TAKE("smtp_dns_support_level", dns);
	TAKE("smtp_tls_policy_maps", maps);
	TAKE("smtp_tls_dane_insecure_mx_policy", insecure_mx);
#undef TAKE
	take_environment(doctor, output, postfix);
	free(output);
	output = ask_postconf(doctor, master, text, &r);
	postfix->in_chroot = r == 0 && take_chroot(output, postfix->compatibility_level);
	postfix->has_map =
	    doctor_find_socketmap(postfix->maps, postfix->queue_directory, &postfix->map);
	postfix->does_dane =
	    strcmp(postfix->level, "dane") == 0 || strcmp(postfix->level, "dane-only") == 0;
	free(output);
	return true;
}

static void report_settings(struct doctor *doctor, const struct postfix *postfix)
{
	const char *level = postfix->level[0] != '\0' ? postfix->level : "empty";
	if (!postfix->does_dane && !postfix->has_map) {
		doctor_report(doctor, DOCTOR_WARN, "postfix-dane", NULL,
		    "smtp_tls_security_level is %s: Postfix does no DANE", level);
		doctor_advise(doctor, "postconf -e smtp_tls_security_level=dane "
				      "smtp_dns_support_level=dnssec && postfix reload");
	} else if (strcmp(postfix->dns, "dnssec") != 0) {
		doctor_report(doctor, DOCTOR_FAIL, "postfix-dane", NULL,
		    "smtp_dns_support_level is \"%s\": DANE is asked for and never done",
		    postfix->dns);
		doctor_advise(
		    doctor, "postconf -e smtp_dns_support_level=dnssec && postfix reload");
	} else if (strcmp(postfix->insecure_mx, "dane") != 0) {
		doctor_report(doctor, DOCTOR_WARN, "postfix-dane", NULL,
		    "smtp_tls_dane_insecure_mx_policy is %s: hosts with DANE behind an unsigned "
		    "MX are not authenticated",
		    postfix->insecure_mx);
		doctor_advise(
		    doctor, "postconf -e smtp_tls_dane_insecure_mx_policy=dane && postfix reload");
	} else {
		doctor_report(doctor, DOCTOR_OK, "postfix-dane", NULL,
		    "level %s, smtp_dns_support_level dnssec%s", level,
		    postfix->has_map ? ", and a policy map" : "");
	}
}

/* ---- the resolver of smtp(8) ---- */

static const char *resolv_conf_of(
    const struct doctor *doctor, const struct postfix *postfix, char path[2 * POSTFIX_TEXT_MAX])
{
	if (!postfix->in_chroot)
		return doctor->resolv_conf;
	snprintf(path, 2 * POSTFIX_TEXT_MAX, "%s/etc/resolv.conf", postfix->queue_directory);
	return path;
}

static void report_resolver(struct doctor *doctor, const struct postfix *postfix)
{
	struct doctor_resolver found;
	char room[2 * POSTFIX_TEXT_MAX];
	const char *path = resolv_conf_of(doctor, postfix, room);
	const char *where = postfix->in_chroot ? ", in the chroot of smtp" : "";
	bool wanted = postfix->does_dane || postfix->has_map;
	bool read = doctor_ask_resolver(doctor, path, &found);
	if (read && found.ours == found.servers) {
		doctor_report(doctor, DOCTOR_OK, "postfix-resolver", path,
		    "%s%s: validates, and asks this resolverd", found.servers_text, where);
		return;
	}
	bool weak = wanted && (!read || found.validating < found.servers);
	doctor_report(doctor, weak ? DOCTOR_FAIL : DOCTOR_WARN, "postfix-resolver", path, "%s%s%s",
	    found.problem, where, weak ? ": DANE quietly becomes cleartext" : "");
	if (postfix->in_chroot)
		doctor_advise(doctor,
		    "write the servers of %s there, too: one line \"nameserver 127.0.0.1\" of "
		    "resolverd-stub; cp %s %s && postfix reload",
		    doctor->resolv_conf, doctor->resolv_conf, path);
	else
		doctor_advise(doctor,
		    "systemctl enable --now resolverd-stub.socket, one line \"nameserver "
		    "127.0.0.1\" in %s, and postfix reload; or take the shim "
		    "(docs/integrations/shim.md)",
		    path);
}

void doctor_check_postfix(struct doctor *doctor)
{
	struct postfix *postfix = calloc(1, sizeof *postfix);
	if (postfix != NULL && read_configuration(doctor, postfix)) {
		doctor_report(doctor, DOCTOR_OK, "postfix", doctor->postconf,
		    "Postfix %s, smtp(8) runs as %s%s", postfix->version, postfix->owner,
		    postfix->in_chroot ? ", in a chroot" : "");
		doctor->has_mail_server = doctor->has_mail_server || !postfix->has_shim;
		report_settings(doctor, postfix);
		if (postfix->has_shim)
			postfix_check_shim(doctor, postfix);
		else
			report_resolver(doctor, postfix);
		postfix_check_processes(doctor, postfix);
		if (postfix->has_map)
			postfix_check_map(doctor, postfix);
	}
	free(postfix);
}
