/* SPDX-License-Identifier: MIT */
/*
 * Paths and descriptors in the arguments of system calls, looked up.
 */
#ifndef KVMSB_LINUX_LOOKUP_H
#define KVMSB_LINUX_LOOKUP_H

#include "path.h"
#include "place.h"
#include "process.h"

#include <stdint.h>

/*
 * The process's view of the file system, for KVMSB_ACCESS_...; lives until its
 * next change of directory.
 */
struct place_view lookup_view(struct process *process, uint32_t access);

/*
 * The path at a guest address, relative to the directory `dirfd` (AT_FDCWD:
 * the current one), after the host was asked for it. Returns 0, -EFAULT, -ENOENT
 * (empty), -ENAMETOOLONG, -EBADF, -ENOTDIR, or what the host says.
 */
int lookup_path(const struct place_view *view, int dirfd, uint64_t address, struct path *path);

/* The directory that a relative path is relative to; lives as long as the descriptor. */
int lookup_base(struct process *process, int dirfd, const char **base);

/*
 * What a path is. flags: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH; others do not
 * matter. Returns 0, then place_close(); or -errno.
 */
int lookup_place(const struct place_view *view, int dirfd, uint64_t address, unsigned flags,
                 struct place *place);

/* What an open descriptor is. Returns 0, then place_close(); -EBADF, or -errno. */
int lookup_descriptor(struct process *process, int fd, struct place *place);

#endif
