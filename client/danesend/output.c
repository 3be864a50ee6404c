/* SPDX-License-Identifier: BSD-3-Clause */
/* What became of each recipient, for people and for programs (docs/DANESEND.md). */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/danesend/danesend.h"

static const struct {
	const char *word;
	const char *action; /* RFC 3464 section 2.3.3 */
} fates[] = {
    [SMTP_OPEN] = {"delayed", "delayed"},
    [SMTP_TAKEN] = {"delayed", "delayed"},
    [SMTP_DELIVERED] = {"delivered", "relayed"},
    [SMTP_FAILED] = {"failed", "failed"},
    [SMTP_SUSPENDED] = {"delayed", "delayed"},
};

void output_lines(const struct run *run)
{
	for (size_t i = 0; i < run->recipient_count; i++) {
		const struct recipient *recipient = &run->recipients[i];
		const struct last_host *host = &recipient->host;
		bool tells_tls = recipient->smtp.fate == SMTP_DELIVERED;
		printf("%s %s %s %s", recipient->address.text, fates[recipient->smtp.fate].word,
		    recipient->smtp.status, recipient->smtp.reason);
		if (tells_tls && !host->has_tls)
			printf(" (in clear)");
		else if (tells_tls)
			printf(" (%s, %s)", host->tls_version,
			    host->for_domain      ? "authenticated"
			    : host->authenticated ? "host authenticated"
						  : "not authenticated");
		putchar('\n');
	}
}

static void print_remote_mta(FILE *out, const struct last_host *host)
{
	bool literal = strcmp(host->name, host->address) == 0;
	bool ipv6 = strchr(host->address, ':') != NULL;
	if (host->name[0] != '\0' && literal)
		fprintf(out, "Remote-MTA: dns; [%s%s]\r\n", ipv6 ? "IPv6:" : "", host->address);
	else if (host->name[0] != '\0')
		fprintf(out, "Remote-MTA: dns; %s\r\n", host->name);
}

/* The per-recipient fields of a delivery status notification (RFC 3464 section 2.3), ready to be
 * put in. */
static char *dsn_text(const struct recipient *recipient)
{
	const struct smtp_recipient *smtp = &recipient->smtp;
	char *text = NULL, date[40];
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	if (out == NULL)
		return NULL;
	time_t now = time(NULL);
	struct tm utc;
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", gmtime_r(&now, &utc));
	fprintf(out, "Final-Recipient: %s; %s\r\nAction: %s\r\nStatus: %s\r\n",
	    recipient->address.utf8 ? "utf-8" : "rfc822", recipient->address.text,
	    fates[smtp->fate].action, smtp->status);
	print_remote_mta(out, &recipient->host);
	if (smtp->reply[0] != '\0')
		fprintf(out, "Diagnostic-Code: smtp; %s\r\n", smtp->reply);
	else
		fprintf(out, "Diagnostic-Code: x-danesend; %s\r\n", smtp->reason);
	fprintf(out, "Last-Attempt-Date: %s\r\n", date);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static json_t *tls_object(const struct last_host *host)
{
	if (!host->has_tls)
		return json_null();
	return json_pack("{s:s, s:s, s:b, s:b, s:b, s:s}", "version", host->tls_version, "cipher",
	    host->tls_cipher, "authenticated", host->authenticated, "for_domain", host->for_domain,
	    "would_refuse", host->would_refuse, "reason", host->verdict_reason);
}

static json_t *recipient_object(const struct recipient *recipient)
{
	const struct smtp_recipient *smtp = &recipient->smtp;
	const struct last_host *host = &recipient->host;
	bool has_host = host->name[0] != '\0';
	char *dsn = dsn_text(recipient);
	if (dsn == NULL)
		return NULL;
	json_t *object = json_pack(
	    "{s:s, s:s, s:s, s:s, s:s?, s:b, s:s, s:s?, s:s?, s:s?, s:s?, s:o, s:s?, s:s}",
	    "recipient", recipient->address.text, "status", fates[smtp->fate].word, "dsn",
	    smtp->status, "reason", smtp->reason, "failure",
	    smtp->fate == SMTP_DELIVERED ? NULL : smtp_failure_text(smtp->failure), "in_doubt",
	    smtp->fate == SMTP_SUSPENDED, "next_hop", recipient->next_hop, "host",
	    has_host ? host->name : NULL, "address", has_host ? host->address : NULL, "policy",
	    has_host ? resolverd_policy_text(host->policy) : NULL, "reply",
	    smtp->reply[0] != '\0' ? smtp->reply : NULL, "tls", tls_object(host), "evidence",
	    recipient->evidence, "dsn_text", dsn);
	free(dsn);
	return object;
}

int output_json(const struct run *run)
{
	for (size_t i = 0; i < run->recipient_count; i++) {
		json_t *object = recipient_object(&run->recipients[i]);
		int r = object == NULL ? -1 : json_dumpf(object, stdout, JSON_COMPACT);
		json_decref(object);
		if (r != 0)
			return -ENOMEM;
		putchar('\n');
	}
	return 0;
}
