/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/lib/view.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

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

uint64_t life_left_s(uint64_t expires_at_ms, uint64_t now_ms)
{
	return expires_at_ms > now_ms ? (expires_at_ms - now_ms) / 1000 : 0;
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
	host->reason_text = host_reason_sentence(reason);
	host->sni = host->policy == RESOLVERD_DANE || host->policy == RESOLVERD_TLS_NO_AUTH
			? host->tlsa_base
			: NULL;
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
	};
	view_addresses(arena, from, ret_host);
	view_tlsa(arena, from, ret_host);
}

/* host and records: exactly one answer. */
static int verify_only(const struct verifier *verifier, const struct question *question,
    const Resolverd__V1__Response *response, struct verified *ret_verified)
{
	if (response->n_answers == 1)
		return verify_answer(verifier, response->answers[0], question, ret_verified);
	snprintf(verifier->detail, DETAIL_MAX, "the response holds %zu answers, not one",
	    response->n_answers);
	return RESOLVERD_ERROR_VERIFY;
}

int view_host_response(const struct verifier *verifier, const struct asked *asked,
    const Resolverd__V1__Response *response, struct resolverd_host **ret_host)
{
	struct question question = {
	    .kind = RESOLVERD__V1__KIND__HOST, .name = asked->name, .port = asked->port};
	struct verified verified;
	int r = verify_only(verifier, &question, response, &verified);
	if (r != 0)
		return r;
	struct resolverd_host *host = memory_alloc(verifier->arena, 1, sizeof *host);
	const char **names = memory_alloc(verifier->arena, 1, sizeof *names);
	if (host == NULL || names == NULL)
		return RESOLVERD_ERROR_MEMORY;
	view_host(verifier->arena, &verified, verifier->now_ms, host);
	view_host_policy(host, verified.answer->host->policy, verified.answer->host->reason);
	if (verified.not_understood != 0) {
		view_host_policy(
		    host, RESOLVERD_UNREACHABLE, RESOLVERD__V1__HOST_REASON__ANSWER_MISSING);
		host->address_status = RESOLVERD_ERROR;
		host->reason_text = "the answer needs a newer client to understand it";
	}
	if (host->policy == RESOLVERD_DANE) {
		names[0] = host->tlsa_base;
		host->reference_name_count = 1;
	}
	host->reference_names = names;
	host->memory = verifier->arena;
	*ret_host = host;
	return memory_failed(verifier->arena) ? RESOLVERD_ERROR_MEMORY : 0;
}

/* ---- records ---- */

static const struct resolverd_rdata *view_rdata(
    struct resolverd_memory *arena, const ProtobufCBinaryData *from, size_t count)
{
	struct resolverd_rdata *rdata = memory_alloc(arena, count, sizeof *rdata);
	for (size_t i = 0; rdata != NULL && i < count; i++)
		rdata[i] = (struct resolverd_rdata){from[i].data, from[i].len};
	return rdata;
}

static const struct resolverd_rrset *view_rrsets(
    struct resolverd_memory *arena, Resolverd__V1__Rrset *const *from, size_t count)
{
	struct resolverd_rrset *rrsets = memory_alloc(arena, count, sizeof *rrsets);
	for (size_t i = 0; rrsets != NULL && i < count; i++)
		rrsets[i] = (struct resolverd_rrset){.owner = from[i]->owner,
		    .type = (uint16_t)from[i]->type,
		    .ttl_s = from[i]->ttl_s,
		    .rdata = view_rdata(arena, from[i]->rdata, from[i]->n_rdata),
		    .rdata_count = from[i]->n_rdata,
		    .rrsig = view_rdata(arena, from[i]->rrsig, from[i]->n_rrsig),
		    .rrsig_count = from[i]->n_rrsig};
	return rrsets;
}

static void view_record_data(struct resolverd_memory *arena, const Resolverd__V1__Records *from,
    struct resolverd_records *records)
{
	records->status = status_of(from->status);
	records->rcode = from->rcode;
	records->reason = from->reason;
	records->chain = view_rrsets(arena, from->chain, from->n_chain);
	records->chain_count = from->n_chain;
	records->answer = view_rrsets(arena, from->answer, from->n_answer);
	records->answer_count = from->n_answer;
	records->authority = view_rrsets(arena, from->authority, from->n_authority);
	records->authority_count = from->n_authority;
}

int view_records(const struct verifier *verifier, const struct asked *asked,
    const Resolverd__V1__Response *response, struct resolverd_records **ret_records)
{
	struct question question = {
	    .kind = RESOLVERD__V1__KIND__RECORDS, .name = asked->name, .type = asked->type};
	struct verified verified;
	int r = verify_only(verifier, &question, response, &verified);
	if (r != 0)
		return r;
	const Resolverd__V1__Answer *answer = verified.answer;
	struct resolverd_records *records = memory_alloc(verifier->arena, 1, sizeof *records);
	if (records == NULL)
		return RESOLVERD_ERROR_MEMORY;
	*records = (struct resolverd_records){.name = answer->question->name,
	    .type = (uint16_t)asked->type,
	    .status = RESOLVERD_ERROR,
	    .reason = "the answer needs a newer client to understand it",
	    .validated_at_ms = answer->validated_at,
	    .expires_at_ms = answer->expires_at,
	    .expires_in_s = life_left_s(answer->expires_at, verifier->now_ms),
	    .key_id = verified.key_id,
	    .signed_answer = verified.signed_answer,
	    .delegation = verify_keep_delegation(verifier->arena, verified.key),
	    .memory = verifier->arena};
	if (verified.not_understood == 0)
		view_record_data(verifier->arena, answer->records, records);
	*ret_records = records;
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
	size_t count = resolverd__v1__signed_seal__get_packed_size(from);
	struct resolverd_seal *seal = memory_alloc(verifier->arena, 1, sizeof *seal);
	uint8_t *bytes = memory_alloc(verifier->arena, count, 1);
	char *id = memory_alloc(verifier->arena, KEY_ID_HEX_CHARS, 1);
	if (seal == NULL || bytes == NULL || id == NULL)
		return RESOLVERD_ERROR_MEMORY;
	resolverd__v1__signed_seal__pack(from, bytes);
	sodium_bin2hex(id, KEY_ID_HEX_CHARS, sealed.key.id, KEY_ID_BYTES);
	*seal = (struct resolverd_seal){.bytes = bytes,
	    .count = count,
	    .sealed_at_ms = sealed.at_ms,
	    .key_id = id,
	    .memory = verifier->arena};
	*ret_seal = seal;
	return 0;
}

/* ---- status ---- */

static void view_delegation(const struct verifier *verifier, const struct trusted_keys *trusted,
    const Resolverd__V1__SignedDelegation *from, struct resolverd_delegation *delegation)
{
	struct online_key key;
	delegation->trusted = delegation_check(trusted, from, verifier->now_ms, &key) == NULL;
	delegation->member = memory_string(verifier->arena, key.member);
	delegation->not_before_ms = key.not_before_ms;
	delegation->not_after_ms = key.not_after_ms;
	char *id = memory_alloc(verifier->arena, KEY_ID_HEX_CHARS, 1);
	char *signed_by = memory_alloc(verifier->arena, KEY_ID_HEX_CHARS, 1);
	if (id == NULL || signed_by == NULL)
		return;
	sodium_bin2hex(id, KEY_ID_HEX_CHARS, key.id, KEY_ID_BYTES);
	if (from->key_id.len == KEY_ID_BYTES)
		sodium_bin2hex(signed_by, KEY_ID_HEX_CHARS, from->key_id.data, KEY_ID_BYTES);
	delegation->key_id = id;
	delegation->signed_by = signed_by;
}

int view_status(const struct verifier *verifier, const struct trusted_keys *trusted,
    const Resolverd__V1__StatusResponse *from, struct resolverd_daemon_status **ret_status)
{
	struct resolverd_memory *arena = verifier->arena;
	struct resolverd_daemon_status *status = memory_alloc(arena, 1, sizeof *status);
	struct resolverd_delegation *delegations =
	    memory_alloc(arena, from->n_delegations, sizeof *delegations);
	if (status == NULL || delegations == NULL)
		return RESOLVERD_ERROR_MEMORY;
	for (size_t i = 0; i < from->n_delegations; i++)
		view_delegation(verifier, trusted, from->delegations[i], &delegations[i]);
	*status = (struct resolverd_daemon_status){.delegations = delegations,
	    .delegation_count = from->n_delegations,
	    .version = from->version,
	    .member = from->member,
	    .ready = from->ready,
	    .not_ready_reason = from->not_ready_reason,
	    .started_at_ms = from->started_at,
	    .now_ms = from->now,
	    .workers = from->workers,
	    .workers_wanted = from->workers_wanted,
	    .worker_restarts = from->worker_restarts,
	    .clients = from->clients,
	    .cache_entries = from->cache_entries,
	    .cache_bytes = from->cache_bytes,
	    .cache_max_bytes = from->cache_max_bytes,
	    .hits = from->hits,
	    .misses = from->misses,
	    .jobs = from->jobs,
	    .jobs_done = from->jobs_done,
	    .jobs_rerun = from->jobs_rerun,
	    .jobs_quarantined = from->jobs_quarantined,
	    .answers_signed = from->answers_signed,
	    .requests = from->requests,
	    .memory = arena};
	*ret_status = status;
	return memory_failed(arena) ? RESOLVERD_ERROR_MEMORY : 0;
}
