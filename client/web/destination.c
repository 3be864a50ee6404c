/* SPDX-License-Identifier: BSD-3-Clause */
/* The page of one destination: how mail goes there, why, and on request how that came about. */
#include <event2/http.h>
#include <stdio.h>
#include <string.h>

#include "client/web/page.h"
#include "proto/reasons.h"
#include "proto/rrtype.h"

static void write_tlsa(struct evbuffer *out, const struct resolverd_host *host)
{
	for (size_t i = 0; i < host->tlsa_count; i++) {
		const struct resolverd_tlsa *tlsa = &host->tlsa[i];
		evbuffer_add_printf(
		    out, "<br><code>%u %u %u ", tlsa->usage, tlsa->selector, tlsa->matching_type);
		for (size_t j = 0; j < tlsa->data_bytes && j < 32; j++)
			evbuffer_add_printf(out, "%02x", tlsa->data[j]);
		evbuffer_add_printf(out, "%s</code>", tlsa->data_bytes > 32 ? "…" : "");
	}
}

static void write_host(struct evbuffer *out, const struct resolverd_host *host)
{
	const struct reason *reason = host_reason_of_word(host->reason);
	evbuffer_add_printf(out, "<tr><th scope=\"row\">");
	html_text(out, host->name);
	evbuffer_add_printf(out,
	    "</th><td class=\"number\" data-label=\"Preference\">%u</td><td "
	    "class=\"%s\">%s</td><td>",
	    host->preference,
	    host->policy == RESOLVERD_DANE          ? "good"
	    : host->policy == RESOLVERD_UNREACHABLE ? "bad"
						    : "",
	    resolverd_policy_text(host->policy));
	html_text(out, host->reason_text);
	evbuffer_add_printf(out, " <span class=\"dim\">(addresses %s, TLSA %s)</span>",
	    resolverd_status_text(host->address_status),
	    resolverd_tlsa_status_text(host->tlsa_status));
	write_tlsa(out, host);
	evbuffer_add_printf(out, "</td><td>%s", html_party((int)reason->party));
	if (reason->party != PARTY_NOBODY)
		evbuffer_add_printf(out, ": <span class=\"dim\">%s</span>", reason->remedy);
	evbuffer_add_printf(out, "</td></tr>\n");
}

static void write_plan(struct evbuffer *out, const struct resolverd_plan *plan)
{
	evbuffer_add_printf(out, "<p class=\"state %s\"><strong>%s</strong>: ",
	    plan->outcome == RESOLVERD_DELIVER ? "good" : "bad",
	    resolverd_outcome_text(plan->outcome));
	html_text(out, plan->reason);
	evbuffer_add_printf(out, "</p>\n<p>MX records: %s. Requirement: %s",
	    plan->has_mx ? resolverd_status_text(plan->mx_status) : "not asked",
	    resolverd_requirement_text(plan->requirement));
	if (plan->requirement_source != NULL) {
		evbuffer_add_printf(out, ", by the override of ");
		html_text(out, plan->requirement_source);
		if (plan->requirement_reason != NULL) {
			evbuffer_add_printf(out, " (");
			html_text(out, plan->requirement_reason);
			evbuffer_add_printf(out, ")");
		}
	}
	evbuffer_add_printf(out, ". Good for another ");
	html_span(out, plan->expires_in_s);
	evbuffer_add_printf(out, "%s.</p>\n",
	    plan->stale ? "; <strong class=\"warn\">it has ended, and is served since it can't be "
			  "looked up</strong>"
			: "");
	if (plan->host_count == 0)
		return;
	evbuffer_add_printf(out,
	    "<table class=\"stack\"><caption>Its mail hosts, in the order of trying</caption>"
	    "<thead><tr><th scope=\"col\">Host</th><th scope=\"col\" class=\"number\">Preference"
	    "</th><th scope=\"col\">Policy</th><th scope=\"col\">Why</th>"
	    "<th scope=\"col\">Who can mend it</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < plan->host_count; i++)
		write_host(out, &plan->hosts[i]);
	evbuffer_add_printf(out, "</tbody></table>\n");
}

static void write_lookups(struct evbuffer *out, const struct resolverd_step *step)
{
	evbuffer_add_printf(out, "<h3>");
	html_text(out, step->name);
	evbuffer_add_printf(out, "</h3>\n<p>");
	html_text(out, step->reason_text);
	evbuffer_add_printf(out, " <span class=\"dim\">(%s)</span></p>\n", step->clause);
	for (size_t i = 0; i < step->note_count; i++) {
		evbuffer_add_printf(out, "<p>");
		html_text(out, step->notes[i]);
		evbuffer_add_printf(out, "</p>\n");
	}
	if (step->lookup_count == 0)
		return;
	evbuffer_add_printf(out,
	    "<table><caption>Lookups, in order</caption><thead><tr><th scope=\"col\">Name</th>"
	    "<th scope=\"col\">Type</th><th scope=\"col\">Status</th><th scope=\"col\" "
	    "class=\"number\">TTL</th><th scope=\"col\" class=\"number\">Took</th></tr></thead>"
	    "<tbody>\n");
	for (size_t i = 0; i < step->lookup_count; i++) {
		const struct resolverd_lookup *lookup = &step->lookups[i];
		char type[RRTYPE_TEXT_MAX];
		rrtype_text(lookup->records.type, type);
		evbuffer_add_printf(out, "<tr><td>");
		html_text(out, lookup->records.name);
		evbuffer_add_printf(out, "</td><td>%s</td><td>%s ", type,
		    resolverd_status_text(lookup->records.status));
		html_text(out, lookup->records.reason);
		evbuffer_add_printf(out,
		    "</td><td class=\"number\">%u</td><td class=\"number\">%u ms</td></tr>\n",
		    lookup->ttl_s, lookup->took_ms);
	}
	evbuffer_add_printf(out, "</tbody></table>\n");
}

static void write_explanation(struct evbuffer *out, const struct resolverd_explanation *explanation)
{
	evbuffer_add_printf(out, "<h2>Looked up just now, past all caches</h2>\n");
	write_plan(out, explanation->fresh);
	for (size_t i = 0; i < explanation->difference_count; i++) {
		const struct resolverd_difference *one = &explanation->differences[i];
		evbuffer_add_printf(out, "<p class=\"warn\">Cached is something else: ");
		html_text(out, one->name);
		evbuffer_add_printf(out, ", %s: ", one->what);
		html_text(out, one->cached);
		evbuffer_add_printf(out, "</p>\n");
	}
	for (size_t i = 0; i < explanation->step_count; i++)
		write_lookups(out, &explanation->steps[i]);
}

static int write_body(const struct destination_answer *found, struct evbuffer *out)
{
	if (found->error == 0) {
		if (found->explanation != NULL)
			write_explanation(out, found->explanation);
		else
			write_plan(out, found->plan);
		return HTTP_OK;
	}
	evbuffer_add_printf(out, "<p class=\"bad\">%s", resolverd_strerror(found->error));
	if (found->detail[0] != '\0') {
		evbuffer_add_printf(out, ": ");
		html_text(out, found->detail);
	}
	evbuffer_add_printf(out, "</p>\n");
	return found->error == RESOLVERD_ERROR_ARGUMENT ? HTTP_BADREQUEST : HTTP_SERVUNAVAIL;
}

int destination_write(const char *next_hop, unsigned port, bool explain,
    const struct destination_answer *found, struct evbuffer *out)
{
	html_begin(out, next_hop);
	evbuffer_add_printf(out, "<header><p><a href=\"/\">resolverd</a></p><h1>");
	html_text(out, next_hop);
	evbuffer_add_printf(out, "</h1></header>\n<main id=\"main\">\n");
	int status = write_body(found, out);
	if (!explain && status == HTTP_OK) {
		evbuffer_add_printf(out, "<p><a href=\"/destination?next_hop=");
		html_query(out, next_hop);
		if (port != SMTP_PORT)
			evbuffer_add_printf(out, "&amp;port=%u", port);
		evbuffer_add_printf(out, "&amp;explain=1\">Look everything up again and explain"
					 "</a></p>\n");
	}
	evbuffer_add_printf(out, "<p class=\"dim\">The same on the command line: <code>resolverctl "
				 "explain ");
	html_text(out, next_hop);
	evbuffer_add_printf(out, "</code>; what a mail would meet there: <code>resolverctl check ");
	html_text(out, next_hop);
	evbuffer_add_printf(out, "</code></p>\n</main>\n");
	html_end(out);
	return status;
}
