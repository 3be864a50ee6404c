/* SPDX-License-Identifier: BSD-3-Clause */
/* Questions on their way through the daemon, each answered to whoever waits for it. */
#include <stdlib.h>

#include "client/lib/clock.h"
#include "client/serve/asking.h"
#include "client/stub/stub.h"

struct lookup {
	struct ask ask; /* first: the one is found by the other */
	unsigned nth;   /* of the types of a query for ANY */
	struct dns_query query;
	struct stub_asker asker;
};

struct lookups {
	struct stub *stub;
	struct asking *asking;
};

static struct lookup *lookup_of(struct ask *ask)
{
	return (struct lookup *)ask;
}

/* ---- answering ---- */

static void send_error(struct lookups *lookups, const struct dns_query *query,
    const struct stub_asker *asker, int error, const char *detail)
{
	struct dns_error told = dns_error_of_client(error, detail);
	stub_answer(
	    lookups->stub, asker, dns_message_error(query, &told, stub_message(lookups->stub)));
}

/* The asker is told, or has gone. */
static void settle(struct lookup *lookup)
{
	struct stub_asker asker = lookup->asker;
	free(lookup);
	if (asker.transport == DNS_STREAM)
		stream_settled(asker.stream);
}

static void fail(struct lookups *lookups, struct lookup *lookup, int error, const char *detail)
{
	send_error(lookups, &lookup->query, &lookup->asker, error, detail);
	settle(lookup);
}

static void answer(
    struct lookups *lookups, struct lookup *lookup, const struct resolverd_records *records)
{
	size_t bytes = dns_message_answer(&lookup->query, records, clock_wall_ms(),
	    lookup->asker.transport, stub_message(lookups->stub));
	stub_answer(lookups->stub, &lookup->asker, bytes);
	settle(lookup);
}

/* ---- asking ---- */

static int submit(
    struct resolverd_client *client, struct ask *ask, unsigned deadline_ms, uint64_t *ret_id)
{
	const struct lookup *lookup = lookup_of(ask);
	char name[NAME_TEXT_MAX];
	if (name_from_wire(lookup->query.name, lookup->query.name_bytes, name) != NAME_OK)
		return RESOLVERD_ERROR_ARGUMENT;
	return resolverd_submit_records(
	    client, name, dns_message_type(&lookup->query, lookup->nth), deadline_ms, ret_id);
}

static int take(struct resolverd_client *client, uint64_t id, void **ret_result)
{
	return resolverd_take_records(client, id, (struct resolverd_records **)ret_result);
}

static void free_records(void *result)
{
	resolverd_records_free(result);
}

static void done(void *context, struct ask *ask, int error, const char *detail, const void *result)
{
	struct lookups *lookups = context;
	struct lookup *lookup = lookup_of(ask);
	if (error == 0 && dns_message_goes_on(&lookup->query, lookup->nth, result)) {
		lookup->nth++;
		error = asking_again(lookups->asking, ask);
		if (error == 0)
			return;
	}
	if (error == 0)
		answer(lookups, lookup, result);
	else
		fail(lookups, lookup, error, detail);
}

static void forget(struct ask *ask)
{
	free(lookup_of(ask));
}

static const struct asking_kind records_kind = {
    .while_down = "all questions are SERVFAIL",
    .submit = submit,
    .take = take,
    .free = free_records,
    .done = done,
    .forget = forget,
};

bool lookups_start(
    struct lookups *lookups, const struct dns_query *query, const struct stub_asker *asker)
{
	struct lookup *lookup = calloc(1, sizeof *lookup);
	int r = RESOLVERD_ERROR_MEMORY;
	if (lookup != NULL) {
		lookup->query = *query;
		lookup->asker = *asker;
		r = asking_start(lookups->asking, &lookup->ask);
	}
	if (r != 0) {
		free(lookup);
		send_error(lookups, query, asker, r, "");
		return false;
	}
	return true;
}

void lookups_update(struct lookups *lookups)
{
	asking_update(lookups->asking);
}

int lookups_new(struct stub *stub, struct event_base *base, const struct stub_options *options,
    struct lookups **ret_lookups)
{
	struct lookups *lookups = calloc(1, sizeof *lookups);
	if (lookups == NULL) {
		serve_log(SERVE_ERROR, "out of memory");
		return EXIT_TROUBLE;
	}
	lookups->stub = stub;
	int r = asking_new(
	    base, &options->daemon, options->timeout_ms, &records_kind, lookups, &lookups->asking);
	if (r != 0) {
		free(lookups);
		return r;
	}
	*ret_lookups = lookups;
	return 0;
}

void lookups_free(struct lookups *lookups)
{
	if (lookups == NULL)
		return;
	asking_free(lookups->asking);
	free(lookups);
}
