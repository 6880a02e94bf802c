/* SPDX-License-Identifier: MIT */
/*
 * What a guest may reach outside of itself, and what its host hears of it.
 * The default for everything is: nothing.
 */
#ifndef KVMSANDBOX_POLICY_H
#define KVMSANDBOX_POLICY_H

#include "version.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Where one of the guest's standard streams goes. With `write` (descriptors 1
 * and 2) or `read` (descriptor 0) the host's function is called, with a copy
 * of the data; else with `use_descriptor` the host's descriptor is read or
 * written (it stays the host's; it is never closed, its flags are never
 * changed, and it must stay open while sandboxes use it); else output is
 * dropped and input is at its end.
 *
 * write: returns the number of bytes taken (1..length), or a negative errno
 *        that the guest sees. read: the number of bytes delivered
 *        (0 = end of file, at most length), or a negative errno.
 *
 * The functions run in the thread that runs the guest. They may use other
 * sandboxes; the one that called answers -EBUSY to them, but for
 * kvmsb_memory_read(). They must return: no longjmp(3), no C++ exception, no
 * pthread_exit(3) or cancellation leaves them. Forks inherit the streams of
 * their master: the functions must then be safe to call from several threads
 * at once.
 */
struct kvmsb_stream {
	int64_t (*write)(void *user, const void *data, size_t length);
	int64_t (*read)(void *user, void *data, size_t length);
	void *user;
	int use_descriptor; /* 1: use `descriptor` */
	int descriptor;
	uint64_t reserved[2]; /* zero */
};

enum kvmsb_path_kind {
	KVMSB_PATH_AUTOMATIC = 0, /* what the path is when the sandbox is created: file or directory */
	KVMSB_PATH_FILE,          /* this one file */
	KVMSB_PATH_DIRECTORY,     /* everything beneath this directory, and itself */
};

/* What a guest may do with what a rule allows: kvmsb_path_rule.access. */
#define KVMSB_PATH_READ 1u  /* open for reading, list */
#define KVMSB_PATH_WRITE 2u /* open for writing, make, change, rename, remove */

/*
 * A path that the guest may use. `path` is absolute, and the guest's name for
 * it; `target` is the path on the host, absolute, too (NULL: the same). What
 * lies above the host's path is resolved when the sandbox is created, so a
 * symbolic link there is followed once, by the host; a file stays the one it
 * was then. Beneath a directory a symbolic link leads only to what this or
 * another rule allows (openat2(2), RESOLVE_BENEATH), and there is no procfs. All
 * else does not exist for the guest: -ENOENT. The rule with the longest path
 * that fits counts. All sandboxes of one program together hold at most 512
 * files open: -ENFILE.
 *
 * A rule is to the guest what a mount is: nothing is renamed or linked from one
 * to another (-EXDEV), its own path can be neither renamed nor removed (-EBUSY),
 * and without KVMSB_PATH_WRITE it is read-only (-EROFS). With KVMSB_PATH_WRITE
 * alone files can be made and written but not read: -EACCES; they can be looked at (stat).
 *
 * WRITING: files are made and changed as the host's user, under its permissions,
 * and the host's umask counts as well as the guest's. No file gets a set-user-ID
 * or set-group-ID bit, no device, socket or FIFO is made, owners stay. What is
 * written is the host's: a reset does not undo it, forks see what others
 * write, and locks (flock(2), fcntl(2)) are granted without keeping anyone out.
 * kvmsb_options.file_size_limit bounds a file; how many bytes all files get is
 * bounded by the host's file system alone (quota). Calls of the host on files
 * are not interrupted when the guest's time is over. A symbolic link that a guest
 * makes may say anything: it leads the guest nowhere else, but programs of the
 * host that follow links in such a directory.
 */
struct kvmsb_path_rule {
	const char *path;
	enum kvmsb_path_kind kind;
	const char *target; /* NULL: path */
	uint32_t access;    /* KVMSB_PATH_READ, KVMSB_PATH_WRITE or both; 0: KVMSB_PATH_READ */
	uint32_t reserved;  /* zero */
};

/* Rules, as expressions: { KVMSB_ALLOW_FILE("/etc/motd"), KVMSB_ALLOW_WRITE("/srv/data") } */
#define KVMSB_RULE(path, kind, access, target)                                                     \
	{                                                                                          \
		path, kind, target, access, 0                                                      \
	}
#define KVMSB_ALLOW_FILE(path)      KVMSB_RULE(path, KVMSB_PATH_FILE, KVMSB_PATH_READ, NULL)
#define KVMSB_ALLOW_DIRECTORY(path) KVMSB_RULE(path, KVMSB_PATH_DIRECTORY, KVMSB_PATH_READ, NULL)
#define KVMSB_ALLOW_READ(path)      KVMSB_RULE(path, KVMSB_PATH_AUTOMATIC, KVMSB_PATH_READ, NULL)
#define KVMSB_ALLOW_WRITE(path)                                                                    \
	KVMSB_RULE(path, KVMSB_PATH_AUTOMATIC, KVMSB_PATH_READ | KVMSB_PATH_WRITE, NULL)
#define KVMSB_ALLOW_MAPPED(path, target, access)                                                   \
	KVMSB_RULE(path, KVMSB_PATH_AUTOMATIC, access, target)

/* What a guest wants with a path: kvmsb_path_request.access, several at once where a call does so. */
#define KVMSB_ACCESS_LOOK   1u /* stat, access, readlink, chdir, statfs, O_PATH */
#define KVMSB_ACCESS_READ   2u /* open for reading */
#define KVMSB_ACCESS_WRITE  4u /* open for writing, truncate, modes, times, attributes */
#define KVMSB_ACCESS_CREATE 8u /* O_CREAT, mkdir, mknod, symlink; the new name of link and rename */
#define KVMSB_ACCESS_REMOVE 16u /* unlink, rmdir; the old name of rename, both names of an exchange */
#define KVMSB_ACCESS_LINK   32u /* the old name of link: another name for it is made */

/* In and out of kvmsb_policy.path. All but `rewritten` is for reading. */
struct kvmsb_path_request {
	size_t size;
	const char *path;      /* absolute, without ".", ".." and double slashes; the guest's name */
	uint32_t access;       /* KVMSB_ACCESS_... */
	uint32_t reserved;
	/* Room for rewritten_size bytes, empty at first. What is an absolute path here then is
	 * used instead of `path`: it is a name of the guest as well, for which a rule is needed. */
	char *rewritten;
	size_t rewritten_size; /* 4096 */
};

/*
 * Asked once for every path that a system call of the guest names, before
 * anything of it is looked at, and for every path that a symbolic link leads
 * to: links are then followed one by one. A path that was rewritten is not
 * asked for again, but what is named from a directory that was reached by one
 * lies beneath the new name. Descriptors that are open need no path, and a
 * directory that may be listed shows names whatever the function says of them.
 *
 * Returns 0: the rules decide; or a negative errno, which is the guest's result
 * (-ENOENT hides, -EACCES denies). Anything else counts as -EACCES. The program
 * itself and its interpreter are opened without asking. The rules for stream
 * functions hold, threads included.
 */
typedef int (*kvmsb_path_function)(void *user, struct kvmsb_path_request *request);

/* For such a function: whether a path is this directory or lies beneath it; both absolute. */
static inline int kvmsb_path_is_within(const char *path, const char *directory)
{
	size_t i = 0;

	while (directory[i] != '\0' && path[i] == directory[i])
		i++;
	if (i == 0 || directory[i] != '\0')
		return 0;
	return path[i] == '\0' || path[i] == '/' || path[i - 1] == '/';
}

/*
 * Asked by kvmsb_create(), in its thread, for every variable of
 * kvmsb_options.environment: "NAME=value". Returns what the program gets instead,
 * which may be `variable` itself and must live until kvmsb_create() returns, or
 * NULL to leave it out: a host may pass all it has and say here what of it.
 */
typedef const char *(*kvmsb_environment_function)(void *user, const char *variable);

/*
 * In-struct of kvmsb_options.policy: functions of the host that decide, beside
 * the rules. Copied when the sandbox is created; `user` stays the host's.
 */
struct kvmsb_policy {
	size_t size;
	void *user;
	kvmsb_path_function path;               /* NULL: the rules alone */
	kvmsb_environment_function environment; /* NULL: all as they are */
};
#define KVMSB_POLICY_INIT KVMSB_SIZED(struct kvmsb_policy)

/* One system call or hypercall (number 0x10000 and above) of the guest, as strace(1) would show it. */
struct kvmsb_trace_event {
	size_t size;
	const char *name;      /* "openat"; "syscall_512" for a number without a name */
	uint64_t number;       /* the system call's number */
	uint64_t arguments[6]; /* as passed in registers */
	int64_t result;        /* what the guest gets; a negative errno for a failure */
	const char *text;      /* one decoded line without newline, at most 767 characters:
	                          openat(AT_FDCWD, "/etc/motd", O_RDONLY|O_CLOEXEC) = 3 */
	int finished;          /* 0: the call did not return (exit_group) */
	int denied;            /* 1: the host's policy refused it; the result is what Linux would say */
	uint64_t duration_ns;  /* on the host's clock, of what was done for it: without the way out of
	                          the guest and back, and without this function */
};

/*
 * Called after each system call of the guest, in the thread that runs it. The
 * event and its texts live until the function returns. The same rules as for
 * stream functions.
 */
typedef void (*kvmsb_trace_function)(void *user, const struct kvmsb_trace_event *event);

#ifdef __cplusplus
}
#endif

#endif
