/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An ExplainResponse to an explanation. Its fresh answers make a plan as those of any plan do, its
 * cached ones too when they are complete; the lookups are not signed and only shown.
 */
#include <stdio.h>
#include <string.h>

#include "client/lib/diagnosis.h"
#include "client/lib/difference.h"
#include "client/lib/text.h"
#include "proto/combine.h"

/* An Explained whose answers are verified. cached.answer is NULL: nothing live is cached. */
struct pair {
	const Resolverd__V1__Explained *from;
	struct verified fresh, cached;
};

struct explaining {
	const struct verifier *verifier;
	const struct asked *asked;
	struct pair *pairs; /* the route, then hosts */
	size_t count;
	struct resolverd_explanation *explanation;
};

static int refuse(const struct explaining *explaining, const char *detail)
{
	snprintf(explaining->verifier->detail, DETAIL_MAX, "%s", detail);
	return RESOLVERD_ERROR_VERIFY;
}

/* ---- verifying ---- */

/* One that expired on its way here is as good as none. What cannot be read is left to the
 * verifier. */
static bool has_expired(
    const struct verifier *verifier, const Resolverd__V1__SignedAnswer *signed_answer)
{
	const Resolverd__V1__Answer *answer =
	    resolverd__v1__answer__unpack(memory_protobuf(verifier->arena),
		signed_answer->answer.len, signed_answer->answer.data);
	return answer != NULL && verifier->now_ms >= answer->expires_at;
}

static int verify_pair(struct explaining *explaining, size_t i)
{
	const struct verifier *verifier = explaining->verifier;
	struct pair *pair = &explaining->pairs[i];
	struct question question = {
	    .kind = RESOLVERD__V1__KIND__HOST, .port = explaining->asked->port};
	if (i == 0)
		question = (struct question){
		    .kind = RESOLVERD__V1__KIND__ROUTE, .name = explaining->asked->hop.text};
	if (pair->from->fresh == NULL)
		return refuse(explaining, "a part of the explanation has no answer");
	int r = verify_answer(verifier, pair->from->fresh, &question, &pair->fresh);
	if (r != 0 || pair->from->cached == NULL || has_expired(verifier, pair->from->cached))
		return r;
	question.name = pair->fresh.answer->question->name;
	return verify_answer(verifier, pair->from->cached, &question, &pair->cached);
}

static int verify_all(struct explaining *explaining, const Resolverd__V1__ExplainResponse *response)
{
	if (response == NULL) {
		refuse(explaining, "the daemon answered an explain request with something else");
		return RESOLVERD_ERROR_PROTOCOL;
	}
	if (response->n_answers == 0)
		return refuse(explaining, "the explanation holds no answer");
	explaining->count = response->n_answers;
	explaining->pairs =
	    memory_alloc(explaining->verifier->arena, explaining->count, sizeof *explaining->pairs);
	int r = explaining->pairs != NULL ? 0 : RESOLVERD_ERROR_MEMORY;
	for (size_t i = 0; r == 0 && i < explaining->count; i++) {
		explaining->pairs[i].from = response->answers[i];
		r = verify_pair(explaining, i);
	}
	return r;
}

/* ---- plans ---- */

/* A plan whose memory is the explanation's. */
static int plan_of(const struct explaining *explaining, Resolverd__V1__SignedAnswer **answers,
    size_t count, const struct resolverd_plan **ret_plan)
{
	Resolverd__V1__Response response;
	struct resolverd_plan *plan;
	resolverd__v1__response__init(&response);
	response.answers = answers;
	response.n_answers = count;
	int r = view_plan(explaining->verifier, explaining->asked, &response, &plan);
	if (r != 0)
		return r;
	plan->memory = NULL;
	*ret_plan = plan;
	return 0;
}

static int fresh_plan(struct explaining *explaining)
{
	Resolverd__V1__SignedAnswer **answers =
	    memory_alloc(explaining->verifier->arena, explaining->count, sizeof(*answers));
	if (answers == NULL)
		return RESOLVERD_ERROR_MEMORY;
	for (size_t i = 0; i < explaining->count; i++)
		answers[i] = explaining->pairs[i].from->fresh;
	return plan_of(explaining, answers, explaining->count, &explaining->explanation->fresh);
}

static const struct pair *pair_of(const struct explaining *explaining, const char *host)
{
	for (size_t i = 1; i < explaining->count; i++)
		if (strcmp(explaining->pairs[i].fresh.answer->question->name, host) == 0)
			return &explaining->pairs[i];
	return NULL;
}

/* Only when each host that the cached route names has a cached answer too: what clients would be
 * told of the others is not known. */
static int cached_plan(struct explaining *explaining)
{
	if (explaining->pairs[0].cached.answer == NULL)
		return 0;
	const Resolverd__V1__Route *route = explaining->pairs[0].cached.answer->route;
	Resolverd__V1__SignedAnswer *answers[1 + ROUTE_HOSTS_MAX] = {
	    explaining->pairs[0].from->cached};
	size_t count = 1;
	bool decided = combine_route(route->kind, route->mx_status) != 0 ||
		       explaining->asked->hop.kind == NEXT_HOP_ADDRESS;
	for (size_t i = 0; !decided && i < route->n_mx && i < ROUTE_HOSTS_MAX; i++) {
		const struct pair *pair = pair_of(explaining, route->mx[i]->name);
		if (pair == NULL || pair->cached.answer == NULL)
			return 0;
		answers[count++] = pair->from->cached;
	}
	return plan_of(explaining, answers, count, &explaining->explanation->cached);
}

/* ---- steps ---- */

static void view_lookup(struct resolverd_memory *arena, const Resolverd__V1__Lookup *from,
    struct resolverd_lookup *lookup)
{
	*lookup = (struct resolverd_lookup){.ttl_s = from->ttl_s,
	    .rrsig_expires_at_ms = from->rrsig_expires_at,
	    .asked_after_ms = from->asked_after_ms,
	    .took_ms = from->took_ms,
	    .unanswered = from->unanswered,
	    .records = {.name = text_clean(arena, from->name),
		.type = (uint16_t)from->type,
		.status = RESOLVERD_ERROR,
		.reason = "no answer came before the job was given up"}};
	if (from->records != NULL && !from->unanswered)
		view_record_data(arena, from->records, &lookup->records);
}

static void fill_step(
    const struct explaining *explaining, const struct pair *pair, struct resolverd_step *step)
{
	struct resolverd_memory *arena = explaining->verifier->arena;
	size_t count = pair->from->n_lookups;
	struct resolverd_lookup *lookups = memory_alloc(arena, count, sizeof *lookups);
	for (size_t i = 0; lookups != NULL && i < count; i++)
		view_lookup(arena, pair->from->lookups[i], &lookups[i]);
	step->lookups = lookups;
	step->lookup_count = lookups != NULL ? count : 0;
	if (pair->cached.answer != NULL)
		step->cached_expires_at_ms = pair->cached.answer->expires_at;
}

static void fill_host_step(const struct explaining *explaining, const struct resolverd_host *host,
    struct resolverd_step *step)
{
	struct resolverd_memory *arena = explaining->verifier->arena;
	const struct pair *pair = pair_of(explaining, host->name);
	struct resolverd_host *before =
	    pair != NULL ? memory_alloc(arena, 1, sizeof *before) : NULL;
	*step = (struct resolverd_step){
	    .kind = RESOLVERD_STEP_HOST, .name = host->name, .host = host, .before = before};
	if (before != NULL) {
		view_host_alone(explaining->verifier, &pair->fresh, before);
		fill_step(explaining, pair, step);
	}
	diagnose_host(arena, before != NULL ? pair->fresh.answer : NULL, step);
}

static int fill_steps(const struct explaining *explaining)
{
	struct resolverd_explanation *explanation = explaining->explanation;
	const struct resolverd_plan *fresh = explanation->fresh;
	struct resolverd_memory *arena = explaining->verifier->arena;
	struct resolverd_step *steps = memory_alloc(arena, 1 + fresh->host_count, sizeof *steps);
	if (steps == NULL)
		return RESOLVERD_ERROR_MEMORY;
	steps[0] = (struct resolverd_step){.kind = RESOLVERD_STEP_ROUTE, .name = fresh->next_hop};
	fill_step(explaining, &explaining->pairs[0], &steps[0]);
	diagnose_route(arena, explaining->pairs[0].fresh.answer, &steps[0]);
	for (size_t i = 0; i < fresh->host_count; i++)
		fill_host_step(explaining, &fresh->hosts[i], &steps[i + 1]);
	explanation->steps = steps;
	explanation->step_count = 1 + fresh->host_count;
	return 0;
}

/* ---- differences ---- */

static int fill_differences(const struct explaining *explaining)
{
	const struct verifier *verifier = explaining->verifier;
	struct resolverd_explanation *explanation = explaining->explanation;
	struct differences differences = {.arena = verifier->arena};
	differences.list = memory_alloc(verifier->arena,
	    DIFFERENCES_OF_PLAN + DIFFERENCES_OF_ROUTE + explaining->count * DIFFERENCES_OF_HOST,
	    sizeof *differences.list);
	if (differences.list == NULL)
		return RESOLVERD_ERROR_MEMORY;
	if (explanation->cached != NULL)
		difference_plan(&differences, explanation->cached, explanation->fresh);
	for (size_t i = 0; i < explaining->count; i++) {
		const struct pair *pair = &explaining->pairs[i];
		if (pair->cached.answer == NULL)
			continue;
		if (i == 0) {
			difference_route(&differences, pair->cached.answer, pair->fresh.answer);
			continue;
		}
		struct resolverd_host cached, fresh;
		view_host_alone(verifier, &pair->cached, &cached);
		view_host_alone(verifier, &pair->fresh, &fresh);
		difference_host(&differences, &cached, &fresh);
	}
	explanation->differences = differences.list;
	explanation->difference_count = differences.count;
	return 0;
}

int view_explanation(const struct verifier *verifier, const struct asked *asked,
    const Resolverd__V1__Response *response, struct resolverd_explanation **ret_explanation)
{
	struct explaining explaining = {.verifier = verifier, .asked = asked};
	explaining.explanation = memory_alloc(verifier->arena, 1, sizeof *explaining.explanation);
	if (explaining.explanation == NULL)
		return RESOLVERD_ERROR_MEMORY;
	int r = verify_all(&explaining, response->explain);
	if (r == 0)
		r = fresh_plan(&explaining);
	if (r == 0)
		r = cached_plan(&explaining);
	if (r == 0)
		r = fill_steps(&explaining);
	if (r == 0)
		r = fill_differences(&explaining);
	if (r != 0)
		return r;
	if (memory_failed(verifier->arena))
		return RESOLVERD_ERROR_MEMORY;
	explaining.explanation->memory = verifier->arena;
	*ret_explanation = explaining.explanation;
	return 0;
}
