/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a client handle. client.c makes it, connection.c moves bytes and reconnects,
 * request.c keeps the requests and decides when a response may become a result, api.c is the public
 * face of both. Nobody else looks in here; tests use client_set_clock.
 */
#pragma once
#include <sys/un.h>

#include "client/lib/attested.h"
#include "client/lib/buffer.h"
#include "client/lib/plan_cache.h"
#include "client/lib/view.h"

#define REQUEST_BUCKETS 256u

enum request_state {
	REQUEST_SENT,     /* queued or on its way */
	REQUEST_HELD,     /* a response is there, its key is not: waits for a status */
	REQUEST_FINISHED, /* result or error */
};

struct request {
	uint64_t id;
	Resolverd__V1__Request__BodyCase kind;
	enum request_state state;
	bool internal;           /* our own status request: refreshes the keyring, has no result */
	bool resubmitted;        /* after a lost connection; happens once */
	bool held_before;        /* its key was unknown once already */
	bool asked_again;        /* its answer had expired on the way; happens once */
	uint64_t sent_over;      /* which connection; of a watch, which outlives its results */
	unsigned retry_after_ms; /* busy: what the daemon says */
	bool batched;            /* of a batch, which takes it */
	struct asked asked;
	uint8_t *frame; /* as sent */
	size_t frame_bytes;
	size_t nonce_at;                      /* in the frame; 0: not to be attested */
	uint8_t leaf[ATTESTATION_HASH_BYTES]; /* of its response */
	struct resolverd_memory *arena;       /* of the response, then of the result */
	Resolverd__V1__Response *response;    /* HELD only */
	void *result;
	int error;
	char detail[DETAIL_MAX];
	struct request *bucket_next;
	struct request *previous, *next; /* in order of submission, or of finishing */
};

struct request_list {
	struct request *first, *last;
};

struct resolverd_client {
	struct sockaddr_un address;
	char *public_key_file;
	uint64_t (*now_ms)(void), (*boot_ms)(void);
	int64_t wall_minus_boot_ms; /* when the cache of plans was used last */
	int fd;
	struct buffer in, out;
	struct trusted_keys trusted;
	struct keyring keyring;
	uint8_t keys[KEYRING_HASH_BYTES]; /* of the keyring of the last status */
	struct remembered remembered;
	struct plan_cache plans;
	bool attest;
	uint64_t next_id;
	struct request *buckets[REQUEST_BUCKETS];
	struct request_list open, finished;
	struct request *first_unreported; /* of finished: what resolverd_next_finished names next */
	uint64_t connections;             /* made so far */
	unsigned retry_after_ms;          /* of the last error */
	size_t status_in_flight;
	char goodbye[DETAIL_MAX]; /* what the daemon said about the session before it ended */
	char detail[DETAIL_MAX];
};

/* Both clocks: one that is never stepped. */
void client_set_clock(struct resolverd_client *client, uint64_t (*now_ms)(void));
void client_set_boot_clock(struct resolverd_client *client, uint64_t (*boot_ms)(void));
/* Records the detail of an error and passes the error on. */
[[gnu::format(printf, 3, 4)]] int client_fail(
    struct resolverd_client *client, int error, const char *format, ...);

/* ---- api.c, sync.c: for control.c ---- */

/* Fills asked.hop and port: 0, or ARGUMENT with detail. */
[[nodiscard]] int client_ask_next_hop(
    struct resolverd_client *client, const char *next_hop, unsigned port, struct asked *asked);
/* Asks, waits and takes: the result, its memory the caller's; NULL: *ret_error says why. */
void *client_ask(struct resolverd_client *client, Resolverd__V1__Request *message,
    const struct asked *asked, int timeout_ms, int *ret_error);
/* The daemon answers with what it has a little before we stop listening. */
unsigned client_daemon_deadline_ms(int timeout_ms);
[[nodiscard]] int client_submit(struct resolverd_client *client, Resolverd__V1__Request *message,
    const struct asked *asked, uint64_t *ret_id);
void *client_take(struct resolverd_client *client, uint64_t id,
    Resolverd__V1__Request__BodyCase kind, int *ret_error);

/* ---- connection.c ---- */

/* Connects if there is something to say, sends, receives. 0 or RESOLVERD_ERROR_MEMORY. */
[[nodiscard]] int connection_update(struct resolverd_client *client);
void connection_close(struct resolverd_client *client);

/* ---- request.c ---- */

/* Takes over message but for its id; asked is copied. */
[[nodiscard]] int request_submit(struct resolverd_client *client, Resolverd__V1__Request *message,
    const struct asked *asked, bool internal, struct request **ret_request);
/* Others cannot be asked of a client that wants answers attested, but for those that hold none. */
bool request_can_be_attested(Resolverd__V1__Request__BodyCase kind);
/* A finished request for this plan, from the cache; NULL: it has none that is live. */
struct request *request_from_cache(struct resolverd_client *client, const struct asked *asked);
struct request *request_find(const struct resolverd_client *client, uint64_t id);
void request_forget(struct resolverd_client *client, struct request *request);
/* The result of a watch was taken: it waits for the next. 0 or RESOLVERD_ERROR_MEMORY. */
[[nodiscard]] int request_watch_on(struct resolverd_client *client, struct request *request);
void request_fail(
    struct resolverd_client *client, struct request *request, int error, const char *detail);
void request_fail_all(struct resolverd_client *client, int error, const char *detail);
/* The connection was lost: those that were never repeated stay open, the others fail. */
void request_lost_connection(struct resolverd_client *client);
/* Puts what is open into the output of a new connection, a status request first. */
[[nodiscard]] int request_send_all(struct resolverd_client *client);
/* One frame's body: 0, RESOLVERD_ERROR_MEMORY, or RESOLVERD_ERROR_PROTOCOL. */
[[nodiscard]] int request_receive(
    struct resolverd_client *client, const uint8_t *body, size_t body_bytes);
