/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/lib/view.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "client/lib/text.h"
#include "proto/combine.h"

#define MAX_ADDRESSES 16u
#define MAX_TLSA 32u

enum resolverd_status status_of(int status)
{
	return status >= RESOLVERD_SECURE && status <= RESOLVERD_BOGUS
		   ? (enum resolverd_status)status
		   : RESOLVERD_ERROR;
}

static enum resolverd_tlsa_status tlsa_status_of(int status)
{
	return status >= RESOLVERD_TLSA_SECURE && status <= RESOLVERD_TLSA_NOT_QUERIED
		   ? (enum resolverd_tlsa_status)status
		   : RESOLVERD_TLSA_ERROR;
}

enum resolverd_requirement requirement_of(int requirement)
{
	return requirement >= RESOLVERD_NORMAL && requirement <= RESOLVERD_OFF
		   ? (enum resolverd_requirement)requirement
		   : RESOLVERD_MANDATORY;
}

uint64_t life_left_s(uint64_t expires_at_ms, uint64_t now_ms)
{
	return expires_at_ms > now_ms ? (expires_at_ms - now_ms) / 1000 : 0;
}

void view_zones(struct resolverd_memory *arena, Resolverd__V1__InsecureZone *const *from,
    size_t count, const struct resolverd_insecure_zone **ret_zones, size_t *ret_count)
{
	struct resolverd_insecure_zone *zones = memory_alloc(arena, count, sizeof *zones);
	if (zones == NULL)
		return;
	for (size_t i = 0; i < count; i++)
		zones[i] = (struct resolverd_insecure_zone){
		    text_clean(arena, from[i]->zone), from[i]->until};
	*ret_zones = zones;
	*ret_count = count;
}

static const char *or_null(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static void view_addresses(
    struct resolverd_memory *arena, const Resolverd__V1__Host *from, struct resolverd_host *host)
{
	struct resolverd_address *addresses =
	    memory_alloc(arena, from->n_addresses, sizeof *addresses);
	if (addresses == NULL)
		return;
	for (size_t i = 0; i < from->n_addresses && host->address_count < MAX_ADDRESSES; i++) {
		const ProtobufCBinaryData *ip = &from->addresses[i]->ip;
		if (ip->len != 4 && ip->len != 16)
			continue;
		struct resolverd_address *address = &addresses[host->address_count++];
		memcpy(address->ip, ip->data, ip->len);
		address->ip_bytes = ip->len;
		inet_ntop(ip->len == 4 ? AF_INET : AF_INET6, address->ip, address->text,
		    sizeof address->text);
		address->status = status_of(from->addresses[i]->status);
	}
	host->addresses = addresses;
}

static void view_tlsa(
    struct resolverd_memory *arena, const Resolverd__V1__Host *from, struct resolverd_host *host)
{
	struct resolverd_tlsa *records = memory_alloc(arena, from->n_tlsa, sizeof *records);
	if (records == NULL)
		return;
	for (size_t i = 0; i < from->n_tlsa && i < MAX_TLSA; i++) {
		const Resolverd__V1__Tlsa *tlsa = from->tlsa[i];
		if (tlsa->usage > UINT8_MAX || tlsa->selector > UINT8_MAX ||
		    tlsa->matching_type > UINT8_MAX)
			continue;
		records[host->tlsa_count++] = (struct resolverd_tlsa){.usage = (uint8_t)tlsa->usage,
		    .selector = (uint8_t)tlsa->selector,
		    .matching_type = (uint8_t)tlsa->matching_type,
		    .data = tlsa->data.data,
		    .data_bytes = tlsa->data.len};
	}
	host->tlsa = records;
}

void view_host_policy(struct resolverd_host *host, int policy, int reason)
{
	host->policy = policy >= RESOLVERD_DANE && policy <= RESOLVERD_UNREACHABLE
			   ? (enum resolverd_policy)policy
			   : RESOLVERD_UNREACHABLE;
	/* dane promises records to match and a name to send: without them nothing may be sent. */
	if (host->policy == RESOLVERD_DANE && (host->tlsa_count == 0 || host->tlsa_base == NULL))
		host->policy = RESOLVERD_UNREACHABLE;
	host->reason = host_reason_text(reason);
	host->reason_text = host_reason(reason)->sentence;
	host->sni = host->policy == RESOLVERD_DANE || host->policy == RESOLVERD_TLS_NO_AUTH
			? host->tlsa_base
			: NULL;
}

const char *view_origin(struct resolverd_memory *arena, const Resolverd__V1__Answer *answer)
{
	return answer->origin[0] != '\0' ? text_clean(arena, answer->origin) : NULL;
}

void view_host(struct resolverd_memory *arena, const struct verified *verified, uint64_t now_ms,
    struct resolverd_host *ret_host)
{
	const Resolverd__V1__Answer *answer = verified->answer;
	const Resolverd__V1__Host *from = answer->host;
	*ret_host = (struct resolverd_host){
	    .name = answer->question->name,
	    .port = answer->question->port,
	    .address_status = status_of(from->address_status),
	    .tlsa_status = tlsa_status_of(from->tlsa_status),
	    .tlsa_base = or_null(from->tlsa_base),
	    .tlsa_owner = or_null(from->tlsa_owner),
	    .validated_at_ms = answer->validated_at,
	    .expires_at_ms = answer->expires_at,
	    .expires_in_s = life_left_s(answer->expires_at, now_ms),
	    .key_id = verified->key_id,
	    .attested = verified->attested,
	    .origin = view_origin(arena, answer),
	};
	view_zones(arena, answer->insecure_zones, answer->n_insecure_zones,
	    &ret_host->insecure_zones, &ret_host->insecure_zone_count);
	view_addresses(arena, from, ret_host);
	view_tlsa(arena, from, ret_host);
}

int view_only_answer(const struct verifier *verifier, const struct question *question,
    const Resolverd__V1__Response *response, struct verified *ret_verified)
{
	if (response->n_answers == 1)
		return verify_answer(verifier, response->answers[0], question, ret_verified);
	snprintf(verifier->detail, DETAIL_MAX, "the response holds %zu answers, not one",
	    response->n_answers);
	return RESOLVERD_ERROR_VERIFY;
}

void view_host_alone(const struct verifier *verifier, const struct verified *verified,
    struct resolverd_host *ret_host)
{
	const Resolverd__V1__Host *from = verified->answer->host;
	const char **names = memory_alloc(verifier->arena, 1, sizeof *names);
	view_host(verifier->arena, verified, verifier->now_ms, ret_host);
	view_host_policy(ret_host, from->policy, from->reason);
	if (verified->not_understood != 0) {
		view_host_policy(
		    ret_host, RESOLVERD_UNREACHABLE, RESOLVERD__V1__HOST_REASON__ANSWER_MISSING);
		ret_host->address_status = RESOLVERD_ERROR;
		ret_host->reason_text = "the answer needs a newer client to understand it";
	}
	if (names != NULL && ret_host->policy == RESOLVERD_DANE) {
		names[0] = ret_host->tlsa_base;
		ret_host->reference_name_count = 1;
	}
	ret_host->reference_names = names;
}

int view_host_response(const struct verifier *verifier, const struct asked *asked,
    const Resolverd__V1__Response *response, struct resolverd_host **ret_host)
{
	struct question question = {
	    .kind = RESOLVERD__V1__KIND__HOST, .name = asked->name, .port = asked->port};
	struct verified verified;
	int r = view_only_answer(verifier, &question, response, &verified);
	if (r != 0)
		return r;
	struct resolverd_host *host = memory_alloc(verifier->arena, 1, sizeof *host);
	if (host == NULL)
		return RESOLVERD_ERROR_MEMORY;
	view_host_alone(verifier, &verified, host);
	host->memory = verifier->arena;
	*ret_host = host;
	return memory_failed(verifier->arena) ? RESOLVERD_ERROR_MEMORY : 0;
}

/* ---- seal ---- */

int view_seal(const struct verifier *verifier, const struct trusted_keys *trusted,
    const struct asked *asked, const Resolverd__V1__SignedSeal *from,
    struct resolverd_seal **ret_seal)
{
	struct sealed sealed;
	const char *problem =
	    from == NULL ? "it is missing" : verify_seal(trusted, from, asked->hash, &sealed);
	if (problem != NULL) {
		snprintf(verifier->detail, DETAIL_MAX, "the seal cannot be used: %s", problem);
		return RESOLVERD_ERROR_VERIFY;
	}
	Resolverd__V1__SignedSeal kept = *from; /* with what its reader needs */
	kept.delegation = sealed.delegation;
	kept.n_other_delegations = 0;
	size_t count = resolverd__v1__signed_seal__get_packed_size(&kept);
	struct resolverd_seal *seal = memory_alloc(verifier->arena, 1, sizeof *seal);
	uint8_t *bytes = memory_alloc(verifier->arena, count, 1);
	char *id = memory_alloc(verifier->arena, KEY_ID_HEX_CHARS, 1);
	if (seal == NULL || bytes == NULL || id == NULL)
		return RESOLVERD_ERROR_MEMORY;
	resolverd__v1__signed_seal__pack(&kept, bytes);
	sodium_bin2hex(id, KEY_ID_HEX_CHARS, sealed.key.id, KEY_ID_BYTES);
	*seal = (struct resolverd_seal){.bytes = bytes,
	    .count = count,
	    .sealed_at_ms = sealed.at_ms,
	    .key_id = id,
	    .memory = verifier->arena};
	*ret_seal = seal;
	return 0;
}
