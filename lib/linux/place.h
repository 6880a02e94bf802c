/* SPDX-License-Identifier: MIT */
/*
 * What a path is for the guest. The guest's file system is read-only, and
 * there exist in it:
 *
 *   what the rules of the policy allow,
 *   a few devices that everything needs and that tell nothing: /dev/null,
 *     /dev/zero, /dev/full, /dev/random, /dev/urandom,
 *   /proc/self/exe, a symbolic link to the program,
 *   the directories above all these and the current directory's, which can be
 *     looked at (stat, chdir) but not listed: opening them is -EACCES.
 *
 * Everything else does not exist: -ENOENT, so that programs go on to their
 * next choice, as ld.so does with libraries and libc with locales.
 *
 * Changing something that exists is -EROFS (-EACCES for those directories
 * above), and making something is -EROFS where its directory is one of a rule,
 * -EACCES where it is one of those above, else -ENOENT.
 *
 * Paths are normalised text. ".." after a symbolic link is therefore taken
 * lexically, unlike in Linux.
 */
#ifndef KVMSB_LINUX_PLACE_H
#define KVMSB_LINUX_PLACE_H

#include "files.h"
#include "path.h"
#include "policy.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/statfs.h>

/* Whose paths. */
struct place_view {
	struct policy *policy; /* NULL: no rules */
	const char *directory;       /* current directory, normalised */
	const char *program;         /* target of /proc/self/exe; may be relative or NULL */
};

enum place_kind {
	PLACE_HOST,     /* descriptor */
	PLACE_DEVICE,   /* device */
	PLACE_LINK,     /* /proc/self/exe itself */
	PLACE_ANCESTOR, /* a directory above something that exists */
	PLACE_PIPE,     /* no path at all: a pipe or a standard stream */
};

struct place_device;

struct place {
	enum place_kind kind;
	int descriptor; /* PLACE_HOST: of the host, good for fstat(2) and readlinkat(2) */
	bool borrowed;  /* place_close() leaves it open */
	const struct place_device *device;
};

/*
 * Looks a path up; symbolic links that lead from one rule to another are
 * replaced in it. follow: a symbolic link at the end is followed.
 * Returns 0 (then place_close()), -ENOENT, -ENOTDIR, -ELOOP, -EACCES, or what
 * else openat2(2) says.
 */
int place_find(const struct place_view *view, struct path *path, bool follow, struct place *place);
void place_close(struct place *place);

int place_stat(const struct place *place, struct stat *status);
int place_statfs(const struct place *place, struct statfs *status);

/* What an open file is. As place_find(); the file must stay open meanwhile. */
int place_of_file(const struct place_view *view, const struct file *file, struct place *place);

/* open(2). flags: the guest's. Returns 0 with a new file, or -errno. */
int place_open(const struct place_view *view, struct path *path, uint32_t flags, struct file **file);

enum place_change {
	PLACE_CREATE,
	PLACE_MODIFY
};

/* The errno for a call that would create something at the path, or change what is there. */
int place_refuse(const struct place_view *view, struct path *path, enum place_change change);

#endif
