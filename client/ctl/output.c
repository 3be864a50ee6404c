/* SPDX-License-Identifier: BSD-3-Clause */
/* What the commands print alike: JSON parts, colours, hosts, times. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/ctl/ctl.h"

void output_json(json_t *object)
{
	char *text = object != NULL ? json_dumps(object, JSON_PRESERVE_ORDER | JSON_COMPACT) : NULL;
	puts(text != NULL ? text : "{\"error\":\"out of memory\",\"exit\":75}");
	free(text);
	json_decref(object);
}

json_t *output_hex(const uint8_t *bytes, size_t count)
{
	static const char digits[] = "0123456789abcdef";
	char *text = malloc(2 * count + 1);
	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	json_t *hex = json_stringn(text, 2 * count);
	free(text);
	return hex;
}

json_t *output_strings(const char *const *texts, size_t count)
{
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_string(texts[i]));
	return array;
}

json_t *output_signatures(const char *const *key_ids, size_t count, bool attested)
{
	return json_pack("{s:b, s:o, s:b}", "verified", 1, "key_ids",
	    output_strings(key_ids, count), "attested", attested);
}

json_t *output_ms(uint64_t ms)
{
	return ms != 0 ? json_integer((json_int_t)ms) : json_null();
}

json_t *output_zones(const struct resolverd_insecure_zone *zones, size_t count)
{
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_pack("{s:s, s:o}", "zone", zones[i].zone, "until",
						 output_ms(zones[i].until_ms)));
	return array;
}

static json_t *addresses_of(const struct resolverd_host *host)
{
	json_t *array = json_array();
	for (size_t i = 0; i < host->address_count; i++)
		json_array_append_new(
		    array, json_pack("{s:s, s:s}", "ip", host->addresses[i].text, "status",
			       resolverd_status_text(host->addresses[i].status)));
	return array;
}

json_t *output_tlsa(const struct resolverd_tlsa *tlsa)
{
	return json_pack("{s:i, s:i, s:i, s:o}", "usage", tlsa->usage, "selector", tlsa->selector,
	    "matching_type", tlsa->matching_type, "data", output_hex(tlsa->data, tlsa->data_bytes));
}

static json_t *tlsa_of(const struct resolverd_host *host)
{
	json_t *array = json_array();
	for (size_t i = 0; i < host->tlsa_count; i++)
		json_array_append_new(array, output_tlsa(&host->tlsa[i]));
	return array;
}

json_t *output_host(const struct resolverd_host *host)
{
	return json_pack(
	    "{s:s, s:i, s:s, s:s, s:s, s:o, s:s, s:s?, s:s?, s:o, s:s?, s:o, s:o, s:s?}", "name",
	    host->name, "preference", (int)host->preference, "policy",
	    resolverd_policy_text(host->policy), "reason", host->reason, "address_status",
	    resolverd_status_text(host->address_status), "addresses", addresses_of(host),
	    "tlsa_status", resolverd_tlsa_status_text(host->tlsa_status), "tlsa_base",
	    host->tlsa_base, "tlsa_owner", host->tlsa_owner, "tlsa", tlsa_of(host), "sni",
	    host->sni, "reference_names",
	    output_strings(host->reference_names, host->reference_name_count), "expires_in",
	    host->key_id != NULL ? json_integer((json_int_t)host->expires_in_s) : json_null(),
	    "origin", host->origin);
}

const char *colour_on(const struct ctl *ctl, enum colour colour)
{
	static const char *const codes[] = {[PLAIN] = "\033[1m",
	    [GOOD] = "\033[32m",
	    [WARN] = "\033[33m",
	    [BAD] = "\033[31m",
	    [DIM] = "\033[2m"};
	return ctl->colour ? codes[colour] : "";
}

const char *colour_off(const struct ctl *ctl)
{
	return ctl->colour ? "\033[0m" : "";
}

enum colour colour_of_policy(enum resolverd_policy policy)
{
	return policy == RESOLVERD_DANE ? GOOD : policy == RESOLVERD_UNREACHABLE ? BAD : WARN;
}

enum colour colour_of_status(enum resolverd_status status)
{
	return status == RESOLVERD_SECURE ? GOOD : status == RESOLVERD_INSECURE ? WARN : BAD;
}

static void print_tlsa(const struct ctl *ctl, const struct resolverd_host *host)
{
	printf("        tlsa     %s", resolverd_tlsa_status_text(host->tlsa_status));
	if (host->tlsa_owner != NULL)
		printf(" at %s", host->tlsa_owner);
	putchar('\n');
	for (size_t i = 0; i < host->tlsa_count; i++) {
		const struct resolverd_tlsa *tlsa = &host->tlsa[i];
		printf("                 %s%u %u %u ", colour_on(ctl, DIM), tlsa->usage,
		    tlsa->selector, tlsa->matching_type);
		for (size_t j = 0; j < tlsa->data_bytes && j < 32; j++)
			printf("%02x", tlsa->data[j]);
		printf("%s%s\n", tlsa->data_bytes > 32 ? "..." : "", colour_off(ctl));
	}
}

void output_host_text(const struct ctl *ctl, const struct resolverd_host *host, bool preference)
{
	if (preference)
		printf("  %5u ", host->preference);
	else
		printf("        ");
	printf("%-32s %s%-13s%s %s\n", host->name, colour_on(ctl, colour_of_policy(host->policy)),
	    resolverd_policy_text(host->policy), colour_off(ctl), host->reason_text);
	if (host->would_refuse)
		printf("        %swould be refused without audit%s\n", colour_on(ctl, WARN),
		    colour_off(ctl));
	printf("        address  %s", resolverd_status_text(host->address_status));
	for (size_t i = 0; i < host->address_count; i++)
		printf("%s %s", i > 0 ? "," : ":", host->addresses[i].text);
	if (host->origin != NULL)
		printf("; found by %s", host->origin);
	putchar('\n');
	print_tlsa(ctl, host);
	if (host->reference_name_count > 0) {
		printf("        names    ");
		for (size_t i = 0; i < host->reference_name_count; i++)
			printf("%s%s", i > 0 ? ", " : "", host->reference_names[i]);
		printf(" (usage 2 only)\n");
	}
}

const char *output_time(uint64_t ms)
{
	static char texts[2][32];
	static unsigned turn;
	char *text = texts[turn++ % 2];
	time_t seconds = (time_t)(ms / 1000);
	struct tm utc;
	if (gmtime_r(&seconds, &utc) == NULL ||
	    strftime(text, sizeof texts[0], "%F %T UTC", &utc) == 0)
		snprintf(text, sizeof texts[0], "?");
	return text;
}

void output_span(uint64_t seconds, char ret_text[32])
{
	static const struct {
		uint64_t seconds;
		const char *unit;
	} units[] = {{86400, "days"}, {3600, "hours"}, {60, "min"}, {1, "s"}};
	size_t i = 0;
	while (units[i].seconds > 1 && seconds < 2 * units[i].seconds)
		i++;
	snprintf(ret_text, 32, "%llu %s", (unsigned long long)(seconds / units[i].seconds),
	    units[i].unit);
}

const char *output_when(uint64_t ms)
{
	static char text[96];
	char span[32];
	uint64_t then = ms / 1000, now = (uint64_t)time(NULL);
	output_span(then > now ? then - now : now - then, span);
	snprintf(text, sizeof text, "%s (%s%s%s)", output_time(ms), then > now ? "in " : "", span,
	    then > now ? "" : " ago");
	return text;
}

void output_zones_text(
    const struct ctl *ctl, const struct resolverd_insecure_zone *zones, size_t count)
{
	for (size_t i = 0; i < count; i++)
		printf("  %szone %s is declared insecure here until %s%s\n", colour_on(ctl, WARN),
		    zones[i].zone, output_when(zones[i].until_ms), colour_off(ctl));
}
