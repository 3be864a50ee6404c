/* SPDX-License-Identifier: BSD-3-Clause */
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>

#include "resolverd/anchor/anchor.h"
#include "resolverd/base/anchor.h"
#include "resolverd/base/config.h"
#include "resolverd/base/domains.h"
#include "resolverd/base/log.h"
#include "resolverd/base/role.h"
#include "resolverd/base/sandbox.h"
#include "resolverd/base/store.h"
#include "resolverd/fleet/helper.h"
#include "resolverd/server/server.h"
#include "resolverd/supervisor/supervisor.h"
#include "resolverd/worker/worker.h"

#define DEFAULT_CONFIG "/etc/resolverd/resolverd.conf"
#define CHECK_CPU_S 5 /* of a trial: some milliseconds do */

static const char usage[] =
    "Usage: resolverd [--config FILE] [--set section.key=value]... [--check-config]\n"
    "                 [--log-format text|json] [--version]\n"
    "Serves DNSSEC-validated, signed mail routing and TLSA answers on a Unix socket.\n"
    "  --config FILE        default " DEFAULT_CONFIG " where it exists\n"
    "  --set S.K=VALUE      overrides one key of the file; may be repeated\n"
    "  --check-config       checks the configuration and exits\n"
    "  --log-format FORMAT  text (default) or json\n"
    "  --version, --help\n"
    "RESOLVERD_LOG_FORMAT=json in the environment does the same as --log-format json.\n";

struct arguments {
	const char *config_file, *role;
	const char **set; /* NULL-terminated */
	bool config_is_default, check_only;
};

enum {
	OPTION_CONFIG = 256,
	OPTION_SET,
	OPTION_CHECK,
	OPTION_VERSION,
	OPTION_HELP,
	OPTION_ROLE,
	OPTION_LOG_FORMAT
};

/* Returns -1 to go on, else the exit code. */
static int read_arguments(int argc, char **argv, struct arguments *arguments)
{
	static const struct option options[] = {{"config", required_argument, NULL, OPTION_CONFIG},
	    {"set", required_argument, NULL, OPTION_SET},
	    {"check-config", no_argument, NULL, OPTION_CHECK},
	    {"version", no_argument, NULL, OPTION_VERSION},
	    {"help", no_argument, NULL, OPTION_HELP},
	    {"role", required_argument, NULL, OPTION_ROLE},
	    {"log-format", required_argument, NULL, OPTION_LOG_FORMAT}, {NULL, 0, NULL, 0}};
	size_t set_count = 0;
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case OPTION_CONFIG:
			arguments->config_file = optarg;
			break;
		case OPTION_SET:
			arguments->set[set_count++] = optarg;
			break;
		case OPTION_CHECK:
			arguments->check_only = true;
			break;
		case OPTION_ROLE: /* how the supervisor starts the others */
			arguments->role = optarg;
			break;
		case OPTION_LOG_FORMAT: /* by the environment, which the other roles inherit */
			if (strcmp(optarg, "text") != 0 && strcmp(optarg, "json") != 0) {
				fprintf(
				    stderr, "resolverd: --log-format is text or json\n%s", usage);
				return EX_USAGE;
			}
			setenv("RESOLVERD_LOG_FORMAT", optarg, 1);
			log_open("start");
			break;
		case OPTION_VERSION:
			puts("resolverd " RESOLVERD_VERSION);
			return EX_OK;
		case OPTION_HELP:
			fputs(usage, stdout);
			return EX_OK;
		default:
			fputs(usage, stderr);
			return EX_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "resolverd: unexpected argument '%s'\n%s", argv[optind], usage);
		return EX_USAGE;
	}
	return -1;
}

/* NULL after saying why. A default file that is not there is an empty one. */
static char *read_config(struct arguments *arguments)
{
	char error[700];
	arguments->config_is_default = arguments->config_file == NULL;
	if (arguments->config_is_default)
		arguments->config_file = DEFAULT_CONFIG;
	char *text = config_read_file(
	    arguments->config_file, arguments->config_is_default, error, sizeof error);
	if (text == NULL)
		log_error("configuration", "%s", error);
	return text;
}

/* What only libunbound knows to be wrong. Files may come later, but not for a reload. */
static int check_for_workers(const struct config *config, bool files_may_lack)
{
	char error[400];
	int r = worker_check(config, error, sizeof error);
	if (r == -ENOENT && files_may_lack)
		log_warning("configuration", "%s", error);
	else if (r != 0)
		log_error("configuration", "%s", error);
	return r == 0 || (r == -ENOENT && files_may_lack) ? EX_OK : EX_CONFIG;
}

/* On trial, with files to read and, but for the network, nothing else. */
static int check_role(const struct config *config)
{
	const struct sandbox_path paths[] = {{config->server.state_directory, false},
	    {config->resolver.trust_anchor_file, false}, {config->resolver.root_hints, false}};
	const struct rlimit patience = {CHECK_CPU_S, CHECK_CPU_S};
	char error[700];
	(void)setrlimit(RLIMIT_CPU, &patience); /* the supervisor waits for it */
	if (domains_check(config->prefetch.domains_file, error, sizeof error) != 0) {
		log_error("configuration", "%s", error);
		return EX_CONFIG;
	}
	if (sandbox_enter(
		&(struct sandbox){SANDBOX_TRIAL, paths, sizeof paths / sizeof *paths}, config) != 0)
		return EX_OSERR;
	return check_for_workers(config, false);
}

static int run_role(const char *role, struct config *config, const struct config_source *source)
{
	unsigned index;
	if (strcmp(role, "server") == 0)
		return server_main(config, source);
	if (strcmp(role, ANCHOR_ROLE) == 0)
		return anchor_main(config);
	if (strcmp(role, FLEET_ROLE) == 0)
		return helper_main(config);
	if (strcmp(role, "check") == 0)
		return check_role(config);
	if (sscanf(role, "worker:%u", &index) == 1)
		return worker_main(config, index);
	log_error("usage", "there is no role '%s'", role);
	return EX_USAGE;
}

/* What was started by hand, or by the service manager. */
static int run_first(const struct arguments *arguments, struct config *config, const char *text)
{
	struct supervisor_start start = {.config = config,
	    .config_file = arguments->config_file,
	    .config_optional = arguments->config_is_default,
	    .config_text = text,
	    .set = arguments->set};
	char error[700];
	if (domains_check(config->prefetch.domains_file, error, sizeof error) != 0 ||
	    access_resolve(config, &start.access, error, sizeof error) != 0) {
		log_error("configuration", "%s", error);
		return EX_CONFIG;
	}
	return arguments->check_only ? check_for_workers(config, true) : supervisor_main(&start);
}

int main(int argc, char **argv)
{
	struct arguments arguments = {.set = calloc((size_t)argc + 1, sizeof(char *))};
	log_open("start");
	sandbox_forbid_dumps();
	signal(SIGPIPE, SIG_IGN); /* for all roles: not even a closed stderr ends the daemon */
	int exit_code = arguments.set != NULL ? read_arguments(argc, argv, &arguments) : EX_OSERR;
	if (exit_code != -1) {
		free(arguments.set);
		return exit_code;
	}
	struct config config;
	char error[700];
	char *text =
	    arguments.role != NULL ? role_read_config(ROLE_FD_CONFIG) : read_config(&arguments);
	struct config_source source = {
	    .file = arguments.config_file, .text = text, .set = arguments.set};
	if (sodium_init() < 0)
		exit_code = EX_SOFTWARE;
	else if (text == NULL)
		exit_code = EX_CONFIG;
	else if (config_parse(&source, error, sizeof error, &config) != 0) {
		log_error("configuration", "%s", error);
		exit_code = EX_CONFIG;
	} else {
		if (arguments.role != NULL)
			exit_code = run_role(arguments.role, &config, &source);
		else
			exit_code = run_first(&arguments, &config, text);
		config_fini(&config);
	}
	free(text);
	free(arguments.set);
	return exit_code;
}
