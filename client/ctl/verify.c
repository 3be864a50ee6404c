/* SPDX-License-Identifier: BSD-3-Clause */
/* resolverctl verify: evidence of a delivery, checked without daemon and DNS. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "client/ctl/ctl.h"
#include "client/evidence/resolverd-evidence.h"

static const char *result_text(enum resolverd_check_result result)
{
	return result == RESOLVERD_CHECK_PASSED   ? "passed"
	       : result == RESOLVERD_CHECK_FAILED ? "failed"
						  : "not-proven";
}

static enum colour result_colour(enum resolverd_check_result result)
{
	return result == RESOLVERD_CHECK_PASSED   ? GOOD
	       : result == RESOLVERD_CHECK_FAILED ? BAD
						  : WARN;
}

/* ---- output ---- */

static json_t *time_or_null(uint64_t ms)
{
	return ms != 0 ? json_integer((json_int_t)ms) : json_null();
}

static json_t *sentences_of(const char *const *sentences, size_t count)
{
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_string(sentences[i]));
	return array;
}

static json_t *checks_of(const struct resolverd_evidence_report *report)
{
	json_t *array = json_array();
	for (size_t i = 0; i < report->check_count; i++) {
		const struct resolverd_evidence_check *check = &report->checks[i];
		json_array_append_new(array,
		    json_pack("{s:s, s:s?, s:s, s:s}", "check", check->name, "about", check->about,
			"result", result_text(check->result), "text", check->text));
	}
	return array;
}

static void print_json(const struct resolverd_evidence_report *report)
{
	output_json(json_pack("{s:b, s:s, s:i, s:s?, s:s, s:o, s:o, s:s?, s:s?, s:o, s:o, s:o}",
	    "verified", report->good, "next_hop", report->next_hop, "port", (int)report->port,
	    "recipient_domain", report->recipient_domain, "program", report->program, "made_at",
	    time_or_null(report->made_at_ms), "sealed_at", time_or_null(report->sealed_at_ms),
	    "member", report->member, "key_id", report->key_id, "checks", checks_of(report),
	    "proves", sentences_of(report->proves, report->proves_count), "does_not_prove",
	    sentences_of(report->limits, report->limits_count)));
}

static void print_text(const struct ctl *ctl, const struct resolverd_evidence_report *report)
{
	printf("%s%s%s  %s port %u%s%s\n", colour_on(ctl, report->good ? GOOD : BAD),
	    report->good ? "verified" : "NOT VERIFIED", colour_off(ctl), report->next_hop,
	    report->port, report->recipient_domain != NULL ? ", mail for " : "",
	    report->recipient_domain != NULL ? report->recipient_domain : "");
	for (size_t i = 0; i < report->check_count; i++) {
		const struct resolverd_evidence_check *check = &report->checks[i];
		printf("  %-8s %s%-10s%s %s%s%s\n", check->name,
		    colour_on(ctl, result_colour(check->result)), result_text(check->result),
		    colour_off(ctl), check->about != NULL ? check->about : "",
		    check->about != NULL ? ": " : "", check->text);
	}
	printf("\nIt proves that\n");
	for (size_t i = 0; i < report->proves_count; i++)
		printf("  - %s\n", report->proves[i]);
	if (report->proves_count == 0)
		printf("  - nothing\n");
	printf("\nIt does not prove\n");
	for (size_t i = 0; i < report->limits_count; i++)
		printf("  - %s\n", report->limits[i]);
}

/* ---- the command ---- */

static int parse_arguments(struct ctl *ctl, int argc, char **argv,
    struct resolverd_evidence_trust *trust, const char **ret_path)
{
	static const struct option options[] = {{"trust-anchor", required_argument, NULL, 't'},
	    {"public-key", required_argument, NULL, 'k'}, {0}};
	int c;
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c == 't')
			trust->trust_anchor_file = optarg;
		else if (c == 'k')
			trust->public_key_file = optarg;
		else
			return ctl_usage(ctl, "%s: wrong option (see --help)", argv[0]);
	}
	if (argc - optind != 1)
		return ctl_usage(ctl, "%s wants exactly one file", argv[0]);
	*ret_path = argv[optind];
	return 0;
}

static int fail(struct ctl *ctl, int error, const char *text)
{
	int status = error == RESOLVERD_ERROR_ARGUMENT     ? EXIT_BAD_DATA
		     : error == RESOLVERD_ERROR_PUBLIC_KEY ? EXIT_NOT_VERIFIED
							   : EXIT_NOT_NOW;
	return ctl_report(ctl, text, status);
}

int verify_command(struct ctl *ctl, int argc, char **argv)
{
	struct resolverd_evidence_trust trust = {.public_key_file = ctl->options.public_key_file};
	struct resolverd_evidence_report *report;
	char error[RESOLVERD_EVIDENCE_ERROR_MAX];
	const char *path = NULL;
	int r = parse_arguments(ctl, argc, argv, &trust, &path);
	if (r != 0)
		return r;
	r = resolverd_evidence_verify(path, &trust, &report, error);
	if (r != 0)
		return fail(ctl, r, error);
	if (ctl->json)
		print_json(report);
	else
		print_text(ctl, report);
	r = report->good ? 0 : EXIT_NOT_VERIFIED;
	resolverd_evidence_report_free(report);
	return r;
}
