/* SPDX-License-Identifier: BSD-3-Clause */
/* The response to an explain request: each answer beside the cached one and its lookups. */
#include <stdlib.h>

#include "proto/frame.h"
#include "resolverd/server/session.h"

static Resolverd__V1__Explained *explained_new(const struct explained *explained)
{
	const struct answer *fresh = explained->fresh;
	Resolverd__V1__Explained *message = resolverd__v1__explained__unpack(
	    NULL, fresh->trace_bytes, fresh->data + answer_trace_at(fresh));
	if (message == NULL)
		return NULL;
	message->fresh = answer_unpack(fresh);
	message->cached = explained->cached != NULL ? answer_unpack(explained->cached) : NULL;
	if (message->fresh == NULL || (explained->cached != NULL && message->cached == NULL)) {
		resolverd__v1__explained__free_unpacked(message, NULL);
		return NULL;
	}
	return message;
}

void explain_send(
    struct session *session, uint64_t id, const struct explained *explained, unsigned count)
{
	Resolverd__V1__Response response = RESOLVERD__V1__RESPONSE__INIT;
	Resolverd__V1__ExplainResponse body = RESOLVERD__V1__EXPLAIN_RESPONSE__INIT;
	bool good = true;
	body.answers = calloc(count, sizeof *body.answers);
	for (; body.answers != NULL && good && body.n_answers < count; body.n_answers++) {
		body.answers[body.n_answers] = explained_new(&explained[body.n_answers]);
		good = body.answers[body.n_answers] != NULL;
	}
	response.id = id;
	response.explain = &body;
	if (body.answers == NULL || !good)
		session_send_error(
		    session, id, RESOLVERD__V1__ERROR_CODE__INTERNAL, "out of memory");
	else if (resolverd__v1__response__get_packed_size(&response) > FRAME_MAX_RESPONSE_BYTES)
		session_send_error(session, id, RESOLVERD__V1__ERROR_CODE__INTERNAL,
		    "all lookups together are larger than a response may be; explain the hosts "
		    "one by one, as [HOST]");
	else
		session_send(session, &response);
	for (size_t i = 0; body.answers != NULL && i < body.n_answers; i++)
		resolverd__v1__explained__free_unpacked(body.answers[i], NULL);
	free(body.answers);
}
