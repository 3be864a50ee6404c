/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The offline DNSSEC checks on a tree that the test signs itself: a root, the zone org and the zone
 * a.org. Every row is a set of records and what they must, or must not, prove. The traps are those
 * of RFC 6840 section 4 and RFC 5155 section 8.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "client/evidence/dnssec_internal.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define NOW 1800000000
#define DAY 86400
#define LINES_MAX 12
#define BYTES_MAX 1024

enum zone { ROOT, ORG, A_ORG, STRANGER, ZONES };

static const char *const zone_names[ZONES] = {".", "org", "a.org", "a.org"};
static ldns_key *zone_keys[ZONES]; /* STRANGER's: of nobody who is vouched for */
static char anchor_file[64];

/* ---- signing ---- */

/* "zone: record", or "zone labels: record" for a signature that says so (a wildcard's). */
struct line {
	enum zone zone;
	const char *record; /* presentation format; several of one RRset with '\n' between */
	const char *owner;  /* to appear at; NULL: as in the record */
	int from, until;    /* of the signature, seconds from NOW; both 0: a day either way */
	bool unsigned_too;
	bool compressed; /* the last one's name is a pointer to the owner's second label */
};

static ldns_rr *rr_of(const char *text)
{
	ldns_rr *rr = NULL;
	ldns_status status = ldns_rr_new_frm_str(&rr, text, 300, NULL, NULL);
	if (status != LDNS_STATUS_OK)
		fail_msg("%s: %s", text, ldns_get_errorstr_by_id(status));
	return rr;
}

static ldns_rr_list *rrset_of(const char *text)
{
	ldns_rr_list *list = ldns_rr_list_new();
	char *copy = strdup(text), *rest = copy;
	for (char *one; (one = strsep(&rest, "\n")) != NULL;)
		ldns_rr_list_push_rr(list, rr_of(one));
	free(copy);
	return list;
}

static ProtobufCBinaryData rdata_of(const ldns_rr *rr)
{
	uint8_t *wire;
	size_t bytes, owner = ldns_rdf_size(ldns_rr_owner(rr));
	assert_int_equal(ldns_rr2wire(&wire, rr, LDNS_SECTION_ANSWER, &bytes), LDNS_STATUS_OK);
	ProtobufCBinaryData rdata = {bytes - owner - 10, malloc(BYTES_MAX)};
	assert_true(rdata.len <= BYTES_MAX);
	memcpy(rdata.data, wire + owner + 10, rdata.len);
	free(wire);
	return rdata;
}

static ldns_rr *signature_of(ldns_rr_list *rrset, const struct line *line)
{
	bool plain = line->from == 0 && line->until == 0;
	ldns_key_list *keys = ldns_key_list_new();
	ldns_key *key = zone_keys[line->zone];
	ldns_key_set_inception(key, (uint32_t)(NOW + (plain ? -DAY : line->from)));
	ldns_key_set_expiration(key, (uint32_t)(NOW + (plain ? DAY : line->until)));
	ldns_key_list_push_key(keys, key);
	ldns_rr_list *made = ldns_sign_public(rrset, keys);
	assert_non_null(made);
	ldns_rr *signature = ldns_rr_list_pop_rr(made);
	ldns_rr_list_deep_free(made);
	free(keys->_keys);
	free(keys);
	return signature;
}

static void add(struct dnssec *dnssec, const struct line *line)
{
	ldns_rr_list *rrs = rrset_of(line->record);
	ProtobufCBinaryData rdata[8], rrsig;
	char owner[NAME_TEXT_MAX];
	Resolverd__V1__Rrset rrset = RESOLVERD__V1__RRSET__INIT;
	const ldns_rr *first = ldns_rr_list_rr(rrs, 0);
	assert_int_equal(name_from_wire(ldns_rdf_data(ldns_rr_owner(first)),
			     ldns_rdf_size(ldns_rr_owner(first)), owner),
	    NAME_OK);
	rrset.owner = line->owner != NULL ? (char *)(uintptr_t)line->owner : owner;
	rrset.type = ldns_rr_get_type(first);
	rrset.rdata = rdata;
	for (size_t i = 0; i < ldns_rr_list_rr_count(rrs); i++)
		rdata[rrset.n_rdata++] = rdata_of(ldns_rr_list_rr(rrs, i));
	if (line->compressed) {
		memcpy(rdata[rrset.n_rdata - 1].data + 2, "\xc0\x02", 2);
		rdata[rrset.n_rdata - 1].len = 4;
	}
	ldns_rr *signature = line->unsigned_too ? NULL : signature_of(rrs, line);
	if (signature != NULL) {
		rrsig = rdata_of(signature);
		rrset.rrsig = &rrsig;
		rrset.n_rrsig = 1;
	}
	dnssec_add(dnssec, &rrset);
	for (size_t i = 0; i < rrset.n_rdata; i++)
		free(rdata[i].data);
	if (signature != NULL)
		free(rrsig.data);
	ldns_rr_free(signature);
	ldns_rr_list_deep_free(rrs);
}

/* ---- the tree ---- */

static ldns_key *key_new(const char *owner)
{
	ldns_key *key = ldns_key_new_frm_algorithm(LDNS_SIGN_ECDSAP256SHA256, 256);
	assert_non_null(key);
	ldns_key_set_pubkey_owner(key, ldns_dname_new_frm_str(owner));
	ldns_key_set_flags(key, LDNS_KEY_ZONE_KEY);
	ldns_rr *rr = ldns_key2rr(key);
	ldns_key_set_keytag(key, ldns_calc_keytag(rr));
	ldns_rr_free(rr);
	return key;
}

/* Takes rr; freed by the caller. */
static char *text_of(ldns_rr *rr)
{
	char *text = ldns_rr2str(rr);
	text[strcspn(text, "\n;")] = '\0';
	ldns_rr_free(rr);
	return text;
}

static char *ds_text(enum zone zone, ldns_hash digest)
{
	ldns_rr *key = ldns_key2rr(zone_keys[zone]);
	char *text = text_of(ldns_key_rr2ds(key, digest));
	ldns_rr_free(key);
	return text;
}

/* The DNSKEY or DS record of a zone as text; freed by the caller. */
static char *key_text(enum zone zone, bool ds)
{
	return ds ? ds_text(zone, LDNS_SHA256) : text_of(ldns_key2rr(zone_keys[zone]));
}

static void add_zone(struct dnssec *dnssec, enum zone zone)
{
	char *key = key_text(zone, false), *ds = key_text(zone, true);
	add(dnssec, &(struct line){.zone = zone, .record = key});
	if (zone != ROOT)
		add(dnssec, &(struct line){.zone = zone - 1, .record = ds});
	free(key);
	free(ds);
}

static struct dnssec *tree(void)
{
	char detail[DNSSEC_DETAIL_MAX];
	struct dnssec *dnssec = dnssec_new(NOW);
	assert_true(dnssec_load_anchors(dnssec, anchor_file, detail));
	for (enum zone zone = ROOT; zone <= A_ORG; zone++)
		add_zone(dnssec, zone);
	return dnssec;
}

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < ZONES; i++)
		zone_keys[i] = key_new(zone_names[i]);
	strcpy(anchor_file, "/tmp/resolverd-test-XXXXXX");
	FILE *file = fdopen(mkstemp(anchor_file), "w");
	char *ds = key_text(ROOT, true);
	fprintf(file, "; the root of the test\n%s\n", ds);
	free(ds);
	return fclose(file);
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < ZONES; i++)
		ldns_key_deep_free(zone_keys[i]);
	return unlink(anchor_file);
}

/* ---- rows ---- */

enum want { NOTHING, EXISTS, NO_TYPE, NO_NAME, UNSIGNED };

static const struct row {
	const char *name;
	const char *asked;
	unsigned type;
	enum want want;
	struct line lines[LINES_MAX];
} rows[] = {
    {"signed by the zone", "mx.a.org", 1, EXISTS,
	{{.zone = A_ORG, .record = "mx.a.org. A 192.0.2.1"}}},
    {"signed by a parent of the zone, for a name it delegated", "mx.a.org", 1, EXISTS,
	{{.zone = ORG, .record = "mx.a.org. A 192.0.2.1"}}},
    {"signed by a stranger's key of the same zone", "mx.a.org", 1, NOTHING,
	{{.zone = STRANGER, .record = "mx.a.org. A 192.0.2.1"}}},
    {"not signed", "mx.a.org", 1, NOTHING,
	{{.zone = A_ORG, .record = "mx.a.org. A 192.0.2.1", .unsigned_too = true}}},
    {"expired", "mx.a.org", 1, NOTHING,
	{{.zone = A_ORG, .record = "mx.a.org. A 192.0.2.1", .from = -2 * DAY, .until = -1}}},
    {"not yet valid", "mx.a.org", 1, NOTHING,
	{{.zone = A_ORG, .record = "mx.a.org. A 192.0.2.1", .from = 10, .until = DAY}}},
    {"of a zone beside the signer's", "mx.b.org", 1, NOTHING,
	{{.zone = A_ORG, .record = "mx.b.org. A 192.0.2.1"}}},
    {"moved to another name", "mx2.a.org", 1, NOTHING,
	{{.zone = A_ORG, .record = "mx.a.org. A 192.0.2.1", .owner = "mx2.a.org"}}},
    {"a name in it is a pointer", "a.org", 15, NOTHING,
	{{.zone = A_ORG,
	    .record = "a.org. MX 10 mx.a.org.\na.org. MX 20 org.",
	    .compressed = true}}},

    {"alias followed", "mx.a.org", 1, EXISTS,
	{{.zone = A_ORG, .record = "mx.a.org. CNAME other.org."},
	    {.zone = ORG, .record = "other.org. A 192.0.2.1"}}},
    {"alias to itself", "mx.a.org", 1, NOTHING,
	{{.zone = A_ORG, .record = "mx.a.org. CNAME mx.a.org."}}},
    {"alias unsigned", "mx.a.org", 1, NOTHING,
	{{.zone = A_ORG, .record = "mx.a.org. CNAME other.org.", .unsigned_too = true},
	    {.zone = ORG, .record = "other.org. A 192.0.2.1"}}},
    {"alias made of a DNAME", "mx.old.a.org", 1, EXISTS,
	{{.zone = A_ORG, .record = "old.a.org. DNAME new.a.org."},
	    {.zone = A_ORG, .record = "mx.old.a.org. CNAME mx.new.a.org.", .unsigned_too = true},
	    {.zone = A_ORG, .record = "mx.new.a.org. A 192.0.2.1"}}},
    {"alias that its DNAME does not make", "mx.old.a.org", 1, NOTHING,
	{{.zone = A_ORG, .record = "old.a.org. DNAME new.a.org."},
	    {.zone = A_ORG, .record = "mx.old.a.org. CNAME evil.new.a.org.", .unsigned_too = true},
	    {.zone = A_ORG, .record = "evil.new.a.org. A 192.0.2.1"}}},

    {"NSEC at the name", "mx.a.org", 52, NO_TYPE,
	{{.zone = A_ORG, .record = "mx.a.org. NSEC z.a.org. A RRSIG NSEC"}}},
    {"NSEC at the name, with the type", "mx.a.org", 1, NOTHING,
	{{.zone = A_ORG, .record = "mx.a.org. NSEC z.a.org. A RRSIG NSEC"}}},
    {"NSEC at the name, with an alias", "mx.a.org", 52, NOTHING,
	{{.zone = A_ORG, .record = "mx.a.org. NSEC z.a.org. CNAME RRSIG NSEC"}}},
    {"NSEC over the name and its wildcard", "mx.a.org", 1, NO_NAME,
	{{.zone = A_ORG, .record = "a.org. NSEC z.a.org. NS SOA RRSIG NSEC DNSKEY"}}},
    {"NSEC over the name, the wildcard not denied", "mx.a.org", 1, NOTHING,
	{{.zone = A_ORG, .record = "b.a.org. NSEC z.a.org. A RRSIG NSEC"}}},
    {"NSEC over the name, the wildcard has other types", "mx.a.org", 1, NO_TYPE,
	{{.zone = A_ORG, .record = "b.a.org. NSEC z.a.org. A RRSIG NSEC"},
	    {.zone = A_ORG, .record = "*.a.org. NSEC b.a.org. TXT RRSIG NSEC"}}},
    {"NSEC over the name, the wildcard has the type", "mx.a.org", 1, NOTHING,
	{{.zone = A_ORG, .record = "b.a.org. NSEC z.a.org. A RRSIG NSEC"},
	    {.zone = A_ORG, .record = "*.a.org. NSEC b.a.org. A RRSIG NSEC"}}},
    {"NSEC over the name, the wildcard is an empty non-terminal", "mx.a.org", 1, NO_TYPE,
	{{.zone = A_ORG, .record = "b.a.org. NSEC z.a.org. A RRSIG NSEC"},
	    {.zone = A_ORG, .record = "a.org. NSEC x.*.a.org. NS SOA RRSIG NSEC DNSKEY"}}},
    {"NSEC, the last of its zone", "mx.a.org", 1, NO_NAME,
	{{.zone = A_ORG, .record = "b.a.org. NSEC a.org. A RRSIG NSEC"},
	    {.zone = A_ORG, .record = "a.org. NSEC b.a.org. NS SOA RRSIG NSEC DNSKEY"}}},
    {"NSEC shows an empty non-terminal", "_tcp.mx.a.org", 52, NO_TYPE,
	{{.zone = A_ORG, .record = "mx.a.org. NSEC _465._tcp.mx.a.org. A RRSIG NSEC"}}},
    {"NSEC of the parent's side denies nothing below", "mx.a.org", 1, NOTHING,
	{{.zone = ORG, .record = "a.org. NSEC b.org. NS RRSIG NSEC"},
	    {.zone = ORG, .record = "org. NSEC a.org. NS SOA RRSIG NSEC"}}},
    {"NSEC of the parent's side denies nothing at the cut", "a.org", 15, NOTHING,
	{{.zone = ORG, .record = "a.org. NSEC b.org. NS DS RRSIG NSEC"}}},
    {"NSEC of the child's side denies no DS", "c.org", 43, NOTHING,
	{{.zone = ORG, .record = "org. NSEC c.org. NS SOA RRSIG NSEC"}}},
    {"NSEC at a DNAME denies nothing below", "mx.old.a.org", 1, NOTHING,
	{{.zone = A_ORG, .record = "old.a.org. NSEC z.a.org. DNAME RRSIG NSEC"},
	    {.zone = A_ORG, .record = "a.org. NSEC old.a.org. NS SOA RRSIG NSEC"}}},
    {"NSEC expired", "mx.a.org", 52, NOTHING,
	{{.zone = A_ORG,
	    .record = "mx.a.org. NSEC z.a.org. A RRSIG NSEC",
	    .from = -2 * DAY,
	    .until = -1}}},

    {"wildcard, nothing closer", "mx.a.org", 1, EXISTS,
	{{.zone = A_ORG, .record = "*.a.org. A 192.0.2.1", .owner = "mx.a.org"},
	    {.zone = A_ORG, .record = "b.a.org. NSEC z.a.org. A RRSIG NSEC"}}},
    {"wildcard, that nothing is closer not proven", "mx.a.org", 1, NOTHING,
	{{.zone = A_ORG, .record = "*.a.org. A 192.0.2.1", .owner = "mx.a.org"}}},
    {"wildcard, another name covered", "mx.a.org", 1, NOTHING,
	{{.zone = A_ORG, .record = "*.a.org. A 192.0.2.1", .owner = "mx.a.org"},
	    {.zone = A_ORG, .record = "b.a.org. NSEC c.a.org. A RRSIG NSEC"}}},
    {"wildcard across a name that exists", "x.mx.a.org", 1, NO_NAME,
	{{.zone = A_ORG, .record = "*.a.org. A 192.0.2.1", .owner = "x.mx.a.org"},
	    {.zone = A_ORG, .record = "mx.a.org. NSEC z.a.org. A RRSIG NSEC"}}},
    {"wildcard's own NSEC shown at another name", "mx.a.org", 52, NOTHING,
	{{.zone = A_ORG, .record = "*.a.org. NSEC z.a.org. A RRSIG NSEC", .owner = "mx.a.org"},
	    {.zone = A_ORG, .record = "b.a.org. NSEC z.a.org. A RRSIG NSEC"}}},

    {"unsigned delegation", "mx.u.org", 15, UNSIGNED,
	{{.zone = ORG, .record = "u.org. NSEC z.org. NS RRSIG NSEC"}}},
    {"unsigned delegation said by the child", "mx.a.org", 15, NOTHING,
	{{.zone = A_ORG, .record = "a.org. NSEC mx.a.org. NS SOA RRSIG NSEC"},
	    {.zone = A_ORG, .record = "mx.a.org. NSEC z.a.org. MX RRSIG NSEC"}}},
    {"delegation with DS is not unsigned", "mx.u.org", 15, NOTHING,
	{{.zone = ORG, .record = "u.org. NSEC z.org. NS DS RRSIG NSEC"}}},
    {"no delegation is no unsigned one", "mx.u.org", 15, NO_NAME,
	{{.zone = ORG, .record = "u.org. NSEC z.org. TXT RRSIG NSEC"}}},
    {"DS of algorithms that nobody can check", "mx.u.org", 15, UNSIGNED,
	{{.zone = ORG,
	    .record = "u.org. DS 1 200 2 "
		      "0000000000000000000000000000000000000000000000000000000000000000"}}},
    {"DS of digests that nobody can check", "mx.u.org", 15, UNSIGNED,
	{{.zone = ORG, .record = "u.org. DS 1 13 200 0000"}}},
    {"one DS that can be checked", "mx.u.org", 15, NOTHING,
	{{.zone = ORG,
	    .record = "u.org. DS 1 200 2 "
		      "0000000000000000000000000000000000000000000000000000000000000000\n"
		      "u.org. DS 1 13 2 "
		      "0000000000000000000000000000000000000000000000000000000000000000"}}},
};

static enum want got(const struct dnssec_answer *answer)
{
	if (answer->proof == PROVEN_INSECURE)
		return UNSIGNED;
	if (answer->proof == UNPROVEN)
		return NOTHING;
	return answer->exists ? EXISTS : answer->no_such_name ? NO_NAME : NO_TYPE;
}

static void row_proves_what_it_must(void **state)
{
	const struct row *row = *state;
	struct dnssec *dnssec = tree();
	for (size_t i = 0; i < LINES_MAX && row->lines[i].record != NULL; i++)
		add(dnssec, &row->lines[i]);
	struct dnssec_answer answer = dnssec_lookup(dnssec, row->asked, row->type);
	assert_int_equal(got(&answer), row->want);
	dnssec_free(dnssec);
}

/* ---- NSEC3 ---- */

struct span {
	const char *from, *to; /* names whose hashes these are; "-": one before, "+": one after */
	const char *types;
	unsigned flags, iterations;
	const char *wildcard; /* besides: a record of a wildcard, at the name asked */
};

static void hash_text(const char *name, unsigned iterations, int shift, char text[64])
{
	ldns_rdf *plain = ldns_dname_new_frm_str(name);
	ldns_rdf *hash = ldns_nsec3_hash_name(plain, 1, (uint16_t)iterations, 0, NULL);
	char *printed = ldns_rdf2str(hash);
	size_t length = strcspn(printed, ".");
	assert_true(length < 63);
	memcpy(text, printed, length);
	text[length] = '\0';
	/* one step of the last digit keeps the order: it is base32hex, '0' to 'v' */
	for (size_t i = length; shift != 0 && i-- > 0;) {
		static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
		long at = strchr(digits, text[i]) - digits + shift;
		text[i] = digits[(at + 32) % 32];
		if (at >= 0 && at < 32)
			break;
	}
	free(printed);
	ldns_rdf_deep_free(plain);
	ldns_rdf_deep_free(hash);
}

static int shift_of(const char *name)
{
	return name[0] == '-' ? -1 : name[0] == '+' ? 1 : 0;
}

static void add_span(struct dnssec *dnssec, enum zone zone, const struct span *span)
{
	char from[64], to[64], record[512];
	int down = shift_of(span->from), up = shift_of(span->to);
	hash_text(span->from + (down != 0), span->iterations, down, from);
	hash_text(span->to + (up != 0), span->iterations, up, to);
	snprintf(record, sizeof record, "%s.%s. NSEC3 1 %u %u - %s %s", from, zone_names[zone],
	    span->flags, span->iterations, to, span->types);
	add(dnssec, &(struct line){.zone = zone, .record = record});
}

static const struct nsec3_row {
	const char *name, *asked;
	unsigned type;
	enum want want;
	enum zone zone;
	struct span spans[4];
} nsec3_rows[] = {
    {"at the name", "mx.a.org", 52, NO_TYPE, A_ORG,
	{{.from = "mx.a.org", .to = "+mx.a.org", .types = "A RRSIG"}}},
    {"at the name, with the type", "mx.a.org", 1, NOTHING, A_ORG,
	{{.from = "mx.a.org", .to = "+mx.a.org", .types = "A RRSIG"}}},
    {"closest encloser, next closer, wildcard", "mx.a.org", 1, NO_NAME, A_ORG,
	{{.from = "a.org", .to = "+a.org", .types = "NS SOA RRSIG"},
	    {.from = "-mx.a.org", .to = "+mx.a.org", .types = "A"},
	    {.from = "-*.a.org", .to = "+*.a.org", .types = "A"}}},
    {"no closest encloser", "mx.a.org", 1, NOTHING, A_ORG,
	{{.from = "-mx.a.org", .to = "+mx.a.org", .types = "A"},
	    {.from = "-*.a.org", .to = "+*.a.org", .types = "A"}}},
    {"no next closer", "mx.a.org", 1, NOTHING, A_ORG,
	{{.from = "a.org", .to = "+a.org", .types = "NS SOA RRSIG"},
	    {.from = "-*.a.org", .to = "+*.a.org", .types = "A"}}},
    {"no wildcard", "mx.a.org", 1, NOTHING, A_ORG,
	{{.from = "a.org", .to = "+a.org", .types = "NS SOA RRSIG"},
	    {.from = "-mx.a.org", .to = "+mx.a.org", .types = "A"}}},
    {"wildcard has other types", "mx.a.org", 1, NO_TYPE, A_ORG,
	{{.from = "a.org", .to = "+a.org", .types = "NS SOA RRSIG"},
	    {.from = "-mx.a.org", .to = "+mx.a.org", .types = "A"},
	    {.from = "*.a.org", .to = "+*.a.org", .types = "TXT RRSIG"}}},
    {"opt-out", "mx.a.org", 52, UNSIGNED, A_ORG,
	{{.from = "a.org", .to = "+a.org", .types = "NS SOA RRSIG"},
	    {.from = "-mx.a.org", .to = "+mx.a.org", .types = "A", .flags = 1},
	    {.from = "-*.a.org", .to = "+*.a.org", .types = "A"}}},
    {"wildcard, nothing closer", "mx.a.org", 1, EXISTS, A_ORG,
	{{.from = "-mx.a.org",
	    .to = "+mx.a.org",
	    .types = "A",
	    .wildcard = "*.a.org. A 192.0.2.1"}}},
    {"wildcard, an unsigned delegation may be closer", "mx.a.org", 1, UNSIGNED, A_ORG,
	{{.from = "-mx.a.org",
	    .to = "+mx.a.org",
	    .types = "A",
	    .flags = 1,
	    .wildcard = "*.a.org. A 192.0.2.1"}}},
    {"wildcard with an alias, an unsigned delegation may be closer", "mx.a.org", 1, UNSIGNED, A_ORG,
	{{.from = "-mx.a.org",
	    .to = "+mx.a.org",
	    .types = "A",
	    .flags = 1,
	    .wildcard = "*.a.org. CNAME a.org."}}},
    {"the closest encloser is a delegation", "mx.b.a.org", 1, NOTHING, A_ORG,
	{{.from = "b.a.org", .to = "+b.a.org", .types = "NS DS RRSIG"},
	    {.from = "-mx.b.a.org", .to = "+mx.b.a.org", .types = "DS"},
	    {.from = "-*.b.a.org", .to = "+*.b.a.org", .types = "A"}}},
    {"an unsigned delegation", "mx.u.org", 1, UNSIGNED, ORG,
	{{.from = "u.org", .to = "+u.org", .types = "NS"}}},
    {"an unsigned delegation in an opt-out span", "mx.u.org", 1, UNSIGNED, ORG,
	{{.from = "org", .to = "+org", .types = "NS SOA RRSIG"},
	    {.from = "-u.org", .to = "+u.org", .types = "A", .flags = 1}}},
    {"too many iterations", "mx.a.org", 52, NOTHING, A_ORG,
	{{.from = "mx.a.org", .to = "+mx.a.org", .types = "A RRSIG", .iterations = 151}}},
    {"flags unknown", "mx.a.org", 52, NOTHING, A_ORG,
	{{.from = "mx.a.org", .to = "+mx.a.org", .types = "A RRSIG", .flags = 2}}},
    {"of two ways to hash", "mx.a.org", 1, NOTHING, A_ORG,
	{{.from = "a.org", .to = "+a.org", .types = "NS SOA RRSIG"},
	    {.from = "-mx.a.org", .to = "+mx.a.org", .types = "A", .iterations = 1},
	    {.from = "-*.a.org", .to = "+*.a.org", .types = "A"}}},
    {"of the zone above", "mx.a.org", 52, NOTHING, ORG,
	{{.from = "mx.a.org", .to = "+mx.a.org", .types = "NS RRSIG"}}},
};

static void nsec3_row_proves_what_it_must(void **state)
{
	const struct nsec3_row *row = *state;
	struct dnssec *dnssec = tree();
	for (size_t i = 0; i < COUNT(row->spans) && row->spans[i].from != NULL; i++)
		add_span(dnssec, row->zone, &row->spans[i]);
	if (row->spans[0].wildcard != NULL)
		add(dnssec,
		    &(struct line){
			.zone = row->zone, .record = row->spans[0].wildcard, .owner = row->asked});
	struct dnssec_answer answer = dnssec_lookup(dnssec, row->asked, row->type);
	assert_int_equal(got(&answer), row->want);
	dnssec_free(dnssec);
}

/* ---- keys ---- */

/* A_ORG's keys as given, signed by signer, and the DS records that ORG has for them, if any. */
static enum want lookup_with_keys(const char *record, enum zone signer, const char *ds)
{
	char detail[DNSSEC_DETAIL_MAX];
	struct dnssec *dnssec = dnssec_new(NOW);
	assert_true(dnssec_load_anchors(dnssec, anchor_file, detail));
	add_zone(dnssec, ROOT);
	add_zone(dnssec, ORG);
	if (ds != NULL)
		add(dnssec, &(struct line){.zone = ORG, .record = ds});
	add(dnssec, &(struct line){.zone = signer, .record = record});
	add(dnssec, &(struct line){.zone = A_ORG, .record = "mx.a.org. A 192.0.2.1"});
	struct dnssec_answer answer = dnssec_lookup(dnssec, "mx.a.org", 1);
	enum want what = got(&answer);
	dnssec_free(dnssec);
	return what;
}

static void a_key_needs_a_ds_and_its_own_signature(void **state)
{
	(void)state;
	char *key = key_text(A_ORG, false), *ds = key_text(A_ORG, true);
	assert_int_equal(lookup_with_keys(key, A_ORG, ds), EXISTS);
	assert_int_equal(lookup_with_keys(key, A_ORG, NULL), NOTHING);
	assert_int_equal(lookup_with_keys(key, STRANGER, ds), NOTHING);
	assert_int_equal(lookup_with_keys(key, ORG, ds), NOTHING);
	free(key);
	free(ds);
}

/* RFC 4509 section 3. */
static void a_sha1_ds_counts_only_where_none_is_better(void **state)
{
	(void)state;
	static const char nothing[] = "00000000000000000000000000000000"
				      "00000000000000000000000000000000";
	char *key = key_text(A_ORG, false), *sha1 = ds_text(A_ORG, LDNS_SHA1), both[512];
	unsigned tag = ldns_key_keytag(zone_keys[A_ORG]);
	assert_int_equal(lookup_with_keys(key, A_ORG, sha1), EXISTS);
	snprintf(both, sizeof both, "%s\na.org. DS %u 13 2 %s", sha1, tag, nothing);
	assert_int_equal(lookup_with_keys(key, A_ORG, both), NOTHING);
	snprintf(both, sizeof both, "%s\na.org. DS %u 200 2 %s", sha1, tag, nothing);
	assert_int_equal(lookup_with_keys(key, A_ORG, both), EXISTS);
	free(key);
	free(sha1);
}

static void a_key_that_is_no_zone_key_signs_nothing(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags < 2; flags++) {
		ldns_key_set_flags(
		    zone_keys[A_ORG], flags == 0 ? 0 : LDNS_KEY_ZONE_KEY | LDNS_KEY_REVOKE_KEY);
		ldns_rr *rr = ldns_key2rr(zone_keys[A_ORG]);
		ldns_key_set_keytag(zone_keys[A_ORG], ldns_calc_keytag(rr));
		ldns_rr_free(rr);
		char *key = key_text(A_ORG, false), *ds = key_text(A_ORG, true);
		assert_int_equal(lookup_with_keys(key, A_ORG, ds), NOTHING);
		free(key);
		free(ds);
	}
	ldns_key_set_flags(zone_keys[A_ORG], LDNS_KEY_ZONE_KEY);
	ldns_rr *rr = ldns_key2rr(zone_keys[A_ORG]);
	ldns_key_set_keytag(zone_keys[A_ORG], ldns_calc_keytag(rr));
	ldns_rr_free(rr);
}

/* The public exponent in hex. */
static ldns_key *rsa_key_new(const char *owner, const char *exponent)
{
	ldns_key *key = ldns_key_new();
	BIGNUM *e = NULL;
	EVP_PKEY *pair = NULL;
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);
	assert_true(BN_hex2bn(&e, exponent) > 0 && EVP_PKEY_keygen_init(context) == 1 &&
		    EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048) == 1 &&
		    EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, e) == 1 &&
		    EVP_PKEY_keygen(context, &pair) == 1);
	ldns_key_set_algorithm(key, LDNS_SIGN_RSASHA256);
	ldns_key_set_evp_key(key, pair);
	ldns_key_set_pubkey_owner(key, ldns_dname_new_frm_str(owner));
	ldns_key_set_flags(key, LDNS_KEY_ZONE_KEY);
	ldns_rr *rr = ldns_key2rr(key);
	ldns_key_set_keytag(key, ldns_calc_keytag(rr));
	ldns_rr_free(rr);
	BN_free(e);
	EVP_PKEY_CTX_free(context);
	return key;
}

static void an_rsa_key_is_used_unless_its_exponent_takes_long(void **state)
{
	(void)state;
	static const struct {
		const char *exponent;
		enum want want;
	} exponents[] = {{"10001", EXISTS}, {"100000001", EXISTS}, {"1000000000000000D", NOTHING}};
	ldns_key *kept = zone_keys[A_ORG];
	for (size_t i = 0; i < COUNT(exponents); i++) {
		zone_keys[A_ORG] = rsa_key_new("a.org", exponents[i].exponent);
		char *key = key_text(A_ORG, false), *ds = key_text(A_ORG, true);
		assert_int_equal(lookup_with_keys(key, A_ORG, ds), exponents[i].want);
		free(key);
		free(ds);
		ldns_key_deep_free(zone_keys[A_ORG]);
	}
	zone_keys[A_ORG] = kept;
}

/* ---- bounds ---- */

#define SALTS 1000u

/* A thousand ways to hash, each to be tried for each of the name's hundred labels. */
static void nobody_can_keep_the_checks_busy(void **state)
{
	(void)state;
	struct dnssec *dnssec = tree();
	char record[256], deep[256] = "";
	for (unsigned i = 0; i < SALTS; i++) {
		snprintf(record, sizeof record,
		    "%032u.a.org. NSEC3 1 0 150 %08x 10000000000000000000000000000000 A", i, i);
		add(dnssec, &(struct line){.zone = A_ORG, .record = record});
	}
	for (unsigned i = 0; i < 100; i++)
		strcat(deep, "a.");
	strcat(deep, "a.org");
	clock_t begun = clock();
	for (unsigned i = 0; i < 64; i++) {
		struct dnssec_answer answer = dnssec_lookup(dnssec, deep, 52);
		assert_int_equal(got(&answer), NOTHING);
	}
	assert_true(clock() - begun < 30 * CLOCKS_PER_SEC);
	dnssec_free(dnssec);
}

enum { KEY_TESTS = 5 };

int main(void)
{
	static struct CMUnitTest tests[KEY_TESTS + COUNT(rows) + COUNT(nsec3_rows)] = {
	    cmocka_unit_test(a_key_needs_a_ds_and_its_own_signature),
	    cmocka_unit_test(a_sha1_ds_counts_only_where_none_is_better),
	    cmocka_unit_test(an_rsa_key_is_used_unless_its_exponent_takes_long),
	    cmocka_unit_test(nobody_can_keep_the_checks_busy),
	    cmocka_unit_test(a_key_that_is_no_zone_key_signs_nothing),
	};
	for (size_t i = 0; i < COUNT(rows); i++)
		tests[KEY_TESTS + i] = (struct CMUnitTest){.name = rows[i].name,
		    .test_func = row_proves_what_it_must,
		    .initial_state = (void *)(uintptr_t)&rows[i]};
	for (size_t i = 0; i < COUNT(nsec3_rows); i++)
		tests[KEY_TESTS + COUNT(rows) + i] = (struct CMUnitTest){.name = nsec3_rows[i].name,
		    .test_func = nsec3_row_proves_what_it_must,
		    .initial_state = (void *)(uintptr_t)&nsec3_rows[i]};
	return cmocka_run_group_tests_name("dnssec", tests, setup, teardown);
}
