/* SPDX-License-Identifier: BSD-3-Clause */
/* Everything signed, but not what a client may believe (docs/PROTOCOL.md, "What a client checks").
 */
#include <stdio.h>

#include "tests/unit/scene.h"

static void wrong_signer(struct scene *scene)
{
	scene->answers = signer_of(9);
}

static void wrong_long_term_key(struct scene *scene)
{
	scene->long_term = signer_of(9);
}

static void expired_route(struct scene *scene)
{
	scene->route->expires_at = NOW_MS;
}

static void expired_host(struct scene *scene)
{
	scene->host->expires_at = NOW_MS;
}

static void expired_delegation(struct scene *scene)
{
	scene->delegation->not_after = NOW_MS;
}

static void early_delegation(struct scene *scene)
{
	scene->delegation->not_before = NOW_MS + 1;
}

static void delegation_without_scope(struct scene *scene)
{
	scene->delegation->scope = RESOLVERD__V1__SCOPE__SCOPE_UNSPECIFIED;
}

static void other_next_hop(struct scene *scene)
{
	scene->route->question->name = memory_string(scene->memory, "example.com");
}

static void other_kind(struct scene *scene)
{
	scene->route->question->kind = RESOLVERD__V1__KIND__HOST;
}

static void other_port(struct scene *scene)
{
	scene->host->question->port = 26;
}

static void stray_type(struct scene *scene)
{
	scene->route->question->type = 15;
}

static void other_host(struct scene *scene)
{
	scene->host->question->name = memory_string(scene->memory, "mx.example.com");
}

static void other_data(struct scene *scene)
{
	scene->host->data_case = RESOLVERD__V1__ANSWER__DATA_ROUTE;
	scene->host->route = scene->route->route;
}

static void other_member(struct scene *scene)
{
	scene->host->member = memory_string(scene->memory, "m2");
}

static void no_question(struct scene *scene)
{
	scene->route->question = NULL;
}

static void no_route(struct scene *scene)
{
	scene->without_route = true;
}

static void no_answers(struct scene *scene)
{
	scene->without_route = scene->without_host = true;
}

static void no_host(struct scene *scene)
{
	scene->without_host = true;
}

static void critical(struct scene *scene, Resolverd__V1__Answer *answer, uint32_t number)
{
	answer->critical = memory_alloc(scene->memory, 1, sizeof *answer->critical);
	answer->critical[answer->n_critical++] = number;
}

static void critical_route(struct scene *scene)
{
	critical(scene, scene->route, 709);
}

static void critical_host(struct scene *scene)
{
	critical(scene, scene->host, 0);
}

static void dane_without_tlsa(struct scene *scene)
{
	scene->host->host->n_tlsa = 0;
}

static void bogus_mx(struct scene *scene)
{
	scene->route->route->mx_status = RESOLVERD__V1__STATUS__BOGUS;
}

static const struct {
	void (*change)(struct scene *scene);
	int error;
	const char *detail; /* part of it, or of the plan's reason */
} lies[] = {
    {wrong_signer, RESOLVERD_ERROR_VERIFY, "no valid delegation"},
    {wrong_long_term_key, RESOLVERD_ERROR_VERIFY, "no key of the public key file signed it"},
    {expired_route, RESOLVERD_ERROR_VERIFY, "expired"},
    {expired_host, RESOLVERD_ERROR_VERIFY, "expired"},
    {expired_delegation, RESOLVERD_ERROR_VERIFY, "expired"},
    {early_delegation, RESOLVERD_ERROR_VERIFY, "not valid yet"},
    {delegation_without_scope, RESOLVERD_ERROR_VERIFY, "scope"},
    {other_next_hop, RESOLVERD_ERROR_VERIFY, "not asked"},
    {other_kind, RESOLVERD_ERROR_VERIFY, "not asked"},
    {other_port, RESOLVERD_ERROR_VERIFY, "not asked"},
    {stray_type, RESOLVERD_ERROR_VERIFY, "not asked"},
    {other_host, RESOLVERD_ERROR_VERIFY, "no MX host of"},
    {other_data, RESOLVERD_ERROR_VERIFY, "another kind"},
    {other_member, RESOLVERD_ERROR_VERIFY, "member"},
    {no_question, RESOLVERD_ERROR_VERIFY, "not asked"},
    {no_route, RESOLVERD_ERROR_VERIFY, "not asked"},
    {no_answers, RESOLVERD_ERROR_VERIFY, "no answer"},
    {no_host, 0, "no verified answer"},
    {critical_route, 0, "field 709"},
    {critical_host, 0, "newer client"},
    {dane_without_tlsa, 0, "no host may be used"},
    {bogus_mx, 0, "fails DNSSEC validation"},
};

static void no_lie_delivers(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(lies); i++) {
		struct scene scene;
		struct resolverd_plan *plan = NULL;
		scene_init(&scene);
		lies[i].change(&scene);
		scene_sign(&scene);
		int r = ask_plan(&scene, "example.org", &plan);
		const char *text = plan != NULL ? plan->reason : resolverd_last_error(scene.client);
		if (r != lies[i].error || strstr(text, lies[i].detail) == NULL)
			fail_msg("lie %zu: %d, %s", i, r, text);
		if (plan != NULL) {
			assert_int_equal(plan->outcome, RESOLVERD_DELAY);
			for (size_t j = 0; j < plan->host_count; j++)
				assert_int_equal(plan->hosts[j].policy, RESOLVERD_UNREACHABLE);
		}
		resolverd_plan_free(plan);
		scene_fini(&scene);
	}
}

static void flip_a_bit(struct fake_daemon *daemon, uint8_t *frame, size_t *count)
{
	frame[daemon->spoil_at / 8 % *count] ^= (uint8_t)(1u << daemon->spoil_at % 8);
}

static void no_single_flipped_bit_delivers(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene);
	scene_sign(&scene);
	scene.daemon.answer->id = 1;
	size_t count =
	    FRAME_HEADER_BYTES + resolverd__v1__response__get_packed_size(scene.daemon.answer);
	scene.daemon.close_after = true;
	scene.daemon.spoil = flip_a_bit;
	for (scene.daemon.spoil_at = 0; scene.daemon.spoil_at < 8 * count;
	     scene.daemon.spoil_at++) {
		struct resolverd_plan *plan = NULL;
		int r = ask_plan(&scene, "example.org", &plan);
		if (r == 0 ? plan->outcome == RESOLVERD_DELIVER : plan != NULL)
			fail_msg("bit %zu of byte %zu", scene.daemon.spoil_at % 8,
			    scene.daemon.spoil_at / 8);
		assert_int_not_equal(r, RESOLVERD_ERROR_PENDING);
		resolverd_plan_free(plan);
	}
	scene_fini(&scene);
}

/* ---- a rotated key ---- */

static void rotate(struct fake_daemon *daemon, uint8_t *frame, size_t *count)
{
	(void)frame;
	(void)count;
	if (daemon->spoil_at != 0)
		daemon->status = (Resolverd__V1__Response *)daemon->spoil_at;
}

static void an_unknown_key_is_looked_up_once(void **state)
{
	(void)state;
	for (int known = 0; known < 2; known++) {
		struct scene scene;
		struct resolverd_plan *plan = NULL;
		scene_init(&scene);
		scene_sign(&scene);
		scene.answers = signer_of(5);
		Resolverd__V1__Response *old_status = scene.daemon.status;
		scene.delegation = new_delegation(scene.memory, &scene.answers);
		scene_sign(&scene);
		scene.daemon.spoil_at = known ? (uintptr_t)scene.daemon.status : 0;
		scene.daemon.status = old_status;
		scene.daemon.spoil = rotate;
		int r = ask_plan(&scene, "example.org", &plan);
		assert_int_equal(r, known ? 0 : RESOLVERD_ERROR_VERIFY);
		assert_int_equal(scene.daemon.statuses, 2);
		resolverd_plan_free(plan);
		scene_fini(&scene);
	}
}

/* ---- a rotated long-term key ---- */

/* On one connection: the file has another key by the time that the status does. */
static void the_key_file_is_read_again_for_an_unknown_key(void **state)
{
	(void)state;
	for (int published = 0; published < 2; published++) {
		struct scene scene;
		struct resolverd_plan *plan = NULL;
		scene_init(&scene);
		scene_sign(&scene);
		assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
		resolverd_plan_free(plan);
		plan = NULL;
		scene.long_term = signer_of(3);
		scene.online = scene.answers = signer_of(5);
		scene.delegation = new_delegation(scene.memory, &scene.online);
		scene_sign(&scene);
		if (published)
			fake_trust(&scene.daemon, &scene.long_term);
		int r = ask_plan(&scene, "example.org", &plan);
		assert_int_equal(r, published ? 0 : RESOLVERD_ERROR_VERIFY);
		resolverd_plan_free(plan);
		assert_int_equal(scene.daemon.connections, 1);
		scene_fini(&scene);
	}
}

static void a_key_file_that_is_gone_leaves_what_it_held(void **state)
{
	struct scene scene;
	struct resolverd_plan *plan = NULL;
	(void)state;
	scene_init(&scene);
	scene_sign(&scene);
	assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
	resolverd_plan_free(plan);
	scene.online = scene.answers = signer_of(5);
	scene.delegation = new_delegation(scene.memory, &scene.online);
	scene_sign(&scene);
	unlink(scene.daemon.key_file);
	assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
	resolverd_plan_free(plan);
	scene_fini(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_lie_delivers),
	    cmocka_unit_test(no_single_flipped_bit_delivers),
	    cmocka_unit_test(an_unknown_key_is_looked_up_once),
	    cmocka_unit_test(the_key_file_is_read_again_for_an_unknown_key),
	    cmocka_unit_test(a_key_file_that_is_gone_leaves_what_it_held),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
