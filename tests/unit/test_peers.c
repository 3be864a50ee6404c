/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is let in; tests/system/test_peers.py asks as other users. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "resolverd/server/peers.h"
#include "tests/unit/test.h"

static const struct config config = {.server.max_clients_per_user = 1};

static void our_own_helper_is_no_administrator(void **state)
{
	(void)state;
	struct peers peers;
	struct user *user = NULL;
	int pair[2]; /* each the other's peer, and both ours */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	peers_init(&peers, &config);
	peers.helper_pid = getpid();
	assert_int_equal(peers_join(&peers, pair[0], true, &user), -EPERM);
	assert_int_equal(peers.refused_count, 1);
	peers.helper_pid = getpid() + 1;
	assert_int_equal(peers_join(&peers, pair[0], true, &user), 0);
	peers_leave(&peers, user);
	close(pair[0]);
	close(pair[1]);
}

static void nobody_is_a_client_before_the_rules_are_known(void **state)
{
	(void)state;
	struct peers peers;
	struct user *user = NULL;
	struct access_list all = {0};
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	peers_init(&peers, &config);
	assert_int_equal(peers_join(&peers, pair[0], false, &user), -EACCES);
	peers_take_access(&peers, &all);
	assert_int_equal(peers_join(&peers, pair[0], false, &user), 0);
	assert_int_equal(peers_join(&peers, pair[1], false, &user), -EUSERS);
	peers_leave(&peers, user);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(our_own_helper_is_no_administrator),
	    cmocka_unit_test(nobody_is_a_client_before_the_rules_are_known),
	};
	return cmocka_run_group_tests_name("peers", tests, NULL, NULL);
}
