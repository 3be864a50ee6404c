/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs scripts against a simulated server (sim.h), each several times, since refreshes are
 * jittered; says what was not as expected, with file and line. Exit 0: all was. What a script may
 * say: docs/PREFETCH.md.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define NAMES_MAX 64u
#define WORDS_MAX 24u
#define LINE_MAX_BYTES 400u
#define RUNS 8u
#define PORT 25u
#define MEMORY (8u << 20)
#define BLOB_BYTES 300u
#define FILLERS_MAX FLIGHT_JOBS_MAX
#define ASKED_MAX 4096u /* requests of one name that wait at once */

struct script_name {
	char text[64];
	struct sim_reply reply;
	char hosts[256];
	uint16_t hosts_bytes;
	uint8_t host_count;
	unsigned fetched;
	unsigned answered_ok, answered_failed, answered_stale, answered_nothing;
};

struct script_waiter {
	struct job_waiter waiter; /* the first member */
	struct script_name *name;
};

struct script {
	const char *path;
	unsigned line;
	jmp_buf give_up;
	struct sim sim;
	bool started;
	struct prefetch_settings settings;
	size_t memory_bytes;
	uint64_t seed;
	int64_t latency_ms;
	struct script_name names[NAMES_MAX];
	unsigned name_count;
	struct script_waiter *waiters; /* of one statement after the other, never reused */
	size_t waiter_count;
	struct job_waiter *fillers;
	unsigned word_count;
	char *words[WORDS_MAX];
};

/* ---- what is wrong ---- */

[[gnu::format(printf, 2, 3), gnu::noreturn]] static void wrong(
    struct script *script, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "%s:%u: ", script->path, script->line);
	vfprintf(stderr, format, arguments);
	fprintf(stderr, " (seed %llu)\n", (unsigned long long)script->seed);
	va_end(arguments);
	longjmp(script->give_up, 1);
}

static const char *word(struct script *script, unsigned index)
{
	if (index >= script->word_count)
		wrong(script, "something is missing after '%s'", script->words[index - 1]);
	return script->words[index];
}

static bool word_is(const struct script *script, unsigned index, const char *text)
{
	return index < script->word_count && strcmp(script->words[index], text) == 0;
}

static void no_more_than(struct script *script, unsigned count)
{
	if (script->word_count > count)
		wrong(script, "'%s' is one too many", script->words[count]);
}

static int64_t number(struct script *script, unsigned index)
{
	char *rest;
	long long value = strtoll(word(script, index), &rest, 10);
	if (rest == script->words[index] || *rest != '\0')
		wrong(script, "'%s' is no number", script->words[index]);
	return value;
}

static int64_t duration_of(struct script *script, const char *text)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
	    {"y", INT64_C(86400000) * 365}};
	char *rest;
	long long value = strtoll(text, &rest, 10);
	for (unsigned i = 0; rest != text && i < sizeof units / sizeof *units; i++)
		if (strcmp(rest, units[i].name) == 0)
			return value * units[i].ms;
	wrong(script, "'%s' is no duration", text);
}

static int64_t duration(struct script *script, unsigned index)
{
	return duration_of(script, word(script, index));
}

/* ---- the world ---- */

static struct script_name *find_name(struct script *script, const char *text)
{
	for (unsigned i = 0; i < script->name_count; i++)
		if (strcmp(script->names[i].text, text) == 0)
			return &script->names[i];
	return NULL;
}

static struct script_name *name_at(struct script *script, unsigned index)
{
	struct script_name *name = find_name(script, word(script, index));
	if (name == NULL)
		wrong(script, "the upstream was not told what '%s' is", script->words[index]);
	return name;
}

static uint32_t number_of(void *arg, const char *text)
{
	struct script *script = arg;
	const struct script_name *name = find_name(script, text);
	return name != NULL ? (uint32_t)(name - script->names) : NAMES_MAX;
}

static void ask(void *arg, uint32_t index, unsigned worker, struct sim_reply *ret_reply)
{
	struct script *script = arg;
	(void)worker;
	*ret_reply = (struct sim_reply){.ttl_s = 300};
	if (index < NAMES_MAX) {
		script->names[index].fetched++;
		*ret_reply = script->names[index].reply;
	}
	ret_reply->latency_ms = script->latency_ms;
}

static void describe(void *arg, uint32_t index, struct sim_content *ret_content)
{
	struct script *script = arg;
	*ret_content = (struct sim_content){.blob_bytes = BLOB_BYTES};
	if (index >= NAMES_MAX)
		return;
	ret_content->hosts = script->names[index].hosts;
	ret_content->hosts_bytes = script->names[index].hosts_bytes;
	ret_content->host_count = script->names[index].host_count;
}

static struct sim *sim_of(struct script *script)
{
	struct sim_world world = {number_of, ask, describe, script};
	if (!script->started)
		sim_init(&script->sim, &world, NAMES_MAX, &script->settings, script->memory_bytes,
		    script->seed);
	script->started = true;
	return &script->sim;
}

static void key_of(const struct script_name *name, struct question_key *ret_key)
{
	if (name->host_count > 0)
		question_key_make(ret_key, RESOLVERD__V1__KIND__ROUTE, 0, name->text);
	else
		question_key_make(ret_key, RESOLVERD__V1__KIND__HOST, PORT, name->text);
}

/* ---- settings and the upstream ---- */

static void take_rule(struct script *script)
{
	static const char *const names[] = {
	    [PREFETCH_AHEAD] = "ahead", [PREFETCH_ON_HIT] = "on-hit", [PREFETCH_OFF] = "off"};
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (word_is(script, 1, names[i])) {
			script->settings.rule = (enum prefetch_rule)i;
			return;
		}
	wrong(script, "'%s' is no rule", word(script, 1));
}

/* Before the first request, all but latency. */
static bool take_setting(struct script *script)
{
	const char *key = script->words[0];
	if (strcmp(key, "latency") == 0)
		script->latency_ms = duration(script, 1);
	else if (strcmp(key, "rule") == 0)
		take_rule(script);
	else if (strcmp(key, "workers") == 0)
		script->settings.workers = (unsigned)number(script, 1);
	else if (strcmp(key, "memory") == 0)
		script->memory_bytes = (size_t)number(script, 1);
	else if (strcmp(key, "min-ttl") == 0)
		script->settings.min_ttl_ms = duration(script, 1);
	else if (strcmp(key, "failure-ttl") == 0)
		script->settings.failure_ttl_ms = duration(script, 1);
	else if (strcmp(key, "stale") == 0)
		script->settings.stale_ms = duration(script, 1);
	else
		return false;
	no_more_than(script, 2);
	if (script->started && strcmp(key, "latency") != 0)
		wrong(script, "'%s' comes before the first request", key);
	if (script->settings.workers > SIM_WORKERS_MAX)
		wrong(script, "at most %u workers", SIM_WORKERS_MAX);
	return true;
}

/* upstream NAME ttl DURATION [hosts NAME…] | upstream NAME fails | upstream NAME bogus */
static void take_upstream(struct script *script)
{
	const char *text = word(script, 1);
	struct script_name *name = find_name(script, text);
	if (name == NULL && script->name_count == NAMES_MAX)
		wrong(script, "at most %u names", NAMES_MAX);
	if (name == NULL) {
		name = &script->names[script->name_count++];
		snprintf(name->text, sizeof name->text, "%s", text);
	}
	name->reply.failed = word_is(script, 2, "fails");
	name->reply.bogus = word_is(script, 2, "bogus");
	if (name->reply.failed || name->reply.bogus) {
		no_more_than(script, 3);
		return;
	}
	if (!word_is(script, 2, "ttl"))
		wrong(script, "'%s': ttl, fails or bogus", word(script, 2));
	name->reply.ttl_s = (uint32_t)(duration(script, 3) / 1000);
	if (script->word_count == 4)
		return;
	if (!word_is(script, 4, "hosts"))
		wrong(script, "'%s': hosts", script->words[4]);
	name->hosts_bytes = name->host_count = 0;
	for (unsigned i = 5; i < script->word_count; i++) {
		size_t bytes = strlen(script->words[i]) + 1;
		if (name->hosts_bytes + bytes > sizeof name->hosts)
			wrong(script, "too many hosts");
		memcpy(name->hosts + name->hosts_bytes, script->words[i], bytes);
		name->hosts_bytes = (uint16_t)(name->hosts_bytes + bytes);
		name->host_count++;
	}
}

/* ---- what happens ---- */

static void on_answer(struct job_waiter *waiter, void *arg)
{
	struct script_name *name = ((struct script_waiter *)waiter)->name;
	const struct answer *answer = arg;
	name->answered_nothing += answer == NULL;
	name->answered_failed += answer != NULL && answer->failed;
	name->answered_stale += answer != NULL && answer->stale;
	name->answered_ok += answer != NULL && !answer->failed && !answer->stale;
}

static void ask_once(struct script *script, struct script_name *name, const char *want)
{
	static const char *const outcomes[] = {[SIM_SERVED] = "served",
	    [SIM_FAILED] = "failed",
	    [SIM_STALE] = "stale",
	    [SIM_WAITS] = "waits",
	    [SIM_HELD_BACK] = "held-back",
	    [SIM_BUSY] = "busy"};
	struct question_key key;
	const struct answer *answer;
	if (script->waiter_count == ASKED_MAX)
		wrong(script, "more than %u requests wait in one script", ASKED_MAX);
	struct script_waiter *waiter = &script->waiters[script->waiter_count];
	*waiter = (struct script_waiter){{.on_answer = on_answer}, name};
	key_of(name, &key);
	enum sim_outcome outcome = sim_ask(
	    sim_of(script), &key, name->host_count > 0 ? PORT : 0, &waiter->waiter, &answer);
	script->waiter_count += outcome == SIM_WAITS;
	if (answer != NULL && answer->expires_at_ms <= script->sim.wall_ms)
		wrong(script, "'%s' was served an answer that has ended", name->text);
	if (strcmp(want, "any") != 0 && strcmp(outcomes[outcome], want) != 0)
		wrong(script, "'%s' %s, not %s, %lld ms after the start", name->text,
		    outcomes[outcome], want, (long long)script->sim.mono_ms);
}

/* ask NAME OUTCOME [every DURATION for DURATION] */
static void take_ask(struct script *script)
{
	struct script_name *name = name_at(script, 1);
	const char *want = word(script, 2);
	if (script->word_count == 3) {
		ask_once(script, name, want);
		return;
	}
	if (!word_is(script, 3, "every") || !word_is(script, 5, "for"))
		wrong(script, "ask NAME OUTCOME every DURATION for DURATION");
	int64_t every_ms = duration(script, 4);
	int64_t end_ms = sim_of(script)->mono_ms + duration(script, 6);
	no_more_than(script, 7);
	for (; script->sim.mono_ms < end_ms;
	     sim_advance(&script->sim, script->sim.mono_ms + every_ms))
		ask_once(script, name, want);
}

/* keep NAME [for DURATION] */
static void take_keep(struct script *script)
{
	struct question_key key;
	struct sim *sim = sim_of(script);
	const struct script_name *name = name_at(script, 1);
	uint32_t until_s = PREFETCH_FOREVER;
	if (word_is(script, 2, "for"))
		until_s = (uint32_t)((sim->wall_ms + duration(script, 3)) / 1000);
	no_more_than(script, word_is(script, 2, "for") ? 4 : 2);
	key_of(name, &key);
	if (prefetch_keep(
		&sim->prefetch, &key, name->host_count > 0 ? PORT : 0, until_s, sim->wall_ms) != 0)
		wrong(script, "'%s' is not kept: busy", name->text);
	sim_hand_out(sim);
}

/* want NAME: it is asked for often elsewhere */
static void take_want(struct script *script)
{
	struct question_key key;
	struct sim *sim = sim_of(script);
	key_of(name_at(script, 1), &key);
	no_more_than(script, 2);
	prefetch_want(&sim->prefetch, &key, sim->wall_ms);
	sim_hand_out(sim);
}

static void on_filler(struct job_waiter *waiter, void *arg)
{
	(void)waiter, (void)arg;
}

/* fill COUNT: so many requests for names of their own */
static void take_fill(struct script *script)
{
	struct sim *sim = sim_of(script);
	struct question_key key;
	const struct answer *answer;
	char text[32];
	int64_t count = number(script, 1);
	if (count > FILLERS_MAX || script->fillers != NULL)
		wrong(script, "once, and at most %u", FILLERS_MAX);
	script->fillers = calloc(FILLERS_MAX, sizeof *script->fillers);
	for (int64_t i = 0; i < count; i++) {
		script->fillers[i].on_answer = on_filler;
		snprintf(text, sizeof text, "filler%lld", (long long)i);
		question_key_make(&key, RESOLVERD__V1__KIND__HOST, PORT, text);
		if (sim_ask(sim, &key, 0, &script->fillers[i], &answer) != SIM_WAITS)
			wrong(script, "filler %lld does not wait", (long long)i);
	}
}

/* copy WORKER NAME DURATION: the worker looked it up before, so much is left of it */
static void take_copy(struct script *script)
{
	struct sim *sim = sim_of(script);
	int64_t worker = number(script, 1);
	const struct script_name *name = name_at(script, 2);
	if (worker < 0 || worker >= SIM_WORKERS_MAX || sim->workers[worker].copies == NULL)
		wrong(script, "there is no worker %lld", (long long)worker);
	sim->workers[worker].copies[name - script->names] =
	    (uint32_t)((sim->wall_ms + duration(script, 3)) / 1000);
}

static void take_worker(struct script *script)
{
	struct sim *sim = sim_of(script);
	int64_t worker = number(script, 1);
	if (worker < 0 || worker >= SIM_WORKERS_MAX || sim->workers[worker].copies == NULL)
		wrong(script, "there is no worker %lld", (long long)worker);
	sim->workers[worker].up = word_is(script, 2, "up");
	if (!sim->workers[worker].up && !word_is(script, 2, "down"))
		wrong(script, "up or down");
}

static bool take_event(struct script *script)
{
	const char *verb = script->words[0];
	if (strcmp(verb, "ask") == 0)
		take_ask(script);
	else if (strcmp(verb, "keep") == 0)
		take_keep(script);
	else if (strcmp(verb, "want") == 0)
		take_want(script);
	else if (strcmp(verb, "copy") == 0)
		take_copy(script);
	else if (strcmp(verb, "worker") == 0)
		take_worker(script);
	else if (strcmp(verb, "fill") == 0)
		take_fill(script);
	else if (strcmp(verb, "advance") == 0)
		sim_advance(sim_of(script), script->sim.mono_ms + duration(script, 1));
	else if (strcmp(verb, "suspend") == 0)
		sim_suspend(sim_of(script), duration(script, 1));
	else if (strcmp(verb, "step") == 0)
		sim_step_clock(sim_of(script), duration(script, 1));
	else if (strcmp(verb, "give") == 0) { /* give all | give COUNT more jobs to workers */
		sim_of(script)->may_give =
		    word_is(script, 1, "all") ? SIZE_MAX : (size_t)number(script, 1);
		sim_hand_out(&script->sim);
	} else
		return false;
	return true;
}

/* ---- what is expected ---- */

/* N or N..M, in that unit. */
static void expect_between(
    struct script *script, unsigned index, bool is_duration, int64_t value, const char *what)
{
	char low[32], *high;
	snprintf(low, sizeof low, "%s", word(script, index));
	high = strstr(low, "..");
	if (high != NULL) {
		*high = '\0';
		high += 2;
	}
	int64_t least = is_duration ? duration_of(script, low) : strtoll(low, NULL, 10);
	int64_t most = high == NULL  ? least
		       : is_duration ? duration_of(script, high)
				     : strtoll(high, NULL, 10);
	no_more_than(script, index + 1);
	if (value < least || value > most)
		wrong(script, "%s: %lld, not %s%s", what, (long long)value, script->words[index],
		    is_duration ? " (in ms)" : "");
}

static const char *state_of(struct script *script, const struct cache_entry *entry)
{
	return entry == NULL                                ? "gone"
	       : !entry_is_live(entry, script->sim.wall_ms) ? "ended"
	       : entry->answer->failed                      ? "failed"
	       : entry->answer->stale                       ? "stale"
							    : "live";
}

static void expect_name(struct script *script, const struct script_name *name)
{
	static const char *const states[] = {"gone", "ended", "failed", "stale", "live"};
	static const char *const job_states[] = {"idle", "queued", "running"};
	struct sim *sim = sim_of(script);
	struct question_key key;
	key_of(name, &key);
	const char *what = word(script, 2);
	const struct cache_entry *entry = cache_find(&sim->cache, &key);
	const struct flight_job *job =
	    (const struct flight_job *)table_find(&sim->flight.jobs, key.bytes, key.count);
	const char *job_state = job == NULL ? "idle" : job->queue != NULL ? "queued" : "running";
	for (unsigned i = 0; i < sizeof states / sizeof *states; i++)
		if (strcmp(what, states[i]) == 0 && strcmp(what, state_of(script, entry)) != 0)
			wrong(script, "'%s' is %s, not %s", name->text, state_of(script, entry),
			    what);
		else if (strcmp(what, states[i]) == 0)
			return;
	for (unsigned i = 0; i < sizeof job_states / sizeof *job_states; i++)
		if (strcmp(what, job_states[i]) == 0 && strcmp(what, job_state) != 0)
			wrong(script, "'%s' is %s, not %s", name->text, job_state, what);
		else if (strcmp(what, job_states[i]) == 0)
			return;
	if (strcmp(what, "fetched") == 0)
		expect_between(script, 3, false, name->fetched, "fetched");
	else if (strcmp(what, "answered") == 0) /* answered ok|failed|stale COUNT */
		expect_between(script, 4, false,
		    word_is(script, 3, "ok")       ? name->answered_ok
		    : word_is(script, 3, "failed") ? name->answered_failed
		    : word_is(script, 3, "stale")  ? name->answered_stale
						   : name->answered_nothing,
		    "answered");
	else if (strcmp(what, "lasts") == 0 && entry != NULL)
		expect_between(
		    script, 3, true, entry->answer->expires_at_ms - sim->wall_ms, "lasts");
	else if (strcmp(what, "by") == 0 && entry != NULL)
		expect_between(script, 3, false, entry->worker, "found by worker");
	else
		wrong(script, "'%s' is nothing to expect of '%s', or it is gone", what, name->text);
}

static void take_expect(struct script *script)
{
	const struct prefetch *prefetch = &sim_of(script)->prefetch;
	const struct {
		const char *name;
		uint64_t value;
	} counters[] = {{"started", prefetch->started}, {"renewed", prefetch->renewed},
	    {"futile", prefetch->futile}, {"refresh-failed", prefetch->failed},
	    {"ran-out", prefetch->ran_out}, {"evicted", script->sim.cache.evicted},
	    {"entries", script->sim.cache.table.count}, {"jobs", script->sim.flight.jobs.count},
	    {"running-refreshes", script->sim.flight.refreshes_running}};
	for (unsigned i = 0; i < sizeof counters / sizeof *counters; i++)
		if (word_is(script, 1, counters[i].name)) {
			expect_between(
			    script, 2, false, (int64_t)counters[i].value, counters[i].name);
			return;
		}
	expect_name(script, name_at(script, 1));
}

/* ---- a script ---- */

static void take_line(struct script *script, char *line)
{
	char *at = line, *save = NULL;
	line[strcspn(line, "#\n")] = '\0';
	script->word_count = 0;
	for (char *next; (next = strtok_r(at, " \t", &save)) != NULL; at = NULL) {
		if (script->word_count == WORDS_MAX)
			wrong(script, "more than %u words", WORDS_MAX);
		script->words[script->word_count++] = next;
	}
	if (script->word_count == 0)
		return;
	if (strcmp(script->words[0], "upstream") == 0)
		take_upstream(script);
	else if (strcmp(script->words[0], "expect") == 0)
		take_expect(script);
	else if (!take_setting(script) && !take_event(script))
		wrong(script, "'%s' is no statement", script->words[0]);
}

/* Returns 0, or 1 when something was not as expected. */
static int run(const char *path, uint64_t seed)
{
	char line[LINE_MAX_BYTES];
	FILE *file = fopen(path, "r");
	struct script *script = calloc(1, sizeof *script);
	if (file == NULL || script == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	*script = (struct script){.path = path,
	    .seed = seed,
	    .settings = {.rule = PREFETCH_AHEAD, .workers = 2, .failure_ttl_ms = 15000},
	    .memory_bytes = MEMORY,
	    .latency_ms = 50};
	script->waiters = calloc(ASKED_MAX, sizeof *script->waiters);
	int r = setjmp(script->give_up);
	if (r == 0)
		while (fgets(line, sizeof line, file) != NULL) {
			script->line++;
			take_line(script, line);
		}
	if (script->started)
		sim_fini(&script->sim);
	fclose(file);
	free(script->waiters);
	free(script->fillers);
	free(script);
	return r;
}

int main(int argc, char **argv)
{
	unsigned failed = 0;
	for (int i = 1; i < argc; i++) {
		const char *name =
		    strrchr(argv[i], '/') != NULL ? strrchr(argv[i], '/') + 1 : argv[i];
		int r = 0;
		printf("[ RUN      ] %s\n", name);
		fflush(stdout);
		for (uint64_t seed = 1; r == 0 && seed <= RUNS; seed++)
			r = run(argv[i], seed);
		failed += r != 0;
		printf("[%s] %s\n", r == 0 ? "       OK " : "  FAILED  ", name);
	}
	printf("[==========] %d script(s) run.\n", argc - 1);
	return failed > 0;
}
