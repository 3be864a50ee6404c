/* SPDX-License-Identifier: BSD-3-Clause */
/* The RRsets of a file and the root's keys of another, as ldns has them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/evidence/dnssec_internal.h"

#define ENTRIES_MAX 1024u
#define RRS_MAX 256u
#define ANCHORS_MAX 16u
#define CLASS_IN 1

unsigned name_signed_labels(const char *name)
{
	return name_labels(name) - (name[0] == '*' && (name[1] == '.' || name[1] == '\0'));
}

ldns_rdf *name_rdf(const char *name)
{
	uint8_t wire[NAME_WIRE_MAX];
	size_t bytes;
	if (name_to_wire(name, wire, &bytes) != NAME_OK)
		return NULL;
	return ldns_dname_new_frm_data((uint16_t)bytes, wire);
}

/* ---- store ---- */

struct dnssec *dnssec_new(time_t at)
{
	struct dnssec *dnssec = calloc(1, sizeof *dnssec);
	if (dnssec == NULL)
		return NULL;
	dnssec->at = at;
	dnssec->anchors = ldns_rr_list_new();
	if (dnssec->anchors == NULL) {
		free(dnssec);
		return NULL;
	}
	return dnssec;
}

static void entry_free(struct entry *entry)
{
	if (entry == NULL)
		return;
	for (size_t i = 0; entry->rdata != NULL && i < ldns_rr_list_rr_count(entry->rrs); i++)
		free((void *)(uintptr_t)entry->rdata[i].bytes);
	ldns_rr_list_deep_free(entry->rrs);
	ldns_rr_list_deep_free(entry->signatures);
	free(entry->rdata);
	free(entry->owner);
	free(entry->signer);
	free(entry);
}

void dnssec_free(struct dnssec *dnssec)
{
	if (dnssec == NULL)
		return;
	for (struct entry *entry = dnssec->entries, *next; entry != NULL; entry = next) {
		next = entry->next;
		entry_free(entry);
	}
	ldns_rr_list_deep_free(dnssec->anchors);
	free(dnssec);
}

/* Nothing but what was given: ldns follows compression pointers, and what is left over is lost. */
static bool is_verbatim(const ldns_rr *rr, const ProtobufCBinaryData *rdata)
{
	size_t at = 0;
	for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
		const ldns_rdf *field = ldns_rr_rdf(rr, i);
		size_t bytes = ldns_rdf_size(field);
		if (bytes > rdata->len - at ||
		    memcmp(rdata->data + at, ldns_rdf_data(field), bytes) != 0)
			return false;
		at += bytes;
	}
	return at == rdata->len;
}

/* As on the wire, for ldns to read: it takes any type apart the one right way. */
static ldns_rr *rr_make(const char *owner, unsigned type, const ProtobufCBinaryData *rdata)
{
	uint8_t wire[NAME_WIRE_MAX + 10 + UINT16_MAX];
	size_t at, position = 0;
	ldns_rr *rr = NULL;
	if (rdata->len > UINT16_MAX || name_to_wire(owner, wire, &at) != NAME_OK)
		return NULL;
	const uint8_t fixed[10] = {(uint8_t)(type >> 8), (uint8_t)type, 0, CLASS_IN, 0, 0, 0, 0,
	    (uint8_t)(rdata->len >> 8), (uint8_t)rdata->len};
	memcpy(wire + at, fixed, sizeof fixed);
	at += sizeof fixed;
	if (rdata->len > 0)
		memcpy(wire + at, rdata->data, rdata->len);
	at += rdata->len;
	if (ldns_wire2rr(&rr, wire, at, &position, LDNS_SECTION_ANSWER) != LDNS_STATUS_OK)
		return NULL;
	if (position == at && is_verbatim(rr, rdata))
		return rr;
	ldns_rr_free(rr);
	return NULL;
}

static bool add_rr(
    ldns_rr_list *list, const char *owner, unsigned type, const ProtobufCBinaryData *rdata)
{
	ldns_rr *rr = rr_make(owner, type, rdata);
	if (rr == NULL)
		return false;
	if (ldns_rr_list_push_rr(list, rr))
		return true;
	ldns_rr_free(rr);
	return false;
}

static bool add_rdata(struct entry *entry, const ProtobufCBinaryData *rdata, size_t i)
{
	uint8_t *copy = malloc(rdata->len > 0 ? rdata->len : 1);
	if (copy == NULL)
		return false;
	if (rdata->len > 0)
		memcpy(copy, rdata->data, rdata->len);
	if (!add_rr(entry->rrs, entry->owner, entry->type, rdata)) {
		free(copy);
		return false;
	}
	entry->rdata[i] = (struct dnssec_rdata){copy, rdata->len};
	return true;
}

static bool is_usable(const Resolverd__V1__Rrset *rrset)
{
	char canonical[NAME_TEXT_MAX];
	return rrset->type > 0 && rrset->type <= UINT16_MAX && rrset->n_rdata > 0 &&
	       rrset->n_rdata <= RRS_MAX && rrset->n_rrsig <= RRS_MAX &&
	       name_canonical(rrset->owner, canonical) == NAME_OK &&
	       strcmp(canonical, rrset->owner) == 0;
}

static bool is_same(const struct entry *entry, const Resolverd__V1__Rrset *rrset)
{
	if (entry->type != rrset->type || strcmp(entry->owner, rrset->owner) != 0 ||
	    ldns_rr_list_rr_count(entry->rrs) != rrset->n_rdata ||
	    ldns_rr_list_rr_count(entry->signatures) != rrset->n_rrsig)
		return false;
	for (size_t i = 0; i < rrset->n_rdata; i++)
		if (entry->rdata[i].count != rrset->rdata[i].len ||
		    memcmp(entry->rdata[i].bytes, rrset->rdata[i].data, rrset->rdata[i].len) != 0)
			return false;
	return true;
}

void dnssec_add(struct dnssec *dnssec, const Resolverd__V1__Rrset *rrset)
{
	if (!is_usable(rrset) || dnssec->entry_count >= ENTRIES_MAX ||
	    !dnssec_may_go_on(dnssec, dnssec->entry_count))
		return;
	for (const struct entry *entry = dnssec->entries; entry != NULL; entry = entry->next)
		if (is_same(entry, rrset))
			return;
	struct entry *entry = calloc(1, sizeof *entry);
	if (entry == NULL)
		return;
	entry->type = rrset->type;
	entry->owner = strdup(rrset->owner);
	entry->rrs = ldns_rr_list_new();
	entry->signatures = ldns_rr_list_new();
	entry->rdata = calloc(rrset->n_rdata, sizeof *entry->rdata);
	bool good = entry->owner != NULL && entry->rrs != NULL && entry->signatures != NULL &&
		    entry->rdata != NULL;
	for (size_t i = 0; good && i < rrset->n_rdata; i++)
		good = add_rdata(entry, &rrset->rdata[i], i);
	for (size_t i = 0; good && i < rrset->n_rrsig; i++)
		good =
		    add_rr(entry->signatures, entry->owner, LDNS_RR_TYPE_RRSIG, &rrset->rrsig[i]);
	if (!good) {
		entry_free(entry);
		return;
	}
	entry->next = dnssec->entries;
	dnssec->entries = entry;
	dnssec->entry_count++;
}

/* ---- trust anchors ---- */

/* False: the line is no record of this kind. */
static bool add_anchor(struct dnssec *dnssec, const char *line)
{
	ldns_rr *rr = NULL;
	if (ldns_rr_list_rr_count(dnssec->anchors) >= ANCHORS_MAX ||
	    ldns_rr_new_frm_str(&rr, line, 3600, NULL, NULL) != LDNS_STATUS_OK)
		return false;
	ldns_rr_type type = ldns_rr_get_type(rr);
	bool good = (type == LDNS_RR_TYPE_DS || type == LDNS_RR_TYPE_DNSKEY) &&
		    ldns_dname_label_count(ldns_rr_owner(rr)) == 0 &&
		    ldns_rr_list_push_rr(dnssec->anchors, rr);
	if (!good)
		ldns_rr_free(rr);
	return good;
}

bool dnssec_load_anchors(struct dnssec *dnssec, const char *path, char detail[DNSSEC_DETAIL_MAX])
{
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		snprintf(detail, DNSSEC_DETAIL_MAX, "cannot read the trust anchor file %s: %s",
		    path, strerror(errno));
		return false;
	}
	char line[8192];
	unsigned number = 0;
	bool good = true;
	while (good && fgets(line, sizeof line, file) != NULL) {
		number++;
		line[strcspn(line, ";\r\n")] = '\0';
		if (line[strspn(line, " \t")] != '\0')
			good = add_anchor(dnssec, line);
	}
	fclose(file);
	if (!good)
		snprintf(detail, DNSSEC_DETAIL_MAX,
		    "%s:%u: not a DS or DNSKEY record of the root in one line", path, number);
	else if (ldns_rr_list_rr_count(dnssec->anchors) == 0)
		snprintf(detail, DNSSEC_DETAIL_MAX, "%s: the file holds no key", path);
	return good && ldns_rr_list_rr_count(dnssec->anchors) > 0;
}
