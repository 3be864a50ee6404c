/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans for many next hops in one flight. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <pthread.h>

#include "client/lib/batch.h"
#include "tests/unit/scene.h"

#define MANY 300u

/* A daemon that knows every name, is too busy for some, and tells nothing of others. */
struct knowing {
	struct scene *scene;
	size_t asked, unanswered, most_unanswered;
	size_t busy_above; /* more than so many unanswered: BUSY; 0: never */
	bool holds;        /* answers nothing while it is so */
	uint64_t held[RESOLVERD_BATCH_WINDOW_MAX + 1];
};

static Resolverd__V1__Response *answer_to(struct scene *scene, const char *next_hop)
{
	scene->route->question->name = memory_string(scene->memory, next_hop);
	scene->route->route->expanded = scene->route->question->name;
	scene_sign(scene);
	return scene->daemon.answer;
}

static Resolverd__V1__Response *error_of(struct scene *scene, Resolverd__V1__ErrorCode code)
{
	Resolverd__V1__Response *response = NEW(scene->memory, Response, response);
	response->error = NEW(scene->memory, Error, error);
	response->error->code = code;
	response->error->text = memory_string(scene->memory, "not that one");
	return response;
}

static Resolverd__V1__Response *know(
    struct fake_daemon *daemon, const Resolverd__V1__Request *request)
{
	struct knowing *knowing = daemon->choose_with;
	const char *next_hop = request->plan->next_hop;
	knowing->asked++;
	if (strncmp(next_hop, "silent", 6) == 0)
		return NULL;
	if (strncmp(next_hop, "bad", 3) == 0)
		return error_of(knowing->scene, RESOLVERD__V1__ERROR_CODE__INTERNAL);
	if (strncmp(next_hop, "busy", 4) == 0 ||
	    (knowing->busy_above != 0 && knowing->unanswered >= knowing->busy_above))
		return error_of(knowing->scene, RESOLVERD__V1__ERROR_CODE__BUSY);
	if (knowing->holds) {
		knowing->held[knowing->unanswered++ % RESOLVERD_BATCH_WINDOW_MAX] = request->id;
		if (knowing->unanswered > knowing->most_unanswered)
			knowing->most_unanswered = knowing->unanswered;
		return NULL;
	}
	return answer_to(knowing->scene, next_hop);
}

static void begin(struct scene *scene, struct knowing *knowing)
{
	scene_init(scene);
	scene_sign(scene);
	*knowing = (struct knowing){.scene = scene};
	scene->daemon.choose = know;
	scene->daemon.choose_with = knowing;
}

static void name_all(
    struct scene *scene, struct resolverd_planned *items, size_t count, const char *kind)
{
	for (size_t i = 0; i < count; i++)
		items[i] = (struct resolverd_planned){
		    .next_hop = memory_printf(scene->memory, "%s%zu.example.org", kind, i)};
}

/* Until nothing is left or nothing goes on. */
static void run_batch(struct scene *scene, struct resolverd_batch *batch, unsigned *ret_named)
{
	size_t item;
	unsigned named = 0;
	for (int i = 0; i < 3000 && resolverd_batch_left(batch) > 0; i++) {
		while (resolverd_batch_next(batch, &item)) {
			assert_true(batch->items[item].done);
			named++;
		}
		assert_int_equal(resolverd_update(scene->client), 0);
		fake_step(&scene->daemon);
	}
	if (ret_named != NULL)
		*ret_named = named;
}

static void free_plans(struct resolverd_planned *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		resolverd_plan_free(items[i].plan);
}

static void every_name_gets_its_own_plan(void **state)
{
	(void)state;
	static const unsigned windows[] = {1, 2, 0, 1000000};
	for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
		struct scene scene;
		struct knowing knowing;
		struct resolverd_planned items[MANY];
		struct resolverd_batch *batch;
		unsigned named;
		uint64_t id;
		begin(&scene, &knowing);
		name_all(&scene, items, MANY, "d");
		assert_int_equal(
		    resolverd_batch_new(scene.client, items, MANY, windows[w], 0, &batch), 0);
		run_batch(&scene, batch, &named);
		assert_int_equal(resolverd_batch_left(batch), 0);
		assert_int_equal(named, MANY);
		assert_false(resolverd_next_finished(scene.client, &id));
		for (size_t i = 0; i < MANY; i++) {
			assert_int_equal(items[i].error, 0);
			assert_string_equal(items[i].plan->next_hop, items[i].next_hop);
			assert_int_equal(items[i].plan->port, 25);
		}
		resolverd_batch_free(batch);
		free_plans(items, MANY);
		scene_fini(&scene);
	}
}

static void the_window_bounds_what_is_in_flight(void **state)
{
	(void)state;
	struct scene scene;
	struct knowing knowing;
	struct resolverd_planned items[MANY];
	struct resolverd_batch *batch;
	begin(&scene, &knowing);
	knowing.holds = true;
	name_all(&scene, items, MANY, "d");
	assert_int_equal(resolverd_batch_new(scene.client, items, MANY, 7, 0, &batch), 0);
	run_batch(&scene, batch, NULL);
	assert_int_equal(knowing.most_unanswered, 7);
	assert_int_equal(resolverd_batch_left(batch), MANY);
	resolverd_batch_free(batch); /* with all seven in flight */
	for (size_t i = 0; i < MANY; i++)
		assert_false(items[i].done);
	assert_null(scene.client->open.first);
	scene_fini(&scene);
}

static void each_name_has_its_own_error(void **state)
{
	(void)state;
	struct scene scene;
	struct knowing knowing;
	struct resolverd_planned items[] = {{.next_hop = "a.example.org"},
	    {.next_hop = "192.0.2.1"}, {.next_hop = "bad.example.org"},
	    {.next_hop = "b.example.org", .port = 70000}, {.next_hop = "busy.example.org"},
	    {.next_hop = "c.example.org"}};
	static const int want[] = {0, RESOLVERD_ERROR_ARGUMENT, RESOLVERD_ERROR_REFUSED,
	    RESOLVERD_ERROR_ARGUMENT, RESOLVERD_ERROR_BUSY, 0};
	struct resolverd_batch *batch;
	begin(&scene, &knowing);
	assert_int_equal(resolverd_batch_new(scene.client, items, 6, 0, 0, &batch), 0);
	run_batch(&scene, batch, NULL);
	for (size_t i = 0; i < 6; i++) {
		assert_true(items[i].done);
		assert_int_equal(items[i].error, want[i]);
		assert_true((items[i].plan != NULL) == (want[i] == 0));
		assert_true((items[i].detail[0] != '\0') == (want[i] != 0));
	}
	resolverd_batch_free(batch);
	free_plans(items, 6);
	scene_fini(&scene);
}

/* The daemon takes three at once: all are done in the end, none is reported busy. */
static void a_busy_daemon_is_asked_for_less_at_once(void **state)
{
	(void)state;
	struct scene scene;
	struct knowing knowing;
	struct resolverd_planned items[40];
	struct resolverd_batch *batch;
	size_t item;
	begin(&scene, &knowing);
	knowing.holds = true;
	knowing.busy_above = 3;
	name_all(&scene, items, 40, "d");
	assert_int_equal(resolverd_batch_new(scene.client, items, 40, 0, 0, &batch), 0);
	for (int i = 0; i < 2000 && resolverd_batch_left(batch) > 0; i++) {
		while (resolverd_batch_next(batch, &item))
			;
		assert_int_equal(resolverd_update(scene.client), 0);
		fake_step(&scene.daemon);
		if (i % 5 != 0 || knowing.unanswered == 0)
			continue;
		uint64_t id = knowing.held[--knowing.unanswered];
		const struct request *request = request_find(scene.client, id);
		assert_non_null(request);
		fake_reply(&scene.daemon, answer_to(&scene, request->asked.hop.text), id, false);
	}
	assert_int_equal(resolverd_batch_left(batch), 0);
	assert_int_equal(knowing.most_unanswered, 3);
	assert_true(knowing.asked < 40 * 4);
	for (size_t i = 0; i < 40; i++)
		assert_int_equal(items[i].error, 0);
	resolverd_batch_free(batch);
	free_plans(items, 40);
	scene_fini(&scene);
}

static void other_requests_of_the_handle_are_left_alone(void **state)
{
	(void)state;
	struct scene scene;
	struct knowing knowing;
	struct resolverd_planned items[5];
	struct resolverd_batch *batch;
	struct resolverd_plan *plan;
	uint64_t mine, id;
	begin(&scene, &knowing);
	name_all(&scene, items, 5, "d");
	assert_int_equal(resolverd_batch_new(scene.client, items, 5, 0, 0, &batch), 0);
	size_t item;
	assert_false(resolverd_batch_next(batch, &item));
	assert_int_equal(resolverd_submit_plan(scene.client, "example.net", 25, 0, &mine), 0);
	run(&scene, mine);
	assert_true(resolverd_next_finished(scene.client, &id));
	assert_int_equal(id, mine);
	assert_false(resolverd_next_finished(scene.client, &id));
	run_batch(&scene, batch, NULL);
	assert_int_equal(resolverd_take_plan(scene.client, mine, &plan), 0);
	resolverd_plan_free(plan);
	resolverd_batch_free(batch);
	free_plans(items, 5);
	scene_fini(&scene);
}

static void nothing_to_ask_is_done_at_once(void **state)
{
	(void)state;
	struct scene scene;
	struct knowing knowing;
	begin(&scene, &knowing);
	assert_int_equal(resolverd_plans(scene.client, NULL, 0, 0, 1000), 0);
	assert_int_equal(scene.daemon.connections, 0);
	scene_fini(&scene);
}

/* ---- synchronous ---- */

struct serving {
	struct fake_daemon *daemon;
	_Atomic bool ended;
};

static void *serve(void *arg)
{
	struct serving *serving = arg;
	while (!serving->ended) {
		fake_step(serving->daemon);
		poll(NULL, 0, 1);
	}
	return NULL;
}

static void those_not_done_in_time_time_out(void **state)
{
	(void)state;
	struct scene scene;
	struct knowing knowing;
	struct resolverd_planned items[10];
	pthread_t thread;
	begin(&scene, &knowing);
	name_all(&scene, items, 10, "d");
	items[3].next_hop = "silent.example.org";
	struct serving serving = {.daemon = &scene.daemon};
	assert_int_equal(pthread_create(&thread, NULL, serve, &serving), 0);
	assert_int_equal(resolverd_plans(scene.client, items, 10, 2, 300), 0);
	serving.ended = true;
	pthread_join(thread, NULL);
	for (size_t i = 0; i < 10; i++) {
		assert_true(items[i].done);
		assert_int_equal(items[i].error, i == 3 ? RESOLVERD_ERROR_TIMEOUT : 0);
	}
	assert_null(scene.client->open.first); /* nothing is left in flight */
	free_plans(items, 10);
	scene_fini(&scene);
}

/* One after the other is used while the rest is on its way. */
static void one_item_can_be_waited_for(void **state)
{
	(void)state;
	struct scene scene;
	struct knowing knowing;
	struct resolverd_planned items[20];
	struct resolverd_batch *batch;
	pthread_t thread;
	begin(&scene, &knowing);
	name_all(&scene, items, 20, "d");
	items[0].next_hop = "silent.example.org";
	struct serving serving = {.daemon = &scene.daemon};
	assert_int_equal(pthread_create(&thread, NULL, serve, &serving), 0);
	assert_int_equal(resolverd_batch_new(scene.client, items, 20, 2, 0, &batch), 0);
	for (size_t i = 19; i > 0; i--) {
		assert_int_equal(resolverd_batch_wait(batch, i, 20000), 0);
		assert_non_null(items[i].plan);
	}
	assert_int_equal(resolverd_batch_wait(batch, 0, 10), RESOLVERD_ERROR_TIMEOUT);
	assert_int_equal(resolverd_batch_left(batch), 1);
	serving.ended = true;
	pthread_join(thread, NULL);
	resolverd_batch_free(batch);
	free_plans(items, 20);
	scene_fini(&scene);
}

static void without_a_daemon_all_fail_at_once(void **state)
{
	(void)state;
	struct scene scene;
	struct knowing knowing;
	struct resolverd_planned items[100];
	begin(&scene, &knowing);
	unlink(scene.daemon.socket_path);
	name_all(&scene, items, 100, "d");
	assert_int_equal(resolverd_plans(scene.client, items, 100, 3, -1), 0);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(items[i].error, RESOLVERD_ERROR_NO_DAEMON);
	scene_fini(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_name_gets_its_own_plan),
	    cmocka_unit_test(the_window_bounds_what_is_in_flight),
	    cmocka_unit_test(each_name_has_its_own_error),
	    cmocka_unit_test(a_busy_daemon_is_asked_for_less_at_once),
	    cmocka_unit_test(other_requests_of_the_handle_are_left_alone),
	    cmocka_unit_test(nothing_to_ask_is_done_at_once),
	    cmocka_unit_test(those_not_done_in_time_time_out),
	    cmocka_unit_test(one_item_can_be_waited_for),
	    cmocka_unit_test(without_a_daemon_all_fail_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
