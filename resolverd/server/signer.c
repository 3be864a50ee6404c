/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/signer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/combine.h"
#include "proto/frame.h"
#include "proto/names.h"
#include "proto/ring.h"
#include "resolverd/base/secret.h"
#include "resolverd/server/policy.h"

#define UNCACHEABLE_LIFE_MS 5000
/* This part of a delegation's life is left to whoever holds what its key signed: clients keep
 * plans, and a delivery with its evidence takes its time. */
#define RESIGN_SHARE 4
#define ANSWERS_FIELD_TAG ((3u << 3) | 2u) /* Response.answers */

struct online_key {
	uint8_t secret[crypto_sign_SECRETKEYBYTES];
};

/* ---- keys ---- */

static struct online_key *new_key(uint8_t ret_public_key[crypto_sign_PUBLICKEYBYTES])
{
	struct online_key *key = secret_new(sizeof *key);
	if (key != NULL)
		crypto_sign_keypair(ret_public_key, key->secret);
	return key;
}

int signer_init(struct signer *signer, const struct config *config)
{
	*signer = (struct signer){.config = config,
	    .generation = SIGNER_FIRST_GENERATION,
	    .policy_generation = SIGNER_FIRST_GENERATION,
	    .key_generation = SIGNER_FIRST_GENERATION,
	    .own_generation = SIGNER_FIRST_GENERATION};
	signer->key = new_key(signer->public_key);
	if (signer->key == NULL)
		return -ENOMEM;
	key_id_of(signer->public_key, signer->key_id);
	return 0;
}

void signer_fini(struct signer *signer)
{
	secret_free(signer->key, sizeof *signer->key);
	secret_free(signer->next_key, sizeof *signer->next_key);
	free(signer->delegations.bytes);
	for (size_t i = 0; i < signer->retired_count; i++)
		free(signer->retired[i].delegations.bytes);
	*signer = (struct signer){0};
}

const uint8_t *signer_key_to_delegate(struct signer *signer)
{
	if (signer->delegations.bytes == NULL)
		return signer->public_key;
	if (signer->next_key == NULL)
		signer->next_key = new_key(signer->next_public_key);
	return signer->next_key != NULL ? signer->next_public_key : NULL;
}

static void raise_to(uint16_t *generation, uint16_t to)
{
	if ((int16_t)(to - *generation) > 0)
		*generation = to;
}

/* What was signed before this one began is signed anew when it is asked for. */
static void sign_anew_before(struct signer *signer, uint16_t generation)
{
	raise_to(&signer->key_generation, generation);
	raise_to(&signer->policy_generation, generation);
}

/* Whose delegations end first: its place is for another. */
static void drop_oldest(struct signer *signer)
{
	struct retired_key *oldest = &signer->retired[--signer->retired_count];
	sign_anew_before(signer, oldest->next_generation);
	free(oldest->delegations.bytes);
}

static void use_next_key(struct signer *signer)
{
	if (signer->retired_count == RETIRED_KEYS_MAX)
		drop_oldest(signer);
	memmove(&signer->retired[1], &signer->retired[0],
	    signer->retired_count * sizeof signer->retired[0]);
	signer->retired_count++;
	signer->own_generation = ++signer->generation;
	signer->retired[0] =
	    (struct retired_key){signer->delegations, .next_generation = signer->own_generation};
	signer->delegations = (struct delegations){0};
	secret_free(signer->key, sizeof *signer->key);
	signer->key = signer->next_key;
	signer->next_key = NULL;
	memcpy(signer->public_key, signer->next_public_key, sizeof signer->public_key);
	key_id_of(signer->public_key, signer->key_id);
}

/* All for this key; and as long as they all hold. */
static bool read_delegations(const Resolverd__V1__StatusResponse *message,
    const uint8_t public_key[crypto_sign_PUBLICKEYBYTES], struct delegations *ret_delegations)
{
	struct delegations found = {.not_before_ms = INT64_MIN, .not_after_ms = INT64_MAX};
	bool good = message->n_delegations > 0;
	for (size_t i = 0; good && i < message->n_delegations; i++) {
		const ProtobufCBinaryData *bytes = &message->delegations[i]->delegation;
		Resolverd__V1__Delegation *one =
		    resolverd__v1__delegation__unpack(NULL, bytes->len, bytes->data);
		good = one != NULL && one->online_key.len == crypto_sign_PUBLICKEYBYTES &&
		       memcmp(one->online_key.data, public_key, crypto_sign_PUBLICKEYBYTES) == 0;
		if (good && (int64_t)one->not_before > found.not_before_ms)
			found.not_before_ms = (int64_t)one->not_before;
		if (good && (int64_t)one->not_after < found.not_after_ms)
			found.not_after_ms = (int64_t)one->not_after;
		resolverd__v1__delegation__free_unpacked(one, NULL);
	}
	if (good)
		*ret_delegations = found;
	return good;
}

static void set_delegations(
    struct signer *signer, const struct delegations *delegations, int64_t now_ms)
{
	int64_t life_ms = delegations->not_after_ms - now_ms;
	free(signer->delegations.bytes);
	signer->delegations = *delegations;
	signer->delegations.resign_at_ms = delegations->not_after_ms - life_ms / RESIGN_SHARE;
	signer->renew_at_ms = now_ms + life_ms / 2;
	if (signer->sign_all_anew)
		sign_anew_before(signer, signer->own_generation);
	signer->sign_all_anew = false;
}

int signer_take_delegations(
    struct signer *signer, const uint8_t *bytes, size_t count, int64_t now_ms)
{
	struct delegations taken;
	Resolverd__V1__StatusResponse *message =
	    resolverd__v1__status_response__unpack(NULL, count, bytes);
	if (message == NULL)
		return -EBADMSG;
	bool is_next =
	    signer->next_key != NULL && read_delegations(message, signer->next_public_key, &taken);
	bool is_ours = is_next || read_delegations(message, signer->public_key, &taken);
	resolverd__v1__status_response__free_unpacked(message, NULL);
	if (!is_ours)
		return -EBADMSG;
	taken.bytes = malloc(count);
	if (taken.bytes == NULL)
		return -ENOMEM;
	memcpy(taken.bytes, bytes, count);
	taken.count = count;
	if (is_next)
		use_next_key(signer);
	set_delegations(signer, &taken, now_ms);
	return 0;
}

void signer_renew(struct signer *signer)
{
	signer->renew_at_ms = INT64_MIN;
	signer->sign_all_anew = true;
}

void signer_advance(struct signer *signer, int64_t now_ms)
{
	size_t left = 0;
	for (size_t i = 0; i < signer->retired_count; i++) {
		struct retired_key *key = &signer->retired[i];
		const struct delegations *delegations = &key->delegations;
		bool is_early = now_ms < delegations->not_before_ms;
		if (is_early || now_ms >= delegations->resign_at_ms)
			sign_anew_before(signer, key->next_generation);
		if (is_early || now_ms >= delegations->not_after_ms)
			free(delegations->bytes);
		else
			signer->retired[left++] = *key;
	}
	signer->retired_count = left;
}

/* Messages one after the other are one message: its repeated fields are joined. */
static Resolverd__V1__StatusResponse *join_delegations(
    const struct signer *signer, size_t retired_count)
{
	size_t count = signer->delegations.count, used = 0;
	for (size_t i = 0; i < retired_count; i++)
		count += signer->retired[i].delegations.count;
	uint8_t *bytes = malloc(count + 1);
	if (bytes == NULL)
		return NULL;
	for (size_t i = 0; i <= retired_count; i++) {
		const struct delegations *from =
		    i == 0 ? &signer->delegations : &signer->retired[i - 1].delegations;
		if (from->count > 0)
			memcpy(bytes + used, from->bytes, from->count);
		used += from->count;
	}
	Resolverd__V1__StatusResponse *message =
	    resolverd__v1__status_response__unpack(NULL, used, bytes);
	free(bytes);
	return message;
}

Resolverd__V1__StatusResponse *signer_delegations(const struct signer *signer)
{
	return join_delegations(signer, signer->retired_count);
}

/* ---- envelope ---- */

static int64_t min_ms(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void set_times(const struct signer *signer, const Resolverd__Worker__Facts *facts,
    int64_t now_ms, Resolverd__V1__Answer *envelope)
{
	int64_t life_ms = signer->config->cache.max_ttl_ms;
	if (facts->life_ms < (uint64_t)life_ms)
		life_ms = (int64_t)facts->life_ms;
	if (facts->failed)
		life_ms = min_ms(life_ms, signer->config->cache.failure_ttl_ms);
	envelope->cacheable = life_ms > 0;
	int64_t expires_at_ms = now_ms + (life_ms > 0 ? life_ms : UNCACHEABLE_LIFE_MS);
	if (facts->rrsig_expires_at != 0 && facts->rrsig_expires_at < (uint64_t)expires_at_ms)
		expires_at_ms = (int64_t)facts->rrsig_expires_at;
	for (size_t i = 0; i < facts->n_insecure_zones; i++)
		if (facts->insecure_zones[i]->until < (uint64_t)expires_at_ms)
			expires_at_ms = (int64_t)facts->insecure_zones[i]->until;
	envelope->validated_at = (uint64_t)now_ms;
	envelope->expires_at = (uint64_t)expires_at_ms;
	envelope->rrsig_expires_at = facts->rrsig_expires_at;
}

/* Data of the kind that was asked for. False when the facts are of another. */
static bool set_data(const Resolverd__Worker__Facts *facts, Resolverd__V1__Answer *envelope)
{
	switch (facts->question->kind) {
	case RESOLVERD__V1__KIND__ROUTE:
		envelope->data_case = RESOLVERD__V1__ANSWER__DATA_ROUTE;
		envelope->route = facts->route;
		return facts->data_case == RESOLVERD__WORKER__FACTS__DATA_ROUTE;
	case RESOLVERD__V1__KIND__HOST:
		envelope->data_case = RESOLVERD__V1__ANSWER__DATA_HOST;
		envelope->host = facts->host;
		return facts->data_case == RESOLVERD__WORKER__FACTS__DATA_HOST;
	case RESOLVERD__V1__KIND__RECORDS:
		envelope->data_case = RESOLVERD__V1__ANSWER__DATA_RECORDS;
		envelope->records = facts->records;
		return facts->data_case == RESOLVERD__WORKER__FACTS__DATA_RECORDS;
	default:
		return false;
	}
}

/* Hosts that a plan for this route needs: none for addresses or for routes that failed. */
static unsigned hosts_wanted(const Resolverd__V1__Route *route)
{
	struct next_hop hop;
	if (route->kind != RESOLVERD__V1__ROUTE_KIND__MX &&
	    route->kind != RESOLVERD__V1__ROUTE_KIND__IMPLICIT_MX &&
	    route->kind != RESOLVERD__V1__ROUTE_KIND__NO_MX_STEP)
		return 0;
	if (route->kind == RESOLVERD__V1__ROUTE_KIND__NO_MX_STEP &&
	    next_hop_parse(route->expanded, &hop) == NAME_OK && hop.kind == NEXT_HOP_ADDRESS)
		return 0;
	return route->n_mx < ROUTE_HOSTS_MAX ? (unsigned)route->n_mx : ROUTE_HOSTS_MAX;
}

/* Validation failed for what it would say (RFC 4035 section 5). */
static bool is_bogus(const Resolverd__V1__Answer *envelope)
{
	switch (envelope->data_case) {
	case RESOLVERD__V1__ANSWER__DATA_ROUTE:
		return envelope->route->mx_status == RESOLVERD__V1__STATUS__BOGUS;
	case RESOLVERD__V1__ANSWER__DATA_HOST:
		return envelope->host->address_status == RESOLVERD__V1__STATUS__BOGUS ||
		       envelope->host->tlsa_status == RESOLVERD__V1__TLSA_STATUS__TLSA_BOGUS;
	default:
		return envelope->records->status == RESOLVERD__V1__STATUS__BOGUS;
	}
}

static struct answer *sign(
    struct signer *signer, Resolverd__V1__Answer *envelope, const Resolverd__V1__Explained *trace)
{
	size_t bytes = resolverd__v1__answer__get_packed_size(envelope);
	unsigned host_count = envelope->data_case == RESOLVERD__V1__ANSWER__DATA_ROUTE
				  ? hosts_wanted(envelope->route)
				  : 0;
	uint8_t *packed = malloc(bytes), signature[crypto_sign_BYTES];
	if (packed == NULL)
		return NULL;
	resolverd__v1__answer__pack(envelope, packed);
	signing_sign(SIGNING_CONTEXT_ANSWER, packed, bytes, signer->key->secret, signature);
	Resolverd__V1__SignedAnswer outer = RESOLVERD__V1__SIGNED_ANSWER__INIT;
	outer.answer = (ProtobufCBinaryData){.len = bytes, .data = packed};
	outer.signature = (ProtobufCBinaryData){.len = sizeof signature, .data = signature};
	outer.key_id = (ProtobufCBinaryData){.len = KEY_ID_BYTES, .data = signer->key_id};
	size_t outer_bytes = resolverd__v1__signed_answer__get_packed_size(&outer);
	uint8_t head[16];
	size_t head_bytes = varint_put(head, ANSWERS_FIELD_TAG);
	head_bytes += varint_put(head + head_bytes, outer_bytes);
	struct answer *answer = answer_new(head_bytes + outer_bytes, host_count,
	    trace != NULL ? resolverd__v1__explained__get_packed_size(trace) : 0);
	if (answer != NULL) {
		memcpy(answer->data, head, head_bytes);
		resolverd__v1__signed_answer__pack(&outer, answer->data + head_bytes);
		if (trace != NULL)
			resolverd__v1__explained__pack(
			    trace, answer->data + answer_trace_at(answer));
		answer->generation = signer->generation;
		answer->cacheable = envelope->cacheable;
		answer->bogus = is_bogus(envelope);
		answer->stale = envelope->stale_since != 0;
		answer->foreign = envelope->origin_key_id.len > 0;
		answer->expires_at_ms = (int64_t)envelope->expires_at;
		signer->signed_count++;
		for (unsigned i = 0; answer != NULL && i < host_count; i++)
			if (!answer_set_host(answer, i, envelope->route->mx[i]->name)) {
				answer_unref(answer); /* longer than any name */
				answer = NULL;
			}
	}
	free(packed);
	return answer;
}

/* Local policy over what the worker may not decide. The message is left as it was: its words are
 * its own to free, those of the policy are the configuration's. */
static struct answer *sign_with_policy(struct signer *signer, const Resolverd__V1__Answer *message,
    const Resolverd__V1__Explained *trace, int64_t now_ms)
{
	Resolverd__V1__Answer envelope = *message;
	envelope.member = signer->config->signing.member;
	Resolverd__V1__Route route;
	if (envelope.data_case == RESOLVERD__V1__ANSWER__DATA_ROUTE) {
		route = *envelope.route;
		envelope.route = &route;
		policy_apply(
		    signer->config, envelope.question->name, now_ms, &route, &envelope.expires_at);
	}
	return sign(signer, &envelope, trace);
}

struct answer *signer_answer(struct signer *signer, Resolverd__Worker__Facts *facts, int64_t now_ms)
{
	Resolverd__V1__Answer envelope = RESOLVERD__V1__ANSWER__INIT;
	Resolverd__V1__Explained trace = RESOLVERD__V1__EXPLAINED__INIT;
	envelope.question = facts->question;
	envelope.insecure_zones = facts->insecure_zones;
	envelope.n_insecure_zones = facts->n_insecure_zones;
	trace.lookups = facts->lookups;
	trace.n_lookups = facts->n_lookups;
	if (!set_data(facts, &envelope))
		return NULL;
	set_times(signer, facts, now_ms, &envelope);
	struct answer *answer =
	    sign_with_policy(signer, &envelope, facts->n_lookups > 0 ? &trace : NULL, now_ms);
	if (answer != NULL)
		answer->failed = facts->failed;
	return answer;
}

/* ---- the fleet ---- */

static bool set_shared_data(
    const Resolverd__Fleet__SharedFacts *facts, Resolverd__V1__Answer *envelope)
{
	switch (facts->data_case) {
	case RESOLVERD__FLEET__SHARED_FACTS__DATA_ROUTE:
		envelope->data_case = RESOLVERD__V1__ANSWER__DATA_ROUTE;
		envelope->route = facts->route;
		return true;
	case RESOLVERD__FLEET__SHARED_FACTS__DATA_HOST:
		envelope->data_case = RESOLVERD__V1__ANSWER__DATA_HOST;
		envelope->host = facts->host;
		return true;
	case RESOLVERD__FLEET__SHARED_FACTS__DATA_RECORDS:
		envelope->data_case = RESOLVERD__V1__ANSWER__DATA_RECORDS;
		envelope->records = facts->records;
		return true;
	default:
		return false;
	}
}

struct answer *signer_adopt(struct signer *signer, const Resolverd__Fleet__SharedFacts *facts,
    const uint8_t long_term_id[KEY_ID_BYTES], int64_t now_ms)
{
	uint8_t id[KEY_ID_BYTES];
	int64_t validated_at_ms = (int64_t)facts->validated_at;
	int64_t end_ms =
	    min_ms((int64_t)facts->expires_at, validated_at_ms + signer->config->cache.max_ttl_ms);
	Resolverd__V1__Answer envelope = RESOLVERD__V1__ANSWER__INIT;
	if (!set_shared_data(facts, &envelope))
		return NULL;
	if (facts->rrsig_expires_at != 0)
		end_ms = min_ms(end_ms, (int64_t)facts->rrsig_expires_at);
	memcpy(id, long_term_id, sizeof id);
	envelope.question = facts->question;
	envelope.validated_at = facts->validated_at;
	envelope.expires_at = (uint64_t)end_ms;
	envelope.rrsig_expires_at = facts->rrsig_expires_at;
	envelope.cacheable = true;
	envelope.origin = facts->member;
	envelope.origin_key_id = (ProtobufCBinaryData){.len = sizeof id, .data = id};
	struct answer *answer = sign_with_policy(signer, &envelope, NULL, now_ms);
	/* Fields that we don't know go along, and some that can be read can't be written. */
	Resolverd__V1__Answer *again = answer != NULL ? answer_envelope(answer) : NULL;
	if (again == NULL) {
		answer_unref(answer);
		answer = NULL;
	}
	resolverd__v1__answer__free_unpacked(again, NULL);
	return answer;
}

/* What configuration made of it is no other's. */
static bool is_for_others(
    const Resolverd__Worker__Facts *facts, const Resolverd__V1__Answer *envelope)
{
	return !facts->failed && envelope->cacheable && facts->n_insecure_zones == 0 &&
	       facts->n_lookups == 0;
}

static int pack_shared_facts(const struct signer *signer, const uint8_t *view, size_t view_bytes,
    const Resolverd__V1__Answer *envelope, ProtobufCBinaryData *ret_packed)
{
	Resolverd__Fleet__SharedFacts shared = RESOLVERD__FLEET__SHARED_FACTS__INIT;
	shared.question = envelope->question;
	shared.member = signer->config->signing.member;
	shared.validated_at = envelope->validated_at;
	shared.expires_at = envelope->expires_at;
	shared.rrsig_expires_at = envelope->rrsig_expires_at;
	shared.view = (ProtobufCBinaryData){.len = view_bytes, .data = (uint8_t *)(uintptr_t)view};
	switch (envelope->data_case) {
	case RESOLVERD__V1__ANSWER__DATA_ROUTE:
		shared.data_case = RESOLVERD__FLEET__SHARED_FACTS__DATA_ROUTE;
		shared.route = envelope->route;
		break;
	case RESOLVERD__V1__ANSWER__DATA_HOST:
		shared.data_case = RESOLVERD__FLEET__SHARED_FACTS__DATA_HOST;
		shared.host = envelope->host;
		break;
	default:
		shared.data_case = RESOLVERD__FLEET__SHARED_FACTS__DATA_RECORDS;
		shared.records = envelope->records;
	}
	ret_packed->len = resolverd__fleet__shared_facts__get_packed_size(&shared);
	ret_packed->data = malloc(ret_packed->len);
	if (ret_packed->data == NULL)
		return -ENOMEM;
	resolverd__fleet__shared_facts__pack(&shared, ret_packed->data);
	return 0;
}

static int share(const struct signer *signer, const Resolverd__V1__Answer *envelope,
    const uint8_t *view, size_t view_bytes, Resolverd__Fleet__SignedMembership *membership,
    struct shared_value *ret_value)
{
	uint8_t signature[crypto_sign_BYTES], id[KEY_ID_BYTES];
	Resolverd__Fleet__SignedFacts outer = RESOLVERD__FLEET__SIGNED_FACTS__INIT;
	int r = pack_shared_facts(signer, view, view_bytes, envelope, &outer.facts);
	Resolverd__V1__StatusResponse *vouched =
	    r == 0 ? resolverd__v1__status_response__unpack(
			 NULL, signer->delegations.count, signer->delegations.bytes)
		   : NULL;
	if (r == 0 && vouched == NULL)
		r = -ENOMEM;
	if (r == 0) {
		signing_sign(SIGNING_CONTEXT_FACTS, outer.facts.data, outer.facts.len,
		    signer->key->secret, signature);
		memcpy(id, signer->key_id, sizeof id);
		outer.signature = (ProtobufCBinaryData){.len = sizeof signature, .data = signature};
		outer.key_id = (ProtobufCBinaryData){.len = sizeof id, .data = id};
		outer.delegations = vouched->delegations;
		outer.n_delegations = vouched->n_delegations;
		outer.membership = membership;
		ret_value->count = resolverd__fleet__signed_facts__get_packed_size(&outer);
		ret_value->bytes = malloc(ret_value->count);
		ret_value->ends_at_ms =
		    min_ms((int64_t)envelope->expires_at, signer->delegations.not_after_ms);
		r = ret_value->bytes != NULL ? 0 : -ENOMEM;
	}
	if (r == 0)
		resolverd__fleet__signed_facts__pack(&outer, ret_value->bytes);
	resolverd__v1__status_response__free_unpacked(vouched, NULL);
	free(outer.facts.data);
	return r;
}

int signer_share(const struct signer *signer, const Resolverd__Worker__Facts *facts,
    const uint8_t *view, size_t view_bytes, Resolverd__Fleet__SignedMembership *membership,
    int64_t now_ms, struct shared_value *ret_value)
{
	Resolverd__V1__Answer envelope = RESOLVERD__V1__ANSWER__INIT;
	if (signer->delegations.bytes == NULL || !set_data(facts, &envelope))
		return -ENOMSG;
	envelope.question = facts->question;
	set_times(signer, facts, now_ms, &envelope);
	if (!is_for_others(facts, &envelope))
		return -ENOMSG;
	return share(signer, &envelope, view, view_bytes, membership, ret_value);
}

int signer_share_answer(const struct signer *signer, const struct answer *answer,
    const uint8_t *view, size_t view_bytes, Resolverd__Fleet__SignedMembership *membership,
    struct shared_value *ret_value)
{
	Resolverd__V1__Answer *envelope = answer_envelope(answer);
	int r = -ENOMSG;
	if (envelope == NULL)
		return -ENOMEM;
	if (signer->delegations.bytes != NULL && !answer->failed && !answer->stale &&
	    !answer->foreign && envelope->cacheable && envelope->n_insecure_zones == 0) {
		Resolverd__V1__Answer facts = *envelope;
		Resolverd__V1__Route route;
		if (facts.data_case == RESOLVERD__V1__ANSWER__DATA_ROUTE) {
			route = *envelope->route;
			policy_clear(&route);
			facts.route = &route;
		}
		r = share(signer, &facts, view, view_bytes, membership, ret_value);
	}
	resolverd__v1__answer__free_unpacked(envelope, NULL);
	return r;
}

const uint8_t *answer_signed(const struct answer *answer, size_t *ret_bytes)
{
	size_t at = 1; /* the field's tag, then its length */
	while ((answer->data[at++] & 0x80) != 0)
		;
	*ret_bytes = answer->blob_bytes - at;
	return answer->data + at;
}

Resolverd__V1__SignedAnswer *answer_unpack(const struct answer *answer)
{
	size_t bytes;
	const uint8_t *packed = answer_signed(answer, &bytes);
	return resolverd__v1__signed_answer__unpack(NULL, bytes, packed);
}

void signer_sign(const struct signer *signer, const char *context, const uint8_t *bytes,
    size_t count, uint8_t ret_signature[crypto_sign_BYTES])
{
	signing_sign(context, bytes, count, signer->key->secret, ret_signature);
}

Resolverd__V1__Answer *answer_envelope(const struct answer *answer)
{
	Resolverd__V1__SignedAnswer *outer = answer_unpack(answer);
	Resolverd__V1__Answer *envelope =
	    outer == NULL
		? NULL
		: resolverd__v1__answer__unpack(NULL, outer->answer.len, outer->answer.data);
	resolverd__v1__signed_answer__free_unpacked(outer, NULL);
	return envelope;
}

struct answer *signer_derive(struct signer *signer, const struct answer *answer, int64_t now_ms)
{
	Resolverd__V1__Answer *envelope = answer_envelope(answer);
	struct answer *derived = envelope != NULL && envelope->question != NULL &&
					 envelope->data_case != RESOLVERD__V1__ANSWER__DATA__NOT_SET
				     ? sign_with_policy(signer, envelope, NULL, now_ms)
				     : NULL;
	if (derived != NULL)
		derived->failed = answer->failed;
	resolverd__v1__answer__free_unpacked(envelope, NULL);
	return derived;
}

static int64_t stale_end_ms(const Resolverd__V1__Answer *envelope, int64_t stale_ms)
{
	int64_t end_ms = (int64_t)envelope->stale_since + stale_ms;
	if (envelope->rrsig_expires_at != 0)
		end_ms = min_ms(end_ms, (int64_t)envelope->rrsig_expires_at);
	for (size_t i = 0; i < envelope->n_insecure_zones; i++)
		end_ms = min_ms(end_ms, (int64_t)envelope->insecure_zones[i]->until);
	return end_ms;
}

struct answer *signer_extend(
    struct signer *signer, const struct answer *answer, int64_t stale_ms, int64_t now_ms)
{
	struct answer *extended = NULL;
	Resolverd__V1__Answer *envelope = answer_envelope(answer);
	if (envelope == NULL)
		return NULL;
	if (envelope->stale_since == 0)
		envelope->stale_since = envelope->expires_at;
	int64_t end_ms =
	    min_ms(stale_end_ms(envelope, stale_ms), now_ms + signer->config->cache.failure_ttl_ms);
	envelope->expires_at = (uint64_t)end_ms;
	if (end_ms > now_ms)
		extended = sign_with_policy(signer, envelope, NULL, now_ms);
	resolverd__v1__answer__free_unpacked(envelope, NULL);
	return extended;
}

void signer_forget_facts(struct signer *signer)
{
	signer->facts_generation = ++signer->generation;
	sign_anew_before(signer, signer->generation);
	for (size_t i = 0; i < signer->retired_count; i++)
		signer->retired[i].next_generation = signer->generation;
}

void signer_set_config(struct signer *signer, const struct config *config)
{
	signer->config = config;
	signer->policy_generation = ++signer->generation;
}

struct answer *signer_failure(struct signer *signer, Resolverd__V1__Question *question,
    const char *reason, bool cacheable, int64_t now_ms)
{
	Resolverd__Worker__Facts facts = RESOLVERD__WORKER__FACTS__INIT;
	Resolverd__V1__Route route = RESOLVERD__V1__ROUTE__INIT;
	Resolverd__V1__Host host = RESOLVERD__V1__HOST__INIT;
	Resolverd__V1__Records records = RESOLVERD__V1__RECORDS__INIT;
	char *text = (char *)(uintptr_t)reason;
	facts.question = question;
	facts.failed = true;
	facts.life_ms = cacheable ? UINT64_MAX : 0;
	switch (question->kind) {
	case RESOLVERD__V1__KIND__ROUTE:
		route.kind = RESOLVERD__V1__ROUTE_KIND__FAILED;
		route.mx_status = RESOLVERD__V1__STATUS__ERROR;
		route.expanded = question->name;
		route.reason = text;
		facts.data_case = RESOLVERD__WORKER__FACTS__DATA_ROUTE;
		facts.route = &route;
		break;
	case RESOLVERD__V1__KIND__HOST:
		host.policy = RESOLVERD__V1__POLICY__UNREACHABLE;
		host.reason = RESOLVERD__V1__HOST_REASON__NOT_READY;
		host.reason_text = text;
		host.address_status = RESOLVERD__V1__STATUS__ERROR;
		host.tlsa_status = RESOLVERD__V1__TLSA_STATUS__TLSA_NOT_QUERIED;
		facts.data_case = RESOLVERD__WORKER__FACTS__DATA_HOST;
		facts.host = &host;
		break;
	default:
		records.status = RESOLVERD__V1__STATUS__ERROR;
		records.rcode = 2;
		records.reason = text;
		facts.data_case = RESOLVERD__WORKER__FACTS__DATA_RECORDS;
		facts.records = &records;
	}
	return signer_answer(signer, &facts, now_ms);
}

/* ---- seals ---- */

static bool set_bytes(ProtobufCBinaryData *field, const uint8_t *bytes, size_t count)
{
	field->data = malloc(count);
	if (field->data == NULL)
		return false;
	memcpy(field->data, bytes, count);
	field->len = count;
	return true;
}

static bool pack_seal(const struct signer *signer, const uint8_t hash[SEAL_HASH_BYTES],
    int64_t now_ms, ProtobufCBinaryData *ret_bytes)
{
	Resolverd__V1__Seal seal = RESOLVERD__V1__SEAL__INIT;
	seal.hash = (ProtobufCBinaryData){SEAL_HASH_BYTES, (uint8_t *)(uintptr_t)hash};
	seal.sealed_at = (uint64_t)now_ms;
	seal.member = signer->config->signing.member;
	ret_bytes->len = resolverd__v1__seal__get_packed_size(&seal);
	ret_bytes->data = malloc(ret_bytes->len);
	if (ret_bytes->data != NULL)
		resolverd__v1__seal__pack(&seal, ret_bytes->data);
	return ret_bytes->data != NULL;
}

/* Of the key that seals: the first, and those by other long-term keys. */
static bool add_delegations(const struct signer *signer, Resolverd__V1__SignedSeal *outer)
{
	Resolverd__V1__StatusResponse *from = join_delegations(signer, 0);
	size_t count = from != NULL ? from->n_delegations : 0;
	if (count > 1)
		outer->other_delegations = malloc((count - 1) * sizeof *outer->other_delegations);
	bool done = count == 1 || (count > 1 && outer->other_delegations != NULL);
	if (done) {
		outer->delegation = from->delegations[0];
		for (size_t i = 1; i < count; i++)
			outer->other_delegations[outer->n_other_delegations++] =
			    from->delegations[i];
		from->n_delegations = 0; /* they are the seal's now */
	}
	if (from != NULL && from->n_delegations == 0) {
		free(from->delegations);
		from->delegations = NULL;
	}
	resolverd__v1__status_response__free_unpacked(from, NULL);
	return done;
}

Resolverd__V1__SignedSeal *signer_seal(
    const struct signer *signer, const uint8_t hash[SEAL_HASH_BYTES], int64_t now_ms)
{
	uint8_t signature[crypto_sign_BYTES];
	Resolverd__V1__SignedSeal *outer = malloc(sizeof *outer);
	if (outer == NULL)
		return NULL;
	resolverd__v1__signed_seal__init(outer);
	if (!pack_seal(signer, hash, now_ms, &outer->seal))
		goto fail;
	signing_sign(SIGNING_CONTEXT_SEAL, outer->seal.data, outer->seal.len, signer->key->secret,
	    signature);
	if (!add_delegations(signer, outer) ||
	    !set_bytes(&outer->signature, signature, sizeof signature) ||
	    !set_bytes(&outer->key_id, signer->key_id, KEY_ID_BYTES))
		goto fail;
	return outer;
fail:
	resolverd__v1__signed_seal__free_unpacked(outer, NULL);
	return NULL;
}
