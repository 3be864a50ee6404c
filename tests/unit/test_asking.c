/* SPDX-License-Identifier: BSD-3-Clause */
/* Too many questions at a time: who had a turn makes way. No daemon is there, and none is needed.
 */
#include <unistd.h>

#include "client/lib/clock.h"
#include "client/serve/asking.h"
#include "tests/unit/test.h"

#define ASKS_MAX 4096u /* client/serve/asking.c */
#define TURN_MS 200

static unsigned busy;

static int submit(
    struct resolverd_client *client, struct ask *ask, unsigned deadline_ms, uint64_t *ret_id)
{
	(void)ask;
	return resolverd_submit_plan(client, "example.org", 25, deadline_ms, ret_id);
}

static int take(struct resolverd_client *client, uint64_t id, void **ret_result)
{
	return resolverd_take_plan(client, id, (struct resolverd_plan **)ret_result);
}

static void let_go(void *result)
{
	resolverd_plan_free(result);
}

static void done(void *context, struct ask *ask, int error, const char *detail, const void *result)
{
	(void)context, (void)ask, (void)detail, (void)result;
	busy += error == RESOLVERD_ERROR_BUSY;
}

static void forget(struct ask *ask)
{
	(void)ask;
}

static void who_had_a_turn_makes_way(void **state)
{
	static const struct asking_kind kind = {"nothing", submit, take, let_go, done, forget};
	static struct ask asks[ASKS_MAX + 3];
	const struct resolverd_options daemon = {
	    .socket_path = "/nonexistent/s", .public_key_file = "/nonexistent/k"};
	struct asking *asking = NULL;
	struct event_base *base = event_base_new();
	(void)state;
	int64_t began_ms = clock_mono_ms();
	assert_int_equal(asking_new(base, &daemon, 20000, &kind, NULL, &asking), 0);
	for (unsigned i = 0; i < ASKS_MAX; i++)
		assert_int_equal(asking_start(asking, &asks[i]), 0);
	struct ask *more = &asks[ASKS_MAX];
	int r = asking_start(asking, more);
	if (clock_mono_ms() - began_ms < TURN_MS) { /* each has its turn */
		assert_int_equal(r, RESOLVERD_ERROR_BUSY);
		assert_int_equal(busy, 0);
	}
	busy = 0;
	usleep((TURN_MS + 100) * 1000);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(asking_start(asking, &more[1 + i]), 0);
		assert_int_equal(busy, i + 1);
	}
	asking_free(asking);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(who_had_a_turn_makes_way)};
	return cmocka_run_group_tests_name("asking", tests, NULL, NULL);
}
