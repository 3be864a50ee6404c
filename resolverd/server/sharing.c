/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/sharing.h"

#include <string.h>

#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"
#include "resolverd/base/role.h"
#include "resolverd/server/server.h"
#include "resolverd/server/verdict.h"

static struct cache_entry *entry_of(struct server *server, const struct flight_job *job)
{
	return (struct cache_entry *)table_find(
	    &server->cache.table, job->key, job->node.key_bytes);
}

static const struct answer *have(void *arg, const struct flight_job *job)
{
	struct server *server = arg;
	const struct cache_entry *entry = entry_of(server, job);
	return entry != NULL && signer_counts(&server->signer, entry->answer) ? entry->answer
									      : NULL;
}

static void found(void *arg, struct flight_job *job, struct answer *answer)
{
	struct server *server = arg;
	pool_end(&server->pool, job,
	    server_keep(server, job, answer, FLIGHT_NO_WORKER, clock_wall_ms()));
}

static void pass(void *arg, struct flight_job *job)
{
	struct server *server = arg;
	pool_put_back(&server->pool, job);
}

static void wanted(void *arg, const struct question_key *key)
{
	struct server *server = arg;
	prefetch_want(&server->prefetch, key, clock_wall_ms());
}

/* What is not here, or is being looked up, needs no look. */
static void changed(void *arg, const Resolverd__V1__Question *question)
{
	struct server *server = arg;
	struct question_key key;
	struct flight_job *job;
	question_key_of(&key, question);
	const struct cache_entry *entry = cache_find(&server->cache, &key);
	uint64_t before = server->flight.next_id;
	if (entry == NULL || !entry_is_live(entry, clock_wall_ms()) ||
	    flight_refresh(&server->flight, &key, FLIGHT_URGENCIES - 1, FLIGHT_NO_WORKER, &job) !=
		0 ||
	    server->flight.next_id == before)
		return;
	job->from_notice = true;
	job->port = entry->port;
}

static void stuck(void *arg)
{
	struct server *server = arg;
	struct link_message message = {.type = LINK_STORE_STUCK, .pid = server->peers.helper_pid};
	if (link_send(ROLE_FD_CHANNEL, &message, -1) != 0)
		log_error("internal-link", "cannot tell the supervisor about the fleet helper");
}

int sharing_init(struct server *server)
{
	struct fleet *fleet = &server->fleet;
	int r = fleet_init(fleet, server->base, &server->buffers, &server->signer, server->config);
	fleet->have = have;
	fleet->found = found;
	fleet->pass = pass;
	fleet->wanted = wanted;
	fleet->changed = changed;
	fleet->stuck = stuck;
	fleet->arg = server;
	return r;
}

bool sharing_take(void *arg, struct flight_job *job)
{
	struct server *server = arg;
	return fleet_take(&server->fleet, job);
}

/* Whether a sender would do something else than with what we had. */
static bool changes(
    struct server *server, const struct flight_job *job, const struct answer *answer)
{
	uint8_t before[VERDICT_BYTES], after[VERDICT_BYTES];
	const struct cache_entry *entry = entry_of(server, job);
	return entry != NULL && !entry->answer->failed && verdict_of(entry->answer, before) == 0 &&
	       verdict_of(answer, after) == 0 && memcmp(before, after, sizeof before) != 0;
}

void sharing_note(struct server *server, const struct flight_job *job,
    const Resolverd__Worker__Facts *facts, const struct answer *answer, int64_t now_ms)
{
	if (server->fleet.connected && !job->trace)
		fleet_share(&server->fleet, job, facts,
		    answer != NULL && !answer->failed && changes(server, job, answer), now_ms);
}

void sharing_drop_untrusted(struct server *server)
{
	struct cache_entry *entry = server->cache.newest, *older;
	for (; entry != NULL; entry = older) {
		older = entry->older;
		if (entry->answer->foreign && !fleet_trusts(&server->fleet, entry->answer))
			prefetch_drop(&server->prefetch, entry, clock_wall_ms());
	}
	watches_note_all(&server->watches, clock_wall_ms());
}
