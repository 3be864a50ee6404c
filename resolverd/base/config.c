/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/base/config.h"

#include <confuse.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/base/config_internal.h"

/* ---- the tables ---- */

static const struct key keys[] = {
    {"server", "socket", CONFIG_SOCKET, SOCKET_PATH, 0, 0, true},
    {"server", "control-socket", "", SOCKET_PATH, 0, 0, true},
    {"server", "socket-mode", "0660", MODE, 0, 0, true},
    {"server", "socket-group", "", TEXT, 0, 0, true},
    {"server", "state-directory", "/var/lib/resolverd", TEXT, 0, 0, true},
    {"server", "max-clients", "10000", COUNT, 1, 1000000, false},
    {"server", "max-jobs-per-client", "4096", COUNT, 1, 1000000, false},
    {"server", "max-jobs-per-user", "16384", COUNT, 1, 1000000, false},
    {"server", "max-clients-per-user", "0", COUNT, 0, 1000000, false},
    {"server", "max-buffered-per-user", "64M", SIZE, 0, 0, false},
    {"server", "log-plans", "no", SWITCH, 0, 0, false},
    {"server", "sandbox", "auto", SANDBOX, 0, 0, true},
    {"signing", "key-file", "", TEXT, 0, 0, false},
    {"signing", "second-key-file", "", TEXT, 0, 0, false},
    {"signing", "public-key-file", "/run/resolverd/resolverd.pub", TEXT, 0, 0, true},
    {"signing", "member", "", TEXT, 0, 0, true},
    {"signing", "delegation-life", "1d", DURATION, 4000, 2592000000, false},
    {"cache", "max-memory", "256M", SIZE, 0, 0, true},
    {"cache", "min-ttl", "0", DURATION, 0, 86400000, false},
    {"cache", "max-ttl", "1d", DURATION, 1000, 604800000, false},
    {"cache", "failure-ttl", "15s", DURATION, 100, 300000, false},
    {"cache", "snapshot-interval", "5m", DURATION, 0, 86400000, true},
    {"cache", "stale", "0", DURATION, 0, 604800000, false},
    {"prefetch", "rule", "ahead", PREFETCH_RULE, 0, 0, false},
    {"prefetch", "domains-file", "", TEXT, 0, 0, false},
    {"resolver", "workers", "0", COUNT, 0, 64, true},
    {"resolver", "root-hints", "/usr/share/dns/root.hints", TEXT, 0, 0, false},
    {"resolver", "trust-anchor-file", "/usr/share/dns/root.key", TEXT, 0, 0, false},
    {"resolver", "deadline", "10s", DURATION, 100, 300000, false},
    {"resolver", "insecure-mx-policy", "dane", INSECURE_MX, 0, 0, false},
    {"fleet", "redis", "", STORE_ADDRESS, 0, 0, true},
    {"fleet", "database", "0", COUNT, 0, 1000000, true},
    {"fleet", "credentials-file", "", TEXT, 0, 0, true},
    {"fleet", "key-prefix", "rd:1:", STORE_PREFIX, 0, 0, true},
    {"fleet", "trusted-keys", "", TEXT, 0, 0, false},
    {"fleet", "membership-file", "", TEXT, 0, 0, false},
    {"fleet", "max-age", "1h", DURATION, 1000, 604800000, false},
    {"fleet", "timeout", "50ms", DURATION, 1, 5000, false},
    {"zone", "insecure-until", NULL, TIME, 0, 0, false},
    {"override", "requirement", NULL, REQUIREMENT, 0, 0, false},
    {"override", "reason", "", TEXT, 0, 0, false},
    {"override", "until", NULL, TIME, 0, 0, false},
};
#define KEY_COUNT (sizeof keys / sizeof *keys)

static const struct {
	const char *section, *name;
	char *initial;
} lists[] = {
    {"server", "allow-users", NULL},
    {"server", "allow-groups", NULL},
    {"resolver", "forward", NULL},
    {"resolver", "digests", "{sha512, sha256}"},
    {"resolver", "canary-secure", NULL},
    {"resolver", "canary-insecure", NULL},
    {"resolver", "canary-bogus", NULL},
    {"zone", "forward", NULL},
    {"zone", "stub", NULL},
    {"zone", "trust-anchor", NULL},
};
#define LIST_COUNT (sizeof lists / sizeof *lists)

static const struct {
	const char *name;
	cfg_flag_t flags;
} sections[] = {
    {"server", CFGF_NONE},
    {"signing", CFGF_NONE},
    {"cache", CFGF_NONE},
    {"prefetch", CFGF_NONE},
    {"resolver", CFGF_NONE},
    {"fleet", CFGF_NONE},
    {"unbound", CFGF_NONE},
    {"zone", CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES},
    {"override", CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES},
};
#define SECTION_COUNT (sizeof sections / sizeof *sections)

/* libunbound options that are passed on as they are. */
const char *const unbound_allowed[] = {"do-not-query-localhost", "do-ip4", "do-ip6", "prefer-ip4",
    "prefer-ip6", "outgoing-interface", "outgoing-range", "outgoing-num-tcp",
    "num-queries-per-thread", "msg-cache-size", "rrset-cache-size", "key-cache-size",
    "neg-cache-size", "infra-cache-numhosts", "infra-host-ttl", "infra-cache-min-rtt",
    "infra-keep-probing", "edns-buffer-size", "max-udp-size", "so-rcvbuf", "so-sndbuf",
    "tcp-upstream", "tcp-mss", "outgoing-tcp-mss", "tcp-idle-timeout", "jostle-timeout",
    "delay-close", "unknown-server-time-limit", "discard-timeout", "wait-limit",
    "target-fetch-policy", "verbosity", "do-tcp", "do-udp", "log-queries", NULL};
#define UNBOUND_ALLOWED (sizeof unbound_allowed / sizeof *unbound_allowed - 1)

static const struct {
	const char *name, *instead;
} unbound_refused[] = {
    {"trust-anchor", "resolver.trust-anchor-file"},
    {"trust-anchor-file", "resolver.trust-anchor-file"},
    {"auto-trust-anchor-file", "resolver.trust-anchor-file"},
    {"trusted-keys-file", "resolver.trust-anchor-file"},
    {"root-hints", "resolver.root-hints"},
    {"forward-zone", "resolver.forward, or a zone section"},
    {"stub-zone", "a zone section"},
    {"domain-insecure", "insecure-until of a zone section"},
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
    {"serve-expired", "cache.stale"},
    {"logfile", "nothing: the log goes to stderr"},
    {"local-zone", "nothing: local data has no place in a validated answer"},
    {"local-data", "nothing: local data has no place in a validated answer"},
};
#define UNBOUND_REFUSED (sizeof unbound_refused / sizeof *unbound_refused)

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
	if (cfg_title(section) != NULL)
		cfg_error(section, "%s \"%.100s\": %s = \"%s\" %s", key->section,
		    cfg_title(section), key->name, value, problem);
	else
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
	for (size_t i = 0; i < LIST_COUNT; i++)
		if (strcmp(lists[i].section, section) == 0)
			options[n++] =
			    (cfg_opt_t)CFG_STR_LIST(lists[i].name, lists[i].initial, CFGF_NONE);
	if (strcmp(section, "unbound") == 0) {
		for (size_t i = 0; i < UNBOUND_ALLOWED; i++)
			options[n++] = (cfg_opt_t)CFG_STR(unbound_allowed[i], NULL, CFGF_NONE);
		for (size_t i = 0; i < UNBOUND_REFUSED; i++)
			options[n++] = (cfg_opt_t)CFG_STR(unbound_refused[i].name, NULL, CFGF_NONE);
	}
	options[n] = (cfg_opt_t)CFG_END();
}
_Static_assert(UNBOUND_ALLOWED + UNBOUND_REFUSED < SECTION_OPTIONS, "section_options has room");

static cfg_t *schema_new(void)
{
	cfg_opt_t options[SECTION_COUNT][SECTION_OPTIONS], top[SECTION_COUNT + 2];
	for (size_t i = 0; i < SECTION_COUNT; i++) {
		section_options(sections[i].name, options[i]);
		top[i] = (cfg_opt_t)CFG_SEC(sections[i].name, options[i], sections[i].flags);
	}
	top[SECTION_COUNT] = (cfg_opt_t)CFG_BOOL(END_MARK, cfg_false, CFGF_NONE);
	top[SECTION_COUNT + 1] = (cfg_opt_t)CFG_END();
	cfg_t *cfg = cfg_init(top, CFGF_NONE); /* copies the tables */
	if (cfg == NULL)
		return NULL;
	cfg_set_error_function(cfg, on_error);
	for (size_t i = 0; i < SECTION_COUNT; i++) /* made before it was set */
		if (sections[i].flags == CFGF_NONE)
			cfg_set_error_function(cfg_getsec(cfg, sections[i].name), on_error);
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
		if (strcmp(sections[i].name, text) == 0 && sections[i].flags == CFGF_NONE)
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

/* The keys that a reload does not change, a line each. */
static int print_fixed(cfg_t *cfg, struct config *config)
{
	size_t bytes = 0;
	FILE *file = open_memstream(&config->fixed_text, &bytes);
	if (file == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < KEY_COUNT; i++)
		if (keys[i].fixed)
			fprintf(file, "%s.%s=%s\n", keys[i].section, keys[i].name,
			    cfg_getstr(cfg_getsec(cfg, keys[i].section), keys[i].name));
	return fclose(file) == 0 ? 0 : -ENOMEM;
}

/* A message may quote what the file has. */
static void make_one_line(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == '\x7f')
			*text = '?';
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
		r = config_take(cfg, source->file, &config, error, error_bytes);
	if (r == 0)
		r = print_fixed(cfg, &config);
	if (cfg != NULL)
		cfg_free(cfg);
	collecting = (struct collector){0};
	if (r != 0) {
		if (error[0] == '\0')
			snprintf(error, error_bytes, "%s: %s",
			    source->file != NULL ? source->file : "--set",
			    r == -ENOMEM ? "out of memory" : "syntax error");
		make_one_line(error);
		config_fini(&config);
		return r;
	}
	*ret_config = config;
	return 0;
}

#define CONFIG_MAX_BYTES (1u << 20)

char *config_read_file(const char *path, bool optional, char *error, size_t error_bytes)
{
	FILE *file = fopen(path, "re");
	if (file == NULL && errno == ENOENT && optional)
		return strdup("");
	char *text = file != NULL ? calloc(1, CONFIG_MAX_BYTES + 1) : NULL;
	size_t n = text != NULL ? fread(text, 1, CONFIG_MAX_BYTES, file) : 0;
	bool good = false;
	if (file == NULL || text == NULL || ferror(file))
		snprintf(error, error_bytes, "cannot read the configuration %s: %s", path,
		    strerror(errno));
	else if (n == CONFIG_MAX_BYTES || memchr(text, '\0', n) != NULL)
		snprintf(error, error_bytes, "%s is no configuration: larger than 1 MiB, or binary",
		    path);
	else
		good = true;
	if (file != NULL)
		fclose(file);
	if (!good) {
		free(text);
		return NULL;
	}
	return text;
}
