/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/metrics.h"

#define V1(name) RESOLVERD__V1__##name

static uint32_t bounds_ms[HISTOGRAM_BOUNDS] = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000};

void histogram_note(struct histogram *histogram, int64_t took_ms)
{
	unsigned i = 0;
	uint64_t ms = took_ms > 0 ? (uint64_t)took_ms : 0;
	while (i < HISTOGRAM_BOUNDS && ms > bounds_ms[i])
		i++;
	histogram->counts[i]++;
	histogram->sum_ms += ms;
}

static void count(uint64_t *counts, unsigned kinds, int value)
{
	counts[value > 0 && (unsigned)value < kinds ? value : 0]++;
}

static void count_host(struct metrics *metrics, int policy, int tlsa_status)
{
	count(metrics->hosts_by_policy, METRICS_POLICIES, policy);
	count(metrics->hosts_by_tlsa, METRICS_TLSA_STATUSES, tlsa_status);
}

void metrics_note_facts(
    struct metrics *metrics, const Resolverd__Worker__Facts *facts, int64_t took_ms)
{
	histogram_note(&metrics->job_time, took_ms);
	switch (facts->data_case) {
	case RESOLVERD__WORKER__FACTS__DATA_ROUTE:
		count(metrics->routes_by_status, METRICS_STATUSES, (int)facts->route->mx_status);
		return;
	case RESOLVERD__WORKER__FACTS__DATA_HOST:
		count_host(metrics, (int)facts->host->policy, (int)facts->host->tlsa_status);
		return;
	case RESOLVERD__WORKER__FACTS__DATA_RECORDS:
		count(metrics->records_by_status, METRICS_STATUSES, (int)facts->records->status);
		return;
	default:
		return;
	}
}

void metrics_note_failure(struct metrics *metrics, int kind)
{
	if (kind == V1(KIND__ROUTE))
		count(metrics->routes_by_status, METRICS_STATUSES, V1(STATUS__ERROR));
	else if (kind == V1(KIND__HOST))
		count_host(metrics, V1(POLICY__UNREACHABLE), V1(TLSA_STATUS__TLSA_NOT_QUERIED));
	else
		count(metrics->records_by_status, METRICS_STATUSES, V1(STATUS__ERROR));
}

static void tell_histogram(struct histogram *histogram, Resolverd__V1__Histogram *message)
{
	resolverd__v1__histogram__init(message);
	message->bounds_ms = bounds_ms;
	message->n_bounds_ms = HISTOGRAM_BOUNDS;
	message->counts = histogram->counts;
	message->n_counts = HISTOGRAM_BOUNDS + 1;
	message->sum_ms = histogram->sum_ms;
}

void metrics_tell(struct metrics *metrics, Resolverd__V1__Metrics *message,
    Resolverd__V1__Histogram *job_time, Resolverd__V1__Histogram *wait_time)
{
	message->hosts_by_policy = metrics->hosts_by_policy;
	message->n_hosts_by_policy = METRICS_POLICIES;
	message->hosts_by_tlsa = metrics->hosts_by_tlsa;
	message->n_hosts_by_tlsa = METRICS_TLSA_STATUSES;
	message->routes_by_status = metrics->routes_by_status;
	message->n_routes_by_status = METRICS_STATUSES;
	message->records_by_status = metrics->records_by_status;
	message->n_records_by_status = METRICS_STATUSES;
	tell_histogram(&metrics->job_time, job_time);
	tell_histogram(&metrics->wait_time, wait_time);
	message->job_time = job_time;
	message->wait_time = wait_time;
}
