/* SPDX-License-Identifier: MIT */
/*
 * System calls that move data: read, write and their families, sendfile.
 * Each as its manual page in section 2 has it, errors in the order of Linux:
 * descriptor, buffer, content.
 */
#include "deadline.h"
#include "files.h"
#include "handlers.h"
#include "input_output.h"
#include "mm.h"
#include "pipe.h"
#include "transfer.h"

#include "../util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>

typedef int (*prepare_function)(struct transfer *transfer, struct process *process,
                                uint64_t address, uint64_t length);

/* One call of any of the families, with a buffer or with a list. */
static int64_t move(struct process *process, const uint64_t arguments[6], uint32_t access,
                    prepare_function prepare, uint64_t offset)
{
	int fd = (int)arguments[0];
	struct transfer transfer;
	int64_t result = input_output_check(process, fd, access, offset);

	if (!result)
		result = prepare(&transfer, process, arguments[1], arguments[2]);
	if (result)
		return result;
	/* Linux fs/read_write.c rw_verify_area(). */
	if (offset != OFFSET_CURRENT && transfer.left > INT64_MAX - offset) {
		transfer_end(&transfer);
		return -EINVAL;
	}
	if (access == O_RDONLY)
		result = input(process, fd, &transfer, offset);
	else
		result = output(process, fd, &transfer, offset);
	transfer_end(&transfer);
	return result;
}

int64_t sys_read(struct process *process, const uint64_t arguments[6])
{
	return move(process, arguments, O_RDONLY, transfer_buffer, OFFSET_CURRENT);
}

int64_t sys_write(struct process *process, const uint64_t arguments[6])
{
	return move(process, arguments, O_WRONLY, transfer_buffer, OFFSET_CURRENT);
}

int64_t sys_readv(struct process *process, const uint64_t arguments[6])
{
	return move(process, arguments, O_RDONLY, transfer_vector, OFFSET_CURRENT);
}

int64_t sys_writev(struct process *process, const uint64_t arguments[6])
{
	return move(process, arguments, O_WRONLY, transfer_vector, OFFSET_CURRENT);
}

/* man 2 pread: a negative offset is found first. */
static int64_t move_at(struct process *process, const uint64_t arguments[6], uint32_t access,
                       prepare_function prepare)
{
	uint64_t offset = arguments[3];

	return offset > INT64_MAX ? -EINVAL : move(process, arguments, access, prepare, offset);
}

int64_t sys_pread64(struct process *process, const uint64_t arguments[6])
{
	return move_at(process, arguments, O_RDONLY, transfer_buffer);
}

int64_t sys_pwrite64(struct process *process, const uint64_t arguments[6])
{
	return move_at(process, arguments, O_WRONLY, transfer_buffer);
}

int64_t sys_preadv(struct process *process, const uint64_t arguments[6])
{
	return move_at(process, arguments, O_RDONLY, transfer_vector);
}

int64_t sys_pwritev(struct process *process, const uint64_t arguments[6])
{
	return move_at(process, arguments, O_WRONLY, transfer_vector);
}

/*
 * man 2 preadv2. Polling is no faster; RWF_NOWAIT is for what can tell whether
 * it would wait.
 */
static int check_flags(const struct process *process, int fd, uint32_t access, uint32_t flags)
{
	const struct open_file *open = files_look(process, fd);

	if (flags & ~(uint32_t)(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND))
		return -EOPNOTSUPP;
	if (!(flags & RWF_NOWAIT) || file_is_regular(open->file))
		return 0;
	if (open->file->kind != FILE_PIPE)
		return -EOPNOTSUPP;
	if (access == O_RDONLY)
		return open->file->pipe->length || !files_pipe_open(process, open->file, O_WRONLY)
		               ? 0
		               : -EAGAIN;
	return pipe_room(open->file->pipe) || !files_pipe_open(process, open->file, O_RDONLY)
	               ? 0
	               : -EAGAIN;
}

/* RWF_APPEND: as with O_APPEND, for this call. The call does not change the table. */
static int64_t append(struct process *process, const uint64_t arguments[6], uint64_t offset)
{
	struct open_file *open;
	uint32_t flags;
	int64_t result = files_change(process, (int)arguments[0], &open);

	if (result)
		return result;
	flags = open->flags;
	open->flags |= O_APPEND;
	result = move(process, arguments, O_WRONLY, transfer_vector, offset);
	open->flags = flags;
	return result;
}

/* An offset of -1 is the current one. */
static int64_t move_at_with_flags(struct process *process, const uint64_t arguments[6],
                                  uint32_t access)
{
	int fd = (int)arguments[0];
	uint32_t flags = (uint32_t)arguments[5];
	uint64_t offset = arguments[3] == UINT64_MAX ? OFFSET_CURRENT : arguments[3];
	bool changes;
	int64_t result = offset != OFFSET_CURRENT && offset > INT64_MAX
	                         ? -EINVAL
	                         : input_output_check(process, fd, access, offset);

	if (!result)
		result = check_flags(process, fd, access, flags);
	if (result)
		return result;
	changes = access == O_WRONLY && file_is_regular(files_get(process, fd));
	if (changes && (flags & RWF_APPEND))
		result = append(process, arguments, offset);
	else
		result = move(process, arguments, access, transfer_vector, offset);
	if (result > 0 && changes && (flags & (RWF_DSYNC | RWF_SYNC)))
		sys_fsync(process, arguments);
	return result;
}

int64_t sys_preadv2(struct process *process, const uint64_t arguments[6])
{
	return move_at_with_flags(process, arguments, O_RDONLY);
}

int64_t sys_pwritev2(struct process *process, const uint64_t arguments[6])
{
	return move_at_with_flags(process, arguments, O_WRONLY);
}

/*
 * sendfile(2)
 */

struct send {
	struct process *process;
	struct file *from;
	int to;
	uint64_t offset, left, done;
	uint8_t *copy;
};

/* Returns 0 to go on, 1 when there is no more, or -errno. */
static int64_t send_chunk(struct send *send)
{
	struct transfer transfer;
	int64_t length, result;

	length = files_pread(send->process, send->from, send->copy,
	                     min_u64(send->left, TRANSFER_CHUNK), send->offset);
	if (length <= 0)
		return length ? length : 1;
	transfer_host(&transfer, send->process, send->copy, (uint64_t)length);
	result = output(send->process, send->to, &transfer, OFFSET_CURRENT);
	if (result < 0)
		return result;
	/* Devices have no position. */
	if (file_is_regular(send->from))
		send->offset += (uint64_t)result;
	send->left -= (uint64_t)result;
	send->done += (uint64_t)result;
	return result < length;
}

static int64_t send_all(struct send *send)
{
	int64_t result = 0;

	send->copy = malloc(TRANSFER_CHUNK);
	if (!send->copy)
		return -ENOMEM;
	while (!result && send->left && !deadline_over(send->process))
		result = send_chunk(send);
	free(send->copy);
	return send->done || result >= 0 ? (int64_t)send->done : result;
}

static int send_check(struct process *process, int to, int from)
{
	int error = input_output_check(process, from, O_RDONLY, OFFSET_CURRENT);

	if (!error)
		error = input_output_check(process, to, O_WRONLY, OFFSET_CURRENT);
	if (!error && !file_is_regular(files_get(process, from)) &&
	    files_get(process, from)->kind != FILE_ZERO)
		error = -EINVAL;
	return error;
}

/* The offset is the guest's variable. */
static int64_t send_at(struct send *send, uint64_t address)
{
	int64_t result = guest_read(send->process, address, &send->offset, sizeof(send->offset));
	int error;

	if (result)
		return result;
	if (send->offset > INT64_MAX)
		return -EINVAL;
	result = send_all(send);
	error = guest_write(send->process, address, &send->offset, sizeof(send->offset));
	return error ? error : result;
}

static int64_t send_at_current(struct send *send, int from)
{
	struct open_file *open;
	int64_t result = files_change(send->process, from, &open);

	if (result)
		return result;
	send->from = open->file;
	send->offset = open->offset;
	result = send_all(send);
	open->offset = send->offset;
	return result;
}

int64_t sys_sendfile(struct process *process, const uint64_t arguments[6])
{
	int from = (int)arguments[1];
	struct send send = {
		.process = process,
		.to = (int)arguments[0],
		.left = min_u64(arguments[3], TRANSFER_MAXIMUM),
	};
	int error = send_check(process, send.to, from);

	/* The output may be a pipe, whose writing copies the table. */
	if (!error)
		error = files_make_own(process);
	if (error)
		return error;
	send.from = files_get(process, from);
	return arguments[2] ? send_at(&send, arguments[2]) : send_at_current(&send, from);
}
