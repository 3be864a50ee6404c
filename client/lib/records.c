/* SPDX-License-Identifier: BSD-3-Clause */
/* A RECORDS answer, and record data wherever else it is told. */
#include "client/lib/text.h"
#include "client/lib/view.h"

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
		rrsets[i] = (struct resolverd_rrset){.owner = text_clean(arena, from[i]->owner),
		    .type = (uint16_t)from[i]->type,
		    .ttl_s = from[i]->ttl_s,
		    .rdata = view_rdata(arena, from[i]->rdata, from[i]->n_rdata),
		    .rdata_count = from[i]->n_rdata,
		    .rrsig = view_rdata(arena, from[i]->rrsig, from[i]->n_rrsig),
		    .rrsig_count = from[i]->n_rrsig};
	return rrsets;
}

void view_record_data(struct resolverd_memory *arena, const Resolverd__V1__Records *from,
    struct resolverd_records *records)
{
	records->status = status_of(from->status);
	records->rcode = from->rcode;
	records->reason = text_clean(arena, from->reason);
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
	int r = view_only_answer(verifier, &question, response, &verified);
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
	    .attested = verified.attested,
	    .stale = answer->stale_since != 0,
	    .origin = view_origin(verifier->arena, answer),
	    .signed_answer = verified.signed_answer,
	    .delegation = verify_keep_delegation(verifier->arena, verified.key),
	    .memory = verifier->arena};
	view_zones(verifier->arena, answer->insecure_zones, answer->n_insecure_zones,
	    &records->insecure_zones, &records->insecure_zone_count);
	if (verified.not_understood == 0)
		view_record_data(verifier->arena, answer->records, records);
	*ret_records = records;
	return memory_failed(verifier->arena) ? RESOLVERD_ERROR_MEMORY : 0;
}
