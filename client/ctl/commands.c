/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/ctl/commands.h"

#include <stdio.h>
#include <string.h>

#include "client/ctl/ctl.h"

#define HELP_COLUMN 25
#define HELP_OPERANDS 15

#define PORT                                                                                       \
	{                                                                                          \
		"port", "N", "of the hosts (25)"                                                   \
	}

static const struct command_option port_option[] = {PORT, {0}};
static const struct command_option check_options[] = {PORT, {"host", "NAME", "to that host only"},
    {"insecure-ok", NULL, "as for a mail that says TLS-Required: No (RFC 8689)"},
    {"evidence", "FILE", "keep what it saw, for verify"}, {0}};
static const struct command_option warm_options[] = {PORT,
    {"keep", "DURATION", "kept fresh for so long, asked for or not (4h)"},
    {"rate", "N", "at most so many a second"},
    {"resume-file", "FILE", "where to note how far it came (FILE.resume)"}, {0}};
static const struct command_option verify_options[] = {
    {"trust-anchor", "FILE", "the root keys of that time, else those of dns-root-data"},
    {"public-key", "FILE", "keys to trust, of that time"}, {0}};
static const struct command_option status_options[] = {
    {"ready", NULL, "succeed only when it is ready, too"}, {0}};
static const struct command_option stats_options[] = {
    {"interval", "SECONDS", "again each time, what changed since the time before"}, {0}};
static const struct command_option top_options[] = {
    {"interval", "SECONDS", "between two views (2)"},
    {"once", NULL, "one view, since the daemon's start"}, {0}};
static const struct command_option dump_options[] = {
    {"in-use", NULL, "only what is looked up again before it ends"},
    {"trouble", NULL, "only routes of which something failed, is bogus or stale"},
    {"kind", "KIND", "route, host or records only"}, {0}};
static const struct command_option flush_options[] = {
    PORT, {"all", NULL, "everything, and the workers' own caches"}, {0}};
static const struct command_option match_options[] = {
    {"chain", "FILE", "the certificates, PEM, the leaf first"},
    {"tlsa", "RECORD", "\"3 1 1 HEX\"; may be given often"},
    {"base-domain", "NAME", "TLSA base domain, the first name the certificate may have"},
    {"name", "NAME", "one more; may be given often"}, {"time", "SECONDS", "as of then, since 1970"},
    {0}};
static const struct command_option keys_options[] = {
    {"root", "FILE", "sign: the fleet's root key, as keys make wrote it"},
    {"member", "NAME", "sign: signing.member of the one it is for; else any"},
    {"days", "N", "sign: for so many (90)"},
    {"output", "FILE", "sign: a file that is not there yet; else it is printed"}, {0}};
static const struct command_option doctor_options[] = {
    {"domain", "NEXTHOP", "try a plan for it, too"},
    {"root-server", "ADDRESS", "ask this one, in place of two of the hints; up to four times"},
    {"root-hints", "FILE", "(/usr/share/dns/root.hints)"},
    {"resolv-conf", "FILE", "(/etc/resolv.conf)"},
    {"state-directory", "PATH", "of the daemon (/var/lib/resolverd)"},
    {"postconf", "PATH", "of Postfix (/usr/sbin/postconf)"},
    {"postfix-config", "PATH", "its configuration folder; else its own default"},
    {"exim", "PATH", "the program; else where Debian and others put it"},
    {"exim-config", "FILE", "its configuration; else its own default"}, {0}};

const struct command_option common_options[] = {
    {"socket", "PATH", "socket of the daemon (" RESOLVERD_DEFAULT_SOCKET ")"},
    {"control-socket", "PATH",
	"its control socket, for explain, warm, stats, top, doctor "
	"(" RESOLVERD_DEFAULT_CONTROL_SOCKET ")"},
    {"public-key", "FILE", "keys to trust (" RESOLVERD_DEFAULT_PUBLIC_KEY ")"},
    {"attest", NULL, "have the daemon sign that its answers are of this moment"},
    {"timeout", "SECONDS", "how long to wait (30)"}, {"json", NULL, "print JSON (docs/JSON.md)"},
    {"help", NULL, "of all, or of the command before it"}, {"version", NULL, "print the version"},
    {0}};

const struct command commands[] = {
    {"plan", "NEXTHOP", "how mail may be delivered to a domain or [host]", port_option,
	"Exit status: 0 deliver, 75 delay, 68 no such domain or no host, 69 no mail.\n",
	plan_command},
    {"check", "NEXTHOP", "what a mail would get at its hosts; sends none", check_options,
	"Connects to every host, all at once, up to the end of the TLS handshake.\n"
	"Exit status: as plan, 75 when nothing would be delivered.\n",
	check_command},
    {"explain", "NEXTHOP", "how that comes about, and who can mend what", port_option,
	"Makes the plan anew, past the cache: every lookup in order, the clause that decided\n"
	"each verdict, what the other side or you may mend, and how the result differs from\n"
	"what clients are served. It needs the rights to the control socket, which as a rule\n"
	"only root has; not with --attest. Exit status: as plan.\n",
	explain_command},
    {"host", "NAME", "addresses and TLSA records of one host", port_option,
	"Exit status: 0 secure or insecure, 75 bogus or error.\n", host_command},
    {"lookup", "NAME TYPE", "one RRset with its DNSSEC status", NULL,
	"Exit status: 0 secure or insecure, 75 bogus or error.\n", lookup_command},
    {"watch", "NEXTHOP...", "their plans, and again what changes", port_option,
	"Goes on until it is ended: a line when a verdict changes, what changed in it.\n",
	watch_command},
    {"warm", "FILE", "look up a list of next hops and keep them fresh", warm_options,
	"FILE has next hops, one a line; # begins a comment. Ended early, the same command\n"
	"goes on where it was. It needs the control socket.\n"
	"Exit status: 0 all found, 75 not all, 65 a line that is no next hop, 66 no FILE,\n"
	"73 no resume file.\n",
	warm_command},
    {"verify", "FILE", "check evidence, offline", verify_options,
	"Exit status: 0 it holds, 76 it does not, 65 it is no evidence.\n", verify_command},
    {"status", "", "what the daemon says about itself", status_options,
	"Exit status: 0 it answers, with --ready 75 when it is not ready.\n", status_command},
    {"stats", "", "what was asked, found and served", stats_options,
	"Since the daemon's start, or in intervals. The control socket tells more: what was\n"
	"found, and how long it took.\n",
	stats_command},
    {"top", "", "the same, live in a terminal", top_options,
	"q ends. Where the output is no terminal each view is a block of its own.\n", top_command},
    {"dump", "", "what is in the cache, a line each", dump_options,
	"In no order. It needs the control socket, as flush and reload do.\n", dump_command},
    {"flush", "[NEXTHOP]", "look it up anew, in place of what is cached", flush_options,
	"For when the other side says that it is mended: a worker with empty caches looks the\n"
	"next hop and its hosts up, and what it finds is served from then on; where it fails,\n"
	"what was cached stays. --all empties the cache, for the rare case.\n"
	"Exit status: as plan; with --all 0.\n",
	flush_command},
    {"reload", "", "have the daemon read its configuration again", NULL,
	"Exit status: 0 it is in force, 78 it is not, and what was before stays.\n",
	reload_command},
    {"keys", "[make|sign|list|revoke FILE...]",
	"whom this client trusts, and who vouches for the daemon", keys_options,
	"With a word, for a fleet, on files and without a daemon:\n"
	"  keys make FILE                    a key, and FILE.pub\n"
	"  keys sign --root FILE FILE.pub    makes that key a member's: a membership\n"
	"  keys list FILE...                 what a key ring and memberships say\n"
	"  keys revoke RING FILE.pub|ID...   puts keys out for ever, whoever vouches for them\n"
	"Exit status: 0 a trusted key vouches for the daemon, 76 none does, or a membership\n"
	"does not hold; 65, 66, 73 files that can't be used, read or written.\n",
	keys_command},
    {"match", "", "a certificate chain against TLSA records, offline", match_options,
	"Exit status: 0 match, 1 no match, 2 nothing usable, 65 the chain can't be read.\n",
	match_command},
    {"doctor", "", "what is wrong with this installation, and what to do", doctor_options,
	"Looks at sockets, keys, the daemon, the way out to the DNS, the clock, Postfix, Exim\n"
	"and resolv.conf, changes nothing, and says what to do. As root it sees more.\n"
	"Exit status: 0 nothing has to be mended, 78 something has.\n",
	doctor_command},
    {"completion", "bash|zsh|fish", "a completion script for that shell", NULL, NULL,
	completion_command},
};
const size_t command_count = sizeof commands / sizeof *commands;

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < command_count; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static void print_options(const struct command_option *options)
{
	for (; options != NULL && options->name != NULL; options++) {
		char left[64];
		int n = snprintf(left, sizeof left, "  --%s%s%s", options->name,
		    options->argument != NULL ? " " : "",
		    options->argument != NULL ? options->argument : "");
		if (n > HELP_COLUMN - 2)
			printf("%s\n%*s%s\n", left, HELP_COLUMN, "", options->help);
		else
			printf("%-*s%s\n", HELP_COLUMN, left, options->help);
	}
}

void commands_print_help(void)
{
	puts("Usage: resolverctl [OPTION]... COMMAND [ARGUMENT]...\n\nCommands:");
	for (size_t i = 0; i < command_count; i++)
		if (strlen(commands[i].operands) < HELP_OPERANDS)
			printf("  %-11s%-*s%s\n", commands[i].name, HELP_OPERANDS,
			    commands[i].operands, commands[i].summary);
		else
			printf("  %-11s%s\n%*s%s\n", commands[i].name, commands[i].operands,
			    13 + HELP_OPERANDS, "", commands[i].summary);
	puts("\nOptions:");
	print_options(common_options);
	puts("\nA NEXTHOP is a domain, [host.name] without the MX step, or [address].\n"
	     "resolverctl COMMAND --help says more of one.\n\n"
	     "RESOLVERD_SOCKET, RESOLVERD_CONTROL_SOCKET and RESOLVERD_PUBLIC_KEY change the\n"
	     "defaults.\n\n"
	     "Exit status for all: 64 usage, 75 no daemon or no answer in time, 76 an answer that\n"
	     "does not verify.");
}

void command_print_help(const struct command *command)
{
	printf("Usage: resolverctl %s%s%s%s\n\n%s.\n", command->name,
	    command->operands[0] != '\0' ? " " : "", command->operands,
	    command->options != NULL ? " [OPTION]..." : "", command->summary);
	if (command->details != NULL)
		printf("\n%s", command->details);
	if (command->options != NULL)
		putchar('\n');
	print_options(command->options);
}
