/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/worker/reply.h"

#include <arpa/nameser.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>

#include "proto/rrtype.h"

#define RRS_MAX 4096u
#define CHAIN_MAX 16u
#define RRSIG_FIXED_BYTES 18u

struct parser {
	struct reply *reply;
	struct arena *arena;
	ns_msg message;
	int64_t now_ms;
	const char *error;
};

static Resolverd__V1__Rrset *rrset_new(
    struct parser *p, const char *owner, int type, uint32_t ttl_s)
{
	Resolverd__V1__Rrset *set = arena_alloc(p->arena, sizeof *set);
	if (set == NULL)
		return NULL;
	resolverd__v1__rrset__init(set);
	set->owner = arena_string(p->arena, owner);
	set->type = (uint32_t)type;
	set->ttl_s = ttl_s;
	return set->owner != NULL ? set : NULL;
}

/* Arrays grow by doubling in the arena; the old ones go with it. */
static bool append(
    struct arena *arena, void *array_at, size_t *count, const void *item, size_t size)
{
	void *array;
	memcpy(&array, array_at, sizeof array);
	if ((*count & (*count - 1)) == 0 || *count == 0) {
		void *larger = arena_alloc(arena, (*count > 0 ? *count * 2 : 1) * size);
		if (larger == NULL)
			return false;
		if (*count > 0)
			memcpy(larger, array, *count * size);
		array = larger;
		memcpy(array_at, &array, sizeof array);
	}
	memcpy((uint8_t *)array + *count * size, item, size);
	(*count)++;
	return true;
}

/* ---- RDATA: names in it may be compressed (RFC 3597 section 4) ---- */

struct layout {
	uint16_t type;
	uint8_t before; /* octets before the first name */
	uint8_t names;
};

static const struct layout layouts[] = {
    {ns_t_ns, 0, 1},
    {ns_t_md, 0, 1},
    {ns_t_mf, 0, 1},
    {ns_t_cname, 0, 1},
    {ns_t_soa, 0, 2},
    {ns_t_mb, 0, 1},
    {ns_t_mg, 0, 1},
    {ns_t_mr, 0, 1},
    {ns_t_ptr, 0, 1},
    {ns_t_minfo, 0, 2},
    {ns_t_mx, 2, 1},
    {ns_t_rp, 0, 2},
    {ns_t_afsdb, 2, 1},
    {ns_t_rt, 2, 1},
    {ns_t_px, 2, 2},
    {ns_t_srv, 6, 1},
    {ns_t_kx, 2, 1},
    {TYPE_DNAME, 0, 1},
    {TYPE_RRSIG, RRSIG_FIXED_BYTES, 1},
    {TYPE_NSEC, 0, 1},
};

static const struct layout *layout_of(int type)
{
	for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
		if (layouts[i].type == type)
			return &layouts[i];
	return NULL;
}

static bool rdata_expand(
    struct parser *p, const ns_rr *rr, const uint8_t **ret_rdata, size_t *ret_bytes)
{
	const uint8_t *from = ns_rr_rdata(*rr), *end = from + ns_rr_rdlen(*rr);
	const struct layout *layout = layout_of(ns_rr_type(*rr));
	size_t capacity = ns_rr_rdlen(*rr) + 2 * NAME_WIRE_MAX;
	uint8_t *out = arena_alloc(p->arena, capacity);
	if (out == NULL)
		return false;
	size_t used = 0;
	if (layout != NULL) {
		if (end - from < layout->before)
			return false;
		memcpy(out, from, layout->before);
		used = layout->before;
		from += layout->before;
		for (unsigned i = 0; i < layout->names; i++) {
			int taken = ns_name_unpack(ns_msg_base(p->message), ns_msg_end(p->message),
			    from, out + used, NAME_WIRE_MAX);
			if (taken < 0 || from + taken > end)
				return false;
			from += taken;
			while (out[used] != 0)
				used += 1u + out[used];
			used++;
		}
	}
	memcpy(out + used, from, (size_t)(end - from));
	*ret_bytes = used + (size_t)(end - from);
	*ret_rdata = out;
	return true;
}

static bool owner_of(struct parser *p, const ns_rr *rr, char ret_name[NAME_TEXT_MAX])
{
	(void)p;
	/* glibc hands presentation format with its own escapes; ours canonicalizes it. */
	return name_canonical(ns_rr_name(*rr)[0] != '\0' ? ns_rr_name(*rr) : ".", ret_name) ==
	       NAME_OK;
}

static uint32_t read_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* ---- how long it may be used ---- */

static void use_ttl(struct reply *reply, uint32_t ttl_s)
{
	if (ttl_s & 0x80000000u) /* RFC 2181 section 8 */
		ttl_s = 0;
	if (ttl_s < reply->ttl_s)
		reply->ttl_s = ttl_s;
}

/* Signatures past their time beside a good one say nothing; of those alive the earliest counts.
 * Expiration is a serial number (RFC 4034 section 3.1.5). */
static bool use_rrsig(struct parser *p, const uint8_t *rdata, size_t rdata_bytes)
{
	if (p->reply->status != RESOLVERD__V1__STATUS__SECURE || rdata_bytes < RRSIG_FIXED_BYTES)
		return false;
	int64_t now_s = p->now_ms / 1000;
	int64_t left_s = (int32_t)(read_u32(rdata + 8) - (uint32_t)now_s);
	int64_t at_ms = (now_s + left_s) * 1000;
	if (left_s > 0 &&
	    (p->reply->rrsig_expires_at_ms == 0 || at_ms < p->reply->rrsig_expires_at_ms))
		p->reply->rrsig_expires_at_ms = at_ms;
	use_ttl(p->reply, read_u32(rdata + 4)); /* original TTL bounds it too (RFC 4035 5.3.3) */
	return left_s > 0;
}

/* ---- sections ---- */

static bool add_to_rrset(struct parser *p, Resolverd__V1__Rrset ***sets, size_t *set_count,
    const char *owner, int type, uint32_t ttl_s, const uint8_t *rdata, size_t rdata_bytes,
    bool is_signature)
{
	Resolverd__V1__Rrset *set = NULL;
	for (size_t i = 0; i < *set_count && set == NULL; i++)
		if ((*sets)[i]->type == (uint32_t)type && strcmp((*sets)[i]->owner, owner) == 0)
			set = (*sets)[i];
	if (set == NULL) {
		if (is_signature)
			return true; /* covers nothing that is here */
		set = rrset_new(p, owner, type, ttl_s);
		if (set == NULL || !append(p->arena, sets, set_count, &set, sizeof set))
			return false;
	}
	ProtobufCBinaryData item = {.data = (uint8_t *)(uintptr_t)rdata, .len = rdata_bytes};
	if (is_signature)
		return append(p->arena, &set->rrsig, &set->n_rrsig, &item, sizeof item);
	if (ttl_s < set->ttl_s)
		set->ttl_s = ttl_s;
	return append(p->arena, &set->rdata, &set->n_rdata, &item, sizeof item);
}

struct section {
	Resolverd__V1__Rrset **sets;
	size_t count;
};

/* Two passes, since a signature may stand before what it covers. */
static bool read_section(struct parser *p, ns_sect which, struct section *section)
{
	int count = ns_msg_count(p->message, which);
	if ((unsigned)count > RRS_MAX)
		return false;
	for (int pass = 0; pass < 2; pass++) {
		for (int i = 0; i < count; i++) {
			ns_rr rr;
			char owner[NAME_TEXT_MAX];
			if (ns_parserr(&p->message, which, i, &rr) != 0)
				return false;
			bool is_signature = (int)ns_rr_type(rr) == TYPE_RRSIG;
			if (is_signature != (pass == 1) || ns_rr_class(rr) != ns_c_in)
				continue;
			const uint8_t *rdata;
			size_t rdata_bytes;
			if (!owner_of(p, &rr, owner) || !rdata_expand(p, &rr, &rdata, &rdata_bytes))
				return false;
			int type = ns_rr_type(rr);
			if (is_signature) {
				if (rdata_bytes < RRSIG_FIXED_BYTES)
					return false;
				type = rdata[0] << 8 | rdata[1];
			}
			if (!add_to_rrset(p, &section->sets, &section->count, owner, type,
				ns_rr_ttl(rr) & 0x80000000u ? 0 : ns_rr_ttl(rr), rdata, rdata_bytes,
				is_signature))
				return false;
		}
	}
	return true;
}

static Resolverd__V1__Rrset *find(const struct section *section, const char *owner, int type)
{
	for (size_t i = 0; i < section->count; i++)
		if (section->sets[i]->type == (uint32_t)type &&
		    strcmp(section->sets[i]->owner, owner) == 0)
			return section->sets[i];
	return NULL;
}

static void use_rrset(struct parser *p, const Resolverd__V1__Rrset *set)
{
	bool any_alive = false;
	use_ttl(p->reply, set->ttl_s);
	for (size_t i = 0; i < set->n_rrsig; i++)
		any_alive |= use_rrsig(p, set->rrsig[i].data, set->rrsig[i].len);
	if (p->reply->status == RESOLVERD__V1__STATUS__SECURE && set->n_rrsig > 0 && !any_alive)
		p->error = "every signature has expired"; /* libunbound keeps data past that */
}

/* The DNAMEs that synthesise the chain are part of what was used (RFC 7672 section 2.1.3). */
static bool use_dnames(struct parser *p, const struct section *answers)
{
	struct reply *reply = p->reply;
	for (size_t i = 0; i < answers->count; i++) {
		Resolverd__V1__Rrset *set = answers->sets[i];
		if (set->type != TYPE_DNAME)
			continue;
		use_rrset(p, set);
		if (!append(p->arena, &reply->chain, &reply->chain_count, &set, sizeof set))
			return false;
	}
	return true;
}

static bool follow_chain(
    struct parser *p, const struct section *answers, const char *name, int type)
{
	struct reply *reply = p->reply;
	char at[NAME_TEXT_MAX];
	memcpy(at, name, strlen(name) + 1);
	while (type != ns_t_cname && type != ns_t_any) {
		Resolverd__V1__Rrset *alias = find(answers, at, ns_t_cname);
		if (alias == NULL)
			break;
		if (alias->n_rdata != 1) {
			p->error = "two CNAME records at one name (RFC 2181 section 10.1)";
			return false;
		}
		if (reply->chain_count >= CHAIN_MAX) {
			p->error = "the CNAME chain is too long or loops";
			return false;
		}
		use_rrset(p, alias);
		if (!append(p->arena, &reply->chain, &reply->chain_count, &alias, sizeof alias) ||
		    name_from_wire(alias->rdata[0].data, alias->rdata[0].len, at) != NAME_OK)
			return false;
		reply->aliased = true;
	}
	reply->final_name = arena_string(p->arena, at);
	return reply->final_name != NULL && use_dnames(p, answers);
}

static bool take_records(struct parser *p, const struct section *answers, int type)
{
	struct reply *reply = p->reply;
	Resolverd__V1__Rrset *set = find(answers, reply->final_name, type);
	if (set == NULL)
		return true;
	use_rrset(p, set);
	struct reply_rr *rrs = arena_alloc(p->arena, set->n_rdata * sizeof *rrs);
	if (rrs == NULL)
		return false;
	for (size_t i = 0; i < set->n_rdata; i++)
		if ((type == ns_t_a && set->rdata[i].len != 4) ||
		    (type == ns_t_aaaa && set->rdata[i].len != 16))
			return false;
	for (size_t i = 0; i < set->n_rdata; i++)
		rrs[i] = (struct reply_rr){set->rdata[i].data, set->rdata[i].len};
	reply->rrs = rrs;
	reply->rr_count = set->n_rdata;
	return append(p->arena, &reply->answer, &reply->answer_count, &set, sizeof set);
}

/* SOA with its MINIMUM (RFC 2308 section 5), NSEC and NSEC3: proofs of absence and of wildcards. */
static bool take_proofs(struct parser *p, const struct section *authority)
{
	struct reply *reply = p->reply;
	bool negative = reply->rr_count == 0, has_soa = false;
	for (size_t i = 0; i < authority->count; i++) {
		Resolverd__V1__Rrset *set = authority->sets[i];
		bool is_soa = set->type == ns_t_soa && negative && set->n_rdata == 1;
		if (!is_soa && set->type != TYPE_NSEC && set->type != TYPE_NSEC3)
			continue;
		use_rrset(p, set);
		has_soa |= is_soa;
		if (is_soa && set->rdata[0].len >= 4)
			use_ttl(reply, read_u32(set->rdata[0].data + set->rdata[0].len - 4));
		if (!append(p->arena, &reply->authority, &reply->authority_count, &set, sizeof set))
			return false;
	}
	if (negative && !has_soa) /* not to be cached (RFC 2308 section 5) */
		use_ttl(reply, 0);
	return true;
}

void reply_failed(struct reply *reply, struct arena *arena, Resolverd__V1__Status status, int rcode,
    const char *reason)
{
	*reply = (struct reply){.status = status, .rcode = rcode, .ttl_s = UINT32_MAX};
	reply->reason = reason != NULL ? arena_string(arena, reason) : NULL;
	if (reply->reason == NULL)
		reply->reason = "";
}

static const char *rcode_reason(int rcode)
{
	static const char *const texts[] = {[1] = "the servers answered FORMERR",
	    [2] = "the servers failed (SERVFAIL) or could not be reached",
	    [4] = "the servers answered NOTIMP",
	    [5] = "the servers refused to answer (REFUSED)"};
	if (rcode > 0 && (size_t)rcode < sizeof texts / sizeof *texts && texts[rcode] != NULL)
		return texts[rcode];
	return "the servers gave no usable answer";
}

void reply_parse(struct reply *reply, struct arena *arena, const char *name, int type,
    const uint8_t *packet, size_t packet_bytes, Resolverd__V1__Status status, const char *why_bogus,
    int64_t now_ms)
{
	struct parser parser = {.reply = reply, .arena = arena, .now_ms = now_ms};
	struct section answers = {0}, authority = {0};
	if (status != RESOLVERD__V1__STATUS__SECURE && status != RESOLVERD__V1__STATUS__INSECURE) {
		reply_failed(reply, arena, status, ns_r_servfail, why_bogus);
		return;
	}
	*reply = (struct reply){.status = status, .reason = "", .ttl_s = UINT32_MAX};
	if (packet_bytes > INT32_MAX ||
	    ns_initparse(packet, (int)packet_bytes, &parser.message) != 0)
		goto malformed;
	int rcode = ns_msg_getflag(parser.message, ns_f_rcode);
	if (rcode != ns_r_noerror && rcode != ns_r_nxdomain) {
		reply_failed(
		    reply, arena, RESOLVERD__V1__STATUS__ERROR, rcode, rcode_reason(rcode));
		return;
	}
	reply->rcode = rcode;
	if (ns_msg_getflag(parser.message, ns_f_tc) || !read_section(&parser, ns_s_an, &answers) ||
	    !read_section(&parser, ns_s_ns, &authority) ||
	    !follow_chain(&parser, &answers, name, type) ||
	    !take_records(&parser, &answers, type) || !take_proofs(&parser, &authority) ||
	    parser.error != NULL)
		goto malformed;
	return;
malformed:
	reply_failed(reply, arena, RESOLVERD__V1__STATUS__ERROR, ns_r_formerr,
	    parser.error != NULL ? parser.error : "the answer is malformed");
}
