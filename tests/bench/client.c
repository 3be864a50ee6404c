/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client library, which verifies what it is given, and what libsodium's Ed25519 costs by
 * itself. Prints one JSON object.
 *
 *     bench-client --socket S --public-key FILE --next-hop NAME --numbers N [--seconds T]
 *     bench-client --crypto BYTES [--seconds T]
 *
 * The run of # in NAME is a number: 0 to N - 1, then again with a new handle, which remembers
 * nothing. With N = 1 the handle is kept: the same plan again and again.
 * --crypto: signatures made and verified per second, of messages of so many bytes.
 */
#include <getopt.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/resolverd.h"

#define TIMEOUT_MS 10000

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(int error, const char *what)
{
	if (error == 0)
		return;
	fprintf(stderr, "client: %s: %s\n", what, resolverd_strerror(error));
	exit(1);
}

static void put_number(char *name, unsigned long number)
{
	static size_t at, count;
	if (count == 0) {
		at = strcspn(name, "#");
		count = strspn(name + at, "#");
	}
	for (size_t i = count; i-- > 0; number /= 10)
		name[at + i] = (char)('0' + number % 10);
}

static void ask_plans(
    const struct resolverd_options *options, char *name, unsigned long numbers, double seconds)
{
	struct resolverd_client *client = NULL;
	unsigned long plans = 0;
	double begin = now_s(), elapsed;
	do {
		struct resolverd_plan *plan;
		unsigned long number = plans % numbers;
		if (client == NULL || (number == 0 && numbers > 1)) {
			resolverd_client_free(client);
			check(resolverd_client_new(options, &client), "client");
		}
		put_number(name, number);
		check(resolverd_plan(client, name, 25, TIMEOUT_MS, &plan), name);
		resolverd_plan_free(plan);
		plans++;
		elapsed = now_s() - begin;
	} while (elapsed < seconds);
	resolverd_client_free(client);
	printf("{\"plans\":%lu,\"per_s\":%.0f}\n", plans, (double)plans / elapsed);
}

static void try_crypto(size_t bytes, double seconds)
{
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES], secret_key[crypto_sign_SECRETKEYBYTES];
	uint8_t signature[crypto_sign_BYTES], *message = calloc(1, bytes);
	uint64_t made = 0, verified = 0;
	double begin = now_s(), made_s, verified_s;
	if (message == NULL || sodium_init() < 0)
		exit(1);
	crypto_sign_keypair(public_key, secret_key);
	do {
		memcpy(message, &made, sizeof made < bytes ? sizeof made : bytes);
		crypto_sign_detached(signature, NULL, message, bytes, secret_key);
		made++;
	} while ((made_s = now_s() - begin) < seconds / 2);
	begin = now_s();
	do {
		if (crypto_sign_verify_detached(signature, message, bytes, public_key) != 0)
			exit(1);
		verified++;
	} while ((verified_s = now_s() - begin) < seconds / 2);
	free(message);
	printf("{\"sign_per_s\":%.0f,\"verify_per_s\":%.0f}\n", (double)made / made_s,
	    (double)verified / verified_s);
}

int main(int argc, char **argv)
{
	static const struct option words[] = {{"socket", 1, NULL, 's'},
	    {"public-key", 1, NULL, 'p'}, {"next-hop", 1, NULL, 'h'}, {"numbers", 1, NULL, 'n'},
	    {"crypto", 1, NULL, 'c'}, {"seconds", 1, NULL, 't'}, {0}};
	struct resolverd_options options = {0};
	unsigned long numbers = 1, crypto_bytes = 0;
	double seconds = 1;
	char name[256] = "";
	for (int option; (option = getopt_long(argc, argv, "", words, NULL)) != -1;) {
		switch (option) {
		case 's':
			options.socket_path = optarg;
			break;
		case 'p':
			options.public_key_file = optarg;
			break;
		case 'h':
			snprintf(name, sizeof name, "%s", optarg);
			break;
		case 'n':
			numbers = strtoul(optarg, NULL, 10);
			break;
		case 'c':
			crypto_bytes = strtoul(optarg, NULL, 10);
			break;
		case 't':
			seconds = strtod(optarg, NULL);
			break;
		default:
			return 64;
		}
	}
	if (crypto_bytes > 0)
		try_crypto(crypto_bytes, seconds);
	else if (name[0] != '\0' && numbers > 0)
		ask_plans(&options, name, numbers, seconds);
	else
		return 64;
	return 0;
}
