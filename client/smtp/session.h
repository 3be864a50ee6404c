/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One SMTP session with one address of one host of a plan: connect, greeting, EHLO, STARTTLS,
 * handshake, verdict, EHLO again and, when there is a mail, the mail; then QUIT.
 *
 *	smtp_session_new(&options, now_ms, &session);
 *	while (smtp_session_step(session, now_ms))
 *		poll smtp_session_fd for smtp_session_events until smtp_session_deadline_ms;
 *	... smtp_session_failure, the recipients' fates, smtp_session_tls ...
 *	smtp_session_free(session);
 *
 * Nothing blocks, nothing logs, every wait has the deadline of RFC 5321 section 4.5.3.2. A session
 * owns its descriptor and its SSL; what the options point to is borrowed until it is freed. The
 * program ignores SIGPIPE. now_ms is any monotonic clock; the verdict is taken at time(2).
 *
 * What may be sent is decided here, in one place: to a host whose policy is dane or tls-no-auth
 * MAIL FROM goes only after a handshake and a verdict that lets it through, unless the mail itself
 * says SMTP_TLS_ANY. Until then the server is nobody: none of its refusals is final. To no host
 * does it go once the plan has expired.
 */
#pragma once
#include "client/openssl/resolverd-openssl.h"
#include "client/smtp/reply.h"

enum smtp_tls {
	SMTP_TLS_BY_POLICY, /* dane, tls-no-auth: required, and the verdict decides; else if offered
			     */
	SMTP_TLS_REQUIRETLS, /* authenticated for the domain, and REQUIRETLS offered (RFC 8689) */
	SMTP_TLS_ANY,        /* when offered; who answers does not matter (RFC 8689 section 5) */
};

/* What ended a session early. The words of smtp_failure_text are in docs/DANESEND.md. */
enum smtp_failure {
	SMTP_OK,
	SMTP_CONNECT,          /* no connection */
	SMTP_TIMEOUT,          /* no answer within the time of RFC 5321 */
	SMTP_LOST,             /* the connection ended */
	SMTP_PROTOCOL,         /* the server broke SMTP */
	SMTP_REFUSED,          /* a reply that refuses this session, or the whole mail */
	SMTP_NO_STARTTLS,      /* required, not offered */
	SMTP_STARTTLS_REFUSED, /* required, offered, refused */
	SMTP_INJECTED, /* clear text behind the reply to STARTTLS: an attack (CVE-2011-0411) */
	SMTP_HANDSHAKE,
	SMTP_NOT_AUTHENTICATED, /* the verdict forbids delivery */
	SMTP_PLAN_EXPIRED,      /* before anything was handed over: ask for a new one */
	SMTP_NO_REQUIRETLS,
	SMTP_TOO_BIG,        /* over the SIZE the host takes */
	SMTP_NO_8BITMIME,    /* the mail needs it */
	SMTP_NO_UTF8_NAME,   /* an address needs SMTPUTF8 */
	SMTP_NO_UTF8_HEADER, /* the header needs SMTPUTF8 */
	SMTP_IN_DOUBT,       /* lost between the final dot and its reply: maybe delivered */
	SMTP_LOCAL,          /* trouble on this side */
};

/* "no-starttls". Static. */
const char *smtp_failure_text(enum smtp_failure failure);

enum smtp_fate {
	SMTP_OPEN,  /* not delivered; another host may take it */
	SMTP_TAKEN, /* RCPT accepted, DATA not yet */
	SMTP_DELIVERED,
	SMTP_FAILED,    /* for good */
	SMTP_SUSPENDED, /* in doubt: not to be sent to another host now */
};

/* Of a recipient that would do in another transaction with the same host. */
#define SMTP_STATUS_TOO_MANY "4.5.3"

struct smtp_recipient {
	const char *address; /* as in RCPT TO */
	enum smtp_fate fate;
	/* Why, as far as it is known: written whenever a session changes or fails it. */
	char status[SMTP_STATUS_MAX];
	char reply[512];  /* the server's words, code first; empty: it did not say */
	char reason[768]; /* one sentence for people, host first */
	enum smtp_failure failure;
};

/* Writes what was found out about a recipient; reply is empty where the server did not say. One
 * that is open keeps a transient failure known from before where this one is for good: another
 * host, or later, may do. */
void smtp_recipient_note(struct smtp_recipient *recipient, enum smtp_failure failure,
    const char *status, const char *reply, const char *reason);

struct smtp_mail {
	const char *from; /* as in MAIL FROM, without brackets; empty: null reverse-path */
	struct smtp_recipient *const *recipients; /* those that are SMTP_OPEN are sent to */
	size_t recipient_count;
	int fd;         /* the message, lines ending with CRLF, read with pread from the start on */
	uint64_t bytes; /* of it */
	bool eight_bit;
	bool utf8_name;
	bool utf8_header;
};

struct smtp_options {
	const char *helo;
	const struct resolverd_plan *plan; /* or NULL: a host asked alone */
	const struct resolverd_host *host;
	const struct resolverd_address *address; /* one of host's */
	enum smtp_tls tls;
	bool in_clear; /* leave STARTTLS out, where TLS is not required */
	SSL_CTX *tls_context;
	const struct smtp_mail *mail; /* NULL: QUIT after the verdict */
	unsigned step_limit_ms;       /* no wait is longer than that; 0: RFC 5321's */
	int64_t deadline_ms;          /* of the whole session, as now_ms; 0: none */
};

/* Whether the mail must not go without TLS. */
bool smtp_needs_tls(const struct smtp_options *options);

struct smtp_session;

/* -ENOMEM; -EINVAL when the host's policy is unreachable: no connection is made to it. */
[[nodiscard]] int smtp_session_new(
    const struct smtp_options *options, int64_t now_ms, struct smtp_session **ret_session);
/* NULL is fine. */
void smtp_session_free(struct smtp_session *session);

/* Does what can be done now. False: it is over, and recipients have their fates. */
bool smtp_session_step(struct smtp_session *session, int64_t now_ms);
int smtp_session_fd(const struct smtp_session *session);
short smtp_session_events(const struct smtp_session *session);
int64_t smtp_session_deadline_ms(const struct smtp_session *session);

/* ---- what to tell about it; strings live as long as the session ---- */

enum smtp_failure smtp_session_failure(const struct smtp_session *session);
/* One sentence: what failed, at which step, and the server's words. Empty for SMTP_OK. */
const char *smtp_session_reason(const struct smtp_session *session);
/* The step it ended at, or is at: "greeting", "EHLO", "STARTTLS", ... */
const char *smtp_session_step_name(const struct smtp_session *session);

struct smtp_tls_info {
	SSL *ssl; /* peer chain: SSL_get_peer_cert_chain; lives as long as the session */
	const char *version;
	const char *cipher;
	time_t at; /* when the verdict was taken */
	struct resolverd_tls_verdict verdict;
};
/* NULL: no handshake was completed. */
const struct smtp_tls_info *smtp_session_tls(const struct smtp_session *session);

/* Whether another session, in_clear, may follow this one, whose TLS failed, in the handshake or
 * later: RFC 7672 section 2.2 leaves that open where TLS is not required (case D09). Once DATA was
 * accepted none may: then the mail waits. */
bool smtp_may_retry_in_clear(
    const struct smtp_options *options, const struct smtp_session *session);
