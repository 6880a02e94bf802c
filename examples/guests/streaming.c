/* SPDX-License-Identifier: MIT */
/*
 * A guest that makes its response while it is being sent: the host calls a
 * function for each piece, so that a large one takes little memory.
 *
 *   /small          twenty bytes
 *   /large?BYTES    numbered lines, a mebibyte of them if BYTES are not given
 */
#include "kvm_api.h"

#include <stdio.h>

/* It is to live for as long as the response is sent: on no stack. */
static char lines[64 << 10];

static const char small[] = "twenty bytes, piece.";

static struct streaming_content small_piece(void *arg, size_t max, size_t written, size_t total)
{
	const char *text = arg;
	struct streaming_content piece = {text + written, total - written};

	if (piece.len > max)
		piece.len = max;
	return piece;
}

/* Line n is "n" in fifteen digits and a newline: what is where follows from `written`. */
static struct streaming_content large_piece(void *arg, size_t max, size_t written, size_t total)
{
	const size_t line = 16, begin = written % line;
	size_t length = total - written;
	size_t filled = 0;

	(void)arg;
	if (length > max)
		length = max;
	if (length > sizeof(lines) - 2 * line)
		length = sizeof(lines) - 2 * line;
	for (size_t number = written / line; filled < begin + length; number++, filled += line)
		snprintf(lines + filled, line + 1, "%015zu\n", number);
	return (struct streaming_content){lines + begin, length};
}

static void on_get(const char *url, const char *arg)
{
	const char *type = "text/plain";
	unsigned long bytes = 1 << 20;

	(void)arg;
	if (strcmp(url, "/small") == 0)
		begin_streaming_response(200, type, strlen(type), sizeof(small) - 1, small_piece,
		                         small);
	if (strncmp(url, "/large", 6) != 0)
		backend_response_str(404, type, "There are /small and /large?BYTES.\n");
	if (url[6] == '?')
		bytes = strtoul(url + 7, NULL, 10);
	if (bytes == 0)
		backend_response_str(400, type, "A stream has at least one byte.\n");
	begin_streaming_response(200, type, strlen(type), bytes, large_piece, NULL);
}

int main(void)
{
	printf("streaming is ready\n");
	set_backend_get(on_get);
	wait_for_requests();
	return 0;
}
