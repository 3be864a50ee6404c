/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What NSEC (RFC 4035 section 5.4) and NSEC3 (RFC 5155 section 8) records prove of a name. All
 * records are taken together: each is a true statement of its zone, whichever answer brought it.
 * The traps of RFC 6840 section 4 are heeded: a record of the parent's side of a zone cut denies
 * nothing at or below the cut but DS, one of the child's side never denies DS, nor does a DNAME's
 * record deny what is below it.
 */
#include <stdlib.h>
#include <string.h>

#include "client/evidence/dnssec_internal.h"

#define ITERATIONS_MAX 150u /* as the daemon's validator has it: more is insecure */

static const ldns_rr *record_of(const struct entry *entry)
{
	return ldns_rr_list_rr(entry->rrs, 0);
}

static bool has_type(const struct entry *entry, unsigned type)
{
	const ldns_rr *rr = record_of(entry);
	const ldns_rdf *bitmap =
	    entry->type == TYPE_NSEC ? ldns_rr_rdf(rr, 1) : ldns_nsec3_bitmap(rr);
	return bitmap != NULL && ldns_nsec_bitmap_covers_type(bitmap, (ldns_rr_type)type);
}

static bool is_parent_side(const struct entry *entry)
{
	return has_type(entry, TYPE_NS) && !has_type(entry, TYPE_SOA);
}

/* The record stands at the name: does it deny the type there? */
static bool denies_type_at(const struct entry *entry, const char *name, unsigned type)
{
	if (has_type(entry, type) || has_type(entry, TYPE_CNAME))
		return false;
	if (type == TYPE_DS)
		return !has_type(entry, TYPE_SOA) || strcmp(name, ".") == 0;
	return !is_parent_side(entry);
}

static int compare(const char *a, const char *b)
{
	ldns_rdf *left = name_rdf(a), *right = name_rdf(b);
	int order = left != NULL && right != NULL ? ldns_dname_compare(left, right) : 0;
	ldns_rdf_deep_free(left);
	ldns_rdf_deep_free(right);
	return order;
}

/* Only what a zone itself owns, not what a wildcard made of it. */
static bool is_own(const struct entry *entry)
{
	return ldns_rr_list_rr_count(entry->rrs) == 1 &&
	       entry->labels == name_signed_labels(entry->owner);
}

static bool star_of(const char *encloser, char ret_name[NAME_TEXT_MAX])
{
	size_t bytes = strlen(encloser);
	if (bytes + 3 > NAME_TEXT_MAX)
		return false;
	memcpy(ret_name, "*.", 3);
	if (strcmp(encloser, ".") == 0)
		ret_name[1] = '\0';
	else
		memcpy(ret_name + 2, encloser, bytes + 1);
	return true;
}

/* ---- NSEC ---- */

static bool next_of(const struct entry *nsec, char ret_next[NAME_TEXT_MAX])
{
	const ldns_rdf *next = ldns_rr_rdf(record_of(nsec), 0);
	return next != NULL &&
	       name_from_wire(ldns_rdf_data(next), ldns_rdf_size(next), ret_next) == NAME_OK;
}

/* A good NSEC of the zone (NULL: of any) between whose two names the name would stand. */
static const struct entry *nsec_covering(
    struct dnssec *dnssec, const char *zone, const char *name, char ret_next[NAME_TEXT_MAX])
{
	const struct entry *nsec = NULL;
	while ((nsec = dnssec_next_good(dnssec, nsec, NULL, TYPE_NSEC)) != NULL) {
		if (!is_own(nsec) || (zone != NULL && strcmp(nsec->signer, zone) != 0) ||
		    !name_is_within(name, nsec->signer) || !next_of(nsec, ret_next) ||
		    compare(nsec->owner, name) >= 0)
			continue;
		bool is_last = strcmp(ret_next, nsec->signer) == 0;
		bool is_above = name_is_within(name, nsec->owner);
		if ((is_last || compare(name, ret_next) < 0) &&
		    !(is_above && (is_parent_side(nsec) || has_type(nsec, TYPE_DNAME))))
			return nsec;
	}
	return NULL;
}

static const struct entry *nsec_at(struct dnssec *dnssec, const char *name, unsigned type)
{
	const struct entry *nsec = NULL;
	while ((nsec = dnssec_next_good(dnssec, nsec, name, TYPE_NSEC)) != NULL)
		if (is_own(nsec) && denies_type_at(nsec, name, type))
			return nsec;
	return NULL;
}

/* Labels that two names have in common at their ends. */
static unsigned common_labels(const char *a, const char *b)
{
	unsigned count = 0;
	for (;; count++) {
		const char *x = name_last_labels(a, count + 1), *y = name_last_labels(b, count + 1);
		if (x == NULL || y == NULL || strcmp(x, y) != 0)
			return count;
	}
}

static enum denial nsec_denial(struct dnssec *dnssec, const char *name, unsigned type)
{
	char next[NAME_TEXT_MAX], star[NAME_TEXT_MAX], beyond[NAME_TEXT_MAX];
	if (nsec_at(dnssec, name, type) != NULL)
		return DENIED_TYPE;
	const struct entry *nsec = nsec_covering(dnssec, NULL, name, next);
	if (nsec == NULL)
		return DENIED_NOT;
	if (name_is_within(next, name)) /* an empty non-terminal (RFC 4592 section 2.2.2) */
		return DENIED_TYPE;
	unsigned closest = common_labels(name, nsec->owner), other = common_labels(name, next);
	if (other > closest)
		closest = other;
	if (!star_of(name_last_labels(name, closest), star))
		return DENIED_NOT;
	if (nsec_at(dnssec, star, type) != NULL)
		return DENIED_TYPE;
	if (nsec_covering(dnssec, nsec->signer, star, beyond) == NULL)
		return DENIED_NOT;
	return name_is_within(beyond, star) ? DENIED_TYPE : DENIED_NAME;
}

/* ---- NSEC3 ---- */

static bool is_usable(const struct entry *nsec3)
{
	const ldns_rr *rr = record_of(nsec3);
	const char *parent = name_parent(nsec3->owner);
	return is_own(nsec3) && ldns_rr_rd_count(rr) == 6 && ldns_nsec3_algorithm(rr) == 1 &&
	       (ldns_nsec3_flags(rr) & ~1u) == 0 && ldns_nsec3_iterations(rr) <= ITERATIONS_MAX &&
	       parent != NULL && strcmp(parent, nsec3->signer) == 0;
}

static bool hash_alike(const struct entry *one, const struct entry *other)
{
	const ldns_rr *a = record_of(one), *b = record_of(other);
	return strcmp(one->signer, other->signer) == 0 &&
	       ldns_nsec3_iterations(a) == ldns_nsec3_iterations(b) &&
	       ldns_rdf_compare(ldns_rr_rdf(a, 3), ldns_rr_rdf(b, 3)) == 0;
}

/* All records of one zone with the same iterations and salt belong together; the first of them
 * stands for this way to hash. NULL: the record is of no use. */
static const struct entry *way_of(struct dnssec *dnssec, struct entry *nsec3)
{
	struct entry *first = NULL;
	if (nsec3->alike != NULL || !is_usable(nsec3))
		return nsec3->alike;
	while ((first = dnssec_next_good(dnssec, first, NULL, TYPE_NSEC3)) != NULL)
		if (is_usable(first) && hash_alike(first, nsec3))
			return nsec3->alike = first;
	return NULL;
}

/* The next NSEC3 after this one (NULL: the first) that hashes this way. */
static struct entry *next_of_way(
    struct dnssec *dnssec, const struct entry *after, const struct entry *way)
{
	struct entry *nsec3;
	while ((nsec3 = dnssec_next_good(dnssec, after, NULL, TYPE_NSEC3)) != NULL) {
		if (way_of(dnssec, nsec3) == way)
			return nsec3;
		after = nsec3;
	}
	return NULL;
}

/* The next way to hash after this one (NULL: the first), in any zone. */
static const struct entry *next_way(struct dnssec *dnssec, const struct entry *way)
{
	struct entry *nsec3;
	while ((nsec3 = dnssec_next_good(dnssec, way, NULL, TYPE_NSEC3)) != NULL) {
		if (way_of(dnssec, nsec3) == nsec3)
			return nsec3;
		way = nsec3;
	}
	return NULL;
}

/* The hash as the first label of an owner name has it. */
static bool hash_of(
    struct dnssec *dnssec, const struct entry *way, const char *name, char ret_hash[64])
{
	char text[NAME_TEXT_MAX];
	ldns_rdf *plain = dnssec_may_hash(dnssec) ? name_rdf(name) : NULL;
	ldns_rdf *hash =
	    plain != NULL ? ldns_nsec3_hash_name_frm_nsec3(record_of(way), plain) : NULL;
	ldns_rdf_deep_free(plain);
	bool good = hash != NULL &&
		    name_from_wire(ldns_rdf_data(hash), ldns_rdf_size(hash), text) == NAME_OK;
	ldns_rdf_deep_free(hash);
	size_t label = good ? strcspn(text, ".") : 0;
	if (label == 0 || label > 63)
		return false;
	memcpy(ret_hash, text, label);
	ret_hash[label] = '\0';
	return true;
}

static void first_label(const char *name, char ret_label[64])
{
	size_t length = strcspn(name, ".");
	length = length > 63 ? 63 : length;
	memcpy(ret_label, name, length);
	ret_label[length] = '\0';
}

static bool next_hash(const struct entry *nsec3, char ret_hash[64])
{
	const ldns_rdf *next = ldns_nsec3_next_owner(record_of(nsec3));
	if (next == NULL || ldns_rdf_size(next) < 2 || ldns_rdf_size(next) > 33)
		return false;
	char text[128];
	int length = ldns_b32_ntop_extended_hex(
	    ldns_rdf_data(next) + 1, ldns_rdf_size(next) - 1, text, sizeof text);
	if (length <= 0 || length > 63)
		return false;
	for (int i = 0; i < length; i++)
		ret_hash[i] =
		    (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] - 'A' + 'a' : text[i]);
	ret_hash[length] = '\0';
	ret_hash[strcspn(ret_hash, "=")] = '\0';
	return true;
}

static const struct entry *nsec3_at(
    struct dnssec *dnssec, const struct entry *way, const char *name)
{
	char hash[64], owner[64];
	const struct entry *nsec3 = NULL;
	if (!hash_of(dnssec, way, name, hash))
		return NULL;
	while ((nsec3 = next_of_way(dnssec, nsec3, way)) != NULL) {
		first_label(nsec3->owner, owner);
		if (strcmp(owner, hash) == 0)
			return nsec3;
	}
	return NULL;
}

static const struct entry *nsec3_covering(
    struct dnssec *dnssec, const struct entry *way, const char *name)
{
	char hash[64], owner[64], next[64];
	const struct entry *nsec3 = NULL;
	if (!hash_of(dnssec, way, name, hash))
		return NULL;
	while ((nsec3 = next_of_way(dnssec, nsec3, way)) != NULL) {
		if (!next_hash(nsec3, next))
			continue;
		first_label(nsec3->owner, owner);
		bool after = strcmp(hash, owner) > 0, before = strcmp(hash, next) < 0;
		bool is_last = strcmp(owner, next) >= 0;
		if (is_last ? (after || before) && strcmp(hash, owner) != 0 : after && before)
			return nsec3;
	}
	return NULL;
}

/* The longest name above or at the name that exists, with its record (RFC 5155 section 8.3). */
static const struct entry *closest_encloser(
    struct dnssec *dnssec, const struct entry *way, const char *name, const char **ret_encloser)
{
	for (const char *at = name; at != NULL && name_is_within(at, way->signer);
	     at = name_parent(at)) {
		const struct entry *nsec3 = nsec3_at(dnssec, way, at);
		*ret_encloser = at;
		if (nsec3 != NULL)
			return nsec3;
	}
	return NULL;
}

static enum denial nsec3_denial_by(
    struct dnssec *dnssec, const struct entry *way, const char *name, unsigned type)
{
	const char *encloser;
	char star[NAME_TEXT_MAX];
	const struct entry *nsec3 = closest_encloser(dnssec, way, name, &encloser);
	if (nsec3 == NULL)
		return DENIED_NOT;
	if (strcmp(encloser, name) == 0)
		return denies_type_at(nsec3, name, type) ? DENIED_TYPE : DENIED_NOT;
	if (is_parent_side(nsec3) || has_type(nsec3, TYPE_DNAME))
		return DENIED_NOT;
	const struct entry *closer =
	    nsec3_covering(dnssec, way, name_last_labels(name, name_labels(encloser) + 1));
	if (closer == NULL || !star_of(encloser, star))
		return DENIED_NOT;
	if (ldns_nsec3_optout(record_of(closer)))
		return DENIED_OPTOUT;
	nsec3 = nsec3_at(dnssec, way, star);
	if (nsec3 != NULL)
		return denies_type_at(nsec3, star, type) ? DENIED_TYPE : DENIED_NOT;
	return nsec3_covering(dnssec, way, star) != NULL ? DENIED_NAME : DENIED_NOT;
}

static enum denial nsec3_denial(struct dnssec *dnssec, const char *name, unsigned type)
{
	const struct entry *way = NULL;
	while ((way = next_way(dnssec, way)) != NULL) {
		if (!name_is_within(name, way->signer))
			continue;
		enum denial denial = nsec3_denial_by(dnssec, way, name, type);
		if (denial != DENIED_NOT)
			return denial;
	}
	return DENIED_NOT;
}

/* ---- both ---- */

enum denial denial_of(struct dnssec *dnssec, const char *name, unsigned type)
{
	enum denial denial = nsec_denial(dnssec, name, type);
	return denial != DENIED_NOT ? denial : nsec3_denial(dnssec, name, type);
}

enum denial denial_of_closer(
    struct dnssec *dnssec, const char *zone, const char *name, unsigned labels)
{
	char next[NAME_TEXT_MAX];
	enum denial denial = DENIED_NOT;
	const char *closer = name_last_labels(name, labels + 1);
	if (closer == NULL)
		return DENIED_NOT;
	/* Of the closer name itself: what covers a name below it may begin there. */
	if (nsec_covering(dnssec, zone, closer, next) != NULL && !name_is_within(next, closer))
		return DENIED_NAME;
	const struct entry *way = NULL;
	while (denial != DENIED_NAME && (way = next_way(dnssec, way)) != NULL) {
		const struct entry *nsec3 =
		    strcmp(way->signer, zone) == 0 ? nsec3_covering(dnssec, way, closer) : NULL;
		if (nsec3 != NULL)
			denial = ldns_nsec3_optout(record_of(nsec3)) ? DENIED_OPTOUT : DENIED_NAME;
	}
	return denial;
}

bool denial_unsigned_cut(struct dnssec *dnssec, const char *zone, const char *name)
{
	const struct entry *nsec = NULL;
	while ((nsec = dnssec_next_good(dnssec, nsec, name, TYPE_NSEC)) != NULL)
		if (is_own(nsec) && strcmp(nsec->signer, zone) == 0 && is_parent_side(nsec) &&
		    denies_type_at(nsec, name, TYPE_DS))
			return true;
	const struct entry *way = NULL;
	while ((way = next_way(dnssec, way)) != NULL) {
		if (strcmp(way->signer, zone) != 0)
			continue;
		const struct entry *nsec3 = nsec3_at(dnssec, way, name);
		if (nsec3 != NULL ? is_parent_side(nsec3) && denies_type_at(nsec3, name, TYPE_DS)
				  : nsec3_denial_by(dnssec, way, name, TYPE_DS) == DENIED_OPTOUT)
			return true;
	}
	return false;
}
