/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mail system's questions over days, the same for each rule that is compared. Mails go to a
 * million domains by Zipf's law, more by day than by night; a share of them to names that are asked
 * for once. Each asks for the domain's route and the hosts in it: those of one of 1,000 providers,
 * which share out the domains by Zipf's law, too, or a host of the domain's own.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define TRACE_DOMAINS 1000000u
#define TRACE_PROVIDERS 1000u
#define TRACE_PROVIDER_HOSTS 2u
#define TRACE_AT_PROVIDERS_PERCENT 60u
#define TRACE_ONE_OFF_PERCENT 5u
#define TRACE_MAILS_PER_S 20.0 /* of one mail system: mean of a day */
#define TRACE_DAY_SWING 0.6    /* of the mean rate */
#define TRACE_DAY_MS 86400000
#define TRACE_LATENCY_MAX_MS 3000
#define TRACE_NAME_BYTES 32u

struct trace {
	uint64_t random;
	double now_ms, mails_per_s, day_swing;
	uint32_t one_offs;
};

struct trace_mail {
	uint32_t at_ms;
	uint32_t route;
	uint32_t hosts[TRACE_PROVIDER_HOSTS];
	unsigned host_count;
};

/* Questions of so many mails are numbers below what this returns. */
uint32_t trace_questions(double mails);
/* day_swing: by what share of mails_per_s its rate differs from that; 0: it is the same at all
 * times. Each seed is another day of the same system. */
void trace_init(struct trace *trace, double mails_per_s, double day_swing, uint64_t seed);
void trace_next(struct trace *trace, struct trace_mail *ret_mail);

bool trace_is_route(uint32_t question);
uint32_t trace_ttl_s(uint32_t question);
unsigned trace_hosts(uint32_t route, uint32_t ret_hosts[TRACE_PROVIDER_HOSTS]);
void trace_name(uint32_t question, char ret_name[TRACE_NAME_BYTES]);
uint32_t trace_number(const char *name);
/* How long an upstream takes: 30 to 100 ms mostly, one in a hundred up to 3 s. */
int64_t trace_latency_ms(uint64_t *state);

/* For whatever else wants randomness. */
uint64_t trace_random(uint64_t *state);
/* In (0, 1]. */
double trace_uniform(uint64_t *state);
