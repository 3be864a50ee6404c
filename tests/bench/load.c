/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Load on a framed Unix socket: N connections, each with M requests in flight; every response at
 * once makes room for the next request. One thread. Prints one JSON object: responses per second,
 * latency of single requests in microseconds (within 4 %), bytes of a response.
 *
 *     bench-load --socket S (--request FILE | --next-hop NAME | --host NAME | --once FILE)
 *                [--numbers N [--in-order]] [--nonce] [--clients N] [--idle N] [--pipeline M]
 *                [--seconds T] [--count N] [--rate R] [--hold]
 *
 * --request   a serialized Request, sent again and again (its id is replaced)
 * --next-hop  the same with the plan of this next hop
 * --host      the same with this host
 * --once      the plan of each next hop of the file, one a line, once; T is then the time limit
 * --numbers   the run of # in NAME is a number below N, another one each time: random, or (with
 *             --in-order) each once; T is then the time limit
 * --nonce     each request asks for an attestation, with a nonce of its own
 * --idle      so many connections more, that say nothing
 * --count     the end after so many requests; T is then the time limit
 * --rate      requests a second that fall due whatever the server does, for the clients in turn;
 *             latency counts from when a request was due
 * --hold      opens the connections, prints a line and waits for the end of stdin
 *
 * Exit 1 when a response is an error, has another length than the first (where all must have one),
 * answers nothing that was asked, or none comes for ten seconds.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/attestation.h"
#include "proto/frame.h"
#include "resolverd.pb-c.h"

#define IN_BYTES (2u * FRAME_MAX_RESPONSE_BYTES)
#define PIPELINE_MAX 256u /* requests so few and short never fill a socket buffer */
#define CLIENTS_MAX 65536u
#define PATIENCE_S 10
#define FIRST_ID                                                                                   \
	16384u /* ids from here have three bytes: requests and responses keep their length */
#define ID_BYTES 3u

struct client {
	int fd;
	size_t rest_bytes; /* of a response that is not all there */
	uint8_t *rest;
	uint8_t *out;
	uint32_t free_count;
	uint16_t *free_slots;
	uint64_t *sent_ns; /* by slot, 0: not in flight; the id is FIRST_ID + slot */
	uint64_t turn;     /* --rate: its next request is the one with this number */
};

struct load {
	uint8_t frame[FRAME_HEADER_BYTES + FRAME_MAX_REQUEST_BYTES]; /* repeated, with any id */
	size_t frame_bytes;
	size_t digits_at, digit_count, nonce_at; /* in frame; 0: none */
	FILE *names;                             /* --once: where the next requests come from */
	uint64_t numbers, random, limit;         /* limit: of requests; 0: none */
	bool in_order;
	double seconds;
	uint64_t begin_ns;
	double gap_ns; /* --rate: from one request to the next; 0: closed loop */
	uint32_t client_count, pipeline;
	struct client *clients;
	uint64_t sent, received, histogram[64 * 32];
	size_t response_bytes;
	bool varies; /* responses in size */
	uint8_t in[IN_BYTES];
};

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void *allocate(size_t count, size_t bytes)
{
	void *memory = calloc(count, bytes);
	if (memory == NULL)
		die("load: memory");
	return memory;
}

/* ---- latencies: 32 steps for each power of two ---- */

static size_t step_of(uint64_t ns)
{
	unsigned power = ns < 32 ? 0 : 63u - (unsigned)__builtin_clzll(ns) - 5u;
	return (size_t)power * 32 + (size_t)(ns >> power);
}

static double percentile_us(const struct load *load, double share)
{
	uint64_t wanted = (uint64_t)((double)load->received * share), seen = 0;
	for (size_t step = 0; step < sizeof load->histogram / sizeof load->histogram[0]; step++) {
		seen += load->histogram[step];
		if (seen > wanted) {
			size_t power = step < 64 ? 0 : step / 32 - 1;
			return (double)((uint64_t)(step - power * 32) << power) / 1000;
		}
	}
	return 0;
}

/* ---- requests ---- */

/* Where this stands in the frame, once only. */
static size_t place_of(const struct load *load, const void *bytes, size_t count)
{
	const uint8_t *at = memmem(load->frame, load->frame_bytes, bytes, count);
	if (at == NULL) {
		fprintf(stderr, "load: the request lost a part of itself\n");
		exit(1);
	}
	return (size_t)(at - load->frame);
}

static void make_frame(struct load *load, Resolverd__V1__Request *request)
{
	request->id = FIRST_ID;
	size_t bytes = resolverd__v1__request__get_packed_size(request);
	if (bytes > FRAME_MAX_REQUEST_BYTES) {
		fprintf(stderr, "load: the request is too long\n");
		exit(1);
	}
	frame_put_header(load->frame, bytes);
	resolverd__v1__request__pack(request, load->frame + FRAME_HEADER_BYTES);
	load->frame_bytes = FRAME_HEADER_BYTES + bytes;
}

/* Of a plan, or of a host. */
static void make_named(struct load *load, char *name, bool is_host, bool with_nonce)
{
	uint8_t nonce[ATTESTATION_NONCE_BYTES];
	Resolverd__V1__PlanRequest plan = RESOLVERD__V1__PLAN_REQUEST__INIT;
	Resolverd__V1__HostRequest host = RESOLVERD__V1__HOST_REQUEST__INIT;
	Resolverd__V1__Request request = RESOLVERD__V1__REQUEST__INIT;
	memset(nonce, 'n', sizeof nonce);
	if (is_host) {
		host.name = name;
		request.body_case = RESOLVERD__V1__REQUEST__BODY_HOST;
		request.host = &host;
	} else {
		plan.next_hop = name;
		request.body_case = RESOLVERD__V1__REQUEST__BODY_PLAN;
		request.plan = &plan;
	}
	if (with_nonce)
		request.nonce = (ProtobufCBinaryData){.len = sizeof nonce, .data = nonce};
	make_frame(load, &request);
	load->digit_count = strspn(strchrnul(name, '#'), "#");
	if (load->digit_count > 0)
		load->digits_at = place_of(load, name, strlen(name)) + strcspn(name, "#");
	if (with_nonce)
		load->nonce_at = place_of(load, nonce, sizeof nonce);
}

static void make_recorded(struct load *load, const char *path)
{
	uint8_t body[FRAME_MAX_REQUEST_BYTES];
	FILE *file = fopen(path, "rb");
	size_t bytes = file != NULL ? fread(body, 1, sizeof body, file) : 0;
	Resolverd__V1__Request *request = resolverd__v1__request__unpack(NULL, bytes, body);
	if (bytes == 0 || request == NULL) {
		fprintf(stderr, "load: %s holds no request\n", path);
		exit(1);
	}
	fclose(file);
	make_frame(load, request);
	resolverd__v1__request__free_unpacked(request, NULL);
}

/* The next request into load->frame; false when there is none. */
static bool next_request(struct load *load)
{
	char name[300];
	if (load->limit != 0 && load->sent == load->limit)
		return false;
	if (load->names == NULL)
		return true;
	if (fgets(name, sizeof name, load->names) == NULL)
		return false;
	name[strcspn(name, "\n")] = '\0';
	make_named(load, name, false, false);
	return true;
}

static uint64_t next_number(struct load *load)
{
	if (load->in_order)
		return load->sent;
	load->random ^= load->random << 13;
	load->random ^= load->random >> 7;
	load->random ^= load->random << 17;
	return (load->random >> 16) % load->numbers;
}

/* The request into out, as that of a slot. */
static void put_request(struct load *load, uint8_t *out, uint16_t slot)
{
	memcpy(out, load->frame, load->frame_bytes);
	varint_put(out + FRAME_HEADER_BYTES + 1, FIRST_ID + slot);
	if (load->digits_at != 0) {
		uint64_t number = next_number(load);
		for (size_t i = load->digit_count; i-- > 0; number /= 10)
			out[load->digits_at + i] = (uint8_t)('0' + number % 10);
	}
	if (load->nonce_at != 0)
		memcpy(out + load->nonce_at, &load->sent, sizeof load->sent);
}

static uint64_t due_ns(const struct load *load, uint64_t turn)
{
	return load->begin_ns + (uint64_t)((double)turn * load->gap_ns);
}

/* All that there is room for and that is due, with one write. */
static void send_requests(struct load *load, struct client *client, uint64_t now)
{
	size_t used = 0;
	while (client->free_count > 0) {
		uint64_t since = load->gap_ns > 0 ? due_ns(load, client->turn) : now;
		if (since > now || !next_request(load))
			break;
		uint16_t slot = client->free_slots[--client->free_count];
		put_request(load, client->out + used, slot);
		client->sent_ns[slot] = since;
		client->turn += load->client_count;
		used += load->frame_bytes;
		load->sent++;
	}
	if (used > 0 && write(client->fd, client->out, used) != (ssize_t)used)
		die("load: write");
}

/* ---- responses ---- */

static void check(struct load *load, const struct frame *frame)
{
	bool first = load->response_bytes == 0;
	if (first)
		load->response_bytes = frame->body_bytes;
	if (first || load->names != NULL || load->in_order) {
		Resolverd__V1__Response *response =
		    resolverd__v1__response__unpack(NULL, frame->body_bytes, frame->body);
		if (response == NULL || response->error != NULL || response->n_answers == 0) {
			fprintf(stderr, "load: not an answer: %s\n",
			    response != NULL && response->error != NULL ? response->error->text
									: "malformed");
			exit(1);
		}
		resolverd__v1__response__free_unpacked(response, NULL);
	} else if (!load->varies && frame->body_bytes != load->response_bytes) {
		fprintf(stderr, "load: a response of %zu bytes, expected %zu\n", frame->body_bytes,
		    load->response_bytes);
		exit(1);
	}
}

static void take(struct load *load, struct client *client, const struct frame *frame, uint64_t now)
{
	const uint8_t *id = frame->body + 1;
	uint32_t slot = load->pipeline;
	if (frame->body_bytes > ID_BYTES && frame->body[0] == 0x08)
		slot = ((id[0] & 0x7fu) | (id[1] & 0x7fu) << 7 | (uint32_t)id[2] << 14) - FIRST_ID;
	if (slot >= load->pipeline || client->sent_ns[slot] == 0) {
		fprintf(stderr, "load: a response to no request in flight\n");
		exit(1);
	}
	check(load, frame);
	load->histogram[step_of(now - client->sent_ns[slot])]++;
	load->received++;
	client->sent_ns[slot] = 0;
	client->free_slots[client->free_count++] = (uint16_t)slot;
}

/* Into a buffer that all share: only what is left over is kept. */
static void receive(struct load *load, struct client *client)
{
	if (client->rest_bytes > 0)
		memcpy(load->in, client->rest, client->rest_bytes);
	ssize_t n = read(client->fd, load->in + client->rest_bytes, IN_BYTES - client->rest_bytes);
	if (n <= 0)
		die("load: the server closed the connection");
	size_t count = client->rest_bytes + (size_t)n, at = 0;
	uint64_t now = now_ns();
	struct frame frame;
	while (frame_parse(load->in + at, count - at, FRAME_MAX_RESPONSE_BYTES, &frame) ==
	       FRAME_COMPLETE) {
		take(load, client, &frame, now);
		at += frame.whole_bytes;
	}
	client->rest_bytes = count - at;
	if (client->rest_bytes > 0) {
		if (client->rest == NULL)
			client->rest = allocate(1, FRAME_HEADER_BYTES + FRAME_MAX_RESPONSE_BYTES);
		memcpy(client->rest, load->in + at, client->rest_bytes);
	}
	send_requests(load, client, now);
}

/* ---- connections ---- */

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = PATIENCE_S};
	if (strlen(path) >= sizeof address.sun_path)
		exit(64);
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
		die("load: connect");
	return fd;
}

static void client_open(struct client *client, const char *path, uint32_t pipeline)
{
	client->fd = connect_to(path);
	client->out = allocate(pipeline, FRAME_HEADER_BYTES + FRAME_MAX_REQUEST_BYTES);
	client->sent_ns = allocate(pipeline, sizeof *client->sent_ns);
	client->free_slots = allocate(pipeline, sizeof *client->free_slots);
	for (uint32_t slot = 0; slot < pipeline; slot++)
		client->free_slots[client->free_count++] = (uint16_t)slot;
}

/* The active ones spread evenly among the idle. */
static void open_all(struct load *load, const char *path, uint32_t idle_count)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	load->clients = allocate(load->client_count, sizeof *load->clients);
	for (uint32_t i = 0, idle = 0; i < load->client_count; i++) {
		for (; idle < (uint64_t)idle_count * (i + 1) / load->client_count; idle++)
			(void)connect_to(path);
		client_open(&load->clients[i], path, load->pipeline);
		load->clients[i].turn = i;
	}
}

/* ---- running ---- */

/* --rate: those whose turn it is by now; one that has no room is served when it has. */
static void send_due(struct load *load, uint64_t *turn)
{
	uint64_t now = now_ns();
	for (; due_ns(load, *turn) <= now; (*turn)++)
		send_requests(load, &load->clients[*turn % load->client_count], now);
}

/* Until the time is up or all is answered. Returns the seconds it took. */
static double run(struct load *load)
{
	int poll = epoll_create1(0), wait_ms = load->gap_ns > 0 ? 0 : PATIENCE_S * 1000;
	for (uint32_t i = 0; i < load->client_count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = &load->clients[i]};
		if (epoll_ctl(poll, EPOLL_CTL_ADD, load->clients[i].fd, &event) != 0)
			die("load: epoll");
	}
	uint64_t turn = 0, heard_ns = load->begin_ns = now_ns(), now = heard_ns,
		 end = heard_ns + (uint64_t)(load->seconds * 1e9);
	for (uint32_t i = 0; i < load->client_count && load->gap_ns <= 0; i++)
		send_requests(load, &load->clients[i], now_ns());
	while ((now = now_ns()) < end && (load->gap_ns > 0 || load->received < load->sent)) {
		struct epoll_event events[64];
		if (load->gap_ns > 0)
			send_due(load, &turn);
		int count = epoll_wait(poll, events, 64, wait_ms);
		if (count > 0 || load->received == load->sent)
			heard_ns = now;
		if (now - heard_ns > PATIENCE_S * UINT64_C(1000000000) ||
		    (count <= 0 && wait_ms > 0)) {
			fprintf(stderr, "load: no response for %d s\n", PATIENCE_S);
			exit(1);
		}
		for (int i = 0; i < count; i++)
			receive(load, events[i].data.ptr);
	}
	double elapsed = (double)(now_ns() - load->begin_ns) / 1e9;
	if ((load->names != NULL || load->limit != 0) &&
	    (load->received < load->sent || next_request(load))) {
		fprintf(stderr, "load: not all answered after %.1f s\n", elapsed);
		exit(1);
	}
	close(poll);
	return elapsed;
}

static void hold(void)
{
	char byte;
	puts("{}");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
}

struct arguments {
	const char *socket_path, *name;
	bool is_host, with_nonce, hold;
	uint32_t idle_count;
};

static bool read_option(struct load *load, struct arguments *arguments, int option)
{
	switch (option) {
	case 's':
		arguments->socket_path = optarg;
		return true;
	case 'r':
		make_recorded(load, optarg);
		return true;
	case 'h':
	case 'H':
		arguments->name = optarg;
		arguments->is_host = option == 'H';
		return true;
	case 'o':
		load->names = fopen(optarg, "r");
		return load->names != NULL;
	case 'n':
		load->numbers = strtoul(optarg, NULL, 10);
		return load->numbers > 0;
	case 'O':
		load->in_order = true;
		return true;
	case 'N':
		arguments->with_nonce = load->varies = true;
		return true;
	case 'c':
		load->client_count = (uint32_t)strtoul(optarg, NULL, 10);
		return load->client_count - 1 < CLIENTS_MAX;
	case 'i':
		arguments->idle_count = (uint32_t)strtoul(optarg, NULL, 10);
		return arguments->idle_count < CLIENTS_MAX;
	case 'p':
		load->pipeline = (uint32_t)strtoul(optarg, NULL, 10);
		return load->pipeline - 1 < PIPELINE_MAX;
	case 't':
		load->seconds = strtod(optarg, NULL);
		return load->seconds > 0;
	case 'C':
		load->limit = strtoul(optarg, NULL, 10);
		return load->limit > 0;
	case 'R':
		load->gap_ns = 1e9 / strtod(optarg, NULL);
		return load->gap_ns > 0 && load->gap_ns <= 1e9;
	case 'w':
		arguments->hold = true;
		return true;
	default:
		return false;
	}
}

static bool read_arguments(
    struct load *load, struct arguments *arguments, int argument_count, char **words)
{
	static const struct option options[] = {{"socket", 1, NULL, 's'}, {"request", 1, NULL, 'r'},
	    {"next-hop", 1, NULL, 'h'}, {"host", 1, NULL, 'H'}, {"once", 1, NULL, 'o'},
	    {"numbers", 1, NULL, 'n'}, {"in-order", 0, NULL, 'O'}, {"nonce", 0, NULL, 'N'},
	    {"clients", 1, NULL, 'c'}, {"idle", 1, NULL, 'i'}, {"pipeline", 1, NULL, 'p'},
	    {"seconds", 1, NULL, 't'}, {"count", 1, NULL, 'C'}, {"rate", 1, NULL, 'R'},
	    {"hold", 0, NULL, 'w'}, {0}};
	for (int option; (option = getopt_long(argument_count, words, "", options, NULL)) != -1;)
		if (!read_option(load, arguments, option))
			return false;
	if (arguments->name != NULL)
		make_named(
		    load, strdupa(arguments->name), arguments->is_host, arguments->with_nonce);
	if (load->in_order)
		load->limit = load->numbers;
	bool has_request = load->frame_bytes != 0 || load->names != NULL || arguments->hold;
	return arguments->socket_path != NULL && has_request &&
	       (load->digits_at != 0) == (load->numbers != 0);
}

int main(int argc, char **argv)
{
	static struct load load = {
	    .client_count = 1, .pipeline = 1, .seconds = 2, .random = 88172645463325252u};
	struct arguments arguments = {0};
	if (!read_arguments(&load, &arguments, argc, argv)) {
		fprintf(stderr, "load: see the head of load.c for its options\n");
		return 64;
	}
	open_all(&load, arguments.socket_path, arguments.idle_count);
	if (arguments.hold) {
		hold();
		return 0;
	}
	double elapsed = run(&load);
	printf(
	    "{\"responses\":%llu,\"seconds\":%.4f,\"per_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
	    "\"p999_us\":%.1f,\"response_bytes\":%zu}\n",
	    (unsigned long long)load.received, elapsed, (double)load.received / elapsed,
	    percentile_us(&load, 0.5), percentile_us(&load, 0.99), percentile_us(&load, 0.999),
	    load.response_bytes);
	return 0;
}
