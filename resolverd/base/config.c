/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/base/config.h"

#include <confuse.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

struct unit {
	const char *suffix;
	int64_t factor;
};

static int64_t with_unit(const char *text, const struct unit *units)
{
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (end == text || errno != 0 || value < 0)
		return -1;
	for (; units->suffix != NULL; units++)
		if (strcmp(end, units->suffix) == 0)
			return value > INT64_MAX / 4 / units->factor ? -1 : value * units->factor;
	return -1;
}

int64_t config_duration_ms(const char *text)
{
	static const struct unit units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000},
	    {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
	return with_unit(text, units);
}

int64_t config_size_bytes(const char *text)
{
	static const struct unit units[] = {
	    {"", 1}, {"k", 1 << 10}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {NULL, 0}};
	return with_unit(text, units);
}

/* ---- the tables: one row is all that a key needs ---- */

/* Checked by check_value when set; the text of the default is in the table too. */
enum value_kind { TEXT, SOCKET_PATH, DURATION, SIZE, COUNT, MODE, INSECURE_MX };

struct key {
	const char *section, *name, *initial;
	enum value_kind kind;
	long low, high; /* COUNT; DURATION in milliseconds */
};

static const struct key keys[] = {
    {"server", "socket", "/run/resolverd/resolverd.sock", SOCKET_PATH, 0, 0},
    {"server", "control-socket", "/run/resolverd/control.sock", SOCKET_PATH, 0, 0},
    {"server", "socket-mode", "0660", MODE, 0, 0},
    {"server", "socket-group", "", TEXT, 0, 0},
    {"server", "state-directory", "/var/lib/resolverd", TEXT, 0, 0},
    {"server", "max-clients", "10000", COUNT, 1, 1000000},
    {"signing", "key-file", "", TEXT, 0, 0},
    {"signing", "public-key-file", "/run/resolverd/resolverd.pub", TEXT, 0, 0},
    {"signing", "member", "", TEXT, 0, 0},
    {"cache", "max-memory", "256M", SIZE, 0, 0},
    {"cache", "min-ttl", "0", DURATION, 0, 86400000},
    {"cache", "max-ttl", "1d", DURATION, 1000, 604800000},
    {"cache", "failure-ttl", "15s", DURATION, 100, 300000},
    {"resolver", "workers", "0", COUNT, 0, 64},
    {"resolver", "root-hints", "/usr/share/dns/root.hints", TEXT, 0, 0},
    {"resolver", "trust-anchor-file", "/usr/share/dns/root.key", TEXT, 0, 0},
    {"resolver", "deadline", "10s", DURATION, 100, 300000},
    {"resolver", "insecure-mx-policy", "dane", INSECURE_MX, 0, 0},
};
#define KEY_COUNT (sizeof keys / sizeof *keys)

/* libunbound options that are passed on as they are. */
static const char *const unbound_allowed[] = {"do-not-query-localhost", "do-ip4", "do-ip6",
    "prefer-ip4", "prefer-ip6", "outgoing-interface", "outgoing-range", "outgoing-num-tcp",
    "num-queries-per-thread", "msg-cache-size", "rrset-cache-size", "key-cache-size",
    "neg-cache-size", "infra-cache-numhosts", "infra-host-ttl", "infra-cache-min-rtt",
    "infra-keep-probing", "edns-buffer-size", "max-udp-size", "so-rcvbuf", "so-sndbuf",
    "tcp-upstream", "tcp-mss", "outgoing-tcp-mss", "tcp-idle-timeout", "jostle-timeout",
    "delay-close", "unknown-server-time-limit", "discard-timeout", "wait-limit",
    "target-fetch-policy", "verbosity", "do-tcp", "do-udp", "log-queries"};
#define UNBOUND_ALLOWED (sizeof unbound_allowed / sizeof *unbound_allowed)

static const struct {
	const char *name, *instead;
} unbound_refused[] = {
    {"trust-anchor", "resolver.trust-anchor-file"},
    {"trust-anchor-file", "resolver.trust-anchor-file"},
    {"auto-trust-anchor-file", "resolver.trust-anchor-file"},
    {"trusted-keys-file", "resolver.trust-anchor-file"},
    {"root-hints", "resolver.root-hints"},
    {"forward-zone", "resolver.forward"},
    {"stub-zone", "resolver.forward"},
    {"domain-insecure", "nothing: validation is not switched off by name"},
    {"module-config", "nothing: validation is always on"},
    {"val-permissive-mode", "nothing: validation is always on"},
    {"val-override-date", "nothing: the clock is the clock"},
    {"val-sig-skew-min", "nothing: signatures are valid in their time only"},
    {"val-sig-skew-max", "nothing: signatures are valid in their time only"},
    {"val-bogus-ttl", "cache.failure-ttl"},
    {"ignore-cd-flag", "nothing: validation is always on"},
    {"harden-dnssec-stripped", "nothing: it stays on"},
    {"cache-max-ttl", "cache.max-ttl"},
    {"cache-min-ttl", "cache.min-ttl"},
    {"serve-expired", "nothing: expired data is never served"},
    {"logfile", "nothing: the log goes to stderr"},
    {"local-zone", "nothing: local data has no place in a validated answer"},
    {"local-data", "nothing: local data has no place in a validated answer"},
};
#define UNBOUND_REFUSED (sizeof unbound_refused / sizeof *unbound_refused)

#define MEMBER_MAX 120u /* a delegation has to fit its message, and clients' room */

static int invalid_char(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ')
			return 1;
	return 0;
}

/* What is wrong with the value, or NULL. */
static const char *value_problem(const struct key *key, const char *value)
{
	int64_t number;
	char *end;
	if (invalid_char(value))
		return "has a control character";
	switch (key->kind) {
	case SOCKET_PATH:
		if (value[0] != '/')
			return "must be an absolute path";
		if (strlen(value) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
			return "is too long for a Unix socket (107 bytes at most); use a shorter "
			       "path";
		return NULL;
	case DURATION:
		number = config_duration_ms(value);
		if (number < 0)
			return "is no duration; write for example 30, 30s, 5m, 2h or 1d";
		return number < key->low || number > key->high ? "is outside the allowed range"
							       : NULL;
	case SIZE:
		number = config_size_bytes(value);
		return number < (1 << 20)
			   ? "is no size of at least 1M; write for example 256M or 2G"
			   : NULL;
	case COUNT:
		number = strtol(value, &end, 10);
		if (end == value || *end != '\0')
			return "is no number";
		return number < key->low || number > key->high ? "is outside the allowed range"
							       : NULL;
	case MODE:
		number = strtol(value, &end, 8);
		return end == value || *end != '\0' || number < 0 || number > 0777
			   ? "is no octal mode such as 0660"
			   : NULL;
	case INSECURE_MX:
		return strcmp(value, "dane") != 0 && strcmp(value, "opportunistic") != 0 &&
			       strcmp(value, "unreachable") != 0
			   ? "must be dane, opportunistic or unreachable"
			   : NULL;
	default:
		return strcmp(key->name, "member") == 0 && strlen(value) > MEMBER_MAX
			   ? "is longer than 120 bytes"
			   : NULL;
	}
}

/* ---- libconfuse ---- */

/* libconfuse takes the end of the file for the end of every open section. So a top-level option of
 * ours stands behind the text: inside a section that was left open it is unknown. */
#define END_MARK "end-of-file-mark"

struct collector { /* reached through the error callback, which has no argument of its own */
	char *error;
	size_t error_bytes;
	const char *file; /* NULL once the file is read; libconfuse's sections do not know it */
};
static _Thread_local struct collector collecting;

static void on_error(cfg_t *cfg, const char *format, va_list args)
{
	if (collecting.error == NULL || collecting.error[0] != '\0')
		return; /* the first error is the one to mend first */
	char text[300];
	vsnprintf(text, sizeof text, format, args);
	if (strstr(text, END_MARK) != NULL)
		snprintf(text, sizeof text, "the section '%s' is not closed with }", cfg_name(cfg));
	if (collecting.file != NULL && cfg != NULL)
		snprintf(collecting.error, collecting.error_bytes, "%s:%d: %s", collecting.file,
		    cfg->line, text);
	else
		snprintf(collecting.error, collecting.error_bytes, "%s", text);
}

static const struct key *key_find(const char *section, const char *name)
{
	for (size_t i = 0; i < KEY_COUNT; i++)
		if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static int on_value(cfg_t *section, cfg_opt_t *opt)
{
	const struct key *key = key_find(cfg_name(section), cfg_opt_name(opt));
	const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	const char *problem = key != NULL && value != NULL ? value_problem(key, value) : NULL;
	if (problem == NULL)
		return 0;
	cfg_error(section, "%s.%s = \"%s\" %s", key->section, key->name, value, problem);
	return -1;
}

static int on_refused(cfg_t *section, cfg_opt_t *opt)
{
	for (size_t i = 0; i < UNBOUND_REFUSED; i++)
		if (strcmp(unbound_refused[i].name, cfg_opt_name(opt)) == 0)
			cfg_error(section, "unbound.%s is not passed on; use %s", cfg_opt_name(opt),
			    unbound_refused[i].instead);
	return -1;
}

/* Room for every key of a section, the lists, and the terminator. */
#define SECTION_OPTIONS 64

static void section_options(const char *section, cfg_opt_t options[SECTION_OPTIONS])
{
	size_t n = 0;
	for (size_t i = 0; i < KEY_COUNT; i++)
		if (strcmp(keys[i].section, section) == 0)
			options[n++] = (cfg_opt_t)CFG_STR(keys[i].name, keys[i].initial, CFGF_NONE);
	if (strcmp(section, "resolver") == 0) {
		options[n++] = (cfg_opt_t)CFG_STR_LIST("forward", NULL, CFGF_NONE);
		options[n++] = (cfg_opt_t)CFG_STR_LIST("digests", "{sha512, sha256}", CFGF_NONE);
	}
	if (strcmp(section, "unbound") == 0) {
		for (size_t i = 0; i < UNBOUND_ALLOWED; i++)
			options[n++] = (cfg_opt_t)CFG_STR(unbound_allowed[i], NULL, CFGF_NONE);
		for (size_t i = 0; i < UNBOUND_REFUSED; i++)
			options[n++] = (cfg_opt_t)CFG_STR(unbound_refused[i].name, NULL, CFGF_NONE);
	}
	options[n] = (cfg_opt_t)CFG_END();
}
_Static_assert(UNBOUND_ALLOWED + UNBOUND_REFUSED < SECTION_OPTIONS, "section_options has room");

static const char *const sections[] = {"server", "signing", "cache", "resolver", "unbound"};
#define SECTION_COUNT (sizeof sections / sizeof *sections)

static cfg_t *schema_new(void)
{
	cfg_opt_t options[SECTION_COUNT][SECTION_OPTIONS], top[SECTION_COUNT + 2];
	for (size_t i = 0; i < SECTION_COUNT; i++) {
		section_options(sections[i], options[i]);
		top[i] = (cfg_opt_t)CFG_SEC(sections[i], options[i], CFGF_NONE);
	}
	top[SECTION_COUNT] = (cfg_opt_t)CFG_BOOL(END_MARK, cfg_false, CFGF_NONE);
	top[SECTION_COUNT + 1] = (cfg_opt_t)CFG_END();
	cfg_t *cfg = cfg_init(top, CFGF_NONE); /* copies the tables */
	if (cfg == NULL)
		return NULL;
	cfg_set_error_function(cfg, on_error);
	for (size_t i = 0; i < SECTION_COUNT; i++) /* made before it was set */
		cfg_set_error_function(cfg_getsec(cfg, sections[i]), on_error);
	char path[128];
	for (size_t i = 0; i < KEY_COUNT; i++) {
		snprintf(path, sizeof path, "%s|%s", keys[i].section, keys[i].name);
		cfg_set_validate_func(cfg, path, on_value);
	}
	for (size_t i = 0; i < UNBOUND_REFUSED; i++) {
		snprintf(path, sizeof path, "unbound|%s", unbound_refused[i].name);
		cfg_set_validate_func(cfg, path, on_refused);
	}
	return cfg;
}

/* section.key=value from the command line; lists take commas. */
static int apply_set(cfg_t *cfg, const char *set, char *error, size_t error_bytes)
{
	char text[512], *dot, *equals;
	snprintf(text, sizeof text, "%s", set);
	equals = strchr(text, '=');
	dot = strchr(text, '.');
	if (strlen(set) >= sizeof text || equals == NULL || dot == NULL || dot > equals) {
		snprintf(error, error_bytes, "--set %.100s: write --set section.key=value", set);
		return -EINVAL;
	}
	*dot = *equals = '\0';
	cfg_t *section = NULL;
	for (size_t i = 0; i < SECTION_COUNT; i++)
		if (strcmp(sections[i], text) == 0)
			section = cfg_getsec(cfg, text);
	cfg_opt_t *opt = NULL;
	for (unsigned i = 0; section != NULL && i < cfg_num(section); i++)
		if (strcmp(cfg_opt_name(cfg_getnopt(section, i)), dot + 1) == 0)
			opt = cfg_getnopt(section, i);
	if (opt == NULL) {
		snprintf(error, error_bytes, "--set %.100s: there is no key '%s.%s'", set, text,
		    dot + 1);
		return -EINVAL;
	}
	char *values[16] = {equals + 1};
	unsigned count = 1;
	if (opt->flags & CFGF_LIST)
		for (char *comma = strchr(values[0], ','); comma != NULL && count < 16;
		     comma = strchr(values[count - 1], ',')) {
			*comma = '\0';
			values[count++] = comma + 1;
		}
	if (cfg_opt_setmulti(section, opt, count, values) == CFG_SUCCESS &&
	    (opt->validcb == NULL || opt->validcb(section, opt) == 0))
		return 0;
	char why[400];
	snprintf(why, sizeof why, "%s", error);
	snprintf(error, error_bytes, "--set %.100s: %s", set, why[0] != '\0' ? why : "bad value");
	return -EINVAL;
}

/* ---- into our struct ---- */

static int take_lists(cfg_t *cfg, struct config *config, char *error, size_t error_bytes)
{
	cfg_t *resolver = cfg_getsec(cfg, "resolver");
	unsigned count = cfg_size(resolver, "forward");
	config->resolver.forward = calloc(count + 1, sizeof(char *));
	if (config->resolver.forward == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++)
		config->resolver.forward[i] = strdup(cfg_getnstr(resolver, "forward", i));
	count = cfg_size(resolver, "digests");
	for (unsigned i = 0; i < count; i++) {
		const char *digest = cfg_getnstr(resolver, "digests", i);
		int type = strcmp(digest, "sha256") == 0   ? 1
			   : strcmp(digest, "sha512") == 0 ? 2
							   : 0;
		bool twice =
		    config->resolver.digest_count > 0 && config->resolver.digests[0] == type;
		if (type == 0 || twice || config->resolver.digest_count == 2) {
			snprintf(error, error_bytes,
			    "resolver.digests: '%s' must be sha512 or sha256, each once", digest);
			return -EINVAL;
		}
		config->resolver.digests[config->resolver.digest_count++] = (uint8_t)type;
	}
	if (config->resolver.digest_count == 0) {
		snprintf(error, error_bytes,
		    "resolver.digests is empty: name sha512, sha256 or both, best first");
		return -EINVAL;
	}
	cfg_t *unbound = cfg_getsec(cfg, "unbound");
	config->unbound = calloc(UNBOUND_ALLOWED, sizeof *config->unbound);
	if (config->unbound == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < UNBOUND_ALLOWED; i++) {
		const char *value = cfg_getstr(unbound, unbound_allowed[i]);
		if (value != NULL)
			config->unbound[config->unbound_count++] =
			    (struct config_option){unbound_allowed[i], strdup(value)};
	}
	return 0;
}

static void take_member(struct config *config)
{
	char host[HOST_NAME_MAX + 1] = "resolverd";
	if (config->signing.member[0] != '\0' || gethostname(host, sizeof host - 1) != 0)
		return;
	free(config->signing.member);
	config->signing.member = strdup(host);
}

static int take(cfg_t *cfg, struct config *config, char *error, size_t error_bytes)
{
	cfg_t *server = cfg_getsec(cfg, "server"), *signing = cfg_getsec(cfg, "signing"),
	      *cache = cfg_getsec(cfg, "cache"), *resolver = cfg_getsec(cfg, "resolver");
	config->server.socket = strdup(cfg_getstr(server, "socket"));
	config->server.control_socket = strdup(cfg_getstr(server, "control-socket"));
	config->server.state_directory = strdup(cfg_getstr(server, "state-directory"));
	config->server.socket_mode = (mode_t)strtol(cfg_getstr(server, "socket-mode"), NULL, 8);
	const char *group = cfg_getstr(server, "socket-group");
	config->server.socket_group = group[0] != '\0' ? strdup(group) : NULL;
	config->server.max_clients = (uint32_t)strtol(cfg_getstr(server, "max-clients"), NULL, 10);
	config->signing.public_key_file = strdup(cfg_getstr(signing, "public-key-file"));
	config->signing.member = strdup(cfg_getstr(signing, "member"));
	take_member(config);
	const char *key_file = cfg_getstr(signing, "key-file");
	if (key_file[0] != '\0')
		config->signing.key_file = strdup(key_file);
	else if (asprintf(&config->signing.key_file, "%s/signing.key",
		     config->server.state_directory) < 0)
		return -ENOMEM;
	config->cache.max_memory_bytes =
	    (uint64_t)config_size_bytes(cfg_getstr(cache, "max-memory"));
	config->cache.min_ttl_ms = config_duration_ms(cfg_getstr(cache, "min-ttl"));
	config->cache.max_ttl_ms = config_duration_ms(cfg_getstr(cache, "max-ttl"));
	config->cache.failure_ttl_ms = config_duration_ms(cfg_getstr(cache, "failure-ttl"));
	config->resolver.workers = (uint32_t)strtol(cfg_getstr(resolver, "workers"), NULL, 10);
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	if (config->resolver.workers == 0)
		config->resolver.workers = cores > 4 ? 4 : cores < 2 ? 2 : (uint32_t)cores;
	config->resolver.root_hints = strdup(cfg_getstr(resolver, "root-hints"));
	config->resolver.trust_anchor_file = strdup(cfg_getstr(resolver, "trust-anchor-file"));
	config->resolver.deadline_ms =
	    (uint32_t)config_duration_ms(cfg_getstr(resolver, "deadline"));
	const char *insecure = cfg_getstr(resolver, "insecure-mx-policy");
	config->resolver.insecure_mx_policy =
	    insecure[0] == 'd'   ? RESOLVERD__V1__INSECURE_MX_POLICY__INSECURE_MX_DANE
	    : insecure[0] == 'o' ? RESOLVERD__V1__INSECURE_MX_POLICY__INSECURE_MX_OPPORTUNISTIC
				 : RESOLVERD__V1__INSECURE_MX_POLICY__INSECURE_MX_UNREACHABLE;
	return take_lists(cfg, config, error, error_bytes);
}

int config_parse(
    const struct config_source *source, char *error, size_t error_bytes, struct config *ret_config)
{
	struct config config = {0};
	error[0] = '\0';
	collecting = (struct collector){error, error_bytes, source->file};
	cfg_t *cfg = schema_new();
	int r = cfg != NULL ? 0 : -ENOMEM;
	if (r == 0 && source->file != NULL) {
		char *text = NULL;
		if (asprintf(&text, "%s\n" END_MARK " = yes\n", source->text) < 0)
			r = -ENOMEM;
		else
			r = cfg_parse_buf(cfg, text) == CFG_SUCCESS ? 0 : -EINVAL;
		free(text);
	}
	collecting.file = NULL;
	for (const char *const *set = source->set; r == 0 && set != NULL && *set != NULL; set++)
		r = apply_set(cfg, *set, error, error_bytes);
	if (r == 0)
		r = take(cfg, &config, error, error_bytes);
	if (cfg != NULL)
		cfg_free(cfg);
	collecting = (struct collector){0};
	if (r != 0) {
		if (error[0] == '\0')
			snprintf(error, error_bytes, "%s: %s",
			    source->file != NULL ? source->file : "--set",
			    r == -ENOMEM ? "out of memory" : "syntax error");
		config_fini(&config);
		return r;
	}
	*ret_config = config;
	return 0;
}

void config_fini(struct config *config)
{
	free(config->server.socket);
	free(config->server.control_socket);
	free(config->server.state_directory);
	free(config->server.socket_group);
	free(config->signing.key_file);
	free(config->signing.public_key_file);
	free(config->signing.member);
	free(config->resolver.root_hints);
	free(config->resolver.trust_anchor_file);
	for (char **forward = config->resolver.forward; forward != NULL && *forward != NULL;
	     forward++)
		free(*forward);
	free(config->resolver.forward);
	for (size_t i = 0; i < config->unbound_count; i++)
		free(config->unbound[i].value);
	free(config->unbound);
	*config = (struct config){0};
}
