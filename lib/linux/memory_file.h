/* SPDX-License-Identifier: MIT */
/*
 * Open files of the process's file system in memory (tmpfs.h): their content,
 * moved straight between guest memory and its chunks, and the end of those
 * that have neither a name nor a descriptor nor a mapping any more.
 */
#ifndef KVMSB_LINUX_MEMORY_FILE_H
#define KVMSB_LINUX_MEMORY_FILE_H

#include "files.h"
#include "tmpfs.h"
#include "transfer.h"

#include <stdbool.h>
#include <stdint.h>

/* Makes process->tmpfs the process's own, to be changed now. Returns 0 or -ENOMEM. */
int memory_begin_change(struct process *process);

/*
 * Whether a change is worth another try: it failed for lack of room, and files
 * that nobody can reach any more have just been freed.
 */
bool memory_try_again(struct process *process, int64_t error);

/* Frees the inode if it has no name and is neither open nor mapped. 0: nothing. */
void memory_collect(struct process *process, uint64_t inode);

/* A new file for an inode, or NULL. */
struct file *memory_file_create(enum file_kind kind, uint64_t inode, const char *path);

/* As input_output.h and file_change.h have it. flags: O_APPEND counts. */
int64_t memory_read(const struct file *file, struct transfer *transfer, uint64_t offset);
int64_t memory_write(const struct file *file, struct transfer *transfer, uint64_t offset,
                     uint32_t flags);
int memory_truncate(struct process *process, const struct file *file, uint64_t size);
int memory_allocate(struct process *process, const struct file *file, uint32_t mode,
                    uint64_t offset, uint64_t length);

/* lseek(2), SEEK_DATA and SEEK_HOLE. */
int64_t memory_seek(const struct process *process, const struct file *file, uint64_t offset,
                    int whence);

/* fcntl(2), F_ADD_SEALS. */
int memory_add_seals(struct process *process, const struct file *file, uint32_t seals);

#endif
