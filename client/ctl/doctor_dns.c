/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/ctl/doctor_dns.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/dns/writer.h"
#include "client/lib/clock.h"
#include "proto/names.h"

#define UDP_TRIES 2
#define QUERY_MAX 300u
#define MESSAGE_MAX 65535u
#define TYPE_OPT 41u
#define CLASS_IN 1u

struct exchange {
	int fd;
	int64_t until_ms;
	uint8_t query[QUERY_MAX];
	size_t query_bytes;
	uint8_t reply[MESSAGE_MAX];
	size_t reply_bytes;
};

static int write_query(const struct doctor_question *question, struct exchange *exchange)
{
	uint8_t name[NAME_WIRE_MAX];
	uint16_t id;
	size_t name_bytes;
	struct dns_writer writer = {.out = exchange->query, .room = sizeof exchange->query};
	if (getrandom(&id, sizeof id, 0) != sizeof id ||
	    name_to_wire(question->name, name, &name_bytes) != 0)
		return -EINVAL;
	dns_writer_u16(&writer, id);
	dns_writer_u16(&writer, question->recursion ? 0x0120u /* RD, AD */ : 0);
	dns_writer_u16(&writer, 1);
	dns_writer_u16(&writer, 0);
	dns_writer_u16(&writer, 0);
	dns_writer_u16(&writer, 1);
	dns_writer_bytes(&writer, name, name_bytes);
	dns_writer_u16(&writer, question->type);
	dns_writer_u16(&writer, CLASS_IN);
	dns_writer_u8(&writer, 0);
	dns_writer_u16(&writer, TYPE_OPT);
	dns_writer_u16(&writer, question->room);
	dns_writer_u16(&writer, 0);
	dns_writer_u16(&writer, 0x8000u); /* DO */
	dns_writer_u16(&writer, 0);
	exchange->query_bytes = writer.used;
	return writer.failed ? -EMSGSIZE : 0;
}

/* 0, or -ETIMEDOUT. */
static int await(const struct exchange *exchange, short events)
{
	int64_t left_ms = exchange->until_ms - clock_mono_ms();
	struct pollfd pollfd = {.fd = exchange->fd, .events = events};
	int r = left_ms > 0 ? poll(&pollfd, 1, (int)left_ms) : 0;
	return r > 0 ? 0 : r == 0 ? -ETIMEDOUT : -errno;
}

static bool is_reply(const struct exchange *exchange)
{
	return exchange->reply_bytes >= 12 && memcmp(exchange->reply, exchange->query, 2) == 0 &&
	       (exchange->reply[2] & 0x80) != 0;
}

/* ---- UDP: what is no reply to the query is passed over ---- */

static int ask_once(struct exchange *exchange, int patience_ms)
{
	exchange->until_ms = clock_mono_ms() + patience_ms;
	if (send(exchange->fd, exchange->query, exchange->query_bytes, MSG_NOSIGNAL) < 0)
		return -errno;
	for (;;) {
		int r = await(exchange, POLLIN);
		if (r != 0)
			return r;
		ssize_t n =
		    recv(exchange->fd, exchange->reply, sizeof exchange->reply, MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			return -errno;
		exchange->reply_bytes = n > 0 ? (size_t)n : 0;
		if (is_reply(exchange))
			return 0;
	}
}

static int ask_udp(struct exchange *exchange, int patience_ms)
{
	int r = -ETIMEDOUT;
	for (int i = 0; i < UDP_TRIES && r != 0; i++)
		r = ask_once(exchange, patience_ms);
	return r;
}

/* ---- TCP (RFC 7766) ---- */

static int write_all(const struct exchange *exchange, const uint8_t *bytes, size_t count)
{
	while (count > 0) {
		ssize_t n = send(exchange->fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return -errno;
		int r = n < 0 ? await(exchange, POLLOUT) : 0;
		if (r != 0)
			return r;
		bytes += n > 0 ? n : 0;
		count -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int read_all(const struct exchange *exchange, uint8_t *bytes, size_t count)
{
	while (count > 0) {
		int r = await(exchange, POLLIN);
		if (r != 0)
			return r;
		ssize_t n = recv(exchange->fd, bytes, count, MSG_DONTWAIT);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno != EAGAIN)
			return -errno;
		bytes += n > 0 ? n : 0;
		count -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int ask_tcp(struct exchange *exchange, int patience_ms)
{
	uint8_t length[2] = {(uint8_t)(exchange->query_bytes >> 8), (uint8_t)exchange->query_bytes};
	int error = 0;
	socklen_t error_bytes = sizeof error;
	exchange->until_ms = clock_mono_ms() + patience_ms;
	int r = await(exchange, POLLOUT);
	if (r == 0 && getsockopt(exchange->fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes) == 0)
		r = -error;
	if (r == 0)
		r = write_all(exchange, length, sizeof length);
	if (r == 0)
		r = write_all(exchange, exchange->query, exchange->query_bytes);
	if (r == 0)
		r = read_all(exchange, length, sizeof length);
	if (r != 0)
		return r;
	exchange->reply_bytes = (size_t)length[0] << 8 | length[1];
	r = read_all(exchange, exchange->reply, exchange->reply_bytes);
	return r == 0 && !is_reply(exchange) ? -EPROTO : r;
}

static int run_exchange(const union serve_address *server, const struct doctor_question *question,
    struct exchange *exchange)
{
	int kind = question->tcp ? SOCK_STREAM : SOCK_DGRAM;
	exchange->fd = socket(server->any.sa_family, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (exchange->fd < 0)
		return -errno;
	int r = connect(exchange->fd, &server->any, serve_address_bytes(server)) != 0 &&
			errno != EINPROGRESS
		    ? -errno
		    : 0;
	if (r == 0)
		r = question->tcp ? ask_tcp(exchange, question->patience_ms)
				  : ask_udp(exchange, question->patience_ms);
	close(exchange->fd);
	return r;
}

int doctor_ask(const union serve_address *server, const struct doctor_question *question,
    ldns_pkt **ret_reply, size_t *ret_bytes)
{
	struct exchange *exchange = calloc(1, sizeof *exchange);
	if (exchange == NULL)
		return -ENOMEM;
	int r = write_query(question, exchange);
	if (r == 0)
		r = run_exchange(server, question, exchange);
	if (r == 0 &&
	    ldns_wire2pkt(ret_reply, exchange->reply, exchange->reply_bytes) != LDNS_STATUS_OK)
		r = -EPROTO;
	if (r == 0)
		*ret_bytes = exchange->reply_bytes;
	free(exchange);
	return r;
}
