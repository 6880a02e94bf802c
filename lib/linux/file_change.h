/* SPDX-License-Identifier: MIT */
/*
 * Changing the content of files of every kind that has one. Whether the
 * descriptor is open for writing was checked. Offsets and lengths are at most
 * INT64_MAX.
 */
#ifndef KVMSB_LINUX_FILE_CHANGE_H
#define KVMSB_LINUX_FILE_CHANGE_H

#include "files.h"
#include "transfer.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Writes at the offset, or with O_APPEND in flags at the end. O_SYNC and O_DSYNC
 * count, too. Returns the bytes written, or -errno when there were none: -EFBIG
 * (with SIGXFSZ for the guest) at the limit of files' sizes, -EFAULT, and those of
 * write(2).
 */
int64_t file_write(struct file *file, struct transfer *transfer, uint64_t offset, uint32_t flags);

/* Return 0 or -errno, as ftruncate(2), fallocate(2) and fsync(2) say: -EINVAL for a wrong kind. */
int file_truncate(struct process *process, struct file *file, uint64_t length);
int file_allocate(struct process *process, struct file *file, uint32_t mode, uint64_t offset,
                  uint64_t length);
int file_sync(const struct file *file, bool data_only);

#endif
