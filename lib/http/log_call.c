/* SPDX-License-Identifier: MIT */
/*
 * sys_log: a text of the guest for its host. It goes to the standard error
 * stream as it is, as if the guest had written it there, whatever its
 * descriptor 2 is by now.
 */
#include "call.h"

#include "../linux/files.h"
#include "../linux/stream.h"
#include "../linux/transfer.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What cannot be written is dropped: the guest has no way to hear of it. */
static void write_to_stream(struct process *process, void *text, uint64_t length)
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

int call_log(struct call *call)
{
	uint64_t length = (uint16_t)call->arguments[1];
	void *text;
	int result = call_read_allocated(call, call->arguments[0], length, &text);

	if (result < 0)
		return result;
	write_to_stream(call->process, text, length);
	free(text);
	return 0;
}
