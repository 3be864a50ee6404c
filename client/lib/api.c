/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking and taking: the public functions about requests. */

#include <string.h>

#include "client/lib/client.h"
#include "client/lib/idn.h"

#define BODY(name) RESOLVERD__V1__REQUEST__BODY_##name

/* ---- submit ---- */

int client_submit(struct resolverd_client *client, Resolverd__V1__Request *message,
    const struct asked *asked, uint64_t *ret_id)
{
	struct request *request;
	Resolverd__V1__Request__BodyCase kind = message->body_case;
	if (client->attest && !request_can_be_attested(kind) && kind != BODY(STATUS) &&
	    kind != BODY(SEAL))
		return client_fail(client, RESOLVERD_ERROR_ARGUMENT,
		    "only plan, host and records can be attested");
	int r = request_submit(client, message, asked, false, &request);
	if (r != 0)
		return client_fail(client, r, "%s", resolverd_strerror(r));
	*ret_id = request->id;
	return 0;
}

static int check_port(struct resolverd_client *client, unsigned *port)
{
	if (*port == 0)
		*port = 25;
	if (*port > UINT16_MAX)
		return client_fail(
		    client, RESOLVERD_ERROR_ARGUMENT, "%u is not a port number", *port);
	return 0;
}

int client_ask_next_hop(
    struct resolverd_client *client, const char *next_hop, unsigned port, struct asked *asked)
{
	int r = check_port(client, &port);
	if (r == 0)
		r = idn_next_hop(next_hop, &asked->hop, client->detail);
	asked->port = port;
	return r;
}

int resolverd_submit_plan(struct resolverd_client *client, const char *next_hop, unsigned port,
    unsigned deadline_ms, uint64_t *ret_id)
{
	struct asked asked = {0};
	int r = client_ask_next_hop(client, next_hop, port, &asked);
	if (r != 0)
		return r;
	struct request *cached = request_from_cache(client, &asked);
	if (cached != NULL) {
		*ret_id = cached->id;
		return 0;
	}
	Resolverd__V1__PlanRequest plan;
	resolverd__v1__plan_request__init(&plan);
	plan.next_hop = asked.hop.text;
	plan.port = asked.port;
	plan.deadline_ms = deadline_ms;
	Resolverd__V1__Request message;
	resolverd__v1__request__init(&message);
	message.body_case = BODY(PLAN);
	message.plan = &plan;
	return client_submit(client, &message, &asked, ret_id);
}

int resolverd_submit_warm(struct resolverd_client *client, const char *next_hop, unsigned port,
    unsigned deadline_ms, unsigned keep_s, uint64_t *ret_id)
{
	struct asked asked = {0};
	int r = client_ask_next_hop(client, next_hop, port, &asked);
	if (r != 0)
		return r;
	Resolverd__V1__WarmRequest warm;
	resolverd__v1__warm_request__init(&warm);
	warm.next_hop = asked.hop.text;
	warm.port = asked.port;
	warm.deadline_ms = deadline_ms;
	warm.keep_s = keep_s;
	Resolverd__V1__Request message;
	resolverd__v1__request__init(&message);
	message.body_case = BODY(WARM);
	message.warm = &warm;
	return client_submit(client, &message, &asked, ret_id);
}

int resolverd_submit_watch(struct resolverd_client *client, const char *next_hop, unsigned port,
    unsigned hold_down_ms, uint64_t *ret_id)
{
	struct asked asked = {0};
	int r = client_ask_next_hop(client, next_hop, port, &asked);
	if (r != 0)
		return r;
	Resolverd__V1__WatchRequest watch;
	resolverd__v1__watch_request__init(&watch);
	watch.next_hop = asked.hop.text;
	watch.port = asked.port;
	watch.hold_down_ms = hold_down_ms;
	Resolverd__V1__Request message;
	resolverd__v1__request__init(&message);
	message.body_case = BODY(WATCH);
	message.watch = &watch;
	return client_submit(client, &message, &asked, ret_id);
}

int resolverd_submit_host(struct resolverd_client *client, const char *name, unsigned port,
    unsigned deadline_ms, uint64_t *ret_id)
{
	struct asked asked = {0};
	int r = check_port(client, &port);
	if (r == 0)
		r = idn_name(name, asked.name, client->detail);
	if (r != 0)
		return r;
	asked.port = port;
	Resolverd__V1__HostRequest host;
	resolverd__v1__host_request__init(&host);
	host.name = asked.name;
	host.port = port;
	host.deadline_ms = deadline_ms;
	Resolverd__V1__Request message;
	resolverd__v1__request__init(&message);
	message.body_case = BODY(HOST);
	message.host = &host;
	return client_submit(client, &message, &asked, ret_id);
}

int resolverd_submit_records(struct resolverd_client *client, const char *name, unsigned type,
    unsigned deadline_ms, uint64_t *ret_id)
{
	struct asked asked = {.type = type};
	if (type == 0 || type > UINT16_MAX)
		return client_fail(
		    client, RESOLVERD_ERROR_ARGUMENT, "%u is not a record type", type);
	int r = idn_name(name, asked.name, client->detail);
	if (r != 0)
		return r;
	Resolverd__V1__RecordsRequest records;
	resolverd__v1__records_request__init(&records);
	records.name = asked.name;
	records.type = type;
	records.deadline_ms = deadline_ms;
	Resolverd__V1__Request message;
	resolverd__v1__request__init(&message);
	message.body_case = BODY(RECORDS);
	message.records = &records;
	return client_submit(client, &message, &asked, ret_id);
}

int resolverd_submit_explain(struct resolverd_client *client, const char *next_hop, unsigned port,
    unsigned deadline_ms, uint64_t *ret_id)
{
	struct asked asked = {0};
	int r = client_ask_next_hop(client, next_hop, port, &asked);
	if (r != 0)
		return r;
	Resolverd__V1__ExplainRequest explain;
	resolverd__v1__explain_request__init(&explain);
	explain.next_hop = asked.hop.text;
	explain.port = asked.port;
	explain.deadline_ms = deadline_ms;
	Resolverd__V1__Request message;
	resolverd__v1__request__init(&message);
	message.body_case = BODY(EXPLAIN);
	message.explain = &explain;
	return client_submit(client, &message, &asked, ret_id);
}

int resolverd_submit_seal(
    struct resolverd_client *client, const uint8_t hash[SEAL_HASH_BYTES], uint64_t *ret_id)
{
	struct asked asked = {0};
	memcpy(asked.hash, hash, sizeof asked.hash);
	Resolverd__V1__SealRequest seal;
	resolverd__v1__seal_request__init(&seal);
	seal.hash = (ProtobufCBinaryData){sizeof asked.hash, asked.hash};
	Resolverd__V1__Request message;
	resolverd__v1__request__init(&message);
	message.body_case = BODY(SEAL);
	message.seal = &seal;
	return client_submit(client, &message, &asked, ret_id);
}

int resolverd_submit_status(struct resolverd_client *client, uint64_t *ret_id)
{
	Resolverd__V1__StatusRequest status;
	resolverd__v1__status_request__init(&status);
	Resolverd__V1__Request message;
	resolverd__v1__request__init(&message);
	message.body_case = BODY(STATUS);
	message.status = &status;
	return client_submit(client, &message, NULL, ret_id);
}

/* ---- take ---- */

int resolverd_update(struct resolverd_client *client)
{
	return connection_update(client);
}

bool resolverd_next_finished(struct resolverd_client *client, uint64_t *ret_id)
{
	struct request *request = client->first_unreported;
	while (request != NULL && request->batched)
		request = request->next;
	client->first_unreported = request;
	if (request == NULL)
		return false;
	client->first_unreported = request->next;
	*ret_id = request->id;
	return true;
}

/* What is asked of a next hop is a plan. */
static Resolverd__V1__Request__BodyCase kind_of_result(const struct request *request)
{
	return request->kind == BODY(WARM) || request->kind == BODY(WATCH) ? BODY(PLAN)
									   : request->kind;
}

void *client_take(struct resolverd_client *client, uint64_t id,
    Resolverd__V1__Request__BodyCase kind, int *ret_error)
{
	struct request *request = request_find(client, id);
	if (request == NULL || kind_of_result(request) != kind || request->internal) {
		*ret_error = client_fail(client, RESOLVERD_ERROR_UNKNOWN_ID, "no such request");
		return NULL;
	}
	if (request->state != REQUEST_FINISHED) {
		*ret_error = client_fail(client, RESOLVERD_ERROR_PENDING, "not finished");
		return NULL;
	}
	void *result = request->error == 0 ? request->result : NULL;
	*ret_error = request->error;
	if (result == NULL) {
		client_fail(client, request->error, "%s", request->detail);
		client->retry_after_ms = request->retry_after_ms;
	}
	if (result != NULL)
		request->arena = NULL;
	if (result == NULL || request->kind != BODY(WATCH) ||
	    request_watch_on(client, request) != 0)
		request_forget(client, request);
	return result;
}

int resolverd_take_plan(
    struct resolverd_client *client, uint64_t id, struct resolverd_plan **ret_plan)
{
	int r;
	void *result = client_take(client, id, BODY(PLAN), &r);
	if (result != NULL)
		*ret_plan = result;
	return r;
}

int resolverd_take_host(
    struct resolverd_client *client, uint64_t id, struct resolverd_host **ret_host)
{
	int r;
	void *result = client_take(client, id, BODY(HOST), &r);
	if (result != NULL)
		*ret_host = result;
	return r;
}

int resolverd_take_records(
    struct resolverd_client *client, uint64_t id, struct resolverd_records **ret_records)
{
	int r;
	void *result = client_take(client, id, BODY(RECORDS), &r);
	if (result != NULL)
		*ret_records = result;
	return r;
}

int resolverd_take_explanation(
    struct resolverd_client *client, uint64_t id, struct resolverd_explanation **ret_explanation)
{
	int r;
	void *result = client_take(client, id, BODY(EXPLAIN), &r);
	if (result != NULL)
		*ret_explanation = result;
	return r;
}

int resolverd_take_seal(
    struct resolverd_client *client, uint64_t id, struct resolverd_seal **ret_seal)
{
	int r;
	void *result = client_take(client, id, BODY(SEAL), &r);
	if (result != NULL)
		*ret_seal = result;
	return r;
}

int resolverd_take_status(
    struct resolverd_client *client, uint64_t id, struct resolverd_daemon_status **ret_status)
{
	int r;
	void *result = client_take(client, id, BODY(STATUS), &r);
	if (result != NULL)
		*ret_status = result;
	return r;
}

unsigned resolverd_retry_after_ms(const struct resolverd_client *client)
{
	return client->retry_after_ms;
}

void resolverd_release(struct resolverd_client *client, uint64_t id)
{
	struct request *request = request_find(client, id);
	if (request != NULL && !request->internal)
		request_forget(client, request);
}

void resolverd_plan_free(struct resolverd_plan *plan)
{
	if (plan != NULL)
		memory_free(plan->memory);
}

void resolverd_host_free(struct resolverd_host *host)
{
	if (host != NULL)
		memory_free(host->memory);
}

void resolverd_records_free(struct resolverd_records *records)
{
	if (records != NULL)
		memory_free(records->memory);
}

void resolverd_explanation_free(struct resolverd_explanation *explanation)
{
	if (explanation != NULL)
		memory_free(explanation->memory);
}

void resolverd_seal_free(struct resolverd_seal *seal)
{
	if (seal != NULL)
		memory_free(seal->memory);
}

void resolverd_daemon_status_free(struct resolverd_daemon_status *status)
{
	if (status != NULL)
		memory_free(status->memory);
}
