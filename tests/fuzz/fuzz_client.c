/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the client library reads from a daemon. The first octet of an input says what is asked and
 * what the rest is: what comes over the connection instead of a response; or answers, one after the
 * other (length, bytes), which the daemon of this test signs, so that they get past the signature.
 * A result has at most what the library promises of it; else there is an error with a reason.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fake_daemon.h"

#define ANSWERS_MAX 20u
#define STEPS 40

enum { SIGNED = 1, HOST = 2, RECORDS = 4, IN_PARTS = 8 };

static const uint8_t *given;
static size_t given_bytes;
static bool given_signed;
static struct resolverd_memory *memory;
static struct signer online;

static uint64_t stopped_clock(void)
{
	return NOW_MS;
}

/* In place of a response; or a response with what was given, signed. */
static Resolverd__V1__Response *choose(
    struct fake_daemon *daemon, const Resolverd__V1__Request *request)
{
	struct input input = {given, given + given_bytes};
	(void)request;
	if (!given_signed) {
		must(given_bytes == 0 || buffer_append(&daemon->out, given, given_bytes));
		return NULL;
	}
	Resolverd__V1__Response *response = NEW(memory, Response, response);
	response->answers = memory_alloc(memory, ANSWERS_MAX, sizeof(void *));
	while (response->n_answers < ANSWERS_MAX && input_left(&input) > 0) {
		Resolverd__V1__SignedAnswer *answer = NEW(memory, SignedAnswer, signed_answer);
		const uint8_t *bytes = take_bytes(&input, &answer->answer.len);
		answer->answer.data = memory_alloc(memory, 1, answer->answer.len + 1);
		memcpy(answer->answer.data, bytes, answer->answer.len);
		sign_bytes(memory, &online, SIGNING_CONTEXT_ANSWER, answer->answer,
		    &answer->signature, &answer->key_id);
		response->answers[response->n_answers++] = answer;
	}
	return response;
}

/* ---- results ---- */

static void touch(const void *bytes, size_t count)
{
	static volatile unsigned sink;
	const uint8_t *at = bytes;
	while (count-- > 0)
		sink += *at++;
}

static void check_host(const struct resolverd_host *host)
{
	must(host->address_count <= 16 && host->tlsa_count <= 32);
	must(host->reason != NULL && host->reason_text != NULL);
	touch(host->name, strlen(host->name));
	for (size_t i = 0; i < host->tlsa_count; i++)
		touch(host->tlsa[i].data, host->tlsa[i].data_bytes);
	for (size_t i = 0; i < host->reference_name_count; i++)
		touch(host->reference_names[i], strlen(host->reference_names[i]));
	/* RFC 7672 section 2.2: no dane without records to compare with, nor without a name. A
	 * daemon that gives it no address only keeps its clients from connecting. */
	if (host->policy == RESOLVERD_DANE)
		must(host->tlsa_count > 0 && host->sni != NULL && host->reference_name_count > 0);
}

static void check_plan(const struct resolverd_plan *plan)
{
	must(strcmp(plan->next_hop, "example.org") == 0 && plan->reason != NULL);
	must(plan->host_count <= 16 || plan->outcome != RESOLVERD_DELIVER);
	for (size_t i = 0; i < plan->host_count; i++)
		check_host(&plan->hosts[i]);
	if (plan->outcome == RESOLVERD_DELIVER)
		must(plan->host_count > 0 && plan->expires_at_ms > NOW_MS);
}

static void take(struct resolverd_client *client, uint64_t id, unsigned choices)
{
	struct resolverd_plan *plan;
	struct resolverd_host *host;
	struct resolverd_records *records;
	int r;
	if (choices & HOST) {
		r = resolverd_take_host(client, id, &host);
		if (r == 0) {
			check_host(host);
			resolverd_host_free(host);
		}
	} else if (choices & RECORDS) {
		r = resolverd_take_records(client, id, &records);
		if (r == 0)
			resolverd_records_free(records);
	} else {
		r = resolverd_take_plan(client, id, &plan);
		if (r == 0) {
			check_plan(plan);
			resolverd_plan_free(plan);
		}
	}
	must(r == 0 || resolverd_last_error(client)[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct fake_daemon daemon;
	static struct signer long_term;
	struct input input = {data, data + bytes};
	struct resolverd_client *client;
	unsigned choices = take_octet(&input);
	uint64_t id;
	int r;
	if (daemon.socket_path[0] == '\0') {
		long_term = signer_of(1);
		online = signer_of(2);
		fake_start(&daemon);
		fake_trust(&daemon, &long_term);
		daemon.choose = choose;
	}
	memory = memory_new();
	given = input.at;
	given_bytes = input_left(&input);
	given_signed = choices & SIGNED;
	daemon.out_at_once = choices & IN_PARTS ? 7 : 0;
	daemon.status = NEW(memory, Response, response);
	daemon.status->status = NEW(memory, StatusResponse, status_response);
	daemon.status->status->delegations = memory_alloc(memory, 1, sizeof(void *));
	daemon.status->status->delegations[daemon.status->status->n_delegations++] =
	    sign_delegation(memory, &long_term, new_delegation(memory, &online));
	must(resolverd_client_new(&(struct resolverd_options){.socket_path = daemon.socket_path,
				      .public_key_file = daemon.key_file},
		 &client) == 0);
	client_set_clock(client, stopped_clock);
	if (choices & HOST)
		r = resolverd_submit_host(client, "mx.example.org", 25, 0, &id);
	else if (choices & RECORDS)
		r = resolverd_submit_records(client, "example.org", 15, 0, &id);
	else
		r = resolverd_submit_plan(client, "example.org", 25, 0, &id);
	must(r == 0);
	for (unsigned i = 0; i < STEPS && request_find(client, id)->state != REQUEST_FINISHED;
	     i++) {
		must(resolverd_update(client) == 0);
		fake_step(&daemon);
	}
	if (request_find(client, id)->state == REQUEST_FINISHED)
		take(client, id, choices);
	resolverd_client_free(client);
	fake_hang_up(&daemon);
	memory_free(memory);
	return 0;
}
