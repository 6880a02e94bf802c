/* SPDX-License-Identifier: MIT */
/*
 * sys_log: a text of the guest for its host. By default it goes to the standard
 * error stream as it is, as if the guest had written it there, whatever its
 * descriptor 2 is by now. No more goes there than the host allows.
 */
#include "log_call.h"

#include "exchange.h"

#include "../linux/files.h"
#include "../linux/stream.h"
#include "../linux/transfer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of what has logged too much: more than any limit, so that all that follows is dropped. */
#define LOGGED_TOO_MUCH UINT64_MAX

/* The line that is open may be the guest's. */
static const char limit_reached[] = "\n(log limit reached: what follows is dropped)\n";

/* What cannot be written is dropped: the guest has no way to hear of it. */
static void write_to_stream(struct process *process, char *text, uint64_t length)
{
	const struct kvmsb_stream *stream = &process->config->streams[STDERR_FILENO];
	struct file file = {.kind = FILE_STREAM, .descriptor = -1, .stream = STDERR_FILENO};
	struct transfer transfer;
	struct stat status;

	if (stream->write == NULL) {
		if (!stream->use_descriptor || fstat(stream->descriptor, &status) < 0)
			return;
		file.host_mode = status.st_mode;
	}
	transfer_host(&transfer, process, text, length);
	stream_write(process, &file, &transfer);
	transfer_end(&transfer);
}

static int give_to_host(struct call *call, const char *text, uint64_t length)
{
	const struct kvmsb_http_ops *ops = &call->hypercalls->config->ops;
	struct kvmsb_http_context context;
	int result = call_host_begin(call, &context);

	if (result < 0)
		return result;
	if (length > 0 && text[length - 1] == '\n')
		length--;
	ops->log(&context, text, length);
	return call_host_end(call);
}

static int pass_on(struct call *call, char *text, uint64_t length)
{
	if (length == 0)
		return 0;
	if (call->hypercalls->config->ops.log != NULL)
		return give_to_host(call, text, length);
	write_to_stream(call->process, text, length);
	return 0;
}

static int pass_on_last(struct call *call)
{
	char text[sizeof(limit_reached)];

	memcpy(text, limit_reached, sizeof(text));
	if (call->hypercalls->config->ops.log != NULL)
		return give_to_host(call, text + 1, strlen(text + 1));
	write_to_stream(call->process, text, strlen(text));
	return 0;
}

/* Of a request, or of the run of main() or of another function. */
static uint64_t *count_of(struct call *call)
{
	struct hypercalls *hypercalls = call->hypercalls;

	return hypercalls->exchange != NULL ? &hypercalls->exchange->logged : &hypercalls->logged;
}

static bool is_over(struct call *call)
{
	return *count_of(call) > call->hypercalls->config->log_limit;
}

static int pass_on_limited(struct call *call, char *text, uint64_t length)
{
	uint64_t *logged = count_of(call);
	uint64_t room;
	int result;

	if (is_over(call))
		return 0;
	room = call->hypercalls->config->log_limit - *logged;
	if (length <= room) {
		*logged += length;
		return pass_on(call, text, length);
	}
	*logged = LOGGED_TOO_MUCH;
	result = pass_on(call, text, room);
	return result < 0 ? result : pass_on_last(call);
}

static const char *program_name(const struct call *call)
{
	const char *path = call->process->config->program;
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

int log_call_line(struct call *call, const char *format, ...)
{
	char text[256];
	va_list arguments;
	size_t start;

	if (is_over(call))
		return 0;
	start = (size_t)snprintf(text, sizeof(text), "%.64s: ", program_name(call));
	va_start(arguments, format);
	vsnprintf(text + start, sizeof(text) - start - 1, format, arguments);
	va_end(arguments);
	strcat(text, "\n");
	return pass_on_limited(call, text, strlen(text));
}

/* What would be dropped is not even read: a guest that logs without end costs its own time. */
int call_log(struct call *call)
{
	uint64_t length = (uint16_t)call->arguments[1];
	void *text;
	int result;

	if (is_over(call))
		return 0;
	result = call_read_allocated(call, call->arguments[0], length, &text);
	if (result < 0)
		return result;
	result = pass_on_limited(call, text, length);
	free(text);
	return result;
}
