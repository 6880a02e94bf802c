/* SPDX-License-Identifier: MIT */
/*
 * A file system in memory: /tmp of a sandbox, and files of memfd_create(2).
 * Pure: knows neither processes nor descriptors nor files of the host. What is
 * open is not known here, either: an inode that lost its last name stays until
 * tmpfs_forget(), so that files of the master are usable in its forks, which
 * name them by their number and see what they themselves made of them.
 *
 * A struct tmpfs is immutable while it is shared, and tmpfs_make_own() copies
 * it: a few words. A change then copies what it changes: an inode, one of its
 * chunks, the nodes of the trees above them. To share costs a reference, to put
 * back what is shared costs what was changed. Shared ones are used from
 * several threads at once.
 *
 * Everything counts against the limit of bytes: content in chunks, inodes,
 * names, the trees that hold them, shared ones too. So what one sandbox takes
 * of the host's memory is no more than that, beside what its master has.
 *
 * Functions that change take a file system that is the caller's own, and do
 * all or nothing, but for tmpfs_write(). They return 0, or -errno as the manual
 * page of the system call has it; each may fail with -ENOMEM (the host has none)
 * and, when something grows, -ENOSPC.
 * There is one user, who owns every file; the bits of the mode for the owner
 * decide (-EACCES). An inode that does not exist is -ENOENT.
 */
#ifndef KVMSB_LINUX_TMPFS_H
#define KVMSB_LINUX_TMPFS_H

#include "sparse.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <time.h>

struct tmpfs;

/* Number of the topmost directory. No inode has the number 0. */
#define TMPFS_ROOT UINT64_C(1)

#define TMPFS_NAME_MAXIMUM 255u
#define TMPFS_CHUNK_SIZE UINT64_C(4096)

struct tmpfs_options {
	uint64_t bytes;      /* at most, all counted */
	uint64_t inodes;     /* at most */
	uint32_t user, group; /* who owns everything */
	struct timespec now;
};

/* With an empty topmost directory of mode 01777. Returns 0 or -ENOMEM. */
int tmpfs_create(struct tmpfs **fs, const struct tmpfs_options *options);

/* The same once more. Any thread, as long as nobody changes it. */
struct tmpfs *tmpfs_share(struct tmpfs *fs);
void tmpfs_release(struct tmpfs *fs); /* NULL is allowed */

/*
 * Replaces *fs by a copy if it is shared. `now` is the time of changes from
 * here on. Returns 0 or -ENOMEM.
 */
int tmpfs_make_own(struct tmpfs **fs, struct timespec now);

/*
 * Names.
 */

/* Where a path leads: a directory and a name in it. */
struct tmpfs_walk {
	uint64_t directory; /* 0: the path is the topmost directory itself */
	const char *name;   /* in the path, not NUL-terminated */
	size_t length;
	uint64_t inode;     /* 0: nothing has that name */
	bool link;          /* a symbolic link that is to be followed; more of the path may come */
};

/*
 * Follows a path: "/" and names with one slash between them, no "." and "..".
 * Stops at the first symbolic link before the end, and with `follow` at one
 * that is the end. Returns 0, -ENOENT (a directory on the way does not exist),
 * -ENOTDIR, -EACCES, -ENAMETOOLONG (a name of more than 255 bytes).
 */
int tmpfs_walk(const struct tmpfs *fs, const char *path, bool follow, struct tmpfs_walk *walk);

/*
 * The path of a directory, with a NUL. Returns its length, -ENOENT (it was
 * removed), -ENOTDIR, -ENAMETOOLONG.
 */
int64_t tmpfs_path(const struct tmpfs *fs, uint64_t inode, char *text, size_t size);

/* A name in a directory. */
struct tmpfs_name {
	uint64_t directory;
	const char *text; /* need not end in a NUL */
	size_t length;
};

/*
 * What has the name now; *inode 0: nothing. Returns 0, -ENOENT (no such
 * directory), -ENOTDIR, -EACCES, -ENAMETOOLONG.
 */
int tmpfs_look_up(const struct tmpfs *fs, const struct tmpfs_name *name, uint64_t *inode);

/*
 * Makes a regular file or a directory (type in `mode`, and the permissions).
 * Further errors: -EEXIST, -EPERM (of another type).
 */
int tmpfs_make(struct tmpfs *fs, const struct tmpfs_name *name, mode_t mode, uint64_t *inode);

/* A symbolic link. Further: -EEXIST, -ENAMETOOLONG (target). */
int tmpfs_make_link(struct tmpfs *fs, const struct tmpfs_name *name, const char *target,
                    size_t length);

/* A regular file without a name (O_TMPFILE, memfd_create(2)). seals: F_SEAL_*. */
int tmpfs_make_unnamed(struct tmpfs *fs, mode_t mode, uint32_t seals, uint64_t *inode);

/* One more name for what is no directory. Further: -EEXIST, -EPERM, -EMLINK. */
int tmpfs_link(struct tmpfs *fs, uint64_t inode, const struct tmpfs_name *name);

/*
 * Removal. *orphan: the inode that has no name any more, which
 * tmpfs_forget() frees when nobody has it open; or 0. Further: -EISDIR;
 * -ENOTDIR, -ENOTEMPTY.
 */
int tmpfs_unlink(struct tmpfs *fs, const struct tmpfs_name *name, uint64_t *orphan);
int tmpfs_remove_directory(struct tmpfs *fs, const struct tmpfs_name *name, uint64_t *orphan);

/*
 * rename(2); flags: RENAME_NOREPLACE or RENAME_EXCHANGE. Further: -EINVAL (flags, or a
 * directory into itself), -EISDIR, -ENOTDIR, -ENOTEMPTY, -EEXIST.
 */
int tmpfs_rename(struct tmpfs *fs, const struct tmpfs_name *from, const struct tmpfs_name *to,
                 uint32_t flags, uint64_t *orphan);

/* Frees an inode without a name. One with a name stays. Never fails for lack of room. */
int tmpfs_forget(struct tmpfs *fs, uint64_t inode);

/* The first inode without a name from *inode on. False: there is none. */
bool tmpfs_next_orphan(const struct tmpfs *fs, uint64_t *inode);

/*
 * Entries of a directory as getdents64(2) stores them, "." and ".." first.
 * *position: 0 at the beginning; set to where the next call goes on. It names
 * the same entry as long as that exists, whatever else comes and goes.
 * Returns the bytes stored (0: the end), -EINVAL (not even one fits), -ENOTDIR.
 */
int64_t tmpfs_list(const struct tmpfs *fs, uint64_t directory, uint64_t *position, void *data,
                   size_t size);

/* Target of a symbolic link: borrowed until the next change. -EINVAL: it is none. */
int64_t tmpfs_target(const struct tmpfs *fs, uint64_t inode, const char **target);

/*
 * Attributes.
 */

int tmpfs_stat(const struct tmpfs *fs, uint64_t inode, struct stat *status);
void tmpfs_statfs(const struct tmpfs *fs, struct statfs *status);

/* Bytes that count against the limit now, and inodes. */
uint64_t tmpfs_used(const struct tmpfs *fs);
uint64_t tmpfs_inodes(const struct tmpfs *fs);

/* Whether the owner may: mask of R_OK, W_OK, X_OK. 0, -EACCES, -ENOENT. */
int tmpfs_access(const struct tmpfs *fs, uint64_t inode, int mask);

int tmpfs_set_mode(struct tmpfs *fs, uint64_t inode, mode_t mode);

/* times[2]: of access and modification; UTIME_NOW and UTIME_OMIT as in utimensat(2). */
int tmpfs_set_times(struct tmpfs *fs, uint64_t inode, const struct timespec times[2]);

/* F_SEAL_*, of a regular file; -EINVAL: of another. Adding, further: -EPERM, -EINVAL. */
int64_t tmpfs_seals(const struct tmpfs *fs, uint64_t inode);
int tmpfs_add_seals(struct tmpfs *fs, uint64_t inode, uint32_t seals);

/*
 * Content of regular files; -EINVAL and -EISDIR for others. Offsets and
 * lengths are any: those past INT64_MAX are -EINVAL or -EFBIG.
 */

uint64_t tmpfs_size(const struct tmpfs *fs, uint64_t inode); /* 0 for what is no regular file */

/* Returns the bytes copied, fewer than asked for at the end. */
int64_t tmpfs_read(const struct tmpfs *fs, uint64_t inode, uint64_t offset,
                   const struct iovec *pieces, unsigned count);

/*
 * Not all or nothing: returns the bytes copied, or -errno when there were none:
 * -EFBIG, -EPERM (sealed), -ENOSPC, -ENOMEM.
 */
int64_t tmpfs_write(struct tmpfs *fs, uint64_t inode, uint64_t offset, const struct iovec *pieces,
                    unsigned count);

int tmpfs_truncate(struct tmpfs *fs, uint64_t inode, uint64_t size);

/* fallocate(2): mode 0, KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE; -EOPNOTSUPP for others. */
int tmpfs_allocate(struct tmpfs *fs, uint64_t inode, uint32_t mode, uint64_t offset,
                   uint64_t length);

/* lseek(2): the next data, or hole, from an offset on. -ENXIO: past the end. */
int64_t tmpfs_seek_data(const struct tmpfs *fs, uint64_t inode, uint64_t offset);
int64_t tmpfs_seek_hole(const struct tmpfs *fs, uint64_t inode, uint64_t offset);

#endif
