/* SPDX-License-Identifier: MIT */
/*
 * The descriptor table of a process, and what its descriptors refer to.
 *
 *   descriptor (a number)  ->  open_file (offset, flags)  ->  file (the object)
 *
 * As in Linux, dup(2) makes descriptors share an open_file. Numbers, offsets
 * and flags are the sandbox's own: the host's descriptors are never seen, and
 * are used with pread(2), so that a master and its forks can use one of them
 * at the same time, each at its own offset.
 *
 * A struct files is immutable while it is shared (reference count above one)
 * and copied by the first change, as pages are. A struct file never changes
 * after it was made, but for pipes, eventfds and epoll instances, which belong to
 * one table only and are copied with it.
 */
#ifndef KVMSB_LINUX_FILES_H
#define KVMSB_LINUX_FILES_H

#include "epoll.h"
#include "event.h"
#include "process.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pipe; /* linux/pipe.h */

#define FILES_MAXIMUM 256u

enum file_kind {
	FILE_REGULAR,   /* a regular file of the host */
	FILE_DIRECTORY, /* a directory of the host */
	FILE_MEMORY,    /* a regular file of linux/tmpfs.h: `inode` */
	FILE_MEMORY_DIRECTORY, /* a directory there */
	FILE_PATH,      /* O_PATH: only a place in the file system */
	FILE_NULL,      /* /dev/null, and a standard stream that the host did not connect */
	FILE_ZERO,      /* /dev/zero */
	FILE_FULL,      /* /dev/full */
	FILE_RANDOM,    /* /dev/urandom, /dev/random */
	FILE_STREAM,    /* a standard stream, process_config.streams */
	FILE_PIPE,      /* both ends of a pipe(2) within the sandbox */
	FILE_EVENT,     /* eventfd(2) */
	FILE_EPOLL,     /* epoll_create(2) */
	FILE_MADE,      /* a file whose content was made by us when it was opened */
	FILE_MADE_DIRECTORY, /* a directory of such files */
	FILE_KINDS,
};

struct file {
	_Atomic uint32_t references;
	enum file_kind kind;
	int descriptor;       /* the host's, closed with the last reference; -1: none */
	unsigned stream;      /* FILE_STREAM: 0, 1, 2 */
	uint32_t access;      /* KVMSB_PATH_READ, KVMSB_PATH_WRITE: what its rule allowed */
	mode_t host_mode;     /* FILE_STREAM on a descriptor: its st_mode at creation */
	struct policy *policy; /* counts `descriptor`; NULL: nobody does */
	struct pipe *pipe;    /* FILE_PIPE */
	uint64_t inode;       /* FILE_MEMORY(_DIRECTORY), FILE_PATH of one: in process->tmpfs; else 0 */
	struct event event;   /* FILE_EVENT */
	struct epoll *epoll;  /* FILE_EPOLL */
	char *content;        /* FILE_MADE: of content_length bytes; allocated, or NULL */
	uint64_t content_length;
	uint32_t number;      /* without a path: what stat(2) and readlink(2) show, the same in copies */
	pthread_mutex_t lock; /* FILE_DIRECTORY: the host's position in it */
	char path[];          /* absolute, as the guest sees it; "" without one */
};

struct open_file {
	struct file *file; /* NULL: free */
	uint64_t offset;   /* at most INT64_MAX */
	uint32_t flags;    /* access mode and status flags of open(2) */
	uint32_t users;    /* descriptors that refer to it */
};

struct descriptor {
	uint16_t open; /* index into files->open, plus 1; 0: not open */
	bool close_on_exec;
};

struct files {
	_Atomic uint32_t references;
	uint32_t capacity; /* of `open` */
	struct open_file *open;
	char *directory; /* current directory, absolute and normalised */
	struct descriptor descriptors[FILES_MAXIMUM];
};

/*
 * A file with one reference. `descriptor` (or -1) and `pipe` (or NULL) belong
 * to it from then on; on failure (NULL: no memory) they stay the caller's.
 */
struct file *file_create(enum file_kind kind, int descriptor, const char *path);
struct file *file_create_pipe(struct pipe *pipe);

/* Any thread. Release takes NULL. */
struct file *file_reference(struct file *file);
void file_release(struct file *file);

/*
 * Reads content at an offset, all of `length` but at the end of the file.
 * Returns the bytes read, or -errno: -EINVAL for what has no offsets (pipe,
 * stream), -EISDIR, and those of pread(2). FILE_ZERO reads as zeros for ever.
 * Any thread.
 */
int64_t file_pread(struct file *file, void *data, uint64_t length, uint64_t offset);

/* Of the host or in memory. */
static inline bool file_is_regular(const struct file *file)
{
	return file->kind == FILE_REGULAR || file->kind == FILE_MEMORY;
}

static inline bool file_is_directory(const struct file *file)
{
	return file->kind == FILE_DIRECTORY || file->kind == FILE_MEMORY_DIRECTORY ||
	       file->kind == FILE_MADE_DIRECTORY;
}

/* Size in bytes (FILE_REGULAR; 0 for all others). Returns 0 or -errno of fstat(2). */
int file_size(const struct file *file, uint64_t *size);

/* The same of every kind: what is in memory is the process's. */
int64_t files_pread(const struct process *process, struct file *file, void *data, uint64_t length,
                    uint64_t offset);
int files_size(const struct process *process, const struct file *file, uint64_t *size);

/*
 * What descriptor fd of the process refers to: borrowed, lives until the next
 * change of the table, so longer than the system call only when referenced.
 * NULL: not open.
 */
struct file *files_get(struct process *process, int fd);

/*
 * As files_get(), for mmap(2). Returns 0 with *file (FILE_REGULAR, FILE_MEMORY or
 * FILE_ZERO), -EBADF, -EACCES (not open for reading), -ENODEV (not mappable).
 */
int files_get_mappable(struct process *process, int fd, struct file **file);

/* A table with the standard descriptors 0, 1, 2. Returns 0 or -ENOMEM. */
int files_create(struct files **files, const struct process_config *config);
struct files *files_share(struct files *files);
void files_release(struct files *files); /* NULL is allowed */

/* The open file behind fd, to look at; NULL: not open. Lives until the next change. */
const struct open_file *files_look(const struct process *process, int fd);

/*
 * The same, to change it: makes the table the process's own first.
 * Returns 0, -EBADF or -ENOMEM.
 */
int files_change(struct process *process, int fd, struct open_file **open);

/* Sets the current directory; the path is copied. Returns 0 or -ENOMEM. */
int files_set_directory(struct process *process, const char *directory);

/* Copies the table if it is shared. Returns 0 or -ENOMEM. */
int files_make_own(struct process *process);

/* Whether there is a free descriptor number: 0 or -EMFILE. */
int files_have_room(const struct process *process);

/*
 * Gives the file the lowest free descriptor number. Takes over the caller's
 * reference, on failure too. flags: of open(2), O_CLOEXEC included.
 * Returns the number, -EMFILE or -ENOMEM.
 */
int files_install(struct process *process, struct file *file, uint32_t flags);

/* dup(2): the lowest free number >= minimum. Returns it, -EBADF, -EINVAL, -EMFILE, -ENOMEM. */
int files_duplicate(struct process *process, int fd, uint64_t minimum, bool close_on_exec);

/* dup2(2) of two different numbers. Returns `to`, -EBADF or -ENOMEM. */
int files_duplicate_to(struct process *process, int fd, int to, bool close_on_exec);

/* Returns 0, -EBADF, -ENOMEM. */
int files_close(struct process *process, int fd);

/* FD_CLOEXEC of fd, 0 or 1, or -EBADF; and setting it: 0, -EBADF, -ENOMEM. */
int files_close_on_exec(const struct process *process, int fd);
int files_set_close_on_exec(struct process *process, int fd, bool close_on_exec);

/*
 * Most that all content made by us may take in one table (FILE_MADE), and what
 * it takes: a guest that opens the same file again and again must not fill the host.
 */
#define FILES_MADE_MAXIMUM (UINT64_C(4) << 20)
uint64_t files_made_bytes(const struct process *process);

/* A number for a new file without a path, which no other open file has. */
uint32_t files_new_number(const struct process *process);

/* Whether the pipe is open for this access (O_RDONLY, O_WRONLY) anywhere in the table. */
bool files_pipe_open(const struct process *process, const struct file *file, uint32_t access);

#endif
