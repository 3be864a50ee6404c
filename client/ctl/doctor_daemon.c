/* SPDX-License-Identifier: BSD-3-Clause */
/* What the daemon says of itself, whether its words verify, and what it finds when it is asked. */
#include <ldns/ldns.h>
#include <stdio.h>
#include <string.h>

#include "client/ctl/ctl.h"
#include "client/ctl/doctor.h"
#include "client/lib/clock.h"
#include "client/lib/keys.h"
#include "proto/rrtype.h"

#define NEW_DAEMON_MS 600000u /* its first look at the root's keys may take so long */
#define DNSKEY_REVOKE 0x0080u /* RFC 5011 section 3 */
#define DNSKEY_SEP 0x0001u    /* RFC 4034 section 2.1.1 */

/* ---- status ---- */

static void report_no_status(struct doctor *doctor, int error)
{
	const char *detail = resolverd_last_error(doctor->client);
	if (error == RESOLVERD_ERROR_PUBLIC_KEY) {
		doctor_report(doctor, DOCTOR_SKIP, "daemon", doctor->socket,
		    "not asked: without a public key nothing it says can be verified");
		return;
	}
	doctor_report(doctor, DOCTOR_FAIL, "daemon", doctor->socket, "%s%s%s",
	    resolverd_strerror(error), detail[0] != '\0' ? ": " : "", detail);
	if (strstr(detail, "allow-users") != NULL)
		doctor_advise(doctor,
		    "let this user in: server.allow-users or server.allow-groups, then systemctl "
		    "reload resolverd");
	else if (error == RESOLVERD_ERROR_TIMEOUT || error == RESOLVERD_ERROR_BUSY)
		doctor_advise(doctor, "see what it does: journalctl -u resolverd; systemctl "
				      "restart resolverd");
	else
		doctor_advise(doctor, "mend the socket (above); then journalctl -u resolverd");
}

static void report_checks(struct doctor *doctor)
{
	const struct resolverd_daemon_status *status = doctor->status;
	for (size_t i = 0; i < status->check_count; i++) {
		const struct resolverd_check *check = &status->checks[i];
		bool is_root = strcmp(check->name, "root") == 0;
		doctor->root_is_secure = doctor->root_is_secure || (is_root && check->good);
		if (check->good)
			continue;
		doctor_report(doctor, DOCTOR_FAIL, "daemon", check->name, "%s", check->detail);
		if (is_root)
			doctor_advise(doctor,
			    "open UDP and TCP port 53 outwards, or name a resolver that passes "
			    "DNSSEC data in resolver.forward; see the dns- checks below");
		else if (strcmp(check->name, "clock") == 0)
			doctor_advise(doctor, "set the clock and keep it right: NTP");
		else
			doctor_advise(doctor, "journalctl -u resolverd says more; "
					      "docs/OPERATIONS.md, \"Does validation work?\"");
	}
}

static void report_daemon(struct doctor *doctor)
{
	const struct resolverd_daemon_status *status = doctor->status;
	char workers[64];
	snprintf(
	    workers, sizeof workers, "%u of %u workers", status->workers, status->workers_wanted);
	if (!status->ready) {
		doctor_report(doctor, DOCTOR_FAIL, "daemon", doctor->socket,
		    "resolverd %s, member %s, %s, NOT READY: %s", status->version, status->member,
		    workers, status->not_ready_reason);
		doctor_advise(doctor, "mend what the next lines name");
	} else if (strcmp(status->version, resolverd_version()) != 0) {
		doctor_report(doctor, DOCTOR_WARN, "daemon", doctor->socket,
		    "resolverd %s, member %s, %s, ready; but resolverctl is %s", status->version,
		    status->member, workers, resolverd_version());
		doctor_advise(doctor, "systemctl restart resolverd, if it was upgraded");
	} else {
		doctor_report(doctor, DOCTOR_OK, "daemon", doctor->socket,
		    "resolverd %s, member %s, %s, ready", status->version, status->member, workers);
	}
	report_checks(doctor);
}

/* ---- who signs ---- */

static bool is_in_key_file(const struct doctor *doctor, const char *signed_by)
{
	struct trusted_keys keys;
	char detail[DETAIL_MAX], text[KEY_ID_HEX_CHARS];
	uint8_t id[KEY_ID_BYTES];
	if (trusted_keys_load(doctor->public_key, &keys, detail) != 0)
		return false;
	for (size_t i = 0; i < keys.count; i++) {
		key_id_of(keys.keys[i], id);
		sodium_bin2hex(text, sizeof text, id, sizeof id);
		if (strcmp(text, signed_by) == 0)
			return true;
	}
	return false;
}

static void report_signer(struct doctor *doctor)
{
	const struct resolverd_daemon_status *status = doctor->status;
	const struct resolverd_delegation *known = NULL;
	for (size_t i = 0; i < status->delegation_count; i++) {
		const struct resolverd_delegation *one = &status->delegations[i];
		if (one->trusted) {
			doctor_report(doctor, DOCTOR_OK, "signatures", doctor->public_key,
			    "key %s vouches for the daemon's key %s until %s", one->signed_by,
			    one->key_id, output_time(one->not_after_ms));
			return;
		}
		if (is_in_key_file(doctor, one->signed_by))
			known = one;
	}
	if (known != NULL) {
		doctor_report(doctor, DOCTOR_FAIL, "signatures", doctor->public_key,
		    "the right key, but what it signed does not hold now: %s to %s",
		    output_time(known->not_before_ms), output_time(known->not_after_ms));
		doctor_advise(doctor, "set the clock here and there (NTP); else systemctl restart "
				      "resolverd");
		return;
	}
	doctor_report(doctor, DOCTOR_FAIL, "signatures", doctor->public_key,
	    "not the key of this daemon, which is %s: every client refuses its answers",
	    status->delegation_count > 0 ? status->delegations[0].signed_by : "unknown");
	doctor_advise(doctor, "copy the file that signing.public-key-file names, from a source you "
			      "trust; or name it by --public-key");
}

void doctor_check_daemon(struct doctor *doctor)
{
	int r = resolverd_status(doctor->client, doctor->timeout_ms, &doctor->status);
	if (r != 0) {
		doctor->status = NULL;
		report_no_status(doctor, r);
		return;
	}
	doctor->status_at_ms = clock_wall_ms();
	report_daemon(doctor);
	report_signer(doctor);
}

/* ---- the root's keys ---- */

static bool is_trusted(const struct resolverd_daemon_status *status, unsigned tag)
{
	for (size_t i = 0; i < status->trust_anchor_key_tag_count; i++)
		if (status->trust_anchor_key_tags[i] == tag)
			return true;
	return false;
}

struct published { /* key signing keys of the root */
	unsigned known;
	char known_text[80], unknown_text[80];
};

static void add_tag(char text[80], unsigned tag)
{
	size_t used = strlen(text);
	snprintf(text + used, 80 - used, "%s%u", used > 0 ? ", " : "", tag);
}

static void sort_keys(const struct doctor *doctor, const struct resolverd_records *records,
    struct published *ret_published)
{
	*ret_published = (struct published){0};
	for (size_t i = 0; i < records->answer_count; i++) {
		const struct resolverd_rrset *rrset = &records->answer[i];
		for (size_t j = 0; j < rrset->rdata_count; j++) {
			const struct resolverd_rdata *rdata = &rrset->rdata[j];
			if (rdata->count < 4)
				continue;
			unsigned flags = (unsigned)rdata->bytes[0] << 8 | rdata->bytes[1];
			if ((flags & DNSKEY_SEP) == 0 || (flags & DNSKEY_REVOKE) != 0)
				continue;
			unsigned tag = ldns_calc_keytag_raw(rdata->bytes, rdata->count);
			bool known = is_trusted(doctor->status, tag);
			ret_published->known += known;
			add_tag(
			    known ? ret_published->known_text : ret_published->unknown_text, tag);
		}
	}
}

/* "checked 2026-… (3 hours ago)" */
static void report_keys(struct doctor *doctor, const struct published *published)
{
	const uint64_t checked_ms = doctor->status->trust_anchor_checked_at_ms;
	const char *checked = checked_ms != 0 ? output_when(checked_ms) : "never";
	bool is_new = doctor->status->now_ms - doctor->status->started_at_ms < NEW_DAEMON_MS;
	if (doctor->status->trust_anchor_key_tag_count > 0 && published->known == 0) {
		doctor_report(doctor, DOCTOR_FAIL, "trust-anchor", NULL,
		    "none of the keys it trusts is published at the root, which has %s",
		    published->unknown_text);
		doctor_advise(doctor,
		    "upgrade dns-root-data, or the file of resolver.trust-anchor-file, and "
		    "systemctl restart resolverd");
	} else if (checked_ms == 0 && !is_new) {
		doctor_report(doctor, DOCTOR_WARN, "trust-anchor", NULL,
		    "the root's keys were never checked (RFC 5011): a rollover would be missed");
		doctor_advise(doctor,
		    "see journalctl -u resolverd, and that server.state-directory "
		    "can be written");
	} else if (doctor->status->trust_anchor_key_tag_count == 0) {
		doctor_report(doctor, DOCTOR_OK, "trust-anchor", NULL,
		    "the root validates; RFC 5011 has not begun yet");
	} else if (published->unknown_text[0] != '\0') {
		doctor_report(doctor, DOCTOR_WARN, "trust-anchor", NULL,
		    "trusted root keys %s; published and not trusted yet: %s; checked %s",
		    published->known_text, published->unknown_text, checked);
		doctor_advise(doctor, "nothing, if it is new: RFC 5011 trusts it after 30 days; "
				      "else upgrade dns-root-data and restart resolverd");
	} else {
		doctor_report(doctor, DOCTOR_OK, "trust-anchor", NULL,
		    "trusted root keys %s, all that are published; checked %s",
		    published->known_text, checked);
	}
}

void doctor_check_trust_anchor(struct doctor *doctor)
{
	struct resolverd_records *records;
	struct published published;
	if (doctor->status == NULL) {
		doctor_report(doctor, DOCTOR_SKIP, "trust-anchor", NULL, "no word of the daemon");
		return;
	}
	if (resolverd_records(doctor->client, ".", TYPE_DNSKEY, doctor->timeout_ms, &records) !=
	    0) {
		doctor_report(doctor, DOCTOR_SKIP, "trust-anchor", NULL, "%s",
		    resolverd_last_error(doctor->client));
		return;
	}
	sort_keys(doctor, records, &published);
	if (records->status == RESOLVERD_SECURE) {
		report_keys(doctor, &published);
	} else {
		doctor_report(doctor, DOCTOR_FAIL, "trust-anchor", NULL,
		    "the root's keys are %s: %s", resolverd_status_text(records->status),
		    records->reason);
		doctor_advise(doctor,
		    "see the dns- checks and the clock below; else upgrade dns-root-data (the file "
		    "of resolver.trust-anchor-file)");
	}
	resolverd_records_free(records);
}

/* ---- lookups ---- */

static void advise_lookup(struct doctor *doctor, enum resolverd_status status)
{
	if (status == RESOLVERD_INSECURE)
		doctor_advise(doctor, "is there a zone section that declares it insecure? See "
				      "resolverctl status");
	else
		doctor_advise(doctor, "see the dns- checks; resolverctl lookup, and "
				      "journalctl -u resolverd, say more");
}

void doctor_check_lookups(struct doctor *doctor)
{
	static const struct {
		const char *name;
		unsigned type;
	} rows[] = {{".", TYPE_SOA}, {"com", TYPE_DNSKEY}, {"org", TYPE_DNSKEY}};
	char good[128] = "";
	if (doctor->status == NULL) {
		doctor_report(doctor, DOCTOR_SKIP, "lookups", NULL, "no word of the daemon");
		return;
	}
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct resolverd_records *records;
		char what[32], type[RRTYPE_TEXT_MAX];
		rrtype_text(rows[i].type, type);
		snprintf(what, sizeof what, "%s %s", rows[i].name, type);
		int r = resolverd_records(
		    doctor->client, rows[i].name, rows[i].type, doctor->timeout_ms, &records);
		if (r != 0) {
			doctor_report(doctor, DOCTOR_FAIL, "lookups", what, "%s: %s",
			    resolverd_strerror(r), resolverd_last_error(doctor->client));
			advise_lookup(doctor, RESOLVERD_ERROR);
			continue;
		}
		if (records->status == RESOLVERD_SECURE) {
			snprintf(good + strlen(good), sizeof good - strlen(good), "%s%s",
			    good[0] != '\0' ? ", " : "", what);
		} else {
			doctor_report(doctor, DOCTOR_FAIL, "lookups", what, "%s%s%s",
			    resolverd_status_text(records->status),
			    records->reason[0] != '\0' ? ": " : "", records->reason);
			advise_lookup(doctor, records->status);
		}
		resolverd_records_free(records);
	}
	if (good[0] != '\0')
		doctor_report(doctor, DOCTOR_OK, "lookups", good,
		    "secure, signed by the daemon, and verified here");
}

void doctor_check_domain(struct doctor *doctor)
{
	struct resolverd_plan *plan;
	if (doctor->domain == NULL || doctor->status == NULL)
		return;
	int r = resolverd_plan(doctor->client, doctor->domain, 25, doctor->timeout_ms, &plan);
	if (r != 0) {
		doctor_report(doctor, DOCTOR_FAIL, "domain", doctor->domain, "%s: %s",
		    resolverd_strerror(r), resolverd_last_error(doctor->client));
		doctor_advise(doctor, "resolverctl explain %s", doctor->domain);
		return;
	}
	bool good = plan->outcome == RESOLVERD_DELIVER;
	doctor_report(doctor, good ? DOCTOR_OK : DOCTOR_WARN, "domain", doctor->domain,
	    "%s, first host %s: %s", resolverd_outcome_text(plan->outcome),
	    plan->host_count > 0 ? resolverd_policy_text(plan->hosts[0].policy) : "none",
	    plan->reason);
	if (!good)
		doctor_advise(doctor, "resolverctl explain %s", doctor->domain);
	resolverd_plan_free(plan);
}
