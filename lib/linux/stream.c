/* SPDX-License-Identifier: MIT */
/*
 * The standard streams: to and from the host's functions or descriptors.
 */
#include "stream.h"

#include "../util.h"
#include "deadline.h"
#include "quiet.h"
#include "signals.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Copies up to this size need no allocation. */
#define COPY_SMALL 1024u

/* What Linux gives as an errno at most (MAX_ERRNO). */
#define ERRNO_MAXIMUM 4095

struct copy {
	uint8_t *data;
	uint64_t room;
	uint8_t small[COPY_SMALL];
};

/* Room for `length` bytes or fewer, but some always. */
static void copy_begin(struct copy *copy, uint64_t length)
{
	copy->room = min_u64(length, TRANSFER_CHUNK);
	copy->data = copy->room > sizeof(copy->small) ? malloc(copy->room) : NULL;
	if (copy->data)
		return;
	copy->data = copy->small;
	copy->room = min_u64(copy->room, sizeof(copy->small));
}

static void copy_end(struct copy *copy)
{
	if (copy->data != copy->small)
		free(copy->data);
}

/*
 * The host's functions.
 */

static const struct kvmsb_stream *stream_of(const struct process *process, const struct file *file)
{
	return &process->config->streams[file->stream];
}

/* A function that takes or delivers what it cannot have is the host's fault. */
static int64_t check_result(int64_t result, int64_t least, uint64_t length)
{
	if (result < -ERRNO_MAXIMUM)
		return -EIO;
	if (result >= 0 && (result < least || (uint64_t)result > length))
		return -EIO;
	return result;
}

static int64_t call_write(struct process *process, const struct kvmsb_stream *stream,
                          const void *data, uint64_t length)
{
	int64_t result = process_call_begin(process);

	if (result < 0)
		return result;
	result = stream->write(stream->user, data, length);
	if (process_call_end(process) < 0)
		return -EINTR;
	return check_result(result, 1, length);
}

static int64_t call_read(struct process *process, const struct kvmsb_stream *stream, void *data,
                         uint64_t length)
{
	int64_t result = process_call_begin(process);

	if (result < 0)
		return result;
	result = stream->read(stream->user, data, length);
	if (process_call_end(process) < 0)
		return -EINTR;
	return check_result(result, 0, length);
}

/*
 * The host's descriptors.
 */

static ssize_t write_quietly(int descriptor, const struct iovec *piece, unsigned count)
{
	struct quiet quiet;
	ssize_t result;

	quiet_begin(&quiet);
	result = writev(descriptor, piece, (int)count);
	quiet_end(&quiet);
	return result;
}

static ssize_t write_socket(int descriptor, struct iovec *piece, unsigned count)
{
	struct msghdr message = {.msg_iov = piece, .msg_iovlen = count};

	return sendmsg(descriptor, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/*
 * What poll(2) calls writable takes this much of it without waiting: a page,
 * in a pipe. The rest would wait, past the end of the run.
 */
static unsigned cut(struct iovec *piece, unsigned count, size_t most)
{
	unsigned kept = 0;

	while (kept < count && most > 0) {
		if (piece[kept].iov_len > most)
			piece[kept].iov_len = most;
		most -= piece[kept].iov_len;
		kept++;
	}
	return kept;
}

static ssize_t write_once(int descriptor, mode_t mode, struct iovec *piece, unsigned count)
{
	if (S_ISSOCK(mode))
		return write_socket(descriptor, piece, count);
	if (!S_ISREG(mode))
		count = cut(piece, count, PIPE_BUF);
	return write_quietly(descriptor, piece, count);
}

static bool try_again(void)
{
	return errno == EINTR || errno == EAGAIN;
}

static int64_t write_descriptor(struct process *process, const struct file *file,
                                struct iovec *piece, unsigned count)
{
	int descriptor = stream_of(process, file)->descriptor;
	ssize_t result;
	int error;

	do {
		error = S_ISREG(file->host_mode) ? 0 : deadline_poll(process, descriptor, POLLOUT);
		if (error)
			return error;
		result = write_once(descriptor, file->host_mode, piece, count);
	} while (result < 0 && try_again());
	return result < 0 ? -errno : result;
}

static int64_t read_descriptor(struct process *process, const struct file *file,
                               struct transfer *transfer)
{
	int descriptor = stream_of(process, file)->descriptor;
	struct transfer_pieces pieces;
	ssize_t result;
	int error;

	do {
		/* Guest memory is looked up after the wait, and only for what a pipe holds. */
		error = S_ISREG(file->host_mode) ? 0 : deadline_poll(process, descriptor, POLLIN);
		if (!error)
			error = transfer_pieces(transfer, true, TRANSFER_CHUNK, &pieces);
		if (error)
			return error;
		result = readv(descriptor, pieces.piece, (int)pieces.count);
	} while (result < 0 && try_again());
	if (result < 0)
		return -errno;
	transfer_advance(transfer, (uint64_t)result);
	return result;
}

/*
 * Both.
 */

static int64_t read_function(struct process *process, const struct kvmsb_stream *stream,
                             struct transfer *transfer)
{
	struct copy copy;
	int64_t result;

	copy_begin(&copy, transfer->left);
	result = call_read(process, stream, copy.data, copy.room);
	if (result > 0)
		result = transfer_scatter(transfer, copy.data, (uint64_t)result);
	copy_end(&copy);
	return result;
}

int64_t stream_read(struct process *process, const struct file *file, struct transfer *transfer)
{
	const struct kvmsb_stream *stream = stream_of(process, file);

	if (transfer->left == 0)
		return 0;
	if (stream->read)
		return read_function(process, stream, transfer);
	return read_descriptor(process, file, transfer);
}

/* All of it, unless something ends that; the bytes taken, or -errno when there were none. */
static int64_t put_descriptor(struct process *process, const struct file *file, uint8_t *data,
                              uint64_t length)
{
	uint64_t done = 0;
	int64_t result;

	do {
		struct iovec rest = {data + done, length - done};

		result = write_descriptor(process, file, &rest, 1);
		if (result > 0)
			done += (uint64_t)result;
	} while (result > 0 && done < length && !deadline_over(process));
	return done ? (int64_t)done : result;
}

/* A function that takes less than all has its reasons: the guest sees a short write. */
static int64_t put(struct process *process, const struct file *file, uint8_t *data, uint64_t length)
{
	const struct kvmsb_stream *stream = stream_of(process, file);

	if (stream->write)
		return call_write(process, stream, data, length);
	return put_descriptor(process, file, data, length);
}

/*
 * Through copies. What a copy took from the guest and the host did not take
 * has advanced too far: it is given back.
 */
static int64_t write_copied(struct process *process, const struct file *file,
                            struct transfer *transfer)
{
	struct copy copy;
	int64_t length, result;
	uint64_t done = 0;

	copy_begin(&copy, transfer->left);
	do {
		length = transfer_gather(transfer, copy.data, copy.room);
		result = length > 0 ? put(process, file, copy.data, (uint64_t)length) : length;
		if (result > 0)
			done += (uint64_t)result;
	} while (result > 0 && result == length && transfer->left && !deadline_over(process));
	copy_end(&copy);
	transfer->done = done;
	return transfer_result(transfer, result);
}

static int64_t write_direct(struct process *process, const struct file *file,
                            struct transfer *transfer)
{
	struct transfer_pieces pieces;
	int64_t result;

	do {
		result = transfer_pieces(transfer, false, UINT64_MAX, &pieces);
		if (result)
			break;
		result = write_descriptor(process, file, pieces.piece, pieces.count);
		if (result > 0)
			transfer_advance(transfer, (uint64_t)result);
	} while (result > 0 && transfer->left && !deadline_over(process));
	return transfer_result(transfer, result);
}

int64_t stream_write(struct process *process, const struct file *file, struct transfer *transfer)
{
	bool scattered = transfer->end - transfer->next > 1;
	int64_t result;

	if (transfer->left == 0)
		return 0;
	if (stream_of(process, file)->write || (scattered && transfer->left <= TRANSFER_CHUNK))
		result = write_copied(process, file, transfer);
	else
		result = write_direct(process, file, transfer);
	if (result == -EPIPE)
		signals_raise(process, SIGPIPE);
	return result;
}
