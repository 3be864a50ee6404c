/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resolverctl top: the same as stats, on a terminal in place, with the checks that are not good.
 * Where the output is no terminal each view is a block of its own.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "client/ctl/stats.h"
#include "client/lib/clock.h"

#define LOOK_AGAIN_MS 50             /* for a daemon whose queue of connections is full */
#define ENTER "\033[?1049h\033[?25l" /* the other screen, no cursor (ECMA-48, xterm) */
#define LEAVE "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define TO_LINE_END "\033[K"
#define TO_SCREEN_END "\033[J"

struct view {
	struct ctl *ctl;
	int64_t interval_ms;
	bool once, on_terminal, raw;
	int signals;             /* a descriptor */
	struct termios terminal; /* as it was */
	unsigned rows, columns;
	unsigned row; /* of this view */
};

/* ---- the terminal ---- */

static void measure(struct view *view)
{
	struct winsize size;
	bool known =
	    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;
	view->rows = known ? size.ws_row : 24;
	view->columns = known ? size.ws_col : 80;
}

static int enter(struct view *view)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	view->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (view->signals < 0)
		return ctl_report(view->ctl, strerror(errno), EXIT_NOT_NOW);
	view->on_terminal = isatty(STDOUT_FILENO) && !view->once && !view->ctl->json;
	measure(view);
	if (!view->on_terminal)
		return 0;
	view->raw = tcgetattr(STDIN_FILENO, &view->terminal) == 0;
	if (view->raw) {
		struct termios quiet = view->terminal;
		quiet.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
	}
	fputs(ENTER, stdout);
	return 0;
}

static void leave(const struct view *view)
{
	if (view->on_terminal)
		fputs(LEAVE, stdout);
	if (view->raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &view->terminal);
	fflush(stdout);
	if (view->signals >= 0)
		close(view->signals);
}

/* ---- one view ---- */

/* What does not fit is cut, in whole characters. */
static void print_line(struct view *view, enum colour colour, const char *text)
{
	size_t bytes = 0;
	if (!view->on_terminal) {
		printf("%s%s%s\n", colour_on(view->ctl, colour), text, colour_off(view->ctl));
		return;
	}
	if (view->row + 1 >= view->rows)
		return;
	view->row++;
	for (unsigned used = 0; text[bytes] != '\0'; bytes++)
		if (((unsigned char)text[bytes] & 0xc0u) != 0x80 && used++ == view->columns)
			break;
	printf("%s%.*s%s" TO_LINE_END "\n", colour_on(view->ctl, colour), (int)bytes, text,
	    colour_off(view->ctl));
}

static void print_head(struct view *view, const struct resolverd_daemon_status *now, bool first)
{
	char text[600], span[32];
	output_span(
	    now->now_ms > now->started_at_ms ? (now->now_ms - now->started_at_ms) / 1000 : 0, span);
	snprintf(text, sizeof text, "resolverd %s, member %s, up %s: %s%s", now->version,
	    now->member, span,
	    now->ready ? "ready" : "NOT READY: ", now->ready ? "" : now->not_ready_reason);
	print_line(view, now->ready ? GOOD : BAD, text);
	snprintf(text, sizeof text, "%s  %s", output_time(now->now_ms),
	    first ? "since its start" : "since the view before");
	print_line(view, DIM, text);
	for (size_t i = 0; i < now->check_count; i++) {
		if (now->checks[i].good)
			continue;
		snprintf(text, sizeof text, "  %s: %s", now->checks[i].name, now->checks[i].detail);
		print_line(view, BAD, text);
	}
}

static void print_view(struct view *view, const struct resolverd_daemon_status *before,
    const struct resolverd_daemon_status *now)
{
	struct stats_line lines[STATS_LINES_MAX];
	char text[300];
	size_t count = stats_lines(before, now, lines);
	view->row = 0;
	if (view->on_terminal)
		fputs(HOME, stdout);
	print_head(view, now, before == NULL);
	print_line(view, PLAIN, "");
	for (size_t i = 0; i < count; i++) {
		snprintf(text, sizeof text, "%-15s %s", lines[i].name, lines[i].text);
		print_line(view, PLAIN, text);
	}
	print_line(view, PLAIN, "");
	if (view->on_terminal) {
		print_line(view, DIM, "q ends");
		fputs(TO_SCREEN_END, stdout);
	}
}

static void print_trouble(struct view *view, int error)
{
	char text[600];
	const char *detail = resolverd_last_error(view->ctl->client);
	snprintf(text, sizeof text, "%s%s%s", resolverd_strerror(error),
	    detail[0] != '\0' ? ": " : "", detail);
	view->row = 0;
	fputs(HOME, stdout);
	print_line(view, BAD, text);
	print_line(view, DIM, "tried again; q ends");
	fputs(TO_SCREEN_END, stdout);
}

/* ---- the loop ---- */

enum next { NEXT_VIEW, REDRAW, END };

static enum next take_signal(struct view *view)
{
	struct signalfd_siginfo info;
	if (read(view->signals, &info, sizeof info) != sizeof info)
		return NEXT_VIEW;
	if (info.ssi_signo != SIGWINCH)
		return END;
	measure(view);
	return view->on_terminal ? REDRAW : NEXT_VIEW;
}

static enum next take_key(struct view *view)
{
	char key;
	if (read(STDIN_FILENO, &key, 1) != 1)
		view->raw = false; /* it is gone; the signals end us */
	else if (key == 'q' || key == 'Q')
		return END;
	return NEXT_VIEW;
}

/* Until then, or something comes: a signal, a key, or on fd (-1: none). NEXT_VIEW: go on. */
static enum next wait_until(struct view *view, int64_t until_ms, int fd, short events)
{
	struct pollfd fds[] = {{.fd = view->signals, .events = POLLIN},
	    {.fd = view->raw ? STDIN_FILENO : -1, .events = POLLIN}, {.fd = fd, .events = events}};
	int64_t left_ms = until_ms - clock_mono_ms();
	if (poll(fds, 3, left_ms > 0 ? (int)left_ms : 0) <= 0)
		return NEXT_VIEW;
	enum next next = fds[0].revents != 0 ? take_signal(view) : NEXT_VIEW;
	if (next == NEXT_VIEW && fds[1].revents != 0)
		next = take_key(view);
	return next;
}

/* Until the interval is over, or something else comes. */
static enum next pause_view(struct view *view, int64_t until_ms)
{
	enum next next;
	do
		next = wait_until(view, until_ms, -1, 0);
	while (next == NEXT_VIEW && clock_mono_ms() < until_ms);
	return next;
}

/* One request, that can be left meanwhile: then END. *ret_error: 0 with *ret_status, or the error.
 */
static enum next ask_status(
    struct view *view, int *ret_error, struct resolverd_daemon_status **ret_status)
{
	struct resolverd_client *client = view->ctl->client;
	const int64_t until_ms = clock_mono_ms() + view->ctl->timeout_ms;
	uint64_t id;
	*ret_error = resolverd_submit_status(client, &id);
	while (*ret_error == 0) {
		(void)resolverd_update(client);
		*ret_error = resolverd_take_status(client, id, ret_status);
		if (*ret_error != RESOLVERD_ERROR_PENDING)
			break;
		*ret_error = 0;
		int64_t now_ms = clock_mono_ms();
		int fd = resolverd_client_fd(client);
		int64_t next_ms = fd >= 0 || until_ms < now_ms + LOOK_AGAIN_MS
				      ? until_ms
				      : now_ms + LOOK_AGAIN_MS;
		enum next next = wait_until(view, next_ms, fd, resolverd_client_events(client));
		if (next == END || now_ms >= until_ms) {
			resolverd_release(client, id);
			*ret_error = RESOLVERD_ERROR_TIMEOUT;
			return next == END ? END : NEXT_VIEW;
		}
	}
	return NEXT_VIEW;
}

static int run(struct view *view)
{
	struct resolverd_daemon_status *before = NULL, *now = NULL;
	enum next next = NEXT_VIEW;
	int r = 0;
	while (r == 0 && next != END) {
		int64_t until_ms = clock_mono_ms() + view->interval_ms;
		struct resolverd_daemon_status *found;
		int error;
		next = ask_status(view, &error, &found);
		if (next == END)
			break;
		if (error == 0) {
			resolverd_daemon_status_free(before);
			before = now;
			now = found;
			print_view(
			    view, before != NULL && stats_follow(before, now) ? before : NULL, now);
		} else if (view->on_terminal) {
			print_trouble(view, error);
		} else {
			r = ctl_fail(view->ctl, error);
		}
		if (fflush(stdout) != 0)
			r = EXIT_NOT_NOW; /* main says so */
		if (view->once)
			break;
		while (r == 0 && (next = pause_view(view, until_ms)) == REDRAW && now != NULL) {
			print_view(
			    view, before != NULL && stats_follow(before, now) ? before : NULL, now);
			fflush(stdout);
		}
	}
	resolverd_daemon_status_free(before);
	resolverd_daemon_status_free(now);
	return r;
}

int top_command(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
	    {"interval", required_argument, NULL, 'i'}, {"once", no_argument, NULL, 'o'}, {0}};
	struct view view = {.ctl = ctl, .interval_ms = 2000, .signals = -1};
	int c, r = 0;
	optind = 0;
	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c == 'i')
			r = stats_take_interval(ctl, optarg, &view.interval_ms);
		else if (c == 'o')
			view.once = true;
		else
			r = ctl_usage(ctl, "%s: wrong option (see --help)", argv[0]);
	}
	if (r == 0 && optind != argc)
		r = ctl_usage(ctl, "%s takes options only", argv[0]);
	if (r == 0 && ctl->json)
		r = ctl_usage(
		    ctl, "%s is for people; stats --interval --json is for programs", argv[0]);
	if (r == 0)
		r = stats_open(ctl);
	if (r == 0)
		r = enter(&view);
	if (r == 0)
		r = run(&view);
	leave(&view);
	return r;
}
