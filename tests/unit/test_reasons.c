/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of reasons is total: whatever the protocol may say has words, a clause and a remedy. */
#include <string.h>

#include "proto/combine.h"
#include "tests/unit/test.h"

static void check_row(const struct reason *row)
{
	assert_true(strlen(row->word) > 0);
	assert_null(strpbrk(row->word, " _ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
	assert_true(strlen(row->clause) > 0);
	assert_non_null(strstr(row->sentence, row->clause));
	assert_true(strlen(row->remedy) > 0);
	assert_true(row->party >= PARTY_NOBODY && row->party <= PARTY_US);
	assert_int_equal(row->party == PARTY_NOBODY, strncmp(row->remedy, "nothing", 7) == 0);
}

static void every_host_reason_has_a_row_of_its_own(void **state)
{
	(void)state;
	const ProtobufCEnumDescriptor *reasons = &resolverd__v1__host_reason__descriptor;
	for (unsigned i = 0; i < reasons->n_values; i++) {
		const struct reason *row = host_reason(reasons->values[i].value);
		check_row(row);
		assert_ptr_equal(host_reason_of_word(row->word), row); /* no word twice */
		assert_int_equal(row == host_reason(0), reasons->values[i].value == 0);
	}
}

static void every_route_has_a_row(void **state)
{
	(void)state;
	const ProtobufCEnumDescriptor *kinds = &resolverd__v1__route_kind__descriptor;
	const ProtobufCEnumDescriptor *statuses = &resolverd__v1__status__descriptor;
	for (unsigned i = 0; i < kinds->n_values; i++)
		for (unsigned j = 0; j < statuses->n_values; j++) {
			int kind = kinds->values[i].value, status = statuses->values[j].value;
			const struct reason *row = route_reason(kind, status);
			check_row(row);
			bool fails = strcmp(row->word, "mx-failed") == 0 ||
				     strcmp(row->word, "mx-bogus") == 0;
			bool good = kind != 0 && kind != RESOLVERD__V1__ROUTE_KIND__FAILED &&
				    (status == RESOLVERD__V1__STATUS__SECURE ||
					status == RESOLVERD__V1__STATUS__INSECURE);
			assert_int_equal(fails, !good);
		}
}

static void what_nobody_knows_has_a_row_too(void **state)
{
	(void)state;
	static const int values[] = {-1, 19, 1000, INT32_MAX, INT32_MIN};
	for (size_t i = 0; i < COUNT(values); i++) {
		assert_ptr_equal(host_reason(values[i]), host_reason(0));
		assert_string_equal(route_reason(values[i], 1)->word, "mx-failed");
		assert_string_equal(route_reason(1, values[i])->word, "mx-failed");
		assert_string_equal(party_text(values[i]), "nobody");
	}
	assert_ptr_equal(host_reason_of_word("no such word"), host_reason(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_host_reason_has_a_row_of_its_own),
	    cmocka_unit_test(every_route_has_a_row),
	    cmocka_unit_test(what_nobody_knows_has_a_row_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
