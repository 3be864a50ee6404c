/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/frame.h"
#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"

#define TRACER_START_MS 3000 /* until it is asked for again */
#define TRACER_IDLE_MS 1000

static void on_hand_out(evutil_socket_t fd, short what, void *arg);

/* From wherever it is asked: the client is answered first, jobs go out after. */
static void on_work(void *arg)
{
	struct pool *pool = arg;
	event_active(&pool->hand_out, EV_TIMEOUT, 0);
}

int pool_init(struct pool *pool, struct event_base *base, struct conn_buffers *buffers,
    struct flight *flight, uint32_t workers, uint32_t deadline_ms)
{
	memset(pool, 0, sizeof *pool);
	pool->base = base;
	pool->buffers = buffers;
	pool->flight = flight;
	flight->on_work = on_work;
	flight->arg = pool;
	pool->workers_wanted = workers;
	pool->deadline_ms = deadline_ms;
	TAILQ_INIT(&pool->suspects);
	for (unsigned i = 0; i < POOL_PLACES; i++) {
		pool->workers[i].pool = pool;
		pool->workers[i].index = i;
		TAILQ_INIT(&pool->workers[i].in_flight);
	}
	return event_assign(&pool->hand_out, base, -1, 0, on_hand_out, pool) == 0 ? 0 : -ENOMEM;
}

static void drop_list(struct flight_jobs *list)
{
	struct flight_job *job;
	while ((job = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, job, link);
		free(job);
	}
}

void pool_fini(struct pool *pool)
{
	for (unsigned i = 0; i < POOL_PLACES; i++) {
		if (pool->workers[i].up)
			conn_fini(&pool->workers[i].conn);
		drop_list(&pool->workers[i].in_flight);
	}
	drop_list(&pool->suspects);
	event_del(&pool->hand_out);
	pool->flight->on_work = NULL;
}

/* ---- a job ends ---- */

/* job is in no list any more. Waiters may ask again from on_answer. */
static void finish(struct pool *pool, struct flight_job *job, void *answer)
{
	flight_end(pool->flight, job, answer);
	pool->release(pool->arg, answer);
}

static void fail(struct pool *pool, struct flight_job *job, const char *reason)
{
	finish(pool, job, pool->on_failure(pool->arg, job, reason));
}

/* ---- handing out ---- */

/* Its word beats the request's end. */
static uint32_t time_left_ms(const struct pool *pool, const struct flight_job *job)
{
	uint32_t ms = pool->deadline_ms - pool->deadline_ms / 10;
	return job->store_ms < ms / 2 ? ms - job->store_ms : ms / 2;
}

static bool give(struct pool *pool, struct pool_worker *worker, struct flight_job *job)
{
	Resolverd__Worker__Job message = RESOLVERD__WORKER__JOB__INIT;
	message.id = job->id;
	message.trace = job->trace;
	message.question = &job->question;
	message.deadline_ms = time_left_ms(pool, job);
	size_t bytes = resolverd__worker__job__get_packed_size(&message);
	uint8_t *out = conn_reserve(&worker->conn, FRAME_HEADER_BYTES + bytes);
	if (out == NULL)
		return false;
	frame_put_header(out, bytes);
	resolverd__worker__job__pack(&message, out + FRAME_HEADER_BYTES);
	conn_commit(&worker->conn, FRAME_HEADER_BYTES + bytes);
	job->given_at_ms = clock_mono_ms();
	TAILQ_INSERT_TAIL(&worker->in_flight, job, link);
	worker->in_flight_count++;
	return true;
}

static bool is_tracer(const struct pool_worker *worker)
{
	return worker->index == worker->pool->workers_wanted;
}

static bool is_held(const struct pool *pool)
{
	return pool->hold_reason != NULL && pool->hold_reason[0] != '\0';
}

static bool takes_jobs(const struct pool_worker *worker)
{
	return worker->up && worker->root_secure && !worker->alone && !worker->retiring &&
	       worker->in_flight_count < POOL_PER_WORKER_MAX;
}

/* The one to avoid only when there is no other. */
static struct pool_worker *least_busy(struct pool *pool, uint8_t avoid)
{
	struct pool_worker *best = NULL;
	if (is_held(pool))
		return NULL;
	for (unsigned i = 0; i < pool->workers_wanted; i++) {
		struct pool_worker *worker = &pool->workers[i];
		if (takes_jobs(worker) && (best == NULL || best->index == avoid ||
					      (worker->index != avoid &&
						  worker->in_flight_count < best->in_flight_count)))
			best = worker;
	}
	return best;
}

/* Suspects want a worker for themselves: the least busy is kept free of new jobs until it is idle.
 * With others up the rest goes on meanwhile. */
static struct pool_worker *ward_for_suspects(struct pool *pool)
{
	for (unsigned i = 0; i < pool->workers_wanted; i++)
		if (pool->workers[i].up && pool->workers[i].alone && !pool->workers[i].retiring)
			return &pool->workers[i];
	struct pool_worker *worker =
	    TAILQ_EMPTY(&pool->suspects) ? NULL : least_busy(pool, FLIGHT_NO_WORKER);
	if (worker != NULL)
		worker->alone = true;
	return worker;
}

/* Its view of the root need not be good: that is something to explain, too. */
static void hand_out_traces(struct pool *pool)
{
	struct pool_worker *tracer = &pool->workers[pool->workers_wanted];
	struct flight_job *job;
	if (TAILQ_EMPTY(&pool->flight->traces))
		return;
	if (!tracer->up && clock_mono_ms() - pool->tracer_busy_at_ms > TRACER_START_MS) {
		pool->tracer_busy_at_ms = clock_mono_ms();
		pool->on_tracer_wanted(pool->arg);
	}
	if (!tracer->up || !tracer->root_known || tracer->retiring)
		return;
	pool->tracer_busy_at_ms = clock_mono_ms();
	while ((job = flight_take_trace(pool->flight)) != NULL)
		if (!give(pool, tracer, job)) {
			flight_put_back(pool->flight, job, false);
			return;
		}
}

static bool is_taken(struct pool *pool, struct flight_job *job)
{
	return pool->on_take != NULL && pool->on_take(pool->arg, job);
}

static void hand_out(struct pool *pool)
{
	struct flight_job *job;
	hand_out_traces(pool);
	struct pool_worker *worker = ward_for_suspects(pool);
	if (worker != NULL && worker->in_flight_count == 0) {
		job = TAILQ_FIRST(&pool->suspects);
		if (job == NULL) {
			worker->alone = false;
		} else {
			TAILQ_REMOVE(&pool->suspects, job, link);
			if (!give(pool, worker, job))
				TAILQ_INSERT_HEAD(&pool->suspects, job, link);
		}
	}
	while (
	    least_busy(pool, FLIGHT_NO_WORKER) != NULL && (job = flight_take(pool->flight)) != NULL)
		if (!is_taken(pool, job) && !give(pool, least_busy(pool, job->avoid), job)) {
			flight_put_back(pool->flight, job, false);
			return;
		}
}

static void on_hand_out(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	hand_out(arg);
}

void pool_end(struct pool *pool, struct flight_job *job, void *answer)
{
	finish(pool, job, answer);
}

void pool_put_back(struct pool *pool, struct flight_job *job)
{
	flight_put_back(pool->flight, job, false);
	on_work(pool);
}

/* ---- renewal ---- */

static void retire(struct pool_worker *worker)
{
	if (!is_tracer(worker))
		log_info("worker-replaced", "worker %u (pid %d) is replaced", worker->index,
		    worker->pid);
	worker->retiring = true;
	if (worker->in_flight_count == 0)
		conn_close(&worker->conn);
}

/* A worker that validates leaves only once all that were started for this renewal do, so that a new
 * configuration or trust anchor that doesn't work takes nothing away. */
static void renew_next(struct pool *pool)
{
	bool unproven = false;
	for (unsigned i = 0; i < pool->workers_wanted; i++) {
		const struct pool_worker *worker = &pool->workers[i];
		unproven |=
		    !worker->up || worker->retiring || (!worker->outdated && !worker->root_secure);
	}
	for (unsigned i = 0; i < POOL_PLACES; i++) {
		struct pool_worker *worker = &pool->workers[i];
		if (!worker->up || !worker->outdated || worker->retiring ||
		    (unproven && worker->root_secure))
			continue;
		retire(worker);
		unproven = true;
	}
}

void pool_renew(struct pool *pool, bool at_once)
{
	for (unsigned i = 0; i < POOL_PLACES; i++) {
		struct pool_worker *worker = &pool->workers[i];
		worker->outdated = worker->up;
		if (!worker->up || !at_once)
			continue;
		if (!worker->retiring)
			retire(worker);
		worker->root_secure = worker->root_known = false;
		conn_close(&worker->conn);
	}
	renew_next(pool);
}

/* ---- what workers say ---- */

static void take_self_check(struct pool_worker *worker, const Resolverd__Worker__SelfCheck *check)
{
	bool secure = check->root_status == RESOLVERD__V1__STATUS__SECURE;
	if (!is_tracer(worker) && (!worker->root_known || secure != worker->root_secure)) {
		if (secure)
			log_info("worker-validates", "worker %u: the root key set validates",
			    worker->index);
		else
			log_error("worker-not-validating",
			    "worker %u: %s; nothing is delivered until it does: check the outgoing "
			    "DNS path and resolver.trust-anchor-file",
			    worker->index, check->reason);
	}
	worker->root_known = true;
	worker->root_secure = secure;
	hand_out(worker->pool); /* it may take jobs from now on */
	if (is_tracer(worker))
		return;
	if (!secure)
		snprintf(worker->pool->not_secure_reason, sizeof worker->pool->not_secure_reason,
		    "%s", check->reason);
	worker->pool->on_self_check(worker->pool->arg, check);
	renew_next(worker->pool);
}

static struct flight_job *in_flight_with_id(struct pool_worker *worker, uint64_t id)
{
	struct flight_job *job;
	TAILQ_FOREACH(job, &worker->in_flight, link)
	if (job->id == id)
		return job;
	return NULL;
}

static bool is_same_question(const Resolverd__V1__Question *a, const Resolverd__V1__Question *b)
{
	return a != NULL && a->kind == b->kind && a->port == b->port && a->type == b->type &&
	       strcmp(a->name, b->name) == 0;
}

static int on_frame(struct conn *conn, const uint8_t *body, size_t body_bytes)
{
	struct pool_worker *worker = conn->owner;
	struct pool *pool = worker->pool;
	Resolverd__Worker__Facts *facts = resolverd__worker__facts__unpack(NULL, body_bytes, body);
	int r = facts != NULL ? 0 : -EBADMSG;
	worker->heard_at_ms = clock_mono_ms();
	if (r == 0 && facts->data_case == RESOLVERD__WORKER__FACTS__DATA_SELF_CHECK) {
		take_self_check(worker, facts->self_check);
	} else if (r == 0) {
		struct flight_job *job = in_flight_with_id(worker, facts->id);
		if (job == NULL || !is_same_question(facts->question, &job->question)) {
			r = -EBADMSG;
		} else {
			TAILQ_REMOVE(&worker->in_flight, job, link);
			worker->in_flight_count--;
			pool->done_count++;
			finish(pool, job, pool->on_facts(pool->arg, job, facts, worker->index));
			hand_out(pool);
			if (is_tracer(worker) && worker->in_flight_count == 0 && !worker->retiring)
				retire(worker); /* the next one begins with empty caches again */
			if (worker->retiring && worker->in_flight_count == 0)
				conn_close(conn);
		}
	}
	resolverd__worker__facts__free_unpacked(facts, NULL);
	if (r != 0)
		log_error("worker-misbehaves",
		    "worker %u sent something that answers no job of its own: replaced",
		    worker->index);
	return r;
}

static void on_malformed(struct conn *conn, const char *what)
{
	struct pool_worker *worker = conn->owner;
	log_error("worker-misbehaves", "worker %u sent %s: replaced", worker->index, what);
}

/* It was in flight when a worker ended unasked, and may be why. */
static void rerun_suspect(struct pool *pool, struct flight_job *job)
{
	if (job->trace) { /* no other worker runs it */
		fail(pool, job, "the worker died while explaining it");
		return;
	}
	if (++job->deaths < 2) {
		pool->rerun_count++;
		TAILQ_INSERT_TAIL(&pool->suspects, job, link);
		return;
	}
	pool->quarantined_count++;
	log_error("quarantined",
	    "quarantined for failure-ttl: '%s': two workers died with it in flight",
	    job->question.name);
	fail(pool, job, "quarantined: two workers died while working on it");
}

/* The worker is gone, or we are done with it; the supervisor starts another. */
static void on_close(struct conn *conn)
{
	struct pool_worker *worker = conn->owner;
	struct pool *pool = worker->pool;
	struct flight_job *job;
	bool retired = worker->retiring;
	if (!retired)
		log_warning("worker-died",
		    "worker %u (pid %d) is gone with %u jobs in flight; they run again",
		    worker->index, worker->pid, worker->in_flight_count);
	conn_fini(conn);
	worker->up = worker->alone = worker->root_known = worker->root_secure = false;
	worker->outdated = worker->retiring = false;
	worker->in_flight_count = 0;
	if (is_tracer(worker)) /* the next one may be asked for at once */
		pool->tracer_busy_at_ms = clock_mono_ms() - TRACER_START_MS - 1;
	pool->worker_deaths += !retired;
	pool->on_gone(
	    pool->arg, worker->index, worker->pid, retired); /* in case it lives on without us */
	while ((job = TAILQ_FIRST(&worker->in_flight)) != NULL) {
		TAILQ_REMOVE(&worker->in_flight, job, link);
		if (retired)
			flight_put_back(pool->flight, job, true);
		else
			rerun_suspect(pool, job);
	}
	hand_out(pool);
}

static const struct conn_handler worker_handler = {
    .on_frame = on_frame, .on_malformed = on_malformed, .on_close = on_close};

void pool_worker_up(struct pool *pool, uint32_t index, int32_t pid, int fd)
{
	struct pool_worker *worker = &pool->workers[index];
	if (worker->up) /* its successor was faster than the end of its socket */
		on_close(&worker->conn);
	if (conn_init(&worker->conn, pool->base, pool->buffers, fd, FRAME_MAX_RESPONSE_BYTES,
		SIZE_MAX, &worker_handler, worker) != 0) {
		log_fatal("internal-link", "cannot watch the socket of worker %u", index);
		close(fd); /* it ends, and is started again */
		return;
	}
	worker->up = true;
	worker->pid = pid;
	worker->heard_at_ms = clock_mono_ms();
	hand_out(pool);
}

/* It looks at the root again and again and tells of it, so that one without jobs isn't silent. */
static bool is_stuck(const struct pool_worker *worker, int64_t now_mono_ms)
{
	const struct flight_job *oldest = TAILQ_FIRST(&worker->in_flight);
	int64_t patience_ms = worker->pool->deadline_ms + POOL_STUCK_GRACE_MS;
	return (oldest != NULL && now_mono_ms - oldest->given_at_ms > patience_ms) ||
	       now_mono_ms - worker->heard_at_ms > POOL_SILENT_MS + patience_ms;
}

void pool_tick(struct pool *pool, int64_t now_mono_ms)
{
	for (unsigned i = 0; i < POOL_PLACES; i++) {
		struct pool_worker *worker = &pool->workers[i];
		if (worker->up && is_stuck(worker, now_mono_ms)) {
			log_error("worker-stuck", "worker %u (pid %d) is stuck: replaced",
			    worker->index, worker->pid);
			conn_close(&worker->conn);
		}
	}
	struct pool_worker *tracer = &pool->workers[pool->workers_wanted];
	if (tracer->up && !tracer->retiring && tracer->in_flight_count == 0 &&
	    now_mono_ms - pool->tracer_busy_at_ms > TRACER_IDLE_MS)
		retire(tracer); /* whoever wanted it is gone */
	renew_next(pool);
	hand_out(pool); /* what was held may go on */
}

bool pool_is_ready(const struct pool *pool, const char **ret_reason)
{
	bool any_known = false;
	if (is_held(pool)) {
		*ret_reason = pool->hold_reason;
		return false;
	}
	for (unsigned i = 0; i < pool->workers_wanted; i++) {
		const struct pool_worker *worker = &pool->workers[i];
		if (worker->up && worker->root_secure)
			return true;
		any_known |= worker->up && worker->root_known;
	}
	*ret_reason = any_known                   ? pool->not_secure_reason
		      : pool_workers_up(pool) > 0 ? "the root key set is not validated yet"
						  : "no worker is up";
	return false;
}

uint32_t pool_jobs_running(const struct pool *pool)
{
	uint32_t count = 0;
	for (unsigned i = 0; i < POOL_PLACES; i++)
		count += pool->workers[i].up ? pool->workers[i].in_flight_count : 0;
	return count;
}

uint32_t pool_workers_up(const struct pool *pool)
{
	uint32_t count = 0;
	for (unsigned i = 0; i < pool->workers_wanted; i++)
		count += pool->workers[i].up;
	return count;
}
