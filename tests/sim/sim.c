/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define START_WALL_MS INT64_C(1790000000000)
#define TICK_MS 125 /* as server.c's REFRESH_EVERY_MS */
#define PER_WORKER_MAX 4096u
#define AGAIN_AFTER_MS 3
#define COPY_MS 1 /* an answer from a worker's cache takes that */
#define UNCACHEABLE_LIFE_MS 5000

static void *must(void *memory)
{
	if (memory == NULL || memory == MAP_FAILED) {
		fprintf(stderr, "sim: out of memory\n");
		exit(1);
	}
	return memory;
}

static size_t copies_bytes(const struct sim *sim)
{
	return ((size_t)sim->questions + 1) * sizeof *sim->workers[0].copies;
}

void sim_init(struct sim *sim, const struct sim_world *world, uint32_t questions,
    const struct prefetch_settings *settings, size_t max_bytes, uint64_t seed)
{
	*sim = (struct sim){.world = *world,
	    .questions = questions,
	    .wall_ms = START_WALL_MS,
	    .next_tick_ms = TICK_MS,
	    .may_give = SIZE_MAX};
	if (cache_init(&sim->cache, max_bytes) != 0 || flight_init(&sim->flight) != 0 ||
	    failures_init(&sim->failures) != 0)
		must(NULL);
	prefetch_init(&sim->prefetch, &sim->cache, &sim->flight, settings, seed, sim->wall_ms);
	/* Not the allocator's: that is for what is measured. */
	for (unsigned i = 0; i < settings->workers; i++) {
		sim->workers[i].up = true;
		sim->workers[i].copies = must(mmap(NULL, copies_bytes(sim), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	}
}

void sim_fini(struct sim *sim)
{
	for (size_t i = 0; i < sim->run_count; i++)
		free(sim->runs[i].job);
	free(sim->runs);
	for (unsigned i = 0; i < SIM_WORKERS_MAX; i++)
		if (sim->workers[i].copies != NULL)
			munmap(sim->workers[i].copies, copies_bytes(sim));
	flight_fini(&sim->flight);
	cache_fini(&sim->cache);
	failures_fini(&sim->failures);
}

/* ---- jobs with a worker, the first to be done on top ---- */

static void swap_runs(struct sim *sim, size_t a, size_t b)
{
	struct sim_run run = sim->runs[a];
	sim->runs[a] = sim->runs[b];
	sim->runs[b] = run;
}

static void push_run(struct sim *sim, const struct sim_run *run)
{
	if (sim->run_count == sim->run_room) {
		sim->run_room = sim->run_room * 2 + 64;
		sim->runs = must(realloc(sim->runs, sim->run_room * sizeof *sim->runs));
	}
	size_t at = sim->run_count++;
	sim->runs[at] = *run;
	for (; at > 0 && sim->runs[at].done_at_ms < sim->runs[(at - 1) / 2].done_at_ms;
	     at = (at - 1) / 2)
		swap_runs(sim, at, (at - 1) / 2);
}

static struct sim_run pop_run(struct sim *sim)
{
	struct sim_run top = sim->runs[0];
	sim->runs[0] = sim->runs[--sim->run_count];
	for (size_t at = 0, least; (least = 2 * at + 1) < sim->run_count; at = least) {
		if (least + 1 < sim->run_count &&
		    sim->runs[least + 1].done_at_ms < sim->runs[least].done_at_ms)
			least++;
		if (sim->runs[at].done_at_ms <= sim->runs[least].done_at_ms)
			break;
		swap_runs(sim, at, least);
	}
	return top;
}

/* ---- the pool ---- */

static uint32_t wall_s(const struct sim *sim)
{
	return (uint32_t)(sim->wall_ms / 1000);
}

/* The one to avoid only when there is no other. */
static int least_busy(const struct sim *sim, uint8_t avoid)
{
	int best = -1;
	for (int i = 0; i < (int)SIM_WORKERS_MAX; i++) {
		const struct sim_worker *worker = &sim->workers[i];
		if (worker->up && worker->in_flight < PER_WORKER_MAX &&
		    (best < 0 || best == avoid ||
			(i != avoid && worker->in_flight < sim->workers[best].in_flight)))
			best = i;
	}
	return best;
}

static void give(struct sim *sim, unsigned worker, struct flight_job *job)
{
	struct sim_run run = {
	    .job = job, .worker = (uint8_t)worker, .reply = {.latency_ms = COPY_MS}};
	run.number = sim->world.number_of(sim->world.arg, job->question.name);
	run.from_copy = sim->workers[worker].copies[run.number] > wall_s(sim);
	int64_t wait_ms = 0;
	if (!run.from_copy) {
		/* What ends in this second is asked for in the next: job.c, ends_now. */
		if (sim->workers[worker].copies[run.number] == wall_s(sim))
			wait_ms = 1000 - sim->wall_ms % 1000 + AGAIN_AFTER_MS;
		sim->upstream_queries++;
		sim->world.ask(sim->world.arg, run.number, worker, &run.reply);
	}
	run.done_at_ms = sim->mono_ms + wait_ms + run.reply.latency_ms;
	sim->workers[worker].in_flight++;
	push_run(sim, &run);
}

void sim_hand_out(struct sim *sim)
{
	struct flight_job *job;
	while (sim->may_give > 0 && least_busy(sim, FLIGHT_NO_WORKER) >= 0 &&
	       (job = flight_take(&sim->flight)) != NULL) {
		sim->may_give -= sim->may_give != SIZE_MAX;
		give(sim, (unsigned)least_busy(sim, job->avoid), job);
	}
}

/* ---- the signer ---- */

/* Its first octets say since when it is stale; 0: it is not. */
static struct answer *answer_of(struct sim *sim, uint32_t number, int64_t stale_since_ms)
{
	struct sim_content content = {0};
	sim->world.describe(sim->world.arg, number, &content);
	size_t least_bytes = sizeof stale_since_ms + content.hosts_bytes;
	if (content.blob_bytes < least_bytes)
		content.blob_bytes = least_bytes;
	struct answer *answer = must(answer_new(content.blob_bytes, content.host_count, 0));
	answer->cacheable = true;
	answer->stale = stale_since_ms != 0;
	memcpy(answer->data, &stale_since_ms, sizeof stale_since_ms);
	memset(answer->data + sizeof stale_since_ms, 0, content.blob_bytes - sizeof stale_since_ms);
	if (content.hosts_bytes > 0)
		memcpy(answer->data + sizeof stale_since_ms, content.hosts, content.hosts_bytes);
	const char *host = content.hosts;
	for (unsigned i = 0; i < content.host_count; i++, host += strlen(host) + 1)
		if (!answer_set_host(answer, i, host))
			abort();
	return answer;
}

static struct answer *failure_of(struct sim *sim, bool bogus)
{
	struct answer *answer = must(answer_new(sizeof(int64_t), 0, 0));
	answer->cacheable = answer->failed = true;
	answer->bogus = bogus;
	answer->expires_at_ms = sim->wall_ms + sim->prefetch.settings.failure_ttl_ms;
	return answer;
}

/* Takes and returns a reference: the old answer in place of a failed one, where it may be. */
static struct answer *or_stale(
    struct sim *sim, const struct question_key *key, uint32_t number, struct answer *failed)
{
	const struct prefetch_settings *settings = &sim->prefetch.settings;
	const struct answer *old =
	    failed->bogus ? NULL : prefetch_stale(&sim->prefetch, key, sim->wall_ms);
	int64_t since_ms;
	if (old == NULL)
		return failed;
	memcpy(&since_ms, old->data, sizeof since_ms);
	if (since_ms == 0)
		since_ms = old->expires_at_ms;
	int64_t end_ms = since_ms + settings->stale_ms;
	if (end_ms > sim->wall_ms + settings->failure_ttl_ms)
		end_ms = sim->wall_ms + settings->failure_ttl_ms;
	if (end_ms <= sim->wall_ms)
		return failed;
	struct answer *extended = answer_of(sim, number, since_ms);
	extended->expires_at_ms = end_ms;
	sim->stale_served++;
	answer_unref(failed);
	return extended;
}

static struct answer *result_of(
    struct sim *sim, const struct sim_run *run, const struct question_key *key)
{
	uint32_t *copy = &sim->workers[run->worker].copies[run->number];
	if (run->reply.failed || run->reply.bogus) {
		failures_note(&sim->failures, run->job->question.name, sim->wall_ms);
		return or_stale(sim, key, run->number, failure_of(sim, run->reply.bogus));
	}
	if (!run->from_copy)
		*copy = run->reply.ttl_s > 0 ? wall_s(sim) + run->reply.ttl_s : SIM_NO_COPY;
	struct answer *answer = answer_of(sim, run->number, 0);
	int64_t life_ms = *copy > wall_s(sim) ? (int64_t)(*copy - wall_s(sim)) * 1000 : 0;
	answer->cacheable = life_ms > 0;
	answer->expires_at_ms = sim->wall_ms + (life_ms > 0 ? life_ms : UNCACHEABLE_LIFE_MS);
	return answer;
}

static void finish(struct sim *sim)
{
	struct sim_run run = pop_run(sim);
	struct question_key key;
	key.count = run.job->node.key_bytes;
	memcpy(key.bytes, run.job->key, key.count);
	sim->workers[run.worker].in_flight--;
	struct answer *answer = result_of(sim, &run, &key);
	struct answer *given =
	    prefetch_take(&sim->prefetch, run.job, answer, run.worker, sim->wall_ms);
	answer_unref(answer);
	flight_end(&sim->flight, run.job, given);
	answer_unref(given);
}

/* ---- clients and time ---- */

enum sim_outcome sim_ask(struct sim *sim, const struct question_key *key, uint16_t port,
    struct job_waiter *waiter, const struct answer **ret_answer)
{
	struct flight_job *job;
	const struct cache_entry *entry = prefetch_look_up(&sim->prefetch, key, port, sim->wall_ms);
	sim_hand_out(sim);
	*ret_answer = NULL;
	if (entry != NULL) {
		*ret_answer = entry->answer;
		return entry->answer->failed  ? SIM_FAILED
		       : entry->answer->stale ? SIM_STALE
					      : SIM_SERVED;
	}
	const char *name = (const char *)key->bytes + 3;
	char text[QUESTION_KEY_MAX];
	memcpy(text, name, key->count - 3);
	text[key->count - 3] = '\0';
	if (failures_hold_ms(&sim->failures, text, sim->wall_ms) > 0)
		return SIM_HELD_BACK;
	int r = flight_ask(&sim->flight, key, port, FLIGHT_ASKED, waiter, &job);
	sim_hand_out(sim);
	return r == 0 ? SIM_WAITS : SIM_BUSY;
}

static void pass(struct sim *sim, int64_t to_mono_ms)
{
	sim->wall_ms += to_mono_ms - sim->mono_ms;
	sim->mono_ms = to_mono_ms;
}

void sim_advance(struct sim *sim, int64_t to_mono_ms)
{
	for (;;) {
		bool done = sim->run_count > 0 && sim->runs[0].done_at_ms <= sim->next_tick_ms;
		int64_t next_ms = done ? sim->runs[0].done_at_ms : sim->next_tick_ms;
		if (next_ms > to_mono_ms)
			break;
		if (next_ms > sim->mono_ms)
			pass(sim, next_ms);
		if (done) {
			finish(sim);
		} else {
			prefetch_advance(&sim->prefetch, sim->wall_ms);
			sim->next_tick_ms = sim->mono_ms + TICK_MS;
		}
		sim_hand_out(sim);
	}
	pass(sim, to_mono_ms);
}

void sim_suspend(struct sim *sim, int64_t ms)
{
	pass(sim, sim->mono_ms + ms);
}

void sim_step_clock(struct sim *sim, int64_t ms)
{
	sim->wall_ms += ms;
	prefetch_forget_all(&sim->prefetch, sim->wall_ms);
	/* The workers are replaced, their jobs run again. */
	while (sim->run_count > 0) {
		struct sim_run run = pop_run(sim);
		sim->workers[run.worker].in_flight--;
		flight_put_back(&sim->flight, run.job, true);
	}
	for (unsigned i = 0; i < SIM_WORKERS_MAX; i++)
		if (sim->workers[i].copies != NULL)
			memset(sim->workers[i].copies, 0, copies_bytes(sim));
	sim_hand_out(sim);
}
