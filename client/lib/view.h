/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Verified messages to the public structs of resolverd.h. Pure. Everything is allocated in the
 * arena given; when that fails the result is unusable and memory_failed says so.
 */
#pragma once
#include "client/lib/verify.h"
#include "proto/names.h"

/* What was asked, canonical. */
struct asked {
	struct next_hop hop;      /* plan */
	char name[NAME_TEXT_MAX]; /* host, records */
	unsigned port, type;
	uint8_t hash[SEAL_HASH_BYTES]; /* seal */
};

enum resolverd_status status_of(int status);
enum resolverd_requirement requirement_of(int requirement);
uint64_t life_left_s(uint64_t expires_at_ms, uint64_t now_ms);

/* NULL: our daemon itself. */
const char *view_origin(struct resolverd_memory *arena, const Resolverd__V1__Answer *answer);
void view_zones(struct resolverd_memory *arena, Resolverd__V1__InsecureZone *const *from,
    size_t count, const struct resolverd_insecure_zone **ret_zones, size_t *ret_count);
/* Fills all of ret_records that is data: status, rcode, RRsets, reason. */
void view_record_data(struct resolverd_memory *arena, const Resolverd__V1__Records *from,
    struct resolverd_records *ret_records);
/* Of a response that must hold exactly one answer. */
[[nodiscard]] int view_only_answer(const struct verifier *verifier, const struct question *question,
    const Resolverd__V1__Response *response, struct verified *ret_verified);

/* The host as its answer has it: names, policy and reason are not combined yet. */
void view_host(struct resolverd_memory *arena, const struct verified *verified, uint64_t now_ms,
    struct resolverd_host *ret_host);
/* Sets policy and reason from proto values, and what follows from policy: sni. */
void view_host_policy(struct resolverd_host *host, int policy, int reason);

/* The host by itself: as if it had been securely selected and no local policy applied. */
void view_host_alone(const struct verifier *verifier, const struct verified *verified,
    struct resolverd_host *ret_host);

/* Each makes a result of a whole response: 0, a VERIFY_ code, or an error with detail. */
[[nodiscard]] int view_plan(const struct verifier *verifier, const struct asked *asked,
    const Resolverd__V1__Response *response, struct resolverd_plan **ret_plan);
[[nodiscard]] int view_host_response(const struct verifier *verifier, const struct asked *asked,
    const Resolverd__V1__Response *response, struct resolverd_host **ret_host);
[[nodiscard]] int view_records(const struct verifier *verifier, const struct asked *asked,
    const Resolverd__V1__Response *response, struct resolverd_records **ret_records);
[[nodiscard]] int view_seal(const struct verifier *verifier, const struct trusted_keys *trusted,
    const struct asked *asked, const Resolverd__V1__SignedSeal *from,
    struct resolverd_seal **ret_seal);
[[nodiscard]] int view_status(const struct verifier *verifier, const struct trusted_keys *trusted,
    const Resolverd__V1__StatusResponse *status, struct resolverd_daemon_status **ret_status);
[[nodiscard]] int view_explanation(const struct verifier *verifier, const struct asked *asked,
    const Resolverd__V1__Response *response, struct resolverd_explanation **ret_explanation);
[[nodiscard]] int view_dump(const struct verifier *verifier,
    const Resolverd__V1__DumpResponse *response, struct resolverd_dump **ret_dump);

struct control_done { /* of flush and reload */
	uint64_t dropped;
	bool in_force;
	const char *text;
	struct resolverd_memory *memory;
};
[[nodiscard]] int view_done(const struct verifier *verifier,
    const Resolverd__V1__Response *response, struct control_done **ret_done);
