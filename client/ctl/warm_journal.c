/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The journal is text, a line a fact:
 *
 *	resolverctl-warm 1 list HEX port N keep N daemon MS began MS
 *	run                          a run begins or goes on
 *	failed INDEX REASON
 *	done COUNT N N N N N N       the names before COUNT, and what became of them
 *
 * Names beyond the last "done" are asked again by the next run, so failures noted of them are of no
 * account from its "run" on. A last line without its end was cut off and does not count.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include <unistd.h>

#include "client/ctl/warm.h"

#define MAGIC "resolverctl-warm 1"

struct state {
	struct warm_failures *failures;
	size_t *results;
	size_t done;
	off_t whole_bytes; /* what was cut off stands behind */
};

static void print_head(FILE *file, const struct warm_run *run)
{
	char hex[2 * sizeof run->list->hash + 1];
	sodium_bin2hex(hex, sizeof hex, run->list->hash, sizeof run->list->hash);
	fprintf(file, MAGIC " list %s port %u keep %u daemon %" PRIu64 " began %" PRIu64 "\n", hex,
	    run->port, run->keep_s, run->daemon_started_ms, run->now_ms);
}

/* NULL: an earlier run with that head was of the same kind; else why it does not count. */
static const char *compare_head(const char *line, const struct warm_run *run)
{
	char hex[2 * sizeof run->list->hash + 1], list[64];
	unsigned port, keep_s;
	uint64_t daemon_started_ms, began_ms;
	sodium_bin2hex(hex, sizeof hex, run->list->hash, sizeof run->list->hash);
	if (sscanf(line, MAGIC " list %63s port %u keep %u daemon %" SCNu64 " began %" SCNu64, list,
		&port, &keep_s, &daemon_started_ms, &began_ms) != 5)
		return "it is damaged";
	if (strcmp(list, hex) != 0)
		return "the list has changed";
	if (port != run->port || keep_s != run->keep_s)
		return "that was with another --port or --keep";
	if (daemon_started_ms != run->daemon_started_ms)
		return "the daemon has been started anew and has forgotten it all";
	if (keep_s != 0 && run->now_ms / 1000 >= began_ms / 1000 + keep_s)
		return "what was kept then is over";
	return NULL;
}

/* Failures of names that are asked again. */
static void drop_unfinished(struct state *state)
{
	struct warm_failures *failures = state->failures;
	size_t kept = 0;
	for (size_t i = 0; i < failures->count; i++) {
		if (failures->list[i].index < state->done)
			failures->list[kept++] = failures->list[i];
		else
			free(failures->list[i].reason);
	}
	failures->count = kept;
}

static int take_done(struct state *state, const char *numbers, size_t total)
{
	size_t values[WARM_RESULTS] = {0}, sum = 0;
	char *end;
	for (size_t i = 0; i < WARM_RESULTS; i++) {
		values[i] = strtoull(numbers, &end, 10);
		if (end == numbers)
			return -EBADMSG;
		numbers = end;
		sum += i > 0 ? values[i] : 0;
	}
	if (values[0] > total || sum != values[0])
		return -EBADMSG;
	state->done = values[0];
	memcpy(state->results, values, sizeof values);
	state->results[WARM_OPEN] = 0;
	return 0;
}

static int take_line(struct state *state, char *line, size_t total)
{
	size_t index;
	int at = 0;
	if (strcmp(line, "run") == 0) {
		drop_unfinished(state);
		return 0;
	}
	if (strncmp(line, "done ", 5) == 0)
		return take_done(state, line + 5, total);
	if (sscanf(line, "failed %zu %n", &index, &at) != 1 || at == 0 || index >= total)
		return -EBADMSG;
	return warm_failures_add(state->failures, index, line + at);
}

/* 0, -ENOMEM, or -EBADMSG: it is damaged. */
static int take_lines(FILE *file, struct state *state, size_t total)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t count;
	int r = 0;
	while (r == 0 && (count = getline(&line, &room, file)) > 0 && line[count - 1] == '\n') {
		line[count - 1] = '\0';
		state->whole_bytes += count;
		r = take_line(state, line, total);
	}
	free(line);
	return r;
}

/* 0 or -errno. */
static int read_back(
    FILE *file, const struct warm_run *run, struct state *state, const char **ret_why_anew)
{
	char *head = NULL;
	size_t room = 0;
	ssize_t count = getline(&head, &room, file);
	const char *why = NULL;
	int r = 0;
	if (count > 0)
		why = compare_head(head, run);
	state->whole_bytes = count;
	free(head);
	if (count > 0 && why == NULL) {
		r = take_lines(file, state, run->list->count);
		if (r == -EBADMSG) {
			why = "it is damaged";
			r = 0;
		}
	}
	drop_unfinished(state);
	*ret_why_anew = why;
	return r;
}

static int begin_anew(FILE *file, const struct warm_run *run, struct state *state)
{
	state->done = 0;
	drop_unfinished(state);
	memset(state->results, 0, WARM_RESULTS * sizeof *state->results);
	if (ftruncate(fileno(file), 0) != 0)
		return -errno;
	print_head(file, run);
	return 0;
}

/* 0 or -errno. */
static int begin(FILE *file, const struct warm_run *run, struct state *state, bool anew)
{
	int r = 0;
	(void)fseek(file, 0, SEEK_END); /* between reading and writing */
	if (anew)
		r = begin_anew(file, run, state);
	else if (ftruncate(fileno(file), state->whole_bytes) != 0)
		r = -errno;
	return r != 0 || (fputs("run\n", file) >= 0 && fflush(file) == 0) ? r : -errno;
}

int warm_journal_open(struct warm_journal *journal, const char *path, const struct warm_run *run,
    struct warm_failures *failures, size_t results[WARM_RESULTS], size_t *ret_done,
    const char **ret_why_anew)
{
	struct state state = {.failures = failures, .results = results};

	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *file = fd >= 0 ? fdopen(fd, "a+") : NULL;
	int r = file != NULL ? 0 : -errno;
	if (file == NULL) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	memset(results, 0, WARM_RESULTS * sizeof *results);
	*ret_why_anew = NULL;
	r = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
	if (r == 0) {
		rewind(file);
		r = read_back(file, run, &state, ret_why_anew);
	}
	if (r == 0)
		r = begin(file, run, &state, *ret_why_anew != NULL || state.whole_bytes <= 0);
	if (r != 0) {
		fclose(file);
		return r;
	}
	*journal = (struct warm_journal){.file = file, .failures_noted = failures->count};
	*ret_done = state.done;
	return 0;
}

int warm_journal_note(struct warm_journal *journal, const struct warm_failures *failures,
    const size_t results[WARM_RESULTS], size_t done)
{
	for (; journal->failures_noted < failures->count; journal->failures_noted++)
		fprintf(journal->file, "failed %zu %s\n",
		    failures->list[journal->failures_noted].index,
		    failures->list[journal->failures_noted].reason);
	fprintf(journal->file, "done %zu", done);
	for (size_t i = 1; i < WARM_RESULTS; i++)
		fprintf(journal->file, " %zu", results[i]);
	fputc('\n', journal->file);
	return fflush(journal->file) == 0 ? 0 : -errno;
}

void warm_journal_close(struct warm_journal *journal)
{
	if (journal->file != NULL)
		fclose(journal->file);
	journal->file = NULL;
}
