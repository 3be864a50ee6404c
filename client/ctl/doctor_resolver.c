/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What programs that know DNS only get: each name server of a resolv.conf is asked as Postfix would
 * ask it. Whether it sets AD is one thing; whether what it says comes from this daemon another: it
 * is asked for a name that nobody has asked for, and then the daemon, whether it had looked it up.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "client/ctl/doctor.h"
#include "client/ctl/doctor_dns.h"
#include "client/lib/clock.h"
#include "client/postfix/probe.h"
#include "proto/rrtype.h"

#define FILE_MAX_BYTES 16384u
#define PATIENCE_MS 4000
#define ROOM 1232u
#define APART_MS 20 /* between the name server's lookup and ours, so that times tell them apart */

void doctor_probe_name(char ret_name[DOCTOR_PROBE_NAME_MAX])
{
	uint64_t number = 0;
	if (getrandom(&number, sizeof number, 0) != sizeof number)
		number = clock_wall_ms();
	snprintf(ret_name, DOCTOR_PROBE_NAME_MAX, "resolverd-doctor-%016llx",
	    (unsigned long long)number);
}

bool doctor_was_asked(struct doctor *doctor, const char *name)
{
	const struct timespec apart = {.tv_nsec = APART_MS * 1000000L};
	struct resolverd_records *records;
	uint64_t before_ms = clock_wall_ms();
	nanosleep(&apart, NULL);
	if (doctor->status == NULL ||
	    resolverd_records(doctor->client, name, TYPE_A, doctor->timeout_ms, &records) != 0)
		return false;
	bool was_asked = records->validated_at_ms <= before_ms;
	resolverd_records_free(records);
	return was_asked;
}

/* ---- resolv.conf ---- */

static int read_file(const char *path, char text[FILE_MAX_BYTES])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, text, FILE_MAX_BYTES - 1);
	int error = errno;
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n < 0 ? -error : 0;
}

static bool has_trust_ad(const char *text)
{
	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		const char *found = strstr(line, "trust-ad");
		if (strncmp(line, "options", 7) == 0 && found != NULL &&
		    memchr(line, '\n', (size_t)(found - line)) == NULL)
			return true;
	}
	return false;
}

/* ---- asking ---- */

static int ask(const union serve_address *server, const char *name, unsigned type, bool *ret_ad,
    unsigned *ret_rcode)
{
	const struct doctor_question question = {.name = name,
	    .type = type,
	    .room = ROOM,
	    .recursion = true,
	    .patience_ms = PATIENCE_MS};
	ldns_pkt *reply;
	size_t bytes;
	int r = doctor_ask(server, &question, &reply, &bytes);
	if (r != 0)
		return r;
	*ret_ad = ldns_pkt_ad(reply);
	*ret_rcode = ldns_pkt_get_rcode(reply);
	ldns_pkt_free(reply);
	return 0;
}

static void complain(struct doctor_resolver *resolver, const char *server, const char *what)
{
	if (resolver->problem[0] == '\0')
		snprintf(resolver->problem, sizeof resolver->problem, "%s %s", server, what);
}

static void ask_server(
    struct doctor *doctor, const union serve_address *server, struct doctor_resolver *resolver)
{
	char name[DOCTOR_PROBE_NAME_MAX], text[SERVE_ADDRESS_TEXT];
	bool ad = false;
	unsigned rcode = 0;
	size_t used = strlen(resolver->servers_text);
	serve_address_text(server, text);
	snprintf(resolver->servers_text + used, sizeof resolver->servers_text - used, "%s%s",
	    used > 0 ? ", " : "", text);
	resolver->servers++;
	int r = ask(server, ".", TYPE_NS, &ad, &rcode);
	if (r != 0) {
		complain(resolver, text, r == -ETIMEDOUT ? "does not answer" : strerror(-r));
		return;
	}
	if (rcode != 0 || !ad) {
		complain(resolver, text,
		    rcode == 2   ? "answers SERVFAIL"
		    : rcode != 0 ? "answers with an error"
				 : "does not validate (no AD bit for the root's NS records)");
		return;
	}
	resolver->validating++;
	doctor_probe_name(name);
	if (ask(server, name, TYPE_A, &ad, &rcode) == 0 && doctor_was_asked(doctor, name))
		resolver->ours++;
	else
		complain(resolver, text, "validates, but does not ask this resolverd");
}

bool doctor_ask_resolver(
    struct doctor *doctor, const char *path, struct doctor_resolver *ret_resolver)
{
	char text[FILE_MAX_BYTES];
	union serve_address servers[PROBE_SERVERS_MAX];
	bool has_bad;
	*ret_resolver = (struct doctor_resolver){0};
	int r = read_file(path, text);
	if (r != 0) {
		snprintf(ret_resolver->problem, sizeof ret_resolver->problem, "%s", strerror(-r));
		return false;
	}
	ret_resolver->trust_ad = has_trust_ad(text);
	size_t count = probe_servers(text, servers, &has_bad);
	for (size_t i = 0; i < count; i++)
		ask_server(doctor, &servers[i], ret_resolver);
	if (has_bad) {
		ret_resolver->servers++;
		complain(ret_resolver, "a name server", "is no address");
	}
	return true;
}

/* ---- of this host ---- */

/* Where no mail server is found that asks these servers, their trouble is nobody's. */
static enum doctor_result weight(const struct doctor *doctor, enum doctor_result result)
{
	return doctor->has_mail_server ? result : DOCTOR_SKIP;
}

void doctor_check_resolver(struct doctor *doctor)
{
	struct doctor_resolver found;
	const char *path = doctor->resolv_conf;
	if (!doctor_ask_resolver(doctor, path, &found)) {
		doctor_report(
		    doctor, weight(doctor, DOCTOR_WARN), "resolver", path, "%s", found.problem);
	} else if (found.ours == found.servers && found.trust_ad) {
		doctor_report(doctor, DOCTOR_OK, "resolver", path,
		    "%s: validates, and asks this resolverd; options trust-ad is set",
		    found.servers_text);
		return;
	} else if (found.ours == found.servers) {
		doctor_report(doctor, DOCTOR_WARN, "resolver", path,
		    "%s: validates, and asks this resolverd; but without options trust-ad glibc "
		    "hides the AD bit from Exim and others",
		    found.servers_text);
		doctor_advise(doctor, "echo 'options trust-ad' >> %s", path);
		return;
	} else if (found.ours > 0) {
		doctor_report(doctor, DOCTOR_WARN, "resolver", path,
		    "%s; programs ask it when another fails: its answer takes the place of every "
		    "refusal",
		    found.problem);
		doctor_advise(
		    doctor, "leave one nameserver line in %s: that of resolverd-stub", path);
		return;
	} else {
		doctor_report(doctor, weight(doctor, DOCTOR_WARN), "resolver", path, "%s%s",
		    found.problem,
		    doctor->has_mail_server ? ""
					    : "; that matters to programs that do DANE by the AD "
					      "bit, and none was found");
	}
	doctor_advise(doctor,
	    "if a program here does DANE by itself: systemctl enable --now resolverd-stub.socket, "
	    "and \"nameserver 127.0.0.1\" with \"options trust-ad\" and no other nameserver in %s",
	    path);
}
