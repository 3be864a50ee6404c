/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts to signed answers: what the envelope says, how long it holds, and that it verifies. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/server/signer.h"
#include "tests/unit/test.h"

#define NOW INT64_C(1800000000000)
#define MAX_TTL_MS 86400000
#define FAILURE_TTL_MS 15000
#define NAME(text) ((char *)(uintptr_t)(text))

static struct config config = {
    .signing = {.member = NAME("mx1")},
    .cache = {.max_ttl_ms = MAX_TTL_MS, .failure_ttl_ms = FAILURE_TTL_MS},
    .resolver = {.insecure_mx_policy = V1(INSECURE_MX_POLICY__INSECURE_MX_UNREACHABLE)},
};

static int setup(void **state)
{
	static struct signer signer;
	assert_int_equal(signer_init(&signer, &config), 0);
	*state = &signer;
	return 0;
}

static int teardown(void **state)
{
	signer_fini(*state);
	return 0;
}

/* ---- facts and envelopes ---- */

struct scene {
	Resolverd__V1__Question question;
	Resolverd__V1__Route route;
	Resolverd__V1__Host host;
	Resolverd__V1__Records records;
	Resolverd__V1__MxHost hosts[20], *mx[20];
	Resolverd__Worker__Facts facts;
};

static void scene_init(struct scene *scene, int kind)
{
	resolverd__v1__question__init(&scene->question);
	resolverd__v1__route__init(&scene->route);
	resolverd__v1__host__init(&scene->host);
	resolverd__v1__records__init(&scene->records);
	resolverd__worker__facts__init(&scene->facts);
	scene->question.kind = (Resolverd__V1__Kind)kind;
	scene->question.name = NAME("example.org");
	scene->facts.question = &scene->question;
	scene->facts.life_ms = UINT64_MAX;
	switch (kind) {
	case V1(KIND__ROUTE):
		scene->route.kind = V1(ROUTE_KIND__MX);
		scene->route.mx_status = V1(STATUS__SECURE);
		scene->route.expanded = NAME("example.org");
		scene->route.mx = scene->mx;
		scene->facts.data_case = RESOLVERD__WORKER__FACTS__DATA_ROUTE;
		scene->facts.route = &scene->route;
		break;
	case V1(KIND__HOST):
		scene->host.policy = V1(POLICY__DANE);
		scene->facts.data_case = RESOLVERD__WORKER__FACTS__DATA_HOST;
		scene->facts.host = &scene->host;
		break;
	default:
		scene->records.status = V1(STATUS__SECURE);
		scene->facts.data_case = RESOLVERD__WORKER__FACTS__DATA_RECORDS;
		scene->facts.records = &scene->records;
	}
}

static void scene_add_mx(struct scene *scene, const char *name)
{
	size_t n = scene->route.n_mx++;
	resolverd__v1__mx_host__init(&scene->hosts[n]);
	scene->hosts[n].name = NAME(name);
	scene->mx[n] = &scene->hosts[n];
}

/* Reads the blob as a client does: it is field 3 of a Response. Verifies the signature. */
static Resolverd__V1__Answer *open_answer(const struct signer *signer, const struct answer *answer)
{
	Resolverd__V1__Response *response =
	    resolverd__v1__response__unpack(NULL, answer->blob_bytes, answer->data);
	assert_non_null(response);
	assert_int_equal(response->n_answers, 1);
	const Resolverd__V1__SignedAnswer *outer = response->answers[0];
	assert_int_equal(outer->key_id.len, KEY_ID_BYTES);
	assert_memory_equal(outer->key_id.data, signer->key_id, KEY_ID_BYTES);
	assert_true(signing_verify(SIGNING_CONTEXT_ANSWER, outer->answer.data, outer->answer.len,
	    outer->signature.data, outer->signature.len, signer->public_key));
	assert_false(signing_verify(SIGNING_CONTEXT_DELEGATION, outer->answer.data,
	    outer->answer.len, outer->signature.data, outer->signature.len, signer->public_key));
	Resolverd__V1__Answer *inner =
	    resolverd__v1__answer__unpack(NULL, outer->answer.len, outer->answer.data);
	assert_non_null(inner);
	resolverd__v1__response__free_unpacked(response, NULL);
	return inner;
}

/* ---- how long it holds ---- */

static const struct life_row {
	const char *name;
	uint64_t life_ms, rrsig_expires_at;
	bool failed;
	int64_t want_ms; /* from now */
	bool cacheable;
} life_rows[] = {
    {"m05_the_ttl_is_the_life", 60000, 0, false, 60000, true},
    {"m05_rrsig_expiry_before_the_ttl", 60000, NOW + 5000, false, 5000, true},
    {"m05_rrsig_expiry_after_the_ttl", 60000, NOW + 90000, false, 60000, true},
    {"life_is_at_most_max_ttl", UINT64_C(4294967295000), 0, false, MAX_TTL_MS, true},
    {"no_ttl_at_all_is_max_ttl", UINT64_MAX, 0, false, MAX_TTL_MS, true},
    {"b13_failure_lives_for_failure_ttl", UINT64_MAX, 0, true, FAILURE_TTL_MS, true},
    {"b13_failure_with_long_data_lives_for_failure_ttl", 3600000, 0, true, FAILURE_TTL_MS, true},
    {"b13_failure_with_shorter_data_lives_as_that", 2000, 0, true, 2000, true},
    {"ttl_0_is_not_cacheable_and_lives_to_be_used_once", 0, 0, false, 5000, false},
    {"m05_ttl_0_never_outlives_its_signature", 0, NOW + 1000, false, 1000, false},
    {"m07_expired_signature_gives_an_expired_answer", 60000, NOW - 1, false, -1, true},
    {"failure_with_ttl_0_is_not_cacheable", 0, 0, true, 5000, false},
};

static void life_row_holds(void **state)
{
	const struct life_row *row = *state;
	struct signer signer;
	assert_int_equal(signer_init(&signer, &config), 0);
	for (int kind = V1(KIND__ROUTE); kind <= V1(KIND__RECORDS); kind++) {
		struct scene scene;
		scene_init(&scene, kind);
		scene.facts.life_ms = row->life_ms;
		scene.facts.rrsig_expires_at = row->rrsig_expires_at;
		scene.facts.failed = row->failed;
		struct answer *answer = signer_answer(&signer, &scene.facts, NOW);
		assert_non_null(answer);
		Resolverd__V1__Answer *inner = open_answer(&signer, answer);
		assert_int_equal(inner->validated_at, NOW);
		assert_int_equal(inner->expires_at, NOW + row->want_ms);
		assert_int_equal(answer->expires_at_ms, NOW + row->want_ms);
		assert_int_equal(inner->cacheable, row->cacheable);
		assert_int_equal(answer->cacheable, row->cacheable);
		resolverd__v1__answer__free_unpacked(inner, NULL);
		answer_unref(answer);
	}
	signer_fini(&signer);
}

/* ---- what it says ---- */

static void local_policy_is_ours_not_the_workers(void **state)
{
	struct scene scene;
	scene_init(&scene, V1(KIND__ROUTE));
	scene.route.requirement = V1(REQUIREMENT__OFF);
	scene.route.insecure_mx_policy = V1(INSECURE_MX_POLICY__INSECURE_MX_OPPORTUNISTIC);
	struct answer *answer = signer_answer(*state, &scene.facts, NOW);
	Resolverd__V1__Answer *inner = open_answer(*state, answer);
	assert_int_equal(inner->route->requirement, V1(REQUIREMENT__NORMAL));
	assert_int_equal(
	    inner->route->insecure_mx_policy, V1(INSECURE_MX_POLICY__INSECURE_MX_UNREACHABLE));
	assert_string_equal(inner->member, "mx1");
	assert_string_equal(inner->question->name, "example.org");
	assert_int_equal(inner->question->kind, V1(KIND__ROUTE));
	resolverd__v1__answer__free_unpacked(inner, NULL);
	answer_unref(answer);
}

static void facts_of_another_kind_are_refused(void **state)
{
	for (int kind = V1(KIND__ROUTE); kind <= V1(KIND__RECORDS); kind++) {
		for (int asked = 0; asked <= V1(KIND__RECORDS) + 1; asked++) {
			struct scene scene;
			scene_init(&scene, kind);
			scene.question.kind = (Resolverd__V1__Kind)asked;
			struct answer *answer = signer_answer(*state, &scene.facts, NOW);
			assert_int_equal(answer != NULL, asked == kind);
			answer_unref(answer);
		}
	}
}

static void a_changed_octet_breaks_the_signature(void **state)
{
	const struct signer *signer = *state;
	struct scene scene;
	scene_init(&scene, V1(KIND__HOST));
	struct answer *answer = signer_answer(*state, &scene.facts, NOW);
	Resolverd__V1__Response *response =
	    resolverd__v1__response__unpack(NULL, answer->blob_bytes, answer->data);
	Resolverd__V1__SignedAnswer *outer = response->answers[0];
	for (size_t i = 0; i < outer->answer.len; i++) {
		outer->answer.data[i] ^= 1;
		assert_false(
		    signing_verify(SIGNING_CONTEXT_ANSWER, outer->answer.data, outer->answer.len,
			outer->signature.data, outer->signature.len, signer->public_key));
		outer->answer.data[i] ^= 1;
	}
	resolverd__v1__response__free_unpacked(response, NULL);
	answer_unref(answer);
}

/* ---- the hosts a plan needs ---- */

static const struct hosts_row {
	const char *name, *expanded;
	int kind;
	unsigned mx, want;
} hosts_rows[] = {
    {"mx", "example.org", V1(ROUTE_KIND__MX), 2, 2},
    {"implicit mx", "example.org", V1(ROUTE_KIND__IMPLICIT_MX), 1, 1},
    {"relay host", "[relay.example.org]", V1(ROUTE_KIND__NO_MX_STEP), 1, 1},
    {"d12 address", "[192.0.2.1]", V1(ROUTE_KIND__NO_MX_STEP), 1, 0},
    {"d12 ipv6 address", "[2001:db8::1]", V1(ROUTE_KIND__NO_MX_STEP), 1, 0},
    {"n01 null mx", "example.org", V1(ROUTE_KIND__NULL_MX), 0, 0},
    {"no such domain", "example.org", V1(ROUTE_KIND__NO_SUCH_DOMAIN), 0, 0},
    {"failed", "example.org", V1(ROUTE_KIND__FAILED), 1, 0},
    {"the first 16 only", "example.org", V1(ROUTE_KIND__MX), 20, 16},
};

static void n01_d12_routes_list_the_hosts_a_plan_needs(void **state)
{
	static const char *const names[] = {"a.example", "longer.b.example"};
	for (size_t i = 0; i < COUNT(hosts_rows); i++) {
		const struct hosts_row *row = &hosts_rows[i];
		struct scene scene;
		scene_init(&scene, V1(KIND__ROUTE));
		scene.route.kind = (Resolverd__V1__RouteKind)row->kind;
		scene.route.expanded = NAME(row->expanded);
		for (unsigned n = 0; n < row->mx; n++)
			scene_add_mx(&scene, names[n % 2]);
		struct answer *answer = signer_answer(*state, &scene.facts, NOW);
		assert_int_equal(answer->host_count, row->want);
		for (unsigned n = 0; n < row->want; n++) {
			char host[NAME_TEXT_MAX];
			answer_host_name(answer, n, host);
			assert_string_equal(host, names[n % 2]);
		}
		assert_true(answer_hosts_are_good(answer));
		answer_unref(answer);
	}
}

/* ---- failures ---- */

static void b13_failure_fails_closed_for_each_kind(void **state)
{
	for (int kind = V1(KIND__ROUTE); kind <= V1(KIND__RECORDS); kind++) {
		struct scene scene;
		scene_init(&scene, kind);
		struct answer *answer = signer_failure(*state, &scene.question, "died", true, NOW);
		Resolverd__V1__Answer *inner = open_answer(*state, answer);
		assert_true(inner->cacheable);
		assert_int_equal(inner->expires_at, NOW + FAILURE_TTL_MS);
		assert_int_equal(inner->question->kind, kind);
		if (kind == V1(KIND__ROUTE)) {
			assert_int_equal(inner->route->kind, V1(ROUTE_KIND__FAILED));
			assert_int_equal(inner->route->mx_status, V1(STATUS__ERROR));
			assert_string_equal(inner->route->reason, "died");
		} else if (kind == V1(KIND__HOST)) {
			assert_int_equal(inner->host->policy, V1(POLICY__UNREACHABLE));
			assert_int_equal(inner->host->address_status, V1(STATUS__ERROR));
			assert_string_equal(inner->host->reason_text, "died");
		} else {
			assert_int_equal(inner->records->status, V1(STATUS__ERROR));
			assert_string_equal(inner->records->reason, "died");
		}
		resolverd__v1__answer__free_unpacked(inner, NULL);
		answer_unref(answer);
	}
}

static void failure_may_be_kept_from_the_cache(void **state)
{
	struct scene scene;
	scene_init(&scene, V1(KIND__HOST));
	struct answer *answer = signer_failure(*state, &scene.question, "busy", false, NOW);
	assert_false(answer->cacheable);
	assert_int_equal(answer->expires_at_ms, NOW + 5000);
	answer_unref(answer);
}

#define SIGNER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- local policy, and how it is changed ---- */

static void a_new_policy_is_derived_with_facts_and_times_as_they_were(void **state)
{
	struct signer *signer = *state;
	struct scene scene;
	struct config_override override = {.next_hop = NAME("example.org"),
	    .requirement = V1(REQUIREMENT__OFF),
	    .reason = NAME("ticket"),
	    .until_ms = NOW + 5000};
	struct config other = config;
	other.overrides = &override;
	other.override_count = 1;
	scene_init(&scene, V1(KIND__ROUTE));
	scene_add_mx(&scene, "mx.example.org");
	scene.facts.life_ms = 60000;
	struct answer *first = signer_answer(signer, &scene.facts, NOW);
	assert_true(signer_is_current_route(signer, first));
	signer_set_config(signer, &other);
	assert_false(signer_is_current_route(signer, first));
	struct answer *derived = signer_derive(signer, first, NOW + 1000);
	assert_true(signer_is_current_route(signer, derived));
	assert_int_equal(derived->host_count, 1);
	assert_true(answer_has_hosts_of(derived, first));
	Resolverd__V1__Answer *inner = open_answer(signer, derived);
	assert_int_equal(inner->validated_at, NOW);
	assert_int_equal(inner->expires_at, NOW + 5000); /* ends with the override */
	assert_int_equal(derived->expires_at_ms, NOW + 5000);
	assert_int_equal(inner->route->requirement, V1(REQUIREMENT__OFF));
	assert_string_equal(inner->route->requirement_reason, "ticket");
	assert_string_equal(inner->route->mx[0]->name, "mx.example.org");
	resolverd__v1__answer__free_unpacked(inner, NULL);
	signer_set_config(signer, &config);
	struct answer *back = signer_derive(signer, derived, NOW + 2000);
	inner = open_answer(signer, back);
	assert_int_equal(inner->route->requirement, V1(REQUIREMENT__NORMAL));
	assert_string_equal(inner->route->requirement_source, "");
	resolverd__v1__answer__free_unpacked(inner, NULL);
	answer_unref(first);
	answer_unref(derived);
	answer_unref(back);
}

/* A worker decides no life beyond max-ttl, whatever it says. */
static void no_end_of_an_insecure_zone_makes_a_life_longer(void **state)
{
	static const uint64_t untils[] = {UINT64_MAX, (uint64_t)INT64_MAX + 1, INT64_MAX};
	for (size_t i = 0; i < COUNT(untils); i++) {
		struct scene scene;
		Resolverd__V1__InsecureZone zone = RESOLVERD__V1__INSECURE_ZONE__INIT,
					    *zones[] = {&zone};
		scene_init(&scene, V1(KIND__ROUTE));
		zone.zone = NAME("example.org");
		zone.until = untils[i];
		scene.facts.insecure_zones = zones;
		scene.facts.n_insecure_zones = 1;
		struct answer *answer = signer_answer(*state, &scene.facts, NOW);
		Resolverd__V1__Answer *inner = open_answer(*state, answer);
		assert_int_equal(inner->expires_at, NOW + MAX_TTL_MS);
		resolverd__v1__answer__free_unpacked(inner, NULL);
		answer_unref(answer);
	}
}

static void an_answer_ends_with_the_insecure_zones_it_touches(void **state)
{
	struct scene scene;
	Resolverd__V1__InsecureZone zone = RESOLVERD__V1__INSECURE_ZONE__INIT, *zones[] = {&zone};
	zone.zone = NAME("example.org");
	zone.until = NOW + 7000;
	scene_init(&scene, V1(KIND__HOST));
	scene.facts.insecure_zones = zones;
	scene.facts.n_insecure_zones = 1;
	struct answer *answer = signer_answer(*state, &scene.facts, NOW);
	Resolverd__V1__Answer *inner = open_answer(*state, answer);
	assert_int_equal(inner->expires_at, NOW + 7000);
	assert_int_equal(inner->n_insecure_zones, 1);
	assert_string_equal(inner->insecure_zones[0]->zone, "example.org");
	resolverd__v1__answer__free_unpacked(inner, NULL);
	answer_unref(answer);
	/* Found by a worker that was slow to hear that it is over: good for nothing. */
	answer = signer_answer(*state, &scene.facts, NOW + 7000);
	assert_true(answer->expires_at_ms <= NOW + 7000);
	answer_unref(answer);
}

static void lookups_stand_behind_the_answer_and_are_not_signed(void **state)
{
	struct scene scene;
	Resolverd__V1__Lookup lookup = RESOLVERD__V1__LOOKUP__INIT, *lookups[] = {&lookup};
	lookup.name = NAME("example.org");
	lookup.type = 15;
	scene_init(&scene, V1(KIND__ROUTE));
	scene_add_mx(&scene, "mx.example.org");
	struct answer *plain = signer_answer(*state, &scene.facts, NOW);
	scene.facts.lookups = lookups;
	scene.facts.n_lookups = 1;
	struct answer *traced = signer_answer(*state, &scene.facts, NOW);
	assert_int_equal(traced->blob_bytes, plain->blob_bytes);
	assert_memory_equal(traced->data, plain->data, plain->blob_bytes);
	Resolverd__V1__Explained *explained = resolverd__v1__explained__unpack(
	    NULL, traced->trace_bytes, traced->data + answer_trace_at(traced));
	assert_int_equal(explained->n_lookups, 1);
	assert_int_equal(explained->lookups[0]->type, 15);
	resolverd__v1__explained__free_unpacked(explained, NULL);
	answer_unref(plain);
	answer_unref(traced);
}

/* ---- past its end (RFC 8767) ---- */

#define STALE_MS 3600000

static struct answer *route_answer(struct signer *signer, struct scene *scene)
{
	scene_init(scene, V1(KIND__ROUTE));
	scene_add_mx(scene, "mx.example.org");
	scene->facts.life_ms = 60000;
	return signer_answer(signer, &scene->facts, NOW);
}

static void m06_an_extended_answer_says_since_when_it_is_stale(void **state)
{
	struct scene scene;
	struct answer *answer = route_answer(*state, &scene);
	int64_t end_ms = NOW + 60000;
	assert_false(answer->stale);
	struct answer *extended = signer_extend(*state, answer, STALE_MS, end_ms + 1000);
	assert_true(extended->stale);
	assert_true(extended->cacheable);
	assert_false(extended->failed);
	assert_int_equal(extended->expires_at_ms, end_ms + 1000 + FAILURE_TTL_MS);
	assert_int_equal(extended->host_count, 1);
	char host[NAME_TEXT_MAX];
	answer_host_name(extended, 0, host);
	assert_string_equal(host, "mx.example.org");
	Resolverd__V1__Answer *inner = open_answer(*state, extended);
	assert_int_equal(inner->stale_since, end_ms);
	assert_int_equal(inner->validated_at, NOW); /* as it was: nothing new was found */
	assert_int_equal(inner->expires_at, extended->expires_at_ms);
	assert_string_equal(inner->route->mx[0]->name, "mx.example.org");
	resolverd__v1__answer__free_unpacked(inner, NULL);
	/* once more: since its first end, not since the last */
	struct answer *again = signer_extend(*state, extended, STALE_MS, end_ms + 50000);
	inner = open_answer(*state, again);
	assert_int_equal(inner->stale_since, end_ms);
	assert_int_equal(inner->expires_at, end_ms + 50000 + FAILURE_TTL_MS);
	resolverd__v1__answer__free_unpacked(inner, NULL);
	answer_unref(answer);
	answer_unref(extended);
	answer_unref(again);
}

static const struct stale_row {
	const char *name;
	uint64_t rrsig_expires_at, zone_until; /* 0: none */
	int64_t past_end_ms, want_ms; /* now, and when it ends: past its end; 0: not served */
} stale_rows[] = {
    {"m06_stale_for_failure_ttl_at_a_time", 0, 0, 1000, 1000 + FAILURE_TTL_MS},
    {"m06_stale_at_its_very_end", 0, 0, 0, FAILURE_TTL_MS},
    {"m06_stale_until_the_operators_limit", 0, 0, STALE_MS - 1000, STALE_MS},
    {"m06_stale_no_longer_at_the_operators_limit", 0, 0, STALE_MS, 0},
    {"m06_stale_never_past_rrsig_expiry", NOW + 65000, 0, 1000, 5000},
    {"m06_stale_no_longer_at_rrsig_expiry", NOW + 65000, 0, 5000, 0},
    {"m06_stale_no_longer_when_rrsig_expiry_was_its_end", NOW + 60000, 0, 0, 0},
    {"m06_stale_with_rrsig_expiry_far_away", NOW + MAX_TTL_MS, 0, 0, FAILURE_TTL_MS},
    {"m06_stale_never_past_the_end_of_an_insecure_zone", 0, NOW + 63000, 1000, 3000},
    {"m06_stale_no_longer_at_the_end_of_an_insecure_zone", 0, NOW + 63000, 3000, 0},
    {"m06_stale_ends_with_the_earlier_of_both", NOW + 64000, NOW + 63000, 1000, 3000},
};

static void stale_row_holds(void **state)
{
	const struct stale_row *row = *state;
	struct signer signer;
	assert_int_equal(signer_init(&signer, &config), 0);
	for (int kind = V1(KIND__ROUTE); kind <= V1(KIND__RECORDS); kind++) {
		struct scene scene;
		Resolverd__V1__InsecureZone zone = RESOLVERD__V1__INSECURE_ZONE__INIT,
					    *zones[] = {&zone};
		scene_init(&scene, kind);
		scene.facts.life_ms = 60000;
		scene.facts.rrsig_expires_at = row->rrsig_expires_at;
		zone.zone = NAME("example.org");
		zone.until = row->zone_until;
		scene.facts.insecure_zones = zones;
		scene.facts.n_insecure_zones = row->zone_until != 0;
		struct answer *answer = signer_answer(&signer, &scene.facts, NOW);
		assert_int_equal(answer->expires_at_ms, NOW + 60000);
		struct answer *extended = signer_extend(
		    &signer, answer, STALE_MS, answer->expires_at_ms + row->past_end_ms);
		assert_int_equal(extended != NULL, row->want_ms != 0);
		if (extended != NULL)
			assert_int_equal(
			    extended->expires_at_ms, answer->expires_at_ms + row->want_ms);
		answer_unref(answer);
		answer_unref(extended);
	}
	signer_fini(&signer);
}

/* An override that came meanwhile, and one that ends. */
static void a_stale_route_has_the_policy_of_now(void **state)
{
	struct signer *signer = *state;
	struct scene scene;
	struct config_override override = {.next_hop = NAME("example.org"),
	    .requirement = V1(REQUIREMENT__MANDATORY),
	    .reason = NAME(""),
	    .until_ms = NOW + 65000};
	struct config other = config;
	struct answer *answer = route_answer(signer, &scene);
	other.overrides = &override;
	other.override_count = 1;
	signer_set_config(signer, &other);
	struct answer *extended = signer_extend(signer, answer, STALE_MS, NOW + 61000);
	assert_true(signer_is_current_route(signer, extended));
	assert_int_equal(extended->expires_at_ms, NOW + 65000);
	Resolverd__V1__Answer *inner = open_answer(signer, extended);
	assert_int_equal(inner->route->requirement, V1(REQUIREMENT__MANDATORY));
	resolverd__v1__answer__free_unpacked(inner, NULL);
	/* a reload while it is served: it stays marked */
	signer_set_config(signer, &config);
	struct answer *derived = signer_derive(signer, extended, NOW + 62000);
	assert_true(derived->stale);
	inner = open_answer(signer, derived);
	assert_int_equal(inner->stale_since, NOW + 60000);
	assert_int_equal(inner->expires_at, NOW + 65000); /* no longer than it was */
	resolverd__v1__answer__free_unpacked(inner, NULL);
	answer_unref(answer);
	answer_unref(extended);
	answer_unref(derived);
}

/* ---- what the cache has to know of an answer ---- */

static void b13_m06_failed_and_bogus_are_told_to_the_cache(void **state)
{
	static const struct {
		int kind, status, tlsa_status;
		bool failed, bogus;
	} bit_rows[] = {
	    {V1(KIND__ROUTE), V1(STATUS__SECURE), 0, false, false},
	    {V1(KIND__ROUTE), V1(STATUS__INSECURE), 0, false, false},
	    {V1(KIND__ROUTE), V1(STATUS__ERROR), 0, true, false},
	    {V1(KIND__ROUTE), V1(STATUS__BOGUS), 0, true, true},
	    {V1(KIND__HOST), V1(STATUS__SECURE), V1(TLSA_STATUS__TLSA_SECURE), false, false},
	    {V1(KIND__HOST), V1(STATUS__BOGUS), V1(TLSA_STATUS__TLSA_NOT_QUERIED), true, true},
	    {V1(KIND__HOST), V1(STATUS__SECURE), V1(TLSA_STATUS__TLSA_BOGUS), true, true},
	    {V1(KIND__HOST), V1(STATUS__SECURE), V1(TLSA_STATUS__TLSA_ERROR), true, false},
	    {V1(KIND__RECORDS), V1(STATUS__SECURE), 0, false, false},
	    {V1(KIND__RECORDS), V1(STATUS__BOGUS), 0, true, true},
	    {V1(KIND__RECORDS), V1(STATUS__ERROR), 0, true, false},
	};
	for (size_t i = 0; i < COUNT(bit_rows); i++) {
		struct scene scene;
		scene_init(&scene, bit_rows[i].kind);
		scene.route.mx_status = scene.host.address_status = scene.records.status =
		    (Resolverd__V1__Status)bit_rows[i].status;
		scene.host.tlsa_status = (Resolverd__V1__TlsaStatus)bit_rows[i].tlsa_status;
		scene.facts.failed = bit_rows[i].failed;
		struct answer *answer = signer_answer(*state, &scene.facts, NOW);
		assert_int_equal(answer->failed, bit_rows[i].failed);
		assert_int_equal(answer->bogus, bit_rows[i].bogus);
		assert_false(answer->stale);
		if (bit_rows[i].kind == V1(KIND__ROUTE)) {
			struct answer *derived = signer_derive(*state, answer, NOW + 1);
			assert_int_equal(derived->failed, bit_rows[i].failed);
			assert_int_equal(derived->bogus, bit_rows[i].bogus);
			answer_unref(derived);
		}
		answer_unref(answer);
		answer = signer_failure(*state, &scene.question, "died", true, NOW);
		assert_true(answer->failed);
		assert_false(answer->bogus);
		answer_unref(answer);
	}
}

#define FIXED_TESTS 14u

/* Nothing makes such an answer; a snapshot might have it. */
static void an_answer_to_no_question_is_none(void **state)
{
	static const uint8_t packed[] = {0x1a, 6, 0x0a, 4, 0x3a, 2, 0x08, 1};
	struct signer *signer = *state;
	struct answer *answer = answer_new(sizeof packed, 0, 0);
	assert_non_null(answer);
	memcpy(answer->data, packed, sizeof packed);
	assert_null(signer_derive(signer, answer, NOW));
	answer_unref(answer);
}

int main(void)
{
	struct CMUnitTest tests[FIXED_TESTS + COUNT(life_rows) + COUNT(stale_rows)] = {
	    SIGNER_TEST(m06_an_extended_answer_says_since_when_it_is_stale),
	    SIGNER_TEST(a_stale_route_has_the_policy_of_now),
	    SIGNER_TEST(b13_m06_failed_and_bogus_are_told_to_the_cache),
	    SIGNER_TEST(a_new_policy_is_derived_with_facts_and_times_as_they_were),
	    SIGNER_TEST(no_end_of_an_insecure_zone_makes_a_life_longer),
	    SIGNER_TEST(an_answer_ends_with_the_insecure_zones_it_touches),
	    SIGNER_TEST(lookups_stand_behind_the_answer_and_are_not_signed),
	    SIGNER_TEST(local_policy_is_ours_not_the_workers),
	    SIGNER_TEST(facts_of_another_kind_are_refused),
	    SIGNER_TEST(a_changed_octet_breaks_the_signature),
	    SIGNER_TEST(n01_d12_routes_list_the_hosts_a_plan_needs),
	    SIGNER_TEST(b13_failure_fails_closed_for_each_kind),
	    SIGNER_TEST(failure_may_be_kept_from_the_cache),
	    SIGNER_TEST(an_answer_to_no_question_is_none),
	};
	for (size_t i = 0; i < COUNT(life_rows); i++)
		tests[FIXED_TESTS + i] = (struct CMUnitTest){.name = life_rows[i].name,
		    .test_func = life_row_holds,
		    .initial_state = (void *)(uintptr_t)&life_rows[i]};
	for (size_t i = 0; i < COUNT(stale_rows); i++)
		tests[FIXED_TESTS + COUNT(life_rows) + i] =
		    (struct CMUnitTest){.name = stale_rows[i].name,
			.test_func = stale_row_holds,
			.initial_state = (void *)(uintptr_t)&stale_rows[i]};
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests_name("signer", tests, NULL, NULL);
}
