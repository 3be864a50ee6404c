/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Load on a framed Unix socket: N connections, each with M requests in flight; every response at
 * once makes room for the next request. One thread. Prints one JSON object: responses per second,
 * latency of single requests in microseconds (within 4 %), bytes of a response.
 *
 *     bench-load --socket S (--request FILE | --next-hop NAME | --once FILE)
 *                [--clients N] [--pipeline M] [--seconds T]
 *
 * --request   a serialized Request, sent again and again (its id is replaced)
 * --next-hop  the same with the plan of this next hop
 * --once      the plan of each next hop of the file, one a line, once; T is then the time limit
 *
 * Exit 1 when a response is an error, has another length than the first (but for --once), answers
 * nothing that was asked, or none comes for ten seconds.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/frame.h"
#include "resolverd.pb-c.h"

#define IN_BYTES (2u * FRAME_MAX_RESPONSE_BYTES)
#define PIPELINE_MAX 256u /* requests so few and short never fill a socket buffer */
#define CLIENTS_MAX 1024u
#define PATIENCE_S 10
#define FIRST_ID                                                                                   \
	16384u /* ids from here have three bytes: requests and responses keep their length */
#define ID_BYTES 3u

struct client {
	int fd;
	size_t in_used, out_used;
	uint32_t free_count;
	uint16_t free_slots[PIPELINE_MAX];
	uint64_t sent_ns[PIPELINE_MAX]; /* by slot, 0: not in flight; the id is FIRST_ID + slot */
	uint8_t *in, *out;
};

struct load {
	uint8_t frame[FRAME_HEADER_BYTES + FRAME_MAX_REQUEST_BYTES]; /* repeated, with any id */
	size_t frame_bytes;
	FILE *names; /* --once: where the next requests come from */
	uint64_t sent, received, histogram[64 * 32];
	size_t response_bytes;
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

static void make_plan(struct load *load, char *next_hop)
{
	Resolverd__V1__PlanRequest plan = RESOLVERD__V1__PLAN_REQUEST__INIT;
	Resolverd__V1__Request request = RESOLVERD__V1__REQUEST__INIT;
	plan.next_hop = next_hop;
	request.body_case = RESOLVERD__V1__REQUEST__BODY_PLAN;
	request.plan = &plan;
	make_frame(load, &request);
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
	if (load->names == NULL)
		return true;
	if (fgets(name, sizeof name, load->names) == NULL)
		return false;
	name[strcspn(name, "\n")] = '\0';
	make_plan(load, name);
	return true;
}

/* Fills the pipeline of the client with one write. */
static void send_requests(struct load *load, struct client *client, uint64_t now)
{
	client->out_used = 0;
	while (client->free_count > 0 && next_request(load)) {
		uint16_t slot = client->free_slots[--client->free_count];
		uint8_t *frame = client->out + client->out_used;
		memcpy(frame, load->frame, load->frame_bytes);
		varint_put(frame + FRAME_HEADER_BYTES + 1, FIRST_ID + slot);
		client->sent_ns[slot] = now;
		client->out_used += load->frame_bytes;
		load->sent++;
	}
	if (client->out_used > 0 &&
	    write(client->fd, client->out, client->out_used) != (ssize_t)client->out_used)
		die("load: write");
}

/* ---- responses ---- */

static void check(struct load *load, const struct frame *frame)
{
	bool first = load->response_bytes == 0;
	if (first)
		load->response_bytes = frame->body_bytes;
	if (first || load->names != NULL) {
		Resolverd__V1__Response *response =
		    resolverd__v1__response__unpack(NULL, frame->body_bytes, frame->body);
		if (response == NULL || response->error != NULL || response->n_answers == 0) {
			fprintf(stderr, "load: not an answer: %s\n",
			    response != NULL && response->error != NULL ? response->error->text
									: "malformed");
			exit(1);
		}
		resolverd__v1__response__free_unpacked(response, NULL);
	} else if (frame->body_bytes != load->response_bytes) {
		fprintf(stderr, "load: a response of %zu bytes, expected %zu\n", frame->body_bytes,
		    load->response_bytes);
		exit(1);
	}
}

static void take(struct load *load, struct client *client, const struct frame *frame, uint64_t now)
{
	const uint8_t *id = frame->body + 1;
	uint32_t slot = PIPELINE_MAX;
	if (frame->body_bytes > ID_BYTES && frame->body[0] == 0x08)
		slot = ((id[0] & 0x7fu) | (id[1] & 0x7fu) << 7 | (uint32_t)id[2] << 14) - FIRST_ID;
	if (slot >= PIPELINE_MAX || client->sent_ns[slot] == 0) {
		fprintf(stderr, "load: a response to no request in flight\n");
		exit(1);
	}
	check(load, frame);
	load->histogram[step_of(now - client->sent_ns[slot])]++;
	load->received++;
	client->sent_ns[slot] = 0;
	client->free_slots[client->free_count++] = (uint16_t)slot;
}

static void receive(struct load *load, struct client *client)
{
	ssize_t n = read(client->fd, client->in + client->in_used, IN_BYTES - client->in_used);
	if (n <= 0)
		die("load: the server closed the connection");
	client->in_used += (size_t)n;
	uint64_t now = now_ns();
	size_t at = 0;
	struct frame frame;
	while (frame_parse(client->in + at, client->in_used - at, FRAME_MAX_RESPONSE_BYTES,
		   &frame) == FRAME_COMPLETE) {
		take(load, client, &frame, now);
		at += frame.whole_bytes;
	}
	memmove(client->in, client->in + at, client->in_used - at);
	client->in_used -= at;
	send_requests(load, client, now);
}

static void client_open(struct client *client, const char *path, uint32_t pipeline)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = PATIENCE_S};
	if (strlen(path) >= sizeof address.sun_path)
		exit(64);
	strcpy(address.sun_path, path);
	client->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (client->fd < 0 ||
	    setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
	    connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0)
		die("load: connect");
	client->in = allocate(1, IN_BYTES);
	client->out = allocate(pipeline, FRAME_HEADER_BYTES + FRAME_MAX_REQUEST_BYTES);
	for (uint32_t slot = 0; slot < pipeline; slot++)
		client->free_slots[client->free_count++] = (uint16_t)slot;
}

/* Until the time is up or, of --once, all is answered. Returns the seconds it took. */
static double run(struct load *load, struct client *clients, uint32_t client_count, double seconds)
{
	int poll = epoll_create1(0);
	for (uint32_t i = 0; i < client_count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
		if (epoll_ctl(poll, EPOLL_CTL_ADD, clients[i].fd, &event) != 0)
			die("load: epoll");
	}
	uint64_t begin = now_ns(), end = begin + (uint64_t)(seconds * 1e9);
	for (uint32_t i = 0; i < client_count; i++)
		send_requests(load, &clients[i], now_ns());
	while (now_ns() < end && load->received < load->sent) {
		struct epoll_event events[64];
		int count = epoll_wait(poll, events, 64, PATIENCE_S * 1000);
		if (count <= 0) {
			fprintf(stderr, "load: no response for %d s\n", PATIENCE_S);
			exit(1);
		}
		for (int i = 0; i < count; i++)
			receive(load, events[i].data.ptr);
	}
	double elapsed = (double)(now_ns() - begin) / 1e9;
	if (load->names != NULL && (load->received < load->sent || next_request(load))) {
		fprintf(stderr, "load: not all answered after %.1f s\n", elapsed);
		exit(1);
	}
	close(poll);
	return elapsed;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"socket", 1, NULL, 's'}, {"request", 1, NULL, 'r'},
	    {"next-hop", 1, NULL, 'h'}, {"once", 1, NULL, 'o'}, {"clients", 1, NULL, 'c'},
	    {"pipeline", 1, NULL, 'p'}, {"seconds", 1, NULL, 't'}, {0}};
	static struct load load;
	const char *socket_path = NULL;
	uint32_t client_count = 1, pipeline = 1;
	double seconds = 2;
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (option) {
		case 's':
			socket_path = optarg;
			break;
		case 'r':
			make_recorded(&load, optarg);
			break;
		case 'h':
			make_plan(&load, optarg);
			break;
		case 'o':
			load.names = fopen(optarg, "r");
			if (load.names == NULL)
				die("load: --once");
			break;
		case 'c':
			client_count = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'p':
			pipeline = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 't':
			seconds = strtod(optarg, NULL);
			break;
		default:
			return 64;
		}
	}
	if (socket_path == NULL || (load.frame_bytes == 0) == (load.names == NULL) ||
	    client_count - 1 >= CLIENTS_MAX || pipeline - 1 >= PIPELINE_MAX) {
		fprintf(stderr,
		    "load: --socket and one of --request, --next-hop, --once; at most "
		    "%u clients and a pipeline of %u\n",
		    CLIENTS_MAX, PIPELINE_MAX);
		return 64;
	}
	struct client *clients = allocate(client_count, sizeof *clients);
	for (uint32_t i = 0; i < client_count; i++)
		client_open(&clients[i], socket_path, pipeline);
	double elapsed = run(&load, clients, client_count, seconds);
	printf(
	    "{\"responses\":%llu,\"seconds\":%.4f,\"per_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
	    "\"p999_us\":%.1f,\"response_bytes\":%zu}\n",
	    (unsigned long long)load.received, elapsed, (double)load.received / elapsed,
	    percentile_us(&load, 0.5), percentile_us(&load, 0.99), percentile_us(&load, 0.999),
	    load.response_bytes);
	return 0;
}
