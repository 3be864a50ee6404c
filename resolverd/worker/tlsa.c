/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/worker/tlsa.h"

#include <errno.h>

#include "proto/tlsa_set.h"

static struct tlsa_record record_of(const struct reply_rr *rr)
{
	if (rr->rdata_bytes < 3)
		return (struct tlsa_record){0};
	return (struct tlsa_record){.usage = rr->rdata[0],
	    .selector = rr->rdata[1],
	    .matching_type = rr->rdata[2],
	    .usable = true,
	    .data = rr->rdata + 3,
	    .data_bytes = rr->rdata_bytes - 3};
}

int tlsa_usable_set(struct arena *arena, const struct reply_rr *rrs, size_t count,
    const uint8_t *digests, size_t digest_count, Resolverd__V1__Host *host)
{
	size_t room = count > 0 ? count : 1;
	struct tlsa_record *records = arena_alloc(arena, room * sizeof *records);
	host->n_tlsa = 0;
	host->tlsa = arena_alloc(arena, room * sizeof *host->tlsa);
	if (records == NULL || host->tlsa == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		records[i] = record_of(&rrs[i]);
	tlsa_pick(records, count, digests, digest_count);
	for (size_t i = 0; i < count; i++) {
		if (!records[i].usable)
			continue;
		Resolverd__V1__Tlsa *tlsa = arena_alloc(arena, sizeof *tlsa);
		if (tlsa == NULL)
			return -ENOMEM;
		resolverd__v1__tlsa__init(tlsa);
		tlsa->usage = records[i].usage;
		tlsa->selector = records[i].selector;
		tlsa->matching_type = records[i].matching_type;
		tlsa->data.data = (uint8_t *)(uintptr_t)records[i].data;
		tlsa->data.len = records[i].data_bytes;
		host->tlsa[host->n_tlsa++] = tlsa;
	}
	return 0;
}
