/* SPDX-License-Identifier: BSD-3-Clause */
/* What check found, as JSON (docs/JSON.md) and for people. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/ctl/check.h"
#include "client/lib/text.h"

#define NAME_MAX_CHARACTERS 256

/* ---- certificates ---- */

struct certificate_view {
	char subject[NAME_MAX_CHARACTERS], issuer[NAME_MAX_CHARACTERS];
	uint64_t not_before_ms, not_after_ms;
};

static void name_text(const X509_NAME *name, char ret_text[NAME_MAX_CHARACTERS])
{
	BIO *out = BIO_new(BIO_s_mem());
	int count = -1;
	if (out != NULL &&
	    X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
		count = BIO_read(out, ret_text, NAME_MAX_CHARACTERS - 1);
	ret_text[count > 0 ? count : 0] = '\0';
	text_mend(ret_text);
	BIO_free(out);
}

static uint64_t time_ms(const ASN1_TIME *at)
{
	struct tm utc;
	if (ASN1_TIME_to_tm(at, &utc) != 1)
		return 0;
	time_t seconds = timegm(&utc);
	return seconds > 0 ? (uint64_t)seconds * 1000 : 0;
}

static void view_certificate(const X509 *certificate, struct certificate_view *ret_view)
{
	name_text(X509_get_subject_name(certificate), ret_view->subject);
	name_text(X509_get_issuer_name(certificate), ret_view->issuer);
	ret_view->not_before_ms = time_ms(X509_get0_notBefore(certificate));
	ret_view->not_after_ms = time_ms(X509_get0_notAfter(certificate));
}

/* ---- JSON ---- */

static json_t *chain_json(const struct smtp_tls_info *tls)
{
	json_t *array = json_array();
	const STACK_OF(X509) *chain = tls != NULL ? SSL_get_peer_cert_chain(tls->ssl) : NULL;
	for (int i = 0; i < sk_X509_num(chain); i++) {
		struct certificate_view view;
		view_certificate(sk_X509_value(chain, i), &view);
		json_array_append_new(array,
		    json_pack("{s:o, s:o, s:o, s:o}", "subject",
			json_stringn_nocheck(view.subject, strlen(view.subject)), "issuer",
			json_stringn_nocheck(view.issuer, strlen(view.issuer)), "not_before",
			output_ms(view.not_before_ms), "not_after", output_ms(view.not_after_ms)));
	}
	return array;
}

static const char *match_word(enum resolverd_match match)
{
	return match == RESOLVERD_MATCH      ? "match"
	       : match == RESOLVERD_NO_MATCH ? "no-match"
					     : "unusable";
}

static json_t *match_json(const struct host_check *host, const struct smtp_tls_info *tls)
{
	if (tls == NULL || tls->verdict.match.verdict == 0)
		return json_null();
	const struct resolverd_match_result *match = &tls->verdict.match;
	bool matches = match->verdict == RESOLVERD_MATCH;
	return json_pack("{s:s, s:o, s:o, s:s?, s:s, s:s?}", "verdict", match_word(match->verdict),
	    "depth", matches ? json_integer(match->depth) : json_null(), "record",
	    matches ? output_tlsa(&host->host->tlsa[match->record]) : json_null(), "name",
	    match->name_checked ? match->matched_name : NULL, "reason", match->reason,
	    "failure_type", matches ? NULL : match->failure_type);
}

static json_t *addresses_json(const struct host_check *host)
{
	json_t *array = json_array();
	for (size_t i = 0; i < host->probe_count; i++) {
		const struct probe *probe = &host->probes[i];
		enum smtp_failure failure = smtp_session_failure(probe->session);
		json_array_append_new(array,
		    json_pack("{s:s, s:s, s:s?, s:s, s:I}", "ip", probe->options.address->text,
			"verdict", resolverd_verdict_text(probe->verdict), "failure",
			failure != SMTP_OK ? smtp_failure_text(failure) : NULL, "reason",
			smtp_session_reason(probe->session), "took_ms",
			(json_int_t)probe->took_ms));
	}
	return array;
}

static json_t *warnings_json(const struct host_check *host)
{
	json_t *array = json_array();
	for (size_t i = 0; i < host->warning_count; i++)
		json_array_append_new(
		    array, json_pack("{s:s, s:s}", "warning", host->warnings[i].word, "text",
			       host->warnings[i].text));
	return array;
}

static json_t *delivery_json(const struct host_check *host)
{
	const struct smtp_tls_info *tls = check_tls(host);
	if (host->left_out)
		return json_null();
	return json_pack("{s:s, s:s, s:s?, s:o, s:s?, s:s?, s:b, s:o, s:o, s:o}", "verdict",
	    resolverd_verdict_text(host->verdict), "reason", host->reason, "address",
	    host->decisive != NULL ? host->decisive->options.address->text : NULL, "addresses",
	    addresses_json(host), "tls_version", tls != NULL ? tls->version : NULL, "tls_cipher",
	    tls != NULL ? tls->cipher : NULL, "would_refuse",
	    tls != NULL && tls->verdict.would_refuse, "match", match_json(host, tls), "chain",
	    chain_json(tls), "warnings", warnings_json(host));
}

void check_print_json(const struct check *check)
{
	json_t *object = plan_json(check->plan);
	json_t *hosts = json_object_get(object, "hosts");
	for (size_t i = 0; i < json_array_size(hosts); i++)
		json_object_set_new(
		    json_array_get(hosts, i), "delivery", delivery_json(&check->hosts[i]));
	json_object_set_new(object, "delivery",
	    check->verdict != 0 ? json_string(resolverd_verdict_text(check->verdict))
				: json_null());
	json_object_set_new(object, "delivery_host",
	    smtp_verdict_delivers(check->verdict) ? json_string(check->decisive->host->name)
						  : json_null());
	output_json(object);
}

/* ---- text ---- */

static enum colour colour_of(enum resolverd_verdict verdict)
{
	return verdict == RESOLVERD_AUTHENTICATED ? GOOD
	       : smtp_verdict_delivers(verdict)   ? WARN
						  : BAD;
}

static const char *meaning(enum resolverd_verdict verdict)
{
	static const char *const meanings[] = {
	    [RESOLVERD_AUTHENTICATED] = "a mail would go to the right host, over TLS",
	    [RESOLVERD_HOST_AUTHENTICATED] = "a mail would go to this host, over TLS; MX unsigned",
	    [RESOLVERD_ENCRYPTED] = "a mail would go over TLS to whoever answers there",
	    [RESOLVERD_CLEARTEXT] = "a mail would go in clear to whoever answers there",
	    [RESOLVERD_REFUSED] = "a sender gives it nothing",
	    [RESOLVERD_UNAVAILABLE] = "a sender can give it nothing now"};
	return meanings[verdict];
}

static void print_chain(const struct ctl *ctl, const struct smtp_tls_info *tls)
{
	const STACK_OF(X509) *chain = SSL_get_peer_cert_chain(tls->ssl);
	const struct resolverd_match_result *match = &tls->verdict.match;
	bool matches = match->verdict == RESOLVERD_MATCH;
	for (int i = 0; i < sk_X509_num(chain); i++) {
		struct certificate_view view;
		view_certificate(sk_X509_value(chain, i), &view);
		bool is_it = matches && match->depth == (unsigned)i;
		printf("        %schain %d  %s, issued by %s%s%s\n",
		    colour_on(ctl, is_it ? GOOD : DIM), i, view.subject, view.issuer,
		    is_it ? " (matches)" : "", colour_off(ctl));
		printf("                 %s%s to %s%s\n", colour_on(ctl, DIM),
		    output_time(view.not_before_ms), output_time(view.not_after_ms),
		    colour_off(ctl));
	}
}

static void print_addresses(const struct host_check *host)
{
	for (size_t i = 0; i < host->probe_count; i++) {
		const struct probe *probe = &host->probes[i];
		if (probe == host->decisive)
			continue;
		printf("        also     %s: %s, %s\n", probe->options.address->text,
		    resolverd_verdict_text(probe->verdict),
		    smtp_session_failure(probe->session) != SMTP_OK
			? smtp_session_reason(probe->session)
			: "as above");
	}
}

static void print_delivery(const struct ctl *ctl, const struct host_check *host)
{
	const struct smtp_tls_info *tls = check_tls(host);
	if (host->left_out)
		return;
	printf("        delivery %s%s%s: %s\n", colour_on(ctl, colour_of(host->verdict)),
	    resolverd_verdict_text(host->verdict), colour_off(ctl), meaning(host->verdict));
	printf("                 %s\n", host->reason);
	if (host->probe_count == 0)
		printf("                 no connection was made\n");
	if (tls != NULL) {
		printf("        tls      %s, %s, at %s\n", tls->version, tls->cipher,
		    host->decisive->options.address->text);
		print_chain(ctl, tls);
	}
	print_addresses(host);
	for (size_t i = 0; i < host->warning_count; i++)
		printf("        %swarning  %s%s\n", colour_on(ctl, WARN), host->warnings[i].text,
		    colour_off(ctl));
}

void check_print_text(const struct check *check)
{
	const struct ctl *ctl = check->ctl;
	const struct resolverd_plan *plan = check->plan;
	plan_print_head(ctl, plan);
	for (size_t i = 0; i < plan->host_count; i++) {
		printf("\n");
		output_host_text(ctl, &plan->hosts[i], plan->has_mx && !plan->mx_implicit);
		print_delivery(ctl, &check->hosts[i]);
	}
	if (check->verdict == 0)
		return;
	printf("\nDelivery: %s%s%s", colour_on(ctl, colour_of(check->verdict)),
	    resolverd_verdict_text(check->verdict), colour_off(ctl));
	if (smtp_verdict_delivers(check->verdict))
		printf(" at %s\n", check->decisive->host->name);
	else
		printf(", a mail would wait\n");
}
