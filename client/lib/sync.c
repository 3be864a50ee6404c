/* SPDX-License-Identifier: BSD-3-Clause */
/* A synchronous call is the asynchronous one, then updates until an absolute deadline. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "client/lib/batch.h"
#include "client/lib/clock.h"

#define RECONNECT_PAUSE_MS 10

unsigned client_daemon_deadline_ms(int timeout_ms)
{
	return timeout_ms <= 0 ? 0 : (unsigned)timeout_ms - (unsigned)timeout_ms / 10;
}

static void wait_for_socket(const struct resolverd_client *client, int64_t left_ms)
{
	struct pollfd fd = {
	    .fd = resolverd_client_fd(client), .events = resolverd_client_events(client)};
	int pause_ms = left_ms < 0 ? -1 : left_ms > INT_MAX ? INT_MAX : (int)left_ms;
	if (fd.fd < 0 && (pause_ms < 0 || pause_ms > RECONNECT_PAUSE_MS))
		pause_ms = RECONNECT_PAUSE_MS;
	poll(&fd, 1, pause_ms);
}

/* Until the request has finished: 0, or an error after which it is released. */
static int wait_until_finished(struct resolverd_client *client, uint64_t id, int timeout_ms)
{
	int64_t deadline_ms = timeout_ms < 0 ? -1 : clock_mono_ms() + timeout_ms;
	for (;;) {
		int r = resolverd_update(client);
		const struct request *request = request_find(client, id);
		if (request != NULL && request->state == REQUEST_FINISHED)
			return 0;
		if (r != 0)
			return r;
		int64_t left_ms = deadline_ms < 0 ? -1 : deadline_ms - clock_mono_ms();
		if (deadline_ms >= 0 && left_ms <= 0) {
			resolverd_release(client, id);
			return client_fail(client, RESOLVERD_ERROR_TIMEOUT,
			    "no answer from %s within %d ms", client->address.sun_path, timeout_ms);
		}
		wait_for_socket(client, left_ms);
	}
}

void *client_ask(struct resolverd_client *client, Resolverd__V1__Request *message,
    const struct asked *asked, int timeout_ms, int *ret_error)
{
	uint64_t id;
	*ret_error = client_submit(client, message, asked, &id);
	if (*ret_error == 0)
		*ret_error = wait_until_finished(client, id, timeout_ms);
	return *ret_error == 0 ? client_take(client, id, message->body_case, ret_error) : NULL;
}

int resolverd_plan(struct resolverd_client *client, const char *next_hop, unsigned port,
    int timeout_ms, struct resolverd_plan **ret_plan)
{
	uint64_t id;
	int r = resolverd_submit_plan(
	    client, next_hop, port, client_daemon_deadline_ms(timeout_ms), &id);
	if (r == 0)
		r = wait_until_finished(client, id, timeout_ms);
	return r != 0 ? r : resolverd_take_plan(client, id, ret_plan);
}

/* Takes and asks what it can; whether the item is done, or with NULL all are. */
static bool batch_step(struct resolverd_batch *batch, const struct resolverd_planned *item)
{
	size_t index;
	while (resolverd_batch_next(batch, &index))
		;
	return item != NULL ? item->done : batch->left == 0;
}

/* Until it is so: 0, TIMEOUT or MEMORY. */
static int run_batch(
    struct resolverd_batch *batch, const struct resolverd_planned *item, int timeout_ms)
{
	struct resolverd_client *client = batch->client;
	int64_t deadline_ms = timeout_ms < 0 ? -1 : clock_mono_ms() + timeout_ms;
	while (!batch_step(batch, item)) {
		int r = resolverd_update(client);
		if (r != 0)
			return r;
		if (batch_step(batch, item))
			return 0;
		int64_t left_ms = deadline_ms < 0 ? -1 : deadline_ms - clock_mono_ms();
		if (deadline_ms >= 0 && left_ms <= 0)
			return client_fail(client, RESOLVERD_ERROR_TIMEOUT,
			    "no answer from %s within %d ms", client->address.sun_path, timeout_ms);
		if (item == NULL && deadline_ms >= 0) /* of what is asked for from now on */
			batch->deadline_ms = client_daemon_deadline_ms((int)left_ms);
		wait_for_socket(client, left_ms);
	}
	return 0;
}

int resolverd_batch_wait(struct resolverd_batch *batch, size_t index, int timeout_ms)
{
	return run_batch(batch, &batch->items[index], timeout_ms);
}

int resolverd_plans(struct resolverd_client *client, struct resolverd_planned *items, size_t count,
    unsigned window, int timeout_ms)
{
	struct resolverd_batch *batch;
	int r = resolverd_batch_new(
	    client, items, count, window, client_daemon_deadline_ms(timeout_ms), &batch);
	if (r != 0)
		return r;
	r = run_batch(batch, NULL, timeout_ms);
	if (r != 0)
		batch_fail(batch, r, client->detail);
	resolverd_batch_free(batch);
	return r == RESOLVERD_ERROR_TIMEOUT ? 0 : r;
}

int resolverd_host(struct resolverd_client *client, const char *name, unsigned port, int timeout_ms,
    struct resolverd_host **ret_host)
{
	uint64_t id;
	int r =
	    resolverd_submit_host(client, name, port, client_daemon_deadline_ms(timeout_ms), &id);
	if (r == 0)
		r = wait_until_finished(client, id, timeout_ms);
	return r != 0 ? r : resolverd_take_host(client, id, ret_host);
}

int resolverd_records(struct resolverd_client *client, const char *name, unsigned type,
    int timeout_ms, struct resolverd_records **ret_records)
{
	uint64_t id;
	int r = resolverd_submit_records(
	    client, name, type, client_daemon_deadline_ms(timeout_ms), &id);
	if (r == 0)
		r = wait_until_finished(client, id, timeout_ms);
	return r != 0 ? r : resolverd_take_records(client, id, ret_records);
}

int resolverd_explain(struct resolverd_client *client, const char *next_hop, unsigned port,
    int timeout_ms, struct resolverd_explanation **ret_explanation)
{
	uint64_t id;
	int r = resolverd_submit_explain(
	    client, next_hop, port, client_daemon_deadline_ms(timeout_ms), &id);
	if (r == 0)
		r = wait_until_finished(client, id, timeout_ms);
	return r != 0 ? r : resolverd_take_explanation(client, id, ret_explanation);
}

int resolverd_seal(struct resolverd_client *client, const uint8_t hash[SEAL_HASH_BYTES],
    int timeout_ms, struct resolverd_seal **ret_seal)
{
	uint64_t id;
	int r = resolverd_submit_seal(client, hash, &id);
	if (r == 0)
		r = wait_until_finished(client, id, timeout_ms);
	return r != 0 ? r : resolverd_take_seal(client, id, ret_seal);
}

int resolverd_status(
    struct resolverd_client *client, int timeout_ms, struct resolverd_daemon_status **ret_status)
{
	uint64_t id;
	int r = resolverd_submit_status(client, &id);
	if (r == 0)
		r = wait_until_finished(client, id, timeout_ms);
	return r != 0 ? r : resolverd_take_status(client, id, ret_status);
}
