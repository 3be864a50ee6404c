/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libresolverd: how may I deliver mail to this domain right now?
 *
 * A client asks the resolverd daemon over its Unix socket and gets answers that this library has
 * checked: signed by a key that a trusted long-term key vouches for, about exactly what was asked,
 * and not expired. Nothing unverified reaches the caller (resolverd_status says what is exempt).
 *
 *	struct resolverd_client *client;
 *	struct resolverd_plan *plan;
 *	if (resolverd_client_new(NULL, &client) != 0)
 *		...
 *	if (resolverd_plan(client, "example.org", 25, 10000, &plan) == 0) {
 *		... plan->outcome, plan->hosts[0].policy ...
 *		resolverd_plan_free(plan);
 *	}
 *	resolverd_client_free(client);
 *
 * Functions that can fail return 0 or a negative enum resolverd_error and write their ret_ results
 * only on success. Text is UTF-8; names that come back are lower-case A-labels without a trailing
 * dot. A handle belongs to one thread at a time; several handles are independent. The library
 * starts no thread, installs no signal handler, never raises SIGPIPE and never logs. After fork,
 * use a handle in one of the two processes only.
 *
 * Zero, and any value this header does not name, never comes back in an enum field: the library
 * reads what it does not know as the strictest value (docs/PROTOCOL.md, "Extending").
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RESOLVERD_API __attribute__((visibility("default")))
#define RESOLVERD_CHECK __attribute__((warn_unused_result))

#define RESOLVERD_DEFAULT_SOCKET "/run/resolverd/resolverd.sock"
#define RESOLVERD_DEFAULT_CONTROL_SOCKET "/run/resolverd/control.sock"
#define RESOLVERD_DEFAULT_PUBLIC_KEY "/run/resolverd/resolverd.pub"

/* ---- errors ---- */

enum resolverd_error {
	RESOLVERD_OK = 0,
	RESOLVERD_ERROR_MEMORY = -1,     /* out of memory */
	RESOLVERD_ERROR_ARGUMENT = -2,   /* a name, port or type that cannot be asked */
	RESOLVERD_ERROR_NO_DAEMON = -3,  /* cannot connect, or the connection was lost twice */
	RESOLVERD_ERROR_TIMEOUT = -4,    /* no answer before the deadline */
	RESOLVERD_ERROR_PUBLIC_KEY = -5, /* the public key file is unreadable or bad */
	RESOLVERD_ERROR_VERIFY = -6,     /* an answer that does not verify: use nothing of it */
	RESOLVERD_ERROR_PROTOCOL = -7,   /* the daemon broke the protocol */
	RESOLVERD_ERROR_REFUSED = -8,    /* the daemon refused the request */
	RESOLVERD_ERROR_BUSY = -9,       /* the daemon is busy: ask again later */
	RESOLVERD_ERROR_PENDING = -10,   /* that request has not finished */
	RESOLVERD_ERROR_UNKNOWN_ID = -11 /* no such request, or one of another kind */
};

/* One sentence about an error code. Static storage, never NULL. */
RESOLVERD_API const char *resolverd_strerror(int error);

/* The version of the library, as "0.1.0". Static storage. */
RESOLVERD_API const char *resolverd_version(void);

/* ---- words (numbers as in proto/resolverd.proto) ---- */

enum resolverd_status {
	RESOLVERD_SECURE = 1,   /* validated up to a trust anchor */
	RESOLVERD_INSECURE = 2, /* provably unsigned, or no trust anchor above it */
	RESOLVERD_BOGUS = 3,    /* validation failed */
	RESOLVERD_ERROR = 4     /* no trustworthy answer */
};

enum resolverd_tlsa_status {
	RESOLVERD_TLSA_SECURE = 1,
	RESOLVERD_TLSA_INSECURE = 2,
	RESOLVERD_TLSA_BOGUS = 3,
	RESOLVERD_TLSA_ERROR = 4,
	RESOLVERD_TLSA_ABSENT = 5,     /* securely denied */
	RESOLVERD_TLSA_NOT_QUERIED = 6 /* not needed, or RFC 7672 section 2.2.2 forbids it */
};

enum resolverd_policy {
	RESOLVERD_DANE = 1,          /* TLS required, the certificate must match the TLSA set */
	RESOLVERD_TLS_NO_AUTH = 2,   /* TLS required, certificate not checked */
	RESOLVERD_OPPORTUNISTIC = 3, /* pre-DANE TLS, cleartext allowed */
	RESOLVERD_UNREACHABLE = 4    /* open no connection to this host */
};

enum resolverd_requirement {
	RESOLVERD_NORMAL = 1,
	RESOLVERD_MANDATORY = 2, /* only dane delivers (RFC 7672 section 6) */
	RESOLVERD_AUDIT = 3, /* log what would fail, deliver all the same (RFC 7672 section 9.1) */
	RESOLVERD_OFF = 4
};

enum resolverd_outcome {
	RESOLVERD_DELIVER = 1,
	RESOLVERD_DELAY = 2,          /* 4.x.x: keep the mail and ask again later */
	RESOLVERD_NO_MAIL = 3,        /* permanent: null MX (RFC 7505) */
	RESOLVERD_NO_SUCH_DOMAIN = 4, /* permanent */
	RESOLVERD_NO_HOST = 5         /* permanent: provably no host has an address */
};

/* Who can change a verdict for the better. */
enum resolverd_party {
	RESOLVERD_NOBODY = 1, /* nothing is wrong */
	RESOLVERD_THEM = 2,   /* the operator of the domain or of its mail host */
	RESOLVERD_US = 3      /* the operator of this daemon */
};

/* The words of docs/JSON.md for these values: "secure", "dane", "deliver", ... Static storage. */
RESOLVERD_API const char *resolverd_status_text(enum resolverd_status status);
RESOLVERD_API const char *resolverd_tlsa_status_text(enum resolverd_tlsa_status status);
RESOLVERD_API const char *resolverd_policy_text(enum resolverd_policy policy);
RESOLVERD_API const char *resolverd_requirement_text(enum resolverd_requirement requirement);
RESOLVERD_API const char *resolverd_outcome_text(enum resolverd_outcome outcome);
RESOLVERD_API const char *resolverd_party_text(enum resolverd_party party);

/* ---- results ----
 * Each is one block of memory that belongs to the caller until the matching _free; every pointer in
 * it lives as long as the result, and no longer than that. Read only. Results outlive the client.
 * Strings are never NULL unless the field says so. Free functions accept NULL.
 */

struct resolverd_memory; /* of the library */

/* A message as it was signed, to keep or pass on: proto/resolverd.proto, docs/PROTOCOL.md. */
struct resolverd_signed {
	const uint8_t *message;
	size_t message_bytes;
	const uint8_t *signature;
	size_t signature_bytes;
	const uint8_t *key_id;
	size_t key_id_bytes;
};

struct resolverd_address {
	uint8_t ip[16];  /* network order, the first ip_bytes of them */
	size_t ip_bytes; /* 4 or 16 */
	char text[46];
	enum resolverd_status status;
};

struct resolverd_tlsa { /* RFC 6698 section 2.1 */
	uint8_t usage;
	uint8_t selector;
	uint8_t matching_type;
	const uint8_t *data;
	size_t data_bytes;
};

/* A zone that the daemon's operator declared insecure for a time (RFC 7646): what lies in it is
 * insecure whatever its signatures are. For people; the statuses already tell it. */
struct resolverd_insecure_zone {
	const char *zone;
	uint64_t until_ms; /* Unix epoch */
};

/* One host of a plan, or the answer about one host. */
struct resolverd_host {
	const char *name; /* for an address literal: the address as text */
	unsigned port;
	unsigned preference;          /* 0 when there was no MX step */
	enum resolverd_policy policy; /* obey this */
	const char *reason;           /* why, as a word: "tlsa-usable", "no-address", ... */
	const char *reason_text;      /* why, as a sentence for people */
	bool would_refuse; /* requirement audit: were it not for audit, policy would be unreachable
			    */
	enum resolverd_status address_status; /* best of the two families */
	const struct resolverd_address *addresses;
	size_t address_count; /* at most 16 */
	enum resolverd_tlsa_status tlsa_status;
	const char *tlsa_base;  /* TLSA base domain; NULL: none was derived */
	const char *tlsa_owner; /* "_25._tcp.base"; NULL as tlsa_base */
	const struct resolverd_tlsa
	    *tlsa;         /* usable set after digest agility (RFC 7671 section 9) */
	size_t tlsa_count; /* at most 32; relevant when policy is dane */
	const char *sni;   /* name to send in SNI (RFC 7672 section 8.1); NULL unless policy is dane
			      or tls-no-auth */
	/* Names to accept in a certificate under usage 2, first is primary (RFC 7672
	 * section 3.2.2); never look at them under usage 3. Empty unless policy is dane. */
	const char *const *reference_names;
	size_t reference_name_count;
	uint64_t validated_at_ms; /* Unix epoch; 0 when no answer was used */
	uint64_t expires_at_ms;   /* use only while now is before this; 0 as above */
	uint64_t expires_in_s;    /* at the time of the check, rounded down */
	const char *key_id; /* of the online key that signed, hex; NULL when no answer was used */
	const struct resolverd_insecure_zone *insecure_zones; /* that the answer touches */
	size_t insecure_zone_count;
	struct resolverd_memory *memory; /* of the library; NULL inside a plan */
	bool attested;                   /* as in a plan */
	const char *origin; /* member of the fleet that found it; NULL: our daemon itself */
};

/* Give hosts in order: try each whose policy is not unreachable. */
struct resolverd_plan {
	const char *next_hop; /* canonical, brackets kept */
	unsigned port;
	enum resolverd_outcome outcome;
	const char *reason; /* a sentence for people */
	enum resolverd_requirement requirement;
	const char *requirement_source; /* the override that set it, as "example.org" or
					   ".example.org"; NULL: none did */
	const char *requirement_reason; /* the operator's words for it; NULL: none */
	uint64_t requirement_until_ms;  /* when it lapses, Unix epoch; 0: never */
	bool would_refuse;              /* requirement audit: without it, outcome would be delay */
	bool stale;  /* an answer has ended, and is served since it can't be looked up now and the
			operator allows that for a time (RFC 8767) */
	bool has_mx; /* false: next hop in brackets, the next three fields mean nothing */
	enum resolverd_status mx_status;
	bool mx_implicit;     /* no MX record: the domain is its own host (RFC 5321 section 5.1) */
	const char *expanded; /* the next hop after CNAMEs */
	const struct resolverd_host *hosts; /* ascending preference; empty when the route decides */
	size_t host_count;
	const char *const *key_ids; /* of the online keys that signed, hex */
	size_t key_id_count;
	uint64_t validated_at_ms; /* oldest answer used */
	uint64_t expires_at_ms;   /* use the plan only while now is before this */
	uint64_t expires_in_s;    /* at the time of the check, rounded down */
	const struct resolverd_insecure_zone *insecure_zones; /* of all answers used */
	size_t insecure_zone_count;
	struct resolverd_memory *memory;        /* of the library */
	const struct resolverd_signed *answers; /* those used: the route, then its hosts */
	size_t answer_count;
	const struct resolverd_signed *delegations; /* of the keys in key_ids, in that order */
	bool attested;                              /* the response was: options.attest */
	bool cacheable;     /* false: an answer has a TTL of 0; use the plan once, now */
	const char *origin; /* of the route, as in a host */
};

struct resolverd_rdata {
	const uint8_t *bytes; /* wire format, names not compressed */
	size_t count;
};

struct resolverd_rrset {
	const char *owner;
	uint16_t type;
	uint32_t ttl_s;
	const struct resolverd_rdata *rdata;
	size_t rdata_count;
	const struct resolverd_rdata *rrsig; /* RDATA of the RRSIGs that cover it */
	size_t rrsig_count;
};

struct resolverd_records {
	const char *name;
	uint16_t type;
	enum resolverd_status status;
	unsigned rcode; /* 0 NOERROR, 3 NXDOMAIN; for status error the one seen */
	const struct resolverd_rrset *chain; /* aliases followed, in order */
	size_t chain_count;
	const struct resolverd_rrset *answer; /* empty: no such data */
	size_t answer_count;
	const struct resolverd_rrset *authority; /* proofs of absence */
	size_t authority_count;
	const char *reason; /* for people, may be empty */
	uint64_t validated_at_ms;
	uint64_t expires_at_ms;
	uint64_t expires_in_s;
	const char *key_id;
	const struct resolverd_insecure_zone *insecure_zones;
	size_t insecure_zone_count;
	struct resolverd_memory *memory; /* of the library; NULL inside an explanation */
	struct resolverd_signed signed_answer;
	struct resolverd_signed delegation; /* of key_id */
	bool attested;                      /* as in a plan */
	bool stale;                         /* as in a plan */
	const char *origin;                 /* as in a host */
};

/* ---- explanation ---- */

/* One question a job put to the validating resolver, whatever that had to ask for it. NOT SIGNED:
 * for people, never a ground to deliver. */
struct resolverd_lookup {
	/* As an answer to resolverd_records, but key_id is NULL, its times are 0. reason: why it is
	 * bogus, or what failed. */
	struct resolverd_records records;
	uint32_t ttl_s;               /* shortest of all RRsets used; 0 when it failed */
	uint64_t rrsig_expires_at_ms; /* earliest of the signatures used, Unix epoch; 0: none */
	uint32_t asked_after_ms;      /* since the job began */
	uint32_t took_ms;
	bool unanswered; /* the job was given up before the answer came */
};

enum resolverd_step_kind { RESOLVERD_STEP_ROUTE = 1, RESOLVERD_STEP_HOST = 2 };

/* How one answer of the fresh plan came about. */
struct resolverd_step {
	enum resolverd_step_kind kind;
	const char *name;           /* the next hop, or the host */
	const char *reason;         /* what decided, as a word; for hosts that of the plan */
	const char *reason_text;    /* as a sentence for people */
	const char *clause;         /* of which document: "RFC 7672 section 2.2" */
	enum resolverd_party party; /* who can change it for the better */
	const char *remedy;         /* what they may do, as an imperative */
	const char *const *notes;   /* what else the lookups tell, sentences for people */
	size_t note_count;
	const struct resolverd_host *host;   /* of fresh; NULL for the route */
	const struct resolverd_host *before; /* before local policy; NULL: no answer */
	uint64_t cached_expires_at_ms; /* of the answer clients are served now; 0: none is cached */
	const struct resolverd_lookup *lookups; /* in the order they were asked */
	size_t lookup_count;
};

/* In what a cached answer and its fresh one differ. */
struct resolverd_difference {
	const char *name;           /* next hop or host */
	const char *what;           /* "mx", "policy", "tlsa", ...: a key of docs/JSON.md */
	const char *cached, *fresh; /* as text */
};

/* A plan made anew, past the cache, and how it came about. fresh and cached are verified like any
 * plan; what the steps tell beyond them is not signed. */
struct resolverd_explanation {
	const struct resolverd_plan *fresh; /* its memory is NULL */
	/* The plan clients are served from the cache now; NULL unless every answer it needs, the
	 * route and each of its first 16 hosts, is cached and still valid. Its memory is NULL. */
	const struct resolverd_plan *cached;
	const struct resolverd_step *steps; /* the route, then the hosts of fresh in their
					       order; one not looked up has no lookups */
	size_t step_count;
	/* Of every cached answer, whether cached is NULL or not. */
	const struct resolverd_difference *differences;
	size_t difference_count;
	struct resolverd_memory *memory; /* of the library */
};

/* The daemon's word that the record with this hash existed then (docs/EVIDENCE.md). */
struct resolverd_seal {
	const uint8_t *bytes; /* a serialized SignedSeal of proto/resolverd.proto */
	size_t count;
	uint64_t sealed_at_ms;
	const char *key_id;
	struct resolverd_memory *memory; /* of the library */
};

struct resolverd_delegation {
	const char *key_id;    /* of the online key, hex */
	const char *signed_by; /* key id of the long-term key, hex */
	const char *member;
	uint64_t not_before_ms;
	uint64_t not_after_ms;
	bool trusted; /* passed every check of docs/PROTOCOL.md, "Delegations" */
};

struct resolverd_check { /* a continuous self-check of the daemon */
	const char *name;
	bool good;
	const char *detail; /* what was seen, and what to do when it is not good */
};

struct resolverd_override {   /* local policy for a next hop, as configured */
	const char *next_hop; /* ".example.org": the names below it */
	enum resolverd_requirement requirement;
	const char *reason; /* the operator's words, may be empty */
	uint64_t until_ms;  /* Unix epoch; 0: no end */
	bool lapsed;
};

/* How long something took: how many were within each bound and not within the one before it; the
 * last count is of what took longer than all. */
struct resolverd_histogram {
	const uint32_t *bounds_ms;
	const uint64_t *counts; /* bound_count + 1 */
	size_t bound_count;
	uint64_t sum_ms;
};

/* What was found since the daemon's start, for monitoring. The index of each count is the number of
 * its enum; at 0 are those whose value this version does not know. */
struct resolverd_metrics {
	uint64_t hosts_by_policy[5];   /* enum resolverd_policy */
	uint64_t hosts_by_tlsa[7];     /* enum resolverd_tlsa_status */
	uint64_t routes_by_status[5];  /* enum resolverd_status, of the MX RRset */
	uint64_t records_by_status[5]; /* enum resolverd_status */
	struct resolverd_histogram job_time, wait_time;
	uint32_t jobs_running; /* of the status' jobs, those that a worker has */
};

/* The fleet as the daemon sees it (docs/FLEET.md), counted since its start. */
struct resolverd_fleet {
	bool connected;     /* with the store */
	bool left_out;      /* the store failed, and is tried again later */
	const char *detail; /* for people: to what, or why not */
	uint32_t member_keys, root_keys, revoked_keys; /* of the key ring */
	uint64_t membership_ends_ms; /* of the daemon's long-term key; 0: it has none */
	uint64_t asked, found;       /* lookups that looked there; and ended with what was there */
	uint64_t refused;            /* values that were forged, foreign, too old or malformed */
	const char *refused_why;     /* the last one; for people */
	uint64_t leased, waited;     /* lookups made here for all; that waited for another's */
	uint64_t shared;             /* values put there */
	uint64_t failed, passed_by;  /* requests not answered in time; lookups that left it out */
	uint64_t notices, notices_dropped; /* changes told by others; too many at a time */
};

/* What the daemon says about itself: for people and monitoring, not signed. Only the delegations
 * marked trusted are verified. Fields as in StatusResponse of proto/resolverd.proto. */
struct resolverd_daemon_status {
	const struct resolverd_delegation *delegations;
	size_t delegation_count;
	const char *version;
	const char *member;
	bool ready;
	const char *not_ready_reason;
	uint64_t started_at_ms;
	uint64_t now_ms;
	uint32_t workers;
	uint32_t workers_wanted;
	uint64_t worker_restarts;
	uint32_t clients;
	uint64_t cache_entries;
	uint64_t cache_bytes;
	uint64_t cache_max_bytes;
	uint64_t hits;
	uint64_t misses;
	uint32_t jobs;
	uint64_t jobs_done;
	uint64_t jobs_rerun;
	uint64_t jobs_quarantined;
	uint64_t answers_signed;
	uint64_t requests;
	const struct resolverd_check *checks;
	size_t check_count;
	const struct resolverd_override *overrides;
	size_t override_count;
	const struct resolverd_insecure_zone *insecure_zones; /* in force now */
	size_t insecure_zone_count;
	const uint32_t *trust_anchor_key_tags; /* of the root, RFC 4034 appendix B */
	size_t trust_anchor_key_tag_count;
	uint64_t trust_anchor_checked_at_ms; /* last RFC 5011 check that succeeded; 0: none */
	uint64_t clock_steps;
	uint64_t config_loaded_at_ms;
	struct resolverd_memory *memory; /* of the library */
	uint64_t refreshes;
	uint64_t refreshes_renewed;
	uint64_t refreshes_futile;
	uint64_t refreshes_failed;
	uint64_t ran_out;
	uint64_t evicted;
	uint64_t refused_busy;
	uint64_t refused_failing;
	uint64_t stale_served;
	uint64_t memory_bytes;
	uint64_t kept_domains;
	uint32_t watches;
	uint64_t attested;            /* responses with an attestation */
	uint64_t attestations_signed; /* signatures made for them */
	uint64_t refused_clients;     /* connections not taken, or ended at a limit of their user */
	const struct resolverd_metrics *metrics; /* NULL: not asked on the control socket */
	const struct resolverd_fleet *fleet;     /* NULL: the same, or there is no fleet */
};

/* ---- the cache, as the control socket tells it ---- */

enum resolverd_kind { RESOLVERD_ROUTE = 1, RESOLVERD_HOST = 2, RESOLVERD_RECORDS = 3 };

/* Zero-initialize it. */
struct resolverd_dump_options {
	enum resolverd_kind kind; /* 0: all */
	bool in_use;              /* only what is refreshed before it ends */
	bool trouble;   /* only routes of which something failed, did not validate, or is stale */
	unsigned limit; /* of the entries at a time; 0: 100; at most 256 */
};

/* One live answer, verified. Of what follows plan, host and records nothing is signed. */
struct resolverd_dumped {
	enum resolverd_kind kind;
	const char *name;
	unsigned port; /* of a route: of the hosts asked for with it last, 0: none were */
	unsigned type; /* of records */
	/* By its kind one of these; its memory is NULL. A plan has the hosts that are cached; the
	 * others are unreachable in it, with reason answer-missing. */
	const struct resolverd_plan *plan;
	const struct resolverd_host *host;
	const struct resolverd_records *records;
	bool in_use;
	unsigned
	    demand; /* requests since the last refresh, and half of those before; at most 255 */
	uint64_t last_requested_at_ms; /* Unix epoch, in whole seconds; 0: never */
	uint64_t kept_until_ms;        /* 0: it is not kept */
	const char *state; /* due, on-hit, running, retry, at-end, none: of its refresh */
	uint64_t next_at_ms;
	unsigned failed_refreshes; /* one after the other */
	bool last_was_bogus;       /* what was found last did not validate */
};

struct resolverd_dump {
	const struct resolverd_dumped *entries;
	size_t count;
	uint64_t next;                   /* cursor to go on with; 0: that was all */
	struct resolverd_memory *memory; /* of the library */
};

RESOLVERD_API void resolverd_dump_free(struct resolverd_dump *dump);
RESOLVERD_API void resolverd_plan_free(struct resolverd_plan *plan);
RESOLVERD_API void resolverd_host_free(struct resolverd_host *host); /* not for hosts of a plan */
RESOLVERD_API void resolverd_records_free(struct resolverd_records *records);
RESOLVERD_API void resolverd_explanation_free(struct resolverd_explanation *explanation);
RESOLVERD_API void resolverd_seal_free(struct resolverd_seal *seal);
RESOLVERD_API void resolverd_daemon_status_free(struct resolverd_daemon_status *status);

/* ---- client ---- */

struct resolverd_client;

/* Zero-initialize it. A NULL field means: the environment variable, else the default. Set-user-id
 * programs do not look at the environment. */
struct resolverd_options {
	const char *socket_path;     /* RESOLVERD_SOCKET, else RESOLVERD_DEFAULT_SOCKET */
	const char *public_key_file; /* RESOLVERD_PUBLIC_KEY, else RESOLVERD_DEFAULT_PUBLIC_KEY */
	/* Have each response to plan, host and records signed anew by the daemon, for a random
	 * number that goes with the request: proof that these answers are current now, and not
	 * older ones that have not expired yet (docs/PROTOCOL.md, "Attestation"). A response
	 * without, or with one that does not hold, is an error VERIFY. Explain, warm and watch are
	 * refused. */
	bool attest;
	/* Keep so many plans in this process, and answer from them while they are live and the
	 * daemon and its keys are the same: no request is sent then, and what the daemon learned or
	 * was told meanwhile (a reload, a flush) is seen when the plan expires. A plan whose
	 * answers are to be used once is not kept. 0: none is. Not used with attest. */
	unsigned plan_cache;
	const void *reserved[5]; /* zero */
};

/* Makes a handle; options may be NULL and are copied. Touches neither socket nor key file: the
 * first request does. Fails with MEMORY, or ARGUMENT when the socket path is too long. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_client_new(
    const struct resolverd_options *options, struct resolverd_client **ret_client);

/* Closes the connection and forgets all requests. Results taken before stay valid. NULL is fine. */
RESOLVERD_API void resolverd_client_free(struct resolverd_client *client);

/* Details of the last error any function of this handle returned: what failed, on which file or
 * name, and what to do. Borrowed until the next call with this handle; empty when there was none.
 */
RESOLVERD_API const char *resolverd_last_error(const struct resolverd_client *client);

/* When that error is BUSY: after how many milliseconds the daemon wants to be asked again. Else 0.
 */
RESOLVERD_API unsigned resolverd_retry_after_ms(const struct resolverd_client *client);

/* ---- synchronous ----
 * Each is the asynchronous call, then waiting until the answer is there or timeout_ms have passed
 * (negative: no limit; 0: only what is there at once). They block, no longer than that, and leave
 * other requests of the handle alone. The daemon is asked to answer a little earlier with what it
 * then has. Results belong to the caller. Errors: any but PENDING and UNKNOWN_ID. */

/* The plan for a next hop: "example.org", "[mx.example.org]", "[192.0.2.1]" or "[2001:db8::1]";
 * internationalized names are converted. port 0 means 25. Success does not mean deliver: see
 * plan->outcome. A domain that fails in the DNS is a plan too, with outcome delay. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_plan(struct resolverd_client *client,
    const char *next_hop, unsigned port, int timeout_ms, struct resolverd_plan **ret_plan);

/* One host, as if it had been securely selected and no local policy applied; reference_names is
 * its TLSA base domain alone. To deliver mail ask for a plan instead. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_host(struct resolverd_client *client, const char *name,
    unsigned port, int timeout_ms, struct resolverd_host **ret_host);

/* One RRset with its DNSSEC status; type is the RR TYPE number (15 for MX). */
RESOLVERD_API RESOLVERD_CHECK int resolverd_records(struct resolverd_client *client,
    const char *name, unsigned type, int timeout_ms, struct resolverd_records **ret_records);

/* Makes the plan anew, past the cache, and tells how it came about and how it differs from what is
 * cached. Changes nothing there. Only for handles whose socket_path is the daemon's control socket
 * (RESOLVERD_DEFAULT_CONTROL_SOCKET); others are REFUSED. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_explain(struct resolverd_client *client,
    const char *next_hop, unsigned port, int timeout_ms,
    struct resolverd_explanation **ret_explanation);

/* As resolverd_explain, and what was found takes the place of what is cached, even where that would
 * last longer; failures do not. For when the other side says that it is mended. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_renew(struct resolverd_client *client,
    const char *next_hop, unsigned port, int timeout_ms,
    struct resolverd_explanation **ret_explanation);

/* Some of what is cached. cursor 0 begins; go on with the result's next until that is 0. What is
 * cached all the time comes once at least. options NULL: all. Only on the daemon's control socket,
 * as resolverd_explain; so are the next two. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_dump(struct resolverd_client *client,
    const struct resolverd_dump_options *options, uint64_t cursor, int timeout_ms,
    struct resolverd_dump **ret_dump);

/* Empties the daemon's cache, and those of its workers. What was in use is looked up again at once.
 * *ret_dropped: how many answers there were. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_flush(
    struct resolverd_client *client, int timeout_ms, uint64_t *ret_dropped);

/* Has the daemon read its configuration again, as SIGHUP does. Success does not mean that it took:
 * see *ret_in_force; the text says, for people, what is in force or what is wrong, and where. */
#define RESOLVERD_RELOAD_TEXT_MAX 1024
RESOLVERD_API RESOLVERD_CHECK int resolverd_reload(struct resolverd_client *client, int timeout_ms,
    bool *ret_in_force, char ret_text[RESOLVERD_RELOAD_TEXT_MAX]);

/* Have the daemon sign that a record existed now: hash is its BLAKE2b-256. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_seal(struct resolverd_client *client,
    const uint8_t hash[32], int timeout_ms, struct resolverd_seal **ret_seal);

/* What the daemon says about itself. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_status(
    struct resolverd_client *client, int timeout_ms, struct resolverd_daemon_status **ret_status);

/* One next hop of many. Set the first two. */
struct resolverd_planned {
	const char *next_hop; /* as for resolverd_plan; borrowed until it is done */
	unsigned port;        /* 0 means 25 */
	bool done;
	int error;                   /* when done: 0, or why there is no plan */
	char detail[200];            /* of the error, as resolverd_last_error */
	struct resolverd_plan *plan; /* belongs to the caller; NULL unless done without error */
};

/* How many are asked for at once; more wait here until some are done. */
#define RESOLVERD_BATCH_WINDOW 64u
#define RESOLVERD_BATCH_WINDOW_MAX 1024u

/* Plans for many next hops in one flight: what has to be looked up is looked up at the same time.
 * window: how many at most, 0 for RESOLVERD_BATCH_WINDOW; fewer while the daemon is too busy for so
 * many. Each name has its own error, TIMEOUT for those not done in time, and one that cannot be
 * asked harms no other. Fails with MEMORY only. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_plans(struct resolverd_client *client,
    struct resolverd_planned *items, size_t count, unsigned window, int timeout_ms);

/* ---- asynchronous ----
 * submit, then in a loop: poll the fd for the wanted events, update, take what has finished. Any
 * number of requests may be in flight. None of these functions blocks (but for connecting to and
 * reading local files). */

/* Queue a request and give its id; nothing is sent before resolverd_update. deadline_ms: when the
 * daemon answers with what it then has, 0 for its own default. Fail with ARGUMENT or MEMORY. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_submit_plan(struct resolverd_client *client,
    const char *next_hop, unsigned port, unsigned deadline_ms, uint64_t *ret_id);
RESOLVERD_API RESOLVERD_CHECK int resolverd_submit_host(struct resolverd_client *client,
    const char *name, unsigned port, unsigned deadline_ms, uint64_t *ret_id);
RESOLVERD_API RESOLVERD_CHECK int resolverd_submit_records(struct resolverd_client *client,
    const char *name, unsigned type, unsigned deadline_ms, uint64_t *ret_id);
RESOLVERD_API RESOLVERD_CHECK int resolverd_submit_explain(struct resolverd_client *client,
    const char *next_hop, unsigned port, unsigned deadline_ms, uint64_t *ret_id);
RESOLVERD_API RESOLVERD_CHECK int resolverd_submit_seal(
    struct resolverd_client *client, const uint8_t hash[32], uint64_t *ret_id);
RESOLVERD_API RESOLVERD_CHECK int resolverd_submit_status(
    struct resolverd_client *client, uint64_t *ret_id);

/* As a plan, which the daemon keeps fresh for keep_s seconds from now on, whether it is asked for
 * or not (0: it is looked up, no more). What other clients wait for comes before. Only on the
 * daemon's control socket, as resolverd_explain. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_submit_warm(struct resolverd_client *client,
    const char *next_hop, unsigned port, unsigned deadline_ms, unsigned keep_s, uint64_t *ret_id);

/* The plan now, and again whenever its verdict changes: hosts and their order, policies, statuses,
 * TLSA sets, local policy; not for times or addresses alone. Two plans come no closer than
 * hold_down_ms (0: a second); of what changes faster, and of plans that were not taken in time, the
 * last one counts. The request finishes anew with each plan: resolverd_next_finished names it,
 * resolverd_take_plan takes the plan, and then it waits for the next. An error ends it. Lost
 * connections do not, while the daemon can be reached at once: the plan is then told once more, so
 * two in a row may say the same. Meanwhile the daemon keeps it fresh, but a plan that was told
 * expires like any other: to deliver ask for it. Ends, at the daemon, with the handle's connection;
 * one may have 1000. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_submit_watch(struct resolverd_client *client,
    const char *next_hop, unsigned port, unsigned hold_down_ms, uint64_t *ret_id);

/* The descriptor to poll, and for what (POLLIN, POLLOUT). It changes over reconnects: ask again
 * after each update. -1 while not connected: with requests in flight call resolverd_update soon
 * (10 ms), the daemon's listen queue was full. */
RESOLVERD_API int resolverd_client_fd(const struct resolverd_client *client);
RESOLVERD_API short resolverd_client_events(const struct resolverd_client *client);

/* Connects if need be, sends what is queued, receives what is there, verifies it. When the
 * connection is lost, requests in flight are sent once more over a new one. Trouble shows up as
 * the error of the requests it hit; the return value is only ever 0 or MEMORY. */
RESOLVERD_API int resolverd_update(struct resolverd_client *client);

/* The next request that has finished and was not yet named here; false when there is none. */
RESOLVERD_API bool resolverd_next_finished(struct resolverd_client *client, uint64_t *ret_id);

/* Take the result of a finished request, or its error. But for PENDING and UNKNOWN_ID, and for a
 * watch that has a plan, the request is then released. resolverd_take_plan is for warm and watch,
 * too. The result belongs to the caller. Check expires_at_ms if you took your time. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_take_plan(
    struct resolverd_client *client, uint64_t id, struct resolverd_plan **ret_plan);
RESOLVERD_API RESOLVERD_CHECK int resolverd_take_host(
    struct resolverd_client *client, uint64_t id, struct resolverd_host **ret_host);
RESOLVERD_API RESOLVERD_CHECK int resolverd_take_records(
    struct resolverd_client *client, uint64_t id, struct resolverd_records **ret_records);
RESOLVERD_API RESOLVERD_CHECK int resolverd_take_explanation(
    struct resolverd_client *client, uint64_t id, struct resolverd_explanation **ret_explanation);
RESOLVERD_API RESOLVERD_CHECK int resolverd_take_seal(
    struct resolverd_client *client, uint64_t id, struct resolverd_seal **ret_seal);
RESOLVERD_API RESOLVERD_CHECK int resolverd_take_status(
    struct resolverd_client *client, uint64_t id, struct resolverd_daemon_status **ret_status);

/* Forget a request, finished or not, and its result. An unknown id is fine. */
RESOLVERD_API void resolverd_release(struct resolverd_client *client, uint64_t id);

/* As resolverd_plans, asynchronously. items are borrowed until resolverd_batch_free; deadline_ms as
 * above, for each. Nothing is sent before resolverd_batch_next and resolverd_update. Fails with
 * MEMORY. */
struct resolverd_batch;
RESOLVERD_API RESOLVERD_CHECK int resolverd_batch_new(struct resolverd_client *client,
    struct resolverd_planned *items, size_t count, unsigned window, unsigned deadline_ms,
    struct resolverd_batch **ret_batch);

/* The index of another item that is done; false when there is none at the moment. Also asks for
 * those that wait: call it until it says false, at the beginning and after each update. What it
 * asks for, resolverd_next_finished does not name. */
RESOLVERD_API bool resolverd_batch_next(struct resolverd_batch *batch, size_t *ret_index);

/* Waits until this item is done, or timeout_ms have passed (as in the synchronous calls): 0,
 * TIMEOUT (it stays asked for) or MEMORY. */
RESOLVERD_API RESOLVERD_CHECK int resolverd_batch_wait(
    struct resolverd_batch *batch, size_t index, int timeout_ms);

/* How many items are not done. */
RESOLVERD_API size_t resolverd_batch_left(const struct resolverd_batch *batch);

/* Forgets what is in flight; items and their plans stay the caller's. Before resolverd_client_free.
 * NULL is fine. */
RESOLVERD_API void resolverd_batch_free(struct resolverd_batch *batch);

#ifdef __cplusplus
}
#endif
