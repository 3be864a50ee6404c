/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests for a destination's page, which wait for lookups: they keep nobody else from being
 * served. A plan and an explanation are two kinds of question, and so are asked over a connection
 * each.
 */
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/serve/asking.h"
#include "client/web/page.h"

#define EXPLAIN_MS 8000
#define QUESTIONS_MAX 8u /* at a time: it is a page for people */

struct questions {
	const struct web_options *options;
	struct asking *plans, *explanations;
	unsigned count;
};

struct question {
	struct ask ask; /* the first: what asking hands back is this */
	struct questions *questions;
	struct evhttp_request *request; /* NULL: who asked is gone */
	unsigned port;
	bool explain;
	char next_hop[];
};

/* ---- the daemon ---- */

static int submit_plan(
    struct resolverd_client *client, struct ask *ask, unsigned deadline_ms, uint64_t *ret_id)
{
	const struct question *question = (const struct question *)ask;
	return resolverd_submit_plan(
	    client, question->next_hop, question->port, deadline_ms, ret_id);
}

static int take_plan(struct resolverd_client *client, uint64_t id, void **ret_result)
{
	return resolverd_take_plan(client, id, (struct resolverd_plan **)ret_result);
}

static void free_plan(void *result)
{
	resolverd_plan_free(result);
}

static int submit_explain(
    struct resolverd_client *client, struct ask *ask, unsigned deadline_ms, uint64_t *ret_id)
{
	const struct question *question = (const struct question *)ask;
	return resolverd_submit_explain(
	    client, question->next_hop, question->port, deadline_ms, ret_id);
}

static int take_explanation(struct resolverd_client *client, uint64_t id, void **ret_result)
{
	return resolverd_take_explanation(client, id, (struct resolverd_explanation **)ret_result);
}

static void free_explanation(void *result)
{
	resolverd_explanation_free(result);
}

/* ---- the browser ---- */

static void answer(struct evhttp_request *request, const struct question *question,
    const struct destination_answer *found)
{
	struct evbuffer *body = evbuffer_new();
	int status = body == NULL ? HTTP_INTERNAL
				  : destination_write(question->next_hop, question->port,
					question->explain, found, body);
	if (body != NULL && evbuffer_get_length(body) == 0)
		status = HTTP_INTERNAL;
	http_reply(request, status, HTML_TYPE, body);
	if (body != NULL)
		evbuffer_free(body);
}

static void on_gone(struct evhttp_connection *connection, void *arg)
{
	struct question *question = arg;
	(void)connection;
	question->request = NULL;
}

/* The request, unless who asked is gone; the question ends with it. */
static struct evhttp_request *end(struct question *question)
{
	struct evhttp_request *request = question->request;
	if (request != NULL)
		evhttp_connection_set_closecb(evhttp_request_get_connection(request), NULL, NULL);
	question->questions->count--;
	return request;
}

static void done(void *context, struct ask *ask, int error, const char *detail, const void *result)
{
	struct question *question = (struct question *)ask;
	struct evhttp_request *request = end(question);
	struct destination_answer found = {.error = error, .detail = detail};
	(void)context;
	if (question->explain)
		found.explanation = result;
	else
		found.plan = result;
	if (request != NULL)
		answer(request, question, &found);
	free(question);
}

static void forget(struct ask *ask)
{
	(void)end((struct question *)ask);
	free(ask);
}

void questions_ask(struct questions *questions, struct evhttp_request *request,
    const char *next_hop, unsigned port, bool explain)
{
	if (questions->count >= QUESTIONS_MAX) {
		evhttp_add_header(evhttp_request_get_output_headers(request), "Retry-After", "2");
		http_reply_text(request, HTTP_SERVUNAVAIL,
		    "too many destinations are being looked up just now");
		return;
	}
	size_t bytes = strlen(next_hop) + 1;
	struct question *question = calloc(1, sizeof *question + bytes);
	if (question == NULL) {
		http_reply_text(request, HTTP_INTERNAL, "out of memory");
		return;
	}
	memcpy(question->next_hop, next_hop, bytes);
	question->questions = questions;
	question->request = request;
	question->port = port;
	question->explain = explain;
	questions->count++;
	evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_gone, question);
	struct asking *asking = explain ? questions->explanations : questions->plans;
	int error = asking_start(asking, &question->ask);
	if (error == 0)
		asking_update(asking);
	else
		done(NULL, &question->ask, error, "", NULL);
}

struct questions *questions_new(struct event_base *base, const struct web_options *options)
{
	static const struct asking_kind plans = {
	    "pages of destinations are not shown", submit_plan, take_plan, free_plan, done, forget};
	static const struct asking_kind explanations = {"destinations are not explained",
	    submit_explain, take_explanation, free_explanation, done, forget};
	struct questions *questions = calloc(1, sizeof *questions);
	if (questions == NULL)
		return NULL;
	questions->options = options;
	if (asking_new(base, &options->daemon, options->timeout_ms, &plans, questions,
		&questions->plans) == 0 &&
	    asking_new(base, &options->daemon, EXPLAIN_MS, &explanations, questions,
		&questions->explanations) == 0)
		return questions;
	questions_free(questions);
	return NULL;
}

void questions_free(struct questions *questions)
{
	if (questions == NULL)
		return;
	asking_free(questions->plans);
	asking_free(questions->explanations);
	free(questions);
}
