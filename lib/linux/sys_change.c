/* SPDX-License-Identifier: MIT */
/*
 * System calls that change the file system: names, modes, owners, times, sizes.
 * Each as its manual page in section 2 has it; what may be changed is in
 * place.h. And extended attributes, which it does not have.
 */
#include "file_change.h"
#include "files.h"
#include "guest_time.h"
#include "handlers.h"
#include "lookup.h"
#include "mm.h"

#include "../util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/stat.h>

/* Paths in arguments, by where they are. */
#define FIRST AT_FDCWD, arguments[0]
#define SECOND AT_FDCWD, arguments[1]
#define AT_FIRST (int)arguments[0], arguments[1]

static uint32_t after_umask(const struct process *process, uint64_t mode)
{
	return (uint32_t)mode & ~process->attributes.umask;
}

/*
 * Making.
 */

static int64_t make_directory(struct process *process, int dirfd, uint64_t address, uint64_t mode)
{
	struct place_view view = lookup_view(process, KVMSB_ACCESS_CREATE);
	struct path path;
	int error = lookup_path(&view, dirfd, address, &path);

	return error ? error : place_make_directory(&view, &path, after_umask(process, mode));
}

int64_t sys_mkdir(struct process *process, const uint64_t arguments[6])
{
	return make_directory(process, FIRST, arguments[1]);
}

int64_t sys_mkdirat(struct process *process, const uint64_t arguments[6])
{
	return make_directory(process, AT_FIRST, arguments[2]);
}

/* man 2 mknod: EPERM for a type that the file system does not have, after the path. */
static int64_t make_node(struct process *process, int dirfd, uint64_t address, uint64_t mode)
{
	struct place_view view = lookup_view(process, KVMSB_ACCESS_CREATE);
	uint32_t type = (uint32_t)mode & S_IFMT;
	struct path path;
	int error = lookup_path(&view, dirfd, address, &path);

	if (error)
		return error;
	if (type == 0 || type == S_IFREG)
		return place_make_file(&view, &path, after_umask(process, mode));
	error = place_check_create(&view, &path);
	if (error)
		return error;
	return S_ISCHR(mode) || S_ISBLK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode) || S_ISDIR(mode)
	               ? -EPERM
	               : -EINVAL;
}

int64_t sys_mknod(struct process *process, const uint64_t arguments[6])
{
	return make_node(process, FIRST, arguments[1]);
}

int64_t sys_mknodat(struct process *process, const uint64_t arguments[6])
{
	return make_node(process, AT_FIRST, arguments[2]);
}

/* The target is text only. */
static int64_t make_link(struct process *process, uint64_t target, int dirfd, uint64_t address)
{
	struct place_view view = lookup_view(process, KVMSB_ACCESS_CREATE);
	char text[PATH_SIZE];
	struct path path;
	int64_t length = guest_read_string(process, target, text, sizeof(text));
	int error;

	if (length <= 0)
		return length < 0 ? length : -ENOENT;
	error = lookup_path(&view, dirfd, address, &path);
	return error ? error : place_make_link(&view, &path, text);
}

int64_t sys_symlink(struct process *process, const uint64_t arguments[6])
{
	return make_link(process, arguments[0], SECOND);
}

int64_t sys_symlinkat(struct process *process, const uint64_t arguments[6])
{
	return make_link(process, arguments[0], (int)arguments[1], arguments[2]);
}

/*
 * Removing.
 */

static int64_t remove_name(struct process *process, int dirfd, uint64_t address, bool directory)
{
	struct place_view view = lookup_view(process, KVMSB_ACCESS_REMOVE);
	struct path path;
	int error = lookup_path(&view, dirfd, address, &path);

	return error ? error : place_remove(&view, &path, directory);
}

int64_t sys_unlink(struct process *process, const uint64_t arguments[6])
{
	return remove_name(process, FIRST, false);
}

int64_t sys_rmdir(struct process *process, const uint64_t arguments[6])
{
	return remove_name(process, FIRST, true);
}

int64_t sys_unlinkat(struct process *process, const uint64_t arguments[6])
{
	uint32_t flags = (uint32_t)arguments[2];

	if (flags & ~(uint32_t)AT_REMOVEDIR)
		return -EINVAL;
	return remove_name(process, AT_FIRST, flags & AT_REMOVEDIR);
}

/*
 * Two names.
 */

struct two_names {
	struct place_view from_view, to_view;
	struct path from, to;
};

static int look_up_two(struct process *process, struct two_names *names, int from_dirfd,
                       uint64_t from, int to_dirfd, uint64_t to)
{
	int error = lookup_path(&names->from_view, from_dirfd, from, &names->from);

	(void)process;
	return error ? error : lookup_path(&names->to_view, to_dirfd, to, &names->to);
}

static int64_t rename_names(struct process *process, int from_dirfd, uint64_t from, int to_dirfd,
                            uint64_t to, uint64_t flags)
{
	uint32_t both = flags & RENAME_EXCHANGE ? KVMSB_ACCESS_CREATE | KVMSB_ACCESS_REMOVE : 0;
	struct two_names names = {.from_view = lookup_view(process, KVMSB_ACCESS_REMOVE | both),
	                          .to_view = lookup_view(process, KVMSB_ACCESS_CREATE | both)};
	int error;

	/* RENAME_WHITEOUT makes a device. */
	if ((uint32_t)flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if ((flags & RENAME_NOREPLACE) && (flags & RENAME_EXCHANGE))
		return -EINVAL;
	error = look_up_two(process, &names, from_dirfd, from, to_dirfd, to);
	return error ? error
	             : place_rename(&names.from_view, &names.from, &names.to_view, &names.to,
	                            (uint32_t)flags);
}

int64_t sys_rename(struct process *process, const uint64_t arguments[6])
{
	return rename_names(process, FIRST, SECOND, 0);
}

int64_t sys_renameat(struct process *process, const uint64_t arguments[6])
{
	return rename_names(process, AT_FIRST, (int)arguments[2], arguments[3], 0);
}

int64_t sys_renameat2(struct process *process, const uint64_t arguments[6])
{
	return rename_names(process, AT_FIRST, (int)arguments[2], arguments[3], arguments[4]);
}

static int64_t link_names(struct process *process, int from_dirfd, uint64_t from, int to_dirfd,
                          uint64_t to, uint32_t flags)
{
	struct two_names names = {.from_view = lookup_view(process, KVMSB_ACCESS_LINK),
	                          .to_view = lookup_view(process, KVMSB_ACCESS_CREATE)};
	int error;

	/* AT_EMPTY_PATH needs CAP_DAC_READ_SEARCH: without it, an empty path is -ENOENT. */
	if (flags & ~(uint32_t)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	error = look_up_two(process, &names, from_dirfd, from, to_dirfd, to);
	return error ? error
	             : place_link(&names.from_view, &names.from, &names.to_view, &names.to,
	                          flags & AT_SYMLINK_FOLLOW);
}

int64_t sys_link(struct process *process, const uint64_t arguments[6])
{
	return link_names(process, FIRST, SECOND, 0);
}

int64_t sys_linkat(struct process *process, const uint64_t arguments[6])
{
	return link_names(process, AT_FIRST, (int)arguments[2], arguments[3], (uint32_t)arguments[4]);
}

/*
 * What is found by a path, or is open.
 */

static int find(struct process *process, int dirfd, uint64_t address, unsigned flags,
                struct place *place)
{
	struct place_view view = lookup_view(process, KVMSB_ACCESS_WRITE);

	return lookup_place(&view, dirfd, address, flags, place);
}

/* man 2 open, O_PATH: what changes the file fails. */
static int find_open(struct process *process, int fd, struct place *place)
{
	const struct open_file *open = files_look(process, fd);

	if (!open || open->file->kind == FILE_PATH)
		return -EBADF;
	return lookup_descriptor(process, fd, place);
}

static int64_t set_mode(int error, struct place *place, uint64_t mode)
{
	if (error)
		return error;
	error = place_set_mode(place, (uint32_t)mode);
	place_close(place);
	return error;
}

int64_t sys_chmod(struct process *process, const uint64_t arguments[6])
{
	struct place place;

	return set_mode(find(process, FIRST, 0, &place), &place, arguments[1]);
}

int64_t sys_fchmod(struct process *process, const uint64_t arguments[6])
{
	struct place place;

	return set_mode(find_open(process, (int)arguments[0], &place), &place, arguments[1]);
}

int64_t sys_fchmodat(struct process *process, const uint64_t arguments[6])
{
	struct place place;

	return set_mode(find(process, AT_FIRST, 0, &place), &place, arguments[2]);
}

/* fchmodat2(2): Linux 6.6. */
int64_t sys_fchmodat2(struct process *process, const uint64_t arguments[6])
{
	uint32_t flags = (uint32_t)arguments[3];
	struct place place;

	if (flags & ~(uint32_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return set_mode(find(process, AT_FIRST, flags, &place), &place, arguments[2]);
}

static int64_t set_owner(int error, struct place *place, const uint64_t owner[2])
{
	if (error)
		return error;
	error = place_set_owner(place, (uint32_t)owner[0], (uint32_t)owner[1]);
	place_close(place);
	return error;
}

int64_t sys_chown(struct process *process, const uint64_t arguments[6])
{
	struct place place;

	return set_owner(find(process, FIRST, 0, &place), &place, arguments + 1);
}

int64_t sys_lchown(struct process *process, const uint64_t arguments[6])
{
	struct place place;

	return set_owner(find(process, FIRST, AT_SYMLINK_NOFOLLOW, &place), &place, arguments + 1);
}

int64_t sys_fchown(struct process *process, const uint64_t arguments[6])
{
	struct place place;

	return set_owner(find_open(process, (int)arguments[0], &place), &place, arguments + 1);
}

int64_t sys_fchownat(struct process *process, const uint64_t arguments[6])
{
	uint32_t flags = (uint32_t)arguments[4];
	struct place place;

	if (flags & ~(uint32_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return set_owner(find(process, AT_FIRST, flags, &place), &place, arguments + 2);
}

/*
 * Times: man 2 utimensat, man 2 utime.
 */

static bool is_valid_time(const struct timespec *time)
{
	return time->tv_nsec == UTIME_NOW || time->tv_nsec == UTIME_OMIT ||
	       (time->tv_nsec >= 0 && time->tv_nsec < 1000000000);
}

static int64_t set_times(int error, struct place *place, const struct timespec *times)
{
	if (error)
		return error;
	error = place_set_times(place, times);
	place_close(place);
	return error;
}

int64_t sys_utimensat(struct process *process, const uint64_t arguments[6])
{
	uint32_t flags = (uint32_t)arguments[3];
	struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
	struct place place;
	int error = 0;

	if (arguments[2])
		error = guest_read(process, arguments[2], times, sizeof(times));
	if (error)
		return error;
	if (!is_valid_time(&times[0]) || !is_valid_time(&times[1]) ||
	    (flags & ~(uint32_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
		return -EINVAL;
	if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT)
		return 0;
	/* Without a path, the descriptor itself. */
	if (arguments[1] == 0)
		error = flags ? -EINVAL : find_open(process, (int)arguments[0], &place);
	else
		error = find(process, AT_FIRST, flags, &place);
	return set_times(error, &place, times);
}

/* Two struct timeval, or NULL for now. */
static int64_t set_times_of(struct process *process, int dirfd, uint64_t path, uint64_t address)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
	int64_t values[4];
	struct place place;
	int error = address ? guest_read(process, address, values, sizeof(values)) : 0;

	if (error)
		return error;
	for (int i = 0; address && i < 2; i++) {
		if (values[2 * i + 1] < 0 || values[2 * i + 1] >= 1000000)
			return -EINVAL;
		times[i] = (struct timespec){values[2 * i], values[2 * i + 1] * 1000};
	}
	return set_times(find(process, dirfd, path, 0, &place), &place, times);
}

int64_t sys_utimes(struct process *process, const uint64_t arguments[6])
{
	return set_times_of(process, FIRST, arguments[1]);
}

int64_t sys_futimesat(struct process *process, const uint64_t arguments[6])
{
	return set_times_of(process, AT_FIRST, arguments[2]);
}

/* struct utimbuf: whole seconds. */
int64_t sys_utime(struct process *process, const uint64_t arguments[6])
{
	struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
	int64_t seconds[2];
	struct place place;
	int error = arguments[1] ? guest_read(process, arguments[1], seconds, sizeof(seconds)) : 0;

	if (error)
		return error;
	for (int i = 0; arguments[1] && i < 2; i++)
		times[i] = (struct timespec){seconds[i], 0};
	return set_times(find(process, FIRST, 0, &place), &place, times);
}

/*
 * Sizes.
 */

/* Open for writing, for calls that change a file's content without a buffer. */
static int find_writable(struct process *process, int fd, int otherwise, struct file **file)
{
	const struct open_file *open = files_look(process, fd);

	if (!open || open->file->kind == FILE_PATH)
		return -EBADF;
	if ((open->flags & O_ACCMODE) == O_RDONLY)
		return otherwise;
	*file = open->file;
	return 0;
}

int64_t sys_truncate(struct process *process, const uint64_t arguments[6])
{
	struct place_view view = lookup_view(process, KVMSB_ACCESS_WRITE);
	struct file *file;
	struct path path;
	int error, own;

	if ((int64_t)arguments[1] < 0)
		return -EINVAL;
	error = lookup_path(&view, FIRST, &path);
	if (!error)
		error = place_open(&view, &path, O_WRONLY, 0, &file, &own);
	if (error == PLACE_OWN) {
		error = find_writable(process, own, -EACCES, &file);
		return error ? error : file_truncate(process, file, arguments[1]);
	}
	if (error)
		return error;
	error = file_truncate(process, file, arguments[1]);
	file_release(file);
	return error;
}

int64_t sys_ftruncate(struct process *process, const uint64_t arguments[6])
{
	struct file *file;
	int error;

	if ((int64_t)arguments[1] < 0)
		return -EINVAL;
	error = find_writable(process, (int)arguments[0], -EINVAL, &file);
	return error ? error : file_truncate(process, file, arguments[1]);
}

/* In the order of fs/open.c vfs_fallocate(). */
int64_t sys_fallocate(struct process *process, const uint64_t arguments[6])
{
	const uint32_t known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE |
	                       FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_ZERO_RANGE |
	                       FALLOC_FL_INSERT_RANGE | FALLOC_FL_UNSHARE_RANGE;
	const struct open_file *open = files_look(process, (int)arguments[0]);
	struct file *file;
	int error;

	if (!open || open->file->kind == FILE_PATH)
		return -EBADF;
	if ((int64_t)arguments[2] < 0 || (int64_t)arguments[3] <= 0)
		return -EINVAL;
	if ((uint32_t)arguments[1] & ~known)
		return -EOPNOTSUPP;
	error = find_writable(process, (int)arguments[0], -EBADF, &file);
	if (error)
		return error;
	return file_allocate(process, file, (uint32_t)arguments[1], arguments[2], arguments[3]);
}

static int64_t write_back(struct process *process, int fd, bool data_only)
{
	const struct open_file *open = files_look(process, fd);

	if (!open || open->file->kind == FILE_PATH)
		return -EBADF;
	return file_sync(open->file, data_only);
}

int64_t sys_fsync(struct process *process, const uint64_t arguments[6])
{
	return write_back(process, (int)arguments[0], false);
}

int64_t sys_fdatasync(struct process *process, const uint64_t arguments[6])
{
	return write_back(process, (int)arguments[0], true);
}

/*
 * Extended attributes: man 2 getxattr, ENOTSUP; where nothing may be changed,
 * setting them fails for that first.
 */

static int64_t no_attributes(struct process *process, uint64_t address, unsigned flags)
{
	struct place_view view = lookup_view(process, KVMSB_ACCESS_LOOK);
	struct place place;
	int error = lookup_place(&view, AT_FDCWD, address, flags, &place);

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

/* man 2 open_by_handle_at: the file system has no handles, and nobody may use one. */
int64_t sys_name_to_handle_at(struct process *process, const uint64_t arguments[6])
{
	struct place_view view = lookup_view(process, KVMSB_ACCESS_LOOK);
	uint32_t flags = (uint32_t)arguments[4];
	struct place place;
	int error;

	if (flags & ~(uint32_t)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	error = lookup_place(&view, (int)arguments[0], arguments[1],
	                     (flags & AT_EMPTY_PATH) |
	                             (flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW),
	                     &place);
	if (error)
		return error;
	place_close(&place);
	return -EOPNOTSUPP;
}

int64_t sys_no_attributes_of(struct process *process, const uint64_t arguments[6])
{
	return files_look(process, (int)arguments[0]) ? -EOPNOTSUPP : -EBADF;
}

static int64_t refuse_attributes(int error, struct place *place)
{
	if (error)
		return error;
	error = place_check_change(place);
	place_close(place);
	return error ? error : -EOPNOTSUPP;
}

int64_t sys_set_attributes(struct process *process, const uint64_t arguments[6])
{
	struct place place;

	return refuse_attributes(find(process, FIRST, 0, &place), &place);
}

int64_t sys_set_attributes_of_link(struct process *process, const uint64_t arguments[6])
{
	struct place place;

	return refuse_attributes(find(process, FIRST, AT_SYMLINK_NOFOLLOW, &place), &place);
}

int64_t sys_set_attributes_of(struct process *process, const uint64_t arguments[6])
{
	struct place place;

	return refuse_attributes(find_open(process, (int)arguments[0], &place), &place);
}
