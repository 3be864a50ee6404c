/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DNSSEC offline: RRsets from a file, the root's keys from another, a time, and from these what is
 * proven of a name (RFC 4035 section 5, RFC 5155 section 8, RFC 6840). Signatures, digests, NSEC3
 * hashes and the canonical order are ldns's work. All names are canonical (proto/names.h). Pure but
 * for reading the anchor file. Nothing that is added needs to be trusted; the work it can cause is
 * bounded, and what goes beyond is unproven.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "resolverd.pb-c.h"

#define DNSSEC_DETAIL_MAX 512u

enum proof {
	UNPROVEN = 0,
	PROVEN_SECURE,
	PROVEN_INSECURE, /* by a secure proof that the name is in an unsigned part of the tree */
};

struct dnssec;

/* Signatures must hold at this time. NULL: no memory. */
struct dnssec *dnssec_new(time_t at);
void dnssec_free(struct dnssec *dnssec);

/* DS and DNSKEY records of the root, one a line, in presentation format; ';' begins a comment.
 * False: the file is unreadable, or holds no usable one; detail says which line. */
[[nodiscard]] bool dnssec_load_anchors(
    struct dnssec *dnssec, const char *path, char detail[DNSSEC_DETAIL_MAX]);

/* Copies. What does not parse, or is one too many, is left out. */
void dnssec_add(struct dnssec *dnssec, const Resolverd__V1__Rrset *rrset);

/* What is proven of the records of a type at a name, aliases followed. */
struct dnssec_answer {
	enum proof proof;
	const char *final_name; /* after aliases; of the store, or the name asked */
	bool aliased;
	bool exists;             /* PROVEN_SECURE: there are such records; else their absence */
	bool no_such_name;       /* PROVEN_SECURE and absent: not the name either */
	const char *insecure_at; /* PROVEN_INSECURE: the unsigned delegation, or opt-out span */
	const struct dnssec_rdata *rdata; /* of the store */
	size_t rdata_count;
	const char *why; /* UNPROVEN: what is missing or wrong; static */
};

struct dnssec_rdata {
	const uint8_t *bytes;
	size_t count;
};

struct dnssec_answer dnssec_lookup(struct dnssec *dnssec, const char *name, unsigned type);
