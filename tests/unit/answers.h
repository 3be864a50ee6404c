/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signed answers as a daemon would make them, for tests of what checks them. Everything lives in
 * the arena given. Times are milliseconds of the tests' own clock, which stands at NOW_MS.
 */
#pragma once
#include <string.h>

#include "client/lib/memory.h"
#include "client/lib/verify.h"

#define NOW_MS 1790000000000u

struct signer {
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
	uint8_t secret_key[crypto_sign_SECRETKEYBYTES];
};

static inline struct signer signer_of(uint8_t seed_byte)
{
	struct signer signer;
	uint8_t seed[crypto_sign_SEEDBYTES];
	memset(seed, seed_byte, sizeof seed);
	crypto_sign_seed_keypair(signer.public_key, signer.secret_key, seed);
	return signer;
}

/* A zeroed message in the arena, made ready by its _init function. */
#define NEW(arena, type, init)                                                                     \
	({                                                                                         \
		Resolverd__V1__##type *made = memory_alloc(arena, 1, sizeof *made);                \
		resolverd__v1__##init##__init(made);                                               \
		made;                                                                              \
	})

static inline void sign_bytes(struct resolverd_memory *arena, const struct signer *signer,
    const char *context, ProtobufCBinaryData bytes, ProtobufCBinaryData *ret_signature,
    ProtobufCBinaryData *ret_key_id)
{
	*ret_signature =
	    (ProtobufCBinaryData){crypto_sign_BYTES, memory_alloc(arena, 1, crypto_sign_BYTES)};
	*ret_key_id = (ProtobufCBinaryData){KEY_ID_BYTES, memory_alloc(arena, 1, KEY_ID_BYTES)};
	signing_sign(context, bytes.data, bytes.len, signer->secret_key, ret_signature->data);
	key_id_of(signer->public_key, ret_key_id->data);
}

static inline ProtobufCBinaryData pack(
    struct resolverd_memory *arena, const ProtobufCMessage *message)
{
	size_t count = protobuf_c_message_get_packed_size(message);
	ProtobufCBinaryData bytes = {count, memory_alloc(arena, 1, count + 1)};
	protobuf_c_message_pack(message, bytes.data);
	return bytes;
}

static inline Resolverd__V1__SignedAnswer *sign_answer(struct resolverd_memory *arena,
    const struct signer *signer, const Resolverd__V1__Answer *answer)
{
	Resolverd__V1__SignedAnswer *signed_answer = NEW(arena, SignedAnswer, signed_answer);
	signed_answer->answer = pack(arena, &answer->base);
	sign_bytes(arena, signer, SIGNING_CONTEXT_ANSWER, signed_answer->answer,
	    &signed_answer->signature, &signed_answer->key_id);
	return signed_answer;
}

/* One for whoever listens: valid an hour around NOW_MS. Change it before sign_delegation. */
static inline Resolverd__V1__Delegation *new_delegation(
    struct resolverd_memory *arena, const struct signer *online)
{
	Resolverd__V1__Delegation *delegation = NEW(arena, Delegation, delegation);
	delegation->online_key = (ProtobufCBinaryData){
	    sizeof online->public_key, memory_alloc(arena, 1, sizeof online->public_key)};
	memcpy(delegation->online_key.data, online->public_key, sizeof online->public_key);
	delegation->member = memory_string(arena, "m1");
	delegation->not_before = NOW_MS - 3600000;
	delegation->not_after = NOW_MS + 3600000;
	delegation->scope = RESOLVERD__V1__SCOPE__ANSWERS;
	return delegation;
}

static inline Resolverd__V1__SignedDelegation *sign_delegation(struct resolverd_memory *arena,
    const struct signer *long_term, const Resolverd__V1__Delegation *delegation)
{
	Resolverd__V1__SignedDelegation *signed_delegation =
	    NEW(arena, SignedDelegation, signed_delegation);
	signed_delegation->delegation = pack(arena, &delegation->base);
	sign_bytes(arena, long_term, SIGNING_CONTEXT_DELEGATION, signed_delegation->delegation,
	    &signed_delegation->signature, &signed_delegation->key_id);
	return signed_delegation;
}

static inline Resolverd__V1__Answer *new_answer(
    struct resolverd_memory *arena, int kind, const char *name)
{
	Resolverd__V1__Answer *answer = NEW(arena, Answer, answer);
	answer->question = NEW(arena, Question, question);
	answer->question->kind = (Resolverd__V1__Kind)kind;
	answer->question->name = memory_string(arena, name);
	answer->member = memory_string(arena, "m1");
	answer->validated_at = NOW_MS - 1000;
	answer->expires_at = NOW_MS + 300500;
	answer->cacheable = true;
	return answer;
}

/* A secure MX route without hosts. */
static inline Resolverd__V1__Answer *new_route(struct resolverd_memory *arena, const char *next_hop)
{
	Resolverd__V1__Answer *answer = new_answer(arena, RESOLVERD__V1__KIND__ROUTE, next_hop);
	Resolverd__V1__Route *route = NEW(arena, Route, route);
	route->kind = RESOLVERD__V1__ROUTE_KIND__MX;
	route->mx_status = RESOLVERD__V1__STATUS__SECURE;
	route->expanded = memory_string(arena, next_hop);
	route->requirement = RESOLVERD__V1__REQUIREMENT__NORMAL;
	route->insecure_mx_policy = RESOLVERD__V1__INSECURE_MX_POLICY__INSECURE_MX_DANE;
	route->mx = memory_alloc(arena, 64, sizeof(Resolverd__V1__MxHost *));
	answer->data_case = RESOLVERD__V1__ANSWER__DATA_ROUTE;
	answer->route = route;
	return answer;
}

static inline void add_mx(
    struct resolverd_memory *arena, Resolverd__V1__Answer *route, const char *name)
{
	Resolverd__V1__MxHost *mx = NEW(arena, MxHost, mx_host);
	mx->preference = (uint32_t)(10 * (route->route->n_mx + 1));
	mx->name = memory_string(arena, name);
	route->route->mx[route->route->n_mx++] = mx;
}

/* A dane host with one address and one 3 1 1 record. */
static inline Resolverd__V1__Answer *new_host(struct resolverd_memory *arena, const char *name)
{
	Resolverd__V1__Answer *answer = new_answer(arena, RESOLVERD__V1__KIND__HOST, name);
	Resolverd__V1__Host *host = NEW(arena, Host, host);
	answer->question->port = 25;
	host->policy = RESOLVERD__V1__POLICY__DANE;
	host->reason = RESOLVERD__V1__HOST_REASON__TLSA_USABLE;
	host->address_status = RESOLVERD__V1__STATUS__SECURE;
	host->addresses = memory_alloc(arena, 1, sizeof *host->addresses);
	host->addresses[0] = NEW(arena, Address, address);
	host->addresses[0]->ip = (ProtobufCBinaryData){4, memory_alloc(arena, 1, 4)};
	memcpy(host->addresses[0]->ip.data, "\300\0\2\1", 4);
	host->addresses[0]->status = RESOLVERD__V1__STATUS__SECURE;
	host->n_addresses = 1;
	host->tlsa_status = RESOLVERD__V1__TLSA_STATUS__TLSA_SECURE;
	host->tlsa_base = memory_string(arena, name);
	host->tlsa_owner = memory_printf(arena, "_25._tcp.%s", name);
	host->tlsa = memory_alloc(arena, 1, sizeof *host->tlsa);
	host->tlsa[0] = NEW(arena, Tlsa, tlsa);
	host->tlsa[0]->usage = 3;
	host->tlsa[0]->selector = 1;
	host->tlsa[0]->matching_type = 1;
	host->tlsa[0]->data = (ProtobufCBinaryData){32, memory_alloc(arena, 1, 32)};
	host->n_tlsa = 1;
	answer->data_case = RESOLVERD__V1__ANSWER__DATA_HOST;
	answer->host = host;
	return answer;
}
