/* SPDX-License-Identifier: BSD-3-Clause */
/* The self-check with a libunbound played by the test: what it makes of each kind of answer. */
#include <string.h>

#include <event2/event.h>
#include <unbound-event.h>

#include "resolverd/worker/selfcheck.h"
#include "tests/unit/test.h"

#define HEADER_BYTES 12
#define NOERROR 0
#define SERVFAIL 2
#define NXDOMAIN 3

enum { INSECURE, BOGUS, SECURE }; /* as libunbound says it */

static struct asked {
	void *arg;
	ub_event_callback_type callback;
	int type;
} asked; /* the last lookup */

/* Takes the place of libunbound's. */
int ub_resolve_event(struct ub_ctx *ctx, const char *name, int rrtype, int rrclass, void *mydata,
    ub_event_callback_type callback, int *async_id)
{
	(void)ctx, (void)name, (void)rrclass, (void)async_id;
	asked = (struct asked){mydata, callback, rrtype};
	return 0;
}

static void answer(int rcode, int rcode_of_packet, int sec)
{
	uint8_t packet[HEADER_BYTES] = {[3] = (uint8_t)rcode_of_packet};
	asked.callback(asked.arg, rcode, packet, sizeof packet, sec, NULL, 0);
}

static struct seen {
	Resolverd__V1__Status root, canary;
} seen;

static void on_report(void *arg, const Resolverd__Worker__SelfCheck *check)
{
	(void)arg;
	seen = (struct seen){check->root_status, check->canaries[0]->seen};
}

static void on_started(void *arg)
{
	++*(unsigned *)arg;
}

/* What the self-check reports after these answers for the root's keys and for the one canary. */
static struct seen report_after(
    const int root[static 3], const int canary[static 3], bool *ret_root_secure)
{
	struct config_canary name = {
	    .name = (char[]){"canary.example"}, .expected = V1(STATUS__INSECURE)};
	struct config config = {
	    .resolver = {.forward = (char *[]){NULL}, .canaries = &name, .canary_count = 1}};
	struct event_base *base = event_base_new();
	struct selfcheck check;
	asked = (struct asked){0};
	unsigned started = 0;
	selfcheck_start(&check, base, NULL, &config, on_report, on_started, &started);
	assert_int_equal(started, 1);
	assert_int_equal(asked.type, 48); /* DNSKEY */
	answer(root[0], root[1], root[2]);
	if (check.root_secure)
		answer(canary[0], canary[1], canary[2]);
	*ret_root_secure = check.root_secure;
	event_del(&check.timer);
	event_base_free(base);
	return seen;
}

static const struct row {
	const char *name;
	int answer[3]; /* the callback's code, the message's, the status */
	Resolverd__V1__Status want;
} rows[] = {
    {"secure_data", {NOERROR, NOERROR, SECURE}, V1(STATUS__SECURE)},
    {"a_secure_denial", {NOERROR, NXDOMAIN, SECURE}, V1(STATUS__SECURE)},
    {"insecure_data", {NOERROR, NOERROR, INSECURE}, V1(STATUS__INSECURE)},
    {"bogus_data", {NOERROR, NOERROR, BOGUS}, V1(STATUS__BOGUS)},
    {"bogus_data_without_an_answer", {SERVFAIL, NOERROR, BOGUS}, V1(STATUS__BOGUS)},
    {"a_failure", {SERVFAIL, NOERROR, INSECURE}, V1(STATUS__ERROR)},
    {"a_remembered_failure_is_not_insecure", {NOERROR, SERVFAIL, INSECURE}, V1(STATUS__ERROR)},
};

static void check_row(void **state)
{
	const struct row *row = *state;
	static const int good[3] = {NOERROR, NOERROR, SECURE};
	bool root_secure;
	assert_int_equal(report_after(good, row->answer, &root_secure).canary, row->want);
	assert_true(root_secure);
	assert_int_equal(report_after(row->answer, good, &root_secure).root, row->want);
	assert_int_equal(root_secure, row->want == V1(STATUS__SECURE));
}

int main(void)
{
	static struct test_list list;
	ADD_ROWS(&list, rows, check_row);
	return test_run("selfcheck", &list, NULL, NULL);
}
