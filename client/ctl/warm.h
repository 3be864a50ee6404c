/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resolverctl warm: a list of next hops, each asked once, a bounded number at a time. warm.c runs
 * it and reports, warm_list.c reads the list, warm_journal.c notes how far it came so that a run
 * that was ended goes on, warm_progress.c shows it.
 */
#pragma once
#include <stdio.h>

#include "client/ctl/ctl.h"

/* What became of a name: an enum resolverd_outcome, or one of these. */
enum { WARM_OPEN = 0, WARM_INVALID = RESOLVERD_NO_HOST + 1, WARM_RESULTS };

struct warm_name {
	char *text; /* as in the file */
	unsigned line;
	uint8_t result;
};

struct warm_list {
	char *bytes; /* of the file; the names point into it */
	struct warm_name *names;
	size_t count;
	uint8_t hash[16]; /* of the file */
};

/* 0 or -errno. */
[[nodiscard]] int warm_list_read(const char *path, struct warm_list *ret_list);
void warm_list_free(struct warm_list *list);

/* ---- what failed, and why ---- */

struct warm_failure {
	size_t index;
	char *reason;
};

struct warm_failures {
	struct warm_failure *list;
	size_t count, room;
};

/* 0 or -ENOMEM. reason is copied. */
[[nodiscard]] int warm_failures_add(
    struct warm_failures *failures, size_t index, const char *reason);
void warm_failures_free(struct warm_failures *failures);

/* ---- the journal ---- */

/* What a run must have in common with one that it goes on for. */
struct warm_run {
	const struct warm_list *list;
	unsigned port, keep_s;
	uint64_t daemon_started_ms; /* what was warm is lost when it starts anew */
	uint64_t now_ms;
};

struct warm_journal {
	FILE *file; /* append only: a run killed at any moment leaves whole lines and one in part */
	size_t failures_noted;
};

/* Opens or makes it, for this run alone. What an earlier run of the same kind did is put into
 * failures, results and *ret_done, the number of names from the first on that need not be asked
 * again; *ret_why_anew says why there is a journal but nothing of it counts, or is NULL. 0 or
 * -errno; -EWOULDBLOCK: another run has it. */
[[nodiscard]] int warm_journal_open(struct warm_journal *journal, const char *path,
    const struct warm_run *run, struct warm_failures *failures, size_t results[WARM_RESULTS],
    size_t *ret_done, const char **ret_why_anew);
/* Notes it all; results are of the names before done. 0 or -errno. */
[[nodiscard]] int warm_journal_note(struct warm_journal *journal,
    const struct warm_failures *failures, const size_t results[WARM_RESULTS], size_t done);
void warm_journal_close(struct warm_journal *journal);

/* ---- progress, on stderr ---- */

struct warm_progress {
	bool is_terminal;
	int64_t shown_at_ms, rated_at_ms;
	size_t rated_at; /* finished then */
	double rate;     /* a second, of late */
};

/* Shows it when it is time to. */
void warm_progress_show(
    struct warm_progress *progress, size_t finished, size_t total, size_t failed, int64_t now_ms);
void warm_progress_clear(const struct warm_progress *progress);
