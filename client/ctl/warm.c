/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/ctl/warm.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "client/lib/clock.h"
#include "client/lib/text.h"

#define WINDOW_MAX 512u
#define KEEP_DEFAULT_S 14400u
#define KEEP_MAX_S (366u * 86400u)
#define RATE_MAX 1000000.0
#define NOTE_EVERY_MS 1000
#define POLL_MAX_MS 100
#define RECONNECT_PAUSE_MS 10
#define BUSY_PAUSE_MS 1000u

struct asked {
	uint64_t id;
	size_t index; /* of the name */
};

struct warm {
	struct ctl *ctl;
	const char *path;
	char *journal_path;
	unsigned port, keep_s;
	double rate;                     /* a second; 0: as fast as it goes */
	struct resolverd_memory *memory; /* for cleaned text */
	int signals;                     /* a descriptor: readable when it is to end */
	bool ended;

	struct warm_list list;
	struct warm_failures failures;
	struct warm_journal journal;
	struct warm_progress progress;
	size_t done, resumed_at; /* names before it are done */
	size_t results[WARM_RESULTS], results_before_done[WARM_RESULTS];
	size_t finished; /* in any order */

	size_t next; /* to be asked */
	struct asked flight[WINDOW_MAX];
	size_t in_flight, window, successes;   /* successes: since the window grew */
	size_t again[WINDOW_MAX], again_count; /* the daemon was busy */
	double tokens;
	int64_t tokens_at_ms, paused_until_ms, noted_at_ms, moved_at_ms, begun_ms;
};

static int no_memory(const struct warm *warm)
{
	return ctl_report(warm->ctl, "out of memory", EXIT_NOT_NOW);
}

/* ---- arguments ---- */

static int take_keep(struct warm *warm, const char *text)
{
	static const struct {
		const char *unit;
		unsigned long seconds;
	} units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
	char *end;
	errno = 0;
	unsigned long number = strtoul(text, &end, 10);
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (text[0] < '0' || text[0] > '9' || strcmp(end, units[i].unit) != 0)
			continue;
		if (errno != 0 || number > KEEP_MAX_S / units[i].seconds)
			return ctl_usage(warm->ctl, "--keep is at most 366d");
		warm->keep_s = (unsigned)(number * units[i].seconds);
		return 0;
	}
	return ctl_usage(warm->ctl, "\"%s\" is no duration: 90s, 30m, 4h, 2d", text);
}

static int take_rate(struct warm *warm, const char *text)
{
	char *end;
	warm->rate = strtod(text, &end);
	if (end == text || *end != '\0' || !(warm->rate > 0) || warm->rate > RATE_MAX)
		return ctl_usage(warm->ctl, "\"%s\" is no number of names a second", text);
	return 0;
}

static int parse_arguments(struct warm *warm, int argc, char **argv)
{
	static const struct option options[] = {{"port", required_argument, NULL, 'p'},
	    {"keep", required_argument, NULL, 'k'}, {"rate", required_argument, NULL, 'r'},
	    {"resume-file", required_argument, NULL, 'f'}, {0}};
	struct ctl *ctl = warm->ctl;
	const char *journal = NULL;
	int c, r = 0;
	optind = 0;
	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			r = ctl_port(ctl, optarg, &warm->port);
			break;
		case 'k':
			r = take_keep(warm, optarg);
			break;
		case 'r':
			r = take_rate(warm, optarg);
			break;
		case 'f':
			journal = optarg;
			break;
		default:
			return ctl_usage(ctl, "%s: wrong option (see --help)", argv[0]);
		}
	}
	if (r != 0)
		return r;
	if (argc - optind != 1)
		return ctl_usage(ctl, "%s wants exactly one file", argv[0]);
	warm->path = argv[optind];
	if (asprintf(&warm->journal_path, "%s%s", journal != NULL ? journal : warm->path,
		journal != NULL ? "" : ".resume") < 0) {
		warm->journal_path = NULL;
		return no_memory(warm);
	}
	return 0;
}

/* ---- one name ---- */

static int note(struct warm *warm)
{
	while (warm->done < warm->list.count && warm->list.names[warm->done].result != WARM_OPEN)
		warm->results_before_done[warm->list.names[warm->done++].result]++;
	int r = warm_journal_note(
	    &warm->journal, &warm->failures, warm->results_before_done, warm->done);
	if (r == 0)
		return 0;
	char text[512];
	snprintf(text, sizeof text, "cannot write %s: %s", warm->journal_path, strerror(-r));
	return ctl_report(warm->ctl, text, EXIT_CANNOT_WRITE);
}

/* reason: of what failed, else NULL. */
static int finish(struct warm *warm, size_t index, int result, const char *reason)
{
	warm->list.names[index].result = (uint8_t)result;
	warm->results[result]++;
	warm->finished++;
	return reason == NULL || warm_failures_add(
				     &warm->failures, index, text_clean(warm->memory, reason)) == 0
		   ? 0
		   : no_memory(warm);
}

static int ask(struct warm *warm, size_t index)
{
	struct asked *asked = &warm->flight[warm->in_flight];
	int r = resolverd_submit_warm(warm->ctl->client, warm->list.names[index].text, warm->port,
	    0, warm->keep_s, &asked->id);
	if (r == RESOLVERD_ERROR_ARGUMENT)
		return finish(warm, index, WARM_INVALID, resolverd_last_error(warm->ctl->client));
	if (r != 0)
		return ctl_fail(warm->ctl, r);
	asked->index = index;
	warm->in_flight++;
	return 0;
}

/* Less at once, and nothing for as long as the daemon says. */
static void back_off(struct warm *warm, size_t index)
{
	unsigned pause_ms = resolverd_retry_after_ms(warm->ctl->client);
	int64_t now_ms = clock_mono_ms();
	warm->again[warm->again_count++] = index;
	if (now_ms < warm->paused_until_ms)
		return;
	warm->paused_until_ms = now_ms + (pause_ms != 0 ? pause_ms : BUSY_PAUSE_MS);
	warm->window = warm->window > 1 ? warm->window / 2 : 1;
	warm->successes = 0;
}

static void grow(struct warm *warm)
{
	if (++warm->successes < warm->window || warm->window >= WINDOW_MAX)
		return;
	warm->window++;
	warm->successes = 0;
}

static int take(struct warm *warm, uint64_t id)
{
	size_t i = 0;
	while (warm->flight[i].id != id)
		i++;
	struct resolverd_plan *plan;
	int error = resolverd_take_plan(warm->ctl->client, id, &plan);
	size_t index = warm->flight[i].index;
	warm->flight[i] = warm->flight[--warm->in_flight];
	if (error == RESOLVERD_ERROR_BUSY) {
		back_off(warm, index);
		return 0;
	}
	if (error != 0)
		return ctl_fail_advised(
		    warm->ctl, error, "the same command goes on where this one ended");
	grow(warm);
	int r = finish(warm, index, (int)plan->outcome,
	    plan->outcome == RESOLVERD_DELAY ? plan->reason : NULL);
	resolverd_plan_free(plan);
	return r;
}

/* ---- all of them ---- */

static bool may_ask(const struct warm *warm, int64_t now_ms)
{
	return warm->in_flight < warm->window && now_ms >= warm->paused_until_ms &&
	       (warm->rate <= 0 || warm->tokens >= 1) &&
	       (warm->again_count > 0 || warm->next < warm->list.count);
}

static int ask_some(struct warm *warm, int64_t now_ms)
{
	double most = warm->rate > 10 ? warm->rate / 10 : 1; /* a tenth of a second's at once */
	int r = 0;
	warm->tokens += warm->rate * (double)(now_ms - warm->tokens_at_ms) / 1000;
	warm->tokens = warm->tokens < most ? warm->tokens : most;
	warm->tokens_at_ms = now_ms;
	while (r == 0 && may_ask(warm, now_ms)) {
		r = ask(
		    warm, warm->again_count > 0 ? warm->again[--warm->again_count] : warm->next++);
		warm->tokens -= 1;
		warm->moved_at_ms = now_ms;
	}
	return r;
}

static int take_some(struct warm *warm, int64_t now_ms, bool *ret_any)
{
	uint64_t id;
	int r = 0;
	*ret_any = false;
	(void)resolverd_update(warm->ctl->client);
	while (r == 0 && resolverd_next_finished(warm->ctl->client, &id)) {
		r = take(warm, id);
		warm->moved_at_ms = now_ms;
		*ret_any = true;
	}
	if (r == 0 && warm->in_flight > 0 && now_ms - warm->moved_at_ms > warm->ctl->timeout_ms)
		return ctl_report(warm->ctl, "no answer from the daemon in time", EXIT_NOT_NOW);
	return r;
}

static void wait_for_more(struct warm *warm, int most_ms)
{
	struct pollfd fds[] = {{.fd = resolverd_client_fd(warm->ctl->client),
				   .events = resolverd_client_events(warm->ctl->client)},
	    {.fd = warm->signals, .events = POLLIN}};
	bool is_soon = warm->rate > 0 || fds[0].fd < 0;
	poll(fds, 2, is_soon && most_ms > RECONNECT_PAUSE_MS ? RECONNECT_PAUSE_MS : most_ms);
	warm->ended = fds[1].revents != 0;
}

static int run(struct warm *warm)
{
	int r = 0;
	warm->begun_ms = warm->tokens_at_ms = warm->moved_at_ms = clock_mono_ms();
	while (r == 0 && !warm->ended && warm->finished < warm->list.count) {
		int64_t now_ms = clock_mono_ms();
		bool any = false;
		r = ask_some(warm, now_ms);
		if (r == 0)
			r = take_some(warm, now_ms, &any);
		if (r == 0 && now_ms - warm->noted_at_ms >= NOTE_EVERY_MS) {
			warm->noted_at_ms = now_ms;
			r = note(warm);
		}
		warm_progress_show(&warm->progress, warm->finished, warm->list.count,
		    warm->failures.count, now_ms);
		/* What was taken made room: more may be asked at once. */
		if (r == 0 && warm->finished < warm->list.count)
			wait_for_more(warm, any ? 0 : POLL_MAX_MS);
	}
	warm_progress_clear(&warm->progress);
	int noted = note(warm);
	return r != 0 ? r : noted;
}

/* ---- the report ---- */

static int by_index(const void *a, const void *b)
{
	const struct warm_failure *x = a, *y = b;
	return x->index < y->index ? -1 : x->index > y->index;
}

static const char *result_text(int result)
{
	return result == WARM_INVALID ? "invalid"
				      : resolverd_outcome_text((enum resolverd_outcome)result);
}

static void print_json(const struct warm *warm, uint64_t took_s)
{
	json_t *results = json_object(), *failed = json_array();
	for (int i = 1; i < WARM_RESULTS; i++)
		json_object_set_new(
		    results, result_text(i), json_integer((json_int_t)warm->results[i]));
	for (size_t i = 0; i < warm->failures.count; i++) {
		const struct warm_failure *one = &warm->failures.list[i];
		const struct warm_name *name = &warm->list.names[one->index];
		json_array_append_new(
		    failed, json_pack("{s:i, s:s, s:s}", "line", (int)name->line, "next_hop",
				text_clean(warm->memory, name->text), "reason", one->reason));
	}
	output_json(json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "complete",
	    warm->finished == warm->list.count, "names", (json_int_t)warm->list.count, "resumed_at",
	    (json_int_t)warm->resumed_at, "finished", (json_int_t)warm->finished, "keep_s",
	    (json_int_t)warm->keep_s, "took_s", (json_int_t)took_s, "results", results, "failed",
	    failed));
}

static void print_text(const struct warm *warm, uint64_t took_s)
{
	char span[32];
	output_span(took_s, span);
	printf("%zu next hops in %s:", warm->finished, span);
	const char *before = " ";
	for (int i = 1; i < WARM_RESULTS; i++) {
		if (warm->results[i] == 0)
			continue;
		printf("%s%zu %s", before, warm->results[i], result_text(i));
		before = ", ";
	}
	output_span(warm->keep_s, span);
	printf("%s%s\n", warm->keep_s > 0 ? "; kept fresh for " : "", warm->keep_s > 0 ? span : "");
	for (size_t i = 0; i < warm->failures.count; i++) {
		const struct warm_failure *one = &warm->failures.list[i];
		const struct warm_name *name = &warm->list.names[one->index];
		printf("  %s:%u: %s: %s\n", warm->path, name->line,
		    text_clean(warm->memory, name->text), one->reason);
	}
}

static int report(struct warm *warm)
{
	uint64_t took_s = (uint64_t)(clock_mono_ms() - warm->begun_ms) / 1000;
	if (warm->failures.count > 0)
		qsort(warm->failures.list, warm->failures.count, sizeof *warm->failures.list,
		    by_index);
	if (warm->ctl->json)
		print_json(warm, took_s);
	else
		print_text(warm, took_s);
	if (warm->finished < warm->list.count) {
		fprintf(stderr,
		    "resolverctl: ended early; the same command goes on at line %u (%s)\n",
		    warm->list.names[warm->done].line, warm->journal_path);
		return EXIT_NOT_NOW;
	}
	unlink(warm->journal_path);
	return warm->results[RESOLVERD_DELAY] > 0 ? EXIT_NOT_NOW
	       : warm->results[WARM_INVALID] > 0  ? EXIT_BAD_DATA
						  : 0;
}

/* ---- begin ---- */

/* Where an earlier run ended. */
static int open_journal(struct warm *warm)
{
	struct resolverd_daemon_status *status;
	struct ctl *ctl = warm->ctl;
	int r = resolverd_status(ctl->client, ctl->timeout_ms, &status);
	if (r != 0)
		return ctl_fail_advised(ctl, r, ctl_control_advice(ctl, r));
	struct warm_run kind = {.list = &warm->list,
	    .port = warm->port,
	    .keep_s = warm->keep_s,
	    .daemon_started_ms = status->started_at_ms,
	    .now_ms = status->now_ms};
	const char *why_anew;
	resolverd_daemon_status_free(status);
	r = warm_journal_open(&warm->journal, warm->journal_path, &kind, &warm->failures,
	    warm->results_before_done, &warm->done, &why_anew);
	if (r != 0) {
		char text[512];
		snprintf(text, sizeof text, "%s: %s (another place: --resume-file)",
		    warm->journal_path,
		    r == -EWOULDBLOCK ? "another warm is running with it" : strerror(-r));
		return ctl_report(ctl, text, EXIT_CANNOT_WRITE);
	}
	if (why_anew != NULL)
		fprintf(stderr, "resolverctl: %s does not count, %s: from the first line on\n",
		    warm->journal_path, why_anew);
	memcpy(warm->results, warm->results_before_done, sizeof warm->results);
	warm->resumed_at = warm->next = warm->finished = warm->done;
	return 0;
}

static int read_list(struct warm *warm)
{
	int r = warm_list_read(warm->path, &warm->list);
	if (r == 0)
		return 0;
	char text[512];
	snprintf(
	    text, sizeof text, "%s: %s", warm->path, r == -EINVAL ? "it is binary" : strerror(-r));
	return ctl_report(warm->ctl, text, EXIT_NO_INPUT);
}

static int catch_signals(struct warm *warm)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	warm->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return warm->signals >= 0 ? 0 : ctl_report(warm->ctl, strerror(errno), EXIT_NOT_NOW);
}

static int run_and_report(struct warm *warm)
{
	int r = read_list(warm);
	if (r == 0)
		r = ctl_open_control(warm->ctl);
	if (r == 0)
		r = open_journal(warm);
	if (r != 0)
		return r;
	r = catch_signals(warm);
	if (r == 0)
		r = run(warm);
	return r != 0 ? r : report(warm);
}

int warm_command(struct ctl *ctl, int argc, char **argv)
{
	struct warm *warm = calloc(1, sizeof *warm);
	if (warm == NULL)
		return ctl_report(ctl, "out of memory", EXIT_NOT_NOW);
	warm->ctl = ctl;
	warm->memory = memory_new();
	warm->signals = -1;
	warm->port = 25;
	warm->keep_s = KEEP_DEFAULT_S;
	warm->window = WINDOW_MAX;
	warm->progress.is_terminal = isatty(STDERR_FILENO);
	int r = warm->memory != NULL ? parse_arguments(warm, argc, argv) : no_memory(warm);
	if (r == 0)
		r = run_and_report(warm);
	warm_journal_close(&warm->journal);
	warm_failures_free(&warm->failures);
	warm_list_free(&warm->list);
	memory_free(warm->memory);
	if (warm->signals >= 0)
		close(warm->signals);
	free(warm->journal_path);
	free(warm);
	return r;
}
