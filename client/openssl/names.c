/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/openssl/names.h"

#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

#define NAME_CHARACTERS_MAX 253u

/* By default OpenSSL looks at the common name only when there is no DNS-ID, as RFC 7672 wants, and
 * takes a wildcard for one label; it would also take it as part of a label, which we don't. */
static bool is_for(X509 *leaf, const char *name, size_t characters)
{
	return X509_check_host(
		   leaf, name, characters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

static bool is_for_name(X509 *leaf, const char *name)
{
	char dotted[NAME_CHARACTERS_MAX + 2];
	size_t characters = strlen(name);
	if (characters > 0 && name[characters - 1] == '.')
		characters--;
	/* To OpenSSL a leading dot means "anything below". */
	if (characters == 0 || characters > NAME_CHARACTERS_MAX || name[0] == '.')
		return false;
	memcpy(dotted, name, characters);
	dotted[characters] = '.';
	dotted[characters + 1] = '\0';
	return is_for(leaf, dotted, characters) || is_for(leaf, dotted, characters + 1);
}

const char *names_find(X509 *leaf, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_for_name(leaf, names[i]))
			return names[i];
	return NULL;
}
