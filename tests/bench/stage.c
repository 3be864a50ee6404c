/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server role alone, as it is: this program plays the supervisor and one worker that knows
 * every answer at once, so that a million routes are there in a minute, no DNS takes the processor,
 * and the role can run below valgrind.
 *
 *     bench-stage --socket S --public-key FILE --key-file FILE [--providers N] [--snapshots DIR]
 *         -- COMMAND...
 *
 * COMMAND is the role's: resolverd --role server --config "" --set ..., maybe behind a wrapper.
 * Prints the role's process id when clients are welcome; ends it and itself with SIGTERM.
 *
 * Next hops: the first number in a name, modulo N, is its provider, which has two hosts, each with
 * two addresses and a TLSA record. Names that begin with c have one to three hosts and a reason of
 * any length, so that answers differ in size. Everything is secure and lives a day.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/frame.h"
#include "resolverd/base/access.h"
#include "resolverd/base/role.h"
#include "resolverd/supervisor/longterm.h"
#include "worker.pb-c.h"

#define V1(name) RESOLVERD__V1__##name
#define FD_HIGH 64 /* out of the way of the role's fixed ones */
#define IN_BYTES (256u << 10)
#define OUT_BYTES (4u << 20)
#define HOSTS 2u
#define CHURN_HOSTS_MAX 3u
#define CHURN_REASON_MAX 400u
#define NAME_BYTES 300u
#define LIFE_MS 86400000u
#define LOOK_MS 200 /* whether it is to end */
#define END_S 20u   /* for the role to end by itself */

struct stage {
	struct longterm longterm;
	unsigned long providers;
	int channel, jobs;
	pid_t pid;
	size_t in_used, out_used;
	uint8_t in[IN_BYTES], out[OUT_BYTES];
};

static volatile sig_atomic_t stopping;

static void on_terminate(int number)
{
	(void)number;
	stopping = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "stage: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t wall_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- the worker ---- */

static void put_facts(struct stage *stage, const Resolverd__Worker__Facts *facts)
{
	size_t bytes = resolverd__worker__facts__get_packed_size(facts);
	if (stage->out_used + FRAME_HEADER_BYTES + bytes > OUT_BYTES)
		die("too many facts");
	uint8_t *out = stage->out + stage->out_used;
	frame_put_header(out, bytes);
	resolverd__worker__facts__pack(facts, out + FRAME_HEADER_BYTES);
	stage->out_used += FRAME_HEADER_BYTES + bytes;
}

static void put_self_check(struct stage *stage)
{
	Resolverd__Worker__Facts facts = RESOLVERD__WORKER__FACTS__INIT;
	Resolverd__Worker__SelfCheck check = RESOLVERD__WORKER__SELF_CHECK__INIT;
	check.root_status = V1(STATUS__SECURE);
	facts.data_case = RESOLVERD__WORKER__FACTS__DATA_SELF_CHECK;
	facts.self_check = &check;
	put_facts(stage, &facts);
}

static unsigned long number_of(const char *name)
{
	return strtoul(name + strcspn(name, "0123456789"), NULL, 10);
}

static void tell_route(struct stage *stage, Resolverd__Worker__Facts *facts)
{
	char names[CHURN_HOSTS_MAX][NAME_BYTES], reason[CHURN_REASON_MAX + 1];
	Resolverd__V1__MxHost mx[CHURN_HOSTS_MAX], *mx_list[CHURN_HOSTS_MAX];
	Resolverd__V1__Route route = RESOLVERD__V1__ROUTE__INIT;
	char *name = facts->question->name;
	unsigned long number = number_of(name), provider = number % stage->providers;
	bool varies = name[0] == 'c';
	route.kind = V1(ROUTE_KIND__MX);
	route.mx_status = V1(STATUS__SECURE);
	route.expanded = name;
	route.mx = mx_list;
	route.n_mx = varies ? 1 + number % CHURN_HOSTS_MAX : HOSTS;
	for (size_t i = 0; i < route.n_mx; i++) {
		snprintf(names[i], NAME_BYTES, "mx%zu.p%05lu.provider.example", i + 1, provider);
		resolverd__v1__mx_host__init(&mx[i]);
		mx[i].preference = 10;
		mx[i].name = names[i];
		mx_list[i] = &mx[i];
	}
	if (varies) {
		size_t length = number * 2654435761u % CHURN_REASON_MAX;
		memset(reason, 'r', length);
		reason[length] = '\0';
		route.reason = reason;
	}
	facts->data_case = RESOLVERD__WORKER__FACTS__DATA_ROUTE;
	facts->route = &route;
	put_facts(stage, facts);
}

static void tell_host(struct stage *stage, Resolverd__Worker__Facts *facts)
{
	char owner[NAME_BYTES];
	uint8_t digest[crypto_generichash_BYTES];
	Resolverd__V1__Address four = RESOLVERD__V1__ADDRESS__INIT,
			       six = RESOLVERD__V1__ADDRESS__INIT, *addresses[] = {&four, &six};
	Resolverd__V1__Tlsa tlsa = RESOLVERD__V1__TLSA__INIT, *set[] = {&tlsa};
	Resolverd__V1__Host host = RESOLVERD__V1__HOST__INIT;
	const char *name = facts->question->name;
	crypto_generichash(digest, sizeof digest, (const uint8_t *)name, strlen(name), NULL, 0);
	four.status = six.status = V1(STATUS__SECURE);
	four.ip = (ProtobufCBinaryData){.len = 4, .data = digest};
	six.ip = (ProtobufCBinaryData){.len = 16, .data = digest};
	tlsa.usage = 3;
	tlsa.selector = tlsa.matching_type = 1;
	tlsa.data = (ProtobufCBinaryData){.len = sizeof digest, .data = digest};
	snprintf(owner, sizeof owner, "_%u._tcp.%s", facts->question->port, name);
	host.policy = V1(POLICY__DANE);
	host.reason = V1(HOST_REASON__TLSA_USABLE);
	host.address_status = V1(STATUS__SECURE);
	host.addresses = addresses;
	host.n_addresses = 2;
	host.tlsa_status = V1(TLSA_STATUS__TLSA_SECURE);
	host.tlsa_base = facts->question->name;
	host.tlsa_owner = owner;
	host.tlsa = set;
	host.n_tlsa = 1;
	facts->data_case = RESOLVERD__WORKER__FACTS__DATA_HOST;
	facts->host = &host;
	put_facts(stage, facts);
}

static void do_job(struct stage *stage, const struct frame *frame)
{
	Resolverd__Worker__Facts facts = RESOLVERD__WORKER__FACTS__INIT;
	Resolverd__Worker__Job *job =
	    resolverd__worker__job__unpack(NULL, frame->body_bytes, frame->body);
	if (job == NULL || job->question == NULL)
		die("not a job");
	facts.id = job->id;
	facts.question = job->question;
	facts.life_ms = LIFE_MS;
	if (job->question->kind == V1(KIND__ROUTE))
		tell_route(stage, &facts);
	else
		tell_host(stage, &facts);
	resolverd__worker__job__free_unpacked(job, NULL);
}

static void send_facts(struct stage *stage)
{
	for (size_t at = 0; at < stage->out_used;) {
		ssize_t n = send(stage->jobs, stage->out + at, stage->out_used - at, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			die("the role takes no facts");
		at += n > 0 ? (size_t)n : 0;
	}
	stage->out_used = 0;
}

static void do_jobs(struct stage *stage)
{
	struct frame frame;
	size_t at = 0;
	ssize_t n = read(stage->jobs, stage->in + stage->in_used, IN_BYTES - stage->in_used);
	if (n <= 0)
		die("the role wants no worker any more");
	stage->in_used += (size_t)n;
	while (frame_parse(stage->in + at, stage->in_used - at, FRAME_MAX_REQUEST_BYTES, &frame) ==
	       FRAME_COMPLETE) {
		do_job(stage, &frame);
		at += frame.whole_bytes;
	}
	memmove(stage->in, stage->in + at, stage->in_used - at);
	stage->in_used -= at;
	send_facts(stage);
}

/* ---- the supervisor ---- */

static void give_worker(struct stage *stage)
{
	int pair[2];
	struct link_message message = {.type = LINK_WORKER, .pid = getpid()};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 ||
	    link_send(stage->channel, &message, pair[0]) != 0)
		die("cannot hand over a worker");
	close(pair[0]);
	stage->jobs = pair[1];
	put_self_check(stage);
	send_facts(stage);
}

static void listen_to_role(struct stage *stage)
{
	struct link_message message, answer = {.type = LINK_DELEGATION};
	int fd, r;
	while ((r = link_receive(stage->channel, &message, &fd)) == 1) {
		if (message.type == LINK_READY)
			continue;
		if (message.type != LINK_DELEGATE) {
			fprintf(stderr, "stage: the role gave up its worker\n");
			exit(1);
		}
		answer.bytes_count = (uint32_t)longterm_delegate(&stage->longterm, "bench", LIFE_MS,
		    message.bytes, wall_ms(), answer.bytes, sizeof answer.bytes);
		if (link_send(stage->channel, &answer, -1) != 0)
			die("cannot delegate");
		if (stage->jobs >= 0)
			continue;
		give_worker(stage);
		printf("%d\n", (int)stage->pid);
		fflush(stdout);
	}
	if (r != -EAGAIN)
		die("the role has ended");
}

static void let_everyone_in(struct stage *stage)
{
	struct link_message message = {
	    .type = LINK_ACCESS, .bytes_count = sizeof(struct access_list)};
	if (link_send(stage->channel, &message, -1) != 0)
		die("cannot tell who may ask");
}

/* Where the role keeps its snapshot; first of all, as the supervisor does it. */
static void hand_over_snapshots(struct stage *stage, const char *directory)
{
	struct link_message message = {.type = LINK_SNAPSHOT};
	int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	message.bytes_count =
	    (uint32_t)longterm_derive(&stage->longterm, "resolverd bench", message.bytes);
	if (fd < 0 || link_send(stage->channel, &message, fd) != 0)
		die(directory);
	close(fd);
}

static int high(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, FD_HIGH);
	if (fd < 0 || moved < 0)
		die("descriptors");
	close(fd);
	return moved;
}

static int listen_at(const char *path, const char *suffix)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = high(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s%s", path, suffix) >=
		sizeof address.sun_path ||
	    bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0)
		die(path);
	return fd;
}

static void start_role(struct stage *stage, char **command, const int fds[4])
{
	pid_t parent = getpid();
	stage->pid = fork();
	if (stage->pid < 0)
		die("fork");
	if (stage->pid > 0)
		return;
	role_die_with_parent(parent);
	for (int i = 0; i < 4; i++)
		if (dup2(fds[i], ROLE_FD_CHANNEL + i) < 0)
			die("descriptors");
	execvp(command[0], command);
	die(command[0]);
}

static void start(struct stage *stage, const char *path, const char *snapshots, char **command)
{
	int pair[2];
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0)
		die("socket pair");
	int fds[] = {high(pair[1]), high(memfd_create("config", 0)), listen_at(path, ""),
	    listen_at(path, ".control")};
	stage->channel = high(pair[0]);
	start_role(stage, command, fds);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	if (snapshots != NULL)
		hand_over_snapshots(stage, snapshots);
	let_everyone_in(stage);
}

static int end(struct stage *stage)
{
	int status;
	signal(SIGALRM, SIG_DFL);
	alarm(END_S); /* the role dies with this process */
	kill(stage->pid, SIGTERM);
	if (waitpid(stage->pid, &status, 0) != stage->pid)
		die("wait");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"socket", 1, NULL, 's'},
	    {"public-key", 1, NULL, 'p'}, {"key-file", 1, NULL, 'k'}, {"providers", 1, NULL, 'n'},
	    {"snapshots", 1, NULL, 'd'}, {0}};
	static struct stage stage = {.providers = 1000, .jobs = -1};
	struct config config = {0};
	char error[700];
	const char *path = NULL, *snapshots = NULL;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	for (int option; (option = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
		if (option == 's')
			path = optarg;
		else if (option == 'p')
			config.signing.public_key_file = optarg;
		else if (option == 'k')
			config.signing.key_file = optarg;
		else if (option == 'd')
			snapshots = optarg;
		else if (option == 'n')
			stage.providers = strtoul(optarg, NULL, 10);
		else
			return 64;
	}
	if (path == NULL || config.signing.public_key_file == NULL ||
	    config.signing.key_file == NULL || stage.providers == 0 || optind == argc)
		return 64;
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_terminate}, NULL);
	if (sodium_init() < 0 ||
	    longterm_open(&stage.longterm, &config, "", true, error, sizeof error) != 0 ||
	    longterm_publish(
		&stage.longterm, config.signing.public_key_file, error, sizeof error) != 0)
		die(error);
	start(&stage, path, snapshots, argv + optind);
	while (!stopping) {
		struct pollfd fds[] = {
		    {.fd = stage.channel, .events = POLLIN}, {.fd = stage.jobs, .events = POLLIN}};
		if (poll(fds, 2, LOOK_MS) < 0)
			continue;
		if (fds[0].revents != 0)
			listen_to_role(&stage);
		if (fds[1].revents != 0)
			do_jobs(&stage);
	}
	return end(&stage);
}
