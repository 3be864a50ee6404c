/* SPDX-License-Identifier: BSD-3-Clause */
/* What the control socket alone answers: the cache as it is, emptied or renewed; a reload. */
#include <stdio.h>
#include <string.h>

#include "client/lib/client.h"
#include "client/lib/text.h"
#include "proto/combine.h"

#define BODY(name) RESOLVERD__V1__REQUEST__BODY_##name
#define V1(name) RESOLVERD__V1__##name

/* ---- dump ---- */

static const char *state_text(Resolverd__V1__RefreshState state)
{
	switch (state) {
	case V1(REFRESH_STATE__REFRESH_DUE):
		return "due";
	case V1(REFRESH_STATE__REFRESH_ON_HIT):
		return "on-hit";
	case V1(REFRESH_STATE__REFRESH_RUNNING):
		return "running";
	case V1(REFRESH_STATE__REFRESH_RETRY):
		return "retry";
	case V1(REFRESH_STATE__REFRESH_AT_END):
		return "at-end";
	case V1(REFRESH_STATE__REFRESH_NONE):
		return "none";
	default:
		return "unknown";
	}
}

static int view_route(const struct verifier *verifier, const Resolverd__V1__DumpEntry *from,
    struct asked *asked, struct resolverd_dumped *entry)
{
	Resolverd__V1__SignedAnswer *answers[1 + ROUTE_HOSTS_MAX] = {from->answer};
	Resolverd__V1__Response response = RESOLVERD__V1__RESPONSE__INIT;
	struct resolverd_plan *plan;
	if (next_hop_parse(entry->name, &asked->hop) != NAME_OK || from->n_hosts > ROUTE_HOSTS_MAX)
		return RESOLVERD_ERROR_PROTOCOL;
	if (from->n_hosts > 0)
		memcpy(&answers[1], from->hosts, from->n_hosts * sizeof(*answers));
	response.answers = answers;
	response.n_answers = 1 + from->n_hosts;
	int r = view_plan(verifier, asked, &response, &plan);
	if (r != 0)
		return r;
	plan->memory = NULL;
	entry->plan = plan;
	return 0;
}

static int view_other(const struct verifier *verifier, const Resolverd__V1__DumpEntry *from,
    struct asked *asked, struct resolverd_dumped *entry)
{
	Resolverd__V1__SignedAnswer *answer = from->answer;
	Resolverd__V1__Response response = RESOLVERD__V1__RESPONSE__INIT;
	response.answers = &answer;
	response.n_answers = 1;
	if (strlen(entry->name) >= sizeof asked->name)
		return RESOLVERD_ERROR_PROTOCOL;
	memcpy(asked->name, entry->name, strlen(entry->name) + 1);
	if (entry->kind == RESOLVERD_HOST) {
		struct resolverd_host *host;
		int r = view_host_response(verifier, asked, &response, &host);
		if (r != 0)
			return r;
		host->memory = NULL;
		entry->host = host;
		return 0;
	}
	struct resolverd_records *records;
	int r = view_records(verifier, asked, &response, &records);
	if (r != 0)
		return r;
	records->memory = NULL;
	entry->records = records;
	return 0;
}

/* What it is about is read first, and then verified like any other answer. */
static int view_entry(const struct verifier *verifier, const Resolverd__V1__DumpEntry *from,
    struct resolverd_dumped *entry)
{
	struct asked asked = {0};
	const Resolverd__V1__Answer *answer =
	    from->answer != NULL ? resolverd__v1__answer__unpack(memory_protobuf(verifier->arena),
				       from->answer->answer.len, from->answer->answer.data)
				 : NULL;
	if (answer == NULL || answer->question == NULL) {
		snprintf(verifier->detail, DETAIL_MAX, "an entry holds no answer");
		return memory_failed(verifier->arena) ? RESOLVERD_ERROR_MEMORY
						      : RESOLVERD_ERROR_VERIFY;
	}
	const Resolverd__V1__Question *question = answer->question;
	*entry = (struct resolverd_dumped){.name = text_clean(verifier->arena, question->name),
	    .type = question->type,
	    .in_use = from->in_use,
	    .demand = from->demand,
	    .last_requested_at_ms = from->last_requested_at,
	    .kept_until_ms = from->kept_until,
	    .state = state_text(from->state),
	    .next_at_ms = from->next_at,
	    .failed_refreshes = from->failed_refreshes,
	    .last_was_bogus = from->last_was_bogus};
	asked.type = question->type;
	asked.port = entry->port = question->port;
	switch (question->kind) {
	case V1(KIND__ROUTE):
		entry->kind = RESOLVERD_ROUTE;
		entry->port = from->port;
		asked.port = from->port != 0 ? from->port : 25;
		return view_route(verifier, from, &asked, entry);
	case V1(KIND__HOST):
		entry->kind = RESOLVERD_HOST;
		return view_other(verifier, from, &asked, entry);
	case V1(KIND__RECORDS):
		entry->kind = RESOLVERD_RECORDS;
		return view_other(verifier, from, &asked, entry);
	default:
		return VERIFY_EXPIRED; /* of a later version: passed over */
	}
}

int view_dump(const struct verifier *verifier, const Resolverd__V1__DumpResponse *response,
    struct resolverd_dump **ret_dump)
{
	struct resolverd_memory *arena = verifier->arena;
	struct resolverd_dump *dump = memory_alloc(arena, 1, sizeof *dump);
	if (response == NULL) {
		snprintf(verifier->detail, DETAIL_MAX,
		    "the daemon answered a dump request with something else");
		return RESOLVERD_ERROR_PROTOCOL;
	}
	struct resolverd_dumped *entries =
	    memory_alloc(arena, response->n_entries + 1, sizeof *entries);
	if (dump == NULL || entries == NULL)
		return RESOLVERD_ERROR_MEMORY;
	*dump =
	    (struct resolverd_dump){.entries = entries, .next = response->next, .memory = arena};
	for (size_t i = 0; i < response->n_entries; i++) {
		int r = view_entry(verifier, response->entries[i], &entries[dump->count]);
		if (r != 0 && r != VERIFY_EXPIRED) /* ended on its way: left out */
			return r;
		dump->count += r == 0;
	}
	*ret_dump = dump;
	return memory_failed(arena) ? RESOLVERD_ERROR_MEMORY : 0;
}

int resolverd_dump(struct resolverd_client *client, const struct resolverd_dump_options *options,
    uint64_t cursor, int timeout_ms, struct resolverd_dump **ret_dump)
{
	Resolverd__V1__DumpRequest dump = RESOLVERD__V1__DUMP_REQUEST__INIT;
	Resolverd__V1__Request message = RESOLVERD__V1__REQUEST__INIT;
	dump.cursor = cursor;
	if (options != NULL) {
		dump.kind = (Resolverd__V1__Kind)options->kind;
		dump.in_use = options->in_use;
		dump.trouble = options->trouble;
		dump.limit = options->limit;
	}
	message.body_case = BODY(DUMP);
	message.dump = &dump;
	int r;
	void *result = client_ask(client, &message, NULL, timeout_ms, &r);
	if (result != NULL)
		*ret_dump = result;
	return r;
}

void resolverd_dump_free(struct resolverd_dump *dump)
{
	if (dump != NULL)
		memory_free(dump->memory);
}

/* ---- renew, flush, reload ---- */

int resolverd_renew(struct resolverd_client *client, const char *next_hop, unsigned port,
    int timeout_ms, struct resolverd_explanation **ret_explanation)
{
	struct asked asked = {0};
	Resolverd__V1__ExplainRequest explain = RESOLVERD__V1__EXPLAIN_REQUEST__INIT;
	Resolverd__V1__Request message = RESOLVERD__V1__REQUEST__INIT;
	int r = client_ask_next_hop(client, next_hop, port, &asked);
	if (r != 0)
		return r;
	explain.next_hop = asked.hop.text;
	explain.port = asked.port;
	explain.deadline_ms = client_daemon_deadline_ms(timeout_ms);
	explain.replace = true;
	message.body_case = BODY(EXPLAIN);
	message.explain = &explain;
	void *result = client_ask(client, &message, &asked, timeout_ms, &r);
	if (result != NULL)
		*ret_explanation = result;
	return r;
}

int view_done(const struct verifier *verifier, const Resolverd__V1__Response *response,
    struct control_done **ret_done)
{
	struct control_done *done = memory_alloc(verifier->arena, 1, sizeof *done);
	if (response->flush == NULL && response->reload == NULL) {
		snprintf(verifier->detail, DETAIL_MAX, "the daemon answered something else");
		return RESOLVERD_ERROR_PROTOCOL;
	}
	if (done == NULL)
		return RESOLVERD_ERROR_MEMORY;
	*done = (struct control_done){.memory = verifier->arena, .text = ""};
	if (response->flush != NULL)
		done->dropped = response->flush->dropped;
	if (response->reload != NULL) {
		done->in_force = response->reload->in_force;
		done->text = text_clean(verifier->arena, response->reload->text);
	}
	*ret_done = done;
	return memory_failed(verifier->arena) ? RESOLVERD_ERROR_MEMORY : 0;
}

int resolverd_flush(struct resolverd_client *client, int timeout_ms, uint64_t *ret_dropped)
{
	Resolverd__V1__FlushRequest flush = RESOLVERD__V1__FLUSH_REQUEST__INIT;
	Resolverd__V1__Request message = RESOLVERD__V1__REQUEST__INIT;
	int r;
	message.body_case = BODY(FLUSH);
	message.flush = &flush;
	struct control_done *done = client_ask(client, &message, NULL, timeout_ms, &r);
	if (done == NULL)
		return r;
	*ret_dropped = done->dropped;
	memory_free(done->memory);
	return r;
}

int resolverd_reload(struct resolverd_client *client, int timeout_ms, bool *ret_in_force,
    char ret_text[RESOLVERD_RELOAD_TEXT_MAX])
{
	Resolverd__V1__ReloadRequest reload = RESOLVERD__V1__RELOAD_REQUEST__INIT;
	Resolverd__V1__Request message = RESOLVERD__V1__REQUEST__INIT;
	int r;
	message.body_case = BODY(RELOAD);
	message.reload = &reload;
	struct control_done *done = client_ask(client, &message, NULL, timeout_ms, &r);
	if (done == NULL)
		return r;
	*ret_in_force = done->in_force;
	snprintf(ret_text, RESOLVERD_RELOAD_TEXT_MAX, "%s", done->text);
	memory_free(done->memory);
	return r;
}
