/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server role as it starts, with what clients and workers send it. The first octet of an input
 * says which: the rest is what a client sends, on the socket for clients or the control socket; or
 * it is a worker's facts, one after the other (length, bytes), given as they are or, so that they
 * get further, with the id and the question of a job that was asked for before. Whatever comes,
 * what goes out is frames with a Response in them, each answer is of the question it says, and
 * nothing is left behind.
 */
#include "resolverd/server/server.c" /* its start, which is static there */
#include <fcntl.h>
#include <sys/un.h>

#include "proto/frame.h"
#include "resolverd/supervisor/longterm.h"
#include "tests/fuzz/fuzz.h"

#define TURNS 6
#define JOBS_MAX 32u
#define DELEGATION_MS 86400000
#define OUT_BYTES (1u << 20)

enum { CONTROL = 1, WORKER = 2, OF_A_JOB = 4, IN_PARTS = 8 };

static struct server server;
static struct config config;
static struct longterm longterm;
static int channel; /* the supervisor's end */
static uint8_t out[OUT_BYTES];

/* In place of log.c's: a fuzzer makes much that is worth a line. */
void log_open(const char *role)
{
	(void)role;
}

void log_line(enum log_level level, const char *event, const struct log_field *fields,
    size_t field_count, const char *format, ...)
{
	(void)level, (void)event, (void)fields, (void)field_count, (void)format;
}

void log_always(enum log_level level, const char *event, const struct log_field *fields,
    size_t field_count, const char *format, ...)
{
	(void)level, (void)event, (void)fields, (void)field_count, (void)format;
}

/* ---- the supervisor ---- */

static void supervise(void)
{
	struct link_message message, answer = {.type = LINK_DELEGATION};
	int fd;
	while (link_receive(channel, &message, &fd) == 1) {
		if (message.type != LINK_DELEGATE)
			continue;
		answer.bytes_count = (uint32_t)longterm_delegate(&longterm, "fuzz", DELEGATION_MS,
		    message.bytes, clock_wall_ms(), answer.bytes, sizeof answer.bytes);
		must(answer.bytes_count > 0 && link_send(channel, &answer, -1) == 0);
	}
}

static void run(void)
{
	for (unsigned i = 0; i < TURNS; i++) {
		must(event_base_loop(server.base, EVLOOP_NONBLOCK) >= 0);
		supervise();
	}
}

static void listen_at(int place)
{
	struct sockaddr_un none = {.sun_family = AF_UNIX}; /* the kernel finds a name for it */
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	must(fd >= 0 && bind(fd, (struct sockaddr *)&none, sizeof none.sun_family) == 0);
	must(listen(fd, 1) == 0 && dup2(fd, place) == place);
	if (fd != place)
		close(fd);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const set[] = {"signing.member=fuzz", "resolver.workers=1",
	    "cache.max-memory=64M", "cache.snapshot-interval=0", NULL};
	static const struct config_source source = {.set = set};
	struct link_message access = {
	    .type = LINK_ACCESS, .bytes_count = sizeof(struct access_list)};
	char directory[] = "/tmp/resolverd-fuzz-XXXXXX", error[700] = "";
	int pair[2];
	(void)argc, (void)argv;
	signal(SIGPIPE, SIG_IGN);
	must(sodium_init() >= 0 && mkdtemp(directory) != NULL);
	must(config_parse(&source, error, sizeof error, &config) == 0);
	must(longterm_open(&longterm, &config, directory, true, error, sizeof error) == 0);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	channel = fcntl(pair[0], F_DUPFD_CLOEXEC, 64);
	must(channel >= 0 && dup2(pair[1], ROLE_FD_CHANNEL) == ROLE_FD_CHANNEL);
	evutil_make_socket_nonblocking(channel);
	listen_at(ROLE_FD_LISTEN);
	listen_at(ROLE_FD_CONTROL);
	server.config = &config;
	server.source = &source;
	LIST_INIT(&server.sessions);
	peers_init(&server.peers, &config);
	server.base = new_loop();
	must(server.base != NULL && server_start(&server) == 0);
	must(link_send(channel, &access, -1) == 0);
	run();
	must(server.acceptor.lets_clients_in);
	return 0;
}

/* ---- the worker ---- */

struct worker {
	int fd;
	struct {
		uint64_t id;
		Resolverd__V1__Kind kind;
		Resolverd__V1__Question *question;
	} jobs[JOBS_MAX];
	unsigned job_count;
};

static void give(int fd, const uint8_t *body, size_t bytes)
{
	uint8_t header[FRAME_HEADER_BYTES];
	frame_put_header(header, bytes);
	/* The server may have ended it. */
	(void)!send(fd, header, sizeof header, MSG_NOSIGNAL);
	(void)!send(fd, body, bytes, MSG_NOSIGNAL);
}

static void take_jobs(struct worker *worker)
{
	struct frame frame;
	ssize_t n = recv(worker->fd, out, sizeof out, MSG_DONTWAIT);
	for (size_t at = 0; n > 0 && at < (size_t)n; at += frame.whole_bytes) {
		must(frame_parse(out + at, (size_t)n - at, FRAME_MAX_REQUEST_BYTES, &frame) ==
		     FRAME_COMPLETE);
		Resolverd__Worker__Job *job =
		    resolverd__worker__job__unpack(NULL, frame.body_bytes, frame.body);
		must(job != NULL && job->question != NULL);
		if (worker->job_count < JOBS_MAX) {
			worker->jobs[worker->job_count].id = job->id;
			worker->jobs[worker->job_count].kind = job->question->kind;
			worker->jobs[worker->job_count++].question = job->question;
			job->question = NULL;
		}
		resolverd__worker__job__free_unpacked(job, NULL);
	}
}

static void tell_secure(const struct worker *worker)
{
	Resolverd__Worker__Facts facts = RESOLVERD__WORKER__FACTS__INIT;
	Resolverd__Worker__SelfCheck check = RESOLVERD__WORKER__SELF_CHECK__INIT;
	uint8_t packed[64];
	check.root_status = RESOLVERD__V1__STATUS__SECURE;
	facts.data_case = RESOLVERD__WORKER__FACTS__DATA_SELF_CHECK;
	facts.self_check = &check;
	give(worker->fd, packed, resolverd__worker__facts__pack(&facts, packed));
}

static void ask(int client, unsigned id, Resolverd__V1__Request__BodyCase which)
{
	static char next_hop[] = "example.org", host[] = "mx.example.org";
	Resolverd__V1__Request request = RESOLVERD__V1__REQUEST__INIT;
	Resolverd__V1__PlanRequest plan = RESOLVERD__V1__PLAN_REQUEST__INIT;
	Resolverd__V1__HostRequest of_host = RESOLVERD__V1__HOST_REQUEST__INIT;
	Resolverd__V1__RecordsRequest records = RESOLVERD__V1__RECORDS_REQUEST__INIT;
	uint8_t packed[128];
	plan.next_hop = records.name = next_hop;
	of_host.name = host;
	records.type = 15;
	request.id = id;
	request.body_case = which;
	if (which == RESOLVERD__V1__REQUEST__BODY_PLAN)
		request.plan = &plan;
	else if (which == RESOLVERD__V1__REQUEST__BODY_HOST)
		request.host = &of_host;
	else
		request.records = &records;
	give(client, packed, resolverd__v1__request__pack(&request, packed));
}

/* Facts that answer one of the jobs, if they can. */
static void give_facts(struct worker *worker, const uint8_t *bytes, size_t count)
{
	Resolverd__Worker__Facts *facts = resolverd__worker__facts__unpack(NULL, count, bytes);
	if (facts == NULL) {
		give(worker->fd, bytes, count);
		return;
	}
	Resolverd__V1__Kind kind = facts->data_case == RESOLVERD__WORKER__FACTS__DATA_ROUTE
				       ? RESOLVERD__V1__KIND__ROUTE
				   : facts->data_case == RESOLVERD__WORKER__FACTS__DATA_HOST
				       ? RESOLVERD__V1__KIND__HOST
				       : RESOLVERD__V1__KIND__RECORDS;
	for (unsigned i = 0; i < worker->job_count; i++)
		if (worker->jobs[i].kind == kind && worker->jobs[i].id != 0) {
			Resolverd__V1__Question *own = facts->question;
			size_t bytes_max;
			uint8_t *packed;
			facts->id = worker->jobs[i].id;
			facts->question = worker->jobs[i].question;
			bytes_max = resolverd__worker__facts__get_packed_size(facts);
			packed = malloc(bytes_max);
			must(packed != NULL);
			give(worker->fd, packed, resolverd__worker__facts__pack(facts, packed));
			free(packed);
			facts->question = own;
			worker->jobs[i].id = 0;
			break;
		}
	resolverd__worker__facts__free_unpacked(facts, NULL);
}

static void from_worker(struct input *input, unsigned choices, int client)
{
	struct worker worker = {0};
	int pair[2];
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	worker.fd = pair[0];
	pool_worker_up(&server.pool, 0, 4242, pair[1]);
	tell_secure(&worker);
	ask(client, 1, RESOLVERD__V1__REQUEST__BODY_PLAN);
	ask(client, 2, RESOLVERD__V1__REQUEST__BODY_HOST);
	ask(client, 3, RESOLVERD__V1__REQUEST__BODY_RECORDS);
	run();
	for (unsigned i = 0; i < JOBS_MAX && input_left(input) > 0; i++) {
		size_t bytes;
		take_jobs(&worker);
		const uint8_t *facts = take_bytes(input, &bytes);
		if (choices & OF_A_JOB)
			give_facts(&worker, facts, bytes);
		else
			give(worker.fd, facts, bytes);
		run();
	}
	close(worker.fd);
	run();
	for (unsigned i = 0; i < worker.job_count; i++)
		resolverd__v1__question__free_unpacked(worker.jobs[i].question, NULL);
	must(pool_workers_up(&server.pool) == 0);
}

/* ---- the client ---- */

static void check_answer(const Resolverd__V1__SignedAnswer *from)
{
	Resolverd__V1__Answer *answer =
	    resolverd__v1__answer__unpack(NULL, from->answer.len, from->answer.data);
	must(answer != NULL && answer->question != NULL);
	must(answer->data_case != RESOLVERD__V1__ANSWER__DATA__NOT_SET);
	must((answer->question->kind == RESOLVERD__V1__KIND__ROUTE) ==
	     (answer->data_case == RESOLVERD__V1__ANSWER__DATA_ROUTE));
	must(from->signature.len == crypto_sign_BYTES && from->key_id.len == 8);
	must(answer->expires_at > answer->validated_at);
	/* Nothing that failed may lead to a delivery (RFC 7672 section 2.1.1). */
	if (answer->data_case == RESOLVERD__V1__ANSWER__DATA_HOST &&
	    (answer->host->address_status == RESOLVERD__V1__STATUS__BOGUS ||
		answer->host->address_status == RESOLVERD__V1__STATUS__ERROR))
		must(answer->host->policy == RESOLVERD__V1__POLICY__UNREACHABLE);
	resolverd__v1__answer__free_unpacked(answer, NULL);
}

/* Everything that came is whole, but for the last frame when it does not fit. */
static void read_responses(int client)
{
	struct frame frame;
	ssize_t n = recv(client, out, sizeof out, MSG_DONTWAIT);
	for (size_t at = 0; n > 0 && at < (size_t)n; at += frame.whole_bytes) {
		enum frame_result result =
		    frame_parse(out + at, (size_t)n - at, FRAME_MAX_RESPONSE_BYTES, &frame);
		if (result == FRAME_NEED_MORE)
			return;
		must(result == FRAME_COMPLETE);
		Resolverd__V1__Response *response =
		    resolverd__v1__response__unpack(NULL, frame.body_bytes, frame.body);
		must(response != NULL);
		for (size_t i = 0; i < response->n_answers; i++)
			check_answer(response->answers[i]);
		resolverd__v1__response__free_unpacked(response, NULL);
	}
}

static void from_client(struct input *input, unsigned choices, int client)
{
	while (input_left(input) > 0) {
		size_t bytes = choices & IN_PARTS ? 1u + take_octet(input) : input_left(input);
		if (bytes > input_left(input))
			bytes = input_left(input);
		if (send(client, input->at, bytes, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		input->at += bytes;
		run();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct input input = {data, data + bytes};
	unsigned choices = take_octet(&input);
	int pair[2];
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	session_open(&server, pair[1], choices & CONTROL);
	if (choices & WORKER)
		from_worker(&input, choices, pair[0]);
	else
		from_client(&input, choices, pair[0]);
	read_responses(pair[0]);
	close(pair[0]);
	run();
	must(LIST_EMPTY(&server.sessions) && server.session_count == 0);
	forget_all(&server);
	flight_clear(&server.flight);
	return 0;
}
