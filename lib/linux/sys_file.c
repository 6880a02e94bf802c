/* SPDX-License-Identifier: MIT */
/*
 * System calls that make, copy, set and close descriptors, each as its manual
 * page in section 2 has it.
 */
#include "file_change.h"
#include "files.h"
#include "handlers.h"
#include "lookup.h"
#include "memory_file.h"
#include "mm.h"
#include "pipe.h"

#include "../util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

/*
 * Opening.
 */

/* Status flags that fcntl(2) F_GETFL shows. The rest acts once, at open(2). */
#define FLAGS_KEPT                                                                                 \
	(uint32_t)(O_ACCMODE | O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | O_PATH |             \
	           O_DIRECTORY | O_NOFOLLOW | O_SYNC | O_CLOEXEC)

/* man 2 open: with O_PATH, all but these are ignored. */
#define FLAGS_OF_PATH (uint32_t)(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* x86-64 programs are built with O_LARGEFILE 0 but see the kernel's own bit. */
#define FLAG_LARGEFILE 0100000u

/* A path that names one of the process's own descriptors: the same file once more. */
static int64_t open_own(struct process *process, int fd, uint32_t flags)
{
	const struct open_file *open = files_look(process, fd);
	uint32_t mode, wanted = flags & O_ACCMODE;

	if (!open)
		return -ENOENT;
	/* Of what has no path, only pipes can be opened again: Linux fs/inode.c no_open(). */
	if (open->file->kind == FILE_EVENT || open->file->kind == FILE_EPOLL)
		return -ENXIO;
	mode = open->flags & O_ACCMODE;
	if (mode != wanted && mode != O_RDWR)
		return -EACCES;
	if ((flags & O_DIRECTORY) && !file_is_directory(open->file))
		return -ENOTDIR;
	if ((flags & O_TRUNC) && open->file->kind == FILE_REGULAR) {
		int error = mode == O_RDONLY ? -EACCES : file_truncate(process, open->file, 0);

		if (error)
			return error;
	}
	/* The reference that the new descriptor takes must be of a table of its own. */
	if (files_make_own(process))
		return -ENOMEM;
	return files_install(process, file_reference(files_get(process, fd)), flags & FLAGS_KEPT);
}

/* What the host is asked for. */
static uint32_t access_of(uint32_t flags)
{
	static const uint32_t modes[] = {[O_RDONLY] = KVMSB_ACCESS_READ,
	                                 [O_WRONLY] = KVMSB_ACCESS_WRITE,
	                                 [O_RDWR] = KVMSB_ACCESS_READ | KVMSB_ACCESS_WRITE,
	                                 [O_ACCMODE] = 0};

	if (flags & O_PATH)
		return KVMSB_ACCESS_LOOK;
	return modes[flags & O_ACCMODE] | (flags & O_TRUNC ? KVMSB_ACCESS_WRITE : 0) |
	       (flags & O_CREAT ? KVMSB_ACCESS_CREATE : 0);
}

static int64_t open_path(struct process *process, const struct place_view *view, struct path *path,
                         uint32_t flags, uint32_t mode)
{
	struct file *file;
	int own;
	/* Before anything is made or emptied. */
	int error = files_have_room(process);

	if (!error)
		error = place_open(view, path, flags, mode & ~process->attributes.umask, &file, &own);
	if (error == PLACE_OWN)
		return open_own(process, own, flags);
	if (error)
		return error;
	flags &= FLAGS_KEPT & ~(uint32_t)(flags & O_PATH ? 0 : O_DIRECTORY | O_NOFOLLOW);
	return files_install(process, file, flags);
}

static int64_t open_at(struct process *process, int dirfd, uint64_t address,
                       const struct open_how *how)
{
	uint32_t flags = (uint32_t)how->flags;
	struct place_view view = lookup_view(process, access_of(flags));
	struct path path;
	int error = 0;

	view.resolve = how->resolve;
	if (view.resolve)
		error = lookup_base(process, dirfd, &view.root);
	if (!error)
		error = lookup_path(&view, dirfd, address, &path);
	if (error)
		return error;
	if ((flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	if (flags & O_PATH)
		flags &= FLAGS_OF_PATH;
	return open_path(process, &view, &path, flags, (uint32_t)how->mode);
}

static int64_t open_plainly(struct process *process, int dirfd, uint64_t address, uint64_t flags,
                            uint64_t mode)
{
	struct open_how how = {.flags = (uint32_t)flags, .mode = (uint32_t)mode};

	return open_at(process, dirfd, address, &how);
}

int64_t sys_open(struct process *process, const uint64_t arguments[6])
{
	return open_plainly(process, AT_FDCWD, arguments[0], arguments[1], arguments[2]);
}

int64_t sys_creat(struct process *process, const uint64_t arguments[6])
{
	return open_plainly(process, AT_FDCWD, arguments[0], O_CREAT | O_WRONLY | O_TRUNC,
	                    arguments[1]);
}

int64_t sys_openat(struct process *process, const uint64_t arguments[6])
{
	return open_plainly(process, (int)arguments[0], arguments[1], arguments[2], arguments[3]);
}

/* The tail of a struct that is larger than the one we know must be zero. */
static int check_tail(struct process *process, uint64_t address, uint64_t length)
{
	uint8_t tail[256];
	int error;

	if (length > sizeof(tail))
		return -E2BIG;
	error = guest_read(process, address, tail, length);
	for (uint64_t i = 0; !error && i < length; i++)
		error = tail[i] ? -E2BIG : 0;
	return error;
}

#define RESOLVE_KNOWN                                                                              \
	(RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH |         \
	 RESOLVE_IN_ROOT | RESOLVE_CACHED)

static bool is_valid_how(const struct open_how *how)
{
	if (how->flags > UINT32_MAX || how->mode > 07777 || (how->resolve & ~(uint64_t)RESOLVE_KNOWN))
		return false;
	if (how->mode && !(how->flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))))
		return false;
	return (how->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) !=
	       (RESOLVE_BENEATH | RESOLVE_IN_ROOT);
}

int64_t sys_openat2(struct process *process, const uint64_t arguments[6])
{
	struct open_how how;
	int error;

	if (arguments[3] < sizeof(how))
		return -EINVAL;
	error = check_tail(process, arguments[2] + sizeof(how), arguments[3] - sizeof(how));
	if (!error)
		error = guest_read(process, arguments[2], &how, sizeof(how));
	if (error)
		return error;
	if (!is_valid_how(&how))
		return -EINVAL;
	/* What may be answered always: nothing is known to be cached. */
	if (how.resolve & RESOLVE_CACHED)
		return -EAGAIN;
	return open_at(process, (int)arguments[0], arguments[1], &how);
}

/*
 * Pipes.
 */

static struct file *create_pipe_file(const struct process *process)
{
	struct pipe *pipe = pipe_create();
	struct file *file = pipe ? file_create_pipe(pipe) : NULL;

	if (file)
		file->number = files_new_number(process);
	else
		pipe_destroy(pipe);
	return file;
}

static int64_t install_pipe(struct process *process, uint32_t flags, int32_t ends[2])
{
	struct file *file = create_pipe_file(process);

	if (!file)
		return -ENOMEM;
	file_reference(file);
	ends[0] = files_install(process, file, flags | O_RDONLY);
	if (ends[0] < 0) {
		file_release(file);
		return ends[0];
	}
	ends[1] = files_install(process, file, flags | O_WRONLY);
	if (ends[1] < 0) {
		files_close(process, ends[0]);
		return ends[1];
	}
	return 0;
}

static int64_t make_pipe(struct process *process, uint64_t address, uint32_t flags)
{
	int32_t ends[2];
	int64_t error;

	if (flags & ~(uint32_t)(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
		return -EINVAL;
	/* Packet mode, man 2 pipe. */
	if (flags & O_DIRECT)
		return -EINVAL;
	error = install_pipe(process, flags, ends);
	if (error)
		return error;
	error = guest_write(process, address, ends, sizeof(ends));
	if (error) {
		files_close(process, ends[0]);
		files_close(process, ends[1]);
	}
	return error;
}

int64_t sys_pipe(struct process *process, const uint64_t arguments[6])
{
	return make_pipe(process, arguments[0], 0);
}

int64_t sys_pipe2(struct process *process, const uint64_t arguments[6])
{
	return make_pipe(process, arguments[0], (uint32_t)arguments[1]);
}

/*
 * eventfd(2)
 */

static int64_t make_event(struct process *process, uint32_t count, uint32_t flags)
{
	struct file *file;

	if (flags & ~(uint32_t)(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK))
		return -EINVAL;
	file = file_create(FILE_EVENT, -1, "");
	if (!file)
		return -ENOMEM;
	file->event = (struct event){.count = count, .semaphore = flags & EFD_SEMAPHORE};
	file->number = files_new_number(process);
	return files_install(process, file, (flags & (EFD_CLOEXEC | EFD_NONBLOCK)) | O_RDWR);
}

int64_t sys_eventfd(struct process *process, const uint64_t arguments[6])
{
	return make_event(process, (uint32_t)arguments[0], 0);
}

int64_t sys_eventfd2(struct process *process, const uint64_t arguments[6])
{
	return make_event(process, (uint32_t)arguments[0], (uint32_t)arguments[1]);
}

/*
 * Closing and duplicating.
 */

/* Of what has no name any more, the last descriptor may have been this. */
static int close_descriptor(struct process *process, int fd)
{
	const struct file *file = files_get(process, fd);
	uint64_t inode = file ? file->inode : 0;
	int error = files_close(process, fd);

	if (!error)
		memory_collect(process, inode);
	return error;
}

int64_t sys_close(struct process *process, const uint64_t arguments[6])
{
	return close_descriptor(process, (int)arguments[0]);
}

int64_t sys_close_range(struct process *process, const uint64_t arguments[6])
{
	uint32_t first = (uint32_t)arguments[0], last = (uint32_t)arguments[1];
	uint32_t flags = (uint32_t)arguments[2];
	int error = 0;

	/* CLOSE_RANGE_UNSHARE: nobody shares the table. */
	if (first > last || (flags & ~(uint32_t)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)))
		return -EINVAL;
	for (uint32_t fd = first; fd <= last && fd < FILES_MAXIMUM && !error; fd++) {
		if (!files_look(process, (int)fd))
			continue;
		if (flags & CLOSE_RANGE_CLOEXEC)
			error = files_set_close_on_exec(process, (int)fd, true);
		else
			error = close_descriptor(process, (int)fd);
	}
	return error;
}

int64_t sys_dup(struct process *process, const uint64_t arguments[6])
{
	return files_duplicate(process, (int)arguments[0], 0, false);
}

static int duplicate_to(struct process *process, int fd, int to, bool close_on_exec)
{
	const struct file *replaced = files_get(process, to);
	uint64_t inode = replaced ? replaced->inode : 0;
	int result = files_duplicate_to(process, fd, to, close_on_exec);

	if (result >= 0)
		memory_collect(process, inode);
	return result;
}

int64_t sys_dup2(struct process *process, const uint64_t arguments[6])
{
	int fd = (int)arguments[0], to = (int)arguments[1];

	if (fd == to)
		return files_look(process, fd) ? to : -EBADF;
	return duplicate_to(process, fd, to, false);
}

int64_t sys_dup3(struct process *process, const uint64_t arguments[6])
{
	int fd = (int)arguments[0], to = (int)arguments[1];
	uint32_t flags = (uint32_t)arguments[2];

	if ((flags & ~(uint32_t)O_CLOEXEC) || fd == to)
		return -EINVAL;
	return duplicate_to(process, fd, to, flags & O_CLOEXEC);
}

/*
 * fcntl(2)
 */

#define FLAGS_SETTABLE (uint32_t)(O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)

static int64_t set_status_flags(struct process *process, int fd, uint32_t flags)
{
	struct open_file *open;
	int error = files_change(process, fd, &open);

	if (!error)
		open->flags = (open->flags & ~FLAGS_SETTABLE) | (flags & FLAGS_SETTABLE);
	return error;
}

/* Linux fs/locks.c flock64_to_posix_lock(): where the range begins and ends. */
static int check_range(const struct open_file *open, const struct flock *lock)
{
	uint64_t size = 0;
	int64_t start, end;
	int error = 0;

	switch (lock->l_whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		size = open->offset;
		break;
	case SEEK_END:
		error = file_size(open->file, &size);
		break;
	default:
		return -EINVAL;
	}
	if (error)
		return error;
	if (__builtin_add_overflow((int64_t)size, lock->l_start, &start))
		return -EOVERFLOW;
	if (start < 0)
		return -EINVAL;
	if (lock->l_len > 0 && __builtin_add_overflow(start, lock->l_len - 1, &end))
		return -EOVERFLOW;
	return lock->l_len < 0 && (lock->l_len == INT64_MIN || start + lock->l_len < 0) ? -EINVAL : 0;
}

/* The table of open file descriptions' locks has no owner: man 2 fcntl, F_OFD_SETLK. */
static int read_lock(struct process *process, const struct open_file *open,
                     const uint64_t arguments[6], struct flock *lock)
{
	int command = (int)arguments[1];
	int error = guest_read(process, arguments[2], lock, sizeof(*lock));

	if (error)
		return error;
	if ((command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW) &&
	    lock->l_pid != 0)
		return -EINVAL;
	return check_range(open, lock);
}

/* There is nobody else to hold a lock, so every one is free. */
static int64_t get_lock(struct process *process, const struct open_file *open,
                        const uint64_t arguments[6])
{
	struct flock lock;
	uint64_t address = arguments[2];
	int error = read_lock(process, open, arguments, &lock);

	if (error)
		return error;
	if (lock.l_type != F_RDLCK && lock.l_type != F_WRLCK)
		return -EINVAL;
	lock.l_type = F_UNLCK;
	return guest_write(process, address, &lock, sizeof(lock));
}

static int64_t set_lock(struct process *process, const struct open_file *open,
                        const uint64_t arguments[6])
{
	uint32_t mode = open->flags & O_ACCMODE;
	struct flock lock;
	int error = read_lock(process, open, arguments, &lock);

	if (error)
		return error;
	if (lock.l_type != F_RDLCK && lock.l_type != F_WRLCK && lock.l_type != F_UNLCK)
		return -EINVAL;
	if ((lock.l_type == F_RDLCK && mode == O_WRONLY) ||
	    (lock.l_type == F_WRLCK && mode == O_RDONLY))
		return -EBADF;
	return 0;
}

static int64_t pipe_size(const struct open_file *open, int command, uint64_t size)
{
	if (open->file->kind != FILE_PIPE)
		return -EBADF;
	if (command == F_SETPIPE_SZ && size > INT32_MAX)
		return -EINVAL;
	return command == F_SETPIPE_SZ && size > PIPE_CAPACITY ? -EPERM : (int64_t)PIPE_CAPACITY;
}

/* man 2const F_GET_SEALS: only files in memory have them. */
static int64_t get_seals(const struct process *process, const struct open_file *open)
{
	return open->file->kind == FILE_MEMORY ? tmpfs_seals(process->tmpfs, open->file->inode)
	                                       : -EINVAL;
}

static int64_t add_seals(struct process *process, const struct open_file *open, uint32_t seals)
{
	if (open->file->kind != FILE_MEMORY)
		return -EINVAL;
	if ((open->flags & O_ACCMODE) == O_RDONLY)
		return -EPERM;
	return memory_add_seals(process, open->file, seals);
}

/* No input or output raises a signal, so that whom it goes to is only checked: man 2 fcntl, F_SETOWN. */
static int64_t check_owner(int32_t id)
{
	if (id == INT32_MIN)
		return -EINVAL;
	return id == 0 || id == PROCESS_ID || id == -PROCESS_ID ? 0 : -ESRCH;
}

static int64_t control_file(struct process *process, const struct open_file *open,
                            const uint64_t arguments[6])
{
	switch ((int)arguments[1]) {
	case F_SETFL:
		return set_status_flags(process, (int)arguments[0], (uint32_t)arguments[2]);
	case F_GETLK:
	case F_OFD_GETLK:
		return get_lock(process, open, arguments);
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return set_lock(process, open, arguments);
	case F_GETPIPE_SZ:
	case F_SETPIPE_SZ:
		return pipe_size(open, (int)arguments[1], arguments[2]);
	case F_GET_SEALS:
		return get_seals(process, open);
	case F_ADD_SEALS:
		return add_seals(process, open, (uint32_t)arguments[2]);
	case F_GETOWN:
	case F_GETSIG:
		return 0;
	case F_SETOWN:
		return check_owner((int32_t)arguments[2]);
	case F_GETLEASE:
		return F_UNLCK;
	default:
		return -EINVAL;
	}
}

int64_t sys_fcntl(struct process *process, const uint64_t arguments[6])
{
	int fd = (int)arguments[0], command = (int)arguments[1];
	const struct open_file *open = files_look(process, fd);

	if (!open)
		return -EBADF;
	switch (command) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return files_duplicate(process, fd, arguments[2], command == F_DUPFD_CLOEXEC);
	case F_GETFD:
		return files_close_on_exec(process, fd) ? FD_CLOEXEC : 0;
	case F_SETFD:
		return files_set_close_on_exec(process, fd, arguments[2] & FD_CLOEXEC);
	case F_GETFL:
		return (int64_t)(open->flags | (file_is_regular(open->file) ? FLAG_LARGEFILE : 0));
	default:
		/* man 2 open, O_PATH: all others fail. */
		return open->file->kind == FILE_PATH ? -EBADF
		                                     : control_file(process, open, arguments);
	}
}

/*
 * lseek(2)
 */

static int64_t seek_hole(const struct process *process, const struct open_file *open,
                         int64_t offset, int whence)
{
	off_t result;

	if (open->file->kind == FILE_MEMORY)
		return memory_seek(process, open->file, (uint64_t)offset, whence);
	result = lseek(open->file->descriptor, offset, whence);

	return result < 0 ? -errno : result;
}

static int64_t seek_base(const struct process *process, const struct open_file *open, int whence,
                         int64_t *base)
{
	uint64_t size;
	int error = 0;

	*base = 0;
	if (whence == SEEK_CUR)
		*base = (int64_t)open->offset;
	/* Content that is made has no end to count from: Linux fs/seq_file.c seq_lseek(). */
	if (whence == SEEK_END && open->file->kind == FILE_MADE)
		return -EINVAL;
	if (whence == SEEK_END) {
		error = files_size(process, open->file, &size);
		*base = (int64_t)size;
	}
	return error;
}

static int64_t seek(const struct process *process, const struct open_file *open, int64_t offset,
                    int whence)
{
	int64_t base, result;

	switch (whence) {
	case SEEK_DATA:
	case SEEK_HOLE:
		return file_is_regular(open->file) ? seek_hole(process, open, offset, whence)
		                                   : -EINVAL;
	case SEEK_SET:
	case SEEK_CUR:
	case SEEK_END:
		result = seek_base(process, open, whence, &base);
		if (result)
			return result;
		if (__builtin_add_overflow(base, offset, &result))
			return -EOVERFLOW;
		return result < 0 ? -EINVAL : result;
	default:
		return -EINVAL;
	}
}

int64_t sys_lseek(struct process *process, const uint64_t arguments[6])
{
	const struct open_file *open = files_look(process, (int)arguments[0]);
	struct open_file *changed;
	int64_t result;
	int error;

	if (!open || open->file->kind == FILE_PATH)
		return -EBADF;
	if (open->file->kind == FILE_STREAM || open->file->kind == FILE_PIPE)
		return -ESPIPE;
	/* Devices have no position: drivers/char/mem.c null_lseek(). */
	if (!file_is_regular(open->file) && open->file->kind != FILE_MADE &&
	    !file_is_directory(open->file))
		return 0;
	result = seek(process, open, (int64_t)arguments[1], (int)arguments[2]);
	if (result < 0 || (uint64_t)result == open->offset)
		return result;
	error = files_change(process, (int)arguments[0], &changed);
	if (error)
		return error;
	changed->offset = (uint64_t)result;
	return result;
}

/*
 * ioctl(2): nothing here is a terminal.
 */

static int64_t set_nonblocking(struct process *process, int fd, uint64_t address)
{
	const struct open_file *open = files_look(process, fd);
	uint32_t flags;
	int32_t on;
	int error = guest_read(process, address, &on, sizeof(on));

	if (error)
		return error;
	flags = open->flags & ~(uint32_t)O_NONBLOCK;
	return set_status_flags(process, fd, on ? flags | O_NONBLOCK : flags);
}

static int64_t get_readable(struct process *process, const struct open_file *open, uint64_t address)
{
	uint64_t size = 0;
	int32_t count;
	int error = 0;

	if (open->file->kind == FILE_PIPE)
		size = open->file->pipe->length;
	else if (file_is_regular(open->file))
		error = files_size(process, open->file, &size);
	else
		return -ENOTTY;
	if (error)
		return error;
	if (file_is_regular(open->file))
		size = size > open->offset ? size - open->offset : 0;
	count = (int32_t)min_u64(size, INT32_MAX);
	return guest_write(process, address, &count, sizeof(count));
}

int64_t sys_ioctl(struct process *process, const uint64_t arguments[6])
{
	int fd = (int)arguments[0];
	const struct open_file *open = files_look(process, fd);

	if (!open || open->file->kind == FILE_PATH)
		return -EBADF;
	switch ((uint32_t)arguments[1]) {
	case FIOCLEX:
	case FIONCLEX:
		return files_set_close_on_exec(process, fd, (uint32_t)arguments[1] == FIOCLEX);
	case FIONBIO:
		return set_nonblocking(process, fd, arguments[2]);
	case FIONREAD:
		return get_readable(process, open, arguments[2]);
	default:
		return -ENOTTY;
	}
}

/*
 * Advice and locks.
 */

int64_t sys_fadvise64(struct process *process, const uint64_t arguments[6])
{
	const struct open_file *open = files_look(process, (int)arguments[0]);

	if (!open || open->file->kind == FILE_PATH)
		return -EBADF;
	if (open->file->kind == FILE_PIPE || open->file->kind == FILE_STREAM)
		return -ESPIPE;
	if ((int64_t)arguments[2] < 0 || (uint32_t)arguments[3] > POSIX_FADV_NOREUSE)
		return -EINVAL;
	return 0;
}

int64_t sys_readahead(struct process *process, const uint64_t arguments[6])
{
	const struct open_file *open = files_look(process, (int)arguments[0]);

	if (!open || (open->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	return file_is_regular(open->file) ? 0 : -EINVAL;
}

int64_t sys_flock(struct process *process, const uint64_t arguments[6])
{
	const struct open_file *open = files_look(process, (int)arguments[0]);
	int operation = (int)arguments[1] & ~LOCK_NB;

	if (operation != LOCK_SH && operation != LOCK_EX && operation != LOCK_UN)
		return -EINVAL;
	return open && open->file->kind != FILE_PATH ? 0 : -EBADF;
}

int64_t sys_sync(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	(void)arguments;
	return 0;
}

int64_t sys_sync_file_range(struct process *process, const uint64_t arguments[6])
{
	const struct open_file *open = files_look(process, (int)arguments[0]);
	const uint32_t known = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
	                       SYNC_FILE_RANGE_WAIT_AFTER;

	if (!open || open->file->kind == FILE_PATH)
		return -EBADF;
	if (((uint32_t)arguments[3] & ~known) || !range_within(arguments[1], arguments[2], INT64_MAX))
		return -EINVAL;
	return open->file->kind == FILE_REGULAR || file_is_directory(open->file) ? 0 : -ESPIPE;
}

int64_t sys_syncfs(struct process *process, const uint64_t arguments[6])
{
	const struct open_file *open = files_look(process, (int)arguments[0]);

	return open && open->file->kind != FILE_PATH ? 0 : -EBADF;
}
