/* SPDX-License-Identifier: BSD-3-Clause */
/* Which RRsets of the store are signed up to the root, and what they answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/evidence/dnssec_internal.h"

/* What takes a machine seconds, and no honest file a hundredth of it. */
#define VERIFICATIONS_MAX 1024u
#define HASHES_MAX 8192u
#define STEPS_MAX (4u << 20)
#define RSA_EXPONENT_MAX 8u  /* octets */
#define RSA_MODULUS_MAX 512u /* octets (RFC 3110 section 2) */
#define DEPTH_MAX 32u        /* zones from a name to the root */
#define CHAIN_MAX 16u

/* ---- signatures ---- */

static unsigned number8(const ldns_rr *rr, size_t field)
{
	const ldns_rdf *rdf = ldns_rr_rdf(rr, field);
	return rdf != NULL && ldns_rdf_size(rdf) == 1 ? ldns_rdf2native_int8(rdf) : 0;
}

static unsigned number16(const ldns_rr *rr, size_t field)
{
	const ldns_rdf *rdf = ldns_rr_rdf(rr, field);
	return rdf != NULL && ldns_rdf_size(rdf) == 2 ? ldns_rdf2native_int16(rdf) : 0;
}

/* Those that the daemon's validator knows, too: what only one of both can check would be secure
 * for one and insecure for the other. */
static bool is_algorithm_supported(unsigned algorithm)
{
	static const uint8_t supported[] = {5, 7, 8, 10, 13, 14, 15};
	return memchr(supported, (int)algorithm, sizeof supported) != NULL;
}

static bool is_digest_supported(unsigned digest)
{
	return digest == LDNS_SHA1 || digest == LDNS_SHA256 || digest == LDNS_SHA384;
}

/* RFC 3110 allows 4096 bits for both; but such an exponent takes a hundred times as long. */
static bool is_rsa_bounded(const ldns_rr *key)
{
	const ldns_rdf *rdf = ldns_rr_rdf(key, 3);
	const uint8_t *data = ldns_rdf_data(rdf);
	size_t bytes = ldns_rdf_size(rdf);
	if (bytes < 3)
		return false;
	size_t at = data[0] != 0 ? 1 : 3;
	size_t exponent = data[0] != 0 ? data[0] : (size_t)(data[1] << 8 | data[2]);
	return exponent <= RSA_EXPONENT_MAX && bytes <= at + exponent + RSA_MODULUS_MAX;
}

static bool is_rsa(unsigned algorithm)
{
	return algorithm < LDNS_ECDSAP256SHA256;
}

static bool is_usable_key(const ldns_rr *key)
{
	unsigned flags = number16(key, 0);
	return ldns_rr_rd_count(key) == 4 && (flags & LDNS_KEY_ZONE_KEY) != 0 &&
	       (flags & LDNS_KEY_REVOKE_KEY) == 0 && number8(key, 1) == 3 &&
	       is_algorithm_supported(number8(key, 2)) &&
	       (!is_rsa(number8(key, 2)) || is_rsa_bounded(key));
}

static bool is_sha1(const ldns_rr *ds)
{
	return number8(ds, 2) == LDNS_SHA1;
}

static bool is_usable_ds(const ldns_rr *ds)
{
	return ldns_rr_rd_count(ds) == 4 && is_algorithm_supported(number8(ds, 1)) &&
	       is_digest_supported(number8(ds, 2));
}

/* Whether the record, a DS or a trusted DNSKEY, names this key. */
static bool names_key(const ldns_rr *record, const ldns_rr *key)
{
	if (ldns_rr_get_type(record) == LDNS_RR_TYPE_DS &&
	    (!is_usable_ds(record) || number8(record, 1) != number8(key, 2) ||
		number16(record, 0) != ldns_calc_keytag(key)))
		return false;
	return ldns_rr_compare_ds(record, key);
}

static bool verify_by(
    struct dnssec *dnssec, const struct entry *entry, const ldns_rr *signature, ldns_rr *key)
{
	if (!dnssec_may_go_on(dnssec, 1) || number8(signature, 1) != number8(key, 2) ||
	    number16(signature, 6) != ldns_calc_keytag(key) ||
	    dnssec->verifications++ >= VERIFICATIONS_MAX)
		return false;
	ldns_rr_list *keys = ldns_rr_list_new(), *used = ldns_rr_list_new();
	bool good = keys != NULL && used != NULL && ldns_rr_list_push_rr(keys, key) &&
		    ldns_verify_rrsig_keylist_time(entry->rrs, signature, keys, dnssec->at, used) ==
			LDNS_STATUS_OK;
	ldns_rr_list_free(keys);
	ldns_rr_list_free(used);
	return good;
}

static bool validate(struct dnssec *dnssec, struct entry *entry, unsigned depth);

/* SHA-1 counts only where there is nothing better (RFC 4509 section 3). */
static bool is_among_ds(const struct entry *ds, const ldns_rr *key)
{
	bool found = false, found_by_sha1 = false, only_sha1 = true;
	for (size_t i = 0; i < ldns_rr_list_rr_count(ds->rrs); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(ds->rrs, i);
		only_sha1 = only_sha1 && (is_sha1(rr) || !is_usable_ds(rr));
		if (names_key(rr, key))
			*(is_sha1(rr) ? &found_by_sha1 : &found) = true;
	}
	return found || (found_by_sha1 && only_sha1);
}

/* Whether a trust anchor or a good DS record vouches for the key of this zone. */
static bool is_vouched_for(
    struct dnssec *dnssec, const char *zone, const ldns_rr *key, unsigned depth)
{
	if (strcmp(zone, ".") == 0) {
		for (size_t i = 0; i < ldns_rr_list_rr_count(dnssec->anchors); i++)
			if (names_key(ldns_rr_list_rr(dnssec->anchors, i), key))
				return true;
		return false;
	}
	for (struct entry *entry = dnssec->entries; entry != NULL; entry = entry->next) {
		if (entry->type == TYPE_DS && strcmp(entry->owner, zone) == 0 &&
		    validate(dnssec, entry, depth + 1) && is_among_ds(entry, key))
			return true;
	}
	return false;
}

/* The keys of a zone are signed by one of their own that is vouched for (RFC 4035 section 5.2). */
static bool is_signed_by_vouched_key(
    struct dnssec *dnssec, const struct entry *entry, const ldns_rr *signature, unsigned depth)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(entry->rrs); i++) {
		ldns_rr *key = ldns_rr_list_rr(entry->rrs, i);
		if (is_usable_key(key) && verify_by(dnssec, entry, signature, key) &&
		    is_vouched_for(dnssec, entry->owner, key, depth))
			return true;
	}
	return false;
}

static bool is_signed_by_zone(struct dnssec *dnssec, const struct entry *entry,
    const ldns_rr *signature, const char *zone, unsigned depth)
{
	for (struct entry *keys = dnssec->entries; keys != NULL; keys = keys->next) {
		if (keys->type != TYPE_DNSKEY || strcmp(keys->owner, zone) != 0 ||
		    !validate(dnssec, keys, depth + 1))
			continue;
		for (size_t i = 0; i < ldns_rr_list_rr_count(keys->rrs); i++) {
			ldns_rr *key = ldns_rr_list_rr(keys->rrs, i);
			if (is_usable_key(key) && verify_by(dnssec, entry, signature, key))
				return true;
		}
	}
	return false;
}

/* What RFC 4035 section 5.3.1 asks of a signature besides that it verifies. */
static bool fits(
    const struct entry *entry, const ldns_rr *signature, char ret_signer[NAME_TEXT_MAX])
{
	const ldns_rdf *signer = ldns_rr_rdf(signature, 7);
	if (ldns_rr_rd_count(signature) != 9 || number16(signature, 0) != entry->type ||
	    name_from_wire(ldns_rdf_data(signer), ldns_rdf_size(signer), ret_signer) != NAME_OK ||
	    !name_is_within(entry->owner, ret_signer))
		return false;
	bool is_apex = strcmp(entry->owner, ret_signer) == 0;
	if ((entry->type == TYPE_DS && is_apex) || (entry->type == TYPE_DNSKEY && !is_apex))
		return false;
	unsigned labels = name_signed_labels(entry->owner);
	return number8(signature, 2) <= labels && number8(signature, 2) >= name_labels(ret_signer);
}

static bool entry_accept(struct entry *entry, const ldns_rr *signature, const char *signer)
{
	entry->signer = strdup(signer);
	entry->labels = number8(signature, 2);
	return entry->signer != NULL;
}

/* Each RRset is checked once. A loop of zones vouching for each other ends at BUSY. */
static bool validate(struct dnssec *dnssec, struct entry *entry, unsigned depth)
{
	char signer[NAME_TEXT_MAX];
	if (entry->state == ENTRY_GOOD)
		return true;
	if (entry->state != ENTRY_NEW || depth > 2 * DEPTH_MAX)
		return false;
	entry->state = ENTRY_BUSY;
	bool good = false;
	for (size_t i = 0; !good && i < ldns_rr_list_rr_count(entry->signatures); i++) {
		const ldns_rr *signature = ldns_rr_list_rr(entry->signatures, i);
		if (!fits(entry, signature, signer))
			continue;
		good = entry->type == TYPE_DNSKEY
			   ? is_signed_by_vouched_key(dnssec, entry, signature, depth)
			   : is_signed_by_zone(dnssec, entry, signature, signer, depth);
		good = good && entry_accept(entry, signature, signer);
	}
	entry->state = good ? ENTRY_GOOD : ENTRY_BAD;
	return good;
}

struct entry *dnssec_next_good(
    struct dnssec *dnssec, const struct entry *after, const char *owner, unsigned type)
{
	struct entry *entry = after != NULL ? after->next : dnssec->entries;
	for (; entry != NULL && dnssec_may_go_on(dnssec, 1); entry = entry->next)
		if (entry->type == type && (owner == NULL || strcmp(entry->owner, owner) == 0) &&
		    validate(dnssec, entry, 0))
			return entry;
	return NULL;
}

bool dnssec_may_hash(struct dnssec *dnssec)
{
	return dnssec->hashes < HASHES_MAX && ++dnssec->hashes;
}

bool dnssec_may_go_on(struct dnssec *dnssec, unsigned steps)
{
	dnssec->work += steps < STEPS_MAX ? steps : STEPS_MAX;
	if (dnssec->work < STEPS_MAX)
		return true;
	dnssec->work = STEPS_MAX;
	return false;
}

/* ---- answers ---- */

/* Good, and if a wildcard gave it, with the proof that nothing closer exists. *ret_optout: but for
 * an unsigned delegation, of which nobody can know. */
static struct entry *find(struct dnssec *dnssec, const char *name, unsigned type, bool *ret_optout)
{
	struct entry *entry = NULL;
	*ret_optout = false;
	while ((entry = dnssec_next_good(dnssec, entry, name, type)) != NULL) {
		unsigned labels = name_signed_labels(name);
		if (entry->labels == labels)
			return entry;
		enum denial closer = denial_of_closer(dnssec, entry->signer, name, entry->labels);
		*ret_optout = closer == DENIED_OPTOUT;
		if (closer != DENIED_NOT)
			return entry;
	}
	return NULL;
}

static bool has_usable_ds(const struct entry *ds)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(ds->rrs); i++)
		if (is_usable_ds(ldns_rr_list_rr(ds->rrs, i)))
			return true;
	return false;
}

/* The delegation above or at the name from where on nothing is signed; NULL: not proven. Down from
 * the root: it must be the zone that signed delegations lead to that says so. */
static const char *unsigned_above(struct dnssec *dnssec, const char *name)
{
	const char *zone = ".";
	for (unsigned labels = 1; labels <= name_labels(name); labels++) {
		const char *cut = name_last_labels(name, labels);
		const struct entry *ds = dnssec_next_good(dnssec, NULL, cut, TYPE_DS);
		if (ds != NULL && has_usable_ds(ds))
			zone = cut;
		else if (ds != NULL || denial_unsigned_cut(dnssec, zone, cut))
			return cut;
	}
	return NULL;
}

/* Where a good DNAME above the name leads (RFC 6672). The CNAME made of it is not signed. */
static const struct entry *find_made_alias(struct dnssec *dnssec, const char *name)
{
	char target[NAME_TEXT_MAX], made[NAME_TEXT_MAX * 2];
	bool optout;
	for (const char *above = name_parent(name); above != NULL; above = name_parent(above)) {
		const struct entry *dname = find(dnssec, above, TYPE_DNAME, &optout);
		if (dname == NULL || optout ||
		    name_from_wire(dname->rdata[0].bytes, dname->rdata[0].count, target) != NAME_OK)
			continue;
		size_t kept =
		    strcmp(above, ".") == 0 ? strlen(name) : strlen(name) - strlen(above) - 1;
		snprintf(made, sizeof made, "%.*s%s%s", (int)kept, name,
		    strcmp(target, ".") == 0 ? "" : ".", strcmp(target, ".") == 0 ? "" : target);
		for (const struct entry *entry = dnssec->entries;
		     entry != NULL && dnssec_may_go_on(dnssec, 1); entry = entry->next)
			if (entry->type == TYPE_CNAME && strcmp(entry->owner, name) == 0 &&
			    name_from_wire(entry->rdata[0].bytes, entry->rdata[0].count, target) ==
				NAME_OK &&
			    strcmp(target, made) == 0)
				return entry;
	}
	return NULL;
}

static const char *why_unproven(struct dnssec *dnssec)
{
	return dnssec_next_good(dnssec, NULL, ".", TYPE_DNSKEY) != NULL
		   ? "no chain of signatures from the root's keys, valid at that time, leads to "
		     "these records or to their absence"
		   : "none of the root's keys in the record is one of the trust anchor file, or "
		     "their signature did not hold at that time (is the file that of its time?)";
}

static struct dnssec_answer absent_or_insecure(
    struct dnssec *dnssec, const char *name, unsigned type, bool aliased)
{
	struct dnssec_answer answer = {.final_name = name, .aliased = aliased};
	enum denial denial = denial_of(dnssec, name, type);
	answer.insecure_at = denial == DENIED_OPTOUT ? name : NULL;
	if (answer.insecure_at == NULL && denial == DENIED_NOT)
		answer.insecure_at = unsigned_above(dnssec, name);
	if (answer.insecure_at != NULL) {
		answer.proof = PROVEN_INSECURE;
	} else if (denial == DENIED_TYPE || denial == DENIED_NAME) {
		answer.proof = PROVEN_SECURE;
		answer.no_such_name = denial == DENIED_NAME;
	} else {
		answer.why = why_unproven(dnssec);
	}
	return answer;
}

/* The canonical target of an alias, in memory that lives as long as the store: NULL, none. */
static const char *target_of(struct dnssec *dnssec, const struct entry *alias)
{
	char target[NAME_TEXT_MAX];
	if (alias->rdata[0].count == 0 || ldns_rr_list_rr_count(alias->rrs) != 1 ||
	    name_from_wire(alias->rdata[0].bytes, alias->rdata[0].count, target) != NAME_OK)
		return NULL;
	for (const struct entry *entry = dnssec->entries; entry != NULL; entry = entry->next)
		if (strcmp(entry->owner, target) == 0)
			return entry->owner;
	struct entry *holder = calloc(1, sizeof *holder); /* keeps the name only */
	if (holder == NULL)
		return NULL;
	holder->state = ENTRY_BAD;
	holder->owner = strdup(target);
	holder->rrs = ldns_rr_list_new();
	holder->signatures = ldns_rr_list_new();
	holder->next = dnssec->entries;
	dnssec->entries = holder;
	return holder->owner;
}

struct dnssec_answer dnssec_lookup(struct dnssec *dnssec, const char *name, unsigned type)
{
	for (unsigned i = 0; i < CHAIN_MAX; i++) {
		bool optout;
		const struct entry *entry = find(dnssec, name, type, &optout);
		if (entry != NULL && !optout)
			return (struct dnssec_answer){.proof = PROVEN_SECURE,
			    .final_name = name,
			    .aliased = i > 0,
			    .exists = true,
			    .rdata = entry->rdata,
			    .rdata_count = ldns_rr_list_rr_count(entry->rrs)};
		if (entry == NULL)
			entry = find(dnssec, name, TYPE_CNAME, &optout);
		if (entry != NULL && optout)
			return (struct dnssec_answer){.proof = PROVEN_INSECURE,
			    .final_name = name,
			    .aliased = i > 0,
			    .insecure_at = name};
		if (entry == NULL)
			entry = find_made_alias(dnssec, name);
		const char *target = entry != NULL ? target_of(dnssec, entry) : NULL;
		if (target == NULL)
			return absent_or_insecure(dnssec, name, type, i > 0);
		name = target;
	}
	return (struct dnssec_answer){
	    .final_name = name, .why = "the chain of aliases is too long"};
}
