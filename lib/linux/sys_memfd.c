/* SPDX-License-Identifier: MIT */
/*
 * memfd_create(2): a file in the sandbox's memory that never has a name. It
 * counts against the limit of all files in memory. No huge pages.
 */
#include "files.h"
#include "handlers.h"
#include "memory_file.h"
#include "mm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/* man 2 memfd_create; the last two: Linux 6.3. */
#define FLAG_CLOSE_ON_EXEC 1u
#define FLAG_ALLOW_SEALING 2u
#define FLAG_NO_EXECUTE_SEAL 8u
#define FLAG_EXECUTE 0x10u
#define FLAGS_KNOWN (FLAG_CLOSE_ON_EXEC | FLAG_ALLOW_SEALING | FLAG_NO_EXECUTE_SEAL | FLAG_EXECUTE)

/* F_SEAL_EXEC, which came with them. */
#define SEAL_EXECUTE 0x20u

/* man 2 memfd_create: 249 characters at most. */
#define NAME_SIZE 250u

static int make_inode(struct process *process, uint32_t flags, uint64_t *inode)
{
	bool no_execute = flags & FLAG_NO_EXECUTE_SEAL;
	uint32_t seals = flags & FLAG_ALLOW_SEALING || no_execute ? 0 : F_SEAL_SEAL;
	int error = memory_begin_change(process);

	if (error)
		return error;
	do
		error = tmpfs_make_unnamed(process->tmpfs, no_execute ? 0666 : 0777,
		                           seals | (no_execute ? SEAL_EXECUTE : 0), inode);
	while (memory_try_again(process, error));
	return error;
}

static int64_t install(struct process *process, uint64_t inode, const char *path, uint32_t flags)
{
	struct file *file = memory_file_create(FILE_MEMORY, inode, path);
	int64_t fd = -ENOMEM;

	if (file)
		fd = files_install(process, file,
		                   O_RDWR | (flags & FLAG_CLOSE_ON_EXEC ? O_CLOEXEC : 0u));
	if (fd < 0)
		memory_collect(process, inode);
	return fd;
}

int64_t sys_memfd_create(struct process *process, const uint64_t arguments[6])
{
	uint32_t flags = (uint32_t)arguments[1];
	char name[NAME_SIZE], path[NAME_SIZE + 32];
	uint64_t inode;
	int64_t error;

	if ((flags & ~FLAGS_KNOWN) || (flags & (FLAG_NO_EXECUTE_SEAL | FLAG_EXECUTE)) ==
	                                      (FLAG_NO_EXECUTE_SEAL | FLAG_EXECUTE))
		return -EINVAL;
	error = guest_read_string(process, arguments[0], name, sizeof(name));
	if (error < 0)
		return error == -ENAMETOOLONG ? -EINVAL : error;
	error = make_inode(process, flags, &inode);
	if (error)
		return error;
	snprintf(path, sizeof(path), "/memfd:%s (deleted)", name);
	return install(process, inode, path, flags);
}
