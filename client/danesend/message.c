/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/danesend/message.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define BLOCK_BYTES 65536u

enum line_end { END_UNKNOWN, END_LF, END_CRLF };

struct reader {
	struct message *message;
	uint64_t max_bytes;
	uint64_t line; /* number, from 1 */
	size_t column;
	bool after_cr;
	bool in_header;
	enum line_end line_end;
	char start[MESSAGE_LINE_MAX + 1]; /* of a line of the header */
	size_t held;
	uint8_t hold[BLOCK_BYTES]; /* of the output */
};

static int bad(struct reader *reader, const char *what)
{
	snprintf(reader->message->complaint, sizeof reader->message->complaint,
	    "line %" PRIu64 " of the message: %s", reader->line, what);
	return -EBADMSG;
}

static int trouble(struct message *message, const char *what, int error_number)
{
	snprintf(
	    message->complaint, sizeof message->complaint, "%s: %s", what, strerror(error_number));
	/* These two are said of the message. */
	return error_number == EBADMSG || error_number == EFBIG ? -EIO : -error_number;
}

static int flush(struct reader *reader)
{
	for (size_t done = 0; done < reader->held;) {
		ssize_t n = write(reader->message->fd, reader->hold + done, reader->held - done);
		if (n < 0 && errno != EINTR)
			return trouble(
			    reader->message, "cannot write the message to a file in TMPDIR", errno);
		done += n > 0 ? (size_t)n : 0;
	}
	reader->held = 0;
	return 0;
}

static int put(struct reader *reader, uint8_t c)
{
	if (reader->message->bytes == reader->max_bytes) {
		snprintf(reader->message->complaint, sizeof reader->message->complaint,
		    "the message has more than %" PRIu64 " octets (see --max-size)",
		    reader->max_bytes);
		return -EFBIG;
	}
	reader->message->bytes++;
	reader->hold[reader->held++] = c;
	return reader->held == sizeof reader->hold ? flush(reader) : 0;
}

/* "TLS-Required: No", and nothing else of it. */
static bool says_tls_not_required(const char *field)
{
	static const char name[] = "TLS-Required:";
	if (strncasecmp(field, name, sizeof name - 1) != 0)
		return false;
	field += sizeof name - 1;
	field += strspn(field, " \t");
	return strncasecmp(field, "no", 2) == 0 && field[2 + strspn(field + 2, " \t")] == '\0';
}

static int end_line(struct reader *reader)
{
	if (reader->in_header) {
		reader->start[reader->column] = '\0';
		if (says_tls_not_required(reader->start))
			reader->message->tls_not_required = true;
		reader->in_header = reader->column > 0;
	}
	reader->line++;
	reader->column = 0;
	int r = put(reader, '\r');
	return r != 0 ? r : put(reader, '\n');
}

static int text_octet(struct reader *reader, uint8_t c)
{
	if (c == '\0')
		return bad(reader, "a NUL octet, which no mail may contain");
	if (reader->column == MESSAGE_LINE_MAX)
		return bad(reader, "longer than 998 octets: encode it (quoted-printable, base64)");
	if (reader->in_header)
		reader->start[reader->column] = (char)c;
	reader->column++;
	if (c >= 0x80) {
		reader->message->eight_bit = true;
		reader->message->utf8_header |= reader->in_header;
	}
	return put(reader, c);
}

static int octet(struct reader *reader, uint8_t c)
{
	enum line_end found = reader->after_cr ? END_CRLF : END_LF;
	if (reader->after_cr && c != '\n')
		return bad(reader, "a bare CR");
	reader->after_cr = c == '\r';
	if (c == '\r')
		return 0;
	if (c != '\n')
		return text_octet(reader, c);
	if (reader->line_end == END_UNKNOWN)
		reader->line_end = found;
	if (reader->line_end == END_CRLF && found == END_LF)
		return bad(reader, "a bare LF, where other lines end with CRLF");
	if (reader->line_end == END_LF && found == END_CRLF)
		return bad(reader, "a CRLF, where other lines end with LF");
	return end_line(reader);
}

static int end_of_input(struct reader *reader)
{
	if (reader->after_cr)
		return bad(reader, "a bare CR");
	int r = reader->column > 0 ? end_line(reader) : 0;
	return r != 0 ? r : flush(reader);
}

static int read_all(struct reader *reader, int in_fd)
{
	uint8_t block[BLOCK_BYTES];
	for (;;) {
		ssize_t n = read(in_fd, block, sizeof block);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return trouble(reader->message, "cannot read the message", errno);
		if (n == 0)
			return end_of_input(reader);
		int r = 0;
		for (ssize_t i = 0; i < n && r == 0; i++)
			r = octet(reader, block[i]);
		if (r != 0)
			return r;
	}
}

static int open_spool(struct message *message)
{
	const char *directory = getenv("TMPDIR");
	char path[4096];
	snprintf(path, sizeof path, "%s/danesend-XXXXXX",
	    directory != NULL && directory[0] != '\0' ? directory : "/tmp");
	message->fd = mkostemp(path, O_CLOEXEC);
	if (message->fd < 0)
		return trouble(message, "cannot make a file in TMPDIR", errno);
	unlink(path);
	return 0;
}

int message_read(int in_fd, uint64_t max_bytes, struct message *ret_message)
{
	*ret_message = (struct message){.fd = -1};
	int r = open_spool(ret_message);
	if (r != 0)
		return r;
	struct reader *reader = calloc(1, sizeof *reader);
	if (reader == NULL)
		return trouble(ret_message, "cannot read the message", ENOMEM);
	reader->message = ret_message;
	reader->max_bytes = max_bytes;
	reader->line = 1;
	reader->in_header = true;
	r = read_all(reader, in_fd);
	free(reader);
	return r;
}

void message_fini(struct message *message)
{
	if (message->fd >= 0)
		close(message->fd);
	message->fd = -1;
}
