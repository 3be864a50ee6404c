/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resolverctl: one subcommand is one function in the table of main.c. It gets the arguments after
 * its name, writes to stdout, and returns the exit status of docs/JSON.md.
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
	EXIT_NOT_NOW = 75,       /* EX_TEMPFAIL */
	EXIT_NOT_VERIFIED = 76,  /* EX_PROTOCOL */
};

struct ctl {
	struct resolverd_client *client; /* made by ctl_open */
	struct resolverd_options options;
	int timeout_ms;
	bool json;
	bool colour;
};

struct command {
	const char *name;
	const char *arguments;
	const char *summary;
	int (*run)(struct ctl *ctl, int argc, char **argv);
};

int plan_command(struct ctl *ctl, int argc, char **argv);
int host_command(struct ctl *ctl, int argc, char **argv);
int lookup_command(struct ctl *ctl, int argc, char **argv);
int status_command(struct ctl *ctl, int argc, char **argv);
int match_command(struct ctl *ctl, int argc, char **argv);

/* ---- main.c ---- */

/* Makes ctl->client: 0 or an exit status. */
int ctl_open(struct ctl *ctl);
/* Reports an error of the client library: the exit status. */
int ctl_fail(struct ctl *ctl, int error);
/* Reports an error of input or system: status. */
int ctl_report(const struct ctl *ctl, const char *text, int status);
[[gnu::format(printf, 2, 3)]] int ctl_usage(struct ctl *ctl, const char *format, ...);
/* Exactly one operand and maybe --port: 0 or an exit status. */
int ctl_operand_and_port(
    struct ctl *ctl, int argc, char **argv, const char **ret_operand, unsigned *ret_port);

/* ---- output.c ---- */

/* Prints one line of JSON and takes the reference. */
void output_json(json_t *object);
json_t *output_hex(const uint8_t *bytes, size_t count);
json_t *output_host(const struct resolverd_host *host);
json_t *output_signatures(const char *const *key_ids, size_t count);

enum colour { PLAIN, GOOD, WARN, BAD, DIM };
const char *colour_on(const struct ctl *ctl, enum colour colour);
const char *colour_off(const struct ctl *ctl);
enum colour colour_of_policy(enum resolverd_policy policy);
/* One host of a text report. */
void output_host_text(const struct ctl *ctl, const struct resolverd_host *host, bool preference);
/* "2026-11-24 01:02:03 UTC"; static buffers, two in turn. */
const char *output_time(uint64_t ms);

/* ---- rdata.c ---- */

/* TYPE number of a mnemonic or TYPE123; 0: neither. */
unsigned rrtype_number(const char *text);
/* "MX", or "TYPE123". */
void rrtype_text(unsigned type, char ret_text[16]);
/* Presentation format; what this program does not know, or what is malformed, as \# length hex
 * (RFC 3597 section 5). The caller frees it; NULL: no memory. */
char *rdata_text(unsigned type, const uint8_t *bytes, size_t count);
