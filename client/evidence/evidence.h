/* SPDX-License-Identifier: BSD-3-Clause */
/* The file's format: magic, one Evidence, nothing else (proto/evidence.proto). Pure. */
#pragma once
#include <stdbool.h>

#include "client/evidence/resolverd-evidence.h"
#include "evidence.pb-c.h"
#include "proto/combine.h"
#include "proto/signing.h"

#define EVIDENCE_MAGIC "RESOLVERD-EVIDENCE-1\n"
#define EVIDENCE_MAGIC_BYTES (sizeof EVIDENCE_MAGIC - 1)
#define EVIDENCE_RECORDS_MAX 256u
#define EVIDENCE_ANSWERS_MAX (1 + ROUTE_HOSTS_MAX) /* the route and its hosts */
#define EVIDENCE_DELEGATIONS_MAX 16u

struct evidence_file {
	Resolverd__Evidence__V1__Evidence *outer;
	Resolverd__Evidence__V1__Record *record;
	uint8_t hash[SEAL_HASH_BYTES];
};

/* As protobuf_c_message_unpack, freed as its result is; NULL also for what takes more memory than
 * an honest message of this size. */
void *evidence_unpack(
    const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t count);

/* NULL, or what is wrong; static. Checks form only: no signature, no meaning. */
const char *evidence_parse(const uint8_t *bytes, size_t count, struct evidence_file *ret_file);
void evidence_file_fini(struct evidence_file *file);

/* The file's content, allocated; NULL: no memory, or too large. */
uint8_t *evidence_format(const uint8_t *record, size_t record_bytes,
    const Resolverd__V1__SignedSeal *seal, size_t *ret_count);
