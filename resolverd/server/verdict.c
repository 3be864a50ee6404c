/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/verdict.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "resolverd/server/signer.h"

/* ---- what is fed to the hash ---- */

struct digest {
	crypto_generichash_state state;
};

static void begin(struct digest *digest)
{
	crypto_generichash_init(&digest->state, NULL, 0, VERDICT_BYTES);
}

static void add_number(struct digest *digest, uint64_t number)
{
	crypto_generichash_update(&digest->state, (const uint8_t *)&number, sizeof number);
}

/* With their length before them, so that no two lists look alike. */
static void add_bytes(struct digest *digest, const void *bytes, size_t count)
{
	add_number(digest, count);
	crypto_generichash_update(&digest->state, bytes, count);
}

static void add_text(struct digest *digest, const char *text)
{
	add_bytes(digest, text, strlen(text));
}

static void end(struct digest *digest, uint8_t ret_verdict[VERDICT_BYTES])
{
	crypto_generichash_final(&digest->state, ret_verdict, VERDICT_BYTES);
}

/* ---- routes ---- */

static int compare_mx(const void *a, const void *b)
{
	const Resolverd__V1__MxHost *const *x = a, *const *y = b;
	if ((*x)->preference != (*y)->preference)
		return (*x)->preference < (*y)->preference ? -1 : 1;
	return strcmp((*x)->name, (*y)->name);
}

static void add_route(struct digest *digest, Resolverd__V1__Route *route)
{
	add_number(digest, (uint64_t)route->kind);
	add_number(digest, (uint64_t)route->mx_status);
	add_text(digest, route->expanded);
	if (route->n_mx > 1)
		qsort(route->mx, route->n_mx, sizeof(*route->mx), compare_mx);
	add_number(digest, route->n_mx);
	for (size_t i = 0; i < route->n_mx; i++) {
		add_number(digest, route->mx[i]->preference);
		add_text(digest, route->mx[i]->name);
	}
	add_number(digest, (uint64_t)route->requirement);
	add_number(digest, (uint64_t)route->insecure_mx_policy);
	add_text(digest, route->requirement_source);
	add_text(digest, route->requirement_reason);
	add_number(digest, route->requirement_until);
}

/* ---- hosts ---- */

static int compare_tlsa(const void *a, const void *b)
{
	const Resolverd__V1__Tlsa *const *x = a, *const *y = b;
	const uint32_t left[] = {(*x)->usage, (*x)->selector, (*x)->matching_type};
	const uint32_t right[] = {(*y)->usage, (*y)->selector, (*y)->matching_type};
	for (unsigned i = 0; i < 3; i++)
		if (left[i] != right[i])
			return left[i] < right[i] ? -1 : 1;
	if ((*x)->data.len != (*y)->data.len)
		return (*x)->data.len < (*y)->data.len ? -1 : 1;
	return (*x)->data.len == 0 ? 0 : memcmp((*x)->data.data, (*y)->data.data, (*x)->data.len);
}

/* Whether a lookup failed or was not made for now: the host is not to be had in either case. */
static int reason_of(const Resolverd__V1__Host *host)
{
	return host->reason == RESOLVERD__V1__HOST_REASON__NOT_READY
		   ? RESOLVERD__V1__HOST_REASON__ADDRESS_FAILED
		   : (int)host->reason;
}

static void add_host(struct digest *digest, const Resolverd__V1__Host *host)
{
	add_number(digest, (uint64_t)host->policy);
	add_number(digest, (uint64_t)reason_of(host));
	add_number(digest, (uint64_t)host->address_status);
	add_number(digest, (uint64_t)host->tlsa_status);
	add_text(digest, host->tlsa_base);
	if (host->n_tlsa > 1)
		qsort(host->tlsa, host->n_tlsa, sizeof(*host->tlsa), compare_tlsa);
	add_number(digest, host->n_tlsa);
	for (size_t i = 0; i < host->n_tlsa; i++) {
		const Resolverd__V1__Tlsa *tlsa = host->tlsa[i];
		add_number(digest, tlsa->usage);
		add_number(digest, tlsa->selector);
		add_number(digest, tlsa->matching_type);
		add_bytes(digest, tlsa->data.data, tlsa->data.len);
	}
}

/* ---- the whole ---- */

int verdict_of(const struct answer *answer, uint8_t ret_verdict[VERDICT_BYTES])
{
	Resolverd__V1__Answer *envelope = answer_envelope(answer);
	struct digest digest;
	if (envelope == NULL)
		return -ENOMEM;
	begin(&digest);
	add_number(&digest, (uint64_t)envelope->data_case);
	if (envelope->data_case == RESOLVERD__V1__ANSWER__DATA_ROUTE)
		add_route(&digest, envelope->route);
	else if (envelope->data_case == RESOLVERD__V1__ANSWER__DATA_HOST)
		add_host(&digest, envelope->host);
	for (size_t i = 0; i < envelope->n_critical; i++)
		add_number(&digest, envelope->critical[i]);
	for (size_t i = 0; i < envelope->n_insecure_zones; i++)
		add_text(&digest, envelope->insecure_zones[i]->zone);
	end(&digest, ret_verdict);
	resolverd__v1__answer__free_unpacked(envelope, NULL);
	return 0;
}

void verdict_of_all(
    const uint8_t (*verdicts)[VERDICT_BYTES], unsigned count, uint8_t ret_verdict[VERDICT_BYTES])
{
	struct digest digest;
	begin(&digest);
	for (unsigned i = 0; i < count; i++)
		add_bytes(&digest, verdicts[i], VERDICT_BYTES);
	end(&digest, ret_verdict);
}
