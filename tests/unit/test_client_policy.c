/* SPDX-License-Identifier: BSD-3-Clause */
/* What the client library tells of local policy, and of the daemon's checks of itself. */
#include <stdio.h>

#include "tests/unit/scene.h"

static void touch_zone(struct scene *scene, Resolverd__V1__Answer *answer, const char *name)
{
	Resolverd__V1__InsecureZone *zone = NEW(scene->memory, InsecureZone, insecure_zone);
	zone->zone = memory_string(scene->memory, name);
	zone->until = NOW_MS + 1000;
	if (answer->n_insecure_zones == 0)
		answer->insecure_zones = memory_alloc(scene->memory, 4, sizeof(void *));
	answer->insecure_zones[answer->n_insecure_zones++] = zone;
}

static void a_plan_tells_which_override_made_it(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_plan *plan;
	scene_init(&scene);
	Resolverd__V1__Route *route = scene.route->route;
	route->requirement = RESOLVERD__V1__REQUIREMENT__MANDATORY;
	route->requirement_source = memory_string(scene.memory, ".org");
	route->requirement_reason = memory_string(scene.memory, "by contract\n");
	route->requirement_until = NOW_MS + 5000;
	scene_sign(&scene);
	assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
	assert_int_equal(plan->requirement, RESOLVERD_MANDATORY);
	assert_string_equal(plan->requirement_source, ".org");
	assert_string_equal(plan->requirement_reason, "by contract?");
	assert_int_equal(plan->requirement_until_ms, NOW_MS + 5000);
	resolverd_plan_free(plan);
	scene_fini(&scene);
}

static void without_an_override_nothing_is_told(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_plan *plan;
	scene_init(&scene);
	scene_sign(&scene);
	assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
	assert_null(plan->requirement_source);
	assert_null(plan->requirement_reason);
	assert_int_equal(plan->requirement_until_ms, 0);
	assert_int_equal(plan->insecure_zone_count, 0);
	resolverd_plan_free(plan);
	scene_fini(&scene);
}

static void a_plan_names_each_insecure_zone_of_its_answers_once(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_plan *plan;
	scene_init(&scene);
	touch_zone(&scene, scene.route, "example.org");
	touch_zone(&scene, scene.host, "example.org");
	touch_zone(&scene, scene.host, "org");
	scene_sign(&scene);
	assert_int_equal(ask_plan(&scene, "example.org", &plan), 0);
	assert_int_equal(plan->insecure_zone_count, 2);
	assert_string_equal(plan->insecure_zones[0].zone, "example.org");
	assert_string_equal(plan->insecure_zones[1].zone, "org");
	assert_int_equal(plan->insecure_zones[1].until_ms, NOW_MS + 1000);
	assert_int_equal(plan->hosts[0].insecure_zone_count, 2);
	resolverd_plan_free(plan);
	scene_fini(&scene);
}

static void records_name_their_insecure_zones(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_records *records;
	uint64_t id;
	scene_init(&scene);
	scene.route = new_answer(scene.memory, RESOLVERD__V1__KIND__RECORDS, "example.org");
	scene.route->question->type = 15;
	scene.route->data_case = RESOLVERD__V1__ANSWER__DATA_RECORDS;
	scene.route->records = NEW(scene.memory, Records, records);
	touch_zone(&scene, scene.route, "org");
	scene.without_host = true;
	scene_sign(&scene);
	assert_int_equal(resolverd_submit_records(scene.client, "example.org", 15, 0, &id), 0);
	run(&scene, id);
	assert_int_equal(resolverd_take_records(scene.client, id, &records), 0);
	assert_int_equal(records->insecure_zone_count, 1);
	assert_string_equal(records->insecure_zones[0].zone, "org");
	resolverd_records_free(records);
	scene_fini(&scene);
}

/* ---- status ---- */

static void add_check(struct resolverd_memory *memory, Resolverd__V1__StatusResponse *status)
{
	status->checks = memory_alloc(memory, 1, sizeof(void *));
	status->checks[status->n_checks++] = NEW(memory, Check, check);
	status->checks[0]->name = memory_string(memory, "root");
	status->checks[0]->good = true;
	status->checks[0]->detail = memory_string(memory, "validates");
}

static void add_override(struct resolverd_memory *memory, Resolverd__V1__StatusResponse *status)
{
	status->overrides = memory_alloc(memory, 1, sizeof(void *));
	status->overrides[status->n_overrides++] = NEW(memory, Override, override);
	status->overrides[0]->next_hop = memory_string(memory, ".example.org");
	status->overrides[0]->reason = memory_string(memory, "for now");
	status->overrides[0]->until = NOW_MS - 1;
	status->overrides[0]->lapsed = true;
}

static void a_status_tells_checks_policy_and_trust_anchor(void **state)
{
	(void)state;
	struct scene scene;
	struct resolverd_daemon_status *status;
	uint32_t tags[] = {20326, 38696};
	uint64_t id;
	scene_init(&scene);
	scene_sign(&scene);
	Resolverd__V1__StatusResponse *told = scene.daemon.status->status;
	add_check(scene.memory, told);
	add_override(scene.memory, told);
	told->trust_anchor_key_tags = tags;
	told->n_trust_anchor_key_tags = 2;
	told->trust_anchor_checked_at = NOW_MS - 7;
	told->clock_steps = 3;
	told->config_loaded_at = NOW_MS - 9;
	assert_int_equal(resolverd_submit_status(scene.client, &id), 0);
	run(&scene, id);
	assert_int_equal(resolverd_take_status(scene.client, id, &status), 0);
	assert_int_equal(status->check_count, 1);
	assert_string_equal(status->checks[0].name, "root");
	assert_string_equal(status->checks[0].detail, "validates");
	assert_true(status->checks[0].good);
	assert_int_equal(status->override_count, 1);
	assert_string_equal(status->overrides[0].next_hop, ".example.org");
	/* of an override without a requirement, the strictest is read */
	assert_int_equal(status->overrides[0].requirement, RESOLVERD_MANDATORY);
	assert_string_equal(status->overrides[0].reason, "for now");
	assert_int_equal(status->overrides[0].until_ms, NOW_MS - 1);
	assert_true(status->overrides[0].lapsed);
	assert_int_equal(status->insecure_zone_count, 0);
	assert_int_equal(status->trust_anchor_key_tag_count, 2);
	assert_int_equal(status->trust_anchor_key_tags[1], 38696);
	assert_int_equal(status->trust_anchor_checked_at_ms, NOW_MS - 7);
	assert_int_equal(status->clock_steps, 3);
	assert_int_equal(status->config_loaded_at_ms, NOW_MS - 9);
	resolverd_daemon_status_free(status);
	scene_fini(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_plan_tells_which_override_made_it),
	    cmocka_unit_test(without_an_override_nothing_is_told),
	    cmocka_unit_test(a_plan_names_each_insecure_zone_of_its_answers_once),
	    cmocka_unit_test(records_name_their_insecure_zones),
	    cmocka_unit_test(a_status_tells_checks_policy_and_trust_anchor),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
