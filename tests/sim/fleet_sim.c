/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/fleet_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define START_WALL_MS INT64_C(1790000000000)
#define TICK_MS 1000
#define PLAN_MAX_MS 30000 /* waiting for others included */
#define SLOTS 4096u       /* longer than whatever is waited for */
#define MEMORY SIZE_MAX
#define PORT 25u
#define WORKERS 2u /* more than one: answers are refreshed before they end */
#define CHANGE_MS (INT64_C(30) * TRACE_DAY_MS) /* assumed: each answer changes so often */

/* As in resolverd/server/fleet.c, and max-age's default. */
#define LEASE_MS 3000
#define POLLS 3u
#define LIFE_MIN_MS 1000
#define WANTED_COUNT 4u
#define MAX_AGE_MS 3600000
static const int poll_asked_ms[POLLS] = {20, 40, 80}, poll_refresh_ms[POLLS] = {100, 300, 600};

_Static_assert(TRACE_LATENCY_MAX_MS < SLOTS, "a lookup ends within the slots");

enum visit_step {
	VISIT_GET, /* the store has answered */
	VISIT_LEASE,
	VISIT_POLL, /* it is time to look again */
	VISIT_LOOKUP,
};

/* What a job waits for. */
struct visit {
	STAILQ_ENTRY(visit) link;
	struct flight_job *job;
	uint32_t member, number;
	enum visit_step step;
	unsigned polls; /* begun */
};

/* In front of an answer's host names. */
struct finding {
	int64_t validated_at_ms;
	uint32_t number;
	uint32_t version; /* answers of two versions have a sender do different things */
};

struct plan;
struct plan_waiter {
	struct job_waiter waiter; /* the first member */
	struct plan *plan;
	uint32_t number;
};
struct plan {
	struct fleet_sim *sim;
	uint32_t member, hosts[TRACE_PROVIDER_HOSTS];
	unsigned host_count, open;
	int64_t asked_at_ms;
	struct plan_waiter waiters[1 + TRACE_PROVIDER_HOSTS];
};

static void *must(void *memory)
{
	if (memory == NULL || memory == MAP_FAILED) {
		fprintf(stderr, "fleet: out of memory\n");
		exit(1);
	}
	return memory;
}

static size_t stored_bytes(const struct fleet_sim *sim)
{
	return (size_t)sim->question_count * sizeof *sim->stored;
}

void fleet_sim_init(
    struct fleet_sim *sim, uint32_t members, bool has_store, uint32_t questions, uint64_t seed)
{
	const struct prefetch_settings settings = {.rule = PREFETCH_AHEAD, .workers = WORKERS};
	*sim = (struct fleet_sim){
	    .member_count = members, .question_count = questions, .random = seed};
	sim->members = must(calloc(members, sizeof *sim->members));
	sim->slots = must(calloc(SLOTS, sizeof *sim->slots));
	for (unsigned i = 0; i < SLOTS; i++)
		STAILQ_INIT(&sim->slots[i]);
	if (has_store)
		sim->stored = must(mmap(NULL, stored_bytes(sim), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (uint32_t i = 0; i < members; i++) {
		struct fleet_member *member = &sim->members[i];
		if (cache_init(&member->cache, MEMORY) != 0 || flight_init(&member->flight) != 0)
			must(NULL);
		prefetch_init(&member->prefetch, &member->cache, &member->flight, &settings,
		    trace_random(&sim->random), START_WALL_MS);
	}
}

void fleet_sim_fini(struct fleet_sim *sim)
{
	struct visit *visit;
	for (unsigned i = 0; i < SLOTS; i++)
		while ((visit = STAILQ_FIRST(&sim->slots[i])) != NULL) {
			STAILQ_REMOVE_HEAD(&sim->slots[i], link);
			free(visit->job);
			free(visit);
		}
	for (uint32_t i = 0; i < sim->member_count; i++) {
		flight_fini(&sim->members[i].flight);
		cache_fini(&sim->members[i].cache);
	}
	for (uint32_t i = 0; sim->stored != NULL && i < sim->question_count; i++)
		answer_unref(sim->stored[i].answer);
	if (sim->stored != NULL)
		munmap(sim->stored, stored_bytes(sim));
	free(sim->members);
	free(sim->slots);
}

static int64_t wall_ms(const struct fleet_sim *sim)
{
	return START_WALL_MS + sim->now_ms;
}

/* ---- questions and answers ---- */

static void key_of(uint32_t number, struct question_key *ret_key)
{
	char name[TRACE_NAME_BYTES];
	bool route = trace_is_route(number);
	trace_name(number, name);
	question_key_make(ret_key, route ? RESOLVERD__V1__KIND__ROUTE : RESOLVERD__V1__KIND__HOST,
	    route ? 0 : PORT, name);
}

static struct finding finding_of(const struct answer *answer)
{
	struct finding finding;
	memcpy(&finding, answer->data, sizeof finding);
	return finding;
}

static uint32_t version_of(uint32_t number, int64_t at_ms)
{
	uint64_t state = number;
	uint64_t phase = trace_random(&state) % CHANGE_MS;
	return (uint32_t)(((uint64_t)at_ms + phase) / CHANGE_MS);
}

/* What a worker finds. That another found it is what all but one say of it, and the one does not
 * mind: they share it. */
static struct answer *answer_of(const struct fleet_sim *sim, uint32_t number)
{
	char hosts[TRACE_PROVIDER_HOSTS][TRACE_NAME_BYTES];
	uint32_t numbers[TRACE_PROVIDER_HOSTS];
	const struct finding finding = {wall_ms(sim), number, version_of(number, wall_ms(sim))};
	unsigned count = trace_is_route(number) ? trace_hosts(number, numbers) : 0;
	size_t bytes = sizeof finding;
	for (unsigned i = 0; i < count; i++) {
		trace_name(numbers[i], hosts[i]);
		bytes += strlen(hosts[i]) + 1;
	}
	struct answer *answer = must(answer_new(bytes, count, 0));
	answer->cacheable = true;
	answer->foreign = sim->stored != NULL;
	answer->expires_at_ms = wall_ms(sim) + (int64_t)trace_ttl_s(number) * 1000;
	memcpy(answer->data, &finding, sizeof finding);
	uint8_t *at = answer->data + sizeof finding;
	for (unsigned i = 0; i < count; i++)
		at = (uint8_t *)stpcpy((char *)at, hosts[i]) + 1;
	for (unsigned i = 0; i < count; i++)
		if (!answer_set_host(answer, i, hosts[i]))
			abort();
	return answer;
}

/* Judged by what the upstream said, not by what the answer says of itself. */
static void check_served(struct fleet_sim *sim, const struct answer *answer, uint32_t number)
{
	struct finding finding = answer != NULL ? finding_of(answer) : (struct finding){0};
	sim->served_wrong +=
	    answer == NULL || finding.number != number ||
	    wall_ms(sim) >= finding.validated_at_ms + (int64_t)trace_ttl_s(number) * 1000;
}

/* ---- jobs on their way ---- */

static void wait_for(
    struct fleet_sim *sim, struct visit *visit, enum visit_step step, int64_t after_ms)
{
	visit->step = step;
	STAILQ_INSERT_TAIL(&sim->slots[(sim->now_ms + after_ms) % SLOTS], visit, link);
}

static void look_up(struct fleet_sim *sim, struct visit *visit)
{
	const struct flight_job *job = visit->job;
	bool route = trace_is_route(visit->number);
	sim->counts.lookups_route += route;
	sim->counts.lookups_host += !route;
	sim->counts.lookups_refresh += job->refresh;
	sim->members[visit->member].lookups_asked += !job->refresh;
	wait_for(sim, visit, VISIT_LOOKUP, trace_latency_ms(&sim->random));
}

static void get(struct fleet_sim *sim, struct visit *visit)
{
	sim->counts.gets++;
	sim->counts.notice_gets += visit->job->from_notice;
	wait_for(sim, visit, VISIT_GET, FLEET_SIM_ROUND_TRIP_MS);
}

static void hand_out(struct fleet_sim *sim, uint32_t member)
{
	struct flight_job *job;
	while ((job = flight_take(&sim->members[member].flight)) != NULL) {
		struct visit *visit = must(calloc(1, sizeof *visit));
		visit->job = job;
		visit->member = member;
		visit->number = trace_number(job->question.name);
		sim->jobs_open++;
		if (sim->stored != NULL)
			get(sim, visit);
		else
			look_up(sim, visit);
	}
}

/* INCR, PEXPIRE: whether the fleet wants it often. */
static bool count_request(
    struct fleet_sim *sim, const struct visit *visit, const struct answer *answer, int64_t life_ms)
{
	struct stored *stored = &sim->stored[visit->number];
	if (answer == NULL || visit->job->refresh || LIST_EMPTY(&visit->job->waiters) ||
	    life_ms < LIFE_MIN_MS)
		return false;
	sim->counts.counted++;
	stored->asked = stored->asked_until_ms > sim->now_ms ? stored->asked + 1 : 1;
	stored->asked_until_ms = (uint32_t)(sim->now_ms + life_ms);
	return stored->asked >= WANTED_COUNT;
}

/* Takes answer; NULL: nobody wants one. */
static void end_visit(struct fleet_sim *sim, struct visit *visit, struct answer *answer)
{
	struct fleet_member *member = &sim->members[visit->member];
	struct answer *given = NULL;
	bool wanted = false;
	if (answer != NULL && sim->stored != NULL)
		wanted = count_request(
		    sim, visit, answer, answer->expires_at_ms - finding_of(answer).validated_at_ms);
	if (answer != NULL)
		given = prefetch_take(
		    &member->prefetch, visit->job, answer, FLIGHT_NO_WORKER, wall_ms(sim));
	flight_end(&member->flight, visit->job, given);
	answer_unref(given);
	answer_unref(answer);
	if (wanted) {
		struct question_key key;
		key_of(visit->number, &key);
		prefetch_want(&member->prefetch, &key, wall_ms(sim));
	}
	sim->jobs_open--;
	hand_out(sim, visit->member);
	free(visit);
}

/* ---- the store ---- */

static const struct cache_entry *entry_of(struct fleet_sim *sim, const struct visit *visit)
{
	return (const struct cache_entry *)table_find(
	    &sim->members[visit->member].cache.table, visit->job->key, visit->job->node.key_bytes);
}

static bool is_of_use(struct fleet_sim *sim, const struct visit *visit, const struct answer *answer)
{
	const struct cache_entry *have = entry_of(sim, visit);
	int64_t validated_at_ms = finding_of(answer).validated_at_ms;
	if (validated_at_ms < wall_ms(sim) - MAX_AGE_MS ||
	    answer->expires_at_ms < wall_ms(sim) + LIFE_MIN_MS)
		return false;
	if (have == NULL)
		return true;
	int64_t have_from_ms = finding_of(have->answer).validated_at_ms;
	if (visit->job->from_notice)
		return validated_at_ms > have_from_ms;
	return answer->expires_at_ms >= have->answer->expires_at_ms + LIFE_MIN_MS &&
	       validated_at_ms >= have_from_ms;
}

/* Those that have the answer look at the store at once. */
static void publish(struct fleet_sim *sim, uint32_t from, uint32_t number)
{
	struct question_key key;
	key_of(number, &key);
	sim->counts.published++;
	for (uint32_t i = 0; i < sim->member_count; i++) {
		struct fleet_member *member = &sim->members[i];
		struct flight_job *job;
		if (i == from)
			continue;
		sim->counts.notices++;
		const struct cache_entry *entry = cache_find(&member->cache, &key);
		uint64_t before = member->flight.next_id;
		if (entry == NULL || !entry_is_live(entry, wall_ms(sim)) ||
		    flight_refresh(
			&member->flight, &key, FLIGHT_URGENCIES - 1, FLIGHT_NO_WORKER, &job) != 0 ||
		    member->flight.next_id == before)
			continue;
		job->from_notice = true;
		job->port = entry->port;
		hand_out(sim, i);
	}
}

static void put(struct fleet_sim *sim, const struct visit *visit, struct answer *answer)
{
	struct stored *stored = &sim->stored[visit->number];
	const struct cache_entry *had = entry_of(sim, visit);
	int64_t life_ms = answer->expires_at_ms - wall_ms(sim);
	if (life_ms > MAX_AGE_MS)
		life_ms = MAX_AGE_MS;
	sim->counts.sets++;
	answer_unref(stored->answer);
	stored->answer = answer_ref(answer);
	stored->until_ms = (uint32_t)(sim->now_ms + life_ms);
	if (had != NULL && finding_of(had->answer).version != finding_of(answer).version)
		publish(sim, visit->member, visit->number);
}

static bool is_idle_look(const struct flight_job *job)
{
	return job->from_notice && job->refresh && LIST_EMPTY(&job->waiters);
}

static void note_wait(struct fleet_sim *sim, const struct visit *visit, bool found)
{
	if (visit->polls > 0)
		breaker_note(&sim->members[visit->member].waits, found, wall_ms(sim),
		    trace_random(&sim->random));
}

/* A client that joins does not hurry it here. */
static void wait_for_another(struct fleet_sim *sim, struct visit *visit)
{
	const int *polls = visit->job->refresh ? poll_refresh_ms : poll_asked_ms;
	struct breaker *waits = &sim->members[visit->member].waits;
	if (visit->polls == POLLS || (visit->polls == 0 && !breaker_allows(waits, wall_ms(sim)))) {
		note_wait(sim, visit, false);
		look_up(sim, visit);
		return;
	}
	int ms = polls[visit->polls++];
	wait_for(sim, visit, VISIT_POLL, ms / 2 + (int)(trace_random(&sim->random) % (unsigned)ms));
}

static void on_get(struct fleet_sim *sim, struct visit *visit)
{
	const struct stored *stored = &sim->stored[visit->number];
	if (stored->until_ms > sim->now_ms && is_of_use(sim, visit, stored->answer)) {
		sim->counts.found++;
		note_wait(sim, visit, true);
		end_visit(sim, visit, answer_ref(stored->answer));
	} else if (is_idle_look(visit->job)) {
		end_visit(sim, visit, NULL);
	} else if (visit->polls > 0) {
		wait_for_another(sim, visit);
	} else {
		sim->counts.leases++;
		wait_for(sim, visit, VISIT_LEASE, FLEET_SIM_ROUND_TRIP_MS);
	}
}

static void on_lease(struct fleet_sim *sim, struct visit *visit)
{
	struct stored *stored = &sim->stored[visit->number];
	if (stored->leased_until_ms > sim->now_ms) {
		wait_for_another(sim, visit);
		return;
	}
	sim->counts.leases_taken++;
	stored->leased_until_ms = (uint32_t)(sim->now_ms + LEASE_MS);
	look_up(sim, visit);
}

static void on_visit(struct fleet_sim *sim, struct visit *visit)
{
	struct answer *answer;
	switch (visit->step) {
	case VISIT_GET:
		on_get(sim, visit);
		return;
	case VISIT_LEASE:
		on_lease(sim, visit);
		return;
	case VISIT_POLL:
		get(sim, visit);
		return;
	case VISIT_LOOKUP:
		answer = answer_of(sim, visit->number);
		if (sim->stored != NULL)
			put(sim, visit, answer);
		end_visit(sim, visit, answer);
	}
}

struct fleet_sim_keys fleet_sim_sweep(struct fleet_sim *sim)
{
	struct fleet_sim_keys keys = {0};
	for (uint32_t i = 0; sim->stored != NULL && i < sim->question_count; i++) {
		struct stored *stored = &sim->stored[i];
		if (stored->answer != NULL && stored->until_ms <= sim->now_ms) {
			answer_unref(stored->answer);
			stored->answer = NULL;
		}
		keys.facts += stored->answer != NULL;
		keys.leases += stored->leased_until_ms > sim->now_ms;
		keys.counts += stored->asked_until_ms > sim->now_ms;
	}
	return keys;
}

/* ---- clients ---- */

static void end_plan(struct plan *plan)
{
	struct fleet_sim *sim = plan->sim;
	int64_t wait_ms = sim->now_ms - plan->asked_at_ms;
	sim->plans_open--;
	sim->counts.plans++;
	sim->counts.plans_unwaited += wait_ms == 0;
	sim->counts.wait_ms += (uint64_t)wait_ms;
	sim->counts.waits[wait_ms < FLEET_SIM_WAIT_MAX_MS ? wait_ms : FLEET_SIM_WAIT_MAX_MS - 1]++;
	free(plan);
}

/* Whether it is there. */
static bool ask(struct plan *plan, unsigned place, uint32_t number)
{
	struct fleet_sim *sim = plan->sim;
	struct fleet_member *member = &sim->members[plan->member];
	struct plan_waiter *waiter = &plan->waiters[place];
	struct question_key key;
	struct flight_job *job;
	uint16_t port = trace_is_route(number) ? PORT : 0;
	key_of(number, &key);
	sim->counts.questions++;
	member->questions++;
	const struct cache_entry *entry =
	    prefetch_look_up(&member->prefetch, &key, port, wall_ms(sim));
	if (entry != NULL)
		check_served(sim, entry->answer, number);
	else if (flight_ask(&member->flight, &key, port, FLIGHT_ASKED, &waiter->waiter, &job) != 0)
		sim->counts.refused++;
	hand_out(sim, plan->member);
	waiter->number = number;
	plan->open += waiter->waiter.waiting;
	return !waiter->waiter.waiting;
}

static void ask_hosts(struct plan *plan)
{
	for (unsigned i = 0; i < plan->host_count; i++)
		ask(plan, 1 + i, plan->hosts[i]);
	if (plan->open == 0)
		end_plan(plan);
}

static void on_answer(struct job_waiter *waiter, void *answer)
{
	const struct plan_waiter *of = (const struct plan_waiter *)waiter;
	struct plan *plan = of->plan;
	check_served(plan->sim, answer, of->number);
	plan->open--;
	if (of == &plan->waiters[0])
		ask_hosts(plan);
	else if (plan->open == 0)
		end_plan(plan);
}

void fleet_sim_ask(struct fleet_sim *sim, uint32_t member, const struct trace_mail *mail)
{
	struct plan *plan = must(calloc(1, sizeof *plan));
	plan->sim = sim;
	plan->member = member;
	plan->asked_at_ms = sim->now_ms;
	plan->host_count = mail->host_count;
	for (unsigned i = 0; i < mail->host_count; i++)
		plan->hosts[i] = mail->hosts[i];
	for (unsigned i = 0; i < sizeof plan->waiters / sizeof *plan->waiters; i++)
		plan->waiters[i] = (struct plan_waiter){{.on_answer = on_answer}, plan, 0};
	sim->plans_open++;
	if (ask(plan, 0, mail->route))
		ask_hosts(plan);
}

/* ---- time ---- */

/* The members' ticks are spread over the second. */
static void tick(struct fleet_sim *sim)
{
	while ((int64_t)(sim->ticks * TICK_MS / sim->member_count) <= sim->now_ms) {
		uint32_t i = (uint32_t)(sim->ticks++ % sim->member_count);
		prefetch_advance(&sim->members[i].prefetch, wall_ms(sim));
		hand_out(sim, i);
	}
}

void fleet_sim_advance(struct fleet_sim *sim, int64_t to_ms)
{
	while (sim->now_ms < to_ms) {
		sim->now_ms++;
		struct visits *due = &sim->slots[sim->now_ms % SLOTS];
		struct visit *visit;
		while ((visit = STAILQ_FIRST(due)) != NULL) {
			STAILQ_REMOVE_HEAD(due, link);
			on_visit(sim, visit);
		}
		tick(sim);
	}
}

bool fleet_sim_finish_plans(struct fleet_sim *sim)
{
	int64_t end_ms = sim->now_ms + PLAN_MAX_MS;
	while (sim->plans_open > 0 && sim->now_ms < end_ms)
		fleet_sim_advance(sim, sim->now_ms + 1);
	return sim->plans_open == 0;
}

void fleet_sim_empty(struct fleet_sim *sim, uint32_t member)
{
	struct fleet_member *emptied = &sim->members[member];
	prefetch_discard(&emptied->prefetch, wall_ms(sim));
	emptied->questions = emptied->lookups_asked = 0;
}
