/* SPDX-License-Identifier: MIT */
/*
 * The standard streams: to and from the host's functions or descriptors.
 *
 * Functions get a copy of at most 64 KiB, so that the guest cannot change the
 * data under them. Descriptors get guest memory itself, in one writev(2) or
 * readv(2) where possible. They are waited for until the end of the run, so a
 * read is covered by the time limit; a write that is larger than what the
 * descriptor takes at once is not, unless the host made it non-blocking.
 *
 * A broken pipe raises SIGPIPE in the guest, never in the host.
 */
#ifndef KVMSB_LINUX_STREAM_H
#define KVMSB_LINUX_STREAM_H

#include "files.h"
#include "transfer.h"

#include <stdint.h>

/* Return the bytes moved, or -errno when there were none. */
int64_t stream_read(struct process *process, const struct file *file, struct transfer *transfer);
int64_t stream_write(struct process *process, const struct file *file, struct transfer *transfer);

#endif
