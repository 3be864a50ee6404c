/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resolverctl doctor: looks at an installation from outside, as a client, a mail server and an
 * operator see it, and changes nothing. Each check reports once what it looked at and what it saw,
 * and for a warning or a failure advises what to do. A check that can't see what it needs (rights,
 * nothing installed) is skipped, and says so; that is never "ok". Words: docs/JSON.md, "doctor".
 *
 * No ctl.h here: client/serve, which some of these files need, has the same words for exit status.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/resolverd.h"

#define DOCTOR_ROOT_SERVERS_MAX 4u
#define DOCTOR_TEXT_MAX 1024u

enum doctor_result { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL, DOCTOR_SKIP, DOCTOR_RESULTS };

struct ctl;

struct doctor {
	struct ctl *ctl;
	json_t *checks; /* the reports so far, as they are in --json */
	unsigned counts[DOCTOR_RESULTS];

	/* Where to look: options, else their defaults; the texts are borrowed. */
	const char *socket, *control_socket, *public_key, *state_directory;
	const char *root_servers[DOCTOR_ROOT_SERVERS_MAX], *root_hints;
	size_t root_server_count; /* 0: the first of the hints */
	const char *resolv_conf;
	const char *postconf, *postfix_config; /* config NULL: Postfix's own default */
	const char *exim, *exim_config;        /* exim NULL: where Debian and others put it */
	const char *domain;                    /* to try it all with; NULL: none was named */
	int timeout_ms;                        /* of one request to the daemon */

	/* What checks found that later ones go on with. */
	struct resolverd_client *client;
	struct resolverd_daemon_status *status; /* NULL: the daemon told nothing */
	uint64_t status_at_ms;                  /* our clock when it came */
	bool root_is_secure;                    /* the daemon says so */
	bool has_mail_server; /* Postfix or Exim: one that takes the AD bit of resolv.conf's servers
			       */
};

/* ---- doctor.c ---- */

/* about: the file, address or program looked at; NULL: none. */
[[gnu::format(printf, 5, 6)]] void doctor_report(struct doctor *doctor, enum doctor_result result,
    const char *check, const char *about, const char *format, ...);
/* What to do about the last report: a command, or the key to change. */
[[gnu::format(printf, 2, 3)]] void doctor_advise(struct doctor *doctor, const char *format, ...);

/* ---- doctor_files.c ---- */

void doctor_check_socket(struct doctor *doctor);
void doctor_check_control_socket(struct doctor *doctor);
void doctor_check_public_key(struct doctor *doctor);
void doctor_check_signing_key(struct doctor *doctor);

/* ---- doctor_daemon.c ---- */

void doctor_check_daemon(struct doctor *doctor);
void doctor_check_trust_anchor(struct doctor *doctor);
void doctor_check_lookups(struct doctor *doctor);
void doctor_check_domain(struct doctor *doctor);

/* ---- doctor_roots.c ---- */

/* The way out from this host, and the clock, by what root servers say. */
void doctor_check_roots(struct doctor *doctor);

/* ---- doctor_clock.c ---- */

/* When signatures of the root's SOA record begin and end, Unix seconds; 0: none was seen. */
void doctor_check_clock(struct doctor *doctor, uint64_t inception_s, uint64_t expiration_s);

/* ---- doctor_resolver.c ---- */

/* A name that nobody has asked for before, to follow through resolvers: it does not exist. */
#define DOCTOR_PROBE_NAME_MAX 64u
void doctor_probe_name(char ret_name[DOCTOR_PROBE_NAME_MAX]);
/* Whether the daemon had looked the name up before this call: then who was asked for it asks us. */
bool doctor_was_asked(struct doctor *doctor, const char *name);

struct doctor_resolver {
	size_t servers;
	size_t validating; /* that answer with AD */
	size_t ours;       /* and got what they say from this daemon */
	bool trust_ad;     /* options trust-ad */
	char servers_text[256];
	char problem[256]; /* of the first that is not ours; empty: there is none */
};

/* Asks every name server of a resolv.conf. false: the file can't be read, problem says why. */
bool doctor_ask_resolver(
    struct doctor *doctor, const char *path, struct doctor_resolver *ret_resolver);
void doctor_check_resolver(struct doctor *doctor);

/* ---- doctor_postfix.c, doctor_exim.c ---- */

void doctor_check_postfix(struct doctor *doctor);
void doctor_check_exim(struct doctor *doctor);

/* ---- doctor_socketmap.c ---- */

struct doctor_socketmap {
	bool inet;
	char where[200]; /* path, or ADDRESS:PORT */
	char name[64];
};

/* The socketmap table among tables like those of smtp_tls_policy_maps. */
bool doctor_find_socketmap(
    const char *tables, const char *queue_directory, struct doctor_socketmap *ret_map);
/* The reply to a key: 0, or -errno with a sentence in the text. */
[[nodiscard]] int doctor_ask_socketmap(const struct doctor_socketmap *map, const char *key,
    int timeout_ms, char *ret_text, size_t text_bytes);

/* ---- doctor_run.c ---- */

#define DOCTOR_OUTPUT_MAX (1u << 18)

/* Runs a program by its absolute path, without shell, with an environment of its own, for
 * DOCTOR_RUN_MS at the most. 0 and what it wrote to stdout, which the caller frees; -ENOENT: there
 * is none; -EACCES: it, or a folder above it, could be put there by others than root or us; others:
 * -errno, -ETIME, or -EIO when it fails. ret_text is written always; with an error it says what
 * happened. */
#define DOCTOR_RUN_MS 10000
[[nodiscard]] int doctor_run(const char *const *arguments, char **ret_output, char *ret_text);

/* Runs act in a child process that has become a user, in its groups, and in a chroot if one is
 * named. What it writes is in ret_text (DOCTOR_TEXT_MAX bytes). 0; act's own code; -EPERM: we may
 * not become that user. act returns 0 or a negative errno. */
[[nodiscard]] int doctor_as_user(const char *user, const char *chroot_directory,
    int (*act)(const void *argument, char *ret_text), const void *argument, char *ret_text);
