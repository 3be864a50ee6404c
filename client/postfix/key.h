/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What Postfix asks a socketmap: "MAP KEY", the key a next-hop destination as in its
 * smtp_tls_policy_maps (postconf(5)). Pure, but for names of ports, which are those of services(5).
 */
#pragma once
#include <stddef.h>

#define POLICY_MAP "policy"
#define KEY_MAX 512u /* octets of a request; no domain with all that belongs to it is longer */

enum key_kind {
	KEY_NEXT_HOP,  /* example.org, example.org:587, [mx.example.org], [mx.example.org]:587,
			  [192.0.2.1], [ipv6:2001:db8::1] */
	KEY_PARENT,    /* .example.org: asked when example.org's child has nothing of its own */
	KEY_OTHER_MAP, /* another map's name, or none */
	KEY_BAD,       /* no next hop */
};

struct map_key {
	char next_hop[KEY_MAX]; /* as resolverd_plan takes it */
	unsigned port;          /* 0: none was given */
};

/* *ret_key is written for KEY_NEXT_HOP only. */
enum key_kind key_parse(const char *request, size_t bytes, struct map_key *ret_key);
