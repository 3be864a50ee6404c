/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A sender's whole way to an authenticated connection: plan, connect, STARTTLS, verdict. Says over
 * which host and address a mail would go, and sends none. docs/DELIVERY.md explains each step.
 *	cc dane_client.c $(pkg-config --cflags --libs libresolverd-openssl) -o dane_client
 */
#include <netdb.h>
#include <resolverd-openssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Sends text and takes one reply. Reads octet by octet, so that nothing that came in clear is left
 * to be taken for what was said under TLS. */
static bool say(int fd, const char *text, const char *want)
{
	char line[512];
	bool sent = send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
	for (int lines = 0; sent && lines < 100; lines++) {
		size_t n = 0;
		while (n < sizeof line - 1 && recv(fd, line + n, 1, 0) == 1 && line[n++] != '\n')
			continue;
		if (n < 5 || line[n - 1] != '\n' || line[3] == ' ')
			return n >= 5 && strncmp(line, want, 3) == 0 && line[3] == ' ';
	}
	return false;
}

static int dial(const struct resolverd_host *host, const char *address)
{
	struct addrinfo *to, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
	struct timeval patience = {.tv_sec = 30};
	char port[8];
	snprintf(port, sizeof port, "%u", host->port);
	if (getaddrinfo(address, port, &hints, &to) != 0)
		return -1;
	int fd = socket(to->ai_family, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	bool connected = connect(fd, to->ai_addr, to->ai_addrlen) == 0;
	freeaddrinfo(to);
	if (connected && say(fd, "", "220") && say(fd, "EHLO client.example\r\n", "250"))
		return fd;
	close(fd);
	return -1;
}

/* Whether a mail may go over this connection. */
static bool may_use(
    SSL_CTX *tls, const struct resolverd_plan *plan, const struct resolverd_host *host, int fd)
{
	struct resolverd_tls_verdict verdict = {.reason = "no TLS"};
	SSL *ssl = SSL_new(tls);
	if (!say(fd, "STARTTLS\r\n", "220")) /* nobody else may go on in clear */
		verdict.may_deliver = host->policy == RESOLVERD_OPPORTUNISTIC;
	else if (resolverd_tls_prepare(ssl, plan, host) != 0 || SSL_set_fd(ssl, fd) != 1 ||
		 SSL_connect(ssl) != 1 ||
		 resolverd_tls_verdict(ssl, plan, host, time(NULL), &verdict) != 0)
		verdict.may_deliver = false;
	printf("%s %s: %s: %s\n", host->name, resolverd_policy_text(host->policy),
	    verdict.may_deliver ? "yes" : "no", verdict.reason);
	SSL_free(ssl); /* a sender goes on with EHLO and MAIL FROM by SSL_write instead */
	return verdict.may_deliver;
}

int main(int argc, char **argv)
{
	struct resolverd_client *client;
	struct resolverd_plan *plan;
	bool good = false;
	SSL_CTX *tls = resolverd_tls_context_new(false);
	if (argc != 2 || tls == NULL || resolverd_client_new(NULL, &client) != 0)
		return 64;
	if (resolverd_plan(client, argv[1], 25, 30000, &plan) != 0) {
		fprintf(stderr, "%s\n", resolverd_last_error(client));
		return 75;
	}
	for (size_t i = 0; i < plan->host_count && plan->outcome == RESOLVERD_DELIVER; i++) {
		const struct resolverd_host *host = &plan->hosts[i];
		for (size_t j = 0; !good && j < host->address_count; j++) {
			if (host->policy == RESOLVERD_UNREACHABLE)
				break; /* no connection at all */
			int fd = dial(host, host->addresses[j].text);
			good = fd >= 0 && may_use(tls, plan, host, fd);
			close(fd);
		}
	}
	printf("%s: %s\n", good ? "deliver" : "keep the mail", plan->reason);
	resolverd_plan_free(plan);
	resolverd_client_free(client);
	SSL_CTX_free(tls);
	return good ? 0 : 75;
}
