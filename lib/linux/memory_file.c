/* SPDX-License-Identifier: MIT */
/*
 * Open files of the file system in memory; see memory_file.h.
 */
#include "memory_file.h"

#include "../util.h"
#include "deadline.h"
#include "mm.h"
#include "process_clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int memory_begin_change(struct process *process)
{
	uint64_t now = process_clock_realtime(process);

	return tmpfs_make_own(&process->tmpfs, process_clock_timespec(now));
}

struct file *memory_file_create(enum file_kind kind, uint64_t inode, const char *path)
{
	struct file *file = file_create(kind, -1, path);

	if (file)
		file->inode = inode;
	return file;
}

/*
 * What is still in use.
 */

static bool is_used(const struct process *process, uint64_t inode)
{
	const struct files *files = process->files;
	uint64_t mapped;
	size_t index = 0;

	for (uint32_t i = 0; i < files->capacity; i++)
		if (files->open[i].file && files->open[i].file->inode == inode)
			return true;
	do
		mapped = mm_next_memory_file(process, &index);
	while (mapped && mapped != inode);
	return mapped == inode;
}

void memory_collect(struct process *process, uint64_t inode)
{
	struct stat status;

	if (!inode || tmpfs_stat(process->tmpfs, inode, &status) || status.st_nlink > 0 ||
	    is_used(process, inode))
		return;
	/* Without memory it stays until memory_try_again(). */
	if (memory_begin_change(process) == 0)
		tmpfs_forget(process->tmpfs, inode);
}

static int compare(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static size_t count_mapped(const struct process *process)
{
	size_t index = 0, count = 0;

	while (mm_next_memory_file(process, &index))
		count++;
	return count;
}

/* The inodes of all open and mapped files, in order. There may be many mappings. */
static uint64_t *list_used(const struct process *process, size_t *count)
{
	const struct files *files = process->files;
	uint64_t *list = malloc((files->capacity + count_mapped(process)) * sizeof(*list)), mapped;
	size_t index = 0;

	*count = 0;
	if (!list)
		return NULL;
	for (uint32_t i = 0; i < files->capacity; i++)
		if (files->open[i].file)
			list[(*count)++] = files->open[i].file->inode;
	while ((mapped = mm_next_memory_file(process, &index)) != 0)
		list[(*count)++] = mapped;
	qsort(list, *count, sizeof(*list), compare);
	return list;
}

bool memory_try_again(struct process *process, int64_t error)
{
	uint64_t inode = 0, before = tmpfs_inodes(process->tmpfs), *used;
	size_t count;

	if (error != -ENOSPC || !tmpfs_next_orphan(process->tmpfs, &inode))
		return false;
	used = list_used(process, &count);
	if (!used)
		return false;
	for (; tmpfs_next_orphan(process->tmpfs, &inode); inode++)
		if (!bsearch(&inode, used, count, sizeof(*used), compare))
			tmpfs_forget(process->tmpfs, inode);
	free(used);
	return tmpfs_inodes(process->tmpfs) < before;
}

/*
 * Content.
 */

int64_t memory_read(const struct file *file, struct transfer *transfer, uint64_t offset)
{
	struct process *process = transfer->process;
	struct transfer_pieces pieces;
	int64_t result = 0;
	uint64_t size = tmpfs_size(process->tmpfs, file->inode);

	while (transfer->left && offset + transfer->done < size) {
		result = transfer_pieces(transfer, true, size - offset - transfer->done, &pieces);
		if (result)
			break;
		result = tmpfs_read(process->tmpfs, file->inode, offset + transfer->done,
		                    pieces.piece, pieces.count);
		if (result <= 0)
			break;
		transfer_advance(transfer, (uint64_t)result);
		if (deadline_over(process))
			break;
	}
	return transfer_result(transfer, result);
}

static int64_t write_piece(const struct file *file, struct transfer *transfer, uint64_t offset)
{
	struct process *process = transfer->process;
	struct transfer_pieces pieces;
	int64_t result = transfer_pieces(transfer, false, TRANSFER_MAXIMUM, &pieces);

	if (!result)
		result = memory_begin_change(process);
	if (result)
		return result;
	do
		result = tmpfs_write(process->tmpfs, file->inode, offset, pieces.piece, pieces.count);
	while (memory_try_again(process, result));
	return result;
}

int64_t memory_write(const struct file *file, struct transfer *transfer, uint64_t offset,
                     uint32_t flags)
{
	struct process *process = transfer->process;
	int64_t result = 0;

	if (flags & O_APPEND)
		offset = tmpfs_size(process->tmpfs, file->inode);
	/* After less than was wanted comes an error, or there is room again. */
	while (transfer->left) {
		result = write_piece(file, transfer, offset + transfer->done);
		if (result <= 0)
			break;
		transfer_advance(transfer, (uint64_t)result);
		if (deadline_over(process))
			break;
	}
	return transfer_result(transfer, result);
}

int memory_truncate(struct process *process, const struct file *file, uint64_t size)
{
	int error = memory_begin_change(process);

	return error ? error : tmpfs_truncate(process->tmpfs, file->inode, size);
}

int memory_allocate(struct process *process, const struct file *file, uint32_t mode,
                    uint64_t offset, uint64_t length)
{
	int error = memory_begin_change(process);

	if (error)
		return error;
	do
		error = tmpfs_allocate(process->tmpfs, file->inode, mode, offset, length);
	while (memory_try_again(process, error));
	return error;
}

int64_t memory_seek(const struct process *process, const struct file *file, uint64_t offset,
                    int whence)
{
	return whence == SEEK_DATA ? tmpfs_seek_data(process->tmpfs, file->inode, offset)
	                           : tmpfs_seek_hole(process->tmpfs, file->inode, offset);
}

int memory_add_seals(struct process *process, const struct file *file, uint32_t seals)
{
	int error = memory_begin_change(process);

	return error ? error : tmpfs_add_seals(process->tmpfs, file->inode, seals);
}
