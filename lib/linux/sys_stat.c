/* SPDX-License-Identifier: MIT */
/*
 * System calls that look at the file system: stat and access families,
 * readlink, getdents64, the current directory. Each as its manual page in
 * section 2 has it; what a path is comes from lookup.h, that is after the
 * policy.
 */
#include "files.h"
#include "handlers.h"
#include "input_output.h"
#include "lookup.h"
#include "memory_place.h"
#include "mm.h"
#include "tmpfs.h"

#include "../util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(sizeof(struct stat) == 144, "struct stat is the kernel's");
_Static_assert(sizeof(struct statfs) == 120, "struct statfs is the kernel's");
_Static_assert(sizeof(struct statx) == 256, "struct statx is the kernel's");

/*
 * stat
 */

static int64_t give_stat(struct process *process, struct place *place, uint64_t address)
{
	struct stat status;
	int error = place_stat(place, &status);

	place_close(place);
	return error ? error : guest_write(process, address, &status, sizeof(status));
}

static int64_t stat_at(struct process *process, int dirfd, uint64_t path, uint64_t address,
                       unsigned flags)
{
	struct place_view view = lookup_view(process, KVMSB_ACCESS_LOOK);
	struct place place;
	int error = lookup_place(&view, dirfd, path, flags, &place);

	return error ? error : give_stat(process, &place, address);
}

int64_t sys_stat(struct process *process, const uint64_t arguments[6])
{
	return stat_at(process, AT_FDCWD, arguments[0], arguments[1], 0);
}

int64_t sys_lstat(struct process *process, const uint64_t arguments[6])
{
	return stat_at(process, AT_FDCWD, arguments[0], arguments[1], AT_SYMLINK_NOFOLLOW);
}

int64_t sys_fstat(struct process *process, const uint64_t arguments[6])
{
	struct place place;
	int error = lookup_descriptor(process, (int)arguments[0], &place);

	return error ? error : give_stat(process, &place, arguments[1]);
}

int64_t sys_newfstatat(struct process *process, const uint64_t arguments[6])
{
	uint32_t flags = (uint32_t)arguments[3];

	if (flags & ~(uint32_t)(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH))
		return -EINVAL;
	return stat_at(process, (int)arguments[0], arguments[1], arguments[2], flags);
}

/*
 * statx
 */

static struct statx_timestamp timestamp(struct timespec time)
{
	return (struct statx_timestamp){.tv_sec = time.tv_sec, .tv_nsec = (uint32_t)time.tv_nsec};
}

/* Of what the host has no file for. */
static int make_statx(const struct place *place, struct statx *status)
{
	struct stat source;
	int error = place_stat(place, &source);

	*status = (struct statx){
		.stx_mask = STATX_BASIC_STATS,
		.stx_blksize = (uint32_t)source.st_blksize,
		.stx_nlink = (uint32_t)source.st_nlink,
		.stx_mode = (uint16_t)source.st_mode,
		.stx_ino = source.st_ino,
		.stx_uid = source.st_uid,
		.stx_gid = source.st_gid,
		.stx_size = (uint64_t)source.st_size,
		.stx_blocks = (uint64_t)source.st_blocks,
		.stx_atime = timestamp(source.st_atim),
		.stx_mtime = timestamp(source.st_mtim),
		.stx_ctime = timestamp(source.st_ctim),
		.stx_rdev_major = (uint32_t)(source.st_rdev >> 8),
		.stx_rdev_minor = (uint32_t)(source.st_rdev & 0xff),
		.stx_dev_minor = (uint32_t)source.st_dev,
	};
	return error;
}

static int place_statx(const struct place *place, uint32_t flags, uint32_t mask, struct statx *status)
{
	if (place->kind != PLACE_HOST)
		return make_statx(place, status);
	flags = (flags & AT_STATX_SYNC_TYPE) | AT_EMPTY_PATH;
	return syscall(SYS_statx, place->descriptor, "", flags, mask, status) ? -errno : 0;
}

int64_t sys_statx(struct process *process, const uint64_t arguments[6])
{
	struct place_view view = lookup_view(process, KVMSB_ACCESS_LOOK);
	uint32_t flags = (uint32_t)arguments[2], mask = (uint32_t)arguments[3];
	struct statx status;
	struct place place;
	int error;

	if ((flags & ~(uint32_t)(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH |
	                         AT_STATX_SYNC_TYPE)) ||
	    (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE || (mask & STATX__RESERVED))
		return -EINVAL;
	error = lookup_place(&view, (int)arguments[0], arguments[1], flags, &place);
	if (error)
		return error;
	error = place_statx(&place, flags, mask, &status);
	place_close(&place);
	return error ? error : guest_write(process, arguments[4], &status, sizeof(status));
}

/*
 * statfs
 */

static int64_t give_statfs(struct process *process, struct place *place, uint64_t address)
{
	struct statfs status;
	int error = place_statfs(place, &status);

	place_close(place);
	return error ? error : guest_write(process, address, &status, sizeof(status));
}

int64_t sys_statfs(struct process *process, const uint64_t arguments[6])
{
	struct place_view view = lookup_view(process, KVMSB_ACCESS_LOOK);
	struct place place;
	int error = lookup_place(&view, AT_FDCWD, arguments[0], 0, &place);

	return error ? error : give_statfs(process, &place, arguments[1]);
}

int64_t sys_fstatfs(struct process *process, const uint64_t arguments[6])
{
	struct place place;
	int error = lookup_descriptor(process, (int)arguments[0], &place);

	return error ? error : give_statfs(process, &place, arguments[1]);
}

/*
 * access
 */

/* A host without faccessat2(2) (before 5.8) cannot tell; open(2) will. */
static int host_access(int descriptor, uint32_t mode)
{
	long result = syscall(SYS_faccessat2, descriptor, "", mode, AT_EMPTY_PATH | AT_EACCESS);

	return result && errno != ENOSYS ? -errno : 0;
}

static int rule_access(const struct place *place, uint32_t mode)
{
	if ((mode & W_OK) && !(place->access & KVMSB_PATH_WRITE))
		return -EROFS;
	return (mode & R_OK) && !(place->access & KVMSB_PATH_READ) ? -EACCES : 0;
}

static int place_access(const struct place *place, uint32_t mode)
{
	int error;

	switch (place->kind) {
	case PLACE_HOST:
		error = rule_access(place, mode);
		return error ? error : host_access(place->descriptor, mode);
	case PLACE_MEMORY:
		return tmpfs_access(place->process->tmpfs, place->inode, (int)mode);
	case PLACE_ANCESTOR:
		return mode & (R_OK | W_OK) ? -EACCES : 0;
	case PLACE_MADE:
		return (mode & W_OK) || ((mode & X_OK) && S_ISREG(place->made.mode)) ? -EACCES : 0;
	default:
		return mode & X_OK ? -EACCES : 0;
	}
}

static int64_t access_at(struct process *process, int dirfd, uint64_t path, uint32_t mode,
                         uint32_t flags)
{
	struct place_view view = lookup_view(process, KVMSB_ACCESS_LOOK);
	struct place place;
	int error;

	if (mode & ~(uint32_t)(R_OK | W_OK | X_OK))
		return -EINVAL;
	error = lookup_place(&view, dirfd, path, flags, &place);
	if (error)
		return error;
	error = place_access(&place, mode);
	place_close(&place);
	return error;
}

int64_t sys_access(struct process *process, const uint64_t arguments[6])
{
	return access_at(process, AT_FDCWD, arguments[0], (uint32_t)arguments[1], 0);
}

int64_t sys_faccessat(struct process *process, const uint64_t arguments[6])
{
	return access_at(process, (int)arguments[0], arguments[1], (uint32_t)arguments[2], 0);
}

int64_t sys_faccessat2(struct process *process, const uint64_t arguments[6])
{
	uint32_t flags = (uint32_t)arguments[3];

	if (flags & ~(uint32_t)(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return access_at(process, (int)arguments[0], arguments[1], (uint32_t)arguments[2], flags);
}

/*
 * readlink
 */

static int64_t give_text(struct process *process, const char *text, size_t length, uint64_t address,
                         uint64_t size)
{
	int error;

	length = min_u64(length, size);
	error = guest_write(process, address, text, length);
	return error ? error : (int64_t)length;
}

static int64_t read_made_link(struct process *process, const struct made_node *node,
                              uint64_t address, uint64_t size)
{
	struct text text;
	int64_t result;

	if (!S_ISLNK(node->mode))
		return -EINVAL;
	result = made_write(process, node, &text);
	if (result)
		return result;
	/* There is no program. */
	result = text.length ? give_text(process, text.data, text.length, address, size) : -ENOENT;
	text_end(&text);
	return result;
}

static int64_t read_own_link(struct process *process, int fd, uint64_t address, uint64_t size)
{
	const struct file *file = files_get(process, fd);
	char number[32];
	const char *text = number;

	snprintf(number, sizeof(number), "pipe:[%u]", file->number);
	if (file->path[0])
		text = file->path;
	else if (file->kind == FILE_EVENT)
		text = "anon_inode:[eventfd]";
	else if (file->kind == FILE_EPOLL)
		text = "anon_inode:[eventpoll]";
	return give_text(process, text, strlen(text), address, size);
}

static int64_t read_host_link(struct process *process, const struct place *place, uint64_t address,
                              uint64_t size)
{
	char target[PATH_SIZE];
	struct stat status;
	ssize_t length;
	int error = place_stat(place, &status);

	if (error)
		return error;
	if (!S_ISLNK(status.st_mode))
		return -EINVAL;
	length = readlinkat(place->descriptor, "", target, sizeof(target));
	if (length < 0)
		return -errno;
	return give_text(process, target, (size_t)length, address, size);
}

static int64_t read_memory_link(struct process *process, const struct place *place,
                                uint64_t address, uint64_t size)
{
	const char *target;
	int64_t length = tmpfs_target(process->tmpfs, place->inode, &target);

	return length < 0 ? length : give_text(process, target, (size_t)length, address, size);
}

static int64_t read_link_of(struct process *process, const struct place *place, uint64_t address,
                            uint64_t size)
{
	if (place->kind == PLACE_MADE && place->made.descriptor >= 0)
		return read_own_link(process, place->made.descriptor, address, size);
	if (place->kind == PLACE_MADE)
		return read_made_link(process, &place->made, address, size);
	if (place->kind == PLACE_HOST)
		return read_host_link(process, place, address, size);
	if (place->kind == PLACE_MEMORY)
		return read_memory_link(process, place, address, size);
	return -EINVAL;
}

/* man 2 readlink: an empty path is the descriptor itself, which O_PATH | O_NOFOLLOW may have opened. */
static int64_t read_open_link(struct process *process, int dirfd, uint64_t address, uint64_t size)
{
	struct place place;
	int64_t result;

	if (dirfd == AT_FDCWD)
		return -ENOENT;
	result = lookup_descriptor(process, dirfd, &place);
	if (result)
		return result;
	result = read_link_of(process, &place, address, size);
	place_close(&place);
	return result == -EINVAL ? -ENOENT : result;
}

static int64_t readlink_at(struct process *process, int dirfd, uint64_t path_address,
                           uint64_t address, uint64_t size)
{
	struct place_view view = lookup_view(process, KVMSB_ACCESS_LOOK);
	struct place place;
	struct path path;
	int64_t result;

	if ((int32_t)size <= 0)
		return -EINVAL;
	size = (uint32_t)size;
	result = lookup_path(&view, dirfd, path_address, &path);
	/* Of an empty path, or no link either way. */
	if (result == -ENOENT)
		return read_open_link(process, dirfd, address, size);
	if (result)
		return result;
	result = place_find(&view, &path, false, &place);
	if (result)
		return result;
	result = read_link_of(process, &place, address, size);
	place_close(&place);
	return result;
}

int64_t sys_readlink(struct process *process, const uint64_t arguments[6])
{
	return readlink_at(process, AT_FDCWD, arguments[0], arguments[1], arguments[2]);
}

int64_t sys_readlinkat(struct process *process, const uint64_t arguments[6])
{
	return readlink_at(process, (int)arguments[0], arguments[1], arguments[2], arguments[3]);
}

/*
 * getdents64
 */

/* Entries go through a copy of this size at most; a directory takes several calls anyway. */
#define DIRECTORY_CHUNK 8192u

/* What getdents64(2) stores; glibc's struct dirent64 is the same. */
#define DIRECTORY_NEXT offsetof(struct dirent64, d_off)
#define DIRECTORY_LENGTH offsetof(struct dirent64, d_reclen)

/*
 * The descriptor's position is the host's, and forks share it: it is set for every
 * call. The kernel leaves the padding of entries as it was.
 */
static int64_t host_getdents(struct file *file, uint64_t offset, void *data, uint64_t size)
{
	int64_t result = -EINVAL;

	memset(data, 0, size);
	pthread_mutex_lock(&file->lock);
	if (lseek(file->descriptor, (off_t)offset, SEEK_SET) >= 0)
		result = syscall(SYS_getdents64, file->descriptor, data, size);
	if (result < 0)
		result = -errno;
	pthread_mutex_unlock(&file->lock);
	return result;
}

/* Where the entry behind the last one is. */
static uint64_t next_offset(const uint8_t *data, uint64_t length)
{
	uint64_t at = 0, offset = 0;
	uint16_t size;

	while (range_within(at, sizeof(struct dirent64) - sizeof(((struct dirent64 *)0)->d_name),
	                    length)) {
		memcpy(&offset, data + at + DIRECTORY_NEXT, sizeof(offset));
		memcpy(&size, data + at + DIRECTORY_LENGTH, sizeof(size));
		if (size == 0)
			break;
		at += size;
	}
	return offset;
}

static int64_t list(const struct process *process, struct open_file *open, void *data,
                    uint64_t size, uint64_t *next)
{
	int64_t length;

	*next = open->offset;
	if (open->file->kind == FILE_MADE_DIRECTORY)
		return made_list(process, open->file->path, next, data, size);
	if (open->file->kind == FILE_MEMORY_DIRECTORY)
		return tmpfs_list(process->tmpfs, open->file->inode, next, data, size);
	length = host_getdents(open->file, open->offset, data, size);
	if (length > 0)
		*next = next_offset(data, (uint64_t)length);
	return length;
}

/* struct linux_dirent: of the same length, with the type in its last byte instead of before the name. */
static void make_old(uint8_t *data, uint64_t length)
{
	const size_t type = offsetof(struct dirent64, d_type);
	const size_t name = offsetof(struct dirent64, d_name);
	uint16_t size;

	for (uint64_t at = 0; at + name < length; at += size) {
		uint8_t kind = data[at + type];

		memcpy(&size, data + at + DIRECTORY_LENGTH, sizeof(size));
		memmove(data + at + type, data + at + name, size - name);
		data[at + size - 1] = kind;
	}
}

static int64_t getdents(struct process *process, const uint64_t arguments[6], bool old)
{
	uint8_t data[DIRECTORY_CHUNK] __attribute__((aligned(8)));
	struct open_file *open;
	int64_t length;
	uint64_t next;
	int error = input_output_check(process, (int)arguments[0], O_RDONLY, OFFSET_CURRENT);

	if (!error)
		error = files_change(process, (int)arguments[0], &open);
	if (error)
		return error;
	if (!file_is_directory(open->file))
		return -ENOTDIR;
	length = list(process, open, data, min_u64((uint32_t)arguments[2], sizeof(data)), &next);
	if (length <= 0)
		return length;
	if (old)
		make_old(data, (uint64_t)length);
	error = guest_write(process, arguments[1], data, (uint64_t)length);
	if (error)
		return error;
	open->offset = next;
	return length;
}

int64_t sys_getdents64(struct process *process, const uint64_t arguments[6])
{
	return getdents(process, arguments, false);
}

int64_t sys_getdents(struct process *process, const uint64_t arguments[6])
{
	return getdents(process, arguments, true);
}

/*
 * The current directory.
 */

/* man 2 getcwd, ENOENT: in memory a directory can be removed while it is the current one. */
static int check_directory(struct process *process)
{
	struct place_view view = lookup_view(process, 0);
	struct place place;
	struct path path;
	int error;

	if (!memory_holds(&view, view.directory))
		return 0;
	error = path_normalise(&path, "/", view.directory);
	if (!error)
		error = place_find_once(&view, &path, false, &place);
	return error;
}

int64_t sys_getcwd(struct process *process, const uint64_t arguments[6])
{
	const char *directory = process->files->directory;
	size_t length = strlen(directory) + 1;
	int error = check_directory(process);

	if (error)
		return error;
	if (length > arguments[1])
		return -ERANGE;
	error = guest_write(process, arguments[0], directory, length);
	return error ? error : (int64_t)length;
}

static int64_t enter(struct process *process, struct place *place, const char *directory)
{
	struct stat status;
	int error = place_stat(place, &status);

	place_close(place);
	if (error)
		return error;
	return S_ISDIR(status.st_mode) ? files_set_directory(process, directory) : -ENOTDIR;
}

int64_t sys_chdir(struct process *process, const uint64_t arguments[6])
{
	struct place_view view = lookup_view(process, KVMSB_ACCESS_LOOK);
	struct place place;
	struct path path;
	int error = lookup_path(&view, AT_FDCWD, arguments[0], &path);

	if (!error)
		error = place_find(&view, &path, true, &place);
	return error ? error : enter(process, &place, path.text);
}

/* The path goes with the descriptor's file, which a change of the table may copy. */
static int path_of_file(const struct process *process, const struct file *file, struct path *path)
{
	char moved[PATH_SIZE];
	int error;

	if (file->kind != FILE_MEMORY_DIRECTORY)
		return path_normalise(path, "/", file->path);
	error = memory_directory_path(process, file, moved);
	return error ? error : path_normalise(path, "/", moved);
}

int64_t sys_fchdir(struct process *process, const uint64_t arguments[6])
{
	struct place place;
	struct path path;
	int error = lookup_descriptor(process, (int)arguments[0], &place);

	if (error)
		return error;
	error = path_of_file(process, files_get(process, (int)arguments[0]), &path);
	if (error) {
		place_close(&place);
		return place.kind == PLACE_MEMORY ? error : -ENOTDIR;
	}
	return enter(process, &place, path.text);
}

int64_t sys_umask(struct process *process, const uint64_t arguments[6])
{
	uint32_t before = process->attributes.umask;

	process->attributes.umask = (uint32_t)arguments[0] & 0777;
	return before;
}
