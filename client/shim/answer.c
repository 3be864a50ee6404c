/* SPDX-License-Identifier: BSD-3-Clause */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "client/dns/message.h"
#include "client/lib/clock.h"
#include "client/resolverd.h"
#include "client/shim/shim.h"

#define CLASS_IN 1u
#define CLASS_CHAOS 3u
#define CLASS_HESIOD 4u
#define OPCODE_NOTIFY 4u
#define OPCODE_UPDATE 5u

#define FLAGS_UPPER_AT 2u
#define FLAGS_LOWER_AT 3u
#define FLAG_TRUNCATED 0x02u      /* of the upper octet */
#define FLAG_AUTHENTIC_DATA 0x20u /* of the lower octet */

#define TIMEOUT_MIN_MS 1000
#define TIMEOUT_MAX_MS 60000

/* ---- by libc ---- */

/* What no mail is sent by: other classes than that of the internet, and messages that are no
 * queries. Anything else stays here, even if it can't be answered. */
static bool is_for_libc(const struct dns_query *query)
{
	if (query->opcode != 0)
		return query->opcode == OPCODE_NOTIFY || query->opcode == OPCODE_UPDATE;
	return query->name_bytes > 0 &&
	       (query->class == CLASS_CHAOS || query->class == CLASS_HESIOD);
}

static int send_by_libc(
    res_state state, const uint8_t *query, size_t query_bytes, uint8_t *answer, int room)
{
	int (*send)(res_state, const unsigned char *, int, unsigned char *, int);
	void *found = dlsym(RTLD_NEXT, "res_nsend");
	if (found == NULL) {
		errno = ENOSYS;
		return -1;
	}
	memcpy(&send, &found, sizeof send);
	int bytes = send(state, query, (int)query_bytes, answer, room);
	if (bytes > (int)FLAGS_LOWER_AT)
		answer[FLAGS_LOWER_AT] &= (uint8_t)~FLAG_AUTHENTIC_DATA;
	return bytes;
}

/* ---- by the daemon ---- */

/* As long as libc would wait for all servers it knows if there was one. */
static int timeout_ms_of(res_state state)
{
	int64_t timeout_ms = (int64_t)state->retrans * state->retry * 1000;
	if (timeout_ms < TIMEOUT_MIN_MS)
		return TIMEOUT_MIN_MS;
	return timeout_ms > TIMEOUT_MAX_MS ? TIMEOUT_MAX_MS : (int)timeout_ms;
}

/* Returns 0, or an enum resolverd_error. */
static int look_up(struct resolverd_client *client, const struct dns_query *query, int timeout_ms,
    struct resolverd_records **ret_records)
{
	char name[NAME_TEXT_MAX];
	if (name_from_wire(query->name, query->name_bytes, name) != NAME_OK)
		return RESOLVERD_ERROR_ARGUMENT;
	int64_t until_ms = clock_mono_ms() + timeout_ms;
	struct resolverd_records *records = NULL;
	bool goes_on;
	unsigned nth = 0;
	do {
		int64_t left_ms = until_ms - clock_mono_ms();
		int r = resolverd_records(client, name, dns_message_type(query, nth),
		    left_ms > 1 ? (int)left_ms : 1, &records);
		if (r != 0)
			return r;
		goes_on = dns_message_goes_on(query, nth++, records);
		if (goes_on)
			resolverd_records_free(records);
	} while (goes_on);
	*ret_records = records;
	return 0;
}

/* Returns the octets of the answer. */
static size_t answer_by_daemon(
    const struct dns_query *query, int timeout_ms, uint8_t ret_message[DNS_MESSAGE_MAX])
{
	struct resolverd_client *client = NULL;
	struct resolverd_records *records;
	size_t bytes;
	int r = resolverd_client_new(NULL, &client);
	if (r == 0)
		r = look_up(client, query, timeout_ms, &records);
	if (r == 0) {
		bytes =
		    dns_message_answer(query, records, clock_wall_ms(), DNS_STREAM, ret_message);
		resolverd_records_free(records);
	} else {
		struct dns_error error =
		    dns_error_of_client(r, client == NULL ? "" : resolverd_last_error(client));
		bytes = dns_message_error(query, &error, ret_message);
	}
	resolverd_client_free(client);
	return bytes;
}

/* ---- the whole ---- */

static int hand_out(const uint8_t *message, size_t bytes, uint8_t *answer, int room)
{
	bool fits = bytes <= (size_t)room;
	memcpy(answer, message, fits ? bytes : (size_t)room);
	if (!fits)
		answer[FLAGS_UPPER_AT] |= FLAG_TRUNCATED;
	return (int)bytes;
}

static int answer_here(const struct dns_query *query, const struct dns_error *fault, int timeout_ms,
    uint8_t *answer, int room)
{
	uint8_t *message = malloc(DNS_MESSAGE_MAX);
	if (message == NULL)
		return -1; /* errno ENOMEM */
	int cancel_state, errno_before = errno;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	size_t bytes = fault == NULL ? answer_by_daemon(query, timeout_ms, message)
				     : dns_message_error(query, fault, message);
	int result = hand_out(message, bytes, answer, room);
	free(message);
	pthread_setcancelstate(cancel_state, NULL);
	errno = errno_before;
	return result;
}

int shim_answer(res_state state, unsigned long options, const uint8_t *query, size_t query_bytes,
    uint8_t *answer, int room)
{
	struct dns_query parsed;
	struct dns_error fault;
	enum dns_verdict verdict = dns_query_parse(query, query_bytes, &parsed, &fault);
	if (verdict == DNS_QUERY_NONE || room < (int)DNS_HEADER_BYTES) {
		errno = EINVAL;
		return -1;
	}
	if (is_for_libc(&parsed))
		return send_by_libc(state, query, query_bytes, answer, room);
	parsed.authentic_data = true; /* to be told, whether the program knows of it or not */
	if (options & (RES_USE_EDNS0 | RES_USE_DNSSEC))
		parsed.has_edns = true;
	if (options & RES_USE_DNSSEC)
		parsed.dnssec_ok = true;
	return answer_here(&parsed, verdict == DNS_QUERY_FAULTY ? &fault : NULL,
	    timeout_ms_of(state), answer, room);
}
