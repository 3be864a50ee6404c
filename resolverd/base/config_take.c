/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/names.h"
#include "resolverd/base/config_internal.h"

struct taker {
	cfg_t *cfg;
	const char *file;
	struct config *config;
	char *error;
	size_t error_bytes;
	bool no_memory; /* some text or list is not there, or not whole */
};

/* section NULL: the message names its place itself. */
[[gnu::format(printf, 3, 4)]] static int refuse(
    struct taker *taker, cfg_t *section, const char *format, ...)
{
	char text[400], place[200] = "";
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (section != NULL && taker->file != NULL)
		snprintf(place, sizeof place, "%.150s:%d: ", taker->file, section->line);
	if (section != NULL)
		snprintf(taker->error, taker->error_bytes, "%s%s \"%.100s\": %s", place,
		    cfg_name(section), cfg_title(section), text);
	else
		snprintf(taker->error, taker->error_bytes, "%s", text);
	return -EINVAL;
}

/* A configuration with a gap is none: a list that ends early could allow what it forbids. */
static char *copied(struct taker *taker, const char *text)
{
	char *copy = strdup(text);
	taker->no_memory |= copy == NULL;
	return copy;
}

static char **take_list(struct taker *taker, cfg_t *section, const char *name)
{
	unsigned count = cfg_size(section, name);
	char **list = calloc(count + 1, sizeof *list);
	taker->no_memory |= list == NULL;
	for (unsigned i = 0; i < count && !taker->no_memory; i++)
		list[i] = copied(taker, cfg_getnstr(section, name, i));
	return list;
}

static void free_list(char **list)
{
	for (char **item = list; item != NULL && *item != NULL; item++)
		free(*item);
	free(list);
}

/* ---- resolver ---- */

static int take_digests(struct taker *taker, cfg_t *resolver)
{
	struct config *config = taker->config;
	unsigned count = cfg_size(resolver, "digests");
	for (unsigned i = 0; i < count; i++) {
		const char *digest = cfg_getnstr(resolver, "digests", i);
		int type = strcmp(digest, "sha256") == 0   ? 1
			   : strcmp(digest, "sha512") == 0 ? 2
							   : 0;
		bool twice =
		    config->resolver.digest_count > 0 && config->resolver.digests[0] == type;
		if (type == 0 || twice || config->resolver.digest_count == 2)
			return refuse(taker, NULL,
			    "resolver.digests: '%s' must be sha512 or sha256, each once", digest);
		config->resolver.digests[config->resolver.digest_count++] = (uint8_t)type;
	}
	if (config->resolver.digest_count == 0)
		return refuse(taker, NULL,
		    "resolver.digests is empty: name sha512, sha256 or both, best first");
	return 0;
}

static int take_canaries(struct taker *taker, cfg_t *resolver)
{
	static const struct {
		const char *key;
		Resolverd__V1__Status expected;
	} kinds[] = {{"canary-secure", RESOLVERD__V1__STATUS__SECURE},
	    {"canary-insecure", RESOLVERD__V1__STATUS__INSECURE},
	    {"canary-bogus", RESOLVERD__V1__STATUS__BOGUS}};
	struct config *config = taker->config;
	size_t count = 0;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		count += cfg_size(resolver, kinds[i].key);
	if (count > CONFIG_CANARIES_MAX)
		return refuse(taker, NULL, "resolver.canary-...: more than %u names in all",
		    CONFIG_CANARIES_MAX);
	config->resolver.canaries = calloc(count + 1, sizeof *config->resolver.canaries);
	if (config->resolver.canaries == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		for (unsigned j = 0; j < cfg_size(resolver, kinds[i].key); j++) {
			char name[NAME_TEXT_MAX];
			const char *text = cfg_getnstr(resolver, kinds[i].key, j);
			int r = name_canonical(text, name);
			if (r != NAME_OK)
				return refuse(taker, NULL, "resolver.%s: '%.100s': %s",
				    kinds[i].key, text, name_error_text(r));
			config->resolver.canaries[config->resolver.canary_count++] =
			    (struct config_canary){copied(taker, name), kinds[i].expected};
		}
	}
	return 0;
}

static int take_resolver(struct taker *taker)
{
	struct config *config = taker->config;
	cfg_t *resolver = cfg_getsec(taker->cfg, "resolver");
	config->resolver.workers = (uint32_t)strtol(cfg_getstr(resolver, "workers"), NULL, 10);
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	if (config->resolver.workers == 0)
		config->resolver.workers = cores > 4 ? 4 : cores < 2 ? 2 : (uint32_t)cores;
	config->resolver.root_hints = copied(taker, cfg_getstr(resolver, "root-hints"));
	config->resolver.trust_anchor_file =
	    copied(taker, cfg_getstr(resolver, "trust-anchor-file"));
	config->resolver.deadline_ms =
	    (uint32_t)config_duration_ms(cfg_getstr(resolver, "deadline"));
	const char *insecure = cfg_getstr(resolver, "insecure-mx-policy");
	config->resolver.insecure_mx_policy =
	    insecure[0] == 'd'   ? RESOLVERD__V1__INSECURE_MX_POLICY__INSECURE_MX_DANE
	    : insecure[0] == 'o' ? RESOLVERD__V1__INSECURE_MX_POLICY__INSECURE_MX_OPPORTUNISTIC
				 : RESOLVERD__V1__INSECURE_MX_POLICY__INSECURE_MX_UNREACHABLE;
	config->resolver.forward = take_list(taker, resolver, "forward");
	if (config->resolver.forward == NULL)
		return -ENOMEM;
	for (char **forward = config->resolver.forward; *forward != NULL; forward++)
		if (value_server_problem(*forward) != NULL)
			return refuse(taker, NULL, "resolver.forward: '%.100s' %s", *forward,
			    value_server_problem(*forward));
	int r = take_digests(taker, resolver);
	return r != 0 ? r : take_canaries(taker, resolver);
}

/* ---- zones ---- */

static int check_servers(struct taker *taker, cfg_t *section, const char *key, char **list)
{
	for (; *list != NULL; list++)
		if (value_server_problem(*list) != NULL)
			return refuse(taker, section, "%s: '%.100s' %s", key, *list,
			    value_server_problem(*list));
	return 0;
}

static int check_zone(struct taker *taker, cfg_t *section, const struct config_zone *zone)
{
	bool forward = zone->forward[0] != NULL, stub = zone->stub[0] != NULL,
	     anchor = zone->trust_anchor[0] != NULL, insecure = zone->insecure_until_ms != 0;
	int r = check_servers(taker, section, "forward", zone->forward);
	if (r == 0)
		r = check_servers(taker, section, "stub", zone->stub);
	for (char **text = zone->trust_anchor; r == 0 && *text != NULL; text++)
		if (value_trust_anchor_problem(*text) != NULL)
			r = refuse(taker, section, "trust-anchor: '%.100s' %s", *text,
			    value_trust_anchor_problem(*text));
	if (r != 0)
		return r;
	if (!forward && !stub && !anchor && !insecure)
		return refuse(taker, section,
		    "sets nothing; give it forward, stub, trust-anchor or insecure-until");
	if (forward && stub)
		return refuse(taker, section,
		    "has both forward (to resolvers) and stub (to the "
		    "zone's own servers); keep one");
	if (anchor && insecure)
		return refuse(taker, section, "has both trust-anchor and insecure-until; keep one");
	return 0;
}

static int take_zones(struct taker *taker)
{
	struct config *config = taker->config;
	unsigned count = cfg_size(taker->cfg, "zone");
	config->zones = calloc(count + 1, sizeof *config->zones);
	if (config->zones == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		cfg_t *section = cfg_getnsec(taker->cfg, "zone", i);
		struct config_zone *zone = &config->zones[config->zone_count++];
		char name[NAME_TEXT_MAX];
		int r = name_canonical(cfg_title(section), name);
		if (r != NAME_OK)
			return refuse(taker, section, "%s", name_error_text(r));
		if (strcmp(name, ".") == 0)
			return refuse(taker, section,
			    "is the root; use resolver.forward and "
			    "resolver.trust-anchor-file, validation stays on");
		for (unsigned j = 0; j < i; j++)
			if (strcmp(config->zones[j].name, name) == 0)
				return refuse(taker, section, "stands there twice");
		const char *until = cfg_getstr(section, "insecure-until");
		*zone = (struct config_zone){.name = copied(taker, name),
		    .forward = take_list(taker, section, "forward"),
		    .stub = take_list(taker, section, "stub"),
		    .trust_anchor = take_list(taker, section, "trust-anchor"),
		    .insecure_until_ms = until != NULL ? value_time_ms(until) : 0};
		if (taker->no_memory)
			return -ENOMEM;
		r = check_zone(taker, section, zone);
		if (r != 0)
			return r;
	}
	return 0;
}

/* ---- overrides ---- */

static int canonical_next_hop(
    struct taker *taker, cfg_t *section, char ret_next_hop[NEXT_HOP_TEXT_MAX])
{
	const char *title = cfg_title(section);
	struct next_hop hop;
	int r;
	if (title[0] == '.' && title[1] != '\0') {
		ret_next_hop[0] = '.';
		r = name_canonical(title + 1, ret_next_hop + 1);
	} else {
		r = next_hop_parse(title, &hop);
		if (r == NAME_OK)
			memcpy(ret_next_hop, hop.text, sizeof hop.text);
	}
	return r == NAME_OK ? 0 : refuse(taker, section, "%s", name_error_text(r));
}

static int by_next_hop(const void *a, const void *b)
{
	const struct config_override *x = a, *y = b;
	return strcmp(x->next_hop, y->next_hop);
}

static int take_overrides(struct taker *taker)
{
	struct config *config = taker->config;
	unsigned count = cfg_size(taker->cfg, "override");
	config->overrides = calloc(count + 1, sizeof *config->overrides);
	if (config->overrides == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		cfg_t *section = cfg_getnsec(taker->cfg, "override", i);
		char next_hop[NEXT_HOP_TEXT_MAX];
		const char *requirement = cfg_getstr(section, "requirement");
		const char *until = cfg_getstr(section, "until");
		int r = canonical_next_hop(taker, section, next_hop);
		if (r != 0)
			return r;
		if (requirement == NULL)
			return refuse(taker, section,
			    "has no requirement; set normal, mandatory, audit or off");
		struct config_override *override = &config->overrides[config->override_count++];
		*override = (struct config_override){.next_hop = copied(taker, next_hop),
		    .requirement = value_requirement(requirement),
		    .reason = copied(taker, cfg_getstr(section, "reason")),
		    .until_ms = until != NULL ? value_time_ms(until) : 0};
		if (taker->no_memory)
			return -ENOMEM;
	}
	qsort(config->overrides, count, sizeof *config->overrides, by_next_hop);
	for (unsigned i = 1; i < count; i++)
		if (by_next_hop(&config->overrides[i - 1], &config->overrides[i]) == 0)
			return refuse(taker, NULL, "override \"%.100s\" stands there twice",
			    config->overrides[i].next_hop);
	return 0;
}

/* ---- the rest ---- */

static char *take_member(struct taker *taker, const char *member)
{
	char host[HOST_NAME_MAX + 1] = "";
	if (member[0] == '\0' && gethostname(host, sizeof host - 1) == 0)
		member = host;
	return copied(taker, member);
}

/* Beside another socket than the usual one, so that two daemons never share it. */
static int take_control_socket(struct taker *taker, const char *path)
{
	static const char suffix[] = ".control";
	char beside[sizeof((struct sockaddr_un *)NULL)->sun_path];
	struct config *config = taker->config;
	size_t kept = strlen(config->server.socket);
	if (kept > sizeof beside - sizeof suffix)
		kept = sizeof beside - sizeof suffix; /* a long name gives way */
	if (path[0] == '\0' && strcmp(config->server.socket, CONFIG_SOCKET) == 0)
		path = CONFIG_CONTROL_SOCKET;
	if (path[0] == '\0') {
		snprintf(beside, sizeof beside, "%.*s%s", (int)kept, config->server.socket, suffix);
		path = beside;
	}
	config->server.control_socket = copied(taker, path);
	if (config->server.control_socket == NULL)
		return -ENOMEM;
	if (strcmp(config->server.socket, config->server.control_socket) == 0)
		return refuse(taker, NULL,
		    "server.control-socket and server.socket are the same path; they need two");
	return 0;
}

#define BUFFERED_LEAST_BYTES (UINT64_C(4) << 20)

static uint32_t take_count(cfg_t *section, const char *name)
{
	return (uint32_t)strtol(cfg_getstr(section, name), NULL, 10);
}

static int take_clients(struct taker *taker, cfg_t *server)
{
	struct config *config = taker->config;
	config->server.max_clients = take_count(server, "max-clients");
	config->server.max_jobs_per_client = take_count(server, "max-jobs-per-client");
	config->server.max_jobs_per_user = take_count(server, "max-jobs-per-user");
	config->server.max_clients_per_user = take_count(server, "max-clients-per-user");
	if (config->server.max_clients_per_user == 0) /* a tenth is left to the others */
		config->server.max_clients_per_user =
		    config->server.max_clients - config->server.max_clients / 10;
	config->server.max_buffered_per_user_bytes =
	    (uint64_t)config_size_bytes(cfg_getstr(server, "max-buffered-per-user"));
	if (config->server.max_buffered_per_user_bytes < BUFFERED_LEAST_BYTES)
		return refuse(taker, NULL,
		    "server.max-buffered-per-user is less than 4M: one response may be of 1M");
	config->server.allow_users = take_list(taker, server, "allow-users");
	config->server.allow_groups = take_list(taker, server, "allow-groups");
	return 0;
}

static int take_server(struct taker *taker)
{
	struct config *config = taker->config;
	cfg_t *server = cfg_getsec(taker->cfg, "server"),
	      *signing = cfg_getsec(taker->cfg, "signing");
	config->server.socket = copied(taker, cfg_getstr(server, "socket"));
	if (config->server.socket == NULL)
		return -ENOMEM;
	int r = take_control_socket(taker, cfg_getstr(server, "control-socket"));
	if (r != 0)
		return r;
	config->server.state_directory = copied(taker, cfg_getstr(server, "state-directory"));
	config->server.socket_mode = (mode_t)strtol(cfg_getstr(server, "socket-mode"), NULL, 8);
	const char *group = cfg_getstr(server, "socket-group");
	config->server.socket_group = group[0] != '\0' ? copied(taker, group) : NULL;
	r = take_clients(taker, server);
	if (r != 0)
		return r;
	const char *sandbox = cfg_getstr(server, "sandbox");
	config->server.log_plans = strcmp(cfg_getstr(server, "log-plans"), "yes") == 0;
	config->server.sandbox = sandbox[0] == 'a'   ? SANDBOX_AUTO
				 : sandbox[0] == 'r' ? SANDBOX_REQUIRED
						     : SANDBOX_OFF;
	config->signing.public_key_file = copied(taker, cfg_getstr(signing, "public-key-file"));
	config->signing.member = take_member(taker, cfg_getstr(signing, "member"));
	config->signing.key_file = copied(taker, cfg_getstr(signing, "key-file"));
	config->signing.second_key_file = copied(taker, cfg_getstr(signing, "second-key-file"));
	config->signing.delegation_life_ms =
	    config_duration_ms(cfg_getstr(signing, "delegation-life"));
	return 0;
}

static int take_cache(struct taker *taker)
{
	struct config *config = taker->config;
	cfg_t *cache = cfg_getsec(taker->cfg, "cache"),
	      *prefetch = cfg_getsec(taker->cfg, "prefetch");
	const char *rule = cfg_getstr(prefetch, "rule"),
		   *domains_file = cfg_getstr(prefetch, "domains-file");
	config->cache.max_memory_bytes =
	    (uint64_t)config_size_bytes(cfg_getstr(cache, "max-memory"));
	config->cache.min_ttl_ms = config_duration_ms(cfg_getstr(cache, "min-ttl"));
	config->cache.max_ttl_ms = config_duration_ms(cfg_getstr(cache, "max-ttl"));
	config->cache.failure_ttl_ms = config_duration_ms(cfg_getstr(cache, "failure-ttl"));
	config->cache.stale_ms = config_duration_ms(cfg_getstr(cache, "stale"));
	config->cache.snapshot_interval_ms =
	    config_duration_ms(cfg_getstr(cache, "snapshot-interval"));
	config->prefetch.rule = strcmp(rule, "off") == 0      ? PREFETCH_OFF
				: strcmp(rule, "on-hit") == 0 ? PREFETCH_ON_HIT
							      : PREFETCH_AHEAD;
	config->prefetch.domains_file =
	    domains_file[0] != '\0' ? copied(taker, domains_file) : NULL;
	return 0;
}

static int take_fleet(struct taker *taker)
{
	struct config *config = taker->config;
	cfg_t *fleet = cfg_getsec(taker->cfg, "fleet");
	config->fleet.redis = copied(taker, cfg_getstr(fleet, "redis"));
	config->fleet.credentials_file = copied(taker, cfg_getstr(fleet, "credentials-file"));
	config->fleet.key_prefix = copied(taker, cfg_getstr(fleet, "key-prefix"));
	config->fleet.trusted_keys = copied(taker, cfg_getstr(fleet, "trusted-keys"));
	config->fleet.membership_file = copied(taker, cfg_getstr(fleet, "membership-file"));
	config->fleet.database = (uint32_t)strtoul(cfg_getstr(fleet, "database"), NULL, 10);
	config->fleet.max_age_ms = config_duration_ms(cfg_getstr(fleet, "max-age"));
	config->fleet.timeout_ms = (uint32_t)config_duration_ms(cfg_getstr(fleet, "timeout"));
	if (cfg_getstr(fleet, "redis")[0] != '\0' && cfg_getstr(fleet, "trusted-keys")[0] == '\0')
		return refuse(taker, fleet,
		    "fleet.redis needs fleet.trusted-keys: the file of the keys whose word "
		    "counts (docs/FLEET.md)");
	return 0;
}

static int take_unbound(struct taker *taker)
{
	struct config *config = taker->config;
	cfg_t *unbound = cfg_getsec(taker->cfg, "unbound");
	size_t count = 0;
	while (unbound_allowed[count] != NULL)
		count++;
	config->unbound = calloc(count + 1, sizeof *config->unbound);
	if (config->unbound == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const char *value = cfg_getstr(unbound, unbound_allowed[i]);
		const char *problem =
		    value != NULL ? value_unbound_problem(unbound_allowed[i], value) : NULL;
		if (problem != NULL)
			return refuse(taker, NULL, "unbound.%s: '%.100s' %s", unbound_allowed[i],
			    value, problem);
		if (value != NULL)
			config->unbound[config->unbound_count++] =
			    (struct config_option){unbound_allowed[i], copied(taker, value)};
	}
	return 0;
}

/* What workers act on, as text: when a reload leaves it alone, they can stay. */
static int print_for_workers(struct taker *taker)
{
	static const char *const sections[] = {"resolver", "unbound", "zone"};
	size_t bytes = 0;
	FILE *file = open_memstream(&taker->config->worker_text, &bytes);
	if (file == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
		(void)cfg_opt_print(cfg_getopt(taker->cfg, sections[i]), file);
	fprintf(file, "%s\n", cfg_getstr(cfg_getsec(taker->cfg, "cache"), "max-ttl"));
	return fclose(file) == 0 ? 0 : -ENOMEM;
}

int config_take(
    cfg_t *cfg, const char *file, struct config *config, char *error, size_t error_bytes)
{
	struct taker taker = {cfg, file, config, error, error_bytes, false};
	static int (*const steps[])(struct taker * taker) = {take_server, take_cache, take_resolver,
	    take_fleet, take_unbound, take_zones, take_overrides, print_for_workers};
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof steps / sizeof *steps; i++)
		r = steps[i](&taker);
	return r == 0 && taker.no_memory ? -ENOMEM : r;
}

void config_fini(struct config *config)
{
	free(config->server.socket);
	free(config->server.control_socket);
	free(config->server.state_directory);
	free(config->server.socket_group);
	free_list(config->server.allow_users);
	free_list(config->server.allow_groups);
	free(config->signing.key_file);
	free(config->signing.second_key_file);
	free(config->signing.public_key_file);
	free(config->signing.member);
	free(config->prefetch.domains_file);
	free(config->fleet.redis);
	free(config->fleet.credentials_file);
	free(config->fleet.key_prefix);
	free(config->fleet.trusted_keys);
	free(config->fleet.membership_file);
	free(config->resolver.root_hints);
	free(config->resolver.trust_anchor_file);
	free_list(config->resolver.forward);
	for (size_t i = 0; i < config->resolver.canary_count; i++)
		free(config->resolver.canaries[i].name);
	free(config->resolver.canaries);
	for (size_t i = 0; i < config->unbound_count; i++)
		free(config->unbound[i].value);
	free(config->unbound);
	for (size_t i = 0; i < config->zone_count; i++) {
		free(config->zones[i].name);
		free_list(config->zones[i].forward);
		free_list(config->zones[i].stub);
		free_list(config->zones[i].trust_anchor);
	}
	free(config->zones);
	for (size_t i = 0; i < config->override_count; i++) {
		free(config->overrides[i].next_hop);
		free(config->overrides[i].reason);
	}
	free(config->overrides);
	free(config->fixed_text);
	free(config->worker_text);
	*config = (struct config){0};
}

/* ---- reload ---- */

static void list_changed_lines(
    const char *next, const char *current, char *changed, size_t changed_bytes)
{
	size_t used = 0;
	changed[0] = '\0';
	while (*next != '\0' && *current != '\0') {
		size_t next_bytes = strcspn(next, "\n"), current_bytes = strcspn(current, "\n");
		size_t name_bytes = strcspn(next, "=");
		if ((next_bytes != current_bytes || memcmp(next, current, next_bytes) != 0) &&
		    used + name_bytes + 3 < changed_bytes)
			used += (size_t)snprintf(changed + used, changed_bytes - used, "%s%.*s",
			    used > 0 ? ", " : "", (int)name_bytes, next);
		next += next_bytes + (next[next_bytes] == '\n');
		current += current_bytes + (current[current_bytes] == '\n');
	}
}

static void swap(char **a, char **b)
{
	char *kept = *a;
	*a = *b;
	*b = kept;
}

void config_keep_fixed(
    struct config *next, struct config *current, char *changed, size_t changed_bytes)
{
	list_changed_lines(next->fixed_text, current->fixed_text, changed, changed_bytes);
	swap(&next->fixed_text, &current->fixed_text);
	swap(&next->server.socket, &current->server.socket);
	swap(&next->server.control_socket, &current->server.control_socket);
	swap(&next->server.state_directory, &current->server.state_directory);
	swap(&next->server.socket_group, &current->server.socket_group);
	next->server.socket_mode = current->server.socket_mode;
	next->server.sandbox = current->server.sandbox;
	swap(&next->signing.public_key_file, &current->signing.public_key_file);
	swap(&next->signing.member, &current->signing.member);
	swap(&next->fleet.redis, &current->fleet.redis);
	swap(&next->fleet.credentials_file, &current->fleet.credentials_file);
	swap(&next->fleet.key_prefix, &current->fleet.key_prefix);
	next->fleet.database = current->fleet.database;
	next->cache.max_memory_bytes = current->cache.max_memory_bytes;
	next->resolver.workers = current->resolver.workers;
}
