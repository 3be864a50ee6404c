/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * danesend: deliver one message to its recipients' hosts, as resolverd's plans allow.
 * Options, output and exit status: docs/DANESEND.md.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/danesend/danesend.h"
#include "client/lib/clock.h"
#include "client/lib/idn.h"
#include "client/smtp/helo.h"

#define DEFAULT_MAX_BYTES (UINT64_C(1) << 30)
#define MAX_TIMEOUT_S 3600.0
#define MAX_DEADLINE_S 604800.0
#define DEFAULT_DEADLINE_MS (UINT64_C(4) * 3600 * 1000) /* a gibibyte at 600 kbit/s */

struct arguments {
	struct run run;
	bool has_from;
	bool json;
	uint64_t max_bytes;
	uint64_t limit_ms; /* of everything */
};

static const char help[] =
    "Usage: danesend --from ADDRESS --to ADDRESS... [OPTION]... < MESSAGE\n\n"
    "Delivers a message over SMTP, as DANE demands (RFC 7672): asks resolverd how, and\n"
    "gives nothing to a host that is not who the signed DNS says.\n\n"
    "  --from ADDRESS      envelope sender; \"\" or \"<>\" for none\n"
    "  --to ADDRESS        recipient; may be given often\n"
    "  --next-hop NEXTHOP  a domain, [host] or [address] to deliver to instead of the\n"
    "                      recipients' domains\n"
    "  --port N            (25)\n"
    "  --require-tls       only over authenticated TLS to a host that promises the same\n"
    "                      (RFC 8689)\n"
    "  --timeout SECONDS   for each wait; else the times of RFC 5321\n"
    "  --deadline SECONDS  for all of it together (14400)\n"
    "  --max-size OCTETS   refuse a longer message (1073741824)\n"
    "  --helo NAME         name to greet with; else the host's\n"
    "  --evidence FILE     keep what was seen, for resolverctl verify\n"
    "  --json              one JSON object for each recipient\n"
    "  --socket PATH       socket of the daemon (" RESOLVERD_DEFAULT_SOCKET ")\n"
    "  --public-key FILE   keys to trust (" RESOLVERD_DEFAULT_PUBLIC_KEY ")\n"
    "  --help, --version\n\n"
    "Prints \"recipient status dsn reason\" for each. Exit status: 0 all delivered, 75 some are\n"
    "to be tried again, 69 some refused for good, 68 all of these because there is no such\n"
    "domain or host, 65 a message that can't be sent, 64 usage, 71 trouble of this system,\n"
    "76 an answer of resolverd that does not verify.\n";

[[gnu::format(printf, 2, 3)]] static int complain(int status, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fputs("danesend: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return status;
}

/* ---- arguments: 0, or an exit status ---- */

static int take_number(const char *text, uint64_t low, uint64_t high, uint64_t *ret_number)
{
	char *end;
	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *ret_number >= low &&
	    *ret_number <= high)
		return 0;
	return complain(
	    EXIT_WRONG_USAGE, "\"%s\" is no number from %" PRIu64 " to %" PRIu64, text, low, high);
}

static int take_seconds(const char *text, double max_s, uint64_t *ret_ms)
{
	char *end;
	double seconds = strtod(text, &end);
	if (end == text || *end != '\0' || !(seconds > 0) || seconds > max_s)
		return complain(
		    EXIT_WRONG_USAGE, "\"%s\" is no number of seconds up to %.0f", text, max_s);
	*ret_ms = seconds < 0.001 ? 1 : (uint64_t)(seconds * 1000);
	return 0;
}

static int take_helo(struct run *run, const char *text)
{
	char detail[DETAIL_MAX];
	if (idn_name(text, run->helo, detail) != 0)
		return complain(EXIT_WRONG_USAGE, "--helo: %s", detail);
	if (run->helo[strspn(run->helo, "abcdefghijklmnopqrstuvwxyz0123456789-.")] != '\0')
		return complain(EXIT_WRONG_USAGE, "--helo: \"%s\" is no host name", text);
	return 0;
}

static int take_from(struct arguments *arguments, const char *text)
{
	char detail[ADDRESS_DETAIL_MAX];
	arguments->has_from = true;
	return address_parse(text, true, &arguments->run.from, detail) == 0
		   ? 0
		   : complain(EXIT_WRONG_USAGE, "--from: %s", detail);
}

static int take_recipient(struct run *run, const char *text)
{
	char detail[ADDRESS_DETAIL_MAX];
	struct recipient *more =
	    realloc(run->recipients, (run->recipient_count + 1) * sizeof *more);
	if (more == NULL)
		return complain(EXIT_TROUBLE, "out of memory");
	run->recipients = more;
	struct recipient *recipient = &more[run->recipient_count];
	memset(recipient, 0, sizeof *recipient);
	if (address_parse(text, false, &recipient->address, detail) != 0)
		return complain(EXIT_WRONG_USAGE, "--to: %s", detail);
	run->recipient_count++;
	return 0;
}

static int take_next_hop(struct run *run, const char *text)
{
	struct next_hop hop;
	char detail[DETAIL_MAX];
	if (idn_next_hop(text, &hop, detail) != 0)
		return complain(EXIT_WRONG_USAGE, "--next-hop: %s", detail);
	run->next_hop = text;
	return 0;
}

enum {
	OPTION_FROM = 1,
	OPTION_TO,
	OPTION_NEXT_HOP,
	OPTION_PORT,
	OPTION_REQUIRE_TLS,
	OPTION_TIMEOUT,
	OPTION_DEADLINE,
	OPTION_MAX_SIZE,
	OPTION_HELO,
	OPTION_EVIDENCE,
	OPTION_JSON,
	OPTION_SOCKET,
	OPTION_PUBLIC_KEY,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option options[] = {
    {"from", required_argument, NULL, OPTION_FROM},
    {"to", required_argument, NULL, OPTION_TO},
    {"next-hop", required_argument, NULL, OPTION_NEXT_HOP},
    {"port", required_argument, NULL, OPTION_PORT},
    {"require-tls", no_argument, NULL, OPTION_REQUIRE_TLS},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"deadline", required_argument, NULL, OPTION_DEADLINE},
    {"max-size", required_argument, NULL, OPTION_MAX_SIZE},
    {"helo", required_argument, NULL, OPTION_HELO},
    {"evidence", required_argument, NULL, OPTION_EVIDENCE},
    {"json", no_argument, NULL, OPTION_JSON},
    {"socket", required_argument, NULL, OPTION_SOCKET},
    {"public-key", required_argument, NULL, OPTION_PUBLIC_KEY},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};

static int take_option(struct arguments *arguments, int option, const char *value)
{
	struct run *run = &arguments->run;
	uint64_t number = 0;
	int r = 0;
	switch (option) {
	case OPTION_FROM:
		return take_from(arguments, value);
	case OPTION_TO:
		return take_recipient(run, value);
	case OPTION_NEXT_HOP:
		return take_next_hop(run, value);
	case OPTION_PORT:
		r = take_number(value, 1, 65535, &number);
		run->port = r == 0 ? (unsigned)number : 0;
		return r;
	case OPTION_REQUIRE_TLS:
		run->requiretls = true;
		return 0;
	case OPTION_TIMEOUT:
		r = take_seconds(value, MAX_TIMEOUT_S, &number);
		run->step_limit_ms = r == 0 ? (unsigned)number : 0;
		return r;
	case OPTION_DEADLINE:
		return take_seconds(value, MAX_DEADLINE_S, &arguments->limit_ms);
	case OPTION_MAX_SIZE:
		return take_number(value, 1, INT64_MAX, &arguments->max_bytes);
	case OPTION_HELO:
		return take_helo(run, value);
	case OPTION_EVIDENCE:
		run->evidence_file = value;
		return 0;
	case OPTION_JSON:
		arguments->json = true;
		return 0;
	case OPTION_SOCKET:
		run->daemon.socket_path = value;
		return 0;
	case OPTION_PUBLIC_KEY:
		run->daemon.public_key_file = value;
		return 0;
	default:
		return complain(EXIT_WRONG_USAGE, "wrong option (see --help)");
	}
}

/* -1: go on; else an exit status. */
static int parse_arguments(struct arguments *arguments, int argc, char **argv)
{
	int c, r = 0;
	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == OPTION_HELP)
			return fputs(help, stdout) < 0;
		if (c == OPTION_VERSION)
			return printf("danesend %s\n", resolverd_version()) < 0;
		r = take_option(arguments, c, optarg);
	}
	if (r != 0)
		return r;
	if (optind < argc)
		return complain(
		    EXIT_WRONG_USAGE, "\"%s\": recipients go behind --to", argv[optind]);
	if (!arguments->has_from || arguments->run.recipient_count == 0)
		return complain(EXIT_WRONG_USAGE, "--from and --to are needed (see --help)");
	if (arguments->run.helo[0] == '\0')
		smtp_default_helo(arguments->run.helo);
	return -1;
}

/* ---- the run ---- */

static int read_message(struct arguments *arguments)
{
	struct message *message = &arguments->run.message;
	int r = message_read(STDIN_FILENO, arguments->max_bytes, message);
	if (r == 0)
		return 0;
	return complain(r == -EBADMSG || r == -EFBIG ? EXIT_BAD_MESSAGE : EXIT_DELAYED, "%s",
	    message->complaint);
}

static int exit_status(const struct run *run)
{
	bool any_failed = false, any_other = false;
	if (run->not_verified)
		return EXIT_NOT_VERIFIED;
	for (size_t i = 0; i < run->recipient_count; i++) {
		const struct recipient *recipient = &run->recipients[i];
		if (recipient->smtp.fate == SMTP_FAILED) {
			any_failed = true;
			any_other |= !recipient->no_such_host;
		} else if (recipient->smtp.fate != SMTP_DELIVERED) {
			return EXIT_DELAYED;
		}
	}
	return !any_failed ? 0 : any_other ? EXIT_REFUSED : EXIT_NO_SUCH_HOST;
}

static int send_it(struct arguments *arguments)
{
	struct run *run = &arguments->run;
	for (size_t i = 0; i < run->recipient_count; i++) { /* where they stay from now on */
		struct recipient *recipient = &run->recipients[i];
		recipient->smtp.address = recipient->address.text;
		recipient->next_hop =
		    run->next_hop != NULL ? run->next_hop : recipient->address.next_hop;
	}
	run->deadline_ms = clock_mono_ms() + (int64_t)arguments->limit_ms;
	int r = deliver(run);
	if (r == -EINVAL)
		return complain(EXIT_WRONG_USAGE, "the socket path is too long");
	if (r != 0)
		return complain(EXIT_TROUBLE, "%s", strerror(-r));
	if (!arguments->json)
		output_lines(run);
	else if (output_json(run) != 0)
		return complain(EXIT_TROUBLE, "out of memory");
	r = exit_status(run);
	/* What became of the mail must not get lost: somebody would send it again. */
	if (fflush(stdout) != 0 || ferror(stdout))
		return complain(EXIT_TROUBLE, "cannot write the output: %s", strerror(errno));
	return r;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {.run = {.port = 25, .message = {.fd = -1}},
	    .max_bytes = DEFAULT_MAX_BYTES,
	    .limit_ms = DEFAULT_DEADLINE_MS};
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	int r = parse_arguments(&arguments, argc, argv);
	if (r < 0)
		r = read_message(&arguments);
	else if (r == 0)
		return 0; /* --help, --version */
	if (r == 0)
		r = send_it(&arguments);
	message_fini(&arguments.run.message);
	for (size_t i = 0; i < arguments.run.recipient_count; i++)
		free(arguments.run.recipients[i].evidence);
	free(arguments.run.recipients);
	return r;
}
