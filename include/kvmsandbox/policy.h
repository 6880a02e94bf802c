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

/*
 * A path that the guest may open for reading. `path` is absolute; the part
 * above it is resolved when the sandbox is created, so a symbolic link there
 * is followed once, by the host; a file stays the one it was then. Beneath a
 * directory a symbolic link leads only to what this or another rule allows
 * (openat2(2), RESOLVE_BENEATH), and there is no procfs. All else does not
 * exist for the guest: -ENOENT. All sandboxes of one program together hold at
 * most 512 files open: -ENFILE.
 */
struct kvmsb_path_rule {
	const char *path;
	enum kvmsb_path_kind kind;
	uint64_t reserved[2]; /* zero */
};

/* One system call or hypercall (number 0x10000 and above) of the guest, as strace(1) would show it. */
struct kvmsb_trace_event {
	size_t size;
	const char *name;      /* "openat"; "syscall_512" for a number without a name */
	uint64_t number;       /* the system call's number */
	uint64_t arguments[6]; /* as passed in registers */
	int64_t result;        /* what the guest gets; a negative errno for a failure */
	const char *text;      /* one decoded line without newline: openat(AT_FDCWD, "/etc/motd", 0) = 3 */
	int finished;          /* 0: the call did not return (exit_group) */
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
