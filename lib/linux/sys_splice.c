/* SPDX-License-Identifier: MIT */
/*
 * splice, tee, vmsplice: man 2 splice. Data is copied, which programs cannot
 * tell from moving its pages. What has no pages in Linux (what is made by us,
 * /dev/null, eventfd) is no source there and none here.
 */
#include "deadline.h"
#include "files.h"
#include "handlers.h"
#include "input_output.h"
#include "mm.h"
#include "pipe.h"
#include "signals.h"
#include "transfer.h"

#include "../util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

#define FLAGS_KNOWN (uint32_t)(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

static struct pipe *pipe_of(const struct process *process, int fd)
{
	const struct open_file *open = files_look(process, fd);

	return open && open->file->kind == FILE_PIPE ? open->file->pipe : NULL;
}

/* As if each of the pipes had O_NONBLOCK: SPLICE_F_NONBLOCK is about pipes. */
static int64_t wait_for_pipe(struct process *process, int fd, uint32_t flags)
{
	if ((flags & SPLICE_F_NONBLOCK) || (files_look(process, fd)->flags & O_NONBLOCK))
		return -EAGAIN;
	return deadline_sleep(process, DEADLINE_NEVER);
}

/* Whether there is something to take: 1; 0 at the end; or -errno. */
static int64_t wait_for_data(struct process *process, int fd, uint32_t flags)
{
	if (pipe_of(process, fd)->length > 0)
		return 1;
	if (!files_pipe_open(process, files_get(process, fd), O_WRONLY))
		return 0;
	return wait_for_pipe(process, fd, flags);
}

/* Whether something can be put: 1, or -errno. */
static int64_t wait_for_room(struct process *process, int fd, uint32_t flags)
{
	if (!files_pipe_open(process, files_get(process, fd), O_RDONLY)) {
		signals_raise(process, SIGPIPE);
		return -EPIPE;
	}
	return pipe_room(pipe_of(process, fd)) > 0 ? 1 : wait_for_pipe(process, fd, flags);
}

/* From what is at the pipe's front, without taking it. Both tables' ends are the process's own. */
static int64_t copy_out(struct process *process, int from, int to, uint64_t offset, uint64_t length)
{
	struct pipe *pipe = pipe_of(process, from), *target = pipe_of(process, to);
	struct transfer transfer;

	length = min_u64(length, pipe->length);
	if (target)
		length = min_u64(length, pipe_room(target));
	transfer_host(&transfer, process, pipe->data + pipe->start, length);
	return target ? pipe_write(target, &transfer) : output(process, to, &transfer, offset);
}

/* From a pipe to anything. */
static int64_t move_out(struct process *process, int from, int to, uint64_t offset, uint64_t length,
                        uint32_t flags, bool taken)
{
	int64_t result = wait_for_data(process, from, flags);

	if (result > 0 && pipe_of(process, to))
		result = wait_for_room(process, to, flags);
	if (result > 0)
		result = copy_out(process, from, to, offset, length);
	if (result > 0 && taken)
		pipe_skip(pipe_of(process, from), (uint32_t)result);
	return result;
}

/* From anything but a pipe to a pipe. */
static int64_t move_in(struct process *process, int from, uint64_t offset, int to, uint64_t length,
                       uint32_t flags)
{
	struct pipe *pipe = pipe_of(process, to);
	struct transfer transfer;
	uint8_t *data;
	int64_t result = wait_for_room(process, to, flags);

	if (result < 0)
		return result;
	length = min_u64(length, pipe_room(pipe));
	data = malloc(length);
	if (!data)
		return -ENOMEM;
	transfer_host(&transfer, process, data, length);
	result = input(process, from, &transfer, offset);
	if (result > 0) {
		transfer_host(&transfer, process, data, (uint64_t)result);
		result = pipe_write(pipe, &transfer);
	}
	free(data);
	return result;
}

/*
 * splice
 */

struct splice {
	int from, to;
	uint64_t from_offset, to_offset; /* addresses of the guest; 0: none is given */
	uint64_t length;
	uint32_t flags;
};

static bool is_source(const struct file *file)
{
	return file_is_regular(file) || file->kind == FILE_ZERO || file->kind == FILE_FULL ||
	       file->kind == FILE_RANDOM || file->kind == FILE_STREAM || file->kind == FILE_PIPE;
}

static bool is_target(const struct file *file)
{
	return file->kind != FILE_EVENT && file->kind != FILE_EPOLL;
}

/* In Linux's order: fs/splice.c do_splice(). */
static int check(const struct process *process, const struct splice *splice)
{
	struct pipe *from = pipe_of(process, splice->from), *to = pipe_of(process, splice->to);
	int error = input_output_check(process, splice->from, O_RDONLY, OFFSET_CURRENT);

	if (!error)
		error = input_output_check(process, splice->to, O_WRONLY, OFFSET_CURRENT);
	if (error)
		return error;
	if ((from && splice->from_offset) || (to && splice->to_offset))
		return -ESPIPE;
	if ((!from && !to) || from == to)
		return -EINVAL;
	if (!from && !is_source(files_look(process, splice->from)->file))
		return -EINVAL;
	return is_target(files_look(process, splice->to)->file) ? 0 : -EINVAL;
}

static int read_offset(struct process *process, int fd, uint32_t access, uint64_t address,
                       uint64_t *offset)
{
	int error;

	*offset = OFFSET_CURRENT;
	if (!address)
		return 0;
	error = guest_read(process, address, offset, sizeof(*offset));
	if (!error && *offset > INT64_MAX)
		error = -EINVAL;
	return error ? error : input_output_check(process, fd, access, *offset);
}

/* Between a pipe and what may have an offset, which the guest's variable then is. */
static int64_t splice_at(struct process *process, const struct splice *splice)
{
	bool in = !pipe_of(process, splice->from);
	uint64_t address = in ? splice->from_offset : splice->to_offset, offset;
	int64_t result = read_offset(process, in ? splice->from : splice->to,
	                             in ? O_RDONLY : O_WRONLY, address, &offset);
	int error;

	if (result)
		return result;
	if (in)
		result = move_in(process, splice->from, offset, splice->to, splice->length,
		                 splice->flags);
	else
		result = move_out(process, splice->from, splice->to, offset, splice->length,
		                  splice->flags, true);
	/* Devices have no position. */
	if (result <= 0 || offset == OFFSET_CURRENT ||
	    !file_is_regular(files_get(process, in ? splice->from : splice->to)))
		return result;
	offset += (uint64_t)result;
	error = guest_write(process, address, &offset, sizeof(offset));
	return error ? error : result;
}

int64_t sys_splice(struct process *process, const uint64_t arguments[6])
{
	struct splice splice = {
		.from = (int)arguments[0],
		.from_offset = arguments[1],
		.to = (int)arguments[2],
		.to_offset = arguments[3],
		.length = min_u64(arguments[4], TRANSFER_MAXIMUM),
		.flags = (uint32_t)arguments[5],
	};
	int error;

	if (splice.length == 0)
		return 0;
	if (splice.flags & ~FLAGS_KNOWN)
		return -EINVAL;
	error = check(process, &splice);
	if (!error)
		error = files_make_own(process);
	return error ? error : splice_at(process, &splice);
}

/*
 * tee, vmsplice
 */

int64_t sys_tee(struct process *process, const uint64_t arguments[6])
{
	int from = (int)arguments[0], to = (int)arguments[1];
	uint64_t length = min_u64(arguments[2], TRANSFER_MAXIMUM);
	uint32_t flags = (uint32_t)arguments[3];
	int error;

	if (flags & ~FLAGS_KNOWN)
		return -EINVAL;
	if (length == 0)
		return 0;
	error = input_output_check(process, from, O_RDONLY, OFFSET_CURRENT);
	if (!error)
		error = input_output_check(process, to, O_WRONLY, OFFSET_CURRENT);
	if (!error && (!pipe_of(process, from) || !pipe_of(process, to) ||
	               pipe_of(process, from) == pipe_of(process, to)))
		error = -EINVAL;
	if (!error)
		error = files_make_own(process);
	return error ? error : move_out(process, from, to, OFFSET_CURRENT, length, flags, false);
}

static int64_t move_memory(struct process *process, int fd, struct transfer *transfer, uint32_t flags)
{
	bool reads = (files_look(process, fd)->flags & O_ACCMODE) == O_RDONLY;
	int64_t result = files_make_own(process);

	if (result || transfer->left == 0)
		return result;
	result = reads ? wait_for_data(process, fd, flags) : wait_for_room(process, fd, flags);
	if (result <= 0)
		return result;
	return reads ? pipe_read(pipe_of(process, fd), transfer)
	             : pipe_write(pipe_of(process, fd), transfer);
}

int64_t sys_vmsplice(struct process *process, const uint64_t arguments[6])
{
	int fd = (int)arguments[0];
	struct transfer transfer;
	int64_t result;

	if ((uint32_t)arguments[3] & ~FLAGS_KNOWN)
		return -EINVAL;
	if (!files_look(process, fd))
		return -EBADF;
	result = transfer_vector(&transfer, process, arguments[1], arguments[2]);
	if (result)
		return result;
	if (!pipe_of(process, fd))
		result = transfer.left ? -EBADF : 0;
	else
		result = move_memory(process, fd, &transfer, (uint32_t)arguments[3]);
	transfer_end(&transfer);
	return result;
}
