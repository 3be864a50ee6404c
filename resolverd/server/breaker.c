/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/breaker.h"

bool breaker_allows(struct breaker *breaker, int64_t now_ms)
{
	if (breaker->open_until_ms == 0)
		return true;
	if (breaker->trying || now_ms < breaker->open_until_ms)
		return false;
	breaker->trying = true;
	return true;
}

/* Three quarters to five quarters of a time that doubles. */
static int64_t opening_ms(unsigned openings, uint64_t random)
{
	int64_t ms = BREAKER_FIRST_MS;
	while (openings-- > 0 && ms < BREAKER_LONGEST_MS)
		ms *= 2;
	if (ms > BREAKER_LONGEST_MS)
		ms = BREAKER_LONGEST_MS;
	return ms * 3 / 4 + (int64_t)(random % (uint64_t)(ms / 2 + 1));
}

void breaker_note(struct breaker *breaker, bool good, int64_t now_ms, uint64_t random)
{
	if (breaker->open_until_ms != 0 && !breaker->trying)
		return; /* of a request from before it opened */
	if (good) {
		uint64_t opened_count = breaker->opened_count;
		*breaker = (struct breaker){.opened_count = opened_count};
		return;
	}
	breaker->failures += breaker->failures < BREAKER_FAILURES;
	if (!breaker->trying && breaker->failures < BREAKER_FAILURES)
		return;
	breaker->open_until_ms = now_ms + opening_ms(breaker->openings, random);
	breaker->openings += breaker->openings < 16;
	breaker->opened_count++;
	breaker->trying = false;
}
