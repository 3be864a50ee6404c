/* SPDX-License-Identifier: BSD-3-Clause */
/* Between store.c, which holds the records, dnssec.c, which checks signatures, and denial.c. */
#pragma once
#include "client/evidence/dnssec.h"
#include "proto/names.h"
#include "proto/rrtype.h"
/* After stdbool.h: without it ldns makes bool a signed char. */
#include <ldns/ldns.h>

enum entry_state { ENTRY_NEW, ENTRY_BUSY, ENTRY_GOOD, ENTRY_BAD };

/* One RRset with its signatures. At a zone cut there may be two of one owner and type. */
struct entry {
	struct entry *next;
	char *owner;
	unsigned type;
	ldns_rr_list *rrs, *signatures;
	struct dnssec_rdata *rdata; /* as given, one each of rrs */
	enum entry_state state;
	char *signer;    /* GOOD: the zone */
	unsigned labels; /* GOOD: of the signature; fewer than the owner's: from a wildcard */
	const struct entry
	    *alike; /* NSEC3: the first that hashes as it does; NULL: not known yet */
};

struct dnssec {
	struct entry *entries;
	unsigned entry_count, verifications, hashes, work;
	ldns_rr_list *anchors;
	time_t at;
};

/* The next entry after `after` (NULL: the first) that is signed and good. owner NULL: any. */
struct entry *dnssec_next_good(
    struct dnssec *dnssec, const struct entry *after, const char *owner, unsigned type);

/* What a file can cause is bounded. Each counts, and is false when it was too much: a step is an
 * RRset looked at, or a key for a signature. */
bool dnssec_may_hash(struct dnssec *dnssec);
bool dnssec_may_go_on(struct dnssec *dnssec, unsigned steps);

/* Labels as a signature counts them: without the star of a wildcard (RFC 4034 section 3.1.3). */
unsigned name_signed_labels(const char *name);
ldns_rdf *name_rdf(const char *name); /* freed by the caller; NULL: no memory */

enum denial {
	DENIED_NOT,
	DENIED_TYPE,   /* no such type at the name, be it by a wildcard */
	DENIED_NAME,   /* no such name */
	DENIED_OPTOUT, /* no signed name; an unsigned delegation may be there (RFC 5155 section 6)
			*/
};

/* What the good NSEC and NSEC3 records of the store prove of a name that has no such records. */
enum denial denial_of(struct dnssec *dnssec, const char *name, unsigned type);
/* DENIED_NAME: there is no such name, so that a wildcard with this many labels below the star gave
 * the answer (RFC 4035 section 5.3.4, RFC 5155 section 8.8). DENIED_OPTOUT: or else an unsigned
 * delegation is there, so that the answer is not secure (RFC 5155 section 9.2). */
enum denial denial_of_closer(
    struct dnssec *dnssec, const char *zone, const char *name, unsigned labels);
/* The zone delegates the name, and has no DS for it. */
bool denial_unsigned_cut(struct dnssec *dnssec, const char *zone, const char *name);
