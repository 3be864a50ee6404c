/* SPDX-License-Identifier: BSD-3-Clause */
/* What libunbound is told, asked back from it: the settings that decide what is secure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "resolverd/worker/resolver.h"
#include "tests/unit/test.h"

#define NO_FILE "/nonexistent/root.key"

static const struct row {
	const char *name, *option, *want;
} rows[] = {
    {"a08_a10_validation_is_on", "module-config", "validator iterator"},
    {"a10_stripped_signatures_are_bogus", "harden-dnssec-stripped", "yes"},
    {"a08_val_permissive_mode_is_off", "val-permissive-mode", "no"},
    {"m05_m07_signatures_hold_not_a_second_before_their_time", "val-sig-skew-min", "0"},
    {"m05_m07_signatures_hold_not_a_second_past_their_time", "val-sig-skew-max", "0"},
    {"m05_ttls_are_not_stretched", "cache-min-ttl", "0"},
    {"m05_a_ttl_falls_in_the_cache_too", "serve-original-ttl", "no"},
    {"m06_expired_data_is_not_served", "serve-expired", "no"},
    {"m05_g08_the_proof_of_a_wildcard_comes_with_the_answer", "minimal-responses", "no"},
    {"b13_bogus_data_is_asked_for_again", "val-bogus-ttl", "1"},
};

/* A resolver of its own on two empty files; NULL with the error when it is refused. */
static struct ub_ctx *resolver_of(
    struct event_base *base, const char *anchors, const char *hints, char error[400])
{
	char anchors_set[200], hints_set[200];
	const char *const set[] = {
	    anchors_set, hints_set, "server.state-directory=/nonexistent", NULL};
	struct config_source source = {.text = "", .set = set};
	struct config config;
	struct ub_ctx *ctx = NULL;
	snprintf(anchors_set, sizeof anchors_set, "resolver.trust-anchor-file=%s", anchors);
	snprintf(hints_set, sizeof hints_set, "resolver.root-hints=%s", hints);
	error[0] = '\0';
	if (config_parse(&source, error, 400, &config) != 0)
		fail_msg("%s", error);
	if (resolver_new(base, &config, 0, error, 400, &ctx) != 0)
		ctx = NULL;
	config_fini(&config);
	return ctx;
}

struct scene {
	struct event_base *base;
	char file[40];
};

static int setup(void **state)
{
	static struct scene scene;
	scene = (struct scene){.base = event_base_new(), .file = "/tmp/test_resolver.XXXXXX"};
	int fd = mkstemp(scene.file);
	if (fd >= 0)
		close(fd);
	*state = &scene;
	return fd < 0 || scene.base == NULL;
}

static int teardown(void **state)
{
	struct scene *scene = *state;
	unlink(scene->file);
	event_base_free(scene->base);
	return 0;
}

static void row_holds(void **state)
{
	const struct row *row = *state;
	struct scene *scene;
	char error[400], *got = NULL;
	assert_int_equal(setup((void **)&scene), 0);
	struct ub_ctx *ctx = resolver_of(scene->base, scene->file, scene->file, error);
	assert_string_equal(error, "");
	assert_non_null(ctx);
	assert_int_equal(ub_ctx_get_option(ctx, row->option, &got), 0);
	assert_string_equal(got, row->want);
	free(got);
	ub_ctx_delete(ctx);
	teardown((void **)&scene);
}

static void a03_without_its_files_there_is_no_resolver(void **state)
{
	const struct scene *scene = *state;
	char error[400];
	assert_null(resolver_of(scene->base, NO_FILE, scene->file, error));
	assert_non_null(strstr(error, NO_FILE));
	assert_non_null(strstr(error, "resolver.trust-anchor-file"));
	assert_null(resolver_of(scene->base, scene->file, NO_FILE, error));
	assert_non_null(strstr(error, "resolver.root-hints"));
}

int main(void)
{
	struct CMUnitTest tests[COUNT(rows) + 1] = {cmocka_unit_test_setup_teardown(
	    a03_without_its_files_there_is_no_resolver, setup, teardown)};
	for (size_t i = 0; i < COUNT(rows); i++)
		tests[1 + i] = (struct CMUnitTest){.name = rows[i].name,
		    .test_func = row_holds,
		    .initial_state = (void *)(uintptr_t)&rows[i]};
	return cmocka_run_group_tests_name("resolver", tests, NULL, NULL);
}
