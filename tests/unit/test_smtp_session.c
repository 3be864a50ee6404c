/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session without a mail, and its deadlines, against a scripted peer in this very thread, with a
 * clock of the test's own. What needs TLS is in tests/system/test_danesend.py.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/smtp/attempt.h"

#define NOW_MS 1000000
#define MINUTE_MS 60000

/* Answers each line with the next answer of the script; an empty one, and the end: silence. */
struct peer {
	int listener, fd;
	const char *const *script;
	char heard[1024];
	size_t heard_bytes;
	size_t answered;
};

static struct resolverd_address address = {
    .ip = {127, 0, 0, 1}, .ip_bytes = 4, .text = "127.0.0.1"};
static struct resolverd_host host = {
    .name = "mx.example.org", .addresses = &address, .address_count = 1};

static void peer_start(struct peer *peer, const char *const *script)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof any;
	*peer = (struct peer){.fd = -1, .script = script};
	peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_true(peer->listener >= 0);
	assert_int_equal(bind(peer->listener, (struct sockaddr *)&any, sizeof any), 0);
	assert_int_equal(listen(peer->listener, 1), 0);
	assert_int_equal(getsockname(peer->listener, (struct sockaddr *)&any, &bytes), 0);
	host.port = ntohs(any.sin_port);
}

static void peer_answer(struct peer *peer)
{
	const char *answer = peer->script[peer->answered];
	if (answer == NULL)
		return;
	peer->answered++;
	assert_int_equal(send(peer->fd, answer, strlen(answer), MSG_NOSIGNAL), strlen(answer));
}

static void peer_step(struct peer *peer)
{
	if (peer->fd < 0) {
		peer->fd = accept4(peer->listener, NULL, NULL, SOCK_NONBLOCK);
		if (peer->fd >= 0)
			peer_answer(peer);
		return;
	}
	ssize_t n = recv(peer->fd, peer->heard + peer->heard_bytes,
	    sizeof peer->heard - 1 - peer->heard_bytes, 0);
	for (ssize_t i = 0; i < n; i++)
		if (peer->heard[peer->heard_bytes++] == '\n')
			peer_answer(peer);
}

static void peer_stop(struct peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	close(peer->listener);
}

/* Runs the session until nothing moves any more; whether it is still going on. */
static bool run(struct smtp_session *session, struct peer *peer, int64_t now_ms)
{
	bool goes_on = true;
	for (int i = 0; i < 40 && goes_on; i++) {
		goes_on = smtp_session_step(session, now_ms);
		peer_step(peer);
		poll(NULL, 0, 1);
	}
	return goes_on;
}

static struct smtp_session *start(struct peer *peer, const char *const *script,
    enum resolverd_policy policy, struct smtp_options options)
{
	struct smtp_session *session;
	peer_start(peer, script);
	host.policy = policy;
	options.helo = "me";
	options.host = &host;
	options.address = &address;
	assert_int_equal(smtp_session_new(&options, NOW_MS, &session), 0);
	return session;
}

static const char *const plain[] = {
    "220 mx\r\n", "250-mx\r\n250 SIZE 1000\r\n", "221 bye\r\n", NULL};

static const struct smtp_options by_policy = {.tls = SMTP_TLS_BY_POLICY};
static const struct smtp_options in_clear = {.tls = SMTP_TLS_BY_POLICY, .in_clear = true};

static void without_a_mail_it_says_quit(void **state)
{
	(void)state;
	struct peer peer;
	struct smtp_session *session = start(&peer, plain, RESOLVERD_OPPORTUNISTIC, by_policy);
	assert_false(run(session, &peer, NOW_MS));
	assert_int_equal(smtp_session_failure(session), SMTP_OK);
	assert_string_equal(smtp_session_reason(session), "");
	assert_string_equal(smtp_session_step_name(session), "EHLO");
	assert_null(smtp_session_tls(session));
	assert_string_equal(peer.heard, "EHLO me\r\nQUIT\r\n");
	smtp_session_free(session);
	peer_stop(&peer);
}

/* Whatever the caller asks for: a host held to TLS is not spoken to in clear. */
static void D03_in_clear_means_nothing_under_dane(void **state)
{
	(void)state;
	static const enum resolverd_policy policies[] = {RESOLVERD_DANE, RESOLVERD_TLS_NO_AUTH};
	for (size_t i = 0; i < 2; i++) {
		struct peer peer;
		struct smtp_session *session = start(&peer, plain, policies[i], in_clear);
		assert_false(run(session, &peer, NOW_MS));
		assert_int_equal(smtp_session_failure(session), SMTP_NO_STARTTLS);
		assert_string_equal(peer.heard, "EHLO me\r\nQUIT\r\n");
		smtp_session_free(session);
		peer_stop(&peer);
	}
}

/* "refused" is what the policy forbids; a mail that may go without TLS was not held to it. */
static void an_attack_is_a_refusal_where_tls_is_needed(void **state)
{
	(void)state;
	static const char *const injects[] = {
	    "220 mx\r\n", "250-mx\r\n250 STARTTLS\r\n", "220 go\r\n250 ok\r\n", NULL};
	static const struct {
		enum resolverd_policy policy;
		enum smtp_tls tls;
		bool needs_tls;
		enum resolverd_verdict verdict;
	} rows[] = {
	    {RESOLVERD_DANE, SMTP_TLS_BY_POLICY, true, RESOLVERD_REFUSED},
	    {RESOLVERD_TLS_NO_AUTH, SMTP_TLS_BY_POLICY, true, RESOLVERD_REFUSED},
	    {RESOLVERD_OPPORTUNISTIC, SMTP_TLS_BY_POLICY, false, RESOLVERD_UNAVAILABLE},
	    {RESOLVERD_DANE, SMTP_TLS_REQUIRETLS, true, RESOLVERD_REFUSED},
	    {RESOLVERD_DANE, SMTP_TLS_ANY, false, RESOLVERD_UNAVAILABLE},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct peer peer;
		struct smtp_options options = {.tls = rows[i].tls, .host = &host};
		struct smtp_session *session = start(&peer, injects, rows[i].policy, options);
		assert_false(run(session, &peer, NOW_MS));
		assert_int_equal(smtp_session_failure(session), SMTP_INJECTED);
		assert_int_equal(smtp_needs_tls(&options), rows[i].needs_tls);
		assert_int_equal(smtp_verdict(&options, session), rows[i].verdict);
		assert_false(smtp_may_retry_in_clear(&options, session));
		smtp_session_free(session);
		peer_stop(&peer);
	}
}

static void M04_no_session_with_an_unreachable_host(void **state)
{
	(void)state;
	struct smtp_session *session = NULL;
	host.policy = RESOLVERD_UNREACHABLE;
	struct smtp_options options = {.helo = "me", .host = &host, .address = &address};
	assert_int_equal(smtp_session_new(&options, NOW_MS, &session), -EINVAL);
	assert_null(session);
}

static void M05_nothing_by_an_expired_plan(void **state)
{
	(void)state;
	struct smtp_mail mail = {.from = "me@example.org"};
	struct smtp_options options = {.mail = &mail};
	struct peer peer;
	host.expires_at_ms = 1000;
	struct smtp_session *session = start(&peer, plain, RESOLVERD_OPPORTUNISTIC, options);
	assert_false(run(session, &peer, NOW_MS));
	assert_int_equal(smtp_session_failure(session), SMTP_PLAN_EXPIRED);
	assert_string_equal(peer.heard, "EHLO me\r\nQUIT\r\n");
	smtp_session_free(session);
	peer_stop(&peer);
	host.expires_at_ms = 0;
}

static void helo_where_ehlo_is_unknown(void **state)
{
	(void)state;
	static const char *const script[] = {
	    "220 mx\r\n", "500 what?\r\n", "250 mx\r\n", "221 bye\r\n", NULL};
	struct peer peer;
	struct smtp_session *session = start(&peer, script, RESOLVERD_OPPORTUNISTIC, by_policy);
	assert_false(run(session, &peer, NOW_MS));
	assert_int_equal(smtp_session_failure(session), SMTP_OK);
	assert_string_equal(peer.heard, "EHLO me\r\nHELO me\r\nQUIT\r\n");
	smtp_session_free(session);
	peer_stop(&peer);
}

/* RFC 5321 section 4.5.3.2: each wait has its time, counted from where it began, however many
 * octets trickle in. */
static void waits_are_bounded(void **state)
{
	(void)state;
	static const char *const silent[] = {NULL};
	static const char *const trickle[] = {"220", NULL};
	static const char *const no_ehlo[] = {"220 mx\r\n", NULL};
	static const struct {
		const char *const *script;
		unsigned limit_ms;
		int64_t lasts_ms;
		const char *step;
	} rows[] = {
	    {silent, 0, (int64_t)5 * MINUTE_MS, "greeting"},
	    {trickle, 0, (int64_t)5 * MINUTE_MS, "greeting"},
	    {no_ehlo, 0, (int64_t)5 * MINUTE_MS, "EHLO"},
	    {no_ehlo, 2000, 2000, "EHLO"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct peer peer;
		struct smtp_options options = by_policy;
		options.step_limit_ms = rows[i].limit_ms;
		struct smtp_session *session =
		    start(&peer, rows[i].script, RESOLVERD_OPPORTUNISTIC, options);
		assert_true(run(session, &peer, NOW_MS));
		assert_int_equal(smtp_session_deadline_ms(session), NOW_MS + rows[i].lasts_ms);
		assert_true(run(session, &peer, NOW_MS + rows[i].lasts_ms - 1));
		assert_false(run(session, &peer, NOW_MS + rows[i].lasts_ms));
		assert_int_equal(smtp_session_failure(session), SMTP_TIMEOUT);
		assert_string_equal(smtp_session_step_name(session), rows[i].step);
		smtp_session_free(session);
		peer_stop(&peer);
	}
}

/* A peer that takes the message faster than it is written gives no reason to wait: the step comes
 * back all the same, since the time it was given gets old. */
static void a_step_is_short(void **state)
{
	(void)state;
	static const char *const script[] = {
	    "220 mx\r\n", "250 mx\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n", NULL};
	enum { MESSAGE_BYTES = 4 << 20, STEP_BYTES = 1 << 20, ROOM_BYTES = 1 << 24 };
	FILE *message = tmpfile();
	assert_non_null(message);
	for (int i = 0; i < MESSAGE_BYTES / 64; i++)
		assert_int_equal(fprintf(message, "%-62s\r\n", "x"), 64);
	assert_int_equal(fflush(message), 0);
	struct smtp_recipient recipient = {.address = "you@example.org"};
	struct smtp_recipient *recipients[] = {&recipient};
	struct smtp_mail mail = {.from = "me@example.org",
	    .recipients = recipients,
	    .recipient_count = 1,
	    .fd = fileno(message),
	    .bytes = MESSAGE_BYTES};
	struct peer peer;
	struct smtp_options options = {.mail = &mail};
	struct smtp_session *session = start(&peer, script, RESOLVERD_OPPORTUNISTIC, options);
	setsockopt(peer.listener, SOL_SOCKET, SO_RCVBUF, &(int){ROOM_BYTES}, sizeof(int));
	setsockopt(
	    smtp_session_fd(session), SOL_SOCKET, SO_SNDBUF, &(int){ROOM_BYTES}, sizeof(int));
	while (peer.answered < sizeof script / sizeof *script - 1) {
		assert_true(smtp_session_step(session, NOW_MS));
		peer_step(&peer);
	}
	static uint8_t taken[MESSAGE_BYTES];
	assert_true(smtp_session_step(session, NOW_MS));
	assert_string_equal(smtp_session_step_name(session), "message");
	ssize_t count = recv(peer.fd, taken, sizeof taken, 0);
	assert_in_range(count, 1, STEP_BYTES);
	assert_true(smtp_session_events(session) & POLLOUT);
	smtp_session_free(session);
	peer_stop(&peer);
	assert_int_equal(fclose(message), 0);
}

static void nobody_listens(void **state)
{
	(void)state;
	struct peer peer;
	struct smtp_session *session = start(&peer, plain, RESOLVERD_DANE, by_policy);
	smtp_session_free(session);
	peer_stop(&peer);
	struct smtp_options options = {.helo = "me", .host = &host, .address = &address};
	assert_int_equal(smtp_session_new(&options, NOW_MS, &session), 0);
	for (int i = 0; i < 40 && smtp_session_step(session, NOW_MS); i++)
		poll(NULL, 0, 1);
	assert_int_equal(smtp_session_failure(session), SMTP_CONNECT);
	assert_string_equal(smtp_session_reason(session),
	    "mx.example.org[127.0.0.1]: connect: cannot connect: Connection refused");
	smtp_session_free(session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_a_mail_it_says_quit),
	    cmocka_unit_test(D03_in_clear_means_nothing_under_dane),
	    cmocka_unit_test(an_attack_is_a_refusal_where_tls_is_needed),
	    cmocka_unit_test(M04_no_session_with_an_unreachable_host),
	    cmocka_unit_test(M05_nothing_by_an_expired_plan),
	    cmocka_unit_test(helo_where_ehlo_is_unknown),
	    cmocka_unit_test(waits_are_bounded),
	    cmocka_unit_test(a_step_is_short),
	    cmocka_unit_test(nobody_listens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
