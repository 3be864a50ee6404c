/* SPDX-License-Identifier: BSD-3-Clause */
/* The change feed: what counts as another verdict (verdict.c), and who is told of it when
 * (watch.c). Time is a number, and the plans are what the test says is cached. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "resolverd/server/signer.h"
#include "resolverd/server/watch.h"

#define V1(name) RESOLVERD__V1__##name
#define NOW INT64_C(1800000000000)
#define HOLD_MS 1000
#define TTL_MS 300000
#define TEXT(text) ((char *)(uintptr_t)(text))

static struct config config = {
    .signing = {.member = TEXT("mx1")},
    .cache = {.max_ttl_ms = 86400000, .failure_ttl_ms = 15000},
    .resolver = {.insecure_mx_policy = V1(INSECURE_MX_POLICY__INSECURE_MX_DANE)},
};

/* ---- a plan as a worker finds it: one route, two hosts, two TLSA records each ---- */

#define HOSTS 2u

struct world {
	Resolverd__V1__Question route_question, host_questions[HOSTS];
	Resolverd__V1__Route route;
	Resolverd__V1__MxHost mx[HOSTS], *mx_list[HOSTS];
	Resolverd__V1__Host hosts[HOSTS];
	Resolverd__V1__Address addresses[HOSTS], *address_lists[HOSTS][1];
	Resolverd__V1__Tlsa tlsa[HOSTS][2], *tlsa_lists[HOSTS][2];
	uint8_t ip[4], digests[2][32];
	uint64_t life_ms, rrsig_expires_at;
	bool failed;
};

static char *const names[HOSTS] = {TEXT("a.example.org"), TEXT("b.example.org")};

static void host_init(struct world *world, unsigned i)
{
	Resolverd__V1__Host *host = &world->hosts[i];
	resolverd__v1__question__init(&world->host_questions[i]);
	world->host_questions[i].kind = V1(KIND__HOST);
	world->host_questions[i].name = names[i];
	world->host_questions[i].port = 25;
	resolverd__v1__mx_host__init(&world->mx[i]);
	world->mx[i].preference = 10;
	world->mx[i].name = names[i];
	world->mx_list[i] = &world->mx[i];
	resolverd__v1__host__init(host);
	host->policy = V1(POLICY__DANE);
	host->reason = V1(HOST_REASON__TLSA_USABLE);
	host->address_status = V1(STATUS__SECURE);
	host->tlsa_status = V1(TLSA_STATUS__TLSA_SECURE);
	host->tlsa_base = names[i];
	resolverd__v1__address__init(&world->addresses[i]);
	world->addresses[i].ip = (ProtobufCBinaryData){4, world->ip};
	world->address_lists[i][0] = &world->addresses[i];
	host->addresses = world->address_lists[i];
	host->n_addresses = 1;
	for (unsigned j = 0; j < 2; j++) {
		resolverd__v1__tlsa__init(&world->tlsa[i][j]);
		world->tlsa[i][j].usage = 3;
		world->tlsa[i][j].selector = 1;
		world->tlsa[i][j].matching_type = 1;
		world->tlsa[i][j].data = (ProtobufCBinaryData){32, world->digests[j]};
		world->tlsa_lists[i][j] = &world->tlsa[i][j];
	}
	host->tlsa = world->tlsa_lists[i];
	host->n_tlsa = 2;
}

static void world_init(struct world *world)
{
	memset(world, 0, sizeof *world);
	resolverd__v1__question__init(&world->route_question);
	world->route_question.kind = V1(KIND__ROUTE);
	world->route_question.name = TEXT("example.org");
	resolverd__v1__route__init(&world->route);
	world->route.kind = V1(ROUTE_KIND__MX);
	world->route.mx_status = V1(STATUS__SECURE);
	world->route.expanded = TEXT("example.org");
	world->route.mx = world->mx_list;
	world->route.n_mx = HOSTS;
	world->digests[1][0] = 1;
	world->life_ms = TTL_MS;
	world->rrsig_expires_at = NOW + 10 * TTL_MS;
	for (unsigned i = 0; i < HOSTS; i++)
		host_init(world, i);
}

/* number 0: the route; else a host. */
static struct answer *sign(
    struct signer *signer, struct world *world, unsigned number, int64_t now_ms)
{
	Resolverd__Worker__Facts facts;
	resolverd__worker__facts__init(&facts);
	facts.life_ms = world->life_ms;
	facts.rrsig_expires_at = world->rrsig_expires_at;
	facts.failed = world->failed;
	if (number == 0) {
		facts.question = &world->route_question;
		facts.data_case = RESOLVERD__WORKER__FACTS__DATA_ROUTE;
		facts.route = &world->route;
	} else {
		facts.question = &world->host_questions[number - 1];
		facts.data_case = RESOLVERD__WORKER__FACTS__DATA_HOST;
		facts.host = &world->hosts[number - 1];
	}
	struct answer *answer = signer_answer(signer, &facts, now_ms);
	assert_non_null(answer);
	return answer;
}

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

/* ---- what is another verdict ---- */

static void other_times(struct world *world)
{
	world->life_ms = 5000;
}

static void other_signatures(struct world *world)
{
	world->rrsig_expires_at = NOW + 1000;
}

static void other_address(struct world *world)
{
	world->ip[0] = 192;
}

static void tlsa_turned(struct world *world)
{
	world->tlsa_lists[0][0] = &world->tlsa[0][1];
	world->tlsa_lists[0][1] = &world->tlsa[0][0];
}

static void tlsa_rolled(struct world *world)
{
	world->digests[1][31] = 7;
}

static void tlsa_fewer(struct world *world)
{
	world->hosts[0].n_tlsa = 1;
}

static void tlsa_other_usage(struct world *world)
{
	world->tlsa[0][1].usage = 2;
}

static void other_base(struct world *world)
{
	world->hosts[0].tlsa_base = names[1];
}

static void host_text(struct world *world)
{
	world->hosts[0].reason_text = TEXT("asked 192.0.2.1 at noon");
}

static void host_unreachable(struct world *world)
{
	world->hosts[0].policy = V1(POLICY__UNREACHABLE);
	world->hosts[0].reason = V1(HOST_REASON__ADDRESS_FAILED);
}

static void host_not_ready(struct world *world)
{
	host_unreachable(world);
	world->hosts[0].reason = V1(HOST_REASON__NOT_READY);
}

static void host_tlsa_failed(struct world *world)
{
	host_unreachable(world);
	world->hosts[0].reason = V1(HOST_REASON__TLSA_FAILED);
}

static void host_bogus(struct world *world)
{
	world->hosts[0].tlsa_status = V1(TLSA_STATUS__TLSA_BOGUS);
}

static void mx_turned(struct world *world)
{
	world->mx_list[0] = &world->mx[1];
	world->mx_list[1] = &world->mx[0];
}

static void mx_other_order(struct world *world)
{
	world->mx[0].preference = 20;
}

static void mx_fewer(struct world *world)
{
	world->route.n_mx = 1;
}

static void mx_insecure(struct world *world)
{
	world->route.mx_status = V1(STATUS__INSECURE);
}

static void route_text(struct world *world)
{
	world->route.reason = TEXT("no answer from 192.0.2.1");
}

static void route_expanded(struct world *world)
{
	world->route.expanded = TEXT("example.net");
}

static void nothing(struct world *world)
{
	(void)world;
}

static const struct {
	const char *name;
	unsigned number;
	void (*before)(struct world *world), (*after)(struct world *world);
	bool differs;
} verdict_rows[] = {
    {"a shorter life", 0, nothing, other_times, false},
    {"a shorter life of a host", 1, nothing, other_times, false},
    {"newer signatures", 1, nothing, other_signatures, false},
    {"another address", 1, nothing, other_address, false},
    {"TLSA records in another order", 1, nothing, tlsa_turned, false},
    {"a TLSA record rolled", 1, nothing, tlsa_rolled, true},
    {"a TLSA record gone", 1, nothing, tlsa_fewer, true},
    {"another usage", 1, nothing, tlsa_other_usage, true},
    {"another TLSA base domain", 1, nothing, other_base, true},
    {"another text", 1, nothing, host_text, false},
    {"a host that fails", 1, nothing, host_unreachable, true},
    {"a host that is late, then fails", 1, host_not_ready, host_unreachable, false},
    {"addresses fail, then TLSA does", 1, host_unreachable, host_tlsa_failed, true},
    {"TLSA records turn bogus", 1, nothing, host_bogus, true},
    {"equal MX hosts in another order", 0, nothing, mx_turned, false},
    {"another preference", 0, nothing, mx_other_order, true},
    {"an MX host gone", 0, nothing, mx_fewer, true},
    {"MX no longer signed", 0, nothing, mx_insecure, true},
    {"another text of a route", 0, nothing, route_text, false},
    {"another expansion", 0, nothing, route_expanded, true},
};

static void another_verdict_is_what_a_sender_acts_on(void **state)
{
	for (size_t i = 0; i < sizeof verdict_rows / sizeof *verdict_rows; i++) {
		struct world world;
		uint8_t before[VERDICT_BYTES], after[VERDICT_BYTES];
		for (unsigned turn = 0; turn < 2; turn++) {
			world_init(&world);
			(turn == 0 ? verdict_rows[i].before : verdict_rows[i].after)(&world);
			struct answer *answer =
			    sign(*state, &world, verdict_rows[i].number, NOW + turn * 5000);
			assert_int_equal(verdict_of(answer, turn == 0 ? before : after), 0);
			answer_unref(answer);
		}
		if ((memcmp(before, after, sizeof before) != 0) != verdict_rows[i].differs)
			fail_msg("%s", verdict_rows[i].name);
	}
}

static void local_policy_is_part_of_the_verdict(void **state)
{
	struct config_override override = {
	    .next_hop = TEXT("example.org"), .requirement = V1(REQUIREMENT__MANDATORY)};
	struct config with = config;
	struct world world;
	uint8_t before[VERDICT_BYTES], after[VERDICT_BYTES];
	world_init(&world);
	struct answer *route = sign(*state, &world, 0, NOW);
	with.overrides = &override;
	with.override_count = 1;
	override.reason = TEXT("");
	signer_set_config(*state, &with);
	struct answer *derived = signer_derive(*state, route, NOW);
	signer_set_config(*state, &config);
	assert_int_equal(verdict_of(route, before), 0);
	assert_int_equal(verdict_of(derived, after), 0);
	assert_memory_not_equal(before, after, sizeof before);
	answer_unref(route);
	answer_unref(derived);
}

/* ---- the feed ---- */

#define PLAN_MAX (1 + HOSTS)

/* The cache and the client of a test: what is found is what `world` says at that time. */
struct feed {
	struct watches watches;
	struct signer *signer;
	struct world world;
	struct watch *waiting; /* that looks, when plans are late */
	int64_t now_ms;
	unsigned looks, told;
	bool late, no_plan, deaf;
};

static void take_plan(struct feed *feed, struct watch *watch)
{
	struct answer *answers[PLAN_MAX] = {0};
	unsigned count = feed->no_plan ? 0 : 1 + (unsigned)feed->world.route.n_mx;
	for (unsigned i = 0; i < count; i++)
		answers[i] = sign(feed->signer, &feed->world, i, feed->now_ms);
	watch_take(&feed->watches, watch, answers, count, feed->now_ms);
	for (unsigned i = 0; i < count; i++)
		answer_unref(answers[i]);
}

static void look(void *arg, struct watch *watch)
{
	struct feed *feed = arg;
	feed->looks++;
	if (feed->late)
		feed->waiting = watch;
	else
		take_plan(feed, watch);
}

static bool tell(void *arg, struct watch *watch, struct answer *const *answers, unsigned count)
{
	struct feed *feed = arg;
	(void)watch, (void)answers;
	assert_int_equal(count, 1 + feed->world.route.n_mx);
	feed->told += !feed->deaf;
	return !feed->deaf;
}

static struct watch *feed_init(struct feed *feed, struct signer *signer)
{
	struct watch *watch;
	memset(feed, 0, sizeof *feed);
	feed->signer = signer;
	feed->now_ms = NOW;
	world_init(&feed->world);
	assert_int_equal(watches_init(&feed->watches, NOW), 0);
	feed->watches.look = look;
	feed->watches.tell = tell;
	feed->watches.arg = feed;
	assert_int_equal(watch_new(&feed->watches, feed, 7, "example.org", 25, HOLD_MS, &watch), 0);
	return watch;
}

static void feed_fini(struct feed *feed, struct watch *watch)
{
	watch_free(&feed->watches, watch);
	assert_int_equal(feed->watches.count, 0);
	assert_int_equal(feed->watches.keys.count, 0); /* nothing is watched any more */
	watches_fini(&feed->watches);
}

/* An answer is found as the world is now: the cache says so. */
static void found(struct feed *feed, unsigned number)
{
	struct question_key key;
	struct answer *answer = sign(feed->signer, &feed->world, number, feed->now_ms);
	question_key_of(&key,
	    number == 0 ? &feed->world.route_question : &feed->world.host_questions[number - 1]);
	watches_note(&feed->watches, &key, answer, feed->now_ms);
	answer_unref(answer);
}

static void pass(struct feed *feed, int64_t ms)
{
	for (int64_t end_ms = feed->now_ms + ms; feed->now_ms < end_ms; feed->now_ms += 50)
		watches_advance(&feed->watches, feed->now_ms);
}

static void the_plan_is_told_at_once_and_then_when_it_changes(void **state)
{
	struct feed feed;
	struct watch *watch = feed_init(&feed, *state);
	watch_repeat(&feed.watches, watch, NOW);
	assert_int_equal(feed.told, 1);
	pass(&feed, 5000);
	tlsa_rolled(&feed.world);
	found(&feed, 2);
	pass(&feed, 150);
	assert_int_equal(feed.told, 2);
	pass(&feed, 3600000);
	assert_int_equal(feed.told, 2);
	feed_fini(&feed, watch);
}

static void an_answer_that_says_the_same_costs_no_look(void **state)
{
	struct feed feed;
	struct watch *watch = feed_init(&feed, *state);
	watch_repeat(&feed.watches, watch, NOW);
	feed.world.life_ms = 60000;
	for (unsigned i = 0; i < 20; i++) {
		found(&feed, i % PLAN_MAX);
		pass(&feed, 100);
	}
	assert_int_equal(feed.looks, 1);
	assert_int_equal(feed.told, 1);
	feed_fini(&feed, watch);
}

static void what_changes_within_the_hold_down_comes_as_one(void **state)
{
	struct feed feed;
	struct watch *watch = feed_init(&feed, *state);
	watch_repeat(&feed.watches, watch, NOW);
	pass(&feed, 2000);
	for (unsigned i = 0; i < 9; i++) { /* nine times in 0.9 s, the first told at once */
		feed.world.digests[0][5]++;
		found(&feed, 1);
		found(&feed, 2);
		pass(&feed, 100);
	}
	assert_int_equal(feed.told, 2);
	pass(&feed, 300);
	assert_int_equal(feed.told, 3); /* the last state */
	pass(&feed, 3600000);
	assert_int_equal(feed.told, 3);
	feed_fini(&feed, watch);
}

static void there_and_back_within_the_hold_down_is_no_change(void **state)
{
	struct feed feed;
	struct watch *watch = feed_init(&feed, *state);
	watch_repeat(&feed.watches, watch, NOW);
	mx_insecure(&feed.world);
	found(&feed, 0);
	pass(&feed, 500);
	feed.world.route.mx_status = V1(STATUS__SECURE);
	found(&feed, 0);
	pass(&feed, 5000);
	assert_int_equal(feed.told, 1);
	feed_fini(&feed, watch);
}

static void a_new_host_is_watched_and_one_that_went_is_not(void **state)
{
	struct feed feed;
	struct watch *watch = feed_init(&feed, *state);
	feed.world.route.n_mx = 1;
	watch_repeat(&feed.watches, watch, NOW);
	assert_int_equal(feed.watches.keys.count, 2);
	pass(&feed, 2000);
	feed.world.route.n_mx = HOSTS;
	found(&feed, 0);
	pass(&feed, 2000);
	assert_int_equal(feed.told, 2);
	assert_int_equal(feed.watches.keys.count, 3);
	host_bogus(&feed.world);
	feed.world.hosts[1].tlsa_status = V1(TLSA_STATUS__TLSA_BOGUS);
	found(&feed, 2);
	pass(&feed, 2000);
	assert_int_equal(feed.told, 3);
	feed.world.route.n_mx = 1;
	found(&feed, 0);
	pass(&feed, 2000);
	assert_int_equal(feed.told, 4);
	assert_int_equal(feed.watches.keys.count, 2);
	feed_fini(&feed, watch);
}

static void b14_failure_and_recovery_are_both_told(void **state)
{
	struct feed feed;
	struct watch *watch = feed_init(&feed, *state);
	watch_repeat(&feed.watches, watch, NOW);
	pass(&feed, 2000);
	feed.world.failed = true;
	host_unreachable(&feed.world);
	found(&feed, 1);
	pass(&feed, 2000);
	assert_int_equal(feed.told, 2);
	unsigned looks = feed.looks;
	pass(&feed, 50000); /* a failure's end is no reason to look: who keeps it tries again */
	assert_int_equal(feed.looks, looks);
	world_init(&feed.world);
	found(&feed, 1);
	pass(&feed, 2000);
	assert_int_equal(feed.told, 3);
	feed_fini(&feed, watch);
}

/* TTL 0, or an entry that was evicted: nothing is noted. */
static void what_is_not_cached_is_looked_at_when_it_ends(void **state)
{
	struct feed feed;
	struct watch *watch = feed_init(&feed, *state);
	feed.world.life_ms = 0;
	watch_repeat(&feed.watches, watch, NOW);
	tlsa_fewer(&feed.world);
	pass(&feed, 5500);
	assert_int_equal(feed.told, 1);
	pass(&feed, 1000);
	assert_int_equal(feed.told, 2);
	feed_fini(&feed, watch);
}

static void it_looks_often_enough_to_keep_the_answers(void **state)
{
	struct feed feed;
	struct watch *watch = feed_init(&feed, *state);
	feed.world.life_ms = 86400000;
	feed.world.rrsig_expires_at = 0;
	watch_repeat(&feed.watches, watch, NOW);
	pass(&feed, 3600000);
	assert_in_range(feed.looks, 2 * 3600 / WATCH_KEEP_S, 3600 / 30);
	feed_fini(&feed, watch);
}

static void a_plan_that_cannot_be_made_is_tried_again(void **state)
{
	struct feed feed;
	struct watch *watch = feed_init(&feed, *state);
	feed.no_plan = true;
	watch_repeat(&feed.watches, watch, NOW);
	pass(&feed, 5000);
	assert_int_equal(feed.told, 0);
	assert_in_range(feed.looks, 4, 6);
	feed.no_plan = false;
	pass(&feed, 1200);
	assert_int_equal(feed.told, 1);
	feed_fini(&feed, watch);
}

static void who_does_not_read_is_told_the_last_state_later(void **state)
{
	struct feed feed;
	struct watch *watch = feed_init(&feed, *state);
	watch_repeat(&feed.watches, watch, NOW);
	feed.deaf = true;
	for (unsigned i = 0; i < 5; i++) {
		feed.world.digests[0][0]++;
		found(&feed, 1);
		pass(&feed, 2000);
	}
	assert_int_equal(feed.told, 1);
	feed.deaf = false;
	pass(&feed, 1200);
	assert_int_equal(feed.told, 2);
	feed_fini(&feed, watch);
}

static void what_changes_while_it_looks_is_looked_at_again(void **state)
{
	struct feed feed;
	struct watch *watch = feed_init(&feed, *state);
	watch_repeat(&feed.watches, watch, NOW);
	pass(&feed, 2000);
	feed.late = true;
	tlsa_rolled(&feed.world);
	found(&feed, 1);
	pass(&feed, 200);
	assert_ptr_equal(feed.waiting, watch);
	take_plan(&feed, watch); /* what it saw is what it was before the next change */
	tlsa_fewer(&feed.world);
	assert_int_equal(feed.told, 2);
	pass(&feed, 2000);
	feed.waiting = NULL;
	found(&feed, 1);
	pass(&feed, 200);
	assert_ptr_equal(feed.waiting, watch);
	mx_other_order(&feed.world);
	found(&feed, 0); /* while it looks */
	feed.world.mx[0].preference = 10;
	take_plan(&feed, watch);
	assert_int_equal(feed.told, 3);
	mx_other_order(&feed.world);
	feed.late = false;
	pass(&feed, 1200);
	assert_int_equal(feed.told, 4);
	feed_fini(&feed, watch);
}

static void m07_a_clock_that_was_stepped_back_stops_nothing(void **state)
{
	struct feed feed;
	struct watch *watch = feed_init(&feed, *state);
	watch_repeat(&feed.watches, watch, NOW);
	feed.now_ms -= 7200000;
	tlsa_rolled(&feed.world);
	watches_note_all(&feed.watches, feed.now_ms);
	pass(&feed, 2000);
	assert_int_equal(feed.told, 2);
	feed_fini(&feed, watch);
}

static void asked_once_more_it_tells_the_same_again(void **state)
{
	struct feed feed;
	struct watch *watch = feed_init(&feed, *state);
	watch_repeat(&feed.watches, watch, NOW);
	watch_repeat(&feed.watches, watch, NOW + 10);
	assert_int_equal(feed.told, 2);
	feed_fini(&feed, watch);
}

static void many_at_one_host_are_all_told(void **state)
{
	enum { MANY = 1200 };
	static struct watch *all[MANY];
	struct feed feed;
	struct watch *watch = feed_init(&feed, *state);
	watch_repeat(&feed.watches, watch, NOW);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(
		    watch_new(&feed.watches, &feed, i, "example.org", 25, HOLD_MS, &all[i]), 0);
		watch_repeat(&feed.watches, all[i], NOW);
	}
	assert_int_equal(feed.watches.keys.count, 3); /* shared */
	pass(&feed, 2000);
	feed.told = 0;
	tlsa_rolled(&feed.world);
	found(&feed, 1);
	pass(&feed, 1000);
	assert_int_equal(feed.told, MANY + 1);
	for (unsigned i = 0; i < MANY; i++)
		watch_free(&feed.watches, all[i]);
	feed_fini(&feed, watch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(another_verdict_is_what_a_sender_acts_on),
	    cmocka_unit_test(local_policy_is_part_of_the_verdict),
	    cmocka_unit_test(the_plan_is_told_at_once_and_then_when_it_changes),
	    cmocka_unit_test(an_answer_that_says_the_same_costs_no_look),
	    cmocka_unit_test(what_changes_within_the_hold_down_comes_as_one),
	    cmocka_unit_test(there_and_back_within_the_hold_down_is_no_change),
	    cmocka_unit_test(a_new_host_is_watched_and_one_that_went_is_not),
	    cmocka_unit_test(b14_failure_and_recovery_are_both_told),
	    cmocka_unit_test(what_is_not_cached_is_looked_at_when_it_ends),
	    cmocka_unit_test(it_looks_often_enough_to_keep_the_answers),
	    cmocka_unit_test(a_plan_that_cannot_be_made_is_tried_again),
	    cmocka_unit_test(who_does_not_read_is_told_the_last_state_later),
	    cmocka_unit_test(what_changes_while_it_looks_is_looked_at_again),
	    cmocka_unit_test(m07_a_clock_that_was_stepped_back_stops_nothing),
	    cmocka_unit_test(asked_once_more_it_tells_the_same_again),
	    cmocka_unit_test(many_at_one_host_are_all_told),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
