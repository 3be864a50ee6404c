/* SPDX-License-Identifier: BSD-3-Clause */
/* Explanations: their plans are verified like any plan, the rest is shown and never relied on. */
#include <stdio.h>

#include "tests/unit/scene.h"

/* What the daemon explains: a scene whose answers are fresh, and cached ones beside them. */
struct stage {
	struct scene scene;
	Resolverd__V1__Answer *cached_route, *cached_host; /* NULL: not cached */
	struct signer cached_by;
	bool without_fresh_host, without_explanation, without_parts;
};

static void stage_init(struct stage *stage)
{
	*stage = (struct stage){.cached_by = signer_of(2)};
	scene_init(&stage->scene);
	struct resolverd_memory *memory = stage->scene.memory;
	stage->cached_route = new_route(memory, "example.org");
	add_mx(memory, stage->cached_route, "mx.example.org");
	stage->cached_host = new_host(memory, "mx.example.org");
}

static void stage_fini(struct stage *stage)
{
	scene_fini(&stage->scene);
}

static Resolverd__V1__Lookup *new_lookup(
    struct resolverd_memory *memory, const char *name, uint32_t type)
{
	Resolverd__V1__Lookup *lookup = NEW(memory, Lookup, lookup);
	lookup->name = memory_string(memory, name);
	lookup->type = type;
	lookup->records = NEW(memory, Records, records);
	lookup->records->status = RESOLVERD__V1__STATUS__SECURE;
	lookup->ttl_s = 300;
	lookup->rrsig_expires_at = NOW_MS + 86400000;
	lookup->asked_after_ms = 1;
	lookup->took_ms = 20;
	return lookup;
}

static Resolverd__V1__Explained *new_explained(struct stage *stage,
    const Resolverd__V1__Answer *fresh, const Resolverd__V1__Answer *cached, const char *asked,
    uint32_t type)
{
	struct resolverd_memory *memory = stage->scene.memory;
	Resolverd__V1__Explained *explained = NEW(memory, Explained, explained);
	if (fresh != NULL)
		explained->fresh = sign_answer(memory, &stage->scene.answers, fresh);
	if (cached != NULL)
		explained->cached = sign_answer(memory, &stage->cached_by, cached);
	explained->lookups = memory_alloc(memory, 1, sizeof(void *));
	explained->lookups[explained->n_lookups++] = new_lookup(memory, asked, type);
	return explained;
}

static void stage_sign(struct stage *stage)
{
	struct scene *scene = &stage->scene;
	scene_sign(scene);
	Resolverd__V1__Response *response = NEW(scene->memory, Response, response);
	scene->daemon.answer = response;
	if (stage->without_explanation)
		return;
	response->explain = NEW(scene->memory, ExplainResponse, explain_response);
	if (stage->without_parts)
		return;
	response->explain->answers = memory_alloc(scene->memory, 2, sizeof(void *));
	response->explain->answers[response->explain->n_answers++] =
	    new_explained(stage, scene->route, stage->cached_route, "example.org", 15);
	if (!scene->without_host)
		response->explain->answers[response->explain->n_answers++] =
		    new_explained(stage, stage->without_fresh_host ? NULL : scene->host,
			stage->cached_host, "mx.example.org", 1);
}

static int ask(struct stage *stage, struct resolverd_explanation **ret_explanation)
{
	uint64_t id;
	assert_int_equal(
	    resolverd_submit_explain(stage->scene.client, "Example.ORG.", 0, 0, &id), 0);
	run(&stage->scene, id);
	return resolverd_take_explanation(stage->scene.client, id, ret_explanation);
}

/* ---- the truth ---- */

static void a_good_explanation_has_both_plans_and_every_step(void **state)
{
	(void)state;
	struct stage stage;
	struct resolverd_explanation *explanation;
	stage_init(&stage);
	stage_sign(&stage);
	assert_int_equal(ask(&stage, &explanation), 0);
	stage_fini(&stage); /* results outlive the client */
	assert_int_equal(explanation->fresh->outcome, RESOLVERD_DELIVER);
	assert_int_equal(explanation->fresh->hosts[0].policy, RESOLVERD_DANE);
	assert_int_equal(explanation->cached->outcome, RESOLVERD_DELIVER);
	assert_int_equal(explanation->difference_count, 0);
	assert_int_equal(explanation->step_count, 2);
	const struct resolverd_step *route = &explanation->steps[0], *host = &explanation->steps[1];
	assert_int_equal(route->kind, RESOLVERD_STEP_ROUTE);
	assert_string_equal(route->reason, "mx-secure");
	assert_null(route->host);
	assert_int_equal(host->kind, RESOLVERD_STEP_HOST);
	assert_ptr_equal(host->host, &explanation->fresh->hosts[0]);
	assert_string_equal(host->clause, "RFC 7672 section 2.2");
	assert_int_equal(host->party, RESOLVERD_NOBODY);
	assert_int_equal(host->cached_expires_at_ms, NOW_MS + 300500);
	const struct resolverd_lookup *lookup = &host->lookups[0];
	assert_int_equal(host->lookup_count, 1);
	assert_string_equal(lookup->records.name, "mx.example.org");
	assert_int_equal(lookup->records.type, 1);
	assert_int_equal(lookup->records.status, RESOLVERD_SECURE);
	assert_null(lookup->records.key_id);
	assert_int_equal(lookup->took_ms, 20);
	resolverd_explanation_free(explanation);
}

static void what_cannot_be_asked_is_not_explained(void **state)
{
	(void)state;
	struct stage stage;
	struct resolverd_explanation *explanation;
	uint64_t id;
	stage_init(&stage);
	stage_sign(&stage);
	assert_int_equal(resolverd_submit_explain(stage.scene.client, "a..b", 25, 0, &id),
	    RESOLVERD_ERROR_ARGUMENT);
	assert_int_equal(resolverd_submit_explain(stage.scene.client, "a.b", 70000, 0, &id),
	    RESOLVERD_ERROR_ARGUMENT);
	assert_int_equal(resolverd_submit_plan(stage.scene.client, "example.org", 25, 0, &id), 0);
	assert_int_equal(resolverd_take_explanation(stage.scene.client, id, &explanation),
	    RESOLVERD_ERROR_UNKNOWN_ID);
	stage_fini(&stage);
}

/* ---- lies ---- */

static void forged_fresh(struct stage *stage)
{
	stage->scene.answers = signer_of(9);
}

static void forged_cached(struct stage *stage)
{
	stage->cached_by = signer_of(9);
}

static void no_fresh(struct stage *stage)
{
	stage->without_fresh_host = true;
}

static void nothing(struct stage *stage)
{
	stage->without_parts = true;
}

static void another_kind_of_response(struct stage *stage)
{
	stage->without_explanation = true;
}

static void fresh_of_another(struct stage *stage)
{
	stage->scene.route->question->name = memory_string(stage->scene.memory, "example.com");
}

static void fresh_host_of_another(struct stage *stage)
{
	stage->scene.host->question->name = memory_string(stage->scene.memory, "mx.example.com");
}

static void expired_fresh(struct stage *stage)
{
	stage->scene.host->expires_at = NOW_MS;
}

static void cached_of_another(struct stage *stage)
{
	stage->cached_route->question->name = memory_string(stage->scene.memory, "example.com");
}

static void cached_host_of_another(struct stage *stage)
{
	stage->cached_host->question->name = memory_string(stage->scene.memory, "mx.example.com");
}

static void cached_other_port(struct stage *stage)
{
	stage->cached_host->question->port = 26;
}

static void cached_other_kind(struct stage *stage)
{
	stage->cached_host = stage->cached_route;
}

static void cached_other_member(struct stage *stage)
{
	stage->cached_host->member = memory_string(stage->scene.memory, "m2");
}

static const struct {
	void (*change)(struct stage *stage);
	int error;
	const char *detail;
} lies[] = {
    {forged_fresh, RESOLVERD_ERROR_VERIFY, "no valid delegation"},
    {forged_cached, RESOLVERD_ERROR_VERIFY, "no valid delegation"},
    {no_fresh, RESOLVERD_ERROR_VERIFY, "has no answer"},
    {nothing, RESOLVERD_ERROR_VERIFY, "no answer"},
    {another_kind_of_response, RESOLVERD_ERROR_PROTOCOL, "something else"},
    {fresh_of_another, RESOLVERD_ERROR_VERIFY, "not asked"},
    {fresh_host_of_another, RESOLVERD_ERROR_VERIFY, "not asked"},
    {expired_fresh, RESOLVERD_ERROR_VERIFY, "expired"},
    {cached_of_another, RESOLVERD_ERROR_VERIFY, "not asked"},
    {cached_host_of_another, RESOLVERD_ERROR_VERIFY, "not asked"},
    {cached_other_port, RESOLVERD_ERROR_VERIFY, "not asked"},
    {cached_other_kind, RESOLVERD_ERROR_VERIFY, "not asked"},
    {cached_other_member, RESOLVERD_ERROR_VERIFY, "member"},
};

static void no_lie_is_explained(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(lies); i++) {
		struct stage stage;
		struct resolverd_explanation *explanation = NULL;
		stage_init(&stage);
		lies[i].change(&stage);
		stage_sign(&stage);
		int r = ask(&stage, &explanation);
		const char *text = resolverd_last_error(stage.scene.client);
		if (r != lies[i].error || explanation != NULL ||
		    strstr(text, lies[i].detail) == NULL)
			fail_msg("lie %zu: %d, %s", i, r, text);
		stage_fini(&stage);
	}
}

static void flip_a_bit(struct fake_daemon *daemon, uint8_t *frame, size_t *count)
{
	frame[daemon->spoil_at / 8 % *count] ^= (uint8_t)(1u << daemon->spoil_at % 8);
}

/* Lookups are not signed and may be changed; the verdict not. */
static void no_single_flipped_bit_changes_a_verdict(void **state)
{
	(void)state;
	struct stage stage;
	stage_init(&stage);
	stage.scene.host->host->policy = RESOLVERD__V1__POLICY__UNREACHABLE;
	stage.scene.host->host->reason = RESOLVERD__V1__HOST_REASON__TLSA_FAILED;
	stage_sign(&stage);
	Resolverd__V1__Response *response = stage.scene.daemon.answer;
	response->id = 1;
	size_t count = FRAME_HEADER_BYTES + resolverd__v1__response__get_packed_size(response);
	size_t explained = 0;
	stage.scene.daemon.close_after = true;
	stage.scene.daemon.spoil = flip_a_bit;
	for (stage.scene.daemon.spoil_at = 0; stage.scene.daemon.spoil_at < 8 * count;
	     stage.scene.daemon.spoil_at++) {
		struct resolverd_explanation *explanation = NULL;
		if (ask(&stage, &explanation) != 0)
			continue;
		explained++;
		if (explanation->fresh->outcome != RESOLVERD_DELAY ||
		    (explanation->cached != NULL &&
			explanation->cached->outcome != RESOLVERD_DELIVER))
			fail_msg("bit %zu of byte %zu", stage.scene.daemon.spoil_at % 8,
			    stage.scene.daemon.spoil_at / 8);
		resolverd_explanation_free(explanation);
	}
	assert_true(explained > 0);
	stage_fini(&stage);
}

static void a_critical_field_makes_that_plan_delay(void **state)
{
	(void)state;
	for (int fresh = 0; fresh < 2; fresh++) {
		struct stage stage;
		struct resolverd_explanation *explanation;
		stage_init(&stage);
		Resolverd__V1__Answer *answer = fresh ? stage.scene.host : stage.cached_host;
		answer->critical = memory_alloc(stage.scene.memory, 1, sizeof *answer->critical);
		answer->critical[answer->n_critical++] = 899;
		stage_sign(&stage);
		assert_int_equal(ask(&stage, &explanation), 0);
		const struct resolverd_plan *changed =
		    fresh ? explanation->fresh : explanation->cached;
		const struct resolverd_plan *other =
		    fresh ? explanation->cached : explanation->fresh;
		assert_int_equal(changed->outcome, RESOLVERD_DELAY);
		assert_non_null(strstr(changed->reason, "field 899"));
		assert_int_equal(other->outcome, RESOLVERD_DELIVER);
		resolverd_explanation_free(explanation);
		stage_fini(&stage);
	}
}

/* ---- what is cached, and how it differs ---- */

static const struct resolverd_difference *difference(
    const struct resolverd_explanation *explanation, const char *what)
{
	for (size_t i = 0; i < explanation->difference_count; i++)
		if (strcmp(explanation->differences[i].what, what) == 0)
			return &explanation->differences[i];
	fail_msg("no difference in %s", what);
	return NULL;
}

static void not_cached_at_all(struct stage *stage)
{
	stage->cached_route = stage->cached_host = NULL;
}

static void host_not_cached(struct stage *stage)
{
	stage->cached_host = NULL;
}

static void route_expired(struct stage *stage)
{
	stage->cached_route->expires_at = NOW_MS;
}

static void host_expired(struct stage *stage)
{
	stage->cached_host->expires_at = NOW_MS;
}

static void no_host_told(struct stage *stage)
{
	stage->scene.without_host = true;
}

static void what_is_not_all_cached_makes_no_cached_plan(void **state)
{
	(void)state;
	static void (*const changes[])(struct stage * stage) = {
	    not_cached_at_all, host_not_cached, route_expired, host_expired, no_host_told};
	for (size_t i = 0; i < COUNT(changes); i++) {
		struct stage stage;
		struct resolverd_explanation *explanation;
		stage_init(&stage);
		changes[i](&stage);
		stage_sign(&stage);
		assert_int_equal(ask(&stage, &explanation), 0);
		assert_null(explanation->cached);
		assert_int_equal(explanation->difference_count, 0);
		bool has_route = changes[i] != not_cached_at_all && changes[i] != route_expired;
		assert_int_equal(explanation->steps[0].cached_expires_at_ms != 0, has_route);
		assert_int_equal(
		    explanation->steps[1].cached_expires_at_ms != 0, changes[i] == route_expired);
		resolverd_explanation_free(explanation);
		stage_fini(&stage);
	}
}

static void a_host_without_answer_is_a_step_without_lookups(void **state)
{
	(void)state;
	struct stage stage;
	struct resolverd_explanation *explanation;
	stage_init(&stage);
	stage.scene.without_host = true;
	stage_sign(&stage);
	assert_int_equal(ask(&stage, &explanation), 0);
	assert_int_equal(explanation->fresh->outcome, RESOLVERD_DELAY);
	assert_int_equal(explanation->step_count, 2);
	assert_string_equal(explanation->steps[1].reason, "answer-missing");
	assert_int_equal(explanation->steps[1].party, RESOLVERD_US);
	assert_null(explanation->steps[1].before);
	assert_int_equal(explanation->steps[1].lookup_count, 0);
	resolverd_explanation_free(explanation);
	stage_fini(&stage);
}

static void another_mx_is_a_difference_though_no_cached_plan(void **state)
{
	(void)state;
	struct stage stage;
	struct resolverd_explanation *explanation;
	stage_init(&stage);
	stage.cached_route = new_route(stage.scene.memory, "example.org");
	add_mx(stage.scene.memory, stage.cached_route, "old.example.org");
	stage_sign(&stage);
	assert_int_equal(ask(&stage, &explanation), 0);
	assert_null(explanation->cached);
	assert_string_equal(difference(explanation, "mx")->cached, "10 old.example.org");
	assert_string_equal(difference(explanation, "mx")->fresh, "10 mx.example.org");
	assert_string_equal(difference(explanation, "mx")->name, "example.org");
	resolverd_explanation_free(explanation);
	stage_fini(&stage);
}

static void every_difference_is_told(void **state)
{
	(void)state;
	struct stage stage;
	struct resolverd_explanation *explanation;
	stage_init(&stage);
	Resolverd__V1__Host *host = stage.cached_host->host;
	Resolverd__V1__Route *route = stage.cached_route->route;
	route->mx_status = RESOLVERD__V1__STATUS__INSECURE;
	route->expanded = memory_string(stage.scene.memory, "example.net");
	route->requirement = RESOLVERD__V1__REQUIREMENT__MANDATORY;
	host->policy = RESOLVERD__V1__POLICY__OPPORTUNISTIC;
	host->reason = RESOLVERD__V1__HOST_REASON__ADDRESS_NOT_SECURE;
	host->address_status = RESOLVERD__V1__STATUS__INSECURE;
	host->addresses[0]->ip.data[3] = 77;
	host->tlsa_status = RESOLVERD__V1__TLSA_STATUS__TLSA_NOT_QUERIED;
	host->tlsa_base = memory_string(stage.scene.memory, "");
	host->n_tlsa = 0;
	stage_sign(&stage);
	assert_int_equal(ask(&stage, &explanation), 0);
	static const char *const all[] = {"outcome", "mx_status", "reason", "expanded",
	    "requirement", "policy", "address_status", "addresses", "tlsa_status", "tlsa_base",
	    "tlsa"};
	for (size_t i = 0; i < COUNT(all); i++)
		difference(explanation, all[i]);
	assert_int_equal(explanation->difference_count, 12); /* reason of route and of host */
	assert_string_equal(difference(explanation, "outcome")->cached, "delay");
	assert_string_equal(difference(explanation, "tlsa")->cached, "none");
	assert_string_equal(difference(explanation, "addresses")->cached, "192.0.2.77 secure");
	resolverd_explanation_free(explanation);
	stage_fini(&stage);
}

/* ---- lookups ---- */

static void a_lookup_may_lack_everything(void **state)
{
	(void)state;
	struct stage stage;
	struct resolverd_explanation *explanation;
	stage_init(&stage);
	stage_sign(&stage);
	Resolverd__V1__ExplainResponse *explain = stage.scene.daemon.answer->explain;
	explain->answers[0]->lookups[0] = NEW(stage.scene.memory, Lookup, lookup);
	explain->answers[1]->lookups[0]->unanswered = true;
	assert_int_equal(ask(&stage, &explanation), 0);
	const struct resolverd_records *empty = &explanation->steps[0].lookups[0].records;
	assert_string_equal(empty->name, "");
	assert_int_equal(empty->status, RESOLVERD_ERROR);
	assert_int_equal(explanation->steps[1].lookups[0].records.status, RESOLVERD_ERROR);
	assert_true(explanation->steps[1].lookups[0].unanswered);
	resolverd_explanation_free(explanation);
	stage_fini(&stage);
}

static void text_from_the_wire_cannot_reach_the_terminal(void **state)
{
	(void)state;
	static const struct {
		const char *told, *shown;
	} rows[] = {
	    {"plain", "plain"},
	    {"b\xc3\xbc"
	     "cher \xe2\x9c\x93 \xf0\x9f\x93\xac",
		"b\xc3\xbc"
		"cher \xe2\x9c\x93 \xf0\x9f\x93\xac"},
	    {"\033[2J\r\n\x7f", "?[2J???"},
	    {"\xc2\x9b"
	     "31m",
		"??31m"}, /* a control character of two octets */
	    {"\xff\xc3:", "??:"},
	    {"\xc0\xaf \xe0\x80\xaf \xed\xa0\x80 \xf4\x90\x80\x80", "?? ??? ??? ????"},
	    {"cut \xe2\x9c", "cut ??"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct stage stage;
		struct resolverd_explanation *explanation;
		stage_init(&stage);
		stage_sign(&stage);
		Resolverd__V1__Lookup *lookup =
		    stage.scene.daemon.answer->explain->answers[0]->lookups[0];
		lookup->records->reason = memory_string(stage.scene.memory, rows[i].told);
		assert_int_equal(ask(&stage, &explanation), 0);
		assert_string_equal(explanation->steps[0].lookups[0].records.reason, rows[i].shown);
		resolverd_explanation_free(explanation);
		stage_fini(&stage);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_good_explanation_has_both_plans_and_every_step),
	    cmocka_unit_test(what_cannot_be_asked_is_not_explained),
	    cmocka_unit_test(no_lie_is_explained),
	    cmocka_unit_test(no_single_flipped_bit_changes_a_verdict),
	    cmocka_unit_test(a_critical_field_makes_that_plan_delay),
	    cmocka_unit_test(what_is_not_all_cached_makes_no_cached_plan),
	    cmocka_unit_test(a_host_without_answer_is_a_step_without_lookups),
	    cmocka_unit_test(another_mx_is_a_difference_though_no_cached_plan),
	    cmocka_unit_test(every_difference_is_told),
	    cmocka_unit_test(a_lookup_may_lack_everything),
	    cmocka_unit_test(text_from_the_wire_cannot_reach_the_terminal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
