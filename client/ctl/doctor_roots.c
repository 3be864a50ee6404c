/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way out: some root servers are asked directly, as the daemon's workers ask, over UDP with
 * small, common and large room for the reply, and over TCP. One server's trouble is a warning; that
 * of all of them a failure, unless the daemon validates the root all the same: then it goes another
 * way (resolver.forward), and this one may well be closed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/ctl/doctor.h"
#include "client/ctl/doctor_dns.h"
#include "proto/rrtype.h"

#define FROM_HINTS 2u
#define PATIENCE_MS 1500
#define DNS_PORT 53
#define SMALL_ROOM 512u
#define COMMON_ROOM 1232u /* what libunbound offers, so that nothing is fragmented */
#define LARGE_ROOM 4096u

struct root { /* what one server does; errors are 0 or -errno */
	union serve_address address;
	char text[SERVE_ADDRESS_TEXT];
	int udp, common, large, tcp;
	size_t common_bytes, large_bytes, tcp_bytes;
	unsigned rcode;
	bool is_signed, is_authoritative;
	bool only_small; /* answers come when they are small: nothing is known of signatures */
	uint64_t inception_s, expiration_s;
};

struct roots {
	struct root root[DOCTOR_ROOT_SERVERS_MAX];
	size_t count;
	bool other_way; /* no server answers us, but the daemon validates the root */
};

/* ---- which ---- */

static bool add(struct roots *roots, const char *text)
{
	struct root *root = &roots->root[roots->count];
	if (!serve_take_address(text, DNS_PORT, &root->address))
		return false;
	serve_address_text(&root->address, root->text);
	roots->count++;
	return true;
}

/* "A.ROOT-SERVERS.NET. 3600000 A 198.41.0.4", with or without a class. */
static void add_hint(struct roots *roots, const char *family, char *line)
{
	char *save, *last = NULL, *type = NULL;
	for (char *word = strtok_r(line, " \t\r\n", &save); word != NULL && word[0] != ';';
	     word = strtok_r(NULL, " \t\r\n", &save)) {
		type = last;
		last = word;
	}
	if (type != NULL && strcmp(type, family) == 0)
		add(roots, last);
}

/* A way for it to the outside. */
static bool has_ipv4(void)
{
	const struct sockaddr_in outside = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc6290004u), .sin_port = htons(53)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool has_route =
	    fd >= 0 && connect(fd, (const struct sockaddr *)&outside, sizeof outside) == 0;
	if (fd >= 0)
		close(fd);
	return has_route;
}

static bool take_servers(struct doctor *doctor, struct roots *roots)
{
	char line[256];
	for (size_t i = 0; i < doctor->root_server_count; i++)
		if (!add(roots, doctor->root_servers[i])) {
			doctor_report(
			    doctor, DOCTOR_FAIL, "dns-udp", doctor->root_servers[i], "no address");
			doctor_advise(doctor, "--root-server ADDRESS[:PORT]");
		}
	FILE *file = doctor->root_server_count == 0 ? fopen(doctor->root_hints, "re") : NULL;
	const bool by_ipv4 = has_ipv4();
	for (unsigned i = 0; i < 2 && file != NULL && roots->count == 0; i++) {
		const char *family = (i == 0) == by_ipv4 ? "A" : "AAAA";
		rewind(file);
		while (roots->count < FROM_HINTS && fgets(line, sizeof line, file) != NULL)
			add_hint(roots, family, line);
	}
	if (file != NULL)
		fclose(file);
	if (roots->count == 0 && doctor->root_server_count == 0) {
		doctor_report(doctor, DOCTOR_WARN, "dns-udp", doctor->root_hints,
		    "no root server's address found there: the way out is not tried");
		doctor_advise(doctor, "apt-get install dns-root-data, or name --root-hints FILE or "
				      "--root-server ADDRESS");
	}
	return roots->count > 0;
}

/* ---- asking ---- */

static int ask(const struct root *root, unsigned type, unsigned room, bool tcp,
    ldns_pkt **ret_reply, size_t *ret_bytes)
{
	const struct doctor_question question = {
	    .name = ".", .type = type, .room = room, .tcp = tcp, .patience_ms = PATIENCE_MS};
	return doctor_ask(&root->address, &question, ret_reply, ret_bytes);
}

static int ask_size(
    const struct root *root, unsigned type, unsigned room, bool tcp, size_t *ret_bytes)
{
	ldns_pkt *reply;
	int r = ask(root, type, room, tcp, &reply, ret_bytes);
	if (r == 0)
		ldns_pkt_free(reply);
	return r;
}

/* 0: there is none. */
static uint64_t time_of(const ldns_rdf *rdf)
{
	return rdf != NULL && ldns_rdf_size(rdf) == sizeof(uint32_t) ? ldns_rdf2native_int32(rdf)
								     : 0;
}

static void take_signatures(struct root *root, const ldns_pkt *reply)
{
	ldns_rr_list *answer = ldns_pkt_answer(reply);
	for (size_t i = 0; answer != NULL && i < ldns_rr_list_rr_count(answer); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(answer, i);
		if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_RRSIG)
			continue;
		uint64_t inception_s = time_of(ldns_rr_rrsig_inception(rr)),
			 expiration_s = time_of(ldns_rr_rrsig_expiration(rr));
		if (inception_s == 0 || expiration_s == 0)
			continue;
		root->is_signed = true;
		root->inception_s = inception_s;
		root->expiration_s = expiration_s;
	}
}

static void ask_root(struct root *root)
{
	ldns_pkt *reply;
	size_t bytes;
	root->udp = ask(root, TYPE_SOA, COMMON_ROOM, false, &reply, &bytes);
	if (root->udp == 0) {
		root->rcode = ldns_pkt_get_rcode(reply);
		root->is_authoritative = ldns_pkt_aa(reply);
		take_signatures(root, reply);
		ldns_pkt_free(reply);
	} else if (root->udp == -ETIMEDOUT && /* perhaps it is the signature's size */
		   ask_size(root, TYPE_SOA, SMALL_ROOM, false, &bytes) == 0) {
		root->udp = 0;
		root->only_small = true;
	}
	if (root->udp == 0) {
		root->common = ask_size(root, TYPE_DNSKEY, COMMON_ROOM, false, &root->common_bytes);
		root->large = ask_size(root, TYPE_DNSKEY, LARGE_ROOM, false, &root->large_bytes);
	}
	root->tcp = ask_size(root, TYPE_DNSKEY, LARGE_ROOM, true, &root->tcp_bytes);
}

/* ---- telling ---- */

struct row { /* one check of all servers */
	const char *check;
	size_t asked, bad;
	char bad_text[256]; /* "198.41.0.4:53 (Connection refused)" */
	char good_text[256];
};

static void add_text(char text[256], const char *more, const char *why)
{
	size_t used = strlen(text);
	snprintf(text + used, 256 - used, "%s%s%s%s%s", used > 0 ? ", " : "", more,
	    why[0] != '\0' ? " (" : "", why, why[0] != '\0' ? ")" : "");
}

static void judge(struct row *row, const struct root *root, bool is_good, const char *why)
{
	row->asked++;
	row->bad += !is_good;
	add_text(is_good ? row->good_text : row->bad_text, root->text, why);
}

/* true: something is to be advised. */
static bool tell(struct doctor *doctor, const struct roots *roots, const struct row *row,
    const char *good, const char *bad)
{
	if (row->bad == 0) {
		doctor_report(doctor, DOCTOR_OK, row->check, row->good_text, "%s", good);
		return false;
	}
	bool is_warning = row->bad < row->asked || roots->other_way;
	doctor_report(doctor, is_warning ? DOCTOR_WARN : DOCTOR_FAIL, row->check, row->bad_text,
	    "%s%s", bad, roots->other_way ? "; the daemon validates the root by another way" : "");
	return true;
}

static void tell_udp(struct doctor *doctor, const struct roots *roots)
{
	struct row row = {.check = "dns-udp"};
	for (size_t i = 0; i < roots->count; i++) {
		const struct root *root = &roots->root[i];
		char rcode[32];
		snprintf(rcode, sizeof rcode, "rcode %u", root->rcode);
		judge(&row, root, root->udp == 0 && root->rcode == 0,
		    root->udp != 0     ? strerror(-root->udp)
		    : root->rcode != 0 ? rcode
				       : "");
	}
	if (tell(doctor, roots, &row, "answers over UDP", "no answer over UDP") && roots->other_way)
		doctor_advise(doctor, "nothing, if resolver.forward names a resolver; else open "
				      "UDP port 53 outwards");
	else if (row.bad > 0)
		doctor_advise(doctor, "open UDP port 53 outwards for user resolverd, or set "
				      "resolver.forward to a resolver that passes DNSSEC data");
}

static void tell_signatures(struct doctor *doctor, const struct roots *roots)
{
	struct row unsigned_row = {.check = "dns-signatures"},
		   foreign = {.check = "dns-intercepted"};
	for (size_t i = 0; i < roots->count; i++) {
		const struct root *root = &roots->root[i];
		if (root->udp != 0 || root->rcode != 0 || root->only_small)
			continue;
		judge(&unsigned_row, root, root->is_signed, "");
		judge(&foreign, root, root->is_authoritative, "");
	}
	if (unsigned_row.bad + strlen(unsigned_row.good_text) == 0)
		return;
	if (tell(doctor, roots, &unsigned_row, "DNSSEC signatures come with the answers",
		"no DNSSEC signatures come with the answers: something between strips them"))
		doctor_advise(doctor,
		    "switch off DNS inspection, \"DNS proxy\" or redirection of port 53 at the "
		    "firewall or router; else nothing validates");
	if (foreign.bad > 0 &&
	    tell(doctor, roots, &foreign, "",
		"not the root server answers (no AA bit): something between takes port 53"))
		doctor_advise(doctor, "end the redirection of port 53 for this host, or set "
				      "resolver.forward to a resolver you chose");
}

static void tell_large(struct doctor *doctor, const struct roots *roots)
{
	struct row common = {.check = "dns-large"}, large = {.check = "dns-large"};
	size_t asked = 0, most = 0;
	char good[128];
	for (size_t i = 0; i < roots->count; i++) {
		const struct root *root = &roots->root[i];
		if (root->udp != 0)
			continue;
		asked++;
		judge(&common, root, root->common == 0, "");
		judge(&large, root, root->large == 0, "");
		most = root->large == 0 && root->large_bytes > most ? root->large_bytes : most;
	}
	if (asked == 0)
		return;
	snprintf(good, sizeof good, "answers of up to %zu octets come over UDP", most);
	if (common.bad > 0) {
		tell(doctor, roots, &common, "",
		    "the root's keys don't come over UDP, smaller answers do: large ones are "
		    "dropped");
		doctor_advise(doctor, "let UDP answers of up to 1232 octets through (the "
				      "firewall's DNS inspection, the MTU); else set "
				      "unbound.edns-buffer-size = 512");
	} else if (large.bad > 0) {
		doctor_report(doctor, DOCTOR_WARN, "dns-large", large.bad_text,
		    "answers above 1232 octets are dropped");
		doctor_advise(doctor, "nothing, as long as unbound.edns-buffer-size is not set "
				      "above 1232");
	} else {
		tell(doctor, roots, &large, good, "");
	}
}

static void tell_tcp(struct doctor *doctor, const struct roots *roots)
{
	struct row row = {.check = "dns-tcp"};
	for (size_t i = 0; i < roots->count; i++)
		judge(&row, &roots->root[i], roots->root[i].tcp == 0,
		    roots->root[i].tcp != 0 ? strerror(-roots->root[i].tcp) : "");
	if (tell(doctor, roots, &row, "answers over TCP",
		"no answer over TCP: what does not fit into UDP can't be looked up"))
		doctor_advise(doctor, "open TCP port 53 outwards for user resolverd%s",
		    roots->other_way ? ", unless resolver.forward names a resolver" : "");
}

void doctor_check_roots(struct doctor *doctor)
{
	struct roots *roots = calloc(1, sizeof *roots);
	uint64_t inception_s = 0, expiration_s = 0;
	bool any = false;
	if (roots != NULL && take_servers(doctor, roots)) {
		for (size_t i = 0; i < roots->count; i++) {
			struct root *root = &roots->root[i];
			ask_root(root);
			any = any || root->udp == 0;
			inception_s = root->is_signed ? root->inception_s : inception_s;
			expiration_s = root->is_signed ? root->expiration_s : expiration_s;
		}
		roots->other_way = !any && doctor->root_is_secure;
		tell_udp(doctor, roots);
		tell_signatures(doctor, roots);
		tell_large(doctor, roots);
		tell_tcp(doctor, roots);
	}
	doctor_check_clock(doctor, inception_s, expiration_s);
	free(roots);
}
