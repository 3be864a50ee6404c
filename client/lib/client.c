/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/lib/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client/lib/clock.h"

static const char *choose(const char *option, const char *variable, const char *otherwise)
{
	const char *from_environment = secure_getenv(variable);
	if (option != NULL)
		return option;
	return from_environment != NULL && from_environment[0] != '\0' ? from_environment
								       : otherwise;
}

int resolverd_client_new(
    const struct resolverd_options *options, struct resolverd_client **ret_client)
{
	static const struct resolverd_options none = {0};
	if (options == NULL)
		options = &none;
	if (sodium_init() < 0)
		return RESOLVERD_ERROR_MEMORY;
	const char *path =
	    choose(options->socket_path, "RESOLVERD_SOCKET", RESOLVERD_DEFAULT_SOCKET);
	const char *key_file =
	    choose(options->public_key_file, "RESOLVERD_PUBLIC_KEY", RESOLVERD_DEFAULT_PUBLIC_KEY);
	struct resolverd_client *client = calloc(1, sizeof *client);
	if (client == NULL)
		return RESOLVERD_ERROR_MEMORY;
	client->fd = -1;
	client->next_id = 1;
	client->now_ms = clock_wall_ms;
	client->boot_ms = clock_boot_ms;
	client->attest = options->attest;
	client->address.sun_family = AF_UNIX;
	int r = RESOLVERD_ERROR_ARGUMENT;
	if (strlen(path) >= sizeof client->address.sun_path)
		goto fail;
	memcpy(client->address.sun_path, path, strlen(path) + 1);
	r = RESOLVERD_ERROR_MEMORY;
	client->public_key_file = strdup(key_file);
	if (client->public_key_file == NULL ||
	    plan_cache_init(&client->plans, options->plan_cache) != 0)
		goto fail;
	*ret_client = client;
	return 0;
fail:
	resolverd_client_free(client);
	return r;
}

void resolverd_client_free(struct resolverd_client *client)
{
	if (client == NULL)
		return;
	while (client->open.first != NULL)
		request_forget(client, client->open.first);
	while (client->finished.first != NULL)
		request_forget(client, client->finished.first);
	connection_close(client);
	remembered_forget(&client->remembered);
	plan_cache_fini(&client->plans);
	free(client->public_key_file);
	free(client);
}

const char *resolverd_last_error(const struct resolverd_client *client)
{
	return client->detail;
}

void client_set_clock(struct resolverd_client *client, uint64_t (*now_ms)(void))
{
	client->now_ms = client->boot_ms = now_ms;
}

void client_set_boot_clock(struct resolverd_client *client, uint64_t (*boot_ms)(void))
{
	client->boot_ms = boot_ms;
}

int client_fail(struct resolverd_client *client, int error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(client->detail, sizeof client->detail, format, arguments);
	va_end(arguments);
	client->retry_after_ms = 0;
	return error;
}
