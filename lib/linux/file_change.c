/* SPDX-License-Identifier: MIT */
/*
 * Changing the content of files: man 2 write, man 2 ftruncate, man 2 fallocate,
 * man 2 fsync. No signal is raised in the host (quiet.h).
 */
#include "file_change.h"

#include "../util.h"
#include "deadline.h"
#include "memory_file.h"
#include "quiet.h"
#include "resource_limits.h"
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * The limit of sizes.
 */

static uint64_t size_limit(const struct process *process)
{
	return min_u64(process->limits->limit[RLIMIT_FSIZE].current, INT64_MAX);
}

/* man 2 getrlimit, RLIMIT_FSIZE. */
static int too_big(struct process *process)
{
	signals_raise(process, SIGXFSZ);
	return -EFBIG;
}

/*
 * Writing.
 */

static int write_flags(uint32_t flags)
{
	int result = flags & O_APPEND ? RWF_APPEND : 0;

	if ((flags & O_SYNC) == O_SYNC)
		return result | RWF_SYNC;
	return flags & O_DSYNC ? result | RWF_DSYNC : result;
}

static ssize_t write_pieces(int descriptor, const struct transfer_pieces *pieces, uint64_t offset,
                            int flags)
{
	struct quiet quiet;
	ssize_t result;

	quiet_begin_with_file(&quiet);
	do
		result = pwritev2(descriptor, pieces->piece, (int)pieces->count, (off_t)offset,
		                  flags);
	while (result < 0 && errno == EINTR);
	quiet_end(&quiet);
	return result < 0 ? -errno : result;
}

/* Appending goes where the end is now; that others move it meanwhile only loosens the limit. */
static int64_t write_piece(struct file *file, struct transfer *transfer, uint64_t offset, int flags,
                           uint64_t *wanted)
{
	uint64_t limit = size_limit(transfer->process);
	struct transfer_pieces pieces;
	int error = flags & RWF_APPEND ? file_size(file, &offset) : 0;

	*wanted = 0;
	if (!error && offset >= limit)
		return transfer->done ? 0 : too_big(transfer->process);
	if (!error)
		error = transfer_pieces(transfer, false, limit - offset, &pieces);
	if (error)
		return error;
	*wanted = pieces.length;
	return write_pieces(file->descriptor, &pieces, offset, flags);
}

static int64_t write_regular(struct file *file, struct transfer *transfer, uint64_t offset,
                             uint32_t flags)
{
	uint64_t wanted = 0;
	int64_t result = 0;

	while (transfer->left) {
		result = write_piece(file, transfer, offset + transfer->done, write_flags(flags),
		                     &wanted);
		if (result > 0)
			transfer_advance(transfer, (uint64_t)result);
		if (result <= 0 || (uint64_t)result < wanted || deadline_over(transfer->process))
			break;
	}
	return transfer_result(transfer, result);
}

int64_t file_write(struct file *file, struct transfer *transfer, uint64_t offset, uint32_t flags)
{
	switch (file->kind) {
	case FILE_REGULAR:
		return write_regular(file, transfer, offset, flags);
	case FILE_MEMORY:
		return memory_write(file, transfer, offset, flags);
	default:
		return -EINVAL;
	}
}

/*
 * Sizes.
 */

static int truncate_host(int descriptor, uint64_t length)
{
	struct quiet quiet;
	int result;

	quiet_begin_with_file(&quiet);
	do
		result = ftruncate(descriptor, (off_t)length);
	while (result < 0 && errno == EINTR);
	quiet_end(&quiet);
	return result < 0 ? -errno : 0;
}

int file_truncate(struct process *process, struct file *file, uint64_t length)
{
	if (file->kind == FILE_MEMORY)
		return memory_truncate(process, file, length);
	if (file->kind != FILE_REGULAR)
		return -EINVAL;
	if (length > size_limit(process))
		return too_big(process);
	return truncate_host(file->descriptor, length);
}

static int allocate_host(int descriptor, uint32_t mode, uint64_t offset, uint64_t length)
{
	struct quiet quiet;
	int result;

	quiet_begin_with_file(&quiet);
	do
		result = fallocate(descriptor, (int)mode, (off_t)offset, (off_t)length);
	while (result < 0 && errno == EINTR);
	quiet_end(&quiet);
	return result < 0 ? -errno : 0;
}

/* What is inserted makes the whole file longer. */
static int check_allocation(struct process *process, const struct file *file, uint32_t mode,
                            uint64_t end, uint64_t length)
{
	uint64_t size = 0;
	int error = mode & FALLOC_FL_INSERT_RANGE ? file_size(file, &size) : 0;

	if (error)
		return error;
	if (!checked_add(size, length, &size) || max_u64(size, end) > size_limit(process))
		return too_big(process);
	return 0;
}

int file_allocate(struct process *process, struct file *file, uint32_t mode, uint64_t offset,
                  uint64_t length)
{
	int error;

	if (file->kind == FILE_PIPE)
		return -ESPIPE;
	if (!file_is_regular(file))
		return file_is_directory(file) ? -EISDIR : -ENODEV;
	if (!range_within(offset, length, INT64_MAX))
		return -EFBIG;
	if (file->kind == FILE_MEMORY)
		return memory_allocate(process, file, mode, offset, length);
	error = check_allocation(process, file, mode, offset + length, length);
	return error ? error : allocate_host(file->descriptor, mode, offset, length);
}

/* What cannot be written through the sandbox needs no writing back by it. */
int file_sync(const struct file *file, bool data_only)
{
	int result;

	if (!file_is_regular(file) && !file_is_directory(file))
		return -EINVAL;
	if (!(file->access & KVMSB_PATH_WRITE))
		return 0;
	result = data_only ? fdatasync(file->descriptor) : fsync(file->descriptor);
	return result ? -errno : 0;
}
