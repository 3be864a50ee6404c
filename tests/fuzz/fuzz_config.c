/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration file. A bad one is refused with a line that says why; a good one has values
 * within their bounds and in canonical form, is read the same twice, and changes nothing when it is
 * loaded over itself.
 */
#include "proto/names.h"
#include "resolverd/base/config.h"
#include "tests/fuzz/fuzz.h"

#define ERROR_BYTES 400u

/* Each role parses it for itself, so twice must be the same. */
static bool parse(const char *text, char *error, struct config *ret_config)
{
	const struct config_source source = {.file = "file", .text = text};
	memset(error, '#', ERROR_BYTES - 1);
	error[ERROR_BYTES - 1] = '\0';
	error[0] = '\0';
	int r = config_parse(&source, error, ERROR_BYTES, ret_config);
	must(r == 0 || (error[0] != '\0' && strchr(error, '\n') == NULL));
	return r == 0;
}

static void check_name(const char *name)
{
	char canonical[NAME_TEXT_MAX];
	must(name_canonical(name, canonical) == NAME_OK && strcmp(name, canonical) == 0);
}

static void check_override(const struct config_override *override)
{
	struct next_hop hop;
	if (override->next_hop[0] == '.' && override->next_hop[1] != '\0')
		check_name(override->next_hop + 1);
	else
		must(next_hop_parse(override->next_hop, &hop) == NAME_OK &&
		     strcmp(hop.text, override->next_hop) == 0);
	must(override->requirement != RESOLVERD__V1__REQUIREMENT__REQUIREMENT_UNSPECIFIED);
	must(override->reason != NULL && override->until_ms >= 0);
}

static void check(const struct config *config)
{
	must(config->server.socket[0] == '/' && config->server.socket_mode <= 0777);
	must(config->server.max_clients >= 1 && config->server.max_jobs_per_client >= 1);
	must(config->cache.max_memory_bytes >= 1u << 20);
	must(config->cache.max_ttl_ms >= 1000 && config->cache.max_ttl_ms <= 604800000);
	must(config->cache.min_ttl_ms >= 0 && config->cache.failure_ttl_ms >= 100);
	must(config->resolver.workers >= 1 && config->resolver.workers <= 64);
	must(config->resolver.digest_count >= 1 && config->resolver.digest_count <= 2);
	must(config->resolver.canary_count <= CONFIG_CANARIES_MAX);
	for (size_t i = 0; i < config->resolver.canary_count; i++)
		check_name(config->resolver.canaries[i].name);
	for (size_t i = 0; i < config->zone_count; i++)
		check_name(config->zones[i].name);
	for (size_t i = 0; i < config->override_count; i++) {
		check_override(&config->overrides[i]);
		must(i == 0 ||
		     strcmp(config->overrides[i - 1].next_hop, config->overrides[i].next_hop) < 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct input input = {data, data + bytes};
	struct config config, again;
	char error[ERROR_BYTES], error_again[ERROR_BYTES], changed[200];
	if (memchr(data, '\0', bytes) != NULL)
		return 0; /* config_read_file refuses it */
	char *text = take_text(&input);
	bool good = parse(text, error, &config);
	must(parse(text, error_again, &again) == good);
	must(good || strcmp(error, error_again) == 0);
	if (good) {
		check(&config);
		must(strcmp(config.fixed_text, again.fixed_text) == 0);
		must(strcmp(config.worker_text, again.worker_text) == 0);
		config_keep_fixed(&again, &config, changed, sizeof changed);
		must(changed[0] == '\0');
		config_fini(&config);
		config_fini(&again);
	}
	free(text);
	return 0;
}
