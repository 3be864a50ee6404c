/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the client library share. */
#pragma once
#include "tests/unit/fake_daemon.h"

/* A good world that each test changes a little: one next hop with one dane host. */
struct scene {
	struct fake_daemon daemon;
	struct resolverd_memory *memory;
	struct resolverd_client *client;
	struct signer long_term, online, answers; /* answers: who signs them */
	Resolverd__V1__Delegation *delegation;
	Resolverd__V1__Answer *route, *host;
	bool without_host, without_route;
};

static inline uint64_t stopped_clock(void)
{
	return NOW_MS;
}

static inline void scene_init(struct scene *scene)
{
	*scene = (struct scene){.memory = memory_new(),
	    .long_term = signer_of(1),
	    .online = signer_of(2),
	    .answers = signer_of(2)};
	fake_start(&scene->daemon);
	fake_trust(&scene->daemon, &scene->long_term);
	scene->delegation = new_delegation(scene->memory, &scene->online);
	scene->route = new_route(scene->memory, "example.org");
	add_mx(scene->memory, scene->route, "mx.example.org");
	scene->host = new_host(scene->memory, "mx.example.org");
	scene->host->expires_at = NOW_MS + 200999;
	scene->host->validated_at = NOW_MS - 5000;
	struct resolverd_options options = {
	    .socket_path = scene->daemon.socket_path, .public_key_file = scene->daemon.key_file};
	assert_int_equal(resolverd_client_new(&options, &scene->client), 0);
	client_set_clock(scene->client, stopped_clock);
}

static inline Resolverd__V1__Response *status_of_scene(struct scene *scene)
{
	Resolverd__V1__Response *response = NEW(scene->memory, Response, response);
	response->status = NEW(scene->memory, StatusResponse, status_response);
	response->status->delegations = memory_alloc(scene->memory, 1, sizeof(void *));
	response->status->delegations[response->status->n_delegations++] =
	    sign_delegation(scene->memory, &scene->long_term, scene->delegation);
	return response;
}

/* Signs what the test made of the scene. */
static inline void scene_sign(struct scene *scene)
{
	Resolverd__V1__Response *response = NEW(scene->memory, Response, response);
	response->answers = memory_alloc(scene->memory, 2, sizeof(void *));
	if (!scene->without_route)
		response->answers[response->n_answers++] =
		    sign_answer(scene->memory, &scene->answers, scene->route);
	if (!scene->without_host)
		response->answers[response->n_answers++] =
		    sign_answer(scene->memory, &scene->answers, scene->host);
	scene->daemon.status = status_of_scene(scene);
	scene->daemon.answer = response;
}

static inline void scene_fini(struct scene *scene)
{
	resolverd_client_free(scene->client);
	fake_stop(&scene->daemon);
	memory_free(scene->memory);
}

static inline void run(struct scene *scene, uint64_t id)
{
	for (int i = 0; i < 20000 && request_find(scene->client, id)->state != REQUEST_FINISHED;
	     i++) {
		assert_int_equal(resolverd_update(scene->client), 0);
		fake_step(&scene->daemon);
	}
}

static inline int ask_plan(
    struct scene *scene, const char *next_hop, struct resolverd_plan **ret_plan)
{
	uint64_t id;
	assert_int_equal(resolverd_submit_plan(scene->client, next_hop, 25, 0, &id), 0);
	run(scene, id);
	return resolverd_take_plan(scene->client, id, ret_plan);
}
