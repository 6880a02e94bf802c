/* SPDX-License-Identifier: MIT */
/*
 * System calls that would change the file system, which is read-only: each
 * says what Linux says for a read-only file system (place.h). And extended
 * attributes, which it does not have.
 */
#include "files.h"
#include "handlers.h"
#include "lookup.h"

#include "../util.h"

#include <errno.h>
#include <fcntl.h>

static int64_t refuse_at(struct process *process, int dirfd, uint64_t address,
                         enum place_change change)
{
	struct place_view view = lookup_view(process);
	struct path path;
	int error = lookup_path(process, dirfd, address, &path);

	return error ? error : place_refuse(&view, &path, change);
}

/* Calls whose path is the first argument, and those with a directory before it. */

int64_t sys_refuse_create(struct process *process, const uint64_t arguments[6])
{
	return refuse_at(process, AT_FDCWD, arguments[0], PLACE_CREATE);
}

int64_t sys_refuse_create_at(struct process *process, const uint64_t arguments[6])
{
	return refuse_at(process, (int)arguments[0], arguments[1], PLACE_CREATE);
}

int64_t sys_refuse_change(struct process *process, const uint64_t arguments[6])
{
	return refuse_at(process, AT_FDCWD, arguments[0], PLACE_MODIFY);
}

int64_t sys_refuse_change_at(struct process *process, const uint64_t arguments[6])
{
	return refuse_at(process, (int)arguments[0], arguments[1], PLACE_MODIFY);
}

/* fchmod, fchown, fsetxattr, fremovexattr. */
int64_t sys_refuse_change_of(struct process *process, const uint64_t arguments[6])
{
	const struct open_file *open = files_look(process, (int)arguments[0]);

	if (!open || open->file->kind == FILE_PATH)
		return -EBADF;
	return open->file->kind == FILE_REGULAR || open->file->kind == FILE_DIRECTORY ? -EROFS
	                                                                              : -EPERM;
}

/* rename and link: what is there comes first, then the new name's directory. */
static int64_t refuse_pair(struct process *process, int from_dirfd, uint64_t from, int to_dirfd,
                           uint64_t to)
{
	struct path path;
	int64_t error = refuse_at(process, from_dirfd, from, PLACE_MODIFY);

	if (error != -EROFS && error != -EACCES)
		return error;
	if (lookup_path(process, to_dirfd, to, &path) == -EFAULT)
		return -EFAULT;
	return error;
}

int64_t sys_refuse_rename(struct process *process, const uint64_t arguments[6])
{
	return refuse_pair(process, AT_FDCWD, arguments[0], AT_FDCWD, arguments[1]);
}

int64_t sys_refuse_rename_at(struct process *process, const uint64_t arguments[6])
{
	return refuse_pair(process, (int)arguments[0], arguments[1], (int)arguments[2], arguments[3]);
}

/* The target is text only. */
int64_t sys_refuse_symlink(struct process *process, const uint64_t arguments[6])
{
	return refuse_at(process, AT_FDCWD, arguments[1], PLACE_CREATE);
}

int64_t sys_refuse_symlink_at(struct process *process, const uint64_t arguments[6])
{
	return refuse_at(process, (int)arguments[1], arguments[2], PLACE_CREATE);
}

/* man 2 utimensat: without a path, the descriptor itself. */
int64_t sys_utimensat(struct process *process, const uint64_t arguments[6])
{
	if (arguments[1] == 0)
		return sys_refuse_change_of(process, arguments);
	return sys_refuse_change_at(process, arguments);
}

/*
 * man 2 fallocate, man 2 copy_file_range: no file is open for writing.
 */

int64_t sys_fallocate(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	(void)arguments;
	return -EBADF;
}

/*
 * Extended attributes: man 2 getxattr, ENOTSUP.
 */

static int64_t no_attributes(struct process *process, uint64_t address, unsigned flags)
{
	struct place place;
	int error = lookup_place(process, AT_FDCWD, address, flags, &place);

	if (error)
		return error;
	place_close(&place);
	return -EOPNOTSUPP;
}

int64_t sys_no_attributes(struct process *process, const uint64_t arguments[6])
{
	return no_attributes(process, arguments[0], 0);
}

int64_t sys_no_attributes_of_link(struct process *process, const uint64_t arguments[6])
{
	return no_attributes(process, arguments[0], AT_SYMLINK_NOFOLLOW);
}

int64_t sys_no_attributes_of(struct process *process, const uint64_t arguments[6])
{
	return files_look(process, (int)arguments[0]) ? -EOPNOTSUPP : -EBADF;
}
