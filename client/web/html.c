/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "client/web/page.h"
#include "proto/reasons.h"

void html_text(struct evbuffer *out, const char *text)
{
	static const struct {
		char c;
		const char *as;
	} special[] = {
	    {'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
	for (; *text != '\0'; text++) {
		size_t i = 0;
		while (i < sizeof special / sizeof *special && special[i].c != *text)
			i++;
		if (i < sizeof special / sizeof *special)
			evbuffer_add(out, special[i].as, strlen(special[i].as));
		else
			evbuffer_add(out, text, 1);
	}
}

void html_query(struct evbuffer *out, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || strchr("-._", c) != NULL;
		if (plain)
			evbuffer_add(out, text, 1);
		else
			evbuffer_add_printf(out, "%%%02X", c);
	}
}

void html_begin(struct evbuffer *out, const char *title)
{
	evbuffer_add_printf(out,
	    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
	html_text(out, title);
	evbuffer_add_printf(out, "</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n<link "
				 "rel=\"icon\" href=\"/icon.svg\">\n</head>\n<body>\n"
				 "<a class=\"skip\" href=\"#main\">To the contents</a>\n");
}

void html_end(struct evbuffer *out)
{
	evbuffer_add_printf(out, "</body>\n</html>\n");
}

void html_span(struct evbuffer *out, uint64_t seconds)
{
	if (seconds >= 2 * 86400)
		evbuffer_add_printf(out, "%llu days", (unsigned long long)seconds / 86400);
	else if (seconds >= 2 * 3600)
		evbuffer_add_printf(out, "%llu h", (unsigned long long)seconds / 3600);
	else if (seconds >= 120)
		evbuffer_add_printf(out, "%llu min", (unsigned long long)seconds / 60);
	else
		evbuffer_add_printf(out, "%llu s", (unsigned long long)seconds);
}

const char *html_party(int party)
{
	return party == PARTY_THEM ? "the operator of the domain or its mail host"
	       : party == PARTY_US ? "you, the operator of this daemon"
				   : "nobody";
}
