/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/lib/batch.h"

#include <stdio.h>
#include <stdlib.h>

int resolverd_batch_new(struct resolverd_client *client, struct resolverd_planned *items,
    size_t count, unsigned window, unsigned deadline_ms, struct resolverd_batch **ret_batch)
{
	if (window == 0)
		window = RESOLVERD_BATCH_WINDOW;
	if (window > RESOLVERD_BATCH_WINDOW_MAX)
		window = RESOLVERD_BATCH_WINDOW_MAX;
	struct resolverd_batch *batch = calloc(1, sizeof *batch);
	if (batch == NULL)
		goto fail;
	*batch = (struct resolverd_batch){.client = client,
	    .items = items,
	    .count = count,
	    .left = count,
	    .deadline_ms = deadline_ms,
	    .window_most = window,
	    .window = window,
	    .flying = calloc(window, sizeof *batch->flying),
	    .again = calloc(window, sizeof *batch->again)};
	if (batch->flying == NULL || batch->again == NULL)
		goto fail;
	for (size_t i = 0; i < count; i++) {
		items[i].done = false;
		items[i].error = 0;
		items[i].detail[0] = '\0';
		items[i].plan = NULL;
	}
	*ret_batch = batch;
	return 0;
fail:
	resolverd_batch_free(batch);
	return client_fail(
	    client, RESOLVERD_ERROR_MEMORY, "%s", resolverd_strerror(RESOLVERD_ERROR_MEMORY));
}

void resolverd_batch_free(struct resolverd_batch *batch)
{
	if (batch == NULL)
		return;
	for (size_t i = 0; i < batch->flying_count; i++)
		resolverd_release(batch->client, batch->flying[i].id);
	free(batch->flying);
	free(batch->again);
	free(batch);
}

size_t resolverd_batch_left(const struct resolverd_batch *batch)
{
	return batch->left;
}

static void done(struct resolverd_batch *batch, size_t item, int error, const char *detail)
{
	struct resolverd_planned *planned = &batch->items[item];
	planned->done = true;
	planned->error = error;
	if (error != 0)
		snprintf(planned->detail, sizeof planned->detail, "%.199s", detail);
	batch->left--;
}

void batch_fail(struct resolverd_batch *batch, int error, const char *detail)
{
	for (size_t i = 0; i < batch->count; i++)
		if (!batch->items[i].done)
			done(batch, i, error, detail);
}

/* False: it is done already, with an error. */
static bool ask(struct resolverd_batch *batch, size_t item)
{
	const struct resolverd_planned *planned = &batch->items[item];
	struct in_flight *flying = &batch->flying[batch->flying_count];
	int r = resolverd_submit_plan(
	    batch->client, planned->next_hop, planned->port, batch->deadline_ms, &flying->id);
	if (r != 0) {
		done(batch, item, r, batch->client->detail);
		return false;
	}
	request_find(batch->client, flying->id)->batched = true;
	flying->item = item;
	batch->flying_count++;
	return true;
}

/* Fills the window; stops at an item that cannot be asked, which is then *ret_item. */
static bool fill(struct resolverd_batch *batch, size_t *ret_item)
{
	while (batch->flying_count < batch->window &&
	       (batch->again_count > 0 || batch->next < batch->count)) {
		size_t item =
		    batch->again_count > 0 ? batch->again[--batch->again_count] : batch->next++;
		if (!ask(batch, item)) {
			*ret_item = item;
			return true;
		}
	}
	return false;
}

/* Of one in flight that has finished. False: the daemon is too busy for so many at once, so it is
 * asked for again when another one is done. */
static bool take(struct resolverd_batch *batch, const struct in_flight *finished)
{
	struct resolverd_planned *planned = &batch->items[finished->item];
	int r = resolverd_take_plan(batch->client, finished->id, &planned->plan);
	if (r == RESOLVERD_ERROR_BUSY && batch->flying_count > 0) {
		batch->window = batch->flying_count;
		batch->again[batch->again_count++] = finished->item;
		return false;
	}
	if (r == 0 && batch->window < batch->window_most)
		batch->window++;
	done(batch, finished->item, r, batch->client->detail);
	return true;
}

static bool take_finished(struct resolverd_batch *batch, size_t *ret_item)
{
	for (size_t i = 0; i < batch->flying_count;) {
		const struct in_flight flying = batch->flying[i];
		const struct request *request = request_find(batch->client, flying.id);
		if (request != NULL && request->state != REQUEST_FINISHED) {
			i++;
			continue;
		}
		batch->flying[i] = batch->flying[--batch->flying_count];
		if (take(batch, &flying)) {
			*ret_item = flying.item;
			return true;
		}
	}
	return false;
}

/* What is asked for may be done at once, from the cache of plans. */
bool resolverd_batch_next(struct resolverd_batch *batch, size_t *ret_index)
{
	size_t asked;
	do {
		if (take_finished(batch, ret_index))
			return true;
		asked = batch->flying_count;
		if (fill(batch, ret_index))
			return true;
	} while (batch->flying_count > asked);
	return false;
}
