/* SPDX-License-Identifier: MIT */
/*
 * The standard streams: to and from the host's functions or descriptors.
 *
 * Functions get a copy of at most 64 KiB, so that the guest cannot change the
 * data under them. Descriptors get guest memory itself. They are waited for
 * until the end of the run, and then get what they take without waiting.
 *
 * A broken pipe raises SIGPIPE in the guest; no signal is raised in the host.
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
