/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/smtp/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How often OpenSSL may read from the descriptor in one call. A peer that sends what TLS swallows
 * in silence (HelloRequests, session tickets), as fast as it can, would keep us from the clock. */
#define TLS_READS_MAX 64u

void stream_init(struct stream *stream)
{
	stream->fd = -1;
	stream->ssl = NULL;
	stream->tls_wants_write = false;
	stream->tls_broke = false;
	stream->in_start = stream->in_end = 0;
	stream->out_start = stream->out_end = 0;
	stream->error[0] = '\0';
}

void stream_fini(struct stream *stream)
{
	/* One close_notify, without waiting for the peer's (RFC 8446 section 6.1). */
	if (stream->ssl != NULL && SSL_is_init_finished(stream->ssl))
		SSL_shutdown(stream->ssl);
	SSL_free(stream->ssl);
	if (stream->fd >= 0)
		close(stream->fd);
	stream_init(stream);
}

static enum stream_result ended(struct stream *stream, const char *what, int error_number)
{
	snprintf(stream->error, sizeof stream->error, "%s: %s", what, strerror(error_number));
	return STREAM_ENDED;
}

static enum stream_result closed(struct stream *stream)
{
	snprintf(stream->error, sizeof stream->error, "the server closed the connection");
	return STREAM_ENDED;
}

static socklen_t socket_address(
    const uint8_t *ip, size_t ip_bytes, uint16_t port, struct sockaddr_storage *ret_address)
{
	*ret_address = (struct sockaddr_storage){0};
	if (ip_bytes == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret_address;
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, ip, 4);
		return sizeof *in;
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_address;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, ip, 16);
	return sizeof *in6;
}

enum stream_result stream_connect(
    struct stream *stream, const uint8_t *ip, size_t ip_bytes, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t address_bytes = socket_address(ip, ip_bytes, port, &address);
	stream->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (stream->fd < 0)
		return ended(stream, "cannot make a socket", errno);
	if (connect(stream->fd, (const struct sockaddr *)&address, address_bytes) != 0 &&
	    errno != EINPROGRESS)
		return ended(stream, "cannot connect", errno);
	return STREAM_WAIT;
}

enum stream_result stream_connected(struct stream *stream)
{
	struct pollfd writable = {.fd = stream->fd, .events = POLLOUT};
	if (poll(&writable, 1, 0) <= 0)
		return STREAM_WAIT;
	int error_number = 0;
	socklen_t bytes = sizeof error_number;
	if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error_number, &bytes) != 0)
		error_number = errno;
	return error_number == 0 ? STREAM_OK : ended(stream, "cannot connect", error_number);
}

void stream_start_tls(struct stream *stream, SSL *ssl)
{
	stream->ssl = ssl;
	SSL_set_connect_state(ssl);
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

/* What an SSL function that returned result has run into. */
static enum stream_result tls_result(struct stream *stream, int result, int error_number)
{
	stream->tls_wants_write = false;
	int kind = SSL_get_error(stream->ssl, result);
	unsigned long code = ERR_peek_last_error();
	switch (kind) {
	case SSL_ERROR_WANT_WRITE:
		stream->tls_wants_write = true;
		return STREAM_WAIT;
	case SSL_ERROR_WANT_READ:
		return STREAM_WAIT;
	case SSL_ERROR_ZERO_RETURN:
		return closed(stream);
	case SSL_ERROR_SYSCALL:
		return error_number == 0 ? closed(stream)
					 : ended(stream, "connection lost", error_number);
	default:
		if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
			return closed(stream);
		stream->tls_broke = true;
		const char *reason = ERR_reason_error_string(code);
		snprintf(stream->error, sizeof stream->error, "TLS: %s",
		    reason != NULL ? reason : "unknown error");
		return STREAM_ENDED;
	}
}

static long count_reads(
    BIO *bio, int operation, const char *, size_t, int, long, int result, size_t *)
{
	struct stream *stream = (struct stream *)BIO_get_callback_arg(bio);
	if (operation != BIO_CB_READ)
		return result;
	if (stream->tls_reads_left > 0) {
		stream->tls_reads_left--;
		return result;
	}
	BIO_set_retry_read(bio);
	return -1;
}

static bool attach(struct stream *stream)
{
	if (SSL_get_fd(stream->ssl) >= 0)
		return true;
	if (SSL_set_fd(stream->ssl, stream->fd) != 1)
		return false;
	BIO *bio = SSL_get_rbio(stream->ssl);
	BIO_set_callback_ex(bio, count_reads);
	BIO_set_callback_arg(bio, (char *)stream);
	return true;
}

/* Before each call into OpenSSL. */
static void begin_tls_call(struct stream *stream)
{
	stream->tls_reads_left = TLS_READS_MAX;
	ERR_clear_error();
	errno = 0;
}

enum stream_result stream_handshake(struct stream *stream)
{
	if (!attach(stream))
		return ended(stream, "cannot start TLS", ENOMEM);
	begin_tls_call(stream);
	int result = SSL_do_handshake(stream->ssl);
	return result == 1 ? STREAM_OK : tls_result(stream, result, errno);
}

short stream_events(const struct stream *stream)
{
	bool writes = stream->tls_wants_write || stream->out_start < stream->out_end;
	return (short)(POLLIN | (writes ? POLLOUT : 0));
}

size_t stream_room(const struct stream *stream)
{
	return STREAM_OUT_BYTES - stream->out_end;
}

bool stream_queue(struct stream *stream, const void *bytes, size_t count)
{
	if (count > stream_room(stream))
		return false;
	memcpy(stream->out + stream->out_end, bytes, count);
	stream->out_end += count;
	return true;
}

static enum stream_result write_some(struct stream *stream, size_t *ret_count)
{
	const uint8_t *bytes = stream->out + stream->out_start;
	size_t count = stream->out_end - stream->out_start;
	if (stream->ssl != NULL) {
		begin_tls_call(stream);
		int result = SSL_write_ex(stream->ssl, bytes, count, ret_count);
		return result == 1 ? STREAM_OK : tls_result(stream, result, errno);
	}
	ssize_t sent = send(stream->fd, bytes, count, MSG_NOSIGNAL);
	if (sent >= 0) {
		*ret_count = (size_t)sent;
		return STREAM_OK;
	}
	if (errno == EAGAIN || errno == EINTR)
		return STREAM_WAIT;
	return ended(stream, "connection lost", errno);
}

enum stream_result stream_flush(struct stream *stream)
{
	while (stream->out_start < stream->out_end) {
		size_t count;
		enum stream_result result = write_some(stream, &count);
		if (result != STREAM_OK)
			return result;
		stream->out_start += count;
	}
	stream->out_start = stream->out_end = 0;
	return STREAM_OK;
}

size_t stream_unread(const struct stream *stream)
{
	return stream->in_end - stream->in_start;
}

enum stream_result stream_receive(struct stream *stream)
{
	size_t count;
	stream->in_start = stream->in_end = 0;
	if (stream->ssl != NULL) {
		begin_tls_call(stream);
		int result = SSL_read_ex(stream->ssl, stream->in, sizeof stream->in, &count);
		if (result != 1)
			return tls_result(stream, result, errno);
	} else {
		ssize_t received = recv(stream->fd, stream->in, sizeof stream->in, 0);
		if (received < 0 && (errno == EAGAIN || errno == EINTR))
			return STREAM_WAIT;
		if (received < 0)
			return ended(stream, "connection lost", errno);
		if (received == 0)
			return closed(stream);
		count = (size_t)received;
	}
	stream->in_end = count;
	return STREAM_OK;
}
