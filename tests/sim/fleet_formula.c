/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/fleet_formula.h"

#include <math.h>
#include <stdlib.h>

#include "tests/sim/trace.h"

#define STORED_MAX_S 3600.0 /* max-age's default */
#define REFRESHED_AT 0.9    /* of a life: prefetch.c */
#define BUSY_HITS 4u        /* in a life: prefetch.c, fleet.c */
#define ROUNDS 20u

/* One question, or all of its kind. A second, but for what is live in the store. */
struct rates {
	double lookups, asked_store, waited;
	double facts, counts;
};

/* The share of lives in which it is asked for often enough to be refreshed, of a mean of so many
 * requests (Poisson): at all, and four times with the lives before, the last one whole, each one
 * before half as much as the next. */
static double in_use(double mean)
{
	double counted = 3 * mean, term = exp(-counted), less = 0;
	for (unsigned i = 0; i < BUSY_HITS; i++) {
		less += term;
		term *= counted / (i + 1);
	}
	return (1 - less) * (1 - exp(-mean));
}

/* The share of requests at the store of which the member is told that the fleet wants it: the last
 * three gaps were shorter than a life. */
static double wanted(double asked, double life_s)
{
	return pow(1 - exp(-asked * life_s), BUSY_HITS - 1);
}

/* Each looks up what it has not: once in a life, and the time to the next request. */
static struct rates alone(double members, double rate, double life_s)
{
	double each = rate / members, own = in_use(each * life_s);
	double lookups =
	    members * (own / (REFRESHED_AT * life_s) + (1 - own) / (life_s + 1 / each));
	return (struct rates){.lookups = lookups};
}

/* What one found ends for all at the same time: the fleet looks up as one does. A member that is
 * told that it is wanted refreshes it once. */
static struct rates shared_to_its_end(double members, double rate, double life_s)
{
	double each = rate / members, own = in_use(each * life_s), busy = in_use(rate * life_s);
	double lookups = busy / (REFRESHED_AT * life_s) + (1 - busy) / (life_s + 1 / rate);
	double share = 1 - exp(-each * life_s); /* of members that ask in a life */
	double untold = lookups * (1 + (members - 1) * share);
	double told = wanted(untold, life_s);
	double of_told = told * members / (life_s / share + life_s);
	double waited = (1 - own) * ((1 - told) * untold + of_told);
	return (struct rates){.lookups = lookups,
	    .asked_store = waited + (1 - own) * of_told + own * members / (REFRESHED_AT * life_s),
	    .waited = waited};
}

/* The store has it for part of its life; whoever needs it after that looks it up anew: another
 * member, or at its end the one that has it. */
static struct rates shared_for_a_while(double members, double rate, double life_s)
{
	double each = rate / members, own = in_use(each * life_s);
	double end_s = life_s * (1 - (1 - REFRESHED_AT) * own), idle_s = (1 - own) / each;
	double lookups = 0, asked = 0, waited = 0, age_s = 0, told = 0;
	for (unsigned i = 0; i < ROUNDS; i++) {
		double cycle_s = end_s * (1 + told) - age_s + idle_s;
		double others = (members - 1) * (1 + told) / cycle_s;
		double gap_s = end_s - STORED_MAX_S, none = exp(-others * gap_s);
		/* After the store has lost it: another member, or, if none comes before, this one.
		 */
		double next_s = (others > 0 ? (1 - none) / others : gap_s) +
				none / (others + (idle_s > 0 ? 1 / idle_s : HUGE_VAL));
		asked = members * (1 + told) / cycle_s;
		waited = members * (1 - own) / cycle_s;
		lookups = fmin(1 / (STORED_MAX_S + next_s), asked);
		age_s = (1 - lookups / asked) * STORED_MAX_S / 2;
		told = (1 - own) * wanted(waited, life_s) * (members > 1);
	}
	return (struct rates){.lookups = lookups, .asked_store = asked, .waited = waited};
}

static double stored_s(double life_s)
{
	return fmin(life_s, STORED_MAX_S);
}

static struct rates rates_of(double members, double rate, double life_s, bool has_store)
{
	if (rate <= 0)
		return (struct rates){0};
	if (!has_store)
		return alone(members, rate, life_s);
	struct rates rates = life_s <= STORED_MAX_S ? shared_to_its_end(members, rate, life_s)
						    : shared_for_a_while(members, rate, life_s);
	rates.facts = fmin(1, rates.lookups * stored_s(life_s));
	rates.counts = 1 - exp(-rates.waited * life_s);
	return rates;
}

static void add(struct rates *sum, struct rates more)
{
	sum->lookups += more.lookups;
	sum->asked_store += more.asked_store;
	sum->waited += more.waited;
	sum->facts += more.facts;
	sum->counts += more.counts;
}

/* Names that are asked for once, so many a second, with lives like that of these questions. */
static void add_once(struct rates *sum, double rate, uint32_t first, uint32_t count)
{
	double stored = 0, counted = 0;
	for (uint32_t i = first; i < first + count; i++) {
		stored += stored_s(trace_ttl_s(i)) / count;
		counted += (double)trace_ttl_s(i) / count;
	}
	add(sum, (struct rates){rate, rate, rate, rate * stored, rate * counted});
}

static void add_routes(
    struct rates *sum, double members, double mails_per_s, bool has_store, double *of_hosts)
{
	double ranks = 0;
	for (uint32_t i = 0; i < TRACE_DOMAINS; i++)
		ranks += 1.0 / (i + 1);
	for (uint32_t i = 0; i < TRACE_DOMAINS; i++) {
		uint32_t hosts[TRACE_PROVIDER_HOSTS];
		double rate = mails_per_s / (i + 1) / ranks;
		add(sum, rates_of(members, rate, trace_ttl_s(i), has_store));
		unsigned count = trace_hosts(i, hosts);
		for (unsigned n = 0; n < count; n++)
			of_hosts[hosts[n]] += rate;
	}
}

void fleet_formula(
    uint32_t members, double mails_per_s, bool has_store, struct fleet_expected *ret_expected)
{
	struct rates routes = {0}, hosts = {0};
	uint32_t questions = trace_questions(0);
	double routes_once = mails_per_s * TRACE_ONE_OFF_PERCENT / 100;
	double hosts_once = routes_once * (100 - TRACE_AT_PROVIDERS_PERCENT) / 100;
	double *of_hosts = calloc(questions, sizeof *of_hosts); /* requests a second */
	if (of_hosts == NULL)
		abort();
	add_routes(&routes, members, mails_per_s - routes_once, has_store, of_hosts);
	for (uint32_t i = TRACE_DOMAINS; i < questions; i++)
		add(&hosts, rates_of(members, of_hosts[i], trace_ttl_s(i), has_store));
	free(of_hosts);
	add_once(&routes, routes_once, 0, TRACE_DOMAINS);
	add_once(&hosts, hosts_once, TRACE_DOMAINS, TRACE_DOMAINS);
	*ret_expected = (struct fleet_expected){.lookups_route = routes.lookups,
	    .lookups_host = hosts.lookups,
	    .lookups_one_off = routes_once + hosts_once};
	if (!has_store)
		return;
	ret_expected->gets = routes.asked_store + hosts.asked_store;
	ret_expected->leases = ret_expected->sets = routes.lookups + hosts.lookups;
	ret_expected->incrs = routes.waited + hosts.waited;
	ret_expected->facts = routes.facts + hosts.facts;
	ret_expected->counts = routes.counts + hosts.counts;
}
