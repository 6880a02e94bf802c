/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing open files of every kind: man 2 read, man 2 write,
 * man 7 pipe, man 4 null, man 4 full, man 4 random.
 */
#include "input_output.h"

#include "../util.h"
#include "deadline.h"
#include "file_change.h"
#include "memory_file.h"
#include "mm.h"
#include "pipe.h"
#include "signals.h"
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/random.h>
#include <unistd.h>

/* Reads up to this size are not worth a look at the file's size. */
#define READ_SMALL 16384u

/*
 * Regular files: straight into guest memory.
 */

/*
 * Only as much of the guest's buffer is made ready as the file can fill, as
 * Linux touches no more. Files that have no size, as in /proc, go page by page.
 */
static uint64_t read_limit(const struct file *file, const struct transfer *transfer, uint64_t offset)
{
	uint64_t size;

	if (transfer->left <= READ_SMALL)
		return transfer->left;
	if (file_size(file, &size) || size <= offset)
		return PAGE_SIZE;
	return size - offset;
}

static int64_t read_piece(const struct file *file, struct transfer *transfer, uint64_t offset,
                          uint64_t *wanted)
{
	struct transfer_pieces pieces;
	ssize_t result;
	int error;

	error = transfer_pieces(transfer, true, read_limit(file, transfer, offset), &pieces);
	if (error)
		return error;
	*wanted = pieces.length;
	do
		result = preadv(file->descriptor, pieces.piece, (int)pieces.count, (off_t)offset);
	while (result < 0 && errno == EINTR);
	return result < 0 ? -errno : result;
}

static int64_t read_regular(const struct file *file, struct transfer *transfer, uint64_t offset)
{
	uint64_t wanted = 0;
	int64_t result = 0;

	while (transfer->left && offset + transfer->done < INT64_MAX) {
		result = read_piece(file, transfer, offset + transfer->done, &wanted);
		if (result > 0)
			transfer_advance(transfer, (uint64_t)result);
		if (result <= 0 || (uint64_t)result < wanted || deadline_over(transfer->process))
			break;
	}
	return transfer_result(transfer, result);
}

/*
 * Devices.
 */

static int64_t read_zeros(struct transfer *transfer)
{
	int64_t result = 0;

	while (transfer->left) {
		result = transfer_zero(transfer, TRANSFER_CHUNK);
		if (result <= 0 || deadline_over(transfer->process))
			break;
	}
	return transfer_result(transfer, result);
}

static int64_t fill_random(const struct iovec *piece)
{
	uint8_t *data = piece->iov_base;
	size_t done = 0;
	ssize_t result;

	while (done < piece->iov_len) {
		result = getrandom(data + done, piece->iov_len - done, 0);
		if (result < 0 && errno != EINTR)
			return -errno;
		if (result > 0)
			done += (size_t)result;
	}
	return (int64_t)done;
}

int64_t input_random(struct transfer *transfer)
{
	struct transfer_pieces pieces;
	int64_t result = 0;

	while (transfer->left) {
		result = transfer_pieces(transfer, true, TRANSFER_CHUNK, &pieces);
		for (unsigned i = 0; !result && i < pieces.count; i++)
			result = fill_random(&pieces.piece[i]) < 0 ? -EIO : 0;
		if (result)
			break;
		transfer_advance(transfer, pieces.length);
		if (deadline_over(transfer->process))
			break;
	}
	return transfer_result(transfer, result);
}

/*
 * Pipes. The table is the process's own here.
 */

/* Nobody else could ever end the wait. */
static int64_t would_wait(struct process *process, const struct open_file *open)
{
	return open->flags & O_NONBLOCK ? -EAGAIN : deadline_sleep(process, DEADLINE_NEVER);
}

static int64_t read_pipe(struct process *process, const struct open_file *open,
                         struct transfer *transfer)
{
	struct pipe *pipe = open->file->pipe;

	if (transfer->left == 0)
		return 0;
	if (pipe->length == 0)
		return files_pipe_open(process, open->file, O_WRONLY) ? would_wait(process, open) : 0;
	return pipe_read(pipe, transfer);
}

static int64_t write_pipe(struct process *process, const struct open_file *open,
                          struct transfer *transfer)
{
	struct pipe *pipe = open->file->pipe;
	uint64_t room = PIPE_CAPACITY - pipe->length;

	if (transfer->left == 0)
		return 0;
	if (!files_pipe_open(process, open->file, O_RDONLY)) {
		signals_raise(process, SIGPIPE);
		return -EPIPE;
	}
	/* Up to PIPE_BUF bytes go in one piece or not at all. */
	if (room == 0 || (transfer->left <= PIPE_BUF && transfer->left > room))
		return would_wait(process, open);
	return pipe_write(pipe, transfer);
}

/*
 * Events. The table is the process's own here, too.
 */

static int64_t read_event(struct process *process, const struct open_file *open,
                          struct transfer *transfer)
{
	int64_t result = event_read(&open->file->event, transfer);

	return result == -EAGAIN ? would_wait(process, open) : result;
}

static int64_t write_event(struct process *process, const struct open_file *open,
                           struct transfer *transfer)
{
	int64_t result = event_write(&open->file->event, transfer);

	return result == -EAGAIN ? would_wait(process, open) : result;
}

/*
 * All kinds.
 */

static bool is_seekable(const struct file *file)
{
	return file->kind != FILE_STREAM && file->kind != FILE_PIPE && file->kind != FILE_EVENT &&
	       file->kind != FILE_EPOLL;
}

int input_output_check(const struct process *process, int fd, uint32_t access, uint64_t offset)
{
	const struct open_file *open = files_look(process, fd);
	uint32_t mode;

	if (!open || open->file->kind == FILE_PATH)
		return -EBADF;
	if (offset != OFFSET_CURRENT && !is_seekable(open->file))
		return -ESPIPE;
	mode = open->flags & O_ACCMODE;
	return mode == access || mode == O_RDWR ? 0 : -EBADF;
}

static int64_t read_made(const struct file *file, struct transfer *transfer, uint64_t offset)
{
	if (offset >= file->content_length || !transfer->left)
		return 0;
	return transfer_scatter(transfer, file->content + offset, file->content_length - offset);
}

static int64_t read_at_current(struct process *process, int fd, struct transfer *transfer)
{
	struct open_file *open;
	int64_t result = files_change(process, fd, &open);

	if (result)
		return result;
	if (open->file->kind == FILE_PIPE)
		return read_pipe(process, open, transfer);
	if (open->file->kind == FILE_EVENT)
		return read_event(process, open, transfer);
	if (open->file->kind == FILE_MEMORY)
		result = memory_read(open->file, transfer, open->offset);
	else if (open->file->kind == FILE_MADE)
		result = read_made(open->file, transfer, open->offset);
	else
		result = read_regular(open->file, transfer, open->offset);
	if (result > 0)
		open->offset += (uint64_t)result;
	return result;
}

int64_t input(struct process *process, int fd, struct transfer *transfer, uint64_t offset)
{
	const struct open_file *open = files_look(process, fd);

	switch (open->file->kind) {
	case FILE_REGULAR:
		if (offset != OFFSET_CURRENT)
			return read_regular(open->file, transfer, offset);
		return read_at_current(process, fd, transfer);
	case FILE_MEMORY:
		if (offset != OFFSET_CURRENT)
			return memory_read(open->file, transfer, offset);
		return read_at_current(process, fd, transfer);
	case FILE_MADE:
		if (offset != OFFSET_CURRENT)
			return read_made(open->file, transfer, offset);
		return read_at_current(process, fd, transfer);
	case FILE_PIPE:
	case FILE_EVENT:
		return read_at_current(process, fd, transfer);
	case FILE_DIRECTORY:
	case FILE_MEMORY_DIRECTORY:
	case FILE_MADE_DIRECTORY:
		return -EISDIR;
	case FILE_STREAM:
		return stream_read(process, open->file, transfer);
	case FILE_ZERO:
	case FILE_FULL:
		return read_zeros(transfer);
	case FILE_RANDOM:
		return input_random(transfer);
	case FILE_EPOLL:
		return -EINVAL;
	default:
		return 0; /* FILE_NULL */
	}
}

static int64_t write_to_own(struct process *process, int fd, struct transfer *transfer)
{
	struct open_file *open;
	int64_t error = files_change(process, fd, &open);

	if (error)
		return error;
	if (open->file->kind == FILE_EVENT)
		return write_event(process, open, transfer);
	return write_pipe(process, open, transfer);
}

/* man 2 write: with O_APPEND the offset is first the end of the file; pwrite(2), BUGS: there, too. */
static int64_t write_at_current(struct process *process, int fd, struct transfer *transfer)
{
	struct open_file *open;
	uint64_t end = 0;
	int64_t result = files_change(process, fd, &open);

	if (result)
		return result;
	result = file_write(open->file, transfer, open->offset, open->flags);
	if (result <= 0)
		return result;
	if (!(open->flags & O_APPEND))
		open->offset += (uint64_t)result;
	else if (files_size(process, open->file, &end) == 0)
		open->offset = end;
	return result;
}

int64_t output(struct process *process, int fd, struct transfer *transfer, uint64_t offset)
{
	const struct open_file *open = files_look(process, fd);

	switch (open->file->kind) {
	case FILE_REGULAR:
	case FILE_MEMORY:
		if (offset != OFFSET_CURRENT)
			return file_write(open->file, transfer, offset, open->flags);
		return write_at_current(process, fd, transfer);
	case FILE_STREAM:
		return stream_write(process, open->file, transfer);
	case FILE_PIPE:
	case FILE_EVENT:
		return write_to_own(process, fd, transfer);
	case FILE_FULL:
		return transfer->left ? -ENOSPC : 0;
	case FILE_EPOLL:
		return -EINVAL;
	case FILE_NULL:
	case FILE_ZERO:
	case FILE_RANDOM:
		return (int64_t)transfer->left;
	default:
		return -EBADF;
	}
}
