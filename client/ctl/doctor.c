/* SPDX-License-Identifier: BSD-3-Clause */
/* resolverctl doctor: its options, the order of its checks, and how they are told. */
#include "client/ctl/doctor.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/ctl.h"
#include "client/lib/text.h"

#define REQUEST_MS 10000 /* of each: all of them together take no longer than --timeout each */

static const char *const words[DOCTOR_RESULTS] = {"ok", "warn", "fail", "skip"};

static void print_report(const struct doctor *doctor, enum doctor_result result, const char *check,
    const char *about, const char *text)
{
	static const enum colour colours[DOCTOR_RESULTS] = {GOOD, WARN, BAD, DIM};
	printf("%s%-4s%s  %-16s %s%s%s\n", colour_on(doctor->ctl, colours[result]), words[result],
	    colour_off(doctor->ctl), check, about != NULL ? about : "", about != NULL ? ": " : "",
	    text);
}

/* What others said may stand in it: nothing of that controls a terminal or breaks the JSON. */
static void put_text(char text[DOCTOR_TEXT_MAX], const char *format, va_list arguments)
{
	vsnprintf(text, DOCTOR_TEXT_MAX, format, arguments);
	text_mend(text);
}

void doctor_report(struct doctor *doctor, enum doctor_result result, const char *check,
    const char *about, const char *format, ...)
{
	char text[DOCTOR_TEXT_MAX], clean_about[DOCTOR_TEXT_MAX];
	va_list arguments;
	va_start(arguments, format);
	put_text(text, format, arguments);
	va_end(arguments);
	if (about != NULL) {
		snprintf(clean_about, sizeof clean_about, "%s", about);
		text_mend(clean_about);
		about = clean_about;
	}
	doctor->counts[result]++;
	json_array_append_new(
	    doctor->checks, json_pack("{s:s, s:s?, s:s, s:s, s:n}", "check", check, "about", about,
				"result", words[result], "text", text, "advice"));
	if (!doctor->ctl->json)
		print_report(doctor, result, check, about, text);
}

void doctor_advise(struct doctor *doctor, const char *format, ...)
{
	char text[DOCTOR_TEXT_MAX];
	va_list arguments;
	va_start(arguments, format);
	put_text(text, format, arguments);
	va_end(arguments);
	size_t count = json_array_size(doctor->checks);
	if (count > 0)
		json_object_set_new(
		    json_array_get(doctor->checks, count - 1), "advice", json_string(text));
	if (!doctor->ctl->json)
		printf("      to do: %s\n", text);
}

static const struct option options[] = {
    {"root-server", required_argument, NULL, 'r'},
    {"root-hints", required_argument, NULL, 'h'},
    {"resolv-conf", required_argument, NULL, 'f'},
    {"state-directory", required_argument, NULL, 's'},
    {"postconf", required_argument, NULL, 'p'},
    {"postfix-config", required_argument, NULL, 'c'},
    {"exim", required_argument, NULL, 'e'},
    {"exim-config", required_argument, NULL, 'C'},
    {"domain", required_argument, NULL, 'd'},
    {0},
};

static const char **option_of(struct doctor *doctor, int option)
{
	switch (option) {
	case 'h':
		return &doctor->root_hints;
	case 'f':
		return &doctor->resolv_conf;
	case 's':
		return &doctor->state_directory;
	case 'p':
		return &doctor->postconf;
	case 'c':
		return &doctor->postfix_config;
	case 'e':
		return &doctor->exim;
	case 'C':
		return &doctor->exim_config;
	case 'd':
		return &doctor->domain;
	default:
		return NULL;
	}
}

static int take_options(struct ctl *ctl, struct doctor *doctor, int argc, char **argv)
{
	int c;
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		const char **to = option_of(doctor, c);
		if (to != NULL)
			*to = optarg;
		else if (c != 'r')
			return ctl_usage(ctl, "%s: wrong option (see docs/JSON.md)", argv[0]);
		else if (doctor->root_server_count == DOCTOR_ROOT_SERVERS_MAX)
			return ctl_usage(
			    ctl, "at most %u times --root-server", DOCTOR_ROOT_SERVERS_MAX);
		else
			doctor->root_servers[doctor->root_server_count++] = optarg;
	}
	return optind == argc ? 0 : ctl_usage(ctl, "%s takes options only", argv[0]);
}

static const char *chosen(const char *option, const char *variable, const char *otherwise)
{
	if (option == NULL)
		option = secure_getenv(variable);
	return option != NULL && option[0] != '\0' ? option : otherwise;
}

static void choose_paths(struct doctor *doctor)
{
	const struct ctl *ctl = doctor->ctl;
	doctor->socket =
	    chosen(ctl->options.socket_path, "RESOLVERD_SOCKET", RESOLVERD_DEFAULT_SOCKET);
	doctor->public_key = chosen(
	    ctl->options.public_key_file, "RESOLVERD_PUBLIC_KEY", RESOLVERD_DEFAULT_PUBLIC_KEY);
	doctor->control_socket = ctl_control_socket(doctor->ctl);
	doctor->timeout_ms = ctl->timeout_ms < REQUEST_MS ? ctl->timeout_ms : REQUEST_MS;
}

/* The daemon from the outside in, then the ways into it. */
static void check_all(struct doctor *doctor)
{
	doctor_check_socket(doctor);
	doctor_check_public_key(doctor);
	doctor_check_daemon(doctor);
	doctor_check_control_socket(doctor);
	doctor_check_signing_key(doctor);
	doctor_check_trust_anchor(doctor);
	doctor_check_roots(doctor);
	doctor_check_lookups(doctor);
	doctor_check_postfix(doctor);
	doctor_check_exim(doctor);
	doctor_check_resolver(doctor);
	doctor_check_domain(doctor);
}

static void print_end(const struct doctor *doctor)
{
	const unsigned *counts = doctor->counts;
	bool healthy = counts[DOCTOR_FAIL] == 0;
	if (doctor->ctl->json)
		output_json(json_pack("{s:b, s:i, s:i, s:i, s:i, s:O}", "healthy", healthy, "ok",
		    (int)counts[DOCTOR_OK], "warn", (int)counts[DOCTOR_WARN], "fail",
		    (int)counts[DOCTOR_FAIL], "skip", (int)counts[DOCTOR_SKIP], "checks",
		    doctor->checks));
	else
		printf("%u ok, %u warnings, %u failures, %u not looked at\n", counts[DOCTOR_OK],
		    counts[DOCTOR_WARN], counts[DOCTOR_FAIL], counts[DOCTOR_SKIP]);
}

int doctor_command(struct ctl *ctl, int argc, char **argv)
{
	struct doctor doctor = {.ctl = ctl,
	    .state_directory = "/var/lib/resolverd",
	    .root_hints = "/usr/share/dns/root.hints",
	    .resolv_conf = "/etc/resolv.conf",
	    .postconf = "/usr/sbin/postconf"};
	int r = take_options(ctl, &doctor, argc, argv);
	if (r == 0)
		r = ctl_open(ctl);
	if (r != 0)
		return r;
	setvbuf(stdout, NULL, _IOLBF, 0); /* a check may take its time: what is known is told */
	doctor.checks = json_array();
	doctor.client = ctl->client;
	choose_paths(&doctor);
	check_all(&doctor);
	print_end(&doctor);
	resolverd_daemon_status_free(doctor.status);
	json_decref(doctor.checks);
	return doctor.counts[DOCTOR_FAIL] == 0 ? 0 : EXIT_TO_BE_MENDED;
}
