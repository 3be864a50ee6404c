/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTTP by libevent. What it is not to be is decided here: a server for others (loopback and Unix
 * sockets only), or one that a page of another site can read through a name of its own that leads
 * to loopback (DNS rebinding: the Host header is one of ours), or one that does anything (GET and
 * HEAD only; nothing is changed).
 */
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/text.h"
#include "client/web/page.h"
#include "icon.svg.h"
#include "style.css.h"

#define HEADERS_MAX 8192
#define TIMEOUT_S 10
#define NEXT_HOP_MAX 1000 /* the library says what is wrong with one */
#define PAUSE_MS 200      /* when there are no descriptors left */

struct http {
	const struct web_options *options;
	struct source *source;
	struct page *page;
	struct questions *questions;
	struct evhttp *loopback, *local; /* TCP; Unix sockets, where any Host will do */
};

/* ---- who may read ---- */

static bool is_name(const char *host, size_t count, const char *name)
{
	return strlen(name) == count && strncasecmp(host, name, count) == 0;
}

/* "localhost", "127.0.0.1:9464", "[::1]:9464", or one of --host. */
static bool is_our_name(const struct web_options *options, const char *host)
{
	static const char *const loopback[] = {"localhost", "127.0.0.1", "[::1]"};
	if (host == NULL)
		return false;
	const char *end = host[0] == '[' ? strchr(host, ']') : NULL;
	const char *colon = strchr(end != NULL ? end : host, ':');
	size_t count = colon != NULL ? (size_t)(colon - host) : strlen(host);
	for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++)
		if (is_name(host, count, loopback[i]))
			return true;
	for (size_t i = 0; i < options->host_count; i++)
		if (is_name(host, count, options->hosts[i]))
			return true;
	return false;
}

/* ---- replies ---- */

void http_reply(struct evhttp_request *request, int code, const char *type, struct evbuffer *body)
{
	static const char *const headers[][2] = {
	    {"Cache-Control", "no-store"},
	    {"Content-Security-Policy",
		"default-src 'none'; style-src 'self'; img-src 'self'; "
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
	    {"Cross-Origin-Resource-Policy", "same-origin"},
	    {"Referrer-Policy", "no-referrer"},
	    {"X-Content-Type-Options", "nosniff"},
	};
	struct evkeyvalq *out = evhttp_request_get_output_headers(request);
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
		evhttp_add_header(out, headers[i][0], headers[i][1]);
	evhttp_add_header(out, "Content-Type", type);
	if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD) {
		/* As for GET (RFC 9110 section 9.3.2); libevent would send it, too. */
		char length[24];
		snprintf(
		    length, sizeof length, "%zu", body != NULL ? evbuffer_get_length(body) : 0);
		evhttp_add_header(out, "Content-Length", length);
		body = NULL;
	}
	evhttp_send_reply(request, code, NULL, body);
}

void http_reply_text(struct evhttp_request *request, int code, const char *text)
{
	struct evbuffer *body = evbuffer_new();
	if (body != NULL)
		evbuffer_add_printf(body, "%s\n", text);
	http_reply(request, code, "text/plain; charset=utf-8", body);
	if (body != NULL)
		evbuffer_free(body);
}

/* ---- what there is ---- */

static void serve_metrics(struct http *http, struct evhttp_request *request)
{
	const char *error;
	struct evbuffer *body = evbuffer_new();
	if (body == NULL) {
		http_reply_text(request, HTTP_INTERNAL, "out of memory");
		return;
	}
	metrics_write(body, source_status(http->source, &error));
	http_reply(request, HTTP_OK, METRICS_TYPE, body);
	evbuffer_free(body);
}

/* The daemon's process is there and answers. */
static void serve_live(struct http *http, struct evhttp_request *request)
{
	const char *error;
	if (source_status(http->source, &error) != NULL)
		http_reply_text(request, HTTP_OK, "live");
	else
		http_reply_text(request, HTTP_SERVUNAVAIL, error);
}

static void serve_ready(struct http *http, struct evhttp_request *request)
{
	const char *error;
	const struct resolverd_daemon_status *status = source_status(http->source, &error);
	if (status == NULL)
		http_reply_text(request, HTTP_SERVUNAVAIL, error);
	else if (!status->ready)
		http_reply_text(request, HTTP_SERVUNAVAIL, status->not_ready_reason);
	else
		http_reply_text(request, HTTP_OK, "ready");
}

static void serve_page(struct http *http, struct evhttp_request *request)
{
	struct evbuffer *body = evbuffer_new();
	if (body == NULL) {
		http_reply_text(request, HTTP_INTERNAL, "out of memory");
		return;
	}
	page_write(http->page, body);
	http_reply(request, HTTP_OK, HTML_TYPE, body);
	evbuffer_free(body);
}

/* A page elsewhere can have a browser ask this, though not read it: it would have names looked up.
 */
static bool is_from_elsewhere(struct evhttp_request *request)
{
	const char *site =
	    evhttp_find_header(evhttp_request_get_input_headers(request), "Sec-Fetch-Site");
	return site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
}

static void serve_destination(struct http *http, struct evhttp_request *request)
{
	const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
	struct evkeyvalq values = {0};
	const char *next_hop = NULL;
	if (!http->options->show_destinations || is_from_elsewhere(request)) {
		http_reply_text(request, 403,
		    "destinations are not shown (--no-destinations), or not to "
		    "a page of another site");
	} else if (evhttp_parse_query_str(query != NULL ? query : "", &values) != 0 ||
		   (next_hop = evhttp_find_header(&values, "next_hop")) == NULL ||
		   strlen(next_hop) > NEXT_HOP_MAX) {
		http_reply_text(request, HTTP_BADREQUEST, "/destination?next_hop=example.org");
	} else {
		char name[NEXT_HOP_MAX + 1];
		bool explain = evhttp_find_header(&values, "explain") != NULL;
		const char *number = evhttp_find_header(&values, "port");
		unsigned long port = number != NULL ? strtoul(number, NULL, 10) : SMTP_PORT;
		snprintf(name, sizeof name, "%s", next_hop);
		text_mend(name); /* it goes into the page */
		if (port >= 1 && port <= 65535)
			questions_ask(http->questions, request, name, (unsigned)port, explain);
		else
			http_reply_text(request, HTTP_BADREQUEST, "a port is from 1 to 65535");
	}
	evhttp_clear_headers(&values);
}

static void reply_file(
    struct evhttp_request *request, const char *type, const unsigned char *bytes, size_t count)
{
	struct evbuffer *body = evbuffer_new();
	if (body != NULL)
		evbuffer_add_reference(body, bytes, count, NULL, NULL);
	http_reply(request, HTTP_OK, type, body);
	if (body != NULL)
		evbuffer_free(body);
}

static void serve_style(struct http *http, struct evhttp_request *request)
{
	(void)http;
	reply_file(request, "text/css; charset=utf-8", style_css, sizeof style_css);
}

static void serve_icon(struct http *http, struct evhttp_request *request)
{
	(void)http;
	reply_file(request, "image/svg+xml", icon_svg, sizeof icon_svg);
}

static const struct {
	const char *path;
	void (*serve)(struct http *http, struct evhttp_request *request);
} paths[] = {{"/metrics", serve_metrics}, {"/livez", serve_live}, {"/readyz", serve_ready},
    {"/", serve_page}, {"/destination", serve_destination}, {"/style.css", serve_style},
    {"/icon.svg", serve_icon}};

static void route(struct http *http, struct evhttp_request *request)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
	for (size_t i = 0; path != NULL && i < sizeof paths / sizeof *paths; i++)
		if (strcmp(path, paths[i].path) == 0) {
			paths[i].serve(http, request);
			return;
		}
	http_reply_text(request, HTTP_NOTFOUND, "there is /, /metrics, /livez and /readyz");
}

static void on_loopback(struct evhttp_request *request, void *arg)
{
	struct http *http = arg;
	const char *host = evhttp_find_header(evhttp_request_get_input_headers(request), "Host");
	if (is_our_name(http->options, host))
		route(http, request);
	else
		http_reply_text(request, 421,
		    "not under this name: ask for localhost, 127.0.0.1 or [::1], or start "
		    "resolverd-web with --host NAME");
}

static void on_local(struct evhttp_request *request, void *arg)
{
	route(arg, request);
}

/* ---- start and end ---- */

static struct evhttp *server_new(
    struct event_base *base, void (*on_request)(struct evhttp_request *, void *), void *arg)
{
	struct evhttp *server = evhttp_new(base);
	if (server == NULL)
		return NULL;
	evhttp_set_allowed_methods(server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(server, HEADERS_MAX);
	evhttp_set_max_body_size(server, 0);
	evhttp_set_timeout(server, TIMEOUT_S);
	evhttp_set_gencb(server, on_request, arg);
	return server;
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	evconnlistener_enable(arg);
}

/* No descriptors left: the connections there are end by their time. The argument is the server's,
 * whatever evconnlistener_set_error_cb may suggest. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	const struct timeval pause = {.tv_usec = PAUSE_MS * 1000};
	(void)arg;
	if (event_base_once(evconnlistener_get_base(listener), -1, EV_TIMEOUT, on_resume, listener,
		&pause) == 0)
		evconnlistener_disable(listener);
}

static bool open_door(struct http *http, const struct listening *one)
{
	int own = fcntl(one->fd, F_DUPFD_CLOEXEC, 0); /* the server closes it at its end */
	struct evhttp_bound_socket *bound =
	    own < 0 ? NULL
		    : evhttp_accept_socket_with_handle(
			  one->is_unix ? http->local : http->loopback, own);
	if (bound == NULL) {
		if (own >= 0)
			close(own);
		return false;
	}
	evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(bound), on_accept_error);
	return true;
}

int http_new(struct event_base *base, const struct web_options *options,
    const struct sockets *sockets, struct source *source, struct http **ret_http)
{
	struct http *http = calloc(1, sizeof *http);
	bool good = http != NULL;
	if (good) {
		http->options = options;
		http->source = source;
		http->loopback = server_new(base, on_loopback, http);
		http->local = server_new(base, on_local, http);
		http->page = page_new(base, options, source);
		http->questions = questions_new(base, options);
		good = http->loopback != NULL && http->local != NULL && http->page != NULL &&
		       http->questions != NULL;
	}
	for (size_t i = 0; good && i < sockets->count; i++)
		good = open_door(http, &sockets->list[i]);
	if (!good) {
		http_free(http);
		serve_log(SERVE_ERROR, "out of memory");
		return EXIT_TROUBLE;
	}
	*ret_http = http;
	return 0;
}

void http_free(struct http *http)
{
	if (http == NULL)
		return;
	questions_free(http->questions);
	if (http->loopback != NULL)
		evhttp_free(http->loopback);
	if (http->local != NULL)
		evhttp_free(http->local);
	page_free(http->page);
	free(http);
}
