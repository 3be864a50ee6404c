/* SPDX-License-Identifier: BSD-3-Clause */
/* resolverctl lookup. */
#include <stdio.h>
#include <stdlib.h>

#include "client/ctl/ctl.h"
#include "proto/rrtype.h"

json_t *lookup_rrsets_json(const struct resolverd_rrset *rrsets, size_t count)
{
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++) {
		const struct resolverd_rrset *rrset = &rrsets[i];
		json_t *data = json_array();
		for (size_t j = 0; j < rrset->rdata_count; j++) {
			char *text =
			    rdata_text(rrset->type, rrset->rdata[j].bytes, rrset->rdata[j].count);
			json_array_append_new(data, json_string(text));
			free(text);
		}
		char type[16];
		rrtype_text(rrset->type, type);
		json_array_append_new(
		    array, json_pack("{s:s, s:s, s:I, s:o}", "owner", rrset->owner, "type", type,
			       "ttl", (json_int_t)rrset->ttl_s, "data", data));
	}
	return array;
}

json_t *lookup_json(const struct resolverd_records *records)
{
	char type[16];
	rrtype_text(records->type, type);
	return json_pack("{s:s, s:s, s:s, s:i, s:o, s:o, s:s, s:I, s:I, s:o, s:o, s:s?}", "name",
	    records->name, "type", type, "status", resolverd_status_text(records->status), "rcode",
	    (int)records->rcode, "chain", lookup_rrsets_json(records->chain, records->chain_count),
	    "answer", lookup_rrsets_json(records->answer, records->answer_count), "reason",
	    records->reason, "validated_at", (json_int_t)records->validated_at_ms, "expires_in",
	    (json_int_t)records->expires_in_s, "signatures",
	    output_signatures(&records->key_id, 1, records->attested), "insecure_zones",
	    output_zones(records->insecure_zones, records->insecure_zone_count), "origin",
	    records->origin);
}

static void print_json(const struct resolverd_records *records)
{
	output_json(lookup_json(records));
}

void lookup_print_rrsets(const struct resolverd_rrset *rrsets, size_t count, const char *indent)
{
	for (size_t i = 0; i < count; i++) {
		char type[16];
		rrtype_text(rrsets[i].type, type);
		for (size_t j = 0; j < rrsets[i].rdata_count; j++) {
			char *text = rdata_text(
			    rrsets[i].type, rrsets[i].rdata[j].bytes, rrsets[i].rdata[j].count);
			printf("%s%-32s %6u %-6s %s\n", indent, rrsets[i].owner, rrsets[i].ttl_s,
			    type, text != NULL ? text : "?");
			free(text);
		}
	}
}

const char *lookup_rcode_text(unsigned rcode)
{
	static const char *const words[] = {
	    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
	return rcode < sizeof words / sizeof *words ? words[rcode] : "another rcode";
}

static void print_text(const struct ctl *ctl, const struct resolverd_records *records)
{
	char type[16];
	rrtype_text(records->type, type);
	printf("%s%s %s%s: %s%s%s, %s%s, valid for %llu s\n", colour_on(ctl, PLAIN), records->name,
	    type, colour_off(ctl), colour_on(ctl, colour_of_status(records->status)),
	    resolverd_status_text(records->status), colour_off(ctl),
	    lookup_rcode_text(records->rcode), records->answer_count == 0 ? ", no such data" : "",
	    (unsigned long long)records->expires_in_s);
	if (records->reason[0] != '\0')
		printf("  %s\n", records->reason);
	output_zones_text(ctl, records->insecure_zones, records->insecure_zone_count);
	lookup_print_rrsets(records->chain, records->chain_count, "");
	lookup_print_rrsets(records->answer, records->answer_count, "");
}

int lookup_command(struct ctl *ctl, int argc, char **argv)
{
	if (argc != 3 || argv[1][0] == '-')
		return ctl_usage(ctl, "%s wants a name and a type", argv[0]);
	unsigned type = rrtype_number(argv[2]);
	if (type == 0)
		return ctl_usage(
		    ctl, "\"%s\" is not a record type; any can be given as TYPE123", argv[2]);
	int r = ctl_open(ctl);
	if (r != 0)
		return r;
	struct resolverd_records *records;
	r = resolverd_records(ctl->client, argv[1], type, ctl->timeout_ms, &records);
	if (r != 0)
		return ctl_fail(ctl, r);
	if (ctl->json)
		print_json(records);
	else
		print_text(ctl, records);
	bool good = records->status == RESOLVERD_SECURE || records->status == RESOLVERD_INSECURE;
	resolverd_records_free(records);
	return good ? 0 : EXIT_NOT_NOW;
}
