/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/trace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SEED 20260101u

/* Routes of domains, the providers' hosts, hosts of their own; then a route and a host for each
 * one-off name. */
#define FIRST_PROVIDER_HOST TRACE_DOMAINS
#define FIRST_OWN_HOST (FIRST_PROVIDER_HOST + TRACE_PROVIDERS * TRACE_PROVIDER_HOSTS)
#define FIRST_ONE_OFF (FIRST_OWN_HOST + TRACE_DOMAINS)

uint64_t trace_random(uint64_t *state) /* splitmix64 */
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

double trace_uniform(uint64_t *state)
{
	return (double)((trace_random(state) >> 11) + 1) * 0x1p-53;
}

/* The same for a number each time. */
static uint64_t random_of(uint32_t number, uint64_t purpose)
{
	uint64_t state = SEED + ((uint64_t)number << 8 | purpose);
	return trace_random(&state);
}

/* Ranks from 1 to most, each in proportion to 1/rank: log-uniform, and what that has too much of
 * is drawn anew. */
static uint32_t zipf(uint64_t *state, uint32_t most)
{
	for (;;) {
		double rank = floor(0.5 * pow(2.0 * most + 1.0, trace_uniform(state)) + 0.5);
		double drawn = log((rank + 0.5) / (rank - 0.5));
		if (rank >= 1 && rank <= most && trace_uniform(state) * drawn * rank <= 1.0)
			return (uint32_t)rank;
	}
}

uint32_t trace_questions(double mails)
{
	return FIRST_ONE_OFF + (uint32_t)(mails * 2 * 1.1 * TRACE_ONE_OFF_PERCENT / 100) + 1000;
}

void trace_init(struct trace *trace, double mails_per_s, double day_swing, uint64_t seed)
{
	*trace = (struct trace){
	    .random = SEED + seed, .mails_per_s = mails_per_s, .day_swing = day_swing};
}

bool trace_is_route(uint32_t question)
{
	return question < TRACE_DOMAINS ||
	       (question >= FIRST_ONE_OFF && (question - FIRST_ONE_OFF) % 2 == 0);
}

/* An answer lives as long as the shortest of what it is made of. */
uint32_t trace_ttl_s(uint32_t question)
{
	static const struct {
		uint32_t ttl_s, percent;
	} routes[] = {{60, 2}, {300, 18}, {600, 6}, {1800, 8}, {3600, 38}, {14400, 12}, {43200, 3},
	    {86400, 13}},
	  hosts[] = {{60, 5}, {300, 30}, {600, 6}, {1800, 6}, {3600, 35}, {14400, 10}, {86400, 8}};
	uint32_t percent = (uint32_t)(random_of(question, 1) % 100);
	unsigned i = 0;
	if (trace_is_route(question)) {
		for (; percent >= routes[i].percent; i++)
			percent -= routes[i].percent;
		return routes[i].ttl_s;
	}
	for (; percent >= hosts[i].percent; i++)
		percent -= hosts[i].percent;
	return hosts[i].ttl_s;
}

unsigned trace_hosts(uint32_t route, uint32_t ret_hosts[TRACE_PROVIDER_HOSTS])
{
	uint64_t state = random_of(route, 2);
	if (trace_random(&state) % 100 < TRACE_AT_PROVIDERS_PERCENT) {
		uint32_t provider = zipf(&state, TRACE_PROVIDERS) - 1;
		for (unsigned i = 0; i < TRACE_PROVIDER_HOSTS; i++)
			ret_hosts[i] = FIRST_PROVIDER_HOST + provider * TRACE_PROVIDER_HOSTS + i;
		return TRACE_PROVIDER_HOSTS;
	}
	ret_hosts[0] = route < TRACE_DOMAINS ? FIRST_OWN_HOST + route : route + 1;
	return 1;
}

void trace_name(uint32_t question, char ret_name[TRACE_NAME_BYTES])
{
	char digits[10], *at = ret_name;
	unsigned count = 0;
	for (*at++ = trace_is_route(question) ? 'd' : 'h'; question > 0 || count == 0;
	     question /= 10)
		digits[count++] = (char)('0' + question % 10);
	while (count > 0)
		*at++ = digits[--count];
	memcpy(at, ".example", sizeof ".example");
}

uint32_t trace_number(const char *name)
{
	return (uint32_t)strtoul(name + 1, NULL, 10);
}

int64_t trace_latency_ms(uint64_t *state)
{
	double ms = 20 - 40 * log(trace_uniform(state));
	if (trace_random(state) % 100 == 0)
		ms += 2700 * trace_uniform(state);
	return ms < TRACE_LATENCY_MAX_MS ? (int64_t)ms : TRACE_LATENCY_MAX_MS;
}

void trace_next(struct trace *trace, struct trace_mail *ret_mail)
{
	double day = trace->now_ms / TRACE_DAY_MS;
	double per_ms =
	    trace->mails_per_s / 1000 * (1 + trace->day_swing * sin(2 * M_PI * (day - 0.375)));
	trace->now_ms -= log(trace_uniform(&trace->random)) / per_ms;
	ret_mail->at_ms = (uint32_t)trace->now_ms;
	if (trace_random(&trace->random) % 100 < TRACE_ONE_OFF_PERCENT)
		ret_mail->route = FIRST_ONE_OFF + 2 * trace->one_offs++;
	else
		ret_mail->route = zipf(&trace->random, TRACE_DOMAINS) - 1;
	ret_mail->host_count = trace_hosts(ret_mail->route, ret_mail->hosts);
}
