/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A TLS connection to one host of a plan, and evidence of it: what a delivery client does, without
 * the SMTP in between. For tests; the daemon is found by RESOLVERD_SOCKET and RESOLVERD_PUBLIC_KEY.
 *
 *	record-delivery FILE NEXTHOP                              evidence of the plan alone
 *	record-delivery FILE NEXTHOP HOST ADDRESS PORT [VERDICT]  of a connection to the host there
 *	record-delivery FILE NEXTHOP HOST                         the host was not reached
 *
 * VERDICT, a number, is written instead of the true one: for evidence that lies.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client/evidence/resolverd-evidence.h"
#include "client/openssl/resolverd-openssl.h"

#define TIMEOUT_MS 20000
#define CHAIN_MAX 32

static void quit(const char *what, const char *detail)
{
	fprintf(stderr, "record-delivery: %s: %s\n", what, detail);
	exit(1);
}

static void check(struct resolverd_client *client, const char *what, int r)
{
	if (r != 0)
		quit(what, client != NULL ? resolverd_last_error(client) : resolverd_strerror(r));
}

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static const struct resolverd_host *host_of(const struct resolverd_plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->host_count; i++)
		if (strcmp(plan->hosts[i].name, name) == 0)
			return &plan->hosts[i];
	quit(name, "not in the plan");
	return NULL;
}

static int connect_to(const char *address, const char *port)
{
	struct sockaddr_in to = {
	    .sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (inet_pton(AF_INET, address, &to.sin_addr) != 1 ||
	    connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		quit(address, "cannot connect");
	return fd;
}

static enum resolverd_verdict verdict_of(const struct resolverd_tls_verdict *tls)
{
	if (!tls->may_deliver)
		return RESOLVERD_REFUSED;
	if (tls->authenticated)
		return tls->for_domain ? RESOLVERD_AUTHENTICATED : RESOLVERD_HOST_AUTHENTICATED;
	return RESOLVERD_ENCRYPTED;
}

struct connection {
	SSL_CTX *context;
	SSL *ssl;
	uint8_t *der[CHAIN_MAX];
	size_t bytes[CHAIN_MAX];
	size_t count;
	struct resolverd_tls_verdict verdict;
};

static void take_chain(struct connection *connection)
{
	const STACK_OF(X509) *chain = SSL_get_peer_cert_chain(connection->ssl);
	for (int i = 0; i < sk_X509_num(chain) && connection->count < CHAIN_MAX; i++) {
		int bytes = i2d_X509(sk_X509_value(chain, i), &connection->der[connection->count]);
		if (bytes <= 0)
			quit("chain", "a certificate cannot be written");
		connection->bytes[connection->count++] = (size_t)bytes;
	}
}

static void handshake(struct connection *connection, const struct resolverd_plan *plan,
    const struct resolverd_host *host, int fd)
{
	connection->context = resolverd_tls_context_new(false);
	connection->ssl = SSL_new(connection->context);
	check(NULL, "prepare", resolverd_tls_prepare(connection->ssl, plan, host));
	SSL_set_fd(connection->ssl, fd);
	if (SSL_connect(connection->ssl) != 1)
		quit(host->name, "the handshake failed");
	take_chain(connection);
	check(NULL, "verdict",
	    resolverd_tls_verdict(connection->ssl, plan, host, time(NULL), &connection->verdict));
}

static void connection_fini(struct connection *connection)
{
	for (size_t i = 0; i < connection->count; i++)
		OPENSSL_free(connection->der[i]);
	SSL_free(connection->ssl);
	SSL_CTX_free(connection->context);
}

static void write_evidence(struct resolverd_client *client, const struct resolverd_plan *plan,
    const struct resolverd_attempt *attempt, const char *path)
{
	struct resolverd_evidence *evidence;
	char error[RESOLVERD_EVIDENCE_ERROR_MAX];
	struct resolverd_evidence_about about = {.program = "record-delivery",
	    .recipient_domain = plan->has_mx ? plan->next_hop : NULL,
	    .attempts = attempt,
	    .attempt_count = attempt->host != NULL,
	    .timeout_ms = TIMEOUT_MS};
	check(client, "collect", resolverd_evidence_collect(client, plan, &about, &evidence));
	check(client, "seal", resolverd_evidence_seal(client, evidence, TIMEOUT_MS));
	if (resolverd_evidence_write(evidence, path, error) != 0)
		quit("write", error);
	resolverd_evidence_free(evidence);
}

int main(int argc, char **argv)
{
	struct resolverd_client *client;
	struct resolverd_plan *plan;
	struct resolverd_attempt attempt = {0};
	struct connection connection = {0};
	if (argc < 3)
		quit("usage", "FILE NEXTHOP [HOST [ADDRESS PORT [VERDICT]]]");
	check(NULL, "client", resolverd_client_new(NULL, &client));
	check(client, "plan", resolverd_plan(client, argv[2], 25, TIMEOUT_MS, &plan));
	if (argc > 3) {
		attempt.host = argv[3];
		attempt.verdict = RESOLVERD_UNAVAILABLE;
	}
	if (argc > 5) {
		const struct resolverd_host *host = host_of(plan, argv[3]);
		int fd = connect_to(argv[4], argv[5]);
		handshake(&connection, plan, host, fd);
		for (size_t i = 0; i < host->address_count; i++)
			if (strcmp(host->addresses[i].text, argv[4]) == 0)
				attempt.address = &host->addresses[i];
		attempt.tls_version = SSL_get_version(connection.ssl);
		attempt.tls_suite = SSL_get_cipher_name(connection.ssl);
		attempt.chain = (const uint8_t *const *)connection.der;
		attempt.chain_bytes = connection.bytes;
		attempt.chain_count = connection.count;
		attempt.verdict = argc > 6 ? (enum resolverd_verdict)strtoul(argv[6], NULL, 10)
					   : verdict_of(&connection.verdict);
		attempt.reason = connection.verdict.reason;
		close(fd);
	}
	attempt.verdict_at_ms = now_ms();
	write_evidence(client, plan, &attempt, argv[1]);
	connection_fini(&connection);
	resolverd_plan_free(plan);
	resolverd_client_free(client);
	return 0;
}
