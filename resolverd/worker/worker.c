/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/worker/worker.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "proto/frame.h"
#include "resolverd/base/clock.h"
#include "resolverd/base/conn.h"
#include "resolverd/base/log.h"
#include "resolverd/base/role.h"
#include "resolverd/base/sandbox.h"
#include "resolverd/worker/job.h"
#include "resolverd/worker/resolver.h"
#include "resolverd/worker/selfcheck.h"
#include "resolverd/worker/zones.h"

#define PER_ZONE_MAX 192u
#define FACTS_MAX_BYTES (FRAME_MAX_RESPONSE_BYTES - 1024u)

struct worker {
	struct event_base *base;
	struct ub_ctx *resolver;
	struct conn_buffers buffers;
	struct conn server;
	struct jobs jobs;
	struct selfcheck self_check;
	struct config_zone *insecure_zones;
	const struct config *config;
};

struct lookup {
	struct job *job;
	unsigned slot;
};

/* ---- libunbound ---- */

static void on_lookup(
    void *arg, int rcode, void *packet, int packet_bytes, int sec, char *why, int was_ratelimited)
{
	struct lookup lookup = *(struct lookup *)arg;
	const struct worker *worker = lookup.job->jobs->arg;
	(void)was_ratelimited;
	free(arg);
	/* Without a validated root everything looks unsigned: that proves nothing. */
	if (rcode == 0 && sec == 0 && !worker->self_check.root_secure)
		job_lookup_done(lookup.job, lookup.slot, NULL, 0, RESOLVERD__V1__STATUS__ERROR,
		    ns_r_servfail, "the root key set does not validate", 0);
	else if (rcode != 0 || packet == NULL || packet_bytes <= 0)
		job_lookup_done(lookup.job, lookup.slot, NULL, 0,
		    sec == 1 ? RESOLVERD__V1__STATUS__BOGUS : RESOLVERD__V1__STATUS__ERROR,
		    rcode != 0 ? rcode : ns_r_servfail,
		    why != NULL ? why : "the name servers failed or could not be reached", 0);
	else
		job_lookup_done(lookup.job, lookup.slot, packet, (size_t)packet_bytes,
		    resolver_status_of(sec), rcode, why, clock_wall_ms());
}

static void start_lookup(void *arg, struct job *job, unsigned slot, const char *name, int type)
{
	struct worker *worker = arg;
	struct lookup *lookup = malloc(sizeof *lookup);
	int r = UB_NOMEM;
	if (lookup != NULL) {
		*lookup = (struct lookup){job, slot};
		r = ub_resolve_event(
		    worker->resolver, name, type, ns_c_in, lookup, on_lookup, NULL);
	}
	if (r != 0) {
		free(lookup);
		job_lookup_done(job, slot, NULL, 0, RESOLVERD__V1__STATUS__ERROR, ns_r_servfail,
		    ub_strerror(r), 0);
	}
}

/* ---- to and from the server ---- */

static void send_facts(struct worker *worker, const Resolverd__Worker__Facts *facts)
{
	size_t bytes = resolverd__worker__facts__get_packed_size(facts);
	uint8_t *out = conn_reserve(&worker->server, FRAME_HEADER_BYTES + bytes);
	if (out == NULL)
		return;
	frame_put_header(out, bytes);
	resolverd__worker__facts__pack(facts, out + FRAME_HEADER_BYTES);
	conn_commit(&worker->server, FRAME_HEADER_BYTES + bytes);
}

static void on_job_done(void *arg, struct job *job)
{
	struct worker *worker = arg;
	Resolverd__Worker__Facts *facts = &job->inquiry.facts;
	facts->id = job->id;
	/* TTLs run from the first lookup on, not from when the last one was done. */
	uint64_t spent_ms =
	    job->state == JOB_RUNS ? (uint64_t)(clock_mono_ms() - job->started_at_ms) : 0;
	if (facts->life_ms != UINT64_MAX)
		facts->life_ms -= spent_ms < facts->life_ms ? spent_ms : facts->life_ms;
	/* What is larger than a response cannot be told; the server needs an answer all the same.
	 */
	if (resolverd__worker__facts__get_packed_size(facts) > FACTS_MAX_BYTES)
		facts->n_lookups = 0;
	if (facts->data_case == RESOLVERD__WORKER__FACTS__DATA_RECORDS &&
	    resolverd__worker__facts__get_packed_size(facts) > FACTS_MAX_BYTES) {
		facts->records->n_answer = facts->records->n_chain = facts->records->n_authority =
		    0;
		inquiry_give_up(
		    &job->inquiry, RESOLVERD__V1__STATUS__ERROR, "the answer is too large");
	}
	send_facts(worker, facts);
}

static int on_frame(struct conn *conn, const uint8_t *body, size_t body_bytes)
{
	struct worker *worker = conn->owner;
	Resolverd__Worker__Job *job = resolverd__worker__job__unpack(NULL, body_bytes, body);
	int r = -EBADMSG;
	if (job != NULL && job->question != NULL)
		r = jobs_add(&worker->jobs, job);
	resolverd__worker__job__free_unpacked(job, NULL);
	if (r != 0)
		log_fatal("internal-link", "cannot take a job: %s", strerror(-r));
	return r;
}

static void on_malformed(struct conn *conn, const char *what)
{
	(void)conn;
	log_fatal("internal-link", "the server sent %s", what);
}

static void on_close(struct conn *conn)
{
	struct worker *worker = conn->owner;
	event_base_loopbreak(worker->base);
}

static const struct conn_handler server_handler = {
    .on_frame = on_frame, .on_malformed = on_malformed, .on_close = on_close};

static void send_self_check(void *arg, const Resolverd__Worker__SelfCheck *check)
{
	Resolverd__Worker__Facts facts = RESOLVERD__WORKER__FACTS__INIT;
	facts.data_case = RESOLVERD__WORKER__FACTS__DATA_SELF_CHECK;
	facts.self_check = (Resolverd__Worker__SelfCheck *)(uintptr_t)check;
	send_facts(arg, &facts);
}

/* ---- start ---- */

static int take_policy(struct worker *worker, const struct config *config, int64_t now_ms)
{
	struct inquiry_policy *policy = &worker->jobs.policy;
	*policy = (struct inquiry_policy){
	    .digests = config->resolver.digests, .digest_count = config->resolver.digest_count};
	worker->insecure_zones = calloc(config->zone_count + 1, sizeof *worker->insecure_zones);
	if (worker->insecure_zones == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < config->zone_count; i++)
		if (config_zone_is_insecure(&config->zones[i], now_ms))
			worker->insecure_zones[policy->insecure_zone_count++] = config->zones[i];
	policy->insecure_zones = worker->insecure_zones;
	return 0;
}

/* While libunbound does not start, for want of a good anchor file, say, it is tried again, and
 * reads its files again. */
static void confine(void *arg)
{
	const struct worker *worker = arg;
	if (sandbox_enter(&(struct sandbox){.role = SANDBOX_WORKER}, worker->config) != 0)
		_exit(EX_OSERR);
}

int worker_main(const struct config *config, unsigned index)
{
	char error[300], role[32];
	snprintf(role, sizeof role, "worker %u", index);
	log_open(role);
	sandbox_raise_limits();
	int64_t now_ms = clock_wall_ms();
	struct worker *worker = calloc(1, sizeof *worker);
	if (worker == NULL || (worker->base = event_base_new()) == NULL) {
		log_fatal("no-memory", "out of memory");
		return EX_OSERR;
	}
	int r = resolver_new(worker->base, config, now_ms, error, sizeof error, &worker->resolver);
	if (r != 0) {
		log_fatal("configuration", "%s", error);
		event_base_free(worker->base);
		free(worker);
		return r == -ENOMEM ? EX_OSERR : EX_CONFIG;
	}
	jobs_init(&worker->jobs, worker->base,
	    &(struct job_limits){
		.running_max = resolver_jobs_max(config), .per_zone_max = PER_ZONE_MAX});
	worker->jobs.lookup = start_lookup;
	worker->jobs.done = on_job_done;
	worker->jobs.arg = worker;
	if (take_policy(worker, config, now_ms) != 0 || conn_buffers_init(&worker->buffers) != 0 ||
	    conn_init(&worker->server, worker->base, &worker->buffers, ROLE_FD_CHANNEL,
		FRAME_MAX_REQUEST_BYTES, SIZE_MAX, &server_handler, worker) != 0) {
		log_fatal("internal-link", "cannot watch the server's socket");
		return EX_OSERR;
	}
	worker->config = config;
	selfcheck_start(&worker->self_check, worker->base, worker->resolver, config,
	    send_self_check, confine, worker);
	event_base_dispatch(worker->base);
	/* The process ends here: libunbound's lookups in flight end with it. */
	_exit(0);
}

static void on_nothing(
    void *arg, int rcode, void *packet, int packet_bytes, int sec, char *why, int was_ratelimited)
{
	(void)arg, (void)rcode, (void)packet, (void)packet_bytes, (void)sec, (void)why;
	(void)was_ratelimited;
}

int worker_check(const struct config *config, char *error, size_t error_bytes)
{
	struct event_base *base = event_base_new();
	struct ub_ctx *resolver = NULL;
	snprintf(error, error_bytes, "out of memory");
	int r = base == NULL
		    ? -ENOMEM
		    : resolver_new(base, config, clock_wall_ms(), error, error_bytes, &resolver);
	if (r ==
	    0) { /* the first lookup shows what libunbound makes of it all; it is not waited for */
		int refused =
		    ub_resolve_event(resolver, ".", ns_t_ns, ns_c_in, NULL, on_nothing, NULL);
		if (refused != 0)
			snprintf(error, error_bytes,
			    "libunbound does not start with this configuration: %s",
			    ub_strerror(refused));
		r = refused != 0 ? -EINVAL : 0;
		ub_ctx_delete(resolver);
	}
	if (base != NULL)
		event_base_free(base);
	return r;
}
