/* SPDX-License-Identifier: BSD-3-Clause */
/* What connections of one owner may keep in memory together. */
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/frame.h"
#include "resolverd/base/conn.h"
#include "tests/unit/test.h"

#define CONNS 3u
#define FRAME_BYTES 4096u
#define OUT_BYTES (64u << 10)
#define REPLY_BYTES (512u << 10) /* more than a socket takes, and the shared buffer */

struct peer {
	struct conn conn;
	int far; /* the other end */
	unsigned frames;
	bool closed;
};

static struct scene {
	struct event_base *base;
	struct conn_buffers buffers;
	struct conn_quota quota;
	struct peer peers[CONNS];
} scene;

static int on_frame(struct conn *conn, const uint8_t *body, size_t body_bytes)
{
	struct peer *peer = conn->owner;
	(void)body, (void)body_bytes;
	peer->frames++;
	uint8_t *out = conn_reserve(conn, REPLY_BYTES);
	if (out != NULL) {
		memset(out, 0, REPLY_BYTES);
		conn_commit(conn, REPLY_BYTES);
	}
	return 0;
}

static void on_malformed(struct conn *conn, const char *what)
{
	(void)conn, (void)what;
}

static void on_close(struct conn *conn)
{
	struct peer *peer = conn->owner;
	conn_fini(conn);
	peer->closed = true;
}

static const struct conn_handler handler = {
    .on_frame = on_frame, .on_malformed = on_malformed, .on_close = on_close};

static int begin(void **state)
{
	(void)state;
	scene = (struct scene){.base = event_base_new()};
	if (conn_buffers_init(&scene.buffers) != 0)
		return -1;
	for (unsigned i = 0; i < CONNS; i++) {
		struct peer *peer = &scene.peers[i];
		int pair[2];
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 ||
		    conn_init(&peer->conn, scene.base, &scene.buffers, pair[0], FRAME_BYTES,
			OUT_BYTES, &handler, peer) != 0)
			return -1;
		peer->conn.quota = &scene.quota;
		peer->far = pair[1];
	}
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CONNS; i++) {
		if (!scene.peers[i].closed)
			conn_fini(&scene.peers[i].conn);
		close(scene.peers[i].far);
	}
	conn_buffers_fini(&scene.buffers);
	event_base_free(scene.base);
	return scene.quota.used_bytes == 0 ? 0 : -1; /* all was given back */
}

static void run(void)
{
	for (unsigned i = 0; i < 20; i++)
		event_base_loop(scene.base, EVLOOP_NONBLOCK);
}

static void ask(unsigned place, unsigned count)
{
	const uint8_t frame[] = {0, 0, 0, 1, 'x'};
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(write(scene.peers[place].far, frame, sizeof frame), sizeof frame);
	run();
}

static void read_all(unsigned place)
{
	static char bytes[REPLY_BYTES];
	while (recv(scene.peers[place].far, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
		run();
}

static void what_is_read_at_once_counts_for_nothing(void **state)
{
	(void)state;
	scene.quota.max_bytes = 4u << 20;
	for (unsigned i = 0; i < 100; i++) {
		ask(0, 1);
		read_all(0);
	}
	assert_int_equal(scene.peers[0].frames, 100);
	assert_int_equal(scene.quota.used_bytes, 0);
	assert_int_equal(scene.quota.refused_count, 0);
}

static void one_that_goes_above_it_closes_and_the_others_stay(void **state)
{
	(void)state;
	scene.quota.max_bytes = 1200u << 10;
	ask(0, 1);
	assert_false(scene.peers[0].closed);
	assert_int_equal(scene.quota.used_bytes, REPLY_BYTES);
	ask(1, 1);
	ask(2, 1);
	assert_false(scene.peers[0].closed);
	assert_true(scene.peers[2].closed);
	assert_false(scene.peers[1].closed);
	assert_int_equal(scene.quota.refused_count, 1);
	read_all(0);
	read_all(1);
	assert_int_equal(scene.quota.used_bytes, 0);
	ask(0, 1);
	assert_int_equal(scene.peers[0].frames, 2);
	read_all(0);
}

static void above_half_of_it_nothing_more_is_read_before_the_output_is_taken(void **state)
{
	(void)state;
	scene.quota.max_bytes = 3u << 20;
	scene.peers[0].conn.max_out_bytes = scene.peers[1].conn.max_out_bytes = 100u << 20;
	ask(0, 2);
	ask(1, 2);
	assert_true(scene.quota.used_bytes > scene.quota.max_bytes / 2);
	unsigned before = scene.peers[0].frames;
	ask(0, 5);
	assert_int_equal(scene.peers[0].frames, before);
	read_all(0);
	read_all(1);
	assert_int_equal(scene.peers[0].frames, 7);
	assert_int_equal(scene.quota.refused_count, 0);
}

static void half_a_request_counts_whole(void **state)
{
	const uint8_t half[] = {0, 0, FRAME_BYTES >> 8, 0, 'x'};
	(void)state;
	scene.quota.max_bytes = FRAME_BYTES + 1000;
	assert_int_equal(write(scene.peers[0].far, half, sizeof half), sizeof half);
	run();
	assert_in_range(scene.quota.used_bytes, FRAME_BYTES, FRAME_BYTES + FRAME_HEADER_BYTES);
	assert_int_equal(write(scene.peers[1].far, half, sizeof half), sizeof half);
	run();
	assert_true(scene.peers[1].closed);
	assert_false(scene.peers[0].closed);
	assert_int_equal(scene.quota.refused_count, 1);
}

static void a_smaller_quota_ends_nobody_who_asks_for_nothing(void **state)
{
	(void)state;
	scene.quota.max_bytes = 4u << 20;
	ask(0, 1);
	scene.quota.max_bytes = 1000;
	run();
	assert_false(scene.peers[0].closed);
	read_all(0);
	assert_int_equal(scene.quota.used_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)
	    TEST(what_is_read_at_once_counts_for_nothing),
	    TEST(one_that_goes_above_it_closes_and_the_others_stay),
	    TEST(above_half_of_it_nothing_more_is_read_before_the_output_is_taken),
	    TEST(half_a_request_counts_whole),
	    TEST(a_smaller_quota_ends_nobody_who_asks_for_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
