/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names, next hops and mail addresses as people write them, names as the wire has them, record
 * types. What is taken is canonical: taken again it is the same, also by way of the wire. An input
 * is the text, or in wire form.
 */
#include "client/danesend/address.h"
#include "client/lib/idn.h"
#include "proto/rrtype.h"
#include "tests/fuzz/fuzz.h"

static void check_printable(const char *text)
{
	for (; *text != '\0'; text++)
		must(*text > ' ' && *text <= '~');
}

static void check_canonical(const char *name)
{
	char again[NAME_TEXT_MAX];
	uint8_t wire[NAME_WIRE_MAX];
	size_t wire_bytes;
	check_printable(name);
	must(strlen(name) < NAME_TEXT_MAX);
	must(name_canonical(name, again) == NAME_OK && strcmp(name, again) == 0);
	must(name_to_wire(name, wire, &wire_bytes) == NAME_OK && wire_bytes <= NAME_WIRE_MAX);
	must(name_from_wire(wire, wire_bytes, again) == NAME_OK && strcmp(name, again) == 0);
	unsigned labels = name_labels(name);
	must(labels <= 127 && strcmp(name_last_labels(name, labels), name) == 0);
	must(strcmp(name_last_labels(name, 0), ".") == 0 && name_is_within(name, "."));
	must(name_last_labels(name, labels + 1) == NULL);
	if (name_tlsa_owner(65535, name, again) == NAME_OK)
		must(name_labels(again) == labels + 2 && name_is_within(again, name));
}

static void check_next_hop(const struct next_hop *hop)
{
	struct next_hop again;
	must(next_hop_parse(hop->text, &again) == NAME_OK);
	must(again.kind == hop->kind && strcmp(again.text, hop->text) == 0 &&
	     strcmp(again.name, hop->name) == 0);
	must(again.ip_bytes == hop->ip_bytes && memcmp(again.ip, hop->ip, hop->ip_bytes) == 0);
	must((hop->ip_bytes != 0) == (hop->kind == NEXT_HOP_ADDRESS));
	if (hop->kind == NEXT_HOP_ADDRESS)
		check_printable(hop->text);
	else
		check_canonical(hop->name);
}

static void check_address(const char *text)
{
	struct mail_address address, again;
	struct next_hop hop;
	char detail[ADDRESS_DETAIL_MAX];
	if (address_parse(text, true, &address, detail) != 0 || address.text[0] == '\0')
		return;
	/* Nothing in it may end a command or begin another. */
	must(strpbrk(address.text, "\r\n") == NULL);
	must(strlen(address.text) < sizeof address.text - 1);
	must(address_parse(address.text, false, &again, detail) == 0);
	must(strcmp(again.text, address.text) == 0 && again.utf8 == address.utf8 &&
	     strcmp(again.next_hop, address.next_hop) == 0);
	must(next_hop_parse(address.next_hop, &hop) == NAME_OK &&
	     strcmp(hop.text, address.next_hop) == 0);
}

static void check_type(const char *text)
{
	char mnemonic[RRTYPE_TEXT_MAX];
	unsigned type = rrtype_number(text);
	if (type == 0)
		return;
	rrtype_text(type, mnemonic);
	must(type <= UINT16_MAX && rrtype_number(mnemonic) == type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct input input = {data, data + bytes};
	struct next_hop hop;
	char name[NAME_TEXT_MAX], detail[DETAIL_MAX];
	if (name_from_wire(data, bytes, name) == NAME_OK)
		check_canonical(name);
	char *text = take_text(&input);
	if (name_canonical(text, name) == NAME_OK)
		check_canonical(name);
	if (next_hop_parse(text, &hop) == NAME_OK)
		check_next_hop(&hop);
	if (idn_name(text, name, detail) == 0)
		check_canonical(name);
	if (idn_next_hop(text, &hop, detail) == 0)
		check_next_hop(&hop);
	check_address(text);
	check_type(text);
	free(text);
	return 0;
}
