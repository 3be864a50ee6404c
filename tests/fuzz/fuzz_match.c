/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the matcher: any octets as certificates and records. An input is a count of certificates,
 * each with two octets of length before it, then records: usage, selector, matching type, two
 * octets of length, data. tests/fuzz/make_match_corpus.py writes such inputs.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "client/openssl/resolverd-openssl.h"

#define CHAIN_MAX 8
#define RECORDS_MAX 8
#define NOW 1500000000

struct reader {
	const uint8_t *at, *end;
};

/* What is left, when it is less than the length says: so every input says something. */
static const uint8_t *take(struct reader *reader, size_t *ret_bytes)
{
	size_t left = (size_t)(reader->end - reader->at), bytes = 0;
	if (left >= 2) {
		bytes = (size_t)reader->at[0] << 8 | reader->at[1];
		reader->at += 2;
		left -= 2;
	}
	*ret_bytes = bytes < left ? bytes : left;
	const uint8_t *taken = reader->at;
	reader->at += *ret_bytes;
	return taken;
}

static size_t take_records(struct reader *reader, struct resolverd_tlsa records[RECORDS_MAX])
{
	size_t count = 0;
	while (count < RECORDS_MAX && reader->end - reader->at >= 5) {
		struct resolverd_tlsa *record = &records[count++];
		record->usage = reader->at[0];
		record->selector = reader->at[1];
		record->matching_type = reader->at[2];
		reader->at += 3;
		record->data = take(reader, &record->data_bytes);
	}
	return count;
}

static void check(const struct resolverd_match_result *result, const struct resolverd_tlsa *records,
    size_t count, size_t chain_count)
{
	assert(memchr(result->reason, '\0', sizeof result->reason) != NULL);
	assert(result->reason[0] != '\0' && result->failure_type != NULL);
	if (result->verdict != RESOLVERD_MATCH) {
		assert(
		    result->verdict == RESOLVERD_NO_MATCH || result->verdict == RESOLVERD_UNUSABLE);
		assert(result->failure_type[0] != '\0');
		return;
	}
	assert(result->record < count);
	uint8_t usage = records[result->record].usage;
	assert((usage == 3 && result->depth == 0 && !result->name_checked) ||
	       (usage == 2 && result->depth >= 1 && result->depth <= chain_count &&
		   result->name_checked));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const char *const names[] = {"mx.example.com"};
	const uint8_t *chain[CHAIN_MAX];
	size_t chain_bytes[CHAIN_MAX], chain_count = bytes > 0 ? data[0] % (CHAIN_MAX + 1) : 0;
	struct resolverd_tlsa records[RECORDS_MAX];
	struct resolverd_match_result result;
	struct reader reader = {data + (bytes > 0), data + bytes};
	for (size_t i = 0; i < chain_count; i++)
		chain[i] = take(&reader, &chain_bytes[i]);
	size_t count = take_records(&reader, records);
	if (resolverd_match_der(
		chain, chain_bytes, chain_count, records, count, names, 1, NOW, &result) == 0)
		check(&result, records, count, chain_count);
	return 0;
}
