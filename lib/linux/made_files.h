/* SPDX-License-Identifier: MIT */
/*
 * Files that are made by us, as programs read them: /proc, the few of /sys, and
 * the links of /dev. They say what the guest knows anyway (its own state, its
 * limits, CPUID, its clocks) and constants: nothing of the host. The content of
 * a file is made when it is opened; that of a directory, when it is listed.
 *
 * Which paths there are is in made_files.def. /proc/self and /proc/thread-self
 * are links to the process's directory, in which fd/N are links to what its
 * descriptors refer to.
 */
#ifndef KVMSB_LINUX_MADE_FILES_H
#define KVMSB_LINUX_MADE_FILES_H

#include "path.h"
#include "process.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct made_row;

/* One of them, found. */
struct made_node {
	const struct made_row *row; /* NULL: a directory, or fd/N */
	mode_t mode;                /* type and permissions */
	uint64_t inode;
	int descriptor;             /* fd/N: N; else -1 */
	const char *rest;           /* fd/N: what of the path is beneath it, within the path; NULL: nothing */
	long file_system;           /* what statfs(2) calls it: man 2 statfs */
};

/* Whether a (normalised) path is /proc, /sys or /dev, or lies beneath. */
bool made_owns(const char *path);

/*
 * Looks a path up. follow: a link at its end is followed. Returns
 *   0           with *node; fd/N is never followed: what it refers to, and what of
 *               the path is beneath it, is in the node,
 *   -EXDEV      a link was replaced by its target in the path: look up again,
 *   -ENOENT, -ENOTDIR, -ENAMETOOLONG, -ENOMEM.
 * Devices are -ENOENT: place.h has them.
 */
int made_find(struct process *process, struct path *path, bool follow, struct made_node *node);

/* The content of a file, or the target of a link. Returns 0, then text_end(); or -ENOMEM. */
int made_write(struct process *process, const struct made_node *node, struct text *text);

/*
 * getdents64(2) of the directory at the path, from *offset on, which moves.
 * Returns the bytes stored, 0 at the end, -EINVAL (not even one entry fits).
 */
int64_t made_list(const struct process *process, const char *path, uint64_t *offset, void *data,
                  uint64_t size);


#endif
