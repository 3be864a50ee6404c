/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Does Postfix's own resolver validate? Asked again and again, as Postfix would ask: each name
 * server of its resolv.conf, over UDP, for the root's NS records with the DO and AD bits set. It
 * does when every one of them answers, with the AD bit: libc goes on to the next server when one
 * fails, so the weakest of them counts. What this can't show is that the AD bit is deserved: that
 * is a matter of which servers the file names (docs/integrations/postfix.md).
 */
#pragma once
#include <event2/event.h>
#include <stdbool.h>

#include "client/serve/serve.h"

#define PROBE_SERVERS_MAX 3u /* as many as libc uses (MAXNS) */
#define PROBE_QUERY_BYTES 28u

struct probe_options {
	bool vouched;     /* nothing is asked, the operator vouches for it */
	const char *file; /* a resolv.conf; NULL: the server below */
	union serve_address server;
	unsigned interval_ms;
};

struct probe;
/* first is called once, when the first round is over, from the event loop. Borrows what options
 * point to. NULL: out of memory. */
struct probe *probe_new(struct event_base *base, const struct probe_options *options,
    void (*first)(void *context), void *context);
void probe_free(struct probe *probe);
/* As the last round that is over found it. */
bool probe_is_good(const struct probe *probe);
/* Why it is not, for people. Never NULL. */
const char *probe_complaint(const struct probe *probe);

/* ---- its pure parts ---- */

/* The name servers of the text of a resolv.conf: the first three; without any, 127.0.0.1 (as
 * resolv.conf(5) has it). *ret_has_bad: there is one that is no address to us, which libc may use.
 */
size_t probe_servers(
    const char *text, union serve_address ret_servers[PROBE_SERVERS_MAX], bool *ret_has_bad);
void probe_query(uint16_t id, uint8_t ret_query[PROBE_QUERY_BYTES]);

enum probe_reply { PROBE_VALIDATED, PROBE_FOREIGN, PROBE_REFUSED };
/* FOREIGN: no reply to that query, another may follow. *ret_complaint is set for REFUSED. */
enum probe_reply probe_read(const uint8_t *packet, size_t bytes,
    const uint8_t query[PROBE_QUERY_BYTES], const char **ret_complaint);
