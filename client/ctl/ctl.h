/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resolverctl: one subcommand is one function in the table of commands.c. It gets the arguments
 * after its name, writes to stdout, and returns the exit status of docs/JSON.md.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/resolverd.h"

enum {
	EXIT_NO_MAIL_HERE = 68,  /* no-such-domain, no-host (EX_NOHOST) */
	EXIT_TAKES_NO_MAIL = 69, /* null MX (EX_UNAVAILABLE) */
	EXIT_WRONG_USAGE = 64,   /* EX_USAGE */
	EXIT_BAD_DATA = 65,      /* EX_DATAERR */
	EXIT_NO_INPUT = 66,      /* EX_NOINPUT */
	EXIT_CANNOT_WRITE = 73,  /* EX_CANTCREAT */
	EXIT_NOT_NOW = 75,       /* EX_TEMPFAIL */
	EXIT_NOT_VERIFIED = 76,  /* EX_PROTOCOL */
	EXIT_TO_BE_MENDED = 78,  /* EX_CONFIG */
};

#define DEFAULT_TIMEOUT_MS 30000

struct ctl {
	struct resolverd_client *client; /* made by ctl_open */
	struct resolverd_options options;
	const char *control_socket_path; /* NULL: environment, else default */
	char beside[128]; /* the control socket beside another socket than the default */
	int timeout_ms;
	bool json;
	bool colour;
};

int check_command(struct ctl *ctl, int argc, char **argv);
int plan_command(struct ctl *ctl, int argc, char **argv);
int explain_command(struct ctl *ctl, int argc, char **argv);
int host_command(struct ctl *ctl, int argc, char **argv);
int lookup_command(struct ctl *ctl, int argc, char **argv);
int status_command(struct ctl *ctl, int argc, char **argv);
int match_command(struct ctl *ctl, int argc, char **argv);
int verify_command(struct ctl *ctl, int argc, char **argv);
int warm_command(struct ctl *ctl, int argc, char **argv);
int watch_command(struct ctl *ctl, int argc, char **argv);
int doctor_command(struct ctl *ctl, int argc, char **argv);
int dump_command(struct ctl *ctl, int argc, char **argv);
int flush_command(struct ctl *ctl, int argc, char **argv);
int reload_command(struct ctl *ctl, int argc, char **argv);
int keys_command(struct ctl *ctl, int argc, char **argv);
int stats_command(struct ctl *ctl, int argc, char **argv);
int top_command(struct ctl *ctl, int argc, char **argv);
int completion_command(struct ctl *ctl, int argc, char **argv);

/* ---- main.c ---- */

/* Makes ctl->client: 0 or an exit status. */
int ctl_open(struct ctl *ctl);
/* Which one it is. */
const char *ctl_control_socket(struct ctl *ctl);
/* As ctl_open, on the control socket. */
int ctl_open_control(struct ctl *ctl);
/* Reports an error of the client library: the exit status. */
int ctl_fail(struct ctl *ctl, int error);
/* As ctl_fail, and says what to do about it. */
int ctl_fail_advised(struct ctl *ctl, int error, const char *advice);
/* Reports an error of input or system: status. */
int ctl_report(const struct ctl *ctl, const char *text, int status);
[[gnu::format(printf, 2, 3)]] int ctl_usage(struct ctl *ctl, const char *format, ...);
/* The value of --port: 0 or an exit status. */
int ctl_port(struct ctl *ctl, const char *text, unsigned *ret_port);
/* What to do when the control socket cannot be reached; empty: nothing to say. */
const char *ctl_control_advice(const struct ctl *ctl, int error);
/* Exactly one operand and maybe --port: 0 or an exit status. */
int ctl_operand_and_port(
    struct ctl *ctl, int argc, char **argv, const char **ret_operand, unsigned *ret_port);

/* ---- output.c ---- */

/* Prints one line of JSON and takes the reference. */
void output_json(json_t *object);
json_t *output_hex(const uint8_t *bytes, size_t count);
json_t *output_tlsa(const struct resolverd_tlsa *tlsa);
json_t *output_host(const struct resolverd_host *host);
json_t *output_strings(const char *const *texts, size_t count);
json_t *output_signatures(const char *const *key_ids, size_t count, bool attested);
json_t *output_zones(const struct resolverd_insecure_zone *zones, size_t count);
/* A time in milliseconds; null when it is 0. */
json_t *output_ms(uint64_t ms);

enum colour { PLAIN, GOOD, WARN, BAD, DIM };
const char *colour_on(const struct ctl *ctl, enum colour colour);
const char *colour_off(const struct ctl *ctl);
enum colour colour_of_policy(enum resolverd_policy policy);
enum colour colour_of_status(enum resolverd_status status);
/* One host of a text report. */
void output_host_text(const struct ctl *ctl, const struct resolverd_host *host, bool preference);
/* "2026-11-24 01:02:03 UTC"; static buffers, two in turn. */
const char *output_time(uint64_t ms);
/* The same with how long until then, or how long ago: "2026-11-24 01:02:03 UTC (in 6 days)". */
const char *output_when(uint64_t ms);
/* In the largest unit that leaves a number above 1: "47 hours", "3 days". */
void output_span(uint64_t seconds, char ret_text[32]);
void output_zones_text(
    const struct ctl *ctl, const struct resolverd_insecure_zone *zones, size_t count);

/* ---- plan.c ---- */

json_t *plan_json(const struct resolverd_plan *plan);
/* All but the hosts. */
void plan_print_head(const struct ctl *ctl, const struct resolverd_plan *plan);
int plan_exit(enum resolverd_outcome outcome);

/* ---- lookup.c ---- */

json_t *lookup_json(const struct resolverd_records *records);
json_t *lookup_rrsets_json(const struct resolverd_rrset *rrsets, size_t count);
/* One line a record. */
void lookup_print_rrsets(const struct resolverd_rrset *rrsets, size_t count, const char *indent);
const char *lookup_rcode_text(unsigned rcode);

/* ---- rdata.c ---- */

/* Presentation format; what this program does not know, or what is malformed, as \# length hex
 * (RFC 3597 section 5). The caller frees it; NULL: no memory. */
char *rdata_text(unsigned type, const uint8_t *bytes, size_t count);
