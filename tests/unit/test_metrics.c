/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/test.h"

#include "resolverd/server/metrics.h"

/* ---- which bucket ---- */

static const struct bucket_case {
	const char *name;
	int64_t took_ms;
	unsigned bucket;
	uint64_t sum_ms;
} bucket_cases[] = {
    {"at once", 0, 0, 0},
    {"a clock that went back", -5, 0, 0},
    {"at a bound: within it", 2, 1, 2},
    {"behind a bound", 3, 2, 3},
    {"the last bound", 20000, HISTOGRAM_BOUNDS - 1, 20000},
    {"longer than all", 20001, HISTOGRAM_BOUNDS, 20001},
};

static void check_bucket(void **state)
{
	const struct bucket_case *c = *state;
	struct histogram histogram = {0};
	histogram_note(&histogram, c->took_ms);
	for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++)
		assert_int_equal(histogram.counts[i], i == c->bucket);
	assert_int_equal(histogram.sum_ms, c->sum_ms);
}

/* ---- what is counted where ---- */

static void facts_are_counted_by_what_they_say(void **state)
{
	struct metrics metrics = {0};
	Resolverd__Worker__Facts facts = RESOLVERD__WORKER__FACTS__INIT;
	Resolverd__V1__Host host = RESOLVERD__V1__HOST__INIT;
	(void)state;
	host.policy = RESOLVERD__V1__POLICY__DANE;
	host.tlsa_status = RESOLVERD__V1__TLSA_STATUS__TLSA_SECURE;
	facts.data_case = RESOLVERD__WORKER__FACTS__DATA_HOST;
	facts.host = &host;
	metrics_note_facts(&metrics, &facts, 7);
	host.policy = (Resolverd__V1__Policy)99;
	metrics_note_facts(&metrics, &facts, 7);
	metrics_note_failure(&metrics, RESOLVERD__V1__KIND__ROUTE);
	assert_int_equal(metrics.hosts_by_policy[RESOLVERD__V1__POLICY__DANE], 1);
	assert_int_equal(metrics.hosts_by_policy[0], 1);
	assert_int_equal(metrics.hosts_by_tlsa[RESOLVERD__V1__TLSA_STATUS__TLSA_SECURE], 2);
	assert_int_equal(metrics.routes_by_status[RESOLVERD__V1__STATUS__ERROR], 1);
	assert_int_equal(metrics.job_time.sum_ms, 14);
}

int main(void)
{
	struct test_list list = {0};
	ADD_ROWS(&list, bucket_cases, check_bucket);
	ADD_TEST(&list, facts_are_counted_by_what_they_say);
	return test_run("metrics", &list, NULL, NULL);
}
