/* SPDX-License-Identifier: BSD-3-Clause */
/* What fuzzers share: an input taken apart from its front, and an input as a file. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* As assert, but always. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct input {
	const uint8_t *at, *end;
};

static inline size_t input_left(const struct input *input)
{
	return (size_t)(input->end - input->at);
}

/* 0 behind the end. */
static inline uint8_t take_octet(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

static inline unsigned take_number(struct input *input)
{
	unsigned high = take_octet(input);
	return high << 8 | take_octet(input);
}

/* Of the length that stands before, or as much as there is. */
static inline const uint8_t *take_bytes(struct input *input, size_t *ret_bytes)
{
	const uint8_t *taken;
	*ret_bytes = take_number(input);
	if (*ret_bytes > input_left(input))
		*ret_bytes = input_left(input);
	taken = input->at;
	input->at += *ret_bytes;
	return taken;
}

/* The rest as a string; the caller frees. */
static inline char *take_text(struct input *input)
{
	char *text = malloc(input_left(input) + 1);
	must(text != NULL);
	memcpy(text, input->at, input_left(input));
	text[input_left(input)] = '\0';
	input->at = input->end;
	return text;
}

/* A file with this in it, read from its start on. */
static inline int file_of(const void *bytes, size_t count)
{
	int fd = memfd_create("input", MFD_CLOEXEC);
	must(fd >= 0 && pwrite(fd, bytes, count, 0) == (ssize_t)count);
	return fd;
}
