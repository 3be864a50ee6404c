/* SPDX-License-Identifier: BSD-3-Clause */
/* What people are told to mend: one row a cause, with the texts that libunbound really says. */
#include <stdio.h>

#include "client/lib/diagnosis.h"
#include "proto/combine.h"
#include "tests/unit/answers.h"
#include "tests/unit/test.h"

#define MX "mx.example.org"
#define OWNER "_25._tcp.mx.example.org"
#define BOGUS(why) "validation failure <" OWNER ". TLSA IN>: " why

static struct resolverd_memory *memory;

static int setup(void **state)
{
	(void)state;
	memory = memory_new();
	return memory == NULL;
}

static int teardown(void **state)
{
	(void)state;
	memory_free(memory);
	return 0;
}

/* ---- making a step ---- */

static struct resolverd_lookup lookup_of(
    const char *name, unsigned type, enum resolverd_status status, const char *reason)
{
	return (struct resolverd_lookup){
	    .records = {.name = name, .type = (uint16_t)type, .status = status, .reason = reason}};
}

static struct resolverd_rrset rrset_of(const char *owner, unsigned type, bool is_signed)
{
	/* An RRSIG by the zone example.org, valid in 1970. */
	static const uint8_t rrsig[] = {0, 52, 13, 4, 0, 0, 1, 44, 0, 0, 0, 200, 0, 0, 0, 100, 1, 2,
	    7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 3, 'o', 'r', 'g', 0, 9, 9};
	struct resolverd_rdata *signature = memory_alloc(memory, 1, sizeof *signature);
	*signature = (struct resolverd_rdata){rrsig, sizeof rrsig};
	return (struct resolverd_rrset){
	    .owner = owner, .type = (uint16_t)type, .rrsig = signature, .rrsig_count = is_signed};
}

struct actor {
	Resolverd__V1__Answer *answer;
	struct resolverd_host host, before;
	struct resolverd_step step;
};

static void host_step(struct actor *actor, int reason, int combined,
    const struct resolverd_lookup *lookups, size_t count)
{
	*actor = (struct actor){.answer = new_host(memory, MX)};
	actor->answer->host->reason = (Resolverd__V1__HostReason)reason;
	actor->answer->host->reason_text = memory_string(memory, "");
	actor->before = (struct resolverd_host){.name = MX,
	    .reason = host_reason_text(reason),
	    .policy = RESOLVERD_DANE,
	    .address_status = RESOLVERD_SECURE,
	    .tlsa_owner = OWNER};
	actor->host = (struct resolverd_host){.name = MX, .reason = host_reason_text(combined)};
	actor->step = (struct resolverd_step){.kind = RESOLVERD_STEP_HOST,
	    .name = MX,
	    .host = &actor->host,
	    .before = &actor->before,
	    .lookups = lookups,
	    .lookup_count = count};
}

static bool has_note(const struct resolverd_step *step, const char *part)
{
	for (size_t i = 0; i < step->note_count; i++)
		if (strstr(step->notes[i], part) != NULL)
			return true;
	return false;
}

static void check_step(const char *what, const struct resolverd_step *step,
    enum resolverd_party party, const char *remedy, const char *noted)
{
	if (step->party != party || strstr(step->remedy, remedy) == NULL ||
	    (noted != NULL && !has_note(step, noted)))
		fail_msg("%s: %s: %s; first note: %s", what, resolverd_party_text(step->party),
		    step->remedy, step->note_count > 0 ? step->notes[0] : "none");
}

/* ---- lookups that fail ---- */

static const struct {
	unsigned type;
	enum resolverd_status status;
	const char *says;
	enum resolverd_party party;
	const char *remedy, *note;
} failures[] = {
    {TYPE_TLSA, RESOLVERD_BOGUS, BOGUS("signature expired from 127.53.3.49 and 127.53.3.49"),
	RESOLVERD_THEM, "renew the signatures of " OWNER " TLSA", "dig +dnssec +cd " OWNER " TLSA"},
    {TYPE_TLSA, RESOLVERD_BOGUS,
	BOGUS("signature expired from 127.53.3.42 for key example.org. while building chain of "
	      "trust"),
	RESOLVERD_THEM, "renew the signatures of example.org:", NULL},
    {TYPE_TLSA, RESOLVERD_BOGUS, BOGUS("signature before inception date from 127.53.3.51"),
	RESOLVERD_THEM, "lie in the future", NULL},
    {TYPE_TLSA, RESOLVERD_BOGUS,
	BOGUS("DS hash mismatches key from 127.53.3.41 for key example.org. while building chain "
	      "of trust"),
	RESOLVERD_THEM, "publish the right DS record of example.org at its parent", NULL},
    {TYPE_TLSA, RESOLVERD_BOGUS,
	BOGUS("key for validation wrong-ds.com. is marked as invalid because of a previous "
	      "validation failure <wrong-ds.com. MX IN>: DS hash mismatches key from 127.53.3.41 "
	      "for key wrong-ds.com. while building chain of trust"),
	RESOLVERD_THEM, "the right DS record of wrong-ds.com at", NULL},
    {TYPE_TLSA, RESOLVERD_BOGUS, BOGUS("no signatures from 127.53.3.46 and 127.53.3.46"),
	RESOLVERD_THEM, "cut out on the way", NULL},
    {TYPE_TLSA, RESOLVERD_BOGUS,
	BOGUS("no DNSSEC records from 127.53.3.47 for DS mx.example.org. while building chain of "
	      "trust"),
	RESOLVERD_THEM, "proofs of absence at mx.example.org:", NULL},
    {TYPE_TLSA, RESOLVERD_BOGUS, BOGUS("wildcard proof failed from 127.53.3.117"), RESOLVERD_THEM,
	"do not prove", NULL},
    {TYPE_TLSA, RESOLVERD_BOGUS, BOGUS("ECDSA signature verification failed from 127.53.3.50"),
	RESOLVERD_THEM, "not made by the zone's key", NULL},
    {TYPE_TLSA, RESOLVERD_BOGUS,
	BOGUS("key for validation . is marked as invalid because of a previous validation failure "
	      "<. DNSKEY IN>: no keys have a DS with algorithm RSASHA256 from 127.53.0.1 for trust "
	      "anchor . while building chain of trust"),
	RESOLVERD_US, "its trust anchor", NULL},
    {TYPE_TLSA, RESOLVERD_BOGUS, "something never seen", RESOLVERD_THEM,
	"mend the DNSSEC of " OWNER, NULL},
    {TYPE_TLSA, RESOLVERD_ERROR, "the name servers failed or could not be reached", RESOLVERD_THEM,
	"software or a firewall breaks on TLSA", NULL},
    {TYPE_TLSA, RESOLVERD_ERROR, "", RESOLVERD_THEM, "RFC 7672 section 2.1.2", NULL},
    {TYPE_TLSA, RESOLVERD_ERROR, "the CNAME chain is too long or loops", RESOLVERD_THEM,
	"chain of aliases that begins at " OWNER, NULL},
    {TYPE_A, RESOLVERD_ERROR, "the name servers failed or could not be reached", RESOLVERD_THEM,
	"make the name servers answer for " MX " A:", NULL},
    {TYPE_A, RESOLVERD_ERROR, "two CNAME records at one name (RFC 2181 section 10.1)",
	RESOLVERD_THEM, "leave one CNAME record at " MX, NULL},
    {TYPE_A, RESOLVERD_ERROR, "every signature has expired", RESOLVERD_THEM,
	"renew the signatures of " MX " A", NULL},
    {TYPE_A, RESOLVERD_ERROR, "the answer is malformed", RESOLVERD_THEM, "well-formed", NULL},
    {TYPE_A, RESOLVERD_ERROR, "the root key set does not validate", RESOLVERD_US, "trust anchor",
	NULL},
    {TYPE_A, RESOLVERD_ERROR, "out of memory", RESOLVERD_US, "more memory", NULL},
    /* An error that quotes bogus words is no bogus answer. */
    {TYPE_A, RESOLVERD_ERROR, "signature expired", RESOLVERD_THEM, "cannot be reached", NULL},
};

static void each_failure_says_what_is_broken_and_who_mends_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(failures); i++) {
		bool tlsa = failures[i].type == TYPE_TLSA;
		struct resolverd_lookup lookups[] = {lookup_of(MX, TYPE_AAAA, RESOLVERD_SECURE, ""),
		    lookup_of(
			tlsa ? OWNER : MX, failures[i].type, failures[i].status, failures[i].says)};
		int reason = tlsa ? V1(HOST_REASON__TLSA_FAILED) : V1(HOST_REASON__ADDRESS_FAILED);
		struct actor actor;
		host_step(&actor, reason, reason, lookups, 2);
		diagnose_host(memory, actor.answer, &actor.step);
		check_step(failures[i].says, &actor.step, failures[i].party, failures[i].remedy,
		    failures[i].note);
		assert_string_equal(actor.step.clause, "RFC 7672 section 2.1.2");
	}
}

static void without_lookups_the_answer_itself_tells_why(void **state)
{
	(void)state;
	static const struct {
		const char *says;
		enum resolverd_party party;
		const char *remedy;
	} rows[] = {
	    {"too much to do: no lookup was started within the deadline", RESOLVERD_US,
		"resolver.workers"},
	    {"quarantined: two workers died while working on it", RESOLVERD_US, "report"},
	    {"the answer expired while the others were looked up; ask again", RESOLVERD_US,
		"ask again"},
	    {"no answer within the deadline of the request", RESOLVERD_THEM, MX},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct actor actor;
		host_step(&actor, V1(HOST_REASON__NOT_READY), V1(HOST_REASON__NOT_READY), NULL, 0);
		actor.answer->host->reason_text = memory_string(memory, rows[i].says);
		diagnose_host(memory, actor.answer, &actor.step);
		check_step(rows[i].says, &actor.step, rows[i].party, rows[i].remedy, NULL);
	}
}

static void bogus_is_named_before_error(void **state)
{
	(void)state;
	struct resolverd_lookup lookups[] = {lookup_of(MX, TYPE_A, RESOLVERD_ERROR, "no answer"),
	    lookup_of(MX, TYPE_AAAA, RESOLVERD_BOGUS, "signature expired")};
	struct actor actor;
	host_step(
	    &actor, V1(HOST_REASON__ADDRESS_FAILED), V1(HOST_REASON__ADDRESS_FAILED), lookups, 2);
	diagnose_host(memory, actor.answer, &actor.step);
	check_step("bogus", &actor.step, RESOLVERD_THEM, MX " AAAA: they have expired", NULL);
}

static void signatures_that_come_along_tell_their_times(void **state)
{
	(void)state;
	struct resolverd_rrset answer = rrset_of(OWNER, TYPE_TLSA, true);
	struct resolverd_lookup lookups[] = {
	    lookup_of(OWNER, TYPE_TLSA, RESOLVERD_BOGUS, "signature expired")};
	struct actor actor;
	lookups[0].records.answer = &answer;
	lookups[0].records.answer_count = 1;
	host_step(&actor, V1(HOST_REASON__TLSA_FAILED), V1(HOST_REASON__TLSA_FAILED), lookups, 1);
	diagnose_host(memory, actor.answer, &actor.step);
	assert_true(has_note(&actor.step, "from 1970-01-01 00:01:40 to 1970-01-01 00:03:20 UTC"));
}

static void a_failed_family_that_was_not_needed_is_noted(void **state)
{
	(void)state;
	struct resolverd_lookup lookups[] = {lookup_of(MX, TYPE_A, RESOLVERD_SECURE, ""),
	    lookup_of(MX, TYPE_AAAA, RESOLVERD_ERROR, "SERVFAIL")};
	struct actor actor;
	host_step(&actor, V1(HOST_REASON__TLSA_DENIED), V1(HOST_REASON__TLSA_DENIED), lookups, 2);
	diagnose_host(memory, actor.answer, &actor.step);
	check_step(
	    "f14", &actor.step, RESOLVERD_THEM, "publish a TLSA record", "the AAAA lookup failed");
}

/* ---- data that is not signed ---- */

static void route_step(
    struct actor *actor, int kind, int mx_status, const struct resolverd_lookup *lookup)
{
	*actor = (struct actor){.answer = new_route(memory, "example.org")};
	actor->answer->route->kind = (Resolverd__V1__RouteKind)kind;
	actor->answer->route->mx_status = (Resolverd__V1__Status)mx_status;
	actor->step = (struct resolverd_step){.kind = RESOLVERD_STEP_ROUTE,
	    .name = "example.org",
	    .lookups = lookup,
	    .lookup_count = lookup != NULL};
}

/* An insecure MX answer, by way of so many aliases, is diagnosed. */
static void insecure_mx(struct actor *actor, const char *name, const struct resolverd_rrset *chain,
    size_t chain_count, struct resolverd_rrset answer)
{
	struct resolverd_lookup *lookup = memory_alloc(memory, 1, sizeof *lookup);
	struct resolverd_rrset *answers = memory_alloc(memory, 1, sizeof *answers);
	*answers = answer;
	*lookup = lookup_of(name, TYPE_MX, RESOLVERD_INSECURE, "");
	lookup->records.chain = chain;
	lookup->records.chain_count = chain_count;
	lookup->records.answer = answers;
	lookup->records.answer_count = 1;
	route_step(actor, V1(ROUTE_KIND__MX), V1(STATUS__INSECURE), lookup);
	diagnose_route(memory, actor->answer, &actor->step);
}

static void an_unsigned_mx_names_the_zone_to_sign(void **state)
{
	struct actor actor;
	(void)state;
	insecure_mx(&actor, "example.org", NULL, 0, rrset_of("example.org", TYPE_MX, false));
	check_step("unsigned", &actor.step, RESOLVERD_THEM, "sign the zone of example.org", NULL);
	assert_int_equal(actor.step.note_count, 0);
	insecure_mx(&actor, "example.org", NULL, 0, rrset_of("example.org", TYPE_MX, true));
	check_step("island", &actor.step, RESOLVERD_THEM,
	    "a DS record of example.org published at its parent", NULL);
}

/* C05: secure, insecure, secure. */
static void c05_the_hop_where_a_chain_turns_insecure_is_named(void **state)
{
	struct resolverd_rrset chain[] = {rrset_of("alias.example.org", TYPE_CNAME, true),
	    rrset_of("hop.example.net", TYPE_CNAME, false)};
	struct actor actor;
	(void)state;
	insecure_mx(&actor, "alias.example.org", chain, 2, rrset_of("example.com", TYPE_MX, true));
	check_step("chain", &actor.step, RESOLVERD_THEM, "sign the zone of hop.example.net",
	    "not signed from hop.example.net on");
}

/* C01: the CNAME that a signed DNAME makes is signed by it. */
static void c01_a_synthesised_cname_is_not_the_unsigned_hop(void **state)
{
	struct resolverd_rrset chain[] = {rrset_of("mail.old.example.org", TYPE_CNAME, false),
	    rrset_of("old.example.org", TYPE_DNAME, true)};
	struct actor actor;
	(void)state;
	insecure_mx(
	    &actor, "mail.old.example.org", chain, 2, rrset_of("mail.example.net", TYPE_MX, false));
	check_step("dname", &actor.step, RESOLVERD_THEM, "sign the zone of mail.example.net", NULL);
}

static void f09_a_secure_alias_of_insecure_addresses_is_noted(void **state)
{
	(void)state;
	struct resolverd_rrset chain[] = {rrset_of(MX, TYPE_CNAME, true)};
	struct resolverd_rrset answer = rrset_of("host.example.net", TYPE_A, false);
	struct resolverd_lookup lookups[] = {lookup_of(MX, TYPE_A, RESOLVERD_INSECURE, ""),
	    lookup_of(MX, TYPE_CNAME, RESOLVERD_SECURE, "")};
	lookups[0].records.chain = chain;
	lookups[0].records.chain_count = 1;
	lookups[0].records.answer = &answer;
	lookups[0].records.answer_count = 1;
	struct actor actor;
	host_step(&actor, V1(HOST_REASON__TLSA_USABLE), V1(HOST_REASON__TLSA_USABLE), lookups, 2);
	actor.before.address_status = RESOLVERD_INSECURE;
	diagnose_host(memory, actor.answer, &actor.step);
	check_step("f09", &actor.step, RESOLVERD_NOBODY, "nothing",
	    "not secure from host.example.net on: only TLSA records");
}

static void an_unproved_absence_of_tlsa_is_told_apart(void **state)
{
	(void)state;
	struct resolverd_rrset proof = rrset_of("hash.example.org", TYPE_NSEC3, true);
	struct resolverd_lookup lookups[] = {lookup_of(OWNER, TYPE_TLSA, RESOLVERD_INSECURE, "")};
	lookups[0].records.authority = &proof;
	lookups[0].records.authority_count = 1;
	struct actor actor;
	host_step(
	    &actor, V1(HOST_REASON__TLSA_NOT_SECURE), V1(HOST_REASON__TLSA_NOT_SECURE), lookups, 1);
	diagnose_host(memory, actor.answer, &actor.step);
	check_step("opt-out", &actor.step, RESOLVERD_THEM, "publish a TLSA record", "opt-out");
}

static void what_we_declared_insecure_is_ours_to_mend(void **state)
{
	(void)state;
	struct resolverd_rrset answer = rrset_of(MX, TYPE_A, true);
	struct resolverd_lookup lookups[] = {lookup_of(MX, TYPE_A, RESOLVERD_INSECURE, "")};
	lookups[0].records.answer = &answer;
	lookups[0].records.answer_count = 1;
	struct actor actor;
	host_step(&actor, V1(HOST_REASON__ADDRESS_NOT_SECURE), V1(HOST_REASON__ADDRESS_NOT_SECURE),
	    lookups, 1);
	Resolverd__V1__InsecureZone *zone = NEW(memory, InsecureZone, insecure_zone);
	zone->zone = memory_string(memory, "example.org");
	actor.answer->insecure_zones = &zone;
	actor.answer->n_insecure_zones = 1;
	diagnose_host(memory, actor.answer, &actor.step);
	check_step("insecure-until", &actor.step, RESOLVERD_US, "zone example.org insecure", NULL);
}

/* ---- TLSA sets ---- */

#define DIGEST 'd', 'd', 'd', 'd', 'd', 'd', 'd', 'd'
#define SHA256 DIGEST, DIGEST, DIGEST, DIGEST
#define SHA512 SHA256, SHA256

static const struct {
	const uint8_t record[70];
	size_t bytes;
	const char *note; /* NULL: it is used */
} records[] = {
    {{3, 1, 2, SHA512}, 67, NULL},
    {{3, 1, 1, SHA256}, 35, "TLSA 3 1 1 6464646464646464... is not used: the stronger digest"},
    {{2, 1, 1, SHA256}, 35, "TLSA 2 1 1 6464646464646464... is not used: its digest is switched"},
    {{1, 1, 1, SHA256}, 35, "TLSA 1 1 1 6464646464646464... is not used: usages 0 and 1"},
    {{4, 1, 1, SHA256}, 35, "TLSA 4 1 1 6464646464646464... is not used: its usage is unknown"},
    {{3, 2, 1, SHA256}, 35, "its selector is unknown"},
    {{3, 1, 7, SHA256}, 35, "its matching type is unknown"},
    {{3, 1, 1, DIGEST}, 11, "TLSA 3 1 1 6464646464646464 is not used: a SHA-256 digest has 32"},
    {{3, 1, 2, DIGEST}, 11, "TLSA 3 1 2 6464646464646464 is not used: a SHA-512 digest has 64"},
    {{3, 0, 0, DIGEST}, 11, "neither a certificate nor a public key"},
    {{3, 1, 1}, 3, "TLSA 3 1 1 (empty) is not used: it holds no data"},
    {{3, 1}, 2, "a TLSA record is not used: it is malformed"},
};

static void h14_h16_h17_j01_each_record_not_used_is_noted_with_why(void **state)
{
	(void)state;
	struct resolverd_tlsa kept = {3, 1, 2, records[0].record + 3, 64};
	for (size_t i = 0; i < COUNT(records); i++) {
		struct resolverd_rrset answer = rrset_of(OWNER, TYPE_TLSA, true);
		struct resolverd_rdata rdata = {records[i].record, records[i].bytes};
		struct resolverd_lookup lookups[] = {
		    lookup_of(OWNER, TYPE_TLSA, RESOLVERD_SECURE, "")};
		answer.rdata = &rdata;
		answer.rdata_count = 1;
		lookups[0].records.answer = &answer;
		lookups[0].records.answer_count = 1;
		struct actor actor;
		host_step(
		    &actor, V1(HOST_REASON__TLSA_USABLE), V1(HOST_REASON__TLSA_USABLE), lookups, 1);
		actor.before.tlsa = &kept;
		actor.before.tlsa_count = 1;
		diagnose_host(memory, actor.answer, &actor.step);
		if (records[i].note == NULL)
			assert_int_equal(actor.step.note_count, 0);
		else
			check_step(
			    "record", &actor.step, RESOLVERD_NOBODY, "nothing", records[i].note);
	}
}

static void f11_tlsa_at_the_original_name_is_noted(void **state)
{
	(void)state;
	struct resolverd_lookup lookups[] = {
	    lookup_of("_25._tcp.host.example.org", TYPE_TLSA, RESOLVERD_SECURE, ""),
	    lookup_of(OWNER, TYPE_TLSA, RESOLVERD_SECURE, "")};
	struct actor actor;
	host_step(&actor, V1(HOST_REASON__TLSA_USABLE), V1(HOST_REASON__TLSA_USABLE), lookups, 2);
	diagnose_host(memory, actor.answer, &actor.step);
	assert_true(has_note(&actor.step, "no secure TLSA records at _25._tcp.host.example.org"));
}

/* ---- local policy ---- */

static void local_policy_is_told_beside_what_holds_without_it(void **state)
{
	(void)state;
	struct actor actor;
	host_step(
	    &actor, V1(HOST_REASON__TLSA_DENIED), V1(HOST_REASON__MANDATORY_NOT_DANE), NULL, 0);
	actor.before.policy = RESOLVERD_OPPORTUNISTIC;
	diagnose_host(memory, actor.answer, &actor.step);
	check_step("mandatory", &actor.step, RESOLVERD_US, "relax the override",
	    "without local policy: opportunistic, securely no TLSA records");
	assert_true(has_note(&actor.step, "the other side can do: publish a TLSA record"));
	assert_string_equal(actor.step.clause, "RFC 7672 section 6");
	assert_string_equal(actor.step.reason, "mandatory-not-dane");
}

static void every_reason_is_diagnosed(void **state)
{
	(void)state;
	const ProtobufCEnumDescriptor *reasons = &resolverd__v1__host_reason__descriptor;
	for (unsigned i = 0; i < reasons->n_values; i++)
		for (unsigned j = 0; j < reasons->n_values; j++) {
			struct actor actor;
			host_step(
			    &actor, reasons->values[i].value, reasons->values[j].value, NULL, 0);
			diagnose_host(memory, actor.answer, &actor.step);
			assert_string_equal(actor.step.reason, actor.host.reason);
			assert_true(strlen(actor.step.clause) > 0);
			assert_true(strlen(actor.step.remedy) > 0);
		}
	for (int kind = 0; kind <= 7; kind++)
		for (int status = 0; status <= 5; status++) {
			struct actor actor;
			route_step(&actor, kind, status, NULL);
			diagnose_route(memory, actor.answer, &actor.step);
			assert_string_equal(actor.step.reason, route_reason(kind, status)->word);
			assert_true(strlen(actor.step.remedy) > 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_failure_says_what_is_broken_and_who_mends_it),
	    cmocka_unit_test(without_lookups_the_answer_itself_tells_why),
	    cmocka_unit_test(bogus_is_named_before_error),
	    cmocka_unit_test(signatures_that_come_along_tell_their_times),
	    cmocka_unit_test(a_failed_family_that_was_not_needed_is_noted),
	    cmocka_unit_test(an_unsigned_mx_names_the_zone_to_sign),
	    cmocka_unit_test(c05_the_hop_where_a_chain_turns_insecure_is_named),
	    cmocka_unit_test(c01_a_synthesised_cname_is_not_the_unsigned_hop),
	    cmocka_unit_test(f09_a_secure_alias_of_insecure_addresses_is_noted),
	    cmocka_unit_test(an_unproved_absence_of_tlsa_is_told_apart),
	    cmocka_unit_test(what_we_declared_insecure_is_ours_to_mend),
	    cmocka_unit_test(h14_h16_h17_j01_each_record_not_used_is_noted_with_why),
	    cmocka_unit_test(f11_tlsa_at_the_original_name_is_noted),
	    cmocka_unit_test(local_policy_is_told_beside_what_holds_without_it),
	    cmocka_unit_test(every_reason_is_diagnosed),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
