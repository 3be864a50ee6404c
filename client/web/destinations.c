/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The destinations in the daemon's cache: how many are safe, which have trouble, what ends soon.
 * Nothing of them is kept here but what the page shows, for a minute.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/clock.h"
#include "client/web/page.h"
#include "proto/reasons.h"
#include "resolverd.pb-c.h"

#define LIFE_MS 60000
#define WALK_MS                                                                                    \
	2000 /* with more destinations than that allows the figures are of a part of them          \
	      */
#define AT_ONCE 200
#define SHOWN_MAX 50u
#define SOON_S (2 * 86400u) /* signatures that end so soon, if they are not renewed */

struct destination {
	char *name;
	char what[400];   /* what is wrong, or ends */
	char remedy[300]; /* may be empty */
	int party;
	unsigned demand, port;
	uint64_t ends_at_ms; /* of the signatures */
};

struct list { /* the first ones by order */
	struct destination items[SHOWN_MAX];
	size_t count, all;
};

enum share { SHARE_DANE, SHARE_SOME, SHARE_PLAIN, SHARE_OUT, SHARE_UNKNOWN, SHARES };

struct destinations {
	const struct web_options *options;
	struct resolverd_client *client;
	int64_t walked_at_ms; /* mono; 0: never */
	uint64_t walked_at_wall_ms;
	bool is_whole;
	char error[600];
	size_t shares[SHARES], total, in_use,
	    nowhere;        /* nowhere: no mail, no such domain, no host */
	size_t single_tlsa; /* hosts, as often as destinations have them */
	struct list trouble, soon;
};

struct destinations *destinations_new(const struct web_options *options)
{
	struct destinations *destinations = calloc(1, sizeof *destinations);
	if (destinations == NULL)
		return NULL;
	destinations->options = options;
	if (resolverd_client_new(&options->daemon, &destinations->client) != 0) {
		free(destinations);
		return NULL;
	}
	return destinations;
}

static void list_clear(struct list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].name);
	list->count = list->all = 0;
}

void destinations_free(struct destinations *destinations)
{
	if (destinations == NULL)
		return;
	list_clear(&destinations->trouble);
	list_clear(&destinations->soon);
	resolverd_client_free(destinations->client);
	free(destinations);
}

/* ---- walking ---- */

static bool more_wanted(const struct destination *a, const struct destination *b)
{
	return a->demand > b->demand;
}

static bool ends_sooner(const struct destination *a, const struct destination *b)
{
	return a->ends_at_ms < b->ends_at_ms;
}

static void list_add(struct list *list, const struct destination *item, const char *name,
    bool (*before)(const struct destination *a, const struct destination *b))
{
	size_t at = list->count;
	list->all++;
	while (at > 0 && before(item, &list->items[at - 1]))
		at--;
	if (at == SHOWN_MAX)
		return;
	char *copy = strdup(name);
	if (copy == NULL)
		return;
	if (list->count == SHOWN_MAX)
		free(list->items[--list->count].name);
	memmove(&list->items[at + 1], &list->items[at], (list->count - at) * sizeof list->items[0]);
	list->items[at] = *item;
	list->items[at].name = copy;
	list->count++;
}

/* It has ended, and whoever asks for the plan has it looked up. */
static bool is_missing(const struct resolverd_host *host)
{
	return strcmp(host->reason, "answer-missing") == 0;
}

static enum share share_of(const struct resolverd_plan *plan)
{
	size_t dane = 0, open = 0, missing = 0;
	for (size_t i = 0; i < plan->host_count; i++) {
		dane += plan->hosts[i].policy == RESOLVERD_DANE;
		open += plan->hosts[i].policy != RESOLVERD_UNREACHABLE;
		missing += is_missing(&plan->hosts[i]);
	}
	if (missing > 0)
		return SHARE_UNKNOWN;
	if (plan->outcome != RESOLVERD_DELIVER || open == 0)
		return SHARE_OUT;
	return dane == open ? SHARE_DANE : dane > 0 ? SHARE_SOME : SHARE_PLAIN;
}

static void take_words(struct destination *item, const char *what, const struct reason *reason)
{
	snprintf(item->what, sizeof item->what, "%s", what);
	snprintf(item->remedy, sizeof item->remedy, "%s", reason->remedy);
	item->party = (int)reason->party;
}

static void route_trouble(const struct resolverd_plan *plan, struct destination *item)
{
	const struct reason *reason = route_reason(0, 0);
	Resolverd__V1__Answer *answer =
	    plan->answer_count > 0 ? resolverd__v1__answer__unpack(NULL,
					 plan->answers[0].message_bytes, plan->answers[0].message)
				   : NULL;
	if (answer != NULL && answer->route != NULL)
		reason = route_reason((int)answer->route->kind, (int)answer->route->mx_status);
	take_words(item, plan->reason, reason);
	resolverd__v1__answer__free_unpacked(answer, NULL);
}

static bool host_trouble(const struct resolverd_plan *plan, struct destination *item)
{
	const struct resolverd_host *first = NULL;
	size_t out = 0;
	for (size_t i = 0; i < plan->host_count; i++) {
		if (plan->hosts[i].policy != RESOLVERD_UNREACHABLE || is_missing(&plan->hosts[i]))
			continue;
		out++;
		if (first == NULL)
			first = &plan->hosts[i];
	}
	if (first == NULL)
		return false;
	char what[400];
	if (plan->host_count > 1)
		snprintf(what, sizeof what, "%zu of %zu hosts are out; %s: %s", out,
		    plan->host_count, first->name, first->reason_text);
	else
		snprintf(what, sizeof what, "%s: %s", first->name, first->reason_text);
	take_words(item, what, host_reason_of_word(first->reason));
	return true;
}

/* What is wrong with it; false: nothing is. */
static bool find_trouble(const struct resolverd_dumped *entry, struct destination *item)
{
	const struct resolverd_plan *plan = entry->plan;
	if (host_trouble(plan, item))
		return true;
	if (plan->outcome == RESOLVERD_DELAY && plan->host_count == 0) {
		route_trouble(plan, item);
		return true;
	}
	item->party = PARTY_THEM;
	if (plan->stale)
		snprintf(item->what, sizeof item->what,
		    "served past its end, since it can't be looked up");
	else if (entry->last_was_bogus)
		snprintf(item->what, sizeof item->what,
		    "the last lookup did not validate; what was found before is served for "
		    "another %llu s",
		    (unsigned long long)plan->expires_in_s);
	else if (plan->would_refuse)
		snprintf(item->what, sizeof item->what,
		    "would be refused, were it not for requirement audit");
	else if (entry->failed_refreshes > 1)
		snprintf(item->what, sizeof item->what,
		    "%u refreshes brought nothing newer; it ends in %llu s",
		    entry->failed_refreshes, (unsigned long long)plan->expires_in_s);
	return item->what[0] != '\0';
}

static uint64_t signatures_end_ms(const struct resolverd_plan *plan)
{
	uint64_t first = 0;
	for (size_t i = 0; i < plan->answer_count; i++) {
		Resolverd__V1__Answer *answer = resolverd__v1__answer__unpack(
		    NULL, plan->answers[i].message_bytes, plan->answers[i].message);
		if (answer != NULL && answer->rrsig_expires_at != 0 &&
		    (first == 0 || answer->rrsig_expires_at < first))
			first = answer->rrsig_expires_at;
		resolverd__v1__answer__free_unpacked(answer, NULL);
	}
	return first;
}

static void take_entry(struct destinations *destinations, const struct resolverd_dumped *entry)
{
	const struct resolverd_plan *plan = entry->plan;
	struct destination item = {.demand = entry->demand, .port = entry->port};
	bool nowhere = plan->outcome == RESOLVERD_NO_MAIL ||
		       plan->outcome == RESOLVERD_NO_SUCH_DOMAIN ||
		       plan->outcome == RESOLVERD_NO_HOST;
	destinations->total++;
	destinations->in_use += entry->in_use;
	destinations->nowhere += nowhere;
	if (nowhere)
		return;
	destinations->shares[share_of(plan)]++;
	for (size_t i = 0; i < plan->host_count; i++)
		destinations->single_tlsa +=
		    plan->hosts[i].policy == RESOLVERD_DANE && plan->hosts[i].tlsa_count == 1;
	if (find_trouble(entry, &item))
		list_add(&destinations->trouble, &item, entry->name, more_wanted);
	uint64_t now_ms = clock_wall_ms(), ends_ms = signatures_end_ms(plan);
	if (ends_ms == 0 || ends_ms > now_ms + SOON_S * 1000ull)
		return;
	struct destination ending = {.demand = entry->demand,
	    .port = entry->port,
	    .party = PARTY_THEM,
	    .ends_at_ms = ends_ms};
	snprintf(ending.what, sizeof ending.what, "DNSSEC signatures that it rests on");
	list_add(&destinations->soon, &ending, entry->name, ends_sooner);
}

static void walk(struct destinations *destinations)
{
	const struct resolverd_dump_options wanted = {.kind = RESOLVERD_ROUTE, .limit = AT_ONCE};
	int64_t begin_ms = clock_mono_ms();
	uint64_t cursor = 0;
	list_clear(&destinations->trouble);
	list_clear(&destinations->soon);
	memset(destinations->shares, 0, sizeof destinations->shares);
	destinations->total = destinations->in_use = destinations->nowhere = 0;
	destinations->single_tlsa = 0;
	destinations->is_whole = false;
	destinations->error[0] = '\0';
	do {
		struct resolverd_dump *dump;
		int error = resolverd_dump(destinations->client, &wanted, cursor,
		    (int)destinations->options->timeout_ms, &dump);
		if (error != 0) {
			snprintf(destinations->error, sizeof destinations->error, "%s: %s",
			    resolverd_strerror(error), resolverd_last_error(destinations->client));
			break;
		}
		for (size_t i = 0; i < dump->count; i++)
			if (dump->entries[i].plan != NULL)
				take_entry(destinations, &dump->entries[i]);
		cursor = dump->next;
		destinations->is_whole = cursor == 0;
		resolverd_dump_free(dump);
	} while (cursor != 0 && clock_mono_ms() - begin_ms < WALK_MS);
	destinations->walked_at_ms = clock_mono_ms();
	destinations->walked_at_wall_ms = clock_wall_ms();
}

/* ---- showing ---- */

static void write_share(const struct destinations *destinations, struct evbuffer *out)
{
	static const struct {
		const char *class, *text;
	} parts[SHARES] = {{"dane", "DANE at every host"}, {"some", "DANE at some hosts"},
	    {"plain", "no DANE: TLS without authentication, or opportunistic"}, {"out", "delayed"},
	    {"none", "not all of their hosts are cached now"}};
	size_t all = 0;
	for (int i = 0; i < SHARES; i++)
		all += destinations->shares[i];
	evbuffer_add_printf(out,
	    "<p><span class=\"figure\">%.0f&nbsp;%%</span> of %zu destinations in the cache have "
	    "DANE at every host; %zu of all are in use.</p>\n",
	    all > 0 ? 100.0 * (double)destinations->shares[SHARE_DANE] / (double)all : 0.0, all,
	    destinations->in_use);
	if (all == 0)
		return;
	evbuffer_add_printf(out,
	    "<svg viewBox=\"0 0 1000 24\" preserveAspectRatio=\"none\" role=\"img\" "
	    "aria-label=\"Share of DANE; the figures are in the list below\">");
	double at = 0;
	for (int i = 0; i < SHARES; i++) {
		double width = 1000.0 * (double)destinations->shares[i] / (double)all;
		evbuffer_add_printf(out,
		    "<rect class=\"%s\" x=\"%.1f\" y=\"0\" width=\"%.1f\" height=\"24\"/>",
		    parts[i].class, at, width);
		at += width;
	}
	evbuffer_add_printf(out, "</svg>\n<ul class=\"key\">\n");
	for (int i = 0; i < SHARES; i++)
		evbuffer_add_printf(out,
		    "<li><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect class=\"%s\" "
		    "width=\"10\" height=\"10\"/></svg>%s: %zu</li>\n",
		    parts[i].class, parts[i].text, destinations->shares[i]);
	evbuffer_add_printf(
	    out, "<li>take no mail or do not exist: %zu</li>\n</ul>\n", destinations->nowhere);
}

static void write_name(struct evbuffer *out, const struct destination *item)
{
	const char *name = item->name;
	evbuffer_add_printf(out, "<th scope=\"row\"><a href=\"/destination?next_hop=");
	html_query(out, name);
	if (item->port != 0 && item->port != SMTP_PORT)
		evbuffer_add_printf(out, "&amp;port=%u", item->port);
	evbuffer_add_printf(out, "\">");
	html_text(out, name);
	evbuffer_add_printf(out, "</a></th>");
}

static void write_trouble(const struct destinations *destinations, struct evbuffer *out)
{
	const struct list *list = &destinations->trouble;
	evbuffer_add_printf(out, "<section aria-labelledby=\"trouble\">\n<h2 id=\"trouble\">"
				 "Destinations with trouble</h2>\n");
	if (list->count == 0) {
		evbuffer_add_printf(out, "<p class=\"good\">None.</p>\n</section>\n");
		return;
	}
	evbuffer_add_printf(out,
	    "<table class=\"stack\"><caption>%zu, the most wanted first%s</caption>\n<thead><tr>"
	    "<th scope=\"col\">Destination</th><th scope=\"col\" class=\"number\">Demand</th>"
	    "<th scope=\"col\">What is wrong</th><th scope=\"col\">Who must act</th></tr></thead>\n"
	    "<tbody>\n",
	    list->all, list->all > list->count ? "; not all are shown" : "");
	for (size_t i = 0; i < list->count; i++) {
		const struct destination *item = &list->items[i];
		evbuffer_add_printf(out, "<tr>");
		write_name(out, item);
		evbuffer_add_printf(
		    out, "<td class=\"number\" data-label=\"Demand\">%u</td><td>", item->demand);
		html_text(out, item->what);
		evbuffer_add_printf(out, "</td><td>%s", html_party(item->party));
		if (item->remedy[0] != '\0') {
			evbuffer_add_printf(out, ": <span class=\"dim\">");
			html_text(out, item->remedy);
			evbuffer_add_printf(out, "</span>");
		}
		evbuffer_add_printf(out, "</td></tr>\n");
	}
	evbuffer_add_printf(out, "</tbody></table>\n</section>\n");
}

static void write_soon(const struct destinations *destinations, struct evbuffer *out)
{
	const struct list *list = &destinations->soon;
	uint64_t now_ms = destinations->walked_at_wall_ms;
	evbuffer_add_printf(out,
	    "<section aria-labelledby=\"soon\">\n<h2 id=\"soon\">What may break "
	    "soon</h2>\n");
	if (destinations->single_tlsa > 0)
		evbuffer_add_printf(out,
		    "<p>%zu times a host has one TLSA record and no spare: when its certificate "
		    "changes first and the record after, mail waits for it (RFC 7671 section "
		    "8.1).</p>\n",
		    destinations->single_tlsa);
	if (list->count == 0) {
		evbuffer_add_printf(
		    out, "<p class=\"good\">No signature ends within two days.</p>\n</section>\n");
		return;
	}
	evbuffer_add_printf(out,
	    "<table class=\"stack\"><caption>%zu rest on signatures that end within two days, if "
	    "they are not renewed; many zones renew them late</caption>\n<thead><tr>"
	    "<th scope=\"col\">Destination</th><th scope=\"col\" class=\"number\">In</th>"
	    "</tr></thead>\n<tbody>\n",
	    list->all);
	for (size_t i = 0; i < list->count && i < 10; i++) {
		const struct destination *item = &list->items[i];
		evbuffer_add_printf(out, "<tr>");
		write_name(out, item);
		evbuffer_add_printf(out, "<td class=\"number\" data-label=\"In\">");
		html_span(out, item->ends_at_ms > now_ms ? (item->ends_at_ms - now_ms) / 1000 : 0);
		evbuffer_add_printf(out, "</td></tr>\n");
	}
	evbuffer_add_printf(out, "</tbody></table>\n</section>\n");
}

void destinations_write(struct destinations *destinations, struct evbuffer *out)
{
	if (destinations->walked_at_ms == 0 ||
	    clock_mono_ms() - destinations->walked_at_ms >= LIFE_MS ||
	    destinations->error[0] != '\0')
		walk(destinations);
	evbuffer_add_printf(out, "<section aria-labelledby=\"share\">\n<h2 id=\"share\">Where mail "
				 "goes</h2>\n");
	if (destinations->error[0] != '\0') {
		evbuffer_add_printf(out, "<p class=\"bad\">");
		html_text(out, destinations->error);
		evbuffer_add_printf(out, "</p>\n</section>\n");
		return;
	}
	write_share(destinations, out);
	if (!destinations->is_whole)
		evbuffer_add_printf(out, "<p class=\"warn\">There are more than could be looked "
					 "through: these figures are of a part of them.</p>\n");
	evbuffer_add_printf(out, "</section>\n");
	write_trouble(destinations, out);
	write_soon(destinations, out);
}
