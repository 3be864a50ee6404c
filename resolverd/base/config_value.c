/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>

#include "resolverd/base/config_internal.h"
#include "resolverd/base/store.h"

#define MEMBER_MAX 120u /* a delegation has to fit its message, and clients' room */
#define REASON_MAX 200u /* it stands in every answer */

struct unit {
	const char *suffix;
	int64_t factor;
};

static int64_t with_unit(const char *text, const struct unit *units)
{
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (end == text || errno != 0 || value < 0)
		return -1;
	for (; units->suffix != NULL; units++)
		if (strcmp(end, units->suffix) == 0)
			return value > INT64_MAX / 4 / units->factor ? -1 : value * units->factor;
	return -1;
}

int64_t config_duration_ms(const char *text)
{
	static const struct unit units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000},
	    {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
	return with_unit(text, units);
}

int64_t config_size_bytes(const char *text)
{
	static const struct unit units[] = {
	    {"", 1}, {"k", 1 << 10}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {NULL, 0}};
	return with_unit(text, units);
}

int64_t value_time_ms(const char *text)
{
	static const char *const formats[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%SZ"};
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
		struct tm parts = {0};
		const char *end = strptime(text, formats[i], &parts);
		if (end == NULL || *end != '\0')
			continue;
		int day = parts.tm_mday;
		time_t seconds = timegm(&parts); /* February 31st becomes a day of March */
		return parts.tm_mday == day && seconds > 0 ? (int64_t)seconds * 1000 : -1;
	}
	return -1;
}

Resolverd__V1__Requirement value_requirement(const char *text)
{
	static const char *const words[] = {"", "normal", "mandatory", "audit", "off"};
	for (size_t i = 1; i < sizeof words / sizeof *words; i++)
		if (strcmp(text, words[i]) == 0)
			return (Resolverd__V1__Requirement)i;
	return RESOLVERD__V1__REQUIREMENT__REQUIREMENT_UNSPECIFIED;
}

const char *value_server_problem(const char *text)
{
	char address[INET6_ADDRSTRLEN + 1];
	uint8_t ip[16];
	const char *at = strchrnul(text, '@');
	if ((size_t)(at - text) < sizeof address) {
		memcpy(address, text, (size_t)(at - text));
		address[at - text] = '\0';
		char *end;
		long port = *at == '@' ? strtol(at + 1, &end, 10) : 53;
		if (*at == '@' && (end == at + 1 || *end != '\0' || port < 1 || port > 65535))
			return "has a bad port behind the @";
		if (inet_pton(strchr(address, ':') != NULL ? AF_INET6 : AF_INET, address, ip) == 1)
			return NULL;
	}
	return "is no server; write an IP address, or ADDRESS@PORT";
}

/* Those that libunbound on nettle verifies. It would ignore an anchor of another one, and take the
 * zone for insecure, which is not what the operator asked for. */
static bool is_known_algorithm(unsigned algorithm)
{
	static const uint8_t known[] = {5, 7, 8, 10, 13, 14, 15};
	for (size_t i = 0; i < sizeof known; i++)
		if (known[i] == algorithm)
			return true;
	return false;
}

const char *value_trust_anchor_problem(const char *text)
{
	static const char unknown[] =
	    "has an algorithm or digest type that cannot be verified here; "
	    "algorithms are 5, 7, 8, 10, 13, 14, 15, digests 1, 2, 4";
	static const size_t digest_digits[] = {0, 40, 64, 0, 96};
	static const char wrong[] = "is no trust anchor; write \"DS 12345 13 2 HEX\" or "
				    "\"DNSKEY 257 3 13 BASE64\"";
	unsigned first, algorithm, third;
	int at = 0;
	if (sscanf(text, "DS %5u %3u %3u %n", &first, &algorithm, &third, &at) == 3 && at > 0) {
		size_t digits = strspn(text + at, "0123456789abcdefABCDEF");
		if (first > UINT16_MAX || text[(size_t)at + digits] != '\0')
			return wrong;
		if (!is_known_algorithm(algorithm) || third > 4 || digest_digits[third] == 0)
			return unknown;
		return digits == digest_digits[third] ? NULL : wrong;
	}
	if (sscanf(text, "DNSKEY %5u %3u %3u %n", &first, &third, &algorithm, &at) == 3 && at > 0) {
		for (const char *c = text + at; *c != '\0'; c++)
			if (!isalnum((unsigned char)*c) && strchr("+/= ", *c) == NULL)
				return wrong;
		if (!is_known_algorithm(algorithm))
			return unknown;
		return third == 3 && (first & 0x100u) != 0 && strlen(text + at) > 16 ? NULL : wrong;
	}
	return wrong;
}

static int invalid_char(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ')
			return 1;
	return 0;
}

const char *value_problem(const struct key *key, const char *value)
{
	int64_t number;
	char *end;
	if (invalid_char(value))
		return "has a control character";
	switch (key->kind) {
	case SOCKET_PATH:
		if (value[0] != '/')
			return "must be an absolute path";
		if (strlen(value) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
			return "is too long for a Unix socket (107 bytes at most); use a shorter "
			       "path";
		return NULL;
	case DURATION:
		number = config_duration_ms(value);
		if (number < 0)
			return "is no duration; write for example 30, 30s, 5m, 2h or 1d";
		return number < key->low || number > key->high ? "is outside the allowed range"
							       : NULL;
	case SIZE:
		number = config_size_bytes(value);
		return number < (1 << 20)
			   ? "is no size of at least 1M; write for example 256M or 2G"
			   : NULL;
	case COUNT:
		number = strtol(value, &end, 10);
		if (end == value || *end != '\0')
			return "is no number";
		return number < key->low || number > key->high ? "is outside the allowed range"
							       : NULL;
	case MODE:
		number = strtol(value, &end, 8);
		return end == value || *end != '\0' || number < 0 || number > 0777
			   ? "is no octal mode such as 0660"
			   : NULL;
	case STORE_ADDRESS:
		return store_parse(value, &(struct store_address){0});
	case STORE_PREFIX:
		return strlen(value) > STORE_PREFIX_MAX || strpbrk(value, " \"'*?[]") != NULL
			   ? "has at most 64 octets, and none of space, quotes, * ? [ ]"
			   : NULL;
	case SWITCH:
		return strcmp(value, "yes") != 0 && strcmp(value, "no") != 0 ? "must be yes or no"
									     : NULL;
	case SANDBOX:
		return strcmp(value, "auto") != 0 && strcmp(value, "required") != 0 &&
			       strcmp(value, "off") != 0
			   ? "must be auto, required or off"
			   : NULL;
	case INSECURE_MX:
		return strcmp(value, "dane") != 0 && strcmp(value, "opportunistic") != 0 &&
			       strcmp(value, "unreachable") != 0
			   ? "must be dane, opportunistic or unreachable"
			   : NULL;
	case PREFETCH_RULE:
		return strcmp(value, "ahead") != 0 && strcmp(value, "on-hit") != 0 &&
			       strcmp(value, "off") != 0
			   ? "must be ahead, on-hit or off"
			   : NULL;
	case REQUIREMENT:
		return value_requirement(value) ==
			       RESOLVERD__V1__REQUIREMENT__REQUIREMENT_UNSPECIFIED
			   ? "must be normal, mandatory, audit or off"
			   : NULL;
	case TIME:
		return value_time_ms(value) < 0
			   ? "is no date; write 2026-12-31 (its first second, UTC) or "
			     "2026-12-31T18:00Z"
			   : NULL;
	default:
		if (strcmp(key->name, "reason") == 0 && strlen(value) > REASON_MAX)
			return "is longer than 200 bytes";
		return strcmp(key->name, "member") == 0 && strlen(value) > MEMBER_MAX
			   ? "is longer than 120 bytes"
			   : NULL;
	}
}

/* ---- the unbound section ---- */

static bool is_count(const char *text, long low, long high)
{
	char *end;
	errno = 0;
	long value = strtol(text, &end, 10);
	return isdigit((unsigned char)text[0]) && *end == '\0' && errno == 0 && value >= low &&
	       value <= high;
}

/* An address, or a prefix of IPv6 in which a source is made up for each query. */
static bool is_interface(const char *text)
{
	char address[INET6_ADDRSTRLEN];
	uint8_t ip[16];
	const char *slash = strchrnul(text, '/');
	size_t bytes = (size_t)(slash - text);
	if (bytes >= sizeof address)
		return false;
	memcpy(address, text, bytes);
	address[bytes] = '\0';
	if (*slash == '\0' && inet_pton(AF_INET, address, ip) == 1)
		return true;
	return inet_pton(AF_INET6, address, ip) == 1 &&
	       (*slash == '\0' || is_count(slash + 1, 1, 128));
}

const char *value_unbound_problem(const char *name, const char *value)
{
	if (strcmp(name, "outgoing-interface") == 0)
		return is_interface(value)
			   ? NULL
			   : "is no address of this host, nor an IPv6 prefix (2001:db8::/64)";
	if (strcmp(name, "outgoing-range") == 0 || strcmp(name, "num-queries-per-thread") == 0)
		return is_count(value, 1, 65535) ? NULL : "is not a number from 1 to 65535";
	if (strcmp(name, "outgoing-num-tcp") == 0)
		return is_count(value, 0, 65535) ? NULL : "is not a number from 0 to 65535";
	return NULL;
}
