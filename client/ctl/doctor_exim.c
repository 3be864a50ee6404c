/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exim (docs/integrations/exim.md): whether it can do DANE, whether it is told to, and whether it
 * sees validated answers: it is had to look something up itself, in the way it looks up TLSA.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/ctl/doctor.h"

#define LOOKUP_MAX 256u

struct exim {
	const char *program;
	bool tries_dane, requires_dane; /* by an smtp transport */
	bool asks_dnssec;               /* dnssec_request_domains of router or transport */
	bool dnssec_ok;
	bool has_shim; /* add_environment brings it */
};

static int run(struct doctor *doctor, const struct exim *exim, const char *first,
    const char *second, char **ret_output, char *ret_text)
{
	const char *arguments[8] = {exim->program};
	size_t count = 1;
	if (doctor->exim_config != NULL) {
		arguments[count++] = "-C";
		arguments[count++] = doctor->exim_config;
	}
	arguments[count++] = first;
	arguments[count] = second;
	return doctor_run(arguments, ret_output, ret_text);
}

static char *find_program(struct doctor *doctor, struct exim *exim, char *ret_text, int *ret_r)
{
	static const char *const places[] = {
	    "/usr/sbin/exim4", "/usr/sbin/exim", "/usr/exim/bin/exim"};
	char *output = NULL;
	*ret_r = -ENOENT;
	for (size_t i = 0; i < sizeof places / sizeof *places && *ret_r == -ENOENT; i++) {
		exim->program = doctor->exim != NULL ? doctor->exim : places[i];
		*ret_r = run(doctor, exim, "-bV", NULL, &output, ret_text);
	}
	return output;
}

/* ---- what is configured ---- */

/* A "name = list" line with a list that is not empty, somewhere. */
static bool is_set(const char *output, const char *name)
{
	size_t length = strlen(name);
	for (const char *at = strstr(output, name); at != NULL; at = strstr(at + 1, name)) {
		bool begins = at == output || at[-1] == '\n' || at[-1] == ' ';
		const char *value = at + length + strspn(at + length, " ");
		if (!begins || *value != '=')
			continue;
		value += 1 + strspn(value + 1, " :");
		if (*value != '\n' && *value != '\0')
			return true;
	}
	return false;
}

static void read_configuration(struct doctor *doctor, struct exim *exim)
{
	char text[DOCTOR_TEXT_MAX], *output;
	if (run(doctor, exim, "-bP", "transports", &output, text) == 0) {
		exim->tries_dane = is_set(output, "hosts_try_dane");
		exim->requires_dane = is_set(output, "hosts_require_dane");
		exim->asks_dnssec = is_set(output, "dnssec_request_domains");
		free(output);
	}
	if (run(doctor, exim, "-bP", "routers", &output, text) == 0) {
		exim->asks_dnssec = exim->asks_dnssec && is_set(output, "dnssec_request_domains");
		free(output);
	}
	if (run(doctor, exim, "-bP", "dns_dnssec_ok", &output, text) == 0) {
		exim->dnssec_ok = strstr(output, "= 1") != NULL;
		free(output);
	}
	if (run(doctor, exim, "-bP", "add_environment", &output, text) == 0) {
		exim->has_shim = strstr(output, "libresolverd-shim") != NULL;
		free(output);
	}
}

static void report_settings(struct doctor *doctor, const struct exim *exim)
{
	if (!exim->tries_dane && !exim->requires_dane) {
		doctor_report(doctor, DOCTOR_WARN, "exim-dane", NULL,
		    "no smtp transport has hosts_try_dane: Exim does no DANE");
		doctor_advise(doctor, "hosts_try_dane = * and dnssec_request_domains = * in the "
				      "smtp transport (docs/integrations/exim.md)");
	} else if (!exim->asks_dnssec) {
		doctor_report(doctor, DOCTOR_FAIL, "exim-dane", NULL,
		    "dnssec_request_domains is missing in routers or transports: DANE is asked "
		    "for and never done");
		doctor_advise(doctor, "dnssec_request_domains = * in the dnslookup router and in "
				      "the smtp transport");
	} else if (exim->requires_dane) {
		doctor_report(doctor, DOCTOR_WARN, "exim-dane", NULL,
		    "hosts_require_dane: mail to hosts without DANE bounces, and bounces for all "
		    "while the resolver does not validate");
		doctor_advise(doctor, "hosts_try_dane in its place, and requirement = mandatory "
				      "in an override of resolverd, whose mail waits");
	} else {
		doctor_report(doctor, DOCTOR_OK, "exim-dane", NULL,
		    "hosts_try_dane and dnssec_request_domains are set");
	}
}

static void report_shim(struct doctor *doctor, const struct exim *exim)
{
	struct stat status;
	if (!exim->has_shim || stat(exim->program, &status) != 0)
		return;
	if ((status.st_mode & S_ISUID) != 0) {
		doctor_report(doctor, DOCTOR_FAIL, "exim-shim", exim->program,
		    "add_environment brings the shim, but the program is set-user-ID: ld.so drops "
		    "it without a word");
		doctor_advise(doctor, "take resolverd-stub for it (docs/integrations/exim.md)");
	} else {
		doctor_report(doctor, DOCTOR_SKIP, "exim-shim", exim->program,
		    "whether the shim is in it depends on who starts it, which can't be seen from "
		    "here: send to a domain with DANE and look for CV=dane");
	}
}

/* ---- what it sees ---- */

/* Exim's word on the last line that is not empty. */
static bool says(const char *output, const char *word)
{
	return strncmp(output, word, strlen(word)) == 0;
}

static bool has_asked_us(struct doctor *doctor, const struct exim *exim)
{
	char name[DOCTOR_PROBE_NAME_MAX], lookup[LOOKUP_MAX], text[DOCTOR_TEXT_MAX], *output;
	doctor_probe_name(name);
	snprintf(lookup, sizeof lookup, "${lookup dnsdb{defer_never,a=%s}{yes}{no}}", name);
	if (run(doctor, exim, "-be", lookup, &output, text) != 0)
		return false;
	free(output);
	return doctor_was_asked(doctor, name);
}

static void report_sight(struct doctor *doctor, const struct exim *exim)
{
	static const char lookup[] =
	    "${lookup dnsdb{dnssec_strict,defer_never,ns=org}{validated}{not validated}}";
	char text[DOCTOR_TEXT_MAX], *output;
	int r = run(doctor, exim, "-be", lookup, &output, text);
	if (r != 0) {
		doctor_report(doctor, DOCTOR_WARN, "exim-resolver", exim->program, "%s", text);
		doctor_advise(doctor, "exim -be '%s' says more", lookup);
		return;
	}
	bool validated = says(output, "validated");
	free(output);
	if (!validated) {
		bool wanted = exim->tries_dane || exim->requires_dane;
		doctor_report(doctor, wanted ? DOCTOR_FAIL : DOCTOR_WARN, "exim-resolver",
		    exim->program, "its own lookup of org NS is not seen as validated%s%s",
		    wanted ? ": no DANE, mail in clear" : "",
		    exim->dnssec_ok ? "" : "; dns_dnssec_ok is not 1");
		doctor_advise(doctor,
		    "%s\"nameserver 127.0.0.1\" (resolverd-stub) and \"options trust-ad\" in %s",
		    exim->dnssec_ok ? "" : "dns_dnssec_ok = 1 in the main section; ",
		    doctor->resolv_conf);
	} else if (!has_asked_us(doctor, exim)) {
		doctor_report(doctor, DOCTOR_WARN, "exim-resolver", exim->program,
		    "sees validated answers, but they don't come from this resolverd");
		doctor_advise(doctor,
		    "\"nameserver 127.0.0.1\" of resolverd-stub in %s, and no "
		    "other",
		    doctor->resolv_conf);
	} else {
		doctor_report(doctor, DOCTOR_OK, "exim-resolver", exim->program,
		    "its own lookups are validated, and come from this resolverd");
	}
}

void doctor_check_exim(struct doctor *doctor)
{
	struct exim exim = {0};
	char text[DOCTOR_TEXT_MAX];
	int r;
	char *output = find_program(doctor, &exim, text, &r);
	if (r != 0) {
		doctor_report(doctor, r == -ENOENT ? DOCTOR_SKIP : DOCTOR_WARN, "exim",
		    doctor->exim != NULL ? doctor->exim : exim.program, "%s",
		    r == -ENOENT ? "not found" : text);
		if (r != -ENOENT)
			doctor_advise(doctor, "exim -bV says more; another one is named by --exim "
					      "PATH");
		return;
	}
	bool can = strstr(output, " DANE") != NULL;
	doctor_report(doctor, can ? DOCTOR_OK : DOCTOR_WARN, "exim", exim.program, "%.*s%s",
	    (int)strcspn(output, "\n"), output, can ? "" : ", built without DANE");
	free(output);
	if (!can) {
		doctor_advise(doctor, "take a build with DANE: Debian's exim4-daemon-light has it");
		return;
	}
	doctor->has_mail_server = true;
	read_configuration(doctor, &exim);
	report_settings(doctor, &exim);
	report_shim(doctor, &exim);
	report_sight(doctor, &exim);
}
