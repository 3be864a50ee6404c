/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mail system's questions (trace.h) at a rate that does not change, each mail at a random member
 * of a simulated fleet (fleet_sim.h); prints what came of it as JSON. "fleet formula": what is to
 * be expected without a simulation. "fleet check": a few small fleets, and whether what
 * docs/SCALING.md says of fleets holds for them; exit 0: it does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/sim/fleet_formula.h"
#include "tests/sim/fleet_sim.h"

#define HOUR_MS INT64_C(3600000)
#define SWEEP_MS (HOUR_MS / 2)
#define NEWCOMER_QUESTIONS 1000u
#define BEYOND 1.2 /* mails that a random stream may have beyond its rate */

struct setting {
	uint32_t members;
	double mails_per_s;
	bool has_store;
	double warm_up_hours, hours;
	uint64_t seed;
};

struct result {
	struct fleet_sim_counts counts;
	struct fleet_sim_keys keys; /* mean of the sweeps */
	uint64_t entries;           /* of all members' caches, at the end */
	uint64_t newcomer_questions, newcomer_lookups;
	uint64_t served_wrong;
	bool all_ended;
};

/* ---- a run ---- */

struct load {
	struct fleet_sim sim;
	struct trace trace;
	struct trace_mail mail; /* the next one */
	uint64_t random;
	int64_t sweep_at_ms;
	unsigned sweeps;
	struct fleet_sim_keys swept; /* the sum */
};

static void ask_next(struct load *load, uint32_t member)
{
	fleet_sim_advance(&load->sim, load->mail.at_ms);
	fleet_sim_ask(&load->sim, member, &load->mail);
	trace_next(&load->trace, &load->mail);
}

static void sweep(struct load *load)
{
	struct fleet_sim_keys keys = fleet_sim_sweep(&load->sim);
	load->swept.facts += keys.facts;
	load->swept.leases += keys.leases;
	load->swept.counts += keys.counts;
	load->sweeps++;
	load->sweep_at_ms += SWEEP_MS;
}

static void run_until(struct load *load, int64_t end_ms)
{
	while (load->mail.at_ms < end_ms) {
		if (load->mail.at_ms >= load->sweep_at_ms)
			sweep(load);
		ask_next(load, (uint32_t)(trace_random(&load->random) % load->sim.member_count));
	}
	fleet_sim_advance(&load->sim, end_ms);
}

/* One member starts again, and is asked first of all. */
static void run_newcomer(struct load *load)
{
	struct fleet_member *newcomer = &load->sim.members[0];
	fleet_sim_empty(&load->sim, 0);
	while (newcomer->questions < NEWCOMER_QUESTIONS)
		ask_next(load, 0);
}

static void run(const struct setting *setting, struct result *ret_result)
{
	struct load *load = calloc(1, sizeof *load);
	if (load == NULL)
		abort();
	int64_t warm_ms = (int64_t)(setting->warm_up_hours * (double)HOUR_MS);
	int64_t end_ms = warm_ms + (int64_t)(setting->hours * (double)HOUR_MS);
	double mails = setting->mails_per_s * (double)end_ms / 1000 * BEYOND + NEWCOMER_QUESTIONS;
	fleet_sim_init(&load->sim, setting->members, setting->has_store, trace_questions(mails),
	    setting->seed);
	load->random = ~setting->seed;
	trace_init(&load->trace, setting->mails_per_s, 0, setting->seed);
	trace_next(&load->trace, &load->mail);
	run_until(load, warm_ms);
	load->sim.counts = (struct fleet_sim_counts){0};
	load->swept = (struct fleet_sim_keys){0};
	load->sweeps = 0;
	run_until(load, end_ms);
	sweep(load);
	ret_result->counts = load->sim.counts;
	ret_result->keys = (struct fleet_sim_keys){load->swept.facts / load->sweeps,
	    load->swept.leases / load->sweeps, load->swept.counts / load->sweeps};
	ret_result->entries = 0;
	for (uint32_t i = 0; i < setting->members; i++)
		ret_result->entries += load->sim.members[i].cache.table.count;
	run_newcomer(load);
	ret_result->all_ended = fleet_sim_finish_plans(&load->sim);
	ret_result->newcomer_questions = load->sim.members[0].questions;
	ret_result->newcomer_lookups = load->sim.members[0].lookups_asked;
	ret_result->served_wrong = load->sim.served_wrong;
	fleet_sim_fini(&load->sim);
	free(load);
}

/* ---- as JSON ---- */

static void print_count(const char *name, uint64_t value)
{
	printf(",\n \"%s\": %llu", name, (unsigned long long)value);
}

static unsigned wait_percentile_ms(const struct fleet_sim_counts *counts, unsigned percent)
{
	uint64_t left = counts->plans * percent / 100;
	unsigned ms = 0;
	for (; ms + 1 < FLEET_SIM_WAIT_MAX_MS && counts->waits[ms] <= left; ms++)
		left -= counts->waits[ms];
	return ms;
}

/* A lookup takes longer than that, and so does a look at what another looks up. */
#define STORE_WAIT_MAX_MS 9u
static uint64_t plans_without_lookup(const struct fleet_sim_counts *counts)
{
	uint64_t plans = 0;
	for (unsigned ms = 0; ms <= STORE_WAIT_MAX_MS; ms++)
		plans += counts->waits[ms];
	return plans;
}

static void print(const struct setting *setting, const struct result *result)
{
	const struct fleet_sim_counts *counts = &result->counts;
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"members\": %u, \"mails_per_s\": %g, \"store\": %s, \"seconds\": %.0f",
	    setting->members, setting->mails_per_s, setting->has_store ? "true" : "false",
	    setting->hours * 3600);
	print_count("plans", counts->plans);
	print_count("plans_unwaited", counts->plans_unwaited);
	print_count("plans_without_lookup", plans_without_lookup(counts));
	print_count("questions", counts->questions);
	print_count("refused", counts->refused);
	print_count("lookups_route", counts->lookups_route);
	print_count("lookups_host", counts->lookups_host);
	print_count("lookups_refresh", counts->lookups_refresh);
	print_count("get", counts->gets);
	print_count("found", counts->found);
	print_count("lease", counts->leases);
	print_count("leases_taken", counts->leases_taken);
	print_count("set", counts->sets);
	print_count("incr", counts->counted);
	print_count("publish", counts->published);
	print_count("notices", counts->notices);
	print_count("notice_gets", counts->notice_gets);
	printf(",\n \"wait_mean_ms\": %.2f", (double)counts->wait_ms / (double)counts->plans);
	print_count("wait_p99_ms", wait_percentile_ms(counts, 99));
	print_count("facts_live", result->keys.facts);
	print_count("leases_live", result->keys.leases);
	print_count("counts_live", result->keys.counts);
	print_count("entries", result->entries);
	print_count("newcomer_questions", result->newcomer_questions);
	print_count("newcomer_lookups", result->newcomer_lookups);
	print_count("served_wrong", result->served_wrong);
	print_count("unended", !result->all_ended);
	print_count("cpu_s", (uint64_t)usage.ru_utime.tv_sec);
	print_count("memory_mb", (uint64_t)usage.ru_maxrss / 1024);
	printf("}\n");
}

/* ---- small fleets ---- */

#define CHECK_MEMBERS 8u
#define BURSTS 100u

enum checked { CHECK_ONE, CHECK_FLEET, CHECK_ALONE, CHECK_COUNT };

static double lookups(const struct result *result)
{
	return (double)(result->counts.lookups_route + result->counts.lookups_host);
}

static double newcomer_share(const struct result *result)
{
	return 1 - (double)result->newcomer_lookups / (double)result->newcomer_questions;
}

static bool nobody_serves_what_has_ended(const struct result *results)
{
	uint64_t wrong = 0;
	for (unsigned i = 0; i < CHECK_COUNT; i++)
		wrong += results[i].served_wrong;
	return wrong == 0;
}

static bool every_question_ends(const struct result *results)
{
	bool good = true;
	for (unsigned i = 0; i < CHECK_COUNT; i++)
		good = good && results[i].all_ended && results[i].counts.refused == 0;
	return good;
}

static bool a_fleet_looks_up_as_one_does(const struct result *results)
{
	return lookups(&results[CHECK_FLEET]) < 1.1 * lookups(&results[CHECK_ONE]);
}

static bool without_a_store_each_looks_up(const struct result *results)
{
	return lookups(&results[CHECK_ALONE]) > 1.3 * lookups(&results[CHECK_ONE]);
}

static bool a_new_member_finds_what_others_have(const struct result *results)
{
	return newcomer_share(&results[CHECK_FLEET]) > newcomer_share(&results[CHECK_ALONE]) + 0.2;
}

/* Where a lease was not taken: its holder was slower than the polls. */
static bool hardly_any_lookup_is_made_twice(const struct result *results)
{
	double leased = (double)results[CHECK_FLEET].counts.leases_taken;
	return leased > 0.99 * lookups(&results[CHECK_FLEET]);
}

/* Of routes that all members are asked for at once. */
static bool a_burst_is_looked_up_about_once(const struct result *results)
{
	static struct fleet_sim sim;
	(void)results;
	fleet_sim_init(&sim, CHECK_MEMBERS, true, trace_questions(0), 1);
	for (uint32_t route = 0; route < BURSTS; route++) {
		const struct trace_mail mail = {.route = route};
		for (uint32_t member = 0; member < CHECK_MEMBERS; member++)
			fleet_sim_ask(&sim, member, &mail);
	}
	bool good = fleet_sim_finish_plans(&sim) && sim.counts.lookups_route >= BURSTS &&
		    sim.counts.lookups_route < 2 * BURSTS;
	fleet_sim_fini(&sim);
	return good;
}

static int check(void)
{
	static const struct {
		const char *name;
		bool (*holds)(const struct result *results);
	} rules[] = {
	    {"nobody_serves_what_has_ended", nobody_serves_what_has_ended},
	    {"every_question_ends", every_question_ends},
	    {"a_fleet_looks_up_as_one_does", a_fleet_looks_up_as_one_does},
	    {"without_a_store_each_looks_up", without_a_store_each_looks_up},
	    {"a_new_member_finds_what_others_have", a_new_member_finds_what_others_have},
	    {"hardly_any_lookup_is_made_twice", hardly_any_lookup_is_made_twice},
	    {"a_burst_is_looked_up_about_once", a_burst_is_looked_up_about_once},
	};
	static struct result results[CHECK_COUNT];
	unsigned failed = 0;
	for (unsigned i = 0; i < CHECK_COUNT; i++) {
		const struct setting setting = {.members = i == CHECK_ONE ? 1 : CHECK_MEMBERS,
		    .mails_per_s = 20,
		    .has_store = i == CHECK_FLEET,
		    .warm_up_hours = 1,
		    .hours = 1,
		    .seed = 1};
		run(&setting, &results[i]);
	}
	for (unsigned i = 0; i < sizeof rules / sizeof *rules; i++) {
		bool holds = rules[i].holds(results);
		printf("[ RUN      ] %s\n[%s] %s\n", rules[i].name,
		    holds ? "       OK " : "  FAILED  ", rules[i].name);
		failed += !holds;
	}
	printf("lookups of one daemon %.0f, of %u with a store %.0f, without %.0f; a new member's "
	       "questions without a lookup %.2f, %.2f\n",
	    lookups(&results[CHECK_ONE]), CHECK_MEMBERS, lookups(&results[CHECK_FLEET]),
	    lookups(&results[CHECK_ALONE]), newcomer_share(&results[CHECK_FLEET]),
	    newcomer_share(&results[CHECK_ALONE]));
	return failed > 0;
}

/* ---- by formula ---- */

static void expect(uint32_t members, double mails_per_s, bool has_store)
{
	struct fleet_expected expected;
	fleet_formula(members, mails_per_s, has_store, &expected);
	printf("{\"members\": %u, \"mails_per_s\": %g, \"store\": %s, \"seconds\": 1, \"plans\": "
	       "%g,\n",
	    members, mails_per_s, has_store ? "true" : "false", mails_per_s);
	printf(" \"lookups_route\": %.4f, \"lookups_host\": %.4f, \"lookups_one_off\": %.4f,\n",
	    expected.lookups_route, expected.lookups_host, expected.lookups_one_off);
	printf(" \"facts_live\": %.0f, \"counts_live\": %.0f,\n", expected.facts, expected.counts);
	printf(" \"get\": %.4f, \"lease\": %.4f, \"set\": %.4f, \"incr\": %.4f}\n", expected.gets,
	    expected.leases, expected.sets, expected.incrs);
}

static int usage(void)
{
	fprintf(stderr, "usage: fleet MEMBERS MAILS_PER_S store|alone WARM_UP_HOURS HOURS SEED\n"
			"       fleet formula MEMBERS MAILS_PER_S store|alone\n"
			"       fleet check\n");
	return 64;
}

int main(int argc, char **argv)
{
	static struct result result;
	if (argc == 2 && strcmp(argv[1], "check") == 0)
		return check();
	bool by_formula = argc == 5 && strcmp(argv[1], "formula") == 0;
	char **what = by_formula ? argv + 2 : argv + 1;
	if (!by_formula && argc != 7)
		return usage();
	struct setting setting = {.members = (uint32_t)strtoul(what[0], NULL, 10),
	    .mails_per_s = strtod(what[1], NULL),
	    .has_store = strcmp(what[2], "store") == 0};
	if (setting.members == 0 || !(setting.mails_per_s > 0) ||
	    (!setting.has_store && strcmp(what[2], "alone") != 0))
		return usage();
	if (by_formula) {
		expect(setting.members, setting.mails_per_s, setting.has_store);
		return 0;
	}
	setting.warm_up_hours = strtod(what[3], NULL);
	setting.hours = strtod(what[4], NULL);
	setting.seed = strtoull(what[5], NULL, 10);
	if (!(setting.hours > 0) ||
	    (setting.warm_up_hours + setting.hours) * (double)HOUR_MS > FLEET_SIM_LIFE_MAX_MS)
		return usage();
	run(&setting, &result);
	print(&setting, &result);
	return 0;
}
