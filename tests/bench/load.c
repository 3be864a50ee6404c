/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Load on a framed Unix socket: CLIENTS connections, each with PIPELINE requests in flight, for
 * SECONDS. One thread. Prints one JSON object: responses per second, latency percentiles in
 * microseconds, bytes of a response. A response whose length differs from the first ends it with 1.
 *
 *     bench-load SOCKET REQUEST_FILE CLIENTS PIPELINE SECONDS     REQUEST_FILE: one Request body
 */
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

#define IN_BYTES (1u << 20)
#define SAMPLES_MAX (1u << 22)

struct client {
	int fd;
	size_t in_used, expected; /* expected: bytes still to come of what is in flight */
	double sent_at;
	uint8_t *in;
};

static uint8_t *request; /* PIPELINE frames in a row */
static size_t request_bytes, response_bytes;
static uint32_t pipeline;
static float *samples;
static size_t sample_count;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void send_batch(struct client *client)
{
	client->sent_at = now();
	if (write(client->fd, request, request_bytes) != (ssize_t)request_bytes)
		die("load: write");
}

static void make_requests(const char *path)
{
	uint8_t body[FRAME_MAX_REQUEST_BYTES];
	FILE *file = fopen(path, "rb");
	size_t bytes = file != NULL ? fread(body, 1, sizeof body, file) : 0;
	if (bytes == 0)
		die("load: request file");
	fclose(file);
	request_bytes = (FRAME_HEADER_BYTES + bytes) * pipeline;
	request = malloc(request_bytes);
	for (uint32_t i = 0; i < pipeline; i++) {
		uint8_t *at = request + (FRAME_HEADER_BYTES + bytes) * i;
		frame_put_header(at, bytes);
		memcpy(at + FRAME_HEADER_BYTES, body, bytes);
	}
}

static struct client *connect_client(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct client *client = calloc(1, sizeof *client);
	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	client->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	client->in = malloc(IN_BYTES);
	if (connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0)
		die("load: connect");
	return client;
}

/* Returns how many responses came; starts the next batch when the whole one is here. */
static size_t receive(struct client *client, uint32_t *in_flight)
{
	ssize_t n = read(client->fd, client->in + client->in_used, IN_BYTES - client->in_used);
	if (n <= 0)
		die("load: read");
	client->in_used += (size_t)n;
	size_t at = 0, count = 0;
	struct frame frame;
	while (frame_parse(client->in + at, client->in_used - at, FRAME_MAX_RESPONSE_BYTES,
		   &frame) == FRAME_COMPLETE) {
		if (response_bytes == 0)
			response_bytes = frame.body_bytes;
		if (frame.body_bytes != response_bytes) {
			fprintf(stderr, "load: a response of %zu bytes, expected %zu\n",
			    frame.body_bytes, response_bytes);
			exit(1);
		}
		at += frame.whole_bytes;
		count++;
	}
	memmove(client->in, client->in + at, client->in_used - at);
	client->in_used -= at;
	*in_flight -= (uint32_t)count;
	if (*in_flight == 0) {
		if (sample_count < SAMPLES_MAX)
			samples[sample_count++] = (float)((now() - client->sent_at) * 1e6);
		send_batch(client);
		*in_flight = pipeline;
	}
	return count;
}

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

static double percentile(double share)
{
	return sample_count > 0 ? (double)samples[(size_t)((double)(sample_count - 1) * share)] : 0;
}

int main(int argc, char **argv)
{
	if (argc != 6)
		return 64;
	int client_count = atoi(argv[3]), poll = epoll_create1(0);
	pipeline = (uint32_t)atoi(argv[4]);
	double seconds = atof(argv[5]);
	samples = malloc(SAMPLES_MAX * sizeof *samples);
	make_requests(argv[2]);
	uint32_t *in_flight = calloc((size_t)client_count, sizeof *in_flight);
	struct client **clients = calloc((size_t)client_count, sizeof(void *));
	for (int i = 0; i < client_count; i++) {
		clients[i] = connect_client(argv[1]);
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
		epoll_ctl(poll, EPOLL_CTL_ADD, clients[i]->fd, &event);
	}
	double begin = now(), end = begin + seconds;
	for (int i = 0; i < client_count; i++) {
		in_flight[i] = pipeline;
		send_batch(clients[i]);
	}
	size_t total = 0;
	while (now() < end) {
		struct epoll_event events[64];
		int count = epoll_wait(poll, events, 64, 1000);
		for (int i = 0; i < count; i++)
			total +=
			    receive(clients[events[i].data.u32], &in_flight[events[i].data.u32]);
	}
	double elapsed = now() - begin;
	qsort(samples, sample_count, sizeof *samples, ascending);
	printf("{\"per_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"response_"
	       "bytes\":%zu}\n",
	    (double)total / elapsed, percentile(0.5), percentile(0.99), percentile(0.999),
	    response_bytes);
	return 0;
}
