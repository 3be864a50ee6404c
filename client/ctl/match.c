/* SPDX-License-Identifier: BSD-3-Clause */
/* resolverctl match: a certificate chain against TLSA records. Asks no daemon. */
#include <errno.h>
#include <getopt.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/ctl/ctl.h"
#include "client/openssl/resolverd-openssl.h"
#include "proto/names.h"

#define RECORDS_MAX 32
#define NAMES_MAX 8
#define RDATA_MAX 65535u
#define CHAIN_MAX 32
#define CHAIN_BYTES_MAX (1 << 20)

enum { EXIT_MATCH = 0, EXIT_NO_MATCH = 1, EXIT_UNUSABLE = 2 };

struct match {
	const char *chain_file;
	STACK_OF(X509) * chain;
	struct resolverd_tlsa tlsa[RECORDS_MAX];
	uint8_t *data[RECORDS_MAX];
	size_t tlsa_count;
	char names[NAMES_MAX + 1][NAME_TEXT_MAX]; /* the TLSA base domain first */
	size_t name_count;
	bool has_base;
	time_t now;
};

/* ---- options ---- */

static bool take_octet(const char **at, uint8_t *ret_octet)
{
	char *end;
	errno = 0;
	unsigned long value = strtoul(*at, &end, 10);
	if (end == *at || errno != 0 || value > UINT8_MAX || (*end != ' ' && *end != '\0'))
		return false;
	*ret_octet = (uint8_t)value;
	*at = end;
	return true;
}

/* "3 1 1 HEX" as in a zone file (RFC 6698 section 2.2); blanks may stand within the hex. */
static bool read_tlsa(const char *text, struct resolverd_tlsa *ret_tlsa, uint8_t **ret_data)
{
	const char *at = text, *end;
	struct resolverd_tlsa tlsa = {0};
	if (*at == '-' || !take_octet(&at, &tlsa.usage) || !take_octet(&at, &tlsa.selector) ||
	    !take_octet(&at, &tlsa.matching_type))
		return false;
	size_t room = strlen(at) / 2 + 1;
	uint8_t *data = malloc(room);
	if (data == NULL ||
	    sodium_hex2bin(data, room, at, strlen(at), " ", &tlsa.data_bytes, &end) != 0 ||
	    *end != '\0' || tlsa.data_bytes > RDATA_MAX - 3) {
		free(data);
		return false;
	}
	tlsa.data = *ret_data = data;
	*ret_tlsa = tlsa;
	return true;
}

static int add_tlsa(struct ctl *ctl, struct match *match, const char *text)
{
	if (match->tlsa_count == RECORDS_MAX)
		return ctl_usage(ctl, "more than %d TLSA records", RECORDS_MAX);
	if (!read_tlsa(text, &match->tlsa[match->tlsa_count], &match->data[match->tlsa_count]))
		return ctl_usage(ctl, "\"%.80s\" is no TLSA record like \"3 1 1 HEX\"", text);
	match->tlsa_count++;
	return 0;
}

/* Slot 0 is kept for the base domain. */
static int add_name(struct ctl *ctl, struct match *match, const char *text, bool base)
{
	if (!base && match->name_count == NAMES_MAX)
		return ctl_usage(ctl, "more than %d names", NAMES_MAX);
	int r = name_canonical(text, match->names[base ? 0 : match->name_count + 1]);
	if (r != NAME_OK)
		return ctl_usage(ctl, "the name \"%.80s\": %s (U-labels: write xn--...)", text,
		    name_error_text(r));
	if (base)
		match->has_base = true;
	else
		match->name_count++;
	return 0;
}

static int set_time(struct ctl *ctl, struct match *match, const char *text)
{
	char *end;
	errno = 0;
	long long seconds = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || seconds < 0)
		return ctl_usage(ctl, "\"%.80s\" is no time in seconds since the epoch", text);
	match->now = (time_t)seconds;
	return 0;
}

static int take_options(struct ctl *ctl, struct match *match, int argc, char **argv)
{
	static const struct option options[] = {{"chain", required_argument, NULL, 'c'},
	    {"tlsa", required_argument, NULL, 't'}, {"base-domain", required_argument, NULL, 'b'},
	    {"name", required_argument, NULL, 'n'}, {"time", required_argument, NULL, 'T'}, {0}};
	int c, r = 0;
	optind = 0;
	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			match->chain_file = optarg;
			break;
		case 't':
			r = add_tlsa(ctl, match, optarg);
			break;
		case 'b':
		case 'n':
			r = add_name(ctl, match, optarg, c == 'b');
			break;
		case 'T':
			r = set_time(ctl, match, optarg);
			break;
		default:
			return ctl_usage(ctl, "match: wrong option (see --help)");
		}
	}
	if (r == 0 && (optind != argc || match->chain_file == NULL || match->tlsa_count == 0 ||
			  !match->has_base))
		return ctl_usage(
		    ctl, "match wants --chain PEM, --tlsa \"3 1 1 HEX\" and --base-domain NAME");
	return r;
}

/* ---- chain ---- */

static int bad_chain(const struct ctl *ctl, const struct match *match, const char *why)
{
	char text[512];
	snprintf(text, sizeof text, "%.300s: %s", match->chain_file, why);
	return ctl_report(ctl, text, EXIT_BAD_DATA);
}

/* Certificates until the end of the file, leaf first. */
static int read_certificates(const struct ctl *ctl, struct match *match, BIO *file)
{
	X509 *certificate;
	while ((certificate = PEM_read_bio_X509(file, NULL, NULL, NULL)) != NULL) {
		if (sk_X509_push(match->chain, certificate) == 0) {
			X509_free(certificate);
			return ctl_report(ctl, "out of memory", EXIT_NOT_NOW);
		}
		if (sk_X509_num(match->chain) > CHAIN_MAX)
			return bad_chain(ctl, match, "more than 32 certificates");
	}
	bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	ERR_clear_error();
	if (!at_end)
		return bad_chain(ctl, match, "a certificate in it cannot be read");
	return sk_X509_num(match->chain) > 0 ? 0
					     : bad_chain(ctl, match, "no certificate in PEM in it");
}

static int read_chain(const struct ctl *ctl, struct match *match)
{
	char *bytes = malloc(CHAIN_BYTES_MAX + 1);
	FILE *file = fopen(match->chain_file, "re");
	int r;
	if (file == NULL || bytes == NULL) {
		r = bad_chain(ctl, match, strerror(errno));
		goto out;
	}
	size_t count = fread(bytes, 1, CHAIN_BYTES_MAX + 1, file);
	if (ferror(file) || count > CHAIN_BYTES_MAX) {
		r = bad_chain(ctl, match, ferror(file) ? strerror(errno) : "over 1 MiB");
		goto out;
	}
	BIO *memory = BIO_new_mem_buf(bytes, (int)count);
	match->chain = sk_X509_new_null();
	r = memory != NULL && match->chain != NULL ? read_certificates(ctl, match, memory)
						   : ctl_report(ctl, "out of memory", EXIT_NOT_NOW);
	BIO_free(memory);
out:
	if (file != NULL)
		(void)fclose(file);
	free(bytes);
	return r;
}

/* ---- verdict ---- */

/* The caller frees it. */
static char *record_text(const struct resolverd_tlsa *tlsa)
{
	size_t room = sizeof "255 255 255 " + 2 * tlsa->data_bytes;
	char *text = malloc(room);
	if (text == NULL)
		return NULL;
	int at =
	    snprintf(text, room, "%u %u %u ", tlsa->usage, tlsa->selector, tlsa->matching_type);
	sodium_bin2hex(text + at, room - (size_t)at, tlsa->data, tlsa->data_bytes);
	return text;
}

static int print(
    const struct ctl *ctl, const struct match *match, const struct resolverd_match_result *result)
{
	static const struct {
		const char *word;
		enum colour colour;
		int status;
	} verdicts[] = {[RESOLVERD_MATCH] = {"match", GOOD, EXIT_MATCH},
	    [RESOLVERD_NO_MATCH] = {"no-match", BAD, EXIT_NO_MATCH},
	    [RESOLVERD_UNUSABLE] = {"unusable", WARN, EXIT_UNUSABLE}};
	const char *word = verdicts[result->verdict].word;
	bool matches = result->verdict == RESOLVERD_MATCH;
	const struct resolverd_tlsa *tlsa = &match->tlsa[matches ? result->record : 0];
	char *record = record_text(tlsa);
	if (ctl->json)
		output_json(json_pack("{s:s, s:o, s:o, s:s, s:s?, s:s?}", "verdict", word, "depth",
		    matches ? json_integer(result->depth) : json_null(), "record",
		    matches ? json_string(record) : json_null(), "reason", result->reason, "name",
		    result->name_checked ? result->matched_name : NULL, "failure_type",
		    matches ? NULL : result->failure_type));
	else
		printf("%s%s%s: %s\n", colour_on(ctl, verdicts[result->verdict].colour), word,
		    colour_off(ctl), result->reason);
	free(record);
	return verdicts[result->verdict].status;
}

static int judge(const struct ctl *ctl, const struct match *match)
{
	const char *names[NAMES_MAX + 1];
	struct resolverd_match_result result;
	for (size_t i = 0; i <= match->name_count; i++)
		names[i] = match->names[i];
	int r = resolverd_match_chain(match->chain, match->tlsa, match->tlsa_count, names,
	    match->name_count + 1, match->now, &result);
	if (r != 0)
		return ctl_report(ctl, resolverd_strerror(r), EXIT_NOT_NOW);
	return print(ctl, match, &result);
}

int match_command(struct ctl *ctl, int argc, char **argv)
{
	struct match match = {.now = time(NULL)};
	int r = take_options(ctl, &match, argc, argv);
	if (r == 0)
		r = read_chain(ctl, &match);
	if (r == 0)
		r = judge(ctl, &match);
	sk_X509_pop_free(match.chain, X509_free);
	for (size_t i = 0; i < match.tlsa_count; i++)
		free(match.data[i]);
	return r;
}
