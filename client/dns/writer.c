/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/dns/writer.h"

#include <string.h>

#include "proto/names.h"
#include "proto/rrtype.h"

#define LABELS_MAX 128u
#define LABEL_MAX 63u
#define POINTER 0xc000u
#define POINTER_MAX 0x3fffu

void dns_writer_bytes(struct dns_writer *writer, const void *bytes, size_t count)
{
	if (writer->failed || count > writer->room - writer->used) {
		writer->failed = true;
		return;
	}
	if (count > 0)
		memcpy(writer->out + writer->used, bytes, count);
	writer->used += count;
}

void dns_writer_u8(struct dns_writer *writer, unsigned value)
{
	dns_writer_bytes(writer, &(uint8_t){(uint8_t)value}, 1);
}

void dns_writer_u16(struct dns_writer *writer, unsigned value)
{
	dns_writer_bytes(writer, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

void dns_writer_set_u16(struct dns_writer *writer, size_t at, unsigned value)
{
	if (at + 2 > writer->used)
		return;
	writer->out[at] = (uint8_t)(value >> 8);
	writer->out[at + 1] = (uint8_t)value;
}

/* ---- names ---- */

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

/* Case does not count. */
static bool labels_equal(const uint8_t *a, const uint8_t *b)
{
	if (a[0] != b[0])
		return false;
	for (size_t i = 1; i <= a[0]; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

/* Whether what was written at that place is this name. We wrote it: it is right and points back. */
static bool is_written_at(const struct dns_writer *writer, size_t at, const uint8_t *name)
{
	const uint8_t *written = writer->out + at;
	for (;;) {
		if (written[0] >= POINTER >> 8)
			written = writer->out + ((written[0] << 8 | written[1]) & POINTER_MAX);
		if (!labels_equal(written, name))
			return false;
		if (name[0] == 0)
			return true;
		written += 1 + written[0];
		name += 1 + name[0];
	}
}

/* Among the first known of the names. */
static const struct dns_written_name *find_written(
    const struct dns_writer *writer, size_t known, uint32_t hash, const uint8_t *name)
{
	for (size_t i = 0; i < known; i++)
		if (writer->names[i].hash == hash &&
		    is_written_at(writer, writer->names[i].at, name))
			return &writer->names[i];
	return NULL;
}

/* FNV-1a of one label behind those that follow it. */
static uint32_t hash_label(uint32_t hash, const uint8_t *label)
{
	for (size_t i = 0; i <= label[0]; i++)
		hash = (hash ^ lower(label[i])) * 16777619u;
	return hash;
}

struct labels {
	uint8_t at[LABELS_MAX]; /* where each begins, without the root */
	uint32_t hash[LABELS_MAX];
	size_t count;
};

static void split(const uint8_t *name, struct labels *ret_labels)
{
	uint32_t hash = 2166136261u;
	ret_labels->count = 0;
	for (size_t at = 0; name[at] != 0 && ret_labels->count < LABELS_MAX; at += 1u + name[at])
		ret_labels->at[ret_labels->count++] = (uint8_t)at;
	for (size_t i = ret_labels->count; i-- > 0;)
		hash = ret_labels->hash[i] = hash_label(hash, name + ret_labels->at[i]);
}

static void remember(struct dns_writer *writer, uint32_t hash)
{
	if (writer->used <= POINTER_MAX && writer->name_count < DNS_WRITER_NAMES_MAX)
		writer->names[writer->name_count++] =
		    (struct dns_written_name){hash, (uint16_t)writer->used};
}

/* What is after the first label that stands elsewhere is written as a pointer to there. */
static void put_name(struct dns_writer *writer, const uint8_t *name)
{
	struct labels labels;
	size_t known = writer->name_count; /* no name points into itself */
	split(name, &labels);
	for (size_t i = 0; !writer->failed && i < labels.count; i++) {
		const uint8_t *label = name + labels.at[i];
		const struct dns_written_name *written =
		    find_written(writer, known, labels.hash[i], label);
		if (written != NULL) {
			dns_writer_u16(writer, POINTER | written->at);
			return;
		}
		remember(writer, labels.hash[i]);
		dns_writer_bytes(writer, label, 1u + label[0]);
	}
	dns_writer_u8(writer, 0);
}

void dns_writer_name(struct dns_writer *writer, const uint8_t *name)
{
	if (!writer->failed)
		put_name(writer, name);
}

/* ---- data ---- */

struct layout {
	uint16_t type;
	uint8_t before; /* octets before the first name */
	uint8_t names;
};

static const struct layout layouts[] = {
    {TYPE_NS, 0, 1},
    {TYPE_CNAME, 0, 1},
    {TYPE_SOA, 0, 2},
    {TYPE_PTR, 0, 1},
    {TYPE_MX, 2, 1},
};

static const struct layout *layout_of(unsigned type)
{
	for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
		if (layouts[i].type == type)
			return &layouts[i];
	return NULL;
}

/* Octets of the name that begins there; 0: none does. */
static size_t name_bytes_at(const uint8_t *at, const uint8_t *end)
{
	size_t bytes = 0, most = (size_t)(end - at);
	while (bytes < most && at[bytes] != 0 && at[bytes] <= LABEL_MAX)
		bytes += 1u + at[bytes];
	return bytes < most && bytes < NAME_WIRE_MAX && at[bytes] == 0 ? bytes + 1 : 0;
}

static bool is_laid_out(const struct layout *layout, const uint8_t *at, const uint8_t *end)
{
	if (end - at < layout->before)
		return false;
	at += layout->before;
	for (unsigned i = 0; i < layout->names; i++) {
		size_t bytes = name_bytes_at(at, end);
		if (bytes == 0)
			return false;
		at += bytes;
	}
	return true;
}

void dns_writer_rdata(
    struct dns_writer *writer, unsigned type, const uint8_t *rdata, size_t rdata_bytes)
{
	const struct layout *layout = layout_of(type);
	const uint8_t *at = rdata, *end = rdata + rdata_bytes;
	if (layout != NULL && is_laid_out(layout, at, end)) {
		dns_writer_bytes(writer, at, layout->before);
		at += layout->before;
		for (unsigned i = 0; i < layout->names; i++) {
			dns_writer_name(writer, at);
			at += name_bytes_at(at, end);
		}
	}
	dns_writer_bytes(writer, at, (size_t)(end - at));
}
