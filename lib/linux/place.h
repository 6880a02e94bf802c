/* SPDX-License-Identifier: MIT */
/*
 * What a path is for the guest. There exist in its file system:
 *
 *   what the rules of the policy allow,
 *   a few devices that everything needs and that tell nothing: /dev/null,
 *     /dev/zero, /dev/full, /dev/random, /dev/urandom, and /dev/tty, which there is none,
 *   what made_files.h makes: /proc, /sys and /dev are its own, as if mounted, also
 *     where a rule allows the directory above; a rule for something in them is
 *     the host's choice and comes first,
 *   the directories above all these and the current directory's, which can be
 *     looked at (stat, chdir) but not listed: opening them is -EACCES.
 *
 * Everything else does not exist: -ENOENT, so that programs go on to their
 * next choice, as ld.so does with libraries and libc with locales.
 *
 * What lies beneath /tmp is in the sandbox's own memory where the host allows
 * that (memory_place.h), but for paths that rules are for.
 *
 * A rule is what a mount is in Linux. Where it does not allow writing, and for
 * devices, changing something that exists is -EROFS (-EACCES for the
 * directories above and for what is made), and making something is -EROFS where its directory is one
 * of a rule, -EACCES where it is one of those above, else -ENOENT.
 *
 * Paths are normalised text. ".." after a symbolic link is therefore taken
 * lexically, unlike in Linux, and a directory's descriptor is its path: renamed
 * since, it leads nowhere. Every text is asked for (ask.h) before it is looked up.
 *
 * Kinds of places are told apart in place.c (looking, opening) and
 * place_change.c (changing), nowhere else.
 */
#ifndef KVMSB_LINUX_PLACE_H
#define KVMSB_LINUX_PLACE_H

#include "files.h"
#include "made_files.h"
#include "path.h"
#include "policy.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>

/* Whose paths, and what for. */
struct place_view {
	struct process *process;
	struct policy *policy; /* NULL: no rules */
	const char *directory; /* current directory, normalised */
	uint32_t access;       /* KVMSB_ACCESS_..., what is asked for */
	uint64_t resolve;      /* RESOLVE_..., man 2 openat2 */
	const char *root;      /* with `resolve`: the directory that it is about, normalised */
};

enum place_kind {
	PLACE_HOST,     /* descriptor */
	PLACE_MEMORY,   /* process, inode: memory_place.h */
	PLACE_DEVICE,   /* device */
	PLACE_MADE,     /* made */
	PLACE_ANCESTOR, /* a directory above something that exists */
	PLACE_PIPE,     /* no path at all: a pipe, a standard stream, an eventfd, an epoll instance */
};

struct place_device;

struct place {
	enum place_kind kind;
	int descriptor; /* PLACE_HOST: of the host, good for fstat(2) and readlinkat(2) */
	bool borrowed;  /* place_close() leaves it open */
	uint32_t access; /* PLACE_HOST: KVMSB_PATH_READ, KVMSB_PATH_WRITE */
	const struct place_device *device;
	struct process *process; /* PLACE_MEMORY */
	uint64_t inode;          /* PLACE_MEMORY: in process->tmpfs */
	struct made_node made;   /* PLACE_MADE */
	mode_t mode;             /* PLACE_PIPE: its type and permissions */
	uint32_t number;         /* PLACE_PIPE: its inode number */
	bool is_own;             /* a link of /proc/self/fd was followed: this is what `own` refers to */
	int own;                 /* a descriptor of the process */
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

/*
 * open(2). flags: the guest's; mode: of a file that it makes, after the umask.
 * Returns 0 with a new file, or -errno; PLACE_OWN says that the path leads to
 * descriptor *own of the process, for the caller to open.
 */
#define PLACE_OWN 2
int place_open(const struct place_view *view, struct path *path, uint32_t flags, uint32_t mode,
               struct file **file, int *own);

/*
 * For place.c and place_change.c.
 */

/* Instead of an errno: the path was replaced by what a symbolic link in it leads to. */
#define PLACE_AGAIN 1

/* man 7 path_resolution: links followed in one path. */
#define PLACE_LINKS 40

enum place_change {
	PLACE_CREATE,  /* a name that must not exist */
	PLACE_REPLACE, /* a name that may exist: the new one of rename(2) */
	PLACE_REMOVE,  /* a name that must exist */
};

/* A name in a directory that may be changed. */
struct place_entry {
	enum place_kind kind;           /* of the directory */
	const struct policy_rule *rule; /* PLACE_HOST */
	int directory;                  /* PLACE_HOST: of the host, O_PATH */
	struct process *process;        /* PLACE_MEMORY */
	uint64_t inode;                 /* PLACE_MEMORY: of the directory */
	char name[NAME_MAX + 2];        /* one component, perhaps with "/" behind it */
};

/*
 * Finds the directory that holds the path's last component, for `change`.
 * Links on the way to it are followed, one that has the name is not.
 * Returns 0 (then place_entry_close()), or what the guest gets: -EROFS, -EACCES,
 * -ENOENT, -ENOTDIR, -EEXIST (PLACE_CREATE, where that is known), -EBUSY (a rule's
 * own path, or one above it), ... The second form is one step of the first: it
 * asks nobody and may return PLACE_AGAIN.
 */
int place_entry_find(const struct place_view *view, struct path *path, enum place_change change,
                     struct place_entry *entry);
int place_entry_find_once(const struct place_view *view, struct path *path,
                          enum place_change change, struct place_entry *entry);
void place_entry_close(struct place_entry *entry);

/* path_normalise() under view->resolve: -EXDEV for what leads out. `base` is the view's root or beneath. */
int place_resolve(const struct place_view *view, struct path *path, const char *base,
                  const char *text);

/* The rule for a path that is not made up by the library, or NULL. */
const struct policy_rule *place_rule(const struct place_view *view, const struct path *path);

/* Whether where links lead matters, so that the kernel must follow none. */
bool place_follows_by_hand(const struct place_view *view, const struct policy_rule *rule);

/* One step of place_find(), which may return PLACE_AGAIN. Asks nobody. */
int place_find_once(const struct place_view *view, struct path *path, bool follow,
                    struct place *place);

/* Replaces the first symbolic link in the path: PLACE_AGAIN, or -errno (-EACCES: there is none). */
int place_follow(const struct place_view *view, const struct policy_rule *rule, struct path *path,
                 bool follow_last);

/* Replaces a link, whose name ends at `end`, by what it leads to: PLACE_AGAIN, or -errno. */
int place_splice(const struct place_view *view, struct path *path, size_t end,
                 char target[PATH_SIZE]);

/* It is that inode of process->tmpfs. */
void place_set_memory(struct place *place, struct process *process, uint64_t inode);

/*
 * Changing. Each returns 0 or what the guest gets, as its call's manual page in
 * section 2 has it, and never follows a link at the path's end unless it says so.
 * The first only looks whether a name could be made there.
 */
int place_check_create(const struct place_view *view, struct path *path);
int place_make_directory(const struct place_view *view, struct path *path, uint32_t mode);
int place_make_file(const struct place_view *view, struct path *path, uint32_t mode);
int place_make_link(const struct place_view *view, struct path *path, const char *target);
int place_remove(const struct place_view *view, struct path *path, bool directory);

/* flags: RENAME_NOREPLACE, RENAME_EXCHANGE. Each path has its own view. */
int place_rename(const struct place_view *from_view, struct path *from,
                 const struct place_view *to_view, struct path *to, uint32_t flags);

/* Another name for a file. follow: a symbolic link at `from` is. */
int place_link(const struct place_view *from_view, struct path *from,
               const struct place_view *to_view, struct path *to, bool follow);

/* Of what was found: 0, -EROFS, -EACCES, or -EPERM for what has no path. */
int place_check_change(const struct place *place);
int place_set_mode(const struct place *place, uint32_t mode);
int place_set_owner(const struct place *place, uint32_t user, uint32_t group);
int place_set_times(const struct place *place, const struct timespec times[2]); /* NULL: now */

#endif
