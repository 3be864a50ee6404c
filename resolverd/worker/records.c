/* SPDX-License-Identifier: BSD-3-Clause */
/* One RRset of any type, as it came, with its status. */
#include "resolverd/worker/inquiry.h"

bool records_begin(struct inquiry *inquiry)
{
	inquiry_lookup(inquiry, 0, inquiry->question.name, (int)inquiry->question.type);
	return false;
}

void records_fill(
    struct inquiry *inquiry, Resolverd__V1__Records *records, const struct reply *reply)
{
	records->status = reply->status;
	records->rcode = (uint32_t)reply->rcode;
	records->reason = inquiry_reason(inquiry, reply->reason, NULL);
	records->chain = reply->chain;
	records->n_chain = reply->chain_count;
	records->answer = reply->answer;
	records->n_answer = reply->answer_count;
	records->authority = reply->authority;
	records->n_authority = reply->authority_count;
}

bool records_reply(struct inquiry *inquiry, unsigned slot)
{
	inquiry_use(inquiry, &inquiry->replies[slot]);
	records_fill(inquiry, inquiry->facts.records, &inquiry->replies[slot]);
	return true;
}
